"""What holds in a room beyond its broadcasts, in a table beside the journal: rows leave the journal, a ban must not.

Owns: the table ``standing``. Does not know: who may do what. Units: ``until_us`` is µs of system wall time. Source: contract §1.

One row a room and mode, or a room, restriction and person: (room, what, author_key, until_us, offset, mode).
"""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec

from chatsync.chat.event import Event
from chatsync.chat.standing import STANDING_KINDS, Sanction, Standing, until_us_of
from chatsync.store import sums

__all__ = ["CREATE_STANDING", "note_standing", "read_standing"]

CREATE_STANDING = """
CREATE TABLE IF NOT EXISTS standing (
    room TEXT NOT NULL, what TEXT NOT NULL, author_key TEXT NOT NULL, until_us INTEGER, offset INTEGER NOT NULL, mode TEXT,
    PRIMARY KEY (room, what, author_key)
) WITHOUT ROWID;
"""

_ENDS = {"unmuted": "muted", "unbanned": "banned"}


def note_standing(connection: sqlite3.Connection, event: Event) -> None:
    """In the transaction that writes the event: what holds from now on."""
    if event.kind not in STANDING_KINDS:
        return
    key = str(event.details.get("author", ""))
    if event.kind in _ENDS:
        connection.execute(
            "DELETE FROM standing WHERE room = ? AND what = ? AND author_key = ?", (event.room, _ENDS[event.kind], key)
        )
        return
    mode: str | None = None
    if event.kind == "mode_changed":
        key = ""
        row = connection.execute("SELECT mode FROM standing WHERE room = ? AND what = 'mode'", (event.room,)).fetchone()
        before: dict[str, Any] = {} if row is None else msgspec.json.decode(row[0])
        mode = msgspec.json.encode(before | event.details.get("mode", {})).decode()
    connection.execute(
        "INSERT OR REPLACE INTO standing VALUES (?, ?, ?, ?, ?, ?)",
        (
            event.room,
            "mode" if event.kind == "mode_changed" else event.kind,
            key,
            until_us_of(event.details),
            event.offset,
            mode,
        ),
    )


def read_standing(reads: sums.Reads, room: str) -> Standing:
    """What holds in a room.

    Raises:
        CorruptError: a row is missing or is not what was written.
        sqlite3.Error: the table cannot be read.
    """
    standing = Standing()
    for _, what, key, until_us, offset, mode in sums.group(reads, "standing", (room,), order="what, author_key"):
        if what == "mode":
            standing.mode = msgspec.json.decode(mode)
        else:
            (standing.banned if what == "banned" else standing.muted)[key] = Sanction(until_us, offset)
    return standing
