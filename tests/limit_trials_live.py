"""Trials of the limits on what people write and on live sockets. Imported for what it registers."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import cast

import msgspec
from pydantic import ValidationError

from chatsync.chat.event import Author
from chatsync.chat.mode import Mode
from chatsync.chat.session import Session
from chatsync.chat.text import clean_name, clean_text, fragments
from chatsync.chat.wire import ActFrame, SayFrame, decoded_frame
from chatsync.errors import MessageRejectedError, WireError
from chatsync.instants import SECOND_US
from chatsync.replay.slices import cut
from chatsync.service.acts import act_of, say_of
from chatsync.service.fanout import Receiver
from chatsync.service.framing import Batch
from chatsync.service.hub import _memory_bytes
from chatsync.service.room_settings import RoomSettings
from chatsync.service.sockets import SocketKeeper
from tests.builders import author
from tests.crowd import masked
from tests.limit_trials import (
    FIXED,
    OPEN,
    ROOM,
    answer,
    code_of_hello,
    feed,
    look_after,
    plugged,
    reads_of_hello,
    received,
    refuses,
    send,
    stuck,
    trial,
)
from tests.stage import FAST, START_US, stage

# --- what people write --------------------------------------------------------------------------------------------------


@trial("text")
def _text(_: Path) -> None:
    assert FIXED["text"] == len(clean_text("x" * FIXED["text"]))
    refuses(lambda: clean_text("x" * (FIXED["text"] + 1)), MessageRejectedError)


@trial("name")
def _name(_: Path) -> None:
    assert FIXED["name"] == len(clean_name("x" * FIXED["name"]))
    refuses(lambda: clean_name("x" * (FIXED["name"] + 1)), MessageRejectedError)


@trial("emotes")
def _emotes(_: Path) -> None:
    some = {f"e{number}": "/e.png" for number in range(10, FIXED["emotes"] + 11)}
    refuses(lambda: RoomSettings(emotes=some), ValidationError)
    some.popitem()
    assert FIXED["emotes"] == len(RoomSettings(emotes=some).emotes)


@trial("emote_url")
def _emote_url(_: Path) -> None:
    url = "https://cdn.example/".ljust(FIXED["emote_url"], "x")
    RoomSettings(emotes={"ok": url})
    refuses(lambda: RoomSettings(emotes={"ok": url + "x"}), ValidationError)


@trial("emotes_shown")
def _emotes_shown(_: Path) -> None:
    for more in (0, 1):
        parts = fragments(":ok:" * (FIXED["emotes_shown"] + more), {"ok": "/ok.png"})
        assert FIXED["emotes_shown"] == sum(part["type"] == "emote" for part in parts)
        assert ":ok:" * more == "".join(part["text"] for part in parts if part["type"] == "text")


@trial("marks")
def _marks(_: Path) -> None:
    for more in (0, 1):
        assert 1 + FIXED["marks"] == len(clean_text("q" + "\u0323" * (FIXED["marks"] + more)))


@trial("id")
def _id(_: Path) -> None:
    say = {"type": "say", "text": "x"}
    decoded_frame(msgspec.json.encode(say | {"id": "x" * FIXED["id"]}))
    refuses(lambda: decoded_frame(msgspec.json.encode(say | {"id": "x" * (FIXED["id"] + 1)})), WireError)


@trial("reason")
def _reason(_: Path) -> None:
    for more in (0, 1):
        frame = ActFrame("a", "hide", target=1, reason="x" * (FIXED["reason"] + more))
        assert FIXED["reason"] == len(act_of(frame, author(role="moderator")).details["reason"])


@trial("choice")
def _choice(_: Path) -> None:
    for more, is_taken in ((0, True), (1, False)):
        choices = ("x" * (FIXED["choice"] + more), "y")
        frame = ActFrame("a", "poll_open", poll="p", question="?", choices=choices)
        if is_taken:
            assert list(choices) == act_of(frame, author(role="host")).details["choices"]
        else:
            refuses(lambda: act_of(frame, author(role="host")), MessageRejectedError)  # noqa: B023 - called at once


@trial("private_people")
def _private_people(_: Path) -> None:
    people = tuple(f"key-{number}" for number in range(FIXED["private_people"] + 1))
    host, mode = author(role="host"), Mode(private=True)
    assert [*people[:-1]] == say_of(SayFrame("a", "psst", to=people[:-1]), host, mode=mode).details["to"]
    refuses(lambda: say_of(SayFrame("a", "psst", to=people), host, mode=mode), MessageRejectedError)


@trial("reactions")
def _reactions(_: Path) -> None:
    some = tuple(chr(0x1F400 + number) for number in range(FIXED["reactions"] + 1))
    RoomSettings(reactions=some[:-1])
    refuses(lambda: RoomSettings(reactions=some), ValidationError)


class _Present:
    """Somebody with a live connection, for lists that only look at who it is: a thousand sockets are more files than a process may have."""

    def __init__(self, author: Author) -> None:
        self.author = author


@trial("participants_shown")
async def _participants_shown(folder: Path) -> None:
    async with stage(folder, {ROOM: {"public": True, "participants": "everyone"}}) as it:
        for more in (0, 1):
            count = FIXED["participants_shown"] + more
            people = [Author(key=f"{number:016x}", name=f"P{number}") for number in range(count)]
            it.room().receivers.clear()
            it.room().receivers.update(cast("Receiver", _Present(one)) for one in people)
            told = (await it.get(f"/v1/rooms/{ROOM}/participants", it.token(ROOM, "host", "host"))).json()
            assert (FIXED["participants_shown"], count) == (len(told["participants"]), told["viewers"])
        it.room().receivers.clear()


@trial("json_depth")
def _json_depth(_: Path) -> None:
    depth = FIXED["json_depth"]
    decoded_frame(b'{"type":"ping","x":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}")
    refuses(lambda: decoded_frame(b'{"type":"ping","x":' + b"[" * depth + b"]" * depth + b"}"), WireError)


# --- live sockets -------------------------------------------------------------------------------------------------------


@trial("frame_bytes_max")
async def _frame(folder: Path) -> None:
    async with stage(folder, OPEN, limits=FAST | {"frame_bytes_max": 1_024}) as it:
        for more, is_taken in ((0, True), (1, False)):
            plug = await plugged(it)
            frame = b'{"type":"ping","x":"' + b"x" * (1_024 - 22 + more) + b'"}'
            assert 1_024 + more == len(frame)
            await send(plug, masked(frame))
            assert is_taken == (b'"pong"' in await received(plug))
            plug.close()


@trial("hello")
def _hello(_: Path) -> None:
    session = Session(now_us=0)
    assert session.receive_time(FIXED["hello"] * SECOND_US - 1) is None
    assert session.receive_time(FIXED["hello"] * SECOND_US) is not None


@trial("hello_last")
async def _hello_last(folder: Path) -> None:
    async with stage(folder, OPEN) as it:
        await feed(it, FIXED["hello_last"] + 5)
        for more in (0, 1):
            async with it.connected() as client:
                assert FIXED["hello_last"] == len((await client.hello(None, last=FIXED["hello_last"] + more))["events"])


@trial("commands_per_s", "commands_burst")
async def _commands(folder: Path) -> None:
    async with stage(folder, OPEN, limits={"commands_per_s": 2, "commands_burst": 3}) as it, it.connected() as client:
        await client.hello(it.token(ROOM, "student"))
        assert ["ack", "ack", "ack", "error"] == [(await client.say("hi"))["type"] for _ in range(4)]
        it.advance(0.5)
        assert ["ack", "error"] == [(await client.say("hi"))["type"] for _ in range(2)]


@trial("sockets_max")
async def _sockets(folder: Path) -> None:
    async with stage(folder, OPEN, limits=FAST | {"sockets_max": 2}) as it:
        plugs = [await it.plug() for _ in range(3)]
        assert [b"101", b"101", b"503"] == [(await answer(plug)).split(b" ")[1] for plug in plugs]


@trial("connections_per_person_max")
async def _connections(folder: Path) -> None:
    async with stage(folder, OPEN, limits=FAST | {"connections_per_person_max": 2}) as it:
        codes = [await code_of_hello(it, it.token(ROOM, "student")) for _ in range(3)]
        assert [None, None, 4008] == codes


@trial("guests_per_address_max")
async def _guests(folder: Path) -> None:
    async with stage(folder, OPEN, limits=FAST | {"guests_per_address_max": 2}) as it:
        assert [None, None, 4008] == [await code_of_hello(it, None) for _ in range(3)]
        assert await code_of_hello(it, it.token(ROOM, "student")) is None


@trial("knocks_per_s", "knocks_burst")
async def _knocks(folder: Path) -> None:
    async with stage(folder, OPEN, limits=FAST | {"knocks_per_s": 2, "knocks_burst": 3}) as it:
        codes = [await code_of_hello(it, given) for given in (None, "bad", "bad", "bad", None)]
        assert [None, 4502, 4502, 4008, 4008] == codes
        it.advance(0.5)
        assert [None, 4008] == [await code_of_hello(it, None) for _ in range(2)]
        assert await code_of_hello(it, it.token(ROOM, "student")) is None


@trial("send_queue_bytes_max")
async def _send_queue(folder: Path) -> None:
    most = 16 * 1_024
    async with stage(folder, OPEN, limits=FAST | {"send_queue_bytes_max": most}) as it:
        one, plug = await stuck(it, waiting=most)
        assert one.connection is not None
        one.connection.receive_batch(Batch((b"{}",)))
        assert not one.is_closing
        one.connection.receive_batch(Batch((b"{}",)))
        assert one.is_closing
        plug.close()


@trial("socket_buffer_bytes")
async def _socket_buffer(folder: Path) -> None:
    async with stage(folder, OPEN, limits=FAST | {"socket_buffer_bytes": 8_192}) as it:
        plug = await plugged(it)
        (one,) = it.hub.keeper.sockets
        assert one._transport is not None
        held = one._transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        assert 2 * 8_192 == held  # Linux doubles it for its own bookkeeping and holds no more than that
        plug.close()


@trial("queues_percent_max")
async def _queues(folder: Path) -> None:
    async with stage(folder, OPEN, limits=FAST | {"queues_percent_max": 30}) as it:
        assert 30 * _memory_bytes() // 100 == it.hub.keeper._waiting_bytes_max
        one, plug = await stuck(it, waiting=50_000)
        for most, is_closed in ((one.buffered_bytes, False), (one.buffered_bytes - 1, True)):
            keeper = SocketKeeper(waiting_bytes_max=most)
            keeper.sockets = {one}
            await keeper.look(it.clock.monotonic_us)
            assert is_closed == one.is_closing
        plug.close()


@trial("write_stall_s")
async def _write_stall(folder: Path) -> None:
    async with stage(folder, OPEN, limits=FAST | {"write_stall_s": 3, "ping_s": 300}) as it:
        one, plug = await stuck(it, waiting=50_000)
        await it.hub.keeper.look(it.clock.monotonic_us)
        for seconds, is_closed in ((3 - 0.001, False), (0.001, True)):
            it.advance(seconds)
            await it.hub.keeper.look(it.clock.monotonic_us)
            assert is_closed == one.is_closing
        plug.close()


@trial("ping_s", "pong_s_max")
async def _ping(folder: Path) -> None:
    async with stage(folder, OPEN, limits=FAST | {"ping_s": 20, "pong_s_max": 7}) as it:
        plug = await plugged(it)
        await send(plug, masked(b'{"type":"hello","last":0}'))
        await received(plug, until=b"welcome")
        await look_after(it, 20 - 0.001)
        assert b"" == await received(plug, within_s=0.05)
        await look_after(it, 0.001)
        assert b"\x89\x00" == await received(plug)
        await look_after(it, 7 - 0.001)
        assert 1 == len(it.hub.keeper.sockets)
        await look_after(it, 0.001)
        await asyncio.sleep(0.01)
        assert 0 == len(it.hub.keeper.sockets)
        plug.close()


# --- coming back --------------------------------------------------------------------------------------------------------


@trial("memory")
async def _memory(folder: Path) -> None:
    async with stage(folder, OPEN) as it:
        await feed(it, FIXED["memory"])
        start = (await it.chat())["as_of"]
        await feed(it, FIXED["memory"])
        assert 0 == await reads_of_hello(it, start)
        await feed(it, 1)
        assert 0 < await reads_of_hello(it, start)


@trial("recovery")
async def _recovery(folder: Path) -> None:
    async with stage(folder, OPEN) as it:
        start = (await it.chat())["as_of"]
        await feed(it, FIXED["recovery"])
        for frame in (b"welcome", b"reset"):
            plug = await plugged(it)
            await send(plug, masked(msgspec.json.encode({"type": "hello", "after": start})))
            assert b'{"type":"%b"' % frame in await received(plug, until=b'{"type":')
            plug.close()
            await feed(it, 1)


@trial("back")
async def _back(folder: Path) -> None:
    async with stage(folder, OPEN) as it:
        await feed(it, FIXED["back"])
        key = it.hub.authority.author_key(ROOM, "ingest:s5")
        for frame in ("back", "reset"):
            await it.act("hide", author=key)
            async with it.connected() as client:
                await client.hello(None, last=0)
                await it.act("restore", author=key)
                await client.until(lambda client=client, frame=frame: frame in {one["type"] for one in client.frames})
                assert 1 == len({"back", "reset"} & {one["type"] for one in client.frames})
            await feed(it, 1)


@trial("dedupe")
async def _dedupe(folder: Path) -> None:
    async with stage(folder, OPEN) as it:
        first = await it.say("once", id="the same")
        it.advance(FIXED["dedupe"] * 3_600 - 1)
        assert first["offset"] == (await it.say("once", id="the same"))["offset"]
        it.advance(2)
        assert first["offset"] < (await it.say("once", id="the same"))["offset"]


@trial("questions")
async def _questions(folder: Path) -> None:
    async with stage(folder, OPEN) as it:
        for _ in range(FIXED["questions"]):
            await it.say("why?", kind="question")
        assert FIXED["questions"] == len(it.room().edge.to_wire()["questions"])
        await it.say("why?", kind="question")
        assert FIXED["questions"] == len(it.room().edge.to_wire()["questions"])


@trial("hands")
async def _hands(folder: Path) -> None:
    async with stage(folder, OPEN) as it:
        for number in range(FIXED["hands"] + 1):
            await it.say("", kind="hand_raised", author=author(f"Student {number}"))
            assert min(number + 1, FIXED["hands"]) == len(it.room().edge.to_wire()["hands"])


@trial("slice_events")
def _slice_events(_: Path) -> None:
    """A second that ends with one event less than the limit does not end the slice; the next one does."""
    limit = FIXED["slice_events"]
    placed = [START_US] * (limit - 1) + [START_US + 2 * SECOND_US] * 2
    first = cut(placed, watermark_us=START_US + 3_600 * SECOND_US)[0]
    assert START_US + 3 * SECOND_US == first.end_us
    placed = [START_US] * limit + [START_US + 2 * SECOND_US] * 2
    first = cut(placed, watermark_us=START_US + 3_600 * SECOND_US)[0]
    assert START_US + SECOND_US == first.end_us
