"""When garbage is collected: little and often, and everything only when what is alive may have doubled.

Owns: the collector of cycles of this process. Does not know: what makes cycles. Source: reliability §5 (event-loop lag); decisions 0027 and 0042.

Left to itself Python looks at each object there is whenever a quarter more of them are alive, and holds all threads meanwhile: 50 to
80 ms for the objects of a busy relay, at moments when it is busy. Nearly all that the relay lets go of goes without it, by counting.
"""

from __future__ import annotations

import asyncio
import gc

__all__ = ["EVERY_S", "SPARE_OBJECTS", "TURNS_BETWEEN_COUNTS", "Collector"]

EVERY_S = 0.1  # at 5 s big reads left 75,000 young objects: 20 to 70 ms at once; with nothing to do a turn costs 0.5 µs
TURNS_BETWEEN_COUNTS = 600  # a minute of them: counting walks through all objects, 2 ms for 300,000
SPARE_OBJECTS = 200_000  # more than double may be there before all of them are looked at: some 20 MiB
_YOUNG_MAX = 200_000  # made within a turn; more, and Python collects by itself: ~20 ms


class Collector:
    """Collects what was made since the last turn, and puts what is alive out of the collector's sight.

    Call :meth:`begin` once everything is made, then :meth:`turn` a few times a second, or :meth:`run`.
    """

    def __init__(self) -> None:
        self._alive = 0  # objects out of sight after everything was looked at last
        self._turns = 0

    def begin(self) -> None:
        """Look at everything once, then never again at what is alive now. Collecting may have been off until then. Cost: 100 ms."""
        self._look_at_all()
        gc.enable()
        gc.set_threshold(_YOUNG_MAX, 1_000, 1_000)

    def turn(self) -> None:
        """Collect what was made since the last turn. Cost: 0.1 µs for each object made since that is still there."""
        gc.collect(1)
        gc.freeze()
        self._turns += 1
        if self._turns % TURNS_BETWEEN_COUNTS == 0 and gc.get_freeze_count() > 2 * self._alive + SPARE_OBJECTS:
            self._look_at_all()

    def _look_at_all(self) -> None:
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        self._alive = gc.get_freeze_count()

    async def run(self) -> None:
        """A turn every ``EVERY_S``, until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            self.turn()
