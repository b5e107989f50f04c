"""What holds in a room beyond its broadcasts: the mode, and who is muted or banned until when.

Owns: ``Standing`` and how events change it. Does not know: the journal, sockets, clocks (wall time is an argument).
Units: µs of system wall time. Source: contract §1 (policy, mode, members and bans carry on), §5 (mute, ban).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from chatsync.chat.event import Event
from chatsync.instants import us_from_ms

__all__ = ["STANDING_KINDS", "Restriction", "Sanction", "Standing", "until_us_of"]

Restriction = Literal["muted", "banned"]

STANDING_KINDS = frozenset({"mode_changed", "muted", "unmuted", "banned", "unbanned"})
"""Kinds that change what holds."""

_ENDS: dict[str, Restriction] = {"unmuted": "muted", "unbanned": "banned"}


@dataclass(frozen=True, slots=True)
class Sanction:
    """A mute or a ban: until when, None until somebody ends it; and the event that says so."""

    until_us: int | None
    offset: int

    def holds(self, wall_us: int) -> bool:
        """Whether it still holds."""
        return self.until_us is None or wall_us < self.until_us


@dataclass(slots=True)
class Standing:
    """What holds.

    Attributes:
        mode: parts that were set, by name; None if nobody ever set one.
        muted: by author key. The muted read, and write nothing.
        banned: by author key. The banned are not let in.
    """

    mode: dict[str, Any] | None = None
    muted: dict[str, Sanction] = field(default_factory=dict)
    banned: dict[str, Sanction] = field(default_factory=dict)

    def take(self, event: Event) -> None:
        """Take one more event of the log into account, in its order; other kinds change nothing."""
        if event.kind == "mode_changed":
            self.mode = (self.mode or {}) | event.details.get("mode", {})
        elif event.kind in STANDING_KINDS:
            key = str(event.details.get("author", ""))
            ended = _ENDS.get(event.kind)
            if ended is not None:
                self._of(ended).pop(key, None)
            else:
                self._of(event.kind)[key] = Sanction(until_us_of(event.details), event.offset)

    def _of(self, restriction: str) -> dict[str, Sanction]:
        return self.banned if restriction == "banned" else self.muted

    def sanction(self, restriction: Restriction, author_key: str, wall_us: int) -> Sanction | None:
        """The mute or ban of a person that holds now, if there is one. One whose end has come is forgotten."""
        sanctions = self._of(restriction)
        found = sanctions.get(author_key)
        if found is not None and not found.holds(wall_us):
            del sanctions[author_key]
            return None
        return found


def until_us_of(details: Mapping[str, Any]) -> int | None:
    """When what an event imposes ends, system wall time; None: when somebody ends it."""
    until_ms = details.get("until_ms")
    return None if until_ms is None else us_from_ms(int(until_ms))
