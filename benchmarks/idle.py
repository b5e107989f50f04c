"""What idle connections cost: ``python -m benchmarks.idle [--connections 10000] [--quick] [--json]``.

So many viewers of one room connect, say hello and are silent; the memory is that of the process after ten seconds less that before
the first one, as the system counts it. The peers in the same run hold as many subscribed WebSockets: nats-server's own and nchan on
nginx. The kernel's share, the same for all, is not counted. The last line is JSON.
"""

from __future__ import annotations

from functools import partial

from benchmarks.harness import Figures, finish, options, row
from benchmarks.listening import Listeners, of_peers, peer_servers, rounds_of

__all__ = ["main"]

TARGET_KIB = 25
HOLD_S = 10.0


def main() -> None:
    """Print the figures of relay and peers."""
    parser = options(__doc__, seconds=0, rounds=1)
    parser.add_argument("--connections", type=int, default=10_000)
    arguments = parser.parse_args()
    hold_s = HOLD_S
    if arguments.quick:
        arguments.connections, hold_s = 3_000, 2.0
    finish(partial(_measured, arguments.connections, arguments.rounds, hold_s), only_json=arguments.json)


def _measured(connections: int, rounds: int, hold_s: float) -> Figures:
    load = Listeners(f"{connections:,} idle connections", 1, connections, 0, 0, hold_s)
    with peer_servers() as (others, left_out):
        figures = rounds_of(load, 0, rounds, others)
    ours = figures["chatsync"]
    return {
        "benchmark": "idle",
        "connections": connections,
        "figures": figures,
        "left_out": left_out,
        "rows": [
            row(
                f"{load.name}: memory each",
                "KiB",
                ours["rss_kib_per_connection"],
                target=TARGET_KIB,
                better="lower",
                peers=of_peers(figures, "rss_kib_per_connection"),
                note=f"{ours['closed']} closed; the whole process {ours['rss_full_kib'] / 1024:.0f} MiB",
            )
        ],
    }


if __name__ == "__main__":
    main()
