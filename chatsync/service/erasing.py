"""A person erased from a served room: found in a thread, taken out by one event, slices revised, the archive written anew.

Owns: that order. Does not know: what is taken out (``store.erasing``), HTTP. Source: contract §5; decision 0017.
"""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING, Any

import structlog

from chatsync.chat.event import Stamp
from chatsync.instants import whole_ms_us
from chatsync.store.erasing import Eraser, erased_draft
from chatsync.store.writer import store_error

if TYPE_CHECKING:
    from chatsync.service.hub import RunningRoom

__all__ = ["erase"]

_log = structlog.get_logger(__name__)


async def erase(
    running: RunningRoom, eraser: Eraser, author_key: str, *, by: str = "system", reason: str | None = None
) -> dict[str, Any]:
    """Erase an author from a room that is being served; the receipt, once nothing of them is left.

    Args:
        running: the room.
        eraser: of its data folder.
        author_key: the author's pseudonym in the room.
        by: pseudonym of who erases, as the audit log names them.
        reason: a word for staff; must not name the person.

    Raises:
        CorruptError: a row or a file is damaged.
        ErasureIncompleteError: something is left; it is tried again by itself.
        NotFoundError: nothing is known of such an author in this room.
        RoomRestartingError: the room has been stopped meanwhile.
        StoreError: nothing was changed, or the erasure is under way and goes on by itself.
    """
    live = running.live
    found = await asyncio.to_thread(eraser.find, live.room, author_key)
    broadcast = live.broadcasts.current.number
    stamp = Stamp(stamp="origin", broadcast=broadcast, program_us=whole_ms_us(live.program_us()), uncertainty_us=0)
    wall_us = live.clock.system_wall_us()
    draft = erased_draft(found, stamp, wall_us=wall_us, by=by, reason=reason)
    appended = await live.commit(draft, named=found.named)
    live.flush()  # who is connected is told at once
    try:
        await running.sealer.seal()
        receipt = await asyncio.to_thread(eraser.finish, live.room, author_key, found, wall_us=wall_us)
    except (sqlite3.Error, OSError) as error:
        raise store_error(error, eraser.folder) from error
    _log.info("erased", room=live.room, offset=appended.event.offset, events=len(appended.affected))
    return receipt
