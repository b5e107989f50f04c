"""Units, ranges and dates meet in one place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatsync.instants import Range, iso_from_us, ms_from_us, us_from_iso, us_from_ms, whole_ms_us, whole_second_us

instants = st.integers(-(10**15), 4 * 10**15)


@given(instants)
def test_milliseconds_never_run_ahead(instant_us: int) -> None:
    """Rounding is down, also before 1970, and whole milliseconds survive the way out and back."""
    assert us_from_ms(ms_from_us(instant_us)) == whole_ms_us(instant_us) <= instant_us
    assert whole_second_us(instant_us) <= whole_ms_us(instant_us)


@given(instants.map(whole_ms_us))
def test_iso_dates_survive_the_way_out_and_back(instant_us: int) -> None:
    """To the millisecond, always in UTC."""
    text = iso_from_us(instant_us)
    assert text.endswith("Z")
    assert instant_us == us_from_iso(text)


def test_a_date_without_zone_is_utc() -> None:
    """No machine's own zone creeps in."""
    assert us_from_iso("2026-01-01T00:00:00Z") == us_from_iso("2026-01-01T00:00:00")


def test_ranges_are_half_open() -> None:
    """The start lies inside, the end does not."""
    within = Range(10, 20)
    assert (True, True, False) == (within.covers(10), within.covers(19), within.covers(20))
    assert not within.overlaps(Range(20, 30))
    assert Range(15, 20) == within.clipped(Range(15, 40))
    assert within.clipped(Range(20, 30)) is None
    with pytest.raises(ValueError, match="ends"):
        Range(2, 1)
