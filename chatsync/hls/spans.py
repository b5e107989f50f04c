"""A recording as an edit list: spans where its position and program time go together, and what can be done with such lists.

Owns: ``Span``, searching, cutting and joining spans. Does not know: playlists, how spans are found (``hls.alignment``), rooms.
Units: ``position_us`` counts from the start of the recording, ``program_us`` from the Unix epoch. Source: contract §4.

A position in no span is an insert, such as an advertisement: chat stands still. Program time in no span was cut.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal

import msgspec
from msgspec.structs import replace

from chatsync.instants import MS_US, Range

__all__ = [
    "DRIFT_US_MAX",
    "ROUNDING_US_MAX",
    "Clip",
    "Method",
    "ProgramPlace",
    "Span",
    "clipped",
    "composed",
    "flaw",
    "place_of",
    "position_of",
]

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
    score: float  # 0 to 1, comparable within a method: see docs/decisions/0009

    @property
    def end_us(self) -> int:
        """The position where it ends."""
        return self.position_us + self.duration_us

    @property
    def program(self) -> Range:
        """The program time it shows."""
        return Range(self.program_us, self.program_us + self.duration_us)


class ProgramPlace(msgspec.Struct, frozen=True):
    """Program time of a position of a recording."""

    broadcast: int
    program_us: int


class Clip(msgspec.Struct, frozen=True):
    """A stretch of a recording, taken into another one."""

    spans: tuple[Span, ...]
    position_us: int
    duration_us: int


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
    for earlier, span in pairwise(spans):
        touches = span.broadcast == broadcast and earlier.end_us == span.position_us
        if touches and 0 < span.program_us - program_us <= ROUNDING_US_MAX:
            return span.position_us
    return None


def clipped(spans: Sequence[Span], position_us: int, duration_us: int) -> tuple[Span, ...]:
    """The spans of a stretch of the recording, with positions counted from the start of the stretch."""
    end_us = position_us + duration_us
    kept = []
    for span in spans:
        start_us, stop_us = max(span.position_us, position_us), min(span.end_us, end_us)
        if start_us < stop_us:
            kept.append(
                replace(
                    span,
                    position_us=start_us - position_us,
                    duration_us=stop_us - start_us,
                    program_us=span.program_us + start_us - span.position_us,
                )
            )
    return tuple(kept)


def composed(clips: Sequence[Clip]) -> tuple[Span, ...]:
    """The spans of a recording that shows these clips one after the other; each keeps its method and score."""
    spans: list[Span] = []
    at_us = 0
    for clip in clips:
        taken = clipped(clip.spans, clip.position_us, clip.duration_us)
        spans += [replace(span, position_us=span.position_us + at_us) for span in taken]
        at_us += clip.duration_us
    return tuple(spans)


def flaw(spans: Sequence[Span]) -> str | None:
    """Why these are no spans of a recording, as a sentence; None if they are: in order, none empty, none over another."""
    for span in spans:
        if span.position_us < 0 or span.duration_us <= 0:
            return "A span begins at position 0 or later and is longer than nothing."
    for before, after in pairwise(spans):
        if after.position_us < before.end_us:
            return "Spans come in the order of their positions and do not overlap."
    return None


def _spans_with(broadcast: int, spans: Sequence[Span]) -> Iterator[Span]:
    return (span for span in spans if span.broadcast == broadcast)


def _position_us(span: Span) -> int:
    return span.position_us
