"""Where in program time a line stands, and to which airing of the room it belongs.

Owns: absolute times before offsets, what the two differ by, the choice of an airing. Does not know: formats, the log, files.
Units: µs; ``position_us`` counts from the recording's beginning, ``t0_us`` is the program time of that. Source: contract §1; formats.md.

A line that says when it was said is believed, and its position only compared. One that has a position alone stands at ``t0_us`` plus it, or where
a map of the recording shows that position.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from chatsync.errors import FileUnplacedError, PlaylistSyntaxError
from chatsync.hls.playlist import MediaPlaylist, parse_playlist
from chatsync.hls.spans import Span, place_of
from chatsync.instants import HOUR_US, MINUTE_US, whole_ms_us

__all__ = ["NEAR_US", "SILENCE_US", "Airing", "Airings", "NotPlaced", "Place", "Placing", "first_date_us"]

NEAR_US = (
    30 * MINUTE_US
)  # what was said so long before an airing's media, or after it, belongs to it: people come early and stay on
SILENCE_US = 6 * HOUR_US  # after so long without a word another airing begins
_BUCKET_US = 10 * MINUTE_US
_COMPARED_MAX = 1_000_000  # 8 MiB
_NEEDS = (
    "The file says only where in a recording things were said. Say when that began with --t0 2026-03-09T14:00:00Z, "
    "with its --playlist, or with the name of a --recording that the room has mapped."
)

NotPlaced = Literal["has no time", "stands where the recording shows no program time"]


class Place(NamedTuple):
    """Where a line stands; the airing is known already where a recording's map says it."""

    program_us: int
    broadcast: int | None


class Placing:
    """Places the lines of one file.

    Args:
        t0_us: program time of position 0, None if nobody knows.
        spans: of the recording that positions are of, if one was named.

    Attributes:
        compared: for how many lines absolute time and position were both there.
    """

    def __init__(self, t0_us: int | None = None, spans: Sequence[Span] = ()) -> None:
        self._t0_us, self._spans = t0_us, list(spans)
        self._differences: array[int] = array("q")
        self.compared = 0

    def place(self, program_us: int | None, position_us: int | None) -> Place | NotPlaced:
        """Where a line stands by what its format says of it.

        Raises:
            FileUnplacedError: it has a position only, and nothing says when the recording began.
        """
        if program_us is not None:
            if position_us is not None:
                self._compare(program_us, position_us)
            return Place(whole_ms_us(program_us), None)
        if position_us is None:
            return "has no time"
        if self._spans:
            found = place_of(position_us, self._spans)
            if found is None:
                return "stands where the recording shows no program time"
            return Place(whole_ms_us(found.program_us), found.broadcast)
        if self._t0_us is None:
            raise FileUnplacedError(_NEEDS)
        return Place(whole_ms_us(self._t0_us + position_us), None)

    def _compare(self, program_us: int, position_us: int) -> None:
        self.compared += 1
        if self._spans:
            found = place_of(position_us, self._spans)
            if found is None:
                return
            begins_us = found.program_us - position_us
        else:
            begins_us = self._t0_us or 0
        if len(self._differences) < _COMPARED_MAX:
            self._differences.append(program_us - begins_us - position_us)

    def disagreement_us(self) -> int | None:
        """Median of absolute time less that of the position; None if no line has both, or nothing says when the recording began."""
        known = self._t0_us is not None or bool(self._spans)
        return self._median_us() if known else None

    def implied_t0_us(self) -> int | None:
        """When the recording began by the file itself, where nobody said it: the median of absolute time less position."""
        known = self._t0_us is not None or bool(self._spans)
        return None if known else self._median_us()

    def _median_us(self) -> int | None:
        if not self._differences:
            return None
        return sorted(self._differences)[len(self._differences) // 2]


def first_date_us(path: Path) -> int:
    """Program time of the beginning of a media playlist.

    Raises:
        FileUnplacedError: it has no date.
        OSError: it cannot be read.
        PlaylistSyntaxError: it is no playlist.
    """
    try:
        playlist = parse_playlist(path.read_text("utf-8", "replace"))
    except ValueError as error:
        raise PlaylistSyntaxError("it cannot be read") from error
    if not isinstance(playlist, MediaPlaylist):
        raise FileUnplacedError("The playlist lists variants: give the media playlist of one of them.")
    first = next((one.program_us for one in playlist.segments if one.program_us is not None), None)
    if first is None:
        raise FileUnplacedError("The playlist has no EXT-X-PROGRAM-DATE-TIME: say when it began with --t0.")
    return first


class Airing(NamedTuple):
    """A broadcast of the room, and what program time it has; ``is_new`` if it is made for what is imported."""

    number: int
    start_us: int
    end_us: int
    is_new: bool = False


class Airings:
    """To which airing an instant belongs: one of the room's, or one that is made.

    Args:
        known: the room's, those that have program time.
        next_number: of the first that is made.
    """

    def __init__(self, known: Sequence[Airing], next_number: int) -> None:
        self._known = sorted(known, key=lambda airing: airing.start_us)
        self._next = next_number
        self._buckets: set[int] = set()
        self._made: list[Airing] = []
        self._starts_us: list[int] = []
        self._ends: dict[int, list[int]] = {}

    def note(self, program_us: int) -> None:
        """Before anything is asked: something was said then."""
        if self._known_at(program_us) is None:
            self._buckets.add(program_us // _BUCKET_US)

    def settle(self) -> None:
        """All is noted: make the airings that are missing, parted where nobody spoke for :data:`SILENCE_US`."""
        starts: list[list[int]] = []
        for bucket in sorted(self._buckets):
            at_us = bucket * _BUCKET_US
            if starts and at_us - starts[-1][1] < SILENCE_US:
                starts[-1][1] = at_us
            else:
                starts.append([at_us, at_us])
        self._made = [
            Airing(self._next + index, first_us, last_us + _BUCKET_US, is_new=True)
            for index, (first_us, last_us) in enumerate(starts)
        ]
        self._starts_us = [airing.start_us for airing in self._made]

    def of(self, program_us: int) -> int:
        """The number of the airing of a noted instant."""
        known = self._known_at(program_us)
        if known is not None:
            return known.number
        airing = self._made[bisect_right(self._starts_us, program_us) - 1]
        ends = self._ends.setdefault(airing.number, [program_us, program_us])
        ends[0], ends[1] = min(ends[0], program_us), max(ends[1], program_us)
        return airing.number

    def made(self) -> list[Airing]:
        """Those that were made and are used, with the instants of their first and last line."""
        return [
            Airing(number, first_us, last_us, is_new=True) for number, (first_us, last_us) in sorted(self._ends.items())
        ]

    def _known_at(self, program_us: int) -> Airing | None:
        """The airing that is on then, else the nearest that is not far; of several the latest."""
        best: tuple[int, int, Airing] | None = None
        for airing in self._known:
            away_us = max(airing.start_us - program_us, program_us - airing.end_us, 0)
            if away_us < NEAR_US and (best is None or (away_us, -airing.number) < best[:2]):
                best = (away_us, -airing.number, airing)
        return None if best is None else best[2]
