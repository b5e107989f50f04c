"""From words on the wire to acts: what is allowed, what is needed, which kind it becomes."""

from __future__ import annotations

from typing import Any

import pytest

from chatsync.chat.wire import ActFrame, SayFrame
from chatsync.errors import MessageRejectedError, NotAllowedError
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


@pytest.mark.parametrize("action", sorted(DEEDS))
def test_only_staff_moderates(action: str) -> None:
    """A participant may raise a hand and upvote; hiding, pinning and answering are for staff."""
    frame = ActFrame("a", action, target=1)
    own = {"upvote", "raise_hand", "lower_hand"}
    if action in own:
        assert DEEDS[action] == act_of(frame, author()).kind
    else:
        with pytest.raises(NotAllowedError):
            act_of(frame, author())
    assert DEEDS[action] == act_of(frame, author(role="host")).kind


@pytest.mark.parametrize(
    "fields",
    [
        {"action": "hide"},
        {"action": "hide", "target": 1, "author": "k"},
        {"action": "pin"},
        {"action": "pin", "target": 1, "text": "x"},
        {"action": "upvote"},
        {"action": "answer"},
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


@pytest.mark.parametrize("to", [(), ("host",)])
def test_a_message_for_few_is_never_told_to_everyone(to: tuple[str, ...]) -> None:
    """Whoever names who it is for is refused: nothing private is published by being ignored."""
    with pytest.raises(MessageRejectedError) as refused:
        say_of(SayFrame("a", "psst", to=to), author())
    assert "no_private_messages" == refused.value.reason
