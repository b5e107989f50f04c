/**
 * The state that belongs to the picture, and the one at the live edge.
 *
 * Owns: which of the two is shown, when it is folded anew, counts that the socket tells without a moment of their own.
 * Does not know: how a state is folded (room-state.ts), slices, the network. Units: program time in ms.
 * Source: contract §1 (polls, pins and modes are shown as of the playhead, enforced as of the edge), §5 (state, tallies).
 */

import type { VisibleRows } from './replay.js';
import { counted, countsFromWire, stateFromWire, type EdgeCounts, type RoomState } from './room-state.js';
import type { RoomCache } from './room-cache.js';

const COUNTS_MAX = 200; // polls and questions that are counted at the edge

/** Who else is there, as the relay last said. */
export interface Audience {
  readonly viewers: number;
  readonly typing: number;
}

const NO_COUNTS: EdgeCounts = { polls: new Map(), upvotes: new Map() };

export class ShownState {
  readonly #room: RoomCache;
  #edge: RoomState | null = null;
  #countedEdge: RoomState | null = null;
  #counts: EdgeCounts = NO_COUNTS;
  #countsVersion = 0;
  #audience: Audience | null = null;
  #shown: RoomState | null = null;
  #key = '';
  #looked = '';

  constructor(room: RoomCache) {
    this.#room = room;
  }

  get shown(): RoomState | null {
    return this.#shown;
  }

  get edge(): RoomState | null {
    if (this.#edge === null) return null;
    return (this.#countedEdge ??= counted(this.#edge, this.#counts));
  }

  get audience(): Audience | null {
    return this.#audience;
  }

  /** `welcome` and `state` tell the edge's. */
  receiveEdge(wire: unknown): void {
    if (wire === undefined) return;
    this.#edge = stateFromWire(wire);
    this.#countedEdge = null;
    this.#countsVersion += 1;
  }

  /** @returns whether the audience is another. */
  receiveTallies(frame: { readonly polls?: unknown; readonly upvotes?: unknown; readonly viewers?: unknown; readonly typing?: unknown }): boolean {
    const { polls, upvotes } = countsFromWire(frame);
    // A poll that has become final is told of once: what was told before stays.
    this.#counts = { polls: newest(new Map([...this.#counts.polls, ...polls])), upvotes: newest(new Map([...this.#counts.upvotes, ...upvotes])) };
    this.#countedEdge = null;
    this.#countsVersion += 1;
    const before = this.#audience;
    const [viewers, typing] = [Number(frame.viewers) || 0, Number(frame.typing) || 0];
    this.#audience = { viewers, typing };
    return before?.viewers !== viewers || before.typing !== typing;
  }

  /**
   * See which state belongs to the picture now. Cheap when nothing changed: call it at every frame.
   *
   * @returns whether it is another.
   */
  look(rows: VisibleRows): boolean {
    const { basis, broadcast, cutoffMs, isAtEnd } = rows;
    if (basis === 'nothing') return this.#show(null, 'nothing');
    if (basis === 'arrival' || isAtEnd) {
      if (this.#edge !== null) return this.#show(() => this.edge, `edge ${this.#countsVersion}`);
    }
    const untilMs = basis === 'arrival' || isAtEnd ? Number.MAX_SAFE_INTEGER : cutoffMs;
    if (broadcast === null || untilMs === null) return false;
    const cache = this.#room.broadcast(broadcast);
    // Votes come once a second; a moment of the picture's is fine enough for what is up beside it.
    const looked = `${broadcast} ${cache.version} ${Math.floor(untilMs / 100)} ${this.#countsVersion} ${rows.generation}`;
    if (looked === this.#looked) return false;
    this.#looked = looked;
    const held = cache.stateAt(untilMs);
    if (held === null) return false; // what was shown stays until it is known
    const isOpen = cache.playlist === null || untilMs >= cache.playlist.sealedUntilMs;
    if (!isOpen) return this.#show(held.state, `${broadcast} ${held.key}`);
    return this.#show(() => counted(held.state(), this.#counts, this.#edge), `${broadcast} ${held.key} ${this.#countsVersion}`);
  }

  reset(): void {
    this.#edge = this.#countedEdge = null;
    this.#counts = NO_COUNTS;
    this.#looked = '';
  }

  #show(state: (() => RoomState | null) | null, key: string): boolean {
    if (key === this.#key) return false;
    this.#key = key;
    if (state === null && this.#shown === null) return false;
    this.#shown = state === null ? null : state();
    return true;
  }
}

function newest<Key, Value>(map: Map<Key, Value>): Map<Key, Value> {
  for (const key of map.keys()) {
    if (map.size <= COUNTS_MAX) break;
    map.delete(key);
  }
  return map;
}
