"""Answers as people, programs and other tools take them."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from chatsync.analysis.answers import WRITERS, lines_of, values_of

INSTANT = datetime(2025, 11, 24, 16, 0, 0, 500_000, tzinfo=UTC).replace(tzinfo=None)
TABLE = pa.table(
    {
        "program_us": pa.array([INSTANT, None], pa.timestamp("us")),
        "text": ["=1+1", "two\nlines\x1b[31m"],
        "tally": [[1, 2], None],
        "share": [-0.5, float("nan")],
    }
)


def test_json_values_have_a_word_for_everything() -> None:
    """Instants are ISO 8601 in UTC, lists stay lists, what is no number is null."""
    assert [
        ["2025-11-24T16:00:00.500Z", "=1+1", [1, 2], -0.5],
        [None, "two\nlines\x1b[31m", None, None],
    ] == values_of(TABLE)
    zoned = pa.table({"at": pa.array([INSTANT.replace(tzinfo=UTC)], pa.timestamp("us", tz="UTC"))})
    assert [["2025-11-24T16:00:00.500Z"]] == values_of(zoned)


def test_a_terminal_is_not_told_what_to_do() -> None:
    """Line breaks and escape sequences of a text are shown as dots, one row a line."""
    lines = list(lines_of(TABLE))
    assert 5 == len(lines)
    assert "\x1b" not in "".join(lines)
    assert "two·lines·[31m" in lines[3]
    assert "(2 rows)" == lines[-1]


def test_a_long_answer_says_what_it_leaves_out() -> None:
    """A hundred rows and cells of sixty characters are shown, and how many rows there are."""
    lines = list(lines_of(pa.table({"text": ["x" * 200] * 250})))
    assert 103 == len(lines)
    assert "x" * 59 + "…" == lines[2]
    assert "(250 rows; 150 are not shown: --json or --output has all)" == lines[-1]


def test_a_spreadsheet_finds_no_formula(tmp_path: Path) -> None:
    """What people wrote is text in a CSV; numbers stay numbers."""
    WRITERS[".csv"](TABLE, tmp_path / "rows.csv")
    with (tmp_path / "rows.csv").open(newline="") as file:
        heading, first, second = csv.reader(file)
    assert ["program_us", "share"] == [heading[0], heading[3]]
    assert ["2025-11-24T16:00:00.500Z", "'=1+1", "[1, 2]", "-0.5"] == first
    assert ["", "two\nlines\x1b[31m", "", ""] == second


def test_rows_go_to_lines_of_json_and_to_parquet(tmp_path: Path) -> None:
    """Each line is an object by column; Parquet is the table as it was."""
    WRITERS[".ndjson"](TABLE, tmp_path / "rows.ndjson")
    lines = (tmp_path / "rows.ndjson").read_text().splitlines()
    assert [{"text": "=1+1"}, {"text": "two\nlines\x1b[31m"}] == [{"text": json.loads(line)["text"]} for line in lines]
    WRITERS[".parquet"](TABLE, tmp_path / "rows.parquet")
    assert TABLE.column("text") == pq.read_table(tmp_path / "rows.parquet").column("text")
