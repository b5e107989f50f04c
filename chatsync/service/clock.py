"""The only module that reads clocks.

Owns: ``Clock``, ``SteadyClock`` (the one a service runs on), ``ManualClock`` (one set by hand, for tests and for running
a recorded hour in seconds), ``CoreWait`` (how long a thread had to wait for a core). Does not know: program time; that is made from ``wall_us`` and the playlist by ``replay``.
Units: integer µs. Wall clocks count from 1970-01-01T00:00:00Z; the monotonic clock counts from an arbitrary instant.
Source: contract §1 ("``wall`` here is steady").
"""

from __future__ import annotations

import os
import time
from typing import Protocol

__all__ = ["Clock", "CoreWait", "ManualClock", "SteadyClock"]


class Clock(Protocol):
    """Three readings; whoever needs one takes the number as an argument, not the clock."""

    def wall_us(self) -> int:
        """Steady wall time: never steps and never goes back. What stamps and the program clock are made from."""
        ...

    def monotonic_us(self) -> int:
        """Monotonic time, for timers and rates only; never stored, never sent."""
        ...

    def system_wall_us(self) -> int:
        """What the system clock says now. It may step. For ``wall_ms`` of events, expiry of tokens and log lines."""
        ...


class SteadyClock:
    """The system's wall clock as it was at the start, carried on by the monotonic clock.

    A step of the system clock (NTP, an operator, a resumed virtual machine) moves only ``system_wall_us``: messages
    around the step keep their distances. The price is that a clock that was wrong at the start stays wrong by as much
    until the next start; ``step_us`` tells how far the two have parted.
    """

    __slots__ = ("_started_monotonic_us", "_started_wall_us")

    def __init__(self) -> None:
        self._started_wall_us = time.time_ns() // 1_000
        self._started_monotonic_us = time.monotonic_ns() // 1_000

    def wall_us(self) -> int:
        """Steady wall time, µs since the Unix epoch."""
        return self._started_wall_us + self.monotonic_us() - self._started_monotonic_us

    def monotonic_us(self) -> int:
        """Monotonic time, µs since an arbitrary instant."""
        return time.monotonic_ns() // 1_000

    def system_wall_us(self) -> int:
        """The system clock, µs since the Unix epoch."""
        return time.time_ns() // 1_000

    def step_us(self) -> int:
        """How far the system clock has moved away from the steady one since the start; positive if it ran ahead."""
        return self.system_wall_us() - self.wall_us()


class ManualClock:
    """A clock that stands still until it is told to move. It keeps the same promises as ``SteadyClock``.

    Args:
        wall_us: where both wall clocks start, µs since the Unix epoch.
        monotonic_us: where the monotonic clock starts.
    """

    __slots__ = ("_monotonic_us", "_system_ahead_us", "_wall_us")

    def __init__(self, wall_us: int = 1_764_000_000_000_000, monotonic_us: int = 0) -> None:
        self._wall_us = wall_us
        self._monotonic_us = monotonic_us
        self._system_ahead_us = 0

    def wall_us(self) -> int:
        """Steady wall time, µs since the Unix epoch."""
        return self._wall_us

    def monotonic_us(self) -> int:
        """Monotonic time, µs."""
        return self._monotonic_us

    def system_wall_us(self) -> int:
        """The system clock, µs since the Unix epoch: the steady one plus every step so far."""
        return self._wall_us + self._system_ahead_us

    def advance(self, elapsed_us: int) -> None:
        """Let time pass on all three clocks.

        Raises:
            ValueError: ``elapsed_us`` is negative; time does not run backwards.
        """
        if elapsed_us < 0:
            raise ValueError(f"time does not run backwards ({elapsed_us} µs)")
        self._wall_us += elapsed_us
        self._monotonic_us += elapsed_us

    def step_system(self, by_us: int) -> None:
        """Step the system clock as NTP or an operator would; the other two do not move."""
        self._system_ahead_us += by_us


class CoreWait:
    """How long the system has let this thread wait for a core, though it could have run: what others on the machine cost it.

    Made in the thread that is asked about. Where the system does not say (it is not Linux), nobody ever waited.
    """

    __slots__ = ("_descriptor",)

    def __init__(self) -> None:
        try:
            self._descriptor = os.open("/proc/thread-self/schedstat", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._descriptor = -1

    def waited_s(self) -> float:
        """Seconds since the thread began."""
        if self._descriptor < 0:
            return 0.0
        return int(os.pread(self._descriptor, 100, 0).split()[1]) / 1e9

    def close(self) -> None:
        """Ask no more."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
