"""A broadcast's stamps made again from what the data folder holds: read the record, find what moves, draft the one event.

Owns: which rows make the record of a broadcast. Does not know: the rule (``replay.restamping``), who commits, HTTP.
Units: µs. Source: contract §1, §2 ``restamped``; decision 0013.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import uuid_utils

from chatsync.chat.event import Draft, Event, Stamp
from chatsync.errors import NotFoundError
from chatsync.instants import whole_ms_us
from chatsync.replay.restamping import RESTAMPED_STAMPS, ClockRecord, Move, Observed, Said, moved
from chatsync.store.catalog import Catalog
from chatsync.store.journal import Journal
from chatsync.store.opening import Store

__all__ = ["Restamping", "find_restamping", "restamp_draft", "restamp_store"]

_ABOUT_ANOTHER = frozenset({"question_upvoted", "question_answered"})  # never before what they are about (contract §2)


class Restamping:
    """What recomputing a broadcast comes to.

    Attributes:
        room: whose log.
        broadcast: the airing.
        examined: events with stamps that can be made again.
        moves: those that belong elsewhere, by offset.
        edge_us: program time at which the broadcast's media ends now.
    """

    def __init__(self, room: str, broadcast: int, examined: int, moves: tuple[Move, ...], edge_us: int) -> None:
        self.room, self.broadcast, self.examined, self.moves, self.edge_us = room, broadcast, examined, moves, edge_us

    @property
    def largest_us(self) -> int:
        """How far the event goes that goes farthest; 0 if none moves."""
        return max((abs(move.to_us - move.from_us) for move in self.moves), default=0)

    @property
    def placements(self) -> dict[int, tuple[int, int]]:
        """Where each moving event stands and where it belongs, by offset."""
        return {move.offset: (move.from_us, move.to_us) for move in self.moves}

    def to_wire(self) -> dict[str, int]:
        """Figures for people and programs, in ms."""
        return {
            "broadcast": self.broadcast,
            "examined": self.examined,
            "moved": len(self.moves),
            "largest_ms": self.largest_us // 1_000,
        }


def find_restamping(journal: Journal, catalog: Catalog, room: str, broadcast: int) -> Restamping:
    """Compare where a broadcast's events stand with where its whole record puts them. Changes nothing. Any thread.

    A broadcast without program time of its own (no date, or a synthetic axis) has nothing to recompute.

    Raises:
        CorruptError: a row is damaged.

    Cost: reads the broadcast's events, reloads and segments.
    """
    kept = {record["number"]: record for record in catalog.broadcast_records(room, last=1_000_000)}.get(broadcast)
    if kept is None or kept["edge_us"] is None or kept.get("is_synthetic", False):
        return Restamping(room, broadcast, 0, (), 0)
    observed = [
        Observed(wall_us, age_us, run, media_sequence, edge_us, step_us or 0)
        for _, _, wall_us, age_us, _, run, media_sequence, _, edge_us, step_us in catalog.observation_rows(
            room, broadcast
        )
        if edge_us is not None
    ]
    starts_us = {(row[2], row[3]): row[11] for row in catalog.segment_rows(room, broadcast) if row[11] is not None}
    record = ClockRecord(
        observed,
        starts_us,
        target_duration_us=kept["target_duration_us"],
        hold_back_us=kept.get("hold_back_us", 0),
    )
    said = [_said(event) for event in _events(journal, room, broadcast)]
    examined = sum(1 for event in said if event.stamp in RESTAMPED_STAMPS)
    return Restamping(room, broadcast, examined, moved(said, record), kept["edge_us"])


def restamp_store(
    store: Store, room: str, broadcast: int | None, *, dry_run: bool, wall_us: int
) -> list[dict[str, int | None]]:
    """Recompute a room of a data folder at rest; a line of figures for each broadcast, as the relay gives them.

    Slices and Parquet follow when the folder is served or archived again.

    Args:
        store: opened.
        room: one that was ever spoken in.
        broadcast: only this one; None: all.
        dry_run: only look.
        wall_us: the system's wall time now.

    Raises:
        CorruptError: a row is damaged.
        NotFoundError: no such room or broadcast.
        StoreError: nothing was changed in the broadcast it was at.
    """
    numbers = [record["number"] for record in store.catalog.broadcast_records(room, last=1_000_000)]
    wanted = [number for number in numbers if broadcast in {None, number}]
    if not wanted:
        raise NotFoundError("room" if not numbers else "broadcast")
    results: list[dict[str, int | None]] = []
    for number in wanted:
        found = find_restamping(store.journal, store.catalog, room, number)
        offset = None
        if found.moves and not dry_run:
            draft = restamp_draft(found, wall_us=wall_us, by="admin:local")
            append = partial(store.journal.append, draft=draft, placements=found.placements)
            offset = store.writer.call(append).result().event.offset
        results.append({**found.to_wire(), "offset": offset})
    return results


def restamp_draft(found: Restamping, *, wall_us: int, by: str) -> Draft:
    """The one event that says what moved; give it to ``Journal.append`` with ``found.placements``.

    Args:
        found: with at least one move.
        wall_us: the system's wall time now.
        by: pseudonym of who wants it, as the audit log names them.
    """
    places_us = [place_us for move in found.moves for place_us in (move.from_us, move.to_us)]
    return Draft(
        room=found.room,
        kind="restamped",
        id=str(uuid_utils.uuid7()),
        stamp=Stamp(stamp="origin", broadcast=found.broadcast, program_us=whole_ms_us(found.edge_us), uncertainty_us=0),
        wall_us=wall_us,
        details={
            "rule": "record",
            "stamps": list(RESTAMPED_STAMPS),
            "start_us": min(places_us),
            "end_us": max(places_us) + 1,
            "moved": len(found.moves),
        },
        source="system",
        by=by,
    )


def _events(journal: Journal, room: str, broadcast: int) -> Sequence[Event]:
    """All events of a broadcast in order of offset."""
    events = journal.events_between(room, broadcast, -(2**62), 2**62, include_hidden=True)
    return sorted(events, key=lambda event: event.offset)


def _said(event: Event) -> Said:
    stamp = event.stamp
    return Said(
        event.offset,
        event.wall_us,
        stamp.stamp,
        stamp.program_us,
        stamp.latency_us,
        event.source,
        event.target if event.kind in _ABOUT_ANOTHER else None,
    )
