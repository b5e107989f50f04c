"""Connections of readers on chatsync.db, one for each thread.

Owns: opening them, what a failed read means, that a long one is done in pieces. Does not know: tables.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from chatsync.store.files import Files
from chatsync.store.recovering import read_error
from chatsync.store.writer import opened

__all__ = ["PIECE_ROWS", "Readers"]

PIECE_ROWS = 250  # between two turns of others: 1 ms of reading rows, 2 ms of encoding events

T = TypeVar("T")


class Readers:
    """Reads chatsync.db from any thread.

    Args:
        files: where it lies.

    Attributes:
        on_read: told of every look into it, in any thread.
        let_turn: called between two pieces of long work, in any thread: a service has its event loop turn.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self._readers = threading.local()
        self.on_read: Callable[[], object] = lambda: None
        self.let_turn: Callable[[], object] = lambda: None

    def reader(self) -> sqlite3.Connection:
        """This thread's own reading connection on chatsync.db.

        Raises:
            sqlite3.Error: it cannot be opened.
        """
        self.on_read()
        connection: sqlite3.Connection | None = getattr(self._readers, "connection", None)
        if connection is None:
            connection = self._readers.connection = opened(self._files.database, read_only=True)
        return connection

    def read(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of chatsync.db, by this thread's own connection.

        Raises:
            CorruptError: SQLite finds the database damaged.
            StorageFailedError: it cannot be read.
        """
        return self.read_by(lambda connection: list(self.paced(connection.execute(sql, values))))

    def paced(self, items: Iterable[T]) -> Iterator[T]:
        """Items one after the other: rows as they are read, or what is computed from each; others have their turn in between."""
        for number, item in enumerate(items):
            if number and number % PIECE_ROWS == 0:
                self.let_turn()
            yield item

    def read_by(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What a function reads by this thread's own connection.

        Raises:
            CorruptError: SQLite finds the database damaged.
            StorageFailedError: it cannot be read.
        """
        try:
            return work(self.reader())
        except (sqlite3.Error, OSError, OverflowError, TypeError, ValueError) as error:
            raise read_error(error) from error

    def reads(self, queries: Sequence[tuple[str, Sequence[Any]]]) -> list[list[tuple[Any, ...]]]:
        """Rows of several queries on one snapshot of chatsync.db.

        Raises:
            CorruptError: SQLite finds the database damaged.
            StorageFailedError: it cannot be read.
        """

        def work(connection: sqlite3.Connection) -> list[list[tuple[Any, ...]]]:
            connection.execute("BEGIN")
            try:
                return [list(self.paced(connection.execute(sql, values))) for sql, values in queries]
            finally:
                connection.execute("ROLLBACK")

        return self.read_by(work)
