"""What following many playlists costs a relay: ``python -m benchmarks.following [--rooms 500] [--seconds 30] [--json]``.

A real relay process follows as many playlists as there are rooms, each a live window of a minute with 2 s segments and dates, over HTTP
from another process. Its processor time is what the system counts for the process. The peer in the same run is ``m3u8.loads`` of the
same texts, as often as they were loaded: reading alone, without loading, judging or storing anything. The last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import m3u8

from chatsync.instants import iso_from_us
from tests.relay import Relay, free_port

__all__ = ["main", "measured"]

SEGMENT_US = 2_000_000
WINDOW = 30
WARM_UP_S = 10.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rooms", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--json", action="store_true", help="only the JSON line")
    parser.add_argument("--origin", type=int, metavar="PORT", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.origin is not None:
        with suppress(KeyboardInterrupt):
            asyncio.run(_serve(arguments.origin))
        return
    figures = measured(arguments.rooms, arguments.seconds)
    if not arguments.json:
        print(
            f"{figures['rooms']} rooms at 2 s: {figures['loads_per_s']:.0f} loads/s, {figures['cores']:.2f} of a core"
        )
        print(
            f"{figures['ms_per_load']:.2f} ms a load, of which reading with m3u8.loads would take {figures['loads_ms']:.2f}"
        )
    print(json.dumps(figures))


def measured(rooms: int, seconds: float) -> dict[str, Any]:
    """Processor time of the relay while it follows so many rooms."""
    port = free_port()
    origin = subprocess.Popen([sys.executable, "-m", "benchmarks.following", "--origin", str(port)])
    try:
        with tempfile.TemporaryDirectory() as folder:
            relay = Relay(
                Path(folder),
                {f"room-{n}": {"playlist_url": f"http://127.0.0.1:{port}/{n}/live.m3u8"} for n in range(rooms)},
                loopback_origins=[f"127.0.0.1:{port}"],
            ).start()
            try:
                time.sleep(WARM_UP_S)
                loads, cpu_s, began = _loads(port), _cpu_s(relay.pid), time.monotonic()
                time.sleep(seconds)
                took_s = time.monotonic() - began
                loads, cpu_s = _loads(port) - loads, _cpu_s(relay.pid) - cpu_s
                rss_mib = _rss_mib(relay.pid)
            finally:
                relay.stop()
    finally:
        origin.terminate()
        origin.wait()
    loads_ms = _loads_ms()
    return {
        "rooms": rooms,
        "loads_per_s": loads / took_s,
        "cores": cpu_s / took_s,
        "ms_per_load": cpu_s * 1000 / max(loads, 1),
        "loads_ms": loads_ms,
        "ratio": cpu_s * 1000 / max(loads, 1) / loads_ms,
        "rss_mib": rss_mib,
    }


def _loads(port: int) -> int:
    """Playlists the origin has sent so far."""
    return int(httpx2.get(f"http://127.0.0.1:{port}/loads").text)


def _cpu_s(pid: int) -> float:
    """Processor time of a process so far, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def _rss_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def _loads_ms() -> float:
    text = _text(time.time_ns() // 1000)
    began = time.perf_counter()
    for _ in range(200):
        m3u8.loads(text)
    return (time.perf_counter() - began) * 1000 / 200


def _text(now_us: int) -> str:
    end = now_us // SEGMENT_US
    lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:2", f"#EXT-X-MEDIA-SEQUENCE:{end - WINDOW}"]
    for number in range(end - WINDOW, end):
        lines += ["#EXTINF:2.000000,", f"#EXT-X-PROGRAM-DATE-TIME:{iso_from_us(number * SEGMENT_US)}", f"s{number}.ts"]
    return "\n".join(lines) + "\n"


async def _serve(port: int) -> None:
    """The origin: one text for all, made anew with each segment; connections are kept."""
    loads = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal loads
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                is_count = request.startswith(b"GET /loads ")
                body = str(loads).encode() if is_count else _text(time.time_ns() // 1000).encode()
                loads += not is_count
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", port, backlog=1_000)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    main()
