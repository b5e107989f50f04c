// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { ChatsyncChat } from '../src/define.js';
import { ModelRoom, T0 } from './builders.js';
import { FakePlayer } from './fake-player.js';
import { FakeRelay, nodeFetch, until } from './fake-relay.js';

let model: ModelRoom;
let relay: FakeRelay;
let player: FakePlayer;
let chat: ChatsyncChat;

beforeEach(async () => {
  vi.stubGlobal('WebSocket', WebSocket);
  vi.stubGlobal('fetch', nodeFetch);
  // happy-dom lays nothing out; the list needs to believe that there is room for rows.
  vi.spyOn(HTMLElement.prototype, 'clientHeight', 'get').mockReturnValue(600);
  vi.spyOn(HTMLElement.prototype, 'clientWidth', 'get').mockReturnValue(320);
  vi.spyOn(HTMLElement.prototype, 'scrollHeight', 'get').mockReturnValue(2_300);
  vi.spyOn(HTMLElement.prototype, 'offsetHeight', 'get').mockReturnValue(46);
  model = new ModelRoom();
  for (let second = 0; second < 200; second += 1) model.say(T0 + second * 1000);
  relay = new FakeRelay(model);
  player = new FakePlayer();
  player.programMs = T0 + 150_000;
  chat = document.createElement('chatsync-chat');
});

afterEach(async () => {
  chat.remove();
  await relay.stop();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

async function open(): Promise<void> {
  model.seal(T0 + 170_000);
  chat.room = 'math-101';
  chat.server = await relay.start();
  chat.adapter = player;
  document.body.append(chat);
  await until(() => chat.shown.settled, 'a settled pane');
  await chat.updateComplete;
}

const all = (selector: string): HTMLElement[] => [...chat.renderRoot.querySelectorAll<HTMLElement>(selector)];
const one = (selector: string): HTMLElement => all(selector)[0]!;
const text = (selector: string): string => (one(selector).textContent ?? '').trim();

describe('<chatsync-chat>', () => {
  test('is a labelled log that stays silent, beside one polite announcer', async () => {
    await open();
    const log = one('[role=log]');
    expect(log.getAttribute('aria-live')).toBe('off');
    expect(log.getAttribute('aria-label')).toBeTruthy();
    expect(log.tabIndex).toBe(0);
    expect(all('[aria-live=polite]').length).toBe(1);
  });

  test('shows what belongs to the picture, and says so', async () => {
    const settled = vi.fn();
    chat.addEventListener('chatsync-settled', settled);
    await open();
    expect(chat.shown).toMatchObject({ cutoffMs: T0 + 150_000, broadcast: 1, settled: true });
    expect(chat.shown.messages.map((message) => message.offset)).toEqual(model.lastDue(T0 + 150_000));
    const rows = all('.row[data-offset]');
    expect(rows.length).toBe(50);
    expect(settled).toHaveBeenCalledTimes(1);
    player.seek(T0 + 60_000);
    await until(() => settled.mock.calls.length === 2, 'a settled seek');
    expect(settled.mock.calls[1]![0].detail).toEqual({ generation: 1, cutoffMs: T0 + 60_000 });
    expect(chat.shown.messages.map((message) => message.offset)).toEqual(model.lastDue(T0 + 60_000));
  });

  test('markup in a text, a name or a link stays text', async () => {
    const evil = '<img src=x onerror=alert(1)>';
    model.say(T0 + 149_500, { text: evil, author: { key: 'x', name: evil, role: 'viewer' } as never });
    model.say(T0 + 149_600, { fragments: [{ type: 'link', text: 'javascript:alert(1)' }, { type: 'link', text: 'https://example.org/a' }, { type: 'emote', text: ':hi:', url: 'http://evil.example/x.png' }, { type: 'emote', text: ':ho:', url: '//evil.example/x.png' }, { type: 'emote', text: evil, url: 'data:image/svg+xml,x' }] });
    await open();
    one('[role=log]').scrollTop = 1_700; // happy-dom does not scroll to the end by itself
    one('[role=log]').dispatchEvent(new Event('scroll'));
    await until(() => all('.row a').length > 0, 'the last rows');
    expect(all('.row').some((row) => row.textContent?.includes(evil))).toBe(true);
    expect(all('.row img').length).toBe(0);
    const links = all('.row a');
    expect(links.map((link) => link.getAttribute('href'))).toEqual(['https://example.org/a']);
    expect(links[0]!.getAttribute('rel')).toBe('nofollow noopener noreferrer ugc');
    expect(all('[style]').filter((element) => !element.matches('.sizer, .window'))).toEqual([]);
  });

  test('an emote is an image with its name, at the address the room gave it', async () => {
    model.say(T0 + 149_600, { fragments: [{ type: 'emote', text: ':hi:', url: 'https://cdn.example/hi.png' }, { type: 'emote', text: ':ok:', url: '/emotes/ok.png' }, { type: 'emote', text: ':old:' }] });
    await open();
    one('[role=log]').scrollTop = 1_700;
    one('[role=log]').dispatchEvent(new Event('scroll'));
    await until(() => all('.row img').length > 0, 'the last rows');
    const shown = all('.row img').map((image) => [image.getAttribute('src'), image.getAttribute('alt'), image.getAttribute('referrerpolicy')]);
    expect(shown).toEqual([
      ['https://cdn.example/hi.png', ':hi:', 'no-referrer'],
      [`${chat.server}/emotes/ok.png`, ':ok:', 'no-referrer'],
    ]);
    expect(all('.row').some((row) => row.textContent?.includes(':old:'))).toBe(true);
  });

  test('questions, hosts and lines are marked', async () => {
    model.say(T0 + 149_500, { kind: 'question', text: 'why?' });
    model.say(T0 + 149_600, { author: 0 });
    model.say(T0 + 149_700, { kind: 'pinned', text: 'page 12', author: 0 });
    model.say(T0 + 149_800, { kind: 'not_known_yet' });
    await open();
    player.show(T0 + 150_001);
    await chat.updateComplete;
    const rows = chat.session!.rows;
    expect(rows.some((row) => row.kind === 'not_known_yet')).toBe(false);
    one('[role=log]').scrollTop = 1_700;
    one('[role=log]').dispatchEvent(new Event('scroll'));
    await until(() => all('.row[data-kind=pinned]').length > 0, 'the last rows');
    expect(text('.row[data-kind=question]')).toContain('Question');
    expect(text('.row[data-kind=pinned]')).toContain('Pinned: page 12');
    expect(all('.row[data-role=host] .badge').length).toBeGreaterThan(0);
  });

  test('the first wheel upwards pauses, says how many came, and one key resumes', async () => {
    await open();
    const log = one('[role=log]');
    log.dispatchEvent(new WheelEvent('wheel', { deltaY: -1 }));
    player.show(T0 + 153_000);
    await chat.updateComplete;
    expect(text('.resume')).toContain('3 new');
    chat.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape', bubbles: true }));
    await chat.updateComplete;
    expect(all('.resume').length).toBe(0);
  });

  test('behind live it says how far, and leads back', async () => {
    player.liveMs = T0 + 350_000;
    await open();
    expect(text('.pill')).toBe('−3:20');
    const requested = vi.fn();
    chat.addEventListener('chatsync-seek-request', requested);
    one('header button').click();
    expect(requested.mock.calls[0]![0].detail).toEqual({ programMs: null, broadcast: null });
    expect(player.sought).toEqual(['live']);
    chat.addEventListener('chatsync-seek-request', (event) => event.preventDefault());
    one('header button').click();
    expect(player.sought).toEqual(['live']);
  });

  test('what comes while following is announced once in three seconds, a seek is not', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      vi.useRealTimers();
      await open();
      const appended = vi.fn();
      chat.addEventListener('chatsync-message', appended);
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
      player.show(T0 + 152_000);
      await chat.updateComplete;
      expect(appended).toHaveBeenCalledTimes(2);
      expect(text('[aria-live=polite]')).toBe('');
      vi.advanceTimersByTime(3_000);
      await chat.updateComplete;
      expect(text('[aria-live=polite]')).toBe('2 new messages');
      player.seek(T0 + 60_000);
      await chat.updateComplete;
      vi.advanceTimersByTime(10_000);
      await chat.updateComplete;
      expect(appended).toHaveBeenCalledTimes(2);
      expect(text('[aria-live=polite]')).toBe('2 new messages');
    } finally {
      vi.useRealTimers();
    }
  });

  test('a message is written with Enter and shown when the relay has it', async () => {
    await open();
    const field = one('textarea') as HTMLTextAreaElement;
    field.value = 'why is it negative?';
    (one('form') as HTMLFormElement).dispatchEvent(new Event('submit', { cancelable: true }));
    await until(() => [...model.events.values()].some((event) => event.text === 'why is it negative?'), 'the message at the relay');
    await until(() => chat.shown.messages.at(-1)?.offset === 201, 'the message in the pane');
    expect(field.value).toBe('');
  });

  test('hosts see messages as they are written unless they choose otherwise', async () => {
    relay.role = 'host';
    await open().catch(() => undefined);
    await until(() => chat.session?.sync === 'now', 'the mode of hosts');
    chat.sync = 'hold';
    await until(() => chat.shown.cutoffMs === T0 + 150_000, 'the mode that was chosen');
  });

  test('leaving the page closes the connection', async () => {
    await open();
    expect(relay.sockets.size).toBe(1);
    chat.remove();
    await until(() => relay.sockets.size === 0, 'a closed socket');
    document.body.append(chat);
    await until(() => chat.shown.settled, 'a settled pane again');
  });

  test('the token is no attribute', () => {
    expect(ChatsyncChat.observedAttributes).not.toContain('token');
  });
});
