"""Archive files made in another process: the same files, and nothing lost whatever becomes of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chatsync.errors import CorruptError, StorageFailedError
from chatsync.instants import HOUR_US, Range
from chatsync.store.archive import Archive
from chatsync.store.making import FileMaker
from chatsync.store.opening import Store
from chatsync.store.recall import Recall
from chatsync.store.worker import Worker
from tests.builders import BASE_US
from tests.store.deeds import placed, said, tamper

HOUR = Range(BASE_US, BASE_US + HOUR_US)
MANY = 20_000  # rows: a tenth of a second of work


@pytest.fixture
def worker(store: Store) -> Iterator[Worker]:
    """A worker for the folder, which ends with the test."""
    made = Worker(store.files.root, _here(store))
    yield made
    made.close()


def _here(store: Store) -> FileMaker:
    return FileMaker(store.files, store.journal, store.catalog, Recall(store.files, store.catalog))


def _archive(store: Store, worker: Worker) -> Archive:
    return Archive(store.files, store.journal, store.catalog, store.writer, worker)


def _say_many(store: Store) -> None:
    for first in range(0, MANY, 1_000):
        drafts = [placed(f"m{number}", number * 0.1) for number in range(first, first + 1_000)]
        store.writer.call(lambda connection, some=drafts: store.journal.append_many(connection, some)).result()  # type: ignore[misc]


def _files(store: Store) -> list[str]:
    return sorted(path.name for path in store.files.archive.rglob("*") if path.is_file())


def _archiving(archive: Archive) -> tuple[threading.Thread, list[StorageFailedError]]:
    """Archiving in a thread, as the relay does it, and where its failure goes."""
    failures: list[StorageFailedError] = []

    def work() -> None:
        try:
            archive.archive_now()
        except StorageFailedError as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    return thread, failures


def _await(condition: Callable[[], bool], within_s: float = 30.0) -> None:
    """Wait for what another process does."""
    deadline_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.001)


def test_a_poll_is_archived_by_the_worker_too(store: Store, worker: Worker) -> None:
    """Where names lie is not open to it, and no tally needs one: the file is as it would be made here."""
    said(
        store,
        placed("o", 0, None, kind="poll_opened", details={"poll": "p1", "question": "Sign?", "choices": ["+", "-"]}),
        placed("v", 1, None, kind="poll_voted", details={"poll": "p1", "choices": [0]}),
        placed("c", 2, None, kind="poll_closed", details={"poll": "p1"}),
    )
    _archive(store, worker).archive_now()
    made = {file.tree: file.sha256 for file in store.catalog.archive_files("math", tree=None)}
    here = {one.file.tree: one.file.sha256 for one in _here(store).make_span("math", 1, HOUR, [])}
    assert made == here


def test_it_makes_the_same_file(store: Store, worker: Worker) -> None:
    """What the other process makes is, byte for byte, what this one would; its offsets too."""
    said(store, placed("a", 1), placed("b", 0.5), placed("c", 2, kind="hand_raised", text=None))
    here = _here(store).make_span("math", 1, HOUR, [])
    there = worker.make_span("math", 1, HOUR, [])
    assert [(one.file, one.authors) for one in here] == [(one.file, one.authors) for one in there]
    _archive(store, worker).archive_now()
    (file,) = store.catalog.archive_files("math", tree="events")
    assert list(_here(store).offsets_in(file)) == list(worker.offsets_in(file))


def test_it_makes_the_same_record(store: Store, worker: Worker) -> None:
    """Viewers by minute, in a file that is not made again until there are more minutes."""
    store.writer.call(lambda connection: store.catalog.note_viewers(connection, "math", 1, BASE_US, 3)).result()
    (here,) = _here(store).make_record("math", 1, [])
    (there,) = worker.make_record("math", 1, [])
    assert (here.file, "viewers", 1) == (there.file, here.file.tree, here.file.rows)
    assert [] == worker.make_record("math", 1, [here.file])


def test_it_is_there_only_while_there_is_something_to_do(store: Store, worker: Worker) -> None:
    """No process before the first request and none after resting; without changed hours there is none at all."""
    archive = _archive(store, worker)
    archive.archive_now()
    before = worker.pid
    said(store, placed("a", 1))
    archive.archive_now()
    meanwhile = worker.pid
    archive.rest()
    assert (None, None) == (before, worker.pid)
    assert meanwhile is not None
    assert not Path(f"/proc/{meanwhile}").exists()


def test_it_holds_nothing_of_the_relay(store: Store, worker: Worker) -> None:
    """Sockets and the lock of the folder stay with the relay; the other process gives way to whoever needs the core."""
    said(store, placed("a", 1))
    worker.make_span("math", 1, HOUR, [])
    folder = Path(f"/proc/{worker.pid}/fd")
    held = [os.readlink(path) for path in folder.iterdir()]
    assert [] == [one for one in held if "socket" in one or one.endswith("/lock")]
    assert worker.pid is not None
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    assert min(19, ours + 10) == os.getpriority(os.PRIO_PROCESS, worker.pid)


def test_one_that_is_killed_loses_nothing(store: Store, worker: Worker) -> None:
    """Kill -9 in the middle of a file: the hour stays to be written, is written the next time, and nothing half done lies about."""
    _say_many(store)
    archive = _archive(store, worker)
    thread, failures = _archiving(archive)
    _await(lambda: any(name.endswith(".tmp") for name in _files(store)))
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    thread.join()
    assert 1 == len(failures)
    assert [] == store.catalog.archive_files("math")
    assert 1 == len(store.catalog.dirty_hours("math"))
    assert 1 == archive.archive_now()
    assert [f"{BASE_US // 1_000}.g1.parquet", "math.json"] == _files(store)
    assert MANY == store.catalog.archive_files("math")[0].rows
    assert [] == store.catalog.dirty_hours("math")


def test_closing_ends_it_in_the_middle(store: Store, worker: Worker) -> None:
    """A relay that stops does not wait for a file; afterwards no other process is started."""
    _say_many(store)
    archive = _archive(store, worker)
    thread, failures = _archiving(archive)
    _await(lambda: any(name.endswith(".tmp") for name in _files(store)))
    worker.close()
    thread.join()
    assert 1 == len(failures)
    with pytest.raises(StorageFailedError):
        worker.make_span("math", 1, HOUR, [])
    assert worker.pid is None


def test_damage_is_told_as_it_was_found(store: Store, worker: Worker) -> None:
    """What is damaged, and how, comes through the pipe; the process goes on."""
    said(store, placed("a", 1), placed("b", 2))
    tamper(store.files.root, "UPDATE journal SET text = 'other' WHERE offset = 2")
    with pytest.raises(CorruptError) as here:
        _here(store).make_span("math", 1, HOUR, [])
    with pytest.raises(CorruptError) as there:
        worker.make_span("math", 1, HOUR, [])
    assert (here.value.what, here.value.detail) == (there.value.what, there.value.detail)
    assert worker.pid is not None


def test_where_none_can_be_started_the_relay_does_it(
    store: Store, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without processes, or without an interpreter that works, archiving goes on here."""
    said(store, placed("a", 1))
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    (made,) = worker.make_span("math", 1, HOUR, [])
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert (1, [1]) == (made.file.rows, [one.file.rows for one in worker.make_span("math", 1, HOUR, [])])
    assert worker.pid is None


_LIFE = """
import sys, time
from pathlib import Path
from chatsync.instants import HOUR_US, Range
from chatsync.store.making import FileMaker
from chatsync.store.opening import open_store
from chatsync.store.recall import Recall
from chatsync.store.worker import Worker
from tests.builders import BASE_US
with open_store(Path(sys.argv[1])) as store:
    here = FileMaker(store.files, store.journal, store.catalog, Recall(store.files, store.catalog))
    worker = Worker(store.files.root, here)
    worker.make_span("math", 1, Range(BASE_US, BASE_US + HOUR_US), [])
    print(worker.pid, flush=True)
    time.sleep(60)
"""


def test_it_ends_with_a_relay_that_is_killed(tmp_path: Path) -> None:
    """Kill -9 of the relay ends the other process too: none is left that could write into the next one's folder."""
    with subprocess.Popen(
        [sys.executable, "-c", _LIFE, str(tmp_path / "data")],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": "."},
    ) as relay:
        assert relay.stdout is not None
        pid = int(relay.stdout.readline())
        relay.kill()
        relay.wait()
        _await(lambda: not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().split()[2])
