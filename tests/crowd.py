"""Many live connections at once, over bare sockets: readers that keep up, readers that do not, and what each of them saw.

Owns: the client's side of a WebSocket, as little of it as a thousand in one process can afford, and the load. Does not know: our server's
parts; it reaches the relay as any client does. Units: seconds; latencies are of the machine's monotonic clock, which all processes share.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from tests.relay import Relay, token

_KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # of RFC 6455; nobody checks that it is random
_SHARED_BYTES = 100_000  # longer ones are somebody's own
_MASK = b"\0\0\0\0"  # masking with zeros leaves the text as it is


class _Position(msgspec.Struct):
    epoch: str
    offset: int


class _Event(msgspec.Struct):
    offset: int
    kind: str
    text: str | None = None


class _Frame(msgspec.Struct):
    type: str
    events: list[_Event] = []
    through: _Position | None = None
    id: str | None = None
    code: str | None = None


_decoder = msgspec.json.Decoder(_Frame)


@lru_cache(64)
def _frame_of(payload: bytes) -> _Frame:
    """What a frame says: a room's readers are sent the very same bytes, and one look at them will do for all."""
    return _decoder.decode(payload)


def masked(payload: bytes, opcode: int = 1) -> bytes:
    """A client's frame."""
    length = len(payload)
    head = bytes([0x80 | opcode])
    if length < 126:
        head += bytes([0x80 | length])
    elif length < 1 << 16:
        head += bytes([0x80 | 126]) + length.to_bytes(2, "big")
    else:
        head += bytes([0x80 | 127]) + length.to_bytes(8, "big")
    return head + _MASK + payload


def handshake(room: str) -> bytes:
    """The request that opens a live socket."""
    return (
        f"GET /v1/rooms/{room}/live HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {_KEY}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chatsync.v1\r\n\r\n"
    ).encode()


class Viewer(asyncio.Protocol):
    """One live connection. It counts what it sees: gaps and repetitions in offsets, and how long each message took.

    Args:
        room: whose live socket.
        token: None for a guest.
        after: the position it left off at.
        reads: False for one that takes nothing after its welcome.
    """

    def __init__(
        self, room: str, token: str | None = None, *, after: dict[str, Any] | None = None, reads: bool = True
    ) -> None:
        self._room, self._token, self._after, self._reads = room, token, after, reads
        self._received = bytearray()
        self._is_open = False
        self.transport: asyncio.Transport | None = None
        self.welcomed = asyncio.Event()
        self.lost = asyncio.Event()
        self.close_code: int | None = None
        self.refused: int | None = None
        self.through: dict[str, Any] | None = after
        self.last_offset: int | None = None if after is None else after["offset"]
        self.seen = self.gaps = self.repeated = self.resets = self.acks = 0
        self.errors: list[str] = []
        self.latencies_s: list[float] = []

    # --- the transport's side -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for a live socket at once."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(handshake(self._room))

    def connection_lost(self, exc: Exception | None) -> None:
        """The other side or the network ended it."""
        del exc
        self.lost.set()
        self.welcomed.set()  # whoever waits for it looks at `refused` and `close_code`

    def data_received(self, data: bytes) -> None:
        """Take in what came."""
        self._received += data
        if not self._is_open and not self._opened():
            return
        position = 0
        while (end := self._take_frame(position)) is not None:
            position = end
        del self._received[:position]

    def _opened(self) -> bool:
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return False
        status = int(self._received.split(b" ", 2)[1])
        if status != 101:
            self.refused = status
            self.abort()
            return False
        del self._received[: end + 4]
        self._is_open = True
        self.send({"type": "hello", "token": self._token, "after": self._after, "last": 0})
        return True

    def _take_frame(self, position: int) -> int | None:
        held = self._received
        if len(held) - position < 2:
            return None
        length, begin = held[position + 1] & 0x7F, position + 2
        if length >= 126:
            wide = 2 if length == 126 else 8
            length, begin = int.from_bytes(held[begin : begin + wide], "big"), begin + wide
        if len(held) < begin + length:
            return None
        self._receive(held[position] & 0x0F, bytes(held[begin : begin + length]))
        return begin + length

    def _receive(self, opcode: int, payload: bytes) -> None:
        if opcode == 9:
            self._write(masked(payload, 10))
        elif opcode == 8:
            self.close_code = int.from_bytes(payload[:2], "big")
            self._write(masked(payload[:2], 8))
        elif opcode == 1:
            self._receive_frame(_frame_of(payload) if len(payload) < _SHARED_BYTES else _decoder.decode(payload))

    def _receive_frame(self, frame: _Frame) -> None:
        now_s = time.monotonic()
        for event in frame.events:
            self._receive_event(event, None if frame.type == "welcome" else now_s)
        if frame.through is not None:
            self.through = {"epoch": frame.through.epoch, "offset": frame.through.offset}
        if frame.type == "welcome":
            if self.last_offset is None and self.through is not None:
                self.last_offset = self.through["offset"]
            if not self._reads and self.transport is not None:
                self.transport.pause_reading()
            self.welcomed.set()
        elif frame.type == "reset":
            self.resets += 1
        elif frame.type == "ack":
            self.acks += 1
        elif frame.type == "error":
            self.errors.append(frame.code or "")

    def _receive_event(self, event: _Event, now_s: float | None) -> None:
        self.seen += 1
        if self.last_offset is not None:
            if event.offset <= self.last_offset:
                self.repeated += 1
            elif event.offset > self.last_offset + 1:
                self.gaps += 1
        self.last_offset = event.offset
        if now_s is not None and event.text is not None and event.text.startswith("t="):
            self.latencies_s.append(now_s - float(event.text[2:].split(" ", 1)[0]))

    # --- the test's side ------------------------------------------------------------------------------------------

    def _write(self, data: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def send(self, frame: dict[str, Any]) -> None:
        """Send a frame."""
        self._write(masked(msgspec.json.encode(frame)))

    def say(self, padding: str = "") -> None:
        """Say what time it is."""
        text = f"t={time.monotonic():.6f} {padding}"
        self.send({"type": "say", "id": str(uuid.uuid4()), "kind": "message", "text": text})

    def send_bytes(self, data: bytes) -> None:
        """Send what may be no frame at all."""
        self._write(data)

    def abort(self) -> None:
        """Be gone, as when the network is: nothing is said to the other side but a reset."""
        if self.transport is not None:
            self.transport.abort()

    def take_byte(self) -> None:
        """Read a single byte, of a connection that reads nothing else."""
        assert self.transport is not None
        try:
            self.data_received(os.read(self.transport.get_extra_info("socket").fileno(), 1))
        except (BlockingIOError, OSError, ValueError):
            return

    async def read_out(self, within_s: float = 20) -> None:
        """Read what the kernel still holds, until the end."""
        assert self.transport is not None
        if not self.lost.is_set():
            self.transport.resume_reading()
        await asyncio.wait_for(self.lost.wait(), within_s)


async def connect(relay: Relay, viewer: Viewer, *, receive_bytes: int | None = None) -> Viewer:
    """Connect and wait for the welcome, or for the refusal.

    Args:
        relay: to which.
        viewer: who.
        receive_bytes: the kernel's receive buffer; the system's own size if it is not given.
    """
    sock = socket.socket()
    if receive_bytes is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, ("127.0.0.1", relay.port))
    await loop.create_connection(lambda: viewer, sock=sock)
    await viewer.welcomed.wait()
    return viewer


async def crowd(relay: Relay, room: str, count: int, *, name: str, **given: Any) -> list[Viewer]:
    """That many viewers with tokens of their own, connected, up to 200 at a time."""
    receive_bytes = given.pop("receive_bytes", None)
    places = asyncio.Semaphore(200)

    async def one(number: int) -> Viewer:
        async with places:
            return await connect(
                relay,
                Viewer(room, token(room, f"{name}-{number}", "viewer"), **given),
                receive_bytes=receive_bytes,
            )

    return list(await asyncio.gather(*(one(number) for number in range(count))))


@asynccontextmanager
async def talking(relay: Relay, room: str, *, per_s: float, padding: str = "") -> AsyncIterator[Viewer]:
    """Somebody talks at an even pace meanwhile; at the end everything said has been acknowledged."""
    writer = await connect(relay, Viewer(room, token(room, "talker")))
    said = 0

    async def talk() -> None:
        nonlocal said
        begun_s = time.monotonic()
        while True:
            writer.say(padding)
            said += 1
            await asyncio.sleep(max(0.0, begun_s + said / per_s - time.monotonic()))

    task = asyncio.create_task(talk())
    try:
        yield writer
    finally:
        task.cancel()
        await asyncio.wait({task})
        async with asyncio.timeout(15):
            while writer.acks < said:  # noqa: ASYNC110 - acks come by themselves
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.2)  # the last batch
        writer.abort()


async def caught_up(viewers: Sequence[Viewer], offset: int, within_s: float = 15) -> None:
    """Wait until every viewer has seen an offset."""
    async with asyncio.timeout(within_s):
        while any((one.last_offset or 0) < offset for one in viewers):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.05)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of the values does not exceed; of none, 0."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def rss_mib(pid: int) -> float:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def descriptors(pid: int) -> int:
    """Open file descriptors of a process."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def metric(relay: Relay, name: str) -> float:
    """The value of a metric, labels included in the name; 0 if it was never counted."""
    for line in relay.get("/metrics").text.splitlines():
        if line.startswith(name + " "):
            return float(line.rsplit(" ", 1)[1])
    return 0.0


__all__ = [
    "Viewer",
    "caught_up",
    "connect",
    "crowd",
    "descriptors",
    "handshake",
    "masked",
    "metric",
    "percentile",
    "rss_mib",
    "talking",
]
