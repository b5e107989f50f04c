/**
 * What the adapters of players that keep a list of dated segments have in common.
 *
 * Owns: tolerances at a segment's end, dates without a zone, what counts as a jump, when an encoder has begun anew. Does not know:
 * any player. Units: as named.
 */

/** The last frames of a segment may lie a little past its declared end. */
export const END_TOLERANCE_S = 0.25;

/** Waiting this close to the end of what is listed means having played all there is. */
export const EDGE_S = 0.5;

/** Program time that moves otherwise than the picture by more than this has jumped. */
export const JUMP_MS = 1_500;

/** Dates before are no dates: packagers count from 1970. The relay refuses them too. */
export const MS_OF_1990 = 631_152_000_000;

/**
 * Browsers read a date without a zone in the viewer's zone, the relay in UTC: how much to add.
 *
 * @param index of the segment; the newest written date at or before it decides.
 * @param rawDateAt the date of a segment as it was written, if it was.
 */
export function zoneShiftMs(index: number, rawDateAt: (index: number) => string | null | undefined): number {
  for (let at = index; at >= 0; at -= 1) {
    const raw = rawDateAt(at);
    if (typeof raw !== 'string' || raw === '') continue;
    if (/(?:[zZ]|[+-]\d\d:?\d\d)\s*$/.test(raw)) return 0;
    const shift = Date.parse(`${raw.trim()}Z`) - Date.parse(raw.trim());
    return Number.isFinite(shift) ? shift : 0;
  }
  return 0;
}

export interface AdapterOptions {
  /**
   * The encoder has begun to count anew, and the player will not follow by itself: open the stream again. Called once for each
   * adapter or source. Until then the adapter knows nothing, since the player's list is no longer of the media on screen.
   */
  readonly onRestart?: () => void;
}

/**
 * Tells an encoder that begins anew from a list that is merely old: its numbers have fallen, and yet its dates go on.
 *
 * hls.js and VHS both stop at the end of what they have when that happens, without an error that says so.
 */
export class RestartWatch {
  readonly #onRestart: (() => void) | undefined;
  readonly #newest = new Map<string, { readonly sequence: number; readonly dateMs: number }>(); // renditions count for themselves
  #list: object | null = null;
  #hasRestarted = false;

  constructor(onRestart: (() => void) | undefined) {
    this.#onRestart = onRestart;
  }

  get hasRestarted(): boolean {
    return this.#hasRestarted;
  }

  /** Another source was opened. */
  reset(): void {
    this.#newest.clear();
    this.#list = null;
    this.#hasRestarted = false;
  }

  /** @param list the player's, told by identity whether it is new. @param url of the rendition. @param newest what it lists last. */
  look(list: object, url: string | undefined, newest: () => { readonly sequence: number; readonly dateMs: number } | null): void {
    if (list === this.#list) return;
    this.#list = list;
    const rendition = url?.split('?')[0] ?? '';
    const known = this.#newest.get(rendition);
    const now = newest();
    if (now === null) return;
    if (known !== undefined && now.sequence < known.sequence) {
      if (now.dateMs <= known.dateMs || this.#hasRestarted) return; // an old copy
      this.#hasRestarted = true;
      if (this.#onRestart !== undefined) queueMicrotask(this.#onRestart); // not in the middle of a look at the pane
      return;
    }
    this.#newest.set(rendition, now);
  }
}
