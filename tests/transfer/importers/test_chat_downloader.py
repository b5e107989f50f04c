"""chat-downloader's files, an array or lines."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chatsync.errors import FileDamagedError
from chatsync.transfer.line import Left, Removal
from tests.transfer.files import T0_US, lines, read, read_file, sample


def _said(**fields: Any) -> dict[str, Any]:
    return {
        "message_id": "A",
        "message": "hi",
        "message_type": "text_message",
        "action_type": "add_chat_item",
        "author": {
            "id": "UC1",
            "name": "@maria",
            "badges": [{"icon_name": "moderator", "title": "Moderator"}, {"title": "Member"}],
        },
        "timestamp": T0_US,
        "time_in_seconds": -5.2,
    } | fields


def test_an_array_and_lines_say_the_same() -> None:
    """Timestamps are µs, positions seconds, and may be before the beginning."""
    told = [_said(), _said(message_id="B")]
    (line, _) = lines(read(told))
    assert (T0_US, -5_200_000, "moderator", ("Member",)) == (line.program_us, line.position_us, line.role, line.badges)
    assert read(told) == read("".join(f"{json.dumps(one)}\n" for one in told))


def test_every_field_may_be_missing() -> None:
    """Says the format itself."""
    assert [None] == [line.program_us for line in lines(read([{"message": "x", "author": {}}]))]
    assert isinstance(read([_said(message=None)])[0], Left)


def test_money_is_paid() -> None:
    """Amount and currency."""
    (line,) = lines(
        read([_said(message_type="paid_message", money={"amount": 5.0, "currency": "USD", "text": "$5.00"})])
    )
    assert ("paid", {"amount": 5.0, "currency": "USD"}) == (line.kind, line.details)


def test_removals_are_told() -> None:
    """Of one message, of an author, of all."""
    told = [
        {"action_type": "mark_chat_item_as_deleted", "target_message_id": "A", "message_type": "x"},
        {"message_type": "ban_user", "action_type": "ban_user", "author": {"id": "UC1"}},
        {"message_type": "clear_chat", "action_type": "clear_chat"},
    ]
    assert [Removal(line_id="A"), Removal(author_id="UC1"), Removal()] == read(told)


def test_an_array_that_ends_too_early_is_damaged() -> None:
    """After what was whole."""
    with pytest.raises(FileDamagedError, match="after 1 entries"):
        read(json.dumps([_said(), _said()])[:-20])


def test_the_shared_samples_say_the_same() -> None:
    """Three lines each."""
    array = read_file(sample("chat_downloader.json"))
    assert array == read_file(sample("chat_downloader.jsonl"))
    assert ["first!", "can you zoom in :folded_hands:", "great course"] == [line.text for line in lines(array)]
