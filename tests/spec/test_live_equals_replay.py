"""Live equals replay: what a viewer saw, less what is hidden now, is what slices and the open slice hold (reliability G6).

Generated lessons: people talk, ask, are late, and are hidden and restored one by one or all that they said; slices are sealed and revised
meanwhile; in the middle the relay restarts and every viewer resumes. Compared in the order of the log: ids, texts, names and stamps.
CHATSYNC_LESSONS says how many: 200 in CI, 10,000 in the long form; CHATSYNC_SEED where they begin.
"""

from __future__ import annotations

import os
import random
import uuid
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chatsync.chat.event import Author, Visibility, visibility_of
from chatsync.chat.reactions import REACTIONS
from chatsync.instants import SECOND_US, us_from_ms
from chatsync.replay.state import folded
from chatsync.service.acts import Act
from chatsync.service.auth import PersonRole
from chatsync.service.clock import ManualClock
from chatsync.simulation import Scenario
from tests.relay import Client
from tests.stage import START_US, URL, Stage, stage

pytestmark = pytest.mark.faults

LESSONS = int(os.environ.get("CHATSYNC_LESSONS", "200"))
SEED = int(os.environ.get("CHATSYNC_SEED", "1"))
STAFF_EVERY = 4  # in each so many lessons a moderator looks on too
AT_ONCE = 20  # lessons on one relay, each in a room of its own
STEPS = 14  # before the restart, and again after it
FIELDS = (
    "offset",
    "id",
    "kind",
    "text",
    "fragments",
    "broadcast",
    "program_ms",
    "wall_ms",
    "stamp",
    "uncertainty_ms",
    "reply_to",
    "author",
    "target",
    "how",
    "emoji",
    "count",
    "poll",
    "question",
    "choices",
    "mode",
)
TEXTS = (
    "why?",
    "שלום \U0001f44f",
    "a\nb",
    "https://example.org/x @ann",
    "x" * 500,
    "e\u0301",
    '{"a":[1]}',
    "so :party: :no:",
)
EMOTES = {"party": "https://cdn.example/party.png"}


class _Watcher:
    """Somebody who never misses anything, and what they hold.

    Args:
        role: None: without a token.
        met: counts what came.
    """

    def __init__(self, room: str, role: PersonRole | None, met: Counter[str]) -> None:
        self.room, self.role, self.met = room, role, met
        self.held: dict[int, dict[str, Any]] = {}
        self.gone: set[int] = set()
        self.missed: set[int] = (
            set()
        )  # offsets that were logged while they were not there: of these only what everyone sees is told
        self.through: dict[str, Any] | None = None
        self.client: Client | None = None

    async def join(self, it: Stage, stack: AsyncExitStack) -> None:
        """They come, or come back to where they were."""
        self.client = await stack.enter_async_context(it.connected(self.room))
        token = None if self.role is None else it.token(self.room, "watcher", self.role)
        await self.client.hello(token, after=self.through, last=200)

    async def leave(self, it: Stage) -> None:
        """Everything said so far has been seen; what they hold now is what they go on from."""
        assert self.client is not None
        it.room(self.room).flush()
        head = it.room(self.room).log.position.offset
        await self.client.until(lambda: (self.client.through or {}).get("offset", 0) >= head)
        for frame in self.client.frames:
            assert "reset" != frame["type"]
            if frame["type"] == "welcome":
                self.missed |= set(range((self.through or {}).get("offset", 0) + 1, frame["position"]["offset"] + 1))
            for name in ("events", "back"):
                if frame["type"] in {"welcome", name}:
                    events = frame["events" if frame["type"] == name else name]
                    self.held |= {one["offset"]: _told(one) for one in events}
                    self.gone -= {one["offset"] for one in events}
                    for one in events:
                        if "held" in one:  # said now, and waits no more
                            self.held.pop(one["held"], None)
                            self.gone.add(one["held"])
            gone = frame["gone"] if frame["type"] == "welcome" else frame.get("offsets", ())
            for offset in gone:
                self.held.pop(offset, None)
                self.gone.add(offset)
                self.met["gone"] += 1
            self.met["back"] += len(frame.get("back", ())) + (len(frame["events"]) if frame["type"] == "back" else 0)
        self.through = self.client.through


class _Lesson:
    """One room, one viewer who never misses anything, and what may happen there."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.room = f"lesson-{seed}"
        self.has_stream = seed % 3 != 0
        self._chance = random.Random(seed)
        self._people = [Author(key=f"{number:016x}", name=f"Student {number}") for number in range(4)]
        self._offsets: list[int] = []
        self._asked: list[int] = []
        self._waiting: list[int] = []  # offsets of what is held
        self._polls: dict[str, bool] = {}  # by name, whether it is open
        self.met: Counter[str] = Counter()  # what this lesson had, so that a run of lessons that try nothing shows
        self.viewer = _Watcher(self.room, None, self.met)
        self.staff = _Watcher(self.room, "moderator", Counter()) if seed % STAFF_EVERY == 0 else None
        self.watchers = [self.viewer] if self.staff is None else [self.viewer, self.staff]

    async def step(self, it: Stage) -> None:
        """Something happens."""
        chance = self._chance
        steps = {"say": 8, "late": 3, "hide": 4, "restore": 3, "author": 1, "pass": 3, "seal": 2}
        steps |= {
            "mode": 1,
            "poll": 3,
            "vote": 4,
            "react": 2,
            "hold": 2,
            "approve": 2,
            "private": 1,
            "answer": 1,
            "hand": 1,
        }
        match chance.choices(tuple(steps), tuple(steps.values()))[0]:
            case "say":
                await self._say(it)
            case "late" if self.has_stream:
                await self._say_late(it)
            case "hide" | "restore" as deed if self._offsets:
                await it.act(deed, self.room, target=chance.choice(self._offsets), reason="off topic")
            case "author" as deed if self._offsets:
                deed = chance.choice(("hide", "restore"))
                await it.act(deed, self.room, author=chance.choice(self._people).key)
            case "seal":
                await it.seal(self.room)
            case "mode":
                await it.act("mode", self.room, mode={"slow_ms": 0, "links": chance.random() < 0.5})
            case "poll":
                await self._poll(it)
            case "vote" if any(self._polls.values()):
                await self._vote(it)
            case "react":
                for _ in range(chance.randrange(1, 4)):
                    await it.act("react", self.room, role="participant", emoji=chance.choice(REACTIONS))
                it.room(self.room).log_reactions()
                await it.settled()
            case "hold" | "private" as what:
                await self._keep_back(it, what)
            case "approve" if self._waiting:
                decision = chance.choice(("approve", "approve", "reject"))
                target = self._waiting.pop(chance.randrange(len(self._waiting)))
                self.met[decision] += 1
                told = await it.act(decision, self.room, target=target)
                if decision == "approve":
                    self._offsets.append(told["offset"])
            case "answer" if self._asked:
                asked = it.room(self.room).log.event(self._asked.pop())
                if asked is not None and not asked.hidden:
                    await it.act("answer", self.room, target=asked.offset, how="live")
            case "hand":
                await it.act(chance.choice(("raise_hand", "lower_hand")), self.room, role="participant")
            case _:
                await self.let_pass(it, chance.uniform(1, 50))

    async def _poll(self, it: Stage) -> None:
        """A poll opens, or the one that is open closes."""
        for name, is_open in self._polls.items():
            if is_open:
                await it.act("poll_close", self.room, poll=name)
                self._polls[name] = False
                return
        name = f"p{len(self._polls)}"
        await it.act("poll_open", self.room, poll=name, question="why?", choices=["a", "b", "c"], answer=[1])
        self._polls[name] = True

    async def _vote(self, it: Stage) -> None:
        """Somebody votes, perhaps again."""
        name = next(name for name, is_open in self._polls.items() if is_open)
        choices = [self._chance.randrange(3)]
        act = Act(
            kind="poll_voted",
            id=str(uuid.UUID(int=self._chance.getrandbits(128))),
            author=self._chance.choice(self._people),
            details={"poll": name, "choices": choices},
        )
        await it.room(self.room).act(act)
        self.met["votes"] += 1

    async def _keep_back(self, it: Stage, what: str) -> None:
        """Something that is not for everyone: held until it is approved, or private for good."""
        number = self._chance.getrandbits(128)
        author = self._chance.choice(self._people)
        if what == "private":
            await it.say("psst", self.room, author=author, id=f"{number:032x}", details={"to": ["host"]})
            self.met["private"] += 1
            return
        details = {"of": self._chance.choice(("message", "question")), "why": "approval"}
        held = await it.say("may I?", self.room, kind="held", author=author, id=f"held:{number:032x}", details=details)
        self._waiting.append(held["offset"])

    async def _say(self, it: Stage) -> None:
        chance = self._chance
        if self.has_stream and chance.random() < 0.5:
            await self.let_pass(it, 0)
        reply_to = chance.choice(self._offsets) if self._offsets and chance.random() < 0.2 else None
        said = await it.say(
            chance.choice(TEXTS),
            self.room,
            kind=chance.choice(("message", "message", "question", "announcement")),
            author=chance.choice(self._people),
            id=str(uuid.UUID(int=chance.getrandbits(128))),
            reply_to=reply_to,
        )
        self._offsets.append(said["offset"])
        if it.room(self.room).log.event(said["offset"]).kind == "question":  # type: ignore[union-attr]
            self._asked.append(said["offset"])

    async def _say_late(self, it: Stage) -> None:
        """Somebody who watches behind, perhaps at what is sealed already."""
        live = it.room(self.room)
        if not live.broadcasts.current.clock.has_program_time:
            return
        behind_us = self._chance.randrange(1, 90) * SECOND_US
        program_us = max(START_US + SECOND_US, live.program_us() - behind_us)
        body = {
            "id": str(uuid.UUID(int=self._chance.getrandbits(128))),
            "author": {"id": "s5", "name": "Student 5"},
            "text": "late",
            "playhead": {"broadcast": live.broadcasts.current.number, "program_ms": program_us // 1000},
        }
        token = it.token(self.room, "feed", None, ("ingest",))
        (result,) = (await it.post(f"/v1/rooms/{self.room}/messages", body, token)).json()["results"]
        self._offsets.append(result["offset"])

    async def let_pass(self, it: Stage, seconds: float) -> None:
        """Time passes, for every room of the relay; this room's stream is loaded."""
        it.advance(seconds)
        if self.has_stream:
            await it.stream(Scenario(START_US), 0.01, self.room)

    async def _assert_states(self, it: Stage, number: int, slices: list[dict[str, Any]]) -> None:
        """The state that each slice opens with is the fold of the log up to where the slice speaks."""
        log = it.hub.journal.state_events(self.room, number)
        for entry in slices:
            name = f"{entry['start_ms']}-{entry['end_ms']}.e{entry['epoch']}.r{entry['revision']}.json"
            body = (await it.get(f"/v1/rooms/{self.room}/slices/{number}/{name}")).json()
            known = [one for one in log if one.offset <= body["as_of"]["offset"]]
            state = folded(known, before_us=us_from_ms(entry["start_ms"])).to_wire(msgspec.to_builtins)
            expected = msgspec.json.decode(msgspec.json.encode(state))
            assert expected == _inline(body["state"], body["authors"]), (self.seed, number, name)
            self.met["states"] += any(value for key, value in expected.items() if key != "mode")

    async def assert_same(self, it: Stage) -> None:
        """What the viewer holds is what replays, once ``as_of`` says that nothing is still on its way into a slice."""
        it.advance(10)
        await it.seal(self.room)
        assert self.viewer.through == (await it.chat(self.room))["as_of"]
        replayed: dict[int, dict[str, Any]] = {}
        for number in range(1, it.room(self.room).broadcasts.current.number + 1):
            events = await it.replayed(self.room, number)
            replayed |= {one["offset"]: _told(one | {"broadcast": number}) for one in events}
            slices = (await it.chat(self.room, f"broadcast={number}&from_ms=0"))["slices"]
            await self._assert_states(it, number, slices)
            self.met["slices"] += len(slices)
            self.met["revised"] += sum(entry["revision"] > 1 for entry in slices)
        self.met.update(one["stamp"] for one in replayed.values())
        assert [*sorted(self.viewer.held.items())] == [*sorted(replayed.items())], (
            f"CHATSYNC_SEED={self.seed} CHATSYNC_LESSONS=1"
        )
        if self.staff is not None:
            await self._assert_staff_same(it, self.staff)

    async def _assert_staff_same(self, it: Stage, staff: _Watcher) -> None:
        """What staff saw, less what is hidden now, is the past as it happened less the same; that of it which is hidden still has its words."""
        happened: dict[int, dict[str, Any]] = {}
        hidden: dict[int, dict[str, Any]] = {}
        token = it.token(self.room, "watcher", "moderator")
        for number in range(1, it.room(self.room).broadcasts.current.number + 1):
            cursor: str | None = ""
            while cursor is not None:
                path = f"/v1/rooms/{self.room}/messages?class=staff&broadcast={number}&limit=7{cursor}"
                page = (await it.get(path, token)).json()
                for one in page["messages"]:
                    (hidden if "hidden" in one else happened)[one["offset"]] = _told(one)
                cursor = None if page["cursor"] is None else f"&cursor={page['cursor']}"
        told = {at: one for at, one in happened.items() if at not in staff.missed or at in staff.held}
        assert [*sorted(staff.held.items())] == [*sorted(told.items())], f"CHATSYNC_SEED={self.seed} CHATSYNC_LESSONS=1"
        assert all(visibility_of(happened[at]["kind"]) is Visibility.STAFF for at in happened.keys() - told.keys())
        assert staff.gone - staff.missed == set(hidden) - staff.missed
        self.met["staff"] += len(happened)
        self.met["staff hidden"] += sum(one["text"] is not None for one in hidden.values())


def _inline(value: Any, authors: list[dict[str, Any]]) -> Any:
    """A slice's state with its authors in their places."""
    if isinstance(value, dict):
        return {k: authors[v] if k == "author" else _inline(v, authors) for k, v in value.items()}
    return [_inline(one, authors) for one in value] if isinstance(value, list) else value


def _told(event: dict[str, Any]) -> dict[str, Any]:
    return {name: event.get(name) for name in FIELDS}


@pytest.mark.timeout(60 + LESSONS)
async def test_what_was_seen_is_what_replays_in_generated_lessons(tmp_path: Path) -> None:
    """Also across a restart, and whatever was hidden, restored, late or sealed in between."""
    met: Counter[str] = Counter()
    for first in range(SEED, SEED + LESSONS, AT_ONCE):
        lessons = [_Lesson(seed) for seed in range(first, min(first + AT_ONCE, SEED + LESSONS))]
        rooms = {
            one.room: {"public": True, "emotes": EMOTES} | ({"playlist_url": URL} if one.has_stream else {})
            for one in lessons
        }
        clock = ManualClock(wall_us=START_US + 30 * SECOND_US)
        for half in range(2):
            async with stage(tmp_path / str(first), rooms, clock=clock) as it, AsyncExitStack() as stack:
                for lesson in lessons:
                    await lesson.let_pass(it, 1)
                    for watcher in lesson.watchers:
                        await watcher.join(it, stack)
                for _ in range(STEPS):
                    for lesson in lessons:
                        await lesson.step(it)
                for lesson in lessons:
                    for watcher in lesson.watchers:
                        await watcher.leave(it)
                    if half:
                        await lesson.assert_same(it)
        for lesson in lessons:
            met += lesson.met
    print(dict(met))
    rare = {
        what
        for what in (
            "gone",
            "back",
            "slices",
            "revised",
            "playhead",
            "estimate",
            "arrival",
            "approve",
            "votes",
            "private",
            "staff hidden",
        )
        if met[what] < LESSONS / 20
    }
    assert set() == rare
