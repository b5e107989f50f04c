"""What may be read of an archive now: its files, and the rows that are in none of them yet.

Owns: which files of a folder are believed, and what the journal has beyond them, as tables. Does not know: DuckDB, columns of views.
Units: µs. Source: contract §6: Parquet and the journal's tail are read together, and what is hidden is left out.

Of a data folder the catalog says which files there are; hours that changed since they were written come from the journal, whole.
An archive without its databases, copied by somebody, has its manifests, and what they list is all there is. Nothing is written or
locked: a relay may be at work in the folder.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from chatsync.errors import CorruptError, SettingsError
from chatsync.instants import HOUR_US, Range, us_from_ms
from chatsync.store.catalog import ArchiveFile, Catalog
from chatsync.store.files import Files, checked_room
from chatsync.store.journal_reads import JournalReads
from chatsync.store.making import FileMaker
from chatsync.store.recall import Recall
from chatsync.store.recovering import read_error
from chatsync.store.schema import EVENTS, OBSERVATIONS, SCHEMA_VERSION, SEGMENTS, VIEWERS, no_rows, rows_table

__all__ = ["RECORDINGS", "Listing", "list_archive"]

TREES = {"events": EVENTS, "staff": EVENTS, "segments": SEGMENTS, "observations": OBSERVATIONS, "viewers": VIEWERS}

RECORDINGS = pa.schema(
    [
        pa.field("room", pa.string(), nullable=False),
        pa.field("recording", pa.string(), nullable=False),
        pa.field("position_us", pa.int64(), nullable=False),
        pa.field("duration_us", pa.int64(), nullable=False),
        pa.field("broadcast", pa.int32(), nullable=False),
        pa.field("program_us", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("method", pa.string(), nullable=False),
        pa.field("score", pa.float64(), nullable=False),
    ]
)
"""One row a span of a recording: ``position_us`` counts from the start of the recording, ``program_us`` is what it shows there."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What may be read.

    Attributes:
        files: absolute paths by tree of the archive (events, staff, segments, observations, viewers).
        tables: rows that are in none of the files, by tree, with the tree's schema.
        recordings: rows of :data:`RECORDINGS`; none where there is no catalog.
    """

    files: dict[str, list[str]]
    tables: dict[str, pa.Table]
    recordings: pa.Table = field(default_factory=partial(no_rows, RECORDINGS))


def list_archive(path: Path, *, room: str | None = None) -> Listing:
    """What may be read of a data folder, or of the ``archive`` of one that somebody copied.

    Args:
        path: of either.
        room: only this room.

    Raises:
        SettingsError: it is neither, or of a newer program.
        CorruptError: catalog, journal or manifest are damaged.
        StorageFailedError: they cannot be read.

    Cost: a few µs for each file, and 10 µs for each row of an hour that changed since it was last written.
    """
    if room is not None:
        checked_room(room)
    if (path / "chatsync.db").is_file():
        return _of_folder(path, room)
    for archive in (path / "archive", path):
        if (archive / "manifest").is_dir():
            return _of_manifests(archive, room)
    raise SettingsError(
        f"{path} is no data folder of chatsync (it has no chatsync.db) and no archive (it has no manifest/)."
    )


def _of_folder(folder: Path, room: str | None) -> Listing:
    files = Files(folder)
    journal = JournalReads(files)
    catalog = Catalog(journal)
    recall = Recall(files, catalog)
    journal.pruned.source = recall
    maker = FileMaker(files, journal, catalog, recall)
    with closing(journal.reader()):
        return _Tail(folder, journal, catalog, maker).listing(room)


class _Tail:
    """What the files of a data folder have not, made as it would be written."""

    def __init__(self, folder: Path, journal: JournalReads, catalog: Catalog, maker: FileMaker) -> None:
        self._folder, self._journal, self._catalog, self._maker = folder, journal, catalog, maker
        self._parts: dict[str, list[pa.Table]] = defaultdict(list)

    def listing(self, room: str | None) -> Listing:
        """Files that are as new as the journal, and tables instead of the others."""
        believed = {file.path: file for file in self._catalog.archive_files(room, tree=None)}
        for span in self._changed_spans(room, list(believed.values())):
            self._take_span(*span, believed)
        self._take_records(room, believed)
        return Listing(
            files=_by_tree(self._folder, believed.values()),
            tables={tree: _joined(self._parts[tree], schema) for tree, schema in TREES.items()},
            recordings=rows_table(self._recordings(room), RECORDINGS),
        )

    def _changed_spans(self, room: str | None, files: list[ArchiveFile]) -> list[tuple[str, int, Range]]:
        """Hours that changed since they were written, each with what is written together with it."""
        changed = {(name, broadcast, hour_us) for name, broadcast, hour_us, _ in self._catalog.dirty_hours(room)}
        together: dict[tuple[str, int, int], Range] = {}
        for file in files if changed else ():
            if file.tree == "events" and (hours := file.hours) is not None:
                for hour_us in range(hours.start_us, hours.end_us, HOUR_US):
                    together[file.room, file.broadcast, hour_us] = hours
        spans = {
            (name, broadcast, together.get((name, broadcast, hour_us)) or Range(hour_us, hour_us + HOUR_US))
            for name, broadcast, hour_us in changed
        }
        return sorted(spans, key=lambda one: (one[0], one[1], one[2].start_us))

    def _take_span(self, room: str, broadcast: int, span: Range, believed: dict[str, ArchiveFile]) -> None:
        over = [
            file
            for file in believed.values()
            if (file.room, file.broadcast) == (room, broadcast) and file.hours is not None and file.hours.overlaps(span)
        ]
        public = [file for file in over if file.tree == "events"]
        self._parts["events"] += self._maker.tables(room, broadcast, span, public, self._parts["staff"].append)
        for file in over:
            del believed[file.path]

    def _take_records(self, room: str | None, believed: dict[str, ArchiveFile]) -> None:
        """Segments, reloads and viewers of broadcasts that have more of them than their files."""
        written: dict[tuple[str, str, int], list[ArchiveFile]] = defaultdict(list)
        for file in believed.values():
            written[file.tree, file.room, file.broadcast].append(file)
        rows_of = {
            "segments": self._catalog.segment_rows,
            "observations": self._catalog.observation_rows,
            "viewers": self._catalog.viewer_rows,
        }
        for tree, read in rows_of.items():
            for name, broadcast, count in self._counts(tree, room):
                files = written[tree, name, broadcast]
                if count > sum(file.rows for file in files):
                    self._parts[tree].append(rows_table(read(name, broadcast), TREES[tree]))
                    for file in files:
                        del believed[file.path]

    def _counts(self, table: str, room: str | None) -> list[tuple[Any, ...]]:
        """How many rows of a broadcast would be written, by (room, broadcast)."""
        of_room = "" if room is None else "AND room = ?"
        of_run = "AND run IS NOT NULL" if table == "observations" else ""
        return self._journal.read(
            f"SELECT room, broadcast, count(*) FROM {table} WHERE broadcast IS NOT NULL {of_run} {of_room} GROUP BY 1, 2",
            () if room is None else (room,),
        )

    def _recordings(self, room: str | None) -> list[tuple[Any, ...]]:
        found = self._journal.read("SELECT DISTINCT room FROM recordings ORDER BY 1") if room is None else [(room,)]
        return [
            (
                name,
                recording,
                us_from_ms(span["position_ms"]),
                us_from_ms(span["duration_ms"]),
                span["broadcast"],
                us_from_ms(span["program_ms"]),
                span["method"],
                span["score"],
            )
            for (name,) in found
            for recording, record in self._catalog.recordings(name).items()
            for span in record["spans"]
        ]


def _of_manifests(archive: Path, room: str | None) -> Listing:
    """What the manifests list, of files that are there."""
    listed: list[ArchiveFile] = []
    for path in sorted((archive / "manifest").glob("*.json")):
        if room is not None and path.stem != room:
            continue
        try:
            manifest = json.loads(path.read_bytes())
            listed += [_file_from(path.stem, one) for one in manifest["files"]]
        except OSError as error:
            raise read_error(error, str(path)) from error
        except (ValueError, KeyError, TypeError) as error:
            raise CorruptError(str(path), f"no manifest: {type(error).__name__}") from error
    newest = max((file.schema_version for file in listed), default=SCHEMA_VERSION)
    if newest > SCHEMA_VERSION:
        raise SettingsError(
            f"{archive} has schema version {newest}, and this program knows {SCHEMA_VERSION}: use a newer one."
        )
    return Listing(files=_by_tree(archive, listed), tables={tree: no_rows(schema) for tree, schema in TREES.items()})


def _file_from(room: str, listed: dict[str, Any]) -> ArchiveFile:
    return ArchiveFile(
        path=str(listed["path"]).removeprefix("archive/"),
        tree=str(listed["tree"]),
        room=room,
        broadcast=int(listed["broadcast"]),
        hour_us=listed["hour_start_us"],
        generation=int(listed["generation"]),
        rows=int(listed["rows"]),
        start_us=listed["start_us"],
        end_us=listed["end_us"],
        sha256=str(listed["sha256"]),
        size_bytes=int(listed["size_bytes"]),
        schema_version=int(listed["schema_version"]),
    )


def _by_tree(root: Path, files: Iterable[ArchiveFile]) -> dict[str, list[str]]:
    """Absolute paths by tree. A path that would lead out of the archive is nobody's of ours.

    Raises:
        CorruptError: there is such a path.
    """
    found: dict[str, list[str]] = {tree: [] for tree in TREES}
    start = f"{root.absolute()}/"
    for file in files:
        if file.path.startswith("/") or ".." in file.path.split("/"):
            raise CorruptError(file.path, "the path leads out of the archive")
        found.setdefault(file.tree, []).append(start + file.path)
    return found


def _joined(parts: list[pa.Table], schema: pa.Schema) -> pa.Table:
    return pa.concat_tables(parts).unify_dictionaries() if parts else no_rows(schema)
