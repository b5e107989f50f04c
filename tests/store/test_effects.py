"""What deeds do to earlier rows: that it costs what the deed touches, not what the room holds. The rest is in test_journal.py."""

from __future__ import annotations

import sqlite3

from chatsync.store.effects import PINS_SQL
from chatsync.store.rows import CREATE


def test_pins_of_a_message_are_found_by_their_index() -> None:
    """A hide, and an erasure for each of its rows, asks for them in the writer: nobody's message is written meanwhile."""
    connection = sqlite3.connect(":memory:")
    connection.executescript(CREATE)
    plan = connection.execute(f"EXPLAIN QUERY PLAN {PINS_SQL}", ("math", 1)).fetchall()
    assert ["SEARCH journal USING INDEX journal_pins (room=? AND target=?)"] == [row[-1] for row in plan]
