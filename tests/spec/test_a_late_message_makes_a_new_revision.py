"""A message that arrives after its slice was sealed makes a new revision; the old one answers 410 (contract §3)."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

from chatsync.instants import MINUTE_US, SECOND_US
from chatsync.simulation import Scenario
from tests.stage import START_US, Stage, slice_path, stage

LECTURE = Scenario(START_US)


async def _sealed(it: Stage) -> Any:
    """Ten minutes of a lecture with something said at the start, sealed; the chat playlist then."""
    await it.stream(LECTURE, 10)
    await it.said_at(START_US + 4 * SECOND_US, "on time")
    await it.stream(LECTURE, 625, step_s=10)
    await it.seal()
    playlist = await it.chat(query="from_ms=0")
    assert 1 == len(playlist["slices"])
    return playlist


async def _late(it: Stage, program_us: int, text: str = "late") -> int:
    """Said by somebody who has rewound that far; sealed again once it is due."""
    offset = await it.said_at(program_us, text)
    it.advance(5)
    await it.seal()
    return offset


async def test_a_late_message_makes_a_new_revision_and_the_old_one_is_gone(tmp_path: Path) -> None:
    """The range stays, the revision rises by one and holds the message; the old URL answers 410 with the new revision."""
    async with stage(tmp_path) as it:
        before = await _sealed(it)
        (old,) = before["slices"]
        offset = await _late(it, START_US + 60 * SECOND_US)
        after = await it.chat(query="from_ms=0")
        (new,) = after["slices"]
        assert old | {"revision": 2, "events": old["events"] + 1, "messages": old["messages"] + 1} == new
        assert offset in [event["offset"] for event in (await it.slice(after, new)).json()["events"]]
        gone = await it.slice(before, old)
        assert (410, 2, "superseded") == (gone.status_code, gone.json()["revision"], gone.json()["code"])
        assert "no-store" in gone.headers["cache-control"]
        assert "late" not in gone.text
        assert 404 == (await it.get(slice_path(after, new | {"revision": 3}))).status_code


async def test_the_chat_playlist_tells_the_change(tmp_path: Path) -> None:
    """`since` gives just the revised slice, `version` rises with it, and `as_of` covers the message only then."""
    async with stage(tmp_path) as it:
        before = await _sealed(it)
        offset = await it.said_at(START_US + 60 * SECOND_US, "late")
        meanwhile = await it.chat(query=f"from_ms=0&since={before['version']}")
        assert (before["version"], []) == (meanwhile["version"], meanwhile["slices"])
        assert meanwhile["as_of"]["offset"] < offset
        it.advance(5)
        await it.seal()
        changed = await it.chat(query=f"from_ms=0&since={before['version']}")
        assert [2] == [entry["revision"] for entry in changed["slices"]]
        assert before["version"] < changed["version"]
        assert offset <= changed["as_of"]["offset"]
        same = await it.chat(query=f"from_ms=0&since={changed['version']}")
        assert ([], []) == (same["slices"], same["removed"])


async def test_many_late_messages_make_one_revision(tmp_path: Path) -> None:
    """A slice is revised for late messages at most every five seconds."""
    async with stage(tmp_path) as it:
        await _sealed(it)
        for number in range(10):
            await it.said_at(START_US + (60 + number) * SECOND_US, f"late {number}")
            await it.seal()
        assert [1] == [entry["revision"] for entry in (await it.chat(query="from_ms=0"))["slices"]]
        it.advance(5)
        await it.seal()
        assert [2] == [entry["revision"] for entry in (await it.chat(query="from_ms=0"))["slices"]]


async def test_a_late_message_in_empty_time_gets_a_slice_of_its_own_second(tmp_path: Path) -> None:
    """Between two slices lies nothing; who says something there afterwards gets a second of its own, in order."""
    async with stage(tmp_path) as it:
        await _sealed(it)
        await it.stream(LECTURE, 120, step_s=10)
        await it.seal()
        at_us = it.room().broadcasts.current.clock.edge_us or 0
        at_us -= 30 * SECOND_US
        await _late(it, at_us)
        playlist = await it.chat(query="from_ms=0")
        ranges = [(entry["start_ms"], entry["end_ms"]) for entry in playlist["slices"]]
        second_ms = at_us // SECOND_US * 1000
        assert (second_ms, second_ms + 1000) == ranges[-1]
        assert sorted(ranges) == ranges
        assert all(first[1] <= second[0] for first, second in pairwise(ranges))


async def test_a_message_that_comes_while_its_slice_is_cut_is_not_lost(tmp_path: Path) -> None:
    """Said while the slice over its moment is being written: it stands in the next revision."""
    async with stage(tmp_path) as it:
        await it.stream(LECTURE, 10)
        await it.said_at(START_US + 4 * SECOND_US, "on time")
        await it.stream(LECTURE, 625, step_s=10)
        _, offset = await asyncio.gather(it.seal(), it.said_at(START_US + 60 * SECOND_US, "meanwhile"))
        it.advance(5)
        await it.seal()
        assert 1 == [event["offset"] for event in await it.replayed()].count(offset)


async def test_a_crash_between_message_and_revision_is_made_good(tmp_path: Path) -> None:
    """The relay ends before the revision is written: after the start it is, and nothing is twice."""
    async with stage(tmp_path) as it:
        await _sealed(it)
        offset = await it.said_at(START_US + 60 * SECOND_US, "late")
        await it.settled()
        it.sealer().seal = _nothing  # type: ignore[method-assign]
        clock = it.clock
    clock.advance(MINUTE_US)
    async with stage(tmp_path, clock=clock) as it:
        await it.seal()  # by now what was logged last is read, and its revision is due in five seconds
        it.advance(5)
        await it.seal()
        assert 1 == [event["offset"] for event in await it.replayed()].count(offset)


async def _nothing() -> None:
    """A relay that was killed writes no more slices."""
