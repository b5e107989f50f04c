"""Parquet files of ours: how one is written, what proves it, and an index of whose rows it has.

Owns: encodings, SHA-256, the index of authors. Does not know: hours, generations, the catalog's rows beside the one it is given.
Source: speed "Reading slices"; security-and-privacy §5 (DuckDB checks no page, so every file has a SHA-256).
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from chatsync.errors import CorruptError
from chatsync.store.catalog import ArchiveFile

__all__ = [
    "ROW_GROUP_ROWS",
    "GroupWriter",
    "authors_index",
    "authors_of",
    "has_author",
    "sha256_of",
    "verify_file",
    "write_parquet",
]

ROW_GROUP_ROWS = 8_192  # speed.md: pruning is worth most at this size
_HASH_BYTES = 8

_SORTED_BY = {
    "events": ("program_us", "offset"),
    "segments": ("run", "media_sequence"),
    "observations": ("wall_us",),
    "viewers": ("minute_us",),
}


class GroupWriter:
    """Writes a Parquet file a row group at a time, so that a file of any length takes the memory of two groups.

    zstd 3, dictionaries for strings of few values, differences for what rises (speed "Reading slices").

    Args:
        path: the file; made at once.
        schema: of its rows, one of ``store.schema``.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._pending: list[pa.Table] = []
        self._pending_rows = 0
        self.rows = 0
        rising = ("program_us", "wall_us", "offset", "media_sequence", "position_us", "minute_us")
        sorted_by = _SORTED_BY[schema.metadata[b"chatsync.schema"].decode()]
        self._writer = pq.ParquetWriter(
            path,
            schema,
            compression="zstd",
            compression_level=3,
            use_dictionary=[field.name for field in schema if pa.types.is_dictionary(field.type)],
            column_encoding={column: "DELTA_BINARY_PACKED" for column in rising if column in schema.names},
            write_page_checksum=True,
            write_statistics=True,
            sorting_columns=[pq.SortingColumn(schema.get_field_index(column)) for column in sorted_by],
        )

    def put(self, table: pa.Table) -> None:
        """Add rows, which follow those that were added before in the order of the file.

        Raises:
            OSError: they cannot be written.
        """
        self._pending.append(table)
        self._pending_rows += table.num_rows
        self.rows += table.num_rows
        if self._pending_rows >= ROW_GROUP_ROWS:
            whole = _joined(self._pending)
            left = whole.num_rows % ROW_GROUP_ROWS
            self._write(whole.slice(0, whole.num_rows - left))
            self._pending = [whole.slice(whole.num_rows - left)] if left else []
            self._pending_rows = left

    def close(self) -> None:
        """Write what is left, and the end of the file.

        Raises:
            OSError: it is not written whole.
        """
        if self._pending_rows:
            self._write(_joined(self._pending))
        self._pending, self._pending_rows = [], 0
        self._writer.close()

    def abort(self) -> None:
        """Close a file that is not wanted any more, whatever it is worth."""
        self._pending, self._pending_rows = [], 0
        with contextlib.suppress(OSError, pa.ArrowException):
            self._writer.close()

    def _write(self, table: pa.Table) -> None:
        self._writer.write_table(table, row_group_size=ROW_GROUP_ROWS)


def _joined(tables: list[pa.Table]) -> pa.Table:
    """Tables as one, each column in one piece with one dictionary."""
    return tables[0] if len(tables) == 1 else pa.concat_tables(tables).unify_dictionaries().combine_chunks()


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write a table whole, as :class:`GroupWriter` does.

    Raises:
        OSError: it is not written whole.
    """
    writer = GroupWriter(path, table.schema)
    try:
        writer.put(table)
        writer.close()
    except BaseException:
        writer.abort()
        raise


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hex.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify_file(root: Path, file: ArchiveFile) -> None:
    """Compare a file with its SHA-256.

    Raises:
        CorruptError: it is not there or not what was written.
    """
    try:
        digest = sha256_of(root / file.path)
    except FileNotFoundError as error:
        raise CorruptError(file.path, "the file is missing") from error
    if digest != file.sha256:
        raise CorruptError(file.path, "its SHA-256 is another than the catalog's")


def authors_of(table: pa.Table) -> list[str]:
    """The keys of the authors of a table's rows, each once."""
    keys: list[str] = pc.unique(table.column("author_key").cast(pa.string())).drop_null().to_pylist()
    return keys


def authors_index(keys: Iterable[str]) -> bytes:
    """An index of authors: the sorted hashes of their keys, 8 bytes each. It never misses one; one in 2^64 is a false alarm."""
    return b"".join(sorted(_hash(key) for key in set(keys)))


def has_author(index: bytes, key: str) -> bool:
    """Whether an author has rows in the file of this index."""
    wanted = _hash(key)
    at = index.find(wanted)
    while at >= 0 and at % _HASH_BYTES:
        at = index.find(wanted, at + 1)
    return at >= 0


@lru_cache(maxsize=50_000)  # the same people are in file after file
def _hash(key: str) -> bytes:
    return hashlib.blake2b(key.encode(), digest_size=_HASH_BYTES).digest()
