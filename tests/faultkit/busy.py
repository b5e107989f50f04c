"""A relay that does everything at once, for processes that are about to lose their disk.

It says, hides, seals, archives, merges quiet hours, lets rows leave the journal, and erases people.

Owns: one life of such a process and the lines it tells of it. Does not know: when or how it ends.
Everything but sockets is the relay's own (``tests.stage``); what is told is told after the ack.

Lines, each written whole: ``ack room number offset program_ms stamp``, ``hidden room number``, ``erased room guest``, ``begin what``,
``end what``, ``up`` once it is open, ``broken text`` if something failed or was warned of.

In each life there is a guest beside the students, who says every tenth message and is never there again: the one to erase later.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import traceback
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import structlog

from chatsync.chat.event import Author
from chatsync.instants import DAY_US, ms_from_us
from chatsync.service.clock import ManualClock
from chatsync.service.erasing import erase
from chatsync.store.pruning import prune
from chatsync.store.worker import Worker
from tests.faultkit.ledger import id_of, text_of
from tests.stage import Stage, stage

__all__ = ["AUTHORS", "NUMBERS", "ROOMS", "Task", "guest", "guest_of", "live"]

ROOMS = ("math", "art")
_WRITERS = 6
_IN_FLIGHT = 8  # of each of them
AUTHORS = [Author(key=f"{number:016x}", name=f"Student {number}") for number in range(_WRITERS)]
NUMBERS = 20_000  # messages one life may say


def guest_of(number: int) -> int | None:
    """Which guest says a message, named by their life; None if a student does."""
    return number // NUMBERS if number % 10 in {4, 7} else None


def guest(life: int) -> Author:
    """Who is a guest in a life; the name is nowhere else."""
    return Author(key=f"{0xA000_0000 + life:016x}", name=f"Guest-{life:06d}-of-one-life")


@dataclass(frozen=True, slots=True)
class Task:
    """What one life is to do.

    Attributes:
        folder: where the data folder lies or will lie.
        seed: of what is random here.
        start_us: where its clock starts.
        numbers: messages it may say.
        targets: (room, number, offset) of what it may hide, once each.
        guests: (room, guest) of whom it may erase, once each.
        has_worker: whether archive files are made in a process of their own, as a served relay does; else in this one, which is
            quicker there, so that the middle of it is hit more often.
        pause_s: how long a writer pauses at most between two batches. Without a pause everything else waits for the writers, and hardly
            any erasure comes to its end.
    """

    folder: Path
    seed: int
    start_us: int
    numbers: range
    targets: list[tuple[str, int, int]]
    guests: list[tuple[str, int]] = field(default_factory=list)
    has_worker: bool = False
    pause_s: float = 0.0


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
        works = (self._seal, self._archive, self._keep_small, self._hide, self._erase)
        await asyncio.gather(*writing, *(asyncio.create_task(work()) for work in works))

    async def _write(self, author: Author) -> None:
        while True:
            await asyncio.gather(*(self._say(next(self._numbers), author) for _ in range(_IN_FLIGHT)))
            if self._task.pause_s:
                await asyncio.sleep(self._chance.uniform(0.0, self._task.pause_s))

    async def _say(self, number: int, author: Author) -> None:
        room, life = ROOMS[number % len(ROOMS)], guest_of(number)
        author = author if life is None else guest(life)
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
        if self._task.has_worker:
            archive._maker = Worker(self._it.hub.files.root, archive._maker)
        while True:
            await asyncio.sleep(self._chance.uniform(0.0, 0.03))
            with self._telling("archive"):
                await asyncio.to_thread(archive.archive_now)

    async def _keep_small(self) -> None:
        """Two days later as far as these two look: what a life before has left is quiet and old."""
        archiving: Any = self._it.hub.archiving
        write = archiving._archive._write_span

        def merged(room: str, broadcast: int, span: Any, **clean: Any) -> int:
            with contextlib.nullcontext() if clean else self._telling("merge"):
                count: int = write(room, broadcast, span, **clean)
                return count

        archiving._archive._write_span = merged
        while True:
            await asyncio.sleep(self._chance.uniform(0.0, 0.05))
            wall_us = self._it.now_us + 2 * DAY_US
            await asyncio.to_thread(archiving._archive.merge_quiet, wall_us=wall_us)
            with self._telling("prune"):
                await asyncio.to_thread(partial(prune, archiving.store, wall_us=wall_us))

    async def _hide(self) -> None:
        for room, number, offset in self._task.targets:
            await asyncio.sleep(0.005)
            with self._telling("hide"):
                await self._it.act("hide", room, target=offset, reason="unkind")
            self.tell("hidden", room, number)

    async def _erase(self) -> None:
        """First what a cut has interrupted, as a relay does once slices are right again."""
        for room in ROOMS:
            await self._it.seal(room)
        with self._telling("finish"):
            await self._it.hub.archiving._finish_erasures()
        for room, life in self._task.guests:
            await asyncio.sleep(self._chance.uniform(0.0, 0.03))
            with self._telling("erase"):
                receipt = await erase(self._it.hub.room(room), self._it.hub.archiving.eraser, guest(life).key)
            assert 0 == receipt["left"]
            self.tell("erased", room, life)


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
