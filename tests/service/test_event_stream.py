"""The live connection as server-sent events: the same frames, resuming, slow readers, refusals, ends."""

from __future__ import annotations

import asyncio
import json
import random
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatsync.chat.event import Position
from chatsync.chat.wire import WirePosition
from chatsync.errors import TokenError
from chatsync.instants import MINUTE_US
from chatsync.service.acts import Act
from chatsync.service.app import create_app
from chatsync.service.event_stream import resumed_from
from chatsync.service.framing import Batch, event_lines
from chatsync.service.limit_table import Limits
from chatsync.service.room_settings import RoomSettings
from chatsync.service.running import RelayServer
from chatsync.service.settings import Settings
from tests.listening import Listener, Parser, listening
from tests.relay import SECRET, Client
from tests.stage import FAST, WRITER, Stage, stage

OPEN: dict[str, dict[str, Any]] = {"class": {"public": True, "batch_ms": 1}}
OPEN_AND_SECRET = OPEN | {"secret": {"public": False}}


def _offsets(events: list[dict[str, Any]]) -> list[int]:
    return [event["offset"] for event in events]


def _has(one: Listener | Client, offset: int) -> Callable[[], bool]:
    """Whether somebody has been told an event."""
    return lambda: offset in _offsets(one.events)


async def _look(it: Stage, seconds: float) -> None:
    it.advance(seconds)
    await it.hub.keeper.look(it.clock.monotonic_us)
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_reader_gets_what_a_socket_gets(tmp_path: Path) -> None:
    """Welcome, events, gone, back, state and tallies, frame by frame and byte for byte the same."""
    async with stage(tmp_path, OPEN) as it, it.connected() as socket, listening(it.app) as reader:
        await socket.hello(None)
        said = await it.say("first")
        await it.act("pin", target=said["offset"])
        await it.act("hide", target=said["offset"], reason="a test")
        await it.act("restore", target=said["offset"])
        it.room().tell_edge()
        last = await it.say("last")
        for one in (socket, reader):
            await one.until(_has(one, last["offset"]))
        theirs, ours = (
            [one for one in frames if one["type"] != "welcome"] for frames in (socket.frames, reader.frames)
        )
        assert {"events", "gone", "back", "state", "tallies"} <= set(reader.types)
        assert [frame for frame in theirs if frame["type"] != "tallies"] == [
            one for one in ours if one["type"] != "tallies"
        ]
        assert socket.welcome["state"].keys() == reader.frames[0]["state"].keys()
        position = it.room().log.position
        assert f"{position.epoch}:{position.offset}" == reader.last_id


async def test_its_headers_keep_caches_and_buffers_away(tmp_path: Path) -> None:
    """An endless answer that nothing may keep, the same of a public room."""
    async with stage(tmp_path, OPEN_AND_SECRET) as it:
        for room, token in (("class", None), ("secret", it.token("secret", "ann"))):
            async with listening(it.app, token, room) as reader:
                assert (200, "text/event-stream; charset=utf-8") == (reader.status, reader.headers["content-type"])
                assert "private, no-store" == reader.headers["cache-control"]
                assert ("no", "nosniff") == (
                    reader.headers["x-accel-buffering"],
                    reader.headers["x-content-type-options"],
                )
                assert "content-length" not in reader.headers


async def test_who_comes_back_with_the_last_id_misses_nothing_and_sees_nothing_twice(tmp_path: Path) -> None:
    """A reader that comes and goes sees each event once, as a socket beside it that stays; also across a restart."""
    chance = random.Random(7)
    seen: list[int] = []
    last_id = None
    clock = None
    for _ in range(2):
        async with stage(tmp_path, OPEN, clock=clock) as it, it.connected() as socket:
            clock = it.clock
            await socket.hello(None, after=None if not seen else {"epoch": "1", "offset": seen[-1]})
            if last_id is None:
                async with listening(it.app, query="?last=0") as reader:
                    last_id = reader.last_id
            for number in range(12):
                said = await it.say(f"while away {number}")
                headers = {} if last_id is None else {"last_event_id": last_id}
                async with listening(it.app, **headers) as reader:
                    for _ in range(chance.randrange(4)):
                        said = await it.say("while here")
                    await reader.until(_has(reader, said["offset"]))
                    seen += _offsets(reader.events)
                    last_id = reader.last_id
            await socket.until(_has(socket, said["offset"]))
    assert list(range(seen[0], seen[0] + len(seen))) == seen
    assert seen[-1] == socket.events[-1]["offset"]


async def test_an_id_that_is_none_of_ours_starts_afresh(tmp_path: Path) -> None:
    """As over a socket: `reset`, then a welcome without events."""
    async with stage(tmp_path, OPEN) as it:
        await it.say("hello")
        for last_id in ("1:999999", "9:1", "x", "1:1:1", "1", "-1:5", "1:x", "٣:٣"):
            async with listening(it.app, last_event_id=last_id) as reader:
                await reader.until(lambda reader=reader: "welcome" in reader.types)  # type: ignore[misc]
                assert ["reset", "welcome"] == reader.types[:2]
                assert ("too_old", []) == (reader.frames[0]["reason"], reader.frames[1]["events"])
                said = await it.say(f"on we go after {last_id}")
                await reader.until(_has(reader, said["offset"]))


async def test_how_many_of_the_newest_one_wants(tmp_path: Path) -> None:
    """`last`, from 0 to 200."""
    async with stage(tmp_path, OPEN) as it:
        for number in range(5):
            await it.say(f"{number}")
        for query, texts in (("?last=2", ["3", "4"]), ("?last=0", []), ("", ["0", "1", "2", "3", "4"])):
            async with listening(it.app, query=query) as reader:
                assert texts == [event["text"] for event in reader.events if event["kind"] == "message"]
        async with listening(it.app, query="?last=201") as reader:
            assert 422 == reader.status


async def test_who_may_not_enter_gets_an_error(tmp_path: Path) -> None:
    """As on every other path, before anything is told; no place stays taken."""
    async with stage(tmp_path, OPEN_AND_SECRET) as it:
        other = it.token("class", "ann")
        for token, room, status, code in (
            (None, "secret", 404, "unknown_room"),
            (None, "never", 404, "unknown_room"),
            (None, "No Room", 404, "unknown_room"),
            (other, "secret", 404, "unknown_room"),
            ("a.b.c", "class", 401, "token"),
            ("a.b.c", "secret", 401, "token"),
        ):
            async with listening(it.app, token, room) as reader:
                assert (status, code) == (reader.status, reader.problem["code"]), room
                assert "private, no-store" == reader.headers["cache-control"]
            assert set() == it.hub.connections


async def test_a_page_of_another_origin_is_refused(tmp_path: Path) -> None:
    """It could not read the answer, and shall not hold a place either; one that the room lists may. Of a private room nothing is told."""
    page, other = "https://school.example", "https://other.example"
    rooms: dict[str, dict[str, Any]] = {"class": {"public": True, "origins": (page,)}}
    rooms |= {"secret": {"origins": (page,)}, "elsewhere": {"origins": (other,)}}
    async with stage(tmp_path, rooms) as it:
        for origin in ("https://evil.example", other, "null"):
            async with listening(it.app, origin=origin) as reader:
                assert (403, "not_allowed") == (reader.status, reader.problem["code"])
        token = it.token("secret", "ann")
        for room, given in (("class", None), ("secret", token)):
            async with listening(it.app, given, room, origin=page) as reader:
                assert (200, page) == (reader.status, reader.headers["access-control-allow-origin"])
        for given in (token, None):
            async with listening(it.app, given, "secret", origin=other) as reader:
                assert (404, "unknown_room") == (reader.status, reader.problem["code"])


async def test_who_is_banned_is_sent_away_and_stays_out(tmp_path: Path) -> None:
    """The goodbye says 4504, and the way back in is 403."""
    async with stage(tmp_path, OPEN) as it:
        async with listening(it.app, it.token("class", "ann")) as ann, listening(it.app) as guest:
            await it.act("ban", author=ann.frames[0]["you"]["key"], reason="a test")
            await ann.over()
            assert ("close", 4504) == (ann.frames[-1]["type"], ann.frames[-1]["code"])
            assert not guest.is_over
        async with listening(it.app, it.token("class", "ann")) as ann:
            assert (403, "banned") == (ann.status, ann.problem["code"])


async def test_limits_are_those_of_sockets(tmp_path: Path) -> None:
    """Of the node 503, of a person and of an address 429, with when to come back; a place is free again when its reader goes."""
    limits = FAST | {"sockets_max": 3, "connections_per_person_max": 1, "guests_per_address_max": 1}
    async with stage(tmp_path, OPEN, limits=limits) as it, it.connected() as socket:
        await socket.hello(None)
        async with listening(it.app, it.token("class", "ann")), listening(it.app) as guest:
            async with listening(it.app, it.token("class", "bob")) as reader:
                assert (503, "unavailable", "5") == (
                    reader.status,
                    reader.problem["code"],
                    reader.headers["retry-after"],
                )
            await guest.go()
            async with listening(it.app, it.token("class", "ann")) as reader:
                assert (429, "rate_limited", "5") == (
                    reader.status,
                    reader.problem["code"],
                    reader.headers["retry-after"],
                )
        async with listening(it.app, it.token("class", "ann")) as reader:
            assert 200 == reader.status
        async with listening(it.app), listening(it.app) as reader:
            assert 429 == reader.status
        assert 1 == len(it.hub.connections)


async def test_knocks_of_strangers_are_counted(tmp_path: Path) -> None:
    """Guests and bad tokens of one address, as over a socket."""
    async with stage(tmp_path, OPEN, limits=FAST | {"knocks_per_s": 1, "knocks_burst": 2}) as it:
        statuses = []
        for token in ("a.b.c", None, "a.b.c", None):
            async with listening(it.app, token) as reader:
                statuses.append(reader.status)
        assert [401, 200, 429, 429] == statuses
        async with listening(it.app, it.token("class", "ann")) as reader:
            assert 200 == reader.status


async def test_who_does_not_read_is_closed_and_the_others_are_not(tmp_path: Path) -> None:
    """Past the bound of what waits: the goodbye is put behind it, and ten seconds later the connection is cut."""
    limits = FAST | {"send_queue_bytes_max": 16 * 1024}
    async with stage(tmp_path, OPEN, limits=limits) as it, listening(it.app) as slow, listening(it.app) as quick:
        slow.reads.clear()
        for number in range(60):
            last = await it.say(f"{number} " + "x" * 400)
            await quick.until(_has(quick, last["offset"]))
        assert 1 == len(it.room().receivers)
        await _look(it, 1)
        assert not slow.is_over
        await _look(it, 10)
        await slow.over()
        assert not quick.is_over
        assert 1 == len(it.hub.connections)


async def test_who_takes_nothing_for_ten_seconds_is_closed(tmp_path: Path) -> None:
    """However little it is that waits; who reads it is told why, and comes back."""
    async with stage(tmp_path, OPEN) as it, listening(it.app) as stuck:
        stuck.reads.clear()
        await it.say("unread")
        it.room().flush()
        for _ in range(12):
            await _look(it, 1)
        stuck.reads.set()
        await stuck.over()
        assert ("close", 4008) == (stuck.frames[-1]["type"], stuck.frames[-1]["code"])


async def test_a_silent_reader_gets_a_sign_of_life(tmp_path: Path) -> None:
    """A comment every 25 s, so that no proxy takes the connection for dead."""
    async with stage(tmp_path, OPEN) as it, listening(it.app) as reader:
        await _look(it, 24)
        assert 0 == reader.signs
        await _look(it, 1)
        await reader.until(lambda: 1 == reader.signs)
        await _look(it, 25)
        await reader.until(lambda: 2 == reader.signs)


async def test_a_token_that_runs_out_ends_it(tmp_path: Path) -> None:
    """4502, as over a socket."""
    async with stage(tmp_path, OPEN) as it:
        short = it.hub.authority.mint(
            "student",
            wall_us=it.clock.system_wall_us() - 5 * MINUTE_US,
            lifetime_us=5 * MINUTE_US + 300_000,
            rooms=("class",),
            role="viewer",
        )
        async with listening(it.app, short) as reader:
            await reader.over()
            assert {"type": "close", "code": 4502, "reason": "the token has expired"} == reader.frames[-1]


async def test_revoked_banned_gone_and_stopping_end_it(tmp_path: Path) -> None:
    """Each with the code a socket gets, after what was told before."""
    async with stage(tmp_path, OPEN) as it:
        token = it.token("class", "ann")
        admin = it.hub.authority.mint("operator", wall_us=it.clock.system_wall_us(), admin=True)
        async with listening(it.app, token) as ann, listening(it.app) as guest:
            it.advance(1)
            await it.post("/v1/revocations", {"person": "ann"}, admin)
            await ann.over()
            assert ("close", 4502) == (ann.frames[-1]["type"], ann.frames[-1]["code"])
            await it.hub.put_room("class", RoomSettings(public=True, title="Limits II"))
            await guest.over()
            assert ("close", 4001) == (guest.frames[-1]["type"], guest.frames[-1]["code"])
        async with listening(it.app) as guest:
            await it.hub.send_away()
            await guest.over()
            assert 4001 == guest.frames[-1]["code"]
        async with listening(it.app) as late:
            assert (503, "restarting") == (late.status, late.problem["code"])
        with pytest.raises(TokenError):
            await it.hub.admitted("class", token)


async def test_head_tells_the_headers_and_opens_nothing(tmp_path: Path) -> None:
    """An endless answer has no HEAD that ends by itself."""
    async with stage(tmp_path, OPEN_AND_SECRET) as it:
        async with listening(it.app, method="HEAD") as reader:
            await reader.over()
            assert (200, "text/event-stream; charset=utf-8") == (reader.status, reader.headers["content-type"])
        async with listening(it.app, room="secret", method="HEAD") as reader:
            assert 404 == reader.status
        assert set() == it.hub.connections


async def test_staff_reads_as_staff(tmp_path: Path) -> None:
    """A host hears what only staff may, nobody else does."""
    async with (
        stage(tmp_path, OPEN) as it,
        listening(it.app, it.token("class", "teacher", "host")) as host,
        listening(it.app) as guest,
    ):
        said = await it.say("rude")
        await it.act("hide", target=said["offset"], reason="rude indeed")
        await host.until(lambda: "gone" in host.types)
        await guest.until(lambda: "gone" in guest.types)
        assert "hidden" in [event["kind"] for event in host.events]
        assert "rude indeed" not in json.dumps(guest.frames)


@settings(max_examples=50)
@given(st.lists(st.text(max_size=40), min_size=1, max_size=6), st.data())
def test_events_come_out_as_they_went_in(texts: list[str], data: st.DataObject) -> None:
    """Whatever people write, however the bytes are cut; only the last of a batch has an id."""
    payloads = [json.dumps({"text": text}).encode() for text in texts]
    wire = Batch(payloads, Position(2, 17)).lines
    parser, begin = Parser(), 0
    while begin < len(wire):
        end = data.draw(st.integers(begin + 1, len(wire)))
        parser.receive(wire[begin:end])
        assert parser.last_id is None or end == len(wire)
        begin = end
    assert texts == [frame["text"] for frame in parser.frames]
    assert "2:17" == parser.last_id
    assert b"data: {}\n\n" == event_lines(b"{}")


@pytest.mark.parametrize(
    ("given_id", "position"),
    [
        (None, None),
        ("", None),
        ("1:5", WirePosition("1", 5)),
        ("0:0", WirePosition("0", 0)),
        ("9999999999999999999:9999999999999999", WirePosition("9999999999999999999", 9_999_999_999_999_999)),
        ("1:12345678901234567", WirePosition("?", 0)),
        (" 1:5", WirePosition("?", 0)),
        ("1:5\n", WirePosition("?", 0)),
    ],
)
def test_which_position_an_id_is(given_id: str | None, position: WirePosition | None) -> None:
    """None is a newcomer; what is not of our form is a position that nobody knows."""
    assert position == resumed_from(given_id)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the relay does not know that it is watched
            await asyncio.sleep(0.01)


async def test_under_uvicorn_it_is_served_cut_and_sent_away_at_the_end(tmp_path: Path) -> None:
    """The real server: events in chunks; who does not read costs what a socket may, who goes frees the place; 4001 when the relay stops."""
    given = Settings(
        data_folder=tmp_path / "data",
        token_secret=SECRET,  # type: ignore[arg-type]
        port=0,
        limits=Limits(**FAST, send_queue_bytes_max=16 * 1024, socket_buffer_bytes=4_096),
        rooms={"class": RoomSettings(public=True, batch_ms=1)},
    )
    app = create_app(given)
    server = RelayServer(app, given)
    serving = asyncio.create_task(server.serve())
    await _until(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    hub = app.state.hub

    async def asked(receive_bytes: int | None = None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        own = socket.socket()
        if receive_bytes is not None:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        own.setblocking(False)
        await asyncio.get_running_loop().sock_connect(own, ("127.0.0.1", port))
        reader, writer = await asyncio.open_connection(sock=own)
        writer.write(b"GET /v1/rooms/class/events HTTP/1.1\r\nHost: relay\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert b"transfer-encoding: chunked" in head
        return reader, writer

    live = hub.room("class").live
    quick, quick_writer = await asked()
    leaver, leaver_writer = await asked()
    slow, slow_writer = await asked(receive_bytes=4_096)
    slow_writer.transport.pause_reading()  # type: ignore[attr-defined]
    await _until(lambda: len(live.receivers) == 3)
    leaver_writer.close()
    await _until(lambda: len(hub.connections) == len(live.receivers) == 2)
    heard = bytearray()

    async def read() -> None:
        while more := await quick.read(65_536):
            heard.extend(more)

    reading = asyncio.create_task(read())
    for number in range(400):
        act = Act(kind="message", id=f"m-{number}", author=WRITER, text=f"{number} " + "x" * 480)
        await live.act(act)
        if len(live.receivers) == 1:
            break
    assert 1 == len(live.receivers), "whoever does not read is still told"
    (stream,) = [one for one in hub.keeper.streams if one.is_closing]
    assert stream.buffered_bytes < 16 * 1024 + 4_096 + 2 * 65_536
    await _until(lambda: f'"text":"{number} '.encode() in heard)
    server.should_exit = True
    await reading
    assert b'{"type":"close","code":4001,' in heard
    for writer in (quick_writer, slow_writer):
        writer.close()
    await serving
    del leaver, slow  # a stream whose reader is gone is aborted
