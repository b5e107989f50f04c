/**
 * Reactions as they come due: counts of an emoji in a second, to be shown for a moment and forgotten.
 *
 * Owns: which are news. Does not know: how they are drawn, the playhead's source, slices. Units: program time in ms.
 * Source: contract §2 (`reaction`: one event an emoji and program second, logged once a second).
 */

import type { ChatEvent } from './protocol.js';

/** They are logged a second after they were tapped, and travel: so late they still belong to the picture. */
const LATE_MAX_MS = 3_000;
const SEEN_MAX = 1_000;
const TAKEN_MAX = 200; // nobody takes them: the newest are enough

export interface Reaction {
  readonly emoji: string;
  readonly count: number;
  readonly programMs: number;
}

export class ReactionFeed {
  readonly #seen = new Set<number>();
  #news: Reaction[] = [];
  #fromMs = Number.NEGATIVE_INFINITY; // what lies before is no news
  #newestOffset = -1;

  take(): Reaction[] {
    const news = this.#news;
    this.#news = [];
    return news;
  }

  /** @param isElsewhere the playhead was taken there: what lies before it is no news. */
  due(events: readonly ChatEvent[], dueCount: number, cutoffMs: number, isElsewhere: boolean): void {
    if (isElsewhere || this.#fromMs === Number.NEGATIVE_INFINITY) {
      this.#fromMs = cutoffMs;
      this.#news = [];
    }
    const fromMs = Math.max(this.#fromMs, cutoffMs - LATE_MAX_MS);
    for (let index = dueCount - 1; index >= 0; index -= 1) {
      const event = events[index]!;
      if (event.programMs <= fromMs) break;
      if (event.kind === 'reaction') this.#add(event);
    }
  }

  /** Without a playhead: by arrival. @param isBasing these were there before. */
  arrived(events: readonly ChatEvent[], isBasing: boolean): void {
    for (const event of events) {
      if (event.offset <= this.#newestOffset) continue;
      this.#newestOffset = event.offset;
      if (event.kind === 'reaction' && !isBasing) this.#add(event);
    }
  }

  #add(event: ChatEvent): void {
    if (this.#seen.has(event.offset)) return;
    this.#seen.add(event.offset);
    if (this.#seen.size > SEEN_MAX) for (const offset of [...this.#seen].slice(0, SEEN_MAX / 2)) this.#seen.delete(offset);
    const { emoji, count } = event.details ?? {};
    if (typeof emoji !== 'string' || !Number.isSafeInteger(count) || (count as number) < 1) return;
    this.#news.push({ emoji, count: count as number, programMs: event.programMs });
    if (this.#news.length > TAKEN_MAX) this.#news.shift();
  }
}
