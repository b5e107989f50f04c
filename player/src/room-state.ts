/**
 * What is up in a room besides what is said: the mode, pins, polls, hands and questions.
 *
 * Owns: reading a state off the wire, and folding events and tallies onto one, as the relay does. Does not know: slices,
 * the playhead, the network. Nothing here throws on what a server sent: what cannot be read is left out.
 * Units: program time in ms. Source: contract §2 (kinds that bear on state), §3 (`state`, `tallies`).
 */

import { authorFrom, type Author, type ChatEvent } from './protocol.js';

/** How the room talks; a part that is left out is not known. */
export interface Mode {
  readonly write?: string;
  readonly slow_ms?: number;
  readonly approval?: boolean;
  readonly messages?: boolean;
  readonly questions?: boolean;
  readonly reactions?: boolean;
  readonly hands?: boolean;
  readonly links?: boolean;
  readonly private?: boolean;
  readonly replies?: readonly string[];
}

export interface Pin {
  readonly offset: number; // of what is pinned, or of the pin itself
  readonly text: string;
  readonly programMs: number | null;
}

export interface Poll {
  readonly poll: string;
  readonly offset: number;
  readonly question: string;
  readonly choices: readonly string[];
  readonly multiple: boolean;
  readonly programMs: number | null;
  readonly tally: readonly number[];
  readonly voters: number | null; // null: not told
  /** False once it is closed; its votes may still be counted until it is `final`. */
  readonly isOpen: boolean;
  readonly isFinal: boolean;
  /** The right choices of a quiz, by index: known once it is final. */
  readonly answer: readonly number[] | null;
}

export interface Hand {
  readonly author: Author;
  readonly sinceMs: number;
}

/** A question nobody has answered yet. */
export interface OpenQuestion {
  readonly offset: number;
  readonly text: string;
  readonly upvotes: number;
  readonly programMs: number | null;
  readonly author: Author | null;
}

/** Replaced, never changed in place. */
export interface RoomState {
  readonly mode: Mode;
  readonly pins: readonly Pin[]; // oldest first
  readonly polls: readonly Poll[]; // open ones, and those that were closed since this state's beginning
  readonly hands: readonly Hand[]; // raised first first
  readonly questions: readonly OpenQuestion[]; // most upvoted first
}

/** A count as it stood from an instant on. */
export type Tally =
  | { readonly programMs: number; readonly poll: string; readonly tally: readonly number[]; readonly isFinal: boolean; readonly answer: readonly number[] | null }
  | { readonly programMs: number; readonly target: number; readonly count: number };

/** The counts at the edge, as the socket tells them: without a moment of their own. */
export interface EdgeCounts {
  readonly polls: ReadonlyMap<string, PollCount>;
  readonly upvotes: ReadonlyMap<number, number>;
}

export interface PollCount {
  readonly tally: readonly number[];
  readonly voters: number | null;
  readonly isFinal: boolean;
  readonly answer: readonly number[] | null;
}

export const EMPTY_STATE: RoomState = { mode: {}, pins: [], polls: [], hands: [], questions: [] };

/** Kinds that bear on a state. */
export const STATE_KINDS: ReadonlySet<string> = new Set([
  'question',
  'question_answered',
  'pinned',
  'unpinned',
  'mode_changed',
  'hand_raised',
  'hand_lowered',
  'poll_opened',
  'poll_closed',
]);

const QUESTIONS_MAX = 100;
const HANDS_MAX = 100;
const POLLS_MAX = 20;

type Fields = Readonly<Record<string, unknown>>;

const isRecord = (value: unknown): value is Fields => typeof value === 'object' && value !== null && !Array.isArray(value);
const records = (value: unknown): Fields[] => (Array.isArray(value) ? value.filter(isRecord) : []);
const integer = (value: unknown): number | null => (Number.isSafeInteger(value) ? (value as number) : null);
const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const texts = (value: unknown): string[] => (Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string') : []);
const integers = (value: unknown): number[] => (Array.isArray(value) ? value.filter((one): one is number => Number.isSafeInteger(one)) : []);

const MODE_PARTS = { write: 'string', slow_ms: 'number', approval: 'boolean', messages: 'boolean', questions: 'boolean', reactions: 'boolean', hands: 'boolean', links: 'boolean', private: 'boolean' } as const;

function modeFrom(value: unknown): Mode {
  if (!isRecord(value)) return {};
  const known = Object.entries(MODE_PARTS).filter(([part, type]) => typeof value[part] === type);
  const mode = Object.fromEntries(known.map(([part]) => [part, value[part]]));
  return Array.isArray(value['replies']) ? { ...mode, replies: texts(value['replies']) } : mode;
}

function pollFrom(fields: Fields, offset: number | null): Poll | null {
  if (typeof fields['poll'] !== 'string' || offset === null) return null;
  return {
    poll: fields['poll'],
    offset,
    question: text(fields['question']),
    choices: texts(fields['choices']),
    multiple: fields['multiple'] === true,
    programMs: integer(fields['program_ms']),
    tally: integers(fields['tally']),
    voters: integer(fields['voters']),
    isOpen: true,
    isFinal: false,
    answer: null,
  };
}

/** @param authors the slice's table, when authors are indexes into it. */
export function stateFromWire(wire: unknown, authors: readonly unknown[] = []): RoomState {
  if (!isRecord(wire)) return EMPTY_STATE;
  const authorOf = (value: unknown): Author | null => authorFrom(typeof value === 'number' ? authors[value] : value);
  const state: RoomState = {
    mode: modeFrom(wire['mode']),
    pins: records(wire['pinned']).flatMap((pin) => {
      const offset = integer(pin['offset']);
      return offset === null ? [] : [{ offset, text: text(pin['text']), programMs: integer(pin['program_ms']) }];
    }),
    polls: records(wire['polls']).flatMap((poll) => pollFrom(poll, integer(poll['offset'])) ?? []),
    hands: records(wire['hands']).flatMap((hand) => {
      const author = authorOf(hand['author']);
      return author === null ? [] : [{ author, sinceMs: integer(hand['since_ms']) ?? 0 }];
    }),
    questions: records(wire['questions']).flatMap((question) => {
      const offset = integer(question['offset']);
      if (offset === null) return [];
      return [{ offset, text: text(question['text']), upvotes: integer(question['upvotes']) ?? 0, programMs: integer(question['program_ms']), author: authorOf(question['author']) }];
    }),
  };
  return state;
}

/** Of a slice, or an open slice; ordered by program time. */
export function talliesFromWire(wire: unknown): Tally[] {
  const tallies: Tally[] = [];
  for (const one of records(wire)) {
    const [programMs, target, count] = [integer(one['program_ms']), integer(one['target']), integer(one['count'])];
    if (programMs === null) continue;
    if (typeof one['poll'] === 'string') {
      const answer = Array.isArray(one['answer']) ? integers(one['answer']) : null;
      tallies.push({ programMs, poll: one['poll'], tally: integers(one['tally']), isFinal: one['final'] === true, answer });
    }
    if (target !== null && count !== null) tallies.push({ programMs, target, count });
  }
  return tallies.sort((a, b) => a.programMs - b.programMs);
}

/** Of an open slice: those held, with the changes that an answer with `after` tells. */
export function talliesChanged(held: readonly Tally[], changes: readonly Tally[]): Tally[] {
  // Of a poll there is one a second, and one that is final; of a question one an upvote.
  const keyOf = (one: Tally): string => ('poll' in one ? `${one.isFinal} ${Math.floor(one.programMs / 1000)} ${one.poll}` : `${one.programMs} ${one.target}`);
  const byKey = new Map([...held, ...changes].map((one) => [keyOf(one), one]));
  return [...byKey.values()].sort((a, b) => a.programMs - b.programMs);
}

/** Of a `tallies` frame. */
export function countsFromWire(wire: Readonly<Record<string, unknown>>): EdgeCounts {
  const polls = new Map<string, PollCount>();
  for (const one of records(wire['polls'])) {
    if (typeof one['poll'] !== 'string') continue;
    const answer = Array.isArray(one['answer']) ? integers(one['answer']) : null;
    polls.set(one['poll'], { tally: integers(one['tally']), voters: integer(one['voters']), isFinal: one['final'] === true, answer });
  }
  const upvotes = new Map<number, number>();
  for (const one of records(wire['upvotes'])) {
    const [target, count] = [integer(one['target']), integer(one['count'])];
    if (target !== null && count !== null) upvotes.set(target, count);
  }
  return { polls, upvotes };
}

/**
 * The state after these events and tallies.
 *
 * @param events of kinds that bear on it, by (program time, offset); hidden ones left out.
 * @param tallies ordered by program time.
 */
export function folded(state: RoomState, events: Iterable<ChatEvent>, tallies: Iterable<Tally>): RoomState {
  let { mode } = state;
  const pins = new Map(state.pins.map((pin) => [pin.offset, pin]));
  const polls = new Map(state.polls.map((poll) => [poll.poll, poll]));
  const hands = new Map(state.hands.map((hand) => [hand.author.key, hand]));
  const questions = new Map(state.questions.map((question) => [question.offset, question]));
  const answered = new Set<number>();
  const finals = new Set<string>();
  for (const event of events) {
    const details = event.details ?? {};
    const name = text(details['poll']);
    switch (event.kind) {
      case 'mode_changed':
        mode = { ...mode, ...modeFrom(details['mode']) };
        break;
      case 'pinned':
        pins.set(event.target ?? event.offset, { offset: event.target ?? event.offset, text: event.text, programMs: event.programMs });
        break;
      case 'unpinned':
        if (event.target === null) pins.clear();
        else pins.delete(event.target);
        break;
      case 'hand_raised':
        if (event.author !== null && !hands.has(event.author.key)) hands.set(event.author.key, { author: event.author, sinceMs: event.programMs });
        break;
      case 'hand_lowered':
        hands.delete(text(details['hand']) || (event.author?.key ?? '')); // by staff, it says whose
        break;
      case 'question':
        questions.set(event.offset, { offset: event.offset, text: event.text, upvotes: 0, programMs: event.programMs, author: event.author });
        break;
      case 'question_answered':
        if (event.target !== null) {
          questions.delete(event.target);
          answered.add(event.target);
        }
        break;
      case 'poll_opened': {
        const poll = pollFrom({ ...details, program_ms: event.programMs }, event.offset);
        if (poll !== null && !polls.has(poll.poll)) polls.set(poll.poll, { ...poll, tally: poll.choices.map(() => 0), voters: null });
        break;
      }
      case 'poll_closed': {
        const poll = polls.get(name);
        if (poll === undefined) break;
        const tally = Array.isArray(details['tally']) ? integers(details['tally']) : null;
        if (tally !== null) finals.add(name);
        const answer = Array.isArray(details['answer']) ? integers(details['answer']) : null;
        polls.set(name, { ...poll, isOpen: false, isFinal: tally !== null, tally: tally ?? poll.tally, answer });
        break;
      }
    }
  }
  for (const one of tallies) {
    if ('poll' in one) {
      const poll = polls.get(one.poll);
      if (poll === undefined || finals.has(one.poll)) continue;
      const isFinal = one.isFinal && !poll.isOpen;
      if (isFinal) finals.add(one.poll);
      polls.set(one.poll, { ...poll, tally: one.tally, voters: null, isFinal, answer: isFinal ? one.answer : poll.answer });
    } else {
      const question = questions.get(one.target);
      if (question !== undefined && !answered.has(one.target)) questions.set(one.target, { ...question, upvotes: one.count });
    }
  }
  return {
    mode,
    pins: [...pins.values()].sort((a, b) => a.offset - b.offset),
    polls: [...polls.values()].slice(-POLLS_MAX),
    hands: [...hands.values()].sort((a, b) => a.sinceMs - b.sinceMs).slice(0, HANDS_MAX),
    questions: mostUpvoted([...questions.values()]),
  };
}

/**
 * The same state with what only the edge tells: votes, upvotes, and which hands staff has lowered. For a picture that
 * nothing sealed speaks of.
 */
export function counted(state: RoomState, counts: EdgeCounts, edge: RoomState | null = null): RoomState {
  const up = edge === null || state.hands.length === 0 ? null : new Set(edge.hands.map((hand) => hand.author.key));
  const hands = up === null || edge!.hands.length >= HANDS_MAX ? state.hands : state.hands.filter((hand) => up.has(hand.author.key));
  const polls = state.polls.map((poll) => {
    const count = counts.polls.get(poll.poll);
    if (count === undefined || poll.isFinal) return poll;
    const isFinal = count.isFinal && !poll.isOpen;
    return { ...poll, tally: count.tally, voters: count.voters, isFinal, answer: isFinal ? count.answer : null };
  });
  const questions = state.questions.map((question) => {
    const upvotes = counts.upvotes.get(question.offset);
    return upvotes === undefined || upvotes === question.upvotes ? question : { ...question, upvotes };
  });
  return { ...state, polls, hands, questions: mostUpvoted(questions) };
}

function mostUpvoted(questions: OpenQuestion[]): OpenQuestion[] {
  return questions.sort((a, b) => b.upvotes - a.upvotes || a.offset - b.offset).slice(0, QUESTIONS_MAX);
}
