"""Votes counted as they stood at each moment, and as they were when the poll was closed."""

from __future__ import annotations

import time
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chatsync.chat.event import Event
from chatsync.instants import SECOND_US, ms_from_us
from chatsync.replay.slices import counted as counted_in
from chatsync.replay.state import RoomState, folded
from chatsync.replay.tallies import Counting, OpenPoll
from tests.builders import BASE_US, author, event


def _opened(offset: int = 1, at_us: int = BASE_US, **details: Any) -> Event:
    given = {"poll": "p1", "question": "?", "choices": ["a", "b"], "multiple": False} | details
    return event(offset, "poll_opened", at_us, author=author("Host", "host"), details=given)


def _vote(offset: int, who: str, *choices: int, at_us: int = BASE_US + SECOND_US, **fields: Any) -> Event:
    details = {"poll": "p1", "choices": list(choices)}
    return event(offset, "poll_voted", at_us, author=author(who), details=details, **fields)


def _closed(offset: int = 90, at_us: int = BASE_US + 60 * SECOND_US) -> Event:
    return event(offset, "poll_closed", at_us, author=author("Host", "host"), details={"poll": "p1"})


def test_the_last_vote_of_a_person_counts() -> None:
    """Whoever changes their mind is counted once."""
    poll = OpenPoll.of(_opened())
    for vote in (_vote(2, "Ann", 0), _vote(3, "Ben", 0), _vote(4, "Ann", 1)):
        poll.count(vote)
    assert ([1, 1], 2) == (poll.tally(), len(poll.votes))


def test_an_open_poll_never_shows_its_answer() -> None:
    """Nor who voted for what."""
    poll = OpenPoll.of(_opened(answer=[1]))
    poll.count(_vote(2, "Ann", 1))
    wire = poll.to_wire()
    assert {"poll", "offset", "question", "choices", "multiple", "program_ms", "voters", "tally"} == set(wire)
    assert "key-ann" not in str(wire)


def test_a_second_of_votes_is_one_entry() -> None:
    """Five thousand pupils make a line a second, which says how it stood at the second's last vote."""
    votes = [_vote(10 + n, f"P{n}", n % 2, at_us=BASE_US + SECOND_US + n * 300_000) for n in range(6)]
    counted = Counting({}, {}).counted([_opened(), *votes])
    assert [
        {"program_ms": ms_from_us(BASE_US + 1_900_000), "poll": "p1", "tally": [2, 2]},
        {"program_ms": ms_from_us(BASE_US + 2_500_000), "poll": "p1", "tally": [3, 3]},
    ] == counted.tallies


def test_a_close_prints_tally_and_answer() -> None:
    """Of a quiz; a poll without a right answer prints none."""
    for answer in ({"answer": [1]}, {}):
        events = [_opened(1, BASE_US, **answer), _vote(2, "Ann", 1), _closed()]
        assert {90: {"tally": [0, 1], **answer}} == Counting({}, {}).counted(events).finals


def test_votes_after_the_close_and_hidden_ones_count_nowhere() -> None:
    """By program time; a vote of a poll that is not there neither."""
    late = _vote(95, "Ben", 0, at_us=BASE_US + 61 * SECOND_US)
    events = [_vote(0, "Eve", 0, at_us=BASE_US - 1), _opened(), _vote(2, "Ann", 1, hidden=True), _closed(), late]
    counted = Counting({}, {}).counted(events)
    assert ([], {90: {"tally": [0, 0]}}) == (counted.tallies, counted.finals)


def test_counting_changes_no_state() -> None:
    """A slice counts on from copies: the next slice opens with what its own fold says."""
    state = folded([_opened(), _vote(2, "Ann", 0)])
    Counting(state.open_questions(), state.open_polls()).counted([_vote(3, "Ben", 1)])
    assert [[1, 0]] == [poll.tally() for poll in state.open_polls().values()]


@given(st.data())
def test_wherever_it_is_cut_the_count_is_the_same(data: st.DataObject) -> None:
    """Counting a whole, or a first part by folding and the rest by counting on, ends with the same tally."""
    chosen = data.draw(st.lists(st.tuples(st.sampled_from("ABCD"), st.integers(0, 1)), max_size=20))
    events = [
        _opened(),
        *(_vote(n, who, choice, at_us=BASE_US + n * 400_000) for n, (who, choice) in enumerate(chosen, start=2)),
        _closed(),
    ]
    cut = data.draw(st.integers(0, len(events) - 1))
    before = folded(events[:cut]) if cut else RoomState()
    rest = Counting(before.open_questions(), before.open_polls()).counted(events[cut:])
    assert Counting({}, {}).counted(events).finals == rest.finals


@given(st.data())
def test_who_asks_again_and_again_has_the_same_tallies_as_who_asks_at_once(data: st.DataObject) -> None:
    """Votes come in any order of program time, some before the stretch; what changed since is told, late ones' effects too."""
    placed = data.draw(st.lists(st.tuples(st.integers(0, 9), st.sampled_from("ABC"), st.integers(0, 1)), max_size=15))
    log = [
        _vote(offset, who, choice, at_us=BASE_US + half * SECOND_US // 2)
        for offset, (half, who, choice) in enumerate(placed, start=2)
    ]
    start_us, held, after = BASE_US + 2 * SECOND_US, dict[int, list[int]](), None
    for through in [*sorted(data.draw(st.sets(st.integers(1, 1 + len(log))))), 1 + len(log)]:
        known = sorted([_opened(), *(vote for vote in log if vote.offset <= through)], key=lambda one: one.place)
        state = folded(known, before_us=start_us)
        counted = counted_in([one for one in known if one.program_us >= start_us], state)
        whole = {one["program_ms"] // 1_000: one["tally"] for one in counted.tallies}
        told = counted.told(after=after, final_before_us=0)
        held |= {one["program_ms"] // 1_000: one["tally"] for one in told.tallies}
        assert whole == held
        after = through


def test_a_late_upvote_changes_what_follows_it() -> None:
    """Also one that stands before the stretch."""
    upvotes = [
        event(offset, "question_upvoted", BASE_US + at_s * SECOND_US, target=1) for offset, at_s in ((2, 5), (3, 1))
    ]
    known = sorted([event(1, "question", BASE_US, text="?"), *upvotes], key=lambda one: one.place)
    for start_s in (0, 2):
        state = folded(known, before_us=BASE_US + start_s * SECOND_US)
        later = [one for one in known if one.program_us >= BASE_US + start_s * SECOND_US]
        told = counted_in(later, state).told(after=2, final_before_us=0)
        assert (ms_from_us(BASE_US) + 5_000, 2) == tuple(told.tallies[-1][name] for name in ("program_ms", "count"))


def test_a_close_prints_nothing_before_it_is_final_and_tells_those_who_have_it() -> None:
    """Who has the close already learns by the tallies what it came to."""
    counted = counted_in([_opened(answer=[1]), _vote(2, "Ann", 1), _closed()], RoomState())
    closed_us = _closed().program_us
    early = counted.told(after=None, final_before_us=closed_us)
    assert ({}, [[0, 1]]) == (early.finals, [one["tally"] for one in early.tallies])
    final = {"tally": [0, 1], "answer": [1]}
    assert {90: final} == counted.told(after=None, final_before_us=closed_us + 1).finals
    told = {"program_ms": ms_from_us(closed_us), "poll": "p1", "final": True} | final
    assert [told] == counted.told(after=90, final_before_us=closed_us + 1).tallies


def test_a_whole_school_is_counted_quickly() -> None:
    """Ten thousand votes, each told with the tally as it then stood, in a small part of a second: pollers have it counted again and again."""
    votes = [_vote(n + 2, f"P{n % 5_000}", n % 2, at_us=BASE_US + SECOND_US + n * 1_000) for n in range(10_000)]
    started_s = time.perf_counter()
    counted = counted_in([_opened(), *votes], RoomState())
    assert time.perf_counter() - started_s < 1
    assert [2_500, 2_500] == counted.tallies[-1]["tally"]
