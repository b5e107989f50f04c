"""Bytes of frames, made once for everyone who gets them: of WebSockets, and of server-sent events.

Owns: ``Batch``: some JSON frames that travel together, and the bytes they are on the wire. Does not know: sockets, rooms.
Source: RFC 6455 §5.2 (a server's frames carry no mask, so the same bytes fit every connection); the HTML standard §9.2.6
(a field ends with its line, and our JSON is one line); reliability G5.
"""

from __future__ import annotations

from collections.abc import Iterable

from chatsync.chat.event import Position

__all__ = ["Batch", "event_lines", "text_frame"]


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


def event_lines(payload: bytes, position: Position | None = None) -> bytes:
    """A frame as a server-sent event; whoever has read it comes back with its id, if it has one."""
    if position is None:
        return b"data: %b\n\n" % payload
    return b"id: %d:%d\ndata: %b\n\n" % (position.epoch, position.offset, payload)


class Batch:
    """Frames that go to many readers together; what they are on the wire is worked out once, at the first use.

    Args:
        payloads: each one JSON frame, UTF-8.
        through: up to where whoever has them all knows the log; None if they say nothing of it.
    """

    __slots__ = ("_lines", "_through", "_wire", "payloads")

    def __init__(self, payloads: Iterable[bytes], through: Position | None = None) -> None:
        self.payloads = tuple(payloads)
        self._through = through
        self._wire: bytes | None = None
        self._lines: bytes | None = None

    @property
    def wire(self) -> bytes:
        """All of them as WebSocket text frames, one after the other."""
        if self._wire is None:
            self._wire = b"".join([text_frame(payload) for payload in self.payloads])
        return self._wire

    @property
    def lines(self) -> bytes:
        """All of them as server-sent events. Only the last has an id: who was cut off before it must get what followed again."""
        if self._lines is None:
            *first, last = self.payloads
            self._lines = b"".join([*map(event_lines, first), event_lines(last, self._through)])
        return self._lines
