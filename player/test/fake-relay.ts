/** A relay in miniature on real HTTP and real WebSockets, around a `ModelRoom`. */

import { createServer, get, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocketServer, type WebSocket } from 'ws';
import { eventFromWire, type ServerFrame, type WireEvent, type WireSpan } from '../src/protocol.js';
import { AUTHORS, ModelRoom, stateToWire, T0 } from './builders.js';

export const WALL_MS = 1_900_000_000_000;

type Frame = Record<string, unknown> & { type: string };

export class FakeRelay {
  readonly model: ModelRoom;
  readonly requests: string[] = []; // "GET path?query"
  readonly authorizations: (string | undefined)[] = [];
  readonly frames: Frame[] = []; // from clients
  readonly sockets = new Set<WebSocket>();
  /** Replaces the answer to a request when it returns true. */
  intercept: (url: URL, request: IncomingMessage, response: ServerResponse) => boolean = () => false;
  onHello: (socket: WebSocket, hello: Frame) => void = (socket, hello) => this.welcome(socket, hello);
  /** No place for a socket: handshakes are answered with 503. */
  isFull = false;
  /** Deeds are read and not answered. */
  isDeaf = false;
  spans: WireSpan[] = [];
  role = 'participant';
  readonly #server: Server;
  readonly #webSockets: WebSocketServer;

  constructor(model: ModelRoom) {
    this.model = model;
    this.#server = createServer((request, response) => this.#answer(request, response));
    this.#webSockets = new WebSocketServer({ server: this.#server, handleProtocols: () => 'chatsync.v1', verifyClient: (_info, done) => done(!this.isFull, 503) });
    this.#webSockets.on('connection', (socket) => {
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket));
      socket.on('message', (data) => this.#receive(socket, JSON.parse(String(data)) as Frame));
    });
  }

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.terminate();
    this.#webSockets.close();
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  send(frame: ServerFrame | Frame): void {
    for (const socket of this.sockets) socket.send(JSON.stringify(frame));
  }

  /** Say something and deliver it, as the relay does. */
  say(programMs: number, more: Partial<WireEvent> = {}): WireEvent {
    const event = this.model.say(programMs, more);
    this.send({ type: 'events', events: [this.#inline(event)], through: this.model.position });
    return event;
  }

  welcome(socket: WebSocket, hello: Frame, more: Record<string, unknown> = {}): void {
    const after = hello['after'] as { offset: number } | null;
    const all = [...this.model.events.values()].filter((event) => !this.model.hidden.has(event.offset));
    const events = after === null ? all.slice(-50) : all.filter((event) => event.offset > after.offset);
    const frame = {
      type: 'welcome',
      position: this.model.position,
      wall_ms: WALL_MS,
      clock_ms: null,
      broadcast: this.model.broadcast,
      state: stateToWire(this.model.stateAt(Number.MAX_SAFE_INTEGER)),
      you: { key: 'b', name: 'Student 2', role: this.role, may: ['say_message', 'say_question'] },
      sealed_until_ms: this.model.sealedUntilMs,
      events: events.map((event) => this.#inline(event)),
      through: this.model.position,
      gone: after === null ? [] : this.model.hides.filter((hide) => hide.offset > after.offset).map((hide) => hide.target),
      back: [],
      ...more,
    };
    socket.send(JSON.stringify(frame));
  }

  #inline(event: WireEvent): WireEvent {
    return { ...event, author: typeof event.author === 'number' ? AUTHORS[event.author]! : (event.author ?? null) };
  }

  #receive(socket: WebSocket, frame: Frame): void {
    this.frames.push(frame);
    if (frame.type === 'hello') this.onHello(socket, frame);
    else if (frame.type === 'ping') socket.send(JSON.stringify({ type: 'pong', wall_ms: WALL_MS }));
    else if (frame.type === 'act') {
      if (this.isDeaf) return;
      const id = String(frame['id']);
      const playhead = frame['playhead'] as { program_ms: number } | undefined;
      if (frame['action'] === 'refuse') socket.send(JSON.stringify({ type: 'error', id, code: 'not_allowed', retry_after_ms: 1000 }));
      else socket.send(JSON.stringify({ type: 'ack', id, offset: this.model.offset + 1, program_ms: playhead?.program_ms ?? T0, stamp: 'playhead', durable: 'fsync' }));
    } else if (frame.type === 'say') {
      const text = String(frame['text']);
      const id = String(frame['id']);
      if (text === 'refuse me') {
        socket.send(JSON.stringify({ type: 'error', id, code: 'rate_limited', retry_after_ms: 1000 }));
        return;
      }
      if (text === 'hold me') {
        socket.send(JSON.stringify({ type: 'held', id }));
        return;
      }
      const known = [...this.model.events.values()].find((event) => event.id === id);
      const playhead = frame['playhead'] as { program_ms: number } | undefined;
      const event = known ?? this.model.say(playhead?.program_ms ?? this.model.sealedUntilMs + 30_000, { id, text, kind: String(frame['kind']), author: 2 });
      socket.send(JSON.stringify({ type: 'ack', id, offset: event.offset, program_ms: event.program_ms, stamp: 'playhead', durable: 'fsync' }));
      if (known === undefined) this.send({ type: 'events', events: [this.#inline(event)], through: this.model.position });
    }
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '/', 'http://relay');
    this.requests.push(`${request.method} ${url.pathname}${url.search}`);
    this.authorizations.push(request.headers.authorization);
    response.setHeader('access-control-allow-origin', '*');
    if (this.intercept(url, request, response)) return;
    const number = (name: string): number | null => (url.searchParams.has(name) ? Number(url.searchParams.get(name)) : null);
    const json = (body: unknown): void => {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify(body));
    };
    const problem = (status: number, code: string): void => {
      response.statusCode = status;
      json({ code, temporary: false });
    };
    const slice = /\/slices\/\d+\/(\d+)-\d+\.e\d+\.r(\d+)\.json$/.exec(url.pathname);
    if (url.pathname.endsWith('/chat.json')) json(this.model.playlist({ since: number('since'), fromMs: number('from_ms'), toMs: number('to_ms') }));
    else if (url.pathname.endsWith('/open.json')) json(this.model.open(number('from_ms')!, number('after')));
    else if (url.pathname.includes('/recordings/')) json({ duration_ms: 100_000, spans: this.spans });
    else if (slice !== null) {
      const found = this.model.slice(Number(slice[1]), Number(slice[2]));
      if (found === null) problem(410, 'superseded');
      else json(found);
    } else problem(404, 'not_found');
  }
}

export const eventOf = (event: WireEvent) => eventFromWire(event, 1, AUTHORS)!;

/** Wait until something holds; fails with what was expected after `withinMs`. */
export async function until(holds: () => boolean, what: string, withinMs = 5_000): Promise<void> {
  for (let waitedMs = 0; waitedMs < withinMs; waitedMs += 5) {
    if (holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`did not come about: ${what}`);
}

/** A fetch over node:http, for environments that bring a browser's own with its rules for pages. */
export const nodeFetch = ((input: string | URL, init: RequestInit = {}) =>
  new Promise<Response>((resolve, reject) => {
    const request = get(String(input), { headers: init.headers as Record<string, string> }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.on('end', () => resolve(new Response(Buffer.concat(chunks).toString(), { status: answer.statusCode ?? 500 })));
    });
    request.on('error', reject);
    init.signal?.addEventListener('abort', () => request.destroy(new Error('aborted')));
  })) as typeof fetch;
