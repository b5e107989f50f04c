"""What a connector has taken of a network while it was live, so that a log of it adds only what was missed.

Owns: finding those lines in journal and archive. Does not know: formats, connectors at work. Units: µs of program time.
Source: docs/sources.md: an event of a connector has the id ``{source}:{id there}``, and ``held:`` before it where it waited for approval.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow.parquet as pq

from chatsync.instants import HOUR_US, Range
from chatsync.store.opening import Store

__all__ = ["captured_lines"]

_HELD = "held:"


def captured_lines(store: Store, room: str, source: str, within: Range) -> Iterator[tuple[str, int, int]]:
    """Lines of a network that are in a room already: the network's id, the broadcast, the offset.

    Args:
        store: opened.
        room: the room.
        source: as connectors call the network.
        within: of which time there is a file. A line stands where the picture was when it came here, which may be an hour off.

    Cost: reads a day of the room's journal, and of pruned files within that time two columns.
    """
    rows = store.journal.read("SELECT id, broadcast, offset FROM journal WHERE room = ? AND source = ?", (room, source))
    for id_, broadcast, offset in rows:
        yield _told(id_, source), broadcast, offset
    around = Range(within.start_us - HOUR_US, within.end_us + HOUR_US)
    for file in store.catalog.pruned_files(room):
        if file.hours is None or not file.hours.overlaps(around):
            continue
        table = pq.read_table(
            store.files.root / file.path, columns=["id", "offset"], filters=[("source", "=", source)], partitioning=None
        )
        for id_, offset in zip(table["id"].to_pylist(), table["offset"].to_pylist(), strict=True):
            yield _told(id_, source), file.broadcast, offset


def _told(id_: str, source: str) -> str:
    return id_.removeprefix(_HELD).removeprefix(f"{source}:")
