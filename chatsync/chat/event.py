"""What a room's log holds: events, their stamps, their authors, and who may see which kind.

Owns: ``Event`` and its parts, the kinds and their visibility. Does not know: JSON, SQL, clocks.
Units: ``_us`` are µs since the Unix epoch (instants) or plain µs (lengths). Source: contract §2.

None of these can be part of a cycle, so the collector of garbage need not look at them (``gc=False``): rooms hold many in memory.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Literal

import msgspec

__all__ = [
    "AUDITED_KINDS",
    "KINDS",
    "MESSAGE_KINDS",
    "STATE_KINDS",
    "Author",
    "Draft",
    "Event",
    "Position",
    "Role",
    "Stamp",
    "StampKind",
    "Visibility",
    "visibility_of",
]

StampKind = Literal["playhead", "origin", "estimate", "arrival", "import", "none"]
Role = Literal["host", "moderator", "participant", "viewer", "guest", "system"]


class Visibility(Enum):
    """Who may see an event of a kind."""

    PUBLIC = "public"  # everyone, and in public slices
    TALLY = "tally"  # nobody singly; counted in tallies
    STAFF = "staff"  # hosts and moderators; others only by its effect


KINDS: dict[str, Visibility] = {
    "message": Visibility.PUBLIC,
    "question": Visibility.PUBLIC,
    "announcement": Visibility.PUBLIC,
    "paid": Visibility.PUBLIC,
    "system": Visibility.PUBLIC,
    "reaction": Visibility.PUBLIC,
    "hand_raised": Visibility.PUBLIC,
    "hand_lowered": Visibility.PUBLIC,
    "question_upvoted": Visibility.TALLY,
    "poll_voted": Visibility.TALLY,
    "question_answered": Visibility.PUBLIC,
    "poll_opened": Visibility.PUBLIC,
    "poll_closed": Visibility.PUBLIC,
    "pinned": Visibility.PUBLIC,
    "unpinned": Visibility.PUBLIC,
    "mode_changed": Visibility.PUBLIC,
    "broadcast_opened": Visibility.PUBLIC,
    "broadcast_closed": Visibility.PUBLIC,
    "stream_changed": Visibility.PUBLIC,
    "capture_gap": Visibility.PUBLIC,
    "held": Visibility.STAFF,
    "hidden": Visibility.STAFF,
    "restored": Visibility.STAFF,
    "erased": Visibility.STAFF,
    "muted": Visibility.STAFF,
    "unmuted": Visibility.STAFF,
    "banned": Visibility.STAFF,
    "unbanned": Visibility.STAFF,
    "noted": Visibility.STAFF,
    "reported": Visibility.STAFF,
    "restamped": Visibility.STAFF,
}

MESSAGE_KINDS = frozenset({"message", "question", "announcement", "paid", "system"})
"""Kinds that are utterances: they count as ``messages`` in the chat playlist."""

AUDITED_KINDS = frozenset(
    {
        "hidden",
        "restored",
        "erased",
        "muted",
        "unmuted",
        "banned",
        "unbanned",
        "noted",
        "restamped",
        "mode_changed",
        "pinned",
        "unpinned",
        "poll_opened",
        "poll_closed",
        "broadcast_closed",
    }
)
"""Kinds that are deeds of staff: each is a record of the audit log, unless the relay does it by itself."""

STATE_KINDS = frozenset(
    {
        "question",
        "question_upvoted",
        "question_answered",
        "pinned",
        "unpinned",
        "mode_changed",
        "hand_raised",
        "hand_lowered",
        "poll_opened",
        "poll_closed",
        "poll_voted",
    }
)
"""Kinds that change the room state a slice opens with."""


def visibility_of(kind: str) -> Visibility:
    """Who sees a kind; an unknown kind is staff only, so that nothing leaks by being new."""
    return KINDS.get(kind, Visibility.STAFF)


class Position(msgspec.Struct, frozen=True, order=True, gc=False):
    """A place in a room's log. Offsets rise by one from 1 and never restart; the epoch rises only when history could not be proven intact."""

    epoch: int
    offset: int


class Author(msgspec.Struct, frozen=True, gc=False):
    """Who wrote an event. ``key`` is pseudonymous per room; names live in identity.db only."""

    key: str
    name: str
    role: Role = "participant"
    badges: tuple[str, ...] = ()


class Stamp(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where an event stands in program time, and what that was made from (contract §1).

    ``program_us`` is a whole millisecond. The last five fields are the clock record: a stamp can be recomputed from them and
    the reloads. ``run`` and ``media_sequence`` are where the author's player was (``playhead``), else the live edge of then.
    """

    stamp: StampKind
    broadcast: int
    program_us: int  # µs since the Unix epoch, program time
    uncertainty_us: int  # half-width
    behind_live_us: int = 0  # how far behind the room's median latency; 0 if unknown
    claimed_us: int | None = None  # program time the author's player claimed
    latency_us: int | None = None  # latency (estimate) or lag (origin, arrival) that was used
    run: int | None = None
    media_sequence: int | None = None
    into_segment_us: int | None = None


class Draft(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An event that is stamped but not in the log yet: the writer gives it its position."""

    room: str
    kind: str
    id: str  # UUIDv7 by the sender, or derived from the source's id
    stamp: Stamp
    wall_us: int  # µs since the Unix epoch, the relay's wall clock at receipt
    author: Author | None = None
    text: str | None = None
    reply_to: int | None = None  # offset
    target: int | None = None  # offset
    details: dict[str, Any] = msgspec.field(default_factory=dict)  # what the kind adds; JSON values
    source: str = "live"  # live, ingest, system, import:<format>, or a chat elsewhere: irc, twitch
    received_us: int | None = None  # steady wall time of receipt: how long the id is remembered; None: ``wall_us``
    by: str | None = None  # pseudonym of whose deed it is, for the audit log, where the event itself has no author


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One entry of a room's log."""

    room: str
    epoch: int
    offset: int
    kind: str
    id: str
    stamp: Stamp  # as it stands now: after restamping, less what was logged
    wall_us: int
    author: Author | None = None
    text: str | None = None  # None too when blanked by a hide or an erasure
    reply_to: int | None = None
    target: int | None = None
    details: dict[str, Any] = msgspec.field(default_factory=dict)
    source: str = "live"
    hidden: bool = False

    @property
    def program_us(self) -> int:
        """Program time, µs since the Unix epoch."""
        return self.stamp.program_us

    @property
    def broadcast(self) -> int:
        """The airing this event belongs to."""
        return self.stamp.broadcast

    @property
    def place(self) -> tuple[int, int]:
        """Sort key of slices and files: (program time, offset)."""
        return (self.stamp.program_us, self.offset)
