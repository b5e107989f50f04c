"""Slices are cut, revised and restored; what the disk refuses waits."""

from __future__ import annotations

import asyncio
import gzip
import json
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatsync.errors import StorageFullError, StoreError
from chatsync.instants import SECOND_US, Range
from chatsync.service import sealing
from chatsync.service.sealing import UNUSED_US, Sealer
from chatsync.service.slice_index import OPEN_FROM_LIFE_US, SliceIndex
from chatsync.simulation import Scenario
from chatsync.store.catalog import SliceRow
from tests.stage import START_US, WRITER, Stage, slice_path, stage
from tests.store.deeds import tamper

LECTURE = Scenario(START_US)


def _row(start_s: int, end_s: int, *, revision: int = 1) -> SliceRow:
    return SliceRow(
        broadcast=1,
        start_ms=start_s * 1000,
        end_ms=end_s * 1000,
        epoch=1,
        revision=revision,
        events=1,
        messages=1,
        as_of_offset=1,
        version=1,
        sha256="",
        size_bytes=0,
    )


def test_an_index_finds_the_slice_over_an_instant() -> None:
    """The start is inside, the end is not, and between two slices there is none."""
    index = SliceIndex(1, entries=[_row(0, 60), _row(120, 180)])
    found = [index.entry_at(second * SECOND_US) for second in (0, 59, 60, 119, 120, 179, 180)]
    assert [0, 0, None, None, 120_000, 120_000, None] == [None if row is None else row.start_ms for row in found]


def test_a_range_once_used_is_used_again() -> None:
    """A second of a removed slice has that slice's range; one beside it is clipped by it."""
    index = SliceIndex(1, entries=[_row(0, 60)])
    index.remove(_row(0, 60), 2)
    assert (0, 60 * SECOND_US) == _bounds(index, 30)
    assert (60 * SECOND_US, 61 * SECOND_US) == _bounds(index, 60)


def _bounds(index: SliceIndex, second: int) -> tuple[int, int]:
    within = index.range_at(second * SECOND_US)
    return within.start_us, within.end_us


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20)), min_size=1, max_size=30))
def test_the_mark_may_be_asked_for_as_long_as_it_is_told(steps: list[tuple[int, int]]) -> None:
    """Every value of the last minute is a `from_ms` that open.json answers; older ones are not kept."""
    index = SliceIndex(1)
    wall_us = mark_us = 0
    told: list[tuple[int, int]] = []
    for waited_s, moved_s in steps:
        wall_us += waited_s * SECOND_US
        mark_us += moved_s * SECOND_US
        told.append((wall_us, mark_us))
        index.note_sealed_until(mark_us, wall_us)
    until = dict(zip([mark for _, mark in told], [wall for wall, _ in told[1:]] + [wall_us], strict=True))
    for mark_us, replaced_us in until.items():
        is_fresh = replaced_us >= wall_us - OPEN_FROM_LIFE_US
        assert is_fresh == index.may_be_asked_from(mark_us)


async def _sealed(it: Stage) -> int:
    """A message, ten minutes of lecture, one slice; the message's offset."""
    await it.stream(LECTURE, 10)
    offset = await it.said_at(START_US + 4 * SECOND_US, "hello")
    await it.stream(LECTURE, 640, step_s=10)
    await it.seal()
    return offset


async def _sealed_after(it: Stage) -> None:
    """One more message, ten minutes of lecture, one slice."""
    await it.said_at(START_US + 5 * SECOND_US, "hello again")
    await it.stream(LECTURE, 640, step_s=10)
    await it.seal()


async def test_what_the_disk_refuses_is_sealed_later(tmp_path: Path) -> None:
    """A slice's file cannot be written: nothing is listed and the message stays in the open slice; then all is well again."""
    async with stage(tmp_path) as it:
        in_the_way = it.hub.files.root / "slices"
        in_the_way.write_text("not a folder")
        await it.stream(LECTURE, 10)
        offset = await it.said_at(START_US + 4 * SECOND_US, "hello")
        await it.stream(LECTURE, 640, step_s=10)
        sealing = asyncio.create_task(it.sealer().run())
        await it.settled()
        assert [] == (await it.chat(query="from_ms=0"))["slices"]
        assert offset in [event["offset"] for event in await it.replayed()]
        in_the_way.unlink()
        for _ in range(100):
            if (await it.chat(query="from_ms=0"))["slices"]:
                break
            await asyncio.sleep(0.05)
        sealing.cancel()
        assert 1 == len((await it.chat(query="from_ms=0"))["slices"])
        assert 1 == [event["offset"] for event in await it.replayed()].count(offset)


async def test_the_mark_is_told_when_it_is_on_disk(tmp_path: Path) -> None:
    """Where nothing was said only the mark says how far is sealed: one that the disk refused would fall back with a restart."""
    async with stage(tmp_path) as it:
        await it.stream(LECTURE, 640, step_s=10)
        await it.seal()
        before = (await it.chat())["sealed_until_ms"]

        def fail(_: sqlite3.Connection) -> None:
            raise StorageFullError

        it.hub.writer.before_commit.append(fail)
        await it.stream(LECTURE, 20)
        with pytest.raises(StorageFullError):
            await it.seal()
        assert before == (await it.chat())["sealed_until_ms"]
        it.hub.writer.before_commit.remove(fail)
        await it.seal()
        assert before < (await it.chat())["sealed_until_ms"]


async def _due(it: Stage) -> int:
    """Two messages that are due to be sealed, after a slice that is; the offset of the first."""
    await it.stream(LECTURE, 640, step_s=10)
    await it.seal()
    offset = await it.said_at(START_US + 634 * SECOND_US, "a secret")
    await it.said_at(START_US + 636 * SECOND_US, "no secret")
    await it.stream(LECTURE, 640, step_s=10)
    return offset


async def _sealed_without(it: Stage, offset: int) -> list[str]:
    """The first is hidden, so that the slice begins later; the names of all files, which are those that are listed."""
    await it.act("hide", target=offset)
    await it.stream(LECTURE, 20)
    await it.seal()
    return await _listed(it)


async def _listed(it: Stage) -> list[str]:
    listed = (await it.chat(query="from_ms=0"))["slices"]
    names = [f"{one['start_ms']}-{one['end_ms']}.e1.r{one['revision']}.json.gz" for one in listed]
    assert names == sorted(path.name for path in (it.hub.files.root / "slices/public/class/1").glob("*.gz"))
    assert all(one["end_ms"] <= other["start_ms"] for one, other in pairwise(listed))
    assert ["no secret"] == [event["text"] for event in await it.replayed() if event["kind"] == "message"]
    return names


async def test_a_slice_that_was_not_listed_leaves_no_file(tmp_path: Path) -> None:
    """The catalog refuses the row of a file that is written already: the file goes, or it would keep what is hidden next."""
    async with stage(tmp_path) as it:

        def fail(_: sqlite3.Connection) -> None:
            raise StorageFullError

        offset = await _due(it)
        it.hub.writer.before_commit.append(fail)
        with pytest.raises(StorageFullError):
            await it.seal()
        it.hub.writer.before_commit.remove(fail)
        await _sealed_without(it, offset)


async def test_a_slice_that_is_listed_though_it_failed_is_not_cut_again(tmp_path: Path) -> None:
    """The sync failed after the row was down: another range would stand beside it, and a restart would find both."""
    async with stage(tmp_path) as it:

        def fail_late() -> None:
            raise OSError(5, "sync failed")

        offset = await _due(it)
        it.hub.writer.after_commit.append(fail_late)
        with pytest.raises(StoreError):
            await it.seal()
        it.hub.writer.after_commit.remove(fail_late)
        before, clock = await _sealed_without(it, offset), it.clock
    async with stage(tmp_path, clock=clock) as it:
        await it.seal()
        assert before == await _listed(it)


async def test_a_slice_is_written_to_its_end_though_nobody_waits_for_it(tmp_path: Path) -> None:
    """The relay stops, or who asked goes away, between a slice's file and its row: it is listed all the same."""
    async with stage(tmp_path) as it:
        offset = await _due(it)
        gate = threading.Event()
        it.hub.writer.submit(lambda _: gate.wait(10), lambda _: None)
        sealing = asyncio.create_task(it.sealer().seal())
        folder = it.hub.files.root / "slices/public/class/1"
        for _ in range(1_000):
            if 2 == len(list(folder.glob("*.gz"))):
                break
            await asyncio.sleep(0.01)
        sealing.cancel()
        gate.set()
        await _sealed_without(it, offset)


async def test_what_is_said_between_two_slices_while_the_first_is_written_is_sealed_too(tmp_path: Path) -> None:
    """A pass that cuts two slices with nothing between them does not step over what was placed there meanwhile."""
    long = Scenario(START_US, window_segments=1_200)
    async with stage(tmp_path, {"class": {"public": True, "rewind_posting_s": 3_600}}) as it:
        await it.stream(long, 10)
        await it.said_at(START_US + 4 * SECOND_US, "before")
        await it.stream(long, 1_500, step_s=10)
        await it.said_at(START_US + 1_500 * SECOND_US, "after")
        await it.stream(long, 700, step_s=10)
        write, written = it.sealer()._write, []

        async def slowly(index: SliceIndex, within: Range, row: SliceRow | None) -> None:
            written.append(within)
            if len(written) == 1:
                await it.said_at(START_US + 700 * SECOND_US, "meanwhile", author="s6")
            await write(index, within, row)

        it.sealer()._write = slowly  # type: ignore[method-assign]
        await it.seal()
        await it.stream(long, 10)
        await it.seal()
        assert len(written) == 3
        assert ["before", "meanwhile", "after"] == [
            event["text"] for event in await it.replayed() if event["kind"] == "message"
        ]


async def test_nothing_is_written_while_nothing_happens(tmp_path: Path) -> None:
    """A quiet room costs no commits: two passes without news leave the database as it is."""
    async with stage(tmp_path, {"class": {"public": True}}) as it:
        await it.say("hello")
        await it.seal()
        await it.seal()
        before = it.hub.files.database.with_name("chatsync.db-wal").read_bytes()
        await it.seal()
        assert before == it.hub.files.database.with_name("chatsync.db-wal").read_bytes()


async def test_the_mark_lost_in_a_crash_does_not_cut_twice(tmp_path: Path) -> None:
    """The slice is on disk and its mark is not: after the start the slice keeps its name, bytes and revision."""
    async with stage(tmp_path) as it:
        it.room().records.put_mark = _lost  # type: ignore[method-assign, assignment]
        await _sealed(it)
        before = (await it.chat(query="from_ms=0"))["slices"]
        clock = it.clock
    async with stage(tmp_path, clock=clock) as it:
        it.advance(60)
        await it.seal()
        assert before == (await it.chat(query="from_ms=0"))["slices"]
        assert [1, 3] == sorted(event["offset"] for event in await it.replayed())


def _lost(*_: object) -> None:
    """A mark that a crash kept from the disk."""


async def test_a_damaged_slice_is_made_again_and_never_served(tmp_path: Path) -> None:
    """What is answered is what was written; the damaged file goes to the quarantine with a note, and a sound one stands."""
    async with stage(tmp_path) as it:
        await _sealed(it)
        playlist = await it.chat(query="from_ms=0")
        (path,) = _files(it)
        whole = path.read_bytes()
        _flip(path)
        answer = await it.slice(playlist, playlist["slices"][0])
        assert 200 == answer.status_code
        assert json.loads(gzip.decompress(whole)) == answer.json()
        assert whole == path.read_bytes()
        (note,) = it.hub.files.quarantined.glob("*.note.json")
        assert it.hub.files.relative(path) == json.loads(note.read_bytes())["path"]


async def test_a_damaged_slice_that_cannot_be_made_again_is_told(tmp_path: Path) -> None:
    """With its rows in the journal damaged too it answers 502 `corrupt`, without a path."""
    async with stage(tmp_path) as it:
        await _sealed(it)
        playlist = await it.chat(query="from_ms=0")
        (path,) = _files(it)
        _flip(path)
        tamper(it.hub.files.root, "UPDATE journal SET wall_us = 0 WHERE kind = 'message'")
        answer = await it.slice(playlist, playlist["slices"][0])
        assert (502, "corrupt") == (answer.status_code, answer.json()["code"])
        assert "slices/" not in answer.text
        assert not path.exists()


async def test_a_slice_that_cannot_be_read_now_is_not_told_as_damaged(tmp_path: Path) -> None:
    """The disk refuses: 503 `storage`, and the slice is there again when the disk is."""
    async with stage(tmp_path) as it:
        await _sealed(it)
        playlist = await it.chat(query="from_ms=0")
        (path,) = _files(it)
        away = path.rename(tmp_path / "away")
        path.mkdir()
        answer = await it.slice(playlist, playlist["slices"][0])
        assert (503, "storage") == (answer.status_code, answer.json()["code"])
        path.rmdir()
        away.rename(path)
        assert 200 == (await it.slice(playlist, playlist["slices"][0])).status_code


def _flip(path: Path) -> None:
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(body)


def _files(it: Stage) -> Iterator[Path]:
    return (it.hub.files.root / "slices").rglob("*.json.gz")


async def test_a_stalled_origin_holds_the_watermark_at_the_edge(tmp_path: Path) -> None:
    """While media stands still nothing beyond the edge is sealed, however long it takes."""
    async with stage(tmp_path) as it:
        await it.stream(LECTURE, 30)
        edge_us = it.room().broadcasts.current.clock.edge_us
        it.advance(600)
        await it.seal()
        sealed_until_ms = (await it.chat())["sealed_until_ms"]
        assert edge_us is not None
        assert sealed_until_ms <= edge_us // 1000


@pytest.mark.parametrize("accepts", ["gzip", "identity"])
async def test_a_slice_is_sent_as_the_client_takes_it(tmp_path: Path, accepts: str) -> None:
    """Compressed once on disk; whoever takes no gzip gets the same JSON plain."""
    async with stage(tmp_path) as it:
        offset = await _sealed(it)
        playlist = await it.chat(query="from_ms=0")
        path = slice_path(playlist, playlist["slices"][0])
        answer = await it.get(path, **{"Accept-Encoding": accepts})
        assert (accepts == "gzip") == (answer.headers.get("content-encoding") == "gzip")
        assert offset in [event["offset"] for event in json.loads(answer.content)["events"]]


@asynccontextmanager
async def _reading(it: Stage, *, settled: bool) -> AsyncIterator[None]:
    """The room's sealer as after a crash, held while it reads what it has to know of the journal; done at the end."""
    running = it.hub.room("class")
    await running.sealer.stop()
    if not settled:
        running.live.records.put_mark("settled_offset", 0)
    await it.settled()
    sealer = running.sealer = Sealer(running.live, it.hub.files)
    await sealer.restore()
    has_read, gate = threading.Event(), threading.Event()
    holder, name = it.hub.journal, "page_from" if settled else "events_after"
    reads = getattr(holder, name)

    def held(*args: Any, **named: Any) -> Any:
        found = reads(*args, **named)
        has_read.set()
        gate.wait(20)
        return found

    setattr(holder, name, held)
    catching_up = asyncio.create_task(sealer.catch_up())
    try:
        await asyncio.to_thread(has_read.wait, 10)
        yield
    finally:
        gate.set()
        await catching_up


@pytest.mark.parametrize("settled", [True, False])
async def test_what_is_hidden_while_the_tail_is_read_stays_hidden(tmp_path: Path, settled: bool) -> None:
    """After a start the tail is read from the journal; a hide that comes meanwhile is newer than what was read."""
    async with stage(tmp_path) as it:
        await it.stream(LECTURE, 10)
        unkind, kind = [(await it.say(text))["offset"] for text in ("unkind", "kind")]
        async with _reading(it, settled=settled):
            await it.act("hide", target=unkind, reason="unkind")
        assert [kind] == [event["offset"] for event in await it.replayed() if event["kind"] == "message"]


async def test_a_hide_before_a_crash_reaches_slices_before_the_tail_is_read(tmp_path: Path) -> None:
    """What a web server would still serve goes first: the slice is written anew while the tail is still being read."""
    async with stage(tmp_path) as it:
        offset = await _sealed(it)
        it.sealer().seal = _nothing  # type: ignore[method-assign]
        await it.act("hide", target=offset, reason="unkind")
        (before,) = _files(it)
        async with _reading(it, settled=True):
            assert [before] != [*_files(it)]


async def test_who_stops_waiting_for_the_tail_leaves_no_slice_without_its_file(tmp_path: Path) -> None:
    """A slice is being written anew when the first who waited is gone: the next one does not sweep its file away."""
    async with stage(tmp_path) as it:
        await it.stream(LECTURE, 10)
        offset = await it.said_at(START_US + 4 * SECOND_US, "hello")
        await _sealed_after(it)
        it.sealer().seal = _nothing  # type: ignore[method-assign]
        await it.act("hide", target=offset, reason="unkind")
        running = it.hub.room("class")
        await running.sealer.stop()
        sealer = running.sealer = Sealer(running.live, it.hub.files)
        await sealer.restore()
        has_written, gate, write = threading.Event(), threading.Event(), it.hub.files.write_slice

        def held(*args: Any, **named: Any) -> None:
            write(*args, **named)
            has_written.set()
            gate.wait(20)

        it.hub.files.write_slice = held  # type: ignore[method-assign]
        first = asyncio.create_task(sealer.catch_up())
        await asyncio.to_thread(has_written.wait, 10)
        first.cancel()
        second = asyncio.create_task(sealer.catch_up())
        await asyncio.sleep(0.2)
        gate.set()
        await second
        await sealer.seal()
        (row,) = it.hub.catalog.slices("class", 1)[0]
        assert [it.hub.files.slice_path("class", row, public=True)] == [*_files(it)]


async def _nothing() -> None:
    """A relay that is killed seals no more."""


async def test_slices_that_have_it_all_are_not_made_again_after_a_crash(tmp_path: Path) -> None:
    """Sealed, but no pass was ever complete: what the slice has is not late; what came late to it and was not written is."""
    async with stage(tmp_path) as it:
        await _sealed(it)
        late = await it.said_at(START_US + 100 * SECOND_US, "late")
        it.sealer().seal = _nothing  # type: ignore[method-assign]
        async with _reading(it, settled=False):
            pass
        (index,) = it.sealer()._indexes.values()
        assert {late} == index.waiting_offsets
        (before,) = _files(it)
        it.advance(6)
        await it.seal()
        (after,) = _files(it)
        assert before != after
        async with _reading(it, settled=False):
            pass
        (index,) = it.sealer()._indexes.values()
        assert set() == index.waiting_offsets


async def test_posting_does_not_wait_for_the_tail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a long tail is read after a start people write; who asks for slices is told to come back, and then has it all."""
    monkeypatch.setattr(sealing, "CATCH_UP_S", 0.05)
    async with stage(tmp_path) as it:
        await it.stream(LECTURE, 10)
        said = [(await it.say("before"))["offset"]]
        async with _reading(it, settled=True):
            said.append((await it.say("meanwhile"))["offset"])
            answer = await it.get("/v1/rooms/class/chat.json")
            assert (503, "restarting") == (answer.status_code, answer.json()["code"])
        assert said == [event["offset"] for event in await it.replayed() if event["kind"] == "message"]


async def test_a_deed_on_many_is_taken_in_without_reading_on_the_loop(tmp_path: Path) -> None:
    """Hundreds of messages of one author go, and come back: what they are now was read where it was written."""
    async with stage(tmp_path, {"class": {"public": True}}) as it:
        await asyncio.gather(*(it.say(f"message {number}") for number in range(300)))
        await it.seal()
        loop_thread = threading.get_ident()
        on_loop: list[int] = []
        it.hub.journal.on_read = lambda: on_loop.append(1) if threading.get_ident() == loop_thread else None
        await it.act("hide", author=WRITER.key)
        await it.act("restore", author=WRITER.key)
        await it.settled()
        assert len(on_loop) < 10


async def _killed() -> None:
    """Nothing is sealed at the end."""


async def test_a_broadcast_that_was_not_sealed_for_days_is_sealed_after_a_crash(tmp_path: Path) -> None:
    """What was said before the last pass, and lies in no slice, is not forgotten because the broadcast is none of the last few any more."""
    async with stage(tmp_path, {"class": {"public": True}}) as it:
        await it.say("before the last pass")
        await it.seal()
        it.advance(5)
        await it.say("after it")
        for number in range(2, 7):
            it.advance(86_400)  # a room without a stream turns its broadcast at midnight
            await it.room().receive_tick()
            await it.say(f"broadcast {number}")
        it.sealer().stop = _killed  # type: ignore[method-assign]
        clock = it.clock
    async with stage(tmp_path, {"class": {"public": True}}, clock=clock) as it:
        await it.seal()
        assert 1 not in {broadcast.number for broadcast in it.room().broadcasts.kept}
        assert ["before the last pass", "after it"] == [
            event["text"] for event in await it.replayed(broadcast=1) if event["kind"] == "message"
        ]


async def test_slices_of_old_broadcasts_do_not_stay_in_memory(tmp_path: Path) -> None:
    """Ten minutes after somebody asked for them they are let go of; asked for again, and changed again, they are as they were."""
    async with stage(tmp_path, {"class": {"public": True}}) as it:
        offsets = []
        for number in range(1, 7):
            offsets.append((await it.say(f"broadcast {number}"))["offset"])
            it.advance(86_400)  # a room without a stream turns its broadcast at midnight
            await it.room().receive_tick()
            await it.seal()
        first = "/v1/rooms/class/chat.json?broadcast=1&from_ms=0"
        before = (await it.http.get(first)).json()
        it.advance(UNUSED_US / SECOND_US - 1)
        await it.seal()
        known = set(it.sealer()._indexes)
        it.advance(2)
        await it.seal()
        kept = {broadcast.number for broadcast in it.room().broadcasts.kept}
        assert 1 in known
        assert kept == set(it.sealer()._indexes)
        assert 1 == sum(one["messages"] for one in before["slices"])
        assert before["slices"] == (await it.http.get(first)).json()["slices"]
        it.advance(UNUSED_US / SECOND_US + 1)
        await it.seal()
        await it.act("hide", target=offsets[0])
        await it.seal()
        assert 0 == sum(one["messages"] for one in (await it.http.get(first)).json()["slices"])
