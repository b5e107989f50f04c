"""The archive is readable meanwhile: while hours are written anew, DuckDB, Polars and pandas read what the journal held at a moment."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pytest

from chatsync.instants import DAY_US
from chatsync.store.opening import Store, open_store
from tests.builders import BASE_US
from tests.store.deeds import deed, placed, said

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "storage.md").read_text()
ROUNDS = 15
ROOM = "math-101"
HOUR_S = 3600.0

Row = tuple[str, int, int, str, int, str]
Rows = set[Row]
"""Room, broadcast, offset, kind, program time in µs, text of each row."""

_COLUMNS = ["room", "broadcast", "offset", "kind", "program_us", "text"]


def _by_duckdb(source: list[str] | str) -> list[Row]:
    told = "hive_partitioning = true, hive_types = {'room': VARCHAR, 'broadcast': INTEGER}"
    wanted = ", ".join("epoch_us(program_us)" if name == "program_us" else f'"{name}"' for name in _COLUMNS)
    return duckdb.connect().execute(f"SELECT {wanted} FROM read_parquet(?, {told})", [source]).fetchall()


def _by_polars(source: list[str] | str) -> list[Row]:
    frame = pl.read_parquet(source, columns=_COLUMNS)
    return frame.with_columns(pl.col("program_us").dt.timestamp("us"), pl.col("room", "kind").cast(pl.String)).rows()


def _by_pandas(source: list[str] | str) -> list[Row]:
    folder = source.partition("/*")[0] if isinstance(source, str) else source  # it knows no globs
    frame = pd.read_parquet(folder, partitioning=None, columns=_COLUMNS)
    return [(*row[:4], row[4].value // 1_000, row[5]) for row in frame.itertuples(index=False, name=None)]


readers = pytest.mark.parametrize("read", [_by_duckdb, _by_polars, _by_pandas], ids=["duckdb", "polars", "pandas"])


class Writing:
    """Hours that are changed and written anew, round by round.

    Attributes:
        states: what everyone may see, by room, as the archive had it after each round; the last one may be under way.
        done: how many rounds are archived.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.states: list[dict[str, Rows]] = []
        self.done = 0

    def round(self) -> None:
        """Say something in three hours of two broadcasts and two rooms, hide something, archive; now and then merge hours."""
        number = len(self.states)
        drafts = [
            placed(
                f"{room}-{number}-{hour}", hour * HOUR_S + number, f"no. {number}", broadcast=1 + hour // 2, room=room
            )
            for room in (ROOM, "42")
            for hour in range(3)
        ]
        appended = said(self.store, *drafts)
        hidden = appended[number % 3].event.offset
        said(self.store, deed(f"h-{number}", "hidden", target=hidden, room=ROOM))
        self.states.append({room: self._rows(room) for room in (ROOM, "42")})
        self.store.archive.archive_now()
        self.done += 1
        if number % 4 == 3:
            self.store.archive.merge_quiet(wall_us=BASE_US + 3 * DAY_US)

    def _rows(self, room: str) -> Rows:
        found = [
            event
            for broadcast in (1, 2)
            for event in self.store.journal.events_between(room, broadcast, -(2**60), 2**60, public_only=True)
        ]
        return {(room, one.stamp.broadcast, one.offset, one.kind, one.stamp.program_us, str(one.text)) for one in found}


@contextmanager
def _written_meanwhile(folder: Path) -> Iterator[tuple[Writing, threading.Thread]]:
    """A folder whose hours are written anew in another thread, after a first round."""
    failed: list[BaseException] = []
    with open_store(folder) as store:
        writing = Writing(store)
        writing.round()

        def run() -> None:
            try:
                while writing.done < ROUNDS:
                    writing.round()
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield writing, thread
        finally:
            thread.join()
    assert [] == failed


@pytest.fixture(scope="module")
def documented() -> dict[str, Any]:
    """What docs/storage.md tells to do."""
    names: dict[str, Any] = {}
    exec(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0], names)
    return names


@readers
def test_by_the_manifest_it_is_exactly_one_moment(
    tmp_path: Path, documented: dict[str, Any], read: Callable[[list[str]], list[Row]]
) -> None:
    """Every answer is what the journal held at a moment between asking and answer: no row less, none twice, none that was hidden."""
    answers = 0
    with _written_meanwhile(tmp_path) as (writing, thread):
        is_last = False
        while not is_last:
            is_last = not thread.is_alive()
            first = writing.done - 1
            found = documented["read_archive"](tmp_path, ROOM, read)
            assert len(found) == len(set(found))
            assert set(found) in [state[ROOM] for state in writing.states[first:]]
            answers += 1
    assert answers > 1
    assert ROUNDS * 3 - ROUNDS == len(found)


@readers
def test_by_a_glob_nothing_is_missing(tmp_path: Path, read: Callable[[str], list[Row]]) -> None:
    """All rooms at once: what stood there all the while is found, once or twice; nothing is that did not stand there at some moment."""
    source = f"{tmp_path}/archive/events/*/*/*.parquet"
    with _written_meanwhile(tmp_path) as (writing, thread):
        is_last = False
        while not is_last:
            is_last = not thread.is_alive()
            first = writing.done - 1
            try:
                found = set(read(source))
            except (OSError, duckdb.IOException):
                continue  # a file was replaced before it was read: ask again
            states = [state[ROOM] | state["42"] for state in writing.states[first:]]
            assert set.intersection(*states) <= found <= set.union(*states)
    assert found == states[-1]


def test_asking_again_ends(tmp_path: Path, documented: dict[str, Any]) -> None:
    """A file that is replaced between the manifest and the reader is looked for anew, as often as that happens and not once more."""
    asked: list[list[str]] = []
    with open_store(tmp_path) as store:
        writing = Writing(store)
        writing.round()

        def read(files: list[str]) -> list[Row]:
            asked.append(files)
            if len(asked) < 4:
                writing.round()
            return _by_duckdb(files)

        found = documented["read_archive"](tmp_path, ROOM, read)
        assert (4, writing.states[-1][ROOM]) == (len(asked), set(found))


@readers
def test_a_file_that_is_lost_is_told(
    tmp_path: Path, documented: dict[str, Any], read: Callable[[list[str]], list[Row]]
) -> None:
    """Where nothing was replaced nothing is asked again: a missing file is an error, not an endless search or a short answer."""
    with open_store(tmp_path) as store:
        Writing(store).round()
        (tmp_path / store.catalog.archive_files(ROOM)[1].path).unlink()
        with pytest.raises((OSError, duckdb.IOException)):
            documented["read_archive"](tmp_path, ROOM, read)
