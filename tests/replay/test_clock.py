"""The program clock and the room's latency keep their word (contract §1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatsync.instants import MINUTE_US, SECOND_US
from chatsync.replay.clock import LATENCY_US_MAX, LatencyBook, ProgramClock
from tests.builders import BASE_US

S = SECOND_US


def fed(*reloads: tuple[float, float]) -> ProgramClock:
    """A clock after reloads of (wall, edge) in seconds after BASE_US."""
    clock = ProgramClock()
    for wall_s, edge_s in reloads:
        clock.receive_edge(BASE_US + round(edge_s * S), wall_us=BASE_US + round(wall_s * S))
    return clock


def test_without_program_time_the_clock_is_wall_time() -> None:
    """Before the first date the clock is wall time itself."""
    assert BASE_US + 5 == ProgramClock().program_us(BASE_US + 5)


def test_the_lag_is_the_smallest_of_the_last_minute() -> None:
    """Of several reloads the one that came soonest after its edge decides."""
    clock = fed((3.0, 0), (4.5, 2), (7.4, 4))
    assert round(2.5 * S) == clock.lag_us
    assert BASE_US + round(7.5 * S) == clock.program_us(BASE_US + 10 * S)


def test_a_lag_older_than_a_minute_is_forgotten() -> None:
    """A reload of more than 60 s ago bounds the lag no more, and the clock holds instead of stepping back."""
    clock = fed((2.0, 0), *((3.0 + 2 * n, 2 * n) for n in range(1, 40)))
    assert 3 * S == clock.lag_us
    walls = [BASE_US + round(x * S / 4) for x in range(8, 320)]
    stepped = ProgramClock()
    seen: list[int] = []
    for wall_us in walls:
        wall_s = (wall_us - BASE_US) / S
        if (wall_s - 2) % 2 == 0:
            edge_s = wall_s - (2 if wall_s < 3 else 3)
            stepped.receive_edge(BASE_US + round(edge_s * S), wall_us=wall_us)
        seen.append(stepped.program_us(wall_us))
    assert seen == sorted(seen)


def test_age_of_a_cached_copy_is_taken_off() -> None:
    """An answer that lay 4 s in a cache does not look 4 s late."""
    clock = ProgramClock()
    clock.receive_edge(BASE_US, wall_us=BASE_US + 6 * S, age_us=4 * S)
    assert 2 * S == clock.lag_us


def test_it_stalls_after_two_target_durations_and_coasts() -> None:
    """Without new media the clock runs on at 1x and says that it stalls; an unchanged answer does not help."""
    clock = fed((2, 0), (4, 0), (6, 0))
    assert not clock.is_stalled(BASE_US + 6 * S)
    assert clock.is_stalled(BASE_US + 6 * S + 1)
    assert BASE_US + 28 * S == clock.program_us(BASE_US + 30 * S)


def test_after_a_stall_the_clock_starts_from_what_the_media_says() -> None:
    """An encoder that stood still for 30 s is 30 s further behind; the old lag says nothing any more."""
    clock = fed((2, 0), (34, 2))
    assert 32 * S == clock.lag_us
    assert not clock.is_stalled(BASE_US + 35 * S)


def test_an_ended_stream_does_not_stall() -> None:
    """After the end the clock coasts and nothing is late."""
    clock = fed((2, 0))
    clock.ended = True
    assert not clock.is_stalled(BASE_US + 100 * S)


@pytest.mark.parametrize(("lag_s", "plausible"), [(-0.1, False), (0, True), (15, True), (15.1, False)])
def test_a_clock_near_wall_time_is_plausibly_wall_time(lag_s: float, plausible: bool) -> None:
    """A lag of 0 to 15 s looks like wall time, anything else like a clock of its own."""
    assert plausible == fed((lag_s, 0)).is_plausibly_wall_time()


@given(st.lists(st.tuples(st.integers(0, 3_000), st.integers(100, 3_000)), min_size=1, max_size=60))
def test_the_clock_never_steps_back_while_media_flows(steps: list[tuple[int, int]]) -> None:
    """Whatever the jitter of reloads, a later reading is never earlier."""
    clock, edge_us, wall_us, before = ProgramClock(), BASE_US, BASE_US, 0
    for jitter_ms, wait_ms in steps:
        wall_us += wait_ms * 1000
        edge_us += wait_ms * 1000
        clock.receive_edge(edge_us, wall_us=wall_us + jitter_ms * 1000)
        wall_us += jitter_ms * 1000
        edge_us += jitter_ms * 1000
        now_us = clock.program_us(wall_us)
        assert now_us >= before or clock.lag_us < 0 or before == 0
        before = now_us


def book(*latencies_s: float) -> LatencyBook:
    """A book in which each number is one person's latency."""
    latencies = LatencyBook()
    for index, latency_s in enumerate(latencies_s):
        latencies.receive_report(f"person {index}", round(latency_s * S), wall_us=BASE_US)
    return latencies


def test_two_people_are_no_crowd() -> None:
    """Fewer than three people give no latency, but bound the watermark."""
    assert book(2, 4).summary(BASE_US) is None
    assert 4 * S == book(2, 4).p99_us(BASE_US)


def test_the_median_and_spread_are_over_people() -> None:
    """One person who reports often counts once."""
    latencies = book(2, 4, 9)
    for _ in range(5):
        latencies.receive_report("person 2", 9 * S, wall_us=BASE_US)
    summary = latencies.summary(BASE_US)
    assert summary is not None
    assert (4 * S, 3) == (summary.median_us, summary.people)
    assert (9 - 2) * S // 2 == summary.half_spread_us


def test_a_report_is_forgotten_after_a_minute() -> None:
    """Who said nothing for a minute is not counted."""
    assert book(2, 4, 9).summary(BASE_US + MINUTE_US) is None


def test_a_very_late_viewer_is_capped() -> None:
    """Somebody an hour behind does not hold the watermark back by more than a minute."""
    assert LATENCY_US_MAX == book(3600).p99_us(BASE_US)
