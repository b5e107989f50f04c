import { beforeEach, expect, test } from 'vitest';
import { ServedDates, type ListedSegment, type ListedSegments, type WireTimeline } from '../src/served-dates.js';
import { T0 } from './builders.js';

type Short = Partial<ListedSegment>;

/** Segments of 2 s from number 10 on; what is not said of one is that it has no date. */
function listOf(...segments: Short[]): ListedSegments {
  const all = segments.map((one, index) => ({ sequence: 10 + index, ownMs: null, isWritten: false, isDiscontinuous: false, durationMs: 2_000, startMs: null, ...one }));
  return { length: all.length, at: (index) => all[index]! };
}

const written = (ownMs: number, more: Short = {}): Short => ({ ownMs, isWritten: true, ...more });

let served: WireTimeline['segments'];
let asked: number[];
let answers: number;
let nowMs: number;
let isRefused: boolean;
let dates: ServedDates;

beforeEach(() => {
  served = [];
  asked = [];
  answers = 0;
  nowMs = 0;
  isRefused = false;
  dates = new ServedDates({
    read: async (from) => {
      asked.push(from);
      if (isRefused) throw new Error('404');
      return { segments: served.filter((one) => one.media_sequence >= from) };
    },
    onAnswer: () => (answers += 1),
    monotonicMs: () => nowMs,
  });
});

const serve = (programs: Record<number, number | null>, run = 1): void => {
  served = Object.entries(programs).map(([sequence, program_ms]) => ({ run, media_sequence: Number(sequence), program_ms, duration_ms: 2_000 }));
};

/** What is known once the relay has answered. */
async function answered(list: ListedSegments, index: number): Promise<number | null> {
  dates.dateOf(list, index);
  const before = answers;
  for (let turn = 0; turn < 10 && answers === before; turn += 1) await Promise.resolve();
  return dates.dateOf(list, index);
}

test('counted on from a written date the relay is not asked', () => {
  expect(dates.dateOf(listOf(written(T0), {}, {}), 2)).toBe(T0 + 4_000);
  expect(asked).toEqual([]);
});

test('where both lie in the media says more than durations that are rounded', () => {
  expect(dates.dateOf(listOf(written(T0, { startMs: 500 }), {}, { startMs: 5_250 }), 2)).toBe(T0 + 4_750);
});

test('counted back from after a jump, a date is off by the jump: the relay saw what was before', async () => {
  serve({ 10: T0, 11: T0 + 2_000, 12: T0 + 9_000 });
  const list = listOf({ ownMs: T0 + 5_000 }, { ownMs: T0 + 7_000 }, written(T0 + 9_000, { isDiscontinuous: true }));
  expect(dates.dateOf(list, 1)).toBeNull(); // nobody guesses
  expect(await answered(list, 1)).toBe(T0 + 2_000);
  expect(asked).toEqual([10]);
});

test('across a discontinuity nothing is counted on', async () => {
  serve({ 10: T0, 11: T0 + 30_000 });
  expect(await answered(listOf(written(T0), { ownMs: T0 + 2_000, isDiscontinuous: true }), 1)).toBe(T0 + 30_000);
});

test('a date of 1970 is none, and neither is one of the far future', async () => {
  serve({ 10: T0, 11: T0 + 2_000 });
  expect(await answered(listOf(written(0), written(Date.UTC(2200))), 0)).toBe(T0);
  expect(dates.dateOf(listOf(written(0), written(Date.UTC(2200))), 1)).toBe(T0 + 2_000);
});

test('a list without any date goes by media sequence alone', async () => {
  serve({ 10: T0, 11: T0 + 2_000 });
  expect(await answered(listOf({}, {}), 1)).toBe(T0 + 2_000);
});

test('a segment which the relay has not listed yet follows on, and soon it is asked for', async () => {
  serve({ 10: T0, 11: T0 + 2_000 });
  const list = listOf({}, {}, { durationMs: 3_000 }, {});
  expect(await answered(list, 3)).toBe(T0 + 7_000);
  serve({ 10: T0, 11: T0 + 2_000, 12: T0 + 4_000, 13: T0 + 7_010 });
  expect(dates.dateOf(list, 3)).toBe(T0 + 7_000);
  expect(asked).toEqual([10]);
  nowMs = 2_000;
  expect(await answered(list, 3)).toBe(T0 + 7_010);
  expect(asked).toEqual([10, 10]);
  expect(dates.dateOf(listOf({}, {}, {}, {}, { isDiscontinuous: true }), 4)).toBeNull();
});

test('another numbering is noticed by the dates there are, and by how far it has come', async () => {
  serve({ 10: T0, 11: T0 + 2_000, 12: T0 + 4_000 });
  const other = listOf({ ownMs: T0 + 58_000 }, written(T0 + 60_000));
  expect(await answered(other, 0)).toBe(T0 + 58_000);
  serve({ 10: T0, 11: T0 + 2_000, 99: T0 + 500_000 });
  nowMs = 10_000;
  expect(await answered(listOf({}, {}, {}), 2)).toBeNull(); // an earlier run of the encoder
});

test('when the encoder counts anew, what was known of its numbers goes', async () => {
  serve({ 10: T0, 11: T0 + 2_000, 90: T0 + 160_000 });
  await answered(listOf({}, {}), 1);
  serve({ 9: T0 + 200_000, 10: T0 + 202_000 }, 2);
  nowMs = 2_000;
  const anew = listOf({ sequence: 9 }, { sequence: 10 });
  expect(dates.dateOf(anew, 1)).toBeNull(); // not the old one
  expect(await answered(anew, 1)).toBe(T0 + 202_000);
  expect(asked).toEqual([10, 9]);
});

test('an encoder that counts anew without falling far behind is read from its beginning', async () => {
  serve({ 10: T0, 11: T0 + 2_000, 12: T0 + 4_000, 13: T0 + 6_000, 14: T0 + 8_000, 15: T0 + 10_000 });
  const list = listOf({}, {}, {}, {}, {}, {});
  expect(await answered(list, 5)).toBe(T0 + 10_000);
  serve({ 10: T0 + 60_000, 11: T0 + 62_000, 12: T0 + 64_000, 13: T0 + 66_000, 14: T0 + 68_000, 15: T0 + 70_000 }, 2);
  nowMs = 2_000;
  expect(await answered(list, 5)).toBe(T0 + 70_000);
  nowMs = 4_000;
  expect(await answered(list, 0)).toBe(T0 + 60_000);
  expect(asked).toEqual([10, 12, 10]);
});

test('a relay that does not answer leaves the player with its own date, and is asked again', async () => {
  isRefused = true;
  const list = listOf({ ownMs: T0 }, written(T0 + 9_000, { isDiscontinuous: true }));
  expect(await answered(list, 0)).toBe(T0);
  nowMs = 9_999;
  dates.dateOf(list, 0);
  expect(asked).toEqual([10]);
  nowMs = 10_000;
  isRefused = false;
  serve({ 10: T0 + 7_000, 11: T0 + 9_000 });
  expect(await answered(list, 0)).toBe(T0 + 7_000);
});
