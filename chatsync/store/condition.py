"""What a data folder and the disk under it are like, looked at without changing anything, also while a relay works.

Owns: what can be read of a folder from outside. Does not know: what of it is good or bad (``service.doctor`` says so).
Units: µs of the system's wall time; ``sync_us`` are durations.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import tempfile
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from chatsync.errors import ChatsyncError
from chatsync.store.files import RESTORING
from chatsync.store.heads import NO_COUNT, Heads
from chatsync.store.writer import opened

__all__ = ["Condition", "look_at", "opened_as_found"]

_SYNCS = 15
_LISTED_MAX = 5  # names of files in one finding


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """What was found. None: it could not be told, or is not there."""

    is_there: bool = True
    is_folder: bool = True
    mode: int = 0o700  # of the folder
    owner: int = 0
    is_writable: bool = True
    exposed: tuple[str, ...] = ()  # files that others can read or write and must not
    is_half_restored: bool = False
    is_used: bool | None = None  # whether a process has it open
    free_bytes: int = 1 << 40
    size_bytes: int = 1 << 40
    free_files: int = 1 << 30
    files_max: int = 0  # 0: the file system does not count them
    file_system: str | None = None
    mount_options: tuple[str, ...] = ()
    sync_us: int | None = None  # median time to make 4 KiB durable
    databases: tuple[str, ...] = ()  # that are there
    trouble: tuple[str, ...] = ()  # databases that cannot be read, each with why
    schema_version: int | None = None
    journal_mode: str | None = None
    log_bytes: int = 0  # write-ahead log of chatsync.db
    unfinished_erasures: tuple[int, ...] = ()  # when each was asked for
    oldest_dirty_us: int | None = None  # when the longest waiting change of the archive came in
    oldest_hidden_us: int | None = None  # when the oldest of the hidden texts was hidden
    quarantined: int = 0
    damaged_heads: int = 0


def look_at(folder: Path, *, now_us: Callable[[], int]) -> Condition:
    """Look at a data folder.

    Args:
        folder: may be missing; then the disk under where it will be is looked at.
        now_us: a clock that only moves forward, to measure the disk by.
    """
    there = folder if folder.exists() else next((one for one in folder.absolute().parents if one.exists()), Path("/"))
    space = os.statvfs(there)
    state = there.stat()
    file_system, options = _mount_of(state.st_dev)
    found: dict[str, Any] = {
        "is_there": folder.exists(),
        "is_folder": not folder.exists() or folder.is_dir(),
        "mode": stat.S_IMODE(state.st_mode) if folder.exists() else 0o700,
        "owner": state.st_uid if folder.exists() else os.geteuid(),
        "is_writable": os.access(there, os.W_OK | os.X_OK),
        "free_bytes": space.f_bavail * space.f_frsize,
        "size_bytes": space.f_blocks * space.f_frsize,
        "free_files": space.f_favail,
        "files_max": space.f_files,
        "file_system": file_system,
        "mount_options": options,
    }
    if found["is_writable"] and there.is_dir():
        found["sync_us"] = _sync_us(there, now_us)
    if folder.is_dir() and os.access(folder, os.R_OK | os.X_OK):
        found |= _contents(folder)
    return Condition(**found)


def _contents(folder: Path) -> dict[str, Any]:
    quarantine = folder / "quarantine"
    log = folder / "chatsync.db-wal"
    found: dict[str, Any] = {
        "exposed": tuple(_exposed(folder)),
        "is_half_restored": (folder / RESTORING).exists(),
        "is_used": _is_locked(folder / "lock"),
        "databases": tuple(path.name for path in sorted(folder.glob("*.db"))),
        "log_bytes": log.stat().st_size if log.exists() else 0,
        "quarantined": sum(not one.name.endswith(".note.json") for one in quarantine.iterdir())
        if quarantine.is_dir()
        else 0,
        "damaged_heads": _damaged_heads(folder),
    }
    trouble = []
    for name, read in (("chatsync.db", _journal), ("moderation.db", _moderation), ("identity.db", _identity)):
        if not (folder / name).exists():
            continue
        try:
            with closing(opened_as_found(folder / name)) as connection:
                found |= read(connection)
        except (sqlite3.Error, OSError, ChatsyncError) as error:
            trouble.append(f"{name} ({error})")
    return found | {"trouble": tuple(trouble)}


def opened_as_found(path: Path) -> sqlite3.Connection:
    """A connection that only reads and leaves no file behind: without a log nobody writes, and SQLite need not make one to read.

    Raises:
        OSError: the file cannot be looked at.
        sqlite3.Error: it cannot be opened.
    """
    if path.with_name(f"{path.name}-wal").exists():
        return opened(path, read_only=True)
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None)


def _journal(connection: sqlite3.Connection) -> dict[str, Any]:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    found: dict[str, Any] = {"schema_version": version, "journal_mode": mode}
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if "erasures" in tables:
        rows = connection.execute("SELECT asked_wall_us FROM erasures WHERE done_wall_us IS NULL ORDER BY 1")
        found["unfinished_erasures"] = tuple(asked_us for (asked_us,) in rows)
    if {"dirty_hours", "journal"} <= tables:
        found["oldest_dirty_us"] = connection.execute(
            "SELECT min(wall_us) FROM dirty_hours JOIN journal ON journal.room = dirty_hours.room "
            "AND journal.offset = dirty_hours.through"
        ).fetchone()[0]
    return found


def _moderation(connection: sqlite3.Connection) -> dict[str, Any]:
    return {"oldest_hidden_us": connection.execute("SELECT min(hidden_wall_us) FROM hidden_text").fetchone()[0]}


def _identity(connection: sqlite3.Connection) -> dict[str, Any]:
    connection.execute("SELECT 1 FROM names LIMIT 1").fetchone()
    return {}


def _exposed(folder: Path) -> Iterable[str]:
    """What others may read of a folder and must not, whether or not they get there: all but the public slices."""
    names = ("chatsync.db", "chatsync.db-wal", "identity.db", "identity.db-wal", "moderation.db", "moderation.db-wal")
    places = [*names, "heads", "signing.key", "archive", "quarantine", "slices/private"]
    found = [name for name in places if (folder / name).exists() and (folder / name).stat().st_mode & 0o077]
    return found[:_LISTED_MAX]


def _damaged_heads(folder: Path) -> int:
    """How much of ``heads`` is not what was written; that an older program counted no changes is no damage."""
    if not (folder / "chatsync.db").exists():
        return 0
    return sum(error.detail != NO_COUNT for error in Heads.damaged(folder / "heads"))


def _is_locked(lock: Path) -> bool | None:
    """Whether a process has the folder's lock. It is not tried: a relay that starts at that moment would be refused."""
    try:
        state = lock.stat()
        text = Path("/proc/locks").read_text()
    except FileNotFoundError:
        return False if not lock.exists() else None
    except OSError:
        return None
    place = f"{os.major(state.st_dev):02x}:{os.minor(state.st_dev):02x}:{state.st_ino}"
    return any("FLOCK" in line.split() and place in line.split() for line in text.splitlines())


def _mount_of(device: int) -> tuple[str | None, tuple[str, ...]]:
    """Type and options of a mounted file system; None where the system does not tell."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return None, ()
    for line in reversed(lines):
        left, _, right = line.partition(" - ")
        fields, of_type = left.split(), right.split()
        if len(fields) > 5 and fields[2] == wanted and of_type:
            options = f"{fields[5]},{of_type[2] if len(of_type) > 2 else ''}"
            return of_type[0], tuple(one for one in options.split(",") if one)
    return None, ()


def _sync_us(folder: Path, now_us: Callable[[], int]) -> int | None:
    """Median time of making 4 KiB durable, in a file without a name; None if it cannot be tried."""
    took = []
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            for _ in range(_SYNCS):
                began_us = now_us()
                file.write(os.urandom(4096))
                file.flush()
                os.fdatasync(file.fileno())
                took.append(now_us() - began_us)
    except OSError:
        return None
    return sorted(took)[len(took) // 2]
