"""Counts by bucket, what is not known apart from silence, and the peaks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chatsync.instants import SECOND_US, Range
from chatsync.replay.activity import PEAKS_MAX, bucketed, clear_of, peaks

TEN_US = 10 * SECOND_US


def seconds(start_s: int, end_s: int) -> Range:
    """A range."""
    return Range(start_s * SECOND_US, end_s * SECOND_US)


def test_silence_is_zero_and_a_gap_is_none() -> None:
    """Where nobody spoke there is 0; where nothing is known there is None, also where a gap covers most of a bucket."""
    counted = [(0, 2), (9 * SECOND_US, 1), (25 * SECOND_US, 4)]
    assert [3, 0, 4, None, None, 0] == bucketed(counted, seconds(0, 60), TEN_US, [seconds(30, 46), seconds(33, 40)])


def test_what_was_said_beside_a_gap_counts() -> None:
    """A bucket with half a gap keeps what was counted; one that is all gap has nothing, whatever was counted."""
    assert [5, None] == bucketed([(SECOND_US, 5), (15 * SECOND_US, 7)], seconds(0, 20), TEN_US, [seconds(2, 20)])


def test_the_last_bucket_may_be_short() -> None:
    """It counts by what there is of it."""
    assert [0, None] == bucketed([], seconds(0, 14), TEN_US, [seconds(11, 14)])
    assert [] == bucketed([], seconds(3, 3), TEN_US, [])


@given(st.lists(st.tuples(st.integers(-50, 150), st.integers(1, 5)), max_size=30))
def test_nothing_is_counted_twice_or_lost(counted: list[tuple[int, int]]) -> None:
    """The buckets of a range add up to what lies in it."""
    at_us = [(second * SECOND_US, count) for second, count in counted]
    counts = bucketed(at_us, seconds(0, 100), 7 * SECOND_US, [])
    assert sum(count for second, count in counted if 0 <= second < 100) == sum(count or 0 for count in counts)


def test_what_lies_in_no_range_is_left() -> None:
    """In order, whether the others overlap or not."""
    assert [seconds(0, 2), seconds(6, 8), seconds(9, 10)] == clear_of(
        seconds(0, 10), [seconds(8, 9), seconds(2, 5), seconds(4, 6)]
    )
    assert [] == clear_of(seconds(1, 2), [seconds(0, 3)])


def test_a_peak_is_more_than_usual_and_stands_alone() -> None:
    """Of neighbours only the greatest; a room where hardly anything was said has none."""
    counts: list[int | None] = [1, 2, 9, 8, 1, 0, 0, 1, 12, 1, None, 1]
    assert [2, 8] == peaks(counts)
    assert [] == peaks([0, 1, 0, None])
    assert [] == peaks([])
    assert [] == peaks([4] * 50)


@given(st.lists(st.one_of(st.none(), st.integers(0, 50)), max_size=400))
def test_peaks_are_few_and_in_order(counts: list[int | None]) -> None:
    """At most so many, each a bucket that is known."""
    found = peaks(counts)
    assert found == sorted(set(found))
    assert len(found) <= PEAKS_MAX
    assert all(counts[index] for index in found)
