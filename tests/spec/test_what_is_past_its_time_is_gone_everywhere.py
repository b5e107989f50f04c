"""What is past its time is gone everywhere: whole broadcasts, from memory, from every list and from every byte on disk."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chatsync.chat.event import Author
from chatsync.instants import DAY_US
from chatsync.service.clock import ManualClock
from chatsync.simulation import Scenario
from chatsync.store.opening import open_store
from chatsync.store.verifying import verify_store
from tests.scanning import files_with
from tests.stage import START_US, Stage, stage

WORDS = "what was said a year ago"
FINE = "what was said today"
ANN = Author(key="b" * 16, name="Annabel Weber")
BOB = Author(key="c" * 16, name="Robert Weber")
GONE = (WORDS, "Annabel", ANN.key)


async def _lesson(it: Stage, scenario: Scenario, words: str, *authors: Author) -> dict[str, Any]:
    """A lecture of a minute, sealed, archived and closed: messages, a pin, a question, a hidden message."""
    await it.stream(scenario, 10)
    first = await it.say(words, author=authors[0])
    for author in authors:
        await it.say(f"{words}, by {author.key}", author=author)
    await it.say(f"{words}?", author=authors[0], kind="question")
    rude = await it.say(f"{words}, rude", author=authors[0])
    await it.act("pin", target=first["offset"])
    await it.act("hide", target=rude["offset"])
    await it.stream(scenario, 50)
    await it.seal()
    await it.room().close_broadcast()
    it.advance(900)
    await it.seal()
    await it.hub.archiving._archive_rooms({"class"})
    return dict(await it.chat(query="from_ms=0"))


async def _live_on(it: Stage, days: int) -> None:
    """Days pass, some at a time; the relay looks at what is past its time, as it would every hour."""
    while days > 0:
        step = min(6, days)
        days -= step
        it.advance(86_400 * step)
        for running in it.hub.rooms.values():
            await running.live.receive_tick()
        await it.hub.retention.sweep()


def _later(days: int) -> Scenario:
    return Scenario(START_US + days * DAY_US)


async def test_a_broadcast_that_is_past_its_time_is_nowhere(tmp_path: Path) -> None:
    """A year after its last event everything of it is gone; what came later stays, and so does who spoke again."""
    async with stage(tmp_path) as it:
        old = await _lesson(it, _later(0), WORDS, ANN, BOB)
        assert old["slices"]
        urls = [f"{old['base']}1/{_name(entry)}" for entry in old["slices"]]
        await _live_on(it, 300)
        await _lesson(it, Scenario(it.now_us), FINE, BOB)
        await _live_on(it, 64)
        assert files_with(tmp_path / "data", *GONE)
        assert 200 == (await it.get(urls[0])).status_code
        async with it.connected() as viewer:
            await viewer.hello(None)
            await _live_on(it, 2)
            assert [] == files_with(tmp_path / "data", *GONE)
            assert {404} == {(await it.get(url)).status_code for url in urls}
            assert [] == (await it.chat(query="broadcast=1&from_ms=0"))["slices"]
            assert [2] == [one["broadcast"] for one in (await it.chat(query="from_ms=0"))["broadcasts"]]
            async with it.connected() as late:
                told = str(await late.hello(None, last=200))
                assert FINE in told
                assert not [word for word in GONE if word in told]
        assert FINE in str(await it.replayed(broadcast=2))
        assert "Robert" in str(await it.replayed(broadcast=2))
        ((room, _, broadcast, record),) = it.hub.catalog.deletions()
        assert ("class", 1, 1) == (room, broadcast, record["names"])
        assert record["events"] >= 6
        assert it.hub.journal.verify("class")
    with open_store(tmp_path / "data") as store:
        assert [] == store.journal.open_report
        assert [] == verify_store(store)["damaged"]
        assert [2] == [record["number"] for record in store.catalog.broadcast_records("class", last=-1)]


def _name(entry: Any) -> str:
    return f"{entry['start_ms']}-{entry['end_ms']}.e{entry['epoch']}.r{entry['revision']}.json"


async def test_the_last_broadcast_goes_too_and_its_number_is_not_given_again(tmp_path: Path) -> None:
    """A room that nobody used since is empty, its log goes on where it was, and its next broadcast has the next number."""
    async with stage(tmp_path) as it:
        await _lesson(it, _later(0), WORDS, ANN)
        head = it.hub.journal.head("class")
        await _live_on(it, 367)
        assert [] == files_with(tmp_path / "data", *GONE)
        assert [] == it.room().edge.to_wire()["pinned"]
        assert [] == await it.replayed()
        clock = it.clock
    async with stage(tmp_path, clock=clock) as it:
        assert [] == it.hub.journal.open_report
        assert head == it.hub.journal.head("class")
        await it.stream(Scenario(it.now_us), 10)
        said = await it.say(FINE, author=ANN)
        assert (2, True) == (it.room().broadcasts.current.number, said["offset"] > head.offset)
        await it.stream(Scenario(it.now_us), 60)
        await it.seal()
        assert "Annabel" in str(await it.replayed())
        assert it.hub.journal.verify("class")


async def test_who_was_away_starts_afresh(tmp_path: Path) -> None:
    """A client that comes back to a position that is gone is told to start anew, not that nothing was missed."""
    async with stage(tmp_path) as it:
        await _lesson(it, _later(0), WORDS, ANN)
        async with it.connected() as viewer:
            position = (await viewer.hello(None, last=1))["position"]
        await it.say(WORDS)
        await _live_on(it, 367)
        async with it.connected() as viewer:
            await viewer.hello(None, after=position)
            assert "reset" == viewer.frames[0]["type"]


async def test_what_is_on_is_never_deleted(tmp_path: Path) -> None:
    """However long nothing was said in it, the broadcast that is on keeps all it has."""
    async with stage(tmp_path) as it:
        await it.stream(_later(0), 10)
        await it.say(WORDS, author=ANN)
        for _ in range(100):
            it.advance(4 * 86_400)
            await it.hub.retention.sweep()
        await it.seal()
        assert WORDS in str(await it.replayed())
        assert [] == it.hub.catalog.deletions()


@pytest.mark.parametrize(
    ("node", "room", "kept"),
    [(365, None, False), ("forever", None, True), (1, "forever", True), ("forever", 30, False)],
)
async def test_a_room_keeps_as_long_as_it_says(tmp_path: Path, node: Any, room: Any, kept: bool) -> None:
    """Its own setting holds, else the node's; for ever only where that is written."""
    rooms = {"class": {"public": True, "retention_days": room}}
    async with stage(tmp_path, rooms, retention_days=node) as it:
        await it.say(WORDS, author=ANN)
        await _live_on(it, 400)
        assert kept == bool(files_with(tmp_path / "data", *GONE))
    async with stage(tmp_path, {}, clock=it.clock, retention_days=node) as it:  # nobody serves the room any more
        await _live_on(it, 400)
        assert kept == bool(files_with(tmp_path / "data", *GONE))


async def test_a_clock_that_leaps_deletes_nothing_at_once(tmp_path: Path) -> None:
    """Set years ahead while the relay runs, or while it is stopped: a day passes before anything goes, time to set it right."""
    async with stage(tmp_path, {"class": {"public": True}}) as it:
        await it.say(WORDS, author=ANN)
        await _live_on(it, 3)
        it.clock.step_system(800 * DAY_US)
        await _live_on(it, 5)
        assert files_with(tmp_path / "data", WORDS)
        wall_us = it.clock.wall_us()
    wrong = ManualClock(wall_us=wall_us + 800 * DAY_US)
    async with stage(tmp_path, {"class": {"public": True}}, clock=wrong) as it:
        await it.hub.retention.sweep()
        it.advance(23 * 3_600)
        await it.hub.retention.sweep()
        assert files_with(tmp_path / "data", WORDS)
    async with stage(tmp_path, {"class": {"public": True}}, clock=ManualClock(wall_us=wall_us + DAY_US)) as it:
        await _live_on(it, 3)
        assert files_with(tmp_path / "data", WORDS)
        assert [] == it.hub.catalog.deletions()


async def test_the_relay_that_was_killed_meanwhile_finishes_it(tmp_path: Path) -> None:
    """Killed when the deletion had begun: the next start finishes it, even if the room keeps for ever by now."""
    async with stage(tmp_path) as it:
        await _lesson(it, _later(0), WORDS, ANN)
        await _live_on(it, 364)
        it.hub.retention._finish_all = _nothing  # type: ignore[method-assign]
        await _live_on(it, 2)
        clock = it.clock
    assert files_with(tmp_path / "data", WORDS)
    async with stage(tmp_path, clock=clock, retention_days="forever") as it:
        await it.hub.retention.sweep()
        assert [] == files_with(tmp_path / "data", *GONE)
        assert [] == (await it.chat(query="broadcast=1&from_ms=0"))["slices"]


async def _nothing() -> None:
    """A relay that was killed does nothing more."""


async def test_people_talk_on_while_it_goes(tmp_path: Path) -> None:
    """What is said during a deletion is acknowledged, kept and sealed."""
    async with stage(tmp_path) as it:
        await _lesson(it, _later(0), WORDS, ANN)
        await it.stream(Scenario(it.now_us), 10)
        await _live_on(it, 365)
        it.advance(86_400)
        sweeping = asyncio.create_task(it.hub.retention.sweep())
        said = [(await it.say(f"{FINE} {number}"))["offset"] for number in range(50)]
        await sweeping
        it.advance(120)
        await it.seal()
        assert len(said) == sum(FINE in str(event) for event in await it.replayed())
        assert it.hub.journal.verify("class")


def _expire(folder: Path, *words: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "chatsync", "expire", "--data", str(folder / "data"), "--json", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


async def test_a_folder_at_rest_is_cleared_by_the_command(tmp_path: Path) -> None:
    """It says what is past its time, asks about the clock, and deletes it; while a relay serves the folder it does not."""
    async with stage(tmp_path) as it:  # its clock stands more than a year ago
        await _lesson(it, _later(0), WORDS, ANN)
        assert 1 == _expire(tmp_path)[0]
    status, told = _expire(tmp_path, "--dry-run")
    assert (0, [("class", 1)]) == (status, [(one["room"], one["broadcast"]) for one in told["broadcasts"]])
    status, told = _expire(tmp_path)
    assert (1, True) == (status, "--trust-clock" in told)
    assert files_with(tmp_path / "data", WORDS)
    assert 0 == _expire(tmp_path, "--trust-clock", "another")[0]
    status, told = _expire(tmp_path, "--trust-clock")
    assert (0, [1]) == (status, [one["broadcast"] for one in told["broadcasts"]])
    assert [] == files_with(tmp_path / "data", *GONE)


async def test_a_room_that_sleeps_stays_asleep(tmp_path: Path) -> None:
    """What is past its time in a room nobody has asked for goes without the room being started."""
    rooms: dict[str, Any] = {"class": {"public": True}}
    async with stage(tmp_path, rooms) as it:
        await it.say(WORDS, author=ANN)
        for days in (1, 9):
            it.advance(days * 86_400)
            await it.room().receive_tick()
        await it.say(FINE, author=BOB)
        it.advance(900)
        await it.seal()
        await it.seal()
        clock = it.clock
    async with stage(tmp_path, rooms, clock=clock, asleep=True) as it:
        assert {} == it.hub.rooms
        await _live_on(it, 360)
        assert {} == it.hub.rooms
        assert [] == files_with(tmp_path / "data", *GONE)
        assert files_with(tmp_path / "data", BOB.key)
        await it.hub.woken("class")
        assert FINE in str(await it.replayed(broadcast=3))
