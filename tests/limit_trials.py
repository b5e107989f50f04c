"""What trials of limits have in common: the register, bare connections to a relay, and messages in any number.

Owns: ``TRIALS``, by the name of the limit. Does not know: which limits there are; that is the code's own table.
"""

from __future__ import annotations

import asyncio
import socket
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from chatsync.errors import ChatsyncError
from chatsync.instants import MS_US
from chatsync.service.auth import TokenAuthority
from chatsync.service.limit_table import FIXED_LIMITS
from chatsync.service.sockets import LiveSocket
from tests.crowd import handshake, masked
from tests.relay import SECRET
from tests.stage import START_US, Stage

ROOM = "class"
OPEN = {ROOM: {"public": True}}
FIXED = {one.name: one.value for one in FIXED_LIMITS}
Trial = Callable[[Path], Awaitable[None] | None]
TRIALS: dict[str, Trial] = {}


def trial(*names: str) -> Callable[[Trial], Trial]:
    """A trial of these limits."""

    def noted(function: Trial) -> Trial:
        TRIALS.update(dict.fromkeys(names, function))
        return function

    return noted


def refuses(work: Callable[[], object], error: type[Exception] = ChatsyncError) -> None:
    """It is refused with such an error."""
    with pytest.raises(error):
        work()


def fed_line(number: int) -> bytes:
    """A message of a platform, as a line."""
    author_of_it = {"id": "s5", "name": "Student 5"}
    return msgspec.json.encode({"id": str(uuid.uuid4()), "author": author_of_it, "text": f"message {number}"})


async def feed(it: Stage, count: int) -> None:
    """Feed that many messages of one author."""
    for first in range(0, count, 10_000):
        lines = b"\n".join(fed_line(number) for number in range(first, min(count, first + 10_000)))
        answer = await post_lines(it, lines)
        assert all("offset" in result for result in answer.json()["results"])


async def post_lines(it: Stage, body: bytes) -> httpx2.Response:
    """Post NDJSON as a platform does."""
    headers = {
        "Authorization": f"Bearer {it.token(ROOM, 'feed', None, ('ingest',))}",
        "Content-Type": "application/x-ndjson",
    }
    return await it.http.post(f"/v1/rooms/{ROOM}/messages", content=body, headers=headers, timeout=60)


def staff(it: Stage, role: Any = "moderator") -> dict[str, str]:
    """Headers of somebody with a role."""
    return {"Authorization": f"Bearer {it.token(ROOM, 'staff', role)}", "Content-Type": "application/json"}


def bearer_line() -> bytes:
    """A header line with a token by the clock of this machine."""
    token = TokenAuthority(SECRET.encode()).mint(
        "s", wall_us=time.time_ns() // 1_000, rooms=(ROOM,), role="participant"
    )
    return f"Authorization: Bearer {token}\r\n".encode()


async def put_spans(it: Stage, name: str, count: int) -> httpx2.Response:
    """Make a recording of that many spans."""
    first_ms = START_US // MS_US
    spans = [
        {"position_ms": one, "duration_ms": 1, "broadcast": 1, "program_ms": first_ms + one} for one in range(count)
    ]
    return await it.http.put(f"/v1/rooms/{ROOM}/recordings/{name}", json={"spans": spans}, headers=staff(it, "host"))


def playlist_of(segments: int) -> str:
    """A playlist of that many segments of 2 s."""
    first = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-PROGRAM-DATE-TIME:2025-11-24T16:00:00.000Z\n"
    return first + "".join(f"#EXTINF:2,\n{number}.ts\n" for number in range(segments))


async def send(plug: socket.socket, data: bytes) -> None:
    """Bytes to the relay."""
    await asyncio.get_running_loop().sock_sendall(plug, data)


async def received(plug: socket.socket, *, until: bytes = b"", within_s: float = 5) -> bytes:
    """What comes next; nothing if nothing comes in that time."""
    found = b""
    try:
        async with asyncio.timeout(within_s):
            while not found or until not in found:
                more = await asyncio.get_running_loop().sock_recv(plug, 65_536)
                found += more
                if not more:
                    break
    except TimeoutError:
        pass
    return found


async def answer(plug: socket.socket) -> bytes:
    """Ask for a live socket; the answer."""
    plug.setblocking(False)
    await send(plug, handshake(ROOM))
    return await received(plug, until=b"\r\n\r\n")


async def plugged(it: Stage) -> socket.socket:
    """A live socket, before its hello."""
    plug = await it.plug()
    assert b"101" == (await answer(plug)).split(b" ")[1]
    return plug


async def code_of_hello(it: Stage, token: str | None) -> int | None:
    """How a hello is answered: None for a welcome, else the code of the close. The connection stays as it is."""
    plug = await plugged(it)
    await send(plug, masked(msgspec.json.encode({"type": "hello", "token": token, "last": 0})))
    answer = await received(plug)
    _KEPT.append(plug)
    return None if b'"welcome"' in answer else int.from_bytes(answer[2:4], "big")


_KEPT: list[socket.socket] = []


async def stuck(it: Stage, *, waiting: int) -> tuple[LiveSocket, socket.socket]:
    """A connection that reads nothing, with so many bytes waiting for it in the relay."""
    plug = await plugged(it)
    await send(plug, masked(b'{"type":"hello","last":0}'))
    await received(plug, until=b"welcome")
    (one,) = it.hub.keeper.sockets
    while not one.buffered_bytes:
        one.send(b"x" * 1_000)
    one.send(b"x" * (waiting - one.buffered_bytes))
    assert waiting == one.waiting_bytes
    return one, plug


async def look_after(it: Stage, seconds: float) -> None:
    """Time passes, then the relay looks after its sockets."""
    it.advance(seconds)
    await it.hub.keeper.look(it.clock.monotonic_us)


async def reads_of_hello(it: Stage, after: Any) -> float:
    """How often the disk was looked at while somebody came back."""
    before = it.hub.metrics.journal_reads._value.get()
    async with it.connected() as client:
        await client.hello(None, after=after)
    return float(it.hub.metrics.journal_reads._value.get() - before)


async def http(port: int, *pieces: bytes) -> tuple[bytes, float]:
    """What a server says to these bytes, and after how long it was all there."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    begun_s = time.monotonic()
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.02)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer, time.monotonic() - begun_s
