"""A large data folder for benchmarks: ``python -m benchmarks.big_folder FOLDER [--rooms 2000] [--messages 20000000] [--big-room 0]``.

Through the store's own code where that is fast enough: rooms, broadcasts, slices and archived hours are listed by the catalog, the
tail is appended by the journal. Parquet is written by the archive's own writer from columns made here, since 20 million events would
take ten minutes to append. Of each room the last ``--tail`` messages are in the journal, sealed; all before are in the archive only.
``--big-room N`` adds the room ``big`` with N events in the journal. The last line is JSON. Benchmarks share one folder in ``build/``
(:func:`shared_folder`), which is made anew when it is older than six hours or the code that makes it has changed.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import random
import shutil
import sqlite3
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

import chatsync.store as chatsync_store
from benchmarks.harness import told
from chatsync.chat.event import Author, Draft, Stamp
from chatsync.instants import HOUR_US, MS_US, SECOND_US, ms_from_us
from chatsync.replay.broadcasts import Broadcast
from chatsync.store.catalog import ArchiveFile, SliceRow
from chatsync.store.heads import Head
from chatsync.store.opening import Store, open_store
from chatsync.store.parquet import sha256_of, write_parquet
from chatsync.store.schema import EVENTS, SCHEMA_VERSION

__all__ = ["HOURS", "append_events", "make_folder", "room_name", "shared_folder", "start_us_of"]

HOURS = 4  # of program time a room's archived broadcast has
AUTHORS = 40
_DAY_US = 24 * HOUR_US
_TEXTS = 5_000
_WORDS = [
    "why",
    "is",
    "the",
    "slope",
    "negative",
    "left",
    "of",
    "zero",
    "it",
    "looks",
    "other",
    "way",
    "round",
    "on",
    "slide",
    "thanks",
    "again",
    "where",
    "can",
    "we",
    "find",
    "notes",
]
_SLICE_EVENTS = 500
_BATCH = 5_000
_SHARED = Path(__file__).resolve().parents[1] / "build" / "bench"
_FRESH_S = 6 * 3600  # later a relay would find its broadcasts over


def shared_folder(rooms: int, messages: int, *, tail: int = 250) -> tuple[Path, dict[str, Any]]:
    """A folder that benchmarks share, made if there is none that is fresh; with the figures of :func:`make_folder`."""
    folder = _SHARED / f"{rooms}-rooms-{messages}-messages-{tail}" / "data"
    note = folder.with_name("made.json")
    sources = sorted((Path(__file__), *Path(chatsync_store.__file__).parent.glob("*.py")))
    made_by = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    if note.exists() and folder.exists():
        known: dict[str, Any] = json.loads(note.read_text())
        if known["made_by"] == made_by and time.time() - known["made_s"] < _FRESH_S:
            return folder, known
    shutil.rmtree(folder.parent, ignore_errors=True)
    folder.parent.mkdir(parents=True)
    told(f"making a folder of {messages:,} messages in {rooms:,} rooms, once for all benchmarks")
    figures = make_folder(folder, rooms=rooms, messages=messages, tail=tail)
    figures |= {"made_by": made_by, "made_s": time.time()}
    note.write_text(json.dumps(figures))
    return folder, figures


def start_us_of(now_us: int) -> int:
    """Program time at which the archived hours of a folder begin that was made with this ``now_us``."""
    return (now_us - 3 * _DAY_US) // HOUR_US * HOUR_US


def room_name(number: int) -> str:
    """The id of a generated room."""
    return f"room-{number:05}"


def make_folder(
    folder: Path, *, rooms: int, messages: int, tail: int, big_room: int = 0, now_us: int | None = None
) -> dict[str, Any]:
    """Fill an empty folder; figures of what is in it.

    Args:
        folder: made if missing.
        rooms: how many.
        messages: in all, evenly.
        tail: of each room in the journal.
        big_room: events in the journal of one more room.
        now_us: wall time at which the newest was said; None: now.

    """
    started_s = time.monotonic()
    now_us = (time.time_ns() // 1_000 if now_us is None else now_us) // SECOND_US * SECOND_US - 300 * SECOND_US
    each = messages // rooms
    with open_store(folder) as store:
        for first in range(0, rooms, 100):
            names = [room_name(number) for number in range(first, min(first + 100, rooms))]
            made = _Parquet(each - tail, now_us)
            listed = [made.written(store, room) for room in names]
            store.writer.call(partial(_list_rooms, store, listed, each=each, tail=tail, now_us=now_us)).result()
            for room in names:
                _append(store, room, tail, now_us)
                store.writer.call(partial(_put_marks, store, room, each, now_us)).result()
        if big_room:
            store.writer.call(partial(_list_rooms, store, [("big", [])], each=0, tail=0, now_us=now_us)).result()
            _append(store, "big", big_room, now_us)
            store.writer.call(partial(_put_marks, store, "big", big_room, now_us)).result()
        for room in [room_name(number) for number in range(rooms)]:
            store.archive.write_manifest(room)
        files = len(store.catalog.archive_files())
    return {
        "rooms": rooms,
        "messages": messages,
        "in_journal": rooms * tail + big_room,
        "parquet_files": files,
        "bytes": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
        "made_in_s": round(time.monotonic() - started_s, 1),
        "now_us": now_us,
    }


def _texts() -> list[str]:
    chosen = random.Random(7)
    return [" ".join(chosen.choices(_WORDS, k=chosen.randint(2, 18))) for _ in range(_TEXTS)]


class _Parquet:
    """Archived hours of a room: the same columns for all rooms, with the room's own name in them."""

    def __init__(self, rows: int, now_us: int) -> None:
        self.start_us = start_us_of(now_us)
        self._tables = [
            _hour(rows // HOURS, 1 + index * (rows // HOURS), self.start_us + index * HOUR_US) for index in range(HOURS)
        ]

    def written(self, store: Store, room: str) -> tuple[str, list[ArchiveFile]]:
        """Write a room's hours."""
        files = []
        for index, table in enumerate(self._tables):
            hour_us = self.start_us + index * HOUR_US
            path = store.files.hour_path("events", room, 1, hour_us, 1)
            path.parent.mkdir(parents=True, exist_ok=True)
            named = table.set_column(0, EVENTS.field("room"), _constant(room, table.num_rows))
            write_parquet(named, path)
            times = table.column("program_us")
            files.append(
                ArchiveFile(
                    path=store.files.relative(path),
                    tree="events",
                    room=room,
                    broadcast=1,
                    hour_us=hour_us,
                    generation=1,
                    rows=table.num_rows,
                    start_us=times[0].value,
                    end_us=times[-1].value,
                    sha256=sha256_of(path),
                    size_bytes=path.stat().st_size,
                    schema_version=SCHEMA_VERSION,
                    first_offset=table.column("offset")[0].as_py(),
                    last_offset=table.column("offset")[-1].as_py(),
                    last_wall_us=times[-1].value,
                    pruned=True,
                )
            )
        return room, files


def _constant(value: str, rows: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([value]))


def _hour(rows: int, first_offset: int, start_us: int) -> pa.Table:
    """Columns of one hour, its messages evenly spread."""
    chosen = random.Random(first_offset)
    texts = _texts()
    times = [start_us + (index * HOUR_US // rows) // MS_US * MS_US for index in range(rows)]
    authors = [f"{chosen.randrange(AUTHORS):016x}" for _ in range(rows)]
    columns: dict[str, Any] = {
        "room": ["x"] * rows,
        "broadcast": [1] * rows,
        "epoch": [1] * rows,
        "offset": range(first_offset, first_offset + rows),
        "kind": ["message"] * rows,
        "id": [f"0192{index:028x}" for index in range(rows)],
        "program_us": times,
        "wall_us": times,
        "stamp": ["estimate"] * rows,
        "uncertainty_us": [1_000_000] * rows,
        "behind_live_us": [0] * rows,
        "author_key": authors,
        "role": ["participant"] * rows,
        "name_version": [1] * rows,
        "text": [chosen.choice(texts) for _ in range(rows)],
        "source": ["live"] * rows,
        "details": ["{}"] * rows,
    }
    arrays = [pa.array(columns.get(field.name, [None] * rows), type=field.type) for field in EVENTS]
    return pa.Table.from_arrays(arrays, schema=EVENTS)


def _list_rooms(
    store: Store,
    listed: Sequence[tuple[str, Sequence[ArchiveFile]]],
    connection: sqlite3.Connection,
    *,
    each: int,
    tail: int,
    now_us: int,
) -> None:
    for room, files in listed:
        store.catalog.put_room(connection, room, {"public": True, "title": f"Room {room}"})
        old = Broadcast(1, now_us - 3 * _DAY_US)
        old.closed_wall_us, old.closed_reason = now_us - 2 * _DAY_US, "day"
        store.catalog.put_broadcast(connection, room, old.to_record())
        store.catalog.put_broadcast(connection, room, Broadcast(2, now_us // _DAY_US * _DAY_US).to_record())
        for file in files:
            store.catalog.put_archive_file(connection, file)
            width_us = HOUR_US * _SLICE_EVENTS // max(1, file.rows)
            for index in range(max(1, file.rows // _SLICE_EVENTS)):
                start_us = (file.hour_us or 0) + index * width_us
                _put_slice(
                    store, connection, room, broadcast=1, start_us=start_us, end_us=start_us + width_us, offset=each
                )
        # The rows before the tail were appended long ago and are in the archive only.
        if each > tail:
            store.journal._known[room] = Head(1, each - tail, 0)
            connection.execute("INSERT INTO pruned VALUES (?, ?, 0)", (room, each - tail))


def _put_slice(
    store: Store, connection: sqlite3.Connection, room: str, *, broadcast: int, start_us: int, end_us: int, offset: int
) -> None:
    """A slice row, and a small file in its place."""
    body = gzip.compress(b'{"events":[]}', mtime=0)
    row = SliceRow(
        broadcast=broadcast,
        start_ms=ms_from_us(start_us),
        end_ms=ms_from_us(end_us),
        epoch=1,
        revision=1,
        events=_SLICE_EVENTS,
        messages=_SLICE_EVENTS,
        as_of_offset=offset,
        version=1,
        sha256=hashlib.sha256(body).hexdigest(),
        size_bytes=len(body),
    )
    path = store.files.slice_path(room, row, public=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    store.catalog.put_slice(connection, room, row, 1)


def _drafts(room: str, count: int, broadcast: int, start_us: int, end_us: int) -> Iterator[Draft]:
    chosen = random.Random(room)
    texts = _texts()
    for index in range(count):
        at_us = (start_us + (end_us - start_us) * index // count) // MS_US * MS_US
        key = chosen.randrange(AUTHORS)
        yield Draft(
            room=room,
            kind="message",
            id=f"{room[-5:]}-{index}",
            stamp=Stamp(stamp="estimate", broadcast=broadcast, program_us=at_us, uncertainty_us=1_000_000),
            wall_us=at_us,
            author=Author(key=f"{key:016x}", name=f"Student {key}", role="participant"),
            text=chosen.choice(texts),
        )


def _append(store: Store, room: str, count: int, now_us: int) -> None:
    append_events(store, room, count, broadcast=2, start_us=now_us - 6 * HOUR_US, end_us=now_us)


def append_events(store: Store, room: str, count: int, *, broadcast: int, start_us: int, end_us: int) -> None:
    """Append messages of a room to the journal, spread evenly over a range of program time, by the store's own code."""
    drafts = _drafts(room, count, broadcast, start_us, end_us)
    left = count

    def work(connection: sqlite3.Connection) -> None:
        for _ in range(min(left, _BATCH)):
            store.journal.append(connection, next(drafts))

    while left > 0:
        store.writer.call(work).result()
        left -= _BATCH


def _put_marks(store: Store, room: str, head: int, now_us: int, connection: sqlite3.Connection) -> None:
    """What a relay that was stopped in peace leaves behind: everything sealed."""
    start_us = now_us - 6 * HOUR_US
    _put_slice(store, connection, room, broadcast=2, start_us=start_us, end_us=now_us + SECOND_US, offset=head)
    store.catalog.put_mark(connection, room, "settled_offset", head)
    store.catalog.put_mark(connection, room, "rested_offset", head)
    store.catalog.put_mark(connection, room, "sealed_until_us.1", start_us_of(now_us) + HOURS * HOUR_US)
    store.catalog.put_mark(connection, room, "sealed_until_us.2", now_us + SECOND_US)
    if head > 0:
        connection.execute("DELETE FROM dirty_hours WHERE room = ? AND broadcast = 1", (room,))


def main() -> None:
    """Make a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rooms", type=int, default=2_000)
    parser.add_argument("--messages", type=int, default=20_000_000)
    parser.add_argument("--tail", type=int, default=250, help="messages of each room in the journal")
    parser.add_argument("--big-room", type=int, default=0, help="events in the journal of one more room")
    arguments = parser.parse_args()
    if arguments.folder.exists():
        shutil.rmtree(arguments.folder)
    figures = make_folder(
        arguments.folder,
        rooms=arguments.rooms,
        messages=arguments.messages,
        tail=arguments.tail,
        big_room=arguments.big_room,
    )
    print(json.dumps({"benchmark": "big_folder", **figures}))


if __name__ == "__main__":
    main()
