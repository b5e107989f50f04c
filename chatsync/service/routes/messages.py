"""Messages over HTTP: how a platform with its own chat feeds a room, how tools read one, and deeds without a socket.

Owns: bodies and their limits, one result for each message. Source: contract §4 "messages" and §5 "Servers".
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated, Any, Literal, cast

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response

from chatsync.chat.event import Event, Role
from chatsync.chat.text import clean_name
from chatsync.chat.wire import ActFrame, Number, SayFrame, SayPlayhead, encoded, event_to_wire, is_id, is_shallow
from chatsync.errors import ChatsyncError, MessageRejectedError
from chatsync.instants import ms_from_us, us_from_ms
from chatsync.replay.slices import is_sliced
from chatsync.replay.stamping import Playhead
from chatsync.service.acts import Act, Seen, say_of
from chatsync.service.closing import close_once
from chatsync.service.drafting import claimed
from chatsync.service.limit_table import (
    FED_AGE_US_MAX,
    FED_BYTES_MAX,
    MESSAGES_MAX,
    PAGE_MAX,
    SUBJECT_CHARACTERS_MAX,
)
from chatsync.service.relay import acked
from chatsync.service.routes.entry import Entry, Ms, allowed, entry, reader
from chatsync.service.routes.slices import cache_control
from chatsync.store.as_it_happened import Happened
from chatsync.store.journal import Appended

__all__ = ["no_store", "router"]

router = APIRouter(prefix="/v1/rooms/{room}", tags=["messages"])

_NDJSON = "application/x-ndjson"
_SMALL_BYTES = 16 * 1024  # less is decoded at once
_AT_ONCE = 32  # messages stamped without letting others have their turn: ~2 ms
_TOLD_AT_ONCE = 500  # results looked at, the same


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
    entered = allowed(await entry(request, room), "ingest")
    body = await request.body()
    many = request.headers.get("content-type", "").split(";")[0].strip() == _NDJSON
    if len(body) < _SMALL_BYTES:
        messages = _decoded(body, many=many)
    else:
        messages = await asyncio.to_thread(_decoded, body, many=many)
    results: list[_Result] = []
    for number, posted in enumerate(messages, start=1):
        results.append(_submitted(entered, posted))
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)
    told: list[dict[str, Any]] = []
    for number, result in enumerate(results, start=1):
        if isinstance(result, tuple) and not result[1].done():
            await asyncio.wait((result[1],))
        told.append(_told(result))
        if number % _TOLD_AT_ONCE == 0:
            await asyncio.sleep(0)
    return no_store({"results": told})


def _decoded(body: bytes, *, many: bool) -> list[PostedMessage | None]:
    """The messages of a body; None for a line that is none.

    Raises:
        MessageRejectedError: there are too many.
    """
    if not many:
        return [_message(body)]
    if body.count(b"\n") > 2 * MESSAGES_MAX:  # before it is cut into as many lines
        raise _too_many()
    lines = [line for line in body.split(b"\n") if line.strip()]
    if len(lines) > MESSAGES_MAX:
        raise _too_many()
    return [_message(line) for line in lines]


def _too_many() -> MessageRejectedError:
    return MessageRejectedError("too_many", f"At most {MESSAGES_MAX} messages in one request.")


def _message(line: bytes) -> PostedMessage | None:
    try:
        return _decoder.decode(line) if len(line) <= FED_BYTES_MAX and is_shallow(line) else None
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


_Result = dict[str, Any] | tuple[str, asyncio.Future[Appended]]
"""What is to be answered at once, or the id of a message and what becomes of it."""


def _submitted(entered: Entry, posted: PostedMessage | None) -> _Result:
    if posted is None:
        return {"id": None, "code": "malformed"}
    try:
        return posted.id, entered.room.submit(_act(entered, posted))
    except ChatsyncError as error:
        return _refused(posted.id, error)


def _told(result: _Result) -> dict[str, Any]:
    if isinstance(result, dict):
        return result
    message_id, future = result
    error = future.exception()
    if isinstance(error, ChatsyncError):
        return _refused(message_id, error)
    return acked(message_id, future.result())


def _refused(message_id: str, error: ChatsyncError) -> dict[str, Any]:
    code = error.reason if isinstance(error, MessageRejectedError) else error.code
    return {"id": message_id[:64], "code": code, "temporary": error.temporary}


def _act(entered: Entry, posted: PostedMessage) -> Act:
    if not is_id(posted.id) or not is_id(posted.author.id, SUBJECT_CHARACTERS_MAX):
        raise MessageRejectedError(
            "bad_id", "Ids have 1 to 64 characters, ids of authors 1 to 256, none of them a control."
        )
    if posted.author.role not in _ROLES:
        raise MessageRejectedError("unknown_role")
    name, role = clean_name(posted.author.name), cast("Role", posted.author.role)
    author = entered.hub.people.author(entered.room.room, f"ingest:{posted.author.id}", name, role)
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
    entered = await entry(request, room)
    try:
        frame = _act_decoder.decode(await request.body())
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise MessageRejectedError("malformed", "The body is not an action of the documented shape.") from error
    entered.hub.take_token(entered.identity.person(room))
    author = entered.hub.author_of(entered.identity, room)
    try:
        if frame.action == "broadcast_close":
            allowed(entered, "broadcast_close")
            await close_once(entered.room, frame.id, author.key)
            return no_store({"id": frame.id})
        floor = entered.room.floor
        floor.note_staff(author)
        if frame.action == "react":
            floor.react(frame.emoji, author, Seen(), frame.playhead)
            return no_store({"id": frame.id})
        appended = await entered.room.act(floor.act(frame, author, Seen()))
        return no_store(acked(frame.id, appended))
    finally:
        if entered.identity.is_stranger:
            entered.hub.people.release(room, author)


@router.get("/messages", summary="Page through messages")
async def get_messages(
    entered: Annotated[Entry, Depends(reader)],
    broadcast: Annotated[int | None, Query(ge=1, le=2**31)] = None,
    from_ms: Ms | None = None,
    to_ms: Ms | None = None,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 1_000,
    seen_by: Annotated[Literal["public", "staff", "own"], Query(alias="class")] = "public",
) -> Response:
    """Events of a broadcast by (program time, offset), for tools: what everyone sees, read through DuckDB where it is archived.

    With ``class=staff`` the past as it happened, for those who run the room; with ``class=own`` what of the caller's is held or private.
    """
    live = entered.room
    number = entered.broadcast(broadcast)
    start_us = -(2**61) if from_ms is None else us_from_ms(from_ms)
    end_us = 2**61 if to_ms is None else us_from_ms(to_ms)
    after = None if cursor is None else entered.hub.authority.opened_cursor(cursor, live.room, number)
    if seen_by != "public":
        return await _happened(entered, number, (start_us, end_us), after, limit, seen_by)
    events = await entered.hub.reading.page(live.room, number, start_us, end_us, after=after, limit=limit)
    more = len(events) == limit
    cursor_after = entered.hub.authority.sealed_cursor(events[-1].place, live.room, number) if more else None
    body = await asyncio.to_thread(_page, entered.hub.journal.paced(events), cursor_after)
    headers = {"Cache-Control": cache_control(entered, "public, max-age=1"), "X-Content-Type-Options": "nosniff"}
    return Response(body, media_type="application/json", headers=headers)


async def _happened(
    entered: Entry, number: int, within: tuple[int, int], after: tuple[int, int] | None, limit: int, seen_by: str
) -> Response:
    """A page of what not everyone may see."""
    live, identity = entered.room, entered.identity
    if seen_by == "staff":
        allowed(entered, "read_staff")
    key = "" if seen_by == "staff" else entered.hub.author_key(live.room, identity.subject)
    happened, last = await entered.hub.reading.happened(live.room, number, *within, after=after, limit=limit)
    cursor = None if last is None else entered.hub.authority.sealed_cursor(last, live.room, number)
    shown = entered.hub.journal.paced([one for one in happened if not key or _is_own(one, key)])
    body = await asyncio.to_thread(_happened_page, shown, cursor)
    headers = {"Cache-Control": "private, no-store", "X-Content-Type-Options": "nosniff"}
    return Response(body, media_type="application/json", headers=headers)


def _is_own(one: Happened, key: str) -> bool:
    """Whether it is the caller's own and not for everyone, or was written to them. What staff did about it is not told."""
    event = one.event
    is_theirs = event.author is not None and event.author.key == key
    return not event.hidden and (
        (is_theirs and event.kind == "held") or ("to" in event.details and (is_theirs or key in event.details["to"]))
    )


def _happened_page(happened: Iterable[Happened], cursor: str | None) -> bytes:
    messages = []
    for one in happened:
        wire = event_to_wire(
            one.event, author=one.event.author, as_staff=one.taken_by is not None or "to" not in one.event.details
        )
        if one.event.hidden:
            wire["hidden"] = {} if one.taken_by is None else _taken(one.taken_by)
        messages.append(msgspec.Raw(encoded(wire)))
    return encoded({"messages": messages, "cursor": cursor})


def _taken(cause: Event) -> dict[str, Any]:
    by = (
        None
        if cause.author is None
        else {"key": cause.author.key, "name": cause.author.name, "role": cause.author.role}
    )
    return {
        "kind": cause.kind,
        "offset": cause.offset,
        "program_ms": ms_from_us(cause.program_us),
        "wall_ms": ms_from_us(cause.wall_us),
        "by": by,
        "reason": cause.details.get("reason"),
    }


def _page(events: Iterable[Event], cursor: str | None) -> bytes:
    messages = [msgspec.Raw(encoded(event_to_wire(event, author=event.author))) for event in events if is_sliced(event)]
    return encoded({"messages": messages, "cursor": cursor})
