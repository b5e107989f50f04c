"""Strangers of one address are bounded; whoever has a good token never meets these doors."""

from __future__ import annotations

from chatsync.instants import SECOND_US
from chatsync.service.doors import Doors
from chatsync.service.limit_table import Limits

LIMITS = Limits(guests_per_address_max=3, knocks_per_s=2, knocks_burst=4)


def test_so_many_guests_of_an_address_are_inside() -> None:
    """One more is refused until one has gone; another address has its own count."""
    doors = Doors(LIMITS)
    assert [True, True, True, False] == [doors.enter("192.0.2.1") for _ in range(4)]
    assert doors.enter("192.0.2.2")
    doors.leave("192.0.2.1")
    assert doors.enter("192.0.2.1")


def test_an_address_without_guests_is_forgotten() -> None:
    """Memory follows who is inside."""
    doors = Doors(LIMITS)
    for number in range(100):
        doors.enter(f"192.0.2.{number}")
    assert 100 == doors.addresses
    for number in range(100):
        doors.leave(f"192.0.2.{number}")
    assert 0 == doors.addresses


def test_knocks_come_back_with_time() -> None:
    """A burst, then so many a second, for each address."""
    doors = Doors(LIMITS)
    assert [True] * 4 + [False] == [doors.knock("192.0.2.1", 0) for _ in range(5)]
    assert doors.knock("192.0.2.2", 0)
    assert [True, True, False] == [doors.knock("192.0.2.1", SECOND_US) for _ in range(3)]
