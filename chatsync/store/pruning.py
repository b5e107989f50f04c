"""Pruning: what is old, sealed and archived leaves the journal, so that it stays as small as a day of chat.

Owns: which rows may go, and taking them out. Does not know: reading them afterwards (``store.recall``), when (the service decides).
Units: µs. Source: contract §6 ("events of at least the last 24 h"); decision 0016.

A row goes when all of this holds: it was received more than a day ago; it is not among the newest ``KEPT_EVENTS`` of its room,
from which clients resume; it is sealed in slices; it is a message or the like (:data:`PRUNED_KINDS`), public and not hidden;
and the file that has it was read just now, is what was written, and names its offset. Everything that others refer to stays:
questions, votes, pins, modes, deeds, what is hidden.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections.abc import Sequence
from functools import partial
from typing import Any

from chatsync.errors import CorruptError, StoreError
from chatsync.instants import HOUR_US, Range
from chatsync.store.catalog import ArchiveFile
from chatsync.store.dedupe import DEDUPE_US
from chatsync.store.opening import Store
from chatsync.store.pruned import PrunedMark

__all__ = ["KEPT_EVENTS", "PRUNED_KINDS", "prune"]

KEPT_EVENTS = 2_000  # of a room, however old: what a client that comes back is told from memory
PRUNED_KINDS = ("announcement", "message", "paid", "reaction", "system")
_KINDS = ", ".join(f"'{kind}'" for kind in PRUNED_KINDS)
_ROWS_AT_ONCE = 500  # ~5 ms of the writer: acks wait no longer than that
_HOUR = f"placed_us - ((placed_us % {HOUR_US}) + {HOUR_US}) % {HOUR_US}"


def prune(store: Store, room: str | None = None, *, wall_us: int) -> int:
    """Take out of the journal what may go; how many rows.

    Args:
        store: opened.
        room: only this room.
        wall_us: steady wall time now.

    Raises:
        CorruptError: a file is not what was written: what it has stays in the journal. All other rows that may go have gone.
        StoreError: a row could not be taken out.

    Cost: reads the offsets of each file whose rows go; the writer is held for about 5 ms at a time.
    """
    pruned, failure = 0, None
    for found in store.journal.rooms() if room is None else [room]:
        last = _last_offset(store, found, wall_us)
        if last < 1:
            continue
        for broadcast, hour_us in _old_hours(store, found, last):
            try:
                with store.archive.lock:
                    pruned += _prune_hour(store, found, broadcast, hour_us, last)
            except StoreError as error:
                failure = failure or error
    if failure is not None:
        raise failure
    return pruned


def _last_offset(store: Store, room: str, wall_us: int) -> int:
    """Up to which offset rows are old enough, sealed, and not needed in memory."""
    ((first_new,),) = store.journal.read(
        "SELECT min(offset) FROM dedupe WHERE room = ? AND received_us >= ?", (room, wall_us - DEDUPE_US)
    )
    settled = store.catalog.mark(room, "settled_offset") or 0
    last = min(settled, store.journal.head(room).offset - KEPT_EVENTS)
    return last if first_new is None else min(last, first_new - 1)


def _old_hours(store: Store, room: str, last: int) -> list[tuple[int, int]]:
    """Broadcasts and hours in which rows may go."""
    return [
        (broadcast, hour_us)
        for broadcast, hour_us in store.journal.read(
            f"SELECT DISTINCT broadcast, {_HOUR} FROM journal NOT INDEXED "
            f"WHERE room = ? AND offset <= ? AND hidden = 0 AND kind IN ({_KINDS}) ORDER BY 1, 2",
            (room, last),
        )
    ]


def _prune_hour(store: Store, room: str, broadcast: int, hour_us: int, last: int) -> int:
    hour = Range(hour_us, hour_us + HOUR_US)
    changed = {(number, at_us) for _, number, at_us, _ in store.catalog.dirty_hours(room)}
    files = [file for file in store.catalog.archive_files(room, broadcast) if file.hours is not None]
    covering = [file for file in files if file.hours is not None and file.hours.overlaps(hour)]
    if (broadcast, hour_us) in changed or not covering:
        return 0
    sealed_until_us = store.catalog.mark(room, f"sealed_until_us.{broadcast}")
    if sealed_until_us is None:
        return 0
    try:
        archived = store.archive.offsets_in(covering[0])
    except CorruptError as error:
        store.archive.note_damaged(covering[0], error.detail)
        raise
    end_us = min(hour.end_us, sealed_until_us)
    pruned = 0
    for first in range(0, bisect_right(archived, last), _ROWS_AT_ONCE):
        some = [offset for offset in archived[first : first + _ROWS_AT_ONCE] if offset <= last]
        rows = store.journal.read(
            f"SELECT offset FROM journal NOT INDEXED WHERE room = ? AND offset IN ({', '.join('?' * len(some))}) "
            f"AND broadcast = ? AND placed_us >= ? AND placed_us < ? AND hidden = 0 AND kind IN ({_KINDS}) ORDER BY offset",
            (room, *some, broadcast, hour.start_us, end_us),
        )
        if rows:
            offsets = [offset for (offset,) in rows]
            work = partial(_take_out, store=store, file=covering[0], hour=hour, offsets=offsets)
            pruned += store.writer.call(work).result()
    return pruned


def _take_out(
    connection: sqlite3.Connection, *, store: Store, file: ArchiveFile, hour: Range, offsets: Sequence[int]
) -> int:
    """In the writer's thread: what a deed has not touched meanwhile goes."""
    key = (file.room, file.broadcast, hour.start_us)
    dirty = "SELECT 1 FROM dirty_hours WHERE room = ? AND broadcast = ? AND hour_us = ?"
    listed = "SELECT 1 FROM archive_files WHERE path = ?"
    if connection.execute(dirty, key).fetchone() or not connection.execute(listed, (file.path,)).fetchone():
        return 0
    newest = connection.execute(
        "SELECT offset, chain FROM journal WHERE room = ? AND offset = ?", (file.room, offsets[-1])
    ).fetchone()
    if newest is None:
        return 0
    store.journal.pruned.put(connection, file.room, PrunedMark(*newest))
    store.catalog.put_pruned(connection, file.path)
    marks = ", ".join("?" * len(offsets))
    values: tuple[Any, ...] = (file.room, *offsets, file.broadcast, hour.start_us, hour.end_us)
    cursor = connection.execute(
        f"DELETE FROM journal WHERE room = ? AND offset IN ({marks}) AND broadcast = ? AND placed_us >= ? "
        f"AND placed_us < ? AND hidden = 0",
        values,
    )
    return cursor.rowcount
