"""A data folder opened by a command, without a relay.

Owns: the order of opening and closing, and what ``chatsync verify`` looks at. Does not know: the command line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from chatsync.errors import CorruptError
from chatsync.store.archive import Archive
from chatsync.store.catalog import Catalog
from chatsync.store.files import Files
from chatsync.store.journal import Journal
from chatsync.store.query import Query
from chatsync.store.writer import Writer

__all__ = ["Store", "open_store", "verify_store"]

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Store:
    """The parts of an opened data folder."""

    files: Files
    writer: Writer
    journal: Journal
    catalog: Catalog
    archive: Archive
    query: Query


@contextmanager
def open_store(folder: Path) -> Iterator[Store]:
    """Open a data folder for a command.

    Raises:
        FolderLockedError: a relay or another command uses it.
    """
    files = Files(folder)
    files.lock()
    try:
        writer = Writer(files.database)
        journal = Journal(writer, files)
        catalog = Catalog(files, journal)
        writer.start()
        try:
            archive = Archive(files, journal, catalog, writer)
            yield Store(files, writer, journal, catalog, archive, Query(files, journal, catalog))
        finally:
            writer.close()
            journal.close()
    finally:
        files.unlock()


def verify_store(store: Store, progress: Progress | None = None) -> dict[str, Any]:
    """Check journal rows and chains, slices and archived files; counts, and a line for everything damaged."""
    damaged: list[str] = list(store.journal.open_report)
    rows = 0
    for room in store.journal.rooms():
        try:
            rows += store.journal.verify(room)
        except CorruptError as error:
            damaged.append(str(error))
    slices = 0
    for room, broadcast, public in _broadcasts(store):
        for row in store.catalog.slices(room, broadcast)[0]:
            slices += 1
            path = store.files.slice_path(room, row, public=public)
            other = store.files.slice_path(room, row, public=not public)
            found = next((candidate for candidate in (path, other) if candidate.is_file()), None)
            if found is None:
                damaged.append(str(CorruptError(store.files.relative(path), "the file is missing")))
            elif sha256(found.read_bytes()).hexdigest() != row.sha256:
                damaged.append(
                    str(CorruptError(store.files.relative(found), "its SHA-256 is another than the catalog's"))
                )
    damaged += [str(error) for error in store.archive.verify(progress=progress)]
    files = len(store.catalog.archive_files(tree=None))
    return {"rows": rows, "slices": slices, "files": files, "damaged": damaged}


def _broadcasts(store: Store) -> Iterator[tuple[str, int, bool]]:
    for room in store.journal.rooms():
        for record in store.catalog.broadcast_records(room, last=1_000_000):
            yield room, int(record["number"]), True
