"""Room state is a fold over the log (contract §3)."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from chatsync.chat.event import Event
from chatsync.chat.mode import Mode, mode_to_wire
from chatsync.replay.state import HANDS_MAX, QUESTIONS_MAX, RoomState, folded
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


@given(st.data())
def test_the_edge_and_the_fold_agree(data: st.DataObject) -> None:
    """Folding event by event as they are logged gives what a fold of any prefix gives, whatever order the rows come in."""
    kinds = st.sampled_from(
        ["question", "question_upvoted", "question_answered", "hand_raised", "hand_lowered", "pinned", "unpinned"]
    )
    chosen = data.draw(
        st.lists(st.tuples(kinds, st.integers(1, 12), st.booleans(), st.sampled_from("ABC")), max_size=25)
    )
    events = [
        event(
            offset,
            kind,
            BASE_US + offset * 1000,
            author=author(name),
            target=target if kind in {"question_upvoted", "question_answered"} else None,
            hidden=hidden,
        )
        for offset, (kind, target, hidden, name) in enumerate(chosen, start=1)
    ]
    edge = RoomState()
    for one in events:
        edge.fold(one)
    assert wire(edge) == wire(folded(data.draw(st.permutations(events))))
    until = data.draw(st.integers(0, 26))
    before_us = BASE_US + until * 1000
    assert wire(folded(events[: max(0, until - 1)])) == wire(folded(events, before_us=before_us))


def test_events_of_one_instant_are_folded_by_offset() -> None:
    """Raised and lowered within the same millisecond: the log's order decides."""
    raised = event(1, "hand_raised", author=author("Ben"))
    lowered = event(2, "hand_lowered", author=author("Ben"))
    assert [] == wire(folded([lowered, raised]))["hands"]
    again = event(3, "hand_raised", author=author("Ben"))
    assert ["Ben"] == [hand["author"]["name"] for hand in wire(folded([again, lowered, raised]))["hands"]]


def test_program_order_decides_not_the_order_of_the_log() -> None:
    """A question logged late but asked early stands before its answer's program time."""
    late = [event(2, "question", BASE_US + 1, text="?"), event(3, "question_answered", BASE_US + 2, target=2)]
    assert [2] == [q["offset"] for q in wire(folded(late, before_us=BASE_US + 2))["questions"]]
    assert [] == wire(folded(late))["questions"]


def test_what_is_about_nothing_that_is_up_changes_nothing() -> None:
    """Upvotes, answers and lowered hands without their counterpart leave the state as it was."""
    empty = wire(RoomState())
    strays = [
        event(1, "question_upvoted", target=99),
        event(2, "question_answered", target=99),
        event(3, "hand_lowered"),
        event(4, "hand_raised", author=None),
        event(5, "question_answered", target=None),
        event(6, "message"),
        event(7, "some_new_kind"),
    ]
    assert empty == wire(folded(strays))


def test_a_hidden_upvote_is_taken_off() -> None:
    """Hiding one of two upvotes leaves one."""
    question = event(1, "question", text="?")
    upvotes = [
        event(2, "question_upvoted", BASE_US + 1, target=1),
        event(3, "question_upvoted", BASE_US + 2, target=1, hidden=True),
    ]
    state = folded([question, *upvotes])
    assert [{"target": 1, "count": 1}] == state.upvoted()
    assert {1: 1} == state.open_questions()


def test_a_hidden_answer_leaves_the_question_open() -> None:
    """What is hidden did not happen, for the state."""
    events = [event(1, "question", text="?"), event(2, "question_answered", BASE_US + 1, target=1, hidden=True)]
    assert [1] == [question["offset"] for question in wire(folded(events))["questions"]]


def test_questions_without_upvotes_are_no_tally() -> None:
    """The live tallies name only what somebody upvoted."""
    assert [] == folded([event(1, "question", text="?")]).upvoted()


def test_equally_upvoted_questions_stand_in_the_order_they_were_asked() -> None:
    """The oldest first, by offset."""
    questions = [event(n, "question", BASE_US + 10 - n, text="?") for n in (3, 1, 2)]
    assert [1, 2, 3] == [question["offset"] for question in wire(folded(questions))["questions"]]


def test_a_raised_hand_keeps_its_place_in_the_queue() -> None:
    """Raising it again is not being later; a hundred are printed, the longest raised first."""
    hands = [event(n, "hand_raised", BASE_US + n * 1000, author=author(f"P{n}")) for n in range(1, 121)]
    again = event(200, "hand_raised", BASE_US + 500_000, author=author("P1"))
    state = wire(folded([*hands, again]))
    assert HANDS_MAX == len(state["hands"])
    assert ("P1", BASE_US // 1000 + 1) == (state["hands"][0]["author"]["name"], state["hands"][0]["since_ms"])


def test_pinning_the_same_message_twice_shows_it_once() -> None:
    """The pin is up until it is taken down once."""
    pins = [event(1, "pinned", target=9), event(2, "pinned", target=9)]
    assert [9] == [pin["offset"] for pin in wire(folded(pins))["pinned"]]
    assert [] == wire(folded([*pins, event(3, "unpinned", target=9)]))["pinned"]


def test_a_text_that_was_pinned_is_taken_down_by_its_own_offset() -> None:
    """A pinned text has no message: the pin's offset names it."""
    pins = [event(4, "pinned", text="a"), event(5, "pinned", text="b"), event(6, "unpinned", target=4)]
    assert [5] == [pin["offset"] for pin in wire(folded(pins))["pinned"]]


def test_a_new_broadcast_starts_empty() -> None:
    """Nothing but the mode carries over."""
    state = wire(folded([], mode={"write": "hosts"}))
    assert {"mode": {"write": "hosts"}, "pinned": [], "polls": [], "hands": [], "questions": []} == state


def test_folding_changes_no_mode_that_was_given() -> None:
    """What the caller handed in stays as it was."""
    mode = {"write": "hosts", "slow_ms": 0}
    folded([event(1, "mode_changed", details={"mode": {"slow_ms": 9}})], mode=mode)
    assert {"write": "hosts", "slow_ms": 0} == mode
    assert 0 == RoomState().mode["slow_ms"]


def test_a_poll_is_up_until_it_is_closed() -> None:
    """With the votes so far, never with its answer."""
    details = {"poll": "p1", "question": "?", "choices": ["a", "b"], "multiple": False, "answer": [1]}
    opened = event(1, "poll_opened", details=details, author=author("Host", "host"))
    vote = event(2, "poll_voted", BASE_US + 1_000, details={"poll": "p1", "choices": [1]})
    closed = event(3, "poll_closed", BASE_US + 2_000, details={"poll": "p1"})
    polls = wire(folded([opened, vote]))["polls"]
    assert [("p1", 1, [0, 1], 1)] == [(one["poll"], one["offset"], one["tally"], one["voters"]) for one in polls]
    assert "answer" not in polls[0]
    assert [] == wire(folded([opened, vote, closed]))["polls"]


def test_a_room_starts_in_the_usual_mode() -> None:
    """Every part of it is printed, so that a player needs no defaults."""
    assert mode_to_wire(Mode()) == wire(RoomState())["mode"]
