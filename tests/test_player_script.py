"""The player as the relay serves it: small scripts, pinned by their hashes."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re

import pytest
from typer.testing import CliRunner

from chatsync.cli import app as command
from chatsync.service.app import player_folder

GZIP_BYTES_MAX = {"chatsync-player.js": 40_000, "chatsync-more.js": 20_000}

pytestmark = pytest.mark.skipif(not player_folder().is_dir(), reason="the player is not built (make player)")


@pytest.fixture(params=GZIP_BYTES_MAX)
def script(request: pytest.FixtureRequest) -> tuple[str, bytes]:
    """A script's name and content."""
    return request.param, (player_folder() / request.param).read_bytes()


def test_the_script_is_small(script: tuple[str, bytes]) -> None:
    """What a page loads to show a room is under 40 kB compressed, everything included; what it may add to that, under 20."""
    name, content = script
    assert len(gzip.compress(content, 9)) < GZIP_BYTES_MAX[name]


def test_the_script_makes_nothing_out_of_text(script: tuple[str, bytes]) -> None:
    """No code is made at run time, so that pages may forbid it."""
    assert [] == re.findall(rb"\beval\(|new Function\(|document\.write\(", script[1])


def test_what_is_listed_is_what_is_served() -> None:
    """`integrity.json` has the hash of every script, as browsers compute it."""
    listed = json.loads((player_folder() / "integrity.json").read_text())
    scripts = [file for file in player_folder().iterdir() if file.name.endswith(".js")]
    expected = {
        file.name: f"sha384-{base64.b64encode(hashlib.sha384(file.read_bytes()).digest()).decode()}" for file in scripts
    }
    assert expected == listed


def test_a_page_is_told_what_to_paste() -> None:
    """`chatsync embed` prints one script, pinned, and one element; what is given to it stays text."""
    words = ["embed", "--room", "math-101", "--server", 'https://chat.example/"><b>/']
    printed = CliRunner().invoke(command, words).output
    digest = json.loads((player_folder() / "integrity.json").read_text())["chatsync-player.js"]
    assert f'integrity="{digest}" crossorigin="anonymous"' in printed
    assert (
        '<chatsync-chat room="math-101" server="https://chat.example/&quot;&gt;&lt;b&gt;"></chatsync-chat>' in printed
    )
    assert 2 == CliRunner().invoke(command, ["embed", "--room", "../x"]).exit_code
