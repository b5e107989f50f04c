import { describe, expect, test } from 'vitest';
import type { Playhead } from '../src/playhead.js';
import { eventsFromWire, type WireEvent } from '../src/protocol.js';
import { VisibleRows, type SyncMode } from '../src/replay.js';
import { RoomCache } from '../src/room-cache.js';
import { at, AUTHORS, ModelRoom, randomOf, T0 } from './builders.js';

const UNKNOWN: Playhead = { state: 'unknown' };

/** A viewer of a model room: answers what is wanted, delivers what is said. */
class Viewer {
  readonly room = new RoomCache();
  readonly timeline: VisibleRows;
  readonly model: ModelRoom;
  readonly asked: string[] = [];
  mode: SyncMode = 'hold';

  constructor(model: ModelRoom, spans: ConstructorParameters<typeof VisibleRows>[1] = { spans: null }) {
    this.model = model;
    this.timeline = new VisibleRows(this.room, spans);
  }

  connect(): void {
    this.room.socketFrom = this.model.offset;
    this.room.setLatest(this.model.broadcast);
  }

  look(playhead: Playhead): number[] {
    this.timeline.advance(playhead, this.mode);
    return this.rows;
  }

  /** Look, and load until nothing is wanted. */
  settle(playhead: Playhead): number[] {
    this.look(playhead);
    for (let round = 0; round < 50; round += 1) {
      const wanted = this.timeline.wanted();
      if (wanted.length === 0) break;
      for (const one of wanted) {
        this.asked.push(one.what);
        this.model.answer(this.room, one);
      }
      this.look(playhead);
    }
    return this.rows;
  }

  seek(playhead: Playhead): number[] {
    this.timeline.seek();
    this.look({ state: 'seeking', target: playhead.state === 'at' ? playhead.point : null });
    return this.settle(playhead);
  }

  deliver(...events: WireEvent[]): void {
    const arrived = eventsFromWire(events, this.model.broadcast, AUTHORS);
    this.room.receiveTail(arrived);
    this.timeline.receiveLive(arrived);
  }

  get rows(): number[] {
    return this.timeline.rows.map((row) => row.offset);
  }
}

/** `count` messages, one a second from T0 on, sealed up to `sealedMs` before the last. */
function lecture(count: number, sealedMs = 30_000): ModelRoom {
  const model = new ModelRoom();
  for (let index = 0; index < count; index += 1) model.say(T0 + index * 1000);
  model.seal(T0 + count * 1000 - sealedMs);
  return model;
}

const range = (first: number, last: number): number[] => Array.from({ length: last - first + 1 }, (_, index) => first + index);

describe('hold', () => {
  test('the last 50 before the playhead stand in the pane, the instant itself included', () => {
    const viewer = new Viewer(lecture(200));
    expect(viewer.settle(at(T0 + 99_000))).toEqual(range(51, 100));
    expect(viewer.timeline.settled).toBe(true);
    expect(viewer.timeline.cutoffMs).toBe(T0 + 99_000);
  });

  test('a message appears when the picture reaches it, not a millisecond before', () => {
    const viewer = new Viewer(lecture(200));
    viewer.settle(at(T0 + 99_000));
    expect(viewer.look(at(T0 + 99_999)).at(-1)).toBe(100);
    expect(viewer.look(at(T0 + 100_000)).at(-1)).toBe(101);
  });

  test('paused media freezes the chat while others write', () => {
    const model = lecture(200);
    const viewer = new Viewer(model);
    viewer.connect();
    const before = viewer.settle(at(T0 + 195_000));
    viewer.deliver(model.say(T0 + 201_000), model.say(T0 + 202_000));
    expect(viewer.settle(at(T0 + 195_000))).toEqual(before);
  });

  test('a seek into what is loaded asks for nothing and is right at once', () => {
    const viewer = new Viewer(lecture(400));
    viewer.settle(at(T0 + 300_000));
    viewer.settle(at(T0 + 330_000));
    viewer.asked.length = 0;
    viewer.timeline.seek();
    expect(viewer.look(at(T0 + 310_000))).toEqual(range(262, 311));
    expect(viewer.timeline.settled).toBe(true);
    viewer.settle(at(T0 + 310_000));
    expect(viewer.asked).toEqual([]);
  });

  test('rows stay until the first frame after a seek, and the place sought is loaded meanwhile', () => {
    const viewer = new Viewer(lecture(400));
    const before = viewer.settle(at(T0 + 350_000));
    viewer.timeline.seek();
    expect(viewer.look({ state: 'seeking', target: { programMs: T0 + 100_000, broadcast: null, mediaSequence: null, intoSegmentMs: null } })).toEqual(before);
    expect(viewer.timeline.settled).toBe(false);
    expect(viewer.timeline.wanted().map((one) => one.what)).toContain('slice');
    expect(viewer.settle(at(T0 + 100_000))).toEqual(range(52, 101));
  });

  test('the last 50 are found across an hour in which nobody spoke', () => {
    const model = new ModelRoom();
    for (let index = 0; index < 60; index += 1) model.say(T0 + index * 500);
    model.say(T0 + 3_600_000);
    model.seal(T0 + 3_700_000);
    const viewer = new Viewer(model);
    expect(viewer.settle(at(T0 + 3_650_000))).toEqual(range(12, 61));
    expect(viewer.timeline.settled).toBe(true);
  });

  test('a list that does not reach back far enough is extended', () => {
    const model = lecture(400);
    const viewer = new Viewer(model);
    viewer.room.receivePlaylist(model.playlist({ windowMs: 30_000 }), 0);
    expect(viewer.settle(at(T0 + 200_000))).toEqual(range(152, 201));
  });

  test('nothing is shown from beyond a hole in what is loaded', () => {
    const model = lecture(400);
    const viewer = new Viewer(model);
    viewer.settle(at(T0 + 100_000));
    viewer.timeline.seek();
    viewer.look(at(T0 + 300_000));
    expect(viewer.rows).toEqual([]);
    expect(viewer.timeline.settled).toBe(false);
  });

  test('a late message is appended at the bottom while following, and stands in its place after a seek', () => {
    const model = lecture(200);
    const viewer = new Viewer(model);
    viewer.connect();
    viewer.settle(at(T0 + 190_000));
    viewer.deliver(model.say(T0 + 185_500));
    expect(viewer.look(at(T0 + 190_000)).slice(-2)).toEqual([191, 201]);
    viewer.look(at(T0 + 192_000));
    expect(viewer.rows.slice(-3)).toEqual([201, 192, 193]);
    expect(viewer.seek(at(T0 + 189_000)).slice(-5)).toEqual([201, 187, 188, 189, 190]);
  });

  test('a message from somebody far behind is read by those who watch ahead', () => {
    const model = lecture(400);
    const viewer = new Viewer(model);
    viewer.connect();
    viewer.settle(at(T0 + 390_000));
    viewer.deliver(model.say(T0 + 10_000, { behind_live_ms: 380_000 }));
    expect(viewer.rows.at(-1)).toBe(401);
  });

  test('one\'s own message is shown at once, also ahead of the picture', () => {
    const model = lecture(200);
    const viewer = new Viewer(model);
    viewer.connect();
    viewer.timeline.ownKey = 'b';
    viewer.settle(at(T0 + 190_000));
    viewer.deliver(model.say(T0 + 205_000, { author: 2 }), model.say(T0 + 206_000));
    expect(viewer.rows.at(-1)).toBe(201);
  });

  test('whoever has seen all the media there is sees what is said when it is said', () => {
    const model = lecture(200);
    const viewer = new Viewer(model);
    viewer.connect();
    viewer.settle(at(T0 + 199_000));
    viewer.deliver(model.say(T0 + 230_000));
    expect(viewer.look(at(T0 + 199_000)).at(-1)).toBe(200);
    expect(viewer.look(at(T0 + 199_000, { atEnd: true })).at(-1)).toBe(201);
    expect(viewer.timeline.cutoffMs).toBeNull();
  });

  test('a place sought that the player corrects once it has it makes a new pane', () => {
    const viewer = new Viewer(lecture(200));
    viewer.settle(at(T0 + 150_000));
    expect(viewer.seek(at(T0 + 60_900)).at(-1)).toBe(61);
    expect(viewer.seek(at(T0 + 62_000)).at(-1)).toBe(63);
    expect(viewer.settle(at(T0 + 61_400)).at(-1)).toBe(62); // VHS had placed the segment by what was declared
    expect(viewer.settle(at(T0 + 63_000)).at(-1)).toBe(64);
    expect(viewer.settle(at(T0 + 62_900)).at(-1)).toBe(64); // later: as ever
  });

  test('a seek takes away what is after its picture, also when the playhead fell back before it was told', () => {
    const viewer = new Viewer(lecture(400));
    viewer.settle(at(T0 + 300_500));
    viewer.settle(at(T0 + 299_900)); // a frame of the place sought, before the event
    expect(viewer.rows.at(-1)).toBe(301);
    viewer.timeline.seek();
    expect(viewer.look(at(T0 + 299_940))).toEqual(range(251, 300));
  });

  test('a playhead that falls back by itself takes nothing away', () => {
    const viewer = new Viewer(lecture(200));
    const rows = viewer.settle(at(T0 + 150_000));
    expect(viewer.look(at(T0 + 149_200))).toEqual(rows);
    expect(viewer.look(at(T0 + 150_000))).toEqual(rows);
  });

  test('a player that nudges itself forward does not make a new pane', () => {
    const viewer = new Viewer(lecture(200));
    viewer.settle(at(T0 + 100_000));
    viewer.look(at(T0 + 110_000));
    expect(viewer.rows.length).toBe(60);
    viewer.timeline.seek();
    viewer.look(at(T0 + 110_300));
    expect(viewer.rows.length).toBe(60);
  });

  test('a player that does not know for a moment leaves the pane as it is', () => {
    const viewer = new Viewer(lecture(200));
    const rows = viewer.settle(at(T0 + 150_000));
    expect(viewer.look(UNKNOWN)).toEqual(rows);
    expect(viewer.look({ state: 'frozen' })).toEqual(rows);
  });

  test('older messages are put before the first when somebody reads upwards', () => {
    const viewer = new Viewer(lecture(400));
    viewer.settle(at(T0 + 200_000));
    viewer.timeline.loadEarlier();
    expect(viewer.settle(at(T0 + 200_000))).toEqual(range(102, 201));
  });

  test('a pane that is followed for hours stays bounded and repeats nothing', () => {
    const model = lecture(5_000);
    const viewer = new Viewer(model);
    for (let second = 100; second < 4_900; second += 7) viewer.settle(at(T0 + second * 1000));
    expect(viewer.rows.length).toBeLessThanOrEqual(1_000);
    expect(new Set(viewer.rows).size).toBe(viewer.rows.length);
    expect(viewer.rows.at(-1)).toBe(4_896);
    expect(viewer.room.broadcast(1).loadedSlices).toBeLessThan(1_100);
  });
});

describe('hidden and restored', () => {
  test('a hidden message vanishes at once and does not come back with an old slice', () => {
    const model = lecture(200);
    const viewer = new Viewer(model);
    viewer.connect();
    viewer.settle(at(T0 + 100_000));
    const old = model.slice(model.cuts[4]!.startMs, 1)!;
    model.hide(90);
    viewer.room.hide([90]);
    expect(viewer.look(at(T0 + 100_000))).not.toContain(90);
    viewer.room.broadcast(1).receiveSlice(old);
    expect(viewer.seek(at(T0 + 100_000))).not.toContain(90);
  });

  test('without a socket a new revision takes the message away', () => {
    const model = lecture(200);
    const viewer = new Viewer(model);
    viewer.settle(at(T0 + 100_000));
    model.hide(90);
    viewer.room.receivePlaylist(model.playlist({ since: viewer.room.broadcast(1).playlist!.version }), 0);
    expect(viewer.settle(at(T0 + 100_000))).not.toContain(90);
  });

  test('a slice of which nothing is left is removed with its rows', () => {
    const model = new ModelRoom({ sliceEvents: 2 });
    for (let index = 0; index < 20; index += 1) model.say(T0 + index * 1000);
    model.seal(T0 + 60_000);
    const viewer = new Viewer(model);
    viewer.settle(at(T0 + 19_000));
    model.hide(5);
    model.hide(6);
    viewer.room.receivePlaylist(model.playlist({ since: viewer.room.broadcast(1).playlist!.version }), 0);
    expect(viewer.settle(at(T0 + 19_000))).toEqual([...range(1, 4), ...range(7, 20)]);
  });

  test('a restored message takes its place again', () => {
    const model = lecture(200);
    const viewer = new Viewer(model);
    viewer.connect();
    viewer.settle(at(T0 + 100_000));
    model.hide(90);
    viewer.room.hide([90]);
    viewer.look(at(T0 + 100_000));
    const back = eventsFromWire([model.restore(90)], 1, AUTHORS);
    viewer.room.restore(back);
    viewer.timeline.receiveBack(back);
    expect(viewer.look(at(T0 + 100_000))).toEqual(range(51, 101)); // 51 had filled up the last 50
  });

  test('slices are not shown when no chat playlist came for five minutes, and come back with one', () => {
    const viewer = new Viewer(lecture(200));
    const rows = viewer.settle(at(T0 + 100_000));
    viewer.room.expire(300_001);
    expect(viewer.look(at(T0 + 100_000))).toEqual([]);
    expect(viewer.timeline.wanted()[0]?.what).toBe('playlist');
    viewer.room.receivePlaylist(viewer.model.playlist(), 300_001);
    expect(viewer.settle(at(T0 + 100_000))).toEqual(rows);
  });
});

describe('by arrival', () => {
  test('without program time live shows what came last and then what comes', () => {
    const model = lecture(80);
    const viewer = new Viewer(model);
    viewer.connect();
    viewer.deliver(...[...model.events.values()].slice(-60));
    expect(viewer.look(UNKNOWN)).toEqual(range(31, 80));
    viewer.deliver(model.say(T0 + 900_000), model.say(T0 + 1_000));
    expect(viewer.look(UNKNOWN).slice(-2)).toEqual([81, 82]);
    expect(viewer.timeline.cutoffMs).toBeNull();
  });

  test('`now` shows on arrival whatever the picture', () => {
    const model = lecture(80);
    const viewer = new Viewer(model);
    viewer.mode = 'now';
    viewer.connect();
    viewer.deliver(...[...model.events.values()].slice(-50));
    viewer.look(at(T0 + 10_000));
    viewer.deliver(model.say(T0 + 85_000));
    expect(viewer.look(at(T0 + 10_000)).at(-1)).toBe(81);
  });

  test('switching to `hold` makes the pane that belongs to the picture', () => {
    const model = lecture(200);
    const viewer = new Viewer(model);
    viewer.mode = 'now';
    viewer.connect();
    viewer.deliver(...[...model.events.values()].slice(-50));
    viewer.look(at(T0 + 100_000));
    viewer.mode = 'hold';
    expect(viewer.settle(at(T0 + 100_000))).toEqual(range(52, 101));
  });

  test('a hidden message vanishes from it', () => {
    const model = lecture(80);
    const viewer = new Viewer(model);
    viewer.connect();
    viewer.deliver(...[...model.events.values()].slice(-50));
    viewer.look(UNKNOWN);
    viewer.room.hide([70]);
    expect(viewer.look(UNKNOWN)).not.toContain(70);
  });
});

describe('recordings', () => {
  const span = (positionMs: number, fromMs: number, toMs: number) => ({ position_ms: positionMs, duration_ms: toMs - fromMs, broadcast: 1, program_ms: T0 + fromMs });

  test('without a playhead nothing is shown', () => {
    const viewer = new Viewer(lecture(100), { spans: [span(0, 0, 100_000)] });
    expect(viewer.settle(UNKNOWN)).toEqual([]);
  });

  test('a player that goes by dates tells no broadcast: the spans do', () => {
    const other = { ...span(0, -90_000, -60_000), broadcast: 9 };
    const viewer = new Viewer(lecture(100), { spans: [other, span(30_000, 0, 100_000)] });
    expect(viewer.settle(at(T0 + 30_000))).toEqual(range(1, 31));
    expect(viewer.timeline.broadcast).toBe(1);
  });

  test('what was cut is left out, a trimmed head stays as context', () => {
    const viewer = new Viewer(lecture(200), { spans: [span(0, 20_000, 60_000), span(40_000, 100_000, 160_000)] });
    expect(viewer.settle(at(T0 + 20_000, { broadcast: 1 }))).toEqual(range(1, 21));
    expect(viewer.seek(at(T0 + 110_000, { broadcast: 1 }))).toEqual([...range(23, 61), ...range(101, 111)]);
  });

  test('where two broadcasts are joined, the head of the second was cut', () => {
    const joined = [{ ...span(0, 0, 60_000), broadcast: 9 }, span(60_000, 100_000, 150_000)];
    const viewer = new Viewer(lecture(200), { spans: joined });
    expect(viewer.settle(at(T0 + 110_000, { broadcast: 1 }))).toEqual(range(101, 111));
  });

  test('an edit that goes back in time makes a new pane without a seek', () => {
    const viewer = new Viewer(lecture(200), { spans: [span(0, 100_000, 150_000), span(50_000, 20_000, 60_000)] });
    viewer.settle(at(T0 + 149_000, { broadcast: 1 }));
    expect(viewer.settle(at(T0 + 20_000, { broadcast: 1, atJump: true }))).toEqual(range(1, 21));
  });
});

test('another broadcast under the picture makes a new pane', () => {
  const viewer = new Viewer(lecture(200));
  viewer.settle(at(T0 + 100_000));
  viewer.room.receivePlaylist({ ...new ModelRoom({ broadcast: 2 }).playlist(), broadcasts: [
    { broadcast: 1, start_ms: T0, media_sequence: 0 },
    { broadcast: 2, start_ms: T0 + 50_000, media_sequence: 500 },
  ] }, 0);
  expect(viewer.look(at(T0 + 101_000, { mediaSequence: 20 })).at(-1)).toBe(102);
  viewer.look(at(T0 + 101_000, { mediaSequence: 501 }));
  expect(viewer.rows).toEqual([]);
  expect(viewer.timeline.broadcast).toBe(2);
});

describe('against a naive oracle', () => {
  const seeds = range(1, 150);
  test.each(seeds)('random play, seeks, lateness, hides and sealing, seed %i', (seed) => {
    const random = randomOf(seed);
    const pick = (limit: number): number => Math.floor(random() * limit);
    const model = new ModelRoom({ sliceEvents: 5 + pick(30) });
    const kinds = ['message', 'message', 'message', 'question', 'pinned', 'reaction', 'system'];
    let clockMs = T0;
    const speak = (): WireEvent => {
      clockMs += random() < 0.05 ? 120_000 : pick(2_500);
      const lateMs = random() < 0.15 ? pick(90_000) : pick(4_000);
      return model.say(Math.max(T0, clockMs - lateMs), { kind: kinds[pick(kinds.length)]!, author: 1 });
    };
    for (let index = 0; index < 50 + pick(400); index += 1) speak();
    model.seal(clockMs - 20_000);
    const viewer = new Viewer(model);
    const hasSocket = random() < 0.7;
    if (hasSocket) viewer.connect();
    let playheadMs = clockMs - 10_000;
    viewer.settle(at(playheadMs));
    let lastWasSeek = true;
    const check = (): void => {
      const due = new Set(model.due(playheadMs).map((event) => event.offset));
      expect(viewer.timeline.settled).toBe(true);
      expect(new Set(viewer.rows).size).toBe(viewer.rows.length);
      if (lastWasSeek) expect(viewer.rows, `seek to ${playheadMs - T0}`).toEqual(model.lastDue(playheadMs));
      else {
        const shown = new Set(viewer.rows);
        expect(viewer.rows.filter((offset) => !due.has(offset))).toEqual([]);
        expect(model.lastDue(playheadMs).filter((offset) => !shown.has(offset))).toEqual([]);
      }
    };
    check();
    for (let step = 0; step < 120; step += 1) {
      const dice = random();
      if (dice < 0.45) {
        playheadMs = Math.min(clockMs, playheadMs + pick(3_000));
        lastWasSeek = false;
        viewer.settle(at(playheadMs));
      } else if (dice < 0.6) {
        playheadMs = T0 + pick(clockMs - T0);
        lastWasSeek = true;
        viewer.timeline.rebase(); // a step of under a second forward would be no new pane
        viewer.seek(at(playheadMs));
      } else if (dice < 0.85) {
        const said = range(1, 1 + pick(4)).map(speak);
        lastWasSeek = false;
        if (hasSocket) viewer.deliver(...said);
      } else if (dice < 0.93) {
        const target = 1 + pick(model.offset);
        if (model.events.has(target) && !model.hidden.has(target)) {
          model.hide(target);
          lastWasSeek = false;
          if (hasSocket) viewer.room.hide([target]);
        }
      } else {
        model.seal(Math.max(model.sealedUntilMs, clockMs - 20_000 - pick(20_000)));
      }
      if (!hasSocket && viewer.room.broadcast(1).playlist !== null) {
        const cache = viewer.room.broadcast(1);
        viewer.room.receivePlaylist(model.playlist({ since: cache.playlist!.version, fromMs: cache.playlist!.isExtended ? cache.playlist!.startMs : null }), 0);
        cache.receiveOpen(model.open(cache.playlist!.sealedUntilMs), null, 0);
      } else if (random() < 0.1) {
        viewer.room.receivePlaylist(model.playlist({ since: viewer.room.broadcast(1).playlist!.version }), 0);
      }
      viewer.settle(at(playheadMs));
      check();
    }
  });
});
