"""Reading what nobody prepared: ``python -m benchmarks.windows [--rooms 2000] [--messages 20000000] [--reads 400] [--quick] [--json]``.

30 s of a random room at a random place, read for the first time: the relay plans on its catalog, compares the room's Parquet file with
its SHA-256, reads it with DuckDB, and makes events of the rows with their authors' names. No file is read twice. The peers in the same
run answer the same windows in turn, as rows in Python: a native table of DuckDB sorted by room and time, SQLite clustered by both
(``WITHOUT ROWID``), and PostgreSQL with a primary key of both over a Unix socket. They check nothing and keep only the columns that differ
from row to row. Everything lies in the system's page cache; a second measurement of ours throws the file out of it before each read.
The last line is JSON.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.big_folder import HOURS, room_name, shared_folder, start_us_of
from benchmarks.harness import Figures, finish, options, row, told
from benchmarks.loading import LeftOutError
from chatsync.instants import HOUR_US, MS_US, SECOND_US, Range
from chatsync.store.opening import Store, open_store

__all__ = ["main"]

TARGET_MS = 3.0
WINDOW_US = 30 * SECOND_US
_COLUMNS = {
    "room": "TEXT",
    "broadcast": "INTEGER",
    "program_us": "BIGINT",
    '"offset"': "BIGINT",
    "id": "TEXT",
    "wall_us": "BIGINT",
    "author_key": "TEXT",
    "name_version": "INTEGER",
    "text": "TEXT",
}
_TABLE = ", ".join(f"{name} {kind} NOT NULL" for name, kind in _COLUMNS.items())
_KEY = 'PRIMARY KEY (room, broadcast, program_us, "offset")'
_BY = 'room, broadcast, program_us, "offset"'
_WHERE = "room = {0} AND broadcast = 1 AND program_us >= {0} AND program_us < {0}"
_ASKED = f'SELECT {", ".join(_COLUMNS)} FROM events WHERE {_WHERE} ORDER BY program_us, "offset"'
_ROWS_AT_ONCE = 20_000

Asked = Callable[[str, int], int]
"""How many rows a room has in 30 s from an instant."""


def main() -> None:
    """Print the figures of the archive and of peers."""
    parser = options(__doc__, seconds=0, rounds=1)
    parser.add_argument("--rooms", type=int, default=2_000)
    parser.add_argument("--messages", type=int, default=20_000_000)
    parser.add_argument("--reads", type=int, default=400, help="windows of each (%(default)s)")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rooms, arguments.messages, arguments.reads = 100, 1_000_000, 150
    finish(partial(_measured, arguments.rooms, arguments.messages, arguments.reads), only_json=arguments.json)


def _measured(rooms: int, messages: int, reads: int) -> Figures:
    folder, made = shared_folder(rooms, messages)
    start_us = start_us_of(made["now_us"])
    hours = [(number, hour) for number in range(rooms) for hour in range(HOURS)]
    chosen = random.Random(11)
    chosen.shuffle(hours)
    windows = [
        (room_name(number), start_us + hour * HOUR_US + chosen.randrange(HOUR_US - WINDOW_US) // MS_US * MS_US)
        for number, hour in hours[: 2 * reads]
    ]
    left_out: list[str] = []
    with ExitStack() as stack:
        asked: dict[str, Asked] = {}
        for name, make in (("DuckDB native table", _duckdb), ("SQLite clustered", _sqlite), ("PostgreSQL", _postgres)):
            began_s = time.monotonic()
            try:
                asked[name] = stack.enter_context(make(folder))
            except LeftOutError as reason:
                left_out.append(str(reason))
                continue
            told(f"{name}: loaded in {time.monotonic() - began_s:.0f} s")
        store = stack.enter_context(open_store(folder))
        asked = {"chatsync": partial(_read, store)} | asked
        figures = _rounds(asked, windows[:reads])
        evicted = _rounds({"chatsync": partial(_read_evicted, store)}, windows[reads:])["chatsync"]
    ours = figures.pop("chatsync")
    note = (
        f"{ours['rows']:.0f} messages a window; {_cpu_note(ours)}; not in the page cache either: {evicted['p50_ms']} ms"
    )
    return {
        "benchmark": "windows",
        "folder": made,
        "relay": ours,
        "evicted": evicted,
        "peers": figures,
        "left_out": left_out,
        "rows": [
            row(
                f"first read of a cold 30 s window, {messages:,} messages in {rooms:,} rooms: p50",
                "ms",
                ours["p50_ms"],
                target=TARGET_MS,
                better="lower",
                peers={name: one["p50_ms"] for name, one in figures.items()},
                note=note,
            ),
            row("the same, p99", "ms", ours["p99_ms"], target=None, better="lower", peers={name: one["p99_ms"] for name, one in figures.items()}),
        ],
    }  # fmt: skip


def _cpu_note(figures: Figures) -> str:
    return f"{figures['cpu_ms']} ms of CPU each"


def _rounds(asked: dict[str, Asked], windows: list[tuple[str, int]]) -> dict[str, Figures]:
    """Every window asked of each in turn."""
    took: dict[str, list[float]] = {name: [] for name in asked}
    cpu_s: dict[str, float] = dict.fromkeys(asked, 0.0)
    rows: dict[str, int] = dict.fromkeys(asked, 0)
    for room, start_us in windows:
        found = set()
        for name, ask in asked.items():
            began_s, began_cpu_s = time.perf_counter(), time.process_time()
            count = ask(room, start_us)
            took[name].append((time.perf_counter() - began_s) * 1000)
            cpu_s[name] += time.process_time() - began_cpu_s
            rows[name] += count
            found.add(count)
        if len(found) != 1:
            raise RuntimeError(f"they do not agree on {room} at {start_us}: {found}")
    return {
        name: {
            "p50_ms": round(sorted(times)[len(times) // 2], 3),
            "p99_ms": round(sorted(times)[len(times) * 99 // 100], 3),
            "cpu_ms": round(1000 * cpu_s[name] / len(times), 3),
            "rows": rows[name] / len(times),
        }
        for name, times in took.items()
    }


def _read(store: Store, room: str, start_us: int) -> int:
    return len(store.query.read(store.query.plan(room, 1, Range(start_us, start_us + WINDOW_US))))


def _read_evicted(store: Store, room: str, start_us: int) -> int:
    """The same with the file thrown out of the page cache, which is not part of the time that counts much: 10 µs."""
    (file,) = store.query.plan(room, 1, Range(start_us, start_us + WINDOW_US)).files
    opened = os.open(store.files.root / file.path, os.O_RDONLY)
    try:
        os.fdatasync(opened)
        os.posix_fadvise(opened, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(opened)
    return _read(store, room, start_us)


# --- peers ---------------------------------------------------------------------------------------------------------------


def _columns_of(folder: Path) -> str:
    """What the peers keep, out of our Parquet, as SQL of DuckDB."""
    names = (f"epoch_us({name}) AS {name}" if name in {"program_us", "wall_us"} else name for name in _COLUMNS)
    return f"SELECT {', '.join(names)} FROM read_parquet('{folder}/archive/events/*/*/*.parquet', hive_partitioning = false)"


@contextmanager
def _duckdb(folder: Path) -> Iterator[Asked]:
    with tempfile.TemporaryDirectory() as own, duckdb.connect(f"{own}/peer.duckdb") as connection:
        connection.execute(f"CREATE TABLE events AS {_columns_of(folder)} ORDER BY {_BY}")
        connection.execute("CHECKPOINT")
        connection.execute("SET threads = 1")  # as many as the relay gives its own
        asked = _ASKED.format("?")
        yield lambda room, us: len(connection.execute(asked, (room, us, us + WINDOW_US)).fetchall())


@contextmanager
def _sqlite(folder: Path) -> Iterator[Asked]:
    with tempfile.TemporaryDirectory() as own, sqlite3.connect(f"{own}/peer.db") as connection:
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(f"CREATE TABLE events ({_TABLE}, {_KEY}) WITHOUT ROWID")
        with duckdb.connect() as source:
            found = source.execute(f"{_columns_of(folder)} ORDER BY {_BY}")
            insert = f"INSERT INTO events VALUES ({', '.join('?' * len(_COLUMNS))})"
            while rows := found.fetchmany(_ROWS_AT_ONCE):
                connection.executemany(insert, rows)
        connection.commit()
        asked = _ASKED.format("?")
        yield lambda room, us: len(connection.execute(asked, (room, us, us + WINDOW_US)).fetchall())
        connection.commit()


@contextmanager
def _postgres(folder: Path) -> Iterator[Asked]:
    try:
        import psycopg  # noqa: PLC0415 - an extra of benchmarks
    except ImportError as error:
        raise LeftOutError("no psycopg for PostgreSQL: pip install -r requirements/bench.lock") from error
    with (
        _postgres_server() as (own, socket_folder),
        psycopg.connect(f"host={socket_folder} user=postgres dbname=postgres", autocommit=True) as connection,
    ):
        rows = own / "rows.csv"
        with duckdb.connect() as source:
            source.execute(f"COPY ({_columns_of(folder)} ORDER BY {_BY}) TO '{rows}' (FORMAT csv, HEADER false)")
        rows.chmod(0o644)
        with connection.transaction():
            connection.execute(f"CREATE TABLE events ({_TABLE})")
            connection.execute(f"COPY events FROM '{rows}' (FORMAT csv, FREEZE)")
        rows.unlink()
        connection.execute("SET maintenance_work_mem = '1GB'")
        connection.execute(f"ALTER TABLE events ADD {_KEY}")
        connection.execute("ANALYZE events")
        asked = _ASKED.format("%s")
        yield lambda room, us: len(connection.execute(asked, (room, us, us + WINDOW_US), prepare=True).fetchall())


@contextmanager
def _postgres_server() -> Iterator[tuple[Path, Path]]:
    """A PostgreSQL of its own, on a Unix socket only; its folder and that of the socket. It refuses to run as root."""
    binaries = _postgres_binaries()
    with tempfile.TemporaryDirectory(prefix="chatsync-pg-") as made:
        folder = Path(made)
        user: dict[str, Any] = {}
        if os.geteuid() == 0:
            user = {"user": "nobody", "group": "nogroup", "extra_groups": []}
            shutil.chown(folder, "nobody", "nogroup")
        how: dict[str, Any] = user | {"cwd": folder, "env": {"LC_ALL": "C", "PATH": os.environ["PATH"]}}
        data = folder / "data"
        command = [str(binaries / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8"]
        subprocess.run(command, check=True, capture_output=True, **how)
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(folder),
            "shared_buffers": "512MB",
            "wal_level": "minimal",
            "max_wal_senders": "0",
            "max_wal_size": "4GB",
            "fsync": "off",
        }
        options_ = " ".join(f"-c {name}={value}" for name, value in settings.items())
        control = [str(binaries / "pg_ctl"), "-D", str(data), "-w", "-l", str(folder / "log")]
        subprocess.run([*control, "-o", options_, "start"], check=True, capture_output=True, **how)
        try:
            yield folder, folder
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=False, capture_output=True, **how)


def _postgres_binaries() -> Path:
    """Where the server's programs are: on Debian in no folder of PATH."""
    on_path = shutil.which("initdb")
    if on_path is not None and shutil.which("pg_ctl") is not None:
        return Path(on_path).parent
    known = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not known:
        raise LeftOutError("no PostgreSQL: apt-get install postgresql")
    return known[-1].parent


if __name__ == "__main__":
    main()
