"""What lies between clients and a process: sockets and requests with delays, cuts and slow readers.

Owns: delivery in order, what is lost when a process dies. Does not know: what frames say. Requests reach the process through its ASGI
application, live sockets through the protocol class it gives to its web server.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from contextvars import copy_context
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec
from uvicorn.server import ServerState
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from chatsync.service.sockets import LiveSocket
from tests.simulation.loop import PROCESS

if TYPE_CHECKING:
    from random import Random

    from tests.simulation.world import Process

__all__ = ["Answer", "GoneError", "Socket", "request"]

_WINDOW_BYTES = 4 * 1024  # what the network holds for a reader that does not read
_DELAYS_S = (0.0005, 0.01, 0.05, 0.3)


class GoneError(ConnectionError):
    """The process is not there, or is not there any more."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        """The body's value."""
        return msgspec.json.decode(self.body)


def _in_process(process: Process) -> Any:
    context = copy_context()
    context.run(PROCESS.set, process.number)
    return context


def _scope(kind: str, path: str, query: dict[str, Any], headers: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    return {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http" if kind == "http" else "ws",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": urlencode({name: value for name, value in query.items() if value is not None}).encode(),
        "headers": [(b"host", b"relay"), *headers],
        "client": ("192.0.2.1", 40_000),
        "server": ("relay", 80),
        "state": {},
    }


async def request(process: Process | None, chance: Random, path: str, **query: Any) -> Answer:
    """GET a path.

    Raises:
        GoneError: no process answers.
    """
    if process is None or not process.is_ready:
        raise GoneError
    loop = process.world.loop
    answer: asyncio.Future[Answer] = loop.create_future()
    status, parts = 0, []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
            return
        parts.append(message.get("body", b""))
        if not message.get("more_body") and process.is_alive:
            settle(lambda: answer.set_result(Answer(status, b"".join(parts))))

    def settle(how: Callable[[], None]) -> None:
        def now() -> None:
            if not answer.done():
                how()

        loop.call_later(chance.choice(_DELAYS_S) * chance.random(), now, context=loop.outside)

    gone = process.tell_of_death(lambda: settle(lambda: answer.set_exception(GoneError())))
    await asyncio.sleep(chance.choice(_DELAYS_S) * chance.random())
    if process.is_alive:
        scope = _scope("http", path, query, [])
        loop.create_task(process.app(scope, receive, send), context=_in_process(process))
    try:
        return await answer
    finally:
        process.forget(gone)


class Socket:
    """A client's end of a live socket.

    Args:
        process: where it leads.
        chance: how long things take.
        room: whose.
        on_frame: called with each JSON frame.
        on_close: called once with the code; 1006 if the process died or the line was cut.

    Raises:
        GoneError: no process listens.
    """

    def __init__(
        self,
        process: Process | None,
        chance: Random,
        *,
        room: str,
        on_frame: Callable[[Any], None],
        on_close: Callable[[int], None],
    ) -> None:
        if process is None or not process.is_ready:
            raise GoneError
        self._process, self._chance = process, chance
        self._on_frame, self._on_close = on_frame, on_close
        self._loop = process.world.loop
        self._context = _in_process(process)
        self._framing = ClientProtocol(
            parse_uri(f"ws://relay/v1/rooms/{room}/live"), subprotocols=[Subprotocol("chatsync.v1")]
        )
        self._departure_ns = self._loop.now_ns
        self._unread: deque[bytes | None] = deque()
        self._held: deque[bytes] = deque()
        self._before_open: deque[Mapping[str, Any]] = deque()
        self._is_reading = True
        self.is_closed = False
        self._gone = process.tell_of_death(self._die)
        self._server = LiveSocket(None, ServerState(), {"hub": process.app.state.hub})
        self._transport = _Transport(self)
        self._context.run(self._server.connection_made, self._transport)
        self._framing.send_request(self._framing.connect())
        self._send_owed()

    # --- the client's side ----------------------------------------------------------------------------------------

    def send(self, frame: Mapping[str, Any]) -> None:
        """Send a frame; it arrives after those before it, if the process lives."""
        if self.is_closed:
            return
        if self._framing.state is not State.OPEN:
            self._before_open.append(frame)
            return
        self._framing.send_text(msgspec.json.encode(frame))
        self._send_owed()

    def _open(self) -> None:
        while self._before_open:
            self.send(self._before_open.popleft())

    def _send_owed(self) -> None:
        data = b"".join(self._framing.data_to_send())
        if data:
            self._departure_ns = _later_ns(self._loop, self._chance, self._departure_ns)
            self._loop.call_at_ns(self._departure_ns, self._feed, data, context=self._loop.outside)

    def cut(self) -> None:
        """The line is cut; what is under way is lost, and the process learns of it later or at once."""
        if not self.is_closed:
            self._finish(1006)
            self._loop.call_later(self._chance.random() * 2, self._lose, context=self._loop.outside)

    def stop_reading(self) -> None:
        """Take nothing in for a while."""
        self._is_reading = False

    def read_on(self) -> None:
        """Take in what has come meanwhile, and what comes."""
        self._is_reading = True
        while self._unread and self._is_reading and not self.is_closed:
            self._take(self._unread.popleft())

    def _arrive(self, data: bytes | None) -> None:
        """Bytes come in, or the end of them."""
        if self.is_closed:
            return
        if self._is_reading:
            self._take(data)
        else:
            self._unread.append(data)

    def _take(self, data: bytes | None) -> None:
        if data is None:
            self._framing.receive_eof()
        else:
            self._framing.receive_data(data)
            self._transport.note_read(len(data))
        for event in self._framing.events_received():
            if isinstance(event, Response):
                self._open() if event.status_code == 101 else self._finish(event.status_code)
            elif isinstance(event, Frame) and event.opcode is Opcode.TEXT and not self.is_closed:
                self._on_frame(msgspec.json.decode(bytes(event.data)))
        if self._framing.parser_exc is not None and not isinstance(self._framing.parser_exc, EOFError):
            raise self._framing.parser_exc
        if not self.is_closed:
            self._send_owed()
            if self._framing.close_expected() or data is None:
                self._finish(self._framing.close_code or 1006)

    def _finish(self, code: int) -> None:
        self.is_closed = True
        self._on_close(code)

    def _die(self) -> None:
        """The process died: some of what was under way still arrives."""
        left_ns = max(0, self._transport.arrival_ns - self._loop.now_ns)
        cut_ns = self._loop.now_ns + int(left_ns * self._chance.random() * 1.5)
        self._loop.call_at_ns(cut_ns, self._end, context=self._loop.outside)

    def _end(self) -> None:
        self._is_reading = True
        self._unread.clear()
        if not self.is_closed:
            self._finish(1006)

    # --- the process's side ---------------------------------------------------------------------------------------

    def _feed(self, data: bytes) -> None:
        self._held.append(data)
        self.feed_held()

    def feed_held(self) -> None:
        """Pass on what came, unless the process wants to hear nothing for now."""
        while (
            self._held and self._process.is_alive and self._transport.is_reading() and not self._transport.is_closing()
        ):
            self._context.run(self._server.data_received, self._held.popleft())

    def _lose(self) -> None:
        """The process learns that the connection is over."""
        self._process.forget(self._gone)
        if self._process.is_alive and not self._transport.is_lost:
            self._transport.is_lost = True
            self._context.run(self._server.connection_lost, None)

    def deliver(self, when_ns: int, data: bytes | None) -> None:
        """What the transport passes on."""
        self._loop.call_at_ns(when_ns, self._arrive, data, context=self._loop.outside)

    def feed_soon(self) -> None:
        """The process wants to hear again."""
        self._loop.call_soon(self.feed_held, context=self._loop.outside)

    def lose_soon(self) -> None:
        """The transport has closed."""
        self._loop.call_soon(self._lose, context=self._loop.outside)

    def arrival_ns(self, after_ns: int) -> int:
        """When what is written now arrives."""
        return _later_ns(self._loop, self._chance, after_ns)

    @property
    def is_process_alive(self) -> bool:
        """Whether what is written is heard of at all."""
        return self._process.is_alive


class _Transport(asyncio.Transport):
    """The process's end: what is written arrives later; a reader that does not read makes it wait here."""

    def __init__(self, socket: Socket) -> None:
        super().__init__({"peername": ("192.0.2.1", 40_000)})
        self._socket = socket
        self._waiting: deque[bytes | None] = deque()
        self._unread_bytes = 0
        self._closing = False
        self._is_reading = True
        self.is_lost = False
        self.arrival_ns = 0

    def write(self, data: Any) -> None:
        if self._socket.is_process_alive and not self.is_lost and not self._closing:
            self._waiting.append(bytes(data))
            self._pass_on()

    def _pass_on(self) -> None:
        while self._waiting and self._unread_bytes <= _WINDOW_BYTES:
            data = self._waiting.popleft()
            self._unread_bytes += 0 if data is None else len(data)
            self.arrival_ns = self._socket.arrival_ns(self.arrival_ns)
            self._socket.deliver(self.arrival_ns, data)
            if data is None:
                self._socket.lose_soon()

    def note_read(self, size_bytes: int) -> None:
        """The client took some."""
        self._unread_bytes -= size_bytes
        if self._socket.is_process_alive and not self.is_lost:
            self._pass_on()

    def get_write_buffer_size(self) -> int:
        return sum(len(data) for data in self._waiting if data is not None)

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._waiting.append(None)
            self._pass_on()

    def abort(self) -> None:
        self._closing = True
        self._waiting.clear()
        if self._socket.is_process_alive:
            self.arrival_ns = self._socket.arrival_ns(self.arrival_ns)
            self._socket.deliver(self.arrival_ns, None)
            self._socket.lose_soon()

    def is_closing(self) -> bool:
        return self._closing or self.is_lost

    def is_reading(self) -> bool:
        return self._is_reading

    def pause_reading(self) -> None:
        self._is_reading = False

    def resume_reading(self) -> None:
        self._is_reading = True
        self._socket.feed_soon()


def _later_ns(loop: Any, chance: Random, after_ns: int) -> int:
    delay_ns = int(chance.choice(_DELAYS_S) * chance.random() * 1e9)
    now_ns: int = loop.now_ns
    return max(after_ns + 1, now_ns + delay_ns)
