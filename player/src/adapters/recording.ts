/**
 * Any media element with a recording's spans as a playhead.
 *
 * Owns: mapping a position in the recording to program time. Does not know: how the element is fed, chat.
 * Units: positions and program time in ms; spans half-open. Source: contract §4 (recordings).
 */

import type { AdapterChange, MediaState, PlayheadAddress, PlayheadAdapter } from '../playhead.js';
import type { WireSpan } from '../protocol.js';
import { PresentedFrames } from './presented-frames.js';

/** Players round durations: this much past the last span still is its end. */
const END_TOLERANCE_MS = 1_000;

export type Located =
  | { readonly in: 'span'; readonly span: WireSpan; readonly programMs: number }
  | { readonly in: 'insert' } // between spans, or past the last: no part of the programme
  | { readonly in: 'nothing' }; // no spans

/** Where a position of a recording lies. @param spans ordered by position. */
export function locate(spans: readonly WireSpan[], positionMs: number): Located {
  let low = 0;
  let high = spans.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (spans[middle]!.position_ms <= positionMs) low = middle + 1;
    else high = middle;
  }
  const span = spans[low - 1];
  if (span === undefined) return spans.length === 0 ? { in: 'nothing' } : { in: 'insert' };
  const intoMs = positionMs - span.position_ms;
  const isLast = low === spans.length;
  if (intoMs < span.duration_ms || (isLast && intoMs <= span.duration_ms + END_TOLERANCE_MS)) {
    return { in: 'span', span, programMs: span.program_ms + Math.min(intoMs, span.duration_ms) };
  }
  return { in: 'insert' };
}

export class RecordingAdapter implements PlayheadAdapter {
  readonly #frames: PresentedFrames;
  #spans: readonly WireSpan[] = [];
  #lastSpan: WireSpan | null = null;

  constructor(video: HTMLVideoElement, spans: readonly WireSpan[] = []) {
    this.#frames = new PresentedFrames(video);
    this.setSpans(spans);
  }

  /** Given by the element once it has read the recording; yours to give when you read it yourself. */
  setSpans(spans: readonly WireSpan[]): void {
    this.#spans = [...spans].sort((a, b) => a.position_ms - b.position_ms);
    this.#lastSpan = null;
    this.#frames.emit('timeline');
  }

  address(): PlayheadAddress | null {
    const timeS = this.#frames.mediaTimeS;
    if (timeS === null) return null;
    const positionMs = timeS * 1000;
    const located = locate(this.#spans, positionMs);
    if (located.in === 'nothing') return null;
    if (located.in === 'insert') return { positionMs, live: false, atJump: false, ad: true };
    const atJump = this.#lastSpan !== null && this.#lastSpan !== located.span;
    this.#lastSpan = located.span;
    return { programTimeMs: located.programMs, broadcast: located.span.broadcast, positionMs, live: false, atJump, ad: false };
  }

  /** A recording at its end shows what was said up to there, and no more. */
  media(): MediaState {
    return { ...this.#frames.state(false), atEnd: false };
  }

  seekableRange(): { readonly startMs: number; readonly endMs: number } | null {
    const first = this.#spans[0];
    const last = this.#spans.at(-1);
    if (first === undefined || last === undefined) return null;
    return { startMs: first.program_ms, endMs: last.program_ms + last.duration_ms };
  }

  livePointMs(): number | null {
    return null;
  }

  seekTo(programTimeMs: number): boolean {
    for (const span of this.#spans) {
      const intoMs = programTimeMs - span.program_ms;
      if (intoMs < 0 || intoMs >= span.duration_ms) continue;
      this.#frames.video.currentTime = (span.position_ms + intoMs) / 1000;
      return true;
    }
    return false;
  }

  seekToLive(): boolean {
    return false;
  }

  subscribe(onChange: (change: AdapterChange) => void): () => void {
    return this.#frames.subscribe(onChange);
  }

  destroy(): void {
    this.#frames.destroy();
  }
}

/** Follow a plain media element by a recording's spans; without spans, `<chatsync-chat recording>` brings them. */
export function recordingAdapter(video: HTMLVideoElement, spans?: readonly WireSpan[]): RecordingAdapter {
  return new RecordingAdapter(video, spans);
}
