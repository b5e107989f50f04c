"""An analyst's question reaches the room's public rows and nothing else: no foreign byte is read, no file is written, the relay goes on.

Words that must not come out are planted in another room, in what is hidden and private, among names, in files and in the environment. More than a hundred
hostile statements are asked of a connection that is locked as the relay's child locks it; those that only limits of a process can stop, and one of each kind,
go through the relay over HTTP. Source: security-and-privacy §5; decision 0058.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from chatsync.analysis.answers import values_of
from chatsync.analysis.locked import locked_connection
from chatsync.analysis.opened import SHOWN
from chatsync.analysis.statements import checked_question
from chatsync.errors import QuestionError, TooFewPeopleError
from chatsync.service.room_settings import RoomSettings
from chatsync.store.opening import Store, open_store
from tests.builders import author
from tests.service.test_exporting import ROOM
from tests.stage import Stage, stage
from tests.store.deeds import deed, placed, said

CANARY = "zebrafinch-9c1f"
EVERY_VIEW = "/* " + " ".join(SHOWN) + " */"  # names them all, so that all are there to be attacked

READERS = (
    *("read_csv", "read_csv_auto", "sniff_csv", "read_text", "read_blob", "read_json", "read_json_auto", "read_ndjson"),
    *(
        "read_json_objects",
        "read_parquet",
        "parquet_scan",
        "parquet_metadata",
        "parquet_schema",
        "parquet_file_metadata",
        "glob",
    ),
)
TARGETS = (
    "{secret}",
    "{parquet}",
    "{identity}",
    "/etc/passwd",
    "/proc/self/environ",
    "https://127.0.0.1:1/x.csv",
    "s3://bucket/x.parquet",
)
READS = tuple(f"SELECT * FROM {reader}('{target}')" for reader in READERS for target in TARGETS)

DEEDS = (
    "ATTACH '{database}' AS other",
    "ATTACH '{database}' AS other (TYPE sqlite, READ_ONLY)",
    "COPY (SELECT 1) TO '{out}'",
    "COPY messages TO '{out}' (FORMAT parquet)",
    "COPY messages FROM '{secret}'",
    "EXPORT DATABASE '{out}'",
    "IMPORT DATABASE '{out}'",
    "INSTALL httpfs",
    "INSTALL sqlite FROM 'http://127.0.0.1:1'",
    "LOAD sqlite",
    "LOAD '{secret}'",
    "SET enable_external_access = true",
    "SET lock_configuration = false",
    "SET allowed_directories = ['/']",
    "SET temp_directory = '{out}'",
    "SET log_query_path = '{out}'",
    "SET GLOBAL enable_external_access = true",
    "RESET enable_external_access",
    "RESET ALL",
    "PRAGMA enable_profiling = 'json'",
    "PRAGMA profiling_output = '{out}'",
    "PRAGMA database_list",
    "CALL pragma_database_list()",
    "CREATE SECRET s (TYPE s3, KEY_ID 'x', SECRET 'y')",
    "CREATE TABLE x AS SELECT * FROM read_text('{secret}')",
    "CREATE MACRO m() AS TABLE SELECT * FROM read_text('{secret}')",
    "CREATE VIEW v AS SELECT * FROM read_text('{secret}')",
    "INSERT INTO messages SELECT * FROM messages",
    "UPDATE messages SET text = 'x'",
    "DELETE FROM messages",
    "DROP TABLE messages",
    "TRUNCATE messages",
    "ALTER TABLE messages ADD COLUMN x INTEGER",
    "VACUUM",
    "CHECKPOINT",
    "DETACH memory",
    "USE memory",
    "BEGIN TRANSACTION",
    "PREPARE p AS SELECT * FROM read_text('{secret}')",
    "EXECUTE p",
    "SET VARIABLE events_files = ['{parquet}']",
    "SELECT 1; COPY (SELECT 1) TO '{out}'",
    "SELECT 1;;SELECT 2",
    "/* SELECT */ COPY (SELECT 1) TO '{out}'",
    "-- asks\nDROP TABLE messages",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{out}'",
    "explain /**/ analyze select 1; drop table messages",
    "\ufeffDROP TABLE messages",
    "",
    " ",
    ";",
    "SELECT",
)

TRICKS = (
    "SELECT * FROM '{secret}'",
    "SELECT * FROM '{parquet}'",
    'SELECT * FROM "{parquet}"',
    "FROM '{secret}'",
    "FROM query('SELECT * FROM read_text(''{secret}'')')",
    "FROM query_table('{secret}')",
    "SELECT * FROM query('FROM staff')",
    "FROM staff",
    "FROM main.staff",
    "FROM memory.main.staff",
    "FROM events_tail",
    "FROM staff_tail",
    "FROM recording_spans",
    "FROM copied",
    "SELECT getvariable('events_files')",
    "SELECT getvariable('staff_files')",
    "SELECT getenv('{env}')",
    "SELECT current_setting('home_directory')",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM duckdb_databases()",
    "SELECT * FROM duckdb_temporary_files()",
    "SELECT * FROM duckdb_extensions()",
    "SELECT * FROM duckdb_logs",
    "SELECT sql FROM duckdb_views()",
    "SELECT * FROM which_secret('s3://x', 's3')",
    "SELECT * FROM pragma_storage_info('messages')",
    "SELECT * FROM messages WHERE room <> 'class'",
    "SELECT * FROM messages WHERE room = 'art' OR 1 = 1",
    "SELECT * FROM messages UNION ALL SELECT * FROM messages",
    "SELECT text FROM events",
    "SELECT * FROM questions",
    "SELECT * FROM viewers",
    "SELECT (SELECT content FROM read_text('{secret}'))",
    "SELECT * FROM messages, read_text('{secret}')",
    "WITH x AS (SELECT * FROM read_text('{secret}')) SELECT * FROM x",
    "WITH RECURSIVE x AS (SELECT * FROM read_blob('{secret}') UNION SELECT * FROM x) SELECT * FROM x",
    "SELECT * FROM read_csv(['{secret}', '{secret}'])",
    "SELECT * FROM read_text('{folder}/**')",
    "SELECT * FROM iceberg_scan('{secret}')",
    "SELECT * FROM sqlite_scan('{database}', 'journal')",
    "SELECT * FROM postgres_scan('host=127.0.0.1', 'a', 'b')",
    "SELECT * FROM st_read('{secret}')",
    "SELECT write_log('x')",
    "SELECT * FROM python_object",
    "SELECT * FROM table",
    "SELECT * FROM archive",
    "SELECT lambda x: getenv(x)",
    "SELECT * FROM test_all_types()",
    "VALUES ((SELECT max(text) FROM messages))",
)

HEAVY = (
    "SELECT count(*) FROM range(100000000000) a, range(1000) b",
    "SELECT list(a.range) FROM range(100000000) a, range(1000) b",
    "SELECT repeat('x', 4000000000) || repeat('y', 4000000000)",
    "WITH RECURSIVE x(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM x) SELECT count(*) FROM x",
    "SELECT sum(length(regexp_replace(repeat('a', 100000 + range % 9), '(a*)*b', ''))) FROM range(1000000)",
)


def _plant(store: Store) -> None:
    """Words of others, of what is hidden, of what is private, and of names."""
    said(
        store,
        placed("a", 0, "hello", room=ROOM),
        placed("h", 1, f"hidden {CANARY}", room=ROOM),
        deed("d", "hidden", target=2, room=ROOM),
    )
    said(store, placed("p", 2, f"private {CANARY}", room=ROOM, details={"to": ["host"]}))
    said(store, placed("x", 0, f"of another room {CANARY}", room="art"))
    store.archive.archive_now()


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A folder with canaries in it and around it; what statements are filled in with."""
    parent = tmp_path_factory.mktemp("planted")
    with open_store(parent / "data") as store:
        _plant(store)
    (parent / "secret.csv").write_text(f"word\n{CANARY}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHATSYNC_CANARY", CANARY)
        yield {
            "secret": str(parent / "secret.csv"),
            "parquet": str(next((parent / "data" / "archive" / "events" / "room=art").rglob("*.parquet"))),
            "identity": str(parent / "data" / "identity.db"),
            "database": str(parent / "data" / "chatsync.db"),
            "folder": str(parent / "data"),
            "out": str(parent / "out"),
            "env": "CHATSYNC_CANARY",
        }


@pytest.fixture(scope="module")
def locked(planted: dict[str, str]) -> Any:
    """One connection with every view of the room, locked."""
    return locked_connection(Path(planted["folder"]), ROOM, f"SELECT 1 {EVERY_VIEW}")


def _tree(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def _filled(statement: str, planted: dict[str, str]) -> str:
    for name, value in planted.items():
        statement = statement.replace(f"{{{name}}}", value)
    return statement


def test_there_are_more_than_a_hundred_hostile_statements() -> None:
    """As many as were promised, and none twice."""
    every = {*READS, *DEEDS, *TRICKS, *HEAVY}
    assert len(READS) + len(DEEDS) + len(TRICKS) + len(HEAVY) == len(every) >= 200


def test_no_statement_reads_a_foreign_byte_or_writes_a_file(planted: dict[str, str], locked: Any) -> None:
    """Each is refused or answered from the room's public rows alone; before and after it every file is what it was."""
    parent = Path(planted["secret"]).parent
    before = _tree(parent)
    answered = 0
    for statement in (*READS, *DEEDS, *TRICKS):
        sql = _filled(statement, planted)
        try:
            told = json.dumps(values_of(locked.sql(checked_question(locked, sql)).limit(1_000).to_arrow_table()))
            answered += 1
        except (QuestionError, duckdb.Error, AttributeError, OverflowError) as error:
            told = str(error)
        assert CANARY not in told, statement
        assert "root:" not in told, statement
        assert before == _tree(parent), statement
    assert [(1,)] == locked.sql("SELECT count(*) FROM messages WHERE text = 'hello'").fetchall()
    assert answered < 30


@pytest.mark.parametrize("statement", DEEDS)
def test_what_is_no_question_is_refused_before_it_is_run(statement: str, planted: dict[str, str], locked: Any) -> None:
    """Everything that does something, several statements, none: by the parser, whatever the locks would have said."""
    with pytest.raises(QuestionError):
        checked_question(locked, _filled(statement, planted))


def test_airings_of_few_people_are_in_no_view(tmp_path: Path) -> None:
    """An analyst finds those in which enough people wrote, whatever is asked; staff do not count; where none is left there is no answer."""
    with open_store(tmp_path) as store:
        said(store, *(placed(f"a{n}", n, "many", author=author(f"P{n}")) for n in range(3)))
        said(store, *(placed(f"b{n}", n, "two", broadcast=2, author=author(f"P{n % 2}")) for n in range(4)))
        said(store, placed("c", 9, "I too", broadcast=2, author=author("Weber", "host")))
    locked = locked_connection(tmp_path, "math", f"SELECT 1 {EVERY_VIEW}", people_min=3)
    for view in SHOWN:
        assert [] == locked.sql(f"SELECT 1 FROM {view} WHERE broadcast != 1").fetchall(), view
    assert [(3,)] == locked.sql("SELECT count(*) FROM messages").fetchall()
    with pytest.raises(TooFewPeopleError):
        locked_connection(tmp_path, "math", "FROM messages", people_min=4)


async def _asked(it: Stage, sql: str, token: str) -> tuple[int, str]:
    answer = await it.post(f"/v1/rooms/{ROOM}/query", {"sql": sql, "limit": 50}, token)
    return answer.status_code, answer.text


async def test_the_relay_answers_refuses_and_goes_on(tmp_path: Path) -> None:
    """Over HTTP: an answer, refusals with their reasons, who may not, what is hidden, and bombs that only a limit of the process ends."""
    async with stage(tmp_path / "data", {ROOM: {}, "art": {}}) as it:
        await it.say("hello", ROOM)
        hidden = await it.say(f"hidden {CANARY}", ROOM)
        await it.act("hide", ROOM, target=hidden["offset"])
        await it.say(f"of another room {CANARY}", "art")
        host = it.token(ROOM, "teacher", "host")
        before = {path for path in _tree(tmp_path) if not path.endswith(("-wal", "-shm"))}
        status, told = await _asked(it, "SELECT room, text FROM messages", host)
        assert (200, [[ROOM, "hello"]]) == (status, json.loads(told)["rows"])
        assert CANARY not in (await _asked(it, "SELECT * FROM events", host))[1]
        assert 403 == (await _asked(it, "SELECT 1", it.token(ROOM, "ann")))[0]
        status, told = await _asked(it, "SELECT 1", it.token(ROOM, "study", None, ("analyst",)))
        assert (403, "too_few_people") == (status, json.loads(told)["code"])
        await it.hub.put_room(ROOM, RoomSettings(analysts_people_min=1))
        assert 200 == (await _asked(it, "SELECT 1", it.token(ROOM, "study", None, ("analyst",))))[0]
        it.hub.reading.asker.seconds_max = 1.5  # half of it is the start of the process
        for statement in (
            "FROM staff",
            "SELECT * FROM read_text('/etc/passwd')",
            "SET lock_configuration = false",
            *HEAVY,
        ):
            status, told = await _asked(it, statement, host)
            assert (422, "not_a_question") == (status, json.loads(told)["code"]), statement
            assert CANARY not in told
        assert before == {path for path in _tree(tmp_path) if not path.endswith(("-wal", "-shm"))}
        assert await it.say("still here", ROOM)
