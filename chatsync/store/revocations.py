"""Which tokens are good no more: a table of its own in chatsync.db, so that a restart forgets none.

Owns: the table and its rows. Does not know: tokens, or whom a row is about: a row has a keyed hash of it, for outside ids stand in
identity.db alone. Units: µs of the world's wall time. Source: security-and-privacy §2; decision 0018 (sums).

Functions that write take the writer's connection; who reads may do so from any thread.
"""

from __future__ import annotations

import sqlite3
from typing import Literal

import msgspec

from chatsync.store import sums

__all__ = ["REVOCATIONS", "Revocation", "drop_revocations", "put_revocation", "revocations"]

REVOCATIONS = """
CREATE TABLE IF NOT EXISTS revocations (
    what TEXT NOT NULL, key TEXT NOT NULL, room TEXT NOT NULL, before_us INTEGER NOT NULL, until_us INTEGER NOT NULL,
    PRIMARY KEY (what, key, room)
) WITHOUT ROWID;
"""


class Revocation(msgspec.Struct, frozen=True, kw_only=True):
    """One token, or all tokens of a person that were issued before an instant."""

    what: Literal["jti", "person"]
    key: str  # a keyed hash of the token's id or of the person's
    room: str  # the only room it holds in; empty: all
    before_us: int  # tokens issued before it; of one token, when it was revoked
    until_us: int  # from then on no such token is good by itself, and the row may go


def put_revocation(connection: sqlite3.Connection, one: Revocation) -> None:
    """Remember a revocation, in place of an earlier one of the same."""
    values = (one.what, one.key, one.room, one.before_us, one.until_us)
    connection.execute("INSERT OR REPLACE INTO revocations VALUES (?, ?, ?, ?, ?)", values)


def drop_revocations(connection: sqlite3.Connection, now_us: int) -> None:
    """Forget those that no token needs any more."""
    connection.execute("DELETE FROM revocations WHERE until_us <= ?", (now_us,))


def revocations(reads: sums.Reads) -> list[Revocation]:
    """All of them.

    Raises:
        CorruptError: a row is not what was written, or is missing.
    """
    names = Revocation.__struct_fields__
    rows = sums.group(reads, "revocations", order="what, key, room")
    return [Revocation(**dict(zip(names, row, strict=True))) for row in rows]
