"""A room and its timeline over HTTP. Source: contract §4."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from chatsync.chat.policy import permitted
from chatsync.chat.wire import encoded
from chatsync.errors import MessageRejectedError, PlaylistSyntaxError
from chatsync.instants import ms_from_us
from chatsync.replay.broadcasts import Broadcast
from chatsync.service.limit_table import SEGMENTS_SHOWN_MAX
from chatsync.service.routes.entry import Entry, allowed, entry, reader
from chatsync.service.routes.messages import no_store
from chatsync.service.routes.slices import cache_control

__all__ = ["router"]

router = APIRouter(prefix="/v1/rooms/{room}", tags=["rooms"])

Reader = Annotated[Entry, Depends(reader)]


def _json(entered: Entry, body: dict[str, Any], public: str = "public, max-age=1") -> Response:
    headers = {"Cache-Control": cache_control(entered, public), "X-Content-Type-Options": "nosniff"}
    return Response(encoded(body), media_type="application/json", headers=headers)


@router.get("", summary="A room")
async def get_room(entered: Reader) -> Response:
    """Title, broadcasts, clock, DVR window, viewers, and what the caller may do."""
    live = entered.room
    current = live.broadcasts.current
    window = live.timeline.window
    program = None if window is None else window.program
    wall_us = live.clock.wall_us()
    return _json(
        entered,
        {
            "room": live.room,
            "title": live.settings.title,
            "public": live.settings.public,
            "live": not current.is_closed,
            "broadcast": current.number,
            "broadcasts": [_broadcast(one, wall_us) for one in live.broadcasts.kept],
            "clock_ms": live.clock_ms(),
            "stalled": current.clock.is_stalled(wall_us),
            "playlist_trouble": live.playlist_trouble,
            "sync": live.alarm.to_wire(),
            "window": None
            if program is None
            else {"start_ms": ms_from_us(program.start_us), "end_ms": ms_from_us(program.end_us)},
            "viewers": len(live.receivers),
            "you": {"role": entered.identity.role, "may": list(permitted(entered.identity.role))},
        },
        # What the caller may do follows from their token, so no cache may keep it for others.
        public="public, max-age=1" if entered.identity.expires_us is None else "private, no-store",
    )


def _broadcast(one: Broadcast, wall_us: int) -> dict[str, Any]:
    return {
        "broadcast": one.number,
        "start_ms": None if one.start_us is None else ms_from_us(one.start_us),
        "live_edge_ms": None if one.clock.edge_us is None else ms_from_us(one.clock.edge_us),
        "clock_ms": ms_from_us(one.clock.program_us(wall_us)) if one.clock.has_program_time else None,
        "media_sequence": one.first_media_sequence,
        "live": not one.is_closed,
        "closed_reason": one.closed_reason,
    }


@router.post("/timeline", summary="Push a playlist")
async def post_timeline(request: Request, room: str) -> Response:
    """For an encoder whose origin cannot be reached: its media playlist as it stands now, as the body."""
    entered = allowed(await entry(request, room), "ingest")
    if entered.running.pushed is None:
        raise MessageRejectedError("not_pushed", "This room has no `playlist_push`: it follows its playlist itself.")
    try:
        text = (await request.body()).decode()
    except UnicodeDecodeError as error:
        raise PlaylistSyntaxError("it is not UTF-8") from error
    return no_store(await entered.running.pushed.receive(text))


@router.get("/timeline", summary="Program time and media position")
async def get_timeline(
    entered: Reader,
    from_media_sequence: Annotated[int, Query(ge=0)] = 0,
    run: Annotated[int | None, Query(ge=1)] = None,
) -> Response:
    """Runs, regions and gaps, and the newest 5,000 segments of a run from a media sequence on; latency of the room."""
    live = entered.room
    timeline = live.timeline
    shown = run if run is not None else len(timeline.runs)
    segments = [one for one in timeline.segments(shown) if one.media_sequence >= from_media_sequence][
        -SEGMENTS_SHOWN_MAX:
    ]
    latency = live.latencies.summary(live.clock.wall_us())
    return _json(
        entered,
        {
            "room": live.room,
            "broadcast": live.broadcasts.current.number,
            "runs": [
                {"run": one.run, "reason": one.reason, "started_wall_ms": ms_from_us(one.started_wall_us)}
                for one in timeline.runs
            ],
            "regions": [
                {"run": one.run, "media_sequence": one.media_sequence, "offset_ms": ms_from_us(one.offset_us)}
                for one in timeline.regions
            ],
            "gaps": [{"start_ms": ms_from_us(g.start_us), "end_ms": ms_from_us(g.end_us)} for g in timeline.gaps()],
            "latency_ms": None if latency is None else ms_from_us(latency.median_us),
            "segments": [
                {
                    "run": one.run,
                    "media_sequence": one.media_sequence,
                    "program_ms": None if one.program_us is None else ms_from_us(one.program_us),
                    "duration_ms": ms_from_us(one.duration_us),
                    "source": one.program_source,
                }
                for one in segments
            ],
        },
    )
