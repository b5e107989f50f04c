"""WebVTT: chat as a side-car of a video, a cue a line.

Owns: what of a cue is a name and what a text. Does not know: rooms. Units: µs of position. Source: W3C WebVTT; formats.md.

A NOTE with PROGRAM-DATE-TIME, as ``chatsync export`` writes it, says which program time position 0 is; without one it has to be told.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterator
from typing import BinaryIO

import webvtt as reading
from webvtt.errors import MalformedCaptionError, MalformedFileError

from chatsync.errors import FileDamagedError
from chatsync.transfer.documents import whole_text
from chatsync.transfer.fields import Known, clock_us, instant_us
from chatsync.transfer.line import Left, Line, Removal

__all__ = ["read"]

_VOICE = re.compile(r"<v(?P<classes>\.[^\s>]*)?[ \t]+(?P<name>[^>]*)>")
_TAG = re.compile(r"</?[^>]*>")
_START = re.compile(r"NOTE[ \t]+PROGRAM-DATE-TIME[ \t]+(\S+)")


def read(stream: BinaryIO, known: Known) -> Iterator[Line | Removal | Left]:
    """A line for each cue.

    Raises:
        FileDamagedError: it is no WebVTT.
    """
    del known
    told = whole_text(stream)
    try:
        cues = reading.from_buffer(io.StringIO(told))
    except (MalformedCaptionError, MalformedFileError) as error:
        raise FileDamagedError("at its beginning", "it is no WebVTT") from error
    found = _START.search(told)
    start_us = None if found is None else instant_us(found[1])
    for cue in cues.captions:
        position_us = clock_us(cue.start)
        raw = "\n".join(cue.lines)
        voice = _VOICE.search(raw)
        name = "" if voice is None else html.unescape(voice["name"]).strip()
        is_staff = voice is not None and "mod" in (voice["classes"] or "").split(".")
        yield Line(
            id=cue.identifier or "",
            program_us=None if start_us is None or position_us is None else start_us + position_us,
            position_us=position_us,
            author_id=f"name:{name}" if name else None,
            author_name=name,
            role="moderator" if is_staff else "participant",
            text=html.unescape(_TAG.sub("", raw)),
        )
