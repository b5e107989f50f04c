"""Opening the chat of a recording and seeking in it, in a browser. ``python -m benchmarks.replay [--messages 100000 1000000] [--json]``.

A recording of two hours with so many messages lies as files on an HTTP server on loopback, gzipped beforehand: as chat playlist and slices for our
player, and as one JSON file, the way downloaders of chats write it, for the pages it is measured beside. One Chromium opens each page in a
tab of its own, in the middle of the recording, and then seeks. What counts: from navigation until the pane shows the last message that is
due, the same after a seek (95th percentile), the JavaScript heap after a collection, and the bytes that were loaded. There is no video: the picture is
where it was sought at once, so that only the chat is in the figures. Loopback costs nothing; on a real line the whole file takes its bytes' time on top.

The peers load as their sources do: ``last 100 rows`` as web viewers of downloaded chats (one fetch, a filter over everything at each change of time),
``a row each`` as players of recorded lectures (a row for every message, those of the future greyed). Neither has React here, which makes them quicker.
The last line is JSON.
"""

from __future__ import annotations

import gzip
import json
import random
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser

from benchmarks.harness import Figures, finish, options, row, told
from benchmarks.loading import LeftOutError
from chatsync.service.app import player_folder
from tests.e2e.demo import chromium

__all__ = ["CHROMIUM", "DURATION_MS", "PAGES", "START_MS", "main", "program_ms", "put", "recorded", "served"]

CHROMIUM = Path("/usr/bin/chromium")
PAGES = Path(__file__).parent / "replay_pages"
START_MS = 1_764_000_000_000
DURATION_MS = 7_200_000
SLICE_EVENTS = 1_000
SEEKS = 20
SEEK_TARGET_MS = 150.0
HEAP_TARGET_MB = 50.0
PEERS = {"last100": "last 100 rows", "allrows": "a row each"}
_TYPES = {".html": "text/html", ".js": "text/javascript", ".json": "application/json"}


def recorded(folder: Path, count: int) -> None:
    """Write a recording of ``count`` messages, both ways, gzipped."""
    authors = [{"key": f"k{n}", "name": f"Student {n}", "role": "participant", "badges": []} for n in range(50)]
    as_of = {"epoch": "1", "offset": count}
    slices = []
    first = 0
    while first < count:
        start_ms = program_ms(first, count) // 1000 * 1000
        last = min(first + SLICE_EVENTS, count)
        end_ms = (program_ms(last - 1, count) // 1000 + 1) * 1000
        while last < count and program_ms(last, count) < end_ms:
            last += 1
        body = {
            "room": "r",
            "broadcast": 1,
            "start_ms": start_ms,
            "end_ms": end_ms,
            "epoch": "1",
            "revision": 1,
            "as_of": as_of,
            "state": {},
            "authors": authors,
            "tallies": [],
            "events": [
                {
                    "offset": number,
                    "kind": "message",
                    "id": f"m{number}",
                    "program_ms": program_ms(number, count),
                    "stamp": "playhead",
                    "author": number % 50,
                    "text": _text(number),
                }
                for number in range(first, last)
            ],
        }
        _write(folder / "v1/rooms/r/slices/1" / f"{start_ms}-{end_ms}.e1.r1.json", body)
        entry = {"start_ms": start_ms, "end_ms": end_ms, "events": last - first, "messages": last - first}
        slices.append(entry | {"epoch": "1", "revision": 1})
        first = last
    _write(
        folder / "v1/rooms/r/chat.json",
        {
            "room": "r",
            "broadcast": 1,
            "live": False,
            "epoch": "1",
            "version": 1,
            "as_of": as_of,
            "start_ms": START_MS,
            "sealed_until_ms": START_MS + DURATION_MS + 1000,
            "reload_ms": 30_000,
            "earlier": False,
            "base": "/v1/rooms/r/slices/",
            "slices": slices,
            "gaps": [],
            "broadcasts": [{"broadcast": 1, "start_ms": START_MS}],
        },
    )
    span = {"position_ms": 0, "duration_ms": DURATION_MS, "broadcast": 1, "program_ms": START_MS}
    _write(folder / "v1/rooms/r/recordings/whole", {"duration_ms": DURATION_MS, "spans": [span]})
    _write_whole(folder / "whole.json", count)
    for page in PAGES.iterdir():
        put(folder / page.name, page.read_bytes())
    for script in player_folder().glob("*.js"):
        put(folder / script.name, script.read_bytes())


def program_ms(number: int, count: int) -> int:
    """When message ``number`` of ``count`` was said: they are spread evenly."""
    return START_MS - (-number * DURATION_MS // count)


def _text(number: int) -> str:
    return f"message {number} of many that were written while it was live"


def _write_whole(path: Path, count: int) -> None:
    """One file, with the fields that viewers read of it and few others: those that downloaders write are three times as large."""
    with gzip.open(path, "wb", 6) as file:
        for number in range(count):
            comment = {
                "_id": f"m{number}",
                "content_offset_seconds": (program_ms(number, count) - START_MS) / 1000,
                "commenter": {"display_name": f"Student {number % 50}", "_id": f"k{number % 50}"},
                "message": {"body": _text(number), "user_color": None},
            }
            file.write((b"," if number else b'{"comments":[') + json.dumps(comment, separators=(",", ":")).encode())
        file.write(b"]}")


def _write(path: Path, body: Any) -> None:
    put(path, json.dumps(body, separators=(",", ":")).encode())


def put(path: Path, content: bytes) -> None:
    """Write a file as it is served: gzipped."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content, 6))


class _Files(BaseHTTPRequestHandler):
    """Gzipped files by path; queries are ignored."""

    protocol_version = "HTTP/1.1"

    def __init__(self, folder: Path, *args: Any) -> None:
        self._folder = folder
        super().__init__(*args)

    def do_GET(self) -> None:
        path = self._folder / self.path.split("?")[0].lstrip("/")
        body = path.read_bytes() if path.is_file() else b""
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body)))
        if body:
            self.send_header("Content-Type", _TYPES.get(path.suffix, "application/json"))
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the library's name)
        """Nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a server of the folder's gzipped files."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def _opened(browser: Browser, address: str, page_name: str, count: int, seeks: int) -> Figures | None:
    """One page in a tab of its own; None when it did not get there in a minute, or the tab gave up."""
    page = browser.new_page(viewport={"width": 400, "height": 640})
    page.set_default_timeout(90_000)
    debugger = page.context.new_cdp_session(page)
    debugger.send("Performance.enable")
    debugger.send("Network.enable")
    loaded = [0]

    def finished(event: dict[str, Any]) -> None:
        loaded[0] += int(event["encodedDataLength"])

    debugger.on("Network.loadingFinished", finished)
    try:
        page.goto(f"{address}/{page_name}.html?count={count}&duration_ms={DURATION_MS}&start_ms={START_MS}")
        first_ms = page.evaluate("window.first")
        if first_ms is None:
            return None
        opened_kb = loaded[0] / 1000
        chance = random.Random(1)
        places = [chance.randrange(60_000, DURATION_MS - 60_000) for _ in range(seeks)]
        seeks_ms = [page.evaluate(f"window.seekTo({place})") for place in places]
        if None in seeks_ms:
            return None
        debugger.send("HeapProfiler.collectGarbage")
        metrics = {one["name"]: one["value"] for one in debugger.send("Performance.getMetrics")["metrics"]}
    except Exception as error:
        told(f"{page_name}: {str(error).splitlines()[0]}")
        return None
    finally:
        page.close()
    return {
        "first_ms": round(first_ms),
        "seek_p95_ms": round(sorted(seeks_ms)[max(0, -(-len(seeks_ms) * 95 // 100) - 1)], 1),
        "heap_mb": round(metrics["JSHeapUsedSize"] / 1e6, 1),
        "nodes": int(metrics["Nodes"]),
        "opened_kb": round(opened_kb),
    }


def _measured(counts: list[int], seeks: int, rounds: int) -> Figures:
    if not CHROMIUM.is_file():
        raise LeftOutError("there is no Chromium (tests/e2e/install_chromium.sh)")
    if not (player_folder() / "chatsync-player.js").is_file():
        raise LeftOutError("the player is not built (python hatch_build.py)")
    rows: list[Figures] = []
    for count in counts:
        with tempfile.TemporaryDirectory() as made:
            told(f"writing {count:,} messages")
            recorded(Path(made), count)
            with served(Path(made)) as address, chromium(str(CHROMIUM)) as browser:
                taken: dict[str, list[Figures | None]] = {name: [] for name in ("ours", *PEERS)}
                for _ in range(rounds):
                    for name, figures in taken.items():
                        if None in figures:  # it would take as long again
                            continue
                        figures.append(_opened(browser, address, name, count, seeks))
                        told(f"{name}: {figures[-1]}")
        rows += _rows(count, {name: _median(figures) for name, figures in taken.items()})
    return {"rows": rows}


def _median(figures: list[Figures | None]) -> Figures | None:
    done = [one for one in figures if one is not None]
    if len(done) < len(figures):
        return None
    return {name: sorted(one[name] for one in done)[len(done) // 2] for name in done[0]}


def _rows(count: int, found: dict[str, Figures | None]) -> list[Figures]:
    ours = found["ours"]
    if ours is None:
        raise LeftOutError(f"our own page did not open {count:,} messages")
    shown = [
        ("first right message", "ms", "first_ms", None),
        ("right pane after a seek, p95", "ms", "seek_p95_ms", SEEK_TARGET_MS),
        ("JavaScript heap", "MB", "heap_mb", HEAP_TARGET_MB),
        ("loaded to open", "kB", "opened_kb", None),
    ]

    def figure(peer: str, name: str) -> float | None:
        of_peer = found[peer]
        return None if of_peer is None else of_peer[name]

    return [
        row(
            f"{what}, {count:,} messages",
            unit,
            ours[name],
            target=target,
            better="lower",
            peers={label: figure(peer, name) for peer, label in PEERS.items()},
        )
        for what, unit, name, target in shown
    ]


def main() -> None:
    """Measure and print."""
    parser = options(__doc__, seconds=0, rounds=3)
    parser.add_argument("--messages", type=int, nargs="+", default=[100_000, 1_000_000], help="in the recording")
    given = parser.parse_args()
    counts, rounds, seeks = given.messages, given.rounds, SEEKS
    if given.quick:
        counts, rounds, seeks = counts[:1], 1, 5
    finish(lambda: _measured(counts, seeks, rounds), only_json=given.json)


if __name__ == "__main__":
    main()
