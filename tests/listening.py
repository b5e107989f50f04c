"""A reader of server-sent events, over the application itself: nothing of HTTP is in between.

Owns: the request, the parser of events, a reader who takes nothing. Does not know: what is told. tests/crowd.py and tests/relay.py have
readers over real sockets.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

Message = MutableMapping[str, Any]


class Parser:
    """Server-sent events out of bytes that come in pieces (HTML standard §9.2.6, as far as we use it)."""

    def __init__(self) -> None:
        self.frames: list[dict[str, Any]] = []
        self.last_id: str | None = None
        self.signs = 0  # comments
        self._rest = b""

    def receive(self, data: bytes) -> None:
        """Take in what came; an event that is not whole is as if it had not come."""
        *blocks, self._rest = (self._rest + data).split(b"\n\n")
        for block in blocks:
            fields = dict(line.split(b": ", 1) for line in block.split(b"\n") if not line.startswith(b":"))
            if not fields:
                self.signs += 1
                continue
            assert set(fields) <= {b"id", b"data"}
            self.frames.append(json.loads(fields[b"data"]))
            if b"id" in fields:
                self.last_id = fields[b"id"].decode()


class Listener(Parser):
    """One request for events."""

    def __init__(self, app: FastAPI, path: str, headers: dict[str, str], method: str = "GET") -> None:
        super().__init__()
        path, _, query = path.partition("?")
        self._app = app
        self._scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(b"host", b"relay"), *((k.lower().encode(), v.encode()) for k, v in headers.items())],
            "client": ("192.0.2.7", 40_000),
            "server": ("relay", 80),
            "state": {},
        }
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.is_over = False
        self.reads = asyncio.Event()  # cleared, the reader takes nothing
        self.reads.set()
        self._gone = asyncio.Event()
        self._changed = asyncio.Event()
        self._asked = False
        self._task: asyncio.Task[None] | None = None

    async def _receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        await self.reads.wait()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode().lower(): value.decode() for name, value in message["headers"]}
        elif self.status == 200:
            self.receive(message["body"])
        else:
            self.body += message["body"]
        self._changed.set()

    async def _run(self) -> None:
        await self._app(self._scope, self._receive, self._send)
        self.is_over = True
        self._changed.set()

    def start(self) -> None:
        """Send the request."""
        self._task = asyncio.create_task(self._run())

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(10):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def over(self) -> None:
        """Wait for the relay to end the answer."""
        await self.until(lambda: self.is_over)

    async def go(self) -> None:
        """Be gone."""
        self._gone.set()
        self.reads.set()
        if self._task is not None:
            await asyncio.wait({self._task})

    @property
    def problem(self) -> dict[str, Any]:
        """What an error says."""
        read: dict[str, Any] = json.loads(self.body)
        return read

    @property
    def types(self) -> list[str]:
        """What came, in its order."""
        return [frame["type"] for frame in self.frames]

    @property
    def events(self) -> list[dict[str, Any]]:
        """All events told, in their order."""
        return [event for frame in self.frames if frame["type"] in {"welcome", "events"} for event in frame["events"]]


@asynccontextmanager
async def listening(
    app: FastAPI, token: str | None = None, room: str = "class", query: str = "", *, method: str = "GET", **headers: str
) -> AsyncIterator[Listener]:
    """A reader of a room's events who has got the first of them, or a refusal."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if token is not None:
        given["authorization"] = f"Bearer {token}"
    one = Listener(app, f"/v1/rooms/{room}/events{query}", given, method)
    one.start()
    try:
        await one.until(lambda: bool(one.frames) or one.is_over)
        yield one
    finally:
        await one.go()


__all__ = ["Listener", "Parser", "listening"]
