"""A room's recent log in memory: what a reconnecting client missed, and what everyone gets next.

Owns: the recovery ring, encoding each event once, batching into frames. Does not know: sockets, disk, clocks, stamps.
Source: contract §5; reliability G4.

Call :meth:`RoomLog.receive_committed` for every event after it is durable, then send what :meth:`RoomLog.frames_to_send`
gives to everyone. A client that joins between two batches is told :attr:`RoomLog.position` after a flush, so that it sees no
event twice and misses none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from chatsync.chat.event import MESSAGE_KINDS, Event, Position, Visibility, visibility_of
from chatsync.chat.wire import encoded, event_to_wire, joined_events_frame

__all__ = [
    "GIVING_KINDS",
    "RING_EVENTS_MAX",
    "TAKING_KINDS",
    "WAITING_MAX",
    "BackEvents",
    "Frames",
    "Recovery",
    "RoomLog",
    "changed_by",
    "public_bytes",
    "recovery_from",
]

RING_EVENTS_MAX = 2_000  # ~3 min at 10 messages/s
WAITING_MAX = 200  # of what waits for those who run the room, told to who joins; all of it is in ``class=staff``
_WAITING_KINDS = frozenset({"held", "reported"})
TAKING_KINDS = frozenset({"hidden", "erased"})
GIVING_KINDS = frozenset({"restored", "restamped"})


@dataclass(slots=True)
class _Entry:
    event: Event
    public: bytes | None  # encoded for everyone; None if it is not for everyone
    gone: tuple[int, ...] = ()  # offsets this event took away
    back: tuple[int, ...] = ()  # offsets this event gave back or moved


@dataclass(frozen=True, slots=True)
class BackEvents:
    """Offsets that were restored or moved, with the events as they stand now."""

    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Frames:
    """One batch, encoded once for the whole room: frames for everyone, those staff gets instead, and what is for few besides."""

    public: tuple[bytes, ...]
    staff: tuple[bytes, ...]
    own: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)  # by author key: what is private to them


@dataclass(frozen=True, slots=True)
class Recovery:
    """What a client missed since a position, hidden events left out."""

    public: tuple[bytes, ...]
    events: tuple[Event, ...]
    gone: tuple[int, ...]
    back: tuple[int, ...]
    through: Position


@dataclass(slots=True)
class _Pending:
    public: dict[int, bytes] = field(default_factory=dict)  # by offset, in the order of the log
    staff: list[bytes] = field(default_factory=list)
    own: dict[str, list[bytes]] = field(default_factory=dict)
    gone: list[int] = field(default_factory=list)
    back: dict[int, bytes] = field(default_factory=dict)
    staff_back: dict[int, bytes] = field(default_factory=dict)  # what is not for everyone
    own_back: dict[str, dict[int, bytes]] = field(default_factory=dict)
    count: int = 0


class RoomLog:
    """The newest events of a room.

    Args:
        position: the newest position in the journal.
        recent: the newest events up to ``position``, in offset order; hidden ones are marked.
        effects: offsets that the deeds among them took away, gave back or moved, by the deed's offset.
    """

    def __init__(
        self, position: Position, recent: Sequence[Event] = (), effects: Mapping[int, tuple[int, ...]] | None = None
    ) -> None:
        self.position = position
        self._ring: deque[_Entry] = deque(maxlen=RING_EVENTS_MAX)
        self._pending = _Pending()
        for event in recent:
            affected = (effects or {}).get(event.offset, ())
            if self._ring and event.offset != self._ring[-1].event.offset + 1:
                self._ring.clear()  # a hole where the journal lost its tail: memory begins after it
            gone = affected if event.kind in TAKING_KINDS else ()
            back = affected if event.kind in GIVING_KINDS else ()
            self._ring.append(_Entry(event, public_bytes(event), gone, back))
        if self._ring and self._ring[-1].event.offset != position.offset:
            self._ring.clear()

    @property
    def first_offset(self) -> int:
        """Offset of the oldest event in memory; one past the newest if there is none."""
        return self._ring[0].event.offset if self._ring else self.position.offset + 1

    def forget(self) -> None:
        """What came before can no longer be told from memory: too much of it moved at once."""
        self._ring.clear()

    def forget_through(self, offset: int) -> None:
        """What came up to here is past its time."""
        while self._ring and self._ring[0].event.offset <= offset:
            self._ring.popleft()

    def receive_committed(self, event: Event, *, gone: Iterable[int] = (), back: BackEvents | None = None) -> None:
        """Take in an event that is on disk now.

        Args:
            event: the next of the log.
            gone: offsets it hides or erases.
            back: events it restores or moves, as they stand now.
        """
        assert event.offset == self.position.offset + 1, "events come in the order of the log"
        gone_offsets = tuple(gone)
        back_events = () if back is None else back.events
        self.position = Position(event.epoch, event.offset)
        entry = _Entry(event, public_bytes(event), gone_offsets, tuple(e.offset for e in back_events))
        self._ring.append(entry)
        self._mark_hidden(gone_offsets)
        if "held" in event.details and event.kind in MESSAGE_KINDS:  # it is said now, and waits no more
            self._mark_hidden((int(event.details["held"]),))
        for changed in back_events:
            self._replace(changed)
        self._queue(entry, back_events)

    def _queue(self, entry: _Entry, back_events: tuple[Event, ...]) -> None:
        pending = self._pending
        pending.count += 1
        pending.gone.extend(entry.gone)
        for offset in entry.gone:  # `back` travels after `gone`: what came back and went again must not come back
            for back in (pending.back, pending.staff_back, *pending.own_back.values()):
                back.pop(offset, None)
            pending.public.pop(offset, None)
        if entry.public is not None:
            pending.public[entry.event.offset] = entry.public
        # One that is hidden already was committed earlier than anybody knew: there is nothing left of it to show.
        if visibility_of(entry.event.kind) is not Visibility.TALLY and not entry.event.hidden:
            # Where nothing is for staff only, the two are the same bytes: a message is encoded once.
            is_same = entry.public is not None and not entry.event.details
            pending.staff.append(entry.public if is_same and entry.public is not None else _staff_bytes(entry.event))
        if "to" in entry.event.details and not entry.event.hidden:
            for key in _private_to(entry.event):
                pending.own.setdefault(key, []).append(encoded(event_to_wire(entry.event, author=entry.event.author)))
        for changed in back_events:
            body = public_bytes(changed)
            if body is not None:
                pending.back[changed.offset] = body
            elif not changed.hidden and (
                "to" in changed.details or changed.kind == "held"
            ):  # deeds need not come again
                pending.staff_back[changed.offset] = _staff_bytes(changed)
                for key in _private_to(changed) if "to" in changed.details else ():
                    theirs = pending.own_back.setdefault(key, {})
                    theirs[changed.offset] = encoded(event_to_wire(changed, author=changed.author))

    def frames_to_send(self) -> Frames | None:
        """The batch since the last call, or None if nothing was committed. Each event is encoded once."""
        pending = self._pending
        if pending.count == 0:
            return None
        self._pending = _Pending()
        gone = [encoded({"type": "gone", "offsets": pending.gone})] if pending.gone else []
        own = {
            key: (
                joined_events_frame(pending.own.get(key, []), self.position),
                *_back_frames(pending.own_back.get(key, {})),
            )
            for key in pending.own.keys() | pending.own_back.keys()
        }
        return Frames(
            public=(
                joined_events_frame(tuple(pending.public.values()), self.position),
                *gone,
                *_back_frames(pending.back),
            ),
            staff=(
                joined_events_frame(pending.staff, self.position),
                *gone,
                *_back_frames(pending.back | pending.staff_back),
            ),
            own=own,
        )

    def recovered(self, after: Position) -> Recovery | None:
        """What came after a position, from memory; None if memory does not reach back so far or the epoch is another."""
        if after.epoch != self.position.epoch or not self.first_offset - 1 <= after.offset <= self.position.offset:
            return None
        return self._recovery(entry for entry in self._ring if entry.event.offset > after.offset)

    def last(self, count: int) -> Recovery:
        """The last events by arrival that everyone may see, at most ``count`` and what memory holds; what came from a file did not arrive now."""
        picked: list[_Entry] = []
        for entry in reversed(self._ring):
            if len(picked) >= count:
                break
            if entry.public is not None and not entry.event.source.startswith("import:"):
                picked.append(entry)
        recovery = self._recovery(reversed(picked))
        return Recovery(recovery.public, recovery.events, (), (), recovery.through)

    def waiting(self) -> list[tuple[int, bytes]]:
        """What waits for those who run the room, of what memory holds: held messages and reports, by offset, as staff are told them."""
        waiting = [one.event for one in self._ring if one.event.kind in _WAITING_KINDS and not one.event.hidden]
        return [(event.offset, _staff_bytes(event)) for event in waiting[-WAITING_MAX:]]

    def event(self, offset: int) -> Event | None:
        """An event that memory still holds."""
        index = offset - self.first_offset
        return self._ring[index].event if 0 <= index < len(self._ring) else None

    def _recovery(self, entries: Iterable[_Entry]) -> Recovery:
        kept = list(entries)
        gone, back = changed_by((entry.gone, entry.back) for entry in kept)
        seen = [entry for entry in kept if entry.public is not None]
        return Recovery(
            public=tuple(entry.public for entry in seen if entry.public is not None),
            events=tuple(entry.event for entry in seen),
            gone=gone,
            back=back,
            through=self.position,
        )

    def _mark_hidden(self, offsets: Iterable[int]) -> None:
        for offset in offsets:
            index = offset - self.first_offset
            if 0 <= index < len(self._ring):
                entry = self._ring[index]
                entry.event, entry.public = _hidden(entry.event), None

    def _replace(self, event: Event) -> None:
        index = event.offset - self.first_offset
        if 0 <= index < len(self._ring):
            entry = self._ring[index]
            entry.event, entry.public = event, public_bytes(event)


def changed_by(deeds: Iterable[tuple[Sequence[int], Sequence[int]]]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Which offsets are gone and which are back after deeds in order: of each offset the last deed decides.

    Args:
        deeds: of each, the offsets it took away and those it gave back or moved.
    """
    stands: dict[int, bool] = {}
    for gone, back in deeds:
        stands |= dict.fromkeys(gone, False) | dict.fromkeys(back, True)
    return (
        tuple(sorted(offset for offset, is_back in stands.items() if not is_back)),
        tuple(sorted(offset for offset, is_back in stands.items() if is_back)),
    )


def recovery_from(after: Position, told: Iterable[tuple[Event, tuple[int, ...]]]) -> Recovery:
    """What a client missed since a position, from events in order, each with the offsets it touched; one pass through them."""
    deeds: list[tuple[Sequence[int], Sequence[int]]] = []
    seen: list[tuple[Event, bytes]] = []
    through = after.offset
    for event, affected in told:
        through = event.offset
        if affected:
            deeds.append(
                (affected if event.kind in TAKING_KINDS else (), affected if event.kind in GIVING_KINDS else ())
            )
        public = public_bytes(event)
        if public is not None:
            seen.append((event, public))
    gone, back = changed_by(deeds)
    return Recovery(
        public=tuple(public for _, public in seen),
        events=tuple(event for event, _ in seen),
        gone=gone,
        back=back,
        through=Position(after.epoch, through),
    )


def public_bytes(event: Event) -> bytes | None:
    """An event as everyone may see it, encoded; None if it is not for everyone."""
    if event.hidden or visibility_of(event.kind) is not Visibility.PUBLIC or "to" in event.details:
        return None
    return encoded(event_to_wire(event, author=event.author))


def _private_to(event: Event) -> set[str]:
    """Whose a private message is, besides staff: its author's and theirs whom it names by key."""
    keys = {str(one) for one in event.details["to"]}
    return keys if event.author is None else keys | {event.author.key}


def _back_frames(bodies: Mapping[int, bytes]) -> tuple[bytes, ...]:
    """What came back, as one frame, if there is any."""
    return (b'{"type":"back","events":[%b]}' % b",".join(bodies.values()),) if bodies else ()


def _staff_bytes(event: Event) -> bytes:
    return encoded(event_to_wire(event, author=event.author, as_staff=True))


def _hidden(event: Event) -> Event:
    return msgspec.structs.replace(event, hidden=True, text=None)
