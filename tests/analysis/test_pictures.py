"""A chart becomes a file that shows everywhere."""

from __future__ import annotations

from pathlib import Path

import altair as alt
import pytest

from chatsync.analysis.pictures import Picture


@pytest.fixture(scope="module")
def picture() -> Picture:
    """Two bars with a title."""
    rows = [{"room": "calculus", "messages": 3}, {"room": "algebra", "messages": 5}]
    chart = {"data": {"values": rows}, "title": "Two rooms", "mark": "bar"}
    x, y = ({"field": name, "type": kind} for name, kind in (("room", "nominal"), ("messages", "quantitative")))
    return Picture(alt.Chart.from_dict({**chart, "encoding": {"x": x, "y": y}}))


def test_a_notebook_takes_it_as_png(picture: Picture, tmp_path: Path) -> None:
    """What notebooks ask for is PNG, and so is the file of that name."""
    picture.save(tmp_path / "a.png")
    assert picture._repr_png_() == (tmp_path / "a.png").read_bytes()
    assert picture._repr_png_().startswith(b"\x89PNG\r\n")


def test_a_drawing_has_the_words_of_the_chart(picture: Picture, tmp_path: Path) -> None:
    """SVG says the title and the names as text, so that it can be searched and read aloud."""
    picture.save(tmp_path / "a.svg")
    drawn = (tmp_path / "a.svg").read_text()
    assert all(word in drawn for word in ("<svg", "Two rooms", "calculus", "algebra"))


def test_another_ending_is_refused(picture: Picture, tmp_path: Path) -> None:
    """Nothing is written under a name that promises another format."""
    with pytest.raises(ValueError, match=r"\.png or \.svg"):
        picture.save(tmp_path / "a.gif")
    assert not (tmp_path / "a.gif").exists()
