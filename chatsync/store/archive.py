"""The archive: hours of program time as Parquet, by generation, with a manifest.

Owns: writing an hour, the manifest, verifying. Does not know: when (the service decides), who reads.
Source: contract §6; libraries §3; security-and-privacy §5 (DuckDB checks no page, so every file has a SHA-256).

Order of a write: data file (synced, renamed), catalog, manifest, then the earlier generation goes. At any moment the catalog
names only whole files.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from chatsync.chat.event import Event, Visibility, visibility_of
from chatsync.errors import CorruptError
from chatsync.instants import HOUR_US
from chatsync.store.catalog import ArchiveFile, Catalog
from chatsync.store.files import Files
from chatsync.store.journal import Journal
from chatsync.store.schema import SCHEMA_VERSION, events_table
from chatsync.store.writer import Writer

__all__ = ["ROW_GROUP_ROWS", "Archive"]

ROW_GROUP_ROWS = 8_192  # speed.md: pruning is worth most at this size
_VOTES = frozenset({"question_upvoted", "poll_voted"})

Progress = Callable[[str, int, int], None]


class Archive:
    """Writes and checks the Parquet of a data folder."""

    def __init__(self, files: Files, journal: Journal, catalog: Catalog, writer: Writer) -> None:
        self._files, self._journal, self._catalog, self._writer = files, journal, catalog, writer

    def archive_now(self, room: str | None = None, progress: Progress | None = None) -> int:
        """Write every hour that changed since its last generation; how many files were written.

        Args:
            room: only this room.
            progress: told (what, done, of how many) after each hour.

        Raises:
            StoreError: an hour could not be written; those before it are.
        """
        dirty = self._catalog.dirty_hours(room)
        written = 0
        for done, (found, broadcast, hour_us, through) in enumerate(dirty, start=1):
            written += self.write_hour(found, broadcast, hour_us, through)
            if progress is not None:
                progress(found, done, len(dirty))
        for changed in sorted({found for found, *_ in dirty}):
            self.write_manifest(changed)
        return written

    def write_hour(self, room: str, broadcast: int, hour_us: int, through: int) -> int:
        """Write a program hour as a new generation; how many files.

        Args:
            room: the room.
            broadcast: its airing.
            hour_us: start of the hour, program time.
            through: offset as of which the hour is known to have changed; it is clean when nothing later did.
        """
        events = self._journal.events_between(room, broadcast, hour_us, hour_us + HOUR_US, include_hidden=True)
        public = [
            e for e in events if not e.hidden and visibility_of(e.kind) is Visibility.PUBLIC and "to" not in e.details
        ]
        shown = {event.offset for event in public}
        staff = [e for e in events if not e.hidden and e.offset not in shown]
        files = [self._written("events", room, broadcast, hour_us, public)]
        if staff or self._has_staff_file(room, broadcast, hour_us):
            files.append(self._written("staff", room, broadcast, hour_us, staff))

        def work(connection: sqlite3.Connection) -> list[str]:
            old = [path for file in files for path in self._catalog.put_archive_file(connection, file)]
            self._catalog.clean_hour(connection, room, broadcast, hour_us, through)
            return old

        for path in self._writer.call(work).result():
            (self._files.root / path).unlink(missing_ok=True)
        return len(files)

    def _has_staff_file(self, room: str, broadcast: int, hour_us: int) -> bool:
        """Whether an earlier generation has rows that must not stay, though none are left."""
        return any(file.hour_us == hour_us for file in self._catalog.archive_files(room, broadcast, tree="staff"))

    def _written(self, tree: str, room: str, broadcast: int, hour_us: int, events: list[Event]) -> ArchiveFile:
        known = [f for f in self._catalog.archive_files(room, broadcast, tree=tree) if f.hour_us == hour_us]
        generation = 1 + max((file.generation for file in known), default=0)
        path = self._files.hour_path(tree, room, broadcast, hour_us, generation)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        known_versions = self._journal.name_versions(room, [event.offset for event in events])
        versions = [(event, known_versions.get(event.offset)) for event in events]
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        _write_parquet(events_table(versions, anonymous_kinds=_VOTES), temporary)
        digest = _sha256(temporary)
        size = temporary.stat().st_size
        self._files.publish(temporary, path)
        return ArchiveFile(
            path=self._files.relative(path),
            tree=tree,
            room=room,
            broadcast=broadcast,
            hour_us=hour_us,
            generation=generation,
            rows=len(events),
            start_us=events[0].program_us if events else None,
            end_us=events[-1].program_us if events else None,
            sha256=digest,
            size_bytes=size,
            schema_version=SCHEMA_VERSION,
        )

    def write_manifest(self, room: str) -> None:
        """Say what the archive of a room holds, for readers without a server. The catalog is the authority."""
        listed = [
            {
                "path": file.path,
                "tree": file.tree,
                "broadcast": file.broadcast,
                "hour_start_us": file.hour_us,
                "generation": file.generation,
                "rows": file.rows,
                "start_us": file.start_us,
                "end_us": file.end_us,
                "sha256": file.sha256,
                "size_bytes": file.size_bytes,
                "schema_version": file.schema_version,
            }
            for file in self._catalog.archive_files(room, tree=None)
        ]
        body = json.dumps({"room": room, "schema_version": SCHEMA_VERSION, "files": listed}, indent=1).encode()
        self._files.write(self._files.manifest_path(room), body)

    def verify(self, room: str | None = None, progress: Progress | None = None) -> list[CorruptError]:
        """Read every archived file and compare it with the catalog; what is damaged or missing."""
        found = []
        files = self._catalog.archive_files(room, tree=None)
        for done, file in enumerate(files, start=1):
            try:
                verify_file(self._files.root, file)
            except CorruptError as error:
                found.append(error)
            if progress is not None:
                progress(file.path, done, len(files))
        return found


def verify_file(root: Path, file: ArchiveFile) -> None:
    """Compare a file with its SHA-256.

    Raises:
        CorruptError: it is not there or not what was written.
    """
    try:
        digest = _sha256(root / file.path)
    except FileNotFoundError as error:
        raise CorruptError(file.path, "the file is missing") from error
    if digest != file.sha256:
        raise CorruptError(file.path, "its SHA-256 is another than the catalog's")


def _write_parquet(table: pa.Table, path: Path) -> None:
    path.unlink(missing_ok=True)
    pq.write_table(
        table,
        path,
        compression="zstd",
        compression_level=3,
        row_group_size=ROW_GROUP_ROWS,
        use_dictionary=["room", "kind", "stamp", "role", "source", "author_key"],
        column_encoding={
            "program_us": "DELTA_BINARY_PACKED",
            "wall_us": "DELTA_BINARY_PACKED",
            "offset": "DELTA_BINARY_PACKED",
        },
        write_page_checksum=True,
        write_statistics=True,
        sorting_columns=[pq.SortingColumn(6), pq.SortingColumn(3)],
    )
    path.chmod(0o600)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
