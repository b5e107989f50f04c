"""What goes out in a format that can carry it comes back as it was (issue 7)."""

from __future__ import annotations

import string
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatsync.chat.event import MESSAGE_KINDS, Role
from chatsync.instants import HOUR_US
from chatsync.transfer.exporters.bilibili import ILLEGAL
from chatsync.transfer.exporters.formats import FORMATS
from chatsync.transfer.exporters.plain import STAFF, name_of, several_lines
from chatsync.transfer.line import About, Line
from tests.transfer.files import T0_US, read

ABOUT = About(room="class", title="Limits", start_us=T0_US, duration_us=HOUR_US)
HOSTILE = (
    "=cmd()",
    "'=1",
    "-->",
    "{\\an8}",
    "<script>",
    "]]>",
    "a\nb",
    "a\r\nb",
    '"',
    "''",
    "\u202e",
    "λ 🤔",
    ", ;\t",
    "@x",
    "+1",
)

_TEXTS = st.sampled_from(HOSTILE) | st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=30)
_WORDS = st.text(string.ascii_letters + string.digits + "-:", min_size=1, max_size=12)
_DETAILS = st.dictionaries(
    _WORDS, st.integers(-(2**53), 2**53) | st.booleans() | _TEXTS | st.lists(_TEXTS, max_size=2), max_size=2
)


@st.composite
def _lines(draw: st.DrawFn) -> Line:
    """A line as a room exports it: it has an id and an instant, a position unless it is of program time in no recording."""
    nobody = draw(st.booleans())
    position_ms = draw(st.none() | st.integers(-1_000_000, 100_000_000))
    return Line(
        id=draw(_WORDS),
        kind=draw(st.sampled_from(sorted(MESSAGE_KINDS))),
        program_us=T0_US + draw(st.integers(0, 10**7)) * 1_000,
        position_us=None if position_ms is None else position_ms * 1_000,
        author_id=None if nobody else draw(_WORDS),
        author_name="" if nobody else draw(_TEXTS),
        role="participant" if nobody else draw(st.sampled_from(get_args(Role))),
        badges=() if nobody else tuple(draw(st.lists(_WORDS, max_size=2))),
        text=draw(_TEXTS),
        reply_to=draw(st.none() | _WORDS),
        details=draw(_DETAILS),
    )


@pytest.mark.parametrize("name", ["ndjson", "csv", "twitch_downloader"])
@given(lines=st.lists(_lines(), max_size=4))
def test_what_goes_out_comes_back(name: str, lines: list[Line]) -> None:
    """Every field, whatever people wrote."""
    assert lines == read(b"".join(FORMATS[name].write(lines, ABOUT)), name=name)


@given(lines=st.lists(_lines(), max_size=4))
def test_what_a_side_car_can_carry_comes_back(lines: list[Line]) -> None:
    """Names, texts, ids and places of WebVTT, as far as they are shown."""
    shown = [line for line in lines if FORMATS["webvtt"].takes(line)]
    found = [
        one for one in read(b"".join(FORMATS["webvtt"].write(shown, ABOUT)), name="webvtt") if isinstance(one, Line)
    ]
    assert [(line.id, line.position_us, T0_US + (line.position_us or 0)) for line in shown] == [
        (line.id, line.position_us, line.program_us) for line in found
    ]
    assert [several_lines(line.text) for line in shown] == [line.text for line in found]
    assert [name_of(line) for line in shown] == [line.author_name for line in found]


@given(lines=st.lists(_lines(), max_size=4))
def test_what_flies_over_the_picture_comes_back(lines: list[Line]) -> None:
    """Places and texts of Bilibili's XML, less what XML cannot have, and who is staff."""
    shown = [line for line in lines if FORMATS["bilibili"].takes(line)]
    found = read(b"".join(FORMATS["bilibili"].write(shown, ABOUT)), name="bilibili")
    assert [
        (line.position_us or 0, several_lines(ILLEGAL.sub("", line.text)), line.role in STAFF) for line in shown
    ] == [
        (line.position_us, several_lines(line.text), line.details["mode"] == "5")
        for line in found
        if isinstance(line, Line)
    ]
