"""chatsync.hls.track: columns that snapshots share, and one run's segments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatsync.hls.track import Column, region_tolerance_us, uri_path
from tests.hls.builders import NOON_US, Media, fed, media_text, parsed


def test_a_column_grows_without_copying_and_views_keep_their_length() -> None:
    """An older view still sees what it saw."""
    old = Column([1, 2])
    new = old.extended([3])
    assert [1, 2] == list(old)
    assert [1, 2, 3] == list(new)
    assert new._items is old._items


def test_a_branch_of_a_column_does_not_disturb_the_other() -> None:
    """Growing an old view a second time copies."""
    old = Column(["a"])
    left, right = old.extended(["b"]), old.extended(["c"])
    assert (["a", "b"], ["a", "c"], ["a"]) == (list(left), list(right), list(old))


@given(st.lists(st.lists(st.integers(), max_size=4), max_size=8), st.integers(-12, 12), st.integers(-12, 12))
def test_a_column_reads_like_a_tuple(pieces: list[list[int]], start: int, stop: int) -> None:
    """Length, index, slice and iteration agree with a tuple of the same items."""
    column: Column[int] = Column()
    for piece in pieces:
        column = column.extended(piece)
    plain = tuple(item for piece in pieces for item in piece)
    assert plain == tuple(column)
    assert plain[start:stop] == column[start:stop]
    assert plain[::-1] == column[::-1]
    assert len(plain) == len(column)
    if -len(plain) <= start < len(plain):
        assert plain[start] == column[start]
    else:
        with pytest.raises(IndexError):
            column[start]


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("a/b.ts?token=1#x", "a/b.ts"),
        ("http://cdn.test/v/b.ts?x", "/v/b.ts"),
        ("https://cdn.test", "/"),
        ("/v/b.ts", "/v/b.ts"),
        ("", ""),
    ],
)
def test_the_path_of_a_uri_leaves_out_what_changes(uri: str, path: str) -> None:
    """Host and query differ between loads of one segment."""
    assert path == uri_path(uri)


def test_rounding_is_two_per_cent_or_a_tenth_of_a_second() -> None:
    """Whichever is more."""
    assert [100_000, 100_000, 200_000] == [region_tolerance_us(one) for one in (0, 5_000_000, 10_000_000)]


def test_segments_are_found_by_number_also_behind_missed_ones() -> None:
    """A run may have holes in its numbers."""
    media = [Media(f"s{n}.ts") for n in range(20)]
    timeline, _ = fed(parsed(media_text(media[:5])), parsed(media_text(media[9:14], first=9)), step_us=18_000_000)
    assert 1 == len(timeline.runs)
    found = [timeline.segment(1, number) for number in range(-1, 15)]
    expected = [*range(5), *range(9, 14)]
    assert expected == [one.media_sequence for one in found if one is not None]


def test_segments_without_length_hide_no_media() -> None:
    """A long segment is found at its start though empty ones have the same date."""
    first = Media("a.ts", duration="6.000", program_us=NOON_US)
    empty = [Media(f"e{number}.ts", duration="0", program_us=NOON_US) for number in range(3)]
    timeline, _ = fed(parsed(media_text([first, *empty])))
    assert [(0, 0)] == [(one.media_sequence, one.into_segment_us) for one in timeline.locate(NOON_US)]


def test_a_long_segment_behind_short_ones_that_overlap_it_is_still_found() -> None:
    """As when its EXTINF was lost and it counts as long as the target duration."""
    media = [
        Media("a.ts", "4.000", program_us=NOON_US),
        Media("b.ts", "0.040", program_us=NOON_US + 2_000_000),
        Media("c.ts", "0.040", program_us=NOON_US + 2_040_000),
        Media("d.ts", "4.000", program_us=NOON_US + 30_000_000),
    ]
    timeline, _ = fed(parsed(media_text(media)))
    (place,) = timeline.locate(NOON_US + 3_000_000)
    assert (0, 3_000_000, "exact") == (place.media_sequence, place.into_segment_us, place.quality)
    assert [2, 0] == [one.media_sequence for one in timeline.locate(NOON_US + 2_050_000)]


def test_the_end_of_a_segment_behind_a_shorter_one_that_overlaps_it_a_little() -> None:
    """An overlap of rounding belongs to the later segment only as far as that has it."""
    media = [Media("a.ts", "2.000", program_us=NOON_US), Media("b.ts", "0.040", program_us=NOON_US + 1_940_000)]
    timeline, _ = fed(parsed(media_text(media)))
    assert [1] == [one.media_sequence for one in timeline.locate(NOON_US + 1_979_999)]
    assert [(0, 1_990_000)] == [
        (one.media_sequence, one.into_segment_us) for one in timeline.locate(NOON_US + 1_990_000)
    ]
