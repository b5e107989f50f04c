"""chatsync.replay.cuts: where the chat of a broadcast lies in a recording of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chatsync.hls.spans import ProgramPlace, Span
from chatsync.instants import HOUR_US, MS_US, SECOND_US, Range
from chatsync.replay.cuts import CONTEXT_US, Cuts, Piece, pieces, standing_at

START_US = 1_764_000_000_000_000


def span(position_s: float, duration_s: float, program_s: float, broadcast: int = 1) -> Span:
    """A span, seconds; program time from ``START_US``."""
    return Span(
        position_us=round(position_s * SECOND_US),
        duration_us=round(duration_s * SECOND_US),
        broadcast=broadcast,
        program_us=START_US + round(program_s * SECOND_US),
        method="offset",
        score=1.0,
    )


def shown(spans: list[Span], program_s: float, cuts: Cuts = "leave", broadcast: int = 1) -> list[float]:
    """The positions at which something said then is shown, in s."""
    program_us = START_US + round(program_s * SECOND_US)
    return [
        piece.position_of(program_us) / SECOND_US
        for piece in pieces(spans, cuts)
        if piece.broadcast == broadcast and piece.program.covers(program_us)
    ]


def test_what_is_shown_lies_where_it_is_shown() -> None:
    """Twice, if it is shown twice."""
    assert [5] == shown([span(0, 10, 0)], 5)
    assert [5, 11] == shown([span(0, 10, 0), span(10, 5, 4)], 5)


def test_a_trimmed_head_is_context_before_the_start() -> None:
    """Even behind an advertisement; six hours of it."""
    spans = [span(30, 10, 100)]
    assert [-20] == shown(spans, 80)
    assert [] == shown(spans, 100 - CONTEXT_US / SECOND_US - 1)
    assert [-20] == shown([span(0, 10, 200), span(10, 10, 100)], 80)


def test_what_comes_after_the_end_is_not_shown() -> None:
    """Collapsed or not."""
    assert [] == shown([span(0, 10, 0)], 11)
    assert [] == shown([span(0, 10, 0)], 11, "collapse")


def test_a_cut_is_left_out_or_collapsed_where_the_programme_goes_on() -> None:
    """After an insert, if one stands in the cut; wherever the clip stands, if clips were re-ordered."""
    spans = [span(0, 10, 0), span(40, 10, 20)]
    assert ([], [40]) == (shown(spans, 15), shown(spans, 15, "collapse"))
    assert [0] == shown([span(0, 10, 20), span(10, 10, 0)], 15, "collapse")


def test_between_two_broadcasts_lies_a_cut() -> None:
    """The end of the first and the start of the second collapse at the second."""
    spans = [span(0, 10, 0), span(10, 10, 1_000, broadcast=2)]
    assert ([], [10]) == (shown(spans, 30), shown(spans, 30, "collapse"))
    assert ([], [10]) == (shown(spans, 990, broadcast=2), shown(spans, 990, "collapse", broadcast=2))


def test_a_hole_of_rounding_is_no_cut() -> None:
    """It is shown where the next span begins."""
    assert [10] == shown([span(0, 10, 0), span(10, 10, 10.04)], 10.02)


def test_chat_stands_still_in_an_insert() -> None:
    """At the end of what was before; before the first span at its start."""
    spans = [span(5, 10, 0), span(40, 10, 20)]
    at = [standing_at(round(second * SECOND_US), spans) for second in (0, 7, 15, 39, 41, 99)]
    assert [0, 2, 10, 10, 21, 30] == [(place.program_us - START_US) / SECOND_US for place in at if place is not None]
    assert standing_at(0, []) is None
    assert ProgramPlace(1, START_US) == standing_at(0, spans)


@given(st.integers(-20, 20), st.integers(0, 20), st.integers(0, 30), st.integers(-30, 30), st.integers(0, 40))
def test_a_part_of_a_piece_is_what_lies_at_these_positions(
    position_s: int, duration_s: int, beyond_s: int, from_s: int, length_s: int
) -> None:
    """Nothing at the positions is missed; what is beyond its end lies at its end."""
    duration_us = duration_s * SECOND_US
    program = Range(START_US, START_US + duration_us + beyond_s * SECOND_US)
    piece = Piece(position_us=position_s * SECOND_US, duration_us=duration_us, broadcast=1, program=program)
    positions = Range(from_s * SECOND_US, (from_s + length_s) * SECOND_US)
    within = piece.within(positions)
    for instant_us in range(program.start_us, program.end_us, 250 * MS_US):
        is_within = within is not None and within.covers(instant_us)
        assert positions.covers(piece.position_of(instant_us)) <= is_within
    assert within is None or within.duration_us <= HOUR_US
