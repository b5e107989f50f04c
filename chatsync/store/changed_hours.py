"""Program hours whose Parquet is missing or old: noted in the transaction that changes them, taken off by the one that lists the new file.

Owns: writing the table ``dirty_hours`` (which the journal makes) and the mark that says polls have become final. Does not know: files, who
archives. Units: µs of program time. Source: contract §6.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from chatsync.instants import HOUR_US

__all__ = ["clean_hour", "finals_mark", "note_changed_hours"]


def finals_mark(broadcast: int) -> str:
    """Name of a room's mark that moves when polls of a broadcast become final, or come to something else."""
    return f"finals.{broadcast}"


def note_changed_hours(
    connection: sqlite3.Connection, room: str, broadcast: int, placed_us: Iterable[int], through: int
) -> None:
    """The hours of these instants are to be archived anew, because of what was logged up to an offset."""
    connection.executemany(
        "INSERT INTO dirty_hours VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET through = max(through, excluded.through)",
        [(room, broadcast, hour_us, through) for hour_us in sorted({at_us - at_us % HOUR_US for at_us in placed_us})],
    )


def clean_hour(connection: sqlite3.Connection, hour: tuple[str, int, int], *, through: int, finals: int | None) -> None:
    """An hour was written as of this offset, and with the polls final that were; changed since, it stays dirty.

    Args:
        connection: the writer's.
        hour: room, broadcast, start of the hour.
        through: offset of the newest change that was known before it was written.
        finals: :func:`finals_mark` as it was then; None if there was none.
    """
    room, broadcast, hour_us = hour
    found = connection.execute(
        "SELECT value FROM marks WHERE room = ? AND name = ?", (room, finals_mark(broadcast))
    ).fetchone()
    if (None if found is None else found[0]) == finals:
        connection.execute(
            "DELETE FROM dirty_hours WHERE room = ? AND broadcast = ? AND hour_us = ? AND through <= ?",
            (room, broadcast, hour_us, through),
        )
