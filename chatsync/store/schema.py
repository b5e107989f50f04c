"""The archive's tables: Arrow schemas by version, events to record batches and back.

Owns: columns and types of ``events``, ``segments`` and ``observations``. Does not know: files. Source: contract §6.

One row an event, sorted by (program_us, offset). ``author_key`` is a pseudonym; names are not in the archive. ``name_version``
says which of an author's names was shown; ``details`` is JSON: what the kind adds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import pyarrow as pa

from chatsync.chat.event import Author, Event, Stamp

__all__ = ["EVENTS", "OBSERVATIONS", "SCHEMA_VERSION", "SEGMENTS", "event_from", "events_table", "rows_table"]

SCHEMA_VERSION = 1

_INSTANT = pa.timestamp("us", tz="UTC")
_FEW = pa.dictionary(pa.int32(), pa.string())

EVENTS = pa.schema(
    [
        pa.field("room", _FEW, nullable=False),
        pa.field("broadcast", pa.int32(), nullable=False),
        pa.field("epoch", pa.int64(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("kind", _FEW, nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("program_us", _INSTANT, nullable=False),
        pa.field("wall_us", _INSTANT, nullable=False),
        pa.field("stamp", _FEW, nullable=False),
        pa.field("uncertainty_us", pa.int64(), nullable=False),
        pa.field("behind_live_us", pa.int64(), nullable=False),
        pa.field("claimed_us", pa.int64()),
        pa.field("latency_us", pa.int64()),
        pa.field("run", pa.int32()),
        pa.field("media_sequence", pa.int64()),
        pa.field("into_segment_us", pa.int64()),
        pa.field("author_key", _FEW),
        pa.field("role", _FEW),
        pa.field("name_version", pa.int32()),
        pa.field("text", pa.string()),
        pa.field("reply_to", pa.int64()),
        pa.field("target", pa.int64()),
        pa.field("source", _FEW, nullable=False),
        pa.field("details", pa.string(), nullable=False),
    ],
    metadata={"chatsync.schema": "events", "chatsync.schema_version": str(SCHEMA_VERSION)},
)
"""One row an event, sorted by (program_us, offset)."""

SEGMENTS = pa.schema(
    [
        pa.field("room", _FEW, nullable=False),
        pa.field("broadcast", pa.int32(), nullable=False),
        pa.field("run", pa.int32(), nullable=False),
        pa.field("media_sequence", pa.int64(), nullable=False),
        pa.field("uri_path", pa.string(), nullable=False),
        pa.field("byte_range", pa.string()),
        pa.field("duration_us", pa.int64(), nullable=False),
        pa.field("position_us", pa.int64(), nullable=False),
        pa.field("discontinuity_sequence", pa.int64(), nullable=False),
        pa.field("discontinuity", pa.bool_(), nullable=False),
        pa.field("gap", pa.bool_(), nullable=False),
        pa.field("program_us", _INSTANT),
        pa.field("program_source", _FEW),
        pa.field("estimated", pa.bool_(), nullable=False),
    ],
    metadata={"chatsync.schema": "segments", "chatsync.schema_version": str(SCHEMA_VERSION)},
)
"""One row a media segment ever listed, sorted by (run, media_sequence). ``position_us`` counts from the start of the run."""

OBSERVATIONS = pa.schema(
    [
        pa.field("room", _FEW, nullable=False),
        pa.field("broadcast", pa.int32(), nullable=False),
        pa.field("wall_us", _INSTANT, nullable=False),
        pa.field("age_us", pa.int64(), nullable=False),
        pa.field("kind", _FEW, nullable=False),
        pa.field("run", pa.int32(), nullable=False),
        pa.field("media_sequence", pa.int64(), nullable=False),
        pa.field("part_count", pa.int32(), nullable=False),
        pa.field("edge_program_us", _INSTANT),
        pa.field("step_us", pa.int64()),
    ],
    metadata={"chatsync.schema": "observations", "chatsync.schema_version": str(SCHEMA_VERSION)},
)
"""One row a reload of the playlist, sorted by steady wall time: where the live edge was, how old the answer was (Age), and how far
the system's clock was ahead of the steady one (``step_us``)."""


def _row(event: Event, name_version: int | None, *, with_author: bool) -> dict[str, Any]:
    stamp = event.stamp
    author = event.author if with_author else None
    return {
        "room": event.room,
        "broadcast": stamp.broadcast,
        "epoch": event.epoch,
        "offset": event.offset,
        "kind": event.kind,
        "id": event.id if with_author else "",
        "program_us": stamp.program_us,
        "wall_us": event.wall_us,
        "stamp": stamp.stamp,
        "uncertainty_us": stamp.uncertainty_us,
        "behind_live_us": stamp.behind_live_us,
        "claimed_us": stamp.claimed_us,
        "latency_us": stamp.latency_us,
        "run": stamp.run,
        "media_sequence": stamp.media_sequence,
        "into_segment_us": stamp.into_segment_us,
        "author_key": None if author is None else author.key,
        "role": None if author is None else author.role,
        "name_version": None if author is None else name_version,
        "text": event.text,
        "reply_to": event.reply_to,
        "target": event.target,
        "source": event.source,
        "details": msgspec.json.encode(event.details, order="sorted").decode(),
    }


def events_table(
    events: Iterable[tuple[Event, int | None]], *, anonymous_kinds: frozenset[str] = frozenset()
) -> pa.Table:
    """Events as a table of schema ``EVENTS``.

    Args:
        events: with the version of the author's name, sorted by (program time, offset).
        anonymous_kinds: kinds whose author and id are left out (votes).
    """
    rows = [_row(event, version, with_author=event.kind not in anonymous_kinds) for event, version in events]
    return pa.Table.from_pylist(rows, schema=EVENTS)


def rows_table(rows: Sequence[Sequence[Any]], schema: pa.Schema) -> pa.Table:
    """Rows whose values stand in the order of a schema, as a table; instants are integer µs, truths 0 or 1."""
    columns = list(zip(*rows, strict=True)) or [()] * len(schema.names)
    arrays = []
    for field, column in zip(schema, columns, strict=True):
        values = (
            [None if value is None else bool(value) for value in column] if pa.types.is_boolean(field.type) else column
        )
        arrays.append(pa.array(values, type=field.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def event_from(row: Mapping[str, Any], author: Author | None) -> Event:
    """An event from a row whose instants are integer µs; ``author`` is who they were then."""
    return Event(
        room=row["room"],
        epoch=row["epoch"],
        offset=row["offset"],
        kind=row["kind"],
        id=row["id"],
        stamp=Stamp(
            stamp=row["stamp"],
            broadcast=row["broadcast"],
            program_us=row["program_us"],
            uncertainty_us=row["uncertainty_us"],
            behind_live_us=row["behind_live_us"],
            claimed_us=row["claimed_us"],
            latency_us=row["latency_us"],
            run=row["run"],
            media_sequence=row["media_sequence"],
            into_segment_us=row["into_segment_us"],
        ),
        wall_us=row["wall_us"],
        author=author,
        text=row["text"],
        reply_to=row["reply_to"],
        target=row["target"],
        details=msgspec.json.decode(row["details"]),
        source=row["source"],
    )
