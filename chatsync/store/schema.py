"""The archive's tables: Arrow schemas by version, events to record batches and back.

Owns: columns and types of ``events``, ``segments``, ``observations`` and ``viewers``. Does not know: files. Source: contract §6.

One row an event, sorted by (program_us, offset). ``author_key`` is a pseudonym; names are not in the archive. ``name_version``
says which of an author's names was shown; ``details`` is JSON: what the kind adds.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pyarrow as pa

from chatsync.chat.event import Author, Event, Stamp
from chatsync.store.rows import Columns

__all__ = [
    "EVENTS",
    "OBSERVATIONS",
    "SCHEMA_VERSION",
    "SEGMENTS",
    "VIEWERS",
    "event_from",
    "journal_table",
    "no_rows",
    "rows_table",
]

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

VIEWERS = pa.schema(
    [
        pa.field("room", _FEW, nullable=False),
        pa.field("broadcast", pa.int32(), nullable=False),
        pa.field("minute_us", _INSTANT, nullable=False),
        pa.field("viewers", pa.int32(), nullable=False),
    ],
    metadata={"chatsync.schema": "viewers", "chatsync.schema_version": str(SCHEMA_VERSION)},
)
"""One row a minute of program time in which somebody was there, sorted by its start: the most connections there were at one time."""


def journal_table(columns: Columns, *, anonymous_kinds: frozenset[str] = frozenset()) -> pa.Table:
    """Checked rows of one room and broadcast of the journal, not hidden, as a table of schema ``EVENTS``, in their order.

    Args:
        columns: of at least one row, as they stand now.
        anonymous_kinds: kinds whose author and id are left out (votes).

    Cost: about 2 µs a row; column by column, so that most of it is spent in C.
    """
    columns = dict(columns)
    count = len(columns["offset"])
    if any(columns["said"]):
        columns["details"] = tuple(map(_details, columns["details"], columns["said"]))
    if not anonymous_kinds.isdisjoint(columns["kind"]):
        is_vote = [kind in anonymous_kinds for kind in columns["kind"]]
        for name, nothing in (("id", ""), ("author_key", None), ("role", None), ("name_version", None)):
            columns[name] = tuple(
                nothing if vote else value for vote, value in zip(is_vote, columns[name], strict=True)
            )
    return pa.Table.from_arrays([_array(columns[field.name], count, field.type) for field in EVENTS], schema=EVENTS)


def _array(values: tuple[Any, ...], count: int, type_: pa.DataType) -> pa.Array:
    """Values as an array; where all are the same, as most columns of a batch are, it costs next to nothing."""
    first = values[0]
    if values.count(first) == count:
        return pa.nulls(count, type_) if first is None else _repeated(first, count, type_)
    if pa.types.is_dictionary(type_):
        return pa.array(values, pa.string()).dictionary_encode()
    return pa.array(values, type_)


def _repeated(value: Any, count: int, type_: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(type_):  # of a type that is told: Arrow looks for pandas where it must find out
        return pa.DictionaryArray.from_arrays(
            pa.repeat(pa.scalar(0, pa.int32()), count), pa.array([value], pa.string())
        )
    return pa.repeat(pa.scalar(value, type_), count)


def _details(fixed: str, said: str | None) -> str:
    """What stays and what is somebody's words, as one JSON object."""
    if said is None:
        return fixed
    return msgspec.json.encode(msgspec.json.decode(fixed) | msgspec.json.decode(said), order="sorted").decode()


def rows_table(rows: Sequence[Sequence[Any]], schema: pa.Schema) -> pa.Table:
    """Rows whose values stand in the order of a schema, as a table; instants are integer µs, truths 0 or 1."""
    if not rows:
        return no_rows(schema)
    columns = list(zip(*rows, strict=True))
    arrays = []
    for field, column in zip(schema, columns, strict=True):
        values = (
            [None if value is None else bool(value) for value in column] if pa.types.is_boolean(field.type) else column
        )
        arrays.append(pa.array(values, type=field.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def no_rows(schema: pa.Schema) -> pa.Table:
    """An empty table. ``schema.empty_table()`` would load pandas, where it is installed, which takes longer than all else."""
    return pa.Table.from_batches([], schema=schema)


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


class _NoPandas:
    """Finds no pandas, wherever it is installed."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("chatsync needs no pandas", name=name)


def without_pandas() -> None:
    """For processes of ours alone: pandas cannot be imported any more.

    Where it is installed, Arrow imports it to ask whether a list is one of its series: a second of work and 60 MiB for nothing.
    """
    if not any(isinstance(finder, _NoPandas) for finder in sys.meta_path):
        sys.meta_path.insert(0, _NoPandas())
