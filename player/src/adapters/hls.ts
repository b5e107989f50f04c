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
import type { DateOf } from '../served-dates.js';
import { EDGE_S, END_TOLERANCE_S, JUMP_MS, MS_OF_1990, RestartWatch, zoneShiftMs, type AdapterOptions } from './fragments.js';
import { PresentedFrames } from './presented-frames.js';

interface HlsStream {
  readonly startPTS: number;
}

interface HlsFragment {
  readonly sn: number | 'initSegment';
  readonly cc?: number;
  readonly start: number;
  readonly duration: number;
  readonly programDateTime: number | null;
  readonly rawProgramDateTime?: string | null;
  readonly elementaryStreams?: { readonly video?: HlsStream | null; readonly audiovideo?: HlsStream | null };
}

interface HlsDetails {
  readonly fragments: readonly HlsFragment[];
  readonly fragmentHint?: HlsFragment | undefined;
  readonly live: boolean;
  readonly partTarget?: number;
  readonly url?: string;
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

/**
 * Where the first picture of a fragment lies, once it has been parsed. Its `start` may be that of its sound, some frames before or
 * after: reckoned from there the date is off by as much, and at a jump of program time the last pictures before it get dates after it.
 */
function startOf(fragment: HlsFragment, apartMaxS: number): number {
  const pictureS = (fragment.elementaryStreams?.video ?? fragment.elementaryStreams?.audiovideo)?.startPTS;
  const isNear = pictureS !== undefined && Math.abs(pictureS - fragment.start) < apartMaxS;
  return isNear ? pictureS : fragment.start;
}

/** Index of the last fragment whose first picture is at or before `timeS`; -1 if there is none. */
function fragmentAt(fragments: readonly HlsFragment[], timeS: number, apartMaxS: number): number {
  let low = 0;
  let high = fragments.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (fragments[middle]!.start <= timeS) low = middle + 1;
    else high = middle;
  }
  const index = low - 1;
  const next = fragments[low];
  if (next !== undefined && startOf(next, apartMaxS) <= timeS) return low;
  return index > 0 && startOf(fragments[index]!, apartMaxS) > timeS ? index - 1 : index;
}

/** Sound and picture of one fragment begin closer together than this; of one joined at a later part, only that part's picture is known. */
const apartMaxS = (details: HlsDetails): number => (details.partTarget ? details.partTarget / 2 : 1);

const shiftAt = (fragments: readonly HlsFragment[], index: number): number => zoneShiftMs(index, (at) => fragments[at]!.rawProgramDateTime);

const TIMELINE_EVENTS = ['hlsLevelUpdated', 'hlsFragChanged'];

export class HlsAdapter implements PlayheadAdapter {
  readonly #hls: HlsLike;
  readonly #frames: PresentedFrames;
  readonly #restarts: RestartWatch;
  readonly #onTimeline = (): void => this.#frames.emit('timeline');
  readonly #onLoading = (): void => this.#restarts.reset();
  #last: { readonly timeS: number; readonly programMs: number } | null = null;
  /** Dates of segments to which the playlist gives none; null: whatever hls.js has put there. */
  dateOf: DateOf | null = null;

  constructor(hls: HlsLike, video: HTMLVideoElement, options: AdapterOptions = {}) {
    this.#hls = hls;
    this.#frames = new PresentedFrames(video);
    this.#restarts = new RestartWatch(options.onRestart);
    for (const name of TIMELINE_EVENTS) hls.on(name as never, this.#onTimeline as never);
    hls.on('hlsManifestLoading' as never, this.#onLoading as never);
  }

  address(): PlayheadAddress | null {
    this.#watch();
    const timeS = this.#frames.mediaTimeS;
    if (timeS === null || this.#restarts.hasRestarted) return null;
    const found = this.#find(timeS);
    if (found === null) return null;
    const { fragment, startS, dateMs, live } = found;
    const positionMs = timeS * 1000;
    const intoMs = (timeS - startS) * 1000;
    const intoSegmentMs = Math.max(0, intoMs);
    const sequence = typeof fragment.sn === 'number' ? { mediaSequence: fragment.sn } : {};
    if (dateMs === null) return { ...sequence, intoSegmentMs, positionMs, live, atJump: false, ad: false };
    const programTimeMs = dateMs + intoMs;
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
    const details = this.#details();
    const fragments = details?.fragments ?? [];
    for (let index = fragments.length - 1; index >= 0; index -= 1) {
      const fragment = fragments[index]!;
      const dateMs = this.#dateOf(fragments, index, details!);
      if (dateMs === null) continue;
      const intoS = (programTimeMs - dateMs) / 1000;
      if (intoS < 0 || intoS >= fragment.duration) continue;
      this.#frames.video.currentTime = startOf(fragment, apartMaxS(details!)) + intoS;
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
    for (const name of TIMELINE_EVENTS) this.#hls.off(name as never, this.#onTimeline as never);
    this.#hls.off('hlsManifestLoading' as never, this.#onLoading as never);
    this.#frames.destroy();
  }

  /** The level on screen knows its own fragments; the one loaded last knows the newest. */
  #details(): HlsDetails | null {
    return this.#hls.latestLevelDetails ?? this.#hls.levels[this.#hls.currentLevel]?.details ?? null;
  }

  #watch(): void {
    const details = this.#details();
    if (details === null) return;
    this.#restarts.look(details, details.url, () => {
      const last = details.fragments.at(-1);
      return last === undefined || typeof last.sn !== 'number' || last.programDateTime === null ? null : { sequence: last.sn, dateMs: last.programDateTime };
    });
  }

  #edgeS(): number | null {
    const details = this.#details();
    const last = details?.fragmentHint ?? details?.fragments.at(-1);
    return last === undefined ? null : last.start + last.duration;
  }

  /** hls.js reads a date of 1970-01-01T00:00:00Z as none, and guesses those of segments without. */
  #dateOf(fragments: readonly HlsFragment[], index: number, details: HlsDetails): number | null {
    const { programDateTime: ownMs, rawProgramDateTime } = fragments[index]!;
    const dateMs = ownMs === null ? null : ownMs + shiftAt(fragments, index);
    if (this.dateOf === null || (rawProgramDateTime && dateMs! > MS_OF_1990)) return dateMs;
    return this.dateOf(
      {
        length: fragments.length,
        at: (at) => {
          const one = fragments[at]!;
          return {
            sequence: one.sn === 'initSegment' ? null : one.sn,
            ownMs: one.programDateTime === null ? null : one.programDateTime + shiftAt(fragments, at),
            isWritten: !!one.rawProgramDateTime,
            isDiscontinuous: one.cc !== fragments[at - 1]?.cc,
            durationMs: one.duration * 1000,
            startMs: startOf(one, apartMaxS(details)) * 1000,
          };
        },
      },
      index,
    );
  }

  #find(timeS: number): { fragment: HlsFragment; startS: number; dateMs: number | null; live: boolean } | null {
    for (const details of [this.#hls.levels[this.#hls.currentLevel]?.details, this.#hls.latestLevelDetails]) {
      if (details === undefined || details === null) continue;
      const fragments = details.fragmentHint === undefined ? details.fragments : [...details.fragments, details.fragmentHint];
      const index = fragmentAt(fragments, timeS + 0.0005, apartMaxS(details));
      const fragment = fragments[index];
      if (fragment === undefined) continue;
      const isLast = index === fragments.length - 1;
      if (timeS >= fragment.start + fragment.duration + (isLast ? END_TOLERANCE_S : Infinity)) continue;
      return { fragment, startS: startOf(fragment, apartMaxS(details)), dateMs: this.#dateOf(fragments, index, details), live: details.live };
    }
    return null;
  }

  #programAt(timeS: number): number | null {
    const found = this.#find(timeS);
    if (found === null || found.dateMs === null) return null;
    return Math.floor(found.dateMs + (timeS - found.startS) * 1000);
  }

  #isJump(timeS: number, programMs: number): boolean {
    const last = this.#last;
    this.#last = { timeS, programMs };
    return last !== null && Math.abs(programMs - last.programMs - (timeS - last.timeS) * 1000) > JUMP_MS;
  }
}

/** Follow an hls.js instance and the element it plays into. */
export function hlsAdapter(hls: HlsLike, video: HTMLVideoElement, options?: AdapterOptions): HlsAdapter {
  return new HlsAdapter(hls, video, options);
}
