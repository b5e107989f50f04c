"""Two small databases beside the journal: who authors are, and the text of hidden messages.

Owns: identity.db (author key to external id and names) and moderation.db (hidden text, at most 30 days). Both are mode 0600
and commit before chatsync.db, so that the journal never points at a name or text that was not kept.
Does not know: the journal. Source: contract §6; security-and-privacy §8.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path

from chatsync.chat.event import Author
from chatsync.store.writer import opened

__all__ = ["HiddenText", "IdentityStore", "ModerationStore"]

_IDENTITY = """
CREATE TABLE IF NOT EXISTS names (
    room TEXT NOT NULL, author_key TEXT NOT NULL, version INTEGER NOT NULL, name TEXT NOT NULL,
    PRIMARY KEY (room, author_key, version)
) WITHOUT ROWID;
"""
_MODERATION = """
CREATE TABLE IF NOT EXISTS hidden_text (
    room TEXT NOT NULL, offset INTEGER NOT NULL, text TEXT, salt BLOB, hidden_wall_us INTEGER NOT NULL,
    PRIMARY KEY (room, offset)
) WITHOUT ROWID;
"""


class _Private:
    """A database that only we may read. Its writing connection belongs to the writer's thread."""

    schema = ""

    def __init__(self, path: Path) -> None:
        self._path = path
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        path.chmod(0o600)
        self._writing = self._open()
        self._dirty = False
        self._reading = threading.local()

    def _open(self) -> sqlite3.Connection:
        connection = opened(self._path)
        connection.executescript(self.schema)
        return connection

    def _begin(self) -> sqlite3.Connection:
        if not self._dirty:
            self._writing.execute("BEGIN IMMEDIATE")
            self._dirty = True
        return self._writing

    def reader(self) -> sqlite3.Connection:
        """This thread's own reading connection."""
        connection: sqlite3.Connection | None = getattr(self._reading, "connection", None)
        if connection is None:
            connection = self._reading.connection = opened(self._path, read_only=True)
        return connection

    def commit(self) -> None:
        """Make what was written durable; costs nothing when nothing was."""
        if self._dirty:
            self._writing.execute("COMMIT")
            self._dirty = False

    def forget(self) -> None:
        """Drop what was not committed and open afresh: a failed commit leaves nothing to trust."""
        try:
            self._writing.close()
        finally:
            self._dirty = False
            self._writing = self._open()

    def close(self) -> None:
        """Close the writing connection."""
        self._writing.close()


class IdentityStore(_Private):
    """Names by (room, author key, version): an event keeps the version it was said under, so replay shows the same name."""

    schema = _IDENTITY

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._latest: dict[tuple[str, str], tuple[int, str]] = {}
        self._names: dict[tuple[str, str, int], str] = {}

    def version(self, room: str, author: Author) -> int:
        """In the writer's thread: the version of this author's name, a new one if the name is new."""
        key = (room, author.key)
        known = self._latest.get(key)
        if known is None:
            row = self._writing.execute(
                "SELECT version, name FROM names WHERE room = ? AND author_key = ? ORDER BY version DESC LIMIT 1", key
            ).fetchone()
            known = (0, "") if row is None else (int(row[0]), str(row[1]))
        if known[0] == 0 or known[1] != author.name:
            known = (known[0] + 1, author.name)
            self._begin().execute("INSERT INTO names VALUES (?, ?, ?, ?)", (*key, *known))
        self._latest[key] = known
        self._names[(*key, known[0])] = known[1]
        if len(self._names) > 200_000:  # people come and go for years; a name is found again on disk
            self._names.clear()
            self._latest.clear()
        return known[0]

    def name(self, room: str, author_key: str, version: int) -> str:
        """Any thread: the name an author had, empty once it was erased."""
        key = (room, author_key, version)
        known = self._names.get(key)
        if known is None:
            row = (
                self.reader()
                .execute("SELECT name FROM names WHERE room = ? AND author_key = ? AND version = ?", key)
                .fetchone()
            )
            known = "" if row is None else str(row[0])
            if row is not None:
                self._names[key] = known
        return known

    def forget(self) -> None:
        """As the base; and names learned in the lost batch."""
        super().forget()
        self._latest.clear()
        self._names.clear()


HiddenText = tuple[str | None, bytes | None]


class ModerationStore(_Private):
    """Text of hidden messages with the salt of its checksum, so that a restore puts back exactly what was there."""

    schema = _MODERATION

    def put(self, room: str, offset: int, hidden: HiddenText, *, wall_us: int) -> None:
        """In the writer's thread: keep a text that is about to leave the journal."""
        self._begin().execute(
            "INSERT OR REPLACE INTO hidden_text VALUES (?, ?, ?, ?, ?)", (room, offset, *hidden, wall_us)
        )

    def take(self, room: str, offset: int) -> HiddenText | None:
        """In the writer's thread: the text of a message that is restored; None once its days are over."""
        row = self._writing.execute(
            "SELECT text, salt FROM hidden_text WHERE room = ? AND offset = ?", (room, offset)
        ).fetchone()
        if row is None:
            return None
        return (row[0], row[1])

    def sweep(self, before_wall_us: int) -> int:
        """In the writer's thread: drop texts hidden before this wall time; how many."""
        cursor = self._begin().execute("DELETE FROM hidden_text WHERE hidden_wall_us < ?", (before_wall_us,))
        return cursor.rowcount
