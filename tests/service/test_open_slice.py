"""Up to which position open slices speak: as new as can be while few ask, one position a second while many do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chatsync.chat.event import Position
from chatsync.instants import SECOND_US
from chatsync.service.open_slice import FREE_MOVES, Pace
from chatsync.simulation import Scenario
from tests.stage import START_US, Stage, stage


def _asked(
    pace: Pace, offset: int, wall_us: int, *, told_from: int = 0, after: int | None = None, epoch: int = 1
) -> int:
    return pace.position(Position(epoch, offset), wall_us, told_from=told_from, after=after).offset


def test_who_asks_now_and_then_gets_the_newest() -> None:
    """One request a second, for an hour: always the room's own position."""
    pace = Pace()
    for second in range(3_600):
        assert 100 * second == _asked(pace, 100 * second, START_US + second * SECOND_US)


def test_within_a_second_a_position_is_kept_once_the_free_ones_are_used_up() -> None:
    """Many requests in one second of a busy room: after the free moves all answers speak up to one position."""
    pace = Pace()
    told = [_asked(pace, offset, START_US) for offset in range(1_000)]
    assert FREE_MOVES + 1 == len(set(told))
    assert told[-1] == told[FREE_MOVES]
    assert 1_000 == _asked(pace, 1_000, START_US + SECOND_US)


def test_under_lasting_load_there_is_about_one_position_a_second() -> None:
    """A minute of 100 positions and 100 requests a second: one position a second, the free ones besides."""
    pace = Pace()
    told = {_asked(pace, index, START_US + index * SECOND_US // 100) for index in range(6_000)}
    assert 60 <= len(told) <= 60 + FREE_MOVES + 6 + 1


def test_what_must_be_told_moves_the_position() -> None:
    """Something came back, or the asker knows more than was told, or the epoch rose: the newest, whatever the load."""
    pace = Pace()
    for offset in range(100):
        _asked(pace, offset, START_US)
    held = _asked(pace, 100, START_US)
    assert held < 100
    assert 101 == _asked(pace, 101, START_US, after=held + 1)
    assert 101 == _asked(pace, 102, START_US)
    assert 103 == _asked(pace, 103, START_US, told_from=102)
    assert 1 == _asked(pace, 1, START_US, epoch=2)


@given(
    steps=st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 2 * SECOND_US), st.none() | st.integers(0, 50)), max_size=200
    )
)
def test_a_position_never_falls_and_is_never_ahead(steps: list[tuple[int, int, int | None]]) -> None:
    """Whatever is asked when: positions rise, are at most the newest, at least what the asker has, and of this second or the newest."""
    pace, newest, wall_us, before = Pace(), 0, START_US, 0
    for grown, elapsed_us, behind in steps:
        newest, wall_us = newest + grown, wall_us + elapsed_us
        after = None if behind is None else max(0, newest - behind)
        told = _asked(pace, newest, wall_us, after=after)
        assert max(before, after or 0) <= told <= newest
        before = told


async def _open(it: Stage, from_ms: int, after: int | None = None) -> Any:
    query = f"from_ms={from_ms}" + ("" if after is None else f"&after={after}")
    answer = await it.get(f"/v1/rooms/class/slices/1/open.json?{query}")
    assert 200 == answer.status_code, answer.text
    return answer.json()


async def _vote(it: Stage, who: str, choice: int) -> None:
    body = {"id": f"vote of {who}", "action": "vote", "poll": "p1", "choices": [choice]}
    assert 200 == (await it.post("/v1/rooms/class/actions", body, it.token("class", who))).status_code


async def test_who_polls_counts_on_from_what_they_have(tmp_path: Path) -> None:
    """Votes and upvotes among newer events are counted together with those before."""
    async with stage(tmp_path) as it:
        await it.stream(Scenario(START_US), 30)
        await it.seal()
        from_ms = (await it.chat())["sealed_until_ms"]
        question = (await it.say("why?", kind="question"))["offset"]
        await it.act("upvote", target=question)
        await it.act("poll_open", poll="p1", question="?", choices=["a", "b"])
        await _vote(it, "ann", 0)
        after = (await _open(it, from_ms))["as_of"]["offset"]
        it.advance(2)
        await _vote(it, "ben", 1)
        body = {"id": "another upvote", "action": "upvote", "target": question}
        assert 200 == (await it.post("/v1/rooms/class/actions", body, it.token("class", "ben"))).status_code
        newer = (await _open(it, from_ms, after))["tallies"]
        assert [2, [1, 1]] == [one.get("tally", one.get("count")) for one in newer]
        assert newer == (await _open(it, from_ms))["tallies"][-2:]


async def test_a_close_tells_the_answer_once_it_is_final(tmp_path: Path) -> None:
    """Not while votes still count; and then also to those who have the close already."""
    async with stage(tmp_path) as it:
        await it.stream(Scenario(START_US), 30)
        await it.seal()
        from_ms = (await it.chat())["sealed_until_ms"]
        await it.act("poll_open", poll="p1", question="?", choices=["a", "b"], answer=[1])
        await _vote(it, "ann", 1)
        await it.act("poll_close", poll="p1")
        early = await _open(it, from_ms)
        assert [("p1", None, None)] == [
            (one["poll"], one.get("tally"), one.get("answer"))
            for one in early["events"]
            if one["kind"] == "poll_closed"
        ]
        assert "answer" not in str(early)
        after = early["as_of"]["offset"]
        await it.stream(Scenario(START_US), 40)
        newer = await _open(it, from_ms, after)
        assert [(True, [0, 1], [1])] == [(one["final"], one["tally"], one["answer"]) for one in newer["tallies"]]
        (closed,) = [one for one in (await _open(it, from_ms))["events"] if one["kind"] == "poll_closed"]
        assert ([0, 1], [1]) == (closed["tally"], closed["answer"])
