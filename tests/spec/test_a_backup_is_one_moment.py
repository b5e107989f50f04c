"""What is acknowledged before a backup is in it, while people write; what a restore loses is never taken for what is said after it.

A real relay, the commands in processes of their own, and clients that remember what they were told.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx2

from chatsync.store.opening import open_store
from tests.relay import Client, Relay, connected, token

ROOM = "class"
ROOMS: dict[str, dict[str, Any]] = {ROOM: {"public": True}, "quiet": {"public": True}}
LIMITS = {"commands_per_s": 10_000, "commands_burst": 100_000}
EARLIER_S = 900
LOST = "said after the backup"


def command(*words: object) -> tuple[int, dict[str, Any]]:
    """Run ``chatsync`` with ``--json``; its exit status and what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "chatsync", *map(str, words), "--json"], capture_output=True, text=True, check=False
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


class Lesson:
    """A room whose people write all the time, and whose past is sealed."""

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        self.acked: dict[int, str] = {}
        self.base_s = int(time.time()) - EARLIER_S

    async def feed(self, *texts: str, second: int = 0) -> list[int]:
        """Bring what was said a quarter of an hour ago: it is sealed, or revises what is. The offsets."""
        wall_ms = (self.base_s + second) * 1000
        lines = [
            {"id": f"{second}-{text}", "author": {"id": "s5", "name": "Student 5"}, "text": text, "wall_ms": wall_ms}
            for text in texts
        ]
        headers = {"Authorization": f"Bearer {token(ROOM, 'feed', None, ('ingest',))}"}
        headers["Content-Type"] = "application/x-ndjson"
        body = "\n".join(map(json.dumps, lines)).encode()
        async with httpx2.AsyncClient() as client:
            answer = await client.post(f"{self.relay.url}/v1/rooms/{ROOM}/messages", content=body, headers=headers)
        offsets = [one["offset"] for one in answer.json()["results"]]
        self.acked |= dict(zip(offsets, texts, strict=True))
        return offsets

    async def write(self, client: Client, stop: asyncio.Event) -> None:
        """Say one thing after the other."""
        number = 0
        while not stop.is_set():
            number += 1
            ack = await client.say(f"live {number}")
            self.acked[ack["offset"]] = f"live {number}"

    async def moderate(self, client: Client, targets: list[int], stop: asyncio.Event) -> None:
        """Hide and restore sealed messages in turn: each takes a slice's file away and brings another."""
        while not stop.is_set():
            for target in targets:
                await client.act("hide", target=target)
            for target in targets:
                await client.act("restore", target=target)

    async def slices(self, count: int) -> dict[str, dict[str, Any]]:
        """The slices that are listed, once there are so many, by URL."""
        for _ in range(400):
            listed = self.relay.get(f"/v1/rooms/{ROOM}/chat.json?from_ms=0").json()
            if len(listed["slices"]) >= count:
                break
            await asyncio.sleep(0.05)
        return {
            f"{listed['base']}{listed['broadcast']}/{one['start_ms']}-{one['end_ms']}.e{one['epoch']}.r{one['revision']}.json": one
            for one in listed["slices"]
        }


async def test_backed_up_while_people_write_then_killed_and_restored(tmp_path: Path) -> None:
    """Backups under hides and messages, one more life after them, a kill: what was acked before is there, and old positions are reset."""
    with Relay(tmp_path / "old", ROOMS, limits=LIMITS) as relay:
        lesson, stop = Lesson(relay), asyncio.Event()
        targets = []
        for number in range(6):
            targets += await lesson.feed(f"earlier {number}", second=number * 61)
        await lesson.slices(1)
        async with connected(relay, ROOM) as author, connected(relay, ROOM) as moderator:
            await author.hello(token(ROOM, "student"))
            await moderator.hello(token(ROOM, "staff", "moderator"))
            work = [
                asyncio.create_task(lesson.write(author, stop)),
                asyncio.create_task(lesson.moderate(moderator, targets[1:], stop)),
            ]
            for _ in range(2):  # the second brings the first up to date
                before = dict(lesson.acked)
                status, told = await asyncio.to_thread(
                    command, "backup", tmp_path / "backup", "--data", tmp_path / "old" / "data"
                )
                assert (0, []) == (status, told["damaged"])
            lost = await lesson.feed(LOST, second=7)
            stop.set()
            await asyncio.gather(*work)
            await author.until(lambda: author.through["offset"] >= max(lesson.acked))  # type: ignore[index]
            old_position = author.through
            assert old_position is not None
        old_slices = await lesson.slices(1)
        relay.kill()

    status, told = await asyncio.to_thread(command, "restore", tmp_path / "backup", "--data", tmp_path / "new" / "data")
    assert (0, []) == (status, told["damaged"])
    assert (0, []) == _verified(tmp_path / "new" / "data")
    with open_store(tmp_path / "new" / "data") as store:
        rows = store.journal.read(
            "SELECT offset, text, hidden FROM journal WHERE room = ? AND kind = 'message'", (ROOM,)
        )
    texts = {offset: text for offset, text, hidden in rows if not hidden}
    assert set(before) <= {offset for offset, *_ in rows}
    assert {} == {offset: text for offset, text in texts.items() if lesson.acked.get(offset, text) != text}
    assert not set(lost) & set(texts)

    with Relay(tmp_path / "new", ROOMS, limits=LIMITS) as relay:
        again = Lesson(relay)
        again.base_s = lesson.base_s
        for room, after in (
            (ROOM, old_position),
            ("quiet", {"epoch": "1", "offset": 3}),
            (ROOM, {"epoch": "1", "offset": 1}),
        ):
            assert told["epoch"] == (await _reset(relay, room, after))["epoch"]
        await _check_slices(again, old_slices, told["epoch"])
        relay.stop()
    assert (0, []) == _verified(tmp_path / "new" / "data")


async def _reset(relay: Relay, room: str, after: dict[str, Any]) -> dict[str, Any]:
    """Come back with a position of the old life; where one is told to go on from. What is said there has a new offset."""
    async with connected(relay, room) as client:
        welcome = await client.hello(token(room, "student"), after=after)
        (reset,) = [frame for frame in client.frames if frame["type"] == "reset"]
        assert ([], reset["position"]) == (welcome["events"], welcome["position"])
        ack = await client.say("a new life")
        assert ack["offset"] > reset["position"]["offset"] > 1_000_000
        position: dict[str, Any] = reset["position"]
        return position


async def _check_slices(lesson: Lesson, old: dict[str, Any], epoch: str) -> None:
    """What is listed is there and says nothing that was lost, what was not restored is not there, what is revised is of the epoch."""
    relay = lesson.relay
    listed = await lesson.slices(1)
    assert {200} == {relay.get(url).status_code for url in listed}
    assert [] == [url for url in listed if LOST in relay.get(url).text]
    gone = [url for url in old if url not in listed]
    assert gone
    assert {404, 410} >= {relay.get(url).status_code for url in gone}
    await lesson.feed("late, in the new life", second=7)
    for _ in range(400):
        revised = [one for url, one in (await lesson.slices(1)).items() if url not in listed]
        if revised:
            break
        await asyncio.sleep(0.05)
    assert {epoch} == {one["epoch"] for one in revised}


def _verified(folder: Path) -> tuple[int, list[str]]:
    status, told = command("verify", "--data", folder)
    return status, told["damaged"]


def test_a_folder_at_rest_and_one_that_was_killed_are_backed_up(tmp_path: Path) -> None:
    """With what only the write-ahead log has; and the command changes nothing that a relay would miss."""
    with Relay(tmp_path, ROOMS, limits=LIMITS) as relay:
        offsets = asyncio.run(Lesson(relay).feed(*(f"text {number}" for number in range(50))))
        relay.kill()
        status, told = command("backup", tmp_path / "backup", "--data", tmp_path / "data")
        assert (0, []) == (status, told["damaged"])
        relay.start()
        relay.stop()
    assert (0, []) == _verified(tmp_path / "data")
    assert 0 == command("restore", tmp_path / "backup", "--check")[0]
    assert 0 == command("restore", tmp_path / "backup", "--data", tmp_path / "new")[0]
    with open_store(tmp_path / "new") as store:
        assert offsets == [
            event.offset for event in store.journal.events_after(ROOM, 0, 100) if event.kind == "message"
        ]
