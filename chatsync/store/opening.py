"""A data folder opened by a command, without a relay.

Owns: the order of opening and closing. Does not know: the command line.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from chatsync.store.archive import Archive
from chatsync.store.catalog import Catalog
from chatsync.store.files import Files
from chatsync.store.journal import Journal
from chatsync.store.query import Query
from chatsync.store.writer import Writer

__all__ = ["Store", "open_store"]


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
