"""Archiving: hours of program time that changed are written as Parquet, in the background.

Owns: when an hour is written, and when what is past its time is forgotten. Does not know: how (``store.archive``). Source: contract §6.
"""

from __future__ import annotations

import asyncio
from functools import partial

import structlog

from chatsync.errors import StoreError
from chatsync.service.clock import Clock
from chatsync.store.archive import Archive
from chatsync.store.journal import Journal
from chatsync.store.writer import Writer

__all__ = ["ARCHIVE_EVERY_S", "Archiving"]

ARCHIVE_EVERY_S = 600  # a program hour is written at most so often while it changes

_log = structlog.get_logger(__name__)


class Archiving:
    """Writes changed hours every ten minutes, and a broadcast's at its end."""

    def __init__(self, archive: Archive, journal: Journal, writer: Writer, clock: Clock) -> None:
        self._archive, self._journal, self._writer, self._clock = archive, journal, writer, clock
        self._wanted: set[tuple[str, int]] = set()
        self._wake = asyncio.Event()

    def want(self, room: str, broadcast: int) -> None:
        """A broadcast has closed: archive what it has now."""
        self._wanted.add((room, broadcast))
        self._wake.set()

    async def run(self) -> None:
        """Archive until cancelled."""
        while True:
            try:
                async with asyncio.timeout(ARCHIVE_EVERY_S):
                    await self._wake.wait()
                wanted, self._wanted = self._wanted, set()
            except TimeoutError:
                wanted = set()
            self._wake.clear()
            await self._sweep()
            self._writer.request_checkpoint()
            await self._archive_rooms({room for room, _ in wanted} or {None})

    async def _sweep(self) -> None:
        try:
            work = partial(self._journal.sweep, wall_us=self._clock.system_wall_us())
            await asyncio.wrap_future(self._writer.call(work))
        except StoreError as error:
            _log.warning("not_swept", code=error.code)
        except Exception:
            _log.exception("not_swept")

    async def _archive_rooms(self, rooms: set[str] | set[None]) -> None:
        for room in rooms:
            try:
                written = await asyncio.to_thread(self._archive.archive_now, room)
                _log.info("archived", room=room, files=written)
            except StoreError as error:
                _log.warning("archiving_failed", room=room, code=error.code)
            except (
                Exception
            ):  # a full disk speaks through Arrow too; what could not be written is written the next time
                _log.exception("archiving_failed", room=room)
