"""One room, thousands of viewers: ``python -m benchmarks.fanout [--seconds 8] [--rounds 3] [--quick] [--json]``.

Twenty people write, everybody listens, every delivery is counted and timed by a compiled client on another core: 5,000 viewers with 100
messages a second, and 10,000 with 20. The peers in the same run carry as many bytes a message to as many WebSockets, on one core as we
do: nats-server with its own WebSocket, and nchan on nginx, both of which store nothing and send each message in a frame of its own. A
server that cannot keep up is told by its share delivered, ten seconds after the last message. The last line is JSON.
"""

from __future__ import annotations

from functools import partial

from benchmarks.harness import Figures, finish, options, row
from benchmarks.listening import Listeners, of_peers, peer_servers, rounds_of

__all__ = ["main"]

WRITERS = 20


def _load(viewers: int, rate: int) -> Listeners:
    return Listeners(f"fan-out, one room, {viewers:,} viewers, {rate} messages/s", 1, viewers, WRITERS, rate)


LOADS = {_load(5_000, 100): 150.0, _load(10_000, 20): 250.0}  # and the p99 asked of each, ms


def main() -> None:
    """Print the figures of relay and peers."""
    parser = options(__doc__, seconds=8, rounds=3)
    parser.add_argument("--load", action="append", metavar="VIEWERS:RATE", help="other loads than the two")
    parser.add_argument("--no-peers", action="store_true", help="the relay only")
    arguments = parser.parse_args()
    loads: dict[Listeners, float | None] = dict(LOADS)
    if arguments.quick:
        arguments.seconds, arguments.rounds = 4, 1
        loads = dict(list(LOADS.items())[:1])
    if arguments.load:
        loads = {_load(*map(int, text.split(":"))): None for text in arguments.load}
    measured = partial(_measured, loads, arguments.seconds, arguments.rounds, not arguments.no_peers)
    finish(measured, only_json=arguments.json)


def _measured(loads: dict[Listeners, float | None], seconds: float, rounds: int, with_peers: bool) -> Figures:
    rows, medians = [], {}
    with peer_servers(with_peers) as (others, left_out):
        for load, p99_ms in loads.items():
            figures = medians[load.name] = rounds_of(load, seconds, rounds, others)
            rows += _rows(load.name, p99_ms, figures)
    return {"benchmark": "fanout", "figures": medians, "left_out": left_out, "rows": rows}


def _rows(name: str, p99_ms: float | None, figures: dict[str, Figures]) -> list[Figures]:
    ours = figures["chatsync"]
    note = f"{ours['cpu_cores']:.2f} of one core; {ours['repeated']} repeated, {ours['closed']} closed"
    shares = of_peers(figures, "delivered_percent")
    costs = of_peers(figures, "cpu_s_per_million")
    return [
        row(f"{name}: delivered", "%", ours["delivered_percent"], target=100, better="higher", peers=shares, note=note),
        row(f"{name}: p99", "ms", ours["p99_ms"], target=p99_ms, better="lower", peers=of_peers(figures, "p99_ms")),
        row(f"{name}: CPU s per million", "s", ours["cpu_s_per_million"], target=None, better="lower", peers=costs),
    ]


if __name__ == "__main__":
    main()
