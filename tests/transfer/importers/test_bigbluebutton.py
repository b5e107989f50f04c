"""BigBlueButton's public chat."""

from __future__ import annotations

import pytest

from chatsync.transfer.fields import REMOVED
from chatsync.transfer.line import Left
from tests.transfer.files import lines, read, read_file, sample


def _xml(message: str, **attributes: str) -> str:
    told = {
        "in": "12.3",
        "out": "",
        "name": "Amina",
        "senderRole": "VIEWER",
        "target": "chat",
        "message": message,
    } | attributes
    return f"<popcorn><chattimeline {' '.join(f'{name}={chr(34)}{value}{chr(34)}' for name, value in told.items())}/></popcorn>"


def test_an_entry_is_a_line() -> None:
    """Its time is a position; moderators say so."""
    (line,) = lines(read(_xml("hello", senderRole="MODERATOR")))
    assert (12_300_000, "Amina", "moderator", "hello") == (line.position_us, line.author_name, line.role, line.text)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (
            "see &lt;a href=&quot;https://e.invalid/n&quot;&gt;notes&lt;/a&gt; now",
            "see notes (https://e.invalid/n) now",
        ),
        ("&lt;a href=&quot;https://e.invalid&quot;&gt;https://e.invalid&lt;/a&gt;", "https://e.invalid"),
        ("&lt;a href=&quot;javascript:x()&quot;&gt;here&lt;/a&gt;", "here"),
        ("1 &amp;lt; 2&lt;br/&gt;b", "1 < 2\nb"),
        ("&lt;script&gt;x&lt;/script&gt;", "x"),
    ],
)
def test_html_becomes_text(message: str, text: str) -> None:
    """A link keeps its address, if that is one of the web."""
    assert [text] == [line.text for line in lines(read(_xml(message)))]


def test_what_was_cleared_stays_out() -> None:
    """A moderator took it away."""
    assert [Left(REMOVED)] == read(_xml("x", out="3000.0"))


def test_the_shared_sample_is_read() -> None:
    """One line, and one that was cleared."""
    found = read_file(sample("bbb_slides_new.xml"))
    assert (["hello from Nairobi"], Left(REMOVED)) == ([line.text for line in lines(found)], found[1])
