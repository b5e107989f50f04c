"""Erasing one person from a large folder: ``python -m benchmarks.erase [--messages 10000000] [--hours 500] [--quick] [--folder F]``.

One room, many broadcasts of four hours; the newest 24 hours are in the journal and archived, all before has been pruned and is in
Parquet only, as a relay leaves it. One of 5,000 people wrote every five-thousandth message, so every file holds some of theirs.
The journal's part is appended by the store's own code; the older Parquet is made by the archive's writer from columns, and listed
with its index of authors, since ten million appends would take a quarter of an hour. The erasure is ``chatsync erase`` on a
folder at rest. Afterwards every byte of the folder is looked through by this program, with files unpacked, for the person's
name and for the word that stands in each of their messages: 0 hits, or the benchmark fails. The last line is JSON.
"""

from __future__ import annotations

import gzip
import sqlite3
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import uuid_utils

from benchmarks.harness import Figures, finish, options, row
from chatsync.chat.event import Author, Draft, Stamp
from chatsync.instants import HOUR_US, MS_US, SECOND_US
from chatsync.store.catalog import ArchiveFile
from chatsync.store.erasing import erase_store
from chatsync.store.opening import Store, open_store
from chatsync.store.parquet import authors_index, authors_of, sha256_of, write_parquet
from chatsync.store.pruned import PrunedMark
from chatsync.store.schema import EVENTS, SCHEMA_VERSION

__all__ = ["main"]

ROOM = "bench"
PEOPLE = 5_000
VICTIM = 1_234
NAME = "Annabel Q. Unmistakable"
MARK = "zebrafinch"  # stands in each of their messages and in nobody else's
BASE_US = 1_764_000_000 * SECOND_US
BROADCAST_HOURS = 4
JOURNAL_HOURS = 24
TARGET_S = 60


def main() -> None:
    """Build, erase, look through; exit 1 if anything is left."""
    parser = options(__doc__, seconds=0, rounds=1)
    parser.add_argument("--messages", type=int, default=10_000_000)
    parser.add_argument("--hours", type=int, default=500)
    parser.add_argument("--folder", type=Path, help="where the data folder is made; default: the system's")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.messages, arguments.hours = 500_000, 100
    with tempfile.TemporaryDirectory(dir=arguments.folder) as parent:
        measured = partial(_measured, Path(parent) / "data", arguments.messages, arguments.hours)
        finish(measured, only_json=arguments.json)


def _measured(folder: Path, messages: int, hours: int) -> Figures:
    each = messages // hours
    old = max(hours - JOURNAL_HOURS, hours // 2)
    began_s = time.perf_counter()
    with open_store(folder) as store:
        _archive_old(store, old, each)
        _append_new(store, range(old, hours), each, 1 + old * each)
        store.archive.archive_now()
        built_s = time.perf_counter() - began_s
        key = _key(VICTIM)
        theirs = sum(1 for number in range(messages) if number % PEOPLE == VICTIM)
        before = _hits(folder)
        size_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        began_s = time.perf_counter()
        receipt = erase_store(store, ROOM, key, wall_us=BASE_US + (hours + 1) * HOUR_US)
        erased_s = time.perf_counter() - began_s
        began_s = time.perf_counter()
        hits = _hits(folder)
        looked_s = time.perf_counter() - began_s
        files = len(store.catalog.archive_files(ROOM))
    if hits or not before:
        raise RuntimeError(f"{before} files had the words before, {hits} have them still")
    what = f"erase one author from {messages:,} messages"
    note = (
        f"{theirs:,} messages of theirs in {files} files; {receipt['files_written']} written anew; the folder has "
        f"{size_bytes / 2**20:.0f} MiB, {before} files with their words before"
    )
    return {
        "benchmark": "erase",
        "messages": messages,
        "files": files,
        "theirs": theirs,
        "folder_mib": round(size_bytes / 2**20),
        "built_s": round(built_s, 1),
        "hits_before": before,
        "erased_s": round(erased_s, 1),
        "files_written": receipt["files_written"],
        "hits": hits,
        "scan_s": round(looked_s, 1),
        "rows": [
            row(what, "s", round(erased_s, 1), target=TARGET_S, better="lower", note=note),
            row(f"{what}: byte scan", "hits", hits, target=0, better="lower"),
        ],
    }


def _key(person: int) -> str:
    return f"{person:016x}"


def _broadcast(hour: int) -> int:
    return 1 + hour // BROADCAST_HOURS


def _text(number: int) -> str:
    if number % PEOPLE == VICTIM:
        return f"I, the {MARK}, say {number}"
    return f"why is the slope negative left of zero? {number}"


def _archive_old(store: Store, hours: int, each: int) -> None:
    """Hours that are in the archive alone."""
    files = []
    for hour in range(hours):
        first = 1 + hour * each
        table = _table(first, each, hour)
        hour_us = BASE_US + hour * HOUR_US
        path = store.files.hour_path("events", ROOM, _broadcast(hour), hour_us, 1)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_parquet(table, path)
        file = ArchiveFile(
            path=store.files.relative(path),
            tree="events",
            room=ROOM,
            broadcast=_broadcast(hour),
            hour_us=hour_us,
            generation=1,
            rows=each,
            start_us=hour_us,
            end_us=hour_us + (each - 1) * (HOUR_US // each),
            sha256=sha256_of(path),
            size_bytes=path.stat().st_size,
            schema_version=SCHEMA_VERSION,
            first_offset=first,
            last_offset=first + each - 1,
            last_wall_us=hour_us + HOUR_US,
            pruned=True,
        )
        files.append((file, authors_index(authors_of(table))))

    def work(connection: sqlite3.Connection) -> None:
        for file, authors in files:
            store.catalog.put_archive_file(connection, file, authors)
        store.journal.pruned.put(connection, ROOM, PrunedMark(hours * each, 0))
        # The journal goes on after what it has given away.
        connection.execute("INSERT INTO epochs VALUES (?, 2, ?, 'benchmark')", (ROOM, hours * each + 1))

    store.writer.call(work).result()


def _table(first: int, count: int, hour: int) -> pa.Table:
    numbers = range(first - 1, first - 1 + count)
    step_us = HOUR_US // count // 1_000 * 1_000
    hour_us = BASE_US + hour * HOUR_US
    times = pa.array([hour_us + index * step_us for index in range(count)], EVENTS.field("program_us").type)
    values: dict[str, Any] = {
        "broadcast": pa.array([_broadcast(hour)] * count, pa.int32()),
        "epoch": pa.array([1] * count, pa.int64()),
        "offset": pa.array(range(first, first + count), pa.int64()),
        "id": pa.array([str(uuid_utils.uuid7()) for _ in range(count)]),
        "program_us": times,
        "wall_us": times,
        "uncertainty_us": pa.array([40_000] * count, pa.int64()),
        "behind_live_us": pa.array([0] * count, pa.int64()),
        "name_version": pa.array([1] * count, pa.int32()),
        "text": pa.array([_text(number) for number in numbers]),
        "details": pa.array(["{}"] * count),
    }
    few = {"room": ROOM, "kind": "message", "stamp": "playhead", "role": "participant", "source": "live"}
    values |= {name: pa.array([value] * count).dictionary_encode() for name, value in few.items()}
    values["author_key"] = pa.array([_key(number % PEOPLE) for number in numbers]).dictionary_encode()
    arrays = [values[name] if name in values else pa.nulls(count, EVENTS.field(name).type) for name in EVENTS.names]
    return pa.Table.from_arrays(arrays, schema=EVENTS)


def _append_new(store: Store, hours: range, each: int, first: int) -> None:
    """Hours that are in the journal, by the store's own appending, and names of everybody."""
    step_us = HOUR_US // each // 1_000 * 1_000
    number = first - 1
    for hour in hours:
        futures = []
        for index in range(each):
            now_us = BASE_US + hour * HOUR_US + index * step_us
            person = number % PEOPLE
            draft = Draft(
                room=ROOM,
                kind="message",
                id=str(uuid_utils.uuid7()),
                stamp=Stamp(stamp="playhead", broadcast=_broadcast(hour), program_us=now_us, uncertainty_us=40 * MS_US),
                wall_us=now_us,
                author=Author(_key(person), NAME if person == VICTIM else f"Person {person}"),
                text=_text(number),
            )
            futures.append(store.writer.call(partial(store.journal.append, draft=draft)))
            number += 1
        for future in futures:
            future.result()


def _hits(folder: Path) -> int:
    """How many files hold the name or the word, packed or not."""
    needles, hits = (NAME.encode(), MARK.encode()), 0
    for path in (path for path in folder.rglob("*") if path.is_file() and path.stat().st_size):
        if path.suffix == ".parquet":
            table = pq.read_table(path, columns=["text", "details"], partitioning=None)
            hits += any(
                pc.any(pc.match_substring(table.column(column), word)).as_py()
                for column in ("text", "details")
                for word in (NAME, MARK)
            )
        body = path.read_bytes()
        if path.suffix == ".gz":
            body += gzip.decompress(body)
        hits += any(needle in body for needle in needles)
    return hits


if __name__ == "__main__":
    main()
