"""Acknowledged messages a second through the real WebSocket: ``python -m benchmarks.acks [--seconds 4] [--json]``.

The relay runs in a process of its own on a fresh data folder; eight people, each with eight messages under way, write as fast as they
are answered. Every ack stands for a message that is stamped and on disk, and that goes to all eight as well. The peer takes the same load
in the same run: a bare ``websockets`` server that answers each frame and does nothing else, so that the ratio tells what stamping,
storing and telling the others cost. Rounds of the two alternate; the median round counts. The last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import uuid_utils
import websockets
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection, serve

from tests.relay import Relay, free_port, token

__all__ = ["main"]

PEOPLE = 8
IN_FLIGHT_EACH = 8
ROUNDS = 3
WARM_UP_S = 1.0
ROOM = "bench"
TEXT = "why is the slope negative left of zero? it looks the other way round on the slide"
LIMITS = {"commands_per_s": 10_000, "commands_burst": 100_000, "send_queue_bytes_max": 16 * 1024 * 1024}


class _Frame(msgspec.Struct):
    type: str
    id: str | None = None


_decode = msgspec.json.Decoder(_Frame).decode
_encode = msgspec.json.encode


def main() -> None:
    """Print the figures of relay and peer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0, help="measured time of a round")
    parser.add_argument("--folder", type=Path, help="where the data folder is made; default: the system's")
    parser.add_argument("--json", action="store_true", help="only the JSON line")
    parser.add_argument("--peer-port", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peer_port is not None:
        asyncio.run(_serve_peer(arguments.peer_port))
        return
    figures = _measured(arguments.seconds, arguments.folder)
    if not arguments.json:
        print(f"{'':12} {'acks/s':>9} {'p50 ms':>8} {'p99 ms':>8}")
        for name in ("relay", "peer"):
            row = figures[name]
            print(f"{name:12} {row['acks_per_s']:>9.0f} {row['p50_ms']:>8.2f} {row['p99_ms']:>8.2f}")
        print(
            f"ratio {figures['ratio']:.2f}; one fsync of 4 KiB takes {figures['fsync_ms_p50']:.2f} ms (p50) on this disk"
        )
    print(json.dumps(figures))


def _measured(seconds: float, parent: Path | None) -> dict[str, Any]:
    port = free_port()
    peer = subprocess.Popen([sys.executable, "-m", "benchmarks.acks", "--peer-port", str(port)])
    try:
        with tempfile.TemporaryDirectory(dir=parent) as folder:
            fsync_ms = _fsync_ms_p50(Path(folder))
            with Relay(Path(folder), {ROOM: {"public": True}}, limits=LIMITS) as relay:
                relay_uri = f"ws://127.0.0.1:{relay.port}/v1/rooms/{ROOM}/live"
                rounds: dict[str, list[dict[str, float]]] = {"relay": [], "peer": []}
                for _ in range(ROUNDS):
                    rounds["peer"].append(asyncio.run(_round(f"ws://127.0.0.1:{port}/", seconds)))
                    rounds["relay"].append(asyncio.run(_round(relay_uri, seconds)))
                relay.stop()
    finally:
        peer.terminate()
        peer.wait()
    figures: dict[str, Any] = {name: _median_round(found) for name, found in rounds.items()}
    return {
        "benchmark": "acks",
        "in_flight": PEOPLE * IN_FLIGHT_EACH,
        "people": PEOPLE,
        **figures,
        "ratio": round(figures["relay"]["acks_per_s"] / figures["peer"]["acks_per_s"], 3),
        "fsync_ms_p50": round(fsync_ms, 3),
    }


def _median_round(rounds: list[dict[str, float]]) -> dict[str, float]:
    return sorted(rounds, key=lambda one: one["acks_per_s"])[len(rounds) // 2]


def _fsync_ms_p50(folder: Path) -> float:
    took: list[float] = []
    with (folder / "fsync").open("wb") as file:
        for _ in range(50):
            file.write(bytes(4096))
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


async def _serve_peer(port: int) -> None:
    """Answers each frame that has an id; stores nothing and tells nobody else."""

    async def answer(socket: ServerConnection) -> None:
        async for data in socket:
            frame = _decode(data)
            if frame.type == "hello":
                await socket.send('{"type":"welcome"}')
            elif frame.id is not None:
                await socket.send(_encode({"type": "ack", "id": frame.id, "offset": 1, "durable": "no"}).decode())

    async with serve(answer, "127.0.0.1", port, compression=None):
        await asyncio.get_running_loop().create_future()


async def _round(uri: str, seconds: float) -> dict[str, float]:
    """All people write for a while; acks a second and the time from sending to ack."""
    people = [_Person(await _connected(uri), number) for number in range(PEOPLE)]
    for person in people:
        await person.enter()
    begin_s = time.perf_counter() + WARM_UP_S
    end_s = begin_s + seconds
    await asyncio.gather(*(person.write_until(begin_s, end_s) for person in people))
    took = sorted(one for person in people for one in person.took_ms)
    for person in people:
        await person.socket.close()
    return {
        "acks_per_s": round(len(took) / seconds, 1),
        "p50_ms": round(took[len(took) // 2], 3),
        "p99_ms": round(took[len(took) * 99 // 100], 3),
    }


async def _connected(uri: str) -> ClientConnection:
    for _ in range(200):
        try:
            return await websockets.connect(uri, subprotocols=["chatsync.v1"], compression=None, max_queue=None)  # type: ignore[list-item]
        except OSError:
            await asyncio.sleep(0.05)
    raise ConnectionError(uri)


class _Person:
    def __init__(self, socket: ClientConnection, number: int) -> None:
        self.socket = socket
        self.took_ms: list[float] = []
        self._token = token(ROOM, f"person-{number}")
        self._sent_s: dict[str, float] = {}

    async def enter(self) -> None:
        hello = {"type": "hello", "token": self._token, "after": None, "last": 0}
        await self.socket.send(_encode(hello).decode())
        while _decode(await self.socket.recv()).type != "welcome":
            pass

    async def _say(self) -> None:
        message_id = str(uuid_utils.uuid7())
        self._sent_s[message_id] = time.perf_counter()
        frame = {"type": "say", "id": message_id, "kind": "message", "text": TEXT}
        await self.socket.send(_encode(frame).decode())

    async def write_until(self, begin_s: float, end_s: float) -> None:
        """Keep so many messages under way until the end, then wait for the last acks."""
        for _ in range(IN_FLIGHT_EACH):
            await self._say()
        while self._sent_s:
            data = await self.socket.recv()
            if data.startswith('{"type":"events"'):  # type: ignore[arg-type]
                continue
            frame = _decode(data)
            if frame.type == "error":
                raise RuntimeError(f"refused: {data!r}")
            sent_s = self._sent_s.pop(frame.id or "", None)
            if frame.type != "ack" or sent_s is None:
                continue
            now_s = time.perf_counter()
            if begin_s <= now_s < end_s:
                self.took_ms.append((now_s - sent_s) * 1000)
            if now_s < end_s:
                await self._say()


if __name__ == "__main__":
    main()
