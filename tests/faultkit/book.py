"""What was promised about a data folder, and whether a store that was opened again holds it.

Owns: acks and hides by room and message, and the comparison with journal, slices and archive. Does not know: how the process ended.
"""

from __future__ import annotations

import gc
import hashlib
import json
import random
from dataclasses import dataclass, field
from pathlib import Path

from chatsync.instants import ms_from_us
from chatsync.store.opening import Store, open_store
from tests.faultkit.busy import ROOMS
from tests.faultkit.ledger import number_of, text_of

__all__ = ["Book", "check_files", "check_hidden", "check_opened", "check_rows"]


@dataclass
class Book:
    """What was promised about one disk, by room: acks as (offset, program time in ms, stamp) by number of message.

    Attributes:
        acked: what was acked.
        hiding: (room, number) of what somebody asked to hide; perhaps never answered.
        hidden: what was acked of it.
        read: where the log has each message, as far as it was read.
        through: the last offset read.
        unsaid: numbers of what was refused and is to be sent again.
    """

    acked: dict[str, dict[int, tuple[int, int, str]]] = field(default_factory=lambda: {room: {} for room in ROOMS})
    hiding: set[tuple[str, int]] = field(default_factory=set)
    hidden: set[tuple[str, int]] = field(default_factory=set)
    read: dict[str, dict[int, tuple[int, int, str]]] = field(default_factory=lambda: {room: {} for room in ROOMS})
    through: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ROOMS, 0))
    unsaid: list[int] = field(default_factory=list)

    def targets(self, chance: random.Random) -> list[tuple[str, int, int]]:
        """Messages to hide in the next life, none of them ever named before."""
        chosen = []
        for room, acks in self.acked.items():
            free = [number for number in acks if (room, number) not in self.hiding]
            chosen += [(room, number, acks[number][0]) for number in chance.sample(free, min(30, len(free)))]
        chance.shuffle(chosen)
        self.hiding |= {(room, number) for room, number, _ in chosen}
        return chosen

    def take(self, line: str) -> None:
        """A line of a life, told after the ack."""
        what, *words = line.split()
        if what == "ack":
            room, number, offset, program_ms, stamp = words
            ack = (int(offset), int(program_ms), stamp)
            assert ack == self.acked[room].setdefault(int(number), ack), "an ack says another thing than the first"
        elif what == "hidden":
            self.hidden.add((words[0], int(words[1])))


def check_opened(folder: Path, book: Book) -> None:
    """Open a data folder as a command does, and check everything that is new in it."""
    with open_store(folder) as store:
        check_rows(store, book)
        check_files(store)
        check_hidden(store, book)
    del store
    gc.collect()  # connections of reading threads go with their journal, and a disk that is in use cannot be unmounted


def check_rows(store: Store, book: Book) -> None:
    """What is new in the log goes on where it ended, holds all that was acked, and is what was sent."""
    assert [] == store.journal.open_report
    for room in ROOMS:
        read = book.read[room]
        while events := store.journal.events_after(room, book.through[room], 5_000):
            for event in events:
                assert book.through[room] + 1 == event.offset
                book.through[room] = event.offset
                if event.kind == "message":
                    number = number_of(event.id)
                    stands = (event.offset, ms_from_us(event.program_us), event.stamp.stamp)
                    assert stands == read.setdefault(number, stands), f"message {number} stands twice"
                    assert event.hidden or text_of(number) == event.text
                    assert event.author is not None
                    assert event.author.name.startswith("Student ")
        for number, ack in book.acked[room].items():
            assert ack == read.get(number), f"message {number} of {room}, acked as {ack}, is lost or changed"


def check_files(store: Store) -> None:
    """Every slice and every archived file that is listed is there and is what was written; so say the manifests."""
    for room in ROOMS:
        for broadcast in range(1, 1 + len(store.catalog.broadcast_records(room, last=1_000))):
            for row in store.catalog.slices(room, broadcast)[0]:
                body = store.files.read_slice(room, row, public=True)
                assert row.sha256 == hashlib.sha256(body).hexdigest(), row
        manifest = store.files.manifest_path(room)
        if manifest.exists():
            for file in json.loads(manifest.read_bytes())["files"]:
                assert "path" in file
    assert [] == store.archive.verify()


def check_hidden(store: Store, book: Book) -> None:
    """What was hidden is hidden still, and its text is gone."""
    for room, number in book.hidden:
        event = store.journal.event(room, book.acked[room][number][0])
        assert event is not None
        assert (True, None) == (event.hidden, event.text), f"message {number} of {room} is shown again"
