"""What a room says of what it keeps: true for its settings, told to its readers, and the same as the page for people."""

from __future__ import annotations

import asyncio
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from chatsync.instants import DAY_US
from chatsync.service.retention_statement import retention_statement
from chatsync.service.room_settings import RoomSettings
from tests.stage import START_US, stage

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "compliance.md").read_text("utf-8")


def _statement(**settings: Any) -> dict[str, Any]:
    return retention_statement("math", RoomSettings(**settings), node_days=365, audit_days=730, deletions=())


def _days(statement: dict[str, Any]) -> dict[str, Any]:
    return {one["what"]: one["days"] for one in statement["keeps"]}


@pytest.mark.parametrize(
    ("kept", "messages", "hidden"), [(None, 365, 30), (90, 90, 30), (7, 7, 7), ("forever", "forever", 30)]
)
def test_days_are_those_in_force(kept: Any, messages: Any, hidden: int) -> None:
    """The room's, else the node's; hidden words go after 30 days whatever the room says."""
    days = _days(_statement(retention_days=kept))
    assert messages == days["messages"] == days["deeds"] == days["names"] == days["stream_record"]
    assert (hidden, 1, 730, "forever") == tuple(
        days[what] for what in ("hidden_words", "message_ids", "audit_log", "receipts")
    )


def test_everything_is_explained() -> None:
    """Each thing with where it lies, from when its days count, and why it is kept."""
    for one in _statement()["keeps"]:
        assert {"what", "days", "counted_from", "where", "why"} == set(one)
        assert all(value for name, value in one.items() if name != "days")
        assert set(one["where"]) <= {"chatsync.db", "identity.db", "moderation.db", "slices", "archive"}


def test_it_says_what_becomes_of_names() -> None:
    """As given, as numbers, or as numbers that hosts can look behind."""
    reasons = [
        _statement(**settings)["keeps"][2]["why"]
        for settings in ({}, {"names": "numbered"}, {"names": "numbered", "names_known_to_hosts": True})
    ]
    assert 3 == len(set(reasons))
    assert "not kept" in reasons[1]


def test_the_page_tells_the_same() -> None:
    """docs/compliance.md has a line for each thing that is kept and each that never is, and for no other."""
    table = PAGE.partition("## What is stored, and where")[2].partition("\n\n**Never stored**")[0]
    assert [one["what"] for one in _statement()["keeps"]] == re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    never = PAGE.partition("**Never stored**")[2].partition("\n\n")[0]
    assert [] == [what for what in _statement()["never_stored"] if what not in never.replace("\n", " ")]


async def test_readers_are_told_and_what_was_deleted_with_it(tmp_path: Path) -> None:
    """Guests of a public room too; strangers to a private one are told nothing."""
    rooms: dict[str, dict[str, Any]] = {
        "class": {"public": True, "retention_days": 10},
        "private": {},
    }
    async with stage(tmp_path, rooms) as it:
        answer = await it.get("/v1/rooms/class/retention")
        assert (200, "public, max-age=30") == (answer.status_code, answer.headers["cache-control"])
        assert (10, []) == (answer.json()["retention_days"], answer.json()["deleted"])
        assert 404 == (await it.get("/v1/rooms/private/retention")).status_code
        own = await it.get("/v1/rooms/private/retention", it.token("private", "ann"))
        assert ("private, no-store", 365) == (own.headers["cache-control"], own.json()["retention_days"])
        gone = {"done_wall_us": START_US + DAY_US, "messages": 7, "through": 40, "archived_rows": 60}
        put = partial(it.hub.catalog.put_deletion, room="class", wall_us=START_US, broadcast=1, record=gone)
        await asyncio.wrap_future(it.hub.writer.call(put))
        start_ms = START_US // 1_000
        told = {"broadcast": 1, "began_wall_ms": start_ms, "done_wall_ms": start_ms + 86_400_000, "messages": 7}
        assert [told] == (await it.get("/v1/rooms/class/retention")).json()["deleted"]
