"""The catalog's lists of slices and archived files, made again from the files and manifests.

Owns: what a file says of itself. Does not know: when that is needed (``store.repairing``). Runs in the writer's thread.
Source: reliability G8; decision 0019.

An archived file is believed if its SHA-256 is the one that the manifest, or what is left of the list, has for it. A slice says of
itself what it is, and gzip has a checksum of its bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from chatsync.chat.event import MESSAGE_KINDS
from chatsync.instants import HOUR_US
from chatsync.store import sums
from chatsync.store.catalog import ArchiveFile, SliceRow
from chatsync.store.opening import Store
from chatsync.store.parquet import authors_index, authors_of, sha256_of

__all__ = ["Relisted", "relist_archive", "relist_slices"]


class Relisted(msgspec.Struct):
    """What was listed anew.

    Attributes:
        files: how many.
        believed: files that read well, and whose SHA-256 nothing has.
        unread: files that went to the quarantine.
    """

    files: int = 0
    believed: list[str] = msgspec.field(default_factory=list)
    unread: list[str] = msgspec.field(default_factory=list)


def relist_archive(connection: sqlite3.Connection, *, store: Store) -> Relisted:
    """List the archived files anew: of each hour the generation that is proven, else the newest that reads well."""
    proven = {(path, sha256) for path, sha256 in connection.execute("SELECT path, sha256 FROM archive_files")}
    for manifest in store.files.archive.glob("manifest/*.json"):
        try:
            listed = json.loads(manifest.read_bytes())["files"]
            proven |= {(one["path"], one["sha256"]) for one in listed}
        except (OSError, ValueError, KeyError, TypeError):
            continue
    connection.execute("DELETE FROM archive_files")
    connection.execute("DELETE FROM archive_authors")
    found = Relisted()
    there = {store.files.relative(path): path for path in store.files.archive.glob("*/room=*/broadcast=*/*.parquet")}
    whole = {name for name, path in there.items() if (name, sha256_of(path)) in proven}
    hours = {name.rpartition(".g")[0] for name in whole}
    for name, path in sorted(there.items(), key=lambda one: (one[1].stat().st_mtime_ns, one[0])):
        if name not in whole and name.rpartition(".g")[0] in hours:
            continue  # another generation of it is proven
        try:
            file, authors = _described(connection, path, name)
        except (pa.ArrowException, OSError, ValueError, KeyError):
            store.files.quarantine(path, "it is listed nowhere, and cannot be read")
            found.unread.append(name)
            continue
        store.catalog.put_archive_file(connection, file, authors)
        found.files += 1
        if name not in whole:
            found.believed.append(name)
    sums.count_again(connection, "archive_files")
    sums.count_again(connection, "archive_authors")
    return found


def _described(connection: sqlite3.Connection, path: Path, name: str) -> tuple[ArchiveFile, bytes]:
    _, tree, room, broadcast, _ = name.split("/")
    start, generation = path.name.removesuffix(".parquet").rsplit(".g", 1)
    table = pq.read_table(path, partitioning=None, use_threads=False, page_checksum_verification=True)
    hour_us = None if start == "all" else int(start) * 1000
    given: dict[str, Any] = {}
    authors = b""
    if hour_us is not None and table.num_rows:
        ranges = {
            column: pc.min_max(table.column(column).cast(pa.int64())).as_py()
            for column in ("program_us", "offset", "wall_us")
        }
        last_hour_us = ranges["program_us"]["max"] // HOUR_US * HOUR_US
        offsets = table.column("offset").to_pylist()
        given = {
            "start_us": ranges["program_us"]["min"],
            "end_us": ranges["program_us"]["max"],
            "end_hour_us": last_hour_us + HOUR_US if last_hour_us > hour_us else None,
            "first_offset": ranges["offset"]["min"],
            "last_offset": ranges["offset"]["max"],
            "last_wall_us": ranges["wall_us"]["max"],
            "pruned": tree == "events" and not _are_here(connection, room.removeprefix("room="), offsets),
        }
        authors = authors_index(authors_of(table))
    file = ArchiveFile(
        path=name,
        tree=tree,
        room=room.removeprefix("room="),
        broadcast=int(broadcast.removeprefix("broadcast=")),
        hour_us=hour_us,
        generation=int(generation),
        rows=table.num_rows,
        sha256=sha256_of(path),
        size_bytes=path.stat().st_size,
        schema_version=int(table.schema.metadata[b"chatsync.schema_version"]),
        **{"start_us": None, "end_us": None, **given},
    )
    return file, authors


def _are_here(connection: sqlite3.Connection, room: str, offsets: list[int]) -> bool:
    """Whether all of these rows are in the journal."""
    found = connection.execute(
        "SELECT count(*) FROM journal WHERE room = ? AND offset IN (SELECT value FROM json_each(?))",
        (room, json.dumps(offsets)),
    ).fetchone()
    return bool(found[0] == len(offsets))


def relist_slices(connection: sqlite3.Connection, *, store: Store) -> int:
    """List the newest revision of each slice that lies there; how many."""
    connection.execute("DELETE FROM slices")
    newest: dict[tuple[str, int, int], tuple[int, SliceRow]] = {}
    for path in sorted((store.files.root / "slices").glob("*/*/*/*.json.gz")):
        packed = path.read_bytes()
        try:
            body = msgspec.json.decode(gzip.decompress(packed))
            row = SliceRow(
                broadcast=body["broadcast"],
                start_ms=body["start_ms"],
                end_ms=body["end_ms"],
                epoch=int(body["epoch"]),
                revision=body["revision"],
                events=len(body["events"]),
                messages=sum(event["kind"] in MESSAGE_KINDS for event in body["events"]),
                as_of_offset=body["as_of"]["offset"],
                version=0,
                sha256=hashlib.sha256(packed).hexdigest(),
                size_bytes=len(packed),
            )
        except (OSError, EOFError, KeyError, TypeError, ValueError, msgspec.DecodeError):
            continue
        key = (path.parent.parent.name, row.broadcast, row.start_ms)
        if key not in newest or newest[key][0] < row.revision:
            newest[key] = (row.revision, row)
    for (room, broadcast, _), (_, row) in sorted(newest.items(), key=lambda one: one[0]):
        version = 1 + (store.catalog.mark(room, f"version.{broadcast}") or 0)
        store.catalog.put_slice(connection, room, msgspec.structs.replace(row, version=version), version)
    sums.count_again(connection, "slices")
    return len(newest)
