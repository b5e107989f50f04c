/**
 * What is read from the relay over HTTP, and when.
 *
 * Owns: requests under way and what makes them superfluous, polls, back-off after failures, when an open slice may be
 * asked for, spans of a recording. Does not know: frames of the socket, which epoch is right, what is shown, players.
 * Units: ms, monotonic; program time only inside what is asked for. Source: contract §3 (reload_ms, since, open).
 */

import { ReadError, backOffMs, type ChatReader } from './connection.js';
import type { Playhead } from './playhead.js';
import type { WireSpan } from './protocol.js';
import type { VisibleRows } from './replay.js';
import type { RoomCache } from './room-cache.js';
import type { SliceCache, Wanted } from './slice-cache.js';

const PLAYLIST_WITH_SOCKET_MS = 60_000; // the socket tells everything; the list is for seeks, and for staying fresh
const PLAYLIST_WITH_OPEN_MS = 20_000; // polled open slices say when it has changed
const PLAYLIST_RECORDING_MS = 10_000;
const OPEN_AFTER_MAX_MS = 8_000; // the relay honours `after` for 10 s
const PLAYLIST_FOR_OPEN_MAX_MS = 30_000; // and a `from_ms` for a minute
const REQUESTS_MAX = 6;
const FAILURE_KEPT_MS = 60_000;
const SERVED_MS = 15_000; // an answer so long ago still says that there is a relay

/** How far the socket is. */
export interface SocketForReads {
  readonly isOpen: boolean;
  readonly hasAnswered: boolean; // it has welcomed us, or cannot be had
  readonly from: number | null; // offset above which it delivers everything; kept while it is to be resumed
}

export interface RoomReadsOptions {
  readonly reader: ChatReader;
  readonly room: RoomCache;
  readonly rows: VisibleRows;
  /** null: a recording, which has none. */
  readonly socket: () => SocketForReads | null;
  /** Told the epoch of an answer; true when that answer is of no use. */
  readonly isOtherEpoch: (epoch: string) => boolean;
  /** Something came, or failed: look what it changes, and call `load`. */
  readonly onAnswer: () => void;
  readonly onSpans: (spans: readonly WireSpan[]) => void;
  readonly onError: (error: unknown) => void;
  readonly monotonicMs: () => number;
  readonly random: () => number;
}

interface Request {
  readonly controller: AbortController;
  readonly generation: number;
}

interface Failure {
  readonly count: number;
  readonly retryAtMs: number;
}

function keyOf(wanted: Wanted): string {
  switch (wanted.what) {
    case 'playlist':
      return `playlist ${wanted.broadcast ?? ''} ${wanted.fromMs ?? ''}`;
    case 'slice':
      return `slice ${wanted.broadcast} ${wanted.entry.startMs} ${wanted.entry.revision}`;
    case 'open':
      return `open ${wanted.broadcast}`;
  }
}

export class RoomReads {
  readonly #options: RoomReadsOptions;
  readonly #requests = new Map<string, Request>();
  readonly #failures = new Map<string, Failure>();
  #wantedKeys: ReadonlySet<string> = new Set();
  #spans: readonly WireSpan[] | null = null;
  #openNotBeforeMs = 0;
  #answeredAtMs = -Infinity;
  #look = ''; // what `wanted` depended on when it was last asked

  constructor(options: RoomReadsOptions) {
    this.#options = options;
  }

  /** Those of the recording; null before they have come, and live. */
  get spans(): readonly WireSpan[] | null {
    return this.#spans;
  }

  /** Whether reads are answered at present: the relay is there, with a place on a socket or without. */
  get isServed(): boolean {
    return this.#options.monotonicMs() - this.#answeredAtMs < SERVED_MS;
  }

  /** Ask for what the rows want and for what is due. Cheap when nothing changed since the last call. */
  load(playhead: Playhead): void {
    const { rows, room } = this.#options;
    const cache = this.#watched;
    const second = rows.cutoffMs === null ? '' : Math.floor(rows.cutoffMs / 1000);
    const look = `${rows.generation} ${rows.version} ${room.version} ${cache?.version} ${second} ${playhead.state}`;
    if (look === this.#look) return;
    this.#look = look;
    const wanted = new Map<string, Wanted>();
    for (const one of [...rows.wanted(), ...this.#polls()]) wanted.set(keyOf(one), one);
    const now = this.#options.monotonicMs();
    for (const [key, one] of wanted) {
      if (this.#requests.size >= REQUESTS_MAX) break;
      if (this.#requests.has(key) || (this.#failures.get(key)?.retryAtMs ?? 0) > now) continue;
      if (one.what === 'open' && !this.#mayLoadOpen(one.broadcast, now)) continue;
      void this.#load(key, one);
    }
    this.#wantedKeys = new Set(wanted.keys());
  }

  /** The next `load` asks again, whatever has changed. */
  askAnew(): void {
    this.#look = '';
  }

  /** Called as time goes by. */
  expire(monotonicMs: number): void {
    for (const [key, failure] of this.#failures) if (failure.retryAtMs < monotonicMs - FAILURE_KEPT_MS) this.#failures.delete(key);
  }

  /** What failed may be asked for again at once. */
  forgetFailures(): void {
    this.#failures.clear();
  }

  /**
   * After a seek and the `load` for its place: what was asked for the place left behind is no longer wanted. Lists and
   * the open slice are wanted anywhere.
   */
  abortSuperseded(): void {
    for (const [key, request] of this.#requests) {
      if (request.generation >= this.#options.rows.generation || !key.startsWith('slice') || this.#wantedKeys.has(key)) continue;
      this.#requests.delete(key);
      request.controller.abort();
    }
    this.#look = '';
  }

  abortAll(): void {
    for (const request of this.#requests.values()) request.controller.abort();
    this.#requests.clear();
    this.#failures.clear();
  }

  /** Everything held was dropped. */
  reset(): void {
    this.abortAll();
    this.#openNotBeforeMs = 0;
  }

  /** The spans of a recording, asked for until they come. */
  async loadRecording(recording: string): Promise<void> {
    const key = `recording ${recording}`;
    const request: Request = { controller: new AbortController(), generation: 0 };
    this.#requests.set(key, request);
    for (let failures = 0; !request.controller.signal.aborted; failures += 1) {
      try {
        const { spans } = await this.#options.reader.recording(recording, request.controller.signal);
        if (request.controller.signal.aborted) return;
        this.#spans = spans;
        this.#requests.delete(key);
        this.#look = '';
        this.#options.onSpans(spans);
        return;
      } catch (error) {
        if (request.controller.signal.aborted) return;
        this.#options.onError(error);
        await new Promise((resolve) => setTimeout(resolve, backOffMs(failures, this.#options.random())));
      }
    }
  }

  /** The broadcast whose playlist is kept up to date: the one on screen, else the latest. */
  get #watched(): SliceCache | null {
    const number = this.#options.rows.broadcast ?? (this.#spans === null ? this.#options.room.latest : null);
    return number === null ? null : this.#options.room.broadcast(number);
  }

  /** What is due because time went by: the chat playlist, and without a socket the open slice. */
  #polls(): Wanted[] {
    const cache = this.#watched;
    const list = cache?.playlist;
    if (cache == null || list == null || cache.playlistAtMs === null) return [];
    const { broadcast } = cache;
    const ageMs = this.#options.monotonicMs() - cache.playlistAtMs;
    const socket = this.#options.socket();
    const isOpen = socket?.isOpen === true;
    const isCaughtUp = isOpen && list.asOfOffset >= (socket.from ?? Infinity);
    const everyMs =
      socket === null
        ? Math.max(list.reloadMs, PLAYLIST_RECORDING_MS)
        : isCaughtUp || !list.live
          ? Math.max(list.reloadMs, isOpen ? PLAYLIST_WITH_SOCKET_MS : PLAYLIST_RECORDING_MS)
          : Math.max(list.reloadMs, cache.isListPresent ? PLAYLIST_WITH_OPEN_MS : 0);
    const polls: Wanted[] = [];
    if (ageMs >= everyMs) polls.push({ what: 'playlist', broadcast, fromMs: null, toMs: null });
    const isTailWatched = this.#options.rows.basis === 'arrival' || (this.#options.rows.cutoffMs ?? Infinity) >= list.sealedUntilMs - 60_000;
    if (!isOpen && socket?.hasAnswered === true && list.live && isTailWatched) {
      const open = cache.open;
      if (open === null || this.#options.monotonicMs() - open.atMs >= list.reloadMs) polls.push({ what: 'open', broadcast });
    }
    return polls;
  }

  /**
   * The open slice is asked for when the socket has said where it begins, or cannot be had: only then can the two meet.
   * Its `from_ms` must be a recent `sealed_until_ms`, so an old chat playlist is renewed first.
   */
  #mayLoadOpen(broadcast: number, now: number): boolean {
    if (this.#options.socket()?.hasAnswered === false) return false;
    const cache = this.#options.room.broadcast(broadcast);
    if (cache.playlist === null || cache.playlistAtMs === null || now < this.#openNotBeforeMs) return false;
    if (now - cache.playlistAtMs <= PLAYLIST_FOR_OPEN_MAX_MS) return true;
    const refresh: Wanted = { what: 'playlist', broadcast, fromMs: null, toMs: null };
    const key = keyOf(refresh);
    if (!this.#requests.has(key) && (this.#failures.get(key)?.retryAtMs ?? 0) <= now) void this.#load(key, refresh);
    return false;
  }

  async #load(key: string, wanted: Wanted): Promise<void> {
    const request: Request = { controller: new AbortController(), generation: this.#options.rows.generation };
    this.#requests.set(key, request);
    const isCurrent = (): boolean => this.#requests.get(key) === request && !request.controller.signal.aborted;
    try {
      const take = await this.#ask(wanted, request.controller.signal);
      this.#answeredAtMs = this.#options.monotonicMs();
      if (!isCurrent()) return;
      take();
      this.#failures.delete(key);
    } catch (error) {
      if (!isCurrent()) return;
      this.#failed(key, wanted, error);
    } finally {
      if (this.#requests.get(key) === request) this.#requests.delete(key);
    }
    this.#look = '';
    this.#options.onAnswer();
  }

  /** Ask, and return what to do with the answer if it is still wanted by then. */
  async #ask(wanted: Wanted, signal: AbortSignal): Promise<() => void> {
    switch (wanted.what) {
      case 'playlist': {
        const held = wanted.broadcast === null ? null : this.#options.room.broadcast(wanted.broadcast);
        const list = held?.playlist ?? null;
        if (wanted.fromMs !== null) {
          const { broadcast, fromMs, toMs } = wanted;
          const answer = await this.#options.reader.playlist({ broadcast, fromMs, toMs }, signal);
          return () => held?.receiveEarlierPlaylist(answer);
        }
        const query = { broadcast: wanted.broadcast, since: list?.version ?? null, fromMs: list?.isExtended ? list.startMs : null };
        const answer = await this.#options.reader.playlist(query, signal);
        return () => {
          if (this.#options.isOtherEpoch(answer.epoch)) return;
          this.#options.room.receivePlaylist(answer, this.#options.monotonicMs());
        };
      }
      case 'slice': {
        const base = this.#options.room.broadcast(wanted.broadcast).playlist?.base ?? '';
        const answer = await this.#options.reader.slice(base, wanted.broadcast, wanted.entry, signal);
        return () => void this.#options.room.broadcast(wanted.broadcast).receiveSlice(answer);
      }
      case 'open': {
        const cache = this.#options.room.broadcast(wanted.broadcast);
        const list = cache.playlist!;
        const { open } = cache;
        const after = open !== null && this.#options.monotonicMs() - open.atMs <= OPEN_AFTER_MAX_MS ? open.asOf : null;
        const answer = await this.#options.reader.open(list.base, wanted.broadcast, list.sealedUntilMs, after, signal);
        return () => {
          if (this.#options.isOtherEpoch(answer.epoch)) return;
          const meets = cache.receiveOpen(answer, after, this.#options.monotonicMs());
          this.#openNotBeforeMs = this.#options.monotonicMs() + (meets ? 0 : list.reloadMs);
        };
      }
    }
  }

  #failed(key: string, wanted: Wanted, error: unknown): void {
    if (error instanceof ReadError && error.isSuperseded && wanted.what !== 'playlist') {
      // The list we went by is old: a fresh one has the present revision, or says that it is gone.
      if (wanted.what === 'open') this.#options.room.broadcast(wanted.broadcast).unjoin();
      const refresh: Wanted = { what: 'playlist', broadcast: wanted.broadcast, fromMs: null, toMs: null };
      if (!this.#requests.has(keyOf(refresh))) void this.#load(keyOf(refresh), refresh);
    } else {
      this.#options.onError(error);
    }
    const count = (this.#failures.get(key)?.count ?? 0) + 1;
    const waitMs = Math.max(backOffMs(count - 1, this.#options.random()), (error instanceof ReadError && error.retryAfterMs) || 0);
    this.#failures.set(key, { count, retryAtMs: this.#options.monotonicMs() + waitMs });
  }
}
