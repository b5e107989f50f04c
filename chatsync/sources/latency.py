"""How far behind the live edge those are who write elsewhere: learned from bursts that both chats have.

Owns: ``learned_latency`` and ``Latencies``. Does not know: rooms, networks, clocks. Units: µs of one program axis.

Something happens in the picture, and people write. Those whose player tells where it is are known to the frame; of those elsewhere only
is known where the live edge was when they wrote. If the same moments make both write, then among all differences between a foreign message
and one of ours, one length stands out: the foreign latency, whatever else is said. Where none stands out, nothing is learned.

Counted are differences from 0 to :data:`LATENCY_US_MAX` in bins of half a second, three bins together. What chance gives is the median bin.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from chatsync.instants import SECOND_US

__all__ = ["EACH_MIN", "LATENCY_US_MAX", "Latencies", "Learned", "learned_latency"]

LATENCY_US_MAX = 60 * SECOND_US
EACH_MIN = 20  # messages of ours and of theirs, at least
_EACH_MAX = 1_000  # the newest; ~20 ms of work at the most common density
_BIN_US = SECOND_US // 2
_NEAR_BINS = 6  # 3 s: what is nearer to the peak is part of it
_PAIRS_MIN = 12
_DEVIATIONS_MIN = 5  # of a count that chance would give; at 120 bins less would be found in noise every few days
_RIVAL_PART = 0.7  # another peak nearly as high: it cannot be told which of them it is


class Learned(msgspec.Struct, frozen=True, gc=False):
    """A latency with how far off it may be."""

    latency_us: int
    spread_us: int  # half-width


def learned_latency(ours_us: Sequence[int], theirs_us: Sequence[int]) -> Learned | None:
    """The one length that stands out among the differences; None if none does.

    Args:
        ours_us: program times of messages whose authors' players said where they were, in order.
        theirs_us: where the live edge was when the foreign ones were written, in order.

    Cost: a step for each pair that is less than a minute apart.
    """
    if len(ours_us) < EACH_MIN or len(theirs_us) < EACH_MIN:
        return None
    counts = [0] * (LATENCY_US_MAX // _BIN_US)
    for own_us in ours_us:
        first, last = bisect_left(theirs_us, own_us), bisect_right(theirs_us, own_us + LATENCY_US_MAX - 1)
        for at in range(first, last):
            counts[(theirs_us[at] - own_us) // _BIN_US] += 1
    together = [sum(counts[max(0, at - 1) : at + 2]) for at in range(len(counts))]
    peak = max(range(len(together)), key=together.__getitem__)
    usual = sorted(together)[len(together) // 2]
    above = together[peak] - usual
    rival = max((count for at, count in enumerate(together) if abs(at - peak) > _NEAR_BINS), default=0)
    if together[peak] < _PAIRS_MIN or above < _DEVIATIONS_MIN * (usual + 1) ** 0.5:
        return None
    if rival - usual > _RIVAL_PART * above:
        return None
    return _centred(counts, peak, usual / 3)


def _centred(counts: Sequence[int], peak: int, usual: float) -> Learned:
    """The middle of the peak, and how far to both sides most of it goes."""
    near = range(max(0, peak - _NEAR_BINS), min(len(counts), peak + _NEAR_BINS + 1))
    weights = {at: max(0.0, counts[at] - usual) for at in near}
    total = sum(weights.values())
    mean = sum(at * weight for at, weight in weights.items()) / total
    spread = (sum((at - mean) ** 2 * weight for at, weight in weights.items()) / total) ** 0.5
    return Learned(round((mean + 0.5) * _BIN_US), round((spread + 0.5) * _BIN_US))


@dataclass(slots=True)
class Latencies:
    """What was said lately here and there, to learn from. Both are of one broadcast: forget it when another begins."""

    ours_us: deque[int] = field(default_factory=lambda: deque(maxlen=_EACH_MAX))
    theirs_us: deque[int] = field(default_factory=lambda: deque(maxlen=_EACH_MAX))
    broadcast: int = 0

    def note(self, broadcast: int, *, own_us: int | None = None, their_edge_us: int | None = None) -> None:
        """Something was said here, or there."""
        if broadcast != self.broadcast:
            self.broadcast = broadcast
            self.ours_us.clear()
            self.theirs_us.clear()
        if own_us is not None:
            self.ours_us.append(own_us)
        if their_edge_us is not None:
            self.theirs_us.append(their_edge_us)

    def learned(self) -> Learned | None:
        """As :func:`learned_latency`, from what is remembered."""
        return learned_latency(sorted(self.ours_us), sorted(self.theirs_us))
