"""Purge keys: what answers are called by caches that are told what to drop.

Owns: the names of a room, of a slice and of what changes every second, as keyed hashes; the headers that carry them. Does not know: who is
told (``service.purging``). Source: security-and-privacy §3.1.

A slice's key is that of all its revisions: whoever drops it drops those that were superseded long ago as well. Headers cost bytes, so they are
there only where a cache reads them.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Collection

from chatsync.service.purge_settings import PurgeKind

__all__ = ["PurgeKeys"]

_HEADERS: tuple[tuple[frozenset[PurgeKind], bytes, str], ...] = (
    (frozenset({"ban", "fastly"}), b"surrogate-key", " "),
    (frozenset({"cloudflare"}), b"cache-tag", ","),
)
_HEX = 16


class PurgeKeys:
    """Makes them.

    Args:
        key: of this purpose alone.
        kinds: of the caches that are told.
    """

    def __init__(self, key: bytes, kinds: Collection[PurgeKind] = ()) -> None:
        self._key = key
        self._headers = [(name, between) for readers, name, between in _HEADERS if readers & set(kinds)]

    def room(self, room: str) -> str:
        """Of everything of a room."""
        return f"room:{self._hash('room', room)}"

    def now(self, room: str) -> str:
        """Of what changes every second: the chat playlist and the open slice."""
        return f"now:{self._hash('now', room)}"

    def slice(self, room: str, broadcast: int, start_ms: int) -> str:
        """Of every revision of a slice: where it begins never changes."""
        return f"slice:{self._hash('slice', room, broadcast, start_ms)}"

    def of_now(self, room: str) -> list[tuple[bytes, bytes]]:
        """Headers of a chat playlist or an open slice."""
        return self._carried(lambda: (self.room(room), self.now(room)))

    def of_slice(self, room: str, broadcast: int, start_ms: int) -> list[tuple[bytes, bytes]]:
        """Headers of a sealed slice."""
        return self._carried(lambda: (self.room(room), self.slice(room, broadcast, start_ms)))

    def _carried(self, keys: Callable[[], tuple[str, ...]]) -> list[tuple[bytes, bytes]]:
        if not self._headers:
            return []
        made = keys()
        return [(name, between.join(made).encode()) for name, between in self._headers]

    def _hash(self, *parts: object) -> str:
        return hmac.digest(self._key, "|".join(map(str, parts)).encode(), "sha256").hex()[:_HEX]
