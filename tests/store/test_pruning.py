"""What leaves the journal, what stays, and that nobody who reads or acts can tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from chatsync.errors import CorruptError, IdReusedError
from chatsync.instants import DAY_US, HOUR_US
from chatsync.store import pruning
from chatsync.store.erasing import erase_store
from chatsync.store.opening import Store, open_store
from chatsync.store.pruning import prune
from tests.builders import BASE_US, author, draft
from tests.store.deeds import deed, placed, said

LATER_US = BASE_US + 2 * DAY_US
ANN, BOB = author("Ann"), author("Bob")
WORDS = "long ago"


@pytest.fixture(autouse=True)
def _few_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a test need not say two thousand things first."""
    monkeypatch.setattr(pruning, "KEPT_EVENTS", 2)


def _settle(store: Store, *, broadcast: int = 1, sealed_until_us: int = LATER_US) -> None:
    """Archive all, and note that slices hold everything."""
    store.archive.archive_now()
    head = store.journal.head("math").offset

    def work(connection: object) -> None:
        store.catalog.put_mark(connection, "math", "settled_offset", head)  # type: ignore[arg-type]
        store.catalog.put_mark(connection, "math", f"sealed_until_us.{broadcast}", sealed_until_us)  # type: ignore[arg-type]

    store.writer.call(work).result()


def _lesson(store: Store) -> None:
    """Seven events: two by Ann, one by Bob, a question, a hidden one, and two that are newest."""
    said(
        store,
        placed("a", 1, WORDS, author=ANN),
        placed("b", 2, "of Bob", author=BOB),
        placed("q", 3, "why?", kind="question", author=BOB),
        placed("h", 4, "rude", author=BOB),
        deed("x", "hidden", target=4),
        placed("c", 3_700, WORDS, author=ANN),
        placed("y", 5),
        placed("z", 6),
    )
    _settle(store)


def _here(store: Store) -> list[int]:
    return [offset for (offset,) in store.journal.read("SELECT offset FROM journal ORDER BY offset")]


def test_what_is_old_sealed_and_archived_goes(store: Store) -> None:
    """Messages go; a question, what is hidden, deeds and the newest stay. A second time there is nothing to do."""
    _lesson(store)
    assert 3 == prune(store, wall_us=LATER_US)
    assert [3, 4, 5, 7, 8] == _here(store)
    assert 0 == prune(store, wall_us=LATER_US)


def test_what_is_sent_again_after_it_left_is_what_was_there(store: Store) -> None:
    """By a clock that was ahead at one start a row may leave within its sender's day: a retry is told of it, not of damage."""
    _lesson(store)
    prune(store, wall_us=LATER_US)
    (again,) = said(store, placed("b", 2, "of Bob", author=BOB))
    assert (True, 2, "of Bob") == (again.duplicate, again.event.offset, again.event.text)
    with pytest.raises(IdReusedError):
        said(store, placed("b", 2, "something else", author=BOB))


@pytest.mark.parametrize("case", ["young", "unsealed", "unsettled", "not archived", "changed since"])
def test_nothing_goes_too_early(store: Store, case: str) -> None:
    """Whatever is missing of the conditions keeps every row."""
    _lesson(store)
    wall_us = LATER_US
    if case == "young":
        wall_us = BASE_US + DAY_US - 1
    elif case == "unsealed":
        _settle(store, sealed_until_us=BASE_US)
    elif case == "unsettled":
        store.writer.call(lambda connection: store.catalog.put_mark(connection, "math", "settled_offset", 0)).result()
    elif case == "not archived":
        store.writer.call(lambda connection: connection.execute("DELETE FROM archive_files")).result()
    else:
        said(store, placed("late", 1.5), placed("late too", 3_701))
    assert 0 == prune(store, wall_us=wall_us)


def test_a_damaged_file_keeps_its_rows_in_the_journal(store: Store) -> None:
    """The file is told; the other hour's rows go."""
    _lesson(store)
    first = store.files.root / store.catalog.archive_files("math")[0].path
    body = bytearray(first.read_bytes())
    body[len(body) // 2] ^= 1
    first.write_bytes(body)
    with pytest.raises(CorruptError):
        prune(store, wall_us=LATER_US)
    assert [1, 2, 3, 4, 5, 7, 8] == _here(store)


def test_reads_are_as_before(tmp_path: Path) -> None:
    """By place, one by one, by page, also after a restart: the same events. The chain is whole."""
    with open_store(tmp_path) as store:
        _lesson(store)
        before = _read(store)
        prune(store, wall_us=LATER_US)
        assert before == _read(store)
        assert 5 == store.journal.verify("math")
    with open_store(tmp_path) as store:
        assert before == _read(store)
        assert 5 == store.journal.verify("math")
        assert 6 == store.journal.pruned.through("math")


def _read(store: Store) -> list[object]:
    journal = store.journal
    return [
        journal.events_between("math", 1, BASE_US, BASE_US + 2 * HOUR_US),
        journal.events_between("math", 1, BASE_US, BASE_US + HOUR_US, include_hidden=True, limit=3),
        journal.events_between(
            "math", 1, BASE_US, BASE_US + 2 * HOUR_US, public_only=True, after=(BASE_US + 2_000_000, 2)
        ),
        [journal.event("math", offset) for offset in range(1, 9)],
        store.query.messages_page("math", 1, BASE_US, BASE_US + 2 * HOUR_US),
    ]


def test_what_leaves_while_it_is_read_is_read_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that is found in the journal, and then leaves it before the archive is asked, does not come twice."""
    _lesson(store)
    left = store.journal.left

    def leaving(*values: Any) -> Any:
        assert 3 == prune(store, wall_us=LATER_US)
        return left(*values)

    monkeypatch.setattr(store.journal, "left", leaving)
    events = store.journal.events_between("math", 1, BASE_US, BASE_US + 2 * HOUR_US)
    assert [1, 2, 3, 7, 8, 6] == [event.offset for event in events if event.kind != "hidden"]


def test_a_hole_that_pruning_did_not_make_is_damage(store: Store) -> None:
    """Past the mark every row must be there."""
    _lesson(store)
    prune(store, wall_us=LATER_US)
    store.writer.call(lambda connection: connection.execute("DELETE FROM journal WHERE offset = 7")).result()
    with pytest.raises(CorruptError):
        store.journal.verify("math")


def _archived(store: Store) -> list[str]:
    files = (store.files.root / "archive" / "events").rglob("*.parquet")
    return sorted(row["id"] for path in files for row in pq.ParquetFile(path).read(columns=["id"]).to_pylist())


def test_a_message_that_left_can_be_hidden_and_restored(store: Store) -> None:
    """The row comes back for the deed, and the next generation has the hour as it stands; then it may go again."""
    _lesson(store)
    prune(store, wall_us=LATER_US)
    (hidden,) = said(store, deed("h2", "hidden", target=1))
    assert (1,) == hidden.affected
    assert [2, 3, 7, 8] == [
        e.offset
        for e in store.journal.events_between("math", 1, BASE_US, BASE_US + HOUR_US)
        if e.offset < 9 and e.kind != "hidden"
    ]
    store.archive.archive_now()
    assert ["b", "c", "q", "y", "z"] == _archived(store)
    said(store, deed("r", "restored", target=1))
    event = store.journal.event("math", 1)
    assert event is not None
    assert (WORDS, False, ANN) == (event.text, event.hidden, event.author)
    _settle(store)
    assert ["a", "b", "c", "q", "y", "z"] == _archived(store)
    assert 0 < prune(store, wall_us=LATER_US + 2 * DAY_US)
    assert store.journal.event("math", 1) == event
    assert store.journal.verify("math")


def test_all_that_an_author_said_can_be_hidden(store: Store) -> None:
    """What left is found by the archive's index of authors, in whatever hour it is."""
    _lesson(store)
    prune(store, wall_us=LATER_US)
    (hidden,) = said(store, deed("h2", "hidden", details={"author": ANN.key}))
    assert {1, 6} <= set(hidden.affected)
    store.archive.archive_now()
    assert ["b", "q"] == _archived(store)


def test_a_late_message_joins_what_left(store: Store) -> None:
    """The hour is written anew with what is in its file and what is in the journal."""
    _lesson(store)
    prune(store, wall_us=LATER_US)
    said(store, placed("late", 1.5))
    assert ["a", "late", "b", "q", "y", "z"] == [
        e.id for e in store.journal.events_between("math", 1, BASE_US, BASE_US + HOUR_US, public_only=True)
    ]
    store.archive.archive_now()
    assert ["a", "b", "c", "late", "q", "y", "z"] == _archived(store)
    assert [] == store.archive.verify()


def test_a_restamp_moves_what_left(store: Store) -> None:
    """By the record, an event goes to where it belongs, out of one hour's file into another's."""
    _lesson(store)
    prune(store, wall_us=LATER_US)
    moved = draft("r", None, kind="restamped", author=None, details={"rule": "record", "stamps": ["playhead"]})
    placements = {1: (BASE_US + 1_000_000, BASE_US + HOUR_US + 1_000_000)}
    append = store.journal.append
    store.writer.call(lambda connection: append(connection, moved, placements=placements)).result()
    store.archive.archive_now()
    assert ["a", "b", "c", "q", "y", "z"] == _archived(store)
    first = [e.id for e in store.journal.events_between("math", 1, BASE_US + HOUR_US, BASE_US + 2 * HOUR_US)]
    assert ["a", "c"] == first


def test_who_left_is_erased_too(tmp_path: Path) -> None:
    """Words of an erased person that are in the archive alone are nowhere afterwards."""
    with open_store(tmp_path) as store:
        _lesson(store)
        prune(store, wall_us=LATER_US)
        receipt = erase_store(store, "math", ANN.key, wall_us=LATER_US)
        assert (4, 0) == (receipt["messages"], receipt["left"])
        assert ["b", "q"] == _archived(store)
        events = [store.journal.event("math", offset) for offset in range(1, 9)]
        texts = [event and event.text for event in events]
        assert [None, "of Bob", "why?", None, None, None, None, None] == texts
