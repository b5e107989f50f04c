"""WebVTT, SRT and ASS: chat as a side-car that players show.

Owns: how a line becomes a cue, and how hostile text stays text. Does not know: where lines come from.
Units: µs of position. WebVTT and SRT have milliseconds, ASS hundredths of a second. Source: W3C WebVTT; formats.md.

A cue lasts five seconds. All lines have a position that is not negative, and a text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from chatsync.instants import MS_US, SECOND_US, iso_from_us
from chatsync.transfer.exporters.plain import STAFF, name_of, one_line, several_lines
from chatsync.transfer.line import About, Line

__all__ = ["CUE_US", "ass", "cue_clock", "escaped", "srt", "webvtt"]

CUE_US = 5 * SECOND_US
_CENTI_US = SECOND_US // 100
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
# ASS and readers of SRT take braces and backslashes for commands, and have no way to write them; some readers of SRT take tags.
_LOOKALIKES = str.maketrans({"{": "\uff5b", "}": "\uff5d", "\\": "\uff3c", "<": "\uff1c", ">": "\uff1e"})
_ASS_LOOKALIKES = str.maketrans({"{": "\uff5b", "}": "\uff5d", "\\": "\uff3c"})
# A line with two of these is the beginning of a cue to some readers of SRT, whatever stands between them.
_STAMP = re.compile(r"\d:\d{1,2}:\d{1,2}[.,]\d")


def webvtt(lines: Iterable[Line], about: About) -> Iterator[str]:
    """WebVTT with voice tags. The first NOTE says which program time position 0 is, so that it can be read back.

    Hosts and moderators have the class ``mod``. ``&``, ``<`` and ``>`` are escaped, so no text can end a cue or begin a tag; blank lines are closed up.
    """
    title = escaped(one_line(about.title))
    yield f"WEBVTT - {title}\n\nNOTE PROGRAM-DATE-TIME {iso_from_us(about.start_us)}\n\nSTYLE\n::cue(.mod) {{ color: lime }}\n"
    for line in lines:
        start_us = line.position_us or 0
        identifier = escaped(one_line(line.id))
        named = f"{identifier}\n" if identifier else ""
        voice = f"<v{'.mod' if line.role in STAFF else ''} {escaped(name_of(line))}>"
        yield f"\n{named}{cue_clock(start_us)} --> {cue_clock(start_us + CUE_US)}\n{voice}{escaped(several_lines(line.text))}\n"


def escaped(text: str) -> str:
    """The text of a cue; with ``>`` escaped it holds no arrow."""
    return text.translate(_ESCAPES)


def cue_clock(position_us: int) -> str:
    """``HH:MM:SS.mmm``."""
    seconds, millis = divmod(position_us // MS_US, 1_000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{millis:03}"


def srt(lines: Iterable[Line], about: About) -> Iterator[str]:
    """SubRip: ``Name: text``. It has no escapes: what a reader would take for a command or a tag is written in full width."""
    del about
    for number, line in enumerate(lines, start=1):
        start_us = line.position_us or 0
        text = f"{name_of(line)}: {several_lines(line.text)}".translate(_LOOKALIKES)
        text = _STAMP.sub(lambda found: found[0].replace(":", "\u2236"), text)
        yield f"{number}\n{_comma(start_us)} --> {_comma(start_us + CUE_US)}\n{text}\n\n"


def _comma(position_us: int) -> str:
    return cue_clock(position_us).replace(".", ",")


_ASS_HEAD = """[Script Info]
Title: {title}
ScriptType: v4.00+
PlayResX: 1280
PlayResY: 720
WrapStyle: 0
ScaledBorderAndShadow: yes

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, \
Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Chat,sans-serif,28,&H00FFFFFF,&H00FFFFFF,&H00000000,&H80000000,0,0,0,0,100,100,0,0,1,2,0,1,20,20,20,1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


def ass(lines: Iterable[Line], about: About) -> Iterator[str]:
    r"""Advanced SubStation Alpha, bottom left. Braces and backslashes become their full-width forms; a line break is ``\N``."""
    yield _ASS_HEAD.format(title=one_line(about.title))
    for line in lines:
        start_us = line.position_us or 0
        name = name_of(line).translate(_ASS_LOOKALIKES)
        text = several_lines(line.text).translate(_ASS_LOOKALIKES).replace("\n", r"\N")
        times = f"{_centis(start_us)},{_centis(start_us + CUE_US)}"
        yield f"Dialogue: 0,{times},Chat,{name.replace(',', ';')},0,0,0,,{name}: {text}\n"


def _centis(position_us: int) -> str:
    """``H:MM:SS.cc``."""
    seconds, centis = divmod(position_us // _CENTI_US, 100)
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}.{centis:02}"
