/** Styles of heatmap and search. Adopted as a sheet: no inline style, so `default-src 'self'` is enough. */

import { css } from 'lit';

const shared = css`
  :host {
    --_surface: var(--chatsync-surface, light-dark(#ffffff, #171d24));
    --_raised: var(--chatsync-raised, light-dark(#f2f4f6, #222b35));
    --_text: var(--chatsync-text, light-dark(#1b2530, #e8edf2));
    --_quiet: var(--chatsync-quiet, light-dark(#55626f, #a5b2bf));
    --_line: var(--chatsync-line, light-dark(#d4dae0, #36424f));
    --_accent: var(--chatsync-accent, light-dark(#1f5f8b, #7db7e0));
    --_question: var(--chatsync-question, light-dark(#8a5a00, #f0b95a));
    --_poll: var(--chatsync-poll, light-dark(#7a3b8f, #d3a0e4));
    display: block;
    box-sizing: border-box;
    color: var(--_text);
    font: 0.9rem/1.4 var(--chatsync-font, system-ui, sans-serif);
  }
  :host([hidden]) {
    display: none;
  }
  * {
    box-sizing: border-box;
  }
  button {
    font: inherit;
    color: inherit;
    cursor: pointer;
  }
  :focus-visible {
    outline: 2px solid var(--_accent);
    outline-offset: 2px;
  }
  .unseen {
    position: absolute;
    inline-size: 1px;
    block-size: 1px;
    margin: -1px;
    overflow: hidden;
    clip-path: inset(50%);
    white-space: nowrap;
  }
  time {
    font-variant-numeric: tabular-nums;
  }
`;

export const heatmapStyles = [
  shared,
  css`
    :host {
      position: relative;
    }
    .chart {
      position: relative;
      direction: ltr; /* a player's bar runs this way in every language */
      block-size: var(--chatsync-heatmap-height, 3.25rem);
      cursor: pointer;
      touch-action: manipulation;
    }
    svg {
      position: absolute;
      inset: 0 0 0.85rem;
      inline-size: 100%;
      block-size: calc(100% - 0.85rem);
      display: block;
    }
    .area {
      fill: var(--chatsync-heatmap, var(--_quiet));
      opacity: 0.4;
    }
    .played .area {
      fill: var(--chatsync-heatmap-played, var(--_accent));
      opacity: 0.85;
    }
    .ground {
      position: absolute;
      inset: auto 0 0.75rem;
      block-size: 2px;
      background: var(--_line);
    }
    .played {
      position: absolute;
      inset: 0;
      pointer-events: none;
    }
    .gap {
      position: absolute;
      inset-block: 0 0.85rem;
      min-inline-size: 2px;
      background: repeating-linear-gradient(135deg, var(--_line) 0 2px, transparent 2px 6px);
    }
    .head {
      position: absolute;
      inset-block: 0 0.6rem;
      inline-size: 2px;
      margin-inline-start: -1px;
      background: var(--_text);
      pointer-events: none;
    }
    .moment {
      position: absolute;
      inset-block-end: 0;
      inline-size: 0.55rem;
      block-size: 0.55rem;
      margin-inline-start: -0.275rem;
      border: 0;
      padding: 0;
      background: var(--_question);
      border-radius: 50%;
    }
    .moment[data-what='poll'] {
      background: var(--_poll);
      border-radius: 1px;
    }
    .moment[data-what='pin'] {
      background: var(--_accent);
      clip-path: polygon(50% 0, 100% 100%, 0 100%);
      border-radius: 0;
    }
    .tip {
      position: absolute;
      inset-block-end: calc(100% + 0.25rem);
      max-inline-size: min(20rem, 90%);
      padding: 0.2rem 0.5rem;
      border: 1px solid var(--_line);
      border-radius: 0.375rem;
      background: var(--_surface);
      color: var(--_text);
      font-size: 0.8rem;
      white-space: nowrap;
      overflow: hidden;
      text-overflow: ellipsis;
      pointer-events: none;
      z-index: 1;
    }
    .peaks:not(:focus-within):not([data-shown]) {
      position: absolute;
      inline-size: 1px;
      block-size: 1px;
      margin: -1px;
      overflow: hidden;
      clip-path: inset(50%);
    }
    .peaks h3 {
      margin: 0.4rem 0 0.2rem;
      font-size: 0.85rem;
      color: var(--_quiet);
    }
    .peaks ol {
      display: flex;
      flex-wrap: wrap;
      gap: 0.35rem;
      margin: 0;
      padding: 0;
      list-style: none;
    }
    .peaks button {
      min-block-size: 24px;
      padding: 0.15rem 0.6rem;
      border: 1px solid var(--_line);
      border-radius: 1rem;
      background: var(--_raised);
    }
    @media (forced-colors: active) {
      .area,
      .played .area {
        fill: CanvasText;
      }
      .played .area {
        fill: Highlight;
        opacity: 1;
      }
      .gap {
        background: none;
        border-inline: 1px dashed GrayText;
      }
      .moment,
      .head {
        forced-color-adjust: none;
        background: CanvasText;
      }
    }
  `,
];

export const searchStyles = [
  shared,
  css`
    :host {
      display: flex;
      flex-direction: column;
      min-block-size: 0;
      background: var(--_surface);
    }
    form {
      display: flex;
      gap: 0.4rem;
    }
    input {
      flex: 1;
      min-inline-size: 0;
      min-block-size: 2.25rem;
      padding: 0.3rem 0.6rem;
      border: 1px solid var(--_line);
      border-radius: 0.375rem;
      background: var(--_surface);
      color: inherit;
      font: inherit;
      font-size: max(1rem, 16px); /* smaller, and a phone zooms in */
    }
    button {
      min-block-size: 2.25rem;
      padding: 0.3rem 0.8rem;
      border: 1px solid var(--_line);
      border-radius: 0.375rem;
      background: var(--_raised);
    }
    .status {
      margin: 0.4rem 0;
      min-block-size: 1.4em;
      color: var(--_quiet);
      font-size: 0.85rem;
    }
    ol {
      flex: 1;
      min-block-size: 0;
      margin: 0;
      padding: 0;
      overflow-y: auto;
      list-style: none;
      overscroll-behavior: contain;
    }
    li + li {
      border-block-start: 1px solid var(--_line);
    }
    .hit {
      display: block;
      inline-size: 100%;
      padding: 0.45rem 0.5rem;
      border: 0;
      border-radius: 0;
      background: none;
      text-align: start;
    }
    .hit:hover {
      background: var(--_raised);
    }
    .hit:focus-visible {
      outline-offset: -2px;
    }
    .hit time {
      color: var(--_accent);
    }
    .name {
      color: var(--_quiet);
    }
    .text {
      display: block;
      overflow-wrap: anywhere;
    }
    mark {
      background: var(--chatsync-found, light-dark(#ffe28a, #6b5200));
      color: inherit;
      border-radius: 2px;
    }
    .more {
      inline-size: 100%;
      margin-block: 0.5rem;
    }
    @media (forced-colors: active) {
      mark {
        background: Mark;
        color: MarkText;
      }
    }
  `,
];
