"""Readers without a socket: chat playlist, slices and the open slice put together, judged answer by answer.

Owns: the rules of contract §3 as a reader sees them. Does not know: the log as it is stored (``checks`` compares later).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.simulation.wire import Answer, GoneError, request

if TYPE_CHECKING:
    from random import Random

    from tests.simulation.world import World

__all__ = ["BEGINNING_MS", "Broadcast", "Reader", "Snapshot", "poll"]

BEGINNING_MS = -62_000_000_000_000
Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A broadcast as it was put together at one moment: complete as of ``as_of``."""

    broadcast: int
    as_of: int
    offsets: frozenset[int]


@dataclass(slots=True)
class Broadcast:
    """What a reader holds of one broadcast."""

    number: int
    version: int | None = None
    as_of: int = 0
    live: bool = False
    sealed_until_ms: int | None = None
    entries: dict[int, Any] = field(default_factory=dict)  # by start
    bodies: dict[int, tuple[int, list[Event]]] = field(default_factory=dict)  # by start: revision and events
    tail: dict[int, Event] = field(default_factory=dict)
    tail_as_of: int | None = None
    ends: dict[int, int] = field(default_factory=dict)  # by start: end, of every entry ever listed
    revisions: dict[int, int] = field(default_factory=dict)

    def events(self) -> dict[int, Event]:
        """Everything held, by offset."""
        found = {event["offset"]: event for start in self.entries for event in self.bodies[start][1]}
        return found | self.tail


class Reader:
    """Reads one broadcast after another, as a player past the socket cap does.

    Args:
        world: the run.
        name: of its stream of chance.
    """

    def __init__(self, world: World, name: str) -> None:
        self._world, self._name = world, name
        self._chance: Random = world.chance(name)
        self.known: dict[int, Broadcast] = {}
        self.latest = 1

    async def get(self, path: str, **query: Any) -> Answer:
        """An answer; nothing that was hidden before it was asked for may be in it."""
        begun_ns = self._world.loop.now_ns
        answer = await request(self._world.process, self._chance, f"/v1/rooms/{self._world.room}/{path}", **query)
        self._world.ledger.check_hidden(answer.body, begun_ns, f"{self._name} {path}")
        if answer.status >= 500 and answer.status != 503 and not self._world.was_disk_bad(begun_ns):
            self._world.fail(f"{self._name} {path} {query} was answered {answer.status}: {answer.body[:200]!r}")
        return answer

    async def load(self, number: int | None, *, afresh: bool = False) -> Broadcast | None:
        """Load everything of a broadcast (None: the latest); None if it has changed meanwhile or cannot be had now.

        Raises:
            GoneError: nobody answers.
        """
        held = self.known.get(self.latest if number is None else number)
        since = None if held is None or afresh else held.version
        asked = {} if number is None and since is None else {"broadcast": self.latest if number is None else number}
        answer = await self.get("chat.json", from_ms=BEGINNING_MS, since=since, **asked)
        if answer.status != 200:
            return None
        held = self._take_playlist(answer.json)
        if number is None:
            newest = answer.json["broadcasts"][-1]["broadcast"] if answer.json["broadcasts"] else 1
            self.latest = max(self.latest, newest)
        if not await self._load_slices(held):
            return None
        is_kept = any(one["broadcast"] == held.number for one in answer.json["broadcasts"])
        if is_kept and not await self._load_tail(held, afresh=afresh):
            return None
        if not is_kept:
            held.tail.clear()
            held.tail_as_of = None
        return held

    # --- the chat playlist ----------------------------------------------------------------------------------------

    def _take_playlist(self, body: Any) -> Broadcast:
        fail, number = self._world.fail, body["broadcast"]
        held = self.known.setdefault(number, Broadcast(number))
        if held.version is not None and body["version"] < held.version:
            fail(f"{self._name}: version of broadcast {number} fell from {held.version} to {body['version']}")
        mark_ms = body["sealed_until_ms"]
        if held.sealed_until_ms is not None and (mark_ms is None or mark_ms < held.sealed_until_ms):
            fail(f"{self._name}: sealed_until_ms of broadcast {number} fell from {held.sealed_until_ms} to {mark_ms}")
        if "since" in body:
            held.entries |= {entry["start_ms"]: entry for entry in body["slices"]}
            for start_ms in body["removed"]:
                held.entries.pop(start_ms, None)
        else:
            self._compare_full(held, body)
            held.entries = {entry["start_ms"]: entry for entry in body["slices"]}
        self._check_entries(held, body["slices"])
        held.version, held.sealed_until_ms, held.live = body["version"], mark_ms, body["live"]
        held.as_of = body["as_of"]["offset"]
        return held

    def _compare_full(self, held: Broadcast, body: Any) -> None:
        """Whoever followed deltas up to this version holds the same list."""
        if held.version == body["version"]:
            full = {entry["start_ms"]: entry for entry in body["slices"]}
            if full != held.entries:
                self._world.fail(
                    f"{self._name}: deltas up to version {held.version} make another list than the full answer"
                )

    def _check_entries(self, held: Broadcast, listed: list[Any]) -> None:
        fail, end_ms = self._world.fail, None
        for start_ms in sorted(held.entries):
            entry = held.entries[start_ms]
            if end_ms is not None and start_ms < end_ms:
                fail(f"{self._name}: the slice at {start_ms} begins before the one before it ends ({end_ms})")
            end_ms = entry["end_ms"]
        for entry in listed:
            start_ms = entry["start_ms"]
            if held.ends.setdefault(start_ms, entry["end_ms"]) != entry["end_ms"]:
                fail(f"{self._name}: the range of the slice at {start_ms} changed")
            if entry["revision"] < held.revisions.get(start_ms, 0):
                fail(f"{self._name}: the revision of the slice at {start_ms} fell to {entry['revision']}")
            held.revisions[start_ms] = entry["revision"]

    # --- slices and the tail --------------------------------------------------------------------------------------

    async def _load_slices(self, held: Broadcast) -> bool:
        for start_ms, entry in sorted(held.entries.items()):
            known = held.bodies.get(start_ms)
            if known is not None and known[0] == entry["revision"]:
                continue
            name = f"{start_ms}-{entry['end_ms']}.e{entry['epoch']}.r{entry['revision']}.json"
            answer = await self.get(f"slices/{held.number}/{name}")
            if answer.status != 200:
                return False  # a newer one stands by now
            self._check_slice(entry, answer.json)
            held.bodies[start_ms] = (entry["revision"], _with_authors(answer.json))
        return True

    def _check_slice(self, entry: Any, body: Any) -> None:
        fail, places = self._world.fail, [(event["program_ms"], event["offset"]) for event in body["events"]]
        where = f"{self._name}: the slice at {entry['start_ms']} r{entry['revision']}"
        if any(body[name] != entry[name] for name in ("start_ms", "end_ms", "epoch", "revision")):
            fail(f"{where} says that it is another")
        if places != sorted(set(places)):
            fail(f"{where} is not in order")
        if any(not body["start_ms"] <= program_ms < body["end_ms"] for program_ms, _ in places):
            fail(f"{where} holds an event from outside its range")
        if len(places) != entry["events"]:
            fail(f"{where} holds {len(places)} events, and {entry['events']} were listed")
        if any(offset > body["as_of"]["offset"] for _, offset in places):
            fail(f"{where} holds what came after its as_of")

    async def _load_tail(self, held: Broadcast, *, afresh: bool) -> bool:
        from_ms = BEGINNING_MS if held.sealed_until_ms is None else held.sealed_until_ms
        after = None if afresh or self._chance.random() < 0.2 else held.tail_as_of
        answer = await self.get(f"slices/{held.number}/open.json", from_ms=from_ms, after=after)
        if answer.status != 200:
            held.tail_as_of = None
            return False
        body = answer.json
        if after is None:
            held.tail.clear()
        events = {event["offset"]: event for event in _with_authors(body)}
        if after is not None and any(offset <= after for offset in events):
            self._world.fail(f"{self._name}: open.json after {after} repeats an older event")
        held.tail |= events
        for offset in body.get("gone", ()):
            held.tail.pop(offset, None)
        held.tail = {offset: event for offset, event in held.tail.items() if event["program_ms"] >= from_ms}
        held.tail_as_of = body["as_of"]["offset"]
        return True

    def snapshot(self, held: Broadcast) -> Snapshot:
        """What is held now, as a promise to be checked."""
        sealed = {event["offset"] for start in held.entries for event in held.bodies[start][1]}
        # A tail from after a restamp has what slices from before it still hold: a reader drops such duplicates by offset (contract §4).
        is_of_one_moment = held.tail_as_of is not None and held.tail_as_of <= held.as_of
        if is_of_one_moment and held.sealed_until_ms is not None and sealed & set(held.tail):
            self._world.fail(f"{self._name}: offsets {sorted(sealed & set(held.tail))} are in a slice and in the tail")
        as_of = held.as_of if held.tail_as_of is None else min(held.as_of, held.tail_as_of)
        return Snapshot(held.number, as_of, frozenset(held.events()))


async def poll(world: World, number: int) -> None:
    """Poll the latest broadcast until the run ends; every whole snapshot is kept for the checks."""
    reader = Reader(world, f"poller {number}")
    chance = world.chance(f"polling {number}")
    while not world.is_over:
        await asyncio.sleep(chance.choice((0.5, 2.0, 4.0)) * (0.5 + chance.random()))
        try:
            held = await reader.load(None, afresh=chance.random() < 0.1)
        except GoneError:
            continue
        if held is not None:
            world.ledger.snapshots.append(reader.snapshot(held))


def _with_authors(body: Any) -> list[Event]:
    """A slice's events as the live socket prints them: author inline, broadcast in each."""
    return [
        event
        | {"broadcast": body["broadcast"]}
        | ({"author": body["authors"][event["author"]]} if "author" in event else {})
        for event in body["events"]
    ]
