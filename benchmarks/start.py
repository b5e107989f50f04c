"""Starting with much on disk: ``python -m benchmarks.start [--rooms 2000] [--messages 20000000] [--rounds 3] [--quick] [--json]``.

``chatsync serve`` on a folder of so many rooms and messages (``benchmarks/big_folder.py``): from the start of the process until
``/readyz`` says yes, which it does when every room is served, and the memory of the process then, and at most until five seconds later.
A server's core for the relay; the median start counts. The last line is JSON.
"""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path

from benchmarks.big_folder import shared_folder
from benchmarks.harness import Figures, finish, median, options, row, told
from benchmarks.loading import on_server_core
from tests.relay import Relay

__all__ = ["main"]

TARGET_S, TARGET_MB = 2.0, 300
_AFTER_S = 5.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Print the figures."""
    parser = options(__doc__, seconds=0, rounds=3)
    parser.add_argument("--rooms", type=int, default=2_000)
    parser.add_argument("--messages", type=int, default=20_000_000)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rooms, arguments.messages, arguments.rounds = 100, 1_000_000, 1
    finish(partial(_measured, arguments.rooms, arguments.messages, arguments.rounds), only_json=arguments.json)


def _measured(rooms: int, messages: int, rounds: int) -> Figures:
    folder, made = shared_folder(rooms, messages)
    found = []
    for _ in range(rounds):
        found.append(_started(folder.parent))
        told(f"ready in {found[-1]['ready_s']} s with {found[-1]['ready_mb']} MB")
    ours = median(found, "ready_s")
    what = f"start with {rooms:,} rooms and {messages:,} messages"
    note = f"{ours['cpu_s']} s of CPU; the folder has {made['parquet_files']:,} Parquet files and {made['in_journal']:,} events in the journal"
    return {
        "benchmark": "start",
        "folder": made,
        "relay": ours,
        "rows": [
            row(f"{what}: ready", "s", ours["ready_s"], target=TARGET_S, better="lower", note=note),
            row(f"{what}: memory, at most", "MB", ours["peak_mb"], target=TARGET_MB, better="lower", note=f"{ours['ready_mb']} MB when ready"),
        ],
    }  # fmt: skip


def _started(folder: Path) -> Figures:
    relay = Relay(folder, {})
    with on_server_core(), relay:
        cpu_s, ready_mb = _cpu_s(relay.pid), _status_mb(relay.pid, "VmRSS")
        time.sleep(_AFTER_S)
        figures = {
            "ready_s": round(relay.start_s, 2),
            "cpu_s": round(cpu_s, 2),
            "ready_mb": ready_mb,
            "peak_mb": _status_mb(relay.pid, "VmHWM"),
        }
        relay.stop()
    return figures


def _status_mb(pid: int, name: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition(f"{name}:")[2].split()[0]) * 1024 // 10**6


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


if __name__ == "__main__":
    main()
