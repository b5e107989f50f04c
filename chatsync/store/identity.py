"""Two small databases beside the journal: who authors are, and the text of hidden messages.

Owns: identity.db (what authors were called, by pseudonymous key, and their numbers) and moderation.db (hidden text, at most 30 days). Both are mode
0600 and commit before chatsync.db, so that the journal never points at a name or text that was not kept.
Does not know: the journal. Source: contract §6; security-and-privacy §8.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from chatsync.chat.event import Author, Role
from chatsync.errors import CorruptError
from chatsync.store import sums
from chatsync.store.numbers import CREATE_NUMBERS, NumberRow, Numbers
from chatsync.store.writer import emptied_log, opened

__all__ = ["HiddenText", "IdentityStore", "ModerationStore"]

_IDENTITY = """
CREATE TABLE IF NOT EXISTS names (
    room TEXT NOT NULL, author_key TEXT NOT NULL, version INTEGER NOT NULL, name TEXT NOT NULL, badges TEXT NOT NULL,
    PRIMARY KEY (room, author_key, version)
) WITHOUT ROWID;
"""
_MODERATION = """
CREATE TABLE IF NOT EXISTS hidden_text (
    room TEXT NOT NULL, offset INTEGER NOT NULL, text TEXT, said TEXT, salt BLOB, hidden_wall_us INTEGER NOT NULL,
    PRIMARY KEY (room, offset)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS hidden_text_since ON hidden_text (hidden_wall_us);
"""


class _Private:
    """A database that only we may read. Its writing connection belongs to the writer's thread.

    Attributes:
        changes: how many were ever committed, as far as this process knows.
    """

    schema = ""
    tables: tuple[str, ...] = ()

    def __init__(self, path: Path, *, is_read_only: bool = False) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._in_transaction = False
        self._reading = threading.local()
        self.changes = 0 if is_read_only else sums.changes(self._writing())

    def _writing(self) -> sqlite3.Connection:
        """The writing connection, opened anew after a failure."""
        if self._connection is None:
            connection = opened(self._path)
            try:
                connection.executescript(f"BEGIN;{self.schema}COMMIT;")
                sums.ensure(connection, self.tables)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _begin(self) -> sqlite3.Connection:
        connection = self._writing()
        if not self._in_transaction:
            connection.execute("BEGIN IMMEDIATE")
            self._in_transaction = True
        return connection

    def reader(self) -> sqlite3.Connection:
        """This thread's own reading connection."""
        connection: sqlite3.Connection | None = getattr(self._reading, "connection", None)
        if connection is None:
            connection = self._reading.connection = opened(self._path, read_only=True)
        return connection

    def reads(self, queries: Sequence[tuple[str, Sequence[Any]]]) -> list[list[tuple[Any, ...]]]:
        """Any thread: rows of several queries on one snapshot."""
        connection = self.reader()
        connection.execute("BEGIN")
        try:
            return [connection.execute(sql, values).fetchall() for sql, values in queries]
        finally:
            connection.execute("ROLLBACK")

    def wrong(self) -> list[CorruptError]:
        """What is not as it was written. For ``chatsync verify``.

        Raises:
            sqlite3.Error: it cannot be read.
        """
        return sums.wrong(self.reads, self.tables)

    def commit(self) -> None:
        """In the writer's thread: make what was written durable; costs nothing when nothing was."""
        if self._in_transaction:
            changes = sums.changes(self._writing())
            self._writing().execute("COMMIT")
            self._in_transaction, self.changes = False, changes

    def count_on(self, changes: int) -> None:
        """Some changes were lost: count on from here."""
        sums.put_changes(self._begin(), changes)
        self.commit()

    def forget(self) -> None:
        """In the writer's thread: drop what was not committed. A failed commit leaves a connection that is not to be trusted."""
        connection, self._connection = self._connection, None
        self._in_transaction = False
        if connection is not None:
            connection.close()

    def empty_log(self) -> None:
        """In the writer's thread, after a commit: move the write-ahead log into the database and cut it to nothing.

        What was deleted must not stay in it. If a reader is in the way it does, until the next time.

        Raises:
            OSError: the database cannot be opened.
            sqlite3.Error: it cannot be done.
        """
        emptied_log(self._writing(), "TRUNCATE")

    def close(self) -> None:
        """Close the writing connection, dropping what was not committed."""
        self.forget()


_NAMES_MAX = 200_000  # people come and go for years; a name is found again on disk
_ASKED_MAX = 200  # names in one query


class IdentityStore(_Private):
    """Names by (room, author key, version): an event keeps the version it was said under, so replay shows the same name."""

    schema, tables = _IDENTITY + CREATE_NUMBERS, ("names", "numbers")

    def __init__(self, path: Path, *, is_read_only: bool = False) -> None:
        super().__init__(path, is_read_only=is_read_only)
        self.numbers = Numbers()
        self._latest: dict[tuple[str, str], tuple[int, str, tuple[str, ...]]] = {}
        self._names: dict[tuple[str, str, int], tuple[str, tuple[str, ...]]] = {}
        self._erased: set[tuple[str, str]] = set()  # never from memory again: another thread may hold a name still

    def version(self, room: str, author: Author) -> int:
        """In the writer's thread: the version of this author's name and badges, a new one if they are new.

        Raises:
            sqlite3.Error: it cannot be kept.
        """
        key = (room, author.key)
        if self.numbers.is_unsaved(room, author.key):
            self.numbers.save(self._begin(), room, author.key)
        known = self._latest.get(key)
        if known is None:
            row = (
                self._writing()
                .execute(
                    "SELECT version, name, badges FROM names WHERE room = ? AND author_key = ? "
                    "ORDER BY version DESC LIMIT 1",
                    key,
                )
                .fetchone()
            )
            known = (0, "", ()) if row is None else (row[0], row[1], _badges(row[2]))
        if known[0] == 0 or known[1] != author.name or known[2] != author.badges:
            known = (known[0] + 1, author.name, author.badges)
            values = (*key, known[0], author.name, msgspec.json.encode(author.badges).decode())
            self._begin().execute("INSERT INTO names VALUES (?, ?, ?, ?, ?)", values)
            self._names[(*key, known[0])] = known[1:]  # readers look for it once an event under it is committed
        if len(self._latest) >= _NAMES_MAX:
            self._latest.clear()
        self._latest[key] = known
        return known[0]

    def author(self, room: str, author_key: str, version: int, role: Role) -> Author:
        """Any thread: who an author was then; the name is empty once it was erased.

        Raises:
            CorruptError: a name of theirs is not what was written, or is missing.
            sqlite3.Error: identity.db cannot be read.
        """
        key = (room, author_key, version)
        is_erased = (room, author_key) in self._erased
        known = None if is_erased else self._names.get(key)
        if known is None:
            found = {row[2]: row for row in sums.group(self.reads, "names", (room, author_key), order="version")}
            row = found.get(version)
            known = ("", ()) if row is None else (row[3], _badges(row[4]))
            if row is not None and not is_erased:
                if len(self._names) >= _NAMES_MAX:
                    self._names.clear()
                self._names[key] = known
        return Author(key=author_key, name=known[0], role=role, badges=known[1])

    def know(self, room: str, wanted: Iterable[tuple[str, int]]) -> None:
        """Any thread: look up names of a room's authors at once, so that :meth:`author` finds them in memory.

        Args:
            room: the room.
            wanted: key of each author and version of their name.

        Raises:
            CorruptError: a name of theirs is not what was written, or is missing.
            sqlite3.Error: identity.db cannot be read.

        Cost: about 15 µs for each that is not in memory, a quarter of asking one by one.
        """
        missing = sorted({key for key, version in wanted if (room, key, version) not in self._names})
        missing = [key for key in missing if (room, key) not in self._erased]
        for first in range(0, len(missing), _ASKED_MAX):
            some = missing[first : first + _ASKED_MAX]
            for row in sums.groups(self.reads, "names", room, some):
                if len(self._names) >= _NAMES_MAX:
                    self._names.clear()
                if (room, row[1]) not in self._erased:
                    self._names[room, row[1], row[2]] = (row[3], _badges(row[4]))

    def load_numbers(self, room: str) -> None:
        """Any thread: read which numbers a room has given.

        Raises:
            CorruptError: one is not what was written, or is missing.
            sqlite3.Error: identity.db cannot be read.
        """
        self.numbers.load(room, self.number_rows(room))

    def number_rows(self, room: str) -> list[NumberRow]:
        """Any thread: numbers of a room, with whose they are.

        Raises:
            CorruptError: one is not what was written, or is missing.
            sqlite3.Error: identity.db cannot be read.
        """
        found = sums.group(self.reads, "numbers", (room,), order="number")
        return [(room, number, author_key, given) for _, number, author_key, given in found]

    def names(self, room: str, author_key: str) -> list[str]:
        """Any thread: what an author was called, oldest first; last the name behind their number, if it is kept.

        Raises:
            sqlite3.Error: identity.db cannot be read.
        """
        rows = self.reader().execute(
            "SELECT name, version FROM names WHERE room = ? AND author_key = ? AND name != '' "
            "UNION ALL SELECT given, NULL FROM numbers WHERE room = ? AND author_key = ? AND given IS NOT NULL "
            "ORDER BY version NULLS LAST",
            (room, author_key) * 2,
        )
        return list(dict.fromkeys(name for name, _ in rows))

    def is_name_of_another(self, room: str, name: str, author_key: str) -> bool:
        """Any thread: whether another key, or this one in another room, has a name with this in it.

        Raises:
            sqlite3.Error: identity.db cannot be read.
        """
        sql = (
            "SELECT 1 FROM names WHERE instr(name, ?) > 0 AND (author_key != ? OR room != ?) "
            "UNION ALL SELECT 1 FROM numbers WHERE instr(given, ?) > 0 AND (author_key IS NOT ? OR room != ?) LIMIT 1"
        )
        return self.reader().execute(sql, (name, author_key, room) * 2).fetchone() is not None

    def mark_lost(self, newest: Sequence[tuple[str, str, int]]) -> int:
        """Names up to these (room, author key, version) were given, and some are lost: no later name is taken for one of them.

        Returns:
            Of how many authors.
        """
        lost = 0
        for room, author_key, version in newest:
            (known,) = (
                self._writing()
                .execute("SELECT max(version) FROM names WHERE room = ? AND author_key = ?", (room, author_key))
                .fetchone()
            )
            if (known or 0) < version:
                self._begin().execute("INSERT INTO names VALUES (?, ?, ?, '', '[]')", (room, author_key, version))
                lost += 1
        self.commit()
        return lost

    def drop_damaged(self, newest: dict[tuple[str, str], int], *, dry_run: bool) -> list[str]:
        """In the writer's thread: forget names that are not what was written; what is lost, a line each room.

        Args:
            newest: the newest version that the journal knows of each (room, author key).
            dry_run: only say it.
        """
        lost: Counter[str] = Counter()
        for key, _ in sums.wrong_groups(self.reads, "names"):
            room, _, author_key = key.partition("/")
            lost[room] += 1
            if dry_run:
                continue
            connection = self._begin()
            (version,) = connection.execute(
                "SELECT coalesce(max(version), 0) FROM names WHERE room = ? AND author_key = ?", (room, author_key)
            ).fetchone()
            connection.execute("DELETE FROM names WHERE room = ? AND author_key = ?", (room, author_key))
            version = min(max(version, newest.get((room, author_key), 1)), 2**31)
            connection.execute("INSERT INTO names VALUES (?, ?, ?, '', '[]')", (room, author_key, version))
            self._latest.pop((room, author_key), None)
            self._erased.add((room, author_key))
        numbered = sorted(room for room, _ in sums.wrong_groups(self.reads, "numbers"))
        if (lost or numbered) and not dry_run:
            for table in self.tables:
                sums.count_again(self._begin(), table)
            self.commit()
        lines = [f"names of {count} authors of room {room}" for room, count in sorted(lost.items())]
        return [
            *lines,
            *(f"that all numbers of people of room {room} are there: they are believed" for room in numbered),
        ]

    def erase(self, room: str, author_key: str) -> None:
        """In the writer's thread: forget what an author was called. Versions go on, so that no later name is taken for an old one."""
        key = (room, author_key)
        connection = self._begin()
        (newest,) = connection.execute(
            "SELECT max(version) FROM names WHERE room = ? AND author_key = ?", key
        ).fetchone()
        connection.execute("DELETE FROM names WHERE room = ? AND author_key = ?", key)
        self._latest.pop(key, None)
        self._erased.add(key)
        if newest is not None:
            connection.execute("INSERT INTO names VALUES (?, ?, ?, '', '[]')", (*key, newest))
        self.numbers.drop(connection, room, author_key)

    def drop(self, room: str, author_key: str) -> None:
        """In the writer's thread: forget an author of whom no event is left. Who comes back is somebody new.

        The next version of this process still follows the last one: a reader may be on its way with an older one.
        """
        key = (room, author_key)
        connection = self._begin()
        (newest,) = connection.execute(
            "SELECT max(version) FROM names WHERE room = ? AND author_key = ?", key
        ).fetchone()
        connection.execute("DELETE FROM names WHERE room = ? AND author_key = ?", key)
        connection.execute("DELETE FROM sums WHERE name = 'names' AND key = ? AND rows = 0", ("/".join(key),))
        for version in range(1, (newest or 0) + 1):
            self._names.pop((*key, version), None)
        if newest is not None:
            self._latest[key] = (newest, "", ())
        self.numbers.drop(connection, room, author_key)

    def drop_given(self, room: str) -> None:
        """In the writer's thread: forget who is behind the numbers of a room, as far as hosts could read it."""
        self.numbers.drop_given(self._begin(), room)

    def commit(self) -> None:
        """As the base; and numbers are saved."""
        super().commit()
        self.numbers.committed()

    def forget(self) -> None:
        """As the base; and names learned in the lost batch."""
        super().forget()
        self.numbers.lost()
        self._latest.clear()
        self._names.clear()


def _badges(text: str) -> tuple[str, ...]:
    return msgspec.json.decode(text, type=tuple[str, ...])


HiddenText = tuple[str | None, str | None, bytes | None]
"""Text, said details (JSON) and salt, as they stood in the journal's row."""


class ModerationStore(_Private):
    """Text of hidden messages with the salt of its checksum, so that a restore puts back exactly what was there."""

    schema, tables = _MODERATION, ("hidden_text",)

    def put(self, room: str, offset: int, hidden: HiddenText, wall_us: int) -> None:
        """In the writer's thread: keep a text that is about to leave the journal."""
        self._begin().execute(
            "INSERT OR REPLACE INTO hidden_text VALUES (?, ?, ?, ?, ?, ?)", (room, offset, *hidden, wall_us)
        )

    def take(self, room: str, offset: int) -> HiddenText | None:
        """In the writer's thread: the text of a message that is restored; None once its days are over.

        Raises:
            CorruptError: it is not there, and rows of its room are missing.
        """
        row: HiddenText | None = (
            self._writing()
            .execute("SELECT text, said, salt FROM hidden_text WHERE room = ? AND offset = ?", (room, offset))
            .fetchone()
        )
        if row is None:
            sums.group(self._reads_in_writer, "hidden_text", (room,), order="offset")
        return row

    def _reads_in_writer(self, queries: Sequence[tuple[str, Sequence[Any]]]) -> list[list[tuple[Any, ...]]]:
        return [self._writing().execute(sql, values).fetchall() for sql, values in queries]

    def peek(self, room: str, offsets: Sequence[int]) -> dict[int, tuple[str | None, str | None]]:
        """Any thread: the words of hidden messages that are still kept, as (text, said) by offset.

        Raises:
            sqlite3.Error: moderation.db cannot be read.
        """
        found: dict[int, tuple[str | None, str | None]] = {}
        for first in range(0, len(offsets), 500):
            some = offsets[first : first + 500]
            sql = f"SELECT offset, text, said FROM hidden_text WHERE room = ? AND offset IN ({', '.join('?' * len(some))})"
            found |= {offset: (text, said) for offset, text, said in self.reader().execute(sql, (room, *some))}
        return found

    def texts(self) -> list[tuple[Any, ...]]:
        """Any thread: everything that is kept, as (room, offset, text, said, salt).

        Raises:
            sqlite3.Error: moderation.db cannot be read.
        """
        rows = self.reader().execute("SELECT room, offset, text, said, salt FROM hidden_text ORDER BY room, offset")
        return rows.fetchall()

    def drop_damaged(self, wrong: Sequence[tuple[str, int]], *, dry_run: bool) -> list[str]:
        """In the writer's thread: forget texts that are not what was said; what is lost, a line each room.

        Args:
            wrong: texts whose row has another checksum, as (room, offset).
            dry_run: only say it.
        """
        rooms = {room for room, _ in wrong} | {room for room, _ in sums.wrong_groups(self.reads, "hidden_text")}
        if rooms and not dry_run:
            self._begin().executemany("DELETE FROM hidden_text WHERE room = ? AND offset = ?", wrong)
            sums.count_again(self._begin(), "hidden_text")
            self.commit()
        return [f"words of hidden messages of room {room}" for room in sorted(rooms)]

    def hidden_at(self) -> list[tuple[str, int, int]]:
        """Any thread: what is kept, as (room, offset, wall time at which it was hidden last).

        Raises:
            sqlite3.Error: moderation.db cannot be read.
        """
        return self.reader().execute("SELECT room, offset, hidden_wall_us FROM hidden_text ORDER BY 1, 2").fetchall()

    def forget_text(self, room: str, offset: int) -> None:
        """In the writer's thread: drop a text for good."""
        self._begin().execute("DELETE FROM hidden_text WHERE room = ? AND offset = ?", (room, offset))

    def sweep(self, before_wall_us: int) -> int:
        """In the writer's thread: drop texts hidden before this wall time; how many."""
        cursor = self._begin().execute("DELETE FROM hidden_text WHERE hidden_wall_us < ?", (before_wall_us,))
        return cursor.rowcount
