/**
 * One viewer in one room, without a DOM: the playhead in, rows out, everything loaded in between.
 *
 * Owns: what each frame of the socket means here, epochs and where the socket took over from slices, playhead reports.
 * Does not know: which answers are read and when (reads.ts), what becomes of one's own messages (own-messages.ts),
 * elements, players.
 * Units: ms. A monotonic clock paces ticks and reports; what is shown is paced by the playhead alone.
 * Source: contract §5 (hello, resume, reset, playhead every 10 s).
 */

import { ChatReader, LiveSocket, ReadError, type SocketOptions, type SocketStatus } from './connection.js';
import { OwnMessages, type OwnMessage } from './own-messages.js';
import { AT_LIVE_MS, behindLiveMs, playheadFrom, type Playhead, type PlayheadAdapter } from './playhead.js';
import { eventsFromWire, type ChatEvent, type Position, type ServerFrame, type WirePlayhead, type WireSpan, type You } from './protocol.js';
import { RoomReads, type SocketForReads } from './reads.js';
import { ChatTimeline, LAST_MESSAGES, type SyncMode } from './replay.js';
import { RoomCache } from './room-cache.js';
import { uuid7 } from './uuid7.js';

const TICK_MS = 500;
const REPORT_EVERY_MS = 10_000;

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

export class ChatSession {
  readonly room = new RoomCache();
  readonly timeline: ChatTimeline;
  readonly #options: SessionOptions;
  readonly #now: () => number;
  readonly #socket: LiveSocket | null;
  readonly #reads: RoomReads;
  readonly #own: OwnMessages;
  #adapter: PlayheadAdapter | null = null;
  #unsubscribe: (() => void) | null = null;
  #playhead: Playhead = { state: 'unknown' };
  #sync: SyncMode = 'hold';
  #timer: ReturnType<typeof setInterval> | null = null;
  #epoch: string | null = null;
  #socketFrom: number | null = null; // offset above which the socket delivers everything
  #hasSocketAnswered = false; // or cannot be had
  #you: You | null = null;
  #wall: { readonly wallMs: number; readonly atMs: number } | null = null;
  #reported: { readonly signature: string; readonly atMs: number } | null = null;
  #told = { version: 0, settled: false, generation: 0 }; // what `onChange` last spoke of
  #askForTokenAgain = false;
  #renewedAtMs = -Infinity;
  #closeCode: number | null = null;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#now = options.monotonicMs ?? (() => performance.now());
    const isRecording = options.recording != null;
    this.timeline = new ChatTimeline(this.room, { spans: isRecording ? [] : null });
    const token = async (): Promise<string | null> => {
      const again = this.#askForTokenAgain;
      this.#askForTokenAgain = false;
      return (await options.token?.(again)) ?? null;
    };
    const { server, room } = options;
    const reader = new ChatReader({ server, room, token, ...(options.fetch ? { fetch: options.fetch } : {}) });
    this.#socket = isRecording
      ? null
      : new LiveSocket({
          url: reader.socketUrl,
          token,
          last: LAST_MESSAGES,
          onFrame: (frame) => this.#receive(frame),
          onStatus: (status, code) => this.#socketStatus(status, code),
          isServed: () => this.#reads.isServed,
          ...(options.WebSocket ? { WebSocket: options.WebSocket } : {}),
          ...(options.random ? { random: options.random } : {}),
        });
    this.#own = new OwnMessages({
      send: (frame) => void this.#socket?.send(frame),
      onChange: () => options.onChange?.(),
    });
    this.#reads = new RoomReads({
      reader,
      room: this.room,
      timeline: this.timeline,
      socket: () => this.#socketForReads(),
      isOtherEpoch: (epoch) => this.#isOtherEpoch(epoch),
      onAnswer: () => this.look(),
      onSpans: (spans) => this.#takeSpans(spans),
      onError: (error) => options.onError?.(error),
      monotonicMs: this.#now,
      random: options.random ?? Math.random,
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
    return this.#own.pending;
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
    if (this.#options.recording != null) void this.#reads.loadRecording(this.#options.recording);
    this.look();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.attach(null);
    this.#reads.abortAll();
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
    if (this.#reads.spans !== null) giveSpans(adapter, this.#reads.spans);
    this.#unsubscribe = adapter.subscribe((change) => {
      if (change === 'seeking') {
        this.timeline.seek();
        this.#lookAnew();
        this.#reads.abortSuperseded();
      }
      this.look();
      if (change !== 'frame') this.#report();
    });
    this.look();
  }

  /** The network or the page is back. */
  wake(): void {
    this.#reads.forgetFailures();
    this.#socket?.retryNow();
    this.look();
  }

  /** Bring rows up to the playhead, and load what they lack. Cheap when nothing changed: call it at every frame. */
  look(): void {
    const adapter = this.#adapter;
    this.#playhead = adapter === null ? { state: 'unknown' } : playheadFrom(adapter.address(), adapter.media());
    const { timeline } = this;
    timeline.advance(this.#playhead, this.#sync);
    if (this.#timer !== null) this.#reads.load(this.#playhead);
    const told = this.#told;
    if (timeline.version === told.version && timeline.settled === told.settled && timeline.generation === told.generation) return;
    this.#told = { version: timeline.version, settled: timeline.settled, generation: timeline.generation };
    this.#options.onChange?.();
  }

  /** Read further up. */
  loadEarlier(): void {
    this.timeline.loadEarlier();
    this.#lookAnew();
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
    this.#own.say({ id, kind, text, replyTo, playhead: this.#wirePlayhead() });
    return id;
  }

  /** Try a failed message again, under its own id, so that it cannot appear twice. */
  sayAgain(id: string): void {
    this.#own.sayAgain(id);
  }

  dismiss(id: string): void {
    this.#own.dismiss(id);
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

  /** Look, and load what is lacking even if nothing seems to have changed. */
  #lookAnew(): void {
    this.#reads.askAnew();
    this.look();
  }

  #tick(): void {
    const now = this.#now();
    this.room.expire(now);
    this.#reads.expire(now);
    this.#lookAnew();
    this.#report();
  }

  // ── The socket ──────────────────────────────────────────────────────────────────────────────────────────────────

  #socketForReads(): SocketForReads | null {
    if (this.#socket === null) return null;
    return { isOpen: this.#socket.status === 'open', hasAnswered: this.#hasSocketAnswered, from: this.#socketFrom };
  }

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
      this.#own.sendAgain();
    }
    this.#reads.askAnew();
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
        this.#own.held(frame.id);
        break;
      case 'error':
        if (frame.id !== undefined) this.#own.failed(frame.id, frame.code);
        break;
      case 'pong':
        this.#wall = { wallMs: frame.wall_ms, atMs: this.#now() };
        break;
      default:
        return; // state, tallies, and whatever is not known yet
    }
    this.#lookAnew();
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
    this.#own.arrived(events);
  }

  #comeBack(events: readonly ChatEvent[]): void {
    if (events.length === 0) return;
    this.room.restore(events);
    this.timeline.receiveBack(events);
  }

  #reset(position: Position): void {
    this.#reads.reset();
    this.room.reset();
    this.timeline.rebase();
    this.#epoch = position.epoch;
    this.#socketFrom = null;
    this.room.socketFrom = null;
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

  /** It is on disk: show it as the event it has become; the one that comes by the socket replaces it. */
  #acknowledged(frame: Extract<ServerFrame, { type: 'ack' }>): void {
    const event = this.#own.acknowledged(frame, this.#you, this.room.latest ?? 0);
    if (event !== null) this.#arrive([event]);
  }

  #takeSpans(spans: readonly WireSpan[]): void {
    this.timeline.spans = spans;
    if (this.#adapter !== null) giveSpans(this.#adapter, spans);
    this.look();
  }
}

/** An adapter that maps positions by spans and has none of its own gets those of the recording. */
function giveSpans(adapter: PlayheadAdapter, spans: readonly WireSpan[]): void {
  const mapped = adapter as { setSpans?: (spans: readonly WireSpan[]) => void };
  mapped.setSpans?.(spans);
}
