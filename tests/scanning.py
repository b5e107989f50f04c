"""Looking for words in every byte of a data folder, packed or not; nothing is left out."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow.parquet as pq

__all__ = ["files_with"]


def files_with(folder: Path, *words: str) -> list[str]:
    """Names of files that hold one of these words."""
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            body = path.read_bytes()
        except FileNotFoundError:  # gone meanwhile
            continue
        bodies = [body, path.relative_to(folder).as_posix().encode()]
        if path.suffix == ".gz":
            bodies.append(gzip.decompress(bodies[0]))
        if path.suffix == ".parquet":
            bodies.append(str(pq.ParquetFile(path).read().to_pylist()).encode())
        if any(word.encode() in body for word in words for body in bodies):
            found.append(path.relative_to(folder).as_posix())
    return found
