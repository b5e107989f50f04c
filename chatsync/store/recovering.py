"""What a journal says when it is opened, beside what ``heads`` says of it.

Owns: finding a room's end, noticing that one was lost. Does not know: appending, reading events.
Source: contract §6; reliability G3, G8; decision 0018.

SQLite drops the end of a damaged write-ahead log without a word, and what is left is whole in itself: only a number kept beside
the database can tell. ``heads`` has two kinds of them: the newest offset of each room, and how many changes the catalog has
seen. If the database knows less than either, history is not proven intact and epochs rise.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chatsync.errors import CorruptError, SettingsError, StorageFailedError
from chatsync.store import sums
from chatsync.store.audit import newest_of
from chatsync.store.files import Files
from chatsync.store.heads import AUDIT, CHANGES, COUNTS, NO_COUNT, Head, Heads

__all__ = [
    "ALL_ROOMS",
    "SCHEMA_VERSION",
    "Recovered",
    "check_schema",
    "head_from",
    "head_of",
    "raise_all_epochs",
    "raise_epoch",
    "read_error",
    "recovered",
    "rooms_of",
]

SCHEMA_VERSION = 3
"""Of chatsync.db, in its ``user_version``; ``store.catalog`` brings older ones up to date."""

_LOG_ROWS_MAX = 1_000_000
"""More rows than a write-ahead log holds: so far an unknown end may lie ahead, and no offset is given twice."""

Read = Callable[[str, tuple[Any, ...]], list[tuple[Any, ...]]]

ALL_ROOMS = ""
"""In ``epochs``: a row for every room, those that are not known yet included. A restored folder has one."""

_ROOMS = (
    "WITH RECURSIVE found (room) AS (SELECT min(room) FROM journal UNION ALL "
    "SELECT (SELECT min(room) FROM journal WHERE room > found.room) FROM found WHERE found.room IS NOT NULL) "
    "SELECT room FROM found WHERE room IS NOT NULL"
)
"""Every room by one step into the tree each: DISTINCT would read every row."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """What opening found.

    Attributes:
        report: what is not as ``heads`` says, a line each.
        ends: offset of the last row of each room.
        behind: ends of rooms that ``heads`` does not say, or not as they are now.
        counts: how many changes ``heads`` knows of, by slot.
        damage: what is wrong with ``heads`` itself: it is to be made anew.
        audit: end of the audit log that ``heads`` knows of.
    """

    report: list[str]
    ends: dict[str, int]
    behind: dict[str, Head]
    counts: dict[str, int]
    damage: list[CorruptError]
    audit: Head | None = None


def check_schema(version: int) -> None:
    """Before anything is written: a folder of a newer program is left as it is.

    Args:
        version: of the folder; 0 for a new one.

    Raises:
        SettingsError: the folder is of a newer schema than this program knows.
    """
    if version > SCHEMA_VERSION:
        raise SettingsError(
            f"The data folder has schema {version}, and this chatsync knows {SCHEMA_VERSION}: run a newer one."
        )


def read_error(error: Exception, what: str = "chatsync.db") -> StorageFailedError | CorruptError:
    """What a failed read means: our statements are right, so a database that does not understand them is damaged."""
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_FORMAT}:
            return CorruptError(what, "SQLite finds it malformed")
    if isinstance(error, OverflowError | ValueError | TypeError):
        return CorruptError(what, "a value is none that was written")
    return StorageFailedError()


def head_of(connection: sqlite3.Connection, room: str) -> Head:
    """Newest epoch, offset and chain of a room, by any connection."""
    return head_from(lambda sql, values: connection.execute(sql, values).fetchall(), room)


def head_from(read: Read, room: str) -> Head:
    """The same, by a function that reads rows."""
    return _head(read, room)[0]


def _head(read: Read, room: str) -> tuple[Head, int]:
    """The head a new event goes on from, and the offset of the last row that is there, or of the last that left."""
    rows = read("SELECT epoch, offset, chain FROM journal WHERE room = ? ORDER BY offset DESC LIMIT 1", (room,))
    head = Head(*rows[0]) if rows else Head(1, 0, 0)
    left = read("SELECT through, chain FROM pruned WHERE room = ? AND through > ?", (room, head.offset))
    if left:  # the newest rows were past their time
        through, chain = left[0]
        ((epoch,),) = read(
            "SELECT max(epoch) FROM epochs WHERE room IN (?, ?) AND first_offset <= ?", (room, ALL_ROOMS, through)
        )
        head = Head(max(head.epoch, epoch or 1), through, chain)
    newer = read(
        "SELECT epoch, first_offset FROM epochs WHERE room IN (?, ?) ORDER BY epoch DESC LIMIT 1", (room, ALL_ROOMS)
    )
    if newer and newer[0][0] > head.epoch:
        return Head(newer[0][0], newer[0][1] - 1, 0), head.offset
    return head, head.offset


def rooms_of(connection: sqlite3.Connection) -> list[str]:
    """Rooms of which anything is in the journal. Cost: some microseconds a room."""
    return [room for (room,) in connection.execute(_ROOMS)]


def raise_epoch(connection: sqlite3.Connection, room: str, told: Head, reason: str) -> int:
    """History of a room was not proven intact: its next event opens a new epoch, at an offset that was never told; the epoch.

    Args:
        connection: of a writer.
        room: the room.
        told: the farthest that anybody may have been told of.
        reason: for people.
    """
    head = head_of(connection, room)
    epoch, first_offset = max(told.epoch, head.epoch) + 1, max(told.offset, head.offset) + 1
    connection.execute("INSERT OR REPLACE INTO epochs VALUES (?, ?, ?, ?)", (room, epoch, first_offset, reason))
    return epoch


def raise_all_epochs(connection: sqlite3.Connection, told: Head, reason: str) -> None:
    """Let every room go on in a new epoch, those of which this database knows nothing included.

    Args:
        connection: of a writer.
        told: an epoch and an offset that no room has been told of: what is written next is past both.
        reason: for people.
    """
    values = (ALL_ROOMS, told.epoch + 1, told.offset + 1, reason)
    connection.execute("INSERT OR REPLACE INTO epochs VALUES (?, ?, ?, ?)", values)


def recovered(connection: sqlite3.Connection, files: Files) -> Recovered:
    """Compare the journal with ``heads``: if it ends before, or has another row there, the epoch of the room rises.

    If ``heads`` itself is damaged it proves nothing: then the epoch rises of each room whose end it does not say.

    Raises:
        OSError: ``heads`` cannot be read.
        sqlite3.Error: the journal cannot be read.
    """

    def read(sql: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        return connection.execute(sql, values).fetchall()

    heads = Heads.read(files.heads)
    counts = {name: heads.pop(name).offset for name in COUNTS if name in heads}
    audit = heads.pop(AUDIT, None)
    rooms, found_changes = rooms_of(connection), sums.changes(connection)
    damage = _damage(files, is_new=not rooms and not found_changes, is_older=not found_changes)
    report = [str(error) for error in damage]
    audited = newest_of(lambda sql, values: read(sql, tuple(values))).number
    if audit is not None and audit.offset > audited:
        report.append(f"records {audited + 1} to {audit.offset} of the audit log are lost")
    lost: dict[str, str] = {}
    ends: dict[str, int] = {}
    for room in sorted({*heads, *rooms}):
        told = heads.get(room)
        head, ends[room] = _head(read, room)
        if told is None:
            if damage:
                lost[room] = "heads does not say where it ends"
                heads[room] = head._replace(offset=head.offset + _LOG_ROWS_MAX)
        elif (told.epoch, told.offset) > (head.epoch, head.offset):
            lost[room] = f"offsets {head.offset + 1} to {told.offset} are lost"
        elif not _is_known(connection, room, told):
            lost[room] = f"offset {told.offset} is not what was written there"
    counted = counts.get(CHANGES)
    changes_lost = ""
    if counted is not None and found_changes < counted:
        changes_lost = f"the last {counted - found_changes} changes of the catalog are lost"
    elif counted is None and damage:
        changes_lost = "heads does not say whether the catalog is whole"
    if changes_lost:
        report.append(changes_lost)
        lost |= {room: lost.get(room, changes_lost) for room in ends}
    if lost or changes_lost:
        connection.execute("BEGIN IMMEDIATE")
        for room, reason in lost.items():
            epoch = raise_epoch(connection, room, heads.get(room, Head(1, 0, 0)), reason)
            why = "" if reason == changes_lost else f"{reason}; "
            report.append(f"room {room}: {why}its epoch is now {epoch}")
        if counted is not None and found_changes < counted:
            sums.put_changes(connection, counted + 1)
        connection.execute("COMMIT")
    newest = {room: _head(read, room)[0] for room in ends}
    behind = {room: head for room, head in newest.items() if damage or heads.get(room) != head}
    return Recovered(report, ends, behind, counts, damage, audit)


def _damage(files: Files, *, is_new: bool, is_older: bool) -> list[CorruptError]:
    """What is wrong with ``heads``: a new folder has none yet, and one of an older program does not count changes."""
    found = [] if is_new and not files.heads.exists() else Heads.damaged(files.heads)
    return [error for error in found if not (is_older and error.detail == NO_COUNT)]


def _is_known(connection: sqlite3.Connection, room: str, told: Head) -> bool:
    """Whether the row at a head that was told is still the one that was written."""
    rows = connection.execute(
        "SELECT chain FROM journal WHERE room = ? AND offset = ? AND epoch = ?", (room, told.offset, told.epoch)
    ).fetchall()
    return not rows or rows[0][0] == told.chain
