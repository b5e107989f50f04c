"""Whatever the origin goes through and however it is looked at, following gives what reading its full history gives.

A model encoder runs for a while, with drift, jumps, ads and gaps, and starts anew under the same or other names. It is looked at by a
random schedule: windows that slide and shrink, delta updates, older copies, pages that are no playlist, loads that fail, addresses
with another token each time. ``CHATSYNC_EXAMPLES`` sets how many histories are tried.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatsync.hls.follower import Follower
from chatsync.hls.timeline import Segment, Timeline
from chatsync.instants import MS_US, SECOND_US, iso_from_us
from tests.hls.builders import NOON_US, URL, parsed

S = SECOND_US
EXAMPLES = int(os.environ.get("CHATSYNC_EXAMPLES", "150"))
TARGET_S = 4


@dataclass(frozen=True)
class Made:
    """A segment as the encoder made it; it is complete at ``done_us`` of wall time."""

    name: str
    duration_us: int
    program_us: int | None
    discontinuity: bool
    gap: bool
    done_us: int

    def lines(self, token: str) -> list[str]:
        """As it is listed."""
        lines = ["#EXT-X-DISCONTINUITY"] * self.discontinuity + ["#EXT-X-GAP"] * self.gap
        lines += [] if self.program_us is None else [f"#EXT-X-PROGRAM-DATE-TIME:{iso_from_us(self.program_us)}"]
        return [*lines, f"#EXTINF:{self.duration_us / S:.6f},", f"{self.name}{token}"]


@dataclass(frozen=True)
class Encoder:
    """One life of the encoder: media sequence from 0, nothing listed before its first segment is done."""

    media: list[Made]

    def text(self, start: int, end: int, *, token: str = "", skipped: int = 0, parts: int = 0) -> str:
        """The window ``[start, end)``; of ``skipped`` segments a delta only says how many, and an open segment has parts."""
        lines = ["#EXTM3U", f"#EXT-X-TARGETDURATION:{TARGET_S}", f"#EXT-X-MEDIA-SEQUENCE:{start}"]
        lines += [f"#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}"] if skipped else []
        for made in self.media[start + skipped : end]:
            lines += made.lines(token)
        if parts and end < len(self.media):
            lines += self.media[end].lines(token)[:-2]
            lines += [f'#EXT-X-PART:DURATION=0.5,URI="p{end}.{n}"' for n in range(parts)]
        return "\n".join([*lines, ""])

    def done(self, wall_us: int) -> int:
        """How many segments are complete."""
        return sum(made.done_us <= wall_us for made in self.media)


@dataclass
class World:
    """Encoders one after the other, and what of each was listed to us."""

    encoders: list[Encoder]
    seen: dict[int, tuple[int, int]] = field(default_factory=dict)  # by encoder: first and end index ever listed

    def on_air(self, wall_us: int) -> int | None:
        """The encoder whose list is served."""
        begun = [number for number, encoder in enumerate(self.encoders) if encoder.done(wall_us)]
        return begun[-1] if begun else None


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """One to three lives; dated each, seldom or never."""
    encoders: list[Encoder] = []
    wall_us = NOON_US
    dated = draw(st.sampled_from(["each", "some", "never"]))
    for life in range(draw(st.integers(1, 3))):
        # Without a date on each segment nobody could tell a restart under the same names from an older copy.
        same_names = dated == "each" and draw(st.booleans())
        media: list[Made] = []
        wall_us += draw(st.integers(0, 60)) * S
        program_us = wall_us
        for index in range(draw(st.integers(2, 30))):
            duration_us = draw(st.sampled_from([2_000_000, 2_002_000, 1_960_000, 4_004_000]))
            jump_us = draw(st.sampled_from([0] * 12 + [S // 1000, 30 * S, -7 * S]))
            program_us += jump_us
            wall_us += duration_us + draw(st.sampled_from([0] * 10 + [9 * S]))
            has_date = dated == "each" or (dated == "some" and draw(st.integers(0, 3)) == 0)
            media.append(
                Made(
                    f"seg{index}.ts" if same_names else f"life{life}-{index}.ts",
                    duration_us,
                    program_us - program_us % MS_US if has_date else None,
                    draw(st.integers(0, 7)) == 0,
                    draw(st.integers(0, 9)) == 0,
                    wall_us,
                )
            )
            program_us += duration_us
        encoders.append(Encoder(media))
    return World(encoders)


def _move(earlier: Segment, later: Segment) -> str | None:
    """What moved that may not: place, number, and program time once there is one."""
    for name in ("run", "media_sequence", "position_us", "duration_us", "discontinuity_sequence"):
        if getattr(earlier, name) != getattr(later, name):
            return name
    if earlier.program_us is not None and earlier.program_us != later.program_us:
        return "program_us"
    return None


def _check_places(timeline: Timeline) -> None:
    """Every place of a dated instant leads back to it, and every segment's own instant leads to it."""
    for run in timeline.runs:
        for segment in timeline.segments(run.run):
            if segment.program_us is None:
                continue
            for into_us in (0, segment.duration_us // 2, segment.duration_us - 1):
                instant_us = segment.program_us + into_us
                places = timeline.locate(instant_us)
                assert places
                back = [timeline.program_us_at(one.run, one.media_sequence, one.into_segment_us) for one in places]
                assert all(abs((at_us or 0) - instant_us) <= 100_000 for at_us in back)
                mine = timeline.locate(instant_us, run=run.run, media_sequence=segment.media_sequence)
                assert abs(mine[0].media_sequence - segment.media_sequence) <= 1


def _expected(encoder: Encoder, first: int, end: int) -> list[Segment]:
    """What reading the whole history of one life gives, from the first segment that was ever listed."""
    whole, _ = Timeline.empty().extended(parsed(encoder.text(first, end)), wall_us=NOON_US, url=URL)
    return list(whole.segments(1))


def _facts(segment: Segment) -> tuple[object, ...]:
    return (
        segment.media_sequence,
        segment.uri_path,
        segment.duration_us,
        segment.position_us,
        segment.program_us,
        segment.discontinuity,
        segment.discontinuity_sequence,
        segment.gap,
    )


@settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(worlds(), st.data())
def test_following_gives_what_the_full_history_gives(world: World, data: st.DataObject) -> None:
    """Same runs, segments, positions, dates and numbers; nothing moves on the way; places and instants are each other's inverse."""
    wall_us = NOON_US + data.draw(st.integers(0, 40)) * S
    follower = Follower(URL, now_us=wall_us)
    end_us = max(made.done_us for encoder in world.encoders for made in encoder.media)
    known: dict[tuple[int, int], Segment] = {}
    start = 0  # of the served window; it never falls within a life
    life: int | None = None
    while wall_us <= end_us + 10 * S:
        wall_us += data.draw(st.sampled_from([1, 2, 2, 3, 4])) * S
        on_air = world.on_air(wall_us)
        what = data.draw(st.sampled_from(["whole"] * 6 + ["delta"] * 3 + ["stale", "page", "failure", "parts"]))
        if on_air is None or what == "failure":
            follower.receive_failure("playlist_unavailable", now_us=wall_us)
            continue
        if what == "page":
            assert "malformed" == follower.receive_playlist("<html>", url=URL, age_us=0, now_us=wall_us).kind
            continue
        encoder = world.encoders[on_air]
        end = encoder.done(wall_us)
        if on_air != life:
            life, start = on_air, max(0, end - data.draw(st.integers(1, 12)))
            what = "whole"
        first, seen_end = world.seen.get(on_air, (start, start))
        listed_from, listed_to, skipped = start, end, 0
        if what == "stale":
            listed_to = max(start + 1, end - data.draw(st.integers(0, 2)))
        elif what == "delta":
            skipped = min(max(0, seen_end - 1 - start), data.draw(st.integers(0, 8)))
        elif what == "whole":
            start = listed_from = min(data.draw(st.integers(start, start + 4)), max(start, min(seen_end, end) - 1))
        parts = data.draw(st.integers(1, 3)) if what == "parts" else 0
        token = data.draw(st.sampled_from(["", "?t=1", f"?t={wall_us}"]))
        text = encoder.text(listed_from, listed_to, token=token, skipped=skipped, parts=parts)
        follower.receive_playlist(text, url=URL, age_us=0, now_us=wall_us)
        world.seen[on_air] = (first, max(seen_end, listed_to))
        for key, earlier in known.items():
            now = follower.timeline.segment(*key)
            assert now is not None
            assert _move(earlier, now) is None
        known = {
            (run.run, segment.media_sequence): segment
            for run in follower.timeline.runs
            for segment in follower.timeline.segments(run.run)
        }
    expected = [
        [_facts(segment) for segment in _expected(world.encoders[life], *world.seen[life])]
        for life in sorted(world.seen)
    ]
    timeline = follower.timeline
    assert expected == [[_facts(one) for one in timeline.segments(run.run)] for run in timeline.runs]
    _check_places(timeline)
    restored = Timeline.restored(timeline.runs, [one for run in timeline.runs for one in timeline.segments(run.run)])
    assert timeline.regions == restored.regions
    assert timeline.gaps() == restored.gaps()
