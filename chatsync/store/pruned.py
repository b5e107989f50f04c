"""Rows that are in the journal no more: up to where they may be missing, and who brings them back.

Owns: the mark of each room, and when a hole between two rows is one that pruning made. Does not know: files; what reads them is
attached (``store.recall``). Source: decision 0016.

Of each room the newest row that was pruned is remembered with its chain, so that the chain of what follows hangs on it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from chatsync.instants import Range
from chatsync.store.rows import COLUMNS, insert_sql

__all__ = ["Pruned", "PrunedMark", "RowSource", "bring_back"]

Row = tuple[Any, ...]
_CHAIN, _PREVIOUS = COLUMNS.index("chain"), COLUMNS.index("previous")


class RowSource(Protocol):
    """Reads rows that may have left the journal; each has checksums of its own."""

    def rows_between(self, room: str, broadcast: int, within: Range) -> list[Row]:
        """Those of a range of program time."""

    def rows_at(self, room: str, offsets: Sequence[int]) -> list[Row]:
        """Those at these offsets."""

    def rows_of_author(self, room: str, author_key: str) -> list[Row]:
        """Those of an author."""


class PrunedMark(NamedTuple):
    """Rows up to this offset may be missing, and the chain of the row there."""

    through: int
    chain: int


class Pruned:
    """The marks of all rooms, in memory; changed by the writer's thread only."""

    def __init__(self) -> None:
        self._marks: dict[str, PrunedMark] = {}
        self.source: RowSource | None = None

    def load(self, connection: sqlite3.Connection) -> None:
        """Learn the marks on disk."""
        self._marks = {
            room: PrunedMark(through, chain)
            for room, through, chain in connection.execute("SELECT room, through, chain FROM pruned")
        }

    def put(self, connection: sqlite3.Connection, room: str, mark: PrunedMark) -> None:
        """Move a room's mark on, before its rows go. It may be ahead of them: rows that are there are believed."""
        # Memory may be ahead of the disk, where a batch was lost: what is on disk decides.
        connection.execute(
            "INSERT INTO pruned VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET through = excluded.through, "
            "chain = excluded.chain WHERE excluded.through > through",
            (room, *mark),
        )
        if mark.through > self.through(room):
            self._marks[room] = mark

    def through(self, room: str) -> int:
        """Offset up to which rows may be missing; 0 if none ever left."""
        mark = self._marks.get(room)
        return 0 if mark is None else mark.through

    def fits(self, before: Row | None, row: Row) -> bool:
        """Whether pruning explains that a row does not hang on the one before it."""
        mark = self._marks.get(row[0])
        if mark is None or row[2] - 1 > mark.through:
            return False
        if row[2] - 1 == mark.through:
            return bool(row[_PREVIOUS] == mark.chain)
        is_next = before is not None and before[2] == row[2] - 1
        return not is_next or not row[_PREVIOUS] or before is None or not before[_PREVIOUS]

    def between(self, room: str, broadcast: int, within: Range) -> list[Row]:
        """Rows of a range that may have left; none where nothing ever did.

        Raises:
            CorruptError: a file that has them is damaged.
        """
        if self.source is None or room not in self._marks:
            return []
        return self.source.rows_between(room, broadcast, within)

    def at(self, room: str, offsets: Sequence[int]) -> list[Row]:
        """Rows at offsets, as far as they may have left.

        Raises:
            CorruptError: a file that has them is damaged.
        """
        through = self.through(room)
        gone = [offset for offset in offsets if offset <= through]
        if self.source is None or not gone:
            return []
        return self.source.rows_at(room, gone)

    def of_author(self, room: str, author_key: str) -> list[Row]:
        """An author's rows that may have left.

        Raises:
            CorruptError: a file that has them is damaged.
        """
        if self.source is None or room not in self._marks:
            return []
        return self.source.rows_of_author(room, author_key)


def bring_back(connection: sqlite3.Connection, rows: Sequence[Row]) -> list[Row]:
    """In the writer's thread: put rows into the journal again, so that a deed finds them; those that were not there."""
    insert = insert_sql.replace("INSERT", "INSERT OR IGNORE", 1)
    return [row for row in rows if connection.execute(insert, row).rowcount]
