"""A data folder with something of everything, and what it answers."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Container
from functools import partial
from pathlib import Path
from typing import Any

from chatsync.chat.event import Position
from chatsync.errors import ChatsyncError
from chatsync.hls.timeline import LiveEdge, Run, Segment
from chatsync.instants import DAY_US, HOUR_US, SECOND_US, Range
from chatsync.store import pruning
from chatsync.store.opening import Store, open_store
from chatsync.store.slicing import built_slice, intact_slice, slice_row
from tests.builders import BASE_US, author
from tests.store.deeds import deed, placed, said

__all__ = ["ALL", "DATABASES", "LAST", "OLD", "QUESTIONS", "ROOMS", "Answers", "answers", "fill"]

ROOMS = ("art", "math")
OLD = "old"
LAST = 30  # events that the newest are asked for
ALL = Range(BASE_US, BASE_US + 3 * HOUR_US)
DATABASES = ("chatsync.db", "identity.db", "moderation.db")

Answers = dict[str, Any]


def fill(base: Path) -> None:
    """Make ``closed``, a folder at rest, and ``killed``, the same with the logs that a killed process leaves."""
    closed, killed = base / "closed", base / "killed"
    with open_store(closed) as store:
        for room in ROOMS:
            _fill_room(store, room)
        _fill_old(store)
        store.archive.archive_now()
        said(store, *(placed(f"late-{n}", n * 7, "late") for n in range(20)))
    shutil.copytree(closed, killed)
    with open_store(killed) as store:
        _go_on(store)
        for path in (*(killed / name for name in DATABASES), killed / "heads"):
            for one in (path, path.with_name(f"{path.name}-wal")):
                if one.exists():
                    shutil.copy(one, base / one.name)
    for path in base.glob("*.db*"):
        path.replace(killed / path.name)
    (base / "heads").replace(killed / "heads")
    for path in killed.glob("*-shm"):
        path.unlink()


def _call(store: Store, work: Callable[[Any], Any]) -> Any:
    return store.writer.call(work).result()


def _fill_room(store: Store, room: str) -> None:
    drafts = [placed(f"{room}-{n}", n * 58, f"words {n}", room=room, author=author(f"P{n % 9}")) for n in range(120)]
    said(
        store,
        *drafts,
        deed("hide", "hidden", room=room, target=7),
        deed("hide-2", "hidden", room=room, target=11),
        deed("pin", "pinned", room=room, target=9),
    )
    _call(store, lambda connection: _put_catalog(store, connection, room))
    for number in range(12):
        within = Range(BASE_US + number * 600 * SECOND_US, BASE_US + (number + 1) * 600 * SECOND_US)
        given: dict[str, Any] = {"broadcast": 1, "within": within, "position": Position(1, 123), "revision": 1}
        built = built_slice(store.journal, room, **given)
        if built is not None:
            packed, row = slice_row(built, **given)
            store.files.write_slice(room, row, packed, public=False)
            _call(store, partial(store.catalog.put_slice, room=room, row=row, version=1))


def _fill_old(store: Store) -> None:
    """A room most of which has left the journal."""
    said(store, *(placed(f"old-{n}", n * 5, f"long ago {n}", room=OLD, author=author(f"P{n % 9}")) for n in range(60)))
    store.archive.archive_now(OLD)
    _call(store, lambda connection: store.catalog.put_mark(connection, OLD, "settled_offset", 60))
    _call(store, lambda connection: store.catalog.put_mark(connection, OLD, "sealed_until_us.1", ALL.end_us))
    kept, pruning.KEPT_EVENTS = pruning.KEPT_EVENTS, 10
    try:
        assert pruning.prune(store, OLD, wall_us=BASE_US + 2 * DAY_US)
    finally:
        pruning.KEPT_EVENTS = kept


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
    for n in range(40):
        edge = LiveEdge(
            run=1, media_sequence=n, part_count=0, position_us=n * 2 * SECOND_US, program_us=BASE_US + n * 2 * SECOND_US
        )
        catalog.put_observation(
            connection,
            room,
            wall_us=BASE_US + n * SECOND_US,
            age_us=0,
            edge=edge,
            kind="advanced",
            broadcast=1,
            step_us=0,
        )
    catalog.put_gap(connection, room, 1, Range(BASE_US, BASE_US + SECOND_US), "absent")
    catalog.put_mark(connection, room, "sealed_until_us.1", 5)


def _go_on(store: Store) -> None:
    """One commit after another, of each kind: what the logs of a killed process hold."""
    for n in range(6):
        said(store, placed(f"newest-{n}", n * 11, "newest " * 40, room="art", author=author(f"New{n}")))
        said(store, *(placed(f"more-{n}-{m}", n * 13, "more", room="math") for m in range(3)))
        if n % 2:
            _call(store, partial(store.catalog.put_recording, room="math", recording=f"r{n}", record={"spans": [n]}))
    said(store, deed("hide-3", "hidden", room="math", target=20))
    said(store, placed("renamed", 5, "again", room="art", author=author("P1")))
    said(store, deed("restore", "restored", room="math", target=20))
    _call(store, lambda connection: store.catalog.put_mark(connection, "art", "sealed_until_us.1", 6))
    said(store, deed("hide-4", "hidden", room="art", target=30))
    said(store, placed("first", 1, "a room of its own", room="new", author=author("Newcomer")))
    said(store, placed("last", 2, "the last of them", room="art"))


# --- what is asked ----------------------------------------------------------------------------------------------------


def answers(store: Store, wanted: Container[str] = frozenset()) -> Answers:
    """Everything that is asked of a store, by what was asked; what is refused is the error. At the end something is written.

    Args:
        store: opened.
        wanted: names of questions, without their room; all of them if it is empty.
    """
    found: Answers = {}
    for name, (ask, rooms) in QUESTIONS.items():
        if wanted and name not in wanted:
            continue
        for room in rooms:
            try:
                found[f"{room} {name}"] = ask(store, room)
            except ChatsyncError as error:
                found[f"{room} {name}"] = error
    return found


def _slices(store: Store, room: str) -> list[bytes]:
    rows, _, _ = store.catalog.slices(room, 1)
    return [intact_slice(store.files, room, row, public=False) for row in rows]


def _restored(store: Store, _room: str) -> Any:
    """What a restore brings back: the words of a hidden message."""
    said(store, deed("give-back", "restored", room="art", target=11))
    event = store.journal.event("art", 11)
    return None if event is None else event.text


def _said_again(store: Store, _room: str) -> Any:
    """What a client is told that sends again what it sent."""
    drafts = (placed(f"art-{n}", n * 58, f"words {n}", room="art", author=author(f"P{n % 9}")) for n in (3, 60, 115))
    return [(one.event.offset, one.event.text, one.duplicate) for one in said(store, *drafts)]


QUESTIONS: dict[str, tuple[Callable[[Store, str], Any], tuple[str, ...]]] = {
    "rooms": (lambda store, _: store.catalog.rooms(), ("",)),
    "logged": (lambda store, _: store.journal.rooms(), ("",)),
    "hidden texts": (lambda store, _: store.journal.hidden_texts(), ("",)),
    "after": (lambda store, room: store.journal.events_after(room, 0, 1_000), ROOMS),
    "some": (lambda store, room: store.journal.events_after(room, 50, 30), ROOMS),
    "last": (lambda store, room: store.journal.last_events(room, LAST), ROOMS),
    "between": (
        lambda store, room: store.journal.events_between(room, 1, ALL.start_us, ALL.end_us, include_hidden=True),
        ROOMS,
    ),
    "left between": (lambda store, room: store.journal.events_between(room, 1, ALL.start_us, ALL.end_us), (OLD,)),
    "left": (lambda store, room: store.journal.event(room, 3), (OLD,)),
    "event": (lambda store, room: store.journal.event(room, 3), ROOMS),
    "end": (lambda store, room: store.journal.events_after(room, 50, 50), (OLD,)),
    "state": (lambda store, room: store.journal.state_events(room, 1), ROOMS),
    "affected": (lambda store, room: store.journal.affected(store.journal.events_after(room, 120, 1)[0]), ROOMS),
    "of one": (lambda store, room: store.journal.named_rows(room, author("P3").key).offsets, ROOMS),
    "plan": (lambda store, room: store.query.plan(room, 1, ALL), ROOMS),
    "read": (lambda store, room: store.query.read(store.query.plan(room, 1, ALL)), ("art", OLD)),
    "playlist": (lambda store, room: store.catalog.slices(room, 1), ROOMS),
    "slices": (_slices, ROOMS),
    "timeline": (lambda store, room: store.catalog.known_segments(room), ROOMS),
    "runs": (lambda store, room: store.catalog.timeline(room).runs, ROOMS),
    "observations": (lambda store, room: store.catalog.observation_rows(room, 1), ROOMS),
    "recordings": (lambda store, room: store.catalog.recordings(room), ROOMS),
    "broadcasts": (lambda store, room: store.catalog.broadcast_records(room, last=-1), ROOMS),
    "gaps": (lambda store, room: store.catalog.gaps(room, 1), ROOMS),
    "mark": (lambda store, room: store.catalog.mark(room, "sealed_until_us.1"), ROOMS),
    "files": (lambda store, room: store.catalog.archive_files(room, tree=None), ROOMS),
    "authors": (lambda store, room: store.catalog.author_indexes(room), ROOMS),
    "dirty": (lambda store, room: store.catalog.dirty_hours(room), ROOMS),
    "restored": (_restored, ("",)),
    "said again": (_said_again, ("",)),
}
