"""WebVTT."""

from __future__ import annotations

import pytest

from chatsync.errors import FileDamagedError
from tests.transfer.files import T0_US, lines, read, read_file, sample

_NOTE = "NOTE PROGRAM-DATE-TIME 2026-03-09T14:00:00.000Z\n\n"
_CUE = "c-1\n00:00:12.340 --> 00:00:17.340 line:90%\n<v.mod Amina>a &lt; b &amp; <i>c</i>\nd\n"


def test_a_cue_is_a_line() -> None:
    """The voice is the name, references are characters, tags are not text; the note makes it absolute."""
    (line,) = lines(read(f"WEBVTT\n\n{_NOTE}{_CUE}"))
    assert ("c-1", "Amina", "moderator", "a < b & c\nd") == (line.id, line.author_name, line.role, line.text)
    assert (T0_US + 12_340_000, 12_340_000) == (line.program_us, line.position_us)


def test_without_the_note_there_is_a_position_only() -> None:
    """When it began has to be told."""
    assert [None] == [line.program_us for line in lines(read(f"WEBVTT\n\n{_CUE}"))]


def test_what_is_no_webvtt_is_damaged() -> None:
    """It says so in its first line."""
    with pytest.raises(FileDamagedError):
        read("hello", name="webvtt")


def test_the_shared_sample_is_read() -> None:
    """Three cues between styles and notes."""
    found = lines(read_file(sample("chat.vtt")))
    assert ["Amina", "ProfLinear", "Wei"] == [line.author_name for line in found]
    assert "why is det(A-λI)=0 the condition? a < b & c" == found[2].text
