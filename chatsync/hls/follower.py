"""When to load a playlist next, and what each answer means: a machine that is told everything, the time included.

Owns: reload timing, back-off, the choice of a variant, clock samples. Does not know: HTTP, clocks, rooms.
Units: µs of one steady wall clock, given by the caller as ``now_us``. Source: RFC 8216 §6.3.4; hls-timing §2.3, §2.6.

Use: wait until ``wake_at_us()``, load ``next_request()``, then call ``receive_playlist`` or ``receive_failure``, and again.
Nothing here raises on what an origin sends.
"""

from __future__ import annotations

from urllib.parse import urljoin

import msgspec

from chatsync.errors import PlaylistSyntaxError
from chatsync.hls.playlist import MediaPlaylist, MultivariantPlaylist, Warned, parse_playlist, parse_tail
from chatsync.hls.timeline import Reload, Timeline
from chatsync.instants import MINUTE_US, SECOND_US

__all__ = ["Follower", "Sample"]

FIRST_TARGET_US = 2 * SECOND_US  # pace until the origin names a target duration
TARGET_US_MIN = SECOND_US // 2  # no origin makes us load more than twice a second
TARGET_US_MAX = 30 * SECOND_US
BACK_OFF_US_MAX = 10 * SECOND_US
ENDED_POLL_US = 10 * SECOND_US
ENDED_WATCH_US = MINUTE_US  # an ENDLIST is taken back within this time, or not at all (contract §1)
ABRIDGED_CHARACTERS_MIN = 64 * 1024  # ~800 segments; shorter lists are read whole, in under 10 ms
ABRIDGED_SEGMENTS = 16  # known segments that are still read before the new ones, to compare
VARIANT_FAILURES_MAX = 3  # then the multivariant playlist is asked again: addresses expire
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
        self._url = url
        self._media_url: str | None = None
        self._depth = 0
        self._failures = 0
        self._due_us: int | None = now_us
        self._began_us = now_us
        self._ended_since_us: int | None = None
        self._text = ""  # of the last answer that was taken
        self._anchor: tuple[int, str] | None = None  # number and URI of a segment some way before its end
        self._abridged_characters_min = abridged_characters_min

    def next_request(self, *, now_us: int | None = None) -> str:
        """Address to load now.

        Args:
            now_us: when the load begins; without it, it began when it was due.
        """
        if now_us is not None:
            self._began_us = now_us
        elif self._due_us is not None:
            self._began_us = self._due_us
        return self._media_url or self._url

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
        if text == self._text:
            self.timeline = self.timeline.seen_again(wall_us=now_us)
            return self._took(Reload(kind="same", run=len(self.timeline.runs)), age_us=age_us, now_us=now_us)
        try:
            abridged = self._abridged(text, url, now_us)
            playlist = parse_playlist(text, url=url) if abridged is None else None
        except PlaylistSyntaxError as error:
            return self._malformed(Warned(error.line_number or 0, "", error.reason), now_us)
        if isinstance(playlist, MultivariantPlaylist):
            return self._resolved(playlist, url, now_us)
        if playlist is not None:
            self.timeline, reload = self.timeline.extended(playlist, wall_us=now_us, url=url)
            self._remember(playlist, reload)
        else:
            assert abridged is not None
            reload = abridged
        if reload.kind == "malformed":
            self.last_failure = "malformed"
            self._failed(now_us)
            return reload
        if reload.kind not in {"stale", "refetch"}:
            self._text = text
        return self._took(reload, age_us=age_us, now_us=now_us)

    def receive_failure(self, reason: str, *, now_us: int) -> None:
        """Take in a load that gave no body, with a word for why. What is known stays."""
        self.last_failure = reason
        self._failed(now_us)

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
        self._remember(playlist, reload)
        return reload

    def _is_known_start(self, playlist: MediaPlaylist) -> bool:
        """Whether everything before the tail is known, so that nothing unread is missed."""
        segments = self.timeline.segments(len(self.timeline.runs))
        return bool(segments) and segments[0].media_sequence <= playlist.media_sequence

    def _remember(self, playlist: MediaPlaylist, reload: Reload) -> None:
        """Keep the segment after which the next long playlist is read."""
        if reload.kind in {"stale", "refetch", "malformed"}:
            return
        if len(playlist.segments) > ABRIDGED_SEGMENTS:
            anchor = playlist.segments[-ABRIDGED_SEGMENTS - 1]
            self._anchor = (anchor.media_sequence, anchor.uri or "")
        elif not playlist.abridged:
            self._anchor = None

    def _took(self, reload: Reload, *, age_us: int, now_us: int) -> Reload:
        """Note a usable answer and when to load again."""
        self.failing_since_us = None
        self._failures = 0
        self._depth = 0
        edge = self.timeline.live_edge
        if edge is not None and reload.kind not in {"stale", "refetch"}:
            self.last_sample = Sample(now_us, age_us, edge.run, edge.media_sequence, edge.part_count, edge.program_us)
        if self.timeline.ended:
            self._due_us = self._due_after_end_us(now_us)
        else:
            self._ended_since_us = None
            wait_us = self._target_us() if reload.has_news else self._target_us() // 2
            self._due_us = max(self._began_us + wait_us, now_us + TARGET_US_MIN // 2)
        return reload

    def _resolved(self, playlist: MultivariantPlaylist, url: str, now_us: int) -> Reload:
        """Choose the variant to follow; it is due at once."""
        variant = playlist.followed_variant()
        self._depth += 1
        if variant is None or self._depth > MULTIVARIANT_DEPTH_MAX:
            return self._malformed(Warned(0, "#EXT-X-STREAM-INF", "no variant to follow"), now_us)
        self._media_url = urljoin(url, variant.uri)
        self._due_us = now_us
        return Reload(kind="same", run=len(self.timeline.runs), warnings=playlist.warnings)

    def _malformed(self, warning: Warned, now_us: int) -> Reload:
        self.last_failure = "malformed"
        self._failed(now_us)
        return Reload(kind="malformed", run=len(self.timeline.runs), warnings=(warning,))

    def _failed(self, now_us: int) -> None:
        """Back off: half a target duration, doubled at each failure in a row, at most about three of them or 10 s."""
        self._failures += 1
        if self.failing_since_us is None:
            self.failing_since_us = now_us
        if self._failures % VARIANT_FAILURES_MAX == 0:
            self._media_url = None
            self._depth = 0
        if self._ended_since_us is not None:
            self._due_us = self._due_after_end_us(now_us)
            return
        target_us = self._target_us()
        limit_us = min(3 * target_us, BACK_OFF_US_MAX)
        self._due_us = now_us + min((target_us // 2) << min(self._failures - 1, 10), limit_us)

    # --- pace --------------------------------------------------------------------------------------------------------

    def _target_us(self) -> int:
        """Target duration within our own limits."""
        target_us = self.timeline.target_duration_us or FIRST_TARGET_US
        return min(max(target_us, TARGET_US_MIN), TARGET_US_MAX)

    def _due_after_end_us(self, now_us: int) -> int | None:
        """Some more looks, in case the origin takes the end back; then none."""
        if self._ended_since_us is None:
            self._ended_since_us = now_us
        due_us = now_us + ENDED_POLL_US
        return due_us if due_us - self._ended_since_us <= ENDED_WATCH_US else None
