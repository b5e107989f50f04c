"""How many events each hour of program time holds: what shows that an index of the journal finds too little.

Owns: the table ``hours``, comparing it with the indexes. Does not know: what events are about. Units: µs.
Source: reliability G8; decision 0018.

Reads by program time go through an index, and a row that a damaged index does not name is simply not found. So for each hour
of a broadcast the journal keeps how many rows stand in it and the sums of their offsets and places; for those that bear on room
state, and for pins, the same. The first read of an hour in a process compares the index with that, which reads the index only.
Rows that are appended are counted once a batch; triggers see to those that move or go.
"""

from __future__ import annotations

import sqlite3
from functools import partial
from typing import NamedTuple

from chatsync.chat.event import STATE_KINDS
from chatsync.errors import CorruptError
from chatsync.instants import HOUR_US
from chatsync.store.sums import Reads

__all__ = ["Hours", "Placed", "count_hours_again", "ensure_hours"]

_KINDS = ", ".join(f"'{kind}'" for kind in sorted(STATE_KINDS))
_HOUR = f"{{0}}.placed_us - (({{0}}.placed_us % {HOUR_US}) + {HOUR_US}) % {HOUR_US}"  # rounded down, also before 1970


def _hour(row: str) -> str:
    return _HOUR.format(row)


def _added(row: str) -> str:
    """What a row adds to its hour, as SQL with names."""
    state, pin = f"({row}.kind IN ({_KINDS}))", f"({row}.kind = 'pinned')"
    return (
        f"{row}.room AS room, {row}.broadcast AS broadcast, {_hour(row)} AS hour_us, 1 AS rows, {row}.offset AS offsets, "
        f"{row}.placed_us - ({_hour(row)}) AS places, {state} AS states, {state} * {row}.offset AS state_offsets, "
        f"{pin} AS pins, {pin} * {row}.offset AS pin_offsets"
    )


_KNOWN_MAX = 50_000  # hours: some MiB; one that is forgotten is compared again
_HOURS_MAX = 48  # a range of more is compared as one
_COUNTS = ("rows", "offsets", "places", "states", "state_offsets", "pins", "pin_offsets")
_UPSERT = "ON CONFLICT DO UPDATE SET " + ", ".join(f"{name} = {name} + excluded.{name}" for name in _COUNTS)
_TAKE = (
    "INSERT INTO hours SELECT room, broadcast, hour_us, " + ", ".join(f"-{name}" for name in _COUNTS) + " FROM ("
    f"SELECT {_added('old')}) AS gone WHERE true {_UPSERT};"
)

_CREATE = """
CREATE TABLE IF NOT EXISTS hours (
    room TEXT NOT NULL, broadcast INTEGER NOT NULL, hour_us INTEGER NOT NULL, rows INTEGER NOT NULL,
    offsets INTEGER NOT NULL, places INTEGER NOT NULL, states INTEGER NOT NULL, state_offsets INTEGER NOT NULL,
    pins INTEGER NOT NULL, pin_offsets INTEGER NOT NULL, PRIMARY KEY (room, broadcast, hour_us)
) WITHOUT ROWID;
"""
_TRIGGERS = {
    "journal_moved": "CREATE TRIGGER journal_moved AFTER UPDATE OF placed_us ON journal BEGIN\n"
    f"    {_TAKE} INSERT INTO hours SELECT * FROM (SELECT {_added('new')}) AS placed WHERE true {_UPSERT}; END",
    "journal_left": f"CREATE TRIGGER journal_left AFTER DELETE ON journal BEGIN {_TAKE} END",
}


def ensure_hours(connection: sqlite3.Connection) -> None:
    """Make the table, if it is not there, from the rows that are, and its triggers; the caller has no transaction open.

    Raises:
        sqlite3.Error: it cannot be made; then nothing was.
    """
    known = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE name = 'hours' OR type = 'trigger'"))
    if "hours" in known and all(known.get(name) == sql for name, sql in _TRIGGERS.items()):
        return
    connection.executescript(f"BEGIN IMMEDIATE;{_CREATE}")
    try:
        for name, sql in _TRIGGERS.items():
            connection.execute(f"DROP TRIGGER IF EXISTS {name}")
            connection.execute(sql)
        if "hours" not in known:
            count_hours_again(connection)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def count_hours_again(connection: sqlite3.Connection) -> None:
    """Make the table from the rows that are there, in the caller's transaction. Reads every row of the journal."""
    connection.execute("DELETE FROM hours")
    connection.execute(
        "INSERT INTO hours SELECT room, broadcast, hour_us, "
        + ", ".join(f"sum({name})" for name in _COUNTS)
        + " FROM ("
        f"SELECT {_added('j')} FROM journal AS j NOT INDEXED) GROUP BY 1, 2, 3"
    )


class Placed(NamedTuple):
    """A row that was appended: where it stands."""

    room: str
    offset: int
    broadcast: int
    placed_us: int
    kind: str


class Hours:
    """Counts appended rows, and compares the journal's indexes with what was counted."""

    def __init__(self) -> None:
        self._new: list[Placed] = []
        self._known: set[tuple[str, int, int | None]] = (
            set()
        )  # hours whose index was compared; None: all of a broadcast
        self._known_states: set[tuple[str, int]] = set()
        self._known_pins: set[str] = set()

    # --- in the writer's thread -----------------------------------------------------------------------------------

    def note(self, placed: Placed) -> None:
        """A row is being written."""
        self._new.append(placed)

    def keep(self, heads: dict[str, int]) -> None:
        """Some rows were taken back: forget those past the newest offset of their room."""
        self._new = [one for one in self._new if one.offset <= heads.get(one.room, 0)]

    def rooms(self) -> set[str]:
        """Rooms with rows that are not counted yet."""
        return {one.room for one in self._new}

    def forget(self) -> None:
        """The batch was lost."""
        self._new.clear()

    def flush(self, connection: sqlite3.Connection) -> None:
        """Count what was noted, in the transaction that wrote it."""
        counts: dict[tuple[str, int, int], list[int]] = {}
        for room, offset, broadcast, placed_us, kind in self._new:
            place_us = placed_us % HOUR_US
            one = counts.setdefault((room, broadcast, placed_us - place_us), [0] * 7)
            one[0] += 1
            one[1] += offset
            one[2] += place_us
            if kind in STATE_KINDS:
                one[3] += 1
                one[4] += offset
                if kind == "pinned":
                    one[5] += 1
                    one[6] += offset
        self._new.clear()
        connection.executemany(
            f"INSERT INTO hours VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) {_UPSERT}",
            [(*hour, *one) for hour, one in counts.items()],
        )

    def forget_checks(self) -> None:
        """Something was mended: compare everything again."""
        self._known.clear()
        self._known_states.clear()
        self._known_pins.clear()

    # --- in any thread --------------------------------------------------------------------------------------------

    def check_places(self, reads: Reads, room: str, broadcast: int, start_us: int, end_us: int) -> None:
        """Compare the index of places with the hours that a range touches, those that were not compared yet.

        Raises:
            CorruptError: it names more or fewer rows, or others.
        """
        if (room, broadcast, None) in self._known:
            return
        first_us, last_us = start_us - start_us % HOUR_US, end_us - 1 - (end_us - 1) % HOUR_US
        hours: list[int | None] = [None]
        if last_us - first_us <= _HOURS_MAX * HOUR_US:
            hours = [*range(first_us, last_us + 1, HOUR_US)]
            if all((room, broadcast, hour_us) in self._known for hour_us in hours):
                return
        key = (room, broadcast, first_us, last_us)
        told, found = reads(
            (
                (
                    "SELECT hour_us, rows, offsets, places FROM hours "
                    "WHERE room = ? AND broadcast = ? AND hour_us >= ? AND hour_us <= ? AND rows != 0 ORDER BY hour_us",
                    key,
                ),
                (
                    f"SELECT {_hour('j')} AS hour_us, count(*), sum(offset), sum(placed_us - ({_hour('j')})) "
                    "FROM journal AS j INDEXED BY journal_placed "
                    "WHERE room = ? AND broadcast = ? AND placed_us >= ? AND placed_us < ? GROUP BY 1 ORDER BY 1",
                    (room, broadcast, first_us, last_us + HOUR_US),
                ),
            )
        )
        if told != found:
            first = min((row[0] for row in set(told) ^ set(found)), key=str)  # a damaged one may be anything
            raise CorruptError("journal", f"the index of room {room} does not find what stands in the hour of {first}")
        if hours != [None] or (start_us <= -(2**60) and end_us >= 2**60):
            if len(self._known) >= _KNOWN_MAX:
                self._known.clear()
            self._known.update((room, broadcast, hour_us) for hour_us in hours)

    def check_states(self, reads: Reads, room: str, broadcast: int) -> None:
        """Compare the index of events that bear on room state, once for a broadcast.

        Raises:
            CorruptError: it names more or fewer rows, or others.
        """
        if (room, broadcast) in self._known_states:
            return
        told, found = reads(
            (
                (
                    "SELECT coalesce(sum(states), 0), coalesce(sum(state_offsets), 0) FROM hours "
                    "WHERE room = ? AND broadcast = ?",
                    (room, broadcast),
                ),
                (
                    "SELECT count(*), coalesce(sum(offset), 0) FROM journal INDEXED BY journal_state "
                    f"WHERE room = ? AND broadcast = ? AND kind IN ({_KINDS})",
                    (room, broadcast),
                ),
            )
        )
        if told != found:
            raise CorruptError("journal", f"the index of room {room} does not find its state in broadcast {broadcast}")
        self._known_states.add((room, broadcast))

    def check_pins(self, reads: Reads, room: str) -> None:
        """Compare the index of pins, once for a room.

        Raises:
            CorruptError: it names more or fewer rows, or others.
        """
        if room in self._known_pins:
            return
        told, found = reads(
            (
                ("SELECT coalesce(sum(pins), 0), coalesce(sum(pin_offsets), 0) FROM hours WHERE room = ?", (room,)),
                (
                    "SELECT count(*), coalesce(sum(offset), 0) FROM journal INDEXED BY journal_pins "
                    "WHERE room = ? AND kind = 'pinned'",
                    (room,),
                ),
            )
        )
        if told != found:
            raise CorruptError("journal", f"the index of room {room} does not find its pins")
        self._known_pins.add(room)

    def check_all(self, reads: Reads) -> list[CorruptError]:
        """Compare all indexes with all hours: what differs, by room and broadcast. For ``chatsync verify``."""
        found = []
        (rows,) = reads((("SELECT DISTINCT room, broadcast FROM hours ORDER BY room, broadcast", ()),))
        for room, broadcast in rows:
            checks = (
                partial(self.check_places, reads, room, broadcast, -(2**62), 2**62),
                partial(self.check_states, reads, room, broadcast),
                partial(self.check_pins, reads, room),
            )
            for check in checks:
                try:
                    check()
                except CorruptError as error:
                    found.append(error)
        return found
