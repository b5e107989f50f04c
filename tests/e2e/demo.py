"""A running ``chatsync demo`` and a browser to look at it with, for every test in this folder."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
from playwright.sync_api import Browser, sync_playwright

__all__ = ["PROBE", "ROOM", "ROOT", "SHOWN_KINDS", "Demo", "chromium"]

ROOT = Path(__file__).resolve().parents[2]
ROOM = "lecture"
SHOWN_KINDS = {"message", "question", "announcement"}
PROBE = (ROOT / "tests" / "e2e" / "probe.js").read_text()


class Demo:
    """``chatsync demo`` in a process of its own."""

    def __init__(self, folder: Path) -> None:
        environment = os.environ | {"PYTHONUNBUFFERED": "1"}
        command = [sys.executable, "-m", "chatsync", "demo", "--port", "0", "--seed", "3", "--data", str(folder)]
        self.folder = folder
        self.log = (folder / "demo.log").open("w")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True, env=environment)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.match(r"http://\S+", line)
        assert found is not None, f"the demo said {line!r}: {(folder / 'demo.log').read_text()[-1000:]}"
        self.url = found[0]
        self.started_s = time.monotonic()

    def wait_until(self, seconds: float) -> None:
        """Let the stream be at least so long."""
        time.sleep(max(0.0, self.started_s + seconds - time.monotonic()))

    def get(self, path: str, **kwargs: Any) -> httpx2.Response:
        """GET a path of the demo."""
        return httpx2.get(self.url + path, timeout=30, **kwargs)

    def truth(self) -> list[dict[str, Any]]:
        """Every message of the room as the archive tells it, by (program time, offset)."""
        answer = self.get(f"/v1/rooms/{ROOM}/messages", params={"limit": 5000})
        return [event for event in answer.json()["messages"] if event["kind"] in SHOWN_KINDS]

    def token(self, name: str, role: str = "participant") -> str:
        """A token for somebody who writes, as the page asks for it."""
        answer = httpx2.post(f"{self.url}/demo/token", json={"name": name, "role": role}, timeout=10)
        answer.raise_for_status()
        token: str = answer.json()["token"]
        return token

    def stop_stream(self) -> None:
        """The page's button: the room becomes its recording, the relay stays."""
        httpx2.post(f"{self.url}/demo/stop", timeout=10).raise_for_status()

    def stop(self) -> int:
        """Ctrl-C; the exit status."""
        self.process.send_signal(signal.SIGINT)
        status = self.process.wait(timeout=30)
        self.log.close()
        return status


@contextmanager
def chromium(path: str) -> Iterator[Browser]:
    """Debian's Chromium, which may play without being asked."""
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=[*flags, "--autoplay-policy=no-user-gesture-required"]
        )
        yield browser
        browser.close()
