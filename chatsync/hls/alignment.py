"""Which stretch of a recording shows which stretch of program time.

Owns: ``Span`` and the making and searching of spans. Does not know: rooms, what a broadcast is (it asks), HTTP.
Units: ``position_us`` counts from the start of the recording's own playlist, by the sum of EXTINF; ``program_us`` from the Unix
epoch. Source: contract §4; RFC 8216 §4.3.2.6.

A position in no span is an insert, such as an advertisement: chat stands still. Program time in no span was cut.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import msgspec

from chatsync.hls.playlist import MediaPlaylist, PlaylistSegment
from chatsync.hls.timeline import PLAUSIBLE_DATES
from chatsync.instants import MS_US

__all__ = ["DRIFT_US_MAX", "Method", "ProgramPlace", "Span", "place_of", "position_of", "spans_by_program_date_time"]

DRIFT_US_MAX = 10 * MS_US  # a span may be wrong by so much before another begins: under a frame at 60 Hz
ROUNDING_US_MAX = 100 * MS_US  # a smaller hole in program time between spans that touch is rounding, not a cut

Method = Literal["program_date_time", "segment_uri", "extinf_fingerprint", "offset"]


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch where program time and position go together at 1x; half-open."""

    position_us: int
    duration_us: int
    broadcast: int
    program_us: int  # at position_us
    method: Method
    score: float  # 0 to 1: share of the stretch whose date does not rest on a guess across a discontinuity


class ProgramPlace(msgspec.Struct, frozen=True):
    """Program time of a position of a recording."""

    broadcast: int
    program_us: int


def spans_by_program_date_time(playlist: MediaPlaylist, broadcast_of: Callable[[int], int | None]) -> tuple[Span, ...]:
    """Spans of a recording by the dates in its own playlist.

    Every segment is placed by its own date, so that differences between dates and EXTINF never add up: a span ends where program
    time jumps, where the broadcast changes, and where it would be wrong by more than ``DRIFT_US_MAX``.

    Args:
        playlist: the recording's media playlist.
        broadcast_of: the broadcast that shows an instant of program time; None leaves its segment out.

    Returns:
        Spans in order of position, without overlap in position; none if the playlist has no plausible date.

    Cost: one call of ``broadcast_of`` for each segment.
    """
    playlist = playlist.with_dates_within(PLAUSIBLE_DATES)
    spans: list[Span] = []
    stretch: _Stretch | None = None
    position_ns = 0
    for segment in playlist.segments:
        position_us, position_ns = _us(position_ns), position_ns + segment.duration_ns
        program_us = segment.program_us
        broadcast = None if program_us is None else broadcast_of(program_us)
        if stretch is not None and not stretch.goes_on(broadcast, program_us, position_us):
            spans.append(stretch.span())
            stretch = None
        if broadcast is not None and program_us is not None:
            if stretch is None:
                stretch = _Stretch(broadcast, position_us, program_us)
            stretch.add(segment, _us(position_ns))
    if stretch is not None:
        spans.append(stretch.span())
    return tuple(span for span in spans if span.duration_us)


def place_of(position_us: int, spans: Sequence[Span]) -> ProgramPlace | None:
    """Program time of a position; None in an insert and outside the recording. ``spans`` in order. Cost: O(log spans)."""
    index = bisect_right(spans, position_us, key=_position_us) - 1
    if index < 0:
        return None
    span = spans[index]
    into_us = position_us - span.position_us
    return ProgramPlace(span.broadcast, span.program_us + into_us) if into_us < span.duration_us else None


def position_of(broadcast: int, program_us: int, spans: Sequence[Span]) -> int | None:
    """Position that shows an instant of a broadcast, the first one if it is shown twice; None if it was cut. Cost: O(spans)."""
    for span in _spans_with(broadcast, spans):
        into_us = program_us - span.program_us
        if 0 <= into_us < span.duration_us:
            return span.position_us + into_us
    # Where a span was ended for drift, program time has a small hole that the recording does not have.
    for span in _spans_with(broadcast, spans):
        if 0 < span.program_us - program_us <= ROUNDING_US_MAX and _touches_earlier(span, spans):
            return span.position_us
    return None


class _Stretch:
    """A span while it grows."""

    def __init__(self, broadcast: int, position_us: int, program_us: int) -> None:
        self.broadcast = broadcast
        self.position_us = position_us
        self.program_us = program_us
        self.end_us = position_us
        self.sure_us = 0

    def goes_on(self, broadcast: int | None, program_us: int | None, position_us: int) -> bool:
        """Whether the next segment continues it within the drift allowed."""
        if program_us is None or broadcast != self.broadcast:
            return False
        return abs(program_us - self.program_us - (position_us - self.position_us)) <= DRIFT_US_MAX

    def add(self, segment: PlaylistSegment, end_us: int) -> None:
        """Take in the segment that ends at position ``end_us``."""
        if not segment.across_discontinuity:
            self.sure_us += end_us - self.end_us
        self.end_us = end_us

    def span(self) -> Span:
        """What it became."""
        duration_us = self.end_us - self.position_us
        return Span(
            position_us=self.position_us,
            duration_us=duration_us,
            broadcast=self.broadcast,
            program_us=self.program_us,
            method="program_date_time",
            score=round(self.sure_us / duration_us, 3) if duration_us else 0.0,
        )


def _spans_with(broadcast: int, spans: Sequence[Span]) -> Iterator[Span]:
    return (span for span in spans if span.broadcast == broadcast)


def _touches_earlier(span: Span, spans: Sequence[Span]) -> bool:
    """Whether the recording runs into the span without an insert."""
    return any(earlier.position_us + earlier.duration_us == span.position_us for earlier in spans)


def _position_us(span: Span) -> int:
    return span.position_us


def _us(instant_ns: int) -> int:
    return (instant_ns + 500) // 1000
