"""Finding a recording's segments among known ones by nothing but how long they are.

Owns: k-grams of durations and the chains they grow into. Does not know: URIs, dates, spans.
Units: µs. Source: hls-timing §8 (3). Encoders that cut at scene changes leave a pattern; those that cut at equal distances leave none.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from chatsync.hls.known import Library
from chatsync.instants import MS_US

__all__ = ["Chain", "chains"]

_GRAMS = (8, 7, 6, 5)  # segments in a row that must be equal; the longest may lie anywhere, shorter ones in order
_DISTINCT_MIN = 3  # lengths in a gram: a run of equal ones, or two in turn, is no pattern


class Chain(NamedTuple):
    """Segments in a row that are as long as known ones in a row."""

    first: int  # in the recording
    known: int  # in the library
    length: int
    changes: int  # how often the length changes from one segment to the next
    unit_us: int  # to which the lengths are equal


def chains(durations_us: Sequence[int | None], library: Library) -> list[Chain]:
    """Stretches of a recording whose durations are those of known segments.

    A gram counts only if it is varied and occurs once in all that is known; from it the stretch grows both ways as long as the
    lengths agree. Grams of eight may lie in any order, for re-ordered clips. Shorter ones are believed only where they
    stand in order between the stretches found already. To the µs first, then to the ms, for packagers that round.

    Args:
        durations_us: of the recording's segments in order; None for one that is placed already.
        library: what is known.

    Returns:
        Chains in order of ``first``, without overlap.

    Cost: O((segments + known) × k) for each k and unit.
    """
    free = [duration_us is not None for duration_us in durations_us]
    found: list[Chain] = []
    for unit_us in (1, MS_US):
        lengths = [0 if one is None else (one + unit_us // 2) // unit_us for one in durations_us]
        known = [(one.duration_us + unit_us // 2) // unit_us for one in library.segments]
        for size in _GRAMS:
            if not _has_room(free, size):
                continue
            seeds = _seeds(known, library, size)
            for first, start, length in _grown(lengths, free, known, library, seeds):
                changes = sum(lengths[one] != lengths[one + 1] for one in range(first, first + length - 1))
                chain = Chain(first, start, length, changes, unit_us)
                if size == _GRAMS[0] or _is_in_order(chain, found):
                    found.append(chain)
                    found.sort()
                    free[chain.first : chain.first + chain.length] = [False] * chain.length
    return found


def _has_room(free: Sequence[bool], size: int) -> bool:
    length = 0
    for one in free:
        length = length + 1 if one else 0
        if length == size:
            return True
    return False


def _seeds(known: Sequence[int], library: Library, size: int) -> dict[tuple[int, ...], int]:
    """Where each varied gram begins; -1 for one that occurs more than once."""
    where: dict[tuple[int, ...], int] = {}
    unbroken = 0
    for index in range(len(known)):
        unbroken = unbroken + 1 if index and library.goes_on(index - 1) else 1
        if unbroken >= size:
            gram = tuple(known[index - size + 1 : index + 1])
            if len(set(gram)) >= _DISTINCT_MIN:
                where[gram] = -1 if gram in where else index - size + 1
    return where


def _grown(
    lengths: Sequence[int],
    free: Sequence[bool],
    known: Sequence[int],
    library: Library,
    seeds: dict[tuple[int, ...], int],
) -> list[tuple[int, int, int]]:
    """Stretches grown from grams that occur once, as (first, known, length), the longest first, without overlap."""
    size = len(next(iter(seeds), ()))
    taken_until = index = 0
    grown = []
    while size and index + size <= len(lengths):
        at = seeds.get(tuple(lengths[index : index + size]), -1) if all(free[index : index + size]) else -1
        if at < 0:
            index += 1
            continue
        first, start, end, last = index, at, index + size, at + size - 1
        while first > taken_until and start and library.goes_on(start - 1):
            if not _is_same(first - 1, start - 1, lengths, free, known):
                break
            first, start = first - 1, start - 1
        while end < len(lengths) and library.goes_on(last) and _is_same(end, last + 1, lengths, free, known):
            end, last = end + 1, last + 1
        grown.append((first, start, end - first))
        index = taken_until = end
    return sorted(grown, key=lambda one: (-one[2], one[0]))


def _is_same(index: int, at: int, lengths: Sequence[int], free: Sequence[bool], known: Sequence[int]) -> bool:
    return free[index] and lengths[index] == known[at]


def _is_in_order(chain: Chain, found: Sequence[Chain]) -> bool:
    """Whether it stands among the chains found in the order of what is known."""
    index = bisect_right(found, chain)
    if index and found[index - 1].known + found[index - 1].length > chain.known:
        return False
    return index == len(found) or chain.known + chain.length <= found[index].known
