"""A disk that fails or is full, at any system call: no false ack, reading goes on, posting comes back by itself (reliability G1, G9).

At each position one call (or it and all later ones) fails while the relay says, hides, seals, archives, erases and merges; it must recover
without a restart, and finish what it put off; then its power is cut, which takes all that was acked and not synced; then what was refused is sent again.
Long form: ``CHATSYNC_POSITIONS=250``; another choice of positions: ``CHATSYNC_SEED``. Needs root and strace.
"""

from __future__ import annotations

import os
import random
import select
import socket
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatsync.instants import SECOND_US
from tests.faultkit.book import Book, check_opened
from tests.faultkit.busy import NUMBERS, Task
from tests.faultkit.power import PowerDisk, why_no_power_disk
from tests.faultkit.steps import stepping
from tests.faultkit.syscalls import Fault, Injection, why_no_injection
from tests.forking import fork_context
from tests.stage import START_US

POSITIONS = int(os.environ.get("CHATSYNC_POSITIONS", "20"))
SEED = int(os.environ.get("CHATSYNC_SEED", "20261124"))
pytestmark = [pytest.mark.faults, pytest.mark.timeout(180 + 10 * POSITIONS)]
LIFE_US = 3_700 * SECOND_US  # what lies in another hour can be merged
DISK_LIVES = 50  # lives on one file system
TRIES = 5  # messages after which posting has come back
ANSWER_S = 30.0
# How far to count: calls of one thread in a round; what is past the last call of a round is not injected and not counted.
CALLS = {
    "fdatasync": (("EIO", "ENOSPC"), 20),
    "fsync": (("EIO", "ENOSPC"), 20),
    "pwrite64": (("EIO", "ENOSPC"), 60),
    "write": (("EIO", "ENOSPC"), 12),
    "rename": (("EIO", "ENOSPC"), 8),
    "ftruncate": (("EIO",), 4),
    "fallocate": (("ENOSPC",), 1),
    "mkdir": (("ENOSPC",), 3),
    "unlink": (("EIO",), 6),
    "openat": (("EIO", "EMFILE"), 12),
}
READS_TOO = frozenset({"openat"})  # these fail reading as well, so that it need not go on


class Relay:
    """A relay that takes one step at a time, in a process of its own."""

    def __init__(self, task: Task) -> None:
        context = fork_context()
        self._line, its = socket.socketpair()
        self._process = context.Process(target=stepping, args=(its, task), daemon=True)
        self._process.start()
        its.close()
        self._text = b""
        self.lines: list[str] = []
        self._until("up")

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process.pid is not None
        return self._process.pid

    def _until(self, last: str) -> list[str]:
        first = len(self.lines)
        deadline = time.monotonic() + ANSWER_S
        while last not in self.lines[first:]:
            left = max(0.0, deadline - time.monotonic())
            assert select.select([self._line], [], [], left)[0], f"no answer within {ANSWER_S} s: {self.lines[first:]}"
            piece = self._line.recv(1 << 16)
            assert piece, f"the relay has died: {self.lines[first:]}"
            *lines, self._text = (self._text + piece).split(b"\n")
            self.lines += [line.decode() for line in lines]
            broken = [line for line in self.lines[first:] if line.startswith("broken")]
            assert not broken, broken[0].replace("\\n", "\n")
        return self.lines[first:]

    def step(self, *words: object) -> list[str]:
        """Ask for a step; what it told."""
        self._line.sendall(" ".join(map(str, words)).encode())
        return self._until("done")

    def kill(self) -> None:
        """End it as `kill -9` does."""
        self._process.kill()
        self._process.join()
        self._line.close()


def _faults(chance: random.Random) -> list[Fault]:
    """Every fault once, in random order: call, error, position, transient or lasting. Each call is among the first ones."""
    found = [
        Fault(call, error, position, is_lasting)
        for call, (errors, last) in CALLS.items()
        for error in errors
        for position in range(1, last + 1)
        for is_lasting in (False, True)
    ]
    chance.shuffle(found)
    first = {fault.call: fault for fault in reversed(found) if fault.position == 1}
    return [*first.values(), *(fault for fault in found if fault not in first.values())]


def _codes(told: list[str]) -> Counter[str]:
    return Counter(line.split()[2] for line in told if line.startswith("refused"))


def _one_position(disk: PowerDisk, fault: Fault, task: Task, book: Book, log: Path) -> Counter[str]:
    """A life with a fault in it; by code, what was refused."""
    relay = Relay(task)
    again = relay.step("again", *book.unsaid) if book.unsaid else []
    assert not _codes(again), "a healthy disk refuses"
    with Injection(relay.pid, fault, log) as injected:
        relay.step("round")
        if fault.is_lasting:
            injected.stop()
        tries = [relay.step("say") for _ in range(TRIES)]
        assert any(line.startswith("ack") for line in tries[-1]), f"posting has not come back: {tries}"
        count = injected.count
    healthy = relay.step("round")
    assert not _codes(healthy), f"posting has not come back: {healthy}"
    assert "unfinished 0" in healthy, f"an erasure is not finished: {healthy}"
    assert not any(line.startswith("withheld") for line in healthy), f"a slice has not come back: {healthy}"
    reads = [line.split()[1:] for line in relay.lines if line.startswith("read")]
    assert 2 == len(reads)
    assert {"200"} == set(reads[1])
    if fault.call not in READS_TOO:
        assert {"200"} == set(reads[0]), f"reading did not go on: {reads[0]}"
    refused = _codes(relay.lines)
    assert {"storage", "storage_full"} >= set(refused), refused
    disk.cut(relay.kill)
    for line in relay.lines:
        book.take(line)
    book.unsaid = [
        int(line.split()[1])
        for line in relay.lines
        if line.startswith("refused") and int(line.split()[1]) in task.numbers
    ]
    return refused if count else Counter({"not injected": 1})


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[PowerDisk]:
    """A disk whose power can be cut, beside a tracer that may attach."""
    reason = why_no_power_disk() or why_no_injection()
    if reason is not None:
        pytest.skip(reason)
    made = PowerDisk(tmp_path)
    try:
        try:
            made.format()
            made.cut(lambda: None)
        except OSError as error:
            pytest.skip(f"power cannot be cut here: {error}")
        yield made
    finally:
        made.remove()


def test_no_ack_is_false_when_a_call_fails(disk: PowerDisk, tmp_path: Path) -> None:
    """Whichever call fails, what is acked is on disk, the rest is refused as storage, and all of it can be sent again."""
    chance, began_s = random.Random(SEED), time.monotonic()
    faults = iter(_faults(chance))
    book, refused = Book(), Counter[str]()
    failed: list[Fault] = []
    acked = life = 0
    while len(failed) < POSITIONS:
        if life % DISK_LIVES == 0:
            acked += sum(map(len, book.acked.values()))
            disk.format()
            book = Book()
        fault, first = next(faults), life * NUMBERS
        start_us = START_US + (life % DISK_LIVES) * LIFE_US
        guests = book.guests(chance, 2)
        task = Task(disk.place, SEED, start_us, range(first, first + 1_000), book.targets(chance), guests)
        try:
            codes = _one_position(disk, fault, task, book, tmp_path / "strace.log")
            disk.mount()
            check_opened(disk.place / "data", book)
        except Exception as error:
            error.add_note(f"at {fault}, seed {SEED}")
            raise
        if codes != Counter({"not injected": 1}):
            failed.append(fault)
            refused += codes
        life += 1
    acked += sum(map(len, book.acked.values()))
    assert len(failed) == len(set(failed))
    where = ", ".join(f"{count} {call}" for call, count in sorted(Counter(fault.call for fault in failed).items()))
    print(
        f"\nseed {SEED}: {len(failed)} positions, each another ({where}), of {life} that were tried; {acked} acked, {refused.total()} refused ({dict(refused)}), "
        f"0 false acks; {time.monotonic() - began_s:.0f} s"
    )
    assert refused.total()
