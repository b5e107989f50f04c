"""Processes of ours that begin as copies of one that has loaded everything: a second of computing less for each.

Owns: that template and what it loads. Does not know: what the processes do. What measures a start, is traced from its first call, or
gets its libraries from the environment is executed, not copied.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping
from multiprocessing.context import ForkServerContext
from pathlib import Path
from subprocess import TimeoutExpired

from chatsync.cli import main

__all__ = ["ForkedCommand", "fork_context"]


def fork_context() -> ForkServerContext:
    """Where such processes come from; one template for each process of tests, made with the first of them."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.preloaded"])
    return context


class ForkedCommand:
    """``chatsync`` with arguments, as ``subprocess.Popen`` would run it: what tests use of that class.

    Args:
        arguments: those after ``chatsync``.
        environment: all of it.
        log: file to which it writes both of its outputs, at the end.
    """

    def __init__(self, arguments: list[str], environment: Mapping[str, str], log: Path) -> None:
        self.args = ["chatsync", *arguments]
        self._process = fork_context().Process(target=_run, args=(self.args, dict(environment), str(log)), daemon=True)
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its exit status, or the signal that ended it below zero; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """The same."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; the exit status.

        Raises:
            TimeoutExpired: it still runs.
        """
        self._process.join(timeout)
        status = self._process.exitcode
        if status is None:
            raise TimeoutExpired(self.args, timeout or 0.0)
        return status

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it is over."""
        if self._process.exitcode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it as `kill -9` does."""
        self.send_signal(signal.SIGKILL)


def _run(arguments: list[str], environment: dict[str, str], log: str) -> None:
    """In the copy: become the command."""
    target = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, descriptor in ((0, nothing), (1, target), (2, target)):
        os.dup2(descriptor, number)
    os.close(target)
    os.close(nothing)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = arguments
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main()
