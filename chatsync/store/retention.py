"""What is past its time: whole broadcasts of which everything is older than their room keeps it, and how they go.

Owns: which are due, whether the clock may be believed, the order in which all of a broadcast goes. Does not know: settings,
rooms that are served (the service takes a broadcast out of memory), when. Units: µs of wall time.
Source: security-and-privacy §8; decision 0023.

In order: one transaction says that the broadcast is being deleted and takes its files off the list; a room that is served
forgets it; the manifest follows, then slices and rows go, a few at a time, then names of people of whom nothing is left, then
the files; last the logs of the databases are emptied. The row in ``deletions`` stays. A crash leaves a deletion that is not done:
:func:`take_out` takes it up.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from chatsync.instants import DAY_US
from chatsync.store.audit import AuditRecord
from chatsync.store.changed_hours import finals_mark
from chatsync.store.files import sync_folder
from chatsync.store.opening import Store
from chatsync.store.recovering import head_of
from chatsync.store.writer import opened, store_error

__all__ = [
    "CLOCK_LEAP_US",
    "Deletion",
    "Due",
    "KeepUs",
    "begin_deletion",
    "clock_doubt_us",
    "due_broadcasts",
    "expire_store",
    "last_wall_us",
    "note_done",
    "take_out",
    "unfinished_deletions",
]

KeepUs = Callable[[str], int | None]
"""How long a room keeps what was said in it, µs; None: forever."""
Deletion = tuple[str, int, int, dict[str, Any]]
"""Room, when it began (µs of wall time), broadcast, and what is told of it."""
Progress = Callable[[str, int, int], None]

CLOCK_LEAP_US = (
    7 * DAY_US
)  # a clock that went on by more since it was last looked at has to be lived with for a day first
_ROWS_AT_ONCE = 200  # ~8 ms of the writer: acks wait no longer than that
_OF_BROADCAST = {
    "slices": "room, broadcast, start_ms",
    "gaps": "room, broadcast, start_us",
    "viewers": "room, broadcast, minute_us",
    "segments": "room, run, media_sequence",
    "observations": "room, wall_us",
    "imported": "room, id",
}
"""What is deleted with a broadcast, by primary key."""
_SEEN, _TRUSTED_FROM = "clock_seen_us", "clock_trusted_from_us"


@dataclass(frozen=True, slots=True)
class Due:
    """A broadcast that is past its time.

    Attributes:
        through: offset of its newest event in the journal when it was looked at; 0 if there is none.
        is_latest: whether it is the last the room had: its number must not be given again.
    """

    room: str
    broadcast: int
    through: int
    last_wall_us: int
    is_latest: bool


# --- the clock -------------------------------------------------------------------------------------------------------


def clock_doubt_us(store: Store, wall_us: int) -> int | None:
    """Look at the clock; from which wall time on it may be believed, None if it may now.

    A clock that was set a year ahead makes everything past its time. So a clock that has leapt since this folder last saw it,
    forward by a week or back by a day, or that it sees for the first time, is believed a day later, if it goes on as it should.

    Args:
        store: the data folder; what was seen is remembered in it.
        wall_us: the system's wall time.

    Raises:
        StoreError: it cannot be remembered.
    """
    seen_us, trusted_us = store.catalog.mark("", _SEEN), store.catalog.mark("", _TRUSTED_FROM)
    if seen_us is None or not seen_us - DAY_US <= wall_us <= seen_us + CLOCK_LEAP_US:
        trusted_us = wall_us + DAY_US

    def work(connection: sqlite3.Connection) -> None:
        store.catalog.put_mark(connection, "", _SEEN, wall_us)
        if trusted_us is not None:
            store.catalog.put_mark(connection, "", _TRUSTED_FROM, trusted_us)

    store.writer.call(work).result()
    return trusted_us if trusted_us is not None and wall_us < trusted_us else None


# --- what is due -----------------------------------------------------------------------------------------------------


def due_broadcasts(store: Store, keep: KeepUs, *, wall_us: int, room: str | None = None) -> list[Due]:
    """Broadcasts that are past their time, by room and in their order.

    One is due when it and all before it are over and nothing of it is younger than its room keeps: no event, no reload, no
    opening or closing. One that never closed (its room is served no more) is due like that too. Reads only.

    Raises:
        CorruptError: what is known of a broadcast is damaged.
        StoreError: it cannot be read.
    """
    found: list[Due] = []
    for one in _rooms(store) if room is None else [room]:
        keep_us = keep(one)
        if keep_us is not None:
            found += _due_of(store, one, wall_us - keep_us)
    return found


def _rooms(store: Store) -> list[str]:
    rows = store.journal.read(
        "SELECT room FROM broadcasts UNION SELECT room FROM archive_files UNION SELECT room FROM hours"
    )
    return [room for (room,) in rows]


def _due_of(store: Store, room: str, before_us: int) -> Iterator[Due]:
    numbers = [
        number
        for (number,) in store.journal.read(
            "SELECT broadcast FROM broadcasts WHERE room = ? UNION "
            "SELECT broadcast FROM hours WHERE room = ? AND rows != 0 UNION "
            "SELECT broadcast FROM archive_files WHERE room = ? ORDER BY 1",
            (room,) * 3,
        )
    ]
    for number in numbers:
        if _quick_wall_us(store, room, number) >= before_us:
            return
        last_us = last_wall_us(store, room, number)
        if last_us is None or last_us >= before_us:
            return
        is_latest = number == numbers[-1]
        if is_latest and not _has_anything(store, room, number):
            return
        ((through,),) = store.journal.read(
            "SELECT coalesce(max(offset), 0) FROM journal INDEXED BY journal_placed WHERE room = ? AND broadcast = ?",
            (room, number),
        )
        yield Due(room, number, through, last_us, is_latest)


def _quick_wall_us(store: Store, room: str, broadcast: int) -> int:
    """When it closed, or opened, as its record says: most are not due, and this alone says so."""
    rows = store.journal.read(
        "SELECT coalesce(json_extract(record, '$.closed_wall_us'), json_extract(record, '$.opened_wall_us'), 0) "
        "FROM broadcasts WHERE room = ? AND broadcast = ?",
        (room, broadcast),
    )
    return int(rows[0][0]) if rows else 0


def last_wall_us(store: Store, room: str, broadcast: int) -> int | None:
    """When anything last happened in a broadcast: an event, a reload, its opening or end; None if nothing tells.

    Raises:
        CorruptError: what is known of it is damaged.
    """
    records = [one for one in store.catalog.broadcast_records(room, last=-1) if one["number"] == broadcast]
    walls_us = [one.get(name) for one in records for name in ("opened_wall_us", "advanced_wall_us", "closed_wall_us")]
    files = [*store.catalog.archive_files(room, broadcast, tree=None)]
    walls_us += [file.last_wall_us for file in files]
    for table in ("journal INDEXED BY journal_placed", "observations"):
        walls_us += store.journal.read(
            f"SELECT max(wall_us) FROM {table} WHERE room = ? AND broadcast = ?", (room, broadcast)
        )[0]
    return max((wall_us for wall_us in walls_us if wall_us is not None), default=None)


def _has_anything(store: Store, room: str, broadcast: int) -> bool:
    """Whether there is more of a broadcast than its record."""
    tables = ("archive_files", "slices", "segments", "observations", "gaps", "viewers")
    found = " UNION ALL ".join(
        f"SELECT * FROM (SELECT 1 FROM {one} WHERE room = ? AND broadcast = ? LIMIT 1)" for one in tables
    )
    hours = "UNION ALL SELECT * FROM (SELECT 1 FROM hours WHERE room = ? AND broadcast = ? AND rows != 0 LIMIT 1)"
    return bool(store.journal.read(f"{found} {hours}", (room, broadcast) * 7))


# --- deleting --------------------------------------------------------------------------------------------------------


def begin_deletion(store: Store, due: Due, *, wall_us: int) -> bool:
    """Say durably that a broadcast goes, and take its archived files off the list; False if somebody has spoken in it since.

    From here on it is finished whatever happens, also when the room's retention is changed.

    Raises:
        StoreError: nothing was changed.
    """
    catalog, room, broadcast = store.catalog, due.room, due.broadcast
    slices = catalog.slices(room, broadcast)[0]
    files = catalog.archive_files(room, broadcast, tree=None)

    def work(connection: sqlite3.Connection) -> bool:
        ((newest,),) = connection.execute(
            "SELECT coalesce(max(offset), 0) FROM journal INDEXED BY journal_placed WHERE room = ? AND broadcast = ?",
            (room, broadcast),
        ).fetchall()
        if newest != due.through:
            return False
        record = {
            "through": due.through,
            "as_of": head_of(connection, room).offset,
            "last_wall_us": due.last_wall_us,
            "messages": sum(row.messages for row in slices),
            "slices": len(slices),
            "files": len(files),
            "archived_rows": sum(file.rows for file in files if file.tree in {"events", "staff"}),
            "done_wall_us": None,
        }
        catalog.put_deletion(connection, room, wall_us, broadcast, record)
        _unlist_files(connection, room, broadcast)
        catalog.drop_mark(connection, room, f"version.{broadcast}")
        words = f"broadcast:{broadcast}"
        deed = AuditRecord(wall_us=wall_us, room=room, actor="system", role="system", action="expired", before=words)
        store.journal.audit.note(connection, deed)
        return True

    with store.archive.lock:
        return bool(store.writer.call(work).result())


def unfinished_deletions(store: Store) -> list[Deletion]:
    """Deletions that have begun and are not done, as (room, when it began, broadcast, record)."""
    return [one for one in store.catalog.deletions() if one[3]["done_wall_us"] is None]


def take_out(store: Store, room: str, began_us: int, broadcast: int, record: dict[str, Any]) -> Deletion:
    """Take everything of a broadcast out that :func:`begin_deletion` has announced; the deletion, with what went.

    May be called again after a crash at any point. Then comes :func:`note_done`.

    Args:
        store: the data folder. A room that is served has forgotten the broadcast by now.
        room: as of the deletion.
        began_us: as of the deletion.
        broadcast: as of the deletion.
        record: as of the deletion.

    Raises:
        StoreError: it could not be finished; the next call does it.

    Cost: about 40 µs a row of the journal, in pieces of some ms of the writer.
    """
    journal, writer, through = store.journal, store.writer, int(record["through"])
    try:
        with store.archive.lock:
            store.archive.write_manifest(room)
    except OSError as error:
        raise store_error(error, store.files.root) from error
    drop = partial(_drop_rows, room=room, broadcast=broadcast, as_of=int(record["as_of"]))
    while writer.call(drop).result():
        continue
    take = partial(journal.take_out, room=room, broadcast=broadcast, through=through, limit=_ROWS_AT_ONCE)
    events = 0
    while count := writer.call(take).result():
        events += count
    authors = partial(journal.drop_authors, room=room, broadcast=broadcast, limit=_ROWS_AT_ONCE)
    names = 0
    if not journal.read("SELECT 1 FROM journal WHERE room = ? AND broadcast = ? LIMIT 1", (room, broadcast)):
        while (looked := writer.call(authors).result())[0]:
            names += looked[1]
        names += writer.call(partial(journal.drop_erased, room=room, through=through)).result()
    writer.call(partial(_drop_maps, store=store, room=room, broadcast=broadcast)).result()
    try:
        _remove_files(store, room, broadcast)
    except OSError as error:
        raise store_error(error, store.files.root) from error
    counts = {"events": record.get("events", 0) + events, "names": record.get("names", 0) + names}
    return room, began_us, broadcast, record | counts


def _unlist_files(connection: sqlite3.Connection, room: str, broadcast: int) -> None:
    """In the writer's thread: no archived file of a broadcast is part of the archive any more, and none is to be written."""
    key = (room, broadcast)
    of_it = "SELECT path FROM archive_files WHERE room = ? AND broadcast = ?"
    connection.execute(f"DELETE FROM archive_authors WHERE path IN ({of_it})", key)
    connection.execute(f"DELETE FROM sums WHERE name = 'archive_authors' AND rows = 0 AND key IN ({of_it})", key)
    connection.execute("DELETE FROM archive_files WHERE room = ? AND broadcast = ?", key)
    connection.execute("DELETE FROM dirty_hours WHERE room = ? AND broadcast = ?", key)


def _drop_rows(connection: sqlite3.Connection, *, room: str, broadcast: int, as_of: int) -> int:
    """In the writer's thread: delete some rows of the timeline, of slices and viewers; how many. Until there are none.

    Slices made as of an offset past ``as_of`` stay: somebody has spoken since.
    """
    count = 0
    for table, key in _OF_BROADCAST.items():
        newer = "AND as_of_offset <= ?" if table == "slices" else ""
        values = (room, broadcast, *((as_of,) if newer else ()), max(0, _ROWS_AT_ONCE - count))
        cursor = connection.execute(
            f"DELETE FROM {table} WHERE ({key}) IN "
            f"(SELECT {key} FROM {table} WHERE room = ? AND broadcast = ? {newer} LIMIT ?)",
            values,
        )
        count += cursor.rowcount
    if count == 0:
        connection.execute("DELETE FROM sums WHERE key = ? AND part = ? AND rows = 0", (room, broadcast))
    return count


def _drop_maps(connection: sqlite3.Connection, *, store: Store, room: str, broadcast: int) -> None:
    """In the writer's thread: recordings show nothing of it any more, and those of nothing else go."""
    catalog = store.catalog
    for name, recording in catalog.recordings(room).items():
        spans = [span for span in recording["spans"] if span["broadcast"] != broadcast]
        if not spans:
            catalog.remove_recording(connection, room, name)
        elif len(spans) < len(recording["spans"]):
            catalog.put_recording(connection, room, name, recording | {"spans": spans})
    newer = "SELECT 1 FROM broadcasts WHERE room = ? AND broadcast > ? LIMIT 1"
    if connection.execute(newer, (room, broadcast)).fetchone():
        connection.execute("DELETE FROM broadcasts WHERE room = ? AND broadcast = ?", (room, broadcast))
        catalog.drop_mark(connection, room, f"sealed_until_us.{broadcast}")
        catalog.drop_mark(connection, room, finals_mark(broadcast))


def note_done(store: Store, taken: Sequence[Deletion], *, wall_us: int) -> bool:
    """Empty the write-ahead logs, which may still hold what was taken out; then the deletions are done.

    Returns:
        Whether they are; False while somebody reads from before: then they stay on the list.

    Raises:
        StoreError: they stay on the list.
    """
    if not taken:
        return True
    if not _empty_logs(store):
        return False

    def work(connection: sqlite3.Connection) -> None:
        for room, began_us, broadcast, record in taken:
            store.catalog.put_deletion(connection, room, began_us, broadcast, record | {"done_wall_us": wall_us})

    store.writer.call(work).result()
    return True


def _remove_files(store: Store, room: str, broadcast: int) -> None:
    """Remove every file of a broadcast that the catalog does not name: Parquet, slices, and what was put into quarantine."""
    files, catalog = store.files, store.catalog
    named = {file.path for file in catalog.archive_files(room, broadcast, tree=None)}
    with store.archive.lock:
        for folder in files.archive.glob(f"*/room={room}/broadcast={broadcast}"):
            _clear(folder, lambda path: files.relative(path) not in named)
    rows = catalog.slices(room, broadcast)[0]
    for public in (True, False):
        kept = {files.slice_path(room, row, public=public).name for row in rows}
        folder = files.root / "slices" / ("public" if public else "private") / room / str(broadcast)
        if folder.is_dir():
            _clear(folder, lambda path, kept=kept: path.name not in kept)  # type: ignore[misc]
    lay = tuple(f"slices/{tree}/{room}/{broadcast}/" for tree in ("public", "private"))
    for note in files.quarantined.glob("*.note.json"):
        path = str(json.loads(note.read_bytes()).get("path", ""))
        if (
            path.startswith(lay)
            or path.endswith(".db")
            or (path.startswith("archive/") and f"/room={room}/broadcast={broadcast}/" in path)
        ):
            note.with_name(note.name.removesuffix(".note.json")).unlink(missing_ok=True)
            note.unlink(missing_ok=True)
            sync_folder(files.quarantined)


def _clear(folder: Path, is_gone: Callable[[Path], bool]) -> None:
    """Remove what is gone from a folder, and the folder if nothing is left."""
    for path in folder.iterdir():
        if is_gone(path):
            path.unlink(missing_ok=True)
    if any(folder.iterdir()):
        sync_folder(folder)
    else:
        folder.rmdir()
        sync_folder(folder.parent)


def _empty_logs(store: Store) -> bool:
    """Move what the write-ahead logs hold into the databases, where what was deleted is zeros, and cut them; whether all are."""
    files = store.files
    is_empty = True
    try:
        for path in (files.identity, files.moderation, files.database):
            with closing(opened(path)) as connection:
                ((is_busy, _, _),) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            is_empty = is_empty and not is_busy
    except (sqlite3.Error, OSError) as error:
        raise store_error(error, files.root) from error
    return is_empty


def expire_store(
    store: Store, keep: KeepUs, *, wall_us: int, room: str | None = None, progress: Progress | None = None
) -> list[dict[str, Any]]:
    """Delete what is past its time in a folder at rest; a record for each broadcast that went.

    Args:
        store: opened, served by nobody. Whether the clock may be believed has been asked before.
        keep: how long each room keeps.
        wall_us: the system's wall time now.
        room: only this room; deletions that were interrupted are finished in any case.
        progress: told (what, done, of how many).

    Raises:
        CorruptError: what is known of a broadcast is damaged.
        StoreError: it could not be written; run it again.
    """
    for due in due_broadcasts(store, keep, wall_us=wall_us, room=room):
        begin_deletion(store, due, wall_us=wall_us)
    pending = unfinished_deletions(store)
    taken = []
    for done, one in enumerate(pending, start=1):
        taken.append(take_out(store, *one))
        if progress is not None:
            progress(f"broadcast {one[2]} of {one[0]}", done, len(pending))
    note_done(store, taken, wall_us=wall_us)
    return [{"room": one, "broadcast": broadcast, **record} for one, _, broadcast, record in taken]
