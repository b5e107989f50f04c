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


flowing = st.lists(st.tuples(st.integers(1, 4_000), st.integers(1, 4_000), st.booleans()), min_size=1, max_size=60)


@given(flowing)
def test_the_clock_never_steps_back_while_media_flows(reloads: list[tuple[int, int, bool]]) -> None:
    """Whatever the jitter of reloads and however often the encoder restarts, a later reading is never earlier."""
    clock, edge_us, wall_us = ProgramClock(), BASE_US, BASE_US
    seen: list[int] = []
    for waited_ms, grown_ms, new_run in reloads:
        wall_us += waited_ms * 1000
        edge_us += grown_ms * 1000
        if clock.has_program_time:
            seen.append(clock.program_us(wall_us))
        clock.receive_edge(edge_us, wall_us=wall_us, new_run=new_run)
        seen.append(clock.program_us(wall_us))
    assert sorted(seen) == seen


@given(flowing, st.integers(0, 10**9))
def test_the_clock_coasts_at_1x(reloads: list[tuple[int, int, bool]], later_us: int) -> None:
    """Without another reload the clock moves with wall time, or holds; it never runs faster."""
    clock, edge_us, wall_us = ProgramClock(), BASE_US, BASE_US
    for waited_ms, grown_ms, new_run in reloads:
        wall_us, edge_us = wall_us + waited_ms * 1000, edge_us + grown_ms * 1000
        clock.receive_edge(edge_us, wall_us=wall_us, new_run=new_run)
    assert 0 <= clock.program_us(wall_us + later_us) - clock.program_us(wall_us) <= later_us


def test_a_reload_counts_for_exactly_a_minute() -> None:
    """At 60 s the best lag still stands, a microsecond later it does not."""
    for past_us, expected_s in ((0, 2), (1, 3)):
        clock = fed((2.0, 0), *((3.0 + 2 * n, 2 * n) for n in range(1, 30)))
        clock.receive_edge(BASE_US + 59 * S + past_us, wall_us=BASE_US + 62 * S + past_us)
        assert expected_s * S == clock.lag_us


def test_an_unchanged_answer_does_not_make_the_stream_look_later() -> None:
    """The same edge seen again says nothing new, and is not kept."""
    clock = fed((2, 0), (3, 0), (4, 0))
    assert 2 * S == clock.lag_us


def test_an_older_copy_of_the_same_answer_shows_that_the_edge_was_there_earlier() -> None:
    """A copy that lay in a cache for 5 s when it came 3 s after the first was made before the first."""
    clock = fed((10, 0))
    clock.receive_edge(BASE_US, wall_us=BASE_US + 13 * S, age_us=5 * S)
    assert 8 * S == clock.lag_us
    assert BASE_US + 5 * S == clock.program_us(BASE_US + 13 * S)


def test_a_new_run_starts_the_lag_again_and_the_clock_holds() -> None:
    """After a restart of the encoder earlier samples say nothing; a clock further behind waits instead of going back."""
    clock = fed((2, 0), (4, 2))
    clock.receive_edge(BASE_US + 3 * S, wall_us=BASE_US + 6 * S, new_run=True)
    assert 3 * S == clock.lag_us
    assert [4, 4, 5] == [(clock.program_us(BASE_US + wall_s * S) - BASE_US) // S for wall_s in (6, 7, 8)]


def test_how_long_it_stalls_is_told() -> None:
    """Time since new media last came, nothing before the first; unchanged answers do not shorten it."""
    assert 0 == ProgramClock().stalled_for_us(BASE_US)
    clock = fed((2, 0), (9, 0))
    assert 8 * S == clock.stalled_for_us(BASE_US + 10 * S)


@pytest.mark.parametrize("target_s", [1, 2, 6])
def test_a_stall_is_two_of_the_streams_own_target_durations(target_s: int) -> None:
    """Long segments come seldom; that is no stall."""
    clock = ProgramClock(target_duration_us=target_s * S)
    assert not clock.is_stalled(BASE_US)
    clock.receive_edge(BASE_US, wall_us=BASE_US)
    assert not clock.is_stalled(BASE_US + 2 * target_s * S)
    assert clock.is_stalled(BASE_US + 2 * target_s * S + 1)


def test_after_a_stall_the_clock_may_go_back() -> None:
    """It coasted past media that never came; what is on screen counts."""
    clock = fed((2, 0))
    assert BASE_US + 30 * S == clock.program_us(BASE_US + 32 * S)
    clock.receive_edge(BASE_US + 2 * S, wall_us=BASE_US + 32 * S)
    assert BASE_US + 2 * S == clock.program_us(BASE_US + 32 * S)


def test_wall_time_that_goes_on_after_the_end_takes_the_clock_along() -> None:
    """An hour after the end the clock is an hour further."""
    clock = fed((2, 0))
    clock.ended = True
    assert BASE_US + 3600 * S == clock.program_us(BASE_US + 3602 * S)


def book(*latencies_s: float) -> LatencyBook:
    """A book in which each number is one person's latency."""
    latencies = LatencyBook()
    for index, latency_s in enumerate(latencies_s):
        latencies.receive_report(f"person {index}", round(latency_s * S), wall_us=BASE_US)
    return latencies


def test_two_people_are_no_crowd() -> None:
    """Nobody gives no latency; one or two give theirs, and say how few they are, and bound the watermark."""
    assert book().summary(BASE_US) is None
    few = book(2, 4).summary(BASE_US)
    assert few is not None
    assert (2, 2 * S) == (few.people, few.median_us)
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


def test_latency_is_never_negative() -> None:
    """Somebody who seems to see the future counts as being at the edge."""
    assert 0 == book(-3, -2, -1).p99_us(BASE_US)


def test_nobody_there_holds_nothing_back() -> None:
    """An empty room has no latency and no slowest viewer."""
    assert (None, 0) == (LatencyBook().summary(BASE_US), LatencyBook().p99_us(BASE_US))


def test_one_person_who_reports_for_long_stays_counted_by_the_newest_report() -> None:
    """Each report replaces the one before and counts for a minute from its own time."""
    latencies = book(2, 4, 9)
    for person in ("person 0", "person 1", "person 2"):
        latencies.receive_report(person, 5 * S, wall_us=BASE_US + 30 * S)
    later = latencies.summary(BASE_US + 89 * S)
    assert later is not None
    assert (5 * S, 0, 3) == (later.median_us, later.half_spread_us, later.people)
    assert latencies.summary(BASE_US + 90 * S) is None


def test_the_summary_is_taken_at_most_once_a_second() -> None:
    """What is reported meanwhile shows a second later."""
    latencies = book(2, 2, 2)
    assert 2 * S == latencies.p99_us(BASE_US)
    latencies.receive_report("slow", 20 * S, wall_us=BASE_US + S // 2)
    assert 2 * S == latencies.p99_us(BASE_US + S - 1)
    assert 20 * S == latencies.p99_us(BASE_US + S)


@given(st.lists(st.integers(0, 60_000_000), min_size=3, max_size=300))
def test_percentiles_lie_among_what_was_reported(latencies_us: list[int]) -> None:
    """The median and the 99th percentile are somebody's latency, and in order; half the spread fits between."""
    latencies = LatencyBook()
    for person, latency_us in enumerate(latencies_us):
        latencies.receive_report(str(person), latency_us, wall_us=BASE_US)
    summary = latencies.summary(BASE_US)
    assert summary is not None
    assert {summary.median_us, summary.p99_us} <= set(latencies_us)
    assert summary.median_us <= summary.p99_us <= max(latencies_us)
    assert 0 <= 2 * summary.half_spread_us <= max(latencies_us) - min(latencies_us)
    assert len(latencies_us) == summary.people
