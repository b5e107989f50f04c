"""Restoring: what is compared first, what an interruption leaves, and what a restored room never says again."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path

import pytest

from chatsync.store.backing_up import back_up
from chatsync.store.backup import INCOMPLETE, LIST, BackupError, read_list, write_list
from chatsync.store.catalog import SCHEMA_VERSION
from chatsync.store.erasing import erase_store
from chatsync.store.files import RESTORING, FolderLockedError, HalfRestoredError
from chatsync.store.opening import Store, open_store
from chatsync.store.restoring import check_backup, restore
from chatsync.store.verifying import verify_store
from tests.builders import BASE_US, author, draft
from tests.store.deeds import placed, said, tamper
from tests.store.test_opening import with_slice

MADE_US = BASE_US + 3_600_000_000
NOW_US = MADE_US + 60_000_000
EPOCH = NOW_US // 1000


@pytest.fixture
def backup(store: Store, tmp_path: Path) -> Path:
    """A backup of a folder with two rooms, slices and Parquet."""
    said(store, placed("a", 1, "first"), placed("b", 2), draft("c", room="art", author=author("Bert")))
    with_slice(store)
    store.archive.archive_now()
    back_up(store.files.root, tmp_path / "backup", wall_us=lambda: MADE_US)
    return tmp_path / "backup"


def test_everything_is_back(store: Store, backup: Path, tmp_path: Path) -> None:
    """Rows, names, slices, Parquet and manifests are as they were; verify finds nothing."""
    result = restore(backup, tmp_path / "new", wall_us=NOW_US)
    with open_store(tmp_path / "new") as again:
        assert [] == again.journal.open_report
        assert verify_store(store) == verify_store(again)
        assert store.journal.events_after("math", 0, 10) == again.journal.events_after("math", 0, 10)
        manifest = again.files.manifest_path("math")
        assert store.catalog.archive_files() == again.catalog.archive_files()
    listed = {file["path"] for file in json.loads(manifest.read_text())["files"]}
    assert {file.path for file in store.catalog.archive_files("math")} == listed
    assert (2, str(EPOCH), []) == (result["rooms"], result["epoch"], result["damaged"])
    assert not (tmp_path / "new" / RESTORING).exists()


def test_every_room_goes_on_in_a_new_epoch_at_an_offset_that_was_never_told(backup: Path, tmp_path: Path) -> None:
    """Rooms with events, rooms without, and rooms nobody has heard of yet: no old position fits any of them."""
    restore(backup, tmp_path / "new", wall_us=NOW_US)
    with open_store(tmp_path / "new") as again:
        appended = said(again, draft("d"), draft("e", room="art"), draft("f", room="never-heard-of"), draft("g"))
        assert {EPOCH} == {one.event.epoch for one in appended}
        first = 2 + 1_000_000 + 1
        assert [first, first, first, first + 1] == [one.event.offset for one in appended]
        assert [] == verify_store(again)["damaged"]
    with open_store(tmp_path / "new") as again:
        assert [] == again.journal.open_report
        assert (EPOCH, first + 1) == again.journal.head("math")[:2]
        assert [1, 2, first, first + 1] == [event.offset for event in again.journal.events_after("math", 0, 10)]


def test_an_old_backup_skips_more(backup: Path, tmp_path: Path) -> None:
    """All that a room could have logged since: 10,000 a second."""
    restore(backup, tmp_path / "new", wall_us=MADE_US + 86_400_000_000)
    with open_store(tmp_path / "new") as again:
        assert again.journal.head("math").offset > 864_000_000


def test_a_backup_restored_twice_has_two_epochs(backup: Path, tmp_path: Path) -> None:
    """What was told in the first life after a restore is not taken for the second's."""
    restore(backup, tmp_path / "first", wall_us=NOW_US)
    with open_store(tmp_path / "first") as first:
        (one,) = said(first, draft("d"))
    restore(backup, tmp_path / "second", wall_us=NOW_US + 5_000_000_000)
    with open_store(tmp_path / "second") as second:
        (other,) = said(second, draft("e"))
    assert (one.event.epoch, one.event.offset) < (other.event.epoch, other.event.offset)
    assert one.event.offset < other.event.offset


def test_a_restored_folder_can_be_backed_up_and_restored(store: Store, backup: Path, tmp_path: Path) -> None:
    """Into the same backup: what the two lives call alike is kept apart until the new list stands."""
    restore(backup, tmp_path / "new", wall_us=NOW_US)
    said(store, placed("old", 3, "of the first life"))
    store.archive.archive_now()
    back_up(store.files.root, backup, wall_us=lambda: NOW_US)
    with open_store(tmp_path / "new") as again:
        said(again, placed("new", 3, "of the second life"))
        again.archive.archive_now()
    back_up(tmp_path / "new", backup, wall_us=lambda: NOW_US + 1_000_000)
    check_backup(backup)
    restore(backup, tmp_path / "third", wall_us=NOW_US + 2_000_000)
    with open_store(tmp_path / "third") as third:
        assert [] == verify_store(third)["damaged"]
        assert "of the second life" == third.journal.last_events("math", 1)[0].text


def test_public_slices_can_be_read_by_a_web_server(store: Store, tmp_path: Path) -> None:
    """And nothing else; whatever the backup's modes."""
    said(store, draft("a"))
    path = with_slice(store)
    store.files.move_slices("math", public=True)
    back_up(store.files.root, tmp_path / "backup", wall_us=lambda: MADE_US)
    restore(tmp_path / "backup", tmp_path / "new", wall_us=NOW_US)
    again = tmp_path / "new" / store.files.relative(path).replace("private", "public")
    modes = [
        stat.S_IMODE(one.stat().st_mode) for one in (again, again.parent, tmp_path / "new" / "slices", tmp_path / "new")
    ]
    assert [0o644, 0o755, 0o711, 0o700] == modes
    assert 0o600 == stat.S_IMODE((tmp_path / "new" / "chatsync.db").stat().st_mode)


def test_a_folder_with_something_in_it_is_refused(backup: Path, tmp_path: Path) -> None:
    """Nothing of it is touched."""
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "thesis.txt").write_text("ten years of work")
    with pytest.raises(BackupError, match="not empty"):
        restore(backup, tmp_path / "new", wall_us=NOW_US)
    assert ["thesis.txt"] == [path.name for path in (tmp_path / "new").iterdir()]


def test_a_folder_can_be_moved_aside(store: Store, backup: Path, tmp_path: Path) -> None:
    """With ``replace`` it has another name afterwards; who was erased from it since is named."""
    erase_store(store, "art", author("Bert").key, wall_us=MADE_US + 1)
    folder = store.files.root
    with pytest.raises(FolderLockedError):
        restore(backup, folder, wall_us=NOW_US, replace=True)
    store.files.unlock()
    folder.chmod(0o710)
    result = restore(backup, folder, wall_us=NOW_US, replace=True)
    aside = tmp_path / f"data.before-{EPOCH}"
    assert (str(aside), [{"room": "art", "author": author("Bert").key}]) == (
        result["moved_aside"],
        result["erased_since"],
    )
    assert (aside / "chatsync.db").is_file()
    assert 0o710 == stat.S_IMODE(folder.stat().st_mode)
    with open_store(folder) as again:
        assert EPOCH == again.journal.head("math").epoch


def test_nothing_is_moved_aside_for_a_damaged_backup(store: Store, backup: Path) -> None:
    """The whole backup is compared first."""
    found = read_list(backup)
    assert found is not None
    (backup / found.files[-1].stored).write_bytes(b"other")
    store.files.unlock()
    with pytest.raises(BackupError, match="not what was written"):
        restore(backup, store.files.root, wall_us=NOW_US, replace=True)
    assert store.files.database.is_file()


def test_each_damaged_or_missing_file_is_refused(backup: Path, tmp_path: Path) -> None:
    """One byte of any file, or one file less: no folder comes of it."""
    found = read_list(backup)
    assert found is not None
    for file in found.files:
        place = backup / file.stored
        whole = place.read_bytes()
        place.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        for work in (lambda: check_backup(backup), lambda: restore(backup, tmp_path / "new", wall_us=NOW_US)):
            with pytest.raises(BackupError, match=r"not what was written"):
                work()
        place.unlink()
        with pytest.raises(BackupError, match=r"cannot be read|cannot be restored"):
            check_backup(backup)
        with pytest.raises(BackupError):
            restore(backup, tmp_path / "new", wall_us=NOW_US)
        place.write_bytes(whole)
        assert [] == [path.name for path in (tmp_path / "new").iterdir() if path.name != "lock"]
    restore(backup, tmp_path / "new", wall_us=NOW_US)


def test_what_is_no_backup_is_refused(tmp_path: Path) -> None:
    """A folder that is missing, empty or interrupted: each with its own words."""
    with pytest.raises(BackupError, match="is no backup"):
        restore(tmp_path / "missing", tmp_path / "new", wall_us=NOW_US)
    (tmp_path / "empty").mkdir()
    with pytest.raises(BackupError, match="is no backup"):
        restore(tmp_path / "empty", tmp_path / "new", wall_us=NOW_US)
    (tmp_path / "empty" / INCOMPLETE).touch()
    with pytest.raises(BackupError, match="was interrupted"):
        restore(tmp_path / "empty", tmp_path / "new", wall_us=NOW_US)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["schema_version", "archive_schema_version"])
def test_a_newer_schema_is_refused(backup: Path, tmp_path: Path, name: str) -> None:
    """With the version that can restore it."""
    body = json.loads((backup / LIST).read_text())
    found = read_list(backup)
    assert found is not None
    changed = type(found)(
        **{field: getattr(found, field) for field in found.__struct_fields__} | {name: SCHEMA_VERSION + 7}
    )
    write_list(backup, changed)
    with pytest.raises(BackupError, match=f"restore it with version {body['chatsync']}"):
        restore(backup, tmp_path / "new", wall_us=NOW_US)


def test_a_backup_of_an_older_schema_is_brought_up_to_date(tmp_path: Path) -> None:
    """The folder that comes of it has the present one; the backup stays as it is."""
    with open_store(tmp_path / "old") as store:
        said(store, draft("a"))
    tamper(tmp_path / "old", "PRAGMA user_version = 2")
    back_up(tmp_path / "old", tmp_path / "backup", wall_us=lambda: MADE_US)
    found = read_list(tmp_path / "backup")
    assert found is not None
    assert 2 == found.schema_version
    restore(tmp_path / "backup", tmp_path / "new", wall_us=NOW_US)
    with open_store(tmp_path / "new") as again:
        assert [(SCHEMA_VERSION,)] == again.journal.read("PRAGMA user_version")
        assert [] == verify_store(again)["damaged"]
    assert found == check_backup(tmp_path / "backup")


@pytest.mark.parametrize("path", ["../escaped", "/etc/escaped", "slices/../../escaped", ""])
def test_a_path_out_of_the_folder_is_refused(backup: Path, tmp_path: Path, path: str) -> None:
    """Whoever wrote the list: nothing is written elsewhere."""
    found = read_list(backup)
    assert found is not None
    fields = {field: getattr(found, field) for field in found.__struct_fields__}
    first = found.files[0]
    bad = type(first)(path=path, stored=first.stored, size_bytes=first.size_bytes, sha256=first.sha256)
    write_list(backup, type(found)(**fields | {"files": [bad]}))
    with pytest.raises(BackupError, match="damaged"):
        restore(backup, tmp_path / "new", wall_us=NOW_US)


def test_a_clock_that_is_behind_the_backup_is_refused(backup: Path, tmp_path: Path) -> None:
    """An epoch made of it might have been told before."""
    with pytest.raises(BackupError, match="set the clock"):
        restore(backup, tmp_path / "new", wall_us=MADE_US - 1_000)


def test_a_folder_is_not_restored_into_its_backup(backup: Path) -> None:
    """Nor a backup into itself."""
    with pytest.raises(BackupError, match="into itself"):
        restore(backup, backup / "data", wall_us=NOW_US)


def test_an_interrupted_restore_is_no_data_folder(
    backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the last moves are cut off, nobody can open the folder, and the next restore starts over."""
    folder, rename = tmp_path / "new", Path.rename
    for after in range(20):
        left = [after]

        def renamed(self: Path, target: Path, left: list[int] = left) -> Path:
            if self.parent.name == RESTORING:
                if not left[0]:
                    raise KeyboardInterrupt
                left[0] -= 1
            return rename(self, target)

        monkeypatch.setattr(Path, "rename", renamed)
        try:
            restore(backup, folder, wall_us=NOW_US + after)
        except KeyboardInterrupt:
            with pytest.raises(HalfRestoredError), open_store(folder):
                pass
            continue
        break
    assert after > 5
    with open_store(folder) as again:
        assert [] == verify_store(again)["damaged"]
        assert EPOCH + after // 1000 == again.journal.head("math").epoch


def test_what_a_killed_restore_left_is_thrown_away(backup: Path, tmp_path: Path) -> None:
    """A half copy in ``restoring`` is refused by whoever opens the folder, and no hindrance for the next restore."""
    folder = tmp_path / "new"
    (folder / RESTORING / "slices").mkdir(parents=True)
    shutil.copy(backup / LIST, folder / RESTORING / "chatsync.db")
    with pytest.raises(HalfRestoredError), open_store(folder):
        pass
    restore(backup, folder, wall_us=NOW_US)
    with open_store(folder) as again:
        assert 2 == len(again.journal.events_after("math", 0, 10))
