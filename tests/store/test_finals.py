"""Polls in the archive and in lists: what they came to, once no vote can change it, and no answer before."""

from __future__ import annotations

import json
from typing import Any

import pyarrow.parquet as pq

from chatsync.chat.event import Draft, Event, Position
from chatsync.instants import HOUR_US, Range
from chatsync.store import finals
from chatsync.store.opening import Store
from chatsync.store.query import Query
from chatsync.store.slicing import built_slice, slice_row
from tests.builders import BASE_US, author, event, stamp
from tests.store.deeds import deed, placed, said

HOST = author("Host", "host")
POLL = {"poll": "p1", "question": "Continuous?", "choices": ["yes", "no"], "multiple": False, "answer": [1]}
CLOSED = 4  # its offset
LATE_CLOSED = HOUR_US // 1_000_000 + 30


def _at(id_: str, kind: str, after_s: int, **fields: Any) -> Draft:
    return deed(id_, kind, stamp=stamp(BASE_US + after_s * 1_000_000), **fields)


def _poll(store: Store, closed_s: int = 40) -> None:
    """A quiz with two votes, closed."""
    said(
        store,
        _at("open", "poll_opened", 0, by=HOST, details=POLL),
        _at("v1", "poll_voted", 10, by=author("Ann"), details={"poll": "p1", "choices": [0]}),
        _at("v2", "poll_voted", 20, by=author("Ben"), details={"poll": "p1", "choices": [1]}),
        _at("close", "poll_closed", closed_s, by=HOST, details={"poll": "p1"}),
    )


def _seal(store: Store, start_s: int, end_s: int) -> None:
    """List a slice, as a relay does when the watermark has passed."""
    within = Range(BASE_US + start_s * 1_000_000, BASE_US + end_s * 1_000_000)
    head = store.journal.head("math")
    key: dict[str, Any] = {"broadcast": 1, "within": within, "position": Position(1, head.offset), "revision": 1}
    built = built_slice(store.journal, "math", **key)
    assert built is not None
    _, row = slice_row(built, **key)
    store.writer.call(lambda connection: store.catalog.put_slice(connection, "math", row, 7, built.finals_us)).result()


def _archived(store: Store) -> dict[str, dict[str, Any]]:
    """Details by kind, as the public archive has them now."""
    store.archive.archive_now()
    files = store.catalog.archive_files("math", 1)
    rows = [row for file in files for row in pq.read_table(store.files.root / file.path).to_pylist()]
    return {row["kind"]: json.loads(row["details"]) for row in rows}


def test_the_archive_prints_tally_and_answer_once_they_are_final(store: Store) -> None:
    """Before, a file that everybody may read has neither; being sealed makes a new generation, though nothing was logged."""
    _poll(store)
    before = _archived(store)
    assert ({"poll": "p1"}, False) == (before["poll_closed"], "answer" in before["poll_opened"])
    assert [] == store.catalog.dirty_hours()
    _seal(store, 0, 60)
    assert [("math", 1, BASE_US, 4)] == store.catalog.dirty_hours()
    after = _archived(store)
    assert {"poll": "p1", "tally": [1, 1], "answer": [1]} == after["poll_closed"]
    assert POLL == after["poll_opened"]
    assert [] == store.catalog.dirty_hours()
    assert [2] == [file.generation for file in store.catalog.archive_files("math", 1)]


def test_the_hour_in_which_a_poll_was_opened_is_written_anew_too(store: Store) -> None:
    """Its answer may be told now."""
    _poll(store, closed_s=LATE_CLOSED)
    _seal(store, 0, 60)
    assert "answer" not in _archived(store)["poll_opened"]
    _seal(store, LATE_CLOSED, LATE_CLOSED + 10)
    assert [BASE_US, BASE_US + HOUR_US] == [hour_us for _, _, hour_us, _ in store.catalog.dirty_hours()]
    assert [1] == _archived(store)["poll_opened"]["answer"]


def test_a_vote_that_came_late_is_counted_by_the_next_generation(store: Store) -> None:
    """It was made before the close, and was in no slice yet when that was sealed."""
    _poll(store)
    _seal(store, 0, 60)
    assert [1, 1] == _archived(store)["poll_closed"]["tally"]
    said(store, _at("v3", "poll_voted", 30, by=author("Cleo"), details={"poll": "p1", "choices": [1]}))
    _seal(store, 0, 60)
    assert [1, 2] == _archived(store)["poll_closed"]["tally"]


def test_polls_that_became_final_while_their_hour_was_written_are_written_again(store: Store) -> None:
    """Whoever made the file saw them as they were before."""
    _poll(store)
    make = store.archive._maker.make_span

    def sealed_meanwhile(*given: Any) -> Any:
        made = make(*given)
        _seal(store, 0, 60)
        return made

    store.archive._maker.make_span = sealed_meanwhile  # type: ignore[assignment, method-assign]
    assert {"poll": "p1"} == _archived(store)["poll_closed"]
    store.archive._maker.make_span = make  # type: ignore[method-assign]
    assert [1, 1] == _archived(store)["poll_closed"]["tally"]


def test_lists_say_the_same_from_journal_and_archive(store: Store) -> None:
    """Who pages through messages learns it before the hour is archived and after."""
    _poll(store)
    query = Query(store.files, store.journal, store.catalog)

    def listed() -> list[dict[str, Any]]:
        page = query.messages_page("math", 1, BASE_US, BASE_US + HOUR_US)
        return [one.details for one in page if one.kind == "poll_closed"]

    assert [{"poll": "p1"}] == listed()
    _archived(store)
    assert [{"poll": "p1"}] == listed()
    _seal(store, 0, 60)
    final = {"poll": "p1", "tally": [1, 1], "answer": [1]}
    assert [final] == listed()
    _archived(store)
    assert [final] == listed()


def test_a_row_that_comes_back_from_the_archive_is_as_it_was_logged(store: Store) -> None:
    """What a poll came to is counted from the votes, never kept with the close."""
    _poll(store)
    _seal(store, 0, 60)
    _archived(store)
    (file,) = store.catalog.archive_files("math", 1)
    (row,) = store.archive.rows_in(file, [CLOSED])
    assert '{"poll":"p1"}' == row[21]


def test_nothing_is_counted_where_no_poll_was_closed() -> None:
    """A page of messages costs no look at the votes."""

    def never() -> finals.Finals:
        raise AssertionError

    page: list[Event] = [event(1), event(2, "poll_opened")]
    assert page == finals.with_finals(page, never)


def test_of_an_open_poll_nothing_is_told(store: Store) -> None:
    """Also when all that was said is sealed."""
    said(store, placed("m", 1), _at("open", "poll_opened", 2, by=HOST, details=POLL))
    _seal(store, 0, 60)
    assert "answer" not in _archived(store)["poll_opened"]
