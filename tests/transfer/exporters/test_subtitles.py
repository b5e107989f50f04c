"""Side-cars as they are written, to the letter."""

from __future__ import annotations

from chatsync.instants import SECOND_US
from chatsync.transfer.exporters.subtitles import ass, cue_clock, srt, webvtt
from tests.transfer.exporters.lines import ABOUT, line

LINES = [
    line("why is it so?", at_us=12_340_000, id="c1", author_name="Amina"),
    line("look:\n\nline 3", at_us=95_002_000, id="c2", author_name="Dr. Weber", role="host"),
]


def test_webvtt_says_the_program_time_of_its_beginning() -> None:
    """A voice a line, staff in a class of their own, and a note to read it back by."""
    assert (
        "WEBVTT - Lecture 1 --&gt; &lt;b&gt;\n\nNOTE PROGRAM-DATE-TIME 2025-11-24T16:00:00.000Z\n\nSTYLE\n::cue(.mod) { color: lime }\n"
        "\nc1\n00:00:12.340 --> 00:00:17.340\n<v Amina>why is it so?\n"
        "\nc2\n00:01:35.002 --> 00:01:40.002\n<v.mod Dr. Weber>look:\nline 3\n"
    ) == "".join(webvtt(LINES, ABOUT))


def test_srt_counts_its_cues() -> None:
    """Numbers from 1, commas before milliseconds."""
    assert (
        "1\n00:00:12,340 --> 00:00:17,340\nAmina: why is it so?\n\n2\n00:01:35,002 --> 00:01:40,002\nDr. Weber: look:\nline 3\n\n"
    ) == "".join(srt(LINES, ABOUT))


def test_ass_has_hundredths() -> None:
    """Times are cut to hundredths, breaks are commands, names have no comma."""
    events = "".join(ass([*LINES, line("x", author_name="a, b")], ABOUT)).split("[Events]\n")[1].splitlines()[1:]
    assert [
        "Dialogue: 0,0:00:12.34,0:00:17.34,Chat,Amina,0,0,0,,Amina: why is it so?",
        "Dialogue: 0,0:01:35.00,0:01:40.00,Chat,Dr. Weber,0,0,0,,Dr. Weber: look:\\Nline 3",
        "Dialogue: 0,0:00:01.00,0:00:06.00,Chat,a; b,0,0,0,,a, b: x",
    ] == events


def test_a_clock_goes_on_after_a_day() -> None:
    """Hours are counted on: a broadcast may be longer than a day."""
    assert "30:00:01.500" == cue_clock(30 * 3600 * SECOND_US + 1_500_000)
