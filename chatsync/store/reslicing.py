"""Slices of a folder at rest made anew after an erasure; a relay that serves the folder does the same by its sealer.

Owns: which slices print somebody or embed what is gone, and writing their next revisions. Does not know: when slices are cut.
Units: ms where slices are named. Source: contract §3; decision 0017.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from chatsync.chat.event import Position
from chatsync.errors import CorruptError
from chatsync.instants import Range, us_from_ms
from chatsync.store.catalog import SliceRow
from chatsync.store.opening import Store
from chatsync.store.slicing import built_slice, slice_row

__all__ = ["SliceFile", "revise_slice", "revise_slices", "slice_files", "sweep_unlisted", "unlisted_slices"]


class SliceFile(msgspec.Struct, frozen=True):
    """A listed slice and where its file lies."""

    row: SliceRow
    is_public: bool


def slice_files(store: Store, room: str, broadcasts: Iterable[int]) -> Iterator[tuple[SliceFile, bytes]]:
    """The listed slices of some broadcasts with their JSON, in order; those without a file are left out.

    Raises:
        CorruptError: a file is no gzip.
    """
    for broadcast in broadcasts:
        for row in store.catalog.slices(room, broadcast)[0]:
            for is_public in (True, False):
                path = store.files.slice_path(room, row, public=is_public)
                try:
                    yield SliceFile(row, is_public), gzip.decompress(path.read_bytes())
                except FileNotFoundError:
                    continue
                except (OSError, EOFError) as error:
                    raise CorruptError(store.files.relative(path), "it cannot be unpacked") from error


def unlisted_slices(store: Store, room: str, broadcasts: Iterable[int]) -> Iterator[tuple[Path, bytes]]:
    """Slices of some broadcasts that lie there and that the catalog does not list, with their JSON; empty if it cannot be unpacked.

    A relay that was killed between listing a revision and removing the one before leaves them until its next sweep.
    """
    for broadcast in broadcasts:
        for path in store.files.unnamed_slices(room, broadcast, _listed(store, room, broadcast)):
            try:
                yield path, gzip.decompress(path.read_bytes())
            except FileNotFoundError:
                continue
            except (OSError, EOFError):
                yield path, b""


def sweep_unlisted(store: Store, room: str, broadcasts: Iterable[int]) -> None:
    """Remove them, from a folder that nobody serves: a relay may be about to list one."""
    for broadcast in broadcasts:
        named = _listed(store, room, broadcast)
        for public in (True, False):
            store.files.sweep_slices(room, broadcast, named, public=public)


def _listed(store: Store, room: str, broadcast: int) -> set[str]:
    rows = store.catalog.slices(room, broadcast)[0]
    return {store.files.slice_path(room, row, public=True).name for row in rows}


def revise_slices(store: Store, room: str, broadcasts: Iterable[int], author_key: str, gone: frozenset[int]) -> int:
    """Write the next revision of every slice that prints an author or embeds a pin that is gone; how many.

    Args:
        store: opened, served by nobody.
        room: the room.
        broadcasts: those in which the author did anything.
        author_key: who was erased.
        gone: offsets that went.

    Raises:
        CorruptError: a row or a slice's file is damaged.
        StoreError: one could not be written; those before it are.
    """
    needle, revised = author_key.encode(), 0
    for file, body in slice_files(store, room, sorted(broadcasts)):
        if needle in body or _embeds(body, gone):
            revise_slice(store, room, file)
            revised += 1
    return revised


def _embeds(body: bytes, gone: frozenset[int]) -> bool:
    if b'"pinned":[{' not in body:
        return False
    printed: dict[str, Any] = msgspec.json.decode(body)
    return any(pin["offset"] in gone for pin in printed["state"]["pinned"])


def revise_slice(store: Store, room: str, file: SliceFile) -> None:
    """Write the next revision of a slice as the journal has it now; the one before goes.

    Raises:
        CorruptError: a row is damaged.
        StoreError: it could not be written.
    """
    before = file.row
    head = store.journal.head(room)
    position = Position(head.epoch, head.offset)
    within = Range(us_from_ms(before.start_ms), us_from_ms(before.end_ms))
    key: dict[str, Any] = {
        "broadcast": before.broadcast,
        "within": within,
        "position": position,
        "revision": before.revision + 1,
    }
    built = built_slice(store.journal, room, **key)
    version = 1 + store.catalog.slices(room, before.broadcast)[2]
    if built is None:
        store.writer.call(lambda connection: store.catalog.remove_slice(connection, room, before, version)).result()
    else:
        packed, row = slice_row(built, **key)
        row = msgspec.structs.replace(row, version=version)
        store.files.write_slice(room, row, packed, public=file.is_public)
        store.writer.call(
            lambda connection: store.catalog.put_slice(connection, room, row, version, built.finals_us)
        ).result()
    store.files.remove_slice(room, before, public=file.is_public)
