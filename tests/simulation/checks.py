"""What must be true in the end: what was acked, what was seen and what is stored are the same (reliability G1 to G6, G10).

Owns: the comparisons. Does not know: how anything came about. Each check names the promise it is about.
"""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import msgspec

from chatsync.chat.event import KINDS, Event, Visibility
from chatsync.chat.wire import encoded, event_to_wire
from chatsync.replay.slices import is_sliced
from chatsync.replay.stamping import ORIGIN_KINDS
from chatsync.replay.state import RoomState, folded
from tests.simulation.ledger import IDENTITY, OTHER_TEXT, Deed
from tests.simulation.reader import Reader

if TYPE_CHECKING:
    from tests.simulation.people import Person
    from tests.simulation.view import View
    from tests.simulation.world import World

__all__ = ["Record", "check_end", "check_people"]

_KINDS_BY_ACTION = {
    "hide": "hidden",
    "restore": "restored",
    "pin": "pinned",
    "unpin": "unpinned",
    "upvote": "question_upvoted",
    "answer": "question_answered",
    "raise_hand": "hand_raised",
    "lower_hand": "hand_lowered",
}


class Record:
    """The log as it is stored, read and verified once.

    Args:
        world: the run, with a process that serves.
    """

    def __init__(self, world: World) -> None:
        assert world.process is not None
        assert world.process.journal is not None
        journal = world.process.journal
        journal.events_after(world.room, 0, 1_000_000)  # its chain is whole
        numbers = range(1, world.process.app.state.hub.rooms[world.room].live.broadcasts.current.number + 1)
        everything = (-(2**62), 2**62)  # with what has left the journal for the archive
        found = [journal.events_between(world.room, one, *everything, include_hidden=True) for one in numbers]
        self.events: list[Event] = sorted((e for events in found for e in events), key=lambda e: e.offset)
        self.by_offset = {event.offset: event for event in self.events}
        self.affected = {event.offset: journal.affected(event) for event in self.events}
        self.causes: dict[int, int] = {}  # by offset: the newest deed that touched it
        self.deeds: dict[int, list[tuple[int, str]]] = {}  # by offset: every deed that touched it, and its kind
        self.moved: set[int] = set()
        for event in self.events:
            for offset in self.affected[event.offset]:
                self.causes[offset] = event.offset
                self.deeds.setdefault(offset, []).append((event.offset, event.kind))
                if event.kind == "restamped":
                    self.moved.add(offset)
        self.public = {event.offset: _printed(event) for event in self.events if is_sliced(event)}

    def was_hidden(self, offset: int, as_of: int) -> bool:
        """Whether an event was hidden as of a position."""
        deeds = [kind for cause, kind in self.deeds.get(offset, ()) if cause <= as_of and kind != "restamped"]
        return bool(deeds) and deeds[-1] == "hidden"

    def of_broadcast(self, number: int) -> dict[int, Any]:
        """What everyone may see of a broadcast."""
        return {offset: event for offset, event in self.public.items() if event["broadcast"] == number}


def _printed(event: Event) -> Any:
    return msgspec.json.decode(encoded(event_to_wire(event, author=event.author)))


async def check_end(world: World, people: list[Person]) -> Record:
    """Compare everything; a process serves."""
    while True:  # the stream may bring one more event while slices are loaded
        await world.settle(people)
        record = Record(world)
        loaded = await _loaded(world, record)
        if loaded is not None and world.head == len(record.events):
            break
    _check_log(world, record)
    for deed in world.ledger.deeds.values():
        _check_deed(world, record, deed)
    _check_seen(world, record)
    for view in world.ledger.explored:
        _check_explored(world, record, view)
    _check_snapshots(world, record)
    check_people(world, record, people)
    _check_room(world, record)
    for number, events in loaded.items():
        _compare(world, f"the replay of broadcast {number}", events, record.of_broadcast(number))
    await _passes_end(world)
    _check_files(world)
    return record


def _check_log(world: World, record: Record) -> None:
    """G3: offsets are contiguous; an id stands once; what is enforced at the edge never falls back."""
    offsets = [event.offset for event in record.events]
    if offsets != list(range(1, len(offsets) + 1)):
        world.fail(f"offsets are not contiguous: {offsets}")
    ids: dict[tuple[str, str], int] = {}
    latest_us: dict[int, int] = {}
    for event in record.events:
        key = ("" if event.author is None else event.author.key, event.id)
        if key in ids:
            world.fail(f"offsets {ids[key]} and {event.offset} have the same author and id {event.id!r}")
        ids[key] = event.offset
        if event.kind in ORIGIN_KINDS and event.offset not in record.moved:
            if event.program_us < latest_us.get(event.broadcast, event.program_us):
                world.fail(f"{event.kind} at offset {event.offset} stands before the last one of its kinds")
            latest_us[event.broadcast] = event.program_us
        target = None if event.target is None else record.by_offset.get(event.target)
        is_about = event.kind in {"question_upvoted", "question_answered"} and target is not None
        if is_about and target is not None and not {event.offset, target.offset} & record.moved:
            is_before = event.broadcast == target.broadcast and event.program_us < target.program_us
            if is_before:
                world.fail(f"{event.kind} at offset {event.offset} stands before what it is about")


def _check_deed(world: World, record: Record, deed: Deed) -> None:
    """G1, G2: what was acked is stored as it was acked, body and all."""
    ack = deed.ack
    if ack is None:
        return
    event = record.by_offset.get(ack["offset"])
    if event is None:
        world.fail(f"acked and not stored: {deed.frame} as {ack}")
        return
    frame = deed.frame
    kind = frame["kind"] if frame["type"] == "say" else _KINDS_BY_ACTION[frame["action"]]
    author_key = None if event.author is None else event.author.key
    expected_id = f"upvote:{frame['target']}" if kind == "question_upvoted" else deed.id
    if (event.kind, event.id, author_key) != (kind, expected_id, deed.key):
        world.fail(f"{frame} was acked as offset {event.offset}, where {event} stands")
    if event.offset not in record.moved:
        stored = (event.program_us // 1_000, event.stamp.stamp)
        if deed.stamps != {stored}:
            world.fail(f"offset {event.offset} was acked as {deed.stamps} and is stored as {stored}")
    if frame["type"] == "say" and not event.hidden:
        texts = {frame["text"], OTHER_TEXT} if deed.had_other_body else {frame["text"]}
        if event.text not in texts:
            world.fail(f"offset {event.offset} was acked as {frame['text']!r} and is stored as {event.text!r}")


def _check_seen(world: World, record: Record) -> None:
    """G1: nothing was shown that is not stored; and it is stored as it was shown."""
    for offset, identity in world.ledger.seen.items():
        event = record.by_offset.get(offset)
        if event is None:
            world.fail(f"offset {offset} was shown and is not stored: {identity}")
            continue
        stored = _printed(event)
        names = [name for name in IDENTITY if not (event.hidden and name == "text")]
        if any(identity[name] != stored.get(name) for name in names):
            world.fail(f"offset {offset} was shown as {identity} and is stored as {stored}")


def _check_explored(world: World, record: Record, view: View) -> None:
    """G4: whoever resumed anywhere was told everything since; what was hidden or moved later is not held against it."""
    assert view.start is not None
    assert view.through is not None
    for offset in range(view.start + 1, view.through + 1):
        event = record.by_offset[offset]
        cause = record.causes.get(offset)
        if KINDS[event.kind] is Visibility.PUBLIC and cause is None and offset not in view.held:
            world.fail(f"who resumed after {view.start} was not told of offset {offset} (through {view.through})")
        if offset in view.held and cause is None and view.held[offset] != record.public[offset]:
            world.fail(
                f"who resumed after {view.start} was told {view.held[offset]}, stored is {record.public[offset]}"
            )
    for offset, deeds in record.deeds.items():
        is_touched = any(view.start < cause <= view.through for cause, _ in deeds)
        stays_hidden = record.was_hidden(offset, view.start) and record.was_hidden(offset, view.through)
        is_seen = offset <= view.start and KINDS[record.by_offset[offset].kind] is Visibility.PUBLIC
        if is_touched and is_seen and not stays_hidden and offset not in view.gone_since:
            world.fail(f"who resumed after {view.start} was not told what {deeds} did to offset {offset}")


def _check_snapshots(world: World, record: Record) -> None:
    """Contract §3: what was put together by polling was complete as of what it said."""
    for snapshot in world.ledger.snapshots:
        for offset, event in record.public.items():
            if offset > snapshot.as_of:
                break
            is_due = event["broadcast"] == snapshot.broadcast and offset not in record.causes
            if is_due and offset not in snapshot.offsets:
                world.fail(f"a reader as of {snapshot.as_of} of broadcast {snapshot.broadcast} had no offset {offset}")
        for offset in snapshot.offsets:
            if offset not in record.by_offset:
                world.fail(f"a reader had offset {offset}, which is not stored")


def check_people(world: World, record: Record, people: list[Person]) -> None:
    """G4, G6: what somebody holds is what is stored, less what is hidden: the same events, word for word."""
    for person in people:
        view = person.view
        if view is None or view.start is None or view.through is None:
            world.fail(f"{person.name} never got in")
            continue
        expected = {offset: event for offset, event in record.public.items() if view.start < offset <= view.through}
        _compare(world, f"{person.name} ({view.start}, {view.through}]", view.held, expected)
        shown = person.shown()
        if shown is not None:
            broadcast, events = shown
            all_of_it = {o: event for o, event in record.of_broadcast(broadcast).items() if o <= view.through}
            _compare(world, f"{person.name} since the hand-over in broadcast {broadcast}", events, all_of_it)


def _compare(world: World, who: str, held: dict[int, Any], expected: dict[int, Any]) -> None:
    missing, extra = sorted(set(expected) - set(held)), sorted(set(held) - set(expected))
    if missing or extra:
        world.fail(f"{who}: missing {missing}, too many {extra}")
    for offset in sorted(set(held) & set(expected)):
        if held[offset] != expected[offset]:
            world.fail(f"{who}: holds {held[offset]}, stored is {expected[offset]}")


def _check_room(world: World, record: Record) -> None:
    """The room in memory is the room on disk; nothing waits to be sealed for ever."""
    assert world.process is not None
    running = world.process.app.state.hub.rooms[world.room]
    live = running.live
    number = live.broadcasts.current.number
    of_it = [event for event in record.events if event.broadcast == number]
    before = RoomState()
    for event in record.events:
        if event.kind == "mode_changed" and event.broadcast < number:
            before.fold(event)
    expected = folded(of_it, mode=before.mode).to_wire(lambda author: {"key": author.key})
    told = live.edge.state.to_wire(lambda author: {"key": author.key})
    is_moved = any(event.offset in record.moved for event in of_it if event.kind in {"hand_raised", "hand_lowered"})
    for name, value in expected.items():
        if (
            name == "hands" and is_moved
        ):  # the edge has them in the order in which they came, from wherever they were moved
            continue
        if told[name] != value:
            world.fail(f"the edge's {name} are {told[name]}, and the log says {value}")
    if live.log.position.offset != len(record.events):
        world.fail(f"the room is at {live.log.position}, and {len(record.events)} events are stored")


async def _loaded(world: World, record: Record) -> dict[int, dict[int, Any]] | None:
    """G6: what slices and the open slice of each broadcast hold; None if something was said meanwhile."""
    loaded = {}
    for number in sorted({event.broadcast for event in record.events}):
        reader = Reader(world, f"the last reader of broadcast {number}")
        for _ in range(40):
            held = await reader.load(number, afresh=True)
            if world.head != len(record.events):
                return None
            if held is not None and held.as_of == len(record.events):
                break
            await world.pause(0.5)
        else:
            world.fail(f"broadcast {number} could not be loaded as of {len(record.events)}: {held and held.as_of}")
            return {}
        reader.snapshot(held)
        loaded[number] = held.events()
    return loaded


async def _passes_end(world: World) -> None:
    """Wait for a moment in which no slice is being written: its file is there before its row is."""
    assert world.process is not None
    sealer = world.process.app.state.hub.rooms[world.room].sealer
    for _ in range(200):
        if not sealer._lock.locked():
            return
        await world.pause(0.05)
    world.fail("a pass of sealing has no end")


def _check_files(world: World) -> None:
    """G7: no file that could be served holds a hidden word; no file lies about that nothing names."""
    assert world.process is not None
    words = world.ledger.hidden_words()
    running = world.process.app.state.hub.rooms[world.room]
    listed = {
        world.process.files.slice_path(world.room, row, public=True)  # type: ignore[union-attr]
        for index in running.sealer._indexes.values()
        for row in index.entries
    }
    for path in sorted((world.process.folder / "slices").rglob("*")):
        if not path.is_file():
            continue
        if path not in listed and int(path.parent.name) in running.sealer._indexes:
            world.fail(f"{path.name} of broadcast {path.parent.name} lies about, and no row names it")
        body = gzip.decompress(path.read_bytes())
        for offset, word in words.items():
            if word in body:
                world.fail(f"{path.name} holds {word.decode()!r}, hidden as offset {offset}")
