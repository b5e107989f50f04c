/** A small room with its log, cut into slices the way the contract says: what tests compare against. */

import type { Playhead } from '../src/playhead.js';
import { comparePlace, eventFromWire, MESSAGE_KINDS, SHOWN_KINDS, type ChatEvent, type Position, type WireAuthor, type WireEvent, type WirePlaylist, type WireSlice } from '../src/protocol.js';
import type { RoomCache } from '../src/room-cache.js';
import { EMPTY_STATE, folded, STATE_KINDS, talliesFromWire, type RoomState } from '../src/room-state.js';
import type { Wanted } from '../src/slice-cache.js';

export const T0 = 1_764_000_000_000; // program time at which the model's broadcast starts

export const AUTHORS: readonly WireAuthor[] = [
  { key: 'host', name: 'Ms Ada', role: 'host', badges: [] },
  { key: 'a', name: 'Student 1', role: 'participant', badges: [] },
  { key: 'b', name: 'Student 2', role: 'participant', badges: [] },
];

/** Numbers that look random and are the same at every run (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export function wireEvent(offset: number, programMs: number, more: Partial<WireEvent> = {}): WireEvent {
  return { offset, kind: 'message', id: `id-${offset}`, broadcast: 1, program_ms: programMs, stamp: 'playhead', author: 1, text: `text ${offset}`, ...more };
}

export function chatEvent(offset: number, programMs: number, more: Partial<WireEvent> = {}): ChatEvent {
  return eventFromWire(wireEvent(offset, programMs, more), 1, AUTHORS)!;
}

export function at(programMs: number, more: Partial<Extract<Playhead, { state: 'at' }>> & { mediaSequence?: number; broadcast?: number } = {}): Playhead {
  return {
    state: 'at',
    point: { programMs, broadcast: more.broadcast ?? null, mediaSequence: more.mediaSequence ?? null, intoSegmentMs: null },
    isLive: true,
    atEnd: more.atEnd ?? false,
    atJump: more.atJump ?? false,
  };
}

interface Cut {
  readonly startMs: number;
  readonly endMs: number;
  revision: number;
  epoch: string; // the room's, when this revision was sealed
}

/** One broadcast as a relay keeps it. Hides and late events revise slices; the watermark is moved by the test. */
export class ModelRoom {
  readonly events = new Map<number, WireEvent>();
  readonly hidden = new Set<number>();
  readonly cuts: Cut[] = [];
  readonly counts: { readonly program_ms: number; readonly poll?: string; readonly tally?: number[]; readonly target?: number; readonly count?: number }[] = []; // by program time
  readonly hides: { readonly offset: number; readonly target: number }[] = [];
  readonly broadcast: number;
  readonly sliceEvents: number;
  offset = 0; // head of the log
  version = 1;
  epoch = '1';
  sealedUntilMs = T0;
  live = true;
  reloadMs = 1_000;
  #changes: { readonly version: number; readonly startMs: number; readonly removed: boolean }[] = [];

  constructor(options: { broadcast?: number; sliceEvents?: number } = {}) {
    this.broadcast = options.broadcast ?? 1;
    this.sliceEvents = options.sliceEvents ?? 20;
  }

  get position(): Position {
    return { epoch: this.epoch, offset: this.offset };
  }

  say(programMs: number, more: Partial<WireEvent> = {}): WireEvent {
    this.offset += 1;
    const event = wireEvent(this.offset, programMs, { broadcast: this.broadcast, ...more });
    this.events.set(event.offset, event);
    if (programMs < this.sealedUntilMs) this.#revise(programMs);
    return event;
  }

  hide(target: number): void {
    this.offset += 1;
    this.hidden.add(target);
    this.hides.push({ offset: this.offset, target });
    const event = this.events.get(target)!;
    if (event.program_ms < this.sealedUntilMs) this.#revise(event.program_ms);
  }

  restore(target: number): WireEvent {
    this.offset += 1;
    this.hidden.delete(target);
    const event = this.events.get(target)!;
    if (event.program_ms < this.sealedUntilMs) this.#revise(event.program_ms);
    return event;
  }

  /** Move the watermark: full slices are cut, a pending one holds `sealed_until_ms` back, empty time does not. */
  seal(untilMs: number): void {
    for (;;) {
      const pending = this.#visible().filter((event) => event.program_ms >= this.sealedUntilMs && event.program_ms < untilMs);
      const first = pending[0];
      if (first === undefined) break;
      const startMs = Math.max(this.sealedUntilMs, Math.floor(first.program_ms / 1000) * 1000);
      const last = pending[this.sliceEvents - 1];
      const endMs = last === undefined ? untilMs : Math.floor(last.program_ms / 1000) * 1000 + 1000;
      if (endMs > untilMs) break;
      this.#change({ startMs, endMs, revision: 1, epoch: this.epoch }, false);
      this.sealedUntilMs = endMs;
    }
    const pending = this.#visible().find((event) => event.program_ms >= this.sealedUntilMs && event.program_ms < untilMs);
    this.sealedUntilMs = Math.max(this.sealedUntilMs, pending === undefined ? untilMs : Math.floor(pending.program_ms / 1000) * 1000);
  }

  playlist(query: { since?: number | null; fromMs?: number | null; toMs?: number | null; windowMs?: number } = {}): WirePlaylist {
    const fromMs = Math.max(T0, query.fromMs ?? (query.windowMs === undefined ? T0 : this.sealedUntilMs - query.windowMs));
    const toMs = query.toMs ?? Infinity;
    const isDelta = query.since != null && query.since <= this.version;
    const changed = new Set(this.#changes.filter((change) => change.version > (query.since ?? 0)).map((change) => change.startMs));
    const entries = this.cuts.filter((cut) => cut.endMs > fromMs && cut.startMs < toMs && this.#within(cut).length > 0 && (!isDelta || changed.has(cut.startMs)));
    const removed = isDelta ? [...changed].filter((startMs) => this.#within(this.cuts.find((cut) => cut.startMs === startMs)!).length === 0) : [];
    return {
      room: 'math-101',
      broadcast: this.broadcast,
      live: this.live,
      epoch: this.epoch,
      version: this.version,
      ...(isDelta ? { since: query.since!, removed } : {}),
      as_of: this.position,
      start_ms: fromMs,
      sealed_until_ms: this.sealedUntilMs,
      reload_ms: this.reloadMs,
      earlier: this.cuts.some((cut) => cut.endMs <= fromMs),
      base: '/v1/rooms/math-101/slices/',
      slices: entries.map((cut) => {
        const within = this.#within(cut);
        const messages = within.filter((event) => MESSAGE_KINDS.has(event.kind)).length;
        return { start_ms: cut.startMs, end_ms: cut.endMs, events: within.length, messages, epoch: cut.epoch, revision: cut.revision };
      }),
      broadcasts: [{ broadcast: this.broadcast, start_ms: T0, media_sequence: null }],
    };
  }

  /** Null when that revision is not the present one: 410. */
  slice(startMs: number, revision: number): WireSlice | null {
    const cut = this.cuts.find((one) => one.startMs === startMs);
    if (cut === undefined || cut.revision !== revision || this.#within(cut).length === 0) return null;
    return { ...this.#sliceOf(cut.startMs, cut.endMs, cut.revision, this.#within(cut)), epoch: cut.epoch };
  }

  open(fromMs: number, after: number | null = null): WireSlice {
    const events = this.#visible().filter((event) => event.program_ms >= fromMs && event.offset > (after ?? 0));
    const gone = after === null ? {} : { gone: this.hides.filter((hide) => hide.offset > after).map((hide) => hide.target) };
    return { ...this.#sliceOf(fromMs, fromMs + 60_000, 0, events), version: this.version, sealed_until_ms: this.sealedUntilMs, ...gone };
  }

  /** Answer what a timeline wants, as the network would. */
  answer(room: RoomCache, wanted: Wanted, windowMs?: number): void {
    const cache = wanted.broadcast === null ? null : room.broadcast(wanted.broadcast);
    if (wanted.what === 'playlist') {
      if (wanted.fromMs !== null) cache!.receiveEarlierPlaylist(this.playlist({ fromMs: wanted.fromMs, toMs: wanted.toMs }));
      else {
        const list = cache?.playlist ?? null;
        room.receivePlaylist(this.playlist({ since: list?.version ?? null, fromMs: list?.isExtended ? list.startMs : null, ...(windowMs === undefined ? {} : { windowMs }) }), 0);
      }
    } else if (wanted.what === 'slice') {
      const slice = this.slice(wanted.entry.startMs, wanted.entry.revision);
      if (slice === null) room.receivePlaylist(this.playlist({ since: cache!.playlist!.version }), 0);
      else cache!.receiveSlice(slice);
    } else {
      cache!.receiveOpen(this.open(cache!.playlist!.sealedUntilMs), null, 0);
    }
  }

  /** The naive truth: everything not hidden and due at `cutoffMs`, by place. */
  due(cutoffMs: number): ChatEvent[] {
    return this.#visible()
      .filter((event) => event.program_ms <= cutoffMs && SHOWN_KINDS.has(event.kind))
      .map((event) => eventFromWire(event, this.broadcast, AUTHORS)!)
      .sort(comparePlace);
  }

  /** The naive truth of the state: everything due at `cutoffMs`, folded at once. */
  stateAt(cutoffMs: number): RoomState {
    const events = this.#visible()
      .filter((event) => event.program_ms <= cutoffMs && STATE_KINDS.has(event.kind))
      .map((event) => eventFromWire(event, this.broadcast, AUTHORS)!)
      .sort(comparePlace);
    return folded(EMPTY_STATE, events, talliesFromWire(this.counts.filter((count) => count.program_ms <= cutoffMs)));
  }

  lastDue(cutoffMs: number, count = 50): number[] {
    const due = this.due(cutoffMs);
    let first = due.length;
    for (let messages = 0; first > 0 && messages < count; ) {
      first -= 1;
      if (MESSAGE_KINDS.has(due[first]!.kind)) messages += 1;
    }
    return due.slice(first).map((event) => event.offset);
  }

  #visible(): WireEvent[] {
    return [...this.events.values()].filter((event) => !this.hidden.has(event.offset)).sort((a, b) => a.program_ms - b.program_ms || a.offset - b.offset);
  }

  #within(cut: Cut): WireEvent[] {
    return this.#visible().filter((event) => event.program_ms >= cut.startMs && event.program_ms < cut.endMs);
  }

  #sliceOf(startMs: number, endMs: number, revision: number, events: WireEvent[]): WireSlice {
    const wire = events.map(({ broadcast: _broadcast, ...event }) => event);
    const isOpen = revision === 0;
    return {
      broadcast: this.broadcast,
      start_ms: startMs,
      end_ms: endMs,
      epoch: this.epoch,
      revision,
      as_of: this.position,
      state: stateToWire(this.stateAt(startMs - 1)),
      authors: [...AUTHORS],
      events: wire,
      tallies: this.counts.filter((count) => count.program_ms >= startMs && (isOpen || count.program_ms < endMs)),
    };
  }

  #revise(programMs: number): void {
    const cut = this.cuts.find((one) => one.startMs <= programMs && programMs < one.endMs);
    if (cut !== undefined) {
      cut.revision += 1;
      cut.epoch = this.epoch;
      this.#change(cut, true);
      return;
    }
    const second = Math.floor(programMs / 1000) * 1000;
    const before = this.cuts.filter((one) => one.endMs <= programMs).at(-1)?.endMs ?? T0;
    const after = this.cuts.find((one) => one.startMs > programMs)?.startMs ?? this.sealedUntilMs;
    this.#change({ startMs: Math.max(second, before), endMs: Math.min(second + 1000, after), revision: 1, epoch: this.epoch }, false);
  }

  #change(cut: Cut, isKnown: boolean): void {
    if (!isKnown) {
      this.cuts.push(cut);
      this.cuts.sort((a, b) => a.startMs - b.startMs);
    }
    this.version += 1;
    this.#changes.push({ version: this.version, startMs: cut.startMs, removed: false });
  }
}

/** A state as slices, `welcome` and `state` print it; a poll that is closed is no part of it. */
export function stateToWire(state: RoomState): Record<string, unknown> {
  const authorOf = (author: { readonly key: string } | null): unknown => (author === null ? undefined : AUTHORS.find((one) => one.key === author.key));
  return {
    mode: state.mode,
    pinned: state.pins.map(({ offset, text, programMs }) => ({ offset, kind: 'pinned', text, program_ms: programMs })),
    polls: state.polls
      .filter((poll) => poll.isOpen)
      .map(({ poll, offset, question, choices, multiple, programMs, tally, voters }) => ({ poll, offset, question, choices, multiple, program_ms: programMs, voters, tally })),
    hands: state.hands.map((hand) => ({ author: authorOf(hand.author), since_ms: hand.sinceMs })),
    questions: state.questions.map(({ offset, text, upvotes, programMs, author }) => ({ offset, text, upvotes, program_ms: programMs, author: authorOf(author) })),
  };
}
