import { expect, test } from 'vitest';
import type { ChatEvent } from '../src/protocol.js';
import { StaffPast } from '../src/staff-past.js';
import { AUTHORS, chatEvent, T0, wireEvent } from './builders.js';

const more = (fields: Record<string, unknown>) => fields as never;
const taken = { by: AUTHORS[0], reason: 'off topic' };

/** Six hours, a message a minute; every tenth is hidden, every hundredth held, one was reported. Answers as the relay does, forwards. */
class Room {
  readonly asked: URLSearchParams[] = [];
  version = 1;
  latest: number | null = 1;
  listed = [{ broadcast: 1, startMs: T0 }];
  arrivals: readonly ChatEvent[];
  readonly hidden = new Set<number>();
  isDown = false;
  readonly #log = Array.from({ length: 360 }, (_, minute) => {
    const fields = minute % 100 === 99 ? { kind: 'held' } : minute % 10 === 5 ? { hidden: taken } : minute === 301 ? { kind: 'reported', target: 8 } : {};
    return wireEvent(minute + 1, T0 + minute * 60_000, more(fields));
  });

  constructor() {
    this.arrivals = this.#log.slice(-20).filter((one) => !('hidden' in one)).map((one) => chatEvent(one.offset, one.program_ms, one));
  }

  get room(): this {
    return this;
  }

  isHidden(offset: number): boolean {
    return this.hidden.has(offset);
  }

  async read(path: string): Promise<unknown> {
    await Promise.resolve();
    if (this.isDown) throw new Error('down');
    const query = new URLSearchParams(path.split('?')[1]);
    this.asked.push(query);
    const bound = (name: string, otherwise: number): number => Number(query.get(name) ?? otherwise);
    const within = this.#log.filter((one) => bound('from_ms', 0) <= one.program_ms && one.program_ms < bound('to_ms', Infinity));
    const start = bound('cursor', 0);
    const next = start + 7;
    return { messages: within.slice(start, next), cursor: next < within.length ? String(next) : null };
  }

  told(event: ChatEvent): void {
    this.version += 1;
    this.arrivals = [...this.arrivals.filter((one) => !this.hidden.has(one.offset)), event];
  }
}

test('looks back a stretch at a time, to the beginning, and asks for nothing twice', async () => {
  const room = new Room();
  const past = new StaffPast(room, () => undefined);
  past.look();
  await Promise.resolve();
  await past.earlier();
  const counts: number[] = [];
  for (let tries = 0; past.state !== 'all' && tries < 40; tries += 1) {
    await past.earlier();
    counts.push(past.look().hidden.length);
  }
  expect(past.state).toBe('all');
  expect(past.look().hidden.length).toBe(36);
  expect(past.look().held.map((one) => one.offset)).toEqual([100, 200, 300]);
  expect(past.look().hidden[0]).toMatchObject({ by: 'Ms Ada', reason: 'off topic' });
  expect(past.look().reports.map((one) => past.event(one.target!)?.text)).toEqual(['text 8']);
  expect(counts).toEqual([...counts].sort((a, b) => a - b));
  const firsts = room.asked.filter((query) => !query.has('cursor'));
  expect(new Set(firsts.map(String)).size).toBe(firsts.length);
  expect(firsts.every((query, index) => index === 0 || query.get('to_ms') === firsts[index - 1]!.get('from_ms'))).toBe(true);
  expect(room.asked.every((query) => query.get('class') === 'staff' && query.get('broadcast') === '1')).toBe(true);
});

test('what is hidden and restored meanwhile is told by the socket', () => {
  const room = new Room();
  const past = new StaffPast(room, () => undefined);
  past.look();
  const [first] = room.arrivals;
  room.hidden.add(first!.offset);
  room.told(chatEvent(900, T0, more({ kind: 'hidden', target: first!.offset, author: 0, reason: 'spam' })));
  expect(past.look().hidden).toEqual([{ event: first, by: 'Ms Ada', reason: 'spam' }]);
  room.hidden.delete(first!.offset);
  room.told(chatEvent(901, T0, more({ kind: 'restored', target: first!.offset })));
  room.told(first!);
  expect(past.look().hidden).toEqual([]);
});

test('what could not be read is asked for again', async () => {
  const room = new Room();
  room.isDown = true;
  const past = new StaffPast(room, () => undefined);
  past.look();
  await past.earlier();
  expect(past.state).toBe('failed');
  room.isDown = false;
  await past.earlier();
  expect(past.look().hidden.length).toBeGreaterThan(0);
});
