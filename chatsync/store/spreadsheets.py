"""CSV that a spreadsheet opens without running anything in it.

Owns: which cells are made harmless, quoting, the note about it. Does not know: what the rows are.
Source: security-and-privacy §6 (exports); RFC 4180.

A cell that begins with ``=``, ``+``, ``-``, ``@``, a tab, a line break or one of their full-width forms would be a formula to some program: it
gets an apostrophe before it, and the column's heading says so. Every cell is quoted.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

__all__ = ["NOTE", "csv_lines", "neutral"]

NOTE = "an apostrophe is added before = + - @"
"""What a heading says of its column."""

_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def neutral(text: str) -> str:
    """The text as a cell that is text to every program.

    One that has such an apostrophe already gets another, so that taking one away always gives the text back.
    """
    return f"'{text}" if text.lstrip("'").startswith(_DANGEROUS) else text


def csv_lines(columns: Sequence[str], texts: frozenset[str], rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """A table as lines, the headings first; each ends with CR LF, as RFC 4180 wants it.

    Args:
        columns: names, in order.
        texts: those that hold what people wrote: their headings carry :data:`NOTE`.
        rows: values by column; None is an empty cell.
    """
    written = io.StringIO()
    writer = csv.writer(
        written, quoting=csv.QUOTE_ALL, lineterminator="\r\n"
    )  # one for all lines: making it takes longer than a line

    def line(cells: Sequence[str]) -> str:
        writer.writerow(cells)
        text = written.getvalue()
        written.seek(0)
        written.truncate()
        return text

    yield line([f"{name} ({NOTE})" if name in texts else name for name in columns])
    for row in rows:
        yield line([_cell(row.get(name)) for name in columns])


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (int, float)) else neutral(str(value))
