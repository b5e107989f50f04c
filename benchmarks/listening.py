"""Rooms full of listeners, of the relay and of its peers: what fan-out, idling and many rooms have in common.

Owns: who connects to what. Does not know: what is asked of the figures. Every room has its listeners, some of whom write; each server
runs on one core, the load client on the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

from benchmarks import peers
from benchmarks.harness import Figures, live_path, median, relay_on_server_core, sent_by, told
from benchmarks.loading import LeftOutError, Target, hello, run_load

__all__ = ["Listeners", "of_peers", "peer_servers", "relay_rounds", "rounds_of"]

# All listeners come from one address, at once, as guests.
LIMITS = {
    "sockets_max": 30_000,
    "guests_per_address_max": 30_000,
    "knocks_per_s": 30_000,
    "knocks_burst": 30_000,
}
WARM_UP_S = 2
DRAIN_S = 10
RELAY = "chatsync"

_CHATSYNC = {"protocol": "chatsync", "ready": '"type":"welcome"'}


@dataclass(frozen=True, slots=True)
class Listeners:
    """So many in each of so many rooms.

    Attributes:
        name: as the report prints it.
        rooms: how many.
        each: listeners of a room, those who write included.
        writers: of a room.
        rate: messages a second of a room.
        hold_s: how long all idle before anything is written.
    """

    name: str
    rooms: int
    each: int
    writers: int
    rate: float
    hold_s: float = 0


@contextmanager
def peer_servers(wanted: bool = True) -> Iterator[tuple[list[peers.Peer], list[str]]]:
    """The peers that are installed, running, and why others are left out."""
    found: list[peers.Peer] = []
    left_out: list[str] = []
    makers: tuple[Callable[[], AbstractContextManager[peers.Peer]], ...] = (peers.nats_websocket, peers.nchan)
    with ExitStack() as stack:
        for make in makers if wanted else ():
            try:
                found.append(stack.enter_context(make()))
            except LeftOutError as reason:
                left_out.append(str(reason))
        yield found, left_out


def rounds_of(load: Listeners, seconds: float, rounds: int, others: list[peers.Peer]) -> dict[str, Figures]:
    """The median round of each server, by p99; rounds alternate. The relay gets a new process and folder each time."""
    found: dict[str, list[Figures]] = {}
    for _ in range(rounds):
        found.setdefault(RELAY, []).append(relay_rounds(load, seconds))
        for peer in others:
            found.setdefault(peer.name, []).append(_of_peer(peer, load, seconds))
        for name, figures in found.items():
            _tell(load, name, figures[-1])
    return {name: median(figures, "p99_ms") for name, figures in found.items()}


def relay_rounds(load: Listeners, seconds: float) -> Figures:
    """One run of the relay."""
    names = [f"room-{number}" for number in range(load.rooms)]
    with relay_on_server_core({name: {"public": True} for name in names}, None, **LIMITS) as relay:
        targets: list[Target] = []
        for number, name in enumerate(names):
            targets += sent_by(name, load.writers, number=number)
            targets += [Target(live_path(name), number, hello(None))] * (load.each - load.writers)
        return _run(load, seconds, relay.port, pids=[relay.pid], targets=targets, how=_CHATSYNC)


def _of_peer(peer: peers.Peer, load: Listeners, seconds: float) -> Figures:
    targets: list[Target] = []
    for number in range(load.rooms):
        writers = peer.writers(number, load.writers)
        listening = sum(writer.is_websocket for writer in writers)
        targets += writers + [peer.reader(number)] * (load.each - listening)
    return _run(load, seconds, peer.port, pids=peer.pids, targets=targets, how=peer.ready)


def _run(
    load: Listeners, seconds: float, port: int, *, pids: Sequence[int], targets: list[Target], how: dict[str, str]
) -> Figures:
    figures = run_load(
        "fanout",
        port,
        targets,
        pids=pids,
        rate=load.rate,
        seconds=seconds,
        warm_up=WARM_UP_S,
        drain=DRAIN_S,
        hold=load.hold_s,
        **how,
    )
    figures["delivered_percent"] = round(100 * figures["delivered"] / figures["expected"], 2) if load.rate else None
    return figures


def _tell(load: Listeners, name: str, one: Figures) -> None:
    text = f"{load.name}, {name}: {one['rss_kib_per_connection']:.1f} KiB a connection"
    if load.rate:
        text += (
            f", {one['delivered_percent']:.2f} % delivered, p50 {one['p50_ms']:.0f} ms, p99 {one['p99_ms']:.0f} ms, "
            f"{one['cpu_cores']:.2f} cores (client {one['client_cores']:.2f}), {one['cpu_s_per_million']:.2f} CPU s per million"
        )
    told(f"{text} {one['first_refusal']}")


def of_peers(figures: dict[str, Figures], key: str) -> dict[str, float | None]:
    """One figure of each peer; None where nothing was delivered that could be timed."""
    return {
        name: None if key.endswith("_ms") and one["p50_ms"] == 0 else one[key]
        for name, one in figures.items()
        if name != RELAY
    }
