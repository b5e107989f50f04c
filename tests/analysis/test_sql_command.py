"""``chatsync sql``: questions at the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chatsync.cli import app
from chatsync.store.opening import open_store
from tests.builders import BASE_US
from tests.store.deeds import placed, said

RUNNER = CliRunner()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder with two messages, one of them archived."""
    with open_store(tmp_path / "data") as store:
        said(store, placed("a", 0, "hello"))
        store.archive.archive_now()
        said(store, placed("b", 60, "why?"))
    return tmp_path / "data"


def _run(*words: str) -> tuple[int, str]:
    result = RUNNER.invoke(app, ["sql", *words], input="SELECT count(*) AS n FROM messages")
    return result.exit_code, result.output


def test_an_answer_is_a_table_for_people_and_json_for_programs(folder: Path) -> None:
    """Files and journal together; instants in UTC."""
    query = "SELECT program_us, text FROM messages ORDER BY 1"
    status, told = _run(query, "--data", str(folder))
    assert (0, 2) == (status, told.count("Z  "))
    status, told = _run(query, "--archive", str(folder), "--json")
    answer = json.loads(told)
    assert (0, ["program_us", "text"]) == (status, answer["columns"])
    assert ["hello", "why?"] == [text for _, text in answer["rows"]]
    assert BASE_US // 1_000_000 == 1_764_000_000


def test_a_query_may_come_from_standard_input(folder: Path) -> None:
    """``-`` stands for what is piped in."""
    assert (0, {"columns": ["n"], "rows": [[2]]}) == (0, json.loads(_run("-", "--data", str(folder), "--json")[1]))


def test_rows_are_written_to_a_file(folder: Path, tmp_path: Path) -> None:
    """By its ending; another ending is refused before anything is asked."""
    target = tmp_path / "rows.ndjson"
    assert 0 == _run("FROM messages", "--data", str(folder), "-o", str(target))[0]
    assert 2 == len(target.read_text().splitlines())
    assert 2 == _run("FROM messages", "--data", str(folder), "-o", str(tmp_path / "rows.xls"))[0]


@pytest.mark.parametrize("query", ["COPY (SELECT 1) TO 'x'", "SELECT 1; SELECT 2", "DROP VIEW messages"])
def test_a_deed_is_refused(folder: Path, query: str) -> None:
    """Only questions are answered."""
    assert 2 == _run(query, "--data", str(folder))[0]


def test_a_wrong_question_says_what_is_wrong(folder: Path) -> None:
    """DuckDB's own words, and status 1."""
    status, told = _run("SELECT nothing FROM messages", "--data", str(folder))
    assert 1 == status
    assert "nothing" in told
