"""What the host's panel shows beside the live connection. Source: the host's live panel (docs/rooms.md).

Owns: one answer, of counts that are kept anyway. Does not know: how it is drawn.
"""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from chatsync.instants import MINUTE_US, ms_from_us, us_from_ms
from chatsync.replay.broadcasts import Broadcast
from chatsync.replay.pulse import Behind, behind, usual_per_minute
from chatsync.service.live_room import LiveRoom
from chatsync.service.routes.entry import Entry, allowed, reader
from chatsync.service.routes.messages import no_store

__all__ = ["router"]

router = APIRouter(prefix="/v1/rooms/{room}", tags=["rooms"])

_AIRINGS_MAX = 10  # a term's course changes; the last ten say what is usual now
_VIEWERS_MAX = 5_000  # as many as are looked at to say where pictures are: ~5 ms of the loop


@router.get("/panel", summary="The pulse of a class")
async def get_panel(entered: Annotated[Entry, Depends(reader)]) -> Response:
    """Pace against the usual, "lost me" taps by minute, how far behind viewers are: for those who run the room."""
    live = allowed(entered, "read_staff").room
    now_us = live.program_us()
    minutes = live.edge.pulse.minutes(now_us)
    return no_store(
        {
            "room": live.room,
            "title": live.settings.title,
            "broadcast": live.broadcasts.current.number,
            "clock_ms": live.clock_ms(),
            "viewers": len(live.receivers),
            "pace": {
                "per_minute": round(live.edge.pulse.per_minute(now_us), 1),
                "usual_per_minute": await _usual(live),
            },
            "minutes": [
                {"start_ms": ms_from_us(one.start_us), "messages": one.messages, "lost": one.lost} for one in minutes
            ],
            "behind": _behind_to_wire(_behind(live)),
        }
    )


async def _usual(live: LiveRoom) -> float | None:
    """What is said in a minute of the room's earlier airings; read once a minute, since the end of the last is sealed a moment after this one began."""
    wall_us, known = live.clock.wall_us(), live.edge.usual
    if known is None or wall_us - known[0] >= MINUTE_US:
        known = wall_us, await asyncio.to_thread(_read_usual, live, live.broadcasts.current.number)
        live.edge.usual = known
    return None if known[1] is None else round(known[1], 1)


def _read_usual(live: LiveRoom, number: int) -> float | None:
    records = live.catalog.broadcast_records(live.room, last=-1)
    earlier = [one for one in map(Broadcast.from_record, records) if one.number < number][-_AIRINGS_MAX:]
    return usual_per_minute(_messages_and_length(live, one) for one in earlier)


def _messages_and_length(live: LiveRoom, airing: Broadcast) -> tuple[int, int]:
    """How much was said in an airing, and how long its media was; without a stream, how long people spoke. Both 0 before any of it is sealed."""
    rows = live.catalog.slices(live.room, airing.number)[0]
    if not rows:
        return 0, 0
    if airing.start_us is not None and airing.clock.edge_us is not None:
        length_us = airing.clock.edge_us - airing.start_us
    else:
        length_us = sum(us_from_ms(row.end_ms - row.start_ms) for row in rows)
    return sum(row.messages for row in rows), length_us


def _behind(live: LiveRoom) -> Behind:
    wall_us = live.clock.wall_us()
    latency = live.latencies.summary(wall_us)
    reports = (one.playhead for one in islice(live.receivers, _VIEWERS_MAX) if not one.is_staff)
    return behind(
        (report for report in reports if report is not None),
        live.broadcasts.current.number,
        clock_us=live.program_us(),
        wall_us=wall_us,
        latency_us=live.hold_back_us if latency is None else latency.median_us,
    )


def _behind_to_wire(found: Behind) -> dict[str, Any]:
    ranks = {"p10_ms": found.p10_us, "p50_ms": found.p50_us, "p90_ms": found.p90_us}
    return {
        "known": found.known,
        "at_live": found.at_live,
        "rewound": found.rewound,
        "paused": found.paused,
        **{name: None if value is None else ms_from_us(value) for name, value in ranks.items()},
    }
