"""Soak: messages and viewers that come and go for a long time; memory, descriptors and tasks stay flat, and everyone saw what replays.

CHATSYNC_SOAK_S says for how long: 15 s in CI, 1,800 in the long form, with 200 messages a second and 500 viewers. CHATSYNC_SOAK_LOG names
a file to which the long form writes what it sees every ten seconds. The archive's process is looked at too: how much it takes at the most, and
that it is gone when it is not needed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from tests.crowd import Viewer, caught_up, connect, crowd, descriptors, metric, rss_mib
from tests.relay import Relay, token
from tests.stage import slice_path

pytestmark = [pytest.mark.faults, pytest.mark.alone]

ROOM = "class"
SOAK_S = float(os.environ.get("CHATSYNC_SOAK_S", "15"))
IS_LONG = SOAK_S >= 600
VIEWERS = 500 if IS_LONG else 60
PER_S = 200 if IS_LONG else 60
WRITERS = 20
SETTLED_S = 300 if IS_LONG else SOAK_S / 2
MIB_AN_HOUR_MAX = 8.0  # what a long soak may rise by: a leak of 10 bytes a message is 7
MIB_MAX = 24.0  # in CI, from half-time to the end: caches still fill
WORKER_MIB_MAX = 256.0  # docs/operations.md says 160: the allocator's mood
LIMITS = {"commands_per_s": 10_000, "commands_burst": 100_000}


@dataclass(frozen=True)
class _Look:
    at_s: float
    mib: float
    descriptors: int
    tasks: int
    worker_mib: float  # most that the archive's process took since the look before, 0 if there was none


@pytest.mark.timeout(SOAK_S + 300)
async def test_memory_descriptors_and_tasks_stay_flat(tmp_path: Path) -> None:
    """At an even load nothing grows, and what stays connected sees exactly what slices and the open slice hold."""
    with Relay(tmp_path, {ROOM: {"public": True}}, limits=LIMITS) as relay:
        steady = await crowd(relay, ROOM, 5, name="steady")
        watched: list[list[int]] = [[] for _ in steady]
        for viewer, offsets in zip(steady, watched, strict=True):
            _note(viewer, offsets)
        begun_s = time.monotonic()
        looks: list[_Look] = []
        tasks = [asyncio.create_task(_talk(relay, number, begun_s + SOAK_S)) for number in range(WRITERS)] + [
            asyncio.create_task(_come_and_go(relay, number, begun_s + SOAK_S))
            for number in range(VIEWERS - len(steady))
        ]
        while time.monotonic() < begun_s + SOAK_S:
            worker_mib = await _most_beside(relay, 10 if IS_LONG else 1)
            with contextlib.suppress(httpx2.TimeoutException):  # a machine that is busy with something else
                looks.append(await asyncio.to_thread(_look, relay, begun_s, worker_mib))
        said = sum(await asyncio.gather(*tasks))
        await _assert_all_saw_it(relay, steady, watched, said)
        _assert_flat(looks)


def _note(viewer: Viewer, offsets: list[int]) -> None:
    receive = viewer._receive_event

    def noted(event: Any, now_s: float | None) -> None:
        offsets.append(event.offset)
        viewer.latencies_s.clear()
        receive(event, now_s)

    viewer._receive_event = noted  # type: ignore[method-assign]


async def _most_beside(relay: Relay, for_s: float) -> float:
    """The most memory that processes of the relay take within so many seconds."""
    end_s, most = time.monotonic() + for_s, 0.0
    while (left_s := end_s - time.monotonic()) > 0:
        await asyncio.sleep(min(0.25, left_s))
        most = max(most, _children_mib(relay.pid))
    return most


def _children_mib(pid: int) -> float:
    """Resident memory of all processes that a process has started."""
    found = 0.0
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # it is gone
            found += sum(rss_mib(int(child)) for child in path.read_text().split())
    return found


def _look(relay: Relay, begun_s: float, worker_mib: float) -> _Look:
    tasks = int(metric(relay, "chatsync_tasks"))
    look = _Look(time.monotonic() - begun_s, rss_mib(relay.pid), descriptors(relay.pid), tasks, worker_mib)
    if "CHATSYNC_SOAK_LOG" in os.environ:
        with Path(os.environ["CHATSYNC_SOAK_LOG"]).open("a") as log:
            log.write(
                f"{look.at_s:.0f} s {look.mib:.1f} MiB {look.descriptors} descriptors {look.tasks} tasks "
                f"{look.worker_mib:.1f} MiB beside\n"
            )
    return look


async def _talk(relay: Relay, number: int, end_s: float) -> int:
    """One of those who talk, at an even pace; how much it said."""
    writer = await connect(relay, Viewer(ROOM, token(ROOM, f"writer-{number}")))
    begun_s, said = time.monotonic(), 0
    while time.monotonic() < end_s:
        writer.say(f"{number} says {said}")
        writer.latencies_s.clear()
        said += 1
        await asyncio.sleep(max(0.0, begun_s + said * WRITERS / PER_S - time.monotonic()))
    async with asyncio.timeout(30):
        while writer.acks < said:  # noqa: ASYNC110 - acks come by themselves
            await asyncio.sleep(0.02)
    writer.abort()
    return said


async def _come_and_go(relay: Relay, number: int, end_s: float) -> int:
    """Somebody who watches for half a minute or so, is cut off, and comes back from there or anew."""
    chance = random.Random(number)
    after: dict[str, Any] | None = None
    while time.monotonic() < end_s:
        viewer = await connect(relay, Viewer(ROOM, token(ROOM, f"viewer-{number}", "viewer"), after=after))
        stay_s = chance.uniform(5, 60) if IS_LONG else chance.uniform(1, 5)
        await asyncio.sleep(min(stay_s, max(0.0, end_s - time.monotonic())))
        told = (
            viewer.resets if IS_LONG else 0
        )  # on a busy machine one may be away for longer than is kept for it, and is told so
        assert (True, 0) == (viewer.gaps <= told, viewer.repeated)
        assert (
            not viewer.lost.is_set() or viewer.close_code == 4008
        )  # a machine that does more than this may be too slow for it
        after = viewer.through if chance.random() < 0.7 else None
        viewer.abort()
        await asyncio.sleep(chance.uniform(0, 2))
    return 0


async def _assert_all_saw_it(relay: Relay, steady: Sequence[Viewer], watched: Sequence[list[int]], said: int) -> None:
    head = (await asyncio.to_thread(relay.get, f"/v1/rooms/{ROOM}/chat.json")).json()["as_of"]["offset"]
    await caught_up(steady, max(head, *(one.last_offset or 0 for one in steady)))
    replayed = await asyncio.to_thread(_replayed, relay)
    for viewer, offsets in zip(steady, watched, strict=True):
        assert (0, 0, 0) == (viewer.gaps, viewer.repeated, viewer.resets)
        assert not viewer.lost.is_set()
        assert said <= len(offsets)
        assert set() == set(offsets) - replayed
    assert said <= len(replayed)


def _replayed(relay: Relay) -> set[int]:
    """Offsets of everything that slices and the open slice hold, of every broadcast."""
    found: set[int] = set()
    latest = relay.get(f"/v1/rooms/{ROOM}/chat.json").json()["broadcast"]
    for broadcast in range(1, latest + 1):
        playlist = relay.get(f"/v1/rooms/{ROOM}/chat.json?broadcast={broadcast}&from_ms=0").json()
        paths = [slice_path(playlist, entry) for entry in playlist["slices"]]
        sealed_ms = playlist["sealed_until_ms"] or 0
        paths.append(f"{playlist['base']}{playlist['broadcast']}/open.json?from_ms={sealed_ms}")
        for path in paths:
            answer = relay.get(path)
            assert 200 == answer.status_code, path
            found |= {event["offset"] for event in msgspec.json.decode(answer.content)["events"]}
    return found


def _assert_flat(looks: Sequence[_Look]) -> None:
    settled = [look for look in looks if look.at_s >= SETTLED_S]
    half = len(settled) // 2
    early, late = settled[:half], settled[half:]
    slope = _slope([(look.at_s, look.mib) for look in settled]) * 3_600
    growth = max(look.mib for look in late) - max(look.mib for look in early)
    print(
        *(f"{look.at_s / 60:.0f} min: {look.mib:.1f} MiB" for look in looks[:: max(1, len(looks) // 12)]),
        f"beside at most {max(look.worker_mib for look in looks):.1f} MiB",
        sep="; ",
    )
    print(
        f"{slope:+.2f} MiB an hour after {SETTLED_S:.0f} s; {settled[0].mib:.0f} to {settled[-1].mib:.0f} MiB; "
        f"descriptors {settled[0].descriptors} to {settled[-1].descriptors}; tasks {settled[0].tasks} to {settled[-1].tasks}"
    )
    assert growth <= MIB_MAX
    if IS_LONG:
        assert slope <= MIB_AN_HOUR_MAX
    assert len(looks) >= SOAK_S / (10 if IS_LONG else 1) / 2
    assert max(look.worker_mib for look in looks) <= WORKER_MIB_MAX
    slack = VIEWERS // 5 + 10  # how many happen to be connected
    assert max(look.descriptors for look in late) <= max(look.descriptors for look in early) + slack
    assert max(look.tasks for look in late) <= max(look.tasks for look in early) + 2 * slack


def _slope(points: Sequence[tuple[float, float]]) -> float:
    """Least squares, per second."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0
