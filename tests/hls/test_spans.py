"""chatsync.hls.spans: a recording as an edit list."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chatsync.hls.spans import Clip, Span, clipped, composed, flaw, place_of
from chatsync.instants import SECOND_US


def span(position_us: int, duration_us: int, program_us: int, broadcast: int = 1) -> Span:
    """A span, µs."""
    return Span(
        position_us=position_us,
        duration_us=duration_us,
        broadcast=broadcast,
        program_us=program_us,
        method="segment_uri",
        score=0.5,
    )


@st.composite
def edit_lists(draw: st.DrawFn) -> tuple[Span, ...]:
    """Spans in order with inserts between them."""
    spans, position_us = [], 0
    for _ in range(draw(st.integers(0, 6))):
        position_us += draw(st.sampled_from([0, 0, 1, 5 * SECOND_US]))
        duration_us = draw(st.integers(1, 9 * SECOND_US))
        spans.append(span(position_us, duration_us, draw(st.integers(0, 10**9)), draw(st.integers(1, 3))))
        position_us += duration_us
    return tuple(spans)


@given(edit_lists(), st.integers(0, 60 * SECOND_US), st.integers(1, 60 * SECOND_US), st.floats(0, 0.999))
def test_a_clip_shows_what_its_stretch_shows(
    spans: tuple[Span, ...], position_us: int, duration_us: int, part: float
) -> None:
    """At every position, inserts included."""
    into_us = int(part * duration_us)
    assert place_of(position_us + into_us, spans) == place_of(into_us, clipped(spans, position_us, duration_us))
    assert flaw(clipped(spans, position_us, duration_us)) is None


@given(edit_lists(), edit_lists(), st.integers(1, 30 * SECOND_US), st.integers(0, 29 * SECOND_US))
def test_clips_follow_each_other(one: tuple[Span, ...], other: tuple[Span, ...], length_us: int, into_us: int) -> None:
    """The second begins where the first ends, whatever inserts either has at its ends."""
    both = composed([Clip(one, 0, length_us), Clip(other, 0, 30 * SECOND_US)])
    assert flaw(both) is None
    assert place_of(into_us, other) == place_of(length_us + into_us, both)


def test_what_is_no_edit_list_is_told() -> None:
    """Negative, empty, out of order, over each other."""
    assert flaw([span(0, 5, 0), span(5, 5, 0)]) is None
    assert flaw([]) is None
    for bad in ([span(-1, 5, 0)], [span(0, 0, 0)], [span(5, 5, 0), span(0, 5, 0)], [span(0, 5, 0), span(4, 5, 0)]):
        assert flaw(bad) is not None
