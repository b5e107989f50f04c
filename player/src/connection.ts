/**
 * The two roads to the relay: HTTP reads that a CDN can serve, and the live socket.
 *
 * Owns: URLs, tokens in headers and in `hello`, problem answers, back-off, resume by position, close codes.
 * Does not know: what is shown, the playhead's source, the DOM.
 * Units: ms. Monotonic time is used for back-off and pings only. Source: contract §3 (reads), §5 (socket, close codes).
 */

import type { SliceEntry } from './chat-playlist.js';
import type { ClientFrame, Position, ServerFrame, WirePlaylist, WireRecording, WireSlice } from './protocol.js';

/** A refusal of the relay, or no answer at all (status 0). */
export class ReadError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly retryAfterMs: number | null = null,
  ) {
    super(`chat could not be read: ${code} (${status})`);
    this.name = 'ReadError';
  }

  /** 410: the URL was right once. A fresh chat playlist has the present values. */
  get isSuperseded(): boolean {
    return this.status === 410;
  }
}

export interface ReaderOptions {
  readonly server: string; // origin and path prefix of the relay
  readonly room: string;
  readonly token: () => Promise<string | null>;
  readonly fetch?: typeof fetch;
}

/** HTTP reads. Anonymous first, so that a public room stays cacheable; with the token once that was refused. */
export class ChatReader {
  readonly #options: ReaderOptions;
  readonly #fetch: typeof fetch;
  #needsToken = false;

  constructor(options: ReaderOptions) {
    this.#options = options;
    this.#fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
  }

  #roomUrl(path: string): URL {
    return new URL(`v1/rooms/${encodeURIComponent(this.#options.room)}/${path}`, `${this.#options.server.replace(/\/+$/, '')}/`);
  }

  /**
   * `chat.json`. @param query broadcast null asks for the latest; `since` for a delta.
   * @throws ReadError on refusals and when there is no answer; an AbortError when aborted.
   */
  async playlist(
    query: { broadcast: number | null; fromMs?: number | null; toMs?: number | null; since?: number | null },
    signal: AbortSignal,
  ): Promise<WirePlaylist> {
    const url = this.#roomUrl('chat.json');
    const { broadcast, fromMs, toMs, since } = query;
    if (broadcast !== null) url.searchParams.set('broadcast', String(broadcast));
    if (fromMs != null) url.searchParams.set('from_ms', String(Math.floor(fromMs)));
    if (toMs != null) url.searchParams.set('to_ms', String(Math.floor(toMs)));
    if (since != null) url.searchParams.set('since', String(since));
    return (await this.#read(url, signal)) as WirePlaylist;
  }

  /** A sealed slice by its revision. @throws ReadError, 410 when it was revised or removed. */
  async slice(base: string, broadcast: number, entry: SliceEntry, signal: AbortSignal): Promise<WireSlice> {
    const name = `${broadcast}/${entry.startMs}-${entry.endMs}.e${entry.epoch}.r${entry.revision}.json`;
    return (await this.#read(this.#based(base, name), signal)) as WireSlice;
  }

  /** The unsealed tail. @throws ReadError, 410 when `fromMs` or `after` is too old. */
  async open(base: string, broadcast: number, fromMs: number, after: number | null, signal: AbortSignal): Promise<WireSlice> {
    const url = this.#based(base, `${broadcast}/open.json`);
    url.searchParams.set('from_ms', String(fromMs));
    if (after !== null) url.searchParams.set('after', String(after));
    return (await this.#read(url, signal)) as WireSlice;
  }

  async recording(recording: string, signal: AbortSignal): Promise<WireRecording> {
    return (await this.#read(this.#roomUrl(`recordings/${encodeURIComponent(recording)}`), signal)) as WireRecording;
  }

  /** Any other answer of the room's. @param path below the room, with its query. @param asOneself with the token at once: it is for few. */
  async other(path: string, asOneself = false): Promise<unknown> {
    return this.#read(this.#roomUrl(path), new AbortController().signal, asOneself);
  }

  get socketUrl(): string {
    const url = this.#roomUrl('live');
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    return url.href;
  }

  #based(base: string, name: string): URL {
    const { server } = this.#options;
    return new URL(name, new URL(base.endsWith('/') ? base : `${base}/`, server));
  }

  async #read(url: URL, signal: AbortSignal, asOneself = this.#needsToken): Promise<unknown> {
    let answer = await this.#send(url, signal, asOneself);
    if (!asOneself && (answer.status === 401 || answer.status === 403 || answer.status === 404) && (await this.#options.token()) !== null) {
      const again = await this.#send(url, signal, true);
      if (again.ok) this.#needsToken = true;
      answer = again;
    }
    if (!answer.ok) throw await problemOf(answer);
    try {
      return await answer.json();
    } catch (error) {
      if (signal.aborted) throw error;
      throw new ReadError(answer.status, 'malformed');
    }
  }

  async #send(url: URL, signal: AbortSignal, withToken: boolean): Promise<Response> {
    // The token goes to the relay only, wherever a playlist's `base` may point.
    const isRelay = url.origin === new URL(this.#options.server).origin;
    const token = withToken && isRelay ? await this.#options.token() : null;
    const headers: Record<string, string> = token === null ? {} : { authorization: `Bearer ${token}` };
    try {
      return await this.#fetch(url.href, { headers, signal, credentials: 'omit' });
    } catch (error) {
      if (signal.aborted) throw error;
      throw new ReadError(0, 'offline');
    }
  }
}

async function problemOf(answer: Response): Promise<ReadError> {
  const after = Number(answer.headers.get('retry-after') ?? Number.NaN);
  let code = `http_${answer.status}`;
  try {
    const problem: unknown = await answer.json();
    if (typeof problem === 'object' && problem !== null && typeof (problem as { code?: unknown }).code === 'string') code = (problem as { code: string }).code;
  } catch {
    // Not problem JSON: the status says enough.
  }
  return new ReadError(answer.status, code, Number.isFinite(after) ? after * 1000 : null);
}

const BACK_OFF_MAX_MS = 30_000;

/** Where reads are answered but sockets are not: the relay is full, and whoever polls misses nothing by asking rarely. */
const FULL_BACK_OFF_MAX_MS = 300_000;

/**
 * How long to wait before trying again: 0.5 s + 1 s + 2 s + … up to a bound, each cut at random by up to a half, so that
 * the viewers of a relay that came back do not come all at once.
 */
export function backOffMs(failures: number, random: number, maxMs = BACK_OFF_MAX_MS): number {
  return Math.min(maxMs, 500 * 2 ** Math.min(failures, 20)) * (0.5 + random / 2);
}

/** 4500-4999 say that coming back is of no use; everything else is worth another try. */
export function comesBack(closeCode: number): boolean {
  return closeCode < 4500 || closeCode > 4999;
}

export type SocketStatus =
  | 'connecting'
  | 'open' // welcomed
  | 'waiting' // will try again
  | 'closed'; // will not: refused, or stopped

interface SocketLike {
  readonly readyState: number;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(text: string): void;
  close(code?: number, reason?: string): void;
}

export interface SocketOptions {
  readonly url: string;
  readonly token: () => Promise<string | null>;
  /** Newest messages asked for when there is nothing to resume. */
  readonly last: number;
  readonly onFrame: (frame: ServerFrame) => void;
  /** `code` is the close code that led here, null otherwise. */
  readonly onStatus: (status: SocketStatus, code: number | null) => void;
  readonly WebSocket?: new (url: string, protocols: string) => SocketLike;
  readonly random?: () => number;
  /** Whether reads are answered: then a socket that cannot be had is looked for less and less often. */
  readonly isServed?: () => boolean;
  readonly pingEveryMs?: number;
  readonly silenceMaxMs?: number;
}

const OPEN = 1;
const PING_EVERY_MS = 20_000;
const SILENCE_MAX_MS = 10_000; // after a ping

/** One live connection that comes back by itself and goes on where it was. */
export class LiveSocket {
  readonly #options: SocketOptions;
  readonly #random: () => number;
  #socket: SocketLike | null = null;
  #status: SocketStatus = 'closed';
  #isWanted = false;
  #failures = 0;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #through: Position | null = null;

  constructor(options: SocketOptions) {
    this.#options = options;
    this.#random = options.random ?? Math.random;
  }

  get status(): SocketStatus {
    return this.#status;
  }

  /** Everything up to here has been received; null before the first welcome and after a reset without one. */
  get through(): Position | null {
    return this.#through;
  }

  start(): void {
    if (this.#isWanted) return;
    this.#isWanted = true;
    this.#failures = 0;
    this.#connect();
  }

  stop(): void {
    this.#isWanted = false;
    this.#clearTimer();
    this.#drop(1000);
    this.#setStatus('closed', null);
  }

  /** The network is back, or the page is shown again: do not wait out the back-off. */
  retryNow(): void {
    if (this.#status !== 'waiting') return;
    this.#clearTimer();
    this.#connect();
  }

  /** False when there is no welcomed connection: nothing was sent. */
  send(frame: ClientFrame): boolean {
    if (this.#status !== 'open' || this.#socket?.readyState !== OPEN) return false;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  #connect(): void {
    this.#setStatus('connecting', null);
    const WebSocketClass = this.#options.WebSocket ?? (globalThis.WebSocket as unknown as NonNullable<SocketOptions['WebSocket']>);
    let socket: SocketLike;
    try {
      socket = new WebSocketClass(this.#options.url, 'chatsync.v1');
    } catch {
      this.#comeBackLater(0);
      return;
    }
    this.#socket = socket;
    socket.onopen = () => void this.#hello(socket);
    socket.onmessage = (event: MessageEvent) => {
      if (socket === this.#socket) this.#receive(event.data);
    };
    socket.onerror = () => undefined; // a close follows, and says why
    socket.onclose = (event: CloseEvent) => {
      if (socket === this.#socket) this.#closed(event.code);
    };
  }

  async #hello(socket: SocketLike): Promise<void> {
    const token = await this.#options.token().catch(() => null);
    if (socket !== this.#socket || socket.readyState !== OPEN) return;
    const hello: ClientFrame = { type: 'hello', token, after: this.#through, last: this.#options.last };
    socket.send(JSON.stringify(hello));
    this.#pingLater();
  }

  #receive(data: unknown): void {
    let frame: ServerFrame;
    try {
      frame = JSON.parse(String(data)) as ServerFrame;
    } catch {
      return; // not ours to judge: the next frame may be whole
    }
    if (typeof frame !== 'object' || frame === null) return;
    this.#pingLater();
    if (frame.type === 'welcome') {
      this.#failures = 0;
      this.#through = frame.through ?? frame.position;
      this.#options.onFrame(frame);
      this.#setStatus('open', null);
      return;
    }
    if (frame.type === 'events') this.#through = frame.through;
    else if (frame.type === 'reset') this.#through = frame.position;
    this.#options.onFrame(frame);
  }

  /** A half-open connection says nothing: ask, and leave if there is no answer. */
  #pingLater(): void {
    this.#clearTimer();
    this.#timer = setTimeout(() => {
      this.send({ type: 'ping' });
      this.#timer = setTimeout(() => {
        this.#drop(4000);
        this.#comeBackLater(4000);
      }, this.#options.silenceMaxMs ?? SILENCE_MAX_MS);
    }, this.#options.pingEveryMs ?? PING_EVERY_MS);
  }

  #closed(code: number): void {
    this.#socket = null;
    this.#clearTimer();
    if (!this.#isWanted) return;
    if (comesBack(code)) this.#comeBackLater(code);
    else {
      this.#isWanted = false;
      this.#setStatus('closed', code);
    }
  }

  #comeBackLater(code: number): void {
    if (!this.#isWanted) return;
    this.#clearTimer();
    this.#setStatus('waiting', code);
    const maxMs = this.#options.isServed?.() === true ? FULL_BACK_OFF_MAX_MS : BACK_OFF_MAX_MS;
    this.#timer = setTimeout(() => this.#connect(), backOffMs(this.#failures, this.#random(), maxMs));
    this.#failures += 1;
  }

  #drop(code: number): void {
    const socket = this.#socket;
    this.#socket = null;
    if (socket === null) return;
    socket.onopen = socket.onmessage = socket.onclose = socket.onerror = null;
    try {
      socket.close(code === 1000 ? 1000 : code);
    } catch {
      // Closing a socket that never opened throws in some engines; it is gone either way.
    }
  }

  #clearTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #setStatus(status: SocketStatus, code: number | null): void {
    if (status === this.#status && code === null) return;
    this.#status = status;
    this.#options.onStatus(status, code);
  }
}
