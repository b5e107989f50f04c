"""Recordings of a room: an edit list from media positions to program time. Source: contract §4.

Owns: the shapes of bodies, which source a recording is made from, loading a playlist. Does not know: how a map is made.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
from typing import Annotated, Any
from urllib.parse import urljoin

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator, BaseModel, Field, TypeAdapter, ValidationError

from chatsync.chat.wire import encoded
from chatsync.errors import MessageRejectedError, NotFoundError
from chatsync.hls.spans import Method, Span
from chatsync.instants import us_from_ms
from chatsync.service.limit_table import CLIPS_MAX, SPANS_MAX
from chatsync.service.recordings import (
    recording_of,
    recording_of_broadcast,
    recording_of_clips,
    recording_of_spans,
    served,
    variant_of,
)
from chatsync.service.room_settings import checked_media_url
from chatsync.service.routes.entry import Entry, allowed, entry, reader
from chatsync.service.routes.slices import cache_control

__all__ = ["router"]

router = APIRouter(prefix="/v1/rooms/{room}/recordings", tags=["recordings"])

_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_POSITION_MS_MAX = 366 * 24 * 3_600_000  # a year
_PROGRAM_MS_MAX = 253_402_300_799_999  # the end of the year 9999
_SOURCES = ("playlist_url", "playlist", "spans", "broadcast", "recording", "clips")

PositionMs = Annotated[int, Field(strict=True, ge=0, le=_POSITION_MS_MAX)]
DurationMs = Annotated[int, Field(strict=True, ge=1, le=_POSITION_MS_MAX)]
ProgramMs = Annotated[int, Field(strict=True, ge=-_PROGRAM_MS_MAX, le=_PROGRAM_MS_MAX)]
BroadcastNumber = Annotated[int, Field(strict=True, ge=1, le=2**31)]


class SpanBody(BaseModel):
    """A span as it is served; who gives one need not say how it was found."""

    position_ms: PositionMs
    duration_ms: DurationMs
    broadcast: BroadcastNumber
    program_ms: ProgramMs
    method: Method = "offset"
    score: Annotated[float, Field(ge=0, le=1)] = 1.0


class ClipBody(BaseModel):
    """A stretch of an earlier recording, to its end without ``duration_ms``."""

    recording: Annotated[str, Field(max_length=64)]
    position_ms: PositionMs = 0
    duration_ms: DurationMs | None = None


def _playable(url: str | None) -> str | None:
    return None if url is None else checked_media_url(url)


class RecordingBody(BaseModel):
    """What a recording is made from: exactly one source."""

    playlist_url: str | None = Field(default=None, max_length=2_000)
    playlist: str | None = Field(default=None, max_length=8 * 1024 * 1024)
    spans: list[SpanBody] | None = Field(default=None, max_length=SPANS_MAX)
    broadcast: BroadcastNumber | None = None
    start_program_ms: ProgramMs | None = None
    recording: str | None = Field(default=None, max_length=64)
    position_ms: PositionMs = 0
    clips: list[ClipBody] | None = Field(default=None, min_length=1, max_length=CLIPS_MAX)
    duration_ms: DurationMs | None = None  # with spans, broadcast or recording
    media_url: Annotated[str | None, AfterValidator(_playable)] = None  # what the watch page plays


def _checked(recording: str) -> str:
    if _ID.fullmatch(recording) is None:
        raise NotFoundError("recording")
    return recording


@router.get("", summary="A room's recordings")
async def get_recordings(entered: Annotated[Entry, Depends(reader)]) -> Response:
    """Their ids and lengths."""
    found = await asyncio.to_thread(entered.hub.catalog.recordings, entered.room.room)
    return _answer(
        entered,
        {"recordings": [{"recording": name, "duration_ms": one["duration_ms"]} for name, one in found.items()]},
    )


def _read(body: bytes) -> RecordingBody:
    """A body of the documented shape. Twenty thousand spans are checked a thousand at a time, so that other threads get their turn.

    Raises:
        RequestValidationError: it is none.
    """
    try:
        value = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise RequestValidationError([{"loc": ("body",), "type": "json_invalid"}]) from None
    spans = value.pop("spans", None) if isinstance(value, dict) else None
    try:
        read = RecordingBody.model_validate(value)
        if isinstance(spans, list) and len(spans) <= SPANS_MAX:
            checked = [
                one
                for first in range(0, len(spans), 1_000)
                for one in _spans.validate_python(spans[first : first + 1_000])
            ]
            return read.model_copy(update={"spans": checked})
        return read if spans is None else RecordingBody.model_validate(value | {"spans": spans})
    except ValidationError as error:
        raise RequestValidationError([one | {"loc": ("body", *one["loc"])} for one in error.errors()]) from None


_spans = TypeAdapter(list[SpanBody])


def _whole(schema: Any, parts: dict[str, Any]) -> Any:
    """A JSON schema with its parts in their places: nothing else brings them among OpenAPI's components."""
    if isinstance(schema, list):
        return [_whole(one, parts) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _whole(parts[schema["$ref"].rpartition("/")[2]], parts)
    return {name: _whole(one, parts) for name, one in schema.items() if name != "$defs"}


_SCHEMA = RecordingBody.model_json_schema()
_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": _whole(_SCHEMA, _SCHEMA["$defs"])}},
    }
}


@router.put("/{recording}", summary="Make a recording", openapi_extra=_BODY)
async def put_recording(request: Request, room: str, recording: str) -> Response:
    """Map a recording's positions to program time, from exactly one source."""
    entered = allowed(await entry(request, room), "write_recording")
    _checked(recording)
    body = await asyncio.to_thread(_read, await request.body())
    if sum(getattr(body, source) is not None for source in _SOURCES) != 1:
        raise MessageRejectedError("needs_one_source", f"Give exactly one of {', '.join(_SOURCES)}.")
    if (body.broadcast is None) != (body.start_program_ms is None):
        raise MessageRejectedError("needs_one_source", "Give broadcast and start_program_ms together.")
    count_max = entered.hub.settings.limits.recordings_per_room_max
    if await asyncio.to_thread(entered.hub.catalog.recordings_besides, room, recording) >= count_max:
        raise MessageRejectedError("too_many_recordings", f"A room has maps of at most {count_max} recordings.")
    record = await _made(entered, recording, body)
    if body.media_url is not None:
        record = record | {"media_url": body.media_url}

    def work(connection: sqlite3.Connection) -> None:
        entered.hub.catalog.put_recording(connection, entered.room.room, recording, record)

    await asyncio.wrap_future(entered.hub.writer.call(work))
    return await _map_answer(entered, record)


async def _made(entered: Entry, name: str, body: RecordingBody) -> dict[str, Any]:
    live = entered.room
    duration_us = None if body.duration_ms is None else us_from_ms(body.duration_ms)
    if body.broadcast is not None and body.start_program_ms is not None:
        start_us = us_from_ms(body.start_program_ms)
        return await asyncio.to_thread(recording_of_broadcast, live, body.broadcast, start_us, duration_us)
    if body.spans is not None:
        spans = await asyncio.to_thread(lambda given: [_span(one) for one in given], body.spans)
        return await asyncio.to_thread(recording_of_spans, spans, live, duration_us=duration_us)
    clips = body.clips
    if body.recording is not None:
        clips = [ClipBody(recording=body.recording, position_ms=body.position_ms, duration_ms=body.duration_ms)]
    if clips is not None:
        taken = [
            (
                one.recording,
                us_from_ms(one.position_ms),
                None if one.duration_ms is None else us_from_ms(one.duration_ms),
            )
            for one in clips
        ]
        return await asyncio.to_thread(recording_of_clips, live, taken)
    text = body.playlist if body.playlist_url is None else await _loaded(entered, body.playlist_url)
    assert text is not None
    return await asyncio.to_thread(recording_of, text, live, name=name)


async def _loaded(entered: Entry, url: str) -> str:
    """The media playlist at a URL; of a multivariant playlist the cheapest variant's."""
    headers = await asyncio.to_thread(entered.room.settings.request_headers)
    loaded = await entered.hub.fetcher.load(url, headers=headers)
    variant = await asyncio.to_thread(variant_of, loaded.text)
    if variant is not None:
        loaded = await entered.hub.fetcher.load(urljoin(loaded.url, variant), headers=headers)
    return loaded.text


def _span(body: SpanBody) -> Span:
    return Span(
        position_us=us_from_ms(body.position_ms),
        duration_us=us_from_ms(body.duration_ms),
        broadcast=body.broadcast,
        program_us=us_from_ms(body.program_ms),
        method=body.method,
        score=body.score,
    )


@router.get("/{recording}", summary="A recording's map")
async def get_recording(entered: Annotated[Entry, Depends(reader)], recording: str) -> Response:
    """Duration and spans: which stretch of the recording shows which stretch of program time."""
    return await _map_answer(entered, await _kept(entered, recording))


@router.delete("/{recording}", summary="Forget a recording")
async def delete_recording(request: Request, room: str, recording: str) -> Response:
    """Its map is gone; no message is."""
    entered = allowed(await entry(request, room), "write_recording")
    await _kept(entered, recording)

    def work(connection: sqlite3.Connection) -> None:
        entered.hub.catalog.remove_recording(connection, entered.room.room, recording)

    await asyncio.wrap_future(entered.hub.writer.call(work))
    return _answer(entered, {"recording": recording}, public="no-store")


async def _kept(entered: Entry, recording: str) -> dict[str, Any]:
    record = await asyncio.to_thread(entered.hub.catalog.recording, entered.room.room, _checked(recording))
    if record is None:
        raise NotFoundError("recording")
    return record


async def _map_answer(entered: Entry, record: dict[str, Any]) -> Response:
    """A recording's map, which may have twenty thousand spans: encoded in a thread."""
    return _encoded_answer(entered, await asyncio.to_thread(lambda: encoded(served(record))))


def _answer(entered: Entry, record: dict[str, Any], public: str = "public, max-age=30") -> Response:
    return _encoded_answer(entered, encoded(record), public)


def _encoded_answer(entered: Entry, body: bytes, public: str = "public, max-age=30") -> Response:
    headers = {"Cache-Control": cache_control(entered, public), "X-Content-Type-Options": "nosniff"}
    return Response(body, media_type="application/json", headers=headers)
