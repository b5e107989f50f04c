/**
 * `<chatsync-search>`: find in the chat, and go there.
 *
 * Owns: the form, the list of hits, where a hit leads. Does not know: any player, how words are found.
 * Text reaches the page by lit's text bindings only.
 */

import { html, LitElement, nothing, type PropertyValues, type TemplateResult } from 'lit';
import { FindingReader, marked, type SearchHit } from './finding.js';
import { findingStringsFor, type FindingStrings } from './finding-strings.js';
import { searchStyles } from './finding-styles.js';
import type { HeatmapSeek } from './heatmap-element.js';
import type { PlayheadAdapter } from './playhead.js';
import { clockText, timeOfDayText } from './strings.js';

const TYPING_MS = 300;
const ENOUGH = 20; // hits of one look
const PAGES_MAX = 5; // of one look: a long chat is looked through piece by piece
const WORDS_MAX = 100; // characters

/**
 * @attr room - id of the room
 * @attr server - origin (and path prefix) of the relay; default: where the page comes from
 * @attr recording - id of a recording; without it a broadcast
 * @attr broadcast - its number; default the latest
 * @attr lead-ms - how long before a hit the viewer lands; default 5000
 * @attr lang - language of the strings
 * @fires chatsync-seek-request - the viewer wants to go to a hit; detail {programMs, positionMs, broadcast}; cancelable, else `media` or the adapter seeks
 * @fires chatsync-error - it could not be read; detail is the error
 * @csspart form, input, button, status, hits, hit
 * @cssproperty --chatsync-found, --chatsync-surface, --chatsync-raised, --chatsync-text, --chatsync-quiet, --chatsync-line, --chatsync-accent, --chatsync-font
 */
export class ChatsyncSearch extends LitElement {
  static override styles = searchStyles;

  static override properties = {
    room: { reflect: true },
    server: {},
    recording: { reflect: true },
    broadcast: { type: Number },
    leadMs: { type: Number, attribute: 'lead-ms' },
    adapter: { attribute: false },
    media: { attribute: false },
    token: { attribute: false },
  };

  declare room: string | null;
  declare server: string | null;
  declare recording: string | null;
  declare broadcast: number | null;
  declare leadMs: number;
  declare adapter: PlayheadAdapter | null;
  declare media: HTMLMediaElement | null;
  /** Never an attribute and never in a URL. */
  declare token: string | null;

  #words = '';
  #searched = '';
  #hits: readonly SearchHit[] = [];
  #cursor: string | null = null;
  #state: 'idle' | 'searching' | 'done' | 'failed' = 'idle';
  #request: AbortController | null = null;
  #typingTimer: ReturnType<typeof setTimeout> | null = null;

  constructor() {
    super();
    this.room = null;
    this.server = null;
    this.recording = null;
    this.broadcast = null;
    this.leadMs = 5_000;
    this.adapter = null;
    this.media = null;
    this.token = null;
  }

  /** What was found so far. */
  get hits(): readonly SearchHit[] {
    return this.#hits;
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    if (this.#typingTimer !== null) clearTimeout(this.#typingTimer);
    this.#request?.abort();
  }

  protected override willUpdate(changed: PropertyValues): void {
    if (!['room', 'server', 'recording', 'broadcast', 'token'].some((name) => changed.has(name))) return;
    this.#request?.abort();
    this.#hits = [];
    this.#cursor = null;
    this.#state = 'idle';
  }

  protected override render(): TemplateResult {
    const strings = findingStringsFor(this.lang || document.documentElement.lang);
    return html`
      <form part="form" role="search" aria-label=${strings.searchHint} @submit=${this.#onSubmit}>
        <input
          part="input"
          type="search"
          dir="auto"
          autocomplete="off"
          maxlength=${WORDS_MAX}
          placeholder=${strings.searchHint}
          aria-label=${strings.searchHint}
          @input=${this.#onInput}
        />
        <button part="button">${strings.find}</button>
      </form>
      <p class="status" part="status" role="status">${this.#statusText(strings)}</p>
      <ol part="hits" tabindex="-1" aria-label=${strings.search}>
        ${this.#hits.map((hit) => this.#hit(hit))}
        ${this.#cursor === null || this.#state === 'searching'
          ? nothing
          : html`<li><button type="button" class="more" part="button" @click=${() => void this.#look(true)}>${strings.more}</button></li>`}
      </ol>
    `;
  }

  #statusText(strings: FindingStrings): string {
    if (this.#state === 'searching') return strings.searching;
    if (this.#state === 'failed') return strings.failed;
    if (this.#state === 'idle') return '';
    return this.#hits.length === 0 ? strings.noHits : strings.hits(this.#hits.length, this.#cursor === null);
  }

  #hit(hit: SearchHit): TemplateResult {
    const time = hit.positionMs === null ? timeOfDayText(hit.programMs, this.lang || document.documentElement.lang) : clockText(hit.positionMs);
    return html`<li>
      <button type="button" class="hit" part="hit" data-offset=${hit.offset} @click=${() => this.#seek(hit)}>
        <time>${time}</time> <bdi class="name">${hit.name}</bdi>
        <bdi class="text" dir="auto">${marked(hit.text, this.#searched).map((one) => (one.isFound ? html`<mark>${one.text}</mark>` : one.text))}</bdi>
      </button>
    </li>`;
  }

  readonly #onInput = (event: Event): void => {
    this.#words = (event.target as HTMLInputElement).value;
    if (this.#typingTimer !== null) clearTimeout(this.#typingTimer);
    this.#typingTimer = setTimeout(() => void this.#look(false), TYPING_MS);
  };

  readonly #onSubmit = (event: Event): void => {
    event.preventDefault();
    if (this.#typingTimer !== null) clearTimeout(this.#typingTimer);
    void this.#look(false);
  };

  async #look(isMore: boolean): Promise<void> {
    this.#request?.abort();
    const request = (this.#request = new AbortController());
    const words = isMore ? this.#searched : this.#words.trim();
    if (!isMore) {
      this.#searched = words;
      this.#hits = [];
      this.#cursor = null;
    }
    if (words === '' || this.room === null || this.room === '') {
      this.#state = 'idle';
      this.requestUpdate();
      return;
    }
    this.#state = 'searching';
    this.requestUpdate();
    try {
      const reader = new FindingReader({
        server: new URL(this.server || '/', document.baseURI).href,
        room: this.room,
        recording: this.recording || null,
        broadcast: this.broadcast,
        token: this.token,
      });
      const before = this.#hits.length;
      for (let pages = 0; pages < PAGES_MAX && this.#hits.length - before < ENOUGH; pages += 1) {
        const page = await reader.search(words, this.#cursor, request.signal);
        if (request.signal.aborted) return;
        const known = new Set(this.#hits.map((hit) => hit.offset));
        this.#hits = [...this.#hits, ...page.hits.filter((hit) => !known.has(hit.offset))];
        this.#cursor = page.cursor;
        if (page.cursor === null) break;
      }
      this.#state = 'done';
    } catch (error) {
      if (request.signal.aborted) return;
      this.#state = 'failed';
      this.dispatchEvent(new CustomEvent('chatsync-error', { detail: error, bubbles: true, composed: true }));
    }
    this.requestUpdate();
  }

  #seek(hit: SearchHit): void {
    const isPosition = hit.positionMs !== null;
    const atMs = (hit.positionMs ?? hit.programMs) - this.leadMs;
    const detail: HeatmapSeek = { programMs: isPosition ? null : atMs, positionMs: isPosition ? Math.max(0, atMs) : null, broadcast: hit.broadcast };
    const event = new CustomEvent<HeatmapSeek>('chatsync-seek-request', { detail, bubbles: true, composed: true, cancelable: true });
    if (!this.dispatchEvent(event)) return;
    if (detail.programMs !== null) this.adapter?.seekTo(detail.programMs);
    else if (this.media !== null) this.media.currentTime = (detail.positionMs ?? 0) / 1_000;
  }
}
