"""Live sockets on bare transports: the handshake, frames, pings, slow readers, and what the class needs of uvicorn."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import websockets
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState
from websockets.frames import Frame, Opcode

from chatsync.service.app import create_app
from chatsync.service.room_settings import RoomSettings
from chatsync.service.running import RelayServer
from chatsync.service.settings import Settings
from chatsync.service.sockets import LiveSocket, SocketKeeper
from tests.relay import SECRET, Client, token
from tests.stage import FAST, Stage, stage

OPEN = {"class": {"public": True}}
SMALL = FAST | {"send_queue_bytes_max": 16 * 1024}


def _asked(path: str, **headers: str) -> bytes:
    key = base64.b64encode(os.urandom(16)).decode()
    given = {
        "Host": "relay",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": key,
        "Sec-WebSocket-Version": "13",
    } | headers
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items()), "", ""]
    return "\r\n".join(lines).encode()


class Plug:
    """The raw end of a connection: bytes in, bytes out."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        end.setblocking(False)

    async def ask(self, path: str = "/v1/rooms/class/live", **headers: str) -> str:
        """Ask for the upgrade; the status line and headers of the answer."""
        await self.send(_asked(path, **headers))
        answer = b""
        while b"\r\n\r\n" not in answer:
            more = await self.receive()
            if not more:
                break
            answer += more
        return answer.decode()

    async def send(self, data: bytes) -> None:
        """Bytes to the relay."""
        await asyncio.get_running_loop().sock_sendall(self.end, data)

    async def receive(self) -> bytes:
        """Bytes of the relay; empty when it has closed."""
        async with asyncio.timeout(5):
            return await asyncio.get_running_loop().sock_recv(self.end, 65_536)

    async def until_closed(self) -> bytes:
        """All that still comes."""
        found = b""
        while more := await self.receive():
            found += more
        return found


@asynccontextmanager
async def _plugged(it: Stage) -> AsyncIterator[Plug]:
    end = await it.plug()
    try:
        yield Plug(end)
    finally:
        end.close()


def _text(payload: Any) -> bytes:
    return bytes(Frame(Opcode.TEXT, json.dumps(payload).encode()).serialize(mask=True))


def _close_code(received: bytes) -> int:
    """Of the close frame that ends what was received."""
    index = received.rindex(b"\x88")
    return int.from_bytes(received[index + 2 : index + 4], "big")


async def _look(it: Stage, seconds: float = 0) -> None:
    it.advance(seconds)
    await it.hub.keeper.look(it.clock.monotonic_us)
    await asyncio.sleep(0)


async def test_who_speaks_our_protocol_is_told_so_and_who_names_none_is_welcome(tmp_path: Path) -> None:
    """101 with the subprotocol where it is offered, and without it where none is."""
    async with stage(tmp_path, OPEN) as it, _plugged(it) as first, _plugged(it) as second:
        answer = await first.ask(**{"Sec-WebSocket-Protocol": "other, chatsync.v1"})
        assert answer.startswith("HTTP/1.1 101 ")
        assert "Sec-WebSocket-Protocol: chatsync.v1" in answer
        answer = await second.ask()
        assert answer.startswith("HTTP/1.1 101 ")
        assert "Sec-WebSocket-Protocol" not in answer


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/v1/rooms/class/live", {"Origin": "https://evil.example"}, 403),
        ("/v1/rooms/class/live", {"Origin": "null"}, 403),
        ("/v1/rooms/class/live", {"Sec-WebSocket-Version": "12"}, 400),
        ("/v1/rooms/class/live", {"Sec-WebSocket-Key": "short"}, 400),
        ("/v1/rooms/class/lives", {}, 404),
        ("/v1/rooms/a/b/live", {}, 404),
        ("/elsewhere", {}, 404),
    ],
)
async def test_a_handshake_that_is_not_right_is_refused(
    tmp_path: Path, path: str, headers: dict[str, str], status: int
) -> None:
    """A foreign page, another path or a broken handshake gets a status and is closed; nothing of it stays."""
    async with stage(tmp_path, OPEN) as it, _plugged(it) as plug:
        answer = await plug.ask(path, **headers)
        assert str(status) == answer.split(" ")[1]
        assert b"" == await plug.until_closed()
        assert [0, 0, 0] == [
            len(held) for held in (it.hub.connections, it.hub.keeper.sockets, it.server_state.connections)
        ]


async def test_a_full_relay_says_when_to_come_back(tmp_path: Path) -> None:
    """Beyond the cap: 503 with Retry-After, that no cache may keep. When somebody goes, there is room."""
    async with stage(tmp_path, OPEN, limits=FAST | {"sockets_max": 1}) as it:
        async with _plugged(it) as first, _plugged(it) as second:
            await first.ask()
            answer = await second.ask()
            assert answer.startswith("HTTP/1.1 503 ")
            assert {"Retry-After: 5", "Cache-Control: private, no-store"} <= set(answer.split("\r\n"))
        while it.hub.connections:  # noqa: ASYNC110 - the loop takes a turn to hear of it
            await asyncio.sleep(0)
        async with _plugged(it) as third:
            assert (await third.ask()).startswith("HTTP/1.1 101 ")


async def test_a_message_in_pieces_and_several_in_one_go_are_the_same(tmp_path: Path) -> None:
    """Frames may be cut anywhere, a message may come in several frames with a ping between: it is one message."""
    async with stage(tmp_path, OPEN) as it, _plugged(it) as plug:
        await plug.ask()
        body = json.dumps({"type": "ping"}).encode()
        pieces = (
            Frame(Opcode.TEXT, body[:3], fin=False),
            Frame(Opcode.PING, b"are you there"),
            Frame(Opcode.CONT, body[3:7], fin=False),
            Frame(Opcode.CONT, body[7:], fin=True),
        )
        data = b"".join(bytes(piece.serialize(mask=True)) for piece in pieces)
        for start in range(0, len(data), 5):
            await plug.send(data[start : start + 5])
            await asyncio.sleep(0)
        received = b""
        while b'"pong"' not in received:
            received += await plug.receive()
        assert b"\x8a\x0dare you there" in received


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x81\x02{}", 1002),  # a client's frame must be masked
        (b"\xff\x80\x00\x00\x00\x00", 1002),  # reserved bits, reserved opcode
        (bytes(Frame(Opcode.TEXT, b"x" * 16_385).serialize(mask=True)), 1009),
        (bytes(Frame(Opcode.CONT, b"x").serialize(mask=True)), 1002),
        (bytes(Frame(Opcode.TEXT, b"no json").serialize(mask=True)), 4500),
        (bytes(Frame(Opcode.TEXT, b'{"type":"ping","id":"\xff"}').serialize(mask=True)), 4500),
    ],
    ids=["not masked", "reserved", "too long", "nothing to continue", "no JSON", "no UTF-8"],
)
async def test_what_is_no_frame_of_ours_closes_the_socket(tmp_path: Path, data: bytes, code: int) -> None:
    """Broken framing gets RFC 6455's codes, a broken message ours; the relay forgets the connection."""
    async with stage(tmp_path, OPEN) as it, _plugged(it) as plug:
        await plug.ask()
        await plug.send(data)
        received = b""
        while b"\x88" not in received and (more := await plug.receive()):
            received += more
        assert code == _close_code(received)
        if code >= 4000:  # broken framing is closed at once
            await plug.send(bytes(Frame(Opcode.CLOSE, code.to_bytes(2, "big")).serialize(mask=True)))
        await plug.until_closed()
        assert set() == it.hub.keeper.sockets


async def test_who_never_says_hello_is_given_up_after_five_seconds(tmp_path: Path) -> None:
    """4505, and not before."""
    async with stage(tmp_path, OPEN) as it, _plugged(it) as plug:
        await plug.ask()
        await _look(it, 4.9)
        assert [False] == [one.is_closing for one in it.hub.keeper.sockets]
        await _look(it, 0.2)
        assert 4505 == _close_code(await plug.receive())


async def test_a_silent_peer_is_pinged_and_cut_when_it_does_not_answer(tmp_path: Path) -> None:
    """A ping after 25 s; who answers stays, who does not is gone 10 s later."""
    async with stage(tmp_path, OPEN) as it, it.connected() as client, _plugged(it) as silent:
        await client.hello(None)
        await silent.ask()
        await silent.send(_text({"type": "hello", "token": None, "after": None, "last": 0}))
        await silent.receive()
        await _look(it, 25)
        assert b"\x89\x00" == await silent.receive()
        for _ in range(20):
            await asyncio.sleep(0)  # the client's pong is on its way
        await client.send({"type": "ping"})
        await client.until(lambda: any(frame["type"] == "pong" for frame in client.frames))
        await _look(it, 10)
        assert b"" == await silent.until_closed()
        assert 1 == len(it.hub.keeper.sockets)


async def test_who_takes_nothing_for_ten_seconds_is_closed_and_who_takes_little_is_not(tmp_path: Path) -> None:
    """4008 after the stall; any progress starts the time again."""
    async with stage(tmp_path, OPEN) as it, _plugged(it) as stuck, _plugged(it) as slow:
        for plug in (stuck, slow):
            await plug.ask()
            await plug.send(_text({"type": "hello", "token": None, "after": None, "last": 0}))
            await plug.receive()
        sockets = tuple(it.hub.keeper.sockets)
        for one in sockets:
            one.send(bytes(Frame(Opcode.TEXT, b"x" * 3_000_000).serialize(mask=False)))
        assert all(0 < one.buffered_bytes for one in sockets)
        for _ in range(12):
            await _look(it, 1)
            await slow.receive()
            await asyncio.sleep(0)
        assert [False, True] == sorted(one.is_closing for one in sockets)
        assert 4008 == _close_code(await _all_of(stuck))


async def _all_of(plug: Plug) -> bytes:
    """What waits, until the close frame is in it."""
    found = b""
    while b"does not read" not in found[-400:]:
        found += await plug.receive()
    return found


async def test_a_peer_that_never_answers_the_goodbye_is_cut(tmp_path: Path) -> None:
    """Ten seconds after the close frame the connection is gone, whatever the peer does."""
    async with stage(tmp_path, OPEN) as it, _plugged(it) as plug:
        await plug.ask()
        await _look(it, 6)
        assert 4505 == _close_code(await plug.receive())
        assert 1 == len(it.hub.keeper.sockets)
        await _look(it, 10)
        await asyncio.sleep(0)
        assert b"" == await plug.until_closed()
        assert set() == it.hub.keeper.sockets


async def test_when_too_much_waits_in_all_the_furthest_behind_goes_first(tmp_path: Path) -> None:
    """The bound is the node's: one that waits for much is closed, one that waits for little stays."""
    async with stage(tmp_path, OPEN) as it, _plugged(it) as more, _plugged(it) as less:
        keeper = SocketKeeper(waiting_bytes_max=100_000)
        for plug in (more, less):
            await plug.ask()
            await plug.send(_text({"type": "hello", "token": None, "after": None, "last": 0}))
            await plug.receive()
        big, small = sorted(it.hub.keeper.sockets, key=lambda one: _name_of(one, more))[::-1]
        for one, size in ((big, 600_000), (small, 300_000)):
            one.send(bytes(Frame(Opcode.TEXT, b"x" * size).serialize(mask=False)), excused=True)
        keeper.sockets = {big, small}
        waiting = small.buffered_bytes
        assert 0 < waiting < big.buffered_bytes
        keeper._waiting_bytes_max = waiting + 1
        await keeper.look(it.clock.monotonic_us)
        assert (True, False) == (big.is_closing, small.is_closing)


def _name_of(one: LiveSocket, plug: Plug) -> int:
    del plug
    return id(one)


def test_the_protocol_class_is_called_as_we_expect() -> None:
    """Uvicorn's HTTP protocol hands an upgrade over with these names; a release that changes them must be looked at."""
    import inspect

    source = inspect.getsource(HttpToolsProtocol.handle_websocket_upgrade)
    assert all(f"{name}=" in source for name in ("config", "server_state", "app_state"))
    assert source.index("connection_made") < source.index("data_received") < source.index("set_protocol")
    assert {"connections", "tasks", "total_requests", "default_headers"} <= set(vars(ServerState()))
    assert LiveSocket is Config(None, ws=LiveSocket).ws  # type: ignore[arg-type]


async def test_under_uvicorn_a_socket_is_served_and_sent_away_at_the_end(tmp_path: Path) -> None:
    """The real server: hello, a message, and 4001 when the relay stops."""
    settings = Settings(
        data_folder=tmp_path / "data",
        token_secret=SECRET,  # type: ignore[arg-type]
        port=0,
        rooms={"class": RoomSettings(public=True)},
    )
    server = RelayServer(create_app(settings), settings)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn tells nobody
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with websockets.connect(f"ws://127.0.0.1:{port}/v1/rooms/class/live") as raw:
        client = Client(raw)
        await client.hello(token("class", "Ann"))
        assert "ack" == (await client.say("hello"))["type"]
        server.should_exit = True
        assert 4001 == await client.closed_with()
    await serving
