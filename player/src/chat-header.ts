/** The chat's first line: live or how far behind, who else is there, with the picture or as written, and the options. */

import { html, nothing, type TemplateResult } from 'lit';
import type { ChatTimeline } from './chat-timeline.js';
import { clockText, type Strings } from './strings.js';

const BEHIND_SHOWN_MS = 15_000;

export interface HeaderHost {
  readonly hasOptions: boolean; // they are unfolded
  readonly toLive: () => void;
  readonly toggleSync: () => void;
  readonly toggleOptions: () => void;
}

export function chatHeader(session: ChatTimeline | null, strings: Strings, host: HeaderHost): TemplateResult {
  const behindMs = session?.behindLiveMs ?? null;
  // A live stream that has ended is its recording from then on; the player says so by its own media.
  const isRecording = session?.status === 'recording' || (session?.playhead.state === 'at' && !session.playhead.isLive);
  const isBehind = !isRecording && behindMs !== null && behindMs > BEHIND_SHOWN_MS && session?.playhead.state !== 'unknown';
  const mode = isRecording ? 'recording' : isBehind ? 'behind' : 'live';
  const text = isRecording ? strings.recording : isBehind ? `−${clockText(behindMs)}` : strings.live;
  const isNow = session?.sync === 'now';
  const viewers = session?.audience?.viewers ?? 0;
  return html`<header part="header">
    <h2 class="title">${strings.chat}</h2>
    <span class="pill" part="mode" data-mode=${mode}>${text}</span>
    ${viewers > 0 ? html`<span class="hint">${strings.watching(viewers)}</span>` : nothing}
    <span class="space"></span>
    ${isBehind ? html`<button type="button" @click=${host.toLive}>${strings.jumpToLive}</button>` : nothing}
    ${session === null || session.status === 'recording'
      ? nothing
      : html`<button type="button" class="sync" title=${isNow ? strings.nowHint : strings.holdHint} @click=${host.toggleSync}>
          ${isNow ? strings.syncNow : strings.syncHold}
        </button>`}
    <button
      type="button"
      class="options"
      aria-label=${strings.options}
      title=${strings.options}
      aria-expanded=${host.hasOptions}
      @click=${host.toggleOptions}
    >
      <span aria-hidden="true">⚙</span>
    </button>
  </header>`;
}

