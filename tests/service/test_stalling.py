"""A peer that takes nothing for long is given up; one that takes a little, or for whom nothing waits, is not."""

from __future__ import annotations

from chatsync.service.stalling import Stall

AFTER_US = 10


def _looked(*looks: tuple[int, int, int]) -> list[bool]:
    """What each look says: (written, waiting, now)."""
    stall = Stall()
    return [stall.is_over(written=w, waiting=b, now_us=now_us, after_us=AFTER_US) for w, b, now_us in looks]


def test_what_waits_untouched_is_a_stall_after_its_time() -> None:
    """Counted from the first look that sees something waiting; more that comes meanwhile changes nothing."""
    assert [False, False, True] == _looked((100, 100, 0), (200, 200, 9), (200, 200, 10))


def test_a_peer_that_takes_a_little_begins_anew() -> None:
    """However slow it is, it is alive."""
    assert [False, False, False, True] == _looked((100, 100, 0), (100, 99, 9), (100, 99, 18), (100, 99, 19))


def test_nothing_that_waits_is_no_stall() -> None:
    """An idle peer may be idle for ever, and its time begins when something waits."""
    assert [False, False, False] == _looked((0, 0, 0), (100, 0, 1_000), (200, 100, 2_000))
