/**
 * Which rows of a flood are shown while following.
 *
 * Owns: the choice, the same for every viewer of the room. Does not know: the DOM, how rows are drawn, who is reading:
 * whoever scrolls back gets all. Units: program time in ms.
 */

import { MESSAGE_KINDS, type ChatEvent } from './protocol.js';

/** What a person can still read in a second; above it, rows are left out and counted. */
export const ROWS_A_SECOND = 20;

/** Stands for what was left out of a second. */
export interface LeftOut {
  readonly left: number;
  readonly second: number;
}

export type ListRow = ChatEvent | LeftOut;

export const isLeftOut = (row: ListRow): row is LeftOut => 'left' in row;

/** One number from a text, for the seed (FNV-1a). */
export function seedOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return hash >>> 0;
}

function hashOf(offset: number, seed: number): number {
  let mixed = Math.imul(offset ^ seed, 0x9e3779b1);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x85ebca6b);
  return (mixed ^ (mixed >>> 13)) >>> 0;
}

/**
 * At most `ROWS_A_SECOND` messages of every second of the programme, chosen by hash, and a row that counts the others.
 *
 * @param isKept what is never left out: staff, questions, one's own.
 */
export function sampled(rows: readonly ChatEvent[], seed: number, isKept: (row: ChatEvent) => boolean): readonly ListRow[] {
  const seconds = new Map<number, ChatEvent[]>();
  let isCrowded = false;
  for (const row of rows) {
    if (!MESSAGE_KINDS.has(row.kind)) continue;
    const second = Math.floor(row.programMs / 1000);
    const held = seconds.get(second);
    if (held === undefined) seconds.set(second, [row]);
    else if (held.push(row) > ROWS_A_SECOND) isCrowded = true;
  }
  if (!isCrowded) return rows;
  const out = new Set<ChatEvent>();
  const counts = new Map<ChatEvent, LeftOut>(); // by the row it stands behind
  for (const [second, held] of seconds) {
    if (held.length <= ROWS_A_SECOND) continue;
    const kept = held.filter(isKept);
    const others = held.filter((row) => !isKept(row)).sort((a, b) => hashOf(a.offset, seed) - hashOf(b.offset, seed));
    const left = others.slice(Math.max(0, ROWS_A_SECOND - kept.length));
    for (const row of left) out.add(row);
    if (left.length > 0) counts.set(held[held.length - 1]!, { left: left.length, second });
  }
  const shown: ListRow[] = [];
  for (const row of rows) {
    if (!out.has(row)) shown.push(row);
    const count = counts.get(row);
    if (count !== undefined) shown.push(count);
  }
  return shown;
}
