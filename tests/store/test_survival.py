"""The store alone under kill -9 and on a full disk (reliability G1, G2, G8, G9): the ledger of acks is kept outside."""

from __future__ import annotations

import errno
import os
import random
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatsync.errors import StorageFullError
from chatsync.store.opening import open_store
from tests.builders import author, draft

pytestmark = [pytest.mark.faults]

_ROOT = Path(__file__).resolve().parents[2]
_KILLS = int(os.environ.get("CHATSYNC_STORE_KILLS", "5"))
_ROOMS = ("art", "math")
_PROGRAM = """
import sys, threading
from pathlib import Path
from chatsync.store.opening import open_store
from tests.builders import author, draft

folder, prefix = Path(sys.argv[1]), sys.argv[2]
space = threading.Semaphore(64)

def told(number, result):
    if isinstance(result, BaseException):
        raise result
    event = result.event
    sys.stdout.write(f"{event.room} {event.offset} {event.id} {event.program_us}\\n")
    sys.stdout.flush()
    space.release()

with open_store(folder) as store:
    number = 0
    while True:
        space.acquire()
        number += 1
        one = draft(f"{prefix}-{number}", f"text {number}", room=("art", "math")[number % 2], author=author(f"P{number % 7}"))
        store.writer.submit(
            lambda connection, one=one: store.journal.append(connection, one),
            lambda result, number=number: told(number, result),
        )
"""


def _killed_after(folder: Path, prefix: str, acks: int) -> list[tuple[str, int, str, int]]:
    """Write until so many acks have come, kill -9, and return every ack that came out of the process."""
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(folder), prefix], stdout=subprocess.PIPE, cwd=_ROOT, bufsize=0
    )
    assert process.stdout is not None
    told = b""
    while told.count(b"\n") < acks:
        assert select.select([process.stdout], [], [], 60)[0], "the writer has stopped"
        piece = os.read(process.stdout.fileno(), 65_536)
        assert piece, "the writer has died"
        told += piece
    process.kill()
    rest, _ = process.communicate()
    lines = [line.split() for line in (told + rest).decode().splitlines() if line.count(" ") == 3]
    return [(room, int(offset), event_id, int(program_us)) for room, offset, event_id, program_us in lines]


@pytest.mark.timeout(300)
def test_whatever_was_acked_is_there_after_kill_9(tmp_path: Path) -> None:
    """Killed at random moments, nothing acked is lost, doubled or changed; offsets have no hole and chains are whole."""
    folder, chance = tmp_path / "data", random.Random(20260302)
    ledger: dict[tuple[str, int], tuple[str, int]] = {}
    for kill in range(_KILLS):
        for room, offset, event_id, program_us in _killed_after(folder, f"kill{kill}", chance.randrange(1, 2_000)):
            assert (room, offset) not in ledger
            ledger[(room, offset)] = (event_id, program_us)
        with open_store(folder) as store:
            assert [] == store.journal.open_report
            stored: dict[tuple[str, int], tuple[str, int]] = {}
            for room in _ROOMS:
                events = store.journal.events_after(room, 0, 1_000_000)
                assert len(events) == store.journal.verify(room)
                assert list(range(1, len(events) + 1)) == [event.offset for event in events]
                assert len(events) == len({event.id for event in events})
                assert {f"P{number}" for number in range(7)} >= {event.author.name for event in events if event.author}
                stored |= {(room, event.offset): (event.id, event.program_us) for event in events}
            assert ledger.items() <= stored.items()
            # What came through unacked keeps its place: the author sends it again and gets the first answer.
            room, offset = sorted(ledger)[-1]
            number = int(ledger[(room, offset)][0].rpartition("-")[2])
            again = draft(ledger[(room, offset)][0], f"text {number}", room=room, author=author(f"P{number % 7}"))
            found = store.writer.call(lambda connection, one=again: store.journal.append(connection, one)).result(10)  # type: ignore[misc]
            assert (True, offset) == (found.duplicate, found.event.offset)


def _mounted(*arguments: str) -> bool:
    return subprocess.run(["mount", *arguments], check=False, capture_output=True).returncode == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    if os.geteuid() != 0:
        pytest.skip("a small disk can only be mounted as root")
    place = tmp_path / "small"
    place.mkdir()
    if not _mounted("-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)):
        pytest.skip("tmpfs cannot be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_loses_nothing_acked_and_writing_comes_back(small_disk: Path) -> None:
    """When space runs out posting is refused as full, reading goes on, and with new space writing does, without a restart."""
    with open_store(small_disk / "data") as store:
        acked = []
        for number in range(5_000):
            one = draft(f"id-{number}", "x" * 1_000)
            future = store.writer.call(lambda connection, one=one: store.journal.append(connection, one))  # type: ignore[misc]
            if (error := future.exception(30)) is not None:
                assert isinstance(error, StorageFullError)
                break
            acked.append(future.result().event)
        else:
            pytest.fail("the disk was never full")
        assert acked
        assert "storage_full" == store.writer.trouble
        for _ in range(3):
            refused = store.writer.call(lambda connection, one=one: store.journal.append(connection, one))  # type: ignore[misc]
            assert isinstance(refused.exception(30), StorageFullError)
        assert acked == store.journal.events_after("math", 0, 10_000)[: len(acked)]

        assert _mounted("-o", "remount,size=8m", str(small_disk))
        after = store.writer.call(lambda connection, one=one: store.journal.append(connection, one)).result(30)  # type: ignore[misc]
        assert len(acked) + 1 == after.event.offset
        assert store.writer.trouble is None
        assert len(acked) + 1 == store.journal.verify("math")
    with open_store(small_disk / "data") as store:
        assert [] == store.journal.open_report
        assert [*acked, after.event] == store.journal.events_after("math", 0, 10_000)


def _fill(path: Path) -> None:
    """Take all space that is left."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(os.urandom(4_096))
        except OSError as error:
            assert errno.ENOSPC == error.errno  # noqa: PT017 - what ends the loop


def test_a_full_disk_leaves_the_archive_as_it_was(small_disk: Path) -> None:
    """An hour that cannot be written keeps its earlier generation and stays to be written."""
    with open_store(small_disk / "data") as store:
        store.writer.call(lambda connection: store.journal.append(connection, draft("id-1"))).result(30)
        store.archive.archive_now()
        before = store.catalog.archive_files()
        store.writer.call(lambda connection: store.journal.append(connection, draft("id-2"))).result(30)
        filler = small_disk / "filler"
        _fill(filler)
        with pytest.raises(StorageFullError):
            store.archive.archive_now()
        assert before == store.catalog.archive_files()
        assert 1 == len(store.catalog.dirty_hours())
        assert [] == store.archive.verify()
        filler.unlink()
        store.archive.archive_now()
        assert [2] == [file.rows for file in store.catalog.archive_files()]
        assert [] == store.archive.verify()
