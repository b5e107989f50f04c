"""Reading is done in pieces: others have their turn between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chatsync.chat.event import Event
from chatsync.instants import HOUR_US
from chatsync.store.opening import Store
from chatsync.store.readers import PIECE_ROWS
from tests.builders import BASE_US
from tests.store.deeds import placed, said

COUNT = 2 * PIECE_ROWS + 1
READS: dict[str, Callable[[Store], list[Event]]] = {
    "after": lambda store: store.journal.events_after("math", 0, COUNT),
    "last": lambda store: store.journal.last_events("math", COUNT),
    "between": lambda store: store.journal.events_between("math", 1, BASE_US, BASE_US + HOUR_US),
    "page": lambda store: store.query.messages_page("math", 1, BASE_US, BASE_US + HOUR_US, limit=COUNT),
}


@pytest.fixture
def turns(store: Store) -> list[None]:
    """Turns that others had, of a store with so many events that a read of all is three pieces."""
    said(store, *(placed(f"m{number}", number) for number in range(COUNT)))
    told: list[None] = []
    store.journal.let_turn = lambda: told.append(None)
    return told


def test_rows_are_read_in_pieces(store: Store, turns: list[None]) -> None:
    """All come, in order, and after each full piece somebody else has a turn."""
    rows = store.journal.read("SELECT offset FROM journal WHERE room = 'math' ORDER BY offset")
    assert list(range(1, COUNT + 1)) == [offset for (offset,) in rows]
    assert 2 == len(turns)


def test_rows_of_one_snapshot_are_read_in_pieces(store: Store, turns: list[None]) -> None:
    """Several queries at once as well, each by itself."""
    sql: tuple[str, tuple[Any, ...]] = ("SELECT offset FROM journal WHERE room = 'math' ORDER BY offset", ())
    assert [COUNT, COUNT] == [len(rows) for rows in store.journal.reads([sql, sql])]
    assert 4 == len(turns)


def test_a_short_read_waits_for_nobody(store: Store, turns: list[None]) -> None:
    """A piece or less is read at once."""
    assert PIECE_ROWS == len(store.journal.events_after("math", COUNT - PIECE_ROWS, PIECE_ROWS))
    assert [] == turns[1:]  # the row that it hangs on is one more


@pytest.mark.parametrize("is_archived", [False, True])
def test_events_are_made_in_pieces(store: Store, turns: list[None], is_archived: bool) -> None:
    """Two turns while rows are read, two while they are compared and made events, of the archive as of the journal."""
    if is_archived:
        store.archive.archive_now()
    for name, read in READS.items():
        turns.clear()
        assert (name, [f"m{number}" for number in range(COUNT)]) == (name, [event.id for event in read(store)])
        assert 4 <= len(turns), name
