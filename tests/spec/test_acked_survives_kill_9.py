"""What was acked survives kill -9 at any moment (reliability G1, G2, G4).

The ledger of acks is kept here, outside the process that is killed. Acks come over two live sockets and by HTTP (NDJSON).
Long form: ``CHATSYNC_KILLS=500 CHATSYNC_KILLS_ACKED=1000000``; another run of events: ``CHATSYNC_SEED``. It judges too how soon the relay
is ready again; in CI `test_a_relay_is_ready_with_a_million_in_the_tail.py` does.
"""

from __future__ import annotations

import asyncio
import os
import random
import resource
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from chatsync.store.opening import open_store
from tests.faultkit.ledger import Ledger, Reader, id_of, text_of
from tests.relay import Relay, token

KILLS = int(os.environ.get("CHATSYNC_KILLS", "25"))
ACKED = int(os.environ.get("CHATSYNC_KILLS_ACKED", str(400 * KILLS)))
SEED = int(os.environ.get("CHATSYNC_SEED", "20261124"))
IS_LONG = KILLS > 25
pytestmark = [pytest.mark.faults, pytest.mark.timeout(300 + 12 * KILLS), *([pytest.mark.alone] if IS_LONG else [])]
WRITERS = ("writer-0", "writer-1")
PLATFORM = "platform"
IN_FLIGHT = 128
LINES = 200  # messages in one posted body
RESENT = 20
ROOM = "class"
READY_S = 2.0

_encode, _decode = msgspec.json.encode, msgspec.json.decode


class Author:
    """A writer at a live socket, who also reads all that is said, through every break."""

    def __init__(self, name: str, ledger: Ledger) -> None:
        self.name, self._ledger, self._reader = name, ledger, Reader(ledger)
        self._space = asyncio.Semaphore(IN_FLIGHT)

    async def live(self, relay: Relay, resent: list[int]) -> None:
        """Come back, send again what was not answered and some of what was, write on until the connection breaks."""
        uri = relay.url.replace("http", "ws") + f"/v1/rooms/{ROOM}/live"
        self._space = asyncio.Semaphore(IN_FLIGHT)
        try:
            async with websockets.connect(uri, subprotocols=["chatsync.v1"], max_size=None) as socket:  # type: ignore[list-item]
                after = self._reader.through
                hello = {"type": "hello", "token": token(ROOM, self.name), "after": after, "last": 0}
                await socket.send(_encode(hello).decode())
                again = [*sorted(self._ledger.open.get(self.name, ())), *resent]
                writing = asyncio.create_task(self._write(socket, again))
                try:
                    await self._read(socket)
                finally:
                    writing.cancel()
                    await asyncio.gather(writing, return_exceptions=True)
        except (OSError, websockets.InvalidHandshake, websockets.InvalidMessage):
            return  # killed before we were in

    async def _write(self, socket: ClientConnection, again: list[int]) -> None:
        for number in again:
            await self._space.acquire()
            await socket.send(self._frame(number))
        while True:
            await self._space.acquire()
            await socket.send(self._frame(self._ledger.new(self.name)))

    def _frame(self, number: int) -> str:
        return _encode({"type": "say", "id": id_of(number), "kind": "message", "text": text_of(number)}).decode()

    async def _read(self, socket: ClientConnection) -> None:
        try:
            async for data in socket:
                self._receive(_decode(data))
        except websockets.ConnectionClosed:
            return

    def _receive(self, frame: dict[str, Any]) -> None:
        match frame["type"]:
            case "ack":
                self._ledger.note_ack(frame)
                self._space.release()
            case "welcome" | "events":
                self._reader.receive(frame)
            case "error" | "reset":
                raise AssertionError(frame)

    def check(self) -> int:
        """All that was acked up to what was read was read; the last offset read."""
        self._ledger.check_nothing_lost(self._reader.offset)
        return self._reader.offset


async def _post_until_cut(relay: Relay, ledger: Ledger, resent: list[int]) -> None:
    """A platform feeds messages, two bodies at a time, until nobody answers."""
    again = [*sorted(ledger.open.get(PLATFORM, ())), *resent]
    bodies = [again[first : first + LINES] for first in range(0, len(again), LINES)]
    headers = {"Authorization": f"Bearer {token(ROOM, PLATFORM, None, ('ingest',))}"}
    headers["Content-Type"] = "application/x-ndjson"

    async def post(client: httpx2.AsyncClient) -> None:
        while True:
            numbers = bodies.pop() if bodies else [ledger.new(PLATFORM) for _ in range(LINES)]
            body = b"\n".join(
                _encode({"id": id_of(n), "author": {"id": "p", "name": "Platform"}, "text": text_of(n)})
                for n in numbers
            )
            try:
                answer = await client.post(f"/v1/rooms/{ROOM}/messages", content=body, headers=headers)
            except httpx2.TransportError:
                return
            assert 200 == answer.status_code, answer.text
            for result in _decode(answer.content)["results"]:
                ledger.note_ack(result)

    async with httpx2.AsyncClient(base_url=relay.url, timeout=30) as client:
        await asyncio.gather(post(client), post(client))


def _close_broadcast(relay: Relay) -> None:
    """A host ends the broadcast: it is sealed to its end and archived while the next one goes on, until the kill."""
    headers = {"Authorization": f"Bearer {token(ROOM, 'host', 'host')}"}
    body = {"id": id_of(0), "action": "broadcast_close"}
    try:
        httpx2.post(f"{relay.url}/v1/rooms/{ROOM}/actions", json=body, headers=headers, timeout=10)
    except httpx2.TransportError:
        return


async def _one_life(relay: Relay, ledger: Ledger, authors: list[Author], chance: random.Random, acks: int) -> None:
    """Everyone comes back and writes until so many more were acked; then, a little later, the process is killed."""
    before, samples = ledger.acked, _samples(ledger, chance)
    lives = [asyncio.create_task(author.live(relay, samples[author.name])) for author in authors]
    lives.append(asyncio.create_task(_post_until_cut(relay, ledger, samples[PLATFORM])))
    deadline = time.monotonic() + 300
    while ledger.acked < before + acks:
        assert time.monotonic() < deadline, f"only {ledger.acked - before} of {acks} acks in five minutes"
        done = [task for task in lives if task.done()]
        for task in done:
            task.result()
        assert not done, "a connection ended while the relay was alive"
        await asyncio.sleep(0.005)
    if chance.random() < 0.2:
        closing = asyncio.create_task(asyncio.to_thread(_close_broadcast, relay))
        await asyncio.sleep(chance.uniform(0.0, 0.3))
        relay.kill()
        await closing
    else:
        await asyncio.sleep(chance.uniform(0.0, 0.05))
        relay.kill()
    await asyncio.gather(*lives)


def _samples(ledger: Ledger, chance: random.Random) -> dict[str, list[int]]:
    """Of each author, some messages that were acked in any earlier life."""
    drawn: dict[str, list[int]] = {name: [] for name in (*WRITERS, PLATFORM)}
    for _ in range(3 * RESENT if ledger.sent else 0):
        number = chance.randrange(ledger.sent)
        if ledger.is_acked(number):
            drawn[ledger.author(number)].append(number)
    return drawn


def _pages(relay: Relay) -> Iterator[dict[str, Any]]:
    """The whole log as tools read it, page by page; each broadcast in order of (program time, offset)."""
    latest = relay.get(f"/v1/rooms/{ROOM}").json()["broadcast"]
    with httpx2.Client(base_url=relay.url, timeout=60) as client:
        for broadcast in range(1, latest + 1):
            cursor, place = "", (0, 0)
            while cursor is not None:
                query = f"broadcast={broadcast}&limit=5000" + (f"&cursor={cursor}" if cursor else "")
                page = _decode(client.get(f"/v1/rooms/{ROOM}/messages?{query}").content)
                for event in page["messages"]:
                    assert place < (event["program_ms"], event["offset"])
                    place = (event["program_ms"], event["offset"])
                    yield event
                cursor = page["cursor"]


async def test_what_was_acked_survives_kills_at_random_moments(tmp_path: Path) -> None:
    """After each kill every acked message is in the log once, at its offset, with its stamp; resending gives the first ack."""
    chance, ledger = random.Random(SEED), Ledger()
    authors = [Author(name, ledger) for name in WRITERS]
    fast = {"commands_per_s": 10_000, "commands_burst": 100_000, "send_queue_bytes_max": 64 * 1024 * 1024}
    relay = Relay(tmp_path, {ROOM: {"public": True}}, limits=fast)
    starts_s: list[float] = []
    began_s = time.monotonic()
    for kill in range(KILLS):
        if chance.random() < 0.1:  # also while it starts
            relay.launch()
            await asyncio.sleep(chance.uniform(0.0, 1.0))
            relay.kill()
        starts_s.append(relay.start().start_s)
        share = chance.uniform(0.2, 1.8) if kill < KILLS - 1 else 1.0
        acks = max(1, round(share * (ACKED - ledger.acked) / (KILLS - kill)))
        await _one_life(relay, ledger, authors, chance, acks)
        assert 0 < min(author.check() for author in authors)
        if kill % 25 == 24:
            print(
                f"{kill + 1} kills, {ledger.acked} acks, {time.monotonic() - began_s:.0f} s, ready {starts_s[-1]:.2f} s"
            )
    with relay:
        starts_s.append(relay.start_s)
        await _finish(relay, ledger, authors, chance)
        events = await asyncio.to_thread(lambda: ledger.check_whole_log(_pages(relay)))
        relay.stop()
    with open_store(tmp_path / "data") as store:
        assert [] == store.journal.open_report
        assert events <= store.journal.verify(ROOM)
    assert ACKED <= ledger.acked
    print(
        f"\nseed {SEED}: {KILLS} kills, {ledger.acked} acked, {events} events, 0 lost, 0 doubled, 0 reordered, 0 restamped; {time.monotonic() - began_s:.0f} s"
    )
    if IS_LONG:
        _judge(starts_s, _empty_start_s(tmp_path / "empty"))


def _judge(starts_s: list[float], empty_s: float) -> None:
    """Half as much again as is promised, for what else the machine does; on a busy one beside a log with nothing in it."""
    peak_kib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    median_s = statistics.median(starts_s[-10:])
    print(
        f"ready in {statistics.median(starts_s):.2f} s (median), {max(starts_s):.2f} s (longest), {median_s:.2f} s (last ten), "
        f"{empty_s:.2f} s (with an empty log); {peak_kib // 1024} MiB at most"
    )
    assert median_s <= 1.5 * max(READY_S, empty_s)


def _empty_start_s(folder: Path) -> float:
    """How long a start with nothing in the log takes on this machine now."""
    starts_s = []
    for _ in range(3):
        with Relay(folder, {ROOM: {"public": True}}) as relay:
            starts_s.append(relay.start_s)
    return statistics.median(starts_s)


async def _finish(relay: Relay, ledger: Ledger, authors: list[Author], chance: random.Random) -> None:
    """In the last life everything that was ever sent is answered; then all leave."""
    lives = [asyncio.create_task(a.live(relay, _samples(ledger, chance)[a.name])) for a in authors]
    lives.append(asyncio.create_task(_post_until_cut(relay, ledger, [])))
    known = ledger.sent
    async with asyncio.timeout(60):
        while True:
            await asyncio.sleep(0.02)
            if not any(number < known for numbers in ledger.open.values() for number in numbers):
                break
    for task in lives:
        task.cancel()
    await asyncio.gather(*lives, return_exceptions=True)
