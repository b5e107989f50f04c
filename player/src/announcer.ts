/**
 * What is read out: how many messages are new, at most every 3 s.
 *
 * Owns: the count and its timer. Does not know: which messages are news, the region that is read.
 */

const ANNOUNCE_EVERY_MS = 3_000;

export class Announcer {
  readonly #say: (count: number) => void;
  #count = 0;
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(say: (count: number) => void) {
    this.#say = say;
  }

  add(): void {
    this.#count += 1;
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      const count = this.#count;
      this.#count = 0;
      this.#say(count);
    }, ANNOUNCE_EVERY_MS);
  }

  /** What was to be said is no news any more. */
  forget(): void {
    this.#count = 0;
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#count = 0;
  }
}
