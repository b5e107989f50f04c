"""A real nginx in front of a relay, with the configuration that docs/operations.md gives.

Owns: taking the configuration out of the page, its places replaced by the test's own; starting and stopping the process. Nothing else of
the configuration is changed, so that the page is what is tested.
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from tests.relay import free_port

__all__ = ["Nginx", "nginx_path", "open_folder"]

_PAGE = Path(__file__).resolve().parents[1] / "docs" / "operations.md"
_FRAME = """
pid {folder}/nginx.pid;
error_log {folder}/error.log;
worker_processes 1;
pcre_jit on;
worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
    access_log {access};
    keepalive_requests 100000000;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
{server}
}}
"""
_STARTS_WITHIN_S = 10.0


def nginx_path() -> str:
    """The nginx of this machine; without one the test is skipped."""
    path = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if path is None:
        pytest.skip("no nginx (make servers)")
    return path


def open_folder() -> Path:
    """A temporary folder that an nginx of another user can pass through; pytest's own are for us only."""
    folder = Path(tempfile.mkdtemp(prefix="chatsync-nginx-"))
    folder.chmod(0o711)
    return folder


class Nginx:
    """nginx as a proxy of one relay. Use it as a context manager.

    Args:
        folder: for its files; its user must be able to pass through it.
        relay_port: where the relay listens, on 127.0.0.1.
        data: the relay's data folder.
        logs: whether to write an access log to ``folder / "access.log"``.
    """

    def __init__(self, folder: Path, *, relay_port: int, data: Path, logs: bool = True) -> None:
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        self._program = nginx_path()
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        server = _configuration(self.port, relay_port, data, folder / "cache")
        access = f"{folder}/access.log" if logs else "off"
        self._file = folder / "nginx.conf"
        self._file.write_text(_FRAME.format(folder=folder, server=server, access=access))

    def __enter__(self) -> Nginx:
        command = [self._program, "-c", str(self._file), "-p", str(self.folder), "-g", "daemon off;"]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE)
        deadline_s = time.monotonic() + _STARTS_WITHIN_S
        while time.monotonic() < deadline_s:
            if self._process.poll() is not None:
                raise AssertionError(f"nginx ended: {self._process.stderr.read().decode()}")  # type: ignore[union-attr]
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return self
        raise AssertionError("nginx did not listen")

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=10)

    @property
    def errors(self) -> str:
        """What it complained of."""
        log = self.folder / "error.log"
        return log.read_text() if log.exists() else ""


def _configuration(port: int, relay_port: int, data: Path, cache: Path) -> str:
    """The page's configuration with this machine's places: another port without TLS, other folders."""
    found = re.search(r"^```nginx\n(.*?)^```", _PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert found is not None, "docs/operations.md has no nginx configuration"
    text = found[1]
    for old, new in (
        ("/var/cache/nginx/chatsync", str(cache)),
        ("127.0.0.1:8040", f"127.0.0.1:{relay_port}"),
        ("/var/lib/chatsync/", f"{data}/"),
        ("listen 443 ssl;", f"listen 127.0.0.1:{port};"),
    ):
        assert old in text, f"the page no longer has {old}"
        text = text.replace(old, new)
    return re.sub(r"^ *ssl_\w+ .*\n", "", text, flags=re.MULTILINE)
