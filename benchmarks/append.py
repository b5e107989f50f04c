"""Durable appends a second, group commit beside one by one: ``python -m benchmarks.append [--seconds 2] [--json]``.

One row per number of messages under way: the journal's own append (checksums, chain, dedupe, names, heads) through the writer's
thread, each told only after its commit was synced. The peer, on the same disk in the same run, is a bare table in SQLite with the
same settings and a commit for every row. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from chatsync.chat.event import Author, Draft, Stamp
from chatsync.instants import SECOND_US
from chatsync.store.journal import Journal
from chatsync.store.opening import Store, open_store
from chatsync.store.writer import opened

__all__ = ["main"]

IN_FLIGHT = (1, 64, 1_000)
_START_US = 1_764_000_000 * SECOND_US
_TEXT = "why is the slope negative left of zero? it looks the other way round on the slide"


def main() -> None:
    """Print a table and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0, help="measured time of a row")
    parser.add_argument("--folder", type=Path, help="where the data folder is made; default: the system's")
    parser.add_argument("--json", action="store_true", help="only the JSON line")
    arguments = parser.parse_args()
    rows = [_one_by_one(arguments.seconds, arguments.folder)]
    rows += [_grouped(count, arguments.seconds, arguments.folder) for count in IN_FLIGHT]
    if not arguments.json:
        print(f"{'':>24} {'in flight':>9} {'acked/s':>9} {'p50 ms':>8} {'p99 ms':>8}")
        for row in rows:
            print(
                f"{row['what']:>24} {row['in_flight']:>9} {row['acked_per_s']:>9.0f} {row['p50_ms']:>8.2f} {row['p99_ms']:>8.2f}"
            )
    print(json.dumps({"append": rows}))


def _draft(number: int) -> Draft:
    instant_us = _START_US + number * 1_000
    return Draft(
        room="bench",
        kind="message",
        id=f"0195cafe-0000-7000-8000-{number:012x}",
        stamp=Stamp(
            stamp="playhead",
            broadcast=1,
            program_us=instant_us,
            uncertainty_us=16_000,
            claimed_us=instant_us,
            run=1,
            media_sequence=5_123,
            into_segment_us=345_000,
        ),
        wall_us=instant_us + 6 * SECOND_US,
        author=Author(f"{number % 300:016x}", f"Student {number % 300}"),
        text=_TEXT,
    )


def _summary(what: str, in_flight: int, elapsed_s: float, waits_s: list[float]) -> dict[str, Any]:
    waits_s.sort()
    return {
        "what": what,
        "in_flight": in_flight,
        "acked_per_s": round(len(waits_s) / elapsed_s),
        "p50_ms": round(waits_s[len(waits_s) // 2] * 1e3, 3),
        "p99_ms": round(waits_s[len(waits_s) * 99 // 100] * 1e3, 3),
    }


def _one_by_one(seconds: float, folder: Path | None) -> dict[str, Any]:
    """A bare table, a commit for every row."""
    with tempfile.TemporaryDirectory(dir=folder) as made:
        connection = opened(Path(made) / "peer.db")
        connection.execute("CREATE TABLE log (room TEXT, offset INTEGER, text TEXT, PRIMARY KEY (room, offset))")
        waits_s: list[float] = []
        begin_s = now_s = time.perf_counter()
        while now_s - begin_s < seconds:
            connection.execute("INSERT INTO log VALUES ('bench', ?, ?)", (len(waits_s), _TEXT))
            before_s, now_s = now_s, time.perf_counter()
            waits_s.append(now_s - before_s)
        connection.close()
    return _summary("bare SQLite, one by one", 1, now_s - begin_s, waits_s)


def _grouped(in_flight: int, seconds: float, folder: Path | None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=folder) as made, open_store(Path(made) / "data") as store:
        return _measured(store, in_flight, seconds)


def _measured(store: Store, in_flight: int, seconds: float) -> dict[str, Any]:
    places = threading.Semaphore(in_flight)
    waits_s: list[float] = []
    begin_s = now_s = time.perf_counter()
    number = 0
    while now_s - begin_s < seconds:
        places.acquire()
        number += 1
        now_s = time.perf_counter()
        _submit(store, _draft(number), now_s, places, waits_s)
    for _ in range(in_flight):
        places.acquire()
    return _summary("journal, group commit", in_flight, time.perf_counter() - begin_s, waits_s)


def _submit(store: Store, draft: Draft, sent_s: float, places: threading.Semaphore, waits_s: list[float]) -> None:
    journal: Journal = store.journal

    def work(connection: sqlite3.Connection) -> Any:
        return journal.append(connection, draft)

    def done(result: Any) -> None:
        if isinstance(result, BaseException):
            raise result
        waits_s.append(time.perf_counter() - sent_s)
        places.release()

    store.writer.submit(work, done)


if __name__ == "__main__":
    main()
