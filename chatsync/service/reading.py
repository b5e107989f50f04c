"""Reads of what nobody prepared: planned on the catalog, read by DuckDB and from the journal, off the event loop.

Owns: how many such reads run at once. Does not know: what a plan is (``store.query``). Source: limits "heavy queries at once".
"""

from __future__ import annotations

import asyncio

from chatsync.chat.event import Event
from chatsync.instants import HOUR_US, Range
from chatsync.store.journal import Journal
from chatsync.store.query import Query

__all__ = ["Reading"]

_BACK_US = 6 * HOUR_US  # further back the last messages before an instant are no context any more


class Reading:
    """Bounded access to the archive and the journal.

    Args:
        query: reads archived hours through DuckDB and the rest from the journal.
        journal: for room state.
        at_once: how many reads may run at a time; the others wait.
    """

    def __init__(self, query: Query, journal: Journal, *, at_once: int = 2) -> None:
        self._query, self._journal = query, journal
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
