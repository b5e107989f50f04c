"""What ``chatsync stats`` prints for people: a line a room, then all together.

Owns: which figures stand in the table, how they are written. Does not know: where they come from (``store.stats``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chatsync.instants import DAY_US, iso_from_us
from chatsync.store.stats import FolderStats, RoomStats

__all__ = ["stats_lines"]

_HEAD = (
    *("room", "broadcasts", "events", "sealed messages", "people", "slices", "size", "archive files", "rows", "size"),
    *("not archived", "keeps", "next to go", "last used"),
)
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def stats_lines(found: FolderStats) -> Iterator[str]:
    """The lines for a folder: the table, and what is not of a room."""
    rows = [_HEAD, *(_row(name, one) for name, one in found.rooms.items())]
    total = found.total
    if len(found.rooms) != 1:
        rows.append(_row(f"all {total.rooms}", total))
    yield from _aligned(rows)
    yield ""
    for tree, one in sorted(total.archive.items()):
        yield f"archive/{tree}: {one.files} files, {one.rows} rows, {_size(one.size_bytes)}, generation {one.generation} at most"
    yield f"program time {_span(total.first_program_us, total.last_program_us)}"
    yield f"wall time    {_span(total.first_wall_us, total.last_wall_us)}"
    yield (
        f"in the journal: {total.journal_events} of {total.events} events, {total.state_events} of them of room state, {total.pins} pins; "
        f"in slices: {total.sealed_events} events"
    )
    yield f"{total.deletions} broadcasts deleted for their age, {total.unfinished_deletions} not done; {total.open_erasures} erasures open"
    yield f"quarantine: {found.quarantined} files, {_size(found.quarantined_bytes)}"
    yield ", ".join(f"{name} {_size(size)}" for name, size in found.files.items()) or "no databases yet"


def _row(name: str, one: RoomStats) -> tuple[str, ...]:
    trees = one.archive.values()
    keeps = (
        ""
        if one.rooms != 1 or name.startswith("all ")
        else "forever"
        if one.keep_us is None
        else f"{one.keep_us // DAY_US} d"
    )
    counts = (one.broadcasts, one.events, one.sealed_messages, one.people, one.slices)
    return (
        name,
        *map(str, counts),
        _size(one.slice_bytes),
        str(sum(tree.files for tree in trees)),
        str(sum(tree.rows for tree in trees)),
        _size(sum(tree.size_bytes for tree in trees)),
        f"{one.dirty_hours} h",
        keeps,
        _day(one.due_us),
        _day(one.last_wall_us),
    )


def _aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]
        yield "  ".join(cells).rstrip()


def _size(size: float) -> str:
    unit = 0
    while size >= 1024 and unit < len(_UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:.0f} {_UNITS[unit]}" if unit == 0 or size >= 100 else f"{size:.1f} {_UNITS[unit]}"


def _day(at_us: int | None) -> str:
    return "-" if at_us is None else iso_from_us(at_us)[:10]


def _span(first_us: int | None, last_us: int | None) -> str:
    return "-" if first_us is None or last_us is None else f"{iso_from_us(first_us)} to {iso_from_us(last_us)}"
