"""Who may do what: one table of subjects and actions.

Owns: the table and the questions asked of it. Does not know: tokens, rooms' state beyond the write mode, bans.
A row is added with the action it allows; an action without a row is allowed to nobody.
Source: contract §1, §5; security: every command asks again, at the room.

A subject is a role of a person in a room, or a scope of a program's token. ``guest`` is whoever gave no token to a public
room, and reads; ``viewer`` is a known person who follows; ``participant`` takes part; staff are moderators and hosts.
"""

from __future__ import annotations

from typing import Literal, get_args

__all__ = [
    "ACTIONS",
    "MODES",
    "STAFF",
    "SUBJECTS",
    "Action",
    "Subject",
    "WriteMode",
    "may",
    "permitted",
]

Subject = Literal["guest", "viewer", "participant", "moderator", "host", "ingest", "analyst", "admin"]
WriteMode = Literal["everyone", "participants", "hosts"]
Action = Literal[
    "read",
    "read_staff",
    "say_message",
    "say_question",
    "say_announcement",
    "raise_hand",
    "lower_hand",
    "upvote",
    "answer",
    "hide",
    "restore",
    "pin",
    "unpin",
    "broadcast_close",
    "ingest",
    "write_recording",
    "admin_room",
    "mint_token",
]

SUBJECTS: tuple[Subject, ...] = get_args(Subject)
ACTIONS: tuple[Action, ...] = get_args(Action)
MODES: tuple[WriteMode, ...] = get_args(WriteMode)
STAFF: frozenset[Subject] = frozenset({"moderator", "host"})

_PEOPLE: frozenset[Subject] = frozenset({"guest", "viewer", "participant", "moderator", "host"})
_KNOWN = _PEOPLE - {"guest"}

_TABLE: dict[Action, frozenset[Subject]] = {
    "read": _PEOPLE | {"ingest", "analyst", "admin"},
    "read_staff": STAFF | {"admin"},
    "say_message": _KNOWN,
    "say_question": _KNOWN,
    "say_announcement": STAFF,
    "raise_hand": _KNOWN,
    "lower_hand": _KNOWN,
    "upvote": _KNOWN,
    "answer": STAFF,
    "hide": STAFF,
    "restore": STAFF,
    "pin": STAFF,
    "unpin": STAFF,
    "broadcast_close": frozenset({"host", "admin"}),
    "ingest": frozenset({"ingest"}),
    "write_recording": frozenset({"host", "admin"}),
    "admin_room": frozenset({"admin"}),
    "mint_token": frozenset({"admin"}),
}

# In which mode who of those the table allows may write; the other actions do not depend on the mode.
_WRITERS: dict[WriteMode, frozenset[Subject]] = {
    "everyone": _KNOWN,
    "participants": STAFF | {"participant"},
    "hosts": STAFF,
}
_WRITING: frozenset[Action] = frozenset({"say_message", "say_question", "raise_hand", "upvote"})


def may(subject: str, action: str, mode: WriteMode = "participants") -> bool:
    """Whether a subject may do something in a room of this write mode; no for every word the table lacks.

    Rooms start in the mode ``participants`` (contract §2), so that is the default.
    """
    allowed: frozenset[str] = _TABLE.get(action, frozenset())  # type: ignore[call-overload]
    if subject not in allowed:
        return False
    return action not in _WRITING or subject in _WRITERS[mode]


def permitted(subject: str, mode: WriteMode = "participants") -> tuple[Action, ...]:
    """All a subject may do, in the table's order: what ``welcome.you.may`` says."""
    return tuple(action for action in ACTIONS if may(subject, action, mode))
