"""A model of an origin: what its encoders make, when each segment is done, and how a list of it is written."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from chatsync.instants import MS_US, SECOND_US, iso_from_us
from tests.hls.builders import NOON_US

__all__ = ["Encoder", "Made", "encoders"]

S = SECOND_US
TARGET_S = 4


@dataclass(frozen=True)
class Made:
    """A segment as the encoder made it; it is complete at ``done_us`` of wall time."""

    name: str
    duration_us: int
    program_us: int | None  # its date as written
    discontinuity: bool
    gap: bool
    done_us: int

    def tags(self) -> list[str]:
        """What is known when it begins."""
        tags = ["#EXT-X-DISCONTINUITY"] * self.discontinuity + ["#EXT-X-GAP"] * self.gap
        return tags + ([] if self.program_us is None else [f"#EXT-X-PROGRAM-DATE-TIME:{iso_from_us(self.program_us)}"])

    def lines(self, visit: str) -> list[str]:
        """As it is listed; ``visit`` is in its address."""
        folder, _, token = visit.partition("?")
        query = f"?{token}" if token else ""
        return [*self.tags(), f"#EXTINF:{self.duration_us / S:.6f},", f"{folder}{self.name}{query}"]


@dataclass(frozen=True)
class Encoder:
    """One life of an encoder: media sequence from 0, nothing listed before its first segment is done."""

    media: list[Made]

    def text(self, start: int, end: int, *, visit: str = "", skipped: int = 0, parts: int = 0) -> str:
        """The window ``[start, end)``; of ``skipped`` segments a delta only says how many, and an open segment has parts."""
        lines = ["#EXTM3U", f"#EXT-X-TARGETDURATION:{TARGET_S}", f"#EXT-X-MEDIA-SEQUENCE:{start}"]
        lines += [f"#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}"] if skipped else []
        for made in self.media[start + skipped : end]:
            lines += made.lines(visit)
        if parts and end < len(self.media):
            lines += self.media[end].tags()
            lines += [f'#EXT-X-PART:DURATION=0.5,URI="p{end}.{n}"' for n in range(parts)]
        return "\n".join([*lines, ""])

    def done(self, wall_us: int) -> int:
        """How many segments are complete."""
        return sum(made.done_us <= wall_us for made in self.media)


@st.composite
def encoders(draw: st.DrawFn) -> list[Encoder]:
    """One to three lives, one after the other; dated each, late, seldom, or never, some dates of 1970 among the latter."""
    made: list[Encoder] = []
    wall_us = NOON_US
    dated = draw(st.sampled_from(["each", "each", "late", "some", "never"]))
    for life in range(draw(st.integers(1, 3))):
        # Without a date on each segment nobody could tell a restart under the same names from an older copy.
        same_names = dated == "each" and draw(st.booleans())
        media: list[Made] = []
        wall_us += draw(st.integers(0, 60)) * S
        program_us = wall_us
        dated_from = draw(st.integers(0, 12)) if dated == "late" else 0
        for index in range(draw(st.integers(2, 30))):
            duration_us = draw(st.sampled_from([2_000_000, 2_002_000, 1_960_000, 4_004_000, 40_000]))
            program_us += draw(st.sampled_from([0] * 12 + [S // 1000, -S // 500, 30 * S, -7 * S]))
            wall_us += duration_us + draw(st.sampled_from([0] * 10 + [9 * S]))
            own_us: int | None = program_us - program_us % MS_US
            if dated == "never" or index < dated_from or (dated == "some" and draw(st.integers(0, 3))):
                own_us = draw(st.sampled_from([None] * 5 + [index * S]))
            made_now = Made(
                name=f"seg{index}.ts" if same_names else f"life{life}-{index}.ts",
                duration_us=duration_us,
                program_us=own_us,
                discontinuity=draw(st.integers(0, 4)) == 0,
                gap=draw(st.integers(0, 9)) == 0,
                done_us=wall_us,
            )
            media.append(made_now)
            program_us += duration_us
        made.append(Encoder(media))
    return made
