"""From words on the wire to acts: what is allowed, what is needed, which kind it becomes."""

from __future__ import annotations

from typing import Any

import pytest

from chatsync.chat.mode import Mode
from chatsync.chat.wire import ActFrame, SayFrame
from chatsync.errors import MessageRejectedError, NotAllowedError, NotNowError
from chatsync.service.acts import DEEDS, act_of, say_of
from tests.builders import author


def test_a_say_becomes_a_cleaned_event_of_its_kind() -> None:
    """The text is cleaned, the claim goes along."""
    act = say_of(SayFrame("a", "  why?  ", "question", 4), author())
    assert ("question", "a", "why?", 4) == (act.kind, act.id, act.text.strip() if act.text else None, act.reply_to)


@pytest.mark.parametrize(
    ("role", "kind", "allowed"),
    [
        ("participant", "message", True),
        ("participant", "question", True),
        ("participant", "announcement", False),
        ("host", "announcement", True),
        ("moderator", "announcement", True),
        ("viewer", "message", False),
        ("guest", "message", False),
    ],
)
def test_who_may_say_what(role: str, kind: str, allowed: bool) -> None:
    """By the one table of roles and actions."""
    if allowed:
        assert kind == say_of(SayFrame("a", "x", kind), author(role=role)).kind
    else:
        with pytest.raises(NotAllowedError):
            say_of(SayFrame("a", "x", kind), author(role=role))


def test_an_unknown_kind_or_action_is_refused() -> None:
    """Also one that would be staff's, such as hidden."""
    with pytest.raises(MessageRejectedError):
        say_of(SayFrame("a", "x", "hidden"), author(role="host"))
    with pytest.raises(MessageRejectedError):
        act_of(ActFrame("a", "explode"), author(role="host"))


NEEDS: dict[str, dict[str, Any]] = {
    "hide": {"target": 1},
    "restore": {"target": 1},
    "mute": {"author": "k"},
    "unmute": {"author": "k"},
    "ban": {"author": "k", "until_ms": 5},
    "unban": {"author": "k"},
    "reject": {"target": 1},
    "note": {"author": "k", "text": "talked to them"},
    "report": {"target": 1, "reason": "rude"},
    "pin": {"target": 1},
    "upvote": {"target": 1},
    "answer": {"target": 1},
    "mode": {"mode": {"slow_ms": 5_000}},
    "poll_open": {"poll": "p1", "question": "?", "choices": ("a", "b"), "answer": (1,)},
    "poll_close": {"poll": "p1"},
    "vote": {"poll": "p1", "choices": (1,)},
}
"""What each deed needs besides its action."""


@pytest.mark.parametrize("action", sorted(DEEDS))
def test_only_staff_moderates(action: str) -> None:
    """A participant may raise a hand, vote, upvote and report; the rest is for staff."""
    frame = ActFrame("a", action, **NEEDS.get(action, {}))
    if action in {"upvote", "raise_hand", "lower_hand", "vote", "report"}:
        assert DEEDS[action] == act_of(frame, author()).kind
    else:
        with pytest.raises(NotAllowedError):
            act_of(frame, author())
    assert DEEDS[action] == act_of(frame, author(role="host")).kind


@pytest.mark.parametrize("action", sorted(NEEDS))
def test_a_deed_without_what_it_needs_is_refused(action: str) -> None:
    """Each names what is missing by a code."""
    with pytest.raises(MessageRejectedError):
        act_of(ActFrame("a", action), author(role="host"))


@pytest.mark.parametrize(
    "fields",
    [
        {"action": "hide"},
        {"action": "hide", "target": 1, "author": "k"},
        {"action": "pin"},
        {"action": "pin", "target": 1, "text": "x"},
        {"action": "upvote"},
        {"action": "answer"},
        {"action": "note", "author": "k"},
        {"action": "mute", "author": "k" * 65},
        {"action": "mode", "mode": {"volume": 3}},
        {"action": "poll_open", "poll": "p1", "question": "?", "choices": ("a",)},
        {"action": "poll_open", "poll": "p1", "question": "?", "choices": ("a",) * 21},
        {"action": "poll_open", "poll": "p1", "question": "?", "choices": ("a", 1)},
        {"action": "poll_open", "poll": "p1", "question": "", "choices": ("a", "b")},
        {"action": "poll_open", "poll": "p1", "question": "?", "choices": ("a", "b"), "answer": (2,)},
        {"action": "poll_open", "poll": "p1", "question": "?", "choices": ("a", "b"), "answer": (0, 1)},
        {"action": "poll_open", "poll": "p1", "question": "?", "choices": ("a", "b" * 201)},
        {"action": "vote", "poll": "p1", "choices": ()},
    ],
)
def test_a_deed_needs_its_object(fields: dict[str, Any]) -> None:
    """Exactly one where one is needed."""
    with pytest.raises(MessageRejectedError, match=r".+"):
        act_of(ActFrame("a", **fields), author(role="host"))


def test_upvoting_twice_is_upvoting_once() -> None:
    """The id follows from the question, so that dedupe answers the second with the first."""
    first, second = (act_of(ActFrame(id_, "upvote", target=7), author()) for id_ in "ab")
    assert first.id == second.id


def test_a_message_for_few_is_never_told_to_everyone() -> None:
    """Where private messages are off it is refused, for hosts too: nothing private is published by being ignored."""
    for role in ("participant", "host"):
        with pytest.raises(NotNowError):
            say_of(SayFrame("a", "psst", to=("host",)), author(role=role))


PRIVATE = Mode(private=True)


@pytest.mark.parametrize("to", [(), ("key-ben",), ("host", "key-ben"), ("moderator",)])
def test_pupils_write_to_those_who_run_the_room_and_to_nobody_else(to: tuple[str, ...]) -> None:
    """Never to each other."""
    with pytest.raises(MessageRejectedError) as refused:
        say_of(SayFrame("a", "psst", to=to), author(), mode=PRIVATE)
    assert "bad_addressee" == refused.value.reason


def test_a_private_message_names_whom_it_is_for() -> None:
    """Staff may name people; it is never held, since staff sees it anyway."""
    mode = Mode(private=True, approval=True)
    to_host = say_of(SayFrame("a", "psst", to=("host",)), author(), mode=mode)
    to_pupil = say_of(SayFrame("a", "psst", to=("key-ben", "key-ben")), author(role="host"), mode=mode)
    assert (("message", ["host"]), ("message", ["key-ben"])) == tuple(
        (act.kind, act.details["to"]) for act in (to_host, to_pupil)
    )


def test_what_needs_approval_is_held_as_what_it_is() -> None:
    """Under an id of its own, so that the message has the sender's once it is approved; staff is not held."""
    mode = Mode(approval=True)
    held = say_of(SayFrame("a", "why?", "question", 4), author(), mode=mode)
    assert ("held", "held:a", "why?", 4) == (held.kind, held.id, held.text, held.reply_to)
    assert {"of": "question", "why": "approval"} == held.details
    assert "message" == say_of(SayFrame("a", "hello"), author(role="moderator"), mode=mode).kind


def test_predefined_replies_may_be_said_where_free_text_may_not() -> None:
    """By their exact text, and without approval."""
    mode = Mode(messages=False, approval=True, replies=("Slower, please",))
    assert "message" == say_of(SayFrame("a", "Slower, please"), author(), mode=mode).kind
    with pytest.raises(NotNowError):
        say_of(SayFrame("a", "slower please"), author(), mode=mode)


def test_a_text_makes_an_answer_one_by_text() -> None:
    """And without one it was given live."""
    answers = [act_of(ActFrame("a", "answer", target=1, text=text), author(role="host")) for text in (None, "yes")]
    assert [("live", None), ("text", "yes")] == [(act.details["how"], act.text) for act in answers]
