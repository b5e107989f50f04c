"""What the machine and this Python are like: limits of the kernel, versions, whether the clock is kept right.

Owns: reading them. Does not know: what of it is good or bad (``doctor`` says so).
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import resource
import sqlite3
import sys
from importlib.resources import files as package_files
from pathlib import Path

import msgspec

from chatsync.errors import ChatsyncError

__all__ = ["Machine", "look_at_machine"]

_LIBRARIES = ("duckdb", "pyarrow", "fastapi", "starlette", "uvicorn", "google-crc32c", "msgspec", "PyJWT")
_TIME_ERROR = 5  # what adjtimex answers while nothing keeps the clock


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What was found. None: the system does not tell."""

    user: int = 1000  # effective user id
    umask: int | None = 0o022
    files_max: int = 1 << 20  # descriptors this process may have, and may raise its limit to
    somaxconn: int | None = 4096
    tcp_bytes_max: int | None = None  # of all sockets' buffers
    memory_bytes: int = 8 << 30
    is_clock_kept: bool | None = True
    python: tuple[int, ...] = (3, 12)
    sqlite: tuple[int, ...] = (3, 46, 0)
    sqlite_threads: int = 3  # DB-API threadsafety: 3 is what readers in several threads need
    libraries: dict[str, str | None]  # version by name; None: missing
    has_ffmpeg: bool = True
    has_player: bool = True


def look_at_machine() -> Machine:
    """Read it all. Cost: some milliseconds."""
    return Machine(
        user=os.geteuid(),
        umask=_umask(),
        files_max=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        somaxconn=_number("/proc/sys/net/core/somaxconn", 0),
        tcp_bytes_max=_pages("/proc/sys/net/ipv4/tcp_mem", 2),
        memory_bytes=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        is_clock_kept=_is_clock_kept(),
        python=sys.version_info[:3],
        sqlite=sqlite3.sqlite_version_info,
        sqlite_threads=sqlite3.threadsafety,
        libraries={name: _version(name) for name in _LIBRARIES},
        has_ffmpeg=_has_ffmpeg(),
        has_player=(package_files("chatsync") / "web").is_dir(),
    )


def _umask() -> int | None:
    """Without setting it, which is the only other way to ask."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1], 8) for line in lines if line.startswith("Umask:")), None)


def _number(path: str, index: int) -> int | None:
    try:
        return int(Path(path).read_text().split()[index])
    except (OSError, ValueError, IndexError):
        return None


def _pages(path: str, index: int) -> int | None:
    found = _number(path, index)
    return None if found is None else found * os.sysconf("SC_PAGE_SIZE")


def _is_clock_kept() -> bool | None:
    """Whether something (NTP, PTP, the host) keeps the system's clock right, as the kernel has been told."""
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512))  # with no mode it only reads
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _TIME_ERROR


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _has_ffmpeg() -> bool:
    try:
        from chatsync.media import resolve_ffmpeg  # noqa: PLC0415 - it may need what only an extra has

        resolve_ffmpeg()
    except (ChatsyncError, ImportError):
        return False
    return True
