"""Bilibili's danmaku."""

from __future__ import annotations

import pytest

from chatsync.errors import FileDamagedError
from chatsync.transfer.line import Left, Line
from tests.transfer.files import lines, read, read_file, sample


def _xml(*danmaku: str) -> str:
    return f'<?xml version="1.0" encoding="UTF-8"?><i><chatserver>x</chatserver>{"".join(danmaku)}</i>'


def test_everything_but_the_text_stands_in_one_attribute() -> None:
    """With eight or nine fields; when it was posted is a detail."""
    for weight in ("", ",10"):
        (line,) = lines(read(_xml(f'<d p="12.34,1,25,16777215,1773064812,0,1a2b,9000001{weight}">a &lt;b</d>')))
        assert ("9000001", None, 12_340_000, "1a2b", "a <b") == (
            line.id,
            line.program_us,
            line.position_us,
            line.author_id,
            line.text,
        )
        assert "2026-03-09T14:00:12.000Z" == line.details["posted_at"]


def test_an_id_that_was_counted_is_none() -> None:
    """Every file that some program writes begins with it."""
    assert [""] == [line.id for line in lines(read(_xml('<d p="1,1,25,1,1,0,a,1">x</d>')))]


def test_drawings_and_programs_stay_out() -> None:
    """Modes 7, 8 and 9."""
    found = read(_xml(*(f'<d p="1,{mode},25,1,1,0,a,{mode}">x</d>' for mode in range(1, 10))))
    assert (6, 3) == (len(lines(found)), sum(isinstance(one, Left) for one in found))


@pytest.mark.parametrize("attribute", ["", "1", "x,1,25,1,1,0,a,1", "1e400,1,25,1,1,0,a,1", "nan,1,25,1,x,0,a,1"])
def test_strange_attributes_are_no_trouble(attribute: str) -> None:
    """They have no time, or are left out."""
    (one,) = read(_xml(f'<d p="{attribute}">x</d>'))
    assert isinstance(one, Left) or (isinstance(one, Line) and one.position_us is None)


def test_a_file_that_ends_too_early_is_damaged() -> None:
    """After what was whole."""
    with pytest.raises(FileDamagedError, match="after 1 entries"):
        read(_xml('<d p="1,1,25,1,1,0,a,1">x</d><d p=')[:-8])


def test_the_shared_sample_is_read() -> None:
    """Three lines."""
    assert [12_340_000, 95_000_000, 610_500_000] == [
        line.position_us for line in lines(read_file(sample("bilibili_danmaku.xml")))
    ]
