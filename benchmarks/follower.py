"""What reading and following a playlist costs, beside ``m3u8.loads``: ``python -m benchmarks.follower [--json]``.

One row per length of the window, dates on every segment as ffmpeg writes them: reading it whole, ``m3u8.loads`` of the same text,
and one reload by the follower when one segment was added and one left.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import m3u8

from chatsync.hls.follower import Follower
from chatsync.hls.playlist import parse_playlist
from chatsync.instants import SECOND_US, iso_from_us, us_from_iso

__all__ = ["main", "measured"]

_START_US = us_from_iso("2026-03-02T12:00:00Z")
_RELOADS = 20
_SIZES = (300, 1_800, 43_200)  # ten minutes, an hour, a day of 2 s segments


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = [measured(count) for count in _SIZES]
    if arguments.json:
        print(json.dumps(rows))
        return
    print(f"{'segments':>9} {'parse ms':>9} {'m3u8.loads ms':>14} {'ratio':>6} {'reload ms':>10} {'known':>8}")
    for row in rows:
        print(
            f"{row['segments']:>9} {row['parse_ms']:>9.2f} {row['loads_ms']:>14.2f} {row['ratio']:>6.2f}"
            f" {row['reload_ms']:>10.3f} {row['known']:>8}"
        )


def measured(count: int) -> dict[str, Any]:
    """Figures for a window of so many segments; best of a few, since other work disturbs only upward."""
    text = _window(0, count)
    repeats = max(1, min(9, 30_000 // count))
    parse_ms = _best_ms(lambda: parse_playlist(text), repeats)
    loads_ms = _best_ms(lambda: m3u8.loads(text), repeats)
    follower = Follower("http://origin.test/live.m3u8", now_us=_START_US)
    _receive(follower, text, 0)
    reloads = [_window(first, count) for first in range(1, _RELOADS + 1)]
    began = time.perf_counter()
    for index, reload in enumerate(reloads, 1):
        _receive(follower, reload, index)
    reload_ms = (time.perf_counter() - began) * 1000 / _RELOADS
    return {
        "segments": count,
        "parse_ms": parse_ms,
        "loads_ms": loads_ms,
        "ratio": parse_ms / loads_ms,
        "reload_ms": reload_ms,
        "known": len(follower.timeline.segments(1)),
    }


def _receive(follower: Follower, text: str, index: int) -> None:
    now_us = _START_US + index * 2 * SECOND_US
    follower.receive_playlist(text, url=follower.next_request(now_us=now_us), age_us=0, now_us=now_us)


def _best_ms(work: Callable[[], object], repeats: int) -> float:
    best = float("inf")
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - began)
    return best * 1000


def _window(first: int, count: int) -> str:
    lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:2", f"#EXT-X-MEDIA-SEQUENCE:{first}"]
    for number in range(first, first + count):
        lines.append("#EXTINF:2.000000,")
        lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{iso_from_us(_START_US + number * 2 * SECOND_US)}")
        lines.append(f"stream{number}.ts")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
