"""What every test of the store needs: an open data folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chatsync.store.opening import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A fresh data folder, opened as a command opens it."""
    with open_store(tmp_path / "data") as opened:
        yield opened
