"""The archive: hours of program time as Parquet, by generation, with a manifest.

Owns: writing an hour, the manifest, verifying. Does not know: when (the service decides), who reads.
Source: contract §6; libraries §3; security-and-privacy §5 (DuckDB checks no page, so every file has a SHA-256).

Order of a write: data file (synced, renamed), catalog, manifest, then the earlier generation goes. At any moment catalog and
manifest name only whole files that are there. A crash between two steps leaves a file that the catalog does not name, perhaps
with words that are hidden now; the first ``archive_now`` of the next process removes it.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from chatsync.chat.event import Event, Visibility, visibility_of
from chatsync.errors import CorruptError, StoreError
from chatsync.instants import HOUR_US
from chatsync.store.catalog import ArchiveFile, Catalog
from chatsync.store.files import Files
from chatsync.store.journal import Journal
from chatsync.store.schema import OBSERVATIONS, SCHEMA_VERSION, SEGMENTS, events_table, rows_table
from chatsync.store.writer import Writer, store_error

__all__ = ["ROW_GROUP_ROWS", "Archive"]

ROW_GROUP_ROWS = 8_192  # speed.md: pruning is worth most at this size
_VOTES = frozenset({"question_upvoted", "poll_voted"})

Progress = Callable[[str, int, int], None]


class Archive:
    """Writes and checks the Parquet of a data folder."""

    def __init__(self, files: Files, journal: Journal, catalog: Catalog, writer: Writer) -> None:
        self._files, self._journal, self._catalog, self._writer = files, journal, catalog, writer
        self._is_swept = False

    def archive_now(self, room: str | None = None, progress: Progress | None = None) -> int:
        """Write every hour that changed since its last generation; how many files were written.

        Args:
            room: only this room.
            progress: told (what, done, of how many) after each hour.

        Raises:
            StoreError: the first hour or broadcast that could not be written; all others are.
        """
        hours = self._catalog.dirty_hours(room)
        ended = self._catalog.ended_broadcasts(room)
        tasks = [(hour[0], partial(self.write_hour, *hour)) for hour in hours]
        tasks += [(one[0], partial(self.write_broadcast, *one)) for one in ended]
        written, failure = 0, None
        for done, (found, write) in enumerate(tasks, start=1):
            try:
                written += write()
            except StoreError as error:
                failure = failure or error
            if progress is not None:
                progress(found, done, len(tasks))
        if not self._is_swept:
            self._sweep()
            self._is_swept = True
        if failure is not None:
            raise failure
        return written

    def write_hour(self, room: str, broadcast: int, hour_us: int, through: int) -> int:
        """Write a program hour as a new generation; how many files.

        Args:
            room: the room.
            broadcast: its airing.
            hour_us: start of the hour, program time.
            through: offset as of which the hour is known to have changed; it is clean when nothing later did.

        Raises:
            CorruptError: a row of the journal is damaged; the earlier generation stays.
            StoreError: it could not be written; the earlier generation stays.
        """
        events = self._journal.events_between(room, broadcast, hour_us, hour_us + HOUR_US)
        public = [e for e in events if visibility_of(e.kind) is Visibility.PUBLIC and "to" not in e.details]
        shown = {event.offset for event in public}
        staff = [e for e in events if e.offset not in shown]
        files = [self._written_hour("events", room, broadcast, hour_us, public)]
        if staff or self._has_staff_file(room, broadcast, hour_us):
            files.append(self._written_hour("staff", room, broadcast, hour_us, staff))
        self._exchange(files, clean=(room, broadcast, hour_us, through))
        return len(files)

    def write_broadcast(self, room: str, broadcast: int) -> int:
        """Write a broadcast's segments and the observations of its live edge, if there are new ones; how many files.

        Raises:
            StoreError: they could not be written.
        """
        trees = {
            "segments": rows_table(self._catalog.segment_rows(room, broadcast), SEGMENTS),
            "observations": rows_table(self._catalog.observation_rows(room, broadcast), OBSERVATIONS),
        }
        files = []
        for tree, table in trees.items():
            known = self._catalog.archive_files(room, broadcast, tree=tree)
            if table.num_rows > sum(file.rows for file in known):
                path = self._files.broadcast_path(tree, room, broadcast, _next_generation(known))
                files.append(self._written(table, path, tree, broadcast, room=room, hour_us=None))
        if files:
            self._exchange(files)
        return len(files)

    def _exchange(self, files: list[ArchiveFile], *, clean: tuple[str, int, int, int] | None = None) -> None:
        """List new generations in place of their earlier ones, say so in the manifest, then remove those."""

        def work(connection: sqlite3.Connection) -> None:
            for file in files:
                self._catalog.put_archive_file(connection, file)
            if clean is not None:
                self._catalog.clean_hour(connection, *clean)

        self._writer.call(work).result()
        try:
            self.write_manifest(files[0].room)
            for file in files:
                path = self._files.root / file.path
                for other in path.parent.glob(f"{path.name.partition('.')[0]}.g*.parquet"):
                    if other != path:
                        other.unlink(missing_ok=True)
        except OSError as error:
            raise store_error(error, self._files.root) from error

    def _sweep(self) -> None:
        """Remove files that the catalog does not name, once no manifest names them any more."""
        named = {file.path for file in self._catalog.archive_files(tree=None)}
        try:
            found = [path for path in self._files.archive.glob("*/room=*/broadcast=*/*") if path.is_file()]
            left = [path for path in found if self._files.relative(path) not in named]
            for room in sorted({path.parent.parent.name.removeprefix("room=") for path in left}):
                self.write_manifest(room)
            for path in left:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise store_error(error, self._files.root) from error

    def _has_staff_file(self, room: str, broadcast: int, hour_us: int) -> bool:
        """Whether an earlier generation has rows that must not stay, though none are left."""
        return any(file.hour_us == hour_us for file in self._catalog.archive_files(room, broadcast, tree="staff"))

    def _written_hour(self, tree: str, room: str, broadcast: int, hour_us: int, events: list[Event]) -> ArchiveFile:
        known = [f for f in self._catalog.archive_files(room, broadcast, tree=tree) if f.hour_us == hour_us]
        path = self._files.hour_path(tree, room, broadcast, hour_us, _next_generation(known))
        versions = self._journal.name_versions(room, [event.offset for event in events])
        table = events_table(((event, versions.get(event.offset)) for event in events), anonymous_kinds=_VOTES)
        file = self._written(table, path, tree, broadcast, room=room, hour_us=hour_us)
        if not events:
            return file
        return msgspec.structs.replace(file, start_us=events[0].program_us, end_us=events[-1].program_us)

    def _written(
        self, table: pa.Table, path: Path, tree: str, broadcast: int, *, room: str, hour_us: int | None
    ) -> ArchiveFile:
        try:
            temporary = self._files.temporary_beside(path)
            try:
                _write_parquet(table, temporary)
                digest, size_bytes = _sha256(temporary), temporary.stat().st_size
                self._files.publish(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)
        except OSError as error:
            raise store_error(error, self._files.root) from error
        return ArchiveFile(
            path=self._files.relative(path),
            tree=tree,
            room=room,
            broadcast=broadcast,
            hour_us=hour_us,
            generation=int(path.suffixes[0].removeprefix(".g")),
            rows=table.num_rows,
            start_us=None,
            end_us=None,
            sha256=digest,
            size_bytes=size_bytes,
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


def _next_generation(known: list[ArchiveFile]) -> int:
    return 1 + max((file.generation for file in known), default=0)


_SORTED_BY = {
    "events": ("program_us", "offset"),
    "segments": ("run", "media_sequence"),
    "observations": ("wall_us",),
}


def _write_parquet(table: pa.Table, path: Path) -> None:
    """Write with zstd 3, dictionaries for strings of few values, differences for what rises (speed "Reading slices")."""
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


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
