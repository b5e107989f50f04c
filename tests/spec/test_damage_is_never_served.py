"""Corruption is detected, never served (reliability G8): random flips, cuts and zeroed pages of each file of a data folder.

Every answer of the store is either the undamaged one or is refused; what was refused or lost, `chatsync verify` names. Seeded;
``CHATSYNC_DAMAGES`` says how many of each file (20), ``CHATSYNC_SEED`` which.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatsync.chat.event import Position
from chatsync.errors import ChatsyncError, CorruptError
from chatsync.hls.timeline import Run, Segment
from chatsync.instants import HOUR_US, SECOND_US, Range
from chatsync.store.catalog import SliceRow
from chatsync.store.opening import Store, open_store
from chatsync.store.slicing import built_slice, intact_slice, slice_row
from chatsync.store.verifying import verify_store
from tests.builders import BASE_US, author
from tests.store.deeds import deed, placed, said

pytestmark = [pytest.mark.faults, pytest.mark.timeout(86_400)]

COUNT = int(os.environ.get("CHATSYNC_DAMAGES", "20"))
SEED = int(os.environ.get("CHATSYNC_SEED", "20260302"))
ROOMS = ("art", "math")
ALL = Range(BASE_US, BASE_US + 3 * HOUR_US)
Answers = dict[str, Any]


def _fill(store: Store) -> None:
    for room in ROOMS:
        drafts = [
            placed(f"{room}-{n}", n * 29, f"words {n}", room=room, author=author(f"P{n % 9}")) for n in range(240)
        ]
        said(store, *drafts, deed("hide", "hidden", room=room, target=7), deed("pin", "pinned", room=room, target=9))
        store.writer.call(lambda c, room=room: _put_catalog(store, c, room)).result()  # type: ignore[misc]
        for number in range(12):
            within = Range(BASE_US + number * 600 * SECOND_US, BASE_US + (number + 1) * 600 * SECOND_US)
            given: dict[str, Any] = {"broadcast": 1, "within": within, "position": Position(1, 242), "revision": 1}
            built = built_slice(store.journal, room, **given)
            if built is not None:
                packed, row = slice_row(*built, **given)
                store.files.write_slice(room, row, packed, public=False)
                store.writer.call(lambda c, room=room, row=row: store.catalog.put_slice(c, room, row, 1)).result()  # type: ignore[misc]
    store.archive.archive_now()
    said(store, *(placed(f"late-{n}", n * 7, "late") for n in range(20)))


def _put_catalog(store: Store, connection: Any, room: str) -> None:
    catalog = store.catalog
    catalog.put_room(connection, room, {"title": room})
    catalog.put_recording(connection, room, "r1", {"spans": list(range(40))})
    catalog.put_broadcast(connection, room, {"number": 1, "target_duration_us": 2_000_000, "closed_reason": None})
    segments = [
        Segment(
            run=1,
            media_sequence=n,
            uri_path=f"/s{n}.ts",
            duration_us=2 * SECOND_US,
            position_us=n * 2 * SECOND_US,
            program_us=BASE_US + n * 2 * SECOND_US,
            program_source="explicit",
        )
        for n in range(120)
    ]
    catalog.put_segments(connection, room, [Run(1, "https://video.example.org/", BASE_US, "first")], [(1, segments)])
    catalog.put_gap(connection, room, 1, Range(BASE_US, BASE_US + SECOND_US), "absent")
    catalog.put_mark(connection, room, "sealed_until_us.1", 5)


def _answers(store: Store) -> Answers:
    """Everything that is asked of a store, by what was asked; what is refused is the error."""
    journal, catalog = store.journal, store.catalog
    asked: Answers = {"rooms": catalog.rooms}
    for room in ROOMS:
        asked |= {
            f"{room} after": lambda r=room: journal.events_after(r, 0, 1_000),
            f"{room} some": lambda r=room: journal.events_after(r, 100, 50),
            f"{room} last": lambda r=room: journal.last_events(r, 50),
            f"{room} between": lambda r=room: journal.events_between(
                r, 1, ALL.start_us, ALL.end_us, include_hidden=True
            ),
            f"{room} state": lambda r=room: journal.state_events(r, 1),
            f"{room} plan": lambda r=room: store.query.plan(r, 1, ALL),
            f"{room} read": lambda r=room: store.query.read(store.query.plan(r, 1, ALL)),
            f"{room} playlist": lambda r=room: catalog.slices(r, 1),
            f"{room} slices": lambda r=room: [
                intact_slice(store.files, r, row, public=False) for row in catalog.slices(r, 1)[0]
            ],
            f"{room} timeline": lambda r=room: catalog.known_segments(r),
            f"{room} recordings": lambda r=room: catalog.recordings(r),
            f"{room} broadcasts": lambda r=room: catalog.broadcast_records(r, last=-1),
            f"{room} gaps": lambda r=room: catalog.gaps(r, 1),
            f"{room} mark": lambda r=room: catalog.mark(r, "sealed_until_us.1"),
        }
    answers: Answers = {}
    for name, ask in asked.items():
        try:
            answers[name] = ask()
        except ChatsyncError as error:
            answers[name] = error
    return answers


@pytest.fixture(scope="module")
def whole() -> Iterator[tuple[Path, Path, Answers]]:
    """A closed folder, the same as a killed process leaves it (with a log), and what it answers."""
    base = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    closed, killed = base / "closed", base / "killed"
    with open_store(closed) as store:
        _fill(store)
    with open_store(closed) as store:
        said(store, *(placed(f"newest-{n}", n * 11, "newest", room="art") for n in range(30)))
        store.writer.call(lambda c: store.catalog.put_recording(c, "math", "r2", {"spans": [1]})).result()
        shutil.copytree(closed, killed, ignore=shutil.ignore_patterns("*-shm"))
    with open_store(closed) as store:
        truth = _answers(store)
        assert [] == verify_store(store)["damaged"]
    assert [] == [name for name, answer in truth.items() if isinstance(answer, ChatsyncError)]
    yield closed, killed, truth
    shutil.rmtree(base)


def _damage(path: Path, chance: random.Random) -> str:
    body = bytearray(path.read_bytes())
    at = chance.randrange(len(body))
    match chance.choice(("flip", "flip", "cut", "zero")):
        case "flip":
            bit = chance.randrange(8)
            body[at] ^= 1 << bit
            what = f"bit {bit} of byte {at} flipped"
        case "cut":
            del body[at:]
            what = f"cut at {at}"
        case _:
            start = at - at % 4096
            body[start : start + 4096] = bytes(len(body[start : start + 4096]))
            what = f"page at {start} zeroed"
    path.write_bytes(body)
    return f"{path.name}: {what}"


def _targets(folder: Path, name: str) -> list[Path]:
    return sorted(folder.glob(name))


KINDS = {
    "journal and catalog": ("closed", "chatsync.db"),
    "log": ("killed", "chatsync.db-wal"),
    "heads": ("closed", "heads"),
    "names": ("closed", "identity.db"),
    "hidden texts": ("closed", "moderation.db"),
    "slices": ("closed", "slices/private/*/1/*.json.gz"),
    "parquet": ("closed", "archive/*/*/*/*.parquet"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_no_wrong_or_missing_answer_goes_unreported(whole: tuple[Path, Path, Answers], kind: str) -> None:
    """Whatever is damaged, an answer is the undamaged one or is refused, and verify names what was refused or lost."""
    closed, killed, truth = whole
    which, pattern = KINDS[kind]
    chance = random.Random(f"{SEED} {kind}")
    refused = told = same = 0
    for number in range(COUNT):
        folder = closed.parent / f"damaged-{number}"
        shutil.copytree(closed if which == "closed" else killed, folder)
        try:
            what = _damage(chance.choice(_targets(folder, pattern)), chance)
            try:
                with open_store(folder) as store:
                    report, answers = list(store.journal.open_report), _answers(store)
                    wrong = [
                        name
                        for name, answer in answers.items()
                        if not isinstance(answer, ChatsyncError) and answer != truth[name]
                    ]
                    is_refused = any(isinstance(answer, ChatsyncError) for answer in answers.values())
                    assert report or [] == wrong, f"{kind} {number} (seed {SEED}), {what}: {wrong}"
                    if is_refused:
                        assert verify_store(store)["damaged"], f"verify misses {what}"
            except ChatsyncError:
                is_refused, report = True, []
            refused, told, same = refused + is_refused, told + bool(report), same + (not is_refused and not report)
        finally:
            shutil.rmtree(folder)
    print(f"{kind}: {COUNT} damages, {refused} refused, {told} told at opening, {same} change no answer")


def test_a_row_that_is_taken_away_is_missed(tmp_path: Path) -> None:
    """A slice that nobody lists any more is damage, not an empty list."""
    with open_store(tmp_path) as store:
        row = SliceRow(
            broadcast=1, start_ms=0, end_ms=1, epoch=1, revision=1, events=1, messages=1, as_of_offset=1, version=1,
            sha256="", size_bytes=0,
        )  # fmt: skip
        store.writer.call(lambda c: store.catalog.put_slice(c, "math", row, 1)).result()
        store.writer.call(lambda c: c.execute("DROP TRIGGER slices_taken")).result()
        store.writer.call(lambda c: c.execute("DELETE FROM slices")).result()
        with pytest.raises(CorruptError):
            store.catalog.slices("math", 1)
