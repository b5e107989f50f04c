"""The Dockerfile's steps, read from it and run in clean virtual environments, since no container engine is at hand.

What a container adds is left to it: another user, a read-only file system, another base image. What is shown: the steps as written
install from the locks, build the player and the wheel, and the result serves, is found healthy, and stops when told.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[1]
_SECONDS_TO_START = 30
_NOT_FOR_A_TEST = ("useradd", "groupadd", "apt-get")  # what changes the system, not the environment


@dataclass
class _Stage:
    """The instructions of one stage, in order."""

    steps: list[tuple[str, str]] = field(default_factory=list)

    def of(self, word: str) -> list[str]:
        """Arguments of every instruction of a kind."""
        return [rest for name, rest in self.steps if name == word]


def _stages() -> list[_Stage]:
    text = re.sub(r"\\\n\s*", "", (_ROOT / "Dockerfile").read_text())
    stages: list[_Stage] = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        word, rest = line.split(maxsplit=1)
        if word == "FROM":
            stages.append(_Stage())
        stages[-1].steps.append((word, rest))
    return stages


def _environment(stage: _Stage) -> dict[str, str]:
    pairs = [pair.partition("=") for rest in stage.of("ENV") for pair in shlex.split(rest)]
    return {name: value for name, _, value in pairs}


def _new_python(folder: Path) -> Path:
    """A bare virtual environment with the locked pip, as the base image has Python and pip and nothing else."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    lock = (_ROOT / "requirements" / "dev.lock").read_text()
    pip = re.search(r"^pip==.*(?:\\\n.*)+", lock, re.MULTILINE)
    assert pip is not None
    requirement = folder / "pip.lock"
    requirement.write_text(pip.group())
    _pip(folder / "bin" / "python", "--require-hashes", "-r", str(requirement))
    return folder / "bin" / "python"


def _pip(python: Path, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--python", python, "install", "-q", *arguments], check=True)


def _copied(source: Path, rest: str, *, into: Path) -> None:
    *names, target = rest.split()
    for name in names:
        place = into if target.endswith("./") else into / target
        if (source / name).is_dir():
            left = shutil.ignore_patterns("node_modules", "dist", "web", "__pycache__")  # as .dockerignore says
            shutil.copytree(source / name, place, ignore=left, dirs_exist_ok=True)
        else:
            shutil.copy(source / name, place)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_the_image_is_careful() -> None:
    """The image's last stage runs as a numbered user other than root, execs its command, and says how to stop and check it."""
    last = _stages()[-1]
    assert [True] == [user.isdigit() and int(user) > 0 for user in last.of("USER")]
    assert ["chatsync", "serve"] == json.loads(last.of("CMD")[0])
    assert ["SIGTERM"] == last.of("STOPSIGNAL")
    assert ["/data"] == last.of("VOLUME")
    assert "/readyz" in last.of("HEALTHCHECK")[0]
    assert [] == [rest for rest in last.of("RUN") if "pip" in rest], "tools for building stay in the first stage"


def test_the_context_leaves_out_what_was_made() -> None:
    """Built players, node_modules and everything not named are kept out of the build."""
    lines = (_ROOT / ".dockerignore").read_text().split()
    assert "**" == lines[0]
    assert {"chatsync/web", "player/node_modules"} <= set(lines)
    wanted = {name for rest in _stages()[0].of("COPY") for name in rest.split()[:-1]}
    assert wanted == {line[1:] for line in lines if line.startswith("!")}


@pytest.mark.faults
@pytest.mark.timeout(420)
def test_the_steps_make_a_relay_that_serves(tmp_path: Path) -> None:
    """Run as they stand, the steps give a relay that becomes healthy, and ends within 20 s of SIGTERM."""
    build, last = _stages()
    work, installed, data = tmp_path / "src", tmp_path / "opt", tmp_path / "data"
    work.mkdir()
    data.mkdir(mode=0o700)
    python = _new_python(tmp_path / "base")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("CHATSYNC_", "VIRTUAL_ENV"))}
    path = f"{python.parent}{os.pathsep}/usr/bin{os.pathsep}/bin"
    for word, rest in build.steps:
        if word == "COPY":
            _copied(_ROOT, rest, into=work)
        elif word == "RUN" and not any(tool in rest for tool in _NOT_FOR_A_TEST):
            step = rest.replace("/opt/chatsync", str(installed))
            subprocess.run(["bash", "-euc", step], cwd=work, env={**clean, "PATH": path}, check=True)

    port = str(_free_port())
    settings = {name: value.replace("/data", str(data)) for name, value in _environment(last).items()}
    settings |= {"CHATSYNC_PORT": port, "CHATSYNC_HOST": "127.0.0.1", "PATH": f"{installed / 'bin'}:/usr/bin:/bin"}
    settings |= {"CHATSYNC_TOKEN_SECRET": secrets.token_hex(32)}
    told = subprocess.run(["chatsync", "--version"], env=settings, cwd=data, capture_output=True, text=True, check=True)
    assert "0.1.0" in told.stdout
    health = json.loads(last.of("HEALTHCHECK")[0].split("CMD ", 1)[1])
    relay = subprocess.Popen(json.loads(last.of("CMD")[0]), env=settings, cwd=data)
    try:
        deadline = time.monotonic() + _SECONDS_TO_START
        while subprocess.run(health, env=settings, capture_output=True, check=False).returncode:
            assert relay.poll() is None, "the relay ended by itself"
            assert time.monotonic() < deadline, "the relay did not become healthy"
            time.sleep(0.2)
        relay.send_signal(signal.SIGTERM)
        # uvicorn raises the signal once more when all is closed; as the first process of a container it then ends with 0.
        assert relay.wait(timeout=20) in (0, -signal.SIGTERM)
    finally:
        relay.kill()
        relay.wait()
