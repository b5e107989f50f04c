// @vitest-environment happy-dom
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { act } from 'react';
import { createRoot } from 'react-dom/client';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { manifestOf } from '../manifest.js';
import { RecordingAdapter } from '../src/adapters/recording.js';
import { VideoJsAdapter } from '../src/adapters/videojs.js';
import { ChatTimeline } from '../src/chat-timeline.js';
import { chatsyncPlugin, registerChatsync, type ChatsyncPlugin, type VideoJsPlayer } from '../src/videojs.js';
import { FakePlayer } from './fake-player.js';

afterEach(() => document.body.replaceChildren());

describe('the entries of the package', () => {
  test('importing the classes registers nothing; `define` does', async () => {
    await import('../src/index.js');
    await import('../src/videojs.js');
    expect(customElements.get('chatsync-chat')).toBeUndefined();
    const { ChatsyncChat } = await import('../src/define.js');
    expect(customElements.get('chatsync-chat')).toBe(ChatsyncChat);
  });

  test('what is said to have side effects is all that has', () => {
    const { sideEffects, exports } = JSON.parse(readFileSync(join(import.meta.dirname, '../package.json'), 'utf8')) as { sideEffects: string[]; exports: Record<string, unknown> };
    expect(sideEffects).toEqual(['./dist/define.js', './dist/chatsync-*.js', './src/define.ts', './src/iife.ts']);
    expect(Object.keys(exports)).toEqual(['.', './define', './react', './videojs', './custom-elements.json', './package.json']);
  });
});

describe('clocks', () => {
  test('no module asks what time it is: the picture paces, and a monotonic clock polls', () => {
    const modules = readdirSync(join(import.meta.dirname, '../src'), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
    expect(modules.length).toBeGreaterThan(20);
    expect(modules.filter((name) => /Date\.now|new Date\(\)|timeOrigin/.test(readFileSync(join(import.meta.dirname, '../src', name), 'utf8')))).toEqual([]);
  });
});

describe('the manifest', () => {
  const manifest = manifestOf(join(import.meta.dirname, '../src/')) as { modules: { declarations: Record<string, never>[] }[] };
  const chat = manifest.modules[0]!.declarations.find((one) => one['tagName'] === 'chatsync-chat') as unknown as Record<string, { name: string; description?: string; fieldName?: string }[]>;

  test('tells attributes with the properties they set, events, parts and custom properties', () => {
    expect(chat['attributes']).toContainEqual(expect.objectContaining({ name: 'token-from', fieldName: 'tokenFrom', type: { text: 'string | null' } }));
    expect(chat['events']!.find((one) => one.name === 'chatsync-message')?.description).toContain('detail');
    expect(chat['cssParts']!.map((part) => part.name)).toEqual(expect.arrayContaining(['header', 'log', 'composer']));
    expect(chat['cssProperties']!.map((property) => property.name)).toContain('--chatsync-accent');
    expect(chat['description']).toContain('<chatsync-chat>');
  });

  test('tells every attribute that docs/player.md does', () => {
    const docs = readFileSync(join(import.meta.dirname, '../../docs/player.md'), 'utf8');
    const told = [...docs.matchAll(/^\| `([a-z-]+)` \| attribute \|/gm)].map(([, name]) => name).filter((name) => name !== 'lang');
    expect(chat['attributes']!.map((attribute) => attribute.name)).toEqual(expect.arrayContaining(told));
  });
});

describe('./react', () => {
  test('props are properties of the element, and events come to their handlers', async () => {
    vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true);
    const { ChatsyncChat } = await import('../src/react.js');
    const place = document.createElement('div');
    document.body.append(place);
    const root = createRoot(place);
    const adapter = new FakePlayer();
    const onMessage = vi.fn();
    await act(async () => root.render(<ChatsyncChat className="side" tokenFrom="/token" adapter={adapter} sync="now" onMessage={onMessage} />));
    const element = place.querySelector('chatsync-chat')!;
    expect([element.getAttribute('class'), element.tokenFrom, element.sync]).toEqual(['side', '/token', 'now']);
    expect(element.adapter).toBe(adapter);
    element.dispatchEvent(new CustomEvent('chatsync-message', { detail: { offset: 7 } }));
    expect(onMessage.mock.calls[0]![0].detail).toEqual({ offset: 7 });
    await act(async () => root.unmount());
  });
});

class FakeVideoJs {
  readonly #listeners: (() => void)[] = [];
  readonly element = document.createElement('div');

  el(): Element {
    return this.element;
  }

  on(event: string, listener: () => void): void {
    if (event === 'dispose') this.#listeners.push(listener);
  }

  off(): void {}

  tech(): null {
    return null;
  }

  seekable(): TimeRanges {
    return { length: 0, start: () => 0, end: () => 0 };
  }

  currentTime(): void {}

  dispose(): void {
    for (const listener of this.#listeners) listener();
  }

  /** As Video.js' own types say it: any event, any listener. */
  get asPlayer(): VideoJsPlayer {
    return this as unknown as VideoJsPlayer;
  }
}

describe('./videojs', () => {
  test('a chat on the page follows the player until that is disposed of', () => {
    document.body.innerHTML = '<chatsync-chat id="chat"></chatsync-chat>';
    const [player, adapter] = [new FakeVideoJs(), new FakePlayer()];
    const destroyed = vi.spyOn(adapter, 'destroy');
    const plugin = chatsyncPlugin(player.asPlayer, { chat: '#chat' }, adapter);
    const chat = document.querySelector('#chat') as Element & { adapter: unknown };
    expect([chat.adapter, plugin.timeline]).toEqual([adapter, null]);
    player.dispose();
    plugin.dispose();
    expect([chat.adapter, destroyed.mock.calls.length]).toEqual([null, 1]);
  });

  test('a timeline of one\'s own is attached, and not stopped with the player', () => {
    const timeline = new ChatTimeline({ server: 'http://127.0.0.1:1', room: 'math-101' });
    const [player, adapter] = [new FakeVideoJs(), new FakePlayer()];
    adapter.programMs = 1_764_000_000_000;
    chatsyncPlugin(player.asPlayer, { timeline }, adapter);
    expect(timeline.playhead.state).toBe('at');
    player.dispose();
    expect(timeline.playhead.state).toBe('unknown');
  });

  test('registered, it makes a timeline of a room', () => {
    const plugins = new Map<string, (this: VideoJsPlayer, options?: object) => unknown>();
    registerChatsync({ registerPlugin: (name, plugin) => plugins.set(name, plugin) }, () => new FakePlayer());
    const player = new FakeVideoJs();
    const plugin = plugins.get('chatsync')!.call(player.asPlayer, { room: 'math-101', server: 'http://127.0.0.1:1' }) as ChatsyncPlugin;
    expect(plugin.timeline?.status).toBe('connecting');
    player.dispose();
    expect(plugin.timeline?.status).toBe('closed');
  });

  test('a recording is followed by its map, all else by the dates of its segments', () => {
    const plugins = new Map<string, (this: VideoJsPlayer, options?: object) => unknown>();
    registerChatsync({ registerPlugin: (name, plugin) => plugins.set(name, plugin) });
    document.body.innerHTML = '<chatsync-chat id="live"></chatsync-chat><chatsync-chat id="ended" recording="r1"></chatsync-chat>';
    const follow = (options: object): unknown => {
      const player = new FakeVideoJs();
      player.element.append(document.createElement('video'));
      const { adapter, dispose } = plugins.get('chatsync')!.call(player.asPlayer, options) as ChatsyncPlugin;
      dispose();
      return adapter.constructor;
    };
    expect(follow({ chat: '#live' })).toBe(VideoJsAdapter);
    expect(follow({ chat: '#ended' })).toBe(RecordingAdapter);
    expect(follow({ room: 'math-101', server: 'http://127.0.0.1:1', recording: 'r1' })).toBe(RecordingAdapter);
  });

  test.each([[{ chat: '#nothing' }, '#nothing'], [{}, 'a room']])('%j is refused by name', (options, words) => {
    expect(() => chatsyncPlugin(new FakeVideoJs().asPlayer, options, new FakePlayer())).toThrow(words);
  });
});
