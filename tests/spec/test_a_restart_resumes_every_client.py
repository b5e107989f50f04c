"""Whoever comes back gets what they missed: no gap, nothing twice, from memory and from the journal; else a reset (G4)."""

from __future__ import annotations

import asyncio
import signal
import uuid
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from chatsync.store.pruning import prune
from tests.relay import Relay, connected, token
from tests.stage import Stage, stage

ROOM = "class"
ROOMS: dict[str, dict[str, Any]] = {ROOM: {"public": True}}
FAST = {"commands_per_s": 10_000, "commands_burst": 100_000}


def _body(count: int) -> bytes:
    """Messages of a platform's own chat, one a line."""
    author = {"id": "s5", "name": "Student 5"}
    return b"\n".join(
        msgspec.json.encode({"id": str(uuid.uuid4()), "author": author, "text": f"message {number}"})
        for number in range(count)
    )


def _feed(relay: Relay, count: int) -> None:
    headers = {
        "Authorization": f"Bearer {token(ROOM, 'feed', None, ('ingest',))}",
        "Content-Type": "application/x-ndjson",
    }
    answer = httpx2.post(f"{relay.url}/v1/rooms/{ROOM}/messages", content=_body(count), headers=headers, timeout=60)
    assert count == sum("offset" in result for result in answer.json()["results"])


async def _feed_here(it: Stage, count: int) -> None:
    headers = {
        "Authorization": f"Bearer {it.token(ROOM, 'feed', None, ('ingest',))}",
        "Content-Type": "application/x-ndjson",
    }
    answer = await it.http.post(f"/v1/rooms/{ROOM}/messages", content=_body(count), headers=headers, timeout=60)
    assert count == sum("offset" in result for result in answer.json()["results"])


async def test_clients_of_a_restarted_relay_miss_nothing_and_see_nothing_twice(tmp_path: Path) -> None:
    """Clients that left at different moments resume after a stop and after a kill: every offset once, in order."""
    with Relay(tmp_path, ROOMS, limits=FAST) as relay:
        positions = []
        async with connected(relay, ROOM) as client:
            await client.hello(token(ROOM, "student"), last=0)
            for number in range(12):
                offset = (await client.say(f"before {number}"))["offset"]
                await client.until(lambda offset=offset: client.through["offset"] >= offset)  # type: ignore[index]
                positions.append(client.through)
        for end in (relay.stop, relay.kill):
            end()
            relay.start()
            _feed(relay, 30)
            head = relay.get(f"/v1/rooms/{ROOM}/chat.json").json()["as_of"]["offset"]
            for position in positions:
                async with connected(relay, ROOM) as client:
                    welcome = await client.hello(token(ROOM, "student"), after=position)
                    offsets = [event["offset"] for event in welcome["events"]]
                    assert list(range(position["offset"] + 1, head + 1)) == offsets  # type: ignore[index]
                    assert [] == [frame for frame in client.frames if frame["type"] == "reset"]


async def test_a_client_is_told_to_come_back_when_the_relay_stops(tmp_path: Path) -> None:
    """A stop closes sockets with 4001, which players answer by connecting again."""
    with Relay(tmp_path, ROOMS) as relay:
        async with connected(relay, ROOM) as client:
            await client.hello(None)
            status = await asyncio.to_thread(relay.stop)
            assert 4001 == await client.closed_with()
    assert status in {0, -signal.SIGTERM}


async def test_more_than_memory_holds_comes_from_the_journal(tmp_path: Path) -> None:
    """With 3,000 events missed the welcome has each of them once; what is said meanwhile follows on the socket."""
    async with stage(tmp_path, ROOMS) as it:
        await it.say("the first")
        position = await _position(it)
        await _feed_here(it, 3_000)
        async with it.connected() as client:
            welcome = await client.hello(it.token(ROOM, "student"), after=position)
            assert list(range(position["offset"] + 1, position["offset"] + 3_001)) == [
                event["offset"] for event in welcome["events"]
            ]
            await client.say("and on it goes")
            await client.until(lambda: client.events[-1]["offset"] == position["offset"] + 3_001)


async def test_messages_that_come_while_the_journal_is_read_are_not_lost(tmp_path: Path) -> None:
    """Clients resume from far behind while others write: offsets rise by one from welcome to live events."""
    async with stage(tmp_path, ROOMS) as it:
        position = await _position(it)
        await _feed_here(it, 2_500)
        async with it.connected() as writer, it.connected() as first, it.connected() as second:
            await writer.hello(it.token(ROOM, "writer"))
            welcomes = [
                asyncio.create_task(client.hello(it.token(ROOM, "student"), after=position))
                for client in (first, second)
            ]
            for number in range(60):
                await writer.say(f"meanwhile {number}")
            await asyncio.gather(*welcomes)
            last = (await writer.say("the last"))["offset"]
            for client in (first, second):
                await client.until(lambda client=client: client.events[-1]["offset"] == last)
                assert list(range(position["offset"] + 1, last + 1)) == [event["offset"] for event in client.events]


async def test_what_leaves_the_journal_while_it_is_read_is_a_reset(tmp_path: Path) -> None:
    """Rows are pruned after the look at what is left and before the journal is read: no gap, the client starts afresh."""
    async with stage(tmp_path, ROOMS) as it:
        position = await _position(it)
        await _feed_here(it, 4_600)
        it.advance(2 * 24 * 3_600)
        await it.seal()
        await asyncio.to_thread(it.hub.archiving._archive.archive_now)
        room, store = it.room(ROOM), it.hub.archiving.store
        read = room.read_missed

        def read_after_pruning(after: Any, limit: int) -> Any:
            assert 0 < prune(store, wall_us=it.now_us)
            return read(after, limit)

        room.read_missed = read_after_pruning  # type: ignore[method-assign]
        async with it.connected() as client:
            welcome = await client.hello(it.token(ROOM, "student"), after=position)
            assert ["reset", "welcome"] == [frame["type"] for frame in client.frames[:2]]
            assert [] == welcome["events"]


@pytest.mark.parametrize(
    "after",
    [{"epoch": "7", "offset": 1}, {"epoch": "not a number", "offset": 1}, {"epoch": "1", "offset": 10**6}],
    ids=["another epoch", "no epoch of ours", "a position that never was"],
)
async def test_an_unknown_position_is_a_reset(tmp_path: Path, after: dict[str, Any]) -> None:
    """A position we never gave is answered by a reset to the present one and a welcome without events."""
    async with stage(tmp_path, ROOMS) as it:
        await it.say("something")
        async with it.connected() as client:
            welcome = await client.hello(it.token(ROOM, "student"), after=after)
            assert ["reset", "welcome"] == [frame["type"] for frame in client.frames[:2]]
            assert [] == welcome["events"]
            assert await _position(it) == client.frames[0]["position"] == welcome["position"]


async def test_more_than_ten_thousand_missed_events_are_a_reset(tmp_path: Path) -> None:
    """Too far behind is a reset; slices and the open slice then give everything up to its position."""
    async with stage(tmp_path, ROOMS) as it:
        position = await _position(it)
        await _feed_here(it, 10_000)
        await it.say("one too many")
        async with it.connected() as client:
            await client.hello(it.token(ROOM, "student"), after=position)
            assert "reset" == client.frames[0]["type"]
            reset_to = client.frames[0]["position"]["offset"]
        await it.seal()
        offsets = [event["offset"] for event in await it.replayed()]
        assert list(range(1, reset_to + 1)) == sorted(offsets)


async def test_what_was_hidden_while_away_is_told(tmp_path: Path) -> None:
    """On resume, what was hidden is in ``gone``, what came back in ``back``; the last deed decides, after a restart too."""
    async with stage(tmp_path, ROOMS) as it:
        gone, back, again = [(await it.say(text))["offset"] for text in ("bad", "fine after all", "bad in the end")]
        position = await _position(it)
        for deed, offset in [
            ("hide", gone),
            ("hide", back),
            ("restore", back),
            ("hide", again),
            ("restore", again),
            ("hide", again),
        ]:
            await it.act(deed, target=offset)
        missed = (await it.say("said and hidden while away"))["offset"]
        await it.act("hide", target=missed)
        await _assert_told(it, position, gone={gone, again, missed}, back={back})
    async with stage(tmp_path, ROOMS) as it:
        await _assert_told(it, position, gone={gone, again, missed}, back={back})


async def test_all_that_an_author_said_can_be_hidden_while_away(tmp_path: Path) -> None:
    """A hide by author names no offsets; after a restart, whoever resumes is still told each of them."""
    async with stage(tmp_path, ROOMS) as it:
        said = [await it.say(f"spam {number}") for number in range(3)]
        position = await _position(it)
        await it.act("hide", author="a" * 16)
    async with stage(tmp_path, ROOMS) as it:
        await _assert_told(it, position, gone={event["offset"] for event in said}, back=set())


async def _assert_told(it: Stage, position: dict[str, Any], *, gone: set[int], back: set[int]) -> None:
    async with it.connected() as client:
        welcome = await client.hello(it.token(ROOM, "student"), after=position)
        assert gone == set(welcome["gone"])
        assert back == {event["offset"] for event in welcome["back"]}
        assert [] == [event for event in welcome["events"] if event["kind"] == "message"]


async def _position(it: Stage) -> dict[str, Any]:
    position: dict[str, Any] = (await it.chat())["as_of"]
    return position
