/**
 * What waits for those who run the room: messages held for approval, and reports.
 *
 * Owns: which of them are settled. Does not know: the socket, the DOM. Source: contract §2 (`held`, `reported`, `hidden`).
 */

import type { ChatEvent } from './protocol.js';

export interface StaffInbox {
  readonly held: readonly ChatEvent[];
  readonly reports: readonly ChatEvent[];
}

/**
 * @param events of the room by offset, with those only staff may see.
 * @param isHidden whether a moderator has taken an offset away: then nothing is left to report.
 */
export function inboxOf(events: readonly ChatEvent[], isHidden: (offset: number) => boolean): StaffInbox {
  const settled = new Set<number>();
  for (const event of events) {
    const held = event.details?.['held']; // approved, it says which it was; rejected, so does the deed
    if (typeof held === 'number') settled.add(held);
    if (event.kind === 'hidden' && event.target !== null) settled.add(event.target);
  }
  return {
    held: events.filter((event) => event.kind === 'held' && !settled.has(event.offset)),
    reports: events.filter((event) => event.kind === 'reported' && event.target !== null && !settled.has(event.target) && !isHidden(event.target)),
  };
}
