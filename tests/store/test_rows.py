"""Rows of the journal: what their checksums cover, and that blanking leaves them whole."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatsync.errors import CorruptError
from chatsync.instants import HOUR_US
from chatsync.store.opening import Store, open_store
from chatsync.store.rows import (
    COLUMNS,
    ERASABLE,
    FIXED,
    SAID_DETAILS,
    checked,
    details_of,
    event_of,
    placed_check,
    row_of,
)
from tests.builders import BASE_US, author, draft
from tests.store.deeds import deed, placed, said, tamper

_WORDS = {"question": "Which one?", "choices": ["this", "that"]}


def _row(**fields: Any) -> tuple[Any, ...]:
    given: dict[str, Any] = {"details": {"poll": "p1", **_WORDS}, "reply_to": 3} | fields
    return row_of(draft("id-1", **given), epoch=2, offset=9, previous=1234, name_version=4)


def _changed(row: tuple[Any, ...], **values: Any) -> tuple[Any, ...]:
    return tuple(values.get(name, value) for name, value in zip(COLUMNS, row, strict=True))


def test_a_row_gives_back_the_event() -> None:
    """Everything a draft says is in the event of its row, words among the details too."""
    written = draft("id-1", details={"poll": "p1", **_WORDS}, reply_to=3, target=2, source="ingest")
    event = event_of(checked(row_of(written, epoch=2, offset=9, previous=0, name_version=4)), written.author)
    assert (written.room, 2, 9, written.kind, written.id) == (
        event.room,
        event.epoch,
        event.offset,
        event.kind,
        event.id,
    )
    assert (written.stamp, written.wall_us, written.author) == (event.stamp, event.wall_us, event.author)
    assert (written.text, 3, 2, "ingest") == (event.text, event.reply_to, event.target, event.source)
    assert written.details == event.details
    assert not event.hidden


def test_every_fixed_column_is_covered() -> None:
    """Whichever fixed column or link of the chain is changed, the row is refused."""
    row = checked(_row())
    for name in (*FIXED, "previous", "chain"):
        value = row[COLUMNS.index(name)]
        other = value + 1 if isinstance(value, int) else "x" if value != "x" else "y"
        with pytest.raises(CorruptError, match="journal is damaged"):
            checked(_changed(row, **{name: other}))


@pytest.mark.parametrize(
    "change", [{"text": "other"}, {"said": '{"question":"?"}'}, {"salt": b"12345678"}, {"text": None}]
)
def test_changed_words_are_found(change: dict[str, Any]) -> None:
    """Text, words among the details and salt are covered while the row is not hidden."""
    with pytest.raises(CorruptError, match="text of row 9"):
        checked(_changed(_row(), **change))


def test_a_changed_place_is_found() -> None:
    """A row cannot be moved, hidden or shown without its checksum."""
    row = _row()
    for change in ({"placed_us": 5}, {"placed_stamp": "none"}, {"hidden": 1}, {"hidden_by": 7}):
        with pytest.raises(CorruptError, match=r"(place|text) of row 9"):
            checked(_changed(row, **change))


def test_blanking_leaves_the_chain_whole_and_no_word_behind() -> None:
    """A hidden row without text, words and salt is accepted; nothing in it can confirm a guess."""
    row = _row(text="a secret")
    event = event_of(row, None)
    placed = (event.program_us, event.stamp.stamp, 1, 12)
    blanked = _changed(
        row,
        **dict.fromkeys(ERASABLE),
        **dict(zip(("placed_us", "placed_stamp", "hidden", "hidden_by"), placed, strict=True)),
        placed_check=placed_check(9, *placed),
    )
    hidden = event_of(checked(blanked), author())
    assert (None, {"poll": "p1"}, True) == (hidden.text, hidden.details, hidden.hidden)
    assert "secret" not in repr(blanked)
    assert "Which one" not in repr(blanked)
    with pytest.raises(CorruptError):
        checked(_changed(row, **dict.fromkeys(ERASABLE)))


def test_the_same_text_has_another_checksum_each_time() -> None:
    """The checksum is salted: equal texts cannot be told from equal checksums."""
    at = COLUMNS.index("text_check")
    assert len({_row()[at] for _ in range(20)}) > 15
    assert 0 == _row(text=None, details={"poll": "p1"})[at]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_NAMES = st.sampled_from(sorted(SAID_DETAILS)) | st.text(max_size=6)


@given(details=st.dictionaries(_NAMES, _JSON, max_size=5))
def test_details_come_back_whatever_they_are(details: dict[str, Any]) -> None:
    """Any JSON details survive, and those that are words stand apart from those that stay."""
    fixed, said = details_of(details)
    row = _row(details=details)
    assert details == event_of(checked(row), None).details
    assert (said is None) == (not SAID_DETAILS & details.keys())
    assert fixed == row[COLUMNS.index("details")]


@given(data=st.data())
def test_any_single_wrong_value_is_found(data: st.DataObject) -> None:
    """Whatever one column is changed to, the row is refused or reads as it was written."""
    row = _row()
    name = data.draw(st.sampled_from([name for name in COLUMNS if name != "offset"]))
    value = row[COLUMNS.index(name)]
    other = data.draw(
        st.integers(-(2**63), 2**63 - 1)
        if isinstance(value, int)
        else st.binary()
        if isinstance(value, bytes)
        else st.text()
    )
    if other != value:
        with pytest.raises(CorruptError):
            checked(_changed(row, **{name: other}))


def test_a_place_that_is_none_is_damage(store: Store) -> None:
    """An index that names an instant which is no number is refused like any other that does not fit."""
    said(store, placed("a", 1), placed("b", 2))
    connection = sqlite3.connect(store.files.database)
    with connection:
        connection.execute("PRAGMA writable_schema = 1")
        connection.execute(
            "UPDATE sqlite_master SET sql = replace(sql, 'placed_us INTEGER NOT NULL', 'placed_us INTEGER') "
            "WHERE name = 'journal'"
        )
    connection.close()
    tamper(store.files.root, "DROP TRIGGER journal_moved")
    tamper(store.files.root, "UPDATE journal SET placed_us = NULL WHERE offset = 1")
    with pytest.raises(CorruptError):
        store.journal.events_between("math", 1, BASE_US, BASE_US + HOUR_US)


def test_a_row_that_is_found_by_no_key_is_missed(tmp_path: Path) -> None:
    """Reading backwards stops early where a key is damaged: fewer of the newest are no answer."""
    with open_store(tmp_path) as store:
        said(store, *(placed(f"id-{n}", n) for n in range(10)))
    connection = sqlite3.connect(tmp_path / "chatsync.db", isolation_level=None)
    connection.execute("UPDATE journal SET room = 'lath' WHERE offset = 4")
    connection.close()
    with open_store(tmp_path) as store:
        for ask in (
            lambda: store.journal.last_events("math", 20),
            lambda: store.journal.named_rows("math", author().key),
            lambda: said(store, deed("h", "hidden", target=4)),
        ):
            with pytest.raises(CorruptError):
                ask()
