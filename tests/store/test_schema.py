"""Events and rows as Arrow tables and back."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import msgspec
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from chatsync.chat.event import KINDS, Draft, Event
from chatsync.store.rows import COLUMNS, checked, event_of, recalled_row, row_of, standing_columns
from chatsync.store.schema import (
    EVENTS,
    OBSERVATIONS,
    SCHEMA_VERSION,
    SEGMENTS,
    VIEWERS,
    event_from,
    journal_table,
    rows_table,
)
from tests.builders import BASE_US, author, event

json_values = st.recursive(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(), st.lists, max_leaves=5)
events = st.builds(
    event,
    st.integers(1, 2**40),
    kind=st.sampled_from(sorted(KINDS)),
    program_us=st.integers(0, 2**50),
    text=st.none() | st.text(),
    author=st.none() | st.text(min_size=1, max_size=5).map(author),
    reply_to=st.none() | st.integers(1, 2**40),
    target=st.none() | st.integers(1, 2**40),
    details=st.dictionaries(st.text(max_size=5), json_values, max_size=3),
)


def _rows(table: pa.Table) -> list[dict[str, Any]]:
    for name in ("program_us", "wall_us"):
        index = table.schema.get_field_index(name)
        table = table.set_column(index, name, table.column(name).cast(pa.int64()))
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _row(said: Event, version: int | None) -> tuple[Any, ...]:
    """The journal's row of an event."""
    fields = {name: getattr(said, name) for name in Draft.__struct_fields__ if name not in {"received_us", "by"}}
    return row_of(Draft(**fields), epoch=said.epoch, offset=said.offset, previous=0, name_version=version)


@given(st.lists(events, min_size=1, max_size=5))
def test_rows_survive_the_table(said: list[Event]) -> None:
    """There and back, every field is what it was; names come from elsewhere."""
    table = journal_table(standing_columns([_row(one, None if one.author is None else 3) for one in said]))
    assert EVENTS.equals(table.schema, check_metadata=True)
    rows = _rows(table)
    assert said == [event_from(row, one.author) for row, one in zip(rows, said, strict=True)]
    assert [None if one.author is None else 3 for one in said] == [row["name_version"] for row in rows]


@given(events)
def test_a_row_of_the_archive_is_a_row_of_the_journal_again(said: Event) -> None:
    """What was pruned says the same when it is brought back, and its checksums hold."""
    (values,) = _rows(journal_table(standing_columns([_row(said, 3)])))
    row = checked(recalled_row(values | {"details": msgspec.json.decode(values["details"])}))
    assert said == event_of(row, said.author)


def test_anonymous_kinds_lose_author_and_id() -> None:
    """Nothing in the row tells whose it was."""
    vote = event(7, "poll_voted", text=None)
    table = journal_table(
        standing_columns([_row(vote, 1), _row(event(8), 1)]), anonymous_kinds=frozenset({"poll_voted"})
    )
    first, second = _rows(table)
    assert ("", None, None, None) == (first["id"], first["author_key"], first["role"], first["name_version"])
    assert ("id-8", "key-ann") == (second["id"], second["author_key"])


def test_a_moved_row_stands_where_it_was_moved_to() -> None:
    """The table says where an event stands now, and by which stamp."""
    row = list(_row(event(7), 1))
    for name, value in (("placed_us", BASE_US + 5_000), ("placed_stamp", "arrival")):
        row[COLUMNS.index(name)] = value
    (values,) = _rows(journal_table(standing_columns([tuple(row)])))
    assert (BASE_US + 5_000, "arrival") == (values["program_us"], values["stamp"])


def test_rows_become_a_table() -> None:
    """Instants are integer µs, truths 0 or 1; no rows make an empty table of the same schema."""
    row = ("math", 1, 1, 9, "/s9.ts", None, 2_000_000, 0, 0, 1, 0, BASE_US, "explicit", 0)
    table = rows_table([row], SEGMENTS)
    assert SEGMENTS.equals(table.schema, check_metadata=True)
    assert (True, False) == (table.column("discontinuity")[0].as_py(), table.column("gap")[0].as_py())
    assert BASE_US == table.column("program_us").cast(pa.int64())[0].as_py()
    assert (0, OBSERVATIONS) == (rows_table([], OBSERVATIONS).num_rows, rows_table([], OBSERVATIONS).schema)


def test_files_say_which_schema_they_have() -> None:
    """Name and version stand in the metadata."""
    known = {"events": EVENTS, "segments": SEGMENTS, "observations": OBSERVATIONS, "viewers": VIEWERS}
    for name, schema in known.items():
        told = {key.decode(): value.decode() for key, value in schema.metadata.items()}
        assert {"chatsync.schema": name, "chatsync.schema_version": str(SCHEMA_VERSION)} == told


def test_arrow_does_without_pandas() -> None:
    """A process of ours makes arrays without importing it, where it is installed."""
    program = "import sys, pyarrow; {}pyarrow.array(['a'], pyarrow.string()); print('pandas' in sys.modules)"
    told = "from chatsync.store.schema import without_pandas; without_pandas(); "
    printed = [
        subprocess.run([sys.executable, "-c", program.format(first)], capture_output=True, text=True, check=True).stdout
        for first in ("", told)
    ]
    assert ["True\n", "False\n"] == printed
