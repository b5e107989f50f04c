/**
 * What a viewer's browser remembers of a room: whom they do not want to read, and by how much the chat is late.
 *
 * Owns: the names under which it is kept. A browser that keeps nothing (a frame without storage) forgets at the end.
 */

const MUTED_MAX = 200;

export class ChatMemory {
  readonly #name: string;
  #muted: ReadonlyMap<string, string>; // key → name
  #delayMs: number;

  constructor(server: string, room: string) {
    this.#name = `chatsync ${server} ${room}`;
    const kept = read(this.#name);
    this.#delayMs = Number.isFinite(kept.delayMs) ? Number(kept.delayMs) : 0;
    this.#muted = new Map(Array.isArray(kept.muted) ? kept.muted.filter((one): one is [string, string] => Array.isArray(one) && typeof one[0] === 'string') : []);
  }

  /** Authors whose messages this viewer does not see, with the names they had. */
  get muted(): ReadonlyMap<string, string> {
    return this.#muted;
  }

  /** By how much the chat comes later than program time says; negative: earlier. */
  get delayMs(): number {
    return this.#delayMs;
  }

  set delayMs(delayMs: number) {
    this.#delayMs = delayMs;
    this.#keep();
  }

  mute(key: string, name: string): void {
    this.#muted = new Map([...this.#muted, [key, name] as const].slice(-MUTED_MAX));
    this.#keep();
  }

  unmute(key: string): void {
    this.#muted = new Map([...this.#muted].filter(([muted]) => muted !== key));
    this.#keep();
  }

  #keep(): void {
    try {
      localStorage.setItem(this.#name, JSON.stringify({ delayMs: this.#delayMs, muted: [...this.#muted] }));
    } catch {
      // Storage is forbidden or full: it holds until the page is left.
    }
  }
}

function read(name: string): { delayMs?: unknown; muted?: unknown } {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(name) ?? 'null');
    return typeof kept === 'object' && kept !== null ? kept : {};
  } catch {
    return {};
  }
}
