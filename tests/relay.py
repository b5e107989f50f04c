"""A real relay for tests: the command in a process of its own, an origin that serves a playlist, and clients.

Nothing here stands in for our own parts: the process is ``chatsync serve`` on a real data folder, reached over loopback.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import websockets
from websockets.asyncio.client import ClientConnection

from chatsync.service.auth import PersonRole, TokenAuthority, TokenScope
from tests.forking import ForkedCommand

SECRET = "f1d2c3b4a5968778695a4b3c2d1e0f00ffeeddccbbaa9988"
READY_S = 120.0  # before a test gives up, on however busy a machine; what is promised is asserted where it is tested


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def token(room: str, subject: str, role: PersonRole | None = "participant", scopes: tuple[TokenScope, ...] = ()) -> str:
    """A token as an operator would mint it."""
    return TokenAuthority(SECRET.encode()).mint(
        subject, wall_us=time.time_ns() // 1000, rooms=(room,), name=subject, role=role, scopes=scopes
    )


def admin_token() -> str:
    """A token for the admin API."""
    return TokenAuthority(SECRET.encode()).mint("operator", wall_us=time.time_ns() // 1000, admin=True)


class Relay:
    """``chatsync serve`` in a process of its own, on a data folder that outlives it."""

    is_copied = False  # from a process that has loaded everything (tests/forking.py); a test that measures nothing may (tests/conftest.py)

    def __init__(self, folder: Path, rooms: dict[str, dict[str, Any]], **settings: Any) -> None:
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | ForkedCommand | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self._config = folder / "chatsync.toml"
        self._config.write_text(_toml(settings | {"data_folder": str(folder / "data"), "port": self.port}, rooms))
        self.log = folder / "relay.log"
        self.start_s = 0.0  # from the last start to readiness
        self.environment: dict[str, str] = {}

    def launch(self) -> None:
        """Start the process, without waiting for it."""
        environment = os.environ | {"CHATSYNC_TOKEN_SECRET": SECRET} | self.environment
        arguments = ["serve", "--config", str(self._config)]
        if self.is_copied and not self.environment:
            self._process = ForkedCommand(arguments, environment, self.log)
            return
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "chatsync", *arguments]
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def start(self) -> Relay:
        """Start the process and wait until it is ready."""
        began_s = time.monotonic()
        self.launch()
        assert self._process is not None
        deadline = began_s + READY_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise AssertionError(f"the relay ended: {self.log.read_text()[-2000:]}")
            try:
                if httpx2.get(f"{self.url}/readyz", timeout=1).status_code == 200:
                    self.start_s = time.monotonic() - began_s
                    return self
            except httpx2.TransportError:
                pass
            time.sleep(0.02)
        raise AssertionError(f"the relay was not ready in {READY_S} s: {self.log.read_text()[-2000:]}")

    def kill(self) -> None:
        """End the process as `kill -9` does, now."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def stop(self) -> int:
        """Stop as an operator would; the exit status."""
        if self._process is None:
            return 0
        self._process.send_signal(signal.SIGTERM)
        status = self._process.wait(timeout=20)
        self._process = None
        return status

    def get(self, path: str, **kwargs: Any) -> httpx2.Response:
        """GET a path of the relay."""
        return httpx2.get(self.url + path, timeout=10, **kwargs)

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Relay:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self.kill()


def _toml(settings: dict[str, Any], rooms: dict[str, dict[str, Any]]) -> str:
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items() if not isinstance(value, dict)]
    tables = {name: value for name, value in settings.items() if isinstance(value, dict)}
    for name, table in (tables | {f"rooms.{room}": values for room, values in rooms.items()}).items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


class Client:
    """A live connection that remembers what it was told."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.welcome: dict[str, Any] = {}
        self.events: list[dict[str, Any]] = []
        self.gone: list[int] = []
        self.frames: list[dict[str, Any]] = []
        self.answers: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._changed = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None
        self.through: dict[str, Any] | None = None

    async def hello(
        self, token: str | None, *, after: dict[str, Any] | None = None, last: int = 50, **fields: Any
    ) -> dict[str, Any]:
        """Say hello and wait for the welcome."""
        await self.send({"type": "hello", "token": token, "after": after, "last": last} | fields)
        self._reading = asyncio.create_task(self._read())
        await self.until(lambda: bool(self.welcome))
        return self.welcome

    async def _read(self) -> None:
        try:
            async for data in self._socket:
                self._receive(json.loads(data))
        except websockets.ConnectionClosed:
            pass
        finally:
            for answer in self.answers.values():
                if not answer.done():
                    answer.set_exception(ConnectionError("closed before the answer"))
                    answer.exception()
            self._changed.set()

    def _receive(self, frame: dict[str, Any]) -> None:
        self.frames.append(frame)
        match frame["type"]:
            case "welcome":
                self.welcome, self.through = frame, frame["through"]
                self.events += frame["events"]
                self.gone += frame["gone"]
            case "events":
                self.events += frame["events"]
                self.through = frame["through"]
            case "gone":
                self.gone += frame["offsets"]
            case "ack" | "error" | "held":
                answer = self.answers.get(frame.get("id") or "")
                if answer is not None and not answer.done():
                    answer.set_result(frame)
        self._changed.set()

    async def send(self, frame: dict[str, Any]) -> None:
        """Send a frame."""
        await self._socket.send(json.dumps(frame))

    def ask(self, frame: dict[str, Any]) -> asyncio.Future[dict[str, Any]]:
        """A future of the answer to a frame with an id; send it with :meth:`send`."""
        return self.answers.setdefault(frame["id"], asyncio.get_running_loop().create_future())

    async def say(self, text: str, **fields: Any) -> dict[str, Any]:
        """Say something and wait for the answer."""
        frame = {"type": "say", "id": str(uuid.uuid4()), "kind": "message", "text": text} | fields
        answer = self.ask(frame)
        await self.send(frame)
        return await asyncio.wait_for(answer, 10)

    async def act(self, action: str, **fields: Any) -> dict[str, Any]:
        """Do a deed and wait for the answer."""
        frame = {"type": "act", "id": str(uuid.uuid4()), "action": action} | fields
        answer = self.ask(frame)
        await self.send(frame)
        return await asyncio.wait_for(answer, 10)

    async def until(self, condition: Any, within_s: float = 10) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(within_s):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    @property
    def is_over(self) -> bool:
        """Whether the connection has ended and everything that came was taken in."""
        return self._reading is not None and self._reading.done()

    async def finished(self) -> None:
        """Wait until everything that came before the close was taken in."""
        if self._reading is not None:
            await asyncio.wait({self._reading})

    async def closed_with(self) -> int | None:
        """Wait until the server closes; its code."""
        await asyncio.wait_for(self._socket.wait_closed(), 15)
        return self._socket.close_code


@asynccontextmanager
async def connected(relay: Relay, room: str, *, origin: str | None = None) -> AsyncIterator[Client]:
    """A socket to a room, before its hello."""
    uri = relay.url.replace("http", "ws") + f"/v1/rooms/{room}/live"
    async with websockets.connect(uri, subprotocols=["chatsync.v1"], origin=origin) as socket:  # type: ignore[list-item, arg-type]
        yield Client(socket)


@contextmanager
def relay_with(folder: Path, rooms: dict[str, dict[str, Any]], **settings: Any) -> Iterator[Relay]:
    """A relay that is stopped at the end."""
    with Relay(folder, rooms, **settings) as relay:
        yield relay
