"""What goes wrong with real playlists, and what is done then: every row of the failure table (docs/sync.md).

Each test follows what an origin answers, word for word, through the follower, and looks at the timeline afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import pytest

from chatsync.hls.follower import Follower
from chatsync.hls.playlist import MediaPlaylist, MultivariantPlaylist, parse_playlist
from chatsync.hls.timeline import PLAUSIBLE_DATES, Reload, Segment, Timeline
from chatsync.instants import HOUR_US, SECOND_US, Range, iso_from_us
from tests.hls.builders import NOON_US, URL, Media, all_segments, live_text, media_text, parsed, stream

S = SECOND_US


def follow(
    *answers: str | tuple[str, str], step_s: float = 2, begin_us: int = NOON_US + 60 * S
) -> tuple[Timeline, list[Reload]]:
    """Follow answers, one every ``step_s``; an answer is a text, or (text, final URL)."""
    follower = Follower(URL, now_us=begin_us)
    reloads = []
    for number, answer in enumerate(answers):
        text, url = answer if isinstance(answer, tuple) else (answer, URL)
        now_us = begin_us + round(number * step_s * S)
        reloads.append(follower.receive_playlist(text, url=url, age_us=0, now_us=now_us))
    return follower.timeline, reloads


def kinds(reloads: Sequence[Reload]) -> list[str]:
    """What the answers were."""
    return [reload.kind for reload in reloads]


def starts_s(segments: Sequence[Segment]) -> list[float | None]:
    """Program times of segments in seconds after noon."""
    return [None if one.program_us is None else (one.program_us - NOON_US) / S for one in segments]


def jumped(media: Sequence[Media], at: int, by_s: float, *, discontinuity: bool = False) -> list[Media]:
    """The stream with all dates from a segment on moved."""
    return [
        one
        if index < at
        else replace(
            one, program_us=(one.program_us or 0) + round(by_s * S), discontinuity=discontinuity and index == at
        )
        for index, one in enumerate(media)
    ]


# --- program time against EXTINF ---------------------------------------------------------------------------------------


def test_program_time_drifts_against_extinf() -> None:
    """Each segment is anchored at its own date; inside it time runs at 1x; the drift never adds up."""
    media = [replace(one, program_us=NOON_US + n * 2_004_000) for n, one in enumerate(stream(600))]
    timeline, _ = follow(live_text(media, 0, 300), live_text(media, 200, 600))
    assert [NOON_US + n * 2_004_000 for n in range(600)] == [one.program_us for one in timeline.segments(1)]
    assert () == timeline.gaps()
    (place,) = timeline.locate(NOON_US + 500 * 2_004_000 + 1_000_000)
    assert (500, 1_000_000) == (place.media_sequence, place.into_segment_us)
    regions = timeline.regions
    assert all(abs(later.offset_us - one.offset_us) < S for one, later in pairwise(regions))


@pytest.mark.parametrize("discontinuity", [True, False])
def test_a_jump_forward_opens_a_region_and_leaves_a_gap(discontinuity: bool) -> None:
    """An instant in the hole is clamped to the segment that follows, and says so."""
    media = jumped(stream(10), 5, 30, discontinuity=discontinuity)
    timeline, _ = follow(live_text(media, 0, 5), live_text(media, 0, 10))
    assert (Range(NOON_US + 10 * S, NOON_US + 40 * S),) == timeline.gaps()
    assert [0, 5] == [region.media_sequence for region in timeline.regions]
    (place,) = timeline.locate(NOON_US + 20 * S)
    assert (5, 0, "gap") == (place.media_sequence, place.into_segment_us, place.quality)
    assert 1 == len(timeline.runs)


@pytest.mark.parametrize("discontinuity", [True, False])
def test_a_jump_back_makes_an_instant_lie_in_two_places(discontinuity: bool) -> None:
    """The newest is first, a hint decides otherwise, and segments are never sorted anew."""
    media = jumped(stream(10), 5, -6, discontinuity=discontinuity)
    timeline, _ = follow(live_text(media, 0, 10))
    assert list(range(10)) == [one.media_sequence for one in timeline.segments(1)]
    instant_us = NOON_US + 5 * S
    assert [5, 2] == [place.media_sequence for place in timeline.locate(instant_us)]
    assert [2, 5] == [place.media_sequence for place in timeline.locate(instant_us, media_sequence=1)]
    assert {instant_us} == {
        timeline.program_us_at(one.run, one.media_sequence, one.into_segment_us) for one in timeline.locate(instant_us)
    }


def test_the_date_of_a_known_segment_changes() -> None:
    """The first date stays, since chat stands by it, and a warning says what changed."""
    media = stream(8)
    later = [replace(one, program_us=(one.program_us or 0) + 300_000) if n >= 3 else one for n, one in enumerate(media)]
    timeline, reloads = follow(live_text(media, 0, 6), live_text(later, 0, 7), live_text(later, 0, 8))
    assert [0, 2, 4, 6, 8, 10] == starts_s(timeline.segments(1))[:6]
    assert any("changed" in warning.reason for warning in reloads[1].warnings)
    assert ["first", "advance", "advance"] == kinds(reloads)


def test_a_date_that_was_refused_is_corrected_later() -> None:
    """The one case in which a date is replaced: it was implausible, and two answers give the same good one. Others hold on to theirs."""
    media = [
        replace(one, program_us=None if n == 4 else (one.program_us or 0) + 400_000 * (n >= 3))
        for n, one in enumerate(stream(8))
    ]
    bad = live_text([*media[:3], replace(media[3], program_us=0), *media[4:]], 0, 5)
    timeline, reloads = follow(bad, live_text(media, 0, 6))
    assert [0, 2, 4, 6, 8] == starts_s(timeline.segments(1))[:5]
    timeline, reloads = follow(bad, live_text(media, 0, 6), live_text(media, 0, 7), live_text(media, 0, 8))
    assert [0, 2, 4, 6.4, 8.4, 10.4, 12.4, 14.4] == starts_s(timeline.segments(1))
    assert ["explicit", "forward"] == [one.program_source for one in timeline.segments(1)[3:5]]
    assert [[], [3, 4], []] == [[one.media_sequence for one in reload.revised_segments] for reload in reloads[1:]]


def test_a_refused_date_with_another_date_in_each_answer() -> None:
    """None of them holds, so none is taken."""
    media = stream(8)
    answers = [
        live_text([*media[:3], replace(media[3], program_us=at_us), *media[4:]], 0, 5 + n)
        for n, at_us in enumerate([0, NOON_US + 6_100_000, NOON_US + 6_200_000, 0])
    ]
    timeline, _ = follow(*answers)
    assert [0, 2, 4, 6, 8, 10, 12, 14] == starts_s(timeline.segments(1))


def test_the_encoders_clock_is_wrong() -> None:
    """By hours even: its dates are the program clock and are never corrected; the sample says by how much it is off."""
    media = stream(6, start_us=NOON_US - 3 * HOUR_US)
    follower = Follower(URL, now_us=NOON_US + 12 * S)
    follower.receive_playlist(live_text(media, 0, 6), url=URL, age_us=0, now_us=NOON_US + 12 * S)
    assert [NOON_US - 3 * HOUR_US + n * 2 * S for n in range(6)] == [
        one.program_us for one in follower.timeline.segments(1)
    ]
    sample = follower.last_sample
    assert sample is not None
    assert 3 * HOUR_US == sample.wall_us - (sample.edge_program_us or 0)


# --- no program time ------------------------------------------------------------------------------------------------------


def test_program_time_missing_everywhere() -> None:
    """Segments and positions are known, program time is not; an axis can be put in its place, and then holds."""
    media = stream(10, start_us=None)
    timeline, _ = follow(live_text(media, 0, 6), live_text(media, 1, 7))
    assert ([None] * 7, False) == (starts_s(timeline.segments(1)), timeline.is_dated)
    assert [n * 2 * S for n in range(7)] == [one.position_us for one in timeline.segments(1)]
    timeline = timeline.with_synthetic_axis(NOON_US + 14 * S)
    assert [n * 2.0 for n in range(7)] == starts_s(timeline.segments(1))
    assert {"synthetic"} == {one.program_source for one in timeline.segments(1)}


def test_program_time_missing_at_first() -> None:
    """The first date dates everything before it in its run, backward."""
    media = [replace(one, program_us=None) if n < 5 else one for n, one in enumerate(stream(8))]
    timeline, _ = follow(live_text(media, 0, 4), live_text(media, 1, 8))
    assert [n * 2.0 for n in range(8)] == starts_s(timeline.segments(1))
    assert ["backward"] * 5 + ["explicit"] * 3 == [one.program_source for one in timeline.segments(1)]


def test_program_time_on_some_segments() -> None:
    """The others go on from the date before them, also over a reload in which no date is left; a discontinuity makes it a guess."""
    media = [replace(one, program_us=one.program_us if n == 0 else None) for n, one in enumerate(stream(12))]
    media[8] = replace(media[8], discontinuity=True)
    timeline, _ = follow(live_text(media, 0, 6), live_text(media, 4, 10), live_text(media, 8, 12))
    assert [n * 2.0 for n in range(12)] == starts_s(timeline.segments(1))
    assert [n >= 8 for n in range(12)] == [one.estimated for one in timeline.segments(1)]


@pytest.mark.parametrize("written", ["1970-01-01T00:00:00Z", "56834-01-01T00:00:00Z", "2999-01-01T00:00:00Z"])
def test_dates_of_1970_and_of_the_far_future(written: str) -> None:
    """They are as if they were not written, with a warning; the next good date dates the segment."""
    text = live_text(stream(5), 0, 5).replace(iso_from_us(NOON_US + 4 * S), written)
    timeline, reloads = follow(text)
    assert [0, 2, 4, 6, 8] == starts_s(timeline.segments(1))
    assert "forward" == timeline.segments(1)[2].program_source
    assert reloads[0].warnings
    assert not PLAUSIBLE_DATES.covers(0)


def test_a_date_without_a_zone() -> None:
    """It is UTC, with a warning that names the line."""
    text = live_text(stream(2), 0, 2).replace(iso_from_us(NOON_US), "2026-03-02T12:00:00.000")
    timeline, reloads = follow(text)
    assert [0, 2] == starts_s(timeline.segments(1))
    assert [(5, "date without zone")] == [(one.line_number, one.reason) for one in reloads[0].warnings]


# --- numbering ---------------------------------------------------------------------------------------------------------------


def test_media_sequence_reset_with_other_uris() -> None:
    """An encoder that starts anew: another run, nothing is merged, nothing old moves."""
    before, after = stream(10), stream(4, start_us=NOON_US + 60 * S, name="again")
    timeline, reloads = follow(live_text(before, 2, 10), live_text(after, 0, 4))
    assert ["first", "restart"] == kinds(reloads)
    assert [8, 4] == [len(timeline.segments(run.run)) for run in timeline.runs]
    assert [4.0, 60.0] == [starts_s(timeline.segments(run))[0] for run in (1, 2)]


def test_media_sequence_reset_with_the_same_uris() -> None:
    """Ffmpeg started again writes the same names from 0: its dates tell."""
    before, after = stream(10), stream(4, start_us=NOON_US + 60 * S)
    timeline, reloads = follow(live_text(before, 0, 10), live_text(after, 0, 4))
    assert ["first", "restart"] == kinds(reloads)
    assert [0.0, 60.0] == [starts_s(timeline.segments(run))[0] for run in (1, 2)]


def test_an_undated_restart_under_the_same_names() -> None:
    """Only time tells it from an older copy: it is one once no cache can be so far behind, window and three target durations."""
    media = stream(40, start_us=None)
    windows = [live_text(media, number, number + 5) for number in range(30)]
    timeline, reloads = follow(*windows, live_text(media, 27, 32))
    assert ("stale", 1) == (reloads[-1].kind, len(timeline.runs))
    timeline, reloads = follow(*windows, live_text(media, 0, 2))
    assert ("restart", 2) == (reloads[-1].kind, len(timeline.runs))


def test_an_encoder_that_appends_to_its_list_after_a_restart() -> None:
    """Ffmpeg's append_list: a discontinuity and a fresh clock, same numbering, same run."""
    media = jumped(stream(12), 6, 17.3, discontinuity=True)
    timeline, reloads = follow(live_text(media, 0, 6), live_text(media, 1, 8))
    assert (["first", "advance"], 1) == (kinds(reloads), len(timeline.runs))
    assert Range(NOON_US + 12 * S, NOON_US + round(29.3 * S)) == reloads[1].program_gap
    assert [0] * 6 + [1] * 2 == [one.discontinuity_sequence for one in timeline.segments(1)]


def test_stale_copies_of_a_cache() -> None:
    """An older list changes nothing, and the next good one goes on."""
    media = stream(12)
    texts = [live_text(media, 0, 6), live_text(media, 2, 8), live_text(media, 1, 7), live_text(media, 4, 10)]
    timeline, reloads = follow(*texts)
    assert ["first", "advance", "stale", "advance"] == kinds(reloads)
    assert list(range(10)) == [one.media_sequence for one in timeline.segments(1)]


def test_a_gap_in_the_sequence() -> None:
    """Numbers that were missed are a hole as long as the dates say, in the same run."""
    media = stream(30)
    timeline, reloads = follow(live_text(media, 0, 6), live_text(media, 10, 16), step_s=20)
    assert (["first", "gap"], 1) == (kinds(reloads), len(timeline.runs))
    assert Range(NOON_US + 12 * S, NOON_US + 20 * S) == reloads[1].program_gap
    assert 20 * S == timeline.segments(1)[6].position_us


def test_a_gap_that_is_listed_after_all() -> None:
    """Segments that were missed and come later are filled in; those around them keep their places."""
    media = stream(30)
    timeline, reloads = follow(live_text(media, 0, 6), live_text(media, 10, 16), live_text(media, 4, 16), step_s=20)
    assert ["first", "gap", "advance"] == kinds(reloads)
    assert [n * 2.0 for n in range(16)] == starts_s(timeline.segments(1))
    assert [n * 2 * S for n in range(16)] == [one.position_us for one in timeline.segments(1)]
    assert [6, 7, 8, 9] == [one.media_sequence for one in reloads[2].new_segments]
    assert () == timeline.gaps()


def test_the_window_shrinks_and_grows_back() -> None:
    """What slid out stays known; what was there before we came is put in front, at negative positions."""
    media = stream(20)
    timeline, reloads = follow(live_text(media, 6, 12), live_text(media, 10, 12), live_text(media, 2, 14))
    assert ["first", "shrink", "advance"] == kinds(reloads)
    assert list(range(2, 14)) == [one.media_sequence for one in timeline.segments(1)]
    assert -8 * S == timeline.segments(1)[0].position_us
    assert [n * 2.0 for n in range(2, 14)] == starts_s(timeline.segments(1))
    window = timeline.window
    assert window is not None
    assert (2, 13) == (window.first_media_sequence, window.last_media_sequence)


# --- types and ends --------------------------------------------------------------------------------------------------------------


def _typed(text: str, kind: str, *, ended: bool = False) -> str:
    return text.replace("#EXT-X-MEDIA-SEQUENCE", f"#EXT-X-PLAYLIST-TYPE:{kind}\n#EXT-X-MEDIA-SEQUENCE") + (
        "#EXT-X-ENDLIST\n" if ended else ""
    )


def test_an_event_list_that_grows_and_becomes_a_vod() -> None:
    """EVENT only appends; the type may change at the end; nothing is counted twice."""
    media = stream(9)
    texts = [_typed(live_text(media, 0, end), "EVENT") for end in (3, 6, 9)]
    timeline, reloads = follow(*texts, _typed(live_text(media, 0, 9), "VOD", ended=True))
    assert ["first", "advance", "advance", "same"] == kinds(reloads)
    assert (9, True) == (len(timeline.segments(1)), timeline.ended)


def test_a_vod_is_read_once() -> None:
    """All of it, and it has ended."""
    timeline, _ = follow(_typed(live_text(stream(5), 0, 5), "VOD", ended=True))
    assert (5, True) == (len(timeline.segments(1)), timeline.ended)


def test_an_event_list_that_is_emptied() -> None:
    """A list without media says nothing of the media that is known; the stream goes on when it comes back."""
    media = stream(9)
    empty = media_text([], first=0)
    timeline, reloads = follow(live_text(media, 0, 5), empty, live_text(media, 0, 7))
    assert ["first", "same", "advance"] == kinds(reloads)
    assert 7 == len(timeline.segments(1))


def test_an_end_that_comes_undone() -> None:
    """After ENDLIST more media with the next number goes on in the run; another numbering is a new one."""
    media = stream(9)
    ended = live_text(media, 0, 5) + "#EXT-X-ENDLIST\n"
    timeline, reloads = follow(ended, live_text(media, 0, 7))
    assert (["first", "advance"], 1, False) == (kinds(reloads), len(timeline.runs), timeline.ended)
    timeline, reloads = follow(ended, live_text(stream(4, start_us=NOON_US + HOUR_US, name="next"), 0, 4))
    assert (["first", "restart"], 2, False) == (kinds(reloads), len(timeline.runs), timeline.ended)


# --- segments --------------------------------------------------------------------------------------------------------------------


def test_duplicated_uris() -> None:
    """A name is no key: a slate that is listed again and again is another segment each time."""
    media = [replace(one, uri="slate.ts") for one in stream(10)]
    timeline, reloads = follow(live_text(media, 0, 6), live_text(media, 3, 10))
    assert ["first", "advance"] == kinds(reloads)
    assert [n * 2.0 for n in range(10)] == starts_s(timeline.segments(1))


def test_gap_segments_count_time() -> None:
    """Their media is missing, their length is not."""
    media = [replace(one, gap=n in {2, 3}) for n, one in enumerate(stream(6))]
    timeline, _ = follow(live_text(media, 0, 6))
    assert [0, 2, 4, 6, 8, 10] == starts_s(timeline.segments(1))
    assert [2, 3] == [one.media_sequence for one in timeline.segments(1) if one.gap]


def test_a_known_number_with_another_uri_in_the_middle() -> None:
    """One replaced segment is a revision; times stay."""
    media = stream(8)
    timeline, reloads = follow(
        live_text(media, 0, 8), live_text([*media[:3], replace(media[3], uri="new.ts"), *media[4:]], 0, 8)
    )
    assert ["first", "revise"] == kinds(reloads)
    assert ("new.ts", 8) == (timeline.segments(1)[3].uri_path, len(timeline.segments(1)))


def test_session_tokens_in_addresses() -> None:
    """Addresses that differ at each load, in the query or in front of the name, are the same media."""
    media = stream(12)

    def at(visit: str) -> list[Media]:
        return [replace(one, uri=f"/s/{visit}/{one.uri}?token={visit}") for one in media]

    timeline, reloads = follow(live_text(at("a"), 0, 6), live_text(at("b"), 2, 8), live_text(at("c"), 4, 10))
    assert ["first", "advance", "advance"] == kinds(reloads)
    assert 10 == len(timeline.segments(1))


def test_a_redirect_to_another_host() -> None:
    """Answers from wherever the origin sends us are one stream."""
    media = stream(12)
    elsewhere = "https://edge-7.cdn.test/x/y/stream.m3u8?session=1"
    timeline, reloads = follow(live_text(media, 0, 6), (live_text(media, 2, 8), elsewhere), live_text(media, 4, 10))
    assert (["first", "advance", "advance"], 1) == (kinds(reloads), len(timeline.runs))


def test_variables_are_filled_in_before_anything_is_compared() -> None:
    """DEFINE by name, from the multivariant playlist, and from the query of the address."""
    body = "#EXTINF:2,\n{$host}/{$show}/{$id}.ts\n"
    text = (
        '#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-DEFINE:NAME="host",VALUE="h"\n#EXT-X-DEFINE:IMPORT="show"\n'
        f'#EXT-X-DEFINE:QUERYPARAM="id"\n{body}'
    )
    playlist = parse_playlist(text, url="https://origin.test/m.m3u8?id=7", imports={"show": "news"})
    assert isinstance(playlist, MediaPlaylist)
    assert ["h/news/7.ts"] == [one.uri for one in playlist.segments]


# --- renditions ---------------------------------------------------------------------------------------------------------------------


def test_renditions_are_never_merged() -> None:
    """Another rendition's dates differ by a second and its numbers by anything: one is followed, and it is the cheapest with video."""
    text = (
        "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=5000000,RESOLUTION=1920x1080\nhigh.m3u8\n"
        '#EXT-X-STREAM-INF:BANDWIDTH=64000,CODECS="mp4a.40.2"\naudio.m3u8\n'
        "#EXT-X-STREAM-INF:BANDWIDTH=800000,RESOLUTION=640x360\nlow.m3u8\n"
    )
    parsed = parse_playlist(text)
    assert isinstance(parsed, MultivariantPlaylist)
    follower = Follower(URL, now_us=NOON_US)
    follower.receive_playlist(text, url=URL, age_us=0, now_us=NOON_US)
    assert follower.next_request().endswith("/live/low.m3u8")
    for number in range(5):
        media = stream(8 + number)
        follower.receive_playlist(
            live_text(media, number, 8 + number),
            url=URL.replace("stream", "low"),
            age_us=0,
            now_us=NOON_US + 2 * number * S,
        )
        assert follower.next_request().endswith("/live/low.m3u8")
    assert 1 == len(follower.timeline.runs)


def test_another_rendition_is_another_run_at_the_same_program_time() -> None:
    """Where a rendition is left for another, its numbers mean nothing: program time joins them."""
    low = stream(10, first=500)
    high = [
        replace(one, uri=f"high{n}.ts", program_us=NOON_US + n * 2 * S + 700_000) for n, one in enumerate(stream(14))
    ]
    timeline, reloads = follow(media_text(low, first=500), live_text(high, 6, 14))
    assert ["first", "restart"] == kinds(reloads)
    assert [2, 1] == [place.run for place in timeline.locate(NOON_US + 15 * S)]


# --- damage ----------------------------------------------------------------------------------------------------------------------------

GOOD = live_text([replace(one, discontinuity=n == 4, gap=n == 5) for n, one in enumerate(stream(9))], 0, 9)
LINES = GOOD.splitlines()
DAMAGE: dict[str, Callable[[str], str]] = {
    "cut": lambda line: line[: len(line) // 2],
    "doubled": lambda line: line + line,
    "noise": lambda line: line[:5] + "\x00\ufffd" + line[5:],
    "no_colon": lambda line: line.replace(":", " ", 1),
    "not_a_number": lambda line: "".join("x" if char.isdigit() else char for char in line),
    "empty": lambda _: "",
}


def facts(playlist: MediaPlaylist) -> list[tuple[object, ...]]:
    """What a playlist says of each of its segments."""
    return [
        (one.media_sequence, one.uri, one.duration_us, one.program_us, one.discontinuity, one.gap)
        for one in playlist.segments
    ]


@pytest.mark.parametrize("order", ["date_after_extinf", "date_before_extinf"])
@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("number", range(1, len(LINES)))
def test_one_damaged_line(number: int, damage: str, order: str) -> None:
    """It costs at most its own segment and never the playlist or the run: the next good answer shows all of it."""
    lines = [*LINES]
    if order == "date_before_extinf":
        for at, line in enumerate(LINES):
            if line.startswith("#EXTINF"):
                lines[at], lines[at + 1] = LINES[at + 1], line
    good = "\n".join([*lines, ""])
    text = "\n".join([*lines[:number], DAMAGE[damage](lines[number]), *lines[number + 1 :], ""])
    timeline, _ = follow(good, text, good)
    whole, _ = follow(good)
    assert all_segments(whole) == all_segments(timeline)
    alone = parsed(text)
    kept = set(facts(parsed(good))) & set(facts(alone))
    assert len(kept) >= 8
    value_is_lost = lines[number].startswith("#") and ":" in lines[number] and damage in {"not_a_number", "no_colon"}
    if value_is_lost and len(kept) == 8:
        assert number + 1 in {warning.line_number for warning in alone.warnings}


def test_a_lost_uri() -> None:
    """Its segment keeps its number, date and length, also if it is new; the name comes with the next answer."""
    media = stream(9)
    text = live_text(media, 2, 8).replace("seg6.ts\n", "\n")
    timeline, reloads = follow(live_text(media, 0, 6), text, live_text(media, 3, 9))
    assert ["first", "advance", "advance"] == kinds(reloads)
    assert [f"seg{n}.ts" for n in range(9)] == [one.uri_path for one in timeline.segments(1)]
    assert [n * 2.0 for n in range(9)] == starts_s(timeline.segments(1))
    assert any("URI" in warning.reason for warning in reloads[1].warnings)


@pytest.mark.parametrize(
    "written", ["#EXT-X-TARGETDURATION:0", "#EXT-X-TARGETDURATION:abc", "#EXT-X-TARGETDURATION:9999999", ""]
)
def test_a_target_duration_that_is_wrong_or_absent(written: str) -> None:
    """The list is read all the same, and asked again at a sane pace."""
    follower = Follower(URL, now_us=NOON_US)
    text = live_text(stream(5), 0, 5).replace("#EXT-X-TARGETDURATION:2", written)
    follower.receive_playlist(text, url=URL, age_us=0, now_us=NOON_US)
    assert 5 == len(follower.timeline.segments(1))
    wake_us = follower.wake_at_us()
    assert wake_us is not None
    assert S // 4 <= wake_us - NOON_US <= 30 * S


@pytest.mark.parametrize("failure", ["playlist_unavailable", "<html>502</html>", "", "\x89PNG"])
def test_errors_and_pages_that_are_no_playlist(failure: str) -> None:
    """404, 5xx, a page with 200, nothing: the timeline stays, loads back off, and it goes on."""
    follower = Follower(URL, now_us=NOON_US)
    media = stream(12)
    follower.receive_playlist(live_text(media, 0, 6), url=URL, age_us=0, now_us=NOON_US)
    known = all_segments(follower.timeline)
    waits = []
    now_us = NOON_US
    for _ in range(2):
        now_us = follower.wake_at_us() or 0
        if failure == "playlist_unavailable":
            follower.receive_failure(failure, now_us=now_us)
        else:
            assert "malformed" == follower.receive_playlist(failure, url=URL, age_us=0, now_us=now_us).kind
        waits.append((follower.wake_at_us() or 0) - now_us)
    assert known == all_segments(follower.timeline)
    assert waits[0] < waits[1]
    assert NOON_US < (follower.failing_since_us or 0)
    assert "advance" == follower.receive_playlist(live_text(media, 2, 8), url=URL, age_us=0, now_us=now_us + 2 * S).kind
    assert follower.failing_since_us is None


def test_an_ad_that_replaces_a_stretch_does_not_move_the_program() -> None:
    """Dates run on through a replacement; an insert without dates is dated as a guess and the next date takes over."""
    replaced = [
        replace(one, uri=f"ad{n}.ts", discontinuity=n in {3, 6}) if 3 <= n <= 6 else one
        for n, one in enumerate(stream(9))
    ]
    timeline, _ = follow(live_text(replaced, 0, 9))
    assert [n * 2.0 for n in range(9)] == starts_s(timeline.segments(1))
    ads = [Media(f"ad{n}.ts", discontinuity=n == 0) for n in range(3)]
    program = stream(9)
    inserted = [*program[:4], *ads, replace(program[4], discontinuity=True), *program[5:]]
    timeline, _ = follow(live_text(inserted, 0, len(inserted)))
    segments = timeline.segments(1)
    assert [8.0, 10.0, 12.0, 8.0] == starts_s(segments[4:8])
    assert [True, True, True, False] == [one.estimated for one in segments[4:8]]
