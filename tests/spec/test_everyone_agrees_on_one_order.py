"""One order: everyone at a socket, pages, slices, the archive and DuckDB agree on (epoch, offset), whatever program time does (reliability G3)."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.dataset as ds

from chatsync.instants import SECOND_US
from chatsync.simulation import Scenario
from tests.relay import Client
from tests.stage import START_US, Stage, stage

Told = tuple[int, str]  # offset, id


def _told(client: Client) -> list[Told]:
    return [(event["offset"], event["id"]) for event in client.events]


async def _write(it: Stage, name: str, count: int, chance: random.Random) -> None:
    """Somebody writes, often about a moment that is past, over a socket of their own."""
    async with it.connected() as client:
        await client.hello(it.token("class", name))
        for number in range(count):
            program_ms = (it.now_us - chance.randrange(2, 400) * SECOND_US) // 1000
            playhead = {"broadcast": client.welcome["broadcast"], "program_ms": program_ms}
            await client.send({"type": "playhead", **playhead, "rate": 1.0, "paused": False, "at_live": False})
            assert "ack" == (await client.say(f"{name} {number}", playhead=playhead))["type"]


async def _log(it: Stage) -> list[dict[str, Any]]:
    """The log of a broadcast as pages give it."""
    events: list[dict[str, Any]] = []
    cursor = ""
    while cursor is not None:
        page = (await it.get(f"/v1/rooms/class/messages?limit=50{cursor and '&cursor=' + cursor}")).json()
        events += page["messages"]
        cursor = page["cursor"]
    return events


async def test_everybody_tells_the_same_order(tmp_path: Path) -> None:
    """Eight people write at once about moments far apart: all who listen, pages, slices, Parquet and DuckDB have the same log."""
    chance = random.Random(3)
    async with stage(tmp_path) as it:
        await it.stream(Scenario(start_us=START_US - 600 * SECOND_US), 60)
        async with it.connected() as one, it.connected() as another:
            await one.hello(None, last=0)
            await another.hello(None, last=0)
            await asyncio.gather(*(_write(it, f"s{number}", 25, chance) for number in range(8)))
            last = await it.say("that is all")
            for client in (one, another):
                await client.until(lambda client=client: client.through and client.through["offset"] >= last["offset"])
            seen = _told(one)
            assert seen == _told(another)
        assert [offset for offset, _ in seen] == sorted(offset for offset, _ in seen)
        by_offset = dict(seen)
        assert 201 == len(by_offset)

        pages = await _log(it)
        assert [(event["program_ms"], event["offset"]) for event in pages] == sorted(
            (event["program_ms"], event["offset"]) for event in pages
        )
        assert by_offset == {event["offset"]: event["id"] for event in pages if event["offset"] in by_offset}
        assert len(pages) == len({event["offset"] for event in pages})

        await it.stream(Scenario(start_us=START_US - 600 * SECOND_US), 120)
        await it.seal()
        replayed = await it.replayed()
        places = [(event["program_ms"], event["offset"]) for event in replayed]
        assert places == sorted(places)
        assert by_offset == {event["offset"]: event["id"] for event in replayed if event["offset"] in by_offset}

        await asyncio.to_thread(it.hub.archiving._archive.archive_now)
        folder = tmp_path / "data" / "archive" / "events"
        table = ds.dataset(folder, format="parquet").to_table(columns=["offset", "id", "program_us"])
        archived = dict(zip(table["offset"].to_pylist(), table["id"].to_pylist(), strict=True))
        assert by_offset == {offset: archived[offset] for offset in by_offset}
        found = (
            duckdb.connect()
            .execute(
                f"SELECT epoch_us(program_us) // 1000, \"offset\" FROM read_parquet('{folder}/*/*/*.parquet') ORDER BY 1, 2"
            )
            .fetchall()
        )
        assert [place for place in places if place[1] in by_offset] == [p for p in found if p[1] in by_offset]


async def test_program_time_that_goes_back_reorders_nothing(tmp_path: Path) -> None:
    """The encoder's clock falls back a few seconds and then an hour: offsets rise as people spoke, and every reader agrees."""
    async with stage(tmp_path) as it:
        async with it.connected() as viewer:
            await viewer.hello(None, last=0)
            offsets = []
            for fall_s in (0, 4, 3_600, 2, 7_200):
                scenario = Scenario(start_us=it.now_us - (600 + fall_s) * SECOND_US, name=f"fall{fall_s}-")
                await it.stream(scenario, 20)
                offsets += [(await it.say(f"after {fall_s}: {number}"))["offset"] for number in range(3)]
            await viewer.until(lambda: any(event["offset"] == offsets[-1] for event in viewer.events))
            assert sorted(offsets) == offsets
            told = [event["offset"] for event in viewer.events]
            assert sorted(told) == told
            assert set(offsets) <= set(told)
        assert offsets[-1] <= it.hub.journal.head("class").offset
