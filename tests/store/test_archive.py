"""The archive: what goes into which tree, generations, the manifest, and what a crash or damage leaves."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import stat
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from chatsync.errors import CorruptError
from chatsync.instants import DAY_US, HOUR_US
from chatsync.store.opening import Store, open_store
from chatsync.store.schema import EVENTS
from chatsync.store.verifying import verify_store
from tests.builders import BASE_US, author, draft
from tests.store.deeds import deed, placed, said, tamper

HOUR_MS = HOUR_US // 1000
BASE_MS = BASE_US // 1000
HOUR_S = 3600.0


def _parquet(store: Store, tree: str = "events") -> list[str]:
    return sorted(path.relative_to(store.files.root).as_posix() for path in _trees(store, tree))


def _trees(store: Store, tree: str) -> list[Path]:
    return [path for path in (store.files.root / "archive" / tree).rglob("*") if path.is_file()]


def _rows(store: Store, tree: str = "events") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for name in _parquet(store, tree):
        rows += pq.ParquetFile(store.files.root / name).read().to_pylist()
    return rows


def _manifest(store: Store, room: str = "math") -> dict[str, Any]:
    read: dict[str, Any] = json.loads((store.files.root / "archive" / "manifest" / f"{room}.json").read_bytes())
    return read


def test_an_hour_of_program_time_is_a_file(store: Store) -> None:
    """Each room, broadcast and hour has its own, named by the hour's start in ms and the generation."""
    said(store, placed("a", 1), placed("b", HOUR_S - 0.001), placed("c", HOUR_S), placed("d", 0, broadcast=2))
    said(store, draft("e", room="art"))
    assert 4 == store.archive.archive_now()
    assert [
        f"archive/events/room=art/broadcast=1/{BASE_MS}.g1.parquet",
        f"archive/events/room=math/broadcast=1/{BASE_MS}.g1.parquet",
        f"archive/events/room=math/broadcast=1/{BASE_MS + HOUR_MS}.g1.parquet",
        f"archive/events/room=math/broadcast=2/{BASE_MS}.g1.parquet",
    ] == _parquet(store)


def test_files_have_the_schema_and_the_order(store: Store) -> None:
    """Columns and types are those of the schema; rows are sorted by program time and offset; only the owner may read."""
    said(store, placed("a", 9), placed("b", 1), placed("c", 1))
    store.archive.archive_now()
    (name,) = _parquet(store)
    file = pq.ParquetFile(store.files.root / name)
    assert EVENTS.equals(file.schema_arrow, check_metadata=True)
    assert ["b", "c", "a"] == [row["id"] for row in file.read().to_pylist()]
    assert 0o600 == stat.S_IMODE((store.files.root / name).stat().st_mode)
    assert ["program_us", "offset"] == [
        file.schema_arrow.names[column.column_index] for column in file.metadata.row_group(0).sorting_columns
    ]


def test_what_did_not_change_is_not_written_again(store: Store) -> None:
    """A second call finds nothing to do."""
    said(store, draft("a"))
    assert 1 == store.archive.archive_now()
    before = _parquet(store)
    assert (0, before) == (store.archive.archive_now(), _parquet(store))


def test_only_the_room_asked_for_is_written(store: Store) -> None:
    """The other rooms stay to be done."""
    said(store, draft("a"), draft("b", room="art"))
    assert 1 == store.archive.archive_now("art")
    assert ["math"] == [room for room, *_ in store.catalog.dirty_hours()]


def test_a_late_event_makes_a_new_generation(store: Store) -> None:
    """The hour is written whole again, under the next number, and the earlier file is gone."""
    said(store, placed("a", 5))
    store.archive.archive_now()
    said(store, placed("late", 1))
    store.archive.archive_now()
    assert [f"archive/events/room=math/broadcast=1/{BASE_MS}.g2.parquet"] == _parquet(store)
    assert ["late", "a"] == [row["id"] for row in _rows(store)]


def test_a_hidden_message_has_no_row(store: Store) -> None:
    """Neither row nor text is left in public or staff files; a restore brings the row back."""
    said(store, draft("a", "rude words"), draft("b"))
    store.archive.archive_now()
    said(store, deed("h", "hidden", target=1, details={"reason": "rude"}))
    store.archive.archive_now()
    assert ["b"] == [row["id"] for row in _rows(store)]
    assert ["h"] == [row["id"] for row in _rows(store, "staff")]
    for path in _trees(store, "."):
        assert b"rude words" not in path.read_bytes()
    said(store, deed("r", "restored", target=1))
    store.archive.archive_now()
    assert [("a", "rude words"), ("b", "hello")] == [(row["id"], row["text"]) for row in _rows(store)]


def test_an_hour_that_is_empty_now_has_an_empty_file(store: Store) -> None:
    """Its only message was hidden: the new generation has no rows, and no range."""
    said(store, draft("a"))
    store.archive.archive_now()
    said(store, deed("h", "hidden", target=1))
    store.archive.archive_now()
    assert [] == _rows(store)
    (file,) = store.catalog.archive_files("math")
    assert (0, None, None) == (file.rows, file.start_us, file.end_us)


def test_staff_events_go_to_their_own_tree(store: Store) -> None:
    """Deeds, private messages and unknown kinds are not among the public files."""
    said(
        store,
        draft("public"),
        draft("private", "psst", details={"to": ["key-bob"]}),
        deed("n", "noted", text="watch", details={"author": "key-ann"}),
        deed("x", "invented_later"),
    )
    assert 2 == store.archive.archive_now()
    assert ["public"] == [row["id"] for row in _rows(store)]
    assert ["private", "n", "x"] == [row["id"] for row in _rows(store, "staff")]
    public = b"".join(path.read_bytes() for path in _trees(store, "events"))
    assert b"psst" not in public


def test_votes_have_no_author(store: Store) -> None:
    """Who voted is in no file, not even in the staff tree: key, role, name and id are left out."""
    said(store, draft("q", kind="question"), draft("p", None, kind="poll_opened", details={"poll": "p"}))
    said(store, draft("v", None, kind="poll_voted", author=author("Zoe"), details={"poll": "p", "choices": [0]}))
    said(store, draft("u", None, kind="question_upvoted", author=author("Zoe"), target=1))
    store.archive.archive_now()
    votes = [row for row in _rows(store, "staff") if row["kind"] in {"poll_voted", "question_upvoted"}]
    assert [(None, None, None, "")] * 2 == [
        (row["author_key"], row["role"], row["name_version"], row["id"]) for row in votes
    ]
    assert not any(b"key-zoe" in path.read_bytes() for path in _trees(store, "."))


def test_names_are_in_no_file(store: Store) -> None:
    """The archive knows authors by pseudonym only."""
    said(store, draft("a", author=author("Ferdinand")))
    store.archive.archive_now()
    assert not any(b"Ferdinand" in path.read_bytes() for path in _trees(store, "."))
    assert ["key-ferdinand"] == [row["author_key"] for row in _rows(store)]


def test_the_manifest_tells_what_lies_there(store: Store) -> None:
    """Every file with its rows, range, size and SHA-256, no file twice, none that is gone."""
    said(store, placed("a", 1), placed("b", 2), placed("c", HOUR_S), deed("n", "noted"))
    store.archive.archive_now()
    said(store, placed("d", 3))
    store.archive.archive_now()
    listed = {file["path"]: file for file in _manifest(store)["files"]}
    assert sorted(_parquet(store) + _parquet(store, "staff")) == sorted(listed)
    for path, file in listed.items():
        body = (store.files.root / path).read_bytes()
        assert (len(body), hashlib.sha256(body).hexdigest()) == (file["size_bytes"], file["sha256"])
        rows = pq.ParquetFile(store.files.root / path).read(columns=["program_us"]).num_rows
        assert rows == file["rows"]
    first = listed[f"archive/events/room=math/broadcast=1/{BASE_MS}.g2.parquet"]
    assert (3, BASE_US + 1_000_000, BASE_US + 3_000_000) == (first["rows"], first["start_us"], first["end_us"])


def test_a_restamp_moves_a_row_to_its_new_hour(store: Store) -> None:
    """Both hours are written anew: the row leaves one and stands in the other."""
    said(store, placed("a", HOUR_S + 5), placed("b", HOUR_S))
    store.archive.archive_now()
    rule = {"rule": "clamp", "stamps": ["playhead"], "to_us": BASE_US + HOUR_US}
    said(store, deed("r", "restamped", by=None, details=rule))
    shift = {"rule": "rebase", "stamps": ["playhead"], "shift_us": -HOUR_US}
    said(store, deed("s", "restamped", by=None, details=shift))
    store.archive.archive_now()
    events = [row for row in _rows(store) if row["kind"] == "message"]
    assert [("a", 0), ("b", 0)] == [
        (row["id"], round((row["program_us"].timestamp() * 1_000_000 - BASE_US) / 1e6)) for row in events
    ]
    assert {HOUR_US, 0} == {file.hour_us - BASE_US for file in store.catalog.archive_files("math") if file.hour_us}


def test_what_a_crash_left_is_removed_by_the_next_writing(store: Store) -> None:
    """A file that the catalog does not name, of an earlier or a lost generation, does not outlive the hour's next writing."""
    said(store, draft("a"))
    store.archive.archive_now()
    folder = store.files.hour_path("events", "math", 1, BASE_US, 1).parent
    (folder / f"{BASE_MS}.g7.parquet").write_bytes(b"lost")
    said(store, draft("b"))
    store.archive.archive_now()
    assert [f"archive/events/room=math/broadcast=1/{BASE_MS}.g2.parquet"] == _parquet(store)


def test_what_a_crash_left_is_removed_by_the_next_process(tmp_path: Path) -> None:
    """An earlier generation that the catalog names no more goes, and leaves the manifest, though its hour is unchanged."""
    with open_store(tmp_path) as store:
        said(store, draft("a", "rude words"))
        store.archive.archive_now()
        old = store.files.root / _parquet(store)[0]
        body, manifest = old.read_bytes(), store.files.manifest_path("math").read_bytes()
        said(store, deed("h", "hidden", target=1))
        store.archive.archive_now()
        old.write_bytes(body)
        store.files.manifest_path("math").write_bytes(manifest)
        unfinished = old.with_name(f".{old.name}.1.tmp")
        unfinished.write_bytes(body[:100])
    with open_store(tmp_path) as store:
        assert 0 == store.archive.archive_now()
        assert [f"archive/events/room=math/broadcast=1/{BASE_MS}.g2.parquet"] == _parquet(store)
        listed = [file["path"] for file in _manifest(store)["files"] if file["tree"] == "events"]
        assert _parquet(store) == listed


def test_a_damaged_row_keeps_the_earlier_generation(store: Store) -> None:
    """What is not what was written is not archived: the hour stays to be done, its last whole file stays."""
    said(store, draft("a"))
    store.archive.archive_now()
    said(store, draft("b"))
    tamper(store.files.root, "UPDATE journal SET text = 'x' WHERE offset = 1")
    with pytest.raises(CorruptError):
        store.archive.archive_now()
    assert ["hello"] == [row["text"] for row in _rows(store)]
    assert 1 == len(store.catalog.dirty_hours())


def test_a_damaged_hour_does_not_hold_up_the_others(store: Store) -> None:
    """The others are written before the damage is told."""
    said(store, draft("a", room="art"), draft("b"), placed("c", HOUR_S))
    tamper(store.files.root, "UPDATE journal SET text = 'x' WHERE room = 'art'")
    with pytest.raises(CorruptError):
        store.archive.archive_now()
    assert ["b", "c"] == [row["id"] for row in _rows(store)]


def test_progress_is_told(store: Store) -> None:
    """After each hour: how many are done, of how many."""
    told: list[tuple[str, int, int]] = []
    said(store, placed("a", 1), placed("b", HOUR_S))
    store.archive.archive_now(progress=lambda *one: told.append(one))
    assert [("math", 1, 2), ("math", 2, 2)] == told


def test_verify_finds_what_is_damaged_or_missing(store: Store) -> None:
    """Both are named; a whole archive gives an empty list."""
    said(store, placed("a", 1), placed("b", HOUR_S))
    store.archive.archive_now()
    assert [] == store.archive.verify()
    first, second = (store.files.root / file.path for file in store.catalog.archive_files("math"))
    body = bytearray(first.read_bytes())
    body[len(body) // 2] ^= 1
    first.write_bytes(body)
    second.unlink()
    found = store.archive.verify()
    assert [store.files.relative(first), store.files.relative(second)] == [error.what for error in found]
    assert 2 == len(verify_store(store)["damaged"])


def test_generations_go_on_after_a_restart(tmp_path: Path) -> None:
    """The catalog remembers what was written and what is still to be."""
    with open_store(tmp_path) as store:
        said(store, draft("a"))
        store.archive.archive_now()
        said(store, draft("b"))
    with open_store(tmp_path) as store:
        assert 1 == store.archive.archive_now()
        assert [f"archive/events/room=math/broadcast=1/{BASE_MS}.g2.parquet"] == _parquet(store)


QUIET_ROOMS, QUIET_DAYS, QUIET_HOURS = 5, 3, 4
DAY_START_US = BASE_US - BASE_US % DAY_US


def _quiet_rooms(store: Store) -> None:
    """Rooms in which two people say something in some hours of each day, all of one broadcast, archived by the hour."""
    after_us = DAY_START_US - BASE_US
    said(
        store,
        *[
            placed(f"{day}-{hour}-{n}", after_us / 1e6 + (day * 24 + hour * 4) * HOUR_S + n, room=f"room-{room}")
            for room in range(QUIET_ROOMS)
            for day in range(QUIET_DAYS)
            for hour in range(QUIET_HOURS)
            for n in range(2)
        ],
    )
    assert QUIET_ROOMS * QUIET_DAYS * QUIET_HOURS == store.archive.archive_now()


def _answers(store: Store) -> list[list[str]]:
    """What each room answers: all of it, an hour of the second day, a range across midnight, a page of five from there."""
    noon_us = DAY_START_US + DAY_US + 12 * HOUR_US
    ranges = [
        (DAY_START_US, DAY_START_US + QUIET_DAYS * DAY_US, -1),
        (noon_us, noon_us + HOUR_US, -1),
        (noon_us, noon_us + DAY_US, -1),
        (noon_us + 1_000_000, noon_us + DAY_US, 5),
    ]
    return [
        [event.id for event in store.query.messages_page(f"room-{room}", 1, start_us, end_us, limit=limit)]
        for room in range(QUIET_ROOMS)
        for start_us, end_us, limit in ranges
    ]


def test_quiet_rooms_have_a_file_a_day(store: Store) -> None:
    """Merged once the days are over, rooms of many quiet hours have as many files as rooms times days, and answer what they answered."""
    _quiet_rooms(store)
    before = _answers(store)
    assert 0 == store.archive.merge_quiet(wall_us=BASE_US + DAY_US)  # the last row is not a day old
    assert [24, 2, 8, 5] == [len(found) for found in before[:4]]
    store.archive.merge_quiet(wall_us=BASE_US + 9 * DAY_US)
    assert QUIET_ROOMS * QUIET_DAYS == len(_parquet(store))
    assert before == _answers(store)
    assert [] == store.archive.verify()
    listed = [file["path"] for room in range(QUIET_ROOMS) for file in _manifest(store, f"room-{room}")["files"]]
    assert _parquet(store) == sorted(listed)
    assert 0 == store.archive.merge_quiet(wall_us=BASE_US + 9 * DAY_US)


def test_quiet_rooms_whose_broadcast_is_over_have_one_file(store: Store) -> None:
    """Of all its days. A late message is written into it, and does not break it up."""
    _quiet_rooms(store)
    before = _answers(store)

    def close(connection: sqlite3.Connection) -> None:
        for room in range(QUIET_ROOMS):
            store.catalog.put_broadcast(
                connection, f"room-{room}", {"number": 1, "closed_wall_us": BASE_US + 4 * DAY_US}
            )

    store.writer.call(close).result()
    store.archive.merge_quiet(wall_us=BASE_US + 9 * DAY_US)
    assert QUIET_ROOMS == len(_parquet(store))
    assert before == _answers(store)
    said(store, placed("late", 5, room="room-3"))
    store.archive.archive_now()
    assert QUIET_ROOMS == len(_parquet(store))
    assert "late" in _answers(store)[4 * 3]


def test_busy_hours_stay_files_of_their_own(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour of a row group or more is not merged with its neighbours, and a merged file has only so many groups."""
    monkeypatch.setattr("chatsync.store.archive.ROW_GROUP_ROWS", 4)
    monkeypatch.setattr("chatsync.store.archive.FILE_GROUPS_MAX", 2)
    rows = [3, 3, 3, 4, 1, 1]  # of each hour, in order
    said(store, *[placed(f"{hour}-{n}", hour * HOUR_S + n) for hour, count in enumerate(rows) for n in range(count)])
    store.archive.archive_now()
    store.archive.merge_quiet(wall_us=BASE_US + 9 * DAY_US)
    assert [6, 3, 4, 2] == [file.rows for file in store.catalog.archive_files("math")]
