"""CSV in which nothing is run, and from which every text comes back."""

from __future__ import annotations

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from chatsync.store.spreadsheets import NOTE, csv_lines, neutral

COLUMNS, TEXTS = ("offset", "text", "hidden"), frozenset({"text"})


def _cells(text: str) -> list[str]:
    lines = csv_lines(COLUMNS, TEXTS, [{"offset": -7, "text": text, "hidden": True}])
    return list(csv.reader(io.StringIO("".join(lines), newline="")))[1]


def test_the_heading_says_what_was_done() -> None:
    """Quoted, CR LF, and the columns of people's words carry the note."""
    assert [f'"offset","text ({NOTE})","hidden"\r\n', '"1","a ""b""",""\r\n'] == list(
        csv_lines(COLUMNS, TEXTS, [{"offset": 1, "text": 'a "b"', "hidden": None}])
    )


@given(st.sampled_from("=+-@\t\r\n＝＋－＠"), st.text(max_size=20))
def test_no_cell_begins_a_formula(first: str, rest: str) -> None:
    """Whatever begins like one has an apostrophe before it; numbers of ours stay numbers."""
    offset, text, hidden = _cells(first + rest)
    assert ("-7", "'", "true") == (offset, text[0], hidden)


@given(st.text(max_size=50))
def test_every_text_comes_back(text: str) -> None:
    """Less the apostrophe, a reader of CSV finds what was written."""
    found = _cells(text)[1]
    assert text == (found[1:] if found != text else found)
    assert found in {text, neutral(text)}


@given(st.text("'=@a", max_size=6))
def test_taking_the_apostrophe_away_gives_the_text_back(text: str) -> None:
    """Also where one stood there already: no two texts are written alike."""
    cell = neutral(text)
    assert text == (cell[1:] if cell.startswith("'") and neutral(cell[1:]) == cell else cell)
