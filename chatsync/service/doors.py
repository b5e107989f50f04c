"""Who may come in from one address: guests, and those whose token was refused, are bounded; a good token is not.

Owns: how many guests of an address are inside, and how often one may knock. Does not know: sockets, tokens, whose address it is
(``peers``). Units: µs of monotonic time. Source: security-and-privacy §9: a school is one address, so only strangers are counted.
"""

from __future__ import annotations

from collections import Counter

from chatsync.errors import RateLimitedError
from chatsync.service.limit_table import Limits
from chatsync.service.limits import Buckets, Rate

__all__ = ["Doors"]


class Doors:
    """The doors of one node.

    Args:
        limits: of them ``guests_per_address_max``, ``knocks_per_s`` and ``knocks_burst``.
    """

    def __init__(self, limits: Limits) -> None:
        self._guests_max = limits.guests_per_address_max
        self._knocks = Buckets(Rate(limits.knocks_per_s, limits.knocks_burst))
        self._inside: Counter[str] = Counter()

    def knock(self, address: str, now_us: int) -> bool:
        """A guest, or somebody with a bad token, says hello; False when too many of this address did so lately."""
        try:
            self._knocks.take(address, now_us)
        except RateLimitedError:
            return False
        return True

    def enter(self, address: str) -> bool:
        """Count a guest in; False when the address has as many inside as it may."""
        if self._inside[address] >= self._guests_max:
            return False
        self._inside[address] += 1
        return True

    def leave(self, address: str) -> None:
        """A guest that entered is gone."""
        self._inside[address] -= 1
        if self._inside[address] <= 0:
            del self._inside[address]

    @property
    def addresses(self) -> int:
        """How many addresses have guests inside."""
        return len(self._inside)
