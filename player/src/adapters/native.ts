/**
 * A browser that plays HLS by itself and says when its timeline began (`getStartDate`), as Safari does.
 *
 * Owns: that one date. Does not know: segments (such a browser tells none), chat.
 * Units: seconds on the element's axis, ms since the Unix epoch.
 *
 * Tested with object literals only, never run on Safari. One start date is a straight line: whether Safari changes it where
 * program time jumps is not known here, so it is asked at every look and never kept. Browsers without `getStartDate` (Chromium)
 * know no program time for native HLS: live shows on arrival.
 */

import type { AdapterChange, MediaState, PlayheadAddress, PlayheadAdapter } from '../playhead.js';
import { EDGE_S, JUMP_MS } from './fragments.js';
import { PresentedFrames } from './presented-frames.js';

type DatedVideo = HTMLVideoElement & { getStartDate?: () => Date | null };

const TIMELINE_EVENTS = ['loadedmetadata', 'durationchange', 'progress'];

export class NativeAdapter implements PlayheadAdapter {
  readonly #video: DatedVideo;
  readonly #frames: PresentedFrames;
  readonly #controller = new AbortController();
  #last: { readonly timeS: number; readonly programMs: number } | null = null;

  constructor(video: HTMLVideoElement) {
    this.#video = video;
    this.#frames = new PresentedFrames(video);
    const { signal } = this.#controller;
    for (const name of TIMELINE_EVENTS) video.addEventListener(name, () => this.#frames.emit('timeline'), { signal });
  }

  address(): PlayheadAddress | null {
    const timeS = this.#frames.mediaTimeS;
    const startMs = this.#startMs();
    if (timeS === null || startMs === null) return null;
    const programTimeMs = startMs + timeS * 1000;
    return { programTimeMs, positionMs: timeS * 1000, live: this.#isLive(), atJump: this.#isJump(timeS, programTimeMs), ad: false };
  }

  media(): MediaState {
    const endS = this.#seekableS()?.endS;
    return this.#frames.state(endS !== undefined && this.#video.currentTime >= endS - EDGE_S);
  }

  seekableRange(): { readonly startMs: number; readonly endMs: number } | null {
    const range = this.#seekableS();
    const startMs = this.#startMs();
    if (range === null || startMs === null) return null;
    return { startMs: Math.floor(startMs + range.startS * 1000), endMs: Math.floor(startMs + range.endS * 1000) };
  }

  livePointMs(): number | null {
    return this.seekableRange()?.endMs ?? null;
  }

  seekTo(programTimeMs: number): boolean {
    const range = this.#seekableS();
    const startMs = this.#startMs();
    if (range === null || startMs === null) return false;
    const timeS = (programTimeMs - startMs) / 1000;
    if (timeS < range.startS || timeS > range.endS) return false;
    this.#video.currentTime = timeS;
    return true;
  }

  seekToLive(): boolean {
    const range = this.#seekableS();
    if (range === null) return false;
    this.#video.currentTime = range.endS;
    return true;
  }

  subscribe(onChange: (change: AdapterChange) => void): () => void {
    return this.#frames.subscribe(onChange);
  }

  destroy(): void {
    this.#controller.abort();
    this.#frames.destroy();
  }

  /** Null without dates in the playlist (an invalid date), before the metadata, and where the browser has no such thing. */
  #startMs(): number | null {
    const startMs = this.#video.getStartDate?.()?.getTime();
    return startMs === undefined || !Number.isFinite(startMs) ? null : startMs;
  }

  #seekableS(): { readonly startS: number; readonly endS: number } | null {
    const ranges = this.#video.seekable;
    return ranges.length === 0 ? null : { startS: ranges.start(0), endS: ranges.end(ranges.length - 1) };
  }

  #isLive(): boolean {
    return this.#video.duration === Infinity;
  }

  #isJump(timeS: number, programMs: number): boolean {
    const last = this.#last;
    this.#last = { timeS, programMs };
    return last !== null && Math.abs(programMs - last.programMs - (timeS - last.timeS) * 1000) > JUMP_MS;
  }
}

/** Follow a `<video>` that plays HLS by itself. */
export function nativeAdapter(video: HTMLVideoElement): NativeAdapter {
  return new NativeAdapter(video);
}
