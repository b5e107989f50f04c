"""Nothing is half imported: a kill at any moment leaves the folder as it was, or with all of the file."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chatsync.store.opening import open_store
from chatsync.store.verifying import verify_store
from tests.relay import SECRET

LINES = 5_000
KILLS = int(os.environ.get("CHATSYNC_IMPORT_KILLS", "1"))
SEED = int(os.environ.get("CHATSYNC_SEED", "20261201"))


def _import(file: Path, folder: Path) -> subprocess.Popen[bytes]:
    words = ["import", str(file), "--room", "class", "--data", str(folder), "--json"]
    return subprocess.Popen(
        [sys.executable, "-m", "chatsync", *words],
        env=os.environ | {"CHATSYNC_TOKEN_SECRET": SECRET},
        stdout=subprocess.PIPE,
        cwd=Path(__file__).resolve().parents[2],
    )


def _entries(folder: Path) -> dict[str, int]:
    """How much of the file each table has, once the folder was opened again and found whole."""
    with open_store(folder) as store:
        assert [] == store.journal.open_report
        assert [] == verify_store(store)["damaged"]
        return {
            table: store.journal.read(f"SELECT count(*) FROM {table}")[0][0]
            for table in ("journal", "imported", "broadcasts")
        }


@pytest.mark.faults
def test_a_kill_at_any_moment_imports_all_or_nothing(tmp_path: Path) -> None:
    """While it reads and while it writes; the next run imports what is missing, and no line twice."""
    chance = random.Random(SEED)
    file = tmp_path / "file"
    with file.open("w") as out:
        for number in range(LINES):
            author = {"id": f"u{number % 300}", "name": f"Name {number % 300}"}
            told = {
                "id": f"m{number}",
                "kind": "message",
                "program_ms": 1_773_064_800_000 + number,
                "author": author,
                "text": "x",
            }
            out.write(f"{json.dumps(told)}\n")
    whole = {"journal": LINES, "imported": LINES, "broadcasts": 1}
    folder = tmp_path / "data"
    began_s = time.monotonic()
    assert 0 == _import(file, tmp_path / "other").wait()
    takes_s = time.monotonic() - began_s
    for _ in range(KILLS):
        process = _import(file, folder)
        while process.poll() is None and not (folder / "chatsync.db").exists():
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.6 * takes_s))
        process.kill()
        process.communicate()
        assert _entries(folder) in (whole, dict.fromkeys(whole, 0))
    assert 0 == _import(file, folder).wait()
    assert whole == _entries(folder)
