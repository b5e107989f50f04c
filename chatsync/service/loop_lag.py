"""How late the event loop comes to what was planned: whoever blocks it freezes every viewer at once.

Owns: ``LoopLag``, which keeps the lateness of the last minute, and ``measure``, which plans a wake-up and sees when it comes.
Does not know: who blocks the loop, who reads the figure. Units: seconds of the loop's own clock. Source: reliability §5.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from chatsync.service.clock import CoreWait

__all__ = ["EVERY_S", "LAG_S_MAX", "LoopLag", "measure"]

EVERY_S = 0.02  # one plan in so long; 50 wake-ups a second cost an idle relay 0.2 % of a core
LAG_S_MAX = 0.05  # the promise: at most one plan in a thousand is later than this
_KEPT = 3_000  # plans: a minute of them


class LoopLag:
    """Lateness of plans that are ``EVERY_S`` apart, each counted once however long the loop stood still.

    A loop that stands still for half a second comes late to one wake-up, but to 25 plans: those that were never made
    are counted as if they had been, else one long stop would weigh as little as one short one.

    Args:
        observe: told every lateness, for a histogram.
        observe_own: the same, less what the thread waited for a core meanwhile: that is not the relay's doing.
    """

    def __init__(
        self, observe: Callable[[float], object], observe_own: Callable[[float], object] = lambda _: None
    ) -> None:
        self._observe, self._observe_own = observe, observe_own
        self._late: deque[float] = deque(maxlen=_KEPT)

    def receive_wake(self, due_s: float, now_s: float, waited_s: float = 0.0) -> None:
        """A wake-up that was planned for ``due_s`` came at ``now_s``; since the one before, the thread waited so long for a core."""
        late_s = max(0.0, now_s - due_s)
        for _ in range(_KEPT):
            self._late.append(late_s)
            self._observe(late_s)
            self._observe_own(max(0.0, late_s - waited_s))
            late_s -= EVERY_S
            if late_s <= 0:
                return

    def tail_s(self) -> float:
        """What 999 of 1,000 plans of the last minute were not later than; 0 before there are any. Sorts 3,000 numbers."""
        ordered = sorted(self._late)
        return ordered[-1 - len(ordered) // 1_000] if ordered else 0.0

    @property
    def is_bad(self) -> bool:
        """Whether the promise was broken within the last minute."""
        return self.tail_s() > LAG_S_MAX


async def measure(lag: LoopLag) -> None:
    """Plan, wake, compare, until cancelled."""
    loop = asyncio.get_running_loop()
    core = CoreWait()
    try:
        waited_s = core.waited_s()
        while True:
            due_s = loop.time() + EVERY_S
            await asyncio.sleep(EVERY_S)
            now_s, before_s, waited_s = loop.time(), waited_s, core.waited_s()
            lag.receive_wake(due_s, now_s, waited_s - before_s)
    finally:
        core.close()
