"""Which module reads which format."""

from __future__ import annotations

import io
from contextlib import suppress
from importlib import import_module

import pytest

from chatsync.errors import FileDamagedError, FileUnplacedError
from chatsync.transfer.fields import Known
from chatsync.transfer.reading import READERS, lines_of


@pytest.mark.parametrize("name", READERS)
def test_a_reader_is_where_the_table_says(name: str) -> None:
    """So that a format is found when it is first needed."""
    reader = READERS[name]
    assert reader.function in import_module(f"chatsync.transfer.importers.{reader.module}").__all__


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b"<i/>", b"\xff\xfe\xff", b"[[[[", b'{"comments": [3, null, {"message": 3}]}', b"a\tb\n"],
)
def test_a_reader_takes_anything(name: str, body: bytes) -> None:
    """Lines, reasons, or damage: nothing else comes out of a file."""
    with suppress(FileDamagedError, FileUnplacedError):
        assert isinstance(list(lines_of(name, io.BufferedReader(io.BytesIO(body)), Known())), list)
