/**
 * The past as those who run the room may see it: what waits, what was reported and what is hidden, read backwards from the live edge.
 *
 * Owns: which stretch of a broadcast is read next, and what of it is kept. Does not know: the DOM but for how far a sheet is scrolled, the socket.
 * Units: program time in ms. Source: contract §4 (`messages`, `class=staff`), §2 (who sees what).
 *
 * The relay's pages go forwards, and a moderator looks backwards: so a stretch before what was read is read to its end, and the next
 * one is longer or shorter, by how much was in it. The socket goes on telling what happens meanwhile.
 */

import { eventsFromWire, MESSAGE_KINDS, type ChatEvent, type WireEvent } from './protocol.js';
import { inboxOf, type StaffInbox } from './staff-inbox.js';

const FIRST_STRETCH_MS = 5 * 60_000;
const STRETCH_MIN_MS = 10_000;
const EMPTY_MS = 3_600_000;
const STRETCH_MAX_MS = 24 * 3_600_000;
const FEW_EVENTS = 500;
const MANY_EVENTS = 4_000;
const PAGE = 2_000; // events of one answer
const FOUND_ENOUGH = 10; // then the moderator has something to read
const ANSWERS_MAX = 12; // of one look back; the next one goes on
const RECENT_MAX = 1_000;
const NEAR_END_PX = 200;

/** What is asked of a session. */
export interface StaffSession {
  readonly room: {
    readonly version: number;
    readonly arrivals: readonly ChatEvent[];
    readonly latest: number | null;
    readonly listed: readonly { readonly broadcast: number; readonly startMs: number }[];
    isHidden(offset: number): boolean;
  };
  /** An answer of the room's, with the viewer's token. */
  read(path: string): Promise<unknown>;
}

/** A message that was taken away. */
export interface HiddenMessage {
  readonly event: ChatEvent;
  readonly by: string;
  readonly reason: string;
}

export interface Staff extends StaffInbox {
  readonly waiting: number; // of what is held or reported
  readonly hidden: readonly HiddenMessage[]; // the newest first
}

interface Page {
  readonly messages?: readonly WireEvent[];
  readonly cursor?: string | null;
}

const NOTHING: Staff = { held: [], reports: [], waiting: 0, hidden: [] };
const WAITING = new Set(['held', 'reported']);
const text = (value: unknown): string => (typeof value === 'string' ? value : '');

export class StaffPast {
  readonly #session: StaffSession;
  readonly #update: () => void;
  #events = new Map<number, ChatEvent>(); // what waits or settles, and what is hidden
  #recent = new Map<number, ChatEvent>(); // messages of the socket, whose words go when they are hidden
  #hidden = new Map<number, HiddenMessage>();
  #targets = new Map<number, ChatEvent | null>(); // of reports
  #causes = new Map<number, { readonly by: string; readonly reason: string }>();
  #cause = { by: '', reason: '' };
  #restoredThrough = 0;
  #version = -1;
  #staff = NOTHING;
  #broadcast: number | null = null;
  #readFromMs: number | null = null; // everything since has been read
  #stretchMs = FIRST_STRETCH_MS;
  #isEmptyBefore = false; // nothing was said for so long that the rest is asked for at once, where no beginning is known
  #state: 'more' | 'reading' | 'failed' | 'all' = 'more';

  /** @param update is called when there is more to show. */
  constructor(session: StaffSession, update: () => void) {
    this.#session = session;
    this.#update = update;
  }

  /** How far back everything is known. */
  get state(): 'more' | 'reading' | 'failed' | 'all' {
    return this.#state;
  }

  /** What there is now; looks back once by itself. Cheap when nothing changed. */
  look(): Staff {
    const { room } = this.#session;
    if (room.latest !== this.#broadcast) {
      this.#broadcast = room.latest;
      this.#readFromMs = null;
      this.#state = 'more';
    }
    if (room.version !== this.#version) {
      this.#version = room.version;
      for (const event of room.arrivals) this.#arrived(event);
      for (const [offset, event] of this.#recent) {
        if (room.isHidden(offset) && !this.#hidden.has(offset)) this.#hidden.set(offset, { event, ...this.#causes.get(offset) ?? this.#cause });
      }
      this.#sort();
    }
    if (this.#broadcast !== null && this.#readFromMs === null && this.#state === 'more') queueMicrotask(() => void this.earlier()); // not while the page is drawn
    return this.#staff;
  }

  /** An event of those known here. */
  event(offset: number): ChatEvent | undefined {
    return this.#targets.get(offset) ?? this.#hidden.get(offset)?.event ?? this.#recent.get(offset);
  }

  /** The sheet was scrolled: near its end one wants to see what came before. */
  scrolled(sheet: Element): void {
    if (this.#state === 'more' && sheet.querySelector('.earlier') !== null && sheet.scrollHeight - sheet.clientHeight - sheet.scrollTop < NEAR_END_PX) void this.earlier();
  }

  /** Look further back, until something is found, for a while, or to the beginning. */
  async earlier(): Promise<void> {
    if (this.#state === 'reading' || this.#state === 'all') return;
    const broadcast = this.#broadcast;
    this.#state = 'reading';
    this.#update();
    const before = this.#count;
    let state: 'more' | 'failed' | 'all' = 'more';
    try {
      for (let answers = 0; answers < ANSWERS_MAX && state === 'more' && this.#count < before + FOUND_ENOUGH; ) {
        const { from, to } = this.#next();
        const found: ChatEvent[] = [];
        let cursor: string | null = null;
        do {
          const query = new URLSearchParams({ class: 'staff', broadcast: String(broadcast), limit: String(PAGE) });
          if (from !== null) query.set('from_ms', String(from));
          if (to !== null) query.set('to_ms', String(to));
          if (cursor !== null) query.set('cursor', cursor);
          const page = (await this.#session.read(`messages?${query.toString()}`)) as Page;
          if (broadcast !== this.#broadcast) return;
          found.push(...eventsFromWire(page.messages ?? [], broadcast ?? 0));
          cursor = page.cursor ?? null;
          answers += 1;
        } while (cursor !== null);
        // The newest first: a report is seen before what it is about.
        for (const event of found.reverse()) this.#take(event);
        this.#readFromMs = from ?? Number.NEGATIVE_INFINITY;
        this.#isEmptyBefore = found.length === 0 && this.#stretchMs >= EMPTY_MS;
        if (from === null) state = 'all';
        else if (found.length < FEW_EVENTS) this.#stretchMs = Math.min(STRETCH_MAX_MS, this.#stretchMs * 2);
        else if (found.length > MANY_EVENTS) this.#stretchMs = Math.max(STRETCH_MIN_MS, this.#stretchMs / 2);
      }
    } catch {
      state = 'failed';
      this.#readFromMs ??= Number.POSITIVE_INFINITY; // it has been tried
    }
    this.#state = state;
    this.#sort();
    this.#update();
  }

  /** The stretch before what is known; null is the beginning or the end of the broadcast. */
  #next(): { readonly from: number | null; readonly to: number | null } {
    const to = this.#readFromMs !== null && Number.isFinite(this.#readFromMs) ? this.#readFromMs : null;
    const { room } = this.#session;
    const edgeMs = to ?? Math.max(...room.arrivals.filter((one) => one.broadcast === this.#broadcast).map((one) => one.programMs));
    const startMs = room.listed.find((one) => one.broadcast === this.#broadcast)?.startMs ?? null;
    const from = Math.floor(edgeMs - this.#stretchMs);
    return { from: !Number.isFinite(from) || (startMs === null ? this.#isEmptyBefore : from <= startMs) ? null : from, to };
  }

  get #count(): number {
    this.#sort();
    return this.#staff.waiting + this.#staff.hidden.length;
  }

  /** What a page tells. */
  #take(event: ChatEvent): void {
    const taken = event.details?.['hidden'] as { by?: { name?: unknown } | null; reason?: unknown } | undefined;
    if (this.#targets.has(event.offset)) this.#targets.set(event.offset, event);
    if (taken !== undefined && MESSAGE_KINDS.has(event.kind)) this.#hidden.set(event.offset, { event, by: text(taken.by?.name), reason: text(taken.reason) });
    else if (taken === undefined) this.#keep(event);
  }

  /** What the socket tells, often more than once. What is there is not hidden. */
  #arrived(event: ChatEvent): void {
    this.#keep(event);
    if (MESSAGE_KINDS.has(event.kind)) {
      this.#recent.set(event.offset, event);
      this.#hidden.delete(event.offset);
      if (this.#recent.size > RECENT_MAX) this.#recent.delete(this.#recent.keys().next().value!);
    } else if (event.kind === 'hidden') {
      const cause = { by: event.author?.name ?? '', reason: text(event.details?.['reason']) };
      if (event.target === null) this.#cause = cause; // all of somebody's: which, the socket says apart
      else this.#causes.set(event.target, cause);
    } else if (event.kind === 'restored' && event.target !== null && event.offset > this.#restoredThrough) {
      this.#restoredThrough = event.offset;
      this.#hidden.delete(event.target);
    }
  }

  #keep(event: ChatEvent): void {
    if (event.kind === 'reported' && event.target !== null && !this.#targets.has(event.target)) this.#targets.set(event.target, null);
    if (WAITING.has(event.kind) || event.kind === 'hidden' || typeof event.details?.['held'] === 'number') this.#events.set(event.offset, event);
  }

  #sort(): void {
    const { room } = this.#session;
    const inbox = inboxOf(
      [...this.#events.values()].sort((a, b) => a.offset - b.offset),
      (offset) => room.isHidden(offset) || this.#hidden.has(offset),
    );
    this.#staff = { ...inbox, waiting: inbox.held.length + inbox.reports.length, hidden: [...this.#hidden.values()].sort((a, b) => b.event.offset - a.event.offset) };
  }
}
