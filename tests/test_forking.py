"""Commands that begin as copies: they do what the executed ones do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.forking import ForkedCommand
from tests.relay import Relay


def test_a_copy_says_and_ends_as_the_command_does(tmp_path: Path) -> None:
    """Output, errors and exit status of a call that is wrong are those of the executed command."""
    arguments = ["stats", "--data", str(tmp_path / "none")]
    executed = subprocess.run(
        [sys.executable, "-m", "chatsync", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    copied = ForkedCommand(arguments, os.environ, tmp_path / "log")
    assert executed.returncode == copied.wait(60) != 0
    assert executed.stdout == (tmp_path / "log").read_bytes()


def test_a_copied_relay_serves_and_stops_as_an_executed_one(tmp_path: Path) -> None:
    """It is ready, runs until a signal asks it to stop, and ends with the same status; killed, with that signal's number."""
    stopped = []
    relay = Relay(tmp_path, {"class": {"public": True}})
    for is_copied in (False, True):
        relay.is_copied = is_copied
        relay.start()
        assert is_copied == isinstance(relay._process, ForkedCommand)
        stopped.append(relay.stop())
    assert stopped[0] == stopped[1]
    process = relay.start()._process
    assert isinstance(process, ForkedCommand)
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    process.kill()
    assert -signal.SIGKILL == process.wait(10)
