"""A backup that was reported is whole after a power cut, an earlier one stays until the next is whole, and half a restore is never opened.

Backups and restores go to a file system of their own whose power is cut at any moment without its log being written.
Long form: ``CHATSYNC_CUTS=300``; other moments: ``CHATSYNC_SEED``. Needs root.
"""

from __future__ import annotations

import os
import random
import select
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatsync.store.backing_up import back_up
from chatsync.store.backup import BackupError, read_list
from chatsync.store.files import HalfRestoredError
from chatsync.store.opening import open_store
from chatsync.store.restoring import check_backup, restore
from chatsync.store.verifying import verify_store
from tests.builders import BASE_US
from tests.faultkit.keeping import begun
from tests.faultkit.power import LOG_FLUSHED, LOG_LOST, PowerDisk, why_no_power_disk

CUTS = int(os.environ.get("CHATSYNC_CUTS", "12"))
SEED = int(os.environ.get("CHATSYNC_SEED", "20261130"))
START_S = 60
LIFE_S = 0.6  # most works are over in less
pytestmark = [pytest.mark.faults, pytest.mark.timeout(120 + 6 * CUTS)]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[PowerDisk]:
    """A fresh disk."""
    if reason := why_no_power_disk():
        pytest.skip(reason)
    made = PowerDisk(tmp_path)
    try:
        made.format()
    except OSError as error:
        pytest.skip(str(error))
    yield made
    made.remove()


def _life(disk: PowerDisk, words: list[str], seconds: float, flag: int) -> list[str]:
    """Let a process work, cut the power so long after it began; the lines it said before."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faultkit.keeping", *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    try:
        assert select.select([process.stdout], [], [], START_S)[0], "it did not start"
        select.select([], [], [], seconds)  # how far it gets meanwhile is what the cut is about
    finally:
        disk.cut(lambda: _killed(process), flag=flag)
    return process.stdout.read().decode().splitlines()


def _killed(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def test_a_reported_backup_is_whole_whenever_the_power_is_cut(disk: PowerDisk, tmp_path: Path) -> None:
    """What was reported is there, or a later one; whatever is there is whole, and nothing of a half one is taken for it."""
    chance, reported, reports = random.Random(SEED), 0, 0
    folder, backup = tmp_path / "data", disk.place / "backup"
    begun(folder)
    for number in range(CUTS):
        flag = LOG_LOST if number % 2 else LOG_FLUSHED
        lines = _life(disk, ["keep", str(folder), str(backup)], chance.uniform(0, LIFE_S), flag)
        reported = max([reported, *(int(line.split()[1]) for line in lines if line.startswith("done"))])
        reports += sum(line.startswith("done") for line in lines)
        disk.mount()
        found = read_list(backup) if backup.exists() else None
        assert (0 if found is None else found.rooms["math"]) >= reported, (SEED, number)
        if found is None:
            with pytest.raises(BackupError):
                check_backup(backup)
        else:
            check_backup(backup)
    print(f"seed {SEED}: {reports} reported")
    assert reported
    restore(backup, tmp_path / "new", wall_us=BASE_US * 2)
    with open_store(tmp_path / "new") as store:
        assert [] == verify_store(store)["damaged"]


def test_a_folder_that_can_be_opened_after_a_cut_is_whole(disk: PowerDisk, tmp_path: Path) -> None:
    """A restore is there as a whole, or says that it is not; the next one starts over."""
    chance, seen = random.Random(SEED), []
    source, backup, folder = tmp_path / "data", tmp_path / "backup", disk.place / "data"
    begun(source)
    back_up(source, backup, wall_us=lambda: BASE_US)
    for number in range(CUTS):
        flag = LOG_LOST if number % 2 else LOG_FLUSHED
        lines = _life(disk, ["restore", str(backup), str(folder)], chance.uniform(0, LIFE_S), flag)
        disk.mount()
        seen.append(_state_of(folder))
        assert "done" not in lines or seen[-1] == "whole", (SEED, number)
        if seen[-1] == "whole":
            shutil.rmtree(folder)
    print(f"seed {SEED}: {dict(Counter(seen))}")
    assert "whole" in seen
    restore(backup, folder, wall_us=BASE_US * 2)
    assert "whole" == _state_of(folder)


def _state_of(folder: Path) -> str:
    """Whether a folder is whole, half or nothing; one that can be opened must be whole."""
    if not folder.exists() or not {path.name for path in folder.iterdir()} - {"lock"}:
        return "nothing"
    copy = folder.parent.parent / "copy"  # what this process opens it may keep open, and the disk is unmounted
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    try:
        with open_store(copy) as store:
            assert [] == verify_store(store)["damaged"]
            assert 50 == sum(event.kind == "message" for event in store.journal.events_after("math", 0, 100))
    except HalfRestoredError:
        return "half"
    return "whole"
