"""Whether what waits for a peer is being taken at all: one that takes nothing for long is given up.

Owns: ``Stall``. Does not know: sockets, how much may wait. Units: µs of monotonic time; bytes. Source: limit ``write_stall_s``.
"""

from __future__ import annotations

__all__ = ["Stall"]


class Stall:
    """Looks at one peer now and then."""

    __slots__ = ("_since_us", "_taken")

    def __init__(self) -> None:
        self._taken = 0  # bytes that the peer had taken when it was last looked at
        self._since_us: int | None = None  # since when it has taken nothing though something waits

    def is_over(self, *, written: int, waiting: int, now_us: int, after_us: int) -> bool:
        """Whether something has waited for so long without any of it being taken.

        Args:
            written: bytes given to the peer's transport since the start.
            waiting: those of them that it still holds.
            now_us: monotonic time.
            after_us: how long is too long.
        """
        taken = written - waiting
        if waiting == 0 or taken > self._taken or self._since_us is None:
            self._since_us = None if waiting == 0 else now_us
        self._taken = taken
        return self._since_us is not None and now_us >= self._since_us + after_us
