"""NDJSON, CSV and Parquet: every field of a line, to be read back, opened in a spreadsheet or asked.

Owns: names, order and types of the fields. Does not know: where lines come from.
Units: milliseconds (``_ms``) in NDJSON, instants as ISO 8601 in CSV, µs in Parquet. Source: contract §4; security-and-privacy §6 (formulas).
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from chatsync.instants import MS_US, iso_from_us, ms_from_us
from chatsync.store.spreadsheets import csv_lines
from chatsync.transfer.line import About, Line

__all__ = ["COLUMNS", "SCHEMA", "csv", "ndjson", "parquet"]

COLUMNS = (
    *("id", "program_time", "position_ms", "kind", "author_id", "author_name", "role", "badges", "text", "reply_to"),
    "details",
)
"""Of CSV, in order."""

_TEXTS = frozenset({"id", "author_id", "author_name", "badges", "text", "reply_to", "details"})
_GROUP_ROWS = 50_000
_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("program_us", pa.timestamp("us", tz="UTC")),
        pa.field("position_us", pa.int64()),
        pa.field("author_id", pa.string()),
        pa.field("author_name", pa.string(), nullable=False),
        pa.field("role", pa.string(), nullable=False),
        pa.field("badges", pa.list_(pa.string()), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("reply_to", pa.string()),
        pa.field("details", pa.string(), nullable=False),
    ]
)
"""Of Parquet. ``program_us`` is UTC, ``position_us`` counts from the start of the broadcast or recording, ``details`` is a JSON object."""


def ndjson(lines: Iterable[Line], about: About) -> Iterator[str]:
    """An object a line; fields that say nothing are left out."""
    del about
    for line in lines:
        told: dict[str, Any] = {"id": line.id, "kind": line.kind}
        if line.program_us is not None:
            told["program_ms"] = _ms(line.program_us)
        if line.position_us is not None:
            told["position_ms"] = _ms(line.position_us)
        if line.author_id is not None:
            told["author"] = {"id": line.author_id, "name": line.author_name, "role": line.role}
            told["author"] |= {"badges": list(line.badges)} if line.badges else {}
        told["text"] = line.text
        if line.reply_to is not None:
            told["reply_to"] = line.reply_to
        if line.details:
            told["details"] = line.details
        # Some readers take these two for the end of a line, in a format of lines (security-and-privacy §6).
        yield _JSON.encode(told).replace("\u2028", "\\u2028").replace("\u2029", "\\u2029") + "\n"


def csv(lines: Iterable[Line], about: About) -> Iterator[str]:
    """RFC 4180 with a heading; a cell that a spreadsheet would take for a formula has an apostrophe before it."""
    del about
    return csv_lines(COLUMNS, _TEXTS, (_row(line) for line in lines))


def _row(line: Line) -> dict[str, Any]:
    return {
        "id": line.id,
        "program_time": None if line.program_us is None else iso_from_us(line.program_us),
        "position_ms": None if line.position_us is None else _ms(line.position_us),
        "kind": line.kind,
        "author_id": line.author_id,
        "author_name": line.author_name,
        "role": line.role,
        "badges": " ".join(line.badges),
        "text": line.text,
        "reply_to": line.reply_to,
        "details": json.dumps(line.details, ensure_ascii=False) if line.details else None,
    }


def _ms(value_us: int) -> int | float:
    """Whole milliseconds as an integer; what a foreign source had finer keeps its digits."""
    return ms_from_us(value_us) if value_us % MS_US == 0 else value_us / MS_US


def parquet(lines: Iterable[Line], about: About) -> Iterator[bytes]:
    """A Parquet file of :data:`SCHEMA`, a piece for each row group of 50,000. Cost: memory for one group."""
    written = _Pieces()
    metadata = {"room": about.room, "recording": about.recording or "", "title": about.title}
    with pq.ParquetWriter(written, SCHEMA.with_metadata(metadata), compression="zstd") as writer:
        several = iter(lines)
        while group := list(islice(several, _GROUP_ROWS)):
            writer.write_table(_table(group))
            yield written.taken()
    yield written.taken()


def _table(lines: list[Line]) -> pa.Table:
    columns = {
        name: [getattr(line, name) for line in lines] for name in SCHEMA.names if name not in {"badges", "details"}
    }
    columns["badges"] = [list(line.badges) for line in lines]
    columns["details"] = [json.dumps(line.details, ensure_ascii=False) for line in lines]
    return pa.Table.from_arrays([pa.array(columns[field.name], field.type) for field in SCHEMA], schema=SCHEMA)


class _Pieces(io.RawIOBase):
    """A file that only grows, and gives away what was written since."""

    def __init__(self) -> None:
        self._new: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._size

    def write(self, piece: Any) -> int:
        self._new.append(bytes(piece))
        self._size += len(self._new[-1])
        return len(self._new[-1])

    def taken(self) -> bytes:
        new, self._new = b"".join(self._new), []
        return new
