"""Names of a folder are read beside whoever writes it, and only where they are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatsync.errors import StoreError
from chatsync.store.names import names_in
from chatsync.store.opening import Store
from tests.store.deeds import placed, said


def test_a_name_is_what_it_was_then(store: Store) -> None:
    """Each version of a name is read while the store is open; nobody's is empty."""
    said(store, placed("a", 0))
    names = names_in(store.files.root)
    assert names is not None
    known, unknown = names("math", [("key-ann", 1, "participant"), ("key-bo", 1, "guest")])
    assert ("Ann", "participant") == (known.name, known.role)
    assert ("", "guest") == (unknown.name, unknown.role)


def test_a_copied_archive_has_none(tmp_path: Path) -> None:
    """Without identity.db there are no names, and none is made."""
    assert names_in(tmp_path) is None
    assert [] == list(tmp_path.iterdir())


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    """Garbage where names should be is an error of the store, never an empty name."""
    (tmp_path / "identity.db").write_bytes(b"x" * 5_000)
    names = names_in(tmp_path)
    assert names is not None
    with pytest.raises(StoreError):
        names("math", [("key-ann", 1, "participant")])
