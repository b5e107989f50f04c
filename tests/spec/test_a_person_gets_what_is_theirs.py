"""Whoever asks gets all that is theirs: from a served room by the administrator, from a folder by a command."""

from __future__ import annotations

import io
import json
import stat
import zipfile
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from chatsync.cli import app as command
from tests.relay import SECRET
from tests.stage import Stage, stage

ROOMS: dict[str, dict[str, Any]] = {
    "spring": {"public": True, "course": "analysis"},
    "autumn": {"public": True, "course": "analysis"},
    "art": {"public": True},
}
SUBJECT = "outside-annabel"


def _token(it: Stage, room: str, name: str = "Annabel", subject: str = SUBJECT) -> str:
    return it.hub.authority.mint(subject, wall_us=it.clock.system_wall_us(), rooms=(room,), role="moderator", name=name)


async def _talk(it: Stage) -> None:
    """In each room Annabel pins a text and Robert too; hers is hidden in the last."""
    for room in ROOMS:
        for subject, name in ((SUBJECT, "Annabel"), ("outside-robert", "Robert")):
            body = {"id": f"{room}-{name}", "action": "pin", "text": f"words of {name} in {room}"}
            answer = await it.post(f"/v1/rooms/{room}/actions", body, _token(it, room, name, subject))
            if room == "art" and name == "Annabel":
                await it.act("hide", room, target=answer.json()["offset"], reason="off topic")


def _files(body: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(body)) as packed:
        return {name: packed.read(name).decode() for name in packed.namelist()}


def _run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(command, ["export-person", *words], env={"CHATSYNC_TOKEN_SECRET": SECRET})
    return result.exit_code, result.output.strip()


async def test_the_administrator_gets_a_zip(tmp_path: Path) -> None:
    """Of one room, kept by no cache, noted in the audit log; nobody else gets it, and nothing of who was never there."""
    async with stage(tmp_path, ROOMS) as it:
        await _talk(it)
        key = it.hub.author_key("art", SUBJECT)
        path = f"/v1/rooms/art/authors/{key}/export"
        admin = it.hub.authority.mint("operator", wall_us=it.clock.system_wall_us(), admin=True)
        answer = await it.get(path, admin)
        assert (200, "application/zip", "private, no-store") == (
            answer.status_code,
            answer.headers["content-type"],
            answer.headers["cache-control"],
        )
        everything = "".join(_files(answer.content).values())
        assert "words of Annabel in art" in everything
        assert "Robert" not in everything
        (record,) = [
            one
            for one in (await it.get("/v1/audit?room=art", admin)).json()["records"]
            if one["action"] == "person_exported"
        ]
        assert (key, it.hub.authority.admin_actor("operator")) == (record["subject"], record["actor"])
        other = it.hub.authority.mint("o", wall_us=it.clock.system_wall_us(), rooms=("spring",), admin=True)
        for token, status in ((None, 401), (_token(it, "art"), 401), (other, 403)):
            assert status == (await it.get(path, token)).status_code
        for wrong in ("art/authors/nobody", f"spring/authors/{key}", f"never/authors/{key}", "art/authors/%2e%2e"):
            assert 404 == (await it.get(f"/v1/rooms/{wrong}/export", admin)).status_code


async def test_the_command_finds_them_in_every_room(tmp_path: Path) -> None:
    """By the platform's id, while a relay serves the folder; by key; one room alone; what is wrong is told."""
    config = tmp_path / "chatsync.toml"
    config.write_text(
        f'data_folder = "{tmp_path / "data"}"\n'
        + "".join(
            f"[rooms.{room}]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in s.items()) for room, s in ROOMS.items()
        )
    )
    where = ("--config", str(config))
    async with stage(tmp_path, ROOMS) as it:
        await _talk(it)
        key = it.hub.author_key("spring", SUBJECT)
        target = tmp_path / "all.zip"
        status, told = _run("--all-rooms", "--subject", SUBJECT, "--to", str(target), *where, "--json")
        assert (0, ["art", "autumn", "spring"]) == (status, [one["room"] for one in json.loads(told)["rooms"]])
        assert 0o600 == stat.S_IMODE(target.stat().st_mode)
        everything = "".join(_files(target.read_bytes()).values())
        assert all(f"words of Annabel in {room}" in everything for room in ROOMS)
        assert "Robert" not in everything
    assert 1 == _run("spring", "--subject", SUBJECT, "--to", str(target), *where)[0]  # it is there already
    course = tmp_path / "course.zip"
    status, told = _run("--all-rooms", "--author", key, "--to", str(course), *where)
    assert (0, ["autumn", "spring"]) == (status, [line.split(":")[0] for line in told.splitlines()[:2]])
    never = tmp_path / "never.zip"
    for words in (
        ("spring", "--subject", "nobody", "--to", str(never)),
        ("spring", "--to", str(never)),
        ("spring", "--all-rooms", "--subject", SUBJECT, "--to", str(never)),
        ("spring", "--subject", SUBJECT, "--author", key, "--to", str(never)),
        ("--subject", SUBJECT, "--to", str(never)),
    ):
        assert 2 == _run(*words, *where)[0]
    assert not never.exists()
    assert 2 == _run("spring", "--author", key, "--to", str(never), "--data", str(tmp_path / "nowhere"))[0]
    assert not (tmp_path / "nowhere").exists()
