"""Durable appends a second into the journal: ``python -m benchmarks.append [--seconds 2] [--json]``.

Sixty-four messages are under way at any time, as with sixty-four people who write as fast as they are answered; each answer means that
the message is on disk. The peer, in the same run and on the same disk, takes the same drafts with one commit each: the next message is
handed in when the one before is durable, so no two ever share an fsync. Rounds of the two alternate; the median round counts. The ratio
is what group commit gives, so it grows with the price of an fsync, which is printed beside it. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import uuid_utils

from chatsync.chat.event import Author, Draft, Stamp
from chatsync.instants import MS_US, SECOND_US
from chatsync.store.opening import Store, open_store

__all__ = ["main"]

IN_FLIGHT = 64
PEOPLE = 200
ROUNDS = 3
ROOM = "bench"
BASE_US = 1_764_000_000 * SECOND_US
TEXT = "why is the slope negative left of zero? it looks the other way round on the slide"


def main() -> None:
    """Print the figures of group commit and of one commit each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0, help="measured time of a round")
    parser.add_argument("--folder", type=Path, help="where the data folder is made; default: the system's")
    parser.add_argument("--json", action="store_true", help="only the JSON line")
    arguments = parser.parse_args()
    result = _measured(arguments.seconds, arguments.folder)
    if not arguments.json:
        for name in ("group_commit", "one_commit_each"):
            figures = result[name]
            print(
                f"{name:16} {figures['acks_per_s']:10,.1f} acks/s   p50 {figures['p50_ms']} ms   p99 {figures['p99_ms']} ms"
            )
        print(f"ratio            {result['ratio']:10.1f}   fsync p50 {result['fsync_ms_p50']} ms")
    print(json.dumps(result))


def _measured(seconds: float, parent: Path | None) -> dict[str, Any]:
    rounds: dict[str, list[dict[str, float]]] = {"group_commit": [], "one_commit_each": []}
    with tempfile.TemporaryDirectory(dir=parent) as folder, open_store(Path(folder) / "data") as store:
        fsync_ms = _fsync_ms_p50(Path(folder))
        drafts = _drafts()
        for _ in range(ROUNDS):
            rounds["one_commit_each"].append(_round(store, drafts, in_flight=1, seconds=seconds))
            rounds["group_commit"].append(_round(store, drafts, in_flight=IN_FLIGHT, seconds=seconds))
        rows = store.journal.verify(ROOM)
        size_bytes = store.files.database.stat().st_size
    figures: dict[str, Any] = {name: _median_round(found) for name, found in rounds.items()}
    return {
        "benchmark": "append",
        "in_flight": IN_FLIGHT,
        **figures,
        "ratio": round(figures["group_commit"]["acks_per_s"] / figures["one_commit_each"]["acks_per_s"], 2),
        "fsync_ms_p50": round(fsync_ms, 3),
        "rows": rows,
        "bytes_per_row": round(size_bytes / rows),
    }


def _median_round(rounds: list[dict[str, float]]) -> dict[str, float]:
    return sorted(rounds, key=lambda one: one["acks_per_s"])[len(rounds) // 2]


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


def _drafts() -> Iterator[Draft]:
    """Messages of a lecture: many authors, program time that goes on."""
    authors = [Author(f"key-{number:05}", f"Person {number}") for number in range(PEOPLE)]
    for number in count():
        now_us = BASE_US + number * 50 * MS_US
        yield Draft(
            room=ROOM,
            kind="message",
            id=str(uuid_utils.uuid7()),
            stamp=Stamp(stamp="playhead", broadcast=1, program_us=now_us, uncertainty_us=40 * MS_US),
            wall_us=now_us,
            author=authors[number % PEOPLE],
            text=TEXT,
        )


def _round(store: Store, drafts: Iterator[Draft], *, in_flight: int, seconds: float) -> dict[str, float]:
    """Keep so many messages under way for a while; acks a second and the time from handing in to ack."""
    took_ms: list[float] = []
    failed: list[BaseException] = []
    finished = threading.Event()
    drawing = threading.Lock()  # the first are handed in here while the writer's thread answers already
    under_way = in_flight
    began_s = time.perf_counter()
    end_s = began_s + seconds

    def submit() -> None:
        with drawing:
            draft = next(drafts)
        sent_s = time.perf_counter()
        store.writer.submit(lambda connection: store.journal.append(connection, draft), _answered(sent_s))

    def _answered(sent_s: float) -> Callable[[Any], None]:
        def done(result: Any) -> None:
            nonlocal under_way
            now_s = time.perf_counter()
            if isinstance(result, BaseException):
                failed.append(result)
                finished.set()
                return
            took_ms.append((now_s - sent_s) * 1000)
            if now_s < end_s:
                submit()
                return
            under_way -= 1
            if under_way == 0:
                finished.set()

        return done

    for _ in range(in_flight):
        submit()
    if not finished.wait(seconds + 60):
        raise TimeoutError("the writer does not answer")
    if failed:
        raise failed[0]
    took_s = time.perf_counter() - began_s
    took_ms.sort()
    return {
        "acks_per_s": round(len(took_ms) / took_s, 1),
        "p50_ms": round(took_ms[len(took_ms) // 2], 3),
        "p99_ms": round(took_ms[len(took_ms) * 99 // 100], 3),
    }


if __name__ == "__main__":
    main()
