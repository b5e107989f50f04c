"""Bytes of WebSocket frames, made once for everyone who gets them.

Owns: ``Batch``: some JSON frames that travel together, and the bytes they are on the wire. Does not know: sockets, rooms.
Source: RFC 6455 §5.2 (a server's frames carry no mask, so the same bytes fit every connection); reliability G5.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["Batch", "text_frame"]


def text_frame(payload: bytes) -> bytes:
    """A server's text frame: a header of two to ten bytes, then the payload as it is (RFC 6455 §5.2).

    By hand, and held to what ``websockets`` makes of it by a test: its general way costs five times as much, for every ack.
    """
    length = len(payload)
    if length < 126:
        return b"\x81%c%b" % (length, payload)
    if length < 65_536:
        return b"\x81\x7e%b%b" % (length.to_bytes(2, "big"), payload)
    return b"\x81\x7f%b%b" % (length.to_bytes(8, "big"), payload)


class Batch:
    """Frames that go to many readers together; what they are on the wire is worked out once, at the first use.

    Args:
        payloads: each one JSON frame, UTF-8.
    """

    __slots__ = ("_wire", "payloads")

    def __init__(self, payloads: Iterable[bytes]) -> None:
        self.payloads = tuple(payloads)
        self._wire: bytes | None = None

    @property
    def wire(self) -> bytes:
        """All of them as WebSocket text frames, one after the other."""
        if self._wire is None:
            self._wire = b"".join([text_frame(payload) for payload in self.payloads])
        return self._wire
