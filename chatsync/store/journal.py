"""The journal: every event of every room, durable before it is acked, in one order a room.

Owns: offsets, chains, dedupe, what a hide or a restamp does to rows. Does not know: slices, Parquet, sockets.
Units: µs. Source: contract §2 and §6; reliability G1, G2, G3, G8; decisions 0002 and 0005.

Appending runs inside work of the :class:`~chatsync.store.writer.Writer`; reading may be done from any thread.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

from chatsync.chat.event import KINDS, STATE_KINDS, Author, Draft, Event, Role, Visibility
from chatsync.errors import CorruptError, IdReusedError, StorageFailedError
from chatsync.instants import HOUR_US
from chatsync.store.effects import Effects, NamedRows
from chatsync.store.files import Files
from chatsync.store.heads import Head, Heads
from chatsync.store.identity import IdentityStore, ModerationStore
from chatsync.store.rows import (
    COLUMNS,
    CREATE,
    checked,
    details_of,
    event_of,
    insert_sql,
    row_of,
)
from chatsync.store.writer import Writer, opened

__all__ = ["CHANGED_MAX", "DEDUPE_US", "HIDDEN_TEXT_US", "Appended", "Head", "Journal"]

DEDUPE_US = 24 * HOUR_US
CHANGED_MAX = 2_000  # events of one deed that are told one by one: ~10 ms of an event loop
HIDDEN_TEXT_US = 30 * 24 * HOUR_US
T = TypeVar("T")

_SWEEP_EVERY = 500  # appends between two bites
_SWEEP_ROWS = 2_000
_SPOKE_MAX = 200_000
_SELECT = f"SELECT {', '.join(COLUMNS)} FROM journal"
_CHAIN = COLUMNS.index("chain")
_PREVIOUS = COLUMNS.index("previous")
_PUBLIC_KINDS = ", ".join(f"'{kind}'" for kind, seen in KINDS.items() if seen is Visibility.PUBLIC)
_STATE_KINDS = ", ".join(f"'{kind}'" for kind in sorted(STATE_KINDS))
_AUTHOR_KEY, _ROLE, _NAME_VERSION = (COLUMNS.index(name) for name in ("author_key", "role", "name_version"))

_TABLES = """
CREATE TABLE IF NOT EXISTS dedupe (
    room TEXT NOT NULL, id TEXT NOT NULL, author_key TEXT NOT NULL, offset INTEGER NOT NULL, received_us INTEGER NOT NULL,
    PRIMARY KEY (room, id, author_key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spoke (
    room TEXT NOT NULL, author_key TEXT NOT NULL, broadcast INTEGER NOT NULL, PRIMARY KEY (room, author_key, broadcast)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS effects (
    room TEXT NOT NULL, cause INTEGER NOT NULL, offset INTEGER NOT NULL, PRIMARY KEY (room, cause, offset)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS epochs (
    room TEXT NOT NULL, epoch INTEGER NOT NULL, first_offset INTEGER NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (room, epoch)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dirty_hours (
    room TEXT NOT NULL, broadcast INTEGER NOT NULL, hour_us INTEGER NOT NULL, through INTEGER NOT NULL,
    PRIMARY KEY (room, broadcast, hour_us)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS erasures (
    room TEXT NOT NULL, author_key TEXT NOT NULL, offset INTEGER NOT NULL, asked_wall_us INTEGER NOT NULL,
    done_wall_us INTEGER, receipt TEXT, PRIMARY KEY (room, author_key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pruned (
    room TEXT PRIMARY KEY, through INTEGER NOT NULL, chain INTEGER NOT NULL
) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of a draft: the event as it stands, whether it was there before, and what it touched.

    Attributes:
        event: as it stands in the log.
        duplicate: whether it stood there before.
        affected: offsets that it hid, restored or moved.
        changed: those events as they stand now, read where they were written so that nobody has to look them up on an event
            loop; empty if there are more than :data:`CHANGED_MAX`.
    """

    event: Event
    duplicate: bool = False
    affected: tuple[int, ...] = ()
    changed: tuple[Event, ...] = ()

    @property
    def is_wide(self) -> bool:
        """Whether so much was touched that it is not told one by one."""
        return len(self.affected) > CHANGED_MAX


class Journal:
    """The log of all rooms of a data folder.

    Args:
        writer: not started yet; its hooks commit identity and moderation first and write ``heads`` afterwards.
        files: where the databases lie.

    Attributes:
        open_report: what was found wrong at opening, a line each; the epochs of those rooms have risen.

    Raises:
        CorruptError: a file is no database any more.
        StorageFailedError: one cannot be opened.
    """

    def __init__(self, writer: Writer, files: Files) -> None:
        self._files = files
        self._readers = threading.local()
        self.on_read: Callable[[], object] = lambda: None  # told of every look into chatsync.db, in any thread
        try:
            self.open_report = self._opened_tables()
            self._identity = IdentityStore(files.identity)
            self._moderation = ModerationStore(files.moderation)
            self._heads = Heads(files.heads)
        except (sqlite3.Error, OSError) as error:
            raise _read_error(error) from error
        self._effects = Effects(self._moderation, self._identity, self._note_changed)
        self._known: dict[str, Head] = {}
        self._changed_hours: dict[tuple[str, int, int], int] = {}
        self._spoke: set[tuple[str, str, int]] = set()
        self._appends = 0
        self._swept: tuple[str, str, str] = ("", "", "")
        writer.before_commit.append(self._before_commit)
        writer.after_commit.append(self._heads.flush)
        writer.after_undo.append(self._unlearn)
        writer.after_failure.append(self._forget)
        writer.settle.append(self._heads.sync)

    def _opened_tables(self) -> list[str]:
        connection = opened(self._files.database)
        try:
            connection.executescript(CREATE + _TABLES)
            return _recovered(connection, self._files)
        finally:
            connection.close()

    def close(self) -> None:
        """Close what the writer's thread used; call it after the writer has stopped."""
        self._heads.close()
        self._identity.close()
        self._moderation.close()

    # --- appending (in the writer's thread) -----------------------------------------------------------------------

    def append(
        self,
        connection: sqlite3.Connection,
        draft: Draft,
        *,
        placements: Mapping[int, tuple[int, int]] = MappingProxyType({}),
        named: NamedRows | None = None,
    ) -> Appended:
        """Give a draft its offset and write it, with its effects on earlier rows.

        A draft is the same as an earlier one if kind, text, reply, target and details are; then the earlier event is the answer.

        Args:
            connection: the writer's, in a transaction.
            draft: stamped already.
            placements: with a ``restamped`` by the record: where each event stands and where it goes, by offset.
            named: with an ``erased``: the author's rows as far as they were looked for.

        Raises:
            IdReusedError: the same author used the id for another body within 24 h.
            CorruptError: an earlier row that this one is about is damaged; nothing is written then.
        """
        room, author, broadcast = draft.room, draft.author, draft.stamp.broadcast
        head = self._known.get(room)
        if head is None:
            head = self._known[room] = _head_of(connection, room)
        offset = head.offset + 1
        author_key = "" if author is None else author.key
        received_us = draft.wall_us if draft.received_us is None else draft.received_us
        key = (room, draft.id, author_key)
        added = connection.execute(
            "INSERT INTO dedupe VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", (*key, offset, received_us)
        )
        if added.rowcount == 0:
            first = self._first_of(connection, draft, author_key)
            if first is not None:
                return Appended(first, duplicate=True)
            connection.execute("REPLACE INTO dedupe VALUES (?, ?, ?, ?, ?)", (*key, offset, received_us))
        name_version = None if author is None else self._identity.version(room, author)
        row = row_of(draft, epoch=head.epoch, offset=offset, previous=head.chain, name_version=name_version)
        connection.execute(insert_sql, row)
        if author is not None and (room, author_key, broadcast) not in self._spoke:
            self._note_spoke(connection, room, author_key, broadcast)
        event = event_of(row, author)
        self._note_changed(room, broadcast, draft.stamp.program_us, offset)
        affected = self._effects.apply(connection, event, placements, named)
        if event.kind == "erased":
            self._spoke.clear()
        moved = self._known[room] = Head(head.epoch, offset, row[_CHAIN])
        self._heads.put(room, moved)
        self._appends += 1
        if self._appends % _SWEEP_EVERY == 1:
            self.sweep(connection, received_us)
        changed = tuple(self._events_at(connection, room, affected)) if 0 < len(affected) <= CHANGED_MAX else ()
        return Appended(event, affected=affected, changed=changed)

    def _first_of(self, connection: sqlite3.Connection, draft: Draft, author_key: str) -> Event | None:
        """The event that used a draft's id before; None if that is too long ago."""
        now_us = draft.wall_us if draft.received_us is None else draft.received_us
        offset, received_us = connection.execute(
            "SELECT offset, received_us FROM dedupe WHERE room = ? AND id = ? AND author_key = ?",
            (draft.room, draft.id, author_key),
        ).fetchone()
        if received_us < now_us - DEDUPE_US:
            return None
        row = connection.execute(f"{_SELECT} WHERE room = ? AND offset = ?", (draft.room, offset)).fetchone()
        if row is None:
            raise CorruptError("journal", f"row {offset} of room {draft.room} is missing")
        first = dict(zip(COLUMNS, checked(row), strict=True))
        details, said = details_of(draft.details)
        if (draft.kind, draft.reply_to, draft.target, details) != tuple(
            first[name] for name in ("kind", "reply_to", "target", "details")
        ):
            raise IdReusedError
        # What was blanked cannot be compared any more: nothing is kept that could confirm a guess at it.
        is_blanked = first["hidden"] and first["salt"] is None
        if not is_blanked and (draft.text, said) != (first["text"], first["said"]):
            raise IdReusedError
        return self._event(row)

    def _note_spoke(self, connection: sqlite3.Connection, room: str, author_key: str, broadcast: int) -> None:
        """Remember where an author said anything. An index of all rows by author would dirty another page with each row."""
        connection.execute("INSERT OR IGNORE INTO spoke VALUES (?, ?, ?)", (room, author_key, broadcast))
        if len(self._spoke) >= _SPOKE_MAX:
            self._spoke.clear()
        self._spoke.add((room, author_key, broadcast))

    def _note_changed(self, room: str, broadcast: int, program_us: int, offset: int) -> None:
        """An hour of program time has changed and its Parquet must be written again."""
        self._changed_hours[(room, broadcast, program_us - program_us % HOUR_US)] = offset

    def _before_commit(self, connection: sqlite3.Connection) -> None:
        if self._changed_hours:
            connection.executemany(
                "INSERT INTO dirty_hours VALUES (?, ?, ?, ?) "
                "ON CONFLICT DO UPDATE SET through = max(through, excluded.through)",
                [(*hour, through) for hour, through in self._changed_hours.items()],
            )
            self._changed_hours.clear()
        self._identity.commit()
        self._moderation.commit()

    def sweep(self, connection: sqlite3.Connection, wall_us: int) -> None:
        """Drop a bite of ids past their 24 h, and hidden text past its 30 days.

        Appending calls it now and then; a relay in which nobody writes should too.

        Args:
            connection: the writer's, in a transaction.
            wall_us: wall time now.
        """
        self._moderation.sweep(wall_us - HIDDEN_TEXT_US)
        bite = connection.execute(
            "SELECT room, id, author_key, received_us FROM dedupe WHERE (room, id, author_key) > (?, ?, ?) "
            "ORDER BY room, id, author_key LIMIT ?",
            (*self._swept, _SWEEP_ROWS),
        ).fetchall()
        connection.executemany(
            "DELETE FROM dedupe WHERE room = ? AND id = ? AND author_key = ?",
            [key for *key, received_us in bite if received_us < wall_us - DEDUPE_US],
        )
        self._swept = bite[-1][:3] if len(bite) == _SWEEP_ROWS else ("", "", "")

    def _unlearn(self, connection: sqlite3.Connection) -> None:
        """One work of a batch raised and its rows were taken back: what it taught us is read again from what is left."""
        self._known.clear()
        self._spoke.clear()
        for room in self._heads.rooms_put():
            self._heads.put(room, _head_of(connection, room))
        for hour, through in self._changed_hours.items():
            self._changed_hours[hour] = min(through, _head_of(connection, hour[0]).offset)

    def _forget(self) -> None:
        """A batch was lost: heads and names learned in it are not on disk."""
        self._known.clear()
        self._spoke.clear()
        self._changed_hours.clear()
        self._heads.forget()
        self._identity.forget()
        self._moderation.forget()

    # --- reading (any thread) -------------------------------------------------------------------------------------

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
        return self.read_by(lambda connection: connection.execute(sql, values).fetchall())

    def read_by(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What a function reads by this thread's own connection.

        Raises:
            CorruptError: SQLite finds the database damaged.
            StorageFailedError: it cannot be read.
        """
        try:
            return work(self.reader())
        except (sqlite3.Error, OSError) as error:
            raise _read_error(error) from error

    def head(self, room: str) -> Head:
        """Newest epoch and offset of a room; offset 0 if nothing was said yet."""
        return _head_from(self.read, room)

    def event(self, room: str, offset: int) -> Event | None:
        """One event, hidden ones too (without text).

        Raises:
            CorruptError: its row is damaged.
        """
        rows = self.read(f"{_SELECT} WHERE room = ? AND offset = ?", (room, offset))
        return self._event(rows[0]) if rows else None

    def events_after(self, room: str, offset: int, limit: int) -> list[Event]:
        """Events with greater offsets, in order, hidden ones marked.

        Raises:
            CorruptError: a row is damaged or missing, or the chain between two rows is broken.
        """
        rows = self.read(f"{_SELECT} WHERE room = ? AND offset >= ? ORDER BY offset LIMIT ?", (room, offset, limit + 1))
        if not rows:
            return []
        if rows[0][2] == offset:
            return self._chained(rows)[1:]
        if rows[0][2] != offset + 1 and not self._is_epoch_start(room, rows[0][2]):
            raise CorruptError("journal", f"rows {offset + 1} to {rows[0][2] - 1} of room {room} are missing")
        return self._chained(rows[:limit])

    def last_events(self, room: str, count: int) -> list[Event]:
        """The newest events in order, hidden ones marked.

        Raises:
            CorruptError: as :meth:`events_after`.
        """
        rows = self.read(f"{_SELECT} WHERE room = ? ORDER BY offset DESC LIMIT ?", (room, count))
        return self._chained(rows[::-1])

    def events_between(
        self,
        room: str,
        broadcast: int,
        start_us: int,
        end_us: int,
        *,
        include_hidden: bool = False,
        public_only: bool = False,
        after: tuple[int, int] | None = None,
        limit: int = -1,
    ) -> list[Event]:
        """Events of ``[start_us, end_us)`` of program time by (program time, offset).

        Args:
            room: the room.
            broadcast: its airing.
            start_us: program time, inclusive.
            end_us: exclusive.
            include_hidden: hidden ones too, without text.
            public_only: only what everyone may see: kinds that are public, and not addressed to somebody.
            after: only places after this (program time, offset).
            limit: at most so many.

        Raises:
            CorruptError: a row is damaged.
        """
        hidden = "" if include_hidden else "AND hidden = 0 "
        public = f"AND kind IN ({_PUBLIC_KINDS}) AND json_type(details, '$.to') IS NULL " if public_only else ""
        later = "" if after is None else "AND (placed_us, offset) > (?, ?) "
        rows = self.read(
            f"{_SELECT} WHERE room = ? AND broadcast = ? AND placed_us >= ? AND placed_us < ? {hidden}{public}{later}"
            "ORDER BY placed_us, offset LIMIT ?",
            (room, broadcast, start_us, end_us, *(after or ()), limit),
        )
        return [self._event(row) for row in rows]

    def state_events(self, room: str, broadcast: int) -> list[Event]:
        """Events that bear on room state, hidden ones marked, in offset order.

        Raises:
            CorruptError: a row is damaged.
        """
        rows = self.read(
            f"{_SELECT} WHERE room = ? AND broadcast = ? AND kind IN ({_STATE_KINDS}) ORDER BY offset",
            (room, broadcast),
        )
        return [self._event(row) for row in rows]

    def affected(self, cause: Event) -> tuple[int, ...]:
        """Offsets that a hide, restore or restamp touched."""
        if cause.kind not in {"hidden", "restored", "erased", "restamped"}:
            return ()
        rows = self.read(
            "SELECT offset FROM effects WHERE room = ? AND cause = ? ORDER BY offset", (cause.room, cause.offset)
        )
        return tuple(row[0] for row in rows)

    def appended(self, event: Event) -> Appended:
        """What an event of the log touched, as its author was told then but with the events as they stand now.

        Raises:
            CorruptError: a row is damaged.
        """
        affected = self.affected(event)
        if not affected or len(affected) > CHANGED_MAX:
            return Appended(event, affected=affected)
        changed = self.read_by(lambda connection: self._events_at(connection, event.room, affected))
        return Appended(event, affected=affected, changed=tuple(changed))

    def heads(self) -> dict[str, Head]:
        """Newest epoch and offset of every room, from ``heads``: no row is read.

        Raises:
            StorageFailedError: the file cannot be read.
        """
        try:
            return Heads.read(self._files.heads)
        except OSError as error:
            raise _read_error(error, "heads") from error

    def rooms(self) -> list[str]:
        """Rooms in which anything was ever logged."""
        return [row[0] for row in self.read("SELECT DISTINCT room FROM journal ORDER BY room")]

    def verify(self, room: str) -> int:
        """Check every row and the chain of a room from its first row to its last; how many rows.

        Raises:
            CorruptError: the first thing that is not as it was written.
        """
        count, offset = 0, 0
        while events := self.events_after(room, offset, 10_000):
            count, offset = count + len(events), events[-1].offset
        return count

    def name_versions(self, room: str, offsets: Sequence[int]) -> dict[int, int | None]:
        """By offset, which of their authors' names events were said under; None without an author."""
        versions: dict[int, int | None] = {}
        for first in range(0, len(offsets), 500):
            some = offsets[first : first + 500]
            marks = ", ".join("?" * len(some))
            versions |= self.read(
                f"SELECT offset, name_version FROM journal WHERE room = ? AND offset IN ({marks})", (room, *some)
            )
        return versions

    def author(self, room: str, author_key: str, version: int, role: Role) -> Author:
        """Who an author was, under the version of their name that an event was said under.

        Raises:
            StorageFailedError: identity.db cannot be read.
        """
        try:
            return self._identity.author(room, author_key, version, role)
        except (sqlite3.Error, OSError) as error:
            raise _read_error(error, "identity.db") from error

    def _events_at(self, connection: sqlite3.Connection, room: str, offsets: Sequence[int]) -> list[Event]:
        """Events at these offsets, in order; those that are not there are left out."""
        found: list[Event] = []
        for first in range(0, len(offsets), 500):
            some = offsets[first : first + 500]
            marks = ", ".join("?" * len(some))
            rows = connection.execute(
                f"{_SELECT} WHERE room = ? AND offset IN ({marks}) ORDER BY offset", (room, *some)
            )
            found += [self._event(row) for row in rows]
        return found

    def _event(self, row: tuple[Any, ...]) -> Event:
        checked(row)
        key = row[_AUTHOR_KEY]
        return event_of(row, None if key is None else self.author(row[0], key, row[_NAME_VERSION], row[_ROLE]))

    def _chained(self, rows: Sequence[tuple[Any, ...]]) -> list[Event]:
        events: list[Event] = []
        before: tuple[Any, ...] | None = None
        for row in rows:
            if before is not None and before[_CHAIN] != row[_PREVIOUS] and not self._is_epoch_start(row[0], row[2]):
                raise CorruptError("journal", f"rows between {before[2]} and {row[2]} of room {row[0]} are missing")
            events.append(self._event(row))
            before = row
        return events

    def _is_epoch_start(self, room: str, offset: int) -> bool:
        return bool(self.read("SELECT 1 FROM epochs WHERE room = ? AND first_offset = ?", (room, offset)))


def _read_error(error: sqlite3.Error | OSError, what: str = "chatsync.db") -> StorageFailedError | CorruptError:
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return CorruptError(what, "SQLite finds it malformed")
    return StorageFailedError()


def _head_of(connection: sqlite3.Connection, room: str) -> Head:
    return _head_from(lambda sql, values: connection.execute(sql, values).fetchall(), room)


def _head_from(read: Callable[[str, tuple[str]], list[tuple[Any, ...]]], room: str) -> Head:
    rows = read("SELECT epoch, offset, chain FROM journal WHERE room = ? ORDER BY offset DESC LIMIT 1", (room,))
    head = Head(*rows[0]) if rows else Head(1, 0, 0)
    newer = read("SELECT epoch, first_offset FROM epochs WHERE room = ? ORDER BY epoch DESC LIMIT 1", (room,))
    if newer and newer[0][0] > head.epoch:
        return Head(newer[0][0], newer[0][1] - 1, 0)
    return head


def _recovered(connection: sqlite3.Connection, files: Files) -> list[str]:
    """Compare the journal with ``heads``: if it ends before, or has another row there, history is lost and the epoch rises."""
    report = []
    for room, told in Heads.read(files.heads).items():
        head = _head_of(connection, room)
        if (told.epoch, told.offset) > (head.epoch, head.offset):
            lost = f"offsets {head.offset + 1} to {told.offset} are lost"
        elif _is_known(connection, room, told):
            continue
        else:
            lost = f"offset {told.offset} is not what was written there"
        epoch, first_offset = max(told.epoch, head.epoch) + 1, max(told.offset, head.offset) + 1
        connection.execute("INSERT OR REPLACE INTO epochs VALUES (?, ?, ?, ?)", (room, epoch, first_offset, lost))
        report.append(f"room {room}: {lost}; its epoch is now {epoch}")
    return report


def _is_known(connection: sqlite3.Connection, room: str, told: Head) -> bool:
    """Whether the row at a head that was told is still the one that was written."""
    rows = connection.execute(
        "SELECT chain FROM journal WHERE room = ? AND offset = ? AND epoch = ?", (room, told.offset, told.epoch)
    ).fetchall()
    return not rows or rows[0][0] == told.chain
