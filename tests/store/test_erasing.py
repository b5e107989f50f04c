"""Erasing a person from a folder at rest: what goes, what stays, what is found afterwards."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest

from chatsync.errors import ErasureIncompleteError, NotFoundError
from chatsync.instants import HOUR_US
from chatsync.store.erasing import Eraser, _prints, erase_store
from chatsync.store.opening import Store, open_store
from tests.builders import BASE_US, author, draft
from tests.store.deeds import MODERATOR, deed, placed, said, tamper

ANN, BOB = author("Annabel"), author("Bob")
WORDS = "what only Annabel would say"
NOW_US = BASE_US + 5 * HOUR_US


def _erase(store: Store, key: str = ANN.key) -> dict[str, Any]:
    return erase_store(store, "math", key, wall_us=NOW_US)


def _files_with(folder: Path, *words: str) -> list[str]:
    """Files in which any of these words lies, compressed or not."""
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        bodies = [path.read_bytes()]
        if path.suffix == ".gz":
            bodies.append(gzip.decompress(bodies[0]))
        if path.suffix == ".parquet":
            bodies.append(str(pq.ParquetFile(path).read().to_pylist()).encode())
        if any(word.encode() in body for word in words for body in bodies):
            found.append(path.name)
    return found


def test_words_and_name_are_nowhere(tmp_path: Path) -> None:
    """After an erasure no file of the folder has a word or the name, compressed or not; what others said is all there."""
    with open_store(tmp_path) as store:
        said(store, placed("a", 1, WORDS, author=ANN), placed("b", 2, author=BOB), placed("c", 3700, WORDS, author=ANN))
        store.archive.archive_now()
        said(store, placed("d", 4, f"{WORDS} again", author=ANN))
        assert _files_with(tmp_path, WORDS, "Annabel")
        receipt = _erase(store)
        assert (3, 3, 1, 0) == (receipt["events"], receipt["messages"], receipt["names"], receipt["left"])
        assert [] == _files_with(tmp_path, WORDS, "Annabel")
        events = store.journal.events_after("math", 0, 10)
        assert ["a", "b", "c", "d"] == [event.id for event in events[:4]]
        assert [(None, True), ("hello", False), (None, True), (None, True)] == [
            (event.text, event.hidden) for event in events[:4]
        ]
        assert 5 == store.journal.verify("math")
        rows = [row for file in (tmp_path / "archive" / "events").rglob("*.parquet") for row in _rows(file)]
        assert ["b"] == [row["id"] for row in rows]
        assert [] == store.archive.verify()


def _rows(file: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.ParquetFile(file).read().to_pylist()
    return rows


def test_only_hours_that_hold_them_are_written_anew(store: Store) -> None:
    """The other files of the archive stay as they are."""
    said(store, placed("a", 1, WORDS, author=ANN), placed("b", 3700, author=BOB))
    store.archive.archive_now()
    before = {file.hour_us: file.path for file in store.catalog.archive_files("math")}
    _erase(store)
    after = {file.hour_us: file.path for file in store.catalog.archive_files("math")}
    assert before[BASE_US] != after[BASE_US]
    assert before[BASE_US + HOUR_US] == after[BASE_US + HOUR_US]


def test_pins_of_their_words_go_and_their_pins_of_others_stay(store: Store) -> None:
    """A pin by a moderator quotes the person: it goes. A pin that the person made quotes somebody else: it stays, without a name."""
    said(
        store,
        draft("a", WORDS, author=ANN),
        deed("p", "pinned", target=1, text=WORDS),
        draft("b", "of Bob", author=BOB),
        deed("q", "pinned", by=ANN, target=3, text="of Bob"),
        deed("m", "mode_changed", by=ANN, details={"mode": {"write": "hosts"}}),
    )
    assert [1, 2, 4, 5] == _affected(store, _erase(store))
    events = {event.id: event for event in store.journal.events_after("math", 0, 10)}
    assert [("a", True), ("p", True), ("b", False), ("q", False), ("m", False)] == [
        (id_, events[id_].hidden) for id_ in ("a", "p", "b", "q", "m")
    ]
    assert ("of Bob", "") == (events["q"].text, events["q"].author and events["q"].author.name)


def _affected(store: Store, receipt: dict[str, Any]) -> list[int]:
    event = store.journal.event("math", receipt["offset"])
    assert event is not None
    return list(store.journal.affected(event))


def test_what_was_hidden_before_is_gone_for_good(tmp_path: Path) -> None:
    """The moderators' copy of a hidden message goes too, and a restore brings nothing back."""
    with open_store(tmp_path) as store:
        said(store, draft("a", WORDS, author=ANN), deed("h", "hidden", target=1))
        _erase(store)
        assert [] == _files_with(tmp_path, WORDS, "Annabel")
        said(store, deed("r", "restored", target=1))
        event = store.journal.event("math", 1)
        assert event is not None
        assert (None, True) == (event.text, event.hidden)


def test_what_came_back_after_a_hide_is_gone_for_good(store: Store) -> None:
    """A restore keeps the moderators' copy for its days; an erasure takes that too, and is complete."""
    said(store, placed("a", 1, "words that were hidden and came back"))
    said(store, deed("h", "hidden", target=1), deed("r", "restored", target=1))
    receipt = erase_store(store, "math", author().key, wall_us=BASE_US)
    assert (0, []) == (receipt["left"], store.journal.hidden_texts())


def test_who_comes_back_is_somebody_new(store: Store) -> None:
    """A name used after the erasure does not return to what was said before it, and can be erased again."""
    said(store, draft("a", WORDS, author=ANN), deed("m", "mode_changed", by=ANN))
    _erase(store)
    said(store, draft("b", "back again, as ever", author=author("Annabel")))
    names = {event.id: event.author and event.author.name for event in store.journal.events_after("math", 0, 10)}
    assert {"a": "", "m": "", "b": "Annabel"} == {id_: names[id_] for id_ in ("a", "m", "b")}
    assert 1 == _erase(store)["messages"]


def test_a_retry_of_an_erased_message_does_not_bring_it_back(store: Store) -> None:
    """The same id again is answered with the first ack."""
    (first,) = said(store, draft("a", WORDS, author=ANN))
    _erase(store)
    (again,) = said(store, draft("a", WORDS, author=ANN))
    assert (True, first.event.offset) == (again.duplicate, again.event.offset)


def test_a_moderators_reasons_go_with_them(tmp_path: Path) -> None:
    """Why they hid something is in their words."""
    with open_store(tmp_path) as store:
        said(store, draft("a", author=BOB), deed("h", "hidden", target=1, details={"reason": "no manners, this Bob"}))
        store.archive.archive_now()
        _erase(store, MODERATOR.key)
        assert [] == _files_with(tmp_path, "no manners", "Max")
        event = store.journal.event("math", 1)
        assert event is not None
        assert event.hidden


def test_words_that_others_said_too_are_theirs(store: Store) -> None:
    """The same sentence of somebody else stays, and is not taken for what was left."""
    said(store, draft("a", WORDS, author=ANN), draft("b", WORDS, author=BOB))
    assert 0 == _erase(store)["left"]
    event = store.journal.event("math", 2)
    assert event is not None
    assert WORDS == event.text


def test_who_is_known_in_another_room_too_is_erased_from_one(store: Store) -> None:
    """Under one key in two rooms, as in those of a course: words and name stay in the room that nobody asked about."""
    said(store, placed("a", 1, WORDS, author=ANN), draft("b", WORDS, room="art", author=ANN))
    assert 0 == _erase(store)["left"]
    assert (["Annabel"], []) == (store.journal.names("art", ANN.key), store.journal.names("math", ANN.key))


def test_an_unknown_author_is_told(store: Store) -> None:
    """Nothing is logged for somebody who was never there."""
    said(store, draft("a", author=BOB))
    with pytest.raises(NotFoundError):
        _erase(store, "nobody")
    assert 1 == store.journal.head("math").offset


def test_what_is_known_is_told_without_words(store: Store) -> None:
    """Counts, names, broadcasts and when; nothing of what was said."""
    said(store, draft("a", WORDS, author=ANN), placed("b", 5, WORDS, author=ANN, broadcast=2))
    known = Eraser(store).find("math", ANN.key).to_wire()
    assert (["Annabel"], 2, 2, [1, 2]) == tuple(known[name] for name in ("names", "events", "messages", "broadcasts"))
    assert WORDS not in str(known)


def test_an_interrupted_erasure_is_taken_up(tmp_path: Path) -> None:
    """After a crash between the event and the files, the next process finishes it."""
    with open_store(tmp_path) as store:
        said(store, placed("a", 1, WORDS, author=ANN))
        store.archive.archive_now()
        store.archive.archive_now = _crash  # type: ignore[method-assign, assignment]
        with pytest.raises(KeyboardInterrupt):
            _erase(store)
    assert _files_with(tmp_path, WORDS)
    with open_store(tmp_path) as store:
        assert 1 == Eraser(store).finish_all(wall_us=NOW_US)
        assert [] == _files_with(tmp_path, WORDS, "Annabel")
        assert 0 == Eraser(store).finish_all(wall_us=NOW_US)


def _crash(*_: Any) -> int:
    raise KeyboardInterrupt


def test_what_is_left_is_told(tmp_path: Path) -> None:
    """Words that come back behind the program's back are found, the file is named, and the erasure stays on the list."""
    with open_store(tmp_path) as store:
        said(store, placed("a", 1, WORDS, author=ANN))
        eraser = Eraser(store)
        found = eraser.find("math", ANN.key)
        _erase(store)
        tamper(tmp_path, "CREATE TABLE stray (words TEXT)")
        tamper(tmp_path, "INSERT INTO stray VALUES (?)", WORDS)
        with pytest.raises(ErasureIncompleteError) as caught:
            eraser.finish("math", ANN.key, found, wall_us=NOW_US)
        assert ["chatsync.db"] == caught.value.left


def test_progress_is_told(store: Store) -> None:
    """Hours written and files looked through, of how many."""
    told: list[tuple[str, int, int]] = []
    said(store, placed("a", 1, WORDS, author=ANN), placed("b", 3700, WORDS, author=ANN))
    store.archive.archive_now()
    erase_store(store, "math", ANN.key, wall_us=NOW_US, progress=lambda *one: told.append(one))
    assert ("math", 3, 3) in told or ("math", 2, 2) in told


NOTHING: dict[str, Any] = {"authors": [], "events": [], "state": {"pinned": [], "questions": [], "hands": []}}
ANNS = [{"key": ANN.key, "name": "Annabel"}]


@pytest.mark.parametrize(
    ("changes", "is_back", "is_left"),
    [
        ({}, False, False),
        ({"authors": ANNS, "state": NOTHING["state"] | {"hands": [{"author": 0}]}}, False, True),
        ({"authors": ANNS, "state": NOTHING["state"] | {"hands": [{"author": 0}]}}, True, False),
        ({"state": NOTHING["state"] | {"questions": [{"offset": 3, "text": WORDS}]}}, False, True),
        ({"state": NOTHING["state"] | {"pinned": [{"offset": 3, "text": WORDS}]}}, True, True),
        ({"state": NOTHING["state"] | {"pinned": [{"offset": 4, "text": "of Bob"}]}}, False, False),
        ({"authors": ANNS, "events": [{"author": 0, "offset": 12, "kind": "message", "text": "hello"}]}, True, False),
        ({"authors": ANNS, "events": [{"author": 0, "offset": 2, "kind": "hand_raised"}]}, True, True),
    ],
    ids=["nothing", "hand", "hand of who is back", "question", "pin", "pin of another", "message since", "name before"],
)
def test_what_a_slice_still_shows_is_found(changes: dict[str, Any], is_back: bool, is_left: bool) -> None:
    """Its events and the state it opens with: an erasure is not done before both are without words and name."""
    assert is_left == _prints(NOTHING | changes, ANN.key, 10, frozenset({2, 3}), is_back=is_back)


def test_a_superseded_slice_that_a_crash_left_is_no_hiding_place(tmp_path: Path) -> None:
    """Nobody lists it any more, and it still has the name: with a relay the erasure waits for its sweep, at rest it is removed."""
    with open_store(tmp_path) as store:
        said(store, placed("a", 1, WORDS, author=ANN))
        stale = (
            tmp_path
            / "slices"
            / "public"
            / "math"
            / "1"
            / f"{BASE_US // 1000}-{BASE_US // 1000 + 60_000}.e1.r1.json.gz"
        )
        stale.parent.mkdir(parents=True)
        told = {"authors": [{"key": ANN.key, "name": ANN.name}], "events": [], "state": {"pinned": [], "questions": []}}
        stale.write_bytes(gzip.compress(msgspec.json.encode(told)))
        found = Eraser(store).find("math", ANN.key)
        erased = deed("e", "erased", details={"author": ANN.key})
        said(store, erased)
        with pytest.raises(ErasureIncompleteError) as left:
            Eraser(store).finish("math", ANN.key, found, wall_us=NOW_US)
        assert stale.name in str(left.value)
        stale_again = stale.read_bytes()
        stale.unlink()
        Eraser(store).finish("math", ANN.key, found, wall_us=NOW_US)
        said(store, placed("b", 2, WORDS, author=BOB))
        stale.write_bytes(stale_again)
        _erase(store, BOB.key)
        assert not stale.exists()
