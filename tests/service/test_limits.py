"""Token buckets with time as an argument."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatsync.errors import RateLimitedError
from chatsync.instants import SECOND_US
from chatsync.service.limits import Bucket, Buckets, Rate

RATE = Rate(per_s=10, burst=20)


def test_a_burst_passes_and_the_next_one_waits() -> None:
    """Exactly 20 commands pass at one instant; the 21st is told to wait a tenth of a second."""
    bucket = Bucket(RATE)

    assert [0] * 20 + [100_000] == [bucket.take(7) for _ in range(21)]


def test_a_token_comes_back_exactly_when_promised() -> None:
    """One microsecond before the promised time is too early, the promised time is not."""
    bucket = Bucket(RATE)
    for _ in range(20):
        bucket.take(0)

    assert 1 == bucket.take(99_999)
    assert 0 == bucket.take(100_000)
    assert 100_000 == bucket.take(100_000)


def test_refused_commands_do_not_make_the_wait_longer() -> None:
    """Hammering on a closed door does not push the opening away."""
    bucket = Bucket(RATE)
    for _ in range(1_000):
        bucket.take(0)

    assert 0 == bucket.take(100_000)


@given(st.lists(st.integers(min_value=0, max_value=3 * SECOND_US), max_size=300))
def test_no_second_ever_holds_more_than_burst_plus_rate(gaps_us: list[int]) -> None:
    """However commands are spaced, any window of one second passes at most burst + per_s of them."""
    bucket, now_us, passed = Bucket(RATE), 0, []
    for gap_us in gaps_us:
        now_us += gap_us // 40
        if bucket.take(now_us) == 0:
            passed.append(now_us)

    assert all(sum(start <= instant < start + SECOND_US for instant in passed) <= 30 for start in passed)


@given(st.integers(min_value=1, max_value=1_000), st.integers(min_value=1, max_value=1_000), st.integers(1, 2_000))
def test_waiting_as_told_always_works(per_s: int, burst: int, count: int) -> None:
    """After the wait a bucket names, it gives what was asked, if that is no more than it can ever hold."""
    bucket = Bucket(Rate(per_s, burst))
    for _ in range(burst):
        bucket.take(0)
    wait_us = bucket.take(0, min(count, burst))

    assert 0 == bucket.take(wait_us, min(count, burst))


def test_keys_do_not_share_tokens() -> None:
    """One person's flood costs another nothing."""
    buckets = Buckets(Rate(per_s=1, burst=1))
    buckets.take("ann", 0)
    buckets.take("ben", 0)

    with pytest.raises(RateLimitedError) as refused:
        buckets.take("ann", 1)
    assert 1_000 == refused.value.retry_after_ms


def test_buckets_that_are_full_again_are_forgotten() -> None:
    """Memory follows the keys that are busy now, not all there ever were."""
    buckets = Buckets(RATE)
    for second in range(100):
        for person in range(100):
            buckets.take(f"{second}-{person}", second * SECOND_US)

    assert len(buckets) < 1_500


def test_a_forgotten_key_starts_full() -> None:
    """A closed connection leaves nothing behind."""
    buckets = Buckets(Rate(per_s=1, burst=1))
    buckets.take("socket", 0)
    buckets.forget("socket")
    buckets.take("socket", 0)

    assert 1 == len(buckets)


@pytest.mark.parametrize(("per_s", "burst"), [(0, 1), (1, 0), (-1, 5)])
def test_a_rate_that_lets_nothing_through_is_refused(per_s: int, burst: int) -> None:
    """A rate of nothing is a mistake in the settings, not a limit."""
    with pytest.raises(ValueError, match="rate"):
        Rate(per_s, burst)
