"""A database that SQLite finds malformed, written anew from what can be read of it.

Owns: reading a table from both ends towards what is damaged, exchanging the files. Does not know: what the rows mean, whether they are
right: whoever reads them compares their checksums. Source: reliability G8; decision 0019.

Nothing may have the folder open but the caller, who has its lock.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from chatsync.errors import CorruptError
from chatsync.store.files import Files
from chatsync.store.recovering import read_error
from chatsync.store.writer import opened

__all__ = ["Schema", "is_malformed", "salvage", "schema_of"]

Schema = tuple[int, list[tuple[str, str, str]]]
"""Version of a database, and what is in it: (table, index or trigger; name; SQL), tables first."""

_OF_INDEXES = ("missing from index", "wrong # of entries in index", "non-unique entry in index")


def is_malformed(path: Path) -> bool:
    """Whether SQLite finds anything wrong with a database, or cannot open it at all; what is not there is not.

    Raises:
        StorageFailedError: the disk refuses to read it.
    """
    if not path.exists():
        return False
    try:
        with closing(opened(path)) as connection:
            return _found(connection) != ["ok"]
    except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
        if isinstance(found := read_error(error, path.name), CorruptError):
            return True
        raise found from error


def _found(connection: sqlite3.Connection) -> list[str]:
    return [str(line) for (line,) in connection.execute("PRAGMA integrity_check(100)")]


def schema_of(path: Path) -> Schema:
    """What a whole database is made of.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    with closing(opened(path, read_only=True)) as connection:
        return _schema(connection)


def _schema(connection: sqlite3.Connection) -> Schema:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    order = "CASE type WHEN 'table' THEN 0 WHEN 'index' THEN 1 ELSE 2 END"
    rows = connection.execute(
        f"SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite%' ORDER BY {order}, name"
    )
    return int(version), rows.fetchall()


def salvage(files: Files, path: Path, fresh: Schema) -> str:
    """Mend a malformed database: its indexes alone if that is enough, else all of it; what was done, in words.

    What cannot be read is left out. The malformed file goes to the quarantine.

    Args:
        files: where it lies.
        path: the database.
        fresh: of a new database of this program: what was damaged of the schema is taken from there.

    Raises:
        CorruptError: not even its tables are known.
        OSError: it cannot be written.
    """
    try:
        with closing(opened(path)) as connection:
            if all(any(words in line for words in _OF_INDEXES) for line in _found(connection)):
                connection.execute("REINDEX")
                if _found(connection) == ["ok"]:
                    return f"{path.name}: its indexes were made again"
    except (sqlite3.Error, UnicodeDecodeError):
        pass  # it takes more than that
    new = path.with_name(f"{path.name}.new")
    for old in (new, new.with_name(f"{new.name}-wal"), new.with_name(f"{new.name}-shm")):
        old.unlink(missing_ok=True)
    try:
        rows = _copied(path, new, fresh)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        new.unlink(missing_ok=True)
        raise CorruptError(path.name, "not even its tables can be read") from error
    files.quarantine(path, "SQLite finds it malformed")
    for name in ("-wal", "-shm"):
        path.with_name(f"{path.name}{name}").unlink(missing_ok=True)
    files.publish(new, path)
    return f"{path.name}: written anew, {rows} rows"


def _copied(path: Path, new: Path, fresh: Schema) -> int:
    """Make a database of what can be read of another; how many rows.

    Raises:
        sqlite3.Error: nothing of it can be read.
    """
    count = 0
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as source,
        closing(sqlite3.connect(new, isolation_level=None)) as target,
    ):
        source.execute(
            "PRAGMA writable_schema=ON"
        )  # so that a cut file, or a damaged entry of the schema, does not hide the rest
        version, made = _schema(source)
        if version == fresh[0] or fresh[0] == 0:
            known = {name for _, name, _ in fresh[1]}
            made = [*fresh[1], *(one for one in made if one[0] == "table" and one[1] not in known)]
        target.execute("PRAGMA journal_mode=OFF")
        target.execute("PRAGMA synchronous=OFF")  # it is synced when it is published
        target.execute("BEGIN")
        for kind, name, sql in made:
            if kind == "table":
                try:
                    target.execute(sql)
                except sqlite3.Error:
                    continue  # a name that nobody gave
                count += _copy_rows(source, target, name)
        for kind, _, sql in made:
            if kind in {"index", "trigger"}:
                target.execute(sql)
        target.execute(f"PRAGMA user_version = {version}")
        target.execute("COMMIT")
    if not count:
        raise sqlite3.DatabaseError("nothing can be read")
    new.chmod(0o600)
    return count


def _copy_rows(source: sqlite3.Connection, target: sqlite3.Connection, table: str) -> int:
    columns = target.execute(f"PRAGMA table_info({table})").fetchall()
    key = ", ".join(name for _, name, _, _, _, place in sorted(columns, key=lambda one: one[5]) if place)
    backwards = ", ".join(f"{name} DESC" for name in key.split(", "))
    insert = f"INSERT OR IGNORE INTO {table} VALUES ({', '.join('?' * len(columns))})"
    count = 0
    for order in (key, backwards):
        is_whole = True
        try:
            rows = source.execute(f"SELECT * FROM {table} NOT INDEXED ORDER BY {order}")
        except sqlite3.Error:
            continue  # the first row from this end cannot be read
        while (row := _next(rows)) is not _END:
            if row is _BROKEN:
                is_whole = False
                break
            try:
                added = target.execute(insert, row).rowcount
            except sqlite3.Error:
                continue  # a value that the table does not take
            if order == backwards and not added:
                break  # met what was read from the other end
            count += added
        if is_whole:
            break
    return count


_END, _BROKEN = object(), object()


def _next(rows: Iterator[Any]) -> Any:
    try:
        return next(rows, _END)
    except (sqlite3.Error, OverflowError, UnicodeDecodeError):
        return _BROKEN
