"""What was imported before: an id for each line that ever came from a file, whatever became of it since.

Owns: the table ``imported``. Does not know: formats, what the ids are made of (hashes that say nothing), the log.
Source: issue 7; reliability G8.

Ids of what was said live are known for a day; a file may be imported again after a year, when its lines have left the journal or were
hidden or erased: none of them may come back by that.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from chatsync.store import sums
from chatsync.store.rows import insert_many

__all__ = ["CREATE_IMPORTED", "IMPORT_SOURCE", "imported_at", "note_imported", "remember_imported"]

IMPORT_SOURCE = "import:"
"""What the source of a row begins with that came from a file."""

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


def remember_imported(
    connection: sqlite3.Connection, archived: Iterable[Sequence[tuple[str, str, int, int]]]
) -> list[tuple[str, int, int]]:
    """Make the ids again, in the caller's transaction, from rows that are proven and from what can still be read of the table.

    An id that is read and has no row is kept: its line may have been hidden, and then nothing else has it.

    Args:
        connection: of the writer.
        archived: (room, id, broadcast, offset) of lines of files that have left the journal, some at a time.

    Returns:
        Of which airings ids are lost, and how many: (room, broadcast, count).

    Cost: some µs for each id, and a temporary table of them.
    """
    told = dict(_counted(connection, "SELECT key, part, rows FROM sums WHERE name = 'imported'"))
    # All are taken out first: a damaged key between others leads look-ups astray.
    connection.execute("CREATE TEMP TABLE read_ids AS SELECT DISTINCT room, id, broadcast, offset FROM imported")
    connection.execute("CREATE TEMP TABLE proven_ids (room, id, broadcast, offset, PRIMARY KEY (room, offset))")
    try:
        connection.execute(
            "INSERT INTO proven_ids SELECT room, id, broadcast, offset FROM journal WHERE substr(source, 1, ?) = ?",
            (len(IMPORT_SOURCE), IMPORT_SOURCE),
        )
        for some in archived:
            connection.executemany("INSERT OR IGNORE INTO proven_ids VALUES (?, ?, ?, ?)", some)
        connection.execute("DELETE FROM imported")
        connection.execute("INSERT OR IGNORE INTO imported SELECT room, id, broadcast, offset FROM proven_ids")
        connection.execute(
            "INSERT OR IGNORE INTO imported SELECT room, id, broadcast, offset FROM read_ids AS r "
            "WHERE NOT EXISTS (SELECT 1 FROM proven_ids AS p WHERE p.room = r.room AND p.offset = r.offset)"
        )
    finally:
        connection.execute("DROP TABLE read_ids")
        connection.execute("DROP TABLE proven_ids")
    sums.count_again(connection, "imported")
    found = dict(_counted(connection, "SELECT room, broadcast, count(*) FROM imported GROUP BY 1, 2"))
    lost = {place: rows - found.get(place, 0) for place, rows in told.items()}
    return [(room, broadcast, count) for (room, broadcast), count in sorted(lost.items()) if count > 0]


def _counted(connection: sqlite3.Connection, sql: str) -> list[tuple[tuple[str, int], int]]:
    return [((room, broadcast), count) for room, broadcast, count in connection.execute(sql).fetchall()]
