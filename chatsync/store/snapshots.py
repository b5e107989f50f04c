"""One moment of all databases of a data folder, also while a relay writes to it.

Owns: how three databases and ``heads`` are read as of the same commit, and which files belong to that moment. Does not know: where
they are copied to. Source: decision 0020.

Names and hidden texts are committed before the journal, so that between two of its commits all three fit together, and only then.
A writer of chatsync.db holds SQLite's write lock from the first row of a batch to its commit: whoever has that lock looks between
two batches. It is held for as long as it takes to begin three reads, some 0.2 ms; after that the relay writes on, and the reads stay
where they are. Meanwhile its write-ahead log cannot start anew, and grows.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from chatsync.errors import CorruptError
from chatsync.store import sums
from chatsync.store.audit import head_of_audit
from chatsync.store.backup import BackupError
from chatsync.store.heads import AUDIT, COUNTS, NOT_ROOMS, Head, Heads
from chatsync.store.recovering import head_of, read_error, rooms_of
from chatsync.store.writer import opened

__all__ = ["DATABASES", "NamedFile", "Snapshot", "snapshot"]

DATABASES = ("chatsync.db", "identity.db", "moderation.db")
_PAGES_AT_ONCE = 256  # 1 MiB: what is on its way to the disk when others want to sync
_TRIES = 40_000
_BETWEEN_TRIES_S = 0.000_25  # a busy writer leaves the lock free for less than a millisecond


class NamedFile(NamedTuple):
    """A file that never changes, as the catalog names it."""

    paths: tuple[str, ...]  # below the data folder; where it may lie: a room that is made private moves its slices
    sha256: str
    size_bytes: int


class Snapshot:
    """All databases as of one commit. Made by :func:`snapshot`.

    Attributes:
        heads: newest offset of each room as of then; what ``heads`` said beyond it is kept, since the journal should have it.
        lost: rooms of which ``heads`` knew more than the journal: its end is damaged.
    """

    def __init__(self, connections: dict[str, sqlite3.Connection], told: dict[str, Head]) -> None:
        self._connections = connections
        journal = connections["chatsync.db"]
        self.heads = {room: head_of(journal, room) for room in {*rooms_of(journal), *told} - NOT_ROOMS}
        for slot, name in zip(COUNTS, DATABASES, strict=True):
            self.heads[slot] = Head(0, sums.changes(connections[name]), 0)
            if slot in told:
                told[slot] = told[slot]._replace(epoch=0)
        audited = head_of_audit(self.rows) if self._has_audit() else None
        if audited is not None:
            self.heads[AUDIT] = audited
        self.lost = sorted(
            room for room, head in told.items() if (head.epoch, head.offset) > self.heads.get(room, Head(0, 0, 0))[:2]
        )
        self.heads |= {room: told[room] for room in self.lost}

    def _has_audit(self) -> bool:
        """Whether the folder has an audit log: an older program made none."""
        return bool(self.rows("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'audit'"))

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of chatsync.db.

        Raises:
            sqlite3.Error: it cannot be read.
        """
        return self._connections["chatsync.db"].execute(sql, values).fetchall()

    @property
    def schema_version(self) -> int:
        """Of chatsync.db."""
        return int(self.rows("PRAGMA user_version")[0][0])

    def named_files(self) -> list[NamedFile]:
        """Slices and Parquet files that the catalog lists.

        Raises:
            sqlite3.Error: it cannot be read.
        """
        files = [
            NamedFile((path,), sha256, size_bytes)
            for path, sha256, size_bytes in self.rows(
                "SELECT path, sha256, size_bytes FROM archive_files ORDER BY path"
            )
        ]
        for room, broadcast, start_ms, end_ms, epoch, revision, sha256, size_bytes in self.rows(
            "SELECT room, broadcast, start_ms, end_ms, epoch, revision, sha256, size_bytes FROM slices "
            "WHERE removed = 0 ORDER BY room, broadcast, start_ms"
        ):
            place = f"{room}/{broadcast}/{start_ms}-{end_ms}.e{epoch}.r{revision}.json.gz"
            files.append(NamedFile((f"slices/public/{place}", f"slices/private/{place}"), sha256, size_bytes))
        return files

    def copy(self, name: str, target: sqlite3.Connection, progress: Any = None) -> None:
        """Copy a database, page by page.

        Args:
            name: one of :data:`DATABASES`.
            target: an empty one.
            progress: told (pages left, pages) after each 1 MiB.

        Raises:
            sqlite3.Error: it cannot be copied.
        """

        def step(_status: int, left: int, count: int) -> None:
            if progress is not None:
                progress(left, count)

        self._connections[name].backup(target, pages=_PAGES_AT_ONCE, progress=step)


@contextmanager
def snapshot(folder: Path) -> Iterator[Snapshot]:
    """Read all databases of a data folder as of one commit, whoever writes to it meanwhile.

    Args:
        folder: a data folder, served or at rest.

    Raises:
        CorruptError: a database is none.
        BackupError: one cannot be read, or a writer does not let go of it for a moment.

    Cost: a relay's writer waits for about 0.2 ms. Its log grows by what is written until this ends.
    """
    with ExitStack() as stack:
        try:
            connections = {}
            for name in DATABASES:
                connections[name] = connection = opened(folder / name, read_only=True)
                stack.enter_context(closing(connection))
                connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            told = _begun(folder, connections)
            taken = Snapshot(connections, told)
        except (sqlite3.Error, OSError) as error:
            damaged = read_error(error)
            if isinstance(damaged, CorruptError):
                raise damaged from error
            raise BackupError(
                f"The databases of {folder} cannot be read ({error}): run this as the user the relay runs as."
            ) from error
        yield taken


def _begun(folder: Path, connections: dict[str, sqlite3.Connection]) -> dict[str, Head]:
    """Begin all reads between two commits; what ``heads`` says then."""
    with closing(opened(folder / "chatsync.db")) as gate:
        gate.execute("PRAGMA busy_timeout=0")
        _lock(gate)
        try:
            for connection in connections.values():
                connection.execute("BEGIN")
                connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            return Heads.read(folder / "heads")
        finally:
            gate.execute("ROLLBACK")


def _lock(gate: sqlite3.Connection) -> None:
    """Take the write lock. SQLite's own waiting sleeps ever longer, and would miss a busy writer's gaps."""
    pause = threading.Event()
    for _ in range(_TRIES):
        try:
            gate.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            pause.wait(_BETWEEN_TRIES_S)
        else:
            return
    raise BackupError("The relay writes without a pause for 10 s; try again when there is less to write.")
