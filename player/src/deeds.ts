/**
 * What one does in a room besides speaking: votes, upvotes, hands, reactions, and what moderators do.
 *
 * Owns: which are on their way, and sending them again under the same id, so that none is done twice. Does not know: what
 * a deed changes (the relay's frames say it), the socket, when it is open. Source: contract §5 (act).
 */

import type { ClientFrame, WirePlayhead } from './protocol.js';

const PENDING_MAX = 100; // nobody taps as fast; a page that does is told

/** What a deed says besides its action; docs/websocket.md has the table. */
export interface DeedFields {
  readonly target?: number;
  readonly author?: string;
  readonly text?: string;
  readonly reason?: string;
  readonly how?: 'live' | 'text';
  readonly until_ms?: number;
  readonly mode?: Readonly<Record<string, unknown>>;
  readonly poll?: string;
  readonly question?: string;
  readonly choices?: readonly (string | number)[];
  readonly multiple?: boolean;
  readonly answer?: readonly number[];
  readonly emoji?: string;
}

/** A deed that is done; without an offset where it has no place of its own in the log. */
export interface Deed {
  readonly id: string;
  readonly offset: number | null;
  readonly programMs: number | null;
}

/** The relay did not do it. */
export class RefusedError extends Error {
  constructor(
    readonly code: string,
    readonly retryAfterMs: number | null,
  ) {
    super(`not done: ${code}`);
    this.name = 'RefusedError';
  }
}

interface Pending {
  readonly frame: ClientFrame;
  readonly resolve: (deed: Deed) => void;
  readonly reject: (error: RefusedError) => void;
}

export class Deeds {
  readonly #send: (frame: ClientFrame) => void;
  readonly #pending = new Map<string, Pending>();

  /** @param send gives a frame to the socket; without an open one it is lost, and sent again at `sendAgain`. */
  constructor(send: (frame: ClientFrame) => void) {
    this.#send = send;
  }

  act(deed: { readonly id: string; readonly action: string; readonly playhead?: WirePlayhead } & DeedFields): Promise<Deed> {
    if (this.#pending.size >= PENDING_MAX) return Promise.reject(new RefusedError('rate_limited', null));
    const frame: ClientFrame = { type: 'act', ...deed };
    return new Promise((resolve, reject) => {
      this.#pending.set(deed.id, { frame, resolve, reject });
      this.#send(frame);
    });
  }

  /** The socket is open again: what the relay has not answered may not have reached it. */
  sendAgain(): void {
    for (const { frame } of this.#pending.values()) this.#send(frame);
  }

  /** @returns whether it was one of these. */
  done(id: string, ack: { readonly offset?: number; readonly program_ms?: number }): boolean {
    const pending = this.#taken(id);
    pending?.resolve({ id, offset: ack.offset ?? null, programMs: ack.program_ms ?? null });
    return pending !== undefined;
  }

  /** @returns whether it was one of these. */
  refused(id: string, error: { readonly code: string; readonly retry_after_ms?: number }): boolean {
    const pending = this.#taken(id);
    pending?.reject(new RefusedError(error.code, error.retry_after_ms ?? null));
    return pending !== undefined;
  }

  /** The socket will not come back. */
  giveUp(code: string): void {
    for (const id of [...this.#pending.keys()]) this.refused(id, { code });
  }

  #taken(id: string): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    return pending;
  }
}
