"""Opening a data folder for a command, and what `chatsync verify` looks at."""

from __future__ import annotations

import stat
from hashlib import sha256
from pathlib import Path

import pytest

from chatsync.errors import CorruptError
from chatsync.store.catalog import SliceRow
from chatsync.store.files import FolderLockedError
from chatsync.store.opening import Store, open_store
from chatsync.store.verifying import verify_store
from tests.builders import draft
from tests.store.deeds import placed, said, tamper


def with_slice(store: Store) -> Path:
    """A slice of the room math, on disk and listed; where it lies."""
    body = b"packed"
    row = SliceRow(
        broadcast=1,
        start_ms=0,
        end_ms=10_000,
        epoch=1,
        revision=1,
        events=1,
        messages=1,
        as_of_offset=1,
        version=1,
        sha256=sha256(body).hexdigest(),
        size_bytes=len(body),
    )
    store.files.write_slice("math", row, body, public=False)
    store.writer.call(lambda c: store.catalog.put_broadcast(c, "math", {"number": 1})).result()
    store.writer.call(lambda c: store.catalog.put_slice(c, "math", row, 1)).result()
    return store.files.slice_path("math", row, public=False)


def test_a_folder_is_one_processs_at_a_time(tmp_path: Path) -> None:
    """A second opening is refused; after the first has closed, it is not."""
    with open_store(tmp_path), pytest.raises(FolderLockedError), open_store(tmp_path):
        pass
    with open_store(tmp_path):
        pass


def test_a_folder_that_failed_to_open_is_not_locked(tmp_path: Path) -> None:
    """Whoever repairs it can open it in the same process."""
    (tmp_path / "chatsync.db").write_bytes(b"nonsense" * 1000)
    with pytest.raises(CorruptError), open_store(tmp_path):
        pass
    (tmp_path / "chatsync.db").unlink()
    with open_store(tmp_path) as store:
        assert 1 == len(said(store, draft("a")))


def test_an_error_inside_still_closes(tmp_path: Path) -> None:
    """What was said before is there afterwards."""

    def use() -> None:
        with open_store(tmp_path) as store:
            said(store, draft("a"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        use()
    with open_store(tmp_path) as store:
        assert 1 == store.journal.head("math").offset


def test_everything_is_the_owners_alone(tmp_path: Path) -> None:
    """Files are 0600, folders 0700, whatever the umask; what leads to the public slices can be passed through."""
    with open_store(tmp_path / "data") as store:
        said(store, draft("a"))
        with_slice(store)
        store.archive.archive_now()
        found = {path: stat.S_IMODE(path.stat().st_mode) for path in [tmp_path / "data", *store.files.root.rglob("*")]}
    assert 0o711 == found.pop(tmp_path / "data" / "slices")
    assert {} == {
        path.relative_to(tmp_path).as_posix(): oct(mode)
        for path, mode in found.items()
        if mode != (0o700 if path.is_dir() or path.name == "data" else 0o600)
    }


def test_verify_counts_what_is_whole(store: Store) -> None:
    """Rows, slices and files, and nothing damaged."""
    said(store, placed("a", 1), placed("b", 2), draft("c", room="art"))
    with_slice(store)
    store.archive.archive_now()
    assert {"rows": 3, "slices": 1, "files": 2, "damaged": [], "lost": []} == verify_store(store)


def test_verify_names_all_that_is_damaged(store: Store) -> None:
    """A row, a slice, a file: one does not hide the others."""
    said(store, draft("a"), draft("b", room="art"))
    path = with_slice(store)
    store.archive.archive_now()
    path.write_bytes(b"other")
    (store.files.root / store.catalog.archive_files("art")[0].path).unlink()
    tamper(store.files.root, "UPDATE journal SET wall_us = 0 WHERE room = 'math'")
    damaged = verify_store(store)["damaged"]
    assert 3 == len(damaged)
    for part in ("row 1 of room math", store.files.relative(path), "room=art"):
        assert 1 == sum(part in line for line in damaged)


def test_verify_misses_a_slice_that_is_gone(store: Store) -> None:
    """A slice that the catalog lists and nobody has is damage."""
    said(store, draft("a"))
    path = with_slice(store)
    path.unlink()
    (line,) = verify_store(store)["damaged"]
    assert "missing" in line
