"""Delivery directives: what to ask for, how it is written into a URL and taken out of it."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatsync.hls.low_latency import (
    Directives,
    ServerControl,
    after_edge,
    playlist_path,
    reports_by_path,
    up_to_report,
    with_directives,
    without_directives,
)
from chatsync.hls.playlist import RenditionReport
from chatsync.hls.timeline import LiveEdge
from chatsync.instants import SECOND_US
from tests.hls.builders import parsed

ASKED = Directives(media_sequence=7, part=2, skip="YES")
NAMES = st.sampled_from(["token", "hdnts", "a", "_hls", "HLS_msn"])
QUERIES = st.lists(st.tuples(NAMES, st.text("abc%=~*/", max_size=6)), max_size=4)


def _edge(media_sequence: int, part_count: int) -> LiveEdge:
    return LiveEdge(1, media_sequence, part_count, 0, None)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://o/a.m3u8", "http://o/a.m3u8?_HLS_msn=7&_HLS_part=2&_HLS_skip=YES"),
        ("http://o/a.m3u8?", "http://o/a.m3u8?_HLS_msn=7&_HLS_part=2&_HLS_skip=YES"),
        ("http://o/a.m3u8?t=1%2F&x", "http://o/a.m3u8?t=1%2F&x&_HLS_msn=7&_HLS_part=2&_HLS_skip=YES"),
        ("http://o/a.m3u8?_HLS_msn=3&t=1", "http://o/a.m3u8?t=1&_HLS_msn=7&_HLS_part=2&_HLS_skip=YES"),
        ("http://o/a.m3u8#f", "http://o/a.m3u8?_HLS_msn=7&_HLS_part=2&_HLS_skip=YES#f"),
    ],
)
def test_directives_follow_what_the_query_holds(url: str, expected: str) -> None:
    """Sorted by name after the rest, which stays as it is written: a token may be signed."""
    assert expected == with_directives(url, ASKED)


@given(QUERIES)
def test_directives_go_in_and_out_and_never_pile_up(query: list[tuple[str, str]]) -> None:
    """Whatever the query: written twice they are there once, and without them the URL is as before."""
    url = "http://o/live/v.m3u8" + ("?" + "&".join(f"{name}={value}" for name, value in query) if query else "")
    asked = with_directives(with_directives(url, ASKED), Directives(media_sequence=8))
    assert url == without_directives(asked)
    assert [("_HLS_msn", "8")] == [one for one in parse_qsl(urlsplit(asked).query) if one[0].startswith("_HLS_")]


def test_nothing_asked_leaves_the_address_alone() -> None:
    """No directives, no change; those that stood in it go."""
    assert "http://o/a?x" == with_directives("http://o/a?x", Directives())
    assert "http://o/a?x" == with_directives("http://o/a?x&_HLS_skip=YES", Directives())


@pytest.mark.parametrize("url", ["http://[::1/_HLS_msn=1", "", "\ud800?_HLS_part=1"])
def test_an_address_that_is_none_raises_nothing(url: str) -> None:
    """The fetcher refuses it, not we."""
    with_directives(url, ASKED)
    playlist_path(url)


@pytest.mark.parametrize(
    ("edge", "has_parts", "expected"),
    [
        (_edge(7, 2), True, Directives(media_sequence=7, part=2)),
        (_edge(7, 0), True, Directives(media_sequence=8, part=0)),
        (_edge(7, 0), False, Directives(media_sequence=8)),
    ],
)
def test_what_comes_next_is_asked_for(edge: LiveEdge, has_parts: bool, expected: Directives) -> None:
    """The next part; after a closed segment the first of the next; without parts the next segment."""
    assert expected == after_edge(edge, has_parts=has_parts)
    assert expected.blocks


def test_a_delta_is_asked_for_only_with_a_young_copy() -> None:
    """Younger than half the skip boundary; v2 if date ranges may be skipped as well."""
    control = ServerControl(can_skip_until_us=12 * SECOND_US)
    assert "YES" == control.skip(6 * SECOND_US - 1)
    assert control.skip(6 * SECOND_US) is None
    assert "v2" == ServerControl(can_skip_until_us=12 * SECOND_US, can_skip_date_ranges=True).skip(0)
    assert ServerControl().skip(0) is None


def test_what_an_origin_offers_is_read_from_its_playlist() -> None:
    """Nothing without the tags."""
    head = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n"
    assert ServerControl() == ServerControl.of(parsed(head + "#EXTINF:2,\na\n"))
    tags = "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12\n#EXT-X-PART-INF:PART-TARGET=0.5\n"
    offered = ServerControl(can_block_reload=True, can_skip_until_us=12 * SECOND_US, has_parts=True)
    assert offered == ServerControl.of(parsed(head + tags + "#EXTINF:2,\na\n"))


def test_a_report_says_what_to_ask_another_variant_for() -> None:
    """What it leaves out is as in the playlist that made it (bis §4.4.5.4); with neither there is nothing to ask."""
    edge = _edge(9, 3)
    assert Directives(media_sequence=4, part=1) == up_to_report(RenditionReport("v", 4, 1), edge)
    assert Directives(media_sequence=9, part=2) == up_to_report(RenditionReport("v", None, None), edge)
    assert Directives(media_sequence=9) == up_to_report(RenditionReport("v", None, None), _edge(9, 0))
    assert up_to_report(RenditionReport("v", None, None), None) is None


def test_reports_are_found_by_path() -> None:
    """Relative to the playlist that made them; hosts and tokens do not count."""
    reports = reports_by_path([RenditionReport("../b/v.m3u8?t=2", 4, 1)], "http://cdn1/live/a/v.m3u8?t=1")
    assert 4 == reports[playlist_path("https://cdn2/live/b/v.m3u8")].last_media_sequence
