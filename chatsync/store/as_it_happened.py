"""The past as it happened: what was hidden too, with its words while they are kept, and by whom and when it was taken away.

Owns: ``Happened``, ``Past``, reading it. Does not know: who may see it. Units: µs of program time. Source: contract §4 (``class=staff``), §6 (hidden
words at most 30 days).

The journal is asked for all of it: what is hidden and what only staff may see never leaves it, and messages that have left it are read from the archive
as if they were there (decision 0016).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from chatsync.chat.event import Event, Visibility, visibility_of
from chatsync.store.journal_reads import JournalReads

__all__ = ["Happened", "Past", "as_it_happened"]


@dataclass(frozen=True, slots=True)
class Happened:
    """An event as it was, and what took it away if it is hidden now."""

    event: Event
    taken_by: Event | None = None


class Past(NamedTuple):
    """A page of it.

    Attributes:
        happened: by (program time, offset).
        next_after: the place after which the next page begins; None: there is nothing more.
    """

    happened: list[Happened]
    next_after: tuple[int, int] | None


def as_it_happened(
    journal: JournalReads,
    room: str,
    broadcast: int,
    start_us: int,
    end_us: int,
    *,
    after: tuple[int, int] | None = None,
    limit: int = -1,
) -> Past:
    """Events of ``[start_us, end_us)`` by (program time, offset), hidden and staff ones too; single votes never.

    Args:
        journal: has them.
        room: the room.
        broadcast: its airing.
        start_us: program time, inclusive.
        end_us: exclusive.
        after: only places after this (program time, offset).
        limit: looks at no more than so many; votes among them are left out, so that a page may have fewer, or none.

    Raises:
        CorruptError: a row is damaged.
        sqlite3.Error: moderation.db cannot be read.
    """
    events = journal.events_between(room, broadcast, start_us, end_us, include_hidden=True, after=after, limit=limit)
    hidden = [event.offset for event in events if event.hidden]
    words = journal.hidden_words(room, hidden)
    causes = _causes(journal, room, hidden)
    happened = []
    for event in events:
        if visibility_of(event.kind) is Visibility.TALLY:
            continue
        text, said = words.get(event.offset, (None, None))
        if event.hidden and (text is not None or said is not None):
            details = event.details | ({} if said is None else msgspec.json.decode(said))
            event = msgspec.structs.replace(event, text=text, details=details)  # noqa: PLW2901
        happened.append(Happened(event, causes.get(event.offset)))
    return Past(happened, events[-1].place if 0 < limit <= len(events) else None)


def _causes(journal: JournalReads, room: str, hidden: list[int]) -> dict[int, Event]:
    """What hid each of these."""
    causes: dict[int, Event] = {}
    known: dict[int, Event | None] = {}
    for offset in hidden:
        rows = journal.read("SELECT hidden_by FROM journal WHERE room = ? AND offset = ?", (room, offset))
        by = rows[0][0] if rows else None
        if by is None:
            continue
        if by not in known:
            known[by] = journal.event(room, by)
        cause = known[by]
        if cause is not None:
            causes[offset] = cause
    return causes
