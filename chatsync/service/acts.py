"""From a frame or a posted body to an act: is it allowed now, is it whole, is the text clean, which kind of event is it.

Owns: the mapping of words on the wire to kinds of events. Does not know: sockets, HTTP, stamps, who is muted (``floor``).
Source: contract §5.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from chatsync.chat.event import Author
from chatsync.chat.mode import USUAL_MODE, Mode, changed_mode
from chatsync.chat.policy import STAFF, why_not
from chatsync.chat.polls import CHOICES_MAX, CHOICES_MIN
from chatsync.chat.text import clean_reason, clean_text
from chatsync.chat.wire import ActFrame, SayFrame, SayPlayhead, is_id
from chatsync.errors import MessageRejectedError, NotAllowedError, NotNowError
from chatsync.replay.stamping import Playhead
from chatsync.service.limit_table import CHOICE_CODE_POINTS_MAX, PRIVATE_PEOPLE_MAX

__all__ = [
    "DEEDS",
    "HELD_PREFIX",
    "OTHER_DEEDS",
    "TO_STAFF",
    "Act",
    "Seen",
    "act_of",
    "check_allowed",
    "held_act",
    "say_of",
]

SAYINGS = {"message": "say_message", "question": "say_question", "announcement": "say_announcement"}
"""Kinds one may say, and the action each needs."""

DEEDS = {
    "hide": "hidden",
    "restore": "restored",
    "mute": "muted",
    "unmute": "unmuted",
    "ban": "banned",
    "unban": "unbanned",
    "reject": "hidden",
    "note": "noted",
    "report": "reported",
    "pin": "pinned",
    "unpin": "unpinned",
    "mode": "mode_changed",
    "poll_open": "poll_opened",
    "poll_close": "poll_closed",
    "vote": "poll_voted",
    "upvote": "question_upvoted",
    "answer": "question_answered",
    "raise_hand": "hand_raised",
    "lower_hand": "hand_lowered",
}
"""Actions and the kind of event each becomes."""

OTHER_DEEDS = frozenset({"approve", "react", "broadcast_close"})
"""Actions that become events by ways of their own: of another's words, of many together, of the stream."""

TO_STAFF = "host"
"""Whom a private message may name: those who run the room."""

HELD_PREFIX = "held:"
"""Before the id of what is held: approved, it has its own."""

_ONCE_EACH = frozenset({"upvote"})  # the id is made from the target, so that a second one is the first one again
_QUESTION_CODE_POINTS_MAX = 500


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
    latency_us: int | None = None  # of the chat elsewhere it comes from; None: it was done here
    latency_spread_us: int = 0

    @property
    def is_utterance(self) -> bool:
        """Whether it is something said in the room, held or not: what slow mode and filters are for."""
        return self.kind in SAYINGS or self.kind == "held"


def check_allowed(author: Author, action: str, mode: Mode) -> None:
    """Whether the author may do this in a room of this mode.

    Raises:
        NotAllowedError: their role never may.
        NotNowError: the mode does not let them now.
    """
    why = why_not(author.role, action, mode)
    if why == "mode":
        raise NotNowError(action)
    if why is not None:
        raise NotAllowedError(action)


def say_of(frame: SayFrame, author: Author, seen: Seen | None = None, mode: Mode = USUAL_MODE) -> Act:
    """An utterance as an act; of kind ``held`` where the mode wants approval first.

    Args:
        frame: what was sent.
        author: who sent it.
        seen: what their player has reported.
        mode: of the room, now.

    Raises:
        NotAllowedError: the role may never say this kind here.
        NotNowError: not in this mode.
        MessageRejectedError: unknown kind, addressed to whom it may not be, or the text breaks a rule.
    """
    if frame.kind not in SAYINGS:
        raise MessageRejectedError("unknown_kind", "Say a message, a question or an announcement.")
    text = clean_text(frame.text)
    is_reply = frame.kind == "message" and not mode.messages and text in mode.replies
    action = SAYINGS[frame.kind]
    if frame.to is not None:
        action = "say_private"
    elif is_reply:
        action = "say_reply"
    check_allowed(author, action, mode)
    is_staff = author.role in STAFF
    act = Act(
        kind=frame.kind,
        id=frame.id,
        author=author,
        seen=seen or Seen(),
        claim=frame.playhead,
        text=text,
        reply_to=frame.reply_to,
        details={} if frame.to is None else {"to": _addressees(frame, is_staff=is_staff)},
    )
    if mode.approval and not is_staff and not is_reply and frame.to is None:
        return held_act(act, "approval")
    return act


def held_act(act: Act, why: str, entry: str | None = None) -> Act:
    """The same, kept back until somebody approves it; ``entry`` is what of the room's lists it was, for moderators."""
    if act.kind == "held":
        return act
    return Act(
        kind="held",
        id=HELD_PREFIX + act.id,
        author=act.author,
        seen=act.seen,
        claim=act.claim,
        text=act.text,
        reply_to=act.reply_to,
        details=act.details | {"of": act.kind, "why": why} | ({} if entry is None else {"entry": entry}),
        source=act.source,
        wall_us=act.wall_us,
        latency_us=act.latency_us,
        latency_spread_us=act.latency_spread_us,
    )


def _addressees(frame: SayFrame, *, is_staff: bool) -> list[str]:
    """Whom a private message is for. Pupils write to those who run the room, never to each other."""
    named = list(dict.fromkeys(frame.to or ()))
    if frame.kind != "message" or not 0 < len(named) <= PRIVATE_PEOPLE_MAX:
        raise MessageRejectedError("bad_addressee", f"A private message names 1 to {PRIVATE_PEOPLE_MAX} people.")
    if not is_staff and named != [TO_STAFF]:
        raise MessageRejectedError("bad_addressee", 'Private messages go to those who run the room: "to": ["host"].')
    if any(not (one.isascii() and is_id(one)) for one in named):
        raise MessageRejectedError("bad_addressee", "People are named by their key.")
    return named


def act_of(frame: ActFrame, author: Author, seen: Seen | None = None, mode: Mode = USUAL_MODE) -> Act:
    """A deed as an act.

    Args:
        frame: what was sent.
        author: who sent it.
        seen: what their player has reported.
        mode: of the room, now.

    Raises:
        NotAllowedError: the role may not do this.
        NotNowError: not in this mode.
        MessageRejectedError: unknown action, or what it needs is missing or wrong.
    """
    kind = DEEDS.get(frame.action)
    if kind is None:
        raise MessageRejectedError("unknown_action", "This version does not know that action.")
    check_allowed(author, frame.action, mode)
    if frame.author is not None and not (frame.author.isascii() and is_id(frame.author)):
        raise MessageRejectedError("bad_id", "An author is named by their key.")
    check = _CHECKS.get(frame.action)
    if check is not None:
        check(frame)
    text = frame.text if frame.action in _WITH_TEXT else None
    return Act(
        kind=kind,
        id=f"{frame.action}:{frame.target}" if frame.action in _ONCE_EACH else frame.id,
        author=author,
        seen=seen or Seen(),
        claim=frame.playhead,
        text=None if text is None else clean_text(text),
        target=frame.target,
        details=_DETAILS[frame.action](frame, mode) if frame.action in _DETAILS else {},
    )


# --- what each needs ---------------------------------------------------------------------------------------------------

_WITH_TEXT = frozenset({"pin", "note", "answer"})


def _needs_one(frame: ActFrame) -> None:
    if (frame.target is None) == (frame.author is None):
        raise MessageRejectedError("needs_target", "Name one message (target) or one author.")


def _needs_target(frame: ActFrame) -> None:
    if frame.target is None:
        raise MessageRejectedError("needs_target", "Name the event (target).")


def _needs_author(frame: ActFrame) -> None:
    if not frame.author:
        raise MessageRejectedError("needs_author", "Name the person by their key (author).")


def _needs_pin(frame: ActFrame) -> None:
    if (frame.target is None) == (frame.text is None):
        raise MessageRejectedError("needs_target", "Pin one message (target) or a text.")


def _needs_note(frame: ActFrame) -> None:
    _needs_one(frame)
    if not frame.text:
        raise MessageRejectedError("empty", "There is nothing to read in it.")


def _needs_poll(frame: ActFrame) -> None:
    if frame.poll is None:
        raise MessageRejectedError("needs_poll", "Name the poll.")


def _needs_whole_poll(frame: ActFrame) -> None:
    _needs_poll(frame)
    choices = frame.choices or ()
    if not frame.question or not CHOICES_MIN <= len(choices) <= CHOICES_MAX or any(isinstance(c, int) for c in choices):
        raise MessageRejectedError("bad_poll", f"A poll has a question and {CHOICES_MIN} to {CHOICES_MAX} choices.")
    answer = frame.answer
    if answer is not None:
        is_known = all(0 <= one < len(choices) for one in answer) and len(set(answer)) == len(answer)
        if not answer or not is_known or (len(answer) > 1 and not frame.multiple):
            raise MessageRejectedError("bad_poll", "The answer names right choices by index.")


def _needs_choices(frame: ActFrame) -> None:
    _needs_poll(frame)
    if not frame.choices or len(frame.choices) > CHOICES_MAX:
        raise MessageRejectedError("bad_choices", "Choose by index.")


def _needs_mode(frame: ActFrame) -> None:
    if not frame.mode:
        raise MessageRejectedError("bad_mode", "Name at least one part of the mode.")


_CHECKS: dict[str, Callable[[ActFrame], None]] = {
    "hide": _needs_one,
    "restore": _needs_one,
    "mute": _needs_author,
    "unmute": _needs_author,
    "ban": _needs_author,
    "unban": _needs_author,
    "reject": _needs_target,
    "report": _needs_target,
    "note": _needs_note,
    "pin": _needs_pin,
    "upvote": _needs_target,
    "answer": _needs_target,
    "mode": _needs_mode,
    "poll_open": _needs_whole_poll,
    "poll_close": _needs_poll,
    "vote": _needs_choices,
}


def _reasoned(frame: ActFrame, mode: Mode) -> dict[str, Any]:
    del mode
    reason = clean_reason(frame.reason) if frame.reason else None
    return {"reason": reason} | ({} if frame.author is None else {"author": frame.author})


def _sanction(frame: ActFrame, mode: Mode) -> dict[str, Any]:
    return _reasoned(frame, mode) | ({} if frame.until_ms is None else {"until_ms": frame.until_ms})


def _note(frame: ActFrame, mode: Mode) -> dict[str, Any]:
    del mode
    return {} if frame.author is None else {"author": frame.author}


def _lowered(frame: ActFrame, mode: Mode) -> dict[str, Any]:
    return _note(frame, mode)


def _answered(frame: ActFrame, mode: Mode) -> dict[str, Any]:
    del mode
    return {"how": "text" if frame.how == "text" or frame.text else "live"}


def _moded(frame: ActFrame, mode: Mode) -> dict[str, Any]:
    changed_mode(mode, frame.mode or {})  # that it can be said at all; what is fixed is the room's to know
    return {"mode": dict(frame.mode or {})}


def _poll(frame: ActFrame, mode: Mode) -> dict[str, Any]:
    del mode
    choices = [clean_text(str(one), CHOICE_CODE_POINTS_MAX) for one in frame.choices or ()]
    details = {
        "poll": frame.poll,
        "question": clean_text(frame.question or "", _QUESTION_CODE_POINTS_MAX),
        "choices": choices,
        "multiple": frame.multiple,
    }
    return details | ({} if frame.answer is None else {"answer": sorted(frame.answer)})


def _poll_name(frame: ActFrame, mode: Mode) -> dict[str, Any]:
    del mode
    return {"poll": frame.poll}


def _vote(frame: ActFrame, mode: Mode) -> dict[str, Any]:
    del mode
    return {"poll": frame.poll, "choices": list(frame.choices or ())}


_DETAILS: dict[str, Callable[[ActFrame, Mode], dict[str, Any]]] = {
    "hide": _reasoned,
    "restore": _reasoned,
    "reject": _reasoned,
    "report": _reasoned,
    "mute": _sanction,
    "unmute": _reasoned,
    "ban": _sanction,
    "unban": _reasoned,
    "note": _note,
    "answer": _answered,
    "lower_hand": _lowered,
    "mode": _moded,
    "poll_open": _poll,
    "poll_close": _poll_name,
    "vote": _vote,
}
