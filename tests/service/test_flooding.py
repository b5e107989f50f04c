"""Who sends very much at once is read piece by piece, and more slowly than it sends; nobody else waits for it."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from tests.crowd import handshake, masked
from tests.stage import FAST, Stage, stage

OPEN = {"class": {"public": True}}


async def _opened(it: Stage) -> socket.socket:
    end = await it.plug()
    end.setblocking(False)
    await asyncio.get_running_loop().sock_sendall(end, handshake("class"))
    assert b" 101 " in await asyncio.get_running_loop().sock_recv(end, 65_536)
    return end


async def _count_of(end: socket.socket, what: bytes, count: int) -> int:
    """How often something came, once it came that often."""
    found = b""
    async with asyncio.timeout(20):
        while found.count(what) < count:
            found += await asyncio.get_running_loop().sock_recv(end, 65_536)
    return found.count(what)


async def test_every_frame_of_a_flood_is_taken_and_others_are_served_meanwhile(tmp_path: Path) -> None:
    """Two thousand frames in one go: each is answered, and somebody else's one frame long before the last of them."""
    async with stage(tmp_path, OPEN, limits=FAST) as it:
        flooder, other = await _opened(it), await _opened(it)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(flooder, masked(b'{"type":"ping"}') * 2_000)
        await loop.sock_sendall(other, masked(b'{"type":"ping"}'))
        assert 1 == await _count_of(other, b'"pong"', 1)
        assert any(one._unread for one in it.hub.keeper.sockets)
        assert 2_000 == await _count_of(flooder, b'"pong"', 2_000)
        assert not any(one._unread for one in it.hub.keeper.sockets)


async def test_who_sends_faster_than_anyone_may_is_not_read_for_a_while(tmp_path: Path) -> None:
    """Past ten times the rate of commands the relay leaves the rest where it is, and takes it up later."""
    limits = {"commands_per_s": 10, "commands_burst": 1}
    async with stage(tmp_path, OPEN, limits=limits) as it:
        flooder = await _opened(it)
        await asyncio.get_running_loop().sock_sendall(flooder, masked(b"", 9) * 1_000)
        await _count_of(flooder, b"\x8a\x00", 1)
        (one,) = it.hub.keeper.sockets
        assert one._unread
        assert one._transport is not None
        assert not one._transport.is_reading()


async def test_empty_pieces_of_a_message_that_never_ends_take_no_memory(tmp_path: Path) -> None:
    """A message may come in any number of empty pieces; none of them is kept."""
    async with stage(tmp_path, OPEN, limits=FAST) as it:
        sender = await _opened(it)
        begun = bytes([0x01, 0x80]) + bytes(4)
        await asyncio.get_running_loop().sock_sendall(sender, begun + (bytes([0x00, 0x80]) + bytes(4)) * 1_000)
        await asyncio.get_running_loop().sock_sendall(sender, masked(b"", 9))
        assert 1 == await _count_of(sender, b"\x8a\x00", 1)
        (one,) = it.hub.keeper.sockets
        assert len(one._parts) <= 1
