"""Importing chat: ``python -m benchmarks.imports [--megabytes 1000] [--rounds 1] [--quick] [--folder F]``.

One file in the shape of TwitchDownloader's JSON is made: comments are a tenth of it, the rest images in text. Read from it, each in a process of its own, one after the
other: by ``chatsync import`` (all of it: read, checked, placed, written durably into a data folder, with its ids), by our importer alone (lines, and nothing kept of them), by
``json.load`` and a loop over the comments, by DuckDB's ``read_json`` with the columns named, and by Polars' ``read_json``. Figures are seconds from start to end of
the process's work and the most memory it ever had (VmHWM). The page cache is warm. A peer that fails is told with its reason. The last line is JSON.
"""

from __future__ import annotations

import base64
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.harness import Figures, finish, options, row, told
from chatsync.instants import SECOND_US, iso_from_us

__all__ = ["main"]

BASE_US = 1_764_000_000 * SECOND_US
MEMORY_TARGET_MB = 200
_SECRET = "f1d2c3b4a5968778695a4b3c2d1e0f00ffeeddccbbaa9988"
_WORDS = [
    "why",
    "is",
    "the",
    "determinant",
    "zero",
    "here",
    "again",
    "please",
    "slower",
    "KEKW",
    "best",
    "proof",
    "so",
    "far",
    "λ",
    "🤔",
]
_READERS = ("chatsync import", "importer alone", "json.load", "DuckDB", "Polars")


def main() -> None:
    """Make the file, read it, compare; exit 1 if two readers count differently."""
    parser = options(__doc__, seconds=0, rounds=1)
    parser.add_argument("--megabytes", type=int, default=1_000)
    parser.add_argument("--folder", type=Path, help="where the data is made; default: the system's")
    parser.add_argument("--read", choices=_READERS, help="read --file by this alone; for ourselves")
    parser.add_argument("--file", type=Path)
    arguments = parser.parse_args()
    if arguments.read:
        print(json.dumps(_read(arguments.read, arguments.file)))
        return
    if arguments.quick:
        arguments.megabytes, arguments.rounds = 50, 1
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        measured = partial(_measured, Path(folder), arguments.megabytes, arguments.rounds)
        finish(measured, only_json=arguments.json)


def _measured(folder: Path, megabytes: int, rounds: int) -> Figures:
    file = folder / "chat.json"
    comments = _make(file, megabytes * 1_000_000)
    size_mb = file.stat().st_size / 1e6
    told(f"made {size_mb:.0f} MB with {comments:,} comments")
    found: dict[str, list[Figures]] = {name: [] for name in _READERS}
    left_out = []
    for _ in range(rounds):
        for name in _READERS:
            answer = _asked(name, file)
            if "failed" in answer:
                left_out.append(f"{name}: {answer['failed']}")
                continue
            if answer["comments"] != comments:
                raise RuntimeError(f"{name} found {answer['comments']} of {comments} comments")
            found[name].append(answer)
            told(f"{name}: {answer['seconds']:.1f} s, {answer['peak_mb']} MB")

    def figure(name: str, what: str) -> float | None:
        return round(median(one[what] for one in found[name]), 2) if found[name] else None

    ours_s, ours_mb = figure("chatsync import", "seconds"), figure("chatsync import", "peak_mb")
    assert ours_s is not None
    assert ours_mb is not None
    peers = [name for name in _READERS if name != "chatsync import"]
    what = f"import of {size_mb:,.0f} MB of TwitchDownloader's JSON, {comments:,} comments"
    return {
        "benchmark": "imports",
        "left_out": sorted(set(left_out)),
        "rows": [
            row(what, "s", ours_s, target=None, better="lower", peers={name: figure(name, "seconds") for name in peers},
                note=f"{comments / ours_s:,.0f} comments/s, durable; peers only read"),
            row("the same, memory at most", "MB", ours_mb, target=MEMORY_TARGET_MB, better="lower",
                peers={name: figure(name, "peak_mb") for name in peers}),
        ],
    }  # fmt: skip


def _asked(name: str, file: Path) -> Figures:
    command = [sys.executable, "-m", "benchmarks.imports", "--read", name, "--file", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        return {"failed": last[:200]}
    answer: Figures = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def _make(file: Path, size_bytes: int) -> int:
    """Write the file; how many comments it has."""
    chance = random.Random(7)
    image = base64.b64encode(chance.randbytes(24_000)).decode()
    count = 0
    with file.open("w") as out:
        head = {"FileInfo": {"Version": {"Major": 1, "Minor": 4, "Patch": 0}}, "streamer": {"name": "P", "login": "p", "id": 1}, "clipper": None,
                "video": {"title": "t", "id": "1", "created_at": iso_from_us(BASE_US), "start": 0.0, "end": 36_000.0, "length": 36_000.0, "chapters": []}}  # fmt: skip
        out.write(json.dumps(head)[:-1] + ', "comments": [')
        while out.tell() < size_bytes // 10:
            out.write(("," if count else "") + json.dumps(_comment(count, chance), ensure_ascii=False))
            count += 1
        out.write('], "embeddedData": {"thirdParty": [], "firstParty": [')
        number = 0
        while out.tell() < size_bytes:
            emote = {"id": str(number), "imageScale": 2, "data": image, "name": f"E{number}", "width": 56, "height": 56}
            out.write(("," if number else "") + json.dumps(emote))
            number += 1
        out.write('], "twitchBadges": [], "twitchBits": []}}')
    return count


def _comment(number: int, chance: random.Random) -> dict[str, Any]:
    person = int(chance.paretovariate(1.1)) % 20_000
    body = " ".join(chance.choices(_WORDS, k=chance.randint(1, 12)))
    return {
        "_id": f"{number:08x}-0000-4000-8000-000000000001",
        "created_at": iso_from_us(BASE_US + number * 130_000),
        "channel_id": "1",
        "content_type": "video",
        "content_id": "1",
        "content_offset_seconds": number * 130_000 // SECOND_US,
        "commenter": {
            "display_name": f"Person{person}",
            "_id": str(person),
            "name": f"person{person}",
            "bio": "likes proofs",
            "created_at": "2021-05-04T09:00:00Z",
            "updated_at": "2026-01-02T10:00:00Z",
            "logo": f"https://images.invalid/{person}.png",
        },
        "message": {
            "body": body,
            "bits_spent": 0,
            "fragments": [{"text": body, "emoticon": None}],
            "user_badges": [{"_id": "subscriber", "version": "3"}] if person % 3 == 0 else [],
            "user_color": "#2E8B57",
            "emoticons": [],
        },
    }


# --- in a process of its own, which loads what it reads with and nothing else ------------------------------------------


def _read(name: str, file: Path) -> Figures:
    if name == "chatsync import":
        with tempfile.TemporaryDirectory(dir=file.parent) as data:
            return _timed(partial(_import, file, Path(data)))
    return _timed(
        partial({"importer alone": _lines, "json.load": _load, "DuckDB": _duckdb, "Polars": _polars}[name], file)
    )


def _timed(read: Any) -> Figures:
    began = time.perf_counter()
    comments = read()
    seconds = time.perf_counter() - began
    peak_kib = int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
    return {"comments": comments, "seconds": round(seconds, 2), "peak_mb": peak_kib * 1024 // 10**6}


def _import(file: Path, data: Path) -> int:
    from typer.testing import CliRunner  # noqa: PLC0415

    from chatsync.cli import app  # noqa: PLC0415

    os.environ["CHATSYNC_TOKEN_SECRET"] = _SECRET
    result = CliRunner().invoke(app, ["import", str(file), "--room", "class", "--data", str(data), "--json"])
    if result.exit_code:
        raise SystemExit(result.output)
    imported: int = json.loads(result.output.splitlines()[-1])["imported"]
    return imported


def _lines(file: Path) -> int:
    from chatsync.transfer.fields import Known  # noqa: PLC0415
    from chatsync.transfer.reading import lines_of  # noqa: PLC0415
    from chatsync.transfer.recognising import OpenedFile, format_of  # noqa: PLC0415

    with OpenedFile(file) as opened:
        return sum(1 for _ in lines_of(format_of(opened.head), opened.stream, Known()))


def _load(file: Path) -> int:
    with file.open() as read:
        told_ = json.load(read)
    said = [
        (one["_id"], one["created_at"], one["commenter"]["_id"], one["message"]["body"]) for one in told_["comments"]
    ]
    return len(said)


def _duckdb(file: Path) -> int:
    import duckdb  # noqa: PLC0415

    columns = "{comments: 'STRUCT(_id VARCHAR, created_at VARCHAR, commenter STRUCT(_id VARCHAR), message STRUCT(body VARCHAR))[]'}"
    query = (
        "SELECT count(*), count(one._id), count(one.message.body) FROM "
        f"(SELECT unnest(comments) AS one FROM read_json($1, columns = {columns}, maximum_object_size = 4000000000))"
    )
    found = duckdb.connect().execute(query, [str(file)]).fetchall()
    return int(found[0][0])


def _polars(file: Path) -> int:
    import polars as pl  # noqa: PLC0415

    frame = pl.read_json(file, infer_schema_length=None)
    said = frame.select(pl.col("comments").explode().struct.unnest())
    return said.select("_id", "created_at").height


if __name__ == "__main__":
    main()
