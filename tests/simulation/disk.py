"""The disk: the real writer, journal and files, with points at which a commit fails, the disk is full or the process dies.

Owns: fault points. Does not know: what is written. The writer takes a step when the seed says so, also in the middle of somebody
else's reading, as a thread would.
"""

from __future__ import annotations

import asyncio
import errno
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from chatsync.store.files import Files, SliceName
from chatsync.store.journal import Journal
from chatsync.store.writer import BATCH_WORKS_MAX, Completed, Done, Work, Writer
from tests.simulation.loop import SimLoop

if TYPE_CHECKING:
    from random import Random

    from tests.simulation.world import Process

__all__ = ["POINTS", "SimFiles", "SimJournal", "SimWriter"]

T = TypeVar("T")

POINTS = {
    "begin": 60,
    "statement": 1_500,
    "before_commit": 60,
    "after_commit": 60,
    "after_heads": 60,
    "before_slice": 12,
    "after_slice": 12,
    "before_removal": 6,
    "after_removal": 6,
    "before_publish": 8,
    "after_publish": 8,
}
"""Where a process may die, and about how often a run comes by."""


def _process() -> Process:
    process: Process = asyncio.get_running_loop().world.process  # type: ignore[attr-defined]
    return process


def _full() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    error.sqlite_errorname = "SQLITE_FULL"
    return error


def _broken() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR
    error.sqlite_errorname = "SQLITE_IOERR"
    return error


class _Connection:
    """The writer's connection to chatsync.db, on a disk that fails as planned."""

    def __init__(self, connection: sqlite3.Connection, process: Process) -> None:
        self._connection, self._process = connection, process

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        process = self._process
        if sql.startswith("BEGIN"):
            process.point("begin")
            return self._connection.execute(sql)
        if sql == "COMMIT":
            process.point("before_commit")
            fault = process.next_fault("commit")
            if fault == "lost":
                raise _broken()
            cursor = self._connection.execute(sql)
            process.point("after_commit")
            if fault == "reported":
                raise _broken()
            return cursor
        self._check(sql)
        return self._connection.execute(sql, values)

    def executemany(self, sql: str, values: Iterable[Sequence[Any]]) -> sqlite3.Cursor:
        self._check(sql)
        return self._connection.executemany(sql, values)

    def _check(self, sql: str) -> None:
        process = self._process
        process.point("statement")
        if process.world.is_disk_full and sql.startswith(("INSERT", "REPLACE", "UPDATE", "DELETE")):
            raise _full()
        if process.next_fault("statement"):
            raise _broken()


class _Awaited(Future[T]):
    """A future that a thread can wait for though there is but one."""

    def __init__(self, loop: SimLoop) -> None:
        super().__init__()
        self._loop = loop

    def result(self, timeout: float | None = None) -> T:
        self._loop.wait_in_thread(self.done)
        return super().result(timeout)


class SimWriter(Writer):
    """The writer without its thread: it takes a step when its time comes, or when a reader is interrupted by it."""

    def __init__(self, path: Path, *, deliver: Callable[[Completed], None]) -> None:
        super().__init__(path, deliver=deliver)
        self.process = _process()
        self.process.writer = self
        self._chance: Random = self.process.chance("writer")
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimLoop)
        self._loop = loop
        self._waiting = 0
        self._is_stepping = False

    def start(self) -> None:
        """Open the database; nothing runs by itself."""
        self.before_commit.insert(0, lambda _: self._check_beside())
        self.after_commit.append(lambda: self.process.point("after_heads"))
        self.open()

    def _open(self) -> sqlite3.Connection:
        return _Connection(super()._open(), self.process)  # type: ignore[return-value]

    def _check_beside(self) -> None:
        if self.process.next_fault("beside"):
            raise _broken()

    def submit(self, work: Work, done: Done) -> None:
        """Queue work, and be woken for it."""
        self._waiting += not self._closed
        super().submit(work, done)
        delay_s = self._chance.choice((0.0, 0.0002, 0.002, 0.02)) * self._chance.random()
        if self.process.world.is_rough and self._chance.random() < 0.01:
            delay_s = self._chance.random()  # a disk that thinks about it
        self._loop.call_later(delay_s, self.interrupt)

    def interrupt(self) -> None:
        """Take a step if there is anything to do."""
        if self._waiting and not self._is_stepping and self.process.is_alive:
            self._is_stepping = True
            works_max = self._chance.choice((1, 2, 3, BATCH_WORKS_MAX, BATCH_WORKS_MAX))
            self._waiting -= min(works_max, self._waiting)
            try:
                self.step(works_max=works_max)
            finally:
                self._is_stepping = False

    def call(self, work: Callable[[sqlite3.Connection], T]) -> Future[T]:
        """As the writer's own; a thread may wait for it."""
        future: _Awaited[T] = _Awaited(self._loop)

        def done(result: Any) -> None:
            if not future.set_running_or_notify_cancel():
                return
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)

        self.submit(work, done)
        return future

    def close(self) -> None:
        """As the writer's own; a killed process closes nothing."""
        self._waiting = 0
        if self.process.was_killed:
            return
        super().close()


class SimJournal(Journal):
    """The journal, whose readers may be interrupted by the writer between any two reads."""

    def __init__(self, writer: Writer, files: Files) -> None:
        super().__init__(writer, files)
        assert isinstance(writer, SimWriter)
        self._interrupted_by = writer
        self._chance = writer.process.chance("readers")
        writer.process.journal = self
        self._is_closed = False

    def close(self) -> None:
        """As the journal's own, once."""
        if not self._is_closed:
            self._is_closed = True
            super().close()

    def read(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """As the journal's own."""
        if self._chance.random() < 0.2:
            self._interrupted_by.interrupt()
        return super().read(sql, values)


class SimFiles(Files):
    """The data folder, on a disk that is full at times, of a process that may die before or after each change."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._process = _process()
        self._process.files = self

    def write_slice(self, room: str, name: SliceName, packed: bytes, *, public: bool) -> None:
        """As the files' own."""
        self._process.point("before_slice")
        self._check("file")
        super().write_slice(room, name, packed, public=public)
        self._process.world.note("slices")
        self._process.point("after_slice")

    def remove_slice(self, room: str, name: SliceName, *, public: bool) -> None:
        """As the files' own."""
        self._process.point("before_removal")
        super().remove_slice(room, name, public=public)
        self._process.point("after_removal")

    def publish(self, temporary: Path, path: Path) -> None:
        """As the files' own."""
        self._process.point("before_publish")
        self._check("archive")
        super().publish(temporary, path)
        self._process.world.note("archive files")
        self._process.point("after_publish")

    def _check(self, kind: str) -> None:
        if self._process.world.is_disk_full:
            raise OSError(errno.ENOSPC, "no space left")
        if self._process.next_fault(kind):
            raise OSError(errno.EIO, "input/output error")
