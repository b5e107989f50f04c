"""Playlists and timelines for tests, written as an origin would write them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chatsync.hls.playlist import MediaPlaylist, parse_playlist
from chatsync.hls.timeline import Reload, Segment, Timeline
from chatsync.instants import SECOND_US, iso_from_us, us_from_iso

__all__ = ["NOON_US", "URL", "Media", "all_segments", "fed", "live", "live_text", "media_text", "parsed", "stream"]

NOON_US = us_from_iso("2026-03-02T12:00:00Z")
URL = "http://origin.test/live/stream.m3u8"


@dataclass(frozen=True)
class Media:
    """One segment as the origin describes it."""

    uri: str
    duration: str = "2.000"
    program_us: int | None = None
    discontinuity: bool = False
    gap: bool = False
    extra: str = ""

    def text(self) -> str:
        """Its lines."""
        lines = ["#EXT-X-DISCONTINUITY"] if self.discontinuity else []
        lines += ["#EXT-X-GAP"] if self.gap else []
        lines += [self.extra] if self.extra else []
        lines += [f"#EXTINF:{self.duration},"]
        lines += [] if self.program_us is None else [f"#EXT-X-PROGRAM-DATE-TIME:{iso_from_us(self.program_us)}"]
        return "\n".join([*lines, self.uri])


def media_text(
    media: Sequence[Media], *, first: int = 0, target: str = "2", header: str = "", tail: str = "", ended: bool = False
) -> str:
    """A media playlist."""
    lines = ["#EXTM3U", f"#EXT-X-TARGETDURATION:{target}", f"#EXT-X-MEDIA-SEQUENCE:{first}"]
    lines += [header] if header else []
    lines += [one.text() for one in media]
    lines += [tail] if tail else []
    lines += ["#EXT-X-ENDLIST"] if ended else []
    return "\n".join(lines) + "\n"


def parsed(text: str) -> MediaPlaylist:
    """A text that must be a media playlist."""
    playlist = parse_playlist(text)
    assert isinstance(playlist, MediaPlaylist)
    return playlist


def stream(count: int, *, start_us: int | None = NOON_US, name: str = "seg", first: int = 0) -> list[Media]:
    """Segments of 2 s in a row, dated from ``start_us``."""
    return [
        Media(f"{name}{first + index}.ts", program_us=None if start_us is None else start_us + index * 2 * SECOND_US)
        for index in range(count)
    ]


def live_text(media: Sequence[Media], first: int, end: int) -> str:
    """The window ``[first, end)`` of a stream, as text."""
    return media_text(media[first:end], first=first)


def live(media: Sequence[Media], first: int, end: int, *, offset: int = 0, ended: bool = False) -> MediaPlaylist:
    """The window ``[first, end)`` of a stream; ``offset`` is added to the numbers."""
    return parsed(media_text(media[first:end], first=first + offset, ended=ended))


def fed(
    *playlists: MediaPlaylist, timeline: Timeline | None = None, wall_us: int = NOON_US, step_us: int = 2 * SECOND_US
) -> tuple[Timeline, list[Reload]]:
    """A timeline fed with answers, one every ``step_us``, and what each was."""
    grown = Timeline.empty() if timeline is None else timeline
    reloads = []
    for playlist in playlists:
        grown, reload = grown.extended(playlist, wall_us=wall_us, url=URL)
        reloads.append(reload)
        wall_us += step_us
    return grown, reloads


def all_segments(timeline: Timeline) -> list[Segment]:
    """Segments of all runs in order."""
    return [segment for run in timeline.runs for segment in timeline.segments(run.run)]
