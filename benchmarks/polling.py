"""Past the socket cap: players poll through nginx's cache. ``python -m benchmarks.polling [--pollers 50000] [--rooms 1] [--json]``.

A relay with no place left on a socket stands behind a real nginx with the configuration of docs/operations.md. So many simulated players
(``benchmarks/load``, mode ``poll``) ask for the chat playlist and the open slice as ``reload_ms`` says, while a platform posts messages.
What counts: how many requests a second a room puts on the relay itself, when players see a message after it was posted, and that nobody
misses one or sees one twice. The last line is JSON.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from benchmarks.harness import Figures, finish, options, row
from benchmarks.loading import Target, hello, on_server_core, run_load
from tests.relay import Relay, token
from tests.webserver import Nginx

__all__ = ["full_relay", "main", "polled", "reads_of"]

POLLERS = 50_000
CONNECTIONS = 1_024  # that the pollers share, as behind a proxy of their own
MESSAGES_PER_S = 2.0  # in each room
WARM_UP_S = 6.0
DRAIN_S = 4.0
READS_TARGET = 5.0  # a second and room
SEEN_TARGET_MS = 3_000.0


class _Writer(threading.Thread):
    """A platform that posts to every room; each message holds its number and when it was posted."""

    def __init__(self, relay: Relay, rooms: list[str], per_s: float) -> None:
        super().__init__(daemon=True)
        self._relay, self._rooms, self._per_s = relay, rooms, per_s
        self._stopping = threading.Event()
        self.posted_us: dict[str, list[int]] = {room: [] for room in rooms}
        self.refused = 0

    def run(self) -> None:
        """Post until stopped."""
        tokens = {room: token(room, "platform", None, ("ingest",)) for room in self._rooms}
        begun_s, turn = time.monotonic(), 0
        with httpx2.Client(base_url=self._relay.url, timeout=10) as client:
            while not self._stopping.wait(max(0.0, begun_s + turn / self._per_s - time.monotonic())):
                turn += 1
                for room in self._rooms:
                    self._post(client, room, tokens[room])

    def _post(self, client: httpx2.Client, room: str, bearer: str) -> None:
        posted = self.posted_us[room]
        now_us = time.monotonic_ns() // 1_000
        body = {
            "id": f"{room}-{len(posted)}",
            "author": {"id": "s5", "name": "Student 5"},
            "text": f"~{len(posted)}.{now_us}~ why is the slope negative left of zero?",
        }
        answer = client.post(f"/v1/rooms/{room}/messages", json=body, headers={"Authorization": f"Bearer {bearer}"})
        posted.append(now_us)
        self.refused += answer.status_code != 200

    def stop(self) -> None:
        """Post no more."""
        self._stopping.set()
        self.join()


@contextmanager
def full_relay(rooms: list[str]) -> Iterator[tuple[Relay, Nginx]]:
    """A relay that has one place for a socket, which is taken, behind nginx; on the servers' core."""
    folder = Path(tempfile.mkdtemp(prefix="chatsync-polling-"))
    folder.chmod(0o711)
    settings = {"limits": {"sockets_max": 1, "commands_per_s": 10_000, "commands_burst": 10_000}, "behind_proxy": True}
    try:
        with on_server_core():
            relay = Relay(folder / "relay", {room: {"public": True} for room in rooms}, **settings)
            with relay:
                (folder / "relay").chmod(0o711)
                data = folder / "relay" / "data"
                data.chmod(0o711)
                with (
                    Nginx(folder / "nginx", relay_port=relay.port, data=data, logs=False) as nginx,
                    _taken(relay, rooms[0]),
                ):
                    yield relay, nginx
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _taken(relay: Relay, room: str) -> Iterator[None]:
    """One place on a socket is taken."""
    uri = f"{relay.url.replace('http', 'ws')}/v1/rooms/{room}/live"
    with connect(uri, subprotocols=[Subprotocol("chatsync.v1")], close_timeout=0.2) as socket:
        socket.send(hello(None))
        socket.recv(timeout=10)
        yield  # nobody reads what comes; so nobody waits for the goodbye either


def reads_of(relay: Relay) -> float:
    """Chat playlists and open slices that the relay itself has answered."""
    total = 0.0
    for line in relay.get("/metrics").text.splitlines():
        if line.startswith("chatsync_reads_total") and '"slice"' not in line:
            total += float(line.rpartition(" ")[2])
    return total


def polled(
    relay: Relay, nginx: Nginx, rooms: list[str], *, pollers: int, seconds: float, warm_up_s: float = WARM_UP_S
) -> Figures:
    """Let players poll these rooms while somebody writes in them.

    Returns:
        The load client's figures, with ``reads_per_s_a_room`` (asked of the relay), ``said``, ``missed``.

    Raises:
        LeftOutError: there is no C compiler.
    """
    writer = _Writer(relay, rooms, MESSAGES_PER_S)
    writer.start()
    targets = [
        Target(f"/v1/rooms/{rooms[index % len(rooms)]}", index % len(rooms), is_websocket=False)
        for index in range(CONNECTIONS)
    ]
    samples: list[tuple[float, float]] = []
    done = threading.Event()

    def sample() -> None:
        while not done.wait(1.0):
            samples.append((time.monotonic(), reads_of(relay)))

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    try:
        figures = run_load(
            "poll",
            nginx.port,
            targets,
            pids=[relay.pid],
            pollers=pollers,
            warm_up=warm_up_s,
            seconds=seconds,
            drain=DRAIN_S,
        )
    finally:
        done.set()
        sampler.join()
        writer.stop()
    begin_s, end_s = figures["begin_us"] / 1e6, figures["end_us"] / 1e6
    within = [one for one in samples if begin_s <= one[0] <= end_s]
    reads_per_s = (within[-1][1] - within[0][1]) / (within[-1][0] - within[0][0])
    said = sum(figures["begin_us"] <= us < figures["end_us"] for posted in writer.posted_us.values() for us in posted)
    expected = said * pollers // len(rooms)
    return figures | {
        "reads_per_s_a_room": round(reads_per_s / len(rooms), 2),
        "said": said,
        "refused": writer.refused,
        "missed": expected - figures["seen"],
    }


def main() -> None:
    """Measure and print."""
    parser = options(__doc__, seconds=30, rounds=1)
    parser.add_argument("--pollers", type=int, default=POLLERS, help="simulated players (%(default)s)")
    parser.add_argument("--rooms", type=int, default=1, help="rooms they are spread over (%(default)s)")
    arguments = parser.parse_args()
    pollers = min(arguments.pollers, 10_000) if arguments.quick else arguments.pollers
    seconds = min(arguments.seconds, 10.0) if arguments.quick else arguments.seconds

    def measured() -> Figures:
        rooms = [f"room-{number}" for number in range(arguments.rooms)]
        with full_relay(rooms) as (relay, nginx):
            figures = polled(relay, nginx, rooms, pollers=pollers, seconds=seconds)
        return {"benchmark": "polling", "rows": _rows(figures, pollers), **figures}

    finish(measured, only_json=arguments.json)


def _rows(figures: Figures, pollers: int) -> list[dict[str, Any]]:
    what = f"{pollers:,} pollers through nginx"
    note = (
        f"{figures['polls_per_s']:.0f} polls/s, reload_ms up to {figures['reload_ms_max']}, "
        f"generator late by {figures['late_p99_ms']} ms (p99), relay {figures['cpu_cores']} cores, "
        f"{figures['missed']} missed, {figures['duplicates']} twice"
    )
    reads = figures["reads_per_s_a_room"]
    return [
        row(f"{what}: asked of the relay", "requests/s a room", reads, target=READS_TARGET, better="lower", note=note),
        row(f"{what}: seen, p99", "ms", figures["p99_ms"], target=SEEN_TARGET_MS, better="lower"),
        row(f"{what}: seen, at most", "ms", figures["max_ms"], target=SEEN_TARGET_MS, better="lower"),
    ]


if __name__ == "__main__":
    main()
