// @vitest-environment happy-dom
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { act } from 'react';
import { createRoot } from 'react-dom/client';
import { renderToString } from 'react-dom/server';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { Lecture } from '../examples/lecture.js';
import { ModelRoom, T0 } from './builders.js';
import { FakeRelay, nodeFetch, until } from './fake-relay.js';

vi.mock('hls.js', () => ({
  /** A player that has loaded nothing yet: its program time is not known. */
  default: class {
    readonly levels = [];
    loadSource(): void {}
    attachMedia(): void {}
    destroy(): void {}
    on(): void {}
    off(): void {}
  },
}));

let relay: FakeRelay;

beforeEach(() => {
  vi.stubGlobal('WebSocket', WebSocket);
  vi.stubGlobal('fetch', nodeFetch);
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true);
  relay = new FakeRelay(new ModelRoom());
  for (let second = 0; second < 60; second += 1) relay.model.say(T0 + second * 1000);
});

afterEach(async () => {
  await relay.stop();
  vi.unstubAllGlobals();
});

describe('the example of docs/player.md', () => {
  test('is the file that is compiled and run here', () => {
    const code = readFileSync(join(import.meta.dirname, '../examples/lecture.tsx'), 'utf8');
    expect(readFileSync(join(import.meta.dirname, '../../docs/player.md'), 'utf8')).toContain(`\`\`\`tsx\n${code}\`\`\``);
    expect(code.split('\n').length).toBeLessThanOrEqual(40);
  });

  test('shows the chat, and what one writes at once', async () => {
    const server = await relay.start();
    const place = document.createElement('div');
    document.body.append(place);
    const root = createRoot(place);
    await act(async () => root.render(<Lecture stream="https://video.example/a.m3u8" server={server} room="math-101" />));
    await act(() => until(() => place.querySelectorAll('li').length === 50, 'the last 50'));
    expect(place.querySelector('li:last-child')?.textContent).toBe('Student 1 text 60');
    await act(async () => {
      place.querySelector('input')!.value = 'hold me';
      place.querySelector('form')!.requestSubmit();
      await until(() => place.querySelectorAll('li').length === 51, 'one\'s own');
    });
    await act(() => until(() => place.textContent!.includes('waits for a moderator'), 'the word that it waits'));
    await act(async () => root.unmount());
    await until(() => relay.sockets.size === 0, 'the end of the socket');
  });

  test('renders on a server, where there is no page', () => {
    expect(renderToString(<Lecture stream="" server="https://chat.example" room="math-101" />)).toContain('<ol>');
  });
});
