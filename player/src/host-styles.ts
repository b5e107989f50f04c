/** The look of the host's panel: to be read from a lectern, touched with a finger. */

import { css } from 'lit';

export const hostStyles = css`
  :host {
    --_surface: light-dark(#f4f6fa, #101216);
    --_card: light-dark(#ffffff, #1a1d23);
    --_text: light-dark(#14171c, #eceef2);
    --_quiet: light-dark(#555d6b, #a6aebb);
    --_line: light-dark(#d9dee7, #343a45);
    --_accent: light-dark(#1f5fbf, #86b4ff);
    --_soft: light-dark(#dce8fb, #233653);
    --_warn: light-dark(#a33a00, #ffb27a);
    color-scheme: light dark;
    display: block;
    min-block-size: 100vh;
    background: var(--_surface);
    color: var(--_text);
    font: 1.125rem/1.4 system-ui, sans-serif;
  }
  * {
    box-sizing: border-box;
  }
  header {
    display: flex;
    flex-wrap: wrap;
    align-items: baseline;
    gap: 0.25rem 1.25rem;
    padding: 0.875rem 1.25rem;
    background: var(--_card);
    border-block-end: 1px solid var(--_line);
  }
  h1 {
    margin: 0;
    font-size: 1.375rem;
    overflow-wrap: anywhere;
    flex: 1 1 auto;
    min-inline-size: 0;
  }
  header p,
  .quiet {
    margin: 0;
    color: var(--_quiet);
  }
  .trouble {
    color: var(--_warn);
    font-weight: 600;
  }
  main {
    display: flex;
    flex-wrap: wrap;
    align-items: flex-start;
    gap: min(1rem, 3vw);
    padding: min(1rem, 3vw);
    max-inline-size: 90rem;
    margin-inline: auto;
  }
  /* Two columns where a line of each has room, whatever the size of the text. */
  .column {
    display: flex;
    flex: 3 1 min(100%, 22rem);
    flex-direction: column;
    gap: min(1rem, 3vw);
    min-inline-size: 0;
  }
  .column + .column {
    flex: 2 1 min(100%, 17rem);
  }
  section {
    padding: 1rem min(1.25rem, 4vw) 1.125rem;
    background: var(--_card);
    border: 1px solid var(--_line);
    border-radius: 0.875rem;
  }
  h2 {
    display: flex;
    flex-wrap: wrap;
    justify-content: space-between;
    gap: 0 1rem;
    margin: 0 0 0.625rem;
    font-size: 1rem;
    font-weight: 600;
    color: var(--_quiet);
  }
  ol {
    margin: 0;
    padding: 0;
    list-style: none;
  }
  li {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: 0.375rem min(0.875rem, 3vw);
    padding-block: 0.625rem;
    border-block-start: 1px solid var(--_line);
  }
  li:first-child {
    border-block-start: 0;
  }
  li > div {
    flex: 1 1 9rem;
    min-inline-size: 0;
    overflow-wrap: anywhere;
  }
  .votes {
    flex: none;
    min-inline-size: 2.75rem;
    padding: 0.25rem 0.375rem;
    border-radius: 0.5rem;
    background: var(--_soft);
    font-weight: 700;
    text-align: center;
    font-variant-numeric: tabular-nums;
  }
  small {
    display: block;
    color: var(--_quiet);
    font-size: 0.875rem;
  }
  button,
  input {
    font: inherit;
    color: inherit;
    min-block-size: 2.75rem;
    padding: 0.25rem 1rem;
    border: 1px solid var(--_line);
    border-radius: 0.625rem;
    background: var(--_surface);
  }
  button {
    flex: none;
    margin-inline-start: auto;
    max-inline-size: 100%;
    cursor: pointer;
    touch-action: manipulation;
  }
  button.main {
    background: var(--_accent);
    border-color: var(--_accent);
    color: light-dark(#ffffff, #0d1420);
    font-weight: 600;
  }
  button[aria-disabled='true'] {
    opacity: 0.5;
    cursor: default;
  }
  :focus-visible {
    outline: 3px solid var(--_accent);
    outline-offset: 2px;
  }
  [tabindex='-1']:focus {
    outline: 0;
  }
  .answered {
    color: var(--_quiet);
  }
  .figures {
    display: grid;
    grid-template-columns: repeat(auto-fit, minmax(min(100%, 5rem), 1fr));
    gap: 0.25rem 1rem;
  }
  .figure b {
    display: block;
    font-size: 2rem;
    line-height: 1.15;
    font-variant-numeric: tabular-nums;
  }
  svg {
    display: block;
    inline-size: 100%;
    block-size: 4.5rem;
    margin-block-start: 0.625rem;
    border-block-end: 1px solid var(--_line);
  }
  svg.bar {
    grid-column: 1 / -1;
    block-size: 0.75rem;
    margin-block-start: 0.125rem;
    border: 0;
    border-radius: 0.375rem;
    background: var(--_soft);
  }
  svg rect {
    fill: var(--_accent);
  }
  svg rect.lost {
    fill: var(--_warn);
  }
  svg line {
    stroke: var(--_quiet);
    stroke-dasharray: 4 4;
  }
  .axis {
    display: flex;
    justify-content: space-between;
    white-space: nowrap;
    color: var(--_quiet);
    font-size: 0.875rem;
  }
  .choice {
    display: grid;
    grid-template-columns: minmax(0, 1fr) auto;
    gap: 0.125rem 0.75rem;
    margin-block-start: 0.5rem;
    overflow-wrap: anywhere;
  }
  .choice span:nth-child(2) {
    font-variant-numeric: tabular-nums;
    font-weight: 600;
  }
  .poll + .poll {
    margin-block-start: 1rem;
    padding-block-start: 1rem;
    border-block-start: 1px solid var(--_line);
  }
  .head {
    display: flex;
    flex-wrap: wrap;
    align-items: flex-start;
    justify-content: space-between;
    gap: 0.25rem 1rem;
  }
  .head b {
    flex: 1 1 9rem;
    min-inline-size: 0;
    overflow-wrap: anywhere;
  }
  form {
    display: flex;
    flex-wrap: wrap;
    gap: 0.75rem;
    max-inline-size: 34rem;
    margin: 12vh auto 0;
    padding: min(1.5rem, 4vw);
  }
  form .main {
    margin-inline-start: 0;
  }
  form p {
    flex: 1 1 100%;
    margin: 0;
  }
  label {
    flex: 1 1 100%;
    font-weight: 600;
  }
  input {
    flex: 1 1 14rem;
    min-inline-size: 0;
    background: var(--_card);
  }
  @media (forced-colors: active) {
    svg rect {
      fill: CanvasText;
    }
    svg rect.lost {
      fill: Highlight;
    }
    .votes {
      border: 1px solid;
    }
    button.main {
      background: ButtonFace;
      color: ButtonText;
    }
  }
`;
