"""The host's panel: who may see it, what it says, and the page around it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chatsync.service.auth import PersonRole
from chatsync.simulation import Scenario
from tests.stage import START_US, Stage, stage

PATH = "/v1/rooms/class/panel"


async def _panel(it: Stage, role: PersonRole = "host") -> Any:
    answer = await it.get(PATH, it.token("class", "ada", role))
    assert 200 == answer.status_code, answer.text
    assert "private, no-store" == answer.headers["cache-control"]
    return answer.json()


@pytest.mark.parametrize("role", ["participant", "viewer"])
async def test_only_who_runs_the_room_sees_it(tmp_path: Path, role: PersonRole) -> None:
    """Everyone else is refused, and who has no token too."""
    async with stage(tmp_path) as it:
        assert 403 == (await it.get(PATH, it.token("class", "ben", role))).status_code
        assert 403 == (await it.get(PATH)).status_code
        assert 0 == (await _panel(it, "moderator"))["viewers"]


async def test_what_is_said_and_where_it_was_lost_is_counted_by_program_minute(tmp_path: Path) -> None:
    """Also across a restart."""
    async with stage(tmp_path) as it:
        clock = it.clock
        await it.stream(Scenario(START_US), 130)
        for text in ("one", "two"):
            await it.say(text)
        await it.act("react", emoji="❓", role="host")
        await it.stream(Scenario(START_US), 2)
        it.room().log_reactions()
        await it.settled()
        await it.stream(Scenario(START_US), 70)
        before = await _panel(it)
        assert 2 == sum(one["messages"] for one in before["minutes"])
        assert 1 == sum(one["lost"] for one in before["minutes"])
        assert before["pace"]["per_minute"] > 0
        assert before["pace"]["usual_per_minute"] is None
        await it.settled()
    async with stage(tmp_path, clock=clock) as it:
        assert before["minutes"] == (await _panel(it))["minutes"]


async def test_usual_is_what_earlier_classes_said(tmp_path: Path) -> None:
    """A second broadcast is compared with the first, which was sealed."""
    async with stage(tmp_path) as it:
        scenario = Scenario(START_US)
        await it.stream(scenario, 20)
        for number in range(40):
            await it.say(f"line {number}")
            await it.stream(scenario, 4)
        await it.act("broadcast_close", role="host")
        it.advance(600)
        await it.seal()
        later = Scenario(it.now_us)
        await it.stream(later, 10)
        found = await _panel(it)
        assert 2 == found["broadcast"]
        assert [] == [one for one in found["minutes"] if one["messages"]]
        assert 10 < found["pace"]["usual_per_minute"] < 25


async def test_usual_is_right_again_once_the_class_before_is_sealed(tmp_path: Path) -> None:
    """Asked in between, what is not sealed says nothing; a minute later it counts."""
    async with stage(tmp_path) as it:
        scenario = Scenario(START_US)
        await it.stream(scenario, 20)
        for number in range(20):
            await it.say(f"line {number}")
            await it.stream(scenario, 4)
        await it.act("broadcast_close", role="host")
        it.advance(5)
        await it.stream(Scenario(it.now_us), 4)
        assert (await _panel(it))["pace"]["usual_per_minute"] is None
        it.advance(60)
        await it.seal()
        assert (await _panel(it))["pace"]["usual_per_minute"] > 5


async def test_how_far_behind_their_pictures_are(tmp_path: Path) -> None:
    """As their players say; staff who look on are not viewers."""
    async with stage(tmp_path) as it:
        await it.stream(Scenario(START_US), 60)
        clock_ms = (await _panel(it))["clock_ms"]
        async with it.connected() as near, it.connected() as far, it.connected() as staff:
            for client, role, behind_ms in ((near, "participant", 6_000), (far, "viewer", 50_000), (staff, "host", 0)):
                await client.hello(it.token("class", f"p{behind_ms}", role))  # type: ignore[arg-type]
                at_live = behind_ms < 10_000
                report = {
                    "type": "playhead",
                    "broadcast": 1,
                    "program_ms": clock_ms - behind_ms,
                    "rate": 1,
                    "paused": False,
                    "at_live": at_live,
                }
                await client.send(report)
                await client.send({"type": "ping"})
                await client.until(lambda client=client: any(frame["type"] == "pong" for frame in client.frames))
            found = (await _panel(it))["behind"]
        assert (2, 1, 1, 0) == (found["known"], found["at_live"], found["rewound"], found["paused"])
        assert 6_000 == found["p50_ms"]


async def test_the_page_is_the_same_for_every_room_and_runs_nothing_from_elsewhere(tmp_path: Path) -> None:
    """Nobody learns from it which rooms there are, and no token is in it."""
    async with stage(tmp_path) as it:
        here, nowhere = await it.get("/host/class"), await it.get("/host/no-such-room")
        assert (200, here.content) == (nowhere.status_code, nowhere.content)
        policy = here.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert "class" not in here.text.replace("<!doctype", "")
