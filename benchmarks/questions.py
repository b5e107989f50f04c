"""Questions to a large archive: ``python -m benchmarks.questions [--messages 20000000] [--files 10000] [--quick] [--folder F]``.

The same messages lie in an archive (Parquet by program hour, listed in the catalog, as a relay leaves it) and in one table of SQLite with an index by
room and time. Three questions are asked of all of them: messages per minute of every room, people who wrote per room, the twenty commonest words of four
letters and more. We answer by ``chatsync.open_archive`` (DuckDB); Polars scans the same files; SQLite answers by SQL, and for words, which its SQL cannot
split, by a loop over its rows. All three must say the same. Every answer is made in a process of its own, from cold connections and a warm page cache;
rounds alternate, and the median counts. Besides: ``open_archive`` and a first answer over a folder of ten thousand files. The last line is JSON.
"""

from __future__ import annotations

import json
import random
import sqlite3
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow as pa

from benchmarks.harness import Figures, finish, options, row, told
from chatsync.instants import HOUR_US, SECOND_US
from chatsync.store.catalog import ArchiveFile
from chatsync.store.opening import Store, open_store
from chatsync.store.parquet import sha256_of, write_parquet
from chatsync.store.schema import EVENTS, SCHEMA_VERSION

__all__ = ["BASE_US", "EACH", "PEOPLE", "hour_file", "hour_table", "made_texts", "main"]

BASE_US = 1_764_000_000 * SECOND_US
EACH = 50_000  # messages of a file: an hour of a busy room
ROOMS = 20
PEOPLE = 2_000
COLD_TARGET_S = 0.5
_SYLLABLES = ["ka", "lo", "mi", "ne", "ru", "sa", "te", "vo", "la", "di", "pe", "shu", "gra", "bin", "tor", "mel"]
_QUESTIONS = ("minutes", "chatters", "words")


def main() -> None:
    """Build, ask, compare; exit 1 if two answers differ."""
    parser = options(__doc__, seconds=0, rounds=3)
    parser.add_argument("--messages", type=int, default=20_000_000)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, help="where the data is made; default: the system's")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.messages, arguments.files, arguments.rounds = 500_000, 1_000, 1
    with tempfile.TemporaryDirectory(dir=arguments.folder) as parent:
        measured = partial(_measured, Path(parent), arguments.messages // EACH, arguments.files, arguments.rounds)
        finish(measured, only_json=arguments.json)


# --- measuring --------------------------------------------------------------------------------------------------------


def _measured(parent: Path, hours: int, files: int, rounds: int) -> Figures:
    folder, database, many = parent / "data", parent / "peer.db", parent / "many"
    told(f"making {hours * EACH:,} messages in {hours} files and in SQLite")
    _make(folder, hours, EACH, database)
    told(f"making {files:,} files")
    _make(many, files, 3, None)
    messages = hours * EACH
    rows, answers = [], {}
    for question in _QUESTIONS:
        seconds: dict[str, list[float]] = {"chatsync": [], "Polars": [], "SQLite": []}
        for number in range(rounds):
            for who, path in (("chatsync", folder), ("Polars", folder), ("SQLite", database)):
                if who == "SQLite" and number:
                    continue  # once: it takes longer than all others together
                answer = _ask(who, question, path)
                seconds[who].append(answer["seconds"])
                answers[question, who] = answer["digest"]
            told(f"{question}: {', '.join(f'{who} {times[-1]:.2f} s' for who, times in seconds.items())}")
        if len({answers[question, who] for who in seconds}) != 1:
            raise RuntimeError(f"the answers to {question} differ")
        peers = {who: round(median(times), 2) for who, times in seconds.items() if who != "chatsync"}
        what = f"{question} of {messages:,} messages"
        rows.append(row(what, "s", round(median(seconds["chatsync"]), 2), target=None, better="lower", peers=peers))
    cold = [_ask("chatsync", "cold", many) for _ in range(max(rounds, 3))]
    opened_s = median(one["seconds"] for one in cold)
    loaded_s = median(one["import_s"] for one in cold)
    note = (
        f"from open_archive to the first answer about one room; loading Python's packages took {loaded_s:.2f} s before"
    )
    rows.append(
        row(
            f"first answer over {files:,} files",
            "s",
            round(opened_s, 2),
            target=COLD_TARGET_S,
            better="lower",
            note=note,
        )
    )
    return {"benchmark": "questions", "messages": messages, "files": files, "rows": rows}


def _ask(who: str, question: str, path: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.asking", who, question, str(path)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


# --- making -----------------------------------------------------------------------------------------------------------


def _make(folder: Path, hours: int, each: int, database: Path | None) -> None:
    chance = random.Random(7)
    texts = made_texts(chance)
    peer = None if database is None else _peer(database)
    with open_store(folder) as store:
        files = []
        for hour in range(hours):
            room, nth = f"room-{hour % ROOMS}", hour // ROOMS
            table = hour_table(chance, texts, room, nth, each)
            files.append(hour_file(store, table, room, nth, each))
            if peer is not None:
                columns = (table.column(name).to_pylist() for name in ("author_key", "text"))
                times = table.column("program_us").cast(pa.int64()).to_pylist()
                peer.executemany(
                    "INSERT INTO messages VALUES (?, ?, ?, ?)", zip([room] * each, times, *columns, strict=True)
                )
        store.writer.call(
            lambda connection: [store.catalog.put_archive_file(connection, one) for one in files]
        ).result()
    if peer is not None:
        peer.execute("CREATE INDEX by_time ON messages (room, program_us)")
        peer.commit()
        peer.close()


def _peer(database: Path) -> sqlite3.Connection:
    peer = sqlite3.connect(database)
    peer.execute("PRAGMA synchronous = OFF")
    peer.execute("CREATE TABLE messages (room TEXT, program_us INTEGER, author_key TEXT, text TEXT)")
    return peer


def made_texts(chance: random.Random) -> list[str]:
    """Twenty thousand texts of one to thirteen made-up words."""
    words = ["".join(chance.choices(_SYLLABLES, k=chance.randrange(1, 5))) for _ in range(3_000)]
    return [" ".join(chance.choices(words, k=chance.randrange(1, 14))) for _ in range(20_000)]


def hour_table(chance: random.Random, texts: list[str], room: str, nth: int, each: int) -> pa.Table:
    """Messages of a room's nth hour, evenly over it, by people who are pseudonyms alone."""
    hour_us = BASE_US + nth * HOUR_US
    step_us = HOUR_US // each // 1_000 * 1_000
    times = pa.array([hour_us + index * step_us for index in range(each)], EVENTS.field("program_us").type)
    values: dict[str, Any] = {
        "broadcast": pa.array([1] * each, pa.int32()),
        "epoch": pa.array([1] * each, pa.int64()),
        "offset": pa.array(range(1 + nth * each, 1 + (nth + 1) * each), pa.int64()),
        "id": pa.array([f"{room}-{nth}-{index}" for index in range(each)]),
        "program_us": times,
        "wall_us": times,
        "uncertainty_us": pa.array([40_000] * each, pa.int64()),
        "behind_live_us": pa.array([0] * each, pa.int64()),
        "text": pa.array(chance.choices(texts, k=each)),
        "details": pa.array(["{}"] * each),
    }
    few = {"room": room, "kind": "message", "stamp": "playhead", "role": "participant", "source": "live"}
    values |= {name: pa.array([value] * each).dictionary_encode() for name, value in few.items()}
    values["author_key"] = pa.array([f"{chance.randrange(PEOPLE):032x}" for _ in range(each)]).dictionary_encode()
    arrays = [values[name] if name in values else pa.nulls(each, EVENTS.field(name).type) for name in EVENTS.names]
    return pa.Table.from_arrays(arrays, schema=EVENTS)


def hour_file(store: Store, table: pa.Table, room: str, nth: int, each: int) -> ArchiveFile:
    """The table written where a relay has it; the catalog must be told of it."""
    hour_us = BASE_US + nth * HOUR_US
    path = store.files.hour_path("events", room, 1, hour_us, 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_parquet(table, path)
    return ArchiveFile(
        path=store.files.relative(path),
        tree="events",
        room=room,
        broadcast=1,
        hour_us=hour_us,
        generation=1,
        rows=each,
        start_us=hour_us,
        end_us=hour_us + HOUR_US,
        sha256=sha256_of(path),
        size_bytes=path.stat().st_size,
        schema_version=SCHEMA_VERSION,
        first_offset=1 + nth * each,
        last_offset=(nth + 1) * each,
        last_wall_us=hour_us + HOUR_US,
        pruned=True,
    )


if __name__ == "__main__":
    main()
