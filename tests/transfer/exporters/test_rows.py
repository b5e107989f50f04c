"""Rows as they are written, to the letter, and as large as they may be."""

from __future__ import annotations

import io
import json
import tracemalloc
from itertools import islice, repeat

import pyarrow.parquet as pq

from chatsync.transfer.exporters.rows import COLUMNS, SCHEMA, csv, ndjson, parquet
from tests.transfer.exporters.lines import ABOUT, line


def test_ndjson_leaves_out_what_says_nothing() -> None:
    """An object a line, instants in whole milliseconds, finer ones with their digits."""
    lines = [
        line("a", id="m1", badges=("TA",), details={"amount": 2}, reply_to="m0"),
        line("b", id="m2", program_us=None, position_us=1_500, author_id=None),
    ]
    assert [
        '{"id":"m1","kind":"message","program_ms":1764000001000,"position_ms":1000,'
        '"author":{"id":"a1b2c3d4e5f6","name":"Ann","role":"participant","badges":["TA"]},"text":"a","reply_to":"m0","details":{"amount":2}}\n',
        '{"id":"m2","kind":"message","position_ms":1.5,"text":"b"}\n',
    ] == list(ndjson(lines, ABOUT))


def test_ndjson_has_no_other_ends_of_lines() -> None:
    """Separators that some readers take for the end of a line are escaped, and read as they were."""
    [written] = ndjson([line("a\u2028b\u2029c", author_name="d\u2028e")], ABOUT)
    assert written.endswith("\n")
    assert [written] == written.splitlines(keepends=True)
    told = json.loads(written)
    assert ("a\u2028b\u2029c", "d\u2028e") == (told["text"], told["author"]["name"])


def test_csv_has_a_column_for_each_field() -> None:
    """The heading names them in order and says where an apostrophe may stand."""
    heading, row = list(csv([line("=1+1", id="m1", badges=("TA", "2nd"))], ABOUT))
    assert list(COLUMNS) == [cell.strip('"').split(" (")[0] for cell in heading.strip().split(",")]
    assert (
        '"m1","2025-11-24T16:00:01.000Z","1000","message","a1b2c3d4e5f6","Ann","participant","TA 2nd","\'=1+1","",""\r\n'
        == row
    )


def test_parquet_says_what_it_is_of() -> None:
    """Schema and metadata are in the file."""
    table = pq.read_table(io.BytesIO(b"".join(parquet([line(details={"a": [1]})], ABOUT))))
    assert SCHEMA.names == table.schema.names
    assert b"math" == table.schema.metadata[b"room"]
    assert ['{"a": [1]}'] == table.column("details").to_pylist()


def test_parquet_of_many_is_written_group_by_group() -> None:
    """A hundred and twenty thousand lines are three groups, and what is in memory meanwhile is one of them."""
    one = line("x" * 200)
    pieces = parquet(islice(repeat(one), 120_000), ABOUT)
    tracemalloc.start()
    sizes = [len(piece) for piece in pieces]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 4 == len(sizes)
    assert peak < 60 * 2**20
