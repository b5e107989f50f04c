"""A file's lines into a room: whole, once, and without what was taken away."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatsync.chat.event import Author, Role
from chatsync.errors import FileDamagedError, FileUnplacedError
from chatsync.instants import DAY_US, HOUR_US, us_from_iso
from chatsync.store.opening import Store, open_store
from chatsync.store.verifying import verify_store
from chatsync.transfer.entering import Import, Report, import_file, room_airings
from chatsync.transfer.recognising import OpenedFile, format_of
from tests.builders import draft, stamp
from tests.store.deeds import deed, said
from tests.transfer.files import T0_US, youtube_line

WALL_US = us_from_iso("2026-12-01T12:00:00Z")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty data folder, opened."""
    with open_store(tmp_path / "data") as opened:
        yield opened


def _author_of(subject: str, name: str, role: Role, badges: tuple[str, ...]) -> Author:
    return Author(key=subject.replace(":", "-"), name=name, role=role, badges=badges)


def _imported(store: Store, body: Any, **fields: Any) -> Report:
    """Import a body written as JSON, or as lines of JSON if it is a list."""
    text = (
        "".join(f"{json.dumps(one)}\n" for one in body)
        if isinstance(body, list)
        else body
        if isinstance(body, str)
        else json.dumps(body)
    )
    path = store.files.root / "file"
    path.write_text(text)
    with OpenedFile(path) as opened:
        what = Import(room="class", name=format_of(opened.head), wall_us=WALL_US, **fields)
        return import_file(store, opened, what, _author_of)


def _line(number: int, text: str = "hello", *, at_us: int | None = None, **fields: Any) -> dict[str, Any]:
    at_us = T0_US + number * 1_000_000 if at_us is None else at_us
    author = {"id": f"u{number}", "name": f"Name {number}"}
    return {"id": f"m{number}", "kind": "message", "program_ms": at_us // 1000, "author": author, "text": text} | fields


def _texts(store: Store, broadcast: int = 1) -> list[str | None]:
    found = store.journal.events_between("class", broadcast, -(2**62), 2**62)
    return [event.text for event in found if event.kind == "message"]


def test_lines_become_events_of_a_broadcast_of_their_own(store: Store) -> None:
    """With the file's program time, stamped as imported, by people who are nobody of ours."""
    report = _imported(store, [_line(1, "a"), _line(2, "b", reply_to="m1", mood="good")])
    first, second = store.journal.events_between("class", 1, -(2**62), 2**62)
    assert (2, 0, [{"broadcast": 1, "messages": 2, "new": True}]) == (
        report.imported,
        report.already_there,
        report.broadcasts,
    )
    assert ("import", T0_US + 1_000_000, "import:ndjson", WALL_US) == (
        first.stamp.stamp,
        first.program_us,
        first.source,
        first.wall_us,
    )
    assert Author(key="import-chatsync-u1", name="Name 1") == first.author
    assert (1, {"imported": {"mood": "good"}}) == (second.reply_to, second.details)
    (record,) = store.catalog.broadcast_records("class", last=-1)
    assert (True, T0_US + 1_000_000, T0_US + 3_000_000) == (
        record["is_imported"],
        record["start_us"],
        record["edge_us"],
    )


def test_an_import_is_a_deed(store: Store) -> None:
    """In the audit log, with what came in; one that brought nothing is none."""
    for _ in range(2):
        _imported(store, [_line(1), _line(2)])
    rows = store.journal.read("SELECT room, actor, role, action, after FROM audit")
    assert [("class", "admin:local", "admin", "chat_imported", "format=ndjson,lines=2")] == rows


def test_twice_is_once(store: Store) -> None:
    """Also by another file that shares lines, and after a year, when ids said live are long forgotten."""
    _imported(store, [_line(1), _line(2)])
    store.writer.call(lambda connection: connection.execute("DELETE FROM dedupe")).result()
    report = _imported(store, [_line(2), _line(3)])
    assert (1, 1) == (report.imported, report.already_there)
    assert 3 == len(_texts(store))


def test_lines_without_an_id_are_known_by_what_they_say(store: Store) -> None:
    """Two that say the same in the same second are two; importing both again adds none."""
    told = "00:00:01\tWei:\tlol\n00:00:01\tWei:\tlol\n00:00:02\tWei:\tlol\n"
    assert 3 == _imported(store, told, t0_us=T0_US).imported
    report = _imported(store, told, t0_us=T0_US)
    assert (0, 3) == (report.imported, report.already_there)


def test_a_damaged_file_is_not_imported_at_all(store: Store) -> None:
    """With ``--partial``, up to the damage."""
    body = "".join(f"{json.dumps(_line(number))}\n" for number in range(1_200)) + "{"
    with pytest.raises(FileDamagedError):
        _imported(store, body)
    assert (0, []) == (store.journal.head("class").offset, store.catalog.broadcast_records("class", last=-1))
    report = _imported(store, body, is_partial=True)
    assert (1_200, "in line 1201") == (report.imported, report.damage and report.damage[20:32])


def test_what_cannot_be_placed_is_not_imported(store: Store) -> None:
    """It says what it needs."""
    with pytest.raises(FileUnplacedError):
        _imported(store, "00:00:01\tWei:\tlol\n")
    assert 0 == store.journal.head("class").offset


def test_a_dry_run_writes_nothing(store: Store) -> None:
    """And says the same."""
    body = [_line(1), _line(1), _line(2, "")]
    dry = _imported(store, body, is_dry=True)
    assert 0 == store.journal.head("class").offset
    report = _imported(store, body)
    assert (True, report.imported, report.already_there, report.skipped, report.broadcasts) == (
        *(dry.dry_run, dry.imported, dry.already_there),
        *(dry.skipped, dry.broadcasts),
    )
    assert {"has nothing to read in it": 1} == report.skipped


def _youtube(id_: str, author: str, at_s: int) -> dict[str, Any]:
    renderer = {
        "id": id_,
        "message": {"runs": [{"text": f"text {id_}"}]},
        "authorExternalChannelId": author,
        "timestampUsec": str(T0_US + at_s * 1_000_000),
    }
    return youtube_line(renderer, videoOffsetTimeMsec=str(at_s * 1_000))


def _deleted(**action: Any) -> dict[str, Any]:
    return {"replayChatItemAction": {"actions": [action], "videoOffsetTimeMsec": "9000"}}


def test_what_the_source_removed_never_enters(store: Store) -> None:
    """A message by its id; of an author what they had said before, not what they say later."""
    gone = _deleted(markChatItemAsDeletedAction={"targetItemId": "A"})
    author_gone = _deleted(markChatItemsByAuthorAsDeletedAction={"externalChannelId": "UC9"})
    report = _imported(
        store,
        [
            _youtube("A", "UC1", 1),
            gone,
            _youtube("B", "UC9", 2),
            _youtube("C", "UC1", 3),
            author_gone,
            _youtube("D", "UC9", 4),
        ],
    )
    assert ["text C", "text D"] == _texts(store)
    assert 2 == report.hidden_by_source
    assert [] == store.journal.read("SELECT offset FROM journal WHERE text LIKE '%text A%'")


def test_what_the_source_removed_since_is_hidden_here(store: Store) -> None:
    """A later capture knows more than an earlier one."""
    _imported(store, [_youtube("A", "UC1", 1), _youtube("B", "UC1", 2)])
    gone = _deleted(markChatItemAsDeletedAction={"targetItemId": "A"})
    again = [_youtube("A", "UC1", 1), _youtube("B", "UC1", 2), gone]
    report = _imported(store, again)
    assert (1, 1) == (report.hidden_here, report.already_there)
    assert 0 == _imported(store, again).hidden_here
    assert ["text B"] == _texts(store)


def test_what_was_hidden_or_erased_here_does_not_come_back(store: Store) -> None:
    """By importing the file again."""
    _imported(store, [_line(1), _line(2)])
    said(store, deed("h", "hidden", target=1, room="class"))
    assert 0 == _imported(store, [_line(1), _line(2)]).imported
    store.writer.call(
        lambda connection: connection.execute(
            "INSERT INTO erasures VALUES ('class', 'import-chatsync-u3', 1, 1, 1, NULL)"
        )
    ).result()
    report = _imported(store, [_line(3), _line(4)])
    assert (1, {"was written by somebody who was erased here": 1}) == (report.imported, report.skipped)


def test_lines_go_into_the_broadcast_that_was_on(store: Store) -> None:
    """One that the room has; what lies elsewhere gets one of its own."""
    record = {
        *(("number", 1), ("opened_wall_us", T0_US), ("start_us", T0_US), ("edge_us", T0_US + HOUR_US), ("lag_us", 0)),
        *(("advanced_wall_us", T0_US), ("target_duration_us", 2_000_000), ("closed_wall_us", T0_US + HOUR_US)),
    }
    store.writer.call(lambda connection: store.catalog.put_broadcast(connection, "class", dict(record))).result()
    said(store, draft("live", "said live", room="class", stamp=stamp(T0_US + 10)))
    report = _imported(store, [_line(1), _line(2, at_us=T0_US + 2 * DAY_US)])
    assert [(1, False), (2, True)] == [(one["broadcast"], one["new"]) for one in report.broadcasts]
    assert [1, 2] == [airing.number for airing in room_airings(store, "class", has_stream=True, wall_us=WALL_US)]


def test_strange_times_stay_out(store: Store) -> None:
    """Nothing was said before there was such chat, nor tomorrow."""
    report = _imported(store, [_line(1, at_us=1_000), _line(2, at_us=WALL_US + 2 * DAY_US), _line(3)])
    assert (1, {"is said to be of before 1990 or of the future": 2}) == (report.imported, report.skipped)


def test_details_mean_nothing_to_anybody_else(store: Store) -> None:
    """A file cannot say that a line is for somebody, held, or another's; what was paid stands where it always does."""
    details = {"to": ["host"], "held": True, "amount": 5, "currency": "$\x00"}
    _imported(store, [_line(1, kind="paid", details=details), _line(2, kind="erased")])
    first, second = store.journal.events_between("class", 1, -(2**62), 2**62)
    assert {"amount": 5, "currency": "$", "imported": {"to": ["host"], "held": True}} == first.details
    assert "message" == second.kind


def test_erasing_takes_what_the_file_said_beside(store: Store) -> None:
    """Unknown fields are somebody's, as their words are: no part of what stays for ever."""
    _imported(store, [_line(1, city="Nairobi")])
    ((details, told),) = store.journal.read("SELECT details, said FROM journal")
    assert ("{}", True) == (details, "Nairobi" in told)


_HOSTILE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(st.characters(), max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)


@settings(max_examples=8, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            dict.fromkeys(("id", "kind", "program_ms", "author", "text", "reply_to", "details", "x"), _HOSTILE)
        ),
        max_size=20,
    )
)
def test_hostile_values_enter_as_values(told: list[dict[str, Any]]) -> None:
    """Whatever a file holds, it is imported or left out with a reason, and the folder stays whole."""
    lines = [
        one | {"text": f"{one['text']}x", "program_ms": T0_US // 1_000 + number} for number, one in enumerate(told)
    ]
    with tempfile.TemporaryDirectory() as folder, open_store(Path(folder)) as opened:
        text = "".join(f"{json.dumps(one, default=str)}\n" for one in lines)
        path = opened.files.root / "file"
        path.write_text(text)
        with OpenedFile(path) as file:
            what = Import(room="class", name="ndjson", wall_us=WALL_US)
            report = import_file(opened, file, what, _author_of)
        assert report.read == report.imported + report.already_there + sum(report.skipped.values())
        assert [] == verify_store(opened)["damaged"]
