"""docs/storage.md: every SQL example runs, every column and every table is told."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from chatsync.hls.timeline import LiveEdge, Run, Segment
from chatsync.instants import SECOND_US
from chatsync.store.opening import Store, open_store
from chatsync.store.schema import EVENTS, OBSERVATIONS, SEGMENTS
from tests.builders import BASE_US
from tests.store.deeds import deed, placed, said

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "storage.md").read_text()
EXAMPLES = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
ROOM = "math-101"


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
        store.catalog.put_broadcast(connection, ROOM, {"number": 1, "closed_wall_us": wall_us})

    store.writer.call(work).result()


@pytest.mark.parametrize("sql", EXAMPLES, ids=range(len(EXAMPLES)))
def test_every_example_runs(folder: Path, sql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By itself, in the folder that holds `data/`, and it finds something."""
    monkeypatch.chdir(folder)
    assert duckdb.connect().execute(sql).fetchall()


def test_there_are_examples() -> None:
    """The page has not lost them."""
    assert len(EXAMPLES) >= 5


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


@pytest.mark.parametrize("schema", [SEGMENTS, OBSERVATIONS], ids=["segments", "observations"])
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
