"""``chatsync plot`` and ``chatsync highlights`` at the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from chatsync.cli import app
from chatsync.demo.term import write_term


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A term of simulated classes."""
    made: Path = tmp_path_factory.mktemp("term") / "data"
    write_term(made)
    return made


def _run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(words))
    return result.exit_code, result.output


def test_a_picture_is_drawn(folder: Path, tmp_path: Path) -> None:
    """By the file's name; another ending is refused before anything is drawn."""
    target = tmp_path / "room.png"
    status, told = _run("plot", "algebra", "--archive", str(folder), "-o", str(target), "--json")
    assert (0, {"room": "algebra", "file": str(target)}) == (status, json.loads(told))
    assert target.read_bytes().startswith(b"\x89PNG")
    assert 2 == _run("plot", "algebra", "--archive", str(folder), "-o", "room.pdf")[0]
    assert 2 == _run("plot", "physics", "--archive", str(folder), "-o", str(target))[0]


def test_where_pictures_cannot_be_drawn_it_is_said_how_they_can(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra the command names it."""
    monkeypatch.setitem(sys.modules, "altair", None)
    status, told = _run("plot", "algebra", "--archive", str(folder))
    assert (2, True) == (status, "pip install 'chatsync-hls[plot]'" in told)


def test_highlights_are_told_for_people_and_programs(folder: Path, tmp_path: Path) -> None:
    """A line a clip; as JSON with lag and scores; and written by the file's ending."""
    status, told = _run("highlights", "algebra", "--broadcast", "2", "--archive", str(folder), "--count", "3")
    assert (0, 4) == (status, len(told.splitlines()))
    target = tmp_path / "clips.edl"
    status, told = _run(
        "highlights", "algebra", "--recording", "lecture-2", "--archive", str(folder), "-o", str(target), "--json"
    )
    found = json.loads(told)
    assert (0, "lecture-2", 10) == (status, found["recording"], len(found["clips"]))
    assert 10 == target.read_text().count("AX")


def test_the_sql_that_is_explained_is_sql(folder: Path) -> None:
    """What ``--explain`` prints is parsed by DuckDB as two statements, and needs no archive."""
    status, told = _run("highlights", "any", "--explain")
    assert 0 == status
    assert 2 == len(duckdb.extract_statements(told))


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["algebra", "-o", "clips.mp4"], ".edl"),
        (["algebra", "--cut", "clips"], "--media"),
        (["algebra", "somewhere"], "evaluate"),
        (["evaluate", "/nowhere"], "no chat"),
        (["algebra", "--labels", "/nowhere.csv"], "cannot be read"),
        (["algebra", "--broadcast", "9"], "broadcast 9"),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(folder: Path, words: list[str], reason: str) -> None:
    """Each says what to do instead."""
    status, told = _run("highlights", *words, "--archive", str(folder))
    assert (2, True) == (status, reason in told), told
