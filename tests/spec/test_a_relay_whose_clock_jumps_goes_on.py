"""A running relay whose system clock really jumps by up to an hour either way: nothing is lost, doubled, reordered or closed (G10).

libfaketime stands before the clock of the process alone and reads how wrong it is from a file, at every look. Needs Debian's ``faketime``
(``make servers``). Long form: ``CHATSYNC_CLOCK_JUMPS=500``; without it, 20 jumps.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from typing import Any

import pytest

from chatsync.instants import HOUR_US, ms_from_us
from chatsync.service.auth import TokenAuthority
from chatsync.simulation import Scenario
from tests.origin import Answer, Origin
from tests.relay import SECRET, Client, Relay, connected

JUMPS = int(os.environ.get("CHATSYNC_CLOCK_JUMPS", "20"))
SEED = int(os.environ.get("CHATSYNC_SEED", "20261130"))
ROOM = "class"
PLACED_MS = 20_000  # of the live edge: three segments, reloads, and a machine under load
ANSWERED_MS = 60_000  # most jumps are far longer than that
pytestmark = [pytest.mark.faults, pytest.mark.timeout(120 + 2 * JUMPS)]
_LIBRARY = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)


class WrongClock:
    """The clock of a process, wrong by what a file says."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.wrong_us = 0
        self.jump(0)

    def environment(self) -> dict[str, str]:
        """For the process."""
        return {
            "LD_PRELOAD": str(_LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def jump(self, wrong_us: int) -> None:
        """From now on it is wrong by so much."""
        beside = self._file.with_suffix(".new")
        beside.write_text(f"{wrong_us / 1e6:+.3f}\n")
        beside.replace(self._file)
        self.wrong_us = wrong_us

    def wall_us(self) -> int:
        """What it says now."""
        return time.time_ns() // 1_000 + self.wrong_us


class Lesson:
    """One who talks, one who watches, and what was acked."""

    def __init__(self, relay: Relay, clock: WrongClock) -> None:
        self.relay, self.clock, self.chance = relay, clock, Random(SEED)
        self.acks: dict[str, dict[str, Any]] = {}  # by text
        self.hidden: set[int] = set()
        self.writer: Client
        self.viewer: Client

    async def enter(self, stack: AsyncExitStack) -> None:
        """Both come in, and go on where they were."""
        token = TokenAuthority(SECRET.encode()).mint(
            "ada", wall_us=self.clock.wall_us(), rooms=(ROOM,), name="Ada", role="host"
        )
        seen = getattr(self, "viewer", None)
        self.writer = await stack.enter_async_context(connected(self.relay, ROOM))
        await self.writer.hello(token)
        self.viewer = await stack.enter_async_context(connected(self.relay, ROOM))
        if seen is not None:
            self.viewer.events, self.viewer.gone = seen.events, seen.gone
        await self.viewer.hello(None, after=None if seen is None else seen.through)

    async def say(self) -> None:
        """Something new: where the picture is, whatever the clock says; an offset after all before."""
        text = f"no{len(self.acks)}"
        ack = await self.writer.say(text, id=f"id-{text}")
        assert "offset" in ack, ack
        assert all(ack["offset"] > other["offset"] for other in self.acks.values())
        assert abs(ack["program_ms"] - time.time_ns() // 1_000_000) < PLACED_MS, (ack, self.clock.wrong_us)
        self.acks[text] = ack

    async def repeat(self) -> None:
        """What was said before is sent again: the answer is the first one."""
        text = self.chance.choice(list(self.acks))
        self.writer.answers.pop(f"id-{text}", None)
        assert self.acks[text] == await self.writer.say(text, id=f"id-{text}")

    async def hide(self) -> None:
        """A message is hidden, for everyone at once."""
        offset = self.chance.choice([ack["offset"] for ack in self.acks.values()])
        await self.writer.act("hide", target=offset)
        self.hidden.add(offset)
        await self.viewer.until(lambda: offset in self.viewer.gone or offset not in _offsets(self.viewer))

    async def resume(self) -> None:
        """Somebody comes back at any position."""
        after = self.chance.randrange(max(ack["offset"] for ack in self.acks.values()) + 1)
        async with connected(self.relay, ROOM) as guest:
            welcome = await guest.hello(None, after={"epoch": "1", "offset": after})
        expected = [ack["offset"] for ack in self.acks.values() if ack["offset"] > after]
        messages = [event["offset"] for event in welcome["events"] if event["kind"] == "message"]
        assert [offset for offset in expected if offset not in self.hidden] == messages

    async def check_viewer(self) -> None:
        """Who was there all the time was told everything once, in order; ``wall_ms`` is what the clock said."""
        last = max(ack["offset"] for ack in self.acks.values())
        await self.viewer.until(lambda: self.viewer.through is not None and self.viewer.through["offset"] >= last)
        told = _offsets(self.viewer)
        acked = [ack["offset"] for ack in self.acks.values()]
        assert [offset for offset in acked if offset in told or offset not in self.hidden] == told
        event = self.viewer.events[-1]
        assert event["kind"] != "message" or abs(event["wall_ms"] - ms_from_us(self.clock.wall_us())) < ANSWERED_MS


def _offsets(viewer: Client) -> list[int]:
    return [event["offset"] for event in viewer.events if event["kind"] == "message"]


async def test_a_relay_goes_on_while_its_clock_jumps(tmp_path: Path) -> None:
    """Nobody is sent away, every ack holds, who resumes misses nothing; a kill and a start by a wrong clock change nothing of that."""
    if _LIBRARY is None:
        pytest.skip("there is no libfaketime: make servers")
    clock = WrongClock(tmp_path)
    scenario = Scenario(time.time_ns() // 1_000 - 20_000_000)
    with Origin(lambda: Answer(b"")) as origin:
        origin.stream(scenario)
        rooms = {ROOM: {"public": True, "playlist_url": origin.url}}
        limits = {"commands_per_s": 1_000, "commands_burst": 10_000}
        relay = Relay(tmp_path / "relay", rooms, loopback_origins=[origin.host], limits=limits)
        relay.environment = clock.environment()
        with relay:
            lesson = Lesson(relay, clock)
            await _wait_for_the_stream(relay)
            jumps = 0
            for half in (JUMPS // 2, JUMPS):
                async with AsyncExitStack() as stack:
                    await lesson.enter(stack)
                    while jumps < half:
                        for _ in range(3):
                            await lesson.say()
                        await lesson.chance.choice([lesson.repeat, lesson.hide, lesson.resume, lesson.repeat])()
                        await lesson.check_viewer()
                        clock.jump(lesson.chance.randrange(-HOUR_US, HOUR_US))
                        jumps += 1
                    assert not lesson.writer.is_over
                    assert not lesson.viewer.is_over
                if half < JUMPS:
                    relay.kill()
                    relay.start()
                    await _wait_for_the_stream(relay)
    print(f"{jumps} jumps, {len(lesson.acks)} messages, {len(lesson.hidden)} hidden, seed {SEED}: all as it was said")


async def _wait_for_the_stream(relay: Relay) -> None:
    """Until the relay knows where the picture is."""
    async with asyncio.timeout(20):
        while (await asyncio.to_thread(relay.get, f"/v1/rooms/{ROOM}")).json().get("clock_ms") is None:  # noqa: ASYNC110 - it asks a process
            await asyncio.sleep(0.1)
