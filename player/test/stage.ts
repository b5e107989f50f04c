/**
 * A room and a player inside the page, both moved by the test: no server, no stream, no waiting.
 *
 * Built by `npm run stage` into one file that a browser test loads before the element. `fetch` and `WebSocket` of the page
 * are answered from a `ModelRoom`, as a relay would; the player is set by hand.
 */

import type { ClientFrame, WireEvent } from '../src/protocol.js';
import { AUTHORS, ModelRoom, T0 } from './builders.js';
import { FakePlayer } from './fake-player.js';

type Frame = Record<string, unknown> & { type: string };

export const YOU = { key: 'b', name: 'Student 2', role: 'participant', may: ['say_message', 'say_question'] as string[] };

class StageSocket extends EventTarget {
  static readonly OPEN = 1;
  readonly protocol = 'chatsync.v1';
  readyState = 0;
  binaryType = 'blob';
  onopen: ((event: Event) => void) | null = null;
  onmessage: ((event: MessageEvent) => void) | null = null;
  onclose: ((event: CloseEvent) => void) | null = null;
  onerror: ((event: Event) => void) | null = null;

  constructor(readonly url: string) {
    super();
    queueMicrotask(() => {
      if (stage.isDown) return this.end(1006);
      this.readyState = 1;
      stage.sockets.add(this);
      this.#fire('open', new Event('open'));
    });
  }

  send(data: string): void {
    const frame = JSON.parse(data) as ClientFrame & Frame;
    stage.frames.push(frame);
    queueMicrotask(() => stage.receive(this, frame));
  }

  close(code = 1000): void {
    this.end(code);
  }

  give(frame: Frame): void {
    this.#fire('message', new MessageEvent('message', { data: JSON.stringify(frame) }));
  }

  end(code: number): void {
    if (this.readyState === 3) return;
    this.readyState = 3;
    stage.sockets.delete(this);
    queueMicrotask(() => this.#fire('close', new CloseEvent('close', { code })));
  }

  #fire(type: string, event: Event): void {
    (this as unknown as Record<string, ((event: Event) => void) | null>)[`on${type}`]?.(event);
    this.dispatchEvent(event);
  }
}

class Stage {
  readonly t0 = T0;
  readonly model = new ModelRoom();
  readonly player = new FakePlayer();
  readonly sockets = new Set<StageSocket>();
  readonly frames: Frame[] = []; // from the page
  readonly authors = AUTHORS as typeof AUTHORS[number][];
  isDown = false;
  you = { ...YOU };
  state: Record<string, unknown> = {};
  /** What `messages` with `class=staff` answers. */
  past: readonly unknown[] = [];
  /** Answers an `act`; without it every deed is acknowledged. */
  onAct: (frame: Frame) => Frame | null = (frame) => ({ type: 'ack', id: frame['id'], offset: null, program_ms: null, stamp: 'origin', durable: 'fsync' });
  /** Answers a `say`; null: it becomes an event. */
  onSay: (frame: Frame) => Frame | null = () => null;

  tell(frame: Frame): void {
    for (const socket of this.sockets) socket.give(frame);
  }

  /** Say something and deliver it. */
  say(programMs: number, more: Partial<WireEvent> & Record<string, unknown> = {}): number {
    const event = this.model.say(programMs, more);
    this.tell({ type: 'events', events: [this.inline(event)], through: this.model.position });
    return event.offset;
  }

  /** The room's state at the edge is another: pins, polls, questions, hands, mode. */
  setState(more: Record<string, unknown>): void {
    this.state = { ...this.state, ...more };
    this.tell({ type: 'state', state: this.state });
  }

  hide(offset: number): void {
    this.model.hide(offset);
    this.tell({ type: 'gone', offsets: [offset] });
  }

  inline(event: WireEvent): WireEvent {
    return { ...event, author: typeof event.author === 'number' ? this.authors[event.author]! : (event.author ?? null) };
  }

  receive(socket: StageSocket, frame: Frame): void {
    if (frame.type === 'hello') {
      const after = frame['after'] as { offset: number } | null;
      const all = [...this.model.events.values()].filter((event) => !this.model.hidden.has(event.offset));
      const events = after === null ? all.slice(-50) : all.filter((event) => event.offset > after.offset);
      const { position } = this.model;
      socket.give({
        type: 'welcome', position, wall_ms: T0 + 900_000, clock_ms: null, broadcast: 1, state: this.state, you: this.you, reactions: ['👍', '👏', '❤️', '😂', '😮', '🎉', '❓'],
        sealed_until_ms: this.model.sealedUntilMs, events: events.map((event) => this.inline(event)), through: position, gone: [], back: [],
      });
    } else if (frame.type === 'ping') socket.give({ type: 'pong', wall_ms: T0 + 900_000 });
    else if (frame.type === 'act') {
      const answer = this.onAct(frame);
      if (answer !== null) socket.give(answer);
    } else if (frame.type === 'say') {
      const answer = this.onSay(frame);
      if (answer !== null) return socket.give(answer);
      const playhead = frame['playhead'] as { program_ms: number } | undefined;
      const more = { id: String(frame['id']), text: String(frame['text']), kind: String(frame['kind']), author: this.you };
      const event = this.model.say(playhead?.program_ms ?? this.model.sealedUntilMs, more);
      socket.give({ type: 'ack', id: frame['id'], offset: event.offset, program_ms: event.program_ms, stamp: 'playhead', durable: 'fsync' });
      this.tell({ type: 'events', events: [this.inline(event)], through: this.model.position });
    }
  }

  async fetch(input: string | URL): Promise<Response> {
    await Promise.resolve();
    if (this.isDown) throw new TypeError('the network is down');
    const url = new URL(String(input), location.href);
    const number = (name: string): number | null => (url.searchParams.has(name) ? Number(url.searchParams.get(name)) : null);
    const slice = /\/slices\/\d+\/(\d+)-\d+\.e\d+\.r(\d+)\.json$/.exec(url.pathname);
    if (url.pathname.endsWith('/chat.json')) return Response.json(this.model.playlist({ since: number('since'), fromMs: number('from_ms'), toMs: number('to_ms') }));
    if (url.pathname.endsWith('/open.json')) return Response.json(this.model.open(number('from_ms')!, number('after')));
    if (url.pathname.endsWith('/messages')) return Response.json({ messages: this.past, cursor: null });
    const found = slice === null ? null : this.model.slice(Number(slice[1]), Number(slice[2]));
    return found === null ? Response.json({ code: 'not_found' }, { status: slice === null ? 404 : 410 }) : Response.json(found);
  }
}

export const stage = new Stage();
Object.assign(window, { stage, WebSocket: StageSocket, fetch: (input: string | URL) => stage.fetch(input) });
