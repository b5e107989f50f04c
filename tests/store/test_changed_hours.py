"""Hours to be archived: noted with what changes them, taken off once they are written as of it."""

from __future__ import annotations

import sqlite3

from chatsync.instants import HOUR_US
from chatsync.store.changed_hours import clean_hour, finals_mark, note_changed_hours
from chatsync.store.opening import Store
from tests.builders import BASE_US, draft
from tests.store.deeds import said

HOUR = ("math", 1, BASE_US)


def _clean(store: Store, through: int, finals: int | None) -> list[tuple[str, int, int, int]]:
    store.writer.call(lambda connection: clean_hour(connection, HOUR, through=through, finals=finals)).result()
    return store.catalog.dirty_hours()


def test_an_hour_that_changed_meanwhile_stays_dirty(store: Store) -> None:
    """What was written is known by the newest change it was to hold."""
    said(store, draft("a"), draft("b"))
    assert [(*HOUR, 2)] == store.catalog.dirty_hours()
    said(store, draft("c"))
    assert [(*HOUR, 3)] == _clean(store, 2, None)
    assert [] == _clean(store, 3, None)


def test_an_hour_whose_polls_became_final_meanwhile_stays_dirty(store: Store) -> None:
    """Nothing need have been logged since."""
    said(store, draft("a"))
    store.writer.call(lambda c: store.catalog.put_mark(c, "math", finals_mark(1), 5)).result()
    assert [(*HOUR, 1)] == _clean(store, 1, None)
    assert [(*HOUR, 1)] == _clean(store, 1, 4)
    assert [] == _clean(store, 1, 5)


def test_hours_are_noted_once_with_their_newest_change(store: Store) -> None:
    """Also those before 1970; an older change does not make an hour look older."""

    def note(connection: sqlite3.Connection) -> None:
        note_changed_hours(connection, "math", 1, (BASE_US + 5, BASE_US + 7, BASE_US + HOUR_US, -1), 9)
        note_changed_hours(connection, "math", 1, (BASE_US,), 4)

    store.writer.call(note).result()
    assert [
        ("math", 1, hour_us, 9) for hour_us in (-HOUR_US, BASE_US, BASE_US + HOUR_US)
    ] == store.catalog.dirty_hours()
