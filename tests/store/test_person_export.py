"""Everything of a person, and of nobody else: 1,000 planted markers all found, none of another's."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chatsync.chat.event import Author, Draft
from chatsync.errors import CorruptError, NotFoundError
from chatsync.instants import DAY_US
from chatsync.store import pruning
from chatsync.store.audit import AuditRecord
from chatsync.store.erasing import erase_store
from chatsync.store.opening import Store, open_store
from chatsync.store.person_export import export_person, rooms_with
from chatsync.store.pruning import prune
from tests.builders import BASE_US, author
from tests.store.deeds import MODERATOR, deed, placed, said, tamper

ANN, BOB = author("Annabel"), author("Robert")
MARKERS = 1_000
_MARK = re.compile(r"(ann|bob)-mark-(\d+)")


def _exported(folder: Path, *rooms: str, key: str = ANN.key) -> dict[str, str]:
    """The files of a zip as text."""
    target = io.BytesIO()
    export_person(folder, dict.fromkeys(rooms or ("math",), key), target, wall_us=BASE_US)
    with zipfile.ZipFile(target) as packed:
        assert packed.testzip() is None
        return {name: packed.read(name).decode() for name in packed.namelist()}


def _lines(files: dict[str, str], name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in files[name].splitlines()]


def _marked(who: str, by: Author, numbers: Sequence[int], **fields: Any) -> list[Draft]:
    return [placed(f"{who}-{n}", 1 + n % 3_000, f"{who}-mark-{n}", author=by, **fields) for n in numbers]


def _plant(store: Store) -> None:
    """1,000 messages of each, every second of another: most archived and gone from the journal, others there, hidden, held."""
    for first in range(0, MARKERS, 500):
        numbers = range(first, first + 500)
        pairs = zip(_marked("ann", ANN, numbers), _marked("bob", BOB, numbers), strict=True)
        said(store, *(draft for pair in pairs for draft in pair))
    said(store, *(deed(f"h{offset}", "hidden", target=offset) for offset in (1, 2, 11, 12)))  # two of each
    store.archive.archive_now()
    head = store.journal.head("math").offset

    def settle(connection: Any) -> None:
        store.catalog.put_mark(connection, "math", "settled_offset", head)
        store.catalog.put_mark(connection, "math", "sealed_until_us.1", BASE_US + 2 * DAY_US)

    store.writer.call(settle).result()
    assert prune(store, wall_us=BASE_US + 2 * DAY_US) > MARKERS
    said(store, *_marked("ann", ANN, range(MARKERS, MARKERS + 20)), *_marked("bob", BOB, range(MARKERS, MARKERS + 20)))
    said(store, *_marked("ann", ANN, [2_000], kind="held"), *_marked("bob", BOB, [2_000], kind="held"))
    said(store, *_marked("ann", ANN, [2_001], kind="question"), *_marked("bob", BOB, [2_001], kind="question"))
    said(store, deed("h", "hidden", target=head + 1), deed("i", "hidden", target=head + 21))


def test_every_marker_is_found_and_none_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In Parquet alone, in the journal, hidden, held: all that Ann wrote is there, in both forms, and nothing of Bob."""
    monkeypatch.setattr(pruning, "KEPT_EVENTS", 10)
    with open_store(tmp_path) as store:
        _plant(store)
        wanted = {*range(MARKERS + 20), 2_000, 2_001}
        files = _exported(tmp_path)
        for form in ("jsonl", "csv"):
            found = _MARK.findall(files[f"math/messages.{form}"])
            assert wanted == {int(number) for who, number in found if who == "ann"}
            assert len(wanted) == len(found)
        everything = "".join(files.values())
        assert "Annabel" in everything
        assert not [word for word in ("bob-mark", "Robert", BOB.key, MODERATOR.key, "Max") if word in everything]
        manifest = json.loads(files["manifest.json"])
        assert [
            {
                "room": "math",
                "author": ANN.key,
                "messages": 1_022,
                "received": 0,
                "deeds": 0,
                "decisions": 3,
                "audit": 0,
            }
        ] == (manifest["rooms"])
        hidden = [line["text"] for line in _lines(files, "math/messages.jsonl") if line["hidden"]]
        assert ["ann-mark-0", "ann-mark-5", "ann-mark-1000"] == hidden


def test_it_is_read_while_somebody_writes(tmp_path: Path) -> None:
    """The folder's lock is not wanted, and nothing is changed."""
    with open_store(tmp_path) as store:
        said(store, placed("a", 1, "words", author=ANN))
        before = store.journal.read("SELECT * FROM journal")
        assert "words" in _exported(tmp_path)["math/messages.jsonl"]
        assert before == store.journal.read("SELECT * FROM journal")


def test_what_was_written_to_them_alone_is_theirs(tmp_path: Path) -> None:
    """Also to somebody who wrote nothing; who wrote it is told by their role only, and what was meant for others too is not told to be."""
    cleo = author("Cleo")
    with open_store(tmp_path) as store:
        said(
            store,
            placed("a", 1, "=see me", author=MODERATOR, details={"to": [cleo.key, BOB.key]}),
            placed("b", 2, "for Robert", author=MODERATOR, details={"to": [BOB.key]}),
            placed("c", 3, "taken back", author=MODERATOR, details={"to": [cleo.key]}),
            placed("d", 4, "I am lost", author=BOB, details={"to": ["host"]}),
            deed("h", "hidden", target=3),
        )
        files = _exported(tmp_path, key=cleo.key)
        mine = _exported(tmp_path, key=BOB.key)
    received = _lines(files, "math/received.jsonl")
    assert [("=see me", "moderator", False), (None, "moderator", True)] == [
        (one["text"], one["from_role"], one["hidden"]) for one in received
    ]
    assert "'=see me" in files["math/received.csv"]
    everything = "".join(files.values())
    assert not [word for word in (BOB.key, MODERATOR.key, "Robert", "taken back", "lost") if word in everything]
    assert ["=see me", "for Robert"] == [one["text"] for one in _lines(mine, "math/received.jsonl")]


def test_what_they_did_and_what_was_decided(tmp_path: Path) -> None:
    """Hands, votes and pins; hides, notes, mutes and approvals about them, with reasons, without who decided."""
    note = AuditRecord(
        wall_us=BASE_US, room="math", actor=MODERATOR.key, role="moderator", action="muted", subject=ANN.key
    )
    with open_store(tmp_path) as store:
        said(
            store,
            placed("a", 1, "=1+1", author=ANN, details={"to": [BOB.key]}),
            placed("b", 2, "words of Robert", author=BOB),
            deed("hand", "hand_raised", by=ANN),
            deed("vote", "poll_voted", by=ANN, details={"poll": "p1", "choices": [1]}),
            deed("up", "question_upvoted", by=ANN, target=2),
            deed("pin", "pinned", by=ANN, target=2, text="words of Robert"),
            deed("rep", "reported", by=ANN, target=2, details={"reason": "rude to me"}),
            deed("hid", "hidden", by=ANN, target=2, details={"reason": "Robert again", "author": BOB.key}),
            deed("h", "hidden", target=1, details={"reason": "off topic"}),
            deed("n", "noted", target=1, text="talk to her parents"),
            deed("rep2", "reported", by=BOB, target=1, details={"reason": "Robert complains"}),
            deed("m", "muted", details={"author": ANN.key, "reason": "again", "until_ms": 7}),
            deed("o", "muted", details={"author": BOB.key, "reason": "Robert too"}),
        )
        store.writer.call(lambda connection: store.journal.audit.note(connection, note)).result()
        files = _exported(tmp_path)
    assert [{"what": "muted", "until_ms": 7}] == json.loads(files["math/person.json"])["restrictions"]
    deeds = {one["kind"]: one for one in _lines(files, "math/deeds.jsonl")}
    assert {"hand_raised", "poll_voted", "question_upvoted", "pinned", "reported", "hidden"} == set(deeds)
    assert {"poll": "p1", "choices": [1]} == deeds["poll_voted"]["details"]
    assert (None, 2, {}) == tuple(deeds["pinned"][name] for name in ("text", "target", "details"))
    assert {"reason": "rude to me"} == deeds["reported"]["details"]
    assert [
        ("hidden", 1, "off topic", None, None),
        ("noted", 1, None, "talk to her parents", None),
        ("reported", 1, None, None, None),
        ("muted", None, "again", None, 7),
    ] == [
        (one["kind"], one["target"], one["reason"], one["text"], one["until_ms"])
        for one in _lines(files, "math/decisions.jsonl")
    ]
    roles = [(one["as"], one["action"]) for one in _lines(files, "math/audit.jsonl")]
    assert [("actor", "pinned"), ("actor", "hidden"), ("subject", "muted"), ("subject", "muted")] == roles
    (message,) = _lines(files, "math/messages.jsonl")
    assert ("=1+1", True, {}) == tuple(message[name] for name in ("text", "private", "details"))
    (cells,) = list(csv.DictReader(io.StringIO(files["math/messages.csv"], newline="")))
    assert "'=1+1" in cells.values()
    everything = "".join(files.values())
    assert not [word for word in ("Robert", BOB.key, MODERATOR.key, "Max") if word in everything]


def test_rooms_of_a_course_and_rooms_without_them(tmp_path: Path) -> None:
    """Each room has its folder; those that hold nothing of them are left out; the names and the number are told."""
    with open_store(tmp_path) as store:
        store.journal.load_numbers("math", keeps_given=True)
        number = store.journal.numbers.of("math", ANN.key, "Annabel Weber")
        shown = msgspec.structs.replace(ANN, name=f"Student {number}")
        said(store, placed("a", 1, author=shown), placed("b", 2, room="art", author=ANN), placed("c", 3, room="bio"))
        assert ["art", "bio", "math"] == rooms_with(tmp_path)
        files = _exported(tmp_path, *rooms_with(tmp_path))
    assert {"math", "art", "manifest.json"} == {name.split("/")[0] for name in files}
    told = json.loads(files["math/person.json"])
    assert ([shown.name, "Annabel Weber"], number) == (told["names"], told["number"])


def test_after_an_erasure_nothing_is_left_to_export(tmp_path: Path) -> None:
    """No words and no names: places and times of what was erased, which lead to nobody."""
    with open_store(tmp_path) as store:
        said(store, placed("a", 1, "what only Annabel would say", author=ANN))
        erase_store(store, "math", ANN.key, wall_us=BASE_US)
        everything = "".join(_exported(tmp_path).values())
    assert not [word for word in ("what only", "Annabel") if word in everything]


def test_somebody_who_was_never_there(tmp_path: Path) -> None:
    """Nothing is made up."""
    with open_store(tmp_path) as store:
        said(store, placed("a", 1, author=BOB))
        with pytest.raises(NotFoundError):
            _exported(tmp_path)


def test_damage_is_told_rather_than_left_out(tmp_path: Path) -> None:
    """A row that is not what was written may be theirs."""
    with open_store(tmp_path) as store:
        said(store, placed("a", 1, author=BOB), placed("b", 2, author=ANN))
        tamper(tmp_path, "UPDATE journal SET author_key = 'key-robert' WHERE id = 'b'")
        with pytest.raises(CorruptError):
            _exported(tmp_path)


def test_each_file_is_what_the_manifest_says(tmp_path: Path) -> None:
    """With size and SHA-256; lines stay lines."""
    import hashlib

    with open_store(tmp_path) as store:
        said(store, placed("a", 1, "one\u2028two", author=ANN))
        files = _exported(tmp_path)
    assert "\u2028" not in files["math/messages.jsonl"]
    assert "one\u2028two" == _lines(files, "math/messages.jsonl")[0]["text"]
    told = {one["name"]: (one["size_bytes"], one["sha256"]) for one in json.loads(files["manifest.json"])["files"]}
    bodies = {name: body.encode() for name, body in files.items() if name != "manifest.json"}
    assert {name: (len(body), hashlib.sha256(body).hexdigest()) for name, body in bodies.items()} == told


def test_progress_is_told(tmp_path: Path) -> None:
    """Room by room."""
    told: list[tuple[str, int, int]] = []
    with open_store(tmp_path) as store:
        said(store, placed("a", 1, author=ANN))
        keys = {"math": ANN.key, "art": ANN.key}
        export_person(tmp_path, keys, io.BytesIO(), wall_us=BASE_US, progress=lambda *one: told.append(one))
    assert [("math", 1, 2), ("art", 2, 2)] == told
