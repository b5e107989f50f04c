/**
 * A player whose clock is known to be wrong by so much: the chat of a stream that somebody else dates.
 *
 * Owns: moving program time both ways. Does not know: how it was found (the viewer sets it), the player. Units: ms.
 */

import type { PlayheadAdapter } from './playhead.js';
import type { WireSpan } from './protocol.js';
import type { DateOf } from './served-dates.js';

/** @param delayMs by how much the chat is to come later. Media sequence is not passed on: it would lead to the wrong date. */
export function delayed(adapter: PlayheadAdapter, delayMs: number): PlayheadAdapter {
  if (delayMs === 0) return adapter;
  const mapped = adapter as { setSpans?: (spans: readonly WireSpan[]) => void; dateOf?: DateOf | null };
  return {
    address() {
      const address = adapter.address();
      if (address?.programTimeMs === undefined) return address;
      const { mediaSequence: _sequence, intoSegmentMs: _into, ...rest } = address;
      return { ...rest, programTimeMs: address.programTimeMs - delayMs };
    },
    media: () => adapter.media(),
    seekableRange: () => adapter.seekableRange(),
    livePointMs() {
      const liveMs = adapter.livePointMs();
      return liveMs === null ? null : liveMs - delayMs;
    },
    seekTo: (programTimeMs) => adapter.seekTo(programTimeMs + delayMs),
    seekToLive: () => adapter.seekToLive(),
    subscribe: (onChange) => adapter.subscribe(onChange),
    destroy: () => adapter.destroy(),
    set dateOf(dateOf: DateOf | null) {
      if ('dateOf' in mapped) mapped.dateOf = dateOf;
    },
    ...(mapped.setSpans === undefined ? {} : { setSpans: (spans: readonly WireSpan[]) => mapped.setSpans!(spans) }),
  };
}
