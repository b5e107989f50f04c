"""NDJSON and CSV, ours and other people's."""

from __future__ import annotations

import json

import pytest

from chatsync.errors import FileDamagedError
from chatsync.transfer.line import Line
from tests.transfer.files import T0_US, lines, read, read_file, sample


def test_an_object_a_line_is_read_back() -> None:
    """What ``chatsync export`` writes; what it does not know is a detail."""
    told = {
        "id": "a",
        "kind": "question",
        "program_ms": 1_773_064_812_340,
        "position_ms": 12_340.5,
        "author": {"id": "k1", "name": "Amina", "role": "host", "badges": ["x"]},
        "text": "why?",
        "reply_to": "b",
        "details": {"color": "red"},
        "mood": "good",
    }
    assert [
        Line(
            id="a",
            kind="question",
            program_us=T0_US + 12_340_000,
            position_us=12_340_500,
            author_id="k1",
            author_name="Amina",
            role="host",
            badges=("x",),
            text="why?",
            reply_to="b",
            details={"color": "red", "mood": "good"},
        )
    ] == read(json.dumps(told))


def test_a_table_is_read_by_its_heading() -> None:
    """In any order of columns, with quoted commas and line breaks; a column of its own is a detail."""
    table = 'text,program_time,author_name,mood\r\n"two\nlines, ""quoted""",2026-03-09T14:00:12.340Z,Amina,good\r\n'
    (line,) = lines(read(table))
    assert ('two\nlines, "quoted"', T0_US + 12_340_000, "Amina", {"mood": "good"}) == (
        *(line.text, line.program_us),
        *(line.author_name, line.details),
    )


@pytest.mark.parametrize(
    ("cell", "text"), [("'=1+1", "=1+1"), ("'@you", "@you"), ("'tis", "'tis"), ("''", "''"), ("=1+1", "=1+1")]
)
def test_the_apostrophe_before_a_formula_goes(cell: str, text: str) -> None:
    """And no other."""
    assert [text] == [line.text for line in lines(read(f'program_time,text\n2026-03-09T14:00:00Z,"{cell}"\n'))]


@pytest.mark.parametrize(
    "table",
    ["program_time,text\na,b,c\n", 'program_time,text\n1,"open\n', "program_time,text\n1,\xff\n".encode("latin-1")],
)
def test_a_table_that_is_none_is_damaged(table: bytes | str) -> None:
    """A row of another length, a quote without its end, another encoding."""
    with pytest.raises(FileDamagedError):
        read(table)


@pytest.mark.parametrize("value", ["null", "3", "[]", '{"id": {}}'])
def test_values_of_the_wrong_type_are_as_if_they_were_not_there(value: str) -> None:
    """Nothing that a file holds raises."""
    for field in ("id", "kind", "program_ms", "author", "text", "reply_to", "details"):
        told = f'{{"id": "a", "kind": "message", "text": "x", "program_ms": 1, "{field}": {value}}}'
        assert 1 == len(lines(read(told, name="ndjson")))


def test_the_shared_sample_is_read() -> None:
    """Its columns have other names than ours."""
    first, second = lines(read_file(sample("chat.csv")))
    assert ("m1", T0_US + 12_340_000, 12_340_000, "7001", "Amina") == (
        *(first.id, first.program_us, first.position_us),
        *(first.author_id, first.author_name),
    )
    assert "two\nlines" == second.text
