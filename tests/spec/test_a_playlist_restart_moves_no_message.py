"""A restart of the encoder or packager within a broadcast moves no message that was said before it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chatsync.instants import SECOND_US
from chatsync.simulation import Scenario, playlist_at
from tests.stage import START_US, Stage, stage

LECTURE = Scenario(START_US, name="before")


def _placed(events: list[Any]) -> dict[int, tuple[Any, ...]]:
    return {event["offset"]: (event["id"], event["program_ms"], event["stamp"], event["text"]) for event in events}


async def _said(it: Stage) -> dict[int, tuple[Any, ...]]:
    return _placed([event for event in await it.replayed() if event["kind"] == "message"])


async def _talk(it: Stage, scenario: Scenario, name: str) -> None:
    for number in range(5):
        await it.stream(scenario, 4)
        await it.say(f"{name} {number}")


async def test_a_restart_that_goes_forward_moves_no_message(tmp_path: Path) -> None:
    """Numbers start at 0 again, names change, time goes on: one broadcast, and every stamp stays as it was."""
    async with stage(tmp_path) as it:
        await _talk(it, LECTURE, "before")
        said = await _said(it)
        it.advance(3)
        again = Scenario(it.now_us - it.now_us % SECOND_US, name="after")
        await _talk(it, again, "after")
        assert 1 == it.room().broadcasts.current.number
        assert 2 == len(it.room().timeline.runs)
        after = await _said(it)
        assert said == {offset: after[offset] for offset in said}
        assert 10 == len(after)
        assert "stream_changed" in {event["kind"] for event in await it.replayed()}


async def test_a_restart_moves_no_message_that_is_sealed(tmp_path: Path) -> None:
    """Slices of before the restart stay byte for byte, under the same names."""
    async with stage(tmp_path) as it:
        await _talk(it, LECTURE, "before")
        await it.stream(LECTURE, 650)
        await it.seal()
        files = _files(tmp_path)
        assert files
        again = Scenario(it.now_us - it.now_us % SECOND_US, name="after")
        await _talk(it, again, "after")
        await it.seal()
        assert files == {path: body for path, body in _files(tmp_path).items() if path in files}


async def test_a_relay_that_restarts_meanwhile_moves_no_message(tmp_path: Path) -> None:
    """The relay is away while the encoder restarts: when both are back, what was said stands where it stood."""
    async with stage(tmp_path) as it:
        await _talk(it, LECTURE, "before")
        said = await _said(it)
        clock = it.clock
    clock.advance(30 * SECOND_US)
    async with stage(tmp_path, clock=clock) as it:
        again = Scenario(it.now_us - it.now_us % SECOND_US - 10 * SECOND_US, name="after")
        await it.reload(playlist_at(again, it.now_us))
        await _talk(it, again, "after")
        after = await _said(it)
        assert 1 == it.room().broadcasts.current.number
        assert said == {offset: after[offset] for offset in said}


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "data" / "slices").rglob("*.json.gz")}
