"""Retention in a relay that runs: once an hour, what is past its time goes, also out of the memory of rooms that are served.

Owns: how long each room keeps, which broadcasts are on, the order between memory and disk. Does not know: what goes and how
(``store.retention``). Source: security-and-privacy §8; decision 0023.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from chatsync.errors import ChatsyncError
from chatsync.instants import DAY_US
from chatsync.service.auditing import expire_audit
from chatsync.service.room_settings import RetentionDays, RoomSettings
from chatsync.store.catalog import KEPT_MARK
from chatsync.store.opening import Store
from chatsync.store.retention import (
    Deletion,
    Due,
    KeepUs,
    begin_deletion,
    clock_doubt_us,
    due_broadcasts,
    note_done,
    take_out,
    unfinished_deletions,
)

if TYPE_CHECKING:
    from chatsync.service.hub import Hub, RunningRoom

__all__ = ["Retention", "days_of", "kept_days", "kept_us", "note_kept_days"]

T = TypeVar("T")

_ALL = 2**62  # past every offset

_log = structlog.get_logger(__name__)


def kept_days(
    store: Store, rooms: Mapping[str, RoomSettings], default: RetentionDays
) -> Callable[[str], RetentionDays]:
    """How many days a room keeps what was said.

    Args:
        store: knows what a room without settings last kept.
        rooms: those with settings.
        default: the node's.
    """

    def days(room: str) -> RetentionDays:
        known = rooms.get(room)
        last = None if known is not None else store.catalog.mark(room, KEPT_MARK)
        return days_of(known, last, default)

    return days


def days_of(known: RoomSettings | None, last: int | None, default: RetentionDays) -> RetentionDays:
    """How many days a room keeps what was said.

    Args:
        known: its settings, if it has any.
        last: what it kept when it last had some; 0 is forever.
        default: the node's.
    """
    if known is not None:
        return known.kept_days(default) or default
    return default if last is None else last or "forever"


def kept_us(days: Callable[[str], RetentionDays]) -> KeepUs:
    """The same in µs; None is forever."""

    def keep(room: str) -> int | None:
        kept = days(room)
        return None if kept == "forever" else kept * DAY_US

    return keep


def note_kept_days(store: Store, rooms: Mapping[str, RoomSettings]) -> None:
    """Remember what rooms keep that say so themselves: should they lose their settings, they keep as long.

    Raises:
        StoreError: it cannot be remembered.
    """
    changed = {}
    for room, room_settings in rooms.items():
        days = room_settings.kept_days(None)
        wanted = None if days is None else 0 if days == "forever" else days
        if store.catalog.mark(room, KEPT_MARK) != wanted:
            changed[room] = wanted

    def work(connection: Any) -> None:
        for room, wanted in changed.items():
            if wanted is None:
                store.catalog.drop_mark(connection, room, KEPT_MARK)
            else:
                store.catalog.put_mark(connection, room, KEPT_MARK, wanted)

    if changed:
        store.writer.call(work).result()


class Retention:
    """Deletes what is past its time.

    Args:
        hub: the rooms that are served.
        store: the parts of the data folder.
    """

    def __init__(self, hub: Hub, store: Store) -> None:
        self._hub, self._store = hub, store

    async def sweep(self) -> None:
        """Finish what was interrupted, then delete what is due now. Failures are logged; the next sweep goes on."""
        await self._attempt(self._finish_all())
        if await self._attempt(self._may_delete()):
            for due in await self._attempt(asyncio.to_thread(self._due)) or ():
                if not self._is_on(due):
                    await self._attempt(self._begin(due), due.room)
            await self._attempt(self._finish_all())
            await self._attempt(expire_audit(self._hub))

    @staticmethod
    async def _attempt(work: Awaitable[T], room: str | None = None) -> T | None:
        """What some work gives; None if it failed: one room must not keep the others from it."""
        try:
            return await work
        except ChatsyncError as error:
            _log.warning("retention_waits", room=room, code=error.code)
        except Exception:
            _log.exception("retention_waits", room=room)
        return None

    async def _may_delete(self) -> bool:
        """Whether the clock may be believed: what it says decides what is old."""
        clock = self._hub.clock
        wall_us = clock.system_wall_us()
        if abs(wall_us - clock.wall_us()) > DAY_US:
            _log.warning("retention_waits", code="clock_has_leapt", until="restart")
            return False
        until_us = await asyncio.to_thread(clock_doubt_us, self._store, wall_us)
        if until_us is not None:
            _log.info("retention_waits", code="clock_is_new", until_us=until_us)
        return until_us is None

    def _due(self) -> list[Due]:
        """In a thread: what is past its time."""
        rooms = self._hub.known_rooms()
        note_kept_days(self._store, rooms)
        keep = kept_us(kept_days(self._store, rooms, self._hub.settings.retention_days))
        return due_broadcasts(self._store, keep, wall_us=self._hub.clock.system_wall_us())

    def _is_on(self, due: Due) -> bool:
        """Whether it is the broadcast that a served room has on, however long nothing was said. One that sleeps has none on."""
        running = self._hub.rooms.get(due.room)
        if running is None:
            return self._hub.is_restarting(due.room)  # the next sweep sees
        current = running.live.broadcasts.current
        return due.broadcast == current.number and not current.is_closed

    async def _begin(self, due: Due) -> None:
        begin = partial(begin_deletion, self._store, due, wall_us=self._hub.clock.system_wall_us())
        running = self._hub.rooms.get(due.room)
        if running is None:
            await asyncio.to_thread(begin)
        else:
            await running.sealer.let_go(due.broadcast, due.through, _ALL, begin)

    async def _finish_all(self) -> None:
        taken = []
        for one in await asyncio.to_thread(unfinished_deletions, self._store):
            done = await self._attempt(self._take_out(*one), one[0])
            taken += [] if done is None else [done]
        wall_us = self._hub.clock.system_wall_us()
        if not await asyncio.to_thread(note_done, self._store, taken, wall_us=wall_us):
            _log.info("retention_waits", code="log_is_read")
            return
        for room, _, broadcast, record in taken:
            counts = {name: record[name] for name in ("events", "archived_rows", "slices", "files", "names")}
            _log.info("past_its_time_and_deleted", room=room, broadcast=broadcast, **counts)
            known = self._hub.settings_of(room)
            if known is not None and known.public:
                self._hub.purging.note_expired(room)

    async def _take_out(self, room: str, began_us: int, broadcast: int, record: dict[str, Any]) -> Deletion:
        before = await self._let_go(room, broadcast, record)
        done = await asyncio.to_thread(take_out, self._store, room, began_us, broadcast, record)
        async with self._hub.unchanging:  # a room that is being started may have read what is gone now
            running = self._hub.rooms.get(room)
        if running is not before:
            await self._let_go(room, broadcast, record)
        if running is not None and broadcast == running.live.broadcasts.current.number:
            running.live.edge.refresh()
        return done

    async def _let_go(self, room: str, broadcast: int, record: dict[str, Any]) -> RunningRoom | None:
        """Take a broadcast out of a served room's memory; the room, None if it is not served."""
        running = self._hub.rooms.get(room)
        if running is not None:
            await running.sealer.let_go(broadcast, record["through"], record["as_of"], lambda: True)
            live = running.live
            live.log.forget_through(record["through"])
            live.records.forget_gaps(broadcast)
            live.broadcasts.forget(broadcast)
            live.edge.forget_hands(broadcast)
        return running
