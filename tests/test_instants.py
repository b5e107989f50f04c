"""chatsync.instants: units, ranges and dates meet in one place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatsync.instants import (
    HOUR_US,
    MINUTE_US,
    MS_US,
    SECOND_US,
    Range,
    iso_from_us,
    ms_from_us,
    us_from_iso,
    us_from_ms,
    whole_ms_us,
    whole_second_us,
)

instants = st.integers(-(10**15), 4 * 10**15)
ranges = st.builds(lambda start, long: Range(start, start + long), st.integers(0, 60), st.integers(0, 20))


def test_units_are_multiples_of_each_other() -> None:
    """A millisecond, a second, a minute and an hour in µs."""
    assert (1_000, 1_000_000, 60_000_000, 3_600_000_000) == (MS_US, SECOND_US, MINUTE_US, HOUR_US)


@given(instants)
def test_milliseconds_never_run_ahead(instant_us: int) -> None:
    """Rounding is down, also before 1970, and whole milliseconds survive the way out and back."""
    assert us_from_ms(ms_from_us(instant_us)) == whole_ms_us(instant_us) <= instant_us
    assert 0 <= instant_us - whole_ms_us(instant_us) < MS_US


@given(instants)
def test_whole_seconds_are_at_most_a_second_back(instant_us: int) -> None:
    """Slices start there; the second of a whole second is itself."""
    second_us = whole_second_us(instant_us)
    assert 0 <= instant_us - second_us < SECOND_US
    assert second_us % SECOND_US == 0
    assert second_us == whole_second_us(second_us) <= whole_ms_us(instant_us)


@given(st.integers(-(2**53) + 1, 2**53 - 1))
def test_every_millisecond_of_the_wire_survives(instant_ms: int) -> None:
    """What JavaScript can say comes back as it was."""
    assert instant_ms == ms_from_us(us_from_ms(instant_ms))


@given(instants.map(whole_ms_us))
def test_iso_dates_survive_the_way_out_and_back(instant_us: int) -> None:
    """To the millisecond, always in UTC."""
    text = iso_from_us(instant_us)
    assert text.endswith("Z")
    assert instant_us == us_from_iso(text)


@pytest.mark.parametrize(
    ("text", "expected_us"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.000001Z", 1),
        ("1969-12-31T23:59:59.999Z", -1_000),
        ("2025-11-24T16:00:00.250Z", 1_764_000_000_250_000),
        ("2025-11-24T17:00:00.250+01:00", 1_764_000_000_250_000),
        ("2025-11-24T17:00:00+0100", 1_764_000_000_000_000),
        ("2025-11-24T06:30:00-09:30", 1_764_000_000_000_000),
        ("2025-11-24 16:00:00", 1_764_000_000_000_000),
        ("20251124T160000Z", 1_764_000_000_000_000),
        ("2024-02-29T00:00:00Z", 1_709_164_800_000_000),
    ],
)
def test_dates_are_read(text: str, expected_us: int) -> None:
    """With any zone, with fractions, before 1970; without a zone as UTC."""
    assert expected_us == us_from_iso(text)


@pytest.mark.parametrize("text", ["", "now", "2025-13-01T00:00:00Z", "2025-02-29T00:00:00Z", "25:00", "1764000000"])
def test_what_is_no_date_is_refused(text: str) -> None:
    """A ValueError, never another date."""
    with pytest.raises(ValueError, match=r".+"):
        us_from_iso(text)


def test_dates_for_people_have_milliseconds() -> None:
    """Rounded down, with a Z."""
    assert "2025-11-24T16:00:00.250Z" == iso_from_us(1_764_000_000_250_999)
    assert "1969-12-31T23:59:59.999Z" == iso_from_us(-1)


def test_ranges_are_half_open() -> None:
    """The start lies inside, the end does not."""
    within = Range(10, 20)
    assert (False, True, True, False) == tuple(within.covers(instant) for instant in (9, 10, 19, 20))
    assert 10 == within.duration_us
    assert not within.overlaps(Range(20, 30))
    assert Range(15, 20) == within.clipped(Range(15, 40))
    assert within.clipped(Range(20, 30)) is None


def test_an_empty_range_covers_nothing() -> None:
    """Start and end may be the same instant."""
    assert not Range(10, 10).covers(10)
    assert Range(10, 10).clipped(Range(0, 20)) is None


def test_a_range_that_ends_before_it_starts_is_refused() -> None:
    """There is no negative length."""
    with pytest.raises(ValueError, match="ends"):
        Range(2, 1)


@given(ranges, ranges)
def test_overlap_is_having_an_instant_in_common(one: Range, other: Range) -> None:
    """As counted instant by instant; of a pair with content both say the same, and the clipped part is that."""
    common = [instant for instant in range(90) if one.covers(instant) and other.covers(instant)]
    clipped = one.clipped(other)
    assert common == ([] if clipped is None else list(range(clipped.start_us, clipped.end_us)))
    if one.duration_us and other.duration_us:
        assert bool(common) == one.overlaps(other) == other.overlaps(one)
