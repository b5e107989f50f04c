"""Reactions: counted by emoji and program second."""

from __future__ import annotations

import pytest

from chatsync.chat.reactions import LOST_ME, REACTIONS, Reactions
from chatsync.errors import MessageRejectedError
from chatsync.instants import SECOND_US
from tests.builders import BASE_US, stamp


def test_a_second_makes_one_event_of_each_emoji() -> None:
    """However many tapped; in the order of program time, and only once."""
    reactions = Reactions()
    for at_us in (SECOND_US, 0, 1, SECOND_US - 1):
        reactions.tap(REACTIONS[0], stamp(BASE_US + at_us))
    reactions.tap(LOST_ME, stamp(BASE_US + 5))
    told = [(one.emoji, one.count, one.stamp.program_us) for one in reactions.due()]
    assert [
        (REACTIONS[0], 3, BASE_US),
        (LOST_ME, 1, BASE_US + 5),
        (REACTIONS[0], 1, BASE_US + SECOND_US),
    ] == sorted(told, key=lambda one: one[2])
    assert [] == reactions.due()


def test_two_broadcasts_are_two() -> None:
    """The same second of program time may stand in both."""
    reactions = Reactions()
    for broadcast in (1, 2):
        reactions.tap(LOST_ME, stamp(broadcast=broadcast))
    assert [1, 2] == [one.stamp.broadcast for one in reactions.due()]


@pytest.mark.parametrize("emoji", [None, "", "x", "\U0001f44d\U0001f44d"])
def test_only_what_the_room_has_can_be_tapped(emoji: str | None) -> None:
    """Anything else would be free text by another door."""
    with pytest.raises(MessageRejectedError) as refused:
        Reactions().check(emoji)
    assert "unknown_emoji" == refused.value.reason


def test_taps_from_everywhere_are_bounded_and_none_is_lost() -> None:
    """Viewers who are spread over hours: what is too many is counted in the newest second of its emoji."""
    reactions = Reactions()
    for second in range(6_000):
        reactions.tap(LOST_ME, stamp(BASE_US + second * SECOND_US))
    due = reactions.due()
    assert (4_096, 6_000) == (len(due), sum(one.count for one in due))
