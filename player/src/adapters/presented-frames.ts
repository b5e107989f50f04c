/**
 * Which instant of a media element is on screen, told at every presented frame.
 *
 * Owns: `requestVideoFrameCallback` and what stands in for it, the span from `seeking` to the first frame after it.
 * Does not know: HLS, program time, chat. Units: seconds on the element's own axis (`currentTime`).
 *
 * `currentTime` runs ahead of the picture by up to a frame, and after a seek it is the place sought while the old
 * picture still stands. The frame's own `mediaTime` has neither fault. On a busy page the first frame of the place sought is
 * presented before the `seeking` event is delivered: then the element's own `seeking` tells.
 */

import type { AdapterChange, MediaState } from '../playhead.js';

interface FrameMetadata {
  readonly mediaTime: number;
}

type FrameVideo = HTMLVideoElement & {
  requestVideoFrameCallback?: (callback: (now: number, metadata: FrameMetadata) => void) => number;
  cancelVideoFrameCallback?: (handle: number) => void;
};

const HAVE_CURRENT_DATA = 2;
const HAVE_FUTURE_DATA = 3;
const FRAME_BEHIND_MAX_S = 0.25; // a frame of the slowest video worth the name
const FRAME_LOST_S = 1.5; // no frames although time goes on: not composited, or audio only; a busy machine is late by up to a second

export class PresentedFrames {
  readonly video: HTMLVideoElement;
  readonly #listeners = new Set<(change: AdapterChange) => void>();
  readonly #controller = new AbortController();
  #mediaTimeS: number | null = null;
  #isSeeking = false;
  #hasSeeked = false;
  #soughtS = 0;
  #isUnproven = false; // a seek was taken as done without a frame of the place sought
  #isLost = false; // from then on time updates stand in, until there is a frame again
  #frameHandle: number | null = null;
  #animationHandle: number | null = null;

  constructor(video: HTMLVideoElement) {
    this.video = video;
    const { signal } = this.#controller;
    const on = (name: string, listener: () => void): void => video.addEventListener(name, listener, { signal });
    on('seeking', () => this.#seeking());
    on('seeked', () => this.#seeked());
    on('timeupdate', () => this.#timeUpdated());
    for (const name of ['play', 'playing', 'pause', 'ratechange', 'ended', 'waiting', 'loadeddata']) {
      on(name, () => {
        this.#animateIfNeeded();
        this.emit('state');
      });
    }
    on('emptied', () => {
      this.#mediaTimeS = null;
      this.#isSeeking = false;
      this.emit('seeking'); // another source is another place, and what the pane showed at the end of the last one is not due here
    });
    if (video.seeking) this.#seeking();
    this.#requestFrame();
    this.#animateIfNeeded();
  }

  /** Media time of the picture; while seeking, of the place sought. Null before there is a picture. */
  get mediaTimeS(): number | null {
    if (this.#isSeeking) return this.video.currentTime;
    if (this.#mediaTimeS !== null) return this.#mediaTimeS;
    return this.video.readyState >= HAVE_CURRENT_DATA ? this.video.currentTime : null;
  }

  /** From `seeking` until the first frame after `seeked`. */
  get isSeeking(): boolean {
    return this.#isSeeking;
  }

  /** `isEdge`: the media ends here as far as is known, so that waiting means having seen all there is. */
  state(isEdge: boolean): MediaState {
    const { video } = this;
    const isWaiting = !video.paused && video.readyState < HAVE_FUTURE_DATA && isEdge;
    return { paused: video.paused, rate: video.playbackRate, seeking: this.#isSeeking, atEnd: video.ended || isWaiting };
  }

  subscribe(listener: (change: AdapterChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  emit(change: AdapterChange): void {
    for (const listener of this.#listeners) listener(change);
  }

  destroy(): void {
    this.#controller.abort();
    this.#listeners.clear();
    const video = this.video as FrameVideo;
    if (this.#frameHandle !== null) video.cancelVideoFrameCallback?.(this.#frameHandle);
    if (this.#animationHandle !== null) cancelAnimationFrame(this.#animationHandle);
  }

  #requestFrame(): void {
    const video = this.video as FrameVideo;
    if (video.requestVideoFrameCallback === undefined || this.#controller.signal.aborted) return;
    this.#frameHandle = video.requestVideoFrameCallback((_now, { mediaTime }) => {
      this.#requestFrame();
      this.#presented(mediaTime);
    });
  }

  #presented(mediaTimeS: number): void {
    this.#isLost = false;
    if (this.video.seeking && !this.#isSeeking) this.#seeking();
    if (this.#isSeeking || this.#isUnproven) {
      // While the picture was awaited, `currentTime` may have run on by more than a frame.
      const isSought = mediaTimeS >= this.#soughtS - FRAME_BEHIND_MAX_S * Math.max(1, this.video.playbackRate) && mediaTimeS <= this.video.currentTime + 0.05;
      if (!isSought) return; // still the picture from before the seek
      this.#isUnproven = false;
    }
    this.#mediaTimeS = mediaTimeS;
    if (!this.#isSeeking) this.emit('frame');
    else if (this.#hasSeeked || !this.video.seeking) this.#settle();
  }

  #seeking(): void {
    if (this.#isSeeking && this.#soughtS === this.video.currentTime) return; // a frame came before the event
    this.#isSeeking = true;
    this.#hasSeeked = false;
    this.#soughtS = this.video.currentTime;
    this.#mediaTimeS = null;
    this.emit('seeking');
  }

  #seeked(): void {
    if (!this.#isSeeking) return;
    this.#hasSeeked = true;
    // The frame may have come before the event. Else it is awaited for two repaints; a seek within one frame, or
    // without a picture, presents none.
    if (this.#mediaTimeS !== null || document.visibilityState === 'hidden' || !this.#hasFrames) this.#settle();
    else requestAnimationFrame(() => requestAnimationFrame(() => this.#hasSeeked && this.#settle()));
  }

  #settle(): void {
    if (!this.#isSeeking) return;
    this.#isSeeking = false;
    this.#hasSeeked = false;
    this.#isUnproven = this.#mediaTimeS === null;
    this.#mediaTimeS ??= this.#soughtS; // and not where `currentTime` has run to: the picture comes from there on
    this.emit('seeked');
  }

  get #hasFrames(): boolean {
    return (this.video as FrameVideo).requestVideoFrameCallback !== undefined && this.video.videoWidth > 0;
  }

  /** A few times a second, also in the background, where no frames are presented. */
  #timeUpdated(): void {
    const { video } = this;
    if (this.#isSeeking || video.seeking) return;
    this.#isLost ||= Math.abs(video.currentTime - (this.#mediaTimeS ?? -Infinity)) > FRAME_LOST_S * Math.max(1, video.playbackRate);
    if (document.visibilityState !== 'hidden' && this.#hasFrames && !this.#isLost) return;
    this.#mediaTimeS = video.currentTime;
    this.emit('frame');
  }

  /** Without frame callbacks: once a repaint while playing. */
  #animateIfNeeded(): void {
    if (this.#hasFrames || this.#animationHandle !== null || this.video.paused) return;
    this.#animationHandle = requestAnimationFrame(() => {
      this.#animationHandle = null;
      if (this.#controller.signal.aborted) return;
      if (!this.#isSeeking && !this.video.seeking && !this.#hasFrames) {
        this.#mediaTimeS = this.video.currentTime;
        this.emit('frame');
      }
      this.#animateIfNeeded();
    });
  }
}
