"""A host ends the broadcast, once however often it is sent.

Owns: which ``broadcast_close`` were done. Does not know: sockets, HTTP, who may. Source: contract §5 ("the original ack again").

The same act sent again must not end the broadcast that has begun since. So the event is called by a hash of the act and of who did it: nobody
reads from it who that was, and the log knows it again for as long as any id, also after a restart. What ended nothing, because it was over
already, is remembered while the relay runs.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatsync.service.live_room import LiveRoom

__all__ = ["close_once"]

_REMEMBERED_MAX = 1_000  # of a room


async def close_once(room: LiveRoom, act_id: str, by: str) -> None:
    """End the current broadcast, unless this very act has ended one.

    Args:
        room: whose.
        act_id: the id that the host gave the deed.
        by: their pseudonym.

    Raises:
        RoomRestartingError: another serves the room now; send it again.
        StoreError: it is logged later.
    """
    event_id = hashlib.sha256(f"broadcast_close\n{by}\n{act_id}".encode()).hexdigest()[:32]
    if event_id in room.closes or await asyncio.to_thread(room.journal.is_used, room.room, event_id):
        return
    await room.close_broadcast(by=by, event_id=event_id)
    room.closes[event_id] = None
    if len(room.closes) > _REMEMBERED_MAX:
        del room.closes[next(iter(room.closes))]
