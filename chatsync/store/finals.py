"""What polls came to, once no vote can change it: printed in ``poll_closed`` wherever it is read, and until then in nothing that everyone reads.

Owns: which polls of a broadcast are final, as the folder knows it, and what their rows say then. Does not know: which votes are let in (``chat.polls``),
slices, which count for themselves. Units: µs of program time. Source: contract §2.

A tally is final when the watermark has passed the close. What is sealed was passed by it, so a close that lies in a slice is final; whoever lists that slice
has the hours of the poll archived anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from chatsync.chat.event import Event
from chatsync.instants import us_from_ms
from chatsync.replay.tallies import Counting
from chatsync.store.catalog import Catalog
from chatsync.store.journal_reads import JournalReads
from chatsync.store.rows import Columns

__all__ = ["POLL_KINDS", "Finals", "with_finals"]

POLL_KINDS = frozenset({"poll_opened", "poll_closed"})
_encode = msgspec.json.Encoder(order="sorted").encode


class Finals:
    """The polls of a broadcast that are final.

    Raises:
        CorruptError: a row that bears on them is damaged.

    Cost: a read of all that bears on the broadcast's state: 20 µs a vote.
    """

    def __init__(self, journal: JournalReads, catalog: Catalog, room: str, broadcast: int) -> None:
        rows, removed, _ = catalog.slices(room, broadcast)
        sealed_us = max((us_from_ms(row.end_ms) for row in (*rows, *removed.values())), default=-(2**62))
        events = sorted(journal.state_events(room, broadcast, with_names=False), key=lambda event: event.place)
        printed = Counting({}, {}).counted(events).finals
        closed = [one for one in events if one.offset in printed and one.program_us < sealed_us]
        self._printed = {one.offset: printed[one.offset] for one in closed}
        self._names = {str(one.details.get("poll", "")) for one in closed}

    def of(self, closed: Event) -> dict[str, Any]:
        """What a ``poll_closed`` prints besides; nothing until it is final."""
        return self._printed.get(closed.offset, {})

    def archived(self, columns: Columns) -> Columns:
        """Rows of the journal as the archive has them: closed polls with tally and answer, and no answer before.

        Args:
            columns: of the same room and broadcast.
        """
        details, said = list(columns["details"]), list(columns["said"])
        for index, kind in enumerate(columns["kind"]):
            if kind == "poll_closed":
                printed = self._printed.get(columns["offset"][index])
                if printed is not None:
                    details[index] = _encode(msgspec.json.decode(details[index]) | printed).decode()
            elif kind == "poll_opened" and said[index] is not None:
                name = str(msgspec.json.decode(details[index]).get("poll", ""))
                words = msgspec.json.decode(said[index])
                if name not in self._names and words.pop("answer", None) is not None:
                    said[index] = _encode(words).decode()
        return columns | {"details": tuple(details), "said": tuple(said)}


def with_finals(events: Sequence[Event], finals: Callable[[], Finals]) -> list[Event]:
    """Events of one broadcast, read from journal and archive alike: each ``poll_closed`` with what it came to.

    Args:
        events: of the journal, the archive, or both.
        finals: asked only if there is a poll among them.
    """
    if not any(event.kind == "poll_closed" and "tally" not in event.details for event in events):
        return list(events)
    known = finals()
    return [
        msgspec.structs.replace(event, details=event.details | known.of(event))
        if event.kind == "poll_closed"
        else event
        for event in events
    ]
