/**
 * Any media element that exposes its hls.js: `<hls-video>` of media-chrome (`.api`), and others with `.hls` or `.engine`.
 *
 * Owns: finding the Hls instance and the `<video>` in such an element, and staying with them when the element makes new ones.
 * Does not know: hls.js itself (hls.ts does), chat. Units: those of the adapter it hands on to.
 *
 * Such elements make a new instance for each source. So none is kept: it is compared at every look, and followed anew if it is
 * another one.
 */

import type { AdapterChange, MediaState, PlayheadAddress, PlayheadAdapter } from '../playhead.js';
import type { DateOf } from '../served-dates.js';
import type { AdapterOptions } from './fragments.js';
import { HlsAdapter, type HlsLike } from './hls.js';

const HLS_NAMES = ['api', 'hls', 'engine', '_hls'] as const;
const VIDEO_NAMES = ['nativeEl', 'media', 'video'] as const;
const CHANGES = ['loadstart', 'loadedmetadata', 'emptied', 'play', 'playing', 'canplay'];
const IDLE: MediaState = { paused: true, rate: 1, seeking: false, atEnd: false };

function isHls(value: unknown): value is HlsLike {
  const hls = value as { on?: unknown; off?: unknown; levels?: unknown } | null | undefined;
  return typeof hls?.on === 'function' && typeof hls.off === 'function' && Array.isArray(hls.levels);
}

/** The instance an element exposes now; `.engine` may be a wrapper that has it as `.hls` in turn. */
function hlsOf(element: HTMLElement): HlsLike | null {
  const named = element as unknown as Record<string, unknown>;
  for (const name of HLS_NAMES) {
    const found = named[name];
    if (isHls(found)) return found;
    const inner = (found as { hls?: unknown } | null | undefined)?.hls;
    if (isHls(inner)) return inner;
  }
  return null;
}

function videoOf(element: HTMLElement): HTMLVideoElement | null {
  if (element instanceof HTMLVideoElement) return element;
  const named = element as unknown as Record<string, unknown>;
  for (const name of VIDEO_NAMES) if (named[name] instanceof HTMLVideoElement) return named[name];
  return element.shadowRoot?.querySelector('video') ?? element.querySelector('video');
}

export class HlsElementAdapter implements PlayheadAdapter {
  readonly #element: HTMLElement;
  readonly #options: AdapterOptions;
  readonly #listeners = new Set<(change: AdapterChange) => void>();
  readonly #controller = new AbortController();
  #followed: { readonly hls: HlsLike; readonly video: HTMLVideoElement; readonly adapter: HlsAdapter } | null = null;

  #dateOf: DateOf | null = null;

  constructor(element: HTMLElement, options: AdapterOptions = {}) {
    this.#element = element;
    this.#options = options;
    const { signal } = this.#controller;
    // Media events do not bubble, yet they can be caught on their way down; elements with a shadow root send them again.
    for (const name of CHANGES) element.addEventListener(name, () => this.#current(), { signal, capture: true });
    this.#current();
  }

  /** As of `HlsAdapter`, for whatever instance there is. */
  set dateOf(dateOf: DateOf | null) {
    this.#dateOf = dateOf;
    const adapter = this.#current();
    if (adapter !== null) adapter.dateOf = dateOf;
  }

  address(): PlayheadAddress | null {
    return this.#current()?.address() ?? null;
  }

  media(): MediaState {
    return this.#current()?.media() ?? IDLE;
  }

  seekableRange(): { readonly startMs: number; readonly endMs: number } | null {
    return this.#current()?.seekableRange() ?? null;
  }

  livePointMs(): number | null {
    return this.#current()?.livePointMs() ?? null;
  }

  seekTo(programTimeMs: number): boolean {
    return this.#current()?.seekTo(programTimeMs) ?? false;
  }

  seekToLive(): boolean {
    return this.#current()?.seekToLive() ?? false;
  }

  subscribe(onChange: (change: AdapterChange) => void): () => void {
    this.#listeners.add(onChange);
    return () => this.#listeners.delete(onChange);
  }

  destroy(): void {
    this.#controller.abort();
    this.#listeners.clear();
    this.#followed?.adapter.destroy();
    this.#followed = null;
  }

  #current(): HlsAdapter | null {
    if (this.#controller.signal.aborted) return null;
    const hls = hlsOf(this.#element);
    const video = videoOf(this.#element);
    const followed = this.#followed;
    if (followed !== null && followed.hls === hls && followed.video === video) return followed.adapter;
    followed?.adapter.destroy();
    this.#followed = null;
    if (hls === null || video === null) return null;
    const adapter = new HlsAdapter(hls, video, this.#options);
    adapter.dateOf = this.#dateOf;
    this.#followed = { hls, video, adapter };
    adapter.subscribe((change) => this.#emit(change));
    this.#emit('timeline');
    return adapter;
  }

  #emit(change: AdapterChange): void {
    for (const listener of this.#listeners) listener(change);
  }
}

/** Follow an element that exposes its hls.js, whatever source it plays. */
export function hlsElementAdapter(element: HTMLElement, options?: AdapterOptions): HlsElementAdapter {
  return new HlsElementAdapter(element, options);
}
