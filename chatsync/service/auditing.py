"""The audit log of a relay: deeds that are no events, pages of it, and a signed checkpoint a day.

Owns: which records a caller may read, when a checkpoint is due. Does not know: HTTP, what a record is made of (``store.audit``).
Source: contract §5; security-and-privacy §7; decision 0040.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from chatsync.chat.text import is_room_id
from chatsync.errors import StoreError, TokenError
from chatsync.instants import DAY_US, MINUTE_US, ms_from_us, us_from_ms
from chatsync.service.auth import Identity, TokenAuthority
from chatsync.service.room_settings import RoomSettings
from chatsync.store.audit import Audited, AuditRecord, audited_after, checkpoints, newest_of, words_of
from chatsync.store.revocations import Revocation
from chatsync.store.signing import Signer
from chatsync.store.writer import store_error

if TYPE_CHECKING:
    from chatsync.service.hub import Hub

__all__ = ["checkpoint_daily", "checkpoint_now", "expire_audit", "minted", "note", "records", "revoked", "rules_of"]

_log = structlog.get_logger(__name__)


async def note(hub: Hub, record: AuditRecord) -> int:
    """Add a record of a deed that writes nothing else, durably; its number.

    A deed that writes calls ``hub.journal.audit.note`` in its own work, so that both are there or neither.

    Raises:
        StoreError: it is not noted: then the deed must not be done.
    """
    return await asyncio.wrap_future(hub.writer.call(partial(hub.journal.audit.note, record=record)))


def rules_of(settings: RoomSettings) -> str:
    """What of a room's settings bears on people, as the audit log says it."""
    return words_of(
        {
            "visibility": "public" if settings.public else "private",
            "names": "numbered" if settings.has_numbered_names else "as_given",
            "profile": settings.profile,
            "retention": "node" if settings.retention_days is None else settings.retention_days,
            "stream": "push" if settings.playlist_push else "none" if settings.playlist_url is None else "pull",
        }
    )


def minted(authority: TokenAuthority, token: str, *, by: str, wall_us: int) -> AuditRecord:
    """The record of a token that was minted: for whom (a keyed hash, as in revocations), for which room, of which role, how long it is good.

    Args:
        authority: that minted it.
        token: itself; nothing of it is in the record.
        by: pseudonym of who minted it.
        wall_us: system wall time now.

    Raises:
        TokenError: no such token is accepted here.
    """
    is_admin = False
    try:
        identity = authority.identify(token, wall_us=wall_us)
    except TokenError:
        identity, is_admin = authority.identify(token, wall_us=wall_us, admin=True), True
    rooms = identity.rooms
    only = rooms[0] if rooms is not None and len(rooms) == 1 and is_room_id(rooms[0]) else ""
    after = {
        "admin": is_admin,
        "minutes": ((identity.expires_us or 0) - identity.issued_us) // MINUTE_US,
        "role": identity.role,
        "rooms": "all" if rooms is None else len(rooms),
        "scopes": len(identity.scopes),
    }
    return AuditRecord(
        wall_us=wall_us,
        room=only,
        actor=by,
        role="admin",
        action="token_minted",
        subject=authority.revocations.key_of("person", identity.subject),
        after=words_of(after),
    )


def revoked(one: Revocation, *, by: str, wall_us: int) -> AuditRecord:
    """The record of tokens that were taken back: which, by the keyed hash that the revocation has too."""
    after = words_of({"what": one.what, "kept_until_ms": ms_from_us(one.until_us)})
    return AuditRecord(
        wall_us=wall_us, room=one.room, actor=by, role="admin", action="token_revoked", subject=one.key, after=after
    )


async def records(hub: Hub, identity: Identity, *, room: str | None, after: int, limit: int) -> list[Audited]:
    """A page of the log, oldest first: of one room, or of all that the caller's token names.

    What concerns the whole node, such as a restore, is for those whose token is for every room.

    Args:
        hub: of this node.
        identity: who reads; may read the audit log.
        room: only this one; the token names it.
        after: number of the last record they have.
        limit: at most so many.
    """
    where, values = ("room = ?", [room]) if room is not None else _rooms_of(identity)
    return await asyncio.to_thread(audited_after, hub.journal.read, after, limit, where=where, values=values)


def _rooms_of(identity: Identity) -> tuple[str, list[str]]:
    """The rooms of a token as a condition."""
    if identity.rooms is None:
        return "1", []
    parts, values = ["0"], []
    for item in identity.rooms:
        if item.endswith("*"):
            parts.append("(room >= ? AND room < ?)")
            values += [item[:-1], item[:-1] + "\x7f"]
        else:
            parts.append("room = ?")
            values.append(item)
    return " OR ".join(parts), values


async def checkpoint_now(hub: Hub) -> dict[str, Any] | None:
    """Sign where the log ends now; None while it is empty.

    Raises:
        CorruptError: the folder's key is none.
        StoreError: it could not be written.
    """
    try:
        signer = await asyncio.to_thread(Signer.of, hub.files)
    except OSError as error:
        raise store_error(error, hub.files.root) from error
    work = partial(hub.journal.audit.checkpoint, signer=signer, wall_us=hub.clock.system_wall_us())
    return await asyncio.wrap_future(hub.writer.call(work))


async def checkpoint_daily(hub: Hub) -> None:
    """Sign the end of the log if a day has passed since that was done and something was added. Failures are logged."""
    try:
        if await asyncio.to_thread(_is_due, hub):
            await checkpoint_now(hub)
    except StoreError as error:
        _log.warning("checkpoint_waits", code=error.code)


async def expire_audit(hub: Hub) -> None:
    """Let records go that are past their time, up to a checkpoint. Whether the clock may be believed has been asked before.

    Raises:
        StoreError: they stay until the next time.
    """
    days = hub.settings.audit_days
    if days == "forever":
        return
    work = partial(hub.journal.audit.expire, before_us=hub.clock.system_wall_us() - days * DAY_US)
    while await asyncio.wrap_future(hub.writer.call(work)):
        continue


def _is_due(hub: Hub) -> bool:
    known = checkpoints(hub.journal.read)
    number = newest_of(hub.journal.read).number
    if not known:
        return number > 0
    return number > known[-1]["number"] and hub.clock.system_wall_us() - us_from_ms(known[-1]["wall_ms"]) >= DAY_US
