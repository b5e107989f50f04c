"""A data folder opened by a command, without a relay.

Owns: the order of opening and closing. Does not know: the command line.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from chatsync.store.archive import Archive
from chatsync.store.catalog import Catalog
from chatsync.store.condition import opened_as_found
from chatsync.store.files import Files
from chatsync.store.journal import Journal
from chatsync.store.query import Query
from chatsync.store.recovering import read_error
from chatsync.store.writer import Writer

__all__ = ["Store", "open_store", "stored_room"]


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
        catalog = Catalog(journal, writer)
        writer.start()
        try:
            archive = Archive(files, journal, catalog, writer)
            yield Store(files, writer, journal, catalog, archive, Query(files, journal, catalog))
        finally:
            writer.close()
            journal.close()
    finally:
        files.unlock()


def stored_room(folder: Path, room: str) -> dict[str, Any] | None:
    """Settings of a room that was made over HTTP, of a folder at rest or served; None if there is none.

    Raises:
        CorruptError: the database is none any more.
        StorageFailedError: it cannot be read.
    """
    path = folder / "chatsync.db"
    if not path.exists():
        return None
    try:
        with closing(opened_as_found(path)) as connection:
            if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'rooms'").fetchone():
                return None
            row = connection.execute("SELECT settings FROM rooms WHERE room = ?", (room,)).fetchone()
    except (sqlite3.Error, OSError) as error:
        raise read_error(error) from error
    return None if row is None else msgspec.json.decode(row[0], type=dict[str, Any])
