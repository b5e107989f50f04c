"""The read path over HTTP: what is not there is 404, what was replaced is 410, and nothing a stranger asks for costs memory."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest

from chatsync.service import packed_slices
from chatsync.simulation import Scenario
from chatsync.store.catalog import SliceRow
from tests.stage import START_US, Stage, stage

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
        monkeypatch.setattr(packed_slices, "PACKED_BYTES_MAX", 2 * file.stat().st_size)
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


async def _open(it: Stage, **query: Any) -> httpx2.Response:
    """The open slice from where everything is sealed."""
    playlist = await it.chat()
    asked = {"from_ms": playlist["sealed_until_ms"] or 0} | query
    return await it.get(f"{playlist['base']}{playlist['broadcast']}/open.json?{urlencode(asked)}")


async def test_an_open_slice_after_an_offset_has_what_is_newer_and_what_is_gone(tmp_path: Path) -> None:
    """Who polls with `after` ends with what a full answer shows."""
    async with stage(tmp_path) as it:
        await it.stream(Scenario(START_US), 20)
        first, second = await it.say("one"), await it.say("two")
        as_of = (await _open(it)).json()["as_of"]["offset"]
        await it.act("hide", target=first["offset"])
        third = await it.say("three")
        delta = (await _open(it, after=as_of)).json()
        assert ([third["offset"]], [first["offset"]]) == ([e["offset"] for e in delta["events"]], delta["gone"])
        full = [event["offset"] for event in (await _open(it)).json()["events"]]
        assert second["offset"] in full
        assert first["offset"] not in full


async def _upvote(it: Stage, target: int, subject: str) -> None:
    body = {"id": f"{subject}-{target}", "action": "upvote", "target": target}
    answer = await it.post("/v1/rooms/class/actions", body, it.token("class", subject))
    assert 200 == answer.status_code, answer.text


async def test_an_open_slice_after_an_offset_counts_from_its_beginning(tmp_path: Path) -> None:
    """Who polls with `after` is told what was counted since, from as many as there were."""
    async with stage(tmp_path) as it:
        await it.stream(Scenario(START_US), 20)
        question = await it.say("why?", kind="question")
        await _upvote(it, question["offset"], "ben")
        as_of = (await _open(it)).json()["as_of"]["offset"]
        await _upvote(it, question["offset"], "cleo")
        delta, full = (await _open(it, after=as_of)).json(), (await _open(it)).json()
        assert [1, 2] == [one["count"] for one in full["tallies"]]
        assert full["tallies"][1:] == delta["tallies"]


async def test_an_open_slice_cannot_tell_what_came_back(tmp_path: Path) -> None:
    """A restored message is not newer than `after`: 410, so that the poller reads the whole and shows it again."""
    async with stage(tmp_path) as it:
        await it.stream(Scenario(START_US), 20)
        said = await it.say("one")
        await it.act("hide", target=said["offset"])
        as_of = (await _open(it)).json()["as_of"]["offset"]
        await it.act("restore", target=said["offset"])
        assert 410 == (await _open(it, after=as_of)).status_code
        answer = (await _open(it)).json()
        assert said["offset"] in [event["offset"] for event in answer["events"]]
        assert 200 == (await _open(it, after=answer["as_of"]["offset"])).status_code


async def test_an_open_slice_after_a_restart_does_not_leave_out_a_hide(tmp_path: Path) -> None:
    """Hides from before the restart are not in memory: `after` of that time is 410, and one never served is too."""
    async with stage(tmp_path) as it:
        await it.stream(Scenario(START_US), 20)
        said, clock = await it.say("one"), it.clock
        as_of = (await _open(it)).json()["as_of"]["offset"]
        await it.act("hide", target=said["offset"])
        await it.seal()
    async with stage(tmp_path, clock=clock) as it:
        assert 410 == (await _open(it, after=as_of)).status_code
        assert 410 == (await _open(it, after=as_of + 1_000)).status_code


async def test_a_version_of_the_broadcast_before_gives_a_full_answer(tmp_path: Path) -> None:
    """Who polls without naming a broadcast is never given a delta to another one's list."""
    async with stage(tmp_path) as it:
        scenario = Scenario(START_US)
        await it.stream(scenario, 20)
        await it.say("last week")
        await it.stream(scenario, 700)
        await it.seal()
        version = (await it.chat())["version"]
        assert version == (await it.chat(query=f"since={version}"))["since"]
        await it.room().close_broadcast()
        await it.stream(scenario, 20)
        await it.say("this week")
        await it.stream(scenario, 700)
        await it.seal()
        answer = await it.chat(query=f"since={version}")
        assert (2, 1) == (answer["broadcast"], len(answer["slices"]))
        assert "since" not in answer
        assert version == (await it.chat(query=f"broadcast=2&since={version}"))["since"]
