"""Kinds and who sees them (contract §2)."""

from __future__ import annotations

from chatsync.chat.event import KINDS, MESSAGE_KINDS, STATE_KINDS, Position, Visibility, visibility_of
from tests.builders import event


def test_a_kind_nobody_knows_is_for_staff_only() -> None:
    """Nothing leaks by being new."""
    assert Visibility.STAFF is visibility_of("invented_tomorrow")


def test_votes_are_tallies_and_deeds_are_for_staff() -> None:
    """The rows of the table that protect people."""
    assert {"question_upvoted", "poll_voted"} == {kind for kind, seen in KINDS.items() if seen is Visibility.TALLY}
    for kind in ("hidden", "restored", "erased", "muted", "banned", "noted", "reported", "held", "restamped"):
        assert Visibility.STAFF is visibility_of(kind)


def test_every_named_kind_is_in_the_table() -> None:
    """Messages and state kinds are kinds."""
    assert MESSAGE_KINDS | STATE_KINDS <= set(KINDS)


def test_positions_are_ordered_by_epoch_then_offset() -> None:
    """A higher epoch is later whatever the offset."""
    assert Position(1, 900) < Position(2, 3) < Position(2, 4)


def test_events_are_placed_by_program_time_then_offset() -> None:
    """The order of slices and files."""
    assert [2, 1, 3] == [
        one.offset for one in sorted((event(3), event(1), event(2, program_us=5)), key=lambda e: e.place)
    ]
