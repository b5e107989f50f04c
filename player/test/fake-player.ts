import type { AdapterChange, MediaState, PlayheadAdapter, PlayheadAddress } from '../src/playhead.js';

/** A player set by hand. */
export class FakePlayer implements PlayheadAdapter {
  programMs: number | null = null;
  mediaSequence: number | undefined;
  liveMs: number | null = null;
  state: { -readonly [Key in keyof MediaState]: MediaState[Key] } = { paused: false, rate: 1, seeking: false, atEnd: false };
  readonly sought: (number | 'live')[] = [];
  readonly #listeners = new Set<(change: AdapterChange) => void>();

  address(): PlayheadAddress | null {
    if (this.programMs === null) return null;
    const sequence = this.mediaSequence === undefined ? {} : { mediaSequence: this.mediaSequence };
    return { programTimeMs: this.programMs, ...sequence, positionMs: 0, live: true, atJump: false, ad: false };
  }

  media(): MediaState {
    return { ...this.state };
  }

  seekableRange(): null {
    return null;
  }

  livePointMs(): number | null {
    return this.liveMs;
  }

  seekTo(programTimeMs: number): boolean {
    this.sought.push(programTimeMs);
    return true;
  }

  seekToLive(): boolean {
    this.sought.push('live');
    return true;
  }

  subscribe(onChange: (change: AdapterChange) => void): () => void {
    this.#listeners.add(onChange);
    return () => this.#listeners.delete(onChange);
  }

  destroy(): void {
    this.#listeners.clear();
  }

  emit(change: AdapterChange): void {
    for (const listener of this.#listeners) listener(change);
  }

  /** A presented frame. */
  show(programMs: number): void {
    this.programMs = programMs;
    this.emit('frame');
  }

  seek(programMs: number): void {
    this.startSeek(programMs);
    this.endSeek();
  }

  startSeek(programMs: number): void {
    this.programMs = programMs;
    this.state.seeking = true;
    this.emit('seeking');
  }

  endSeek(): void {
    this.state.seeking = false;
    this.emit('seeked');
  }
}
