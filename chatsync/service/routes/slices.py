"""The read path a CDN can serve: chat playlist, slices, the open slice, and the room at an instant.

Owns: query parameters, caching headers, 410 and 404. Does not know: how slices are made. Source: contract §3.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import hmac
import re
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response

from chatsync.chat.event import Event
from chatsync.chat.wire import encoded, event_to_wire, position_to_wire
from chatsync.errors import CorruptError, MessageRejectedError, NotFoundError
from chatsync.hls.spans import place_of
from chatsync.instants import HOUR_US, Range, ms_from_us, us_from_ms
from chatsync.replay.cuts import Cuts, pieces, standing_at
from chatsync.replay.slices import encoded_slice, is_sliced
from chatsync.replay.state import folded
from chatsync.service.chat_playlist import chat_playlist
from chatsync.service.problems import SupersededError
from chatsync.service.recordings import spans_from_wire
from chatsync.service.routes.entry import Entry, Ms, reader
from chatsync.store.catalog import SliceRow

__all__ = ["router"]

router = APIRouter(prefix="/v1/rooms/{room}", tags=["slices"])

LAST_MAX = 200
AHEAD_MS_MAX = 120_000
_DEFAULT_BACK_US = 6 * HOUR_US
_NAME = re.compile(r"(-?\d{1,16})-(-?\d{1,16})\.e(\d{1,18})\.r(\d{1,9})\.json")

Reader = Annotated[Entry, Depends(reader)]


def cache_control(entered: Entry, public: str) -> str:
    """What caches may do: never anything for a private room (security-and-privacy §3.1)."""
    return public if entered.room.settings.public else "private, no-store"


def etag(entered: Entry, *parts: object) -> str:
    """A tag that says nothing of the text: a keyed hash of what names the version."""
    text = "|".join(map(str, (entered.room.room, *parts))).encode()
    return '"' + hmac.new(entered.hub.authority.etag_key, text, hashlib.sha256).hexdigest()[:24] + '"'


def _not_modified(request: Request, tag: str) -> bool:
    return tag in (request.headers.get("if-none-match") or "")


@router.get("/chat.json", summary="The chat playlist")
async def get_chat_playlist(
    entered: Reader,
    request: Request,
    broadcast: Annotated[int | None, Query(ge=1, le=2**31)] = None,
    from_ms: Ms | None = None,
    to_ms: Ms | None = None,
    since: Annotated[int | None, Query(ge=0)] = None,
) -> Response:
    """The slices of a broadcast by revision; with ``since`` only what changed."""
    body, live = await chat_playlist(entered, broadcast=broadcast, from_ms=from_ms, to_ms=to_ms, since=since)
    tag = etag(entered, "chat", hashlib.sha256(body).hexdigest())
    headers = {
        "Cache-Control": cache_control(entered, "public, max-age=1" if live else "public, max-age=30"),
        "ETag": tag,
        "X-Content-Type-Options": "nosniff",
    }
    if _not_modified(request, tag):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


@router.get("/slices/{broadcast}/open.json", summary="The unsealed tail")
async def get_open_slice(
    entered: Reader,
    broadcast: int,
    from_ms: Ms,
    after: Annotated[int | None, Query(ge=0)] = None,
) -> Response:
    """What is said since ``from_ms``, a ``sealed_until_ms`` of the last minute; with ``after`` only what is newer."""
    live = entered.room
    if live.broadcasts.get(broadcast) is None:
        raise NotFoundError("broadcast")
    index = await entered.running.sealer.index(broadcast)
    from_us = us_from_ms(from_ms)
    sealed_until_us = index.sealed_until_us
    if sealed_until_us is not None and not index.may_be_asked_from(from_us):
        raise SupersededError(sealed_until_ms=ms_from_us(sealed_until_us))
    position = live.log.position
    if after is not None and not index.told_from <= after <= position.offset:
        raise SupersededError(sealed_until_ms=None if sealed_until_us is None else ms_from_us(sealed_until_us))
    events = index.tail_from(from_us)
    gone = None
    if after is not None:
        events = [event for event in events if event.offset > after]
        gone = [hidden for cause, hidden in index.gone if cause > after]
    state = folded(
        (event for event in live.journal.state_events(live.room, broadcast) if event.offset <= position.offset),
        before_us=from_us,
    )
    end_us = max(from_us, events[-1].program_us + 1 if events else from_us, live.program_us())
    body = encoded_slice(
        room=live.room,
        broadcast=broadcast,
        within=Range(from_us, end_us),
        position=position,
        revision=None,
        state=state,
        events=events,
        gone=gone,
    )
    headers = {"Cache-Control": cache_control(entered, "public, max-age=1"), "X-Content-Type-Options": "nosniff"}
    return Response(body, media_type="application/json", headers=headers)


@router.get("/slices/{broadcast}/{name}", summary="One sealed slice")
async def get_slice(entered: Reader, request: Request, broadcast: int, name: str) -> Response:
    """An immutable revision of a slice. 410 once a newer one stands, 404 if there never was one."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise NotFoundError("slice")
    broadcast = entered.broadcast(broadcast)
    start_ms, end_ms, epoch, revision = map(int, match.groups())
    index = await entered.running.sealer.index(broadcast)
    row = index.entry_at(us_from_ms(start_ms))
    if row is not None:
        await entered.running.sealer.settled(index, row)
        row = index.entry_at(us_from_ms(start_ms))
    if row is None or (row.start_ms, row.end_ms) != (start_ms, end_ms):
        removed = index.removed.get(start_ms)
        if removed is not None and end_ms == removed.end_ms and revision <= removed.revision:
            raise SupersededError(revision=None)
        raise NotFoundError("slice")
    if (row.epoch, row.revision) != (epoch, revision):
        if revision < row.revision or epoch < row.epoch:
            raise SupersededError(revision=row.revision)
        raise NotFoundError("slice")
    try:
        return await _slice_response(entered, request, row)
    except CorruptError as error:
        now = index.entry_at(us_from_ms(start_ms))
        if now is row:
            raise
        # It was revised while its file was read.
        raise SupersededError(revision=None if now is None else now.revision) from error


async def _slice_response(entered: Entry, request: Request, row: SliceRow) -> Response:
    public = f"public, max-age={entered.hub.settings.limits.slice_age_s}, s-maxage=300, immutable"
    tag = etag(entered, "slice", row.broadcast, row.start_ms, row.end_ms, row.epoch, row.revision)
    headers = {
        "Cache-Control": cache_control(entered, public),
        "ETag": tag,
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
    }
    if _not_modified(request, tag):
        return Response(status_code=304, headers=headers)
    body = await entered.running.sealer.packed(row)
    if "gzip" in (request.headers.get("accept-encoding") or ""):
        headers["Content-Encoding"] = "gzip"
    else:
        body = gzip.decompress(body)
    return Response(body, media_type="application/json", headers=headers)


@router.get("/at", summary="The room at an instant")
async def get_at(
    entered: Reader,
    program_ms: Ms | None = None,
    broadcast: Annotated[int | None, Query(ge=1, le=2**31)] = None,
    recording: Annotated[str | None, Query(max_length=64)] = None,
    position_ms: Ms | None = None,
    last: Annotated[int, Query(ge=0, le=LAST_MAX)] = 50,
    ahead_ms: Annotated[int, Query(ge=0, le=AHEAD_MS_MAX)] = 20_000,
    cuts: Cuts = "leave",
) -> Response:
    """State, the last messages before a program time or a recording position (exclusive, newest last) and those after it."""
    live = entered.room
    position = live.log.position
    if (program_ms is None) == (recording is None) or (recording is None) != (position_ms is None):
        raise MessageRejectedError("needs_one_place", "Give program_ms, or recording and position_ms.")
    if recording is not None and position_ms is not None:
        if broadcast is not None:
            raise MessageRejectedError("needs_one_place", "A recording says itself which broadcast it shows.")
        body = await _at_position(entered, recording, position_ms, ahead_ms, last=last, cuts=cuts)
    else:
        number = entered.broadcast(broadcast)
        at_us = us_from_ms(program_ms or 0)
        ahead = Range(at_us, at_us + us_from_ms(ahead_ms))
        before, after, state_events = await entered.hub.reading.around(live.room, number, ahead, last=last)
        body = {
            "state": folded(state_events, before_us=at_us).to_wire(msgspec.to_builtins),
            "before": [event_to_wire(event, author=event.author) for event in before if is_sliced(event)],
            "after": [event_to_wire(event, author=event.author) for event in after if is_sliced(event)],
        }
    body["as_of"] = position_to_wire(position)
    headers = {"Cache-Control": cache_control(entered, "public, max-age=1"), "X-Content-Type-Options": "nosniff"}
    return Response(encoded(body), media_type="application/json", headers=headers)


async def _at_position(
    entered: Entry, recording: str, position_ms: int, ahead_ms: int, *, last: int, cuts: Cuts
) -> dict[str, Any]:
    """The room at a position of a recording; every event says at which position it lies."""
    live = entered.room
    record = await asyncio.to_thread(entered.hub.catalog.recording, live.room, recording)
    if record is None:
        raise NotFoundError("recording")
    spans = spans_from_wire(record["spans"])
    at_us = us_from_ms(position_ms)
    standing, place = standing_at(at_us, spans), place_of(at_us, spans)
    if standing is None:
        raise NotFoundError("recording")
    positions = Range(at_us, at_us + us_from_ms(ahead_ms))
    before, after, state_events = await entered.hub.reading.recorded(
        live.room, pieces(spans, cuts), positions, last=last, broadcast=standing.broadcast
    )
    return {
        "place": None if place is None else {"broadcast": place.broadcast, "program_ms": ms_from_us(place.program_us)},
        "state": folded(state_events, before_us=standing.program_us).to_wire(msgspec.to_builtins),
        "before": [_event_at(shown_us, event) for shown_us, event in before if is_sliced(event)],
        "after": [_event_at(shown_us, event) for shown_us, event in after if is_sliced(event)],
    }


def _event_at(position_us: int, event: Event) -> dict[str, Any]:
    return event_to_wire(event, author=event.author) | {"position_ms": ms_from_us(position_us)}
