"""Durable acks a second through the WebSocket: ``python -m benchmarks.acks [--seconds 5] [--rounds 3] [--quick] [--json]``.

Eight people of one room, each with eight messages under way, write as fast as they are answered, from a compiled client. Every ack of
the relay stands for a message that is stamped and on disk, and that goes to all eight as well. The peers take the same load in the same
run, straight over TCP, without WebSocket and telling nobody else: NATS JetStream that syncs each message before it acks, and Redis
streams with a log that is synced before each answer. Each server has one core, the client the other; rounds alternate, the median
round counts. The last line is JSON.
"""

from __future__ import annotations

import os
import statistics
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import peers
from benchmarks.harness import Figures, finish, median, options, relay_on_server_core, row, sent_by, told
from benchmarks.loading import LeftOutError, Target, run_load

__all__ = ["main"]

PEOPLE = 8
IN_FLIGHT_EACH = 8
ROOM = "bench"
TARGET_PER_S, LEAST_PER_S, TARGET_P99_MS = 10_000, 5_000, 25
LIMITS = {"commands_per_s": 10_000, "commands_burst": 100_000, "send_queue_bytes_max": 16 * 1024 * 1024}
_PAYLOAD = "why is the slope negative left of zero? it looks the other way round on the slide".ljust(200, ".")


def main() -> None:
    """Print the figures of relay and peers."""
    parser = options(__doc__, seconds=5, rounds=3)
    parser.add_argument("--folder", type=Path, help="where the relay's data folder is made; default: the system's")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.seconds, arguments.rounds = 3, 1
    finish(partial(_measured, arguments.seconds, arguments.rounds, arguments.folder), only_json=arguments.json)


def _measured(seconds: float, rounds: int, folder: Path | None) -> Figures:
    with ExitStack() as stack:
        relay = stack.enter_context(relay_on_server_core({ROOM: {"public": True}}, folder, **LIMITS))
        fsync_ms = _fsync_ms_p50(relay.folder)
        servers: dict[str, dict[str, Any]] = {
            "chatsync": {
                "port": relay.port,
                "pids": [relay.pid],
                "targets": sent_by(ROOM, PEOPLE),
                "protocol": "chatsync",
                "ready": '"type":"welcome"',
            }
        }
        left_out = []
        for make, protocol in ((peers.jetstream, "nats"), (peers.redis, "redis")):
            try:
                peer = stack.enter_context(make())
            except LeftOutError as reason:
                left_out.append(str(reason))
                continue
            targets = [_peer_target(protocol, number) for number in range(PEOPLE)]
            servers[peer.name] = {"port": peer.port, "pids": peer.pids, "targets": targets, "protocol": protocol}
        found: dict[str, list[Figures]] = {name: [] for name in servers}
        for _ in range(rounds):
            for name, server in servers.items():
                found[name].append(run_load("acks", in_flight=IN_FLIGHT_EACH, seconds=seconds, **server))
                told(f"{name}: {found[name][-1]['acks_per_s']:.0f} acks/s, p99 {found[name][-1]['p99_ms']:.1f} ms")
    figures = {name: median(one, "acks_per_s") for name, one in found.items()}
    ours = figures.pop("chatsync")
    rates = {name: one["acks_per_s"] for name, one in figures.items()}
    return {
        "benchmark": "acks",
        "in_flight": PEOPLE * IN_FLIGHT_EACH,
        "relay": ours,
        "peers": figures,
        "left_out": left_out,
        "fsync_ms_p50": round(fsync_ms, 3),
        "rows": [
            row(
                "durable acks through WebSocket, 64 in flight",
                "/s",
                ours["acks_per_s"],
                target=TARGET_PER_S,
                better="higher",
                peers=rates,
                note=f"at the least {LEAST_PER_S}/s; one fsync of 4 KiB takes {fsync_ms:.2f} ms here",
            ),
            row(
                "the same, p99",
                "ms",
                ours["p99_ms"],
                target=TARGET_P99_MS,
                better="lower",
                peers={name: one["p99_ms"] for name, one in figures.items()},
            ),
        ],
    }


def _peer_target(protocol: str, number: int) -> Target:
    if protocol == "redis":
        return Target("", message=f'XADD stream * text "{_PAYLOAD}"\\r\\n', is_websocket=False)
    inbox = f"_INBOX.{number}"
    message = f"PUB s {inbox} {len(_PAYLOAD)}\\r\\n{_PAYLOAD}\\r\\n"
    greeting = f'CONNECT {{"verbose":false}}\\r\\nSUB {inbox} 1\\r\\n'
    return Target("", greeting=greeting, message=message, is_websocket=False)


def _fsync_ms_p50(folder: Path) -> float:
    took: list[float] = []
    with (folder / "fsync").open("wb") as file:
        for _ in range(50):
            file.write(bytes(4096))
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


if __name__ == "__main__":
    main()
