"""A chat elsewhere becomes a room's: whose words, where they stand, what is taken away, what is missing."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from chatsync.chat.event import Author, Event
from chatsync.instants import MINUTE_US, SECOND_US
from chatsync.service.capturing import SentTimes
from chatsync.service.clock import ManualClock
from chatsync.simulation import Scenario
from tests.irc_servers import ScriptedServer, scripted
from tests.stage import START_US, URL, Stage, stage

S = SECOND_US


async def until(condition: Callable[[], Any]) -> None:
    """Wait for what other tasks do."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  it is others that change
            await asyncio.sleep(0.005)


def rooms(server: ScriptedServer, *, stream: bool = False, **given: Any) -> dict[str, dict[str, Any]]:
    """A room that takes in the server's channel."""
    source = {"url": server.url} | given.pop("source", {})
    return {"class": {"public": True, "source": source} | ({"playlist_url": URL} if stream else {}) | given}


@asynccontextmanager
async def capturing(
    folder: Path, server: ScriptedServer, clock: ManualClock | None = None, **given: Any
) -> AsyncIterator[Stage]:
    """A relay whose room takes in the channel, connected."""
    allowed = {"loopback_origins": (f"127.0.0.1:{server.port}",), "limits": given.pop("limits", {})}
    async with stage(folder, rooms(server, **given), clock=clock, **allowed) as it:
        listen(it)
        await server.joined()
        await until(lambda: told_of(it)["connected"])
        yield it


def listen(it: Stage) -> None:
    """On stage rooms do nothing by themselves; this one captures again."""
    running = it.hub.room("class")
    assert running.capturing is not None
    running.tasks.append(asyncio.create_task(running.capturing.run()))


def told_of(it: Stage) -> dict[str, Any]:
    """How the capturing stands."""
    capturing = it.hub.room("class").capturing
    assert capturing is not None
    return capturing.to_wire()


def events(it: Stage, *kinds: str) -> list[Event]:
    """The room's log, of these kinds."""
    return [one for one in it.room().journal.last_events("class", 10_000) if one.kind in (kinds or ("message",))]


def texts(it: Stage, *kinds: str) -> list[str | None]:
    """What they say; None where it was taken away."""
    return [one.text for one in events(it, *kinds)]


async def taken(it: Stage, count: int, *kinds: str) -> list[Event]:
    """Wait until so many are in the log."""
    await until(lambda: len(events(it, *kinds)) >= count)
    return events(it, *kinds)


async def test_what_is_said_there_is_said_here(tmp_path: Path) -> None:
    """By a participant of a namespace of their own, with badges that grant nothing; live viewers and slices have it."""
    async with scripted() as server, capturing(tmp_path, server) as it, it.connected() as client:
        await client.hello(None)
        await server.say("amina", "why is it negative?", badges="broadcaster/1,subscriber/12", id="7f1")
        [event] = await taken(it, 1)
        await client.until(lambda: any(one["kind"] == "message" for one in client.events))
        assert event.author is not None
        assert ("irc:7f1", "irc", "participant", "Amina", ("irc", "broadcaster", "subscriber")) == (
            event.id,
            event.source,
            event.author.role,
            event.author.name,
            event.author.badges,
        )
        ours = it.hub.people.key("class", "7519")
        assert event.author.key not in {ours, it.hub.people.key("class", "ingest:7519")}
        assert ["why is it negative?"] == [one["text"] for one in client.events if one["kind"] == "message"]
        assert ["why is it negative?"] == [one["text"] for one in await it.replayed() if one["kind"] == "message"]
        assert {} == event.details


async def test_kinds_and_replies_are_carried(tmp_path: Path) -> None:
    """Paid, a notice of the network, an action, a reply; long texts and controls are made to fit."""
    async with scripted() as server, capturing(tmp_path, server) as it:
        first = await server.say("amina", "first", id="1")
        await server.say("bo", "answer", id="2", reply_parent_msg_id=first)
        await server.say("bo", "Cheer100 nice", id="3", bits="100")
        await server.say("bo", "\x01ACTION waves\x01", id="4")
        await server.send_line(
            "@id=5;login=bo;user-id=8;msg-id=resub;system-msg=Bo\\ssubscribed. :tmi.twitch.tv USERNOTICE #proflinear :yay"
        )
        await server.say("bo", "x" * 900, id="6")
        await server.say("bo", "\x02\x03", id="7")
        await server.say("bo", "last\x07", id="8")
        kinds = ("message", "paid", "system")
        found = await taken(it, 7, *kinds)
        assert ["message", "message", "paid", "message", "system", "message", "message"] == [e.kind for e in found]
        assert found[0].offset == found[1].reply_to
        assert {"amount": 100, "currency": "bits"} == found[2].details
        assert ({"action": True}, "waves") == (found[3].details, found[3].text)
        assert ({"notice": "resub"}, "Bo subscribed.\nyay") == (found[4].details, found[4].text)
        assert "x" * 499 + "…" == found[5].text
        assert "last" == found[6].text
        assert b'chatsync_source_lines_total{outcome="empty",room="class"} 1.0' in it.hub.metrics.exposition()


async def test_a_deletion_there_hides_here(tmp_path: Path) -> None:
    """One message, all of a person, everything; nobody's deed, so nothing in the audit log, and no text is left."""
    async with scripted() as server, capturing(tmp_path, server) as it:
        for number, (name, text) in enumerate([("amina", "a"), ("bo", "b"), ("amina", "c"), ("chi", "d"), ("di", "e")]):
            await server.say(name, text, id=str(number))
        await server.remove("b")
        await server.clear("amina")
        await until(lambda: [None, None, None, "d", "e"] == texts(it))
        own = await it.say("of this room")
        await server.clear()
        await until(lambda: [None] * 5 + ["of this room"] == texts(it))
        hidden = events(it, "hidden")
        assert {("system", None)} == {(one.source, one.author) for one in hidden}
        assert 5 == len(hidden)
        assert ["of this room"] == [one["text"] for one in await it.replayed() if one["kind"] == "message"]
        assert own["offset"] not in {one.target for one in hidden}


async def test_a_person_who_is_sent_out_keeps_what_they_said_in_other_broadcasts(tmp_path: Path) -> None:
    """There it is gone from the chat of today, not from recordings."""
    async with scripted() as server, capturing(tmp_path, server) as it:
        await server.say("amina", "yesterday")
        await taken(it, 1)
        it.advance(24 * 3_600)
        await it.room().receive_tick()
        await server.say("amina", "today")
        found = await taken(it, 2)
        assert found[0].broadcast < found[1].broadcast
        await server.clear("amina")
        await until(lambda: ["yesterday", None] == texts(it))


async def test_a_deletion_of_what_is_not_known_changes_nothing(tmp_path: Path) -> None:
    """Of something said before we came, or of nobody."""
    async with scripted() as server, capturing(tmp_path, server) as it:
        await server.send_line("@target-msg-id=nowhere :tmi.twitch.tv CLEARMSG #proflinear :x")
        await server.clear("nobody")
        await server.say("amina", "still here")
        await taken(it, 1)
        assert ["still here"] == texts(it)


async def test_what_comes_again_is_there_once(tmp_path: Path) -> None:
    """By the source's id, also after a new connection and under a changed name."""
    async with scripted() as server, capturing(tmp_path, server) as it:
        await server.say("amina", "once", id="1")
        await taken(it, 1)
        await server.drop()
        it.advance(2)
        await server.joined()
        await server.say("amina", "once", id="1")
        await server.say("amina", "twice", id="2")
        await taken(it, 2)
        assert ["once", "twice"] == texts(it)


async def test_a_gap_is_recorded_where_nobody_listened(tmp_path: Path) -> None:
    """In the log, in the playlist of chat, as unknown in activity: from the last sign of life to the new connection."""
    async with scripted() as server, capturing(tmp_path, server) as it:
        it.advance(5)
        await server.say("amina", "before")
        await taken(it, 1)
        it.advance(30)
        port = server.port
        await server.stop()
        await until(lambda: not told_of(it)["connected"])
        it.advance(120)
        await server.start(port)
        await server.joined()
        [gap] = await taken(it, 1, "capture_gap")
        await server.say("amina", "after")
        await taken(it, 2)
        assert ("system", "source", "irc") == (gap.source, gap.details["reason"], gap.details["source"])
        start_ms, end_ms = START_US // 1_000 + 5_000, START_US // 1_000 + 155_000
        assert (start_ms, end_ms) == (gap.details["start_ms"], gap.details["end_ms"])
        assert [{"start_ms": start_ms, "end_ms": end_ms, "reason": "capture"}] == (await it.chat())["gaps"]
        it.advance(60)
        answer = await it.get(
            f"/v1/rooms/class/activity?bucket_ms=10000&from_ms={start_ms - 5_000}&to_ms={start_ms + 200_000}"
        )
        assert [1, *[None] * 14] == answer.json()["counts"][:15]


async def test_a_gap_that_lasts_is_known_while_it_lasts(tmp_path: Path) -> None:
    """It grows in the record; only its end is an event."""
    async with scripted() as server, capturing(tmp_path, server) as it:
        await server.stop()
        await until(lambda: it.room().records.gaps(1))
        it.advance(60)
        await until(lambda: it.room().records.gaps(1)[0][0].duration_us >= 60 * S)
        assert [] == events(it, "capture_gap")
        assert 1 == len(it.room().records.gaps(1))


async def test_what_the_disk_would_not_take_is_a_gap(tmp_path: Path) -> None:
    """It ends when something is stored again, though the connection stood all the while."""
    async with scripted() as server, capturing(tmp_path, server) as it:
        await server.say("amina", "before")
        await taken(it, 1)
        await asyncio.wrap_future(it.hub.writer.call(lambda connection: _set_pages(connection, 1)))
        refused = b'chatsync_source_lines_total{outcome="storage_full",room="class"}'
        number = 0
        while refused not in it.hub.metrics.exposition():
            number += 1
            await server.say("amina", f"{number} {'x' * 400}")
            await asyncio.sleep(0.002)
        await asyncio.wrap_future(it.hub.writer.call(lambda connection: _set_pages(connection, 1 << 30)))
        it.advance(20)
        await server.say("amina", "after")
        [gap] = await taken(it, 1, "capture_gap")
        assert ("storage", 20_000) == (gap.details["reason"], gap.details["end_ms"] - gap.details["start_ms"])
        assert 1 == server.connections


def _set_pages(connection: sqlite3.Connection, count: int) -> None:
    connection.execute(f"PRAGMA max_page_count = {count}")


async def test_a_restart_is_a_gap_and_the_first_connection_is_none(tmp_path: Path) -> None:
    """From the last sign of life of before; a room whose source is another one misses nothing of it."""
    clock = ManualClock(wall_us=START_US)
    async with scripted() as server:
        async with capturing(tmp_path, server, clock) as it:
            assert [] == events(it, "capture_gap")
            await server.say("amina", "before", id="1")
            await taken(it, 1)
        clock.advance(90 * S)
        async with capturing(tmp_path, server, clock) as it:
            [gap] = await taken(it, 1, "capture_gap")
            assert 90_000 == gap.details["end_ms"] - gap.details["start_ms"]
            await server.say("amina", "before", id="1")
            await server.remove("before")
            await until(lambda: [None] == texts(it))
        clock.advance(90 * S)
        server.url = server.url.replace("proflinear", "PROFLINEAR")
        async with capturing(tmp_path, server, clock) as it:
            assert 1 == len(events(it, "capture_gap"))


@pytest.mark.parametrize(("source", "latency_s"), [({"latency_ms": 12_000}, 12), ({}, 6)])
async def test_stamps_are_estimates_less_the_latency(tmp_path: Path, source: dict[str, Any], latency_s: int) -> None:
    """Where one is set; else the room's own, which is hold-back while nobody tells more."""
    async with scripted() as server, capturing(tmp_path, server, stream=True, source=source) as it:
        await it.stream(Scenario(start_us=START_US), 60)
        await server.say("amina", "there it is")
        [event] = await taken(it, 1)
        assert "estimate" == event.stamp.stamp
        assert it.room().program_us() - latency_s * S == event.program_us
        assert event.stamp.uncertainty_us >= S
        watermark_us = it.room().watermark_us()
        assert watermark_us is not None
        assert watermark_us < event.program_us


async def test_the_latency_is_learned_from_what_both_chats_write(tmp_path: Path) -> None:
    """Of moments that make both write; from then on it is what stamps are made by."""
    async with scripted() as server, capturing(tmp_path, server, stream=True) as it:
        scenario = Scenario(start_us=START_US)
        await it.stream(scenario, 30)
        for number in range(25):
            moment_us = it.room().program_us() - 5 * S
            await it.said_at(moment_us, f"oh {number}", author=f"s{number}")
            await it.stream(scenario, 4)
            await server.say(f"them{number}", f"oh! {number}")  # 9 s after it happened
            await taken(it, 2 * number + 2)
            await it.stream(scenario, 13 + number * number % 17)
        await until(lambda: "learned" == told_of(it)["latency"])
        assert abs(told_of(it)["latency_ms"] - 9_000) <= 500
        await server.say("amina", "and now")
        event = (await taken(it, 51))[-1]
        assert told_of(it)["latency_ms"] == (event.stamp.latency_us or 0) // 1_000


async def test_when_it_was_sent_counts_not_when_it_came(tmp_path: Path) -> None:
    """What was held up on the way stands where it was said, whatever the source's clock says."""
    async with scripted() as server, capturing(tmp_path, server) as it:
        apart_ms = START_US // 1_000 - 7_000_000  # their clock is wrong by two hours
        it.advance(100)
        server.sent_ms = apart_ms + 100_000
        await server.say("amina", "at once")
        await taken(it, 1)
        it.advance(20)
        server.sent_ms = apart_ms + 105_000
        await server.say("amina", "held up for 15 s")
        found = await taken(it, 2)
        assert [START_US + 100 * S, START_US + 105 * S] == [one.program_us for one in found]


def test_times_of_sending_are_read_by_the_fastest_of_five_minutes() -> None:
    """A source without them is taken as it comes; so is what is said to be older than five minutes."""
    sent = SentTimes()
    assert 50 * S == sent.wall_us(None, 50 * S)
    assert 100 * S == sent.wall_us(90 * S, 100 * S)
    assert 108 * S == sent.wall_us(98 * S, 110 * S)
    assert 120 * S == sent.wall_us(115 * S, 120 * S)  # faster than any before: it was not held up
    assert 125 * S == sent.wall_us(120 * S, 130 * S)
    assert 140 * S == sent.wall_us(140 * S - 10 * MINUTE_US, 140 * S)
    assert 900 * S == sent.wall_us(890 * S, 900 * S)  # what was fast ten minutes ago says nothing now


async def test_the_rules_of_the_room_hold_for_strangers(tmp_path: Path) -> None:
    """Mutes, modes and lists of words: what is not let in is counted, what is held waits, and goes when it is removed there."""
    screening = {"refused_words": ["spoiler"], "held_words": ["doubt"]}
    async with scripted() as server, capturing(tmp_path, server, screening=screening) as it:
        await server.say("amina", "a spoiler")
        await server.say("amina", "a doubt", id="d")
        await server.say("amina", "fine")
        [held] = await taken(it, 1, "held")
        [fine] = await taken(it, 1)
        assert ("a doubt", "fine") == (held.text, fine.text)
        await server.remove("a doubt")
        await until(lambda: events(it, "held")[0].hidden)
        assert fine.author is not None
        await it.act("mute", author=fine.author.key)
        await server.say("amina", "muted")
        await server.say("bo", "not muted")
        await taken(it, 2)
        await it.act("mode", role="host", mode={"write": "hosts"})
        await server.say("bo", "nobody writes now")
        counted = b'chatsync_source_lines_total{outcome="not_now",room="class"} 1.0'
        await until(lambda: counted in it.hub.metrics.exposition())
        assert ["fine", "not muted"] == texts(it)


async def test_what_was_held_is_known_once_it_is_approved(tmp_path: Path) -> None:
    """It can be taken away there, and replied to."""
    async with scripted() as server, capturing(tmp_path, server, screening={"held_words": ["doubt"]}) as it:
        await server.say("amina", "a doubt", id="d")
        [held] = await taken(it, 1, "held")
        await it.act("approve", target=held.offset)
        await taken(it, 1)
        await server.remove("a doubt")
        await until(lambda: [None] == texts(it))


async def test_nobody_passes_for_one_of_ours(tmp_path: Path) -> None:
    """A name like a host's is replaced, as is one without anything to read; a number where names are numbers."""
    async with scripted() as server, capturing(tmp_path, server) as it:
        it.room().floor.note_staff(Author(key="k" * 16, name="Amina", role="host"))
        await server.say("amina", "I am the host")
        await server.say("bo", "me too", display_name="Аmina")  # with a letter of another script
        await server.say("chi", "and I", display_name="\\s\u200b")
        names = [one.author.name for one in await taken(it, 3) if one.author is not None]
        assert all(name.startswith("irc ") for name in names)
        assert 3 == len(set(names))
    async with scripted() as server, capturing(tmp_path / "numbered", server, names="numbered") as it:
        await server.say("amina", "hi", badges="vip/1")
        [event] = await taken(it, 1)
        assert event.author is not None
        assert (True, ("irc",)) == (event.author.name.startswith("Student "), event.author.badges)


async def test_a_flood_is_bounded_and_counted(tmp_path: Path) -> None:
    """Beyond the rate nothing is written."""
    limits = {"source_lines_per_s": 1, "source_lines_burst": 5}
    async with scripted() as server, capturing(tmp_path, server, limits=limits) as it:
        for number in range(20):
            await server.say("amina", f"message {number}")
        counted = b'chatsync_source_lines_total{outcome="too_many",room="class"} 15.0'
        await until(lambda: counted in it.hub.metrics.exposition())
        assert 5 == len(await taken(it, 5))


async def test_how_it_stands_is_told_to_those_who_run_the_room(tmp_path: Path) -> None:
    """In the room's answer and in metrics; nobody else learns that there is a source, and nobody its address."""
    async with scripted() as server, capturing(tmp_path, server, source={"latency_ms": 9_000}) as it:
        told = (await it.get("/v1/rooms/class", it.token("class", "boss", "host"))).json()["source"]
        since_ms = START_US // 1_000
        assert {
            "source": "irc",
            "connected": True,
            "since_ms": since_ms,
            "reason": None,
            "latency_ms": 9_000,
            "latency": "set",
        } == told
        assert (await it.get("/v1/rooms/class")).json()["source"] is None
        assert b'chatsync_source_connected{room="class"} 1.0' in it.hub.metrics.exposition()
        await server.stop()
        await until(lambda: b'chatsync_source_connected{room="class"} 0.0' in it.hub.metrics.exposition())
        answer = await it.get("/v1/rooms/class", it.token("class", "boss", "host"))
        assert answer.json()["source"]["reason"]
        assert str(server.port) not in answer.text


async def test_an_address_inside_is_not_reached(tmp_path: Path) -> None:
    """Unless the operator has named it: who may make rooms must not look around in our network."""
    async with scripted() as server, stage(tmp_path, rooms(server)) as it:
        listen(it)
        await until(lambda: "not connected yet" != told_of(it)["reason"])
        assert "the port is not one that may be asked" == told_of(it)["reason"]
        assert 0 == server.connections


async def test_settings_that_change_begin_anew(tmp_path: Path) -> None:
    """A room that is put without a source is left in peace; a file is named in the settings alone."""
    async with scripted() as server, capturing(tmp_path, server) as it:
        settings = it.room().settings
        await it.hub.put_room("class", settings.model_copy(update={"source": type(settings.source)()}))
        assert it.hub.room("class").capturing is None
        admin = it.hub.authority.mint("boss", wall_us=it.clock.system_wall_us(), admin=True)
        body = {"source": {"url": server.url, "secret_file": "/etc/passwd"}}
        answer = await it.http.put("/v1/rooms/class", json=body, headers={"Authorization": f"Bearer {admin}"})
        assert "headers_file" == answer.json()["reason"]
