"""Zoom's chat as text: of a cloud recording, or as a participant saved it.

Owns: both shapes, and that what was said in private stays out. Does not know: rooms. Units: µs. Source: formats.md.

A cloud recording's times count from its beginning. A saved chat has the clock on somebody's wall, without day or zone: both have to be told. Only what was said to
everyone is read: who else a line was for stands in its head, in whatever words, so that every other one is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import BinaryIO

from chatsync.chat.event import Role
from chatsync.errors import FileUnplacedError
from chatsync.instants import DAY_US, us_from_iso
from chatsync.transfer.documents import text_lines
from chatsync.transfer.fields import Known, clock_us
from chatsync.transfer.line import Left, Line, Removal

__all__ = ["read"]

_CLOUD = re.compile(r"(?P<time>\d+:\d\d:\d\d)\t(?P<name>[^\t]*):\t(?P<text>.*)")
_SAVED = re.compile(r"(?P<time>\d\d:\d\d:\d\d)\s+From\s+(?P<name>.*?)(?:\s+[Tt]o\s+(?P<to>.*?))?\s*:\s?(?P<text>.*)")
_EVERYONE = frozenset({"Everyone", "everyone", ""})
_ROLES: tuple[tuple[str, Role], ...] = ((" (Host)", "host"), (" (Co-host)", "moderator"), (" (Co-Host)", "moderator"))
_REPLYING = re.compile(r'Replying to ".*":?\s*')


class _Head:
    """What is known of an entry while its text goes on."""

    def __init__(self, time_us: int, name: str, first: str, *, is_private: bool) -> None:
        self.time_us, self.name, self.is_private = time_us, name, is_private
        self.texts = [first] if first else []


def read(stream: BinaryIO, known: Known) -> Iterator[Line | Removal | Left]:
    """A line for each entry; what follows it up to the next one belongs to it.

    Raises:
        FileDamagedError: it is no text.
        FileUnplacedError: it has a clock on the wall, and the day or the zone is not known.
    """
    at: _Head | None = None
    is_saved = False
    days, last_us = 0, 0
    for line in text_lines(stream):
        cloud, saved = _CLOUD.fullmatch(line), _SAVED.fullmatch(line)
        found = cloud or saved
        if found is None:
            if at is not None:
                at.texts.append(line.strip())
            elif line.strip():
                yield Left("has no time")
            continue
        if at is not None:
            yield _line(at, known, is_saved=is_saved)
        is_saved = cloud is None
        time_us = clock_us(found["time"]) or 0
        if is_saved and time_us + days * DAY_US < last_us - DAY_US // 2:
            days += 1  # it went past midnight
        last_us = time_us = time_us + days * DAY_US
        to = "" if cloud else (found["to"] or "")
        at = _Head(time_us, found["name"].strip(), found["text"].strip(), is_private=to not in _EVERYONE)
    if at is not None:
        yield _line(at, known, is_saved=is_saved)


def _line(head: _Head, known: Known, *, is_saved: bool) -> Line | Left:
    if head.is_private:
        return Left("was said in private")
    name: str = head.name
    role: Role = "participant"
    for ending, means in _ROLES:
        if name.endswith(ending):
            name, role = name.removesuffix(ending), means
    details = {}
    replying = _REPLYING.fullmatch(head.texts[0]) if head.texts else None
    if replying is not None:
        details, head.texts = {"is_reply": True}, head.texts[1:]  # to whom is a name, and stays out
    return Line(
        id="",
        program_us=_absolute_us(head.time_us, known) if is_saved else None,
        position_us=None if is_saved else head.time_us,
        author_id=f"name:{name}" if name else None,
        author_name=name,
        role=role,
        text="\n".join(head.texts).strip(),
        details=details,
    )


def _absolute_us(time_us: int, known: Known) -> int:
    midnight = known.local_midnight
    if midnight is None:
        raise FileUnplacedError(
            "A saved Zoom chat has times of day only: say on which day and where with --date and --tz."
        )
    # The clock on the wall, not hours since midnight: in the night of a change of clocks the two differ.
    days, rest_us = divmod(time_us, DAY_US)
    wall = datetime(midnight.year, midnight.month, midnight.day, tzinfo=midnight.tzinfo)
    seconds = rest_us // 1_000_000
    wall = wall.replace(hour=seconds // 3600, minute=seconds // 60 % 60, second=seconds % 60)
    return us_from_iso(wall.astimezone(UTC).isoformat()) + days * DAY_US
