"""Stamps are a pure function of the record, and looking back makes them no worse (contract §1; decision 0013)."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatsync.instants import HOUR_US, SECOND_US
from chatsync.replay.restamping import ClockRecord, Move, Observed, Said, moved
from tests.builders import BASE_US

S = SECOND_US
TARGET_US = 2 * S


def seen(wall_s: float, edge_s: float, number: int, *, run: int = 1, age_s: float = 0, step_s: float = 0) -> Observed:
    """A reload; seconds after BASE_US."""
    return Observed(
        BASE_US + round(wall_s * S),
        round(age_s * S),
        run,
        number,
        BASE_US + round(edge_s * S),
        round(step_s * S),
    )


def steady(count: int, *, lag_s: float = 3, first: int = 0, start_s: float = 0, run: int = 1) -> list[Observed]:
    """Segments of 2 s in a row, each seen ``lag_s`` after its end; segment n ends at ``start_s`` + 2 (n + 1)."""
    ends = [(number, start_s + 2 * (number - first) + 2) for number in range(first, first + count)]
    return [seen(end_s + lag_s, end_s, number, run=run) for number, end_s in ends]


def record(*observed: Observed, jumps: dict[tuple[int, int], float] | None = None) -> ClockRecord:
    """A record whose segments each begin where the edge before was, but for ``jumps``: start in seconds by (run, number)."""
    starts_us = {(one.run, one.media_sequence): one.edge_us - TARGET_US for one in observed}
    starts_us |= {key: BASE_US + round(start_s * S) for key, start_s in (jumps or {}).items()}
    return ClockRecord(observed, starts_us, target_duration_us=TARGET_US, hold_back_us=6 * S)


def said(offset: int, wall_s: float, stands_s: float, *, stamp: str = "estimate", latency_s: float = 6) -> Said:
    """An event; seconds after BASE_US."""
    return Said(offset, BASE_US + round(wall_s * S), stamp, BASE_US + round(stands_s * S), round(latency_s * S))


def program_s(clock: ClockRecord, wall_s: float) -> float:
    """The clock in seconds after BASE_US."""
    program_us = clock.program_us(BASE_US + round(wall_s * S))
    assert program_us is not None
    return (program_us - BASE_US) / S


def test_an_estimate_that_the_record_confirms_stays() -> None:
    """Nothing moves while the lag never changed."""
    assert () == moved([said(1, 30, 21)], record(*steady(30)))


def test_reloads_after_a_message_make_its_lag_known() -> None:
    """The first reload came late; those after it show that the stream was closer than it seemed."""
    observed = [seen(6, 2, 0), *steady(20, first=1, start_s=2)]
    assert [Move(1, BASE_US + S, BASE_US + 2 * S)] == list(moved([said(1, 11, 1)], record(*observed)))


def test_an_estimate_by_viewers_latency_stays() -> None:
    """Their latency was measured by the clock of then: it was off by as much, and the estimate was right."""
    observed = [seen(6, 2, 0), *steady(20, first=1, start_s=2)]
    assert () == moved([said(1, 11, 2, latency_s=5)], record(*observed))


def test_a_lag_of_long_after_says_nothing() -> None:
    """Only reloads within a minute of a message count: lags drift."""
    observed = [seen(2 * n + 5, 2 * n + 2, n) for n in range(60)] + [
        seen(2 * n + 4, 2 * n + 2, n) for n in range(60, 90)
    ]
    assert 17 == program_s(record(*observed), 20)
    assert 98 == program_s(record(*observed), 100)


def test_age_of_cached_copies_is_taken_off() -> None:
    """A copy that lay in a cache for 2 s is not 2 s late."""
    assert 17 == program_s(record(*(seen(2 * n + 7, 2 * n + 2, n, age_s=2) for n in range(20))), 20)


def test_arrivals_of_an_encoder_that_stood_still_go_to_where_media_stopped() -> None:
    """The picture stood still at the edge for whoever spoke meanwhile, if the program went on from there."""
    observed = [*steady(10), *(seen(2 * n + 15, 2 * n + 2, n) for n in range(10, 20))]
    waited = said(1, 32, 29, stamp="arrival", latency_s=3)
    assert [Move(1, BASE_US + 29 * S, BASE_US + 20 * S)] == list(moved([waited], record(*observed)))


def test_arrivals_stay_where_only_we_saw_nothing() -> None:
    """The origin was down, the encoder went on: coasting was right."""
    observed = [*steady(10), *steady(10, first=25, start_s=50)]
    clock = record(*observed, jumps={(1, 10): 20})
    assert () == moved([said(1, 40, 37, stamp="arrival", latency_s=3)], clock)


def test_nothing_stands_after_the_media_that_came_after_it() -> None:
    """A program that jumps ahead: who spoke before it came did not see it."""
    observed = [*steady(10), *(seen(2 * n + 30, 2 * n + 26, n) for n in range(10, 20))]
    clock = record(*observed, jumps={(1, 10): 26 + 20 - 2})
    assert 37 == program_s(clock, 40)
    assert 44 == program_s(clock, 49.5)


def test_a_run_that_begins_anew_has_its_own_lag() -> None:
    """A restarted encoder is as late as its own reloads say."""
    observed = [*steady(10), *steady(10, first=0, start_s=60, lag_s=8, run=2)]
    clock = record(*observed)
    assert 57 == program_s(clock, 60)
    assert 72 == program_s(clock, 80)


def test_other_stamps_never_move() -> None:
    """What a player said was on screen, a host's now, an import and undated chat stay."""
    kinds = ("playhead", "origin", "import", "none")
    assert () == moved([said(n, 30, 0, stamp=kind) for n, kind in enumerate(kinds)], record(*steady(30)))


def test_before_the_first_date_nothing_is_known() -> None:
    """An event from before it stays."""
    assert record(*steady(3)).program_us(BASE_US) is None
    assert () == moved([said(1, 0, 5)], record(*steady(3)))
    assert record().is_empty
    assert () == moved([said(1, 0, 5)], record())


@pytest.mark.parametrize("step_s", [-3600, -5, 7, 3600])
def test_a_step_of_the_systems_clock_moves_nothing(step_s: int) -> None:
    """An event's wall time is of the system's clock; the step that its reload recorded is taken off."""
    observed = [one._replace(step_us=step_s * S if n >= 15 else 0) for n, one in enumerate(steady(40))]
    walls = [(wall_s, wall_s + (step_s if wall_s >= 35 else 0)) for wall_s in range(20, 80, 3)]
    events = [said(n, system_s, wall_s - 9) for n, (wall_s, system_s) in enumerate(walls)]
    assert () == moved(events, record(*observed))


def test_an_answer_never_stands_before_its_question() -> None:
    """The question was not moved, the answer is, no further than to the question."""
    question = Said(1, BASE_US + 30 * S, "playhead", BASE_US + 22 * S)
    answer = said(2, 30, 25)._replace(target=1)
    assert [Move(2, BASE_US + 25 * S, BASE_US + 22 * S)] == list(moved([question, answer], record(*steady(30))))


@st.composite
def records(draw: st.DrawFn) -> ClockRecord:
    """Reloads of a stream that stalls, jumps and restarts, each seen sooner or later."""
    observed: list[Observed] = []
    starts: dict[tuple[int, int], float] = {}
    wall_s, end_s, run, number = 0.0, 0.0, 1, 0
    for _ in range(draw(st.integers(1, 40))):
        what = draw(st.sampled_from(["on"] * 8 + ["stall", "jump", "restart"]))
        wall_s += 2
        if what == "stall":
            wall_s += draw(st.integers(3, 30))
        if what in {"jump", "restart"}:
            hole_s = draw(st.integers(1, 40))
            wall_s += hole_s
            end_s += hole_s
        if what == "restart":
            run, number = run + 1, 0
        starts[run, number] = end_s
        end_s += 2
        observed.append(seen(wall_s + draw(st.integers(2000, 3900)) / 1000, end_s, number, run=run))
        number += 1
    return record(*observed, jumps=starts)


@given(records(), st.lists(st.integers(0, 400 * 1000), min_size=1, max_size=30), st.sampled_from([0, 5, 6]))
def test_doing_it_twice_moves_nothing(clock: ClockRecord, walls_ms: list[int], latency_s: int) -> None:
    """A stamp follows from the record, not from where it stood before."""
    events = [
        said(n, wall_ms / 1000, 0, stamp="arrival" if n % 3 == 0 else "estimate", latency_s=latency_s)
        for n, wall_ms in enumerate(sorted(walls_ms))
    ]
    to_us = {move.offset: move.to_us for move in moved(events, clock)}
    again = [event._replace(program_us=to_us.get(event.offset, event.program_us)) for event in events]
    assert () == moved(again, clock)


@given(records())
def test_the_clock_of_the_record_is_never_ahead_of_media_that_was_yet_to_come(clock: ClockRecord) -> None:
    """Just before a reload brought media, the clock was not past where that media ends."""
    for stretch, following in pairwise(clock._stretches):
        program_us = clock.program_us(following.walls_us[0] - 1)
        assert program_us is not None
        assert program_us <= max(stretch.edge_us, following.start_us)


def test_a_day_of_reloads_is_recomputed_quickly() -> None:
    """The work for one event does not grow with the record: 43,200 reloads, and still only those of two minutes are looked at."""
    clock = record(*steady(int(24 * HOUR_US / TARGET_US)))
    assert 86_400 - 3 == program_s(clock, 86_400)
