"""What every relay of a test would load by itself, loaded once, before it is forked (:mod:`tests.forking`).

Owns: that list. Does not know: what the relays do.
"""

from __future__ import annotations

import pandas as pd  # noqa: F401 - pyarrow looks for it with the first archive file

import tests.faultkit.busy
import tests.faultkit.steps  # noqa: F401
from chatsync.chat.skeleton import shaped

__all__: list[str] = []

shaped("\u0430")  # the table of look-alikes
