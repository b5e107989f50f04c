"""How much was said when, and where words are: of a broadcast, or of a recording by its positions.

Owns: what an answer about activity or a search holds. Does not know: HTTP, how rows are read (``store.finding``), who may ask.
Units: µs inside, ms in what is answered. Source: contract §4 "finding".
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from chatsync.chat.event import MESSAGE_KINDS, Event
from chatsync.errors import RateLimitedError
from chatsync.instants import DAY_US, SECOND_US, Range, ms_from_us
from chatsync.replay.activity import bucketed, clear_of, peaks
from chatsync.replay.cuts import Piece
from chatsync.replay.slices import is_sliced
from chatsync.service.limit_table import ACTIVITY_BUCKETS_MAX, FINDING_WAITING_MAX, MOMENTS_MAX
from chatsync.store.finding import Finding

if TYPE_CHECKING:
    from chatsync.hls.spans import Span
    from chatsync.store.journal import Journal

__all__ = ["ACTIVITY_US_MAX", "Finder", "Part", "activity_of", "positioned", "search_broadcast", "search_recording"]

T = TypeVar("T")
Place = tuple[int, int]

ACTIVITY_US_MAX = 31 * DAY_US  # of a broadcast that goes on for months, the latest
_BUSY_RETRY_MS = 1_000
_GROUPS_MAX = 200  # stretches of one recording that one search looks at


class Finder:
    """Lets so many find at a time, and says no to a crowd.

    Args:
        finding: counts and finds.
        journal: for questions and polls.
    """

    def __init__(self, finding: Finding, journal: Journal) -> None:
        self.finding, self.journal = finding, journal
        self._place = asyncio.Semaphore(
            1
        )  # of reads that look through a whole broadcast; others have places of their own
        self._waiting = 0

    async def run(self, work: Callable[[], T]) -> T:
        """Find in a thread.

        Raises:
            RateLimitedError: too many wait.
        """
        if self._waiting >= FINDING_WAITING_MAX:
            raise RateLimitedError(_BUSY_RETRY_MS)
        self._waiting += 1
        try:
            async with self._place:
                return await asyncio.to_thread(work)
        finally:
            self._waiting -= 1


@dataclass(frozen=True, slots=True)
class Part:
    """A broadcast, the program time that is wanted of it, and the gaps in it with their reasons."""

    broadcast: int
    within: Range
    gaps: tuple[tuple[Range, str], ...] = ()


# --- activity ----------------------------------------------------------------------------------------------------------


def activity_of(finder: Finder, room: str, part: Part, *, bucket_us: int) -> dict[str, Any]:
    """Counts of a broadcast by program time, and its moments.

    Cost: one pass over the rows of the range; see :meth:`Finding.counted`.
    """
    bucket_us = _roomy(bucket_us, part.within.duration_us)
    within = part.within
    counted = finder.finding.counted(room, part.broadcast, within, bucket_us)
    placed = [(within.start_us + bin_ * bucket_us, kind, count) for (bin_, kind), count in counted.items()]
    events = finder.journal.state_events(room, part.broadcast)
    moments = [(event.program_us, event) for event in events if within.covers(event.program_us)]
    return {
        "room": room,
        "broadcast": part.broadcast,
        **_answer(placed, within, bucket_us, list(part.gaps), "program_ms"),
        **_moments(moments, events, "program_ms"),
    }


def positioned(
    finder: Finder, room: str, spans: Sequence[Span], parts: Iterable[Part], *, duration_us: int, bucket_us: int
) -> dict[str, Any]:
    """Counts of a recording by position; what it shows of no broadcast is not known.

    Args:
        finder: finds.
        room: the room.
        spans: of the recording, in order of position.
        parts: of each broadcast in it, all the program time that it shows.
        duration_us: of the recording.
        bucket_us: as asked for.

    Program time is counted by the second: at a cut a message may be counted one bucket off.
    """
    bucket_us = _roomy(bucket_us, duration_us)
    within = Range(0, duration_us)
    placed: list[tuple[int, str, int]] = []
    gaps: list[tuple[Range, str]] = []
    moments: list[tuple[int, Event]] = []
    events: list[Event] = []
    for part in parts:
        shown = _Shown([span for span in spans if span.broadcast == part.broadcast])
        bin_us = max(SECOND_US, -(-part.within.duration_us // (31 * 86_400)))
        start_us = part.within.start_us
        for (bin_, kind), count in finder.finding.counted(room, part.broadcast, part.within, bin_us).items():
            placed += [(at_us, kind, count) for at_us in shown.positions_of(start_us + bin_ * bin_us)]
        gaps += [(at, reason) for gap, reason in part.gaps for at in shown.ranges_of(gap)]
        of_it = finder.journal.state_events(room, part.broadcast)
        events += of_it
        moments += [(at_us, event) for event in of_it for at_us in shown.positions_of(event.program_us)]
    unshown = [(range_, "cut") for range_ in clear_of(within, [Range(span.position_us, span.end_us) for span in spans])]
    gaps = sorted((*gaps, *((range_, why) for range_, why in unshown if range_.duration_us >= SECOND_US)), key=_start)
    return {
        "room": room,
        **_answer(placed, within, bucket_us, gaps, "position_ms"),
        **_moments(moments, events, "position_ms"),
    }


class _Shown:
    """Where a recording shows the program time of one broadcast."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self._spans = sorted(spans, key=lambda span: span.program_us)
        self._starts = [span.program_us for span in self._spans]
        self._longest_us = max((span.duration_us for span in spans), default=0)

    def positions_of(self, program_us: int) -> list[int]:
        """Usually one; a repeated stretch has more."""
        found = []
        index = bisect_right(self._starts, program_us) - 1
        while index >= 0 and self._starts[index] > program_us - self._longest_us - 1:
            span = self._spans[index]
            if program_us < span.program.end_us:
                found.append(span.position_us + program_us - span.program_us)
            index -= 1
        return found

    def ranges_of(self, program: Range) -> list[Range]:
        """The positions of a stretch of program time."""
        found = []
        for span in self._spans:
            part = program.clipped(span.program)
            if part is not None:
                at_us = span.position_us - span.program_us
                found.append(Range(part.start_us + at_us, part.end_us + at_us))
        return found


def _start(gap: tuple[Range, str]) -> int:
    return gap[0].start_us


def _roomy(bucket_us: int, duration_us: int) -> int:
    """The bucket asked for, made longer by whole ones until there are not too many."""
    return bucket_us * max(1, -(-duration_us // (bucket_us * ACTIVITY_BUCKETS_MAX)))


def _answer(
    placed: Sequence[tuple[int, str, int]], within: Range, bucket_us: int, gaps: Sequence[tuple[Range, str]], axis: str
) -> dict[str, Any]:
    unknown = [gap for gap, _ in gaps]
    said = [(at_us, count) for at_us, kind, count in placed if kind in MESSAGE_KINDS]
    counts = bucketed(said, within, bucket_us, unknown)
    kinds = {
        kind: bucketed([(at_us, count) for at_us, k, count in placed if k == kind], within, bucket_us, unknown)
        for kind in sorted({kind for _, kind, _ in placed} - {"message"})
    }
    start_name, end_name = (f"{name}_{axis}" if axis == "position_ms" else f"{name}_ms" for name in ("start", "end"))
    length_us = within.end_us
    return {
        "bucket_ms": ms_from_us(bucket_us),
        start_name: ms_from_us(within.start_us),
        end_name: ms_from_us(within.end_us),
        "counts": counts,
        "kinds": kinds,
        "gaps": [
            {start_name: ms_from_us(gap.start_us), end_name: ms_from_us(gap.end_us), "reason": reason}
            for gap, reason in gaps[:MOMENTS_MAX]
        ],
        "peaks": [
            {
                start_name: ms_from_us(within.start_us + index * bucket_us),
                end_name: ms_from_us(min(within.start_us + (index + 1) * bucket_us, length_us)),
                "count": counts[index],
            }
            for index in peaks(counts)
        ],
    }


def _moments(placed: Sequence[tuple[int, Event]], events: Sequence[Event], axis: str) -> dict[str, Any]:
    """Questions, polls and pins, in the order of the axis; of too many questions those with most upvotes."""
    seen = [event for event in events if not event.hidden]
    upvotes = Counter(event.target for event in seen if event.kind == "question_upvoted")
    answered = {event.target for event in seen if event.kind == "question_answered"}
    shown = [(at_us, event) for at_us, event in placed if is_sliced(event)]
    questions = sorted(
        ((at_us, event) for at_us, event in shown if event.kind == "question"),
        key=lambda one: (-upvotes[one[1].offset], one[1].offset),
    )[:MOMENTS_MAX]
    polls = [(at_us, event) for at_us, event in shown if event.kind == "poll_opened"][:MOMENTS_MAX]
    pins = [(at_us, event) for at_us, event in shown if event.kind == "pinned" and event.text][:MOMENTS_MAX]
    return {
        "questions": [
            {
                axis: ms_from_us(at_us),
                "broadcast": event.broadcast,
                "offset": event.offset,
                "text": event.text,
                "upvotes": upvotes[event.offset],
                "answered": event.offset in answered,
            }
            for at_us, event in sorted(questions, key=lambda one: one[0])
        ],
        "polls": [
            {
                axis: ms_from_us(at_us),
                "broadcast": event.broadcast,
                "offset": event.offset,
                "poll": event.details.get("poll"),
                "question": event.details.get("question"),
            }
            for at_us, event in sorted(polls, key=lambda one: one[0])
        ],
        "pins": [
            {axis: ms_from_us(at_us), "broadcast": event.broadcast, "offset": event.offset, "text": event.text}
            for at_us, event in sorted(pins, key=lambda one: one[0])
        ],
    }


# --- search ------------------------------------------------------------------------------------------------------------


def search_broadcast(
    finder: Finder, room: str, part: Part, words: Sequence[str], *, after: Place | None, limit: int
) -> tuple[list[dict[str, Any]], Place | None]:
    """Hits in a broadcast by (program time, offset), and the place to go on from."""
    found = finder.finding.found(room, part.broadcast, part.within, words, after=after, limit=limit)
    return [_hit(event) for event in found.events], found.reached


def search_recording(
    finder: Finder, room: str, shown: Sequence[Piece], words: Sequence[str], *, after: Place | None, limit: int
) -> tuple[list[dict[str, Any]], Place | None]:
    """Hits in a recording by (position, offset), and the place to go on from.

    Args:
        finder: finds.
        room: the room.
        shown: all pieces of the recording in the order of their positions; those before its start are looked at too.
        words: as they are compared.
        after: only after this (position, offset).
        limit: at most so many.
    """
    hits: list[dict[str, Any]] = []
    looked = 0
    for piece in shown:
        if after is not None and piece.end_us < after[0]:
            continue
        if looked >= _GROUPS_MAX:
            return hits, (piece.position_us, 0)
        looked += 1
        place = None
        if after is not None and piece.position_us <= after[0]:
            place = (piece.program.start_us + after[0] - piece.position_us, after[1])
        found = finder.finding.found(
            room, piece.broadcast, piece.program, words, after=place, limit=max(limit - len(hits), 1)
        )
        hits += [
            _hit(event) | {"position_ms": ms_from_us(piece.position_of(event.program_us))} for event in found.events
        ]
        if found.reached is not None:
            return hits, (piece.position_of(found.reached[0]), found.reached[1])
        if len(hits) >= limit:
            return hits, (piece.end_us, -1)
    return hits, None


def _hit(event: Event) -> dict[str, Any]:
    author = event.author
    return {
        "broadcast": event.broadcast,
        "offset": event.offset,
        "kind": event.kind,
        "program_ms": ms_from_us(event.program_us),
        "author": None if author is None else {"key": author.key, "name": author.name, "role": author.role},
        "text": event.text,
    }
