"""Slices that no list names any more: their files are taken away, and whoever must know of it is told.

Owns: taking away, trying again while the disk refuses, the sweep after a crash. Does not know: which slices are listed, HTTP.
Source: contract §3; reliability G7.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from chatsync.store.catalog import SliceRow
from chatsync.store.files import Files

if TYPE_CHECKING:
    from chatsync.service.live_room import LiveRoom
    from chatsync.service.slice_index import SliceIndex

__all__ = ["OldSlices"]

_log = structlog.get_logger(__name__)


class OldSlices:
    """Of one room.

    Attributes:
        on_gone: told each revision that is over, once the relay gives it out no more; again when a file that the disk did not let go
            has gone. What is told must not wait.
    """

    def __init__(self, room: LiveRoom, files: Files) -> None:
        self._room, self._files = room, files
        self._left: list[SliceRow] = []
        self.on_gone: list[Callable[[SliceRow], None]] = []

    @property
    def is_left(self) -> bool:
        """Whether a file is still there that should not be."""
        return bool(self._left)

    async def remove(self, row: SliceRow) -> None:
        """Take a superseded file away; what the disk refuses is tried again with every pass."""
        try:
            await asyncio.to_thread(self._files.remove_slice, self._room.room, row, public=self._room.settings.public)
        except OSError as error:
            self._left.append(row)
            _log.warning("old_slice_not_removed", room=self._room.room, error=type(error).__name__)
        for told in self.on_gone:
            told(row)

    async def remove_left(self, is_listed: Callable[[SliceRow], bool]) -> None:
        """Try again; a revision that was never listed may have been written again meanwhile, and then it stays."""
        left, self._left = self._left, []
        for row in left:
            if not is_listed(row):
                await self.remove(row)

    def sweep(self, index: SliceIndex) -> None:
        """In a thread: remove files that no row names. Revisions that a crash kept from being removed may hold hidden text."""
        public = self._room.settings.public
        named = {self._files.slice_path(self._room.room, row, public=public).name for row in index.entries}
        self._files.sweep_slices(self._room.room, index.broadcast, named, public=public)
