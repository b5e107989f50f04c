/** The look of what stands beside the messages: views, pins, polls, sheets, notices. */

import { css } from 'lit';

export const panelStyles = css`
  .views {
    display: flex;
    gap: 0.25rem;
    padding: 0.25rem 0.75rem 0;
    border-block-end: 1px solid var(--_line);
    overflow-x: auto;
  }
  .views button {
    flex: none;
    min-block-size: 2rem;
    border: none;
    border-block-end: 2px solid transparent;
    border-radius: 0;
    background: none;
    color: var(--_quiet);
    font-size: 0.875rem;
  }
  .views button[aria-pressed='true'] {
    border-block-end-color: var(--_accent);
    color: var(--_accent);
  }
  .pin {
    display: flex;
    align-items: flex-start;
    gap: 0.5rem;
    padding: 0.375rem 0.75rem;
    border-block-end: 1px solid var(--_line);
    background: var(--_raised);
    font-size: 0.875rem;
  }
  .pin bdi {
    flex: 1;
    min-inline-size: 0;
    max-block-size: 4.2em;
    overflow: hidden auto;
    overflow-wrap: anywhere;
  }
  .cards {
    flex: 0 1 auto;
    max-block-size: 45%;
    overflow: hidden auto;
    border-block-end: 1px solid var(--_line);
  }
  .card {
    padding: 0.5rem 0.75rem;
    background: var(--_raised);
  }
  .card + .card {
    border-block-start: 1px solid var(--_line);
  }
  fieldset {
    min-inline-size: 0;
    margin: 0;
    padding: 0;
    border: none;
  }
  legend {
    padding: 0;
    font-weight: 600;
    overflow-wrap: anywhere;
  }
  .choice {
    display: grid;
    grid-template-columns: 1fr auto;
    align-items: center;
    gap: 0 0.5rem;
    padding-block: 0.1875rem;
    overflow-wrap: anywhere;
  }
  .choice label {
    display: flex;
    align-items: center;
    gap: 0.5rem;
    min-block-size: 1.5rem;
  }
  .choice input {
    flex: none;
    inline-size: 1.125rem;
    block-size: 1.125rem;
    margin: 0;
    accent-color: var(--_accent);
  }
  .choice .right {
    color: var(--_right);
  }
  progress {
    grid-column: 1 / -1;
    inline-size: 100%;
    block-size: 0.375rem;
    border: none;
    border-radius: 0.25rem;
    overflow: hidden;
    appearance: none;
    background: var(--_line);
    accent-color: var(--_accent);
  }
  progress::-webkit-progress-bar {
    background: var(--_line);
  }
  progress::-webkit-progress-value {
    background: var(--_accent);
  }
  progress::-moz-progress-bar {
    background: var(--_accent);
  }
  .sheet {
    position: absolute;
    inset: 0;
    padding: 0.5rem 0.75rem;
    overflow: hidden auto;
    background: var(--_surface);
  }
  .sheet h3 {
    margin: 0.75rem 0 0.375rem;
    font-size: 0.9375rem;
  }
  .sheet h3:first-child {
    margin-block-start: 0.25rem;
  }
  .sheet output {
    min-inline-size: 4rem;
    text-align: center;
    font-variant-numeric: tabular-nums;
  }
  .back {
    margin-block: 0.75rem;
  }
  .items {
    margin: 0;
    padding: 0;
    list-style: none;
  }
  .item {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: 0 0.5rem;
    margin-block-end: 0.375rem;
    padding: 0.375rem 0.5rem;
    border: 1px solid var(--_line);
    border-radius: 0.5rem;
    overflow-wrap: anywhere;
  }
  .item .name {
    flex: 1;
    font-weight: 600;
    color: var(--_quiet);
  }
  .item .text {
    flex: 1 1 100%;
    white-space: pre-wrap;
  }
  .notice {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: 0.5rem;
    color: var(--_text);
  }
  .notice span {
    flex: 1;
  }
  .notice.alert {
    color: var(--_live);
  }
  p.note {
    margin: 0;
    padding-block: 0.5rem;
    text-align: center;
  }
  .tapped {
    position: absolute;
    inset-block-end: 0.5rem;
    inset-inline-end: 0.75rem;
    display: flex;
    gap: 0.375rem;
    padding: 0.125rem 0.5rem;
    border-radius: 1rem;
    background: var(--_raised);
    font-size: 0.875rem;
    pointer-events: none;
  }
`;
