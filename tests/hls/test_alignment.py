"""chatsync.hls.alignment: which stretch of a recording shows which stretch of program time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chatsync.hls.alignment import aligned
from chatsync.hls.known import Airing, Library
from chatsync.hls.spans import DRIFT_US_MAX, ProgramPlace, Span, place_of, position_of
from chatsync.instants import HOUR_US, MS_US, SECOND_US
from tests.hls.builders import NOON_US, Media, media_text, parsed, stream

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
