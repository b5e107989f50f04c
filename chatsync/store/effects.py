"""What a hide, a restore or a restamp does to rows that are in the journal already.

Owns: which rows a deed names, blanking and bringing back their text, where a restamp puts them. Does not know: transactions,
readers. Runs in the writer's thread, in the transaction that writes the deed itself.
Units: µs. Source: contract §2 and §6; decision 0005.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

from chatsync.chat.event import Event
from chatsync.store.identity import HiddenText, ModerationStore
from chatsync.store.rows import COLUMNS, ERASABLE, checked, event_of, placed_check

__all__ = ["Effects"]

_SELECT = f"SELECT {', '.join(COLUMNS)} FROM journal"
_TEXT, _HIDDEN, _HIDDEN_BY = (COLUMNS.index(name) for name in ("text", "hidden", "hidden_by"))


class Effects:
    """Applies deeds to earlier rows.

    Args:
        moderation: keeps the text that a hide takes out of the journal.
        note_changed: told (room, broadcast, program time, offset of the cause) for every place a row leaves or enters.
    """

    def __init__(self, moderation: ModerationStore, note_changed: Callable[[str, int, int, int], None]) -> None:
        self._moderation, self._note_changed = moderation, note_changed

    def apply(
        self, connection: sqlite3.Connection, cause: Event, placements: Mapping[int, tuple[int, int]]
    ) -> tuple[int, ...]:
        """Do to earlier rows what an event that was just written asks for; the offsets it touched.

        Args:
            connection: the writer's, in the transaction that wrote the event.
            cause: the event.
            placements: for a restamp by the record: (where it stands, where it goes) in program time, by offset.

        Raises:
            CorruptError: a row it names is damaged; nothing of it is done.
        """
        match cause.kind:
            case "hidden":
                touched = self._hide(connection, cause)
            case "restored":
                touched = self._restore(connection, cause)
            case "restamped":
                by_record = cause.details.get("rule") == "record"
                touched = (
                    self._replace(connection, cause, placements) if by_record else self._restamp(connection, cause)
                )
            case _:
                return ()
        connection.executemany(
            "INSERT OR IGNORE INTO effects VALUES (?, ?, ?)", [(cause.room, cause.offset, offset) for offset in touched]
        )
        return tuple(touched)

    def _named_rows(self, connection: sqlite3.Connection, cause: Event, *, hidden: int) -> list[tuple[Any, ...]]:
        """Rows a deed names, by offset: one target or all an author said, and the pins that show any of it."""
        if cause.target is not None:
            rows = connection.execute(f"{_SELECT} WHERE room = ? AND offset = ?", (cause.room, cause.target)).fetchall()
        else:
            rows = self._rows_of_author(connection, cause.room, str(cause.details.get("author")))
        for target in [row[2] for row in rows]:
            rows += connection.execute(
                f"{_SELECT} WHERE room = ? AND kind = 'pinned' AND target = ?", (cause.room, target)
            ).fetchall()
        found = {row[2]: row for row in rows if row[_HIDDEN] == hidden and row[2] < cause.offset}
        return [checked(found[offset]) for offset in sorted(found)]

    def _rows_of_author(self, connection: sqlite3.Connection, room: str, author_key: str) -> list[tuple[Any, ...]]:
        spoken = connection.execute(
            "SELECT broadcast FROM spoke WHERE room = ? AND author_key = ?", (room, author_key)
        ).fetchall()
        rows: list[tuple[Any, ...]] = []
        for (broadcast,) in spoken:
            rows += connection.execute(
                f"{_SELECT} INDEXED BY journal_placed "
                "WHERE room = ? AND broadcast = ? AND author_key = ? AND text_check != 0",
                (room, broadcast, author_key),
            ).fetchall()
        return rows

    def _hide(self, connection: sqlite3.Connection, cause: Event) -> list[int]:
        touched = []
        for row in self._named_rows(connection, cause, hidden=0):
            event = event_of(row, None)
            self._moderation.put(cause.room, event.offset, (row[_TEXT], row[_TEXT + 1], row[_TEXT + 2]), cause.wall_us)
            self._place(connection, cause, row, event.program_us, hidden_by=cause.offset)
            self._say(connection, event, (None, None, None))
            touched.append(event.offset)
        return touched

    def _restore(self, connection: sqlite3.Connection, cause: Event) -> list[int]:
        touched = []
        for row in self._named_rows(connection, cause, hidden=1):
            event = event_of(row, None)
            kept = self._moderation.take(cause.room, event.offset)
            if kept is None:
                continue
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


def _offset_of(row: tuple[Any, ...]) -> int:
    offset: int = row[2]
    return offset
