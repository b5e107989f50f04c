"""NDJSON and CSV: what ``chatsync export`` writes, and tables that others make.

Owns: names of fields, their other names, and the apostrophe before a formula. Does not know: rooms. Units: ms in the file, µs inside.
Source: formats.md; RFC 4180.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from chatsync.errors import FileDamagedError
from chatsync.instants import MS_US
from chatsync.store.spreadsheets import neutral
from chatsync.transfer.documents import LINE_BYTES_MAX, json_lines
from chatsync.transfer.fields import Known, instant_us, mapping, rest, role_of, sequence, text, us_of
from chatsync.transfer.line import Left, Line, Removal

__all__ = ["read_csv", "read_ndjson"]

_NDJSON = ("id", "kind", "program_ms", "position_ms", "author", "text", "reply_to", "details")
_NAMES = {"pdt": "program_time", "offset_ms": "position_ms", "author": "author_name", "type": "kind"}
_COLUMNS = frozenset(
    {
        "id",
        "program_time",
        "position_ms",
        "kind",
        "author_id",
        "author_name",
        "role",
        "badges",
        "text",
        "reply_to",
        "details",
    }
)


def read_ndjson(stream: BinaryIO, known: Known) -> Iterator[Line | Removal | Left]:
    """An object a line.

    Raises:
        FileDamagedError: after the lines before the damage.
    """
    del known
    for told in json_lines(stream):
        author = mapping(told.get("author"))
        reply_to = told.get("reply_to")
        yield Line(
            id=text(told.get("id")),
            kind=text(told.get("kind")) or "message",
            program_us=us_of(told.get("program_ms"), MS_US),
            position_us=us_of(told.get("position_ms"), MS_US),
            author_id=text(author["id"]) if "id" in author else None,
            author_name=text(author.get("name")),
            role=role_of(author.get("role")),
            badges=tuple(text(badge) for badge in sequence(author.get("badges"))),
            text=text(told.get("text")),
            reply_to=None if reply_to is None else text(reply_to),
            details={**mapping(told.get("details")), **rest(told, _NDJSON)},
        )


def read_csv(stream: BinaryIO, known: Known) -> Iterator[Line | Removal | Left]:
    """A row a line, by its heading; columns that are not known are details.

    Raises:
        FileDamagedError: after the rows before the damage.
    """
    del known
    csv.field_size_limit(LINE_BYTES_MAX)
    rows = csv.reader(io.TextIOWrapper(stream, "utf-8", newline=""), strict=True)
    count = 0
    try:
        heading = [_name(cell) for cell in next(rows, [])]
        for row in rows:
            count += 1
            if not row:
                continue
            if len(row) != len(heading):
                raise FileDamagedError(
                    f"after {count - 1} rows", f"a row has {len(row)} cells and the heading {len(heading)}"
                )
            yield _line(dict(zip(heading, map(_plain, row), strict=True)))
    except (csv.Error, UnicodeDecodeError) as error:
        raise FileDamagedError(f"after {count} rows", "it is no CSV in UTF-8 from there on") from error


def _name(cell: str) -> str:
    name = cell.split(" (", 1)[0].strip()
    return _NAMES.get(name, name)


def _plain(cell: str) -> str:
    """The cell without the apostrophe that kept a spreadsheet from running it."""
    return cell[1:] if cell.startswith("'") and neutral(cell[1:]) == cell else cell


def _line(row: Mapping[str, str]) -> Line:
    author_id, reply_to = row.get("author_id"), row.get("reply_to")
    name = row.get("author_name", "")
    return Line(
        id=row.get("id", ""),
        kind=row.get("kind") or "message",
        program_us=instant_us(row.get("program_time")),
        position_us=us_of(row.get("position_ms"), MS_US),
        author_id=author_id or None,
        author_name=name,
        role=role_of(row.get("role")),
        badges=tuple(row.get("badges", "").split()),
        text=row.get("text", ""),
        reply_to=reply_to or None,
        details={**_details(row.get("details", "")), **rest(row, _COLUMNS)},
    )


def _details(cell: str) -> dict[str, Any]:
    try:
        return dict(mapping(json.loads(cell))) if cell else {}
    except (ValueError, RecursionError):
        return {"details": cell}
