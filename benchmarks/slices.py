"""Requests a second for one sealed slice: ``python -m benchmarks.slices [--seconds 4] [--json]``.

64 connections ask the relay for the same slice of 200 messages, again as soon as they are answered, and take it compressed. The peer in
the same run is a Starlette application under the same server that answers as many bytes with as many headers out of memory: the most
this server can do without a room, a revision to check and a token to look for. Rounds of the two alternate; the median round counts. The
last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx2
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.relay import Relay, free_port, token

__all__ = ["main"]

CONNECTIONS = 64
MESSAGES = 200
ROUNDS = 3
WARM_UP_S = 0.5
ROOM = "bench"
PEER_PATH = "/slice.json"
SEALED_WITHIN_S = 30.0
_SECOND_MS = 1000
_BEFORE_MS = 120 * _SECOND_MS  # said two minutes ago and brought now: sealed at once


def main() -> None:
    """Print the figures of relay and peer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0, help="measured time of a round")
    parser.add_argument("--json", action="store_true", help="only the JSON line")
    parser.add_argument("--peer", nargs=2, type=int, metavar=("PORT", "BYTES"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peer is not None:
        _serve_peer(*arguments.peer)
        return
    figures = _measured(arguments.seconds)
    if not arguments.json:
        print(f"{'':12} {'requests/s':>11} {'p50 ms':>8} {'p99 ms':>8}")
        for name in ("relay", "peer"):
            row = figures[name]
            print(f"{name:12} {row['requests_per_s']:>11.0f} {row['p50_ms']:>8.2f} {row['p99_ms']:>8.2f}")
        print(f"ratio {figures['ratio']:.2f}; {figures['body_bytes']} bytes a slice, gzip")
    print(json.dumps(figures))


def _measured(seconds: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, Relay(Path(folder), {ROOM: {"public": True}}) as relay:
        path = _sealed_slice(relay)
        body_bytes = len(_first_answer(relay.port, path).partition(b"\r\n\r\n")[2])
        peer_port = free_port()
        peer = subprocess.Popen([sys.executable, "-m", "benchmarks.slices", "--peer", str(peer_port), str(body_bytes)])
        try:
            _wait_for(peer_port)
            rounds: dict[str, list[dict[str, float]]] = {"relay": [], "peer": []}
            for _ in range(ROUNDS):
                rounds["peer"].append(asyncio.run(_round(peer_port, PEER_PATH, seconds)))
                rounds["relay"].append(asyncio.run(_round(relay.port, path, seconds)))
        finally:
            peer.terminate()
            peer.wait()
    figures: dict[str, Any] = {
        name: sorted(found, key=lambda one: one["requests_per_s"])[ROUNDS // 2] for name, found in rounds.items()
    }
    return {
        "benchmark": "slices",
        "connections": CONNECTIONS,
        "body_bytes": body_bytes,
        **figures,
        "ratio": round(figures["relay"]["requests_per_s"] / figures["peer"]["requests_per_s"], 3),
    }


def _sealed_slice(relay: Relay) -> str:
    """Bring messages that were said a while ago; the path of the slice they are sealed in."""
    wall_ms = (time.time_ns() // 1_000_000 - _BEFORE_MS) // _SECOND_MS * _SECOND_MS
    lines = [
        {
            "id": f"m-{number}",
            "author": {"id": f"u{number % 40}", "name": f"Student {number % 40}"},
            "text": f"{number}: why is the slope negative left of zero? it looks the other way round on the slide",
            "wall_ms": wall_ms + number * _SECOND_MS // MESSAGES,
        }
        for number in range(MESSAGES)
    ]
    answer = httpx2.post(
        f"{relay.url}/v1/rooms/{ROOM}/messages",
        content="\n".join(json.dumps(line) for line in lines),
        headers={
            "Authorization": f"Bearer {token(ROOM, 'platform', None, ('ingest',))}",
            "Content-Type": "application/x-ndjson",
        },
        timeout=30,
    )
    answer.raise_for_status()
    refused = [result["code"] for result in answer.json()["results"] if "code" in result]
    if refused:
        raise RuntimeError(f"refused: {refused[0]}")
    deadline_s = time.monotonic() + SEALED_WITHIN_S
    while time.monotonic() < deadline_s:
        listed = relay.get(f"/v1/rooms/{ROOM}/chat.json").json()
        full = [one for one in listed["slices"] if one["messages"] == MESSAGES]
        if full:
            one = full[0]
            name = f"{one['start_ms']}-{one['end_ms']}.e{one['epoch']}.r{one['revision']}.json"
            return f"{listed['base']}{listed['broadcast']}/{name}"
        time.sleep(0.2)
    raise TimeoutError("nothing was sealed")


def _request(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept-Encoding: gzip\r\n\r\n".encode()


def _first_answer(port: int, path: str) -> bytes:
    """One answer as it travels; its length is that of all later ones."""

    async def asked() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(_request(path))
        head = await reader.readuntil(b"\r\n\r\n")
        fields = [line.partition(b":") for line in head.lower().split(b"\r\n")]
        length = next(int(value) for name, _, value in fields if name == b"content-length")
        body = await reader.readexactly(length)
        writer.close()
        return head + body

    answer = asyncio.run(asked())
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(answer[:200].decode())
    return answer


def _wait_for(port: int) -> None:
    deadline_s = time.monotonic() + SEALED_WITHIN_S
    while True:
        try:
            _first_answer(port, PEER_PATH)
        except OSError:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.05)
        else:
            return


class _Asker(asyncio.Protocol):
    """One connection: asks again as soon as it is answered. Counts bytes, since all answers have the same length."""

    def __init__(self, request: bytes, answer_bytes: int, took_ms: list[float], begin_s: float) -> None:
        self._request, self._answer_bytes, self._took_ms, self._begin_s = request, answer_bytes, took_ms, begin_s
        self._got_bytes = 0
        self._sent_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the first time."""
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._ask()

    def _ask(self) -> None:
        self._got_bytes = 0
        self._sent_s = time.perf_counter()
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Count; a whole answer leads to the next question."""
        if self._got_bytes == 0 and not data.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(data[:200].decode("latin-1"))
        self._got_bytes += len(data)
        if self._got_bytes >= self._answer_bytes:
            now_s = time.perf_counter()
            if now_s >= self._begin_s:
                self._took_ms.append((now_s - self._sent_s) * 1000)
            self._ask()


async def _round(port: int, path: str, seconds: float) -> dict[str, float]:
    answer_bytes = len(await asyncio.to_thread(_first_answer, port, path))
    took_ms: list[float] = []
    begin_s = time.perf_counter() + WARM_UP_S
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: _Asker(_request(path), answer_bytes, took_ms, begin_s), "127.0.0.1", port)
        for _ in range(CONNECTIONS)
    ]
    await asyncio.sleep(max(0.0, begin_s + seconds - time.perf_counter()))
    took = sorted(took_ms)
    for transport, _ in made:
        transport.abort()
    return {
        "requests_per_s": round(len(took) / seconds, 1),
        "p50_ms": round(took[len(took) // 2], 3),
        "p99_ms": round(took[len(took) * 99 // 100], 3),
    }


def _serve_peer(port: int, body_bytes: int) -> None:
    body = bytes(body_bytes)
    headers = {
        "Cache-Control": "public, max-age=60, s-maxage=300, immutable",
        "ETag": '"0123456789abcdef01234567"',
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
        "Content-Encoding": "gzip",
    }

    async def slice_(_: Request) -> Response:
        return Response(body, media_type="application/json", headers=headers)

    app = Starlette(routes=[Route(PEER_PATH, slice_)])
    uvicorn.run(app, host="127.0.0.1", port=port, access_log=False, log_level="warning", server_header=False)


if __name__ == "__main__":
    main()
