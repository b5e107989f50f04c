"""One live socket from handshake to close."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chatsync.chat.event import Position
from chatsync.chat.room import Recovery
from chatsync.errors import CorruptError
from chatsync.instants import MINUTE_US
from chatsync.service.framing import Batch
from chatsync.service.room_settings import RoomSettings
from chatsync.simulation import Scenario
from tests.relay import Client
from tests.stage import FAST, START_US, Stage, stage

OPEN = {"class": {"public": True}}


async def _types(client: Client) -> list[str]:
    """Frames so far, up to a pong that was asked for now."""
    await client.send({"type": "ping"})
    await client.until(lambda: any(frame["type"] == "pong" for frame in client.frames))
    return [frame["type"] for frame in client.frames]


async def _until(condition: Callable[[], bool]) -> None:
    """Let the relay go on until something is so."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the relay does not know that it is watched
            await asyncio.sleep(0)


async def test_the_welcome_says_where_one_is_and_what_one_may(tmp_path: Path) -> None:
    """Position, clock, broadcast, state, and the caller's own name, key, role and deeds."""
    async with stage(tmp_path) as it:
        await it.stream(Scenario(START_US), 20)
        await it.say("hello")
        async with it.connected() as client:
            welcome = await client.hello(it.token("class", "Ada"), last=1)
        assert ("Ada", "participant") == (welcome["you"]["name"], welcome["you"]["role"])
        assert "say_message" in welcome["you"]["may"]
        assert "hide" not in welcome["you"]["may"]
        assert (1, it.room().clock_ms()) == (welcome["broadcast"], welcome["clock_ms"])
        assert ["hello"] == [event["text"] for event in welcome["events"]]
        assert welcome["position"] == welcome["through"]
        assert list(it.room().settings.reactions) == welcome["reactions"]
        assert it.clock.system_wall_us() // 1000 == welcome["wall_ms"]


async def test_a_welcome_and_what_follows_has_each_event_once(tmp_path: Path) -> None:
    """Who joins while others write gets every offset once, whichever side of the welcome it falls on."""
    async with stage(tmp_path, OPEN) as it:
        async with it.connected() as writer:
            await writer.hello(it.token("class", "writer"))
            position = (await it.chat())["as_of"]
            writing = asyncio.create_task(_write(writer, 60))
            clients = []
            for _ in range(5):
                async with it.connected() as client:
                    await client.hello(None, after=position)
                    clients.append(client)
                    await asyncio.sleep(0.01)
                    await _types(client)
            await writing
        for client in clients:
            offsets = [event["offset"] for event in client.events]
            assert list(range(position["offset"] + 1, position["offset"] + 1 + len(offsets))) == offsets


async def _write(client: Client, count: int) -> None:
    for number in range(count):
        await client.say(f"message {number}")


async def test_saying_the_same_again_gives_the_first_ack(tmp_path: Path) -> None:
    """One id is one message; with another body it is `id_reused`."""
    async with stage(tmp_path, OPEN) as it, it.connected() as client, it.connected() as other:
        await client.hello(it.token("class", "student"))
        message_id = str(uuid.uuid4())
        first = await client.say("once", id=message_id)
        it.advance(30)
        client.answers.clear()
        assert first == await client.say("once", id=message_id)
        client.answers.clear()
        assert "id_reused" == (await client.say("twice", id=message_id))["code"]
        await other.hello(it.token("class", "other"))
        assert first["offset"] + 1 == (await other.say("once", id=message_id))["offset"]


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ({"type": "say", "text": ""}, "empty"),
        ({"type": "say", "text": "x" * 501}, "too_long"),
        ({"type": "say", "text": "hi", "kind": "announcement"}, "not_allowed"),
        ({"type": "say", "text": "hi", "kind": "novel"}, "unknown_kind"),
        ({"type": "act", "action": "hide", "target": 1}, "not_allowed"),
        ({"type": "act", "action": "fly"}, "unknown_action"),
        ({"type": "act", "action": "upvote", "target": 99}, "not_found"),
        ({"type": "act", "action": "upvote"}, "needs_target"),
        ({"type": "dance"}, "unknown_type"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_cannot_be_done_is_answered_and_the_socket_stays(
    tmp_path: Path, frame: dict[str, Any], code: str
) -> None:
    """An error names the frame and the reason; afterwards all goes on."""
    async with stage(tmp_path, OPEN) as it, it.connected() as client:
        await client.hello(it.token("class", "student"))
        asked = frame | {"id": str(uuid.uuid4())}
        answer = client.ask(asked)
        await client.send(asked)
        assert ("error", code) == ((await asyncio.wait_for(answer, 5))["type"], (await answer)["code"])
        assert "ack" == (await client.say("on we go"))["type"]


async def test_a_guest_reads_and_may_not_write(tmp_path: Path) -> None:
    """Without a token in a public room: events come, deeds are refused."""
    async with stage(tmp_path, OPEN) as it, it.connected() as client:
        await client.hello(None)
        assert "not_allowed" == (await client.say("me too"))["code"]
        said = await it.say("hello")
        await client.until(lambda: any(event["offset"] == said["offset"] for event in client.events))


async def test_staff_sees_what_others_only_feel(tmp_path: Path) -> None:
    """A hide is an event to staff; to others it is `gone`, without who and why."""
    async with stage(tmp_path, OPEN) as it, it.connected() as host, it.connected() as viewer:
        await host.hello(it.token("class", "teacher", "host"))
        await viewer.hello(None)
        said = await it.say("rude")
        await host.act("hide", target=said["offset"], reason="rude indeed")
        for client in (host, viewer):
            await client.until(lambda client=client: said["offset"] in client.gone)
        assert "hidden" in [event["kind"] for event in host.events]
        assert "hidden" not in [event["kind"] for event in viewer.events]
        assert "rude indeed" not in str(viewer.frames)


async def test_a_token_that_runs_out_closes_the_socket(tmp_path: Path) -> None:
    """A socket lives no longer than the token it was opened with: 4502."""
    async with stage(tmp_path, OPEN) as it, it.connected() as client:
        short = it.hub.authority.mint(
            "student",
            wall_us=it.clock.system_wall_us() - 5 * MINUTE_US,
            lifetime_us=5 * MINUTE_US + 300_000,
            rooms=("class",),
            role="participant",
        )
        await client.hello(short)
        assert 4502 == await client.closed_with()


async def test_who_does_not_read_is_closed_and_the_others_are_not(tmp_path: Path) -> None:
    """A queue over its bound closes that one socket with 4008."""
    async with stage(tmp_path, OPEN) as it, it.connected() as slow, it.connected() as quick:
        await slow.hello(it.token("class", "slow"))
        await quick.hello(it.token("class", "quick"))
        (connection,) = [one for one in it.hub.connections if one._author and one._author.name == "slow"]
        slow._socket.transport.pause_reading()
        for number in range(5_000):  # far less than the bound in each batch
            await quick.say(f"{number} " + "x" * 400)
            if connection._socket.is_closing:
                break
        slow._socket.transport.resume_reading()
        assert 4008 == await slow.closed_with()
        assert "ack" == (await quick.say("still here"))["type"]


async def test_a_closed_broadcast_is_told_and_chat_goes_on(tmp_path: Path) -> None:
    """A host ends the broadcast: everyone is told, a participant may not do it."""
    async with stage(tmp_path) as it, it.connected() as host, it.connected() as student:
        await it.stream(Scenario(START_US), 20)
        await host.hello(it.token("class", "teacher", "host"))
        await student.hello(it.token("class", "student"))
        assert "not_allowed" == (await student.act("broadcast_close"))["code"]
        assert "ack" == (await host.act("broadcast_close"))["type"]
        await student.until(lambda: any(frame["type"] == "broadcast" for frame in student.frames))
        assert "ack" == (await student.say("bye"))["type"]


async def test_tallies_and_state_come_once_a_second_at_most(tmp_path: Path) -> None:
    """A question and upvotes change state and tallies; nothing is sent when nothing changed."""
    async with stage(tmp_path, OPEN) as it, it.connected() as client:
        await client.hello(it.token("class", "student"))
        question = await client.say("why?", kind="question")
        await client.act("upvote", target=question["offset"])
        client.answers.clear()
        again = await client.act("upvote", target=question["offset"])
        assert "ack" == again["type"]
        _tell(it)
        await client.until(lambda: {"state", "tallies"} <= {frame["type"] for frame in client.frames})
        (tallies,) = [frame for frame in client.frames if frame["type"] == "tallies"][-1:]
        assert [{"target": question["offset"], "count": 1}] == tallies["upvotes"]
        seen = len(client.frames)
        _tell(it)
        _tell(it)
        assert ["pong"] == [kind for kind in (await _types(client))[seen:] if kind != "tallies"]


def _tell(it: Stage) -> None:
    it.room().tell_edge()


async def test_who_missed_more_than_the_queue_holds_is_not_closed_by_the_next_event(tmp_path: Path) -> None:
    """A long welcome is the peer's own request: it does not count against what may wait for a slow reader."""
    limits = FAST | {"send_queue_bytes_max": 16 * 1024}
    async with stage(tmp_path, OPEN, limits=limits) as it, it.connected() as client:
        start = (await it.chat())["as_of"]
        for number in range(400):
            await it.say(f"{number} " + "x" * 400)
        await _until(lambda: bool(it.hub.connections))
        (connection,) = it.hub.connections
        client._socket.transport.pause_reading()
        await client.send({"type": "hello", "token": None, "after": start})
        await _until(lambda: bool(it.room().receivers))
        assert 16 * 1024 < connection._socket.buffered_bytes
        await it.say("one more")
        it.room().flush()
        assert not connection._socket.is_closing


async def test_a_batch_over_the_bound_closes_nobody_who_reads(tmp_path: Path) -> None:
    """Much said at once, behind an ack that was queued a moment before: the reader takes both."""
    limits = FAST | {"send_queue_bytes_max": 16 * 1024}
    async with stage(tmp_path, OPEN, limits=limits) as it, it.connected() as client:
        await client.hello(it.token("class", "student"))
        (connection,) = it.hub.connections
        connection.receive_batch(Batch((b'{"type":"pong"}',)))
        connection.receive_batch(Batch((b"{" + b" " * 20_000 + b'"type":"pong"}',)))
        await client.until(lambda: 3 == len(client.frames))
        assert "ack" == (await client.say("still here"))["type"]


async def test_a_room_that_stops_while_somebody_comes_back_sends_them_on(tmp_path: Path) -> None:
    """What they missed is still being read when the room changes: 4001, not a place in a room nobody talks in."""
    async with stage(tmp_path, OPEN) as it:
        position = (await it.chat())["as_of"]
        await it.say("missed")
        live = it.room()
        live.log.forget()
        gate, reads = threading.Event(), live.read_missed

        def slowly(after: Position, limit: int) -> Recovery:
            gate.wait(10)
            return reads(after, limit)

        live.read_missed = slowly  # type: ignore[method-assign]
        async with it.connected() as client:
            await client.send({"type": "hello", "token": None, "after": position})
            await _until(lambda: bool(it.hub._connections))
            await it.hub.put_room("class", RoomSettings(public=True))
            gate.set()
            assert 4001 == await client.closed_with()
            assert set() == live.receivers


async def test_a_fault_while_somebody_comes_in_is_not_silent(tmp_path: Path) -> None:
    """The journal cannot be read: the socket closes with 4001, so that the client tries again."""
    async with stage(tmp_path, OPEN) as it:
        position = (await it.chat())["as_of"]
        await it.say("missed")
        it.room().log.forget()

        def damaged(after: Position, limit: int) -> Recovery:
            raise CorruptError("journal", "a row")

        it.room().read_missed = damaged  # type: ignore[method-assign]
        async with it.connected() as client:
            await client.send({"type": "hello", "token": None, "after": position})
            assert 4001 == await client.closed_with()


@pytest.mark.parametrize("room", ["secret", "never"])
async def test_a_private_room_is_closed_to_strangers_like_one_that_does_not_exist(tmp_path: Path, room: str) -> None:
    """Both wait for a hello before they close: who listens to the door learns nothing."""
    async with stage(tmp_path, {"secret": {"public": False}}) as it, it.connected(room) as client:
        await _until(lambda: bool(it.hub.connections))
        await it.settled()
        (connection,) = it.hub.connections
        assert not connection._socket.is_closing
        await client.send({"type": "hello", "token": None})
        assert 4501 == await client.closed_with()
