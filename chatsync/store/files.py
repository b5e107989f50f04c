"""Where everything lies in the data folder, and how a file gets there whole.

Owns: paths (contract §6), atomic writing, the lock of the folder, who may read what: others only ``slices/public``. Does not know: what is
in the files.
A room id is checked here, at the only place where one becomes part of a path.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import structlog

from chatsync.errors import StoreError, UnknownRoomError
from chatsync.instants import ms_from_us

__all__ = ["RESTORING", "Files", "FolderLockedError", "HalfRestoredError", "SliceName", "checked_room", "sync_folder"]

RESTORING = "restoring"  # where a backup is unpacked, within the data folder that it becomes

_log = structlog.get_logger(__name__)

_ROOM_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_ORIGIN_FILE = re.compile(r"https?_[a-z0-9.-]{1,253}(_\d{1,5})?")


class FolderLockedError(StoreError):
    """Another process works in this data folder."""

    code = "folder_locked"

    def __str__(self) -> str:
        return "Another chatsync process uses this data folder; stop it first."


class HalfRestoredError(StoreError):
    """A restore into this data folder was interrupted: part of it may be missing."""

    code = "half_restored"
    temporary = False

    def __str__(self) -> str:
        return "A restore into this data folder was interrupted, so it is not whole; run chatsync restore again."


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
        self.on_quarantine: list[Callable[[], None]] = []  # called in any thread

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
    def signing_key(self) -> Path:
        """What checkpoints and receipts are signed with, 0600; made when it is first needed."""
        return self.root / "signing.key"

    @property
    def archive(self) -> Path:
        """Parquet by tree, room and broadcast, and the manifests."""
        return self.root / "archive"

    @property
    def quarantined(self) -> Path:
        """Damaged files, each with a note of where it lay and what is wrong with it."""
        return self.root / "quarantine"

    def quarantine(self, path: Path, reason: str) -> Path | None:
        """Move a damaged file out of the way, with a note beside it; where it lies now, None if it is not there.

        Args:
            path: below the data folder.
            reason: what was found, without content.

        Raises:
            OSError: it cannot be moved.
        """
        if not path.is_file():
            return None
        self._make(self.quarantined)
        name, number = self.relative(path).replace("/", "__"), 1
        while (target := self.quarantined / f"{name}.{number}").exists():
            number += 1
        note = json.dumps({"path": self.relative(path), "reason": reason}).encode()
        self.write(target.with_name(f"{target.name}.note.json"), note)
        path.replace(target)
        sync_folder(self.quarantined)
        sync_folder(path.parent)
        _log.error("damaged_file_quarantined", path=self.relative(path), reason=reason, moved_to=self.relative(target))
        for told in self.on_quarantine:
            told()
        return target

    def clear_quarantine(self, *, room: str | None = None, before_us: int | None = None) -> int:
        """Remove damaged files that were put aside: they may hold words that are hidden or erased since. How many went.

        Args:
            room: only slices and archived files of this room, and databases.
            before_us: only those that were put aside before this wall time.

        Raises:
            OSError: one cannot be removed; the others are gone.
        """
        removed = 0
        for note in sorted(self.quarantined.glob("*.note.json")) if self.quarantined.is_dir() else ():
            was_at = str(json.loads(note.read_bytes())["path"]).split("/")
            is_of_room = (
                room is None
                or (was_at[2:3] == [room] and was_at[0] == "slices")
                or f"room={room}" in was_at
                or was_at[-1].endswith(".db")  # every room is in a database
            )
            if is_of_room and (before_us is None or note.stat().st_mtime_ns // 1000 < before_us):
                note.with_name(note.name.removesuffix(".note.json")).unlink(missing_ok=True)
                note.unlink()
                removed += 1
        if removed:
            sync_folder(self.quarantined)
        return removed

    def lock(self) -> None:
        """Keep other processes out until :meth:`unlock` or the end of this one.

        Raises:
            FolderLockedError: another process is in.
            HalfRestoredError: the folder is not whole.
        """
        self._lock()
        if (self.root / RESTORING).exists():
            self.unlock()
            raise HalfRestoredError
        self._open_public_slices()

    def _lock(self) -> None:
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

    @contextmanager
    def locked_for_restoring(self) -> Iterator[None]:
        """Keep other processes out of a folder that is not whole yet, or will not be for a while.

        Raises:
            FolderLockedError: another process is in.
        """
        self._lock()
        try:
            yield
        finally:
            self.unlock()

    @contextmanager
    def restoring(self) -> Iterator[Path]:
        """A fresh folder for what this one is to become. While it is there, this one cannot be opened.

        Raises:
            FolderLockedError: another process is in.
            OSError: it cannot be made.
        """
        new = self.root / RESTORING
        with self.locked_for_restoring():
            if new.exists():
                shutil.rmtree(new)
            self._make(new)
            yield new
            new.rmdir()
            sync_folder(self.root)

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
        """Remove a superseded revision, for good; that it is gone already is fine."""
        path = self.slice_path(room, name, public=public)
        path.unlink(missing_ok=True)
        if path.parent.is_dir():
            sync_folder(path.parent)

    def move_slices(self, room: str, *, public: bool) -> None:
        """Move all slices of a room to where its new visibility wants them. What is there already is kept."""
        trees = ("private", "public") if public else ("public", "private")
        source, target = (self.root / "slices" / tree / checked_room(room) for tree in trees)
        for path in sorted(source.glob("*/*.json.gz")):
            moved = target / path.parent.name / path.name
            self._make(moved.parent)
            path.chmod(self.mode_of_file(moved))
            path.replace(moved)
        for folder in (source, target):
            for changed in sorted(folder.glob("*/")):
                sync_folder(changed)

    def unnamed_slices(self, room: str, broadcast: int, named: set[str]) -> list[Path]:
        """Slices that lie in a broadcast's folders, public or private, and are not named: revisions that a crash kept from being removed."""
        folders = [self.root / "slices" / tree / checked_room(room) / str(broadcast) for tree in ("public", "private")]
        found = [path for folder in folders if folder.is_dir() for path in folder.glob("*.json.gz")]
        return sorted(path for path in found if path.name not in named)

    def sweep_slices(self, room: str, broadcast: int, named: set[str], *, public: bool) -> None:
        """Remove what lies in a broadcast's folder and is not named: old revisions and unfinished files."""
        tree = "public" if public else "private"
        folder = self.root / "slices" / tree / checked_room(room) / str(broadcast)
        if folder.is_dir():
            unnamed = [path for path in folder.iterdir() if path.name not in named]
            for path in unnamed:
                path.unlink(missing_ok=True)
            if unnamed:  # for good: a room that is at rest afterwards is not swept at the next start
                sync_folder(folder)

    def note_origins(self, room: str, origins: Iterable[str]) -> None:
        """Leave an empty file for each web origin that may use a public room, so that a web server can look it up.

        ``origins/https_school.example_8443`` beside a room's public slices: decision 0015. Nothing is written if nothing changed.

        Args:
            room: its slices are public.
            origins: as in the room's settings: scheme, host and perhaps port.
        """
        folder = self._public_slices / checked_room(room) / "origins"
        wanted = {origin.replace("://", "_").replace(":", "_") for origin in origins}
        wanted = {name for name in wanted if _ORIGIN_FILE.fullmatch(name)}
        there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        for name in there - wanted:
            (folder / name).unlink(missing_ok=True)
        for name in wanted - there:
            self._make(folder)
            descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            os.fchmod(descriptor, 0o644)
            os.close(descriptor)

    def hide_public_slices(self, served: Container[str]) -> list[str]:
        """Move away the public slices of rooms that are not served as public rooms now: a web server does not ask us.

        Args:
            served: the public rooms of this node.

        Returns:
            The rooms that had any.
        """
        hidden = []
        if self._public_slices.is_dir():
            for folder in sorted(self._public_slices.iterdir()):
                if folder.name not in served and _ROOM_ID.fullmatch(folder.name):
                    hidden += [folder.name] if any(folder.glob("*/*.json.gz")) else []
                    self.move_slices(folder.name, public=False)
        return hidden

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
                os.fchmod(descriptor, self.mode_of_file(path))
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
        self._make(path.parent)
        return path.with_name(f".{path.name}.{os.getpid()}.tmp")

    def publish(self, temporary: Path, path: Path) -> None:
        """Move a finished file to its place: sync, rename, sync of the folder."""
        descriptor = os.open(temporary, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fchmod(descriptor, self.mode_of_file(path))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(path)
        sync_folder(path.parent)

    # --- who may read ---------------------------------------------------------------------------------------------

    @property
    def _public_slices(self) -> Path:
        """The one tree that others may read: a web server is pointed at it."""
        return self.root / "slices" / "public"

    def mode_of_file(self, path: Path) -> int:
        """Who may read a file of this folder: only public slices are for others."""
        return 0o644 if path.is_relative_to(self._public_slices) else 0o600

    def mode_of_folder(self, folder: Path) -> int:
        """Who may look into a folder below this one."""
        if folder == self._public_slices.parent:
            return 0o711  # to be passed through, not looked into
        return 0o755 if folder.is_relative_to(self._public_slices) else 0o700

    def _make(self, folder: Path) -> None:
        """Make a folder and its parents with their modes, whatever the umask, and make their names durable."""
        if folder.is_dir():
            return
        self._make(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(self.mode_of_folder(folder))
        sync_folder(folder.parent)

    def _open_public_slices(self) -> None:
        """Open up the public tree of a version before, where all was 0600. Its own mode says that it was done."""
        public = self._public_slices
        if not public.is_dir() or public.stat().st_mode & 0o777 == self.mode_of_folder(public):
            return
        for path in public.rglob("*"):
            path.chmod(self.mode_of_folder(path) if path.is_dir() else self.mode_of_file(path))
        public.parent.chmod(self.mode_of_folder(public.parent))
        public.chmod(self.mode_of_folder(public))


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable: a rename without it can be lost."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
