"""What long and large playlists cost, beside ``m3u8.loads``: ``python -m benchmarks.playlist [--segments 100000] [--json]``.

A window of so many segments: the first reading, and a reload that adds one and drops one, as it is written, with CRLF, and with another token in
every address at each load; and how much memory a process of its own takes for following it through a hundred reloads. Then 2 MiB of
several kinds, hostile ones included: time and peak of memory. The last line is JSON.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import m3u8

from chatsync.errors import PlaylistSyntaxError
from chatsync.hls.follower import Follower
from chatsync.hls.playlist import parse_playlist
from chatsync.instants import SECOND_US, iso_from_us, us_from_iso

__all__ = ["main", "measured_memory", "measured_reload", "measured_shapes"]

START_US = us_from_iso("2026-03-02T12:00:00Z")
SEGMENT_US = 2 * SECOND_US
RELOADS = 10
MEMORY_RELOADS = 100
BYTES_MAX = 2 * 1024 * 1024
URL = "http://origin.test/live.m3u8"
_HEAD = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n"
_DATE = "#EXT-X-PROGRAM-DATE-TIME:"

Window = Callable[[int, int], str]


def main() -> None:
    """Print tables, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--segments", type=int, default=100_000)
    parser.add_argument("--json", action="store_true", help="only the JSON line")
    parser.add_argument("--memory", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory:
        print(json.dumps(_follow_for_memory(arguments.segments)))
        return
    windows = [measured_reload(name, arguments.segments) for name in _WINDOWS]
    memory = measured_memory(arguments.segments)
    shapes = measured_shapes()
    if not arguments.json:
        print(f"{arguments.segments} segments, {windows[0]['mib']:.1f} MiB")
        print(f"{'':10} {'parse ms':>9} {'m3u8.loads ms':>14} {'ratio':>6} {'reload ms':>10} {'worst':>8}")
        for row in windows:
            print(
                f"{row['window']:10} {row['parse_ms']:>9.1f} {row['loads_ms']:>14.1f} {row['ratio']:>6.2f}"
                f" {row['reload_ms']:>10.2f} {row['reload_worst_ms']:>8.2f}"
            )
        print(
            f"memory after {MEMORY_RELOADS} reloads: {memory['rss_mib']:.0f} MiB, at most {memory['peak_mib']:.0f};"
            f" {memory['bare_mib']:.0f} before the first"
        )
        print(f"\n{'2 MiB of':14} {'ms':>8} {'peak MiB':>9} {'m3u8.loads ms':>14}")
        for row in shapes:
            loads = "" if row["loads_ms"] is None else f"{row['loads_ms']:>14.0f}"
            print(f"{row['shape']:14} {row['ms']:>8.1f} {row['peak_mib']:>9.1f} {loads:>14}")
    print(json.dumps({"windows": windows, "memory": memory, "shapes": shapes}))


# --- a long window -------------------------------------------------------------------------------------------------------


def _plain(first: int, count: int) -> str:
    lines = [_HEAD, f"#EXT-X-MEDIA-SEQUENCE:{first}\n"]
    for number in range(first, first + count):
        date = iso_from_us(START_US + number * SEGMENT_US)
        lines.append(f"#EXTINF:2.000000,\n{_DATE}{date}\nstream{number}.ts\n")
    return "".join(lines)


def _with_crlf(first: int, count: int) -> str:
    return _plain(first, count).replace("\n", "\r\n")


def _with_tokens(first: int, count: int) -> str:
    return _plain(first, count).replace(".ts\n", f".ts?token={first:08x}\n")


_WINDOWS: dict[str, Window] = {"plain": _plain, "CRLF": _with_crlf, "tokens": _with_tokens}


def measured_reload(name: str, count: int) -> dict[str, Any]:
    """The first reading and reloads of a window."""
    window = _WINDOWS[name]
    text = window(0, count)
    parse_ms = min(_ms(lambda: parse_playlist(text)) for _ in range(3))
    loads_ms = min(_ms(lambda: m3u8.loads(text)) for _ in range(2))
    follower = Follower(URL, now_us=START_US)
    _receive(follower, text, 0)
    reloads_ms = []
    for index in range(1, RELOADS + 1):
        text = window(index, count)
        began = time.perf_counter()
        _receive(follower, text, index)
        reloads_ms.append((time.perf_counter() - began) * 1000)
    assert len(follower.timeline.segments(1)) == count + RELOADS
    return {
        "window": name,
        "segments": count,
        "mib": len(text) / 2**20,
        "parse_ms": parse_ms,
        "loads_ms": loads_ms,
        "ratio": parse_ms / loads_ms,
        "reload_ms": sorted(reloads_ms)[len(reloads_ms) // 2],
        "reload_worst_ms": max(reloads_ms),
    }


def measured_memory(count: int) -> dict[str, Any]:
    """Memory of a process that only follows such a window."""
    command = [sys.executable, "-m", "benchmarks.playlist", "--memory", "--segments", str(count)]
    figures: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return figures


def _follow_for_memory(count: int) -> dict[str, Any]:
    """Follow, and say how large this process has become; the text comes from a file, as it would from a socket."""
    bare_mib = _rss_mib()
    follower = Follower(URL, now_us=START_US)
    for index in range(MEMORY_RELOADS + 1):
        _receive(follower, _from_process(index, count), index)
    assert len(follower.timeline.segments(1)) == count + MEMORY_RELOADS
    return {
        "segments": count,
        "rss_mib": _rss_mib(),
        "peak_mib": _peak_mib(),
        "bare_mib": bare_mib,
    }


def _from_process(first: int, count: int) -> str:
    """A window made elsewhere, so that making it leaves nothing in this process."""
    code = f"from benchmarks.playlist import _plain; print(_plain({first}, {count}), end='')"
    return subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE).stdout.decode()


def _receive(follower: Follower, text: str, index: int) -> None:
    now_us = START_US + index * SEGMENT_US
    follower.receive_playlist(text, url=follower.next_request(now_us=now_us), age_us=0, now_us=now_us)


def _rss_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def _peak_mib() -> float:
    """Of this program alone: ``ru_maxrss`` begins with what the process was before it became this program."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


# --- 2 MiB -----------------------------------------------------------------------------------------------------------------


def _filled(unit: Callable[[int], str]) -> str:
    pieces, length = [_HEAD], len(_HEAD)
    while length < BYTES_MAX:
        pieces.append(unit(len(pieces)))
        length += len(pieces[-1])
    return "".join(pieces)[:BYTES_MAX]


_SHAPES: dict[str, Callable[[int], str]] = {
    "dated": lambda n: f"#EXTINF:2.000,\n{_DATE}{iso_from_us(START_US + n * SEGMENT_US)}\nstream{n}.ts\n",
    "dated, CRLF": lambda n: f"#EXTINF:2.000,\r\n{_DATE}{iso_from_us(START_US + n * SEGMENT_US)}\r\nstream{n}.ts\r\n",
    "dated, 2.002": lambda n: f"#EXTINF:2.002,\n{_DATE}{iso_from_us(START_US + n * 2_002_000)}\nstream{n}.ts\n",
    "undated": lambda n: f"#EXTINF:2.002,\nstream{n}.ts\n",
    "keys": lambda n: f'#EXT-X-KEY:METHOD=AES-128,URI="https://k.test/{n}"\n#EXTINF:2,\ns{n}.ts\n',
    "byte ranges": lambda n: f"#EXTINF:2.000,\n#EXT-X-BYTERANGE:{1_000 + n}@{n * 1_000}\nstream.mp4\n",
    "lengths": lambda n: f"#EXTINF:{n % 9}.{n:06},\n{n}\n",
    "shortest": lambda _: "#EXTINF:2,\na\n",
    "addresses": lambda n: f"a{n}\n",
    "tags": lambda n: f"#EXT-X-FOO:{n}\n",
    "parts": lambda n: f'#EXT-X-PART:DURATION=1.{n},URI="p{n}"\n',
    "bad dates": lambda n: f"{_DATE}x{n}\n#EXTINF:2,\n{n}\n",
    "quotes": lambda _: "#EXT-X-DATERANGE:" + 'A="x,' * 1_600 + "\n",
    "variables": lambda n: "#EXTINF:2,\n{$a}\n" if n > 1 else f'#EXT-X-DEFINE:NAME="a",VALUE="{"y" * 8_000}"\n',
    "one line": lambda _: "x" * BYTES_MAX,
    "glued": lambda n: f"#EXTINF:2,{n}.ts#EXTINF:2,b.ts#EXT-X-DISCONTINUITY\n",
}


def measured_shapes() -> list[dict[str, Any]]:
    """Time and peak of memory of reading 2 MiB of each kind; m3u8's time where it reads them at all."""
    rows = []
    for shape, unit in _SHAPES.items():
        text = _filled(unit)
        tracemalloc.start()
        _parse(text)
        peak_mib = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
        loads_ms: float | None = None
        with suppress(Exception):  # the peer raises what it likes
            loads_ms = _ms(partial(m3u8.loads, text))
        rows.append(
            {
                "shape": shape,
                "ms": min(_ms(partial(_parse, text)) for _ in range(3)),
                "peak_mib": peak_mib,
                "loads_ms": loads_ms,
            }
        )
    return rows


def _parse(text: str) -> None:
    with suppress(PlaylistSyntaxError):
        parse_playlist(text)


def _ms(work: Callable[[], object]) -> float:
    gc.collect()
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    main()
