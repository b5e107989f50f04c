"""How archive files are made: a row group at a time, whatever comes together in one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatsync.errors import CorruptError
from chatsync.instants import HOUR_US, SECOND_US, Range
from chatsync.store.making import FileMaker, _in_one_order
from chatsync.store.opening import Store
from chatsync.store.parquet import ROW_GROUP_ROWS, has_author
from chatsync.store.recall import Recall
from chatsync.store.schema import EVENTS
from tests.builders import BASE_US, author
from tests.store.deeds import deed, placed, said, tamper

HOUR = Range(BASE_US, BASE_US + HOUR_US)
COLUMNS = {"program_us": EVENTS.field("program_us").type, "offset": pa.int64(), "kind": EVENTS.field("kind").type}


def _maker(store: Store) -> FileMaker:
    return FileMaker(store.files, store.journal, store.catalog, Recall(store.files, store.catalog))


def _table(places: Sequence[tuple[int, int]]) -> pa.Table:
    columns = {
        "program_us": pa.array([at_us for at_us, _ in places], COLUMNS["program_us"]),
        "offset": pa.array([offset for _, offset in places], pa.int64()),
        "kind": pa.array([f"kind {offset % 3}" for _, offset in places]).dictionary_encode(),
    }
    return pa.table(columns)


def _places(table: pa.Table) -> list[tuple[int, int]]:
    return list(
        zip(table.column("program_us").cast(pa.int64()).to_pylist(), table.column("offset").to_pylist(), strict=True)
    )


@given(st.lists(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12), max_size=4), st.integers(1, 5))
def test_sources_in_order_become_one_in_order(sources: list[list[tuple[int, int]]], at_once: int) -> None:
    """Whatever each source holds and however it is cut into tables, all of it comes, sorted by (program time, offset)."""

    def cut(source: list[tuple[int, int]]) -> Iterator[pa.Table]:
        ordered = sorted(source)
        return (_table(ordered[first : first + at_once]) for first in range(0, len(ordered), at_once))

    merged = list(_in_one_order([cut(source) for source in sources]))
    assert sorted(place for source in sources for place in source) == [
        place for table in merged for place in _places(table)
    ]
    assert all(
        kind == f"kind {offset % 3}"
        for table in merged
        for kind, offset in zip(table.column("kind").to_pylist(), table.column("offset").to_pylist(), strict=True)
    )


def test_a_file_has_full_row_groups_and_says_what_it_holds(store: Store) -> None:
    """Rows that come a few at a time fill groups of 8,192; ranges and authors are those of all rows; it is not in its place yet."""
    count = ROW_GROUP_ROWS + 500
    anna = author("a" * 16)
    said(store, *(placed(f"m{number}", (number * 7 % count) * 0.1, author=anna) for number in range(count)))
    (made,) = _maker(store).make_span("math", 1, HOUR, [])
    path = store.files.root / made.temporary
    with pq.ParquetFile(path) as file:
        groups = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
        places = _places(file.read(["program_us", "offset"]))
    assert [ROW_GROUP_ROWS, 500] == groups
    assert sorted(places) == places
    assert (count, 1, count) == (made.file.rows, made.file.first_offset, made.file.last_offset)
    assert (places[0][0], places[-1][0]) == (made.file.start_us, made.file.end_us)
    assert has_author(made.authors, anna.key)
    assert not (store.files.root / made.file.path).exists()


def test_what_is_damaged_leaves_no_file(store: Store) -> None:
    """A row that does not fit its checksum ends it, and nothing that was begun lies about."""
    said(store, placed("a", 1), placed("b", 2))
    tamper(store.files.root, "UPDATE journal SET text = 'other' WHERE offset = 2")
    with pytest.raises(CorruptError):
        _maker(store).make_span("math", 1, HOUR, [])
    assert [] == [path for path in store.files.archive.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "changed",
    [
        *(
            "kind = 'poll_voted'",
            "stamp = 'none'",
            "placed_stamp = 'none'",
            "hidden = 1",
            "hidden_by = 3",
            "salt = NULL",
        ),
        *("wall_us = wall_us + 1", "author_key = NULL", "details = '{\"to\":[]}'", "chain = chain + 1", "text = NULL"),
    ],
)
def test_any_changed_column_is_damage(store: Store, changed: str) -> None:
    """Not all columns are read of rows that look plain; none of them changes what a file holds without being noticed."""
    said(store, *(placed(f"m{number}", number) for number in range(5)))
    tamper(store.files.root, f"UPDATE journal SET {changed} WHERE offset = 2")
    with pytest.raises(CorruptError):
        _maker(store).make_span("math", 1, HOUR, [])


def test_hidden_moved_and_staff_rows_stand_among_plain_ones(store: Store) -> None:
    """A file holds what is shown, where it stands now, and what is not for everyone lies in the other tree."""
    said(store, *(placed(f"m{number}", 10 * number) for number in range(1, 5)))
    clamp = {"rule": "clamp", "stamps": ["playhead"], "to_us": BASE_US + 35 * SECOND_US}
    said(store, deed("hide", "hidden", target=2), deed("move", "restamped", by=None, details=clamp))
    made = {one.file.tree: one for one in _maker(store).make_span("math", 1, HOUR, [])}
    tables = {
        tree: pq.read_table(
            store.files.root / one.temporary, columns=["program_us", "offset", "kind"], partitioning=None
        )
        for tree, one in made.items()
    }
    messages = tables["events"].filter(pc.equal(tables["events"]["kind"].cast(pa.string()), "message"))
    places = [((at_us - BASE_US) // SECOND_US, offset) for at_us, offset in _places(messages)]
    assert [(10, 1), (30, 3), (35, 4)] == places
    assert {"hidden", "restamped"} == set(tables["staff"]["kind"].to_pylist())


def test_a_row_that_only_the_index_has_is_damage(store: Store) -> None:
    """What the index of places names and the journal has not is never left out of a file in silence."""
    said(store, placed("a", 1), placed("b", 2))
    _lose_row(store.files.database, 2)
    with pytest.raises(CorruptError):
        _maker(store).make_span("math", 1, HOUR, [])


def _lose_row(path: Path, offset: int) -> None:
    """Take a row out of the table alone: while it goes, SQLite does not know of the indexes and triggers that are there."""
    around = "WHERE tbl_name = 'journal' AND type != 'table' AND sql IS NOT NULL"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        rows = connection.execute(f"SELECT * FROM sqlite_master {around}").fetchall()
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(f"DELETE FROM sqlite_master {around}")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DELETE FROM journal WHERE offset = ?", (offset,))
        connection.execute("PRAGMA writable_schema = ON")
        connection.executemany("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", rows)
