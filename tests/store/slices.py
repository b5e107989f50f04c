"""A sealed slice put into a folder by hand: whole, listed, and not made from the journal."""

from __future__ import annotations

import gzip
import hashlib

from chatsync.instants import SECOND_US, ms_from_us
from chatsync.store.catalog import SliceRow
from chatsync.store.opening import Store

__all__ = ["put_slice"]


def put_slice(store: Store, room: str, broadcast: int, start_us: int, text: str, *, public: bool = False) -> SliceRow:
    """Ten seconds of program time with one message."""
    packed = gzip.compress(text.encode(), mtime=0)
    row = SliceRow(
        broadcast=broadcast,
        start_ms=ms_from_us(start_us),
        end_ms=ms_from_us(start_us + 10 * SECOND_US),
        epoch=1,
        revision=1,
        events=1,
        messages=1,
        as_of_offset=store.journal.head(room).offset,
        version=1,
        sha256=hashlib.sha256(packed).hexdigest(),
        size_bytes=len(packed),
    )
    store.files.write_slice(room, row, packed, public=public)
    store.writer.call(lambda connection: store.catalog.put_slice(connection, room, row, 1)).result()
    return row
