"""Importing for a command: who the people of a file are in a room."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chatsync.errors import NotFoundError
from chatsync.instants import us_from_iso
from chatsync.service.auth import TokenAuthority
from chatsync.service.importing import import_into, next_steps
from chatsync.service.room_settings import RoomSettings
from chatsync.service.settings import Settings
from chatsync.store.opening import Store, open_store
from chatsync.transfer.entering import Import, Report
from chatsync.transfer.recognising import OpenedFile
from tests.relay import SECRET

WALL_US = us_from_iso("2026-12-01T12:00:00Z")


def _settings(folder: Path, **room: Any) -> Settings:
    return Settings(data_folder=folder, token_secret=SECRET, rooms={"class": RoomSettings(**room)})  # type: ignore[arg-type]


def _imported(settings: Settings, store: Store, **fields: Any) -> Report:
    told = [
        {"id": f"m{number}", "kind": "message", "program_ms": 1_773_064_812_340 + number, "text": "x"}
        | {
            "author": {
                "id": f"u{number % 2}",
                "name": f"Name {number % 2}",
                "role": "host" if number % 2 else "participant",
            }
        }
        for number in range(4)
    ]
    path = store.files.root / "file"
    path.write_text("".join(f"{json.dumps(one)}\n" for one in told))
    with OpenedFile(path) as opened:
        return import_into(settings, store, opened, Import(room="class", name="ndjson", wall_us=WALL_US, **fields))


def _authors(store: Store) -> list[tuple[str, str]]:
    events = store.journal.events_after("class", 0, 100)
    return [(event.author.key, event.author.name) for event in events if event.author is not None]


def test_nobody_of_ours_is_meant(tmp_path: Path) -> None:
    """A key is made as everybody's is, of a subject that no token can have."""
    with open_store(tmp_path) as store:
        _imported(_settings(tmp_path), store)
        authority = TokenAuthority(SECRET.encode())
        keys = {key for key, _ in _authors(store)}
        assert {authority.author_key("class", f"import:chatsync:u{number}") for number in (0, 1)} == keys
        assert not keys & {authority.author_key("class", name) for name in ("u0", "u1", "ingest:u0")}


def test_a_course_has_one_key_for_a_person(tmp_path: Path) -> None:
    """As for everybody in it."""
    with open_store(tmp_path) as store:
        _imported(_settings(tmp_path, course="algebra"), store)
        assert (
            TokenAuthority(SECRET.encode()).author_key("class", "import:chatsync:u0", "algebra")
            == _authors(store)[0][0]
        )


def test_in_a_room_with_numbered_names_they_get_numbers(tmp_path: Path) -> None:
    """The same person the same one; who ran the chat keeps their name, as staff do."""
    with open_store(tmp_path) as store:
        _imported(_settings(tmp_path, names="numbered"), store)
        names = [name for _, name in _authors(store)]
    assert (names[0], names[1]) == (names[2], names[3])
    assert ("Name 1", False) == (names[1], names[0].startswith("Name"))


def test_who_has_no_name_is_somebody(tmp_path: Path) -> None:
    """By their network and the beginning of their key."""
    with open_store(tmp_path) as store:
        path = tmp_path / "file"
        path.write_text(json.dumps([{"id": "1145141919", "vposMs": 1, "body": "x", "userId": "u"}]))
        with OpenedFile(path) as opened:
            what = Import(room="class", name="niconico", t0_us=WALL_US - 10**9, wall_us=WALL_US)
            import_into(_settings(tmp_path), store, opened, what)
        ((key, name),) = _authors(store)
    assert f"niconico {key[:6]}" == name


def test_a_recording_has_to_be_there(tmp_path: Path) -> None:
    """And its map says where positions are."""
    with open_store(tmp_path) as store, pytest.raises(NotFoundError):
        _imported(_settings(tmp_path), store, recording="none")


def test_what_to_do_next_is_told(tmp_path: Path) -> None:
    """After an import, after a dry run, and nothing if nothing is new."""
    settings = _settings(tmp_path)
    with open_store(tmp_path) as store:
        dry = next_steps(settings, _imported(settings, store, is_dry=True))
        report = _imported(settings, store)
        again = _imported(settings, store)
    assert (1, []) == (len(dry), next_steps(settings, again))
    assert "start the relay" in next_steps(settings, report)[0]
    report.room = "other"
    assert "[rooms.other]" in next_steps(settings, report)[0]
