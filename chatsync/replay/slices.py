"""Slices: where a broadcast's events are cut, and what a slice prints.

Owns: cutting past the watermark, the place of late events, the JSON of a slice. Does not know: files, caches, SQL.
Units: slice ranges are whole seconds of program time, printed in ms; µs inside. Source: contract §3.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from chatsync.chat.event import Author, Event, Position, Visibility, visibility_of
from chatsync.chat.wire import event_to_wire, position_to_wire
from chatsync.instants import SECOND_US, Range, ms_from_us, whole_second_us
from chatsync.replay.state import RoomState
from chatsync.replay.tallies import Counted, Counting

__all__ = [
    "EVENTS_MAX",
    "LONG_US",
    "QUIET_EVENTS",
    "USUAL_US",
    "Authors",
    "counted",
    "cut",
    "encoded_slice",
    "is_sliced",
    "late_range",
    "sealed_until_us",
]

EVENTS_MAX = 1_000  # a slice is cut at the first whole second that brings it to this
USUAL_US = 60 * SECOND_US  # else after so long
QUIET_EVENTS = 50  # with fewer events than this it goes on
LONG_US = 600 * SECOND_US  # up to so long


def is_sliced(event: Event) -> bool:
    """Whether a public slice prints this event."""
    return not event.hidden and visibility_of(event.kind) is Visibility.PUBLIC and "to" not in event.details


def cut(placed_us: Sequence[int], *, watermark_us: int) -> list[Range]:
    """The slices that can be cut from what is not sealed yet.

    Args:
        placed_us: program times of the unsealed events, sorted.
        watermark_us: nothing at or after it may be cut.

    Returns:
        Ranges in order; each starts at the whole second of its first event and never changes afterwards.
    """
    ranges: list[Range] = []
    first = 0
    while first < len(placed_us):
        start_us = whole_second_us(placed_us[first])
        end_us = _end_us(placed_us, first, start_us)
        if end_us > watermark_us:
            break
        ranges.append(Range(start_us, end_us))
        first = _first_at_or_after(placed_us, end_us, first)
    return ranges


def _end_us(placed_us: Sequence[int], first: int, start_us: int) -> int:
    """The first whole second that ends the slice; the future events it does not see yet lie past the watermark."""
    full = first + EVENTS_MAX - 1
    full_us = whole_second_us(placed_us[full]) + SECOND_US if full < len(placed_us) else None
    usual_us = start_us + USUAL_US
    if full_us is not None and full_us <= usual_us:
        return full_us
    if _first_at_or_after(placed_us, usual_us, first) - first >= QUIET_EVENTS:
        return usual_us
    quiet = first + QUIET_EVENTS - 1
    long_us = start_us + LONG_US
    if quiet < len(placed_us):
        return min(whole_second_us(placed_us[quiet]) + SECOND_US, long_us)
    return long_us


def _first_at_or_after(placed_us: Sequence[int], instant_us: int, low: int) -> int:
    return bisect_right(placed_us, instant_us - 1, lo=low)


def sealed_until_us(unsealed_us: Sequence[int], *, watermark_us: int, before_us: int | None) -> int:
    """Up to where everything is sealed: the second of the first unsealed event, else the watermark; it never falls.

    Args:
        unsealed_us: program times of events that no slice holds, sorted, after cutting.
        watermark_us: as used for cutting.
        before_us: the value before, None at first.
    """
    mark_us = whole_second_us(watermark_us)
    if unsealed_us:
        mark_us = min(mark_us, whole_second_us(unsealed_us[0]))
    return mark_us if before_us is None else max(mark_us, before_us)


def late_range(program_us: int, neighbours: Sequence[Range]) -> Range:
    """The slice of its own second for a late event in empty time, clipped by its neighbours.

    Args:
        program_us: where the event stands.
        neighbours: slices of the broadcast, in order; none of them covers ``program_us``.
    """
    start_us = whole_second_us(program_us)
    end_us = start_us + SECOND_US
    for other in neighbours:
        if other.end_us <= program_us:
            start_us = max(start_us, other.end_us)
        elif other.start_us > program_us:
            end_us = min(end_us, other.start_us)
    return Range(start_us, end_us)


class Authors:
    """The table of authors a slice prints once; events point into it by index."""

    def __init__(self) -> None:
        self._index: dict[Author, int] = {}

    def index(self, author: Author) -> int:
        """The author's index, new ones at the end."""
        return self._index.setdefault(author, len(self._index))

    def to_wire(self) -> list[dict[str, Any]]:
        """The table as JSON values."""
        return [msgspec.to_builtins(author) for author in self._index]


def counted(events: Iterable[Event], state: RoomState) -> Counted:
    """Upvotes and votes within a slice, and what its ``poll_closed`` print.

    Args:
        events: the slice's events by (program time, offset), hidden ones too.
        state: the state the slice opens with.
    """
    return Counting(state.open_questions(), state.open_polls(), state.newest_upvotes()).counted(events)


def encoded_slice(
    *,
    room: str,
    broadcast: int,
    within: Range,
    position: Position,
    revision: int | None,
    state: RoomState,
    events: Sequence[Event],
    counts: Counted | None = None,
    gone: Sequence[int] | None = None,
    listed: tuple[int, int | None] | None = None,
) -> bytes:
    """The JSON of a slice, or of the open slice.

    Args:
        room: the room's id.
        broadcast: its airing.
        within: the range of program time; of the open slice, from ``from_ms`` to the clock.
        position: the log as of which it was made; nothing later is in it.
        revision: None for the open slice.
        state: fold of the events before ``within``.
        events: all of the range, hidden and staff ones too, by (program time, offset): this function picks.
        counts: only for the open slice: what is told of what it counts.
        gone: only for the open slice: offsets that a client must drop.
        listed: only for the open slice: ``version`` and ``sealed_until_ms`` of the chat playlist as it is now.

    Returns:
        UTF-8 JSON. Cost: about 2 µs an event.
    """
    authors = Authors()
    counts = counted(events, state) if counts is None else counts
    printed = [
        event_to_wire(event, author=None if event.author is None else authors.index(event.author), with_broadcast=False)
        | counts.finals.get(event.offset, {})
        for event in events
        if is_sliced(event)
    ]
    body: dict[str, Any] = {
        "room": room,
        "broadcast": broadcast,
        "start_ms": ms_from_us(within.start_us),
        "end_ms": ms_from_us(within.end_us),
        "epoch": str(position.epoch),
        **({} if revision is None else {"revision": revision}),
        "as_of": position_to_wire(position),
        **({} if listed is None else {"version": listed[0], "sealed_until_ms": listed[1]}),
        "state": state.to_wire(authors.index),
        "authors": authors.to_wire(),
        "events": printed,
        "tallies": counts.tallies,
        **({} if gone is None else {"gone": list(gone)}),
    }
    return msgspec.json.encode(body)
