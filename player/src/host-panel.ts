/**
 * `<chatsync-host-panel>`: what a host wants to see while teaching.
 *
 * Owns: questions, hands, polls as they come (from the live connection), the pulse of the class (asked for every few seconds), the token. Does not know:
 * the socket, who may do what: the relay says so. All is as of the live edge: it is for whoever makes the picture.
 * Text reaches the page by lit's text bindings only. The token is in memory and in this tab's session storage, in no address.
 */

import { html, LitElement, nothing, svg, type TemplateResult } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import { ChatTimeline } from './chat-timeline.js';
import { RefusedError, type DeedFields } from './deeds.js';
import { hostStyles } from './host-styles.js';
import type { Hand, OpenQuestion, Poll } from './room-state.js';
import { clockText } from './strings.js';

const ASK_EVERY_MS = 3_000;
const DONE_MAX = 20; // questions answered here, for who wants to look back
const SHOWN_MAX = 50;

interface Minute {
  readonly start_ms: number;
  readonly messages: number;
  readonly lost: number;
}

/** The answer of `GET /v1/rooms/{room}/panel`. */
interface Pulse {
  readonly title: string | null;
  readonly clock_ms: number | null;
  readonly viewers: number;
  readonly pace: { readonly per_minute: number; readonly usual_per_minute: number | null };
  readonly minutes: readonly Minute[];
  readonly behind: { readonly known: number; readonly at_live: number; readonly rewound: number; readonly p50_ms: number | null; readonly p90_ms: number | null };
}

export class ChatsyncHostPanel extends LitElement {
  static override styles = hostStyles;

  #room = '';
  #token: string | null = null;
  #timeline: ChatTimeline | null = null;
  #unsubscribe: (() => void) | null = null;
  #timer: ReturnType<typeof setInterval> | null = null;
  #pulse: Pulse | null = null;
  #trouble = ''; // of the last deed, or why the token was refused
  #late = ''; // of the figures
  #answered: OpenQuestion[] = [];
  #busy = new Set<string>();

  override connectedCallback(): void {
    super.connectedCallback();
    this.#room = /^\/host\/([a-z0-9][a-z0-9_-]{0,63})$/.exec(location.pathname)?.[1] ?? '';
    window.addEventListener('message', this.#onMessage);
    const kept = sessionStorage.getItem(this.#key);
    if (kept !== null) this.#enter(kept);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    window.removeEventListener('message', this.#onMessage);
    this.#leave();
  }

  get #key(): string {
    return `chatsync-host ${this.#room}`;
  }

  /** A platform that frames this page hands the token over; only pages that the relay lists may frame it (`framed_by`). */
  readonly #onMessage = (event: MessageEvent<unknown>): void => {
    if (window.parent === window || event.source !== window.parent) return;
    const data = event.data as { type?: unknown; token?: unknown } | null;
    if (data?.type === 'chatsync-token' && typeof data.token === 'string') this.#enter(data.token);
  };

  #enter(token: string): void {
    this.#leave();
    this.#token = token;
    this.#trouble = '';
    sessionStorage.setItem(this.#key, token);
    this.#timeline = new ChatTimeline({ server: location.origin, room: this.#room, token: async () => token });
    this.#timeline.sync = 'now';
    this.#unsubscribe = this.#timeline.subscribe(() => this.requestUpdate());
    this.#timeline.start();
    this.#timer = setInterval(() => void this.#ask(), ASK_EVERY_MS);
    void this.#ask();
    this.requestUpdate();
  }

  #leave(): void {
    this.#unsubscribe?.();
    this.#timeline?.stop();
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timeline = this.#unsubscribe = this.#timer = null;
    this.#pulse = null;
    this.#answered = [];
  }

  #forget(trouble: string): void {
    this.#leave();
    this.#token = null;
    this.#trouble = trouble;
    sessionStorage.removeItem(this.#key);
    this.requestUpdate();
  }

  async #ask(): Promise<void> {
    const token = this.#token;
    try {
      const answer = await fetch(`/v1/rooms/${this.#room}/panel`, { headers: { Authorization: `Bearer ${token}` }, cache: 'no-store' });
      if (token !== this.#token) return;
      if (answer.status === 401) return this.#forget('The token has ended: enter a new one.');
      if ([403, 404].includes(answer.status)) return this.#forget('This token does not open the panel of this room: it must be a host’s or a moderator’s.');
      if (answer.ok) this.#pulse = (await answer.json()) as Pulse;
      this.#late = answer.ok ? '' : 'The figures are late.';
    } catch {
      this.#late = 'No connection: trying again.';
    }
    this.requestUpdate();
  }

  async #do(name: string, action: string, fields: DeedFields): Promise<boolean> {
    if (this.#busy.has(name)) return false;
    this.#busy.add(name);
    this.#trouble = '';
    this.requestUpdate();
    try {
      await this.#timeline?.act(action, fields);
      return true;
    } catch (error) {
      this.#trouble = error instanceof RefusedError ? `Not done: ${error.code}.` : 'Not done.';
      return false;
    } finally {
      this.#busy.delete(name);
      this.requestUpdate();
    }
  }

  // ── Focus ─────────────────────────────────────────────────────────────────────────────────────────────────────────
  // A button that is busy stays one that has the focus (`aria-disabled`). What it was for goes when the room says so, and the
  // focus goes to what is next there: a keyboard never begins anew at the top of the page.

  /** Of the element that has it, before the page is drawn anew. */
  #focused: { readonly element: Element; readonly section: string | null; readonly index: number } | null = null;

  protected override willUpdate(): void {
    const element = this.shadowRoot?.activeElement ?? null;
    const section = element?.closest('section') ?? null;
    const index = section === null ? 0 : buttonsOf(section).indexOf(element as HTMLButtonElement);
    this.#focused = element === null ? null : { element, section: section?.getAttribute('aria-labelledby') ?? null, index };
  }

  protected override updated(): void {
    const before = this.#focused;
    if (before === null || before.element.isConnected) return;
    const section = before.section === null ? null : this.renderRoot.querySelector(`section[aria-labelledby=${before.section}]`);
    const next = section === null ? this.renderRoot.querySelector<HTMLElement>('h1, input') : (buttonsOf(section)[before.index] ?? buttonsOf(section).at(-1) ?? section.querySelector('h2'));
    next?.focus();
  }

  // ── What is drawn ─────────────────────────────────────────────────────────────────────────────────────────────────

  protected override render(): TemplateResult {
    return this.#token === null ? this.#door() : this.#panel();
  }

  #door(): TemplateResult {
    const enter = (event: SubmitEvent): void => {
      event.preventDefault();
      const token = String(new FormData(event.currentTarget as HTMLFormElement).get('token') ?? '').trim();
      if (token !== '') this.#enter(token);
    };
    return html`<form @submit=${enter}>
      <label for="token">Host’s token for ${this.#room || 'this room'}</label>
      <input id="token" name="token" type="password" autocomplete="off" spellcheck="false" required />
      <button class="main">Open the panel</button>
      <p class=${this.#trouble === '' ? 'quiet' : 'trouble'} role="status">${this.#trouble || 'Your platform makes it, or “chatsync token”. It stays in this tab.'}</p>
    </form>`;
  }

  #panel(): TemplateResult {
    const { edge, audience, status } = this.#timeline?.snapshot ?? { edge: null, audience: null, status: 'connecting' };
    const pulse = this.#pulse;
    const trouble = status === 'waiting' || status === 'closed' ? 'Connection lost. Trying again…' : this.#trouble || this.#late;
    return html`
      <header>
        <h1 tabindex="-1">${pulse?.title || this.#room}</h1>
        <p>${count(audience?.viewers ?? pulse?.viewers ?? 0, 'viewer')}</p>
        <p class="trouble" role="status">${trouble}</p>
        <button @click=${() => this.#forget('')}>Leave</button>
      </header>
      <main>
        <div class="column">${this.#questions(edge?.questions ?? [])} ${this.#polls(edge?.polls ?? [])}</div>
        <div class="column">${this.#hands(edge?.hands ?? [])} ${this.#pace(pulse)} ${this.#lost(pulse)} ${this.#behind(pulse)}</div>
      </main>
    `;
  }

  #questions(questions: readonly OpenQuestion[]): TemplateResult {
    const nowMs = this.#pulse?.clock_ms ?? null;
    const open = [...questions].sort((a, b) => b.upvotes - a.upvotes || (a.programMs ?? 0) - (b.programMs ?? 0));
    const answer = async (question: OpenQuestion): Promise<void> => {
      if (await this.#do(`answer ${question.offset}`, 'answer', { target: question.offset, how: 'live' })) this.#answered = [question, ...this.#answered].slice(0, DONE_MAX);
      this.requestUpdate();
    };
    return html`<section aria-labelledby="questions">
      <h2 id="questions" tabindex="-1"><span>Questions</span><span>${open.length === 0 ? '' : `${open.length} open`}</span></h2>
      ${open.length === 0 ? html`<p class="quiet">No open question.</p>` : nothing}
      <ol>
        ${repeat(
          open.slice(0, SHOWN_MAX),
          (one) => one.offset,
          (one) => html`<li>
            <span class="votes" aria-label=${count(one.upvotes, 'upvote')}>▲ ${one.upvotes}</span>
            <div><bdi>${one.text}</bdi><small><bdi>${one.author?.name ?? ''}</bdi>${age(nowMs, one.programMs)}</small></div>
            <button aria-disabled=${this.#busy.has(`answer ${one.offset}`)} @click=${() => void answer(one)}>Answered</button>
          </li>`,
        )}
        ${repeat(
          this.#answered.filter((one) => !questions.some((other) => other.offset === one.offset)),
          (one) => one.offset,
          (one) => html`<li class="answered"><span class="votes" aria-hidden="true">✓</span><div><bdi>${one.text}</bdi><small>answered</small></div></li>`,
        )}
      </ol>
    </section>`;
  }

  #hands(hands: readonly Hand[]): TemplateResult {
    const nowMs = this.#pulse?.clock_ms ?? null;
    return html`<section aria-labelledby="hands">
      <h2 id="hands" tabindex="-1"><span>Hands</span><span>${hands.length === 0 ? '' : `${hands.length} up`}</span></h2>
      ${hands.length === 0 ? html`<p class="quiet">No hand is up.</p>` : nothing}
      <ol>
        ${repeat(
          hands.slice(0, SHOWN_MAX),
          (one) => one.author.key,
          (one) => html`<li>
            <div>✋ <bdi>${one.author.name}</bdi><small>${age(nowMs, one.sinceMs, '')}</small></div>
            <button aria-disabled=${this.#busy.has(`lower ${one.author.key}`)} @click=${() => void this.#do(`lower ${one.author.key}`, 'lower_hand', { author: one.author.key })}>Lower</button>
          </li>`,
        )}
      </ol>
    </section>`;
  }

  #polls(polls: readonly Poll[]): TemplateResult {
    return html`<section aria-labelledby="polls">
      <h2 id="polls" tabindex="-1">Polls</h2>
      ${polls.length === 0 ? html`<p class="quiet">No poll is open.</p>` : nothing}
      ${repeat(
        polls,
        (poll) => poll.poll,
        (poll) => {
          const all = poll.tally.reduce((sum, votes) => sum + votes, 0);
          return html`<div class="poll">
            <div class="head">
              <b><bdi>${poll.question}</bdi></b>
              ${poll.isOpen ? html`<button aria-disabled=${this.#busy.has(`close ${poll.poll}`)} @click=${() => void this.#do(`close ${poll.poll}`, 'poll_close', { poll: poll.poll })}>Close</button>` : html`<span class="quiet">${poll.isFinal ? 'final' : 'closed; late votes still count'}</span>`}
            </div>
            ${poll.choices.map((choice, index) => {
              const votes = poll.tally[index] ?? 0;
              const isRight = poll.answer?.includes(index) ?? false;
              return html`<div class="choice">
                <span><bdi>${choice}</bdi>${isRight ? ' ✓' : ''}</span><span>${votes}${all === 0 ? '' : ` · ${Math.round((100 * votes) / all)} %`}</span>
                <svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">${svg`<rect width=${all === 0 ? 0 : (100 * votes) / all} height="10"></rect>`}</svg>
              </div>`;
            })}
            <small>${poll.voters === null ? '' : count(poll.voters, 'person', 'people')}</small>
          </div>`;
        },
      )}
    </section>`;
  }

  #pace(pulse: Pulse | null): TemplateResult {
    const usual = pulse?.pace.usual_per_minute ?? null;
    return html`<section aria-labelledby="pace">
      <h2 id="pace">Pace of the chat</h2>
      <div class="figures">
        <div class="figure"><b>${pulse === null ? '–' : figure(pulse.pace.per_minute)}</b><small>messages a minute</small></div>
        <div class="figure"><b>${usual === null ? '–' : figure(usual)}</b><small>${usual === null ? 'no earlier class to compare with' : 'usual in this class'}</small></div>
      </div>
      ${pulse === null ? nothing : bars(pulse.minutes, (one) => one.messages, '', usual, 'messages')}
    </section>`;
  }

  #lost(pulse: Pulse | null): TemplateResult {
    const all = pulse?.minutes.reduce((sum, one) => sum + one.lost, 0) ?? 0;
    return html`<section aria-labelledby="lost">
      <h2 id="lost"><span>“You lost me”</span><span>${all === 0 ? '' : `❓ ${all}`}</span></h2>
      ${pulse === null || all === 0 ? html`<p class="quiet">Nobody has tapped ❓ in the last hour.</p>` : bars(pulse.minutes, (one) => one.lost, 'lost', null, 'taps')}
    </section>`;
  }

  #behind(pulse: Pulse | null): TemplateResult {
    const found = pulse?.behind;
    return html`<section aria-labelledby="behind">
      <h2 id="behind">Their picture</h2>
      ${found === undefined || found.known === 0
        ? html`<p class="quiet">No viewer’s player has said where it is.</p>`
        : html`<div class="figures">
            <div class="figure"><b>${seconds(found.p50_ms)}</b><small>behind you, half of them less</small></div>
            <div class="figure"><b>${seconds(found.p90_ms)}</b><small>nine of ten less</small></div>
            <div class="figure"><b>${found.rewound}</b><small>rewound or paused, of ${found.known}</small></div>
          </div>`}
    </section>`;
  }
}

const buttonsOf = (section: Element): HTMLButtonElement[] => [...section.querySelectorAll('button')];

/** Bars by minute of program time, and the same in words for who does not see them. */
function bars(minutes: readonly Minute[], of: (minute: Minute) => number, name: string, usual: number | null, what: string): TemplateResult {
  const highest = Math.max(1, ...minutes.map(of), usual ?? 0);
  const [first, last] = [minutes[0], minutes.at(-1)];
  const peak = minutes.reduce<Minute | undefined>((best, one) => (best === undefined || of(one) > of(best) ? one : best), undefined);
  const said = peak === undefined ? '' : `${of(peak)} ${what} at most in a minute, at ${timeText(peak.start_ms)}`;
  const slots = Math.max(20, minutes.length);
  const usualY = usual === null ? null : 100 - (100 * usual) / highest;
  return html`<svg viewBox="0 0 ${slots * 10} 100" preserveAspectRatio="none" role="img" aria-label=${said}>
      ${minutes.map((one, index) => svg`<rect class=${name} x=${(slots - minutes.length + index) * 10 + 1} width="8" y=${100 - (100 * of(one)) / highest} height=${(100 * of(one)) / highest}></rect>`)}
      ${usualY === null ? nothing : svg`<line x1="0" x2=${slots * 10} y1=${usualY} y2=${usualY} vector-effect="non-scaling-stroke"></line>`}
    </svg>
    <div class="axis"><span>${first === undefined || first === last ? '' : timeText(first.start_ms)}</span><span>${last === undefined ? '' : timeText(last.start_ms)}</span></div>
    <small>${said}</small>`;
}

const timeText = (programMs: number): string => new Date(programMs).toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit' });
const figure = (value: number): string => (value >= 10 || Number.isInteger(value) ? String(Math.round(value)) : value.toFixed(1));
const seconds = (ms: number | null): string => (ms === null ? '–' : `${figure(ms / 1000)} s`);
const count = (value: number, one: string, many = `${one}s`): string => `${value} ${value === 1 ? one : many}`;

function age(nowMs: number | null, programMs: number | null, before = ' · '): string {
  return nowMs === null || programMs === null ? '' : `${before}${clockText(Math.max(0, nowMs - programMs))} ago`;
}
