/**
 * `<chatsync-heatmap>`: how much was said, over a player's bar.
 *
 * Owns: the curve, gaps and moments on it, the list of peaks, where a click leads. Does not know: any player, how it is counted.
 * Units: ms on the axis of what it shows: program time of a broadcast, position in a recording.
 */

import { html, LitElement, nothing, svg, type PropertyValues, type TemplateResult } from 'lit';
import { FindingReader, type Activity, type FoundMoment } from './finding.js';
import { findingStringsFor, type FindingStrings } from './finding-strings.js';
import { heatmapStyles } from './finding-styles.js';
import type { PlayheadAdapter } from './playhead.js';
import { clockText, timeOfDayText } from './strings.js';

const AGAIN_MS = 30_000; // a broadcast goes on
const PROGRESS_MS = 250;
const WIDE = 1_000; // of the curve's own units
const HIGH = 100;
const MOMENTS_SHOWN = 120;
const BAR_POINTS_MAX = 300; // more points than a bar has room for make a fence of it

/** Where the viewer wants to go; one of the first two is null. */
export interface HeatmapSeek {
  readonly programMs: number | null;
  readonly positionMs: number | null;
  readonly broadcast: number | null;
}

/** The curve's outline as points of a path, smoothed a little; `null` counts as nothing. */
export function outlineOf(counts: readonly (number | null)[]): readonly number[] {
  const each = Math.max(1, Math.ceil(counts.length / BAR_POINTS_MAX));
  const grouped: number[] = [];
  for (let at = 0; at < counts.length; at += each) {
    grouped.push(counts.slice(at, at + each).reduce<number>((sum, count) => sum + (count ?? 0), 0));
  }
  const smooth = grouped.map((value, at) => (value * 2 + (grouped[at - 1] ?? value) + (grouped[at + 1] ?? value)) / 4);
  const most = Math.max(0, ...smooth);
  // The root lets what is usual be seen beside one great peak.
  return smooth.map((value) => (most === 0 ? 0 : Math.sqrt(value / most)));
}

function pathOf(outline: readonly number[]): string {
  if (outline.length === 0) return '';
  const step = WIDE / outline.length;
  const points = outline.map((value, at): [number, number] => [(at + 0.5) * step, HIGH - value * HIGH]);
  const [first, last] = [points[0]!, points.at(-1)!];
  let path = `M0 ${HIGH}L0 ${first[1]}L${first[0]} ${first[1]}`;
  for (let at = 1; at < points.length; at += 1) {
    const [before, here] = [points[at - 1]!, points[at]!];
    const middle = (before[0] + here[0]) / 2;
    path += `C${middle.toFixed(1)} ${before[1].toFixed(1)} ${middle.toFixed(1)} ${here[1].toFixed(1)} ${here[0].toFixed(1)} ${here[1].toFixed(1)}`;
  }
  return `${path}L${WIDE} ${last[1]}L${WIDE} ${HIGH}Z`;
}

/**
 * @attr room - id of the room
 * @attr server - origin (and path prefix) of the relay; default: where the page comes from
 * @attr recording - id of a recording; without it a broadcast
 * @attr broadcast - its number; default the latest
 * @attr bucket-ms - how long a bucket is; default 10000
 * @attr peaks - show the list of peaks; without it the list shows when the keyboard gets there
 * @attr lang - language of the strings
 * @fires chatsync-activity - there are counts, or newer ones; detail is the activity
 * @fires chatsync-seek-request - the viewer wants to go to a moment; detail {programMs, positionMs, broadcast}; cancelable, else `media` or the adapter seeks
 * @fires chatsync-error - it could not be read; detail is the error
 * @csspart chart, curve, gap, moment, head, tip, peaks, peak
 * @cssproperty --chatsync-heatmap, --chatsync-heatmap-played, --chatsync-heatmap-height, --chatsync-surface, --chatsync-raised, --chatsync-text,
 *   --chatsync-quiet, --chatsync-line, --chatsync-accent, --chatsync-question, --chatsync-poll, --chatsync-font
 */
export class ChatsyncHeatmap extends LitElement {
  static override styles = heatmapStyles;

  static override properties = {
    room: { reflect: true },
    server: {},
    recording: { reflect: true },
    broadcast: { type: Number },
    bucketMs: { type: Number, attribute: 'bucket-ms' },
    peaks: { type: Boolean },
    adapter: { attribute: false },
    media: { attribute: false },
    token: { attribute: false },
  };

  declare room: string | null;
  declare server: string | null;
  declare recording: string | null;
  declare broadcast: number | null;
  declare bucketMs: number;
  declare peaks: boolean;
  /** Where the picture is, and what seeks by program time. */
  declare adapter: PlayheadAdapter | null;
  /** The element that plays a recording: it is asked for its position and told to seek. */
  declare media: HTMLMediaElement | null;
  /** Never an attribute and never in a URL. */
  declare token: string | null;

  #activity: Activity | null = null;
  #path = '';
  #request: AbortController | null = null;
  #againTimer: ReturnType<typeof setInterval> | null = null;
  #progressTimer: ReturnType<typeof setInterval> | null = null;
  #tip: { readonly part: number; readonly text: string } | null = null;

  constructor() {
    super();
    this.room = null;
    this.server = null;
    this.recording = null;
    this.broadcast = null;
    this.bucketMs = 10_000;
    this.peaks = false;
    this.adapter = null;
    this.media = null;
    this.token = null;
  }

  /** What was counted; null before it has come. */
  get activity(): Activity | null {
    return this.#activity;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#progressTimer = setInterval(() => this.#showProgress(), PROGRESS_MS);
    this.#againTimer = setInterval(() => {
      if (this.recording === null && document.visibilityState === 'visible') void this.#load();
    }, AGAIN_MS);
    if (this.hasUpdated) void this.#load();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    if (this.#progressTimer !== null) clearInterval(this.#progressTimer);
    if (this.#againTimer !== null) clearInterval(this.#againTimer);
    this.#request?.abort();
  }

  protected override willUpdate(changed: PropertyValues): void {
    const opensAnew = ['room', 'server', 'recording', 'broadcast', 'bucketMs', 'token'].some((name) => changed.has(name));
    if (!opensAnew || !this.isConnected) return;
    this.#activity = null;
    this.#path = '';
    void this.#load();
  }

  protected override render(): TemplateResult {
    const strings = this.#strings;
    const activity = this.#activity;
    const moments = activity === null ? [] : activity.moments.slice(0, MOMENTS_SHOWN);
    return html`
      <div
        class="chart"
        part="chart"
        aria-hidden="true"
        @click=${this.#onClick}
        @pointermove=${this.#onPointer}
        @pointerleave=${this.#onLeave}
      >
        <div class="ground"></div>
        ${this.#curve()}
        <div class="played">${this.#curve()}</div>
        ${activity?.gaps.map((gap) => html`<div class="gap" part="gap" data-start=${gap.startMs} data-end=${gap.endMs}></div>`) ?? nothing}
        ${moments.map((moment) => html`<div class="moment" part="moment" data-what=${moment.what} data-start=${moment.atMs}></div>`)}
        <div class="head" part="head"></div>
        ${this.#tip === null ? nothing : html`<div class="tip" part="tip">${this.#tip.text}</div>`}
      </div>
      <div class="peaks" part="peaks" ?data-shown=${this.peaks}>
        <h3>${strings.peaks}</h3>
        ${activity === null || activity.peaks.length === 0
          ? html`<p>${activity === null ? '' : strings.noPeaks}</p>`
          : html`<ol>
              ${activity.peaks.map(
                (peak) =>
                  html`<li>
                    <button type="button" part="peak" @click=${() => this.#seek(peak.startMs)}>
                      ${strings.peak(this.#timeText(peak.startMs), peak.count)}
                    </button>
                  </li>`,
              )}
            </ol>`}
      </div>
    `;
  }

  protected override updated(): void {
    // Places are set through the CSSOM: a style attribute would need 'unsafe-inline'.
    for (const one of this.renderRoot.querySelectorAll<HTMLElement>('.chart [data-start]')) {
      const start = this.#partOf(Number(one.dataset['start']));
      one.style.left = `${start * 100}%`;
      if (one.dataset['end'] !== undefined) one.style.width = `${Math.max(0, this.#partOf(Number(one.dataset['end'])) - start) * 100}%`;
    }
    const tip = this.renderRoot.querySelector<HTMLElement>('.tip');
    if (tip !== null && this.#tip !== null) {
      tip.style.left = `${this.#tip.part * 100}%`;
      tip.style.transform = `translateX(${-this.#tip.part * 100}%)`;
    }
    this.#showProgress();
  }

  get #strings(): FindingStrings {
    return findingStringsFor(this.lang || document.documentElement.lang);
  }

  #curve(): TemplateResult {
    return html`<svg part="curve" viewBox="0 0 ${WIDE} ${HIGH}" preserveAspectRatio="none">${svg`<path class="area" d=${this.#path} />`}</svg>`;
  }

  async #load(): Promise<void> {
    this.#request?.abort();
    const request = (this.#request = new AbortController());
    if (this.room === null || this.room === '') return;
    try {
      const reader = new FindingReader({
        server: new URL(this.server || '/', document.baseURI).href,
        room: this.room,
        recording: this.recording || null,
        broadcast: this.broadcast,
        token: this.token,
      });
      const activity = await reader.activity(this.bucketMs, request.signal);
      if (request.signal.aborted) return;
      this.#activity = activity;
      this.#path = pathOf(outlineOf(activity.counts));
      this.dispatchEvent(new CustomEvent('chatsync-activity', { detail: activity, bubbles: true, composed: true }));
    } catch (error) {
      if (request.signal.aborted) return;
      this.dispatchEvent(new CustomEvent('chatsync-error', { detail: error, bubbles: true, composed: true }));
    }
    this.requestUpdate();
  }

  /** The end of the axis: a recording's own length when the player knows it better than we do. */
  get #endMs(): number {
    const activity = this.#activity;
    if (activity === null) return 0;
    const { duration } = this.media ?? { duration: Number.NaN };
    return activity.axis === 'position' && Number.isFinite(duration) && duration > 0 ? duration * 1_000 : activity.endMs;
  }

  #partOf(atMs: number): number {
    const activity = this.#activity;
    if (activity === null) return 0;
    const lengthMs = this.#endMs - activity.startMs;
    return lengthMs <= 0 ? 0 : Math.min(1, Math.max(0, (atMs - activity.startMs) / lengthMs));
  }

  #nowMs(): number | null {
    if (this.#activity?.axis === 'position' && this.media !== null) return this.media.currentTime * 1_000;
    const address = this.adapter?.address();
    if (address == null) return null;
    return (this.#activity?.axis === 'position' ? address.positionMs : address.programTimeMs) ?? null;
  }

  #showProgress(): void {
    const played = this.renderRoot.querySelector<HTMLElement>('.played');
    const head = this.renderRoot.querySelector<HTMLElement>('.head');
    if (played === null || head === null) return;
    const nowMs = this.#activity === null ? null : this.#nowMs();
    head.hidden = nowMs === null;
    const part = nowMs === null ? 0 : this.#partOf(nowMs);
    head.style.left = `${part * 100}%`;
    played.style.clipPath = `inset(0 ${(1 - part) * 100}% 0 0)`;
  }

  #timeText(atMs: number): string {
    return this.#activity?.axis === 'position' ? clockText(atMs) : timeOfDayText(atMs, this.lang || document.documentElement.lang);
  }

  #at(event: PointerEvent | MouseEvent): { readonly part: number; readonly atMs: number; readonly moment: FoundMoment | null } | null {
    const activity = this.#activity;
    const chart = this.renderRoot.querySelector('.chart');
    if (activity === null || chart === null) return null;
    const { left, width } = chart.getBoundingClientRect();
    if (width === 0) return null;
    const part = Math.min(1, Math.max(0, (event.clientX - left) / width));
    const target = event.composedPath()[0];
    const startMs = target instanceof HTMLElement && target.classList.contains('moment') ? Number(target.dataset['start']) : null;
    const moment = startMs === null ? null : (activity.moments.find((one) => one.atMs === startMs) ?? null);
    return { part, atMs: moment?.atMs ?? activity.startMs + part * (this.#endMs - activity.startMs), moment };
  }

  readonly #onClick = (event: MouseEvent): void => {
    const place = this.#at(event);
    if (place !== null) this.#seek(Math.floor(place.atMs));
  };

  readonly #onPointer = (event: PointerEvent): void => {
    const place = this.#at(event);
    const activity = this.#activity;
    if (place === null || activity === null) return;
    const strings = this.#strings;
    const time = this.#timeText(place.atMs);
    const count = activity.counts[Math.floor((place.atMs - activity.startMs) / activity.bucketMs)];
    const words = count === null || count === undefined ? strings.notRecorded : strings.messages(count);
    this.#tip = { part: place.part, text: place.moment === null ? `${time} · ${words}` : strings[place.moment.what](time, place.moment.text) };
    this.requestUpdate();
  };

  readonly #onLeave = (): void => {
    this.#tip = null;
    this.requestUpdate();
  };

  #seek(atMs: number): void {
    const isPosition = this.#activity?.axis === 'position';
    const detail: HeatmapSeek = {
      programMs: isPosition ? null : atMs,
      positionMs: isPosition ? atMs : null,
      broadcast: this.#activity?.broadcast ?? null,
    };
    const event = new CustomEvent<HeatmapSeek>('chatsync-seek-request', { detail, bubbles: true, composed: true, cancelable: true });
    if (!this.dispatchEvent(event)) return;
    if (!isPosition) this.adapter?.seekTo(atMs);
    else if (this.media !== null) this.media.currentTime = atMs / 1_000;
  }
}
