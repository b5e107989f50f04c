"""A variant of the stream that breaks is left for another, and the room hardly notices."""

from __future__ import annotations

import time
from pathlib import Path

from chatsync.instants import SECOND_US
from chatsync.simulation import Scenario, playlist_at
from tests.following import followed, until
from tests.origin import Answer, Origin, stream_of_now


def _now(scenario: Scenario) -> Answer:
    return Answer(playlist_at(scenario, time.time_ns() // 1000).encode())


async def test_a_broken_variant_costs_a_new_run_and_nothing_else(tmp_path: Path) -> None:
    """Other numbers, the same dates: one broadcast goes on, the program clock with it, and the trouble is over."""
    low = stream_of_now(segment_s=0.5)
    high = Scenario(low.start_us, low.segment_us, first_media_sequence=5_000, name="high")
    broken: list[bool] = []
    origin = Origin(Answer)
    origin.variants(low=lambda: Answer(status=404) if broken else _now(low), high=lambda: _now(high))
    with origin:
        async with followed(tmp_path, origin.url) as live:
            await until(lambda: live.broadcasts.current.clock.has_program_time)
            lag_us = live.broadcasts.current.clock.lag_us
            broken.append(True)
            await until(lambda: live.playlist_trouble is not None)
            await until(lambda: live.timeline.runs[-1].reason == "variant")
            edge = live.timeline.live_edge
            assert edge is not None
            await until(lambda: live.timeline.live_edge.media_sequence >= edge.media_sequence + 2)  # type: ignore[union-attr]
            assert live.playlist_trouble is None
            current = live.broadcasts.current
            assert (1, False, 2) == (current.number, current.is_closed, current.last_run)
            assert edge.media_sequence >= 5_000
            assert abs(current.clock.lag_us - lag_us) < SECOND_US
            event = next(e for e in live.journal.last_events("class", 50) if e.kind == "stream_changed")
            assert {"run": 2, "reason": "variant_changed"} == event.details
