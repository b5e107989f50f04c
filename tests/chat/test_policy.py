"""The table of subjects and actions, walked whole."""

from __future__ import annotations

import pytest

from chatsync.chat.policy import ACTIONS, MODES, SUBJECTS, Action, WriteMode, actions_of, is_staff, may, say_action

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


def test_a_role_and_scopes_add_up() -> None:
    """A program that is also a viewer may do what either may."""
    both = actions_of(["viewer", "ingest"], "hosts")

    assert ("read", "lower_hand", "ingest") == both


def test_staff_are_moderators_hosts_and_admins() -> None:
    """Only they are shown staff events."""
    assert {"moderator", "host", "admin"} == {subject for subject in SUBJECTS if is_staff([subject])}


@pytest.mark.parametrize(
    ("kind", "action"),
    [
        ("message", "say_message"),
        ("question", "say_question"),
        ("announcement", "say_announcement"),
        ("system", None),
        ("paid", None),
        ("hidden", None),
    ],
)
def test_only_utterances_can_be_said(kind: str, action: str | None) -> None:
    """System, paid and staff kinds never come from a person's socket."""
    assert action == say_action(kind)
