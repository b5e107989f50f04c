"""Which broadcasts are past their time, what goes with them, and that a crash in the middle leaves nothing wrong."""

from __future__ import annotations

import gc
import json
import os
import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from chatsync.chat.event import Author
from chatsync.errors import StorageFailedError
from chatsync.hls.timeline import LiveEdge, Run, Segment
from chatsync.instants import DAY_US, HOUR_US, SECOND_US, Range
from chatsync.store import pruning
from chatsync.store.identity import IdentityStore
from chatsync.store.imports import note_imported
from chatsync.store.opening import Store, open_store
from chatsync.store.pruned import PrunedMark
from chatsync.store.pruning import prune
from chatsync.store.retention import (
    begin_deletion,
    clock_doubt_us,
    due_broadcasts,
    expire_store,
    note_done,
    take_out,
    unfinished_deletions,
)
from chatsync.store.verifying import verify_store
from tests.builders import BASE_US, author, draft, stamp
from tests.faultkit.power import LOG_FLUSHED, LOG_LOST, PowerDisk, why_no_power_disk
from tests.scanning import files_with
from tests.store.deeds import deed, said
from tests.store.slices import put_slice

YEAR_US = 365 * DAY_US
ANN, BOB, EVE = author("Annabel"), author("Bob"), author("Evelyn")
OLD, NEW = "what was said in the old days", "what was said lately"
KILLS = int(os.environ.get("CHATSYNC_EXPIRE_KILLS", "6"))
SEED = int(os.environ.get("CHATSYNC_SEED", "20261130"))


def _year(_: str) -> int:
    return YEAR_US


def _at(id_: str, text: str | None, after_us: int, broadcast: int, **fields: Any) -> Any:
    """A draft that was said so long after ``BASE_US``, in program time too."""
    at_us = BASE_US + after_us
    return draft(id_, text, stamp=stamp(at_us, broadcast=broadcast), wall_us=at_us, **fields)


def _fill(store: Store, *, messages: int = 3, room: str = "math") -> None:
    """Two broadcasts, the second a year later: by Ann and Bob, and by Bob; with all that hangs on a broadcast."""
    said(
        store,
        *(_at(f"a{n}", f"{OLD} {n}", n * SECOND_US, 1, author=ANN, room=room) for n in range(messages)),
        _at("b", f"{OLD} of Bob", 5 * SECOND_US, 1, author=BOB, room=room),
        _at("q", f"{OLD}?", 6 * SECOND_US, 1, kind="question", author=ANN, room=room),
        deed("h", "hidden", target=1, room=room),
    )
    said(
        store, _at("c", NEW, YEAR_US, 2, author=BOB, room=room), _at("d", f"{NEW}!", YEAR_US, 2, author=EVE, room=room)
    )
    from_files = [(room, f"id {broadcast}", broadcast, broadcast) for broadcast in (1, 2)]
    store.writer.call(lambda connection: note_imported(connection, from_files)).result()
    for broadcast, since_us in ((1, BASE_US), (2, BASE_US + YEAR_US)):
        _record(store, room, broadcast, since_us, closed_us=since_us + HOUR_US)
        put_slice(store, room, broadcast, since_us, f"{OLD if broadcast == 1 else NEW}, sliced")
    store.archive.archive_now()


def _record(store: Store, room: str, broadcast: int, since_us: int, *, closed_us: int | None) -> None:
    segment = Segment(
        run=1,
        media_sequence=broadcast,
        uri_path=f"/b{broadcast}.ts",
        duration_us=2 * SECOND_US,
        position_us=0,
        program_us=since_us,
        program_source="explicit",
    )
    edge = LiveEdge(1, broadcast, 0, 2 * SECOND_US, since_us)
    span = {"position_ms": 0, "duration_ms": 1, "program_ms": 0, "method": "offset", "score": 1.0}

    def work(connection: sqlite3.Connection) -> None:
        catalog = store.catalog
        opened = {"number": broadcast, "opened_wall_us": since_us, "closed_wall_us": closed_us}
        catalog.put_broadcast(connection, room, opened)
        catalog.put_segments(
            connection, room, [Run(1, "https://video.example.org/", BASE_US, "first")], [(broadcast, [segment])]
        )
        catalog.put_observation(
            connection, room, wall_us=since_us, age_us=0, edge=edge, kind="advance", broadcast=broadcast, step_us=0
        )
        catalog.put_gap(connection, room, broadcast, Range(since_us, since_us + 1), "stream")
        catalog.note_viewers(connection, room, broadcast, since_us, 7)
        catalog.put_recording(
            connection, room, f"of-{broadcast}", {"duration_ms": 1, "spans": [span | {"broadcast": broadcast}]}
        )
        both = [span | {"broadcast": 1}, span | {"position_ms": 1, "broadcast": 2}]
        catalog.put_recording(connection, room, "both", {"duration_ms": 2, "spans": both})

    store.writer.call(work).result()


def _rows_of(store: Store, room: str, broadcast: int) -> dict[str, int]:
    tables = (
        "journal",
        "hours",
        "slices",
        "segments",
        "observations",
        "gaps",
        "viewers",
        "spoke",
        "archive_files",
        "imported",
    )
    counts = {
        table: store.journal.read(f"SELECT count(*) FROM {table} WHERE room = ? AND broadcast = ?", (room, broadcast))[
            0
        ][0]
        for table in (*tables, "dirty_hours", "broadcasts")
    }
    return {table: count for table, count in counts.items() if count}


def test_all_of_a_broadcast_goes_and_nothing_of_the_next(tmp_path: Path) -> None:
    """Every table, every file, names of who said nothing since; the rest is as it was, and whole."""
    now_us = BASE_US + YEAR_US + 2 * HOUR_US
    with open_store(tmp_path) as store:
        _fill(store)
        store.files.quarantine(_slice_path(store, 1), "tried")
        before = _rows_of(store, "math", 2)
        assert files_with(tmp_path, OLD)
        (gone,) = expire_store(store, _year, wall_us=now_us)
        assert ("math", 1, 6, 2) == tuple(gone[name] for name in ("room", "broadcast", "events", "names"))
        assert {} == _rows_of(store, "math", 1)
        assert before == _rows_of(store, "math", 2)
        assert [] == files_with(tmp_path, OLD, ANN.name, ANN.key)
        assert [] == files_with(tmp_path, "broadcast=1", "math/1/")
        assert files_with(tmp_path, BOB.name)
        assert {"of-2": [2], "both": [2]} == {
            name: [span["broadcast"] for span in record["spans"]]
            for name, record in store.catalog.recordings("math").items()
        }
        manifest = json.loads(store.files.manifest_path("math").read_bytes())
        assert {2} == {file["broadcast"] for file in manifest["files"]}
        assert [] == expire_store(store, _year, wall_us=now_us)
        assert [] == verify_store(store)["damaged"]
        events = store.journal.events_after("math", 0, 100)
        assert [("c", BOB), ("d", EVE)] == [(event.id, event.author) for event in events]
    with open_store(tmp_path) as store:
        assert [] == store.journal.open_report
        assert [] == verify_store(store)["damaged"]


def _slice_path(store: Store, broadcast: int) -> Path:
    (row, *_) = store.catalog.slices("math", broadcast)[0]
    return store.files.slice_path("math", row, public=False)


def test_what_left_the_journal_goes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that were in Parquet alone are found no more, and the hole they left is none that is damage."""
    monkeypatch.setattr(pruning, "KEPT_EVENTS", 1)
    with open_store(tmp_path) as store:
        _fill(store)
        store.writer.call(lambda c: store.catalog.put_mark(c, "math", "settled_offset", 6)).result()
        store.writer.call(lambda c: store.catalog.put_mark(c, "math", "sealed_until_us.1", BASE_US + YEAR_US)).result()
        assert prune(store, wall_us=BASE_US + 2 * DAY_US)
        expire_store(store, _year, wall_us=BASE_US + YEAR_US + 2 * HOUR_US)
        assert [] == store.journal.events_between("math", 1, BASE_US, BASE_US + HOUR_US)
        assert store.journal.event("math", 2) is None
        assert [] == files_with(tmp_path, OLD, ANN.name)
        assert [] == verify_store(store)["damaged"]


def test_offsets_go_on_where_all_is_gone(tmp_path: Path) -> None:
    """A room of which nothing is left keeps its place: neither its offsets nor its chain begin anew, nor does its epoch rise."""
    with open_store(tmp_path) as store:
        _fill(store)
        head = store.journal.head("math")
        assert 2 == len(expire_store(store, _year, wall_us=BASE_US + 3 * YEAR_US))
        assert [] == store.journal.rooms()
        assert head == store.journal.head("math")
        assert [2] == [record["number"] for record in store.catalog.broadcast_records("math", last=-1)]
    with open_store(tmp_path) as store:
        assert [] == store.journal.open_report
        assert head == store.journal.head("math")
        assert [] == store.journal.last_events("math", 10)
        assert store.journal.event("math", 2) is None
        (appended,) = said(store, _at("z", NEW, 3 * YEAR_US, 3, author=ANN))
        assert (head.offset + 1, head.epoch) == (appended.event.offset, appended.event.epoch)
        assert appended.event == store.journal.event("math", head.offset + 1)
        assert 1 == store.journal.verify("math")
        store.writer.call(lambda c: c.execute("DELETE FROM journal")).result()
        assert verify_store(store)["damaged"]


@pytest.mark.parametrize("case", ["young", "on", "spoken in", "reloaded", "behind one that is young"])
def test_nothing_goes_too_early(store: Store, case: str) -> None:
    """A broadcast stays as long as anything of it, or of one before it, is young."""
    now_us = BASE_US + YEAR_US + 2 * HOUR_US
    _fill(store)
    if case == "young":
        now_us = BASE_US + YEAR_US
    elif case == "on":
        _record(store, "math", 1, BASE_US + 2 * HOUR_US, closed_us=None)
    elif case == "spoken in":
        said(store, _at("late", NEW, 3 * HOUR_US, 1))
    elif case == "reloaded":
        _record(store, "math", 1, BASE_US + 3 * HOUR_US, closed_us=BASE_US + HOUR_US)
    else:
        said(store, _at("late", NEW, YEAR_US, 1))
        now_us += YEAR_US - 4 * HOUR_US
    assert [] == due_broadcasts(store, _year, wall_us=now_us)
    assert [] == due_broadcasts(store, lambda _: None, wall_us=now_us + 9 * YEAR_US)


def test_what_was_said_since_it_was_looked_at_keeps_it(store: Store) -> None:
    """Somebody who speaks between looking and deleting is not deleted."""
    _fill(store)
    (due,) = due_broadcasts(store, _year, wall_us=BASE_US + YEAR_US + 2 * HOUR_US)
    said(store, _at("late", NEW, YEAR_US, 1))
    assert not begin_deletion(store, due, wall_us=BASE_US + YEAR_US + 2 * HOUR_US)
    assert [] == store.catalog.deletions()
    assert _rows_of(store, "math", 1)["archive_files"]


def test_a_deletion_that_has_begun_is_on_the_list_until_it_is_done(store: Store) -> None:
    """And what is said in the broadcast meanwhile stays."""
    now_us = BASE_US + YEAR_US + 2 * HOUR_US
    _fill(store)
    (due,) = due_broadcasts(store, _year, wall_us=now_us)
    assert begin_deletion(store, due, wall_us=now_us)
    said(store, _at("late", NEW, YEAR_US + HOUR_US, 1, author=ANN))
    ((room, began_us, broadcast, record),) = unfinished_deletions(store)
    taken = take_out(store, room, began_us, broadcast, record)
    assert [(room, began_us, broadcast, record)] == unfinished_deletions(store)
    assert note_done(store, [taken], wall_us=now_us + 1)
    assert [] == unfinished_deletions(store)
    assert ["c", "d", "late"] == [event.id for event in store.journal.events_after("math", 0, 100)]
    assert ANN == store.journal.events_after("math", 0, 100)[-1].author
    assert now_us + 1 == store.catalog.deletions("math")[0][3]["done_wall_us"]


def test_who_comes_back_has_their_new_name(store: Store) -> None:
    """After their name was forgotten, what an author says shows the name they have now, and nobody's from before."""
    _fill(store)
    expire_store(store, _year, wall_us=BASE_US + YEAR_US + 2 * HOUR_US)
    assert [] == store.journal.names("math", ANN.key)
    anew = author("Annabel")
    (appended,) = said(store, _at("z", NEW, YEAR_US, 2, author=anew))
    assert appended.event == store.journal.event("math", appended.event.offset)
    assert ["Annabel"] == store.journal.names("math", ANN.key)


def test_a_reader_on_its_way_brings_no_forgotten_name_back(tmp_path: Path) -> None:
    """Versions of names go on within a process."""
    names = IdentityStore(tmp_path / "identity.db")
    assert (1, 2) == (
        names.version("math", ANN),
        names.version("math", Author(key=ANN.key, name="Ann", role="participant")),
    )
    names.drop("math", ANN.key)
    assert 3 == names.version("math", ANN)
    names.commit()
    names.close()


def test_a_mark_that_was_lost_with_its_batch_is_written_again(store: Store) -> None:
    """What is remembered in memory of a batch that failed does not keep the mark from the disk."""

    def lost(connection: sqlite3.Connection) -> None:
        store.journal.pruned.put(connection, "math", PrunedMark(7, 1))
        raise StorageFailedError

    with pytest.raises(StorageFailedError):
        store.writer.call(lost).result()
    store.writer.call(lambda c: store.journal.pruned.put(c, "math", PrunedMark(7, 1))).result()
    assert [(7, 1)] == store.journal.read("SELECT through, chain FROM pruned")
    store.writer.call(lambda c: store.journal.pruned.put(c, "math", PrunedMark(3, 2))).result()
    assert [(7, 1)] == store.journal.read("SELECT through, chain FROM pruned")


def test_a_clock_is_believed_when_it_was_lived_with(store: Store) -> None:
    """A new one, one that leapt by more than a week, and one that was set back are believed a day later."""
    now_us = BASE_US
    assert now_us + DAY_US == clock_doubt_us(store, now_us)
    assert now_us + DAY_US == clock_doubt_us(store, now_us + HOUR_US)
    now_us += DAY_US
    assert clock_doubt_us(store, now_us) is None
    now_us += 7 * DAY_US
    assert clock_doubt_us(store, now_us) is None
    for leap_us in (7 * DAY_US + 1, -DAY_US - 1):
        now_us += leap_us
        assert now_us + DAY_US == clock_doubt_us(store, now_us)
        now_us += DAY_US
        assert clock_doubt_us(store, now_us) is None


_PROGRAM = """
import sys
from pathlib import Path
from chatsync.store.opening import open_store
from chatsync.store.retention import expire_store
with open_store(Path(sys.argv[1])) as store:
    print("up", flush=True)
    expire_store(store, lambda _: int(sys.argv[2]), wall_us=int(sys.argv[3]))
"""


def _expiring(folder: Path, now_us: int) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(folder), str(YEAR_US), str(now_us)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert process.stdout is not None
    assert b"up\n" == process.stdout.readline()
    return process


def _make(folder: Path) -> None:
    """A folder with much to delete, closed again; no connection of this process is left on it."""
    with open_store(folder) as store:
        _fill(store, messages=2_000)
    del store
    gc.collect()  # readers' connections end with what holds them


def _check_finished(folder: Path, now_us: int) -> None:
    """At every moment all is whole; the next run finishes it."""
    with open_store(folder) as store:
        assert [] == store.journal.open_report
        assert [] == verify_store(store)["damaged"]
        assert ["c", "d"] == [event.id for event in store.journal.events_between("math", 2, BASE_US, 2**62)]
        expire_store(store, _year, wall_us=now_us)
        store.archive.archive_now()
        assert [] == verify_store(store)["damaged"]
        assert {} == _rows_of(store, "math", 1)
    del store
    gc.collect()  # as above
    assert [] == files_with(folder, OLD, ANN.name, ANN.key)
    assert files_with(folder, NEW)


@pytest.mark.faults
@pytest.mark.timeout(60 + 20 * KILLS)
def test_a_kill_at_any_moment_leaves_nothing_wrong(tmp_path: Path) -> None:
    """Killed while a broadcast goes, the folder is whole, and the next run takes the rest out."""
    chance, now_us = random.Random(SEED), BASE_US + YEAR_US + 2 * HOUR_US
    for kill in range(KILLS):
        folder = tmp_path / str(kill)
        _make(folder)
        process = _expiring(folder, now_us)
        time.sleep(chance.uniform(0, 0.4))
        process.kill()
        process.communicate()
        _check_finished(folder, now_us)


@pytest.mark.faults
@pytest.mark.timeout(120 + 20 * KILLS)
def test_a_power_cut_at_any_moment_leaves_nothing_wrong(tmp_path: Path) -> None:
    """The same where nothing survives that was not synced."""
    reason = why_no_power_disk()
    if reason is not None:
        pytest.skip(reason)
    chance, now_us = random.Random(SEED), BASE_US + YEAR_US + 2 * HOUR_US
    disk = PowerDisk(tmp_path)
    try:
        for _ in range(KILLS):
            try:
                disk.format()
            except OSError as error:
                pytest.skip(f"power cannot be cut here: {error}")
            folder = disk.place / "data"
            _make(folder)
            process = _expiring(folder, now_us)
            time.sleep(chance.uniform(0, 0.6))

            def kill(process: subprocess.Popen[bytes] = process) -> None:
                process.kill()
                process.communicate()

            disk.cut(kill, flag=chance.choice((LOG_LOST,) * 4 + (LOG_FLUSHED,)))
            disk.mount()
            _check_finished(folder, now_us)
    finally:
        disk.remove()
