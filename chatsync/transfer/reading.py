"""Which module reads which format, whose ids stand in it, and how exact its times are.

Owns: that table. Does not know: files, rooms. Units: µs.

Ids and authors are of a network, whatever program wrote the file: two files of one network that share a message share its id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import BinaryIO

import msgspec

from chatsync.instants import MS_US, SECOND_US
from chatsync.transfer.fields import Known
from chatsync.transfer.line import Left, Line, Removal

__all__ = ["READERS", "Reader", "lines_of", "network_of", "networks_of"]


class Reader(msgspec.Struct, frozen=True):
    """How a format is read.

    Attributes:
        module: in ``transfer.importers``.
        function: in it.
        network: whose ids and authors stand in it.
        uncertainty_us: how far off an instant of it may be.
        has_own_ids: whether an id means one message in all files of the network; else only together with its instant.
    """

    module: str
    function: str
    network: str
    uncertainty_us: int = MS_US
    has_own_ids: bool = True


_SEVERAL = "chat_downloader"
_NETWORKS = ("youtube", "twitch", _SEVERAL)

READERS = {
    "twitch_downloader": Reader("twitch_downloader", "read", "twitch"),
    "youtube": Reader("youtube", "read", "youtube"),
    "chat_downloader": Reader("chat_downloader", "read", _SEVERAL),
    "ndjson": Reader("rows", "read_ndjson", "chatsync", has_own_ids=False),
    "csv": Reader("rows", "read_csv", "chatsync", has_own_ids=False),
    "webvtt": Reader("webvtt", "read", "webvtt", has_own_ids=False),
    "twitch_irc": Reader("twitch_irc", "read", "twitch"),
    "niconico": Reader("niconico", "read", "niconico", 10 * MS_US),
    "niconico_legacy": Reader("niconico", "read_legacy", "niconico", 10 * MS_US),
    "bilibili": Reader("bilibili", "read", "bilibili", 10 * MS_US),
    "zoom": Reader("zoom", "read", "zoom", SECOND_US),
    "bigbluebutton": Reader("bigbluebutton", "read", "bigbluebutton", 100 * MS_US),
}


def network_of(reader: Reader, author_id: str | None) -> str:
    """Whose id an author's is: one format has lines of several networks, and their ids look as no other's do."""
    if reader.network != _SEVERAL or author_id is None:
        return reader.network
    if author_id.startswith("UC") and len(author_id) >= 20:
        return "youtube"
    return "twitch" if author_id.isascii() and author_id.isdigit() else _SEVERAL


def networks_of(reader: Reader) -> tuple[str, ...]:
    """Of which networks a message may be whose author is not told."""
    return _NETWORKS if reader.network == _SEVERAL else (reader.network,)


def lines_of(name: str, stream: BinaryIO, known: Known) -> Iterator[Line | Removal | Left]:
    """What a file says, in its order.

    Args:
        name: of the format.
        stream: UTF-8, unpacked, at its beginning.
        known: what the file does not say.

    Raises:
        FileDamagedError: after what comes before the damage.
        FileUnplacedError: something has to be known that is not.
    """
    reader = READERS[name]
    module = import_module(f"chatsync.transfer.importers.{reader.module}")
    read: Callable[[BinaryIO, Known], Iterator[Line | Removal | Left]] = getattr(module, reader.function)
    return read(stream, known)
