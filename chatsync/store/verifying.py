"""Everything in a data folder, read and compared with its checksums.

Owns: what ``chatsync verify`` looks at, and in which order. Does not know: the command line, mending.
Source: reliability G8; decision 0018.

Nothing is changed. One thing that is damaged does not hide the others: each check is on its own, and what cannot even be asked
counts as damage.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from chatsync.errors import ChatsyncError, CorruptError
from chatsync.store.audit import (
    Fault,
    audited_after,
    checkpoints,
    first_fault_of,
    newest_of,
    wrong_checkpoint,
)
from chatsync.store.catalog import SliceRow
from chatsync.store.condition import opened_as_found
from chatsync.store.heads import AUDIT, Heads
from chatsync.store.opening import Store, open_store
from chatsync.store.recovering import read_error
from chatsync.store.rows import text_check
from chatsync.store.slicing import intact_slice
from chatsync.store.writer import opened

__all__ = [
    "Progress",
    "audited_through",
    "listed_slices",
    "verify_audit",
    "verify_folder",
    "verify_store",
    "wrong_manifests",
]

_SHAPE = re.compile(r"archive/[a-z]+/room=[a-z0-9_-]+/broadcast=\d+/(all|-?\d+)\.g\d+\.parquet")

_AUDITED_AT_ONCE = 2_000

T = TypeVar("T")
Progress = Callable[[str, int, int], None]

_LOST_IDS = (
    "SELECT d.room, d.offset FROM dedupe AS d LEFT JOIN journal AS j ON j.room = d.room AND j.offset = d.offset "
    "WHERE j.offset IS NOT NULL AND (j.id != d.id OR coalesce(j.author_key, '') != d.author_key) "
    "UNION ALL SELECT d.room, d.offset FROM dedupe AS d WHERE d.offset < 1 OR d.received_us < 0 "
    "ORDER BY 1, 2 LIMIT 20"
)
"""Ids that point at a row with another id."""


def verify_store(store: Store, progress: Progress | None = None) -> dict[str, Any]:
    """Check journal, catalog, names, hidden texts, slices, archived files and manifests.

    Returns:
        Counts, a line for everything ``damaged``, and what is known to be ``lost`` for good.
    """
    damaged = list(store.journal.open_report)
    rows, slices = 0, 0

    def check(work: Callable[[], Iterable[CorruptError | str]]) -> None:
        try:
            damaged.extend(map(str, work()))
        except ChatsyncError as error:
            damaged.append(str(error))
        except (sqlite3.Error, OSError) as error:
            damaged.append(str(read_error(error)))

    for name in ("chatsync.db", "identity.db", "moderation.db"):
        _tell(progress, name, 1, 1)
        check(partial(_malformed, store, name))
    check(store.catalog.wrong)
    check(store.journal.wrong)
    check(store.journal.check_indexes)
    check(partial(_wrong_ids, store))
    check(partial(_wrong_texts, store))
    check(partial(Heads.damaged, store.files.heads))
    rooms: list[str] = []
    check(lambda: _into(rooms, store.journal.rooms()))
    for done, room in enumerate(rooms, start=1):
        try:
            rows += store.journal.verify(room)
        except ChatsyncError as error:
            damaged.append(str(error))
        _tell(progress, f"journal of {room}", done, len(rooms))
    found: list[tuple[str, SliceRow]] = []
    check(lambda: _into(found, listed_slices(store)))
    for done, (room, row) in enumerate(found, start=1):
        slices += 1
        check(partial(_wrong_slice, store, room, row))
        _tell(progress, f"slices of {room}", done, len(found))
    files: list[Any] = []
    check(lambda: store.archive.verify(progress=progress))
    check(lambda: _into(files, store.catalog.archive_files(tree=None)))
    check(partial(wrong_manifests, store))
    lost = [
        {
            "room": one.room,
            "first_offset": one.first,
            "last_offset": one.last,
            "broadcast": one.broadcast,
            "start_us": one.within.start_us,
            "end_us": one.within.end_us,
        }
        for one in store.journal.lost.ranges()
    ]
    return {
        "rows": rows,
        "slices": slices,
        "files": len(files),
        "damaged": list(dict.fromkeys(damaged)),
        "lost": lost,
    }


def verify_folder(folder: Path, progress: Progress | None = None) -> dict[str, Any]:
    """As :func:`verify_store` for a folder that is not open; one that cannot be opened is damaged.

    Raises:
        FolderLockedError: a relay or another command uses it.
    """
    try:
        with open_store(folder) as store:
            return verify_store(store, progress)
    except CorruptError as error:
        return {"rows": 0, "slices": 0, "files": 0, "damaged": [str(error)], "lost": []}


def verify_audit(folder: Path, taken: Sequence[dict[str, Any]] = (), key: str | None = None) -> dict[str, Any]:
    """Compare the audit log of a folder, served or at rest, with its hashes, with ``heads`` and with checkpoints.

    Args:
        folder: a data folder. Nothing is changed.
        taken: checkpoints that were kept elsewhere.
        key: the public key that those must be signed with; None: any.

    Returns:
        How many ``records`` and ``checkpoints`` there are, the ``newest`` record, and the first ``fault``, None if there is none.

    Raises:
        CorruptError: the database is none any more.
        StorageFailedError: it cannot be read.
    """
    found: dict[str, Any] = {"records": 0, "checkpoints": 0, "newest": None, "fault": None}
    fault: Fault | None = None
    for document in taken:
        why = wrong_checkpoint(document, key)
        if fault is None and why is not None:
            number = document.get("number")
            fault = Fault(number if isinstance(number, int) else 0, f"the checkpoint from elsewhere: {why}")
    told = Heads.read(folder / "heads").get(AUDIT)  # before the log: a relay may be adding to it
    try:
        with closing(opened_as_found(folder / "chatsync.db")) as connection:

            def read(sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
                return connection.execute(sql, values).fetchall()

            if not read("SELECT 1 FROM sqlite_schema WHERE name = 'audit'", ()):
                return found
            newest = newest_of(read)
            found["checkpoints"] = len(checkpoints(read))
            fault = fault or first_fault_of(read, told, taken)
            ((found["records"],),) = read("SELECT count(*) FROM audit", ())
    except (sqlite3.Error, OSError, ValueError, TypeError) as error:
        raise read_error(error) from error
    if newest.number:
        found["newest"] = {"number": newest.number, "hash": newest.hash.hex()}
    if fault is not None:
        found["fault"] = {"number": fault.number, "what": fault.what}
    return found


def audited_through(folder: Path, number: int) -> Iterator[dict[str, Any]]:
    """The records of a folder's audit log up to a number, as JSON values.

    Raises:
        CorruptError: the database is none any more.
        StorageFailedError: it cannot be read.
    """
    try:
        with closing(opened_as_found(folder / "chatsync.db")) as connection:
            last = 0
            while entries := audited_after(
                lambda sql, values: connection.execute(sql, values).fetchall(),
                last,
                _AUDITED_AT_ONCE,
                where="number <= ?",
                values=[number],
            ):
                yield from (entry.to_wire() for entry in entries)
                last = entries[-1].number
    except (sqlite3.Error, OSError, ValueError, TypeError) as error:
        raise read_error(error) from error


def _tell(progress: Progress | None, what: str, done: int, count: int) -> None:
    if progress is not None:
        progress(what, done, count)


def _into(found: list[T], items: Iterable[T]) -> tuple[()]:
    """Keep what a check needs later; nothing is damaged so far."""
    found.extend(items)
    return ()


def _malformed(store: Store, name: str) -> list[str]:
    """What SQLite itself finds wrong: free pages, and structure that no read of ours would touch."""
    connection = opened(store.files.root / name, read_only=True)
    try:
        rows = [str(text) for (text,) in connection.execute("PRAGMA integrity_check(20)")]
    finally:
        connection.close()
    return [f"{name} is damaged: {line.splitlines()[-1][:200]}." for line in rows if line != "ok"]


def _wrong_ids(store: Store) -> list[CorruptError]:
    rows = store.journal.read(_LOST_IDS)
    return [CorruptError("dedupe", f"an id of room {room} is not that of row {offset}") for room, offset in rows]


def _wrong_texts(store: Store) -> list[CorruptError]:
    """Hidden texts that are not what their message said, so that a restore could not bring it back."""
    found = []
    for room, offset, *words in store.journal.hidden_texts():
        told = store.journal.read("SELECT text_check FROM journal WHERE room = ? AND offset = ?", (room, offset))
        if told and told[0][0] != text_check(*words):
            found.append(CorruptError("moderation.db", f"the text of row {offset} of room {room} is not what was said"))
    return found


def listed_slices(store: Store) -> Iterator[tuple[str, SliceRow]]:
    """Every slice that the catalog lists, with its room.

    Raises:
        CorruptError: a list is damaged.
    """
    pairs = store.journal.read("SELECT DISTINCT key, part FROM sums WHERE name = 'slices' AND rows > 0 ORDER BY 1, 2")
    for room, broadcast in pairs:
        for row in store.catalog.slices(room, broadcast)[0]:
            yield room, row


def wrong_manifests(store: Store) -> list[CorruptError]:
    """Manifests that contradict the catalog. One that was not written yet when the power went is old, which is no damage.

    Raises:
        CorruptError: the catalog is damaged.
    """
    listed: dict[str, dict[str, Any]] = {}
    for file in store.catalog.archive_files(tree=None):
        listed.setdefault(file.room, {})[file.path] = file
    found = []
    for room in sorted(listed):
        path = store.files.manifest_path(room)
        name = store.files.relative(path)
        try:
            body = path.read_bytes()
        except FileNotFoundError:
            found.append(CorruptError(name, "the file is missing"))
            continue
        if body != store.archive.manifest(room) and not _is_older(store, body, room):
            found.append(CorruptError(name, "it is not what the catalog says"))
    return found


def _is_older(store: Store, body: bytes, room: str) -> bool:
    """Whether a manifest was right before the last change of the archive: what it says of files that stand is so."""
    try:
        told = {one["path"]: one for one in json.loads(body)["files"]}
        now = {one["path"]: one for one in json.loads(store.archive.manifest(room))["files"]}
    except (ValueError, KeyError, TypeError):
        return False
    is_printed_so = body == json.dumps(json.loads(body), indent=1).encode()
    is_known = all(path in now or _SHAPE.fullmatch(path) for path in told)
    return is_printed_so and is_known and all(now[path] == one for path, one in told.items() if path in now)


def _wrong_slice(store: Store, room: str, row: SliceRow) -> list[CorruptError]:
    """A slice lies in the public tree or in the private one."""
    public = store.files.slice_path(room, row, public=True).is_file()
    try:
        intact_slice(store.files, room, row, public=public)
    except CorruptError as error:
        return [error]
    return []
