"""Telling everyone in a room the same, without holding the event loop.

Owns: who is in the room, what is still being told, in which order. Does not know: what is told, sockets.
Source: reliability G5. A write costs about 7 µs, so that ten thousand readers would hold the loop for 70 ms if they were told in
one go.

Everyone is told everything in the same order: a second piece of news begins when the first has reached all who were there when
it came. Who joins meanwhile is told by their welcome what came before.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from operator import length_hint
from typing import Protocol

import structlog

from chatsync.chat.event import Author, Position
from chatsync.replay.stamping import Playhead
from chatsync.service.framing import Batch

__all__ = ["CHUNK_RECEIVERS", "Fanout", "Receiver"]

CHUNK_RECEIVERS = 256  # told in one go: ~2 ms
_GO_S = 0.005  # and a go is over after so long: while threads compute, each write may have to wait for Python
_LOOK_RECEIVERS = 16  # told between two looks at the time

_log = structlog.get_logger(__name__)


class Receiver(Protocol):
    """Somebody who is told what happens in a room: a live connection."""

    is_staff: bool
    author_key: str

    @property
    def author(self) -> Author | None:
        """Who it is; None before they have said hello."""

    @property
    def playhead(self) -> Playhead | None:
        """Where their picture was when they last said so; None if they never did."""

    def receive_batch(self, batch: Batch) -> None:
        """Take in frames that are encoded already; must not block."""

    def receive_reset(self, reason: str, position: Position) -> None:
        """What this reader holds is worth nothing any more: tell it to start afresh from a position of the room."""

    def send_banned(self) -> None:
        """Close the connection: its person was banned."""

    def send_away(self, *, gone: bool) -> None:
        """Close the connection: for good, or to come back."""


class Fanout:
    """The readers of one room.

    Args:
        idle: called when everything has been told, if it took more than one go.
    """

    def __init__(self, idle: Callable[[], None]) -> None:
        self.receivers: set[Receiver] = set()
        self._idle = idle
        self._telling: deque[tuple[Iterator[Receiver], Callable[[Receiver], None]]] = deque()

    @property
    def is_busy(self) -> bool:
        """Whether something is still being told."""
        return bool(self._telling)

    def tell(self, tell: Callable[[Receiver], None]) -> None:
        """Tell everyone who is here now; at once if they are few, it does not take long and nothing else is being told."""
        if not self.receivers:
            return
        self._telling.append((iter(tuple(self.receivers)), tell))
        if len(self._telling) == 1:
            self._go_on(is_first=True)

    def _go_on(self, *, is_first: bool = False) -> None:
        loop = asyncio.get_running_loop()
        receivers, tell = self._telling[0]
        until_s = loop.time() + _GO_S
        for told, receiver in enumerate(islice(receivers, CHUNK_RECEIVERS), start=1):
            _told(tell, receiver)
            if told % _LOOK_RECEIVERS == 0 and loop.time() >= until_s:
                break
        if not length_hint(receivers):
            self._telling.popleft()
        if self._telling:
            loop.call_soon(self._go_on)
        elif not is_first:
            self._idle()


def _told(tell: Callable[[Receiver], None], receiver: Receiver) -> None:
    """Tell one; whatever is wrong with it must not keep the others from hearing."""
    try:
        tell(receiver)
    except Exception:
        _log.exception("reader_not_told")
