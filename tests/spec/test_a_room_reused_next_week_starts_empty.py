"""A room that is used again next week starts with empty state; what carries over is who may do what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chatsync.instants import HOUR_US, SECOND_US
from chatsync.simulation import Scenario, playlist_at
from tests.stage import START_US, Stage, stage

WEEK_US = 7 * 24 * HOUR_US
FIRST = Scenario(START_US, ends_after=30, name="first")
EMPTY: dict[str, list[Any]] = {"pinned": [], "polls": [], "hands": [], "questions": []}


async def _first_week(it: Stage) -> None:
    """A lecture with a pin, a hand and a question, which ends; then a week passes."""
    await it.stream(FIRST, 20)
    await it.say("why is it negative?", kind="question")
    await it.act("pin", text="Exercise 3 is for next week")
    await it.act("raise_hand", role="participant")
    assert _counts(it) == {"pinned": 1, "polls": 0, "hands": 1, "questions": 1}
    await it.stream(FIRST, 60)
    assert it.room().broadcasts.current.closed_reason == "ended"
    await it.seal()


def _counts(it: Stage) -> dict[str, int]:
    state = it.room().edge.to_wire()
    return {name: len(state[name]) for name in EMPTY}


async def _second_week(it: Stage) -> Scenario:
    """The same address serves a new stream."""
    second = Scenario(it.now_us - it.now_us % SECOND_US - 4 * SECOND_US, name="second")
    await it.reload(playlist_at(second, it.now_us))
    return second


async def test_next_week_starts_with_empty_state(tmp_path: Path) -> None:
    """Live state, the state of the new broadcast's slices and of its first instant have no pin, hand or question of last week."""
    async with stage(tmp_path) as it:
        await _first_week(it)
        it.clock.advance(WEEK_US)
        second = await _second_week(it)
        assert 2 == it.room().broadcasts.current.number
        await it.say("good morning")
        async with it.connected() as viewer:
            welcome = await viewer.hello(None)
            assert EMPTY == {name: welcome["state"][name] for name in EMPTY}
        await it.stream(second, 640, step_s=10)
        await it.seal()
        playlist = await it.chat(query="from_ms=0")
        assert (2, True) == (playlist["broadcast"], playlist["live"])
        assert playlist["slices"]
        for entry in playlist["slices"]:
            state = (await it.slice(playlist, entry)).json()["state"]
            assert EMPTY == {name: state[name] for name in EMPTY}
        at = (await it.get(f"/v1/rooms/class/at?program_ms={(second.start_us + 60 * SECOND_US) // 1000}")).json()
        assert EMPTY == {name: at["state"][name] for name in EMPTY}
        assert {"Exercise 3 is for next week"}.isdisjoint(event.get("text") for event in at["before"])


async def test_next_week_starts_empty_when_the_relay_was_off_between(tmp_path: Path) -> None:
    """The relay is started again just before the second lecture: the same."""
    async with stage(tmp_path) as it:
        await _first_week(it)
        clock = it.clock
    clock.advance(WEEK_US)
    async with stage(tmp_path, clock=clock) as it:
        await _second_week(it)
        assert 2 == it.room().broadcasts.current.number
        assert dict.fromkeys(EMPTY, 0) == _counts(it)


async def test_last_week_can_still_be_read(tmp_path: Path) -> None:
    """The first broadcast keeps its slices and their state."""
    async with stage(tmp_path) as it:
        await _first_week(it)
        it.clock.advance(WEEK_US)
        await _second_week(it)
        await it.seal()
        said = [event["text"] for event in await it.replayed(broadcast=1) if event["kind"] == "question"]
        assert ["why is it negative?"] == said
        at = (await it.get(f"/v1/rooms/class/at?broadcast=1&program_ms={(START_US + HOUR_US) // 1000}")).json()
        assert ["Exercise 3 is for next week"] == [pin["text"] for pin in at["state"]["pinned"]]
