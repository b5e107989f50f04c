/**
 * What a player holds of one broadcast: sealed slices by revision, the open slice, the live tail.
 *
 * Owns: which ranges of program time are fully known and what is missing, merging and deduplication by offset,
 * eviction, the state at an instant. Does not know: how lists are merged (chat-playlist.ts), what else the room holds (room-cache.ts), the
 * network, the DOM, the playhead's source, clocks (the monotonic time of an answer is handed in).
 * Units: program time in ms since the Unix epoch; ranges half-open; `monotonicMs` only for ages.
 * Source: contract §3 (slices, open slice), §5 (hand-over after a reset).
 *
 * Why a range is known: the chat playlist answers for all program time below its `sealed_until_ms` (what
 * lies between two of its slices is empty). The open slice, once it reaches the offset from which the socket
 * delivers everything, answers for all above its `from_ms`: an event there is in one or the other.
 */

import { entryAfter, mergeEarlier, mergePlaylist, type Playlist, type SliceEntry } from './chat-playlist.js';
import { comparePlace, eventsFromWire, type ChatEvent, type WirePlaylist, type WireSlice } from './protocol.js';
import { EMPTY_STATE, folded, STATE_KINDS, stateFromWire, talliesChanged, talliesFromWire, type RoomState, type Tally } from './room-state.js';

/** Slices older than this without a fresh chat playlist are not shown: a hide may have passed us by. */
export const STALE_AFTER_MS = 300_000;

const SLICE_EVENTS_MAX = 20_000; // about an hour of a lively lecture; a few MB
const TAIL_EVENTS_MAX = 6_000; // 30 s at 200 events/s
const TAIL_EVENTS_KEPT = 3_000;
const TAIL_EVENTS_BOUND = 30_000; // what waits for the list to say that it is sealed: with a socket that is asked once a minute

interface LoadedSlice {
  readonly startMs: number;
  readonly endMs: number;
  readonly revision: number;
  readonly asOf: number;
  readonly events: readonly ChatEvent[];
  readonly state: RoomState; // before `startMs`
  readonly tallies: readonly Tally[];
  verifiedAsOf: number; // position up to which this revision was known to be the present one
  usedAt: number; // a counter, not a time
}

/** What has to be loaded before a pane is right. */
export type Wanted =
  | { readonly what: 'playlist'; readonly broadcast: number | null; readonly fromMs: number | null; readonly toMs: number | null }
  | { readonly what: 'slice'; readonly broadcast: number; readonly entry: SliceEntry }
  | { readonly what: 'open'; readonly broadcast: number };

/** First index whose place is above `(programMs, any offset)`: how many events are due at a cut-off. */
export function countDue(events: readonly ChatEvent[], programMs: number): number {
  let low = 0;
  let high = events.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (events[middle]!.programMs <= programMs) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** What a broadcast has to know of its room, and tell it. */
export interface RoomOfCache {
  /** Offset above which the socket has delivered everything and still does; null without one. */
  readonly socketFrom: number | null;
  isHidden(offset: number): boolean;
  hide(offsets: readonly number[], asOf: number): void;
  /** A slice written at `asOf` holds these. */
  seen(events: readonly ChatEvent[], asOf: number): void;
  /** These came by a polled open slice. */
  arrived(events: readonly ChatEvent[]): void;
}

/** Everything held of one broadcast. */
export class SliceCache {
  readonly broadcast: number;
  readonly #room: RoomOfCache;
  #playlist: Playlist | null = null;
  #playlistAtMs: number | null = null; // monotonic
  #fresh = true;
  readonly #slices = new Map<number, LoadedSlice>(); // by start
  readonly #tail = new Map<number, ChatEvent>(); // open slice and socket, by offset
  #trimmedAtMs = -Infinity; // how far was sealed when the tail was last cut
  #tailFromMs: number | null = null; // from here on everything is known, once joined
  #openAsOf: number | null = null;
  #openAtMs: number | null = null; // monotonic
  #openVersion: number | null = null; // of the chat playlist, as the newest open slice says
  #tailState: { readonly fromMs: number; readonly state: RoomState } | null = null; // before `fromMs`
  #tailTallies: readonly Tally[] = []; // of the open slice, from there on
  #tailTold = '';
  #tailRevision = 0;
  #events: ChatEvent[] = [];
  readonly #byOffset = new Map<number, ChatEvent>();
  #version = 0;
  #uses = 0;

  constructor(room: RoomOfCache, broadcast: number) {
    this.#room = room;
    this.broadcast = broadcast;
  }

  /** All known events, ordered by (program time, offset), hidden ones left out. */
  get events(): readonly ChatEvent[] {
    return this.#events;
  }

  /** Rises when `events`, the playlist or what is covered changes. */
  get version(): number {
    return this.#version;
  }

  get playlist(): Playlist | null {
    return this.#playlist;
  }

  /** Monotonic time of the newest chat playlist; null before the first. */
  get playlistAtMs(): number | null {
    return this.#playlistAtMs;
  }

  /** The newest offset an open slice has covered, and when (monotonic); null before the first. */
  get open(): { readonly asOf: number; readonly atMs: number } | null {
    return this.#openAsOf === null || this.#openAtMs === null ? null : { asOf: this.#openAsOf, atMs: this.#openAtMs };
  }

  /** Whether the newest open slice says that the chat playlist held is the present one. */
  get isListPresent(): boolean {
    return this.#openVersion !== null && this.#openVersion === this.#playlist?.version;
  }

  /** True once open slice and socket together miss nothing from some instant on. */
  get joined(): boolean {
    return this.#tailFromMs !== null;
  }

  /** False while slices are held back because no chat playlist came for `STALE_AFTER_MS`. */
  get isFresh(): boolean {
    return this.#fresh;
  }

  get loadedSlices(): number {
    return this.#slices.size;
  }

  event(offset: number): ChatEvent | undefined {
    return this.#byOffset.get(offset);
  }

  /** True for what came by the open slice or the socket, which is right whatever slices are missing. */
  isInTail(offset: number): boolean {
    return this.#tail.has(offset);
  }

  /** Merge an answer of `chat.json`. Slices it no longer lists are dropped; those it lists unchanged are verified. */
  receivePlaylist(wire: WirePlaylist, monotonicMs: number): void {
    const list = mergePlaylist(this.#playlist, wire);
    this.#playlist = list;
    this.#playlistAtMs = monotonicMs;
    this.#fresh = true;
    const listed = new Map(list.entries.map((entry) => [entry.startMs, entry]));
    for (const slice of [...this.#slices.values()]) {
      const entry = listed.get(slice.startMs);
      if (entry === undefined && slice.startMs >= list.startMs) this.#slices.delete(slice.startMs);
      else if (entry?.revision === slice.revision) slice.verifiedAsOf = Math.max(slice.verifiedAsOf, list.asOfOffset);
    }
    this.#trimTail();
    this.#rebuild();
  }

  /** Merge an older part of the list: the answer to a request with `from_ms` and `to_ms`. */
  receiveEarlierPlaylist(wire: WirePlaylist): void {
    const now = this.#playlist;
    if (now === null || wire.epoch !== now.epoch) return;
    this.#playlist = mergeEarlier(now, wire);
    this.#version += 1;
  }

  /** Take in a sealed slice. False when it is of another epoch than is listed, or older than the one held. */
  receiveSlice(wire: WireSlice): boolean {
    const list = this.#playlist;
    // A slice keeps the epoch it was sealed in: where the room's has risen since, the list names both.
    const listed = list?.entries.find((entry) => entry.startMs === wire.start_ms);
    if (list !== null && wire.epoch !== (listed ?? list).epoch) return false;
    const held = this.#slices.get(wire.start_ms);
    if (held !== undefined && held.revision > wire.revision) return false;
    const events = eventsFromWire(wire.events, this.broadcast, wire.authors);
    this.#room.seen(events, wire.as_of.offset);
    const slice: LoadedSlice = {
      startMs: wire.start_ms,
      endMs: wire.end_ms,
      revision: wire.revision,
      asOf: wire.as_of.offset,
      events,
      state: stateFromWire(wire.state, wire.authors),
      tallies: talliesFromWire(wire.tallies),
      verifiedAsOf: wire.as_of.offset,
      usedAt: (this.#uses += 1),
    };
    this.#slices.set(wire.start_ms, slice);
    const evicted = this.#evictSlices();
    // The usual case costs as much as the slice has events: nothing was held of it, and nothing lies between its events.
    const isQuick = held === undefined && this.#fresh && this.#insert(slice) && evicted.every((one) => this.#remove(one));
    if (isQuick) this.#version += 1;
    else this.#rebuild();
    return true;
  }

  /**
   * Take in the open slice.
   *
   * @param wire as answered; with `after` it holds only newer events and `gone`.
   * @param after the offset asked from, null for a full answer.
   * @returns whether open slice and socket now meet. If not, ask again: its `as_of` is still below the socket's start.
   */
  receiveOpen(wire: WireSlice, after: number | null, monotonicMs: number): boolean {
    const { socketFrom } = this.#room;
    if (this.#playlist !== null && wire.epoch !== this.#playlist.epoch) return false;
    const events = eventsFromWire(wire.events, this.broadcast, wire.authors);
    this.#room.seen(events, wire.as_of.offset);
    if (after === null && socketFrom === null) {
      // A full answer speaks for everything up to its position: what it leaves out was hidden or has moved. With a
      // socket, `gone` and `back` say so, and what only this viewer may see is never in an open slice.
      const present = new Set(events.map((event) => event.offset));
      for (const [offset, event] of this.#tail) {
        if (event.programMs >= wire.start_ms && offset <= wire.as_of.offset && !present.has(offset)) this.#tail.delete(offset);
      }
    }
    this.#receiveTailState(wire, after);
    this.#openVersion = wire.version ?? null;
    const list = this.#playlist;
    if (list !== null && wire.version === list.version && wire.sealed_until_ms != null && wire.sealed_until_ms > list.sealedUntilMs) {
      // The same list, and nothing was said in what has been sealed since: all who poll go on from the same instant.
      this.#playlist = { ...list, sealedUntilMs: wire.sealed_until_ms };
    }
    for (const event of events) this.#tail.set(event.offset, event);
    if (socketFrom === null) this.#room.arrived(events);
    this.#room.hide(wire.gone ?? [], wire.as_of.offset);
    if (wire.as_of.offset >= (this.#openAsOf ?? -1)) {
      this.#openAsOf = wire.as_of.offset;
      this.#openAtMs = monotonicMs;
    }
    const meets = socketFrom === null || wire.as_of.offset >= socketFrom;
    if (meets) {
      if (this.#tailFromMs === null) this.#tailFromMs = wire.start_ms;
      else if (socketFrom === null) this.#raiseTail(wire.start_ms); // polled: what was sealed since may have been revised
      else this.#tailFromMs = Math.min(this.#tailFromMs, wire.start_ms);
    }
    this.#rebuild();
    return meets;
  }

  /** A broadcast whose opening the socket delivered: nothing of it can be missing. */
  openedOnSocket(): void {
    this.#tailFromMs = Number.NEGATIVE_INFINITY;
    this.#tailState = { fromMs: Number.NEGATIVE_INFINITY, state: EMPTY_STATE };
    this.#version += 1;
  }

  /** The socket's run was broken or has begun anew: the open slice has to be met again. */
  unjoin(): void {
    this.#tailFromMs = null;
    this.#tailState = null;
    this.#openAsOf = null;
    this.#openAtMs = null;
    this.#version += 1;
  }

  /** Events of the socket, in any order; the same offset again replaces. Few at a time, so they are placed one by one. */
  receiveTail(events: readonly ChatEvent[]): void {
    for (const event of events) {
      this.#tail.set(event.offset, event);
      this.#place(event);
    }
    if (events.length > 0) this.#version += 1;
    if (this.#trimTail()) this.#rebuild();
  }

  /** Take out what was hidden, or has moved to another broadcast. */
  drop(offsets: readonly number[]): void {
    for (const offset of offsets) {
      this.#tail.delete(offset);
      const event = this.#byOffset.get(offset);
      if (event === undefined) continue;
      this.#byOffset.delete(offset);
      this.#events.splice(this.#indexOf(event), 1);
      this.#version += 1;
    }
  }

  /** Called as time goes by; slices stop being shown when no chat playlist came for `STALE_AFTER_MS`. */
  expire(monotonicMs: number): void {
    const fresh = this.#playlistAtMs === null || monotonicMs - this.#playlistAtMs <= STALE_AFTER_MS;
    if (fresh === this.#fresh) return;
    this.#fresh = fresh;
    this.#rebuild();
  }

  /**
   * How far back everything is known without a break.
   *
   * @returns the smallest `from` such that all events of `[from, toMs]` are held; -Infinity when that reaches the
   *   broadcast's start; null when not even the instant `toMs` is known.
   */
  coveredBackFrom(toMs: number): number | null {
    let from = toMs + 1;
    if (this.#tailFromMs !== null && from > this.#tailFromMs) {
      if (this.#tailFromMs === Number.NEGATIVE_INFINITY) return Number.NEGATIVE_INFINITY;
      from = this.#tailFromMs;
    }
    const list = this.#playlist;
    const unknown = (): number | null => (from === toMs + 1 ? null : from);
    if (list === null || !this.#fresh || from > list.sealedUntilMs) return unknown();
    for (let index = entryAfter(list.entries, from - 1); index >= 0; index -= 1) {
      const entry = list.entries[index];
      if (entry === undefined || entry.startMs >= from) continue;
      if (!this.#isRight(entry)) {
        if (entry.endMs < from) from = entry.endMs;
        return unknown();
      }
      from = entry.startMs;
    }
    if (from > list.startMs) from = list.startMs;
    return list.earlier ? unknown() : Number.NEGATIVE_INFINITY;
  }

  /**
   * Mode, pins, polls, hands and questions at an instant, what stands at it included.
   *
   * @returns the state, and a `key` that is another when the state may be; null while it is not known.
   */
  stateAt(programMs: number): { readonly state: () => RoomState; readonly key: string } | null {
    const tail = this.#tailState;
    if (tail !== null && programMs >= tail.fromMs && this.#tailFromMs !== null && this.#tailFromMs <= tail.fromMs) {
      return this.#stateOn(tail, this.#tailTallies, programMs, `tail ${tail.fromMs} ${this.#tailRevision}`);
    }
    const list = this.#playlist;
    if (list === null || !this.#fresh || programMs >= list.sealedUntilMs) return null;
    let index = entryAfter(list.entries, programMs);
    if (list.entries[index] === undefined || list.entries[index]!.startMs > programMs) index -= 1; // empty time: the slice before says it
    const entry = list.entries[index];
    if (entry === undefined) return programMs >= list.startMs && !list.earlier ? { state: () => EMPTY_STATE, key: 'nothing yet' } : null;
    const slice = this.#slices.get(entry.startMs);
    if (slice === undefined) return null;
    return this.#stateOn({ fromMs: slice.startMs, state: slice.state }, slice.tallies, programMs, `${slice.startMs} ${slice.revision}`);
  }

  /** False when this offset should be held and is not: it was hidden, or moved away. Unknown places are true. */
  mayStillExist(event: ChatEvent): boolean {
    if (this.#byOffset.has(event.offset)) return true;
    if (this.#room.isHidden(event.offset)) return false;
    const slice = this.#sliceAt(event.programMs);
    if (slice !== null && slice.asOf >= event.offset) return false;
    const list = this.#playlist;
    if (list !== null && this.#fresh && event.programMs >= list.startMs && event.programMs < list.sealedUntilMs && list.asOfOffset >= event.offset) {
      const entry = list.entries[entryAfter(list.entries, event.programMs)];
      if (entry === undefined || entry.startMs > event.programMs) return false; // listed as empty
    }
    return !(this.#tailFromMs !== null && event.programMs >= this.#tailFromMs && this.#openAsOf !== null && this.#openAsOf >= event.offset);
  }

  /**
   * What to load so that the last `count` messages up to `toMs`, and all up to `aheadMs`, are held.
   *
   * @param counts which events count as messages (a recording leaves out what was cut).
   */
  wanted(toMs: number, count: number, aheadMs: number, counts: (event: ChatEvent) => boolean): Wanted[] {
    const { broadcast } = this;
    const list = this.#playlist;
    if (list === null || !this.#fresh) return [{ what: 'playlist', broadcast, fromMs: null, toMs: null }];
    const wanted: Wanted[] = [];
    const isTailKnown = this.#tailFromMs !== null && this.#tailFromMs <= list.sealedUntilMs;
    if (toMs + aheadMs >= list.sealedUntilMs && !isTailKnown) wanted.push({ what: 'open', broadcast });
    let missing = count;
    const tailFrom = this.#tailFromMs ?? list.sealedUntilMs;
    for (let index = countDue(this.#events, toMs) - 1; index >= 0 && missing > 0; index -= 1) {
      const event = this.#events[index]!;
      if (event.programMs < tailFrom) break;
      if (counts(event)) missing -= 1;
    }
    for (let index = entryAfter(list.entries, toMs + aheadMs); index >= 0; index -= 1) {
      const entry = list.entries[index];
      if (entry === undefined || entry.startMs > toMs + aheadMs || entry.startMs >= tailFrom) continue;
      if (entry.endMs <= toMs && missing <= 0) return wanted;
      const slice = this.#slices.get(entry.startMs);
      if (slice === undefined || slice.revision < entry.revision) wanted.push({ what: 'slice', broadcast, entry });
      if (slice !== undefined) {
        slice.usedAt = this.#uses += 1;
        for (const event of slice.events) {
          if (event.programMs <= toMs && event.programMs < tailFrom && counts(event) && !this.#room.isHidden(event.offset)) missing -= 1;
        }
      } else if (entry.endMs <= toMs) {
        missing -= entry.messages;
      }
    }
    if (missing > 0 && list.earlier) {
      const hourMs = 3_600_000;
      wanted.push({ what: 'playlist', broadcast, fromMs: Math.min(list.startMs, toMs) - hourMs, toMs: list.startMs });
    }
    return wanted;
  }

  /** Held in its listed revision, or in an older one whose changes since the socket has brought. */
  #isRight(entry: SliceEntry): boolean {
    const slice = this.#slices.get(entry.startMs);
    if (slice === undefined) return false;
    const { socketFrom } = this.#room;
    return slice.revision >= entry.revision || (socketFrom !== null && slice.verifiedAsOf >= socketFrom);
  }

  #sliceAt(programMs: number): LoadedSlice | null {
    const list = this.#playlist;
    const entry = list?.entries[entryAfter(list.entries, programMs)];
    return entry !== undefined && entry.startMs <= programMs ? (this.#slices.get(entry.startMs) ?? null) : null;
  }

  /** Of an open slice: the newest stands, unless it begins after what the tail holds. */
  #receiveTailState(wire: WireSlice, after: number | null): void {
    const held = this.#tailState;
    if (wire.state === undefined || (held !== null && held.fromMs > wire.start_ms)) return;
    this.#tailState = { fromMs: wire.start_ms, state: stateFromWire(wire.state, wire.authors) };
    const tallies = talliesFromWire(wire.tallies);
    // Whoever polls gets the same again most of the time: then what was made of it stands.
    const told = JSON.stringify([wire.start_ms, wire.state, wire.tallies]);
    if (told !== this.#tailTold) this.#tailRevision += 1;
    this.#tailTold = told;
    const kept = after === null ? [] : this.#tailTallies.filter((tally) => tally.programMs >= wire.start_ms);
    this.#tailTallies = kept.length === 0 ? tallies : talliesChanged(kept, tallies);
  }

  #stateOn(base: { readonly fromMs: number; readonly state: RoomState }, tallies: readonly Tally[], programMs: number, name: string): { readonly state: () => RoomState; readonly key: string } {
    const { events, counts, key } = this.#foldable(base.fromMs, tallies, programMs);
    return { state: () => (events.length === 0 && counts.length === 0 ? base.state : folded(base.state, events, counts)), key: `${name} ${key}` };
  }

  /** What bears on the state from an instant up to another, both included. */
  #foldable(fromMs: number, tallies: readonly Tally[], toMs: number): { events: ChatEvent[]; counts: readonly Tally[]; key: string } {
    const events: ChatEvent[] = [];
    let sum = 0;
    for (let index = countDue(this.#events, fromMs - 1); index < this.#events.length; index += 1) {
      const event = this.#events[index]!;
      if (event.programMs > toMs) break;
      if (!STATE_KINDS.has(event.kind)) continue;
      events.push(event);
      sum += event.offset;
    }
    let due = 0;
    while (due < tallies.length && tallies[due]!.programMs <= toMs) due += 1;
    return { events, counts: tallies.slice(0, due), key: `${events.length} ${sum} ${due}` };
  }

  #indexOf(event: ChatEvent): number {
    let low = 0;
    let high = this.#events.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (comparePlace(this.#events[middle]!, event) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #place(event: ChatEvent): void {
    const before = this.#byOffset.get(event.offset);
    if (before !== undefined) this.#events.splice(this.#indexOf(before), 1);
    if (this.#room.isHidden(event.offset)) {
      this.#byOffset.delete(event.offset);
      return;
    }
    this.#byOffset.set(event.offset, event);
    this.#events.splice(this.#indexOf(event), 0, event);
  }

  /** Merge anew from slices and tail. The tail wins: it is at least as new as any slice that holds the same offset. */
  #rebuild(): void {
    this.#byOffset.clear();
    if (this.#fresh) {
      for (const slice of this.#slices.values()) {
        for (const event of slice.events) if (!this.#room.isHidden(event.offset)) this.#byOffset.set(event.offset, event);
      }
    }
    for (const event of this.#tail.values()) if (!this.#room.isHidden(event.offset)) this.#byOffset.set(event.offset, event);
    this.#events = [...this.#byOffset.values()].sort(comparePlace);
    this.#version += 1;
  }

  /** Put a slice's events among the others. False, with nothing done, where they are not the only ones of their range. */
  #insert(slice: LoadedSlice): boolean {
    const block = slice.events.filter((event) => !this.#room.isHidden(event.offset) && !this.#byOffset.has(event.offset));
    const [first, last] = [block[0], block.at(-1)];
    if (block.length < slice.events.length && slice.events.some((event) => this.#byOffset.has(event.offset))) return false;
    if (first === undefined || last === undefined) return true;
    const index = this.#indexOf(first);
    const next = this.#events[index];
    if (next !== undefined && comparePlace(next, last) < 0) return false;
    this.#events = index === this.#events.length ? this.#events.concat(block) : [...this.#events.slice(0, index), ...block, ...this.#events.slice(index)];
    for (const event of block) this.#byOffset.set(event.offset, event);
    return true;
  }

  /** Take a slice's events out. False where they do not stand together, or came from elsewhere too. */
  #remove(slice: LoadedSlice): boolean {
    const block = slice.events.filter((event) => this.#byOffset.get(event.offset) === event);
    const first = block[0];
    if (first === undefined) return true;
    const index = this.#indexOf(first);
    if (this.#events[index + block.length - 1] !== block.at(-1)) return false;
    this.#events = [...this.#events.slice(0, index), ...this.#events.slice(index + block.length)];
    for (const event of block) this.#byOffset.delete(event.offset);
    return true;
  }

  #evictSlices(): LoadedSlice[] {
    const evicted: LoadedSlice[] = [];
    let held = 0;
    for (const slice of this.#slices.values()) held += slice.events.length + 1;
    if (held <= SLICE_EVENTS_MAX) return evicted;
    for (const slice of [...this.#slices.values()].sort((a, b) => a.usedAt - b.usedAt)) {
      if (held <= SLICE_EVENTS_MAX || this.#slices.size <= 2) break;
      this.#slices.delete(slice.startMs);
      evicted.push(slice);
      held -= slice.events.length + 1;
    }
    return evicted;
  }

  /**
   * Hand what is sealed back to the slices, once the tail is long. What nobody says to be sealed goes too when there is
   * too much of it: whoever wants it asks for the open slice again.
   *
   * @returns whether the tail is shorter.
   */
  #trimTail(): boolean {
    if (this.#tail.size <= TAIL_EVENTS_MAX) return false;
    const sealedMs = this.#playlist !== null && this.#tailFromMs !== null ? this.#playlist.sealedUntilMs : -Infinity;
    const isFull = this.#tail.size > TAIL_EVENTS_BOUND;
    if (sealedMs === this.#trimmedAtMs && !isFull) return false;
    this.#trimmedAtMs = sealedMs;
    let kept = 0;
    let index = this.#events.length - 1;
    for (; index > 0 && kept < TAIL_EVENTS_KEPT; index -= 1) if (this.#tail.has(this.#events[index]!.offset)) kept += 1;
    const first = this.#events[index];
    if (first === undefined) return false;
    this.#raiseTail(isFull ? first.programMs : Math.min(first.programMs, sealedMs));
    return true;
  }

  #raiseTail(fromMs: number): void {
    const held = this.#tailState;
    if (held !== null && held.fromMs < fromMs && this.#tailFromMs !== null && this.#tailFromMs <= held.fromMs) {
      // What leaves the tail is folded into the state it begins with.
      const { events, counts } = this.#foldable(held.fromMs, this.#tailTallies, fromMs - 1);
      this.#tailState = { fromMs, state: folded(held.state, events, counts) };
      this.#tailTallies = this.#tailTallies.filter((tally) => tally.programMs >= fromMs);
    }
    if (this.#tailFromMs !== null && fromMs > this.#tailFromMs) this.#tailFromMs = fromMs;
    for (const [offset, event] of this.#tail) if (event.programMs < fromMs) this.#tail.delete(offset);
  }
}
