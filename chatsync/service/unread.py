"""What a start leaves unread of a room's log: the unsealed tail, and what was logged after the last pass of sealing.

Owns: reading it in bites, and that nothing read then undoes what was told meanwhile. Does not know: slices, files, the catalog.
Units: µs of program time. Source: reliability G4, G7; decision 0026.

A tail may hold a million events: a relay serves before it has read them. What is hidden, restored or moved while they are read is newer
than what was read of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from chatsync.chat.event import Event
from chatsync.store.journal_reads import DEEDS_ON_ROWS

if TYPE_CHECKING:
    from chatsync.service.live_room import LiveRoom
    from chatsync.service.slice_index import SliceIndex

__all__ = ["Unread"]

_BITE = 2_000  # events read at once: some 20 ms of a thread, and a few of the event loop


class Unread:
    """What one room has still to read. Build it before anything more is committed, then :meth:`begin`.

    Args:
        room: the room; what it commits from now on is told by it.
        receive: is told each event that was logged after the last pass, with the offsets it touched.

    Attributes:
        is_left: whether there is something.
        has_deeds: whether what hides, restores or moves is still among it.
    """

    def __init__(self, room: LiveRoom, receive: Callable[[Event, tuple[int, ...]], None]) -> None:
        self._room, self._receive = room, receive
        self._last_offset = room.log.position.offset  # of what nobody else tells
        self._known_offset = 0
        self._changed: set[int] = set()  # hidden, restored or moved since
        self.is_left = self.has_deeds = False

    def begin(self, settled_offset: int) -> None:
        """There is something to read: all that came after an offset, and what tails hold up to it."""
        self._known_offset = settled_offset
        self.is_left = self.has_deeds = True

    def end(self) -> None:
        """All is read."""
        self.is_left = False
        self._changed.clear()

    def note_changed(self, index: SliceIndex, offset: int) -> None:
        """An event was hidden, restored or moved, and the index knows how it stands now."""
        if self.is_left or not index.has_tail:
            self._changed.add(offset)

    async def read_deeds(self) -> None:
        """Take in what hides, restores or moves events: files that say otherwise must go before all else is read.

        Raises:
            CorruptError: a row is damaged.
            StorageFailedError: the journal cannot be read.
        """
        for event, affected in await asyncio.to_thread(self._deeds, self._known_offset):
            self._receive(event, affected)
        self.has_deeds = False

    async def read(self, indexes: Sequence[SliceIndex]) -> None:
        """Take in everything but deeds. May be cancelled, or fail, and be called again: it goes on from where it was.

        Raises:
            CorruptError: a row is damaged.
            StorageFailedError: the journal cannot be read.

        Cost: about 10 µs an event.
        """
        for index in indexes:
            await self.read_tail(index)
        while self._known_offset < self._last_offset:
            missed = await asyncio.to_thread(
                self._room.journal.events_after, self._room.room, self._known_offset, _BITE
            )
            for event in missed:
                if (
                    event.offset <= self._last_offset
                    and event.offset not in self._changed
                    and event.kind not in DEEDS_ON_ROWS
                ):
                    self._receive(event, ())
            self._known_offset = missed[-1].offset if missed else self._last_offset

    async def read_tail(self, index: SliceIndex) -> None:
        """Take in the tail of a broadcast, as far as its index wants it read.

        Raises:
            CorruptError: a row is damaged.
            StorageFailedError: the journal cannot be read.
        """
        journal = self._room.journal
        while not index.has_tail:
            start_us = -(2**62) if index.sealed_until_us is None else index.sealed_until_us
            page = await asyncio.to_thread(
                journal.page_from,
                self._room.room,
                index.broadcast,
                start_us,
                through=index.tail_through,
                after=index.tail_place,
                limit=_BITE,
            )
            for event in page:
                if not event.hidden and event.offset not in self._changed:
                    index.put_tail(event)
            index.tail_place = page[-1].place if page else index.tail_place
            index.has_tail = len(page) < _BITE
        if not self.is_left:
            self._changed.clear()

    def _deeds(self, offset: int) -> list[tuple[Event, tuple[int, ...]]]:
        """In a thread: the deeds after an offset, each with the offsets it touched."""
        journal = self._room.journal
        deeds = journal.deeds_after(self._room.room, offset)
        return [(event, journal.affected(event)) for event in deeds if event.offset <= self._last_offset]
