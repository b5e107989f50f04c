"""Everything ever known of a stream's media, and what each answer of the origin adds to it.

Owns: ``Timeline``, an immutable snapshot; program time to media position and back; ``Reload``, what an answer was.
Does not know: when to load (``hls.follower``), clocks, HTTP, rows. Source: RFC 8216 §6.2-6.3.

Units: integer µs (``_us``). ``program_us`` counts from the Unix epoch.

Media is addressed by (run, media sequence, µs into the segment). Program time is a derived attribute that jumps: forward, which
leaves a gap, and back, which makes an instant lie in two places. So there is one anchor per segment and never one offset.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from chatsync.hls.classifier import (
    Known,
    ReloadKind,
    corrected,
    doubted,
    filled,
    gap_fits,
    hole_us,
    kind_of,
    prepended,
    redated,
    revised,
    revised_dates,
)
from chatsync.hls.playlist import MediaPlaylist, Warned
from chatsync.hls.track import (
    OpenSegment,
    Place,
    Quality,
    Region,
    Run,
    RunReason,
    Segment,
    Track,
    first_gap,
    place_in_open,
)
from chatsync.instants import Range, us_from_iso

__all__ = [
    "PLAUSIBLE_DATES",
    "LiveEdge",
    "OpenSegment",
    "Place",
    "Quality",
    "Region",
    "Reload",
    "ReloadKind",
    "Run",
    "RunReason",
    "Segment",
    "Timeline",
    "Window",
]

# Dates outside are no encoder's clock: 1970 comes from packagers without one, year 56834 from a unit mixed up. Programmes of 1998
# are still served, so the lower bound stays well below that.
PLAUSIBLE_DATES = Range(us_from_iso("1990-01-01T00:00:00Z"), us_from_iso("2100-01-01T00:00:00Z"))


class LiveEdge(msgspec.Struct, frozen=True):
    """The end of the newest segment, or of its newest part."""

    run: int
    media_sequence: int  # of the segment that ends, or is open, here
    part_count: int  # parts of that segment; 0 if it is closed
    position_us: int
    program_us: int | None


class Window(msgspec.Struct, frozen=True):
    """The segments the playlist lists now; what may be sought."""

    run: int
    first_media_sequence: int
    last_media_sequence: int  # of the newest closed segment; first - 1 if none is listed
    program: (
        Range | None
    )  # from the start of the first to the live edge; None without dates, or if they fell back in between


class Reload(msgspec.Struct, frozen=True, kw_only=True):
    """What one answer of the origin was, in the words of the reload classifier.

    ======== ==========================================================================================
    first     opens the first run
    same      nothing new
    parts     the open segment grew or began
    advance   new closed segments, at the edge or, when a window grew back, older ones
    shrink    only the start of the window moved
    delta     a delta update, resolved from history
    gap       numbers were missed; the same run if the dates fit, else a new one
    stale     an older copy, ignored
    revise    known media described otherwise
    restart   a new run
    refetch   a delta update that cannot be resolved: load in full
    malformed not a usable playlist, ignored
    ======== ==========================================================================================
    """

    kind: ReloadKind
    run: int  # newest run after the reload; 0 before the first
    new_segments: tuple[Segment, ...] = ()
    revised_segments: tuple[Segment, ...] = ()  # known ones as they are now: replaced media, or dates that came late
    program_gap: Range | None = None  # program time no segment has, before the first new segment that jumps forward
    warnings: tuple[Warned, ...] = ()

    @property
    def has_news(self) -> bool:
        """Whether the playlist changed in a way that counts for the next load (RFC 8216 §6.3.4)."""
        return bool(self.new_segments) or self.kind in {"parts", "first", "restart", "gap"}


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """An immutable snapshot of all media of one stream, in the order it came.

    ``extended`` makes the next one. Nothing is forgotten when it slides out of the playlist.
    """

    _tracks: tuple[Track, ...] = ()
    open_segment: OpenSegment | None = None
    ended: bool = False  # ENDLIST, not taken back
    target_duration_us: int | None = None
    written_hold_back_us: int | None = None  # HOLD-BACK of EXT-X-SERVER-CONTROL
    _window_first: int | None = None
    _window_last: int | None = None
    _wall_us: int | None = None  # of the last answer that was not ignored
    _doubted: Mapping[int, int | None] = msgspec.field(default_factory=dict)  # of the newest run, see ``doubted``

    @classmethod
    def empty(cls) -> Timeline:
        """A timeline that knows nothing yet."""
        return cls()

    @classmethod
    def restored(
        cls,
        runs: Iterable[Run],
        segments: Iterable[Segment],
        *,
        target_duration_us: int | None = None,
        ended: bool = False,
        wall_us: int | None = None,
    ) -> Timeline:
        """The timeline as its rows have it; the next answer of the origin continues it.

        Args:
            runs: in order of ``run``, without holes from 1.
            segments: of those runs, in any order.
            target_duration_us: as last seen, None if not kept.
            ended: whether the last playlist had ENDLIST.
            wall_us: wall time of the last answer; None if not kept. It only helps to tell a restart of an undated stream from an
                older copy.
        """
        by_run: dict[int, list[Segment]] = {}
        for segment in segments:
            by_run.setdefault(segment.run, []).append(segment)
        tracks = []
        for run in runs:
            ordered = sorted(by_run.get(run.run, ()), key=lambda segment: segment.media_sequence)
            tracks.append(Track(run=run).appended(ordered))
        return cls(_tracks=tuple(tracks), target_duration_us=target_duration_us, ended=ended, _wall_us=wall_us)

    # --- what is known -------------------------------------------------------------------------------------------

    @property
    def runs(self) -> tuple[Run, ...]:
        """All runs in order; run *n* is at index *n* - 1."""
        return tuple(track.run for track in self._tracks)

    def segments(self, run: int) -> Sequence[Segment]:
        """Closed segments of a run in order of media sequence, holes possible; empty for an unknown run. Cost: none."""
        track = self._track(run)
        return () if track is None else track.segments

    def segment(self, run: int, media_sequence: int) -> Segment | None:
        """A closed segment by its key, or None."""
        track = self._track(run)
        return None if track is None else track.find(media_sequence)

    @property
    def regions(self) -> tuple[Region, ...]:
        """All regions in order of run and media sequence; undated runs have none."""
        return tuple(region for track in self._tracks for region in track.regions)

    def gaps(self) -> tuple[Range, ...]:
        """Program time between the first and the last known instant that no segment has, in order, without overlap.

        Holes below the region tolerance are rounding, not gaps. Cost: O(regions log regions).
        """
        covered = sorted(span for track in self._tracks for span in track.spans())
        gaps = []
        end_us: int | None = None
        for span in covered:
            if end_us is not None and span.range.start_us - end_us > span.tolerance_us:
                gaps.append(Range(end_us, span.range.start_us))
            end_us = span.range.end_us if end_us is None else max(end_us, span.range.end_us)
        return tuple(gaps)

    @property
    def live_edge(self) -> LiveEdge | None:
        """The end of the newest part or closed segment; None before the first."""
        if self.open_segment is not None:
            part = self.open_segment
            end_us = None if part.program_us is None else part.program_us + part.duration_us
            position_us = part.position_us + part.duration_us
            return LiveEdge(part.run, part.media_sequence, part.part_count, position_us, end_us)
        if not self._tracks or not self._tracks[-1].segments:
            return None
        last = self._tracks[-1].segments[-1]
        return LiveEdge(last.run, last.media_sequence, 0, last.position_us + last.duration_us, last.end_program_us)

    @property
    def window(self) -> Window | None:
        """What the playlist lists now; None before the first answer, also after ``restored``."""
        edge = self.live_edge
        if edge is None or self._window_first is None or self._window_last is None:
            return None
        first = self._tracks[-1].at_or_after(self._window_first)
        start_us = None if first is None else first.program_us
        if start_us is None or edge.program_us is None or edge.program_us < start_us:
            return Window(edge.run, self._window_first, self._window_last, None)
        return Window(edge.run, self._window_first, self._window_last, Range(start_us, edge.program_us))

    @property
    def hold_back_us(self) -> int | None:
        """How far behind the live edge players stay: HOLD-BACK, else three target durations; None before the first answer."""
        if self.written_hold_back_us is not None or self.target_duration_us is None:
            return self.written_hold_back_us
        return 3 * self.target_duration_us

    @property
    def is_dated(self) -> bool:
        """Whether the newest run has program times, synthetic ones included."""
        edge = self.live_edge
        return edge is not None and edge.program_us is not None

    # --- program time and place ----------------------------------------------------------------------------------

    def locate(
        self, program_us: int, *, run: int | None = None, media_sequence: int | None = None
    ) -> tuple[Place, ...]:
        """Places of an instant of program time, best first.

        Args:
            program_us: the instant.
            run: only this run.
            media_sequence: where the caller thinks it is; the place nearest to it comes first.

        Returns:
            More than one place if program time fell back and repeated; the newest first unless hinted. An instant that no segment
            has, but lies between known ones, is clamped to the start of the segment that follows (quality ``gap``). Empty before
            the first known instant and from the live edge on.

        Cost: O(log segments) for each stretch in which program time did not fall back, and the segments in it that begin less than
        the longest segment's length before the instant.
        """
        tracks = [track for track in self._tracks if run is None or track.run.run == run]
        places: list[Place] = []
        if self.open_segment is not None and run in {None, self.open_segment.run}:
            places.extend(place_in_open(self.open_segment, program_us))
        for track in reversed(tracks):
            places.extend(track.places(program_us))
        if not places:
            places.extend(self._place_after_gap(tracks, program_us, run))
        if media_sequence is not None:
            places.sort(key=lambda place: abs(place.media_sequence - media_sequence))
        return tuple(places)

    def program_us_at(self, run: int, media_sequence: int, into_segment_us: int) -> int | None:
        """Program time of a place; None if the segment is not known or not dated.

        Time runs at 1x inside a segment and ends with it. In the open segment it may run ahead of the parts known here by up to
        a target duration, since players load parts before we do. Cost: O(log segments).
        """
        into_segment_us = max(into_segment_us, 0)
        part = self.open_segment
        if part is not None and (part.run, part.media_sequence) == (run, media_sequence):
            limit_us = max(part.duration_us, self.target_duration_us or 0)
            return None if part.program_us is None else part.program_us + min(into_segment_us, limit_us)
        segment = self.segment(run, media_sequence)
        if segment is None or segment.program_us is None:
            return None
        return segment.program_us + min(into_segment_us, segment.duration_us)

    # --- growing ---------------------------------------------------------------------------------------------------

    def extended(
        self, playlist: MediaPlaylist, *, wall_us: int, url: str, other_variant: bool = False
    ) -> tuple[Timeline, Reload]:
        """The timeline after an answer of the origin, and what that answer was.

        Args:
            playlist: the answer.
            wall_us: wall time when it came.
            url: final URL it came from, kept with a run it opens.
            other_variant: it is the first answer of another variant than the last one was: numbers mean nothing across variants,
                so it opens a run, and only its dates say how it lies to what is known.

        Returns:
            The same timeline for answers that are ignored (``stale``, ``refetch``, ``malformed``).

        Cost: O(segments listed).
        """
        written, playlist = playlist, playlist.with_dates_within(PLAUSIBLE_DATES)
        refused = _refused(written, playlist)
        if not playlist.segments and playlist.open_segment is None:
            return self._emptied(playlist, wall_us)
        if not self._tracks:
            if playlist.is_delta:
                return self, Reload(kind="refetch", run=0, warnings=playlist.warnings)
            return self._with_run(playlist, wall_us, url, "first", reason="first", refused=refused)
        if other_variant:
            if playlist.is_delta:
                return self, Reload(kind="refetch", run=len(self._tracks), warnings=playlist.warnings)
            return self._with_run(playlist, wall_us, url, "restart", reason="variant", refused=refused)
        known = self._known()
        is_bare = not known.track.segments and known.open_segment is None
        kind: ReloadKind = "advance" if is_bare else kind_of(known, playlist, wall_us)
        if kind in {"stale", "refetch", "malformed"}:
            return self, Reload(kind=kind, run=len(self._tracks), warnings=playlist.warnings)
        if kind == "restart":
            return self._with_run(playlist, wall_us, url, kind, reason="restart", refused=refused)
        if kind == "gap" and not gap_fits(known, playlist, wall_us):
            return self._with_run(playlist, wall_us, url, kind, reason="gap", refused=refused)
        return self._continued(playlist, wall_us, kind, refused)

    def seen_again(self, *, wall_us: int) -> Timeline:
        """The same timeline after an answer that was word for word the last one."""
        return replace(self, _wall_us=wall_us)

    def with_synthetic_axis(self, first_edge_program_us: int) -> Timeline:
        """Date the newest run, which has no date of its own: its live edge now is at ``first_edge_program_us``.

        Everything before and after follows by the sum of EXTINF, source ``synthetic``, until the origin gives a date, which takes
        its place. A new run needs a new call. The timeline itself if the run is dated or there is none.
        """
        edge = self.live_edge
        if edge is None or edge.program_us is not None:
            return self
        offset_us = first_edge_program_us - edge.position_us
        track = self._tracks[-1]
        dated = [
            replace(segment, program_us=segment.position_us + offset_us, program_source="synthetic", estimated=True)
            for segment in track.segments
        ]
        open_segment = self.open_segment
        if open_segment is not None:
            open_segment = replace(
                open_segment,
                program_us=open_segment.position_us + offset_us,
                program_source="synthetic",
                estimated=True,
            )
        tail = track.tail._replace(program_ns=track.tail.position_ns + offset_us * 1000, synthetic=True)
        rebuilt = Track(run=track.run).appended(dated, tail)
        return replace(self, _tracks=(*self._tracks[:-1], rebuilt), open_segment=open_segment)

    # --- building ----------------------------------------------------------------------------------------------------

    def _known(self) -> Known:
        """The newest run as the classifier wants it."""
        edge = self.live_edge
        return Known(
            track=self._tracks[-1],
            open_segment=self.open_segment,
            ended=self.ended,
            window_first=self._window_first,
            wall_us=self._wall_us,
            edge_position_us=0 if edge is None else edge.position_us,
        )

    def _emptied(self, playlist: MediaPlaylist, wall_us: int) -> tuple[Timeline, Reload]:
        """After a list without media: it says nothing of the media we know, only perhaps that there is no more."""
        reload = Reload(kind="same", run=len(self._tracks), warnings=playlist.warnings)
        return replace(self, ended=self.ended or playlist.endlist, _wall_us=wall_us), reload

    def _with_run(
        self,
        playlist: MediaPlaylist,
        wall_us: int,
        url: str,
        kind: ReloadKind,
        *,
        reason: RunReason,
        refused: Collection[int],
    ) -> tuple[Timeline, Reload]:
        """A new run that begins with this answer."""
        number = len(self._tracks) + 1
        announced = playlist.discontinuity_sequence or 0
        bare = Track(run=Run(number, url, wall_us, reason))
        bare = replace(bare, tail=bare.tail._replace(discontinuity_sequence=announced))
        added, tail = bare.following(playlist.segments)
        before = self._tracks[-1].segments[-1:] if self._tracks else ()
        reload = Reload(
            kind=kind,
            run=number,
            new_segments=tuple(added),
            program_gap=first_gap((*before, *added)),
            warnings=playlist.warnings,
        )
        doubts: dict[int, int | None] = dict.fromkeys(refused)
        return self._snapshot((*self._tracks, bare.appended(added, tail)), playlist, wall_us, doubts), reload

    def _continued(
        self, playlist: MediaPlaylist, wall_us: int, kind: ReloadKind, refused: Collection[int]
    ) -> tuple[Timeline, Reload]:
        """The newest run with what this answer adds to it."""
        known = self._known()
        track = known.track
        warnings = playlist.warnings + revised_dates(track, playlist)
        doubts, holding = doubted(track, playlist, refused, self._doubted)
        track, right = corrected(track, holding)
        kind = "revise" if right and kind == "same" else kind
        track, dated = redated(track, playlist)
        track, described = revised(track, playlist)
        track, older = prepended(track, playlist)
        track, missed = filled(track, playlist)
        if kind == "gap":
            track = track.after_hole(hole_us(known, playlist, wall_us), playlist.discontinuity_sequence)
        last = known.last_media_sequence
        added, tail = track.following([segment for segment in playlist.segments if segment.media_sequence > last])
        before = track.segments[-1:]
        track = track.appended(added, tail)
        changed = {segment.media_sequence: segment for segment in (*right, *dated, *described)}
        reload = Reload(
            kind=kind,
            run=track.run.run,
            new_segments=(*older, *missed, *added),
            revised_segments=tuple(changed.values()),
            program_gap=first_gap((*before, *added)),
            warnings=warnings,
        )
        return self._snapshot((*self._tracks[:-1], track), playlist, wall_us, doubts), reload

    def _snapshot(
        self, tracks: tuple[Track, ...], playlist: MediaPlaylist, wall_us: int, doubts: Mapping[int, int | None]
    ) -> Timeline:
        longest_us = max((segment.duration_us for segment in playlist.segments), default=None)
        listed = playlist.open_segment
        return Timeline(
            _tracks=tracks,
            open_segment=None if listed is None else tracks[-1].open(listed),
            ended=playlist.endlist,
            target_duration_us=playlist.target_duration_us or self.target_duration_us or longest_us,
            written_hold_back_us=playlist.hold_back_us,
            _window_first=playlist.media_sequence,
            _window_last=playlist.first_media_sequence + len(playlist.segments) - 1,
            _wall_us=wall_us,
            _doubted=doubts,
        )

    def _track(self, run: int) -> Track | None:
        return self._tracks[run - 1] if 1 <= run <= len(self._tracks) else None

    def _place_after_gap(self, tracks: list[Track], program_us: int, run: int | None) -> Iterator[Place]:
        """The start of the segment that follows an instant no segment has."""
        starts = [track.first_after(program_us) for track in tracks]
        following: list[tuple[int, int, int]] = [
            (segment.program_us, -segment.run, segment.media_sequence)
            for segment in starts
            if segment is not None and segment.program_us is not None
        ]
        part = self.open_segment
        if (
            part is not None
            and part.program_us is not None
            and part.program_us > program_us
            and run in {None, part.run}
        ):
            following.append((part.program_us, -part.run, part.media_sequence))
        if following and any(track.begins_by(program_us) for track in tracks):
            _, negative_run, media_sequence = min(following)
            yield Place(-negative_run, media_sequence, 0, "gap")


def _refused(written: MediaPlaylist, playlist: MediaPlaylist) -> Collection[int]:
    """Numbers of the closed segments whose own date is left out in the second. Cost: none if nothing is left out."""
    if written is playlist:
        return ()
    return [
        one.media_sequence
        for one, kept in zip(written.segments, playlist.segments, strict=True)
        if one.program_source == "explicit" and kept.program_source != "explicit"
    ]
