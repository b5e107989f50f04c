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
 *
 * Its live edge runs on with the viewer's clock while an encoder stands still, so the end of the media bounds it here. Two things it does
 * not notice are read from the playlists as they come in: an encoder that counts anew, whose list it takes for what it has, and the
 * date of a segment that came in parts, which begins no region whatever its date.
 */

import type { AdapterChange, MediaState, PlayheadAddress, PlayheadAdapter } from '../playhead.js';
import { EDGE_S, END_TOLERANCE_S, JUMP_MS, MS_OF_1990, RestartWatch, type AdapterOptions } from './fragments.js';
import { PresentedFrames } from './presented-frames.js';

interface ShakaTimeline {
  getProgramDateTimeForTime?(timeS: number): number | null;
  getInitialProgramDateTime?(): number | null;
  getMaxSegmentEndTime?(): number | null;
  getDelay?(): number;
}

interface ShakaSegment {
  getStartTime(): number;
  getEndTime(): number;
  getUris?(): string[];
}

interface ShakaResponse {
  readonly uri?: string;
  readonly originalUri?: string;
  readonly data?: BufferSource;
}

type ShakaFilter = (type: number, response: ShakaResponse) => void;

interface ShakaNetwork {
  registerResponseFilter(filter: ShakaFilter): void;
  unregisterResponseFilter(filter: ShakaFilter): void;
}

interface ShakaStream {
  readonly segmentIndex?: {
    find(timeS: number): number | null;
    get(position: number): ShakaSegment | null;
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
  getNetworkingEngine?(): unknown;
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
const LINES_MAX = 300; // of a low-latency playlist: more than list parts
const DATES_MAX = 20_000;
const PLAYLIST_REQUESTS = new Set([0, 12]); // shaka.net.NetworkingEngine.RequestType MANIFEST, PLAYLIST

/** What a media playlist lists last; null if it is none, or tells no date. */
function newestOf(text: string): { readonly sequence: number; readonly dateMs: number } | null {
  const listed = text.match(/^#EXTINF/gm)?.length ?? 0;
  const count = (tag: RegExp): number => Number(tag.exec(text)?.[1] ?? 0);
  const dateMs = Date.parse(text.split('#EXT-X-PROGRAM-DATE-TIME:').at(-1)!.split(/\s/, 1)[0]!);
  if (!text.startsWith('#EXTM3U') || listed === 0 || Number.isNaN(dateMs)) return null;
  return { sequence: count(/^#EXT-X-MEDIA-SEQUENCE:(\d+)/m) + count(/SKIPPED-SEGMENTS=(\d+)/) + listed - 1, dateMs };
}

/** Nothing may be thrown while Shaka reads. */
function absolute(address: string, base: string): string {
  try {
    return new URL(address, base).href;
  } catch {
    return address;
  }
}

/** Dates of the newest segments of a low-latency playlist by their addresses, if each has its own file. */
function datesOf(text: string, uri: string): Map<string, number> {
  const dates = new Map<string, number>();
  if (!text.includes('\n#EXT-X-PART:') || text.includes('\n#EXT-X-BYTERANGE')) return dates;
  let dateMs = NaN;
  for (const line of text.split(/\r?\n/).slice(-LINES_MAX)) {
    if (line.startsWith('#EXT-X-PROGRAM-DATE-TIME:')) dateMs = Date.parse(line.slice(25));
    else if (line !== '' && !line.startsWith('#')) {
      if (dateMs > MS_OF_1990) dates.set(absolute(line, uri), dateMs);
      dateMs = NaN; // a segment without a date of its own is Shaka's
    }
  }
  return dates;
}

export class ShakaAdapter implements PlayheadAdapter {
  readonly #player: ShakaLike;
  readonly #frames: PresentedFrames;
  readonly #onTimeline = (): void => this.#frames.emit('timeline');
  readonly #restarts: RestartWatch;
  readonly #onNewStream = (): void => {
    this.#held = null;
    this.#last = null;
    this.#dates.clear();
    this.#restarts.reset();
  };
  readonly #onResponse: ShakaFilter = (type, response) => {
    const { data, uri = '', originalUri = uri } = response;
    if (!PLAYLIST_REQUESTS.has(type) || data === undefined) return;
    const text = new TextDecoder().decode(data);
    this.#restarts.look(response, originalUri, () => newestOf(text));
    for (const [segment, dateMs] of datesOf(text, uri)) this.#dates.set(segment, dateMs);
    for (const oldest of this.#dates.keys()) {
      if (this.#dates.size <= DATES_MAX) break;
      this.#dates.delete(oldest);
    }
  };
  readonly #dates = new Map<string, number>(); // of segments that came in parts, by address
  #held: ShakaManifest | null = null;
  #last: { readonly timeS: number; readonly programMs: number } | null = null;

  /** @param video the element the player is attached to; without it, the player is asked, which must be attached by then. */
  constructor(player: ShakaLike, video?: HTMLVideoElement, options: AdapterOptions = {}) {
    const element = video ?? player.getMediaElement();
    if (element === null) throw new TypeError('chatsync: the Shaka player is not attached to a <video> yet; give the element as well');
    this.#player = player;
    this.#frames = new PresentedFrames(element as HTMLVideoElement);
    this.#restarts = new RestartWatch(options.onRestart);
    this.#network()?.registerResponseFilter(this.#onResponse);
    for (const name of TIMELINE_EVENTS) player.addEventListener(name as never, this.#onTimeline as never);
    for (const name of NEW_STREAM_EVENTS) player.addEventListener(name as never, this.#onNewStream as never);
  }

  address(): PlayheadAddress | null {
    const timeS = this.#frames.mediaTimeS;
    if (timeS === null || this.#restarts.hasRestarted || this.#manifest() === null) return null;
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
    const programMs = this.#programAt(this.#liveS());
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
    this.#frames.video.currentTime = this.#liveS();
    return true;
  }

  subscribe(onChange: (change: AdapterChange) => void): () => void {
    return this.#frames.subscribe(onChange);
  }

  destroy(): void {
    this.#network()?.unregisterResponseFilter(this.#onResponse);
    for (const name of TIMELINE_EVENTS) this.#player.removeEventListener(name as never, this.#onTimeline as never);
    for (const name of NEW_STREAM_EVENTS) this.#player.removeEventListener(name as never, this.#onNewStream as never);
    this.#frames.destroy();
  }

  /** Null once the player was destroyed. */
  #network(): ShakaNetwork | null {
    return (this.#player.getNetworkingEngine?.() as ShakaNetwork | null | undefined) ?? null;
  }

  /** Where a viewer counts as live: so far behind the end of the media as Shaka holds back, whatever the clock says. */
  #liveS(): number {
    const { start, end } = this.#player.seekRange();
    const timeline = this.#manifest()?.presentationTimeline;
    const mediaEndS = this.#player.isLive() ? timeline?.getMaxSegmentEndTime?.() : null;
    return mediaEndS === undefined || mediaEndS === null ? end : Math.max(start, Math.min(end, mediaEndS - (timeline?.getDelay?.() ?? 0)));
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
    const dated = this.#dates.size === 0 ? null : this.#datedAt(timeS + ROUNDED_S);
    if (dated !== null) return dated.dateMs + (timeS - dated.startS) * 1000;
    const programS = this.#manifest()?.presentationTimeline.getProgramDateTimeForTime?.(timeS + ROUNDED_S);
    return programS === undefined || programS === null || !Number.isFinite(programS) ? null : (programS - ROUNDED_S) * 1000;
  }

  /** The segment at a time, if its date was read; for one that still grows, and has no address yet, the one before it. */
  #datedAt(timeS: number): { readonly dateMs: number; readonly startS: number } | null {
    const index = this.#index();
    const position = index?.find(timeS) ?? index?.find(timeS - END_TOLERANCE_S) ?? null;
    if (index === null || position === null) return null;
    const own = index.get(position);
    const segment = own?.getUris?.()[0] ? own : index.get(position - 1);
    const dateMs = this.#dates.get(segment?.getUris?.()[0] ?? '');
    return dateMs === undefined ? null : { dateMs, startS: segment!.getStartTime() };
  }

  #isAtEdge(): boolean {
    const index = this.#index();
    const timeS = this.#frames.video.currentTime;
    // No segment is found before the window either, where a slow seek waits too.
    return index !== null && index.find(timeS + EDGE_S) === null && timeS >= this.#liveS() - EDGE_S;
  }

  #isJump(timeS: number, programMs: number): boolean {
    const last = this.#last;
    this.#last = { timeS, programMs };
    return last !== null && Math.abs(programMs - last.programMs - (timeS - last.timeS) * 1000) > JUMP_MS;
  }
}

/** Follow a Shaka player. */
export function shakaAdapter(player: ShakaLike, video?: HTMLVideoElement, options?: AdapterOptions): ShakaAdapter {
  return new ShakaAdapter(player, video, options);
}
