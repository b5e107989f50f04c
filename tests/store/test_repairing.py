"""`chatsync repair`: what can be made again is as it was; what cannot is told exactly; a second time finds nothing to do."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from chatsync.errors import ChatsyncError, CorruptError
from chatsync.instants import DAY_US, HOUR_US, Range
from chatsync.store import pruning
from chatsync.store.imports import note_imported
from chatsync.store.opening import open_store
from chatsync.store.repairing import Report, repair_folder
from chatsync.store.verifying import verify_folder, verify_store
from tests.builders import BASE_US
from tests.faultkit.full_folder import ALL, OLD, answers, fill
from tests.store.deeds import placed, said, tamper


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A folder with something of everything, and what it answers."""
    base = tmp_path_factory.mktemp("whole")
    fill(base)
    with open_store(base / "closed") as store:
        store.archive.archive_now()
    shutil.copytree(base / "closed", base / "asked")
    with open_store(base / "asked") as store:
        truth = answers(store)
    return base / "closed", truth


@pytest.fixture
def folder(whole: tuple[Path, dict[str, Any]], tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(whole[0], tmp_path / "data"))


def _tampered(folder: Path, *statements: str, file: str = "chatsync.db") -> None:
    """Change rows without the triggers that keep sums: as damage does."""
    connection = sqlite3.connect(folder / file, isolation_level=None)
    triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for name, _ in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    for sql in statements:
        connection.execute(sql)
    for _, sql in triggers:
        connection.execute(sql)
    connection.close()


def _verified(folder: Path) -> dict[str, Any]:
    return verify_folder(folder)


def _file(folder: Path, pattern: str) -> Path:
    return sorted(folder.glob(pattern))[0]


def _cut(folder: Path, pattern: str) -> None:
    path = _file(folder, pattern)
    path.write_bytes(path.read_bytes()[:-9])


def _zero_page_of(folder: Path, name: str, *, of: str, file: str = "chatsync.db") -> None:
    """Zero the last leaf page of a table or index."""
    connection = sqlite3.connect(folder / file)
    (page,) = connection.execute(
        "SELECT max(pageno) FROM dbstat WHERE name = ? AND pagetype = 'leaf'", (of,)
    ).fetchone()
    connection.close()
    with (folder / file).open("r+b") as body:
        body.seek((page - 1) * 4096)
        body.write(bytes(4096))


MENDED: dict[str, Callable[[Path], object]] = {
    "a slice": lambda folder: _cut(folder, "slices/private/art/1/*.json.gz"),
    "a slice that is gone": lambda folder: _file(folder, "slices/private/math/1/*.json.gz").unlink(),
    "an archived file": lambda folder: _cut(folder, "archive/events/room=art/*/*.parquet"),
    "an archived file that is gone": lambda folder: _file(folder, "archive/staff/room=art/*/*.parquet").unlink(),
    "a manifest": lambda folder: _cut(folder, "archive/manifest/math.json"),
    "a manifest that is gone": lambda folder: (folder / "archive/manifest/art.json").unlink(),
    "words of a row": lambda folder: _tampered(
        folder, "UPDATE journal SET text = 'no' WHERE room = 'art' AND offset = 50"
    ),
    "a row": lambda folder: _tampered(folder, "DELETE FROM journal WHERE room = 'art' AND offset = 50"),
    "rows": lambda folder: _tampered(folder, "DELETE FROM journal WHERE room = 'math' AND offset BETWEEN 40 AND 60"),
    "a pin": lambda folder: _tampered(folder, "UPDATE journal SET wall_us = 1 WHERE room = 'art' AND kind = 'pinned'"),
    "ids": lambda folder: _tampered(folder, "DELETE FROM dedupe WHERE room = 'art' AND offset > 100"),
    "who spoke": lambda folder: _tampered(folder, "DELETE FROM spoke WHERE author_key = 'key-p3'"),
    "hours to be written": lambda folder: _tampered(folder, "INSERT INTO dirty_hours VALUES ('art', 7, 0, 1)"),
    "counts of hours": lambda folder: _tampered(folder, "UPDATE hours SET rows = rows + 1 WHERE room = 'art'"),
    "an index": lambda folder: _zero_page_of(folder, "index", of="journal_placed"),
    "the list of archived files": lambda folder: _tampered(folder, "DELETE FROM archive_files WHERE room = 'old'"),
    "a hash of the list": lambda folder: _tampered(folder, "UPDATE archive_files SET sha256 = 'x' WHERE room = 'math'"),
    "the index of authors": lambda folder: _tampered(folder, "DELETE FROM archive_authors"),
    "the list of slices": lambda folder: _tampered(
        folder, "DELETE FROM slices WHERE room = 'art' AND start_ms % 7 > 2"
    ),
    "heads": lambda folder: _cut(folder, "heads"),
}


@pytest.mark.parametrize("what", MENDED)
def test_what_can_be_made_again_is(whole: tuple[Path, dict[str, Any]], folder: Path, what: str) -> None:
    """Verify names the damage, repair mends it, verify finds nothing then, and every answer is as if nothing had been."""
    MENDED[what](folder)
    if what != "heads":  # mended by opening
        assert [] != _verified(folder)["damaged"]
    report = repair_folder(folder)
    assert [] == report.left
    assert [] == [one.what for one in report.lost if what != "heads"]
    assert [] == _verified(folder)["damaged"]
    assert Report(repaired=[], lost=[], left=[]) == repair_folder(folder)
    with open_store(folder) as store:
        found = answers(store)
    differ = {name for name, answer in whole[1].items() if answer != found[name]}
    named = {"files", "authors", "plan", "dirty", "playlist"}  # these say which files there are, of a newer generation
    assert set() == {name for name in differ if name.partition(" ")[2] not in named}
    assert [] == [name for name, answer in found.items() if isinstance(answer, ChatsyncError)]


@pytest.mark.parametrize("what", ["a slice", "an archived file", "a row", "ids", "the list of slices", "a manifest"])
def test_a_dry_run_changes_nothing(folder: Path, what: str) -> None:
    """It says what would be done, and verify finds the same afterwards."""
    MENDED[what](folder)
    before = _verified(folder)["damaged"]
    assert [] != repair_folder(folder, dry_run=True).repaired
    assert before == _verified(folder)["damaged"]


def test_what_nothing_has_is_lost_and_told_exactly(tmp_path: Path) -> None:
    """A row that was never archived: reads that touch it are refused with its range, all others go on, and so does the room."""
    with open_store(tmp_path) as store:
        said(store, *(placed(f"id-{n}", n * 600) for n in range(1, 31)))
    tamper(tmp_path, "UPDATE journal SET text = 'no' WHERE offset IN (8, 9)")
    assert [] != _verified(tmp_path)["damaged"]
    report = repair_folder(tmp_path)
    assert [] == report.left
    assert [("math", 8, 9, 1, BASE_US + HOUR_US)] == [
        (one.room, one.first_offset, one.last_offset, one.broadcast, one.start_us) for one in report.lost
    ]
    with open_store(tmp_path) as store:
        journal = store.journal
        found = verify_store(store)
        assert ([], [8]) == (found["damaged"], [one["first_offset"] for one in found["lost"]])
        with pytest.raises(CorruptError, match="rows 8 to 9 of room math are lost"):
            journal.events_after("math", 0, 100)
        with pytest.raises(CorruptError, match="rows 8 to 9 of room math are lost"):
            journal.event("math", 8)
        with pytest.raises(CorruptError, match="rows 8 to 9 of room math are lost"):
            journal.events_between("math", 1, BASE_US + HOUR_US, BASE_US + HOUR_US + 1)
        assert 5 == len(journal.events_between("math", 1, BASE_US, BASE_US + HOUR_US))
        assert list(range(1, 8)) == [event.offset for event in journal.events_after("math", 0, 7)]
        assert list(range(10, 31)) == [event.offset for event in journal.events_after("math", 9, 100)]
        assert list(range(10, 31)) == [event.offset for event in journal.last_events("math", 100)]
        assert 28 == journal.verify("math")
        (new,) = said(store, placed("new", 1))
        assert (2, 31) == (new.event.epoch, new.event.offset)
        assert [*range(10, 32)] == [event.offset for event in journal.events_after("math", 9, 100)]
    assert Report(repaired=[], lost=[], left=[]) == repair_folder(tmp_path)


def test_an_archived_file_that_was_the_only_copy_is_lost(folder: Path) -> None:
    """What had left the journal is gone with its file: its hours are refused with the range, others answered."""
    _cut(folder, "archive/events/room=old/*/*.parquet")
    report = repair_folder(folder)
    assert ([], [(OLD, 1)]) == (report.left, [(one.room, one.first_offset) for one in report.lost])
    with open_store(folder) as store:
        assert [] == verify_store(store)["damaged"]
        with pytest.raises(CorruptError, match="of room old are lost"):
            store.query.read(store.query.plan(OLD, 1, ALL))
        later = Range(BASE_US + 2 * HOUR_US, ALL.end_us)
        assert [] == store.query.read(store.query.plan(OLD, 1, later))
        assert [] != store.journal.last_events(OLD, 5)
    assert 1 == len([path for path in (folder / "quarantine").iterdir() if path.name.endswith(".parquet.1")])
    assert Report(repaired=[], lost=[], left=[]) == repair_folder(folder)


@pytest.mark.parametrize("file", ["identity.db", "moderation.db"])
@pytest.mark.parametrize("damage", ["zeroed", "tampered"])
def test_names_and_hidden_words_that_are_gone_are_told(folder: Path, file: str, damage: str) -> None:
    """The relay can start again, without them; the rest is answered."""
    if damage == "zeroed":
        (folder / file).write_bytes(bytes((folder / file).stat().st_size))
    elif file == "identity.db":
        _tampered(folder, "UPDATE names SET name = 'Eve' WHERE author_key = 'key-p3' AND room = 'art'", file=file)
    else:
        _tampered(folder, "UPDATE hidden_text SET text = 'no' WHERE offset = 7", file=file)
    report = repair_folder(folder)
    assert ([], True) == (report.left, len(report.lost) > 0)
    assert [] == _verified(folder)["damaged"]
    with open_store(folder) as store:
        assert [] == [name for name, answer in answers(store).items() if isinstance(answer, ChatsyncError)]
    assert Report(repaired=[], lost=[], left=[]) == repair_folder(folder)


def test_a_database_with_a_hole_is_written_anew(whole: tuple[Path, dict[str, Any]], folder: Path) -> None:
    """A page of the journal itself is zeroed: its rows come back from the archive, and nothing else changes."""
    _zero_page_of(folder, "table", of="journal")
    assert [] != _verified(folder)["damaged"]
    report = repair_folder(folder)
    assert [] == report.left
    assert [] == _verified(folder)["damaged"]
    assert any("written anew" in line for line in report.repaired)


def test_what_only_a_backup_has_is_left_unless_it_is_believed(folder: Path) -> None:
    """A recording's map has no copy: it is named, and refused, until somebody takes it as it stands."""
    _tampered(folder, "UPDATE recordings SET record = '{}' WHERE room = 'art'")
    report = repair_folder(folder)
    assert ["recordings"] == [line.partition(" ")[0] for line in report.left]
    believed = repair_folder(folder, believe=True)
    assert ([], 1) == (believed.left, len(believed.lost))
    assert [] == _verified(folder)["damaged"]


def _with_imported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """A room of lines from a file, most of which have left the journal, one hidden line that nothing else has, and one said live; its ids."""
    monkeypatch.setattr(pruning, "KEPT_EVENTS", 2)
    with open_store(folder) as store:
        said(store, *(placed(f"id-{n}", n, source="import:csv") for n in range(1, 9)), placed("live", 9))
        rows = [("math", f"id-{n}", 1, n) for n in range(1, 9)] + [("math", "gone", 1, 400), ("art", "other", 2, 3)]
        store.writer.call(lambda connection: note_imported(connection, rows)).result()
        store.archive.archive_now()
        for name, value in (("settled_offset", 9), ("sealed_until_us.1", BASE_US + HOUR_US)):
            store.writer.call(partial(store.catalog.put_mark, room="math", name=name, value=value)).result()
        assert pruning.prune(store, "math", wall_us=BASE_US + 2 * DAY_US)
        return sorted(store.journal.read("SELECT * FROM imported"))


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM imported WHERE offset < 9 AND room = 'math'",
        "UPDATE imported SET id = 'no', offset = offset + 1 WHERE offset = 3 AND room = 'math'",
        "UPDATE imported SET offset = 77 WHERE offset = 8",
        "INSERT INTO imported SELECT room, id || 'x', broadcast, offset FROM imported WHERE offset = 8",
    ],
)
def test_ids_of_imported_lines_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    """From the journal, the archive and what is left of them, so that a file imported again adds nothing."""
    before = _with_imported(tmp_path, monkeypatch)
    _tampered(tmp_path, damage)
    assert [] != _verified(tmp_path)["damaged"]
    report = repair_folder(tmp_path)
    assert (["imported was made again"], [], []) == (report.repaired, report.lost, report.left)
    with open_store(tmp_path) as store:
        assert before == sorted(store.journal.read("SELECT * FROM imported"))
    assert Report(repaired=[], lost=[], left=[]) == repair_folder(tmp_path)


def test_ids_that_nothing_has_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a line that was taken away only the table knew."""
    _with_imported(tmp_path, monkeypatch)
    _tampered(tmp_path, "DELETE FROM imported")
    report = repair_folder(tmp_path)
    assert [("art", 2), ("math", 1)] == [(one.room, one.broadcast) for one in report.lost]
    assert all(one.what.startswith("1 ids of lines") for one in report.lost)
    assert [] == _verified(tmp_path)["damaged"]


def test_a_folder_that_is_whole_is_left_alone(folder: Path) -> None:
    """Nothing is repaired, and no file changes."""
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.parquet")}
    assert Report(repaired=[], lost=[], left=[]) == repair_folder(folder)
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*.parquet")}


def test_the_command_tells_and_mends(folder: Path) -> None:
    """`verify` exits 1 and names the file, `repair` says what it did, and `verify` exits 0 afterwards."""

    def command(*words: str) -> tuple[int, dict[str, Any]]:
        done = subprocess.run(
            [sys.executable, "-m", "chatsync", *words, "--data", str(folder), "--json"],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, json.loads(done.stdout.splitlines()[-1])

    name = _file(folder, "slices/private/art/1/*.json.gz").relative_to(folder).as_posix()
    MENDED["a slice"](folder)
    status, told = command("verify")
    assert (1, True) == (status, told["damaged"][0].startswith(name))
    status, told = command("repair", "--dry-run")
    assert (0, [f"{name} would be made again"]) == (status, told["repaired"])
    assert (0, {"repaired": [f"{name} was made again"], "lost": [], "left": [], "dry_run": False}) == command("repair")
    status, told = command("verify")
    assert (0, []) == (status, told["damaged"])
