"""The table of subjects and actions, walked whole."""

from __future__ import annotations

import pytest

from chatsync.chat.policy import ACTIONS, MODES, SUBJECTS, Action, WriteMode, may, permitted

# Written out a second time, by hand, from the contract: columns are SUBJECTS in their order.
#                    guest viewer participant moderator host ingest analyst admin
EXPECTED: dict[Action, str] = {
    "read": "yes yes yes yes yes yes yes yes",
    "read_staff": "no no no yes yes no no yes",
    "say_message": "no mode mode yes yes no no no",
    "say_question": "no mode mode yes yes no no no",
    "say_announcement": "no no no yes yes no no no",
    "raise_hand": "no mode mode yes yes no no no",
    "lower_hand": "no yes yes yes yes no no no",
    "upvote": "no mode mode yes yes no no no",
    "answer": "no no no yes yes no no no",
    "hide": "no no no yes yes no no no",
    "restore": "no no no yes yes no no no",
    "pin": "no no no yes yes no no no",
    "unpin": "no no no yes yes no no no",
    "broadcast_close": "no no no no yes no no yes",
    "ingest": "no no no no no yes no no",
    "write_recording": "no no no no yes no no yes",
    "admin_room": "no no no no no no no yes",
    "mint_token": "no no no no no no no yes",
}
WRITES_IN = {"viewer": {"everyone"}, "participant": {"everyone", "participants"}}
CELLS = [(subject, action, mode) for action in ACTIONS for subject in SUBJECTS for mode in MODES]


def test_the_table_has_a_row_for_every_action() -> None:
    """A new action without a line in this test fails, so that nobody forgets to think about it."""
    assert set(ACTIONS) == set(EXPECTED)
    assert all(len(SUBJECTS) == len(row.split()) for row in EXPECTED.values())


@pytest.mark.parametrize(("subject", "action", "mode"), CELLS)
def test_every_cell_of_the_table(subject: str, action: Action, mode: WriteMode) -> None:
    """Each subject may do each action in each mode exactly as the hand-written copy says."""
    word = EXPECTED[action].split()[list(SUBJECTS).index(subject)]  # type: ignore[arg-type]
    expected = mode in WRITES_IN[subject] if word == "mode" else word == "yes"

    assert expected is may(subject, action, mode)


@pytest.mark.parametrize(
    ("subject", "action"), [("root", "read"), ("", ""), ("host", "fly"), ("system", "say_message"), ("HOST", "hide")]
)
def test_unknown_words_are_allowed_nothing(subject: str, action: str) -> None:
    """A role or an action the table does not know is refused, not guessed."""
    assert not may(subject, action)


def test_permitted_lists_what_may_allows() -> None:
    """What a client is told it may do is what the table says, in the table's order."""
    assert ("read", "lower_hand") == permitted("viewer")
    assert ("read", "say_message", "say_question", "raise_hand", "lower_hand", "upvote") == permitted(
        "viewer", "everyone"
    )
    assert () == permitted("nobody")


def test_rooms_are_for_participants_unless_said() -> None:
    """Without a mode the table answers for a room as it starts: participants write, viewers read."""
    assert may("participant", "say_message")
    assert not may("viewer", "say_message")
