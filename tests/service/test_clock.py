"""The clocks: steady, and set by hand."""

from __future__ import annotations

import time

import pytest

from chatsync.service.clock import Clock, CoreWait, ManualClock, SteadyClock


def test_the_steady_clock_starts_at_the_system_wall_clock() -> None:
    """A fresh steady clock agrees with the system clock to within a second."""
    clock: Clock = SteadyClock()

    assert abs(clock.wall_us() - time.time_ns() // 1_000) < 1_000_000


def test_a_step_of_the_system_clock_does_not_move_the_steady_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the system clock jumps an hour, only system_wall_us jumps."""
    clock = SteadyClock()
    before_us = clock.wall_us()
    real_time_ns = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real_time_ns() + 3_600 * 10**9)

    assert clock.wall_us() - before_us < 60_000_000
    assert clock.system_wall_us() - before_us >= 3_600_000_000
    assert clock.step_us() > 3_500_000_000


def test_the_steady_clock_never_goes_back() -> None:
    """A thousand readings in a row are in order."""
    clock = SteadyClock()
    readings = [clock.wall_us() for _ in range(1_000)]

    assert sorted(readings) == readings


def test_a_manual_clock_moves_only_when_told() -> None:
    """Advancing moves all three clocks by the same amount, a step only the system's."""
    clock = ManualClock(wall_us=1_000, monotonic_us=5)
    clock.advance(20)
    clock.step_system(-700)

    assert (1_020, 25, 320) == (clock.wall_us(), clock.monotonic_us(), clock.system_wall_us())


def test_a_manual_clock_refuses_to_run_backwards() -> None:
    """A negative advance is our own mistake and is refused."""
    with pytest.raises(ValueError, match="backwards"):
        ManualClock().advance(-1)


def test_waiting_for_a_core_is_counted_where_the_system_says_it() -> None:
    """What a thread has waited never falls, is less than it has lived, and is 0 once nobody asks any more."""
    began_s = time.monotonic()
    core = CoreWait()
    before_s = core.waited_s()
    sum(range(100_000))
    after_s = core.waited_s()
    core.close()

    assert 0 <= after_s - before_s <= time.monotonic() - began_s
    assert 0.0 == core.waited_s()
