"""chatsync.hls.playlist: every tag that bears on time, and every kind of damage."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatsync.errors import PlaylistSyntaxError
from chatsync.hls.playlist import (
    MediaPlaylist,
    MultivariantPlaylist,
    PlaylistSegment,
    PreloadHint,
    RenditionReport,
    parse_playlist,
    parse_tail,
    us_from_ns,
)
from chatsync.instants import Range, us_from_iso
from tests.corpus import expected_names, listed_names, playlist_text, skip_without_corpus
from tests.hls.builders import NOON_US, URL, Media, live_text, media_text, parsed, stream

HEAD = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n"
PDT = "#EXT-X-PROGRAM-DATE-TIME:"


def described(segment: PlaylistSegment, announced: int) -> dict[str, Any]:
    """A segment in the words of the corpus."""
    facts: dict[str, Any] = {
        "msn": segment.media_sequence,
        "uri": segment.uri,
        "duration_us": segment.duration_us,
        "discontinuity": segment.discontinuity,
        "discontinuity_index": segment.discontinuity_index,
        "discontinuity_sequence": announced + segment.discontinuity_index,
        "gap": segment.gap,
        "pdt_us": segment.program_us,
        "pdt_source": segment.program_source,
        "extrapolated_across_discontinuity": segment.across_discontinuity,
    }
    if segment.parts:
        facts["parts"] = [
            {"uri": part.uri, "offset_us": part.offset_us, "pdt_us": part.program_us, "gap": part.gap}
            for part in segment.parts
        ]
    return facts


def expected_facts(segment: dict[str, Any]) -> dict[str, Any]:
    """The same facts of an expected segment."""
    dropped = {"duration", "pdt"}
    facts = {name: value for name, value in segment.items() if name not in dropped}
    if "parts" in facts:
        facts["parts"] = [
            {name: part[name] for name in ("uri", "offset_us", "pdt_us", "gap")} for part in facts["parts"]
        ]
    return facts


@pytest.mark.parametrize("name", expected_names() or ["(no corpus)"])
def test_corpus_values_are_met_to_the_microsecond(name: str) -> None:
    """Every dated playlist of the corpus gives exactly the expected segments, parts, header and date ranges."""
    expected = json.loads((skip_without_corpus() / f"{name}.expected.json").read_text())
    playlist = parsed(playlist_text(name))
    announced = playlist.discontinuity_sequence or 0
    trailing = playlist.open_segment
    assert [expected_facts(one) for one in expected["segments"]] == [
        described(one, announced) for one in playlist.segments
    ]
    assert (expected["trailing_partial"] and expected_facts(expected["trailing_partial"])) == (
        None if trailing is None else described(trailing, announced)
    )
    header = expected["header"]
    assert header["media_sequence"] == playlist.media_sequence
    assert header["discontinuity_sequence"] == playlist.discontinuity_sequence
    assert header["playlist_type"] == playlist.playlist_type
    assert header["endlist"] == playlist.endlist
    assert header["skipped_segments"] == playlist.skipped_segments
    assert header["target_duration"] == seconds(playlist.target_duration_us)
    assert header["part_target"] == seconds(playlist.part_target_us)
    assert expected["total_duration_us"] == sum(one.duration_us for one in playlist.segments)
    assert [one.get("id") for one in expected["dateranges"]] == [one.id for one in playlist.date_ranges]
    hints = [(one["TYPE"], one["URI"]) for one in expected["preload_hints"]]
    assert hints == [(one.type, one.uri) for one in playlist.preload_hints]
    starts = [None if one.get("start") is None else us_from_iso(one["start"]) for one in expected["dateranges"]]
    assert starts == [
        None if one.start_us is None else (one.start_us + 500) // 1000 * 1000 for one in playlist.date_ranges
    ]


def seconds(duration_us: int | None) -> float | None:
    """A header value as the corpus writes it."""
    return None if duration_us is None else duration_us / 1_000_000


@pytest.mark.parametrize("name", listed_names("mv") or ["(no corpus)"])
def test_corpus_multivariant_playlists_are_recognised(name: str) -> None:
    """A list of variants is never taken for a list of segments."""
    assert isinstance(parse_playlist(playlist_text(name)), MultivariantPlaylist)


@pytest.mark.parametrize("name", listed_names("malformed") or ["(no corpus)"])
def test_corpus_damage_raises_nothing_but_a_syntax_error(name: str) -> None:
    """A malformed playlist is read with warnings, or refused as no playlist."""
    text = playlist_text(name)
    if text.startswith("#EXTM3U"):
        assert parse_playlist(text).warnings
    else:
        with pytest.raises(PlaylistSyntaxError):
            parse_playlist(text)


@pytest.mark.parametrize("name", listed_names("nopdt") or ["(no corpus)"])
def test_corpus_undated_playlists_stay_undated(name: str) -> None:
    """Nothing invents a program time."""
    playlist = parsed(playlist_text(name))
    assert not playlist.has_dates
    assert {None} >= {segment.program_us for segment in playlist.segments}


# --- dates ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "iso"),
    [
        ("2026-03-02T12:00:00Z", "2026-03-02T12:00:00Z"),
        ("2026-03-02T12:00:00.250Z", "2026-03-02T12:00:00.250Z"),
        ("2026-03-02T14:00:00.250+0200", "2026-03-02T12:00:00.250Z"),
        ("2026-03-02T17:30:00.5+05:30", "2026-03-02T12:00:00.500Z"),
        ("2026-03-02T12:00:00.250z", "2026-03-02T12:00:00.250Z"),
        (" 2026-03-02T12:00:00.250Z ", "2026-03-02T12:00:00.250Z"),
        ('"2026-03-02T12:00:00Z"', "2026-03-02T12:00:00Z"),
        ("2026-03-02 12:00:00 UTC", "2026-03-02T12:00:00Z"),
        ("2026-03-02T12:00:00.5 +0000", "2026-03-02T12:00:00.500Z"),
        ("20260302T120000.125Z", "2026-03-02T12:00:00.125Z"),
        ("2026-03-02T11:59:60Z", "2026-03-02T12:00:00Z"),
        ("2026-03-01T24:00:00Z", "2026-03-02T00:00:00Z"),
        ("2026-03-02T12:00:00", "2026-03-02T12:00:00Z"),
    ],
)
def test_a_date_is_read_however_it_is_written(written: str, iso: str) -> None:
    """Every way of writing a date that origins use gives the same instant."""
    playlist = parsed(f"{HEAD}{PDT}{written}\n#EXTINF:4,\na.ts\n")
    assert us_from_iso(iso) == playlist.segments[0].program_us


def test_a_date_without_zone_takes_the_configured_one() -> None:
    """RFC 8216 leaves the zone open: UTC unless told otherwise, with a warning either way."""
    playlist = parse_playlist(
        f"{HEAD}{PDT}2026-03-02T14:00:00\n#EXTINF:4,\na.ts\n", default_zone=timezone(timedelta(hours=2))
    )
    assert isinstance(playlist, MediaPlaylist)
    assert us_from_iso("2026-03-02T12:00:00Z") == playlist.segments[0].program_us
    assert ["date without zone"] == [one.reason for one in playlist.warnings]


@pytest.mark.parametrize("written", ["", "undated", "2026-13-02T12:00:00Z", "56834-01-01T00:00:00Z", "NaN", "12"])
def test_a_damaged_date_costs_the_date_only(written: str) -> None:
    """The segment stays, dated by its neighbour."""
    playlist = parsed(f"{HEAD}{PDT}2026-03-02T12:00:00Z\n#EXTINF:4,\na.ts\n{PDT}{written}\n#EXTINF:4,\nb.ts\n")
    assert ["explicit", "forward"] == [one.program_source for one in playlist.segments]
    assert len(playlist.warnings) == 1


def test_segments_before_the_first_date_are_dated_backward() -> None:
    """Only they are; everything after a date goes forward, also across a discontinuity, which is marked."""
    text = f"{HEAD}#EXTINF:3,\na\n{PDT}2026-03-02T12:00:00Z\n#EXTINF:4,\nb\n#EXT-X-DISCONTINUITY\n#EXTINF:5,\nc\n"
    playlist = parsed(text)
    noon_us = us_from_iso("2026-03-02T12:00:00Z")
    assert [noon_us - 3_000_000, noon_us, noon_us + 4_000_000] == [one.program_us for one in playlist.segments]
    assert ["backward", "explicit", "forward"] == [one.program_source for one in playlist.segments]
    assert [False, False, True] == [one.across_discontinuity for one in playlist.segments]


def test_sums_do_not_drift() -> None:
    """An hour of segments of 4.0041666 s with one date ends within half a microsecond of the exact sum."""
    count = 900
    text = HEAD + f"{PDT}2026-03-02T12:00:00Z\n" + "".join(f"#EXTINF:4.0041666,\ns{n}.ts\n" for n in range(count))
    last = parsed(text).segments[-1]
    assert last.program_ns == us_from_iso("2026-03-02T12:00:00Z") * 1000 + (count - 1) * 4_004_166_600


def test_implausible_dates_are_as_if_not_written() -> None:
    """A refused date dates nothing; the next good one takes over, backward too."""
    media = [Media("a.ts", program_us=0), Media("b.ts"), Media("c.ts", program_us=NOON_US)]
    playlist = parsed(media_text(media)).with_dates_within(Range(us_from_iso("1990-01-01T00:00:00Z"), 2**62))
    assert [NOON_US - 4_000_000, NOON_US - 2_000_000, NOON_US] == [one.program_us for one in playlist.segments]
    assert ["backward", "backward", "explicit"] == [one.program_source for one in playlist.segments]
    assert "not plausible" in playlist.warnings[0].reason


def test_only_implausible_dates_leave_a_playlist_undated() -> None:
    """An epoch-0 playlist has no program time at all."""
    playlist = parsed(media_text([Media("a.ts", program_us=0), Media("b.ts")]))
    assert not playlist.with_dates_within(Range(us_from_iso("1990-01-01T00:00:00Z"), 2**62)).has_dates


def test_plausible_dates_leave_the_playlist_alone() -> None:
    """The common case costs no copy."""
    playlist = parsed(media_text(stream(3)))
    assert playlist is playlist.with_dates_within(Range(0, 2**62))


# --- parts, deltas, variables ----------------------------------------------------------------------------------------------


def test_parts_are_dated_from_their_segment_and_the_open_one_is_told_apart() -> None:
    """Parts start at their segment's date plus the parts before them; those without EXTINF are the open segment."""
    text = (
        f"{HEAD}#EXT-X-PART-INF:PART-TARGET=1.0\n{PDT}2026-03-02T12:00:00Z\n"
        '#EXT-X-PART:DURATION=1.5,URI="p0"\n#EXT-X-PART:DURATION=2.5,URI="p1"\n#EXTINF:4,\na.ts\n'
        '#EXT-X-DISCONTINUITY\n#EXT-X-PART:DURATION=1.0,URI="p2",GAP=YES\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI="p3"\n'
    )
    playlist = parsed(text)
    noon_us = us_from_iso("2026-03-02T12:00:00Z")
    assert [noon_us, noon_us + 1_500_000] == [part.program_us for part in playlist.segments[0].parts]
    trailing = playlist.open_segment
    assert trailing is not None
    assert (1, 1_000_000, True, noon_us + 4_000_000) == (
        trailing.media_sequence,
        trailing.duration_us,
        trailing.discontinuity,
        trailing.program_us,
    )
    assert [True] == [part.gap for part in trailing.parts]
    assert 1_000_000 == playlist.part_target_us


def test_a_delta_update_numbers_what_it_shows() -> None:
    """The first segment shown comes after the skipped ones."""
    playlist = parsed(f"{HEAD}#EXT-X-MEDIA-SEQUENCE:100\n#EXT-X-SKIP:SKIPPED-SEGMENTS=20\n#EXTINF:4,\na.ts\n")
    assert (100, 120, 120) == (
        playlist.media_sequence,
        playlist.first_media_sequence,
        playlist.segments[0].media_sequence,
    )


def test_variables_are_filled_in() -> None:
    """NAME, IMPORT and QUERYPARAM; an unknown variable stays as written."""
    text = (
        '#EXTM3U\n#EXT-X-DEFINE:NAME="host",VALUE="cdn"\n#EXT-X-DEFINE:IMPORT="room"\n#EXT-X-DEFINE:QUERYPARAM="t"\n'
        "#EXTINF:4,\n{$host}/{$room}/a.ts?t={$t}&x={$nobody}\n"
    )
    playlist = parse_playlist(text, url="http://o.test/p.m3u8?t=abc", imports={"room": "r1"})
    assert isinstance(playlist, MediaPlaylist)
    assert "cdn/r1/a.ts?t=abc&x={$nobody}" == playlist.segments[0].uri


def test_byte_ranges_go_on_from_the_range_before() -> None:
    """A range without start follows the one before it in the same resource."""
    text = HEAD + "".join(f"#EXT-X-BYTERANGE:{one}\n#EXTINF:4,\na.ts\n" for one in ("100@50", "30", "20@0"))
    assert ["100@50", "30@150", "20@0"] == [one.byte_range for one in parsed(text).segments]


def test_server_control_is_read() -> None:
    """Hold-backs, blocking reload and the skip boundary; what is absent stays None."""
    text = f"{HEAD}#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=24.0,PART-HOLD-BACK=1.5,FOO\n#EXTINF:4,\na.ts\n"
    playlist = parsed(text)
    assert (True, 24_000_000, 1_500_000, None) == (
        playlist.can_block_reload,
        playlist.can_skip_until_us,
        playlist.part_hold_back_us,
        playlist.hold_back_us,
    )


# --- damage --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "<html>502 Bad Gateway</html>", "# note\n#EXTM3U\n", "\x00\x01", "#EXT"])
def test_what_does_not_begin_with_the_header_is_no_playlist(text: str) -> None:
    """An error page with status 200 is told from a playlist."""
    with pytest.raises(PlaylistSyntaxError):
        parse_playlist(text)


def test_a_byte_order_mark_and_any_line_ends_are_taken() -> None:
    """CRLF, CR alone, trailing blanks and a byte order mark change nothing."""
    text = media_text(stream(3))
    expected = parsed(text)
    assert expected == parsed("\ufeff" + text)
    assert expected == parsed(text.replace("\n", "\r\n"))
    assert expected == parsed(text.replace("\n", " \r"))


def test_stray_separators_do_not_break_lines() -> None:
    """U+2028 in a title is part of the title."""
    playlist = parsed(HEAD + "#EXTINF:4,one\u2028two\x85three\na.ts\n")
    assert ["a.ts"] == [one.uri for one in playlist.segments]


@pytest.mark.parametrize("number", ["", "-1", "5.5", "nan", "inf", "1e999999999", "9" * 5000, "0x10"])
def test_an_unreadable_sequence_number_is_said_so(number: str) -> None:
    """The list is numbered from 0, and whoever knows better can tell."""
    playlist = parsed(f"{HEAD}#EXT-X-MEDIA-SEQUENCE:{number}\n#EXTINF:4,\na.ts\n")
    assert (0, False) == (playlist.media_sequence, playlist.numbering_sure)


@pytest.mark.parametrize("line", ["a" * 8000, " " * 8000, "A=" * 4000, '"' * 8000, "A=B," * 2000, "-,=" * 2500])
def test_a_hostile_attribute_list_costs_no_more_than_its_length(line: str) -> None:
    """Hundreds of such lines are read while a quadratic reading would take minutes (the test would time out)."""
    parsed(HEAD + f"#EXT-X-DATERANGE:{line}\n" * 200)


@pytest.mark.parametrize("duration", ["", "nan", "inf", "-1", '-1 tvg-id="x"', "four", "1e300", "9" * 5000, "86401"])
def test_an_unreadable_duration_keeps_the_segment(duration: str) -> None:
    """It is taken as the target duration, said to be estimated, and shifts no number."""
    playlist = parsed(f"{HEAD}#EXTINF:{duration},\na.ts\n#EXTINF:3,\nb.ts\n")
    assert [(0, 4_000_000, True), (1, 3_000_000, False)] == [
        (one.media_sequence, one.duration_us, one.duration_estimated) for one in playlist.segments
    ]


def test_a_uri_without_duration_holds_its_number() -> None:
    """A lost EXTINF line loses no segment, but the numbering is said to be unsure."""
    playlist = parsed(f"{HEAD}#EXTINF:3,\na.ts\nb.ts\n#EXTINF:3,\nc.ts\n")
    assert ["a.ts", "b.ts", "c.ts"] == [one.uri for one in playlist.segments]
    assert not playlist.numbering_sure


def test_the_rest_of_a_tag_is_no_segment() -> None:
    """Markup before a tag, or its ``#`` lost, does not make a segment of it."""
    playlist = parsed(f"{HEAD}<em>{PDT}2026-03-02T12:00:00Z\nEXT-X-GAP\n#EXTINF:3,\na.ts\n")
    assert ["a.ts"] == [one.uri for one in playlist.segments]


def test_limits_hold() -> None:
    """Too many segments are refused, too long a line is cut and keeps its place."""
    with pytest.raises(PlaylistSyntaxError):
        parse_playlist(media_text(stream(11)), segments_max=10)
    with pytest.raises(PlaylistSyntaxError):
        parse_playlist(HEAD + "a.ts\n" * 11, segments_max=10)
    playlist = parsed(f"{HEAD}#EXTINF:4,\n{'x' * 20_000}\n#EXTINF:4,\nb.ts\n")
    assert [8192, 4] == [len(one.uri or "") for one in playlist.segments]


LINES = media_text(
    [
        Media(f"seg{n}.ts", duration="2.002", program_us=NOON_US + n * 2_002_000, discontinuity=n == 5, gap=n == 7)
        for n in range(10)
    ]
).splitlines()


@given(
    line=st.integers(1, len(LINES) - 1),
    damage=st.one_of(st.text(max_size=40), st.sampled_from(["", "#", "#EXTINF:", "#EXTINF", PDT, "#EXT-X-KEY:METHOD"])),
)
@settings(max_examples=300, deadline=None)
def test_one_damaged_line_changes_at_most_its_own_segment(line: int, damage: str) -> None:
    """Whatever one comment-like line turns into, all other segments keep URI and duration, in order."""
    whole = parsed("\n".join(LINES))
    damaged_lines = [*LINES]
    damaged_lines[line] = "#" + damage.replace("\n", " ").replace("\r", " ")
    playlist = parse_playlist("\n".join(damaged_lines))
    if isinstance(playlist, MultivariantPlaylist):
        return  # one STREAM-INF line among segments would have to be typed by hand
    kept = {(one.uri, one.duration_us) for one in playlist.segments}
    lost = [one for one in whole.segments if (one.uri, one.duration_us) not in kept]
    assert len(lost) <= 1


@given(text=st.text(max_size=400))
@settings(max_examples=300, deadline=None)
def test_nothing_but_a_syntax_error_is_ever_raised(text: str) -> None:
    """Any text after the header is read or refused."""
    with suppress(PlaylistSyntaxError):
        parse_playlist("#EXTM3U\n" + text)


TAG_NAMES = [
    "EXTINF",
    "EXT-X-PROGRAM-DATE-TIME",
    "EXT-X-MEDIA-SEQUENCE",
    "EXT-X-TARGETDURATION",
    "EXT-X-SKIP",
    "EXT-X-PART",
]
TAG_NAMES += [
    "EXT-X-DATERANGE",
    "EXT-X-DEFINE",
    "EXT-X-SERVER-CONTROL",
    "EXT-X-BYTERANGE",
    "EXT-X-STREAM-INF",
    "EXT-X-MEDIA",
]
TAG_NAMES += [
    "EXT-X-I-FRAME-STREAM-INF",
    "EXT-X-DISCONTINUITY",
    "EXT-X-PLAYLIST-TYPE",
    "EXT-X-ENDLIST",
    "EXT-X-KEY",
    "EXT-X-MAP",
]


@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from(TAG_NAMES), st.text(max_size=30)).map(lambda p: f"#{p[0]}:{p[1]}"),
            st.text(max_size=9),
        ),
        max_size=12,
    )
)
@settings(max_examples=400, deadline=None)
def test_tags_with_any_value_are_read_or_refused(lines: list[str]) -> None:
    """No value of a known tag gets past the reading as another exception."""
    with suppress(PlaylistSyntaxError):
        parse_playlist("#EXTM3U\n" + "\n".join(lines))


# --- variants --------------------------------------------------------------------------------------------------------------


def test_the_cheapest_video_variant_is_followed() -> None:
    """Not audio only, not I-frames, not one without bandwidth; a bad attribute loses nothing."""
    text = (
        '#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=64000,CODECS="mp4a.40.2"\naudio.m3u8\n'
        "#EXT-X-STREAM-INF:BANDWIDTH=900000,RESOLUTION=1280X720,FRAME-RATE=fast\nmid.m3u8\n"
        "#EXT-X-STREAM-INF:BANDWIDTH=300000,RESOLUTION=640x360\nlow.m3u8\n"
        '#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=9000,URI="i.m3u8"\n#EXT-X-STREAM-INF:RESOLUTION=1x1\nnone.m3u8\n'
    )
    playlist = parse_playlist(text)
    assert isinstance(playlist, MultivariantPlaylist)
    followed = playlist.followed_variant()
    assert followed is not None
    assert "low.m3u8" == followed.uri
    assert 5 == len(playlist.variants)


def test_an_audio_stream_is_followed_when_there_is_no_video() -> None:
    """Radio has chat, too."""
    playlist = parse_playlist('#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=64000,CODECS="mp4a.40.2,opus"\naudio.m3u8\n')
    assert isinstance(playlist, MultivariantPlaylist)
    followed = playlist.followed_variant()
    assert followed is not None
    assert "audio.m3u8" == followed.uri


def test_rounding_is_half_up() -> None:
    """Also below zero."""
    assert [0, 1, 1, 0, -1] == [us_from_ns(one) for one in (499, 500, 1499, -500, -501)]


def test_preload_hints_and_rendition_reports_are_told_and_on_no_timeline() -> None:
    """Both kinds of hint are kept, with their bytes; a report may leave out what is as here; damaged ones cost a warning."""
    playlist = parsed(
        HEAD
        + "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=24,CAN-SKIP-DATERANGES=YES\n"
        + '#EXT-X-SKIP:SKIPPED-SEGMENTS=3,RECENTLY-REMOVED-DATERANGES="a b\tc"\n#EXTINF:4,\ns3\n'
        + '#EXT-X-PRELOAD-HINT:TYPE=MAP,URI="init"\n'
        + '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="p",BYTERANGE-START=7,BYTERANGE-LENGTH=9\n#EXT-X-PRELOAD-HINT:TYPE=PART\n'
        + '#EXT-X-RENDITION-REPORT:URI="v",LAST-MSN=3,LAST-PART=1\n#EXT-X-RENDITION-REPORT:URI="w"\n'
        + "#EXT-X-RENDITION-REPORT:LAST-MSN=3\n"
    )
    assert (PreloadHint("MAP", "init"), PreloadHint("PART", "p", 7, 9)) == playlist.preload_hints
    assert (RenditionReport("v", 3, 1), RenditionReport("w", None, None)) == playlist.rendition_reports
    assert (True, ("a b", "c")) == (playlist.can_skip_date_ranges, playlist.removed_date_ranges)
    assert (1, None, 2) == (len(playlist.segments), playlist.open_segment, len(playlist.warnings))


@pytest.mark.parametrize(
    "written",
    [
        lambda text: text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace(".ts", ".ts?token=other"),
        lambda text: text.replace("seg", "https://edge.test/s/other/seg"),
    ],
    ids=["plain", "crlf", "query", "path"],
)
def test_the_end_of_a_list_is_found_whatever_its_tokens_and_line_ends(written: Callable[[str], str]) -> None:
    """Only what follows a known segment is read, though its address was another at the last load."""
    text = written(live_text(stream(50), 0, 50))
    tail = parse_tail(text, url=URL, anchor_uri="seg29.ts?token=first", anchor_media_sequence=29)
    assert tail is not None
    assert (True, 30, 20) == (tail.abridged, tail.skipped_segments, len(tail.segments))
    whole = parsed(text)
    assert [one.program_us for one in whole.segments[30:]] == [one.program_us for one in tail.segments]
    assert parse_tail(text, url=URL, anchor_uri="seg29.ts", anchor_media_sequence=28) is None
    assert parse_tail(text, url=URL, anchor_uri="unknown.ts", anchor_media_sequence=29) is None
