/**
 * From a player-neutral address to the playhead: which program time is on screen, and may it be trusted.
 *
 * Owns: the adapter contract, the playhead's states, a player that is only told of. Does not know: any player, the DOM, clocks, chat.
 * Units: ms; program time is ms since the Unix epoch, `positionMs` is the player's own axis.
 * Source: contract §1 "What live viewers see"; the adapter contract of the timing design, §13.
 */

/** Where the picture on screen lies, in the richest terms the player knows. */
export interface PlayheadAddress {
  readonly programTimeMs?: number;
  readonly mediaSequence?: number;
  readonly intoSegmentMs?: number;
  readonly rendition?: string;
  /** Known only to recordings: live, the room's list of broadcasts decides. */
  readonly broadcast?: number;
  readonly positionMs: number;
  readonly live: boolean;
  /** Program time does not follow on from the frame before (a cut, a jump of the encoder's clock). */
  readonly atJump: boolean;
  /** An advertisement or another insert: its picture has no program time, chat freezes. */
  readonly ad: boolean;
}

/** What the media element is doing. */
export interface MediaState {
  readonly paused: boolean;
  readonly rate: number;
  /** From `seeking` until the first frame after `seeked`. */
  readonly seeking: boolean;
  /** All the media there is has been played: ended, or waiting at the live edge. */
  readonly atEnd: boolean;
}

export type AdapterChange = 'frame' | 'seeking' | 'seeked' | 'state' | 'timeline';

/** The only thing chatsync asks of a player. */
export interface PlayheadAdapter {
  /** null: not known. Show nothing, never guess. While seeking it is the address sought. */
  address(): PlayheadAddress | null;
  media(): MediaState;
  seekableRange(): { readonly startMs: number; readonly endMs: number } | null;
  /** Program time of the place where a viewer counts as live; null when it is not live or not known. */
  livePointMs(): number | null;
  /** False outside the DVR window or the recording. */
  seekTo(programTimeMs: number): boolean;
  seekToLive(): boolean;
  subscribe(onChange: (change: AdapterChange) => void): () => void;
  destroy(): void;
}

/** An instant of the programme, with what is known of the media it lies in. */
export interface ProgramPoint {
  readonly programMs: number;
  readonly broadcast: number | null;
  readonly mediaSequence: number | null;
  readonly intoSegmentMs: number | null;
}

export type Playhead =
  /** No program time is known: live shows on arrival, a recording shows nothing. */
  | { readonly state: 'unknown' }
  /** The picture is about to change; `target` is worth loading already. */
  | { readonly state: 'seeking'; readonly target: ProgramPoint | null }
  /** The picture is no part of the programme. */
  | { readonly state: 'frozen' }
  | { readonly state: 'at'; readonly point: ProgramPoint; readonly isLive: boolean; readonly atEnd: boolean; readonly atJump: boolean };

const UNKNOWN: Playhead = { state: 'unknown' };
const FROZEN: Playhead = { state: 'frozen' };

function pointOf(address: PlayheadAddress | null): ProgramPoint | null {
  if (address === null || address.ad || address.programTimeMs === undefined || !Number.isFinite(address.programTimeMs)) return null;
  return {
    programMs: Math.floor(address.programTimeMs),
    broadcast: address.broadcast ?? null,
    mediaSequence: address.mediaSequence ?? null,
    intoSegmentMs: address.intoSegmentMs === undefined ? null : Math.floor(address.intoSegmentMs),
  };
}

/** The playhead at one presented frame. Program time is floored to whole ms, so nothing shows before its picture. */
export function playheadFrom(address: PlayheadAddress | null, media: MediaState): Playhead {
  if (media.seeking) return { state: 'seeking', target: pointOf(address) };
  if (address === null) return UNKNOWN;
  if (address.ad) return FROZEN;
  const point = pointOf(address);
  return point === null ? UNKNOWN : { state: 'at', point, isLive: address.live, atEnd: media.atEnd, atJump: address.atJump };
}

/** Behind by less than this still counts as live: about a segment and its jitter. */
export const AT_LIVE_MS = 6_000;

/** How far the picture lies behind the point that counts as live; null when either is not known. */
export function behindLiveMs(playhead: Playhead, livePointMs: number | null): number | null {
  if (playhead.state !== 'at' || livePointMs === null) return null;
  return Math.max(0, livePointMs - playhead.point.programMs);
}

/** Where the picture is, as told by whoever has no adapter for their player. */
export interface Moment {
  /** Program time of the frame on screen, or of the place sought while `seeking`; null while it is not known. */
  readonly programMs: number | null;
  readonly broadcast?: number | null;
  readonly mediaSequence?: number | null;
  readonly intoSegmentMs?: number | null;
  /** From the player's `seeking` until the first frame after its `seeked`: the property, since on a busy page a frame may come before the event. */
  readonly seeking?: boolean;
  readonly paused?: boolean;
  readonly rate?: number;
  /** All the media there is has been played: ended, or waiting at the live edge. */
  readonly atEnd?: boolean;
  /** False for a recording, and for a stream that has ended. Default true. */
  readonly live?: boolean;
  /** An insert without program time, such as an advertisement: the chat freezes. */
  readonly ad?: boolean;
  /** Program time of the place where a viewer counts as live. */
  readonly livePointMs?: number | null;
}

export interface ToldPlayer extends PlayheadAdapter {
  tell(moment: Moment | null): void;
}

/** A player known by what is told of it. It cannot be asked to seek: that is for whoever tells. */
export function toldPlayer(): ToldPlayer {
  let now: Moment | null = null;
  const listeners = new Set<(change: AdapterChange) => void>();
  const emit = (change: AdapterChange): void => {
    for (const listener of listeners) listener(change);
  };
  return {
    tell(moment) {
      const before = now;
      now = moment;
      const isSeeking = moment?.seeking === true;
      const wasSeeking = before?.seeking === true;
      if (isSeeking && (!wasSeeking || before?.programMs !== moment?.programMs)) emit('seeking');
      else if (wasSeeking && !isSeeking) emit('seeked');
      else if (before?.paused !== moment?.paused || before?.rate !== moment?.rate || before?.atEnd !== moment?.atEnd) emit('state');
      else emit('frame');
    },
    address() {
      if (now === null || (now.programMs === null && now.ad !== true)) return null;
      const { programMs, broadcast, mediaSequence, intoSegmentMs } = now;
      return {
        positionMs: programMs ?? 0,
        live: now.live ?? true,
        atJump: false,
        ad: now.ad ?? false,
        ...(programMs === null ? {} : { programTimeMs: programMs }),
        ...(broadcast == null ? {} : { broadcast }),
        ...(mediaSequence == null ? {} : { mediaSequence }),
        ...(intoSegmentMs == null ? {} : { intoSegmentMs }),
      };
    },
    media: () => ({ paused: now?.paused ?? false, rate: now?.rate ?? 1, seeking: now?.seeking ?? false, atEnd: now?.atEnd ?? false }),
    seekableRange: () => null,
    livePointMs: () => now?.livePointMs ?? null,
    seekTo: () => false,
    seekToLive: () => false,
    subscribe(onChange) {
      listeners.add(onChange);
      return () => listeners.delete(onChange);
    },
    destroy: () => listeners.clear(),
  };
}
