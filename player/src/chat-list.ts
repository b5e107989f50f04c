/**
 * The scrolled list: which rows are in the page, following and reading, and going through them by keyboard.
 *
 * Owns: the scroll position. While following the newest row stands at the bottom; whoever scrolls up reads, and then nothing
 * moves what they look at. Does not know: what a row looks like, chat.
 *
 * Rows are laid out by the browser, a bounded number of them: every height is known, so the pane moves only when rows above
 * it come or go, and then by just their height. A list that estimates heights corrects the position of a scroll under way.
 */

import { html, type TemplateResult } from 'lit';
import { repeat } from 'lit/directives/repeat.js';

const ROWS_FOLLOWING = 150;
const ROWS_MORE = 150; // at a time, for whoever reads upwards
const AT_BOTTOM_PX = 4;
const NEAR_TOP_PX = 400;

type RowKey = number | string;

/** What the list asks of the element around it. */
export interface ListHost {
  readonly root: () => DocumentFragment | HTMLElement;
  readonly update: () => void;
  /** All there is has been shown, and somebody reads on upwards. */
  readonly loadEarlier: () => void;
}

export class ChatList<Row> {
  readonly #host: ListHost;
  readonly #keyOf: (row: Row) => RowKey;
  #rows: readonly Row[] = [];
  #shown: readonly Row[] = [];
  #firstKey: RowKey | null = null; // of the first row in the page, for whoever reads
  #wantsMore = false;
  #isReading = false;
  #active: RowKey | null = null;
  #hasRowFocus = false;
  #lastTopPx = 0;
  #isOnScrollbar = false;
  #anchor: { readonly row: HTMLElement; readonly topPx: number } | null = null;
  #sizes: ResizeObserver | null = null;

  constructor(host: ListHost, keyOf: (row: Row) => RowKey) {
    this.#host = host;
    this.#keyOf = keyOf;
  }

  /** Somebody has scrolled up. */
  get isReading(): boolean {
    return this.#isReading;
  }

  /** The row whose buttons Tab goes to. */
  get active(): RowKey | null {
    return this.#active;
  }

  set rows(rows: readonly Row[]) {
    this.#rows = rows;
  }

  get rows(): readonly Row[] {
    return this.#rows;
  }

  /** Follow from now on, without a look at where the pane stands: it is about to be filled anew. */
  restart(): void {
    this.#isReading = false;
  }

  /** Follow again: the newest row at the bottom, and stay there. */
  resume(): void {
    this.#isReading = false;
    if (this.#hasRowFocus) this.#log()?.focus({ preventScroll: true });
    this.#host.update();
  }

  disconnect(): void {
    this.#sizes?.disconnect();
    this.#sizes = null;
  }

  render(label: string, isCovered: boolean, row: (row: Row) => unknown): TemplateResult {
    this.#choose();
    return html`<div
      class="log"
      part="log"
      role="log"
      aria-live="off"
      aria-label=${label}
      tabindex="0"
      ?inert=${isCovered}
      @scroll=${this.#onScroll}
      @wheel=${this.#onWheel}
      @touchmove=${this.#onTouch}
      @pointerdown=${this.#onPointerDown}
      @pointerup=${this.#onPointerUp}
      @focusin=${this.#onFocus}
      @focusout=${this.#onBlur}
    >
      <div class="rows">${repeat(this.#shown, this.#keyOf, row)}</div>
    </div>`;
  }

  /** After a render: the newest row at the bottom, or what is read where it was. */
  updated(): void {
    const log = this.#log();
    if (log === null) return;
    if (this.#sizes === null) {
      this.#sizes = new ResizeObserver(() => this.#toEnd());
      this.#sizes.observe(log);
    }
    if (this.#isReading) this.#holdAnchor(log);
    else this.#toEnd();
    if (this.#hasRowFocus && !log.contains((log.getRootNode() as ShadowRoot).activeElement)) {
      this.#hasRowFocus = false; // its row has gone: hidden, or trimmed
      log.focus({ preventScroll: true });
    }
  }

  /** Which rows are in the page: the newest, or from the one on that stood first when somebody began to read. */
  #choose(): void {
    const rows = this.#rows;
    let first = Math.max(0, rows.length - ROWS_FOLLOWING);
    if (this.#isReading) {
      this.#keepAnchor();
      const held = this.#firstKey === null ? -1 : rows.findIndex((row) => this.#keyOf(row) === this.#firstKey);
      if (held >= 0) first = this.#wantsMore ? Math.max(0, held - ROWS_MORE) : held;
      else first = 0; // trimmed, or more of the history has come above it
    }
    this.#wantsMore = false;
    this.#shown = first === 0 ? rows : rows.slice(first);
    const top = this.#shown[0];
    this.#firstKey = top === undefined ? null : this.#keyOf(top);
  }

  #keepAnchor(): void {
    const log = this.#log();
    this.#anchor = null;
    if (log === null) return;
    const topPx = log.getBoundingClientRect().top;
    for (const row of log.querySelector('.rows')!.children) {
      const place = row.getBoundingClientRect();
      if (place.bottom <= topPx) continue;
      this.#anchor = { row: row as HTMLElement, topPx: place.top };
      return;
    }
  }

  #holdAnchor(log: HTMLElement): void {
    const anchor = this.#anchor;
    this.#anchor = null;
    if (anchor === null || !anchor.row.isConnected) return;
    const byPx = anchor.row.getBoundingClientRect().top - anchor.topPx;
    // By so much, not to a place: a scroll that is under way goes on from where it is.
    if (Math.abs(byPx) >= 1) log.scrollBy({ top: byPx, behavior: 'instant' });
    this.#lastTopPx = log.scrollTop;
  }

  #toEnd(): void {
    const log = this.#log();
    if (log === null || this.#isReading) return;
    log.scrollTop = log.scrollHeight;
    this.#lastTopPx = log.scrollTop;
  }

  // ── Reading and following ───────────────────────────────────────────────────────────────────────────────────────

  /** A key that no control has taken. */
  key(event: KeyboardEvent): void {
    const from = event.composedPath()[0] as HTMLElement;
    const log = this.#log();
    if (log === null || log.inert) return;
    if (from.matches('textarea, input, select')) {
      if (event.key === 'Escape' && this.#isReading) this.resume();
      return;
    }
    switch (event.key) {
      case 'Escape':
      case 'End':
        if (this.#isReading) this.resume();
        break;
      case 'PageUp':
      case 'Home':
        this.#read(log);
        break;
      case 'ArrowUp':
      case 'ArrowDown':
        if (log.contains(from) && this.#step(log, from, event.key === 'ArrowUp')) event.preventDefault();
        break;
    }
  }

  /** To the row above or below; the first step from the list itself goes to the last one in view. */
  #step(log: HTMLElement, from: HTMLElement, isUp: boolean): boolean {
    const row = from.closest<HTMLElement>('.row');
    if (row === null && !isUp) return false;
    if (row !== null && !isUp && row.nextElementSibling === null) {
      this.resume();
      return true;
    }
    const rows = log.querySelector('.rows')!.children;
    const bottomPx = log.getBoundingClientRect().bottom - AT_BOTTOM_PX;
    const next = row === null ? [...rows].filter((one) => one.getBoundingClientRect().top < bottomPx).at(-1) : isUp ? row.previousElementSibling : row.nextElementSibling;
    this.#read(log);
    (next as HTMLElement | null | undefined)?.focus();
    return next != null;
  }

  #read(log: HTMLElement): void {
    if (this.#isReading || log.scrollHeight <= log.clientHeight) return;
    this.#isReading = true;
    this.#lastTopPx = log.scrollTop; // the event of our own last step down is still to come, and is not theirs
    this.#host.update();
  }

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
    else if (isUp && topPx < NEAR_TOP_PX) this.#readOn();
  };

  #readOn(): void {
    if (this.#shown.length < this.#rows.length) {
      this.#wantsMore = true;
      this.#host.update();
    } else this.#host.loadEarlier();
  }

  readonly #onFocus = (event: FocusEvent): void => {
    const row = (event.target as HTMLElement).closest<HTMLElement>('.row');
    this.#hasRowFocus = row !== null;
    if (row === null) return;
    // What somebody stands on must not be scrolled away under them.
    this.#read(event.currentTarget as HTMLElement);
    const at = this.#shown[[...row.parentElement!.children].indexOf(row)];
    const active = at === undefined ? null : this.#keyOf(at);
    if (active === this.#active) return;
    this.#active = active;
    this.#host.update();
  };

  readonly #onBlur = (event: FocusEvent): void => {
    const from = event.target as HTMLElement;
    queueMicrotask(() => {
      if (from.isConnected && !from.matches(':focus')) this.#hasRowFocus = false; // it went elsewhere by itself
    });
  };

  #log(): HTMLElement | null {
    return this.#host.root().querySelector<HTMLElement>('.log');
  }
}
