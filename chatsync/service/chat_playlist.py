"""The chat playlist: the small mutable list of a broadcast's slices.

Owns: which slices an answer lists, deltas, the position it promises, which of its parts are kept encoded. Does not know: HTTP headers.
Units: ms on the wire, µs inside. Source: contract §3.

An answer is put together from parts: the listed slices, which change when a slice does, and the moving fields around them. Both are
kept for whoever asks the same next. Nothing that is kept outlives what it says, but for the clock, which may be ``FRESH_US`` old.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Any

import msgspec

from chatsync.chat.wire import encoded
from chatsync.errors import NotFoundError
from chatsync.instants import HOUR_US, SECOND_US, Range, ms_from_us, us_from_ms
from chatsync.replay.broadcasts import Broadcast
from chatsync.store.catalog import SliceRow

if TYPE_CHECKING:
    from chatsync.service.live_room import LiveRoom
    from chatsync.service.slice_index import SliceIndex

__all__ = ["DEFAULT_BACK_US", "FRESH_US", "RELOAD_MS", "ChatQuery", "ChatView", "Listings", "broadcast_of", "reload_ms"]

DEFAULT_BACK_US = 6 * HOUR_US
FRESH_US = SECOND_US // 4  # as old may a clock be that is told; caches may keep the whole answer for a second
RELOAD_MS = 1_000
RELOAD_FULL_MS = 1_750  # with the second that a cache may add, a message is still seen within three
RELOAD_MS_MAX = 10_000
READS_PER_S = 4_000  # of chat playlists and open slices: so many leave a core most of its time
_LISTINGS_BYTES_MAX = 16 * 1024 * 1024  # of the node
_LISTINGS_MAX = 4_096


def reload_ms(reads_per_s: float, *, is_full: bool = False) -> int:
    """How long a player waits before it asks again: longer, the more they ask, so that what they ask stays about the same.

    Args:
        reads_per_s: chat playlists and open slices that this node answered lately. What a cache in front answers is not seen here.
        is_full: the node has no place left on a socket, so that it has as many pollers as there are.
    """
    least = RELOAD_FULL_MS if is_full else RELOAD_MS
    return min(RELOAD_MS_MAX, max(least, int(round(RELOAD_MS * reads_per_s / READS_PER_S, -2))))


class ChatQuery(msgspec.Struct, frozen=True):
    """What is asked of ``chat.json``.

    Args:
        broadcast: None for the latest.
        from_ms: program time, inclusive; None: six hours before the clock, or before the end of an ended broadcast.
        to_ms: program time, exclusive; None: no bound.
        since: a ``version`` had before: then only what changed after it.
    """

    broadcast: int | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    since: int | None = None


class ChatView:
    """What an answer depends on, as it stands now. Equal views give the same answer.

    Attributes:
        stamp: compare it with a later view's.
    """

    __slots__ = ("clock_us", "index", "is_live", "known", "live", "number", "query", "reload_ms", "stamp")

    def __init__(self, live: LiveRoom, index: SliceIndex, query: ChatQuery, *, reload_ms: int) -> None:
        self.live, self.index, self.query, self.reload_ms = live, index, query, reload_ms
        wall_us = live.clock.wall_us()
        kept = live.broadcasts.kept
        self.number = index.broadcast
        self.known = known = live.broadcasts.get(self.number)
        self.is_live = known is not None and not known.is_closed
        self.clock_us = None if known is None else known.clock.program_us(wall_us)
        position = live.log.position
        self.stamp = (
            index.serial,
            index.version,
            index.sealed_until_us,
            position.epoch,
            _as_of_offset(position.offset, index),
            wall_us // FRESH_US,
            None if known is None else known.clock.edge_us,
            tuple((one.number, one.start_us, one.first_media_sequence, one.closed_wall_us) for one in kept),
            len(live.records.gaps(self.number)),
            reload_ms,
        )


def broadcast_of(live: LiveRoom, query: ChatQuery) -> int:
    """The number of the broadcast that a query asks for.

    Raises:
        NotFoundError: the room never had such a broadcast.
    """
    current = live.broadcasts.current.number
    number = current if query.broadcast is None else query.broadcast
    if not 1 <= number <= live.broadcasts.latest_number:
        raise NotFoundError("broadcast")
    return number


class Listings:
    """Writes chat playlists, and keeps the lists of slices it has encoded."""

    def __init__(self) -> None:
        self._kept: dict[tuple[object, ...], bytes] = {}
        self._kept_bytes = 0

    def body(self, view: ChatView) -> bytes:
        """The chat playlist as JSON. Cost: some 30 µs, and 1 µs for each slice of a list that is not kept."""
        live, index, query, known = view.live, view.index, view.query, view.known
        since = query.since
        # Each broadcast counts its own versions: a request that names none may have had its version of the one before.
        is_delta = since is not None and since <= index.version and (query.broadcast is not None or view.number == 1)
        until_us = 2**62 if query.to_ms is None else us_from_ms(query.to_ms)
        from_us = _from_us(query.from_ms, view.clock_us if view.is_live else None, known, index)
        within = Range(from_us, max(from_us, until_us))
        epoch = str(live.log.position.epoch)
        head: dict[str, Any] = {
            "room": live.room,
            "broadcast": view.number,
            "live": view.is_live,
            "epoch": epoch,
            "version": index.version,
            "as_of": {"epoch": epoch, "offset": _as_of_offset(live.log.position.offset, index)},
            "start_ms": _start_ms(known, index),
            "sealed_until_ms": None if index.sealed_until_us is None else ms_from_us(index.sealed_until_us),
            "clock_ms": None if view.clock_us is None else ms_from_us(view.clock_us),
            "live_edge_ms": None if known is None or known.clock.edge_us is None else ms_from_us(known.clock.edge_us),
            "reload_ms": view.reload_ms,
            "earlier": bool(index.entries) and us_from_ms(index.entries[0].end_ms) <= from_us,
            "base": f"/v1/rooms/{live.room}/slices/",
            **({"since": since} if is_delta else {}),
        }
        tail: dict[str, Any] = {
            "gaps": [
                {"start_ms": ms_from_us(gap.start_us), "end_ms": ms_from_us(gap.end_us), "reason": reason}
                for gap, reason in live.records.gaps(view.number)
                if gap.overlaps(within)
            ],
            "broadcasts": [_airing(one) for one in sorted(live.broadcasts.kept, key=lambda one: not one.is_imported)],
        }
        listed = self._listed(live.room, index, from_us, until_us, since if is_delta else None)
        return b"%b,%b,%b" % (encoded(head)[:-1], listed, encoded(tail)[1:])

    def _listed(self, room: str, index: SliceIndex, from_us: int, until_us: int, since: int | None) -> bytes:
        """The members ``slices`` and, of a delta, ``removed``."""
        entries = index.entries
        low = bisect_right(entries, from_us, key=_end_us)
        high = bisect_left(entries, until_us, key=_start_us)
        key = (room, index.broadcast, index.serial, index.version, low, high, since)
        kept = self._kept.get(key)
        if kept is not None:
            return kept
        rows = entries[low:high] if since is None else [row for row in entries[low:high] if row.version > since]
        listed = b'"slices":' + msgspec.json.encode([_entry(row) for row in rows])
        if since is not None:
            removed = sorted(start_ms for start_ms, row in index.removed.items() if row.version > since)
            listed += b',"removed":' + msgspec.json.encode(removed)
        self._kept[key] = listed
        self._kept_bytes += len(listed)
        while self._kept_bytes > _LISTINGS_BYTES_MAX or len(self._kept) > _LISTINGS_MAX:
            self._kept_bytes -= len(self._kept.pop(next(iter(self._kept))))
        return listed


def _start_us(row: SliceRow) -> int:
    return us_from_ms(row.start_ms)


def _end_us(row: SliceRow) -> int:
    return us_from_ms(row.end_ms)


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
    return min(head, *(offset - 1 for offset in index.waiting_offsets)) if index.waiting else head


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


def _airing(one: Broadcast) -> dict[str, Any]:
    return {
        "broadcast": one.number,
        "start_ms": None if one.start_us is None else ms_from_us(one.start_us),
        "media_sequence": one.first_media_sequence,
        "live": not one.is_closed,
        **({"end_ms": ms_from_us(one.clock.edge_us)} if one.is_imported and one.clock.edge_us is not None else {}),
    }
