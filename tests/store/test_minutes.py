"""How much was said in each minute, as SQLite counts it."""

from __future__ import annotations

from chatsync.instants import MINUTE_US
from chatsync.replay.pulse import LOST, Minute, Pulse
from chatsync.store.minutes import minute_counts
from chatsync.store.opening import Store
from tests.builders import BASE_US
from tests.store.deeds import deed, placed, said

START_US = BASE_US - BASE_US % MINUTE_US


def test_it_counts_what_the_pulse_counts(store: Store) -> None:
    """The same minutes as those of somebody who took in every event; what is hidden now is not in it."""
    drafts = [
        placed("a", 0),
        placed("b", 61, "why?", kind="question"),
        placed("p", 62, "psst", details={"to": ["host"]}),
        placed("r", 63, None, kind="reaction", author=None, details={"emoji": LOST, "count": 4}),
        placed("s", 64, None, kind="reaction", author=None, details={"emoji": "👏", "count": 9}),
        placed("h", 130, None, kind="hand_raised"),
        placed("x", 131, "rude"),
        placed("other", 0, broadcast=2),
    ]
    pulse = Pulse()
    for appended in said(store, *drafts):
        if appended.event.broadcast == 1:
            pulse.take(appended.event)
    counts = [Minute(*one) for one in minute_counts(store.journal, "math", 1, 0, emoji=LOST)]
    assert pulse.minutes(START_US + 2 * MINUTE_US) == counts
    said(store, deed("hide", "hidden", target=7))
    assert [1, 1, 0] == [messages for _, messages, _ in minute_counts(store.journal, "math", 1, 0, emoji=LOST)]
    assert [(START_US + MINUTE_US, 1, 4)] == minute_counts(store.journal, "math", 1, START_US + MINUTE_US, emoji=LOST)[
        :1
    ]
