"""The unused bytes of a database: what is found there, that it is gone afterwards, and that looking takes nobody's locks."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from chatsync.store.slack import PIECE_BYTES, blocks, has_pieces, pieces_of, rebuild, slack
from chatsync.store.writer import emptied_log, opened

WORDS = "what only Annabel would say"
OTHERS = "something that everybody says. "
_TABLE = "CREATE TABLE said (room TEXT, n INTEGER, text TEXT, PRIMARY KEY (room, n)) WITHOUT ROWID"


def _moved(path: Path) -> None:
    """Make a database in which rows moved from page to page before some of them were blanked."""
    with closing(opened(path)) as connection:
        connection.execute(_TABLE)
        chance = random.Random(0)
        connection.execute("BEGIN")
        for n in range(4_000):
            text = (OTHERS if n % 4 else f"{WORDS} {n:03d} ") * chance.randrange(1, 20)
            connection.execute("INSERT INTO said VALUES (?, ?, ?)", (f"room {chance.randrange(5)}", n, text))
        connection.execute("COMMIT")
        connection.execute("UPDATE said SET text = NULL WHERE n % 4 = 0")
        assert emptied_log(connection, "TRUNCATE")


def _empty_log(path: Path) -> None:
    with closing(opened(path)) as connection:
        assert emptied_log(connection, "TRUNCATE")


def test_words_of_a_row_that_moved_are_found(tmp_path: Path) -> None:
    """They were blanked with secure_delete in every row, and lie in the gaps of pages that the rows were on before."""
    path = tmp_path / "a.db"
    _moved(path)
    assert any(WORDS.encode() in rest for rest in slack(path))
    assert has_pieces(path, pieces_of([WORDS.encode()]))


def test_a_database_made_anew_has_none_of_them(tmp_path: Path) -> None:
    """Nowhere in the file or its log; the rows are all there."""
    path = tmp_path / "a.db"
    _moved(path)
    rebuild(path)
    _empty_log(path)
    assert not any(WORDS.encode()[:8] in one.read_bytes() for one in tmp_path.iterdir())
    with closing(opened(path)) as connection:
        assert [(4_000, 3_000)] == connection.execute("SELECT count(*), count(text) FROM said").fetchall()
        assert [("ok",)] == connection.execute("PRAGMA integrity_check").fetchall()


def test_who_reads_meanwhile_goes_on(tmp_path: Path) -> None:
    """A reader who began before sees what there was, one who begins afterwards sees the same."""
    path = tmp_path / "a.db"
    _moved(path)
    with closing(opened(path, read_only=True)) as before:
        before.execute("BEGIN")
        (count,) = before.execute("SELECT count(*) FROM said").fetchone()
        rebuild(path)
        assert (count,) == before.execute("SELECT count(*) FROM said NOT INDEXED").fetchone()
        before.execute("ROLLBACK")
        _empty_log(path)
        assert (count,) == before.execute("SELECT count(*) FROM said").fetchone()


@pytest.mark.parametrize("page_bytes", [512, 4096, 65_536])
def test_free_blocks_are_looked_at(tmp_path: Path, page_bytes: int) -> None:
    """Where rows were deleted without secure_delete their words are found, whatever the size of a page."""
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA page_size={page_bytes}")
        connection.execute("PRAGMA secure_delete=OFF")
        connection.execute(_TABLE)
        rows = [("math", n, f"{WORDS} {n}") for n in range(3)]
        connection.executemany("INSERT INTO said VALUES (?, ?, ?)", rows)
        connection.execute("DELETE FROM said WHERE n = 1")
    assert any(f"{WORDS} 1".encode() in rest for rest in slack(path))
    assert not any(f"{WORDS} 2".encode() in rest for rest in slack(path))


def test_pieces_of_words_are_found(tmp_path: Path) -> None:
    """What begins or ends in the middle is found from twelve bytes on; others' words are not taken for it; None is anything."""
    path = tmp_path / "a.db"
    _moved(path)
    for text, is_there in ((f"!!{WORDS[4:16]}!!", True), (f"!!{WORDS[4:15]}!!", False), ("of somebody else!", False)):
        assert is_there == has_pieces(path, pieces_of([text.encode()])), text
    assert (True, False) == (has_pieces(path, frozenset(), [b"Anna"]), has_pieces(path, frozenset(), [b"Bert"]))
    assert has_pieces(path, None)


def test_too_many_words_are_not_looked_for() -> None:
    """Of who wrote more than memory should hold, anything may be there."""
    assert pieces_of(os.urandom(1_000) for _ in range(300)) is None
    assert frozenset() == pieces_of([b"x" * (PIECE_BYTES - 1)])


@pytest.mark.parametrize("seed", range(12))
def test_a_damaged_file_is_looked_through(tmp_path: Path, seed: int) -> None:
    """Whatever stands in it: what makes no sense is left out."""
    chance = random.Random(seed)
    path = tmp_path / "a.db"
    if not seed:
        path.write_bytes(b"")
    else:
        _moved(path)
        body = bytearray(path.read_bytes())
        for _ in range(chance.choice((1, 30, 3_000))):
            at = chance.randrange(len(body))
            if chance.random() < 0.5:  # where a page says what is where
                at = at // 4096 * 4096 + chance.randrange(12)
            body[at] = chance.randrange(256)
        path.write_bytes(body[: chance.choice((len(body), 50, 5_000))])
    assert all(rest and len(rest) <= 65_536 for rest in slack(path))


def test_words_across_two_blocks_are_in_one(tmp_path: Path) -> None:
    """A file is read 1 MiB at a time, and a bit more."""
    path = tmp_path / "a.db-wal"
    path.write_bytes(b"-" * ((1 << 20) - 3) + WORDS.encode() + b"-" * 100)
    assert [True, False] == [WORDS.encode() in block for block in blocks(path, overlap=len(WORDS))]


_ANOTHER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
print(connection.execute("SELECT count(*) FROM t").fetchone()[0])
connection.close()
"""


def _counted_by_another_process(path: Path) -> int:
    return int(subprocess.run([sys.executable, "-c", _ANOTHER, path], check=True, capture_output=True).stdout)


def test_looking_takes_nobody_s_locks(tmp_path: Path) -> None:
    """Another process that looks into the folder afterwards leaves the log to who writes it: what is committed then is not lost."""
    path = tmp_path / "a.db"
    with closing(opened(path)) as connection:
        connection.execute("CREATE TABLE t (n INTEGER)")
        assert [] == list(slack(path))
        assert list(blocks(path))
        assert 0 == _counted_by_another_process(path)
        connection.execute("INSERT INTO t VALUES (1)")
        assert 1 == _counted_by_another_process(path)


def test_a_file_that_took_the_place_of_another_is_the_one_that_is_read(tmp_path: Path) -> None:
    """As after a repair: the descriptor that was kept is of the file that is gone."""
    path = tmp_path / "a.db"
    path.write_bytes(b"old")
    assert [b"old"] == list(blocks(path))
    (tmp_path / "new").write_bytes(b"new")
    (tmp_path / "new").replace(path)
    assert [b"new"] == list(blocks(path))
