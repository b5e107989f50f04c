"""What a backup is: a folder with a list of everything in it, and bytes that are on disk before the list is.

Owns: ``backup.json``, its check, paths that may stand in it, copying many files durably. Does not know: what is copied, when.
Source: decision 0020.

A backup's files are found by its list only. Databases lie in a folder of their own for each time it was made (``at-…``), slices and
Parquet at the same place as in the data folder; the list is replaced last, so that a backup that is interrupted leaves the one before.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import json
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from chatsync.errors import StoreError
from chatsync.store.files import sync_folder

__all__ = [
    "FORMAT",
    "GENTLE_PAUSE_S",
    "INCOMPLETE",
    "LIST",
    "BackupError",
    "BackupFile",
    "BackupList",
    "Copies",
    "UnreadableError",
    "locked",
    "read_list",
    "sha256_and_size",
    "write_list",
]

FORMAT = 1
LIST = "backup.json"
INCOMPLETE = "incomplete"  # an empty file that is there while a backup is made
_LOCK = "lock"
_CHUNK_BYTES = 1 << 20
_UNSYNCED_BYTES_MAX, _UNSYNCED_FILES_MAX = 8 << 20, 128
_GENTLE_BYTES_MAX, _GENTLE_FILES_MAX = 1 << 20, 32
GENTLE_PAUSE_S = 0.005  # after each piece: in it a relay's own syncs come through
_SYNCED_ALONE_MAX = 4  # fewer files are synced one by one


class BackupError(StoreError):
    """A backup cannot be made here, or is none that can be restored.

    Attributes:
        reason: what is wrong and what to do, for people.
    """

    code = "backup"
    temporary = False

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)

    def __str__(self) -> str:
        return self.reason


class UnreadableError(OSError):
    """What is to be copied is not there, or the disk does not give it."""


class BackupFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a backup."""

    path: str  # where it belongs, below the data folder
    stored: str  # where it lies, below the backup
    size_bytes: int
    sha256: str  # of what lies there


class BackupList(msgspec.Struct, frozen=True, kw_only=True):
    """All of a backup: what is not listed is no part of it."""

    format: int
    chatsync: str  # the version that made it
    schema_version: int  # of chatsync.db
    archive_schema_version: int  # of the Parquet files
    made_wall_ms: int  # wall time of the moment it holds
    rooms: dict[str, int]  # newest offset by room
    files: list[BackupFile]
    damaged: list[str]  # what was not whole in the data folder, a line each


def read_list(target: Path) -> BackupList | None:
    """A backup's list; None if there is none.

    Raises:
        BackupError: it is damaged, or newer than this program.
        OSError: it cannot be read.
    """
    try:
        body = (target / LIST).read_bytes()
    except FileNotFoundError:
        return None
    damaged = f"{target / LIST} is damaged: this backup cannot be trusted. Take another one."
    try:
        told = json.loads(body)
        check = told.pop("check")
        if not isinstance(told.get("format"), int) or told["format"] > FORMAT:
            raise BackupError(f"{target} was made by a newer chatsync ({told.get('chatsync')}): run that one.")
        found = msgspec.convert(told, BackupList)
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise BackupError(damaged) from error
    if check != _check(found) or not all(_is_inside(one.path) and _is_inside(one.stored) for one in found.files):
        raise BackupError(damaged)
    return found


def write_list(target: Path, found: BackupList) -> None:
    """Put a list in the place of the one before: from now on this is the backup.

    Raises:
        OSError: it cannot be written; the one before stands.
    """
    body = json.dumps({**msgspec.to_builtins(found), "check": _check(found)}, indent=1).encode()
    with Copies() as copies:
        copies.write(target / f".{LIST}.tmp", body, 0o600)
    (target / f".{LIST}.tmp").replace(target / LIST)
    sync_folder(target)


def _check(found: BackupList) -> str:
    return hashlib.sha256(msgspec.json.encode(found, order="sorted")).hexdigest()


def _is_inside(path: str) -> bool:
    parts = PurePosixPath(path)
    return bool(path) and not parts.is_absolute() and ".." not in parts.parts and "\0" not in path


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other backups and restores out of a folder.

    Raises:
        BackupError: one is at work there.
        OSError: the lock cannot be made.
    """
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BackupError(f"Another chatsync process is at work in {folder}; wait for it.") from error
        yield
    finally:
        os.close(descriptor)


def sha256_and_size(path: Path) -> tuple[str, int]:
    """SHA-256 of a file, in hex, and its size.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return digest, file.tell()


class Copies:
    """Many files written durably: synced some at a time, and whole when the ``with`` ends without an error.

    The disk is never given more than 8 MiB before it is waited for; ``gentle``, 1 MiB or 32 files and then a pause: a relay that syncs to
    the same disk waits behind what lies before.
    """

    def __init__(self, *, gentle: bool = False) -> None:
        self._bytes_max = _GENTLE_BYTES_MAX if gentle else _UNSYNCED_BYTES_MAX
        self._files_max = _GENTLE_FILES_MAX if gentle else _UNSYNCED_FILES_MAX
        self._pause_s = GENTLE_PAUSE_S if gentle else 0.0
        self._pausing = threading.Event()
        self._open: list[int] = []
        self._unsynced_bytes = 0
        self._folders: set[Path] = set()

    def __enter__(self) -> Copies:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.sync()
        for descriptor in self._open:
            os.close(descriptor)
        self._open.clear()

    def make(self, folder: Path, mode: int = 0o700) -> None:
        """Make a folder, whose parent is there, with its mode whatever the umask."""
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            folder.chmod(mode)
        self._folders |= {folder, folder.parent}

    def copy(self, source: Path, target: Path, mode: int = 0o600) -> tuple[str, int]:
        """Copy a file; its SHA-256 and size as read.

        Raises:
            UnreadableError: the source cannot be read; what was copied of it is gone again.
            OSError: it cannot be written.
        """
        digest, size_bytes = hashlib.sha256(), 0
        try:
            file = source.open("rb", buffering=0)
        except OSError as error:
            raise UnreadableError(error.errno, error.strerror) from error
        with file:
            descriptor = self._create(target, mode)
            while chunk := _read(file, target):
                digest.update(chunk)
                size_bytes += len(chunk)
                self._write(descriptor, chunk)
        return digest.hexdigest(), size_bytes

    def write(self, target: Path, body: bytes, mode: int) -> None:
        """Write a file.

        Raises:
            OSError: it cannot be written.
        """
        self._write(self._create(target, mode), body)

    def sync(self) -> None:
        """Wait until all of it is on disk, names too.

        Raises:
            OSError: it is not.
        """
        self._sync_files()
        if _syncfs is None:
            for folder in sorted(self._folders):
                sync_folder(folder)
        else:
            for folder in {folder.stat().st_dev: folder for folder in self._folders}.values():
                descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    _sync_file_system(descriptor)
                finally:
                    os.close(descriptor)
        self._folders.clear()

    def _create(self, target: Path, mode: int) -> int:
        if len(self._open) >= self._files_max:
            self._sync_files()
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(target, flags, 0o600)
        self._open.append(descriptor)
        self._folders.add(target.parent)
        os.fchmod(descriptor, mode)
        return descriptor

    def _write(self, descriptor: int, chunk: bytes) -> None:
        left = memoryview(chunk)
        while left:
            left = left[os.write(descriptor, left) :]
        self._unsynced_bytes += len(chunk)
        if self._unsynced_bytes >= self._bytes_max:
            os.fsync(descriptor)  # the others of a batch are small
            self._unsynced_bytes = 0
            self._pausing.wait(self._pause_s)

    def _sync_files(self) -> None:
        if _syncfs is None or len(self._open) < _SYNCED_ALONE_MAX:
            for descriptor in self._open:
                os.fsync(descriptor)
        else:
            for descriptor in {os.fstat(one).st_dev: one for one in self._open}.values():
                _sync_file_system(descriptor)
        for descriptor in self._open:
            os.close(descriptor)
        self._open.clear()
        self._unsynced_bytes = 0
        self._pausing.wait(self._pause_s)


def _found_syncfs() -> Any:
    """Linux's syncfs: one commit for many small files, where fsync costs one each (20 times as long for 128 files of 3 kB on ext4).

    Before Linux 5.8 it did not tell when writing failed: then it is not used.
    """
    told = re.match(r"(\d+)\.(\d+)", os.uname().release)
    if os.uname().sysname != "Linux" or told is None or (int(told[1]), int(told[2])) < (5, 8):
        return None
    try:
        return ctypes.CDLL(None, use_errno=True).syncfs
    except (OSError, AttributeError):
        return None


_syncfs = _found_syncfs()


def _sync_file_system(descriptor: int) -> None:
    if _syncfs(descriptor) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _read(file: FileIO, target: Path) -> bytes:
    """The next piece of what is copied; the copy goes when there is none to be had."""
    try:
        return file.read(_CHUNK_BYTES)
    except OSError as error:
        target.unlink(missing_ok=True)
        raise UnreadableError(error.errno, error.strerror) from error
