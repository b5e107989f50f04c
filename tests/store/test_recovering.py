"""Opening a folder: what was lost is told, of `heads` itself and of the databases beside the journal too."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from chatsync.store.heads import Heads
from chatsync.store.opening import open_store
from chatsync.store.verifying import verify_store
from tests.builders import author, draft
from tests.store.deeds import deed, said

SLOT_BYTES = 128


def _flip(path: Path, at: int) -> None:
    body = bytearray(path.read_bytes())
    body[at] ^= 1
    path.write_bytes(bytes(body))


def _slot_of(path: Path, room: str) -> int:
    return path.read_bytes().index(room.encode().ljust(64, b"\0"))


def test_a_damaged_head_is_no_proof(tmp_path: Path) -> None:
    """The room whose slot is damaged begins a new epoch, far enough ahead; others do not; `heads` is made anew."""
    with open_store(tmp_path) as store:
        said(store, draft("a"), draft("b", room="art"))
    _flip(tmp_path / "heads", _slot_of(tmp_path / "heads", "math") + 75)
    with open_store(tmp_path) as store:
        assert ["heads", "room math"] == [
            line.partition(" is")[0].partition(":")[0] for line in store.journal.open_report
        ]
        assert (2, 1) == (store.journal.head("math").epoch, store.journal.head("art").epoch)
        (new,) = said(store, draft("new"))
        assert new.event.offset > 1_000_000
        assert ["a", "new"] == [event.id for event in store.journal.events_after("math", 0, 10)]
    assert 1 == len(list((tmp_path / "quarantine").glob("heads.1")))
    with open_store(tmp_path) as store:
        assert [] == store.journal.open_report
        assert [] == verify_store(store)["damaged"]


@pytest.mark.parametrize("kept_bytes", [None, 0, 4_096])
def test_without_heads_nothing_is_proven(tmp_path: Path, kept_bytes: int | None) -> None:
    """A file that is missing, empty or cut raises the epoch of every room whose end it does not say."""
    with open_store(tmp_path) as store:
        said(store, draft("a"), draft("b", room="art"))
    heads = tmp_path / "heads"
    if kept_bytes is None:
        heads.unlink()
    else:
        heads.write_bytes(heads.read_bytes()[:kept_bytes])
    with open_store(tmp_path) as store:
        epoch = 1 if kept_bytes == 4_096 else 2
        assert "heads" in store.journal.open_report[0]
        assert [epoch, epoch] == [store.journal.head(room).epoch for room in ("math", "art")]


def test_slots_that_are_gone_are_missed(tmp_path: Path) -> None:
    """A page of zeros looks like space nobody used yet; that so many slots were in use tells it."""
    rooms = [f"room-{number:02}" for number in range(40)]
    with open_store(tmp_path) as store:
        said(store, *(draft("a", room=room) for room in rooms))
    heads = tmp_path / "heads"
    body = bytearray(heads.read_bytes())
    start = 32 * SLOT_BYTES
    gone = {room for room in rooms if _slot_of(heads, room) >= start}
    body[start:] = bytes(len(body) - start)
    heads.write_bytes(bytes(body))
    with open_store(tmp_path) as store:
        assert gone == {room for room in rooms if store.journal.head(room).epoch == 2}


def test_heads_catch_up_with_the_journal(tmp_path: Path) -> None:
    """What a kill between commit and `heads` kept from being written is written at the next opening."""
    with open_store(tmp_path) as store:
        said(store, draft("a"))
    older = (tmp_path / "heads").read_bytes()
    with open_store(tmp_path) as store:
        said(store, draft("b"), draft("c", room="art"))
    (tmp_path / "heads").write_bytes(older)
    with open_store(tmp_path) as store:
        assert [] == store.journal.open_report
    assert {"math": 2, "art": 1} == {
        room: head.offset for room, head in Heads.read(tmp_path / "heads").items() if not room.startswith(".")
    }


def test_lost_names_are_told_and_never_taken_by_others(tmp_path: Path) -> None:
    """A name whose version was lost is empty from then on; the next name is not shown for it."""
    ann = author("Ann")
    with open_store(tmp_path) as store:
        said(store, draft("a", author=ann))
    before = (tmp_path / "identity.db").read_bytes()
    with open_store(tmp_path) as store:
        said(store, draft("b", author=type(ann)(key=ann.key, name="Anna", role="participant")))
    (tmp_path / "identity.db").write_bytes(before)
    with open_store(tmp_path) as store:
        assert ["the last 1 changes of names are lost", "names of 1 authors are lost"] == store.journal.open_report
        said(store, draft("c", author=type(ann)(key=ann.key, name="Bob", role="participant")))
        names = [event.author.name for event in store.journal.events_after("math", 0, 10) if event.author]
        assert ["Ann", "", "Bob"] == names


def test_lost_hidden_texts_are_told(tmp_path: Path) -> None:
    """That they are lost is said; a restore then finds nothing, as after their 30 days."""
    with open_store(tmp_path) as store:
        said(store, draft("a"))
    before = (tmp_path / "moderation.db").read_bytes()
    with open_store(tmp_path) as store:
        said(store, deed("h", "hidden", target=1))
    (tmp_path / "moderation.db").write_bytes(before)
    with open_store(tmp_path) as store:
        assert ["the last 1 changes of hidden texts are lost"] == store.journal.open_report


def test_what_shows_again_is_told(tmp_path: Path) -> None:
    """When a hide is lost with the end of the journal, the row that it hid is named."""
    with open_store(tmp_path) as store:
        said(store, draft("a"))
    before = (tmp_path / "chatsync.db").read_bytes()
    with open_store(tmp_path) as store:
        said(store, deed("h", "hidden", target=1))
    (tmp_path / "chatsync.db").write_bytes(before)
    with open_store(tmp_path) as store:
        assert "room math: what hid row 1 is lost, and it shows" == store.journal.open_report[-1]


def test_lost_ids_are_made_again(tmp_path: Path) -> None:
    """A message that is sent again is the one that is there, though its id was lost; what is claimed later is counted on."""
    with open_store(tmp_path) as store:
        said(store, draft("a"), draft("b"))
    connection = sqlite3.connect(tmp_path / "chatsync.db")
    with connection:
        connection.execute("UPDATE dedupe SET id = 'c' WHERE id = 'a'")
    connection.close()
    with open_store(tmp_path) as store:
        assert any("dedupe" in line for line in verify_store(store)["damaged"])
        assert [(1, True), (2, True), (3, False)] == [
            (one.event.offset, one.duplicate) for one in said(store, draft("a"), draft("b"), draft("c"))
        ]
        assert [] == verify_store(store)["damaged"]
