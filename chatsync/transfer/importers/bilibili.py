"""Bilibili's danmaku: XML with everything but the text in one attribute.

Owns: the order of that attribute. Does not know: rooms. Units: µs; ``t`` is seconds from the video's beginning. Source: formats.md.

``ctime`` is when it was posted, which may be years after the video: a detail. Modes 7 to 9 are drawings and programs, no utterances.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from chatsync.instants import SECOND_US, iso_from_us
from chatsync.transfer.documents import xml_elements
from chatsync.transfer.fields import Known, us_of
from chatsync.transfer.line import Left, Line, Removal

__all__ = ["read"]

_FIELDS = ("t", "mode", "size", "color", "ctime", "pool", "author", "id", "weight")
_ID_DIGITS_MIN = 7  # a shorter one was counted by whoever wrote the file, and another file has it too
_NO_UTTERANCES = frozenset({"7", "8", "9"})


def read(stream: BinaryIO, known: Known) -> Iterator[Line | Removal | Left]:
    """A line for each ``d``.

    Raises:
        FileDamagedError: after the lines before the damage.
    """
    del known
    for element in xml_elements(stream, "d"):
        told = dict(zip(_FIELDS, element.attrib.get("p", "").split(","), strict=False))
        if len(told) < 8:
            yield Left("has no time")
            continue
        if told["mode"] in _NO_UTTERANCES:
            yield Left(f"is of mode {told['mode']}: a drawing or a program")
            continue
        posted_us = us_of(told["ctime"], SECOND_US)
        details = {name: told[name] for name in ("mode", "size", "color", "pool", "weight") if name in told}
        yield Line(
            id=told["id"] if len(told["id"]) >= _ID_DIGITS_MIN else "",
            position_us=us_of(told["t"], SECOND_US),
            author_id=told["author"] or None,
            text="".join(element.itertext()),
            details=details | ({} if not posted_us else {"posted_at": iso_from_us(posted_us)}),
        )
