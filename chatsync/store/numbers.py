"""Numbers that people are shown by in rooms with numbered names: which is whose, and that none is given twice.

Owns: the table ``numbers`` of identity.db, the choice of a free number. Does not know: what a number is shown as, who gets one.
Source: security-and-privacy §8; decision 0041.

A number is drawn at random, so that it says neither when somebody came nor who they are in another room. It is on disk before anybody else
can see it: it is written with the first event said under it, in the commit before that one's. Who only watches leaves nothing on the disk.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

from chatsync.errors import CorruptError

__all__ = ["CREATE_NUMBERS", "NumberRow", "Numbers"]

CREATE_NUMBERS = """
CREATE TABLE IF NOT EXISTS numbers (
    room TEXT NOT NULL, number INTEGER NOT NULL, author_key TEXT, given TEXT, PRIMARY KEY (room, number)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS numbers_of ON numbers (room, author_key);
"""

_FIRST_MAX = 99  # the first people of a room have numbers of two digits

NumberRow = tuple[str, int, str | None, str | None]
"""Room, number, author key, given name. Without a key it was somebody's who is gone: it is nobody's any more."""


@dataclass(slots=True)
class _Room:
    """Numbers of a room: whose they are, by author key, and all that were ever given."""

    by_key: dict[str, int] = field(default_factory=dict)
    used: set[int] = field(default_factory=set)
    given: dict[str, str] = field(default_factory=dict)


class Numbers:
    """Numbers of all rooms that were loaded. Asked on the event loop, saved in the writer's thread."""

    def __init__(self) -> None:
        self._rooms: dict[str, _Room] = {}
        self._unsaved: dict[tuple[str, str], tuple[int, str | None]] = {}
        self._saving: list[tuple[str, str]] = []
        self._lock = threading.Lock()

    # --- asking ---------------------------------------------------------------------------------------------------

    def load(self, room: str, rows: Iterable[NumberRow]) -> None:
        """Take in what a room has on disk; what is known already and not saved yet stays."""
        with self._lock:
            known = self._rooms.setdefault(room, _Room())
            for _, number, author_key, given in rows:
                known.used.add(number)
                if author_key is not None:
                    known.by_key[author_key] = number
                    if given is not None:
                        known.given[author_key] = given

    def of(self, room: str, author_key: str, given: str | None = None) -> int:
        """The number of somebody in a room, drawn now if they have none.

        Args:
            room: loaded.
            author_key: who it is.
            given: their name, to be kept for hosts; None: not to be kept.

        Raises:
            CorruptError: what the room has on disk could not be loaded.
        """
        with self._lock:
            known = self._rooms.get(room)
            if known is None:
                raise CorruptError("numbers", f"those of room {room} cannot be read")
            number = known.by_key.get(author_key)
            if number is None:
                number = known.by_key[author_key] = _drawn(known.used)
                known.used.add(number)
                self._unsaved[room, author_key] = (number, given)
            if given is not None and known.given.get(author_key) != given:
                known.given[author_key] = given
                self._unsaved[room, author_key] = (number, given)
            return number

    def release(self, room: str, author_key: str) -> None:
        """Somebody who will never come back under this key is gone: if they said nothing, their number is free again."""
        with self._lock:
            if self._unsaved.pop((room, author_key), None) is not None:
                known = self._rooms[room]
                known.used.discard(known.by_key.pop(author_key))
                known.given.pop(author_key, None)

    # --- saving (in the writer's thread) ----------------------------------------------------------------------------

    def is_unsaved(self, room: str, author_key: str) -> bool:
        """Whether a number has to be saved before an event is written under it."""
        return bool(self._unsaved) and (room, author_key) in self._unsaved

    def save(self, connection: sqlite3.Connection, room: str, author_key: str) -> None:
        """Write somebody's number down, in the transaction that the caller has begun."""
        with self._lock:
            found = self._unsaved.get((room, author_key))
            if found is None:
                return
            self._saving.append((room, author_key))
        connection.execute("INSERT OR REPLACE INTO numbers VALUES (?, ?, ?, ?)", (room, found[0], author_key, found[1]))

    def committed(self) -> None:
        """What was saved is durable."""
        with self._lock:
            for key in self._saving:
                self._unsaved.pop(key, None)
            self._saving.clear()

    def lost(self) -> None:
        """What was saved is not on disk: it is saved with the next event."""
        with self._lock:
            self._saving.clear()

    def drop(self, connection: sqlite3.Connection, room: str, author_key: str) -> None:
        """Forget whose a number is; it is not given again. Who comes back gets another."""
        with self._lock:
            known = self._rooms.get(room)
            if known is not None:
                known.by_key.pop(author_key, None)
                known.given.pop(author_key, None)
            self._unsaved.pop((room, author_key), None)
        connection.execute(
            "UPDATE numbers SET author_key = NULL, given = NULL WHERE room = ? AND author_key = ?", (room, author_key)
        )

    def drop_given(self, connection: sqlite3.Connection, room: str) -> None:
        """Forget the given names of a room: its hosts may not know them any more."""
        with self._lock:
            known = self._rooms.get(room)
            if known is not None:
                known.given.clear()
        connection.execute("UPDATE numbers SET given = NULL WHERE room = ? AND given IS NOT NULL", (room,))


def _drawn(used: set[int]) -> int:
    """A free number, at random; among at least twice as many as are taken, so that it is found at once."""
    highest = _FIRST_MAX
    while 2 * len(used) >= highest:
        highest = highest * 10 + 9
    while (number := 1 + secrets.randbelow(highest)) in used:
        continue
    return number
