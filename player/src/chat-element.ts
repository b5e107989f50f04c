/**
 * `<chatsync-chat>`: the chat of a room beside a player.
 *
 * Owns: the pane, reading and following, the composer, what is announced. Does not know: any player, the wire.
 * Text reaches the page by lit's text bindings only. No inline style, no eval: `default-src 'self'` is enough.
 */

import { observeElementOffset, observeElementRect, Virtualizer } from '@tanstack/virtual-core';
import { html, LitElement, nothing, type PropertyValues, type TemplateResult } from 'lit';
import { ref } from 'lit/directives/ref.js';
import { repeat } from 'lit/directives/repeat.js';
import { chatStyles } from './chat-styles.js';
import type { OwnMessage } from './own-messages.js';
import type { PlayheadAdapter } from './playhead.js';
import { mayDo, MESSAGE_KINDS, type ChatEvent, type Fragment } from './protocol.js';
import type { SyncMode } from './replay.js';
import { ChatSession, type SessionOptions } from './session.js';
import { clockText, stringsFor, timeOfDayText, type Strings } from './strings.js';

const BEHIND_SHOWN_MS = 15_000;
const ANNOUNCE_EVERY_MS = 3_000;
const ROW_ESTIMATE_PX = 46;
const AT_BOTTOM_PX = 4;
const NEAR_TOP_PX = 160;
const TEXT_MAX = 2_000; // code points; the room's own limit is the relay's to say

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
 * @fires chatsync-message - an event was appended while following; detail {offset, programMs, kind}
 * @fires chatsync-settled - the pane is right after a seek or a start; detail {generation, cutoffMs}
 * @fires chatsync-seek-request - the viewer wants to go to a moment; cancelable, else the adapter seeks
 * @fires chatsync-error - something could not be read or sent; detail is the error
 * @csspart header, mode, pane, log, row, composer, resume
 * @cssproperty --chatsync-surface, --chatsync-raised, --chatsync-text, --chatsync-quiet, --chatsync-line, --chatsync-accent,
 *   --chatsync-on-accent, --chatsync-live, --chatsync-question, --chatsync-font
 */
export class ChatsyncChat extends LitElement {
  static override styles = chatStyles;

  static override properties = {
    room: { reflect: true },
    server: {},
    tokenFrom: { attribute: 'token-from' },
    recording: { reflect: true },
    sync: { attribute: 'sync' },
    adapter: { attribute: false },
    token: { attribute: false },
  };

  declare room: string | null;
  declare server: string | null;
  declare tokenFrom: string | null;
  declare recording: string | null;
  declare sync: SyncMode | null;
  declare adapter: PlayheadAdapter | null;
  /** Never an attribute and never in a URL: markup and logs are read by others. */
  declare token: string | null;

  #session: ChatSession | null = null;
  #virtualizer: Virtualizer<HTMLElement, HTMLElement> | null = null;
  #unmountVirtualizer: (() => void) | null = null;
  #rows: readonly ChatEvent[] = [];
  #rowKey: (index: number) => number = (index) => index;
  #renderedVersion = -1;
  #renderedGeneration = -1;
  #settledGeneration = -1;
  #wasSettled = false;
  #isReading = false;
  #newCount = 0;
  #lastTopPx = 0;
  #knownTopPx = 0; // where the list takes the pane to be
  #isOnScrollbar = false;
  #isQuestion = false;
  #unannounced = 0;
  #announced = '';
  #announceTimer: ReturnType<typeof setTimeout> | null = null;
  #heldToken: string | null = null;
  #clockTimer: ReturnType<typeof setInterval> | null = null;
  #hasChosenSync = false;
  readonly #measure = (element?: Element): void => {
    if (element instanceof HTMLElement) this.#virtualizer?.measureElement(element);
  };

  constructor() {
    super();
    this.room = null;
    this.server = null;
    this.tokenFrom = null;
    this.recording = null;
    this.sync = null;
    this.adapter = null;
    this.token = null;
  }

  /** What the pane shows now. Read-only; a new object at every read. */
  get shown(): Shown {
    const timeline = this.#session?.timeline;
    if (timeline === undefined) return { cutoffMs: null, broadcast: null, messages: [], generation: 0, settled: false };
    const messages = timeline.rows.filter((row) => MESSAGE_KINDS.has(row.kind)).map(({ offset, programMs }) => ({ offset, programMs }));
    const isRendered = timeline.version === this.#renderedVersion;
    const { cutoffMs, broadcast, generation } = timeline;
    return { cutoffMs, broadcast, messages, generation, settled: timeline.settled && isRendered };
  }

  /** The headless session behind the element, null before it has a room. */
  get session(): ChatSession | null {
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
    if (this.#announceTimer !== null) clearTimeout(this.#announceTimer);
    this.#announceTimer = null;
    this.#unmountVirtualizer?.();
    this.#unmountVirtualizer = null;
    this.#virtualizer = null;
    this.#close();
  }

  /** Follow again: the newest row at the bottom, and stay there. */
  resume(): void {
    this.#isReading = false;
    this.#newCount = 0;
    this.#virtualizer?.scrollToEnd({ behavior: 'instant' });
    this.requestUpdate();
  }

  protected override willUpdate(changed: PropertyValues): void {
    const opensAnew = ['room', 'server', 'recording', 'tokenFrom', 'token'].some((name) => changed.has(name));
    if (opensAnew && this.isConnected) this.#open();
    else if (changed.has('adapter')) this.#session?.attach(this.adapter);
    if (changed.has('sync') && this.sync !== null) {
      this.#hasChosenSync = true;
      if (this.#session !== null) this.#session.sync = this.sync === 'now' ? 'now' : 'hold';
    }
    const timeline = this.#session?.timeline;
    if (timeline === undefined) {
      this.#rows = [];
      return;
    }
    if (timeline.version === this.#renderedVersion) return;
    const rows = timeline.rows;
    this.#rows = rows;
    this.#rowKey = (index) => rows[index]?.offset ?? -1 - index;
    this.#tell(timeline.takeAppended());
    if (timeline.generation !== this.#renderedGeneration) {
      // A seek puts history into the pane: it is neither news nor to be read out, and it stands at its end.
      this.#renderedGeneration = timeline.generation;
      this.#isReading = false;
      this.#newCount = 0;
      this.#unannounced = 0;
    }
  }

  protected override render(): TemplateResult {
    const strings = stringsFor(this.lang || document.documentElement.lang);
    const session = this.#session;
    return html`
      ${this.#header(session, strings)} ${this.#note(session, strings)}
      <div class="pane" part="pane">
        <div
          class="log"
          part="log"
          role="log"
          aria-live="off"
          aria-label=${strings.messages}
          tabindex="0"
          @scroll=${this.#onScroll}
          @wheel=${this.#onWheel}
          @touchmove=${this.#onTouch}
          @pointerdown=${this.#onPointerDown}
          @pointerup=${this.#onPointerUp}
        >
          <div class="sizer"><div class="window">${this.#list(strings)}</div></div>
        </div>
        ${this.#empty(session, strings)} ${this.#resumeBar(strings)}
      </div>
      ${this.#own(session, strings)} ${this.#composer(session, strings)}
      <div class="unseen" role="status" aria-live="polite">${this.#announced}</div>
    `;
  }

  protected override updated(): void {
    const log = this.renderRoot.querySelector<HTMLElement>('.log');
    const virtualizer = this.#virtualizer;
    if (log === null || virtualizer === null) return;
    // Styles are set through the CSSOM: a style attribute would need 'unsafe-inline'.
    this.renderRoot.querySelector<HTMLElement>('.sizer')!.style.height = `${virtualizer.getTotalSize()}px`;
    const first = virtualizer.getVirtualItems()[0]?.start ?? 0;
    this.renderRoot.querySelector<HTMLElement>('.window')!.style.transform = `translateY(${first}px)`;
    this.#unmountVirtualizer ??= virtualizer._didMount();
    virtualizer._willUpdate();
    const timeline = this.#session?.timeline;
    if (timeline === undefined) return;
    if (timeline.version !== this.#renderedVersion) {
      this.#renderedVersion = timeline.version;
      if (!this.#isReading) virtualizer.scrollToEnd({ behavior: 'instant' });
    }
    this.#tellSettled();
  }

  // ── Session ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #open(): void {
    this.#close();
    if (this.room === null || this.room === '') return;
    const options: SessionOptions = {
      server: this.#serverUrl(),
      room: this.room,
      recording: this.recording || null,
      token: (again) => this.#currentToken(again),
      renewsToken: this.tokenFrom !== null,
      onChange: () => this.#onChange(),
      onError: (error) => this.dispatchEvent(new CustomEvent('chatsync-error', { detail: error, bubbles: true, composed: true })),
    };
    this.#session = new ChatSession(options);
    if (this.sync !== null) this.#session.sync = this.sync === 'now' ? 'now' : 'hold';
    this.#session.attach(this.adapter);
    this.#session.start();
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
    this.#isReading = false;
    this.#newCount = 0;
    this.#unannounced = 0;
    this.#heldToken = null;
  }

  #onChange(): void {
    const session = this.#session;
    const role = session?.you?.role;
    if (session !== null && !this.#hasChosenSync && this.sync === null && (role === 'host' || role === 'moderator')) session.sync = 'now';
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

  #tell(appended: readonly ChatEvent[]): void {
    const you = this.#session?.you?.key ?? null;
    for (const event of appended) {
      const { offset, programMs, kind } = event;
      this.dispatchEvent(new CustomEvent('chatsync-message', { detail: { offset, programMs, kind }, bubbles: true, composed: true }));
      if (!MESSAGE_KINDS.has(kind)) continue;
      if (this.#isReading) this.#newCount += 1;
      if (event.author === null || event.author.key !== you) this.#unannounced += 1;
    }
    if (this.#unannounced > 0 && this.#announceTimer === null) {
      this.#announceTimer = setTimeout(() => {
        this.#announceTimer = null;
        this.#announced = this.#unannounced > 0 ? stringsFor(this.lang || document.documentElement.lang).newAnnounced(this.#unannounced) : '';
        this.#unannounced = 0;
        this.requestUpdate();
      }, ANNOUNCE_EVERY_MS);
    }
  }

  #tellSettled(): void {
    const { settled, generation, cutoffMs } = this.#session!.timeline;
    const isNews = settled && (!this.#wasSettled || generation !== this.#settledGeneration);
    this.#wasSettled = settled;
    if (!isNews) return;
    this.#settledGeneration = generation;
    this.dispatchEvent(new CustomEvent('chatsync-settled', { detail: { generation, cutoffMs }, bubbles: true, composed: true }));
  }

  /** Ask to see a moment. Whoever embeds us may do it their own way by cancelling the event. */
  #seek(request: SeekRequest): void {
    const event = new CustomEvent<SeekRequest>('chatsync-seek-request', { detail: request, bubbles: true, composed: true, cancelable: true });
    if (!this.dispatchEvent(event)) return;
    if (request.programMs === null) this.adapter?.seekToLive();
    else this.adapter?.seekTo(request.programMs);
  }

  // ── Reading and following ───────────────────────────────────────────────────────────────────────────────────────

  #read(log: HTMLElement): void {
    if (this.#isReading || log.scrollHeight <= log.clientHeight) return;
    this.#isReading = true;
    this.#newCount = 0;
    this.#lastTopPx = log.scrollTop; // the event of our own last step down is still to come, and is not theirs
    this.#virtualizer?.cancelScroll();
    this.requestUpdate();
  }

  readonly #observeOffset: typeof observeElementOffset<HTMLElement> = (virtualizer, report) =>
    observeElementOffset(virtualizer, (offsetPx, isScrolling) => {
      this.#knownTopPx = offsetPx;
      report(offsetPx, isScrolling);
    });

  /**
   * Put the pane where the list wants it. Rows above somebody who reads may turn out higher, or more of them come: then it moves by that much.
   * The place the list knows is as old as the last scroll event; taken for where to go from, it would undo what has been scrolled since.
   */
  readonly #scrollTo = (offsetPx: number, { adjustments = 0 }: { adjustments?: number }, { scrollElement }: Virtualizer<HTMLElement, HTMLElement>): void => {
    if (scrollElement === null) return;
    const topPx = offsetPx + adjustments;
    if (this.#isReading) scrollElement.scrollBy({ top: topPx - this.#knownTopPx, behavior: 'instant' });
    else scrollElement.scrollTo({ top: topPx, behavior: 'instant' });
    this.#knownTopPx = topPx;
    this.#lastTopPx = scrollElement.scrollTop;
  };

  readonly #onWheel = (event: WheelEvent): void => {
    if (event.deltaY < 0) this.#read(event.currentTarget as HTMLElement);
  };

  readonly #onTouch = (event: Event): void => {
    this.#read(event.currentTarget as HTMLElement);
  };

  readonly #onPointerDown = (event: PointerEvent): void => {
    this.#isOnScrollbar = event.target === event.currentTarget;
  };

  readonly #onPointerUp = (): void => {
    this.#isOnScrollbar = false;
  };

  readonly #onScroll = (event: Event): void => {
    const log = event.currentTarget as HTMLElement;
    const topPx = log.scrollTop;
    const isDown = topPx > this.#lastTopPx;
    const isUp = topPx < this.#lastTopPx;
    this.#lastTopPx = topPx;
    if (this.#isOnScrollbar && isUp) this.#read(log);
    if (!this.#isReading) return;
    if (isDown && topPx + log.clientHeight >= log.scrollHeight - AT_BOTTOM_PX) this.resume();
    else if (isUp && topPx < NEAR_TOP_PX) this.#session?.loadEarlier();
  };

  readonly #onKey = (event: KeyboardEvent): void => {
    const from = event.composedPath()[0];
    const isTyping = from instanceof HTMLTextAreaElement;
    if (event.key === 'Escape' || (event.key === 'End' && !isTyping)) {
      if (this.#isReading) this.resume();
    } else if (!isTyping && (event.key === 'PageUp' || event.key === 'Home' || event.key === 'ArrowUp')) {
      const log = this.renderRoot.querySelector<HTMLElement>('.log');
      if (log !== null) this.#read(log);
    }
  };

  readonly #onWake = (): void => {
    if (document.visibilityState === 'visible') this.#session?.wake();
  };

  // ── What is drawn ───────────────────────────────────────────────────────────────────────────────────────────────

  #header(session: ChatSession | null, strings: Strings): TemplateResult {
    const behindMs = session?.behindLiveMs ?? null;
    // A live stream that has ended is its recording from then on; the player says so by its own media.
    const isRecording = session?.status === 'recording' || (session?.playhead.state === 'at' && !session.playhead.isLive);
    const isBehind = !isRecording && behindMs !== null && behindMs > BEHIND_SHOWN_MS && session?.playhead.state !== 'unknown';
    const mode = isRecording ? 'recording' : isBehind ? 'behind' : 'live';
    const text = isRecording ? strings.recording : isBehind ? `−${clockText(behindMs)}` : strings.live;
    const isNow = session?.sync === 'now';
    return html`<header part="header">
      <h2 class="title">${strings.chat}</h2>
      <span class="pill" part="mode" data-mode=${mode}>${text}</span>
      <span class="space"></span>
      ${isBehind ? html`<button type="button" @click=${() => this.#seek({ programMs: null, broadcast: null })}>${strings.jumpToLive}</button>` : nothing}
      ${session === null || session.status === 'recording'
        ? nothing
        : html`<button type="button" title=${isNow ? strings.nowHint : strings.holdHint} @click=${this.#toggleSync}>
            ${isNow ? strings.syncNow : strings.syncHold}
          </button>`}
    </header>`;
  }

  readonly #toggleSync = (): void => {
    this.sync = this.#session?.sync === 'now' ? 'hold' : 'now';
  };

  #note(session: ChatSession | null, strings: Strings): TemplateResult | typeof nothing {
    const status = session?.status;
    if (status === 'waiting') return html`<div class="note" role="status">${strings.offline}</div>`;
    if (status === 'closed' && session?.closeCode != null) return html`<div class="note alert" role="alert">${strings.closed(session.closeCode)}</div>`;
    return nothing;
  }

  #empty(session: ChatSession | null, strings: Strings): TemplateResult | typeof nothing {
    if (this.#rows.length > 0 || session === null) return nothing;
    const isLoading = !session.timeline.settled && session.timeline.basis !== 'nothing';
    return html`<div class="empty">${isLoading ? strings.loading : strings.empty}</div>`;
  }

  #resumeBar(strings: Strings): TemplateResult | typeof nothing {
    if (!this.#isReading) return nothing;
    const text = this.#newCount > 0 ? strings.newMessages(this.#newCount) : strings.jumpToNow;
    return html`<div class="resume" part="resume">
      <button type="button" title=${strings.jumpToNow} @click=${() => this.resume()}>${strings.paused}, ${text} ↓</button>
    </div>`;
  }

  #list(strings: Strings): unknown {
    const count = this.#rows.length;
    const options = {
      count,
      getScrollElement: () => this.renderRoot.querySelector<HTMLElement>('.log'),
      estimateSize: () => ROW_ESTIMATE_PX,
      getItemKey: this.#rowKey,
      overscan: 6,
      anchorTo: 'end' as const,
      followOnAppend: !this.#isReading,
      scrollEndThreshold: this.#isReading ? -1 : 24, // nothing is held to the end while somebody leaves it
      initialRect: { width: 320, height: 640 },
      observeElementRect,
      observeElementOffset: this.#observeOffset,
      scrollToFn: this.#scrollTo,
      onChange: () => this.requestUpdate(),
    };
    if (this.#virtualizer === null) this.#virtualizer = new Virtualizer<HTMLElement, HTMLElement>(options);
    else this.#virtualizer.setOptions(options);
    return repeat(
      this.#virtualizer.getVirtualItems(),
      (item) => item.key,
      (item) => {
        const event = this.#rows[item.index];
        return event === undefined ? nothing : this.#row(event, item.index, count, strings);
      },
    );
  }

  #row(event: ChatEvent, index: number, count: number, strings: Strings): TemplateResult {
    const place = index + 1;
    if (!MESSAGE_KINDS.has(event.kind) || event.kind === 'system') {
      return html`<div class="row line" part="row" role="article" data-index=${index} data-kind=${event.kind} aria-setsize=${count} aria-posinset=${place} ${ref(this.#measure)}>
        <bdi dir="auto">${lineText(event, strings)}</bdi>
      </div>`;
    }
    const { author } = event;
    const isOwn = author !== null && author.key === this.#session?.you?.key;
    const badge = author?.role === 'host' ? strings.host : author?.role === 'moderator' ? strings.moderator : null;
    const mark = event.kind === 'question' ? strings.question : event.kind === 'announcement' ? strings.announcement : null;
    const time = timeOfDayText(event.programMs, this.lang);
    return html`<div
      class="row"
      part="row"
      role="article"
      data-index=${index}
      data-offset=${event.offset}
      data-kind=${event.kind}
      data-role=${author?.role ?? 'system'}
      ?data-own=${isOwn}
      aria-setsize=${count}
      aria-posinset=${place}
      ${ref(this.#measure)}
    >
      <bdi class="name" dir="auto">${author?.name ?? ''}</bdi>
      ${badge === null ? nothing : html`<span class="badge">${badge}</span>`} ${mark === null ? nothing : html`<span class="mark">${mark}</span>`}
      ${event.behindLiveMs > BEHIND_SHOWN_MS
        ? html`<button
            type="button"
            class="chip"
            title=${strings.goTo(time)}
            @click=${() => this.#seek({ programMs: event.programMs, broadcast: event.broadcast })}
          >
            ${strings.behindLive(time)}
          </button>`
        : nothing}
      <time datetime=${new Date(event.programMs).toISOString()}>${time}</time>
      <bdi class="text" dir="auto">${event.fragments === null ? event.text : event.fragments.map((piece) => fragment(piece, this.#serverUrl()))}</bdi>
    </div>`;
  }

  #own(session: ChatSession | null, strings: Strings): TemplateResult | typeof nothing {
    const pending = session?.pending ?? [];
    if (session === null || pending.length === 0) return nothing;
    return html`<div class="own">${repeat(pending, (own) => own.id, (own) => this.#ownRow(session, own, strings))}</div>`;
  }

  #ownRow(session: ChatSession, own: OwnMessage, strings: Strings): TemplateResult {
    const isFailed = own.state === 'failed';
    const status = isFailed ? strings.failed(own.code ?? '') : own.state === 'held' ? strings.held : strings.sending;
    return html`<div class="row" data-kind=${own.kind} data-own>
      <bdi class="text" dir="auto">${own.text}</bdi>
      <span class="status ${isFailed ? 'alert' : ''}" role=${isFailed ? 'alert' : nothing}>${status}</span>
      ${isFailed
        ? html`<button type="button" @click=${() => session.sayAgain(own.id)}>${strings.sayAgain}</button>
            <button type="button" @click=${() => session.dismiss(own.id)}>${strings.dismiss}</button>`
        : own.state === 'held'
          ? html`<button type="button" @click=${() => session.dismiss(own.id)}>${strings.dismiss}</button>`
          : nothing}
    </div>`;
  }

  #composer(session: ChatSession | null, strings: Strings): TemplateResult | typeof nothing {
    const you = session?.you ?? null;
    if (session === null || you === null || !mayDo(you, 'say_message')) return nothing;
    return html`<form part="composer" @submit=${this.#onSubmit}>
      <textarea rows="1" aria-label=${strings.write} placeholder=${strings.write} maxlength=${TEXT_MAX} @keydown=${this.#onComposerKey}></textarea>
      ${mayDo(you, 'say_question')
        ? html`<button type="button" aria-pressed=${this.#isQuestion} title=${strings.ask} aria-label=${strings.ask} @click=${this.#toggleQuestion}>?</button>`
        : nothing}
      <button type="submit">${strings.send}</button>
    </form>`;
  }

  readonly #toggleQuestion = (): void => {
    this.#isQuestion = !this.#isQuestion;
    this.requestUpdate();
  };

  readonly #onComposerKey = (event: KeyboardEvent): void => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    (event.currentTarget as HTMLTextAreaElement).form?.requestSubmit();
  };

  readonly #onSubmit = (event: SubmitEvent): void => {
    event.preventDefault();
    const field = (event.currentTarget as HTMLFormElement).querySelector('textarea');
    const text = field?.value.trim() ?? '';
    if (field === null || text === '' || this.#session === null) return;
    if (this.#session.say(text, this.#isQuestion ? 'question' : 'message') === null) return;
    field.value = '';
    this.#isQuestion = false;
    this.resume();
  };
}

function fragment(piece: Fragment, server: string): unknown {
  if (piece.type === 'emote' && piece.url !== null) {
    return html`<img class="emote" src=${new URL(piece.url, server).href} alt=${piece.text} title=${piece.text} loading="lazy" decoding="async" referrerpolicy="no-referrer" />`;
  }
  if (piece.type === 'link') return html`<a href=${piece.url} target="_blank" rel="nofollow noopener noreferrer ugc">${piece.text}</a>`;
  return piece.type === 'mention' ? html`<span class="mention">${piece.text}</span>` : piece.text;
}

function lineText(event: ChatEvent, strings: Strings): string {
  switch (event.kind) {
    case 'pinned':
      return strings.pinned(event.text);
    case 'unpinned':
      return strings.unpinned;
    case 'question_answered':
      return strings.questionAnswered;
    case 'broadcast_opened':
      return strings.broadcastOpened;
    case 'broadcast_closed':
      return strings.broadcastClosed;
    default:
      return event.text;
  }
}
