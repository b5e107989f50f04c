"""Live sockets on bare transports: the protocol class that uvicorn hands an upgraded connection to.

Owns: the handshake, frames in and out, what waits for a slow reader, pings, the goodbye. Does not know: what is in a frame
(``relay``). Framing itself is the ``websockets`` package's, without I/O; bytes go straight to the transport, so that a batch that is
encoded once is the same object in every connection's buffer.
Units: µs of monotonic time. Source: RFC 6455; contract §5; reliability G5; limits; decision 0022.

It leans on four things of uvicorn 0.54, which ``tests/service/test_sockets.py`` holds it to: the class is called with ``config``,
``server_state`` and ``app_state``; ``connection_made`` and the request's bytes follow; whoever is in ``server_state.connections`` is
told ``shutdown``; what the lifespan yields is in ``app_state``.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from collections.abc import Callable, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote

import structlog
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from chatsync.chat.wire import SUBPROTOCOL, CloseCode
from chatsync.instants import SECOND_US
from chatsync.service.framing import Batch, text_frame
from chatsync.service.origins import foreign_page, is_allowed_origin
from chatsync.service.peers import peer_address
from chatsync.service.relay import LiveConnection
from chatsync.service.stalling import Stall

if TYPE_CHECKING:
    from uvicorn.config import Config
    from uvicorn.server import ServerState

    from chatsync.service.hub import Hub

__all__ = ["Kept", "LiveSocket", "SocketKeeper"]

_LIVE_PATH = re.compile(r"/v1/rooms/([^/]+)/live")
_CLOSE_US = 10 * SECOND_US  # for a peer to take the goodbye and answer it; then the connection is cut
_PIECE_BYTES = 1_024  # ~170 of the smallest frames, 4 ms
_FRAMES_A_COMMAND = (
    10  # so many frames of any kind come in the time in which one command may; faster is read more slowly
)
_QUIET = logging.getLogger("chatsync.websockets")  # the framing's own debug lines; never configured
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False

_log = structlog.get_logger(__name__)


class LiveSocket(asyncio.Protocol):
    """One connection that asked to become a WebSocket.

    Args:
        config: uvicorn's, unused: limits are our own.
        server_state: uvicorn's list of what it must stop.
        app_state: what the application's lifespan gave: ``hub``.
    """

    __slots__ = (
        "_closing_since_us",
        "_connections",
        "_excused_until",
        "_frames_full_at_us",
        "_framing",
        "_hub",
        "_is_held",
        "_parts",
        "_ping_due_us",
        "_pinged_us",
        "_soon",
        "_stall",
        "_transport",
        "_unread",
        "_written",
        "connection",
    )

    def __init__(
        self,
        config: Config | None,
        server_state: ServerState,
        app_state: MutableMapping[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        del config
        self._hub: Hub = app_state["hub"]
        self._connections = server_state.connections
        self._framing = ServerProtocol(
            max_size=self._hub.settings.limits.frame_bytes_max, logger=_QUIET, select_subprotocol=_chosen
        )
        self._transport: asyncio.Transport | None = None
        self.connection: LiveConnection | None = None
        self._unread = bytearray()  # what came at once and is taken in piece by piece
        self._is_held = False  # whoever answers the peer wants nothing more for now
        self._frames_full_at_us = 0  # as in limits.Bucket, of frames of any kind
        self._parts: list[bytes] = []  # of a message that comes in several frames
        self._soon: list[bytes] = []  # frames for the end of this turn of the loop
        self._written = 0  # bytes given to the transport
        self._excused_until = 0  # bytes up to here are the peer's own request and do not count as waiting
        self._stall = Stall()
        self._ping_due_us: int | None = None
        self._pinged_us: int | None = None
        self._closing_since_us: int | None = None

    # --- asyncio calls these --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A connection is handed over; its request comes next."""
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]
        self._connections.add(self)  # type: ignore[arg-type]
        own = transport.get_extra_info("socket")
        if own is not None:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._hub.settings.limits.socket_buffer_bytes)

    def data_received(self, data: bytes) -> None:
        """Bytes of the peer: the request, then frames. What is much at once is taken piece by piece, others in between."""
        if self._unread:
            self._unread += data
        elif len(data) <= _PIECE_BYTES or self.connection is None:
            self._take(data)
        else:
            self._unread += data
            self._take_piece()

    def _take_piece(self) -> None:
        if self._transport is None or self._closing_since_us is not None:
            self._unread.clear()
            return
        piece = bytes(self._unread[:_PIECE_BYTES])
        del self._unread[:_PIECE_BYTES]
        wait_us = self._take(piece)
        self._set_reading()
        if self._unread:
            loop = asyncio.get_running_loop()
            if wait_us > 0:
                loop.call_later(wait_us / SECOND_US, self._take_piece)
            else:
                loop.call_soon(self._take_piece)

    def _take(self, data: bytes) -> int:
        """Take bytes in; how long the next should wait, µs: somebody who sends frames faster than anyone may is read more slowly."""
        framing = self._framing
        framing.receive_data(data)
        events = framing.events_received()
        for event in events:
            if isinstance(event, Request):
                self._receive_request(event)
            elif isinstance(event, Frame):
                self._receive_frame(event)
        if framing.parser_exc is not None:
            self._send_owed()
            self._end()
            return 0
        self._send_owed()
        limits = self._hub.settings.limits
        interval_us = SECOND_US // (_FRAMES_A_COMMAND * limits.commands_per_s)
        now_us = self._hub.clock.monotonic_us()
        self._frames_full_at_us = max(self._frames_full_at_us, now_us) + len(events) * interval_us
        return self._frames_full_at_us - now_us - _FRAMES_A_COMMAND * limits.commands_burst * interval_us

    def eof_received(self) -> bool | None:
        """The peer has no more to say: so have we."""
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over."""
        del exc
        self._connections.discard(self)
        self._hub.keeper.sockets.discard(self)
        self._transport = None
        if self.connection is not None:
            self.connection.lost()
        # What points at each other would wait for the collector of garbage, which looks at what is old seldom: with thousands
        # who come and go that is much memory.
        self.connection = None
        self._framing.parser.close()
        vars(self._framing).clear()
        self._unread.clear()

    def shutdown(self) -> None:
        """The server stops: whoever is still here is told to come back."""
        self.close(CloseCode.SHUTTING_DOWN, "come back in a moment")
        self._end()

    # --- coming in ------------------------------------------------------------------------------------------------

    def _receive_request(self, request: Request) -> None:
        response = self._framing.accept(request)
        if response.status_code == 101:
            refusal = self._refusal(request)
            if refusal is not None:
                response = self._framing.reject(refusal, "")
                del response.headers["Connection"]
                response.headers["Connection"] = "close"
                if refusal == 503:
                    response.headers["Retry-After"] = "5"
        if response.status_code != 101:
            response.headers["Cache-Control"] = "private, no-store"
            response.headers["X-Content-Type-Options"] = "nosniff"
        self._framing.send_response(response)
        self._send_owed()
        if response.status_code != 101:
            self._end()
            return
        room = self._room_of(request)
        assert room is not None
        hub = self._hub
        self._ping_due_us = hub.clock.monotonic_us() + hub.settings.limits.ping_s * SECOND_US
        hub.keeper.sockets.add(self)
        forwarded = request.headers.get_all("X-Forwarded-For") if hub.settings.behind_proxy else []
        address = peer_address(self._peer(), forwarded, hub.settings.trusted_proxies)
        page = foreign_page(request.headers.get_all("Origin"), host=request.headers.get("Host") or "")
        self.connection = LiveConnection(self, hub, room, address, page)
        if hub.is_stopping:
            self.close(CloseCode.SHUTTING_DOWN, "come back in a moment")

    def _refusal(self, request: Request) -> int | None:
        """The status of a handshake that is not accepted."""
        hub = self._hub
        room = self._room_of(request)
        if room is None:
            return 404
        headers = request.headers
        host = headers.get("Host") or ""
        if not is_allowed_origin(headers.get_all("Origin"), host=host, allowed=hub.pages_that_may_knock(room)):
            return 403
        if len(hub.connections) >= hub.settings.limits.sockets_max:
            return 503
        return None

    @staticmethod
    def _room_of(request: Request) -> str | None:
        found = _LIVE_PATH.fullmatch(unquote(request.path.partition("?")[0]))
        return None if found is None else found[1]

    def _peer(self) -> str:
        assert self._transport is not None
        name = self._transport.get_extra_info("peername")
        return str(name[0]) if isinstance(name, tuple) else ""

    def _receive_frame(self, frame: Frame) -> None:
        match frame.opcode:
            case Opcode.TEXT | Opcode.BINARY:
                if frame.fin:
                    self._receive_message(bytes(frame.data))
                else:
                    self._parts = [bytes(frame.data)]
            case Opcode.CONT:
                if frame.data:  # empty ones could go on for ever
                    self._parts.append(bytes(frame.data))
                if frame.fin:
                    whole, self._parts = b"".join(self._parts), []
                    self._receive_message(whole)
            case Opcode.PONG:
                self._pinged_us = None
            case Opcode.CLOSE:
                self._send_owed()  # the echo, unless this one is it
                self._end()

    def _receive_message(self, data: bytes) -> None:
        if self.connection is None or self._closing_since_us is not None:
            return
        if not data.isascii():
            try:
                data.decode()
            except UnicodeDecodeError:
                self.close(CloseCode.MALFORMED, "not UTF-8")
                return
        self.connection.receive_message(data)

    # --- going out ------------------------------------------------------------------------------------------------

    def send(self, wire: bytes, *, excused: bool = False) -> None:
        """Write frames that are encoded already.

        Args:
            wire: whole frames.
            excused: the peer asked for this, and it may be long: it does not count as waiting for a slow reader.
        """
        if self._transport is None or self._closing_since_us is not None:
            return
        if self._soon:
            self._send_soon()
        self._transport.write(wire)
        self._written += len(wire)
        if excused:
            self._excused_until = self._written

    def send_batch(self, batch: Batch, *, excused: bool = False) -> None:
        """As :meth:`send`, of frames that others get too."""
        self.send(batch.wire, excused=excused)

    def send_frame(self, payload: bytes) -> None:
        """As :meth:`send_soon`, of one frame that is the peer's alone."""
        self.send_soon(text_frame(payload))

    def send_soon(self, wire: bytes) -> None:
        """Write frames together with what else this turn of the loop has for the peer: alone, an ack costs a system call."""
        if self._transport is None or self._closing_since_us is not None:
            return
        if not self._soon:
            asyncio.get_running_loop().call_soon(self._send_soon)
        self._soon.append(wire)

    def _send_soon(self) -> None:
        if self._soon and self._transport is not None:
            wire = b"".join(self._soon)
            self._transport.write(wire)
            self._written += len(wire)
        self._soon.clear()

    @property
    def waiting_bytes(self) -> int:
        """What the peer has not taken yet, without what it asked for itself."""
        if self._transport is None:
            return 0
        buffered = self._transport.get_write_buffer_size()
        return min(buffered, self._written - self._excused_until)

    @property
    def buffered_bytes(self) -> int:
        """All that the peer has not taken yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    @property
    def is_closing(self) -> bool:
        """Whether the goodbye was said or the connection is gone."""
        return self._transport is None or self._closing_since_us is not None

    def close(self, code: CloseCode, reason: str) -> None:
        """Say goodbye with a documented code, once; the peer has ten seconds to answer."""
        if self._transport is None or self._closing_since_us is not None:
            return
        self._send_soon()
        self._closing_since_us = self._hub.clock.monotonic_us()
        if self._framing.state is State.OPEN:
            self._hub.metrics.closed.labels(str(int(code))).inc()
            self._framing.send_close(int(code), reason)
            self._send_owed()
        else:
            self._end()

    def _send_owed(self) -> None:
        """What the framing wants sent: the handshake, pongs, pings, closes."""
        if self._transport is None:
            return
        owed = b"".join(self._framing.data_to_send())
        if owed and not self._transport.is_closing():
            self._transport.write(owed)
            self._written += len(owed)

    def _end(self) -> None:
        """Close the connection once what was written is on its way."""
        if self._transport is not None:
            self._transport.close()
        if self._closing_since_us is None:
            self._closing_since_us = self._hub.clock.monotonic_us()

    def pause_reading(self) -> None:
        """Take nothing more from the peer for now."""
        self._is_held = True
        self._set_reading()

    def resume_reading(self) -> None:
        """Take from the peer again."""
        self._is_held = False
        self._set_reading()

    def _set_reading(self) -> None:
        """Read from the peer unless what came is held back or still to be taken in."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        wanted = not (self._is_held or self._unread)
        if wanted != transport.is_reading():
            if wanted:
                transport.resume_reading()
            else:
                transport.pause_reading()

    # --- once a second --------------------------------------------------------------------------------------------

    def receive_time(self, now_us: int) -> None:
        """Ping a silent peer; give up one that does not answer, does not read, or does not go."""
        if self._transport is None:
            return
        limits = self._hub.settings.limits
        if self._closing_since_us is not None:
            if now_us >= self._closing_since_us + _CLOSE_US:
                self._transport.abort()
            return
        if self.connection is not None:
            self.connection.receive_time(now_us)
        if self._stall.is_over(
            written=self._written,
            waiting=self.buffered_bytes,
            now_us=now_us,
            after_us=limits.write_stall_s * SECOND_US,
        ):
            self.close(CloseCode.TOO_SLOW, "the connection does not read")
        elif self._pinged_us is not None and now_us >= self._pinged_us + limits.pong_s_max * SECOND_US:
            self._transport.abort()
        elif self._ping_due_us is not None and now_us >= self._ping_due_us:
            self._ping_due_us = now_us + limits.ping_s * SECOND_US
            if self._pinged_us is None:
                self._pinged_us = now_us
                self._framing.send_ping(b"")
                self._send_owed()


def _chosen(_: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """Ours, if the client speaks it; a client that names none is welcome too."""
    return Subprotocol(SUBPROTOCOL) if SUBPROTOCOL in offered else None


class Kept(Protocol):
    """A connection that is looked after: a socket, or a reader of server-sent events."""

    @property
    def buffered_bytes(self) -> int:
        """All that the peer has not taken yet."""

    def receive_time(self, now_us: int) -> None:
        """A second has passed; monotonic time."""

    def close(self, code: CloseCode, reason: str) -> None:
        """Say goodbye."""


class SocketKeeper:
    """Looks after all live connections of the node once a second: one task instead of three timers a connection.

    Args:
        waiting_bytes_max: what may wait for slow readers in all.
    """

    def __init__(self, waiting_bytes_max: int) -> None:
        self.sockets: set[LiveSocket] = set()
        self.streams: set[Kept] = set()  # readers of server-sent events
        self._waiting_bytes_max = waiting_bytes_max

    async def run(self, monotonic_us: Callable[[], int]) -> None:
        """Go on until cancelled."""
        while True:
            await asyncio.sleep(1)
            try:
                await self.look(monotonic_us)
            except Exception:
                _log.exception("sockets_not_looked_after")

    async def look(self, monotonic_us: Callable[[], int]) -> None:
        """Look at every connection once; then shed whoever is furthest behind while too much waits in all."""
        buffered: list[tuple[int, Kept]] = []
        every: list[Kept] = [*self.sockets, *self.streams]
        for count, one in enumerate(every, start=1):
            one.receive_time(monotonic_us())
            waiting = one.buffered_bytes
            if waiting:
                buffered.append((waiting, one))
            if count % 1_000 == 0:
                await asyncio.sleep(0)
        total = sum(waiting for waiting, _ in buffered)
        if total <= self._waiting_bytes_max:
            return
        for waiting, one in sorted(buffered, key=lambda item: -item[0]):
            if total <= self._waiting_bytes_max:
                break
            one.close(CloseCode.TOO_SLOW, "too much waits for slow connections")
            total -= waiting
