"""Chapters of a recording as WebVTT: what a player lists for jumping.

Owns: which lines begin a chapter and how long it goes. Does not know: where lines come from. Units: µs of position. Source: W3C WebVTT §1.4 (chapters).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from chatsync.instants import MS_US, SECOND_US
from chatsync.transfer.exporters.plain import one_line
from chatsync.transfer.exporters.subtitles import cue_clock, escaped
from chatsync.transfer.line import About, Line

__all__ = ["CHAPTER_KINDS", "chapters"]

CHAPTER_KINDS = {
    "announcement": "",
    "poll": "Poll: ",
    "question": "Question: ",
    "pin": "Pinned: ",
    "broadcast": "",
    "peak": "Peak: ",
}
"""Kinds that begin a chapter, and what stands before their text. One that comes sooner here names a chapter rather than one that comes later."""

_APART_US = 10 * SECOND_US  # between two chapters; what comes sooner belongs to the one before
_TITLE_CHARACTERS_MAX = 80
_FIRST_NAMELESS = list(CHAPTER_KINDS).index("broadcast")  # from here on nobody meant it as a heading


def chapters(lines: Iterable[Line], about: About) -> Iterator[str]:
    """A cue from each line to the next, the last one to the end; what is said less than ten seconds after another begins none.

    It may give that one its name: words that somebody meant to be found name a chapter rather than the mere beginning of an airing, or a peak.

    Args:
        lines: of :data:`CHAPTER_KINDS`, by position.
        about: of what they are chapters.
    """
    yield f"WEBVTT - {escaped(one_line(about.title))}\n"
    ranks = list(CHAPTER_KINDS)
    before: tuple[int, str, int] | None = None
    for line in lines:
        if line.kind not in CHAPTER_KINDS:
            continue
        start_us, rank = line.position_us or 0, ranks.index(line.kind)
        if before is not None and start_us - before[0] < _APART_US:
            if rank < before[2] and before[2] >= _FIRST_NAMELESS:
                before = (before[0], _title(line), rank)
            continue
        if before is not None:
            yield _cue(before[:2], start_us)
        before = (start_us, _title(line), rank)
    if before is not None:
        yield _cue(before[:2], max(about.duration_us, before[0] + MS_US))


def _title(line: Line) -> str:
    title = CHAPTER_KINDS[line.kind] + one_line(line.text)
    return title if len(title) <= _TITLE_CHARACTERS_MAX else title[: _TITLE_CHARACTERS_MAX - 1] + "…"


def _cue(chapter: tuple[int, str], end_us: int) -> str:
    start_us, title = chapter
    return f"\n{cue_clock(start_us)} --> {cue_clock(end_us)}\n{escaped(title)}\n"
