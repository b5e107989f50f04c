"""The journal: every event of every room, durable before it is acked, in one order a room.

Owns: offsets, chains, dedupe, what a hide or a restamp does to rows. Does not know: slices, Parquet, sockets.
Units: µs. Source: contract §2 and §6; reliability G1, G2, G3, G8; decisions 0002 and 0005.

Appending runs inside work of the :class:`~chatsync.store.writer.Writer`; reading may be done from any thread.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from chatsync.chat.event import KINDS, STATE_KINDS, Draft, Event, Visibility
from chatsync.errors import CorruptError, IdReusedError
from chatsync.instants import HOUR_US
from chatsync.store.files import Files
from chatsync.store.heads import Head, Heads
from chatsync.store.identity import IdentityStore, ModerationStore
from chatsync.store.rows import COLUMNS, CREATE, checked, event_of, insert_sql, placed_check, row_of
from chatsync.store.writer import Writer, opened

__all__ = ["DEDUPE_US", "Appended", "Head", "Journal"]

DEDUPE_US = 24 * HOUR_US
_PRUNE_EVERY = 1_000  # appends between two bites
_PRUNE_ROWS = 1_000
_SELECT = f"SELECT {', '.join(COLUMNS)} FROM journal"
_CHAIN = COLUMNS.index("chain")
_PREVIOUS = COLUMNS.index("previous")
_PUBLIC_KINDS = ", ".join(f"'{kind}'" for kind, seen in KINDS.items() if seen is Visibility.PUBLIC)
_AUTHOR_KEY, _NAME_VERSION = COLUMNS.index("author_key"), COLUMNS.index("name_version")

_TABLES = """
CREATE TABLE IF NOT EXISTS dedupe (
    room TEXT NOT NULL, author_key TEXT NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL, offset INTEGER NOT NULL,
    received_us INTEGER NOT NULL, PRIMARY KEY (room, author_key, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS dedupe_received ON dedupe (received_us);
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
"""


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of a draft: the event as it stands, whether it was there before, and which offsets it touched."""

    event: Event
    duplicate: bool = False
    affected: tuple[int, ...] = ()


class Journal:
    """The log of all rooms of a data folder.

    Args:
        writer: not started yet; its hooks commit identity and moderation first and write ``heads`` afterwards.
        files: where the databases lie.
    """

    def __init__(self, writer: Writer, files: Files) -> None:
        connection = opened(files.database)
        connection.executescript(CREATE + _TABLES)
        self.open_report = _recovered(connection, files)
        connection.close()
        self._files = files
        self._identity = IdentityStore(files.identity)
        self._moderation = ModerationStore(files.moderation)
        self._heads = Heads(files.heads)
        self._known: dict[str, Head] = {}
        self._dirty: dict[str, tuple[int, int]] = {}
        self._appends = 0
        self._readers = threading.local()
        writer.before_commit += [self._identity.commit, self._moderation.commit]
        writer.after_commit.append(self._heads.flush)
        writer.after_undo.append(self._unlearn)
        writer.after_failure.append(self._forget)

    def close(self) -> None:
        """Close what the writer's thread used; call it after the writer has stopped."""
        self._heads.close()
        self._identity.close()
        self._moderation.close()

    # --- appending (in the writer's thread) -----------------------------------------------------------------------

    def append(self, connection: sqlite3.Connection, draft: Draft) -> Appended:
        """Give a draft its offset and write it, with its effects on earlier rows.

        Raises:
            IdReusedError: the same author used the id for another body within 24 h.
        """
        author_key = "" if draft.author is None else draft.author.key
        body = _body_hash(draft)
        first = self._first_of(connection, draft, author_key, body)
        if first is not None:
            return Appended(first, duplicate=True)
        head = self._head(connection, draft.room)
        offset = head.offset + 1
        name_version = None if draft.author is None else self._identity.version(draft.room, draft.author)
        row = row_of(draft, epoch=head.epoch, offset=offset, previous=head.chain, name_version=name_version)
        connection.execute(insert_sql, row)
        connection.execute(
            "INSERT OR REPLACE INTO dedupe VALUES (?, ?, ?, ?, ?, ?)",
            (draft.room, author_key, draft.id, body, offset, draft.wall_us),
        )
        event = event_of(row, "" if draft.author is None else draft.author.name)
        self._note_dirty(connection, draft.room, draft.stamp.broadcast, draft.stamp.program_us, offset)
        affected = self._effects(connection, event)
        moved = Head(head.epoch, offset, row[_CHAIN])
        self._known[draft.room] = moved
        self._heads.put(draft.room, moved)
        self._prune(connection, draft.wall_us)
        return Appended(event, affected=affected)

    def _first_of(self, connection: sqlite3.Connection, draft: Draft, author_key: str, body: bytes) -> Event | None:
        found = connection.execute(
            "SELECT body, offset, received_us FROM dedupe WHERE room = ? AND author_key = ? AND id = ?",
            (draft.room, author_key, draft.id),
        ).fetchone()
        if found is None or found[2] < draft.wall_us - DEDUPE_US:
            return None
        if found[0] != body:
            raise IdReusedError
        row = connection.execute(f"{_SELECT} WHERE room = ? AND offset = ?", (draft.room, found[1])).fetchone()
        return None if row is None else self._event(row)

    def _head(self, connection: sqlite3.Connection, room: str) -> Head:
        known = self._known.get(room)
        if known is None:
            known = self._known[room] = _head_of(connection, room)
        return known

    def _note_dirty(
        self, connection: sqlite3.Connection, room: str, broadcast: int, program_us: int, offset: int
    ) -> None:
        """An hour of program time has changed and its Parquet must be written again."""
        hour_us = program_us - program_us % HOUR_US
        connection.execute(
            "INSERT INTO dirty_hours VALUES (?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET through = max(through, excluded.through)",
            (room, broadcast, hour_us, offset),
        )

    def _prune(self, connection: sqlite3.Connection, wall_us: int) -> None:
        self._appends += 1
        if self._appends % _PRUNE_EVERY == 0:
            connection.execute(
                "DELETE FROM dedupe WHERE (room, author_key, id) IN "
                "(SELECT room, author_key, id FROM dedupe WHERE received_us < ? LIMIT ?)",
                (wall_us - DEDUPE_US, _PRUNE_ROWS),
            )

    def _effects(self, connection: sqlite3.Connection, cause: Event) -> tuple[int, ...]:
        """What a hide, a restore or a restamp does to earlier rows; the offsets it touched."""
        match cause.kind:
            case "hidden":
                touched = self._hide(connection, cause)
            case "restored":
                touched = self._restore(connection, cause)
            case "restamped":
                touched = self._restamp(connection, cause)
            case _:
                return ()
        connection.executemany(
            "INSERT OR IGNORE INTO effects VALUES (?, ?, ?)", [(cause.room, cause.offset, offset) for offset in touched]
        )
        return tuple(touched)

    def _rows(self, connection: sqlite3.Connection, cause: Event, where: str, values: tuple[Any, ...]) -> list[Any]:
        rows = connection.execute(
            f"{_SELECT} WHERE room = ? AND offset < ? AND {where} ORDER BY offset", (cause.room, cause.offset, *values)
        )
        return [checked(row) for row in rows.fetchall()]

    def _named_rows(self, connection: sqlite3.Connection, cause: Event, *, hidden: int) -> list[Any]:
        """Rows a deed names: one target with the pins that show it, or all an author said."""
        if cause.target is not None:
            where = "(offset = ? OR (kind = 'pinned' AND target = ?)) AND hidden = ?"
            return self._rows(connection, cause, where, (cause.target, cause.target, hidden))
        author_key = cause.details.get("author")
        theirs = "SELECT offset FROM journal WHERE room = ? AND author_key = ?"
        where = f"((author_key = ? AND text_check != 0) OR (kind = 'pinned' AND target IN ({theirs}))) AND hidden = ?"
        return self._rows(connection, cause, where, (author_key, cause.room, author_key, hidden))

    def _hide(self, connection: sqlite3.Connection, cause: Event) -> list[int]:
        touched = []
        for row in self._named_rows(connection, cause, hidden=0):
            event = event_of(row, "")
            self._moderation.put(cause.room, event.offset, (row[_CHAIN + 1], row[_CHAIN + 2]), wall_us=cause.wall_us)
            self._place(connection, cause, event, event.program_us, hidden=1)
            connection.execute(
                "UPDATE journal SET text = NULL, salt = NULL WHERE room = ? AND offset = ?", (cause.room, event.offset)
            )
            touched.append(event.offset)
        return touched

    def _restore(self, connection: sqlite3.Connection, cause: Event) -> list[int]:
        touched = []
        for row in self._named_rows(connection, cause, hidden=1):
            event = event_of(row, "")
            kept = self._moderation.take(cause.room, event.offset)
            if kept is None:
                continue
            self._place(connection, cause, event, event.program_us, hidden=0)
            connection.execute(
                "UPDATE journal SET text = ?, salt = ? WHERE room = ? AND offset = ?", (*kept, cause.room, event.offset)
            )
            touched.append(event.offset)
        return touched

    def _restamp(self, connection: sqlite3.Connection, cause: Event) -> list[int]:
        """Details: ``rule`` (rebase: by ``shift_us``; clamp: down to ``to_us``), ``stamps`` it applies to."""
        details = cause.details
        stamps = list(details.get("stamps", ()))
        marks = ", ".join("?" * len(stamps))
        values: tuple[Any, ...] = (cause.broadcast, *stamps)
        where = f"broadcast = ? AND placed_stamp IN ({marks})"
        if details.get("rule") == "clamp":
            where, values = f"{where} AND placed_us > ?", (*values, details["to_us"])
        touched = []
        for row in self._rows(connection, cause, where, values):
            event = event_of(row, "")
            if event.kind in {"broadcast_closed", "restamped"}:
                continue
            moved_us = details["to_us"] if details["rule"] == "clamp" else event.program_us + details["shift_us"]
            moved_us -= moved_us % 1000
            if moved_us != event.program_us:
                self._place(connection, cause, event, moved_us, hidden=int(event.hidden))
                touched.append(event.offset)
        return touched

    def _place(
        self, connection: sqlite3.Connection, cause: Event, event: Event, placed_us: int, *, hidden: int
    ) -> None:
        hidden_by = cause.offset if cause.kind == "hidden" else self._hidden_by(connection, event)
        hidden_by = hidden_by if hidden else None
        placed = (placed_us, event.stamp.stamp, hidden, hidden_by)
        connection.execute(
            "UPDATE journal SET placed_us = ?, placed_stamp = ?, hidden = ?, hidden_by = ?, placed_check = ? "
            "WHERE room = ? AND offset = ?",
            (*placed, placed_check(event.offset, *placed), event.room, event.offset),
        )
        for program_us in {event.program_us, placed_us}:
            self._note_dirty(connection, event.room, event.broadcast, program_us, cause.offset)

    def _unlearn(self, connection: sqlite3.Connection) -> None:
        """One work of a batch raised and its rows were taken back: heads are read again from what is left."""
        for room in list(self._known):
            head = self._known[room] = _head_of(connection, room)
            self._heads.put(room, head)

    @staticmethod
    def _hidden_by(connection: sqlite3.Connection, event: Event) -> int | None:
        found = connection.execute(
            "SELECT hidden_by FROM journal WHERE room = ? AND offset = ?", (event.room, event.offset)
        ).fetchone()
        hidden_by: int | None = found[0]
        return hidden_by

    def _forget(self) -> None:
        """A batch was lost: heads and names learned in it are not on disk."""
        self._known.clear()
        self._heads.forget()
        self._identity.forget()
        self._moderation.forget()

    # --- reading (any thread) -------------------------------------------------------------------------------------

    def reader(self) -> sqlite3.Connection:
        """This thread's own reading connection on chatsync.db."""
        connection: sqlite3.Connection | None = getattr(self._readers, "connection", None)
        if connection is None:
            connection = self._readers.connection = opened(self._files.database, read_only=True)
        return connection

    def head(self, room: str) -> Head:
        """Newest epoch and offset of a room; offset 0 if nothing was said yet."""
        return _head_of(self.reader(), room)

    def event(self, room: str, offset: int) -> Event | None:
        """One event, hidden ones too (without text).

        Raises:
            CorruptError: its row is damaged.
        """
        row = self.reader().execute(f"{_SELECT} WHERE room = ? AND offset = ?", (room, offset)).fetchone()
        return None if row is None else self._event(row)

    def events_after(self, room: str, offset: int, limit: int) -> list[Event]:
        """Events with greater offsets, in order, hidden ones marked.

        Raises:
            CorruptError: a row is damaged, or the chain between two rows is broken.
        """
        rows = self.reader().execute(
            f"{_SELECT} WHERE room = ? AND offset > ? ORDER BY offset LIMIT ?", (room, offset, limit)
        )
        found = rows.fetchall()
        if found and found[0][2] != offset + 1 and not self._is_epoch_start(room, found[0][2]):
            raise CorruptError("journal", f"rows {offset + 1} to {found[0][2] - 1} of room {room} are missing")
        return self._chained(found)

    def last_events(self, room: str, count: int) -> list[Event]:
        """The newest events in order, hidden ones marked.

        Raises:
            CorruptError: as :meth:`events_after`.
        """
        rows = self.reader().execute(f"{_SELECT} WHERE room = ? ORDER BY offset DESC LIMIT ?", (room, count))
        return self._chained(rows.fetchall()[::-1])

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
            public_only: only kinds that everyone may see.
            after: only places after this (program time, offset).
            limit: at most so many.

        Raises:
            CorruptError: a row is damaged.
        """
        hidden = "" if include_hidden else "AND hidden = 0 "
        public = f"AND kind IN ({_PUBLIC_KINDS}) " if public_only else ""
        later = "" if after is None else "AND (placed_us, offset) > (?, ?) "
        rows = self.reader().execute(
            f"{_SELECT} WHERE room = ? AND broadcast = ? AND placed_us >= ? AND placed_us < ? {hidden}{public}{later}"
            "ORDER BY placed_us, offset LIMIT ?",
            (room, broadcast, start_us, end_us, *(after or ()), limit),
        )
        return [self._event(row) for row in rows.fetchall()]

    def state_events(self, room: str, broadcast: int) -> list[Event]:
        """Events that bear on room state, hidden ones marked, in offset order.

        Raises:
            CorruptError: a row is damaged.
        """
        kinds = ", ".join(f"'{kind}'" for kind in sorted(STATE_KINDS))
        rows = self.reader().execute(
            f"{_SELECT} WHERE room = ? AND broadcast = ? AND kind IN ({kinds}) ORDER BY offset", (room, broadcast)
        )
        return [self._event(row) for row in rows.fetchall()]

    def affected(self, cause: Event) -> tuple[int, ...]:
        """Offsets that a hide, restore or restamp touched."""
        if cause.kind not in {"hidden", "restored", "restamped"}:
            return ()
        rows = self.reader().execute(
            "SELECT offset FROM effects WHERE room = ? AND cause = ? ORDER BY offset", (cause.room, cause.offset)
        )
        return tuple(row[0] for row in rows)

    def rooms(self) -> list[str]:
        """Rooms in which anything was ever logged."""
        return [row[0] for row in self.reader().execute("SELECT DISTINCT room FROM journal ORDER BY room")]

    def verify(self, room: str) -> int:
        """Check every row and the chain of a room; how many rows.

        Raises:
            CorruptError: the first thing that is not as it was written.
        """
        count, offset = 0, 0
        while events := self.events_after(room, offset, 10_000):
            count, offset = count + len(events), events[-1].offset
        return count

    def name_version(self, event: Event) -> int | None:
        """Which of an author's names an event was said under; None without an author."""
        found = self.reader().execute(
            "SELECT name_version FROM journal WHERE room = ? AND offset = ?", (event.room, event.offset)
        )
        version: int | None = found.fetchone()[0]
        return version

    def name(self, room: str, author_key: str, version: int) -> str:
        """What an author was called."""
        return self._identity.name(room, author_key, version)

    def _event(self, row: tuple[Any, ...]) -> Event:
        checked(row)
        key, version = row[_AUTHOR_KEY], row[_NAME_VERSION]
        return event_of(row, "" if key is None else self._identity.name(row[0], key, version))

    def _chained(self, rows: Iterable[tuple[Any, ...]]) -> list[Event]:
        events: list[Event] = []
        before: tuple[Any, ...] | None = None
        for row in rows:
            if before is not None and before[_CHAIN] != row[_PREVIOUS] and not self._is_epoch_start(row[0], row[2]):
                raise CorruptError("journal", f"rows between {before[2]} and {row[2]} of room {row[0]} are missing")
            events.append(self._event(row))
            before = row
        return events

    def _is_epoch_start(self, room: str, offset: int) -> bool:
        found = self.reader().execute("SELECT 1 FROM epochs WHERE room = ? AND first_offset = ?", (room, offset))
        return found.fetchone() is not None


_sorted = msgspec.msgpack.Encoder(order="sorted").encode


def _body_hash(draft: Draft) -> bytes:
    body = _sorted((draft.kind, draft.text, draft.reply_to, draft.target, draft.details))
    return hashlib.blake2b(body, digest_size=16).digest()


def _head_of(connection: sqlite3.Connection, room: str) -> Head:
    row = connection.execute(
        "SELECT epoch, offset, chain FROM journal WHERE room = ? ORDER BY offset DESC LIMIT 1", (room,)
    ).fetchone()
    head = Head(1, 0, 0) if row is None else Head(*row)
    newer = connection.execute(
        "SELECT epoch, first_offset FROM epochs WHERE room = ? ORDER BY epoch DESC LIMIT 1", (room,)
    ).fetchone()
    if newer is not None and newer[0] > head.epoch:
        return Head(newer[0], newer[1] - 1, 0)
    return head


def _recovered(connection: sqlite3.Connection, files: Files) -> list[str]:
    """Compare the journal with ``heads``: a journal that ends before it has lost its tail, and the epoch rises."""
    report = []
    for room, told in Heads.read(files.heads).items():
        head = _head_of(connection, room)
        if (told.epoch, told.offset) <= (head.epoch, head.offset):
            continue
        epoch, first_offset = max(told.epoch, head.epoch) + 1, max(told.offset, head.offset) + 1
        connection.execute(
            "INSERT OR REPLACE INTO epochs VALUES (?, ?, ?, ?)", (room, epoch, first_offset, "journal lost its tail")
        )
        report.append(f"room {room}: offsets {head.offset + 1} to {told.offset} are lost; epoch is now {epoch}")
    return report
