"""Reading the journal: events by offset, by place and by what they are, each row compared with its checksums.

Owns: that nothing missing or damaged is taken for an answer. Does not know: appending.
Units: µs. Source: contract §2 and §6; reliability G4, G8; decisions 0016 and 0018.

May be called from any thread. Rows that have left the journal are read from where they went, as if they were here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from chatsync.chat.event import STATE_KINDS, Author, Event, Role, Visibility, visibility_of
from chatsync.chat.standing import Standing
from chatsync.errors import CorruptError
from chatsync.instants import Range
from chatsync.store import sums
from chatsync.store.effects import CHANGED_MAX, Appended, NamedRows
from chatsync.store.files import Files
from chatsync.store.heads import NOT_ROOMS, Head
from chatsync.store.hours import Hours
from chatsync.store.identity import IdentityStore, ModerationStore
from chatsync.store.lost import Lost
from chatsync.store.pruned import Pruned
from chatsync.store.readers import Readers
from chatsync.store.recovering import ALL_ROOMS, head_from, read_error, rooms_of
from chatsync.store.rows import (
    COLUMNS,
    PLAIN_NAMES,
    Columns,
    checked,
    event_of,
    plain_columns,
    standing_columns,
)
from chatsync.store.standing import read_standing

__all__ = ["CHANGED_MAX", "DEEDS_ON_ROWS", "WATCHED_TABLES", "Appended", "JournalReads"]

T = TypeVar("T")

DEEDS_ON_ROWS = frozenset({"hidden", "restored", "erased", "restamped"})
"""Kinds that change earlier rows."""
WATCHED_TABLES = (
    *("dirty_hours", "effects", "epochs", "lost", "spoke", "pruned", "erasures", "standing"),
    *("audit", "audit_checkpoints", "audit_start", "imported"),
)

_ROWS_AT_ONCE = 2_000  # a few ms of work between two chances for other threads
_SELECT = f"SELECT {', '.join(COLUMNS)} FROM journal"
_FOUND = ", ".join(f"j.{name}" for name in COLUMNS)
# What stands in the index of places is part of what is compared; the last column says whether the rest may be left unread.
_PLAIN = ", ".join(
    [{"program_us": "p.placed_us", "offset": "p.offset"}.get(name, f"j.{name}") for name in PLAIN_NAMES]
    + [
        "j.placed_us = p.placed_us AND j.program_us = p.placed_us AND j.placed_stamp = j.stamp "
        "AND j.hidden = 0 AND j.hidden_by IS NULL"
    ]
)
_PLAIN_PLACE = PLAIN_NAMES.index("program_us"), PLAIN_NAMES.index("offset")
_BY_PLACE = (
    "FROM journal AS p INDEXED BY journal_placed LEFT JOIN journal AS j ON j.room = p.room AND j.offset = p.offset "
    "WHERE p.room = ? AND p.broadcast = ? AND p.placed_us >= ? AND p.placed_us < ?"
)
_BROADCAST, _PLACED_US, _HIDDEN = (COLUMNS.index(name) for name in ("broadcast", "placed_us", "hidden"))
_CHAIN, _PREVIOUS = COLUMNS.index("chain"), COLUMNS.index("previous")
_DEEDS = ", ".join(f"'{kind}'" for kind in sorted(DEEDS_ON_ROWS))
_STATE_KINDS = ", ".join(f"'{kind}'" for kind in sorted(STATE_KINDS))
_AUTHOR_KEY, _ROLE, _NAME_VERSION = (COLUMNS.index(name) for name in ("author_key", "role", "name_version"))


class JournalReads(Readers):
    """What can be read of a data folder's log.

    Args:
        files: where the databases lie.

    Attributes:
        pruned: which rows have left the journal; whoever knows where they went attaches itself as its ``source``.
    """

    _identity: IdentityStore
    _moderation: ModerationStore

    def __init__(self, files: Files) -> None:
        super().__init__(files)
        self.pruned = Pruned()
        self.lost = Lost()
        self._ends: dict[str, int] = {}  # offset of the last durable row by room: where a read must get to
        self._hours = Hours()

    def head(self, room: str) -> Head:
        """Newest epoch and offset of a room; offset 0 if nothing was said yet.

        Raises:
            CorruptError: the room's last rows are missing.
        """
        end = self._ends.get(room, 0)
        found = head_from(self.read, room)
        if found.offset < end:
            raise CorruptError("journal", f"rows {found.offset + 1} to {end} of room {room} are missing")
        return found

    def _end(self, room: str) -> int:
        """Offset of the row that a read must get to; 0 if all that is left may have gone."""
        end = self._ends.get(room, 0)
        return end if end > self.pruned.through(room) else 0

    def event(self, room: str, offset: int) -> Event | None:
        """One event, hidden ones too (without text).

        Raises:
            CorruptError: its row is damaged.
        """
        end = self._end(room)
        rows = self.read(f"{_SELECT} WHERE room = ? AND offset = ?", (room, offset))
        rows = rows or self.pruned.at(room, [offset])
        if rows:
            return self._event(rows[0])
        if 0 < offset <= end and any(one.offset == offset for one in self.events_after(room, offset - 1, 1)):
            raise CorruptError("journal", f"row {offset} of room {room} is not found where it stands")
        return None  # no hole is there that was not told of

    def events_after(self, room: str, offset: int, limit: int) -> list[Event]:
        """Events with greater offsets, in order, hidden ones marked.

        Raises:
            CorruptError: a row is damaged or missing, or the chain between two rows is broken.
        """
        return self._events(self._rows_after(room, offset, limit))

    def _rows_after(self, room: str, offset: int, limit: int) -> Sequence[tuple[Any, ...]]:
        """Rows with greater offsets, in order; each hangs on the one before, and none is missing.

        Raises:
            CorruptError: one is missing, or the chain between two is broken.
        """
        end = self._end(room)
        rows = self.read(f"{_SELECT} WHERE room = ? AND offset >= ? ORDER BY offset LIMIT ?", (room, offset, limit + 1))
        if rows and not isinstance(rows[-1][2], int):
            raise CorruptError("journal", f"an offset of room {room} is none")
        if len(rows) <= limit and max(offset, rows[-1][2] if rows else 0) < end:
            after = rows[-1][2] if rows else offset
            raise CorruptError("journal", f"rows {after + 1} to {end} of room {room} are missing")
        if not rows:
            return []
        first, last = rows[0], rows[-1] if rows[0][2] == offset else rows[: max(1, limit)][-1]
        self.lost.check_offsets(room, offset + 1, last[2])
        if first[2] == offset:
            return self._hanging(rows)[1:]
        if first[2] != offset + 1 and not self.pruned.fits(None, first) and not self._is_epoch_start(room, first[2]):
            raise CorruptError("journal", f"rows {offset + 1} to {rows[0][2] - 1} of room {room} are missing")
        return self._hanging(rows[:limit])

    def deeds_after(self, room: str, offset: int) -> list[Event]:
        """Events with greater offsets that change earlier rows, in order. Cost: 0.5 µs a row that is there.

        Raises:
            CorruptError: a row that says it is one is damaged.
        """
        rows = self.read(
            f"{_SELECT} WHERE room = ? AND offset > ? AND kind IN ({_DEEDS}) ORDER BY offset", (room, offset)
        )
        return self._events(rows)

    def last_events(self, room: str, count: int) -> list[Event]:
        """The newest events in order, hidden ones marked.

        Raises:
            CorruptError: as :meth:`events_after`.
        """
        end = self._end(room)
        rows = self.read(f"{_SELECT} WHERE room = ? ORDER BY offset DESC LIMIT ?", (room, count))
        if rows and not (isinstance(rows[0][2], int) and isinstance(rows[-1][2], int)):
            raise CorruptError("journal", f"an offset of room {room} is none")
        if count and (rows[0][2] if rows else 0) < end:
            raise CorruptError("journal", f"rows up to {end} of room {room} are missing")
        lost = max((one.last for one in self.lost.ranges(room)), default=0)
        if rows and rows[-1][2] <= lost:
            rows = [row for row in rows if row[2] > lost]
        elif 0 < len(rows) < count:
            self._check_oldest(room, rows[-1], lost)
        return self._events(self._hanging(rows[::-1]))

    def _check_oldest(self, room: str, row: tuple[Any, ...], lost: int) -> None:
        """Whether nothing comes before a row but what is known to be lost or to have left.

        Raises:
            CorruptError: something does.
        """
        offset = row[2]
        is_first = offset in {1, lost + 1} or self.pruned.fits(None, row) or self._is_epoch_start(room, offset)
        ((before,),) = self.read("SELECT max(offset) FROM journal WHERE room = ? AND offset < ?", (room, offset))
        if not is_first or (before or 0) > lost:
            raise CorruptError("journal", f"rows up to {offset - 1} of room {room} are missing")

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
        self.lost.check_places(room, broadcast, Range(start_us, end_us))
        self._hours.check_places(self.reads, room, broadcast, start_us, end_us)
        events: list[Event] = []
        place = after
        while True:
            page = self._placed_events(room, broadcast, Range(start_us, end_us), place, limit)
            events += [
                event
                for event in page
                if (include_hidden or not event.hidden) and (not public_only or _is_public(event))
            ]
            if limit < 0 or len(page) < limit or len(events) >= limit:
                break
            place = page[-1].place
        known = {event.offset for event in events}  # a row may leave the journal between the two looks
        left = [
            event for event in self.left(room, broadcast, Range(start_us, end_us), after) if event.offset not in known
        ]
        if left:
            events = sorted((*events, *left), key=lambda event: event.place)
        return events if limit < 0 else events[:limit]

    def page_from(
        self, room: str, broadcast: int, start_us: int, *, through: int, after: tuple[int, int] | None, limit: int
    ) -> list[Event]:
        """The next events of a broadcast from an instant on by (program time, offset), hidden ones marked.

        For what is not sealed: rows that have left the journal are not looked for.

        Args:
            room: the room.
            broadcast: its airing.
            start_us: program time, inclusive.
            through: no greater offsets.
            after: only places after this one; None at first.
            limit: at most so many.

        Raises:
            CorruptError: a row is damaged; at first also if the index does not find all.
        """
        if after is None:
            self._hours.check_places(self.reads, room, broadcast, start_us, 2**62)
        return self._placed_events(room, broadcast, Range(start_us, 2**62), after, limit, through=through)

    def _placed_events(
        self,
        room: str,
        broadcast: int,
        within: Range,
        after: tuple[int, int] | None,
        limit: int,
        *,
        through: int = 2**62,
    ) -> list[Event]:
        """All that stands in a range, of whatever kind.

        What is wanted of it is decided on rows that were checked: a damaged one must not slip out because it looks hidden.
        """
        later = "" if after is None else "AND (p.placed_us, p.offset) > (?, ?)"
        rows = self.read(
            f"SELECT p.placed_us, p.offset, {_FOUND} FROM journal AS p INDEXED BY journal_placed "
            "LEFT JOIN journal AS j ON j.room = p.room AND j.offset = p.offset "
            f"WHERE p.room = ? AND p.broadcast = ? AND p.placed_us >= ? AND p.placed_us < ? AND p.offset <= ? {later} "
            "ORDER BY p.placed_us, p.offset LIMIT ?",
            (room, broadcast, within.start_us, within.end_us, through, *(after or ()), limit),
        )
        return self._events(self._found(room, row, _PLACED_US) for row in rows)

    def left(self, room: str, broadcast: int, within: Range, after: tuple[int, int] | None = None) -> list[Event]:
        """Events of a range that have left the journal: all of them public, and none hidden."""
        rows = self.pruned.between(room, broadcast, within)
        if not rows:
            return []
        offsets = [row[2] for row in rows]
        here = set(self.offsets_between(room, min(offsets), max(offsets)))
        events = self._events(row for row in rows if row[2] not in here)
        return [event for event in events if after is None or event.place > after]

    def offsets_between(self, room: str, first: int, last: int) -> list[int]:
        """Offsets that are in the journal, in order, both ends included."""
        rows = self.read("SELECT offset FROM journal WHERE room = ? AND offset BETWEEN ? AND ?", (room, first, last))
        return [offset for (offset,) in rows]

    def checked_columns(self, room: str, broadcast: int, within: Range) -> Iterator[Columns]:
        """Rows of a range of program time that are not hidden, many at a time, in order of (program time, offset).

        Raises:
            CorruptError: a row is damaged or missing.
            StorageFailedError: they cannot be read.

        Cost: about 6 µs a row, and the memory of those that are given at a time. Most of it is making values of Python, so only
        what says something is read of rows that stand where they were first put and are not hidden.
        """
        self._hours.check_places(self.reads, room, broadcast, within.start_us, within.end_us)
        try:
            cursor = self.reader().execute(
                f"SELECT {_PLAIN} {_BY_PLACE} ORDER BY p.placed_us, p.offset",
                (room, broadcast, within.start_us, within.end_us),
            )
            while rows := cursor.fetchmany(_ROWS_AT_ONCE):
                columns = plain_columns(rows)
                if columns is None:
                    first, last = ((row[_PLAIN_PLACE[0]], row[_PLAIN_PLACE[1]]) for row in (rows[0], rows[-1]))
                    columns = self._standing(room, broadcast, first, last)
                if columns is not None:
                    yield columns
        except (sqlite3.Error, OSError, OverflowError, TypeError, ValueError) as error:
            raise read_error(error) from error

    def _standing(self, room: str, broadcast: int, first: tuple[int, int], last: tuple[int, int]) -> Columns | None:
        """Rows from a place to another, both included, each looked at by itself; None if all are hidden.

        Raises:
            CorruptError: a row is damaged or missing.
        """
        named = self.reader().execute(
            f"SELECT p.placed_us, p.offset, {_FOUND} {_BY_PLACE} AND (p.placed_us, p.offset) >= (?, ?) "
            "AND (p.placed_us, p.offset) <= (?, ?) ORDER BY p.placed_us, p.offset",
            (room, broadcast, first[0], last[0] + 1, *first, *last),
        )
        rows = [checked(self._found(room, row, _PLACED_US)) for row in named.fetchall()]
        shown = [row for row in rows if not row[_HIDDEN]]
        return standing_columns(shown) if shown else None

    def named_rows(self, room: str, author_key: str) -> NamedRows:
        """All that an author wrote in a room, as :meth:`append` takes it with an ``erased``.

        Whose a row is, is asked of rows that were checked: a damaged one may be theirs and not say so.

        Raises:
            CorruptError: a row of the room, or a file of rows that left the journal, is damaged.

        Cost: reads and checks the room's rows, about 8 µs each.
        """
        through = self.head(room).offset
        here: set[int] = set()
        for rows in self._pages(room):
            here.update(row[2] for row in map(_checked, rows) if row[_AUTHOR_KEY] == author_key and row[2] <= through)
        pruned = tuple(row for row in self.pruned.of_author(room, author_key) if row[2] not in here)
        return NamedRows(tuple(sorted({*here, *(row[2] for row in pruned)})), through, pruned)

    def state_events(self, room: str, broadcast: int, *, with_names: bool = True) -> list[Event]:
        """Events that bear on room state, hidden ones marked, in offset order; without names, authors have their key alone and identity.db is not asked.

        Raises:
            CorruptError: a row is damaged.
        """
        self._hours.check_states(self.reads, room, broadcast)
        rows = self.read(
            f"SELECT p.broadcast, p.offset, {_FOUND} FROM journal AS p INDEXED BY journal_state "
            "LEFT JOIN journal AS j ON j.room = p.room AND j.offset = p.offset "
            f"WHERE p.room = ? AND p.broadcast = ? AND p.kind IN ({_STATE_KINDS}) ORDER BY p.offset",
            (room, broadcast),
        )
        event = self._event if with_names else _nameless
        return [event(self._found(room, row, _BROADCAST)) for row in self.paced(rows)]

    @staticmethod
    def _found(room: str, row: tuple[Any, ...], column: int) -> tuple[Any, ...]:
        """The row that an index named.

        Raises:
            CorruptError: it is not there, or is another.
        """
        named, offset, *values = row
        if values[2] != offset or values[column] != named:
            raise CorruptError("journal", f"row {offset} of room {room} is not where its index says")
        return tuple(values)

    def unarchived_hours(self, room: str) -> int:
        """How many hours of program time have changed since their Parquet was written."""
        ((count,),) = self.read("SELECT count(*) FROM dirty_hours WHERE room = ?", (room,))
        return int(count)

    def hidden_words(self, room: str, offsets: Sequence[int]) -> dict[int, tuple[str | None, str | None]]:
        """The words of hidden messages that are still kept, as (text, said) by offset. For those who may see them."""
        return self._moderation.peek(room, offsets)

    def standing(self, room: str) -> Standing:
        """What holds in a room beyond its broadcasts.

        Raises:
            CorruptError: a row is damaged.
        """
        return read_standing(self.reads, room)

    def affected(self, cause: Event) -> tuple[int, ...]:
        """Offsets that a hide, restore or restamp touched."""
        if cause.kind not in DEEDS_ON_ROWS:
            return ()
        rows = sums.group(self.reads, "effects", (cause.room,), cause.offset, order="offset")
        return tuple(offset for _, _, offset in rows)

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

    def rooms(self) -> list[str]:
        """Rooms of which anything is in the journal."""
        ends = {room for room in tuple(self._ends) if room not in NOT_ROOMS and self._end(room)}
        found = self.read_by(rooms_of)
        if missing := ends - set(found):
            raise CorruptError("journal", f"rows of room {min(missing)} are missing")
        return found

    def verify(self, room: str) -> int:
        """Check every row and the chain of a room from its first row to its last, but for what is known to be lost; how many rows.

        Raises:
            CorruptError: the first thing that is not as it was written.
        """
        return sum(len(self._events(rows)) for rows in self._pages(room))

    def _pages(self, room: str) -> Iterator[Sequence[tuple[Any, ...]]]:
        """All rows of a room, many at a time, but for what is known to be lost; not compared yet.

        Raises:
            CorruptError: one is missing, or the chain between two is broken.
        """
        offset = 0
        for lost in (*self.lost.ranges(room), None):
            while lost is None or offset < lost.first - 1:
                limit = _ROWS_AT_ONCE if lost is None else min(_ROWS_AT_ONCE, lost.first - 1 - offset)
                rows = self._rows_after(room, offset, limit)
                if not rows:
                    break
                yield rows
                offset = rows[-1][2]
            offset = offset if lost is None else max(offset, lost.last)

    def author(self, room: str, author_key: str, version: int, role: Role) -> Author:
        """Who an author was, under the version of their name that an event was said under.

        Raises:
            StorageFailedError: identity.db cannot be read.
        """
        try:
            return self._identity.author(room, author_key, version, role)
        except (sqlite3.Error, OSError, OverflowError, TypeError, ValueError) as error:
            raise read_error(error, "identity.db") from error

    def know_authors(self, room: str, wanted: Iterable[tuple[str, int]]) -> None:
        """Look up many names at once, so that :meth:`author` has them at hand.

        Args:
            room: whose authors.
            wanted: key of each author and version of their name.

        Raises:
            CorruptError: a name is not what was written, or is missing.
            StorageFailedError: identity.db cannot be read.
        """
        try:
            self._identity.know(room, wanted)
        except (sqlite3.Error, OSError, OverflowError, TypeError, ValueError) as error:
            raise read_error(error, "identity.db") from error

    def rows_at(self, room: str, offsets: Sequence[int]) -> list[tuple[Any, ...]]:
        """Rows at these offsets as they lie in the journal, in order; those that are not there are left out."""
        found: list[tuple[Any, ...]] = []
        for first in range(0, len(offsets), 500):
            some = offsets[first : first + 500]
            marks = ", ".join("?" * len(some))
            found += self.read(f"{_SELECT} WHERE room = ? AND offset IN ({marks}) ORDER BY offset", (room, *some))
        return found

    def names(self, room: str, author_key: str) -> list[str]:
        """What an author was called, oldest first; nothing once they were erased.

        Raises:
            StorageFailedError: identity.db cannot be read.
        """
        try:
            return self._identity.names(room, author_key)
        except (sqlite3.Error, OSError) as error:
            raise read_error(error, "identity.db") from error

    def is_name_of_another(self, room: str, name: str, author_key: str) -> bool:
        """Whether somebody else, or who it is in another room, is or was called so, or by a name that has it within.

        Raises:
            StorageFailedError: identity.db cannot be read.
        """
        try:
            return self._identity.is_name_of_another(room, name, author_key)
        except (sqlite3.Error, OSError) as error:
            raise read_error(error, "identity.db") from error

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

    def _events(self, rows: Iterable[tuple[Any, ...]]) -> list[Event]:
        return [self._event(row) for row in self.paced(rows)]

    def _event(self, row: tuple[Any, ...]) -> Event:
        _checked(row)
        key = row[_AUTHOR_KEY]
        return event_of(row, None if key is None else self.author(row[0], key, row[_NAME_VERSION], row[_ROLE]))

    def _hanging(self, rows: Sequence[tuple[Any, ...]]) -> Sequence[tuple[Any, ...]]:
        """The rows, each of which hangs on the one before.

        Raises:
            CorruptError: one does not: some between them are missing.
        """
        before: tuple[Any, ...] | None = None
        for row in rows:
            hangs = before is None or before[_CHAIN] == row[_PREVIOUS] or self.pruned.fits(before, row)
            if before is not None and not hangs and not self._is_epoch_start(row[0], row[2]):
                raise CorruptError("journal", f"rows between {before[2]} and {row[2]} of room {row[0]} are missing")
            before = row
        return rows

    def _is_epoch_start(self, room: str, offset: int) -> bool:
        epochs = [row for key in (room, ALL_ROOMS) for row in sums.group(self.reads, "epochs", (key,), order="epoch")]
        return any(first_offset == offset for _, _, first_offset, _ in epochs)

    def wrong(self) -> list[CorruptError]:
        """What is not as it was written in the tables beside the journal's, and in names and hidden texts. For ``chatsync verify``.

        Raises:
            sqlite3.Error: a database cannot be read.
        """
        found = sums.wrong(self.reads, (*WATCHED_TABLES, "dedupe"))
        return [*found, *self._identity.wrong(), *self._moderation.wrong()]

    def hidden_texts(self) -> list[tuple[Any, ...]]:
        """What moderation.db keeps, as (room, offset, text, said, salt).

        Raises:
            sqlite3.Error: it cannot be read.
        """
        return self._moderation.texts()

    def check_indexes(self) -> list[CorruptError]:
        """Everything that an index of the journal does not find, or finds and should not. For ``chatsync verify``."""
        return self._hours.check_all(self.reads)


def _checked(row: tuple[Any, ...]) -> tuple[Any, ...]:
    try:
        return checked(row)
    except (OverflowError, TypeError, ValueError) as error:  # of another type than was written
        raise read_error(error, "journal") from error


def _nameless(row: tuple[Any, ...]) -> Event:
    """An event whose author is a pseudonym and nothing else."""
    _checked(row)
    key = row[_AUTHOR_KEY]
    return event_of(row, None if key is None else Author(key, "", row[_ROLE]))


def _is_public(event: Event) -> bool:
    """Whether everyone may see it: its kind is for everyone, and it is not addressed to somebody."""
    return visibility_of(event.kind) is Visibility.PUBLIC and "to" not in event.details
