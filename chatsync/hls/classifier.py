"""What an answer of the origin is, compared with what is known: the reload classifier, and what an answer changes of it.

Owns: the order of the tests, and every threshold in them. Does not know: other runs than the newest, how a timeline is kept.
Units: µs. Source: RFC 8216 §6.2.1-6.2.2, §6.3.4; bis §6.2.5.1 for delta updates.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping
from typing import Literal, NamedTuple

from msgspec.structs import replace

from chatsync.hls.playlist import MediaPlaylist, PlaylistSegment, ProgramSource, Warned, us_from_ns
from chatsync.hls.track import Column, OpenSegment, Segment, Track, first_listed, placed_after, placed_before, uri_path
from chatsync.instants import SECOND_US

__all__ = [
    "TARGET_DURATION_US",
    "Known",
    "ReloadKind",
    "corrected",
    "doubted",
    "filled",
    "gap_fits",
    "hole_us",
    "kind_of",
    "prepended",
    "redated",
    "revised",
    "revised_dates",
]

SAME_DURATION_US = 1_000  # EXTINF of one segment may be written with other precision later
DATE_SHIFT_US = SECOND_US  # all dates of known segments off by more than this: another encoder, not a correction
REVISED_DATE_US = 1_000  # explicit dates of one segment differing by more are worth a warning
TARGET_DURATION_US = 6 * SECOND_US  # taken when the origin does not say; the value RFC 8216bis recommends

ReloadKind = Literal[
    "first", "same", "parts", "advance", "shrink", "delta", "gap", "stale", "revise", "restart", "refetch", "malformed"
]


class Known(NamedTuple):
    """What the classifier needs to know of the newest run."""

    track: Track
    open_segment: OpenSegment | None
    ended: bool
    window_first: int | None  # EXT-X-MEDIA-SEQUENCE of the last answer taken; None after a restart of ours
    wall_us: int | None  # wall time of the last answer taken
    edge_position_us: int  # of the live edge

    @property
    def last_media_sequence(self) -> int:
        """Number of the newest closed segment; one before the open one if none is closed."""
        if self.track.segments:
            return self.track.segments[-1].media_sequence
        return -1 if self.open_segment is None else self.open_segment.media_sequence - 1

    def missed(self, playlist: MediaPlaylist) -> int:
        """Count of segments between what is known and what is listed."""
        return playlist.first_media_sequence - self.last_media_sequence - 1


def kind_of(known: Known, playlist: MediaPlaylist, wall_us: int) -> ReloadKind:
    """The word for an answer that lists media, when some is known already. Cost: O(segments listed)."""
    likeness = _likeness(known.track, playlist)
    is_delta = playlist.is_delta
    if not playlist.numbering_sure and (is_delta or likeness.differs or not likeness.overlap):
        return "malformed"
    if likeness.differs:
        return "refetch" if is_delta else "restart"
    if known.missed(playlist) > 0:
        return "refetch" if is_delta else "gap"
    if _listed_last(playlist) < known.last_media_sequence:
        return _kind_of_older(known, playlist, likeness, wall_us)
    return _kind_of_newer(known, playlist)


def _kind_of_older(known: Known, playlist: MediaPlaylist, likeness: _Likeness, wall_us: int) -> ReloadKind:
    """A list that ends before what is known: an older copy, or an encoder that started again."""
    if likeness.overlap:
        is_copy = likeness.same_dates or not _left_window_long_ago(known, playlist, wall_us)
    else:
        is_copy = _fits_before(known.track, playlist)
    if is_copy:
        return "stale"
    return "refetch" if playlist.is_delta else "restart"


def _kind_of_newer(known: Known, playlist: MediaPlaylist) -> ReloadKind:
    """A list that ends where what is known does, or after it."""
    advanced = _listed_last(playlist) > known.last_media_sequence
    parts_more = _listed_part_count(playlist) - _known_part_count(known, playlist)
    if not advanced and parts_more < 0:
        return "stale"
    if known.ended and not playlist.endlist and not advanced and parts_more <= 0:
        return "stale"  # a copy from just before ENDLIST; only new media takes the end back
    if playlist.is_delta:
        return "delta"
    if advanced or _lists_older(known, playlist):
        return "advance"
    if parts_more > 0:
        return "parts"
    if _is_revised(known, playlist):
        return "revise"
    if known.window_first is not None and playlist.media_sequence > known.window_first:
        return "shrink"
    return "same"


def _listed_last(playlist: MediaPlaylist) -> int:
    return playlist.first_media_sequence + len(playlist.segments) - 1


def _listed_part_count(playlist: MediaPlaylist) -> int:
    return 0 if playlist.open_segment is None else len(playlist.open_segment.parts)


def _known_part_count(known: Known, playlist: MediaPlaylist) -> int:
    part = known.open_segment
    return part.part_count if part is not None and part.media_sequence == _listed_last(playlist) + 1 else 0


def _lists_older(known: Known, playlist: MediaPlaylist) -> bool:
    """Whether media is listed that was missed: before the first known segment, or in a hole between."""
    segments = known.track.segments
    if not segments or not playlist.segments:
        return False
    return playlist.first_media_sequence < segments[0].media_sequence or bool(_in_holes(known.track, playlist))


def _is_revised(known: Known, playlist: MediaPlaylist) -> bool:
    listed, part = playlist.open_segment, known.open_segment
    if listed is not None and part is not None and listed.discontinuity and not part.discontinuity:
        return True
    return any(
        _revised(segment, described) is not segment for segment, described in _overlapping(known.track, playlist)
    )


# --- comparing ---


class _Likeness(NamedTuple):
    """How what is listed compares with what is known under the same numbers."""

    overlap: int  # segments known and listed
    differs: bool  # most of them are other media, or all dates are another encoder's
    same_dates: bool  # dates could be compared and agree


def _likeness(track: Track, playlist: MediaPlaylist) -> _Likeness:
    overlap = unequal = comparable = shifted = 0
    for known, listed in _overlapping(track, playlist):
        overlap += 1
        unequal += not _is_same_media(known, listed)
        if known.program_source == listed.program_source == "explicit":
            comparable += 1
            shifted += abs(_date_shift_us(known, listed)) > DATE_SHIFT_US
    differs = unequal * 2 > overlap or (comparable > 0 and shifted == comparable)
    return _Likeness(overlap, differs, same_dates=comparable > shifted)


def _overlapping(track: Track, playlist: MediaPlaylist) -> Iterator[tuple[Segment, PlaylistSegment]]:
    """Closed segments both known and listed, in order."""
    if not track.segments:
        return
    first, last = track.segments[0].media_sequence, track.segments[-1].media_sequence
    start = max(first - playlist.first_media_sequence, 0)
    for listed in playlist.segments[start:]:
        if listed.media_sequence > last:
            return
        known = track.find(listed.media_sequence)
        if known is not None:
            yield known, listed


def _is_same_media(known: Segment, listed: PlaylistSegment) -> bool:
    """Same resource as far as one can tell: a path may differ in front of its last part, where some origins put tokens."""
    if known.byte_range != listed.byte_range or not _is_same_length(known, listed):
        return False
    name, listed_name = known.uri_path.rpartition("/")[2], uri_path(listed.uri or "").rpartition("/")[2]
    return not (name and listed_name) or name == listed_name  # a name that was lost may have been any


def _is_same_length(known: Segment, listed: PlaylistSegment) -> bool:
    return listed.duration_estimated or abs(known.duration_us - listed.duration_us) <= SAME_DURATION_US


def _date_shift_us(known: Segment, listed: PlaylistSegment) -> int:
    return (listed.program_us or 0) - (known.program_us or 0)


def _revised(known: Segment, listed: PlaylistSegment) -> Segment:
    """The segment with its media described as listed; itself if nothing that counts differs.

    A discontinuity can only come, not go: its tag leaves the playlist before its segment does.
    """
    path = uri_path(listed.uri or "")
    same_name = not path or known.uri_path.rpartition("/")[2] == path.rpartition("/")[2]
    discontinuity = known.discontinuity or listed.discontinuity
    if same_name and known.byte_range == listed.byte_range:
        if known.gap == listed.gap and known.discontinuity == discontinuity:
            return known
        path = known.uri_path
    return replace(known, uri_path=path, byte_range=listed.byte_range, gap=listed.gap, discontinuity=discontinuity)


def revised_dates(track: Track, playlist: MediaPlaylist) -> tuple[Warned, ...]:
    """A warning if dates of known segments changed; the first date of a segment stays."""
    changed = [
        known
        for known, listed in _overlapping(track, playlist)
        if known.program_source == listed.program_source == "explicit"
        and abs(_date_shift_us(known, listed)) > REVISED_DATE_US
    ]
    if not changed:
        return ()
    reason = (
        f"dates of {len(changed)} known segments changed, the first of {changed[0].media_sequence}; kept as they were"
    )
    return (Warned(0, "#EXT-X-PROGRAM-DATE-TIME", reason),)


def _fits_before(track: Track, playlist: MediaPlaylist) -> bool:
    """Whether listed segments with lower numbers are older media of the same run: their dates end where numbers say."""
    if not playlist.segments:
        return False
    last = playlist.segments[-1]
    first = track.at_or_after(last.media_sequence + 1)
    if first is None or first.program_us is None or last.program_us is None:
        return False
    missed_us = (first.media_sequence - last.media_sequence - 1) * _mean_duration_us(playlist)
    delta_us = first.program_us - (last.program_us + last.duration_us)
    return abs(delta_us - missed_us) <= missed_us // 2 + last.duration_us


def _left_window_long_ago(known: Known, playlist: MediaPlaylist, wall_us: int) -> bool:
    """Whether the newest listed segment left the window longer ago than a cache may be behind: window + 3 target durations.

    A live window moves at 1x, so the time since is the media between, plus the wall time since the last answer.
    """
    newest = known.track.find(_listed_last(playlist))
    if newest is None:
        return False
    window_us = sum(segment.duration_us for segment in playlist.segments)
    if known.window_first is not None and (first := known.track.at_or_after(known.window_first)) is not None:
        window_us = known.edge_position_us - first.position_us
    since_us = known.edge_position_us - (newest.position_us + newest.duration_us) - window_us
    since_us += 0 if known.wall_us is None else wall_us - known.wall_us
    return since_us > window_us + 3 * (playlist.target_duration_us or TARGET_DURATION_US)


# --- holes ---------------------------------------------------------------------------------------------------------------


def gap_fits(known: Known, playlist: MediaPlaylist, wall_us: int) -> bool:
    """Whether the numbers missed can be the time missed: within half by dates, else not more than wall time allows."""
    missed_us = known.missed(playlist) * _mean_duration_us(playlist)
    delta_us = _hole_by_dates_us(known.track, playlist)
    if delta_us is not None:
        return abs(delta_us - missed_us) <= missed_us // 2
    if known.wall_us is None:
        return True
    listed_us = sum(segment.duration_us for segment in playlist.segments)
    slack_us = 10 * (playlist.target_duration_us or TARGET_DURATION_US)
    return missed_us + listed_us <= 3 * (wall_us - known.wall_us) // 2 + slack_us


def hole_us(known: Known, playlist: MediaPlaylist, wall_us: int) -> int:
    """Length of media missed: by dates, else by wall time if that is plausible, else by count."""
    delta_us = _hole_by_dates_us(known.track, playlist)
    if delta_us is not None:
        return delta_us
    by_count_us = known.missed(playlist) * _mean_duration_us(playlist)
    if known.wall_us is None:
        return by_count_us
    by_wall_us = wall_us - known.wall_us - sum(segment.duration_us for segment in playlist.segments)
    return by_wall_us if abs(by_wall_us - by_count_us) <= by_count_us // 2 else by_count_us


def _hole_by_dates_us(track: Track, playlist: MediaPlaylist) -> int | None:
    first_ns, end_ns = first_listed(playlist).program_ns, track.tail.program_ns
    if first_ns is None or end_ns is None or track.tail.synthetic:
        return None
    return us_from_ns(first_ns - end_ns)


def _mean_duration_us(playlist: MediaPlaylist) -> int:
    if not playlist.segments:
        return playlist.target_duration_us or TARGET_DURATION_US
    return sum(segment.duration_us for segment in playlist.segments) // len(playlist.segments)


# --- changing what is known ------------------------------------------------------------------------------------------------


def redated(track: Track, playlist: MediaPlaylist) -> tuple[Track, tuple[Segment, ...]]:
    """The run dated back from the first date it was ever given, and its segments; unchanged if its origin has dated it.

    The first tag dates everything before it in the run (RFC 8216 §6.3.3), and takes the place of a synthetic axis.
    """
    if not playlist.has_dates or not track.segments or (track.tail.program_ns is not None and not track.tail.synthetic):
        return track, ()
    anchor = first_listed(playlist)
    known = track.find(anchor.media_sequence)
    position_ns = track.tail.position_ns if known is None else known.position_us * 1000
    offset_ns = (anchor.program_ns or 0) - position_ns
    listed = {segment.media_sequence: segment for segment in playlist.segments}
    dated: list[Segment] = []
    across = anchor.discontinuity or anchor.across_discontinuity
    for segment in reversed(track.segments):
        own = listed.get(segment.media_sequence)
        if own is not None:
            dated.append(_dated(segment, own.program_us, own.program_source, estimated=own.across_discontinuity))
            continue
        program_us = us_from_ns(segment.position_us * 1000 + offset_ns)
        dated.append(_dated(segment, program_us, "backward", estimated=across))
        across = across or segment.discontinuity
    dated.reverse()
    last = listed.get(dated[-1].media_sequence)
    end_ns = track.tail.position_ns + offset_ns if last is None else (last.program_ns or 0) + last.duration_ns
    tail = track.tail._replace(program_ns=end_ns, synthetic=False, estimated=dated[-1].estimated, is_guess=True)
    return Track(run=track.run).appended(dated, tail), tuple(dated)


def revised(track: Track, playlist: MediaPlaylist) -> tuple[Track, tuple[Segment, ...]]:
    """The run with known media described as it is listed now, and what changed. Times never move: they may be in use."""
    changed: dict[int, Segment] = {}
    for known, listed in _overlapping(track, playlist):
        described = _revised(known, listed)
        if described is not known:
            changed[known.media_sequence] = described
    if not changed:
        return track, ()
    segments = [changed.get(segment.media_sequence, segment) for segment in track.segments]
    return replace(track, segments=Column(segments)), tuple(changed.values())


def doubted(
    track: Track, playlist: MediaPlaylist, refused: Collection[int], before: Mapping[int, int | None]
) -> tuple[dict[int, int | None], dict[int, int]]:
    """Which segments stand by a date that is not theirs, since theirs was refused; and dates to take in its place.

    A plausible date that a later answer gives such a segment is taken once the next answer that lists the segment gives it again.

    Args:
        track: the run as it was before this answer.
        playlist: the answer, implausible dates left out.
        refused: numbers of the listed segments whose dates were left out.
        before: as this function returned it for the answer before.

    Returns:
        By number of a segment in the window, the date that was given for it once (µs), None if none was; and by number the date
        that holds.
    """
    now: dict[int, int | None] = dict.fromkeys(number for number in refused if track.find(number) is None)
    if not before:
        return now, {}
    now |= {number: date_us for number, date_us in before.items() if number >= playlist.media_sequence}
    holding: dict[int, int] = {}
    for known, listed in _overlapping(track, playlist):
        number = known.media_sequence
        if number not in now:
            continue
        if known.program_source == "explicit":
            del now[number]  # it came with the first date of the run
            continue
        if known.program_us is None or known.program_source == "synthetic":
            continue  # the first date that comes is taken at once
        date_us = listed.program_us if listed.program_source == "explicit" else None
        once_us = now[number]
        now[number] = date_us
        if date_us is not None and once_us is not None and abs(date_us - once_us) <= REVISED_DATE_US:
            holding[number] = date_us
            del now[number]
    return now, holding


def corrected(track: Track, dates: Mapping[int, int]) -> tuple[Track, tuple[Segment, ...]]:
    """The run with other dates for known segments, and what changed: also those that go on from them, forward and backward.

    Cost: none without dates, else O(segments known).
    """
    if not dates:
        return track, ()
    segments = list(track.segments)
    changed: set[int] = set()
    for number in sorted(dates):
        index = bisect_left(segments, number, key=lambda segment: segment.media_sequence)
        anchor = _dated(segments[index], dates[number], "explicit", estimated=False)
        segments[index] = anchor
        changed.add(index)
        offset_us = dates[number] - anchor.position_us
        across = anchor.discontinuity
        at = index - 1
        while at >= 0 and segments[at].program_source == "backward":
            across = across or segments[at].media_sequence + 1 != segments[at + 1].media_sequence
            segments[at] = _dated(segments[at], segments[at].position_us + offset_us, "backward", estimated=across)
            changed.add(at)
            across = across or segments[at].discontinuity
            at -= 1
        across, at = False, index + 1
        while at < len(segments) and segments[at].program_source != "explicit":
            across = across or segments[at].discontinuity
            across = across or segments[at].media_sequence - 1 != segments[at - 1].media_sequence
            segments[at] = _dated(segments[at], segments[at].position_us + offset_us, "forward", estimated=across)
            changed.add(at)
            at += 1
    tail, last, before = track.tail, segments[-1], track.segments[-1]
    if tail.program_ns is not None and last.program_us is not None and before.program_us is not None:
        moved_ns = (last.program_us - before.program_us) * 1000
        tail = tail._replace(program_ns=tail.program_ns + moved_ns, estimated=last.estimated)
    return Track(run=track.run).appended(segments, tail), tuple(segments[index] for index in sorted(changed))


def prepended(track: Track, playlist: MediaPlaylist) -> tuple[Track, tuple[Segment, ...]]:
    """The run with older segments that a grown window lists again, at negative positions; and those."""
    if not track.segments or playlist.first_media_sequence >= track.segments[0].media_sequence:
        return track, ()
    first = track.segments[0]
    older: list[Segment] = []
    for segment in reversed(playlist.segments):
        if segment.media_sequence < track.segments[0].media_sequence:
            first = placed_before(segment, first)
            older.append(first)
    older.reverse()
    return Track(run=track.run).appended([*older, *track.segments], track.tail), tuple(older)


def filled(track: Track, playlist: MediaPlaylist) -> tuple[Track, tuple[Segment, ...]]:
    """The run with segments that were missed and are listed now after all, and those. No other segment moves.

    A missed segment goes on from the one before it, or ends where the one after it begins. Cost: none without holes, else
    O(segments known).
    """
    missed = _in_holes(track, playlist)
    if not missed:
        return track, ()
    merged = list(track.segments)
    added: list[Segment] = []
    apart: list[PlaylistSegment] = []  # behind a hole that stays: placed from its end, the last one first
    for listed in missed:
        index = bisect_left(merged, listed.media_sequence, key=_media_sequence)
        before = merged[index - 1]
        if before.media_sequence + 1 == listed.media_sequence:
            added.append(placed_after(listed, before))
            merged.insert(index, added[-1])
        else:
            apart.append(listed)
    for listed in reversed(apart):
        index = bisect_left(merged, listed.media_sequence, key=_media_sequence)
        added.append(placed_before(listed, merged[index]))
        merged.insert(index, added[-1])
    added.sort(key=_media_sequence)
    return Track(run=track.run).appended(merged, track.tail), tuple(added)


def _media_sequence(segment: Segment) -> int:
    return segment.media_sequence


def _in_holes(track: Track, playlist: MediaPlaylist) -> list[PlaylistSegment]:
    """Listed segments with numbers between known ones that were never seen."""
    known = track.segments
    if not known or known[-1].media_sequence - known[0].media_sequence + 1 == len(known):
        return []
    first, last = known[0].media_sequence, known[-1].media_sequence
    return [
        one for one in playlist.segments if first < one.media_sequence < last and track.find(one.media_sequence) is None
    ]


def _dated(segment: Segment, program_us: int | None, source: ProgramSource | None, *, estimated: bool) -> Segment:
    return replace(segment, program_us=program_us, program_source=source, estimated=estimated)
