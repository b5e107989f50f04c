"""The sealed slices of one broadcast in memory, its unsealed tail, and what is still to be written of it.

Owns: looking up, marking what changed, which values may be asked for. Does not know: files, the catalog, when to write.
Units: ranges in µs of program time; ``wall_us`` is steady wall time. Source: contract §3.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import msgspec

from chatsync.chat.event import Event
from chatsync.instants import SECOND_US, Range, us_from_ms, whole_second_us
from chatsync.replay.slices import is_sliced, late_range
from chatsync.replay.state import RoomState
from chatsync.store.catalog import SliceRow

__all__ = ["OPEN_FROM_LIFE_US", "SliceIndex", "caught", "name_of", "range_of"]

OPEN_FROM_LIFE_US = 60 * SECOND_US  # how long a value of sealed_until_ms may be asked for as from_ms


@dataclass(slots=True, weakref_slot=True)
class SliceIndex:
    """The sealed slices of one broadcast, and its unsealed tail."""

    broadcast: int
    version: int = 0
    entries: list[SliceRow] = field(default_factory=list)  # by start, not overlapping
    removed: dict[int, SliceRow] = field(default_factory=dict)  # by start_ms: all of their events are hidden
    sealed_until_us: int | None = None
    sealed_before: deque[tuple[int, int]] = field(default_factory=deque)  # (wall, value) of the last minute
    tail: list[tuple[int, int]] = field(default_factory=list)  # (program, offset) of events from the oldest askable on
    events: dict[int, Event] = field(default_factory=dict)  # of the tail, by offset
    sliced_us: list[int] = field(default_factory=list)  # program times of those that slices hold, in order
    dirty_us: dict[int, int] = field(default_factory=dict)  # program time that changed: wall time when to revise
    dirty_state_us: int | None = None  # states of slices after this program time may have changed
    dirty_state_due_us: int = 0  # wall time when to revise them
    waiting: set[tuple[int, int]] = field(
        default_factory=set
    )  # (offset, second) of what is due in a slice and not in it
    cutting_until_us: int | None = None  # end of the slice that is being written for the first time
    gone: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=2_000))  # (offset of the hide, hidden)
    told_from: int = 0  # newer events and `gone` say all that changed since any offset from here on
    has_tail: bool = True  # False while the tail is read
    tail_through: int = 0  # offset up to which it is read; what is newer is told
    tail_place: tuple[int, int] | None = None  # (program, offset) of the last event that was read
    state_events: dict[int, Event] = field(default_factory=dict)  # that bear on room state, by offset, hidden ones too
    has_state: bool = False  # whether those from before it was loaded are among them
    state_version: int = 0  # rises when they change
    newest_state_offset: int = 0
    states: dict[tuple[int, int, int], RoomState] = field(default_factory=dict)  # at instants asked for lately
    revising_us: list[int] = field(default_factory=list)  # seconds whose slices are being written anew
    revising_state_us: int | None = None  # and those after this one
    used_us: int = 0  # wall time when it was last asked for or changed
    serial: int = field(default_factory=count().__next__)  # tells this index from any other of this process

    def after(self, through: int, as_of: int, position: int) -> SliceIndex:
        """What is left when events up to an offset are past their time, and slices made as of another.

        The version starts anew, so that lists are sent whole.
        """
        left = SliceIndex(self.broadcast, sealed_until_us=self.sealed_until_us, told_from=position, has_state=True)
        left.entries = [row for row in self.entries if row.as_of_offset > as_of]
        for event in self.events.values():
            if event.offset > through:
                left.put_tail(event)
        for event in self.state_events.values():
            if event.offset > through:
                left.note_state(event)
        left.waiting = {one for one in self.waiting if one[0] > through}
        left.dirty_us = {at_us: self.dirty_us[at_us] for _, at_us in left.waiting if at_us in self.dirty_us}
        return left

    @property
    def waiting_offsets(self) -> set[int]:
        """Events that are due in a slice and not in it yet."""
        return {offset for offset, _ in self.waiting}

    @property
    def has_work(self) -> bool:
        """Whether a sealed slice is to be written anew, or is being written."""
        dirty = self.dirty_us or self.revising_us
        return bool(dirty) or self.dirty_state_us is not None or self.revising_state_us is not None

    def is_closed_at(self, program_us: int) -> bool:
        """Whether an instant is sealed, or is being sealed now: what happens there then needs a revision."""
        until_us = self.cutting_until_us if self.cutting_until_us is not None else self.sealed_until_us
        return until_us is not None and program_us < until_us

    def note_dirty(self, offset: int, program_us: int, due_us: int) -> None:
        """The event at ``offset`` changes what is sealed at an instant; write it by ``due_us`` of wall time."""
        second_us = whole_second_us(program_us)
        self.dirty_us[second_us] = min(due_us, self.dirty_us.get(second_us, due_us))
        self.waiting.add((offset, second_us))

    def note_left(self, cause: Event, moved: Event) -> None:
        """A restamp by a shift says where the event stood; by a clamp it stood somewhere after."""
        shift_us = cause.details.get("shift_us") or 0
        left_us = moved.program_us - shift_us
        for entry in self.entries:
            clamped = cause.details.get("rule") == "clamp" and us_from_ms(entry.end_ms) > moved.program_us
            if clamped or us_from_ms(entry.start_ms) <= left_us < us_from_ms(entry.end_ms):
                self.note_dirty(cause.offset, us_from_ms(entry.start_ms), 0)

    def note_range(self, cause: Event) -> None:
        """A restamp by the record says between which moments it moved events: each slice there may have lost one."""
        for entry in self.entries:
            start_us, end_us = us_from_ms(entry.start_ms), us_from_ms(entry.end_ms)
            if start_us < cause.details["end_us"] and cause.details["start_us"] < end_us:
                self.note_dirty(cause.offset, start_us, 0)

    def note_dirty_state(self, program_us: int, due_us: int) -> None:
        """The states that slices after an instant open with may have changed."""
        if self.dirty_state_us is None:
            self.dirty_state_us, self.dirty_state_due_us = program_us, due_us
        else:
            self.dirty_state_us = min(program_us, self.dirty_state_us)
            self.dirty_state_due_us = min(due_us, self.dirty_state_due_us)

    def entry_at(self, program_us: int) -> SliceRow | None:
        """The slice that covers an instant."""
        index = bisect_left(self.entries, program_us + 1, key=lambda row: us_from_ms(row.start_ms)) - 1
        if index >= 0 and program_us < us_from_ms(self.entries[index].end_ms):
            return self.entries[index]
        return None

    def holds(self, event: Event) -> bool:
        """Whether the slice over an event was made when the event was in the log already: then it has it."""
        row = self.entry_at(event.program_us)
        return row is not None and event.epoch == row.epoch and event.offset <= row.as_of_offset

    def put(self, row: SliceRow) -> None:
        """Add a slice or replace the revision before it."""
        index = bisect_left(self.entries, row.start_ms, key=lambda entry: entry.start_ms)
        if index < len(self.entries) and self.entries[index].start_ms == row.start_ms:
            self.entries[index] = row
        else:
            self.entries.insert(index, row)
        self.removed.pop(row.start_ms, None)

    def remove(self, row: SliceRow, version: int) -> None:
        """A slice whose events are all hidden."""
        self.entries = [entry for entry in self.entries if entry.start_ms != row.start_ms]
        self.removed[row.start_ms] = msgspec.structs.replace(row, version=version)

    def range_at(self, second_us: int) -> Range:
        """The range of the slice over a second: that of the slice there, or that was there, else the second itself."""
        rows = sorted((*self.entries, *self.removed.values()), key=lambda row: row.start_ms)
        ranges = [range_of(row) for row in rows]
        found = [within for within in ranges if within.start_us <= second_us < within.end_us]
        return found[0] if found else late_range(second_us, ranges)

    def put_tail(self, event: Event) -> None:
        """Remember an event of the unsealed tail (or of the minute before it)."""
        self.drop_tail(event.offset)
        insort(self.tail, event.place)
        self.events[event.offset] = event
        if is_sliced(event):
            insort(self.sliced_us, event.program_us)

    def drop_tail(self, offset: int) -> None:
        """Forget an event that was hidden or moved."""
        known = self.events.pop(offset, None)
        if known is not None:
            del self.tail[bisect_left(self.tail, known.place)]
            if is_sliced(known):
                del self.sliced_us[bisect_left(self.sliced_us, known.program_us)]

    def note_state(self, event: Event) -> None:
        """Remember an event that bears on room state as it stands now."""
        self.state_events[event.offset] = event
        self.newest_state_offset = max(self.newest_state_offset, event.offset)
        self.state_version += 1

    def note_gone(self, cause: int, offset: int) -> None:
        """An event was hidden by the one at ``cause``."""
        if len(self.gone) == self.gone.maxlen:
            self.told_from = max(self.told_from, self.gone[0][0])
        self.gone.append((cause, offset))

    def tail_from(self, program_us: int) -> list[Event]:
        """The tail's events at or after an instant, in order."""
        return [self.events[offset] for _, offset in self.tail[bisect_left(self.tail, (program_us, 0)) :]]

    def sliced_from(self, program_us: int) -> list[int]:
        """Program times, in order, of the tail's events that slices hold, at or after an instant."""
        return self.sliced_us[bisect_left(self.sliced_us, program_us) :]

    def has_sliced_within(self, start_us: int | None, end_us: int) -> bool:
        """Whether an event of the tail that slices hold stands from one instant (None: from the first) up to another."""
        first = 0 if start_us is None else bisect_left(self.sliced_us, start_us)
        return first < len(self.sliced_us) and self.sliced_us[first] < end_us

    def note_sealed_until(self, value_us: int, wall_us: int) -> None:
        """Move the mark on; values of the last minute may still be asked for."""
        if self.sealed_until_us is not None and value_us != self.sealed_until_us:
            self.sealed_before.append((wall_us, self.sealed_until_us))
        self.sealed_until_us = value_us
        while self.sealed_before and self.sealed_before[0][0] < wall_us - OPEN_FROM_LIFE_US:
            self.sealed_before.popleft()
        oldest_us = self.sealed_before[0][1] if self.sealed_before else value_us
        past = bisect_left(self.tail, (oldest_us, 0))
        for _, offset in self.tail[:past]:
            self.events.pop(offset, None)
        del self.tail[:past]
        del self.sliced_us[: bisect_left(self.sliced_us, oldest_us)]

    def may_be_asked_from(self, from_us: int) -> bool:
        """Whether ``open.json`` can answer from this instant on."""
        return from_us == self.sealed_until_us or any(value == from_us for _, value in self.sealed_before)


def range_of(row: SliceRow) -> Range:
    """The program time of a slice, µs."""
    return Range(us_from_ms(row.start_ms), us_from_ms(row.end_ms))


def name_of(row: SliceRow) -> tuple[int, int, int, int]:
    """What names a slice's file within its broadcast."""
    return row.start_ms, row.end_ms, row.epoch, row.revision


async def caught(work: Coroutine[Any, Any, None]) -> Exception | None:
    """What a work raised: it must not be lost, nor be told twice, when nobody waits any more."""
    try:
        await work
    except Exception as error:
        return error
    return None
