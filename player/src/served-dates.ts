/**
 * When a segment was, where the player's own list does not say so: by the relay's timeline and the segment's media sequence.
 *
 * Owns: which of a player's dates are not to be believed, and what stands in for them. Does not know: players, the network, clocks,
 * what is shown. Loaded when a list first needs it (later.ts). Units: ms; program time is ms since the Unix epoch.
 * Source: the timing design, §13; contract §1 ("players map media sequence by …/timeline").
 *
 * A date that is written at the segment itself is the encoder's, and the relay goes by the same. What a player puts at the others is
 * right as long as the media runs on from a written one. Counted back from a later one, or on across a discontinuity, it is off
 * by the size of the jump that lies between; and where the dated segments have left the window there is nothing to count from. The
 * relay has followed the stream from its beginning and knows.
 */

/** A segment as a player lists it. */
export interface ListedSegment {
  readonly sequence: number | null;
  /** The date the player goes by, however it came to it. */
  readonly ownMs: number | null;
  /** Whether the playlist gives this segment a date of its own. */
  readonly isWritten: boolean;
  readonly isDiscontinuous: boolean;
  readonly durationMs: number;
  /** Where its first picture lies on the player's axis, if it was placed there. */
  readonly startMs: number | null;
}

export interface ListedSegments {
  readonly length: number;
  at(index: number): ListedSegment;
}

/** Program time of the first picture of a segment; null while it is not known. */
export type DateOf = (list: ListedSegments, index: number) => number | null;

export interface WireTimeline {
  segments: { run: number; media_sequence: number; program_ms: number | null; duration_ms: number }[];
}

export interface ServedDatesOptions {
  /** Segments of the relay's newest run from a media sequence on. */
  readonly read: (fromSequence: number) => Promise<WireTimeline>;
  /** Something came: look again. */
  readonly onAnswer: () => void;
  readonly monotonicMs: () => number;
}

/** What the relay refuses too (chatsync/hls): dates of 1970 that packagers write, and those of the far future. */
const OLDEST_MS = Date.UTC(1990);
const NEWEST_MS = Date.UTC(2100);
const RENDITIONS_APART_MS = 1_500; // what renditions of one stream may differ by
const BEYOND_MAX = 3; // segments the player may have before the relay
const READ_EVERY_MS = 2_000;
const AGAIN_AFTER_MS = 10_000; // after a failure
const KEPT_MAX = 20_000;

const isPlausible = (dateMs: number | null): dateMs is number => dateMs !== null && dateMs >= OLDEST_MS && dateMs < NEWEST_MS;

/** Counted on from the newest written date of the same stretch of media; null if it has none. */
function countedOn(list: ListedSegments, index: number): number | null {
  const { startMs } = list.at(index);
  let beforeMs = 0;
  for (let at = index; at >= 0; at -= 1) {
    const one = list.at(at);
    if (at < index) beforeMs += one.durationMs;
    // Declared durations may be rounded to a second; where both lie in the media is not.
    if (one.isWritten && isPlausible(one.ownMs)) return one.ownMs + (startMs !== null && one.startMs !== null ? startMs - one.startMs : beforeMs);
    if (one.isDiscontinuous) return null;
  }
  return null;
}

/** The written date nearest to a segment, and the media sequence it stands at. */
function nearestWritten(list: ListedSegments, index: number): { readonly sequence: number; readonly dateMs: number } | null {
  for (let step = 0; step < list.length; step += 1) {
    for (const at of [index - step, index + step]) {
      if (at < 0 || at >= list.length) continue;
      const { sequence, ownMs, isWritten } = list.at(at);
      if (sequence !== null && isWritten && isPlausible(ownMs)) return { sequence, dateMs: ownMs };
    }
  }
  return null;
}

export class ServedDates {
  readonly #options: ServedDatesOptions;
  readonly #dates = new Map<number, number>();
  #run: number | null = null;
  #newest = -1; // media sequence
  #hasAnswered = false;
  #lacksEarlier = false; // of a new run only the end was asked for
  #isReading = false;
  #readAgainAtMs = -Infinity;

  constructor(options: ServedDatesOptions) {
    this.#options = options;
  }

  /** null while it is not known: nobody guesses. Where the relay does not know either, the player's own date. */
  readonly dateOf: DateOf = (list, index) => {
    const counted = countedOn(list, index);
    if (counted !== null) return counted;
    const { sequence, ownMs } = list.at(index);
    const ownOrNull = isPlausible(ownMs) ? ownMs : null;
    if (sequence === null) return ownOrNull;
    const first = list.at(0).sequence ?? sequence;
    const isOtherRun = this.#newest - (list.at(list.length - 1).sequence ?? sequence) > list.length;
    if (isOtherRun || this.#lacksEarlier) this.#read(first);
    else if (sequence >= this.#newest) this.#read(Math.max(first, this.#newest - BEYOND_MAX)); // the next one will be wanted soon
    if (!this.#hasAnswered) return null;
    const served = isOtherRun ? null : this.#served(list, index, sequence);
    return served !== null && this.#isSameStream(list, index) ? served : ownOrNull;
  };

  #served(list: ListedSegments, index: number, sequence: number): number | null {
    let dateMs = this.#dates.get(sequence);
    let beforeMs = 0;
    for (let step = 0; dateMs === undefined && step < BEYOND_MAX; step += 1) {
      if (sequence - step <= this.#newest || index - step <= 0 || list.at(index - step).isDiscontinuous) return null;
      beforeMs += list.at(index - step - 1).durationMs;
      dateMs = this.#dates.get(sequence - step - 1);
    }
    return dateMs === undefined ? null : dateMs + beforeMs;
  }

  /** Another rendition may count otherwise. */
  #isSameStream(list: ListedSegments, index: number): boolean {
    const written = nearestWritten(list, index);
    const served = written === null ? undefined : this.#dates.get(written.sequence);
    return written === null || served === undefined || Math.abs(served - written.dateMs) <= RENDITIONS_APART_MS;
  }

  #read(fromSequence: number): void {
    const now = this.#options.monotonicMs();
    if (this.#isReading || now < this.#readAgainAtMs) return;
    this.#isReading = true;
    this.#readAgainAtMs = now + READ_EVERY_MS;
    const isAll = !this.#hasAnswered || this.#lacksEarlier;
    this.#options
      .read(Math.max(0, fromSequence))
      .then(
        ({ segments }) => {
          this.#lacksEarlier = this.#receive(segments) && !isAll;
        },
        () => {
          this.#readAgainAtMs = this.#options.monotonicMs() + AGAIN_AFTER_MS;
        },
      )
      .finally(() => {
        this.#isReading = false;
        this.#hasAnswered = true;
        this.#options.onAnswer();
      });
  }

  /** @returns whether the encoder has begun anew since. */
  #receive(segments: WireTimeline['segments']): boolean {
    const before = this.#run;
    for (const { run, media_sequence: sequence, program_ms: dateMs } of segments) {
      if (run !== this.#run) {
        this.#run = run;
        this.#dates.clear();
        this.#newest = -1;
      }
      if (dateMs === null) continue;
      this.#dates.set(sequence, dateMs);
      this.#newest = Math.max(this.#newest, sequence);
    }
    for (const oldest of this.#dates.keys()) {
      if (this.#dates.size <= KEPT_MAX) break;
      this.#dates.delete(oldest);
    }
    return before !== null && before !== this.#run;
  }
}
