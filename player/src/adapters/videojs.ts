/**
 * Video.js 8 with its own HLS engine (VHS) as a playhead: the segment on screen and the program time it carries.
 *
 * Owns: what Video.js and VHS call things. Does not know: chat. The only file that knows them, and it imports nothing of them.
 * Units: VHS counts seconds on the element's axis and program time in ms since the Unix epoch.
 *
 * VHS has no getter for the program time on screen, only a callback that fails before a segment was put together. What it
 * calls upon is read here: where the segment's first frame was placed, and the segment's date. Both are looked up at every
 * frame, since VHS places a segment anew when it loads it again. Source: the timing design, §13; VHS 3.17 `src/util/time.js`.
 */

import type { AdapterChange, MediaState, PlayheadAddress, PlayheadAdapter } from '../playhead.js';
import type { DateOf } from '../served-dates.js';
import { EDGE_S, END_TOLERANCE_S, JUMP_MS, MS_OF_1990, RestartWatch, zoneShiftMs, type AdapterOptions } from './fragments.js';
import { PresentedFrames } from './presented-frames.js';

interface VhsSegment {
  readonly duration: number;
  readonly start?: number;
  readonly end?: number;
  readonly programDateTime?: number;
  readonly dateTimeObject?: Date;
  readonly dateTimeString?: string;
  readonly discontinuity?: boolean;
  /** Of low latency, as long as the playlist lists them. */
  readonly parts?: readonly { readonly duration: number; readonly start?: number }[];
  /** At the edge, and still growing: only its parts are there, and its `duration` is the target's. */
  readonly preload?: boolean;
}

interface VhsPlaylist {
  readonly segments?: readonly VhsSegment[];
  readonly mediaSequence?: number;
  readonly endList?: boolean;
  readonly resolvedUri?: string;
}

interface Vhs {
  readonly playlists?: { media(): VhsPlaylist | null | undefined; readonly main?: { readonly playlists?: readonly VhsPlaylist[] } };
}

/** The part of a Video.js player that is used; pass yours as it is. */
export interface VideoJsLike {
  el(): Element | null;
  tech(safety: boolean): object | null | undefined;
  seekable(): TimeRanges;
  currentTime(seconds: number): unknown;
  on(event: never, listener: never): unknown;
  off(event: never, listener: never): unknown;
}

/** A segment that VHS has placed: `startS` is its first frame on the element's axis. */
interface Placed {
  readonly index: number;
  readonly startS: number;
  readonly endS: number;
}

const MOVED_S = 0.15; // between what a declared duration may be wrong by and the shortest part
const TIMELINE_EVENTS = ['loadstart', 'loadedmetadata', 'durationchange', 'progress'];

const durationOf = ({ duration, preload, parts = [] }: VhsSegment): number => (preload === true ? parts.reduce((sum, part) => sum + part.duration, 0) : duration);

/**
 * Where VHS has put a segment. It keeps the earliest `start` it ever found and the latest `end`: if they lie too far apart, the
 * segment was put further on by a seek; if too close, it was joined at one of its later parts. Its end is right in both.
 */
function placed(segment: VhsSegment, index: number): Placed | null {
  const { start, end, duration, parts = [] } = segment;
  let beforeS = 0;
  for (const part of parts) {
    if (part.start !== undefined) return { index, startS: part.start - beforeS, endS: Math.max(end ?? 0, part.start + part.duration) };
    beforeS += part.duration;
  }
  if (start === undefined || end === undefined || segment.preload === true) return null;
  return { index, startS: Math.abs(end - start - duration) > MOVED_S ? end - duration : start, endS: end };
}

/** A segment's own date; without one, counted on from the newest before it in its discontinuity. */
function dateOf(segments: readonly VhsSegment[], index: number): number | null {
  let beforeMs = 0;
  for (let at = index; at >= 0; at -= 1) {
    const segment = segments[at]!;
    const dateMs = segment.programDateTime ?? segment.dateTimeObject?.getTime();
    if (dateMs !== undefined && Number.isFinite(dateMs)) return dateMs + beforeMs + zoneShiftMs(at, (raw) => segments[raw]!.dateTimeString);
    if (segment.discontinuity === true) return null;
    beforeMs += (segments[at - 1]?.duration ?? 0) * 1000;
  }
  return null;
}

export class VideoJsAdapter implements PlayheadAdapter {
  readonly #player: VideoJsLike;
  readonly #frames: PresentedFrames;
  readonly #restarts: RestartWatch;
  readonly #onTimeline = (): void => this.#frames.emit('timeline');
  readonly #onLoading = (): void => this.#restarts.reset();
  #last: { readonly timeS: number; readonly programMs: number } | null = null;

  /** Dates of segments to which the playlist gives none; null: whatever VHS has put there. */
  dateOf: DateOf | null = null;

  /** @param player with its element in place: after `videojs(…)` has returned. */
  constructor(player: VideoJsLike, options: AdapterOptions = {}) {
    const root = player.el();
    const video = root instanceof HTMLVideoElement ? root : root?.querySelector('video');
    if (video === null || video === undefined) throw new TypeError('chatsync: the Video.js player has no <video> yet; call this in player.ready()');
    this.#player = player;
    this.#frames = new PresentedFrames(video);
    this.#restarts = new RestartWatch(options.onRestart);
    player.on(TIMELINE_EVENTS as never, this.#onTimeline as never);
    player.on('loadstart' as never, this.#onLoading as never);
  }

  address(): PlayheadAddress | null {
    const playlists = this.#playlists();
    this.#watch(playlists[0]);
    const timeS = this.#frames.mediaTimeS;
    if (timeS === null || this.#restarts.hasRestarted) return null;
    for (const playlist of playlists) {
      const segments = playlist.segments ?? [];
      // What is sought may not be loaded yet: where it will lie is good enough to load its chat, and is never shown.
      const found = this.#placedAt(segments, timeS) ?? (this.#frames.isSeeking ? this.#expectedAt(segments, timeS) : null);
      if (found === null) continue;
      const positionMs = timeS * 1000;
      const live = playlist.endList !== true;
      const intoMs = (timeS - found.startS) * 1000;
      const sequence = playlist.mediaSequence === undefined ? {} : { mediaSequence: playlist.mediaSequence + found.index };
      const dateMs = this.#dateOf(playlist, found.index);
      const where = { ...sequence, intoSegmentMs: Math.max(0, intoMs), positionMs, live, ad: false };
      if (dateMs === null) return { ...where, atJump: false };
      return { ...where, programTimeMs: dateMs + intoMs, atJump: this.#isJump(timeS, dateMs + intoMs) };
    }
    return null;
  }

  media(): MediaState {
    const endS = this.#edgeS();
    return this.#frames.state(endS !== null && this.#frames.video.currentTime >= endS - EDGE_S);
  }

  seekableRange(): { readonly startMs: number; readonly endMs: number } | null {
    const ranges = this.#player.seekable();
    if (ranges.length === 0) return null;
    const startMs = this.#programAt(ranges.start(0));
    const endMs = this.#programAt(ranges.end(ranges.length - 1));
    return startMs === null || endMs === null ? null : { startMs, endMs };
  }

  /** The end of what VHS lets one seek to: the hold-back while live, the end of the media afterwards. */
  livePointMs(): number | null {
    const ranges = this.#player.seekable();
    return ranges.length === 0 ? null : this.#programAt(ranges.end(ranges.length - 1));
  }

  seekTo(programTimeMs: number): boolean {
    const playlist = this.#playlists()[0];
    const segments = playlist?.segments ?? [];
    for (let index = segments.length - 1; index >= 0; index -= 1) {
      const dateMs = this.#dateOf(playlist!, index);
      if (dateMs === null) continue;
      const intoS = (programTimeMs - dateMs) / 1000;
      if (intoS < 0 || intoS >= durationOf(segments[index]!)) continue;
      const startS = this.#startOf(segments, index);
      if (startS === null) return false;
      this.#player.currentTime(startS + intoS);
      return true;
    }
    return false;
  }

  seekToLive(): boolean {
    const ranges = this.#player.seekable();
    if (ranges.length === 0) return false;
    this.#player.currentTime(ranges.end(ranges.length - 1));
    return true;
  }

  subscribe(onChange: (change: AdapterChange) => void): () => void {
    return this.#frames.subscribe(onChange);
  }

  destroy(): void {
    this.#player.off(TIMELINE_EVENTS as never, this.#onTimeline as never);
    this.#player.off('loadstart' as never, this.#onLoading as never);
    this.#frames.destroy();
  }

  /** The rendition being loaded first, then the others: what is on screen may still be of one of them. */
  #playlists(): VhsPlaylist[] {
    const playlists = (this.#player.tech(true) as { readonly vhs?: Vhs } | null | undefined)?.vhs?.playlists;
    const media = playlists?.media();
    if (playlists === undefined || media === null || media === undefined) return [];
    return [media, ...(playlists.main?.playlists ?? []).filter((one) => one !== media)];
  }

  /** VHS believes a date of 1970, and guesses those of segments without (`programDateTime`). */
  #dateOf({ segments = [], mediaSequence }: VhsPlaylist, index: number): number | null {
    const dateMs = dateOf(segments, index);
    if (this.dateOf === null || (segments[index]?.dateTimeObject !== undefined && dateMs! > MS_OF_1990)) return dateMs;
    return this.dateOf(
      {
        length: segments.length,
        at: (at) => {
          const one = segments[at]!;
          const startS = placed(one, at)?.startS;
          return {
            sequence: mediaSequence === undefined ? null : mediaSequence + at,
            ownMs: dateOf(segments, at),
            isWritten: one.dateTimeObject !== undefined,
            isDiscontinuous: one.discontinuity === true,
            durationMs: one.duration * 1000,
            startMs: startS === undefined ? null : startS * 1000,
          };
        },
      },
      index,
    );
  }

  #watch(playlist: VhsPlaylist | undefined): void {
    if (playlist === undefined) return;
    this.#restarts.look(playlist, playlist.resolvedUri, () => {
      const segments = playlist.segments ?? [];
      const dateMs = segments.length === 0 ? null : dateOf(segments, segments.length - 1);
      return dateMs === null || playlist.mediaSequence === undefined ? null : { sequence: playlist.mediaSequence + segments.length - 1, dateMs };
    });
  }

  #placedAt(segments: readonly VhsSegment[], timeS: number): Placed | null {
    for (let index = segments.length - 1; index >= 0; index -= 1) {
      const one = placed(segments[index]!, index);
      if (one === null || one.startS > timeS + 0.0005) continue;
      return timeS < one.endS + END_TOLERANCE_S ? one : null;
    }
    return null;
  }

  #expectedAt(segments: readonly VhsSegment[], timeS: number): Placed | null {
    for (let index = segments.length - 1; index >= 0; index -= 1) {
      const startS = this.#startOf(segments, index);
      if (startS === null) return null;
      const endS = startS + durationOf(segments[index]!);
      if (startS <= timeS) return timeS < endS + END_TOLERANCE_S ? { index, startS, endS } : null;
    }
    return null;
  }

  /** Where a segment lies, or will: reckoned from the nearest one that is placed. */
  #startOf(segments: readonly VhsSegment[], index: number): number | null {
    let beforeS = 0;
    let afterS = 0;
    for (let step = 0; step < segments.length; step += 1) {
      const before = segments[index - step];
      const after = segments[index + step];
      const atBefore = before === undefined ? null : placed(before, index - step);
      if (atBefore !== null) return atBefore.startS + beforeS;
      const atAfter = after === undefined ? null : placed(after, index + step);
      if (atAfter !== null) return atAfter.startS - afterS;
      beforeS += segments[index - step - 1]?.duration ?? 0;
      afterS += after?.duration ?? 0;
    }
    return null;
  }

  #edgeS(): number | null {
    const segments = this.#playlists()[0]?.segments ?? [];
    const startS = segments.length === 0 ? null : this.#startOf(segments, segments.length - 1);
    return startS === null ? null : startS + durationOf(segments.at(-1)!);
  }

  #programAt(timeS: number): number | null {
    for (const playlist of this.#playlists()) {
      const { segments = [] } = playlist;
      const found = this.#placedAt(segments, timeS) ?? this.#expectedAt(segments, timeS);
      const dateMs = found === null ? null : this.#dateOf(playlist, found.index);
      if (found !== null && dateMs !== null) return Math.floor(dateMs + (timeS - found.startS) * 1000);
    }
    return null;
  }

  #isJump(timeS: number, programMs: number): boolean {
    const last = this.#last;
    this.#last = { timeS, programMs };
    return last !== null && Math.abs(programMs - last.programMs - (timeS - last.timeS) * 1000) > JUMP_MS;
  }
}

/** Follow a Video.js player that plays HLS with VHS. */
export function videojsAdapter(player: VideoJsLike, options?: AdapterOptions): VideoJsAdapter {
  return new VideoJsAdapter(player, options);
}
