"""Folders of every older schema, written by the program of that time (``folders/make.py``), and folders of a newer one."""

from __future__ import annotations

import json
import sqlite3
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from chatsync.errors import SettingsError
from chatsync.instants import DAY_US, SECOND_US, Range
from chatsync.replay.broadcasts import Broadcast
from chatsync.store.catalog import SCHEMA_VERSION
from chatsync.store.opening import Store, open_store
from chatsync.store.parquet import sha256_of
from chatsync.store.recall import Recall
from chatsync.store.rows import COLUMNS
from chatsync.store.verifying import verify_store
from tests.builders import BASE_US
from tests.store.deeds import deed, placed, said, tamper

FOLDERS = Path(__file__).parent / "folders"
ALWAYS = Range(-(2**60), 2**60)
TEXTS = [(1, "first"), (3, "why?"), (8, "after the archive was written"), (4, "an hour later")]
"""What everyone sees of the first broadcast, by program time: offset and text."""

older = pytest.mark.parametrize("version", range(1, SCHEMA_VERSION))


@pytest.fixture
def folder(tmp_path: Path, version: int) -> Path:
    """A folder as that version left it."""
    with zipfile.ZipFile(FOLDERS / f"schema-{version}.zip") as packed:
        packed.extractall(tmp_path)
    return tmp_path


@pytest.fixture
def opened(folder: Path) -> Iterator[Store]:
    """The same, opened by this program."""
    with open_store(folder) as store:
        yield store


def _texts(store: Store, broadcast: int = 1, room: str = "math") -> list[tuple[int, str | None]]:
    return [
        (one.offset, one.text) for one in store.query.messages_page(room, broadcast, ALWAYS.start_us, ALWAYS.end_us)
    ]


@older
def test_it_is_what_it_says(folder: Path, version: int) -> None:
    """The folder is of that schema: what follows is not tested on a new one."""
    connection = sqlite3.connect(folder / "chatsync.db")
    assert (version,) == connection.execute("PRAGMA user_version").fetchone()
    connection.close()


@older
def test_nothing_is_lost_or_damaged(folder: Path) -> None:
    """Opened twice, it has this schema, every room its epoch, and ``verify`` finds every row and file whole."""
    for _ in range(2):
        with open_store(folder) as store:
            assert [] == store.journal.open_report
            assert [(SCHEMA_VERSION,)] == store.journal.read("PRAGMA user_version")
            assert [(1, 8), (1, 1)] == [(head.epoch, head.offset) for head in map(store.journal.head, ("math", "art"))]
            found = verify_store(store)
            assert ([], [], 9) == (found["damaged"], found["lost"], found["rows"])


@older
def test_what_was_said_is_read(opened: Store) -> None:
    """Every event with its author's name as it was; what is hidden stays so, and comes back with a restore."""
    events = opened.journal.events_between("math", 1, ALWAYS.start_us, ALWAYS.end_us, include_hidden=True)
    names = {event.offset: event.author and event.author.name for event in events}
    assert {1: "Ann", 2: "Ann", 3: "Ann", 4: "Bob", 6: "Max", 7: "Ann", 8: "Ann"} == names
    assert (TEXTS, [(5, "the next day")], [(1, "elsewhere")]) == (
        _texts(opened),
        _texts(opened, broadcast=2),
        _texts(opened, room="art"),
    )
    assert (2,) == said(opened, deed("r", "restored", target=2))[0].affected
    assert (2, "rude words") in _texts(opened)


@older
def test_an_id_that_was_used_is_known(opened: Store) -> None:
    """Who sends again after the update gets the event of before."""
    assert [(1, True)] == [(one.event.offset, one.duplicate) for one in said(opened, placed("a", 1, "first"))]


@older
def test_what_stands_beside_is_read(opened: Store) -> None:
    """Rooms, recordings, broadcasts, media, reloads, gaps, slices."""
    known = opened.catalog
    assert {"math": {"title": "Maths"}} == known.rooms()
    assert {"talk": {"spans": [1]}} == known.recordings("math")
    (lecture,) = map(Broadcast.from_record, known.broadcast_records("math", last=-1))
    assert (1, True, "ended", BASE_US) == (lecture.number, lecture.is_closed, lecture.closed_reason, lecture.start_us)
    assert [0, 1, 2] == [one.media_sequence for one in known.timeline("math").segments(1)]
    (reload,) = known.observation_rows("math", 1)
    assert ("math", 1, BASE_US + 8 * SECOND_US, 5, "advance", 1, 2, 0, BASE_US + 6 * SECOND_US, 0) == reload
    assert [(Range(BASE_US + 20 * SECOND_US, BASE_US + 30 * SECOND_US), "gap")] == known.gaps("math", 1)
    (row,), removed, listed = known.slices("math", 1)
    assert (2, {}, 4) == (row.revision, removed, listed)
    assert row.size_bytes == len(opened.files.read_slice("math", row, public=True))


@older
def test_archive_files_of_then_are_read(opened: Store) -> None:
    """As they lie there: by readers of what was archived, and as rows that have left the journal."""
    files = {file.path: file for file in opened.catalog.archive_files("math")}
    assert {1} == {file.generation for file in files.values()}

    def work(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM dirty_hours")
        connection.execute("UPDATE archive_files SET pruned = 1 WHERE tree = 'events'")

    opened.writer.call(work).result()
    plan = opened.query.plan("math", 1, Range(BASE_US, BASE_US + 2 * 3600 * SECOND_US))
    assert ((), 2) == (plan.journal, len(plan.files))
    archived = [one for one in TEXTS if one[0] != 8]  # which came later
    assert archived == [(one.offset, one.text) for one in opened.query.read(plan)]
    rows = Recall(opened.files, opened.catalog).rows_between("math", 1, ALWAYS)
    offset, text = (COLUMNS.index(name) for name in ("offset", "text"))
    assert sorted(archived) == sorted((row[offset], row[text]) for row in rows)


@older
def test_its_archive_goes_on(opened: Store) -> None:
    """Every hour is written anew once, with an index of its authors; quiet hours are merged; nothing is said twice."""
    assert 5 == opened.archive.archive_now("math") + opened.archive.archive_now("art")
    assert {2} == {file.generation for file in opened.catalog.archive_files()}
    assert TEXTS == _texts(opened)
    assert len(opened.catalog.author_indexes("math")) >= 3
    opened.archive.merge_quiet(wall_us=BASE_US + 3 * DAY_US)
    assert TEXTS == _texts(opened)
    assert [] == verify_store(opened)["damaged"]
    listed = json.loads((opened.files.root / "archive/manifest/math.json").read_bytes())["files"]
    assert sorted(file["path"] for file in listed) == sorted(
        opened.files.relative(path) for path in opened.files.archive.glob("*/room=math/*/*.parquet")
    )


def test_an_archive_file_is_read_by_the_names_of_its_columns(store: Store) -> None:
    """In whatever order they stand, with plain strings for dictionaries, and with columns that nobody knows yet."""
    said(store, placed("a", 1, "first"), placed("b", 2, "second"))
    store.archive.archive_now()
    (file,) = store.catalog.archive_files("math")
    path = store.files.root / file.path
    table = pq.ParquetFile(path).read()
    plain = {
        name: table[name].cast(pa.string()) if pa.types.is_dictionary(table[name].type) else table[name]
        for name in reversed(table.column_names)
    }
    pq.write_table(pa.table({"later": pa.array([1, 2]), **plain}), path)
    values = (sha256_of(path), path.stat().st_size, file.path)

    def work(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE archive_files SET sha256 = ?, size_bytes = ?, pruned = 1 WHERE path = ?", values)

    store.writer.call(work).result()
    assert [(1, "first"), (2, "second")] == _texts(store)
    rows = Recall(store.files, store.catalog).rows_between("math", 1, ALWAYS)
    assert ["first", "second"] == [row[COLUMNS.index("text")] for row in rows]


def test_a_newer_folder_is_refused_and_left_alone(tmp_path: Path) -> None:
    """Whoever goes back to an older program is told what to do, and finds nothing changed when they come forward again."""
    with open_store(tmp_path) as store:
        said(store, placed("a", 1))
    tamper(tmp_path, "DROP TABLE effects")  # a newer program may have no use for it
    tamper(tmp_path, "PRAGMA user_version = 999")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.suffix in {".db", ""} and path.is_file()}
    expected = f"The data folder has schema 999, and this chatsync knows {SCHEMA_VERSION}: run a newer one."
    for _ in range(2):
        with pytest.raises(SettingsError) as refused, open_store(tmp_path):
            pass
        assert expected == str(refused.value)
    assert before == {path: path.read_bytes() for path in before}
