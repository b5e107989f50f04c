"""Text that stands in formats where a line break, a control character or a pair of signs means something.

Owns: what such text becomes. Does not know: formats. Source: security-and-privacy §6.
"""

from __future__ import annotations

import re

from chatsync.transfer.line import Line

__all__ = ["STAFF", "name_of", "one_line", "several_lines"]

STAFF = frozenset({"host", "moderator"})
# All that str.splitlines takes for the end of a line, and readers written with it do too.
_BREAKS = re.compile("\r\n|[\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029]")
_BLANK_LINES = re.compile(r"\n\s*\n")
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f\ufeff\ufffe\uffff\ud800-\udfff]")


def several_lines(text: str) -> str:
    """The text without control characters, its lines ended by line feeds, none of them blank: a blank one ends a cue."""
    return _BLANK_LINES.sub("\n", _CONTROLS.sub("", _BREAKS.sub("\n", text))).strip()


def one_line(text: str) -> str:
    """The same on one line."""
    return " ".join(several_lines(text).split())


def name_of(line: Line) -> str:
    """What stands before a text: the name, or the beginning of the pseudonym where an archive has no names."""
    return one_line(line.author_name) or (line.author_id or "?")[:8]
