"""A room's chat in a format of others, made by a process of its own: ``chatsync export``, whose bytes go to whoever asked.

Owns: how many are made at a time, in all and for one person, starting and ending that process. Does not know: formats, who may ask.

A large room takes a minute of computing. In a process beside it the relay's event loop and its threads lose nothing by that, and the command
and this answer cannot differ.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path

from chatsync.errors import NotFoundError, RateLimitedError, StorageFailedError, TooFewPeopleError
from chatsync.service.limit_table import EXPORTS_MAX, EXPORTS_PER_PERSON_MAX, EXPORTS_S_MAX

__all__ = ["Exporter", "environment"]

_PIECE_BYTES = 64 * 1024
_RETRY_MS = 5_000
_NOTHING_THERE = 2  # the command's status for what it was asked for and does not have
_TOO_FEW_PEOPLE = 3
_KEPT = (
    "PATH",
    "PYTHONPATH",
    "PYTHONHOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
)  # of the environment; the rest may hold secrets


def environment() -> dict[str, str]:
    """What a process that works for somebody outside is told of ours."""
    return {name: os.environ[name] for name in _KEPT if name in os.environ}


class Exporter:
    """Makes exports, a few at a time.

    Args:
        folder: the data folder.

    Attributes:
        seconds_max: how long one may take, its reader's slowness included.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.seconds_max: float = EXPORTS_S_MAX
        self._running: Counter[str] = Counter()  # by person

    async def export(self, room: str, options: Sequence[str], *, person: str) -> AsyncIterator[bytes]:
        """The file, a piece at a time; its first piece, or what was wrong, is there when this returns.

        Args:
            room: a room's id.
            options: of ``chatsync export``, each ``--name=value``.
            person: whose it is; somebody who reads slowly keeps nobody else's place.

        Raises:
            NotFoundError: nothing was said there yet.
            TooFewPeopleError: fewer people wrote there than the options want.
            RateLimitedError: as many as may are being made, in all or for this person.
            StorageFailedError: it could not be made; what was wrong is in the log of the process.
        """
        if self._running.total() >= EXPORTS_MAX or self._running[person] >= EXPORTS_PER_PERSON_MAX:
            raise RateLimitedError(_RETRY_MS)
        self._running[person] += 1
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "chatsync", "export", f"--archive={self._folder}", *options, "--", room),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                env=environment(),
                start_new_session=True,
            )
        except OSError as error:
            self._give_back(person)
            raise StorageFailedError(f"export: {error.strerror}") from error
        pieces = self._pieces(process, person)
        try:
            first = await anext(pieces, b"")
        except BaseException:
            await pieces.aclose()
            raise
        return _with(first, pieces)

    def _give_back(self, person: str) -> None:
        self._running -= Counter((person,))  # whoever has none left is forgotten

    async def _pieces(self, process: asyncio.subprocess.Process, person: str) -> AsyncGenerator[bytes, None]:
        """What the process writes; one that fails raises, so that nobody takes half a file for a whole one."""
        assert process.stdout is not None
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self.seconds_max
        has_some = False
        try:
            # Each read has what is left of the time: a block around all of them would begin in one task and end in another.
            while piece := await asyncio.wait_for(process.stdout.read(_PIECE_BYTES), until_s - loop.time()):
                has_some = True
                yield piece
            status = await process.wait()
            if status == _NOTHING_THERE and not has_some:
                raise NotFoundError("chat")
            if status == _TOO_FEW_PEOPLE and not has_some:
                raise TooFewPeopleError
            if status:
                raise StorageFailedError("the export")
        except TimeoutError as error:
            raise StorageFailedError("the export: it took too long") from error
        finally:
            self._give_back(person)
            with suppress(ProcessLookupError):
                process.kill()
            await asyncio.shield(process.wait())


async def _with(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    try:
        yield first
        async for piece in rest:
            yield piece
    finally:
        await rest.aclose()
