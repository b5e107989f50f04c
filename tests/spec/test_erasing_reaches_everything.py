"""Erasing a person takes their words and names out of everything, and nothing of them is left on disk (reliability G7)."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from chatsync.chat.event import Author
from chatsync.instants import SECOND_US
from chatsync.simulation import Scenario
from tests.stage import START_US, Stage, stage

LECTURE = Scenario(START_US)
WORDS = "what Annabel alone would say"
FINE = "something else"
ANN = Author(key="b" * 16, name="Annabel Weber")
WANTED = (WORDS, "Annabel")


def _bytes_with(folder: Path, *words: str) -> list[str]:
    """Every file of the data folder that holds one of these words, packed or not; nothing is left out."""
    found = []
    for path in sorted((folder / "data").rglob("*")):
        if not path.is_file():
            continue
        bodies = [path.read_bytes()]
        if ".gz" in path.suffixes and not path.name.endswith(".note.json"):
            bodies.append(gzip.decompress(bodies[0]))
        if path.suffix == ".parquet":
            bodies.append(str(pq.ParquetFile(path).read().to_pylist()).encode())
        if any(word.encode() in body for word in words for body in bodies):
            found.append(path.name)
    return found


async def _lesson(it: Stage) -> list[int]:
    """Ann speaks, asks, raises a hand and is quoted by a pin, in two slices; another speaks too. Offsets of what is hers."""
    await it.stream(LECTURE, 10)
    first = (await it.say(WORDS, author=ANN))["offset"]
    await it.say(FINE)
    pin = (await it.act("pin", target=first))["offset"]
    await it.stream(LECTURE, 640, step_s=10)
    question = (await it.say(f"{WORDS}?", author=ANN, kind="question"))["offset"]
    hand = (await it.say("", author=ANN, kind="hand_raised"))["offset"]
    await it.say(FINE)
    await it.stream(LECTURE, 640, step_s=10)
    await it.seal()
    last = (await it.say(f"{WORDS} at last", author=ANN))["offset"]
    return [first, pin, question, hand, last]


async def _erase(it: Stage, author: str = ANN.key) -> Any:
    token = it.hub.authority.mint("operator", wall_us=it.clock.system_wall_us(), rooms=("class",), admin=True)
    path = f"/v1/rooms/class/authors/{author}"
    return await it.http.delete(path, headers={"Authorization": f"Bearer {token}"})


async def _everything(it: Stage) -> str:
    """All that anyone may read by now, names included."""
    listed = (await it.get("/v1/rooms/class/messages")).json()
    at = (await it.get(f"/v1/rooms/class/at?program_ms={(START_US + 1200 * SECOND_US) // 1000}")).json()
    playlist = await it.chat(query="from_ms=0")
    slices = [(await it.slice(playlist, entry)).text for entry in playlist["slices"]]
    return str((await it.replayed(), listed, at, slices))


async def test_an_erased_person_is_nowhere(tmp_path: Path) -> None:
    """Sealed, archived, pinned, at the edge: gone live, from slices, lists, state, archive and every byte of the folder."""
    async with stage(tmp_path) as it:
        theirs = await _lesson(it)
        await it.hub.archiving._archive_rooms({"class"})
        assert WORDS in await _everything(it)
        aside = next((tmp_path / "data" / "slices").rglob("*.json.gz"))
        packed = aside.read_bytes()
        it.hub.files.quarantine(aside, "tried")
        aside.write_bytes(packed)  # as it is when it was made again
        assert _bytes_with(tmp_path, *WANTED)
        async with it.connected() as viewer:
            await viewer.hello(None)
            answer = await _erase(it)
            assert 200 == answer.status_code, answer.text
            await viewer.until(lambda: set(theirs) <= set(viewer.gone))
            async with it.connected() as late:
                assert not [word for word in WANTED if word in str(await late.hello(None, last=100))]
        receipt = answer.json()
        assert (len(theirs), 3, 1, 0) == tuple(receipt[name] for name in ("events", "messages", "names", "left"))
        assert [] == _bytes_with(tmp_path, *WANTED)
        shown = await _everything(it)
        assert not [word for word in WANTED if word in shown]
        assert FINE in shown
        assert it.hub.journal.verify("class")
        assert [] == it.hub.archiving._archive.verify()


async def test_the_relay_that_was_killed_meanwhile_finishes_it(tmp_path: Path) -> None:
    """Killed between the event and the files: the next start revises slices, and its first round of archiving does the rest."""
    async with stage(tmp_path) as it:
        await _lesson(it)
        await it.hub.archiving._archive_rooms({"class"})
        it.sealer().seal = _nothing  # type: ignore[method-assign]
        it.hub.archiving.eraser.finish = _interrupted  # type: ignore[method-assign]
        assert 503 == (await _erase(it)).status_code
        clock = it.clock
    assert _bytes_with(tmp_path, WORDS)
    async with stage(tmp_path, clock=clock) as it:
        await it.seal()
        await it.hub.archiving._finish_erasures()
        shown = await _everything(it)
        assert not [word for word in WANTED if word in shown]
        assert [] == _bytes_with(tmp_path, *WANTED)


async def _nothing() -> None:
    """A relay that was killed writes no more slices."""


def _interrupted(*_: Any, **__: Any) -> Any:
    from chatsync.errors import StorageFailedError

    raise StorageFailedError


async def test_what_is_known_of_a_person_is_told_to_the_administrator_only(tmp_path: Path) -> None:
    """Names and counts, no words; nobody else, and nothing of somebody who was never there."""
    async with stage(tmp_path) as it:
        theirs = await _lesson(it)
        path = f"/v1/rooms/class/authors/{ANN.key}"
        admin = it.hub.authority.mint("operator", wall_us=it.clock.system_wall_us(), rooms=("class",), admin=True)
        known = (await it.get(path, admin)).json()
        assert (["Annabel Weber"], len(theirs) - 1) == (known["names"], known["events"])
        assert WORDS not in str(known)
        assert 401 == (await it.get(path)).status_code
        assert 401 == (await it.get(path, it.token("class", "host", "host"))).status_code
        assert 404 == (await _erase(it, "nobody")).status_code
