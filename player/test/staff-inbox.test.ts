import { expect, test } from 'vitest';
import { inboxOf } from '../src/staff-inbox.js';
import { chatEvent, T0 } from './builders.js';

const more = (fields: Record<string, unknown>) => fields as never;
const held = (offset: number) => chatEvent(offset, T0, more({ kind: 'held', text: 'may I?' }));
const offsetsOf = (events: readonly { offset: number }[]): number[] => events.map(({ offset }) => offset);

test('what is held waits until it is approved or rejected', () => {
  const events = [held(1), held(2), held(3), chatEvent(4, T0, more({ held: 1 })), chatEvent(5, T0, more({ kind: 'hidden', target: 2, held: 2 }))];
  expect(offsetsOf(inboxOf(events, () => false).held)).toEqual([3]);
});

test('a report is settled when its message is hidden', () => {
  const events = [1, 2, 3].map((target) => chatEvent(10 + target, T0, more({ kind: 'reported', target })));
  expect(offsetsOf(inboxOf([...events, chatEvent(20, T0, more({ kind: 'hidden', target: 1 }))], (offset) => offset === 2).reports)).toEqual([13]);
});
