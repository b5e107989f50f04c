"""A data folder backed up while a relay serves it, or at rest: first the files that never change, then the databases of one moment.

Owns: the order of a backup, what of the one before is used again, what goes. Does not know: the command line, the relay.
Source: reliability; decision 0020.

Slices and Parquet never change under their name, so they are copied without holding anything up. A file may go meanwhile (a hide, a new
generation): then a newer moment is taken, which names what came instead. The last moment is held until the databases are copied as of
it, and lists exactly the files that are there. What the list before had and this one has not goes: hidden and erased words too.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from chatsync import __version__
from chatsync.instants import ms_from_us
from chatsync.store.backup import (
    FORMAT,
    GENTLE_PAUSE_S,
    INCOMPLETE,
    LIST,
    BackupError,
    BackupFile,
    BackupList,
    Copies,
    UnreadableError,
    locked,
    read_list,
    sha256_and_size,
    write_list,
)
from chatsync.store.catalog import SCHEMA_VERSION
from chatsync.store.files import sync_folder
from chatsync.store.heads import NOT_ROOMS, Heads
from chatsync.store.schema import SCHEMA_VERSION as ARCHIVE_SCHEMA_VERSION
from chatsync.store.snapshots import DATABASES, NamedFile, Snapshot, snapshot

__all__ = ["back_up"]

Progress = Callable[[str, int, int], None]
_ROUNDS_MAX = 12
_HELD_FILES_MAX = 200  # so many may be copied while a moment is held; for more, a newer one is taken afterwards
_KEPT = frozenset({LIST, "lock"})  # what a backup's folder has besides what is listed


def back_up(
    folder: Path, target: Path, *, wall_us: Callable[[], int], progress: Progress | None = None
) -> dict[str, Any]:
    """Back a data folder up; what was copied and what was found damaged.

    Args:
        folder: a data folder, served or at rest. Nothing in it is changed.
        target: a folder that is missing, empty, or holds an earlier backup, which this one replaces once it is whole.
        wall_us: tells the system's wall time.
        progress: told (what, done, of how many).

    Raises:
        BackupError: the target is no place for a backup, or the folder changes faster than it can be read.
        CorruptError: a database is none any more.
        StoreError: something could not be read or written. The backup before is as it was.

    Cost: reads each file of the target that is used again, and copies the rest; databases are copied each time.
    """
    if not all((folder / name).is_file() for name in DATABASES):
        raise BackupError(
            f"{folder} is no data folder: there is no {DATABASES[0]} in it. Name it with --data or --config."
        )
    _check_place(folder, target)
    try:
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        if target.stat().st_uid == os.geteuid():
            target.chmod(0o700)
        with locked(target):
            return _Backup(folder, target, wall_us, progress).run()
    except (sqlite3.Error, OSError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise BackupError(
            f"The backup cannot be written to {target} ({why}). An earlier one there is as it was."
        ) from error


def _check_place(folder: Path, target: Path) -> None:
    here, there = folder.resolve(), target.resolve()
    if here == there or here in there.parents or there in here.parents:
        raise BackupError("A backup lies neither in the data folder nor around it: name another folder.")
    if not target.exists():
        return
    if not target.is_dir():
        raise BackupError(f"{target} is not a folder.")
    names = {path.name for path in target.iterdir()}
    if names - {"lost+found"} and not names & {LIST, INCOMPLETE}:
        raise BackupError(f"{target} is not empty and holds no backup: name an empty folder, or one with a backup.")


class _Backup:
    def __init__(self, folder: Path, target: Path, wall_us: Callable[[], int], progress: Progress | None) -> None:
        self._folder, self._target, self._wall_us, self._progress = folder, target, wall_us, progress
        before = self._list_before()
        self._listed = {(file.path, file.sha256): file for file in before}
        self._stored = frozenset(file.stored for file in before)
        self._files: dict[
            tuple[str, str], BackupFile
        ] = {}  # that are in the target now, by path and the catalog's SHA-256
        self._lost: dict[tuple[str, str], str] = {}  # named by a moment, and not there or not what was written
        self._copied = self._copied_bytes = 0

    def _list_before(self) -> list[BackupFile]:
        try:
            before = read_list(self._target)
        except BackupError:
            return []  # what it has is read again, and used where it is whole
        return [] if before is None else before.files

    def run(self) -> dict[str, Any]:
        (self._target / INCOMPLETE).touch(mode=0o600)
        sync_folder(self._target)
        for round_ in range(1, _ROUNDS_MAX + 1):
            with snapshot(self._folder) as moment:
                if moment.schema_version > SCHEMA_VERSION:
                    raise BackupError(
                        f"The data folder has schema {moment.schema_version}, and this chatsync knows {SCHEMA_VERSION}: "
                        "run a newer one."
                    )
                made_us = self._wall_us()
                named = moment.named_files()
                new = [file for file in named if (file.paths[0], file.sha256) not in self._files]
                if len(new) <= _HELD_FILES_MAX or round_ == _ROUNDS_MAX:
                    gone = self._copy_files(new)
                    if all(key in self._lost for key in gone):
                        return self._finish(moment, named, made_us, round_)
                    self._lost |= gone  # gone twice is not a file that was replaced meanwhile
                    continue
            self._lost |= self._copy_files(new)
        raise BackupError(
            "The data folder changes faster than it can be copied; try again when less is hidden or erased."
        )

    def _finish(self, moment: Snapshot, named: list[NamedFile], made_us: int, rounds: int) -> dict[str, Any]:
        now = self._folder_of_now(made_us)
        databases = self._copy_databases(moment, now)
        keys = [(file.paths[0], file.sha256) for file in named]
        found = BackupList(
            format=FORMAT,
            chatsync=__version__,
            schema_version=moment.schema_version,
            archive_schema_version=ARCHIVE_SCHEMA_VERSION,
            made_wall_ms=ms_from_us(made_us),
            rooms={room: head.offset for room, head in sorted(moment.heads.items()) if room not in NOT_ROOMS},
            files=[*databases, *(self._files[key] for key in keys if key in self._files)],
            damaged=[
                *(f"heads: the journal's end of room {room} is lost" for room in moment.lost),
                *(self._lost[key] for key in keys if key in self._lost),
            ],
        )
        write_list(self._target, found)
        removed = self._remove_all_but(found)
        (self._target / INCOMPLETE).unlink(missing_ok=True)
        sync_folder(self._target)
        return {
            "target": str(self._target),
            "made_wall_ms": found.made_wall_ms,
            "rooms": len(found.rooms),
            "files": len(found.files),
            "size_bytes": sum(file.size_bytes for file in found.files),
            "copied_files": self._copied,
            "copied_bytes": self._copied_bytes,
            "removed_files": removed,
            "rounds": rounds,
            "damaged": found.damaged,
        }

    # --- files that never change ----------------------------------------------------------------------------------

    def _copy_files(self, files: list[NamedFile]) -> dict[tuple[str, str], str]:
        """Bring files into the target; those that are not there, or not what was written, each with a line about it."""
        lost: dict[tuple[str, str], str] = {}
        with Copies(gentle=True) as copies:
            for done, file in enumerate(files, start=1):
                key = (file.paths[0], file.sha256)
                kept = self._kept(file) or self._copied_file(file, copies)
                if kept is None:
                    lost[key] = f"{file.paths[0]}: the file is missing or cannot be read"
                    continue
                self._files[key] = kept
                self._lost.pop(key, None)
                if kept.sha256 != file.sha256:
                    lost[key] = f"{kept.path}: its SHA-256 is another than the catalog's"
                self._tell(file.paths[0], done, len(files))
        return lost

    def _kept(self, file: NamedFile) -> BackupFile | None:
        """A file that the target has already, as it was written."""
        listed = [self._listed[path, file.sha256] for path in file.paths if (path, file.sha256) in self._listed]
        places = [BackupFile(path=p, stored=p, size_bytes=file.size_bytes, sha256=file.sha256) for p in file.paths]
        for one in (*listed, *places):
            try:
                place = os.lstat(self._target / one.stored)
                is_same = stat.S_ISREG(place.st_mode) and place.st_size == file.size_bytes
                if is_same and sha256_and_size(self._target / one.stored)[0] == file.sha256:
                    return one
            except FileNotFoundError:
                continue
        return None

    def _copied_file(self, file: NamedFile, copies: Copies) -> BackupFile | None:
        for path in file.paths:
            # What the backup before has at this place stays until the new one is whole.
            stored = f"again/{file.sha256[:16]}/{path}" if path in self._stored else path
            place = self._target / stored
            self._make(place.parent, copies)
            try:
                sha256, size_bytes = copies.copy(self._folder / path, place)
            except UnreadableError:
                continue
            self._copied += 1
            self._copied_bytes += size_bytes
            return BackupFile(path=path, stored=stored, size_bytes=size_bytes, sha256=sha256)
        return None

    def _make(self, folder: Path, copies: Copies) -> None:
        if not folder.is_dir():
            self._make(folder.parent, copies)
            copies.make(folder)

    # --- databases ------------------------------------------------------------------------------------------------

    def _folder_of_now(self, made_us: int) -> Path:
        """A folder for the databases of this moment: those of the backup before stay where they are until the list is replaced."""
        number = ms_from_us(made_us)
        while any(name.startswith(f"at-{number}/") for name in self._stored):
            number += 1
        now = self._target / f"at-{number}"
        if now.exists():
            shutil.rmtree(now)  # of one that was interrupted
        return now

    def _copy_databases(self, moment: Snapshot, now: Path) -> list[BackupFile]:
        with Copies(gentle=True) as copies:
            copies.make(now)
            for name in DATABASES:
                self._copy_database(moment, name, now / name, copies)
            heads = Heads(now / "heads")
            try:
                for room, head in sorted(moment.heads.items()):
                    heads.put(room, head)
                heads.flush()
            finally:
                heads.close()
        files = []
        for name in (*DATABASES, "heads"):
            sha256, size_bytes = sha256_and_size(now / name)
            stored = (now / name).relative_to(self._target).as_posix()
            files.append(BackupFile(path=name, stored=stored, size_bytes=size_bytes, sha256=sha256))
            self._copied += 1
            self._copied_bytes += size_bytes
        return files

    def _copy_database(self, moment: Snapshot, name: str, place: Path, copies: Copies) -> None:
        copies.write(place, b"", 0o600)
        descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
        pausing = threading.Event()
        try:
            with closing(sqlite3.connect(place, isolation_level=None)) as database:
                database.execute("PRAGMA journal_mode=OFF")  # what is half written is thrown away
                database.execute("PRAGMA synchronous=OFF")

                def step(left: int, count: int) -> None:
                    os.fsync(descriptor)
                    pausing.wait(GENTLE_PAUSE_S)
                    self._tell(name, count - left, max(1, count))

                moment.copy(name, database, step)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    # --- afterwards -----------------------------------------------------------------------------------------------

    def _remove_all_but(self, found: BackupList) -> int:
        """Remove what the list does not name, and folders that are empty then; how many files."""
        named = {self._target / file.stored for file in found.files} | {self._target / name for name in _KEPT}
        removed = 0
        for folder, folders, names in os.walk(self._target, topdown=False):
            here = Path(folder)
            for name in names:
                if here / name not in named and name != INCOMPLETE:
                    (here / name).unlink()
                    removed += 1
            for name in folders:
                _remove_empty(here / name)
        return removed

    def _tell(self, what: str, done: int, count: int) -> None:
        if self._progress is not None:
            self._progress(what, done, count)


def _remove_empty(folder: Path) -> None:
    if folder.is_symlink():
        folder.unlink()
    elif folder.name != "lost+found" and not _any(folder.iterdir()):
        folder.rmdir()


def _any(paths: Iterable[Path]) -> bool:
    return next(iter(paths), None) is not None
