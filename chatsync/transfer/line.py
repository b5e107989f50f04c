"""One utterance on its way in or out, as every format can say it.

Owns: ``Line``, ``Removal``, ``Left`` and ``About``. Does not know: any format, rooms, the log.
Units: ``program_us`` is µs since the Unix epoch, ``position_us`` counts from the start of the recording or of what is exported.

A format says where a line stands by an instant, by a position, or by both; which of the two is trusted is decided once for all formats
(``transfer.placing``), never in an importer.
"""

from __future__ import annotations

from typing import Any

import msgspec

from chatsync.chat.event import Role

__all__ = ["About", "Left", "Line", "Removal"]


class Line(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Something that was said."""

    id: str  # the source's; "" where it has none
    kind: str = "message"  # message, question, announcement, paid, system
    program_us: int | None = None  # when it was said; None: the format has positions only
    position_us: int | None = None  # where in the recording; may be negative: before it began
    author_id: str | None = None  # the source's; None: nobody's
    author_name: str = ""
    role: Role = "participant"
    badges: tuple[str, ...] = ()
    text: str = ""
    reply_to: str | None = None  # id of what it replies to
    details: dict[str, Any] = msgspec.field(default_factory=dict)  # what the format adds, unknown fields included


class Removal(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The source took something away: one line, all that somebody said before, or, with neither named, all that was said before."""

    line_id: str | None = None
    author_id: str | None = None
    program_us: int | None = None


class Left(msgspec.Struct, frozen=True, gc=False):
    """Something that is no utterance and was left out, and why: counted, never dropped in silence."""

    why: str


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What an export is of.

    Attributes:
        room: its id.
        title: of the room or recording.
        start_us: program time of position 0.
        duration_us: how long it is.
        recording: its name, if positions are a recording's: program time and position then need not run alike.
    """

    room: str
    title: str
    start_us: int
    duration_us: int
    recording: str | None = None
