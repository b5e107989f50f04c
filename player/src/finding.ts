/**
 * Activity and search as the relay answers them, of a broadcast or of a recording.
 *
 * Owns: their URLs and shapes, one axis for both, which parts of a text were found. Does not know: the DOM, what is shown.
 * Units: ms; `atMs` is program time of a broadcast, and the position in a recording. Source: contract §4.
 */

import { ReadError } from './connection.js';

export interface FindingOptions {
  /** Origin and path prefix of the relay. */
  readonly server: string;
  readonly room: string;
  /** Of a recording; null: a broadcast. */
  readonly recording: string | null;
  /** null: the latest. */
  readonly broadcast: number | null;
  readonly token: string | null;
}

/** A question, a poll or a pin at its place. */
export interface FoundMoment {
  readonly what: 'question' | 'poll' | 'pin';
  readonly atMs: number;
  readonly broadcast: number;
  readonly offset: number;
  readonly text: string;
  readonly upvotes: number;
  readonly answered: boolean;
}

export interface ActivityGap {
  readonly startMs: number;
  readonly endMs: number;
  readonly reason: string;
}

export interface ActivityPeak {
  readonly startMs: number;
  readonly endMs: number;
  readonly count: number;
}

/** How much was said when. */
export interface Activity {
  /** What `startMs` and the like count: `position` in a recording, else `program` time. */
  readonly axis: 'position' | 'program';
  readonly broadcast: number | null;
  readonly startMs: number;
  readonly endMs: number;
  readonly bucketMs: number;
  /** null where nothing is known, 0 where nobody spoke. */
  readonly counts: readonly (number | null)[];
  readonly gaps: readonly ActivityGap[];
  readonly peaks: readonly ActivityPeak[];
  /** By place. */
  readonly moments: readonly FoundMoment[];
}

export interface SearchHit {
  readonly broadcast: number;
  readonly offset: number;
  readonly programMs: number;
  /** In a recording; null for a broadcast. */
  readonly positionMs: number | null;
  readonly kind: string;
  readonly name: string;
  readonly text: string;
}

export interface SearchPage {
  readonly hits: readonly SearchHit[];
  readonly cursor: string | null;
}

type Wire = Record<string, unknown>;

const list = (value: unknown): Wire[] => (Array.isArray(value) ? (value as Wire[]) : []);
const number = (value: unknown): number => (typeof value === 'number' && Number.isFinite(value) ? value : 0);
const text = (value: unknown): string => (typeof value === 'string' ? value : '');

function momentFrom(what: FoundMoment['what'], wire: Wire, axis: 'position_ms' | 'program_ms'): FoundMoment {
  return {
    what,
    atMs: number(wire[axis]),
    broadcast: number(wire['broadcast']),
    offset: number(wire['offset']),
    text: text(what === 'poll' ? wire['question'] : wire['text']),
    upvotes: number(wire['upvotes']),
    answered: wire['answered'] === true,
  };
}

/** What `GET …/activity` answers, on one axis. */
export function activityFrom(wire: Wire): Activity {
  const isRecording = 'recording' in wire;
  const at = isRecording ? 'position_ms' : 'program_ms';
  const [start, end] = isRecording ? ['start_position_ms', 'end_position_ms'] : ['start_ms', 'end_ms'];
  const stretch = (one: Wire): { startMs: number; endMs: number } => ({ startMs: number(one[start!]), endMs: number(one[end!]) });
  const moments = (['question', 'poll', 'pin'] as const).flatMap((what) => list(wire[`${what}s`]).map((one) => momentFrom(what, one, at)));
  return {
    axis: isRecording ? 'position' : 'program',
    broadcast: typeof wire['broadcast'] === 'number' ? wire['broadcast'] : null,
    ...stretch(wire),
    bucketMs: Math.max(1, number(wire['bucket_ms'])),
    counts: list(wire['counts']).map((count: unknown) => (typeof count === 'number' ? count : null)),
    gaps: list(wire['gaps']).map((one) => ({ ...stretch(one), reason: text(one['reason']) })),
    peaks: list(wire['peaks']).map((one) => ({ ...stretch(one), count: number(one['count']) })),
    moments: moments.sort((a, b) => a.atMs - b.atMs),
  };
}

/** What `GET …/search` answers. */
export function searchPageFrom(wire: Wire): SearchPage {
  return {
    hits: list(wire['hits']).map((one) => ({
      broadcast: number(one['broadcast']),
      offset: number(one['offset']),
      programMs: number(one['program_ms']),
      positionMs: typeof one['position_ms'] === 'number' ? one['position_ms'] : null,
      kind: text(one['kind']),
      name: text((one['author'] as Wire | null)?.['name']),
      text: text(one['text']),
    })),
    cursor: typeof wire['cursor'] === 'string' ? wire['cursor'] : null,
  };
}

/** Reads activity and searches. Anonymous unless there is a token. */
export class FindingReader {
  readonly #options: FindingOptions;

  constructor(options: FindingOptions) {
    this.#options = options;
  }

  /** @throws ReadError on refusals and when there is no answer; an AbortError when aborted. */
  async activity(bucketMs: number, signal: AbortSignal): Promise<Activity> {
    return activityFrom(await this.#read('activity', { bucket_ms: String(bucketMs) }, signal));
  }

  /** @throws ReadError on refusals and when there is no answer; an AbortError when aborted. */
  async search(words: string, cursor: string | null, signal: AbortSignal): Promise<SearchPage> {
    return searchPageFrom(await this.#read('search', { q: words, ...(cursor === null ? {} : { cursor }) }, signal));
  }

  async #read(path: string, query: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Wire> {
    const { server, room, recording, broadcast, token } = this.#options;
    const url = new URL(`v1/rooms/${encodeURIComponent(room)}/${path}`, `${server.replace(/\/+$/, '')}/`);
    if (recording !== null) url.searchParams.set('recording', recording);
    else if (broadcast !== null) url.searchParams.set('broadcast', String(broadcast));
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    const headers: Record<string, string> = token === null ? {} : { authorization: `Bearer ${token}` };
    let answer: Response;
    try {
      answer = await fetch(url.href, { headers, signal, credentials: 'omit' });
    } catch (error) {
      if (signal.aborted) throw error;
      throw new ReadError(0, 'offline');
    }
    if (!answer.ok) throw new ReadError(answer.status, `http_${answer.status}`);
    return (await answer.json()) as Wire;
  }
}

/** A text as searches compare it: lower case, without marks. The relay's `compared` is the same. */
export function compared(words: string): string {
  return words.toLowerCase().normalize('NFD').replace(/\p{M}/gu, '').normalize('NFC').replaceAll('ß', 'ss').replaceAll('ς', 'σ');
}

/** A text in pieces, those that were searched for marked. */
export function marked(shown: string, words: string): readonly { readonly text: string; readonly isFound: boolean }[] {
  const searched = compared(words).split(/\s+/u).filter((word) => word !== '');
  const letters = [...new Intl.Segmenter(undefined, { granularity: 'grapheme' }).segment(shown)].map((one) => one.segment);
  let bare = '';
  const starts = letters.map((letter) => {
    const start = bare.length;
    bare += compared(letter);
    return start;
  });
  const isFound = letters.map(() => false);
  for (const word of searched) {
    for (let at = bare.indexOf(word); at >= 0; at = bare.indexOf(word, at + word.length)) {
      starts.forEach((start, index) => {
        const end = starts[index + 1] ?? bare.length;
        if (start < at + word.length && end > at) isFound[index] = true;
      });
    }
  }
  const pieces: { text: string; isFound: boolean }[] = [];
  letters.forEach((letter, index) => {
    const last = pieces.at(-1);
    if (last !== undefined && last.isFound === isFound[index]) last.text += letter;
    else pieces.push({ text: letter, isFound: isFound[index]! });
  });
  return pieces;
}
