"""What it costs to seal: ``python -m benchmarks.seal [--events 400000] [--rounds 3] [--quick] [--json]``.

A room's program hour of so many messages lies in the journal and is sealed as the relay does it: each row is read and compared with
its checksums, turned into columns, sorted, written as Parquet of the archive's form, synced, hashed, listed in the catalog and in the
manifest; slices are not cut here. The peer in the same run is DuckDB's COPY of the same rows, sorted, from a native table of its own into Parquet of the same form (zstd 3, row groups of 8,192): it
checks nothing, reads columns that lie as such already, and may use all cores, ours uses one. Rounds alternate, the median counts. The
last line is JSON.
"""

from __future__ import annotations

import os
import tempfile
import time
from functools import partial
from pathlib import Path

import duckdb

from benchmarks.big_folder import append_events
from benchmarks.harness import Figures, finish, median, options, row, told
from chatsync.instants import HOUR_US, SECOND_US
from chatsync.store.opening import Store, open_store

__all__ = ["main"]

ROOM = "bench"
TARGET_PER_S = 200_000
BASE_US = 1_764_000_000 * SECOND_US // HOUR_US * HOUR_US
_COPY = (
    "COPY (SELECT * FROM events ORDER BY program_us, \"offset\") TO '{path}' "
    "(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 3, ROW_GROUP_SIZE 8192)"
)


def main() -> None:
    """Print the figures."""
    parser = options(__doc__, seconds=0, rounds=3)
    parser.add_argument("--events", type=int, default=400_000, help="of the hour (%(default)s)")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.events, arguments.rounds = 100_000, 1
    finish(partial(_measured, arguments.events, arguments.rounds), only_json=arguments.json)


def _measured(events: int, rounds: int) -> Figures:
    with tempfile.TemporaryDirectory() as folder, open_store(Path(folder) / "data") as store:
        told(f"appending {events:,} events")
        append_events(store, ROOM, events, broadcast=1, start_us=BASE_US, end_us=BASE_US + HOUR_US)
        found: dict[str, list[Figures]] = {"chatsync": [], "duckdb": []}
        for number in range(rounds):
            if number:
                _make_dirty(store, events)
            found["chatsync"].append(_timed(lambda: store.archive.archive_now(ROOM), events))
            (file,) = store.catalog.archive_files(ROOM)
            with duckdb.connect(":memory:") as connection:
                connection.execute(
                    "CREATE TABLE events AS SELECT * FROM read_parquet(?, hive_partitioning = false)",
                    [str(store.files.root / file.path)],
                )
                copy = _COPY.format(path=f"{folder}/copied.parquet")
                found["duckdb"].append(_timed(lambda: connection.execute(copy), events))  # noqa: B023
            told(
                f"sealed {found['chatsync'][-1]['events_per_s']:.0f}/s, DuckDB {found['duckdb'][-1]['events_per_s']:.0f}/s"
            )
        size_bytes, copied_bytes = file.size_bytes, os.path.getsize(f"{folder}/copied.parquet")
    ours, copied = (median(found[name], "events_per_s") for name in ("chatsync", "duckdb"))
    name = f"DuckDB {duckdb.__version__} COPY"
    note = f"{events:,} events, {size_bytes / 2**20:.1f} MiB (DuckDB {copied_bytes / 2**20:.1f}); rows checked against their checksums"
    return {
        "benchmark": "seal",
        "events": events,
        "relay": ours,
        "peers": {name: copied},
        "rows": [
            row("seal", "events/s", ours["events_per_s"], target=TARGET_PER_S, better="higher", peers={name: copied["events_per_s"]}, note=note),
            row("the same, CPU s per million", "s", ours["cpu_s_per_million"], target=None, better="lower", peers={name: copied["cpu_s_per_million"]}),
        ],
    }  # fmt: skip


def _timed(work: partial[object] | object, events: int) -> Figures:
    began_s, cpu_s = time.perf_counter(), time.process_time()
    work()  # type: ignore[operator]
    took_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
    return {"events_per_s": round(events / took_s), "cpu_s_per_million": round(cpu_s * 1e6 / events, 2)}


def _make_dirty(store: Store, through: int) -> None:
    """The hour is to be written again."""
    store.writer.call(
        lambda connection: connection.execute("INSERT INTO dirty_hours VALUES (?, 1, ?, ?)", (ROOM, BASE_US, through))
    ).result()


if __name__ == "__main__":
    main()
