/**
 * Which rows a pane shows: a function of what is held, where the playhead is, and how one wants to watch.
 *
 * Owns: rows and their order, the rules of `hold` and `now`, what a seek does, what has to be loaded.
 * Does not know: the DOM, the network, any clock. Media that stands still stands the chat still.
 * Units: program time in ms. Source: contract §1 "What live viewers see".
 *
 * After a seek rows stand by (program time, offset). While following they append in the order they appear, so a
 * message that comes late is read at the bottom and not missed above. Only `seek()` re-bases; a playhead that
 * falls back by itself takes nothing away.
 */

import { comparePlace, MESSAGE_KINDS, SHOWN_KINDS, type ChatEvent, type WireSpan } from './protocol.js';
import type { Playhead } from './playhead.js';
import { ReactionFeed, type Reaction } from './reaction-feed.js';
import type { RoomCache } from './room-cache.js';
import { countDue, type SliceCache, type Wanted } from './slice-cache.js';

export type SyncMode = 'hold' | 'now';

/** Messages before the playhead that stand in the pane at once after a seek. */
export const LAST_MESSAGES = 50;

/** How far ahead of the playhead slices are loaded. */
export const AHEAD_MS = 20_000;

const ROWS_MAX = 1_000; // followed for hours, the pane stays this long
const CORRECTED_MS_MAX = 2_000; // a player that falls back further does so by itself, and takes nothing away
const SMALL_STEP_MS = 1_000; // players nudge themselves over holes; that is not worth a new pane

/** How rows are chosen at the moment. */
export type Basis =
  | 'nothing' // a recording without a playhead
  | 'arrival' // as they come: `now`, or no program time
  | 'playhead';

export interface VisibleRowsOptions {
  /** A recording's spans; null when live. Program time in no span was cut and is left out. */
  readonly spans: readonly WireSpan[] | null;
}

export class VisibleRows {
  readonly #room: RoomCache;
  #spans: readonly WireSpan[] | null;
  #ownKey: string | null = null;
  #rows: ChatEvent[] = [];
  #shown = new Set<number>();
  #version = 0;
  #generation = 0;
  #basis: Basis = 'nothing';
  #broadcast: number | null = null;
  #cutoffMs: number | null = null;
  #isAtEnd = false; // all the media there is has been played: what comes is due
  #dueCount = 0; // events of the cache at or before the cut-off, as of the last look
  #cacheVersion = -1;
  #roomVersion = -1;
  #floor: ChatEvent | null = null; // rows begin here: what is placed before it is history
  #isBasing = true; // rows are re-made from the cache until they are complete
  #wasSought = false;
  #soughtMs = 0; // of the first frame after a seek
  #furthestMs = 0; // that the rows reach to
  #lastWanted = LAST_MESSAGES;
  #appended: ChatEvent[] = [];
  readonly #reactions = new ReactionFeed();
  #settled = false;
  #isSeeking = false;
  #target: { readonly programMs: number; readonly broadcast: number } | null = null;

  constructor(room: RoomCache, options: VisibleRowsOptions = { spans: null }) {
    this.#room = room;
    this.#spans = options.spans;
  }

  /** What the pane shows, top to bottom. Replaced, never changed in place. */
  get rows(): readonly ChatEvent[] {
    return this.#rows;
  }

  /** Rises when `rows` changes. */
  get version(): number {
    return this.#version;
  }

  /** Rises at every seek. An answer asked for in an older generation is of no use any more. */
  get generation(): number {
    return this.#generation;
  }

  get basis(): Basis {
    return this.#basis;
  }

  /** All the media there is has been played: whatever comes is due. */
  get isAtEnd(): boolean {
    return this.#basis === 'playhead' && this.#isAtEnd;
  }

  /** Everything said up to here is due, this instant included; null when rows come by arrival. */
  get cutoffMs(): number | null {
    return this.#basis === 'playhead' && !this.#isAtEnd ? this.#cutoffMs : null;
  }

  get broadcast(): number | null {
    return this.#broadcast;
  }

  /** True when the pane shows all it should: nothing is missing for want of an answer. */
  get settled(): boolean {
    return this.#settled && !this.#isSeeking;
  }

  /** The viewer's own key: what they write is shown at once. */
  set ownKey(key: string | null) {
    this.#ownKey = key;
  }

  set spans(spans: readonly WireSpan[] | null) {
    this.#spans = spans;
    this.rebase();
  }

  /** The player fired `seeking`. Rows stay until the first frame after it. */
  seek(): void {
    this.#generation += 1;
    this.#isSeeking = true;
    this.#wasSought = true;
    this.#settled = false;
  }

  /** Make the rows anew from what is held: another mode, another player, a reset. */
  rebase(): void {
    this.#isBasing = true;
    this.#settled = false;
    this.#lastWanted = LAST_MESSAGES;
  }

  /** What was appended while following since this was last asked: news, unlike what a seek puts there. */
  takeAppended(): ChatEvent[] {
    const appended = this.#appended;
    this.#appended = [];
    return appended;
  }

  /** Reactions that came due while following since this was last asked; never those of a place that was sought. */
  takeReactions(): Reaction[] {
    return this.#reactions.take();
  }

  /** Someone reads upwards: put `LAST_MESSAGES` more before the first row, as soon as they are held. */
  loadEarlier(): void {
    if (this.#basis !== 'playhead' || this.#isBasing) return;
    this.#lastWanted += LAST_MESSAGES;
    this.#prependHistory();
  }

  /**
   * Look at the pane again: at a presented frame, or when something came.
   *
   * @returns whether the rows changed.
   */
  advance(playhead: Playhead, mode: SyncMode): boolean {
    const before = this.#version;
    if (playhead.state === 'seeking') {
      this.#isSeeking = true;
      this.#target = this.#resolved(playhead.target);
      this.#dropHidden();
      return before !== this.#version;
    }
    this.#isSeeking = false;
    this.#target = null;
    const basis = this.#basisFor(playhead, mode);
    if (basis !== this.#basis) {
      this.#basis = basis;
      this.rebase();
    }
    if (basis === 'nothing') this.#replace([]);
    else if (basis === 'arrival') this.#advanceByArrival();
    else if (playhead.state === 'at') this.#advanceTo(playhead);
    else this.#dropHidden();
    return before !== this.#version;
  }

  /**
   * The socket brought events, and the cache has them. What is due already is appended wherever its program time
   * lies: a message of someone who watches behind is read by those who watch ahead. One's own is always due.
   */
  receiveLive(events: readonly ChatEvent[]): boolean {
    if (this.#basis !== 'playhead' || this.#isBasing || this.#isSeeking) return false;
    const before = this.#version;
    for (const event of events) {
      const isOwn = this.#ownKey !== null && event.author?.key === this.#ownKey;
      const isDue = this.#cutoffMs !== null && event.broadcast === this.#broadcast && (this.#isAtEnd || event.programMs <= this.#cutoffMs);
      if ((isDue || isOwn) && this.#isShownKind(event)) this.#append([event]);
    }
    return before !== this.#version;
  }

  /** `back`: restored events take their place again if they lie within the rows; restamped ones change in place. */
  receiveBack(events: readonly ChatEvent[]): boolean {
    const before = this.#version;
    for (const event of events) {
      const index = this.#rows.findIndex((row) => row.offset === event.offset);
      if (index >= 0) {
        this.#rows = this.#rows.map((row) => (row.offset === event.offset ? event : row));
        this.#version += 1;
      } else if (this.#isWithin(event)) {
        let place = this.#rows.length;
        while (place > 0 && comparePlace(this.#rows[place - 1]!, event) > 0) place -= 1;
        this.#rows = [...this.#rows.slice(0, place), event, ...this.#rows.slice(place)];
        this.#shown.add(event.offset);
        this.#version += 1;
      }
    }
    return before !== this.#version;
  }

  /** What to load now, nearest need first. Empty when the pane needs nothing. */
  wanted(): Wanted[] {
    const at = this.#target ?? (this.#basis === 'playhead' && this.#broadcast !== null && this.#cutoffMs !== null
      ? { broadcast: this.#broadcast, programMs: this.#cutoffMs }
      : null);
    if (at === null) return this.#room.latest === null && this.#spans === null ? [{ what: 'playlist', broadcast: null, fromMs: null, toMs: null }] : [];
    const count = this.#target === null ? this.#lastWanted : LAST_MESSAGES;
    return this.#room.broadcast(at.broadcast).wanted(at.programMs, count, AHEAD_MS, (event) => this.#counts(event));
  }

  #resolved(point: { programMs: number; broadcast: number | null; mediaSequence: number | null } | null): { programMs: number; broadcast: number } | null {
    if (point === null) return null;
    const spans = this.#spans;
    // A recording has its own list of broadcasts; a player that goes by dates tells none.
    const begun = spans?.filter((span) => span.program_ms <= point.programMs).at(-1) ?? spans?.[0];
    const broadcast = point.broadcast ?? begun?.broadcast ?? this.#room.broadcastOf(point.programMs, point.mediaSequence);
    return broadcast === null ? null : { programMs: point.programMs, broadcast };
  }

  #basisFor(playhead: Playhead, mode: SyncMode): Basis {
    if (this.#spans === null && mode === 'now') return 'arrival';
    if (playhead.state === 'at') return 'playhead';
    if (this.#basis === 'playhead') return 'playhead'; // known before: an insert, or a player that is just changing levels
    return this.#spans === null ? 'arrival' : 'nothing';
  }

  #advanceByArrival(): void {
    if (!this.#isBasing && this.#roomVersion === this.#room.version) return;
    const arrivals = this.#room.arrivals.filter((event) => SHOWN_KINDS.has(event.kind));
    this.#reactions.arrived(this.#room.arrivals, this.#isBasing);
    if (this.#isBasing) {
      this.#floor = null;
      this.#replace(this.#lastOf(arrivals, LAST_MESSAGES));
      this.#isBasing = this.#room.latest === null;
    } else {
      const byOffset = new Map(this.#room.arrivals.map((event) => [event.offset, event]));
      const first = arrivals[0]?.offset ?? 0;
      this.#keep((row) => !this.#room.isHidden(row.offset) && (row.offset < first || byOffset.has(row.offset)));
      const newest = this.#rows.reduce((offset, row) => Math.max(offset, row.offset), 0);
      this.#append(arrivals.filter((event) => event.offset > newest));
    }
    this.#settled = !this.#isBasing;
    this.#roomVersion = this.#room.version;
    this.#broadcast = this.#room.latest;
  }

  #advanceTo(playhead: Extract<Playhead, { state: 'at' }>): void {
    const at = this.#resolved(playhead.point);
    if (at === null) {
      this.#settled = false;
      return;
    }
    const cache = this.#room.broadcast(at.broadcast);
    // Whoever has seen all the media there is waits for nothing: what is said now is shown now.
    const cutoffMs = at.programMs;
    this.#isAtEnd = playhead.atEnd && this.#spans === null;
    const dueMs = this.#isAtEnd ? Number.MAX_SAFE_INTEGER : cutoffMs;
    const step = this.#cutoffMs === null ? Infinity : cutoffMs - this.#cutoffMs;
    const isElsewhere = at.broadcast !== this.#broadcast || (this.#wasSought && (cutoffMs < this.#furthestMs || step > SMALL_STEP_MS));
    const isCutBack = playhead.atJump && this.#spans !== null && step < -SMALL_STEP_MS; // an edit that goes back in time
    // The first frame after a seek may be placed by what was declared, and put right by the next: what that let in goes.
    const isCorrected = !this.#wasSought && cutoffMs < this.#soughtMs && this.#soughtMs - cutoffMs <= CORRECTED_MS_MAX;
    const isAnew = isElsewhere || isCutBack || isCorrected;
    if (isAnew) this.rebase();
    this.#furthestMs = isAnew ? cutoffMs : Math.max(this.#furthestMs, cutoffMs);
    if (this.#wasSought || isCorrected) this.#soughtMs = cutoffMs;
    this.#wasSought = false;
    this.#broadcast = at.broadcast;
    this.#cutoffMs = cutoffMs;
    const dueCount = countDue(cache.events, dueMs);
    this.#reactions.due(cache.events, dueCount, cutoffMs, isAnew);
    const isChanged = cache.version !== this.#cacheVersion;
    if (!this.#isBasing && !isChanged && dueCount === this.#dueCount) return this.#checkSettled(cache);
    if (this.#isBasing) this.#base(cache, dueCount);
    else this.#follow(cache, dueCount, isChanged);
    this.#dueCount = dueCount;
    this.#cacheVersion = cache.version;
    this.#checkSettled(cache);
  }

  /** After a seek: the last messages before the playhead, by place. What lies beyond a hole in what is held waits. */
  #base(cache: SliceCache, dueCount: number): void {
    const fromMs = cache.coveredBackFrom(this.#cutoffMs!);
    const due: ChatEvent[] = [];
    let messages = 0;
    for (let index = dueCount - 1; index >= 0 && messages < this.#lastWanted; index -= 1) {
      const event = cache.events[index]!;
      if ((fromMs === null || event.programMs < fromMs) && !cache.isInTail(event.offset)) continue;
      if (!this.#isShownKind(event) || !this.#isInEdit(event)) continue;
      due.push(event);
      if (this.#counts(event)) messages += 1;
    }
    due.reverse();
    const isSame = due.length === this.#rows.length && due.every((event, index) => event === this.#rows[index]);
    if (!isSame) this.#replace(due);
    this.#floor = due[0] ?? null;
    this.#isBasing = !this.#isComplete(cache, messages);
    if (messages < this.#lastWanted) this.#floor = null; // the pane begins where the broadcast does
  }

  #isComplete(cache: SliceCache, messages: number): boolean {
    const fromMs = cache.coveredBackFrom(this.#cutoffMs!);
    if (fromMs === null) return false;
    if (fromMs === Number.NEGATIVE_INFINITY) return true;
    return messages >= this.#lastWanted && this.#floor !== null && this.#floor.programMs >= fromMs;
  }

  #follow(cache: SliceCache, dueCount: number, isChanged: boolean): void {
    if (!isChanged) {
      if (dueCount > this.#dueCount) this.#append(cache.events.slice(this.#dueCount, dueCount).filter((event) => this.#isNew(event)));
      return;
    }
    if (!cache.isFresh && this.#rows.length > 0) {
      this.#keep((row) => cache.event(row.offset) !== undefined);
      this.#isBasing = true;
      return;
    }
    this.#dropHidden();
    this.#prependHistory();
    const first = this.#floor === null ? 0 : countDue(cache.events, this.#floor.programMs - 1);
    this.#append(cache.events.slice(first, dueCount).filter((event) => this.#isNew(event)));
  }

  /** Older messages: asked for by reading upwards, or because some of the last ones were hidden. */
  #prependHistory(): void {
    const floor = this.#floor;
    if (floor === null || this.#broadcast === null) return;
    const inPlace = this.#rows.reduce((count, row) => count + (this.#counts(row) && comparePlace(row, floor) >= 0 ? 1 : 0), 0);
    let missing = this.#lastWanted - inPlace;
    if (missing <= 0) return;
    const cache = this.#room.broadcast(this.#broadcast);
    const fromMs = cache.coveredBackFrom(floor.programMs);
    const history: ChatEvent[] = [];
    for (let index = countDue(cache.events, floor.programMs) - 1; index >= 0 && missing > 0; index -= 1) {
      const event = cache.events[index]!;
      if (comparePlace(event, floor) >= 0) continue;
      if (fromMs === null || event.programMs < fromMs) break;
      if (!this.#isShownKind(event) || !this.#isInEdit(event)) continue;
      if (this.#counts(event)) missing -= 1;
      if (!this.#shown.has(event.offset)) history.push(event);
    }
    if (history.length === 0) return;
    history.reverse();
    this.#rows = [...history, ...this.#rows];
    for (const event of history) this.#shown.add(event.offset);
    this.#floor = history[0]!;
    this.#version += 1;
  }

  #checkSettled(cache: SliceCache): void {
    this.#settled = !this.#isBasing && cache.coveredBackFrom(this.#cutoffMs!) !== null;
  }

  /** Take out what was hidden, and put the newest form of what was changed. */
  #dropHidden(): void {
    if (this.#basis !== 'playhead') return this.#keep((row) => !this.#room.isHidden(row.offset));
    this.#keep((row) => !this.#room.isHidden(row.offset) && this.#room.broadcast(row.broadcast).mayStillExist(row));
  }

  #keep(keeps: (row: ChatEvent) => boolean): void {
    const kept = this.#rows.filter(keeps);
    if (kept.length === this.#rows.length) return;
    this.#rows = kept;
    this.#shown = new Set(kept.map((row) => row.offset));
    this.#version += 1;
  }

  #replace(rows: ChatEvent[]): void {
    if (rows.length === 0 && this.#rows.length === 0) return;
    this.#rows = rows;
    this.#shown = new Set(rows.map((row) => row.offset));
    this.#version += 1;
  }

  #append(events: readonly ChatEvent[]): void {
    const added = events.filter((event) => !this.#shown.has(event.offset));
    if (added.length === 0) return;
    this.#appended.push(...added);
    if (this.#appended.length > ROWS_MAX) this.#appended = this.#appended.slice(-ROWS_MAX); // nobody takes them
    let rows = [...this.#rows, ...added];
    for (const event of added) this.#shown.add(event.offset);
    if (rows.length > ROWS_MAX) {
      const trimmed = rows.slice(0, rows.length - ROWS_MAX + ROWS_MAX / 10);
      rows = rows.slice(trimmed.length);
      // What was trimmed must not count as new again.
      for (const row of trimmed) {
        this.#shown.delete(row.offset);
        if (this.#floor === null || comparePlace(row, this.#floor) > 0) this.#floor = row;
      }
      this.#lastWanted = LAST_MESSAGES;
    }
    this.#rows = rows;
    this.#version += 1;
  }

  #isNew(event: ChatEvent): boolean {
    if (this.#shown.has(event.offset) || !this.#isShownKind(event) || !this.#isInEdit(event)) return false;
    return this.#floor === null || comparePlace(event, this.#floor) > 0;
  }

  #isWithin(event: ChatEvent): boolean {
    if (!this.#isShownKind(event) || this.#isBasing) return false;
    if (this.#basis !== 'playhead') return this.#basis === 'arrival' && event.offset >= (this.#rows[0]?.offset ?? Infinity);
    if (event.broadcast !== this.#broadcast || this.#cutoffMs === null || event.programMs > this.#cutoffMs) return false;
    return this.#isInEdit(event) && (this.#floor === null || comparePlace(event, this.#floor) > 0);
  }

  #isShownKind(event: ChatEvent): boolean {
    return SHOWN_KINDS.has(event.kind);
  }

  #counts(event: ChatEvent): boolean {
    return MESSAGE_KINDS.has(event.kind) && this.#isInEdit(event);
  }

  /** What was said before the picture of position 0 is context; what no span shows was cut. */
  #isInEdit(event: ChatEvent): boolean {
    if (this.#spans === null) return true;
    const head = this.#spans[0];
    let firstMs = Infinity;
    for (const span of this.#spans) {
      if (span.broadcast !== event.broadcast) continue;
      if (event.programMs >= span.program_ms && event.programMs <= span.program_ms + span.duration_ms) return true;
      firstMs = Math.min(firstMs, span.program_ms);
    }
    return event.broadcast === head?.broadcast && event.programMs < firstMs;
  }

  #lastOf(events: readonly ChatEvent[], count: number): ChatEvent[] {
    let first = events.length;
    let messages = 0;
    while (first > 0 && messages < count) {
      first -= 1;
      if (MESSAGE_KINDS.has(events[first]!.kind)) messages += 1;
    }
    return events.slice(first);
  }
}
