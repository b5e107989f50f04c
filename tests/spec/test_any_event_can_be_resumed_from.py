"""A client resumes from any event of a room: from memory, from the journal, or by a reset and slices, and sees no seam (reliability G4).

Somebody talks all the while, and slices are being made. CHATSYNC_DEPTH says how many events the deepest room has: 50,000 in CI,
1,000,000 in the long form; CHATSYNC_RESUMES how many clients come back to it; CHATSYNC_SEED from where.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from chatsync.chat.room import RING_EVENTS_MAX
from chatsync.instants import DAY_US, SECOND_US
from chatsync.service.clock import ManualClock
from chatsync.service.limit_table import RECOVERY_EVENTS_MAX
from chatsync.store.opening import open_store
from chatsync.store.pruning import KEPT_EVENTS, prune
from chatsync.store.recovering import head_of, raise_epoch
from tests.crowd import rss_mib
from tests.faultkit.filling import fill
from tests.faultkit.ledger import id_of, number_of, text_of
from tests.relay import Relay, token
from tests.stage import stage

DEPTH = int(os.environ.get("CHATSYNC_DEPTH", "50000"))
RESUMES = int(os.environ.get("CHATSYNC_RESUMES", "80" if DEPTH < 500_000 else "300"))
HAND_OVERS = 6  # of the deep room, that load all of it; others look at the seam only
SEED = int(os.environ.get("CHATSYNC_SEED", "20261124"))
pytestmark = [pytest.mark.faults, pytest.mark.timeout(240 + DEPTH / 500)]
DEEP, PRUNED, RAISED = "deep", "pruned", "raised"
ROOMS: dict[str, dict[str, Any]] = {room: {"public": True} for room in (DEEP, PRUNED, RAISED)}
FAST = {"commands_per_s": 10_000, "commands_burst": 100_000}
A_SECOND = 100  # events of the deep room in a second of its program
TALK_S = 0.05  # between two messages while clients come back
SPOKEN = 50_000_000  # numbers from here on are said live
AT_ONCE = 3  # clients that load slices


class _Position(msgspec.Struct, frozen=True):
    epoch: str
    offset: int


class _Event(msgspec.Struct):
    offset: int
    kind: str
    id: str
    text: str | None = None


class _Frame(msgspec.Struct):
    type: str
    position: _Position | None = None
    through: _Position | None = None
    events: list[_Event] = []
    offset: int = 0


class _Slice(msgspec.Struct):
    as_of: _Position
    events: list[_Event]
    version: int = 0
    sealed_until_ms: int | None = None


class _Entry(msgspec.Struct, frozen=True):
    start_ms: int
    end_ms: int
    epoch: str
    revision: int


class _Playlist(msgspec.Struct):
    version: int
    as_of: _Position
    sealed_until_ms: int | None
    base: str
    slices: list[_Entry]


_frames = msgspec.json.Decoder(_Frame)
_slices = msgspec.json.Decoder(_Slice)
_playlists = msgspec.json.Decoder(_Playlist)


@dataclass
class _Talk:
    """One room, in which somebody talks until everyone is back."""

    room: str
    last_offset: int = 0

    async def run(self, relay: Relay, is_over: asyncio.Event) -> None:
        numbers = iter(range(SPOKEN, 2 * SPOKEN))
        async with _connected(relay, self.room) as socket:
            await _hello(socket, self.room, "talker", None)
            while not is_over.is_set():
                await socket.send(_say(next(numbers)))
                await self._answered(socket)
                await asyncio.sleep(TALK_S)

    async def _answered(self, socket: ClientConnection) -> None:
        while (frame := _frames.decode(await socket.recv())).type != "ack":
            assert "error" != frame.type
        self.last_offset = frame.offset


def _connected(relay: Relay, room: str) -> websockets.connect:
    uri = relay.url.replace("http", "ws") + f"/v1/rooms/{room}/live"
    return websockets.connect(uri, subprotocols=["chatsync.v1"], max_size=None, open_timeout=60)  # type: ignore[list-item]


async def _hello(socket: ClientConnection, room: str, name: str, after: dict[str, Any] | None) -> None:
    hello = {"type": "hello", "token": token(room, name), "after": after, "last": 0}
    await socket.send(msgspec.json.encode(hello).decode())


def _say(number: int) -> str:
    frame = {"type": "say", "id": id_of(number), "kind": "message", "text": text_of(number)}
    return msgspec.json.encode(frame).decode()


class _Client:
    """Somebody who left at a position and comes back; what they hold must be the log after it.

    Args:
        room: where.
        after: the position, as they say it.
        loads: whether they load slices after a reset; else they look at the live side of the seam only.
    """

    def __init__(self, room: str, after: dict[str, Any], *, loads: bool) -> None:
        self.room, self.after, self.loads = room, after, loads
        self.way = ""  # by which they came back
        self.offset = 0  # the last that was told live
        self.reset_to = 0
        self.held: set[int] = set()  # by slices, after a reset
        self.is_back = asyncio.Event()
        self._has_changed = asyncio.Event()

    async def come_back(self, relay: Relay, name: str, loading: asyncio.Semaphore) -> None:
        """Resume, load what a reset asks for, and go on until the connection is closed."""
        async with _connected(relay, self.room) as socket:
            await _hello(socket, self.room, name, self.after)
            frame = _frames.decode(await socket.recv())
            if frame.type == "reset":
                assert frame.position is not None
                self.way, self.reset_to = "reset", frame.position.offset
                frame = _frames.decode(await socket.recv())
                assert ("welcome", []) == (frame.type, frame.events)
                self.offset = self.reset_to
                if self.loads:
                    task = asyncio.create_task(self._load(relay, loading))
                    task.add_done_callback(lambda _: self.is_back.set())
                    await self._live(socket, frame)
                    await task
                    return
            else:
                missed = len(frame.events)
                self.way = "memory" if missed <= RING_EVENTS_MAX else "journal"
                self.offset = int(self.after["offset"])
            self.is_back.set()
            await self._live(socket, frame)

    async def told(self, offset: int) -> None:
        """Wait until they were told up to an offset."""
        while self.offset < offset:
            self._has_changed.clear()
            await self._has_changed.wait()

    async def _live(self, socket: ClientConnection, frame: _Frame) -> None:
        try:
            while True:
                self._receive(frame)
                self._has_changed.set()
                frame = _frames.decode(await socket.recv())
        except websockets.ConnectionClosed:
            return

    def _receive(self, frame: _Frame) -> None:
        assert frame.type not in {"reset", "error"}
        for event in frame.events:
            assert self.offset + 1 == event.offset
            self.offset = event.offset
            _check(event)
        if frame.type in {"welcome", "events"}:
            assert frame.through is not None
            assert self.offset == frame.through.offset  # everything in these rooms is for everyone

    async def _load(self, relay: Relay, loading: asyncio.Semaphore) -> None:
        async with loading, httpx2.AsyncClient(base_url=relay.url, timeout=120) as http:
            kept: dict[tuple[int, _Entry], list[int]] = {}
            latest = (await http.get(f"/v1/rooms/{self.room}")).json()["broadcast"]
            for broadcast in range(1, latest + 1):
                for pause_s in itertools.chain((0.0,), itertools.repeat(0.3)):
                    await asyncio.sleep(pause_s)
                    if await self._loaded(http, broadcast, kept):
                        break

    async def _loaded(
        self, http: httpx2.AsyncClient, broadcast: int, kept: dict[tuple[int, _Entry], list[int]]
    ) -> bool:
        """Load a broadcast as it stands; False if it changed meanwhile, or speaks of less than the position asked for."""
        answer = await http.get(f"/v1/rooms/{self.room}/chat.json?broadcast={broadcast}&from_ms=0")
        if answer.status_code == 503:  # a long tail is read
            return False
        playlist = _playlists.decode(answer.content)
        for entry in playlist.slices:
            if (broadcast, entry) not in kept:
                path = (
                    f"{playlist.base}{broadcast}/{entry.start_ms}-{entry.end_ms}.e{entry.epoch}.r{entry.revision}.json"
                )
                answer = await http.get(path)
                if answer.status_code == 410:
                    return False
                kept[broadcast, entry] = _offsets(_slices.decode(answer.content))
        answer = await http.get(f"{playlist.base}{broadcast}/open.json?from_ms={playlist.sealed_until_ms or 0}")
        if answer.status_code != 200:
            return False
        tail = _slices.decode(answer.content)
        listed = (tail.version, tail.sealed_until_ms) == (playlist.version, playlist.sealed_until_ms)
        if not listed or min(tail.as_of.offset, playlist.as_of.offset) < self.reset_to:
            return False
        pieces = [kept[broadcast, entry] for entry in playlist.slices] + [_offsets(tail)]
        loaded = [offset for piece in pieces for offset in piece]
        assert len(loaded) == len(set(loaded)), "slices and the open slice hold an event twice"
        assert not self.held & set(loaded)
        self.held |= set(loaded)
        return True


def _check(event: _Event) -> None:
    if event.kind == "message":
        assert text_of(number_of(event.id)) == event.text


def _offsets(piece: _Slice) -> list[int]:
    for event in piece.events:
        _check(event)
    return [event.offset for event in piece.events]


async def _prepared(folder: Path) -> dict[str, int]:
    """Three rooms at rest: a deep one, one whose older rows have left the journal, and one whose epoch has risen; their heads."""
    now_us = time.time_ns() // 1_000
    start_us = now_us - (DEPTH // A_SECOND + 400) * SECOND_US
    async with stage(folder, ROOMS, clock=ManualClock(wall_us=start_us)):
        pass  # broadcasts are open
    data = folder / "data"
    fill(data, DEEP, range(DEPTH), broadcast=1, start_us=start_us + 100 * SECOND_US, end_us=now_us)
    old = {"broadcast": 1, "start_us": start_us + 100 * SECOND_US, "end_us": now_us - 200 * SECOND_US}
    fill(data, PRUNED, range(3 * KEPT_EVENTS), **old)
    fill(data, RAISED, range(KEPT_EVENTS), **old)
    async with stage(folder, ROOMS, clock=ManualClock(wall_us=now_us), asleep=True) as it:
        await it.hub.woken(PRUNED)
        await it.seal(PRUNED)
        store = it.hub.archiving.store
        await asyncio.to_thread(store.archive.archive_now, PRUNED)
        assert KEPT_EVENTS < await asyncio.to_thread(prune, store, PRUNED, wall_us=now_us + 2 * DAY_US)
    with open_store(data) as opened:
        opened.writer.call(lambda c: raise_epoch(c, RAISED, head_of(c, RAISED), "a test")).result()
    for room in (PRUNED, RAISED):
        numbers = range(10 * KEPT_EVENTS, 12 * KEPT_EVENTS)
        fill(data, room, numbers, broadcast=1, start_us=now_us - 150 * SECOND_US, end_us=now_us)
    with open_store(data) as opened:
        assert KEPT_EVENTS < opened.journal.pruned.through(PRUNED) < 3 * KEPT_EVENTS
        return {room: opened.journal.head(room).offset for room in ROOMS} | {
            "through": opened.journal.pruned.through(PRUNED)
        }


def _clients(heads: dict[str, int], chance: random.Random) -> list[_Client]:
    """Who comes back, and from where: every zone, and both sides of every edge."""
    deep, pruned, raised, through = heads[DEEP], heads[PRUNED], heads[RAISED], heads["through"]
    edges = [0, 1, deep - RECOVERY_EVENTS_MAX - 1, deep - RECOVERY_EVENTS_MAX, deep - RING_EVENTS_MAX - 1]
    edges += [deep - RING_EVENTS_MAX, deep - 1, deep, deep // 2]
    zones = [
        (0, deep - RECOVERY_EVENTS_MAX),
        (deep - RECOVERY_EVENTS_MAX, deep - RING_EVENTS_MAX),
        (deep - 1_900, deep),
    ]
    picked = edges + [chance.randrange(*chance.choice(zones)) for _ in range(max(0, RESUMES - len(edges)))]
    loading = [0, *chance.sample(range(2, len(picked)), len(picked) - 2)][:HAND_OVERS]
    clients = [
        _Client(DEEP, {"epoch": "1", "offset": offset}, loads=number in loading or offset < 2)
        for number, offset in enumerate(picked)
    ]
    clients += [
        _Client(PRUNED, {"epoch": "1", "offset": offset}, loads=True)
        for offset in (0, through - 1, through, through + 1, pruned - 3_000, pruned - 10, pruned)
    ]
    clients += [
        _Client(RAISED, {"epoch": epoch, "offset": offset}, loads=True)
        for epoch, offset in (
            ("1", 100),
            ("1", raised - 10),
            ("2", raised - 10),
            ("2", raised - 3_000),
            ("2", raised + 1_000_000),
            ("7", raised - 10),
            ("no epoch", 1),
        )
    ]
    chance.shuffle(clients)
    return clients


async def test_whoever_comes_back_from_anywhere_holds_exactly_the_log(tmp_path: Path) -> None:
    """From every zone and edge, while somebody talks: each offset after the one they left at once, with its words, up to the last."""
    begun_s = time.monotonic()
    heads = await _prepared(tmp_path)
    print(f"\n{heads[DEEP]} events in {time.monotonic() - begun_s:.0f} s")
    chance, is_over, loading = random.Random(SEED), asyncio.Event(), asyncio.Semaphore(AT_ONCE)
    with Relay(tmp_path, ROOMS, limits=FAST) as relay:
        print(f"ready in {relay.start_s:.2f} s")
        talks = {room: _Talk(room) for room in ROOMS}
        talking = [asyncio.create_task(talk.run(relay, is_over)) for talk in talks.values()]
        clients = _clients(heads, chance)
        coming = []
        for number, client in enumerate(clients):
            coming.append(asyncio.create_task(client.come_back(relay, f"student-{number}", loading)))
            await asyncio.sleep(chance.uniform(0.0, 0.1))
        for client, task in zip(clients, coming, strict=True):
            await asyncio.wait(
                [task, asyncio.ensure_future(client.is_back.wait())], return_when=asyncio.FIRST_COMPLETED
            )
            assert not task.done() or task.exception() is None, task.exception()
        back_s, mib = time.monotonic() - begun_s, rss_mib(relay.pid)
        is_over.set()
        await asyncio.gather(*talking)
        async with asyncio.timeout(60):
            for client in clients:
                await client.told(talks[client.room].last_offset)
        relay.stop()
        await asyncio.gather(*coming)
    ways: Counter[str] = Counter()
    for client in clients:
        ways[f"{client.room} by {client.way}"] += 1
        assert talks[client.room].last_offset == client.offset
        if client.way == "reset" and client.loads:
            missing = set(range(1, client.reset_to + 1)) - client.held
            assert set() == missing, f"{len(missing)} events of {client.room} are missing, from {min(missing)} on"
        if client.room == DEEP:
            missed = heads[DEEP] - client.after["offset"]
            assert missed <= RECOVERY_EVENTS_MAX or client.way == "reset"
    loaded = [len(client.held) for client in clients if client.held]
    said = sum(talk.last_offset - heads[room] for room, talk in talks.items())
    print(
        f"seed {SEED}: {dict(sorted(ways.items()))}; {len(loaded)} loaded slices, {max(loaded)} events at most; "
        f"{said} said meanwhile; 0 gaps, 0 repetitions; all back after {back_s:.0f} s, relay {mib:.0f} MiB"
    )
    assert {f"{DEEP} by {way}" for way in ("memory", "journal", "reset")} <= set(ways)
    assert {f"{PRUNED} by {way}" for way in ("memory", "journal", "reset")} <= set(ways)
    assert {f"{RAISED} by {way}" for way in ("memory", "journal", "reset")} <= set(ways)
