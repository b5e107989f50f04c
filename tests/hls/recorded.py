"""True histories and edits of them, for tests of recordings: what a room knows, and playlists cut from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from chatsync.hls.alignment import aligned
from chatsync.hls.known import Airing, KnownSegment, Library
from chatsync.hls.spans import Span
from chatsync.instants import SECOND_US
from tests.hls.builders import Media, media_text, parsed

__all__ = ["Shot", "library", "mapped", "of_shots", "recording", "shots"]


@dataclass(frozen=True)
class Shot:
    """A segment of a stream as it truly was; an advertisement has no broadcast."""

    uri: str
    duration_us: int
    program_us: int
    broadcast: int | None = 1
    run: int = 1
    media_sequence: int = 0

    def media(self, **changes: object) -> Media:
        """As a playlist lists it, with its date unless it is an advertisement."""
        date = None if self.broadcast is None else self.program_us
        return replace(Media(self.uri, f"{self.duration_us / SECOND_US:.6f}", date), **changes)  # type: ignore[arg-type]


def shots(
    durations_us: Sequence[int], start_us: int, *, name: str = "seg", broadcast: int | None = 1, run: int = 1
) -> list[Shot]:
    """A stream of segments in a row."""
    made, program_us = [], start_us
    for number, duration_us in enumerate(durations_us):
        made.append(Shot(f"{name}{number}.ts", duration_us, program_us, broadcast, run, number))
        program_us += duration_us
    return made


def library(*streams: Sequence[Shot]) -> Library:
    """What a room knows that has followed these streams, each its own broadcast."""
    known = [
        KnownSegment(
            shot.broadcast or 0, shot.run, shot.media_sequence, shot.uri, None, shot.duration_us, shot.program_us
        )
        for stream in streams
        for shot in stream
    ]
    airings = [
        Airing(stream[0].broadcast or 0, stream[0].program_us, stream[-1].program_us + stream[-1].duration_us)
        for stream in streams
    ]
    return Library(known, airings)


def recording(clips: Sequence[Sequence[Shot]], *, dated: bool = True, renamed: bool = False) -> list[Media]:
    """A playlist of clips, one after the other, with discontinuities between them."""
    media: list[Media] = []
    for number, clip in enumerate(clips):
        for index, shot in enumerate(clip):
            one = shot.media(discontinuity=number > 0 and index == 0)
            one = one if dated else replace(one, program_us=None)
            media.append(replace(one, uri=f"vod{len(media)}.ts") if renamed else one)
    return media


def mapped(media: Sequence[Media], known: Library) -> tuple[Span, ...]:
    """The spans of a recording with this playlist."""
    return aligned(parsed(media_text(media, ended=True)), known)


def of_shots(clips: Sequence[Sequence[Shot]]) -> list[tuple[int, int, int, int]]:
    """What the spans of a recording ought to be: position, duration, broadcast and program time, clips that go on joined."""
    made: list[tuple[int, int, int, int]] = []
    position_us = 0
    for clip in clips:
        for shot in clip:
            if shot.broadcast is not None:
                last = made[-1] if made else None
                goes_on = (
                    last is not None
                    and last[0] + last[1] == position_us
                    and last[2] == shot.broadcast
                    and last[3] + last[1] == shot.program_us
                )
                if last is not None and goes_on:
                    made[-1] = (last[0], last[1] + shot.duration_us, *last[2:])
                else:
                    made.append((position_us, shot.duration_us, shot.broadcast, shot.program_us))
            position_us += shot.duration_us
    return made
