/**
 * What is opened beside the chat: what waits for those who run the room, and the viewer's own options.
 *
 * Owns: the markup of these. Does not know: when they are open, the network. Loaded when one is first opened (later.ts).
 */

import { html, nothing, type TemplateResult } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import { momentButton, type PanelHost } from './chat-panels.js';
import type { ChatEvent } from './protocol.js';
import type { Hand } from './room-state.js';
import { sideStringsFor, type SideStrings } from './side-strings.js';
import type { HiddenMessage, StaffPast } from './staff-past.js';
import type { Strings } from './strings.js';

export { StaffPast } from './staff-past.js';

export function staffPanel(past: StaffPast, hands: readonly Hand[], quoted: (offset: number) => ChatEvent | undefined, host: PanelHost): TemplateResult {
  const { strings } = host;
  const words = sideStringsFor(host.language);
  const inbox = past.look();
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
              const about = quoted(report.target!) ?? past.event(report.target!);
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
    ${hiddenList(inbox.hidden, words, host)}
    <p class="quiet" role="status">${past.state === 'reading' ? words.reading : past.state === 'failed' ? words.failed : past.state === 'all' ? words.isAll : nothing}</p>
    ${past.state === 'more' || past.state === 'failed' ? html`<button type="button" class="earlier" @click=${() => past.earlier()}>${words.earlier}</button>` : nothing}
  `;
}

function hiddenList(hidden: readonly HiddenMessage[], words: SideStrings, host: PanelHost): TemplateResult {
  return html`<h3>${words.hidden}</h3>
    ${hidden.length === 0
      ? html`<p class="quiet">${words.nothingHidden}</p>`
      : html`<ul class="items">
          ${repeat(
            hidden,
            ({ event }) => event.offset,
            ({ event, by, reason }) => html`<li class="item" data-hidden=${event.offset}>
              <bdi class="name" dir="auto">${event.author?.name ?? ''}</bdi> ${momentButton(event.programMs, host)}
              ${event.text === '' ? html`<span class="quiet">${words.noWords}</span>` : html`<bdi class="text" dir="auto">${event.text}</bdi>`}
              <p class="quiet"><bdi dir="auto">${words.hiddenBy(by, reason)}</bdi></p>
              ${host.may('restore')
                ? html`<div class="actions">
                    <button type="button" aria-label=${host.strings.about(words.restore, event.author?.name ?? '')} @click=${() => host.act('restore', { target: event.offset })}>${words.restore}</button>
                  </div>`
                : nothing}
            </li>`,
          )}
        </ul>`}`;
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
