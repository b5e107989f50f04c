"""Where the chat of a broadcast lies in a recording of it, what was cut included.

Owns: ``Piece``, and what becomes of chat that was cut. Does not know: who reads events, HTTP, how spans are found.
Units: µs; positions count from the start of the recording, program time from the Unix epoch. Source: contract §4.

In an insert the chat stands still, since nothing maps to it. What was said before the recording begins is context, at positions
before 0. What was said in a cut is left out or collapsed at the cut; what was said after the end is always left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from chatsync.hls.spans import ROUNDING_US_MAX, ProgramPlace, Span
from chatsync.instants import HOUR_US, Range

__all__ = ["CONTEXT_US", "Cuts", "Piece", "pieces", "standing_at"]

CONTEXT_US = (
    6 * HOUR_US
)  # what was said longer before the recording, or longer after a broadcast's media, is none of it

Cuts = Literal["leave", "collapse"]


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """Chat of a stretch of program time, and the positions it lies at.

    ``program`` may be longer than ``duration_us``: what is beyond lies at the end. A cut that is collapsed lasts 0.
    """

    position_us: int
    duration_us: int
    broadcast: int
    program: Range

    @property
    def end_us(self) -> int:
        """The position where it ends."""
        return self.position_us + self.duration_us

    def position_of(self, program_us: int) -> int:
        """The position of an instant of ``program``."""
        return self.position_us + min(program_us - self.program.start_us, self.duration_us)

    def within(self, positions: Range) -> Range | None:
        """The part of ``program`` that lies at these positions; None if nothing does."""
        if self.position_us >= positions.end_us or self.end_us < positions.start_us:
            return None
        start_us = self.program.start_us + max(positions.start_us - self.position_us, 0)
        end_us = self.program.end_us
        if self.end_us >= positions.end_us:
            end_us = self.program.start_us + positions.end_us - self.position_us
        return Range(start_us, end_us) if start_us < end_us else None


def pieces(spans: Sequence[Span], cuts: Cuts) -> list[Piece]:
    """All chat of a recording in the order it is shown.

    Args:
        spans: in order of position.
        cuts: ``leave`` what was cut out, or ``collapse`` it where program time goes on after the cut.

    Cost: O(spans log spans).
    """
    if not spans:
        return []
    found = [_head(spans)]
    for index, span in enumerate(spans):
        program = span.program
        following = spans[index + 1] if index + 1 < len(spans) else None
        if following is not None and _is_rounding(span, following):
            program = Range(program.start_us, following.program_us)
        found.append(
            Piece(position_us=span.position_us, duration_us=span.duration_us, broadcast=span.broadcast, program=program)
        )
    if cuts == "collapse":
        found += _collapsed(spans)
    return sorted(found, key=lambda piece: (piece.position_us, piece.duration_us > 0, piece.broadcast, piece.program))


def standing_at(position_us: int, spans: Sequence[Span]) -> ProgramPlace | None:
    """The program time up to which chat is shown at a position: in an insert, where the span before it ended.

    Before the first span it is where that begins; None without spans.
    """
    if not spans:
        return None
    before = None
    for span in spans:
        if span.position_us > position_us:
            break
        before = span
    if before is None:
        return ProgramPlace(spans[0].broadcast, spans[0].program_us)
    into_us = min(position_us - before.position_us, before.duration_us)
    return ProgramPlace(before.broadcast, before.program_us + into_us)


def _is_rounding(span: Span, following: Span) -> bool:
    hole_us = following.program_us - span.program.end_us
    touches = span.broadcast == following.broadcast and span.end_us == following.position_us
    return touches and 0 < hole_us <= ROUNDING_US_MAX


def _head(spans: Sequence[Span]) -> Piece:
    broadcast = spans[0].broadcast
    start_us = min(span.program_us for span in spans if span.broadcast == broadcast)
    return Piece(
        position_us=-CONTEXT_US,
        duration_us=CONTEXT_US,
        broadcast=broadcast,
        program=Range(start_us - CONTEXT_US, start_us),
    )


def _collapsed(spans: Sequence[Span]) -> list[Piece]:
    """Each cut at the position where its broadcast goes on; what no span follows in its broadcast, where the next one begins."""
    found = []
    for broadcast in dict.fromkeys(span.broadcast for span in spans):
        of_it = sorted(
            (one for one in spans if one.broadcast == broadcast), key=lambda one: (one.program_us, one.position_us)
        )
        until_us = of_it[0].program_us
        if broadcast != spans[0].broadcast:
            until_us -= CONTEXT_US
        latest = of_it[0]
        for span in of_it:
            hole_us = span.program_us - until_us
            if hole_us > 0 and not (0 < hole_us <= ROUNDING_US_MAX and latest.end_us == span.position_us):
                found.append(_at(span.position_us, broadcast, Range(until_us, span.program_us)))
            if span.program.end_us > until_us:
                until_us, latest = span.program.end_us, span
        following = next((one for one in spans if one.position_us >= latest.end_us), None)
        if broadcast != spans[-1].broadcast and following is not None:
            found.append(_at(following.position_us, broadcast, Range(until_us, until_us + CONTEXT_US)))
    return found


def _at(position_us: int, broadcast: int, program: Range) -> Piece:
    return Piece(position_us=position_us, duration_us=0, broadcast=broadcast, program=program)
