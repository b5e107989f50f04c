"""Ids that were used: what is sent again is found, whatever has become of the table."""

from __future__ import annotations

from pathlib import Path

from chatsync.store.opening import open_store
from tests.builders import draft
from tests.store.deeds import said

_COUNT = 120


def test_a_damaged_key_between_others_lets_nothing_in_twice(tmp_path: Path) -> None:
    """A key that stands where it does not belong leads look-ups of its neighbours astray, in its own room and in others."""
    with open_store(tmp_path) as store:
        for room in ("math", "physics"):
            said(store, *(draft(f"id-{number:03}", f"words {number}", room=room) for number in range(_COUNT)))
    database = tmp_path / "chatsync.db"
    body = database.read_bytes()
    assert 1 == body.count(b"mathid-040")
    database.write_bytes(body.replace(b"mathid-040", b"matiid-040"))
    with open_store(tmp_path) as store:
        for room in ("math", "physics"):
            again = said(store, *(draft(f"id-{n:03}", f"words {n}", room=room) for n in (3, 39, 40, 41, 60, 119)))
            assert [True] * 6 == [one.duplicate for one in again]
        assert [_COUNT, _COUNT] == [store.journal.head(room).offset for room in ("math", "physics")]
        assert [] == store.journal.wrong()
