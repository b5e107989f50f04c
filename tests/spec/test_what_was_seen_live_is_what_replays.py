"""What was seen live, less what is gone, is what replays: same ids, texts, names and stamps (reliability G6)."""

from __future__ import annotations

import asyncio
import json
import random
import time
from pathlib import Path
from typing import Any

import pytest

from tests.origin import origin_of, stream_of_now
from tests.relay import Client, Relay, connected, token
from tests.stage import slice_path, with_authors

ROOM = "class"
WRITERS = 4
FIELDS = ("offset", "id", "kind", "text", "program_ms", "wall_ms", "stamp", "uncertainty_ms", "reply_to", "author")


def _told(event: dict[str, Any]) -> dict[str, Any]:
    return {name: event.get(name) for name in FIELDS}


def _live(client: Client) -> dict[int, dict[str, Any]]:
    """What a viewer holds in the end: events, less what is gone, with what came back in its place."""
    held: dict[int, dict[str, Any]] = {}
    for frame in client.frames:
        if frame["type"] in {"welcome", "events", "back"}:
            held |= {event["offset"]: _told(event) for event in frame["events"]}
        for offset in frame.get("offsets", ()) if frame["type"] == "gone" else ():
            held.pop(offset, None)
    return held


def _replayed(relay: Relay) -> dict[int, dict[str, Any]]:
    playlist = relay.get(f"/v1/rooms/{ROOM}/chat.json?from_ms=0").json()
    paths = [slice_path(playlist, entry) for entry in playlist["slices"]]
    paths.append(f"{playlist['base']}{playlist['broadcast']}/open.json?from_ms={playlist['sealed_until_ms']}")
    bodies = [relay.get(path) for path in paths]
    assert {200} == {body.status_code for body in bodies}
    return {event["offset"]: _told(event) for body in bodies for event in with_authors(body.json())}


async def _take_part(client: Client, name: str, chance: random.Random, said: list[int]) -> None:
    """Watch a few seconds behind, write now and then, mostly with a playhead."""
    behind_ms = chance.randrange(2_000, 6_000)
    for number in range(25):
        playhead = {"broadcast": client.welcome["broadcast"], "program_ms": _now_ms() - behind_ms}
        await client.send({"type": "playhead", **playhead, "rate": 1.0, "paused": False, "at_live": True})
        kind = "question" if number % 5 == 4 else "message"
        claim = {} if number % 3 == 2 else {"playhead": playhead}
        answer = await client.say(f"{name} says {number} \U0001f44f שלום", kind=kind, **claim)
        said.append(answer["offset"])
        await asyncio.sleep(chance.uniform(0, 0.04))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


async def _moderate(host: Client, chance: random.Random, said: list[int]) -> None:
    """Hide some of what is said, and think again about some of that."""
    for number in range(20):
        await host.until(lambda least=number * 3 + 3: len(said) > least)
        target = chance.choice(said)
        await host.act("hide", target=target, reason="off topic")
        if number % 4 == 0:
            await host.act("restore", target=target)


@pytest.mark.timeout(90)
async def test_what_a_viewer_saw_live_is_what_replays(tmp_path: Path) -> None:
    """Messages, questions, hides and restores in a followed room: live less gone is what slices and the open slice print."""
    chance = random.Random(5)
    with origin_of(stream_of_now(segment_s=1.0, begun_s=90)) as origin:
        rooms = {ROOM: {"public": True, "playlist_url": origin.url}}
        limits = {"commands_per_s": 1_000, "commands_burst": 10_000}
        with Relay(tmp_path, rooms, loopback_origins=[origin.host], limits=limits) as relay:
            await _until_dated(relay)
            await _lesson(relay, chance)


async def _lesson(relay: Relay, chance: random.Random) -> None:
    said: list[int] = []
    async with connected(relay, ROOM) as viewer, connected(relay, ROOM) as host:
        await viewer.hello(None, last=200)
        await host.hello(token(ROOM, "teacher", "host"))
        async with asyncio.TaskGroup() as group:
            for number in range(WRITERS):
                group.create_task(_writer(relay, f"student-{number}", chance, said))
            group.create_task(_moderate(host, chance, said))
        await _settle(viewer, host)
        live, replayed = _live(viewer), _replayed(relay)
    assert WRITERS * 25 - 20 <= sum(event["kind"] in {"message", "question"} for event in live.values())
    assert live == replayed
    assert {"playhead", "estimate", "origin"} <= {event["stamp"] for event in replayed.values()}
    assert "off topic" not in json.dumps([frame for frame in viewer.frames if frame["type"] != "welcome"])


async def _writer(relay: Relay, name: str, chance: random.Random, said: list[int]) -> None:
    async with connected(relay, ROOM) as client:
        await client.hello(token(ROOM, name))
        await _take_part(client, name, chance, said)


async def _settle(viewer: Client, host: Client) -> None:
    """One more message of the host's, seen by the viewer: then everything before it was seen too."""
    last = await host.say("that is all")
    await viewer.until(lambda: any(event["offset"] == last["offset"] for event in viewer.events))


async def _until_dated(relay: Relay) -> None:
    for _ in range(200):
        if relay.get(f"/v1/rooms/{ROOM}/chat.json").json()["sealed_until_ms"] is not None:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(relay.log.read_text()[-2000:])
