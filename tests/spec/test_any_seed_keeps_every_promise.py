"""Origin, clients, disk and clock from one seed: every promise holds in the whole core, and a failing seed replays exactly.

``tests/simulation/run.py`` says what is real and what is simulated. Long form: ``CHATSYNC_SIMULATION_SEEDS=10000``; one seed with its trace:
``python -m tests.simulation.run --seed 17``.
"""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
import pytest

import chatsync.service.live_room
from chatsync.chat.room import RoomLog
from chatsync.service.live_room import LiveRoom
from chatsync.service.old_slices import OldSlices
from chatsync.service.sealing import Sealer
from chatsync.store.dedupe import Dedupe
from chatsync.store.identity import ModerationStore
from chatsync.store.journal import Appended, Journal
from chatsync.store.writer import Writer
from tests.simulation.run import run_seed

SEEDS = int(os.environ.get("CHATSYNC_SIMULATION_SEEDS", "500"))
ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.faults, pytest.mark.alone, pytest.mark.timeout(300 + SEEDS)]
HAPPENED = (
    "acks",
    "archive files",
    "clock jumps",
    "erasures",
    "failed writes",
    "full disks",
    "hides",
    "kills",
    "origin mishaps",
    "pruned rows",
    "restamps",
    "restores",
    "resumes",
    "slices",
    "snapshots",
)
REPLAYED = 28
"""A seed in which somebody is erased, rows leave the journal, and the disk is full."""


def _python(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONHASHSEED": "0"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_what_is_promised_holds_for_every_seed() -> None:
    """500 seeds, none fails, and all that may go wrong has gone wrong in some."""
    ran = _python("-m", "tests.simulation.run", "--seeds", f"0:{SEEDS}")
    print(ran.stdout)
    assert (0, "") == (ran.returncode, ran.stderr)
    counts = {name: int(count.replace(",", "")) for count, name in re.findall(r"([\d,]+) ([a-z ]+)[,\n]", ran.stdout)}
    assert [] == [name for name in HAPPENED if counts.get(name, 0) < SEEDS // 50]


def test_a_seed_replays_exactly() -> None:
    """The same trace to the microsecond: alone, in another process, and after other seeds in the same one."""
    after_others = (
        "from tests.simulation.run import run_seed; [run_seed(one) for one in range(3)]; "
        f"print('\\n'.join(run_seed({REPLAYED}, trace=True).lines))"
    )
    alone, again = (_python("-m", "tests.simulation.run", "--seed", str(REPLAYED)).stdout for _ in range(2))
    trace, last = alone.rstrip("\n").rsplit("\n", 1)
    assert alone == again
    assert last.startswith(f"seed {REPLAYED}: as promised")
    assert len(trace.splitlines()) > 100
    assert trace == _python("-c", after_others).stdout.rstrip("\n")


# --- the checks can fail ----------------------------------------------------------------------------------------------


def _acks_anyway(transact: Callable[..., Any]) -> Callable[..., Any]:
    """An ack does not wait for the commit, which then fails."""

    def broken(self: Writer, connection: Any, batch: list[Any]) -> Any:
        told: list[Any] = []
        done_alone = self._done_alone

        def noting(connection: sqlite3.Connection, work: Any) -> Any:
            told.append(done_alone(connection, work))
            return told[-1]

        with patch.multiple(self, _done_alone=noting, _done_together=lambda *_: None):
            try:
                return transact(self, connection, batch)
            except sqlite3.OperationalError:
                connection.execute("ROLLBACK")
                if len(told) < len(batch):
                    raise
                return [(done, result) for (_, done), result in zip(batch, told, strict=True)]

    return broken


def _leaves_one_out(read_missed: Callable[..., Any]) -> Callable[..., Any]:
    """Who resumes from further back than memory is not told the first of what they missed."""
    return lambda self, after, limit: read_missed(self, msgspec.structs.replace(after, offset=after.offset + 1), limit)


def _repeats_one(recovered: Callable[..., Any]) -> Callable[..., Any]:
    """Who resumes is told once more what they have."""

    def broken(self: RoomLog, after: Any) -> Any:
        earlier = msgspec.structs.replace(after, offset=max(0, after.offset - 1))
        return recovered(self, earlier) or recovered(self, after)

    return broken


def _stamps_again(append: Callable[..., Any]) -> Callable[..., Any]:
    """A retry is answered with the stamp of the retry."""

    def broken(self: Journal, connection: Any, draft: Any, **rest: Any) -> Any:
        appended = append(self, connection, draft, **rest)
        if not appended.duplicate:
            return appended
        event = msgspec.structs.replace(appended.event, stamp=draft.stamp)
        return Appended(event, duplicate=True)

    return broken


BREAKAGES: dict[str, tuple[Any, str, Callable[[Any], Any]]] = {
    "an ack before the commit": (Writer, "_transact", _acks_anyway),
    "an event that a resume from the journal leaves out": (LiveRoom, "read_missed", _leaves_one_out),
    "an event twice after a resume": (RoomLog, "recovered", _repeats_one),
    "a retry that is a second event": (Dedupe, "_first", lambda _: staticmethod(lambda *_: None)),
    "another stamp for a retry": (Journal, "append", _stamps_again),
    "a hidden text that stays in its slice": (Sealer, "_note_hidden", lambda _: lambda *_: None),
    "a hide that nobody is told of": (chatsync.service.live_room, "TAKING_KINDS", lambda _: frozenset()),
    "an old revision that stays on the disk": (OldSlices, "remove", lambda _: _nothing),
    "an erasure that leaves the moderators' copy": (ModerationStore, "forget_text", lambda _: lambda *_: None),
}


async def _nothing(*_: object) -> None:
    """What is left undone."""


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_a_broken_part_is_found_within_a_few_seeds(breakage: str) -> None:
    """A check that cannot fail proves nothing."""
    owner, name, broken = BREAKAGES[breakage]
    with patch.object(owner, name, broken(getattr(owner, name))):
        found = next((seed for seed in range(60) if run_seed(seed).failure is not None), None)
    print(f"{breakage}: seed {found}")
    assert found is not None
