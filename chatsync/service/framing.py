"""Bytes of WebSocket frames, made once for everyone who gets them.

Owns: ``Batch``: some JSON frames that travel together, and the bytes they are on the wire. Does not know: sockets, rooms.
Source: RFC 6455 §5.2 (a server's frames carry no mask, so the same bytes fit every connection); reliability G5.
"""

from __future__ import annotations

from collections.abc import Iterable

from websockets.frames import Frame, Opcode

__all__ = ["Batch"]


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
            frames = (Frame(Opcode.TEXT, payload).serialize(mask=False) for payload in self.payloads)
            self._wire = b"".join(bytes(frame) for frame in frames)
        return self._wire
