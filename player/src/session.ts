/**
 * One viewer in one room, without a DOM: the playhead in, rows out, everything loaded in between.
 *
 * Owns: which answers are asked for and when, hand-over from slices to the socket, one's own messages until they
 * are acknowledged, playhead reports. Does not know: elements, players.
 * Units: ms. A monotonic clock paces polls, retries and reports; what is shown is paced by the playhead alone.
 * Source: contract §3 (reload_ms, since, open), §5 (hello, resume, reset, playhead every 10 s).
 */

import { ChatReader, LiveSocket, ReadError, backOffMs, type SocketOptions, type SocketStatus } from './connection.js';
import { AT_LIVE_MS, behindLiveMs, playheadFrom, type Playhead, type PlayheadAdapter } from './playhead.js';
import { eventsFromWire, type ChatEvent, type Position, type ServerFrame, type WirePlayhead, type WireSpan, type You } from './protocol.js';
import { ChatTimeline, LAST_MESSAGES, type SyncMode } from './replay.js';
import { RoomCache } from './room-cache.js';
import type { SliceCache, Wanted } from './slice-cache.js';
import { uuid7 } from './uuid7.js';

const TICK_MS = 500;
const REPORT_EVERY_MS = 10_000;
const PLAYLIST_WITH_SOCKET_MS = 60_000; // the socket tells everything; the list is for seeks, and for staying fresh
const PLAYLIST_RECORDING_MS = 10_000;
const OPEN_AFTER_MAX_MS = 8_000; // the relay honours `after` for 10 s
const PLAYLIST_FOR_OPEN_MAX_MS = 30_000; // and a `from_ms` for a minute
const REQUESTS_MAX = 6;

/** A message of one's own that the relay has not put into the log yet. */
export interface OwnMessage {
  readonly id: string;
  readonly kind: string;
  readonly text: string;
  readonly replyTo: number | null;
  readonly playhead: WirePlayhead | null;
  readonly state: 'sending' | 'held' | 'failed';
  readonly code: string | null; // why it failed
}

export interface SessionOptions {
  readonly server: string;
  readonly room: string;
  /** Watching a recording: no socket, no composer, chat of the spans only. */
  readonly recording?: string | null;
  readonly token?: (again: boolean) => Promise<string | null>;
  /** `token(true)` gets a new one: a token that ran out is renewed once a minute at most. */
  readonly renewsToken?: boolean;
  readonly onChange?: () => void;
  readonly onError?: (error: unknown) => void;
  readonly fetch?: typeof fetch;
  readonly WebSocket?: SocketOptions['WebSocket'];
  readonly monotonicMs?: () => number;
  readonly random?: () => number;
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

export class ChatSession {
  readonly room = new RoomCache();
  readonly timeline: ChatTimeline;
  readonly #options: SessionOptions;
  readonly #now: () => number;
  readonly #random: () => number;
  readonly #reader: ChatReader;
  readonly #socket: LiveSocket | null;
  readonly #requests = new Map<string, Request>();
  readonly #failures = new Map<string, Failure>();
  #wantedKeys: ReadonlySet<string> = new Set();
  #adapter: PlayheadAdapter | null = null;
  #unsubscribe: (() => void) | null = null;
  #playhead: Playhead = { state: 'unknown' };
  #sync: SyncMode = 'hold';
  #spans: readonly WireSpan[] | null = null;
  #timer: ReturnType<typeof setInterval> | null = null;
  #epoch: string | null = null;
  #socketFrom: number | null = null; // offset above which the socket delivers everything
  #hasSocketAnswered = false;
  #you: You | null = null;
  #wall: { readonly wallMs: number; readonly atMs: number } | null = null;
  #pending: readonly OwnMessage[] = [];
  #reported: { readonly signature: string; readonly atMs: number } | null = null;
  #openNotBeforeMs = 0;
  #told = { version: 0, settled: false, generation: 0 }; // what `onChange` last spoke of
  #look = ''; // what `wanted` depended on when it was last asked
  #askForTokenAgain = false;
  #renewedAtMs = -Infinity;
  #closeCode: number | null = null;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#now = options.monotonicMs ?? (() => performance.now());
    this.#random = options.random ?? Math.random;
    const isRecording = options.recording != null;
    this.timeline = new ChatTimeline(this.room, { spans: isRecording ? [] : null });
    const token = async (): Promise<string | null> => {
      const again = this.#askForTokenAgain;
      this.#askForTokenAgain = false;
      return (await options.token?.(again)) ?? null;
    };
    const { server, room } = options;
    this.#reader = new ChatReader({ server, room, token, ...(options.fetch ? { fetch: options.fetch } : {}) });
    this.#socket = isRecording
      ? null
      : new LiveSocket({
          url: this.#reader.socketUrl,
          token,
          last: LAST_MESSAGES,
          onFrame: (frame) => this.#receive(frame),
          onStatus: (status, code) => this.#socketStatus(status, code),
          ...(options.WebSocket ? { WebSocket: options.WebSocket } : {}),
          ...(options.random ? { random: options.random } : {}),
        });
  }

  get status(): SocketStatus | 'recording' {
    return this.#socket?.status ?? 'recording';
  }

  /** Why the socket will not come back; null while it may. */
  get closeCode(): number | null {
    return this.#closeCode;
  }

  get you(): You | null {
    return this.#you;
  }

  get playhead(): Playhead {
    return this.#playhead;
  }

  /** One's own messages on their way, oldest first. */
  get pending(): readonly OwnMessage[] {
    return this.#pending;
  }

  get sync(): SyncMode {
    return this.#sync;
  }

  set sync(sync: SyncMode) {
    if (sync === this.#sync) return;
    this.#sync = sync;
    this.look();
  }

  /** How far the picture lies behind live; null in recordings and while unknown. */
  get behindLiveMs(): number | null {
    return behindLiveMs(this.#playhead, this.#adapter?.livePointMs() ?? null);
  }

  start(): void {
    if (this.#timer !== null) return;
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.#socket?.start();
    if (this.#options.recording != null) void this.#loadRecording(this.#options.recording);
    this.look();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.attach(null);
    this.#abortAll();
    this.#socket?.stop();
  }

  /** Follow this player from now on; null for none. */
  attach(adapter: PlayheadAdapter | null): void {
    this.#unsubscribe?.();
    this.#unsubscribe = null;
    this.#adapter = adapter;
    this.#playhead = { state: 'unknown' };
    this.timeline.rebase();
    if (adapter === null) return;
    if (this.#spans !== null) giveSpans(adapter, this.#spans);
    this.#unsubscribe = adapter.subscribe((change) => {
      if (change === 'seeking') {
        this.timeline.seek();
        this.#abortSuperseded();
      }
      this.look();
      if (change !== 'frame') this.#report();
    });
    this.look();
  }

  /** The network or the page is back. */
  wake(): void {
    this.#failures.clear();
    this.#socket?.retryNow();
    this.look();
  }

  /** Bring rows up to the playhead, and load what they lack. Cheap when nothing changed: call it at every frame. */
  look(): void {
    const adapter = this.#adapter;
    this.#playhead = adapter === null ? { state: 'unknown' } : playheadFrom(adapter.address(), adapter.media());
    const { timeline } = this;
    timeline.advance(this.#playhead, this.#sync);
    this.#loadIfNeeded();
    const told = this.#told;
    if (timeline.version === told.version && timeline.settled === told.settled && timeline.generation === told.generation) return;
    this.#told = { version: timeline.version, settled: timeline.settled, generation: timeline.generation };
    this.#options.onChange?.();
  }

  /** Read further up. */
  loadEarlier(): void {
    this.timeline.loadEarlier();
    this.#look = '';
    this.look();
    this.#options.onChange?.();
  }

  /**
   * Send a message. It is shown as pending at once, sent again under the same id after a break, and takes its place
   * in the chat when the relay has it on disk.
   *
   * @returns its id; null before the first welcome, when the relay's time is not known yet.
   */
  say(text: string, kind: 'message' | 'question' = 'message', replyTo: number | null = null): string | null {
    if (this.#socket === null || this.#wall === null) return null;
    const id = uuid7(this.#wall.wallMs + (this.#now() - this.#wall.atMs));
    const own: OwnMessage = { id, kind, text, replyTo, playhead: this.#wirePlayhead(), state: 'sending', code: null };
    this.#pending = [...this.#pending, own];
    this.#send(own);
    this.#options.onChange?.();
    return id;
  }

  /** Try a failed message again, under its own id, so that it cannot appear twice. */
  sayAgain(id: string): void {
    this.#changeOwn(id, { state: 'sending', code: null });
    const own = this.#pending.find((one) => one.id === id);
    if (own !== undefined) this.#send(own);
  }

  dismiss(id: string): void {
    this.#pending = this.#pending.filter((own) => own.id !== id);
    this.#options.onChange?.();
  }

  #send(own: OwnMessage): void {
    this.#socket?.send({
      type: 'say',
      id: own.id,
      kind: own.kind,
      text: own.text,
      ...(own.replyTo === null ? {} : { reply_to: own.replyTo }),
      ...(own.playhead === null ? {} : { playhead: own.playhead }),
    });
  }

  #changeOwn(id: string, change: Partial<OwnMessage>): void {
    this.#pending = this.#pending.map((own) => (own.id === id ? { ...own, ...change } : own));
    this.#options.onChange?.();
  }

  #wirePlayhead(): WirePlayhead | null {
    if (this.#playhead.state !== 'at') return null;
    const { point } = this.#playhead;
    const broadcast = point.broadcast ?? this.room.broadcastOf(point.programMs, point.mediaSequence);
    if (broadcast === null) return null;
    const behindMs = this.behindLiveMs;
    return {
      broadcast,
      program_ms: point.programMs,
      ...(point.mediaSequence === null ? {} : { media_sequence: point.mediaSequence }),
      ...(point.intoSegmentMs === null ? {} : { into_segment_ms: point.intoSegmentMs }),
      at_live: behindMs !== null && behindMs <= AT_LIVE_MS,
    };
  }

  /** Tell the relay where the picture is: on change and every 10 s. */
  #report(): void {
    if (this.#socket === null || this.#adapter === null) return;
    const playhead = this.#wirePlayhead();
    if (playhead === null) return;
    const { paused, rate } = this.#adapter.media();
    const signature = `${paused} ${rate} ${playhead.at_live} ${this.timeline.generation} ${playhead.broadcast}`;
    const now = this.#now();
    if (this.#reported?.signature === signature && now - this.#reported.atMs < REPORT_EVERY_MS) return;
    if (this.#socket.send({ type: 'playhead', ...playhead, rate, paused })) this.#reported = { signature, atMs: now };
  }

  #tick(): void {
    const now = this.#now();
    this.room.expire(now);
    for (const [key, failure] of this.#failures) if (failure.retryAtMs < now - 60_000) this.#failures.delete(key);
    this.#look = '';
    this.look();
    this.#report();
  }

  // ── The socket ──────────────────────────────────────────────────────────────────────────────────────────────────

  #socketStatus(status: SocketStatus, code: number | null): void {
    if (status === 'waiting' || status === 'closed') {
      this.#hasSocketAnswered = true; // read without it meanwhile
      this.room.socketFrom = null;
    }
    if (code === 4502 && this.#options.renewsToken === true && this.#now() - this.#renewedAtMs > 60_000) {
      this.#renewedAtMs = this.#now();
      this.#askForTokenAgain = true;
      this.#socket?.start();
      return;
    }
    this.#closeCode = status === 'closed' ? code : null;
    if (status === 'closed' && code !== null) this.#options.onError?.(new ReadError(code, 'socket_closed'));
    if (status === 'open') {
      this.#reported = null;
      this.#report();
      for (const own of this.#pending) if (own.state === 'sending') this.#send(own);
    }
    this.#look = '';
    this.#options.onChange?.();
  }

  #receive(frame: ServerFrame): void {
    switch (frame.type) {
      case 'welcome':
        this.#welcome(frame);
        break;
      case 'events':
        this.#arrive(eventsFromWire(frame.events, this.room.latest ?? 0));
        break;
      case 'gone':
        this.room.hide(frame.offsets);
        break;
      case 'back':
        this.#comeBack(eventsFromWire(frame.events, this.room.latest ?? 0));
        break;
      case 'broadcast':
        if (frame.status === 'opened') this.room.opened(frame.broadcast, frame.program_ms);
        break;
      case 'reset':
        this.#reset(frame.position);
        break;
      case 'ack':
        this.#acknowledged(frame);
        break;
      case 'held':
        this.#changeOwn(frame.id, { state: 'held' });
        break;
      case 'error':
        if (frame.id !== undefined) this.#changeOwn(frame.id, { state: 'failed', code: frame.code });
        break;
      case 'pong':
        this.#wall = { wallMs: frame.wall_ms, atMs: this.#now() };
        break;
      default:
        return; // state, tallies, and whatever is not known yet
    }
    this.#look = '';
    this.look();
  }

  #welcome(frame: Extract<ServerFrame, { type: 'welcome' }>): void {
    if (this.#epoch !== null && this.#epoch !== frame.position.epoch) this.#reset(frame.position);
    this.#epoch = frame.position.epoch;
    this.#hasSocketAnswered = true;
    this.#you = frame.you;
    this.timeline.ownKey = frame.you?.key ?? null;
    this.#wall = { wallMs: frame.wall_ms, atMs: this.#now() };
    const isResumed = this.#socketFrom !== null;
    if (!isResumed) {
      this.#socketFrom = (frame.through ?? frame.position).offset;
      for (const cache of this.room.broadcasts()) cache.unjoin();
    } else if (frame.broadcast !== null && this.room.latest !== null && frame.broadcast > this.room.latest) {
      // It opened while we were away: what the resumed socket brings of it is all there is.
      const opened = eventsFromWire(frame.events, frame.broadcast).find((event) => event.kind === 'broadcast_opened' && event.broadcast === frame.broadcast);
      if (opened !== undefined) this.room.opened(opened.broadcast, opened.programMs);
    }
    this.room.socketFrom = this.#socketFrom;
    this.room.setLatest(frame.broadcast);
    this.room.hide(frame.gone ?? []);
    const events = eventsFromWire(frame.events, frame.broadcast ?? 0);
    if (isResumed) this.#arrive(events);
    else this.room.receiveTail(events);
    this.#comeBack(eventsFromWire(frame.back, frame.broadcast ?? 0));
    this.#options.onChange?.();
  }

  #arrive(events: readonly ChatEvent[]): void {
    this.room.receiveTail(events);
    this.timeline.receiveLive(events);
    const ids = new Set(events.map((event) => event.id));
    if (this.#pending.some((own) => ids.has(own.id))) {
      this.#pending = this.#pending.filter((own) => !ids.has(own.id));
      this.#options.onChange?.();
    }
  }

  #comeBack(events: readonly ChatEvent[]): void {
    if (events.length === 0) return;
    this.room.restore(events);
    this.timeline.receiveBack(events);
  }

  #reset(position: Position): void {
    this.#abortAll();
    this.room.reset();
    this.timeline.rebase();
    this.#epoch = position.epoch;
    this.#socketFrom = null;
    this.room.socketFrom = null;
    this.#openNotBeforeMs = 0;
  }

  #acknowledged(frame: Extract<ServerFrame, { type: 'ack' }>): void {
    const own = this.#pending.find((one) => one.id === frame.id);
    const you = this.#you;
    if (own === undefined || you === null || frame.offset === undefined || frame.program_ms === undefined) return;
    // It is on disk: show it as the event it has become; the one that comes by the socket replaces it.
    this.#arrive([
      {
        offset: frame.offset,
        kind: own.kind,
        id: own.id,
        broadcast: own.playhead?.broadcast ?? this.room.latest ?? 0,
        programMs: frame.program_ms,
        stamp: frame.stamp ?? 'none',
        behindLiveMs: 0,
        author: { key: you.key, name: you.name, role: you.role, badges: [] },
        text: own.text,
        fragments: null,
        replyTo: own.replyTo,
        target: null,
      },
    ]);
  }

  // ── Reads ───────────────────────────────────────────────────────────────────────────────────────────────────────

  get #isSocketOpen(): boolean {
    return this.#socket?.status === 'open';
  }

  /** The broadcast whose playlist is kept up to date: the one on screen, else the latest. */
  get #watched(): SliceCache | null {
    const number = this.timeline.broadcast ?? (this.#spans === null ? this.room.latest : null);
    return number === null ? null : this.room.broadcast(number);
  }

  #loadIfNeeded(): void {
    const { timeline, room } = this;
    const cache = this.#watched;
    const second = timeline.cutoffMs === null ? '' : Math.floor(timeline.cutoffMs / 1000);
    const look = `${timeline.generation} ${timeline.version} ${room.version} ${cache?.version} ${second} ${this.#playhead.state}`;
    if (look === this.#look || this.#timer === null) return;
    this.#look = look;
    const wanted = new Map<string, Wanted>();
    for (const one of [...timeline.wanted(), ...this.#polls()]) wanted.set(keyOf(one), one);
    const now = this.#now();
    for (const [key, one] of wanted) {
      if (this.#requests.size >= REQUESTS_MAX) break;
      if (this.#requests.has(key) || (this.#failures.get(key)?.retryAtMs ?? 0) > now) continue;
      if (one.what === 'open' && !this.#mayLoadOpen(one.broadcast, now)) continue;
      void this.#load(key, one);
    }
    this.#wantedKeys = new Set(wanted.keys());
  }

  /** What is due because time went by: the chat playlist, and without a socket the open slice. */
  #polls(): Wanted[] {
    const cache = this.#watched;
    const list = cache?.playlist;
    if (cache == null || list == null || cache.playlistAtMs === null) return [];
    const { broadcast } = cache;
    const ageMs = this.#now() - cache.playlistAtMs;
    const isCaughtUp = this.#isSocketOpen && list.asOfOffset >= (this.#socketFrom ?? Infinity);
    const everyMs =
      this.#socket === null
        ? Math.max(list.reloadMs, PLAYLIST_RECORDING_MS)
        : isCaughtUp || !list.live
          ? Math.max(list.reloadMs, this.#isSocketOpen ? PLAYLIST_WITH_SOCKET_MS : PLAYLIST_RECORDING_MS)
          : list.reloadMs;
    const polls: Wanted[] = [];
    if (ageMs >= everyMs) polls.push({ what: 'playlist', broadcast, fromMs: null, toMs: null });
    const isTailWatched = this.timeline.basis === 'arrival' || (this.timeline.cutoffMs ?? Infinity) >= list.sealedUntilMs - 60_000;
    if (!this.#isSocketOpen && this.#hasSocketAnswered && list.live && isTailWatched) {
      const open = cache.open;
      if (open === null || this.#now() - open.atMs >= list.reloadMs) polls.push({ what: 'open', broadcast });
    }
    return polls;
  }

  /**
   * The open slice is asked for when the socket has said where it begins, or cannot be had: only then can the two meet.
   * Its `from_ms` must be a recent `sealed_until_ms`, so an old chat playlist is renewed first.
   */
  #mayLoadOpen(broadcast: number, now: number): boolean {
    if (this.#socket !== null && !this.#hasSocketAnswered) return false;
    const cache = this.room.broadcast(broadcast);
    if (cache.playlist === null || cache.playlistAtMs === null || now < this.#openNotBeforeMs) return false;
    if (now - cache.playlistAtMs <= PLAYLIST_FOR_OPEN_MAX_MS) return true;
    const refresh: Wanted = { what: 'playlist', broadcast, fromMs: null, toMs: null };
    const key = keyOf(refresh);
    if (!this.#requests.has(key) && (this.#failures.get(key)?.retryAtMs ?? 0) <= now) void this.#load(key, refresh);
    return false;
  }

  async #load(key: string, wanted: Wanted): Promise<void> {
    const request: Request = { controller: new AbortController(), generation: this.timeline.generation };
    this.#requests.set(key, request);
    const isCurrent = (): boolean => this.#requests.get(key) === request && !request.controller.signal.aborted;
    try {
      const take = await this.#ask(wanted, request.controller.signal);
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
    this.look();
  }

  /** Ask, and return what to do with the answer if it is still wanted by then. */
  async #ask(wanted: Wanted, signal: AbortSignal): Promise<() => void> {
    switch (wanted.what) {
      case 'playlist': {
        const held = wanted.broadcast === null ? null : this.room.broadcast(wanted.broadcast);
        const list = held?.playlist ?? null;
        if (wanted.fromMs !== null) {
          const { broadcast, fromMs, toMs } = wanted;
          const answer = await this.#reader.playlist({ broadcast, fromMs, toMs }, signal);
          return () => held?.receiveEarlierPlaylist(answer);
        }
        const query = { broadcast: wanted.broadcast, since: list?.version ?? null, fromMs: list?.isExtended ? list.startMs : null };
        const answer = await this.#reader.playlist(query, signal);
        return () => {
          if (this.#isOtherEpoch(answer.epoch)) return;
          this.room.receivePlaylist(answer, this.#now());
        };
      }
      case 'slice': {
        const base = this.room.broadcast(wanted.broadcast).playlist?.base ?? '';
        const answer = await this.#reader.slice(base, wanted.broadcast, wanted.entry, signal);
        return () => void this.room.broadcast(wanted.broadcast).receiveSlice(answer);
      }
      case 'open': {
        const cache = this.room.broadcast(wanted.broadcast);
        const list = cache.playlist!;
        const { open } = cache;
        const after = open !== null && this.#now() - open.atMs <= OPEN_AFTER_MAX_MS ? open.asOf : null;
        const answer = await this.#reader.open(list.base, wanted.broadcast, list.sealedUntilMs, after, signal);
        return () => {
          if (this.#isOtherEpoch(answer.epoch)) return;
          const meets = cache.receiveOpen(answer, after, this.#now());
          this.#openNotBeforeMs = this.#now() + (meets ? 0 : list.reloadMs);
        };
      }
    }
  }

  /** An epoch above ours makes all we hold worthless; one below it is an old answer. */
  #isOtherEpoch(epoch: string): boolean {
    if (this.#epoch === null || this.#epoch === epoch) {
      this.#epoch = epoch;
      return false;
    }
    if (Number(epoch) > Number(this.#epoch)) this.#reset({ epoch, offset: 0 });
    return true;
  }

  #failed(key: string, wanted: Wanted, error: unknown): void {
    if (error instanceof ReadError && error.isSuperseded && wanted.what !== 'playlist') {
      // The list we went by is old: a fresh one has the present revision, or says that it is gone.
      if (wanted.what === 'open') this.room.broadcast(wanted.broadcast).unjoin();
      const refresh: Wanted = { what: 'playlist', broadcast: wanted.broadcast, fromMs: null, toMs: null };
      if (!this.#requests.has(keyOf(refresh))) void this.#load(keyOf(refresh), refresh);
    } else {
      this.#options.onError?.(error);
    }
    const count = (this.#failures.get(key)?.count ?? 0) + 1;
    const waitMs = Math.max(backOffMs(count - 1, this.#random()), (error instanceof ReadError && error.retryAfterMs) || 0);
    this.#failures.set(key, { count, retryAtMs: this.#now() + waitMs });
  }

  /** A seek: what was asked for the place left behind is no longer wanted. Lists and the open slice are wanted anywhere. */
  #abortSuperseded(): void {
    this.#look = '';
    this.look();
    for (const [key, request] of this.#requests) {
      if (request.generation >= this.timeline.generation || !key.startsWith('slice') || this.#wantedKeys.has(key)) continue;
      this.#requests.delete(key);
      request.controller.abort();
    }
    this.#look = '';
  }

  #abortAll(): void {
    for (const request of this.#requests.values()) request.controller.abort();
    this.#requests.clear();
    this.#failures.clear();
  }

  async #loadRecording(recording: string): Promise<void> {
    const key = `recording ${recording}`;
    const request: Request = { controller: new AbortController(), generation: 0 };
    this.#requests.set(key, request);
    for (let failures = 0; !request.controller.signal.aborted; failures += 1) {
      try {
        const { spans } = await this.#reader.recording(recording, request.controller.signal);
        if (request.controller.signal.aborted) return;
        this.#spans = spans;
        this.timeline.spans = spans;
        if (this.#adapter !== null) giveSpans(this.#adapter, spans);
        this.#requests.delete(key);
        this.#look = '';
        this.look();
        return;
      } catch (error) {
        if (request.controller.signal.aborted) return;
        this.#options.onError?.(error);
        await new Promise((resolve) => setTimeout(resolve, backOffMs(failures, this.#random())));
      }
    }
  }
}

/** An adapter that maps positions by spans and has none of its own gets those of the recording. */
function giveSpans(adapter: PlayheadAdapter, spans: readonly WireSpan[]): void {
  const mapped = adapter as { setSpans?: (spans: readonly WireSpan[]) => void };
  mapped.setSpans?.(spans);
}
