"""TwitchDownloader's JSON has every field of its schema, so that its renderer and the common viewers take it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chatsync.transfer.exporters.twitch_downloader import twitch_downloader
from tests.corpus import SHARED
from tests.transfer.exporters.lines import ABOUT, line


def _keys(value: Any, at: str = "") -> set[str]:
    """Paths of all fields; elements of a list share theirs."""
    if isinstance(value, dict):
        return {path for name, one in value.items() for path in ({f"{at}.{name}"} | _keys(one, f"{at}.{name}"))}
    return {path for one in value for path in _keys(one, f"{at}[]")} if isinstance(value, list) else set()


def test_every_field_of_a_real_file_is_there() -> None:
    """All fields of the sample but those of emotes, paid lines and clips are written."""
    sample = SHARED / "formats" / "twitchdownloader.json"
    if not sample.exists():
        pytest.skip("needs shared/formats")
    written = json.loads("".join(twitch_downloader([line(role="host")], ABOUT)))
    wanted = _keys(json.loads(sample.read_text()))
    optional = (
        "emoticon.",
        "emoticons[].",
        "user_notice_params",
        ".clipper.",
        "chapters[].",
        "embeddedData.",
        "user_badges[]",
    )
    assert set() == {path for path in wanted - _keys(written) if not any(part in path for part in optional)}


def test_what_the_format_has_no_place_for_stands_beside() -> None:
    """Kind, role, badges, reply and details are kept under a name of ours."""
    [comment] = json.loads(
        "".join(twitch_downloader([line(kind="question", badges=("TA",), reply_to="m0", details={"a": 1})], ABOUT))
    )["comments"]
    own = comment["message"]["chatsync"]
    assert {
        "kind": "question",
        "role": "participant",
        "badges": ["TA"],
        "reply_to": "m0",
        "details": {"a": 1},
    }.items() <= own.items()
    assert "2025-11-24T16:00:01.000Z" == comment["created_at"]
    assert 1.0 == comment["content_offset_seconds"]


def test_a_name_becomes_a_login() -> None:
    """The login has only what logins may have; a name that has nothing of it is somebody's."""
    comments = json.loads(
        "".join(twitch_downloader([line(author_name="Ann Bo-3"), line(author_name="ليلى", at_us=2)], ABOUT))
    )["comments"]
    assert ["ann_bo3", "somebody"] == [one["commenter"]["name"] for one in comments]
