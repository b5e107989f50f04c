"""The system's clock jumps by up to an hour either way, again and again: nothing is lost, doubled, reordered or restamped (G10).

Offsets, stamps, timeouts, rates and the day for which ids are remembered run on steady time; only ``wall_ms`` follows the system's clock.
Here the clocks are handed in, and the relay is started again on a machine whose clock is wrong. Long form: ``CHATSYNC_CLOCK_JUMPS=500``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from typing import Any

import pytest

from chatsync.errors import RateLimitedError
from chatsync.instants import HOUR_US, SECOND_US
from chatsync.service.clock import ManualClock
from chatsync.simulation import Scenario, playlist_at
from tests.stage import FAST, START_US, Stage, stage

JUMPS = int(os.environ.get("CHATSYNC_CLOCK_JUMPS", "50"))
SEED = int(os.environ.get("CHATSYNC_SEED", "20261130"))
LECTURE = Scenario(START_US)
PLACED_S = 15
"""How far from the live edge an estimate may stand: three segments, and the time between two reloads."""


class Lesson:
    """A lecture with somebody who talks, on a machine whose clock is never right."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.chance = folder, Random(SEED)
        self.true_us = START_US + 20 * SECOND_US
        self.said: dict[int, dict[str, Any]] = {}  # by offset
        self.hidden: set[int] = set()
        self.jumps = self.starts = 0
        self.it: Stage
        self._stack = AsyncExitStack()

    @property
    def clock(self) -> ManualClock:
        """Of the relay that runs."""
        return self.it.clock

    async def start(self) -> None:
        """Start the relay, by the clock of its machine."""
        wall_us = self.clock.system_wall_us() if self.starts else self.true_us
        await self.stop()
        self.it = await self._stack.enter_async_context(stage(self.folder, clock=ManualClock(wall_us=wall_us)))
        self.starts += 1
        await self.watch()

    async def stop(self) -> None:
        """Stop it."""
        await self._stack.aclose()

    def jump(self) -> None:
        """The system's clock is now wrong by something else, up to an hour either way."""
        wrong_us = self.chance.randrange(-HOUR_US, HOUR_US)
        self.clock.step_system(self.true_us + wrong_us - self.clock.system_wall_us())
        self.jumps += 1

    async def watch(self) -> None:
        """Some seconds pass; the playlist is loaded every two."""
        for _ in range(self.chance.randrange(1, 6)):
            self.true_us += 2 * SECOND_US
            self.it.advance(2)
            await self.it.reload(playlist_at(LECTURE, self.true_us))

    async def say(self) -> None:
        """Something new, stamped near the live edge whatever the clock says; ``wall_ms`` is what the clock says."""
        text = f"no{len(self.said)}"
        before = self.it.room().log.position.offset
        said = await self.it.say(text, id=f"id-{text}")
        event = self.it.room().log.event(said["offset"])
        assert event is not None
        assert before + 1 == said["offset"]
        assert self.clock.system_wall_us() == event.wall_us
        assert abs(said["program_us"] - self.true_us) <= PLACED_S * SECOND_US, (said, self.true_us)
        self.said[said["offset"]] = said | {"text": text}

    async def repeat(self) -> None:
        """What was said before is sent again: the answer is the first one."""
        if self.said:
            first = self.said[self.chance.choice(sorted(self.said))]
            again = await self.it.say(first["text"], id=first["id"])
            assert {name: first[name] for name in again} == again

    async def hide(self) -> None:
        """A message is hidden."""
        shown = sorted(set(self.said) - self.hidden)
        if shown:
            offset = self.chance.choice(shown)
            await self.it.act("hide", target=offset)
            self.hidden.add(offset)

    async def restore(self) -> None:
        """One comes back."""
        if self.hidden:
            offset = self.chance.choice(sorted(self.hidden))
            await self.it.act("restore", target=offset)
            self.hidden.discard(offset)

    async def seal(self) -> None:
        """What is due becomes slices."""
        await self.it.seal()

    async def archive(self) -> None:
        """What runs every ten minutes: ids are swept, hours written, quiet ones merged, old rows let go."""
        archiving = self.it.hub.archiving
        await archiving._sweep()
        await archiving._archive_rooms({"class"})
        await archiving._keep_small()

    async def check(self) -> None:
        """The log has everything once, in the order in which it was said, where it was stamped; and so has the replay."""
        events = self.it.hub.journal.events_after("class", 0, 100_000)
        assert list(range(1, len(events) + 1)) == [event.offset for event in events]
        assert {"broadcast_opened", "message", "hidden", "restored"} >= {e.kind for e in events} - {"restamped"}
        logged = [event for event in events if event.kind == "message"]
        assert sorted(self.said) == [event.offset for event in logged]
        for event in logged:
            said = self.said[event.offset]
            assert (said["id"], said["program_us"], said["stamp"].stamp) == (
                event.id,
                event.program_us,
                event.stamp.stamp,
            )
            assert (None if event.offset in self.hidden else said["text"]) == event.text
        replayed = [event["offset"] for event in await self.it.replayed() if event["kind"] == "message"]
        places = {event.offset: event.place for event in logged}
        assert sorted(set(self.said) - self.hidden, key=lambda offset: places[offset]) == replayed


async def test_nothing_moves_however_often_the_clock_jumps(tmp_path: Path) -> None:
    """People talk, hide and repeat, slices and archive are written, the relay restarts: the log is as if the clock had been right."""
    lesson = Lesson(tmp_path)
    deeds: list[Callable[[], Any]] = [lesson.say] * 6
    deeds += [lesson.watch, lesson.watch, lesson.repeat, lesson.hide, lesson.restore, lesson.seal]
    try:
        await lesson.start()
        while lesson.jumps < JUMPS:
            for _ in range(lesson.chance.randrange(1, 5)):
                await lesson.chance.choice(deeds)()
            lesson.jump()
            if lesson.jumps % 7 == 0:
                await lesson.archive()
            if lesson.jumps % 12 == 0:
                await lesson.start()
            if lesson.jumps % 25 == 0:
                await lesson.check()
        await lesson.check()
        print(
            f"{lesson.jumps} jumps, {lesson.starts} starts, {len(lesson.said)} messages, seed {SEED}: all as it was said"
        )
    finally:
        await lesson.stop()


@pytest.mark.parametrize("step_us", [25 * HOUR_US, -25 * HOUR_US], ids=["ahead", "back"])
async def test_an_id_is_remembered_for_a_day_that_no_jump_shortens(tmp_path: Path, step_us: int) -> None:
    """A clock that was wrong by more than a day is put right: who sends again gets the first answer, also after ids were swept."""
    async with stage(tmp_path, {"class": {"public": True}}) as it:
        first = await it.say("hello", id="m-1")
        it.clock.step_system(step_us)
        await it.hub.archiving._sweep()
        assert first == await it.say("hello", id="m-1")
        between = await it.say("between", id="m-2")
        it.clock.step_system(-step_us)
        it.advance(23 * 3600)
        await it.hub.archiving._sweep()
        assert [first, between] == [await it.say("hello", id="m-1"), await it.say("between", id="m-2")]
        it.advance(2 * 3600)
        await it.hub.archiving._sweep()
        assert first["offset"] < (await it.say("hello", id="m-1"))["offset"]


async def test_a_jump_gives_nobody_more_or_less_to_say(tmp_path: Path) -> None:
    """Rates are counted in monotonic time: an hour ahead fills no bucket, an hour back empties none for an hour."""
    limits = FAST | {"commands_per_s": 1, "commands_burst": 3}
    async with stage(tmp_path, {"class": {"public": True}}, limits=limits) as it:
        for _ in range(3):
            it.hub.take_token("s5")
        it.clock.step_system(HOUR_US)
        with pytest.raises(RateLimitedError):
            it.hub.take_token("s5")
        it.clock.step_system(-2 * HOUR_US)
        it.advance(1)
        it.hub.take_token("s5")
        with pytest.raises(RateLimitedError):
            it.hub.take_token("s5")
