"""chatsync.hls.alignment: which stretch of a recording shows which stretch of program time."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatsync.hls.alignment import aligned, by_offset
from chatsync.hls.known import Airing, KnownSegment, Library
from chatsync.hls.spans import DRIFT_US_MAX, ProgramPlace, Span, flaw, place_of, position_of
from chatsync.instants import HOUR_US, MS_US, SECOND_US
from tests.hls.builders import NOON_US, Media, media_text, parsed, stream
from tests.hls.recorded import Shot, library, mapped, of_shots, recording, shots

ONE_BROADCAST = Library(airings=[Airing(1, NOON_US, NOON_US + HOUR_US)])


def spans_of(*media: Media) -> tuple[Span, ...]:
    """Spans of a recording of these segments."""
    return aligned(parsed(media_text(media, ended=True)), ONE_BROADCAST)


def span(position_s: float, duration_s: float, program_s: float, *, broadcast: int = 1, score: float = 1.0) -> Span:
    """A span, s from the start and s after noon."""
    return Span(
        position_us=round(position_s * SECOND_US),
        duration_us=round(duration_s * SECOND_US),
        broadcast=broadcast,
        program_us=NOON_US + round(program_s * SECOND_US),
        method="program_date_time",
        score=score,
    )


def test_a_plain_recording_is_one_span() -> None:
    """Dates and durations agree."""
    assert (span(0, 20, 0),) == spans_of(*stream(10))


def test_one_date_is_enough() -> None:
    """The rest follows from it."""
    media = stream(10)
    assert (span(0, 20, 0),) == spans_of(
        *(Media(one.uri, program_us=one.program_us if n == 4 else None) for n, one in enumerate(media))
    )


def test_a_jump_in_program_time_begins_a_span() -> None:
    """Forward, what the recording left out; back, what it shows twice."""
    media = stream(10)
    assert (span(0, 6, 0), span(6, 4, 16), span(10, 4, 0)) == spans_of(*media[:3], *media[8:], *media[:2])


def test_a_recording_without_dates_has_no_spans() -> None:
    """Nothing is guessed; dates of 1970 are none."""
    assert () == spans_of(*stream(4, start_us=None))
    assert () == spans_of(*stream(4, start_us=0))


def test_what_is_in_no_broadcast_is_left_out() -> None:
    """And a change of broadcast begins a span, though program time goes on."""
    two = Library(
        airings=[
            Airing(1, NOON_US, NOON_US + 400 * SECOND_US),
            Airing(2, NOON_US + 600 * SECOND_US, NOON_US + HOUR_US),
        ]
    )
    playlist = parsed(media_text(stream(400), ended=True))
    assert (span(0, 460, 0), span(540, 260, 540, broadcast=2)) == aligned(playlist, two)


def test_the_score_is_the_share_that_rests_on_dates() -> None:
    """Dates carried across a discontinuity are guesses."""
    media = stream(4)
    undated = [Media(f"ad{n}.ts", discontinuity=n == 0) for n in range(4)]
    assert [0.5] == [one.score for one in spans_of(*media, *undated)]


def test_rounded_durations_do_not_add_up() -> None:
    """EXTINF of whole seconds over segments of 2.002 s: every position stays within the drift allowed."""
    media = [Media(f"s{n}.ts", "2", NOON_US + n * 2_002 * MS_US) for n in range(500)]
    spans = spans_of(*media)
    assert len(spans) > 1
    for number in range(500):
        place = place_of(number * 2 * SECOND_US, spans)
        assert place is not None
        assert abs(place.program_us - (NOON_US + number * 2_002 * MS_US)) <= DRIFT_US_MAX


def test_program_time_in_a_hole_of_drift_is_not_cut() -> None:
    """It is shown where the next span begins."""
    media = [Media(f"s{n}.ts", "2", NOON_US + n * 2_002 * MS_US) for n in range(50)]
    spans = spans_of(*media)
    for instant_us in range(NOON_US, NOON_US + 49 * 2_002 * MS_US, 1 * MS_US):
        assert position_of(1, instant_us, spans) is not None


def test_a_position_in_an_insert_has_no_program_time() -> None:
    """Chat stands still there, and outside the recording."""
    spans = (span(0, 10, 0), span(40, 10, 10))
    assert ProgramPlace(1, NOON_US + 9_999_999) == place_of(9_999_999, spans)
    assert place_of(10 * SECOND_US, spans) is None
    assert ProgramPlace(1, NOON_US + 10 * SECOND_US) == place_of(40 * SECOND_US, spans)
    assert place_of(50 * SECOND_US, spans) is None
    assert place_of(-1, spans) is None
    assert place_of(0, ()) is None


def test_program_time_that_was_cut_has_no_position() -> None:
    """Nor has another broadcast's, though its clock showed the same."""
    spans = (span(0, 10, 0), span(10, 10, 30))
    assert position_of(1, NOON_US + 20 * SECOND_US, spans) is None
    assert 15 * SECOND_US == position_of(1, NOON_US + 35 * SECOND_US, spans)
    assert position_of(2, NOON_US, spans) is None


def test_what_is_shown_twice_is_found_the_first_time() -> None:
    """A repeat after a fall-back."""
    spans = (span(0, 10, 0), span(10, 10, 5))
    assert 6 * SECOND_US == position_of(1, NOON_US + 6 * SECOND_US, spans)


@given(
    pieces=st.lists(st.tuples(st.integers(1, 6), st.sampled_from([0, 0, 3, 5_000, 90_000])), min_size=1, max_size=12),
    position_ms=st.integers(0, 200_000),
)
def test_places_and_positions_are_inverse_where_program_time_only_rises(
    pieces: list[tuple[int, int]], position_ms: int
) -> None:
    """Every position inside gives program time that leads back to it."""
    media, program_us = [], NOON_US
    for index, (count, jump_ms) in enumerate(pieces):
        media += stream(count, start_us=program_us, name=f"p{index}-")
        program_us += count * 2 * SECOND_US + jump_ms * MS_US
    spans = spans_of(*media)
    place = place_of(position_ms * MS_US, spans)
    assert (place is not None) == (position_ms < len(media) * 2000)
    if place is not None:
        assert position_ms * MS_US == position_of(place.broadcast, place.program_us, spans)


# --- methods -----------------------------------------------------------------------------------------------------------

LIVE = shots([2 * SECOND_US] * 30, NOON_US)
ROOM = library(LIVE)
AD = shots([2 * SECOND_US] * 3, NOON_US, name="https://ads.test/x/spot", broadcast=None)


def facts(spans: Sequence[Span]) -> list[tuple[int, int, int, int]]:
    """Position, duration, broadcast and program time of spans that touch and go on joined, whatever their methods."""
    made: list[tuple[int, int, int, int]] = []
    for one in spans:
        last = made[-1] if made else None
        if last is not None and (last[0] + last[1], last[2], last[3] + last[1]) == (
            one.position_us,
            one.broadcast,
            one.program_us,
        ):
            made[-1] = (last[0], last[1] + one.duration_us, *last[2:])
        else:
            made.append((one.position_us, one.duration_us, one.broadcast, one.program_us))
    return made


def test_segments_without_dates_are_known_by_their_names() -> None:
    """Trimmed at both ends and cut in the middle; query and folder do not matter."""
    clips = [LIVE[3:10], LIVE[20:25]]
    media = [replace(one, uri=f"https://cdn.test/v/{one.uri}?t=1") for one in recording(clips, dated=False)]
    spans = mapped(media, ROOM)
    assert of_shots(clips) == facts(spans)
    assert {("segment_uri", 1.0)} == {(one.method, one.score) for one in spans}


def test_a_byte_range_is_part_of_what_a_segment_is() -> None:
    """One file for all segments: the range tells which it is."""
    known = [
        KnownSegment(1, 1, n, "all.m4s", f"{100}@{n * 100}", 2 * SECOND_US, NOON_US + n * 2 * SECOND_US)
        for n in range(9)
    ]
    media = [Media("all.m4s", extra=f"#EXT-X-BYTERANGE:100@{n * 100}") for n in (4, 5, 6)]
    assert [(0, 6 * SECOND_US, 1, NOON_US + 8 * SECOND_US)] == facts(mapped(media, Library(known)))


def test_two_runs_with_the_same_names_are_told_apart_by_order() -> None:
    """An encoder that started anew wrote the same names: the recording shows the first run first."""
    first = shots([2 * SECOND_US] * 10, NOON_US)
    second = shots([2 * SECOND_US] * 10, NOON_US + HOUR_US, broadcast=2, run=2)
    clips = [first, second]
    assert of_shots(clips) == facts(mapped(recording(clips, dated=False), library(first, second)))


def test_an_advertisement_with_the_names_of_the_stream_is_none_of_it() -> None:
    """Its folder is another."""
    spot = [
        replace(one, uri=f"https://ads.test/spot/{one.uri}")
        for one in shots([2 * SECOND_US] * 3, NOON_US, broadcast=None)
    ]
    clips = [LIVE[10:20], spot, LIVE[20:25]]
    assert of_shots(clips) == facts(mapped(recording(clips, dated=False), ROOM))


def test_dates_of_another_day_are_not_believed() -> None:
    """A packager that dated the recording when it was made, or from 1970: the names of the segments decide."""
    for date_us in (NOON_US + 24 * HOUR_US, 0):
        media = [
            replace(one, program_us=date_us + n * 2 * SECOND_US)
            for n, one in enumerate(recording([LIVE[5:15]], dated=False))
        ]
        assert ["segment_uri"] == [one.method for one in mapped(media, ROOM)]
        assert of_shots([LIVE[5:15]]) == facts(mapped(media, ROOM))


def test_dates_on_a_part_leave_the_rest_to_the_names() -> None:
    """The first clip has a date, the second does not."""
    clips = [LIVE[10:15], LIVE[2:6]]
    media = recording(clips)
    media = [one if index < 5 else replace(one, program_us=None) for index, one in enumerate(media)]
    spans = mapped(media, ROOM)
    assert of_shots(clips) == facts(spans)
    assert ["program_date_time", "segment_uri"] == [one.method for one in spans]


def test_a_date_within_a_clip_counts_backward_too() -> None:
    """Up to the discontinuity before it, not forward from the clip before."""
    clips = [LIVE[10:15], LIVE[2:6]]
    media = [
        replace(one, program_us=None) if index == 5 else one for index, one in enumerate(recording(clips, renamed=True))
    ]
    assert of_shots(clips) == facts(mapped(media, ROOM))


@pytest.mark.parametrize("renamed", [False, True])
@pytest.mark.parametrize("at", [0, 10, 30])
def test_an_advertisement_without_a_date_is_an_insert(at: int, renamed: bool) -> None:
    """Before, within and after the programme: chat stands still, though players carry the date on."""
    clips = [clip for clip in (LIVE[:at], AD, LIVE[at:]) if clip]
    media = recording(clips)
    if renamed:
        media = [one if "ads" in one.uri else replace(one, uri=f"v/{index}.mp4") for index, one in enumerate(media)]
    assert of_shots(clips) == facts(mapped(media, ROOM))


def test_an_advertisement_that_replaced_the_programme_keeps_its_span() -> None:
    """Program time runs on under it, and so does the chat of that time; the score says that its dates are guesses."""
    clips = [LIVE[:10], AD, LIVE[13:]]
    (one,) = mapped(recording(clips), ROOM)
    assert (0, 60 * SECOND_US, 0.9) == (one.position_us, one.duration_us, one.score)


def test_what_is_longer_than_what_it_replaced_stands_still_at_its_end() -> None:
    """Six seconds of advertisement over four of the programme."""
    spans = mapped(recording([LIVE[:10], AD, LIVE[12:]]), ROOM)
    assert [(0, 24, 0), (26, 36, 24)] == [
        (one.position_us // SECOND_US, one.duration_us // SECOND_US, (one.program_us - NOON_US) // SECOND_US)
        for one in spans
    ]


def test_of_two_broadcasts_with_the_same_dates_the_evidence_decides() -> None:
    """URI first, then media sequence; the later one if neither tells."""
    first = shots([2 * SECOND_US] * 20, NOON_US, name="a")
    second = [
        replace(one, media_sequence=100 + number)
        for number, one in enumerate(shots([2 * SECOND_US] * 20, NOON_US, name="b", broadcast=2, run=2))
    ]
    room = library(first, second)
    assert {1} == {one.broadcast for one in mapped(recording([first[2:9]]), room)}
    assert {2} == {one.broadcast for one in mapped(recording([second[2:9]]), room)}
    assert {2} == {one.broadcast for one in mapped(recording([first[2:9]], renamed=True)[3:], room)}
    numbered = parsed(media_text(recording([first[2:9]], renamed=True), first=2, ended=True))
    assert {1} == {one.broadcast for one in aligned(numbered, room)}


def test_a_pattern_of_durations_places_what_has_neither_date_nor_name() -> None:
    """Constant ones place nothing, and nothing is guessed."""
    varied = shots([round(SECOND_US * (1 + (n * 7919 % 31) / 10)) for n in range(40)], NOON_US)
    clips = [varied[20:32], varied[3:15]]
    spans = mapped(recording(clips, dated=False, renamed=True), library(varied))
    assert of_shots(clips) == facts(spans)
    assert {"extinf_fingerprint"} == {one.method for one in spans}
    assert min(one.score for one in spans) > 0.99
    assert () == mapped(recording([LIVE[3:20]], dated=False, renamed=True), ROOM)


def test_durations_rounded_to_milliseconds_still_fit() -> None:
    """With a lower score."""
    varied = shots([SECOND_US + (n * 7919 % 3100) * 517 for n in range(30)], NOON_US)
    media = [
        replace(one, duration=f"{float(one.duration):.3f}")
        for one in recording([varied[5:20]], dated=False, renamed=True)
    ]
    spans = mapped(media, library(varied))
    assert 1 <= len(spans)
    assert all(one.score <= 0.9 for one in spans)
    assert abs(spans[0].program_us - varied[5].program_us) < MS_US


def test_a_recording_cut_within_segments_keeps_their_rest() -> None:
    """The first and the last segment are shorter than they were."""
    varied = shots([round(SECOND_US * (1 + (n * 7919 % 31) / 10)) for n in range(40)], NOON_US)
    media = recording([varied[5:20]], dated=False, renamed=True)
    media[0], media[-1] = replace(media[0], duration="0.700000"), replace(media[-1], duration="0.300000")
    spans = mapped(media, library(varied))
    assert varied[6].program_us - 700 * MS_US == spans[0].program_us
    assert 0 == spans[0].position_us
    assert varied[19].program_us + 300 * MS_US == spans[-1].program.end_us


def test_a_start_that_is_given_is_believed_by_half() -> None:
    """And by less where the room knows no media."""
    assert [0.5] == [one.score for one in by_offset(ROOM, 1, NOON_US, 60 * SECOND_US)]
    assert [0.25] == [one.score for one in by_offset(ROOM, 1, NOON_US, 120 * SECOND_US)]


# --- any edit of any history -------------------------------------------------------------------------------------------


def edited(seed: int) -> tuple[list[list[Shot]], Library]:
    """A random history of two broadcasts, and a random edit of it: cuts, trims, re-ordered clips, advertisements between them."""
    chance = random.Random(seed)
    streams, start_us = [], NOON_US
    for number in (1, 2):
        durations = [chance.randint(900_000, 4_000_000) for _ in range(chance.randint(20, 50))]
        streams.append(shots(durations, start_us, name=f"b{number}-", broadcast=number, run=number))
        start_us += sum(durations) + chance.randint(0, 600) * SECOND_US
    clips: list[list[Shot]] = []
    for _ in range(chance.randint(1, 5)):
        stream = chance.choice(streams)
        first = chance.randint(0, len(stream) - 9)
        clips.append(stream[first : first + chance.randint(9, 20)])
        if chance.random() < 0.4:
            spot = [chance.randint(4_100_000, 6_000_000) for _ in range(chance.randint(1, 3))]
            clips.append(shots(spot, 0, name="https://ads.test/s", broadcast=None))
    return clips, library(*streams)


@given(st.integers(0, 10**9))
def test_names_recover_any_edit(seed: int) -> None:
    """Every clip and every insert, to the µs; spans never overlap in position."""
    clips, known = edited(seed)
    spans = mapped(recording(clips, dated=False), known)
    assert of_shots(clips) == facts(spans)
    assert flaw(spans) is None


@given(st.integers(0, 10**9))
def test_durations_recover_any_edit(seed: int) -> None:
    """Names and dates gone; clips of nine segments and more."""
    clips, known = edited(seed)
    spans = mapped(recording(clips, dated=False, renamed=True), known)
    assert of_shots(clips) == facts(spans)
    assert flaw(spans) is None


@given(st.integers(0, 10**9))
def test_dates_recover_any_edit(seed: int) -> None:
    """Names gone; an advertisement is an insert unless the dates around it count it."""
    clips, known = edited(seed)
    spans = mapped(recording(clips, renamed=True), known)
    assert flaw(spans) is None
    position_us = 0
    for clip in clips:
        for shot in clip:
            place = place_of(position_us + shot.duration_us // 2, spans)
            if shot.broadcast is not None:
                assert place is not None
                assert shot.broadcast == place.broadcast
                assert abs(shot.program_us + shot.duration_us // 2 - place.program_us) <= 2 * MS_US  # dates are in ms
            position_us += shot.duration_us


@given(st.integers(0, 10**9), st.floats(0, 1))
def test_places_and_positions_are_inverse(seed: int, part: float) -> None:
    """Every position in a span leads to an instant that is shown there, or was shown before."""
    clips, known = edited(seed)
    spans = mapped(recording(clips, dated=False), known)
    position_us = round(part * (spans[-1].end_us - 1))
    place = place_of(position_us, spans)
    if place is not None:
        found = position_of(place.broadcast, place.program_us, spans)
        assert found is not None
        assert found <= position_us
        assert place == place_of(found, spans)


@pytest.mark.parametrize("dated", [range(10), (0, 5)], ids=["all", "two"])
def test_an_advertisement_without_date_or_discontinuity_is_an_insert(dated: Sequence[int]) -> None:
    """It lies elsewhere, and the next date shows that the programme did not go on under it; one that it did stays."""
    media = [Media(one.uri, program_us=one.program_us if n in dated else None) for n, one in enumerate(stream(10))]
    ads = [Media(f"https://ads.test/{n}.ts") for n in range(4)]
    assert (span(0, 10, 0), span(18, 10, 10)) == spans_of(*media[:5], *ads, *media[5:])
    replaced = spans_of(*media[:3], *ads[:2], *media[5:])
    assert [0, 20] == [replaced[0].position_us // SECOND_US, sum(one.duration_us for one in replaced) // SECOND_US]
    elsewhere = [
        Media(f"later/{one.uri}", program_us=one.program_us if n == 0 else None) for n, one in enumerate(media)
    ]
    assert (span(0, 20, 0),) == spans_of(*elsewhere)
