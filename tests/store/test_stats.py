"""``chatsync stats``: what a folder holds, at rest, while a relay serves it, empty, and where there is none."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chatsync.chat.event import Author
from chatsync.cli.stats_table import stats_lines
from chatsync.errors import CorruptError, SettingsError, UnknownRoomError
from chatsync.instants import DAY_US, MINUTE_US
from chatsync.simulation import Scenario
from chatsync.store.erasing import erase_store
from chatsync.store.opening import open_store
from chatsync.store.stats import RoomStats, TreeStats, folder_stats
from tests.builders import BASE_US, draft
from tests.stage import START_US, stage
from tests.store.deeds import deed, placed, said

ROOMS = 2_000


def _year(room: str, record: dict[str, Any] | None, last: int | None) -> int:
    """Every room keeps a year."""
    del room, record, last
    return 365 * DAY_US


def _stats(folder: Path, *words: str) -> tuple[int, Any]:
    """Exit status and what the command says."""
    done = subprocess.run(
        [sys.executable, "-m", "chatsync", "stats", "--data", str(folder), *words],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, json.loads(done.stdout) if "--json" in words and done.stdout else done.stdout + done.stderr


def _tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _fill(folder: Path) -> None:
    with open_store(folder) as store:
        said(
            store,
            placed("a", 1),
            placed("q", 2, "why?", kind="question"),
            placed("p", 3, kind="hand_raised", text=None),
            deed("h", "hidden", target=1),
            placed("b", 3_700, broadcast=2),
            draft("c", room="art"),
        )
        record = {
            "number": 1,
            "opened_wall_us": BASE_US,
            "advanced_wall_us": None,
            "closed_wall_us": BASE_US + MINUTE_US,
        }
        store.writer.call(lambda connection: store.catalog.put_broadcast(connection, "math", record)).result()
        store.archive.archive_now("math")
        said(store, placed("late", 4))


def test_what_was_written_is_counted(tmp_path: Path) -> None:
    """Events, people, archive by tree, hours that wait, when the oldest broadcast goes; and nothing in the folder is touched."""
    _fill(tmp_path)
    before = _tree(tmp_path)
    found = folder_stats(tmp_path, _year)
    assert before == _tree(tmp_path)
    assert ["art", "math"] == list(found.rooms)
    math = found.rooms["math"]
    assert (6, 6, 2) == (math.events, math.journal_events, math.state_events)
    assert (1, 0, 1) == (math.broadcasts, math.slices, math.dirty_hours)
    with open_store(tmp_path) as store:
        for tree in ("events", "staff"):
            files = store.catalog.archive_files("math", tree=tree)
            wanted = TreeStats(
                files=len(files),
                rows=sum(file.rows for file in files),
                size_bytes=sum(file.size_bytes for file in files),
                generation=1,
            )
            assert wanted == math.archive[tree]
        rows = store.journal.read("SELECT min(placed_us), max(placed_us) FROM journal WHERE room = 'math'")
        assert rows[0] == (math.first_program_us, math.last_program_us)
        people = {key for (key,) in store.journal.read("SELECT author_key FROM spoke WHERE room = 'math'")}
    assert (len(people), BASE_US, BASE_US + MINUTE_US) == (math.people, math.first_wall_us, math.last_wall_us)
    assert math.due_us is not None
    assert math.due_us >= BASE_US + MINUTE_US + 365 * DAY_US
    assert (2, 7, math.dirty_hours + 1) == (found.total.rooms, found.total.events, found.total.dirty_hours)
    assert found.files["chatsync.db"] == (tmp_path / "chatsync.db").stat().st_size


def test_only_the_room_asked_for(tmp_path: Path) -> None:
    """Its figures are the same as among all; one that nothing is known of is refused."""
    _fill(tmp_path)
    everything = folder_stats(tmp_path, _year)
    assert {"math": everything.rooms["math"]} == folder_stats(tmp_path, _year, room="math").rooms
    with pytest.raises(UnknownRoomError):
        folder_stats(tmp_path, _year, room="history")


def test_what_is_kept_for_ever_is_never_due(tmp_path: Path) -> None:
    """How long a room keeps is asked for with what the folder knows of it."""
    _fill(tmp_path)
    asked = []

    def keep(*given: Any) -> int | None:
        asked.append(given)
        return None

    with open_store(tmp_path) as store:
        store.writer.call(lambda connection: store.catalog.put_room(connection, "new", {"title": "New"})).result()
        store.writer.call(lambda connection: store.catalog.put_mark(connection, "art", "retention_days", 0)).result()
    found = folder_stats(tmp_path, keep)
    assert [("art", None, 0), ("math", None, None), ("new", {"title": "New"}, None)] == asked
    assert (None, RoomStats()) == (found.total.due_us, found.rooms["new"])


def test_an_erasure_is_open_until_it_is_done(tmp_path: Path) -> None:
    """What is under way is counted, what is done is not."""
    _fill(tmp_path)
    with open_store(tmp_path) as store:
        ((key,),) = store.journal.read("SELECT DISTINCT author_key FROM spoke WHERE room = 'art'")
        erase_store(store, "art", key, wall_us=BASE_US)
        assert 0 == folder_stats(tmp_path, _year).rooms["art"].open_erasures
        store.writer.call(lambda connection: connection.execute("UPDATE erasures SET done_wall_us = NULL")).result()
        assert 1 == folder_stats(tmp_path, _year).rooms["art"].open_erasures


def test_an_empty_folder_holds_nothing(tmp_path: Path) -> None:
    """Not an error, and nothing is made in it."""
    status, told = _stats(tmp_path, "--json")
    assert (0, {}, 0, []) == (status, told["rooms"], told["total"]["rooms"], list(tmp_path.iterdir()))
    assert "no databases yet" in _stats(tmp_path)[1]


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    """One that is not there, a file, one of something else, one of an older schema: exit 2 and why; a damaged database: exit 1."""
    status, told = _stats(tmp_path / "nowhere")
    assert (2, True, False) == (status, "it is not there" in told, (tmp_path / "nowhere").exists())
    (tmp_path / "file").write_text("hello")
    with pytest.raises(SettingsError, match="it is a file"):
        folder_stats(tmp_path / "file", _year)
    with pytest.raises(SettingsError, match=r"no chatsync\.db"):
        folder_stats(tmp_path, _year)
    data = tmp_path / "data"
    with open_store(data) as store:
        store.writer.call(lambda connection: connection.execute("PRAGMA user_version = 2")).result()
    with pytest.raises(SettingsError, match="start the relay once"):
        folder_stats(data, _year)
    (data / "chatsync.db").write_bytes(b"no database" * 1_000)
    with pytest.raises(CorruptError):
        folder_stats(data, _year)
    assert 1 == _stats(data)[0]


async def test_it_works_while_a_relay_serves(tmp_path: Path) -> None:
    """From another process, without the lock: what was acked is counted, and the relay goes on."""
    scenario = Scenario(START_US)
    async with stage(tmp_path) as it:
        await it.stream(scenario, 10)
        for name in ("ann", "bob"):
            await it.say("hello", author=Author(key=name * 4, name=name))
        await it.stream(scenario, 50)
        await it.room().close_broadcast()
        it.advance(900)
        await it.seal()
        status, told = _stats(tmp_path / "data", "--json")
        room = told["rooms"]["class"]
        assert (0, 2, 2) == (status, room["people"], room["sealed_messages"])
        assert room["events"] == it.hub.journal.head("class").offset
        assert (room["slices"], 1) == (len((await it.chat(query="from_ms=0"))["slices"]), room["broadcasts"])
        assert room["keep_us"] + it.now_us >= room["due_us"] > it.now_us
        status, text = _stats(tmp_path / "data")
        assert (0, True) == (status, "class" in text.splitlines()[1])
        await it.say("the relay goes on")
        status, told = _stats(tmp_path / "data", "class", "--json")
        assert room["events"] + 1 == told["rooms"]["class"]["events"]


def test_what_was_put_aside_and_deleted_is_counted(tmp_path: Path) -> None:
    """Quarantine without its notes; deletions, and those that are not done."""
    _fill(tmp_path)
    with open_store(tmp_path) as store:
        file = tmp_path / "slices.bad"
        file.write_bytes(b"12345")
        store.files.quarantine(file, "tried")
        for wall_us, done_us in ((1, 5), (2, None)):
            record = {"done_wall_us": done_us}
            store.writer.call(
                lambda connection, wall_us=wall_us, record=record: store.catalog.put_deletion(  # type: ignore[misc]
                    connection, "math", wall_us, 9, record
                )
            ).result()
    found = folder_stats(tmp_path, _year)
    assert (1, 5, 2, 1) == (
        found.quarantined,
        found.quarantined_bytes,
        found.total.deletions,
        found.rooms["math"].unfinished_deletions,
    )


def test_many_rooms_are_counted_by_what_the_catalog_knows(tmp_path: Path) -> None:
    """Of 2,000 rooms and as many events the journal's rows are looked up one by one, never read through; progress is told of each room."""
    with open_store(tmp_path) as store:
        drafts = [draft(f"m{number}", room=f"r{number}") for number in range(ROOMS)]
        store.writer.call(lambda connection: store.journal.append_many(connection, drafts)).result()
        plans = store.journal.read(
            "EXPLAIN QUERY PLAN SELECT offset, wall_us FROM journal WHERE room = 'r1' ORDER BY offset DESC LIMIT 1"
        )
    assert ["SEARCH journal USING PRIMARY KEY (room=?)"] == [plan for *_, plan in plans]
    shutil.copy(tmp_path / "chatsync.db", tmp_path / "copy.db")
    told: list[tuple[str, int, int]] = []
    found = folder_stats(tmp_path, _year, progress=lambda *one: told.append(one))
    assert (ROOMS, ROOMS, ROOMS) == (len(found.rooms), found.total.events, found.total.people)
    assert ("r999", ROOMS, ROOMS) == told[-1]
    lines = list(stats_lines(found))
    assert {len(line) for line in lines[1:3]} == {len(line) for line in lines[1000:1002]}
