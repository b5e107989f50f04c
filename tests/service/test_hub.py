"""Rooms come, change and go while people are in them; who may enter, and how often."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from chatsync.chat.event import Draft, Stamp
from chatsync.errors import RateLimitedError, RoomRestartingError, TokenError, UnknownRoomError
from chatsync.service.room_settings import RoomSettings
from chatsync.store.opening import open_store
from tests.stage import FAST, START_US, WRITER, Stage, stage

OPEN = {"class": {"public": True}}


async def test_a_room_changes_while_people_are_in_it(tmp_path: Path) -> None:
    """New settings: sockets close with 4001, everything acked is there, and whoever comes back misses nothing."""
    async with stage(tmp_path, OPEN) as it:
        async with it.connected() as client:
            await client.hello(it.token("class", "student"))
            first = await client.say("before")
            await client.until(lambda: (client.through or {}).get("offset", 0) >= first["offset"])
            await it.hub.put_room("class", RoomSettings(public=True, title="Limits II"))
            assert 4001 == await client.closed_with()
            position = client.through
        async with it.connected() as client:
            welcome = await client.hello(it.token("class", "student"), after=position)
            assert [] == welcome["events"]
            second = await client.say("after")
            assert first["offset"] + 1 == second["offset"]
        assert "Limits II" == (await it.get("/v1/rooms/class")).json()["title"]


async def test_messages_under_way_while_a_room_changes_are_kept(tmp_path: Path) -> None:
    """Many writers and three changes of settings: each ack stands in the log once, and offsets have no hole."""
    async with stage(tmp_path, OPEN) as it:
        acked: list[int] = []

        async def write(name: str) -> None:
            for number in range(40):
                try:
                    acked.append((await it.say(f"{name} {number}"))["offset"])
                except UnknownRoomError:
                    await asyncio.sleep(0.01)

        writing = [asyncio.create_task(write(f"writer-{number}")) for number in range(4)]
        for title in ("one", "two", "three"):
            await it.hub.put_room("class", RoomSettings(public=True, title=title))
        await asyncio.gather(*writing, return_exceptions=True)
        logged = [event["offset"] for event in await it.replayed()]
        assert sorted(set(acked)) == sorted(acked)
        assert set(acked) <= set(logged)
        assert list(range(1, len(logged) + 1)) == sorted(logged)


async def test_a_room_that_restarts_is_not_one_that_does_not_exist(tmp_path: Path) -> None:
    """For the moment of a change the answer is to come back, on HTTP and on the socket."""
    async with stage(tmp_path, OPEN) as it:
        changing = asyncio.create_task(it.hub.put_room("class", RoomSettings(public=True)))
        while not it.hub.is_restarting("class"):
            await it.settled()
        gate = threading.Event()
        it.hub.writer.submit(lambda _: gate.wait(10), lambda _: None)  # the change waits for this
        with pytest.raises(RoomRestartingError):
            await it.hub.entrant("class", None)
        async with it.connected() as client:
            await client.send({"type": "hello", "token": None, "after": None, "last": 0})
            assert 4001 == await client.closed_with()
        gate.set()
        await changing
        assert 200 == (await it.get("/v1/rooms/class")).status_code


async def test_a_private_room_that_restarts_is_none_to_strangers(tmp_path: Path) -> None:
    """Only who may enter learns that it is away for a moment."""
    async with stage(tmp_path, {"class": {"public": False}}) as it:
        changing = asyncio.create_task(it.hub.put_room("class", RoomSettings(public=False)))
        while not it.hub.is_restarting("class"):
            await it.settled()
        gate = threading.Event()
        it.hub.writer.submit(lambda _: gate.wait(10), lambda _: None)
        with pytest.raises(UnknownRoomError):
            await it.hub.entrant("class", None)
        with pytest.raises(UnknownRoomError):
            await it.hub.entrant("class", it.token("other", "stranger"))
        with pytest.raises(RoomRestartingError):
            await it.hub.entrant("class", it.token("class", "student"))
        gate.set()
        await changing


async def test_a_room_that_is_removed_is_gone_for_good(tmp_path: Path) -> None:
    """Sockets close with 4501, HTTP answers 404; what was said is there again if the room is."""
    async with stage(tmp_path, OPEN) as it:
        async with it.connected() as client:
            await client.hello(None)
            await it.say("remember this")
            await it.hub.delete_room("class")
            assert 4501 == await client.closed_with()
        assert 404 == (await it.get("/v1/rooms/class")).status_code
        with pytest.raises(UnknownRoomError):
            await it.hub.delete_room("class")
        await it.hub.put_room("class", RoomSettings(public=True))
        assert "remember this" in [event.get("text") for event in await it.replayed()]


async def test_a_room_made_by_the_admin_api_is_there_after_a_restart(tmp_path: Path) -> None:
    """Rooms of the catalog start with the relay; the settings file wins where both know one."""
    async with stage(tmp_path, OPEN) as it:
        await it.hub.put_room("seminar", RoomSettings(public=True, title="Seminar"))
        await it.hub.put_room("class", RoomSettings(public=True, title="changed by hand"))
    async with stage(tmp_path, OPEN) as it:
        assert {"class", "seminar"} == set(it.hub.rooms)
        assert ("Seminar", "") == (it.room("seminar").settings.title, it.room("class").settings.title)


@pytest.mark.parametrize("public", [True, False])
async def test_who_may_enter(tmp_path: Path, public: bool) -> None:
    """Guests enter public rooms only; a token enters its own rooms only; a bad one enters nothing."""
    async with stage(tmp_path, {"class": {"public": public}, "other": {"public": False}}) as it:
        assert (await it.hub.entrant("class", it.token("class", "student")))[1].role == "participant"
        if public:
            assert (await it.hub.entrant("class", None))[1].role == "guest"
        else:
            with pytest.raises(UnknownRoomError):
                await it.hub.entrant("class", None)
        with pytest.raises(UnknownRoomError):
            await it.hub.entrant("class", it.token("other", "student"))
        with pytest.raises(UnknownRoomError):
            await it.hub.entrant("never", None)
        with pytest.raises(TokenError):
            await it.hub.entrant("class", "no token at all")


async def test_whose_pages_may_knock(tmp_path: Path) -> None:
    """At a public room those that it lists; at a private one, and where there is none, those that any room lists, as the lists are now."""
    pages = [f"https://{name}.example" for name in ("first", "second", "third")]
    rooms = {"open": {"public": True, "origins": pages[:1]}, "shut": {"public": False, "origins": pages[1:2]}}
    async with stage(tmp_path, rooms) as it:
        assert pages[:1] == list(it.hub.pages_that_may_knock("open"))
        assert [set(pages[:2])] * 2 == [set(it.hub.pages_that_may_knock(room)) for room in ("shut", "nowhere")]
        await it.hub.put_room("shut", RoomSettings(origins=tuple(pages[2:])))
        assert {pages[0], pages[2]} == set(it.hub.pages_that_may_knock("nowhere"))
        await it.hub.delete_room("shut")
        assert {pages[0]} == set(it.hub.pages_that_may_knock("shut"))


async def test_a_person_has_so_many_connections(tmp_path: Path) -> None:
    """One more than allowed is closed with 4008; when one leaves there is room again."""
    async with stage(tmp_path, OPEN, limits=FAST | {"connections_per_person_max": 2}) as it:
        person = it.token("class", "student")
        async with it.connected() as first:
            await first.hello(person)
            async with it.connected() as second, it.connected() as third:
                await second.hello(person)
                await third.send({"type": "hello", "token": person, "after": None})
                assert 4008 == await third.closed_with()
            await _enters(it, person)


async def _enters(it: Stage, person: str) -> None:
    async with it.connected() as client:
        assert await client.hello(person)


async def test_a_person_says_so_much(tmp_path: Path) -> None:
    """The rate holds over all of a person's connections; another person is not touched by it."""
    limits = {"commands_per_s": 1, "commands_burst": 3}
    async with stage(tmp_path, OPEN, limits=limits) as it:
        async with it.connected() as first, it.connected() as second, it.connected() as other:
            await first.hello(it.token("class", "student"))
            await second.hello(it.token("class", "student"))
            await other.hello(it.token("class", "other"))
            answers = [await client.say("again") for client in (first, second, first, second)]
            assert ["ack", "ack", "ack", "error"] == [answer["type"] for answer in answers]
            assert "rate_limited" == answers[-1]["code"]
            assert 0 < answers[-1]["retry_after_ms"] <= 1_000
            assert "ack" == (await other.say("hello"))["type"]
            it.advance(1)
            assert "ack" == (await first.say("in order"))["type"]
        it.hub.take_token("somebody", 3)
        with pytest.raises(RateLimitedError):
            it.hub.take_token("somebody")


async def _rested(folder: Path, *, public: bool = True) -> None:
    """A relay that was stopped when its room had nothing left to do."""
    async with stage(folder, {"class": {"public": public, "origins": ["https://school.example"]}}) as it:
        await it.say("remember this")
        it.advance(700)  # longer than a slice may be
        await it.seal()


async def test_a_room_with_nothing_to_do_sleeps_until_somebody_comes(tmp_path: Path) -> None:
    """After a restart it takes no memory; a reader, a socket or a deed of an administrator finds it as it was."""
    await _rested(tmp_path)
    async with stage(tmp_path, OPEN, asleep=True) as it:
        assert ({}, {"class"}) == (it.hub.rooms, set(it.hub.known_rooms()))
        found = (await it.get("/v1/rooms/class/chat.json?from_ms=0")).json()
        assert 1 == len(found["slices"])
        assert {"class"} == set(it.hub.rooms)
    async with stage(tmp_path, OPEN, asleep=True) as it, it.connected() as client:
        welcome = await client.hello(it.token("class", "student"))
        assert "remember this" in [event.get("text") for event in welcome["events"]]
        assert (await client.say("and this"))["offset"] == it.room().log.position.offset


async def test_a_sleeping_room_changes_and_goes_like_any_other(tmp_path: Path) -> None:
    """New settings wake it; removed, it is gone."""
    await _rested(tmp_path)
    async with stage(tmp_path, OPEN, asleep=True) as it:
        await it.hub.put_room("class", RoomSettings(public=True, title="Limits II"))
        assert "Limits II" == (await it.get("/v1/rooms/class")).json()["title"]
    async with stage(tmp_path, OPEN, asleep=True) as it:
        await it.hub.delete_room("class")
        assert 404 == (await it.get("/v1/rooms/class")).status_code


async def test_a_room_with_something_left_to_seal_is_woken_by_itself(tmp_path: Path) -> None:
    """What was said after the last seal wakes it soon after the start, or no slice would ever have it."""
    await _rested(tmp_path)
    async with stage(tmp_path, OPEN) as it:
        await it.say("just before the stop")
    async with stage(tmp_path, OPEN, asleep=True) as it:
        while "class" not in it.hub.rooms:
            await it.settled()


async def test_a_room_whose_slices_lag_behind_its_log_is_started_first(tmp_path: Path) -> None:
    """A hide that no slice has heard of must reach them before anybody is let in."""
    await _rested(tmp_path)
    stamp = Stamp(stamp="arrival", broadcast=1, program_us=START_US, uncertainty_us=0)
    hide = Draft(room="class", kind="hidden", id="h", stamp=stamp, wall_us=START_US, author=WRITER, target=2)
    with open_store(tmp_path / "data") as store:
        store.writer.call(lambda connection: store.journal.append(connection, hide)).result()
    async with stage(tmp_path, OPEN, asleep=True) as it:
        assert {"class"} == set(it.hub.rooms)


async def test_strangers_wake_nobody(tmp_path: Path) -> None:
    """A room is not started for who may not enter it, and its origins are known while it sleeps."""
    await _rested(tmp_path, public=False)
    private = {"class": {"public": False, "origins": ["https://school.example"]}}
    async with stage(tmp_path, private, asleep=True) as it:
        with pytest.raises(UnknownRoomError):
            await it.hub.entrant("class", None)
        with pytest.raises(UnknownRoomError):
            await it.hub.entrant("class", it.token("other", "stranger"))
        with pytest.raises(UnknownRoomError):
            await it.hub.woken("never")
        answer = await it.get("/v1/rooms/class/chat.json", Origin="https://school.example")
        assert "https://school.example" == answer.headers["Access-Control-Allow-Origin"]
        assert {} == it.hub.rooms


async def test_many_who_come_at_once_wake_a_room_once(tmp_path: Path) -> None:
    """Everyone gets the same room."""
    await _rested(tmp_path)
    async with stage(tmp_path, OPEN, asleep=True) as it:
        found = await asyncio.gather(*(it.hub.entrant("class", None) for _ in range(20)))
        assert 1 == len({id(running) for running, _ in found})
