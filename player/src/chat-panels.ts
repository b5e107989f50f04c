/**
 * What is up in the room beside the messages: pins, polls, questions, hands, and what waits for those who run it.
 *
 * Owns: the markup of these. Does not know: when they change (the state of the picture says so), the network.
 */

import { html, nothing, type TemplateResult } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import type { ChatEvent } from './protocol.js';
import type { Hand, OpenQuestion, Pin, Poll } from './room-state.js';
import type { StaffInbox } from './staff-inbox.js';
import { timeOfDayText, type Strings } from './strings.js';

export interface PanelHost {
  readonly strings: Strings;
  readonly language: string;
  readonly may: (deed: string) => boolean;
  readonly act: (action: string, fields?: Readonly<Record<string, unknown>>) => void;
  readonly seekTo: (programMs: number) => void;
}

export function pinBar(pins: readonly Pin[], host: PanelHost): TemplateResult | typeof nothing {
  const pin = pins[pins.length - 1];
  if (pin === undefined) return nothing;
  const { strings } = host;
  return html`<aside class="pin" part="pin" aria-label=${strings.pinnedMessage}>
    <span aria-hidden="true">📌</span>
    <bdi dir="auto">${pin.text}</bdi>
    ${host.may('unpin')
      ? html`<button type="button" class="small" aria-label=${strings.unpin} title=${strings.unpin} @click=${() => host.act('unpin', { target: pin.offset })}>✕</button>`
      : nothing}
  </aside>`;
}

export interface PollHost extends PanelHost {
  readonly voteOf: (poll: string) => readonly number[] | null;
  readonly vote: (poll: string, choices: readonly number[]) => void;
  readonly putAway: (poll: string) => void;
}

export function pollCard(poll: Poll, host: PollHost): TemplateResult {
  const { strings } = host;
  const voted = host.voteOf(poll.poll);
  const canVote = poll.isOpen && host.may('vote');
  const showsTally = !canVote || voted !== null || host.may('poll_close');
  const total = poll.voters ?? poll.tally.reduce((sum, count) => sum + count, 0);
  const percent = new Intl.NumberFormat(host.language || undefined, { style: 'percent' });
  return html`<section class="card" part="poll" aria-label=${strings.poll} data-open=${poll.isOpen}>
    <form class="poll" @submit=${(event: SubmitEvent) => onVote(event, poll, host)}>
      <fieldset>
        <legend><span class="mark">${strings.poll}</span> <bdi dir="auto">${poll.question}</bdi></legend>
        ${poll.choices.map((choice, index) => {
          const count = poll.tally[index] ?? 0;
          const share = total === 0 ? 0 : count / total;
          const isRight = poll.answer?.includes(index) === true;
          const isMine = voted?.includes(index) === true;
          const text = html`<bdi dir="auto">${choice}</bdi>${isRight ? html` <strong class="right">✓ ${strings.rightAnswer}</strong>` : nothing}${isMine && !canVote
              ? html` <em>${strings.yourVote}</em>`
              : nothing}`;
          return html`<div class="choice" ?data-right=${isRight}>
            ${canVote
              ? html`<label><input type=${poll.multiple ? 'checkbox' : 'radio'} name=${`poll-${poll.poll}`} value=${index} .checked=${isMine} />${text}</label>`
              : html`<span>${text}</span>`}
            ${showsTally
              ? html`<span class="count">${percent.format(share)}</span><progress max="1" value=${share} aria-label=${strings.votes(count)}></progress>`
              : nothing}
          </div>`;
        })}
      </fieldset>
      <div class="actions">
        ${canVote ? html`<button type="submit" class="primary">${voted === null ? strings.vote : strings.voteAgain}</button>` : nothing}
        ${poll.isOpen && host.may('poll_close')
          ? html`<button type="button" @click=${() => host.act('poll_close', { poll: poll.poll })}>${strings.closePoll}</button>`
          : nothing}
        <span class="hint">${poll.isOpen ? (showsTally ? strings.votes(total) : nothing) : poll.isFinal ? strings.pollFinal(total) : strings.pollCounting}</span>
        ${poll.isOpen ? nothing : html`<button type="button" class="small" @click=${() => host.putAway(poll.poll)}>${strings.close}</button>`}
      </div>
    </form>
  </section>`;
}

function onVote(event: SubmitEvent, poll: Poll, host: PollHost): void {
  event.preventDefault();
  const chosen = [...(event.currentTarget as HTMLFormElement).querySelectorAll<HTMLInputElement>('input:checked')].map((input) => Number(input.value));
  if (chosen.length > 0) host.vote(poll.poll, chosen);
}

export interface QuestionHost extends PanelHost {
  readonly hasUpvoted: (offset: number) => boolean;
  readonly upvote: (offset: number) => void;
}

export function questionList(questions: readonly OpenQuestion[], host: QuestionHost): TemplateResult {
  const { strings } = host;
  if (questions.length === 0) return html`<p class="quiet">${strings.noQuestions}</p>`;
  return html`<ul class="items">
    ${repeat(
      questions,
      (question) => question.offset,
      (question) => {
        const name = question.author?.name ?? '';
        const isMine = host.hasUpvoted(question.offset);
        return html`<li class="item" data-question=${question.offset}>
          <bdi class="name" dir="auto">${name}</bdi> ${momentButton(question.programMs, host)}
          <bdi class="text" dir="auto">${question.text}</bdi>
          <div class="actions">
            ${host.may('upvote')
              ? html`<button type="button" aria-pressed=${isMine} aria-disabled=${isMine} aria-label=${strings.upvoteCount(question.upvotes, name)} @click=${() => isMine || host.upvote(question.offset)}>
                  ▲ ${question.upvotes}
                </button>`
              : html`<span class="hint">▲ ${question.upvotes}</span>`}
            ${host.may('answer')
              ? html`<button type="button" aria-label=${strings.about(strings.answered, name)} @click=${() => host.act('answer', { target: question.offset })}>${strings.answered}</button>`
              : nothing}
          </div>
        </li>`;
      },
    )}
  </ul>`;
}

export function staffPanel(inbox: StaffInbox, hands: readonly Hand[], quoted: (offset: number) => ChatEvent | undefined, host: PanelHost): TemplateResult {
  const { strings } = host;
  return html`
    <h3>${strings.waiting}</h3>
    ${inbox.held.length === 0
      ? html`<p class="quiet">${strings.nothingWaits}</p>`
      : html`<ul class="items">
          ${repeat(
            inbox.held,
            (held) => held.offset,
            (held) => html`<li class="item" data-held=${held.offset}>
              <bdi class="name" dir="auto">${held.author?.name ?? ''}</bdi> ${momentButton(held.programMs, host)}
              <bdi class="text" dir="auto">${held.text}</bdi>
              <div class="actions">
                <button type="button" class="primary" aria-label=${strings.about(strings.approve, held.author?.name ?? '')} @click=${() => host.act('approve', { target: held.offset })}>${strings.approve}</button>
                <button type="button" class="danger" aria-label=${strings.about(strings.reject, held.author?.name ?? '')} @click=${() => host.act('reject', { target: held.offset })}>${strings.reject}</button>
              </div>
            </li>`,
          )}
        </ul>`}
    <h3>${strings.reports}</h3>
    ${inbox.reports.length === 0
      ? html`<p class="quiet">${strings.noReports}</p>`
      : html`<ul class="items">
          ${repeat(
            inbox.reports,
            (report) => report.offset,
            (report) => {
              const about = quoted(report.target!);
              const name = about?.author?.name ?? '';
              return html`<li class="item" data-report=${report.target}>
                <bdi class="name" dir="auto">${name}</bdi> ${momentButton(about?.programMs ?? null, host)}
                <bdi class="text" dir="auto">${about?.text ?? ''}</bdi>
                <div class="actions">
                  <button type="button" class="danger" aria-label=${strings.about(strings.hide, name)} @click=${() => host.act('hide', { target: report.target })}>${strings.hide}</button>
                </div>
              </li>`;
            },
          )}
        </ul>`}
    <h3>${strings.hands}</h3>
    ${hands.length === 0
      ? html`<p class="quiet">${strings.noHands}</p>`
      : html`<ol class="items">
          ${repeat(
            hands,
            (hand) => hand.author.key,
            (hand) => html`<li class="item" data-hand=${hand.author.key}>
              <bdi class="name" dir="auto">✋ ${hand.author.name}</bdi>
              <div class="actions">
                <button type="button" aria-label=${strings.about(strings.lowerHand, hand.author.name)} @click=${() => host.act('lower_hand', { author: hand.author.key })}>${strings.lowerHand}</button>
              </div>
            </li>`,
          )}
        </ol>`}
  `;
}

export interface OptionsHost {
  readonly strings: Strings;
  readonly language: string;
  readonly delayMs: number;
  readonly delay: (delayMs: number) => void;
  readonly muted: ReadonlyMap<string, string>;
  readonly unmute: (key: string) => void;
}

export function optionsPanel(host: OptionsHost): TemplateResult {
  const { strings, delayMs } = host;
  const number = new Intl.NumberFormat(host.language || undefined, { style: 'unit', unit: 'second', unitDisplay: 'narrow', minimumFractionDigits: 1, signDisplay: 'exceptZero' });
  const step = (byMs: number): TemplateResult =>
    html`<button type="button" title=${byMs < 0 ? strings.earlierBy(-byMs / 1000) : strings.laterBy(byMs / 1000)} @click=${() => host.delay(delayMs + byMs)}>
      ${number.format(byMs / 1000)}
    </button>`;
  return html`
    <h3>${strings.offset}</h3>
    <p class="hint">${strings.offsetHint}</p>
    <div class="actions" role="group" aria-label=${strings.offset}>
      ${step(-5_000)} ${step(-500)} <output aria-live="polite">${number.format(delayMs / 1000)}</output> ${step(500)} ${step(5_000)}
      <button type="button" ?disabled=${delayMs === 0} @click=${() => host.delay(0)}>${strings.offsetReset}</button>
    </div>
    <h3>${strings.mutedByYou}</h3>
    ${host.muted.size === 0
      ? html`<p class="quiet">${strings.nobodyMuted}</p>`
      : html`<ul class="items">
          ${[...host.muted].map(
            ([key, name]) => html`<li class="item">
              <bdi class="name" dir="auto">${name}</bdi>
              <div class="actions"><button type="button" aria-label=${strings.about(strings.showAgain, name)} @click=${() => host.unmute(key)}>${strings.showAgain}</button></div>
            </li>`,
          )}
        </ul>`}
  `;
}

/** What became of a deed. */
export interface Notice {
  readonly text: string;
  readonly isAlert: boolean;
  readonly undo: (() => void) | null;
}

export function noticeBar(notice: Notice | null, strings: Strings, close: () => void): TemplateResult | typeof nothing {
  if (notice === null) return nothing;
  const undo = (): void => {
    close();
    notice.undo?.();
  };
  return html`<div class="note notice ${notice.isAlert ? 'alert' : ''}" part="notice">
    <span role=${notice.isAlert ? 'alert' : 'status'}>${notice.text}</span>
    ${notice.undo === null ? nothing : html`<button type="button" @click=${undo}>${strings.undo}</button>`}
    <button type="button" class="small" aria-label=${strings.close} title=${strings.close} @click=${close}>✕</button>
  </div>`;
}

function momentButton(programMs: number | null, host: PanelHost): TemplateResult | typeof nothing {
  if (programMs === null) return nothing;
  const time = timeOfDayText(programMs, host.language);
  return html`<button type="button" class="time" title=${host.strings.goTo(time)} @click=${() => host.seekTo(programMs)}>
    <time datetime=${new Date(programMs).toISOString()}>${time}</time>
  </button>`;
}
