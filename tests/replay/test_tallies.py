"""Votes counted as they stood at each moment, and as they were when the poll was closed."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chatsync.chat.event import Event
from chatsync.instants import SECOND_US, ms_from_us
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
