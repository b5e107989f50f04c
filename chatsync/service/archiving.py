"""Archiving: hours of program time that changed are written as Parquet, in the background.

Owns: when an hour is written, and when what is past its time is forgotten. Does not know: how (``store.archive``). Source: contract §6.
"""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Awaitable, Callable
from functools import partial

import pyarrow as pa
import structlog

from chatsync.errors import StoreError
from chatsync.instants import HOUR_US
from chatsync.service.clock import Clock
from chatsync.store.erasing import Eraser
from chatsync.store.journal import HIDDEN_TEXT_US
from chatsync.store.opening import Store
from chatsync.store.pruning import prune

__all__ = ["ARCHIVE_EVERY_S", "Archiving", "give_back_memory"]

ARCHIVE_EVERY_S = 600  # a program hour is written at most so often while it changes

_log = structlog.get_logger(__name__)


class Archiving:
    """Writes changed hours every ten minutes, and a broadcast's at its end.

    Args:
        store: the parts of the data folder.
        clock: for what is past its time, which no jump of the system's clock may shorten: steady.

    Attributes:
        hourly: what else is done once an hour, before files are merged.
        store: the parts of the data folder.
        eraser: finds and erases people; erasures that were interrupted are finished here.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._archive, self._journal, self._writer, self._clock = store.archive, store.journal, store.writer, clock
        self.store = store
        self.eraser = Eraser(store)
        self.hourly: list[Callable[[], Awaitable[None]]] = []
        self._wanted: set[tuple[str, int]] = set()
        self._wake = asyncio.Event()
        self._small_due_us = 0  # monotonic

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
            await self._finish_erasures()
            if self._clock.monotonic_us() >= self._small_due_us:
                self._small_due_us = self._clock.monotonic_us() + HOUR_US
                await self._keep_small()
            await asyncio.to_thread(self._rest)

    def _rest(self) -> None:
        self._archive.rest()
        give_back_memory()

    async def _sweep(self) -> None:
        try:
            work = partial(self._journal.sweep, wall_us=self._clock.wall_us())
            await asyncio.wrap_future(self._writer.call(work))
        except StoreError as error:
            _log.warning("not_swept", code=error.code)
        except Exception:
            _log.exception("not_swept")

    async def _keep_small(self) -> None:
        """Merge files of quiet hours, let what is old and archived leave the journal, and what is damaged leave the quarantine."""
        for one in self.hourly:
            await one()
        wall_us = self._clock.wall_us()
        for name, work in (
            ("merged", partial(self._archive.merge_quiet, wall_us=wall_us)),
            ("pruned", partial(prune, self.store, wall_us=wall_us)),
            ("unquarantined", partial(self.store.files.clear_quarantine, before_us=wall_us - HIDDEN_TEXT_US)),
        ):
            try:
                count = await asyncio.to_thread(work)
                if count:
                    _log.info(name, count=count)
            except StoreError as error:
                _log.warning(f"not_{name}", code=error.code)
            except Exception:
                _log.exception(f"not_{name}")

    async def _finish_erasures(self) -> None:
        """Take up what a crash, a full disk or damage kept from being finished."""
        try:
            await asyncio.to_thread(self.eraser.finish_all, wall_us=self._clock.system_wall_us())
        except StoreError as error:
            _log.warning("erasure_waits", code=error.code)
        except Exception:
            _log.exception("erasure_waits")

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


def give_back_memory() -> None:
    """Let the system have what Arrow and the C library keep for later: 114 of 132 MiB after an hour of 120,000 messages."""
    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's own
    if trim is not None:
        trim(0)
