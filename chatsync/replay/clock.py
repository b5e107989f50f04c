"""The program clock of a broadcast: what program time it is now, judged from reloads of the playlist.

Owns: lag, coasting, stalls, the viewers' latency. Does not know: playlists, rooms, what a message is.
Units: µs; ``wall_us`` is the relay's steady wall time (start plus monotonic), ``program_us`` the encoder's clock.
Source: contract §1 "Program clock".

After each reload call :meth:`ProgramClock.receive_edge`; ask :meth:`ProgramClock.program_us` for any later wall time.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from chatsync.instants import MINUTE_US, SECOND_US

__all__ = ["CROWD_PEOPLE_MIN", "LATENCY_US_MAX", "SAMPLE_LIFE_US", "Latency", "LatencyBook", "ProgramClock"]

SAMPLE_LIFE_US = 60 * SECOND_US  # reloads older than this say nothing about the lag any more
LATENCY_US_MAX = 60 * SECOND_US  # a viewer further behind has paused or rewound; the watermark does not wait for them
CROWD_PEOPLE_MIN = 3  # what fewer people say is better than hold-back, and less sure than it looks
_RECOUNT_US = SECOND_US  # the median of thousands of viewers is taken at most once a second


@dataclass(slots=True)
class ProgramClock:
    """``clock(wall) = wall - lag``, where lag is the smallest ``(wall - Age) - live edge`` of the last 60 s.

    Without a program time yet the clock is wall time itself. It never steps back while media flows, not even from run to
    run; after a stall it starts again from what the media says.
    """

    target_duration_us: int = 2 * SECOND_US
    edge_us: int | None = None  # program time of the end of the newest media
    advanced_wall_us: int | None = None  # when new media last came
    ended: bool = False
    is_synthetic: bool = False  # the stream gives no date: an axis of ours stands in for it
    _samples: deque[tuple[int, int]] = field(default_factory=deque)  # (wall, lag)
    _lag_us: int = 0
    _held_us: int | None = None  # the clock does not go below this
    _held_wall_us: int = 0  # from this wall time on

    @property
    def has_program_time(self) -> bool:
        """Whether the stream has given a date (or a synthetic axis stands in for one)."""
        return self.edge_us is not None

    @property
    def lag_us(self) -> int:
        """How far the program clock is behind wall time; 0 before the first program time."""
        return self._lag_us

    def receive_edge(self, edge_us: int, *, wall_us: int, age_us: int = 0, new_run: bool = False) -> None:
        """Take in one reload.

        Args:
            edge_us: program time of the end of the newest segment or part.
            wall_us: when the answer came.
            age_us: the HTTP Age of a cached copy.
            new_run: the encoder restarted or the program jumped: earlier samples say nothing any more.
        """
        advanced = self.edge_us is None or edge_us != self.edge_us or new_run
        returned = advanced and self.is_stalled(wall_us)
        self._held_us = None if returned or self.edge_us is None else self.program_us(wall_us)
        self._held_wall_us = wall_us
        if new_run or returned:
            self._samples.clear()
        if advanced:
            self.edge_us = edge_us
            self.advanced_wall_us = wall_us
        lag_us = wall_us - age_us - edge_us
        # An unchanged answer lowers the minimum only as an older copy from a cache: the edge was there earlier than seen.
        if advanced or not self._samples or lag_us < self._lag_us:
            self._samples.append((wall_us, lag_us))
        self._expire(wall_us)
        self._lag_us = min(lag for _, lag in self._samples)

    def _expire(self, wall_us: int) -> None:
        while len(self._samples) > 1 and self._samples[0][0] < wall_us - SAMPLE_LIFE_US:
            self._samples.popleft()

    def program_us(self, wall_us: int) -> int:
        """Program time now; coasts at 1x when media stalls or has ended. Wall time itself before the first date."""
        if not self.has_program_time:
            return wall_us
        now_us = wall_us - self._lag_us
        if self._held_us is None:
            return now_us
        # Asked about the past (a platform's old message), holding would call it now.
        return max(now_us, self._held_us) if wall_us >= self._held_wall_us else min(now_us, self._held_us)

    def is_stalled(self, wall_us: int) -> bool:
        """Whether no new media has come for two target durations; an ended stream does not stall."""
        if self.advanced_wall_us is None or self.ended:
            return False
        return wall_us - self.advanced_wall_us > 2 * self.target_duration_us

    def stalled_for_us(self, wall_us: int) -> int:
        """Time since new media last came; 0 before the first."""
        return 0 if self.advanced_wall_us is None else max(0, wall_us - self.advanced_wall_us)

    def is_plausibly_wall_time(self) -> bool:
        """Whether the encoder's clock looks like wall time: then the camera's now is wall time itself."""
        return self.has_program_time and 0 <= self._lag_us <= 15 * SECOND_US


@dataclass(frozen=True, slots=True)
class Latency:
    """How far behind the program clock people watch.

    ``median_us`` and ``half_spread_us`` are of people at the live edge in the last minute, ``p99_us`` bounds the watermark.
    """

    median_us: int
    half_spread_us: int
    p99_us: int
    people: int


@dataclass(slots=True)
class LatencyBook:
    """Each person's latest latency at the live edge, forgotten after a minute.

    Cost: a report is O(1); the summary is sorted at most once a second.
    """

    _reports: dict[str, tuple[int, int]] = field(default_factory=dict)  # person: (wall, latency)
    _summary: Latency | None = None
    _summed_wall_us: int = 0

    def receive_report(self, person: str, latency_us: int, *, wall_us: int) -> None:
        """Take in that a person at the live edge sees media this far behind the program clock."""
        self._reports[person] = (wall_us, min(max(latency_us, 0), LATENCY_US_MAX))

    def summary(self, wall_us: int) -> Latency | None:
        """The room's latency, or None while nobody at the edge has said."""
        if self._summary is None or not 0 <= wall_us - self._summed_wall_us < _RECOUNT_US:
            self._reports = {p: r for p, r in self._reports.items() if r[0] > wall_us - MINUTE_US}
            self._summary = _summarised(sorted(latency for _, latency in self._reports.values()))
            self._summed_wall_us = wall_us
        return self._summary if self._summary.people else None

    def p99_us(self, wall_us: int) -> int:
        """99th percentile over everybody who reported, 0 if nobody did."""
        self.summary(wall_us)
        return 0 if self._summary is None else self._summary.p99_us


def _summarised(latencies_us: list[int]) -> Latency:
    """Percentiles by nearest rank; of an empty list all are 0."""
    if not latencies_us:
        return Latency(0, 0, 0, 0)
    last = len(latencies_us) - 1

    def rank(percent: int) -> int:
        return latencies_us[round(last * percent / 100)]

    return Latency(rank(50), (rank(90) - rank(10)) // 2, rank(99), len(latencies_us))
