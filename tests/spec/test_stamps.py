"""Each kind of stamp, from a player's frame to what viewers are told (contract §1, "Stamp of an event")."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chatsync.hls.follower import Follower
from chatsync.instants import SECOND_US
from chatsync.service.auth import PersonRole
from chatsync.service.following import ENDED_RELOAD_US
from chatsync.simulation import Scenario, playlist_at
from tests.relay import Client
from tests.stage import START_US, Stage, stage

LECTURE = Scenario(START_US)
LAG_S = 4  # the newest media is so old when it reaches the origin


async def _play(it: Stage, seconds: float, scenario: Scenario = LECTURE) -> None:
    """Let time pass with a stream whose newest media is ``LAG_S`` old."""
    left_s = seconds
    while left_s > 0:
        it.advance(2)
        left_s -= 2
        await it.reload(playlist_at(scenario, it.now_us - LAG_S * SECOND_US))


def _playhead(it: Stage, behind_s: float, **given: Any) -> dict[str, Any]:
    """A player that shows what was recorded ``behind_s`` ago."""
    program_ms = it.now_us // 1000 - round(behind_s * 1000)
    return {"broadcast": 1, "program_ms": program_ms} | given


async def _watching(
    it: Stage, client: Client, name: str, behind_s: float, *, role: PersonRole = "participant", **given: Any
) -> None:
    await client.hello(it.token("class", name, role))
    report = {"rate": 1.0, "paused": False, "at_live": True} | given
    await client.send({"type": "playhead", **_playhead(it, behind_s), **report})


async def _told(client: Client, offset: int) -> dict[str, Any]:
    await client.until(lambda: any(event["offset"] == offset for event in client.events))
    found: dict[str, Any] = next(event for event in client.events if event["offset"] == offset)
    return found


async def _stamped(client: Client, ack: dict[str, Any]) -> tuple[str, int, int]:
    """Kind, program time and uncertainty that everyone is told; the ack says the same."""
    event = await _told(client, ack["offset"])
    assert (ack["stamp"], ack["program_ms"]) == (event["stamp"], event["program_ms"])
    return event["stamp"], event["program_ms"], event["uncertainty_ms"]


async def test_a_playhead_is_believed_when_reports_lead_there(tmp_path: Path) -> None:
    """The claim is taken to the millisecond, uncertain by a frame; who has rewound is told to be behind."""
    async with stage(tmp_path) as it, it.connected() as client, it.connected() as rewound:
        await _play(it, 120)
        await _watching(it, client, "live", 9.25)
        ack = await client.say("now", playhead=_playhead(it, 9.25))
        assert ("playhead", it.now_us // 1000 - 9_250, 40) == await _stamped(client, ack)
        await _watching(it, rewound, "rewound", 90, at_live=False)
        ack = await rewound.say("back then", playhead=_playhead(it, 90))
        assert "playhead" == ack["stamp"]
        assert 60_000 < (await _told(rewound, ack["offset"]))["behind_live_ms"] < 90_000


async def test_a_claim_that_does_not_stand_up_is_estimated(tmp_path: Path) -> None:
    """Without reports, far from them, too far back, or ahead of the clock: an estimate, at the clock less the room's latency."""
    async with stage(tmp_path) as it, it.connected() as silent, it.connected() as client:
        await _play(it, 700)
        expected_ms = it.room().clock_ms() - it.room().hold_back_us // 1000  # type: ignore[operator]
        await silent.hello(it.token("class", "silent"))
        ack = await silent.say("no report", playhead=_playhead(it, 9))
        assert ("estimate", expected_ms, 1_000) == await _stamped(silent, ack)
        await _watching(it, client, "liar", 9)
        for claim in (_playhead(it, 20), _playhead(it, 660), _playhead(it, -5), _playhead(it, 9, broadcast=7)):
            ack = await client.say("somewhere else", playhead=claim)
            assert "estimate" == ack["stamp"]
            assert expected_ms == ack["program_ms"]


async def test_an_estimate_uses_the_latency_of_those_at_the_edge(tmp_path: Path) -> None:
    """With three or more people at the edge, their median latency places everybody else."""
    async with (
        stage(tmp_path) as it,
        it.connected() as first,
        it.connected() as second,
        it.connected() as third,
        it.connected() as silent,
    ):
        await _play(it, 60)
        for name, client, behind_s in (("a", first, 8), ("b", second, 10), ("c", third, 30)):
            await _watching(it, client, name, behind_s)
        await silent.hello(it.token("class", "silent"))
        for client in (first, second, third):
            await client.send({"type": "ping"})
            await client.until(lambda client=client: any(frame["type"] == "pong" for frame in client.frames))
        it.advance(1)
        ack = await silent.say("like the others")
        assert "estimate" == ack["stamp"]
        assert it.now_us // 1000 - 10_000 == ack["program_ms"]


async def test_a_host_at_the_camera_speaks_at_the_encoders_now(tmp_path: Path) -> None:
    """A host without a player stands at wall time; with a player, where it plays; a pin is at the encoder's now in any case."""
    async with stage(tmp_path) as it, it.connected() as camera, it.connected() as player:
        await _play(it, 60)
        await camera.hello(it.token("class", "teacher", "host"))
        assert ("origin", it.now_us // 1000, LAG_S * 1000) == await _stamped(camera, await camera.say("here"))
        await _watching(it, player, "teacher", 9, role="host")
        ack = await player.say("there", playhead=_playhead(it, 9))
        assert "playhead" == ack["stamp"]
        pin = await player.act("pin", text="Page 42", playhead=_playhead(it, 9))
        assert ("origin", it.now_us // 1000) == (pin["stamp"], pin["program_ms"])


async def test_while_the_origin_stalls_stamps_say_arrival_and_are_put_right(tmp_path: Path) -> None:
    """Nothing new for two target durations: `arrival`; when media goes on where it stopped, what lies after it moves there."""
    async with stage(tmp_path) as it, it.connected() as client:
        await _play(it, 60)
        edge_ms = it.room().broadcasts.current.clock.edge_us // 1000  # type: ignore[operator]
        await client.hello(it.token("class", "waiting"))
        it.advance(30)
        ack = await client.say("is it frozen for you too?")
        assert ("arrival", it.now_us // 1000 - LAG_S * 1000) == (ack["stamp"], ack["program_ms"])
        await it.reload(playlist_at(LECTURE, START_US + 60 * SECOND_US))
        await client.until(lambda: any(frame["type"] == "back" for frame in client.frames))
        (back,) = [frame for frame in client.frames if frame["type"] == "back"]
        moved = {event["offset"]: (event["stamp"], event["program_ms"]) for event in back["events"]}
        assert ("arrival", edge_ms) == moved[ack["offset"]]


async def test_after_the_end_the_clock_coasts_on(tmp_path: Path) -> None:
    """Chat after class follows the end of the media: `arrival`, on the clock."""
    ending = Scenario(START_US, ends_after=20)
    async with stage(tmp_path) as it, it.connected() as client:
        await _play(it, 60, ending)
        assert it.room().broadcasts.current.is_closed
        await client.hello(it.token("class", "student"))
        it.advance(60)
        ack = await client.say("thank you!")
        assert "arrival" == ack["stamp"]
        assert START_US // 1000 + 100_000 <= ack["program_ms"]


async def test_before_the_first_program_time_stamps_are_rebased_once(tmp_path: Path) -> None:
    """In the waiting room: `none` at wall time, nothing sealed; the first date moves all by the lag, on the sockets too."""
    async with stage(tmp_path) as it, it.connected() as client:
        await client.hello(it.token("class", "early"))
        assert client.welcome["clock_ms"] is None
        it.advance(1)
        ack = await client.say("is it on yet?")
        assert ("none", it.now_us // 1000) == (ack["stamp"], ack["program_ms"])
        await it.seal()
        assert (await it.chat())["sealed_until_ms"] is None
        it.advance(10)
        lag_us = 4 * SECOND_US
        await it.reload(playlist_at(Scenario(it.now_us - 10 * SECOND_US), it.now_us - lag_us))
        await client.until(lambda: any(frame["type"] == "back" for frame in client.frames))
        moved = {
            event["offset"]: event["program_ms"] for f in client.frames if f["type"] == "back" for event in f["events"]
        }
        assert ack["program_ms"] - it.room().broadcasts.current.clock.lag_us // 1000 == moved[ack["offset"]]


async def test_a_room_without_a_stream_runs_on_wall_time(tmp_path: Path) -> None:
    """Program time is wall time, stamps say `none`, and slices are sealed as ever."""
    async with stage(tmp_path, {"class": {"public": True}}) as it:
        said = await it.say("hello")
        assert ("none", it.now_us) == (said["stamp"].stamp, said["program_us"])
        it.advance(700)
        await it.seal()
        assert 1 == len((await it.chat(query="from_ms=0"))["slices"])


async def test_a_stream_that_never_gives_a_date_gets_an_axis_of_ours(tmp_path: Path) -> None:
    """No date after a few target durations: first edge is now, stamps say `none`, and the timeline maps media to that axis."""
    undated = Scenario(START_US, dated=False)
    async with stage(tmp_path) as it:
        live = it.room()
        follower = Follower("http://127.0.0.1:9/live.m3u8", now_us=it.now_us)
        it.advance(20)
        follower.receive_playlist(playlist_at(undated, it.now_us), url="http://o/live.m3u8", age_us=0, now_us=it.now_us)
        timeline = follower.timeline.with_synthetic_axis(it.now_us)
        it.advance(2)
        follower.timeline = timeline
        reload = follower.receive_playlist(
            playlist_at(undated, it.now_us), url="http://o/live.m3u8", age_us=0, now_us=it.now_us
        )
        await live.receive_reload(follower.timeline, reload, age_us=0)
        said = await it.say("what time is it?")
        assert "none" == said["stamp"].stamp
        answer = (await it.get("/v1/rooms/class/timeline")).json()
        assert {"synthetic"} == {segment["source"] for segment in answer["segments"]}
        assert all(segment["program_ms"] is not None for segment in answer["segments"])


async def test_a_platforms_old_messages_stand_where_they_were_received(tmp_path: Path) -> None:
    """An ingested message with `wall_ms` is stamped as of then, never later than now."""
    async with stage(tmp_path) as it:
        await _play(it, 120)
        headers = it.token("class", "feed", None, ("ingest",))
        body = {"id": "m-1", "author": {"id": "u1", "name": "Ada"}, "text": "hi", "wall_ms": it.now_us // 1000 - 30_000}
        (then,) = (await it.post("/v1/rooms/class/messages", body, headers)).json()["results"]
        future = body | {"id": "m-2", "wall_ms": it.now_us // 1000 + 86_400_000}
        (now,) = (await it.post("/v1/rooms/class/messages", future, headers)).json()["results"]
        assert ("estimate", "estimate", 30_000) == (then["stamp"], now["stamp"], now["program_ms"] - then["program_ms"])


def test_an_ended_playlist_is_looked_at_again() -> None:
    """Next week's class may use the same address."""
    assert 0 < ENDED_RELOAD_US <= 60 * SECOND_US
