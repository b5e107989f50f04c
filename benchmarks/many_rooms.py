"""Many small rooms: ``python -m benchmarks.many_rooms [--rooms 2000] [--seconds 8] [--rounds 3] [--quick] [--json]``.

Five people in each room, one of whom says something every second, through the real sockets of one relay: every delivery is counted and
timed by a compiled client on another core. The peers in the same run have as many subjects or channels with as many subscribers, and
store nothing: nats-server's own WebSocket, and nchan on nginx. The last line is JSON.
"""

from __future__ import annotations

from functools import partial

from benchmarks.harness import Figures, finish, options, row
from benchmarks.listening import Listeners, of_peers, peer_servers, rounds_of

__all__ = ["main"]

EACH = 5
TARGET_P99_MS = 150


def main() -> None:
    """Print the figures of relay and peers."""
    parser = options(__doc__, seconds=8, rounds=3)
    parser.add_argument("--rooms", type=int, default=2_000)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rooms, arguments.seconds, arguments.rounds = 500, 4, 1
    finish(partial(_measured, arguments.rooms, arguments.seconds, arguments.rounds), only_json=arguments.json)


def _measured(rooms: int, seconds: float, rounds: int) -> Figures:
    load = Listeners(f"{rooms:,} rooms of {EACH}, one message/s each", rooms, EACH, 1, 1)
    with peer_servers() as (others, left_out):
        figures = rounds_of(load, seconds, rounds, others)
    ours = figures["chatsync"]
    note = f"{ours['cpu_cores']:.2f} of one core; {ours['repeated']} repeated, {ours['closed']} closed"
    shares = of_peers(figures, "delivered_percent")
    percentiles = of_peers(figures, "p99_ms")
    costs = of_peers(figures, "cpu_s_per_million")
    return {
        "benchmark": "many_rooms",
        "rooms": rooms,
        "figures": figures,
        "left_out": left_out,
        "rows": [
            row(
                f"{load.name}: delivered",
                "%",
                ours["delivered_percent"],
                target=100,
                better="higher",
                peers=shares,
                note=note,
            ),
            row(f"{load.name}: p99", "ms", ours["p99_ms"], target=TARGET_P99_MS, better="lower", peers=percentiles),
            row(
                f"{load.name}: CPU s per million",
                "s",
                ours["cpu_s_per_million"],
                target=None,
                better="lower",
                peers=costs,
            ),
        ],
    }


if __name__ == "__main__":
    main()
