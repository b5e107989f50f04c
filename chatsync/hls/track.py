"""One run: its closed segments in order, and the two ways through them, by media sequence and by program time.

Owns: ``Run``, ``Segment``, ``Region``, ``Track`` and the rules that date and place a listed segment at its end.
Does not know: other runs, what kind of reload brought a segment. Source: RFC 8216 §4.3.2.6, §6.3.3.

Units: integer µs handed out, ns in sums. ``program_us`` counts from the Unix epoch; ``position_us`` is the sum of durations in the
run from its first known segment, negative for older ones found later.

Segments are kept in append-only columns that snapshots share: a reload costs what it adds, not what is known.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple, TypeVar, overload

import msgspec
from msgspec.structs import replace

from chatsync.hls.playlist import MediaPlaylist, PlaylistSegment, ProgramSource, us_from_ns
from chatsync.instants import Range

__all__ = [
    "Column",
    "OpenSegment",
    "Place",
    "Quality",
    "Region",
    "Run",
    "RunReason",
    "Segment",
    "Span",
    "Tail",
    "Track",
    "first_gap",
    "first_listed",
    "place_in_open",
    "placed_after",
    "placed_before",
    "region_tolerance_us",
    "uri_path",
]

RunReason = Literal["first", "restart", "gap", "variant"]
Quality = Literal["exact", "estimated", "gap"]
T = TypeVar("T")


class Run(msgspec.Struct, frozen=True):
    """One numbering of the origin between restarts."""

    run: int  # from 1
    base_url: str  # final URL of the playlist that opened it
    started_wall_us: int  # wall time at which it was first seen
    reason: RunReason


class Segment(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One closed media segment. (run, media_sequence) is its key; the URI is evidence only."""

    run: int
    media_sequence: int
    uri_path: str  # without scheme, host, query: tokens change between loads
    byte_range: str | None = None  # "length@start"
    duration_us: int  # EXTINF
    position_us: int
    discontinuity_sequence: int = 0  # counted through the history, from the number announced when the run began
    discontinuity: bool = False
    gap: bool = False  # EXT-X-GAP: takes time, has no media
    program_us: int | None = None  # of its first sample; None while the run has no date
    program_source: ProgramSource | None = None
    estimated: bool = False  # date carried over a hole of unknown media or a DISCONTINUITY without date

    @property
    def end_program_us(self) -> int | None:
        """Program time at which it ends, not included."""
        return None if self.program_us is None else self.program_us + self.duration_us


class OpenSegment(msgspec.Struct, frozen=True, kw_only=True):
    """The segment at the edge that has parts but no EXTINF yet; the closed one replaces it."""

    run: int
    media_sequence: int
    duration_us: int  # sum of its parts
    part_count: int
    position_us: int
    discontinuity_sequence: int
    discontinuity: bool
    program_us: int | None
    program_source: ProgramSource | None
    estimated: bool


class Region(msgspec.Struct, frozen=True):
    """A stretch of a run where program time less position is constant within the tolerance."""

    run: int
    media_sequence: int  # of its first segment
    offset_us: int  # program time - position at its first segment
    jump_us: int  # its first date less the end of the segment before; 0 at the start of a run


class Place(msgspec.Struct, frozen=True):
    """Where an instant of program time lies in the media."""

    run: int
    media_sequence: int
    into_segment_us: int
    quality: Quality  # "gap": no media has this instant, it is clamped to the start of the segment that follows


class Column(Sequence[T]):
    """A read-only sequence that grows by making a longer view of the same list.

    Views share one list and each sees its own length of it. Growing the longest view appends in place; growing an older one,
    which makes a branch, copies. Cost: ``extended`` O(added), everything else as for a list.
    """

    __slots__ = ("_items", "_length")

    def __init__(self, items: Iterable[T] = ()) -> None:
        self._items = list(items)
        self._length = len(self._items)

    def extended(self, added: Sequence[T]) -> Column[T]:
        """A view with ``added`` at the end."""
        if not added:
            return self
        longer: Column[T] = Column.__new__(Column)
        longer._items = self._items if len(self._items) == self._length else self._items[: self._length]
        longer._items.extend(added)
        longer._length = self._length + len(added)
        return longer

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...
    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        if isinstance(index, slice):
            start, stop, step = index.indices(self._length)
            return tuple(self._items[start:stop:step]) if step > 0 else tuple(self)[index]
        if index < 0:
            index += self._length
        if not 0 <= index < self._length:
            raise IndexError(index)
        return self._items[index]

    def __iter__(self) -> Iterator[T]:
        items = self._items
        for index in range(self._length):
            yield items[index]


class Tail(NamedTuple):
    """Where a run ends, exact: the next segment begins here."""

    position_ns: int
    program_ns: int | None
    discontinuity_sequence: int
    synthetic: bool
    estimated: bool
    is_guess: bool = False  # after a hole or before any date: what the playlist makes of its own tags is better


class Span(NamedTuple):
    """Program time that a region has, and the hole behind it that counts as rounding."""

    range: Range
    tolerance_us: int


class Track(msgspec.Struct, frozen=True, kw_only=True):
    """The closed segments of one run, with what is needed to search them."""

    run: Run
    segments: Column[Segment] = msgspec.field(default_factory=Column)
    regions: Column[Region] = msgspec.field(default_factory=Column)
    ascents: Column[int] = msgspec.field(default_factory=Column)  # indexes where program time falls back, and the first
    tail: Tail = Tail(0, None, 0, synthetic=False, estimated=False, is_guess=True)
    longest_us: int = 0  # of its segments

    def find(self, media_sequence: int) -> Segment | None:
        """The segment with this number. Cost: none without holes, else O(log segments)."""
        index = self._index(media_sequence)
        if index < len(self.segments) and self.segments[index].media_sequence == media_sequence:
            return self.segments[index]
        return None

    def at_or_after(self, media_sequence: int) -> Segment | None:
        """The segment with this number, or the first one after it."""
        index = self._index(media_sequence)
        return self.segments[index] if index < len(self.segments) else None

    def _index(self, media_sequence: int) -> int:
        """Index of the segment, or of the first one after it."""
        if not self.segments or media_sequence <= (first := self.segments[0].media_sequence):
            return 0
        guess = media_sequence - first  # right unless numbers were missed
        if guess < len(self.segments) and self.segments[guess].media_sequence == media_sequence:
            return guess
        return bisect_left(self.segments, media_sequence, key=_media_sequence)

    # --- searching

    def _ascent(self, number: int) -> tuple[int, int]:
        """First and end index of a stretch whose program starts never fall."""
        end = self.ascents[number + 1] if number + 1 < len(self.ascents) else len(self.segments)
        return self.ascents[number], end

    def places(self, program_us: int) -> Iterator[Place]:
        """Segments that have the instant, newest first."""
        for number in range(len(self.ascents) - 1, -1, -1):
            first, end = self._ascent(number)
            index = bisect_right(self.segments, program_us, first, end, key=_program_us) - 1
            if index < first:
                continue
            place = self._place_at(index, end, program_us)
            if place is not None:
                yield place
            yield from self._places_before(index, first, program_us)

    def _place_at(self, index: int, end: int, program_us: int) -> Place | None:
        """The place in the last segment that starts by the instant, or at the start of the next across a rounding hole."""
        segment = self.segments[index]
        into_us = program_us - _program_us(segment)
        if into_us < segment.duration_us:
            return Place(segment.run, segment.media_sequence, into_us, _quality(segment))
        if index + 1 < end:
            following = self.segments[index + 1]
            hole_us = _program_us(following) - _program_us(segment) - segment.duration_us
            if hole_us <= region_tolerance_us(segment.duration_us):
                return Place(following.run, following.media_sequence, 0, _quality(following))
        return None

    def _places_before(self, index: int, first: int, program_us: int) -> Iterator[Place]:
        """Older segments that run on past the start of a newer one, by more than rounding unless no newer one has the instant."""
        newest = self.segments[index]
        is_covered = program_us < _program_us(newest) + newest.duration_us
        while index > first:
            segment, newer = self.segments[index - 1], self.segments[index]
            start_us = _program_us(segment)
            end_us = start_us + segment.duration_us
            if start_us <= program_us - self.longest_us:
                return
            overlap_us = end_us - _program_us(newer)
            if end_us > program_us and not (is_covered and overlap_us <= region_tolerance_us(segment.duration_us)):
                is_covered = True
                yield Place(segment.run, segment.media_sequence, program_us - start_us, _quality(segment))
            index -= 1

    def first_after(self, program_us: int) -> Segment | None:
        """The segment with the smallest start after the instant."""
        found: Segment | None = None
        for number in range(len(self.ascents)):
            first, end = self._ascent(number)
            index = bisect_right(self.segments, program_us, first, end, key=_program_us)
            if index < end and (found is None or _program_us(self.segments[index]) <= _program_us(found)):
                found = self.segments[index]
        return found

    def begins_by(self, program_us: int) -> bool:
        """Whether any segment starts at or before the instant."""
        return any(_program_us(self.segments[index]) <= program_us for index in self.ascents)

    def spans(self) -> Iterator[Span]:
        """Program time that the segments have, region by region."""
        for number, region in enumerate(self.regions):
            first = self._index(region.media_sequence)
            is_last = number + 1 == len(self.regions)
            end = len(self.segments) if is_last else self._index(self.regions[number + 1].media_sequence)
            start_us, last = _program_us(self.segments[first]), self.segments[end - 1]
            end_us = max(start_us, _program_us(last) + last.duration_us)
            yield Span(Range(start_us, end_us), region_tolerance_us(last.duration_us))

    # --- growing

    def following(self, listed: Sequence[PlaylistSegment]) -> tuple[list[Segment], Tail]:
        """Listed segments as they stand at the end of the run, and where it then ends."""
        tail = self.tail
        trust_playlist = tail.is_guess
        added: list[Segment] = []
        for segment in listed:
            made, tail = _placed(self.run.run, segment, tail, trust_playlist=trust_playlist)
            added.append(made)
        return added, tail

    def open(self, listed: PlaylistSegment) -> OpenSegment:
        """The open segment as it stands at the end of the run."""
        made, _ = _placed(self.run.run, listed, self.tail, trust_playlist=self.tail.is_guess)
        return OpenSegment(
            run=made.run,
            media_sequence=made.media_sequence,
            duration_us=made.duration_us,
            part_count=len(listed.parts),
            position_us=made.position_us,
            discontinuity_sequence=made.discontinuity_sequence,
            discontinuity=made.discontinuity,
            program_us=made.program_us,
            program_source=made.program_source,
            estimated=made.estimated,
        )

    def appended(self, added: Sequence[Segment], tail: Tail | None = None) -> Track:
        """The run with segments at its end; without ``tail`` it ends where the last of them does."""
        if not added:
            return self if tail is None else replace(self, tail=tail)
        regions: list[Region] = []
        ascents: list[int] = []
        previous = self.segments[-1] if self.segments else None
        region = self.regions[-1] if self.regions else None
        for index, segment in enumerate(added, len(self.segments)):
            if segment.program_us is not None:
                if previous is None or previous.program_us is None or segment.program_us < previous.program_us:
                    ascents.append(index)
                opened = _opened_region(region, previous, segment)
                if opened is not None:
                    region = opened
                    regions.append(opened)
            previous = segment
        return Track(
            run=self.run,
            segments=self.segments.extended(added),
            regions=self.regions.extended(regions),
            ascents=self.ascents.extended(ascents),
            tail=tail or _tail_after(added[-1]),
            longest_us=max([self.longest_us, *(segment.duration_us for segment in added)]),
        )

    def after_hole(self, hole_us: int, announced: int | None) -> Track:
        """The run, its end moved over media that was never seen; ``announced`` is the discontinuity sequence behind it."""
        tail = self.tail
        moved = tail._replace(
            position_ns=tail.position_ns + hole_us * 1000,
            program_ns=None if tail.program_ns is None else tail.program_ns + hole_us * 1000,
            discontinuity_sequence=max(tail.discontinuity_sequence, announced or 0),
            estimated=True,
            is_guess=True,
        )
        return replace(self, tail=moved)


def _placed(run: int, listed: PlaylistSegment, tail: Tail, *, trust_playlist: bool) -> tuple[Segment, Tail]:
    """A listed segment at the end of a run, and the end after it.

    Its own tag dates it; else it goes on from the segment before. ``trust_playlist`` takes instead what its playlist makes of the
    tags in it, if there are any: the history has nothing better at the start of a run and after a hole.
    """
    sequence = tail.discontinuity_sequence + listed.discontinuity_count
    program_ns, source, estimated = listed.program_ns, listed.program_source, listed.across_discontinuity
    synthetic = False
    follows_playlist = source == "explicit" or (trust_playlist and program_ns is not None)
    if not follows_playlist and tail.program_ns is not None:
        program_ns, synthetic = tail.program_ns, tail.synthetic
        source = "synthetic" if synthetic else "forward"
        estimated = tail.estimated or listed.discontinuity
    end_ns = None if program_ns is None else program_ns + listed.duration_ns
    segment = Segment(
        run=run,
        media_sequence=listed.media_sequence,
        uri_path=uri_path(listed.uri or ""),
        byte_range=listed.byte_range,
        duration_us=listed.duration_us,
        position_us=us_from_ns(tail.position_ns),
        discontinuity_sequence=sequence,
        discontinuity=listed.discontinuity,
        gap=listed.gap,
        program_us=None if program_ns is None else us_from_ns(program_ns),
        program_source=source,
        estimated=estimated,
    )
    return segment, Tail(tail.position_ns + listed.duration_ns, end_ns, sequence, synthetic, estimated)


def placed_before(listed: PlaylistSegment, first: Segment) -> Segment:
    """A listed segment in front of the first known one: own date, else on from the tag before it, else backward from there."""
    program_us, source, estimated = listed.program_us, listed.program_source, listed.across_discontinuity
    if source not in {"explicit", "forward"}:
        program_us = None if first.program_us is None else first.program_us - listed.duration_us
        source = None if program_us is None else "synthetic" if first.program_source == "synthetic" else "backward"
        estimated = first.discontinuity or first.estimated
    return Segment(
        run=first.run,
        media_sequence=listed.media_sequence,
        uri_path=uri_path(listed.uri or ""),
        byte_range=listed.byte_range,
        duration_us=listed.duration_us,
        position_us=first.position_us - listed.duration_us,
        discontinuity_sequence=first.discontinuity_sequence - first.discontinuity,
        discontinuity=listed.discontinuity,
        gap=listed.gap,
        program_us=program_us,
        program_source=source,
        estimated=estimated,
    )


def placed_after(listed: PlaylistSegment, before: Segment) -> Segment:
    """A listed segment right behind a known one: own date, else forward from there."""
    at_end = _tail_after(before)
    placed, _ = _placed(before.run, listed, at_end, trust_playlist=at_end.program_ns is None)
    return placed


def _tail_after(last: Segment) -> Tail:
    """The end of a run as far as its last row tells: to the µs."""
    end_us = last.end_program_us
    return Tail(
        (last.position_us + last.duration_us) * 1000,
        None if end_us is None else end_us * 1000,
        last.discontinuity_sequence,
        last.program_source == "synthetic",
        last.estimated,
    )


def _opened_region(region: Region | None, previous: Segment | None, segment: Segment) -> Region | None:
    """The region that begins with the segment, or None if it goes on in the one before."""
    offset_us = _program_us(segment) - segment.position_us
    if region is None or previous is None or previous.program_us is None:
        return Region(segment.run, segment.media_sequence, offset_us, 0)
    jump_us = _program_us(segment) - _program_us(previous) - previous.duration_us
    tolerance_us = region_tolerance_us(previous.duration_us)
    if abs(offset_us - region.offset_us) <= tolerance_us and abs(jump_us) <= tolerance_us:
        return None
    return Region(segment.run, segment.media_sequence, offset_us, jump_us)


def place_in_open(part: OpenSegment, program_us: int) -> Iterator[Place]:
    """The place of an instant in the parts of the open segment, if it lies there."""
    if part.program_us is not None and part.program_us <= program_us < part.program_us + part.duration_us:
        yield Place(
            part.run, part.media_sequence, program_us - part.program_us, "estimated" if part.estimated else "exact"
        )


def first_gap(segments: Sequence[Segment]) -> Range | None:
    """The first jump forward between segments in a row that is more than rounding."""
    for previous, segment in pairwise(segments):
        end_us = previous.end_program_us
        if end_us is None or segment.program_us is None:
            continue
        if segment.program_us - end_us > region_tolerance_us(previous.duration_us):
            return Range(end_us, segment.program_us)
    return None


def first_listed(playlist: MediaPlaylist) -> PlaylistSegment:
    """The first segment a playlist shows, the open one if no other; it must show one."""
    first = playlist.segments[0] if playlist.segments else playlist.open_segment
    assert first is not None
    return first


def _quality(segment: Segment) -> Quality:
    return "estimated" if segment.estimated else "exact"


def _media_sequence(segment: Segment) -> int:
    return segment.media_sequence


def _program_us(segment: Segment) -> int:
    assert segment.program_us is not None
    return segment.program_us


def region_tolerance_us(duration_us: int) -> int:
    """Differences up to this are rounding, not a jump: 100 ms or 2 % of EXTINF, whichever is more."""
    return max(100_000, duration_us // 50)


def uri_path(uri: str) -> str:
    """The path of a URI as written, without scheme, host, query and fragment."""
    path = uri.partition("#")[0].partition("?")[0]
    _, scheme, rest = path.partition("://")
    return "/" + rest.partition("/")[2] if scheme else path
