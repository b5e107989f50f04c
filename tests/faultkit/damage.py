"""A data folder with something of everything, what it answers, and hands that damage its files.

Each damage is tried on the same folder: untouched files are hard links, databases are copied. A log that lost its end leaves the
state of an earlier commit, so what is right then is known for each commit of it (:class:`Logs`).
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import sqlite3
import struct
import tempfile
import threading
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import structlog

from chatsync.errors import ChatsyncError
from chatsync.store.audit import head_of_audit
from chatsync.store.heads import AUDIT, CHANGES, HIDDEN, NAMES, Head, Heads
from chatsync.store.opening import Store, open_store
from chatsync.store.recovering import head_of, rooms_of
from chatsync.store.sums import changes
from chatsync.store.verifying import verify_store
from chatsync.store.writer import opened
from tests.faultkit.full_folder import DATABASES, LAST, QUESTIONS, Answers, answers, fill

__all__ = ["KINDS", "Kind", "Result", "Trial", "answers", "fill", "tried"]

JOURNAL_TABLES = frozenset(
    {"journal", "dedupe", "spoke", "effects", "epochs", "dirty_hours", "hours", "pruned", "erasures"}
)
PAGE_BYTES = 4_096


_OF_EVENTS = frozenset(
    {"after", "some", "last", "between", "event", "end", "state", "restored", "said again", "hidden texts"}
)


# --- damage -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kind:
    """What is damaged.

    Attributes:
        folder: ``closed`` or ``killed``.
        pattern: files of it.
        tables: only pages of these tables and their indexes; with ``others``, only pages of no such table.
        others: see there.
        log_of: the database whose write-ahead log it is.
        asks: what such damage can bear on; everything if it is empty.
    """

    folder: str
    pattern: str
    tables: frozenset[str] = frozenset()
    others: bool = False
    log_of: str | None = None
    asks: frozenset[str] = frozenset()


KINDS = {
    "journal": Kind("closed", "chatsync.db", JOURNAL_TABLES, asks=frozenset(QUESTIONS) - {"read", "slices"}),
    "catalog": Kind("closed", "chatsync.db", JOURNAL_TABLES, others=True),
    "log": Kind(
        "killed", "chatsync.db-wal", log_of="chatsync.db", asks=frozenset(QUESTIONS) - {"read", "left", "left between"}
    ),
    "log of names": Kind("killed", "identity.db-wal", log_of="identity.db", asks=_OF_EVENTS),
    "log of hidden texts": Kind("killed", "moderation.db-wal", log_of="moderation.db", asks=_OF_EVENTS),
    "heads": Kind("closed", "heads", asks=_OF_EVENTS | {"logged", "rooms"}),
    "names": Kind("closed", "identity.db", asks=_OF_EVENTS | {"read"}),
    "hidden texts": Kind("closed", "moderation.db", asks=_OF_EVENTS),
    "slices": Kind("closed", "slices/private/*/1/*.json.gz", asks=frozenset({"slices", "playlist"})),
    "parquet": Kind("closed", "archive/*/*/*/*.parquet", asks=frozenset({"read", "left", "left between", "plan"})),
}


def pages_of(path: Path, kind: Kind) -> list[int]:
    """Where the pages of a database start that a kind is about, in bytes; all of them where SQLite cannot say whose they are."""
    count = path.stat().st_size // PAGE_BYTES
    everything = [number * PAGE_BYTES for number in range(count)]
    if not kind.tables:
        return everything
    connection = sqlite3.connect(path)
    try:
        owners = dict(connection.execute("SELECT name, tbl_name FROM sqlite_master"))
        used = {
            number - 1: owners.get(name, name) for name, number in connection.execute("SELECT name, pageno FROM dbstat")
        }
    except sqlite3.OperationalError:  # built without dbstat
        return everything
    finally:
        connection.close()
    return [number * PAGE_BYTES for number in range(count) if (used.get(number) in kind.tables) is not kind.others]


@dataclass(frozen=True, slots=True)
class Damage:
    """A damaged file: what was done, from which byte on it differs, and whether it does at all."""

    what: str
    first: int
    differs: bool


def damage(path: Path, chance: random.Random, pages: list[int] | None = None) -> Damage:
    """Flip a bit, cut the file, or zero a page of it."""
    before = path.read_bytes()
    body = bytearray(before)
    at = chance.randrange(len(body)) if pages is None else chance.choice(pages) + chance.randrange(PAGE_BYTES)
    match chance.choice(("flip", "flip", "cut", "zero")):
        case "flip":
            bit = chance.randrange(8)
            body[at] ^= 1 << bit
            first = at
            what = f"bit {bit} of byte {at} flipped"
        case "cut":
            del body[at:]
            first = at
            what = f"cut at {at}"
        case _:
            start = at - at % PAGE_BYTES
            page = before[start : start + PAGE_BYTES]
            first = start + len(page) - len(page.lstrip(b"\0"))
            body[start : start + PAGE_BYTES] = bytes(len(body[start : start + PAGE_BYTES]))
            what = f"page at {start} zeroed"
    path.unlink()  # it may be a hard link
    path.write_bytes(bytes(body))
    return Damage(f"{path.name}: {what}", first, bytes(body) != before)


# --- logs -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class State:
    """What is right after a commit of a log: where it ends, answers, and what ``heads`` would have said."""

    size_bytes: int
    answers: Answers
    ends: dict[str, int]
    changes: int
    hidden: frozenset[tuple[str, int]]
    hides: tuple[tuple[str, int, int], ...]
    audited: int  # number of the newest record of the audit log


def _commits(log: Path) -> list[int]:
    """Sizes of a write-ahead log at which it ends with a commit, 0 first."""
    body, found = log.read_bytes(), [0]
    frame_bytes = 24 + PAGE_BYTES
    for start in range(32, len(body) - frame_bytes + 1, frame_bytes):
        _, pages = struct.unpack_from(">II", body, start)
        if pages:
            found.append(start + frame_bytes)
    return found


def _said_by(folder: Path) -> dict[str, Head]:
    """What ``heads`` of a folder should say."""
    found = {}
    for name, slot in zip(DATABASES, (CHANGES, NAMES, HIDDEN), strict=True):
        connection = opened(folder / name)
        try:
            if slot == CHANGES:
                found = {room: head_of(connection, room) for room in rooms_of(connection)}
                execute = connection.execute
                audited = head_of_audit(lambda sql, values: execute(sql, values).fetchall())  # noqa: B023 - called here
                found |= {} if audited is None else {AUDIT: audited}
            found[slot] = Head(0, changes(connection), 0)
        finally:
            connection.close()
    return found


def _state(folder: Path, kind: Kind, size_bytes: int) -> State:
    """The state of a folder whose log ends after a commit."""
    assert kind.log_of is not None
    log = folder / f"{kind.log_of}-wal"
    os.truncate(log, size_bytes)
    heads = _said_by(folder)
    (folder / "heads").unlink()
    writing = Heads(folder / "heads")
    for room, head in heads.items():
        writing.put(room, head)
    writing.flush()
    writing.close()
    connection = opened(folder / "chatsync.db")
    hidden = frozenset(connection.execute("SELECT room, offset FROM journal WHERE hidden = 1"))
    hides = tuple(
        connection.execute("SELECT room, offset, target FROM journal WHERE kind = 'hidden' AND target IS NOT NULL")
    )
    connection.close()
    slot = dict(zip(DATABASES, (CHANGES, NAMES, HIDDEN), strict=True))[kind.log_of]
    ends = {room: head.offset for room, head in heads.items() if not room.startswith(".")}
    with open_store(folder) as store:
        assert [] == store.journal.open_report
        audited = heads[AUDIT].offset if AUDIT in heads else 0
        return State(size_bytes, answers(store, kind.asks), ends, heads[slot].offset, hidden, hides, audited)


# --- trying -----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Result:
    """How many damages of a kind were tried, and what came of them."""

    tried: int = 0
    refused: int = 0
    told: int = 0
    same: int = 0
    faults: list[str] = field(default_factory=list)

    def add(self, other: Result) -> None:
        """Take in what another process found."""
        for name in ("tried", "refused", "told", "same"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.faults += other.faults

    def __str__(self) -> str:
        counts = (
            f"{self.tried} tried, {self.refused} refused, {self.told} told at opening, {self.same} change no answer"
        )
        return f"{counts}, {len(self.faults)} faults" + "".join(f"\n  {fault}" for fault in self.faults[:20])


_LOST = re.compile(r"room (\S+): offsets (\d+) to (\d+) are lost; its epoch is now 2")
_EPOCH = re.compile(r"room (\S+): its epoch is now 2")
_SHOWN = re.compile(r"room (\S+): what hid row (\d+) is lost, and it shows")
_CHANGES = re.compile(r"the last (\d+) changes of (.+) are lost")
_AUDITED = re.compile(r"(records \d+ to \d+) of the audit log are lost")
_NAMES = re.compile(r"names of \d+ authors are lost")


class Trial:
    """Damages one kind of file again and again, in a folder of its own.

    Args:
        base: where ``fill`` has made its folders.
        kind: a name of :data:`KINDS`.
        seed: of the damages; the number of one is added.
    """

    def __init__(self, base: Path, kind: str, seed: int) -> None:
        self._base, self._name, self._kind, self._seed = base, kind, KINDS[kind], seed
        self._source = base / self._kind.folder
        self._folder = base / f"work-{os.getpid()}"
        self._pages = None
        if self._kind.pattern.endswith(".db"):
            self._pages = pages_of(self._source / self._kind.pattern, self._kind)
        self._connection = threading.local()
        self._fresh()
        with open_store(self._folder) as store:
            self._share_duckdb(store)
            assert [] == store.journal.open_report
            assert [] == verify_store(store)["damaged"]
            self._truth = answers(store, self._kind.asks)
        assert [] == [name for name, answer in self._truth.items() if isinstance(answer, ChatsyncError)]
        self._states: list[State] = []
        if self._kind.log_of is not None:
            for size_bytes in _commits(self._source / f"{self._kind.log_of}-wal"):
                self._fresh()
                self._states.append(_state(self._folder, self._kind, size_bytes))

    def run(self, numbers: range) -> Result:
        """Try damages by their numbers."""
        result = Result()
        for number in numbers:
            try:
                self._try(number, result)
            except Exception as error:  # a fault in itself: whatever is damaged, a store answers or refuses
                at = traceback.extract_tb(error.__traceback__)[-1]
                where = f"{self._name} {number} (seed {self._seed}), {Path(at.filename).name}:{at.lineno}"
                result.faults.append(f"{where}: {type(error).__name__}: {error}")
        shutil.rmtree(self._folder, ignore_errors=True)
        return result

    def _try(self, number: int, result: Result) -> None:
        chance = random.Random(f"{self._seed} {self._name} {number}")
        self._fresh()
        done = damage(chance.choice(sorted(self._folder.glob(self._kind.pattern))), chance, self._pages)
        where = f"{self._name} {number} (seed {self._seed}), {done.what}"
        result.tried += 1
        try:
            with open_store(self._folder) as store:
                self._share_duckdb(store)
                report = list(store.journal.open_report)
                found = answers(store, self._kind.asks)
                truth = self._truth
                if self._states:
                    state = max(
                        (one for one in self._states if one.size_bytes <= done.first), key=lambda one: one.size_bytes
                    )
                    truth = state.answers
                    result.faults += [f"{where}: {line}" for line in self._wrong_report(report, state)]
                wrong = [
                    name
                    for name, answer in found.items()
                    if not isinstance(answer, ChatsyncError)
                    and answer not in (truth[name], self._without(name, report))
                ]
                if wrong:
                    result.faults.append(f"{where}: wrong answers {wrong}")
                is_refused = any(isinstance(answer, ChatsyncError) for answer in found.values())
                if self._states and is_refused:
                    result.faults.append(
                        f"{where}: refused {[n for n, a in found.items() if isinstance(a, ChatsyncError)]}"
                    )
                if is_refused and not _is_found(store):
                    result.faults.append(f"{where}: verify finds nothing")
                if self._name == "heads" and self._is_used(done) and not report:
                    result.faults.append(f"{where}: nobody is told")
        except ChatsyncError:
            is_refused, report = True, []
        result.refused += is_refused
        result.told += bool(report)
        result.same += not is_refused and not report

    def _without(self, name: str, report: list[str]) -> list[Any] | None:
        """What is right where the rows at the end of a room are damaged, and opening told that they are lost."""
        room, _, question = name.partition(" ")
        told = [match for line in report if (match := _LOST.match(line)) is not None and match[1] == room]
        if not told or question not in {"after", "last"}:
            return None
        lost = range(int(told[0][2]), int(told[0][3]) + 1)
        left = [event for event in self._truth[f"{room} after"] if event.offset not in lost]
        return left if question == "after" else left[-LAST:]

    def _is_used(self, done: Damage) -> bool:
        """Whether damage of ``heads`` is where something is written, not in what is spare."""
        used = len(Heads.read(self._source / "heads")) * 128
        is_cut = "cut" in done.what
        return is_cut or (done.differs and done.first < used and done.first % 128 < 88)

    def _wrong_report(self, report: list[str], state: State) -> list[str]:
        """What opening should have told of a log that ends here, and what it told."""
        newest = self._states[-1]
        expected: set[str] = set()
        lost = newest.changes - state.changes
        if lost:
            expected.add(f"the last {lost} changes")
        if self._kind.log_of == "chatsync.db":
            for room, end in newest.ends.items():
                known = state.ends.get(room, 0)
                if known < end:
                    expected.add(f"{room} {known + 1} to {end}")
                elif lost:
                    expected.add(f"{room} begins an epoch")
            if state.audited < newest.audited:
                expected.add(f"records {state.audited + 1} to {newest.audited}")
            lost_hides = {(room, target) for room, offset, target in newest.hides if offset > state.ends.get(room, 0)}
            expected |= {f"{room} shows {offset}" for room, offset in lost_hides - state.hidden}
        told = {_told(line) for line in report} - {""}
        return [] if told == expected else [f"told {sorted(told)}, and {sorted(expected)} is so"]

    def _share_duckdb(self, store: Store) -> None:
        """The folder is always the same one: DuckDB need not be opened for each."""
        store.query._local = self._connection

    def _fresh(self) -> None:
        """The undamaged folder."""
        if self._folder.exists():
            shutil.rmtree(self._folder)
        for folder, _, names in os.walk(self._source):
            target = self._folder / Path(folder).relative_to(self._source)
            target.mkdir(mode=0o700)
            for name in names:
                source = Path(folder) / name
                if name.endswith((".parquet", ".json.gz", ".json")):
                    (target / name).hardlink_to(source)
                else:
                    shutil.copyfile(source, target / name)


def _is_found(store: Store) -> bool:
    """Whether verify finds anything: the checks that are quick first, all of it only if they find nothing."""
    journal = store.journal
    for check in (store.catalog.wrong, journal.wrong, journal.check_indexes):
        try:
            if check():
                return True
        except (ChatsyncError, sqlite3.Error):
            return True
    return bool(verify_store(store)["damaged"])


def tried(base: Path, kind: str, count: int, seed: int, processes: int = 1) -> Iterator[Result]:
    """Try a kind in several processes; what was found so far, each time some more are done.

    Args:
        base: where ``fill`` has made its folders.
        kind: a name of :data:`KINDS`.
        count: how many damages.
        seed: of them.
        processes: at once.
    """
    result = Result()
    chunks = [range(first, min(count, first + _AT_ONCE)) for first in range(0, count, _AT_ONCE)]
    work = partial(_tried, str(base), kind, seed)
    if processes == 1:
        found: Iterator[Result] = map(work, chunks)
        yield from _summed(result, found)
        return
    with get_context("spawn").Pool(processes) as pool:
        yield from _summed(result, pool.imap_unordered(work, chunks))


_AT_ONCE = 100
_trials: dict[tuple[str, str, int], Trial] = {}


def _summed(result: Result, found: Iterator[Result]) -> Iterator[Result]:
    for one in found:
        result.add(one)
        yield result


def _tried(base: str, kind: str, seed: int, numbers: range) -> Result:
    """In any process: one trial each is enough."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    key = (base, kind, seed)
    if key not in _trials:
        _trials.clear()
        _trials[key] = Trial(Path(base), kind, seed)
    return _trials[key].run(numbers)


def main() -> None:
    """The long form: ``python -m tests.faultkit.damage --count 10000 --seed 1 --processes 2 log slices``."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kinds", nargs="*", default=list(KINDS))
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=1)
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    base = Path(tempfile.mkdtemp(dir="/dev/shm"))
    try:
        fill(base)
        for kind in given.kinds:
            for result in tried(base, kind, given.count, given.seed, given.processes):
                if result.tried % 500 == 0 or result.tried == given.count:
                    print(f"{kind}: {result}", flush=True)
    finally:
        shutil.rmtree(base)


def _told(line: str) -> str:
    """A line of a report in few words; nothing for what follows from others."""
    if found := _LOST.fullmatch(line):
        return "{} {} to {}".format(*found.groups())
    if found := _EPOCH.fullmatch(line):
        return f"{found[1]} begins an epoch"
    if found := _SHOWN.fullmatch(line):
        return f"{found[1]} shows {found[2]}"
    if found := _AUDITED.fullmatch(line):
        return found[1]
    if found := _CHANGES.fullmatch(line):
        return f"the last {found[1]} changes"
    return "" if _NAMES.fullmatch(line) else line


if __name__ == "__main__":
    main()
