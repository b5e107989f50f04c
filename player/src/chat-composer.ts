/**
 * Below the list: one's own messages on their way, replies to choose from, reactions, the raised hand, and the field.
 *
 * Owns: what kind the next message is, and what it answers. Does not know: the network, whether the relay will agree.
 */

import { html, nothing, type TemplateResult } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import { shortened } from './chat-rows.js';
import type { ChatTimeline } from './chat-timeline.js';
import type { OwnMessage } from './own-messages.js';
import { isStaff, mayNow } from './permissions.js';
import type { ChatEvent } from './protocol.js';
import type { Strings } from './strings.js';

const TEXT_MAX = 2_000; // code points; the room's own limit is the relay's to say

type SayKind = 'message' | 'question' | 'announcement' | 'private';

export interface ComposerHost {
  readonly update: () => void;
  readonly said: () => void;
  readonly act: (action: string, fields?: Readonly<Record<string, unknown>>) => void;
  readonly focusField: () => void;
}

export class ChatComposer {
  readonly #host: ComposerHost;
  #kind: SayKind = 'message';
  #replyTo: ChatEvent | null = null;

  constructor(host: ComposerHost) {
    this.#host = host;
  }

  answer(event: ChatEvent): void {
    this.#replyTo = event;
    this.#host.update();
    this.#host.focusField();
  }

  reset(): void {
    this.#kind = 'message';
    this.#replyTo = null;
  }

  render(session: ChatTimeline, strings: Strings, emoji: readonly string[]): TemplateResult | typeof nothing {
    const you = session.you;
    if (you === null || session.status === 'recording') return nothing;
    const mode = session.edge?.mode ?? null;
    const may = (deed: string): boolean => mayNow(you, mode, deed);
    const kinds = (['message', 'question', 'announcement', 'private'] as const).filter((kind) => may(`say_${kind}`));
    const kind = kinds.includes(this.#kind) ? this.#kind : (kinds[0] ?? null);
    const replies = may('say_reply') ? (mode?.replies ?? []) : [];
    const isUp = session.edge?.hands.some((hand) => hand.author.key === you.key) === true;
    const canRaise = isUp || (!isStaff(you) && may('raise_hand'));
    const canReact = may('react');
    return html`
      ${this.#own(session, strings)}
      ${replies.length === 0
        ? nothing
        : html`<div class="replies" role="group" aria-label=${strings.replies}>
            ${replies.map((text) => html`<button type="button" @click=${() => this.#reply(session, text)}><bdi dir="auto">${text}</bdi></button>`)}
          </div>`}
      ${canReact || canRaise
        ? html`<div class="tools">
            ${canRaise
              ? html`<button type="button" class="hand" aria-pressed=${isUp} @click=${() => this.#host.act(isUp ? 'lower_hand' : 'raise_hand')}>
                  <span aria-hidden="true">✋</span> ${isUp ? strings.lowerHand : strings.raiseHand}
                </button>`
              : nothing}
            ${canReact
              ? html`<div class="reactions" role="group" aria-label=${strings.reactions}>
                  ${emoji.map(
                    (one) => html`<button type="button" aria-label=${strings.react(one)} @click=${() => this.#host.act('react', { emoji: one })}>${one}</button>`,
                  )}
                </div>`
              : nothing}
          </div>`
        : nothing}
      ${kind === null ? this.#silence(session, strings, replies.length > 0) : this.#form(session, strings, kinds, kind)}
    `;
  }

  #silence(session: ChatTimeline, strings: Strings, canReply: boolean): TemplateResult | typeof nothing {
    if (canReply || session.status !== 'open') return nothing;
    const mode = session.edge?.mode;
    if (mode?.write === undefined) return nothing;
    const isClosed = mode.write === 'nobody';
    return html`<p class="note" part="composer">${isClosed ? strings.chatClosed : mode.write === 'hosts' ? strings.hostsOnly : strings.mayNotWrite}</p>`;
  }

  #form(session: ChatTimeline, strings: Strings, kinds: readonly SayKind[], kind: SayKind): TemplateResult {
    const label = { message: strings.write, question: strings.ask, announcement: strings.announce, private: strings.writePrivately }[kind];
    const short = { message: strings.message, question: strings.question, announcement: strings.announcement, private: strings.privateMark };
    const slowMs = session.edge?.mode.slow_ms ?? 0;
    return html`<form part="composer" data-kind=${kind} @submit=${(event: SubmitEvent) => this.#submit(event, session, kind)}>
      ${this.#replyTo === null
        ? nothing
        : html`<div class="answering">
            <bdi dir="auto">${strings.answering(this.#replyTo.author?.name ?? '')} ${shortened(this.#replyTo.text)}</bdi>
            <button type="button" class="small" aria-label=${strings.stopAnswering} title=${strings.stopAnswering} @click=${this.#stopAnswering}>✕</button>
          </div>`}
      ${kinds.length < 2
        ? nothing
        : html`<select aria-label=${strings.kindOfMessage} .value=${kind} @change=${this.#onKind}>
            ${kinds.map((one) => html`<option value=${one} ?selected=${one === kind}>${short[one]}</option>`)}
          </select>`}
      <textarea
        rows="1"
        dir="auto"
        aria-label=${label}
        placeholder=${label}
        maxlength=${TEXT_MAX}
        @keydown=${this.#onKey}
        @input=${() => session.typing()}
      ></textarea>
      <button type="submit">${strings.send}</button>
      ${slowMs > 0 ? html`<p class="hint">${strings.slowMode(Math.ceil(slowMs / 1000))}</p>` : nothing}
      ${kind === 'private' ? html`<p class="hint">${strings.privateHint}</p>` : nothing}
    </form>`;
  }

  #own(session: ChatTimeline, strings: Strings): TemplateResult | typeof nothing {
    const { pending } = session;
    if (pending.length === 0) return nothing;
    return html`<div class="own">${repeat(pending, (own) => own.id, (own) => this.#ownRow(session, own, strings))}</div>`;
  }

  #ownRow(session: ChatTimeline, own: OwnMessage, strings: Strings): TemplateResult {
    const isFailed = own.state === 'failed';
    const status = isFailed ? strings.failed(own.code ?? '') : own.state === 'held' ? strings.held : strings.sending;
    return html`<div class="row" data-kind=${own.kind} data-state=${own.state} data-own>
      <bdi class="text" dir="auto">${own.text}</bdi>
      <span class="status ${isFailed ? 'alert' : ''}" role=${isFailed ? 'alert' : nothing}>${status}</span>
      ${isFailed ? html`<button type="button" @click=${() => session.sayAgain(own.id)}>${strings.sayAgain}</button>` : nothing}
      ${own.state === 'sending' ? nothing : html`<button type="button" @click=${() => session.dismiss(own.id)}>${strings.dismiss}</button>`}
    </div>`;
  }

  readonly #stopAnswering = (): void => {
    this.#replyTo = null;
    this.#host.update();
    this.#host.focusField();
  };

  readonly #onKind = (event: Event): void => {
    this.#kind = (event.currentTarget as HTMLSelectElement).value as SayKind;
    this.#host.update();
  };

  readonly #onKey = (event: KeyboardEvent): void => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    (event.currentTarget as HTMLTextAreaElement).form?.requestSubmit();
  };

  #reply(session: ChatTimeline, text: string): void {
    if (session.say(text) !== null) this.#host.said();
  }

  #submit(event: SubmitEvent, session: ChatTimeline, kind: SayKind): void {
    event.preventDefault();
    const field = (event.currentTarget as HTMLFormElement).querySelector('textarea');
    const text = field?.value.trim() ?? '';
    if (field === null || text === '') return;
    const isPrivate = kind === 'private';
    if (session.say(text, isPrivate ? 'message' : kind, this.#replyTo?.offset ?? null, isPrivate ? ['host'] : null) === null) return;
    field.value = '';
    this.reset();
    this.#host.said();
  }
}
