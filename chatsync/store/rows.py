"""Journal rows: columns, checksums, and the way to an event and back.

Owns: what a row's checksums cover. Does not know: tables beside the journal, transactions.
Source: contract §6, last paragraph; decision 0005.

``chain`` is the CRC32C of the row before (``previous``) and of this row's fixed columns; among those is ``text_check``, the
CRC32C of salt and text, so that blanking both leaves every chain whole. What restamping and hiding change stands in columns of
its own (``placed_us``, ``placed_stamp``, ``hidden``, ``hidden_by``) under ``placed_check``.
"""

from __future__ import annotations

import os
from typing import Any

import google_crc32c
import msgspec

from chatsync.chat.event import Author, Draft, Event, Stamp
from chatsync.errors import CorruptError

__all__ = ["COLUMNS", "CREATE", "FIXED", "checked", "event_of", "insert_sql", "placed_check", "row_of", "text_check"]

FIXED = (
    "room",
    "epoch",
    "offset",
    "kind",
    "id",
    "broadcast",
    "program_us",
    "wall_us",
    "stamp",
    "uncertainty_us",
    "behind_live_us",
    "claimed_us",
    "latency_us",
    "run",
    "media_sequence",
    "into_segment_us",
    "author_key",
    "role",
    "name_version",
    "reply_to",
    "target",
    "details",
    "source",
    "text_check",
)
COLUMNS = (
    *FIXED,
    "previous",
    "chain",
    "text",
    "salt",
    "placed_us",
    "placed_stamp",
    "hidden",
    "hidden_by",
    "placed_check",
)
_INDEX = {name: index for index, name in enumerate(COLUMNS)}
_FIXED_COUNT = len(FIXED)

CREATE = """
CREATE TABLE IF NOT EXISTS journal (
    room TEXT NOT NULL, epoch INTEGER NOT NULL, offset INTEGER NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL,
    broadcast INTEGER NOT NULL, program_us INTEGER NOT NULL, wall_us INTEGER NOT NULL, stamp TEXT NOT NULL,
    uncertainty_us INTEGER NOT NULL, behind_live_us INTEGER NOT NULL, claimed_us INTEGER, latency_us INTEGER, run INTEGER,
    media_sequence INTEGER, into_segment_us INTEGER, author_key TEXT, role TEXT, name_version INTEGER, reply_to INTEGER,
    target INTEGER, details TEXT NOT NULL, source TEXT NOT NULL, text_check INTEGER NOT NULL,
    previous INTEGER NOT NULL, chain INTEGER NOT NULL, text TEXT, salt BLOB,
    placed_us INTEGER NOT NULL, placed_stamp TEXT NOT NULL, hidden INTEGER NOT NULL, hidden_by INTEGER,
    placed_check INTEGER NOT NULL,
    PRIMARY KEY (room, offset)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS journal_placed ON journal (room, broadcast, placed_us, offset);
CREATE INDEX IF NOT EXISTS journal_state ON journal (room, broadcast, offset)
    WHERE kind IN ('question', 'question_upvoted', 'question_answered', 'pinned', 'unpinned', 'mode_changed',
                   'hand_raised', 'hand_lowered', 'poll_opened', 'poll_closed', 'poll_voted');
CREATE INDEX IF NOT EXISTS journal_author ON journal (room, author_key) WHERE author_key IS NOT NULL;
"""

insert_sql = f"INSERT INTO journal ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"

_encode = msgspec.msgpack.Encoder().encode
_encode_details = msgspec.json.Encoder(order="sorted").encode


def text_check(salt: bytes | None, text: str | None) -> int:
    """Checksum of the erasable part; 0 where there is no text."""
    return 0 if text is None else int(google_crc32c.value((salt or b"") + text.encode()))


def placed_check(offset: int, placed_us: int, placed_stamp: str, hidden: int, hidden_by: int | None) -> int:
    """Checksum of what restamping and hiding change."""
    return int(google_crc32c.value(_encode((offset, placed_us, placed_stamp, hidden, hidden_by))))


def _chain(previous: int, fixed: tuple[Any, ...]) -> int:
    return int(google_crc32c.extend(previous, _encode(fixed)))


def row_of(draft: Draft, *, epoch: int, offset: int, previous: int, name_version: int | None) -> tuple[Any, ...]:
    """The row of a new event; its chain is at ``row[COLUMNS.index("chain")]``."""
    stamp, text = draft.stamp, draft.text
    salt = None if text is None else os.urandom(8)
    fixed = (
        draft.room,
        epoch,
        offset,
        draft.kind,
        draft.id,
        stamp.broadcast,
        stamp.program_us,
        draft.wall_us,
        stamp.stamp,
        stamp.uncertainty_us,
        stamp.behind_live_us,
        stamp.claimed_us,
        stamp.latency_us,
        stamp.run,
        stamp.media_sequence,
        stamp.into_segment_us,
        None if draft.author is None else draft.author.key,
        None if draft.author is None else draft.author.role,
        name_version,
        draft.reply_to,
        draft.target,
        _encode_details(draft.details).decode() if draft.details else "{}",
        draft.source,
        text_check(salt, text),
    )
    placed = (stamp.program_us, stamp.stamp, 0, None)
    return (*fixed, previous, _chain(previous, fixed), text, salt, *placed, placed_check(offset, *placed))


def checked(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """The row, if its checksums hold.

    Raises:
        CorruptError: it is not what was written.
    """
    room, offset = row[0], row[2]
    chain_at = _FIXED_COUNT + 1
    if _chain(row[_FIXED_COUNT], tuple(row[:_FIXED_COUNT])) != row[chain_at]:
        raise CorruptError("journal", f"row {offset} of room {room} does not fit its chain")
    text, salt, hidden = row[chain_at + 1], row[chain_at + 2], row[_INDEX["hidden"]]
    blanked = text is None and salt is None and hidden
    if not blanked and text_check(salt, text) != row[_FIXED_COUNT - 1]:
        raise CorruptError("journal", f"text of row {offset} of room {room} does not fit its checksum")
    if placed_check(offset, *row[chain_at + 3 : chain_at + 7]) != row[chain_at + 7]:
        raise CorruptError("journal", f"place of row {offset} of room {room} does not fit its checksum")
    return row


def event_of(row: tuple[Any, ...], name: str) -> Event:
    """The event of a checked row; ``name`` is what its author was called then."""
    value = dict(zip(COLUMNS, row, strict=True))
    author = None
    if value["author_key"] is not None:
        author = Author(key=value["author_key"], name=name, role=value["role"])
    return Event(
        room=value["room"],
        epoch=value["epoch"],
        offset=value["offset"],
        kind=value["kind"],
        id=value["id"],
        stamp=Stamp(
            stamp=value["placed_stamp"],
            broadcast=value["broadcast"],
            program_us=value["placed_us"],
            uncertainty_us=value["uncertainty_us"],
            behind_live_us=value["behind_live_us"],
            claimed_us=value["claimed_us"],
            latency_us=value["latency_us"],
            run=value["run"],
            media_sequence=value["media_sequence"],
            into_segment_us=value["into_segment_us"],
        ),
        wall_us=value["wall_us"],
        author=author,
        text=value["text"],
        reply_to=value["reply_to"],
        target=value["target"],
        details=msgspec.json.decode(value["details"]) if value["details"] != "{}" else {},
        source=value["source"],
        hidden=bool(value["hidden"]),
    )
