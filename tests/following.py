"""A relay in this process on the system's clock, which follows an origin by itself, and what it knew of the live edge meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from urllib.parse import urlsplit

from chatsync.instants import SECOND_US
from chatsync.service.app import create_app
from chatsync.service.clock import SteadyClock
from chatsync.service.live_room import LiveRoom
from chatsync.service.room_settings import RoomSettings
from chatsync.service.settings import Settings
from tests.relay import SECRET

__all__ = ["EdgeAges", "edge_ages", "followed", "until"]


@asynccontextmanager
async def followed(folder: Path, playlist_url: str) -> AsyncIterator[LiveRoom]:
    """The room of a relay that follows this playlist on loopback."""
    settings = Settings(
        data_folder=folder / "data",
        token_secret=SECRET,  # type: ignore[arg-type]
        loopback_origins=(urlsplit(playlist_url).netloc,),
        rooms={"class": RoomSettings(public=True, playlist_url=playlist_url)},
    )
    app = create_app(settings, clock=SteadyClock())
    async with app.router.lifespan_context(app):
        yield app.state.hub.room("class").live


async def until(condition: Callable[[], object], within_s: float = 15) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - an origin's thread answers in its own time
            await asyncio.sleep(0.02)


@dataclass(frozen=True)
class EdgeAges:
    """How old the live edge was that the relay knew, by the origin's clock, which is this machine's. Seconds."""

    mean_s: float
    median_s: float
    worst_s: float
    edges: int  # different ones

    def __str__(self) -> str:
        return f"mean {self.mean_s:.3f} s, median {self.median_s:.3f} s, worst {self.worst_s:.3f} s, {self.edges} edges"


async def edge_ages(live: LiveRoom, seconds: float) -> EdgeAges:
    """Look fifty times a second for so long."""
    ages: list[float] = []
    edges: set[int] = set()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        edge = live.timeline.live_edge
        if edge is not None and edge.program_us is not None:
            ages.append((time.time_ns() // 1000 - edge.program_us) / SECOND_US)
            edges.add(edge.program_us)
        await asyncio.sleep(0.02)
    return EdgeAges(mean(ages), median(ages), max(ages), len(edges))
