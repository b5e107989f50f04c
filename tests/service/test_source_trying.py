"""``chatsync capture``: what a chat elsewhere would bring in, told to a person or a program."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from chatsync.service.source_trying import line_of
from chatsync.sources.contract import Alive, Connected, Happened, Left, Line, Lost, Removal
from tests.irc_servers import ScriptedServer, scripted


async def _captured(folder: Path, server: ScriptedServer, *more: str) -> tuple[int, str, str]:
    config = folder / "chatsync.toml"
    config.write_text(f'loopback_origins = ["127.0.0.1:{server.port}"]\n')
    command = (sys.executable, "-m", "chatsync", "capture", server.url, "--config", str(config), *more)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)

    async def talk() -> None:
        await server.joined()
        await server.say("amina", "why is it negative?", badges="broadcaster/1", id="7f1")
        await server.remove("why is it negative?")

    talking = asyncio.create_task(talk())
    out, err = await process.communicate()
    talking.cancel()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_an_address_is_tried_without_a_room(tmp_path: Path) -> None:
    """For a program: a line for each that happened, and what came of it as the last one."""
    async with scripted() as server:
        status, out, err = await _captured(tmp_path, server, "--seconds", "1.5", "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert (0, "") == (status, err)
    assert ["connected", "line", "removal"] == [one["type"] for one in lines[:-1]]
    assert ("7f1", "why is it negative?", ["broadcaster"]) == tuple(lines[1][name] for name in ("id", "text", "badges"))
    assert {"source": "irc", "connected": True, "lines": 1, "removals": 1, "left_out": {}, "lost": []} == lines[-1]


async def test_what_is_not_reached_is_said_with_why(tmp_path: Path) -> None:
    """Exit status 1, and the reason; 2 for what is no address."""
    async with scripted() as server:
        await server.stop()
        status, out, err = await _captured(tmp_path, server, "--seconds", "1")
        assert (1, {"lost: nobody answers there"}) == (status, set(out.splitlines()))
        assert "it was never connected: nobody answers there" in err
        server.url = "irc://nowhere"
        assert 2 == (await _captured(tmp_path, server))[0]


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (Connected(), "connected: what is said from here on is told"),
        (Lost("gone"), "lost: gone"),
        (Alive(), None),
        (Left("NOTICE"), None),
        (Line(id="", author_name="Bo", text="a\x1b[2Jb\u202e", badges=("vip",)), "Bo [vip]: a·[2Jb·"),
        (Line(id="", author_id="bo", kind="paid", text="x"), "bo (paid): x"),
        (Removal(line_id="7"), "removed: message 7"),
        (Removal(author_id="7"), "removed: all of 7"),
        (Removal(), "removed: everything"),
    ],
)
def test_a_person_reads_a_line_for_each(one: Happened, expected: str | None) -> None:
    """Nothing that was written there moves the cursor."""
    assert expected == line_of(one, as_json=False)


def test_times_are_told_in_milliseconds() -> None:
    """As everywhere outside."""
    told = json.loads(line_of(Line(id="1", text="x", program_us=1_000_000), as_json=True) or "")
    assert {
        "type": "line",
        "id": "1",
        "kind": "message",
        "program_ms": 1_000,
        "role": "participant",
        "text": "x",
    } == told
