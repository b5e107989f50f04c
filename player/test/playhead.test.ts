import { describe, expect, test } from 'vitest';
import { behindLiveMs, playheadFrom, type MediaState, type PlayheadAddress } from '../src/playhead.js';
import { locate } from '../src/adapters/recording.js';
import { at, T0 } from './builders.js';

const MEDIA: MediaState = { paused: false, rate: 1, seeking: false, atEnd: false };
const ADDRESS: PlayheadAddress = { programTimeMs: T0 + 0.9, mediaSequence: 7, intoSegmentMs: 12.7, positionMs: 5, live: true, atJump: false, ad: false };

describe('the playhead', () => {
  test.each<[string, PlayheadAddress | null, Partial<MediaState>, unknown]>([
    ['is floored to whole ms, so that nothing shows before its picture', ADDRESS, {}, { state: 'at', point: { programMs: T0, broadcast: null, mediaSequence: 7, intoSegmentMs: 12 } }],
    ['is unknown without an address', null, {}, { state: 'unknown' }],
    ['is unknown without a date', { ...ADDRESS, programTimeMs: undefined } as never, {}, { state: 'unknown' }],
    ['is unknown when the date is no number', { ...ADDRESS, programTimeMs: Number.NaN }, {}, { state: 'unknown' }],
    ['is frozen in an insert', { ...ADDRESS, ad: true }, {}, { state: 'frozen' }],
    ['is being sought while seeking', ADDRESS, { seeking: true }, { state: 'seeking', target: { programMs: T0 } }],
    ['may be sought where nothing is known', null, { seeking: true }, { state: 'seeking', target: null }],
    ['says when all the media has been seen', ADDRESS, { atEnd: true }, { state: 'at', atEnd: true }],
    ['lies in the broadcast a recording names', { ...ADDRESS, broadcast: 3 }, {}, { state: 'at', point: { broadcast: 3 } }],
  ])('%s', (_what, address, media, expected) => {
    expect(playheadFrom(address, { ...MEDIA, ...media })).toMatchObject(expected as object);
  });

  test.each([
    [at(T0), T0 + 20_000, 20_000],
    [at(T0), T0 - 500, 0],
    [at(T0), null, null],
    [{ state: 'unknown' } as const, T0, null],
  ])('behind live: %#', (playhead, livePointMs, expected) => {
    expect(behindLiveMs(playhead, livePointMs)).toBe(expected);
  });
});

describe('a position in a recording', () => {
  const spans = [
    { position_ms: 5_000, duration_ms: 10_000, broadcast: 1, program_ms: T0 },
    { position_ms: 20_000, duration_ms: 10_000, broadcast: 1, program_ms: T0 + 60_000 },
  ];
  test.each([
    [0, { in: 'insert' }],
    [5_000, { in: 'span', programMs: T0 }],
    [14_999, { in: 'span', programMs: T0 + 9_999 }],
    [15_000, { in: 'insert' }],
    [20_000, { in: 'span', programMs: T0 + 60_000 }],
    [30_400, { in: 'span', programMs: T0 + 70_000 }],
    [40_000, { in: 'insert' }],
  ])('%i ms', (positionMs, expected) => {
    expect(locate(spans, positionMs)).toMatchObject(expected);
  });

  test('without spans nothing is known', () => {
    expect(locate([], 5)).toEqual({ in: 'nothing' });
  });
});
