"""The load client from Python: compile it, say whom it plays, read its figures.

Owns: where the compiler and the compiled client are, target files, keeping servers and generator on cores of their own. Does not know:
what is measured. The client is C (``benchmarks/load``) because a generator in Python needs as much of the machine as the service it
measures. Without a C compiler the benchmarks that need it raise :class:`LeftOutError`; ``make bench`` lists them with the reason.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["EVENT_TEXT", "LeftOutError", "Target", "hello", "on_generator_core", "on_server_core", "run_load"]

EVENT_TEXT = "%M why is the slope negative left of zero? it looks the other way round on the slide"
FLAGS = ("-std=c11", "-O2", "-Wall", "-Wextra")

_SOURCES = Path(__file__).parent / "load"
_BUILT = Path(__file__).parent.parent / "build"


class LeftOutError(Exception):
    """A benchmark cannot run on this machine; the text is the reason."""


@dataclass(frozen=True, slots=True)
class Target:
    r"""One connection of the load client.

    Attributes:
        path: what is asked for, with its query.
        room: messages are counted by room, from 0.
        greeting: sent once when the connection is up; ``\r\n`` may be written as escapes.
        message: template of what this connection sends: ``%M`` is the marker with sequence and time, ``%I`` an id. None: it only listens.
        is_websocket: or a plain byte stream.
    """

    path: str
    room: int = 0
    greeting: str = ""
    message: str | None = None
    is_websocket: bool = True

    def line(self) -> str:
        """As the client reads it."""
        return "\t".join(
            ("w" if self.is_websocket else "s", str(self.room), self.path, self.greeting, self.message or "")
        )


def hello(token: str | None, last: int = 0) -> str:
    """The first frame of a live socket."""
    return json.dumps({"type": "hello", "token": token, "after": None, "last": last}, separators=(",", ":"))


def run_load(
    mode: str, port: int, targets: Sequence[Target], *, pids: Sequence[int] = (), **options: Any
) -> dict[str, Any]:
    """Run the client to its end.

    Args:
        mode: ``fanout``, ``acks``, ``fetch`` or ``poll``.
        port: of the server, on 127.0.0.1.
        targets: the connections, in the order in which they are opened.
        pids: processes whose CPU time and memory are measured along.
        options: as in ``benchmarks/load/README.md``; underscores stand for hyphens.

    Raises:
        LeftOutError: there is no C compiler.
        RuntimeError: the client failed; the text is its reason.
    """
    client = _compiled()
    with tempfile.NamedTemporaryFile("w", suffix=".targets") as file:
        file.writelines(target.line() + "\n" for target in targets)
        file.flush()
        command = [str(client), mode, "--port", str(port), "--targets", file.name]
        for name, value in options.items():
            command += [f"--{name.replace('_', '-')}", str(value)]
        for pid in pids:
            command += ["--pid", str(pid)]
        with on_generator_core():
            done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip()[-500:])
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _compiler() -> list[str]:
    for name in ("cc", "gcc", "clang"):
        if shutil.which(name):
            return [name]
    if subprocess.run([sys.executable, "-m", "ziglang", "version"], capture_output=True, check=False).returncode == 0:
        return [sys.executable, "-m", "ziglang", "cc"]
    raise LeftOutError("no C compiler: install gcc, or `pip install ziglang`")


def _compiled() -> Path:
    """The client, compiled once for its sources."""
    sources = sorted(_SOURCES.glob("*.[ch]"))
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    client = _BUILT / f"load-{digest}"
    if not client.exists():
        _BUILT.mkdir(exist_ok=True)
        made = client.with_suffix(f".{os.getpid()}")
        units = [str(source) for source in sources if source.suffix == ".c"]
        done = subprocess.run(
            [*_compiler(), *FLAGS, "-o", str(made), *units], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"the load client does not compile: {done.stderr[-1000:]}")
        made.rename(client)
    return client


@contextmanager
def _on_cores(cores: set[int]) -> Iterator[None]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores & before or before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def on_server_core() -> Any:
    """What is started within has one core, the first, to itself and its threads."""
    return _on_cores({min(os.sched_getaffinity(0))})


def on_generator_core() -> Any:
    """What is started within has the other cores."""
    return _on_cores(os.sched_getaffinity(0) - {min(os.sched_getaffinity(0))})
