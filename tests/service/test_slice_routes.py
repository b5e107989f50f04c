"""The read path over HTTP: what is not there is 404, what was replaced is 410, and nothing a stranger asks for costs memory."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from chatsync.service import sealing
from chatsync.simulation import Scenario
from chatsync.store.catalog import SliceRow
from tests.stage import START_US, stage

OPEN = {"class": {"public": True}}
FAR = "9" * 20


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("slices/7/0-1000.e1.r1.json", 404),
        ("slices/0/0-1000.e1.r1.json", 404),
        (f"slices/{FAR}/0-1000.e1.r1.json", 404),
        (f"slices/{FAR}/open.json?from_ms=0", 404),
        ("at?program_ms=0&broadcast=7", 404),
        ("messages?broadcast=7", 404),
        ("chat.json?broadcast=7", 404),
        (f"slices/1/open.json?from_ms={FAR}", 422),
        (f"at?program_ms={FAR}", 422),
        (f"messages?from_ms=-{FAR}", 422),
        (f"chat.json?to_ms={FAR}", 422),
    ],
)
async def test_a_broadcast_that_never_was_and_a_time_beyond_all_clocks(tmp_path: Path, path: str, status: int) -> None:
    """Both are the client's error, in problem JSON, never ours."""
    async with stage(tmp_path, OPEN) as it:
        answer = await it.get(f"/v1/rooms/class/{path}")
        assert status == answer.status_code
        assert "application/problem+json" == answer.headers["content-type"]


async def test_asking_for_broadcasts_that_never_were_leaves_nothing(tmp_path: Path) -> None:
    """No memory is spent on them, and a broadcast that comes later is not taken for sealed already."""
    async with stage(tmp_path, OPEN) as it:
        for number in range(2, 30):
            await it.get(f"/v1/rooms/class/slices/{number}/0-1000.e1.r1.json")
        await it.seal()
        assert it.hub.catalog.mark("class", "sealed_until_us.2") is None


async def test_readers_of_one_slice_at_once_fill_the_cache_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many who miss the cache together do not use up its room: the slice is in memory afterwards."""
    async with stage(tmp_path) as it:
        scenario = Scenario(START_US)
        await it.stream(scenario, 20)
        await it.say("one")
        await it.stream(scenario, 700)
        await it.seal()
        playlist = await it.chat(query="from_ms=0")
        (entry,) = playlist["slices"]
        (file,) = (tmp_path / "data" / "slices").rglob("*.json.gz")
        monkeypatch.setattr(sealing, "PACKED_BYTES_MAX", 2 * file.stat().st_size)
        answers = await asyncio.gather(*(it.slice(playlist, entry) for _ in range(10)))
        file.unlink()
        answers.append(await it.slice(playlist, entry))
        assert {200} == {answer.status_code for answer in answers}


async def test_a_slice_that_is_revised_while_it_is_read_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file is away when the reader gets to it: 410 with the present revision, not an error of the store."""
    async with stage(tmp_path) as it:
        scenario = Scenario(START_US)
        await it.stream(scenario, 20)
        said = await it.say("one")
        await it.say("two")
        await it.stream(scenario, 700)
        await it.seal()
        playlist = await it.chat(query="from_ms=0")
        (entry,) = playlist["slices"]
        packed = it.sealer().packed

        async def after_a_hide(row: SliceRow) -> bytes:
            await it.act("hide", target=said["offset"])
            await it.seal()
            return await packed(row)

        monkeypatch.setattr(it.sealer(), "packed", after_a_hide)
        answer = await it.slice(playlist, entry)
        assert (410, entry["revision"] + 1) == (answer.status_code, answer.json().get("revision"))
