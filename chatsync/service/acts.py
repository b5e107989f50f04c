"""From a frame or a posted body to an act: is it allowed, is the text clean, which kind of event is it.

Owns: the mapping of words on the wire to kinds of events. Does not know: sockets, HTTP, stamps.
Source: contract §5.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from chatsync.chat.event import Author
from chatsync.chat.policy import may
from chatsync.chat.text import clean_text
from chatsync.chat.wire import ActFrame, SayFrame, SayPlayhead
from chatsync.errors import MessageRejectedError, NotAllowedError
from chatsync.replay.stamping import Playhead
from chatsync.service.limit_table import REASON_CHARACTERS_MAX

__all__ = ["DEEDS", "Act", "Seen", "act_of", "say_of"]

SAYINGS = {"message": "say_message", "question": "say_question", "announcement": "say_announcement"}
"""Kinds one may say, and the action each needs."""

DEEDS = {
    "hide": "hidden",
    "restore": "restored",
    "pin": "pinned",
    "unpin": "unpinned",
    "upvote": "question_upvoted",
    "answer": "question_answered",
    "raise_hand": "hand_raised",
    "lower_hand": "hand_lowered",
}
"""Actions and the kind of event each becomes."""

_NEEDS_TARGET = frozenset({"upvote", "answer"})
_ONCE_EACH = frozenset({"upvote"})  # the id is made from the target, so that a second one is the first one again


@dataclass(slots=True)
class Seen:
    """What a connection has said of its picture: the latest playhead report."""

    playhead: Playhead | None = None


@dataclass(frozen=True, slots=True)
class Act:
    """Something a person does in a room, checked and cleaned already."""

    kind: str
    id: str
    author: Author
    seen: Seen = field(default_factory=Seen)
    claim: SayPlayhead | None = None
    text: str | None = None
    reply_to: int | None = None
    target: int | None = None
    details: dict[str, Any] = field(default_factory=dict)
    source: str = "live"
    wall_us: int | None = None  # when a platform received it; None: now


def say_of(frame: SayFrame, author: Author, seen: Seen | None = None) -> Act:
    """An utterance as an act.

    Args:
        frame: what was sent.
        author: who sent it.
        seen: what their player has reported.

    Raises:
        NotAllowedError: the role may not say this kind here.
        MessageRejectedError: unknown kind, addressed to some only, or the text breaks a rule.
    """
    action = SAYINGS.get(frame.kind)
    if action is None:
        raise MessageRejectedError("unknown_kind", "Say a message, a question or an announcement.")
    if not may(author.role, action):
        raise NotAllowedError(action)
    if frame.to is not None:
        raise MessageRejectedError("no_private_messages", "This version sends to everyone only; nothing was sent.")
    return Act(
        kind=frame.kind,
        id=frame.id,
        author=author,
        seen=seen or Seen(),
        claim=frame.playhead,
        text=clean_text(frame.text),
        reply_to=frame.reply_to,
    )


def act_of(frame: ActFrame, author: Author, seen: Seen | None = None) -> Act:
    """A deed as an act.

    Args:
        frame: what was sent.
        author: who sent it.
        seen: what their player has reported.

    Raises:
        NotAllowedError: the role may not do this.
        MessageRejectedError: unknown action, or what it needs is missing.
    """
    kind = DEEDS.get(frame.action)
    if kind is None:
        raise MessageRejectedError("unknown_action", "This version does not know that action.")
    if not may(author.role, frame.action):
        raise NotAllowedError(frame.action)
    _check_object(frame)
    return Act(
        kind=kind,
        id=f"{frame.action}:{frame.target}" if frame.action in _ONCE_EACH else frame.id,
        author=author,
        seen=seen or Seen(),
        claim=frame.playhead,
        text=clean_text(frame.text) if frame.text is not None and frame.action == "pin" else None,
        target=frame.target,
        details=_details(frame),
    )


def _check_object(frame: ActFrame) -> None:
    if frame.action in {"hide", "restore"} and (frame.target is None) == (frame.author is None):
        raise MessageRejectedError("needs_target", "Name one message (target) or one author.")
    if frame.action == "pin" and (frame.target is None) == (frame.text is None):
        raise MessageRejectedError("needs_target", "Pin one message (target) or a text.")
    if frame.action in _NEEDS_TARGET and frame.target is None:
        raise MessageRejectedError("needs_target", "Name the question (target).")


def _details(frame: ActFrame) -> dict[str, Any]:
    details: dict[str, Any] = {}
    if frame.action in {"hide", "restore"}:
        details["reason"] = clean_text(frame.reason)[:REASON_CHARACTERS_MAX] if frame.reason else None
        if frame.author is not None:
            details["author"] = frame.author
    if frame.action == "answer":
        details["how"] = "text" if frame.how == "text" else "live"
    return details
