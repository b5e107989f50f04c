"""Who may do what: one table of subjects, actions and what of the room's mode they depend on.

Owns: the table and the questions asked of it. Does not know: tokens, bans, mutes.
A row is added with the action it allows; an action without a row is allowed to nobody, and a test fails.
Source: contract §1, §5; security: every command asks again, at the room.

A subject is a role of a person in a room, or a scope of a program's token. ``guest`` is whoever gave no token to a public
room; ``viewer`` is a known person who follows; ``participant`` takes part; staff are moderators and hosts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from chatsync.chat.mode import USUAL_MODE, Mode, WriteMode

__all__ = [
    "ACTIONS",
    "MODES",
    "STAFF",
    "SUBJECTS",
    "TABLE",
    "Action",
    "Rule",
    "Subject",
    "WriteMode",
    "is_staff",
    "may",
    "permitted",
    "why_not",
]

Subject = Literal["guest", "viewer", "participant", "moderator", "host", "ingest", "analyst", "auditor", "admin"]
Action = Literal[
    "read",
    "read_staff",
    "say_message",
    "say_reply",
    "say_question",
    "say_announcement",
    "say_private",
    "react",
    "raise_hand",
    "lower_hand",
    "upvote",
    "vote",
    "report",
    "answer",
    "hide",
    "restore",
    "mute",
    "unmute",
    "ban",
    "unban",
    "approve",
    "reject",
    "note",
    "pin",
    "unpin",
    "poll_open",
    "poll_close",
    "mode",
    "broadcast_close",
    "list_participants",
    "ingest",
    "write_recording",
    "read_names",
    "export",
    "query",
    "read_audit",
    "admin_room",
    "mint_token",
]

SUBJECTS: tuple[Subject, ...] = get_args(Subject)
ACTIONS: tuple[Action, ...] = get_args(Action)
MODES: tuple[WriteMode, ...] = get_args(WriteMode)
STAFF: frozenset[Subject] = frozenset({"moderator", "host"})

_PEOPLE: frozenset[Subject] = frozenset({"guest", "viewer", "participant", "moderator", "host"})
_KNOWN = _PEOPLE - {"guest"}


@dataclass(frozen=True, slots=True)
class Rule:
    """A row of the table.

    Attributes:
        subjects: who may, if the mode lets them.
        is_writing: whether it is for those who may write in the mode (``_WRITERS``).
        part: the part of the mode that must be on for whoever is not staff; None: none.
    """

    subjects: frozenset[Subject]
    is_writing: bool = False
    part: Literal["messages", "questions", "reactions", "hands", "private", "replies"] | None = None


def _rule(subjects: frozenset[Subject], part: str | None = None, *, is_writing: bool = False) -> Rule:
    return Rule(subjects, is_writing, part)  # type: ignore[arg-type]


TABLE: dict[Action, Rule] = {
    "read": _rule(_PEOPLE | {"ingest", "analyst", "auditor", "admin"}),
    "read_staff": _rule(STAFF | {"auditor", "admin"}),
    "say_message": _rule(_PEOPLE, "messages", is_writing=True),
    "say_reply": _rule(_PEOPLE, "replies", is_writing=True),
    "say_question": _rule(_PEOPLE, "questions", is_writing=True),
    "say_announcement": _rule(STAFF, is_writing=True),
    "say_private": _rule(_KNOWN, "private"),
    "react": _rule(_KNOWN, "reactions"),
    "raise_hand": _rule(_KNOWN, "hands", is_writing=True),
    "lower_hand": _rule(_KNOWN),
    "upvote": _rule(_KNOWN, "questions"),
    "vote": _rule(_KNOWN),
    "report": _rule(_KNOWN),
    "answer": _rule(STAFF),
    "hide": _rule(STAFF),
    "restore": _rule(STAFF),
    "mute": _rule(STAFF),
    "unmute": _rule(STAFF),
    "ban": _rule(STAFF),
    "unban": _rule(STAFF),
    "approve": _rule(STAFF),
    "reject": _rule(STAFF),
    "note": _rule(STAFF),
    "pin": _rule(STAFF),
    "unpin": _rule(STAFF),
    "poll_open": _rule(STAFF),
    "poll_close": _rule(STAFF),
    "mode": _rule(STAFF),
    "broadcast_close": _rule(frozenset({"host", "admin"})),
    "list_participants": _rule(_PEOPLE | {"admin"}),
    "ingest": _rule(frozenset({"ingest"})),
    "write_recording": _rule(frozenset({"host", "admin"})),
    "read_names": _rule(frozenset({"host"})),
    "export": _rule(frozenset({"host", "analyst", "admin"})),
    "query": _rule(frozenset({"host", "analyst", "admin"})),
    "read_audit": _rule(frozenset({"auditor", "admin"})),
    "admin_room": _rule(frozenset({"admin"})),
    "mint_token": _rule(frozenset({"admin"})),
}
"""The whole of it. Whoever is on no line may not."""

_WRITERS: dict[WriteMode, frozenset[Subject]] = {
    "everyone": _PEOPLE,
    "participants": STAFF | {"participant"},
    "hosts": STAFF,
    "nobody": frozenset({"host"}),  # so that somebody can say why
}


_BINDS_STAFF = frozenset({"private"})  # where they must be impossible, they are so for everyone


def is_staff(role: str) -> bool:
    """Whether this role sees what only staff may see."""
    return role in STAFF


def why_not(subject: str, action: str, mode: Mode = USUAL_MODE) -> str | None:
    """What keeps a subject from doing something in a room of this mode: ``not_allowed`` (never), ``mode`` (not now); None: it may.

    Rooms start in a mode for participants (contract §2), so that is the default.
    """
    rule: Rule | None = TABLE.get(action)  # type: ignore[call-overload]
    if rule is None or subject not in rule.subjects:
        return "not_allowed"
    if rule.is_writing and subject not in _WRITERS[mode.write]:
        return "mode"
    is_bound = subject not in STAFF or rule.part in _BINDS_STAFF
    if rule.part is not None and is_bound and not getattr(mode, rule.part):
        return "mode"
    return None


def may(subject: str, action: str, mode: Mode = USUAL_MODE) -> bool:
    """Whether a subject may do something in a room of this mode; no for every word the table lacks."""
    return why_not(subject, action, mode) is None


def permitted(subject: str, mode: Mode = USUAL_MODE) -> tuple[Action, ...]:
    """All a subject may do, in the table's order: what ``welcome.you.may`` says."""
    return tuple(action for action in ACTIONS if may(subject, action, mode))
