/**
 * A stream of twelve hours with 1,000 messages to a slice, 20 a second and for its last hour 200; and ten minutes of 200 a
 * second from the socket: what is held stays bounded. What is bounded counts messages, so that more of them in the first
 * eleven hours would take longer and show nothing more.
 */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import type { WireEvent, WirePlaylist, WireSlice } from '../src/protocol.js';
import { eventsFromWire } from '../src/protocol.js';
import { VisibleRows } from '../src/replay.js';
import { RoomCache } from '../src/room-cache.js';
import type { Wanted } from '../src/slice-cache.js';
import { at, AUTHORS, T0 } from './builders.js';

const HOUR_MS = 3_600_000;
const LIVELY_MS = T0 + 11 * HOUR_MS; // from here on 200 a second
const END_MS = T0 + 12 * HOUR_MS;
const SLICE_EVENTS = 1_000;
const EVENTS_HELD_MAX = 60_000; // 20,000 of slices, 30,000 of a tail that nobody says to be sealed, and what comes at once
const HEAP_MAX_BYTES = 50_000_000;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

function heapBytes(): number {
  collect();
  return process.memoryUsage().heapUsed;
}

const everyMs = (programMs: number): number => (programMs < LIVELY_MS ? 50 : 5);
const sliceMs = (startMs: number): number => SLICE_EVENTS * everyMs(startMs);
const offsetAt = (programMs: number): number => 1 + (Math.min(programMs, LIVELY_MS) - T0) / 50 + Math.max(0, programMs - LIVELY_MS) / 5;

function said(fromMs: number, toMs: number): WireEvent[] {
  const events: WireEvent[] = [];
  let offset = offsetAt(fromMs);
  for (let programMs = fromMs; programMs < toMs; programMs += everyMs(programMs)) {
    events.push({ offset, kind: 'message', id: `id-${offset}`, program_ms: programMs, author: offset % AUTHORS.length, text: `what ${offset} said` });
    offset += 1;
  }
  return events;
}

function playlist(sealedUntilMs: number, fromMs: number): WirePlaylist {
  const slices = [];
  for (let startMs = fromMs; startMs < sealedUntilMs; startMs += sliceMs(startMs)) {
    slices.push({ start_ms: startMs, end_ms: startMs + sliceMs(startMs), events: SLICE_EVENTS, messages: SLICE_EVENTS, epoch: '1', revision: 1 });
  }
  return {
    ...{ room: 'r', broadcast: 1, live: true, epoch: '1', version: sealedUntilMs, as_of: { epoch: '1', offset: offsetAt(sealedUntilMs) }, start_ms: fromMs },
    ...{ sealed_until_ms: sealedUntilMs, reload_ms: 1000, earlier: fromMs > T0, base: '/s/', slices, broadcasts: [{ broadcast: 1, start_ms: T0 }] },
  };
}

function slice(startMs: number, endMs: number): WireSlice {
  const as_of = { epoch: '1', offset: offsetAt(endMs) };
  return { broadcast: 1, start_ms: startMs, end_ms: endMs, epoch: '1', revision: 1, as_of, authors: [...AUTHORS], events: said(startMs, endMs), state: {}, tallies: [] };
}

describe('twelve hours', () => {
  test('played from slices, no more is held than a bounded stretch, and nothing is loaded twice', () => {
    const room = new RoomCache();
    const rows = new VisibleRows(room);
    room.receivePlaylist(playlist(END_MS, T0), 0);
    const asked: number[] = [];
    const answer = (wanted: Wanted): void => {
      if (wanted.what !== 'slice') return;
      asked.push(wanted.entry.startMs);
      room.broadcast(1).receiveSlice(slice(wanted.entry.startMs, wanted.entry.endMs));
    };
    const before = heapBytes();
    let held = 0;
    for (let programMs = T0; programMs < END_MS - 1_000; programMs += sliceMs(programMs) / 2) {
      rows.advance(at(programMs), 'hold');
      for (const wanted of rows.wanted()) answer(wanted);
      rows.advance(at(programMs), 'hold');
      held = Math.max(held, room.broadcast(1).events.length);
    }
    expect(held).toBeLessThan(EVENTS_HELD_MAX);
    expect(rows.rows.length).toBeLessThanOrEqual(1_000);
    expect(rows.rows.at(-1)!.programMs).toBe(END_MS - 2_500);
    expect(asked.length).toBe(new Set(asked).size);
    expect(heapBytes() - before).toBeLessThan(HEAP_MAX_BYTES);
  }, 60_000);

  test.each(['hold', 'now'] as const)('followed by the socket, %s, the tail is bounded', (mode) => {
    const room = new RoomCache();
    const rows = new VisibleRows(room);
    room.socketFrom = offsetAt(LIVELY_MS);
    room.setLatest(1);
    if (mode === 'hold') {
      room.receivePlaylist(playlist(LIVELY_MS, LIVELY_MS), 0);
      room.broadcast(1).receiveOpen({ ...slice(LIVELY_MS, LIVELY_MS + 5), revision: 0 }, null, 0);
    }
    const before = heapBytes();
    let held = 0;
    for (let clockMs = LIVELY_MS; clockMs < LIVELY_MS + HOUR_MS / 6; clockMs += 250) {
      const events = eventsFromWire(said(clockMs, clockMs + 250), 1, AUTHORS);
      room.receiveTail(events);
      rows.receiveLive(events);
      rows.advance(at(clockMs - 10_000), mode);
      const ageMs = clockMs - LIVELY_MS;
      if (mode === 'hold' && ageMs > 40_000 && ageMs % 60_000 === 0) room.receivePlaylist(playlist(clockMs - 40_000, LIVELY_MS), 0);
      held = Math.max(held, room.broadcast(1).events.length);
    }
    expect(held).toBeLessThan(EVENTS_HELD_MAX);
    expect(rows.rows.length).toBeLessThanOrEqual(1_000);
    expect(rows.takeAppended().length).toBeLessThanOrEqual(1_000);
    expect(heapBytes() - before).toBeLessThan(HEAP_MAX_BYTES);
  }, 60_000);
});
