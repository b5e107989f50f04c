"""Clocks' units and ranges: the one place where microseconds, milliseconds and text meet.

Owns: ``Range`` (half-open), unit conversion, ISO 8601 in UTC. Does not know: what time it is.
Units: integers, µs since 1970-01-01T00:00:00Z inside (``_us``), ms on the wire (``_ms``), ns only inside ``hls/``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

__all__ = [
    "DAY_US",
    "HOUR_US",
    "MINUTE_US",
    "MS_US",
    "SECOND_US",
    "Range",
    "iso_from_us",
    "ms_from_us",
    "us_from_iso",
    "us_from_ms",
    "whole_ms_us",
    "whole_second_us",
]

MS_US = 1_000
SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, order=True)
class Range:
    """A half-open range ``[start_us, end_us)`` of one clock, µs since the Unix epoch unless the user says otherwise."""

    start_us: int
    end_us: int

    def __post_init__(self) -> None:
        if self.end_us < self.start_us:
            raise ValueError(f"range ends ({self.end_us}) before it starts ({self.start_us})")

    @property
    def duration_us(self) -> int:
        """Length in µs."""
        return self.end_us - self.start_us

    def covers(self, instant_us: int) -> bool:
        """Whether the instant lies inside; the end does not."""
        return self.start_us <= instant_us < self.end_us

    def overlaps(self, other: Range) -> bool:
        """Whether both share at least one instant."""
        return self.start_us < other.end_us and other.start_us < self.end_us

    def clipped(self, to: Range) -> Range | None:
        """The part that lies inside ``to``, or None if there is none."""
        start_us, end_us = max(self.start_us, to.start_us), min(self.end_us, to.end_us)
        return Range(start_us, end_us) if start_us < end_us else None


def ms_from_us(instant_us: int) -> int:
    """Milliseconds, rounded down, so that an instant never moves into the next millisecond."""
    return instant_us // MS_US


def us_from_ms(instant_ms: int) -> int:
    """Microseconds of a whole millisecond."""
    return instant_ms * MS_US


def whole_ms_us(instant_us: int) -> int:
    """The instant in µs, rounded down to a whole millisecond: stamps are whole milliseconds (contract §1)."""
    return instant_us - instant_us % MS_US


def whole_second_us(instant_us: int) -> int:
    """The instant in µs, rounded down to a whole second: slices start and end on whole seconds (contract §3)."""
    return instant_us - instant_us % SECOND_US


def iso_from_us(instant_us: int) -> str:
    """ISO 8601 in UTC with milliseconds and ``Z``, for people and logs."""
    moment = _EPOCH + timedelta(microseconds=whole_ms_us(instant_us))
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def us_from_iso(text: str) -> int:
    """µs since the Unix epoch of an ISO 8601 date; without a zone it is taken as UTC.

    Raises:
        ValueError: the text is no ISO 8601 date.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * SECOND_US + delta.microseconds
