"""Lines of Twitch's IRC as they came, with their tags; lines of any IRC with server-time.

Owns: one line after the other. Does not know: what a line means (``transfer.irc_lines``), rooms. Units: µs. Source: formats.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from chatsync.transfer.documents import raw_lines
from chatsync.transfer.fields import Known
from chatsync.transfer.irc_lines import meant, parsed
from chatsync.transfer.line import Left, Line, Removal

__all__ = ["read"]


def read(stream: BinaryIO, known: Known) -> Iterator[Line | Removal | Left]:
    """What was said and taken away, in the order of the file. Lines that are not UTF-8 are read as old clients meant them.

    Raises:
        FileDamagedError: a line has no end.
    """
    del known
    for raw in raw_lines(stream):
        if raw.strip():
            line = parsed(raw)
            yield Left("is no line of IRC") if line is None else meant(line)
