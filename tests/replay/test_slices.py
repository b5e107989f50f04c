"""Slices: where they are cut and what they print (contract §3)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatsync.chat.event import KINDS, Event, Position, Visibility
from chatsync.instants import SECOND_US, Range
from chatsync.replay.slices import (
    EVENTS_MAX,
    LONG_US,
    QUIET_EVENTS,
    USUAL_US,
    Authors,
    counted,
    cut,
    encoded_slice,
    is_sliced,
    late_range,
    sealed_until_us,
)
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


def encoded(events: Sequence[Event], state: RoomState | None = None, **fields: Any) -> dict[str, Any]:
    """A slice of the first minute as JSON."""
    body = encoded_slice(
        room="math",
        broadcast=1,
        within=Range(at(0), at(60)),
        position=Position(1, 99),
        state=state or RoomState(),
        events=events,
        **({"revision": 2} | fields),
    )
    decoded: dict[str, Any] = json.loads(body)
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
        (tally["program_ms"], tally["count"]) for tally in counted(inside, before).tallies
    ]


def by_the_rule(placed: Sequence[int]) -> list[Range]:
    """The contract's rule, second by second."""
    ranges, rest = [], list(placed)
    while rest:
        start_us = end_us = rest[0] - rest[0] % S
        while True:
            end_us += S
            count = sum(program_us < end_us for program_us in rest)
            long = end_us - start_us
            if count >= EVENTS_MAX or (long >= USUAL_US and count >= QUIET_EVENTS) or long >= LONG_US:
                break
        ranges.append(Range(start_us, end_us))
        rest = rest[count:]
    return ranges


crowds = st.lists(
    st.tuples(st.integers(0, 1_400), st.sampled_from([1, 3, 20, 49, 50, 51, 400, 999, 1000, 1001]), st.integers(1, 90)),
    min_size=1,
    max_size=5,
).map(
    lambda bursts: sorted(
        at(start_s) + n * long_s * S // count for start_s, count, long_s in bursts for n in range(count)
    )
)


@given(crowds | events_placed)
def test_slices_are_cut_by_the_rule(placed: list[int]) -> None:
    """A thousand events, or 60 s with fifty events or more, or ten minutes: the first whole second that fits."""
    assert by_the_rule(placed) == cut(placed, watermark_us=FAR)


@pytest.mark.parametrize(("count", "long_s"), [(49, 600), (50, 60), (999, 60), (1000, 1), (1001, 1)])
def test_the_bounds_of_the_rule(count: int, long_s: int) -> None:
    """Forty-nine events wait ten minutes, fifty a minute, a thousand only for the end of their second."""
    placed = [at(9.5) + n for n in range(count)]
    assert [Range(at(9), at(9 + long_s))] == cut(placed, watermark_us=FAR)


def test_an_event_on_the_cut_belongs_to_the_next_slice() -> None:
    """Ranges are half-open."""
    placed = [at(n) for n in range(61)]
    assert [Range(at(0), at(60)), Range(at(60), at(660))] == cut(placed, watermark_us=FAR)


def test_empty_time_has_no_slice() -> None:
    """After a pause the next slice starts at the second of its own first event."""
    placed = [at(0), at(5_000.25)]
    assert [Range(at(0), at(600)), Range(at(5_000), at(5_600))] == cut(placed, watermark_us=FAR)


def test_nothing_said_is_nothing_cut() -> None:
    """A silent broadcast has no slices, and is sealed up to the watermark."""
    assert [] == cut([], watermark_us=FAR)
    assert at(7) == sealed_until_us([], watermark_us=at(7.9), before_us=None)


def test_before_the_epoch_seconds_are_whole_too() -> None:
    """An encoder whose clock was never set still gets slices."""
    [only] = cut([-1_500_000], watermark_us=FAR)
    assert Range(-2 * S, 598 * S) == only


def test_sealed_until_stops_at_the_second_of_the_first_unsealed_event() -> None:
    """What is not cut yet is not sealed."""
    assert at(5) == sealed_until_us([at(5.7)], watermark_us=at(20), before_us=at(1))
    assert at(5) == sealed_until_us([at(3)], watermark_us=at(20), before_us=at(5))


@given(events_placed, st.lists(st.integers(0, 5_000), min_size=1, max_size=12), st.data())
def test_sealing_as_time_goes_keeps_every_promise(placed: list[int], marks_s: list[int], data: st.DataObject) -> None:
    """The watermark moves about and events are logged late: no range changes, none overlap, nothing is in two."""
    slices: list[Range] = []
    sealed_us: int | None = None
    left = data.draw(st.permutations(placed))
    known: list[int] = []
    for mark_s in [*marks_s, 10_000]:
        arriving = data.draw(st.integers(0, len(left))) if mark_s < 10_000 else len(left)
        for program_us in left[:arriving]:
            if sealed_us is not None and program_us < sealed_us:
                if not any(one.covers(program_us) for one in slices):
                    slices = sorted([*slices, late_range(program_us, slices)])
            else:
                known.append(program_us)
        left = left[arriving:]
        unsealed = sorted(p for p in known if sealed_us is None or p >= sealed_us)
        fresh = cut(unsealed, watermark_us=at(mark_s))
        assert all(one.end_us <= at(mark_s) for one in fresh)
        slices = sorted([*slices, *fresh])
        unsealed = [p for p in unsealed if not any(one.covers(p) for one in fresh)]
        ends = [one.end_us for one in fresh] + ([] if sealed_us is None else [sealed_us])
        before = max(ends, default=None)
        now_us = sealed_until_us(unsealed, watermark_us=at(mark_s), before_us=before)
        assert sealed_us is None or now_us >= sealed_us
        assert all(p >= now_us for p in unsealed)
        sealed_us = now_us
        assert all(a.end_us <= b.start_us for a, b in pairwise(slices))
    assert [1] * len(placed) == [sum(one.covers(p) for one in slices) for p in placed]


@given(st.lists(st.integers(0, 60_000_000), max_size=8, unique=True), st.integers(0, 60_000_000))
def test_a_late_range_holds_its_event_and_touches_no_neighbour(bounds: list[int], placed: int) -> None:
    """Whatever lies around, the late event's range covers it, is a second at most and overlaps nothing."""
    marks = sorted(bounds)
    neighbours = [Range(a, b) for a, b in zip(marks[::2], marks[1::2], strict=False) if not Range(a, b).covers(placed)]
    within = late_range(placed, neighbours)
    assert within.covers(placed)
    assert within.duration_us <= S
    assert not any(within.overlaps(other) for other in neighbours)


@pytest.mark.parametrize("kind", [*sorted(KINDS), "some_new_kind"])
def test_only_public_kinds_are_sliced(kind: str) -> None:
    """By kind, and only while visible and addressed to everyone."""
    public = KINDS.get(kind) is Visibility.PUBLIC
    assert public == is_sliced(event(1, kind))
    assert not is_sliced(event(1, kind, hidden=True))
    assert not is_sliced(event(1, kind, details={"to": ["host"]}))
    assert [1] * public == [one["offset"] for one in encoded([event(1, kind)])["events"]]


def test_nothing_of_what_is_not_printed_shows_anywhere() -> None:
    """Neither text nor author nor reason of staff, private, held and hidden events is in the bytes of a slice."""
    secret = author("Secretary")
    unseen = [
        event(n, kind, text="secret", author=secret, details={"reason": "secret"}) for n, kind in enumerate(KINDS, 10)
    ]
    body = encoded(
        [
            *(one for one in unseen if not is_sliced(one)),
            event(90, "question", text="secret", author=secret, hidden=True),
            event(91, "question_upvoted", target=90, author=secret),
            event(92, text="secret", author=secret, details={"to": ["key-x"]}),
        ]
    )
    assert "ecret" not in json.dumps(body)
    assert ([], [], []) == (body["events"], body["authors"], body["tallies"])


def test_deeds_do_not_name_who_did_them_for_staff_only() -> None:
    """Details that only staff may see stay out of the print."""
    deed = event(
        1, "question_answered", target=5, details={"how": "live", "by": "mod", "moderator": "m", "reason_text": "r"}
    )
    [printed] = encoded([deed])["events"]
    assert "live" == printed["how"]
    assert not {"by", "moderator", "reason_text"} & set(printed)


def test_tallies_are_of_open_questions_only() -> None:
    """Upvotes of what is hidden, answered, or no question are not counted in public."""
    before = folded([event(1, "question", at(-9), text="?"), event(2, "question", at(-8), text="?")])
    events = [
        event(3, "question_upvoted", at(1), target=1),
        event(4, "question", at(2), text="?", hidden=True),
        event(5, "question_upvoted", at(3), target=4),
        event(6, "question_answered", at(4), target=1),
        event(7, "question_upvoted", at(5), target=1),
        event(8, "question", at(6), text="?"),
        event(9, "question_upvoted", at(7), target=8),
        event(10, "question_upvoted", at(8), target=8, hidden=True),
        event(11, "question_upvoted", at(9), target=8),
        event(12, "question_upvoted", at(10), target=99),
    ]
    tallies = [(tally["target"], tally["count"]) for tally in counted(events, before).tallies]
    assert [(1, 1), (8, 1), (8, 2)] == tallies


@given(
    st.lists(
        st.tuples(st.sampled_from(["question", "question_upvoted", "question_answered"]), st.integers(1, 9)),
        max_size=20,
    )
)
def test_tallies_of_two_halves_are_the_tallies_of_the_whole(chosen: list[tuple[str, int]]) -> None:
    """Cut anywhere, the second half goes on from the state it opens with."""
    events = [
        event(offset, kind, at(offset), text="?", target=None if kind == "question" else target)
        for offset, (kind, target) in enumerate(chosen, start=1)
    ]
    whole = counted(events, RoomState()).tallies
    for half in range(len(events) + 1):
        later = counted(events[half:], folded(events[:half])).tallies
        assert whole == counted(events[:half], RoomState()).tallies + later


def test_printing_tallies_leaves_the_state_as_it_was() -> None:
    """The state a slice opens with is the one before its events."""
    state = folded([event(1, "question", at(-9), text="?")])
    body = encoded([event(2, "question_upvoted", at(1), target=1)], state)
    assert (0, 1) == (body["state"]["questions"][0]["upvotes"], body["tallies"][0]["count"])
    assert {1: 0} == state.open_questions()


def test_authors_of_the_state_are_in_the_table_too() -> None:
    """Hands and questions that were up before point into the same table."""
    state = folded([event(1, "hand_raised", at(-9), author=author("Ben"))])
    body = encoded([event(2)], state)
    assert ["Ann", "Ben"] == [one["name"] for one in body["authors"]]
    assert 1 == body["state"]["hands"][0]["author"]


def test_an_author_who_changed_the_name_stands_twice() -> None:
    """Each event keeps the name it was written under; the key is the same."""
    authors = Authors()
    renamed = msgspec.structs.replace(author("Ann"), name="Anna")
    assert [0, 1, 0] == [authors.index(one) for one in (author("Ann"), renamed, author("Ann"))]
    assert {"key-ann"} == {one["key"] for one in authors.to_wire()}


def test_the_open_slice_has_no_revision_and_says_what_went() -> None:
    """Same shape, without a revision, with the offsets to drop."""
    body = encoded([event(1)], revision=None, gone=[7, 8])
    assert "revision" not in body
    assert [7, 8] == body["gone"]
    assert "gone" not in encoded([event(1)])


def test_an_event_without_author_has_none() -> None:
    """What the stream did has nobody's name."""
    body = encoded([event(1, "stream_changed", author=None, details={"run": 2})])
    assert "author" not in body["events"][0]
    assert (2, []) == (body["events"][0]["run"], body["authors"])


def test_a_slice_says_the_broadcast_once() -> None:
    """It stands at the top, not in every event."""
    body = encoded([event(1)])
    assert 1 == body["broadcast"]
    assert "broadcast" not in body["events"][0]
