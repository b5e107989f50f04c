"""What a room knows of media, for the alignment of recordings: segments in order, and which broadcast shows an instant.

Owns: ``KnownSegment``, ``Airing``, and the matching of segments by URI. Does not know: rows, rooms, spans.
Units: µs. Source: hls-timing §8 (2): URI path tails in order, the byte range part of the identity.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import msgspec

from chatsync.hls.track import uri_path
from chatsync.instants import MINUTE_US

__all__ = ["AIRING_SLACK_US", "Airing", "KnownSegment", "Library", "Listed", "uri_matches"]

AIRING_SLACK_US = MINUTE_US  # media that the room missed at either end of a broadcast still belongs to it
_SAME_NAME_MAX = (
    64  # media of one name beyond this, such as the placeholder of every GAP segment: the name tells nothing
)
_RUN_LENGTH_MAX = 8  # so many segments in a row are looked at to choose between media of the same names


class KnownSegment(msgspec.Struct, frozen=True, gc=False):
    """A segment that is known to show a stretch of program time."""

    broadcast: int
    run: int  # segments follow each other within a run; earlier recordings have runs of their own, below 0
    media_sequence: int
    uri_path: str
    byte_range: str | None
    duration_us: int
    program_us: int
    estimated: bool = False


class Airing(msgspec.Struct, frozen=True):
    """A broadcast and the program time of its media, ``[start_us, end_us)``."""

    broadcast: int
    start_us: int
    end_us: int


class Listed(NamedTuple):
    """What a recording's playlist says that tells a segment from others."""

    uri: str
    byte_range: str | None
    duration_us: int


class Library:
    """Everything known to show program time.

    Args:
        segments: in order of run and media sequence; of two broadcasts, the later one's last.
        airings: the room's broadcasts, in order.
    """

    def __init__(self, segments: Sequence[KnownSegment] = (), airings: Sequence[Airing] = ()) -> None:
        self.segments = segments
        self.airings = tuple(airings)

    def goes_on(self, index: int) -> bool:
        """Whether segment ``index + 1`` is what the origin listed next."""
        if index + 1 >= len(self.segments):
            return False
        one, other = self.segments[index], self.segments[index + 1]
        return (one.run, one.broadcast, one.media_sequence + 1) == (other.run, other.broadcast, other.media_sequence)

    @cached_property
    def by_name(self) -> dict[tuple[str, str | None], list[int]]:
        """Indexes by file name and byte range."""
        found: dict[tuple[str, str | None], list[int]] = defaultdict(list)
        for index, segment in enumerate(self.segments):
            found[(_name(segment.uri_path), segment.byte_range)].append(index)
        return dict(found)

    @cached_property
    def by_media_sequence(self) -> dict[int, list[int]]:
        """Indexes by media sequence."""
        found: dict[int, list[int]] = defaultdict(list)
        for index, segment in enumerate(self.segments):
            found[segment.media_sequence].append(index)
        return dict(found)

    def airings_at(self, program_us: int) -> list[Airing]:
        """The broadcasts that show an instant; if none does, those it is at most ``AIRING_SLACK_US`` away from."""
        within = [one for one in self.airings if one.start_us <= program_us < one.end_us]
        if within:
            return within
        near = [
            one for one in self.airings if one.start_us - AIRING_SLACK_US <= program_us < one.end_us + AIRING_SLACK_US
        ]
        return near[-1:]

    def broadcast_at(
        self, program_us: int, listed: Listed, media_sequence: int, before: tuple[int, int] | None
    ) -> int | None:
        """The broadcast that shows an instant, as a segment of a recording has it; None if none does.

        Where two broadcasts share the date, the segment's URI decides, then its media sequence, then the segment before it; the
        later one if that leaves both (contract §1).

        Args:
            program_us: the segment's date.
            listed: what its playlist says of it.
            media_sequence: its number there.
            before: broadcast and end of the segment before it, None if that has none.
        """
        airings = self.airings_at(program_us)
        if not airings:
            return None
        numbers = {one.broadcast for one in airings}
        if len(numbers) > 1:
            tolerance_us = max(100_000, listed.duration_us // 2)
            by_uri = self.by_name.get((_name(uri_path(listed.uri)), listed.byte_range), [])
            for indexes in (by_uri, self.by_media_sequence.get(media_sequence, [])):
                fitting = {
                    self.segments[index].broadcast
                    for index in indexes
                    if abs(self.segments[index].program_us - program_us) <= tolerance_us
                }
                numbers = numbers & fitting or numbers
                if len(numbers) == 1:
                    break
            goes_on = before is not None and abs(program_us - before[1]) <= tolerance_us
            if len(numbers) > 1 and before is not None and goes_on and before[0] in numbers:
                return before[0]
        return max(numbers)


def uri_matches(listed: Sequence[Listed], library: Library) -> list[int | None]:
    """For each segment of a recording the known one that is the same media, by its URI.

    The file name and the byte range must be equal and the durations near each other. Of several with that name the one wins whose
    folders agree furthest, then the one whose neighbours before it match too, then the latest; but a stretch that would
    show again what a later stretch shows takes an earlier run of the same names, if there is one. Files of another folder that
    only happen to have the names of a stream's are left out: of the recording's folders one belongs to a run, the one with most.

    Returns:
        Indexes into ``library.segments``.

    Cost: O(segments), each times the media of its name, 64 at most.
    """
    paths = [_parts(one.uri) for one in listed]
    candidates = [_candidates(one, library) for one in listed]
    found: list[int | None] = [None] * len(listed)
    claimed: set[int] = set()
    index = len(listed)
    # From the end: of two runs with the same names the later stretch gets the later run.
    while index > 0:
        index -= 1
        best: tuple[tuple[int, int, int, int], int] | None = None
        for known in candidates[index]:
            length = _run_back(index, known, candidates, library)
            shared = _shared_tail(paths[index], _parts(library.segments[known].uri_path))
            key = (known not in claimed, shared, length, known)
            if best is None or key > best[0]:
                best = (key, known)
        if best is None:
            continue
        known = best[1]
        while True:
            found[index] = known
            claimed.add(known)
            if index == 0 or known == 0 or known - 1 not in candidates[index - 1] or not library.goes_on(known - 1):
                break
            index, known = index - 1, known - 1
    _leave_out_strangers(found, listed, paths, library)
    return found


def _candidates(one: Listed, library: Library) -> list[int]:
    named = library.by_name.get((_name(uri_path(one.uri)), one.byte_range), [])
    found: list[int] = []
    for index in named if len(named) <= _SAME_NAME_MAX else ():
        known_us = library.segments[index].duration_us
        if abs(known_us - one.duration_us) <= max(100_000, known_us // 10):
            found.append(index)
    return found


def _run_back(index: int, known: int, candidates: Sequence[Sequence[int]], library: Library) -> int:
    """How many segments in a row, up to this one, go with the run in which ``known`` is."""
    length = 1
    while length < _RUN_LENGTH_MAX and index >= length and known >= length:
        if not library.goes_on(known - length) or known - length not in candidates[index - length]:
            break
        length += 1
    return length


def _leave_out_strangers(
    found: list[int | None], listed: Sequence[Listed], paths: Sequence[tuple[str, ...]], library: Library
) -> None:
    counts: dict[tuple[int, str], Counter[str]] = defaultdict(Counter)
    keys: list[tuple[tuple[int, str], str] | None] = []
    for index, known in enumerate(found):
        if known is None:
            keys.append(None)
            continue
        segment = library.segments[known]
        place = (segment.run, segment.uri_path.rpartition("/")[0])
        folder = listed[index].uri.partition("?")[0].rpartition("/")[0]
        agrees = _shared_tail(paths[index], _parts(segment.uri_path)) > 1
        keys.append(None if agrees else (place, folder))
        counts[place][folder] += 1 + 1_000_000 * agrees
    owners = {place: counter.most_common(1)[0][0] for place, counter in counts.items()}
    for index, key in enumerate(keys):
        if key is not None and owners[key[0]] != key[1]:
            found[index] = None


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _parts(uri: str) -> tuple[str, ...]:
    return tuple(part for part in reversed(uri_path(uri).split("/")) if part)


def _shared_tail(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """How many parts at the end two paths share."""
    count = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            break
        count += 1
    return count
