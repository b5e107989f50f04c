"""``heads``: the newest offset of every room, in a small file beside the journal.

Owns: its slots. Does not know: the journal. It shows that a damaged journal lost its tail: SQLite truncates a damaged WAL
without a word, and a chain does not miss what is not there. Source: contract §6; reliability G8.

A slot is 128 bytes, so that none lies across two disk sectors: room id (64, NUL-padded), epoch, offset (8 each, big-endian),
chain (4), CRC32C of all before (4), spare. It is written after the commit and before the ack, and synced once a second and at
the close: a power cut may leave an older head, which says less, never something wrong.

Names that no room has (:data:`NOT_ROOMS`) hold counts of changes (:data:`COUNTS`) and the end of the audit log. The first of the
counts also says, where a room has its epoch, how many slots were durable when it was written: one that is gone is missed too.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import NamedTuple

import google_crc32c

from chatsync.errors import CorruptError

__all__ = ["AUDIT", "CHANGES", "COUNTS", "HIDDEN", "NAMES", "NOT_ROOMS", "NO_COUNT", "Head", "Heads"]

CHANGES, NAMES, HIDDEN = COUNTS = (".", ".names", ".hidden")
"""Slots of how many changes the catalog, the names and the hidden texts have seen: their offset says it."""
AUDIT = ".audit"
"""Slot of the audit log: number of its newest record, and the first four bytes of that one's hash where a room has its chain."""
NOT_ROOMS = frozenset({*COUNTS, AUDIT})

NO_COUNT = "how many changes there were is not said"

_BODY = struct.Struct(">64sQQI")
_CRC = struct.Struct(">I")
_SLOT_BYTES = 128
_RESERVE_BYTES = 64 * _SLOT_BYTES  # space is taken for so many rooms at once


class Head(NamedTuple):
    """The end of a room's log: epoch, offset (0 if empty), chain value of its last row."""

    epoch: int
    offset: int
    chain: int


class Heads:
    """The file, opened for writing.

    Args:
        path: made if missing, mode 0600.
    """

    def __init__(self, path: Path) -> None:
        self._slots = {room: index for index, room in enumerate(self._rooms(path))}
        self._in_use = len(self._slots)  # slots that were ever written
        self._changes = self.read(path).get(CHANGES)
        self._durable = 0 if self._changes is None else self._changes.epoch  # slots that a power cut leaves
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._reserved_bytes = os.fstat(self._descriptor).st_size
        self._pending: dict[str, Head] = {}

    def put(self, room: str, head: Head) -> None:
        """Remember a head; it is written by the next :meth:`flush`. Its space is taken now, while a full disk can still be told.

        Raises:
            OSError: there is no space for another room.
        """
        index = self._slots.setdefault(room, len(self._slots))
        if (index + 1) * _SLOT_BYTES > self._reserved_bytes:
            os.posix_fallocate(self._descriptor, self._reserved_bytes, _RESERVE_BYTES)
            self._reserved_bytes += _RESERVE_BYTES
        self._pending[room] = head

    def rooms_put(self) -> list[str]:
        """Rooms whose heads were put since the last flush."""
        return list(self._pending)

    def offsets_put(self) -> dict[str, int]:
        """Offsets that were put since the last flush, by room."""
        return {room: head.offset for room, head in self._pending.items()}

    def flush(self) -> None:
        """Write the heads put since.

        Raises:
            OSError: they are not all written.
        """
        changes = self._pending.pop(CHANGES, self._changes)
        for room, head in self._pending.items():
            os.pwrite(self._descriptor, _packed(room, head), self._slots[room] * _SLOT_BYTES)
        if changes is not None and (changes := changes._replace(epoch=self._durable)) != self._changes:
            os.pwrite(self._descriptor, _packed(CHANGES, changes), self._slots[CHANGES] * _SLOT_BYTES)
            self._changes = changes
        self._in_use = len(self._slots)
        self._pending.clear()

    def forget(self) -> None:
        """What was put belonged to a batch that was lost."""
        for room in self._pending:
            if self._slots[room] >= self._in_use:
                del self._slots[room]
        self._pending.clear()

    def sync(self) -> None:
        """Make what was written durable; from any thread.

        Raises:
            OSError: it is not.
        """
        in_use = self._in_use
        os.fsync(self._descriptor)
        self._durable = in_use

    def close(self) -> None:
        """Sync and close."""
        try:
            self.sync()
            if self._changes is not None and self._durable != self._changes.epoch:
                self.flush()
                self.sync()
        finally:
            os.close(self._descriptor)

    @staticmethod
    def read(path: Path) -> dict[str, Head]:
        """Heads by room; a slot that does not fit its checksum says nothing."""
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return {}
        heads = {}
        for start in range(0, len(data) - _SLOT_BYTES + 1, _SLOT_BYTES):
            body, (crc,) = data[start : start + _BODY.size], _CRC.unpack_from(data, start + _BODY.size)
            if google_crc32c.value(body) == crc:
                name, epoch, offset, chain = _BODY.unpack(body)
                heads[name.rstrip(b"\0").decode()] = Head(epoch, offset, chain)
        return heads

    @staticmethod
    def damaged(path: Path) -> list[CorruptError]:
        """Slots that are not what was written or are gone, and whether the file was cut."""
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return [CorruptError(path.name, "the file is missing")]
        found = []
        if len(data) % _RESERVE_BYTES:
            found.append(CorruptError(path.name, f"its {len(data)} bytes are not the whole file"))
        told = Heads.read(path)
        in_use = told[CHANGES].epoch if CHANGES in told else 0
        for start in range(0, len(data) - _SLOT_BYTES + 1, _SLOT_BYTES):
            body, (crc,) = data[start : start + _BODY.size], _CRC.unpack_from(data, start + _BODY.size)
            is_written = any(body) or crc
            if is_written and google_crc32c.value(body) != crc:
                found.append(CorruptError(path.name, f"slot {start // _SLOT_BYTES} does not fit its checksum"))
            elif not is_written and start // _SLOT_BYTES < in_use:
                found.append(CorruptError(path.name, f"slot {start // _SLOT_BYTES} is empty"))
        if CHANGES not in told:
            found.append(CorruptError(path.name, NO_COUNT))
        elif not found and len(told) < in_use:
            found.append(CorruptError(path.name, f"{len(told)} slots are found, and {in_use} were written"))
        return found

    @staticmethod
    def _rooms(path: Path) -> list[str]:
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return []
        names = [data[start : start + 64] for start in range(0, len(data) - _SLOT_BYTES + 1, _SLOT_BYTES)]
        while names and not names[-1].strip(b"\0"):
            names.pop()  # reserved, not used yet
        return [name.rstrip(b"\0").decode(errors="replace") for name in names]


def _packed(room: str, head: Head) -> bytes:
    body = _BODY.pack(room.encode().ljust(64, b"\0"), head.epoch, head.offset, head.chain)
    return (body + _CRC.pack(int(google_crc32c.value(body)))).ljust(_SLOT_BYTES, b"\0")
