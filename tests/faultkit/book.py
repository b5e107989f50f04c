"""What was promised about a data folder, and whether a store that was opened again holds it.

Owns: acks, hides and erasures, and the comparison with journal, slices and archive. Does not know: how the process ended.
"""

from __future__ import annotations

import gc
import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

from chatsync.chat.event import Event
from chatsync.instants import ms_from_us
from chatsync.store.catalog import ArchiveFile
from chatsync.store.opening import Store, open_store
from tests.faultkit.busy import ROOMS, guest, guest_of
from tests.faultkit.ledger import number_of, text_of

__all__ = ["Book", "check_erased", "check_files", "check_hidden", "check_opened", "check_rows"]


@dataclass
class Book:
    """What was promised about one disk, by room: acks as (offset, program time in ms, stamp) by number of message.

    Attributes:
        acked: what was acked.
        hiding: (room, number) of what somebody asked to hide; perhaps never answered.
        hidden: what was acked of it.
        erasing: (room, guest) of whom somebody asked to erase; perhaps never answered.
        erased: of whom a receipt came.
        read: where the log has each message, as far as it was read.
        through: the last offset read.
        unsaid: numbers of what was refused and is to be sent again.
    """

    acked: dict[str, dict[int, tuple[int, int, str]]] = field(default_factory=lambda: {room: {} for room in ROOMS})
    hiding: set[tuple[str, int]] = field(default_factory=set)
    hidden: set[tuple[str, int]] = field(default_factory=set)
    erasing: set[tuple[str, int]] = field(default_factory=set)
    erased: set[tuple[str, int]] = field(default_factory=set)
    read: dict[str, dict[int, tuple[int, int, str]]] = field(default_factory=lambda: {room: {} for room in ROOMS})
    through: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ROOMS, 0))
    unsaid: list[int] = field(default_factory=list)

    def targets(self, chance: random.Random) -> list[tuple[str, int, int]]:
        """Messages to hide in the next life, none of them ever named before."""
        chosen = []
        for room, acks in self.acked.items():
            free = [
                number
                for number in acks
                if (room, number) not in self.hiding and (room, guest_of(number)) not in self.erasing
            ]
            chosen += [(room, number, acks[number][0]) for number in chance.sample(free, min(30, len(free)))]
        chance.shuffle(chosen)
        self.hiding |= {(room, number) for room, number, _ in chosen}
        return chosen

    def guests(self, chance: random.Random, count: int) -> list[tuple[str, int]]:
        """Whom to erase in the next life, none of them ever named before. Choose them before :meth:`targets`."""
        known = {(room, life) for room, acks in self.acked.items() for life in map(guest_of, acks) if life is not None}
        known -= {(room, guest_of(number)) for number in self.unsaid for room in ROOMS}  # they will speak again
        free = sorted(known - self.erasing)
        chosen = chance.sample(free, min(count, len(free)))
        self.erasing |= set(chosen)
        return chosen

    def of_guest(self, room: str, life: int) -> list[int]:
        """What a guest said, as far as it was acked."""
        return [number for number in self.acked[room] if guest_of(number) == life]

    def take(self, line: str) -> None:
        """A line of a life, told after the ack."""
        what, *words = line.split()
        if what == "ack":
            room, number, offset, program_ms, stamp = words
            ack = (int(offset), int(program_ms), stamp)
            assert ack == self.acked[room].setdefault(int(number), ack), "an ack says another thing than the first"
        elif what == "hidden":
            self.hidden.add((words[0], int(words[1])))
        elif what == "erased":
            self.erased.add((words[0], int(words[1])))


def check_opened(folder: Path, book: Book) -> None:
    """Open a data folder as a command does, and check everything that is new in it."""
    with open_store(folder) as store:
        check_rows(store, book)
        check_files(store)
        check_hidden(store, book)
        check_erased(store, book)
    del store
    gc.collect()  # connections of reading threads go with their journal, and a disk that is in use cannot be unmounted


def check_rows(store: Store, book: Book) -> None:
    """What is new in the log goes on where it ended, holds all that was acked, and is what was sent."""
    assert [] == store.journal.open_report
    for room in ROOMS:
        read = book.read[room]
        gone: dict[int, Event] = {}
        while events := store.journal.events_after(room, book.through[room], 5_000):
            for event in events:
                if event.offset > book.through[room] + 1 and not gone:
                    gone = {one.offset: one for one in _all_placed(store, room)}  # those that left the journal too
                for missing in range(book.through[room] + 1, event.offset):
                    assert missing <= store.journal.pruned.through(room)
                    _check_event(gone[missing], room, book)
                book.through[room] = event.offset
                _check_event(event, room, book)
        for number, ack in book.acked[room].items():
            assert ack == read.get(number), f"message {number} of {room}, acked as {ack}, is lost or changed"


def _all_placed(store: Store, room: str) -> Iterator[Event]:
    for broadcast in _broadcasts(store, room):
        yield from store.journal.events_between(room, broadcast, -(2**62), 2**62, include_hidden=True)


def _broadcasts(store: Store, room: str) -> range:
    return range(1, 1 + len(store.catalog.broadcast_records(room, last=1_000)))


def _check_event(event: Event, room: str, book: Book) -> None:
    if event.kind != "message":
        return
    number = number_of(event.id)
    stands = (event.offset, ms_from_us(event.program_us), event.stamp.stamp)
    assert stands == book.read[room].setdefault(number, stands), f"message {number} stands twice"
    assert event.hidden or text_of(number) == event.text
    assert event.author is not None
    life = guest_of(number)
    if life is None:
        assert event.author.name.startswith("Student ")
    elif (room, life) in book.erased:
        assert (True, "") == (event.hidden, event.author.name)
    elif (room, life) not in book.erasing:
        assert guest(life).name == event.author.name


def check_files(store: Store) -> None:
    """Every slice and every archived file that is listed is there and is what was written; so say the manifests; nothing is doubled."""
    for room in ROOMS:
        for broadcast in _broadcasts(store, room):
            for row in store.catalog.slices(room, broadcast)[0]:
                path = store.files.slice_path(room, row, public=True)
                assert path.exists(), (
                    f"{path.name} is listed; there are {sorted(one.name for one in path.parent.iterdir())}"
                )
                body = store.files.read_slice(room, row, public=True)
                assert row.sha256 == hashlib.sha256(body).hexdigest(), row
        manifest = store.files.manifest_path(room)
        if manifest.exists():
            for file in json.loads(manifest.read_bytes())["files"]:
                body = (store.files.root / file["path"]).read_bytes()
                assert file["sha256"] == hashlib.sha256(body).hexdigest(), file
        for tree in ("events", "staff"):
            offsets = [
                offset for file in store.catalog.archive_files(room, tree=tree) for offset in _offsets(store, file)
            ]
            twice = [offset for offset, count in Counter(offsets).items() if count > 1]
            assert [] == twice, f"rows of {room} are in two files of {tree}"
    assert [] == store.archive.verify()


def _offsets(store: Store, file: ArchiveFile) -> list[int]:
    found: list[int] = pq.read_table(store.files.root / file.path, columns=["offset"])["offset"].to_pylist()
    return found


def check_hidden(store: Store, book: Book) -> None:
    """What was hidden is hidden still, and its text is gone."""
    for room, number in book.hidden:
        event = store.journal.event(room, book.acked[room][number][0])
        assert event is not None
        assert (True, None) == (event.hidden, event.text), f"message {number} of {room} is shown again"


def check_erased(store: Store, book: Book) -> None:
    """Whose erasure was answered is not in any row, name, or archived file."""
    for room, life in book.erased:
        assert [] == store.journal.names(room, guest(life).key)
        for number in book.of_guest(room, life):
            event = store.journal.event(room, book.acked[room][number][0])
            assert event is not None
            assert (True, None) == (event.hidden, event.text), f"message {number} of {room}, who said it was erased"
