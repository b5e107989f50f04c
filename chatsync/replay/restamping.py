"""Stamps made again from the record: every reload that was seen, and what each event says its stamp was made from.

Owns: the program clock in hindsight, and which events move where. Does not know: SQL, how a move is logged, slices.
Units: µs; ``wall_us`` is the relay's steady wall time, ``program_us`` the encoder's clock, from the Unix epoch.
Source: contract §1 "Program clock" and "Stamp"; decision 0013.

A live stamp knows only the reloads before it. Looking back, those after it are known too: how late the clock really was, whether
the media that stood still went on from where it stopped, and what the system's clock did. What comes out is a pure function of the
record, so doing it twice moves nothing.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from chatsync.instants import SECOND_US, whole_ms_us
from chatsync.replay.clock import SAMPLE_LIFE_US

__all__ = ["RESTAMPED_STAMPS", "ClockRecord", "Move", "Observed", "Said", "moved"]

RESTAMPED_STAMPS = ("estimate", "arrival")
"""Stamps that are made from the clock alone. A ``playhead`` is what somebody saw, and never moves."""

JUMP_US_MAX = 100_000  # below this a step of program time is rounding
_STEP_US_MIN = SECOND_US  # the system's clock is steered by less; more is a step, and events that seem older show where


class Observed(NamedTuple):
    """One reload: what the origin's live edge was, and when."""

    wall_us: int
    age_us: int  # HTTP Age
    run: int
    media_sequence: int
    edge_us: int
    step_us: int = 0  # system clock less steady clock


class Said(NamedTuple):
    """What is recorded of an event that may move."""

    offset: int
    wall_us: int  # system wall time of its receipt
    stamp: str
    program_us: int  # where it stands now
    latency_us: int | None = None  # that its stamp was made with
    source: str = "live"
    target: int | None = None  # offset of the event it is about and must not stand before


class Move(NamedTuple):
    """An event that belongs elsewhere."""

    offset: int
    from_us: int
    to_us: int


@dataclass(slots=True)
class _Stretch:
    """Media that came without a jump, a new run, or an encoder that stood still: one lag holds for it."""

    run: int
    start_us: int  # program time at which its media begins
    continues: bool  # its media begins where that of the stretch before ended
    walls_us: list[int] = field(default_factory=list)  # of reloads that brought media
    lags_us: list[int] = field(default_factory=list)
    edge_us: int = 0

    def add(self, seen: Observed) -> None:
        self.walls_us.append(seen.wall_us)
        self.lags_us.append(seen.wall_us - seen.age_us - seen.edge_us)
        self.edge_us = seen.edge_us

    def lag_us(self, wall_us: int) -> int:
        """The smallest lag seen within a minute of an instant, before it or after; the nearest one if there is none."""
        first = bisect_left(self.walls_us, wall_us - SAMPLE_LIFE_US)
        end = bisect_right(self.walls_us, wall_us + SAMPLE_LIFE_US)
        if first < end:
            return min(self.lags_us[first:end])
        return self.lags_us[min(first, len(self.lags_us) - 1)]


class ClockRecord:
    """The program clock of one broadcast, as it is known once everything has been seen.

    Args:
        observed: its reloads that had a dated live edge, in any order.
        starts_us: program time of each known segment's first sample, by (run, media sequence).
        target_duration_us: of its playlist; media that is away longer than two of them stalled.
        hold_back_us: of its playlist: the latency of estimates that no viewer's playhead stood behind.
    """

    def __init__(
        self,
        observed: Iterable[Observed],
        starts_us: Mapping[tuple[int, int], int],
        *,
        target_duration_us: int,
        hold_back_us: int,
    ) -> None:
        self._seen = sorted(observed)
        self._starts_us, self._target_us = starts_us, target_duration_us
        self.hold_back_us = hold_back_us
        self._first_of_run_us: dict[int, int] = {}
        for (run, _), start_us in sorted(starts_us.items()):
            self._first_of_run_us.setdefault(run, start_us)
        self._stretches: list[_Stretch] = []
        latest: Observed | None = None
        for seen in self._seen:
            if latest is None or (seen.run, seen.edge_us) != (latest.run, latest.edge_us):
                self._advance(latest, seen)
                latest = seen
        self._starts_wall_us = [stretch.walls_us[0] for stretch in self._stretches]

    def _advance(self, latest: Observed | None, seen: Observed) -> None:
        """Media came: it goes on in the stretch there is, or begins another."""
        if latest is None:
            self._stretches.append(_Stretch(seen.run, self._start_us(None, seen), continues=False))
        else:
            stretch = self._stretches[-1]
            start_us = self._start_us(latest, seen)
            continues = seen.run == latest.run and abs(start_us - latest.edge_us) <= JUMP_US_MAX
            late_us = seen.wall_us - seen.age_us - seen.edge_us - stretch.lag_us(latest.wall_us)
            stalled = seen.wall_us - latest.wall_us > 2 * self._target_us and late_us > self._target_us
            if stalled or not continues:
                self._stretches.append(_Stretch(seen.run, start_us, continues))
        self._stretches[-1].add(seen)

    def _start_us(self, latest: Observed | None, seen: Observed) -> int:
        """Program time at which the media begins that a reload brought."""
        if latest is not None and seen.run == latest.run:
            known = self._starts_us.get((seen.run, latest.media_sequence + 1))
            return latest.edge_us if known is None else known
        return self._first_of_run_us.get(seen.run, seen.edge_us)

    @property
    def is_empty(self) -> bool:
        """Whether no reload of the broadcast had a date."""
        return not self._stretches

    def program_us(self, wall_us: int) -> int | None:
        """Program time at the live edge at an instant; None before the first date. Cost: O(log reloads + those of two minutes).

        While media stands still and then goes on where it stopped, program time stands still with it. Where it goes on elsewhere,
        the clock coasts, and not past what came next.
        """
        index = bisect_right(self._starts_wall_us, wall_us) - 1
        if index < 0:
            return None
        stretch = self._stretches[index]
        now_us = wall_us - stretch.lag_us(wall_us)
        if index + 1 == len(self._stretches):
            return now_us
        following = self._stretches[index + 1]
        ahead = not following.continues and following.start_us > stretch.edge_us
        return min(now_us, following.start_us if ahead else stretch.edge_us)

    def steady_us(self, events: Sequence[Said]) -> list[int]:
        """Steady wall time of the receipt of events, in order of offset: the system's clock may have been set meanwhile."""
        index, latest_us = 0, -(2**62)
        walls_us: list[int] = []
        for event in events:
            if event.source != "ingest":  # what a platform received earlier says nothing of when the clock was set
                index = self._reload_before(index, event.wall_us, latest_us)
                latest_us = event.wall_us - self._step_us(index)
            walls_us.append(event.wall_us - self._step_us(index))
        return walls_us

    def _reload_before(self, index: int, system_wall_us: int, latest_us: int) -> int:
        """The reload that an event came after, looked for from the one before the event at ``latest_us``."""
        while index + 1 < len(self._seen):
            here, following = self._seen[index], self._seen[index + 1]
            wall_us = system_wall_us - here.step_us
            was_set_back = wall_us < latest_us - _STEP_US_MIN and self._is_set_after(index, system_wall_us)
            if wall_us < following.wall_us and not was_set_back:
                break
            index += 1
        return index

    def _is_set_after(self, index: int, system_wall_us: int) -> bool:
        """Whether a later step of the system's clock explains an event that seems to come before an earlier one."""
        later = (
            seen for seen in self._seen[index + 1 :] if abs(seen.step_us - self._seen[index].step_us) > _STEP_US_MIN
        )
        seen = next(later, None)
        return seen is not None and system_wall_us - seen.step_us >= seen.wall_us

    def _step_us(self, index: int) -> int:
        return self._seen[index].step_us if self._seen else 0


def moved(events: Iterable[Said], record: ClockRecord) -> tuple[Move, ...]:
    """Events that stand elsewhere than the whole record says.

    Args:
        events: all of the record's broadcast, in order of offset; those with other stamps than ``RESTAMPED_STAMPS`` stay.
        record: of the same broadcast.

    Returns:
        In order of offset; where an event goes is a whole millisecond. Uncertainties stay as they were: they still hold.

    Cost: O(events log reloads).
    """
    listed = list(events)
    places_us: dict[int, int] = {}
    moves = []
    for event, wall_us in zip(listed, record.steady_us(listed), strict=True):
        to_us = _recomputed_us(event, wall_us, record, places_us)
        places_us[event.offset] = to_us
        if to_us != event.program_us:
            moves.append(Move(event.offset, event.program_us, to_us))
    return tuple(moves)


def _recomputed_us(event: Said, wall_us: int, record: ClockRecord, places_us: Mapping[int, int]) -> int:
    """Where the record puts an event; where it stands already if its stamp is none of the clock's."""
    edge_us = record.program_us(wall_us) if event.stamp in RESTAMPED_STAMPS else None
    if edge_us is None:
        return event.program_us
    if event.stamp == "estimate" and event.latency_us != record.hold_back_us:
        # Latencies of viewers are measured by the clock of then: where it was off, both were, and the estimate is right.
        return event.program_us
    # An arrival waited at the edge itself.
    to_us = whole_ms_us(edge_us - (record.hold_back_us if event.stamp == "estimate" else 0))
    return to_us if event.target is None else max(to_us, places_us.get(event.target, to_us))
