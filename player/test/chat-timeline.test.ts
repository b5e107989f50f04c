import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { ReadError } from '../src/connection.js';
import { ChatTimeline, type ChatTimelineOptions } from '../src/chat-timeline.js';
import { ModelRoom, stateToWire, T0 } from './builders.js';
import { FakePlayer } from './fake-player.js';
import { FakeRelay, until, WALL_MS } from './fake-relay.js';

const SECONDS = 400;

let model: ModelRoom;
let relay: FakeRelay;
let server: string;
let player: FakePlayer;
let timeline: ChatTimeline;
let errors: unknown[];

function open(options: Partial<ChatTimelineOptions> = {}): ChatTimeline {
  timeline = new ChatTimeline({
    server,
    room: 'math-101',
    WebSocket: WebSocket as never,
    onError: (error) => errors.push(error),
    random: () => 0,
    ...options,
  });
  timeline.attach(player);
  timeline.start();
  return timeline;
}

const rows = (): number[] => timeline.rows.map((row) => row.offset);
const settled = (): Promise<void> => until(() => timeline.settled, 'a settled pane');

beforeEach(async () => {
  model = new ModelRoom();
  for (let second = 0; second < SECONDS; second += 1) model.say(T0 + second * 1000);
  model.seal(T0 + (SECONDS - 30) * 1000);
  relay = new FakeRelay(model);
  server = await relay.start();
  player = new FakePlayer();
  errors = [];
});

afterEach(async () => {
  timeline.stop();
  await relay.stop();
});

describe('joining and watching', () => {
  test('slices, the open slice and the socket meet without a hole or a repeat', async () => {
    player.programMs = T0 + 395_000;
    open();
    await settled();
    expect(rows()).toEqual(model.lastDue(T0 + 395_000));
    relay.say(T0 + 401_000);
    await until(() => timeline.room.broadcast(1).event(401) !== undefined, 'the message that was said');
    player.show(T0 + 401_500);
    expect(rows().at(-1)).toBe(401);
    expect(new Set(rows()).size).toBe(rows().length);
  });

  test('an open slice that is older than the socket is asked for again until it reaches it', async () => {
    const stale = model.open(model.sealedUntilMs);
    relay.intercept = (url, _request, response) => {
      if (!url.pathname.endsWith('/open.json')) return false;
      if (relay.requests.filter((one) => one.includes('open.json')).length > 1) return false;
      response.end(JSON.stringify({ ...stale, as_of: { epoch: '1', offset: 380 }, events: stale.events.filter((event) => event.offset <= 380) }));
      return true;
    };
    player.programMs = T0 + 399_000;
    open();
    await settled();
    expect(rows()).toEqual(model.lastDue(T0 + 399_000));
    const asked = relay.requests.filter((one) => one.includes('open.json'));
    expect(asked.length).toBe(2);
    expect(asked[1]).toContain('after=380');
  });

  test('a seek into what is loaded asks the network for nothing', async () => {
    player.programMs = T0 + 395_000;
    open();
    await settled();
    const asked = relay.requests.length;
    player.seek(T0 + 393_000); // its last 50 begin in the slice that those of 395 s begin in
    expect(timeline.settled).toBe(true);
    expect(rows()).toEqual(model.lastDue(T0 + 393_000));
    expect(relay.requests.length).toBe(asked);
  });

  test('a seek elsewhere loads what lies there while the player still seeks', async () => {
    player.programMs = T0 + 395_000;
    open();
    await settled();
    player.startSeek(T0 + 150_000);
    await until(() => timeline.room.broadcast(1).coveredBackFrom(T0 + 150_000) !== null, 'slices of the place sought');
    player.endSeek();
    await settled();
    expect(rows()).toEqual(model.lastDue(T0 + 150_000));
  });

  test('requests for a place that was left are cancelled', async () => {
    player.programMs = T0 + 395_000;
    open();
    await settled();
    let held = 0;
    let aborted = 0;
    relay.intercept = (url, _request, response) => {
      const start = Number(/(\d+)-\d+\.e1/.exec(url.pathname)?.[1] ?? 0);
      if (start === 0 || start > T0 + 160_000) return false;
      held += 1; // never answered
      response.on('close', () => (aborted += 1));
      return true;
    };
    player.seek(T0 + 150_000);
    await until(() => held > 0, 'requests');
    player.seek(T0 + 300_000);
    await settled();
    expect(rows()).toEqual(model.lastDue(T0 + 300_000));
    await until(() => aborted === held, 'cancelled requests');
  });

  test('a superseded slice is found again through a fresh chat playlist', async () => {
    player.programMs = T0 + 395_000;
    open();
    await settled();
    model.hide(120);
    relay.send({ type: 'gone', offsets: [120] });
    player.seek(T0 + 140_000);
    await settled();
    expect(rows()).toEqual(model.lastDue(T0 + 140_000));
    expect(rows()).not.toContain(120);
  });

  test('without a socket the chat playlist and the open slice are polled', async () => {
    relay.onHello = (socket) => socket.close(4501, 'not here');
    player.programMs = T0 + 399_000;
    open();
    await until(() => timeline.status === 'closed', 'a refusal');
    await settled();
    expect(errors.some((error) => error instanceof ReadError && error.status === 4501)).toBe(true);
    model.say(T0 + 398_500);
    await until(() => rows().at(-1) === 401, 'the message, by polling');
    model.hide(395);
    await until(() => !rows().includes(395), 'the hide, by polling');
  });

  test('a full relay is polled as often as its reload_ms says, and messages and hides come all the same', async () => {
    relay.isFull = true;
    model.reloadMs = 1_600;
    player.programMs = T0 + 399_000;
    open();
    await settled();
    const polls = (what: string): number => relay.requests.filter((one) => one.includes(what)).length;
    const before = [polls('chat.json'), polls('open.json')];
    model.say(T0 + 398_500);
    model.hide(395);
    await until(() => rows().at(-1) === 401 && !rows().includes(395), 'the message and the hide, by polling', 3_000);
    await new Promise((resolve) => setTimeout(resolve, 3_200));
    expect(polls('chat.json') - before[0]!).toBeLessThanOrEqual(1); // only when an open slice says that the list has changed
    expect(polls('open.json') - before[1]!).toBeLessThanOrEqual(4);
    expect(relay.requests.filter((one) => one.includes('after=')).length).toBeGreaterThan(0);
    model.hide(40); // long sealed: the list changes
    const listed = polls('chat.json');
    await until(() => polls('chat.json') === listed + 1, 'the list that has changed', 4_000);
    model.seal(T0 + (SECONDS - 29) * 1000 + 500);
    await until(() => relay.requests.some((one) => one.includes(`open.json?from_ms=${model.sealedUntilMs}`)), 'an open slice from where is sealed now', 6_000);
    relay.isFull = false;
    timeline.wake();
    await until(() => timeline.status === 'open', 'a place on a socket');
    relay.say(T0 + 398_600);
    await until(() => rows().at(-1) === 404, 'the next message, by the socket');
    expect(new Set(rows()).size).toBe(rows().length);
  }, 15_000);

  test('without program time live shows on arrival', async () => {
    open();
    await until(() => rows().length === 50, 'the last 50');
    relay.say(T0 + 999_000);
    await until(() => rows().at(-1) === 401, 'the message that was said');
  });

  test('the relay is told where the picture is: at once, on change, with what is known of the media', async () => {
    player.programMs = T0 + 395_000;
    player.mediaSequence = 5126;
    player.liveMs = T0 + 396_000;
    open();
    await until(() => relay.frames.some((frame) => frame.type === 'playhead'), 'a playhead');
    expect(relay.frames.find((frame) => frame.type === 'playhead')).toMatchObject({
      broadcast: 1,
      program_ms: T0 + 395_000,
      media_sequence: 5126,
      rate: 1,
      paused: false,
      at_live: true,
    });
    player.state.paused = true;
    player.emit('state');
    await until(() => relay.frames.at(-1)?.['paused'] === true, 'the pause');
    player.seek(T0 + 100_000);
    await until(() => relay.frames.at(-1)?.['program_ms'] === T0 + 100_000, 'the seek');
    expect(relay.frames.at(-1)?.['at_live']).toBe(false);
  });
});

describe('breaks', () => {
  test('after a break it goes on where it was, without a gap and without a repeat', async () => {
    player.programMs = T0 + 395_000;
    open();
    await settled();
    for (const socket of relay.sockets) socket.close(4001, 'shutting down');
    model.say(T0 + 396_000);
    model.hide(390);
    await until(() => relay.frames.filter((frame) => frame.type === 'hello').length === 2, 'a second hello');
    expect(relay.frames.filter((frame) => frame.type === 'hello')[1]).toMatchObject({ after: { epoch: '1', offset: 400 } });
    await until(() => timeline.room.broadcast(1).event(401) !== undefined, 'what was missed');
    player.show(T0 + 399_000);
    expect(rows()).not.toContain(390);
    expect(new Set(rows()).size).toBe(rows().length);
    expect(rows()).toContain(401);
  });

  test('a reset drops everything and meets the socket anew', async () => {
    player.programMs = T0 + 395_000;
    open();
    await settled();
    relay.onHello = (socket, hello) => {
      socket.send(JSON.stringify({ type: 'reset', reason: 'too_old', position: model.position }));
      relay.welcome(socket, hello, { events: [] });
    };
    model.say(T0 + 394_000);
    for (const socket of relay.sockets) socket.close(4008, 'too slow');
    await until(() => rows().includes(401), 'what was said meanwhile, from the open slice');
    await settled();
    expect(rows()).toEqual(model.lastDue(T0 + 395_000));
  });

  test('the welcome says what one may react with', async () => {
    relay.onHello = (socket, hello) => relay.welcome(socket, hello, { reactions: ['🎈', '🍰'] });
    open();
    expect(timeline.reactions).toBeNull();
    await until(() => timeline.status === 'open', 'a welcome');
    expect(timeline.reactions).toEqual(['🎈', '🍰']);
  });

  test('a higher epoch makes what was held worthless', async () => {
    player.programMs = T0 + 395_000;
    open();
    await settled();
    const asked = relay.requests.length;
    model.epoch = '2';
    model.say(T0 + 361_000); // late: its slice is sealed anew, the others keep the epoch they were sealed in
    for (const socket of relay.sockets) socket.close(1012, 'restart');
    await until(() => relay.requests.slice(asked).some((one) => one.includes('.e1.')), 'slices that stand');
    await settled();
    expect(rows()).toEqual(model.lastDue(T0 + 395_000));
  });
});

describe('writing', () => {
  test('one\'s own message is shown when it is acknowledged, before the picture gets there', async () => {
    player.programMs = T0 + 395_000;
    open();
    await settled();
    player.show(T0 + 395_200);
    const id = timeline.say('why?', 'question')!;
    expect(timeline.pending.map((own) => own.text)).toEqual(['why?']);
    await until(() => timeline.rows.some((row) => row.id === id), 'the own message');
    expect(timeline.pending).toEqual([]);
    const said = relay.frames.find((frame) => frame.type === 'say')!;
    expect(said).toMatchObject({ kind: 'question', text: 'why?', playhead: { broadcast: 1, program_ms: T0 + 395_200 } });
    expect(timeline.rows.filter((row) => row.text === 'why?').length).toBe(1);
  });

  test('its id carries the relay\'s time, whatever the device\'s clock says', async () => {
    open();
    await until(() => timeline.status === 'open', 'a welcome');
    const id = timeline.say('hello')!;
    const unixMs = Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16);
    expect(Math.abs(unixMs - WALL_MS)).toBeLessThan(5_000);
    expect(id[14]).toBe('7');
  });

  test('a refusal stays in sight and is sent again under the same id', async () => {
    open();
    await until(() => timeline.status === 'open', 'a welcome');
    const id = timeline.say('refuse me')!;
    await until(() => timeline.pending[0]?.state === 'failed', 'a refusal');
    expect(timeline.pending[0]?.code).toBe('rate_limited');
    timeline.sayAgain(id);
    await until(() => relay.frames.filter((frame) => frame.type === 'say' && frame['id'] === id).length === 2, 'another try');
    await until(() => timeline.pending[0]?.state === 'failed', 'another refusal');
    timeline.dismiss(id);
    expect(timeline.pending).toEqual([]);
  });

  test('a message written during a break is sent after it, once', async () => {
    player.programMs = T0 + 395_000;
    open();
    await settled();
    for (const socket of relay.sockets) socket.close(4001);
    await until(() => timeline.status === 'waiting', 'a break');
    timeline.say('still here');
    await until(() => timeline.pending.length === 0, 'the acknowledgement');
    expect([...model.events.values()].filter((event) => event.text === 'still here').length).toBe(1);
  });
});

describe('deeds', () => {
  test('are sent with the playhead, and answered when they are on disk', async () => {
    player.programMs = T0 + 395_000;
    open();
    await settled();
    const deed = await timeline.act('vote', { poll: 'p1', choices: [1] });
    expect(deed).toMatchObject({ offset: 401, programMs: T0 + 395_000 });
    expect(relay.frames.find((frame) => frame.type === 'act')).toMatchObject({ action: 'vote', poll: 'p1', choices: [1], playhead: { program_ms: T0 + 395_000 } });
  });

  test('say why when they are refused', async () => {
    open();
    await until(() => timeline.status === 'open', 'a welcome');
    await expect(timeline.act('refuse')).rejects.toMatchObject({ code: 'not_allowed', retryAfterMs: 1_000 });
  });

  test('are done once, whatever breaks meanwhile', async () => {
    open();
    await until(() => timeline.status === 'open', 'a welcome');
    for (const socket of relay.sockets) socket.close(4001);
    await until(() => timeline.status === 'waiting', 'a break');
    const deed = await timeline.act('raise_hand');
    expect(relay.frames.filter((frame) => frame.type === 'act').map((frame) => frame['id'])).toEqual([deed.id]);
  });

  test('end when the socket will not come back, and begin only with one', async () => {
    timeline = new ChatTimeline({ server, room: 'math-101', WebSocket: WebSocket as never });
    await expect(timeline.act('raise_hand')).rejects.toMatchObject({ code: 'offline' });
    relay.intercept = () => false;
    timeline.start();
    await until(() => timeline.status === 'open', 'a welcome');
    relay.isDeaf = true;
    const deed = timeline.act('raise_hand');
    for (const socket of relay.sockets) socket.close(4504, 'banned');
    await expect(deed).rejects.toMatchObject({ code: 'socket_closed' });
  });
});

describe('state', () => {
  const poll = { kind: 'poll_opened', poll: 'p1', question: 'Why?', choices: ['a', 'b'] };

  test('a poll opens with the picture, not when the relay tells of it, and counts as the relay does', async () => {
    player.programMs = T0 + 395_000;
    open();
    await settled();
    expect(timeline.state).toMatchObject({ polls: [], pins: [] });
    relay.say(T0 + 401_000, poll);
    relay.send({ type: 'state', state: stateToWire(model.stateAt(T0 + 500_000)) });
    relay.send({ type: 'tallies', polls: [{ poll: 'p1', tally: [2, 5], voters: 7 }], upvotes: [], viewers: 812, typing: 3 });
    await until(() => timeline.audience?.viewers === 812, 'the tallies');
    expect(timeline.audience).toEqual({ viewers: 812, typing: 3 });
    expect(timeline.edge?.polls).toMatchObject([{ poll: 'p1', tally: [2, 5], voters: 7 }]);
    expect(timeline.state?.polls).toEqual([]);
    player.show(T0 + 401_100);
    expect(timeline.snapshot.state?.polls).toMatchObject([{ poll: 'p1', question: 'Why?', tally: [2, 5], isOpen: true }]);
    relay.say(T0 + 402_000, { kind: 'poll_closed', poll: 'p1' });
    relay.send({ type: 'tallies', polls: [{ poll: 'p1', tally: [3, 6], voters: 9, final: true, answer: [1] }], upvotes: [], viewers: 812, typing: 0 });
    await until(() => timeline.audience?.typing === 0, 'the final tally');
    expect(timeline.state?.polls).toMatchObject([{ isOpen: true, answer: null }]);
    player.show(T0 + 402_100);
    expect(timeline.state?.polls).toMatchObject([{ tally: [3, 6], isOpen: false, isFinal: true, answer: [1] }]);
  });

  test('a rewound viewer sees what was up then, while the relay goes by what is up now', async () => {
    model.say(T0 + 100_500, { kind: 'pinned', text: 'then' });
    model.say(T0 + 200_500, { kind: 'unpinned' });
    model.say(T0 + 390_500, { kind: 'mode_changed', mode: { slow_ms: 9000 } });
    player.programMs = T0 + 150_000;
    open();
    await settled();
    expect(timeline.state).toMatchObject({ pins: [{ text: 'then' }], mode: {} });
    expect(timeline.edge).toMatchObject({ pins: [], mode: { slow_ms: 9000 } });
    player.seek(T0 + 399_000);
    await settled();
    expect(timeline.state).toMatchObject({ pins: [], mode: { slow_ms: 9000 } });
  });

  test('without a socket it comes from polled open slices', async () => {
    relay.isFull = true;
    player.programMs = T0 + 399_000;
    open();
    await settled();
    model.say(T0 + 398_000, poll);
    model.counts.push({ program_ms: T0 + 398_500, poll: 'p1', tally: [1, 4] });
    await until(() => timeline.state?.polls[0]?.tally[1] === 4, 'the poll and its tally, by polling');
    expect([timeline.edge, timeline.audience]).toEqual([null, null]);
  });

  test('as it comes: the state is the edge\'s', async () => {
    open();
    timeline.sync = 'now';
    await until(() => timeline.edge !== null, 'a welcome');
    relay.say(T0 + 401_000, poll);
    relay.send({ type: 'state', state: stateToWire(model.stateAt(T0 + 500_000)) });
    await until(() => timeline.state?.polls.length === 1, 'the poll');
  });

  test('reactions are news while following, once each, and never after a seek', async () => {
    model.say(T0 + 394_000, { kind: 'reaction', emoji: '👍', count: 3 });
    player.programMs = T0 + 395_000;
    open();
    await settled();
    expect(timeline.takeReactions()).toEqual([]);
    relay.say(T0 + 396_000, { kind: 'reaction', emoji: '🎉', count: 12 });
    await until(() => timeline.room.broadcast(1).event(402) !== undefined, 'the reaction');
    expect(timeline.takeReactions()).toEqual([]);
    player.show(T0 + 396_100);
    expect(timeline.takeReactions()).toEqual([{ emoji: '🎉', count: 12, programMs: T0 + 396_000 }]);
    player.show(T0 + 396_200);
    player.seek(T0 + 395_500);
    player.show(T0 + 395_600);
    expect(timeline.takeReactions()).toEqual([]);
  });

  test('a message that is held waits with its author until it is approved, under the same id', async () => {
    player.programMs = T0 + 395_000;
    open();
    await settled();
    const id = timeline.say('hold me')!;
    await until(() => timeline.pending[0]?.state === 'held', 'the word that it waits');
    relay.say(T0 + 395_000, { id, text: 'hold me', author: 2 });
    await until(() => timeline.rows.some((row) => row.id === id), 'the message');
    expect(timeline.pending).toEqual([]);
  });
});

describe('without an adapter', () => {
  test('the playhead is told, and `seeking` decides a seek', async () => {
    open();
    timeline.advance({ programMs: T0 + 395_000 });
    await settled();
    expect(rows()).toEqual(model.lastDue(T0 + 395_000));
    timeline.advance({ programMs: T0 + 396_000 });
    expect(rows().at(-1)).toBe(397);
    timeline.advance({ programMs: T0 + 150_000, seeking: true });
    expect(timeline.generation).toBe(1);
    timeline.advance({ programMs: T0 + 150_000 });
    await settled();
    expect(rows()).toEqual(model.lastDue(T0 + 150_000));
    timeline.advance({ programMs: T0 + 140_000 }); // falls back by itself: no seek
    expect(timeline.generation).toBe(1);
    expect(rows()).toEqual(model.lastDue(T0 + 150_000));
  });

  test('an insert freezes the chat, and what is not known is not guessed', async () => {
    open();
    timeline.advance({ programMs: T0 + 395_000 });
    await settled();
    const before = rows();
    timeline.advance({ programMs: null, ad: true });
    expect(timeline.playhead).toEqual({ state: 'frozen' });
    timeline.advance(null);
    expect(timeline.playhead).toEqual({ state: 'unknown' });
    expect(rows()).toEqual(before);
  });

  test('a snapshot is the same object until something changes, and listeners are told when', async () => {
    open();
    let told = 0;
    const end = timeline.subscribe(() => (told += 1));
    timeline.advance({ programMs: T0 + 395_000 });
    await settled();
    const snapshot = timeline.snapshot;
    expect(snapshot).toMatchObject({ settled: true, cutoffMs: T0 + 395_000, status: 'open', sync: 'hold' });
    const before = told;
    timeline.advance({ programMs: T0 + 395_001 });
    expect([timeline.snapshot, told]).toEqual([snapshot, before]);
    timeline.advance({ programMs: T0 + 396_000 });
    expect(timeline.snapshot.rows.at(-1)?.offset).toBe(397);
    expect(told).toBe(before + 1);
    end();
    timeline.advance({ programMs: T0 + 397_000 });
    expect(told).toBe(before + 1);
  });
});

describe('tokens', () => {
  test('a public room is read without the token, so that it stays cacheable', async () => {
    player.programMs = T0 + 395_000;
    open({ token: () => Promise.resolve('secret') });
    await settled();
    expect(new Set(relay.authorizations)).toEqual(new Set([undefined]));
    expect(relay.frames[0]).toMatchObject({ type: 'hello', token: 'secret' });
    expect(relay.requests.join()).not.toContain('secret');
  });

  test('a private room is read with it', async () => {
    relay.intercept = (_url, request, response) => {
      if (request.headers.authorization === 'Bearer secret') return false;
      response.statusCode = 404;
      response.end('{"code":"unknown_room"}');
      return true;
    };
    player.programMs = T0 + 395_000;
    open({ token: () => Promise.resolve('secret') });
    await settled();
    expect(rows()).toEqual(model.lastDue(T0 + 395_000));
  });

  test('a token that ran out is renewed once', async () => {
    const asked: boolean[] = [];
    relay.onHello = (socket, hello) => (hello['token'] === 'new' ? relay.welcome(socket, hello) : socket.close(4502, 'expired'));
    open({ renewsToken: true, token: (again) => (asked.push(again), Promise.resolve(asked.includes(true) ? 'new' : 'old')) });
    await until(() => timeline.status === 'open', 'a welcome with the new token');
  });
});

describe('recordings', () => {
  test('the spans say what belongs to the picture; there is no socket and nothing to write', async () => {
    relay.spans = [{ position_ms: 0, duration_ms: 100_000, broadcast: 1, program_ms: T0 + 100_000 }];
    model.live = false;
    player.address = () => (player.programMs === null ? null : { programTimeMs: player.programMs, broadcast: 1, positionMs: 0, live: false, atJump: false, ad: false });
    player.programMs = T0 + 130_000;
    open({ recording: 'lecture-1' });
    await settled();
    expect(rows()).toEqual(model.lastDue(T0 + 130_000));
    expect(timeline.status).toBe('recording');
    expect(timeline.say('hello')).toBeNull();
    expect(relay.sockets.size).toBe(0);
    player.seek(T0 + 190_000);
    await settled();
    expect(rows()).toEqual(model.lastDue(T0 + 190_000));
  });
});
