"""Rows that have left the journal, read from the archive as if they were still in it.

Owns: which files have such rows, and the way from a Parquet row to a journal row. Does not know: what is in the journal: whoever
asks leaves out what is. Units: µs of program time. Source: decision 0016.

A file is compared with its SHA-256 before it is first read, and again when it was touched since.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from chatsync.errors import CorruptError
from chatsync.instants import Range
from chatsync.store.catalog import ArchiveFile, Catalog
from chatsync.store.files import Files
from chatsync.store.parquet import has_author, verify_file
from chatsync.store.rows import recalled_row

__all__ = ["VERIFIED_MAX", "Recall"]

Row = tuple[Any, ...]
T = TypeVar("T")
VERIFIED_MAX = 20_000  # files, each generation of an hour is one: some MiB
_TRIES = 3  # a generation may be replaced while it is read


class Recall:
    """Reads what was pruned.

    Args:
        files: where the archive lies.
        catalog: which files there are.
    """

    def __init__(self, files: Files, catalog: Catalog) -> None:
        self._files, self._catalog = files, catalog
        self._verified: set[tuple[str, int, int]] = set()

    def rows_between(self, room: str, broadcast: int, within: Range) -> list[Row]:
        """Rows of a range of program time that may have left the journal, in no order.

        Raises:
            CorruptError: a file is damaged.
        """

        def wanted() -> list[ArchiveFile]:
            found = self._catalog.pruned_files(room, broadcast)
            return [file for file in found if file.hours is not None and file.hours.overlaps(within)]

        start, end = (pa.scalar(at, pa.timestamp("us", tz="UTC")) for at in _bounded(within))
        condition = (pc.field("program_us") >= start) & (pc.field("program_us") < end)
        return self._rows(wanted, condition)

    def rows_at(self, room: str, offsets: Sequence[int]) -> list[Row]:
        """The rows at these offsets, as far as they have left the journal.

        Raises:
            CorruptError: a file is damaged.
        """
        if not offsets:
            return []
        lowest, highest = min(offsets), max(offsets)

        def wanted() -> list[ArchiveFile]:
            return [
                file
                for file in self._catalog.pruned_files(room)
                if file.first_offset is not None
                and file.last_offset is not None
                and file.first_offset <= highest
                and lowest <= file.last_offset
            ]

        return self._rows(wanted, pc.field("offset").isin(list(offsets)))

    def rows_of_author(self, room: str, author_key: str) -> list[Row]:
        """All of an author that may have left the journal.

        Raises:
            CorruptError: a file is damaged.
        """

        def wanted() -> list[ArchiveFile]:
            indexes = self._catalog.author_indexes(room)
            return [file for file, index in indexes if file.pruned and has_author(index, author_key)]

        return self._rows(wanted, pc.field("author_key") == author_key)

    def rows_in(self, file: ArchiveFile, offsets: Sequence[int]) -> list[Row]:
        """Rows of one file at these offsets, as they could stand in the journal again.

        Raises:
            CorruptError: it is missing or damaged.
        """
        return list(_rows_of(self._read(file, pc.field("offset").isin(list(offsets)))))

    def groups(self, file: ArchiveFile, columns: list[str] | None = None) -> Iterator[pa.Table]:
        """The rows of a file, checked, a row group at a time; all columns, or these.

        Raises:
            CorruptError: it is missing or damaged.
        """
        opened = self._checked(file, _opened)
        with opened:
            for number in range(opened.num_row_groups):
                try:
                    table = opened.read_row_group(number, columns, use_threads=False)
                except pa.ArrowException as error:
                    raise CorruptError(file.path, f"Arrow: {type(error).__name__}") from error
                if table.num_rows:
                    yield table

    def _rows(self, wanted: Callable[[], list[ArchiveFile]], condition: pc.Expression) -> list[Row]:
        for left in reversed(range(_TRIES)):
            files = wanted()
            try:
                return [row for file in files for row in _rows_of(self._read(file, condition))]
            except CorruptError:
                if left == 0 or wanted() == files:
                    raise
        raise AssertionError("the last try returns or raises")

    def _read(self, file: ArchiveFile, condition: pc.Expression | None) -> pa.Table:
        return self._checked(file, partial(_read_table, condition=condition))

    def _checked(self, file: ArchiveFile, read: Callable[[Path], T]) -> T:
        """What a function reads of a file that was compared with its SHA-256."""
        path = self._files.root / file.path
        try:
            state = path.stat()
            seen = (file.path, state.st_mtime_ns, state.st_size)
            if seen not in self._verified:
                verify_file(self._files.root, file)
                if len(self._verified) >= VERIFIED_MAX:
                    self._verified.clear()
                self._verified.add(seen)
            return read(path)
        except FileNotFoundError as error:
            raise CorruptError(file.path, "the file is missing") from error
        except pa.ArrowException as error:
            raise CorruptError(file.path, f"Arrow: {type(error).__name__}") from error


def _opened(path: Path) -> pq.ParquetFile:
    return pq.ParquetFile(path, page_checksum_verification=True)


def _read_table(path: Path, condition: pc.Expression | None) -> pa.Table:
    """Rows of a file; row groups whose statistics rule them out are not decoded."""
    return pq.read_table(path, filters=condition, partitioning=None, use_threads=False, page_checksum_verification=True)


def _rows_of(table: pa.Table) -> Iterator[Row]:
    for name in ("program_us", "wall_us"):
        index = table.schema.get_field_index(name)
        table = table.set_column(index, name, table.column(name).cast(pa.int64()))
    for values in table.to_pylist():
        values["details"] = msgspec.json.decode(values["details"])
        yield recalled_row(values)


def _bounded(within: Range) -> tuple[int, int]:
    """What Arrow can hold as an instant."""
    return max(within.start_us, -(2**62)), min(within.end_us, 2**62)
