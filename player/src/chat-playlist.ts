/**
 * The chat playlist as a player keeps it: the list of sealed slices after every answer merged so far.
 *
 * Owns: merging full answers, deltas and older parts; finding the slice of an instant. Does not know: what is loaded
 * of the slices, the network, clocks.
 * Units: program time in ms since the Unix epoch; ranges half-open. Source: contract §3 (chat playlist).
 */

import type { WirePlaylist, WireSliceEntry } from './protocol.js';

export interface SliceEntry {
  readonly startMs: number;
  readonly endMs: number;
  readonly messages: number;
  readonly epoch: string;
  readonly revision: number;
}

/** The chat playlist as it stands after every answer merged so far. */
export interface Playlist {
  readonly live: boolean;
  readonly epoch: string;
  readonly version: number;
  readonly asOfOffset: number;
  readonly startMs: number; // start of what it lists; earlier slices exist when `earlier`
  readonly sealedUntilMs: number;
  readonly liveEdgeMs: number | null;
  readonly reloadMs: number;
  readonly earlier: boolean;
  readonly isExtended: boolean; // an older part was asked for: refreshes have to name where they start
  readonly base: string;
  readonly entries: readonly SliceEntry[];
}

function entryFromWire(wire: WireSliceEntry): SliceEntry {
  return { startMs: wire.start_ms, endMs: wire.end_ms, messages: wire.messages, epoch: wire.epoch, revision: wire.revision };
}

/**
 * Merge an answer of `chat.json` into the list held before.
 *
 * A full answer replaces what is listed, except that an older part listed before is kept where the answer
 * starts later and says that there is more. A delta changes only what it names. Of another epoch nothing is kept.
 */
export function mergePlaylist(held: Playlist | null, wire: WirePlaylist): Playlist {
  const old = held?.epoch === wire.epoch ? held : null;
  const isDelta = typeof wire.since === 'number' && old !== null;
  const changed = new Map(wire.slices.map((one) => [one.start_ms, entryFromWire(one)]));
  // The range this answer speaks for: a full one for all of it, so that what it no longer lists is gone.
  const kept = (old?.entries ?? []).filter((entry) => !changed.has(entry.startMs) && (isDelta || entry.endMs <= wire.start_ms));
  const removed = new Set(wire.removed ?? []);
  const entries = [...kept.filter((entry) => !removed.has(entry.startMs)), ...changed.values()].sort((a, b) => a.startMs - b.startMs);
  const reachesBack = old !== null && old.startMs < wire.start_ms;
  return {
    live: wire.live,
    epoch: wire.epoch,
    version: wire.version,
    asOfOffset: wire.as_of.offset,
    startMs: reachesBack ? old.startMs : wire.start_ms,
    sealedUntilMs: Math.max(wire.sealed_until_ms ?? wire.start_ms, old?.sealedUntilMs ?? wire.start_ms),
    liveEdgeMs: wire.live_edge_ms ?? null,
    reloadMs: Math.max(250, wire.reload_ms),
    earlier: reachesBack ? old.earlier : wire.earlier,
    isExtended: old?.isExtended ?? false,
    base: wire.base,
    entries,
  };
}

/** Merge an older part of the list, of the same epoch: the answer to a request with `from_ms` and `to_ms`. */
export function mergeEarlier(now: Playlist, wire: WirePlaylist): Playlist {
  const older = wire.slices
    .filter((one) => one.start_ms < now.startMs && !now.entries.some((entry) => entry.startMs === one.start_ms))
    .map(entryFromWire)
    .sort((a, b) => a.startMs - b.startMs);
  return {
    ...now,
    startMs: Math.min(now.startMs, wire.start_ms),
    earlier: wire.earlier,
    isExtended: true,
    entries: [...older, ...now.entries],
  };
}

/** Index of the first entry whose end lies above `programMs`. */
export function entryAfter(entries: readonly SliceEntry[], programMs: number): number {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (entries[middle]!.endMs <= programMs) low = middle + 1;
    else high = middle;
  }
  return low;
}
