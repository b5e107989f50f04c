"""Slices: where they are cut and what they print (contract §3)."""

from __future__ import annotations

import json
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from chatsync.chat.event import Position
from chatsync.instants import SECOND_US, Range
from chatsync.replay.slices import EVENTS_MAX, cut, encoded_slice, late_range, sealed_until_us, tallies_of
from chatsync.replay.state import RoomState, folded
from tests.builders import BASE_US, author, event

S = SECOND_US
FAR = BASE_US + 10**12


def at(seconds: float) -> int:
    """Program time so long after BASE_US."""
    return BASE_US + round(seconds * S)


def test_a_busy_minute_is_a_slice_from_the_second_of_its_first_event() -> None:
    """Fifty events or more: cut after 60 s."""
    placed = [at(3.7 + n) for n in range(70)]
    assert Range(at(3), at(63)) == cut(placed, watermark_us=FAR)[0]


def test_a_quiet_slice_goes_on_until_it_has_fifty_events_or_ten_minutes() -> None:
    """Below 50 events it is not cut at 60 s."""
    assert [Range(at(0), at(600))] == cut([at(n * 30) for n in range(20)], watermark_us=FAR)
    fifty = [at(n * 2) for n in range(50)]
    assert [Range(at(0), at(99))] == cut(fifty, watermark_us=FAR)


def test_a_flood_is_cut_at_the_second_that_fills_it() -> None:
    """A thousand events end a slice at the next whole second, with all events of that second."""
    flood = sorted(at(n * 0.004) for n in range(EVENTS_MAX + 200))
    assert Range(at(0), at(4)) == cut(flood, watermark_us=FAR)[0]


def test_nothing_is_cut_past_the_watermark() -> None:
    """A slice whose end the watermark has not passed stays open."""
    placed = [at(n) for n in range(120)]
    assert [] == cut(placed, watermark_us=at(60) - 1)
    assert [Range(at(0), at(60))] == cut(placed, watermark_us=at(60))


events_placed = st.lists(st.integers(0, 3_000_000), min_size=1, max_size=300).map(
    lambda ms: sorted(BASE_US + x * 1000 for x in ms)
)


@given(events_placed)
def test_every_event_is_in_exactly_one_slice(placed: list[int]) -> None:
    """Slices are in order, do not overlap, and cover every event; starts and ends are whole seconds."""
    slices = cut(placed, watermark_us=FAR)
    assert all(a.end_us <= b.start_us for a, b in pairwise(slices))
    assert [1] * len(placed) == [sum(one.covers(program_us) for one in slices) for program_us in placed]
    assert all(one.start_us % S == 0 == one.end_us % S for one in slices)


@given(events_placed, st.lists(st.integers(0, 4_000), max_size=8).map(sorted))
def test_cutting_in_steps_gives_the_same_slices(placed: list[int], marks_s: list[int]) -> None:
    """However the watermark moves, and whatever it has not seen yet, a range never changes."""
    whole = cut(placed, watermark_us=FAR)
    stepped: list[Range] = []
    for mark_us in [*(at(mark) for mark in marks_s), FAR]:
        done_us = stepped[-1].end_us if stepped else -FAR
        visible = [p for p in placed if done_us <= p < mark_us + 20 * S]
        stepped += cut(visible, watermark_us=mark_us)
    assert whole == stepped


@given(events_placed, st.lists(st.integers(0, 4_000), min_size=1, max_size=8))
def test_sealed_until_never_falls(placed: list[int], marks_s: list[int]) -> None:
    """It follows the watermark through empty time and stops at the first unsealed event."""
    before: int | None = None
    for mark in marks_s:
        value = sealed_until_us(placed, watermark_us=at(mark), before_us=before)
        assert before is None or value >= before
        before = value


def test_a_late_event_in_empty_time_gets_its_own_second_clipped_by_neighbours() -> None:
    """Neighbours keep their ranges."""
    assert Range(at(5), at(6)) == late_range(at(5.4), [])
    assert Range(at(5.2), at(5.8)) == late_range(at(5.4), [Range(at(0), at(5.2)), Range(at(5.8), at(9))])


def encoded(events: list, state: RoomState | None = None) -> dict:  # type: ignore[type-arg]
    """A slice of the first minute as JSON."""
    body = encoded_slice(
        room="math",
        broadcast=1,
        within=Range(at(0), at(60)),
        position=Position(1, 99),
        revision=2,
        state=state or RoomState(),
        events=events,
    )
    decoded: dict = json.loads(body)  # type: ignore[type-arg]
    return decoded


def test_a_slice_prints_what_everyone_may_see_and_nothing_else() -> None:
    """Staff kinds, votes, private and hidden events are not in it."""
    events = [
        event(1, text="seen"),
        event(2, "hidden", target=1, details={"reason": "secret reason"}),
        event(3, "question_upvoted", target=1),
        event(4, text="gone", hidden=True),
        event(5, text="private", details={"to": ["host"]}),
        event(6, "some_new_kind", text="unknown"),
    ]
    body = encoded(events)
    assert [1] == [one["offset"] for one in body["events"]]
    assert "secret" not in json.dumps(body)


def test_authors_stand_once_and_events_point_to_them() -> None:
    """Two messages of one author share an entry."""
    body = encoded([event(1), event(2), event(3, author=author("Ben"))])
    assert ["Ann", "Ben"] == [one["name"] for one in body["authors"]]
    assert [0, 0, 1] == [one["author"] for one in body["events"]]


def test_a_slice_says_which_it_is() -> None:
    """Range, epoch, revision and position are as given."""
    body = encoded([event(1)])
    assert (BASE_US // 1000, BASE_US // 1000 + 60_000, "1", 2) == tuple(
        body[name] for name in ("start_ms", "end_ms", "epoch", "revision")
    )
    assert {"epoch": "1", "offset": 99} == body["as_of"]


def test_tallies_run_on_from_the_state_before() -> None:
    """Upvotes are printed as counts at their program time, never singly."""
    question = event(1, "question", at(-5), text="?")
    before = folded([question, event(2, "question_upvoted", at(-4), target=1)])
    inside = [event(3, "question_upvoted", at(1), target=1), event(4, "question_upvoted", at(2), target=1)]
    assert [(at(1) // 1000, 2), (at(2) // 1000, 3)] == [
        (tally["program_ms"], tally["count"]) for tally in tallies_of(inside, before)
    ]
