/**
 * `<chatsync-chat>`: the chat of a room beside a player.
 *
 * Owns: the session of the room, which parts are shown and when, what is announced, deeds and their answers. Does not know:
 * any player, the wire, how the list scrolls (chat-list.ts), what rows, composer and panels look like (chat-*.ts).
 * Text reaches the page by lit's text bindings only. No inline style, no eval: `default-src 'self'` is enough.
 */

import { html, LitElement, nothing, type PropertyValues, type TemplateResult } from 'lit';
import { Announcer } from './announcer.js';
import { ChatComposer } from './chat-composer.js';
import { chatHeader } from './chat-header.js';
import { ChatList } from './chat-list.js';
import { ChatMemory } from './chat-memory.js';
import { noticeBar, pinBar, pollCard, questionList, type Notice, type PanelHost } from './chat-panels.js';
import { listRow, type RowHost } from './chat-rows.js';
import { panelStyles } from './panel-styles.js';
import { actionsOf } from './row-actions.js';
import { isLeftOut, sampled, seedOf, type ListRow } from './chat-sampling.js';
import { chatStyles } from './chat-styles.js';
import { ChatTimeline } from './chat-timeline.js';
import { RefusedError, type DeedFields } from './deeds.js';
import { delayed } from './delayed-adapter.js';
import { takeLeftMarkers } from './left-markers.js';
import { isStaff, mayNow } from './permissions.js';
import type { PlayheadAdapter } from './playhead.js';
import { MESSAGE_KINDS, type ChatEvent } from './protocol.js';
import type { SyncMode } from './replay.js';
import { EMPTY_STATE, type RoomState } from './room-state.js';
import type { StaffPast } from './staff-past.js';
import { stringsFor, type Strings } from './strings.js';

const NOTICE_MS = 8_000;
const REACTIONS_SHOWN_MS = 3_000;
const POLLS_SHOWN = 2;

type View = 'chat' | 'questions' | 'staff' | 'options';

/** What the pane shows, for measuring and for tests. */
export interface Shown {
  /** Program time of the picture, ms: everything said up to it is shown. Null when rows come by arrival. */
  readonly cutoffMs: number | null;
  readonly broadcast: number | null;
  readonly messages: readonly { readonly offset: number; readonly programMs: number }[];
  /** Rises at every seek. */
  readonly generation: number;
  /** Nothing is missing for want of an answer, and what is shown has been rendered. */
  readonly settled: boolean;
}

export interface SeekRequest {
  readonly programMs: number | null; // null: live
  readonly broadcast: number | null;
}

/**
 * @attr room - id of the room
 * @attr server - origin (and path prefix) of the relay; default: where the page comes from
 * @attr token-from - URL that answers `{"token": "…"}` with the page's own credentials
 * @attr recording - id of a recording: its chat instead of the live one
 * @attr sync - `hold` (with the picture, default) or `now` (as written; default for hosts and moderators)
 * @attr lang - language of the strings
 * @attr reactions - emoji to react with, separated by spaces; default: those of the room
 * @fires chatsync-message - an event was appended while following; detail {offset, programMs, kind}
 * @fires chatsync-settled - the pane is right after a seek or a start; detail {generation, cutoffMs}
 * @fires chatsync-seek-request - the viewer wants to go to a moment; cancelable, else the adapter seeks
 * @fires chatsync-error - something could not be read or sent; detail is the error
 * @csspart header, mode, views, pin, poll, pane, log, row, sheet, notice, resume, composer
 * @cssproperty --chatsync-surface, --chatsync-raised, --chatsync-text, --chatsync-quiet, --chatsync-line, --chatsync-accent,
 *   --chatsync-on-accent, --chatsync-live, --chatsync-question, --chatsync-right, --chatsync-font
 */
export class ChatsyncChat extends LitElement {
  static override styles = [panelStyles, chatStyles];

  static override properties = {
    room: { reflect: true },
    server: {},
    tokenFrom: { attribute: 'token-from' },
    recording: { reflect: true },
    sync: { attribute: 'sync' },
    reactions: {},
    adapter: { attribute: false },
    token: { attribute: false },
  };

  declare room: string | null;
  declare server: string | null;
  declare tokenFrom: string | null;
  declare recording: string | null;
  declare sync: SyncMode | null;
  declare reactions: string | null;
  declare adapter: PlayheadAdapter | null;
  /** Never an attribute and never in a URL: markup and logs are read by others. */
  declare token: string | null;

  #session: ChatTimeline | null = null;
  #memory = new ChatMemory('', '');
  readonly #list = new ChatList<ListRow>(
    { root: () => this.renderRoot, update: () => this.requestUpdate(), loadEarlier: () => this.#session?.loadEarlier() },
    (row) => (isLeftOut(row) ? `second ${row.second}` : row.offset),
  );
  readonly #composer = new ChatComposer({
    update: () => this.requestUpdate(),
    said: () => this.resume(),
    act: (action, fields) => void this.#act(action, fields),
    focusField: () => void this.updateComplete.then(() => this.renderRoot.querySelector('textarea')?.focus()),
  });
  #sides: typeof import('./side-panels.js') | null = null;
  #loading: Promise<void> | null = null;
  #view: View = 'chat';
  #unfolded: number | null = null;
  #armed: string | null = null; // the deed that is asked about once more
  #notice: Notice | null = null;
  #noticeTimer: ReturnType<typeof setTimeout> | null = null;
  #tapped = new Map<string, number>();
  #tappedTimer: ReturnType<typeof setTimeout> | null = null;
  #votes = new Map<string, readonly number[]>();
  #upvoted = new Set<number>();
  #putAway = new Set<string>();
  #rowsKey = '';
  #past: StaffPast | null = null; // once the part that reads it is there, for who may
  #renderedVersion = -1;
  #renderedGeneration = -1;
  #settledGeneration = -1;
  #wasSettled = false;
  #wasReading = false;
  #newCount = 0;
  #announced = '';
  readonly #announcer = new Announcer((count) => {
    this.#announced = count > 0 ? stringsFor(this.#language).newAnnounced(count) : '';
    this.requestUpdate();
  });
  #heldToken: string | null = null;
  #clockTimer: ReturnType<typeof setInterval> | null = null;
  #hasChosenSync = false;

  constructor() {
    super();
    this.room = null;
    this.server = null;
    this.tokenFrom = null;
    this.recording = null;
    this.sync = null;
    this.reactions = null;
    this.adapter = null;
    this.token = null;
  }

  /** What the pane shows now. Read-only; a new object at every read. */
  get shown(): Shown {
    const session = this.#session;
    if (session === null) return { cutoffMs: null, broadcast: null, messages: [], generation: 0, settled: false };
    const messages = session.rows.filter((row) => MESSAGE_KINDS.has(row.kind)).map(({ offset, programMs }) => ({ offset, programMs }));
    const isRendered = session.version === this.#renderedVersion;
    const { cutoffMs, broadcast, generation } = session;
    return { cutoffMs, broadcast, messages, generation, settled: session.settled && isRendered };
  }

  /** The headless session behind the element, null before it has a room. */
  get session(): ChatTimeline | null {
    return this.#session;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.addEventListener('keydown', this.#onKey);
    window.addEventListener('online', this.#onWake);
    document.addEventListener('visibilitychange', this.#onWake);
    this.#clockTimer = setInterval(() => this.requestUpdate(), 1_000); // the pill counts on
    if (this.hasUpdated) this.#open();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.removeEventListener('keydown', this.#onKey);
    window.removeEventListener('online', this.#onWake);
    document.removeEventListener('visibilitychange', this.#onWake);
    if (this.#clockTimer !== null) clearInterval(this.#clockTimer);
    for (const timer of [this.#noticeTimer, this.#tappedTimer]) if (timer !== null) clearTimeout(timer);
    this.#noticeTimer = this.#tappedTimer = null;
    this.#announcer.stop();
    this.#list.disconnect();
    this.#close();
  }

  /** Follow again: the newest row at the bottom, and stay there. */
  resume(): void {
    this.#newCount = 0;
    this.#list.resume();
  }

  protected override willUpdate(changed: PropertyValues): void {
    const opensAnew = ['room', 'server', 'recording', 'tokenFrom', 'token'].some((name) => changed.has(name));
    if (opensAnew && this.isConnected) this.#open();
    else if (changed.has('adapter')) this.#attach();
    if (changed.has('sync') && this.sync !== null) {
      this.#hasChosenSync = true;
      if (this.#session !== null) this.#session.sync = this.sync === 'now' ? 'now' : 'hold';
    }
    const session = this.#session;
    if (session === null) {
      this.#list.rows = [];
      return;
    }
    if (this.#list.isReading !== this.#wasReading) {
      this.#wasReading = this.#list.isReading;
      this.#newCount = 0;
    }
    if (session.version !== this.#renderedVersion) {
      this.#tell(session.takeAppended());
      if (session.generation !== this.#renderedGeneration) {
        // A seek puts history into the pane: it is neither news nor to be read out, and it stands at its end.
        this.#renderedGeneration = session.generation;
        this.#list.restart();
        this.#announcer.forget();
      }
    }
    this.#takeReactions(session);
    this.#chooseRows(session);
  }

  protected override render(): TemplateResult {
    const strings = stringsFor(this.#language);
    const session = this.#session;
    const state = session?.state ?? EMPTY_STATE;
    const panels = this.#panelHost(session, strings);
    const isCovered = this.#view !== 'chat';
    const rows = this.#rowHost(session, strings);
    return html`
      ${chatHeader(session, strings, {
        hasOptions: this.#view === 'options',
        toLive: () => this.#seek(null, null),
        toggleSync: this.#toggleSync,
        toggleOptions: () => this.#show(this.#view === 'options' ? 'chat' : 'options'),
      })} ${this.#views(session, state, strings)} ${this.#note(session, strings)} ${pinBar(state.pins, panels)}
      ${this.#polls(state, panels)}
      <div class="pane" part="pane">
        ${this.#list.render(strings.messages, isCovered, (row) => listRow(row, rows))}
        ${this.#empty(session, strings)} ${isCovered ? nothing : this.#resumeBar(strings)} ${this.#reactionStrip()} ${isCovered ? this.#sheet(session, state, panels) : nothing}
      </div>
      ${noticeBar(this.#notice, strings, () => this.#say(null))} ${session === null ? nothing : this.#composer.render(session, strings, this.#emoji)}
      <div class="unseen" role="status" aria-live="polite">${this.#announced}</div>
    `;
  }

  protected override updated(): void {
    this.#renderedVersion = this.#session?.version ?? -1;
    this.#list.updated();
    takeLeftMarkers(this.renderRoot.querySelector('.rows')!);
    if (this.#session !== null) this.#tellSettled(this.#session);
  }

  get #language(): string {
    return this.lang || this.closest<HTMLElement>('[lang]')?.lang || '';
  }

  get #emoji(): readonly string[] {
    return this.reactions === null ? (this.#session?.reactions ?? []) : this.reactions.split(/\s+/).filter((one) => one !== '');
  }

  // ── Session ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #open(): void {
    this.#close();
    if (this.room === null || this.room === '') return;
    const server = this.#serverUrl();
    this.#memory = new ChatMemory(server, this.room);
    const session = new ChatTimeline({
      server,
      room: this.room,
      recording: this.recording || null,
      token: (again) => this.#currentToken(again),
      renewsToken: this.tokenFrom !== null,
      onChange: () => this.#onChange(),
      onError: (error) => this.dispatchEvent(new CustomEvent('chatsync-error', { detail: error, bubbles: true, composed: true })),
    });
    this.#session = session;
    if (this.sync !== null) session.sync = this.sync === 'now' ? 'now' : 'hold';
    this.#attach();
    session.start();
  }

  #attach(): void {
    this.#session?.attach(this.adapter === null ? null : delayed(this.adapter, this.#memory.delayMs));
  }

  #serverUrl(): string {
    return new URL(this.server || '/', document.baseURI).href;
  }

  #close(): void {
    this.#session?.stop();
    this.#session = null;
    this.#renderedVersion = -1;
    this.#renderedGeneration = -1;
    this.#settledGeneration = -1;
    this.#wasSettled = false;
    this.#list.restart();
    this.#newCount = 0;
    this.#announcer.stop();
    this.#heldToken = null;
    this.#rowsKey = '';
    this.#past = null;
    this.#view = 'chat';
    this.#unfolded = null;
    this.#votes = new Map();
    this.#upvoted = new Set();
    this.#putAway = new Set();
    this.#composer.reset();
  }

  #onChange(): void {
    const session = this.#session;
    if (session !== null && !this.#hasChosenSync && this.sync === null && isStaff(session.you)) session.sync = 'now';
    this.requestUpdate();
  }

  async #currentToken(again: boolean): Promise<string | null> {
    if (this.token !== null) return this.token;
    if (this.tokenFrom === null || this.tokenFrom === '') return null;
    if (this.#heldToken === null || again) {
      const answer = await fetch(new URL(this.tokenFrom, document.baseURI), { credentials: 'same-origin', cache: 'no-store' });
      const body: unknown = answer.ok ? await answer.json() : null;
      const token = (body as { token?: unknown } | null)?.token;
      this.#heldToken = typeof token === 'string' ? token : null;
    }
    return this.#heldToken;
  }

  /** A flood is thinned while one follows; whoever scrolls back, or runs the room, has all of it. */
  #chooseRows(session: ChatTimeline): void {
    const { muted } = this.#memory;
    const key = `${session.version} ${this.#list.isReading} ${session.you?.role} ${[...muted.keys()].join()}`;
    if (key === this.#rowsKey) return;
    this.#rowsKey = key;
    const rows = muted.size === 0 ? session.rows : session.rows.filter((row) => row.author === null || !muted.has(row.author.key));
    const ownKey = session.you?.key ?? null;
    const isKept = (row: ChatEvent): boolean => row.kind !== 'message' || row.author?.role === 'host' || row.author?.role === 'moderator' || row.author?.key === ownKey;
    this.#list.rows = this.#list.isReading || isStaff(session.you) ? rows : sampled(rows, seedOf(this.room ?? ''), isKept);
  }

  #tell(appended: readonly ChatEvent[]): void {
    const you = this.#session?.you?.key ?? null;
    for (const event of appended) {
      const { offset, programMs, kind } = event;
      this.dispatchEvent(new CustomEvent('chatsync-message', { detail: { offset, programMs, kind }, bubbles: true, composed: true }));
      if (!MESSAGE_KINDS.has(kind) || this.#memory.muted.has(event.author?.key ?? '')) continue;
      if (this.#list.isReading) this.#newCount += 1;
      if (event.author === null || event.author.key !== you) this.#announcer.add();
    }
  }

  #tellSettled({ settled, generation, cutoffMs }: ChatTimeline): void {
    const isNews = settled && (!this.#wasSettled || generation !== this.#settledGeneration);
    this.#wasSettled = settled;
    if (!isNews) return;
    this.#settledGeneration = generation;
    this.dispatchEvent(new CustomEvent('chatsync-settled', { detail: { generation, cutoffMs }, bubbles: true, composed: true }));
  }

  #takeReactions(session: ChatTimeline): void {
    const reactions = session.takeReactions();
    if (reactions.length === 0) return;
    for (const { emoji, count } of reactions) this.#tapped.set(emoji, (this.#tapped.get(emoji) ?? 0) + count);
    this.#tappedTimer ??= setTimeout(() => {
      this.#tappedTimer = null;
      this.#tapped.clear();
      this.requestUpdate();
    }, REACTIONS_SHOWN_MS);
  }

  /** Ask to see a moment. Whoever embeds us may do it their own way by cancelling the event. */
  #seek(programMs: number | null, broadcast: number | null): void {
    const { delayMs } = this.#memory;
    const detail: SeekRequest = { programMs: programMs === null ? null : programMs + delayMs, broadcast };
    const event = new CustomEvent<SeekRequest>('chatsync-seek-request', { detail, bubbles: true, composed: true, cancelable: true });
    if (!this.dispatchEvent(event)) return;
    if (detail.programMs === null) this.adapter?.seekToLive();
    else this.adapter?.seekTo(detail.programMs);
  }

  // ── Deeds ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** @returns whether the relay did it; why not is said. */
  async #act(action: string, fields: DeedFields = {}, undo: (() => void) | null = null): Promise<boolean> {
    const strings = stringsFor(this.#language);
    try {
      await this.#session?.act(action, fields);
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      if (error.code !== 'stopped') this.#say({ text: strings.refused(error.code), isAlert: true, undo: null });
      return false;
    }
    const text = strings.done[action];
    if (text !== undefined) this.#say({ text, isAlert: false, undo });
    return true;
  }

  #say(notice: Notice | null): void {
    this.#notice = notice;
    if (this.#noticeTimer !== null) clearTimeout(this.#noticeTimer);
    this.#noticeTimer = notice === null ? null : setTimeout(() => this.#say(null), NOTICE_MS);
    this.requestUpdate();
  }

  #unfold(offset: number | null): void {
    const from = this.#unfolded;
    const hadFocus = this.shadowRoot?.activeElement?.closest('.actions') != null;
    this.#unfolded = offset;
    this.#armed = null;
    this.requestUpdate();
    // The button that had the focus is about to go: its row takes it.
    if (offset === null && from !== null && hadFocus) this.renderRoot.querySelector<HTMLElement>(`.log [data-offset="${from}"]`)?.focus({ preventScroll: true });
  }

  #arm(what: string): void {
    this.#armed = what;
    this.requestUpdate();
  }

  #muteForMe(key: string, name: string, strings: Strings): void {
    this.#memory.mute(key, name);
    this.#say({ text: strings.done['muteForMe']!, isAlert: false, undo: () => this.#unmute(key) });
  }

  #unmute(key: string): void {
    this.#memory.unmute(key);
    this.#say(null);
  }

  async #upvote(offset: number): Promise<void> {
    this.#upvoted.add(offset);
    this.requestUpdate();
    if (!(await this.#act('upvote', { target: offset }))) this.#upvoted.delete(offset);
  }

  async #vote(poll: string, choices: readonly number[]): Promise<void> {
    if (!(await this.#act('vote', { poll, choices }))) return;
    this.#votes.set(poll, choices);
    this.requestUpdate();
  }

  readonly #onKey = (event: KeyboardEvent): void => {
    if (event.defaultPrevented) return;
    if (event.key === 'Escape' && this.#view !== 'chat') this.#show('chat');
    else this.#list.key(event);
  };

  readonly #onWake = (): void => {
    if (document.visibilityState === 'visible') this.#session?.wake();
  };

  // ── What is drawn ───────────────────────────────────────────────────────────────────────────────────────────────

  #rowHost(session: ChatTimeline | null, strings: Strings): RowHost {
    return {
      strings,
      language: this.#language,
      server: this.#serverUrl(),
      ownKey: session?.you?.key ?? null,
      active: this.#list.active,
      unfolded: this.#unfolded,
      revision: [this.#language, session?.you?.key, session?.you?.role, session?.status, JSON.stringify(session?.edge?.mode ?? null), this.#armed, this.#upvoted.size].join(' '),
      quoted: (offset) => this.#eventAt(session, offset),
      actionsOf: (event) =>
        session === null
          ? []
          : actionsOf(event, session, {
              strings,
              armed: this.#armed,
              hasUpvoted: (offset) => this.#upvoted.has(offset),
              act: (action, fields, undo) => void this.#act(action, fields, undo),
              answer: (about) => this.#composer.answer(about),
              upvote: (offset) => void this.#upvote(offset),
              muteForMe: (key, name) => this.#muteForMe(key, name, strings),
              arm: (what) => this.#arm(what),
              fold: () => this.#unfold(null),
            }),
      seek: (event) => this.#seek(event.programMs, event.broadcast),
      unfold: (offset) => this.#unfold(offset),
    };
  }

  #panelHost(session: ChatTimeline | null, strings: Strings): PanelHost {
    const mode = session?.edge?.mode ?? null;
    return {
      strings,
      language: this.#language,
      may: (deed) => session !== null && session.status !== 'recording' && mayNow(session.you, mode, deed),
      act: (action, fields) => void this.#act(action, fields),
      seekTo: (programMs) => this.#seek(programMs, session?.broadcast ?? null),
    };
  }

  #eventAt(session: ChatTimeline | null, offset: number): ChatEvent | undefined {
    const broadcast = session?.broadcast ?? session?.room.latest ?? null;
    return session === null || broadcast === null ? undefined : session.room.broadcast(broadcast).event(offset);
  }

  readonly #toggleSync = (): void => {
    this.sync = this.#session?.sync === 'now' ? 'hold' : 'now';
  };

  #show(view: View): void {
    this.#view = view;
    this.requestUpdate();
    if (view === 'options') this.#loadSides();
  }

  #loadSides(): void {
    this.#loading ??= import('./side-panels.js').then((sides) => ((this.#sides = sides), this.requestUpdate()));
  }

  #views(session: ChatTimeline | null, state: RoomState, strings: Strings): TemplateResult | typeof nothing {
    const isModerating = session !== null && session.status !== 'recording' && isStaff(session.you);
    if (isModerating) {
      this.#loadSides();
      if (this.#sides !== null) this.#past ??= new this.#sides.StaffPast(session, () => this.requestUpdate());
    }
    if (state.questions.length === 0 && !isModerating && this.#view !== 'questions') return nothing;
    const view = (name: View, text: string): TemplateResult =>
      html`<button type="button" aria-pressed=${this.#view === name} data-view=${name} @click=${() => this.#show(name)}>${text}</button>`;
    return html`<div class="views" part="views" role="group" aria-label=${strings.views}>
      ${view('chat', strings.chat)} ${view('questions', strings.questions(state.questions.length))}
      ${isModerating ? view('staff', strings.moderation(this.#past?.look().waiting ?? 0)) : nothing}
    </div>`;
  }

  #note(session: ChatTimeline | null, strings: Strings): TemplateResult | typeof nothing {
    const status = session?.status;
    if (status === 'waiting') return html`<div class="note" role="status">${strings.offline}</div>`;
    if (status === 'closed' && session?.closeCode != null) return html`<div class="note alert" role="alert">${strings.closed(session.closeCode)}</div>`;
    return nothing;
  }

  #polls(state: RoomState, panels: PanelHost): TemplateResult | typeof nothing {
    const polls = state.polls.filter((poll) => !this.#putAway.has(poll.poll)).slice(-POLLS_SHOWN);
    if (polls.length === 0) return nothing;
    const host = {
      ...panels,
      voteOf: (poll: string) => this.#votes.get(poll) ?? null,
      vote: (poll: string, choices: readonly number[]) => void this.#vote(poll, choices),
      putAway: (poll: string) => {
        this.#putAway.add(poll);
        this.requestUpdate();
      },
    };
    return html`<div class="cards">${polls.map((poll) => pollCard(poll, host))}</div>`;
  }

  #sheet(session: ChatTimeline | null, state: RoomState, panels: PanelHost): TemplateResult {
    const { strings, language } = panels;
    const content =
      this.#view === 'questions'
        ? questionList(state.questions, { ...panels, hasUpvoted: (offset) => this.#upvoted.has(offset), upvote: (offset) => void this.#upvote(offset) })
        : this.#view === 'staff'
          ? this.#past && this.#sides?.staffPanel(this.#past, session?.edge?.hands ?? [], (offset) => this.#eventAt(session, offset), panels)
          : this.#sides?.optionsPanel({
              strings,
              language,
              delayMs: this.#memory.delayMs,
              delay: (delayMs) => this.#delay(delayMs),
              muted: this.#memory.muted,
              unmute: (key) => this.#unmute(key),
            });
    const label = { chat: strings.chat, questions: strings.questions(0), staff: strings.moderation(0), options: strings.options }[this.#view];
    return html`<section class="sheet" part="sheet" aria-label=${label} tabindex="0" @scroll=${(event: Event) => this.#past?.scrolled(event.target as Element)}>
      ${content}
      <button type="button" class="back" @click=${() => this.#show('chat')}>${strings.close}</button>
    </section>`;
  }

  #delay(delayMs: number): void {
    this.#memory.delayMs = delayMs;
    this.#attach();
    this.requestUpdate();
  }

  #empty(session: ChatTimeline | null, strings: Strings): TemplateResult | typeof nothing {
    if (this.#list.rows.length > 0 || session === null) return nothing;
    const isLoading = !session.settled && session.basis !== 'nothing';
    return html`<div class="empty">${isLoading ? strings.loading : strings.empty}</div>`;
  }

  #resumeBar(strings: Strings): TemplateResult | typeof nothing {
    if (!this.#list.isReading) return nothing;
    const text = this.#newCount > 0 ? strings.newMessages(this.#newCount) : strings.jumpToNow;
    return html`<div class="resume" part="resume">
      <button type="button" title=${strings.jumpToNow} @click=${() => this.resume()}>${strings.paused}, ${text} ↓</button>
    </div>`;
  }

  #reactionStrip(): TemplateResult | typeof nothing {
    if (this.#tapped.size === 0) return nothing;
    return html`<div class="tapped" aria-hidden="true">${[...this.#tapped].map(([emoji, count]) => html`<span>${emoji}${count > 1 ? ` ${count}` : nothing}</span>`)}</div>`;
  }
}
