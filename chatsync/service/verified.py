"""Tokens that were found good: whoever polls shows the same one again and again.

Owns: remembering them by hash, and how many. Does not know: what makes a token good, or that it still is (``auth``): expiry, keys and
revocations are looked at each time.

The token itself is not kept: who reads this memory gets no credentials.
"""

from __future__ import annotations

import hashlib
from typing import Generic, NamedTuple, TypeVar

from chatsync.service.keys import TokenKey

__all__ = ["TOKENS_MAX", "Verified", "VerifiedTokens"]

TOKENS_MAX = 10_000  # ~10 MB; more people at once are verified anew, as if there were none of this

T = TypeVar("T")


class Verified(NamedTuple, Generic[T]):
    """What a token said.

    Attributes:
        kid: name of the key that it was verified with.
        key: that key itself: another of the same name proves nothing.
        at_us: system wall time when it was verified.
        said: what was read from it.
    """

    kid: str
    key: TokenKey
    at_us: int
    said: T


class VerifiedTokens(Generic[T]):
    """Those of the last so many; the oldest goes first.

    Args:
        tokens_max: how many.
    """

    def __init__(self, tokens_max: int = TOKENS_MAX) -> None:
        self._tokens_max = tokens_max
        self._held: dict[bytes, Verified[T]] = {}

    def __len__(self) -> int:
        return len(self._held)

    def __repr__(self) -> str:
        return f"VerifiedTokens({len(self)})"

    def get(self, name: bytes) -> Verified[T] | None:
        """What is known of a token by :meth:`name`."""
        return self._held.get(name)

    def put(self, name: bytes, verified: Verified[T]) -> None:
        """A token was found good."""
        self._held.pop(name, None)
        self._held[name] = verified
        while len(self._held) > self._tokens_max:
            del self._held[next(iter(self._held))]

    @staticmethod
    def name(token: str, *, admin: bool) -> bytes:
        """What a token is called here, apart for each use: as an administrator's or as anybody's. Cost: about 1 µs."""
        return hashlib.sha256(b"%d" % admin + token.encode("utf-8", "surrogatepass")).digest()
