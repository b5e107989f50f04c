"""A backup restored as a data folder: everything compared first, in its place last, and every room in a new epoch.

Owns: the order of a restore, what no restored room may say again. Does not know: the command line. Source: reliability; decision 0020.

All is copied into ``restoring/`` within the folder and compared with its SHA-256 on the way. Then it moves up. A folder that has
``restoring/`` in it is refused by whoever wants to open it (:meth:`Files.lock`), so that half a folder never looks whole.

What was told after the backup was made is lost, and must never be taken for what is said from now on. So the new epoch is the moment of
the restore, in milliseconds: above each epoch of an earlier life, and above that of an earlier restore of the same backup. Offsets go on
past all that a room could have logged meanwhile, at 10,000 a second.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from chatsync.errors import ChatsyncError
from chatsync.instants import SECOND_US, ms_from_us, us_from_ms
from chatsync.store.audit import AuditRecord
from chatsync.store.backup import BackupError, BackupFile, BackupList, Copies, read_list, sha256_and_size
from chatsync.store.catalog import SCHEMA_VERSION
from chatsync.store.files import RESTORING, Files, sync_folder
from chatsync.store.heads import NOT_ROOMS, Head, Heads
from chatsync.store.opening import Store, open_store
from chatsync.store.recovering import raise_all_epochs
from chatsync.store.schema import SCHEMA_VERSION as ARCHIVE_SCHEMA_VERSION
from chatsync.store.writer import opened

__all__ = ["check_backup", "restore"]

Progress = Callable[[str, int, int], None]
_EVENTS_PER_S = 10_000  # more than a room can log
_SKIPPED_MIN = 1_000_000
_DATABASE = "chatsync.db"


def check_backup(backup: Path, progress: Progress | None = None) -> BackupList:
    """Read a whole backup and compare it with its list.

    Raises:
        BackupError: it is none, is not whole, or is newer than this program.
    """
    found = _readable(backup)
    for done, file in enumerate(found.files, start=1):
        try:
            told = sha256_and_size(backup / file.stored)
        except OSError as error:
            raise BackupError(f"{file.stored} of the backup cannot be read ({error.strerror}): {_OTHER}") from error
        _check(file, told)
        if progress is not None:
            progress(file.path, done, len(found.files))
    return found


_OTHER = "this backup is not whole. Take another one."


def restore(
    backup: Path, folder: Path, *, wall_us: int, replace: bool = False, progress: Progress | None = None
) -> dict[str, Any]:
    """Make a data folder of a backup.

    Args:
        backup: a folder that ``back_up`` wrote.
        folder: missing or empty; what an interrupted restore left there is thrown away.
        wall_us: the system's wall time now; it becomes the epoch of every room.
        replace: a folder that is not empty is renamed to ``<folder>.before-<ms>`` first.
        progress: told (what, done, of how many).

    Raises:
        BackupError: the backup is not whole or is newer than this program, or the folder is not empty. The folder is as it was, but for
            what was moved aside.
        ChatsyncError: what was restored cannot be opened.
    """
    found = _readable(backup)
    here, there = folder.resolve(), backup.resolve()
    if here == there or here in there.parents or there in here.parents:
        raise BackupError("A backup is not restored into itself: name another folder.")
    if wall_us < us_from_ms(found.made_wall_ms):
        raise BackupError("The backup was made later than now, by this machine's clock: set the clock first.")
    try:
        aside = _made_room(backup, folder, wall_us, replace=replace)
        with Files(folder).restoring() as new:
            try:
                _copy(backup, found, new, progress)
                rooms = _open_anew(new, found, wall_us)
            except BaseException:
                shutil.rmtree(new, ignore_errors=True)
                raise
            _move_up(new, folder)
    except OSError as error:
        raise BackupError(
            f"The backup cannot be restored to {folder} ({error.strerror}); what is there is not whole. Run it again."
        ) from error
    return {
        "data": str(folder),
        "made_wall_ms": found.made_wall_ms,
        "rooms": rooms,
        "files": len(found.files),
        "size_bytes": sum(file.size_bytes for file in found.files),
        "epoch": str(ms_from_us(wall_us)),
        "moved_aside": None if aside is None else str(aside),
        "erased_since": None if aside is None else _erased_since(aside, us_from_ms(found.made_wall_ms)),
        "damaged": found.damaged,
    }


def _readable(backup: Path) -> BackupList:
    """A backup's list, if this program can restore what it lists."""
    found = read_list(backup) if backup.is_dir() else None
    if found is None:
        interrupted = (backup / "incomplete").exists()
        what = "was interrupted while it was made, and is not whole" if interrupted else "is no backup"
        raise BackupError(f"{backup} {what}: take another one.")
    for known, told in ((SCHEMA_VERSION, found.schema_version), (ARCHIVE_SCHEMA_VERSION, found.archive_schema_version)):
        if told > known:
            raise BackupError(
                f"The backup has schema {told}, and this chatsync knows {known}: restore it with version "
                f"{found.chatsync} or a newer one."
            )
    return found


def _check(file: BackupFile, told: tuple[str, int]) -> None:
    if told != (file.sha256, file.size_bytes):
        raise BackupError(f"{file.stored} of the backup is not what was written: {_OTHER}")


def _made_room(backup: Path, folder: Path, wall_us: int, *, replace: bool) -> Path | None:
    """See to it that the folder is empty or missing; where what was in it is now, None if there was nothing."""
    if folder.exists() and not folder.is_dir():
        raise BackupError(f"{folder} is not a folder.")
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if RESTORING in names:  # it was empty when that restore began: all in it is that one's
        with Files(folder).locked_for_restoring():
            for path in folder.iterdir():
                if path.name in {RESTORING, "lock", "lost+found"}:
                    continue
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        names = set()
    if not names - {"lock", "lost+found"}:
        return None
    if not replace:
        raise BackupError(
            f"{folder} is not empty: move what is in it away, or let --force rename the folder. Stop the relay first."
        )
    check_backup(backup)  # before anything is moved
    aside = folder.with_name(f"{folder.name}.before-{ms_from_us(wall_us)}")
    before = folder.stat()
    with Files(folder).locked_for_restoring():
        try:
            folder.rename(aside)
        except OSError as error:
            raise BackupError(
                f"{folder} cannot be renamed ({error.strerror}): move what is in it away, and run this without --force."
            ) from error
    Files(folder)
    folder.chmod(before.st_mode & 0o777)  # a web server's group may be let through
    with suppress(OSError):
        os.chown(folder, -1, before.st_gid)
    sync_folder(folder.parent)
    return aside


def _copy(backup: Path, found: BackupList, new: Path, progress: Progress | None) -> None:
    places = Files(new)
    with Copies() as copies:
        for done, file in enumerate(found.files, start=1):
            place = new / file.path
            _make(place.parent, places, copies)
            _check(file, copies.copy(backup / file.stored, place, places.mode_of_file(place)))
            if progress is not None:
                progress(file.path, done, len(found.files))


def _make(folder: Path, places: Files, copies: Copies) -> None:
    if not folder.is_dir():
        _make(folder.parent, places, copies)
        copies.make(folder, places.mode_of_folder(folder))


def _open_anew(new: Path, found: BackupList, wall_us: int) -> int:
    """Open what was copied, begin a new epoch everywhere, and write the archive's manifests; how many rooms there are."""
    passed_s = (wall_us - us_from_ms(found.made_wall_ms)) // SECOND_US + 1
    skipped = max(_SKIPPED_MIN, passed_s * _EVENTS_PER_S)
    reason = f"restored from the backup of {found.made_wall_ms} ms"
    with open_store(new) as store:
        heads = [head for room, head in Heads.read(store.files.heads).items() if room not in NOT_ROOMS]
        heads += [store.journal.head(room) for room in store.journal.rooms()]
        newest = max((head.offset for head in heads), default=0)
        epoch = max([ms_from_us(wall_us) - 1, *(head.epoch for head in heads)])
        told = Head(epoch, newest + skipped, 0)
        deed = AuditRecord(wall_us=wall_us, actor="admin:local", role="admin", action="backup_restored")

        def work(connection: sqlite3.Connection) -> None:
            raise_all_epochs(connection, told, reason)
            store.journal.audit.note(connection, deed)

        store.writer.call(work).result()
        for room in sorted({file.room for file in store.catalog.archive_files(tree=None)}):
            store.archive.write_manifest(room)
        rooms = _rooms_of(store)
    (new / "lock").unlink(missing_ok=True)
    return len(rooms)


def _rooms_of(store: Store) -> set[str]:
    return {*store.journal.rooms(), *store.catalog.rooms()}


def _move_up(new: Path, folder: Path) -> None:
    """Everything to its place, and the databases last of all."""
    for path in sorted(new.iterdir(), key=lambda path: (path.name.startswith(_DATABASE), path.name)):
        path.rename(folder / path.name)
    sync_folder(folder)


def _erased_since(aside: Path, made_us: int) -> list[dict[str, str]] | None:
    """Who was erased from the folder that was there after the backup was made: they must be again. None if it cannot be read."""
    try:
        with closing(opened(aside / _DATABASE, read_only=True)) as connection:
            rows = connection.execute(
                "SELECT room, author_key FROM erasures WHERE asked_wall_us >= ? ORDER BY asked_wall_us", (made_us,)
            ).fetchall()
    except (sqlite3.Error, OSError, ChatsyncError):
        return None
    return [{"room": room, "author": author} for room, author in rows]
