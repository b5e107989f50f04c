"""What one reader of the live socket was promised and holds, judged frame by frame.

Owns: the rules a live connection keeps towards one reader (G3, G4). Does not know: sockets, the log as it is stored.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chatsync.chat.event import KINDS, Visibility

__all__ = ["View", "is_public"]

Event = dict[str, Any]


def is_public(event: Event) -> bool:
    """Whether everyone may see an event as it travels."""
    return KINDS.get(event["kind"]) is Visibility.PUBLIC


class View:
    """Everything public of ``(start, through]`` that is not hidden: what a reader who keeps to the contract holds.

    Args:
        fail: told what is wrong.
        after: the position asked for; None for a newcomer, whose view starts with the first event of the welcome.
    """

    def __init__(self, fail: Callable[[str], None], after: int | None = None) -> None:
        self._fail = fail
        self.start = after
        self.through: int | None = after
        self.held: dict[int, Event] = {}
        self.gone_since: dict[int, bool] = {}  # offsets whose last word since the start was `gone` (True) or `back`
        self.backs: dict[int, Event] = {}
        self._reset_at: int | None = None

    def go_on(self) -> None:
        """A new connection asks for what follows ``through``: a welcome that the last one owed after a reset will not come."""
        self._reset_at = None

    def receive(self, frame: Any) -> None:
        """Take in a frame that bears on what is held."""
        match frame["type"]:
            case "welcome":
                self._receive_welcome(frame)
            case "events":
                self._receive_events(frame)
            case "gone":
                self._take_away(frame["offsets"])
            case "back":
                self._give_back(frame["events"])
            case "reset":
                self._reset(frame)

    def _reset(self, frame: Any) -> None:
        offset = self._offset(frame["position"])
        self.held.clear()
        self.gone_since.clear()
        self.backs.clear()
        self.start = self.through = self._reset_at = offset

    def _offset(self, position: Any) -> int:
        if position["epoch"] != "1":
            self._fail(f"the epoch has risen to {position['epoch']} though nothing was lost")
        offset: int = position["offset"]
        return offset

    def _receive_welcome(self, frame: Any) -> None:
        through, events = self._offset(frame["through"]), frame["events"]
        if self._offset(frame["position"]) != through:
            self._fail("a welcome's position is not its through")
        if self._reset_at is not None:
            if events or through != self._reset_at:
                self._fail(
                    f"the welcome after a reset at {self._reset_at} goes through {through} with {len(events)} events"
                )
            self._reset_at = None
        elif self.start is None:
            self.start = events[0]["offset"] - 1 if events else through
        self._check_order(events, self.start, through)
        if self.through is not None and through < self.through:
            self._fail(f"a welcome goes through {through}, and {self.through} was known")
        self.held |= {event["offset"]: event for event in events}
        self.through = through
        self._take_away(frame["gone"])
        self._give_back(frame["back"])

    def _receive_events(self, frame: Any) -> None:
        through = self._offset(frame["through"])
        if self._reset_at is not None:
            self._fail("events came between a reset and its welcome")
        if self.through is None or through < self.through:
            self._fail(f"events go through {through} after {self.through}")
            return
        self._check_order(frame["events"], self.through, through)
        self.held |= {event["offset"]: event for event in frame["events"] if is_public(event)}
        self.through = through

    def _check_order(self, events: list[Event], after: int | None, through: int) -> None:
        last = -1 if after is None else after
        for event in events:
            if not last < event["offset"] <= through:
                self._fail(f"offset {event['offset']} came after {last}, through {through}")
            last = event["offset"]

    def _take_away(self, offsets: list[int]) -> None:
        for offset in offsets:
            self.held.pop(offset, None)
            self.backs.pop(offset, None)
            self.gone_since[offset] = True

    def _give_back(self, events: list[Event]) -> None:
        for event in events:
            offset = event["offset"]
            if self.through is None or offset > self.through:
                self._fail(f"offset {offset} came back before it came")
            self.gone_since[offset] = False
            self.backs[offset] = event
            if self.start is not None and offset > self.start:
                self.held[offset] = event
