"""``chatsync demo`` as a command: its verdict, and that Ctrl-C leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chatsync.errors import SettingsError
from chatsync.media import resolve_ffmpeg

COMMAND = [sys.executable, "-m", "chatsync", "demo", "--port", "0", "--seed", "3"]


@pytest.fixture(autouse=True)
def _ffmpeg() -> None:
    try:
        resolve_ffmpeg()
    except SettingsError as error:
        pytest.skip(str(error))


def test_the_check_passes_and_says_so_in_one_line_of_json() -> None:
    """A run without a browser: exit status 0, and the last line holds the counts and the stamping error."""
    run = subprocess.run(
        [*COMMAND, "--seconds", "16", "--check", "--json"], check=False, capture_output=True, text=True, timeout=100
    )
    assert 0 == run.returncode, run.stdout + run.stderr[-2000:]
    report = json.loads(run.stdout.splitlines()[-1])
    assert report["said"] > 0
    assert report["said"] == report["acked"] == report["replayed"] == report["compared"]
    assert [0] * 4 == [report[name] for name in ("unstamped", "lost", "duplicated", "misplaced")]
    assert {"p50", "p95", "max"} == set(report["error_ms"])
    assert {"origin", "playhead"} <= set(report["by_stamp"])


def _descendants(pid: int) -> set[int]:
    """Processes below one, however deep."""
    below: set[int] = set()
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            below |= {child} | _descendants(child)
    return below


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("seconds", [0.5, 8.0])
def test_ctrl_c_leaves_no_process_no_port_and_no_files(tmp_path: Path, seconds: float) -> None:
    """During the start and in the middle of the lecture: the process ends by itself and takes everything with it."""
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "TMPDIR": str(tmp_path)}
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as demo:
        assert demo.stdout is not None
        line = demo.stdout.readline()
        time.sleep(seconds)
        below = _descendants(demo.pid)
        demo.send_signal(signal.SIGINT)
        _, log = demo.communicate(timeout=40)
    found = re.match(r"http://127\.0\.0\.1:(\d+)", line)
    assert found is not None
    assert "Traceback" not in log
    assert below
    assert not any(_is_alive(pid) for pid in below)
    with socket.socket() as probe:
        assert 0 != probe.connect_ex(("127.0.0.1", int(found[1])))
    assert [] == list(tmp_path.iterdir())
