"""A real nginx or Varnish in front of a relay, with the configuration that docs/operations.md gives.

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
from typing import Self

import pytest

from tests.relay import free_port

__all__ = ["EdgeNginx", "Nginx", "Varnish", "nginx_path", "open_folder"]

_PAGE = Path(__file__).resolve().parents[1] / "docs" / "operations.md"
_FRAME = """
{modules}
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
_ALL_LINES = re.MULTILINE | re.DOTALL
_STARTS_WITHIN_S = 10.0
_PURGE_MODULES = (
    Path("/usr/lib/nginx/modules/ngx_http_cache_purge_module.so"),
    Path("/usr/share/nginx/modules/ngx_http_cache_purge_module.so"),
)


def nginx_path() -> str:
    """The nginx of this machine; without one the test is skipped."""
    return _program("nginx", "nginx")


def _program(name: str, package: str) -> str:
    """A server of this machine; without it the test is skipped."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        pytest.skip(f"no {package} (make servers)")
    return path


def open_folder() -> Path:
    """A temporary folder that an nginx of another user can pass through; pytest's own are for us only."""
    folder = Path(tempfile.mkdtemp(prefix="chatsync-nginx-"))
    folder.chmod(0o711)
    return folder


class _Server:
    """A process that listens on a port of 127.0.0.1. Use it as a context manager."""

    def __init__(self, folder: Path, port: int | None) -> None:
        self.folder, self.port = folder, port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)

    def _command(self) -> list[str]:
        raise AssertionError("of the kind of server")

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self._process = subprocess.Popen(self._command(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        deadline_s = time.monotonic() + _STARTS_WITHIN_S
        while time.monotonic() < deadline_s:
            if self._process.poll() is not None:
                raise AssertionError(f"it ended: {self._process.stderr.read().decode()}")  # type: ignore[union-attr]
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise AssertionError("it did not listen")

    def stop(self) -> None:
        """End it, if it runs."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=10)
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Nginx(_Server):
    """nginx as a proxy of one relay, on the same machine: it reads slices as files. Use it as a context manager.

    Args:
        folder: for its files; its user must be able to pass through it.
        relay_port: where the relay listens, on 127.0.0.1.
        data: the relay's data folder.
        logs: whether to write an access log to ``folder / "access.log"``.
    """

    def __init__(self, folder: Path, *, relay_port: int, data: Path, logs: bool = True) -> None:
        super().__init__(folder, None)
        places = {
            "/var/cache/nginx/chatsync": f"{folder}/cache",
            "127.0.0.1:8040": f"127.0.0.1:{relay_port}",
            "/var/lib/chatsync/": f"{data}/",
        }
        self._write(_block("nginx", 0), places, logs=logs)

    def _write(self, text: str, places: dict[str, str], *, logs: bool = False, modules: str = "") -> None:
        self._binary = nginx_path()
        server = _placed(text, places | {"listen 443 ssl;": f"listen 127.0.0.1:{self.port};"})
        server = re.sub(r"^ *ssl_\w+ .*\n", "", server, flags=re.MULTILINE)
        access = f"{self.folder}/access.log" if logs else "off"
        self._file = self.folder / "nginx.conf"
        self._file.write_text(_FRAME.format(folder=self.folder, server=server, access=access, modules=modules))

    def _command(self) -> list[str]:
        return [self._binary, "-c", str(self._file), "-p", str(self.folder), "-g", "daemon off;"]

    @property
    def errors(self) -> str:
        """What it complained of."""
        log = self.folder / "error.log"
        return log.read_text() if log.exists() else ""


class EdgeNginx(Nginx):
    """nginx as it is on another machine: it keeps slices as a cache does. Use it as a context manager.

    Args:
        folder: as for :class:`Nginx`.
        relay_port: where the relay listens, on 127.0.0.1.
        purges: whether it takes PURGE, for which it needs a module; without, as nginx comes.
        port: where to listen; None: anywhere.
    """

    def __init__(self, folder: Path, *, relay_port: int, purges: bool, port: int | None = None) -> None:
        _Server.__init__(self, folder, port)
        places = {
            "/var/cache/nginx/edge": f"{folder}/cache",
            "10.0.0.4:8040": f"127.0.0.1:{relay_port}",
            "allow 10.0.0.4;": "allow 127.0.0.1;",
        }
        text = _placed(_block("nginx", 1), places)
        module = next((path for path in _PURGE_MODULES if path.exists()), None)
        if not purges:
            text, count = re.subn(
                r"^ *(?:error_page 418 [^\n]*|if [^\n]* return 418; }|location @purge {.*?^    })\n",
                "",
                text,
                flags=_ALL_LINES,
            )
            assert count == 3, "the page no longer has a location for PURGE that can be left out"
        elif module is None:
            pytest.skip("no libnginx-mod-http-cache-purge (make servers)")
        self._write(text, {}, modules=f"load_module {module};" if purges else "")


class Varnish(_Server):
    """Varnish in front of one relay. Use it as a context manager.

    Args:
        folder: for its files.
        relay_port: where the relay listens, on 127.0.0.1.
        port: where to listen; None: anywhere.
    """

    def __init__(self, folder: Path, *, relay_port: int, port: int | None = None) -> None:
        super().__init__(folder, port)
        self._binary = _program("varnishd", "varnish")
        self._file = folder / "default.vcl"
        self._file.write_text(_placed(_block("vcl", 0), {'.port = "8040"': f'.port = "{relay_port}"'}))

    def _command(self) -> list[str]:
        # No jail: it would need to be root, and users of its own. No port for administration: nobody asks for one.
        alone = ("-F", "-j", "none", "-T", "none", "-n", str(self.folder / "run"))
        small = ("-s", "default,16m", "-p", "vsl_space=4M")
        return [self._binary, *alone, *small, "-a", f"127.0.0.1:{self.port}", "-f", str(self._file)]


def _block(language: str, index: int) -> str:
    """A configuration of the page."""
    blocks: list[str] = re.findall(rf"^```{language}\n(.*?)^```", _PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) > index, f"docs/operations.md has no {language} configuration number {index + 1}"
    return blocks[index]


def _placed(text: str, places: dict[str, str]) -> str:
    """A configuration with this machine's places."""
    for old, new in places.items():
        assert old in text, f"the page no longer has {old}"
        text = text.replace(old, new)
    return text
