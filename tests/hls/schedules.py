"""Model streams and the windows in which they are looked at, for properties."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from chatsync.hls.playlist import MediaPlaylist
from tests.hls.builders import NOON_US, Media, live

__all__ = ["Schedule", "schedules"]


@dataclass(frozen=True)
class Schedule:
    """A model stream and the windows in which it is looked at."""

    media: list[Media]
    windows: list[tuple[int, int]]

    def whole(self) -> MediaPlaylist:
        """Everything in one list."""
        return live(self.media, 0, self.windows[-1][1])


@st.composite
def schedules(draw: st.DrawFn, *, count_min: int = 2, count_max: int = 25, slide_max: int = 25) -> Schedule:
    """Segments dated each, seldom or never, with jumps and discontinuities; windows that slide, repeat and lag.

    Args:
        draw: hypothesis gives it.
        count_min: segments at least.
        count_max: segments at most.
        slide_max: how far either end of the window moves at once.
    """
    count = draw(st.integers(count_min, count_max))
    dated = draw(st.sampled_from(["each", "some", "never"]))
    media: list[Media] = []
    program_us = NOON_US
    for index in range(count):
        duration_ms = draw(st.sampled_from([2000, 2002, 1960, 4004]))
        program_us += draw(st.sampled_from([0, 0, 0, 0, 1000, 30_000_000, -7_000_000]))
        has_date = dated == "each" or (dated == "some" and draw(st.integers(0, 3)) == 0)
        media.append(
            Media(
                f"seg{index}.ts",
                f"{duration_ms / 1000:.3f}",
                program_us if has_date else None,
                discontinuity=draw(st.integers(0, 5)) == 0,
                gap=draw(st.integers(0, 9)) == 0,
            )
        )
        program_us += duration_ms * 1000
    start, end = 0, draw(st.integers(count_min // 2, count))
    windows = [(start, end)]
    for _ in range(draw(st.integers(0, 10))):
        lag = draw(st.integers(0, 1)) and draw(st.integers(0, min(2, end - start - 1)))
        if lag:
            windows.append((start, end - lag))
            continue
        start = draw(st.integers(start, min(end - 1, start + slide_max)))
        end = draw(st.integers(end, min(count, end + slide_max)))
        windows.append((start, end))
    windows.append((start, end))
    return Schedule(media, windows)
