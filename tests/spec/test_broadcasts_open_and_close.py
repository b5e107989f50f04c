"""Every way a broadcast opens and closes (contract §1 "Broadcast")."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from chatsync.chat.event import Author
from chatsync.chat.wire import SayPlayhead
from chatsync.instants import HOUR_US, MINUTE_US, SECOND_US, us_from_iso
from chatsync.service.clock import ManualClock
from chatsync.service.room_settings import RoomSettings
from chatsync.simulation import Scenario, playlist_at
from tests.stage import START_US, Stage, quiet, stage

LECTURE = Scenario(START_US)
OTHER_URL = "http://127.0.0.1:9/other/index.m3u8"
FELL_BACK = "program_time_fell_back"


def _story(it: Stage, room: str = "class") -> list[tuple[str, int, Any]]:
    """What the room's log says of its broadcasts: kind, number, reason."""
    events = it.room(room).journal.events_after(room, 0, 10_000)
    return [
        (event.kind.removeprefix("broadcast_"), event.broadcast, event.details.get("reason"))
        for event in events
        if event.kind in {"broadcast_opened", "broadcast_closed"}
    ]


OPENED = ("opened", 1, None)


async def test_a_room_that_waits_for_a_stream_has_a_broadcast_already(tmp_path: Path) -> None:
    """Who comes early talks in it, and the first media starts it; no second one opens."""
    async with stage(tmp_path) as it:
        await it.say("anybody here?")
        await it.stream(LECTURE, 20)
        assert [OPENED] == _story(it)
        assert START_US == it.room().broadcasts.current.start_us


async def _changed_url(it: Stage, **settings: Any) -> None:
    """The administrator gives the room other settings; from then on the test loads the playlist again."""
    await it.hub.put_room("class", RoomSettings(public=True, **settings))
    await quiet(it)


async def test_another_playlist_that_continues_nothing_opens_a_new_one(tmp_path: Path) -> None:
    """The old broadcast is closed by the first answer of the new address, not before."""
    async with stage(tmp_path) as it:
        await it.stream(LECTURE, 30)
        await _changed_url(it, playlist_url=OTHER_URL)
        assert [OPENED] == _story(it)
        other = Scenario(it.now_us - 10 * SECOND_US, name="other", first_media_sequence=700)
        await it.reload(playlist_at(other, it.now_us), url=OTHER_URL)
        assert [OPENED, ("closed", 1, "stream_changed"), ("opened", 2, None)] == _story(it)


async def test_another_address_of_the_same_segments_stays_in_the_broadcast(tmp_path: Path) -> None:
    """Moved to another host in the middle of the class: same segments, same run, same broadcast."""
    async with stage(tmp_path) as it:
        await it.stream(LECTURE, 30)
        await _changed_url(it, playlist_url=OTHER_URL)
        it.advance(4)
        await it.reload(playlist_at(LECTURE, it.now_us), url=OTHER_URL)
        await it.stream(LECTURE, 10)
        assert [OPENED] == _story(it)
        assert 1 == len(it.room().timeline.runs)


async def test_the_change_of_address_outlives_a_restart(tmp_path: Path) -> None:
    """A relay that stops before the new address has answered still knows that it was changed."""
    async with stage(tmp_path) as it:
        await it.stream(LECTURE, 30)
        await _changed_url(it, playlist_url=OTHER_URL)
        await it.settled()
        clock = it.clock
    async with stage(tmp_path, {"class": {"public": True, "playlist_url": OTHER_URL}}, clock=clock) as it:
        other = Scenario(it.now_us - 10 * SECOND_US, name="other", first_media_sequence=700)
        await it.reload(playlist_at(other, it.now_us), url=OTHER_URL)
        assert ("closed", 1, "stream_changed") in _story(it)


async def test_a_room_that_loses_its_stream_closes_at_once(tmp_path: Path) -> None:
    """Without a playlist the day's chat begins."""
    async with stage(tmp_path) as it:
        await it.stream(LECTURE, 30)
        await _changed_url(it)
        await it.room().receive_tick()
        assert ("closed", 1, "stream_changed") in _story(it)


async def test_a_room_that_cannot_be_started_goes_on_as_it_was(tmp_path: Path) -> None:
    """Its new settings are refused; nobody is left without a room."""
    async with stage(tmp_path) as it:
        await it.stream(LECTURE, 20)
        missing = RoomSettings(public=True, playlist_url=OTHER_URL, request_headers_file=tmp_path / "nowhere")
        with pytest.raises(Exception, match="request_headers_file"):
            await it.hub.put_room("class", missing)
        assert it.hub.catalog.rooms()["class"]["playlist_url"] != OTHER_URL
        await quiet(it)
        await it.stream(LECTURE, 10)
        assert [OPENED] == _story(it)


async def test_a_clock_set_back_an_hour_opens_a_new_one(tmp_path: Path) -> None:
    """Program time is unique within a broadcast."""
    async with stage(tmp_path) as it:
        await it.stream(Scenario(START_US, stalls=((20, -HOUR_US),)), 44)
        it.advance(HOUR_US / SECOND_US)
        await it.stream(Scenario(START_US, stalls=((20, -HOUR_US),)), 20)
        assert [OPENED, ("closed", 1, FELL_BACK), ("opened", 2, None)] == _story(it)


async def test_a_fall_back_within_hold_back_stays(tmp_path: Path) -> None:
    """Five seconds back, hold-back is six: media sequence tells the moments apart."""
    back = Scenario(START_US, stalls=((20, -5 * SECOND_US),))
    async with stage(tmp_path) as it:
        await it.stream(back, 80)
        assert [OPENED] == _story(it)


async def test_each_round_of_a_looped_encoder_is_a_broadcast(tmp_path: Path) -> None:
    """A file that is played again and again with its dates: nothing of an earlier round moves."""
    loop = 15
    async with stage(tmp_path) as it:
        said = []
        for round_number in range(3):
            shifted = Scenario(START_US, name=f"round{round_number}-", first_media_sequence=round_number * loop)
            for second in range(2, 2 * loop + 1, 2):
                it.advance(2)
                await it.reload(playlist_at(shifted, START_US + second * SECOND_US))
            said.append(await it.say(f"round {round_number}"))
        assert [1, 2, 3] == [one["stamp"].broadcast for one in said]
        assert [START_US + 24 * SECOND_US] * 3 == [one["program_us"] for one in said]
        assert [(1, FELL_BACK), (2, FELL_BACK)] == [(n, why) for kind, n, why in _story(it) if kind == "closed"]
        for one in said:
            event = it.room().journal.event("class", one["offset"])
            assert event is not None
            assert one["program_us"] == event.program_us


@pytest.mark.parametrize("names", ["seg", "other"])
async def test_a_weekly_class_in_one_room_is_a_broadcast_a_week(tmp_path: Path, names: str) -> None:
    """Ended each time; the same address, and perhaps the same names of files."""
    async with stage(tmp_path) as it:
        for week in range(3):
            lecture = Scenario(it.now_us - it.now_us % SECOND_US, ends_after=20, name=names if week else "seg")
            await it.stream(lecture, 60)
            it.advance(7 * 24 * 3600)
        assert [(n, "ended") for n in (1, 2, 3)] == [(n, why) for kind, n, why in _story(it) if kind == "closed"]


async def test_a_weekly_class_whose_encoder_never_ends_its_list_is_one_too(tmp_path: Path) -> None:
    """Fifteen minutes of silence close it; what comes next week opens another."""
    async with stage(tmp_path) as it:
        await it.stream(LECTURE, 40)
        for _ in range(20):
            it.advance(60)
            await it.room().receive_tick()
        assert [OPENED, ("closed", 1, "silence")] == _story(it)
        it.advance(7 * 24 * 3600)
        second = Scenario(it.now_us - 10 * SECOND_US, name="second")
        await it.reload(playlist_at(second, it.now_us))
        assert ("opened", 2, None) == _story(it)[-1]


@pytest.mark.parametrize(("after_s", "skip", "number"), [(10, 0, 1), (55, 0, 1), (70, 0, 2), (10, 3, 2)], ids=str)
async def test_an_end_that_comes_undone(tmp_path: Path, after_s: int, skip: int, number: int) -> None:
    """Within a minute, and with the next number, it reopens; later, or with numbers missing, another one opens."""
    async with stage(tmp_path) as it:
        await it.stream(Scenario(START_US, ends_after=20), 44)
        it.advance(after_s)
        listed = 1 if skip else 30
        later = Scenario(START_US, window_segments=listed)
        await it.reload(playlist_at(later, START_US + (42 + 2 * skip) * SECOND_US))
        assert number == it.room().broadcasts.current.number
        reason = "end_taken_back" if number == 1 else None
        assert [OPENED, ("closed", 1, "ended"), ("opened", number, reason)] == _story(it)


async def test_media_after_a_host_has_closed_opens_a_new_one(tmp_path: Path) -> None:
    """The teacher ended the class; what the encoder sends afterwards is another broadcast."""
    async with stage(tmp_path) as it:
        await it.stream(LECTURE, 30)
        await it.act("broadcast_close", role="host")
        assert [OPENED, ("closed", 1, "host")] == _story(it)
        await it.reload(playlist_at(LECTURE, it.now_us))
        assert 2 == len(_story(it))
        await it.stream(LECTURE, 4)
        assert ("opened", 2, None) == _story(it)[-1]


async def test_a_close_that_is_sent_again_does_not_end_the_next_broadcast(tmp_path: Path) -> None:
    """By HTTP or by socket, also after a restart: it was done, and its ack is the same; another of that host ends it."""
    host, close = "host", {"type": "act", "id": "the end", "action": "broadcast_close"}
    acks = []
    async with stage(tmp_path) as it:
        await it.stream(LECTURE, 30)
        for _ in range(2):
            answer = await it.post("/v1/rooms/class/actions", close, it.token("class", host, "host"))
            acks.append((answer.status_code, answer.json()))
            await it.stream(LECTURE, 4)
        assert [OPENED, ("closed", 1, "host"), ("opened", 2, None)] == _story(it)
        async with it.connected() as client:
            await client.hello(it.token("class", host, "host"))
            acks.append((200, await client.act("broadcast_close", id="the end")))
            await it.settled()
            assert 3 == len(_story(it))
        clock = it.clock
    async with stage(tmp_path, clock=clock) as it:
        await it.post("/v1/rooms/class/actions", close, it.token("class", host, "host"))
        assert 3 == len(_story(it))
        other = close | {"id": "the other end"}
        await it.post("/v1/rooms/class/actions", other, it.token("class", host, "host"))
        await it.post("/v1/rooms/class/actions", close, it.token("class", "other host", "host"))  # ends nothing
        await it.stream(LECTURE, 4)
        await it.post("/v1/rooms/class/actions", close, it.token("class", "other host", "host"))
        assert [("closed", 2, "host"), ("opened", 3, None)] == _story(it)[3:]
        told = (await it.get("/v1/rooms/class/messages?broadcast=2")).text
    assert [(200, {"id": "the end"})] * 2 + [(200, {"type": "ack", "id": "the end"})] == acks
    assert "the end" not in told


def _in_berlin(text: str) -> str:
    """The playlist as ffmpeg writes it in Berlin: local time, the zone without a colon."""

    def local(found: re.Match[str]) -> str:
        moment = datetime.fromtimestamp(us_from_iso(found[1]) / 1e6, UTC).astimezone(ZoneInfo("Europe/Berlin"))
        return f"DATE-TIME:{moment.strftime('%Y-%m-%dT%H:%M:%S.%f')[:-3]}{moment.strftime('%z')}"

    return re.sub(r"DATE-TIME:(\S+)", local, text)


@pytest.mark.parametrize("change", ["2026-10-25T01:00:00Z", "2026-03-29T01:00:00Z"], ids=["autumn", "spring"])
async def test_daylight_saving_time_does_nothing(tmp_path: Path, change: str) -> None:
    """The encoder's local time falls back or jumps by an hour, its offset with it: program time goes on."""
    start_us = us_from_iso(change) - 30 * SECOND_US
    night = Scenario(start_us)
    async with stage(tmp_path, clock=ManualClock(wall_us=start_us)) as it:
        offsets = set()
        said = []
        for _ in range(40):
            it.advance(2)
            text = _in_berlin(playlist_at(night, it.now_us))
            offsets |= set(re.findall(r"DATE-TIME:\S+([+-]\d{4})", text))
            await it.reload(text)
            said.append((await it.say("still up?"))["program_us"])
        assert {"+0100", "+0200"} == offsets
        assert [OPENED] == _story(it)
        assert {2 * SECOND_US} == {later - earlier for earlier, later in pairwise(said[1:])}
        assert () == it.room().timeline.gaps()


async def test_a_room_without_a_stream_turns_at_midnight_utc(tmp_path: Path) -> None:
    """One broadcast a day of chat, whose program time is wall time."""
    night = datetime(2026, 3, 28, 23, 59, 30, tzinfo=UTC)
    rooms = {"class": {"public": True}}
    async with stage(tmp_path, rooms, clock=ManualClock(wall_us=round(night.timestamp()) * SECOND_US)) as it:
        before = await it.say("good night")
        it.clock.advance(MINUTE_US)
        await it.room().receive_tick()
        after = await it.say("good morning")
        assert [OPENED, ("closed", 1, "day"), ("opened", 2, None)] == _story(it)
        assert [1, 2] == [one["stamp"].broadcast for one in (before, after)]
        assert timedelta(minutes=1) == timedelta(microseconds=after["program_us"] - before["program_us"])


@pytest.mark.parametrize("state", ["waiting", "live", "ended", "closed", "silent"])
async def test_a_restart_of_the_relay_opens_and_closes_nothing(tmp_path: Path, state: str) -> None:
    """In whatever state it stops."""
    lecture = Scenario(START_US, ends_after=10) if state == "ended" else LECTURE
    async with stage(tmp_path) as it:
        if state != "waiting":
            await it.stream(lecture, 24)
        if state == "closed":
            await it.act("broadcast_close", role="host")
        if state == "silent":
            for _ in range(16):
                it.advance(60)
                await it.room().receive_tick()
        story = _story(it)
        await it.settled()
        clock = it.clock
    async with stage(tmp_path, clock=clock) as it:
        await it.room().receive_tick()
        await it.reload(playlist_at(lecture, START_US + 24 * SECOND_US) if state != "waiting" else "#EXTM3U\n")
        assert story == _story(it)


async def test_a_new_broadcast_starts_empty_and_carries_on_who_may_write(tmp_path: Path) -> None:
    """Pins, hands and questions start empty; chat.json lists both, each with slices of its own."""
    async with stage(tmp_path) as it:
        await it.stream(Scenario(START_US, ends_after=20), 30)
        await it.say("why?", kind="question")
        await it.act("pin", text="page 42")
        await it.stream(Scenario(START_US, ends_after=20), 30)
        it.advance(3600)
        second = Scenario(it.now_us - 4 * SECOND_US, name="second")
        await it.stream(second, 10)
        state = it.room().edge.to_wire()
        assert ([], [], []) == (state["pinned"], state["hands"], state["questions"])
        assert [1, 2] == sorted(one["broadcast"] for one in (await it.chat())["broadcasts"])


async def test_a_moderator_who_has_rewound_pins_at_the_edge(tmp_path: Path) -> None:
    """Their player shows last week's class; the pin is for this one. What they say belongs to what they see."""
    async with stage(tmp_path) as it:
        await it.stream(Scenario(START_US, ends_after=20), 60)
        it.advance(300)
        await it.stream(Scenario(it.now_us - 4 * SECOND_US, name="second"), 10)
        rewound = SayPlayhead(1, (START_US + 10 * SECOND_US) // 1000, None, None, at_live=False)
        moderator = Author(key="b" * 16, name="Ms Ada", role="moderator")
        pinned = await it.say("page 42", kind="pinned", author=moderator, claim=rewound)
        said = await it.say("look at this", author=moderator, claim=rewound)
        assert (2, "origin") == (pinned["stamp"].broadcast, pinned["stamp"].stamp)
        assert 1 == said["stamp"].broadcast
        assert [pinned["offset"]] == [one["offset"] for one in it.room().edge.to_wire()["pinned"]]
