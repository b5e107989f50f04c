"""When to load a playlist next, and what each answer means: a machine that is told everything, the time included.

Owns: reload timing, back-off, the choice of a variant, when directives are sent and when not, clock samples.
Does not know: HTTP, clocks, rooms, how directives are written (``hls.low_latency``).
Units: µs of one steady wall clock, given by the caller as ``now_us``. Source: RFC 8216 §6.3.4; bis §6.2.5, §6.3.7.

A low-latency origin may hold an answer until there is news, so it is asked again at once; but only as long as that works. Whatever is
odd (an error, no news, an old copy, a delta that cannot be resolved) is met by loading the plain playlist, and directives are
sent again once that has news.

Use: wait until ``wake_at_us()``, load ``next_request()``, then call ``receive_playlist`` or ``receive_failure``, and again.
Nothing here raises on what an origin sends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urljoin

import msgspec
from msgspec.structs import replace

from chatsync.errors import PlaylistSyntaxError
from chatsync.hls.low_latency import (
    Directives,
    ServerControl,
    after_edge,
    playlist_path,
    reports_by_path,
    up_to_report,
    with_directives,
    without_directives,
)
from chatsync.hls.playlist import (
    MediaPlaylist,
    MultivariantPlaylist,
    RenditionReport,
    Warned,
    parse_playlist,
    parse_tail,
)
from chatsync.hls.timeline import LiveEdge, Reload, Timeline
from chatsync.instants import MINUTE_US, SECOND_US

__all__ = ["Follower", "Sample"]

FIRST_TARGET_US = 2 * SECOND_US  # pace until the origin names a target duration
TARGET_US_MIN = SECOND_US // 2  # without blocking, no origin makes us load more than twice a second
LOAD_GAP_US = SECOND_US // 10  # from one load's start to the next one's, however soon a blocking origin answers
HELD_TARGETS_MAX = 3  # target durations after which an origin answers 503 (bis §6.2.5.2)
HELD_US_MAX = 30 * SECOND_US
COPY_TARGETS_MAX = 3  # with an older copy than that, what it asks for may be long gone
IDLE_ANSWERS_MAX = 2  # blocking answers in a row without news, then plain loads
REFUSALS_MAX = 2  # directives refused so often, with no success in between, are left out for a while
REFUSED_US = MINUTE_US
TARGET_US_MAX = 30 * SECOND_US
BACK_OFF_US_MAX = 10 * SECOND_US
ENDED_POLL_US = 10 * SECOND_US
ENDED_WATCH_US = MINUTE_US  # an ENDLIST is taken back within this time, or not at all (contract §1)
ABRIDGED_CHARACTERS_MIN = 64 * 1024  # ~800 segments; shorter lists are read whole, in under 10 ms
ABRIDGED_SEGMENTS = 16  # known segments that are still read before the new ones, to compare
VARIANT_FAILURES_MAX = 3  # then the multivariant playlist is asked again: addresses expire, variants break
MULTIVARIANT_DEPTH_MAX = 3


class Sample(msgspec.Struct, frozen=True):
    """What the clocks said at one answer."""

    wall_us: int
    age_us: int  # how long the answer had lain in a cache, HTTP Age
    run: int
    media_sequence: int  # of the segment at the live edge
    part_count: int  # its parts, 0 if it is closed
    edge_program_us: int | None


class Follower:
    """Follows one playlist.

    Attributes:
        timeline: everything known after the last answer.
        failing_since_us: wall time of the first failure in a row; None while all is well.
        last_failure: word for the newest failure, ``malformed`` if it was no playlist; kept when all is well again.
        last_sample: of the last answer that was taken; None before.
        is_whole: whether the last answer taken lists all of the window; a delta does not.
    """

    def __init__(
        self,
        url: str,
        *,
        now_us: int,
        timeline: Timeline | None = None,
        abridged_characters_min: int = ABRIDGED_CHARACTERS_MIN,
    ) -> None:
        """Start following.

        Args:
            url: of a media or multivariant playlist.
            now_us: the first load is due now.
            timeline: what is known already, from an earlier life of the service.
            abridged_characters_min: of longer playlists only the end is read, as long as it goes on from what is known.
        """
        self.timeline = Timeline.empty() if timeline is None else timeline
        self.failing_since_us: int | None = None
        self.last_failure: str | None = None
        self.last_sample: Sample | None = None
        self.is_whole = True
        self._url = without_directives(url)
        self._media_url: str | None = None  # of the variant that is followed
        self._depth = 0
        self._variants: Sequence[str] = ()  # their addresses in order of preference, as last resolved
        self._failed_url: str | None = None  # of the variant that is to be left
        self._renewed_path: str | None = None  # of a variant that failed and was given a new address since
        self._followed_path: str | None = None  # of the playlist that the newest run is made from
        self._other_variant = False  # what comes next is another playlist than that
        self._failures = 0
        self._due_us: int | None = now_us
        self._began_us = now_us
        self._ended_since_us: int | None = None
        self._text = ""  # of the last answer that was taken
        self._anchor: tuple[int, str] | None = None  # number and URI of a segment some way before its end
        self._abridged_characters_min = abridged_characters_min
        self._asked = Directives()  # in the load that is under way
        self._first_asked: Directives | None = None  # in the first load of another variant
        self._control = ServerControl()
        self._reports: Mapping[str, RenditionReport] = {}
        self._taken_us: int | None = None  # when the newest copy that was taken left the origin
        self._is_plain = False  # no directives until a plain load has news
        self._idle_answers = 0
        self._refusals = 0
        self._undirected_until_us = now_us

    def next_request(self, *, now_us: int | None = None) -> str:
        """Address to load now, with directives if the origin takes them.

        Args:
            now_us: when the load begins; without it, it began when it was due.
        """
        if now_us is not None:
            self._began_us = now_us
        elif self._due_us is not None:
            self._began_us = self._due_us
        self._asked = self._directives(self._began_us)
        return with_directives(self._media_url or self._url, self._asked)

    @property
    def held_us(self) -> int:
        """How long the origin may hold the answer to the last ``next_request``, on top of the time any answer takes."""
        return min(HELD_TARGETS_MAX * self._target_us(), HELD_US_MAX) if self._asked.blocks else 0

    def wake_at_us(self) -> int | None:
        """Wall time of the next load; None once the playlist has ended for good."""
        return self._due_us

    def receive_playlist(self, text: str, *, url: str, age_us: int, now_us: int) -> Reload:
        """Take in an answer with a body.

        Args:
            text: the body, whatever it is.
            url: final address, after redirects.
            age_us: HTTP Age; 0 if there is none.
            now_us: wall time at which it was here.

        Returns:
            What the answer was: ``malformed`` if it was no usable playlist, ``same`` if it was a multivariant playlist, whose variant
            is then due at once.
        """
        url = without_directives(url)
        edge = self.timeline.live_edge
        if text == self._text:
            self.timeline = self.timeline.seen_again(wall_us=now_us)
            same = Reload(kind="same", run=len(self.timeline.runs))
            return self._took(same, edge, age_us=age_us, now_us=now_us)
        try:
            abridged = self._abridged(text, url, now_us)
            playlist = parse_playlist(text, url=url) if abridged is None else None
        except PlaylistSyntaxError as error:
            return self._malformed(Warned(error.line_number or 0, "", error.reason), now_us)
        if isinstance(playlist, MultivariantPlaylist):
            return self._resolved(playlist, url, now_us)
        if playlist is not None:
            self.timeline, reload = self.timeline.extended(
                playlist, wall_us=now_us, url=url, other_variant=self._other_variant
            )
            self._remember(playlist, reload, url)
        else:
            assert abridged is not None
            reload = abridged
        if reload.kind == "malformed":
            self._failed("malformed", now_us)
            return reload
        if reload.kind not in {"stale", "refetch"}:
            self._text = text
        return self._took(reload, edge, age_us=age_us, now_us=now_us)

    def receive_failure(self, reason: str, *, now_us: int) -> None:
        """Take in a load that gave no body, with a word for why. What is known stays.

        If it was asked with directives, that was perhaps the reason: the plain playlist is due at once, and only if that fails as well
        is it a failure.
        """
        self._failed(reason, now_us)

    # --- answers ---------------------------------------------------------------------------------------------------

    def _abridged(self, text: str, url: str, now_us: int) -> Reload | None:
        """Take in only the end of a long playlist; None if it has to be read whole.

        Only an answer that plainly goes on from what is known is taken this way: everything odd is read whole and judged then.
        """
        if self._anchor is None or len(text) < self._abridged_characters_min:
            return None
        media_sequence, uri = self._anchor
        playlist = parse_tail(text, url=url, anchor_uri=uri, anchor_media_sequence=media_sequence)
        if playlist is None or not self._is_known_start(playlist):
            return None
        timeline, reload = self.timeline.extended(playlist, wall_us=now_us, url=url)
        if reload.kind not in {"advance", "parts", "shrink", "same"}:
            return None
        self.timeline = timeline
        self._remember(playlist, reload, url)
        return reload

    def _is_known_start(self, playlist: MediaPlaylist) -> bool:
        """Whether everything before the tail is known, so that nothing unread is missed."""
        segments = self.timeline.segments(len(self.timeline.runs))
        return bool(segments) and segments[0].media_sequence <= playlist.media_sequence

    def _remember(self, playlist: MediaPlaylist, reload: Reload, url: str) -> None:
        """Keep what the next load and the next long playlist need to know of this one."""
        if reload.kind in {"stale", "refetch", "malformed"}:
            return
        self.is_whole = not playlist.is_delta
        self._control = ServerControl.of(playlist)
        self._reports = reports_by_path(playlist.rendition_reports, url)
        if playlist.segments or playlist.open_segment is not None:
            self._followed_path = playlist_path(self._media_url or self._url)
            self._other_variant = False
            self._first_asked = None
        if len(playlist.segments) > ABRIDGED_SEGMENTS:
            anchor = playlist.segments[-ABRIDGED_SEGMENTS - 1]
            self._anchor = (anchor.media_sequence, anchor.uri or "")
        elif not playlist.abridged and not playlist.is_delta:
            self._anchor = None

    def _took(self, reload: Reload, edge_before: LiveEdge | None, *, age_us: int, now_us: int) -> Reload:
        """Note a usable answer and when to load again."""
        self.failing_since_us = None
        self._failures = 0
        self._depth = 0
        self._renewed_path = None
        edge = self.timeline.live_edge
        if reload.kind not in {"stale", "refetch"}:
            self._taken_us = now_us - age_us
            if edge is not None:
                self.last_sample = Sample(
                    now_us, age_us, edge.run, edge.media_sequence, edge.part_count, edge.program_us
                )
        has_news = reload.has_news or _place(edge) != _place(edge_before)
        self._judge_directives(reload, has_news=has_news)
        self._due_us = self._due_after(reload, has_news=has_news, now_us=now_us)
        return reload

    def _judge_directives(self, reload: Reload, *, has_news: bool) -> None:
        """Go on with directives while they bring news, without them when they do not."""
        if has_news:
            self._is_plain = False
            self._idle_answers = 0
            if self._asked.parameters():
                self._refusals = 0
        elif self._asked.blocks:
            self._idle_answers += 1
            self._is_plain = self._is_plain or self._idle_answers >= IDLE_ANSWERS_MAX
        if reload.kind == "refetch":
            self._is_plain = True

    def _resolved(self, playlist: MultivariantPlaylist, url: str, now_us: int) -> Reload:
        """Choose the variant to follow; it is due at once."""
        self._depth += 1
        self._variants = [without_directives(urljoin(url, variant.uri)) for variant in playlist.ranked_variants()]
        if not self._variants or self._depth > MULTIVARIANT_DEPTH_MAX:
            return self._malformed(Warned(0, "#EXT-X-STREAM-INF", "no variant to follow"), now_us)
        if self._followed_path is None and self.timeline.runs:
            before = playlist_path(self.timeline.runs[-1].base_url)
            if before in {playlist_path(variant) for variant in self._variants}:
                self._followed_path = before  # known from an earlier life
        self._follow(self._variants[0] if self._failed_url is None else self._instead_of(self._failed_url))
        self._due_us = now_us
        return Reload(kind="same", run=len(self.timeline.runs), warnings=playlist.warnings)

    def _instead_of(self, failed_url: str) -> str:
        """The variant to follow after one has failed: itself if its address has changed, else the next in order."""
        paths = [playlist_path(variant) for variant in self._variants]
        failed_path = playlist_path(failed_url)
        if failed_path not in paths:
            return self._variants[0]
        at = paths.index(failed_path)
        if self._variants[at] != failed_url and self._renewed_path != failed_path:
            self._renewed_path = failed_path
            return self._variants[at]
        self._renewed_path = None
        return self._variants[(at + 1) % len(self._variants)]

    def _follow(self, media_url: str) -> None:
        """From now on this variant, which may be the same as before under another address."""
        self._media_url = media_url
        self._failed_url = None
        path = playlist_path(media_url)
        self._other_variant = self._followed_path not in {None, path}
        self._first_asked = None
        if self._other_variant:
            self._text, self._anchor = "", None
            report = self._reports.get(path)
            if report is not None and self._control.can_block_reload:
                self._first_asked = up_to_report(report, self.timeline.live_edge)

    def _malformed(self, warning: Warned, now_us: int) -> Reload:
        self._failed("malformed", now_us)
        return Reload(kind="malformed", run=len(self.timeline.runs), warnings=(warning,))

    def _failed(self, reason: str, now_us: int) -> None:
        """Back off: half a target duration, doubled at each failure in a row, at most about three of them or 10 s."""
        if self._asked.parameters():
            self._refused(now_us)
            return
        self.last_failure = reason
        self._failures += 1
        self._is_plain = True
        if self.failing_since_us is None:
            self.failing_since_us = now_us
        if self._failures % VARIANT_FAILURES_MAX == 0:
            self._failed_url, self._media_url = self._media_url or self._failed_url, None
            self._depth = 0
        elif self._media_url is None and self._failed_url is not None and self._variants:
            self._follow(self._instead_of(self._failed_url))  # where the variants are listed fails as well
        if self._ended_since_us is not None:
            self._due_us = self._due_after_end_us(now_us)
            return
        target_us = self._target_us()
        limit_us = min(3 * target_us, BACK_OFF_US_MAX)
        self._due_us = now_us + min((target_us // 2) << min(self._failures - 1, 10), limit_us)

    def _refused(self, now_us: int) -> None:
        """Load the same again without directives, at once; an origin that refuses them again and again is spared them."""
        self._asked, self._first_asked = Directives(), None
        self._is_plain = True
        self._refusals += 1
        if self._refusals >= REFUSALS_MAX:
            self._undirected_until_us = now_us + REFUSED_US
        self._due_us = max(now_us, self._began_us + LOAD_GAP_US)

    def _directives(self, now_us: int) -> Directives:
        """What to ask for in a load that begins now."""
        edge = self.timeline.live_edge
        if self._media_url is None and self._variants:
            return Directives()  # the list of variants
        if self._first_asked is not None:
            return self._first_asked
        if self._is_plain or self._other_variant or self.timeline.ended or now_us < self._undirected_until_us:
            return Directives()
        if edge is None or self._taken_us is None:
            return Directives()
        copy_age_us = now_us - self._taken_us
        if copy_age_us > COPY_TARGETS_MAX * self._target_us():
            return Directives()
        skip = self._control.skip(copy_age_us)
        if not self._control.can_block_reload:
            return Directives(skip=skip)
        return replace(after_edge(edge, has_parts=self._control.has_parts), skip=skip)

    # --- pace --------------------------------------------------------------------------------------------------------

    def _target_us(self) -> int:
        """Target duration within our own limits."""
        target_us = self.timeline.target_duration_us or FIRST_TARGET_US
        return min(max(target_us, TARGET_US_MIN), TARGET_US_MAX)

    def _due_after(self, reload: Reload, *, has_news: bool, now_us: int) -> int | None:
        """When to load after an answer that was usable."""
        at_once_us = max(now_us, self._began_us + LOAD_GAP_US)
        if self.timeline.ended:
            after_end_us = self._due_after_end_us(now_us)
            return at_once_us if self._asked.skip is not None and not self.is_whole else after_end_us
        self._ended_since_us = None
        if reload.kind == "refetch" and self._asked.skip is not None:
            return at_once_us
        if has_news and self._directives(now_us).blocks:
            return at_once_us
        wait_us = self._target_us() if has_news else self._target_us() // 2
        return max(self._began_us + wait_us, now_us + TARGET_US_MIN // 2)

    def _due_after_end_us(self, now_us: int) -> int | None:
        """Some more looks, in case the origin takes the end back; then none."""
        if self._ended_since_us is None:
            self._ended_since_us = now_us
        due_us = now_us + ENDED_POLL_US
        return due_us if due_us - self._ended_since_us <= ENDED_WATCH_US else None


def _place(edge: LiveEdge | None) -> tuple[int, int, int] | None:
    """Where an edge is, to tell whether it moved; a segment that closes is in the reload's new segments."""
    return None if edge is None else (edge.run, edge.media_sequence, edge.part_count)
