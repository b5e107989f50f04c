"""The audit log over HTTP, for administrators and auditors: pages of it, and a signed checkpoint to be kept elsewhere. Source: contract §5."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from chatsync.chat.text import is_room_id
from chatsync.errors import NotAllowedError, NotFoundError, TokenError, UnknownRoomError
from chatsync.service.auditing import checkpoint_now, records
from chatsync.service.auth import Identity, bearer_token
from chatsync.service.hub import Hub
from chatsync.service.limit_table import PAGE_MAX
from chatsync.service.routes.entry import hub_of
from chatsync.service.routes.messages import no_store

__all__ = ["router"]

router = APIRouter(prefix="/v1/audit", tags=["audit"])

_CURSOR = "audit:"  # no room is called so: a cursor of messages opens nothing here


def _auditor(request: Request) -> tuple[Hub, Identity]:
    """Whoever may read the audit log: an administrator, or a program with the scope ``auditor``.

    Raises:
        TokenError: no token, or one that is not accepted.
        NotAllowedError: theirs is for something else.
    """
    hub = hub_of(request)
    token = bearer_token(request.headers)
    if token is None:
        raise TokenError
    wall_us = hub.clock.system_wall_us()
    try:
        identity = hub.authority.identify(token, wall_us=wall_us, admin=True)
    except TokenError:
        identity = hub.authority.identify(token, wall_us=wall_us)
    if "read_audit" not in identity.scopes:
        raise NotAllowedError("read_audit")
    return hub, identity


@router.get("", summary="Read the audit log")
async def get_audit(
    request: Request,
    room: str | None = None,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 1_000,
) -> Response:
    """Records of what staff and administrators did, oldest first: of one room, or of all that the token names."""
    hub, identity = _auditor(request)
    if room is not None and not (is_room_id(room) and identity.may_enter(room)):
        raise UnknownRoomError
    seal = f"{_CURSOR}{room or ''}"
    after = 0 if cursor is None else hub.authority.opened_cursor(cursor, seal, 0)[0]
    found = await records(hub, identity, room=room, after=after, limit=limit)
    more = len(found) == limit
    return no_store(
        {
            "records": [one.to_wire() for one in found],
            "cursor": hub.authority.sealed_cursor((found[-1].number, 0), seal, 0) if more else None,
        }
    )


@router.post("/checkpoints", summary="Sign where the audit log ends")
async def post_checkpoint(request: Request) -> Response:
    """A signed checkpoint of the log as it is now; kept elsewhere, it shows whether anything up to there was changed later."""
    hub, _ = _auditor(request)
    document = await checkpoint_now(hub)
    if document is None:
        raise NotFoundError("record")
    return no_store(document)
