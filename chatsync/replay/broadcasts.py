"""Broadcasts: which airing of a room an instant belongs to, and when one opens and closes.

Owns: the rules of contract §1 "Broadcast". Does not know: playlists (it is told of media), the log, who speaks.
Units: µs; ``wall_us`` steady wall time, ``_us`` otherwise program time.

A machine: call ``receive_*``, log the returned changes in order, then stamp events with ``current``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from chatsync.instants import MINUTE_US, Range, whole_ms_us
from chatsync.replay.clock import ProgramClock

__all__ = [
    "SILENCE_US_MAX",
    "UNDO_END_US",
    "Broadcast",
    "Broadcasts",
    "Change",
    "Closed",
    "GapFound",
    "Media",
    "Opened",
    "Reopened",
    "Restamp",
    "StreamChanged",
]

SILENCE_US_MAX = 15 * MINUTE_US  # an origin that gave nothing for so long has gone (by policy)
UNDO_END_US = MINUTE_US  # an ENDLIST may be taken back for so long
BROADCASTS_KEPT = 3  # the latest ones stay in memory: viewers may be rewound into them
_DAY_US = 24 * 60 * MINUTE_US
_JUMP_US = 100_000  # below this a step of program time is rounding (hls-timing: regions)


@dataclass(frozen=True, slots=True)
class Media:
    """What one reload of the playlist says of the newest media.

    ``edge_us`` is the program time of the end of the newest segment or part, None without a date; ``first_new_us`` and
    ``first_new_media_sequence`` are of the first media that was not known before, None if nothing is new.
    """

    run: int
    media_sequence: int
    edge_us: int | None
    first_new_us: int | None
    first_new_media_sequence: int | None
    has_new: bool
    ended: bool
    is_synthetic: bool
    target_duration_us: int
    hold_back_us: int
    other_variant: bool = False  # the run began because another variant is followed


@dataclass(slots=True)
class Broadcast:
    """One airing of a room. Program time is unique within it."""

    number: int
    opened_wall_us: int
    clock: ProgramClock = field(default_factory=ProgramClock)
    start_us: int | None = None  # program time of its first media
    first_run: int | None = None
    first_media_sequence: int | None = None
    last_run: int | None = None
    last_media_sequence: int | None = None
    closed_wall_us: int | None = None
    closed_reason: str | None = None
    last_origin_us: int | None = None  # program time of its last mode, pin or poll event
    hold_back_us: int = 0  # of its playlist; 0 before the first media
    arrivals: int = 0  # events stamped `arrival` since media last came
    is_imported: bool = False  # made for chat from a file: it was over before anybody here knew of it

    @property
    def is_closed(self) -> bool:
        """Whether it has closed; chat may still follow the end of the media."""
        return self.closed_wall_us is not None

    def to_record(self) -> dict[str, Any]:
        """What a restart needs, as JSON values; the clock's samples come from the logged reloads."""
        return {
            "number": self.number,
            "opened_wall_us": self.opened_wall_us,
            "start_us": self.start_us,
            "edge_us": self.clock.edge_us,
            "lag_us": self.clock.lag_us,
            "advanced_wall_us": self.clock.advanced_wall_us,
            "target_duration_us": self.clock.target_duration_us,
            "is_synthetic": self.clock.is_synthetic,
            "first_run": self.first_run,
            "first_media_sequence": self.first_media_sequence,
            "last_run": self.last_run,
            "last_media_sequence": self.last_media_sequence,
            "closed_wall_us": self.closed_wall_us,
            "closed_reason": self.closed_reason,
            "last_origin_us": self.last_origin_us,
            "hold_back_us": self.hold_back_us,
            "arrivals": self.arrivals,
            **({"is_imported": True} if self.is_imported else {}),
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Broadcast:
        """The broadcast as ``to_record`` left it; its clock goes on with the lag it had."""
        clock = ProgramClock(
            target_duration_us=record["target_duration_us"],
            ended=record["closed_wall_us"] is not None,
            is_synthetic=record.get("is_synthetic", False),
        )
        if record["edge_us"] is not None:
            edge_us, lag_us = record["edge_us"], record["lag_us"]
            clock.receive_edge(edge_us, wall_us=edge_us + lag_us)
            clock.advanced_wall_us = record["advanced_wall_us"]
        names = (
            "number opened_wall_us start_us first_run first_media_sequence last_run last_media_sequence "
            "closed_wall_us closed_reason last_origin_us arrivals"
        )
        known = {name: record[name] for name in names.split()}
        is_imported = record.get("is_imported", False)
        return cls(clock=clock, hold_back_us=record.get("hold_back_us", 0), is_imported=is_imported, **known)


@dataclass(frozen=True, slots=True)
class Opened:
    """A broadcast opened; ``start_us`` is None while it waits for media."""

    broadcast: int
    start_us: int | None
    media_sequence: int | None


@dataclass(frozen=True, slots=True)
class Closed:
    """A broadcast closed at this program time (its live edge; wall time if it never had media)."""

    broadcast: int
    program_us: int
    reason: str
    by: str | None = None  # pseudonym of who ended it, if somebody did
    event_id: str | None = None  # of the event it becomes; None: a new one


@dataclass(frozen=True, slots=True)
class Reopened:
    """An ENDLIST was taken back and the media went on."""

    broadcast: int


@dataclass(frozen=True, slots=True)
class StreamChanged:
    """A new run within the broadcast: the encoder started again, or another variant is followed."""

    broadcast: int
    run: int
    program_us: int
    other_variant: bool = False


@dataclass(frozen=True, slots=True)
class GapFound:
    """Program time that no media covers."""

    broadcast: int
    range: Range
    reason: str


@dataclass(frozen=True, slots=True)
class Restamp:
    """Events with these stamps move: by ``shift_us`` (rule ``rebase``), or back to ``to_us`` if they lie after it (``clamp``)."""

    broadcast: int
    rule: str
    stamps: tuple[str, ...]
    shift_us: int = 0
    to_us: int | None = None


Change = Opened | Closed | Reopened | StreamChanged | GapFound | Restamp


class Broadcasts:
    """The airings of one room, the latest few in memory.

    Args:
        has_stream: a room without a stream has one broadcast a UTC day, whose program time is wall time.
        known: the latest broadcasts, oldest first, as restored from the catalog.
        silence_us_max: after so long without new media from the origin the broadcast closes.
    """

    def __init__(
        self, *, has_stream: bool, known: tuple[Broadcast, ...] = (), silence_us_max: int = SILENCE_US_MAX
    ) -> None:
        self._has_stream = has_stream
        self._silence_us_max = silence_us_max
        self._kept: dict[int, Broadcast] = {broadcast.number: broadcast for broadcast in known}
        self._given_wall_us: int | None = None

    @property
    def current(self) -> Broadcast:
        """The latest broadcast of the room's own. Call ``receive_tick`` once first: it opens the room's first one.

        One that was made for a file is never it: chat that is brought in must not end the airing that is on.
        """
        return self._kept[max(self._own())]

    @property
    def has_begun(self) -> bool:
        """Whether the room has had a broadcast of its own."""
        return bool(self._own())

    @property
    def latest_number(self) -> int:
        """The highest number that a broadcast of the room has."""
        return max(self._kept)

    def _own(self) -> list[int]:
        return [number for number, broadcast in self._kept.items() if not broadcast.is_imported]

    @property
    def kept(self) -> tuple[Broadcast, ...]:
        """The latest broadcasts, oldest first."""
        return tuple(self._kept[number] for number in sorted(self._kept))

    def get(self, number: int) -> Broadcast | None:
        """A broadcast that is still in memory."""
        return self._kept.get(number)

    def forget(self, number: int) -> None:
        """A broadcast is past its time. The latest is kept: the next one counts on from it."""
        if number != self.current.number:
            self._kept.pop(number, None)

    def receive_tick(self, wall_us: int) -> list[Change]:
        """Time has passed: opens the first broadcast, turns the day of a room without a stream, closes after silence."""
        if not self._own():
            return [self._open(wall_us, media=None)]
        current = self.current
        if not self._has_stream:
            if current.opened_wall_us // _DAY_US == wall_us // _DAY_US:
                return []
            return [*self._close(current, "day", wall_us), self._open(wall_us, media=None)]
        if self._given_wall_us is None:
            self._given_wall_us = wall_us
        silent = wall_us - self._given_wall_us > self._silence_us_max
        if silent and not current.is_closed and current.clock.has_program_time:
            return self._close(current, "silence", wall_us)
        return []

    def close(self, reason: str, wall_us: int, by: str | None = None, event_id: str | None = None) -> list[Change]:
        """A host ended the broadcast, or its stream was changed. Closing twice does nothing.

        Args:
            reason: a code.
            wall_us: now.
            by: pseudonym of the host.
            event_id: of the event it becomes; None: a new one.
        """
        return [] if self.current.is_closed else self._close(self.current, reason, wall_us, by, event_id)

    def receive_media(self, media: Media, *, wall_us: int, age_us: int = 0) -> list[Change]:
        """One reload came in; ``age_us`` is the HTTP Age of the answer.

        Returns:
            What it changed, in the order to log it. The current broadcast's clock has already moved.
        """
        changes: list[Change] = []
        if not self._own():
            changes.append(self._open(wall_us, media=None))
        if media.has_new:
            self._given_wall_us = wall_us
            changes += self._after_close(media, wall_us)
            changes += self._after_fall_back(media, wall_us)
        if not self.current.is_closed:
            self.current.clock.target_duration_us = media.target_duration_us
            self.current.clock.is_synthetic = media.is_synthetic
            self.current.hold_back_us = media.hold_back_us
        if media.edge_us is not None and (media.has_new or self.current.clock.has_program_time):
            changes += self._advance(media, wall_us, age_us)
        if media.ended and not self.current.is_closed and self.current.last_run is not None:
            changes += self._close(self.current, "ended", wall_us)
        return changes

    def _after_close(self, media: Media, wall_us: int) -> list[Change]:
        current = self.current
        if current.closed_wall_us is None:
            return []
        continued = (
            current.closed_reason == "ended"
            and wall_us - current.closed_wall_us <= UNDO_END_US
            and media.run == current.last_run
            and media.first_new_media_sequence == (current.last_media_sequence or 0) + 1
        )
        if not continued:
            return [self._open(wall_us, media)]
        current.closed_wall_us = current.closed_reason = None
        current.clock.ended = False
        return [Reopened(current.number)]

    def _after_fall_back(self, media: Media, wall_us: int) -> list[Change]:
        current = self.current
        edge_us = current.clock.edge_us
        if edge_us is None or media.first_new_us is None or media.first_new_us >= edge_us - media.hold_back_us:
            return []
        return [*self._close(current, "program_time_fell_back", wall_us), self._open(wall_us, media)]

    def _advance(self, media: Media, wall_us: int, age_us: int) -> list[Change]:
        assert media.edge_us is not None
        current, clock = self.current, self.current.clock
        changes: list[Change] = []
        # Where the encoder stood still, its clock has fallen behind; where only we could not see it, coasting was right.
        old_edge_us, old_lag_us = clock.edge_us, clock.lag_us
        new_run = current.last_run is not None and media.run != current.last_run
        stood_still = old_edge_us is not None and media.has_new and (clock.is_stalled(wall_us) or current.arrivals > 0)
        jumped_us = 0
        if old_edge_us is not None and media.first_new_us is not None:
            jumped_us = media.first_new_us - old_edge_us
        jumped = abs(jumped_us) > max(_JUMP_US, media.target_duration_us)
        clock.receive_edge(media.edge_us, wall_us=wall_us, age_us=age_us, new_run=new_run or jumped)
        if new_run:
            at_us = media.first_new_us or media.edge_us
            changes.append(StreamChanged(current.number, media.run, at_us, other_variant=media.other_variant))
        if jumped_us > _JUMP_US and old_edge_us is not None:
            changes.append(GapFound(current.number, Range(old_edge_us, old_edge_us + jumped_us), "stream"))
        if old_edge_us is None:
            current.start_us = media.first_new_us if media.first_new_us is not None else media.edge_us
            current.first_run, current.first_media_sequence = media.run, media.first_new_media_sequence
            changes.append(self._rebase(current))
        elif stood_still and current.arrivals and not jumped and clock.lag_us - old_lag_us > media.target_duration_us:
            changes.append(Restamp(current.number, "clamp", ("arrival",), to_us=old_edge_us))
        if media.has_new:
            current.arrivals = 0
        current.last_run, current.last_media_sequence = media.run, media.media_sequence
        return changes

    @staticmethod
    def _rebase(broadcast: Broadcast) -> Restamp:
        """What was said before the first program time stood at wall time; the last pin, poll or mode moves along."""
        shift_us = -whole_ms_us(broadcast.clock.lag_us)
        if broadcast.last_origin_us is not None:
            broadcast.last_origin_us += shift_us
        return Restamp(broadcast.number, "rebase", ("none",), shift_us=shift_us)

    def _open(self, wall_us: int, media: Media | None) -> Opened:
        number = max(self._kept, default=0) + 1
        self._kept[number] = Broadcast(number, wall_us)
        for old in sorted(self._kept)[:-BROADCASTS_KEPT]:
            del self._kept[old]
        if media is None:
            return Opened(number, None, None)
        return Opened(number, media.first_new_us, media.first_new_media_sequence)

    def _close(
        self,
        broadcast: Broadcast,
        reason: str,
        wall_us: int,
        by: str | None = None,
        event_id: str | None = None,
    ) -> list[Change]:
        if broadcast.is_closed:
            return []
        broadcast.closed_wall_us, broadcast.closed_reason = wall_us, reason
        broadcast.clock.ended = True  # however it closed: nothing is waited for, the clock coasts and sealing goes on
        edge_us = broadcast.clock.edge_us
        return [Closed(broadcast.number, wall_us if edge_us is None else edge_us, reason, by, event_id)]
