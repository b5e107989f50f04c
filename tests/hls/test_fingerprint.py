"""chatsync.hls.fingerprint: segments known by nothing but how long they are."""

from __future__ import annotations

from chatsync.hls.fingerprint import chains
from chatsync.hls.known import KnownSegment, Library

VARIED = [1_000_000 + n * 7919 % 31 * 100_000 for n in range(30)]


def library(durations_us: list[int], *, missing: int | None = None) -> Library:
    """One run; the segment with the number ``missing`` was never seen."""
    return Library(
        [
            KnownSegment(1, 1, number, "", None, duration_us, number)
            for number, duration_us in enumerate(durations_us)
            if number != missing
        ]
    )


def found(durations_us: list[int | None], known: Library) -> list[tuple[int, int, int]]:
    """Chains as (first, known, length)."""
    return [(chain.first, chain.known, chain.length) for chain in chains(durations_us, known)]


def test_a_stretch_is_found_whole() -> None:
    """It grows both ways from where it is sure."""
    assert [(2, 5, 15)] == found([9, 9, *VARIED[5:20], 9], library(VARIED))


def test_clips_in_another_order_are_found_if_they_are_long() -> None:
    """Eight in a row are enough anywhere, seven only in order."""
    assert [(0, 15, 10), (10, 2, 8)] == found([*VARIED[15:25], *VARIED[2:10]], library(VARIED))
    assert [(0, 15, 10)] == found([*VARIED[15:25], *VARIED[2:9]], library(VARIED))
    assert [(0, 2, 10), (11, 20, 5)] == found([*VARIED[2:12], 9, *VARIED[20:25]], library(VARIED))


def test_equal_and_alternating_durations_are_no_pattern() -> None:
    """They would fit anywhere."""
    assert [] == found([2_000_000] * 20, library([2_000_000] * 40))
    assert [] == found([2_005_333, 1_984_000] * 10, library([2_005_333, 1_984_000] * 10))


def test_what_occurs_twice_places_nothing() -> None:
    """A looped encoder shows the same pattern again."""
    assert [] == found(list(VARIED[:10]), library([*VARIED[:10], *VARIED[:10]]))


def test_a_chain_ends_where_segments_were_missed() -> None:
    """And begins anew behind."""
    assert [(0, 0, 12), (13, 12, 17)] == found(list(VARIED), library(VARIED, missing=12))


def test_what_is_placed_already_is_left_alone() -> None:
    """It parts the stretches around it."""
    assert [(0, 0, 9), (10, 10, 20)] == found([*VARIED[:9], None, *VARIED[10:]], library(VARIED))


def test_milliseconds_are_tried_after_microseconds() -> None:
    """The chain says to which unit it agrees."""
    fine = [one + 333 for one in VARIED]
    assert [1_000] == [chain.unit_us for chain in chains(VARIED[3:15], library(fine))]
    assert [1] == [chain.unit_us for chain in chains(fine[3:15], library(fine))]
