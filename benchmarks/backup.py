"""What a backup costs a relay that is being talked to: ``python -m benchmarks.backup [--seconds 10] [--rounds 3] [--json]``.

A big folder (``--rooms``, ``--messages``, ``--tail`` as in ``big_folder``) is served; eight people of one room say 25 things a second each, and
each ack is timed. Phases alternate: nothing else, a first backup, a second one into the same target. The command runs in a process of its
own, free to use either core, and writes to the disk the relay syncs to: the worst place. The loop's lag is the relay's own figure.
The last line is JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.big_folder import make_folder
from benchmarks.harness import Figures, finish, options, row, told
from tests.relay import Client, Relay, connected, token

__all__ = ["main"]

ROOM, PEOPLE, EACH_PER_S = "bench", 8, 25
_LIMITS = {"commands_per_s": 10_000, "commands_burst": 100_000, "rooms_max": 10_000}


def main() -> None:
    """Print the figures."""
    parser = options(__doc__, seconds=10, rounds=3)
    parser.add_argument("--folder", type=Path, help="where folder and backup are made; default: the system's")
    parser.add_argument("--rooms", type=int, default=200)
    parser.add_argument("--messages", type=int, default=2_000_000)
    parser.add_argument("--tail", type=int, default=2_500)
    given = parser.parse_args()
    if given.quick:
        given.seconds, given.rounds, given.messages, given.tail = 3, 1, 200_000, 500
    finish(partial(_measured, given), only_json=given.json)


def _measured(given: Any) -> Figures:
    with tempfile.TemporaryDirectory(dir=given.folder) as made:
        folder = Path(made)
        made_of = make_folder(folder / "data", rooms=given.rooms, messages=given.messages, tail=given.tail)
        told(f"folder: {made_of}")
        phases: dict[str, list[Figures]] = {"nothing": [], "first": [], "again": []}
        with Relay(folder, {ROOM: {"public": True}}, limits=_LIMITS) as relay:
            for _ in range(given.rounds):
                asyncio.run(_round(relay, folder, given.seconds, phases))
            relay.stop()
        size_bytes = sum(path.stat().st_size for path in (folder / "data").rglob("*") if path.is_file())
    median = {name: _medians(rounds) for name, rounds in phases.items()}
    peers = {"nothing else": median["nothing"]["p99_ms"]}
    return {
        "benchmark": "backup",
        "folder_bytes": size_bytes,
        "phases": median,
        "rows": [
            row(
                "ack p99 during a first backup",
                "ms",
                median["first"]["p99_ms"],
                target=None,
                better="lower",
                peers=peers,
            ),
            row(
                "ack p99 during a second backup",
                "ms",
                median["again"]["p99_ms"],
                target=None,
                better="lower",
                peers=peers,
            ),
            row("a first backup", "s", median["first"]["seconds"], target=None, better="lower"),
            row("a second backup", "s", median["again"]["seconds"], target=None, better="lower"),
            row(
                "plans of the loop later than 50 ms", "‰", median["first"]["late_permille"], target=None, better="lower"
            ),
        ],
    }


def _medians(rounds: list[Figures]) -> Figures:
    return {name: round(statistics.median(one[name] for one in rounds), 3) for name in rounds[0]}


async def _round(relay: Relay, folder: Path, seconds: float, phases: dict[str, list[Figures]]) -> None:
    target = folder / "backup"
    shutil.rmtree(target, ignore_errors=True)
    os.sync()
    phases["nothing"].append(await _phase(relay, asyncio.sleep(seconds, {"seconds": seconds})))
    for name in ("first", "again"):
        phases[name].append(await _phase(relay, asyncio.to_thread(_backup, folder / "data", target)))
        told(f"{name}: {phases[name][-1]}, nothing else: {phases['nothing'][-1]}")


async def _phase(relay: Relay, work: Any) -> Figures:
    """Time acks until something is done."""
    took_s: list[float] = []
    stop = asyncio.Event()
    before = _lag(relay)
    people = [asyncio.create_task(_person(relay, number, took_s, stop)) for number in range(PEOPLE)]
    done = await work
    stop.set()
    await asyncio.gather(*people)
    plans, late = (now - then for now, then in zip(_lag(relay), before, strict=True))
    cuts = statistics.quantiles(took_s, n=1000)
    return {
        **done,
        "acks": len(took_s),
        "p50_ms": round(cuts[499] * 1000, 2),
        "p99_ms": round(cuts[989] * 1000, 2),
        "late_permille": round(late / max(plans, 1) * 1000, 2),
    }


async def _person(relay: Relay, number: int, took_s: list[float], stop: asyncio.Event) -> None:
    async with connected(relay, ROOM) as client:
        await client.hello(token(ROOM, f"person-{number}"), last=0)
        due_s = time.monotonic()
        while not stop.is_set():
            due_s += 1 / EACH_PER_S
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            took_s.append(await _timed(client))


async def _timed(client: Client) -> float:
    began_s = time.monotonic()
    await client.say("why is the slope negative left of zero?")
    client.frames.clear()
    client.events.clear()
    return time.monotonic() - began_s


def _backup(folder: Path, target: Path) -> Figures:
    began_s = time.monotonic()
    command = [sys.executable, "-m", "chatsync", "backup", str(target), "--data", str(folder), "--json"]
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return {"seconds": time.monotonic() - began_s, **{n: found[n] for n in ("copied_files", "copied_bytes", "rounds")}}


def _lag(relay: Relay) -> tuple[float, float]:
    """How many plans the relay's loop has kept, and how many of them later than 50 ms."""
    text = relay.get("/metrics").text
    count = re.search(r"^chatsync_loop_lag_seconds_count (\S+)", text, re.MULTILINE)
    early = re.search(r'^chatsync_loop_lag_seconds_bucket\{le="0.05"\} (\S+)', text, re.MULTILINE)
    assert count is not None
    assert early is not None
    return float(count[1]), float(count[1]) - float(early[1])


if __name__ == "__main__":
    main()
