"""Exporting chat: ``python -m benchmarks.exports [--messages 1000000] [--rounds 1] [--quick] [--folder F]``.

One room with its names lies in a data folder as a relay leaves it: Parquet by program hour, listed in the catalog. It is written in each format, each
in a process of its own, one after the other: by ``chatsync export`` (all of it: rows read through the views of ``open_archive``, names looked up and
checked, positions, hostile text made harmless, the file there whole or not at all) and by a peer that reads the same Parquet and a table of the names,
and writes it as the format is commonly written: DuckDB's ``COPY`` for NDJSON, CSV and Parquet, ``json.dump`` for TwitchDownloader's, webvtt-py, pysubs2
for SRT and ASS, ElementTree for Bilibili's. Nobody writes chapters, so that they have no peer. Figures are seconds from start to end of the process's
work, its CPU seconds in all threads, and the most memory it ever had (VmHWM). The page cache is warm. How many lines a file has is counted in the file. The last line is JSON.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.harness import Figures, finish, options, row, told
from benchmarks.questions import BASE_US, EACH, PEOPLE, hour_file, hour_table, made_texts
from chatsync.chat.event import Author
from chatsync.instants import MS_US, SECOND_US, iso_from_us
from chatsync.store.identity import IdentityStore
from chatsync.store.opening import open_store
from chatsync.transfer.exporters.formats import FORMATS

__all__ = ["main"]

ROOM = "class"
_CUE_MS = 5_000
_OURS = "chatsync"
_CHAPTER_EACH = 10_000  # messages to an announcement, which begins a chapter
_MARKS = {
    "ndjson": b"\n",
    "csv": b"\n",
    "twitch_downloader": b'"content_offset_seconds"',
    "webvtt": b" --> ",
    "srt": b" --> ",
    "ass": b"\nDialogue: ",
    "bilibili": b"<d p=",
    "chapters": b" --> ",
}
"""What stands once in a file of the format for each of its lines."""


def main() -> None:
    """Make the room, write it, compare; exit 1 if a file has not all lines."""
    parser = options(__doc__, seconds=0, rounds=1)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="where the data is made; default: the system's")
    parser.add_argument("--write", choices=FORMATS, help="write --data as this alone; for ourselves")
    parser.add_argument("--by", choices=(_OURS, *(name for name, _ in _PEERS.values())))
    parser.add_argument("--data", type=Path)
    parser.add_argument("--file", type=Path)
    arguments = parser.parse_args()
    if arguments.write:
        print(json.dumps(_write(arguments.write, arguments.by, arguments.data, arguments.file)))
        return
    if arguments.quick:
        arguments.messages, arguments.rounds = EACH, 1
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        finish(partial(_measured, Path(folder), arguments.messages, arguments.rounds), only_json=arguments.json)


# --- measuring --------------------------------------------------------------------------------------------------------


def _measured(folder: Path, messages: int, rounds: int) -> Figures:
    data = folder / "data"
    hours = max(1, messages // EACH)
    _make(data, folder / "names.parquet", hours)
    messages = hours * EACH
    told(f"made {messages:,} messages in {hours} files")
    rows: list[Figures] = []
    most_mb = 0
    for name in FORMATS:
        writers = [_OURS, *([_PEERS[name][0]] if name in _PEERS else [])]
        lines = messages // _CHAPTER_EACH if name == "chapters" else messages
        found: dict[str, list[Figures]] = {who: [] for who in writers}
        for _ in range(rounds):
            for who in writers:
                file = folder / f"out{FORMATS[name].suffix}"
                answer = _asked(name, who, data, file)
                written = _lines_in(file, name)
                if written != lines:
                    raise RuntimeError(f"{who} wrote {written} of {lines} lines as {name}")
                found[who].append(answer | {"megabytes": file.stat().st_size / 1e6})
                told(f"{name}, {who}: {answer['seconds']:.1f} s, CPU {answer['cpu_s']:.1f} s, {answer['peak_mb']} MB")
                file.unlink()
        figure = {
            who: {
                what: median(one[what] for one in found[who]) for what in ("seconds", "cpu_s", "peak_mb", "megabytes")
            }
            for who in writers
        }
        ours = figure[_OURS]
        most_mb = max(most_mb, ours["peak_mb"])
        note = f"{ours['megabytes']:,.0f} MB; {_beside(figure)}"
        peers = {who: round(figure[who]["seconds"], 2) for who in writers if who != _OURS}
        what = f"export of {messages:,} messages as {name}"
        rows.append(row(what, "s", round(ours["seconds"], 2), target=None, better="lower", peers=peers, note=note))
    rows.append(row("the same, memory at most", "MB", most_mb, target=None, better="lower"))
    return {"benchmark": "exports", "messages": messages, "rows": rows}


def _beside(figure: dict[str, dict[str, float]]) -> str:
    return "; ".join(f"{who}: CPU {of['cpu_s']:.1f} s, {of['peak_mb']:,.0f} MB of memory" for who, of in figure.items())


def _asked(name: str, who: str, data: Path, file: Path) -> Figures:
    command = [sys.executable, "-m", "benchmarks.exports", "--write", name, "--by", who, "--data", str(data)]
    done = subprocess.run([*command, "--file", str(file)], stdout=subprocess.PIPE, text=True, check=True)
    answer: Figures = json.loads(done.stdout.splitlines()[-1])
    return answer


def _lines_in(file: Path, name: str) -> int:
    if name == "parquet":
        rows: int = pq.read_metadata(file).num_rows
        return rows
    mark, count, rest = _MARKS[name], 0, b""
    with file.open("rb") as read:
        while piece := read.read(1 << 20):
            piece = rest + piece
            count += piece.count(mark)
            # A mark that is cut by the end of the piece is whole with the next one, and counted only there.
            rest = piece[len(piece) - len(mark) + 1 :]
    return count - (name == "csv")


# --- making -----------------------------------------------------------------------------------------------------------


def _make(folder: Path, names: Path, hours: int) -> None:
    chance = random.Random(7)
    texts = made_texts(chance)
    people: set[str] = set()
    with open_store(folder) as store:
        files = []
        for nth in range(hours):
            table = _named(hour_table(chance, texts, ROOM, nth, EACH))
            people |= set(table.column("author_key").unique().to_pylist())
            files.append(hour_file(store, table, ROOM, nth, EACH))
        store.writer.call(
            lambda connection: [store.catalog.put_archive_file(connection, one) for one in files]
        ).result()
    of = {key: f"Person {int(key, 16) % PEOPLE}" for key in sorted(people)}
    identity = IdentityStore(folder / "identity.db")
    for key, name in of.items():
        identity.version(ROOM, Author(key=key, name=name, role="participant"))
    identity.commit()
    identity.close()
    pq.write_table(pa.table({"author_key": [*of], "name": [*of.values()]}), names)


def _named(table: pa.Table) -> pa.Table:
    """With a version of the author's name in each row, and an announcement now and then."""
    kinds = ["announcement" if number % _CHAPTER_EACH == 0 else "message" for number in range(table.num_rows)]
    for name, values in (("name_version", pa.array([1] * table.num_rows, pa.int32())), ("kind", pa.array(kinds))):
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(name), values.cast(table.schema.field(name).type))
    return table


# --- in a process of its own, which loads what it writes with only when the time runs --------------------------------


def _write(name: str, who: str, data: Path, file: Path) -> Figures:
    write = partial(_export, name) if who == _OURS else _PEERS[name][1]
    began, began_cpu = time.perf_counter(), time.process_time()
    write(data, file)
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - began_cpu
    peak_kib = int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
    return {"seconds": round(seconds, 2), "cpu_s": round(cpu_s, 2), "peak_mb": peak_kib * 1024 // 10**6}


def _export(name: str, data: Path, file: Path) -> None:
    from typer.testing import CliRunner  # noqa: PLC0415 - part of what is measured, as below

    from chatsync.cli import app  # noqa: PLC0415

    os.environ["CHATSYNC_TOKEN_SECRET"] = "f1d2c3b4a5968778695a4b3c2d1e0f00ffeeddccbbaa9988"
    words = ["export", ROOM, "--format", name, "-o", str(file), "--data", str(data), "--json"]
    result = CliRunner().invoke(app, words)
    if result.exit_code:
        raise SystemExit(result.output)


_ASKED = (
    "SELECT id, kind, program_us, epoch_us(program_us) - {base} AS position_us, author_key, coalesce(name, '') AS name, role, text, details "
    "FROM read_parquet($files) AS said LEFT JOIN read_parquet($names) AS named USING (author_key) ORDER BY program_us"
)


def _read(data: Path) -> tuple[str, dict[str, Any]]:
    files = [str(path) for path in sorted((data / "archive" / "events").rglob("*.parquet"))]
    return _ASKED.format(base=BASE_US), {"files": files, "names": str(data.parent / "names.parquet")}


def _copy(form: str, data: Path, file: Path) -> None:
    import duckdb  # noqa: PLC0415

    asked, values = _read(data)
    listed = ", ".join(f"'{path}'" for path in values["files"])
    asked = asked.replace("$files", f"[{listed}]").replace("$names", f"'{values['names']}'")
    duckdb.connect().execute(f"COPY ({asked}) TO '{file}' (FORMAT {form})")


def _rows(data: Path) -> Iterator[dict[str, Any]]:
    import duckdb  # noqa: PLC0415

    asked, values = _read(data)
    for batch in duckdb.connect().sql(asked, params=values).to_arrow_reader(10_000):
        yield from batch.to_pylist()


def _json(data: Path, file: Path) -> None:
    comments = [
        {
            "_id": one["id"],
            "created_at": iso_from_us(BASE_US + one["position_us"]),
            "channel_id": "0",
            "content_type": "video",
            "content_id": ROOM,
            "content_offset_seconds": one["position_us"] / SECOND_US,
            "commenter": {"display_name": one["name"], "_id": one["author_key"], "name": one["name"].lower()},
            "message": {"body": one["text"], "bits_spent": 0, "fragments": [{"text": one["text"], "emoticon": None}]},
        }
        for one in _rows(data)
    ]
    with file.open("w") as out:
        json.dump({"streamer": {"name": ROOM, "id": 0}, "video": {"title": ROOM}, "comments": comments}, out)


def _webvtt(data: Path, file: Path) -> None:
    import html  # noqa: PLC0415

    import webvtt  # noqa: PLC0415

    made = webvtt.WebVTT()
    for one in _rows(data):
        start_ms = one["position_us"] // MS_US
        text = f"<v {html.escape(one['name'])}>{html.escape(one['text'])}"
        made.captions.append(webvtt.Caption(_clock(start_ms), _clock(start_ms + _CUE_MS), text))
    with file.open("w") as out:
        made.write(out)


def _clock(position_ms: int) -> str:
    seconds, millis = divmod(position_ms, 1_000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{millis:03}"


def _pysubs2(data: Path, file: Path) -> None:
    import pysubs2  # noqa: PLC0415

    made = pysubs2.SSAFile()
    for one in _rows(data):
        start_ms = one["position_us"] // MS_US
        text = f"{one['name']}: {one['text']}"
        made.append(pysubs2.SSAEvent(start=start_ms, end=start_ms + _CUE_MS, text=text, name=one["name"]))
    made.save(str(file))


def _elements(data: Path, file: Path) -> None:
    from xml.etree import ElementTree as ET  # noqa: PLC0415

    made = ET.Element("i")
    for number, one in enumerate(_rows(data)):
        place = f"{one['position_us'] / SECOND_US:.5f},1,25,16777215,{(BASE_US + one['position_us']) // SECOND_US},0,0,{number}"
        ET.SubElement(made, "d", {"p": place}).text = one["text"]
    ET.ElementTree(made).write(file, encoding="utf-8", xml_declaration=True)


_PEERS: dict[str, tuple[str, Callable[[Path, Path], None]]] = {
    "ndjson": ("DuckDB COPY", partial(_copy, "json")),
    "csv": ("DuckDB COPY", partial(_copy, "csv, HEADER")),
    "parquet": ("DuckDB COPY", partial(_copy, "parquet, COMPRESSION zstd")),
    "twitch_downloader": ("json.dump", _json),
    "webvtt": ("webvtt-py", _webvtt),
    "srt": ("pysubs2", _pysubs2),
    "ass": ("pysubs2", _pysubs2),
    "bilibili": ("ElementTree", _elements),
}
"""By format: who writes it otherwise, and how."""


if __name__ == "__main__":
    main()
