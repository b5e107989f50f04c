"""A relay that takes one step at a time when asked to, for processes whose system calls are about to fail.

Owns: the steps and the lines they tell. Does not know: faults. Everything but sockets is the relay's own (``tests.stage``).
Lines go through a socket, by ``sendto``: no call that is made to fail is used for telling.

Asked: ``round`` (say, hide, seal, archive, erase, merge, read), ``say``, ``again numbers…``. Told: ``up``, ``ack room number offset
program_ms stamp``, ``hidden room number``, ``refused number code``, ``erased room guest``, ``put_off room guest code``, ``unfinished
count`` of erasures, ``read status…``, ``withheld room code`` of a slice, ``done``, ``broken text``.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import sys
import traceback
import uuid
from collections.abc import MutableMapping
from typing import Any

import anyio._backends._asyncio  # noqa: F401 - else it is loaded at the end, by a call that may be made to fail
import structlog

from chatsync.errors import StoreError
from chatsync.instants import DAY_US, ms_from_us
from chatsync.service.clock import ManualClock
from chatsync.service.erasing import erase
from tests.faultkit.busy import AUTHORS, ROOMS, Task, guest, guest_of
from tests.faultkit.ledger import id_of, text_of
from tests.stage import Stage, slice_path, stage

__all__ = ["stepping"]

_MESSAGES = 8  # said at once in a round


def stepping(line: socket.socket, task: Task) -> None:
    """Open the data folder and take steps until killed. Runs in a process of its own."""

    def drop(_: Any, level: str, event: MutableMapping[str, Any]) -> Any:
        if level == "error" and "exception" in event:
            line.sendall(f"warned {event!r}\n".encode())
        raise structlog.DropEvent

    structlog.configure(processors=[structlog.processors.format_exc_info, drop])
    # httpx asks for it with every request, and looks for it on the disk if it is not there: by a call that may be made to fail.
    sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]
    try:
        asyncio.run(_stepping(line, task))
    except (Exception, SystemExit):
        line.sendall(f"broken {traceback.format_exc()!r}\n".encode())


async def _stepping(line: socket.socket, task: Task) -> None:
    clock = ManualClock(wall_us=task.start_us)
    async with stage(task.folder, {room: {"public": True} for room in ROOMS}, clock=clock) as it:
        steps = _Steps(it, line, task)
        steps.tell("up")
        while asked := await asyncio.to_thread(line.recv, 1 << 16):
            match asked.decode().split():
                case ["round"]:
                    await steps.round()
                case ["say"]:
                    await steps.say(next(steps.numbers))
                case ["again", *numbers]:
                    for number in numbers:
                        await steps.say(int(number))
            steps.tell("done")


class _Steps:
    def __init__(self, it: Stage, line: socket.socket, task: Task) -> None:
        self._it, self._line, self._task = it, line, task
        self.numbers = iter(task.numbers)
        self._guests = iter(task.guests)

    def tell(self, *words: object) -> None:
        self._line.sendall(f"{' '.join(map(str, words))}\n".encode())

    async def round(self) -> None:
        """What a relay does in a minute, in an order that is always the same."""
        await asyncio.gather(*(self.say(next(self.numbers)) for _ in range(_MESSAGES)))
        for room, number, offset in self._task.targets[:2]:
            await self._hide(room, number, offset)
        self._it.advance(70)
        await self.say(next(self.numbers))
        for room in ROOMS:
            await self._it.sealer(room)._try_to_seal()
        await self._it.hub.archiving._archive_rooms({None})
        await self._erase()
        await self._merge()
        await self.say(next(self.numbers))
        await self._read()

    async def _erase(self) -> None:
        """First what was put off; then one more guest."""
        await self._it.hub.archiving._finish_erasures()
        for room, life in itertools.islice(self._guests, 1):
            running = self._it.hub.room(room)
            try:
                await erase(running, self._it.hub.archiving.eraser, guest(life).key)
            except StoreError as error:
                self.tell("put_off", room, life, error.code, *getattr(error, "left", ()))
            else:
                self.tell("erased", room, life)
        try:
            rows = self._it.hub.journal.read("SELECT 1 FROM erasures WHERE done_wall_us IS NULL")
        except StoreError:
            return
        self.tell("unfinished", len(rows))

    async def _merge(self) -> None:
        """Two days later, as far as this looks: what lives before have left is quiet."""
        merge = self._it.hub.archiving._archive.merge_quiet
        try:
            await asyncio.to_thread(merge, wall_us=self._it.now_us + 2 * DAY_US)
        except StoreError:
            return

    async def say(self, number: int) -> None:
        """One message: an ack or a refusal."""
        room, life = ROOMS[number % len(ROOMS)], guest_of(number)
        author = AUTHORS[0] if life is None else guest(life)
        try:
            said = await self._it.say(text_of(number), room, id=id_of(number), author=author)
        except StoreError as error:
            self.tell("refused", number, error.code)
        else:
            self.tell("ack", room, number, said["offset"], ms_from_us(said["program_us"]), said["stamp"].stamp)

    async def _hide(self, room: str, number: int, offset: int) -> None:
        body = {"id": str(uuid.uuid4()), "action": "hide", "target": offset, "reason": "unkind"}
        answer = await self._it.post(f"/v1/rooms/{room}/actions", body, self._it.token(room, "staff", "moderator"))
        if answer.status_code == 200:
            self.tell("hidden", room, number)
        else:
            self.tell("refused", number, answer.json()["code"])

    async def _read(self) -> None:
        told = []
        for room in ROOMS:
            answers = [await self._it.get(f"/v1/rooms/{room}/messages?limit=5000")]
            answers.append(await self._it.get(f"/v1/rooms/{room}/chat.json?from_ms=0"))
            playlist = answers[-1].json()
            if answers[-1].status_code == 200 and playlist["slices"]:
                answer = await self._it.get(slice_path(playlist, playlist["slices"][0]))
                if answer.status_code in {503, 507}:  # a hide of it cannot be written: then it is not shown at all
                    self.tell("withheld", room, answer.json()["code"])
                else:
                    answers.append(answer)
            told += [answer.status_code for answer in answers]
        self.tell("read", *told)
