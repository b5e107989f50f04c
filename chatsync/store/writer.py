"""The one thread that writes ``chatsync.db``: group commit, durable before anyone is told.

Owns: the writing connection, batching, checkpoints, what happens when a commit fails. Does not know: what the work is.
Source: reliability G1 and G9, speed "Durable appends"; decision 0002.

Everything submitted while a commit runs shares the next transaction, so latency under load is one commit and throughput is many.
Results are handed out only after COMMIT returned, which with WAL and ``synchronous=FULL`` means that the log is synced.
A second thread moves the log into the database file, so that no ack waits for that.
"""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, Generic, TypeVar

import structlog

from chatsync.errors import ChatsyncError, CorruptError, StorageFailedError, StorageFullError, StoreError
from chatsync.store.sums import watch

__all__ = [
    "BATCH_WORKS_MAX",
    "Between",
    "Completed",
    "Together",
    "Writer",
    "emptied_log",
    "is_disk_trouble",
    "opened",
    "store_error",
]

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], Any]
Done = Callable[[Any], None]
Completed = list[tuple[Done, Any]]

BATCH_WORKS_MAX = 1_000  # bounds how long the first of a batch waits: ~40 ms of appends
_BUSY_S = 10.0
_WRITER_KIB = 16_000  # of pages in memory
_READER_KIB = 4_000  # each thread has a reader or two, and the system has the pages too: a miss is a copy of 4 KiB
_SETTLE_S = 1.0  # how often the log is moved into the database and ``heads`` is synced, at most
_LOG_PAGES = 1_000  # ~4 MiB: a smaller log is left alone
_LOG_PAGES_MAX = 32_000  # ~128 MiB: past it the writer waits for the log to be emptied
_PASSES_TO_WAIT = 30  # after a reader was in the way, such as a backup: each try costs those who wait for an ack 0.1 s
_FULL_BYTES = 1 << 20  # a file system with less than this left is full, whatever SQLite calls it

_DISK_CODES = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY,
    }
)
_FULL_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT})
_DISK_ERRORS = _FULL_ERRORS | {errno.EIO, errno.EROFS}

_log = structlog.get_logger(__name__)


class Together:
    """Work of which many can be done as one: neighbours in a batch with the same ``together`` are.

    Args:
        together: does it for items in their order, with a result for each; None if these must be done one by one.
        alone: does it for one item.
        item: what is done.
    """

    __slots__ = ("_alone", "item", "together")

    def __init__(
        self,
        together: Callable[[sqlite3.Connection, list[Any]], list[Any] | None],
        alone: Callable[[sqlite3.Connection, Any], Any],
        item: Any,
    ) -> None:
        self.together, self._alone, self.item = together, alone, item

    def __call__(self, connection: sqlite3.Connection) -> Any:
        """Do it alone."""
        return self._alone(connection, self.item)


class Between(Generic[T]):
    """Work that is done in the writer's thread between two batches, in no transaction: nobody else wants to write meanwhile.

    What is submitted after it waits. It keeps its connections to itself, and what it raises is its result.

    Args:
        work: what is done.
    """

    __slots__ = ("_work",)

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work

    def __call__(self, _: sqlite3.Connection | None = None) -> T:
        """Do it."""
        return self._work()

    def outcome(self) -> T | Exception:
        """Do it; what came of it, or what it raised."""
        try:
            return self._work()
        except Exception as error:
            return error


def _together_of(entry: tuple[Work, Done]) -> Callable[..., list[Any] | None] | None:
    work = entry[0]
    return work.together if isinstance(work, Together) else None


def opened(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open a database of ours: mode 0600, WAL, ``synchronous=FULL``, transactions begun by hand.

    Args:
        path: the file; made if it is missing and not ``read_only``.
        read_only: a connection that cannot write, for readers in other threads.

    Raises:
        OSError: the file cannot be made.
        sqlite3.Error: it cannot be opened.
    """
    if not read_only:
        _create(path)
    uri = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rw'}"
    connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        connection.execute(f"PRAGMA cache_size=-{_READER_KIB if read_only else _WRITER_KIB}")
        connection.execute("PRAGMA temp_store=MEMORY")
        watch(connection)
        if read_only:
            connection.execute("PRAGMA query_only=1")
        else:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA secure_delete=ON")  # blanked text must not stay in free pages
    except UnicodeDecodeError as error:
        connection.close()
        raise _malformed() from error  # SQLite quotes its damaged schema, which is no text any more
    except BaseException:
        connection.close()
        raise
    return connection


def _malformed() -> sqlite3.DatabaseError:
    malformed = sqlite3.DatabaseError("database disk image is malformed")
    malformed.sqlite_errorcode, malformed.sqlite_errorname = sqlite3.SQLITE_CORRUPT, "SQLITE_CORRUPT"
    return malformed


def _create(path: Path) -> None:
    """Make the file with mode 0600, if it is not there.

    A file that is there must not even be opened: closing any descriptor of it drops the locks that this process holds on it
    (POSIX), and the next connection to close would take itself for the last one and delete the log that others still write.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return


def is_disk_trouble(error: BaseException) -> bool:
    """Whether an error says that the disk, not the work, is at fault: then nothing of a batch can be trusted."""
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DISK_CODES
    return isinstance(error, OSError) and error.errno in _DISK_ERRORS


def store_error(error: BaseException, folder: Path) -> StoreError:
    """What a failed write means for whoever asked for it: the disk is full, or it failed.

    Args:
        error: of SQLite or the operating system.
        folder: on the disk in question; SQLite does not always say that it is full.
    """
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL or (isinstance(error, OSError) and error.errno in _FULL_ERRORS):
        return StorageFullError()
    if code in {0, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN} and _has_no_space(folder):
        return StorageFullError()
    return StorageFailedError()


def _has_no_space(folder: Path) -> bool:
    try:
        space = os.statvfs(folder)
    except OSError:
        return False
    return space.f_bavail * space.f_frsize < _FULL_BYTES or (space.f_files > 0 and space.f_favail == 0)


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
        before_commit: called with the connection at the transaction's end: other databases that must be durable first commit here.
        after_commit: called when the batch is durable, before anyone is told.
        after_undo: called with the connection when one work of a batch raised and its rows were taken back.
        after_failure: called when a batch was lost: forget what it taught you.
        checkpoint: called in the writer's thread when the log is emptied: other databases' logs are emptied here.
        settle: called about once a second after commits, in another thread: what need not delay an ack.
    """

    def __init__(self, path: Path, *, deliver: Callable[[Completed], None] = _deliver_here) -> None:
        self._path, self._deliver = path, deliver
        self._queue: queue.SimpleQueue[tuple[Work, Done] | None] = queue.SimpleQueue()
        self._gate = threading.Lock()  # between submit and close: what is in the queue before the end is written
        self._closed = True
        self._thread: threading.Thread | None = None
        self._connection: sqlite3.Connection | None = None
        self._making: sqlite3.Connection | None = None
        self._doubtful = False
        self._checkpoint_due = False
        self._settler = _Settler(path, self._run_settle)
        self.before_commit: list[Callable[[sqlite3.Connection], None]] = []
        self.after_commit: list[Callable[[], None]] = []
        self.after_undo: list[Callable[[sqlite3.Connection], None]] = []
        self.after_failure: list[Callable[[], None]] = []
        self.checkpoint: list[Callable[[], None]] = []
        self.settle: list[Callable[[], None]] = []
        self.trouble: str | None = None

    def making(self) -> sqlite3.Connection:
        """Before the start: the connection that will write, for whoever makes tables and looks through them.

        It is one for all because SQLite reads the whole schema for each connection: 2 ms, most of them for triggers.

        Raises:
            OSError: the file cannot be made.
            sqlite3.Error: it cannot be opened.
        """
        if self._making is None:
            self._making = opened(self._path)
        return self._making

    def start(self) -> None:
        """Open the database and start the threads.

        Raises:
            StoreError: the database cannot be opened.
        """
        self.open()
        self._settler.start()
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._thread.start()

    def open(self) -> None:
        """Open the database and take work, without threads: whoever calls this calls :meth:`step` too.

        Raises:
            StoreError: the database cannot be opened.
        """
        self._connection = self._open()
        self._closed = False

    def close(self) -> None:
        """Write what was submitted before, then stop. Work submitted later is refused."""
        making, self._making = self._making, None
        if making is not None:  # it was never started
            making.close()
        with self._gate:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        if self._thread is None:
            self._run()
        else:
            self._thread.join()
            self._thread = None
        self._settler.stop()
        if self._connection is not None:
            self._empty_logs(self._connection)
            self._connection.close()
            self._connection = None

    def request_checkpoint(self) -> None:
        """Empty the write-ahead logs after the next batch: text that was blanked must not stay in its old pages."""
        self._checkpoint_due = True
        self.submit(lambda _: None, lambda _: None)

    def _empty_logs(self, connection: sqlite3.Connection) -> None:
        own: Callable[[], object] = partial(emptied_log, connection, "TRUNCATE")
        for empty in (own, *self.checkpoint):
            try:
                empty()
            except (
                sqlite3.Error,
                OSError,
            ) as error:  # a reader is in the way or the disk is full: the next one does it
                _log.warning("checkpoint_failed", error=type(error).__name__)

    def submit(self, work: Work, done: Done) -> None:
        """Queue work. ``done`` gets its result after the commit, or the exception; a work that raises leaves no rows.

        Never blocks, never raises. A :class:`~chatsync.errors.StoreError` means that nothing of the whole batch was acked; it
        is also the answer while the writer is not running.
        """
        with self._gate:
            if not self._closed:
                self._queue.put((work, done))
                return
        self._hand_out([(done, StorageFailedError())])

    def call(self, work: Callable[[sqlite3.Connection], T]) -> Future[T]:
        """As :meth:`submit`, with a future that is set from the writer's side."""
        future: Future[T] = Future()

        def done(result: Any) -> None:
            if not future.set_running_or_notify_cancel():
                return
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)

        self.submit(work, done)
        return future

    # --- the thread -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while self.step():
            pass

    def step(self, *, works_max: int = BATCH_WORKS_MAX) -> bool:
        """Wait for work, write one batch of it and tell those who asked: all that the writer's thread does.

        Returns:
            Whether there may be more; False once everything before the close is written.
        """
        batch: list[tuple[Work, Done]] = []
        item = self._queue.get()
        while item is not None:
            batch.append(item)
            if len(batch) >= works_max:
                break
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                break
        between = [(done, work) for work, done in batch if isinstance(work, Between)]
        if between:
            batch = [entry for entry in batch if not isinstance(entry[0], Between)]
        if batch:
            self._hand_out(self._committed(batch))
        for done, work in between:
            self._hand_out([(done, work.outcome())])
        if self._checkpoint_due and self._connection is not None:
            self._checkpoint_due = False
            self._empty_logs(self._connection)
        return item is not None

    def _hand_out(self, results: Completed) -> None:
        try:
            self._deliver(results)
        except Exception:
            # Nobody may be there to be told any more (an event loop that has closed). The writer goes on, and a thread that waits for
            # its result must not wait for ever.
            _log.exception("delivery_failed", results=len(results))
            for one in results:
                with contextlib.suppress(Exception):
                    _deliver_here([one])

    def _committed(self, batch: list[tuple[Work, Done]]) -> Completed:
        try:
            if self._connection is None:
                self._connection = self._open()
            if self._settler.log_is_long:
                self._settler.log_is_long = False
                if not emptied_log(self._connection, "RESTART"):
                    self._settler.passes_to_wait = _PASSES_TO_WAIT
            results = self._transact(self._connection, batch)
        except Exception as error:
            lost = error if isinstance(error, StoreError) else store_error(error, self._path.parent)
            if self.trouble is None:
                _log.error("commit_failed", code=lost.code, error=type(error).__name__, works=len(batch))
            self.trouble = lost.code
            self._forget()
            return [(done, lost) for _, done in batch]
        if self.trouble is not None:
            _log.info("commits_succeed_again")
        self.trouble = None
        self._settler.committed.set()
        return results

    def _transact(self, connection: sqlite3.Connection, batch: list[tuple[Work, Done]]) -> Completed:
        results: Completed = []
        execute = connection.execute
        execute("BEGIN IMMEDIATE")
        for together, works in groupby(batch, key=_together_of):
            run = list(works)
            found = None if together is None or len(run) == 1 else self._done_together(connection, together, run)
            for index, (work, done) in enumerate(run):
                results.append((done, self._done_alone(connection, work) if found is None else found[index]))
        for prepare in self.before_commit:
            prepare(connection)
        execute("COMMIT")
        for hook in self.after_commit:
            hook()
        return results

    def _done_together(
        self, connection: sqlite3.Connection, together: Callable[..., list[Any] | None], run: list[tuple[Work, Done]]
    ) -> list[Any] | None:
        """The results of works that can be done as one; None if they must be done one by one."""
        connection.execute("SAVEPOINT work")
        try:
            found = together(connection, [work.item for work, _ in run if isinstance(work, Together)])
        except Exception as error:
            if is_disk_trouble(error) or not connection.in_transaction:
                raise
            found = None  # one by one it shows whose fault it is
        if found is None:
            self._undo(connection)
        connection.execute("RELEASE work")
        return found

    def _done_alone(self, connection: sqlite3.Connection, work: Work) -> Any:
        """The result of a work, or what it raised: then it leaves no rows."""
        connection.execute("SAVEPOINT work")
        try:
            result = work(connection)
        except Exception as error:
            if is_disk_trouble(error) or not connection.in_transaction:
                raise
            self._undo(connection)
            if isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_ERROR:
                error = CorruptError(self._path.name, "it does not understand our statements")
            if not isinstance(error, ChatsyncError):
                error.add_note("raised by work in the writer's thread")
            result = error
        connection.execute("RELEASE work")
        return result

    def _undo(self, connection: sqlite3.Connection) -> None:
        connection.execute("ROLLBACK TO work")
        for undone in self.after_undo:
            undone(connection)

    def _forget(self) -> None:
        """After a failed batch nothing in memory is believed: the connection is opened afresh before the next one.

        A failed sync marks pages clean, so trying again on the same descriptor could succeed and mean nothing.
        """
        connection, self._connection = self._connection, None
        self._doubtful = True
        if connection is not None:
            try:
                connection.close()
            except sqlite3.Error:
                _log.warning("closing_failed")
        for hook in self.after_failure:
            hook()

    def _open(self) -> sqlite3.Connection:
        making, self._making = self._making, None
        try:
            connection = opened(self._path) if making is None else making
            try:
                if making is not None:  # what is in the log may be of a process whose sync failed, as below
                    with contextlib.suppress(sqlite3.Error):  # a full disk is to be read from
                        emptied_log(connection, "TRUNCATE")
                connection.execute("PRAGMA wal_autocheckpoint=0")  # the settler's task, beside the acks
                if self._doubtful:
                    # What was committed before may be in pages whose sync failed: write it again, to the database itself.
                    emptied_log(connection, "TRUNCATE")
                    self._doubtful = False
            except BaseException:
                connection.close()
                raise
        except (sqlite3.Error, OSError) as error:
            raise store_error(error, self._path.parent) from error
        return connection

    def _run_settle(self) -> None:
        for hook in self.settle:
            hook()


def emptied_log(connection: sqlite3.Connection, mode: str) -> bool:
    """Move the whole log into the database, and cut it (``TRUNCATE``) or begin it anew (``RESTART``).

    Returns:
        False if a reader held it open, for which is waited, but not long.

    Raises:
        sqlite3.Error: it cannot be.
    """
    connection.execute("PRAGMA busy_timeout=100")
    try:
        (busy, _, _) = connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        return not busy
    finally:
        connection.execute(f"PRAGMA busy_timeout={int(_BUSY_S * 1000)}")


class _Settler:
    """The thread beside: checkpoints, and what else need not delay an ack. Its failures are told by the writer's next commit."""

    def __init__(self, path: Path, run_hooks: Callable[[], None]) -> None:
        self._path, self._run_hooks = path, run_hooks
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.committed = threading.Event()
        self.log_is_long = False
        self.passes_to_wait = 0

    def start(self) -> None:
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="settler", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self.committed.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while True:
            self.committed.wait()
            self.committed.clear()
            try:
                self._run_hooks()
                self._checkpoint()
            except (sqlite3.Error, OSError) as error:
                _log.warning("settling_failed", error=type(error).__name__)
            if self._stopping.wait(_SETTLE_S):
                return

    def _checkpoint(self) -> None:
        log = self._path.with_name(f"{self._path.name}-wal")
        if not log.exists() or log.stat().st_size < _LOG_PAGES * 4096:
            return
        connection = opened(self._path)
        try:
            _, pages, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            if self.passes_to_wait:
                self.passes_to_wait -= 1
            else:
                self.log_is_long = pages > _LOG_PAGES_MAX
        finally:
            connection.close()
