/**
 * Shaka Player as a playhead: the date its own timeline gives for the frame on screen.
 *
 * Owns: what Shaka calls things. Does not know: chat. The only file that knows Shaka, and it imports nothing of it.
 * Units: Shaka counts seconds on the element's axis and dates in seconds since the Unix epoch.
 *
 * `getPlayheadTimeAsDate()` is not used: without dates in the playlist it answers with a guess from the viewer's clock, and it
 * goes by `currentTime`, which runs ahead of the picture. Its source is: `presentationTimeline.getProgramDateTimeForTime()`,
 * which holds across jumps of program time and is null without dates. It is there from Shaka 5.2; with an older one nothing is known,
 * for that one counts on from the first date, whatever comes after. Shaka tells no media sequence. Source: the timing design, §13.
 *
 * `getManifest()` writes a warning to the console at every call, so it is called once for each stream that is loaded.
 */

import type { AdapterChange, MediaState, PlayheadAddress, PlayheadAdapter } from '../playhead.js';
import { EDGE_S, JUMP_MS } from './fragments.js';
import { PresentedFrames } from './presented-frames.js';

interface ShakaTimeline {
  getProgramDateTimeForTime?(timeS: number): number | null;
  getInitialProgramDateTime?(): number | null;
}

interface ShakaStream {
  readonly segmentIndex?: {
    find(timeS: number): number | null;
    get(position: number): { getStartTime(): number; getEndTime(): number } | null;
  } | null;
}

interface ShakaManifest {
  readonly presentationTimeline: ShakaTimeline;
  readonly variants: readonly { readonly id: number; readonly video?: ShakaStream | null; readonly audio?: ShakaStream | null }[];
}

/** The part of a Shaka player that is used; pass yours as it is. */
export interface ShakaLike {
  getManifest(): unknown;
  getMediaElement(): HTMLMediaElement | null;
  getVariantTracks(): { readonly active: boolean; readonly id: number }[];
  isLive(): boolean;
  seekRange(): { start: number; end: number };
  addEventListener(type: never, listener: never): void;
  removeEventListener(type: never, listener: never): void;
}

const TIMELINE_EVENTS = ['manifestupdated', 'loaded', 'trackschanged', 'variantchanged', 'adaptation'];
const NEW_STREAM_EVENTS = ['loading', 'unloading'];
const ROUNDED_S = 0.0005; // the time of the first frame after a jump may be a rounding short of it
const WINDOW_MAX = 100_000; // segments looked through in a seek

export class ShakaAdapter implements PlayheadAdapter {
  readonly #player: ShakaLike;
  readonly #frames: PresentedFrames;
  readonly #onTimeline = (): void => this.#frames.emit('timeline');
  readonly #onNewStream = (): void => {
    this.#held = null;
    this.#last = null;
  };
  #held: ShakaManifest | null = null;
  #last: { readonly timeS: number; readonly programMs: number } | null = null;

  /** @param video the element the player is attached to; without it, the player is asked, which must be attached by then. */
  constructor(player: ShakaLike, video?: HTMLVideoElement) {
    const element = video ?? player.getMediaElement();
    if (element === null) throw new TypeError('chatsync: the Shaka player is not attached to a <video> yet; give the element as well');
    this.#player = player;
    this.#frames = new PresentedFrames(element as HTMLVideoElement);
    for (const name of TIMELINE_EVENTS) player.addEventListener(name as never, this.#onTimeline as never);
    for (const name of NEW_STREAM_EVENTS) player.addEventListener(name as never, this.#onNewStream as never);
  }

  address(): PlayheadAddress | null {
    const timeS = this.#frames.mediaTimeS;
    if (timeS === null || this.#manifest() === null) return null;
    const positionMs = timeS * 1000;
    const live = this.#player.isLive();
    const programTimeMs = this.#programAt(timeS);
    if (programTimeMs === null) return { positionMs, live, atJump: false, ad: false };
    return { programTimeMs, positionMs, live, atJump: this.#isJump(timeS, programTimeMs), ad: false };
  }

  media(): MediaState {
    return this.#frames.state(this.#isAtEdge());
  }

  seekableRange(): { readonly startMs: number; readonly endMs: number } | null {
    if (this.#manifest() === null) return null;
    const { start, end } = this.#player.seekRange();
    const startMs = this.#programAt(start);
    const endMs = this.#programAt(end);
    return startMs === null || endMs === null ? null : { startMs: Math.floor(startMs), endMs: Math.floor(endMs) };
  }

  /** The end of what Shaka lets one seek to: the hold-back while live, the end of the media afterwards. */
  livePointMs(): number | null {
    if (this.#manifest() === null) return null;
    const programMs = this.#programAt(this.#player.seekRange().end);
    return programMs === null ? null : Math.floor(programMs);
  }

  /** Program time may jump, so the place is looked for among the segments, the newest first. */
  seekTo(programTimeMs: number): boolean {
    const index = this.#index();
    if (index === null || this.#manifest() === null) return false;
    const range = this.#player.seekRange();
    let timeS = range.end;
    for (let looked = 0; looked < WINDOW_MAX; looked += 1) {
      const position = index.find(timeS);
      const segment = position === null ? null : index.get(position);
      if (segment === null || segment === undefined) return false;
      const startS = segment.getStartTime();
      const startMs = this.#programAt(startS + 0.001);
      const intoS = startMs === null ? -1 : (programTimeMs - startMs) / 1000 + 0.001;
      if (intoS >= 0 && intoS < segment.getEndTime() - startS) {
        const soughtS = startS + intoS;
        if (soughtS < range.start || soughtS > range.end + EDGE_S) return false;
        this.#frames.video.currentTime = soughtS;
        return true;
      }
      timeS = startS - 0.001;
      if (timeS < range.start) return false;
    }
    return false;
  }

  seekToLive(): boolean {
    if (this.#manifest() === null) return false;
    this.#frames.video.currentTime = this.#player.seekRange().end;
    return true;
  }

  subscribe(onChange: (change: AdapterChange) => void): () => void {
    return this.#frames.subscribe(onChange);
  }

  destroy(): void {
    for (const name of TIMELINE_EVENTS) this.#player.removeEventListener(name as never, this.#onTimeline as never);
    for (const name of NEW_STREAM_EVENTS) this.#player.removeEventListener(name as never, this.#onNewStream as never);
    this.#frames.destroy();
  }

  /** Null until the player has read the playlist, which it shows by having tracks. The object stays the same over all reloads. */
  #manifest(): ShakaManifest | null {
    if (this.#held === null && this.#player.getVariantTracks().length > 0) {
      this.#held = (this.#player.getManifest() as ShakaManifest | null | undefined) ?? null;
    }
    return this.#held;
  }

  #index(): NonNullable<ShakaStream['segmentIndex']> | null {
    const manifest = this.#manifest();
    const active = this.#player.getVariantTracks().find((track) => track.active);
    const variant = manifest?.variants.find((one) => one.id === active?.id);
    return variant?.video?.segmentIndex ?? variant?.audio?.segmentIndex ?? null;
  }

  #programAt(timeS: number): number | null {
    const programS = this.#manifest()?.presentationTimeline.getProgramDateTimeForTime?.(timeS + ROUNDED_S);
    return programS === undefined || programS === null || !Number.isFinite(programS) ? null : (programS - ROUNDED_S) * 1000;
  }

  #isAtEdge(): boolean {
    const index = this.#index();
    const timeS = this.#frames.video.currentTime;
    // No segment is found before the window either, where a slow seek waits too.
    return index !== null && index.find(timeS + EDGE_S) === null && timeS >= this.#player.seekRange().end - EDGE_S;
  }

  #isJump(timeS: number, programMs: number): boolean {
    const last = this.#last;
    this.#last = { timeS, programMs };
    return last !== null && Math.abs(programMs - last.programMs - (timeS - last.timeS) * 1000) > JUMP_MS;
  }
}

/** Follow a Shaka player. */
export function shakaAdapter(player: ShakaLike, video?: HTMLVideoElement): ShakaAdapter {
  return new ShakaAdapter(player, video);
}
