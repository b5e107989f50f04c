"""What was imported before."""

from __future__ import annotations

from chatsync.store.imports import imported_at, note_imported
from chatsync.store.opening import Store
from chatsync.store.sums import wrong
from tests.store.deeds import tamper


def test_an_id_is_known_in_its_room(store: Store) -> None:
    """With the offset of its line."""
    rows = [("class", f"id{number}", 1, number) for number in range(1, 200)]
    store.writer.call(lambda connection: note_imported(connection, rows)).result()
    found = store.writer.call(lambda connection: imported_at(connection, "class", ["id7", "other"])).result()
    assert {"id7": 7} == found
    assert {} == store.writer.call(lambda connection: imported_at(connection, "other", ["id7"])).result()
    assert {} == store.writer.call(lambda connection: imported_at(connection, "other", [])).result()


def test_a_lost_id_shows(store: Store) -> None:
    """A line would be imported twice by it."""
    store.writer.call(
        lambda connection: note_imported(connection, [("class", "a", 1, 1), ("class", "b", 1, 2)])
    ).result()
    assert [] == wrong(store.journal.reads, ("imported",))
    tamper(store.files.root, "DROP TRIGGER IF EXISTS imported_left")
    tamper(store.files.root, "UPDATE sums SET rows = 3 WHERE name = 'imported'")
    assert 1 == len(wrong(store.journal.reads, ("imported",)))
