"""Group commit: what is told, when, and what a failure leaves."""

from __future__ import annotations

import errno
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from chatsync.errors import CorruptError, IdReusedError, StorageFailedError, StorageFullError
from chatsync.store import writer as writing
from chatsync.store.writer import BATCH_WORKS_MAX, Between, Completed, Writer, opened, store_error


def _made(path: Path) -> Path:
    connection = opened(path)
    connection.execute("CREATE TABLE IF NOT EXISTS t (n INTEGER)")
    connection.close()
    return path


def _insert(number: int, connection: sqlite3.Connection) -> int:
    connection.execute("INSERT INTO t VALUES (?)", (number,))
    return number


def _numbers(path: Path) -> list[int]:
    connection = opened(path, read_only=True)
    try:
        return [row[0] for row in connection.execute("SELECT n FROM t ORDER BY rowid")]
    finally:
        connection.close()


class _Blocked:
    """A writer whose thread is held inside a batch, so that what is submitted meanwhile waits together."""

    def __init__(self, writer: Writer) -> None:
        self._go, inside = threading.Event(), threading.Event()

        def hold(_: sqlite3.Connection) -> None:
            inside.set()
            assert self._go.wait(10)

        writer.call(hold)
        assert inside.wait(10)

    def release(self) -> None:
        self._go.set()


def test_results_come_after_the_commit(tmp_path: Path) -> None:
    """When a result is told, another connection already sees the row."""
    path = _made(tmp_path / "db")
    seen: list[list[int]] = []
    writer = Writer(path, deliver=lambda _: seen.append(_numbers(path)))
    writer.start()
    writer.submit(partial(_insert, 1), lambda _: None)
    writer.close()
    assert [[1]] == seen


def test_work_between_two_batches_is_in_no_transaction(tmp_path: Path) -> None:
    """What was submitted with it is committed before; another connection may write, and what that raises is told as it is."""
    path = _made(tmp_path / "db")
    writer = Writer(path)
    writer.start()

    def between() -> list[int]:
        connection = opened(path)
        try:
            connection.execute("VACUUM")
            return _numbers(path)
        finally:
            connection.close()

    def failing() -> None:
        raise sqlite3.OperationalError

    blocked = _Blocked(writer)
    before, seen = writer.call(partial(_insert, 1)), writer.call(Between(between))
    failed, after = writer.call(Between(failing)), writer.call(partial(_insert, 2))
    blocked.release()
    assert (1, 2) == (before.result(10), after.result(10))
    assert 1 in seen.result(10)
    with pytest.raises(sqlite3.OperationalError):
        failed.result(10)
    assert writer.trouble is None
    writer.close()
    with pytest.raises(StorageFailedError):
        writer.call(Between(between)).result(10)


def test_what_waits_shares_one_commit(tmp_path: Path) -> None:
    """Everything submitted while a batch runs is told in one delivery, in order."""
    batches: list[Completed] = []
    done = threading.Event()

    def deliver(batch: Completed) -> None:
        batches.append(batch)
        for told, result in batch:
            told(result)

    path = _made(tmp_path / "db")
    writer = Writer(path, deliver=deliver)
    writer.start()
    blocked = _Blocked(writer)
    for number in range(50):
        writer.submit(
            partial(_insert, number),
            lambda result: done.set() if result == 49 else None,
        )
    blocked.release()
    assert done.wait(10)
    writer.close()
    assert [1, 50] == [len(batch) for batch in batches]
    assert list(range(50)) == [result for _, result in batches[1]]
    assert list(range(50)) == _numbers(path)


def test_a_batch_is_bounded(tmp_path: Path) -> None:
    """However much waits, the first of it does not wait for all of it."""
    sizes: list[int] = []
    writer = Writer(_made(tmp_path / "db"), deliver=lambda batch: sizes.append(len(batch)))
    writer.start()
    blocked = _Blocked(writer)
    for _ in range(BATCH_WORKS_MAX + 10):
        writer.submit(lambda _: None, lambda _: None)
    blocked.release()
    writer.close()
    assert [1, BATCH_WORKS_MAX, 10] == sizes


def test_work_that_raises_leaves_no_rows_and_harms_nobody(tmp_path: Path) -> None:
    """Its rows are taken back, it gets its own exception, and its neighbours in the batch are stored."""
    path = _made(tmp_path / "db")
    writer = Writer(path)
    undone: list[int] = []
    writer.after_undo.append(lambda _: undone.append(1))
    writer.start()
    blocked = _Blocked(writer)

    def half(connection: sqlite3.Connection) -> int:
        _insert(2, connection)
        raise IdReusedError

    def corrupt(connection: sqlite3.Connection) -> int:
        _insert(4, connection)
        raise CorruptError("journal", "a row")

    futures = [
        writer.call(partial(_insert, 1)),
        writer.call(half),
        writer.call(corrupt),
        writer.call(partial(_insert, 3)),
    ]
    blocked.release()
    assert [1, 3] == [futures[0].result(10), futures[3].result(10)]
    with pytest.raises(IdReusedError):
        futures[1].result(10)
    with pytest.raises(CorruptError):
        futures[2].result(10)
    writer.close()
    assert [1, 3] == _numbers(path)
    assert [1, 1] == undone
    assert writer.trouble is None


@pytest.mark.parametrize("hook", ["before_commit", "after_commit"])
def test_a_failed_commit_acks_nothing(tmp_path: Path, hook: str) -> None:
    """When what belongs to the commit fails, everyone in the batch is told so, and the next batch is stored."""
    path = _made(tmp_path / "db")
    writer = Writer(path)
    failing, lost = [True], []

    def fail(*_: object) -> None:
        if failing:
            raise OSError(errno.ENOSPC, "no space")

    getattr(writer, hook).append(fail)
    writer.after_failure.append(lambda: lost.append(1))
    writer.start()
    futures: list[Future[int]] = [writer.call(partial(_insert, number)) for number in range(2)]
    for future in futures:
        with pytest.raises(StorageFullError):
            future.result(10)
    assert "storage_full" == writer.trouble
    assert lost
    failing.clear()
    assert 7 == writer.call(partial(_insert, 7)).result(10)
    assert writer.trouble is None
    writer.close()
    assert (_numbers(path) == [7]) == (hook == "before_commit")


def test_a_failed_commit_of_sqlite_acks_nothing(tmp_path: Path) -> None:
    """A database that may not grow is full: nothing is acked, and writing comes back when it may again."""
    path = _made(tmp_path / "db")
    writer = Writer(path)
    writer.start()

    def cap(connection: sqlite3.Connection) -> None:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")

    writer.call(cap).result(10)
    with pytest.raises(StorageFullError):
        writer.call(lambda connection: connection.execute("INSERT INTO t VALUES (zeroblob(100000))")).result(10)
    # The connection was opened afresh: its cap is gone, as space would have come back.
    assert 1 == writer.call(partial(_insert, 1)).result(10)
    writer.close()
    assert [1] == _numbers(path)


def test_a_locked_database_is_a_failure_that_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While somebody else holds the database nothing is acked; afterwards writing goes on."""
    monkeypatch.setattr("chatsync.store.writer._BUSY_S", 0.05)
    path = _made(tmp_path / "db")
    writer = Writer(path)
    writer.start()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageFailedError):
        writer.call(partial(_insert, 1)).result(10)
    other.execute("ROLLBACK")
    other.close()
    assert 2 == writer.call(partial(_insert, 2)).result(10)
    writer.close()
    assert [2] == _numbers(path)


def test_closing_writes_what_was_submitted_and_refuses_what_comes_later(tmp_path: Path) -> None:
    """Nothing submitted before the close is lost, and nothing submitted after it waits for ever."""
    path = _made(tmp_path / "db")
    writer = Writer(path)
    writer.start()
    futures = [writer.call(partial(_insert, number)) for number in range(500)]
    writer.close()
    writer.close()
    assert list(range(500)) == [future.result(0) for future in futures]
    with pytest.raises(StorageFailedError):
        writer.call(partial(_insert, 1)).result(0)
    assert list(range(500)) == _numbers(path)


def test_a_delivery_that_fails_does_not_stop_the_writer(tmp_path: Path) -> None:
    """An event loop that has closed cannot be told: who waits in a thread is told all the same, and the writer goes on for the others."""
    path = _made(tmp_path / "db")
    deliveries: list[Completed] = []

    def deliver(batch: Completed) -> None:
        deliveries.append(batch)
        if len(deliveries) == 1:
            raise RuntimeError("Event loop is closed")
        for done, result in batch:
            done(result)

    writer = Writer(path, deliver=deliver)
    writer.start()
    stored = threading.Event()
    writer.after_commit.append(stored.set)
    first = writer.call(partial(_insert, 1))
    assert stored.wait(10)
    while not deliveries:
        stored.wait(0.01)
    assert 2 == writer.call(partial(_insert, 2)).result(10)
    writer.close()
    assert 1 == first.result(10)  # else its thread would wait for ever, and the process with it
    assert [1, 2] == _numbers(path)


def test_an_empty_log_is_left_after_a_close(tmp_path: Path) -> None:
    """What was blanked does not stay in old pages of the write-ahead log, even while somebody reads."""
    path = _made(tmp_path / "db")
    reader = opened(path, read_only=True)
    assert [] == reader.execute("SELECT n FROM t").fetchall()
    writer = Writer(path)
    writer.start()
    writer.call(partial(_insert, 1)).result(10)
    writer.close()
    assert 0 == path.with_name("db-wal").stat().st_size
    reader.close()


def test_other_connections_come_and_go_without_harm(tmp_path: Path) -> None:
    """While connections of this process are opened and closed, another process always sees every row that was acked.

    A descriptor of the file that is closed by hand drops SQLite's locks; then a connection's end would delete the log.
    """
    path = _made(tmp_path / "db")
    writer = Writer(path)
    writer.start()
    program = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('SELECT count(*) FROM t').fetchone()[0])"
    for number in range(3):
        opened(path).close()
        opened(path, read_only=True).close()
        writer.call(partial(_insert, number)).result(10)
        seen = subprocess.run([sys.executable, "-c", program, path], check=True, capture_output=True, text=True)
        assert number + 1 == int(seen.stdout)
    writer.close()


def test_databases_are_for_us_only(tmp_path: Path) -> None:
    """Chat is nobody else's business on a shared machine: database and log are 0600."""
    path = _made(tmp_path / "db")
    writer = Writer(path)
    writer.start()
    writer.call(partial(_insert, 1)).result(10)
    assert [0o600, 0o600] == [p.stat().st_mode & 0o777 for p in (path, path.with_name("db-wal"))]
    writer.close()


def test_a_schema_that_is_no_text_any_more_is_told_as_damage(tmp_path: Path) -> None:
    """SQLite quotes what it cannot read; that this is not UTF-8 is damage like any other."""
    path = _made(tmp_path / "t.db")
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    connection.close()
    body = path.read_bytes()
    assert b"CREATE TABLE t" in body
    path.write_bytes(body.replace(b"CREATE TABLE t", b"CREATE T\xc9BLE t"))
    with pytest.raises(sqlite3.DatabaseError) as told:
        opened(path).execute("SELECT * FROM t")
    assert sqlite3.SQLITE_CORRUPT == told.value.sqlite_errorcode


def test_who_makes_tables_uses_the_connection_that_writes_afterwards(tmp_path: Path) -> None:
    """There is one before the start, its log is in the database when work begins, and a writer that is never started closes it."""
    path = tmp_path / "db"
    writer = Writer(path)
    making = writer.making()
    making.execute("CREATE TABLE t (number INTEGER)")
    assert making is writer.making()
    writer.start()
    assert 0 == path.with_name("db-wal").stat().st_size
    assert [] == writer.call(lambda connection: [] if connection is making else ["another"]).result()
    writer.close()
    unused = Writer(path)
    making = unused.making()
    unused.close()
    with pytest.raises(sqlite3.ProgrammingError):
        making.execute("SELECT 1")


def test_an_unwritable_place_is_told_at_the_start(tmp_path: Path) -> None:
    """Opening says that it cannot, rather than failing at the first message."""
    with pytest.raises(StorageFailedError):
        Writer(tmp_path / "missing" / "db").start()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ENOSPC, ""), StorageFullError),
        (OSError(errno.EDQUOT, ""), StorageFullError),
        (OSError(errno.EIO, ""), StorageFailedError),
        (sqlite3.OperationalError("anything"), StorageFailedError),
    ],
)
def test_a_full_disk_is_told_from_a_broken_one(tmp_path: Path, error: Exception, expected: type[Exception]) -> None:
    """Only lack of space is called full: it is what passes when somebody makes room."""
    assert expected is type(store_error(error, tmp_path))


def test_a_reader_in_the_way_of_a_long_log_is_waited_for_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a backup reads for long, the writer does not lose a tenth of a second with each pass; afterwards the log is emptied."""
    for name, value in (("_LOG_PAGES", 0), ("_LOG_PAGES_MAX", 1), ("_SETTLE_S", 0.005), ("_PASSES_TO_WAIT", 20)):
        monkeypatch.setattr(f"chatsync.store.writer.{name}", value)
    tried: list[bool] = []

    def emptied(connection: sqlite3.Connection, mode: str, emptied: Any = writing.emptied_log) -> bool:
        done: bool = emptied(connection, mode)
        if mode == "RESTART":
            tried.append(done)
        return done

    monkeypatch.setattr(writing, "emptied_log", emptied)
    writer = Writer(_made(tmp_path / "db"))
    reader = opened(tmp_path / "db", read_only=True)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM t").fetchone()
    writer.start()
    try:
        passes: list[None] = []
        writer.settle.append(lambda: passes.append(None))
        number = 0
        while len(passes) < 60:
            writer.call(partial(_insert, number := number + 1)).result()
        assert 1 <= len(tried) <= 4
        assert not any(tried)
        reader.execute("ROLLBACK")
        while not any(tried):
            writer.call(partial(_insert, number := number + 1)).result()
    finally:
        writer.close()
        reader.close()
    assert list(range(1, number + 1)) == _numbers(tmp_path / "db")
