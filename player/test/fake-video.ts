/** A media element whose time and frames are set by hand. */

type Present = (now: number, metadata: { mediaTime: number }) => void;

export class FakeVideo extends EventTarget {
  currentTime = 0;
  paused = false;
  ended = false;
  seeking = false;
  playbackRate = 1;
  readyState = 4;
  videoWidth = 640;
  duration = Infinity;
  seekable = ranges();
  #callbacks: Present[] = [];

  requestVideoFrameCallback(callback: Present): number {
    this.#callbacks.push(callback);
    return this.#callbacks.length;
  }

  cancelVideoFrameCallback(): void {
    this.#callbacks = [];
  }

  present(mediaTime: number): void {
    const callbacks = this.#callbacks;
    this.#callbacks = [];
    for (const callback of callbacks) callback(0, { mediaTime });
  }

  get element(): HTMLVideoElement {
    return this as unknown as HTMLVideoElement;
  }

  fire(name: string): void {
    this.dispatchEvent(new Event(name));
  }
}

/** Time ranges as a media element has them. */
export function ranges(...pairs: [number, number][]): TimeRanges {
  return { length: pairs.length, start: (index: number) => pairs[index]![0], end: (index: number) => pairs[index]![1] };
}
