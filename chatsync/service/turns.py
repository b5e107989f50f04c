"""Turns of the event loop between two pieces of long work in a thread: who computes does not keep a hundred viewers waiting.

Owns: that the loop has come round once before a thread goes on. Does not know: what the work is (``store.readers`` cuts it).
Units: seconds. Source: reliability §5 (event-loop lag); decision 0042.

All threads share one interpreter. A thread that computes gives it up when it is asked to, but the loop must ask again for every socket
that has something to say and for every write, and whoever has it may be waiting for a core. So long work asks the loop first.
"""

from __future__ import annotations

import asyncio
import threading

__all__ = ["WAIT_S_MAX", "Turns"]

WAIT_S_MAX = 0.05  # as late as the loop may be (``loop_lag``); one that stands still longer, or is closed, does not stop its threads


class Turns:
    """Lets an event loop have its turn.

    Args:
        loop: the loop; made in its own thread.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._loop_thread = threading.get_ident()
        self._asking = threading.Lock()  # one thread goes on in each turn, however many there are

    def let_turn(self) -> None:
        """In a thread, between two pieces of work of some milliseconds: come back when the loop has come round. On the loop: at once.

        Cost: some 0.1 ms if the loop has nothing to do, at most ``WAIT_S_MAX``.
        """
        if threading.get_ident() == self._loop_thread:
            return
        turned = threading.Event()
        with self._asking:
            try:
                self._loop.call_soon_threadsafe(turned.set)
            except RuntimeError:  # it is closed
                return
            turned.wait(WAIT_S_MAX)
