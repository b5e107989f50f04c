"""Stamps are a pure function of the record, and can be made again from it: one event, new slice revisions (decision 0013)."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from chatsync.instants import SECOND_US
from chatsync.replay.clock import LatencyBook, ProgramClock
from chatsync.replay.stamping import Scene, StampingPolicy, Witness, stamped
from chatsync.service.live_room import LiveRoom
from chatsync.simulation import Scenario, playlist_at
from chatsync.store.opening import open_store
from tests.relay import SECRET
from tests.stage import START_US, Stage, stage

LECTURE = Scenario(START_US)


async def _begun_late(it: Stage) -> dict[str, Any]:
    """The first reload comes 1.5 s after its edge, and somebody speaks before a better one does; then all goes well."""
    it.advance(5.5)
    await it.reload(playlist_at(LECTURE, it.now_us))
    said = await it.say("hello")
    assert ("estimate", START_US - 2 * SECOND_US) == (said["stamp"].stamp, said["program_us"])
    it.advance(0.5)
    await it.stream(LECTURE, 660, step_s=2)
    return said


async def _restamped(it: Stage, query: str = "") -> Any:
    token = it.hub.authority.mint(
        "operator", wall_us=it.clock.system_wall_us(), lifetime_us=60 * SECOND_US, rooms=("class",), admin=True
    )
    answer = await it.post(f"/v1/rooms/class/restamp?{query}", None, token)
    assert 200 == answer.status_code, answer.text
    return answer.json()["broadcasts"]


async def test_an_estimate_made_too_early_is_put_right(tmp_path: Path) -> None:
    """Reloads after it show how late the clock was; the event moves by just that, and the slices say so."""
    async with stage(tmp_path) as it:
        said = await _begun_late(it)
        exact = await it.said_at(it.now_us - 10 * SECOND_US, "seen")
        await it.seal()
        before = {event["offset"]: event["program_ms"] for event in await it.replayed()}
        entries = (await it.chat(query="from_ms=0"))["slices"]
        async with it.connected() as staff:
            await staff.hello(it.token("class", "mod", "moderator"))
            (result,) = await _restamped(it)
            await it.settled()
            it.room().flush()
            await staff.until(lambda: any("back" == frame["type"] for frame in staff.frames))
        assert (1, 1_500) == (result["moved"], result["largest_ms"])
        await it.seal()
        after = {event["offset"]: event["program_ms"] for event in await it.replayed()}
        assert before[said["offset"]] + 1_500 == after[said["offset"]]
        assert before[exact] == after[exact]
        revised = (await it.chat(query="from_ms=0"))["slices"]
        assert entries[0]["revision"] < revised[0]["revision"]
        cause = it.room().journal.event("class", result["offset"])
        assert cause is not None
        assert ("restamped", "record", 1) == (cause.kind, cause.details["rule"], cause.details["moved"])
        assert (said["offset"],) == it.room().journal.affected(cause)


async def test_a_dry_run_moves_nothing_and_a_second_run_finds_nothing(tmp_path: Path) -> None:
    """What would move is told first; once it has moved, the record agrees with the log."""
    async with stage(tmp_path) as it:
        said = await _begun_late(it)
        (looked,) = await _restamped(it, "dry_run=true")
        assert (1, None) == (looked["moved"], looked["offset"])
        untouched = it.room().journal.event("class", said["offset"])
        assert untouched is not None
        assert said["program_us"] == untouched.program_us
        assert [1, 0] == [(await _restamped(it, "broadcast=1"))[0]["moved"] for _ in range(2)]


async def test_it_is_the_administrators_deed(tmp_path: Path) -> None:
    """A host's token does not open the admin API, and no token does not either."""
    async with stage(tmp_path) as it:
        await _begun_late(it)
        assert 401 == (await it.post("/v1/rooms/class/restamp", None, it.token("class", "t", "host"))).status_code
        assert 401 == (await it.post("/v1/rooms/class/restamp", None, None)).status_code


async def test_a_hidden_event_stays_hidden_where_it_goes(tmp_path: Path) -> None:
    """Moved without its text, and gone from the slices of both places."""
    async with stage(tmp_path) as it:
        said = await _begun_late(it)
        await it.act("hide", target=said["offset"])
        assert [1] == [one["moved"] for one in await _restamped(it)]
        await it.seal()
        assert said["offset"] not in [event["offset"] for event in await it.replayed()]


async def test_a_folder_at_rest_is_recomputed_by_the_command(tmp_path: Path) -> None:
    """`chatsync restamp` logs the event; the next relay revises the slices."""
    async with stage(tmp_path) as it:
        said = await _begun_late(it)
        await it.seal()
        clock = it.clock
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "chatsync", "restamp", "class", "--data", str(tmp_path / "data"), "--json"],
        capture_output=True,
        text=True,
        check=True,
        env={"CHATSYNC_TOKEN_SECRET": SECRET, "PATH": ""},
    )
    (result,) = json.loads(done.stdout)["broadcasts"]
    assert (1, 1, 1_500) == (result["broadcast"], result["moved"], result["largest_ms"])
    async with stage(tmp_path, clock=clock) as it:
        await it.seal()
        places = {event["offset"]: event["program_ms"] for event in await it.replayed()}
        assert (said["program_us"] // 1000) + 1_500 == places[said["offset"]]
    with open_store(tmp_path / "data") as store:
        assert store.journal.verify("class") > 1


async def test_live_stamps_follow_from_the_record_of_then(tmp_path: Path) -> None:
    """Reloads as they were kept, up to a message, give the very stamp it got: nothing else goes into one."""
    async with stage(tmp_path) as it:
        offsets = []
        for number in range(60):
            it.advance(2 + (number * 37 % 11) / 10)
            await it.reload(playlist_at(LECTURE, it.now_us), age_s=number % 3 == 2)
            it.advance(0.3)
            offsets.append((await it.say(f"{number}"))["offset"])
        await it.settled()
        assert [_recomputed(it.room(), offset) for offset in offsets] == [
            _logged(it.room(), offset) for offset in offsets
        ]


def _logged(room: LiveRoom, offset: int) -> tuple[str, int, int]:
    event = room.journal.event("class", offset)
    assert event is not None
    return event.stamp.stamp, event.stamp.program_us, event.stamp.uncertainty_us


def _recomputed(room: LiveRoom, offset: int) -> tuple[str, int, int]:
    """The stamp an event gets from the stored reloads before it."""
    event = room.journal.event("class", offset)
    assert event is not None
    clock = ProgramClock(target_duration_us=2 * SECOND_US)
    for _, _, wall_us, age_us, _, _, _, _, edge_us, step_us in room.catalog.observation_rows("class", 1):
        if wall_us + step_us <= event.wall_us:
            clock.receive_edge(edge_us, wall_us=wall_us, age_us=age_us)
    scene = Scene(1, clock, LatencyBook(), StampingPolicy(), event.wall_us)
    made = stamped("message", Witness(), scene)
    return made.stamp, made.program_us, made.uncertainty_us
