"""A room and its timeline over HTTP. Source: contract §4."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from chatsync.chat.mode import mode_to_wire
from chatsync.chat.policy import STAFF, may, permitted
from chatsync.chat.wire import encoded
from chatsync.errors import MessageRejectedError, NotAllowedError, PlaylistSyntaxError
from chatsync.instants import ms_from_us
from chatsync.replay.broadcasts import Broadcast
from chatsync.service.limit_table import PAGE_MAX, PARTICIPANTS_SHOWN_MAX, SEGMENTS_SHOWN_MAX
from chatsync.service.live_room import LiveRoom
from chatsync.service.retention_statement import retention_statement
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
            "host": live.settings.host,
            "time_zone": live.settings.time_zone,
            "starts_ms": live.settings.starts_ms,
            "lifecycle": await _lifecycle(live),
            "profile": live.settings.profile,
            "mode": mode_to_wire(live.floor.mode),
            "fixed": sorted(live.settings.fixed_parts),
            "reactions": list(live.settings.reactions),
            "emotes": live.settings.emotes,
            "media_url": live.settings.media_url,
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
            "source": _source(entered),
            "you": {"role": entered.identity.role, "may": list(permitted(entered.identity.role, live.floor.mode))},
        },
        # What the caller may do follows from their token, so no cache may keep it for others.
        public="public, max-age=1" if entered.identity.expires_us is None else "private, no-store",
    )


def _source(entered: Entry) -> dict[str, Any] | None:
    """How the chat elsewhere stands, for those who run the room; None for others, and where there is none."""
    capturing = entered.running.capturing
    is_staff = may(entered.identity.role, "read_staff") or "read_staff" in entered.identity.scopes
    return capturing.to_wire() if capturing is not None and is_staff else None


async def _lifecycle(live: LiveRoom) -> str:
    """Where the room is in its life: scheduled, waiting, live, ended, archived."""
    current = live.broadcasts.current
    if current.is_closed:
        left = await asyncio.to_thread(live.journal.unarchived_hours, live.room)
        return "ended" if left else "archived"
    has_begun = current.clock.has_program_time if live.settings.has_stream else live.log.position.offset > 1
    starts_ms = live.settings.starts_ms
    if not has_begun and starts_ms is not None and ms_from_us(live.clock.system_wall_us()) < starts_ms:
        return "scheduled"
    return "live" if has_begun or not live.settings.has_stream else "waiting"


@router.get("/participants", summary="Who is there")
async def get_participants(entered: Reader) -> Response:
    """The people with a live connection, each once, by name; for whom the room's policy lets see them.

    Raises:
        NotAllowedError: it does not.
    """
    live, identity = entered.room, entered.identity
    who = live.settings.participant_list
    is_staff = may(identity.role, "read_staff") or "read_staff" in identity.scopes
    if not is_staff and (who != "everyone" or not may(identity.role, "list_participants")):
        raise NotAllowedError("list_participants")
    people = {author.key: author for one in tuple(live.receivers) if (author := one.author) is not None and author.name}
    shown = sorted(people.values(), key=lambda author: (author.role not in STAFF, author.name.casefold(), author.key))
    return _json(
        entered,
        {
            "viewers": len(live.receivers),
            "participants": [
                {"key": one.key, "name": one.name, "role": one.role} for one in shown[:PARTICIPANTS_SHOWN_MAX]
            ],
        },
        public="private, no-store",
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


@router.get("/retention", summary="What a room keeps, and how long")
async def get_retention(entered: Reader) -> Response:
    """What is kept of what is said here, how long, where and why, and which broadcasts have gone for their age."""
    live, hub = entered.room, entered.hub
    deletions = await asyncio.to_thread(hub.catalog.deletions, live.room)
    statement = retention_statement(
        live.room,
        live.settings,
        node_days=hub.settings.retention_days,
        audit_days=hub.settings.audit_days,
        deletions=deletions,
    )
    return _json(entered, statement, "public, max-age=30")


@router.get("/names", summary="Who is behind the numbers")
async def get_names(
    entered: Annotated[Entry, Depends(entry)],
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 1_000,
) -> Response:
    """In a room with numbered names that lets its hosts know: numbers and the names behind them, for hosts only."""
    live, hub = allowed(entered, "read_names").room, entered.hub
    if not live.settings.names_known_to_hosts:
        raise NotAllowedError("read_names")
    seal = f"names:{live.room}"
    after = 0 if cursor is None else hub.authority.opened_cursor(cursor, seal, 0)[0]
    rows = await asyncio.to_thread(hub.journal.number_rows, live.room)
    known = [row for row in rows if row[1] > after and row[2] is not None]
    page, more = known[:limit], len(known) > limit
    names = [
        {"author": key, "number": number, "name": live.settings.numbered(number), "given": given}
        for _, number, key, given in page
    ]
    return no_store(
        {"names": names, "cursor": hub.authority.sealed_cursor((page[-1][1], 0), seal, 0) if more else None}
    )


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
