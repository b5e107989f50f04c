"""Corruption is detected, never served (reliability G8): random flips, cuts and zeroed pages of each file of a data folder.

Every answer of the store is either the undamaged one or is refused; what was refused, `chatsync verify` names. A log that lost its
end leaves an earlier state: opening names exactly what is lost, and every answer is that state's. Seeded; ``CHATSYNC_DAMAGES``
says how many of each file (20), ``CHATSYNC_SEED`` which. The long form, in several processes: ``python -m tests.faultkit.damage``.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatsync.errors import CorruptError
from chatsync.store.catalog import SliceRow
from chatsync.store.opening import open_store
from tests.faultkit.damage import KINDS, Trial
from tests.faultkit.full_folder import fill

pytestmark = [pytest.mark.faults, pytest.mark.timeout(86_400)]

COUNT = int(os.environ.get("CHATSYNC_DAMAGES", "20"))
SEED = int(os.environ.get("CHATSYNC_SEED", "20260302"))


@pytest.fixture(scope="module")
def base() -> Iterator[Path]:
    """A closed folder, and the same as a killed process leaves it, with logs."""
    base = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    fill(base)
    yield base
    shutil.rmtree(base)


@pytest.mark.parametrize("kind", KINDS)
def test_no_wrong_or_missing_answer_goes_unreported(base: Path, kind: str) -> None:
    """Whatever is damaged, an answer is the undamaged one or is refused, and verify names what was refused or lost."""
    result = Trial(base, kind, SEED).run(range(COUNT))
    print(f"{kind}: {result}")
    assert [] == result.faults
    assert COUNT == result.tried


def test_a_row_that_is_taken_away_is_missed(tmp_path: Path) -> None:
    """A slice that nobody lists any more is damage, not an empty list."""
    with open_store(tmp_path) as store:
        row = SliceRow(
            broadcast=1, start_ms=0, end_ms=1, epoch=1, revision=1, events=1, messages=1, as_of_offset=1, version=1,
            sha256="", size_bytes=0,
        )  # fmt: skip
        store.writer.call(lambda c: store.catalog.put_slice(c, "math", row, 1)).result()
        store.writer.call(lambda c: c.execute("DROP TRIGGER slices_taken")).result()
        store.writer.call(lambda c: c.execute("DELETE FROM slices")).result()
        with pytest.raises(CorruptError):
            store.catalog.slices("math", 1)
