"""The archive: hours of program time as Parquet, by generation, with a manifest.

Owns: writing an hour, the manifest, verifying. Does not know: when (the service decides), who reads.
Source: contract §6; libraries §3; security-and-privacy §5 (DuckDB checks no page, so every file has a SHA-256).

Order of a write: data file (synced, renamed), catalog, manifest, then the earlier generation goes. At any moment catalog and
manifest name only whole files that are there. A crash between two steps leaves a file that the catalog does not name, perhaps
with words that are hidden now; the first ``archive_now`` of the next process removes it.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from chatsync.errors import CorruptError, StoreError
from chatsync.instants import DAY_US, HOUR_US, Range
from chatsync.store.catalog import ArchiveFile, Catalog
from chatsync.store.files import Files
from chatsync.store.journal import Journal
from chatsync.store.parquet import ROW_GROUP_ROWS, authors_index, authors_of, sha256_of, verify_file, write_parquet
from chatsync.store.recall import Recall
from chatsync.store.rows import is_public_row
from chatsync.store.schema import EVENTS, OBSERVATIONS, SCHEMA_VERSION, SEGMENTS, journal_table, rows_table
from chatsync.store.writer import Writer, store_error

__all__ = ["FILE_GROUPS_MAX", "Archive"]

_SETTLE_EVERY = 16  # hours of a room for one manifest, which lists all files of the room
FILE_GROUPS_MAX = 50  # of a merged file: DuckDB looks at each, also where it reads none (speed "Reading slices")
_VOTES = frozenset({"question_upvoted", "poll_voted"})

Progress = Callable[[str, int, int], None]


class Archive:
    """Writes and checks the Parquet of a data folder."""

    def __init__(self, files: Files, journal: Journal, catalog: Catalog, writer: Writer) -> None:
        self._files, self._journal, self._catalog, self._writer = files, journal, catalog, writer
        self._recall = Recall(files, catalog)
        journal.pruned.source = self._recall
        self._is_swept = False
        self._unsettled: dict[
            str, dict[str, Path]
        ] = {}  # newest generations that no manifest names yet, by room and hour
        self._superseded: dict[str, list[Path]] = {}  # and the earlier ones that it still names
        self.lock = threading.RLock()  # between what writes files and what relies on those that are there

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
        tasks = [(hour[0], partial(self._write_hour, *hour)) for hour in hours]
        tasks += [(one[0], partial(self._write_broadcast, *one)) for one in ended]
        written, failure = 0, None
        for done, (found, write) in enumerate(tasks, start=1):
            try:
                with self.lock:
                    written += write()
                if done % _SETTLE_EVERY == 0:
                    self._settle()
            except StoreError as error:
                failure = failure or error
            if progress is not None:
                progress(found, done, len(tasks))
        self._settle()
        if not self._is_swept:
            self._sweep()
            self._is_swept = True
        if failure is not None:
            raise failure
        return written

    def _write_hour(self, room: str, broadcast: int, hour_us: int, through: int) -> int:
        """Write a program hour, or the merged file it is part of, as a new generation; how many files.

        Args:
            room: the room.
            broadcast: its airing.
            hour_us: start of the hour, program time.
            through: offset as of which the hour is known to have changed; it is clean when nothing later did.

        Raises:
            CorruptError: a row of the journal, or a file whose rows have left it, is damaged; the earlier generation stays.
            StoreError: it could not be written; the earlier generation stays.
        """
        hour = Range(hour_us, hour_us + HOUR_US)
        over = self._files_over("events", room, broadcast, hour)
        covering = [file.hours for file in over if file.hours is not None]
        return self._write_span(room, broadcast, covering[0] if covering else hour, clean=(hour_us, through))

    def merge_quiet(self, room: str | None = None, *, wall_us: int) -> int:
        """Merge quiet hours: of a broadcast that is over into few files, of one that is on by day; how many were written.

        An hour is quiet with fewer rows than a row group. A merged file has at most about ``FILE_GROUPS_MAX`` of those.

        Args:
            room: only this room.
            wall_us: wall time now; a day is merged when its last row is a day old.

        Raises:
            StoreError: the first that could not be written; all others are.
        """
        over = set(self._catalog.ended_broadcasts(room))
        changed = {(found, broadcast, hour_us) for found, broadcast, hour_us, _ in self._catalog.dirty_hours(room)}
        groups: dict[tuple[str, int, int], list[ArchiveFile]] = {}
        for file in self._catalog.archive_files(room):
            hours = file.hours
            if hours is None or any((file.room, file.broadcast, at_us) in changed for at_us in _hours_of(hours)):
                continue
            is_over = (file.room, file.broadcast) in over
            if is_over or (file.last_wall_us or 0) < wall_us - DAY_US:
                day = -1 if is_over else hours.start_us // DAY_US
                groups.setdefault((file.room, file.broadcast, day), []).append(file)
        written, failure = 0, None
        for (found, broadcast, _), files in groups.items():
            for span in _quiet_spans(files):
                try:
                    with self.lock:
                        written += self._write_span(found, broadcast, span)
                except StoreError as error:
                    failure = failure or error
        self._settle()
        if failure is not None:
            raise failure
        return written

    def _files_over(self, tree: str, room: str, broadcast: int, span: Range) -> list[ArchiveFile]:
        known = self._catalog.archive_files(room, broadcast, tree=tree)
        return [file for file in known if file.hours is not None and file.hours.overlaps(span)]

    def _write_span(self, room: str, broadcast: int, span: Range, *, clean: tuple[int, int] | None = None) -> int:
        """Write whole hours of both trees as one file each, in place of those that lie there; how many files."""
        public, staff = self._tables_of(room, broadcast, span)
        before = {tree: self._files_over(tree, room, broadcast, span) for tree in ("events", "staff")}
        kept, is_pruned = self._kept_rows(before["events"])
        tables = {"events": [*kept, *public], "staff": staff}
        files = []
        for tree, parts in tables.items():
            if tree == "staff" and not any(part.num_rows for part in parts) and not before[tree]:
                continue
            table = _in_order(parts)
            path = self._files.hour_path(tree, room, broadcast, span.start_us, _next_generation(before[tree]))
            file = self._written(table, path, tree, broadcast, room=room, hour_us=span.start_us)
            file = msgspec.structs.replace(
                _described(file, table),
                end_hour_us=span.end_us if span.duration_us > HOUR_US else None,
                pruned=is_pruned and tree == "events",
            )
            files.append((file, authors_index(authors_of(table))))
        at = None if clean is None else (room, broadcast, *clean)
        self._exchange(files, [file for known in before.values() for file in known], clean=at)
        return len(files)

    def _tables_of(self, room: str, broadcast: int, span: Range) -> tuple[list[pa.Table], list[pa.Table]]:
        """What the journal has of a span and does not hide: what everyone may see, and the rest."""
        public: list[pa.Table] = []
        staff: list[pa.Table] = []
        for rows in self._journal.checked_rows(room, broadcast, span):
            shown = [is_public_row(row) for row in rows]
            for tables, wanted in ((public, True), (staff, False)):
                picked = [row for row, is_shown in zip(rows, shown, strict=True) if is_shown is wanted]
                if picked:
                    tables.append(journal_table(picked, anonymous_kinds=_VOTES))
        return public, staff

    def _kept_rows(self, before: list[ArchiveFile]) -> tuple[list[pa.Table], bool]:
        """Rows of earlier generations that the journal has no more, and whether there are any."""
        kept = []
        for file in before:
            if not file.pruned:
                continue
            table = self._recall.table(file)
            known = self._journal.offsets_between(file.room, file.first_offset or 0, file.last_offset or 0)
            is_known = pc.is_in(table.column("offset"), pa.array(known, pa.int64()))
            table = table.filter(pc.invert(is_known))
            if table.num_rows:
                kept.append(table)
        return kept, bool(kept)

    def _write_broadcast(self, room: str, broadcast: int) -> int:
        """Write a broadcast's segments and the observations of its live edge, if there are new ones; how many files.

        Raises:
            StoreError: they could not be written.
        """
        trees = {
            "segments": rows_table(self._catalog.segment_rows(room, broadcast), SEGMENTS),
            "observations": rows_table(self._catalog.observation_rows(room, broadcast), OBSERVATIONS),
        }
        files, before = [], []
        for tree, table in trees.items():
            known = self._catalog.archive_files(room, broadcast, tree=tree)
            if table.num_rows > sum(file.rows for file in known):
                path = self._files.broadcast_path(tree, room, broadcast, _next_generation(known))
                files.append((self._written(table, path, tree, broadcast, room=room, hour_us=None), b""))
                before += known
        if files:
            self._exchange(files, before)
        return len(files)

    def _exchange(
        self,
        files: list[tuple[ArchiveFile, bytes]],
        before: list[ArchiveFile],
        *,
        clean: tuple[str, int, int, int] | None = None,
    ) -> None:
        """List new generations in place of the earlier ones; those go once the manifest names them no more (:meth:`_settle`)."""

        def work(connection: sqlite3.Connection) -> None:
            for file, authors in files:
                self._catalog.put_archive_file(connection, file, authors)
            if clean is not None:
                self._catalog.clean_hour(connection, *clean)

        self._writer.call(work).result()
        room = files[0][0].room
        self._superseded.setdefault(room, []).extend(self._files.root / file.path for file in before)
        paths = [self._files.root / file.path for file, _ in files]
        self._unsettled.setdefault(room, {}).update(
            (f"{path.parent}/{path.name.partition('.')[0]}", path) for path in paths
        )

    def _settle(self) -> None:
        """Write manifests of what the catalog names now, then remove what it names no more.

        Raises:
            StoreError: it could not be done; the next call does it.
        """
        with self.lock:
            try:
                for room in tuple(self._unsettled):
                    self.write_manifest(room)
                    for path in self._superseded.get(room, ()):
                        path.unlink(missing_ok=True)
                    for path in self._unsettled[room].values():
                        for other in path.parent.glob(f"{path.name.partition('.')[0]}.g*.parquet"):
                            if other != path:
                                other.unlink(missing_ok=True)
                    self._superseded.pop(room, None)
                    del self._unsettled[room]
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

    def _written(
        self, table: pa.Table, path: Path, tree: str, broadcast: int, *, room: str, hour_us: int | None
    ) -> ArchiveFile:
        try:
            temporary = self._files.temporary_beside(path)
            try:
                write_parquet(table, temporary)
                digest, size_bytes = sha256_of(temporary), temporary.stat().st_size
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

    def read_file(self, file: ArchiveFile) -> pa.Table:
        """A whole file, compared with its SHA-256.

        Raises:
            CorruptError: it is missing or damaged.
        """
        return self._recall.table(file)

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


def _next_generation(known: list[ArchiveFile]) -> int:
    return 1 + max((file.generation for file in known), default=0)


def _hours_of(span: Range) -> range:
    return range(span.start_us, span.end_us, HOUR_US)


def _quiet_spans(files: list[ArchiveFile]) -> list[Range]:
    """Stretches of quiet files that may become one, of two files at least.

    Args:
        files: of one broadcast, by hour.
    """
    spans: list[Range] = []
    run: list[ArchiveFile] = []
    for file in (*files, None):
        hours = None if file is None else file.hours
        if file is not None and hours is not None:
            is_quiet = file.rows < ROW_GROUP_ROWS * len(_hours_of(hours))
            if is_quiet and sum(one.rows for one in run) + file.rows <= FILE_GROUPS_MAX * ROW_GROUP_ROWS:
                run.append(file)
                continue
        covered = [one.hours for one in run if one.hours is not None]
        if len(covered) > 1:
            spans.append(Range(covered[0].start_us, covered[-1].end_us))
        run = [file] if file is not None and hours is not None and is_quiet else []
    return spans


def _in_order(parts: list[pa.Table]) -> pa.Table:
    """Tables of ``EVENTS`` as one, sorted by (program time, offset)."""
    if not parts:
        return EVENTS.empty_table()
    table = pa.concat_tables(parts).unify_dictionaries().combine_chunks()
    order = pc.sort_indices(table, sort_keys=[("program_us", "ascending"), ("offset", "ascending")])
    return table.take(order).replace_schema_metadata(EVENTS.metadata)


def _described(file: ArchiveFile, table: pa.Table) -> ArchiveFile:
    """A file with the ranges of its rows."""
    if not table.num_rows:
        return file
    ranges = {name: pc.min_max(table.column(name).cast(pa.int64())).as_py() for name in ("offset", "wall_us")}
    program_us = table.column("program_us").cast(pa.int64())
    return msgspec.structs.replace(
        file,
        start_us=program_us[0].as_py(),
        end_us=program_us[-1].as_py(),
        first_offset=ranges["offset"]["min"],
        last_offset=ranges["offset"]["max"],
        last_wall_us=ranges["wall_us"]["max"],
    )
