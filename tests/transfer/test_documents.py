"""Files as entries."""

from __future__ import annotations

import io
import json
import re
from typing import BinaryIO, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatsync.errors import FileDamagedError
from chatsync.transfer import documents
from chatsync.transfer.documents import json_items, json_lines, json_named_items, text_lines, whole_text, xml_elements


def test_values_at_a_place_come_one_by_one() -> None:
    """Before the document is whole."""
    found = json_items(io.BytesIO(b'{"x": [1], "a": [{"n": 1}, {"n": 2}'), "a.item")
    assert [{"n": 1}, {"n": 2}] == [next(found), next(found)]
    with pytest.raises(FileDamagedError, match="after 2 entries"):
        next(found)


def test_values_come_with_what_was_told_before() -> None:
    """Such as the name of the list they are in."""
    body = b'{"l": [{"f": "x", "c": [{"n": 1}]}, {"f": "y", "c": [{"n": 2}]}]}'
    found = json_named_items(io.BytesIO(body), ("l.item.c.item",), ("l.item.f",))
    assert [("x", 1), ("y", 2)] == [(told["l.item.f"], value["n"]) for told, value in found]


@pytest.mark.parametrize("line", [b"{", b"3", b"[]", b'"\xff"', b"[" * 100_000])
def test_a_line_that_is_no_object_is_damage(line: bytes) -> None:
    """It says which."""
    with pytest.raises(FileDamagedError, match="in line 3"):
        list(json_lines(io.BytesIO(b'{"a":1}\n\n' + line)))


def test_half_an_emoji_is_no_damage() -> None:
    """Programs that cut texts in their middle write it."""
    assert [{"a": "x\ud83e"}] == list(json_lines(io.BytesIO(b'{"a": "x\\ud83e"}\n')))


_PIECES = ["\ud83e", "\udd14", "🤔", "\\", "u", "n", '"', "a", "aaaaaa"]


@given(st.lists(st.lists(st.sampled_from(_PIECES), max_size=9).map("".join), max_size=9), st.integers(0, 70_000))
def test_half_an_emoji_is_no_damage_in_a_document(texts: list[str], before: int) -> None:
    """Wherever it stands: pairs stay pairs, halves become replacement characters, and what looks like one is text."""
    body = json.dumps({"x": "y" * before, "a": texts}).encode()
    whole = [re.sub("[\ud800-\udfff]", "\ufffd", text) for text in json.loads(body)["a"]]
    assert whole == list(json_items(io.BytesIO(body), "a.item"))


def test_a_line_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded, whatever the file."""
    monkeypatch.setattr(documents, "LINE_BYTES_MAX", 100)
    with pytest.raises(FileDamagedError, match="in line 1: it is longer"):
        list(text_lines(io.BytesIO(b"x" * 200)))


def test_a_whole_text_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same."""
    monkeypatch.setattr(documents, "WHOLE_BYTES_MAX", 100)
    with pytest.raises(FileDamagedError):
        whole_text(io.BytesIO(b"x" * 200))


def test_elements_are_emptied_as_they_pass() -> None:
    """A document of any length is read in little memory."""

    class Endless(io.RawIOBase):
        left = 3_000

        def read(self, _: int = -1) -> bytes:
            self.left -= 1
            return (
                b"<packet>"
                if self.left == 2_999
                else b"<chat a='b'>text<b/></chat><other/>" * 20
                if self.left > 0
                else b""
            )

    stream = cast("BinaryIO", Endless())
    seen: list[tuple[str | None, dict[str, str]]] = []
    for element in xml_elements(stream, "chat"):
        if len(seen) == 1_000:
            break
        seen.append((element.text, element.attrib))
    assert [("text", {"a": "b"})] * 1_000 == seen
