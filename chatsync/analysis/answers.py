"""Answers of an archive as a person, a program or another tool takes them.

Owns: rows as text, JSON values, CSV, NDJSON and Parquet. Does not know: questions. Units: as in the table.
Source: security-and-privacy §6 (cells of a CSV that a spreadsheet would take for a formula).
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from chatsync.store.spreadsheets import csv_lines

__all__ = ["WRITERS", "lines_of", "values_of"]

_ROWS_SHOWN_MAX = 100
_CELL_WIDTH_MAX = 60


def values_of(table: pa.Table) -> list[list[Any]]:
    """Rows as JSON values: instants as ISO 8601 in UTC, everything else that JSON has no word for as text."""
    columns = [[_json_value(value) for value in column.to_pylist()] for column in table.columns]
    return [list(row) for row in zip(*columns, strict=True)]


def _json_value(value: Any) -> Any:
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if value == value and abs(value) != float("inf") else None  # noqa: PLR0124
        case datetime():
            return value.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
        case list():
            return [_json_value(one) for one in value]
        case dict():
            return {str(name): _json_value(one) for name, one in value.items()}
        case _:
            return str(value)


def lines_of(table: pa.Table) -> Iterator[str]:
    """The first hundred rows in columns, for a terminal: what would move its cursor is shown as a dot."""
    names = table.column_names
    rows = [[_cell(value) for value in row] for row in values_of(table.slice(0, _ROWS_SHOWN_MAX))]
    widths = [max([len(name), *(len(row[index]) for row in rows)]) for index, name in enumerate(names)]
    yield "  ".join(name.ljust(width) for name, width in zip(names, widths, strict=True)).rstrip()
    yield "  ".join("-" * width for width in widths)
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    left = table.num_rows - len(rows)
    yield (
        f"({table.num_rows} rows)"
        if not left
        else f"({table.num_rows} rows; {left} are not shown: --json or --output has all)"
    )


def _cell(value: Any) -> str:
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    plain = "".join("·" if unicodedata.category(one) in {"Cc", "Cf", "Cs", "Zl", "Zp"} else one for one in text)
    return plain if len(plain) <= _CELL_WIDTH_MAX else plain[: _CELL_WIDTH_MAX - 1] + "…"


def _write_csv(table: pa.Table, path: Path) -> None:
    texts = frozenset(field.name for field in table.schema if not _is_number(field.type))
    rows = (dict(zip(table.column_names, map(_plain, row), strict=True)) for row in values_of(table))
    with path.open("w", encoding="utf-8", newline="") as file:
        file.writelines(csv_lines(table.column_names, texts, rows))


def _is_number(type_: pa.DataType) -> bool:
    return any(
        is_(type_) for is_ in (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_temporal)
    )


def _plain(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else value


def _write_ndjson(table: pa.Table, path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in values_of(table):
            file.write(json.dumps(dict(zip(table.column_names, row, strict=True)), ensure_ascii=False) + "\n")


def _write_parquet(table: pa.Table, path: Path) -> None:
    pq.write_table(table, path, compression="zstd")


WRITERS: dict[str, Callable[[pa.Table, Path], None]] = {
    ".csv": _write_csv,
    ".ndjson": _write_ndjson,
    ".parquet": _write_parquet,
}
"""By the end of a file's name."""
