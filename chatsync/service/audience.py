"""How many viewers each room has in each minute of its program, for the archive.

Owns: when they are counted, which counts are worth a row. Does not know: files. Units: µs of program time. Source: contract §6.

A viewer is a live connection. Of several counts of a minute the greatest stands, so what is kept is the most there were at one
time, as far as was looked: every 20 s, so that no minute of a program clock that is a little off is left out.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import structlog

from chatsync.errors import ChatsyncError
from chatsync.instants import MINUTE_US, us_from_ms
from chatsync.service.live_room import LiveRoom
from chatsync.store.catalog import Catalog
from chatsync.store.writer import Writer

if TYPE_CHECKING:
    from chatsync.service.hub import RunningRoom

__all__ = ["Audience"]

_COUNT_S = 20.0
_AT_ONCE = 100  # rows of one work: ~5 ms of the writer, so that acks do not wait

_log = structlog.get_logger(__name__)


class _Count(NamedTuple):
    room: str
    broadcast: int
    minute_us: int
    viewers: int


class Audience:
    """Counts viewers of the rooms that are served.

    Args:
        rooms: those that are served, as they are whenever they are counted.
        catalog: has the counts.
        writer: of the catalog.
    """

    def __init__(self, rooms: Mapping[str, RunningRoom], catalog: Catalog, writer: Writer) -> None:
        self._rooms, self._catalog, self._writer = rooms, catalog, writer
        self._noted: dict[str, _Count] = {}  # the last of each room that was handed to the writer

    async def run(self) -> None:
        """Count until cancelled."""
        while True:
            await asyncio.sleep(_COUNT_S)
            try:
                self.count()
            except Exception:
                _log.exception("viewers_not_counted")

    def count(self) -> None:
        """Note who is there now, where somebody is, the broadcast is on and its clock is known. Cost: a look at each room.

        Nobody waits for it: a count that cannot be stored is replaced by the next one of its minute, if there is one.
        """
        found = [one for running in tuple(self._rooms.values()) if (one := _counted(running.live)) is not None]
        counts = [one for one in found if not self._is_known(one)]
        self._noted = {one.room: self._noted[one.room] if self._is_known(one) else one for one in found}
        for first in range(0, len(counts), _AT_ONCE):
            self._submit(counts[first : first + _AT_ONCE])

    def _is_known(self, count: _Count) -> bool:
        """Whether there is a row already that says as many."""
        noted = self._noted.get(count.room)
        return noted is not None and noted[:3] == count[:3] and noted.viewers >= count.viewers

    def _submit(self, counts: Sequence[_Count]) -> None:
        def work(connection: sqlite3.Connection) -> None:
            for room, broadcast, minute_us, viewers in counts:
                self._catalog.note_viewers(connection, room, broadcast, minute_us, viewers)

        def done(result: object) -> None:
            if isinstance(result, BaseException):
                for one in counts:
                    self._noted.pop(one.room, None)
                code = result.code if isinstance(result, ChatsyncError) else type(result).__name__
                _log.warning("viewers_not_stored", code=code, rooms=len(counts))

        self._writer.submit(work, done)


def _counted(live: LiveRoom) -> _Count | None:
    viewers = len(live.receivers)
    if not viewers or not live.broadcasts.has_begun or live.broadcasts.current.is_closed:
        return None
    clock_ms = live.clock_ms()
    if clock_ms is None:
        return None
    program_us = us_from_ms(clock_ms)
    return _Count(live.room, live.broadcasts.current.number, program_us - program_us % MINUTE_US, viewers)
