"""Recordings of a room: an edit list from media positions to program time. Source: contract §4.

In this version a recording is made from the ended stream's own playlist, given by URL or as text, by program date-time.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from chatsync.chat.wire import encoded
from chatsync.errors import MessageRejectedError, NotFoundError
from chatsync.service.recordings import recording_of
from chatsync.service.routes.entry import Entry, allowed, entry, reader
from chatsync.service.routes.slices import cache_control

__all__ = ["router"]

router = APIRouter(prefix="/v1/rooms/{room}/recordings", tags=["recordings"])

_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


class RecordingBody(BaseModel):
    """What a recording is made from: one of the two."""

    playlist_url: str | None = Field(default=None, max_length=2_000)
    playlist: str | None = Field(default=None, max_length=8 * 1024 * 1024)


def _checked(recording: str) -> str:
    if _ID.fullmatch(recording) is None:
        raise NotFoundError("recording")
    return recording


@router.put("/{recording}", summary="Make a recording")
async def put_recording(request: Request, room: str, recording: str, body: RecordingBody) -> Response:
    """Map a playlist's positions to program time by its program date-time."""
    entered = allowed(entry(request, room), "write_recording")
    _checked(recording)
    text = body.playlist
    if (body.playlist is None) == (body.playlist_url is None):
        raise MessageRejectedError("needs_playlist", "Give either playlist_url or playlist.")
    if body.playlist_url is not None:
        loaded = await entered.hub.fetcher.load(body.playlist_url, headers=entered.room.settings.request_headers())
        text = loaded.text
    assert text is not None
    record = await asyncio.to_thread(recording_of, text, entered.room)
    connection_work = _put(entered, recording, record)
    await asyncio.wrap_future(entered.hub.writer.call(connection_work))
    return _answer(entered, record)


def _put(entered: Entry, recording: str, record: dict[str, Any]) -> Any:
    def work(connection: sqlite3.Connection) -> None:
        entered.hub.catalog.put_recording(connection, entered.room.room, recording, record)

    return work


@router.get("/{recording}", summary="A recording's map")
async def get_recording(entered: Annotated[Entry, Depends(reader)], recording: str) -> Response:
    """Duration and spans: which stretch of the recording shows which stretch of program time."""
    record = await asyncio.to_thread(entered.hub.catalog.recording, entered.room.room, _checked(recording))
    if record is None:
        raise NotFoundError("recording")
    return _answer(entered, record)


def _answer(entered: Entry, record: dict[str, Any]) -> Response:
    headers = {"Cache-Control": cache_control(entered, "public, max-age=30"), "X-Content-Type-Options": "nosniff"}
    return Response(encoded(record), media_type="application/json", headers=headers)
