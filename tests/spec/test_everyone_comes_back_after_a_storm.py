"""Thousands dropped at once are all back within 30 s, without a gap, without repetition, and without a read of the disk (G4).

CHATSYNC_STORM says how many: 500 in CI, 5,000 in the long form.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.crowd import Viewer, caught_up, connect, crowd, metric, percentile, talking
from tests.relay import Relay, token

pytestmark = [pytest.mark.faults, pytest.mark.alone]

ROOM = "class"
ROOMS: dict[str, dict[str, Any]] = {ROOM: {"public": True}}
STORM = int(os.environ.get("CHATSYNC_STORM", "500"))
BACK_S_MAX = 30.0
LIMITS = {"commands_per_s": 10_000, "commands_burst": 100_000}
READS = "chatsync_journal_reads_total"


@pytest.mark.timeout(300)
async def test_everyone_dropped_at_once_is_back_within_30_s(tmp_path: Path) -> None:
    """All connections are cut while somebody talks; each comes back from where it was, from memory alone."""
    with Relay(tmp_path, ROOMS, limits=LIMITS) as relay:
        viewers = await crowd(relay, ROOM, STORM, name="viewer")
        async with talking(relay, ROOM, per_s=20) as writer:
            await asyncio.sleep(1)
            for viewer in viewers:
                viewer.abort()
            await asyncio.sleep(0.5)  # what is said now is missed by all
            reads = await asyncio.to_thread(metric, relay, READS)
            begun_s = time.monotonic()
            came_s: list[float] = []
            back = await asyncio.gather(
                *(_come_back(relay, number, viewer, begun_s, came_s) for number, viewer in enumerate(viewers))
            )
            took_s = time.monotonic() - begun_s
            more_reads = await asyncio.to_thread(metric, relay, READS) - reads
            await asyncio.sleep(1)
        last = writer.last_offset or 0
        await caught_up(back, last)
        print(f"{STORM} back in {took_s:.2f} s, half of them in {percentile(came_s, 0.5):.2f} s; {more_reads:g} reads")
        assert took_s <= BACK_S_MAX
        assert 0 == more_reads
        for viewer, before in zip(back, viewers, strict=True):
            assert (0, 0, 0) == (before.gaps, before.repeated, before.resets)
            assert (0, 0, 0, last) == (viewer.gaps, viewer.repeated, viewer.resets, viewer.last_offset)
        assert all(
            (viewer.last_offset or 0) - (before.last_offset or 0) >= 10
            for viewer, before in zip(back, viewers, strict=True)
        )


async def _come_back(relay: Relay, number: int, before: Viewer, begun_s: float, came_s: list[float]) -> Viewer:
    """As players do: again after a moment if it was refused."""
    while True:
        viewer = Viewer(ROOM, token(ROOM, f"viewer-{number}", "viewer"), after=before.through)
        try:
            await connect(relay, viewer)
        except OSError:
            await asyncio.sleep(0.2)
            continue
        if viewer.refused is None and viewer.close_code is None and not viewer.lost.is_set():
            came_s.append(time.monotonic() - begun_s)
            return viewer
        await asyncio.sleep(0.2)
