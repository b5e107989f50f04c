"""One run: an origin, a relay that dies and comes back, a disk that fails, clocks that jump, and people.

Owns: what happens when, from one seed; processes and their folders; the trace. Does not know: what must be true (``checks``).
Units: µs of true wall time, ns of virtual time.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator, MutableMapping, MutableSet, Sequence
from contextlib import ExitStack
from contextvars import copy_context
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import structlog

import chatsync.chat.room
import chatsync.replay.slices
import chatsync.service.app
import chatsync.service.archiving
import chatsync.service.deliveries
import chatsync.service.fanout
import chatsync.service.hub
import chatsync.service.live_room
import chatsync.service.loop_lag
import chatsync.service.relay
import chatsync.service.sockets
import chatsync.store.pruning
from chatsync.errors import CorruptError, RoomRestartingError, StoreError
from chatsync.instants import HOUR_US, SECOND_US
from chatsync.service.app import create_app
from chatsync.service.restamping import restamp
from chatsync.service.settings import Settings
from chatsync.store.catalog import Catalog
from chatsync.store.files import Files
from chatsync.store.journal import Journal
from chatsync.store.writer import Writer
from tests.relay import SECRET
from tests.simulation.disk import POINTS, SimFiles, SimJournal, SimWriter
from tests.simulation.ledger import Ledger
from tests.simulation.loop import PROCESS, SimLoop
from tests.simulation.origin import Encoder, SimFetcher
from tests.stage import FAST, START_US

if TYPE_CHECKING:
    from chatsync.service.hub import RunningRoom
    from tests.simulation.people import Person

__all__ = ["ROOM", "Process", "SimClock", "World", "small_limits"]

ROOM = "class"
_URL = "http://127.0.0.1:9/live/index.m3u8"
_WITH_SETS = (chatsync.service.fanout, chatsync.service.hub, chatsync.service.relay, chatsync.service.sockets)
_COUNTED_LOGS = {"pruned": "pruned rows", "restamped": "restamps"}


class Ordered(MutableSet[Any]):
    """A set in the order in which things came: the built-in one has objects in the order of their addresses, which no seed decides."""

    def __init__(self, items: Iterable[Any] = ()) -> None:
        self._items = dict.fromkeys(items)

    def __contains__(self, item: object) -> bool:
        return item in self._items

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def add(self, value: Any) -> None:
        """Put it at the end, if it is not there."""
        self._items.setdefault(value)

    def discard(self, value: Any) -> None:
        """Take it out, if it is there."""
        self._items.pop(value, None)


class SimClock:
    """The clocks of one process: steady from its start on, as ``SteadyClock`` is."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._ahead_us = world.step_us

    def wall_us(self) -> int:
        """Steady wall time: what the system clock said at the start, carried on."""
        return self._world.true_us() + self._ahead_us

    def monotonic_us(self) -> int:
        """Virtual time."""
        return self._world.loop.now_ns // 1_000

    def system_wall_us(self) -> int:
        """The system clock, with its steps."""
        return self._world.true_us() + self._world.step_us


@cache
def _settings(*room: tuple[str, Any]) -> Settings:
    """Settings of a relay with one room: reading the environment for them takes a thirtieth of a run."""
    return Settings(
        token_secret=SECRET,  # type: ignore[arg-type]
        loopback_origins=("127.0.0.1:9",),
        limits=FAST | {"send_queue_bytes_max": 16 * 1024},  # type: ignore[arg-type]
        rooms={ROOM: dict(room)},  # type: ignore[dict-item]
    )


@cache
def _routes() -> list[Any]:
    """FastAPI works out what a route takes for each application anew, at the first request: here once for all lives."""
    return create_app(_settings(("public", True))).router.routes


@cache
def _new_database() -> bytes:
    """``chatsync.db`` with its tables and nothing in them: making those takes longer than all else of a start."""
    with tempfile.TemporaryDirectory() as folder:
        files = Files(Path(folder) / "data")
        writer = Writer(files.database)
        journal = Journal(writer, files)
        Catalog(journal, writer)
        writer.close()
        journal.close()
        return files.database.read_bytes()


class Process:
    """One life of the relay, from its start to its death or its end."""

    def __init__(self, world: World, number: int, folder: Path) -> None:
        self.world, self.number, self.folder = world, number, folder
        self.is_alive, self.is_ready = True, False
        self.was_killed = False
        self.clock = SimClock(world)
        self.app: Any = None
        self.writer: SimWriter | None = None
        self.journal: SimJournal | None = None
        self.files: SimFiles | None = None
        self._told: dict[int, Callable[[], None]] = {}
        self._count = 0
        self._faults: dict[str, str] = {}
        self._death: tuple[str, int] | None = None
        self._stopping = asyncio.Event()
        self.ended = world.loop.create_future()

    def chance(self, name: str) -> random.Random:
        """A stream of chance for one part of this life."""
        return self.world.chance(f"{name}.{self.number}")

    # --- life and death -------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start serving, as the command does."""
        self.task(self._serve(), f"process {self.number}")

    async def _serve(self) -> None:
        world = self.world
        settings = world.settings.model_copy(update={"data_folder": self.folder})
        self.app = create_app(settings, self.clock)
        self.app.router.routes = _routes()
        begun_ns = world.loop.now_ns
        try:
            async with self.app.router.lifespan_context(self.app):
                self.is_ready = True
                world.trace(f"process {self.number} serves")
                await self._stopping.wait()
                self.is_ready = False
                await self.app.state.hub.send_away()
        except Exception as error:
            if not world.was_disk_bad(begun_ns) and not self._faults:
                raise
            world.trace(f"process {self.number} did not start or stop well: {type(error).__name__}")
        self._end(self.folder)

    @property
    def running(self) -> RunningRoom | None:
        """The room, if it is served and not asleep: after a start with nothing unsealed, the first to come wakes it."""
        return self.app.state.hub.rooms.get(ROOM) if self.is_ready else None

    def stop(self) -> None:
        """Ask it to stop, as an operator would."""
        self._stopping.set()

    def task(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Something that goes on inside this process."""
        context = copy_context()
        context.run(PROCESS.set, self.number)
        task = self.world.loop.create_task(work, name=name, context=context)
        task.add_done_callback(self.world.note_task_end)
        return task

    def restamp(self, which: float) -> None:
        """Make the stamps of a broadcast again, as ``chatsync restamp`` does."""
        if self.running is None:
            return
        live = self.running.live
        broadcast = 1 + int(which * live.broadcasts.current.number)
        self.world.trace(f"restamp of broadcast {broadcast}")
        self.task(self._restamp(live, broadcast), f"restamp {broadcast}")

    async def _restamp(self, live: Any, broadcast: int) -> None:
        try:
            await restamp(live, broadcast)
        except CorruptError:
            raise
        except (StoreError, RoomRestartingError) as error:
            self.world.trace(f"no restamp: {error.code}")

    def kill(self, where: str) -> None:
        """``kill -9``: what is in files now stays; nothing of this process is heard of again."""
        if not self.is_alive:
            return
        self.world.trace(f"process {self.number} killed {where}")
        self.world.note("kills")
        self.was_killed = True
        kept = self.world.new_folder()
        shutil.copytree(self.folder, kept, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*-shm", "lock"))
        self.world.loop.kill(self.number)
        self._end(kept)

    def _end(self, folder: Path) -> None:
        self.is_alive = self.is_ready = False
        told, self._told = self._told, {}
        for tell in told.values():
            tell()
        self.folder = folder
        self.world.loop.call_soon(self._note_end, context=self.world.loop.outside)

    def _note_end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)

    def dispose(self) -> None:
        """Close what a killed process left open in ours."""
        for close in (self._close_writer, self._close_journal, self._unlock):
            try:
                close()
            except Exception:
                continue

    def _close_writer(self) -> None:
        for connection in () if self.writer is None else (self.writer._connection, self.writer._making):
            if connection is not None:
                connection.close()

    def _close_journal(self) -> None:
        if self.journal is not None:
            self.journal.close()

    def _unlock(self) -> None:
        if self.files is not None:
            self.files.unlock()

    def tell_of_death(self, tell: Callable[[], None]) -> int:
        """Call this when the process is gone; the number is for :meth:`forget`."""
        self._count += 1
        self._told[self._count] = tell
        return self._count

    def forget(self, number: int) -> None:
        """Tell no more."""
        self._told.pop(number, None)

    # --- faults ---------------------------------------------------------------------------------------------------

    def plan_death(self, kind: str, visits: int) -> None:
        """Die when it comes by a point for the so-manieth time."""
        self._death = (kind, visits)

    def point(self, kind: str) -> None:
        """The process comes by a point where it may die."""
        if self._death is not None and self._death[0] == kind:
            self._death = (kind, self._death[1] - 1)
            if self._death[1] <= 0:
                self._death = None
                self.kill(f"at {kind}")

    def plan_fault(self, kind: str, how: str = "once") -> None:
        """The next time it comes by, this fails."""
        self._faults[kind] = how

    def next_fault(self, kind: str) -> str | None:
        """What fails now, if anything."""
        how = self._faults.pop(kind, None)
        if how is not None:
            self.world.trace(f"fault: {kind} {how}")
            self.world.note("failed writes")
            self.world.note_bad_disk()
        return how

    def heal(self) -> None:
        """Nothing is planned any more."""
        self._faults.clear()
        self._death = None


class World:
    """Everything of one run.

    Args:
        seed: decides all.
        lines: where the trace goes; None keeps no trace.
    """

    def __init__(self, seed: int, lines: list[str] | None = None) -> None:
        self.seed, self._lines = seed, lines
        self.loop = SimLoop(self.chance("loop"))  # type: ignore[abstract]
        self.loop.world = self
        self.step_us = 0
        self.is_rough = True
        self.is_disk_full = False
        self.is_over = False
        self.is_quiet = False
        self.room = ROOM
        self.process: Process | None = None
        self.processes: list[Process] = []
        self.ledger = Ledger(self)
        self._kinds: Counter[str] = Counter()
        self._bad_ns = -1
        self._chance = self.chance("world")
        self._root = Path(
            tempfile.mkdtemp(prefix="chatsync-sim-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
        )
        self._folders = 0
        has_stream = self._chance.random() < 0.85
        self.room_settings: dict[str, Any] = {"public": True, "batch_ms": self._chance.choice((1, 50))}
        if has_stream:
            self.room_settings["playlist_url"] = _URL
        self.settings = _settings(*sorted(self.room_settings.items()))
        self.encoder = Encoder(
            self.chance("encoder"),
            self.true_us() - self._chance.randrange(0, 40) * SECOND_US,
            mishap_rate=self._chance.choice((0.0, 0.02, 0.08)),
            dated=self._chance.random() < 0.85,
        )

    def chance(self, name: str) -> random.Random:
        """A stream of chance of its own: what one part draws does not move what another draws."""
        return random.Random(f"{self.seed} {name}")

    def true_us(self) -> int:
        """True wall time, which only the origin has."""
        return START_US + self.loop.now_ns // 1_000

    def trace(self, text: str) -> None:
        """Note what happens."""
        if self._lines is not None:
            self._lines.append(f"{self.loop.now_ns / 1e9:12.6f}  {text}")

    def log(self, _: Any, method: str, event: MutableMapping[str, Any]) -> Any:
        """A log line of the relay; one with a traceback is a fault of the program."""
        name = event.pop("event")
        if name in _COUNTED_LOGS:
            self._kinds[_COUNTED_LOGS[name]] += event.get("count", 1)
        if method in {"error", "exception"} and (method == "exception" or event.get("exc_info")):
            error = sys.exc_info()[1]
            if self.process is not None and self.loop.failure is None and error is not None:
                error.add_note(f"logged as {name}")
                self.loop.failure = error
        self.trace(
            f"log {name} " + " ".join(f"{key}={value}" for key, value in sorted(event.items()) if key != "exc_info")
        )
        raise structlog.DropEvent

    def fail(self, text: str) -> None:
        """Something is not as promised."""
        self.trace(f"BROKEN: {text}")
        if self.loop.failure is None:
            self.loop.failure = AssertionError(text)

    def note_task_end(self, task: asyncio.Task[None]) -> None:
        """Somebody of the outside has ended; by a fault of ours, perhaps."""
        if not task.cancelled() and task.exception() is not None and self.loop.failure is None:
            self.loop.failure = task.exception()

    def note(self, what: str) -> None:
        """Count something that happened."""
        self._kinds[what] += 1

    def counts(self) -> Counter[str]:
        """What this run was made of."""
        acked = [deed.frame for deed in self.ledger.deeds.values() if deed.ack is not None]
        actions = Counter(f"{frame['action']}s" for frame in acked if frame.get("action") in {"hide", "restore"})
        return (
            self._kinds
            + actions
            + Counter(
                {
                    "acks": len(acked),
                    "origin mishaps": len(self.encoder.log),
                    "events": self.ledger.head,
                    "snapshots": len(self.ledger.snapshots),
                    "resumes": len(self.ledger.explored),
                    "virtual s": round(self.loop.time()),
                    "lives": len(self.processes),
                }
            )
        )

    def note_bad_disk(self) -> None:
        """A write has just failed, as planned."""
        self._bad_ns = self.loop.now_ns

    def was_disk_bad(self, since_ns: int) -> bool:
        """Whether a request begun then may fail for it."""
        return self.is_disk_full or self._bad_ns >= since_ns - 2_000_000_000

    def shown_us(self, latency_us: int) -> int:
        """Program time on the screen of somebody so far behind the live edge."""
        edge_us = self.encoder.edge_us() if "playlist_url" in self.room_settings else None
        return (self.true_us() if edge_us is None else edge_us) - latency_us

    @property
    def head(self) -> int:
        """Newest offset of the room, as the process that serves has it."""
        running = self.process.running if self.process is not None else None
        return -1 if running is None else running.live.log.position.offset

    async def pause(self, seconds: float) -> None:
        """Let virtual time pass."""
        await asyncio.sleep(seconds)

    async def settle(self, people: Sequence[Person]) -> None:
        """Wait until everybody is in and knows all there is, and nothing waits to be revised."""
        for _ in range(600):
            await asyncio.sleep(0.1)
            running = self.process.running if self.process is not None else None
            if running is None:
                continue
            head = running.live.log.position.offset
            knows = [person.is_in and person.view is not None and person.view.through == head for person in people]
            waits = [index.waiting or index.dirty_us for index in running.sealer._indexes.values()]
            if all(knows) and not any(waits) and not any(person.is_handing_over for person in people):
                return
        self.fail(f"not settled after a minute: {knows} know {head}, {waits} wait")

    def new_folder(self) -> Path:
        """An empty data folder."""
        self._folders += 1
        return self._root / f"data{self._folders}"

    # --- the relay's lives ----------------------------------------------------------------------------------------

    async def run_processes(self) -> None:
        """Keep a process going: start it again whenever it has ended, until the run is over."""
        folder = self.new_folder()
        folder.mkdir(mode=0o700)
        (folder / "chatsync.db").write_bytes(_new_database())
        while True:
            process = Process(self, len(self.processes) + 1, folder)
            self.processes.append(process)
            self.process = process
            if self.is_rough and self._chance.random() < 0.5:
                kind = self._chance.choice(list(POINTS))
                process.plan_death(kind, self._chance.randrange(1, POINTS[kind]))
            process.start()
            await process.ended
            folder = process.folder
            if self.is_over:
                return
            await asyncio.sleep(self._chance.choice((0.1, 1, 15)) * self._chance.random())

    async def trouble(self, seconds: float) -> None:
        """For so long: kills, failing commits, full disks, clock jumps."""
        end_ns = self.loop.now_ns + int(seconds * 1e9)
        while self.loop.now_ns < end_ns:
            await asyncio.sleep(self._chance.expovariate(1 / 8))
            await self._mishap(self._chance.random())

    async def _mishap(self, which: float) -> None:
        process = self.process
        if process is None or not process.is_alive:
            return
        if which < 0.15:
            process.kill("from outside")
        elif which < 0.22:
            self.trace(f"process {process.number} is stopped")
            process.stop()
        elif which < 0.45:
            kind = self._chance.choice(("statement", "commit", "commit", "beside", "file", "archive"))
            process.plan_fault(kind, self._chance.choice(("lost", "reported")))
        elif which < 0.55:
            self.trace("the disk is full")
            self.is_disk_full = True
            await asyncio.sleep(self._chance.random() * 6)
            self.is_disk_full = False
            self.note("full disks")
            self.note_bad_disk()
            self.trace("the disk has space again")
        elif which < 0.70:
            self.note("clock jumps")
            by_us = self._chance.choice((-3_600, 3_600, -1, 1, 17)) * SECOND_US
            self.step_us += by_us
            self.trace(f"the system clock jumps by {by_us // SECOND_US} s")
        elif which < 0.80 and process.is_ready:
            process.restamp(self._chance.random())

    async def heal(self) -> None:
        """From now on nothing goes wrong; wait until a process serves."""
        self.is_rough = self.is_disk_full = False
        self.encoder.calm()
        self.trace("from here on nothing goes wrong")
        while self.process is None or not self.process.is_ready:
            if self.process is not None:
                self.process.heal()
            await asyncio.sleep(0.1)
        self.process.heal()

    async def restart(self) -> None:
        """Stop the relay as an operator would, and wait for the next."""
        before = self.process
        assert before is not None
        self.trace(f"process {before.number} is stopped")
        before.stop()
        while self.process is before or self.process is None or not self.process.is_ready:  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.1)

    async def end(self) -> None:
        """Stop the relay for good."""
        self.is_over = True
        if self.process is not None and self.process.is_alive:
            self.process.stop()
            await self.process.ended

    def close(self) -> None:
        """Remove everything."""
        for process in self.processes:
            process.dispose()
        self.loop.close()
        shutil.rmtree(self._root, ignore_errors=True)


def small_limits(world: World) -> ExitStack:
    """The real parts, with the disk and the origin of this run, and limits so small that rare paths are usual."""
    chance = world.chance("limits")
    stack = ExitStack()
    app, slices = chatsync.service.app, chatsync.replay.slices
    ring = chance.choice((3, 10, 40, 2_000))
    for module, name, value in (
        (app, "Writer", SimWriter),
        (app, "Journal", SimJournal),
        (app, "Files", SimFiles),
        (app, "PlaylistFetcher", SimFetcher),
        (chatsync.chat.room, "RING_EVENTS_MAX", ring),
        (chatsync.service.live_room, "TAIL_EVENTS", ring),
        (chatsync.service.loop_lag, "EVERY_S", 1.0),  # a loop in virtual time is never late by itself
        (chatsync.service.archiving, "ARCHIVE_EVERY_S", chance.choice((6, 20, 600))),
        (chatsync.service.archiving, "HOUR_US", chance.choice((5 * SECOND_US, HOUR_US))),
        (chatsync.service.archiving, "give_back_memory", lambda: None),
        *((module, "set", Ordered) for module in _WITH_SETS),
        (chatsync.store.pruning, "KEPT_EVENTS", chance.choice((2, 20))),
        (chatsync.store.pruning, "DEDUPE_US", chance.choice((2 * SECOND_US, 24 * HOUR_US))),
        (chatsync.service.relay, "RECOVERY_EVENTS_MAX", chance.choice((5, 30, 10_000))),
        (chatsync.service.deliveries, "AT_ONCE", chance.choice((1, 2, 64))),
        (chatsync.service.fanout, "CHUNK_RECEIVERS", chance.choice((1, 2, 256))),
        (slices, "EVENTS_MAX", chance.choice((4, 12))),
        (slices, "USUAL_US", chance.choice((3, 8)) * SECOND_US),
        (slices, "QUIET_EVENTS", chance.choice((2, 6))),
        (slices, "LONG_US", chance.choice((8, 20)) * SECOND_US),
    ):
        stack.enter_context(patch.object(module, name, value, create=name == "set"))
    structlog.configure(processors=[world.log], cache_logger_on_first_use=False)
    stack.callback(structlog.reset_defaults)
    return stack
