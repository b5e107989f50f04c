"""The standard picture has everything that was promised of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import chatsync
from chatsync.analysis.opened import OpenArchive
from chatsync.analysis.pictures import Picture
from chatsync.analysis.plotting import room_chart
from chatsync.demo.term import write_term
from chatsync.errors import NotFoundError
from tests.analysis.pictures import PAGE, QUESTIONS, queries


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenArchive]:
    """A term of simulated classes."""
    folder: Path = tmp_path_factory.mktemp("term") / "data"
    write_term(folder)
    with chatsync.open_archive(folder) as opened:
        yield opened


def _values(chart: object, column: str) -> list[dict[str, object]]:
    """Rows of the chart's data that have a column."""
    drawn = chart.to_dict()  # type: ignore[attr-defined]
    named = [row for rows in drawn.get("datasets", {}).values() for row in rows if column in row]
    return named or [row for rows in _inline(drawn) for row in rows if column in row]


def _inline(chart: object) -> Iterator[list[dict[str, object]]]:
    if isinstance(chart, dict):
        if isinstance(chart.get("values"), list):
            yield chart["values"]
        for one in chart.values():
            yield from _inline(one)
    elif isinstance(chart, list):
        for one in chart:
            yield from _inline(one)


def test_activity_questions_polls_and_gaps_are_what_the_archive_says(archive: OpenArchive) -> None:
    """Messages add up, questions are answered or open, and the restart of the encoder is a gap of its length."""
    chart = room_chart(archive, "calculus", broadcast=4)
    [(messages, questions)] = archive.sql(
        "SELECT messages, questions FROM broadcasts WHERE room = 'calculus' AND broadcast = 4"
    ).fetchall()
    assert messages == sum(int(str(row["messages"])) for row in _values(chart, "messages"))
    assert questions == len(_values(chart, "became"))
    assert {"answered", "left open"} == {row["became"] for row in _values(chart, "became")}
    [gap] = [row for row in _values(chart, "to") if set(row) == {"from", "to"}]
    assert 96_000 == int(str(gap["to"])) - int(str(gap["from"]))
    assert 2 == len({row["question"] for row in _values(chart, "question")})


def test_it_is_drawn_with_its_words(archive: OpenArchive, tmp_path: Path) -> None:
    """An SVG that can be searched: title, axes and the polls' questions; of a recording in minutes of it."""
    Picture(room_chart(archive, "calculus", broadcast=4)).save(tmp_path / "a.svg")
    drawn = (tmp_path / "a.svg").read_text()
    assert all(
        words in drawn for words in ("Lecture 4", "program time (UTC)", "viewers", "left open", "Which of these")
    )
    Picture(room_chart(archive, "calculus", recording="lecture-4")).save(tmp_path / "b.svg")
    assert "minute of the recording" in (tmp_path / "b.svg").read_text()


def test_what_is_not_there_is_said(archive: OpenArchive) -> None:
    """No empty picture of a room that the archive does not have."""
    with pytest.raises(NotFoundError):
        room_chart(archive, "physics")


def test_every_question_of_the_page_has_its_picture(archive: OpenArchive) -> None:
    """Each of the ten answers is drawn from the page's own query, and the page shows it."""
    page, drawings = PAGE.read_text(encoding="utf-8"), QUESTIONS
    assert 10 == len(queries()) == len(drawings)
    for number, (sql, draw) in enumerate(zip(queries(), drawings, strict=True), start=1):
        rows = archive.sql(sql).to_arrow_table().to_pylist()
        assert rows
        assert draw(rows).to_dict()["encoding"]
        assert f"](images/question-{number}.png)" in page
        assert (PAGE.parent / "images" / f"question-{number}.png").stat().st_size > 5_000
