"""What was imported before: an id for each line that ever came from a file, whatever became of it since.

Owns: the table ``imported``. Does not know: formats, what the ids are made of (hashes that say nothing), the log.
Source: issue 7; reliability G8.

Ids of what was said live are known for a day; a file may be imported again after a year, when its lines have left the journal or were
hidden or erased: none of them may come back by that.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from chatsync.store.rows import insert_many

__all__ = ["CREATE_IMPORTED", "imported_at", "note_imported"]

CREATE_IMPORTED = """
CREATE TABLE IF NOT EXISTS imported (
    room TEXT NOT NULL, id TEXT NOT NULL, broadcast INTEGER NOT NULL, offset INTEGER NOT NULL, PRIMARY KEY (room, id)
) WITHOUT ROWID;
"""


def imported_at(connection: sqlite3.Connection, room: str, ids: Sequence[str]) -> dict[str, int]:
    """Which of some ids were imported into a room, with their offsets. Cost: a few µs for each."""
    if not ids:
        return {}
    marks = ", ".join("?" * len(ids))
    return dict(
        connection.execute(
            f"SELECT id, offset FROM imported WHERE room = ? AND id IN ({marks})", (room, *ids)
        ).fetchall()
    )


def note_imported(connection: sqlite3.Connection, rows: Sequence[tuple[str, str, int, int]]) -> None:
    """In the transaction that writes them: (room, id, broadcast, offset) of lines; one that is known stays as it is."""
    if rows:
        insert_many(connection, "imported", rows, "ON CONFLICT DO NOTHING")
