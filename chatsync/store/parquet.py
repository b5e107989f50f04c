"""Parquet files of ours: how one is written, what proves it, and an index of whose rows it has.

Owns: encodings, SHA-256, the index of authors. Does not know: hours, generations, the catalog's rows beside the one it is given.
Source: speed "Reading slices"; security-and-privacy §5 (DuckDB checks no page, so every file has a SHA-256).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from chatsync.errors import CorruptError
from chatsync.store.catalog import ArchiveFile

__all__ = [
    "ROW_GROUP_ROWS",
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


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write with zstd 3, dictionaries for strings of few values, differences for what rises (speed "Reading slices").

    Raises:
        OSError: it is not written whole.
    """
    schema: pa.Schema = table.schema
    name = schema.metadata[b"chatsync.schema"].decode()
    rising = ("program_us", "wall_us", "offset", "media_sequence", "position_us")
    pq.write_table(
        table,
        path,
        compression="zstd",
        compression_level=3,
        row_group_size=ROW_GROUP_ROWS,
        use_dictionary=[field.name for field in schema if pa.types.is_dictionary(field.type)],
        column_encoding={column: "DELTA_BINARY_PACKED" for column in rising if column in schema.names},
        write_page_checksum=True,
        write_statistics=True,
        sorting_columns=[pq.SortingColumn(schema.get_field_index(column)) for column in _SORTED_BY[name]],
    )


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


def _hash(key: str) -> bytes:
    return hashlib.blake2b(key.encode(), digest_size=_HASH_BYTES).digest()
