"""Sealing: a room's events become slices once the watermark has passed, and new revisions when the past changes.

Owns: when to cut and to revise, writing files before the catalog. Does not know: HTTP.
Units: ranges in µs of program time; ``wall_us`` is steady wall time.
Source: contract §3; reliability G6, G7.

What is true at every moment: a slice that is listed exists as a file; a hidden message is in no file that can be asked for,
since a reader of a slice waits until the hide that concerns it is written (:meth:`Sealer.settled`).
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import structlog

from chatsync.chat.event import STATE_KINDS, Event, Position
from chatsync.errors import CorruptError, RoomRestartingError, StoreError
from chatsync.instants import SECOND_US, Range, ms_from_us, us_from_ms
from chatsync.replay.slices import cut, is_sliced, sealed_until_us
from chatsync.service.live_room import LiveRoom
from chatsync.service.old_slices import OldSlices
from chatsync.service.packed_slices import PackedSlices
from chatsync.service.slice_index import SliceIndex, caught, name_of, range_of
from chatsync.service.unread import Unread
from chatsync.store.catalog import SliceRow
from chatsync.store.files import Files
from chatsync.store.slicing import ChangedSliceError, built_slice, intact_slice, mended_slice, says_the_same, slice_row
from chatsync.store.writer import store_error

__all__ = ["LATE_REVISION_US", "UNUSED_US", "Sealer"]

LATE_REVISION_US = 5 * SECOND_US  # late events revise a slice at most this often
UNUSED_US = 600 * SECOND_US  # slices of a broadcast that is over are in memory for so long after they were asked for
_PASS_S = 0.5
CATCH_UP_S = 5.0  # how long an answer waits for the journal to be read

_log = structlog.get_logger(__name__)


class Sealer:
    """Cuts, revises and lists the slices of one room. Start :meth:`run` as a task; feed it by ``room.on_committed``."""

    def __init__(self, room: LiveRoom, files: Files, packed: PackedSlices | None = None) -> None:
        self._room, self._files = room, files
        self._indexes: dict[int, SliceIndex] = {}
        self._lock, self._loading = asyncio.Lock(), asyncio.Lock()
        self._wake = asyncio.Event()
        self._noted_offset = 0
        self._settled_offset = 0  # up to here everything is where it belongs, and the catalog says so
        self._rested_offset = 0  # up to here everything is in slices as well: decision 0024
        self._packed = PackedSlices() if packed is None else packed
        self.old = OldSlices(room, files)
        # By broadcast: whether they stand is not known; no file yet, or it fell.
        self._doubtful: dict[int, list[SliceRow]] = {}
        self._passes: set[asyncio.Task[Exception | None]] = set()
        self._unread = Unread(room, self.receive_committed)
        room.sealed_until_us = self.sealed_until_us
        room.on_committed.append(self.receive_committed)

    async def restore(self) -> None:
        """Load what the catalog knows of the current broadcasts' slices; the journal is read later (:meth:`catch_up`)."""
        room = self._room
        settled = await asyncio.to_thread(room.catalog.mark, room.room, "settled_offset") or 0
        self._settled_offset = self._noted_offset = settled
        for broadcast in room.broadcasts.kept:
            index = await asyncio.to_thread(self._loaded_index, broadcast.number)
            index.has_tail, index.tail_through = False, settled
            self._indexes[broadcast.number] = index
        self._unread.begin(settled)

    async def catch_up(self) -> None:
        """Read the unsealed tail, and what was logged after the last pass before a crash; nothing if that is done.

        Sealing and all answers that need slices wait for it, and nothing else does.

        Raises:
            CorruptError: a row is damaged. What was read stays, and the next call goes on from there.
            StoreError: the journal or a folder cannot be read; likewise.
        """
        if not self._unread.is_left:
            return
        async with self._loading:
            if not self._unread.is_left:
                return
            try:
                if self._unread.has_deeds:
                    await self._unread.read_deeds()
                    await self._to_its_end(self._revise_all())
                await self._unread.read(tuple(self._indexes.values()))
                await self._to_its_end(self._sweep_all())  # a sweep must not meet a slice that is being written
                while waiting := [index for index in self._indexes.values() if not index.has_tail]:
                    for index in waiting:  # of older broadcasts, that crash upon crash kept from being sealed
                        await self._unread.read_tail(index)
            except (OSError, sqlite3.Error) as error:
                raise store_error(error, self._files.root) from error
            self._unread.end()

    async def _caught_up(self) -> None:
        """Catch up, or wait until somebody has, but not for long.

        Raises:
            RoomRestartingError: it takes longer.
            CorruptError: a row is damaged.
        """
        try:
            async with asyncio.timeout(CATCH_UP_S):
                await self.catch_up()
        except TimeoutError:
            raise RoomRestartingError from None

    async def _sweep_all(self) -> None:
        async with self._lock:
            for index in tuple(self._indexes.values()):
                await asyncio.to_thread(self.old.sweep, index)

    async def index(self, broadcast: int) -> SliceIndex:
        """The slice index of a broadcast, loaded from the catalog at first use."""
        known = self.loaded_index(broadcast)
        if known is not None:
            return known
        await self._caught_up()
        async with self._loading:
            known = self._indexes.get(broadcast)
            if known is None:
                position = self._room.log.position.offset
                loaded = await asyncio.to_thread(self._loaded_index, broadcast)
                known = self._indexes.setdefault(broadcast, loaded)
                if known is loaded:
                    known.has_tail, known.tail_through = False, position
            known.used_us = self._room.clock.wall_us()
            if not known.has_tail:
                await self._unread.read_tail(known)
        return known

    def _index_at_once(self, broadcast: int) -> SliceIndex:
        """As :meth:`index` where nothing can be awaited: once caught up, of a broadcast that is not in memory all is sealed."""
        index = self._indexes.get(broadcast)
        if index is None:
            index = self._indexes[broadcast] = self._loaded_index(broadcast)
            if self._unread.is_left:
                index.has_tail, index.tail_through = False, self._settled_offset
        index.used_us = self._room.clock.wall_us()
        return index

    def _loaded_index(self, broadcast: int) -> SliceIndex:
        rows, removed, version = self._room.catalog.slices(self._room.room, broadcast)
        sealed_until = self._room.catalog.mark(self._room.room, f"sealed_until_us.{broadcast}")
        ends = [us_from_ms(row.end_ms) for row in (*rows, *removed.values())]
        if ends:  # the mark is written after the slice: a crash between them leaves it behind
            sealed_until = max(ends) if sealed_until is None else max(sealed_until, *ends)
        position = self._room.log.position.offset
        return SliceIndex(broadcast, version, rows, removed, sealed_until, told_from=position)

    # --- what changed ---------------------------------------------------------------------------------------------

    def receive_committed(self, event: Event, affected: tuple[int, ...], changed: tuple[Event, ...] = ()) -> None:
        """An event is durable. ``changed`` are those it affected as they stand now; without, they are read here, 50 µs each."""
        self._noted_offset = max(self._noted_offset, event.offset)
        index = self._index_at_once(event.broadcast)
        if event.kind in STATE_KINDS:
            index.note_state(event)
        if affected:
            self._note_affected(event, affected, changed)
        if event.kind in {"hidden", "restored", "erased", "restamped"}:
            self._wake.set()
        elif is_sliced(event) or event.kind in STATE_KINDS:
            self._note_placed(index, event, due_in_us=LATE_REVISION_US)

    def _note_placed(self, index: SliceIndex, event: Event, *, due_in_us: int) -> None:
        """An event stands somewhere: in the tail, or (late) before what is sealed."""
        oldest_us = index.sealed_before[0][1] if index.sealed_before else index.sealed_until_us
        if oldest_us is None or event.program_us >= oldest_us:
            index.put_tail(event)
        if index.is_closed_at(event.program_us):
            due_us = self._room.clock.wall_us() + due_in_us if due_in_us else 0
            if not due_in_us or not index.holds(event):
                index.note_dirty(event.offset, event.program_us, due_us)
            if event.kind in STATE_KINDS:
                index.note_dirty_state(event.program_us, due_us)

    def _note_affected(self, cause: Event, affected: tuple[int, ...], at_hand: tuple[Event, ...]) -> None:
        """Offsets were hidden, restored or moved: every slice that held or embeds them must change at once."""
        by_record = cause.kind == "restamped" and cause.details.get("rule") == "record"
        if by_record:
            self._indexes[cause.broadcast].note_range(cause)
        for changed in at_hand or (self._room.journal.event(self._room.room, offset) for offset in affected):
            if changed is None:
                continue
            offset = changed.offset
            index = self._index_at_once(changed.broadcast)
            before = index.events.get(offset)
            index.drop_tail(offset)
            self._unread.note_changed(index, offset)
            if changed.kind in STATE_KINDS:
                index.note_state(changed)
            if changed.hidden:
                index.note_gone(cause.offset, offset)
            else:  # restored or moved: neither newer nor gone
                index.told_from = max(index.told_from, cause.offset)
            if before is not None and index.is_closed_at(before.program_us):
                index.note_dirty(cause.offset, before.program_us, 0)
            if cause.kind == "restamped" and not by_record and before is None:
                index.note_left(cause, changed)
            self._note_hidden(index, cause, changed) if changed.hidden else self._note_placed(
                index, changed, due_in_us=0
            )

    def _note_hidden(self, index: SliceIndex, cause: Event, hidden: Event) -> None:
        if not index.is_closed_at(hidden.program_us):
            return
        index.note_dirty(cause.offset, hidden.program_us, 0)
        if hidden.kind in STATE_KINDS:
            index.note_dirty_state(hidden.program_us, 0)
        self._wake.set()

    def is_settled(self, index: SliceIndex, row: SliceRow) -> bool:
        """Whether nothing that must change at once is left to write for this slice, and nothing of it is being written."""
        if not index.has_work:
            return True
        start_us, end_us = us_from_ms(row.start_ms), us_from_ms(row.end_ms)
        urgent = any(due == 0 and start_us <= at_us < end_us for at_us, due in index.dirty_us.items())
        state_us = index.dirty_state_us if index.dirty_state_due_us == 0 else None
        in_work = any(start_us <= at_us < end_us for at_us in index.revising_us)
        states = [at_us for at_us in (state_us, index.revising_state_us) if at_us is not None]
        return not urgent and not in_work and all(at_us >= end_us for at_us in states)

    async def settled(self, index: SliceIndex, row: SliceRow) -> None:
        """Wait until nothing that must change at once is left to write for this slice."""
        if not self.is_settled(index, row):
            await self._to_its_end(self._revise_alone(index))

    async def _revise_alone(self, index: SliceIndex) -> None:
        async with self._lock:
            await self._revise(index)

    async def _to_its_end(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it whole even if whoever waits is cancelled: a file that is written must be listed or taken away."""
        task = asyncio.ensure_future(caught(work))
        self._passes.add(task)
        task.add_done_callback(self._passes.discard)
        error = await asyncio.shield(task)
        if isinstance(error, OSError | sqlite3.Error):
            raise store_error(error, self._files.root) from error
        if error is not None:
            raise error

    def loaded_index(self, broadcast: int) -> SliceIndex | None:
        """The slice index of a broadcast, if it is in memory and nothing of it is still to be read."""
        index = self._indexes.get(broadcast)
        if index is None or not index.has_tail or self._unread.is_left:
            return None
        index.used_us = self._room.clock.wall_us()
        return index

    def packed_in_memory(self, row: SliceRow) -> bytes | None:
        """As :meth:`packed`, if it is in memory."""
        return self._packed.get(self._room.room, row)

    async def load_state(self, index: SliceIndex) -> None:
        """Read a broadcast's events that bear on state once; from then on they are kept up to date in memory.

        Raises:
            CorruptError: a row is damaged.
        """
        if index.has_state:
            return
        async with self._loading:
            if index.has_state:
                return
            loaded = await asyncio.to_thread(self._room.journal.state_events, self._room.room, index.broadcast)
            # What was told meanwhile is newer than what was read.
            index.state_events = {event.offset: event for event in loaded} | index.state_events
            index.newest_state_offset = max(index.state_events, default=0)
            index.has_state = True

    async def packed(self, row: SliceRow) -> bytes:
        """A slice's compressed bytes, from memory where they are asked for often.

        Raises:
            CorruptError: the file is not what was written.
            StorageFailedError: it cannot be read.
        """
        body = self._packed.get(self._room.room, row)
        if body is None:
            try:
                body = await asyncio.to_thread(self._read_packed, row)
            except ChangedSliceError:  # only a new revision can stand
                index = self._indexes.get(row.broadcast)
                if index is not None and index.entry_at(us_from_ms(row.start_ms)) is row:
                    index.note_dirty(row.as_of_offset, us_from_ms(row.start_ms), 0)
                    self._wake.set()
                raise
            self._packed.put(self._room.room, row, body)
        return body

    def _read_packed(self, row: SliceRow) -> bytes:
        room, public = self._room.room, self._room.settings.public
        try:
            try:
                return intact_slice(self._files, room, row, public=public)
            except CorruptError:
                index = self._indexes.get(row.broadcast)
                if index is None or index.entry_at(us_from_ms(row.start_ms)) is not row:
                    raise  # it was revised while its file was read
                return mended_slice(self._files, self._room.journal, room, row, public=public)
        except OSError as error:
            raise store_error(error, self._files.root) from error

    def sealed_until_us(self) -> int | None:
        """Of the current broadcast: program time up to which everything is in slices."""
        index = self._indexes.get(self._room.broadcasts.current.number)
        return None if index is None else index.sealed_until_us

    async def let_go(self, broadcast: int, through: int, as_of: int, begin: Callable[[], bool]) -> None:
        """Events up to an offset and slices as of another are past their time: if ``begin`` (in a thread) says so, they are told no more."""
        await self.load_state(await self.index(broadcast))
        async with self._lock:
            if await asyncio.to_thread(begin):
                index, position = self._indexes[broadcast], self._room.log.position.offset
                self._indexes[broadcast] = index.after(through, as_of, position)
                self._packed.forget(self._room.room)

    async def stop(self) -> None:
        """Write what must not wait: nothing hidden may stay in a file that is asked for after a restart."""
        self._room.on_committed.remove(self.receive_committed)
        try:
            await self._caught_up()
        except (RoomRestartingError, StoreError) as error:  # the next start finds what is left
            _log.warning("sealing_waits", room=self._room.room, code=error.code)
        else:
            await self._try_to_seal()

    async def _try_to_seal(self) -> None:
        """One pass; what the disk refuses stays to be done, so that sealing goes on once there is space again."""
        try:
            await self.seal()
        except StoreError as error:
            _log.warning("sealing_waits", room=self._room.room, code=error.code)
        except (OSError, sqlite3.Error) as error:
            _log.warning("sealing_waits", room=self._room.room, code="storage", error=type(error).__name__)
        except Exception:
            _log.exception("sealing_failed", room=self._room.room)  # a fault of ours must not end the sealing

    # --- passes ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Seal twice a second, at once after a hide, until cancelled."""
        while True:
            await self._try_to_seal()
            try:
                async with asyncio.timeout(_PASS_S):
                    await self._wake.wait()
            except TimeoutError:
                continue
            self._wake.clear()

    async def seal(self) -> None:
        """One pass: revise what changed, cut what the watermark has passed. It comes to its end even if the caller is cancelled."""
        await self.catch_up()
        await self._to_its_end(self._seal())

    async def _seal(self) -> None:
        async with self._lock:
            noted_offset = self._noted_offset
            await self.old.remove_left(self._is_listed)
            for number in sorted(self._indexes):
                index = self._indexes[number]
                await self._revise(index)
                await self._cut(index)
            waits = any(index.waiting or index.dirty_state_us is not None for index in self._indexes.values())
            waits = waits or self.old.is_left or any(self._doubtful.values())
            if not waits and noted_offset > self._settled_offset:
                self._settled_offset = noted_offset
                self._room.records.put_mark("settled_offset", noted_offset)
            if noted_offset > self._rested_offset and not waits and self._is_sealed():
                self._rested_offset = noted_offset
                self._room.records.put_mark("rested_offset", noted_offset)
            self._let_go()

    def _let_go(self) -> None:
        """Forget the slices of broadcasts that are over, that nobody has asked for in a while and of which nothing is to be written."""
        kept = {broadcast.number for broadcast in self._room.broadcasts.kept}
        before_us = self._room.clock.wall_us() - UNUSED_US
        for number, index in tuple(self._indexes.items()):
            is_busy = index.has_work or index.waiting or not index.has_tail or self._doubtful.get(number)
            if number not in kept and index.used_us < before_us and not is_busy and not self._unsealed_us(index):
                del self._indexes[number]

    async def _revise_all(self) -> None:
        async with self._lock:
            for index in tuple(self._indexes.values()):
                await self._revise(index)

    def _is_sealed(self) -> bool:
        """Whether slices hold all that they ever will of what was logged so far: the next start has nothing to do here."""
        return not any(index.has_work or self._unsealed_us(index) for index in self._indexes.values())

    def _watermark_us(self, index: SliceIndex) -> int | None:
        current = self._room.broadcasts.current
        if index.broadcast == current.number:
            return self._room.watermark_us()
        return 2**61  # a broadcast that another has followed is sealed to its end

    async def _cut(self, index: SliceIndex) -> None:
        mark_us = self._watermark_us(index)
        if mark_us is None:
            return
        for within in cut(self._unsealed_us(index), watermark_us=mark_us):
            if index.has_sliced_within(index.sealed_until_us, within.start_us):
                break  # it was placed there while the slice before was written; the next pass begins with it
            index.cutting_until_us = within.end_us
            try:
                await self._write(index, within, None)
            finally:
                index.cutting_until_us = None
            await self._move_mark(index, max(index.sealed_until_us or within.end_us, within.end_us))
        unsealed_us = self._unsealed_us(index)
        if index.broadcast != self._room.broadcasts.current.number:
            ends = [us_from_ms(entry.end_ms) for entry in index.entries[-1:]]
            mark_us = max([index.sealed_until_us or 0, *ends])
        await self._follow_watermark(
            index, sealed_until_us(unsealed_us, watermark_us=mark_us, before_us=index.sealed_until_us)
        )

    async def _follow_watermark(self, index: SliceIndex, value_us: int) -> None:
        """Move the mark through time in which nothing is sliced. No slice tells a restart of it: it is on disk before it is told."""
        if index.sealed_until_us == value_us:
            return
        index.cutting_until_us = value_us
        try:
            await self._room.records.store_mark(f"sealed_until_us.{index.broadcast}", value_us)
        finally:
            index.cutting_until_us = None
        self._note_mark(index, value_us)

    def _unsealed_us(self, index: SliceIndex) -> list[int]:
        start_us = -(2**62) if index.sealed_until_us is None else index.sealed_until_us
        return index.sliced_from(start_us)

    async def _move_mark(self, index: SliceIndex, value_us: int) -> None:
        if index.sealed_until_us == value_us:
            return
        self._note_mark(index, value_us)
        self._room.records.put_mark(f"sealed_until_us.{index.broadcast}", value_us)

    def _note_mark(self, index: SliceIndex, value_us: int) -> None:
        index.note_sealed_until(value_us, self._room.clock.wall_us())
        self._room.note_sealed(value_us)

    async def _revise(self, index: SliceIndex) -> None:
        await self._find_out(index)
        now_us = self._room.clock.wall_us()
        due = sorted(at_us for at_us, due_us in index.dirty_us.items() if due_us <= now_us)
        state_us = None
        if index.dirty_state_us is not None and index.dirty_state_due_us <= now_us:
            state_us, index.dirty_state_us = index.dirty_state_us, None
        if not due and state_us is None:
            return
        seconds = set(due)
        waiting = {(offset, second) for offset, second in index.waiting if second in seconds}
        for at_us in due:
            index.dirty_us.pop(at_us, None)
        index.revising_us, index.revising_state_us = due, state_us
        try:
            done: set[int] = set()
            for at_us in due:
                await self._revise_second(index, at_us, done)
            if state_us is not None:
                for row in [entry for entry in index.entries if us_from_ms(entry.end_ms) > state_us]:
                    if row.start_ms not in done:
                        await self._write(index, range_of(row), row)
        except BaseException:
            for at_us in due:
                index.dirty_us.setdefault(at_us, 0)
            if state_us is not None:
                index.note_dirty_state(state_us, 0)
            raise
        finally:
            index.revising_us, index.revising_state_us = [], None
        index.waiting -= waiting

    async def _revise_second(self, index: SliceIndex, second_us: int, done: set[int]) -> None:
        """Rewrite the slice over a second of program time, or make one where time was empty."""
        row = index.entry_at(second_us)
        if row is None and second_us >= (index.sealed_until_us or 0):
            return
        within = index.range_at(second_us)
        if ms_from_us(within.start_us) not in done:
            done.add(ms_from_us(within.start_us))
            await self._write(index, within, row)

    async def _write(self, index: SliceIndex, within: Range, row: SliceRow | None) -> None:
        """Write a slice's file, then the catalog, take the revision before away, and only then list the new one.

        A web server that serves the files must not have the old one any more when the chat playlist names the new one.
        """
        room = self._room
        position = room.log.position
        start_ms = ms_from_us(within.start_us)
        known = index.removed.get(start_ms) if row is None else row
        before = 0 if known is None else known.revision
        built = await asyncio.to_thread(self._built, index, within, row, position, before + 1)
        if built is None:
            return
        body, new_row, finals_us = built
        version = index.version + 1
        public = room.settings.public
        try:
            if new_row is not None:
                new_row = msgspec.structs.replace(new_row, version=version)
                await asyncio.to_thread(self._files.write_slice, room.room, new_row, body, public=public)
                await room.records.put_slice(new_row, version, finals_us)
            elif row is not None:
                await room.records.remove_slice(row, version)
        except Exception:
            doubtful = new_row if new_row is not None else row
            if doubtful is not None:
                self._doubtful.setdefault(index.broadcast, []).append(doubtful)
            raise
        if row is not None:
            await self.old.remove(row)
        index.version = version
        if new_row is not None:
            index.put(new_row)
        elif row is not None:
            index.remove(row, version)
        room.count_slice("sealed" if row is None else "revised")

    async def _find_out(self, index: SliceIndex) -> None:
        """After a write that failed: list what stands in the catalog, and take away the files of all else.

        A commit that was reported as failed may be on disk all the same. A slice that turns out to stand may lack what happened meanwhile.

        Raises:
            StoreError: it cannot be known yet.
        """
        if index.broadcast not in self._doubtful:
            return
        rows, removed, version = await self._room.records.stored_slices(index.broadcast)
        listed = {row.start_ms: row for row in rows}
        before = {row.start_ms: row for row in index.entries}
        for row in (*self._doubtful.pop(index.broadcast), *index.entries):
            stands = listed.get(row.start_ms)
            if stands is None or name_of(stands) != name_of(row):
                await self.old.remove(row)
        index.entries, index.removed, index.version = rows, removed, version
        for row in rows:
            if before.get(row.start_ms) != row:
                index.note_dirty(row.as_of_offset, us_from_ms(row.start_ms), 0)
                index.note_dirty_state(us_from_ms(row.start_ms), 0)
        ends = [us_from_ms(row.end_ms) for row in (*rows, *removed.values())]
        if ends and max(ends) > (index.sealed_until_us or max(ends) - 1):
            await self._move_mark(index, max(ends))

    def _is_listed(self, row: SliceRow) -> bool:
        index = self._indexes.get(row.broadcast)
        entry = None if index is None else index.entry_at(us_from_ms(row.start_ms))
        return entry is not None and name_of(entry) == name_of(row)

    def _built(
        self, index: SliceIndex, within: Range, row: SliceRow | None, position: Position, revision: int
    ) -> tuple[bytes, SliceRow | None, tuple[int, ...]] | None:
        """In a thread: a slice's compressed body, its row, and where polls became final; None if the revision before says the same."""
        broadcast = index.broadcast
        built = built_slice(
            self._room.journal,
            self._room.room,
            broadcast=broadcast,
            within=within,
            position=position,
            revision=revision,
        )
        if built is None:
            return (b"", None, ()) if row is not None else None
        if row is not None and says_the_same(
            self._files, self._room.room, row, built.body, public=self._room.settings.public
        ):
            return None
        packed = slice_row(built, broadcast=broadcast, within=within, position=position, revision=revision)
        return *packed, built.finals_us
