"""The read path a CDN can serve: chat playlist, slices, the open slice, and the room at an instant.

Owns: query parameters, and the room at an instant. Does not know: how slices are made. Source: contract §3.

The first three are documented here and answered by ``slice_answers``; most requests for them never come here (``short_path``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response

from chatsync.chat.event import Event, Position
from chatsync.chat.wire import encoded, event_to_wire, position_to_wire
from chatsync.errors import MessageRejectedError, NotFoundError
from chatsync.hls.spans import ProgramPlace, place_of
from chatsync.instants import Range, ms_from_us, us_from_ms
from chatsync.replay.cuts import Cuts, Piece, pieces, standing_at
from chatsync.replay.slices import is_sliced
from chatsync.replay.state import folded
from chatsync.service.answers import Answer, json_answer, tag_of, unkept
from chatsync.service.answers import cache_control as caching_of
from chatsync.service.chat_playlist import ChatQuery
from chatsync.service.limit_table import CONTEXT_AHEAD_MS_MAX, CONTEXT_LAST_MAX
from chatsync.service.recordings import spans_from_wire
from chatsync.service.routes.entry import Entry, Ms, reader
from chatsync.service.slice_answers import SLICE_NAME, SliceAnswers

__all__ = ["router"]

router = APIRouter(prefix="/v1/rooms/{room}", tags=["slices"])

Reader = Annotated[Entry, Depends(reader)]


def cache_control(entered: Entry, public: str) -> str:
    """What caches may do with an answer of this room."""
    return caching_of(public, is_public=entered.room.settings.public)


def etag(entered: Entry, *parts: object) -> str:
    """A tag that says nothing of the text: a keyed hash of what names the version."""
    return tag_of(entered.hub.authority.etag_key, entered.room.room, *parts)


def _answers(request: Request) -> SliceAnswers:
    answers: SliceAnswers = request.app.state.answers
    return answers


def _answered(request: Request, answer: Answer) -> Response:
    return SliceAnswers.unchanged(answer, request.headers.get("if-none-match") or "").to_response()


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
    query = ChatQuery(broadcast=broadcast, from_ms=from_ms, to_ms=to_ms, since=since)
    return _answered(request, await _answers(request).chat(entered.running, query))


@router.get("/slices/{broadcast}/open.json", summary="The unsealed tail")
async def get_open_slice(
    entered: Reader,
    request: Request,
    broadcast: int,
    from_ms: Ms,
    after: Annotated[int | None, Query(ge=0)] = None,
) -> Response:
    """What is said since ``from_ms``, a ``sealed_until_ms`` of the last minute; with ``after`` only what is newer."""
    return _answered(request, await _answers(request).open(entered.running, broadcast, from_ms, after))


@router.get("/slices/{broadcast}/{name}", summary="One sealed slice")
async def get_slice(entered: Reader, request: Request, broadcast: int, name: str) -> Response:
    """An immutable revision of a slice. 410 once a newer one stands, 404 if there never was one. Caches keep it at this one address."""
    match = SLICE_NAME.fullmatch(name)
    if match is None:
        raise NotFoundError("slice")
    start_ms, end_ms, epoch, revision = map(int, match.groups())
    gzipped = "gzip" in (request.headers.get("accept-encoding") or "")
    answer = await _answers(request).sealed(
        entered.running, entered.broadcast(broadcast), (start_ms, end_ms, epoch, revision), gzipped=gzipped
    )
    return _answered(request, answer if _is_own_address(request, entered, broadcast, name) else unkept(answer))


def _is_own_address(request: Request, entered: Entry, broadcast: int, name: str) -> bool:
    """Whether a slice was asked for at the one address that lists give. What caches keep at another, nobody could tell them to drop."""
    own = f"/v1/rooms/{entered.room.room}/slices/{broadcast}/{name}"
    raw_path = request.scope.get("raw_path") or request.scope["path"].encode()
    return bool(raw_path == own.encode() and not request.scope["query_string"])


@router.get("/at", summary="The room at an instant")
async def get_at(
    entered: Reader,
    program_ms: Ms | None = None,
    broadcast: Annotated[int | None, Query(ge=1, le=2**31)] = None,
    recording: Annotated[str | None, Query(max_length=64)] = None,
    position_ms: Ms | None = None,
    last: Annotated[int, Query(ge=0, le=CONTEXT_LAST_MAX)] = 50,
    ahead_ms: Annotated[int, Query(ge=0, le=CONTEXT_AHEAD_MS_MAX)] = 20_000,
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
        body = await _at_position(entered, recording, position_ms, ahead_ms, last=last, cuts=cuts, position=position)
    else:
        number = entered.broadcast(broadcast)
        at_us = us_from_ms(program_ms or 0)
        ahead = Range(at_us, at_us + us_from_ms(ahead_ms))
        before, after, state_events = await entered.hub.reading.around(live.room, number, ahead, last=last)
        paced = entered.hub.journal.paced
        body = await asyncio.to_thread(
            _at_instant, paced(before), paced(after), state_events, at_us=at_us, position=position
        )
    return json_answer(body, caching=cache_control(entered, "public, max-age=1")).to_response()


def _at_instant(
    before: Iterable[Event], after: Iterable[Event], state_events: Sequence[Event], *, at_us: int, position: Position
) -> bytes:
    """In a thread, since two minutes of a busy room are tens of thousands of events: the room at a program time, encoded."""
    return encoded(
        {
            "state": folded(state_events, before_us=at_us).to_wire(msgspec.to_builtins),
            "before": [_event_here(event) for event in before if is_sliced(event)],
            "after": [_event_here(event) for event in after if is_sliced(event)],
            "as_of": position_to_wire(position),
        }
    )


async def _at_position(
    entered: Entry, recording: str, position_ms: int, ahead_ms: int, *, last: int, cuts: Cuts, position: Position
) -> bytes:
    """The room at a position of a recording, encoded; every event says at which position it lies."""
    live = entered.room
    record = await asyncio.to_thread(entered.hub.catalog.recording, live.room, recording)
    if record is None:
        raise NotFoundError("recording")
    at_us = us_from_ms(position_ms)
    positions = Range(at_us, at_us + us_from_ms(ahead_ms))

    def cut() -> tuple[ProgramPlace | None, ProgramPlace | None, list[Piece]]:
        spans = spans_from_wire(record["spans"])
        return standing_at(at_us, spans), place_of(at_us, spans), pieces(spans, cuts)

    standing, place, shown = await asyncio.to_thread(cut)
    if standing is None:
        raise NotFoundError("recording")
    before, after, state_events = await entered.hub.reading.recorded(
        live.room, shown, positions, last=last, broadcast=standing.broadcast
    )

    paced = entered.hub.journal.paced

    def encode() -> bytes:
        body = {
            "place": None
            if place is None
            else {"broadcast": place.broadcast, "program_ms": ms_from_us(place.program_us)},
            "state": folded(state_events, before_us=standing.program_us).to_wire(msgspec.to_builtins),
            "before": [_event_at(shown_us, event) for shown_us, event in paced(before) if is_sliced(event)],
            "after": [_event_at(shown_us, event) for shown_us, event in paced(after) if is_sliced(event)],
            "as_of": position_to_wire(position),
        }
        return encoded(body)

    return await asyncio.to_thread(encode)


def _event_here(event: Event) -> msgspec.Raw:
    return msgspec.Raw(encoded(event_to_wire(event, author=event.author)))


def _event_at(position_us: int, event: Event) -> msgspec.Raw:
    return msgspec.Raw(encoded(event_to_wire(event, author=event.author) | {"position_ms": ms_from_us(position_us)}))
