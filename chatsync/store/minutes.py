"""How much was said in each minute, counted by SQLite: for gauges, after a start.

Owns: that count. Does not know: what it is for. Units: µs of program time.

Rows are counted and not read, so none is compared with its checksum: no answer that anybody relies on is made of it.
"""

from __future__ import annotations

from chatsync.chat.event import MESSAGE_KINDS
from chatsync.instants import MINUTE_US
from chatsync.store.journal_reads import JournalReads

__all__ = ["minute_counts"]

_SAYS = ", ".join(f"'{kind}'" for kind in sorted(MESSAGE_KINDS))
_COUNT = (
    f"SELECT placed_us - placed_us % {MINUTE_US} AS start_us, "
    f"sum(kind IN ({_SAYS}) AND json_extract(details, '$.to') IS NULL), "
    "sum(CASE WHEN kind = 'reaction' AND json_extract(details, '$.emoji') = ? THEN json_extract(details, '$.count') ELSE 0 END) "
    "FROM journal INDEXED BY journal_placed WHERE room = ? AND broadcast = ? AND placed_us >= ? AND hidden = 0 GROUP BY 1 ORDER BY 1"
)


def minute_counts(
    journal: JournalReads, room: str, broadcast: int, from_us: int, *, emoji: str
) -> list[tuple[int, int, int]]:
    """Of each minute in which something was logged: its start, utterances for everyone, taps of a reaction.

    Args:
        journal: has the rows.
        room: the room.
        broadcast: its airing.
        from_us: program time, inclusive.
        emoji: the reaction.

    Raises:
        CorruptError: SQLite finds the database damaged.
        StorageFailedError: it cannot be read.

    Cost: about 1 µs a row.
    """
    return [
        (start_us, messages, taps)
        for start_us, messages, taps in journal.read(_COUNT, (emoji, room, broadcast, from_us))
    ]
