"""Which stretch of a recording shows which stretch of program time, found by whatever its playlist still tells.

Owns: the order of the methods, what is taken for an insert, the scores. Does not know: rooms, rows, HTTP.
Units: µs; positions are sums of EXTINF, kept in ns until they are handed out. Source: contract §4, hls-timing §8 and §9,
decision 0009.

Each segment is placed by the first method that can: the date in the recording's own playlist, its URI among known ones, the
pattern of durations it stands in, or a start that somebody gave. What no method places is an insert.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import msgspec

from chatsync.hls.fingerprint import chains
from chatsync.hls.known import Library, Listed, uri_matches
from chatsync.hls.playlist import MediaPlaylist, PlaylistSegment
from chatsync.hls.spans import DRIFT_US_MAX, Method, Span
from chatsync.hls.timeline import PLAUSIBLE_DATES
from chatsync.hls.track import region_tolerance_us
from chatsync.instants import MS_US

__all__ = ["aligned", "by_offset", "listed_media"]

_ROUNDED_SCORE = 0.9  # of a fingerprint that is equal to the ms only
_OFFSET_SCORE = 0.5  # of a start that was given: nothing in the recording speaks for it


class _Placed(msgspec.Struct, kw_only=True):
    """A segment with its program time."""

    broadcast: int
    program_us: int
    method: Method
    weight: float  # 0 to 1: how far it speaks for its span
    duration_us: int | None = None  # shorter than the segment: the rest of it is an insert
    is_anchor: bool = True  # it rests on its own evidence, not on a segment across a discontinuity


class _Row(NamedTuple):
    """A segment of the recording."""

    segment: PlaylistSegment
    position_us: int
    duration_us: int
    block: int  # counts discontinuities
    listed: Listed


def aligned(playlist: MediaPlaylist, library: Library) -> tuple[Span, ...]:
    """Spans of a recording from its playlist.

    1. ``program_date_time``: a plausible date that lies in a broadcast. Each segment is placed by its own date, and one without by
       the nearest date between the same discontinuities. Score: the share that rests on no guess across a discontinuity.
    2. ``segment_uri``: file name and byte range of a known segment of about the same duration. Score: the share whose
       duration is the same to the ms and whose known program time is no estimate.
    3. ``extinf_fingerprint``: durations of five or more segments in a row that occur only once in all that is known. Score:
       1 - 2^-n for n changes of duration, 0.9 of that if they agree only when rounded to ms.

    A stretch between discontinuities without a date of its own is an insert if the dates around it do not count it, or if nothing
    follows or precedes it and it lies in another folder; if they do count it, it replaced the programme and chat runs on.

    Args:
        playlist: the recording's media playlist.
        library: what the room knows.

    Returns:
        Spans in order of position, without overlap in position; none if nothing fits.

    Cost: O(segments + known segments), a fingerprint some twenty times that.
    """
    playlist = playlist.with_dates_within(PLAUSIBLE_DATES)
    rows = _rows(playlist)
    placed: list[_Placed | None] = [None] * len(rows)
    _place_by_dates(rows, library, placed)
    needs_uris = [index for index, row in enumerate(rows) if not _is_dated(row, placed[index])]
    matches = uri_matches([row.listed for row in rows], library) if needs_uris and library.segments else []
    for index in needs_uris if matches else ():
        _place_by_uri(rows[index], index, matches, library, placed)
    inserts = _judge_undated(rows, placed, matches)
    if any(one is None for one in placed) and library.segments:
        _place_by_fingerprint(rows, library, placed, inserts)
    return _spans(rows, placed)


def by_offset(
    library: Library, broadcast: int, program_us: int, duration_us: int, *, position_us: int = 0
) -> tuple[Span, ...]:
    """The one span of a recording of which only the start is known.

    Score: half the share of it for which the room knows media, since nothing in the recording was compared.
    """
    end_us = program_us + duration_us
    covered_us, until_us = 0, program_us
    of_it = (one for one in library.segments if one.broadcast == broadcast)
    for segment in sorted(of_it, key=lambda one: one.program_us):
        start_us = max(segment.program_us, until_us)
        stop_us = min(segment.program_us + segment.duration_us, end_us)
        if start_us < stop_us:
            covered_us, until_us = covered_us + stop_us - start_us, stop_us
    return (
        Span(
            position_us=position_us,
            duration_us=duration_us,
            broadcast=broadcast,
            program_us=program_us,
            method="offset",
            score=round(_OFFSET_SCORE * covered_us / duration_us, 3),
        ),
    )


def listed_media(playlist: MediaPlaylist) -> list[tuple[Listed, int]]:
    """What tells the segments of a recording from others, each with its position."""
    return [(row.listed, row.position_us) for row in _rows(playlist)]


# --- dates -----------------------------------------------------------------------------------------------------------


def _rows(playlist: MediaPlaylist) -> list[_Row]:
    rows = []
    position_ns, block = 0, 0
    for segment in playlist.segments:
        position_us, position_ns = _us(position_ns), position_ns + segment.duration_ns
        block += segment.discontinuity
        listed = Listed(segment.uri or "", segment.byte_range, segment.duration_us)
        rows.append(_Row(segment, position_us, _us(position_ns) - position_us, block, listed))
    return rows


def _blocks(rows: Sequence[_Row]) -> Iterator[range]:
    """Stretches between discontinuities."""
    first = 0
    for index in range(1, len(rows) + 1):
        if index == len(rows) or rows[index].block != rows[first].block:
            yield range(first, index)
            first = index


def _place_by_dates(rows: Sequence[_Row], library: Library, placed: list[_Placed | None]) -> None:
    before: tuple[int, int] | None = None
    for block in _blocks(rows):
        explicit = [index for index in block if rows[index].segment.program_source == "explicit"]
        first_date = explicit[0] if explicit else None
        for index in block:
            row = rows[index]
            program_us = row.segment.program_us
            if program_us is None:
                return  # one segment has a date only if all have
            if (
                first_date is not None and index < first_date
            ):  # backward within its block, not forward across the discontinuity
                dated = rows[first_date]
                program_us = (dated.segment.program_us or 0) - (dated.position_us - row.position_us)
            broadcast = library.broadcast_at(program_us, row.listed, row.segment.media_sequence, before)
            if broadcast is None:
                before = None
                continue
            is_sure = bool(explicit) or (
                row.segment.program_source != "explicit" and not row.segment.across_discontinuity
            )
            placed[index] = _Placed(
                broadcast=broadcast,
                program_us=program_us,
                method="program_date_time",
                weight=float(is_sure),
                is_anchor=is_sure,
            )
            before = broadcast, program_us + row.duration_us


def _is_dated(row: _Row, placed: _Placed | None) -> bool:
    """Whether a segment's own date placed it."""
    return placed is not None and row.segment.program_source == "explicit"


# --- URIs ------------------------------------------------------------------------------------------------------------


def _place_by_uri(
    row: _Row, index: int, matches: Sequence[int | None], library: Library, placed: list[_Placed | None]
) -> None:
    match = matches[index]
    if match is None:
        return
    known = library.segments[match]
    dated = placed[index]
    agrees = dated is not None and abs(dated.program_us - known.program_us) <= region_tolerance_us(row.duration_us)
    if dated is not None and agrees and dated.broadcast == known.broadcast:
        dated.weight, dated.is_anchor = 1.0, True  # its URI confirms the date that was carried to it
        return
    is_equal = abs(known.duration_us - row.duration_us) <= MS_US
    placed[index] = _Placed(
        broadcast=known.broadcast,
        program_us=known.program_us,
        method="segment_uri",
        weight=float(is_equal and not known.estimated),
    )


# --- inserts ---------------------------------------------------------------------------------------------------------


def _judge_undated(rows: Sequence[_Row], placed: list[_Placed | None], matches: Sequence[int | None]) -> set[int]:
    """Decide on stretches whose dates were carried to them: the programme, what replaced it, or an insert.

    Returns:
        The indexes that are inserts; they are taken out of ``placed``.
    """
    are_uris_telling = 2 * sum(match is not None for match in matches) >= len(rows) > 0
    doubtful = []
    for index, (row, one) in enumerate(zip(rows, placed, strict=True)):
        is_unknown = are_uris_telling and bool(matches) and matches[index] is None and not _is_dated(row, one)
        doubtful.append(one is not None and (not one.is_anchor or is_unknown))
    for index in _from_elsewhere(rows):
        doubtful[index] = placed[index] is not None and matches[index : index + 1] in ([], [None])
    folders = {_folder(row) for index, row in enumerate(rows) if placed[index] is not None and not doubtful[index]}
    inserts: set[int] = set()
    index = 0
    while index < len(rows):
        if not doubtful[index]:
            index += 1
            continue
        end = index
        while end < len(rows) and doubtful[end]:
            end += 1
        before, after = placed[index - 1] if index else None, placed[end] if end < len(rows) else None
        if before is None or after is None:
            inserts |= {at for at in range(index, end) if folders and _folder(rows[at]) not in folders}
        else:
            inserts |= _inserted(range(index, end), rows, placed, before, after)
        index = end
    for at in inserts:
        placed[at] = None
    return inserts


def _from_elsewhere(rows: Sequence[_Row]) -> Iterator[int]:
    """Undated segments between two dates, in a folder where no dated one lies: an advertisement without a discontinuity, perhaps."""
    dated = [index for index, row in enumerate(rows) if row.segment.program_source == "explicit"]
    folders = {_folder(rows[index]) for index in dated}
    for before, after in pairwise(dated):
        yield from (index for index in range(before + 1, after) if _folder(rows[index]) not in folders)


def _inserted(
    stretch: range, rows: Sequence[_Row], placed: list[_Placed | None], before: _Placed, after: _Placed
) -> set[int]:
    """Which segments of a stretch between placed ones are an insert: all, or what is longer than the time it replaced."""
    start_us = before.program_us + rows[stretch[0] - 1].duration_us
    length_us = rows[stretch[-1]].position_us + rows[stretch[-1]].duration_us - rows[stretch[0]].position_us
    counted_us = after.program_us - start_us
    if before.broadcast != after.broadcast or 2 * counted_us < length_us:
        return set(stretch)
    over = set()
    for index in stretch:
        one = placed[index]
        assert one is not None
        left_us = after.program_us - one.program_us
        if left_us <= 0:
            over.add(index)
        elif left_us < rows[index].duration_us - region_tolerance_us(rows[index].duration_us):
            one.duration_us = left_us
    return over


def _folder(row: _Row) -> str:
    """Host and folder of a segment, as written."""
    return row.listed.uri.partition("?")[0].rpartition("/")[0]


# --- durations -------------------------------------------------------------------------------------------------------


def _place_by_fingerprint(
    rows: Sequence[_Row], library: Library, placed: list[_Placed | None], inserts: set[int]
) -> None:
    durations = [
        row.listed.duration_us if placed[index] is None and index not in inserts else None
        for index, row in enumerate(rows)
    ]
    found = chains(durations, library)
    for chain in found:
        weight = (1 - 2.0**-chain.changes) * (1.0 if chain.unit_us == 1 else _ROUNDED_SCORE)
        for index in range(chain.length):
            known = library.segments[chain.known + index]
            placed[chain.first + index] = _Placed(
                broadcast=known.broadcast, program_us=known.program_us, method="extinf_fingerprint", weight=weight
            )
    if found:
        _place_cut_segments(rows, library, placed, inserts, {chain.first: chain.known for chain in found})


def _place_cut_segments(
    rows: Sequence[_Row],
    library: Library,
    placed: list[_Placed | None],
    inserts: set[int],
    starts: dict[int, int],
) -> None:
    """The first and last segment of a recording that was cut within a segment: shorter than the known one there."""
    first = placed[1] if len(rows) > 1 else None
    if placed[0] is None and 0 not in inserts and 1 in starts and first is not None:
        known = starts[1] - 1
        if known >= 0 and library.goes_on(known) and rows[0].duration_us < library.segments[known].duration_us:
            placed[0] = msgspec.structs.replace(first, program_us=first.program_us - rows[0].duration_us)
    last, before = len(rows) - 1, placed[-2] if len(rows) > 1 else None
    if placed[last] is None and last not in inserts and before is not None and before.method == "extinf_fingerprint":
        start = max((one for one in starts if one < last), default=None)
        if start is None:
            return
        known = starts[start] + last - 1 - start
        if library.goes_on(known) and rows[last].duration_us < library.segments[known + 1].duration_us:
            placed[last] = msgspec.structs.replace(before, program_us=library.segments[known + 1].program_us)


# --- spans -----------------------------------------------------------------------------------------------------------


class _Stretch:
    """A span while it grows."""

    def __init__(self, row: _Row, placed: _Placed) -> None:
        self._first, self._position_us = placed, row.position_us
        self._end_us = row.position_us
        self._weight_us = 0.0

    def goes_on(self, row: _Row, placed: _Placed) -> bool:
        """Whether the next segment continues it within the drift allowed."""
        if row.position_us != self._end_us:
            return False
        if (placed.broadcast, placed.method) != (self._first.broadcast, self._first.method):
            return False
        ahead_us = placed.program_us - self._first.program_us - (row.position_us - self._position_us)
        return abs(ahead_us) <= DRIFT_US_MAX

    def add(self, row: _Row, placed: _Placed) -> None:
        """Take in a segment."""
        duration_us = row.duration_us if placed.duration_us is None else placed.duration_us
        self._weight_us += placed.weight * duration_us
        self._end_us = row.position_us + duration_us

    def span(self) -> Span:
        """What it became."""
        duration_us = self._end_us - self._position_us
        return Span(
            position_us=self._position_us,
            duration_us=duration_us,
            broadcast=self._first.broadcast,
            program_us=self._first.program_us,
            method=self._first.method,
            score=round(self._weight_us / duration_us, 3) if duration_us else 0.0,
        )


def _spans(rows: Sequence[_Row], placed: Sequence[_Placed | None]) -> tuple[Span, ...]:
    spans: list[Span] = []
    stretch: _Stretch | None = None
    for row, one in zip(rows, placed, strict=True):
        if stretch is not None and (one is None or not stretch.goes_on(row, one)):
            spans.append(stretch.span())
            stretch = None
        if one is not None:
            stretch = stretch or _Stretch(row, one)
            stretch.add(row, one)
    if stretch is not None:
        spans.append(stretch.span())
    return tuple(span for span in spans if span.duration_us)


def _us(instant_ns: int) -> int:
    return (instant_ns + 500) // 1000
