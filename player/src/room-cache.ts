/**
 * What a player holds of a room: its broadcasts, and what is hidden or came last in any of them.
 *
 * Owns: which broadcasts there are and which one a picture belongs to, hides and restores laid over everything, the
 * order of arrival. Does not know: slices and ranges (slice-cache.ts), the network, the DOM, clocks.
 * Units: program time in ms since the Unix epoch; `monotonicMs` only for ages.
 * Source: contract §2 (hides, restores), §3 (broadcasts of the chat playlist), §5 (socket, reset).
 */

import type { ChatEvent, WireBroadcast, WirePlaylist } from './protocol.js';
import { SliceCache, type RoomOfCache } from './slice-cache.js';

const ARRIVALS_MAX = 400;
const NEAR_MS = 30 * 60_000; // a video goes on so long before the first and after the last word of its file
const ANY_OFFSET = Number.POSITIVE_INFINITY;

export interface BroadcastEntry {
  readonly broadcast: number;
  readonly startMs: number;
  readonly mediaSequence: number | null;
  /** Set if it was made for chat of a file: such a one is bounded, and never the one that is on. */
  readonly endMs: number | null;
}

/** Everything held of a room. Offsets, hides and the socket's position are the room's; the rest lies in its broadcasts. */
export class RoomCache implements RoomOfCache {
  /** Offset above which the socket has delivered everything and still does; null without one. Set by whoever holds it. */
  socketFrom: number | null = null;
  readonly #broadcasts = new Map<number, SliceCache>();
  #listed: readonly BroadcastEntry[] = [];
  readonly #hidden = new Map<number, number>(); // offset → position by which a slice must have left it out
  #arrivals: ChatEvent[] = []; // by offset; the newest only
  #latest: number | null = null;
  #version = 0;

  /** Broadcasts of the newest chat playlist, oldest first. */
  get listed(): readonly BroadcastEntry[] {
    return this.#listed;
  }

  /** The number of the latest broadcast known. */
  get latest(): number | null {
    return this.#latest;
  }

  /** The newest events in the order they arrived, for whoever watches without program time. */
  get arrivals(): readonly ChatEvent[] {
    return this.#arrivals;
  }

  /** Rises when `arrivals` or `listed` changes, and when everything is dropped. */
  get version(): number {
    return this.#version;
  }

  broadcast(number: number): SliceCache {
    let held = this.#broadcasts.get(number);
    if (held === undefined) {
      held = new SliceCache(this, number);
      this.#broadcasts.set(number, held);
      for (const other of this.#broadcasts.keys()) {
        if (this.#broadcasts.size > 4 && other !== number && other !== this.#latest) this.#broadcasts.delete(other);
      }
    }
    return held;
  }

  broadcasts(): Iterable<SliceCache> {
    return this.#broadcasts.values();
  }

  receivePlaylist(wire: WirePlaylist, monotonicMs: number): void {
    if (wire.broadcasts !== undefined && wire.broadcasts.length > 0) this.#list(wire.broadcasts);
    const isOfFile = this.#listed.some((one) => one.broadcast === wire.broadcast && one.endMs !== null);
    if (!isOfFile) this.#latest = Math.max(this.#latest ?? wire.broadcast, wire.broadcast);
    this.broadcast(wire.broadcast).receivePlaylist(wire, monotonicMs);
    this.#version += 1;
  }

  /**
   * Which broadcast a picture belongs to: the later of those that fit both its date and its media sequence; when none
   * does, the earliest listed. One that was made for a file is it only around what was said in it, and where the room's own
   * began no later. Null before anything is known.
   */
  broadcastOf(programMs: number, mediaSequence: number | null): number | null {
    let chosen: BroadcastEntry | null = null;
    const own = this.#listed.filter((one) => one.endMs === null);
    for (const one of own) {
      const sequenceFits = one.mediaSequence === null || mediaSequence === null || one.mediaSequence <= mediaSequence;
      if (one.startMs <= programMs && sequenceFits) chosen = one;
    }
    for (const one of this.#listed) {
      const isAround = one.endMs !== null && one.startMs - NEAR_MS <= programMs && programMs < one.endMs + NEAR_MS;
      if (isAround && (chosen === null || chosen.startMs <= one.startMs)) chosen = one;
    }
    return (chosen ?? own[0] ?? this.#listed[0])?.broadcast ?? this.#latest;
  }

  /** A broadcast opened while the socket was there. */
  opened(broadcast: number, programMs: number): void {
    if (this.#latest !== null && broadcast <= this.#latest) return;
    this.#latest = broadcast;
    this.#listed = [...this.#listed, { broadcast, startMs: programMs, mediaSequence: null, endMs: null }].slice(-3);
    this.broadcast(broadcast).openedOnSocket();
    this.#version += 1;
  }

  /** The newest broadcast a `welcome` names. */
  setLatest(broadcast: number | null): void {
    if (broadcast !== null && broadcast > (this.#latest ?? 0)) this.#latest = broadcast;
  }

  /** Events of the socket or of `back`: the same offset again replaces, also when it moved to another broadcast. */
  receiveTail(events: readonly ChatEvent[]): void {
    const byBroadcast = new Map<number, ChatEvent[]>();
    for (const event of events) {
      for (const other of this.#broadcasts.values()) {
        if (other.broadcast !== event.broadcast && other.event(event.offset) !== undefined) other.drop([event.offset]);
      }
      const group = byBroadcast.get(event.broadcast);
      if (group === undefined) byBroadcast.set(event.broadcast, [event]);
      else group.push(event);
    }
    for (const [broadcast, group] of byBroadcast) this.broadcast(broadcast).receiveTail(group);
    this.arrived(events);
  }

  restore(events: readonly ChatEvent[]): void {
    for (const event of events) this.#hidden.delete(event.offset);
    this.receiveTail(events);
  }

  /**
   * Hide offsets everywhere, now and when they come again.
   *
   * @param asOf position from which on a slice that still holds one of them has it because it was restored; Infinity
   *   when only `back` may bring it back.
   */
  hide(offsets: readonly number[], asOf: number = ANY_OFFSET): void {
    if (offsets.length === 0) return;
    for (const offset of offsets) this.#hidden.set(offset, asOf);
    for (const held of this.#broadcasts.values()) held.drop(offsets);
    const hidden = new Set(offsets);
    this.#arrivals = this.#arrivals.filter((event) => !hidden.has(event.offset));
    this.#version += 1;
  }

  isHidden(offset: number): boolean {
    return this.#hidden.has(offset);
  }

  /** A slice written after a hide that still holds the event: it was restored since. */
  seen(events: readonly ChatEvent[], asOf: number): void {
    if (this.#hidden.size === 0) return;
    for (const event of events) {
      const hiddenAt = this.#hidden.get(event.offset);
      if (hiddenAt !== undefined && asOf > hiddenAt) this.#hidden.delete(event.offset);
    }
  }

  expire(monotonicMs: number): void {
    for (const held of this.#broadcasts.values()) held.expire(monotonicMs);
  }

  /** Forget everything: after a `reset`, and when the epoch changes. */
  reset(): void {
    this.#broadcasts.clear();
    this.#hidden.clear();
    this.#arrivals = [];
    this.#listed = [];
    this.#latest = null;
    this.#version += 1;
  }

  #list(wire: readonly WireBroadcast[]): void {
    this.#listed = wire
      .map((one) => ({ broadcast: one.broadcast, startMs: one.start_ms, mediaSequence: one.media_sequence ?? null, endMs: one.end_ms ?? null }))
      .sort((a, b) => a.broadcast - b.broadcast);
  }

  /** Note what came, by socket or by a polled open slice, in the order of the log. */
  arrived(events: readonly ChatEvent[]): void {
    if (events.length === 0) return;
    const byOffset = new Map(this.#arrivals.map((event) => [event.offset, event]));
    for (const event of events) if (!this.#hidden.has(event.offset)) byOffset.set(event.offset, event);
    this.#arrivals = [...byOffset.values()].sort((a, b) => a.offset - b.offset).slice(-ARRIVALS_MAX);
    this.#version += 1;
  }
}
