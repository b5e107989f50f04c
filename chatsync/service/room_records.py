"""What a room writes beside its log: reloads, segments, broadcasts, gaps, slices, recordings, marks.

Owns: one room's writes to the catalog. Does not know: what they mean. Most are hints for a restart or can be found again at the
next reload, so nobody waits for them; slices and recordings are waited for, because they are promised to readers.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

import structlog

from chatsync.errors import ChatsyncError
from chatsync.hls.timeline import Segment, Timeline
from chatsync.instants import Range
from chatsync.replay.broadcasts import Broadcast
from chatsync.store.catalog import Catalog, SliceRow
from chatsync.store.writer import Writer

__all__ = ["RoomRecords"]

_log = structlog.get_logger(__name__)


class RoomRecords:
    """The catalog rows of one room."""

    def __init__(self, room: str, catalog: Catalog, writer: Writer) -> None:
        self._room, self._catalog, self._writer = room, catalog, writer
        self._gaps: dict[int, list[tuple[Range, str]]] = {}

    async def settled(self) -> None:
        """Wait until all that was handed over so far is on disk, or is known not to be.

        Raises:
            StoreError: no commit succeeds.
        """
        await self._run(lambda _: None)

    def put_reload(
        self,
        timeline: Timeline,
        kind: str,
        current: Broadcast,
        pieces: Sequence[tuple[int, Sequence[Segment]]],
        *,
        wall_us: int,
        age_us: int,
        step_us: int,
    ) -> None:
        """Keep an observation and the new segments with their broadcasts; a lost one is found again at the next reload."""
        record = current.to_record()
        edge, runs = timeline.live_edge, timeline.runs

        def work(connection: sqlite3.Connection) -> None:
            self._catalog.put_broadcast(connection, self._room, record)
            self._catalog.put_segments(connection, self._room, runs, pieces)
            self._catalog.put_observation(
                connection,
                self._room,
                wall_us=wall_us,
                age_us=age_us,
                edge=edge,
                kind=kind,
                broadcast=current.number,
                step_us=step_us,
            )

        self._writer.submit(work, _log_failure)

    def put_broadcasts(self, broadcasts: Sequence[Broadcast]) -> None:
        """Keep how broadcasts stand."""
        records = [broadcast.to_record() for broadcast in broadcasts]

        def work(connection: sqlite3.Connection) -> None:
            for record in records:
                self._catalog.put_broadcast(connection, self._room, record)

        self._writer.submit(work, _log_failure)

    def gaps(self, broadcast: int) -> list[tuple[Range, str]]:
        """Stretches of program time without media, or in which we were not there, in order."""
        known = self._gaps.get(broadcast)
        if known is None:
            known = self._gaps[broadcast] = self._catalog.gaps(self._room, broadcast)
        return known

    def forget_gaps(self, broadcast: int) -> None:
        """A broadcast is past its time."""
        self._gaps.pop(broadcast, None)

    def put_gap(self, broadcast: int, within: Range, reason: str) -> None:
        """Keep a gap; one that is known by its start is longer by now."""
        known = self.gaps(broadcast)
        same = [at for at, (one, _) in enumerate(known) if one.start_us == within.start_us]
        if same:
            known[same[0]] = (within, reason)
        else:
            known.append((within, reason))
        self._writer.submit(
            lambda connection: self._catalog.put_gap(connection, self._room, broadcast, within, reason), _log_failure
        )

    def put_mark(self, name: str, value: int) -> None:
        """Remember a number for a restart."""
        self._writer.submit(
            lambda connection: self._catalog.put_mark(connection, self._room, name, value), _log_failure
        )

    async def store_mark(self, name: str, value: int) -> None:
        """Remember a number that others are told of.

        Raises:
            StoreError: it is not stored.
        """
        await self._run(lambda connection: self._catalog.put_mark(connection, self._room, name, value))

    async def put_recording(self, recording: str, record: dict[str, Any]) -> None:
        """Keep a recording's map.

        Raises:
            StoreError: it is not stored.
        """
        await self._run(lambda connection: self._catalog.put_recording(connection, self._room, recording, record))

    async def put_slice(self, row: SliceRow, version: int, finals_us: Sequence[int] = ()) -> None:
        """Record a slice or its new revision, and which polls are final by it; its file is on disk already.

        Raises:
            StoreError: it is not stored.
        """
        await self._run(lambda connection: self._catalog.put_slice(connection, self._room, row, version, finals_us))

    async def remove_slice(self, row: SliceRow, version: int) -> None:
        """Record that nothing is left in a slice.

        Raises:
            StoreError: it is not stored.
        """
        await self._run(lambda connection: self._catalog.remove_slice(connection, self._room, row, version))

    async def stored_slices(self, broadcast: int) -> tuple[list[SliceRow], dict[int, SliceRow], int]:
        """The slices of a broadcast as they stand on disk, as ``Catalog.slices``: a commit after all that was written has succeeded.

        Raises:
            StoreError: no commit succeeds.
        """
        await self.settled()
        return await asyncio.to_thread(self._catalog.slices, self._room, broadcast)

    def _run(self, work: Callable[[sqlite3.Connection], None]) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done(result: object) -> None:
            if future.cancelled():
                return
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(None)

        self._writer.submit(work, done)
        return future


def _log_failure(result: object) -> None:
    if isinstance(result, ChatsyncError):
        _log.warning("bookkeeping_not_stored", code=result.code)
    elif isinstance(result, BaseException):
        _log.error("bookkeeping_failed", error=type(result).__name__)
