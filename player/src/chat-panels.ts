/**
 * What is up in the room beside the messages: pins, polls and questions.
 *
 * Owns: the markup of these. Does not know: when they change (the state of the picture says so), the network.
 */

import { html, nothing, type TemplateResult } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import type { OpenQuestion, Pin, Poll } from './room-state.js';
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

export function momentButton(programMs: number | null, host: PanelHost): TemplateResult | typeof nothing {
  if (programMs === null) return nothing;
  const time = timeOfDayText(programMs, host.language);
  return html`<button type="button" class="time" title=${host.strings.goTo(time)} @click=${() => host.seekTo(programMs)}>
    <time datetime=${new Date(programMs).toISOString()}>${time}</time>
  </button>`;
}
