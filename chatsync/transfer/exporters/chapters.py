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

CHAPTER_KINDS = {"announcement": "", "poll": "Poll: ", "question": "Question: "}
"""Kinds that begin a chapter, and what stands before their text."""

_APART_US = 10 * SECOND_US  # between two chapters; what comes sooner belongs to the one before
_TITLE_CHARACTERS_MAX = 80


def chapters(lines: Iterable[Line], about: About) -> Iterator[str]:
    """A cue from each line to the next, the last one to the end; what is said less than ten seconds after another begins none.

    Args:
        lines: of :data:`CHAPTER_KINDS`, by position.
        about: of what they are chapters.
    """
    yield f"WEBVTT - {escaped(one_line(about.title))}\n"
    before: tuple[int, str] | None = None
    for line in lines:
        start_us = line.position_us or 0
        if line.kind not in CHAPTER_KINDS or (before is not None and start_us - before[0] < _APART_US):
            continue
        if before is not None:
            yield _cue(before, start_us)
        title = CHAPTER_KINDS[line.kind] + one_line(line.text)
        before = (start_us, title if len(title) <= _TITLE_CHARACTERS_MAX else title[: _TITLE_CHARACTERS_MAX - 1] + "…")
    if before is not None:
        yield _cue(before, max(about.duration_us, before[0] + MS_US))


def _cue(chapter: tuple[int, str], end_us: int) -> str:
    start_us, title = chapter
    return f"\n{cue_clock(start_us)} --> {cue_clock(end_us)}\n{escaped(title)}\n"
