"""Stamps of a served room made again: found in a thread, moved by one event, told to everyone.

Owns: that order. Does not know: the rule (``replay.restamping``), which rows are the record (``store.restamping``), HTTP.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from chatsync.chat.event import Event
from chatsync.store.restamping import Restamping, find_restamping, restamp_draft

if TYPE_CHECKING:
    from chatsync.service.live_room import LiveRoom

__all__ = ["restamp"]

_log = structlog.get_logger(__name__)


async def restamp(
    room: LiveRoom, broadcast: int, *, by: str = "system", dry_run: bool = False
) -> tuple[Restamping, Event | None]:
    """Make a broadcast's ``estimate`` and ``arrival`` stamps again from its whole record, as one logged event.

    Args:
        room: served here.
        broadcast: one it had.
        by: pseudonym of who wants it, as the audit log names them.
        dry_run: only say what would move.

    Returns:
        What was found, and the event; None if nothing moved.

    Raises:
        CorruptError: a row is damaged.
        RoomRestartingError: the room has been stopped meanwhile.
        StoreError: nothing was changed.
    """
    await room.records.settled()  # the last reload is part of the record
    found = await asyncio.to_thread(find_restamping, room.journal, room.catalog, room.room, broadcast)
    if dry_run or not found.moves:
        return found, None
    draft = restamp_draft(found, wall_us=room.clock.system_wall_us(), by=by)
    event = (await room.commit(draft, found.placements)).event
    _log.info("restamped", room=room.room, offset=event.offset, **found.to_wire())
    return found, event
