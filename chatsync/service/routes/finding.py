"""Finding: how much was said when, and where words are. Source: contract §4.

Owns: query parameters, cursors, caching headers. Does not know: how rows are counted and searched.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from chatsync.chat.wire import encoded
from chatsync.errors import MessageRejectedError, NotFoundError
from chatsync.hls.spans import Span
from chatsync.instants import SECOND_US, Range, us_from_ms
from chatsync.replay.cuts import Cuts, pieces
from chatsync.service.finding import (
    ACTIVITY_US_MAX,
    Part,
    activity_of,
    positioned,
    search_broadcast,
    search_recording,
)
from chatsync.service.limit_table import SEARCH_CHARACTERS_MAX, SEARCH_HITS_MAX, SEARCH_WORDS_MAX
from chatsync.service.recordings import airings_of, spans_from_wire
from chatsync.service.routes.entry import Entry, Ms, reader
from chatsync.service.routes.slices import cache_control, etag
from chatsync.store.finding import compared

__all__ = ["router"]

router = APIRouter(prefix="/v1/rooms/{room}", tags=["finding"])

Reader = Annotated[Entry, Depends(reader)]
Broadcast = Annotated[int | None, Query(ge=1, le=2**31)]
Recording = Annotated[str | None, Query(max_length=64)]

_BUCKET_MS_MAX = 24 * 3_600_000
_ALL = Range(-(2**61), 2**61)


@router.get("/activity", summary="How much was said when")
async def get_activity(
    entered: Reader,
    request: Request,
    bucket_ms: Annotated[int, Query(ge=1_000, le=_BUCKET_MS_MAX)] = 10_000,
    broadcast: Broadcast = None,
    recording: Recording = None,
    from_ms: Ms | None = None,
    to_ms: Ms | None = None,
) -> Response:
    """Messages by bucket of a broadcast or of a recording, ``null`` where nothing is known; questions, polls, pins, gaps and peaks."""
    live, finder = entered.room, entered.hub.reading.finder
    bucket_us = -(-us_from_ms(bucket_ms) // SECOND_US) * SECOND_US
    is_over = recording is not None
    if recording is not None:
        if broadcast is not None or from_ms is not None or to_ms is not None:
            raise MessageRejectedError("needs_one_place", "A recording says itself what it shows.")
        record = await _record(entered, recording)

        def count() -> dict[str, Any]:
            spans = spans_from_wire(record["spans"])
            parts = [_part(entered, number, _span_range(spans, number)) for number in _broadcasts(spans)]
            duration_us = us_from_ms(record["duration_ms"])
            return {"recording": recording} | positioned(
                finder, live.room, spans, parts, duration_us=duration_us, bucket_us=bucket_us
            )
    else:
        number = entered.broadcast(broadcast)
        known = live.broadcasts.get(number)
        is_over = known is None or known.is_closed

        def count() -> dict[str, Any]:
            airing = next((one for one in airings_of(live) if one.broadcast == number), None)
            within = Range(0, 0) if airing is None else Range(airing.start_us, max(airing.start_us, airing.end_us))
            if from_ms is not None or to_ms is not None:
                start_us = within.start_us if from_ms is None else us_from_ms(from_ms)
                end_us = within.end_us if to_ms is None else us_from_ms(to_ms)
                within = Range(start_us, max(start_us, end_us))
            within = Range(max(within.start_us, within.end_us - ACTIVITY_US_MAX), within.end_us)
            return activity_of(finder, live.room, _part(entered, number, within), bucket_us=bucket_us)

    body = await finder.run(lambda: encoded(count()))
    return _answer(entered, request, body, "public, max-age=30" if is_over else "public, max-age=5")


@router.get("/search", summary="Find words in a chat")
async def get_search(
    entered: Reader,
    request: Request,
    q: Annotated[str, Query(min_length=1, max_length=SEARCH_CHARACTERS_MAX)],
    broadcast: Broadcast = None,
    recording: Recording = None,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=SEARCH_HITS_MAX)] = 20,
    cuts: Cuts = "leave",
) -> Response:
    """Messages that hold all of some words, whatever their case and accents, by program time or by position of a recording."""
    words = compared(q).split()
    if not words or len(words) > SEARCH_WORDS_MAX:
        raise MessageRejectedError("bad_search", f"Give from 1 to {SEARCH_WORDS_MAX} words.")
    if recording is not None and broadcast is not None:
        raise MessageRejectedError("needs_one_place", "A recording says itself which broadcast it shows.")
    live, authority, finder = entered.room, entered.hub.authority, entered.hub.reading.finder
    number = 0 if recording is not None else entered.broadcast(broadcast)
    asked = hashlib.sha256("\n".join([recording or "", cuts, *words]).encode()).hexdigest()
    seal = f"search:{live.room}:{asked}"  # no room is called so: it opens no page of messages, nor another search
    after = None if cursor is None else authority.opened_cursor(cursor, seal, number)
    if recording is None:

        def search() -> tuple[list[dict[str, Any]], tuple[int, int] | None]:
            return search_broadcast(finder, live.room, Part(number, _ALL), words, after=after, limit=limit)
    else:
        record = await _record(entered, recording)

        def search() -> tuple[list[dict[str, Any]], tuple[int, int] | None]:
            shown = pieces(spans_from_wire(record["spans"]), cuts)
            return search_recording(finder, live.room, shown, words, after=after, limit=limit)

    def work() -> bytes:
        hits, reached = search()
        sealed = None if reached is None else authority.sealed_cursor(reached, seal, number)
        return encoded({"hits": hits, "cursor": sealed})

    return _answer(entered, request, await finder.run(work), "public, max-age=1")


async def _record(entered: Entry, recording: str) -> dict[str, Any]:
    record = await asyncio.to_thread(entered.hub.catalog.recording, entered.room.room, recording)
    if record is None:
        raise NotFoundError("recording")
    return record


def _broadcasts(spans: tuple[Span, ...]) -> list[int]:
    return sorted({span.broadcast for span in spans})


def _span_range(spans: tuple[Span, ...], broadcast: int) -> Range:
    """All program time that a recording shows of a broadcast, and what was cut in between."""
    of_it = [span.program for span in spans if span.broadcast == broadcast]
    return Range(min(one.start_us for one in of_it), max(one.end_us for one in of_it))


def _part(entered: Entry, broadcast: int, within: Range) -> Part:
    gaps = tuple((gap, reason) for gap, reason in list(entered.room.records.gaps(broadcast)) if gap.overlaps(within))
    return Part(broadcast, within, gaps)


def _answer(entered: Entry, request: Request, body: bytes, public: str) -> Response:
    tag = etag(entered, hashlib.sha256(body).hexdigest())
    headers = {
        "Cache-Control": cache_control(entered, public),
        "ETag": tag,
        "X-Content-Type-Options": "nosniff",
    }
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)
