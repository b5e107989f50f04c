"""One connection's life as a machine: hello first, then frames, then closed.

Owns: which frame may come when, the hello deadline, when a silent peer is given up. Does not know: sockets, tokens, rooms.
Units: ``now_us`` is monotonic time. Source: contract §5, limits in security-and-privacy §9.

After :meth:`Session.receive_frame` do what the returned command says; close the socket when it is a :class:`Close`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from chatsync.chat.wire import (
    ActFrame,
    ClientFrame,
    CloseCode,
    HelloFrame,
    PingFrame,
    PlayheadFrame,
    SayFrame,
    TypingFrame,
    UnknownFrame,
    decoded_frame,
)
from chatsync.errors import WireError
from chatsync.instants import SECOND_US

__all__ = ["HELLO_US_MAX", "Close", "Session", "SessionState"]

HELLO_US_MAX = 5 * SECOND_US


class SessionState(Enum):
    """Where a connection stands."""

    NEW = "new"
    READY = "ready"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Close:
    """The socket must close with this code; ``reason`` holds no secrets and at most 123 bytes."""

    code: CloseCode
    reason: str


Command = HelloFrame | SayFrame | ActFrame | PlayheadFrame | TypingFrame | PingFrame | UnknownFrame | Close

_ALLOWED: dict[SessionState, tuple[type, ...]] = {
    SessionState.NEW: (HelloFrame, PingFrame),
    SessionState.READY: (SayFrame, ActFrame, PlayheadFrame, TypingFrame, PingFrame, UnknownFrame),
    SessionState.CLOSED: (),
}


class Session:
    """The server's side of one connection.

    Args:
        now_us: monotonic time of the connect.
    """

    def __init__(self, *, now_us: int) -> None:
        self.state = SessionState.NEW
        self._hello_due_us = now_us + HELLO_US_MAX

    def receive_frame(self, data: bytes | str) -> Command:
        """Decode one frame and say what to do with it."""
        try:
            frame: ClientFrame | UnknownFrame = decoded_frame(data)
        except WireError as error:
            return self._closed(CloseCode.MALFORMED, str(error))
        if not isinstance(frame, _ALLOWED[self.state]):
            return self._closed(CloseCode.MALFORMED, f"'{type(frame).__name__}' may not come now")
        return frame

    def welcome(self) -> None:
        """The hello was accepted."""
        assert self.state is SessionState.NEW
        self.state = SessionState.READY

    def wake_at_us(self) -> int | None:
        """When :meth:`receive_time` wants to be called; None once the hello has come."""
        return self._hello_due_us if self.state is SessionState.NEW else None

    def receive_time(self, now_us: int) -> Close | None:
        """Give up a connection that never said hello."""
        if self.state is SessionState.NEW and now_us >= self._hello_due_us:
            return self._closed(CloseCode.HELLO_TOO_LATE, "hello did not come within 5 s")
        return None

    def _closed(self, code: CloseCode, reason: str) -> Close:
        self.state = SessionState.CLOSED
        return Close(code, reason.encode()[:120].decode(errors="ignore"))
