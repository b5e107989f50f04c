"""Ids that were used in the last 24 h: a message that is sent again is the message that is there.

Owns: the table ``dedupe``, when a body counts as the same. Does not know: appending, readers. Runs in the writer's thread.
Units: µs. Source: contract §2; reliability G2, G8; decision 0019.

An id that is not found is a new one, so a lost entry would let a message in twice. The ids of a room are summed in ``sums``; the
first claim in a room since the program started compares them, and makes them again from the journal where they do not fit.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import structlog

from chatsync.chat.event import Draft
from chatsync.errors import CorruptError, IdReusedError
from chatsync.instants import HOUR_US
from chatsync.store import sums
from chatsync.store.rows import COLUMNS, checked, details_of, insert_many

__all__ = ["CREATE_DEDUPE", "DEDUPE_US", "Dedupe", "ensure_ids", "remember_again"]

_log = structlog.get_logger(__name__)

DEDUPE_US = 24 * HOUR_US
_SWEEP_ROWS = 2_000
_SELECT = f"SELECT {', '.join(COLUMNS)} FROM journal"

CREATE_DEDUPE = """
CREATE TABLE IF NOT EXISTS dedupe (
    room TEXT NOT NULL, id TEXT NOT NULL, author_key TEXT NOT NULL, offset INTEGER NOT NULL, received_us INTEGER NOT NULL,
    PRIMARY KEY (room, id, author_key)
) WITHOUT ROWID;
"""
_TOTAL = sums.WATCHED["dedupe"].total_of("d")
_ADD = "INSERT INTO sums VALUES ('dedupe', ?, 0, ?, ?) ON CONFLICT DO UPDATE SET rows = rows + excluded.rows, total = total + excluded.total"


def ensure_ids(connection: sqlite3.Connection) -> None:
    """Sum the ids that are there, if they never were. Cost: once, about 1 µs an id.

    Raises:
        sqlite3.Error: it cannot be done; then nothing was.
    """
    if connection.execute("SELECT 1 FROM sums WHERE name = 'dedupe' AND key = '' AND part = 0").fetchone():
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        sums.count_again(connection, "dedupe")
        connection.execute(_ADD, ("", 0, 0))
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def remember_again(connection: sqlite3.Connection, room: str, received_us: int) -> int:
    """Make a room's ids again from its journal, in the caller's transaction; how many.

    When a message was received is known only as well as ``wall_us`` says; what a platform fed counts as received now. A damaged key
    that stands between those of the room leads look-ups astray: then the ids of all rooms are made again, each at its next claim.

    Raises:
        CorruptError: a row is damaged.
    """
    connection.execute("DELETE FROM dedupe WHERE room = ?", (room,))
    if connection.execute("SELECT 1 FROM dedupe WHERE +room = ? LIMIT 1", (room,)).fetchone():  # + : not by the key
        connection.execute("DELETE FROM dedupe")
    connection.execute("DELETE FROM sums WHERE name = 'dedupe' AND key = ?", (room,))
    rows = connection.execute(
        f"{_SELECT} WHERE room = ? AND (wall_us >= ? OR source NOT IN ('live', 'system')) ORDER BY offset",
        (room, received_us - DEDUPE_US),
    ).fetchall()
    for row in map(checked, rows):
        event = dict(zip(COLUMNS, row, strict=True))
        at_us = event["wall_us"] if event["source"] in {"live", "system"} else received_us
        one = (room, event["id"], event["author_key"] or "", event["offset"], at_us)
        connection.execute("INSERT OR REPLACE INTO dedupe VALUES (?, ?, ?, ?, ?)", one)
    count, total = connection.execute(
        f"SELECT count(*), sum({_TOTAL}) FROM dedupe AS d WHERE room = ?", (room,)
    ).fetchone()
    connection.execute(_ADD, (room, count, total or 0))
    return int(count)


class Dedupe:
    """Claims ids, and forgets them when their day is over.

    Args:
        recalled: rows of a room that have left the journal, by offsets: by a clock that was ahead at one start, a row may leave within
            what is a day by the clock of the next.
    """

    def __init__(self, recalled: Callable[[str, Sequence[int]], list[tuple[Any, ...]]]) -> None:
        self._recalled = recalled
        self._swept: tuple[str, str, str] = ("", "", "")
        self._compared: set[str] = set()
        self._made_again: set[str] = set()  # rooms whose ids were, in this batch

    def committed(self) -> None:
        """The batch is durable."""
        self._made_again.clear()

    def undone(self) -> None:
        """Some of the batch was taken back, or all of it."""
        self._compared -= self._made_again
        self._made_again.clear()

    def claim(
        self, connection: sqlite3.Connection, draft: Draft, author_key: str, offset: int
    ) -> tuple[Any, ...] | None:
        """Claim a draft's id for an offset; the checked row that has it, if it was used for the same body within 24 h.

        Raises:
            IdReusedError: it was used for another body.
            CorruptError: the row that used it is damaged or missing.
        """
        received_us = draft.wall_us if draft.received_us is None else draft.received_us
        key = (draft.room, draft.id, author_key)
        self._compare(connection, draft.room, received_us)
        added = connection.execute(
            "INSERT INTO dedupe VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", (*key, offset, received_us)
        )
        if added.rowcount == 0:
            first = self._first(connection, draft, author_key, received_us)
            if first is not None:
                return first
            self._take(connection, "room = ? AND id = ? AND author_key = ?", key)
            connection.execute("INSERT INTO dedupe VALUES (?, ?, ?, ?, ?)", (*key, offset, received_us))
        connection.execute(_ADD, (draft.room, 1, sums.crc(*key, offset, received_us)))
        return None

    def claim_many(self, connection: sqlite3.Connection, claims: Sequence[tuple[Any, ...]]) -> int:
        """Claim ids that should all be new, by rows of the table; how many of them were: if not all, nothing is to be kept."""
        counts: Counter[str] = Counter()
        totals: Counter[str] = Counter()
        for claim in claims:
            counts[claim[0]] += 1
            totals[claim[0]] += sums.crc(*claim)
        for room in counts:
            self._compare(connection, room, claims[-1][-1])
        inserted = insert_many(connection, "dedupe", claims, "ON CONFLICT DO NOTHING")
        if inserted == len(claims):
            connection.executemany(_ADD, [(room, count, totals[room]) for room, count in counts.items()])
        return inserted

    def _compare(self, connection: sqlite3.Connection, room: str, received_us: int) -> None:
        """Once for a room: are its ids what was written? If not, they are made again.

        Raises:
            CorruptError: they are not, and a row of the journal is damaged too.
        """
        if room in self._compared:
            return
        found = connection.execute(
            f"SELECT count(*), coalesce(sum({_TOTAL}), 0) FROM dedupe AS d WHERE room = ?", (room,)
        ).fetchone()
        told = connection.execute(
            "SELECT rows, total FROM sums WHERE name = 'dedupe' AND key = ? AND part = 0", (room,)
        ).fetchone()
        if found != (told or (0, 0)):
            count = remember_again(connection, room, received_us)
            self._compared.clear()  # those of other rooms may have gone with a damaged key
            self._made_again.add(room)
            _log.error("damaged_ids_made_again", room=room, ids=count)
        self._compared.add(room)

    @staticmethod
    def _take(connection: sqlite3.Connection, where: str, values: Sequence[Any]) -> None:
        """Delete ids, and take them out of their sums."""
        rows = connection.execute(
            f"SELECT room, -count(*), -sum({_TOTAL}) FROM dedupe AS d WHERE {where} GROUP BY room", values
        ).fetchall()
        connection.executemany(_ADD, rows)
        connection.execute(f"DELETE FROM dedupe WHERE {where}", values)

    def forget(self, connection: sqlite3.Connection, room: str, id_: str, author_key: str, offset: int) -> None:
        """The row that used an id is deleted."""
        where = "room = ? AND id = ? AND author_key = ? AND offset = ?"
        self._take(connection, where, (room, id_, author_key, offset))

    def _first(
        self, connection: sqlite3.Connection, draft: Draft, author_key: str, received_us: int
    ) -> tuple[Any, ...] | None:
        """The row that used a draft's id before; None if that is too long ago."""
        offset, first_us = connection.execute(
            "SELECT offset, received_us FROM dedupe WHERE room = ? AND id = ? AND author_key = ?",
            (draft.room, draft.id, author_key),
        ).fetchone()
        if first_us < received_us - DEDUPE_US:
            return None
        row = connection.execute(f"{_SELECT} WHERE room = ? AND offset = ?", (draft.room, offset)).fetchone()
        if row is None:
            row = next(iter(self._recalled(draft.room, [offset])), None)
        if row is None:
            raise CorruptError("journal", f"row {offset} of room {draft.room} is missing")
        first = dict(zip(COLUMNS, checked(row), strict=True))
        if (first["id"], first["author_key"] or "") != (draft.id, author_key):
            raise CorruptError("dedupe", f"an id of room {draft.room} is said to be at {offset}, which has another")
        details, said = details_of(draft.details)
        if (draft.kind, draft.reply_to, draft.target, details) != tuple(
            first[name] for name in ("kind", "reply_to", "target", "details")
        ):
            raise IdReusedError
        # What was blanked cannot be compared any more: nothing is kept that could confirm a guess at it.
        is_blanked = first["hidden"] and first["salt"] is None
        if not is_blanked and (draft.text, _by_author(said)) != (first["text"], _by_author(first["said"])):
            raise IdReusedError
        return tuple(row)

    def sweep(self, connection: sqlite3.Connection, wall_us: int) -> None:
        """Drop a bite of ids whose day is over at this wall time."""
        after = "(room, id, author_key) > (?, ?, ?)"
        last = connection.execute(
            f"SELECT room, id, author_key FROM dedupe WHERE {after} ORDER BY room, id, author_key LIMIT 1 OFFSET ?",
            (*self._swept, _SWEEP_ROWS - 1),
        ).fetchone()
        until, key = ("", ()) if last is None else ("AND (room, id, author_key) <= (?, ?, ?)", last)
        self._take(connection, f"{after} {until} AND received_us < ?", (*self._swept, *key, wall_us - DEDUPE_US))
        self._swept = ("", "", "") if last is None else last


def _by_author(said: str | None) -> dict[str, Any]:
    """What of the words is the author's: which emotes they show is the room's, whose list may have changed in between."""
    words: dict[str, Any] = {} if said is None else msgspec.json.decode(said)
    words.pop("emotes", None)
    return words
