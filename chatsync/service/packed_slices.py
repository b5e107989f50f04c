"""Compressed slices in memory: those that were asked for lately, of all rooms of a node together.

Owns: which are kept, and how many bytes of them. Does not know: files, what is in a slice.
"""

from __future__ import annotations

from chatsync.store.catalog import SliceRow

__all__ = ["PACKED_BYTES_MAX", "PackedSlices"]

PACKED_BYTES_MAX = 64 * 1024 * 1024  # of all rooms
_Key = tuple[str, int, int, int, int]


def _key(room: str, row: SliceRow) -> _Key:
    return room, row.broadcast, row.start_ms, row.epoch, row.revision


class PackedSlices:
    """What is kept; the first that came is the first to go."""

    def __init__(self) -> None:
        self._kept: dict[_Key, bytes] = {}
        self._bytes = 0

    def get(self, room: str, row: SliceRow) -> bytes | None:
        """A slice's compressed bytes, if they are kept."""
        return self._kept.get(_key(room, row))

    def put(self, room: str, row: SliceRow, body: bytes) -> None:
        """Keep them; others may have asked for the same meanwhile, and its bytes count once."""
        key = _key(room, row)
        if key not in self._kept:
            self._kept[key] = body
            self._bytes += len(body)
        while self._bytes > PACKED_BYTES_MAX:
            self._bytes -= len(self._kept.pop(next(iter(self._kept))))

    def forget(self, room: str) -> None:
        """Slices of a room are past their time."""
        for key in [key for key in self._kept if key[0] == room]:
            self._bytes -= len(self._kept.pop(key))
