"""How many were there: people come and go, minutes pass, and the archive has the counts."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import duckdb
import pytest

from chatsync.chat.event import Position
from chatsync.errors import StorageFullError
from chatsync.instants import MINUTE_US
from chatsync.service.framing import Batch
from chatsync.simulation import Scenario
from tests.stage import START_US, Stage, stage

MINUTE = START_US - START_US % MINUTE_US
ROOM = {"class": {"public": True}}


class _Listener:
    """Somebody who is there."""

    is_staff = False
    author_key = ""
    author = None
    playhead = None

    def receive_batch(self, batch: Batch) -> None:
        """Everything is fine."""

    def receive_reset(self, reason: str, position: Position) -> None:
        """Everything is fine."""

    def send_banned(self) -> None:
        """Everything is fine."""

    def send_away(self, *, gone: bool) -> None:
        """Everything is fine."""


async def _counted(it: Stage, room: str = "class", broadcast: int = 1) -> list[tuple[int, int]]:
    """What is remembered after counting now, as (minute, viewers)."""
    it.hub.audience.count()
    await it.settled()
    return [(minute_us, viewers) for _, _, minute_us, viewers in it.hub.catalog.viewer_rows(room, broadcast)]


async def test_the_archive_has_viewers_by_minute(tmp_path: Path) -> None:
    """Two come by socket, one goes, minutes of the programme pass, the broadcast ends: DuckDB reads a row for each minute."""
    scenario = Scenario(START_US)
    async with stage(tmp_path) as it:
        async with it.connected() as first:
            await first.hello(None)
            assert [] == await _counted(it)  # no media yet: no program time
            await it.stream(scenario, 90)
            async with it.connected() as second:
                await second.hello(None)
                await _counted(it)
                minute_us = it.room().program_us() // MINUTE_US * MINUTE_US
                await it.stream(scenario, 60)
                await _counted(it)
            async with asyncio.timeout(10):
                while len(it.room().receivers) > 1:  # noqa: ASYNC110 - the relay does not know that it is watched
                    await asyncio.sleep(0)
            await _counted(it)  # of a minute the most stands
            await it.stream(scenario, 60)
            wanted = [(minute_us, 2), (minute_us + MINUTE_US, 2), (minute_us + 2 * MINUTE_US, 1)]
            assert wanted == await _counted(it)
            await it.room().close_broadcast()
            await it.stream(scenario, 2)
            assert wanted == await _counted(it)
        await it.hub.archiving._archive_rooms({"class"})
    tree = tmp_path / "data" / "archive" / "viewers"
    assert ["room=class/broadcast=1/all.g1.parquet"] == [
        str(path.relative_to(tree)) for path in tree.rglob("*.parquet")
    ]
    rows = (
        duckdb.connect()
        .execute(
            f"SELECT room, broadcast, epoch_us(minute_us), viewers FROM read_parquet('{tree}/*/*/*.parquet') ORDER BY minute_us"
        )
        .fetchall()
    )
    assert [("class", 1, *one) for one in wanted] == rows


async def test_only_a_broadcast_that_is_on_is_counted(tmp_path: Path) -> None:
    """Nobody there, or a broadcast that has closed: no row."""
    async with stage(tmp_path, ROOM) as it:
        assert [] == await _counted(it)
        it.room().receivers.add(_Listener())
        await it.room().close_broadcast()
        assert [] == await _counted(it)


async def test_what_is_known_is_not_written_again(tmp_path: Path) -> None:
    """A count of the same minute costs a write only if it is greater."""
    async with stage(tmp_path, ROOM) as it:
        people = [_Listener() for _ in range(3)]
        it.room().receivers.update(people)
        assert [(MINUTE, 3)] == await _counted(it)
        works: list[Any] = []
        it.hub.writer.before_commit.append(works.append)
        it.hub.audience.count()
        it.room().receivers.discard(people[0])
        it.hub.audience.count()
        it.room().receivers.add(people[0])
        it.hub.audience.count()
        await asyncio.sleep(0)
        assert [] == works
        it.room().receivers.add(_Listener())
        assert [(MINUTE, 4)] == await _counted(it)


async def test_a_count_that_was_not_stored_is_stored_with_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full for a moment: the next look writes the minute."""

    def full(*_: object) -> None:
        raise StorageFullError

    async with stage(tmp_path, ROOM) as it:
        it.room().receivers.add(_Listener())
        with monkeypatch.context() as patch:
            patch.setattr(it.hub.catalog, "note_viewers", full)
            assert [] == await _counted(it)
            await asyncio.sleep(0.01)
        assert [(MINUTE, 1)] == await _counted(it)


async def test_many_rooms_are_counted_a_few_at_a_time(tmp_path: Path) -> None:
    """The writer is never held by all of them at once: other work comes in between."""
    rooms = {f"r{number}": {"public": True} for number in range(250)}
    async with stage(tmp_path, rooms) as it:
        for running in it.hub.rooms.values():
            running.live.receivers.add(_Listener())
        sizes: list[int] = []
        note = it.hub.catalog.note_viewers

        def work_of(connection: sqlite3.Connection, *count: Any) -> None:
            sizes[-1] += 1
            note(connection, *count)

        submit = it.hub.writer.submit

        def submitted(work: Any, done: Any) -> None:
            def counted(connection: sqlite3.Connection) -> Any:
                sizes.append(0)
                return work(connection)

            submit(counted, done)

        it.hub.catalog.note_viewers = work_of  # type: ignore[assignment,method-assign]
        it.hub.writer.submit = submitted  # type: ignore[method-assign]
        assert [(MINUTE, 1)] == await _counted(it, "r7")
        assert [100, 100, 50] == [size for size in sizes if size]
        assert 250 == it.hub.journal.read("SELECT count(*) FROM viewers")[0][0]
