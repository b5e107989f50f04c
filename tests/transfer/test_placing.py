"""Where a line stands in program time, and to which airing it belongs."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatsync.errors import FileUnplacedError, PlaylistSyntaxError
from chatsync.hls.spans import Span
from chatsync.instants import HOUR_US, MINUTE_US, SECOND_US
from chatsync.transfer.placing import NEAR_US, Airing, Airings, Place, Placing, first_date_us
from tests.transfer.files import T0_US


def test_an_absolute_time_is_trusted() -> None:
    """The position is only compared, whatever it says."""
    placing = Placing(T0_US)
    assert Place(T0_US + 12_340_000, None) == placing.place(T0_US + 12_340_999, 12_000_000)
    assert Place(T0_US + 13_000_000, None) == placing.place(T0_US + 13_000_000, 12_900_000)
    assert Place(T0_US + 13_000_000, None) == placing.place(T0_US + 13_000_000, 999_000_000)
    assert (3, 100_000) == (placing.compared, placing.disagreement_us())


def test_without_a_beginning_the_file_tells_it() -> None:
    """As the median of what it says."""
    placing = Placing()
    for at_us in (5, 6, 7):
        placing.place(T0_US + at_us, at_us)
    assert (T0_US, None) == (placing.implied_t0_us(), placing.disagreement_us())


def test_a_position_alone_needs_a_beginning() -> None:
    """It is added to it; before it is before the beginning."""
    assert Place(T0_US - 5_000_000, None) == Placing(T0_US).place(None, -5_000_000)
    with pytest.raises(FileUnplacedError, match="--t0"):
        Placing().place(None, 1)
    assert "has no time" == Placing(T0_US).place(None, None)


def test_a_recordings_map_places_positions() -> None:
    """Cuts and all; an insert shows no program time."""
    spans = [
        Span(position_us=0, duration_us=10 * SECOND_US, broadcast=2, program_us=T0_US, method="offset", score=1.0),
        Span(
            position_us=20 * SECOND_US,
            duration_us=10 * SECOND_US,
            broadcast=3,
            program_us=T0_US + HOUR_US,
            method="offset",
            score=1.0,
        ),
    ]
    placing = Placing(None, spans)
    assert Place(T0_US + SECOND_US, 2) == placing.place(None, SECOND_US)
    assert Place(T0_US + HOUR_US + SECOND_US, 3) == placing.place(None, 21 * SECOND_US)
    assert "stands where the recording shows no program time" == placing.place(None, 15 * SECOND_US)


def test_a_playlist_says_when_it_begins(tmp_path: Path) -> None:
    """By its first date, counted back if that comes later."""
    head = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:4\n"
    dated = "#EXTINF:4,\na.ts\n#EXT-X-PROGRAM-DATE-TIME:2026-03-09T14:00:04Z\n#EXTINF:4,\nb.ts\n#EXT-X-ENDLIST\n"
    path = tmp_path / "x.m3u8"
    path.write_text(head + dated)
    assert T0_US == first_date_us(path)
    path.write_text(head + "#EXTINF:4,\na.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(FileUnplacedError):
        first_date_us(path)
    path.write_text("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8\n")
    with pytest.raises(FileUnplacedError, match="variants"):
        first_date_us(path)
    path.write_text("hello")
    with pytest.raises(PlaylistSyntaxError):
        first_date_us(path)


def test_a_line_belongs_to_the_airing_that_was_on() -> None:
    """Or to the nearest that is not far; a room may have two of the same date: the later is meant."""
    known = [
        Airing(1, T0_US, T0_US + HOUR_US),
        Airing(2, T0_US + 2 * HOUR_US, T0_US + 3 * HOUR_US),
        Airing(3, T0_US + 2 * HOUR_US, T0_US + 3 * HOUR_US),
    ]
    airings = Airings(known, 4)
    airings.settle()
    assert [1, 1, 1, 3, 3] == [
        airings.of(T0_US + at_us)
        for at_us in (0, -10 * MINUTE_US, HOUR_US + 10 * MINUTE_US, 2 * HOUR_US - 10 * MINUTE_US, 2 * HOUR_US)
    ]
    assert [] == airings.made()


def test_airings_are_made_where_there_are_none() -> None:
    """Parted where nobody spoke for hours; each as long as it was spoken in."""
    airings = Airings([Airing(7, T0_US - 24 * HOUR_US, T0_US - 23 * HOUR_US)], 8)
    said = [T0_US, T0_US + 2 * HOUR_US, T0_US + 12 * HOUR_US]
    for at_us in said:
        airings.note(at_us)
    airings.settle()
    assert [8, 8, 9] == [airings.of(at_us) for at_us in said]
    assert [(8, said[0], said[1]), (9, said[2], said[2])] == [airing[:3] for airing in airings.made()]


@given(st.lists(st.integers(0, 10 * 24 * HOUR_US), min_size=1, max_size=40))
def test_every_noted_instant_has_an_airing(said: list[int]) -> None:
    """A known one within its bounds, else one that covers it."""
    known = [Airing(1, 24 * HOUR_US, 25 * HOUR_US)]
    airings = Airings(known, 2)
    for at_us in said:
        airings.note(at_us)
    airings.settle()
    numbers = {at_us: airings.of(at_us) for at_us in said}
    made = {airing.number: airing for airing in airings.made()}
    for at_us, number in numbers.items():
        airing = known[0] if number == 1 else made[number]
        near_us = NEAR_US if number == 1 else 1
        assert airing.start_us - near_us < at_us < airing.end_us + near_us
