/**
 * One viewer in one room, without a DOM: the playhead in; rows, state and requests out.
 *
 * Owns: what each frame of the socket means here, epochs and where the socket took over from slices, playhead reports.
 * Does not know: which rows a pane has (replay.ts), which answers are read and when (reads.ts), what becomes of one's own
 * messages (own-messages.ts), elements, players.
 * Units: ms. A monotonic clock paces polls and reports; what is shown is paced by the playhead alone.
 * Source: contract §5 (hello, resume, reset, playhead every 10 s).
 */

import type { ChatSnapshot, ChatTimelineOptions } from './chat-snapshot.js';
import { ChatReader, LiveSocket, ReadError, type SocketStatus } from './connection.js';
import { Deeds, RefusedError, type Deed, type DeedFields } from './deeds.js';
import { OwnMessages, type OwnMessage } from './own-messages.js';
import { AT_LIVE_MS, behindLiveMs, playheadFrom, toldPlayer, type Moment, type Playhead, type PlayheadAdapter, type ToldPlayer } from './playhead.js';
import { eventsFromWire, type ChatEvent, type Position, type ServerFrame, type WirePlayhead, type WireSpan, type You } from './protocol.js';
import type { Reaction } from './reaction-feed.js';
import { RoomReads, type SocketForReads } from './reads.js';
import { LAST_MESSAGES, VisibleRows, type Basis, type SyncMode } from './replay.js';
import { RoomCache } from './room-cache.js';
import type { RoomState } from './room-state.js';
import type { DateOf, WireTimeline } from './served-dates.js';
import { ShownState, type Audience } from './shown-state.js';
import { uuid7 } from './uuid7.js';

const TICK_MS = 500;
const REPORT_EVERY_MS = 10_000;
const TYPING_EVERY_MS = 2_000;

export type { ChatSnapshot, ChatTimelineOptions } from './chat-snapshot.js';

export class ChatTimeline {
  /** @internal */
  readonly room = new RoomCache();
  /** @internal An answer of the room's to whoever this viewer is. */
  readonly read: (path: string) => Promise<unknown>;
  readonly #rows: VisibleRows;
  readonly #options: ChatTimelineOptions;
  readonly #now: () => number;
  readonly #socket: LiveSocket | null;
  readonly #reads: RoomReads;
  readonly #dateOf: DateOf;
  readonly #own: OwnMessages;
  readonly #deeds: Deeds;
  readonly #state: ShownState;
  readonly #listeners = new Set<() => void>();
  #snapshot: ChatSnapshot | null = null;
  #told: ToldPlayer | null = null;
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
  #spoken = { version: 0, settled: false, generation: 0 }; // what listeners were last told of
  #askForTokenAgain = false;
  #renewedAtMs = -Infinity;
  #closeCode: number | null = null;
  #served: DateOf | null = null;
  #reactions: readonly string[] | null = null;
  #typedAtMs = -Infinity;

  constructor(options: ChatTimelineOptions) {
    this.#options = options;
    this.#now = options.monotonicMs ?? (() => performance.now());
    const isRecording = options.recording != null;
    this.#rows = new VisibleRows(this.room, { spans: isRecording ? [] : null });
    this.#state = new ShownState(this.room);
    const token = async (): Promise<string | null> => {
      const again = this.#askForTokenAgain;
      this.#askForTokenAgain = false;
      return (await options.token?.(again)) ?? null;
    };
    const { server, room } = options;
    const reader = new ChatReader({ server, room, token, ...(options.fetch ? { fetch: options.fetch } : {}) });
    this.read = (path) => reader.other(path, true);
    const read = (from: number): Promise<WireTimeline> => reader.other(`timeline?from_media_sequence=${from}`) as Promise<WireTimeline>;
    this.#dateOf = (list, index) => {
      if (this.#served === null) {
        this.#served = () => null; // not known until what knows is there
        import('./served-dates.js').then(
          ({ ServedDates }) => {
            this.#served = new ServedDates({ read, onAnswer: () => this.look(), monotonicMs: this.#now }).dateOf;
          },
          () => {
            this.#served = (all, at) => all.at(at).ownMs;
          },
        );
      }
      return this.#served(list, index);
    };
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
      onChange: () => this.#changed(),
    });
    this.#deeds = new Deeds((frame) => void this.#socket?.send(frame));
    this.#reads = new RoomReads({
      reader,
      room: this.room,
      rows: this.#rows,
      socket: () => this.#socketForReads(),
      isOtherEpoch: (epoch) => this.#isOtherEpoch(epoch),
      onAnswer: () => this.look(),
      onSpans: (spans) => this.#takeSpans(spans),
      onError: (error) => options.onError?.(error),
      monotonicMs: this.#now,
      random: options.random ?? Math.random,
    });
  }

  // ── What there is to draw ───────────────────────────────────────────────────────────────────────────────────────

  /** Everything in one object, the same until something changes. */
  get snapshot(): ChatSnapshot {
    this.#snapshot ??= {
      rows: this.rows,
      generation: this.generation,
      settled: this.settled,
      cutoffMs: this.cutoffMs,
      broadcast: this.broadcast,
      basis: this.basis,
      state: this.state,
      edge: this.edge,
      audience: this.audience,
      pending: this.pending,
      status: this.status,
      closeCode: this.closeCode,
      you: this.you,
      sync: this.sync,
    };
    return this.#snapshot;
  }

  /** Be told when `snapshot` is another. @returns how to end it. */
  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** What the pane shows, top to bottom. Replaced, never changed in place. */
  get rows(): readonly ChatEvent[] {
    return this.#rows.rows;
  }

  /** Rises when `rows` changes. */
  get version(): number {
    return this.#rows.version;
  }

  /** Rises at every seek. An answer asked for in an older generation is of no use any more. */
  get generation(): number {
    return this.#rows.generation;
  }

  /** True when the pane shows all it should: nothing is missing for want of an answer. */
  get settled(): boolean {
    return this.#rows.settled;
  }

  get basis(): Basis {
    return this.#rows.basis;
  }

  /** Everything said up to here is due, this instant included; null when rows come by arrival. */
  get cutoffMs(): number | null {
    return this.#rows.cutoffMs;
  }

  get broadcast(): number | null {
    return this.#rows.broadcast;
  }

  /** Mode, pins, polls, hands and questions as of the picture, so that a poll opens at the teacher's word; null before they are known. */
  get state(): RoomState | null {
    return this.#state.shown;
  }

  /** The same at the live edge, which is what the relay goes by; null without a socket. */
  get edge(): RoomState | null {
    return this.#state.edge;
  }

  /** How many watch and how many write; null without a socket. */
  get audience(): Audience | null {
    return this.#state.audience;
  }

  /** Reactions that came due while following since this was last asked; never those of a place that was sought. */
  takeReactions(): Reaction[] {
    return this.#rows.takeReactions();
  }

  /** What was appended while following since this was last asked: news, unlike what a seek puts there. */
  takeAppended(): ChatEvent[] {
    return this.#rows.takeAppended();
  }

  get status(): SocketStatus | 'recording' {
    return this.#socket?.status ?? 'recording';
  }

  /** Why the socket will not come back; null while it may. */
  get closeCode(): number | null {
    return this.#closeCode;
  }

  /** The relay's clock now, for what is to end at a time; null before the first welcome. A device's own clock may be wrong. */
  get wallMs(): number | null {
    return this.#wall === null ? null : Math.round(this.#wall.wallMs + (this.#now() - this.#wall.atMs));
  }

  get you(): You | null {
    return this.#you;
  }

  /** Emoji one may react with in this room; null before the first welcome, and from a relay that does not tell. */
  get reactions(): readonly string[] | null {
    return this.#reactions;
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

  // ── What goes in ────────────────────────────────────────────────────────────────────────────────────────────────

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
    this.#deeds.giveUp('stopped');
  }

  /**
   * Where the picture is, from whoever has no adapter: at every frame presented, and when the player seeks, pauses or
   * changes its rate. `seeking` decides a seek, never the difference of two times. null: not known.
   */
  advance(moment: Moment | null): void {
    if (this.#told === null) {
      const player = toldPlayer();
      this.attach(player);
      this.#told = player;
    }
    this.#told.tell(moment);
  }

  /** Follow this player from now on; null for none. */
  attach(adapter: PlayheadAdapter | null): void {
    this.#told = null;
    this.#unsubscribe?.();
    this.#unsubscribe = null;
    this.#adapter = adapter;
    this.#playhead = { state: 'unknown' };
    this.#rows.rebase();
    if (adapter === null) return;
    if (this.#reads.spans !== null) giveSpans(adapter, this.#reads.spans);
    if ('dateOf' in adapter && this.#socket !== null) adapter.dateOf = this.#dateOf;
    this.#unsubscribe = adapter.subscribe((change) => {
      if (change === 'seeking') {
        this.#rows.seek();
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
    const rows = this.#rows;
    rows.advance(this.#playhead, this.#sync);
    if (this.#timer !== null) this.#reads.load(this.#playhead);
    const isOtherState = this.#state.look(rows);
    const { version, settled, generation } = rows;
    const spoken = this.#spoken;
    if (!isOtherState && version === spoken.version && settled === spoken.settled && generation === spoken.generation) return;
    this.#spoken = { version, settled, generation };
    this.#changed();
  }

  /** Read further up. */
  loadEarlier(): void {
    this.#rows.loadEarlier();
    this.#lookAnew();
    this.#changed();
  }

  /**
   * Send a message. It is shown as pending at once, sent again under the same id after a break, and takes its place
   * in the chat when the relay has it on disk.
   *
   * @param to whom a private message is for: `['host']`; null: everybody.
   * @returns its id; null before the first welcome, when the relay's time is not known yet.
   */
  say(text: string, kind: 'message' | 'question' | 'announcement' = 'message', replyTo: number | null = null, to: readonly string[] | null = null): string | null {
    if (this.#socket === null || this.#wall === null) return null;
    const id = this.#newId(this.#wall);
    this.#own.say({ id, kind, text, replyTo, to, playhead: this.#wirePlayhead() });
    return id;
  }

  /** Try a failed message again, under its own id, so that it cannot appear twice. */
  sayAgain(id: string): void {
    this.#own.sayAgain(id);
  }

  dismiss(id: string): void {
    this.#own.dismiss(id);
  }

  /**
   * Do something in the room: `act('vote', { poll: 'p1', choices: [1] })`. Sent again under the same id after a break.
   *
   * @param action as docs/websocket.md lists them.
   * @returns where it stands in the log, once it is on disk.
   * @throws RefusedError with the relay's code; `offline` in a recording and before the first welcome.
   */
  act(action: string, fields: DeedFields = {}): Promise<Deed> {
    if (this.#socket === null || this.#wall === null) return Promise.reject(new RefusedError('offline', null));
    const playhead = this.#wirePlayhead();
    return this.#deeds.act({ id: this.#newId(this.#wall), action, ...fields, ...(playhead === null ? {} : { playhead }) });
  }

  /** Somebody writes; to be called at keystrokes, told to others at most once in 2 s. */
  typing(): void {
    const now = this.#now();
    if (now - this.#typedAtMs < TYPING_EVERY_MS) return;
    if (this.#socket?.send({ type: 'typing' }) === true) this.#typedAtMs = now;
  }

  #newId(wall: { readonly wallMs: number; readonly atMs: number }): string {
    return uuid7(wall.wallMs + (this.#now() - wall.atMs));
  }

  #changed(): void {
    this.#snapshot = null;
    this.#options.onChange?.();
    for (const listener of this.#listeners) listener();
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
    const signature = `${paused} ${rate} ${playhead.at_live} ${this.#rows.generation} ${playhead.broadcast}`;
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
    if (status === 'closed') this.#deeds.giveUp('socket_closed');
    if (status === 'closed' && code !== null) this.#options.onError?.(new ReadError(code, 'socket_closed'));
    if (status === 'open') {
      this.#reported = null;
      this.#report();
      this.#own.sendAgain();
      this.#deeds.sendAgain();
    }
    this.#reads.askAnew();
    this.#changed();
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
        if (!this.#deeds.done(frame.id, frame)) this.#acknowledged(frame);
        break;
      case 'held':
        this.#own.held(frame.id);
        break;
      case 'error':
        if (frame.id !== undefined && !this.#deeds.refused(frame.id, frame)) this.#own.failed(frame.id, frame.code);
        break;
      case 'state':
        this.#state.receiveEdge(frame.state);
        break;
      case 'tallies':
        if (this.#state.receiveTallies(frame)) this.#changed();
        break;
      case 'pong':
        this.#wall = { wallMs: frame.wall_ms, atMs: this.#now() };
        break;
      default:
        return; // whatever is not known yet
    }
    this.#lookAnew();
  }

  #welcome(frame: Extract<ServerFrame, { type: 'welcome' }>): void {
    if (this.#epoch !== null && this.#epoch !== frame.position.epoch) this.#reset(frame.position);
    this.#epoch = frame.position.epoch;
    this.#hasSocketAnswered = true;
    this.#you = frame.you;
    this.#reactions = frame.reactions ?? null;
    this.#state.receiveEdge(frame.state);
    this.#rows.ownKey = frame.you?.key ?? null;
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
    this.#changed();
  }

  #arrive(events: readonly ChatEvent[]): void {
    this.room.receiveTail(events);
    this.#rows.receiveLive(events);
    this.#own.arrived(events);
  }

  #comeBack(events: readonly ChatEvent[]): void {
    if (events.length === 0) return;
    this.room.restore(events);
    this.#rows.receiveBack(events);
  }

  #reset(position: Position): void {
    this.#reads.reset();
    this.room.reset();
    this.#rows.rebase();
    this.#state.reset();
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
    this.#rows.spans = spans;
    if (this.#adapter !== null) giveSpans(this.#adapter, spans);
    this.look();
  }
}

/** An adapter that maps positions by spans and has none of its own gets those of the recording. */
function giveSpans(adapter: PlayheadAdapter, spans: readonly WireSpan[]): void {
  const mapped = adapter as { setSpans?: (spans: readonly WireSpan[]) => void };
  mapped.setSpans?.(spans);
}
