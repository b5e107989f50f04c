"""What shows that a row of a table beside the journal was changed, or is not there: a checksum for each group of rows.

Owns: the table ``sums``, the triggers that keep it, comparing. Does not know: what the rows mean.
Source: reliability G8; decision 0018.

A checksum in a row cannot show that the row is *missing*, and a damaged tree of SQLite simply finds less. So rows are summed in
the groups in which they are read (the slices of a broadcast, the recordings of a room): how many there are, and the total of
their CRC-32C. A reader reads the group and its sum on one snapshot and compares. Triggers keep the sums, so that whoever writes
a row keeps them right; their function ``row_crc`` is known to connections that :func:`watch` was called for.

One more row counts every change (:func:`changes`). ``heads`` repeats that number beside the database, so that changes that were
lost with the end of the write-ahead log are missed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import google_crc32c
import msgspec

from chatsync.errors import CorruptError

__all__ = [
    "CHANGES",
    "WATCHED",
    "Reads",
    "Watched",
    "changes",
    "count_again",
    "crc",
    "ensure",
    "group",
    "groups",
    "put_changes",
    "watch",
    "wrong",
    "wrong_groups",
]

CHANGES = "."
"""Name of the row of ``sums`` that counts changes."""

Reads = Callable[[Sequence[tuple[str, Sequence[Any]]]], list[list[tuple[Any, ...]]]]
"""Runs queries on one snapshot of a database."""

_encode = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True, slots=True)
class Watched:
    """How a table is watched over.

    Attributes:
        columns: all of the table's, in the order in which they are read and summed.
        key: what groups rows: names of text columns, joined by a slash; none for one group.
        part: an integer column that groups them further.
        total: what a row adds, as SQL over ``{row}.column``; by default the CRC-32C of its columns.
        changed_by: columns whose update changes a sum, if not all.
    """

    columns: tuple[str, ...]
    key: tuple[str, ...] = ("room",)
    part: str | None = None
    total: str | None = None
    changed_by: tuple[str, ...] = ()

    def key_of(self, row: str) -> str:
        """The group's text of a row, as SQL."""
        return " || '/' || ".join(f"{row}.{name}" for name in self.key) or "''"

    def part_of(self, row: str) -> str:
        """The group's number of a row, as SQL."""
        return "0" if self.part is None else f"coalesce({row}.{self.part}, 0)"

    def total_of(self, row: str) -> str:
        """What a row adds, as SQL."""
        if self.total is not None:
            return f"({self.total.format(row=row)})"
        return f"row_crc({', '.join(f'{row}.{name}' for name in self.columns)})"


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


WATCHED: dict[str, Watched] = {
    "dirty_hours": Watched(
        _names("room broadcast hour_us through"),
        total="{row}.broadcast * 31 + {row}.hour_us / 1000000",
        changed_by=_names("room broadcast hour_us"),  # `through` moves with every batch
    ),
    "effects": Watched(_names("room cause offset"), part="cause", total="{row}.offset"),
    "epochs": Watched(_names("room epoch first_offset reason"), total="{row}.epoch * 7919 + {row}.first_offset"),
    "spoke": Watched(_names("room author_key broadcast"), key=("room", "author_key"), total="{row}.broadcast"),
    "pruned": Watched(_names("room through chain"), total="{row}.through * 7919 + {row}.chain"),
    "lost": Watched(_names("room first_offset last_offset broadcast start_us end_us")),
    "standing": Watched(_names("room what author_key until_us offset mode")),
    "erasures": Watched(_names("room author_key offset asked_wall_us done_wall_us receipt")),
    "audit": Watched(_names("number wall_us room actor role action target subject reason policy before after hash")),
    "audit_checkpoints": Watched(_names("number record"), key=()),
    "audit_start": Watched(_names("number hash"), key=()),
    "dedupe": Watched(_names("room id author_key offset received_us")),  # no triggers: store.dedupe counts many at once
    "rooms": Watched(_names("room settings"), key=()),
    "recordings": Watched(_names("room recording record")),
    "broadcasts": Watched(_names("room broadcast record")),
    "runs": Watched(_names("room run base_url started_wall_us reason")),
    "segments": Watched(
        _names(
            "room run media_sequence broadcast uri_path byte_range duration_us position_us discontinuity_sequence "
            "discontinuity gap program_us program_source estimated"
        ),
        part="broadcast",
    ),
    "observations": Watched(
        _names("room wall_us age_us kind run media_sequence part_count edge_program_us broadcast step_us"),
        part="broadcast",
    ),
    "gaps": Watched(_names("room broadcast start_us end_us reason"), part="broadcast"),
    "slices": Watched(
        _names(
            "room broadcast start_ms end_ms epoch revision events messages as_of_offset version sha256 size_bytes removed"
        ),
        part="broadcast",
    ),
    "marks": Watched(_names("room name value")),
    "archive_files": Watched(
        _names(
            "path tree room broadcast hour_us generation rows start_us end_us sha256 size_bytes schema_version "
            "end_hour_us first_offset last_offset last_wall_us pruned"
        ),
        part="broadcast",
    ),
    "archive_authors": Watched(_names("path authors"), key=("path",)),
    "viewers": Watched(_names("room broadcast minute_us viewers"), part="broadcast"),
    "deletions": Watched(_names("room wall_us broadcast record")),
    "revocations": Watched(_names("what key room before_us until_us"), key=()),
    "imported": Watched(_names("room id broadcast offset"), part="broadcast", total="{row}.offset"),
    "names": Watched(_names("room author_key version name badges"), key=("room", "author_key")),
    "numbers": Watched(_names("room number author_key given")),
    "hidden_text": Watched(_names("room offset text said salt hidden_wall_us"), total="{row}.offset"),
}
"""Every table that is watched over, by name; those of identity.db and moderation.db too."""

_SUMS = """
CREATE TABLE IF NOT EXISTS sums (
    name TEXT NOT NULL, key TEXT NOT NULL, part INTEGER NOT NULL, rows INTEGER NOT NULL, total INTEGER NOT NULL,
    PRIMARY KEY (name, key, part)
) WITHOUT ROWID
"""
_COUNT = f"INSERT INTO sums VALUES ('{CHANGES}', '', 0, 1, 0) ON CONFLICT DO UPDATE SET rows = rows + 1;"


def crc(*values: Any) -> int:
    """CRC-32C of values, as ``row_crc`` in SQL."""
    return int(google_crc32c.value(_encode(values)))


def watch(connection: sqlite3.Connection) -> None:
    """Let a connection write to tables that are watched over: the triggers' function, and triggers for rows that are replaced."""
    connection.create_function("row_crc", -1, crc, deterministic=True)
    connection.execute("PRAGMA recursive_triggers=ON")


def ensure(connection: sqlite3.Connection, tables: Iterable[str]) -> None:
    """Make ``sums``, and watch over tables that are there and are not yet: their rows are believed as they are now.

    Args:
        connection: one that :func:`watch` was called for, without a transaction.
        tables: names of :data:`WATCHED`.

    Raises:
        sqlite3.Error: it cannot be done; then nothing was.
    """
    connection.execute(_SUMS)
    known = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall())
    unwatched = [table for table in tables if not _triggers(table).items() <= known.items()]
    if not unwatched:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for table in unwatched:
            for name, sql in _triggers(table).items():
                if name in known:
                    connection.execute(f"DROP TRIGGER {name}")
                connection.execute(sql)
            count_again(connection, table)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def count_again(connection: sqlite3.Connection, table: str) -> None:
    """Make the sums of a table from the rows that are there, in the caller's transaction."""
    one = WATCHED[table]
    connection.execute("DELETE FROM sums WHERE name = ?", (table,))
    connection.execute(
        f"INSERT INTO sums SELECT '{table}', {one.key_of(table)}, {one.part_of(table)}, count(*), "
        f"sum({one.total_of(table)}) FROM {table} GROUP BY 2, 3"
    )


@cache
def _triggers(table: str) -> dict[str, str]:
    one = WATCHED[table]
    add = (
        f"INSERT INTO sums VALUES ('{table}', {one.key_of('new')}, {one.part_of('new')}, 1, {one.total_of('new')}) "
        "ON CONFLICT DO UPDATE SET rows = rows + 1, total = total + excluded.total;"
    )
    take = (
        f"UPDATE sums SET rows = rows - 1, total = total - {one.total_of('old')} "
        f"WHERE name = '{table}' AND key = {one.key_of('old')} AND part = {one.part_of('old')};"
    )
    columns = ", ".join(one.changed_by or one.columns)
    return {
        f"{table}_put": f"CREATE TRIGGER {table}_put AFTER INSERT ON {table} BEGIN {add} {_COUNT} END",
        f"{table}_taken": f"CREATE TRIGGER {table}_taken AFTER DELETE ON {table} BEGIN {take} {_COUNT} END",
        f"{table}_changed": (
            f"CREATE TRIGGER {table}_changed AFTER UPDATE OF {columns} ON {table} BEGIN {take} {add} {_COUNT} END"
        ),
    }


def group(
    reads: Reads, table: str, key: Sequence[str] = (), part: int | None = None, *, order: str | None = None
) -> list[tuple[Any, ...]]:
    """All rows of a group, compared with its sum; of all groups that share what is given.

    Args:
        reads: runs queries on one snapshot.
        table: a name of :data:`WATCHED`.
        key: values of the key's columns, all or none.
        part: value of the part's column; None for all.
        order: ``ORDER BY``; without, the order of the columns.

    Returns:
        Rows with all columns of the table, in their order. Cost: about 2 µs a row above reading it.

    Raises:
        CorruptError: a row is not what was written, or is missing.
    """
    one = WATCHED[table]
    if not all(isinstance(value, str) for value in key):
        raise CorruptError(table, "it is asked for by a key that is no text: where that was read is damaged")
    names = [*(one.key if key else ()), *((one.part,) if part is not None and one.part else ())]
    values = [*key, *(() if part is None else (part,))]
    where = " AND ".join(f"{name} = ?" for name in names)
    total = "0" if one.total is None else one.total_of(table)
    rows_sql = f"SELECT {', '.join(one.columns)}, {total} FROM {table} {'WHERE ' + where if where else ''} ORDER BY {order or 1}"
    sums_where = ["name = ?", *(["key = ?"] if key else []), *(["part = ?"] if part is not None else [])]
    sums_values = [table, *(["/".join(key)] if key else []), *(() if part is None else (part,))]
    sums_sql = f"SELECT coalesce(sum(rows), 0), coalesce(sum(total), 0) FROM sums WHERE {' AND '.join(sums_where)}"
    found, sums = reads(((rows_sql, values), (sums_sql, sums_values)))
    rows = [row[:-1] for row in found]
    counted = sum(row[-1] for row in found) if one.total is not None else sum(crc(*row) for row in rows)
    told_rows, told_total = sums[0]
    if told_rows != len(rows):
        raise CorruptError(table, f"{_of(key, part)}{len(rows)} rows are found, and {told_rows} were written")
    if told_total != counted:
        raise CorruptError(table, f"{_of(key, part)}the rows do not fit their checksum")
    return rows


def groups(reads: Reads, table: str, shared: str, others: Sequence[str]) -> list[tuple[Any, ...]]:
    """All rows of several groups with a key of two columns, each compared with its sum.

    Args:
        reads: runs queries on one snapshot.
        table: a name of :data:`WATCHED` whose rows are summed by a checksum of their own.
        shared: value of the key's first column, of all of them.
        others: values of its second.

    Raises:
        CorruptError: a row is not what was written, or is missing.
    """
    one = WATCHED[table]
    first, second = one.key
    marks = ", ".join("?" * len(others))
    names = [f"{shared}/{other}" for other in others]
    rows_sql = f"SELECT {', '.join(one.columns)} FROM {table} WHERE {first} = ? AND {second} IN ({marks})"
    sums_sql = f"SELECT key, sum(rows), sum(total) FROM sums WHERE name = ? AND key IN ({marks}) GROUP BY key"
    found, told = reads(((rows_sql, (shared, *others)), (sums_sql, (table, *names))))
    counted: dict[str, tuple[int, int]] = {}
    place = one.columns.index(second)
    for row in found:
        name = f"{shared}/{row[place]}"
        rows, total = counted.get(name, (0, 0))
        counted[name] = (rows + 1, total + crc(*row))
    if counted != {name: (rows, total) for name, rows, total in told if rows or total}:
        raise CorruptError(table, f"{_of((shared,), None)}the rows do not fit their checksum")
    return found


def _of(key: Sequence[str], part: int | None) -> str:
    room = f"of {key[0]} " if key else ""  # never an author's key: this is printed
    return f"{room}{'' if part is None else f'({part}) '}".strip() + (": " if room or part is not None else "")


def wrong(reads: Reads, tables: Iterable[str]) -> list[CorruptError]:
    """What is not as it was written, group by group, so that one does not hide the others. For ``chatsync verify``."""
    found = []
    for table in tables:
        one = WATCHED[table]
        for key, part in wrong_groups(reads, table):
            where = _of(
                (key.partition("/")[0],) if one.key and one.key != ("path",) else (), part if one.part else None
            )
            found.append(CorruptError(table, f"{where}the rows do not fit their checksum"))
    return found


def wrong_groups(reads: Reads, table: str) -> list[tuple[str, int]]:
    """Groups of a table whose rows are not what was written, as (key, part)."""
    one = WATCHED[table]
    key, part, total = one.key_of(table), one.part_of(table), one.total_of(table)
    sql = (
        f"SELECT key, part FROM (SELECT {key} AS key, {part} AS part, count(*) AS rows, sum({total}) AS total "
        f"FROM {table} GROUP BY 1, 2 UNION ALL SELECT key, part, -rows, -total FROM sums WHERE name = ?) "
        "GROUP BY 1, 2 HAVING sum(rows) != 0 OR sum(total) != 0"
    )
    (rows,) = reads(((sql, (table,)),))
    return [(str(key), part) for key, part in rows]


def changes(connection: sqlite3.Connection) -> int:
    """How many changes of watched tables were ever made in this database."""
    row = connection.execute("SELECT rows FROM sums WHERE name = ? AND key = '' AND part = 0", (CHANGES,)).fetchone()
    return 0 if row is None else int(row[0])


def put_changes(connection: sqlite3.Connection, count: int) -> None:
    """Count on from here: some changes were lost."""
    connection.execute("REPLACE INTO sums VALUES (?, '', 0, ?, 0)", (CHANGES, count))
