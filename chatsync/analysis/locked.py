"""One question of somebody we do not trust, answered in a process of its own: ``python -m chatsync.analysis.locked``.

Owns: which tables that process has, and everything that is shut before the question is looked at. Does not know: who asks.
Source: security-and-privacy §5 (analysts' SQL); decision 0058.

On standard input a JSON object (``folder``, ``room``, ``sql``, ``rows``, ``people_min``); on standard output the answer or why there is none. The room's views that the question
names are copied into a database in memory, the archive is closed, and then:

- DuckDB may reach no file, no network and no extension, and its settings are locked;
- the process may open no file any more (``RLIMIT_NOFILE``), write none (``RLIMIT_FSIZE``), take no more memory and CPU than a question may, and has no environment;
- the statement must be one that only asks (``analysis.statements``).

So there is nothing in the process but the room's public rows and the question.
"""

from __future__ import annotations

import json
import os
import re
import resource
import sys
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from chatsync.analysis.answers import values_of
from chatsync.analysis.lines import airings_of_many
from chatsync.analysis.opened import SHOWN, open_archive
from chatsync.analysis.statements import checked_question
from chatsync.errors import ChatsyncError, QuestionError, TooFewPeopleError

__all__ = ["BYTES_MAX", "CPU_S_MAX", "MEMORY_MIB_MAX", "locked_connection", "main"]

CPU_S_MAX = 10  # of all cores together, loading included
MEMORY_MIB_MAX = 1_024
BYTES_MAX = 8 * 2**20  # of an answer
_SPACE_BYTES_MAX = 3 * 2**30  # of addresses: more than is used, since libraries reserve much
_REASON_CHARACTERS_MAX = 500
_FIRST_FREE = 3  # after standard input, output and error
_WORD = re.compile(r"[a-z_]+")
_LIST = re.compile(r"\s*SHOW\b", re.IGNORECASE)

_SHUT = (
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET allow_community_extensions = false",
    "SET python_enable_replacements = false",
    "SET temp_directory = ''",
    "SET threads = 2",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)


def locked_connection(folder: Path, room: str, sql: str, people_min: int = 0) -> Any:
    """A database in memory with copies of the room's views that a question names, and no way out of it.

    Args:
        folder: a data folder or a copied archive.
        room: the room; no row of another gets in.
        sql: the question, to see which views it names; it is not run.
        people_min: no row of an airing gets in either in which fewer people wrote, staff aside.

    Raises:
        QuestionError: it is no SQL, or no single statement that asks.
        StoreError: the archive is damaged or cannot be read.
        TooFewPeopleError: no airing is left.

    Cost: 1 µs for each row that is copied (a million messages: 1.5 s in all).
    """
    connection = duckdb.connect(":memory:")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET enable_progress_bar = false")
    connection.execute(f"SET memory_limit = '{MEMORY_MIB_MAX} MiB'")
    checked_question(connection, sql)
    # A view that the text does not name is not there at all: empty it would be a wrong answer to whoever puts its name together.
    is_list = _LIST.match(sql) is not None
    words = set(_WORD.findall(sql.lower()))
    with open_archive(folder, room=room) as archive:
        which = "room = $room"
        if people_min > 0:
            many = airings_of_many(archive, room, people_min)
            if not many:
                raise TooFewPeopleError("query")
            which += f" AND broadcast IN ({', '.join(map(str, many))})"
        for name in SHOWN:
            if name in words or is_list:
                rows = archive.sql(f"SELECT * FROM {name} WHERE {which}", room=room)
                connection.register("copied", rows.limit(0).to_arrow_table() if is_list else rows.to_arrow_table())
                connection.execute(f"CREATE TABLE {name} AS SELECT * FROM copied")
                connection.unregister("copied")
    for statement in _SHUT:
        connection.execute(statement)
    return connection


def _bound_process() -> None:
    """Before anything is read: memory and CPU as a question may take, the copying of the room included."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_SPACE_BYTES_MAX, _SPACE_BYTES_MAX))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S_MAX, CPU_S_MAX))


def _shut_process() -> None:
    """Before the question is looked at: nothing may be opened or written, and there is no environment."""
    os.environ.clear()
    os.chdir("/")
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_FIRST_FREE, _FIRST_FREE))


def _answer(asked: dict[str, Any]) -> dict[str, Any]:
    _bound_process()
    connection = locked_connection(Path(asked["folder"]), asked["room"], asked["sql"], asked["people_min"])
    json.dumps(
        values_of(connection.sql("SELECT now() AS a, [1] AS b").to_arrow_table())
    )  # what is loaded late is loaded now
    _shut_process()
    rows_max = asked["rows"]
    try:
        relation = connection.sql(asked["sql"])
        table = None if relation is None else relation.limit(rows_max + 1).to_arrow_table()
        rows = [] if table is None else values_of(table.slice(0, rows_max))
    except (duckdb.Error, pa.ArrowException, MemoryError, OverflowError, ValueError) as error:
        reason = " ".join(str(error).split())[:_REASON_CHARACTERS_MAX]
        raise QuestionError(reason or "It takes more memory than a question may.") from error
    if table is None:
        raise QuestionError("It has no answer.")
    columns = [{"name": field.name, "type": str(field.type)} for field in table.schema]
    return {"columns": columns, "rows": rows, "is_cut": table.num_rows > rows_max}


def main() -> None:
    """Answer what is asked on standard input."""
    try:
        answer = _answer(json.loads(sys.stdin.buffer.read()))
        told = json.dumps(answer, ensure_ascii=True, allow_nan=False)
        if len(told) > BYTES_MAX:
            raise QuestionError(f"The answer has more than {BYTES_MAX // 2**20} MiB: ask for less.")
    except QuestionError as error:
        told = json.dumps({"reason": str(error)})
    except ChatsyncError as error:
        told = json.dumps({"failure": error.code})
    except MemoryError:
        told = json.dumps({"reason": "The room is too large to be asked here: use chatsync sql beside the archive."})
    sys.stdout.write(told)
    sys.stdout.flush()
    os._exit(0)  # no end of a library needs a file now


if __name__ == "__main__":
    main()
