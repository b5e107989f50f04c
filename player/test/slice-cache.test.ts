import { describe, expect, test } from 'vitest';
import { RoomCache } from '../src/room-cache.js';
import { countDue } from '../src/slice-cache.js';
import { chatEvent, ModelRoom, randomOf, T0 } from './builders.js';

const offsets = (events: readonly { offset: number }[]): number[] => events.map((event) => event.offset);

function lecture(): { model: ModelRoom; room: RoomCache } {
  const model = new ModelRoom();
  for (let second = 0; second < 200; second += 1) model.say(T0 + second * 1000);
  model.seal(T0 + 170_000);
  const room = new RoomCache();
  room.receivePlaylist(model.playlist(), 0);
  return { model, room };
}

describe('what is covered', () => {
  test('nothing before a slice is held, down to its start afterwards, across empty time to the next', () => {
    const model = new ModelRoom({ sliceEvents: 5 });
    for (let second = 0; second < 10; second += 1) model.say(T0 + second * 1000);
    for (let second = 100; second < 110; second += 1) model.say(T0 + second * 1000);
    model.seal(T0 + 300_000);
    const room = new RoomCache();
    room.receivePlaylist(model.playlist(), 0);
    const cache = room.broadcast(1);
    expect(cache.coveredBackFrom(T0 + 102_000)).toBeNull();
    expect(cache.coveredBackFrom(T0 + 50_000)).toBe(T0 + 10_000); // empty, and known to be
    const held = model.cuts.find((cut) => cut.startMs <= T0 + 102_000 && T0 + 102_000 < cut.endMs)!;
    cache.receiveSlice(model.slice(held.startMs, 1)!);
    expect(cache.coveredBackFrom(T0 + 102_000)).toBe(T0 + 10_000);
    for (const cut of model.cuts) cache.receiveSlice(model.slice(cut.startMs, 1)!);
    expect(cache.coveredBackFrom(T0 + 102_000)).toBe(Number.NEGATIVE_INFINITY);
  });

  test('the unsealed tail only once the open slice reaches the socket', () => {
    const { model, room } = lecture();
    room.socketFrom = model.offset + 3;
    const cache = room.broadcast(1);
    expect(cache.receiveOpen(model.open(model.sealedUntilMs), null, 0)).toBe(false);
    expect(cache.coveredBackFrom(T0 + 190_000)).toBeNull();
    for (let count = 0; count < 3; count += 1) model.say(T0 + 199_000);
    expect(cache.receiveOpen(model.open(model.sealedUntilMs, 200), 200, 0)).toBe(true);
    expect(cache.coveredBackFrom(T0 + 190_000)).toBe(model.sealedUntilMs);
    expect(offsets(cache.events).at(-1)).toBe(203);
  });

  test('a broadcast that opened on the socket is known from its beginning', () => {
    const { room } = lecture();
    room.opened(2, T0 + 500_000);
    expect(room.broadcast(2).coveredBackFrom(T0 + 600_000)).toBe(Number.NEGATIVE_INFINITY);
    expect(room.broadcastOf(T0 + 600_000, null)).toBe(2);
    expect(room.broadcastOf(T0 + 100_000, null)).toBe(1);
  });

  test('a revised slice does not count until it is loaded, unless the socket has brought the change', () => {
    const { model, room } = lecture();
    const cache = room.broadcast(1);
    for (const cut of model.cuts) cache.receiveSlice(model.slice(cut.startMs, 1)!);
    model.say(T0 + 100_500);
    room.receivePlaylist(model.playlist({ since: cache.playlist!.version }), 0);
    expect(cache.coveredBackFrom(T0 + 110_000)).not.toBe(Number.NEGATIVE_INFINITY);
    room.socketFrom = 200;
    expect(cache.coveredBackFrom(T0 + 110_000)).toBe(Number.NEGATIVE_INFINITY);
  });
});

describe('the chat playlist', () => {
  test('a delta changes what it names and keeps the rest', () => {
    const { model, room } = lecture();
    const before = room.broadcast(1).playlist!;
    model.seal(T0 + 190_000);
    model.hide(30);
    room.receivePlaylist(model.playlist({ since: before.version }), 5);
    const after = room.broadcast(1).playlist!;
    expect(after.entries.map((entry) => [entry.startMs, entry.revision])).toEqual(model.cuts.map((cut) => [cut.startMs, cut.revision]));
    expect(after.sealedUntilMs).toBe(model.sealedUntilMs);
    expect(room.broadcast(1).playlistAtMs).toBe(5);
  });

  test('its `sealed_until_ms` never falls, and null before anything is sealed means its start', () => {
    const room = new RoomCache();
    const wire = new ModelRoom().playlist();
    room.receivePlaylist({ ...wire, sealed_until_ms: null }, 0);
    expect(room.broadcast(1).playlist!.sealedUntilMs).toBe(T0);
    room.receivePlaylist({ ...wire, sealed_until_ms: T0 + 50 }, 0);
    room.receivePlaylist({ ...wire, sealed_until_ms: T0 + 20 }, 0);
    expect(room.broadcast(1).playlist!.sealedUntilMs).toBe(T0 + 50);
  });

  test('an older part is put before what is listed', () => {
    const { model } = lecture();
    const room = new RoomCache();
    room.receivePlaylist(model.playlist({ windowMs: 50_000 }), 0);
    const list = room.broadcast(1).playlist!;
    expect(list.earlier).toBe(true);
    room.broadcast(1).receiveEarlierPlaylist(model.playlist({ fromMs: T0, toMs: list.startMs }));
    expect(room.broadcast(1).playlist).toMatchObject({ earlier: false, isExtended: true, startMs: T0 });
    expect(room.broadcast(1).playlist!.entries.map((entry) => entry.startMs)).toEqual(model.cuts.map((cut) => cut.startMs));
  });

  test('a picture belongs to the later broadcast that fits its date and its media sequence', () => {
    const room = new RoomCache();
    const wire = new ModelRoom({ broadcast: 3 }).playlist();
    room.receivePlaylist({ ...wire, broadcasts: [
      { broadcast: 3, start_ms: T0 + 100, media_sequence: 900 },
      { broadcast: 2, start_ms: T0, media_sequence: 500 },
      { broadcast: 1, start_ms: T0 - 1000, media_sequence: null },
    ] }, 0);
    expect([room.broadcastOf(T0 + 200, 950), room.broadcastOf(T0 + 200, 600), room.broadcastOf(T0 - 500, 10), room.broadcastOf(T0 - 5000, null)]).toEqual([3, 2, 1, 1]);
  });

  test('a broadcast that was made for a file takes no picture of the one that is on', () => {
    const room = new RoomCache();
    const [hour, wire] = [3_600_000, new ModelRoom({ broadcast: 1 }).playlist()];
    const ofFile = { broadcast: 2, start_ms: T0 - 48 * hour, end_ms: T0 - 47 * hour, media_sequence: null };
    const broadcasts = [ofFile, { broadcast: 1, start_ms: T0, media_sequence: 900 }];
    room.receivePlaylist({ ...wire, broadcasts }, 0);
    expect([room.broadcastOf(T0 + 200, 950), room.broadcastOf(T0 - 47.5 * hour, null), room.broadcastOf(T0 - 47.2 * hour - hour, 3)]).toEqual([1, 2, 2]);
    expect([room.broadcastOf(T0 - 24 * hour, null), room.broadcastOf(T0 + 24 * hour, null)]).toEqual([1, 1]);
    room.receivePlaylist({ ...wire, broadcast: 2, broadcasts }, 0);
    expect(room.latest).toBe(1);
  });

  test('a room that waits for its stream shows pictures of a file its chat', () => {
    const room = new RoomCache();
    const wire = new ModelRoom({ broadcast: 2 }).playlist();
    const waiting = { broadcast: 2, start_ms: null as unknown as number, media_sequence: null };
    room.receivePlaylist({ ...wire, broadcasts: [{ broadcast: 1, start_ms: T0, end_ms: T0 + 1000, media_sequence: null }, waiting] }, 0);
    expect([room.broadcastOf(T0 + 500, 3), room.broadcastOf(T0 + 99_000_000, 3)]).toEqual([1, 2]);
  });
});

describe('merging', () => {
  test('the order in which answers come does not matter', () => {
    for (let seed = 1; seed <= 20; seed += 1) {
      const random = randomOf(seed);
      const { model, room } = lecture();
      const cache = room.broadcast(1);
      const answers: (() => void)[] = [
        ...model.cuts.map((cut) => () => void cache.receiveSlice(model.slice(cut.startMs, cut.revision)!)),
        () => void cache.receiveOpen(model.open(model.sealedUntilMs), null, 0),
        () => room.receiveTail([chatEvent(150, T0 + 149_000), chatEvent(199, T0 + 198_000)]),
        () => room.receiveTail([chatEvent(199, T0 + 198_000)]),
      ];
      for (let index = answers.length - 1; index > 0; index -= 1) {
        const other = Math.floor(random() * (index + 1));
        [answers[index], answers[other]] = [answers[other]!, answers[index]!];
      }
      for (const answer of answers) answer();
      expect(offsets(cache.events)).toEqual(Array.from({ length: 200 }, (_, index) => index + 1));
    }
  });

  test('an older revision does not replace a newer one', () => {
    const { model, room } = lecture();
    const old = model.slice(model.cuts[0]!.startMs, 1)!;
    model.hide(3);
    room.broadcast(1).receiveSlice(model.slice(model.cuts[0]!.startMs, 2)!);
    expect(room.broadcast(1).receiveSlice(old)).toBe(false);
    expect(room.broadcast(1).event(3)).toBeUndefined();
  });

  test('a restamped event moves, and is there once', () => {
    const { room } = lecture();
    room.receiveTail([chatEvent(201, T0 + 10)]);
    room.restore([chatEvent(201, T0 + 99_000)]);
    expect(room.broadcast(1).events.filter((event) => event.offset === 201).map((event) => event.programMs)).toEqual([T0 + 99_000]);
  });

  test('what is hidden stays hidden whatever comes later, until it is given back', () => {
    const { model, room } = lecture();
    room.hide([5]);
    for (const cut of model.cuts) room.broadcast(1).receiveSlice(model.slice(cut.startMs, 1)!);
    room.receiveTail([chatEvent(5, T0 + 4_000)]);
    expect(room.broadcast(1).event(5)).toBeUndefined();
    room.restore([chatEvent(5, T0 + 4_000)]);
    expect(room.broadcast(1).event(5)).toBeDefined();
  });

  test('hidden by a polled open slice, it comes back with a slice written after', () => {
    const { model, room } = lecture();
    model.hide(195);
    room.broadcast(1).receiveOpen(model.open(model.sealedUntilMs, 200), 200, 0);
    expect(room.isHidden(195)).toBe(true);
    model.restore(195);
    room.broadcast(1).receiveOpen(model.open(model.sealedUntilMs), null, 0);
    expect(room.broadcast(1).event(195)).toBeDefined();
  });

  test('what cannot be read is left out, the rest is kept', () => {
    const { model, room } = lecture();
    const slice = model.slice(model.cuts[0]!.startMs, 1)!;
    room.broadcast(1).receiveSlice({ ...slice, events: [null, { offset: 'x' }, { offset: 1, kind: 'message' }, ...slice.events.slice(0, 2)] as never });
    expect(offsets(room.broadcast(1).events)).toEqual([1, 2]);
  });
});

test('memory stays bounded over twelve hours of a live stream', () => {
  const model = new ModelRoom({ sliceEvents: 500 });
  const room = new RoomCache();
  room.socketFrom = 0;
  room.receivePlaylist(model.playlist(), 0);
  const cache = room.broadcast(1);
  cache.receiveOpen(model.open(T0), null, 0);
  for (let minute = 0; minute < 200; minute += 1) {
    for (let count = 0; count < 200; count += 1) {
      model.offset += 1;
      room.receiveTail([chatEvent(model.offset, T0 + minute * 60_000 + count * 300)]);
    }
    const list = model.playlist();
    room.receivePlaylist({ ...list, sealed_until_ms: T0 + minute * 60_000 }, minute);
  }
  expect(cache.events.length).toBeLessThanOrEqual(6_200);
  expect(room.arrivals.length).toBeLessThanOrEqual(400);
});

test('how many are due at an instant', () => {
  const events = [chatEvent(1, T0), chatEvent(2, T0 + 5), chatEvent(3, T0 + 5), chatEvent(4, T0 + 9)];
  expect([T0 - 1, T0, T0 + 4, T0 + 5, T0 + 9, T0 + 99].map((at) => countDue(events, at))).toEqual([0, 1, 1, 3, 4, 4]);
});
