"""TwitchDownloader's JSON, new and old, packed and in other encodings."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from chatsync.errors import FileDamagedError
from chatsync.transfer.line import Left
from tests.transfer.files import T0_US, lines, read, read_file, sample


def _file(*comments: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"streamer": {"name": "P", "id": 1}, "video": {"start": 0}, "comments": list(comments), **fields}


def _comment(id_: str = "a", **fields: Any) -> dict[str, Any]:
    return {
        "_id": id_,
        "created_at": "2026-03-09T14:00:12.340Z",
        "content_offset_seconds": 12,
        "commenter": {"_id": "7001", "name": "amina", "display_name": "Amina"},
        "message": {"body": "hello", "user_badges": [], "user_color": "#2E8B57"},
    } | fields


def test_a_comment_is_a_line() -> None:
    """Its instant is absolute to the millisecond, its position whole seconds."""
    (line,) = lines(read(_file(_comment())))
    assert ("a", T0_US + 12_340_000, 12_000_000) == (line.id, line.program_us, line.position_us)
    assert ("7001", "Amina", "participant", "hello") == (line.author_id, line.author_name, line.role, line.text)
    assert {"color": "#2E8B57", "login": "amina"} == line.details


def test_badges_say_who_runs_the_room() -> None:
    """The broadcaster is the host; other badges stay badges."""
    badges = [{"_id": "broadcaster", "version": "1"}, {"_id": "subscriber", "version": "3"}]
    (line,) = lines(read(_file(_comment(message={"body": "x", "user_badges": badges}))))
    assert ("host", ("subscriber",)) == (line.role, line.badges)


def test_bits_are_paid() -> None:
    """What was cheered with bits says so."""
    (line,) = lines(read(_file(_comment(message={"body": "cheer100", "bits_spent": 100}))))
    assert ("paid", 100, "bits") == (line.kind, line.details["amount"], line.details["currency"])


def test_what_may_be_null_may_be_null() -> None:
    """Commenters who are gone, colours, whole messages."""
    first, second = read(_file(_comment(commenter=None), _comment(message=None)))
    assert isinstance(second, Left)
    assert [None] == [line.author_id for line in lines([first])]


def test_an_old_file_is_read_too() -> None:
    """No FileInfo, ``emotes`` for ``embeddedData``, the duration as a string, the text in fragments only."""
    message = {"fragments": [{"text": "hello "}, {"text": "Kappa", "emoticon": {"emoticon_id": "25"}}]}
    old = {
        "streamer": {"name": "P", "id": 1},
        "comments": [_comment(message=message)],
        "emotes": {},
        "video": {"duration": "1h"},
    }
    (line,) = lines(read(old))
    assert ("hello Kappa", {"Kappa": "25"}) == (line.text, line.details["emotes"])


def test_unknown_fields_are_kept() -> None:
    """What the next version adds is not lost."""
    (line,) = lines(read(_file(_comment(reply={"to": "b"}, message={"body": "x", "pinned": True}))))
    assert ({"to": "b"}, True) == (line.details["reply"], line.details["pinned"])


@pytest.mark.parametrize(
    "encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]
)
def test_every_encoding_with_a_mark_is_read(encoding: str) -> None:
    """By the mark at the beginning."""
    text = json.dumps(_file(_comment(message={"body": "λ 🤔"})), ensure_ascii=False)
    marked = text if encoding in {"utf-8-sig", "utf-16", "utf-32"} else f"\ufeff{text}"
    assert ["λ 🤔"] == [line.text for line in lines(read(marked.encode(encoding)))]


def test_packed_files_are_read() -> None:
    """By their content, whatever they are called; also in several frames."""
    body = json.dumps(_file(_comment())).encode()
    halves = zstandard.compress(body[:100]) + zstandard.compress(body[100:])
    for packed in (gzip.compress(body), zstandard.compress(body), halves):
        assert 1 == len(read(packed))


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress])
def test_a_file_that_ends_too_early_is_damaged(pack: Any) -> None:
    """Also where the damage is after the last comment: nothing says that all was there."""
    body = pack(json.dumps(_file(_comment(), _comment("b"), embeddedData={"firstParty": ["a" * 4_000]})).encode())
    with pytest.raises(FileDamagedError):
        read(body[:-40])


_WHOLE = json.dumps(
    _file(_comment(), _comment("b", message={"body": "λ\n"}), embeddedData={"firstParty": ["a"]})
).encode()


@given(st.integers(0, len(_WHOLE) - 1))
def test_no_part_of_a_file_passes_for_the_whole(end: int) -> None:
    """Wherever it was cut."""
    with pytest.raises(FileDamagedError):
        read(_WHOLE[:end], name="twitch_downloader")


def test_the_shared_sample_is_read() -> None:
    """Four comments, a host among them."""
    found = lines(read_file(sample("twitchdownloader.json")))
    assert ["Amina", "Jonas", "ProfLinear", "Wei"] == [line.author_name for line in found]
    assert "host" == found[2].role
