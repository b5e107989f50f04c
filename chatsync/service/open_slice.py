"""The open slice: what was said since the seal, for whoever has no socket.

Owns: which events it holds, what is gone, up to which position it speaks. Does not know: HTTP, caches.
Units: µs of program time; positions are offsets. Source: contract §3 (open.json).

The position is paced: while many ask, the answers of one second all speak up to the same position. Whoever polls asks next for what
is newer than that (``after``), so those who polled in one second ask for the same address in the next, and a cache in front of us passes on
one request for all of them. While few ask, every answer is as new as can be. An answer also says which ``version`` of the chat playlist
stands, and up to where is sealed, so that pollers ask for the list only when it has changed, and all go on from the same instant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from chatsync.chat.event import STATE_KINDS, Event, Position
from chatsync.errors import SupersededError
from chatsync.instants import SECOND_US, Range, ms_from_us
from chatsync.replay.slices import counted, encoded_slice
from chatsync.replay.state import RoomState, folded

if TYPE_CHECKING:
    from chatsync.service.live_room import LiveRoom
    from chatsync.service.slice_index import SliceIndex

__all__ = ["FREE_MOVES", "OpenParts", "Pace", "Tail", "open_body", "parts_of", "tail_of"]

FREE_MOVES = 16  # new positions beyond one a second, before it is one a second
_STATES_KEPT = 4  # of one broadcast: pollers ask from the last few values of the seal
_ALL_US = 2**61  # a broadcast that another has followed takes no votes any more
_FREE_EVERY_S = 10  # seconds until one more of them is granted


class Pace:
    """Up to which position the open slices of one room speak."""

    __slots__ = ("_free", "_granted_s", "_position", "_second")

    def __init__(self) -> None:
        self._position: Position | None = None
        self._second = 0
        self._free = FREE_MOVES
        self._granted_s = 0

    def position(self, newest: Position, wall_us: int, *, told_from: int, after: int | None) -> Position:
        """The position to answer with; it never falls within an epoch.

        Args:
            newest: of the room's log.
            wall_us: wall time of the system: a cache on another machine counts the same seconds.
            told_from: below it, newer events and ``gone`` do not tell all that changed.
            after: what the asker has.
        """
        known, second = self._position, wall_us // SECOND_US
        if known == newest:
            return newest
        self._grant(second)
        must = known is None or known.epoch != newest.epoch or known.offset < max(told_from, after or 0)
        if not must and second == self._second:
            if self._free == 0:
                assert known is not None
                return known
            self._free -= 1
        self._second, self._position = second, newest
        return newest

    def _grant(self, second: int) -> None:
        granted = (second - self._granted_s) // _FREE_EVERY_S
        if granted:
            self._free = min(FREE_MOVES, self._free + max(0, granted))
            self._granted_s = second


class Tail:
    """What an open slice is made of.

    Attributes:
        final_before_us: polls closed before it are final: the watermark, now.
        stamp: equal stamps of the same room, broadcast, ``from_us`` and ``after`` give the same answer, but for the clock.
    """

    __slots__ = ("after", "final_before_us", "from_us", "index", "position", "stamp")

    def __init__(
        self, index: SliceIndex, from_us: int, after: int | None, position: Position, *, final_before_us: int
    ) -> None:
        self.index, self.from_us, self.after, self.position = index, from_us, after, position
        self.final_before_us = final_before_us
        self.stamp = (
            index.serial,
            index.version,
            index.sealed_until_us,
            position.epoch,
            position.offset,
            index.told_from,
            index.gone[-1] if index.gone else None,
            index.state_version,
        )


def tail_of(live: LiveRoom, index: SliceIndex, pace: Pace, *, from_us: int, after: int | None) -> Tail:
    """What is asked for, if it may be.

    Raises:
        SupersededError: ``from_us`` is no ``sealed_until_ms`` of the last minute, or ``after`` is too old or was never served.
    """
    sealed_until_us = index.sealed_until_us
    newest = live.log.position
    is_known = after is None or index.told_from <= after <= newest.offset
    if not is_known or (sealed_until_us is not None and not index.may_be_asked_from(from_us)):
        raise SupersededError(sealed_until_ms=None if sealed_until_us is None else ms_from_us(sealed_until_us))
    position = pace.position(newest, live.clock.system_wall_us(), told_from=index.told_from, after=after)
    is_current = index.broadcast == live.broadcasts.current.number
    watermark_us = live.watermark_us() if is_current else _ALL_US
    return Tail(index, from_us, after, position, final_before_us=-_ALL_US if watermark_us is None else watermark_us)


class OpenParts(msgspec.Struct, frozen=True):
    """What an open slice prints, apart from the room: safe to read in a thread.

    Attributes:
        events: what is printed.
        counting: what votes and upvotes are counted from: all of the tail, whatever the asker has of it.
        gone: offsets that the asker must drop.
        state: before the tail.
        listed: ``version`` and ``sealed_until_ms`` of the chat playlist.
    """

    events: list[Event]
    counting: list[Event]
    gone: list[int] | None
    state: RoomState
    listed: tuple[int, int | None]

    @property
    def work(self) -> int:
        """How many events are encoded or counted: above some hundreds it is work for a thread."""
        return max(len(self.events), len(self.counting))


def parts_of(tail: Tail) -> OpenParts:
    """The events of an open slice by (program time, offset), what is gone, and the state before it.

    The index's state must be loaded. Cost: 0.1 µs an event of the tail; the state is kept for those who ask from the same instant.
    """
    index, last, after = tail.index, tail.position.offset, tail.after
    first = -1 if after is None else after
    found = [event for event in index.tail_from(tail.from_us) if event.offset <= last]
    events = found if after is None else [event for event in found if event.offset > first]
    counting = [event for event in found if event.kind in STATE_KINDS]
    gone = None if after is None else [hidden for cause, hidden in index.gone if cause > after]
    sealed_until_us = index.sealed_until_us
    listed = index.version, None if sealed_until_us is None else ms_from_us(sealed_until_us)
    return OpenParts(events, counting, gone, _state_of(tail), listed)


def _state_of(tail: Tail) -> RoomState:
    index, last = tail.index, tail.position.offset
    key = (tail.from_us, index.state_version, min(last, index.newest_state_offset))
    state = index.states.get(key)
    if state is None:
        state = folded((event for event in index.state_events.values() if event.offset <= last), before_us=tail.from_us)
        while len(index.states) >= _STATES_KEPT:
            del index.states[next(iter(index.states))]
        index.states[key] = state
    return state


def open_body(live: LiveRoom, tail: Tail, parts: OpenParts) -> bytes:
    """The open slice as JSON. Cost: about 2 µs an event that is printed or counted (:attr:`OpenParts.work`)."""
    last_us = parts.events[-1].program_us + 1 if parts.events else tail.from_us
    return encoded_slice(
        room=live.room,
        broadcast=tail.index.broadcast,
        within=Range(tail.from_us, max(tail.from_us, last_us, live.program_us())),
        position=tail.position,
        revision=None,
        state=parts.state,
        events=parts.events,
        counts=counted(parts.counting, parts.state).told(after=tail.after, final_before_us=tail.final_before_us),
        gone=parts.gone,
        listed=parts.listed,
    )
