"""Numbers of people: drawn at random, one each, never given twice, on disk before anything is said under them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chatsync.chat.event import Author
from chatsync.errors import CorruptError
from chatsync.store.erasing import erase_store
from chatsync.store.numbers import Numbers
from chatsync.store.opening import Store, open_store
from tests.builders import BASE_US, draft
from tests.scanning import files_with
from tests.store.deeds import said, tamper


def _loaded(*rows: Any) -> Numbers:
    numbers = Numbers()
    numbers.load("math", rows)
    return numbers


def _shown(store: Store, key: str, given: str | None = None) -> Author:
    return Author(key=key, name=f"Student {store.journal.numbers.of('math', key, given)}")


def _rows(store: Store) -> dict[str | None, tuple[int, str | None]]:
    return {key: (number, given) for _, number, key, given in store.journal.number_rows("math")}


def test_nobody_has_the_number_of_another() -> None:
    """A thousand people have a thousand numbers, the same whenever they are asked for; the first have two digits."""
    numbers = _loaded()
    drawn = {f"key-{person}": numbers.of("math", f"key-{person}") for person in range(1_000)}
    assert 1_000 == len(set(drawn.values()))
    assert drawn == {key: numbers.of("math", key) for key in drawn}
    assert all(1 <= number <= 99 for number in list(drawn.values())[:49])
    assert max(drawn.values()) <= 9_999


def test_numbers_say_nothing_of_the_order_or_of_other_rooms() -> None:
    """They are drawn: people who come in the same order into two rooms have other numbers there."""
    numbers = _loaded()
    numbers.load("art", ())
    drawn = [[numbers.of(room, f"key-{person}") for person in range(40)] for room in ("math", "art")]
    assert drawn[0] != drawn[1]
    assert all(sorted(one) != one for one in drawn)


def test_what_is_on_disk_stands_and_what_was_somebodys_is_not_given_again() -> None:
    """Rows without a key are numbers of people who are gone."""
    numbers = _loaded(*[("math", number, None, None) for number in range(1, 45)], ("math", 45, "key-a", None))
    assert 45 == numbers.of("math", "key-a")
    assert all(numbers.of("math", f"key-{person}") > 45 for person in range(30))


def test_a_room_whose_numbers_are_not_read_gives_none() -> None:
    """It could give one that is somebody's."""
    with pytest.raises(CorruptError):
        Numbers().of("math", "key-a")


def test_a_number_is_on_disk_with_the_first_word(tmp_path: Path) -> None:
    """Who only watches leaves nothing; who speaks has the number in every later process."""
    with open_store(tmp_path) as store:
        store.journal.load_numbers("math", keeps_given=False)
        ann, _ = _shown(store, "key-ann"), _shown(store, "key-watching")
        assert {} == _rows(store)
        said(store, draft("a", author=ann), draft("b", author=ann))
        assert {"key-ann": (int(ann.name.split()[1]), None)} == _rows(store)
    with open_store(tmp_path) as store:
        store.journal.load_numbers("math", keeps_given=False)
        assert ann == _shown(store, "key-ann")
        assert "key-watching" not in _rows(store)


def test_a_number_of_a_lost_batch_is_saved_with_the_next(store: Store) -> None:
    """The disk fails when somebody speaks for the first time: what they say later is under a number that is on disk."""
    store.journal.load_numbers("math", keeps_given=False)
    ann = _shown(store, "key-ann")

    def fail(_: Any) -> None:
        raise OSError(28, "no space")

    store.writer.before_commit.insert(0, fail)
    with pytest.raises(Exception, match="disk"):
        said(store, draft("a", author=ann))
    store.writer.before_commit.remove(fail)
    assert {} == _rows(store)
    said(store, draft("b", author=ann))
    assert {"key-ann"} == set(_rows(store))


def test_who_was_erased_has_another_number(tmp_path: Path) -> None:
    """Their old one stays nobody's, and the name behind it is in no byte of the folder."""
    with open_store(tmp_path) as store:
        store.journal.load_numbers("math", keeps_given=True)
        first = _shown(store, "key-ann", "Annabel Weber")
        said(store, draft("a", "what only Annabel would say", author=first))
        assert [first.name, "Annabel Weber"] == store.journal.names("math", "key-ann")
        assert files_with(tmp_path, "Annabel")
        assert 0 == erase_store(store, "math", "key-ann", wall_us=BASE_US)["left"]
        assert [] == files_with(tmp_path, "Annabel")
        assert {None: (int(first.name.split()[1]), None)} == _rows(store)
        assert first != _shown(store, "key-ann", "Annabel Weber")


def test_a_guest_who_said_nothing_gives_the_number_back(store: Store) -> None:
    """One under which something was said stays theirs."""
    store.journal.load_numbers("math", keeps_given=False)
    speaker, watcher = _shown(store, "key-speaker"), _shown(store, "key-watcher")
    said(store, draft("a", author=speaker))
    for key in ("key-speaker", "key-watcher", "key-never"):
        store.journal.numbers.release("math", key)
    assert speaker == _shown(store, "key-speaker")
    used = {f"Student {number}" for number in store.journal.numbers._rooms["math"].used}
    assert {speaker.name} == used
    assert watcher.name not in used


def test_names_behind_numbers_go_when_they_may_not_be_known(store: Store) -> None:
    """The room's settings are changed: what was kept for hosts is forgotten, numbers stay."""
    store.journal.load_numbers("math", keeps_given=True)
    ann = _shown(store, "key-ann", "Annabel")
    said(store, draft("a", author=ann))
    store.journal.load_numbers("math", keeps_given=False)
    assert {"key-ann": (int(ann.name.split()[1]), None)} == _rows(store)


def test_damaged_numbers_are_told_and_believed_by_a_repair(tmp_path: Path) -> None:
    """A row that is gone could be given again: nothing is read before a repair."""
    with open_store(tmp_path) as store:
        store.journal.load_numbers("math", keeps_given=False)
        said(store, draft("a", author=_shown(store, "key-ann")), draft("b", author=_shown(store, "key-bob")))
        tamper(tmp_path, "DROP TRIGGER numbers_taken", file="identity.db")
        tamper(tmp_path, "DELETE FROM numbers WHERE author_key = 'key-ann'", file="identity.db")
        with pytest.raises(CorruptError):
            store.journal.load_numbers("math", keeps_given=False)
        work = store.writer.call(lambda connection: store.journal.drop_damaged_beside(connection, dry_run=False))
        assert ["that all numbers of people of room math are there: they are believed"] == work.result()
        store.journal.load_numbers("math", keeps_given=False)
