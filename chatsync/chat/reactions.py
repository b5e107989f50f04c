"""Reactions: counted by emoji and program second, so that a class of five thousand makes one event a second and not five thousand.

Owns: ``Reactions``. Does not know: stamps' rules, the journal. Units: µs of program time.
Source: contract §2 (``reaction``: one event per emoji and program second, logged once a second, no authors).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from chatsync.chat.event import Stamp
from chatsync.errors import MessageRejectedError
from chatsync.instants import SECOND_US

__all__ = ["LOST_ME", "REACTIONS", "Reactions", "Tapped"]

LOST_ME = "\u2753"
"""The reaction that says "you lost me": counted for the host by program minute."""

REACTIONS = ("\U0001f44d", "\U0001f44f", "\u2764\ufe0f", "\U0001f602", "\U0001f62e", "\U0001f389", LOST_ME)
"""What rooms begin with: thumbs up, applause, heart, laughter, astonishment, a party, and "you lost me"."""

_SECONDS_MAX = 4_096  # of program time and emoji that wait: viewers who rewound react too


class Tapped:
    """How often one emoji was tapped in one program second of a broadcast, and the stamp of the first tap."""

    __slots__ = ("count", "emoji", "stamp")

    def __init__(self, emoji: str, stamp: Stamp, count: int) -> None:
        self.emoji, self.stamp, self.count = emoji, stamp, count


class Reactions:
    """What was tapped since it was logged last.

    Args:
        known: what may be tapped in this room.
    """

    def __init__(self, known: Iterable[str] = REACTIONS) -> None:
        self._known = frozenset(known)
        self._counts: Counter[tuple[int, int, str]] = Counter()
        self._stamps: dict[tuple[int, int, str], Stamp] = {}

    def check(self, emoji: str | None) -> str:
        """The emoji, if one may react with it.

        Raises:
            MessageRejectedError: ``unknown_emoji``.
        """
        if emoji is None or emoji not in self._known:
            raise MessageRejectedError("unknown_emoji", "This room has no such reaction.")
        return emoji

    def tap(self, emoji: str, stamp: Stamp) -> None:
        """Somebody tapped. What comes while too many seconds wait is counted in the newest of that emoji, not lost."""
        key = (stamp.broadcast, stamp.program_us // SECOND_US, emoji)
        if key not in self._stamps:
            if len(self._stamps) >= _SECONDS_MAX:
                key = next((known for known in reversed(self._stamps) if known[2] == emoji), key)
            self._stamps.setdefault(key, stamp)
        self._counts[key] += 1

    def due(self) -> list[Tapped]:
        """All that waits, in the order of program time; then nothing waits."""
        tapped = [Tapped(key[2], self._stamps[key], self._counts[key]) for key in sorted(self._counts)]
        self._counts.clear()
        self._stamps.clear()
        return tapped
