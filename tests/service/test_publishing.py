"""A room as files: what is in them, what is refused, and what a second time changes."""

from __future__ import annotations

import asyncio
import gzip
import json
import uuid
from pathlib import Path
from typing import Any

import httpx2
import pytest
from typer.testing import CliRunner

from chatsync.cli import app as command
from chatsync.instants import SECOND_US
from chatsync.service.publishing import NotOursError, Published, publish
from chatsync.simulation import Scenario
from chatsync.store.opening import open_store
from tests.relay import Relay, token
from tests.stage import START_US, stage

LECTURE = Scenario(START_US)


async def said(folder: Path) -> None:
    """A minute of a lecture, with five messages, of which one is hidden and one is a question."""
    async with stage(folder) as it:
        await it.stream(LECTURE, 60)
        for second in range(4):
            await it.said_at(
                START_US + second * SECOND_US, f"word {second}", kind="question" if second == 3 else "message"
            )
        bad = await it.said_at(START_US + 9 * SECOND_US, "zqhidden")
        await it.act("hide", target=bad, reason="zqreason")
        await it.settled()


def published(folder: Path, to: Path, web: Path) -> Published:
    """The room's files."""
    web.mkdir(exist_ok=True)
    for name in (
        "hls.min.js",
        "chatsync-player.js",
        "chatsync-more.js",
        "chatsync-side-panels.js",
        "chatsync-host.js",
    ):
        (web / name).write_text("//")
    with open_store(folder / "data") as store:
        return publish(store, "class", title="<b>Class</b>", folder=to, web=web)


def read(to: Path, name: str) -> Any:
    """A JSON file, which its gzipped one says the same as."""
    body = (to / "v1/rooms/class" / name).read_bytes()
    assert body == gzip.decompress((to / "v1/rooms/class" / f"{name}.gz").read_bytes())
    return json.loads(body)


def test_a_room_is_files(tmp_path: Path) -> None:
    """A broadcast is a recording where the room has none; chat, activity and search have what everyone sees, and nothing else lies there."""
    asyncio.run(said(tmp_path))
    to = tmp_path / "site"
    done = published(tmp_path, to, tmp_path / "web")
    assert (["broadcast-1"], 4) == (done.recordings, done.messages)
    playlist = read(to, "chat.1.json")
    (entry,) = playlist["slices"]
    name = f"slices/1/{entry['start_ms']}-{entry['end_ms']}.e{entry['epoch']}.r{entry['revision']}.json"
    assert 4 == len([event for event in read(to, name)["events"] if "text" in event])
    assert 4 == sum(count or 0 for count in read(to, "activity.broadcast-1.json")["counts"])
    search = read(to, "search/broadcast-1.0.json")
    assert (["word 0", "word 1", "word 2", "word 3"], None) == ([hit["text"] for hit in search["hits"]], search["next"])
    page = (to / "index.html").read_text()
    assert "&lt;b&gt;Class&lt;/b&gt;" in page
    assert "<b>" not in page
    everything = b"".join(path.read_bytes() for path in to.rglob("*") if path.is_file() and path.suffix != ".gz")
    assert b"zqhidden" not in everything
    assert b"zqreason" not in everything


def test_a_second_time_changes_what_has_changed(tmp_path: Path) -> None:
    """Nothing where nothing has; and what is no longer part of it goes, what is not ours stays."""
    asyncio.run(said(tmp_path))
    to = tmp_path / "site"
    published(tmp_path, to, tmp_path / "web")
    assert 0 == published(tmp_path, to, tmp_path / "web").written
    listed = json.loads((to / "published.json").read_bytes())
    (to / "old.html").write_text("old")
    (to / "ours.txt").write_text("theirs")
    (to / "published.json").write_text(
        json.dumps(listed | {"files": [*listed["files"], "old.html", "../web/hls.min.js"]})
    )
    published(tmp_path, to, tmp_path / "web")
    assert (False, True, True) == tuple(
        path.exists() for path in (to / "old.html", to / "ours.txt", tmp_path / "web" / "hls.min.js")
    )


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    """Nothing is written where something lies that was not published there."""
    asyncio.run(said(tmp_path))
    to = tmp_path / "site"
    to.mkdir()
    (to / "thesis.txt").write_text("mine")
    with pytest.raises(NotOursError):
        published(tmp_path, to, tmp_path / "web")
    assert ["thesis.txt"] == [path.name for path in to.iterdir()]


def test_a_private_room_is_refused(tmp_path: Path) -> None:
    """Unless one says so; an unknown room always."""
    config = tmp_path / "chatsync.toml"
    config.write_text("[rooms.class]\npublic = false\n")
    where = ["--to", str(tmp_path / "site"), "--config", str(config), "--data", str(tmp_path / "data")]
    for room, word in (("class", "--even-private"), ("nobody", "no room")):
        result = CliRunner().invoke(command, ["publish", room, *where])
        assert 0 != result.exit_code
        assert word in result.output or "not built" in result.output
    assert not (tmp_path / "site").exists()


def test_a_folder_that_a_relay_serves_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written, and what to do is said; a backup made meanwhile, restored beside it, is published."""
    web = tmp_path / "web"
    web.mkdir()
    for name in ("hls.min.js", "chatsync-player.js", "chatsync-more.js"):
        (web / name).write_text("//")
    monkeypatch.setattr("chatsync.service.app.player_folder", lambda: web)
    to, copy, backup = tmp_path / "site", tmp_path / "copy", tmp_path / "backup"
    with Relay(tmp_path / "relay", {"class": {"public": True}}) as relay:
        message = {"id": str(uuid.uuid4()), "author": {"id": "a", "name": "Ada"}, "text": "heard"}
        bearer = {"Authorization": f"Bearer {token('class', 'feed', None, ('ingest',))}"}
        httpx2.post(f"{relay.url}/v1/rooms/class/messages", json=message, headers=bearer, timeout=20).raise_for_status()
        config = ["--config", str(relay.folder / "chatsync.toml")]

        def run(*arguments: str) -> Any:
            return CliRunner().invoke(command, [*arguments, *config])

        refused = run("publish", "class", "--to", str(to))
        assert (2, True) == (refused.exit_code, "nothing was published" in refused.output), refused.output
        assert not to.exists()
        assert 0 == run("backup", str(backup)).exit_code
        assert 0 == run("restore", str(backup), "--data", str(copy)).exit_code
        done = run("publish", "class", "--to", str(to), "--json", "--data", str(copy))
    assert 1 == json.loads(done.output.splitlines()[-1])["messages"], done.output
