/**
 * hls.js as a playhead: the fragment on screen and the program time it carries.
 *
 * Owns: what hls.js calls things. Does not know: chat. The only file that knows hls.js, and it imports nothing of it.
 * Units: hls.js counts seconds on the element's axis and program time in ms since the Unix epoch.
 *
 * A fragment's `start` moves while it is parsed, its date does not: the two are always read together and never kept.
 * Source: the timing design, §13.
 */

import type { AdapterChange, MediaState, PlayheadAddress, PlayheadAdapter } from '../playhead.js';
import { PresentedFrames } from './presented-frames.js';

interface HlsFragment {
  readonly sn: number | 'initSegment';
  readonly start: number;
  readonly duration: number;
  readonly programDateTime: number | null;
  readonly rawProgramDateTime?: string | null;
}

interface HlsDetails {
  readonly fragments: readonly HlsFragment[];
  readonly fragmentHint?: HlsFragment | undefined;
  readonly live: boolean;
}

/** The part of an Hls instance that is used; pass yours as it is. */
export interface HlsLike {
  readonly levels: readonly { readonly details?: HlsDetails | undefined }[];
  readonly currentLevel: number;
  readonly latestLevelDetails?: HlsDetails | null;
  readonly liveSyncPosition: number | null;
  on(event: never, listener: never): void;
  off(event: never, listener: never): void;
}

const END_TOLERANCE_S = 0.25; // the last frames of a fragment may lie a little past its declared end
const EDGE_S = 0.5;
const JUMP_MS = 1_500;

/** Index of the last fragment that starts at or before `timeS`; -1 if none does. */
function fragmentAt(fragments: readonly HlsFragment[], timeS: number): number {
  let low = 0;
  let high = fragments.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (fragments[middle]!.start <= timeS) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** hls.js reads a date without a zone in the viewer's zone, the relay in UTC: how much to add. */
function zoneShiftMs(fragments: readonly HlsFragment[], index: number): number {
  for (let at = index; at >= 0; at -= 1) {
    const raw = fragments[at]!.rawProgramDateTime;
    if (typeof raw !== 'string' || raw === '') continue;
    if (/(?:[zZ]|[+-]\d\d:?\d\d)\s*$/.test(raw)) return 0;
    const shift = Date.parse(`${raw.trim()}Z`) - Date.parse(raw.trim());
    return Number.isFinite(shift) ? shift : 0;
  }
  return 0;
}

export class HlsAdapter implements PlayheadAdapter {
  readonly #hls: HlsLike;
  readonly #frames: PresentedFrames;
  readonly #onTimeline = (): void => this.#frames.emit('timeline');
  #last: { readonly timeS: number; readonly programMs: number } | null = null;

  constructor(hls: HlsLike, video: HTMLVideoElement) {
    this.#hls = hls;
    this.#frames = new PresentedFrames(video);
    for (const name of ['hlsLevelUpdated', 'hlsFragChanged']) hls.on(name as never, this.#onTimeline as never);
  }

  address(): PlayheadAddress | null {
    const timeS = this.#frames.mediaTimeS;
    if (timeS === null) return null;
    const found = this.#find(timeS);
    if (found === null) return null;
    const { fragment, shiftMs, live } = found;
    const positionMs = timeS * 1000;
    const intoSegmentMs = Math.max(0, (timeS - fragment.start) * 1000);
    const sequence = typeof fragment.sn === 'number' ? { mediaSequence: fragment.sn } : {};
    if (fragment.programDateTime === null) return { ...sequence, intoSegmentMs, positionMs, live, atJump: false, ad: false };
    const programTimeMs = fragment.programDateTime + shiftMs + (timeS - fragment.start) * 1000;
    return { programTimeMs, ...sequence, intoSegmentMs, positionMs, live, atJump: this.#isJump(timeS, programTimeMs), ad: false };
  }

  media(): MediaState {
    const edgeS = this.#edgeS();
    return this.#frames.state(edgeS !== null && this.#frames.video.currentTime >= edgeS - EDGE_S);
  }

  seekableRange(): { readonly startMs: number; readonly endMs: number } | null {
    const fragments = this.#details()?.fragments ?? [];
    const first = fragments[0];
    const startMs = first === undefined ? null : this.#programAt(first.start);
    const endMs = this.livePointMs();
    return startMs === null || endMs === null ? null : { startMs, endMs };
  }

  /** hls.js's own live point while live; the end of the media once it has ended. */
  livePointMs(): number | null {
    const pointS = this.#details()?.live ? this.#hls.liveSyncPosition : this.#edgeS();
    return pointS === null ? null : this.#programAt(pointS);
  }

  seekTo(programTimeMs: number): boolean {
    const fragments = this.#details()?.fragments ?? [];
    for (let index = fragments.length - 1; index >= 0; index -= 1) {
      const fragment = fragments[index]!;
      if (fragment.programDateTime === null) continue;
      const intoS = (programTimeMs - fragment.programDateTime - zoneShiftMs(fragments, index)) / 1000;
      if (intoS < 0 || intoS >= fragment.duration) continue;
      this.#frames.video.currentTime = fragment.start + intoS;
      return true;
    }
    return false;
  }

  seekToLive(): boolean {
    const details = this.#details();
    const pointS = details?.live ? this.#hls.liveSyncPosition : this.#edgeS();
    if (pointS === null) return false;
    this.#frames.video.currentTime = pointS;
    return true;
  }

  subscribe(onChange: (change: AdapterChange) => void): () => void {
    return this.#frames.subscribe(onChange);
  }

  destroy(): void {
    for (const name of ['hlsLevelUpdated', 'hlsFragChanged']) this.#hls.off(name as never, this.#onTimeline as never);
    this.#frames.destroy();
  }

  /** The level on screen knows its own fragments; the one loaded last knows the newest. */
  #details(): HlsDetails | null {
    return this.#hls.latestLevelDetails ?? this.#hls.levels[this.#hls.currentLevel]?.details ?? null;
  }

  #edgeS(): number | null {
    const details = this.#details();
    const last = details?.fragmentHint ?? details?.fragments.at(-1);
    return last === undefined ? null : last.start + last.duration;
  }

  #find(timeS: number): { fragment: HlsFragment; shiftMs: number; live: boolean } | null {
    for (const details of [this.#hls.levels[this.#hls.currentLevel]?.details, this.#hls.latestLevelDetails]) {
      if (details === undefined || details === null) continue;
      const fragments = details.fragmentHint === undefined ? details.fragments : [...details.fragments, details.fragmentHint];
      const index = fragmentAt(fragments, timeS + 0.0005);
      const fragment = fragments[index];
      if (fragment === undefined) continue;
      const isLast = index === fragments.length - 1;
      if (timeS >= fragment.start + fragment.duration + (isLast ? END_TOLERANCE_S : Infinity)) continue;
      return { fragment, shiftMs: zoneShiftMs(fragments, index), live: details.live };
    }
    return null;
  }

  #programAt(timeS: number): number | null {
    const found = this.#find(timeS);
    if (found === null || found.fragment.programDateTime === null) return null;
    return Math.floor(found.fragment.programDateTime + found.shiftMs + (timeS - found.fragment.start) * 1000);
  }

  #isJump(timeS: number, programMs: number): boolean {
    const last = this.#last;
    this.#last = { timeS, programMs };
    return last !== null && Math.abs(programMs - last.programMs - (timeS - last.timeS) * 1000) > JUMP_MS;
  }
}

/** Follow an hls.js instance and the element it plays into. */
export function hlsAdapter(hls: HlsLike, video: HTMLVideoElement): HlsAdapter {
  return new HlsAdapter(hls, video);
}
