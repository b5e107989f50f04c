"""What begins a chapter, and how long it goes."""

from __future__ import annotations

from chatsync.instants import SECOND_US
from chatsync.transfer.exporters.chapters import chapters
from tests.transfer.exporters.lines import ABOUT, line


def test_a_chapter_goes_to_the_next_and_the_last_to_the_end() -> None:
    """Announcements, polls and questions begin one; chatter does not."""
    lines = [
        line("Now to limits", at_us=2 * SECOND_US, kind="announcement"),
        line("chatter", at_us=20 * SECOND_US),
        line("Which is right?", at_us=60 * SECOND_US, kind="poll"),
        line("why?", at_us=90 * SECOND_US, kind="question"),
    ]
    assert (
        "WEBVTT - Lecture 1 --&gt; &lt;b&gt;\n"
        "\n00:00:02.000 --> 00:01:00.000\nNow to limits\n"
        "\n00:01:00.000 --> 00:01:30.000\nPoll: Which is right?\n"
        "\n00:01:30.000 --> 01:00:00.000\nQuestion: why?\n"
    ) == "".join(chapters(lines, ABOUT))


def test_what_follows_at_once_is_no_chapter_of_its_own() -> None:
    """A list for jumping has places that are ten seconds apart."""
    lines = [line("a", at_us=at_s * SECOND_US, kind="announcement") for at_s in (0, 9, 10, 15, 20)]
    assert 3 == "".join(chapters(lines, ABOUT)).count("-->")


def test_a_long_title_is_cut() -> None:
    """A chapter's title fits a menu."""
    written = "".join(chapters([line("x" * 500, kind="announcement")], ABOUT))
    assert "x" * 79 + "…\n" in written


def test_what_somebody_said_names_a_chapter_rather_than_where_it_merely_begins() -> None:
    """An airing or a peak keeps its place, and takes the name of an announcement that follows at once; an announcement keeps its own."""
    lines = [
        line("Airing 1", at_us=0, kind="broadcast"),
        line("Now to limits", at_us=3 * SECOND_US, kind="announcement"),
        line("later", at_us=5 * SECOND_US, kind="pin"),
        line("40 messages", at_us=60 * SECOND_US, kind="peak"),
        line("Page 7", at_us=61 * SECOND_US, kind="pin"),
        line("90 messages", at_us=90 * SECOND_US, kind="peak"),
    ]
    titles = [text for text in "".join(chapters(lines, ABOUT)).splitlines()[1:] if text and "-->" not in text]
    assert ["Now to limits", "Pinned: Page 7", "Peak: 90 messages"] == titles
