"""The pulse of a class: how much is said in each minute of its program, how often it was lost, and how far behind the pictures are.

Owns: counts by minute of program time, what is usual, where pictures are as a whole. Does not know: who asks, connections, where counts come from after a start.
Units: µs of program time; ``behind_us`` is how far a picture is behind the program clock. Source: contract §2 (reactions), issue on rooms (the host's panel).

It is a gauge and no record: what was hidden after it was said stays counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

import msgspec

from chatsync.chat.event import MESSAGE_KINDS, Event
from chatsync.instants import MINUTE_US, SECOND_US
from chatsync.replay.stamping import Playhead

__all__ = ["LOST", "MINUTES_KEPT", "PACE_MINUTES", "Behind", "Minute", "Pulse", "behind", "usual_per_minute"]

LOST = "❓"
"""The reaction that says: you lost me."""
MINUTES_KEPT = 60
PACE_MINUTES = 3  # over how many whole minutes the pace is taken: one alone jumps about
_REPORT_US = (
    30 * SECOND_US
)  # a player that said nothing for so long is gone, or throttled: it reports every ten seconds
_AT_CLOCK_US = 5 * SECOND_US  # more than the room's usual latency by so much is behind


class Minute(msgspec.Struct, gc=False):
    """A minute of program time."""

    start_us: int
    messages: int = 0
    lost: int = 0  # taps


class Pulse:
    """Counts of the newest hour of a broadcast.

    Args:
        known: minutes that were counted before, in any order.
    """

    def __init__(self, known: Iterable[Minute] = ()) -> None:
        self._minutes = {minute.start_us: minute for minute in known}

    def take(self, event: Event) -> None:
        """Count an event of the broadcast, in whatever order; most kinds count for nothing."""
        says, lost = event.kind in MESSAGE_KINDS and "to" not in event.details, _taps(event)
        if not says and not lost:
            return
        start_us = event.program_us - event.program_us % MINUTE_US
        minute = self._minutes.setdefault(start_us, Minute(start_us))
        minute.messages += says
        minute.lost += lost
        if len(self._minutes) > 2 * MINUTES_KEPT:
            newest = sorted(self._minutes)[-MINUTES_KEPT:]
            self._minutes = {start_us: self._minutes[start_us] for start_us in newest}

    def minutes(self, now_us: int) -> list[Minute]:
        """The newest hour to the minute that is still going on, also where nothing was said, from the first that is known.

        Args:
            now_us: the program clock.
        """
        last_us = now_us - now_us % MINUTE_US
        known = [start_us for start_us in self._minutes if last_us - MINUTES_KEPT * MINUTE_US < start_us <= last_us]
        first_us = min(known, default=last_us)
        return [
            self._minutes.get(start_us, Minute(start_us))
            for start_us in range(first_us, last_us + MINUTE_US, MINUTE_US)
        ]

    def per_minute(self, now_us: int) -> float:
        """What is said in a minute, over the last whole ones; before there is one, what was said so far."""
        *whole, going_on = self.minutes(now_us)
        last = whole[-PACE_MINUTES:] or [going_on]
        return sum(minute.messages for minute in last) / len(last)


def _taps(event: Event) -> int:
    return int(event.details.get("count", 1)) if event.kind == "reaction" and event.details.get("emoji") == LOST else 0


def usual_per_minute(airings: Iterable[tuple[int, int]]) -> float | None:
    """What is usually said in a minute of this class: the median over its earlier airings; None if there was none.

    Args:
        airings: of each, how many messages it had and how long it was, µs. One of less than a minute says nothing.
    """
    paces = [messages * MINUTE_US / length_us for messages, length_us in airings if length_us >= MINUTE_US]
    return median(paces) if paces else None


class Behind(msgspec.Struct, frozen=True):
    """How far pictures are behind the program clock, of those that say where they are."""

    known: int  # viewers whose players have said it lately
    at_live: int
    rewound: int  # further back than the picture's usual latency explains, paused ones too
    paused: int
    p10_us: int | None  # of those at live: a rewound picture is where its viewer wants it
    p50_us: int | None
    p90_us: int | None


def behind(playheads: Iterable[Playhead], broadcast: int, *, clock_us: int, wall_us: int, latency_us: int) -> Behind:
    """Where the pictures of a broadcast are as a whole.

    Args:
        playheads: the last report of each viewer.
        broadcast: the current one; who watches an earlier one is rewound.
        clock_us: its program clock.
        wall_us: steady wall time.
        latency_us: the room's usual latency.

    Cost: O(n log n).
    """
    at_live: list[int] = []
    rewound = paused = 0
    for playhead in playheads:
        if not playhead.paused and wall_us - playhead.wall_us > _REPORT_US:
            continue
        late_us = clock_us - playhead.leads_to_us(wall_us)
        paused += playhead.paused
        if playhead.broadcast == broadcast and not playhead.paused and late_us <= latency_us + _AT_CLOCK_US:
            at_live.append(max(0, late_us))
        else:
            rewound += 1
    at_live.sort()

    def rank(percent: int) -> int | None:
        return at_live[round((len(at_live) - 1) * percent / 100)] if at_live else None

    return Behind(len(at_live) + rewound, len(at_live), rewound, paused, rank(10), rank(50), rank(90))
