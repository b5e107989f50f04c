"""Clips as others take them: CSV, an edit list, chapters, and cut with ffmpeg.

Owns: those formats. Does not know: how clips are found. Units: seconds from the start of the media.
Source: CMX 3600 edit decision list at 25 frames a second, non-drop; W3C WebVTT.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from chatsync.analysis.highlights import Clip
from chatsync.errors import SettingsError
from chatsync.instants import SECOND_US
from chatsync.media import cut
from chatsync.transfer.exporters.subtitles import cue_clock

__all__ = ["WRITERS", "cut_clips"]

_FRAMES_PER_S = 25


def _csv(clips: Sequence[Clip], title: str) -> Iterator[str]:
    del title
    yield "rank,start_s,end_s,peak_s,score,messages\n"
    for rank, clip in enumerate(clips, start=1):
        yield f"{rank},{clip.start_s:.3f},{clip.end_s:.3f},{clip.peak_s:.3f},{clip.score},{clip.messages}\n"


def _edl(clips: Sequence[Clip], title: str) -> Iterator[str]:
    """Clips one after the other, in the order of the media."""
    yield f"TITLE: {title}\nFCM: NON-DROP FRAME\n\n"
    into = 0
    for number, clip in enumerate(sorted(clips, key=lambda one: one.start_s), start=1):
        first, last = (round(at_s * _FRAMES_PER_S) for at_s in (clip.start_s, clip.end_s))
        times = " ".join(map(_timecode, (first, last, into, into + last - first)))
        yield f"{number:03}  AX       V     C        {times}\n* {clip.messages} messages\n"
        into += last - first


def _timecode(frames: int) -> str:
    seconds, frame = divmod(frames, _FRAMES_PER_S)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}:{frame:02}"


def _chapters(clips: Sequence[Clip], title: str) -> Iterator[str]:
    del title
    yield "WEBVTT\n"
    ranks = {clip: rank for rank, clip in enumerate(clips, start=1)}
    for clip in sorted(clips, key=lambda one: one.start_s):
        start, end = (cue_clock(round(at_s * SECOND_US)) for at_s in (clip.start_s, clip.end_s))
        yield f"\n{start} --> {end}\nHighlight {ranks[clip]}: {clip.messages} messages\n"


WRITERS: dict[str, Callable[[Sequence[Clip], str], Iterator[str]]] = {".csv": _csv, ".edl": _edl, ".vtt": _chapters}
"""By what a file's name ends in; each takes clips, best first, and a title of one line."""


def cut_clips(
    clips: Sequence[Clip], media: Path, folder: Path, progress: Callable[[str, int, int], None] | None = None
) -> list[Path]:
    """Cut each clip out of a file, as ``01.mp4`` and so on in the order of their rank.

    Args:
        clips: best first.
        media: a file whose positions the clips' are.
        folder: made if missing.
        progress: told (what, done, of how many).

    Raises:
        SettingsError: there is no ffmpeg, no such file, or ffmpeg cannot cut it.
        OSError: the folder cannot be made.
    """
    if not media.is_file():
        raise SettingsError(f"{media} is no file")
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for rank, clip in enumerate(clips, start=1):
        out = folder / f"{rank:02}{media.suffix or '.mp4'}"
        cut(
            media,
            out,
            start_us=round(clip.start_s * SECOND_US),
            duration_us=round((clip.end_s - clip.start_s) * SECOND_US),
        )
        made.append(out)
        if progress is not None:
            progress("clips", rank, len(clips))
    return made
