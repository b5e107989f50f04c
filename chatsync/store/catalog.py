"""The catalog: what is known beside the log, in the same database so that both change in one transaction.

Owns: rooms, broadcasts, the timeline's rows, slices by revision, recordings, archived files. Does not know: files' contents.
Units: µs inside, ms where slices are named. Source: contract §3 and §6.

Methods that write take the writer's connection; methods that read may be called from any thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec

from chatsync.errors import CorruptError
from chatsync.hls.known import KnownSegment
from chatsync.hls.timeline import LiveEdge, Run, Segment, Timeline
from chatsync.instants import HOUR_US, Range
from chatsync.store import sums
from chatsync.store.changed_hours import finals_mark, note_changed_hours
from chatsync.store.journal_reads import JournalReads
from chatsync.store.recovering import SCHEMA_VERSION, check_schema, read_error
from chatsync.store.revocations import REVOCATIONS
from chatsync.store.sums import WATCHED
from chatsync.store.writer import Writer

__all__ = ["KEPT_MARK", "SCHEMA_VERSION", "WATCHED_TABLES", "ArchiveFile", "Catalog", "SliceRow"]

KEPT_MARK = "retention_days"
"""Mark: what a room last kept, in days, so that one that is served no more goes on so; 0 is forever."""

_TABLES = (
    """
CREATE TABLE IF NOT EXISTS rooms (room TEXT PRIMARY KEY, settings TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS recordings (
    room TEXT NOT NULL, recording TEXT NOT NULL, record TEXT NOT NULL, PRIMARY KEY (room, recording)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS broadcasts (
    room TEXT NOT NULL, broadcast INTEGER NOT NULL, record TEXT NOT NULL, PRIMARY KEY (room, broadcast)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS runs (
    room TEXT NOT NULL, run INTEGER NOT NULL, base_url TEXT NOT NULL, started_wall_us INTEGER NOT NULL,
    reason TEXT NOT NULL, PRIMARY KEY (room, run)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS segments (
    room TEXT NOT NULL, run INTEGER NOT NULL, media_sequence INTEGER NOT NULL, broadcast INTEGER NOT NULL,
    uri_path TEXT NOT NULL, byte_range TEXT, duration_us INTEGER NOT NULL, position_us INTEGER NOT NULL,
    discontinuity_sequence INTEGER NOT NULL, discontinuity INTEGER NOT NULL, gap INTEGER NOT NULL, program_us INTEGER,
    program_source TEXT, estimated INTEGER NOT NULL, PRIMARY KEY (room, run, media_sequence)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS observations (
    room TEXT NOT NULL, wall_us INTEGER NOT NULL, age_us INTEGER NOT NULL, kind TEXT NOT NULL, run INTEGER,
    media_sequence INTEGER, part_count INTEGER, edge_program_us INTEGER, broadcast INTEGER, step_us INTEGER,
    PRIMARY KEY (room, wall_us)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS gaps (
    room TEXT NOT NULL, broadcast INTEGER NOT NULL, start_us INTEGER NOT NULL, end_us INTEGER NOT NULL,
    reason TEXT NOT NULL, PRIMARY KEY (room, broadcast, start_us)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS slices (
    room TEXT NOT NULL, broadcast INTEGER NOT NULL, start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL,
    epoch INTEGER NOT NULL, revision INTEGER NOT NULL, events INTEGER NOT NULL, messages INTEGER NOT NULL,
    as_of_offset INTEGER NOT NULL, version INTEGER NOT NULL, sha256 TEXT NOT NULL, size_bytes INTEGER NOT NULL,
    removed INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (room, broadcast, start_ms)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS marks (
    room TEXT NOT NULL, name TEXT NOT NULL, value INTEGER NOT NULL, PRIMARY KEY (room, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS archive_files (
    path TEXT PRIMARY KEY, tree TEXT NOT NULL, room TEXT NOT NULL, broadcast INTEGER NOT NULL, hour_us INTEGER,
    generation INTEGER NOT NULL, rows INTEGER NOT NULL, start_us INTEGER, end_us INTEGER, sha256 TEXT NOT NULL,
    size_bytes INTEGER NOT NULL, schema_version INTEGER NOT NULL, end_hour_us INTEGER, first_offset INTEGER,
    last_offset INTEGER, last_wall_us INTEGER, pruned INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS archive_files_hour ON archive_files (room, broadcast, tree, hour_us);
CREATE TABLE IF NOT EXISTS archive_authors (path TEXT PRIMARY KEY, authors BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS viewers (
    room TEXT NOT NULL, broadcast INTEGER NOT NULL, minute_us INTEGER NOT NULL, viewers INTEGER NOT NULL,
    PRIMARY KEY (room, broadcast, minute_us)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS deletions (
    room TEXT NOT NULL, wall_us INTEGER NOT NULL, broadcast INTEGER NOT NULL, record TEXT NOT NULL,
    PRIMARY KEY (room, wall_us, broadcast)
) WITHOUT ROWID;
"""
    + REVOCATIONS
)


class SliceRow(msgspec.Struct, frozen=True, kw_only=True):
    """One sealed slice at its present revision."""

    broadcast: int
    start_ms: int  # program time, inclusive
    end_ms: int  # exclusive
    epoch: int
    revision: int  # from 1
    events: int
    messages: int
    as_of_offset: int
    version: int  # of the chat playlist that first listed this revision
    sha256: str  # of the compressed file
    size_bytes: int


class ArchiveFile(msgspec.Struct, frozen=True, kw_only=True):
    """One Parquet file that is part of the archive now."""

    path: str  # relative to the data folder
    tree: str  # events, staff; segments, observations, viewers
    room: str
    broadcast: int
    hour_us: int | None  # start of its hour of program time; None for a whole broadcast
    generation: int
    rows: int
    start_us: int | None  # smallest program time, None if empty
    end_us: int | None  # largest
    sha256: str
    size_bytes: int
    schema_version: int
    end_hour_us: int | None = None  # exclusive end of its hours; None: one hour, or a whole broadcast
    first_offset: int | None = None  # smallest offset in it, None if empty or no events
    last_offset: int | None = None  # largest
    last_wall_us: int | None = None  # latest wall time of its rows
    pruned: bool = False  # whether rows of it are in the journal no more

    @property
    def hours(self) -> Range | None:
        """The hours of program time it covers; None for a whole broadcast."""
        if self.hour_us is None:
            return None
        return Range(self.hour_us, self.hour_us + HOUR_US if self.end_hour_us is None else self.end_hour_us)


_FILE_COLUMNS_OF_3 = ("end_hour_us", "first_offset", "last_offset", "last_wall_us")

# What brings an older folder up to date, by the version it has. Only ever appended to.
_MIGRATIONS = {
    1: (
        "ALTER TABLE observations ADD COLUMN broadcast INTEGER",
        "ALTER TABLE observations ADD COLUMN step_us INTEGER",
        "UPDATE observations SET step_us = 0, broadcast = (SELECT broadcast FROM segments AS known "
        "WHERE (known.room, known.run, known.media_sequence) = (observations.room, observations.run, "
        "observations.media_sequence))",
    ),
    2: (
        *(f"ALTER TABLE archive_files ADD COLUMN {name} INTEGER" for name in _FILE_COLUMNS_OF_3),
        "ALTER TABLE archive_files ADD COLUMN pruned INTEGER NOT NULL DEFAULT 0",
        # Files without an index of their authors are written anew.
        "INSERT OR IGNORE INTO dirty_hours SELECT room, broadcast, hour_us, 0 FROM archive_files "
        "WHERE tree = 'events' AND hour_us IS NOT NULL",
    ),
}

WATCHED_TABLES = (
    *("rooms", "recordings", "broadcasts", "runs", "segments", "observations", "gaps", "slices", "marks"),
    *("archive_files", "archive_authors", "viewers", "deletions", "revocations"),
)
_SLICE_COLUMNS = SliceRow.__struct_fields__
_FILE_COLUMNS = ArchiveFile.__struct_fields__
_SEGMENT_COLUMNS = Segment.__struct_fields__


class Catalog:
    """What is known beside the log.

    Args:
        journal: shares its readers' connections.
        writer: not started yet; None: the tables are there, and somebody else writes them.

    Raises:
        SettingsError: the database is of a newer schema than this program knows.
    """

    def __init__(self, journal: JournalReads, writer: Writer | None = None) -> None:
        self._journal = journal
        if writer is not None:
            self._make_tables(writer)

    @staticmethod
    def _make_tables(writer: Writer) -> None:
        try:
            connection = writer.making()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            check_schema(version)
            connection.executescript(f"BEGIN;{_TABLES}COMMIT;")
            _migrate(connection, version)
            sums.ensure(connection, WATCHED_TABLES)
        except BaseException as error:
            writer.close()
            if isinstance(error, sqlite3.Error):
                raise read_error(error) from error
            raise

    def _read(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._journal.read(sql, values)

    def _group(
        self, table: str, key: Sequence[str] = (), part: int | None = None, *, order: str
    ) -> list[tuple[Any, ...]]:
        """All rows of a group, with all columns, compared with their sum: what is missing or changed is never an answer."""
        return sums.group(self._journal.reads, table, key, part, order=order)

    def wrong(self) -> list[CorruptError]:
        """What is not as it was written in any table beside the journal. For ``chatsync verify``."""
        return sums.wrong(self._journal.reads, WATCHED_TABLES)

    # --- rooms and recordings -------------------------------------------------------------------------------------

    def rooms(self) -> dict[str, dict[str, Any]]:
        """Settings of the rooms made by the admin API, by id."""
        return {room: msgspec.json.decode(settings) for room, settings in self._group("rooms", order="room")}

    def put_room(self, connection: sqlite3.Connection, room: str, settings: dict[str, Any]) -> None:
        """Remember a room."""
        connection.execute("INSERT OR REPLACE INTO rooms VALUES (?, ?)", (room, _json(settings)))

    def remove_room(self, connection: sqlite3.Connection, room: str) -> None:
        """Forget a room's settings; its log stays."""
        connection.execute("DELETE FROM rooms WHERE room = ?", (room,))

    def recording(self, room: str, recording: str) -> dict[str, Any] | None:
        """A recording's map."""
        rows = self._group("recordings", (room,), order="recording")
        found = [record for _, name, record in rows if name == recording]
        return msgspec.json.decode(found[0]) if found else None

    def put_recording(self, connection: sqlite3.Connection, room: str, recording: str, record: dict[str, Any]) -> None:
        """Remember a recording's map."""
        connection.execute("INSERT OR REPLACE INTO recordings VALUES (?, ?, ?)", (room, recording, _json(record)))

    def recordings_besides(self, room: str, recording: str) -> int:
        """How many recordings of a room are mapped, this one not counted."""
        sql = "SELECT count(*) FROM recordings WHERE room = ? AND recording <> ?"
        return int(self._read(sql, (room, recording))[0][0])

    def recordings(self, room: str) -> dict[str, dict[str, Any]]:
        """All recordings of a room, by id."""
        rows = self._group("recordings", (room,), order="recording")
        return {recording: msgspec.json.decode(record) for _, recording, record in rows}

    def remove_recording(self, connection: sqlite3.Connection, room: str, recording: str) -> None:
        """Forget a recording's map."""
        connection.execute("DELETE FROM recordings WHERE room = ? AND recording = ?", (room, recording))

    # --- broadcasts and the timeline ------------------------------------------------------------------------------

    def broadcast_records(self, room: str, *, last: int) -> list[dict[str, Any]]:
        """The latest broadcasts, oldest first, as they were put; all of them if ``last`` is -1."""
        rows = self._group("broadcasts", (room,), order="broadcast")
        return [msgspec.json.decode(record) for _, _, record in (rows if last < 0 else rows[-last:])]

    def latest_records(self, room: str, last: int) -> list[dict[str, Any]]:
        """The latest broadcasts, oldest first, and before them the latest of the room's own, if they were all made for files."""
        records = self.broadcast_records(room, last=-1)
        own = [one for one in records if not one.get("is_imported")][-1:]
        return [*(one for one in own if one not in records[-last:]), *records[-last:]]

    def put_broadcast(self, connection: sqlite3.Connection, room: str, record: dict[str, Any]) -> None:
        """Remember a broadcast; ``record["number"]`` says which."""
        values = (room, record["number"], _json(record))
        connection.execute("INSERT OR REPLACE INTO broadcasts VALUES (?, ?, ?)", values)

    def put_segments(
        self,
        connection: sqlite3.Connection,
        room: str,
        runs: Sequence[Run],
        pieces: Sequence[tuple[int, Sequence[Segment]]],
    ) -> None:
        """Remember new or revised segments with their broadcast, and the runs they belong to, with those before that a disk refused."""
        touched = {segment.run for _, segments in pieces for segment in segments}
        ((through,),) = connection.execute("SELECT coalesce(max(run), 0) FROM runs WHERE room = ?", (room,)).fetchall()
        missed = range(through + 1, max(touched, default=0))
        connection.executemany(
            "INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?)",
            [
                (room, run.run, run.base_url, run.started_wall_us, run.reason)
                for run in runs
                if run.run in touched or run.run in missed
            ],
        )
        columns = ", ".join(("room", "broadcast", *_SEGMENT_COLUMNS))
        marks = ", ".join("?" * (2 + len(_SEGMENT_COLUMNS)))
        updates = ", ".join(f"{name} = excluded.{name}" for name in _SEGMENT_COLUMNS)
        connection.executemany(
            f"INSERT INTO segments ({columns}) VALUES ({marks}) "
            f"ON CONFLICT (room, run, media_sequence) DO UPDATE SET {updates}",
            [
                (room, broadcast, *(getattr(segment, name) for name in _SEGMENT_COLUMNS))
                for broadcast, segments in pieces
                for segment in segments
            ],
        )

    def timeline(self, room: str) -> Timeline:
        """The timeline as its rows have it; empty for a new room."""
        runs: list[Run] = []
        for _, number, base_url, started_wall_us, reason in self._group("runs", (room,), order="run"):
            # Folders of earlier versions may lack a run that the disk refused; of that one no segment is known either.
            runs += [Run(run, base_url, started_wall_us, reason) for run in range(len(runs) + 1, number + 1)]
        if not runs:
            return Timeline.empty()
        names = WATCHED["segments"].columns
        segments = []
        for row in self._group("segments", (room,), order="run, media_sequence"):
            values = dict(zip(names, row, strict=True))
            segments.append(msgspec.convert({name: values[name] for name in _SEGMENT_COLUMNS}, Segment, strict=False))
        latest = self._read("SELECT wall_us FROM observations WHERE room = ? ORDER BY wall_us DESC LIMIT 1", (room,))
        records = [one for one in self.latest_records(room, 1) if not one.get("is_imported")][-1:]
        return Timeline.restored(
            runs,
            segments,
            target_duration_us=records[0]["target_duration_us"] if records else None,
            ended=bool(records) and records[0]["closed_reason"] == "ended",
            wall_us=latest[0][0] if latest else None,
        )

    def known_segments(self, room: str) -> list[KnownSegment]:
        """Every segment of a room that has a program time, of all broadcasts, by run and media sequence."""
        rows = self._group("segments", (room,), order="run, media_sequence")
        return [
            KnownSegment(broadcast, run, number, path, byte_range, duration_us, program_us, bool(estimated))
            for _, run, number, broadcast, path, byte_range, duration_us, _, _, _, _, program_us, _, estimated in rows
            if program_us is not None
        ]

    def put_observation(
        self,
        connection: sqlite3.Connection,
        room: str,
        *,
        wall_us: int,
        age_us: int,
        edge: LiveEdge | None,
        kind: str,
        broadcast: int,
        step_us: int,
    ) -> None:
        """Keep what a reload said of the live edge: the record stamps can be made again from.

        Args:
            connection: the writer's.
            room: whose playlist it was.
            wall_us: steady wall time at which the answer was here.
            age_us: HTTP Age of the answer.
            edge: the live edge after it; None before the first segment.
            kind: what the reload was.
            broadcast: the one that was on then.
            step_us: how far the system's clock was ahead of the steady one: an event's ``wall_us`` less this is steady.
        """
        where = (None,) * 4 if edge is None else (edge.run, edge.media_sequence, edge.part_count, edge.program_us)
        connection.execute(
            "INSERT OR REPLACE INTO observations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (room, wall_us, age_us, kind, *where, broadcast, step_us),
        )

    def last_observed_wall_us(self, room: str) -> int | None:
        """When the origin last answered; None if it never did."""
        rows = self._read("SELECT max(wall_us) FROM observations WHERE room = ?", (room,))
        return rows[0][0] if rows else None

    def put_gap(self, connection: sqlite3.Connection, room: str, broadcast: int, within: Range, reason: str) -> None:
        """Remember program time that no media covers, or in which we were not there."""
        connection.execute(
            "INSERT OR REPLACE INTO gaps VALUES (?, ?, ?, ?, ?)",
            (room, broadcast, within.start_us, within.end_us, reason),
        )

    def gaps(self, room: str, broadcast: int) -> list[tuple[Range, str]]:
        """Gaps of a broadcast in order, with their reasons."""
        rows = self._group("gaps", (room,), broadcast, order="start_us")
        return [(Range(start_us, end_us), reason) for _, _, start_us, end_us, reason in rows]

    def note_viewers(
        self, connection: sqlite3.Connection, room: str, broadcast: int, minute_us: int, count: int
    ) -> None:
        """Remember how many connections there were in a minute of a broadcast; of two counts of a minute the greater stands."""
        connection.execute(
            "INSERT INTO viewers VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET viewers = excluded.viewers "
            "WHERE excluded.viewers > viewers",
            (room, broadcast, minute_us, count),
        )

    def viewer_rows(self, room: str, broadcast: int) -> list[tuple[Any, ...]]:
        """Minutes of a broadcast in which somebody was there, in the order of :data:`~chatsync.store.schema.VIEWERS`."""
        return self._group("viewers", (room,), broadcast, order="minute_us")

    # --- what is past its time ------------------------------------------------------------------------------------

    def put_deletion(
        self, connection: sqlite3.Connection, room: str, wall_us: int, broadcast: int, record: dict[str, Any]
    ) -> None:
        """Note that a broadcast is being deleted, or was; ``wall_us`` is when it began."""
        values = (room, wall_us, broadcast, _json(record))
        connection.execute("INSERT OR REPLACE INTO deletions VALUES (?, ?, ?, ?)", values)

    def deletions(self, room: str | None = None) -> list[tuple[str, int, int, dict[str, Any]]]:
        """What was deleted for its age: (room, when it began, broadcast, what went), by room and time."""
        rows = self._group("deletions", () if room is None else (room,), order="room, wall_us, broadcast")
        return [(found, wall_us, broadcast, msgspec.json.decode(record)) for found, wall_us, broadcast, record in rows]

    def drop_mark(self, connection: sqlite3.Connection, room: str, name: str) -> None:
        """Forget a number of a room."""
        connection.execute("DELETE FROM marks WHERE room = ? AND name = ?", (room, name))

    # --- slices ---------------------------------------------------------------------------------------------------

    def put_slice(
        self, connection: sqlite3.Connection, room: str, row: SliceRow, version: int, finals_us: Sequence[int] = ()
    ) -> None:
        """List a slice or its new revision, and move the chat playlist's version on.

        Args:
            connection: the writer's.
            room: whose.
            row: the slice.
            version: of the chat playlist.
            finals_us: where the polls that are final by it were opened and closed: the archive prints them otherwise from now on.
        """
        columns = ", ".join(("room", *_SLICE_COLUMNS))
        marks = ", ".join("?" * (1 + len(_SLICE_COLUMNS)))
        values = (room, *(getattr(row, name) for name in _SLICE_COLUMNS))
        connection.execute(f"INSERT OR REPLACE INTO slices ({columns}, removed) VALUES ({marks}, 0)", values)
        self.put_mark(connection, room, f"version.{row.broadcast}", version)
        if finals_us:
            note_changed_hours(connection, room, row.broadcast, finals_us, row.as_of_offset)
            self.put_mark(connection, room, finals_mark(row.broadcast), version)

    def remove_slice(self, connection: sqlite3.Connection, room: str, row: SliceRow, version: int) -> None:
        """Take a slice off the list; its URLs go on answering 410."""
        connection.execute(
            "UPDATE slices SET removed = 1, version = ? WHERE room = ? AND broadcast = ? AND start_ms = ?",
            (version, room, row.broadcast, row.start_ms),
        )
        self.put_mark(connection, room, f"version.{row.broadcast}", version)

    def slices(self, room: str, broadcast: int) -> tuple[list[SliceRow], dict[int, SliceRow], int]:
        """Slices in order, removed ones by their start as they last were, and the chat playlist's version."""
        listed: list[SliceRow] = []
        removed: dict[int, SliceRow] = {}
        for _, *values, is_removed in self._group("slices", (room,), broadcast, order="start_ms"):
            row = SliceRow(**dict(zip(_SLICE_COLUMNS, values, strict=True)))
            if is_removed:
                removed[row.start_ms] = row
            else:
                listed.append(row)
        return listed, removed, self.mark(room, f"version.{broadcast}") or 0

    def slice_writes(self) -> int:
        """How often slices were written or taken off the list: a number to compare with an earlier one. Cost: 0.1 µs a slice."""
        return int(self._read("SELECT COALESCE(SUM(revision + removed), 0) FROM slices")[0][0])

    def put_mark(self, connection: sqlite3.Connection, room: str, name: str, value: int) -> None:
        """Remember a number of a room."""
        connection.execute("INSERT OR REPLACE INTO marks VALUES (?, ?, ?)", (room, name, value))

    def mark(self, room: str, name: str) -> int | None:
        """A number of a room, None if it was never put."""
        found = [value for _, other, value in self._group("marks", (room,), order="name") if other == name]
        return int(found[0]) if found else None

    def marks(self, name: str) -> dict[str, int]:
        """A number of every room that has it, by room. Cost: some microseconds a room."""
        rows = self._group("marks", order="room, name")
        return {room: int(value) for room, other, value in rows if other == name}

    # --- archive --------------------------------------------------------------------------------------------------

    def dirty_hours(self, room: str | None = None) -> list[tuple[str, int, int, int]]:
        """Hours whose Parquet is missing or old: (room, broadcast, hour_us, offset of the newest change)."""
        key = () if room is None else (room,)
        rows = self._group("dirty_hours", key, order="room, broadcast, hour_us")
        return [(found, broadcast, hour_us, through) for found, broadcast, hour_us, through in rows]

    def put_archive_file(self, connection: sqlite3.Connection, file: ArchiveFile, authors: bytes = b"") -> list[str]:
        """List a file in place of those whose hours it covers; the paths of those.

        Args:
            connection: the writer's.
            file: on disk already.
            authors: whose rows it has, as ``parquet.authors_index``.
        """
        key: tuple[Any, ...] = (file.room, file.broadcast, file.tree)
        where = "room = ? AND broadcast = ? AND tree = ? AND hour_us IS NULL"
        if file.hours is not None:
            key = (*key, file.hours.end_us, HOUR_US, file.hours.start_us)
            where = "room = ? AND broadcast = ? AND tree = ? AND hour_us < ? AND coalesce(end_hour_us, hour_us + ?) > ?"
        old = [row[0] for row in connection.execute(f"SELECT path FROM archive_files WHERE {where}", key)]
        for path in old:
            connection.execute("DELETE FROM archive_files WHERE path = ?", (path,))
            connection.execute("DELETE FROM archive_authors WHERE path = ?", (path,))
        marks = ", ".join("?" * len(_FILE_COLUMNS))
        values = tuple(getattr(file, name) for name in _FILE_COLUMNS)
        connection.execute(f"INSERT INTO archive_files ({', '.join(_FILE_COLUMNS)}) VALUES ({marks})", values)
        if authors:
            connection.execute("INSERT OR REPLACE INTO archive_authors VALUES (?, ?)", (file.path, authors))
        return [path for path in old if path != file.path]

    def remove_archive_file(self, connection: sqlite3.Connection, path: str) -> None:
        """A file is no part of the archive any more."""
        connection.execute("DELETE FROM archive_files WHERE path = ?", (path,))
        connection.execute("DELETE FROM archive_authors WHERE path = ?", (path,))

    def note_damaged(self, connection: sqlite3.Connection, file: ArchiveFile) -> None:
        """A file is not what was written: it is made again by the next archiving from what journal and catalog have.

        Rows that are in it alone are not: whoever calls this has written them down as lost, or knows that there are none.
        """
        if file.hours is None:
            connection.execute("UPDATE archive_files SET rows = 0 WHERE path = ?", (file.path,))
            return
        connection.execute("UPDATE archive_files SET pruned = 0 WHERE path = ?", (file.path,))
        (through,) = connection.execute(
            "SELECT coalesce(max(offset), 0) FROM journal WHERE room = ?", (file.room,)
        ).fetchone()
        hours = range(file.hours.start_us, file.hours.end_us, HOUR_US)
        note_changed_hours(connection, file.room, file.broadcast, hours, through)

    def pruned_files(self, room: str, broadcast: int | None = None) -> list[ArchiveFile]:
        """Files of ``events`` with rows that the journal has no more, by (broadcast, hour)."""
        return [file for file in self.archive_files(room, broadcast) if file.pruned]

    def put_pruned(self, connection: sqlite3.Connection, path: str) -> None:
        """Rows of a file leave the journal now."""
        connection.execute("UPDATE archive_files SET pruned = 1 WHERE path = ?", (path,))

    def author_indexes(self, room: str) -> list[tuple[ArchiveFile, bytes]]:
        """Every file of a room that has rows of people, with its index of them."""
        found = []
        for file in self.archive_files(room, tree=None):
            for _, authors in self._group("archive_authors", (file.path,), order="path"):
                found.append((file, authors))
        return found

    def ended_broadcasts(self, room: str | None = None) -> list[tuple[str, int]]:
        """Broadcasts that are over, as (room, broadcast)."""
        rows = self._read(
            "SELECT room, broadcast FROM broadcasts WHERE json_extract(record, '$.closed_wall_us') IS NOT NULL "
            "AND room = coalesce(?, room) ORDER BY room, broadcast",
            (room,),
        )
        return [(found, broadcast) for found, broadcast in rows]

    def segment_rows(self, room: str, broadcast: int) -> list[tuple[Any, ...]]:
        """Segments of a broadcast in the order of :data:`~chatsync.store.schema.SEGMENTS`."""
        return [
            (room, broadcast, run, number, *rest)
            for _, run, number, _, *rest in self._group("segments", (room,), broadcast, order="run, media_sequence")
        ]

    def observation_rows(self, room: str, broadcast: int) -> list[tuple[Any, ...]]:
        """Reloads while a broadcast was on, in the order of :data:`~chatsync.store.schema.OBSERVATIONS`."""
        return [
            (room, broadcast, wall_us, age_us, kind, run, *rest, step_us)
            for _, wall_us, age_us, kind, run, *rest, _, step_us in self._group(
                "observations", (room,), broadcast, order="wall_us"
            )
            if run is not None
        ]

    def archive_files(
        self, room: str | None = None, broadcast: int | None = None, *, tree: str | None = "events"
    ) -> list[ArchiveFile]:
        """Files of the archive by (room, broadcast, hour), of one tree or of all."""
        key = () if room is None else (room,)
        rows = self._group("archive_files", key, broadcast, order="room, broadcast, hour_us, tree")
        return [file for file in map(_file_from, rows) if tree is None or file.tree == tree]


def _file_from(row: Sequence[Any]) -> ArchiveFile:
    *values, pruned = row
    return ArchiveFile(**dict(zip(_FILE_COLUMNS[:-1], values, strict=True)), pruned=bool(pruned))


def _migrate(connection: sqlite3.Connection, version: int) -> None:
    """Bring tables made by an older program up to date, all or nothing; a new folder (version 0) has them as they are now."""
    connection.execute("BEGIN IMMEDIATE")
    for known in range(version or SCHEMA_VERSION, SCHEMA_VERSION):
        for statement in _MIGRATIONS[known]:
            if not _has_column(connection, statement):
                connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.execute("COMMIT")


def _has_column(connection: sqlite3.Connection, statement: str) -> bool:
    """Whether a statement adds a column that is there: a table that the old program had not made yet is made as it is now."""
    words = statement.split()
    if words[:2] != ["ALTER", "TABLE"]:
        return False
    table, column = words[2], words[5]
    return any(name == column for _, name, *_ in connection.execute(f"PRAGMA table_info({table})"))


def _json(value: Any) -> str:
    return msgspec.json.encode(value, order="sorted").decode()
