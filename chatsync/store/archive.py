"""The archive: hours of program time as Parquet, by generation, with a manifest.

Owns: which hours are written anew, exchanging generations, the manifest, verifying. Does not know: what is in a file
(``store.making``), when (the service decides), who reads.
Source: contract §6; libraries §3; security-and-privacy §5 (DuckDB checks no page, so every file has a SHA-256).

Order of a write: data file (synced, renamed), catalog, manifest, then the earlier generation goes. At any moment catalog and
manifest name only whole files that are there. A crash between two steps leaves a file that the catalog does not name, perhaps
with words that are hidden now; the first ``archive_now`` of the next process removes it.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from chatsync.errors import CorruptError, StoreError
from chatsync.instants import DAY_US, HOUR_US, Range
from chatsync.store.catalog import ArchiveFile, Catalog
from chatsync.store.changed_hours import clean_hour, finals_mark
from chatsync.store.files import Files
from chatsync.store.journal import Journal
from chatsync.store.making import FileMaker, MadeFile, Maker
from chatsync.store.parquet import ROW_GROUP_ROWS, verify_file
from chatsync.store.recall import Recall
from chatsync.store.schema import SCHEMA_VERSION
from chatsync.store.writer import Writer, store_error

__all__ = ["FILE_GROUPS_MAX", "Archive"]

_SETTLE_EVERY = 16  # hours of a room for one manifest, which lists all files of the room
FILE_GROUPS_MAX = 50  # of a merged file: DuckDB looks at each, also where it reads none (speed "Reading slices")

T = TypeVar("T")
Progress = Callable[[str, int, int], None]


class Archive:
    """Writes and checks the Parquet of a data folder.

    Args:
        files: where it lies.
        journal: what has left it is read from the archive from now on.
        catalog: names the files.
        writer: of the catalog.
        maker: makes the files; by default in this process.
    """

    def __init__(
        self, files: Files, journal: Journal, catalog: Catalog, writer: Writer, maker: Maker | None = None
    ) -> None:
        self._files, self._catalog, self._writer = files, catalog, writer
        self._recall = Recall(files, catalog)
        journal.pruned.source = self._recall
        self._maker = FileMaker(files, journal, catalog, self._recall) if maker is None else maker
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
        with self.lock:
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
        if not any(one[1:3] == (broadcast, hour_us) for one in self._catalog.dirty_hours(room)):
            return 0  # its broadcast was past its time, and has gone meanwhile
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
        before = [file for tree in ("events", "staff") for file in self._files_over(tree, room, broadcast, span)]
        finals = self._catalog.mark(room, finals_mark(broadcast))
        made = self._asked(lambda: self._maker.make_span(room, broadcast, span, before))
        self._exchange(made, before, clean=None if clean is None else (room, broadcast, *clean, finals))
        return len(made)

    def _write_broadcast(self, room: str, broadcast: int) -> int:
        """Write a broadcast's segments, the observations of its live edge and its viewers, if there are new ones; how many files.

        Raises:
            StoreError: they could not be written.
        """
        trees = ("segments", "observations", "viewers")
        known = [file for tree in trees for file in self._catalog.archive_files(room, broadcast, tree=tree)]
        made = self._asked(lambda: self._maker.make_record(room, broadcast, known))
        if made:
            trees_made = {one.file.tree for one in made}
            self._exchange(made, [file for file in known if file.tree in trees_made])
        return len(made)

    def _asked(self, ask: Callable[[], T]) -> T:
        """What the maker gives; if it does not, what it left lying about is removed by the next :meth:`archive_now`."""
        try:
            return ask()
        except BaseException:
            self._is_swept = False
            raise

    def _exchange(
        self,
        made: list[MadeFile],
        before: list[ArchiveFile],
        *,
        clean: tuple[str, int, int, int, int | None] | None = None,
    ) -> None:
        """Move new generations to their places and list them instead of the earlier ones.

        Those go once the manifest names them no more (:meth:`_settle`).
        """

        def work(connection: sqlite3.Connection) -> None:
            for one in made:
                self._catalog.put_archive_file(connection, one.file, one.authors)
            if clean is not None:
                *_, through, finals = clean
                clean_hour(connection, clean[:3], through=through, finals=finals)

        root = self._files.root
        try:
            for one in made:
                self._files.publish(root / one.temporary, root / one.file.path)
        except OSError as error:
            self._is_swept = False
            raise store_error(error, root) from error
        self._writer.call(work).result()
        room = made[0].file.room
        self._superseded.setdefault(room, []).extend(root / file.path for file in before)
        paths = [root / one.file.path for one in made]
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

    def groups_of(self, file: ArchiveFile, columns: list[str]) -> Iterator[pa.Table]:
        """Columns of a file, which is compared with its SHA-256 first, a row group at a time.

        Raises:
            CorruptError: it is missing or damaged.
        """
        return self._recall.groups(file, columns)

    def rows_in(self, file: ArchiveFile, offsets: Sequence[int]) -> list[tuple[Any, ...]]:
        """Rows of a file at these offsets, as they could stand in the journal again.

        Raises:
            CorruptError: it is missing or damaged.
        """
        return self._recall.rows_in(file, offsets)

    def offsets_in(self, file: ArchiveFile) -> Sequence[int]:
        """The offsets in a file, rising, once it was compared with its SHA-256.

        Raises:
            CorruptError: it is missing or damaged.
        """
        return self._maker.offsets_in(file)

    def note_damaged(self, file: ArchiveFile, reason: str) -> None:
        """A file is not what was written: if the journal has its rows it goes to the quarantine.

        The next :meth:`archive_now` makes it again; until then its hours are read from the journal. One with rows of its own stays.

        Raises:
            StoreError: it could not be written down.
        """
        if file.pruned or file.hours is None:
            return
        self._writer.call(partial(self._catalog.note_damaged, file=file)).result()
        try:
            self._files.quarantine(self._files.root / file.path, reason)
        except OSError as error:
            raise store_error(error, self._files.root) from error

    def rest(self) -> None:
        """There is nothing to archive for now: give back what it took."""
        with self.lock:
            self._maker.rest()

    def write_manifest(self, room: str) -> None:
        """Say what the archive of a room holds, for readers without a server. The catalog is the authority."""
        self._files.write(self._files.manifest_path(room), self.manifest(room))

    def manifest(self, room: str) -> bytes:
        """The manifest as the catalog has it now."""
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
        return json.dumps({"room": room, "schema_version": SCHEMA_VERSION, "files": listed}, indent=1).encode()

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
