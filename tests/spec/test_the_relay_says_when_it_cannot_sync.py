"""When the origin fails the relay goes on stamping, says so with the cause, and is well again by itself (reliability G9)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chatsync.instants import HOUR_US, SECOND_US
from chatsync.simulation import Scenario, playlist_at
from tests.stage import START_US, Stage, stage

LECTURE = Scenario(START_US)


async def _sync(it: Stage) -> Any:
    return (await it.get("/v1/rooms/class")).json()["sync"]


async def _counted(it: Stage) -> tuple[Any, list[str]]:
    """What /readyz counts, and the metric's lines."""
    ready = await it.get("/readyz")
    assert 200 == ready.status_code
    metrics = it.hub.metrics.exposition().decode()
    return ready.json()["sync_alarms"], [
        line for line in metrics.splitlines() if line.startswith("chatsync_sync_alarm{")
    ]


async def test_an_origin_that_is_down_is_told_and_stamping_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One cause in the room, the log, the metric, readiness and a frame for staff; chat is stamped; then it is over."""
    async with stage(tmp_path) as it:
        await it.stream(LECTURE, 20)
        assert {"ok": True, "cause": None} == await _sync(it)
        async with it.connected() as staff, it.connected() as viewer:
            await staff.hello(it.token("class", "mod", "moderator"))
            await viewer.hello(None)
            it.room().note_playlist_failure("playlist_unavailable", "The playlist could not be loaded: status 503.")
            since_ms = it.now_us // 1000
            told = {
                "ok": False,
                "cause": "playlist_unavailable",
                "detail": "The playlist could not be loaded: status 503.",
                "since_ms": since_ms,
            }
            assert told == await _sync(it)
            assert (
                {"playlist_unavailable": 1},
                ['chatsync_sync_alarm{cause="playlist_unavailable",room="class"} 1.0'],
            ) == await _counted(it)
            it.advance(30)
            it.room().note_playlist_failure("playlist_unavailable")
            assert "arrival" == (await it.say("still here"))["stamp"].stamp
            await it.reload(playlist_at(LECTURE, it.now_us))
            assert {"ok": True, "cause": None} == await _sync(it)
            assert ({}, []) == await _counted(it)
            await staff.until(lambda: 2 == sum("sync" == frame["type"] for frame in staff.frames))
            assert [told | {"type": "sync"}, {"type": "sync", "ok": True, "cause": None}] == [
                frame for frame in staff.frames if "sync" == frame["type"]
            ]
            assert [] == [frame for frame in viewer.frames if "sync" == frame["type"]]
    log = capsys.readouterr()
    lines = (log.out + log.err).splitlines()
    assert [1, 1] == [sum(word in line for line in lines) for word in ("sync_alarm ", "sync_alarm_over ")]


async def test_an_encoder_that_stands_still_is_told(tmp_path: Path) -> None:
    """The origin answers, but its playlist does not grow."""
    async with stage(tmp_path) as it:
        await it.stream(LECTURE, 20)
        frozen = playlist_at(LECTURE, it.now_us)
        for _ in range(4):
            it.advance(2)
            await it.reload(frozen)
            await it.room().receive_tick()
        assert "no_new_media" == (await _sync(it))["cause"]
        await it.stream(LECTURE, 2)
        assert (await _sync(it))["ok"]


async def test_a_stream_without_dates_is_told(tmp_path: Path) -> None:
    """Its chat can be followed by media sequence only."""
    async with stage(tmp_path) as it:
        await it.stream(Scenario(START_US, dated=False), 20)
        assert "no_program_time" == (await _sync(it))["cause"]


async def test_an_encoder_whose_clock_is_off_is_told_and_not_corrected(tmp_path: Path) -> None:
    """An hour off is told; a message still stands by the encoder's clock."""
    async with stage(tmp_path) as it:
        ahead = Scenario(START_US + HOUR_US)
        for _ in range(10):
            it.advance(2)
            await it.reload(playlist_at(ahead, it.now_us + HOUR_US))
        assert "encoder_clock" == (await _sync(it))["cause"]
        assert it.now_us + HOUR_US - 6 * SECOND_US == (await it.say("on time"))["program_us"]


async def test_a_room_between_two_classes_raises_nothing(tmp_path: Path) -> None:
    """After the end there is nothing to be in step with."""
    async with stage(tmp_path) as it:
        ended = Scenario(START_US, ends_after=5)
        await it.stream(ended, 12)
        it.advance(3600)
        await it.room().receive_tick()
        assert (await _sync(it))["ok"]
