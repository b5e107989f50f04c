/**
 * One's own messages, from the moment they are sent until they stand in the chat.
 *
 * Owns: which are on their way, held or failed; sending again under the same id, so that none appears twice; the event
 * an acknowledged message has become. Does not know: the socket, when it is open, what else the chat holds.
 * Units: program time in ms. Source: contract §5 (say, ack, held, error).
 */

import type { ChatEvent, ClientFrame, ServerFrame, WirePlayhead, You } from './protocol.js';

/** A message of one's own that the relay has not put into the log yet. */
export interface OwnMessage {
  readonly id: string;
  readonly kind: string;
  readonly text: string;
  readonly replyTo: number | null;
  readonly to: readonly string[] | null; // null: everybody
  readonly playhead: WirePlayhead | null;
  readonly state: 'sending' | 'held' | 'failed';
  readonly code: string | null; // why it failed
}

export interface OwnMessagesOptions {
  /** Give a frame to the socket; without an open one it is lost, and sent again at `sendAgain`. */
  readonly send: (frame: ClientFrame) => void;
  readonly onChange: () => void;
}

export class OwnMessages {
  readonly #options: OwnMessagesOptions;
  #pending: readonly OwnMessage[] = [];

  constructor(options: OwnMessagesOptions) {
    this.#options = options;
  }

  /** Those on their way, oldest first. Replaced, never changed in place. */
  get pending(): readonly OwnMessage[] {
    return this.#pending;
  }

  say(message: Omit<OwnMessage, 'state' | 'code'>): void {
    const own: OwnMessage = { ...message, state: 'sending', code: null };
    this.#pending = [...this.#pending, own];
    this.#send(own);
    this.#options.onChange();
  }

  /** Try a failed message again, under its own id. */
  sayAgain(id: string): void {
    this.#change(id, { state: 'sending', code: null });
    const own = this.#pending.find((one) => one.id === id);
    if (own !== undefined) this.#send(own);
  }

  dismiss(id: string): void {
    this.#pending = this.#pending.filter((own) => own.id !== id);
    this.#options.onChange();
  }

  /** The socket is open again: what the relay has not answered may not have reached it. */
  sendAgain(): void {
    for (const own of this.#pending) if (own.state === 'sending') this.#send(own);
  }

  held(id: string): void {
    this.#change(id, { state: 'held' });
  }

  failed(id: string, code: string): void {
    this.#change(id, { state: 'failed', code });
  }

  /** These stand in the chat now. */
  arrived(events: readonly ChatEvent[]): void {
    const ids = new Set(events.map((event) => event.id));
    if (!this.#pending.some((own) => ids.has(own.id))) return;
    this.#pending = this.#pending.filter((own) => !ids.has(own.id));
    this.#options.onChange();
  }

  /**
   * The event that an acknowledged message has become.
   *
   * @param broadcast where it was said when it was sent without a playhead.
   * @returns null when it is none of these, or the answer does not say where it stands.
   */
  acknowledged(frame: Extract<ServerFrame, { type: 'ack' }>, you: You | null, broadcast: number): ChatEvent | null {
    const own = this.#pending.find((one) => one.id === frame.id);
    if (own === undefined || you === null || frame.offset === undefined || frame.program_ms === undefined) return null;
    return {
      offset: frame.offset,
      kind: own.kind,
      id: own.id,
      broadcast: own.playhead?.broadcast ?? broadcast,
      programMs: frame.program_ms,
      stamp: frame.stamp ?? 'none',
      behindLiveMs: 0,
      author: { key: you.key, name: you.name, role: you.role, badges: [] },
      text: own.text,
      fragments: null,
      replyTo: own.replyTo,
      target: null,
      details: own.to === null ? null : { to: own.to },
    };
  }

  #send(own: OwnMessage): void {
    this.#options.send({
      type: 'say',
      id: own.id,
      kind: own.kind,
      text: own.text,
      ...(own.replyTo === null ? {} : { reply_to: own.replyTo }),
      ...(own.to === null ? {} : { to: own.to }),
      ...(own.playhead === null ? {} : { playhead: own.playhead }),
    });
  }

  #change(id: string, change: Partial<OwnMessage>): void {
    this.#pending = this.#pending.map((own) => (own.id === id ? { ...own, ...change } : own));
    this.#options.onChange();
  }
}
