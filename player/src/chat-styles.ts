/** The look of `<chatsync-chat>`. A constructable stylesheet, so that `style-src 'self'` needs no exception. */

import { css } from 'lit';

export const chatStyles = css`
  :host {
    --_surface: var(--chatsync-surface, light-dark(#ffffff, #16181d));
    --_raised: var(--chatsync-raised, light-dark(#f2f4f8, #21252d));
    --_text: var(--chatsync-text, light-dark(#1a1d23, #e8eaee));
    --_quiet: var(--chatsync-quiet, light-dark(#5a6270, #a3abb8));
    --_line: var(--chatsync-line, light-dark(#d9dee7, #343a45));
    --_accent: var(--chatsync-accent, light-dark(#1f5fbf, #86b4ff));
    --_on-accent: var(--chatsync-on-accent, light-dark(#ffffff, #0d1420));
    --_live: var(--chatsync-live, light-dark(#b3132b, #ff8796));
    --_question: var(--chatsync-question, light-dark(#7a4a00, #ffc56e));
    --_right: var(--chatsync-right, light-dark(#1b6b3a, #7fd8a2));
    color-scheme: light dark;
    display: flex;
    flex-direction: column;
    min-block-size: 12rem;
    block-size: 100%;
    overflow: hidden;
    contain: content;
    background: var(--_surface);
    color: var(--_text);
    font: 0.9375rem/1.4 var(--chatsync-font, system-ui, sans-serif);
  }
  :host([hidden]) {
    display: none;
  }
  :host(:lang(ar)) {
    direction: rtl;
  }
  *,
  ::before,
  ::after {
    box-sizing: border-box;
  }
  button,
  select,
  textarea {
    font: inherit;
    color: inherit;
  }
  button {
    cursor: pointer;
    min-block-size: 1.75rem;
    min-inline-size: 1.75rem;
    padding: 0.125rem 0.625rem;
    border: 1px solid var(--_line);
    border-radius: 0.5rem;
    background: var(--_raised);
  }
  button:disabled {
    cursor: default;
    color: var(--_quiet);
  }
  :focus-visible {
    outline: 2px solid var(--_accent);
    outline-offset: 1px;
  }
  header {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: 0.5rem;
    padding: 0.5rem 0.75rem;
    border-block-end: 1px solid var(--_line);
  }
  header .space {
    flex: 1 1 0;
  }
  .title {
    font-size: 1rem;
    font-weight: 600;
    margin: 0;
  }
  .pill {
    padding: 0.0625rem 0.5rem;
    border: 1px solid currentColor;
    border-radius: 1rem;
    font-size: 0.75rem;
    font-weight: 600;
    font-variant-numeric: tabular-nums;
    letter-spacing: 0.03em;
    color: var(--_quiet);
  }
  .pill[data-mode='live'] {
    color: var(--_live);
  }
  header button {
    font-size: 0.8125rem;
  }
  .note {
    padding: 0.25rem 0.75rem;
    font-size: 0.8125rem;
    background: var(--_raised);
    color: var(--_quiet);
  }
  .pane {
    position: relative;
    flex: 1;
    min-block-size: 0;
  }
  .log {
    position: absolute;
    inset: 0;
    overflow-x: hidden;
    overflow-y: auto;
    overflow-anchor: none;
    overscroll-behavior: contain;
  }
  .rows {
    display: flex;
    flex-direction: column;
    justify-content: flex-end;
    min-block-size: 100%;
  }
  .row {
    display: flex;
    flex-wrap: wrap;
    align-items: baseline;
    gap: 0 0.5rem;
    padding: 0.1875rem 0.75rem;
    overflow-wrap: anywhere;
  }
  .row .name {
    font-weight: 600;
    color: var(--_quiet);
  }
  .row[data-own] .name,
  .row[data-role='host'] .name {
    color: var(--_accent);
  }
  .row .text {
    flex: 1 1 100%;
    white-space: pre-wrap;
  }
  .time {
    min-block-size: 1.5rem;
    min-inline-size: 1.5rem;
    padding: 0 0.25rem;
    border-color: transparent;
    background: none;
    font-size: 0.75rem;
    font-variant-numeric: tabular-nums;
    color: var(--_quiet);
  }
  .row .time {
    margin-inline-start: auto;
  }
  .row .more,
  .small {
    min-block-size: 1.5rem;
    min-inline-size: 1.5rem;
    padding: 0;
    border-color: transparent;
    background: none;
    color: var(--_quiet);
    line-height: 1;
  }
  .row:focus-visible,
  .log:focus-visible,
  .sheet:focus-visible {
    outline-offset: -2px;
  }
  .row:hover,
  .row:focus-within {
    background: var(--_raised);
  }
  .quote {
    flex: 1 1 100%;
    padding-inline-start: 0.5rem;
    border-inline-start: 2px solid var(--_line);
    font-size: 0.8125rem;
    color: var(--_quiet);
  }
  .actions {
    display: flex;
    flex-wrap: wrap;
    flex: 1 1 100%;
    align-items: center;
    gap: 0.375rem;
    padding-block: 0.25rem;
  }
  .actions button {
    font-size: 0.8125rem;
  }
  .danger {
    color: var(--_live);
  }
  button.primary {
    border-color: transparent;
    background: var(--_accent);
    color: var(--_on-accent);
  }
  button[aria-pressed='true'] {
    border-color: var(--_accent);
    color: var(--_accent);
    font-weight: 600;
  }
  .hint,
  .quiet,
  .choice .count,
  .choice em {
    margin: 0;
    font-size: 0.8125rem;
    color: var(--_quiet);
  }
  .row a {
    color: var(--_accent);
  }
  .mention {
    font-weight: 600;
  }
  .emote {
    block-size: 1.5em;
    max-inline-size: 6em;
    object-fit: contain;
    vertical-align: middle;
  }
  .badge {
    padding: 0 0.375rem;
    border-radius: 0.25rem;
    font-size: 0.6875rem;
    font-weight: 600;
    background: var(--_accent);
    color: var(--_on-accent);
  }
  .row[data-kind='question'] {
    margin-block: 0.125rem;
    border-inline-start: 3px solid var(--_question);
    background: var(--_raised);
  }
  .mark {
    font-size: 0.75rem;
    font-weight: 700;
    color: var(--_quiet);
  }
  .row[data-kind='announcement'] .mark,
  .card .mark {
    color: var(--_accent);
  }
  .row[data-private] {
    border-inline-start: 3px dotted var(--_quiet);
  }
  .row[data-kind='question'] .mark {
    font-size: 0.75rem;
    font-weight: 700;
    color: var(--_question);
  }
  .row[data-kind='announcement'],
  .row[data-kind='paid'] {
    margin-block: 0.125rem;
    border-inline-start: 3px solid var(--_accent);
    background: var(--_raised);
  }
  .row.line {
    justify-content: center;
    font-size: 0.8125rem;
    color: var(--_quiet);
    text-align: center;
  }
  .chip {
    margin-inline-end: auto;
    min-block-size: 1.5rem;
    padding: 0 0.5rem;
    border-radius: 1rem;
    font-size: 0.75rem;
    color: var(--_quiet);
  }
  .own {
    padding-block: 0.25rem;
    border-block-start: 1px dashed var(--_line);
  }
  .own .row {
    align-items: center;
  }
  .own .row .text {
    flex: 1 1 8rem;
  }
  .own .row[data-state='held'] .status {
    font-weight: 600;
    color: var(--_question);
  }
  .status {
    font-size: 0.75rem;
    color: var(--_quiet);
  }
  .alert {
    color: var(--_live);
  }
  .empty {
    position: absolute;
    inset: 0;
    display: grid;
    place-content: center;
    padding: 1rem;
    color: var(--_quiet);
    pointer-events: none;
  }
  .resume {
    position: absolute;
    inset-block-end: 0.5rem;
    inset-inline: 0;
    display: flex;
    justify-content: center;
    gap: 0.5rem;
    pointer-events: none;
  }
  .resume button {
    pointer-events: auto;
    border-color: transparent;
    border-radius: 1rem;
    background: var(--_accent);
    color: var(--_on-accent);
    box-shadow: 0 1px 6px rgb(0 0 0 / 35%);
  }
  form[part='composer'] {
    display: flex;
    flex-wrap: wrap;
    align-items: flex-start;
    gap: 0.5rem;
    padding: 0.5rem 0.75rem;
    border-block-start: 1px solid var(--_line);
  }
  form .hint,
  .answering {
    flex: 1 1 100%;
  }
  .answering {
    display: flex;
    align-items: center;
    gap: 0.5rem;
    padding-inline-start: 0.5rem;
    border-inline-start: 2px solid var(--_accent);
    font-size: 0.8125rem;
    color: var(--_quiet);
  }
  .answering bdi {
    flex: 1;
    min-inline-size: 0;
    overflow-wrap: anywhere;
  }
  textarea,
  select {
    min-block-size: 2.25rem;
    border: 1px solid var(--_line);
    border-radius: 0.5rem;
    background: var(--_surface);
  }
  select {
    max-inline-size: 9rem;
    padding-inline: 0.25rem;
  }
  textarea {
    flex: 1 1 8rem;
    min-inline-size: 0;
    block-size: 2.25rem;
    max-block-size: 8rem;
    padding: 0.375rem 0.5rem;
    resize: vertical;
    field-sizing: content;
  }
  textarea::placeholder {
    color: var(--_quiet);
    opacity: 1;
  }
  form[data-kind='question'] textarea {
    border-color: var(--_question);
  }
  form[data-kind='private'] textarea {
    border-style: dashed;
    border-color: var(--_quiet);
  }
  form[part='composer'] button[type='submit'] {
    min-block-size: 2.25rem;
    border-color: transparent;
    background: var(--_accent);
    color: var(--_on-accent);
    font-weight: 600;
  }
  .tools,
  .replies {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: 0.25rem 0.5rem;
    padding: 0.375rem 0.75rem 0;
    border-block-start: 1px solid var(--_line);
  }
  .tools + form[part='composer'],
  .replies + .tools,
  .replies + form[part='composer'] {
    border-block-start: none;
  }
  .tools button {
    font-size: 0.8125rem;
  }
  .reactions {
    display: flex;
    flex-wrap: wrap;
    margin-inline-start: auto;
  }
  .reactions button {
    min-inline-size: 1.75rem;
    padding: 0;
    border-color: transparent;
    background: none;
    font-size: 1rem;
  }
  .unseen {
    position: absolute;
    inline-size: 1px;
    block-size: 1px;
    overflow: hidden;
    clip-path: inset(50%);
    white-space: nowrap;
  }
  @media (forced-colors: active) {
    :host {
      --_surface: Canvas;
      --_raised: Canvas;
      --_text: CanvasText;
      --_quiet: CanvasText;
      --_line: CanvasText;
      --_accent: LinkText;
      --_on-accent: Canvas;
      --_live: CanvasText;
      --_question: CanvasText;
      --_right: CanvasText;
    }
    .badge,
    .row[data-kind='question'],
    .row[data-kind='announcement'],
    .tapped,
    .resume button {
      border: 1px solid;
    }
    progress {
      border: 1px solid;
      appearance: auto;
    }
    button[aria-pressed='true'] {
      border: 2px solid LinkText;
    }
  }
`;
