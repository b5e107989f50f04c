"""The one thread that writes ``chatsync.db``: group commit, durable before anyone is told.

Owns: the writing connection, batching, what happens when a commit fails. Does not know: what the work is.
Source: reliability G1, speed "Durable appends"; decision 0002.

Everything submitted while a commit runs shares the next transaction, so latency under load is one commit and throughput is many.
Results are handed out only after COMMIT returned, which with WAL and ``synchronous=FULL`` means that the log is synced.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from chatsync.errors import ChatsyncError, StorageFailedError, StorageFullError, StoreError

__all__ = ["BATCH_WORKS_MAX", "Completed", "Writer", "opened"]

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], Any]
Done = Callable[[Any], None]
Completed = list[tuple[Done, Any]]

BATCH_WORKS_MAX = 4_096  # bounds how long the first of a batch waits: ~0.1 s of appends
_FULL_CODES = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE}
_BUSY_S = 10.0


def opened(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open a database of ours: WAL, ``synchronous=FULL``, transactions begun by hand.

    Args:
        path: the file; made if it is missing and not ``read_only``.
        read_only: a connection that cannot write, for readers in other threads.

    Raises:
        sqlite3.Error: it cannot be opened.
    """
    uri = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
    connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA cache_size=-16000")
    if read_only:
        connection.execute("PRAGMA query_only=1")
        return connection
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA wal_autocheckpoint=4000")  # ~16 MiB: a checkpoint every few ten thousand events
    connection.execute("PRAGMA secure_delete=ON")  # blanked text must not stay in free pages
    return connection


def _deliver_here(batch: Completed) -> None:
    for done, result in batch:
        done(result)


class Writer:
    """Runs submitted work in batches, one transaction each.

    Args:
        path: the database.
        deliver: called once a batch from the writer's thread with every (done, result or exception); the service turns it into
            one wake-up of its event loop. By default ``done`` is called in the writer's thread.

    Attributes:
        trouble: why the last commit failed (an error code), None while commits succeed.
        before_commit: called in the transaction's end: other databases that must be durable first commit here.
        after_commit: called when the batch is durable, before anyone is told.
        after_failure: called when a batch was lost: forget what it taught you.
    """

    def __init__(self, path: Path, *, deliver: Callable[[Completed], None] = _deliver_here) -> None:
        self._path, self._deliver = path, deliver
        self._queue: queue.SimpleQueue[tuple[Work, Done] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._connection: sqlite3.Connection | None = None
        self.before_commit: list[Callable[[], None]] = []
        self.after_commit: list[Callable[[], None]] = []
        self.after_failure: list[Callable[[], None]] = []
        self.trouble: str | None = None
        self._checkpoint_due = False

    def start(self) -> None:
        """Open the database and start the thread.

        Raises:
            StoreError: the database cannot be opened.
        """
        self._connection = self._open()
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write what was submitted before, then stop. Work submitted later is refused."""
        if self._thread is None:
            return
        self._queue.put(None)
        self._thread.join()
        self._thread = None
        if self._connection is not None:
            self._checkpoint(self._connection)
            self._connection.close()
            self._connection = None

    def request_checkpoint(self) -> None:
        """Empty the write-ahead log after the next batch: text that was blanked must not stay in its old pages."""
        self._checkpoint_due = True
        self.submit(lambda _: None, lambda _: None)

    @staticmethod
    def _checkpoint(connection: sqlite3.Connection) -> None:
        try:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error:
            return  # a reader is in the way or the disk is full; the next one does it

    def submit(self, work: Work, done: Done) -> None:
        """Queue work. ``done`` gets its result after the commit, or the exception; a work that raises leaves no rows.

        Never blocks. A :class:`~chatsync.errors.StoreError` means that nothing of the whole batch was stored.
        """
        self._queue.put((work, done))

    def call(self, work: Callable[[sqlite3.Connection], T]) -> Future[T]:
        """As :meth:`submit`, with a future that is set from the writer's side."""
        future: Future[T] = Future()

        def done(result: Any) -> None:
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)

        self.submit(work, done)
        return future

    def _open(self) -> sqlite3.Connection:
        try:
            return opened(self._path)
        except sqlite3.Error as error:
            raise _store_error(error) from error

    def _run(self) -> None:
        stopping = False
        while not stopping:
            batch: list[tuple[Work, Done]] = []
            item = self._queue.get()
            while True:
                if item is None:
                    stopping = True
                    break
                batch.append(item)
                if len(batch) >= BATCH_WORKS_MAX:
                    break
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
            if batch:
                self._deliver(self._committed(batch))
            if self._checkpoint_due and self._connection is not None:
                self._checkpoint_due = False
                self._checkpoint(self._connection)

    def _committed(self, batch: list[tuple[Work, Done]]) -> Completed:
        try:
            if self._connection is None:
                self._connection = self._open()
            results = self._transact(self._connection, batch)
        except (sqlite3.Error, OSError, StoreError) as error:
            lost = error if isinstance(error, StoreError) else _store_error(error)
            self.trouble = lost.code
            self._forget()
            return [(done, lost) for _, done in batch]
        self.trouble = None
        return results

    def _transact(self, connection: sqlite3.Connection, batch: list[tuple[Work, Done]]) -> Completed:
        results: Completed = []
        connection.execute("BEGIN IMMEDIATE")
        for work, done in batch:
            connection.execute("SAVEPOINT work")
            try:
                result: Any = work(connection)
            except (sqlite3.Error, OSError, StoreError):
                raise  # the disk, not the work: nothing of this batch can be trusted
            except Exception as error:
                if not isinstance(error, ChatsyncError):
                    error.add_note("raised by work in the writer's thread")
                connection.execute("ROLLBACK TO work")
                result = error
            connection.execute("RELEASE work")
            results.append((done, result))
        for hook in self.before_commit:
            hook()
        connection.execute("COMMIT")
        for hook in self.after_commit:
            hook()
        return results

    def _forget(self) -> None:
        """After a failed batch nothing in memory is believed: the connection is opened afresh before the next one.

        A failed sync marks pages clean, so trying again on the same descriptor could succeed and mean nothing.
        """
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except sqlite3.Error:
                self.trouble = self.trouble or "storage"
        for hook in self.after_failure:
            hook()


def _store_error(error: Exception) -> StoreError:
    code = getattr(error, "sqlite_errorcode", None)
    full = code in _FULL_CODES or getattr(error, "errno", None) == 28  # ENOSPC
    return StorageFullError() if full else StorageFailedError()
