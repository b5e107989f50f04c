"""How much was said, moment by moment, and where most was: what a heatmap draws.

Owns: buckets with what is not known apart from silence, the peaks among them. Does not know: who counts, program time from positions, HTTP.
Units: µs of whichever axis the caller has, program time or positions of a recording; ranges half-open. Source: contract §4.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from chatsync.instants import Range

__all__ = ["PEAKS_MAX", "bucketed", "clear_of", "peaks"]

PEAKS_MAX = 12
_NEAR_BUCKETS_MIN = 3
_NEAR_PART = 40  # two peaks are at least so small a part of the whole apart
_TIMES_USUAL = 1.5  # a peak has so many times what is usual
_PEAK_MIN = 2  # and one message is none


def bucketed(
    counted: Iterable[tuple[int, int]], within: Range, bucket_us: int, unknown: Sequence[Range]
) -> list[int | None]:
    """Counts by bucket; None where nothing is known, 0 where nobody spoke.

    Args:
        counted: instants and how many were counted there.
        within: the first bucket begins at its start; the last may end after its end.
        bucket_us: how long a bucket is.
        unknown: stretches of which nothing is known, in order; they may overlap.

    Returns:
        A bucket that lies in unknown stretches is None; one that does for at least half, too, unless something was counted in it.
    """
    counts: list[int | None] = [0] * -(-within.duration_us // bucket_us)
    for at_us, count in counted:
        if within.covers(at_us):
            index = (at_us - within.start_us) // bucket_us
            counts[index] = (counts[index] or 0) + count
    missing = [0] * len(counts)
    for gap in _joined(unknown):
        clipped = gap.clipped(within)
        if clipped is None:
            continue
        first, last = ((at - within.start_us) // bucket_us for at in (clipped.start_us, clipped.end_us - 1))
        for index in range(first, last + 1):
            start_us = within.start_us + index * bucket_us
            part = clipped.clipped(Range(start_us, start_us + bucket_us))
            missing[index] += 0 if part is None else part.duration_us
    for index, missing_us in enumerate(missing):
        length_us = min(bucket_us, within.duration_us - index * bucket_us)
        if missing_us >= length_us or (not counts[index] and 2 * missing_us >= length_us):
            counts[index] = None
    return counts


def _joined(ranges: Sequence[Range]) -> list[Range]:
    joined: list[Range] = []
    for one in sorted(ranges, key=lambda range_: range_.start_us):
        if joined and one.start_us <= joined[-1].end_us:
            joined[-1] = Range(joined[-1].start_us, max(joined[-1].end_us, one.end_us))
        else:
            joined.append(one)
    return joined


def clear_of(within: Range, covered: Sequence[Range]) -> list[Range]:
    """What of a range lies in none of some others, in order."""
    left: list[Range] = []
    start_us = within.start_us
    for one in _joined(covered):
        if one.start_us > start_us and start_us < within.end_us:
            left.append(Range(start_us, min(one.start_us, within.end_us)))
        start_us = max(start_us, one.end_us)
    if start_us < within.end_us:
        left.append(Range(start_us, within.end_us))
    return left


def peaks(counts: Sequence[int | None]) -> list[int]:
    """The buckets where most was said, in order: each more than what is usual, and none near a greater one.

    Cost: O(n log n).
    """
    known = sorted(count for count in counts if count is not None)
    if not known:
        return []
    usual = max(sum(known) / len(known), 0)
    least = max(_PEAK_MIN, usual * _TIMES_USUAL)
    near = max(_NEAR_BUCKETS_MIN, len(counts) // _NEAR_PART)
    chosen: list[int] = []
    taken: set[int] = set()  # cells of `near` buckets: whoever is near is in the same or the next one
    for index in sorted(range(len(counts)), key=lambda at: (-(counts[at] or 0), at)):
        if (counts[index] or 0) < least or len(chosen) >= PEAKS_MAX:
            break
        cell = index // near
        if not taken.isdisjoint((cell - 1, cell, cell + 1)) and any(abs(index - other) < near for other in chosen):
            continue
        chosen.append(index)
        taken.add(cell)
    return sorted(chosen)
