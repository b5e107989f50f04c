"""The catalog: what is put is found again, by room, and in the order it is needed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chatsync.errors import SettingsError
from chatsync.hls.timeline import LiveEdge, Run, Segment
from chatsync.instants import HOUR_US, SECOND_US, Range
from chatsync.store.catalog import ArchiveFile, SliceRow
from chatsync.store.opening import Store, open_store
from tests.builders import BASE_US
from tests.store.deeds import tamper


def _do(store: Store, write: Callable[..., Any], *values: Any, **named: Any) -> Any:
    """Call a method that writes, in the writer's thread."""
    return store.writer.call(lambda connection: write(connection, *values, **named)).result()


def _slice(start_ms: int, revision: int = 1) -> SliceRow:
    return SliceRow(
        broadcast=1,
        start_ms=start_ms,
        end_ms=start_ms + 10_000,
        epoch=1,
        revision=revision,
        events=3,
        messages=2,
        as_of_offset=9,
        version=1,
        sha256="00",
        size_bytes=5,
    )


def _file(generation: int, hour_us: int = BASE_US, tree: str = "events", room: str = "math") -> ArchiveFile:
    return ArchiveFile(
        path=f"{tree}/{room}/{hour_us}.g{generation}",
        tree=tree,
        room=room,
        broadcast=1,
        hour_us=hour_us,
        generation=generation,
        rows=1,
        start_us=hour_us,
        end_us=hour_us,
        sha256="00",
        size_bytes=1,
        schema_version=1,
    )


def _segment(media_sequence: int, **fields: Any) -> Segment:
    position_us = media_sequence * 2 * SECOND_US
    given: dict[str, Any] = {
        "run": 1,
        "media_sequence": media_sequence,
        "uri_path": f"/s{media_sequence}.ts",
        "duration_us": 2 * SECOND_US,
        "position_us": position_us,
        "program_us": BASE_US + position_us,
        "program_source": "explicit",
    }
    return Segment(**(given | fields))


def test_rooms_are_remembered_until_removed(store: Store) -> None:
    """Settings come back as they were put; putting again replaces them."""
    _do(store, store.catalog.put_room, "b", {"n": 1})
    _do(store, store.catalog.put_room, "a", {"title": "ä"})
    _do(store, store.catalog.put_room, "b", {"n": 2})
    assert {"a": {"title": "ä"}, "b": {"n": 2}} == store.catalog.rooms()
    _do(store, store.catalog.remove_room, "b")
    assert ["a"] == list(store.catalog.rooms())


def test_recordings_are_each_rooms_own(store: Store) -> None:
    """The same name in another room is another recording."""
    _do(store, store.catalog.put_recording, "a", "talk", {"spans": [1]})
    assert ({"spans": [1]}, None) == (store.catalog.recording("a", "talk"), store.catalog.recording("b", "talk"))


def test_the_latest_of_the_rooms_own_is_among_the_latest(store: Store) -> None:
    """However many broadcasts were made for files since."""
    for number in range(1, 7):
        _do(
            store, store.catalog.put_broadcast, "a", {"number": number, **({"is_imported": True} if number > 2 else {})}
        )
    assert [2, 5, 6] == [record["number"] for record in store.catalog.latest_records("a", 2)]
    assert [2, 3, 4, 5, 6] == [record["number"] for record in store.catalog.latest_records("a", 5)]
    assert [] == store.catalog.latest_records("b", 3)


def test_the_latest_broadcasts_come_oldest_first(store: Store) -> None:
    """Only as many as asked for, each as it was last put."""
    for number in (1, 2, 3, 2):
        _do(store, store.catalog.put_broadcast, "a", {"number": number, "closed_wall_us": None})
    assert [2, 3] == [record["number"] for record in store.catalog.broadcast_records("a", last=2)]
    assert [] == store.catalog.ended_broadcasts()
    _do(store, store.catalog.put_broadcast, "a", {"number": 2, "closed_wall_us": 5})
    assert [("a", 2)] == store.catalog.ended_broadcasts()


def test_a_timeline_is_what_its_rows_say(store: Store) -> None:
    """Segments come back in order, a revised one as revised, and a segment stays in the broadcast it was first put in."""
    assert not store.catalog.timeline("math").runs
    run = Run(1, "https://video.example.org/", BASE_US, "first")
    _do(store, store.catalog.put_segments, "math", [run], [(1, [_segment(1), _segment(0)]), (2, [_segment(2)])])
    _do(store, store.catalog.put_segments, "math", [run], [(2, [_segment(1, gap=True, duration_us=1)])])
    timeline = store.catalog.timeline("math")
    assert [run] == list(timeline.runs)
    assert [(0, False), (1, True), (2, False)] == [(one.media_sequence, one.gap) for one in timeline.segments(1)]
    assert [0, 1] == [row[3] for row in store.catalog.segment_rows("math", 1)]


def test_a_timeline_has_no_holes_where_the_disk_refused_a_run(store: Store) -> None:
    """A run whose reloads could not be written stands before the next one all the same: run n is the n-th."""
    runs = [Run(number, "https://video.example.org/", BASE_US + number, "restart") for number in (1, 2, 3, 4)]
    _do(store, store.catalog.put_segments, "math", runs[:1], [(1, [_segment(0)])])
    _do(store, store.catalog.put_segments, "math", runs[:3], [(1, [_segment(0, run=3)])])
    assert runs[:3] == list(store.catalog.timeline("math").runs)
    store.writer.call(lambda connection: connection.execute("DELETE FROM runs WHERE run = 2") and None).result()
    timeline = store.catalog.timeline("math")
    assert [1, 2, 3] == [run.run for run in timeline.runs]
    assert [1, 0, 1] == [len(timeline.segments(run)) for run in (1, 2, 3)]


def test_observations_belong_to_the_broadcast_that_was_on(store: Store) -> None:
    """One without an edge is kept, and is not in the archive's table."""
    assert store.catalog.last_observed_wall_us("math") is None
    run = Run(1, "https://video.example.org/", BASE_US, "first")
    _do(store, store.catalog.put_segments, "math", [run], [(1, [_segment(0)])])
    edge = LiveEdge(1, 0, 0, 2 * SECOND_US, BASE_US + 2 * SECOND_US)
    for wall_us, seen in ((5, edge), (6, None)):
        told = {"wall_us": wall_us, "age_us": 0, "edge": seen, "kind": "advance", "broadcast": 1, "step_us": 3}
        _do(store, store.catalog.put_observation, "math", **told)
    assert 6 == store.catalog.last_observed_wall_us("math")
    assert [5] == [row[2] for row in store.catalog.observation_rows("math", 1)]


def test_gaps_come_in_order(store: Store) -> None:
    """With their reasons; one put again is replaced."""
    for start_us, end_us, reason in ((30, 40, "b"), (10, 15, "a"), (10, 20, "c")):
        within = Range(start_us, end_us)
        _do(store, store.catalog.put_gap, "math", 1, within, reason)
    assert [(Range(10, 20), "c"), (Range(30, 40), "b")] == store.catalog.gaps("math", 1)


def test_of_two_counts_of_a_minute_the_greater_stands(store: Store) -> None:
    """Minutes come in order, each once, each broadcast's own; a smaller count changes nothing."""

    def work(connection: Any) -> None:
        for broadcast, minute, count in ((1, 2, 5), (1, 1, 3), (1, 2, 4), (1, 1, 7), (2, 1, 1)):
            store.catalog.note_viewers(connection, "a", broadcast, minute, count)

    store.writer.call(work).result()
    assert [("a", 1, 1, 7), ("a", 1, 2, 5)] == store.catalog.viewer_rows("a", 1)
    assert [("a", 2, 1, 1)] == store.catalog.viewer_rows("a", 2)
    assert [] == store.catalog.wrong()


def test_slices_are_listed_by_their_present_revision(store: Store) -> None:
    """A new revision replaces the old, a removed one is told apart, and the playlist's version moves on."""
    for version, row in enumerate([_slice(20_000), _slice(0), _slice(0, 2)], start=1):
        _do(store, store.catalog.put_slice, "math", row, version)
    listed, removed, version = store.catalog.slices("math", 1)
    assert ([(0, 2), (20_000, 1)], {}, 3) == ([(one.start_ms, one.revision) for one in listed], removed, version)
    _do(store, store.catalog.remove_slice, "math", _slice(0, 2), 4)
    listed, removed, version = store.catalog.slices("math", 1)
    assert ([20_000], [0], 4) == ([one.start_ms for one in listed], list(removed), version)
    assert ([], {}, 0) == store.catalog.slices("math", 2)


def test_a_file_replaces_its_earlier_generations(store: Store) -> None:
    """Of the same room, broadcast, tree and hour only, and says which they were."""
    files = [_file(1), _file(1, BASE_US + HOUR_US), _file(1, tree="staff"), _file(1, room="art")]
    for file in files:
        assert [] == _do(store, store.catalog.put_archive_file, file)
    assert [files[0].path] == _do(store, store.catalog.put_archive_file, _file(2))
    assert [_file(1, room="art"), _file(2), files[1]] == store.catalog.archive_files()
    assert [_file(2), files[2], files[1]] == store.catalog.archive_files("math", 1, tree=None)


def test_marks_are_numbers_by_name(store: Store) -> None:
    """None until put."""
    assert store.catalog.mark("math", "x") is None
    _do(store, store.catalog.put_mark, "math", "x", 7)
    assert (7, None) == (store.catalog.mark("math", "x"), store.catalog.mark("art", "x"))


def test_a_folder_of_the_first_schema_is_brought_up_to_date(tmp_path: Path) -> None:
    """Its observations get the broadcast of their edge, and nothing is lost."""
    with open_store(tmp_path) as store:
        run = Run(1, "https://video.example.org/", BASE_US, "first")
        _do(store, store.catalog.put_segments, "math", [run], [(4, [_segment(0)])])
    for statement in (
        "DROP TABLE observations",
        "CREATE TABLE observations (room TEXT NOT NULL, wall_us INTEGER NOT NULL, age_us INTEGER NOT NULL, "
        "kind TEXT NOT NULL, run INTEGER, media_sequence INTEGER, part_count INTEGER, edge_program_us INTEGER, "
        "PRIMARY KEY (room, wall_us)) WITHOUT ROWID",
        "INSERT INTO observations VALUES ('math', 5, 0, 'advance', 1, 0, 0, 7)",
        "PRAGMA user_version = 1",
    ):
        tamper(tmp_path, statement)
    for _ in range(2):
        with open_store(tmp_path) as store:
            assert [("math", 4, 5, 0, "advance", 1, 0, 0, 7, 0)] == store.catalog.observation_rows("math", 4)


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    """An older program does not touch what it does not know."""
    with open_store(tmp_path):
        pass
    tamper(tmp_path, "PRAGMA user_version = 999")
    with pytest.raises(SettingsError, match="999"), open_store(tmp_path):
        pass
