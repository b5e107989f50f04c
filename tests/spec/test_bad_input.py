"""Bad input, one test each: the documented answer, a log line without secrets, and nothing lost that was acked."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import websockets

from tests.origin import Origin, origin_of, stream_of_now
from tests.relay import SECRET, Client, Relay, connected, token
from tests.stage import START_US, stage

ROOM = "class"
FAST = {"commands_per_s": 10_000, "commands_burst": 100_000}
SAID = "a sentence that must stay out of logs"


def _followed(origin: Origin, folder: Path) -> Relay:
    rooms = {ROOM: {"public": True, "playlist_url": f"{origin.url}?key=hunter2"}}
    return Relay(folder, rooms, loopback_origins=[origin.host], limits=FAST | {"playlist_ms_max": 700})


async def _until(condition: Callable[[], bool], within_s: float = 15) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        await asyncio.sleep(0.05)


def _room(relay: Relay) -> dict[str, Any]:
    body: dict[str, Any] = relay.get(f"/v1/rooms/{ROOM}").json()
    return body


def _texts(relay: Relay) -> list[str]:
    events = relay.get(f"/v1/rooms/{ROOM}/messages").json()["messages"]
    return [event["text"] for event in events if event["kind"] == "message"]


def _assert_silent_log(relay: Relay) -> str:
    """The log holds no token, no secret, no text and no key of a playlist's address."""
    log = relay.log.read_text()
    for secret in (SECRET, "hunter2", SAID, "eyJ"):
        assert secret not in log, secret
    return log


@asynccontextmanager
async def _student(relay: Relay) -> AsyncIterator[Client]:
    async with connected(relay, ROOM) as client:
        await client.hello(token(ROOM, "student"))
        yield client


async def _trouble(tmp_path: Path, wrong: Callable[[Origin], None], code: str) -> None:
    """A stream goes well, then wrong, then well again: chat goes on, the reason is told, and the stream is taken up again."""
    lecture = stream_of_now()
    with origin_of(lecture) as origin, _followed(origin, tmp_path) as relay:
        await _until(lambda: _room(relay)["clock_ms"] is not None)
        async with _student(relay) as client:
            first = await client.say(SAID)
            wrong(origin)
            await _until(lambda: _room(relay)["playlist_trouble"] == code)
            second = await client.say(SAID)
            assert ["ack", "ack"] == [first["type"], second["type"]]
            ready = relay.get("/readyz")
            assert (200, 1) == (ready.status_code, ready.json()["origins_down"])
            origin.stream(lecture)
            await _until(lambda: _room(relay)["playlist_trouble"] is None)
        assert [SAID, SAID] == _texts(relay)
        assert code in _assert_silent_log(relay)


@pytest.mark.parametrize(
    "text",
    ["#EXTM3U\n#EXTINF:not a number,\n\0\0\n#EXT-X-MEDIA-SEQUENCE:-5\n", "", "#EXTM3", "\ufeff\ufeff#EXTM3U\n"],
    ids=["broken lines", "empty", "cut off", "two byte order marks"],
)
async def test_a_malformed_playlist_is_told_and_stops_nothing(tmp_path: Path, text: str) -> None:
    """`playlist_syntax`: messages are acked meanwhile, and the stream is followed again when it is well."""
    await _trouble(tmp_path, lambda origin: origin.text(text), "playlist_syntax")


async def test_an_html_page_with_200_is_no_playlist(tmp_path: Path) -> None:
    """A sign-in page where the playlist should be: `playlist_syntax`."""
    await _trouble(tmp_path, Origin.html, "playlist_syntax")


async def test_a_stalled_origin_is_given_up_after_its_time(tmp_path: Path) -> None:
    """Headers and then nothing: `playlist_unavailable` after the limit, while messages are acked."""
    await _trouble(tmp_path, Origin.stall, "playlist_unavailable")


async def test_a_missing_playlist_is_told(tmp_path: Path) -> None:
    """404: `playlist_unavailable`."""
    await _trouble(tmp_path, Origin.missing, "playlist_unavailable")


async def test_a_huge_playlist_is_not_taken_in(tmp_path: Path) -> None:
    """A playlist of 200 MB: refused at the limit, in little memory."""
    with origin_of(stream_of_now()) as origin, _followed(origin, tmp_path) as relay:
        await _until(lambda: _room(relay)["clock_ms"] is not None)
        before = _memory_mib(relay)
        origin.huge(200 * 1024 * 1024)
        await _until(lambda: _room(relay)["playlist_trouble"] is not None)
        assert _memory_mib(relay) - before < 100
        _assert_silent_log(relay)


async def test_a_stream_without_any_date_gets_an_axis_of_ours(tmp_path: Path) -> None:
    """No program date-time at all: after a few target durations there is a clock, stamps say `none`, media maps to it."""
    with origin_of(stream_of_now(dated=False)) as origin, _followed(origin, tmp_path) as relay:
        async with _student(relay) as client:
            early = await client.say(SAID)
            await _until(lambda: _room(relay)["clock_ms"] is not None)
            late = await client.say(SAID)
            assert ["none", "none"] == [early["stamp"], late["stamp"]]
            timeline = relay.get(f"/v1/rooms/{ROOM}/timeline").json()
            assert {"synthetic"} == {segment["source"] for segment in timeline["segments"]}
            edge = timeline["segments"][-1]
            playhead = {"broadcast": 1, "media_sequence": edge["media_sequence"], "into_segment_ms": 250}
            await client.send({"type": "playhead", **playhead, "rate": 1, "paused": False, "at_live": True})
            mapped = await client.say(SAID, playhead=playhead)
            assert ("none", edge["program_ms"] + 250) == (mapped["stamp"], mapped["program_ms"])
        assert 3 == len(_texts(relay))
        _assert_silent_log(relay)


def _memory_mib(relay: Relay) -> float:
    status = Path(f"/proc/{relay.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


async def test_a_message_of_one_gigabyte_costs_no_memory(tmp_path: Path) -> None:
    """Declared whole or streamed in parts: the socket closes with 1009 or 4500 early on, memory stays flat, others go on."""
    with Relay(tmp_path, {ROOM: {"public": True}}, limits=FAST) as relay:
        async with _student(relay) as bystander:
            first = await bystander.say(SAID)
            before = _memory_mib(relay)
            for send in (_send_whole, _send_in_parts):
                code, sent = await send(relay)
                assert code in {1009, 4500, 1006}
                assert sent < 256 * 1024 * 1024
            assert _memory_mib(relay) - before < 48
            second = await bystander.say(SAID)
            assert first["offset"] + 1 == second["offset"]
        headers = {"Authorization": f"Bearer {token(ROOM, 'feed', None, ('ingest',))}"}
        posted = httpx2.post(
            f"{relay.url}/v1/rooms/{ROOM}/messages", content=b"x" * 100_000, headers=headers, timeout=10
        )
        assert (413, "too_large") == (posted.status_code, posted.json()["code"])
        assert [SAID, SAID] == _texts(relay)
        _assert_silent_log(relay)


async def _send_whole(relay: Relay) -> tuple[int | None, int]:
    """A raw frame whose header declares 1 GiB; the close code and how many bytes were taken."""
    return await _send(relay, [b"\x81\xff" + (1 << 30).to_bytes(8, "big") + b"\0\0\0\0"], b"a" * 65_536)


async def _send_in_parts(relay: Relay) -> tuple[int | None, int]:
    """A fragmented message without end: each part is small."""
    part = b"\x00\xfe" + (8_000).to_bytes(2, "big") + b"\0\0\0\0" + b"a" * 8_000
    return await _send(relay, [b"\x01\xfe" + (8_000).to_bytes(2, "big") + b"\0\0\0\0" + b"a" * 8_000], part)


async def _send(relay: Relay, first: list[bytes], rest: bytes) -> tuple[int | None, int]:
    uri = relay.url.replace("http", "ws") + f"/v1/rooms/{ROOM}/live"
    async with websockets.connect(uri, subprotocols=["chatsync.v1"]) as socket:  # type: ignore[list-item]
        await socket.send('{"type":"hello","token":null,"after":null}')
        await socket.recv()
        transport, sent = socket.transport, 0
        for body in first:
            transport.write(body)
        while sent < (1 << 30) and not transport.is_closing():
            transport.write(rest)
            sent += len(rest)
            await asyncio.sleep(0)
            if transport.get_write_buffer_size() > 1024 * 1024:
                await asyncio.sleep(0.05)
            if socket.close_code is not None:
                break
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(socket.wait_closed(), 5)
        return socket.close_code, sent


async def test_a_token_for_another_room_opens_nothing(tmp_path: Path) -> None:
    """Socket 4501, HTTP 404, posting 404: as if the room did not exist; what its people wrote stays."""
    rooms = {ROOM: {"public": False}, "other": {"public": False}}
    with Relay(tmp_path, rooms, limits=FAST) as relay:
        async with _student(relay) as client:
            await client.say(SAID)
            foreign = token("other", "stranger", "host", ("ingest",))
            async with connected(relay, ROOM) as stranger:
                await stranger.send({"type": "hello", "token": foreign, "after": None})
                assert 4501 == await stranger.closed_with()
            headers = {"Authorization": f"Bearer {foreign}"}
            paths = ("", "/chat.json", "/messages", "/at?program_ms=0", "/timeline")
            assert {404} == {relay.get(f"/v1/rooms/{ROOM}{path}", headers=headers).status_code for path in paths}
            body = {"id": "1", "author": {"id": "x", "name": "x"}, "text": "intrusion"}
            posted = httpx2.post(f"{relay.url}/v1/rooms/{ROOM}/messages", json=body, headers=headers)
            assert 404 == posted.status_code
            async with connected(relay, ROOM) as forger:
                await forger.send({"type": "hello", "token": foreign[:-4] + "AAAA", "after": None})
                assert 4502 == await forger.closed_with()
            own = {"Authorization": f"Bearer {token(ROOM, 'student')}"}
            events = relay.get(f"/v1/rooms/{ROOM}/messages", headers=own).json()["messages"]
            assert [SAID] == [event["text"] for event in events if event["kind"] == "message"]
        assert foreign not in _assert_silent_log(relay)


async def test_a_playhead_in_the_future_is_not_believed(tmp_path: Path) -> None:
    """Reports and claims from the future: the message is acked with an estimate, and the room's latency is not touched."""
    with origin_of(stream_of_now()) as origin, _followed(origin, tmp_path) as relay:
        await _until(lambda: _room(relay)["clock_ms"] is not None)
        async with _student(relay) as client:
            for ahead_ms in (5_000, 86_400_000, 2**52):
                playhead = {"broadcast": 1, "program_ms": _room(relay)["clock_ms"] + ahead_ms, "at_live": True}
                await client.send({"type": "playhead", **playhead, "rate": 1, "paused": False})
                ack = await client.say(SAID, playhead=playhead)
                assert ("ack", "estimate") == (ack["type"], ack["stamp"])
                assert ack["program_ms"] <= _room(relay)["clock_ms"]
            assert relay.get(f"/v1/rooms/{ROOM}/timeline").json()["latency_ms"] is None
            await client.send({"type": "playhead", "broadcast": 1, "program_ms": 2**60, "rate": 1, "paused": False})
            assert 4500 == await client.closed_with()
        assert 3 == len(_texts(relay))
        _assert_silent_log(relay)


async def test_a_playhead_that_jumps_about_gets_what_it_asked_for_or_an_estimate(tmp_path: Path) -> None:
    """Reports from all over: every message is acked; a stamp is a claim within the rules or an estimate, never anything else."""
    chance = random.Random(3)
    with origin_of(stream_of_now(begun_s=60)) as origin, _followed(origin, tmp_path) as relay:
        await _until(lambda: _room(relay)["clock_ms"] is not None)
        async with _student(relay) as client:
            for _ in range(60):
                clock_ms = _room(relay)["clock_ms"]
                reported = clock_ms + chance.choice((-(10**9), -700_000, -30_000, -6_000, 0, 1_500, 10_000, 10**12))
                claimed = reported + chance.choice((0, 0, -4_000, 6_000))
                report = {"broadcast": chance.choice((1, 1, 1, 9)), "program_ms": reported, "at_live": True}
                await client.send({"type": "playhead", **report, "rate": chance.choice((0, 1, 16)), "paused": False})
                ack = await client.say(SAID, playhead=report | {"program_ms": claimed})
                assert "ack" == ack["type"]
                if ack["stamp"] == "playhead":
                    assert claimed == ack["program_ms"]
                    assert -602_000 < claimed - clock_ms < 4_000
                else:
                    assert "estimate" == ack["stamp"]
                    assert abs(ack["program_ms"] - clock_ms) < 65_000
        assert 60 == len(_texts(relay))
        _assert_silent_log(relay)


@contextmanager
def _small_disk(folder: Path, kind: str) -> Iterator[Path]:
    """A file system of its own, so small that it can be filled: in memory, or ext4 in an image."""
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", "size=8m", "tmpfs"]
    if kind == "ext4":
        image = folder.with_suffix(".img")
        with image.open("wb") as file:
            file.truncate(24 * 1024 * 1024)
        made = shutil.which("mkfs.ext4") and subprocess.run(["mkfs.ext4", "-qFm0", str(image)], check=False)
        if not made or made.returncode != 0:
            pytest.skip("an ext4 file system cannot be made here (needs e2fsprogs)")
        options = ["-o", "loop", str(image)]
    mounted = os.geteuid() == 0 and subprocess.run(["mount", *options, str(folder)], check=False, capture_output=True)
    if not mounted or mounted.returncode != 0:
        pytest.skip("a small file system cannot be mounted here (needs root)")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


@pytest.mark.faults
@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
async def test_a_full_disk_refuses_posting_and_nothing_else(tmp_path: Path, kind: str) -> None:
    """`storage_full` for what is posted; reading goes on, all that was acked is there, and posting comes back with space."""
    with _small_disk(tmp_path / "disk", kind) as disk:
        with Relay(disk, {ROOM: {"public": True}}, limits=FAST) as relay:
            async with _student(relay) as client:
                acked = [await client.say(f"{SAID} {number}") for number in range(20)]
                ballast = disk / "ballast"
                _fill(ballast)
                refused = await _say_until_refused(client, acked)
                assert "storage_full" == refused["code"]
                assert len(acked) == len(_texts(relay))
                assert len(acked) == await _told_to_one_who_comes_back(relay)
                ready = relay.get("/readyz")
                assert (503, ["storage_full"]) == (ready.status_code, ready.json()["failing"])
                ballast.unlink()
                after = await client.say(SAID)
                assert "ack" == after["type"], after
                assert acked[-1]["offset"] + 1 == after["offset"]
            assert len(acked) + 1 == len(_texts(relay))
            log = _assert_silent_log(relay)
            relay.kill()
            relay.start()
            assert len(acked) + 1 == len(_texts(relay))
        assert "Traceback" not in log


async def _told_to_one_who_comes_back(relay: Relay) -> int:
    """How many messages somebody is told who left before the first."""
    async with connected(relay, ROOM) as client:
        welcome = await client.hello(token(ROOM, "returning"), after={"epoch": "1", "offset": 1})
        return sum(event["kind"] == "message" for event in welcome["events"])


def _fill(ballast: Path) -> None:
    """Write until nothing more fits."""
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 4_096)


async def _say_until_refused(client: Client, acked: list[dict[str, Any]]) -> dict[str, Any]:
    for number in range(2_000):
        answer = await client.say(f"{SAID} more {number} " + "x" * 300)
        if answer["type"] != "ack":
            return answer
        acked.append(answer)
    raise AssertionError("the disk was never full")


async def test_bytes_that_are_no_frame_close_the_socket(tmp_path: Path) -> None:
    """No JSON, lone surrogates, NaN, a frame before hello: 4500, and the room goes on."""
    async with stage(tmp_path, {ROOM: {"public": True}}) as it:
        for frame in (
            "{",
            '{"type":"say"}',
            '{"type":"playhead","broadcast":1,"rate":1e999}',
            '"\\ud800"',
            "[" * 5_000,
        ):
            async with it.connected() as client:
                await client.hello(None)
                await client._socket.send(frame)
                assert 4500 == await client.closed_with(), frame[:40]
        async with it.connected() as client:
            await client.send({"type": "say", "id": "1", "text": "before hello"})
            assert 4500 == await client.closed_with()
        assert START_US == (await it.say("on we go"))["program_us"]
