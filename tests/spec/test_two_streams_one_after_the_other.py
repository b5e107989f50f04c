"""Two streams one after the other in one room: two broadcasts, each with its own chat, even where their dates overlap."""

from __future__ import annotations

from pathlib import Path

from chatsync.instants import HOUR_US, SECOND_US
from chatsync.service.following import keep_recording
from chatsync.simulation import Scenario, playlist_at
from tests.stage import START_US, Stage, stage

MORNING = Scenario(START_US, ends_after=60, name="morning")


async def _morning(it: Stage) -> None:
    await it.stream(MORNING, 30)
    await it.say("in the morning")
    await it.stream(MORNING, 100)
    await it.say("after the morning's end")
    assert it.room().broadcasts.current.closed_reason == "ended"


def _texts(events: list[dict[str, str]]) -> list[str]:
    return [event["text"] for event in events if event["kind"] == "message"]


async def test_each_stream_has_its_own_chat(tmp_path: Path) -> None:
    """The second stream begins after the first has ended: what was said belongs to the one that was on."""
    async with stage(tmp_path) as it:
        await _morning(it)
        it.clock.advance(HOUR_US)
        noon = Scenario(it.now_us - it.now_us % SECOND_US - 10 * SECOND_US, name="noon")
        await it.reload(playlist_at(noon, it.now_us))
        await it.stream(noon, 30)
        await it.say("at noon")
        await it.seal()
        assert ["in the morning", "after the morning's end"] == _texts(await it.replayed(broadcast=1))
        assert ["at noon"] == _texts(await it.replayed(broadcast=2))
        playlist = await it.chat()
        assert [1, 2] == [one["broadcast"] for one in playlist["broadcasts"]]
        assert [False, True] == [one["live"] for one in playlist["broadcasts"]]


async def test_streams_of_the_same_dates_stay_apart(tmp_path: Path) -> None:
    """The second stream plays the same dates again: each broadcast keeps its messages and its slices."""
    async with stage(tmp_path) as it:
        await _morning(it)
        await it.seal()
        it.advance(120)
        again = Scenario(START_US, name="again")
        shift_us = it.now_us - START_US - 10 * SECOND_US
        for step in range(20):
            it.advance(2)
            await it.reload(playlist_at(again, it.now_us - shift_us))
            if step == 10:
                await it.say("the second time")
        await it.seal()
        assert 2 == it.room().broadcasts.current.number
        assert ["in the morning", "after the morning's end"] == _texts(await it.replayed(broadcast=1))
        assert ["the second time"] == _texts(await it.replayed(broadcast=2))


async def test_an_end_that_is_taken_back_reopens_the_broadcast(tmp_path: Path) -> None:
    """ENDLIST by mistake: when media goes on within a minute with the next number, it is the same broadcast."""
    async with stage(tmp_path) as it:
        await it.stream(Scenario(START_US, ends_after=20), 60)
        assert it.room().broadcasts.current.is_closed
        it.advance(10)
        await it.reload(playlist_at(Scenario(START_US), START_US + 44 * SECOND_US))
        assert (1, False) == (it.room().broadcasts.current.number, it.room().broadcasts.current.is_closed)


async def test_a_stream_that_ends_leaves_its_recording(tmp_path: Path) -> None:
    """The ended playlist's map is kept: the recording's position 0 is the broadcast's first media."""
    async with stage(tmp_path) as it:
        ended = Scenario(START_US, ends_after=20)
        await it.stream(ended, 60)
        await keep_recording(it.room(), playlist_at(ended, it.now_us))
        record = (await it.get("/v1/rooms/class/recordings/broadcast-1")).json()
        assert 40_000 == record["duration_ms"]
        (span,) = record["spans"]
        assert (0, 40_000, 1, START_US // 1000) == (
            span["position_ms"],
            span["duration_ms"],
            span["broadcast"],
            span["program_ms"],
        )


async def test_an_ended_class_lists_its_slices_next_week_too(tmp_path: Path) -> None:
    """Whoever opens the recording days later gets its chat without naming a range."""
    async with stage(tmp_path) as it:
        await _morning(it)
        it.clock.advance(7 * 24 * HOUR_US)
        await it.seal()
        playlist = await it.chat()
        assert 1 == playlist["broadcast"]
        assert 2 <= sum(one["messages"] for one in playlist["slices"])
