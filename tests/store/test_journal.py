"""The journal: order, dedupe, what deeds do to earlier rows, and that damage never passes for history."""

from __future__ import annotations

import sqlite3
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatsync.chat.event import Event
from chatsync.errors import CorruptError, IdReusedError, NotFoundError
from chatsync.instants import HOUR_US, SECOND_US
from chatsync.store.journal import DEDUPE_US, HIDDEN_TEXT_US, Appended
from chatsync.store.opening import Store, open_store
from tests.builders import BASE_US, author, draft, stamp
from tests.store.deeds import MODERATOR, deed, placed, said, tamper

ROOMS = ["art", "bio", "math"]


# --- order ----------------------------------------------------------------------------------------------------------


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rooms=st.lists(st.sampled_from(ROOMS), min_size=1, max_size=60))
def test_offsets_rise_by_one_in_every_room(tmp_path_factory: pytest.TempPathFactory, rooms: list[str]) -> None:
    """However rooms take turns, each counts from 1 without a hole, in the order in which its events were handed in."""
    with open_store(tmp_path_factory.mktemp("data")) as store:
        appended = said(store, *(draft(f"id-{index}", str(index), room=room) for index, room in enumerate(rooms)))
        for room in set(rooms):
            ours = [one.event for one, said_in in zip(appended, rooms, strict=True) if said_in == room]
            assert list(range(1, len(ours) + 1)) == [event.offset for event in ours]
            assert ours == store.journal.events_after(room, 0, 1_000)
            assert (1, len(ours)) == store.journal.head(room)[:2]
            assert len(ours) == store.journal.verify(room)


def test_a_room_nobody_wrote_in_is_empty(store: Store) -> None:
    """Its head is offset 0 of epoch 1, and reading it gives nothing."""
    assert (1, 0) == store.journal.head("math")[:2]
    assert [] == store.journal.events_after("math", 0, 10)
    assert [] == store.journal.last_events("math", 10)
    assert store.journal.event("math", 1) is None


def test_pages_and_the_newest_come_in_order(store: Store) -> None:
    """`events_after` pages through the log, `last_events` gives its end, both in offset order."""
    said(store, *(draft(f"id-{n}") for n in range(1, 8)))
    assert [3, 4, 5] == [event.offset for event in store.journal.events_after("math", 2, 3)]
    assert [] == store.journal.events_after("math", 7, 3)
    assert [6, 7] == [event.offset for event in store.journal.last_events("math", 2)]


def test_a_range_is_sorted_by_program_time_then_offset(store: Store) -> None:
    """Ranges include their start and not their end; a late event stands where it belongs."""
    said(store, placed("a", 5), placed("b", 1), placed("c", 1), placed("d", 9), placed("e", 3, broadcast=2))
    found = store.journal.events_between("math", 1, BASE_US + SECOND_US, BASE_US + 9 * SECOND_US)
    assert ["b", "c", "a"] == [event.id for event in found]


def test_a_range_is_read_in_pages(store: Store) -> None:
    """The page after a place starts at the next event, also among events of the same instant."""
    said(store, placed("a", 1), placed("b", 1), placed("c", 1), placed("d", 2))
    ids: list[str] = []
    after = None
    while page := store.journal.events_between("math", 1, BASE_US, BASE_US + HOUR_US, after=after, limit=1):
        ids += [event.id for event in page]
        after = page[-1].place
    assert ["a", "b", "c", "d"] == ids


def test_everything_said_comes_back_as_it_was(store: Store) -> None:
    """Author, stamp with its clock record, reply, target, details and source survive the disk."""
    said(store, draft("first"))
    full = draft(
        "second",
        "שלום 👋🏽",
        author=author("Ann", "host"),
        reply_to=1,
        target=1,
        details={"fragments": [{"text": "x"}], "amount": 5, "unknown": None},
        source="import:twitch",
        stamp=stamp(BASE_US + 1_000),
    )
    (appended,) = said(store, full)
    found = store.journal.event("math", 2)
    assert appended.event == found
    assert found is not None
    for name in ("room", "kind", "id", "stamp", "wall_us", "author", "text", "reply_to", "target", "details", "source"):
        assert getattr(full, name) == getattr(found, name)


def test_state_events_are_those_that_bear_on_the_room(store: Store) -> None:
    """Messages are left out; votes and pins are in, by offset."""
    said(store, draft("a"), deed("b", "hand_raised"), deed("c", "pinned", target=1), draft("d"))
    assert ["hand_raised", "pinned"] == [event.kind for event in store.journal.state_events("math", 1)]


# --- dedupe ---------------------------------------------------------------------------------------------------------


def test_the_same_id_and_body_is_the_same_event(store: Store) -> None:
    """A client that sends again is told of the first event, whatever its stamp was the second time."""
    (first,) = said(store, draft("same", details={"fragments": [{"text": "hello"}]}))
    again = placed("same", 60, details={"fragments": [{"text": "hello"}]}, wall_us=BASE_US + SECOND_US)
    (second,) = said(store, again)
    assert (first.event, True) == (second.event, second.duplicate)
    assert 1 == store.journal.head("math").offset


@pytest.mark.parametrize(
    "other",
    [
        draft("same", "another text"),
        draft("same", kind="question"),
        draft("same", reply_to=1),
        draft("same", target=1),
        draft("same", details={"amount": 3}),
        draft("same", details={"title": "x"}),
    ],
    ids=["text", "kind", "reply", "target", "details", "said details"],
)
def test_the_same_id_with_another_body_is_refused(store: Store, other: Any) -> None:
    """An id is for one body only; nothing is written."""
    said(store, draft("same"))
    with pytest.raises(IdReusedError):
        said(store, other)
    assert 1 == store.journal.head("math").offset


def test_ids_are_each_authors_own(store: Store) -> None:
    """Two authors may use the same id, and so may two rooms."""
    appended = said(store, draft("same"), draft("same", "b", author=author("Bob")), draft("same", "c", room="art"))
    assert [(1, False), (2, False), (1, False)] == [(one.event.offset, one.duplicate) for one in appended]


def test_an_id_is_remembered_for_a_day(store: Store) -> None:
    """At 24 h it is still known; after that it is free again."""
    said(store, draft("same"))
    (known,) = said(store, draft("same", wall_us=BASE_US + DEDUPE_US))
    (new,) = said(store, draft("same", "another text", wall_us=BASE_US + DEDUPE_US + 1))
    assert (True, False, 2) == (known.duplicate, new.duplicate, new.event.offset)


def test_a_hidden_message_sent_again_is_still_the_same(store: Store) -> None:
    """Its sender gets the hidden event back; the text does not return by being sent again."""
    said(store, draft("same", "rude"), deed("h", "hidden", target=1))
    (again,) = said(store, draft("same", "rude"))
    assert (True, True, None) == (again.duplicate, again.event.hidden, again.event.text)


# --- failing work ---------------------------------------------------------------------------------------------------


def test_work_that_raises_leaves_nothing(store: Store) -> None:
    """A work that appended and then failed has left no row, no hole, no id, and the rest of its batch stands."""

    def work(connection: sqlite3.Connection) -> Appended:
        store.journal.append(connection, draft("lost", "lost"))
        raise ValueError("changed our mind")

    futures: list[Future[Any]] = [
        store.writer.call(lambda connection: store.journal.append(connection, draft("before"))),
        store.writer.call(work),
        store.writer.call(lambda connection: store.journal.append(connection, draft("after"))),
    ]
    assert 1 == futures[0].result().event.offset
    with pytest.raises(ValueError, match="changed our mind"):
        futures[1].result()
    assert 2 == futures[2].result().event.offset
    (again,) = said(store, draft("lost", "another text"))
    assert (3, False) == (again.event.offset, again.duplicate)
    assert 3 == store.journal.verify("math")


def test_failed_work_does_not_outlive_a_restart(tmp_path: Path) -> None:
    """Offsets that were taken back are not what `heads` remembers, so nothing looks lost afterwards."""
    with open_store(tmp_path) as store:
        said(store, draft("a"))

        def work(connection: sqlite3.Connection) -> None:
            store.journal.append(connection, draft("lost"))
            raise ValueError("changed our mind")

        with pytest.raises(ValueError, match="changed our mind"):
            store.writer.call(work).result()
    with open_store(tmp_path) as store:
        assert ([], (1, 1)) == (store.journal.open_report, store.journal.head("math")[:2])


# --- hiding ---------------------------------------------------------------------------------------------------------


def _row(folder: Path, offset: int) -> tuple[Any, ...]:
    connection = sqlite3.connect(folder / "chatsync.db")
    try:
        row: tuple[Any, ...] = connection.execute(
            "SELECT text, said, salt, hidden FROM journal WHERE offset = ?", (offset,)
        ).fetchone()
        return row
    finally:
        connection.close()


def test_a_hidden_text_leaves_the_journal(store: Store) -> None:
    """Text, words among the details, and salt are gone from the row; the event says that it is hidden."""
    said(store, draft("a", "rude", details={"fragments": [{"text": "rude"}], "amount": 5}), draft("b"))
    (hide,) = said(store, deed("h", "hidden", target=1))
    found = store.journal.event("math", 1)
    assert found is not None
    assert (None, {"amount": 5}, True) == (found.text, found.details, found.hidden)
    assert (None, None, None, 1) == _row(store.files.root, 1)
    assert ((1,), (1,)) == (hide.affected, store.journal.affected(hide.event))
    assert 3 == store.journal.verify("math")
    assert ["b"] == [event.id for event in store.journal.events_between("math", 1, 0, 2**62, public_only=True)]
    shown = store.journal.events_between("math", 1, 0, 2**62, public_only=True, include_hidden=True)
    assert ["a", "b"] == [event.id for event in shown]


def test_a_hide_by_author_takes_all_they_said(store: Store) -> None:
    """Messages of every broadcast, and no one else's; what has no words (a raised hand) stays."""
    ann, bob = author("Ann"), author("Bob")
    said(
        store,
        placed("a", 1, author=ann),
        placed("b", 2, author=bob),
        placed("c", 3, author=ann, broadcast=2),
        deed("d", "hand_raised", by=ann),
    )
    (hide,) = said(store, deed("h", "hidden", details={"author": ann.key}))
    assert (1, 3) == hide.affected
    hidden = [event.offset for event in store.journal.events_after("math", 0, 10) if event.hidden]
    assert [1, 3] == hidden


def test_a_hide_by_author_after_a_restart_still_finds_all(tmp_path: Path) -> None:
    """Where an author spoke is on disk, not only in memory."""
    with open_store(tmp_path) as store:
        said(store, draft("a"), placed("b", 5, broadcast=4))
    with open_store(tmp_path) as store:
        (hide,) = said(store, deed("h", "hidden", details={"author": author().key}))
    assert (1, 2) == hide.affected


def test_a_hidden_message_takes_its_pins_along(store: Store) -> None:
    """A pin shows the text, so it is hidden with it and comes back with it."""
    said(store, draft("a"), deed("p", "pinned", target=1), draft("b"), deed("q", "pinned", target=3))
    (hide, back) = said(store, deed("h", "hidden", target=1), deed("r", "restored", target=1))
    assert ((1, 2), (1, 2)) == (hide.affected, back.affected)
    assert not any(event.hidden for event in store.journal.events_after("math", 0, 10))


@pytest.mark.parametrize(
    "named", [{"target": 2}, {"details": {"author": MODERATOR.key}}], ids=["the pin", "its author"]
)
def test_a_pin_stays_away_as_long_as_the_message_it_shows(store: Store, named: dict[str, Any]) -> None:
    """Restoring the pin, or all of who pinned it, must not show again the words of a message that stays hidden."""
    said(store, draft("a", "a secret"), deed("p", "pinned", target=1, text="a secret"), deed("h", "hidden", target=1))
    (back,) = said(store, deed("r", "restored", **named))
    pin = store.journal.event("math", 2)
    assert pin is not None
    assert ((), True, None) == (back.affected, pin.hidden, pin.text)
    (later,) = said(store, deed("s", "restored", target=1))
    assert (1, 2) == later.affected


def test_what_was_hidden_since_it_was_read_cannot_be_pinned(store: Store) -> None:
    """A pin carries the words of its target: one that was on its way while they were hidden would show them again."""
    said(store, draft("a", "a secret"), deed("h", "hidden", target=1))
    with pytest.raises(NotFoundError):
        said(store, deed("p", "pinned", target=1, text="a secret"))
    said(store, deed("r", "restored", target=1))
    (pin,) = said(store, deed("p", "pinned", target=1, text="a secret"))
    assert (4, "a secret") == (pin.event.offset, pin.event.text)


def test_a_restore_brings_back_exactly_what_was_there(store: Store) -> None:
    """The event, words and all, is again what it was before the hide."""
    said(store, draft("a", "héllo\u202e x", details={"fragments": [{"text": "x"}], "amount": 5}))
    before, row = store.journal.event("math", 1), _row(store.files.root, 1)
    said(store, deed("h", "hidden", target=1))
    (back,) = said(store, deed("r", "restored", target=1))
    assert ((1,), (1,)) == (back.affected, store.journal.affected(back.event))
    assert before == store.journal.event("math", 1)
    assert row == _row(store.files.root, 1)
    assert 3 == store.journal.verify("math")


def test_a_restore_after_the_text_was_dropped_leaves_it_hidden(store: Store) -> None:
    """Hidden text is kept 30 days; after that there is nothing to bring back."""
    said(store, draft("a"), deed("h", "hidden", target=1))
    wall_us = BASE_US + HIDDEN_TEXT_US + 1
    store.writer.call(lambda connection: store.journal.sweep(connection, wall_us)).result()
    (back,) = said(store, deed("r", "restored", target=1, wall_us=wall_us))
    found = store.journal.event("math", 1)
    assert found is not None
    assert ((), True, None) == (back.affected, found.hidden, found.text)


def test_a_hide_touches_nothing_twice(store: Store) -> None:
    """What is hidden already is not hidden again, and a restore of what is shown does nothing."""
    said(store, draft("a"), deed("h", "hidden", target=1))
    (again,) = said(store, deed("i", "hidden", target=1))
    said(store, deed("r", "restored", target=1))
    (back,) = said(store, deed("s", "restored", target=1))
    assert ((), ()) == (again.affected, back.affected)


# --- restamping -----------------------------------------------------------------------------------------------------


def _places(events: list[Event]) -> list[int]:
    return [(event.program_us - BASE_US) // 1000 for event in events]


def test_a_rebase_moves_what_had_no_program_time(store: Store) -> None:
    """Events of the named stamps and of this broadcast move by the shift, whole milliseconds, and the rest stays."""
    said(
        store,
        draft("a", stamp=stamp(BASE_US, kind="none")),
        draft("b", stamp=stamp(BASE_US + 2_000_000, kind="none")),
        draft("c", stamp=stamp(BASE_US + 1_000_000)),
        draft("d", stamp=stamp(BASE_US, kind="none", broadcast=2)),
    )
    rule = {"rule": "rebase", "stamps": ["none"], "shift_us": 5_000_700}
    (moved,) = said(store, deed("r", "restamped", by=None, details=rule))
    assert ((1, 2), (1, 2)) == (moved.affected, store.journal.affected(moved.event))
    assert [5000, 7000, 1000, 0] == _places(store.journal.events_after("math", 0, 4))
    assert ["c", "a", "b"] == [event.id for event in store.journal.events_between("math", 1, BASE_US + 1, 2**62)]
    assert 5 == store.journal.verify("math")


def test_a_clamp_draws_down_what_lies_past_the_end(store: Store) -> None:
    """Only events after the instant move, to the instant; those before it stay."""
    said(store, placed("a", 1), placed("b", 9), placed("c", 10))
    rule = {"rule": "clamp", "stamps": ["playhead", "estimate"], "to_us": BASE_US + 9 * SECOND_US}
    (moved,) = said(store, deed("r", "restamped", by=None, details=rule))
    assert (3,) == moved.affected
    assert [1000, 9000, 9000] == _places(store.journal.events_after("math", 0, 3))
    assert ["a", "b", "c"] == [event.id for event in store.journal.events_after("math", 0, 3)]


def test_a_restamp_keeps_a_hidden_message_hidden(store: Store) -> None:
    """It moves, and comes back at its new place."""
    said(store, placed("a", 9), deed("h", "hidden", target=1))
    rule = {"rule": "clamp", "stamps": ["playhead"], "to_us": BASE_US}
    said(store, deed("r", "restamped", by=None, details=rule), deed("b", "restored", target=1))
    (event,) = store.journal.events_between("math", 1, BASE_US, BASE_US + 1)[:1]
    assert ("a", "hello", False) == (event.id, event.text, event.hidden)


def test_a_deed_that_is_none_affects_nothing(store: Store) -> None:
    """Only hides, restores and restamps touch earlier rows."""
    (one,) = said(store, draft("a"))
    assert ((), ()) == (one.affected, store.journal.affected(one.event))


# --- names ----------------------------------------------------------------------------------------------------------


def test_an_event_keeps_the_name_it_was_said_under(tmp_path: Path) -> None:
    """A new name does not rename the past, also after a restart; the key stays."""
    key = author("Ann").key
    ann = author("Ann")
    anna = type(ann)(key=key, name="Anna", role="participant", badges=("vip",))
    with open_store(tmp_path) as store:
        said(store, draft("a", author=ann), draft("b", author=anna), draft("c", author=anna))
    with open_store(tmp_path) as store:
        said(store, draft("d", author=anna), draft("e", author=ann))
        events = store.journal.events_after("math", 0, 10)
        assert [ann, anna, anna, anna, ann] == [event.author for event in events]
        versions = store.journal.read("SELECT name_version FROM journal WHERE room = 'math' ORDER BY offset")
        assert [(1,), (2,), (2,), (2,), (3,)] == versions


# --- damage ---------------------------------------------------------------------------------------------------------


def _spoken(store: Store) -> None:
    said(
        store,
        *(
            draft(f"id-{n}", f"text {n}", details={"title": "t", "amount": n}, reply_to=1, target=1)
            for n in range(1, 6)
        ),
    )


def test_a_deleted_row_is_missed(store: Store) -> None:
    """Reading across the hole fails, from before it and from its edge."""
    _spoken(store)
    tamper(store.files.root, "DELETE FROM journal WHERE offset = 3")
    for read in (
        lambda: store.journal.events_after("math", 0, 10),
        lambda: store.journal.events_after("math", 2, 10),
        lambda: store.journal.last_events("math", 10),
        lambda: store.journal.verify("math"),
    ):
        with pytest.raises(CorruptError):
            read()
    assert [4, 5] == [event.offset for event in store.journal.events_after("math", 3, 10)]


def test_a_deleted_first_row_is_missed(store: Store) -> None:
    """A log that does not begin at its first event is not whole."""
    _spoken(store)
    tamper(store.files.root, "DELETE FROM journal WHERE offset = 1")
    with pytest.raises(CorruptError):
        store.journal.events_after("math", 0, 10)


def test_swapped_rows_are_noticed(store: Store) -> None:
    """Two whole rows that change places do not fit their offsets."""
    _spoken(store)
    for old, new in ((2, 99), (3, 2), (99, 3)):
        tamper(store.files.root, "UPDATE journal SET offset = ? WHERE offset = ?", new, old)
    with pytest.raises(CorruptError):
        store.journal.event("math", 2)
    with pytest.raises(CorruptError):
        store.journal.events_after("math", 0, 10)


def test_a_row_of_another_room_is_noticed(store: Store) -> None:
    """A whole row moved to another room does not pass there."""
    _spoken(store)
    tamper(store.files.root, "UPDATE journal SET room = 'art' WHERE offset = 1")
    with pytest.raises(CorruptError):
        store.journal.event("art", 1)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("epoch", 2),
        ("kind", "announcement"),
        ("id", "id-9"),
        ("broadcast", 1.5),
        ("program_us", BASE_US + 1),
        ("wall_us", 0),
        ("stamp", "origin"),
        ("uncertainty_us", 1),
        ("behind_live_us", 1),
        ("claimed_us", 1),
        ("run", 7),
        ("media_sequence", 7),
        ("author_key", "key-bob"),
        ("author_key", None),
        ("role", "host"),
        ("name_version", 2),
        ("reply_to", 2),
        ("target", None),
        ("details", '{"amount":100}'),
        ("source", "system"),
        ("text_check", 0),
        ("previous", 1),
        ("chain", 1),
        ("text", "text 4"),
        ("text", None),
        ("said", None),
        ("salt", b"12345678"),
        ("placed_us", BASE_US + 1000),
        ("placed_stamp", "origin"),
        ("hidden", 1),
        ("hidden_by", 2),
        ("placed_check", 1),
    ],
)
def test_a_changed_column_is_noticed(store: Store, column: str, value: object) -> None:
    """Whatever column of a row changes behind our back, the row is not served."""
    _spoken(store)
    tamper(store.files.root, f"UPDATE journal SET {column} = ? WHERE offset = 3", value)
    with pytest.raises(CorruptError, match="row"):
        store.journal.event("math", 3)
    with pytest.raises(CorruptError):
        store.journal.verify("math")


def test_a_blanked_text_that_was_not_hidden_is_noticed(store: Store) -> None:
    """Only a hide may blank: text, words and salt that are gone without one are damage."""
    _spoken(store)
    tamper(store.files.root, "UPDATE journal SET text = NULL, said = NULL, salt = NULL WHERE offset = 3")
    with pytest.raises(CorruptError, match="text of row 3"):
        store.journal.event("math", 3)


def test_a_damaged_row_is_not_hidden(store: Store) -> None:
    """A deed on a damaged row is refused whole, so that nothing false is written over it."""
    _spoken(store)
    tamper(store.files.root, "UPDATE journal SET text = 'other' WHERE offset = 3")
    with pytest.raises(CorruptError):
        said(store, deed("h", "hidden", target=3))
    assert 5 == store.journal.head("math").offset


@pytest.mark.parametrize(("column", "value"), [("hidden", 1), ("kind", "held"), ("details", '{"to":["host"]}')])
def test_a_row_that_a_filter_would_leave_out_is_checked_first(store: Store, column: str, value: object) -> None:
    """Damage that makes a message look hidden, staff's or private does not make it slip out of an answer unnoticed."""
    _spoken(store)
    tamper(store.files.root, f"UPDATE journal SET {column} = ? WHERE offset = 3", value)
    with pytest.raises(CorruptError):
        store.journal.events_between("math", 1, 0, 2**62, public_only=True)


def test_a_page_is_full_though_much_of_the_range_is_not_for_everyone(store: Store) -> None:
    """What is left out does not count against the limit, and nothing after it is missed."""
    offsets = [one.event.offset for one in said(store, *(placed(f"m{number}", number) for number in range(12)))]
    for offset in offsets[2:9]:
        said(store, deed(f"h{offset}", "hidden", target=offset))
    found = store.journal.events_between("math", 1, 0, 2**62, public_only=True, limit=4)
    assert [*offsets[:2], *offsets[9:11]] == [event.offset for event in found]


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    """Opening it fails as corrupt, and leaves it as it is."""
    (tmp_path / "chatsync.db").write_bytes(b"not a database" * 100)
    with pytest.raises(CorruptError), open_store(tmp_path):
        pass
    assert b"not a database" * 100 == (tmp_path / "chatsync.db").read_bytes()


# --- heads ----------------------------------------------------------------------------------------------------------


def test_a_lost_tail_raises_the_epoch(tmp_path: Path) -> None:
    """Rows that `heads` knows of and the journal has not are lost: a new epoch begins after them, and lasts."""
    with open_store(tmp_path) as store:
        _spoken(store)
    tamper(tmp_path, "DELETE FROM journal WHERE offset > 3")
    with open_store(tmp_path) as store:
        assert 1 == len(store.journal.open_report)
        assert "math" in store.journal.open_report[0]
        assert (2, 5) == store.journal.head("math")[:2]
        (new,) = said(store, draft("new"))
        assert (2, 6) == (new.event.epoch, new.event.offset)
        assert [1, 2, 3, 6] == [event.offset for event in store.journal.events_after("math", 0, 10)]
    with open_store(tmp_path) as store:
        assert [] == store.journal.open_report
        assert (2, 6) == store.journal.head("math")[:2]
        assert 4 == store.journal.verify("math")


def test_a_lost_tail_raises_the_epoch_once(tmp_path: Path) -> None:
    """Opening again before anybody wrote finds nothing new."""
    with open_store(tmp_path) as store:
        _spoken(store)
    tamper(tmp_path, "DELETE FROM journal WHERE offset > 3")
    for expected in (1, 0):
        with open_store(tmp_path) as store:
            assert expected == len(store.journal.open_report)
            assert (2, 5) == store.journal.head("math")[:2]


def test_a_rewritten_end_raises_the_epoch(tmp_path: Path) -> None:
    """A row at the known end that is not the one that was written there is no proof of history."""
    with open_store(tmp_path) as store:
        _spoken(store)
    tamper(tmp_path, "UPDATE journal SET chain = chain + 1 WHERE offset = 5")
    with open_store(tmp_path) as store:
        assert (2, 5) == store.journal.head("math")[:2]
        assert 1 == len(store.journal.open_report)


def test_an_older_head_says_nothing_is_lost(tmp_path: Path) -> None:
    """A power cut may leave an older `heads`; the journal, which has more, is right."""
    with open_store(tmp_path) as store:
        said(store, draft("a"))
    older = (tmp_path / "heads").read_bytes()
    with open_store(tmp_path) as store:
        said(store, draft("b"))
    (tmp_path / "heads").write_bytes(older)
    with open_store(tmp_path) as store:
        assert ([], (1, 2)) == (store.journal.open_report, store.journal.head("math")[:2])


def test_other_rooms_keep_their_epoch(tmp_path: Path) -> None:
    """Only the room that lost something begins a new epoch."""
    with open_store(tmp_path) as store:
        said(store, draft("a"), draft("b", room="art"))
    tamper(tmp_path, "DELETE FROM journal WHERE room = 'math'")
    with open_store(tmp_path) as store:
        assert [(2, 1), (1, 1)] == [store.journal.head(room)[:2] for room in ("math", "art")]
