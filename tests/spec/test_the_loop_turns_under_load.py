"""The event loop is at most 50 ms late to 999 of 1,000 plans, whatever is asked of the relay (reliability §5).

The relay measures itself (`chatsync_loop_lag_seconds`, which is the promise), and takes what its thread waited for a core off
(`chatsync_loop_lag_own_seconds`): on a machine that is busy with something else, that is what the relay can be held to. A process that
does nothing but measure its own loop runs beside it: what that one cannot keep either, the machine did.
CHATSYNC_LOOP_S says how many seconds the mixture lasts: 8 in CI, 60 in the long form.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from chatsync.service.auth import TokenAuthority
from tests.crowd import Viewer, connect, crowd, masked, talking
from tests.relay import SECRET, Relay, admin_token, token

pytestmark = [pytest.mark.faults, pytest.mark.alone]

ROOM = "class"
ROOMS: dict[str, dict[str, Any]] = {ROOM: {"public": True}, "other": {"public": True}}
SECONDS = float(os.environ.get("CHATSYNC_LOOP_S", "8"))
ONLY = [name for name in os.environ.get("CHATSYNC_LOOP_WORKS", "").split(",") if name]  # to find who it is
LAG_S_MAX = 0.05
LATE_SHARE_MAX = (
    0.001 if SECONDS >= 60 else 0.05
)  # two shared cores and a short form: what blocks the loop makes it a fifth and more
LIMITS = {
    "commands_per_s": 10_000,
    "commands_burst": 100_000,
    "connections_per_person_max": 100,
    "knocks_per_s": 10_000,
    "knocks_burst": 10_000,
}
_BARE_LOOP = """
import asyncio, signal
from chatsync.service.loop_lag import LAG_S_MAX, LoopLag, measure
late = []
lag = LoopLag(late.append)
async def main():
    loop = asyncio.get_running_loop()
    task = loop.create_task(measure(lag))
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        print(len(late), sum(one > LAG_S_MAX for one in late))
asyncio.run(main())
"""


@pytest.mark.timeout(300)
async def test_the_loop_turns_whatever_is_asked(tmp_path: Path) -> None:
    """Sealing, archiving, planned reads, big resumes, big bodies and hostile frames at once, while a hundred people watch and one talks."""
    with Relay(tmp_path, ROOMS, limits=LIMITS) as relay:
        start = relay.get(f"/v1/rooms/{ROOM}/chat.json").json()["as_of"]
        await asyncio.to_thread(_feed, relay, 9_000)
        await asyncio.to_thread(_feed, relay, 900, "other")
        viewers = await crowd(relay, ROOM, 100, name="viewer")
        await asyncio.sleep(0.5)
        before = await asyncio.to_thread(_lateness, relay)
        beside = await asyncio.create_subprocess_exec(sys.executable, "-c", _BARE_LOOP, stdout=subprocess.PIPE)
        async with talking(relay, ROOM, per_s=20):
            await _mixture(relay, start)
        beside.terminate()
        plans_beside, late_beside = map(int, (await beside.communicate())[0].split())
        lateness = (await asyncio.to_thread(_lateness, relay)).since(before)
        print(f"{lateness}; beside it a bare loop to {late_beside} of {plans_beside}")
        share_beside = late_beside / max(1, plans_beside)
        assert lateness.own / lateness.plans <= max(LATE_SHARE_MAX, 2 * share_beside)
        assert [] == [one for one in viewers if one.lost.is_set() or one.gaps or one.repeated]
        assert 200 == (await asyncio.to_thread(relay.get, "/readyz")).status_code


@dataclass(frozen=True)
class _Lateness:
    """Plans so far, how many of them came later than they may, and how many would have if the thread had never waited for a core."""

    plans: int
    late: int
    own: int

    def since(self, before: _Lateness) -> _Lateness:
        return _Lateness(self.plans - before.plans, self.late - before.late, self.own - before.own)

    def __str__(self) -> str:
        return f"late to {self.late} of {self.plans} plans, by its own doing to {self.own}"


def _lateness(relay: Relay) -> _Lateness:
    lines = (line.rsplit(" ", 1) for line in relay.get("/metrics").text.splitlines() if "loop_lag" in line)
    found = {name: value for name, value in lines if not name.startswith("#")}
    names = ("chatsync_loop_lag_seconds", "chatsync_loop_lag_own_seconds")
    plans = int(float(found[f"{names[0]}_count"]))
    late, own = (plans - int(float(found[f'{name}_bucket{{le="{LAG_S_MAX}"}}'])) for name in names)
    return _Lateness(plans, late, own)


def _feed(relay: Relay, count: int, room: str = ROOM) -> None:
    """Messages of a platform, five thousand in a request."""
    author = {"id": "s5", "name": "Student 5"}
    headers = {
        "Authorization": f"Bearer {token(room, 'feed', None, ('ingest',))}",
        "Content-Type": "application/x-ndjson",
    }
    for first in range(0, count, 5_000):
        body = b"\n".join(
            msgspec.json.encode({"id": str(uuid.uuid4()), "author": author, "text": f"message {number} " + "x" * 200})
            for number in range(first, min(first + 5_000, count))
        )
        answer = httpx2.post(f"{relay.url}/v1/rooms/{room}/messages", content=body, headers=headers, timeout=60)
        assert 200 == answer.status_code, answer.text


async def _mixture(relay: Relay, start: dict[str, Any]) -> None:
    end_s = time.monotonic() + SECONDS
    works = (
        *(_resume_all, _read_pages, _read_slices, _send_hostile_frames, _send_hostile_bodies, _change_rooms, _flood),
        *(_hide_many, _archive),
    )
    async with asyncio.TaskGroup() as group:
        for work in (one for one in works if not ONLY or one.__name__.strip("_") in ONLY):
            group.create_task(_again(work, relay, start, end_s))


async def _again(work: Any, relay: Relay, start: dict[str, Any], end_s: float) -> None:
    number = 0
    while time.monotonic() < end_s:
        await work(relay, start, number)
        number += 1
        await asyncio.sleep(0.05)


async def _resume_all(relay: Relay, start: dict[str, Any], number: int) -> None:
    """Somebody missed nine thousand events: 3 MB of welcome, from the journal."""
    viewer = await connect(relay, Viewer(ROOM, token(ROOM, f"late-{number}", "viewer"), after=start))
    viewer.abort()
    await asyncio.sleep(0.2)


async def _read_pages(relay: Relay, start: dict[str, Any], number: int) -> None:
    """Pages of five thousand, and context at a time: reads that nobody prepared."""
    del start, number
    playlist = (await asyncio.to_thread(relay.get, f"/v1/rooms/{ROOM}/chat.json?from_ms=0")).json()
    clock_ms = playlist["clock_ms"]
    answers = await asyncio.gather(
        asyncio.to_thread(relay.get, f"/v1/rooms/{ROOM}/messages?limit=5000"),
        asyncio.to_thread(relay.get, f"/v1/rooms/{ROOM}/at?program_ms={clock_ms - 1_000}&last=200&ahead_ms=120000"),
    )
    assert 200 == answers[0].status_code


async def _read_slices(relay: Relay, start: dict[str, Any], number: int) -> None:
    """The whole chat playlist and what is open: sealing goes on meanwhile."""
    del start, number
    playlist = (await asyncio.to_thread(relay.get, f"/v1/rooms/{ROOM}/chat.json?from_ms=0")).json()
    sealed_ms = playlist["sealed_until_ms"] or 0
    await asyncio.to_thread(relay.get, f"{playlist['base']}{playlist['broadcast']}/open.json?from_ms={sealed_ms}")


_HOSTILE = (
    b"[" * 16_000,
    b'{"type":"say","id":"a","text":"b","x":' + b"[" * 8_000 + b"]" * 8_000 + b"}",
    b'{"type":"say","id":"a","text":"b","reply_to":' + b"9" * 16_000 + b"}",
    b'{"type":"playhead","broadcast":1,"program_ms":1e' + b"9" * 15_000 + b"}",
    b'{"type":"' + b"x" * 16_000 + b'"}',
    b'"\\' * 8_000,
    b"\xff" * 16_000,
)
_TRAPS = (
    "http://" + "a." * 246,
    "http://" + "a-" * 245 + "!",
    "@" + "a." * 240,
    "http://[" * 62,
    "a\u0301" * 250,
    "\u202e" * 499 + "x",
    "\u0627\u200c" * 250,
)


async def _send_hostile_frames(relay: Relay, start: dict[str, Any], number: int) -> None:
    """Deep, huge and broken JSON; then texts on which careless patterns and normalisation take forever."""
    del start
    viewer = await connect(relay, Viewer("other", token("other", f"hostile-{number}")))
    for trap in _TRAPS:
        for _ in range(20):
            viewer.send({"type": "say", "id": str(uuid.uuid4()), "text": trap})
    viewer.send_bytes(masked(_HOSTILE[number % len(_HOSTILE)]))
    await asyncio.sleep(0.2)
    viewer.abort()


async def _flood(relay: Relay, start: dict[str, Any], number: int) -> None:
    """Ten thousand pings of the protocol, and of ours, as fast as the socket takes them."""
    del start
    viewer = await connect(relay, Viewer("other", token("other", f"flood-{number}")))
    viewer.send_bytes(masked(b"", 9) * 10_000)
    viewer.send_bytes(masked(b'{"type":"ping"}') * 5_000)
    viewer.send_bytes(masked(b'{"type":"typing"}') * 5_000)
    await asyncio.sleep(0.5)
    viewer.abort()


async def _send_hostile_bodies(relay: Relay, start: dict[str, Any], number: int) -> None:
    """Eight megabytes of messages that are none, of nesting, and of a recording with twenty thousand spans."""
    del start
    headers = {
        "Authorization": f"Bearer {token('other', 'feed', 'host', ('ingest',))}",
        "Content-Type": "application/x-ndjson",
    }
    bodies = (b"\n" * 8_000_000, b"[" * 8_000_000, b'{"id":"a","author":{"id":"a","name":"b"},"text":"c"}\n' * 9_000)
    async with httpx2.AsyncClient(base_url=relay.url, timeout=60) as client:
        await client.post("/v1/rooms/other/messages", content=bodies[number % 3], headers=headers)
        spans = [
            {"position_ms": one * 10, "duration_ms": 10, "broadcast": 1, "program_ms": one * 10 + random.randrange(9)}
            for one in range(20_000)
        ]
        body = json.dumps({"spans": spans}).encode()
        headers["Content-Type"] = "application/json"
        await client.put("/v1/rooms/other/recordings/hostile", content=body, headers=headers)


async def _change_rooms(relay: Relay, start: dict[str, Any], number: int) -> None:
    """Rooms come and go."""
    del start
    headers = {"Authorization": f"Bearer {admin_token()}"}
    async with httpx2.AsyncClient(base_url=relay.url, timeout=60, headers=headers) as client:
        await client.put(f"/v1/rooms/brief-{number % 5}", json={"public": True})
        if number % 5 == 4:
            await client.delete(f"/v1/rooms/brief-{number % 3}")
    await asyncio.sleep(0.2)


async def _act(relay: Relay, action: str, **fields: Any) -> None:
    body = {"id": str(uuid.uuid4()), "action": action} | fields
    headers = {"Authorization": f"Bearer {token('other', 'lecturer', 'host')}"}
    async with httpx2.AsyncClient(base_url=relay.url, timeout=60, headers=headers) as client:
        answer = await client.post("/v1/rooms/other/actions", json=body)
    assert 200 == answer.status_code, answer.text


async def _hide_many(relay: Relay, start: dict[str, Any], number: int) -> None:
    """All that somebody said, nine hundred messages, goes and comes back."""
    del start
    author = TokenAuthority(SECRET.encode()).author_key("other", "ingest:s5")
    await _act(relay, "restore" if number % 2 else "hide", author=author)
    await asyncio.sleep(0.5)


async def _archive(relay: Relay, start: dict[str, Any], number: int) -> None:
    """A broadcast ends: it is sealed to its end, and what changed is written as Parquet by the process beside."""
    del start, number
    await _act(relay, "broadcast_close")
    await asyncio.sleep(2)
