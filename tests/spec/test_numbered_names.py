"""In a room with numbered names nobody but staff is called by a name: not on the wire, not on disk, not in the log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chatsync.chat.event import Author
from chatsync.errors import SettingsError
from chatsync.service.room_settings import RoomSettings
from chatsync.service.settings import load_settings
from chatsync.simulation import Scenario
from tests.scanning import files_with
from tests.stage import START_US, Stage, stage

LECTURE = Scenario(START_US)
NUMBERED: dict[str, Any] = {"public": True, "names": "numbered"}
ROOMS = {"class": NUMBERED, "other": NUMBERED}
PUPILS = tuple(f"Pupil-of-Weber {number}" for number in range(12))


def _token(it: Stage, room: str, name: str, role: Any = "participant") -> str:
    return it.hub.authority.mint(
        f"outside-{name}", wall_us=it.clock.system_wall_us(), rooms=(room,), role=role, name=name
    )


async def _lesson(it: Stage, room: str) -> dict[str, str]:
    """Everybody raises a hand, one asks by socket, one is fed by a platform, the host pins; who is shown as what, by real name."""
    for number, name in enumerate(PUPILS):
        body = {"id": f"hand-{number}", "action": "raise_hand"}
        assert 200 == (await it.post(f"/v1/rooms/{room}/actions", body, _token(it, room, name))).status_code
    async with it.connected(room) as client:
        you = (await client.hello(_token(it, room, PUPILS[0])))["you"]
        await client.say("why is it negative?", kind="question")
        async with it.connected(room) as host:
            staff = (await host.hello(_token(it, room, "Dr. Weber", "host")))["you"]
            assert "Dr. Weber" == staff["name"]
            await host.act("pin", text="read page 7")
    feed = it.token(room, "feed", None, ("ingest",))
    message = {"id": "fed", "author": {"id": "outside-fed", "name": "Pupil-of-Weber fed"}, "text": "because"}
    assert 200 == (await it.post(f"/v1/rooms/{room}/messages", message, feed)).status_code
    keys = {it.hub.author_key(room, f"outside-{name}"): name for name in PUPILS}
    shown = {event["author"]["key"]: event["author"]["name"] for event in await it.replayed(room) if "author" in event}
    assert you["name"] == shown[you["key"]]
    assert {"Dr. Weber"} == {name for key, name in shown.items() if key == staff["key"]}
    return {keys.get(key, "fed"): name for key, name in shown.items() if key != staff["key"]}


async def test_nobody_is_called_by_a_name(tmp_path: Path, capfd: Any) -> None:
    """Socket, deeds and fed messages; sealed and archived: "Student 5" everywhere, the name nowhere."""
    async with stage(tmp_path, ROOMS) as it:
        shown = await _lesson(it, "class")
        assert 13 == len(shown) == len(set(shown.values()))
        assert all(name.split(" ")[0] == "Student" and name.split(" ")[1].isdigit() for name in shown.values())
        it.advance(700)
        await it.seal()
        await it.hub.archiving._archive_rooms({"class"})
        everything = json.dumps([await it.chat(query="from_ms=0"), await it.replayed()])
        assert "Pupil" not in everything
        assert "Dr. Weber" in everything
    assert [] == files_with(tmp_path / "data", "Pupil-of-Weber")
    assert "Pupil" not in "".join(capfd.readouterr())


async def test_a_number_is_stable_in_a_room_and_another_elsewhere(tmp_path: Path) -> None:
    """After a restart of the relay everybody is who they were; in another room the same people are shuffled."""
    async with stage(tmp_path, ROOMS) as it:
        first, elsewhere = await _lesson(it, "class"), await _lesson(it, "other")
        assert first.keys() == elsewhere.keys()
        assert first != elsewhere
        clock = it.clock
    async with stage(tmp_path, ROOMS, clock=clock) as it:
        again = {name: it.hub.people.author("class", f"outside-{name}", name, "participant").name for name in PUPILS}
        assert {name: first[name] for name in PUPILS} == again
        new = it.hub.people.author("class", "outside-somebody-new", "Somebody New", "viewer")
        assert new.name not in first.values()


async def test_guests_leave_no_numbers_behind(tmp_path: Path) -> None:
    """Who comes without a token and says nothing is a number while they are there."""
    async with stage(tmp_path, ROOMS) as it:
        for _ in range(3):
            async with it.connected() as guest:
                assert (await guest.hello(None))["you"]["name"].startswith("Student ")
        await it.settled()
        await it.settled()
        assert not it.hub.journal.numbers._unsaved
        assert [] == it.hub.journal.number_rows("class")


async def test_who_is_behind_a_number_is_for_hosts_if_the_room_says_so(tmp_path: Path) -> None:
    """Not without the setting, for nobody but hosts with it, and forgotten when it is taken away."""
    path = "/v1/rooms/class/names"
    async with stage(tmp_path, ROOMS) as it:
        await _lesson(it, "class")
        assert 403 == (await it.get(path, _token(it, "class", "Dr. Weber", "host"))).status_code
        await it.hub.put_room("class", RoomSettings(**NUMBERED, names_known_to_hosts=True))
        body = {"id": "hand-late", "action": "lower_hand"}
        await it.post("/v1/rooms/class/actions", body, _token(it, "class", PUPILS[3]))
        answer = await it.get(path, _token(it, "class", "Dr. Weber", "host"))
        assert "private, no-store" == answer.headers["cache-control"]
        told = {one["given"]: one["name"] for one in answer.json()["names"]}
        number = it.hub.people.author("class", f"outside-{PUPILS[3]}", PUPILS[3], "participant").name
        assert number == told[PUPILS[3]]
        assert {None, PUPILS[3]} == set(told)  # of the others nothing was kept before
        pages, query = [], "limit=5"
        while query:
            page = (await it.get(f"{path}?{query}", _token(it, "class", "Dr. Weber", "host"))).json()
            pages += [one["number"] for one in page["names"]]
            query = f"limit=5&cursor={page['cursor']}" if page["cursor"] else ""
        assert pages == sorted(set(pages))
        assert 13 == len(pages)
        refused = [
            _token(it, "class", "Mod", "moderator"),
            _token(it, "class", PUPILS[0]),
            it.token("class", "study", None, ("analyst",)),
            it.token("class", "audit", None, ("auditor",)),
            None,
        ]
        assert [403] * 5 == [(await it.get(path, token)).status_code for token in refused]
        assert files_with(tmp_path / "data", PUPILS[3]) in (["identity.db"], ["identity.db-wal"])
        await it.hub.put_room("class", RoomSettings(**NUMBERED))
        assert not [one for *_, one in it.hub.journal.number_rows("class") if one is not None]


def test_the_profile_minors_has_numbers() -> None:
    """And nothing else; other profiles have names unless the room says otherwise."""
    assert RoomSettings(profile="minors").has_numbered_names
    assert not RoomSettings(profile="classroom").has_numbered_names
    assert RoomSettings(profile="classroom", names="numbered").has_numbered_names
    with pytest.raises(ValueError, match="shown as numbers"):
        RoomSettings(profile="minors", names="as_given")


async def test_damaged_numbers_let_nobody_in_under_a_name(tmp_path: Path) -> None:
    """Rather refused than called by their own name."""
    async with stage(tmp_path, {"class": NUMBERED}) as it:
        it.hub.journal.numbers._rooms.clear()
        body = {"id": "hand", "action": "raise_hand"}
        answer = await it.post("/v1/rooms/class/actions", body, _token(it, "class", PUPILS[0]))
        assert (502, "corrupt") == (answer.status_code, answer.json()["code"])
        assert (
            Author(key="", name="Dr. Weber", role="host").name
            == it.hub.people.author("class", "x", "Dr. Weber", "host").name
        )


@pytest.mark.parametrize(
    "shown", ["Student", "{number} {number}", "Student {number}" + "x" * 30, "Stu\u202edent {number}", " {number}", ""]
)
def test_a_name_for_a_number_is_a_name(tmp_path: Path, shown: str) -> None:
    """With the number once, clean, and short enough with the longest."""
    file = tmp_path / "chatsync.toml"
    file.write_text(f'[rooms.class]\nnames = "numbered"\nnumbered_name = {json.dumps(shown)}\n')
    with pytest.raises(SettingsError, match="numbered_name"):
        load_settings(file)
    assert "Schüler 7" == RoomSettings(numbered_name="Schüler {number}").numbered(7)
