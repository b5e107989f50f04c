import { describe, expect, it } from 'vitest';
import { activityFrom, compared, marked, searchPageFrom } from '../src/finding.js';
import { outlineOf } from '../src/heatmap-element.js';

describe('activity', () => {
  it('of a broadcast lies on program time, of a recording on positions', () => {
    const wire = { bucket_ms: 1000, counts: [1, null, 0], gaps: [], peaks: [], polls: [], pins: [] };
    const broadcast = activityFrom({ ...wire, broadcast: 3, start_ms: 5, end_ms: 9, questions: [{ program_ms: 7, broadcast: 3, offset: 1, text: 'why?', upvotes: 2, answered: true }] });
    expect([broadcast.axis, broadcast.broadcast, broadcast.startMs, broadcast.endMs]).toEqual(['program', 3, 5, 9]);
    expect(broadcast.counts).toEqual([1, null, 0]);
    expect(broadcast.moments).toEqual([{ what: 'question', atMs: 7, broadcast: 3, offset: 1, text: 'why?', upvotes: 2, answered: true }]);
    const recording = activityFrom({ ...wire, recording: 'film', start_position_ms: 0, end_position_ms: 4, peaks: [{ start_position_ms: 1, end_position_ms: 2, count: 9 }] });
    expect([recording.axis, recording.broadcast, recording.peaks]).toEqual(['position', null, [{ startMs: 1, endMs: 2, count: 9 }]]);
  });

  it('that is nonsense is empty', () => {
    expect(activityFrom({ counts: 'x', questions: 7, start_ms: 'y' })).toMatchObject({ counts: [], moments: [], startMs: 0 });
  });
});

describe('a hit', () => {
  it('has a position in a recording only', () => {
    const { hits, cursor } = searchPageFrom({ hits: [{ program_ms: 5, text: 'a' }, { program_ms: 6, position_ms: -1, author: { name: 'Ann' }, text: 'b' }], cursor: 'c' });
    expect(hits.map(({ positionMs, name }) => [positionMs, name])).toEqual([[null, ''], [-1, 'Ann']]);
    expect(cursor).toBe('c');
  });

  it('is marked where the relay found it, whatever case and accents', () => {
    expect(compared('Straße ΣΟΦΌΣ')).toBe('strasse σοφοσ');
    const found = (text: string, words: string): string[] => marked(text, words).filter((one) => one.isFound).map((one) => one.text);
    expect(found('Le Café, un cafe\u0301!', 'CAFE')).toEqual(['Café', 'cafe\u0301']);
    expect(found('Die Größe', 'oss')).toEqual(['öß']);
    expect(found('aaa', 'aa')).toEqual(['aa']);
    expect(found('nothing', ' ')).toEqual([]);
    expect(marked('👩‍🎓 hi', 'hi').map((one) => one.text).join('')).toBe('👩‍🎓 hi');
  });
});

describe('the outline', () => {
  it('is between nothing and one, and has no more points than a bar has room for', () => {
    expect(outlineOf([])).toEqual([]);
    expect(outlineOf([null, 0])).toEqual([0, 0]);
    const outline = outlineOf(Array.from({ length: 5_000 }, (_, at) => (at === 700 ? 90 : at % 3)));
    expect(outline.length).toBeLessThanOrEqual(300);
    expect([Math.max(...outline), Math.min(...outline) >= 0]).toEqual([1, true]);
  });
});
