"""Messages over HTTP: how a platform with its own chat feeds a room, how tools read one, and deeds without a socket.

Owns: bodies and their limits, one result for each message. Source: contract §4 "messages" and §5 "Servers".
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response

from chatsync.chat.event import Author
from chatsync.chat.text import clean_name
from chatsync.chat.wire import ActFrame, Number, SayFrame, SayPlayhead, encoded, event_to_wire
from chatsync.errors import ChatsyncError, MessageRejectedError
from chatsync.instants import us_from_ms
from chatsync.replay.slices import is_sliced
from chatsync.replay.stamping import Playhead
from chatsync.service.acts import Act, Seen, act_of, say_of
from chatsync.service.drafting import claimed
from chatsync.service.limit_table import FED_AGE_US_MAX, MESSAGES_MAX, PAGE_MAX
from chatsync.service.relay import acked
from chatsync.service.routes.entry import Entry, Ms, allowed, entry, reader
from chatsync.service.routes.slices import cache_control

__all__ = ["no_store", "router"]

router = APIRouter(prefix="/v1/rooms/{room}", tags=["messages"])

_NDJSON = "application/x-ndjson"


class PostedAuthor(msgspec.Struct, frozen=True):
    """Whom a platform lets speak: its own id, never shown, and the name to show."""

    id: str
    name: str
    role: str = "participant"


class PostedMessage(msgspec.Struct, frozen=True):
    """One message of a platform's own chat."""

    id: str
    author: PostedAuthor
    text: str
    kind: str = "message"
    reply_to: Number | None = None
    wall_ms: Number | None = None
    playhead: SayPlayhead | None = None


_decoder = msgspec.json.Decoder(PostedMessage)
_act_decoder = msgspec.json.Decoder(ActFrame)
_ROLES = {"host", "moderator", "participant", "viewer", "guest"}


def no_store(body: Any, status: int = 200) -> Response:
    """An answer that no cache may keep."""
    headers = {"Cache-Control": "private, no-store", "X-Content-Type-Options": "nosniff"}
    return Response(encoded(body), status_code=status, media_type="application/json", headers=headers)


@router.post("/messages", summary="Feed messages")
async def post_messages(request: Request, room: str) -> Response:
    """One message as JSON, or many as NDJSON; sending one again gives its first answer again."""
    entered = allowed(entry(request, room), "ingest")
    body = await request.body()
    many = request.headers.get("content-type", "").split(";")[0].strip() == _NDJSON
    lines = [line for line in body.split(b"\n") if line.strip()] if many else [body]
    if len(lines) > MESSAGES_MAX:
        raise MessageRejectedError("too_many", f"At most {MESSAGES_MAX} messages in one request.")
    results = await asyncio.gather(*(_post_one(entered, line) for line in lines))
    return no_store({"results": results})


async def _post_one(entered: Entry, line: bytes) -> dict[str, Any]:
    try:
        posted = _decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return {"id": None, "code": "malformed"}
    try:
        appended = await entered.room.act(_act(entered, posted))
    except ChatsyncError as error:
        code = error.reason if isinstance(error, MessageRejectedError) else error.code
        return {"id": posted.id[:64], "code": code, "temporary": error.temporary}
    return acked(posted.id, appended)


def _act(entered: Entry, posted: PostedMessage) -> Act:
    if not 0 < len(posted.id) <= 64 or not 0 < len(posted.author.id) <= 256:
        raise MessageRejectedError("bad_id", "Ids have 1 to 64 characters, ids of authors 1 to 256.")
    if posted.author.role not in _ROLES:
        raise MessageRejectedError("unknown_role")
    key = entered.hub.authority.author_key(entered.room.room, f"ingest:{posted.author.id}")
    author = Author(key=key, name=clean_name(posted.author.name), role=posted.author.role)  # type: ignore[arg-type]
    act = say_of(SayFrame(posted.id, posted.text, posted.kind, posted.reply_to, posted.playhead), author)
    wall_us = None if posted.wall_ms is None else us_from_ms(posted.wall_ms)
    if wall_us is not None and wall_us < entered.room.clock.wall_us() - FED_AGE_US_MAX:
        raise MessageRejectedError("too_old", "A message is fed within a day of its receipt; older chat is imported.")
    return replace(act, source="ingest", wall_us=wall_us, seen=_seen(entered, posted.playhead))


def _seen(entered: Entry, playhead: SayPlayhead | None) -> Seen:
    """A platform vouches for what its player said: its claim counts as the report it is checked against."""
    claim = claimed(entered.room.timeline, playhead)
    if claim is None:
        return Seen()
    wall_us = entered.room.clock.wall_us()
    return Seen(Playhead(claim.broadcast, claim.program_us, wall_us, at_live=claim.at_live))


@router.post("/actions", summary="A deed without a socket")
async def post_action(request: Request, room: str) -> Response:
    """The same deeds as the socket's ``act`` frame, as the caller's own."""
    entered = entry(request, room)
    try:
        frame = _act_decoder.decode(await request.body())
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise MessageRejectedError("malformed", "The body is not an action of the documented shape.") from error
    entered.hub.take_token(entered.identity.person(room))
    author = entered.hub.author_of(entered.identity, room)
    if frame.action == "broadcast_close":
        allowed(entered, "broadcast_close")
        await entered.room.close_broadcast()
        return no_store({"id": frame.id})
    appended = await entered.room.act(act_of(frame, author))
    return no_store(acked(frame.id, appended))


@router.get("/messages", summary="Page through messages")
async def get_messages(
    entered: Annotated[Entry, Depends(reader)],
    broadcast: Annotated[int | None, Query(ge=1, le=2**31)] = None,
    from_ms: Ms | None = None,
    to_ms: Ms | None = None,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 1_000,
) -> Response:
    """Public events of a broadcast by (program time, offset), for tools; read through DuckDB where they are archived."""
    live = entered.room
    number = entered.broadcast(broadcast)
    start_us = -(2**61) if from_ms is None else us_from_ms(from_ms)
    end_us = 2**61 if to_ms is None else us_from_ms(to_ms)
    after = None if cursor is None else entered.hub.authority.opened_cursor(cursor, live.room, number)
    events = await entered.hub.reading.page(live.room, number, start_us, end_us, after=after, limit=limit)
    more = len(events) == limit
    body = {
        "messages": [event_to_wire(event, author=event.author) for event in events if is_sliced(event)],
        "cursor": entered.hub.authority.sealed_cursor(events[-1].place, live.room, number) if more else None,
    }
    headers = {"Cache-Control": cache_control(entered, "public, max-age=1"), "X-Content-Type-Options": "nosniff"}
    return Response(encoded(body), media_type="application/json", headers=headers)
