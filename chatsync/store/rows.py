"""Journal rows: columns, checksums, and the way to an event and back.

Owns: what a row's checksums cover. Does not know: tables beside the journal, transactions.
Source: contract §6, last paragraph; decision 0005.

``chain`` is the CRC32C of the row before (``previous``) and of this row's fixed columns; among those is ``text_check``, the
CRC32C of the salt and of all that was said (``text``, and ``said``: those of the details that are words), so that blanking the
three leaves every chain whole. What restamping and hiding change stands in columns of its own (``placed_us``,
``placed_stamp``, ``hidden``, ``hidden_by``) under ``placed_check``.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

import google_crc32c
import msgspec

from chatsync.chat.event import Author, Draft, Event, Stamp, Visibility, visibility_of
from chatsync.errors import CorruptError

__all__ = [
    "COLUMNS",
    "CREATE",
    "ERASABLE",
    "FIXED",
    "PLAIN_NAMES",
    "SAID_DETAILS",
    "Columns",
    "check_rows",
    "checked",
    "details_of",
    "event_of",
    "event_of_draft",
    "insert_many",
    "insert_sql",
    "placed_check",
    "plain_columns",
    "public_rows",
    "recalled_row",
    "row_of",
    "standing_columns",
    "text_check",
]

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
ERASABLE = ("text", "said", "salt")
COLUMNS = (
    *FIXED,
    "previous",
    "chain",
    *ERASABLE,
    "placed_us",
    "placed_stamp",
    "hidden",
    "hidden_by",
    "placed_check",
)
Columns = dict[str, tuple[Any, ...]]
"""Rows as columns by name, each as long as there are rows."""

_FIXED_COUNT = len(FIXED)
_TEXT = COLUMNS.index("text")
_PLACED = COLUMNS.index("placed_us")
_HIDDEN = COLUMNS.index("hidden")
_PROGRAM, _STAMP = COLUMNS.index("program_us"), COLUMNS.index("stamp")

SAID_DETAILS = frozenset({"answer", "choices", "emotes", "fragments", "imported", "question", "reason", "title"})
"""Details that are somebody's words: they go where the text goes."""

CREATE = """
CREATE TABLE IF NOT EXISTS journal (
    room TEXT NOT NULL, epoch INTEGER NOT NULL, offset INTEGER NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL,
    broadcast INTEGER NOT NULL, program_us INTEGER NOT NULL, wall_us INTEGER NOT NULL, stamp TEXT NOT NULL,
    uncertainty_us INTEGER NOT NULL, behind_live_us INTEGER NOT NULL, claimed_us INTEGER, latency_us INTEGER, run INTEGER,
    media_sequence INTEGER, into_segment_us INTEGER, author_key TEXT, role TEXT, name_version INTEGER, reply_to INTEGER,
    target INTEGER, details TEXT NOT NULL, source TEXT NOT NULL, text_check INTEGER NOT NULL,
    previous INTEGER NOT NULL, chain INTEGER NOT NULL, text TEXT, said TEXT, salt BLOB,
    placed_us INTEGER NOT NULL, placed_stamp TEXT NOT NULL, hidden INTEGER NOT NULL, hidden_by INTEGER,
    placed_check INTEGER NOT NULL,
    PRIMARY KEY (room, offset)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS journal_placed ON journal (room, broadcast, placed_us, offset);
CREATE INDEX IF NOT EXISTS journal_state ON journal (room, broadcast, offset)
    WHERE kind IN ('hand_lowered', 'hand_raised', 'mode_changed', 'pinned', 'poll_closed', 'poll_opened', 'poll_voted',
                   'question', 'question_answered', 'question_upvoted', 'unpinned');
CREATE INDEX IF NOT EXISTS journal_pins ON journal (room, target) WHERE kind = 'pinned';
"""

insert_sql = f"INSERT INTO journal ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"

_encode = msgspec.msgpack.Encoder().encode
_encode_details = msgspec.json.Encoder(order="sorted").encode


def text_check(text: str | None, said: str | None, salt: bytes | None) -> int:
    """Checksum of the erasable part; 0 where nothing was said."""
    return 0 if text is None and said is None else int(google_crc32c.value(_encode((text, said, salt))))


def placed_check(offset: int, placed_us: int, placed_stamp: str, hidden: int, hidden_by: int | None) -> int:
    """Checksum of what restamping and hiding change."""
    return int(google_crc32c.value(_encode((offset, placed_us, placed_stamp, hidden, hidden_by))))


def _chain(previous: int, fixed: tuple[Any, ...]) -> int:
    return int(google_crc32c.extend(previous, _encode(fixed)))


def details_of(details: dict[str, Any]) -> tuple[str, str | None]:
    """Details as two JSON texts: what stays for ever, and what is somebody's words (None if nothing is)."""
    if not details:
        return "{}", None
    said = {name: value for name, value in details.items() if name in SAID_DETAILS}
    if not said:
        return _encode_details(details).decode(), None
    fixed = {name: value for name, value in details.items() if name not in SAID_DETAILS}
    return _encode_details(fixed).decode(), _encode_details(said).decode()


def row_of(draft: Draft, *, epoch: int, offset: int, previous: int, name_version: int | None) -> tuple[Any, ...]:
    """The row of a new event; its chain is at ``row[COLUMNS.index("chain")]``."""
    stamp, author, text = draft.stamp, draft.author, draft.text
    details, said = details_of(draft.details)
    salt = None if text is None and said is None else os.urandom(8)
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
        None if author is None else author.key,
        None if author is None else author.role,
        name_version,
        draft.reply_to,
        draft.target,
        details,
        draft.source,
        text_check(text, said, salt),
    )
    placed = (stamp.program_us, stamp.stamp, 0, None)
    return (*fixed, previous, _chain(previous, fixed), text, said, salt, *placed, placed_check(offset, *placed))


def recalled_row(values: Mapping[str, Any]) -> tuple[Any, ...]:
    """The row of an event that is in the archive alone, as it could stand in the journal again.

    Its checksums are its own: what came before it, and the salt its words had, left with the row that was pruned.

    Args:
        values: columns of the archive's ``events`` by name, instants in integer µs, ``details`` decoded.
    """
    details, said = details_of(_as_logged(values["kind"], values["details"]))
    text = values["text"]
    salt = None if text is None and said is None else os.urandom(8)
    given = {**values, "details": details, "text_check": text_check(text, said, salt)}
    fixed = tuple(given[name] for name in FIXED)
    placed = (values["program_us"], values["stamp"], 0, None)
    check = placed_check(values["offset"], *placed)
    return (*fixed, 0, _chain(0, fixed), text, said, salt, *placed, check)


def _as_logged(kind: str, details: dict[str, Any]) -> dict[str, Any]:
    """Details as they were logged: what a poll came to is printed beside them, and counted anew where it is printed again."""
    if kind != "poll_closed":
        return details
    return {name: value for name, value in details.items() if name not in {"tally", "answer"}}


def checked(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """The row, if its checksums hold.

    Raises:
        CorruptError: it is not what was written.
    """
    room, offset = row[0], row[2]
    if _chain(row[_FIXED_COUNT], row[:_FIXED_COUNT]) != row[_TEXT - 1]:
        raise CorruptError("journal", f"row {offset} of room {room} does not fit its chain")
    erasable = row[_TEXT : _TEXT + len(ERASABLE)]
    is_blanked = row[_HIDDEN] and erasable == (None, None, None)
    if not is_blanked and text_check(*erasable) != row[_FIXED_COUNT - 1]:
        raise CorruptError("journal", f"text of row {offset} of room {room} does not fit its checksum")
    if placed_check(offset, *row[_PLACED : _PLACED + 4]) != row[_PLACED + 4]:
        raise CorruptError("journal", f"place of row {offset} of room {room} does not fit its checksum")
    return row


def check_rows(rows: Sequence[tuple[Any, ...]]) -> None:
    """As :func:`checked` for many rows at about half the cost.

    A row that stands where it was first put, and is not hidden, is proven by its chain alone: what ``placed_check`` covers is equal
    to columns that the chain covers.

    Raises:
        CorruptError: one is not what was written.
    """
    extend, value, encode = google_crc32c.extend, google_crc32c.value, _encode
    for row in rows:
        chain, text, said, salt, placed_us, placed_stamp, hidden, hidden_by = row[_TEXT - 1 : _TEXT + 7]
        is_whole = (
            placed_us == row[_PROGRAM]
            and hidden == 0
            and hidden_by is None
            and placed_stamp == row[_STAMP]
            and extend(row[_FIXED_COUNT], encode(row[:_FIXED_COUNT])) == chain
        )
        if (
            not is_whole
            or (0 if text is None and said is None else value(encode((text, said, salt)))) != row[_FIXED_COUNT - 1]
        ):
            checked(row)


def standing_columns(rows: Sequence[tuple[Any, ...]]) -> Columns:
    """Rows as columns by name, ``program_us`` and ``stamp`` as the events stand now.

    Args:
        rows: at least one, in the order of :data:`COLUMNS`.
    """
    columns = dict(zip(COLUMNS, zip(*rows, strict=True), strict=True))
    columns["program_us"], columns["stamp"] = columns["placed_us"], columns["placed_stamp"]
    return columns


PLAIN_NAMES = (*FIXED, "previous", "chain", *ERASABLE)
"""What is read of a row that stands where it was first put and is not hidden: the rest of it is equal to what is read."""


def plain_columns(rows: Sequence[tuple[Any, ...]]) -> Columns | None:
    """Rows of :data:`PLAIN_NAMES` as columns by name; None if one is not plain, or its checksums do not hold.

    What ``placed_check`` covers of a plain row is equal to columns that its chain covers, so that the chain proves it.

    Args:
        rows: at least one; one more value of each says whether it is plain, 1 or another.

    Cost: about 2 µs a row.
    """
    columns = dict(zip((*PLAIN_NAMES, "is_plain"), zip(*rows, strict=True), strict=True))
    if columns.pop("is_plain").count(1) != len(rows):
        return None
    extend, value, encode = google_crc32c.extend, google_crc32c.value, _encode
    chains = [extend(row[_FIXED_COUNT], encode(row[:_FIXED_COUNT])) for row in rows]
    if tuple(chains) != columns["chain"]:
        return None
    texts = [
        0 if erasable[0] is None and erasable[1] is None else value(encode(erasable))
        for erasable in zip(columns["text"], columns["said"], columns["salt"], strict=True)
    ]
    return columns if tuple(texts) == columns["text_check"] else None


def public_rows(columns: Columns) -> list[bool] | None:
    """Which rows, none of them hidden, everyone may see: their kind is public, and they are not addressed to some; None: all."""
    public = {kind: visibility_of(kind) is Visibility.PUBLIC for kind in set(columns["kind"])}
    addressed = {
        details: '"to"' in details and "to" in msgspec.json.decode(details) for details in set(columns["details"])
    }
    if all(public.values()) and not any(addressed.values()):
        return None
    return [
        public[kind] and not addressed[details]
        for kind, details in zip(columns["kind"], columns["details"], strict=True)
    ]


def event_of_draft(draft: Draft, epoch: int, offset: int) -> Event:
    """The event that a draft becomes at its place in the log, as reading its row would give it."""
    return Event(
        room=draft.room,
        epoch=epoch,
        offset=offset,
        kind=draft.kind,
        id=draft.id,
        stamp=draft.stamp,
        wall_us=draft.wall_us,
        author=draft.author,
        text=draft.text,
        reply_to=draft.reply_to,
        target=draft.target,
        details=draft.details,
        source=draft.source,
    )


_STATEMENT_ROWS_MAX = 64  # more would not be quicker, and each length is a statement to keep
_VALUES_MAX = 32_000  # SQLite's bound on parameters is 32,766


def insert_many(connection: sqlite3.Connection, table: str, rows: Sequence[Sequence[Any]], conflict: str = "") -> int:
    """Insert whole rows with few statements, so that SQLite is entered, and the interpreter's lock given up, a few times only.

    Args:
        connection: in a transaction.
        table: a name of ours; rows have all its columns in the order of its declaration.
        rows: at least one.
        conflict: what follows the values, such as ``ON CONFLICT DO NOTHING``.

    Returns:
        How many were inserted.
    """
    columns = len(rows[0])
    one = f"({', '.join('?' * columns)})"
    inserted, start = 0, 0
    at_once = min(_STATEMENT_ROWS_MAX, _VALUES_MAX // columns)
    while start < len(rows):
        count = min(at_once, 1 << (len(rows) - start).bit_length() - 1)  # powers of two: few different statements
        values = [value for row in rows[start : start + count] for value in row]
        cursor = connection.execute(f"INSERT INTO {table} VALUES {', '.join([one] * count)} {conflict}", values)
        inserted += cursor.rowcount
        start += count
    return inserted


def event_of(row: tuple[Any, ...], author: Author | None) -> Event:
    """The event of a checked row; ``author`` is who they were then."""
    (room, epoch, offset, kind, event_id, broadcast, _, wall_us, _, uncertainty_us, behind_live_us) = row[:11]
    (claimed_us, latency_us, run, media_sequence, into_segment_us, _, _, _, reply_to, target, details, source) = row[
        11:23
    ]
    text, said, _, placed_us, placed_stamp, hidden = row[_TEXT : _HIDDEN + 1]
    values = {} if details == "{}" else msgspec.json.decode(details)
    if said is not None:
        values |= msgspec.json.decode(said)
    return Event(
        room=room,
        epoch=epoch,
        offset=offset,
        kind=kind,
        id=event_id,
        stamp=Stamp(
            stamp=placed_stamp,
            broadcast=broadcast,
            program_us=placed_us,
            uncertainty_us=uncertainty_us,
            behind_live_us=behind_live_us,
            claimed_us=claimed_us,
            latency_us=latency_us,
            run=run,
            media_sequence=media_sequence,
            into_segment_us=into_segment_us,
        ),
        wall_us=wall_us,
        author=author,
        text=text,
        reply_to=reply_to,
        target=target,
        details=values,
        source=source,
        hidden=bool(hidden),
    )
