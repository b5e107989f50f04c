"""Bilibili's XML: chat that flies over the picture.

Owns: that format's shape. Does not know: where lines come from. Units: seconds of position with five digits.
Source: formats.md: ``p="t,mode,size,color,ctime,pool,userhash,dmid"``.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator
from xml.sax.saxutils import escape

from chatsync.instants import SECOND_US
from chatsync.transfer.exporters.plain import STAFF
from chatsync.transfer.line import About, Line

__all__ = ["ILLEGAL", "bilibili"]

ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SCROLLING, _TOP = 1, 5
_WHITE, _GOLD = 0xFFFFFF, 0xFFD700


def bilibili(lines: Iterable[Line], about: About) -> Iterator[str]:
    """One ``<d>`` a line, hosts and moderators at the top in gold. Characters that XML cannot have are left out, and what reads it takes no other line break."""
    yield '<?xml version="1.0" encoding="UTF-8"?>\n<i>\n'
    yield f"  <chatserver>chatsync</chatserver>\n  <chatid>{zlib.crc32(about.room.encode())}</chatid>\n  <mission>0</mission>\n"
    yield "  <maxlimit>1000000</maxlimit>\n  <state>0</state>\n  <real_name>0</real_name>\n  <source>k-v</source>\n"
    for number, line in enumerate(lines, start=1):
        position_us = line.position_us or 0
        program_us = about.start_us + position_us if line.program_us is None else line.program_us
        is_staff = line.role in STAFF
        place = (
            f"{position_us // SECOND_US}.{position_us % SECOND_US // 10:05}",
            _TOP if is_staff else _SCROLLING,
            25,
            _GOLD if is_staff else _WHITE,
            program_us // SECOND_US,
            0,
            f"{zlib.crc32((line.author_id or '').encode()):08x}",
            number,
        )
        yield f'  <d p="{",".join(map(str, place))}">{escape(ILLEGAL.sub("", line.text))}</d>\n'
    yield "</i>\n"
