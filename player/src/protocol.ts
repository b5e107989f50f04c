/**
 * What travels between the relay and a player, and how it is read.
 *
 * Owns: the wire's shapes (snake_case, integer ms) and the player's own `ChatEvent` made from them.
 * Does not know: the network, the DOM, the playhead. Nothing here throws on what a server sent: a
 * shape that cannot be read gives null, unknown fields and kinds are passed over.
 * Source: contract §1-5.
 */

/** A place in a room's log. The epoch is a decimal string on the wire; offsets rise by one and never restart. */
export interface Position {
  readonly epoch: string;
  readonly offset: number;
}

export interface Author {
  readonly key: string;
  readonly name: string;
  readonly role: string;
  readonly badges: readonly string[];
}

/** A piece of a message. Never HTML. */
export type Fragment =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'link'; readonly text: string; readonly url: string }
  | { readonly type: 'mention'; readonly text: string }
  | { readonly type: 'emote'; readonly text: string; readonly url: string | null }; // an https address or a path of the relay's origin; null: shown as text

/** One public entry of a room's log, as the player keeps it. */
export interface ChatEvent {
  readonly offset: number;
  readonly kind: string;
  readonly id: string | null;
  readonly broadcast: number;
  readonly programMs: number; // program time, ms since the Unix epoch
  readonly stamp: string;
  readonly behindLiveMs: number; // how far behind the room's median latency its author was; 0 if unknown
  readonly author: Author | null;
  readonly text: string;
  readonly fragments: readonly Fragment[] | null;
  readonly replyTo: number | null;
  readonly target: number | null;
  /** What its kind adds, as it came: not to be believed unlooked at. Null for a plain message. */
  readonly details: Readonly<Record<string, unknown>> | null;
}

/** An event as a socket frame (author inline) or a slice (author an index into `authors`) writes it. */
export interface WireEvent {
  offset: number;
  kind: string;
  id?: string | null;
  broadcast?: number;
  program_ms: number;
  wall_ms?: number;
  stamp?: string;
  uncertainty_ms?: number;
  behind_live_ms?: number;
  author?: WireAuthor | number | null;
  text?: string | null;
  fragments?: unknown;
  reply_to?: number | null;
  target?: number | null;
  [detail: string]: unknown; // what its kind adds
}

export interface WireAuthor {
  key: string;
  name: string;
  role: string;
  badges?: string[];
}

export interface WireSliceEntry {
  start_ms: number;
  end_ms: number;
  events: number;
  messages: number;
  epoch: string;
  revision: number;
}

export interface WireBroadcast {
  broadcast: number;
  start_ms: number;
  media_sequence?: number | null;
  /** Only of one that was made for chat of a file: where that ends. */
  end_ms?: number | null;
  title?: string | null;
}

/** The chat playlist, `chat.json`: full, or a delta when it repeats `since`. */
export interface WirePlaylist {
  room: string;
  broadcast: number;
  live: boolean;
  epoch: string;
  version: number;
  since?: number | null;
  as_of: Position;
  start_ms: number;
  sealed_until_ms: number | null; // null before anything is sealed
  clock_ms?: number | null;
  live_edge_ms?: number | null;
  reload_ms: number;
  earlier: boolean;
  base: string;
  slices: WireSliceEntry[];
  removed?: number[];
  broadcasts?: WireBroadcast[];
}

/** A sealed slice, or `open.json`: the unsealed tail in the same shape. */
export interface WireSlice {
  broadcast: number;
  start_ms: number;
  end_ms: number;
  epoch: string;
  revision: number;
  as_of: Position;
  authors: WireAuthor[];
  events: WireEvent[];
  state?: unknown; // before `start_ms`
  tallies?: unknown;
  gone?: number[];
  version?: number; // open slice: of the chat playlist as it is now
  sealed_until_ms?: number | null; // open slice: likewise
}

export interface WireSpan {
  position_ms: number;
  duration_ms: number;
  broadcast: number;
  program_ms: number;
  method?: string;
  score?: number;
}

export interface WireRecording {
  duration_ms: number;
  spans: WireSpan[];
}

export interface You {
  readonly key: string;
  readonly name: string;
  readonly role: string;
  readonly may?: readonly string[] | Readonly<Record<string, unknown>>;
}

/** Where a player is, as it travels: in `say` and in `playhead` frames. */
export interface WirePlayhead {
  broadcast: number;
  program_ms?: number;
  media_sequence?: number;
  into_segment_ms?: number;
  at_live: boolean;
}

export type ClientFrame =
  | { type: 'hello'; token: string | null; after: Position | null; last: number }
  | { type: 'say'; id: string; kind: string; text: string; reply_to?: number; to?: readonly string[]; playhead?: WirePlayhead }
  | ({ type: 'act'; id: string; action: string; playhead?: WirePlayhead } & Readonly<Record<string, unknown>>)
  | { type: 'typing' }
  | ({ type: 'playhead'; rate: number; paused: boolean } & WirePlayhead)
  | { type: 'ping' };

export type ServerFrame =
  | {
      type: 'welcome';
      position: Position;
      wall_ms: number;
      clock_ms?: number | null;
      broadcast: number | null;
      you: You;
      state?: unknown; // the edge's
      reactions?: string[] | null; // what one may react with
      sealed_until_ms?: number | null;
      events?: WireEvent[] | null;
      through?: Position | null;
      gone?: number[] | null;
      back?: WireEvent[] | null;
    }
  | { type: 'events'; events: WireEvent[]; through: Position }
  | { type: 'gone'; offsets: number[] }
  | { type: 'back'; events: WireEvent[] }
  | { type: 'broadcast'; broadcast: number; status: 'opened' | 'closed'; program_ms: number }
  | { type: 'reset'; reason: string; position: Position }
  | { type: 'ack'; id: string; offset?: number; program_ms?: number; stamp?: string }
  | { type: 'held'; id: string }
  | { type: 'error'; id?: string; code: string; retry_after_ms?: number }
  | { type: 'pong'; wall_ms: number }
  | { type: 'state'; state: unknown }
  | { type: 'tallies'; polls?: unknown; upvotes?: unknown; viewers?: unknown; typing?: unknown };

/** Kinds that are utterances; the contract's `messages` counts are of these. */
export const MESSAGE_KINDS: ReadonlySet<string> = new Set(['message', 'question', 'announcement', 'paid', 'system']);

/** Kinds the pane has a row for. What is not here, or not known, is left out of the pane. */
export const SHOWN_KINDS: ReadonlySet<string> = new Set([
  ...MESSAGE_KINDS,
  'question_answered',
  'pinned',
  'unpinned',
  'broadcast_opened',
  'broadcast_closed',
]);

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;
const integerOr = <T>(value: unknown, otherwise: T): number | T => (Number.isSafeInteger(value) ? (value as number) : otherwise);
const textOr = <T>(value: unknown, otherwise: T): string | T => (typeof value === 'string' ? value : otherwise);

export function authorFrom(value: unknown): Author | null {
  if (!isRecord(value) || typeof value['key'] !== 'string') return null;
  const badges = Array.isArray(value['badges']) ? value['badges'].filter((badge): badge is string => typeof badge === 'string') : [];
  return { key: value['key'], name: textOr(value['name'], ''), role: textOr(value['role'], 'participant'), badges };
}

/** Only web addresses become links; everything else stays the text it was. */
function safeUrl(value: unknown): string | null {
  if (typeof value !== 'string') return null;
  try {
    const url = new URL(value);
    return url.protocol === 'https:' || url.protocol === 'http:' ? url.href : null;
  } catch {
    return null;
  }
}

/** Where an emote's image is, as a room may name it; everything else is no image. */
function imageUrl(value: unknown): string | null {
  if (typeof value !== 'string') return null;
  if (/^\/(?![/\\])/.test(value)) return value;
  return value.startsWith('https://') ? safeUrl(value) : null;
}

function fragmentsFrom(value: unknown): readonly Fragment[] | null {
  if (!Array.isArray(value) || value.length === 0) return null;
  const fragments: Fragment[] = [];
  for (const piece of value) {
    if (!isRecord(piece)) continue;
    const text = textOr(piece['text'], null) ?? textOr(piece['name'], '');
    const url = piece['type'] === 'link' ? safeUrl(piece['url'] ?? piece['href'] ?? piece['text']) : null;
    if (url !== null) fragments.push({ type: 'link', text: text || url, url });
    else if (piece['type'] === 'emote') fragments.push({ type: 'emote', text, url: imageUrl(piece['url']) });
    else if (piece['type'] === 'mention') fragments.push({ type: 'mention', text });
    else fragments.push({ type: 'text', text });
  }
  return fragments;
}

const EVERY_KIND = new Set([
  ...['offset', 'kind', 'id', 'broadcast', 'program_ms', 'wall_ms', 'stamp', 'uncertainty_ms', 'behind_live_ms'],
  ...['author', 'text', 'fragments', 'reply_to', 'target'],
]);

function detailsFrom(wire: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> | null {
  let details: Record<string, unknown> | null = null;
  for (const name in wire) if (!EVERY_KIND.has(name)) (details ??= {})[name] = wire[name];
  return details;
}

/**
 * Read one event.
 *
 * @param wire what the server sent.
 * @param broadcast the broadcast of the slice it stands in, for events that do not name their own.
 * @param authors the slice's table, when authors are indexes into it.
 * @returns null when offset, kind or program time cannot be read: such an event can neither be placed nor deduplicated.
 */
export function eventFromWire(wire: unknown, broadcast: number, authors: readonly unknown[] = []): ChatEvent | null {
  if (!isRecord(wire)) return null;
  const { offset, kind, program_ms: programMs } = wire;
  if (!Number.isSafeInteger(offset) || typeof kind !== 'string' || !Number.isSafeInteger(programMs)) return null;
  const author = typeof wire['author'] === 'number' ? authors[wire['author']] : wire['author'];
  return {
    offset: offset as number,
    kind,
    id: textOr(wire['id'], null),
    broadcast: integerOr(wire['broadcast'], broadcast),
    programMs: programMs as number,
    stamp: textOr(wire['stamp'], 'none'),
    behindLiveMs: integerOr(wire['behind_live_ms'], 0),
    author: authorFrom(author),
    text: textOr(wire['text'], ''),
    fragments: fragmentsFrom(wire['fragments']),
    replyTo: integerOr(wire['reply_to'], null),
    target: integerOr(wire['target'], null),
    details: detailsFrom(wire),
  };
}

/** Read a list of events, leaving out what cannot be read. */
export function eventsFromWire(wire: readonly unknown[] | null | undefined, broadcast: number, authors: readonly unknown[] = []): ChatEvent[] {
  const events: ChatEvent[] = [];
  for (const one of wire ?? []) {
    const event = eventFromWire(one, broadcast, authors);
    if (event !== null) events.push(event);
  }
  return events;
}

/** Order of slices, files and panes after a seek: (program time, offset). */
export function comparePlace(a: ChatEvent, b: ChatEvent): number {
  return a.programMs - b.programMs || a.offset - b.offset;
}

/** Whether `you.may` allows a deed; a server that says nothing about it is asked by trying. */
export function mayDo(you: You | null, deed: string): boolean {
  const may = you?.may;
  if (may === undefined || may === null) return you !== null;
  return Array.isArray(may) ? may.includes(deed) : Boolean((may as Record<string, unknown>)[deed]);
}
