"""A room's log filled by the store itself, at rest: a million events in half a minute.

Owns: what stands in it and where. Does not know: sockets, faults. The room must have had a broadcast already.
"""

from __future__ import annotations

from pathlib import Path

from chatsync.chat.event import Author, Draft, Stamp
from chatsync.instants import ms_from_us, us_from_ms
from chatsync.store.opening import open_store
from tests.faultkit.ledger import id_of, text_of

__all__ = ["AUTHORS", "fill"]

AUTHORS = [Author(key=f"{number:016x}", name=f"Student {number}") for number in range(50)]
_AT_ONCE = 5_000


def fill(folder: Path, room: str, numbers: range, *, broadcast: int, start_us: int, end_us: int) -> int:
    """Append messages, spread evenly over a stretch of program time, at which they are received too.

    Args:
        folder: the data folder; nobody else has it open.
        room: the room.
        numbers: of the messages, from which id and text follow.
        broadcast: the airing they belong to.
        start_us: program time of the first, µs.
        end_us: exclusive.

    Returns:
        The offset of the first; the others follow without a hole.
    """
    step_us = (end_us - start_us) / len(numbers)

    def draft(number: int) -> Draft:
        at_us = us_from_ms(ms_from_us(round(start_us + (number - numbers.start) * step_us)))
        stamp = Stamp(stamp="playhead", broadcast=broadcast, program_us=at_us, uncertainty_us=40_000)
        author = AUTHORS[number % len(AUTHORS)]
        return Draft(
            room=room, kind="message", id=id_of(number), text=text_of(number), author=author, stamp=stamp, wall_us=at_us
        )

    first = 0
    with open_store(folder) as store:
        for start in range(numbers.start, numbers.stop, _AT_ONCE):
            drafts = [draft(number) for number in range(start, min(numbers.stop, start + _AT_ONCE))]
            appended = store.writer.call(
                lambda connection, these=drafts: store.journal.append_many(connection, these)  # type: ignore[misc]
            ).result()
            assert appended is not None, "an id was used before"
            first = first or appended[0].event.offset
    return first
