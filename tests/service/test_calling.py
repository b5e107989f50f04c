"""A command that finds its folder in use asks the relay that uses it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.relay import SECRET, Relay


def _restamp(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "chatsync", "restamp", *arguments]
    environment = os.environ | {"CHATSYNC_TOKEN_SECRET": SECRET}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=60)


def test_restamp_works_through_a_running_relay_and_on_a_folder_at_rest(tmp_path: Path) -> None:
    """The same figures either way; a room that is not there, and a relay that is not there, say so."""
    config = ["--config", str(tmp_path / "chatsync.toml")]
    with Relay(tmp_path, {"class": {"public": True}}):
        running = _restamp("class", "--json", *config)
        assert 0 == running.returncode, running.stderr
        unknown = _restamp("elsewhere", *config)
        assert (2, True) == (unknown.returncode, "There is no such room." in unknown.stderr)
        lost = _restamp("class", "--data", str(tmp_path / "data"))
        assert (2, True) == (lost.returncode, "no relay answers" in lost.stderr)
    at_rest = _restamp("class", "--json", *config)
    assert json.loads(running.stdout) == json.loads(at_rest.stdout)
