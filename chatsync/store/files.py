"""Where everything lies in the data folder, and how a file gets there whole.

Owns: paths (contract §6), atomic writing, the lock of the folder. Does not know: what is in the files.
A room id is checked here, at the only place where one becomes part of a path.
"""

from __future__ import annotations

import fcntl
import os
import re
from pathlib import Path
from typing import Protocol

from chatsync.errors import StoreError, UnknownRoomError
from chatsync.instants import ms_from_us

__all__ = ["Files", "FolderLockedError", "SliceName", "checked_room", "sync_folder"]

_ROOM_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


class FolderLockedError(StoreError):
    """Another process works in this data folder."""

    code = "folder_locked"

    def __str__(self) -> str:
        return "Another chatsync process uses this data folder; stop it first."


class SliceName(Protocol):
    """What names a slice's file."""

    @property
    def broadcast(self) -> int: ...  # noqa: D102
    @property
    def start_ms(self) -> int: ...  # noqa: D102
    @property
    def end_ms(self) -> int: ...  # noqa: D102
    @property
    def epoch(self) -> int: ...  # noqa: D102
    @property
    def revision(self) -> int: ...  # noqa: D102


def checked_room(room: str) -> str:
    """The room id, if it may be part of a path.

    Raises:
        UnknownRoomError: it may not: then there is no such room.
    """
    if _ROOM_ID.fullmatch(room) is None:
        raise UnknownRoomError
    return room


class Files:
    """Paths below one data folder.

    Args:
        root: made if missing, mode 0700.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock_descriptor: int | None = None

    @property
    def database(self) -> Path:
        """Journal, catalog and observations."""
        return self.root / "chatsync.db"

    @property
    def identity(self) -> Path:
        """Names and external ids, 0600."""
        return self.root / "identity.db"

    @property
    def moderation(self) -> Path:
        """Text of hidden messages, 0600."""
        return self.root / "moderation.db"

    @property
    def heads(self) -> Path:
        """Newest offset of every room."""
        return self.root / "heads"

    @property
    def archive(self) -> Path:
        """Parquet by tree, room and broadcast, and the manifests."""
        return self.root / "archive"

    def lock(self) -> None:
        """Keep other processes out until :meth:`unlock` or the end of this one.

        Raises:
            FolderLockedError: another process is in.
        """
        descriptor = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise FolderLockedError from error
        self._lock_descriptor = descriptor

    def unlock(self) -> None:
        """Let others in."""
        if self._lock_descriptor is not None:
            os.close(self._lock_descriptor)
            self._lock_descriptor = None

    def relative(self, path: Path) -> str:
        """A path as the catalog and error messages name it."""
        return path.relative_to(self.root).as_posix()

    # --- slices ---------------------------------------------------------------------------------------------------

    def slice_path(self, room: str, name: SliceName, *, public: bool) -> Path:
        """Where a slice's revision lies. Private ones are in a tree that no web server is pointed at."""
        tree = "public" if public else "private"
        file = f"{name.start_ms}-{name.end_ms}.e{name.epoch}.r{name.revision}.json.gz"
        return self.root / "slices" / tree / checked_room(room) / str(name.broadcast) / file

    def write_slice(self, room: str, name: SliceName, packed: bytes, *, public: bool) -> None:
        """Write a slice's revision whole."""
        self.write(self.slice_path(room, name, public=public), packed)

    def read_slice(self, room: str, name: SliceName, *, public: bool) -> bytes:
        """A slice's revision, compressed.

        Raises:
            FileNotFoundError: it is not there.
        """
        return self.slice_path(room, name, public=public).read_bytes()

    def remove_slice(self, room: str, name: SliceName, *, public: bool) -> None:
        """Remove a superseded revision; that it is gone already is fine."""
        self.slice_path(room, name, public=public).unlink(missing_ok=True)

    def move_slices(self, room: str, *, public: bool) -> None:
        """Move all slices of a room to where its new visibility wants them. What is there already is kept."""
        trees = ("private", "public") if public else ("public", "private")
        source, target = (self.root / "slices" / tree / checked_room(room) for tree in trees)
        for path in sorted(source.glob("*/*.json.gz")):
            _made(target / path.parent.name)
            path.replace(target / path.parent.name / path.name)
        for folder in (source, target):
            for changed in sorted(folder.glob("*/")):
                sync_folder(changed)

    def sweep_slices(self, room: str, broadcast: int, named: set[str], *, public: bool) -> None:
        """Remove what lies in a broadcast's folder and is not named: old revisions and unfinished files."""
        tree = "public" if public else "private"
        folder = self.root / "slices" / tree / checked_room(room) / str(broadcast)
        if folder.is_dir():
            for path in folder.iterdir():
                if path.name not in named:
                    path.unlink(missing_ok=True)

    # --- archive --------------------------------------------------------------------------------------------------

    def hour_path(self, tree: str, room: str, broadcast: int, hour_start_us: int, generation: int) -> Path:
        """A generation of a program hour's Parquet; ``tree`` is ``events`` or ``staff``."""
        return self._archive(tree, room, broadcast) / f"{ms_from_us(hour_start_us)}.g{generation}.parquet"

    def broadcast_path(self, tree: str, room: str, broadcast: int, generation: int) -> Path:
        """A generation of a whole broadcast's Parquet; ``tree`` is ``segments`` or ``observations``."""
        return self._archive(tree, room, broadcast) / f"all.g{generation}.parquet"

    def _archive(self, tree: str, room: str, broadcast: int) -> Path:
        return self.archive / tree / f"room={checked_room(room)}" / f"broadcast={broadcast}"

    def manifest_path(self, room: str) -> Path:
        """What the archive of a room holds."""
        return self.archive / "manifest" / f"{checked_room(room)}.json"

    # --- writing --------------------------------------------------------------------------------------------------

    def write(self, path: Path, body: bytes) -> None:
        """Write a file whole: temporary file, sync, rename, sync of the folder. It is there after a power cut, or not at all."""
        temporary = self.temporary_beside(path)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)

    def temporary_beside(self, path: Path) -> Path:
        """Where a file is written before :meth:`publish` moves it to ``path``; its folder is made."""
        _made(path.parent)
        return path.with_name(f".{path.name}.{os.getpid()}.tmp")

    def publish(self, temporary: Path, path: Path) -> None:
        """Move a finished file to its place: sync, rename, sync of the folder."""
        descriptor = os.open(temporary, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fchmod(descriptor, 0o600)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(path)
        sync_folder(path.parent)


def _made(folder: Path) -> None:
    """Make a folder and its parents with mode 0700, and make their names durable."""
    if folder.is_dir():
        return
    _made(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable: a rename without it can be lost."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
