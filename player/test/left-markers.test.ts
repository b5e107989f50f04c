// @vitest-environment happy-dom
import { html, render } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import { expect, test } from 'vitest';
import { takeLeftMarkers } from '../src/left-markers.js';

const host = document.createElement('div');
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, index) => from + index);
const draw = (items: readonly number[]): Element => {
  render(html`<div class="rows">${repeat(items, (item) => item, (item) => html`<p>${item}</p>`)}</div>`, host);
  return host.querySelector('.rows')!;
};
const shown = (list: Element): number[] => [...list.children].map((one) => Number(one.textContent));

test('a list whose items come and go does not grow, and goes on working wherever they go', () => {
  let items: number[] = [];
  for (let turn = 0; turn < 300; turn += 1) {
    items = range(turn * 7, turn * 7 + 40);
    if (turn % 3 === 0) items = items.filter((item) => item % 5 !== turn % 5); // some from its middle
    if (turn % 11 === 0) items.reverse();
    if (turn % 50 === 49) items = [];
    const list = draw(items);
    takeLeftMarkers(list);
    expect(shown(list)).toEqual(items);
    expect(list.childNodes.length).toBeLessThan(3 * items.length + 110);
  }
});
