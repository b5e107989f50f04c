"""The admin API: rooms come and go. Source: contract §5 "Admin"."""

from __future__ import annotations

import asyncio
from io import BytesIO
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from chatsync.chat.text import is_room_id
from chatsync.errors import MessageRejectedError, NotAllowedError, NotFoundError, TokenError, UnknownRoomError
from chatsync.service.auditing import note
from chatsync.service.auth import Identity, bearer_token
from chatsync.service.erasing import erase
from chatsync.service.hub import Hub
from chatsync.service.restamping import restamp
from chatsync.service.room_settings import RoomSettings
from chatsync.service.routes.entry import hub_of
from chatsync.service.routes.messages import no_store
from chatsync.store.audit import AuditRecord, pseudonym_of
from chatsync.store.person_export import export_person

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["admin"])


def _admin(request: Request, room: str | None = None) -> tuple[Hub, Identity]:
    hub = hub_of(request)
    token = bearer_token(request.headers)
    if token is None:
        raise TokenError
    identity = hub.authority.identify(token, wall_us=hub.clock.system_wall_us(), admin=True)
    if "admin_room" not in identity.scopes or (room is not None and not identity.may_enter(room)):
        raise NotAllowedError("admin_room")
    return hub, identity


@router.put("/rooms/{room}", summary="Create or change a room", tags=["rooms"])
async def put_room(request: Request, room: str, settings: RoomSettings) -> Response:
    """Create a room, or change its settings; what was said in it stays."""
    hub, identity = _admin(request, room)
    if not is_room_id(room):
        raise MessageRejectedError(
            "bad_room", "A room id is 1 to 64 of a-z, 0-9, '-', '_', and starts with a letter or digit."
        )
    if settings.names_files:
        raise MessageRejectedError(
            "headers_file", "A file of this machine is named in the settings file, not over HTTP."
        )
    count_max = hub.settings.limits.rooms_max
    if hub.settings_of(room) is None and len(hub.known_rooms()) >= count_max:
        raise MessageRejectedError("too_many_rooms", f"This node serves at most {count_max} rooms.")
    running = await hub.put_room(room, settings, by=hub.authority.admin_actor(identity.subject))
    return no_store({"room": room, "title": running.live.settings.title, "public": running.live.settings.public})


@router.delete("/rooms/{room}", summary="Stop serving a room", tags=["rooms"])
async def delete_room(request: Request, room: str) -> Response:
    """Stop serving a room. Its log and archive stay on disk."""
    hub, identity = _admin(request, room)
    await hub.delete_room(room, by=hub.authority.admin_actor(identity.subject))
    return no_store({"room": room})


@router.post("/rooms/{room}/restamp", summary="Make stamps again from the record")
async def restamp_room(
    request: Request,
    room: str,
    broadcast: Annotated[int | None, Query(ge=1, le=2**31)] = None,
    dry_run: bool = False,
) -> Response:
    """Recompute `estimate` and `arrival` stamps, of one broadcast or of all; `playhead` stamps never change."""
    hub, identity = _admin(request, room)
    by = hub.authority.admin_actor(identity.subject)
    live = (await hub.woken(room)).live
    latest = live.broadcasts.latest_number
    if broadcast is not None and broadcast > latest:
        raise NotFoundError("broadcast")
    results: list[dict[str, int | None]] = []
    for number in range(1, latest + 1) if broadcast is None else (broadcast,):
        found, event = await restamp(live, number, by=by, dry_run=dry_run)
        results.append({**found.to_wire(), "offset": None if event is None else event.offset})
    return no_store({"room": room, "dry_run": dry_run, "broadcasts": results})


@router.get("/rooms/{room}/authors/{author}", summary="What is known of a person")
async def get_author(request: Request, room: str, author: str) -> Response:
    """Names and counts of what a person wrote in a room, by their pseudonym there; no words."""
    hub, _ = _admin(request, room)
    found = await asyncio.to_thread(hub.archiving.eraser.find, (await hub.woken(room)).live.room, author)
    return no_store({"room": room, **found.to_wire()})


@router.get("/rooms/{room}/authors/{author}/export", summary="Everything of a person")
async def export_author(request: Request, room: str, author: str) -> Response:
    """A zip of all that a person wrote and did in a room, and what was decided about them; of nobody else."""
    hub, identity = _admin(request, room)
    if hub.settings_of(room) is None:
        raise UnknownRoomError
    wall_us = hub.clock.system_wall_us()
    target = BytesIO()
    await asyncio.to_thread(export_person, hub.files.root, {room: author}, target, wall_us=wall_us)
    actor = hub.authority.admin_actor(identity.subject)
    deed = AuditRecord(
        wall_us=wall_us, room=room, actor=actor, role="admin", action="person_exported", subject=pseudonym_of(author)
    )
    await note(hub, deed)
    headers = {
        "Cache-Control": "private, no-store",
        "Content-Disposition": f'attachment; filename="{room}-person.zip"',
        "X-Content-Type-Options": "nosniff",
    }
    return Response(target.getvalue(), media_type="application/zip", headers=headers)


@router.delete("/rooms/{room}/authors/{author}", summary="Erase a person")
async def delete_author(
    request: Request, room: str, author: str, reason: Annotated[str | None, Query(max_length=200)] = None
) -> Response:
    """Take a person's words and names out of everything; answers with a receipt once nothing is left."""
    hub, identity = _admin(request, room)
    by = hub.authority.admin_actor(identity.subject)
    return no_store(await erase(await hub.woken(room), hub.archiving.eraser, author, by=by, reason=reason))


@router.get("/rooms", summary="Rooms of this node", tags=["rooms"])
async def get_rooms(request: Request) -> Response:
    """The rooms being served, for the administrator."""
    hub, identity = _admin(request)
    rooms: list[dict[str, Any]] = [
        {
            "room": room,
            "title": settings.title,
            "viewers": len(hub.rooms[room].live.receivers) if room in hub.rooms else 0,
        }
        for room, settings in sorted(hub.known_rooms().items())
        if identity.may_enter(room)
    ]
    return no_store({"rooms": rooms})
