"""Handing out what the writer has made durable, in its order, without holding the event loop.

Owns: ``Deliveries``. Does not know: what is handed out. Runs on the event loop.
A batch of the writer holds up to a thousand results, and each may be stamped into metrics, encoded for readers and acknowledged (~40 µs):
in one go that is 40 ms in which nobody else is served.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import structlog

from chatsync.store.writer import Completed

__all__ = ["AT_ONCE", "Deliveries"]

AT_ONCE = 64  # ~3 ms

_log = structlog.get_logger(__name__)


class Deliveries:
    """What waits to be handed out.

    Args:
        loop: on which it is handed out.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[tuple[Callable[[Any], None], Any]] = deque()
        self._is_going = False

    def receive(self, batch: Completed) -> None:
        """Take a batch of the writer; some of it is handed out at once, the rest as soon as others had their turn."""
        self._waiting.extend(batch)
        if not self._is_going:
            self._go_on()

    def _go_on(self) -> None:
        """One that fails must not keep the others from their answers."""
        for _ in range(min(AT_ONCE, len(self._waiting))):
            done, result = self._waiting.popleft()
            try:
                done(result)
            except Exception:
                _log.exception("after_commit_failed")
        self._is_going = bool(self._waiting)
        if self._is_going:
            self._loop.call_soon(self._go_on)
