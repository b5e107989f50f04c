"""docs/storage.md: every example runs, every column and every table is told, and what readers make of them is so."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from chatsync.hls.timeline import LiveEdge, Run, Segment
from chatsync.instants import SECOND_US
from chatsync.store.opening import Store, open_store
from chatsync.store.schema import EVENTS, OBSERVATIONS, SEGMENTS, VIEWERS
from tests.builders import BASE_US
from tests.store.deeds import deed, placed, said

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "storage.md").read_text()
EXAMPLES = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
PYTHON = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
ROOM = "math-101"
GLOB = "data/archive/events/*/*/*.parquet"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where `data/` lies: a lecture with questions, votes, segments and reloads, archived."""
    where = tmp_path_factory.mktemp("docs")
    with open_store(where / "data") as store:
        _fill(store)
        store.archive.archive_now()
        yield where


def _fill(store: Store) -> None:
    vote = {"poll": "p", "choices": [1]}
    said(
        store,
        placed("a", 1, room=ROOM),
        placed("q", 2, "why?", kind="question", room=ROOM),
        deed("u", "question_upvoted", target=2, room=ROOM),
        deed("v", "poll_voted", details=vote, room=ROOM),
        placed("b", 3700, broadcast=2, room=ROOM),
        placed("c", 4, room="007"),
        placed("d", 5, room="2026-01-31"),
    )
    segments = [
        Segment(
            run=1,
            media_sequence=n,
            uri_path=f"/s{n}.ts",
            duration_us=2 * SECOND_US,
            position_us=n * 2 * SECOND_US,
            program_us=BASE_US + n * 2 * SECOND_US,
            program_source="explicit",
        )
        for n in range(3)
    ]
    edge = LiveEdge(1, 2, 0, 6 * SECOND_US, BASE_US + 6 * SECOND_US)

    def work(connection: sqlite3.Connection) -> None:
        runs = [Run(1, "https://video.example.org/", BASE_US, "first")]
        store.catalog.put_segments(connection, ROOM, runs, [(1, segments)])
        wall_us = BASE_US + 9 * SECOND_US
        store.catalog.put_observation(
            connection, ROOM, wall_us=wall_us, age_us=0, edge=edge, kind="advance", broadcast=1, step_us=0
        )
        store.catalog.note_viewers(connection, ROOM, 1, BASE_US, 3)
        store.catalog.put_broadcast(connection, ROOM, {"number": 1, "closed_wall_us": wall_us})

    store.writer.call(work).result()


@pytest.mark.parametrize("sql", EXAMPLES, ids=range(len(EXAMPLES)))
def test_every_example_runs(folder: Path, sql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By itself, in the folder that holds `data/`, and it finds something."""
    monkeypatch.chdir(folder)
    assert duckdb.connect().execute(sql).fetchall()


@pytest.mark.parametrize("code", PYTHON[1:], ids=["duckdb", "polars", "pandas"])
def test_every_example_in_python_runs(folder: Path, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the first one, whose functions they use, and it finds the room's public rows."""
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}
    exec(PYTHON[0] + code, names)
    assert 3 == len(names["chat"])


def test_there_are_examples() -> None:
    """The page has not lost them."""
    assert len(EXAMPLES) >= 5
    assert 4 == len(PYTHON)


def test_the_path_says_what_the_file_says(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rooms that look like a date or a number stay what they are, if the reader is told what the page says."""
    monkeypatch.chdir(folder)
    expected = [("007", 1), ("2026-01-31", 1), (ROOM, 1), (ROOM, 1), (ROOM, 2)]
    typed = "hive_partitioning = true, hive_types = {'room': VARCHAR, 'broadcast': INTEGER}"
    assert typed in PAGE
    for told in (typed, "hive_partitioning = false"):
        sql = f"SELECT room, broadcast FROM read_parquet('{GLOB}', {told}) ORDER BY ALL"
        assert expected == duckdb.connect().execute(sql).fetchall()
    lazy = pl.scan_parquet(GLOB).select("room", "broadcast")
    assert expected == sorted(lazy.collect().rows())
    for room in ("007", "2026-01-31"):
        assert [(room, 1)] == lazy.filter(pl.col("room") == room).collect().rows()
    frame = pd.read_parquet("data/archive/events", partitioning=None)
    assert expected == sorted(zip(frame["room"], frame["broadcast"], strict=True))


def test_readers_guess_what_the_page_says(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Untold, DuckDB takes a room's name for a date, and pandas refuses to read: a newer version may do better."""
    monkeypatch.chdir(folder)
    (room, broadcast) = (
        duckdb.connect()
        .execute(f"SELECT typeof(room), typeof(broadcast) FROM '{GLOB.replace('*/*/', 'room=2026*/*/')}'")
        .fetchall()[0]
    )
    assert ("DATE", "BIGINT") == (room, broadcast)
    with pytest.raises(pa.ArrowTypeError, match="Unable to merge"):
        pd.read_parquet("data/archive/events")


def test_readers_know_dictionaries_and_instants(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the page says."""
    monkeypatch.chdir(folder)
    few, instants = ["room", "kind", "stamp", "author_key", "role", "source"], ["program_us", "wall_us"]
    schema = pl.read_parquet_schema(next(iter(folder.glob(GLOB))))
    assert {pl.Categorical} == {schema[name].base_type() for name in few}
    assert {pl.Datetime("us", "UTC")} == {schema[name] for name in instants}
    frame = pd.read_parquet("data/archive/events", partitioning=None)
    assert {"category"} == {str(frame.dtypes[name]) for name in few}
    assert {"datetime64[us, UTC]"} == {str(frame.dtypes[name]) for name in instants}
    whole = pd.read_parquet("data/archive/events", partitioning=None, dtype_backend="pyarrow")
    assert "int64[pyarrow]" == str(whole.dtypes["reply_to"])
    found = duckdb.connect().execute(f"DESCRIBE SELECT * FROM read_parquet('{GLOB}')").fetchall()
    types = {name: type_ for name, type_, *_ in found}
    assert {"TIMESTAMP WITH TIME ZONE"} == {types[name] for name in instants}


def test_polars_needs_a_glob_while_a_file_is_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies beside a file for a moment is not read by any."""
    monkeypatch.chdir(folder)
    beside = next(iter(folder.glob(GLOB))).parent / ".1764000000000.g9.parquet.1.tmp"
    beside.write_bytes(b"PAR1 half of it")
    try:
        assert 5 == pl.read_parquet(GLOB).height
        assert 5 == len(pd.read_parquet("data/archive/events", partitioning=None))
        assert [(5,)] == duckdb.connect().execute(f"SELECT count(*) FROM '{GLOB}'").fetchall()
        with pytest.raises(pl.exceptions.InvalidOperationError):
            pl.read_parquet("data/archive/events")
    finally:
        beside.unlink()


@pytest.mark.parametrize("field", list(EVENTS), ids=lambda field: str(field.name))
def test_every_column_of_events_is_told(field: pa.Field) -> None:
    """With its type, and whether it may be null."""
    kind = str(field.type.value_type) if pa.types.is_dictionary(field.type) else str(field.type)
    kind = kind.replace("tz=", "") + (", nullable" if field.nullable else "")
    assert f"| `{field.name}` | {kind} |" in PAGE


def test_the_columns_stand_in_their_order() -> None:
    """And the page tells no column that is not there."""
    table = PAGE.partition("### Columns of")[2].partition("\n\n`segments`")[0]
    assert EVENTS.names == re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)


@pytest.mark.parametrize("schema", [SEGMENTS, OBSERVATIONS, VIEWERS], ids=["segments", "observations", "viewers"])
def test_columns_of_the_other_trees_are_told(schema: pa.Schema) -> None:
    """By name."""
    assert [] == [name for name in schema.names if f"`{name}`" not in PAGE]


def test_every_table_is_told(folder: Path) -> None:
    """Each table of chatsync.db has its line."""
    connection = sqlite3.connect(folder / "data" / "chatsync.db")
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    connection.close()
    section = PAGE.partition("## chatsync.db")[2].partition("\n## ")[0]
    assert [] == [name for name in names if f"`{name}`" not in section]


def test_everything_in_the_folder_is_told(folder: Path) -> None:
    """No file or folder lies there that the page does not name."""
    tree = PAGE.partition("```text")[2].partition("```")[0]
    found = {path.name.removesuffix("-shm").removesuffix("-wal") for path in (folder / "data").iterdir()}
    found |= {f"archive/{path.name}" for path in (folder / "data" / "archive").iterdir()}
    assert [] == sorted(name for name in found if name not in tree)
