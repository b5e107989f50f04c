/** What a `ChatTimeline` is made from, and what it gives to draw. Types alone. */

import type { SocketOptions, SocketStatus } from './connection.js';
import type { OwnMessage } from './own-messages.js';
import type { ChatEvent, You } from './protocol.js';
import type { Basis, SyncMode } from './replay.js';
import type { RoomState } from './room-state.js';
import type { Audience } from './shown-state.js';

export interface ChatTimelineOptions {
  /** Origin and path prefix of the relay. */
  readonly server: string;
  readonly room: string;
  /** Watching a recording: no socket, nothing to write, chat of the spans only. */
  readonly recording?: string | null;
  /** The viewer's token; null for a guest. `token(true)` asks for a new one. */
  readonly token?: (again: boolean) => Promise<string | null>;
  /** `token(true)` gets a new one: a token that ran out is renewed once a minute at most. */
  readonly renewsToken?: boolean;
  /** Like `subscribe`, from the beginning. */
  readonly onChange?: () => void;
  readonly onError?: (error: unknown) => void;
  readonly fetch?: typeof fetch;
  readonly WebSocket?: SocketOptions['WebSocket'];
  readonly monotonicMs?: () => number;
  readonly random?: () => number;
}

/** Everything to draw from. Replaced when anything of it changes, never changed in place. */
export interface ChatSnapshot {
  /** What the pane shows, top to bottom. */
  readonly rows: readonly ChatEvent[];
  /** Rises at every seek: what stands there then is no news. */
  readonly generation: number;
  /** Nothing is missing for want of an answer. */
  readonly settled: boolean;
  /** Everything said up to this program time is shown; null when rows come by arrival. */
  readonly cutoffMs: number | null;
  readonly broadcast: number | null;
  readonly basis: Basis;
  /** Mode, pins, polls, hands and questions as of the picture; null before they are known. */
  readonly state: RoomState | null;
  /** The same at the live edge, which is what the relay goes by; null without a socket. */
  readonly edge: RoomState | null;
  /** How many watch and how many write; null without a socket. */
  readonly audience: Audience | null;
  /** One's own messages on their way, oldest first; `held` wait for a moderator. */
  readonly pending: readonly OwnMessage[];
  readonly status: SocketStatus | 'recording';
  readonly closeCode: number | null;
  readonly you: You | null;
  readonly sync: SyncMode;
}
