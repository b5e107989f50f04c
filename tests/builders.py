"""Small builders of what tests are made of."""

from __future__ import annotations

from typing import Any

from chatsync.chat.event import Author, Draft, Event, Stamp, StampKind
from chatsync.instants import SECOND_US
from chatsync.replay.broadcasts import Media

BASE_US = 1_764_000_000 * SECOND_US  # 2025-11-24T16:00:00Z, a whole hour


def stamp(program_us: int = BASE_US, *, broadcast: int = 1, kind: StampKind = "playhead") -> Stamp:
    """A stamp at an instant of program time."""
    return Stamp(stamp=kind, broadcast=broadcast, program_us=program_us, uncertainty_us=40_000)


def author(name: str = "Ann", role: Any = "participant") -> Author:
    """An author whose key follows from the name."""
    return Author(key=f"key-{name.lower()}", name=name, role=role)


def event(offset: int, kind: str = "message", program_us: int = BASE_US, **fields: Any) -> Event:
    """An event of room ``math``."""
    broadcast = fields.pop("broadcast", 1)
    stamped = fields.pop("stamp", None) or stamp(program_us, broadcast=broadcast)
    given = {"author": author(), "text": f"text {offset}" if kind == "message" else None} | fields
    return Event(
        room="math", epoch=1, offset=offset, kind=kind, id=f"id-{offset}", stamp=stamped, wall_us=BASE_US, **given
    )


def draft(id_: str, text: str | None = "hello", **fields: Any) -> Draft:
    """A draft for room ``math``."""
    given: dict[str, Any] = {
        "room": "math",
        "kind": "message",
        "stamp": stamp(),
        "wall_us": BASE_US,
        "author": author(),
    } | fields
    return Draft(id=id_, text=text, **given)


def media(edge_s: float | None, **fields: Any) -> Media:
    """A reload whose live edge is ``edge_s`` after BASE_US; one new 2 s segment unless said otherwise."""
    edge_us = None if edge_s is None else BASE_US + round(edge_s * SECOND_US)
    given: dict[str, Any] = {
        "run": 1,
        "media_sequence": 0 if edge_s is None else round(edge_s / 2),
        "edge_us": edge_us,
        "first_new_us": None if edge_us is None else edge_us - 2 * SECOND_US,
        "has_new": True,
        "ended": False,
        "is_synthetic": False,
        "target_duration_us": 2 * SECOND_US,
        "hold_back_us": 6 * SECOND_US,
    } | fields
    given.setdefault("first_new_media_sequence", given["media_sequence"])
    return Media(**given)
