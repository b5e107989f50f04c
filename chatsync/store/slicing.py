"""A slice made from the journal, and made again where its file is damaged.

Owns: which rows make a slice, its compressed bytes and its row of the catalog. Does not know: when (the service decides), HTTP.
Units: ranges in µs of program time. Source: contract §3; reliability G8.

A slice says as of which offset it was made. Made again as of that offset it has the same bytes, so a damaged file can be
replaced under its own name; where it has not (another zlib, a name that was erased since), only a new revision can stand.
"""

from __future__ import annotations

import gzip
import hashlib
from typing import Any, NamedTuple

import msgspec

from chatsync.chat.event import MESSAGE_KINDS, Event, Position
from chatsync.errors import CorruptError
from chatsync.instants import Range, ms_from_us, us_from_ms
from chatsync.replay.slices import encoded_slice, is_sliced
from chatsync.replay.state import RoomState, folded
from chatsync.store.catalog import SliceRow
from chatsync.store.files import Files
from chatsync.store.journal import Journal

__all__ = [
    "BuiltSlice",
    "ChangedSliceError",
    "built_slice",
    "intact_slice",
    "mended_slice",
    "says_the_same",
    "slice_row",
]

_SOURCE_FIELDS = ("state", "authors", "events", "tallies")  # what a revision is for; the rest only says which one it is


class ChangedSliceError(CorruptError):
    """A damaged slice cannot be made again as it was, though the journal is whole."""


class BuiltSlice(NamedTuple):
    """A slice's JSON, how many events and messages it has, and where the polls that it makes final were opened and closed."""

    body: bytes
    events: int
    messages: int
    finals_us: tuple[int, ...]


def built_slice(
    journal: Journal, room: str, *, broadcast: int, within: Range, position: Position, revision: int
) -> BuiltSlice | None:
    """A slice as the journal has it; None if there is nothing to show.

    Args:
        journal: has the events.
        room: whose.
        broadcast: its airing.
        within: the range of program time.
        position: nothing later is in it.
        revision: of the slice.

    Raises:
        CorruptError: a row is damaged.
    """
    found = journal.events_between(room, broadcast, within.start_us, within.end_us)
    events = [event for event in found if event.offset <= position.offset]
    sliced = [event for event in events if is_sliced(event)]
    if not sliced:
        return None
    opens_with = _state_before(journal, room, broadcast, within, position)
    body = encoded_slice(
        room=room,
        broadcast=broadcast,
        within=within,
        position=position,
        revision=revision,
        state=opens_with,
        events=events,
    )
    return BuiltSlice(
        body, len(sliced), sum(event.kind in MESSAGE_KINDS for event in sliced), _finals_us(opens_with, sliced)
    )


def _state_before(journal: Journal, room: str, broadcast: int, within: Range, position: Position) -> RoomState:
    state_events = [event for event in journal.state_events(room, broadcast) if event.offset <= position.offset]
    return folded(state_events, before_us=within.start_us)


def _finals_us(state: RoomState, sliced: list[Event]) -> tuple[int, ...]:
    opened_us = {name: poll.event.program_us for name, poll in state.open_polls().items()}
    finals_us: list[int] = []
    for event in sliced:
        name = str(event.details.get("poll", ""))
        if event.kind == "poll_opened":
            opened_us.setdefault(name, event.program_us)
        elif event.kind == "poll_closed":
            finals_us += [event.program_us, opened_us.get(name, event.program_us)]
    return tuple(finals_us)


def slice_row(
    built: BuiltSlice, *, broadcast: int, within: Range, position: Position, revision: int
) -> tuple[bytes, SliceRow]:
    """A slice compressed as it is kept, and its row; the chat playlist's ``version`` is the caller's to set."""
    packed = gzip.compress(built.body, compresslevel=6, mtime=0)
    row = SliceRow(
        broadcast=broadcast,
        start_ms=ms_from_us(within.start_us),
        end_ms=ms_from_us(within.end_us),
        epoch=position.epoch,
        revision=revision,
        events=built.events,
        messages=built.messages,
        as_of_offset=position.offset,
        version=0,
        sha256=hashlib.sha256(packed).hexdigest(),
        size_bytes=len(packed),
    )
    return packed, row


def intact_slice(files: Files, room: str, row: SliceRow, *, public: bool) -> bytes:
    """A slice's compressed bytes, compared with the catalog.

    Raises:
        CorruptError: the file is missing or not what was written.
    """
    path = files.slice_path(room, row, public=public)
    try:
        packed = files.read_slice(room, row, public=public)
    except FileNotFoundError as error:
        raise CorruptError(files.relative(path), "the file is missing") from error
    if hashlib.sha256(packed).hexdigest() != row.sha256:
        raise CorruptError(files.relative(path), "its SHA-256 is another than the catalog's")
    return packed


def says_the_same(files: Files, room: str, row: SliceRow, body: bytes, *, public: bool) -> bool:
    """Whether a slice that stands says what this JSON does, but for which revision it is."""
    try:
        packed = intact_slice(files, room, row, public=public)
    except (CorruptError, OSError):
        return False
    before: dict[str, Any] = msgspec.json.decode(gzip.decompress(packed))
    now: dict[str, Any] = msgspec.json.decode(body)
    return all(before.get(name) == now.get(name) for name in _SOURCE_FIELDS)


def mended_slice(files: Files, journal: Journal, room: str, row: SliceRow, *, public: bool) -> bytes:
    """A damaged slice made again as it was, in its place; what was there goes to the quarantine.

    Raises:
        ChangedSliceError: something it shows has changed since: only a new revision can stand.
        CorruptError: a row of the journal is damaged too.
        OSError: it cannot be written.
    """
    path = files.slice_path(room, row, public=public)
    files.quarantine(path, "its SHA-256 is another than the catalog's")
    within = Range(us_from_ms(row.start_ms), us_from_ms(row.end_ms))
    position = Position(row.epoch, row.as_of_offset)
    lost = f"program time {row.start_ms} to {row.end_ms} ms of broadcast {row.broadcast}"
    try:
        built = built_slice(
            journal, room, broadcast=row.broadcast, within=within, position=position, revision=row.revision
        )
    except CorruptError as error:
        raise CorruptError(files.relative(path), f"{lost} cannot be made again ({error})") from error
    if built is not None:
        packed, again = slice_row(
            built, broadcast=row.broadcast, within=within, position=position, revision=row.revision
        )
        if again.sha256 == row.sha256:
            files.write_slice(room, row, packed, public=public)
            return packed
    raise ChangedSliceError(files.relative(path), f"{lost} cannot be made again as it was")
