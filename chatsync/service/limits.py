"""How many commands a connection or a person may send: token buckets that are told the time.

Owns: ``Bucket`` (the arithmetic), ``Buckets`` (one per key, forgotten when full again). Does not know: the clock, what a
command is, what the answer looks like. Units: µs of monotonic time. Source: limits of docs/settings.md
(``commands_per_s``, ``commands_burst``); why not a library: docs/decisions/0003-own-token-bucket.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from chatsync.errors import RateLimitedError
from chatsync.instants import MS_US, SECOND_US

__all__ = ["Bucket", "Buckets", "Rate"]


@dataclass(frozen=True, slots=True)
class Rate:
    """So many a second on average, and at most ``burst`` at once."""

    per_s: int
    burst: int

    def __post_init__(self) -> None:
        if self.per_s < 1 or self.burst < 1:
            raise ValueError(f"a rate needs at least 1 a second and a burst of 1, not {self.per_s} and {self.burst}")

    @property
    def interval_us(self) -> int:
        """Time in which one token comes back, rounded up so that the rate is never exceeded."""
        return -(-SECOND_US // self.per_s)


class Bucket:
    """One bucket, kept as a single number: the instant at which it will be full again (GCRA).

    Nothing has to be refilled and rounding cannot add up: a bucket holds ``burst`` tokens, less one for every
    ``interval_us`` that ``full_at_us`` lies ahead of now.
    """

    __slots__ = ("full_at_us", "rate")

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self.full_at_us: int | None = None  # None: nothing was ever taken

    def wait_us(self, now_us: int, count: int = 1) -> int:
        """How long until ``count`` tokens are there, µs; 0 if they are now. Takes nothing."""
        full_at_us = now_us if self.full_at_us is None else max(self.full_at_us, now_us)
        needed_us = full_at_us - now_us + count * self.rate.interval_us
        return max(0, needed_us - self.rate.burst * self.rate.interval_us)

    def take(self, now_us: int, count: int = 1) -> int:
        """Take ``count`` tokens if they are there.

        Returns:
            0 if taken; else the µs to wait, and nothing is taken: refused commands do not make the wait longer. More
            than ``burst`` at once are never there: the wait says how long an empty bucket would take.
        """
        wait_us = self.wait_us(now_us, count)
        if wait_us == 0:
            full_at_us = now_us if self.full_at_us is None else max(self.full_at_us, now_us)
            self.full_at_us = full_at_us + count * self.rate.interval_us
        return wait_us


class Buckets:
    """A bucket for each key, where a key is a connection or a person in a room.

    A bucket that is full again is the same as none, so ``_sweep`` drops those when the table has doubled since the last
    sweep: memory follows the number of keys that were busy within the last ``burst / per_s`` seconds.
    """

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self._buckets: dict[str, Bucket] = {}
        self._sweep_at = 1_024

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: str, now_us: int, count: int = 1) -> None:
        """Take tokens from a key's bucket.

        Args:
            key: whose bucket.
            now_us: monotonic time.
            count: how many; a request that carries many messages takes one for each.

        Raises:
            RateLimitedError: they are not there; carries ``retry_after_ms``, rounded up.

        Cost: constant, amortised.
        """
        bucket = self._buckets.get(key)
        if bucket is None:
            self._sweep(now_us)
            bucket = self._buckets[key] = Bucket(self.rate)
        wait_us = bucket.take(now_us, count)
        if wait_us:
            raise RateLimitedError(-(-wait_us // MS_US))

    def forget(self, key: str) -> None:
        """Drop a key at once: its connection is gone and its name will never come back."""
        self._buckets.pop(key, None)

    def _sweep(self, now_us: int) -> None:
        if len(self._buckets) < self._sweep_at:
            return
        self._buckets = {
            key: bucket
            for key, bucket in self._buckets.items()
            if bucket.full_at_us is not None and bucket.full_at_us > now_us
        }
        self._sweep_at = max(1_024, 2 * len(self._buckets))
