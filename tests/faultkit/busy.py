"""A relay that does everything at once, for processes that are about to lose their disk: say, hide, seal, archive.

Owns: one life of such a process and the lines it tells of it. Does not know: when or how it ends.
Everything but sockets is the relay's own (``tests.stage``); what is told is told after the ack.

Lines, each written whole: ``ack room number offset program_ms stamp``, ``hidden room number``, ``begin what``, ``end what``,
``up`` once it is open, ``broken text`` if something failed or was warned of.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import traceback
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import structlog

from chatsync.chat.event import Author
from chatsync.instants import ms_from_us
from chatsync.service.clock import ManualClock
from tests.faultkit.ledger import id_of, text_of
from tests.stage import Stage, stage

__all__ = ["AUTHORS", "ROOMS", "Task", "live"]

ROOMS = ("math", "art")
_WRITERS = 6
_IN_FLIGHT = 8  # of each of them
AUTHORS = [Author(key=f"{number:016x}", name=f"Student {number}") for number in range(_WRITERS)]
_MODERATOR = Author(key="f" * 16, name="Max", role="moderator")


@dataclass(frozen=True, slots=True)
class Task:
    """What one life is to do.

    Attributes:
        folder: where the data folder lies or will lie.
        seed: of what is random here.
        start_us: where its clock starts.
        numbers: messages it may say.
        targets: (room, number, offset) of what it may hide, once each.
    """

    folder: Path
    seed: int
    start_us: int
    numbers: range
    targets: list[tuple[str, int, int]]


class _Life:
    def __init__(self, it: Stage, pipe: int, task: Task) -> None:
        self._it, self._pipe, self._task = it, pipe, task
        self._numbers = iter(task.numbers)
        self._chance = random.Random(task.seed)

    def tell(self, *words: object) -> None:
        os.write(self._pipe, f"{' '.join(map(str, words))}\n".encode())

    @contextlib.contextmanager
    def _telling(self, what: str) -> Iterator[None]:
        self.tell("begin", what)
        yield
        self.tell("end", what)

    async def run(self) -> None:
        writing = [asyncio.create_task(self._write(author)) for author in AUTHORS]
        others = [asyncio.create_task(work()) for work in (self._seal, self._archive, self._hide)]
        await asyncio.gather(*writing, *others)

    async def _write(self, author: Author) -> None:
        while True:
            await asyncio.gather(*(self._say(next(self._numbers), author) for _ in range(_IN_FLIGHT)))

    async def _say(self, number: int, author: Author) -> None:
        room = ROOMS[number % len(ROOMS)]
        said = await self._it.say(text_of(number), room, id=id_of(number), author=author)
        self.tell("ack", room, number, said["offset"], ms_from_us(said["program_us"]), said["stamp"].stamp)

    async def _seal(self) -> None:
        while True:
            await asyncio.sleep(0.004)
            self._it.advance(self._chance.choice((1, 20, 70)))
            for room in ROOMS:
                with self._telling("seal"):
                    await self._it.seal(room)

    async def _archive(self) -> None:
        archive: Any = self._it.hub.archiving._archive
        while True:
            await asyncio.sleep(self._chance.uniform(0.0, 0.03))
            with self._telling("archive"):
                await asyncio.to_thread(archive.archive_now)

    async def _hide(self) -> None:
        for room, number, offset in self._task.targets:
            await asyncio.sleep(0.005)
            with self._telling("hide"):
                await self._it.act("hide", room, target=offset, reason="unkind")
            self.tell("hidden", room, number)


def live(told: Connection, task: Task) -> None:
    """Open the data folder and work until killed. Runs in a process of its own; ``told`` is where its lines go."""
    pipe = told.fileno()

    def tell_warnings(_: Any, level: str, event: MutableMapping[str, Any]) -> Any:
        if level in {"warning", "error", "critical"}:
            os.write(pipe, f"broken {event!r}\n".encode())
        raise structlog.DropEvent

    structlog.configure(processors=[tell_warnings])
    try:
        asyncio.run(_live(pipe, task))
    except (Exception, SystemExit):
        text = traceback.format_exc().replace("\n", "\\n")
        os.write(pipe, f"broken {text[-3500:]}\n".encode())


async def _live(pipe: int, task: Task) -> None:
    clock = ManualClock(wall_us=task.start_us)
    async with stage(task.folder, {room: {"public": True} for room in ROOMS}, clock=clock) as it:
        os.write(pipe, b"up\n")
        await _Life(it, pipe, task).run()
