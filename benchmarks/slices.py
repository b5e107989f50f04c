"""Requests a second on the read path: ``python -m benchmarks.slices [--seconds 4] [--rounds 3] [--quick] [--json]``.

64 connections ask again as soon as they are answered; the generator is compiled and has a core of its own, each server has the other one. In
the same run, in turns, the median round counts:

- a sealed slice of 200 messages, compressed, from the relay itself;
- the same slice through nginx with the configuration of docs/operations.md, which reads it as a file;
- a static file of as many bytes from nginx, the peer of both;
- the chat playlist of a room with a slice for each minute of twelve hours, as a delta, from the relay.

The last line is JSON.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from benchmarks.harness import Figures, finish, median, options, row, told
from benchmarks.loading import LeftOutError, Target, on_server_core, run_load
from tests.relay import Relay, free_port, token
from tests.webserver import Nginx

__all__ = ["main"]

CONNECTIONS = 64
MESSAGES = 200
LONG_SLICES = 720
ROOM, LONG_ROOM = "lecture", "twelve-hours"
SLICE_TARGET, PLAYLIST_TARGET, RATIO_TARGET, NGINX_RATIO_TARGET, DELTA_BYTES_MAX = 30_000, 10_000, 0.4, 0.95, 2_000
_TEXT = "why is the slope negative left of zero? it looks the other way round on the slide"
_SEALED_WITHIN_S = 90.0
_STATIC = """
pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 1024; }}
http {{
    access_log off; keepalive_requests 100000000; default_type application/json;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        root {folder}/www;
        add_header Cache-Control "public, max-age=60, s-maxage=300, immutable";
        add_header X-Content-Type-Options nosniff;
    }}
}}
"""


def main() -> None:
    """Print the figures."""
    arguments = options(__doc__, seconds=4, rounds=3).parse_args()
    seconds, rounds = (2.0, 1) if arguments.quick else (arguments.seconds, arguments.rounds)
    finish(lambda: _measured(seconds, rounds), only_json=arguments.json)


def _measured(seconds: float, rounds: int) -> Figures:
    if shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin") is None:
        raise LeftOutError("no nginx: make servers")
    folder = Path(tempfile.mkdtemp(prefix="chatsync-slices-"))
    folder.chmod(0o711)
    try:
        with on_server_core(), _served(folder) as (relay, nginx, static_port):
            told("sealing")
            path = _sealed(relay)
            answer = relay.get(path, headers={"Accept-Encoding": "gzip"})
            size = int(answer.headers["content-length"])
            (folder / "static" / "www" / "slice.json").write_bytes(bytes(size))
            playlist, delta_bytes = _delta(relay)
            asked = {
                "relay": (relay.port, path),
                "nginx slice": (nginx.port, path),
                "nginx static": (static_port, "/slice.json"),
                "chat playlist": (relay.port, playlist),
            }
            figures = _rounds(asked, relay.pid, seconds, rounds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {
        "benchmark": "slices",
        "rows": _rows(figures, size, delta_bytes),
        "body_bytes": size,
        "delta_bytes": delta_bytes,
        **figures,
    }


@contextmanager
def _served(folder: Path) -> Iterator[tuple[Relay, Nginx, int]]:
    rooms: dict[str, dict[str, Any]] = {ROOM: {"public": True}, LONG_ROOM: {"public": True}}
    with Relay(folder / "relay", rooms) as relay:
        (folder / "relay").chmod(0o711)
        data = folder / "relay" / "data"
        data.chmod(0o711)
        with Nginx(folder / "nginx", relay_port=relay.port, data=data, logs=False) as nginx, _static(folder) as port:
            yield relay, nginx, port


@contextmanager
def _static(folder: Path) -> Iterator[int]:
    """An nginx with nothing but a folder to serve."""
    port, own = free_port(), folder / "static"
    (own / "www").mkdir(parents=True)
    (own / "nginx.conf").write_text(_STATIC.format(folder=own, port=port))
    command = ["nginx", "-c", f"{own}/nginx.conf", "-p", str(own), "-g", "daemon off;"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield port
    finally:
        process.terminate()
        process.wait()


def _rounds(asked: dict[str, tuple[int, str]], pid: int, seconds: float, rounds: int) -> dict[str, Figures]:
    """The median round of each, the turns alternating."""
    found: dict[str, list[Figures]] = {name: [] for name in asked}
    for number in range(rounds):
        for name, (port, path) in asked.items():
            told(f"round {number + 1}: {name}")
            found[name].append(_fetched(port, path, seconds, pid))
    figures = {name: median(one, "requests_per_s") for name, one in found.items()}
    for name in ("relay", "nginx slice"):  # beside the static file of the same round: the machine drifts between rounds
        beside = [
            a["requests_per_s"] / b["requests_per_s"] for a, b in zip(found[name], found["nginx static"], strict=True)
        ]
        figures[name]["beside_static"] = round(sorted(beside)[rounds // 2], 3)
    return figures


def _fetched(port: int, path: str, seconds: float, pid: int) -> Figures:
    request = f"GET {path} HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\nAccept-Encoding: gzip\\r\\n\\r\\n"
    targets = [Target(path, message=request, is_websocket=False)] * CONNECTIONS
    figures = run_load("fetch", port, targets, pids=[pid], seconds=seconds, warm_up=0.5)
    if figures["not_ok"]:
        raise RuntimeError(f"{figures['not_ok']} answers were not 200: {figures['first_refusal']}")
    return figures


def _rows(figures: dict[str, Figures], size: int, delta_bytes: int) -> list[Figures]:
    per_s = {name: one["requests_per_s"] for name, one in figures.items()}
    static = per_s["nginx static"]
    peers = {"nginx static": static}
    cpu = f"{size} bytes; {figures['relay']['cpu_us_each']} µs of the relay's CPU each; p99 {figures['relay']['p99_ms']} ms"
    chat = f"{delta_bytes} bytes; {figures['chat playlist']['cpu_us_each']} µs of the relay's CPU each"
    return [
        row("sealed slice from the relay", "requests/s", per_s["relay"], target=SLICE_TARGET, better="higher", peers=peers, note=cpu),
        row("the same beside nginx's static file", "times", figures["relay"]["beside_static"], target=RATIO_TARGET, better="higher"),
        row("sealed slice through nginx", "requests/s", per_s["nginx slice"], target=None, better="higher", peers=peers),
        row(
            "the same beside nginx's static file",
            "times",
            figures["nginx slice"]["beside_static"],
            target=NGINX_RATIO_TARGET,
            better="higher",
        ),
        row("chat playlist of 12 hours, delta", "requests/s", per_s["chat playlist"], target=PLAYLIST_TARGET, better="higher", note=chat),
        row("the same, size", "bytes", delta_bytes, target=DELTA_BYTES_MAX, better="lower"),
    ]  # fmt: skip


# --- what is asked for ------------------------------------------------------------------------------------------------


def _bring(relay: Relay, room: str, times_ms: list[int]) -> None:
    """Messages that were said a while ago: they are sealed at once."""
    lines = [
        {
            "id": f"m-{number}",
            "author": {"id": f"u{number % 40}", "name": f"Student {number % 40}"},
            "text": f"{number}: {_TEXT}",
            "wall_ms": wall_ms,
        }
        for number, wall_ms in enumerate(times_ms)
    ]
    answer = httpx2.post(
        f"{relay.url}/v1/rooms/{room}/messages",
        content="\n".join(json.dumps(line) for line in lines),
        headers={
            "Authorization": f"Bearer {token(room, 'platform', None, ('ingest',))}",
            "Content-Type": "application/x-ndjson",
        },
        timeout=60,
    )
    answer.raise_for_status()
    refused = [result["code"] for result in answer.json()["results"] if "code" in result]
    if refused:
        raise RuntimeError(f"refused: {refused[0]}")


def _listed(relay: Relay, room: str, count: int) -> Any:
    """The chat playlist once it lists so many slices."""
    deadline_s = time.monotonic() + _SEALED_WITHIN_S
    while time.monotonic() < deadline_s:
        listed = relay.get(f"/v1/rooms/{room}/chat.json?from_ms=0").json()
        if len(listed["slices"]) >= count:
            return listed
        time.sleep(0.2)
    raise TimeoutError("nothing was sealed")


def _sealed(relay: Relay) -> str:
    """The path of a slice with all messages of one second."""
    wall_ms = (int(time.time()) - 120) * 1_000
    _bring(relay, ROOM, [wall_ms + number * 1_000 // MESSAGES for number in range(MESSAGES)])
    listed = _listed(relay, ROOM, 1)
    one = max(listed["slices"], key=lambda entry: int(entry["messages"]))
    name = f"{one['start_ms']}-{one['end_ms']}.e{one['epoch']}.r{one['revision']}.json"
    return f"{listed['base']}{listed['broadcast']}/{name}"


def _delta(relay: Relay) -> tuple[str, int]:
    """The path of a twelve hours' chat playlist for somebody who lacks the last slice, and its size."""
    now_ms = (int(time.time()) - 120) * 1_000
    _bring(relay, LONG_ROOM, [now_ms - 60_000 * number for number in range(LONG_SLICES)])
    listed = _listed(relay, LONG_ROOM, LONG_SLICES)
    path = f"/v1/rooms/{LONG_ROOM}/chat.json?broadcast={listed['broadcast']}&since={listed['version'] - 1}"
    answer = relay.get(path)
    if len(answer.json()["slices"]) != 1:
        raise RuntimeError(f"not a delta of one slice: {answer.text[:300]}")
    return path, len(answer.content)


if __name__ == "__main__":
    main()
