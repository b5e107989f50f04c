"""Erasing a person whose rows moved from page to page: nothing of them is left in the unused bytes of a database either."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from chatsync.errors import ErasureIncompleteError, StorageFullError
from chatsync.instants import HOUR_US
from chatsync.store import erasing
from chatsync.store.erasing import Eraser, erase_store
from chatsync.store.opening import Store, open_store
from chatsync.store.slack import rebuild
from chatsync.store.writer import opened
from tests.builders import BASE_US, author
from tests.store.deeds import deed, placed, said, tamper

ANN, BOB, CAM = author("Annabel"), author("Bob"), author("Cam")
WORDS, RARE = "Annabel alone would say so. ", "no row of this one ever moved"
NOW_US = BASE_US + 5 * HOUR_US


def _fill(store: Store) -> None:
    """Rooms that are written to in turns, so that SQLite moves rows to make room between others; Ann speaks in one of them.

    How long a row is depends on its salt. In twenty fillings, the words of 4 to 15 rows lay where rows had been before.
    """
    chance = random.Random(0)
    drafts = []
    for n in range(3_000):
        room = chance.choice(("art", "latin", "math", "music", "physics"))
        is_hers = room == "math"
        text = (WORDS if is_hers else "Everybody says that. ") * chance.randrange(10, 60)
        drafts.append(placed(f"m{n}", n, text, room=room, author=ANN if is_hers else BOB))
    for first in range(0, len(drafts), 500):
        said(store, *drafts[first : first + 500])
    said(store, placed("last", 3_000, RARE, author=CAM))


def _erase(store: Store, key: str = ANN.key) -> dict[str, Any]:
    return erase_store(store, "math", key, wall_us=NOW_US)


def _databases_with(folder: Path, piece: str) -> list[str]:
    """Databases and logs that hold a piece of a word anywhere. For a folder that no other process looks into."""
    return sorted(path.name for path in folder.glob("*.db*") if piece.encode() in path.read_bytes())


def _watched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the databases that are made anew, as they are."""
    seen: list[str] = []

    def made_anew(path: Path) -> None:
        seen.append(path.name)
        rebuild(path)

    monkeypatch.setattr(erasing, "rebuild", made_anew)
    return seen


def test_what_rows_left_where_they_were_before_is_gone(tmp_path: Path) -> None:
    """Not four letters of what they said are anywhere in the databases, and all that others said is there."""
    with open_store(tmp_path) as store:
        _fill(store)
        before = store.journal.head("math").offset
        assert 0 == _erase(store)["left"]
        assert [] == _databases_with(tmp_path, "alon")
        assert before + 1 == store.journal.verify("math")
        assert 500 < len([one for one in store.journal.events_after("art", 0, 5_000) if one.text])


def test_without_making_them_anew_words_would_be_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So it is not for nothing: the rows are blank, and words lie where some of them were before."""
    monkeypatch.setattr(erasing, "rebuild", lambda _: None)
    with open_store(tmp_path) as store:
        _fill(store)
        with suppress(ErasureIncompleteError):  # it depends on how much of a text is there
            _erase(store)
        assert [] == [row for row in store.journal.events_after("math", 0, 5_000) if row.text and WORDS in row.text]
        assert ["chatsync.db"] == _databases_with(tmp_path, WORDS)


def test_a_large_database_is_made_anew_for_who_left_something(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It costs 0.7 s for 100 MB, in which nobody's message is acked: it is looked first whether anything lies there."""
    monkeypatch.setattr(erasing, "SMALL_BYTES", 0)
    anew = _watched(monkeypatch)
    with open_store(tmp_path) as store:
        _fill(store)
        assert 0 == _erase(store, CAM.key)["left"]
        assert [] == anew
        assert 0 == _erase(store)["left"]
        assert ["chatsync.db"] == anew
        assert [] == _databases_with(tmp_path, "alon")


def test_a_large_database_is_made_anew_where_words_are_not_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a moderator hid before may have left something too, and its words are not in the journal any more."""
    monkeypatch.setattr(erasing, "SMALL_BYTES", 0)
    anew = _watched(monkeypatch)
    with open_store(tmp_path) as store:
        _fill(store)
        said(store, deed("h", "hidden", details={"author": ANN.key}))
        assert 0 == _erase(store)["left"]
        assert "chatsync.db" in anew
        assert [] == _databases_with(tmp_path, "alon")


def _full(_: Path) -> None:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    raise error


@pytest.mark.parametrize("small_bytes", [0, 1 << 30])
def test_a_disk_that_is_full_for_it_leaves_the_erasure_on_the_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_bytes: int
) -> None:
    """The writer goes on, and the next process makes them anew, though it no longer knows the words."""
    monkeypatch.setattr(erasing, "SMALL_BYTES", small_bytes)
    with monkeypatch.context() as patch, open_store(tmp_path) as store:
        _fill(store)
        patch.setattr(erasing, "rebuild", _full)
        with pytest.raises(StorageFullError):
            _erase(store)
        said(store, placed("after", 3_001, "and they went on", author=BOB))
    with open_store(tmp_path) as store:
        assert 1 == Eraser(store).finish_all(wall_us=NOW_US)
        assert [] == _databases_with(tmp_path, "alon")


def test_what_else_is_in_the_way_does_not_make_them_anew_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An erasure that cannot be done for another reason is tried again every ten minutes, without all that writing."""
    with open_store(tmp_path) as store:
        _fill(store)
        eraser = Eraser(store)
        found = eraser.find("math", ANN.key)
        _erase(store)
        tamper(tmp_path, "CREATE TABLE stray (words TEXT)")
        tamper(tmp_path, "INSERT INTO stray VALUES (?)", max(found.texts, key=len))
        anew = _watched(monkeypatch)
        for _ in range(2):
            with pytest.raises(ErasureIncompleteError):
                eraser.finish("math", ANN.key, found, wall_us=NOW_US)
        assert ["identity.db", "moderation.db", "chatsync.db"] == anew


def test_a_backup_that_holds_the_log_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was blanked is still in the database, behind a log that cannot be emptied: no receipt until it is."""
    monkeypatch.setattr(erasing, "_LOG_TRIES", 1)
    with open_store(tmp_path) as store:
        _fill(store)
        with closing(opened(tmp_path / "chatsync.db", read_only=True)) as backup:
            backup.execute("BEGIN")
            backup.execute("SELECT count(*) FROM journal").fetchone()
            with pytest.raises(ErasureIncompleteError) as caught:
                _erase(store)
            assert ["chatsync.db-wal"] == caught.value.left
            backup.execute("ROLLBACK")
        assert 1 == Eraser(store).finish_all(wall_us=NOW_US)
        assert [] == _databases_with(tmp_path, "alon")


_LOOK = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); print(c.execute('SELECT count(*) FROM journal').fetchone()[0]); c.close()"


def test_a_command_beside_a_relay_that_erased_leaves_its_log(tmp_path: Path) -> None:
    """Looking for what is left must not take the locks of who serves the folder: the next one to leave would delete the log."""

    def counted() -> int:
        look = subprocess.run([sys.executable, "-c", _LOOK, tmp_path / "chatsync.db"], check=True, capture_output=True)
        return int(look.stdout)

    with open_store(tmp_path) as store:
        said(store, placed("a", 1, WORDS, author=ANN))
        _erase(store)
        said(store, placed("b", 2, author=BOB))
        assert 3 == counted()
        said(store, placed("c", 3, author=BOB))
        assert 4 == counted()
