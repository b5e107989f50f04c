"""Paths, whole writes, and one process to a folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatsync.errors import UnknownRoomError
from chatsync.store.files import Files, FolderLockedError, checked_room


@pytest.mark.parametrize("room", ["a", "math-101", "0", "a" * 64, "a_b-c"])
def test_a_room_id_of_the_contract_may_be_in_a_path(room: str) -> None:
    """Ids of the documented shape are used as they are."""
    assert room == checked_room(room)


@pytest.mark.parametrize(
    "room", ["", ".", "..", "-a", "_a", "A", "a/b", "a\\b", "a\0", "a\n", "a" * 65, "é", "a.b", "%2e", "a b", "room=x"]
)
def test_any_other_room_id_is_no_room(room: str) -> None:
    """Nothing else becomes part of a path: there is no such room."""
    with pytest.raises(UnknownRoomError):
        checked_room(room)


@given(room=st.text(max_size=80))
def test_no_text_leads_out_of_the_folder(tmp_path_factory: pytest.TempPathFactory, room: str) -> None:
    """Whatever is asked for, a path lies where its kind lies, or is not made."""
    files = Files(tmp_path_factory.getbasetemp() / "data")
    try:
        path = files.manifest_path(room)
    except UnknownRoomError:
        return
    assert files.archive / "manifest" == path.parent
    assert f"{room}.json" == path.name


def test_archived_hours_are_named_by_their_start_in_milliseconds(tmp_path: Path) -> None:
    """Paths are those of contract §6."""
    files = Files(tmp_path / "data")
    path = files.hour_path("events", "math-101", 3, 1_764_000_000_000_000, 2)
    assert "archive/events/room=math-101/broadcast=3/1764000000000.g2.parquet" == files.relative(path)


def test_a_file_is_written_whole_and_for_us_only(tmp_path: Path) -> None:
    """Folders are 0700, the file 0600, and no unfinished file is left beside it."""
    files = Files(tmp_path / "data")
    path = files.manifest_path("math-101")
    files.write(path, b"first")
    files.write(path, b"second")
    assert b"second" == path.read_bytes()
    assert 0o600 == path.stat().st_mode & 0o777
    assert [0o700] * 3 == [folder.stat().st_mode & 0o777 for folder in (files.root, files.archive, path.parent)]
    assert [path] == list(path.parent.iterdir())


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    """When the new content cannot be written, the old one stays and nothing lies beside it."""
    files = Files(tmp_path / "data")
    path = files.manifest_path("math-101")
    files.write(path, b"old")
    with pytest.raises(TypeError):
        files.write(path, "text instead of bytes")  # type: ignore[arg-type]
    assert b"old" == path.read_bytes()
    assert [path] == list(path.parent.iterdir())


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """A link planted where the temporary file goes does not lead the write elsewhere."""
    files = Files(tmp_path / "data")
    path = files.manifest_path("math-101")
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    files.temporary_beside(path).symlink_to(victim)
    with pytest.raises(OSError, match="symbolic"):
        files.write(path, b"new")
    assert b"precious" == victim.read_bytes()


def test_two_openings_of_a_folder_exclude_each_other(tmp_path: Path) -> None:
    """The second is refused with the reason; when the first lets go, it may."""
    first, second = Files(tmp_path / "data"), Files(tmp_path / "data")
    first.lock()
    with pytest.raises(FolderLockedError, match="Another chatsync process"):
        second.lock()
    first.unlock()
    second.lock()
    second.unlock()


def test_another_process_is_kept_out(tmp_path: Path) -> None:
    """The lock holds between processes, and ends with the process that has it."""
    program = (
        "import sys, pathlib; from chatsync.store.files import Files; "
        "Files(pathlib.Path(sys.argv[1])).lock(); print('in', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "data")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout is not None
    assert "in" == other.stdout.readline().strip()
    files = Files(tmp_path / "data")
    with pytest.raises(FolderLockedError):
        files.lock()
    other.kill()
    other.communicate()
    files.lock()
    files.unlock()


class _Name:
    """What names a slice."""

    broadcast, start_ms, end_ms, epoch, revision = 1, 0, 1000, 1, 1


def _modes(root: Path) -> dict[str, int]:
    return {path.relative_to(root).as_posix(): path.stat().st_mode & 0o777 for path in (root, *root.rglob("*"))}


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o027])
def test_others_may_read_public_slices_and_nothing_else(tmp_path: Path, umask: int) -> None:
    """Whatever the umask: slices/public is 0755 and 0644 all through, and everything else has no bit for others but to pass through slices."""
    files = Files(tmp_path / "data")
    before = os.umask(umask)
    try:
        files.lock()
        files.write_slice("math-101", _Name(), b"public", public=True)
        files.write_slice("staff", _Name(), b"private", public=False)
        files.note_origins("math-101", ["https://school.example:8443"])
        files.write(files.manifest_path("math-101"), b"{}")
        files.unlock()
    finally:
        os.umask(before)
    modes = _modes(files.root)
    public = {name: mode for name, mode in modes.items() if name.startswith("slices/public")}
    assert {0o755, 0o644} == set(public.values())
    assert 0o644 == public["slices/public/math-101/1/0-1000.e1.r1.json.gz"]
    assert 0o644 == public["slices/public/math-101/origins/https_school.example_8443"]
    others = {name: mode & 0o077 for name, mode in modes.items() if name not in public}
    assert {"slices": 0o011} == {name: mode for name, mode in others.items() if mode}


def test_a_slice_that_is_moved_takes_the_mode_of_its_place(tmp_path: Path) -> None:
    """Made private it is 0600 in a folder nobody enters; made public again it can be read."""
    files = Files(tmp_path / "data")
    files.write_slice("math-101", _Name(), b"public", public=True)
    for public, mode in ((False, 0o600), (True, 0o644)):
        files.move_slices("math-101", public=public)
        path = files.slice_path("math-101", _Name(), public=public)
        assert mode == path.stat().st_mode & 0o777
        assert not files.slice_path("math-101", _Name(), public=not public).exists()


def test_a_folder_of_a_version_before_is_opened_up_once(tmp_path: Path) -> None:
    """Where everything was 0600, public slices can be read after a start; private ones stay as they were."""
    files = Files(tmp_path / "data")
    files.write_slice("math-101", _Name(), b"public", public=True)
    files.write_slice("math-101", _Name(), b"private", public=False)
    for path in (files.root / "slices").rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    files.lock()
    assert 0o644 == files.slice_path("math-101", _Name(), public=True).stat().st_mode & 0o777
    assert 0o600 == files.slice_path("math-101", _Name(), public=False).stat().st_mode & 0o777
    assert 0o700 == (files.root / "slices" / "private").stat().st_mode & 0o777
    files.unlock()


def test_slices_of_rooms_that_are_not_served_are_moved_away(tmp_path: Path) -> None:
    """A room that was removed or made private while nobody looked has no file that a web server finds."""
    files = Files(tmp_path / "data")
    for room in ("here", "gone"):
        files.write_slice(room, _Name(), b"public", public=True)
    assert (["gone"], []) == (files.hide_public_slices({"here"}), files.hide_public_slices({"here"}))
    assert files.slice_path("here", _Name(), public=True).exists()
    assert not files.slice_path("gone", _Name(), public=True).exists()
    assert files.slice_path("gone", _Name(), public=False).exists()


def test_the_origins_of_a_room_are_files_that_can_be_looked_up(tmp_path: Path) -> None:
    """One file each; those no longer listed go; what could not be looked up by its name is left to the relay."""
    files = Files(tmp_path / "data")
    folder = files.root / "slices" / "public" / "math-101" / "origins"
    files.note_origins("math-101", ["https://school.example", "http://localhost:3000", "https://[::1]:8443"])
    assert {"https_school.example", "http_localhost_3000"} == {path.name for path in folder.iterdir()}
    files.note_origins("math-101", ["http://localhost:3000"])
    assert {"http_localhost_3000"} == {path.name for path in folder.iterdir()}
    files.note_origins("math-101", [])
    assert [] == list(folder.iterdir())


def test_what_was_put_aside_goes_with_its_room_or_its_time(tmp_path: Path) -> None:
    """Of a room whose words are erased at once, and of all rooms once it is old; other rooms' and younger ones stay."""
    files = Files(tmp_path / "data")
    for room in ("here", "gone"):
        for path in (files.slice_path(room, _Name(), public=True), files.hour_path("events", room, 1, 0, 1)):
            path.parent.mkdir(parents=True)
            path.write_bytes(b"rotten")
            assert files.quarantine(path, "tried") is not None
    assert 2 == files.clear_quarantine(room="gone")
    left = sorted(path.name for path in files.quarantined.iterdir())
    assert 4 == len(left)
    assert not [name for name in left if "gone" in name]
    assert 0 == files.clear_quarantine(before_us=0)
    assert 2 == files.clear_quarantine(before_us=2**62)
    assert [] == list(files.quarantined.iterdir())
