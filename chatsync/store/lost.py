"""Ranges of the log that are lost for good: nothing has them any more, and whoever asks for one is told so.

Owns: the table ``lost``, and which reads touch it. Does not know: how they were lost, who writes them down (``store.repairing``).
Units: µs of program time. Source: reliability G8; decision 0019.

Of each range it is known between which instants its events stood, as well as the hours tell; several if they stood in several hours.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from chatsync.errors import CorruptError
from chatsync.instants import Range

__all__ = ["CREATE_LOST", "EVER", "EVERY_BROADCAST", "Lost", "LostRange"]

CREATE_LOST = """
CREATE TABLE IF NOT EXISTS lost (
    room TEXT NOT NULL, first_offset INTEGER NOT NULL, last_offset INTEGER NOT NULL, broadcast INTEGER NOT NULL,
    start_us INTEGER NOT NULL, end_us INTEGER NOT NULL, PRIMARY KEY (room, first_offset, broadcast, start_us)
) WITHOUT ROWID;
"""

EVER = Range(-(2**62), 2**62)
"""Where nothing tells when the events of a range stood."""
EVERY_BROADCAST = 0


class LostRange(NamedTuple):
    """Offsets ``first`` to ``last`` of a room; events of them stood in this broadcast and range of program time."""

    room: str
    first: int
    last: int
    broadcast: int
    within: Range

    @property
    def words(self) -> str:
        """For people and logs."""
        return f"rows {self.first} to {self.last} of room {self.room} are lost"


class Lost:
    """The ranges of all rooms, in memory; changed by the writer's thread only."""

    def __init__(self) -> None:
        self._ranges: dict[str, list[LostRange]] = {}

    def load(self, connection: sqlite3.Connection) -> None:
        """Learn what is on disk."""
        self._ranges = {}
        rows = connection.execute("SELECT * FROM lost ORDER BY room, first_offset, broadcast, start_us")
        for room, first, last, broadcast, start_us, end_us in rows:
            one = LostRange(room, first, last, broadcast, Range(start_us, end_us))
            self._ranges.setdefault(room, []).append(one)

    def put(self, connection: sqlite3.Connection, one: LostRange) -> None:
        """Write a range down."""
        connection.execute(
            "INSERT OR REPLACE INTO lost VALUES (?, ?, ?, ?, ?, ?)", (*one[:4], one.within.start_us, one.within.end_us)
        )
        self.load(connection)

    def ranges(self, room: str | None = None) -> list[LostRange]:
        """All that is lost, or that of a room, by offset."""
        if room is not None:
            return list(self._ranges.get(room, ()))
        return [one for ranges in self._ranges.values() for one in ranges]

    def check_offsets(self, room: str, first: int, last: int) -> None:
        """Whether events of these offsets, both included, can be told.

        Raises:
            CorruptError: some are lost.
        """
        for one in self._ranges.get(room, ()):
            if one.first <= last and first <= one.last:
                raise CorruptError("journal", one.words)

    def check_places(self, room: str, broadcast: int, within: Range) -> None:
        """Whether events of a range of program time can be told.

        Raises:
            CorruptError: some that may have stood there are lost.
        """
        for one in self._ranges.get(room, ()):
            if one.broadcast in {broadcast, EVERY_BROADCAST} and one.within.overlaps(within):
                raise CorruptError("journal", one.words)
