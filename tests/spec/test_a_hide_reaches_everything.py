"""A hide reaches live viewers, slices, lists, the open slice and the archive, and no file keeps the text (reliability G7)."""

from __future__ import annotations

import asyncio
import gzip
import sqlite3
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from chatsync.instants import SECOND_US
from chatsync.simulation import Scenario
from tests.stage import START_US, WRITER, Stage, stage

LECTURE = Scenario(START_US)
BAD = "an unrepeatable sentence"
FINE = "something else"


async def _lesson(it: Stage) -> tuple[int, int]:
    """Two messages, eleven minutes ago, sealed; offsets of the bad and of the fine one."""
    await it.stream(LECTURE, 10)
    bad = await it.said_at(START_US + 4 * SECOND_US, BAD)
    fine = await it.said_at(START_US + 5 * SECOND_US, FINE)
    await it.stream(LECTURE, 625, step_s=10)
    await it.seal()
    return bad, fine


def _bytes_with(folder: Path, text: str) -> list[str]:
    """Files below the data folder that hold a text, moderation.db left out."""
    needle = text.encode()
    found = []
    for path in (folder / "data").rglob("*"):
        if not path.is_file() or path.name.startswith("moderation.db"):
            continue
        body = path.read_bytes()
        unpacked = gzip.decompress(body) if path.suffix == ".gz" else body
        if needle in unpacked:
            found.append(path.name)
    return found


async def _checkpointed(it: Stage) -> None:
    """What the write-ahead log holds goes into the database, as happens by itself every few thousand pages."""
    await it.settled()

    def checkpoint() -> None:
        with sqlite3.connect(it.hub.files.database, isolation_level=None) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    await asyncio.to_thread(checkpoint)


async def _everything(it: Stage) -> list[str]:
    """All texts that anyone may read by now: slices, open slice, lists, and the room at an instant."""
    replayed = await it.replayed()
    listed = (await it.get("/v1/rooms/class/messages")).json()["messages"]
    at = (await it.get(f"/v1/rooms/class/at?program_ms={(START_US + 10 * SECOND_US) // 1000}")).json()
    return [str(event.get("text")) for event in (*replayed, *listed, *at["before"], *at["after"])]


async def test_a_hidden_message_is_nowhere(tmp_path: Path) -> None:
    """Hidden after it was sealed and archived: gone live, old revision 410, and no list, slice, archive or file has its text."""
    async with stage(tmp_path) as it:
        bad, _ = await _lesson(it)
        await asyncio.to_thread(it.hub.archiving._archive.archive_now, "class")
        before = await it.chat(query="from_ms=0")
        assert BAD in await _everything(it)
        assert bad in _archived(tmp_path)
        async with it.connected() as viewer:
            await viewer.hello(None)
            await it.act("hide", target=bad, reason="unkind")
            await viewer.until(lambda: bad in viewer.gone)
            async with it.connected() as late:
                assert BAD not in str(await late.hello(None, last=100))
        (old,) = before["slices"]
        gone = await it.slice(before, old)
        assert (410, 2) == (gone.status_code, gone.json()["revision"])
        assert BAD not in await _everything(it)
        await it.seal()
        await asyncio.to_thread(it.hub.archiving._archive.archive_now, "class")
        await _checkpointed(it)
        assert [] == _bytes_with(tmp_path, BAD)
        assert bad not in _archived(tmp_path)
        assert FINE in await _everything(it)


def _archived(folder: Path) -> list[int]:
    """Offsets in every public file of the archive."""
    files = (folder / "data" / "archive" / "events").rglob("*.parquet")
    return [offset for path in files for offset in pq.read_table(path)["offset"].to_pylist()]


async def test_a_restore_brings_it_back(tmp_path: Path) -> None:
    """What was restored is back live, in a higher revision of its slice, and in the lists."""
    async with stage(tmp_path) as it:
        bad, _ = await _lesson(it)
        await it.act("hide", target=bad)
        await it.seal()
        async with it.connected() as viewer:
            await viewer.hello(None)
            await it.act("restore", target=bad)
            await viewer.until(lambda: any(frame["type"] == "back" for frame in viewer.frames))
            (back,) = [frame for frame in viewer.frames if frame["type"] == "back"]
            assert [(bad, BAD)] == [(event["offset"], event["text"]) for event in back["events"]]
        await it.seal()
        assert [3] == [entry["revision"] for entry in (await it.chat(query="from_ms=0"))["slices"]]
        assert 3 == (await _everything(it)).count(BAD)


async def test_a_slice_with_nothing_left_is_removed_and_may_come_back(tmp_path: Path) -> None:
    """All hidden: the entry goes to `removed`, its URL answers 410; a restore takes its range with a higher revision."""
    async with stage(tmp_path) as it:
        await it.stream(LECTURE, 10)
        await it.stream(LECTURE, 700, step_s=10)
        await it.seal()
        bad = await it.said_at(it.now_us - 60 * SECOND_US, BAD)
        it.advance(5)
        await it.seal()
        before = await it.chat(query="from_ms=0")
        entry = before["slices"][-1]
        await it.act("hide", target=bad)
        await it.seal()
        after = await it.chat(query=f"from_ms=0&since={before['version']}")
        assert ([], [entry["start_ms"]]) == (after["slices"], after["removed"])
        assert 410 == (await it.slice(before, entry)).status_code
        await it.act("restore", target=bad)
        await it.seal()
        again = await it.chat(query=f"from_ms=0&since={after['version']}")
        assert [(entry["start_ms"], entry["end_ms"], 2)] == [
            (row["start_ms"], row["end_ms"], row["revision"]) for row in again["slices"]
        ]
        assert 410 == (await it.slice(before, entry)).status_code


async def test_a_hidden_question_leaves_the_state_of_later_slices(tmp_path: Path) -> None:
    """A question is embedded in the state of slices after it; a hide revises exactly those that hold or embed it."""
    async with stage(tmp_path) as it:
        await it.stream(LECTURE, 10)
        await it.said_at(START_US + 2 * SECOND_US, FINE)
        await it.stream(LECTURE, 600, step_s=10)
        question = await it.said_at(it.now_us - 8 * SECOND_US, BAD, kind="question")
        await it.stream(LECTURE, 640, step_s=10)
        await it.said_at(it.now_us - 8 * SECOND_US, FINE)
        await it.stream(LECTURE, 660, step_s=10)
        await it.seal()
        before = (await it.chat(query="from_ms=0"))["slices"]
        assert 3 == len(before)
        assert BAD in (await it.slice(await it.chat(), before[2])).text
        await it.act("hide", target=question)
        await it.seal()
        playlist = await it.chat(query="from_ms=0")
        kept = {entry["start_ms"]: entry["revision"] for entry in playlist["slices"]}
        assert [1, None, 2] == [kept.get(entry["start_ms"]) for entry in before]
        assert BAD not in str([(await it.slice(playlist, entry)).text for entry in playlist["slices"]])


async def test_a_hide_in_the_open_slice_is_told_to_pollers(tmp_path: Path) -> None:
    """Who polls open.json with `after` is told what is gone; the text is not in the answer."""
    async with stage(tmp_path) as it:
        await it.stream(LECTURE, 30)
        await it.seal()
        offset = (await it.say(BAD))["offset"]
        playlist = await it.chat()
        path = f"{playlist['base']}1/open.json?from_ms={playlist['sealed_until_ms']}"
        first = (await it.get(path)).json()
        assert offset in [event["offset"] for event in first["events"]]
        await it.act("hide", target=offset)
        second = await it.get(f"{path}&after={first['as_of']['offset']}")
        assert [offset] == second.json()["gone"]
        assert BAD not in second.text


@pytest.mark.parametrize("moment", ["before the file", "before the row"])
async def test_a_crash_while_hiding_leaves_no_text_that_is_served(tmp_path: Path, moment: str) -> None:
    """The relay is killed between the hide and the new revision: after the start the text is in no slice and no slice file."""
    async with stage(tmp_path) as it:
        bad, _ = await _lesson(it)
        await it.act("hide", target=bad)
        if moment == "before the row":
            it.room().records.put_slice = _never  # type: ignore[method-assign, assignment]
            sealing = asyncio.create_task(it.seal())
            await asyncio.sleep(0.3)
            sealing.cancel()
        it.sealer().seal = _nothing  # type: ignore[method-assign]
        clock = it.clock
    async with stage(tmp_path, clock=clock) as it:
        assert BAD not in await _everything(it)
        await it.seal()
        assert [] == [name for name in _bytes_with(tmp_path, BAD) if name.endswith(".gz")]
        assert FINE in await _everything(it)


async def _nothing() -> None:
    """A relay that was killed writes no more slices."""


async def _never(*_: Any) -> None:
    """A relay that was killed never hears of the commit."""
    await asyncio.Event().wait()


async def test_all_of_an_author_can_be_hidden(tmp_path: Path) -> None:
    """One deed hides all that an author said, whatever slice it is in."""
    async with stage(tmp_path) as it:
        await it.stream(LECTURE, 30)
        for number in range(3):
            await it.say(f"{BAD} {number}")
            await it.stream(LECTURE, 640, step_s=10)
        await it.say(f"{BAD} at the edge")
        await it.seal()
        await it.act("hide", author=WRITER.key)
        await it.seal()
        assert BAD not in str(await _everything(it))
