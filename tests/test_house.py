"""What holds for the whole house: files told about, sizes, names, locks, layers and a quick command."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[1]
_LINES_MAX = 600
_HEAVY = ["duckdb", "fastapi", "httpx2", "pyarrow", "pydantic_settings", "starlette", "uvicorn"]
_SELF = Path(__file__).resolve()


def _listed() -> list[Path]:
    """Files of the project: those in git, and new ones that git would take."""
    try:
        told = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=_ROOT, capture_output=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout, so there is no telling which files are the project's")
    paths = [_ROOT / name.decode() for name in told.split(b"\0") if name]
    return [path for path in paths if path.is_file()]


def _modules() -> list[Path]:
    return sorted(path for path in (_ROOT / "chatsync").rglob("*.py") if "web" not in path.parts)


def _module_name(path: Path) -> str:
    parts = path.relative_to(_ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _text_files() -> list[Path]:
    endings = {
        ".py",
        ".ts",
        ".js",
        ".md",
        ".toml",
        ".json",
        ".lock",
        ".in",
        ".html",
        ".css",
        ".sh",
        ".yaml",
        ".yml",
        "",
    }
    return [path for path in _listed() if path.suffix in endings]


def test_architecture_names_every_module() -> None:
    """ARCHITECTURE.md has a line for every Python file of the package, and for none that is gone."""
    text = (_ROOT / "ARCHITECTURE.md").read_text()
    tree = re.search(r"```text\nchatsync/\n(.*?)```", text, re.DOTALL)
    assert tree is not None, "ARCHITECTURE.md holds no tree that starts with chatsync/"
    told, folders = set(), [_ROOT / "chatsync"]
    for line in tree.group(1).splitlines():
        entry = re.match(r"(?P<indent> *)(?P<name>[\w.]+(?:\.py|/))(?:\s|$)", line)
        if entry is None:
            continue
        depth = len(entry["indent"]) // 2
        del folders[depth:]
        here = folders[-1] / entry["name"] if folders else _ROOT / "chatsync" / entry["name"]
        if entry["name"].endswith("/"):
            folders.append(here)
        else:
            told.add(here.relative_to(_ROOT).as_posix())
    there = {path.relative_to(_ROOT).as_posix() for path in _modules() if path.name != "__init__.py"}
    assert ([], []) == (sorted(there - told), sorted(told - there)), "not told about, and told about but gone"


def test_no_source_file_is_too_long() -> None:
    """No source file has more than 600 lines: one that grows past that holds more than one idea."""
    endings = {".py", ".ts", ".js", ".css"}
    long = {
        path.relative_to(_ROOT).as_posix(): count
        for path in _listed()
        if path.suffix in endings and (count := len(path.read_text().splitlines())) > _LINES_MAX
    }
    assert {} == long


@pytest.mark.parametrize("path", _modules(), ids=_module_name)
def test_a_module_says_what_is_public(path: Path) -> None:
    """Every module opens with a docstring and lists its public names in `__all__`, sorted, each of them defined."""
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), "no module docstring"
    names = [
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    ]
    if path.name == "__init__.py" and len(tree.body) == 1:
        return  # a folder's docstring alone makes nothing public
    assert "__all__" in names
    module = importlib.import_module(_module_name(path))
    missing = [name for name in module.__all__ if not hasattr(module, name)]
    assert [] == missing


def test_locks_record_no_registry() -> None:
    """Python and npm locks name hashes, never the address of a registry, so that any mirror will do."""
    addresses = {}
    for path in [*(_ROOT / "requirements").glob("*"), _ROOT / "player" / "package-lock.json"]:
        found = re.findall(r"https?://[^\s\"]*|--(?:extra-)?index-url.*|--find-links.*", path.read_text())
        # A package's page where it asks for money is no registry.
        addresses[path.name] = [address for address in found if not _is_funding(path, address)]
    assert {name: [] for name in addresses} == addresses


def _is_funding(path: Path, address: str) -> bool:
    if path.name != "package-lock.json":
        return False
    packages = json.loads(path.read_text())["packages"].values()
    return any(address in json.dumps(package.get("funding", "")) for package in packages)


def test_every_locked_package_has_a_hash() -> None:
    """Nothing is installed whose bytes were not seen when the lock was made."""
    for path in (_ROOT / "requirements").glob("*.lock"):
        packages = re.split(r"\n(?=\S)", path.read_text().strip())
        assert [] == [package.splitlines()[0] for package in packages if "--hash=sha256:" not in package], path.name
    lock = json.loads((_ROOT / "player" / "package-lock.json").read_text())
    unlocked = [name for name, package in lock["packages"].items() if name and "integrity" not in package]
    assert [] == unlocked


def test_build_requirements_are_locked() -> None:
    """requirements/build.in repeats what pyproject.toml requires for a build."""
    asked = tomllib.loads((_ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    lines = (_ROOT / "requirements" / "build.in").read_text().splitlines()
    assert sorted(asked) == sorted(line for line in lines if line and not line.startswith("#"))


def test_one_version() -> None:
    """The package, the player and the change log agree on the version."""
    import chatsync

    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]["version"]
    player = json.loads((_ROOT / "player" / "package.json").read_text())["version"]
    assert [project, project] == [chatsync.__version__, player]
    assert f"## {project}" in (_ROOT / "CHANGELOG.md").read_text()


def test_no_address_of_somebodys_machine() -> None:
    """No file holds an absolute path of a person's or a build machine."""
    machine = re.compile(r"(?<![\w.{}/-])/(?:home/(?!chatsync\b)\w+|Users/\w+|root/|work/|private/var/)")
    found = [
        f"{path.relative_to(_ROOT)}:{number}"
        for path in _text_files()
        if path.resolve() != _SELF
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1)
        if machine.search(line)
    ]
    assert [] == found


def test_no_unfinished_business() -> None:
    """No file of ours carries a mark of work put off, or an empty body in its place."""
    mark = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b|raise NotImplementedError")
    endings = {".py", ".ts", ".js", ".css", ".html", ".sh"}
    found = [
        f"{path.relative_to(_ROOT)}:{number}"
        for path in _listed()
        if path.suffix in endings and path.resolve() != _SELF
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1)
        if mark.search(line)
    ]
    assert [] == found


def test_every_test_says_what_it_shows() -> None:
    """Every test has a docstring that states behaviour in a sentence."""
    silent = [
        f"{path.relative_to(_ROOT)}:{node.name}"
        for path in sorted((_ROOT / "tests").rglob("test_*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]
    assert [] == silent


def test_links_between_pages_lead_somewhere() -> None:
    """Every relative link in a Markdown page names a file that is there."""
    broken = [
        f"{path.relative_to(_ROOT)} → {target}"
        for path in _listed()
        if path.suffix == ".md"
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", path.read_text())
        if not (path.parent / target).exists()
    ]
    assert [] == broken


def test_layers_hold() -> None:
    """Every layer imports only what lies below it, and the pure packages touch no clock, socket or file."""
    command = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"
    told = subprocess.run([sys.executable, "-c", command], cwd=_ROOT, capture_output=True, text=True, check=False)
    assert 0 == told.returncode, told.stdout


def test_help_loads_nothing_heavy() -> None:
    """`chatsync --help` answers at once, since it imports no server and no database."""
    program = (
        "import json, sys; sys.argv = ['chatsync', '--help']\n"
        "from chatsync.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        f"print('\\n' + json.dumps([name for name in {_HEAVY!r} if name in sys.modules]))"
    )
    told = subprocess.run([sys.executable, "-c", program], cwd=_ROOT, capture_output=True, text=True, check=True)
    help_text, loaded = told.stdout.rstrip().rsplit("\n", 1)
    assert [] == json.loads(loaded)
    assert all(command in help_text for command in ("demo", "serve", "token"))


def test_the_module_runs_as_the_command() -> None:
    """`python -m chatsync --version` tells the version."""
    import chatsync

    told = subprocess.run(
        [sys.executable, "-m", "chatsync", "--version"], cwd=_ROOT, capture_output=True, text=True, check=True
    )
    assert chatsync.__version__ in told.stdout
