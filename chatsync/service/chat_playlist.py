"""The chat playlist: the small mutable list of a broadcast's slices.

Owns: which slices an answer lists, deltas, the position it promises. Does not know: HTTP headers. Source: contract §3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chatsync.chat.wire import encoded
from chatsync.errors import NotFoundError
from chatsync.instants import HOUR_US, Range, ms_from_us, us_from_ms
from chatsync.replay.broadcasts import Broadcast
from chatsync.store.catalog import SliceRow

if TYPE_CHECKING:
    from chatsync.service.routes.entry import Entry
    from chatsync.service.slice_index import SliceIndex

__all__ = ["DEFAULT_BACK_US", "RELOAD_MS", "chat_playlist"]

DEFAULT_BACK_US = 6 * HOUR_US
RELOAD_MS = 1_000


async def chat_playlist(
    entered: Entry, *, broadcast: int | None, from_ms: int | None, to_ms: int | None, since: int | None
) -> tuple[bytes, bool]:
    """The chat playlist as JSON, and whether the broadcast is live.

    Args:
        entered: the room.
        broadcast: None for the latest.
        from_ms: program time, inclusive; None: six hours before the clock, or before the end of an ended broadcast.
        to_ms: program time, exclusive; None: no bound.
        since: a ``version`` had before: then only what changed after it.

    Raises:
        NotFoundError: the room never had such a broadcast.
    """
    live = entered.room
    current = live.broadcasts.current
    number = current.number if broadcast is None else broadcast
    if not 1 <= number <= current.number:
        raise NotFoundError("broadcast")
    index = await entered.running.sealer.index(number)
    known = live.broadcasts.get(number)
    clock_us = None if known is None else known.clock.program_us(live.clock.wall_us())
    until_us = 2**62 if to_ms is None else us_from_ms(to_ms)
    is_live = known is not None and not known.is_closed
    from_us = _from_us(from_ms, clock_us if is_live else None, known, index)
    listed = [row for row in index.entries if us_from_ms(row.end_ms) > from_us and us_from_ms(row.start_ms) < until_us]
    # Each broadcast counts its own versions: a request that names none may have had its version of the one before.
    is_delta = since is not None and since <= index.version and (broadcast is not None or number == 1)
    within = Range(from_us, max(from_us, until_us))
    body: dict[str, Any] = {
        "room": live.room,
        "broadcast": number,
        "live": is_live,
        "epoch": str(live.log.position.epoch),
        "version": index.version,
        "as_of": {"epoch": str(live.log.position.epoch), "offset": _as_of_offset(live.log.position.offset, index)},
        "start_ms": _start_ms(known, index),
        "sealed_until_ms": None if index.sealed_until_us is None else ms_from_us(index.sealed_until_us),
        "clock_ms": None if clock_us is None else ms_from_us(clock_us),
        "live_edge_ms": None if known is None or known.clock.edge_us is None else ms_from_us(known.clock.edge_us),
        "reload_ms": RELOAD_MS,
        "earlier": bool(index.entries) and us_from_ms(index.entries[0].end_ms) <= from_us,
        "base": f"/v1/rooms/{live.room}/slices/",
        **({"since": since} if is_delta else {}),
        "slices": [_entry(row) for row in listed if not is_delta or row.version > (since or 0)],
        **({"removed": _removed(index, since)} if is_delta else {}),
        "gaps": [
            {"start_ms": ms_from_us(gap.start_us), "end_ms": ms_from_us(gap.end_us), "reason": reason}
            for gap, reason in live.records.gaps(number)
            if gap.overlaps(within)
        ],
        "broadcasts": [_airing(one) for one in live.broadcasts.kept],
    }
    return encoded(body), is_live


def _from_us(from_ms: int | None, clock_us: int | None, known: Broadcast | None, index: SliceIndex) -> int:
    """Six hours before the clock; before its end once a broadcast has ended, whose clock only coasts on."""
    if from_ms is not None:
        return us_from_ms(from_ms)
    if clock_us is not None:
        return clock_us - DEFAULT_BACK_US
    ends_us = [us_from_ms(index.entries[-1].end_ms)] if index.entries else []
    if known is not None and known.clock.edge_us is not None:
        ends_us.append(known.clock.edge_us)
    return max(ends_us) - DEFAULT_BACK_US if ends_us else -(2**61)


def _as_of_offset(head: int, index: SliceIndex) -> int:
    """Below any event that is due in a slice and not in it yet."""
    return min(head, *(offset - 1 for offset in index.waiting_offsets)) if index.waiting_offsets else head


def _start_ms(known: Broadcast | None, index: SliceIndex) -> int | None:
    starts = [index.entries[0].start_ms] if index.entries else []
    if known is not None and known.start_us is not None:
        starts.append(ms_from_us(known.start_us))
    if starts and index.sealed_until_us is not None:
        starts.append(ms_from_us(index.sealed_until_us))  # before the first media too: people talk in the waiting room
    return min(starts, default=None)


def _entry(row: SliceRow) -> dict[str, Any]:
    return {
        "start_ms": row.start_ms,
        "end_ms": row.end_ms,
        "events": row.events,
        "messages": row.messages,
        "epoch": str(row.epoch),
        "revision": row.revision,
    }


def _removed(index: SliceIndex, since: int | None) -> list[int]:
    return sorted(start_ms for start_ms, row in index.removed.items() if row.version > (since or 0))


def _airing(one: Broadcast) -> dict[str, Any]:
    return {
        "broadcast": one.number,
        "start_ms": None if one.start_us is None else ms_from_us(one.start_us),
        "media_sequence": one.first_media_sequence,
        "live": not one.is_closed,
    }
