"""System calls that fail when we say so: strace, attached to a running process.

Owns: attaching, what is injected, whether it was. Does not know: what the process does. Needs strace and the right to trace.
Calls are counted in each thread by itself, from the moment of attaching.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Fault", "Injection", "why_no_injection"]

_ATTACH_S = 20.0


def why_no_injection() -> str | None:
    """Why no call can be made to fail here; None if one can. Tries it once."""
    if shutil.which("strace") is None:
        return "failing system calls need strace (make servers, or apt-get install strace)"
    sleeper = subprocess.Popen(["sleep", "20"])
    try:
        command = ["strace", "-p", str(sleeper.pid), "-e", "trace=none"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
            assert tracer.stderr is not None
            first = tracer.stderr.readline()
            tracer.send_signal(signal.SIGINT)
        return None if "attached" in first else f"strace may not attach here: {first.strip()}"
    finally:
        sleeper.kill()
        sleeper.wait()


@dataclass(frozen=True, slots=True)
class Fault:
    """Which call fails, how, and when.

    Attributes:
        call: name of the system call.
        error: errno's name.
        position: the first call that fails, counted from 1 in each thread.
        is_lasting: every later one fails too.
    """

    call: str
    error: str
    position: int
    is_lasting: bool

    def __str__(self) -> str:
        return f"{self.call} {self.error} {self.position}{'+' if self.is_lasting else ''}"


class Injection:
    """A fault in a process, while the context is entered.

    Args:
        pid: the process; all of its threads.
        fault: what is to fail.
        log: file for strace's account.
    """

    def __init__(self, pid: int, fault: Fault, log: Path) -> None:
        self._pid, self._fault, self._log = pid, fault, log
        self._tracer: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Injection:
        fault = self._fault
        self._log.unlink(missing_ok=True)
        when = f"{fault.position}{'+' if fault.is_lasting else ''}"
        inject = f"inject={fault.call}:error={fault.error}:when={when}"
        told = self._log.with_suffix(".told")
        with told.open("wb") as told_file:
            self._tracer = subprocess.Popen(
                ["strace", "-f", "-p", str(self._pid), "-o", str(self._log), "-e", f"trace={fault.call}", "-e", inject],
                stderr=told_file,
            )
        deadline = time.monotonic() + _ATTACH_S
        while "attached" not in told.read_text():
            assert self._tracer.poll() is None, told.read_text()
            assert time.monotonic() < deadline, "strace did not attach"
            time.sleep(0.005)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Let the process go: from here on its calls do what they say."""
        if self._tracer is not None:
            self._tracer.send_signal(signal.SIGINT)
            self._tracer.wait(timeout=30)
            self._tracer = None

    @property
    def count(self) -> int:
        """How many calls have failed so far."""
        return self._log.read_text(errors="replace").count("(INJECTED)") if self._log.exists() else 0
