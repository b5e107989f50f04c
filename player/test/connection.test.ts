import { afterEach, describe, expect, test, vi } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import type { AddressInfo } from 'node:net';
import { backOffMs, ChatReader, comesBack, LiveSocket, ReadError, type SocketOptions } from '../src/connection.js';
import type { ServerFrame } from '../src/protocol.js';
import { until } from './fake-relay.js';

describe('back-off', () => {
  test.each([
    [0, 0, 250],
    [0, 1, 500],
    [1, 1, 1_000],
    [3, 1, 4_000],
    [3, 0, 2_000],
    [6, 1, 30_000],
    [60, 1, 30_000],
  ])('after %i failures and a random number of %f it waits %i ms', (failures, random, expected) => {
    expect(backOffMs(failures, random)).toBe(expected);
  });

  test.each([
    [1000, true],
    [1006, true],
    [4001, true],
    [4008, true],
    [4499, true],
    [4500, false],
    [4501, false],
    [4504, false],
    [4999, false],
  ])('close code %i comes back: %s', (code, expected) => {
    expect(comesBack(code)).toBe(expected);
  });
});

describe('the live socket', () => {
  let server: WebSocketServer;
  let socket: LiveSocket | null = null;

  const welcome = { type: 'welcome', position: { epoch: '1', offset: 7 }, wall_ms: 1, broadcast: 1, you: { key: 'a', name: '', role: 'viewer' } };

  async function open(
    behave: (peer: WebSocket, hello: Record<string, unknown>, visit: number) => void,
    options: Partial<SocketOptions> = {},
  ): Promise<{ frames: ServerFrame[]; statuses: string[] }> {
    const frames: ServerFrame[] = [];
    const statuses: string[] = [];
    let visits = 0;
    server = new WebSocketServer({ port: 0, host: '127.0.0.1', handleProtocols: () => 'chatsync.v1' });
    await new Promise((resolve) => server.once('listening', resolve));
    server.on('connection', (peer) => {
      visits += 1;
      const visit = visits;
      peer.on('message', (data) => {
        const frame = JSON.parse(String(data)) as Record<string, unknown>;
        if (frame['type'] === 'hello') behave(peer, frame, visit);
      });
    });
    socket = new LiveSocket({
      url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/`,
      token: () => Promise.resolve(null),
      last: 50,
      onFrame: (frame) => frames.push(frame),
      onStatus: (status) => statuses.push(status),
      WebSocket: WebSocket as never,
      random: () => 0,
      ...options,
    });
    socket.start();
    return { frames, statuses };
  }

  afterEach(() => {
    socket?.stop();
    for (const peer of server.clients) peer.terminate();
    server.close();
  });

  test('says hello with nothing to resume, then resumes from what it has received', async () => {
    const hellos: Record<string, unknown>[] = [];
    await open((peer, hello, visit) => {
      hellos.push(hello);
      peer.send(JSON.stringify(welcome));
      if (visit > 1) return;
      peer.send(JSON.stringify({ type: 'events', events: [], through: { epoch: '1', offset: 9 } }));
      setTimeout(() => peer.close(4001), 20);
    });
    await until(() => hellos.length === 2, 'a second hello');
    expect(hellos[0]).toEqual({ type: 'hello', token: null, after: null, last: 50 });
    expect(hellos[1]).toEqual({ type: 'hello', token: null, after: { epoch: '1', offset: 9 }, last: 50 });
  });

  test('a reset moves the position to go on from', async () => {
    await open((peer) => {
      peer.send(JSON.stringify({ type: 'reset', reason: 'too_old', position: { epoch: '2', offset: 100 } }));
      peer.send(JSON.stringify({ ...welcome, position: { epoch: '2', offset: 100 } }));
    });
    await until(() => socket?.status === 'open', 'a welcome');
    expect(socket?.through).toEqual({ epoch: '2', offset: 100 });
  });

  test('does not come back when it was refused', async () => {
    const { statuses } = await open((peer) => peer.close(4504, 'banned'));
    await until(() => statuses.at(-1) === 'closed', 'closed for good');
    expect(socket?.send({ type: 'ping' })).toBe(false);
  });

  test.each([
    [true, 300_000],
    [false, 30_000],
  ])('a handshake that is refused again and again is tried less and less often (reads are answered: %s)', async (isServed, longestMs) => {
    vi.useFakeTimers();
    try {
      const triedMs: number[] = [];
      class Refused {
        readonly readyState = 3;
        onopen = null;
        onmessage = null;
        onerror = null;
        onclose: ((event: never) => void) | null = null;
        constructor() {
          triedMs.push(Date.now());
          setTimeout(() => this.onclose?.({ code: 1006 } as never), 10);
        }
        send(): void {}
        close(): void {}
      }
      socket = new LiveSocket({
        url: 'ws://127.0.0.1:9/', token: () => Promise.resolve(null), last: 50, onFrame: () => undefined, onStatus: () => undefined,
        WebSocket: Refused, random: () => 1, isServed: () => isServed,
      });
      server = new WebSocketServer({ noServer: true });
      socket.start();
      await vi.advanceTimersByTimeAsync(3_600_000);
      const waitedMs = triedMs.slice(1).map((ms, index) => ms - triedMs[index]! - 10);
      expect(waitedMs.slice(0, 3)).toEqual([500, 1_000, 2_000]);
      expect(Math.max(...waitedMs)).toBe(longestMs);
    } finally {
      socket?.stop();
      vi.useRealTimers();
    }
  });

  test('a peer that has gone silent is left', async () => {
    let visits = 0;
    await open((peer, _hello, visit) => {
      visits = visit;
      peer.send(JSON.stringify(welcome));
    }, { pingEveryMs: 20, silenceMaxMs: 20 });
    await until(() => visits >= 2, 'another connection');
  });

  test('a frame that cannot be read is passed over', async () => {
    const { frames } = await open((peer) => {
      peer.send('not json');
      peer.send('null');
      peer.send(JSON.stringify(welcome));
      peer.send(JSON.stringify({ type: 'gone', offsets: [1] }));
    });
    await until(() => frames.length === 2, 'the frames that can');
  });
});

describe('reading', () => {
  const reader = (answer: () => Response): ChatReader =>
    new ChatReader({ server: 'https://relay.example/chat', room: 'math-101', token: () => Promise.resolve(null), fetch: (() => Promise.resolve(answer())) as typeof fetch });
  const { signal } = new AbortController();

  test('a problem answer keeps its status, code and Retry-After', async () => {
    const busy = reader(() => new Response('{"code":"rate_limited"}', { status: 429, headers: { 'retry-after': '3' } }));
    await expect(busy.playlist({ broadcast: null }, signal)).rejects.toEqual(expect.objectContaining({ status: 429, code: 'rate_limited', retryAfterMs: 3_000 }));
  });

  test('a page instead of JSON is an error, not a crash', async () => {
    await expect(reader(() => new Response('<html>')).playlist({ broadcast: null }, signal)).rejects.toBeInstanceOf(ReadError);
  });

  test('the socket lies beside the reads, under the same prefix', () => {
    expect(reader(() => new Response('')).socketUrl).toBe('wss://relay.example/chat/v1/rooms/math-101/live');
  });
});
