"""The table of subjects, actions and modes, walked whole."""

from __future__ import annotations

from itertools import product

import msgspec
import pytest

from chatsync.chat.mode import Mode
from chatsync.chat.policy import (
    ACTIONS,
    MODES,
    STAFF,
    SUBJECTS,
    TABLE,
    Action,
    Subject,
    is_staff,
    may,
    permitted,
    why_not,
)

# Written out a second time, by hand, from the contract: columns are SUBJECTS in their order. `write`: in a mode whose `write` lets
# them; a name of a part: only while the mode has that part on; staff needs no part, but `private`.
#                    guest viewer participant moderator host ingest analyst auditor admin
EXPECTED: dict[Action, str] = {
    "read": "yes yes yes yes yes yes yes yes yes",
    "read_staff": "no no no yes yes no no yes yes",
    "say_message": "write+messages write+messages write+messages write write no no no no",
    "say_reply": "write+replies write+replies write+replies write write no no no no",
    "say_question": "write+questions write+questions write+questions write write no no no no",
    "say_announcement": "no no no write write no no no no",
    "say_private": "no private private private private no no no no",
    "react": "no reactions reactions yes yes no no no no",
    "raise_hand": "no write+hands write+hands write write no no no no",
    "lower_hand": "no yes yes yes yes no no no no",
    "upvote": "no questions questions yes yes no no no no",
    "vote": "no yes yes yes yes no no no no",
    "report": "no yes yes yes yes no no no no",
    "answer": "no no no yes yes no no no no",
    "hide": "no no no yes yes no no no no",
    "restore": "no no no yes yes no no no no",
    "mute": "no no no yes yes no no no no",
    "unmute": "no no no yes yes no no no no",
    "ban": "no no no yes yes no no no no",
    "unban": "no no no yes yes no no no no",
    "approve": "no no no yes yes no no no no",
    "reject": "no no no yes yes no no no no",
    "note": "no no no yes yes no no no no",
    "pin": "no no no yes yes no no no no",
    "unpin": "no no no yes yes no no no no",
    "poll_open": "no no no yes yes no no no no",
    "poll_close": "no no no yes yes no no no no",
    "mode": "no no no yes yes no no no no",
    "broadcast_close": "no no no no yes no no no yes",
    "list_participants": "yes yes yes yes yes no no no yes",
    "ingest": "no no no no no yes no no no",
    "write_recording": "no no no no yes no no no yes",
    "read_names": "no no no no yes no no no no",
    "export": "no no no no yes no yes no yes",
    "query": "no no no no yes no yes no yes",
    "read_audit": "no no no no no no no yes yes",
    "admin_room": "no no no no no no no no yes",
    "mint_token": "no no no no no no no no yes",
}
WRITES_IN = {
    "guest": {"everyone"},
    "viewer": {"everyone"},
    "participant": {"everyone", "participants"},
    "moderator": {"everyone", "participants", "hosts"},
    "host": {"everyone", "participants", "hosts", "nobody"},
}
PARTS = ("messages", "questions", "reactions", "hands", "private", "replies")


def _modes() -> list[Mode]:
    """Every value of ``write`` with every combination of parts: 256 modes."""
    return [
        Mode(write=write, replies=("yes",) if on[-1] else (), **dict(zip(PARTS[:-1], on[:-1], strict=True)))
        for write in MODES
        for on in product((False, True), repeat=len(PARTS))
    ]


def _expected(subject: Subject, action: Action, mode: Mode) -> bool:
    words = EXPECTED[action].split()[SUBJECTS.index(subject)].split("+")
    if words == ["no"]:
        return False
    is_writer = "write" not in words or mode.write in WRITES_IN[subject]
    parts = [word for word in words if word not in {"yes", "write"}]
    return is_writer and all(bool(getattr(mode, part)) for part in parts)


def test_the_table_has_a_row_for_every_action() -> None:
    """A new action without a line in the table and in this test fails, so that nobody forgets to think about it."""
    assert set(ACTIONS) == set(EXPECTED) == set(TABLE)
    assert all(len(SUBJECTS) == len(row.split()) for row in EXPECTED.values())


@pytest.mark.parametrize("action", ACTIONS)
def test_every_cell_of_the_table(action: Action) -> None:
    """Each subject may do each action in each of 256 modes exactly as the hand-written copy says: 80,640 cells in all."""
    wrong = [
        (subject, mode)
        for subject in SUBJECTS
        for mode in _modes()
        if may(subject, action, mode) is not _expected(subject, action, mode)
    ]
    assert [] == wrong


@pytest.mark.parametrize(
    ("subject", "action"), [("root", "read"), ("", ""), ("host", "fly"), ("system", "say_message"), ("HOST", "hide")]
)
def test_unknown_words_are_allowed_nothing(subject: str, action: str) -> None:
    """A role or an action the table does not know is refused, not guessed."""
    assert not may(subject, action)


def test_why_not_tells_never_from_not_now() -> None:
    """Who may at another time is told so; who never may is told that."""
    closed = Mode(write="nobody", reactions=False)
    assert ("mode", "mode", "not_allowed", None) == (
        why_not("participant", "say_message", closed),
        why_not("participant", "react", closed),
        why_not("participant", "hide", closed),
        why_not("host", "say_announcement", closed),
    )


def test_permitted_lists_what_may_allows() -> None:
    """What a client is told it may do is what the table says, in the table's order."""
    assert ("read", "react", "lower_hand", "upvote", "vote", "report", "list_participants") == permitted("viewer")
    assert () == permitted("nobody")
    everyone = msgspec.structs.replace(Mode(), write="everyone")
    assert all(may("viewer", action, everyone) for action in permitted("viewer", everyone))


def test_rooms_are_for_participants_unless_said() -> None:
    """Without a mode the table answers for a room as it starts: participants write, viewers read."""
    assert may("participant", "say_message")
    assert not may("viewer", "say_message")


def test_private_messages_are_off_for_everyone_unless_switched_on() -> None:
    """Hosts too: where they must be impossible, no role may have them."""
    assert [] == [subject for subject in SUBJECTS if may(subject, "say_private")]


def test_staff_is_moderators_and_hosts() -> None:
    """Nobody else sees what only staff may see."""
    assert set(STAFF) == {subject for subject in SUBJECTS if is_staff(subject)} == {"moderator", "host"}
