"""niconico's shapes, new and old."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chatsync.errors import FileDamagedError
from chatsync.transfer.fields import REMOVED
from chatsync.transfer.line import Left
from tests.transfer.files import T0_US, lines, read, read_file, sample


def _comment(**fields: Any) -> dict[str, Any]:
    return {
        "id": "11",
        "no": 1,
        "vposMs": 12_340,
        "body": "うぽつ",
        "commands": ["184"],
        "userId": "u1",
        "postedAt": "2031-01-01T00:00:00Z",
    } | fields


def test_threads_and_the_flat_list_say_the_same() -> None:
    """When it was posted is not when the video was: a detail."""
    threads = [
        {"id": "1", "fork": fork, "comments": [_comment()] if fork == "main" else []}
        for fork in ("owner", "main", "easy")
    ]
    found = read({"meta": {}, "data": {"globalComments": [{"id": "1", "count": 1}], "threads": threads}})
    assert found == read([_comment()])
    (line,) = lines(found)
    assert (None, 12_340_000, "u1", "うぽつ") == (line.program_us, line.position_us, line.author_id, line.text)
    assert {"no": 1, "commands": ["184"], "posted_at": "2031-01-01T00:00:00Z"} == line.details


def test_the_owners_comments_are_the_hosts() -> None:
    """They stand in a thread of their own."""
    threads = [{"id": "1", "fork": "owner", "comments": [_comment()]}]
    assert ["host"] == [line.role for line in lines(read({"data": {"threads": threads}}))]


def test_old_xml_needs_no_root() -> None:
    """Nor a heading; characters that XML forbids are dropped; hundredths of a second, also before the beginning."""
    chats = (
        '<chat thread="1" no="1" vpos="-1234" date="1773064812" date_usec="340000" user_id="u1">a\x0b &amp; b</chat>\n'
    )
    for body in (chats * 2, f'<?xml version="1.0" encoding="UTF-8"?>\n<packet>{chats * 2}</packet>'):
        first, _ = lines(read(body))
        assert ("1:1", T0_US + 12_340_000, -12_340_000, "a & b") == (
            first.id,
            first.program_us,
            first.position_us,
            first.text,
        )


def test_what_was_deleted_stays_out() -> None:
    """In both of the old shapes."""
    chat = {"thread": "1", "no": 1, "vpos": 1, "date": 1_773_064_812, "user_id": "u", "content": "x", "deleted": 1}
    assert [Left(REMOVED)] == read([{"ping": {"content": "rs:0"}}, {"chat": chat}, {"ping": {"content": "rf:0"}}])
    assert [Left(REMOVED)] == read('<packet><chat thread="1" no="2" vpos="1" date="1773064812" deleted="2"/></packet>')


@pytest.mark.parametrize(
    "body",
    [
        '<!DOCTYPE packet [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><packet><chat vpos="1">&b;</chat></packet>',
        '<!DOCTYPE packet [<!ENTITY x SYSTEM "file:///etc/hostname">]><packet><chat vpos="1">&x;</chat></packet>',
        '<?xml version="1.0"?><!DOCTYPE p SYSTEM "http://127.0.0.1:9/x.dtd"><packet><chat vpos="1">a</chat></packet>',
        '<packet><chat vpos="1">a',
        '<packet><chat vpos="1">&nothing;</chat></packet>',
    ],
)
def test_xml_with_entities_or_types_is_damaged(body: str) -> None:
    """No chat needs them, and they can blow up or fetch what is nobody's business."""
    with pytest.raises(FileDamagedError):
        read(body, name="niconico_legacy")


def test_json_that_ends_too_early_is_damaged() -> None:
    """In every shape."""
    for body in (
        [_comment(), _comment()],
        {"data": {"threads": [{"comments": [_comment()]}]}},
        [{"chat": {"content": "x"}}],
    ):
        with pytest.raises(FileDamagedError):
            read(json.dumps(body)[:-8])


def test_the_shared_samples_say_the_same() -> None:
    """By pairs."""
    new, flat = (read_file(sample(f"niconico_{name}.json")) for name in ("v1_threads", "ytdlp.comments"))
    assert new == flat
    xml, api = (lines(read_file(sample(f"niconico_legacy{name}"))) for name in (".xml", "_api.json"))
    assert [(one.id, one.program_us, one.position_us, one.author_id) for one in xml] == [
        (one.id, one.program_us, one.position_us, one.author_id) for one in api
    ]
