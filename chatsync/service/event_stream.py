"""A live connection as server-sent events: for readers, and wherever a WebSocket does not get through.

Owns: how frames travel as events, what waits for a slow reader, its end. Does not know: who may come in, what is told (``relay``: it is
the same connection as over a socket), HTTP's errors. Units: µs of monotonic time. Source: contract §5; the HTML standard §9.2; reliability G5.

An event is one frame. The last of a batch has an id ``epoch:offset``; whoever comes back with it as ``Last-Event-ID`` gets what followed.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from chatsync.chat.wire import CloseCode, HelloFrame, WirePosition, encoded
from chatsync.errors import (
    BannedError,
    ChatsyncError,
    RateLimitedError,
    RoomRestartingError,
    TokenError,
    UnknownRoomError,
)
from chatsync.instants import SECOND_US
from chatsync.service.framing import Batch, event_lines
from chatsync.service.origins import ENTERED
from chatsync.service.problems import problem_of
from chatsync.service.relay import LiveConnection
from chatsync.service.stalling import Stall

if TYPE_CHECKING:
    from chatsync.service.hub import Hub

__all__ = ["EVENT_STREAM", "EventStream", "head_of_stream", "resumed_from"]

EVENT_STREAM = "text/event-stream"
_HEADERS = {
    "Content-Type": f"{EVENT_STREAM}; charset=utf-8",
    "Cache-Control": "private, no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Accel-Buffering": "no",  # nginx would keep events until it has a page full of them
}

_ID = re.compile(r"(\d{1,19}):(\d{1,16})", re.ASCII)
_NOTHING = b":\n\n"  # a comment: the peer's and every proxy's sign that we are there
_CLOSE_US = 10 * SECOND_US  # for a peer to take the rest; then the connection is cut
_RETRY_MS = 5_000

_REFUSALS: dict[CloseCode, Callable[[], ChatsyncError]] = {
    CloseCode.TOKEN: TokenError,
    CloseCode.UNKNOWN_ROOM: UnknownRoomError,
    CloseCode.BANNED: BannedError,
    CloseCode.TOO_SLOW: partial(RateLimitedError, _RETRY_MS),
    CloseCode.SHUTTING_DOWN: RoomRestartingError,
}
"""What a close before the first event is over HTTP."""


def resumed_from(last_event_id: str | None) -> WirePosition | None:
    """The position in a ``Last-Event-ID``; None if there is none. One that is none of ours is a position that nobody knows."""
    if not last_event_id:
        return None
    match = _ID.fullmatch(last_event_id)
    return WirePosition("?", 0) if match is None else WirePosition(match[1], int(match[2]))


def head_of_stream() -> Response:
    """What HEAD is answered: the headers of a stream, without one."""
    made = Response(None, headers=_HEADERS)
    del made.headers["content-length"]
    return made


class EventStream(Response):
    """The answer to a reader, which has no end of its own. Meanwhile it holds a place among the node's connections.

    Args:
        hub: the rooms.
        room: which of them.
        hello: what the reader says of themselves.
        address: where they are.
        page: the origin of their web page, if it is not the relay's own.
        transport: the connection itself, as far as the server tells; without it only what waits here is counted.
    """

    def __init__(
        self,
        hub: Hub,
        room: str,
        hello: HelloFrame,
        *,
        address: str,
        page: str | None,
        transport: asyncio.Transport | None,
    ) -> None:
        super().__init__(None, headers=_HEADERS | {"Connection": "close"})  # what the reader leaves unread ends with it
        del self.headers["content-length"]
        self._hub, self._room, self._hello, self._transport = hub, room, hello, transport
        self._address, self._page = address, page
        self._connection: LiveConnection | None = None
        self._waiting: deque[bytes] = deque()
        self._waiting_size = 0
        self._written = 0  # bytes given to us for the peer
        self._excused_until = 0  # bytes up to here are the peer's own request and do not count as waiting
        self._stall = Stall()
        self._sign_due_us = hub.clock.monotonic_us() + hub.settings.limits.ping_s * SECOND_US
        self._news = asyncio.Event()
        self._cut = asyncio.Event()
        self._refusal: CloseCode | None = None
        self._closing_since_us: int | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the reader in, then send events until one of the two has had enough; or say why not."""
        self._connection = LiveConnection(self, self._hub, self._room, self._address, self._page)
        try:
            self._connection.receive_hello(self._hello)
            await self._news.wait()
            if self._refusal is None:
                known = self._hub.settings_of(self._room)
                scope[ENTERED] = () if known is None else known.origins
                await self._serve(receive, send)
        finally:
            self._closing_since_us = self._closing_since_us or self._hub.clock.monotonic_us()
            self._connection.lost()
        if self._refusal is not None:
            await problem_of(_REFUSALS.get(self._refusal, UnknownRoomError)())(scope, receive, send)

    async def _serve(self, receive: Receive, send: Send) -> None:
        own = None if self._transport is None else self._transport.get_extra_info("socket")
        if own is not None:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._hub.settings.limits.socket_buffer_bytes)
        self._hub.keeper.streams.add(self)
        work = [asyncio.create_task(one) for one in (self._send_all(send), _until_gone(receive), self._cut.wait())]
        try:
            await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
            if self._held_bytes:  # the server would wait for ever until the peer takes it
                await self._cut.wait()
        finally:
            self._hub.keeper.streams.discard(self)
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)

    async def _send_all(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        while True:
            while self._waiting:
                lines = self._waiting.popleft()
                await send({"type": "http.response.body", "body": lines, "more_body": True})
                self._waiting_size -= len(lines)
            if self._closing_since_us is not None:
                break
            self._news.clear()
            await self._news.wait()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    # --- what a connection wants of an outlet -----------------------------------------------------------------------

    def send_batch(self, batch: Batch, *, excused: bool = False) -> None:
        """Frames that others get too; excused ones do not count as waiting."""
        self._put(batch.lines)
        if excused:
            self._excused_until = self._written

    def send_frame(self, payload: bytes) -> None:
        """One frame that is the peer's alone."""
        self._put(event_lines(payload))

    def _put(self, lines: bytes) -> None:
        if self._closing_since_us is None:
            self._waiting.append(lines)
            self._waiting_size += len(lines)
            self._written += len(lines)
            self._news.set()

    @property
    def waiting_bytes(self) -> int:
        """What the peer has not taken yet, without what it asked for itself."""
        return min(self.buffered_bytes, self._written - self._excused_until)

    @property
    def buffered_bytes(self) -> int:
        """All that the peer has not taken yet, as far as we are told."""
        return self._waiting_size + self._held_bytes

    @property
    def _held_bytes(self) -> int:
        """What the server has taken from us and the peer not from the server."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    @property
    def is_closing(self) -> bool:
        """Whether the last event was put, or the reader is gone."""
        return self._closing_since_us is not None

    def close(self, code: CloseCode, reason: str) -> None:
        """Say goodbye with a documented code, once; before the first event the answer is an error instead."""
        if self._closing_since_us is not None:
            return
        if self._written:
            self._hub.metrics.closed.labels(str(int(code))).inc()
            self._put(event_lines(encoded({"type": "close", "code": int(code), "reason": reason})))
        else:
            self._refusal = code
        self._closing_since_us = self._hub.clock.monotonic_us()
        self._news.set()

    def pause_reading(self) -> None:
        """Nothing is read from who only reads."""

    def resume_reading(self) -> None:
        """As :meth:`pause_reading`."""

    # --- once a second --------------------------------------------------------------------------------------------

    def receive_time(self, now_us: int) -> None:
        """Give a sign of life; give up a reader that does not read, or does not go."""
        limits = self._hub.settings.limits
        if self._closing_since_us is not None:
            if now_us >= self._closing_since_us + _CLOSE_US:
                self._abort()
            elif self._transport is not None and not self.buffered_bytes:
                self._cut.set()
        elif self._stall.is_over(
            written=self._written,
            waiting=self.buffered_bytes,
            now_us=now_us,
            after_us=limits.write_stall_s * SECOND_US,
        ):
            self.close(CloseCode.TOO_SLOW, "the connection does not read")
        elif now_us >= self._sign_due_us:
            self._sign_due_us = now_us + limits.ping_s * SECOND_US
            self._put(_NOTHING)

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
        self._cut.set()


async def _until_gone(receive: Receive) -> None:
    """Wait for the end of the connection; what the peer may still send is nothing to us."""
    while (await receive())["type"] != "http.disconnect":
        pass
