"""Reads of what nobody prepared: plan on the catalog, then read.

Owns: which files and which part of the journal answer a range; DuckDB's lock-down. Does not know: HTTP, slices.
Units: µs of program time. Source: contract §6; speed "Reading slices"; libraries §3.

A plan names explicit files of the catalog, never a glob. Hours that changed since they were written come from the journal, so
what is hidden is never read from a file that still has it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import structlog

from chatsync.chat.event import Event
from chatsync.errors import CorruptError, StorageFailedError, StoreError
from chatsync.instants import HOUR_US, Range
from chatsync.store.catalog import ArchiveFile, Catalog
from chatsync.store.files import Files
from chatsync.store.finals import Finals, with_finals
from chatsync.store.journal import Journal
from chatsync.store.parquet import verify_file
from chatsync.store.readers import PIECE_ROWS
from chatsync.store.recall import VERIFIED_MAX
from chatsync.store.schema import EVENTS, event_from

__all__ = ["EVENT_COLUMNS", "Plan", "Query", "open_duckdb"]

_log = structlog.get_logger(__name__)

T = TypeVar("T")

EVENT_COLUMNS = ", ".join(
    f"epoch_us({name}) AS {name}" if name in {"program_us", "wall_us"} else f'"{name}"' for name in EVENTS.names
)
"""What is read of a row of ``events``, for :meth:`Query.events`."""

_FOUND = (
    f"SELECT {EVENT_COLUMNS} FROM read_parquet(?, hive_partitioning = false) "
    "WHERE program_us >= make_timestamptz(?) AND program_us < make_timestamptz(?)"
)
_AFTER = ' AND (epoch_us(program_us) > ? OR (epoch_us(program_us) = ? AND "offset" > ?))'
_FIRST = ' ORDER BY program_us, "offset" LIMIT ?'
_AUTHOR_KEY, _NAME_VERSION = EVENTS.names.index("author_key"), EVENTS.names.index("name_version")


def open_duckdb(folder: Path) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection of the service: in memory, one thread, files of one folder only, settings locked.

    Queries are fixed text with values as parameters: the lock-down is the second door, not the first.

    Args:
        folder: the only place it may read; absolute.
    """
    connection = duckdb.connect(":memory:")
    connection.execute("SET threads = 1")
    connection.execute("SET memory_limit = '512MB'")
    connection.execute("SET autoinstall_known_extensions = false")
    connection.execute("SET autoload_known_extensions = false")
    connection.execute("SET python_enable_replacements = false")
    connection.execute("SET temp_directory = ''")
    connection.execute("SET allowed_directories = ?", [[str(folder)]])
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


@dataclass(frozen=True, slots=True)
class Plan:
    """What answers a range: archived files in order, and ranges to read from the journal. They do not overlap."""

    room: str
    broadcast: int
    within: Range
    files: tuple[ArchiveFile, ...]
    journal: tuple[Range, ...]


class Query:
    """Plans and reads.

    Attributes:
        on_damaged: told (file, what was found) of a file that is not what was written, in the reading thread.
    """

    def __init__(self, files: Files, journal: Journal, catalog: Catalog) -> None:
        self._files, self._journal, self._catalog = files, journal, catalog
        self.on_damaged: Callable[[ArchiveFile, str], None] | None = None
        self._verified: set[tuple[str, int, int]] = set()
        self._local = threading.local()

    def plan(self, room: str, broadcast: int, within: Range) -> Plan:
        """What answers a range; reads the catalog only."""
        dirty = {hour_us for _, number, hour_us, _ in self._catalog.dirty_hours(room) if number == broadcast}
        files: list[ArchiveFile] = []
        uncovered: list[Range] = []
        start_us = within.start_us
        for file in self._catalog.archive_files(room, broadcast):
            hours = file.hours
            if hours is None or not hours.overlaps(within):
                continue
            if not dirty.isdisjoint(range(hours.start_us, hours.end_us, HOUR_US)):
                continue
            files.append(file)
            if hours.start_us > start_us:
                uncovered.append(Range(start_us, hours.start_us))
            start_us = hours.end_us
        if start_us < within.end_us:
            uncovered.append(Range(start_us, within.end_us))
        return Plan(room, broadcast, within, tuple(files), tuple(uncovered))

    def read(self, plan: Plan, *, after: tuple[int, int] | None = None, limit: int = -1) -> list[Event]:
        """Public events of a plan that are not hidden, by (program time, offset).

        An hour that was written anew since the plan was made is planned again.

        Args:
            plan: of :meth:`plan`.
            after: only places after this (program time, offset).
            limit: at most so many, -1 for all.

        Raises:
            CorruptError: a file or row is damaged; nothing is returned then.
            StorageFailedError: the journal or a file cannot be read.
        """
        plan, found = self.asked(
            plan, lambda planned, connection, paths: self._rows(planned, connection, paths, after, limit)
        )
        events = [] if found is None else found
        for within in plan.journal:
            events += self._journal.events_between(
                plan.room, plan.broadcast, within.start_us, within.end_us, public_only=True, after=after, limit=limit
            )
        events.sort(key=lambda event: event.place)
        return with_finals(
            events if limit < 0 else events[:limit],
            lambda: Finals(self._journal, self._catalog, plan.room, plan.broadcast),
        )

    def asked(
        self, plan: Plan, ask: Callable[[Plan, duckdb.DuckDBPyConnection, list[str]], T]
    ) -> tuple[Plan, T | None]:
        """What files answer that were compared with their checksums.

        Args:
            plan: of :meth:`plan`.
            ask: asks DuckDB, given the plan, a connection and the files' paths; may be called again.

        Returns:
            The plan that was followed, another one if an hour was written anew meanwhile, and the answer; None if no files are in it.

        Raises:
            CorruptError: a file is damaged.
            StorageFailedError: a file cannot be read.
        """
        if plan.files:
            self._journal.lost.check_places(plan.room, plan.broadcast, plan.within)
        while plan.files:
            try:
                return plan, ask(plan, self._duckdb(), self._believed(plan))
            except (CorruptError, duckdb.Error) as error:
                self._tell_damage(plan, error)
                fresh = self.plan(plan.room, plan.broadcast, plan.within)
                if fresh.files != plan.files:
                    plan = fresh
                elif isinstance(error, CorruptError):
                    raise
                else:
                    raise CorruptError(plan.files[0].path, f"DuckDB: {type(error).__name__}") from error
            except OSError as error:  # the disk refuses, which says nothing of what is on it
                raise StorageFailedError from error
        return plan, None

    def _tell_damage(self, plan: Plan, error: Exception) -> None:
        """Name a damaged file to whoever can see to it: if the journal has its rows, its hours are read there from now on."""
        if not isinstance(error, CorruptError) or self.on_damaged is None:
            return
        for file in plan.files:
            if file.path == error.what:
                try:
                    self.on_damaged(file, error.detail)
                except StoreError:
                    _log.warning("damage_not_noted", path=file.path)

    def messages_page(
        self,
        room: str,
        broadcast: int,
        start_us: int,
        end_us: int,
        *,
        after_place: tuple[int, int] | None = None,
        limit: int = 1_000,
    ) -> list[Event]:
        """One page of a range, after a place.

        Raises:
            CorruptError: a file or row is damaged.
        """
        start_us = start_us if after_place is None else max(start_us, after_place[0])
        if start_us >= end_us:
            return []
        plan = self.plan(room, broadcast, Range(start_us, end_us))
        return self.read(plan, after=after_place, limit=limit)

    def _believed(self, plan: Plan) -> list[str]:
        """Paths of a plan's files, each compared with its checksum since it was last written."""
        for file in plan.files:
            seen = (file.path, *self._touched(file))
            if seen not in self._verified:
                verify_file(self._files.root, file)
                if len(self._verified) >= VERIFIED_MAX:
                    self._verified.clear()
                self._verified.add(seen)
        return [str((self._files.root / file.path).absolute()) for file in plan.files]

    def _rows(
        self,
        plan: Plan,
        connection: duckdb.DuckDBPyConnection,
        paths: list[str],
        after: tuple[int, int] | None,
        limit: int,
    ) -> list[Event]:
        text, values = _FOUND, [paths, plan.within.start_us, plan.within.end_us]
        if after is not None:
            text, values = text + _AFTER, [*values, after[0], after[0], after[1]]
        if limit >= 0:  # else they are sorted here: DuckDB takes a millisecond to sort twenty rows
            text, values = text + _FIRST, [*values, limit]
        found = connection.execute(text, values)
        return self.events(
            plan.room,
            self._journal.paced(row for part in iter(partial(found.fetchmany, PIECE_ROWS), []) for row in part),
        )

    def events(self, room: str, rows: Iterable[tuple[Any, ...]]) -> list[Event]:
        """Events of rows whose columns are :data:`EVENT_COLUMNS`."""
        rows = list(rows)
        named = {(row[_AUTHOR_KEY], row[_NAME_VERSION]) for row in rows if row[_AUTHOR_KEY] is not None}
        self._journal.know_authors(room, named)
        return [self._event(dict(zip(EVENTS.names, row, strict=True))) for row in self._journal.paced(rows)]

    def _touched(self, file: ArchiveFile) -> tuple[int, int]:
        """When a file was last written and how long it is: a file that was touched since is verified again."""
        try:
            found = (self._files.root / file.path).stat()
        except FileNotFoundError as error:
            raise CorruptError(file.path, "the file is missing") from error
        return found.st_mtime_ns, found.st_size

    def _event(self, row: dict[str, Any]) -> Event:
        key, version = row["author_key"], row["name_version"]
        return event_from(row, None if key is None else self._journal.author(row["room"], key, version, row["role"]))

    def _duckdb(self) -> duckdb.DuckDBPyConnection:
        connection: duckdb.DuckDBPyConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = open_duckdb(self._files.archive.absolute())
        return connection
