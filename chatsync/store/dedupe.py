"""Ids that were used in the last 24 h: a message that is sent again is the message that is there.

Owns: the table ``dedupe``, when a body counts as the same. Does not know: appending, readers. Runs in the writer's thread.
Units: µs. Source: contract §2; reliability G2.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from chatsync.chat.event import Draft
from chatsync.errors import CorruptError, IdReusedError
from chatsync.instants import HOUR_US
from chatsync.store.rows import COLUMNS, checked, details_of, insert_many

__all__ = ["CREATE_DEDUPE", "DEDUPE_US", "Dedupe"]

DEDUPE_US = 24 * HOUR_US
_SWEEP_ROWS = 2_000
_SELECT = f"SELECT {', '.join(COLUMNS)} FROM journal"

CREATE_DEDUPE = """
CREATE TABLE IF NOT EXISTS dedupe (
    room TEXT NOT NULL, id TEXT NOT NULL, author_key TEXT NOT NULL, offset INTEGER NOT NULL, received_us INTEGER NOT NULL,
    PRIMARY KEY (room, id, author_key)
) WITHOUT ROWID;
"""


class Dedupe:
    """Claims ids, and forgets them when their day is over."""

    def __init__(self) -> None:
        self._swept: tuple[str, str, str] = ("", "", "")

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
        added = connection.execute(
            "INSERT INTO dedupe VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", (*key, offset, received_us)
        )
        if added.rowcount == 0:
            first = self._first(connection, draft, author_key, received_us)
            if first is not None:
                return first
            connection.execute("REPLACE INTO dedupe VALUES (?, ?, ?, ?, ?)", (*key, offset, received_us))
        return None

    @staticmethod
    def claim_many(connection: sqlite3.Connection, claims: Sequence[tuple[Any, ...]]) -> int:
        """Claim ids that should all be new, by rows of the table; how many of them were."""
        return insert_many(connection, "dedupe", claims, "ON CONFLICT DO NOTHING")

    @staticmethod
    def _first(
        connection: sqlite3.Connection, draft: Draft, author_key: str, received_us: int
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
        if not is_blanked and (draft.text, said) != (first["text"], first["said"]):
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
        connection.execute(
            f"DELETE FROM dedupe WHERE {after} {until} AND received_us < ?",
            (*self._swept, *key, wall_us - DEDUPE_US),
        )
        self._swept = ("", "", "") if last is None else last
