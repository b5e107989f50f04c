"""Who somebody is lies in one place: names in identity.db and in what readers are shown, outside ids nowhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from chatsync.cli import app as command
from chatsync.simulation import Scenario
from chatsync.store.opening import open_store
from tests.relay import SECRET
from tests.scanning import files_with
from tests.stage import START_US, Stage, stage

LECTURE = Scenario(START_US)
SUBJECT, FED = "outside-id-of-annabel-4711", "outside-id-of-robert-4712"
NAMES = ("Annabel Weber", "Robert Weber")
COURSE = {"public": True, "course": "analysis"}


async def _talk(it: Stage, room: str) -> None:
    """Somebody with a token asks, somebody of a platform says something, a host hides it."""
    token = it.hub.authority.mint(
        SUBJECT, wall_us=it.clock.system_wall_us(), rooms=(room,), role="moderator", name=NAMES[0]
    )
    await it.post(f"/v1/rooms/{room}/actions", {"id": f"{room}-1", "action": "pin", "text": "a pin"}, token)
    feed = it.token(room, "feed", None, ("ingest",))
    for number in (1, 2):
        message = {"id": f"{room}-{number}", "author": {"id": FED, "name": NAMES[1]}, "text": f"words {number}"}
        answer = await it.post(f"/v1/rooms/{room}/messages", message, feed)
        offset = answer.json()["results"][0]["offset"]
    await it.act("hide", room, target=offset)


async def test_names_and_outside_ids(tmp_path: Path, capfd: Any) -> None:
    """After talk, sealing and archiving: no outside id in any byte or line of the log, names only where they belong."""
    async with stage(tmp_path, {"class": {"public": True}}) as it:
        await _talk(it, "class")
        it.advance(700)
        await it.seal()
        await it.hub.archiving._archive_rooms({"class"})
        await it.room().close_broadcast()
    folder = tmp_path / "data"
    assert [] == files_with(folder, SUBJECT, FED)
    with_names = files_with(folder, *NAMES)
    assert {"identity.db", "slices"} == {path.split("/")[0].removesuffix("-wal") for path in with_names}
    assert any((folder / "archive").rglob("*.parquet"))
    logged = "".join(capfd.readouterr())
    assert "broadcast_opened" in logged
    assert not [word for word in (SUBJECT, FED, *NAMES) if word in logged]


async def test_a_course_knows_a_person_in_all_its_rooms(tmp_path: Path) -> None:
    """The same key in rooms that name the same course, whether by token or fed; another in every other room."""
    rooms: dict[str, dict[str, Any]] = {"spring": COURSE, "autumn": COURSE, "art": {"public": True}}
    async with stage(tmp_path, rooms) as it:
        keys: dict[str, set[str]] = {}
        for room in rooms:
            await _talk(it, room)
            keys[room] = {event["author"]["key"] for event in await it.replayed(room) if "author" in event}
        assert 2 == len(keys["spring"])
        assert keys["spring"] == keys["autumn"]
        assert not keys["spring"] & keys["art"]
        assert it.hub.author_key("spring", SUBJECT) in keys["autumn"]
    words = ["erase", "spring", FED, "--subject", "--dry-run", "--json", "--data", str(tmp_path / "data")]
    environment = {"CHATSYNC_TOKEN_SECRET": SECRET}
    assert 2 == CliRunner().invoke(command, words, env=environment).exit_code
    ingested = [*words[:2], f"ingest:{FED}", *words[3:], "--course", "analysis"]
    found = json.loads(CliRunner().invoke(command, ingested, env=environment).output)
    assert ([NAMES[1]], 2) == (found["names"], found["events"])


async def test_a_room_made_over_http_has_its_course_when_somebody_is_erased(tmp_path: Path) -> None:
    """The command reads it from the folder."""
    async with stage(tmp_path, {}) as it:
        headers = {"Authorization": f"Bearer {it.hub.authority.mint('operator', wall_us=it.now_us, admin=True)}"}
        assert 200 == (await it.http.put("/v1/rooms/spring", json=COURSE, headers=headers)).status_code
        assert (
            422 == (await it.http.put("/v1/rooms/spring", json={"course": "Analysis I"}, headers=headers)).status_code
        )
        await _talk(it, "spring")
    words = ["erase", "spring", SUBJECT, "--subject", "--json", "--data", str(tmp_path / "data")]
    receipt = json.loads(CliRunner().invoke(command, words, env={"CHATSYNC_TOKEN_SECRET": SECRET}).output)
    assert (1, 0) == (receipt["names"], receipt["left"])
    with open_store(tmp_path / "data") as store:
        assert [] == store.journal.names("spring", receipt["author"])
