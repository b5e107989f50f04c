"""Reads of what nobody prepared: planned on the catalog, read by DuckDB and from the journal, off the event loop.

Owns: how many such reads run at once. Does not know: what a plan is (``store.query``). Source: limits "heavy queries at once".
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path

from chatsync.chat.event import Event
from chatsync.instants import HOUR_US, SECOND_US, Range
from chatsync.replay.cuts import CONTEXT_US, Piece
from chatsync.service.asking import Asker
from chatsync.service.exporting import Exporter
from chatsync.service.finding import Finder
from chatsync.store.as_it_happened import Past, as_it_happened
from chatsync.store.finding import Finding
from chatsync.store.journal import Journal
from chatsync.store.query import Query

__all__ = ["Reading"]

_BACK_US = 6 * HOUR_US  # further back the last messages before an instant are no context any more
_READS_MAX = 200  # of one answer: a recording of very many pieces, hardly any of which has chat, is read no further
_NEAR_US = SECOND_US  # pieces that are so near each other in program time are read at once


class Reading:
    """Bounded access to the archive and the journal.

    Args:
        query: reads archived hours through DuckDB and the rest from the journal.
        journal: for room state.
        folder: the data folder, for exports.
        at_once: how many reads may run at a time; the others wait.

    Attributes:
        exporter: makes files of a room's chat.
        asker: answers questions in SQL.
        finder: counts and finds in whole broadcasts, apart from these reads.
    """

    def __init__(self, query: Query, journal: Journal, folder: Path, *, at_once: int = 2) -> None:
        self._query, self._journal = query, journal
        self.exporter, self.asker = Exporter(folder), Asker(folder)
        self.finder = Finder(Finding(query, journal), journal)
        self._places = asyncio.Semaphore(at_once)

    async def page(
        self, room: str, broadcast: int, start_us: int, end_us: int, *, after: tuple[int, int] | None, limit: int
    ) -> list[Event]:
        """Visible events in ``[start_us, end_us)`` of program time by (program time, offset), after a place.

        Raises:
            CorruptError: an archived file is damaged.
        """
        async with self._places:
            return await asyncio.to_thread(
                self._query.messages_page, room, broadcast, start_us, end_us, after_place=after, limit=limit
            )

    async def happened(
        self, room: str, broadcast: int, start_us: int, end_us: int, *, after: tuple[int, int] | None, limit: int
    ) -> Past:
        """The past as it happened, hidden and staff events too (``store.as_it_happened``)."""
        async with self._places:
            return await asyncio.to_thread(
                as_it_happened, self._journal, room, broadcast, start_us, end_us, after=after, limit=limit
            )

    async def around(
        self, room: str, broadcast: int, ahead: Range, *, last: int
    ) -> tuple[list[Event], list[Event], list[Event]]:
        """The last events before an instant, those of the range that starts there, and the broadcast's state events."""
        async with self._places:
            return await asyncio.to_thread(self._around, room, broadcast, ahead, last)

    def _around(
        self, room: str, broadcast: int, ahead: Range, last: int
    ) -> tuple[list[Event], list[Event], list[Event]]:
        before: list[Event] = []
        width_us = HOUR_US // 60
        end_us = ahead.start_us
        while last and len(before) < last and end_us > ahead.start_us - _BACK_US:
            start_us = max(end_us - width_us, ahead.start_us - _BACK_US)
            before = self._query.read(self._query.plan(room, broadcast, Range(start_us, end_us))) + before
            end_us, width_us = start_us, width_us * 4
        after = self._query.read(self._query.plan(room, broadcast, ahead))
        return before[-last:] if last else [], after, self._journal.state_events(room, broadcast)

    async def recorded(
        self, room: str, shown: Sequence[Piece], positions: Range, *, last: int, broadcast: int
    ) -> tuple[list[tuple[int, Event]], list[tuple[int, Event]], list[Event]]:
        """The same for a position of a recording, each event with its position.

        Args:
            room: whose chat it is.
            shown: all pieces of the recording in the order of their positions.
            positions: from the position asked for, as far ahead as is wanted.
            last: how many before it.
            broadcast: whose state events are wanted.
        """
        async with self._places:
            return await asyncio.to_thread(self._recorded, room, shown, positions, last, broadcast)

    def _recorded(
        self, room: str, shown: Sequence[Piece], positions: Range, last: int, broadcast: int
    ) -> tuple[list[tuple[int, Event]], list[tuple[int, Event]], list[Event]]:
        before: list[tuple[int, Event]] = []
        reads = 0
        back_us, width_us = CONTEXT_US, HOUR_US // 60
        earlier = _groups(shown, Range(-CONTEXT_US, max(positions.start_us, -CONTEXT_US)))
        for group, within in reversed(earlier):
            end_us = within.end_us
            while len(before) < last and end_us > within.start_us and back_us > 0 and reads < _READS_MAX:
                start_us = max(end_us - min(width_us, back_us), within.start_us)
                before = self._placed(room, group, Range(start_us, end_us)) + before
                back_us, width_us = back_us - (end_us - start_us), width_us * 2
                end_us, reads = start_us, reads + 1
        before = [one for one in before if one[0] < positions.start_us]
        after: list[tuple[int, Event]] = []
        for group, within in _groups(shown, positions)[:_READS_MAX]:
            after += self._placed(room, group, within)
        after = [one for one in after if positions.covers(one[0])]
        return _once(before)[-last:] if last else [], after, self._journal.state_events(room, broadcast)

    def _placed(self, room: str, group: Sequence[Piece], within: Range) -> list[tuple[int, Event]]:
        """The events of a group's pieces in a range of program time, with their positions."""
        placed = []
        for event in self._query.read(self._query.plan(room, group[0].broadcast, within)):
            index = bisect_right(group, event.program_us, key=lambda piece: piece.program.start_us) - 1
            if index >= 0 and group[index].program.covers(event.program_us):
                placed.append((group[index].position_of(event.program_us), event))
        return placed


def _groups(shown: Sequence[Piece], positions: Range) -> list[tuple[list[Piece], Range]]:
    """Pieces at these positions, in order; those that go on from each other in program time together, with the range to read."""
    groups: list[tuple[list[Piece], Range]] = []
    for piece in shown:
        within = piece.within(positions)
        if within is None:
            continue
        if groups:
            group, range_ = groups[-1]
            if piece.broadcast == group[-1].broadcast and 0 <= within.start_us - range_.end_us <= _NEAR_US:
                group.append(piece)
                groups[-1] = group, Range(range_.start_us, within.end_us)
                continue
        groups.append(([piece], within))
    return groups


def _once(placed: Sequence[tuple[int, Event]]) -> list[tuple[int, Event]]:
    """Each event where it is shown last."""
    latest = {event.offset: index for index, (_, event) in enumerate(placed)}
    return [one for index, one in enumerate(placed) if latest[one[1].offset] == index]
