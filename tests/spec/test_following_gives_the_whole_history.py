"""Whatever the origin goes through and however it is looked at, following gives what reading its full history gives.

A model encoder runs for a while, with drift, jumps, ads, gaps and dates of 1970, and starts anew under the same or other names. It is
looked at by a random schedule: windows that slide, shrink and grow back, delta updates, parts at the edge, older copies, the same again,
pages that are no playlist, loads that fail, addresses with another token each time; and the service starts again in between.
``CHATSYNC_EXAMPLES`` sets how many histories are tried.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatsync.hls.follower import Follower
from chatsync.hls.timeline import OpenSegment, Reload, Segment, Timeline
from tests.hls.builders import NOON_US, URL, all_segments, parsed
from tests.hls.model import Encoder, S, encoders

EXAMPLES = int(os.environ.get("CHATSYNC_EXAMPLES", "100"))
PATIENT = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
VISITS = ["", "", "?t=1", "?t=2", "/s/1/", "/s/2/?t=3", "http://edge.test/x/"]


@dataclass
class Seen:
    """What of an encoder's life was ever listed, ``[first, end)``, and where it was looked at first."""

    begun: int
    first: int
    end: int


@dataclass
class Viewing:
    """One follower, and what must never change of what it knows."""

    follower: Follower
    rows: dict[tuple[int, int], Segment] = field(default_factory=dict)  # as a service keeps them
    known: list[Segment] = field(default_factory=list)
    open_ones: dict[tuple[int, int], OpenSegment] = field(default_factory=dict)

    def receive(self, text: str, wall_us: int) -> Reload:
        """Take an answer, and look whether anything known moved."""
        reload = self.follower.receive_playlist(text, url=URL, age_us=0, now_us=wall_us)
        self.rows |= {(one.run, one.media_sequence): one for one in (*reload.revised_segments, *reload.new_segments)}
        timeline = self.follower.timeline
        for earlier in self.known:
            now = timeline.segment(earlier.run, earlier.media_sequence)
            assert now is not None
            assert _place(earlier) == _place(now)
            assert earlier.program_us in {None, now.program_us}
        self.known = all_segments(timeline)
        assert self.known == [self.rows[key] for key in sorted(self.rows)]
        self._check_open(timeline)
        return reload

    def _check_open(self, timeline: Timeline) -> None:
        """The open segment stays where it is, also once it is closed."""
        part = timeline.open_segment
        if part is not None:
            key = (part.run, part.media_sequence)
            earlier = self.open_ones.setdefault(key, part)
            assert (part.position_us, part.program_us) == (earlier.position_us, earlier.program_us)
        for key, earlier in self.open_ones.items():
            closed = timeline.segment(*key)
            if closed is not None and earlier.program_us is not None:
                assert (earlier.position_us, earlier.program_us) == (closed.position_us, closed.program_us)

    def restarted(self, wall_us: int) -> Viewing:
        """The same after a restart of the service."""
        timeline = self.follower.timeline
        restored = Timeline.restored(
            timeline.runs,
            self.rows.values(),
            target_duration_us=timeline.target_duration_us,
            ended=timeline.ended,
            wall_us=wall_us,
        )
        assert timeline.regions == restored.regions
        assert timeline.gaps() == restored.gaps()
        return Viewing(Follower(URL, now_us=wall_us, timeline=restored), dict(self.rows), list(self.known))


def _place(segment: Segment) -> tuple[int, int, int]:
    return segment.position_us, segment.duration_us, segment.discontinuity_sequence


def _check_places(timeline: Timeline) -> None:
    """Every place of a dated instant leads back to it, and every segment's own instant leads to it."""
    segments = [one for one in all_segments(timeline) if one.program_us is not None]
    for segment in segments:
        assert segment.program_us is not None
        for into_us in (0, segment.duration_us // 2, segment.duration_us - 1):
            instant_us = segment.program_us + into_us
            places = timeline.locate(instant_us)
            assert places
            # A later segment may begin up to 100 ms after the instant only in a hole; every other place is exact.
            back = [timeline.program_us_at(one.run, one.media_sequence, one.into_segment_us) for one in places]
            assert all(
                at_us == instant_us or (one.into_segment_us == 0 and 0 < (at_us or 0) - instant_us <= 100_000)
                for one, at_us in zip(places, back, strict=True)
            )
            assert "gap" not in {one.quality for one in places}
            mine = (segment.run, segment.media_sequence, into_us)
            overlapping = [
                one
                for one in segments
                if one is not segment and abs((one.program_us or 0) - instant_us) <= 100_000 + one.duration_us
            ]
            found = {(one.run, one.media_sequence, one.into_segment_us) for one in places}
            if all((one.program_us or 0) > instant_us for one in overlapping if one.run == segment.run):
                assert mine in found


def _expected(encoder: Encoder, seen: Seen) -> list[Segment]:
    """What reading the whole history of one life gives, from the first segment that was ever listed."""
    whole, _ = Timeline.empty().extended(parsed(encoder.text(seen.first, seen.end)), wall_us=NOON_US, url=URL)
    return list(whole.segments(1))


def _facts(segments: Sequence[Segment], begun: int) -> list[tuple[object, ...]]:
    """All that counts, positions and discontinuities from the segment that was known first."""
    base = next(one for one in segments if one.media_sequence == begun)
    return [
        (
            one.media_sequence,
            one.uri_path.rpartition("/")[2],
            one.duration_us,
            one.position_us - base.position_us,
            one.program_us,
            one.discontinuity,
            one.discontinuity_sequence - base.discontinuity_sequence,
            one.gap,
        )
        for one in segments
    ]


@PATIENT
@given(encoders(), st.data())
def test_following_gives_what_the_full_history_gives(lives: list[Encoder], data: st.DataObject) -> None:
    """Same runs, segments, positions, dates and numbers; nothing moves on the way; places and instants are each other's inverse."""
    draw = data.draw
    wall_us = NOON_US + draw(st.integers(0, 40)) * S
    viewing = Viewing(Follower(URL, now_us=wall_us))
    end_us = max(made.done_us for life in lives for made in life.media)
    dated_each = all(
        made.program_us is not None and made.program_us > NOON_US // 2 for life in lives for made in life.media
    )
    seen: dict[int, Seen] = {}
    start = 0  # of the served window
    text = ""
    while wall_us <= end_us + 10 * S:
        wall_us += draw(st.sampled_from([1, 2, 2, 3, 4])) * S
        begun = [number for number, life in enumerate(lives) if life.done(wall_us)]
        what = draw(
            st.sampled_from(
                ["whole"] * 6 + ["delta"] * 3 + ["stale", "page", "failure", "parts", "again", "grown", "grown"]
            )
        )
        if what == "failure" or not begun:
            viewing.follower.receive_failure("playlist_unavailable", now_us=wall_us)
            continue
        if what == "page":
            assert "malformed" == viewing.receive("<html>", wall_us).kind
            continue
        on_air = begun[-1]
        encoder, end = lives[on_air], lives[on_air].done(wall_us)
        if on_air not in seen:
            start = max(0, end - draw(st.sampled_from([1, 2, 3, 5, 8, 12])))
            seen[on_air] = Seen(start, start, start)
            what = "whole"
        mine = seen[on_air]
        if what == "again" and text:
            viewing.receive(text, wall_us)
            continue
        listed_to, skipped = end, 0
        if what == "stale":
            listed_to = max(start + 1, end - draw(st.integers(0, 2)))
        elif what == "delta":
            skipped = min(max(0, mine.end - 1 - start), draw(st.integers(0, 8)))
        elif what == "grown" and dated_each and mine.end > mine.first:
            start = draw(st.integers(max(0, mine.first - 5), start))
        elif what == "whole":
            start = min(draw(st.integers(start, start + 4)), max(start, min(mine.end, end) - 1))
        parts = draw(st.integers(1, 3)) if what == "parts" else 0
        text = encoder.text(start, listed_to, visit=draw(st.sampled_from(VISITS)), skipped=skipped, parts=parts)
        if mine.end > mine.first and draw(st.integers(0, 14)) == 0:
            viewing = viewing.restarted(wall_us)
        assert viewing.receive(text, wall_us).kind != "refetch"
        mine.first, mine.end = min(mine.first, start), max(mine.end, listed_to)
    timeline = viewing.follower.timeline
    assert len(seen) == len(timeline.runs)
    for run, (life, mine) in zip(timeline.runs, sorted(seen.items()), strict=True):
        expected = _facts(_expected(lives[life], mine), mine.begun)
        assert expected == _facts(timeline.segments(run.run), mine.begun)
    _check_places(timeline)


def _damaged(text: str, data: st.DataObject) -> str:
    """The text with a line lost, doubled or cut, or with all its dates moved."""
    draw = data.draw
    lines = text.split("\n")
    at = draw(st.integers(1, len(lines) - 1))
    how = draw(st.sampled_from(["lost", "doubled", "cut", "other_dates", "other_numbers"]))
    if how == "other_dates":
        by = draw(st.sampled_from([".1", ".7", "9"]))
        return "\n".join(f"{line[:-4]}{by}Z" if "DATE-TIME" in line else line for line in lines)
    if how == "other_numbers":
        return text.replace("MEDIA-SEQUENCE:", f"MEDIA-SEQUENCE:{draw(st.integers(1, 3))}", 1)
    lines[at : at + 1] = {"lost": [], "doubled": [lines[at]] * 2, "cut": [lines[at][: len(lines[at]) // 2]]}[how]
    return "\n".join(lines)


@PATIENT
@given(encoders(), st.data())
def test_whatever_is_answered_nothing_known_moves(lives: list[Encoder], data: st.DataObject) -> None:
    """Windows of any life in any order, with numbers missed and lines damaged: segments keep number, place and date.

    A date is replaced only if it was not the origin's own for that segment, and the reload says so.
    """
    draw = data.draw
    wall_us = NOON_US
    follower = Follower(URL, now_us=wall_us)
    rows: dict[tuple[int, int], Segment] = {}
    media = lives[0]
    for _ in range(draw(st.integers(1, 12))):
        wall_us += draw(st.sampled_from([1, 2, 2, 4, 30, 600])) * S
        media = draw(st.sampled_from([media] * 5 + lives))
        start = draw(st.integers(0, len(media.media) - 1))
        end = draw(st.integers(start, min(len(media.media), start + 12)))
        skipped = draw(st.sampled_from([0, 0, 0, min(2, end - start)]))
        parts = draw(st.sampled_from([0, 0, 2]))
        text = media.text(start, end, visit=draw(st.sampled_from(VISITS)), skipped=skipped, parts=parts)
        text += draw(st.sampled_from(["", "", "", "#EXT-X-ENDLIST\n"]))
        if draw(st.integers(0, 2)) == 0:
            text = _damaged(text, data)
        reload = follower.receive_playlist(text, url=URL, age_us=0, now_us=wall_us)
        timeline = follower.timeline
        revised = {(one.run, one.media_sequence) for one in reload.revised_segments}
        assert revised <= set(rows)
        for key, earlier in rows.items():
            now = timeline.segment(*key)
            assert now is not None
            assert _place(earlier) == _place(now)
            if earlier != now:
                assert key in revised
            if earlier.program_source == "explicit":
                assert earlier.program_us == now.program_us
        assert not {(one.run, one.media_sequence) for one in reload.new_segments} & set(rows)
        rows |= {(one.run, one.media_sequence): one for one in (*reload.revised_segments, *reload.new_segments)}
        assert all_segments(timeline) == [rows[key] for key in sorted(rows)]
        restored = Timeline.restored(timeline.runs, rows.values())
        assert (timeline.regions, timeline.gaps()) == (restored.regions, restored.gaps())
    _check_places(follower.timeline)
