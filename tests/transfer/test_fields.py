"""Values of files, taken only as what they should be."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatsync.transfer.fields import clock_us, instant_us, mapping, number, rest, sequence, text, us_of

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(_VALUES)
def test_nothing_raises(value: Any) -> None:
    """Whatever a file holds."""
    assert isinstance(text(value), str)
    assert number(value) is None or isinstance(number(value), Decimal)
    assert us_of(value, 1_000_000) is None or isinstance(us_of(value, 1_000_000), int)
    assert instant_us(value) is None or isinstance(instant_us(value), int)
    assert isinstance(mapping(value), dict)
    assert isinstance(sequence(value), list)
    assert clock_us(text(value)) is None or isinstance(clock_us(text(value)), int)


def test_numbers_are_exact() -> None:
    """Also those written as text, and those of floating point as they are written."""
    assert 5_200_000 == us_of(5.2, 1_000_000)
    assert -5_200_000 == us_of("-5.2", 1_000_000)
    assert 1_773_064_812_340_000 == us_of("1773064812340", 1_000)
    assert [None] * 7 == [
        us_of(value, 1_000_000) for value in (True, None, "1e999", "nan", "1_0", float("inf"), 10**40)
    ]


@pytest.mark.parametrize(
    ("clock", "us"),
    [
        ("1:35", 95_000_000),
        ("-0:05", -5_000_000),
        ("01:02:03.5", 3_723_500_000),
        ("0:01,250", 1_250_000),
        ("5", None),
        ("a:b", None),
        ("1::2", None),
    ],
)
def test_clocks_are_lengths(clock: str, us: int | None) -> None:
    """With or without hours, before the beginning too."""
    assert us == clock_us(clock)


def test_instants_have_a_zone_or_are_utc() -> None:
    """Of any precision; what is no date is none."""
    assert (
        1_773_064_812_340_000
        == instant_us("2026-03-09T14:00:12.34Z")
        == instant_us("2026-03-09T17:00:12.340000999+03:00")
    )
    assert [None, None, None] == [instant_us(value) for value in ("yesterday...", 3, "0000-00-00T00:00:00Z")]


def test_what_is_left_says_something() -> None:
    """Known fields and empty ones are not kept."""
    assert {"c": 0} == rest({"a": 1, "b": None, "c": 0, "d": "", "e": []}, ("a",))
