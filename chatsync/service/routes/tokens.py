"""Tokens over HTTP, for administrators: minted on this machine, and taken back. Source: contract §5 "Admin"; security-and-privacy §2."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import Field

from chatsync.errors import MessageRejectedError, NotAllowedError, NotFoundError, TokenError, UnknownRoomError
from chatsync.instants import MINUTE_US, ms_from_us, us_from_ms
from chatsync.service.auditing import minted, note, revoked
from chatsync.service.auth import Identity, PersonRole, TokenScope, bearer_token
from chatsync.service.hub import Hub
from chatsync.service.limit_table import (
    LEEWAY_US_MAX,
    SUBJECT_CHARACTERS_MAX,
    TOKEN_BYTES_MAX,
    TOKEN_ROOMS_MAX,
    SettingModel,
)
from chatsync.service.revoking import revoke
from chatsync.service.routes.entry import hub_of
from chatsync.service.routes.health import is_local
from chatsync.service.routes.messages import no_store
from chatsync.store.revocations import Revocation

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["admin"])


class WantedToken(SettingModel):
    """A token to be minted."""

    subject: str = Field(min_length=1, max_length=SUBJECT_CHARACTERS_MAX)
    rooms: tuple[str, ...] | None = Field(default=None, max_length=TOKEN_ROOMS_MAX)
    role: PersonRole | None = None
    name: str | None = Field(default=None, max_length=200)
    scopes: tuple[TokenScope, ...] = ()
    minutes: int = Field(default=60, ge=1, le=1_440)


class MintedToken(SettingModel):
    """A token that the command line has minted."""

    token: str = Field(min_length=1, max_length=TOKEN_BYTES_MAX)


class WantedRevocation(SettingModel):
    """What is to be taken back: a token by its id, or all tokens of a person that were issued before an instant."""

    jti: str | None = Field(default=None, min_length=1, max_length=SUBJECT_CHARACTERS_MAX)
    person: str | None = Field(default=None, min_length=1, max_length=SUBJECT_CHARACTERS_MAX)
    before_ms: int | None = Field(default=None, ge=0, le=253_402_300_799_999)
    room: str | None = Field(default=None, max_length=64)
    issuer: str | None = Field(default=None, max_length=200)


def _admin(request: Request, room: str | None) -> tuple[Hub, Identity]:
    """The administrator of a room, or of all.

    Raises:
        TokenError: no token, or not one for administrators.
        NotAllowedError: theirs is for other rooms.
    """
    hub = hub_of(request)
    token = bearer_token(request.headers)
    if token is None:
        raise TokenError
    identity = hub.authority.identify(token, wall_us=hub.clock.system_wall_us(), admin=True)
    is_theirs = identity.rooms is None if room is None else identity.may_enter(room)
    if "mint_token" not in identity.scopes or not is_theirs:
        raise NotAllowedError("mint_token")
    return hub, identity


@router.post("/tokens", summary="Mint a token")
async def post_token(request: Request, wanted: WantedToken) -> Response:
    """Mint a token for a person or a program, for requests from the relay's own machine."""
    hub, admin = _admin(request, None)
    if not is_local(request):
        raise NotFoundError("page")
    wall_us = hub.clock.system_wall_us()
    try:
        token = hub.authority.mint(
            wanted.subject,
            wall_us=wall_us,
            lifetime_us=wanted.minutes * MINUTE_US,
            rooms=wanted.rooms,
            role=wanted.role,
            name=wanted.name,
            scopes=wanted.scopes,
        )
    except ValueError as error:
        raise MessageRejectedError("no_such_token", f"{str(error)[0].upper()}{str(error)[1:]}.") from None
    await note(hub, minted(hub.authority, token, by=hub.authority.admin_actor(admin.subject), wall_us=wall_us))
    identity = hub.authority.identify(token, wall_us=wall_us)
    return no_store({"token": token, "jti": identity.token_id, "expires_ms": ms_from_us(identity.expires_us or 0)})


@router.post("/tokens/noted", summary="Note a token that was minted by a command")
async def post_noted_token(request: Request, wanted: MintedToken) -> Response:
    """Add to the audit log that this token was minted, for ``chatsync token`` while the relay has the data folder."""
    hub, admin = _admin(request, None)
    if not is_local(request):
        raise NotFoundError("page")
    by, wall_us = hub.authority.admin_actor(admin.subject), hub.clock.system_wall_us()
    try:
        record = minted(hub.authority, wanted.token, by=by, wall_us=wall_us)
    except TokenError:
        raise MessageRejectedError("no_such_token", "Such a token is not accepted here.") from None
    return no_store({"number": await note(hub, record)})


@router.post("/revocations", summary="Take tokens back")
async def post_revocation(request: Request, wanted: WantedRevocation) -> Response:
    """Take back a token, or all tokens of a person; connections that were opened with one are closed within a second."""
    hub, admin = _admin(request, wanted.room)
    now_us = hub.clock.system_wall_us()
    if (wanted.jti is None) == (wanted.person is None) or (wanted.person is None and wanted.room is not None):
        raise MessageRejectedError("needs_one_token", "Give a jti, or a person and, if it is for one room only, that.")
    if wanted.room is not None and hub.settings_of(wanted.room) is None:
        raise UnknownRoomError
    if wanted.issuer not in {None, hub.settings.token_issuer, hub.settings.jwks_issuer}:
        raise MessageRejectedError("unknown_issuer", "No tokens of this issuer are accepted.")
    before_us = now_us if wanted.before_ms is None else us_from_ms(wanted.before_ms)
    if before_us > now_us + LEEWAY_US_MAX:
        raise MessageRejectedError("in_the_future", "Tokens that are still to be issued cannot be taken back.")
    text = hub.authority.subject_of(wanted.person or wanted.jti or "", wanted.issuer)
    one = hub.authority.revocations.revocation(
        "jti" if wanted.person is None else "person", text, room=wanted.room, before_us=before_us, wall_us=now_us
    )
    deed = revoked(one, by=hub.authority.admin_actor(admin.subject), wall_us=now_us)
    held, closed = await revoke(hub, one, deed)
    return no_store(_to_wire(held) | {"closed": closed})


@router.get("/revocations", summary="Tokens that were taken back")
async def get_revocations(request: Request) -> Response:
    """The revocations in force, the first to be forgotten first. Whom they are about is not told, only its keyed hash."""
    hub, _ = _admin(request, None)
    return no_store({"revocations": [_to_wire(one) for one in hub.authority.revocations.listed()]})


def _to_wire(one: Revocation) -> dict[str, Any]:
    return {
        "what": one.what,
        "key": one.key,
        "room": one.room or None,
        "before_ms": ms_from_us(one.before_us),
        "until_ms": ms_from_us(one.until_us),
    }
