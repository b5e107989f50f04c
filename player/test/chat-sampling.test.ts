import { describe, expect, test } from 'vitest';
import { isLeftOut, ROWS_A_SECOND, sampled, seedOf } from '../src/chat-sampling.js';
import { chatEvent, T0 } from './builders.js';

const flood = (count: number, fromMs = T0) => Array.from({ length: count }, (_, index) => chatEvent(index + 1, fromMs + index));
const offsets = (rows: ReturnType<typeof sampled>): number[] => rows.flatMap((row) => (isLeftOut(row) ? [] : [row.offset]));

describe('which rows of a flood are shown', () => {
  test('a second that can be read is left as it is', () => {
    const rows = flood(ROWS_A_SECOND);
    expect(sampled(rows, 1, () => false)).toBe(rows);
  });

  test('of one message more, one is left out and counted', () => {
    const rows = sampled(flood(ROWS_A_SECOND + 1), 1, () => false);
    expect(offsets(rows)).toHaveLength(ROWS_A_SECOND);
    expect(rows.at(-1)).toEqual({ left: 1, second: T0 / 1000 });
  });

  test('the choice is the same for everybody, in order, and another in another room', () => {
    const [one, same, other] = [sampled(flood(104), seedOf('a'), () => false), sampled(flood(104), seedOf('a'), () => false), sampled(flood(104), seedOf('b'), () => false)];
    expect(offsets(one)).toEqual(offsets(same));
    expect(offsets(one)).not.toEqual(offsets(other));
    expect(offsets(one)).toEqual([...offsets(one)].sort((a, b) => a - b));
    expect(one.at(-1)).toMatchObject({ left: 84 });
  });

  test('what is kept is always there, and seconds are counted each by itself', () => {
    const rows = sampled([...flood(30), ...flood(30, T0 + 1_000).map((row) => ({ ...row, offset: row.offset + 100 }))], 1, (row) => row.offset <= 25);
    expect(offsets(rows).filter((offset) => offset <= 25)).toHaveLength(25);
    expect(rows.filter(isLeftOut)).toEqual([
      { left: 5, second: T0 / 1000 },
      { left: 10, second: T0 / 1000 + 1 },
    ]);
  });
});
