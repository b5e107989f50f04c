"""How far estimated stamps are from the picture when ffmpeg fails: ``python -m benchmarks.restarts [--seconds 20] [--json]``.

Real ffmpeg, real HTTP, a relay in a process of its own. A viewer who reports no playhead speaks four times a second; what they see is
computed beside it: a player that keeps to the hold-back, waits when it has no media, and opens the stream anew after a restart with
lower numbers. With ``--reporting`` another viewer with the same picture reports its playhead once a second, as our player does, so that
the relay knows the room's latency. The error of a stamp is its distance from the program time of that picture: while all is well, in the 20 s from the
fault on, and after them; as it was acked, as it stands after the relay's own corrections, and after ``restamp``. The peer is what a
chat without a timeline does: wall time less a constant that is right before the fault. The last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import json
import signal
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import httpx2

from chatsync.hls.follower import Follower
from chatsync.hls.timeline import Timeline
from chatsync.instants import MS_US, SECOND_US
from chatsync.media import LiveStream
from tests.relay import Relay, admin_token, connected, token

__all__ = ["main"]

ROOM = "bench"
SEGMENT_S = 2
FAULT_S = 20.0  # so long after it a message counts as said during the fault
_TICK_S = 0.25


class Said(NamedTuple):
    """A message: when, what its author saw, and what the relay made of it at once."""

    at_s: float  # after the fault; negative before
    saw_us: int
    wall_us: int
    offset: int
    acked_us: int
    stamp: str


class Screen:
    """The author's player, as far as program time goes: hold-back behind the edge, waiting when there is nothing to show."""

    def __init__(self) -> None:
        self._run: int | None = None
        self._position_us = 0

    def shows_us(self, timeline: Timeline, passed_us: int) -> int | None:
        """Program time of the picture after so much more time; None before there is one."""
        edge = timeline.live_edge
        if edge is None or edge.program_us is None:
            return None
        start_us = edge.position_us - (timeline.hold_back_us or 0)
        if self._run != edge.run:
            first = timeline.segments(edge.run)[0]
            self._run, self._position_us = edge.run, max(start_us, first.position_us)
        else:
            self._position_us = min(self._position_us + passed_us, edge.position_us)
        return self._program_us(timeline)

    def is_waiting(self, timeline: Timeline) -> bool:
        """Whether it has played all there is."""
        edge = timeline.live_edge
        return edge is not None and self._position_us >= edge.position_us

    def _program_us(self, timeline: Timeline) -> int | None:
        for segment in reversed(timeline.segments(self._run or 1)):
            if segment.position_us <= self._position_us and segment.program_us is not None:
                return segment.program_us + min(self._position_us - segment.position_us, segment.duration_us)
        return None


def main() -> None:
    """Print the errors for each fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="before the fault, and again after its 20 s")
    parser.add_argument("--reporting", action="store_true", help="another viewer reports its playhead")
    parser.add_argument("--json", action="store_true", help="only the JSON line")
    arguments = parser.parse_args()
    results = {}
    for name, fault in FAULTS.items():
        with tempfile.TemporaryDirectory() as folder:
            results[name] = asyncio.run(measured(Path(folder), fault, arguments.seconds, reporting=arguments.reporting))
        if not arguments.json:
            print(f"{name}: stamp error in s, p50 / p95")
            for phase, row in results[name].items():
                print(f"  {phase:<8}" + "  ".join(f"{way} {p50:.2f}/{p95:.2f}" for way, (p50, p95) in row.items()))
    print(json.dumps(results))


def _restart(stream: LiveStream, *, append: bool) -> LiveStream:
    stream.send_signal(signal.SIGKILL)
    time.sleep(3)
    again = LiveStream(stream.folder, segment_s=SEGMENT_S, window_segments=30, append=append)
    again.start()
    return again


def _stall(stream: LiveStream) -> LiveStream:
    stream.send_signal(signal.SIGSTOP)
    time.sleep(4)
    stream.send_signal(signal.SIGCONT)
    return stream


FAULTS: dict[str, Callable[[LiveStream], LiveStream]] = {
    "append_list restart": functools.partial(_restart, append=True),
    "plain restart": functools.partial(_restart, append=False),
    "4 s stall": _stall,
}


@contextlib.contextmanager
def _served(folder: Path) -> Iterator[str]:
    """The stream over HTTP."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/stream.m3u8"
    finally:
        server.shutdown()


async def measured(
    folder: Path, fault: Callable[[LiveStream], LiveStream], seconds: float, *, reporting: bool
) -> dict[str, Any]:
    """One fault: errors by phase and by way of stamping, p50 and p95 in s."""
    stream = LiveStream(folder / "media", segment_s=SEGMENT_S, window_segments=30)
    stream.start()
    try:
        await asyncio.sleep(3 * SEGMENT_S)
        with _served(stream.folder) as url:
            place = url.removeprefix("http://").partition("/")[0]
            rooms = {ROOM: {"public": True, "playlist_url": url}}
            port = int(place.rpartition(":")[2])
            with Relay(folder / "relay", rooms, loopback_origins=[place], origin_ports=[port]) as relay:
                said, stream = await _spoken(relay, stream, url, fault, seconds, reporting=reporting)
                live = _places(relay)
                answer = httpx2.post(
                    f"{relay.url}/v1/rooms/{ROOM}/restamp",
                    headers={"Authorization": f"Bearer {admin_token()}"},
                    timeout=60,
                )
                assert answer.status_code == 200, answer.text
                return _errors(said, live, _places(relay))
    finally:
        stream.send_signal(signal.SIGKILL)


async def _spoken(
    relay: Relay,
    stream: LiveStream,
    url: str,
    fault: Callable[[LiveStream], LiveStream],
    seconds: float,
    *,
    reporting: bool,
) -> tuple[list[Said], LiveStream]:
    """Speak and look on, before, during and after the fault."""
    follower, screen = Follower(url, now_us=time.time_ns() // 1000), Screen()
    said: list[Said] = []
    await asyncio.sleep(5 * SEGMENT_S)
    began = latest = time.monotonic()
    fault_at = began + seconds
    failing: asyncio.Future[LiveStream] | None = None
    reported = began
    async with connected(relay, ROOM) as client, connected(relay, ROOM) as watcher:
        await client.hello(token(ROOM, "viewer"))
        await watcher.hello(token(ROOM, "watcher"))
        while time.monotonic() < fault_at + FAULT_S + seconds:
            now = time.monotonic()
            if now >= fault_at and failing is None:
                failing = asyncio.get_running_loop().run_in_executor(None, fault, stream)
            wall_us = time.time_ns() // 1000
            text = await asyncio.to_thread(_read, stream.playlist)
            if text:
                follower.receive_playlist(text, url=url, age_us=0, now_us=wall_us)
            saw_us = screen.shows_us(follower.timeline, round((now - latest) * SECOND_US))
            latest = now
            if saw_us is not None and reporting and now - reported >= 1:
                reported = now
                await watcher.send(
                    {
                        "type": "playhead",
                        "broadcast": watcher.welcome["broadcast"],
                        "program_ms": saw_us // MS_US,
                        "rate": 1,
                        "paused": screen.is_waiting(follower.timeline),
                        "at_live": True,
                    }
                )
            if saw_us is not None:
                wall_us = time.time_ns() // 1000
                ack = await client.say(f"{len(said)}")
                said.append(
                    Said(now - fault_at, saw_us, wall_us, ack["offset"], ack["program_ms"] * MS_US, ack["stamp"])
                )
            await asyncio.sleep(max(0.0, _TICK_S - (time.monotonic() - now)))
    assert failing is not None
    return said, await failing


def _read(playlist: Path) -> str:
    try:
        return playlist.read_text()
    except FileNotFoundError:
        return ""


def _places(relay: Relay) -> dict[int, int]:
    """Where every message stands now, in all broadcasts: program time by offset."""
    latest = relay.get(f"/v1/rooms/{ROOM}").json()["broadcast"]
    places: dict[int, int] = {}
    for broadcast in range(1, latest + 1):
        cursor: str | None = None
        while True:
            query = f"broadcast={broadcast}&limit=5000" + (f"&cursor={cursor}" if cursor else "")
            page = relay.get(f"/v1/rooms/{ROOM}/messages?{query}").json()
            places |= {one["offset"]: one["program_ms"] * MS_US for one in page["messages"]}
            cursor = page["cursor"]
            if cursor is None:
                break
    return places


def _errors(said: list[Said], live: dict[int, int], restamped: dict[int, int]) -> dict[str, Any]:
    before = [one for one in said if one.at_s < 0]
    constant_us = round(statistics.median(one.wall_us - one.saw_us for one in before))
    phases = {
        "before": before,
        "fault": [one for one in said if 0 <= one.at_s < FAULT_S],
        "after": [one for one in said if one.at_s >= FAULT_S],
    }
    return {
        phase: {
            "acked": _spread(abs(one.acked_us - one.saw_us) for one in rows),
            "corrected": _spread(abs(live[one.offset] - one.saw_us) for one in rows),
            "restamped": _spread(abs(restamped[one.offset] - one.saw_us) for one in rows),
            "peer": _spread(abs(one.wall_us - constant_us - one.saw_us) for one in rows),
        }
        for phase, rows in phases.items()
    }


def _spread(errors_us: Iterator[int] | Any) -> tuple[float, float]:
    ordered = sorted(errors_us)
    return (
        round(ordered[len(ordered) // 2] / SECOND_US, 3),
        round(ordered[min(len(ordered) - 1, len(ordered) * 95 // 100)] / SECOND_US, 3),
    )


if __name__ == "__main__":
    main()
