"""Room state is a fold over the log (contract §3)."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from chatsync.chat.event import Event
from chatsync.replay.state import QUESTIONS_MAX, RoomState, folded
from tests.builders import BASE_US, author, event


def wire(state: RoomState) -> dict[str, Any]:
    """The state with authors inline."""
    return state.to_wire(msgspec.to_builtins)


def class_of_events() -> list[Event]:
    """Two questions, one upvoted, one answered, a hand, a pin."""
    return [
        event(1, "question", BASE_US + 1, text="why?"),
        event(2, "question", BASE_US + 2, text="how?"),
        event(3, "question_upvoted", BASE_US + 3, target=2),
        event(4, "hand_raised", BASE_US + 4, author=author("Ben")),
        event(5, "pinned", BASE_US + 5, text="exercise 7"),
        event(6, "question_answered", BASE_US + 6, target=1),
    ]


def test_open_questions_hands_and_pins_are_up() -> None:
    """Answered questions leave, upvoted ones come first, hands and pins stay until lowered."""
    state = wire(folded(class_of_events()))
    assert [(2, 1)] == [(question["offset"], question["upvotes"]) for question in state["questions"]]
    assert ["Ben"] == [hand["author"]["name"] for hand in state["hands"]]
    assert [(5, "exercise 7")] == [(pin["offset"], pin["text"]) for pin in state["pinned"]]


def test_the_state_at_an_instant_ends_before_it() -> None:
    """Events at the instant itself belong to what follows."""
    before = wire(folded(class_of_events(), before_us=BASE_US + 6))
    assert [2, 1] == [question["offset"] for question in before["questions"]]


@given(st.permutations(range(6)))
def test_the_order_of_input_does_not_matter(order: list[int]) -> None:
    """A fold is in program order whatever order the rows came in."""
    events = class_of_events()
    assert wire(folded(events)) == wire(folded([events[index] for index in order]))


def test_hidden_events_do_not_count() -> None:
    """A hidden question, upvote or pin leaves no trace in the state."""
    hidden = [
        msgspec.structs.replace(e, hidden=True, text=None) if e.offset in {2, 5} else e for e in class_of_events()
    ]
    state = wire(folded(hidden))
    assert ([], []) == (state["questions"], state["pinned"])


def test_unpin_takes_down_one_or_all() -> None:
    """Without a target every pin goes."""
    pins = [event(1, "pinned", text="a"), event(2, "pinned", target=9), event(3, "unpinned", target=9)]
    assert [1] == [pin["offset"] for pin in wire(folded(pins))["pinned"]]
    assert [] == wire(folded([*pins, event(4, "unpinned")]))["pinned"]


def test_a_lowered_hand_is_down_whoever_lowers_it() -> None:
    """One's own hand, or a host by the author's key."""
    raised = event(1, "hand_raised", author=author("Ben"))
    own = event(2, "hand_lowered", author=author("Ben"))
    host = event(2, "hand_lowered", author=author("Host", "host"), details={"author": "key-ben"})
    for lowered in (own, host):
        assert [] == wire(folded([raised, lowered]))["hands"]


def test_at_most_a_hundred_questions_most_upvoted_first() -> None:
    """The state stays small; what most people ask is in it."""
    questions = [event(n, "question", BASE_US + n, text="?") for n in range(1, 151)]
    upvote = event(200, "question_upvoted", BASE_US + 200, target=140)
    state = wire(folded([*questions, upvote]))
    assert QUESTIONS_MAX == len(state["questions"])
    assert 140 == state["questions"][0]["offset"]


def test_mode_carries_over_and_changes_by_parts() -> None:
    """A mode event changes what it names and leaves the rest."""
    changed = folded(
        [event(1, "mode_changed", details={"mode": {"slow_ms": 5000}})], mode={"write": "hosts", "slow_ms": 0}
    )
    assert {"write": "hosts", "slow_ms": 5000} == changed.mode
