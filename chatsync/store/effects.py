"""What a hide, a restore, a restamp or an erasure does to rows that are in the journal already.

Owns: which rows a deed names, blanking and bringing back their text, where a restamp puts them. Does not know: transactions,
readers, rows that have left the journal (they are brought back before, ``store.pruned``). Runs in the writer's thread, in the transaction that writes the deed itself.
Units: µs. Source: contract §2 and §6; decision 0005.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from chatsync.chat.event import MESSAGE_KINDS, Event, Visibility, visibility_of
from chatsync.errors import CorruptError, NotFoundError
from chatsync.store.identity import HiddenText, IdentityStore, ModerationStore
from chatsync.store.rows import COLUMNS, ERASABLE, checked, event_of, placed_check, text_check

__all__ = ["CHANGED_MAX", "PINS_SQL", "Appended", "Effects", "NamedRows"]

CHANGED_MAX = 2_000  # events of one deed that are told one by one: ~10 ms of an event loop

_SELECT = f"SELECT {', '.join(COLUMNS)} FROM journal"
PINS_SQL = f"{_SELECT} INDEXED BY journal_pins WHERE room = ? AND kind = 'pinned' AND target = ?"
"""Pins of a message. By itself SQLite would look through all rows of the room: 140 ms of the writer in half a million."""

_TEXT, _HIDDEN, _HIDDEN_BY, _CHECK = (COLUMNS.index(name) for name in ("text", "hidden", "hidden_by", "text_check"))
_BROADCAST, _PLACED, _TARGET = (COLUMNS.index(name) for name in ("broadcast", "placed_us", "target"))
_HANDS = frozenset({"hand_raised", "hand_lowered"})


class NamedRows(NamedTuple):
    """Rows of an author, looked for before the deed so that the writer need not.

    Attributes:
        offsets: all that are in the journal up to ``through``, or will be once ``pruned`` are back.
        through: the newest offset when they were looked for.
        pruned: those that have left the journal.
    """

    offsets: tuple[int, ...]
    through: int
    pruned: tuple[tuple[Any, ...], ...] = ()


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


class Effects:
    """Applies deeds to earlier rows.

    Args:
        moderation: keeps the text that a hide takes out of the journal.
        identity: keeps the names that an erasure forgets.
        note_changed: told (room, broadcast, program time, offset of the cause) for every place a row leaves or enters.
    """

    def __init__(
        self,
        moderation: ModerationStore,
        identity: IdentityStore,
        note_changed: Callable[[str, int, int, int], None],
    ) -> None:
        self._moderation, self._identity, self._note_changed = moderation, identity, note_changed

    def apply(
        self,
        connection: sqlite3.Connection,
        cause: Event,
        placements: Mapping[int, tuple[int, int]],
        named: NamedRows | None = None,
        *,
        received_us: int,
    ) -> tuple[int, ...]:
        """Do to earlier rows what an event that was just written asks for; the offsets it touched.

        Args:
            connection: the writer's, in the transaction that wrote the event.
            cause: the event.
            placements: for a restamp by the record: (where it stands, where it goes) in program time, by offset.
            named: for an erasure: the author's rows as far as they were looked for before.
            received_us: steady wall time of the deed: how long hidden text is kept.

        Raises:
            CorruptError: a row it names is damaged; nothing of it is done.
            NotFoundError: it pins what was hidden since its words were read.
        """
        match cause.kind:
            case "pinned" if cause.target is not None:
                self._check_pinnable(connection, cause.room, cause.target)
                return ()
            case "hidden":
                touched = self._hide(connection, cause, received_us)
            case "restored":
                touched = self._restore(connection, cause)
            case "erased":
                touched = self._erase(connection, cause, named)
            case "restamped":
                by_record = cause.details.get("rule") == "record"
                touched = (
                    self._replace(connection, cause, placements) if by_record else self._restamp(connection, cause)
                )
            case _ if "held" in cause.details and cause.kind in MESSAGE_KINDS:
                self._settle_held(connection, cause, int(cause.details["held"]))
                return ()
            case _:
                return ()
        connection.executemany(
            "INSERT OR IGNORE INTO effects VALUES (?, ?, ?)", [(cause.room, cause.offset, offset) for offset in touched]
        )
        return tuple(touched)

    def _settle_held(self, connection: sqlite3.Connection, cause: Event, offset: int) -> None:
        """What was held is said now: its words stand where it was said, and nowhere else.

        Raises:
            CorruptError: the row is damaged or missing.
            NotFoundError: it was rejected meanwhile.
        """
        row = connection.execute(f"{_SELECT} WHERE room = ? AND offset = ?", (cause.room, offset)).fetchone()
        if row is None:
            raise CorruptError("journal", f"row {offset} of room {cause.room} is missing")
        event = event_of(checked(row), None)
        if row[_HIDDEN] or event.kind != "held":
            raise NotFoundError("held message")
        self._place(connection, cause, row, event.program_us, hidden_by=cause.offset)
        self._say(connection, event, (None, None, None))

    @staticmethod
    def _check_pinnable(connection: sqlite3.Connection, room: str, target: int) -> None:
        """A pin carries the words of its target: a hide that was written meanwhile must not be undone by it."""
        if _is_hidden(connection, room, target):
            raise NotFoundError("event")

    def _named_rows(self, connection: sqlite3.Connection, cause: Event, *, hidden: int) -> list[tuple[Any, ...]]:
        """Rows a deed names, by offset: one target or all an author said, and the pins that show any of it."""
        if cause.target is not None:
            rows = connection.execute(f"{_SELECT} WHERE room = ? AND offset = ?", (cause.room, cause.target)).fetchall()
            if not rows and cause.target < cause.offset:
                raise CorruptError("journal", f"row {cause.target} of room {cause.room} is missing")
        else:
            rows = self._rows_of_author(connection, cause.room, str(cause.details.get("author")))
            rows = [row for row in rows if row[_CHECK] and visibility_of(row[3]) is Visibility.PUBLIC]
        rows += self._pins_of(connection, cause.room, rows)
        found = {row[2]: row for row in rows if row[_HIDDEN] == hidden and row[2] < cause.offset}
        return [checked(found[offset]) for offset in sorted(found)]

    @staticmethod
    def _pins_of(connection: sqlite3.Connection, room: str, rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        pins: list[tuple[Any, ...]] = []
        for target in [row[2] for row in rows]:
            pins += connection.execute(PINS_SQL, (room, target)).fetchall()
        return pins

    def _rows_of_author(self, connection: sqlite3.Connection, room: str, author_key: str) -> list[tuple[Any, ...]]:
        spoken = connection.execute(
            "SELECT broadcast FROM spoke WHERE room = ? AND author_key = ?", (room, author_key)
        ).fetchall()
        rows: list[tuple[Any, ...]] = []
        for (broadcast,) in spoken:
            rows += connection.execute(
                f"{_SELECT} INDEXED BY journal_placed WHERE room = ? AND broadcast = ? AND author_key = ?",
                (room, broadcast, author_key),
            ).fetchall()
        return rows

    def _hide(self, connection: sqlite3.Connection, cause: Event, received_us: int) -> list[int]:
        touched = []
        for row in self._named_rows(connection, cause, hidden=0):
            event = event_of(row, None)
            self._moderation.put(cause.room, event.offset, (row[_TEXT], row[_TEXT + 1], row[_TEXT + 2]), received_us)
            self._place(connection, cause, row, event.program_us, hidden_by=cause.offset)
            self._say(connection, event, (None, None, None))
            touched.append(event.offset)
        return touched

    def _erase(self, connection: sqlite3.Connection, cause: Event, named: NamedRows | None) -> list[int]:
        """Take a person out for good: their words and what shows their hand, nothing of it kept; then their names.

        What they decided without words (a mode, an answer given live, a vote) stays, nobody's any more: the room's state rests on
        it. It counts as touched where everyone sees it, so that what printed a name is printed again without.
        """
        room, author_key = cause.room, str(cause.details.get("author"))
        theirs = [row for row in self._all_of_author(connection, room, author_key, named) if row[2] < cause.offset]
        gone: dict[int, tuple[Any, ...]] = {row[2]: row for row in theirs if _shows_person(row)}
        gone |= {row[2]: row for row in self._pins_of(connection, room, list(gone.values())) if row[2] < cause.offset}
        touched = {row[2] for row in theirs if visibility_of(row[3]) is Visibility.PUBLIC and not row[_HIDDEN]}
        for offset, row in sorted(gone.items()):
            event = event_of(checked(row), None)
            self._moderation.forget_text(room, offset)  # of what came back after a hide there is a copy too
            if row[_HIDDEN]:
                self._note_changed(room, event.broadcast, event.program_us, cause.offset)
                continue
            self._place(connection, cause, row, event.program_us, hidden_by=cause.offset)
            if row[_CHECK]:
                self._say(connection, event, (None, None, None))
            touched.add(offset)
        for row in theirs:
            if row[2] not in gone:
                self._note_changed(room, row[_BROADCAST], row[_PLACED], cause.offset)
        self._identity.erase(room, author_key)
        connection.execute("DELETE FROM spoke WHERE room = ? AND author_key = ?", (room, author_key))
        connection.execute(
            "INSERT OR REPLACE INTO erasures VALUES (?, ?, ?, ?, NULL, NULL)",
            (room, author_key, cause.offset, cause.wall_us),
        )
        return sorted(touched)

    def _all_of_author(
        self, connection: sqlite3.Connection, room: str, author_key: str, named: NamedRows | None
    ) -> list[tuple[Any, ...]]:
        """Every row of an author that is in the journal; with ``named``, only what came after is looked for."""
        if named is None:
            return self._rows_of_author(connection, room, author_key)
        rows = connection.execute(
            f"{_SELECT} WHERE room = ? AND offset > ? AND author_key = ?", (room, named.through, author_key)
        ).fetchall()
        for offset in named.offsets:
            rows += connection.execute(f"{_SELECT} WHERE room = ? AND offset = ?", (room, offset)).fetchall()
        return rows

    def _restore(self, connection: sqlite3.Connection, cause: Event) -> list[int]:
        touched = []
        for row in self._named_rows(connection, cause, hidden=1):
            event = event_of(row, None)
            if event.kind == "pinned" and event.target is not None and _is_hidden(connection, cause.room, event.target):
                continue  # it would show the words of a message that stays hidden
            kept = self._moderation.take(cause.room, event.offset)
            if kept is None:
                continue
            if text_check(*kept) != row[_CHECK]:
                raise CorruptError(
                    "hidden_text", f"the words of row {event.offset} of room {cause.room} are not what was said"
                )
            self._place(connection, cause, row, event.program_us, hidden_by=None)
            self._say(connection, event, kept)
            touched.append(event.offset)
        return touched

    def _restamp(self, connection: sqlite3.Connection, cause: Event) -> list[int]:
        """Details: ``rule`` (``rebase``: by ``shift_us``; ``clamp``: down to ``to_us``), ``stamps`` it applies to.

        It applies to earlier events of the cause's broadcast; what they move to is rounded down to whole milliseconds.
        """
        details = cause.details
        stamps = list(details.get("stamps", ()))
        marks = ", ".join("?" * len(stamps))
        values: tuple[Any, ...] = (cause.room, cause.broadcast, cause.offset, *stamps)
        where = f"room = ? AND broadcast = ? AND offset < ? AND placed_stamp IN ({marks})"
        is_clamp = details.get("rule") == "clamp"
        if is_clamp:
            where, values = f"{where} AND placed_us > ?", (*values, details["to_us"])
        touched = []
        found = connection.execute(f"{_SELECT} INDEXED BY journal_placed WHERE {where}", values).fetchall()
        for row in sorted(found, key=_offset_of):
            event = event_of(checked(row), None)
            if event.kind in {"broadcast_closed", "restamped"}:
                continue
            moved_us = details["to_us"] if is_clamp else event.program_us + details["shift_us"]
            moved_us -= moved_us % 1000
            if moved_us != event.program_us:
                self._place(connection, cause, row, moved_us, hidden_by=row[_HIDDEN_BY])
                touched.append(event.offset)
        return touched

    def _replace(
        self, connection: sqlite3.Connection, cause: Event, placements: Mapping[int, tuple[int, int]]
    ) -> list[int]:
        """Put rows where the record says. One that has been moved since the record was read stays where it is now."""
        touched = []
        for offset, (from_us, to_us) in sorted(placements.items()):
            row = connection.execute(f"{_SELECT} WHERE room = ? AND offset = ?", (cause.room, offset)).fetchone()
            if row is None:
                continue
            event = event_of(checked(row), None)
            if event.program_us == from_us and event.broadcast == cause.broadcast and offset < cause.offset:
                self._place(connection, cause, row, to_us, hidden_by=row[_HIDDEN_BY])
                touched.append(offset)
        return touched

    def _place(
        self,
        connection: sqlite3.Connection,
        cause: Event,
        row: tuple[Any, ...],
        placed_us: int,
        *,
        hidden_by: int | None,
    ) -> None:
        event = event_of(row, None)
        placed = (placed_us, event.stamp.stamp, int(hidden_by is not None), hidden_by)
        connection.execute(
            "UPDATE journal SET placed_us = ?, placed_stamp = ?, hidden = ?, hidden_by = ?, placed_check = ? "
            "WHERE room = ? AND offset = ?",
            (*placed, placed_check(event.offset, *placed), event.room, event.offset),
        )
        for program_us in {event.program_us, placed_us}:
            self._note_changed(event.room, event.broadcast, program_us, cause.offset)

    @staticmethod
    def _say(connection: sqlite3.Connection, event: Event, erasable: HiddenText) -> None:
        columns = ", ".join(f"{name} = ?" for name in ERASABLE)
        connection.execute(
            f"UPDATE journal SET {columns} WHERE room = ? AND offset = ?", (*erasable, event.room, event.offset)
        )


def _is_hidden(connection: sqlite3.Connection, room: str, offset: int) -> bool:
    """Whether an event is hidden now; one that has left the journal is not."""
    rows = connection.execute("SELECT hidden FROM journal WHERE room = ? AND offset = ?", (room, offset)).fetchall()
    return bool(rows and rows[0][0])


def _offset_of(row: tuple[Any, ...]) -> int:
    offset: int = row[2]
    return offset


def _shows_person(row: tuple[Any, ...]) -> bool:
    """Whether a row goes with its author: it has words of theirs, or a hand. A pin of a message has words of somebody else."""
    if row[3] == "pinned" and row[_TARGET] is not None:
        return False
    return row[_CHECK] != 0 or row[3] in _HANDS
