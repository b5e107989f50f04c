"""What was acked survives a power cut at any moment (reliability G1, G7, G8).

Also in the middle of sealing, hiding, archiving, merging, letting rows leave the journal, and erasing a person. The relay works on a
file system of its own whose power is cut without its log being written; what it said is known here. Several such disks live side by side.
Long form: ``CHATSYNC_CUTS=1000``; another run of events: ``CHATSYNC_SEED``. Needs root.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import gzip
import itertools
import os
import random
import select
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from chatsync.instants import SECOND_US
from chatsync.service.clock import ManualClock
from chatsync.store.opening import open_store
from tests.faultkit.book import Book, check_opened
from tests.faultkit.busy import NUMBERS, ROOMS, Task, guest, guest_of, live
from tests.faultkit.ledger import id_of, text_of
from tests.faultkit.power import LOG_FLUSHED, LOG_LOST, PowerDisk, why_no_power_disk
from tests.forking import fork_context
from tests.stage import START_US, Stage, stage

CUTS = int(os.environ.get("CHATSYNC_CUTS", "100"))
SEED = int(os.environ.get("CHATSYNC_SEED", "20261124"))
pytestmark = [pytest.mark.faults, pytest.mark.timeout(120 + 3 * CUTS)]
LINES_MAX = 250  # that a life tells before its cut
LANES = 2  # disks side by side: while the power of one is cut, another one's relay works
DISK_CUTS = 100  # cuts of one file system; then the whole of it is looked through, and a fresh one made
PAUSES_S = (
    0.0,
    0.1,
    0.3,
    0.3,
)  # of writers: where they make none, most of what a life does is writing, and hardly anything ends
LIFE_US = 3_700 * SECOND_US  # the clock of each life starts so much later: what lies in another hour can be merged
WORKS = ("seal", "archive", "hide", "merge", "erase")
LONGEST_S = {"merge": 0.02, "erase": 0.08}  # within which a cut falls after the work began


class Life:
    """A process at work on the disk."""

    def __init__(self, task: Task) -> None:
        context = fork_context()
        self._pipe, told = context.Pipe(duplex=False)
        self._process: ForkServerProcess = context.Process(target=live, args=(told, task), daemon=True)
        self._process.start()
        told.close()
        self._text = b""
        self.lines: list[str] = []
        self.under_way: Counter[str] = Counter()

    def listen(self, seconds: float) -> bool:
        """Take in what comes within so long, at most once; False at the end of the lines."""
        if not select.select([self._pipe], [], [], max(0.0, seconds))[0]:
            return True
        piece = os.read(self._pipe.fileno(), 1 << 16)
        *lines, self._text = (self._text + piece).split(b"\n")
        for line in lines:
            self.lines.append(line.decode())
            what, _, which = self.lines[-1].partition(" ")
            if what in {"begin", "end"}:
                self.under_way[which] += 1 if what == "begin" else -1
        return bool(piece)

    def until(self, condition: Any, seconds: float) -> None:
        """Take in lines until something is so, or so long."""
        deadline = time.monotonic() + seconds
        while not condition() and (left := deadline - time.monotonic()) > 0 and self.listen(left):
            continue

    def has_told(self, what: str) -> bool:
        """Whether any of its lines says so."""
        return any(line.startswith(f"{what} ") for line in self.lines)

    def check_whole(self) -> None:
        """Nothing has failed while there was power."""
        broken = [line for line in self.lines if line.startswith("broken")]
        assert not broken, broken[0].replace("\\n", "\n")

    def kill(self) -> None:
        """End it as `kill -9` does, and take in its last lines."""
        self._process.kill()
        while self.listen(5):
            continue
        self._process.join()
        self._pipe.close()


def _lived(disk: PowerDisk, task: Task, chance: random.Random, cut_in: Counter[str]) -> list[str]:
    """One life and its cut; what it told."""
    one = Life(task)
    without = {"hide": not task.targets, "erase": not task.guests}
    moment = chance.choice(("opening", "any", "any", *(what for what in WORKS if not without.get(what))))
    if moment == "opening":
        one.until(lambda: False, chance.uniform(0.0, 0.2))
    else:
        one.until(lambda: "up" in one.lines, 30)
        wanted = chance.randrange(LINES_MAX) if moment == "any" else chance.randrange(LINES_MAX // 4)
        one.until(lambda: len(one.lines) >= wanted, 2.0)
        if task.guests and task.pause_s and chance.random() < 0.5:
            one.until(lambda: one.has_told("erased"), 3.0)
        if moment != "any":
            one.until(lambda: one.under_way[moment], 1.0)
            one.until(lambda: False, chance.uniform(0.0, LONGEST_S.get(moment, 0.004)))
    one.listen(0)
    one.check_whole()
    is_up = "up" in one.lines
    disk.cut(one.kill, flag=chance.choice((LOG_LOST,) * 4 + (LOG_FLUSHED,)))
    inside = [what for what in WORKS if one.under_way[what]]
    cut_in.update(inside if is_up else ["opening"])
    cut_in.update(["nothing else"] if is_up and not inside else [])
    return one.lines


async def _check_replay(folder: Path, book: Book, clock_us: int) -> None:
    """After one more start: what players replay is the log, each message once, less what was hidden and who was erased."""
    async with stage(folder, {room: {"public": True} for room in ROOMS}, clock=ManualClock(wall_us=clock_us)) as it:
        for room in ROOMS:
            await it.seal(room)
        await asyncio.to_thread(it.hub.archiving.eraser.finish_all, wall_us=clock_us)
        await asyncio.to_thread(it.hub.archiving._archive.archive_now)
        _note_finished(it, book)
        for room in ROOMS:
            it.advance(6)  # what came late to a slice is in it within 5 s
            await it.seal(room)
            replayed: dict[int, Any] = {}
            for broadcast in range(1, it.room(room).broadcasts.current.number + 1):
                for event in await it.replayed(room, broadcast):
                    assert event["offset"] not in replayed
                    replayed[event["offset"]] = event
            archived = _archived(it, room)
            for number, (offset, program_ms, stamp) in book.acked[room].items():
                if (room, number) in book.hidden or (room, guest_of(number)) in book.erased:
                    assert offset not in replayed
                    assert offset not in archived
                elif (room, number) not in book.hiding:
                    event = replayed[offset]
                    assert (id_of(number), text_of(number), program_ms) == tuple(
                        event[name] for name in ("id", "text", "program_ms")
                    )
                    assert stamp == event.get("stamp", stamp)
                    assert text_of(number) == archived[offset]


def _note_finished(it: Stage, book: Book) -> None:
    """Each erasure that was begun is finished: those that were asked for, and all that were answered."""
    keys = {(room, guest(life).key): (room, life) for room, life in book.erasing}
    rows = it.hub.journal.read("SELECT room, author_key, done_wall_us FROM erasures")
    assert [] == [row for row in rows if row[2] is None]
    finished = {keys[room, key] for room, key, _ in rows}
    assert book.erased <= finished
    book.erased = finished


def _archived(it: Stage, room: str) -> dict[int, str | None]:
    """What everyone may read in the archived files that the catalog lists: text by offset, each once."""
    texts: dict[int, str | None] = {}
    for file in it.hub.catalog.archive_files(room):
        for offset, text in zip(*_columns(it.hub.files.root / file.path, "offset", "text"), strict=True):
            assert offset not in texts
            texts[offset] = text
    return texts


def _columns(path: Path, *names: str) -> list[list[Any]]:
    table = pq.read_table(path, columns=list(names))
    return [table[name].to_pylist() for name in names]


def _check_whole(disk: PowerDisk, book: Book, clock_us: int) -> None:
    """At the end of a disk: everything, from the beginning."""
    folder = disk.place / "data"
    asyncio.run(_check_replay(disk.place, book, clock_us))
    book.through = dict.fromkeys(ROOMS, 0)
    check_opened(folder, book)
    with open_store(folder) as store:
        for room in ROOMS:
            assert book.through[room] == store.journal.head(room).offset
            assert 0 < store.journal.verify(room) <= book.through[room]
    _check_bytes(folder, book)


def _check_bytes(folder: Path, book: Book) -> None:
    """No file has the words of what was hidden, but for the moderators' copy; none at all has those of who was erased, or their name."""
    hidden = [text_of(number).encode() for room, number in book.hidden if (room, guest_of(number)) not in book.erased]
    said = [number for room, life in book.erased for number in book.of_guest(room, life)]
    gone = [text_of(number).encode() for number in random.Random(SEED).sample(said, min(40, len(said)))]
    everywhere = Counter(life for _, life in book.erased)  # from each room they were in
    were_in = Counter(life for room in ROOMS for life in set(map(guest_of, book.acked[room])))
    gone += [guest(life).name.encode() for life, rooms in everywhere.items() if rooms == were_in[life]]
    for path in filter(Path.is_file, folder.rglob("*")):
        words = gone if path.name.startswith("moderation.db") else [*gone, *hidden]
        for word in words:
            assert word not in _plain(path), f"{path.name} keeps {word.decode()!r}"


@functools.lru_cache(maxsize=1)
def _plain(path: Path) -> bytes:
    """What a file says, unpacked."""
    body = path.read_bytes()
    if path.suffix == ".gz":
        return gzip.decompress(body)
    return str(_columns(path, "text", "author_key", "details")).encode() if path.suffix == ".parquet" else body


@dataclass(slots=True)
class Tally:
    """What became of some cuts."""

    cut_in: Counter[str] = field(default_factory=Counter)
    acked: int = 0
    hidden: int = 0
    erased: int = 0

    def add(self, other: Tally) -> None:
        """And of others."""
        self.cut_in += other.cut_in
        self.acked += other.acked
        self.hidden += other.hidden
        self.erased += other.erased


def _one_disk(folder: Path, cuts: range) -> Tally:
    """The cuts of one file system, one after the other; in the end everything on it is compared."""
    chance, book, tally = random.Random(f"{SEED} {cuts.start}"), Book(), Tally()
    folder.mkdir()
    with ExitStack() as stack:
        disk = PowerDisk(folder)
        stack.callback(disk.remove)
        disk.format()
        for life, cut in enumerate(cuts):
            guests = book.guests(chance, chance.randrange(4))
            task = Task(
                disk.place,
                SEED + cut,
                START_US + life * LIFE_US,
                range(cut * NUMBERS, (cut + 1) * NUMBERS),
                book.targets(chance),
                guests,
                has_worker=chance.random() < 0.3,
                pause_s=chance.choice(PAUSES_S),
            )
            for line in _lived(disk, task, chance, tally.cut_in):
                book.take(line)
            disk.mount()
            if chance.random() < 0.5:  # else the next life finds it as it is
                check_opened(disk.place / "data", book)
        _check_whole(disk, book, START_US + len(cuts) * LIFE_US)
        gc.collect()  # connections of reading threads: as in check_opened
    tally.acked = sum(map(len, book.acked.values()))
    tally.hidden, tally.erased = len(book.hidden), len(book.erased)
    return tally


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where disks can lie whose power can be cut."""
    reason = why_no_power_disk()
    if reason is not None:
        pytest.skip(reason)
    tried = PowerDisk(tmp_path)
    try:
        tried.format()
        tried.cut(lambda: None)
    except OSError as error:
        pytest.skip(f"power cannot be cut here: {error}")
    finally:
        tried.remove()
    return tmp_path


def test_what_was_acked_survives_power_cuts_at_random_moments(folder: Path) -> None:
    """After each cut everything opens; every ack holds, every hide holds, every listed file is whole, nothing stands twice."""
    began_s, whole = time.monotonic(), Tally()
    disks = max(LANES, -(-CUTS // DISK_CUTS))
    edges = [CUTS * disk // disks for disk in range(disks + 1)]
    ranges = [range(first, end) for first, end in itertools.pairwise(edges)]
    with ThreadPoolExecutor(LANES) as lanes:
        try:
            for cuts, tally in zip(
                ranges, lanes.map(_one_disk, [folder / f"from-{cuts.start}" for cuts in ranges], ranges), strict=True
            ):
                whole.add(tally)
                print(f"{cuts.stop} cuts, {whole.acked} acked, {time.monotonic() - began_s:.0f} s", flush=True)
        except BaseException:
            lanes.shutdown(wait=False, cancel_futures=True)  # those under way come to their end
            raise
    where = ", ".join(f"{count} in {what}" for what, count in sorted(whole.cut_in.items()))
    print(
        f"\nseed {SEED}: {CUTS} cuts ({where}), {whole.acked} acked, {whole.hidden} hidden, {whole.erased} erased, 0 lost; {time.monotonic() - began_s:.0f} s"
    )
    assert CUTS < whole.acked
    assert CUTS < 50 or all(whole.cut_in[what] for what in ("opening", *WORKS))
