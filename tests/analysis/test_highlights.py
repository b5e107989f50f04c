"""Peaks of chat, the lag behind the picture, and where clips begin and end."""

from __future__ import annotations

import math

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatsync.analysis.highlights import APART_S, DENSITY, SIGMA_S, begins_one, clips, fitted_lag_s, peaks, rise_lag_s


def _said(rows: list[tuple[float, str]]) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(":memory:")
    connection.execute("CREATE TABLE said (at_s DOUBLE, text VARCHAR)")
    if rows:
        connection.executemany("INSERT INTO said VALUES (?, ?)", rows)
    return connection


def _burst(at_s: float, count: int = 20, text: str = "wow") -> list[tuple[float, str]]:
    return [(at_s + index * 0.3, text) for index in range(count)]


def test_density_is_what_was_said_spread_over_its_seconds() -> None:
    """A word weighs nearly one, wherever it stands; a paragraph and what is before the start weigh nothing."""
    density = dict(_said([(100.5, "wow"), (300.2, "x" * 100), (-5.0, "early")]).execute(DENSITY).fetchall())
    assert 0.97 == pytest.approx(sum(density.values()), abs=0.01)
    assert 100 == max(density, key=lambda second: density[second])
    assert all(abs(second - 100) <= 19 for second, weight in density.items() if weight > 0)


@given(
    st.lists(
        st.tuples(st.floats(-5, 400, allow_nan=False).map(lambda at_s: round(at_s, 3)), st.integers(0, 130)),
        min_size=1,
        max_size=30,
    )
)
def test_density_is_the_sum_of_a_bell_for_each_message(said: list[tuple[float, int]]) -> None:
    """As one would write it down: each message's weight, times a bell of six seconds, for the seconds up to three of those away."""
    expected: dict[int, float] = {}
    for at_s, length in said:
        for away in range(-18, 19) if at_s >= 0 else ():
            second = int(at_s) + away
            if second >= 0:
                share = math.exp(-(away**2) / (2 * SIGMA_S**2)) / (SIGMA_S * math.sqrt(2 * math.pi))
                expected[second] = expected.get(second, 0.0) + max(0.0, 1 - length / 100) * share
    found = _said([(at_s, "x" * length) for at_s, length in said]).execute(DENSITY).fetchall()
    assert sorted(expected) == [second for second, _ in found]
    assert expected == pytest.approx(dict(found), abs=1e-9)


def test_a_burst_is_found_a_lag_before_its_peak() -> None:
    """Two bursts in quiet chat: the higher first, each clip beginning before chat rose and ending as it fades."""
    quiet = [(float(second), "hm") for second in range(0, 3_000, 40)]
    found, lag_s = clips(_said([*quiet, *_burst(1_000, 20), *_burst(2_000, 40)]), 2)
    assert [2_000, 1_000] == [pytest.approx(clip.peak_s, abs=8) for clip in found]
    assert 5 < lag_s < 40
    for clip, began_s in zip(found, (2_000, 1_000), strict=True):
        assert began_s - 30 < clip.start_s <= began_s
        assert clip.end_s > began_s
        assert 8 <= clip.end_s - clip.start_s <= 60
        assert clip.messages >= 20


def test_a_given_lag_is_used() -> None:
    """Whoever knows how late their chat is says so."""
    [clip], lag_s = clips(_said(_burst(1_000)), 1, lag_s=25)
    assert (25, 25) == (lag_s, clip.peak_s - clip.start_s)


def test_nothing_said_has_no_highlights() -> None:
    """An empty chat has no clips and no lag."""
    assert ([], 0.0) == clips(_said([]), 10)


@given(st.dictionaries(st.integers(0, 5_000), st.floats(0.01, 10), max_size=80), st.integers(1, 12))
def test_peaks_are_high_and_apart(density: dict[int, float], count: int) -> None:
    """None is near a higher one, and every second that is none is near one at least as high, unless there are enough."""
    found = peaks(density, count)
    assert len(found) <= count
    assert all(abs(one - other) >= APART_S for one in found for other in found if one != other)
    if len(found) < count:
        for second, weight in density.items():
            assert any(abs(second - top) < APART_S and density[top] >= weight for top in found)


def test_the_lag_is_fitted_to_labels() -> None:
    """Peaks come 27 s after the starts: that is what is learned, give or take what labels leave open."""
    labels = [(at_s, at_s + 10.0) for at_s in (100.0, 400.0, 900.0, 1_500.0)]
    lag_s = fitted_lag_s([([round(start) + 27 for start, _ in labels], labels)])
    assert 17 <= lag_s <= 37
    assert all(begins_one(start + 27 - lag_s, labels) for start, _ in labels)


def test_a_start_may_be_a_little_early_and_not_late() -> None:
    """From ten seconds before a highlight to its end, both included."""
    labels = [(100.0, 120.0)]
    assert [False, True, True, False] == [begins_one(at_s, labels) for at_s in (89.9, 90, 120, 120.1)]


def test_a_steep_rise_is_a_short_lag() -> None:
    """Chat that rises within five seconds lags less than chat that takes thirty."""
    steep = {second: max(0.0, 5.0 - abs(100 - second)) for second in range(200)}
    slow = {second: max(0.0, 30.0 - abs(100 - second)) for second in range(200)}
    assert rise_lag_s(steep, [100]) < 10 < rise_lag_s(slow, [100])
