"""A person is erased in the end, the relay perhaps killed over it: nothing of them is left in the folder.

Owns: when it is done, what is looked for afterwards. Does not know: how it is done (reliability G7).
"""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from chatsync.errors import RoomRestartingError, StoreError, UnknownRoomError
from chatsync.service.erasing import erase
from tests.simulation.disk import POINTS

if TYPE_CHECKING:
    from tests.simulation.people import Person
    from tests.simulation.world import Process, World

__all__ = ["erase_somebody"]


async def erase_somebody(world: World, people: list[Person]) -> None:
    """Erase one who has spoken; a process serves and nobody says anything any more."""
    chance = world.chance("erasing")
    stored = {deed.key for deed in world.ledger.deeds.values() if deed.ack is not None}
    spoken = [person for person in people if person.key in stored]
    if not spoken:
        return
    person = chance.choice(spoken)
    world.ledger.erased.add(person.key)
    await world.pause(
        5
    )  # what they sent again when they came back is said: said after the erasure it would be of somebody new
    assert world.process is not None
    if chance.random() < 0.5:
        world.process.plan_death(chance.choice(list(POINTS)), chance.randrange(1, 20))
    world.trace(f"{person.name} is erased")
    for _ in range(300):
        process = world.process
        if process.is_ready:
            if _is_done(process, person.key):
                break
            if process.is_alive and not _is_known(process, person.key):
                task = process.task(_erase(process, person.key), f"erase {person.name}")
                await asyncio.wait({task, process.ended}, return_when=asyncio.FIRST_COMPLETED)
            else:  # the start after a kill takes it up with the next turn of the archive
                process.app.state.hub.archiving.want(world.room, 1)
        await world.pause(0.1)
    else:
        world.fail(f"the erasure of {person.name} comes to no end")
    world.note("erasures")
    left = sorted(_with(process.folder, person.name))
    if left:
        world.fail(f"{person.name} was erased and is still in {left}")


async def _erase(process: Process, author_key: str) -> None:
    hub = process.app.state.hub
    try:
        await erase(hub.room(process.world.room), hub.archiving.eraser, author_key)
    except (RoomRestartingError, StoreError, UnknownRoomError) as error:
        process.world.trace(f"not erased yet: {error.code}")


def _is_known(process: Process, author_key: str) -> bool:
    return bool(_found(process, author_key))


def _is_done(process: Process, author_key: str) -> bool:
    return any(done is not None for (done,) in _found(process, author_key))


def _found(process: Process, author_key: str) -> list[tuple[int | None]]:
    assert process.journal is not None
    found: list[tuple[int | None]] = process.journal.read(
        "SELECT done_wall_us FROM erasures WHERE author_key = ?", (author_key,)
    )
    return found


def _with(folder: Path, name: str) -> list[str]:
    """Files of a data folder that hold a name, packed or not: every word of theirs has it in it."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file():
            body = path.read_bytes()
            if path.suffix == ".gz":
                body = gzip.decompress(body)
            elif path.suffix == ".parquet":
                body += str(pq.ParquetFile(path).read().to_pylist()).encode()
            if name.encode() in body:
                found.append(path.name)
    return found
