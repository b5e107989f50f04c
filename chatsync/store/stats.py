"""What a data folder holds, room by room, in figures; at rest or while a relay serves it.

Owns: the figures of ``chatsync stats``. Does not know: settings (it is told how long a room keeps), how figures are shown, whether what
is there is whole (``store.verifying``). Units: µs, bytes. Source: contract §6.

All is read in one transaction, from tables that have a row for much: an hour, a slice, a file, a broadcast, a person in a broadcast. Of the
journal only single rows are looked up. Nothing is locked or written, and no file is left behind.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from chatsync.errors import SettingsError, UnknownRoomError
from chatsync.instants import us_from_ms
from chatsync.store.catalog import KEPT_MARK
from chatsync.store.condition import opened_as_found
from chatsync.store.files import RESTORING, HalfRestoredError
from chatsync.store.recovering import SCHEMA_VERSION, check_schema, read_error

__all__ = ["FolderStats", "RoomStats", "TreeStats", "folder_stats"]

KeepUs = Callable[[str, dict[str, Any] | None, int | None], int | None]
"""How long a room keeps what was said, µs, None for ever: told its id, its settings in the folder and the days it last kept there."""
Progress = Callable[[str, int, int], None]
Rows = list[tuple[Any, ...]]

_SIZED = (
    "chatsync.db",
    "chatsync.db-wal",
    "identity.db",
    "identity.db-wal",
    "moderation.db",
    "moderation.db-wal",
    "heads",
)


class TreeStats(msgspec.Struct, kw_only=True):
    """Files of one tree of the archive."""

    files: int = 0
    rows: int = 0
    size_bytes: int = 0
    generation: int = 0  # the highest of a file: how often it was written


class RoomStats(msgspec.Struct, kw_only=True):
    """One room, or all of them together."""

    rooms: int = 1
    broadcasts: int = 0  # that are still known
    events: int = 0  # ever logged: the newest offset
    journal_events: int = 0  # of those that are in the journal now
    state_events: int = 0  # of those in the journal, that bear on room state: questions, polls, hands, pins, modes
    pins: int = 0  # of those
    sealed_events: int = 0  # in slices
    sealed_messages: int = 0  # of those that are messages
    people: int = 0  # who said something; in all, one of two rooms counts twice
    first_program_us: int | None = None
    last_program_us: int | None = None
    first_wall_us: int | None = None
    last_wall_us: int | None = None
    slices: int = 0
    slice_bytes: int = 0
    archive: dict[str, TreeStats] = {}
    dirty_hours: int = 0  # whose Parquet is missing or old
    pruned_through: int = 0  # offset up to which rows may have left the journal; in all, 0
    keep_us: int | None = None  # None: for ever; in all, None
    due_us: int | None = None  # wall time before which no broadcast goes; None: there is none, or it is kept for ever
    deletions: int = 0  # broadcasts that were past their time
    unfinished_deletions: int = 0
    open_erasures: int = 0


class FolderStats(msgspec.Struct, kw_only=True):
    """A data folder."""

    folder: str
    total: RoomStats
    rooms: dict[str, RoomStats]
    files: dict[str, int]  # size of each database, log and ``heads``, by name
    quarantined: int  # damaged files that were put aside
    quarantined_bytes: int


def folder_stats(
    folder: Path, keep: KeepUs, *, room: str | None = None, progress: Progress | None = None
) -> FolderStats:
    """Count what a data folder holds, as of one moment. Nothing is compared with its checksum.

    Args:
        folder: a relay may be at work in it.
        keep: how long a room keeps.
        room: only this one; sizes of databases and the quarantine are of all.
        progress: told (what, done, of how many).

    Raises:
        SettingsError: it is no data folder, or of a schema that has to be brought up to date first, or of a newer one.
        UnknownRoomError: nothing is known of the room.
        HalfRestoredError: a restore into it was interrupted.
        StoreError: it cannot be read.

    Cost: a few µs a slice, file and person in a broadcast, and some 40 µs a room.
    """
    if not folder.is_dir():
        raise SettingsError(f"{folder} is no data folder: {'it is a file' if folder.exists() else 'it is not there'}.")
    try:
        if (folder / RESTORING).exists():
            raise HalfRestoredError
        rooms: dict[str, RoomStats] = {}
        if (folder / "chatsync.db").exists():
            with closing(opened_as_found(folder / "chatsync.db")) as connection:
                connection.execute("BEGIN")
                rooms = _Counting(connection, room).counted(keep, progress)
        elif any(folder.iterdir()):
            raise SettingsError(f"{folder} is no data folder: there is no chatsync.db in it.")
        if room is not None and room not in rooms:
            raise UnknownRoomError
        aside = [path.stat().st_size for path in _quarantined(folder / "quarantine")]
        sizes = {name: (folder / name).stat().st_size for name in _SIZED if (folder / name).exists()}
    except (sqlite3.Error, OSError) as error:
        raise read_error(error) from error
    return FolderStats(
        folder=str(folder),
        total=_total(rooms.values()),
        rooms=rooms,
        files=sizes,
        quarantined=len(aside),
        quarantined_bytes=sum(aside),
    )


def _quarantined(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if not path.name.endswith(".note.json")]


class _Counting:
    """One pass over the tables of a database, in the caller's transaction."""

    def __init__(self, connection: sqlite3.Connection, room: str | None) -> None:
        self._connection = connection
        self._where = "" if room is None else "WHERE room = ?"
        self._values: tuple[str, ...] = () if room is None else (room,)
        self._and = "WHERE" if room is None else "AND"
        self._tables = {name for (name,) in self._read("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        ((version,),) = self._read("PRAGMA user_version")
        check_schema(version)
        if self._tables and version < SCHEMA_VERSION:
            raise SettingsError(
                f"The data folder has schema {version}, and this chatsync counts {SCHEMA_VERSION}: start the relay once, which brings it up to date."
            )
        self._rooms: defaultdict[str, RoomStats] = defaultdict(RoomStats)

    def _read(self, sql: str, values: Sequence[Any] = ()) -> Rows:
        return self._connection.execute(sql, values).fetchall()

    def _by_room(self, table: str, columns: str, *, only: str = "", group: str = "room") -> Rows:
        """Figures of a table by room; nothing of one that a program before this one did not have."""
        if table not in self._tables:
            return []
        where = f"{self._where} {f'{self._and} {only}' if only else ''}"
        return self._read(f"SELECT room, {columns} FROM {table} {where} GROUP BY {group}", self._values)

    def counted(self, keep: KeepUs, progress: Progress | None) -> dict[str, RoomStats]:
        """All rooms that anything is known of, by id."""
        steps = (self._broadcasts, self._hours, self._people, self._slices, self._archive, self._deeds)
        for done, step in enumerate(steps, start=1):
            step()
            if progress is not None:
                progress(step.__name__.strip("_"), done, len(steps))
        settings = {room: msgspec.json.decode(record) for room, record in self._by_room("rooms", "settings")}
        kept: dict[str, int] = dict(self._by_room("marks", "value", only=f"name = '{KEPT_MARK}'"))
        for room in settings:
            self._rooms.setdefault(room, RoomStats())  # one that has settings and nothing else
        oldest = self._oldest()
        for done, room in enumerate(sorted(self._rooms), start=1):
            one = self._rooms[room]
            self._ends(room, one)
            one.keep_us = keep(room, settings.get(room), kept.get(room))
            if one.keep_us is not None and room in oldest:
                last_us = self._last_wall_us(room, oldest[room])
                one.due_us = None if last_us is None else last_us + one.keep_us
            if progress is not None:
                progress(room, done, len(self._rooms))
        return {room: self._rooms[room] for room in sorted(self._rooms)}

    def _broadcasts(self) -> None:
        found = self._by_room(
            "broadcasts",
            "count(*), min(json_extract(record, '$.opened_wall_us')), max(max(json_extract(record, '$.opened_wall_us'), "
            "coalesce(json_extract(record, '$.advanced_wall_us'), json_extract(record, '$.opened_wall_us')), "
            "coalesce(json_extract(record, '$.closed_wall_us'), json_extract(record, '$.opened_wall_us'))))",
        )
        for room, count, first_us, last_us in found:
            one = self._rooms[room]
            one.broadcasts = count
            _widen_wall(one, first_us, last_us)

    def _hours(self) -> None:
        for room, *counts in self._by_room("hours", "sum(rows), sum(states), sum(pins)", only="rows != 0"):
            one = self._rooms[room]
            one.journal_events, one.state_events, one.pins = counts
        if "hours" not in self._tables:
            return
        place = "SELECT placed_us FROM journal INDEXED BY journal_placed WHERE (room, broadcast) = (one.room, one.broadcast)"
        ends = self._read(
            f"SELECT room, ({place} ORDER BY placed_us LIMIT 1), ({place} ORDER BY placed_us DESC LIMIT 1) FROM "
            f"(SELECT DISTINCT room, broadcast FROM hours {self._where} {self._and} rows != 0) AS one",
            self._values,
        )
        for room, first_us, last_us in ends:
            _widen_program(self._rooms[room], first_us, last_us)

    def _people(self) -> None:
        for room, count in self._by_room("spoke", "count(DISTINCT author_key)"):
            self._rooms[room].people = count

    def _slices(self) -> None:
        columns = "count(*), sum(size_bytes), sum(events), sum(messages), min(start_ms), max(end_ms)"
        for room, count, size, events, messages, start_ms, end_ms in self._by_room(
            "slices", columns, only="removed = 0"
        ):
            one = self._rooms[room]
            one.slices, one.slice_bytes, one.sealed_events, one.sealed_messages = count, size, events, messages
            _widen_program(one, us_from_ms(start_ms), us_from_ms(end_ms))

    def _archive(self) -> None:
        columns = (
            "tree, count(*), sum(rows), sum(size_bytes), max(generation), min(start_us), max(end_us), max(last_wall_us)"
        )
        found = self._by_room("archive_files", columns, group="room, tree")
        for room, tree, files, rows, size, generation, start_us, end_us, wall_us in found:
            one = self._rooms[room]
            one.archive[tree] = TreeStats(files=files, rows=rows, size_bytes=size, generation=generation)
            _widen_program(one, start_us, end_us)
            _widen_wall(one, None, wall_us)

    def _deeds(self) -> None:
        """What is under way, and what is over."""
        for room, count in self._by_room("dirty_hours", "count(*)"):
            self._rooms[room].dirty_hours = count
        for room, through in self._by_room("pruned", "through"):
            self._rooms[room].pruned_through = through
        for room, count in self._by_room("erasures", "count(*)", only="done_wall_us IS NULL"):
            self._rooms[room].open_erasures = count
        unfinished = "sum(json_extract(record, '$.done_wall_us') IS NULL)"
        for room, count, open_count in self._by_room("deletions", f"count(*), {unfinished}"):
            one = self._rooms[room]
            one.deletions, one.unfinished_deletions = count, open_count

    def _ends(self, room: str, one: RoomStats) -> None:
        """The oldest and the newest row of a room in the journal."""
        if "journal" not in self._tables:
            return
        for order in ("", "DESC"):
            sql = f"SELECT offset, wall_us FROM journal WHERE room = ? ORDER BY offset {order} LIMIT 1"
            for offset, wall_us in self._read(sql, (room,)):
                one.events = offset
                _widen_wall(one, wall_us, wall_us)
        one.events = max(one.events, one.pruned_through)

    def _oldest(self) -> dict[str, int]:
        """The oldest broadcast of each room that retention looks at; none of a room of which the last one is left, empty."""
        tables = {"broadcasts": "", "hours": "rows != 0", "archive_files": "", "slices": "removed = 0"}
        oldest: dict[str, int] = {}
        last: dict[str, int] = {}
        filled: dict[str, int] = {}
        for table, only in tables.items():
            for room, first, newest in self._by_room(table, "min(broadcast), max(broadcast)", only=only):
                if table != "broadcasts":
                    filled[room] = max(newest, filled.get(room, 0))
                oldest[room] = min(first, oldest.get(room, first))
                last[room] = max(newest, last.get(room, 0))
        return {room: first for room, first in oldest.items() if first < last[room] or filled.get(room) == first}

    def _last_wall_us(self, room: str, broadcast: int) -> int | None:
        """When a broadcast was last used, or a little before: of its events the last by program time says so."""
        queries = {
            "broadcasts": "SELECT max(coalesce(json_extract(record, '$.closed_wall_us'), 0), "
            "coalesce(json_extract(record, '$.advanced_wall_us'), 0), coalesce(json_extract(record, '$.opened_wall_us'), 0)) "
            "FROM broadcasts WHERE room = ? AND broadcast = ?",
            "archive_files": "SELECT max(last_wall_us) FROM archive_files WHERE room = ? AND broadcast = ?",
            "journal": "SELECT wall_us FROM journal INDEXED BY journal_placed WHERE room = ? AND broadcast = ? "
            "ORDER BY placed_us DESC LIMIT 1",
        }
        found = [
            wall_us
            for table, sql in queries.items()
            if table in self._tables
            for (wall_us,) in self._read(sql, (room, broadcast))
        ]
        return max((wall_us for wall_us in found if wall_us), default=None)


def _widen_program(one: RoomStats, first_us: int | None, last_us: int | None) -> None:
    one.first_program_us, one.last_program_us = (
        _least(one.first_program_us, first_us),
        _most(one.last_program_us, last_us),
    )


def _widen_wall(one: RoomStats, first_us: int | None, last_us: int | None) -> None:
    one.first_wall_us, one.last_wall_us = _least(one.first_wall_us, first_us), _most(one.last_wall_us, last_us)


def _least(*values: int | None) -> int | None:
    return min((value for value in values if value is not None), default=None)


def _most(*values: int | None) -> int | None:
    return max((value for value in values if value is not None), default=None)


_SUMMED = (
    *(
        "rooms",
        "broadcasts",
        "events",
        "journal_events",
        "state_events",
        "pins",
        "sealed_events",
        "sealed_messages",
        "people",
    ),
    *("slices", "slice_bytes", "dirty_hours", "deletions", "unfinished_deletions", "open_erasures"),
)


def _total(rooms: Iterable[RoomStats]) -> RoomStats:
    total = RoomStats(rooms=0)
    for one in rooms:
        for name in _SUMMED:
            setattr(total, name, getattr(total, name) + getattr(one, name))
        _widen_program(total, one.first_program_us, one.last_program_us)
        _widen_wall(total, one.first_wall_us, one.last_wall_us)
        total.due_us = _least(total.due_us, one.due_us)
        for tree, found in one.archive.items():
            known = total.archive.setdefault(tree, TreeStats())
            known.files += found.files
            known.rows += found.rows
            known.size_bytes += found.size_bytes
            known.generation = max(known.generation, found.generation)
    return total
