/**
 * What a row of the chat looks like, and what can be done with it.
 *
 * Owns: the rows' markup. Does not know: where the row stands, the network. Text reaches the page by text bindings only.
 */

import { html, nothing, type TemplateResult } from 'lit';
import { guard } from 'lit/directives/guard.js';
import { isLeftOut, type ListRow } from './chat-sampling.js';
import { MESSAGE_KINDS, type ChatEvent, type Fragment } from './protocol.js';
import { timeOfDayText, type Strings } from './strings.js';

const BEHIND_SHOWN_MS = 15_000;
const QUOTE_MAX = 80;

/** What a row asks of the element around it. */
export interface RowHost {
  readonly strings: Strings;
  readonly language: string;
  readonly server: string;
  readonly ownKey: string | null;
  /** The row whose buttons Tab goes to. */
  readonly active: number | string | null;
  /** The row whose actions are unfolded. */
  readonly unfolded: number | null;
  /** Another when anything else here would make rows look otherwise. */
  readonly revision: string;
  readonly quoted: (offset: number) => ChatEvent | undefined;
  readonly actionsOf: (event: ChatEvent) => readonly RowAction[];
  readonly seek: (event: ChatEvent) => void;
  readonly unfold: (offset: number | null) => void;
}

export interface RowAction {
  readonly id: string;
  readonly label: string;
  readonly isDanger?: boolean;
  readonly run: () => void;
}

/** A row, drawn anew only when something about it changed: there are many, and frames are short. */
export function listRow(row: ListRow, host: RowHost): unknown {
  if (isLeftOut(row)) return html`<div class="row line left" part="row" role="article" tabindex="-1">${host.strings.more(row.left)}</div>`;
  const isActive = host.active === row.offset;
  const isUnfolded = host.unfolded === row.offset;
  return guard([row, isActive, isUnfolded, host.revision], () =>
    MESSAGE_KINDS.has(row.kind) && row.kind !== 'system' ? messageRow(row, host) : lineRow(row, host),
  );
}

function lineRow(event: ChatEvent, host: RowHost): TemplateResult {
  return html`<div class="row line" part="row" role="article" tabindex="-1" data-kind=${event.kind}>
    <bdi dir="auto">${lineText(event, host.strings)}</bdi>
  </div>`;
}

function messageRow(event: ChatEvent, host: RowHost): TemplateResult {
  const { strings } = host;
  const { author } = event;
  const isPrivate = event.details?.['to'] !== undefined;
  const badge = author?.role === 'host' ? strings.host : author?.role === 'moderator' ? strings.moderator : null;
  const mark = isPrivate ? strings.privateMark : event.kind === 'question' ? strings.question : event.kind === 'announcement' ? strings.announcement : null;
  const time = timeOfDayText(event.programMs, host.language);
  const tab = host.active === event.offset ? 0 : -1;
  const isUnfolded = host.unfolded === event.offset;
  const quoted = event.replyTo === null ? undefined : host.quoted(event.replyTo);
  const actions = host.actionsOf(event);
  return html`<div
    class="row"
    part="row"
    role="article"
    tabindex="-1"
    data-offset=${event.offset}
    data-kind=${event.kind}
    data-role=${author?.role ?? 'system'}
    ?data-own=${author !== null && author.key === host.ownKey}
    ?data-private=${isPrivate}
    @keydown=${(key: KeyboardEvent) => onRowKey(key, event, host)}
  >
    <bdi class="name" dir="auto">${author?.name ?? ''}</bdi>
    ${badge === null ? nothing : html`<span class="badge">${badge}</span>`} ${mark === null ? nothing : html`<span class="mark">${mark}</span>`}
    <button class="time" tabindex=${tab} title=${strings.goTo(time)} @click=${() => host.seek(event)}>
      <time datetime=${new Date(event.programMs).toISOString()}>${time}</time>
    </button>
    ${actions.length === 0
      ? nothing
      : html`<button
          class="more"
          tabindex=${tab}
          aria-expanded=${isUnfolded}
          aria-label=${strings.actionsFor(author?.name ?? '')}
          title=${strings.actions}
          @click=${() => host.unfold(isUnfolded ? null : event.offset)}
        >
          ⋯
        </button>`}
    ${event.behindLiveMs > BEHIND_SHOWN_MS
      ? html`<button class="chip" tabindex=${tab} title=${strings.goTo(time)} @click=${() => host.seek(event)}>${strings.behindLive(time)}</button>`
      : nothing}
    ${quoted === undefined ? nothing : html`<div class="quote"><bdi dir="auto">${quoted.author?.name ?? ''}: ${shortened(quoted.text)}</bdi></div>`}
    <bdi class="text" dir="auto">${event.fragments === null ? event.text : event.fragments.map((piece) => fragment(piece, host.server))}</bdi>
    ${isUnfolded
      ? html`<div class="actions" role="group" aria-label=${strings.actionsFor(author?.name ?? '')}>
          ${actions.map(
            (action) =>
              html`<button
                class=${action.isDanger === true ? 'danger' : ''}
                data-action=${action.id}
                tabindex=${tab}
                aria-label=${strings.about(action.label, author?.name ?? '')}
                @click=${action.run}
              >
                ${action.label}
              </button>`,
          )}
        </div>`
      : nothing}
  </div>`;
}

/** Enter on a row goes to its moment; the menu key and "m" unfold what can be done with it. */
function onRowKey(key: KeyboardEvent, event: ChatEvent, host: RowHost): void {
  if (key.target !== key.currentTarget || key.ctrlKey || key.metaKey || key.altKey) {
    if (key.key === 'Escape' && host.unfolded === event.offset) {
      key.stopPropagation();
      host.unfold(null);
      (key.currentTarget as HTMLElement).focus();
    }
    return;
  }
  if (key.key === 'Enter') host.seek(event);
  else if (key.key === 'm' || key.key === 'ContextMenu') host.unfold(host.unfolded === event.offset ? null : event.offset);
  else return;
  key.preventDefault();
}

export function fragment(piece: Fragment, server: string): unknown {
  if (piece.type === 'emote' && piece.url !== null) {
    return html`<img
      class="emote"
      src=${new URL(piece.url, server).href}
      alt=${piece.text}
      title=${piece.text}
      loading="lazy"
      decoding="async"
      referrerpolicy="no-referrer"
    />`;
  }
  if (piece.type === 'link') return html`<a href=${piece.url} target="_blank" rel="nofollow noopener noreferrer ugc">${piece.text}</a>`;
  return piece.type === 'mention' ? html`<span class="mention">${piece.text}</span>` : piece.text;
}

export function shortened(text: string): string {
  const points = [...text];
  return points.length <= QUOTE_MAX ? text : `${points.slice(0, QUOTE_MAX).join('')}…`;
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
