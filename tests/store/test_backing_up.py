"""Backing up: what is copied, what is used again, what goes, and what an interruption leaves."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatsync.errors import CorruptError
from chatsync.store.backing_up import back_up
from chatsync.store.backup import INCOMPLETE, LIST, BackupError, BackupList, read_list
from chatsync.store.opening import Store, open_store
from chatsync.store.restoring import check_backup, restore
from chatsync.store.verifying import verify_store
from tests.builders import BASE_US, draft
from tests.store.deeds import deed, placed, said, tamper
from tests.store.test_opening import with_slice

WALL_US = BASE_US + 7_200_000_000


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where a backup goes."""
    return tmp_path / "backup"


def backed_up(store: Store, target: Path, wall_us: int = WALL_US) -> BackupList:
    """Back an opened folder up; the list."""
    back_up(store.files.root, target, wall_us=lambda: wall_us)
    found = read_list(target)
    assert found is not None
    return found


def _lines(target: Path) -> bytes:
    """Every byte that lies in a backup."""
    return b"".join(path.read_bytes() for path in sorted(target.rglob("*")) if path.is_file())


def test_everything_of_a_folder_in_use_is_in_the_list(store: Store, target: Path) -> None:
    """Databases, heads, slices and Parquet, with what lies there; secrets and settings are not."""
    said(store, placed("a", 1), placed("b", 2), draft("c", room="art"))
    path = with_slice(store)
    store.archive.archive_now()
    found = backed_up(store, target)
    parquet = [file.path for file in store.catalog.archive_files(tree=None)]
    slices = store.files.relative(path)
    assert sorted(["chatsync.db", "heads", "identity.db", "moderation.db", slices, *parquet]) == sorted(
        file.path for file in found.files
    )
    assert {"math": 2, "art": 1} == found.rooms
    assert found == check_backup(target)
    assert not (target / INCOMPLETE).exists()


def test_a_backup_is_the_owners_alone(store: Store, target: Path) -> None:
    """Files are 0600 and folders 0700, public slices too: a web server has no business there."""
    said(store, draft("a"))
    with_slice(store)
    backed_up(store, target)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (target, *target.rglob("*"))}
    assert {} == {path: oct(mode) for path, mode in modes.items() if mode != (0o700 if path.is_dir() else 0o600)}


def test_what_has_not_changed_is_not_copied_again(store: Store, target: Path) -> None:
    """The second backup copies the databases, heads and what is new."""
    said(store, draft("a"))
    with_slice(store)
    store.archive.archive_now()
    back_up(store.files.root, target, wall_us=lambda: WALL_US)
    said(store, draft("b", room="art"))
    store.archive.archive_now("art")
    result = back_up(store.files.root, target, wall_us=lambda: WALL_US + 1_000_000)
    assert (4 + 1, 4) == (result["copied_files"], result["removed_files"])
    assert 1 == len(list(target.glob("at-*")))
    check_backup(target)


def test_a_file_that_rotted_in_the_backup_is_copied_again(store: Store, target: Path) -> None:
    """What is used again is read and compared first."""
    said(store, draft("a"))
    store.archive.archive_now()
    found = backed_up(store, target)
    rotten = next(target / file.stored for file in found.files if file.path.endswith(".parquet"))
    rotten.write_bytes(rotten.read_bytes()[::-1])
    with pytest.raises(BackupError, match="not what was written"):
        check_backup(target)
    backed_up(store, target, WALL_US + 1_000_000)
    check_backup(target)


def test_what_is_erased_leaves_the_backup_with_the_next_one(store: Store, target: Path) -> None:
    """Words of a message that is hidden and whose days are over are in no byte of the backup that follows."""
    said(store, placed("a", 1, "a word that nobody must read"), placed("b", 2))
    store.archive.archive_now()
    backed_up(store, target)
    assert b"nobody must read" in _lines(target)
    said(store, deed("h", "hidden", target=1))
    store.archive.archive_now()
    store.writer.call(lambda connection: store.journal.sweep(connection, WALL_US + 31 * 86_400_000_000)).result()
    store.writer.request_checkpoint()
    store.writer.call(lambda _: None).result()
    backed_up(store, target, WALL_US + 1_000_000)
    assert b"nobody must read" not in _lines(target)


@pytest.mark.parametrize("place", ["", "inside", ".."])
def test_a_backup_is_not_written_into_its_own_source(store: Store, place: str) -> None:
    """Nor into a folder within it, nor around it."""
    with pytest.raises(BackupError, match="neither in the data folder nor around it"):
        back_up(store.files.root, store.files.root / place, wall_us=lambda: WALL_US)


def test_a_folder_with_something_else_is_no_target(store: Store, target: Path) -> None:
    """Nothing of it is touched."""
    target.mkdir()
    (target / "thesis.txt").write_text("ten years of work")
    with pytest.raises(BackupError, match="not empty and holds no backup"):
        back_up(store.files.root, target, wall_us=lambda: WALL_US)
    assert ["thesis.txt"] == [path.name for path in target.iterdir()]


def test_a_folder_without_databases_is_no_source(tmp_path: Path, target: Path) -> None:
    """A wrong name does not make an empty backup, nor a data folder."""
    with pytest.raises(BackupError, match="no data folder"):
        back_up(tmp_path / "nothing", target, wall_us=lambda: WALL_US)
    assert not (tmp_path / "nothing").exists()
    assert not target.exists()


def test_a_folder_whose_database_is_none_is_told(target: Path, tmp_path: Path) -> None:
    """No backup comes of a database that is damaged as a whole."""
    folder = tmp_path / "other"
    folder.mkdir()
    for name in ("chatsync.db", "identity.db", "moderation.db"):
        (folder / name).write_bytes(b"nonsense" * 1000)
    with pytest.raises(CorruptError):
        back_up(folder, target, wall_us=lambda: WALL_US)
    assert not (target / LIST).exists()


def test_two_backups_at_once_keep_apart(store: Store, target: Path) -> None:
    """The second is told to wait."""
    said(store, draft("a"))

    def second(what: str, done: int, count: int) -> None:
        del what, done, count
        with pytest.raises(BackupError, match="wait for it"):
            back_up(store.files.root, target, wall_us=lambda: WALL_US)

    back_up(store.files.root, target, wall_us=lambda: WALL_US, progress=second)


def test_a_damaged_file_is_named_and_the_rest_is_backed_up(store: Store, target: Path) -> None:
    """A slice that is gone and a Parquet file that rotted are told; all else is there."""
    said(store, draft("a"))
    path = with_slice(store)
    store.archive.archive_now()
    path.unlink()
    (rotten,) = [store.files.root / file.path for file in store.catalog.archive_files(tree=None)]
    rotten.write_bytes(b"rotten")
    damaged = backed_up(store, target).damaged
    assert 2 == len(damaged)
    assert 1 == sum("missing" in line for line in damaged)
    assert 1 == sum("SHA-256" in line and ".parquet" in line for line in damaged)
    check_backup(target)


def test_an_end_that_is_lost_already_is_told(tmp_path: Path, target: Path) -> None:
    """Where ``heads`` knows more than the journal, the backup says so, and keeps what ``heads`` knew."""
    with open_store(tmp_path / "data") as store:
        said(store, draft("a"), draft("b"))
    tamper(tmp_path / "data", "DELETE FROM journal WHERE offset = 2")
    back_up(tmp_path / "data", target, wall_us=lambda: WALL_US)
    found = read_list(target)
    assert found is not None
    assert ["heads: the journal's end of room math is lost"] == found.damaged
    assert {"math": 2} == found.rooms


class _CutError(Exception):
    pass


def _interrupted(folder: Path, target: Path, after: int, wall_us: int) -> bool:
    """Back up, and be cut off after so many steps; whether it was."""
    left = [after]

    def step(*_: object) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise _CutError

    try:
        back_up(folder, target, wall_us=lambda: wall_us, progress=step)
    except _CutError:
        return True
    return False


def test_an_interrupted_backup_is_none_and_says_so(store: Store, target: Path) -> None:
    """Wherever it is cut off, there is no list; the next one goes on and is whole."""
    said(store, draft("a"), draft("b", room="art"))
    with_slice(store)
    store.archive.archive_now()
    after = 0
    while _interrupted(store.files.root, target, after, WALL_US + after):
        with pytest.raises(BackupError, match="was interrupted"):
            check_backup(target)
        after += 1
    assert after > 5
    check_backup(target)


def test_an_interrupted_backup_leaves_the_one_before(store: Store, target: Path, tmp_path: Path) -> None:
    """Wherever a later backup is cut off, the earlier one can be restored as it was."""
    said(store, placed("a", 1))
    with_slice(store)
    store.archive.archive_now()
    before = backed_up(store, target)
    said(store, placed("b", 2), placed("c", 3))
    store.archive.archive_now()
    after = 0
    while _interrupted(store.files.root, target, after, WALL_US + 1_000_000):
        assert before == check_backup(target)
        after += 1
    assert after >= 5
    assert {"math": 3} == check_backup(target).rooms
    restore(target, tmp_path / "new", wall_us=WALL_US + 2_000_000)


def _writing(store: Store, stop: threading.Event) -> Iterator[None]:
    number = 0
    while not stop.is_set():
        number += 1
        said(store, placed(f"m{number}", number / 100), placed(f"n{number}", number / 100))
        said(store, deed(f"h{number}", "hidden", target=store.journal.head("math").offset))
        if number % 3 == 0:
            said(store, deed(f"r{number}", "restored", target=store.journal.head("math").offset - 1))
        if number % 5 == 0:
            store.archive.archive_now()
        yield


def test_databases_fit_together_whatever_is_written_meanwhile(store: Store, tmp_path: Path) -> None:
    """Hides, restores and generations go on while ten backups are made: each verifies, and no hidden text is missing."""
    stop = threading.Event()
    writing = _writing(store, stop)
    next(writing)
    writer = threading.Thread(target=lambda: list(writing))
    writer.start()
    try:
        for number in range(10):
            back_up(store.files.root, tmp_path / "backup", wall_us=lambda: WALL_US)
            folder = tmp_path / f"new-{number}"
            restore(tmp_path / "backup", folder, wall_us=WALL_US + 1_000_000)
            with open_store(folder) as again:
                assert [] == verify_store(again)["damaged"]
                kept = {offset for room, offset, *_ in again.journal.hidden_texts() if room == "math"}
                hidden = again.journal.read("SELECT offset FROM journal WHERE hidden = 1 AND text_check != 0")
                assert set() == {offset for (offset,) in hidden} - kept  # what is restored is kept for its days too
    finally:
        stop.set()
        writer.join()


def test_a_list_is_read_back_and_a_changed_one_is_not_believed(store: Store, target: Path) -> None:
    """A flipped digit anywhere in it is damage; a newer format asks for a newer program."""
    said(store, draft("a"))
    backed_up(store, target)
    text = (target / LIST).read_text()
    (target / LIST).write_text(text.replace('"math": 1', '"math": 2'))
    with pytest.raises(BackupError, match="damaged"):
        read_list(target)
    (target / LIST).write_text(json.dumps({**json.loads(text), "format": 99}))
    with pytest.raises(BackupError, match="newer chatsync"):
        read_list(target)
    (target / LIST).write_text("{")
    with pytest.raises(BackupError, match="damaged"):
        read_list(target)


def test_without_one_sync_for_all_each_file_is_synced(
    store: Store, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system has no syncfs, or an old one, the backup is the same."""
    monkeypatch.setattr("chatsync.store.backup._syncfs", None)
    said(store, draft("a"))
    with_slice(store)
    store.archive.archive_now()
    assert backed_up(store, target) == check_backup(target)


def test_a_disk_that_takes_no_more_leaves_the_backup_before(store: Store, target: Path) -> None:
    """The command says why and fails; the backup that was there can still be restored."""
    said(store, draft("a"))
    before = backed_up(store, target)
    said(store, *(draft(f"b{number}", "long words " * 40) for number in range(400)))
    command = "ulimit -f 128; exec {0} -m chatsync backup {1} --data {2}"  # no file above 64 KiB
    done = subprocess.run(
        ["bash", "-c", command.format(sys.executable, target, store.files.root)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert 1 == done.returncode
    assert "cannot be written" in done.stderr
    assert before == check_backup(target)
