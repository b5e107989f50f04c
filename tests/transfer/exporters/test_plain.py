"""What text becomes where a line break or a control character means something."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chatsync.transfer.exporters.plain import name_of, one_line, several_lines
from tests.transfer.exporters.lines import HOSTILE, line


@given(st.one_of(st.text(), st.sampled_from(HOSTILE)))
def test_several_lines_have_no_blank_one_and_one_line_has_no_break(text: str) -> None:
    """However a reader splits lines, it finds the same ones, none of them blank."""
    several = several_lines(text)
    assert several.split("\n") == (several.splitlines() or [""])
    assert several == "" or all(part.strip() for part in several.split("\n"))
    assert len(one_line(text).splitlines()) <= 1


def test_words_stay() -> None:
    """Nothing that can be read is left out."""
    text = "why  is\tit  –\u00a0so? 👩‍👩‍👧 שלום"
    assert text == several_lines(text)


def test_somebody_without_a_name_has_their_pseudonym() -> None:
    """A copied archive has no names: the beginning of the pseudonym tells people apart."""
    assert "a1b2c3d4" == name_of(line(author_name=""))
    assert "?" == name_of(line(author_name=" \n", author_id=None))
