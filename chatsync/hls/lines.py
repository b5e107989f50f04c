"""The lines of a playlist in one pass: which tags belong to which URI, and what EXTINF and the dates say.

Owns: splitting into lines, repairing them, pairing tags with URIs. Does not know: numbers, dates that are not written (``hls.playlist``),
what other tags say (``hls.tags``). Units: ns. Source: RFC 8216 §4.1-4.3, §6.3.1.

This is where the time goes: a window of a day has 130,000 lines, and every list is read every few seconds. Origins write few different
EXTINF lines, and dates that differ in their minute or in the rest, so that both are looked up, not read, nearly always.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from chatsync.errors import PlaylistSyntaxError
from chatsync.hls.tags import DAMAGED_MAX, Reading, date_ns, duration_ns

__all__ = ["Listed", "read_lines"]

# str.splitlines also splits at these, HLS does not (RFC 8216 §4.1: LF or CRLF).
_STRAY_SEPARATORS = re.compile("[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_STRAY_CHARACTERS = "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
_TAG_REMNANT = re.compile(r"(?:<[^>]*>)?\W{0,3}EXT(?:INF:|M3U|-X-)")
_DATE_TAG = "#EXT-X-PROGRAM-DATE-TIME"
_DATE_PREFIX = _DATE_TAG + ":"
_MINUTE_CHARACTERS = len("2026-03-02T12:00")
_MINUTE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d", re.ASCII)
_REST = re.compile(r":\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)", re.ASCII)
_BLOCK_CHARACTERS = 64 * 1024
_BLOCK_END_TRIES = 64
_URI_CHARACTERS = 256  # so much of a URI is looked at
_KNOWN_MAX = 4_096  # texts remembered during one parse


class Listed(NamedTuple):
    """The URIs of a playlist in order, and what its tags say of each."""

    uris: list[str]
    durations_ns: list[int | None]  # EXTINF; None if missing or unreadable
    dates_ns: list[int | None]  # its own EXT-X-PROGRAM-DATE-TIME
    facts: dict[int, dict[str, Any]]  # by index: what else tags say, as in ``Reading.pending``
    end_facts: dict[str, Any]  # of tags after the last URI
    end_date_ns: int | None


def read_lines(  # noqa: PLR0915  one loop: a call for each line would double the cost
    text: str, reading: Reading, *, segments_max: int, line_characters_max: int
) -> Listed:
    """Read a playlist line by line.

    Each URI counts in the numbering (RFC 8216 §3), with or without its EXTINF; so does an EXTINF whose URI is lost, which another
    one follows: its URI is empty. A line that is the rest of a tag is no URI. In a multivariant playlist, URIs without EXTINF are
    those of its variants.

    Args:
        text: begins with ``#EXTM3U``.
        reading: takes what is not of one segment.
        segments_max: more is an error.
        line_characters_max: longer lines are cut.

    Raises:
        PlaylistSyntaxError: too many segments.

    Cost: about a microsecond a segment; linear in the text whatever it says.
    """
    uris: list[str] = []
    durations: list[int | None] = []
    dates: list[int | None] = []
    facts: dict[int, dict[str, Any]] = {}
    known_durations: dict[str, int] = {}
    dates_read = _Dates(reading)
    minutes, rests = dates_read.minutes, dates_read.rests
    has_variants = "#EXT-X-STREAM-INF" in text
    duration: int | None = None
    date: int | None = None
    has_extinf = False
    line_number = 0
    for first_number, lines in _blocks(text, line_characters_max, reading):
        for line_number, line in enumerate(lines, first_number):
            if has_extinf and line.startswith("#EXTINF"):
                reading.doubt_numbering(line_number, "#EXTINF", "the URI before it is missing")
                at = line_number - first_number
                lost_date, date, lost_facts = _lost(lines, at, date, dates_read, reading)
                if lost_facts:
                    facts[len(uris)] = lost_facts
                uris.append("")
                durations.append(duration)
                dates.append(lost_date)
            if line in known_durations:
                duration = known_durations[line]
                has_extinf = True
            elif not line:
                continue
            elif line[0] != "#":
                if "EXT" in line and _TAG_REMNANT.match(line):
                    reading.doubt_numbering(line_number, line[:24], "damaged tag")
                    continue
                if not has_extinf:
                    if has_variants:
                        if reading.stream_info is not None:
                            reading.variants.append((line, reading.stream_info, False))
                            reading.stream_info = None
                        continue
                    reading.doubt_numbering(line_number, "", "URI without #EXTINF")
                if reading.pending:
                    facts[len(uris)] = reading.pending
                    reading.pending = {}
                uris.append(line)
                durations.append(duration)
                dates.append(date)
                duration, date, has_extinf = None, None, False
                if len(uris) > segments_max:
                    raise PlaylistSyntaxError(f"it lists more than {segments_max} segments")
            elif line.startswith(_DATE_PREFIX):
                value = line[25:]
                minute, rest = value[:_MINUTE_CHARACTERS], value[_MINUTE_CHARACTERS:]
                if minute in minutes and rest in rests:
                    date = minutes[minute] + rests[rest]
                else:
                    found = dates_read.read(line_number, value)
                    date = date if found is None else found
            elif line.startswith("#EXTINF"):
                has_extinf = True
                duration = None
                if reading.damaged <= DAMAGED_MAX:
                    try:
                        duration = duration_ns(line[8:].partition(",")[0])
                    except ValueError as error:
                        reading.damage(line_number, "#EXTINF", str(error))
                    else:
                        if len(known_durations) < _KNOWN_MAX:
                            known_durations[line] = duration
            elif line.startswith("#EXT"):
                tag, _, value = line.partition(":")
                reading.read_tag(line_number, tag, value)
    if has_extinf:
        reading.warn(line_number, "#EXTINF", "the URI after it is missing")
    return Listed(uris, durations, dates, facts, reading.pending, date)


def _lost(
    lines: list[str], at: int, date: int | None, dates_read: _Dates, reading: Reading
) -> tuple[int | None, int | None, dict[str, Any]]:
    """Date and facts of a segment whose URI is lost, between them the date of the one after it."""
    if lines[at - 1].startswith("#EXTINF"):  # nothing stands between: thousands of such lines must cost little
        lost_facts, reading.pending = reading.pending, {}
        return date, None, lost_facts
    return *_lost_date(lines, at, date, dates_read), _lost_facts(lines, at, reading)


def _lost_date(lines: list[str], at: int, date: int | None, dates_read: _Dates) -> tuple[int | None, int | None]:
    """The date of a segment whose URI is lost, and of the one after it, whose EXTINF is line ``at``.

    Some origins write a segment's date before its EXTINF, some after it.

    Args:
        lines: of the block of the playlist that both are in.
        at: index of the EXTINF.
        date: the last date that was written since the URI before.
        dates_read: reads a date again.

    Cost: O(lines between the URIs).
    """
    start = _extinf_before(lines, at)
    if not any(line.startswith(_DATE_PREFIX) for line in lines[start + 1 : at]):
        return date, None
    ahead = at + 1
    while ahead < len(lines) and lines[ahead].startswith("#") and not lines[ahead].startswith("#EXTINF"):
        if lines[ahead].startswith(_DATE_PREFIX):
            return date, None  # after its EXTINF
        ahead += 1
    before = start - 1
    while before >= 0 and lines[before].startswith("#") and not lines[before].startswith("#EXTINF"):
        if lines[before].startswith(_DATE_PREFIX):
            return dates_read.read(0, lines[before][25:]), date
        before -= 1
    return None, date


def _lost_facts(lines: list[str], at: int, reading: Reading) -> dict[str, Any]:
    """What tags say of a segment whose URI is lost; those behind its EXTINF are left pending, for the one after it."""
    between = lines[_extinf_before(lines, at) + 1 : at]
    lost = reading.pending
    after: dict[str, Any] = {}
    discontinuities = min(between.count("#EXT-X-DISCONTINUITY"), lost.get("discontinuities", 0))
    if discontinuities:
        after["discontinuities"] = discontinuities
        lost["discontinuities"] -= discontinuities
        if not lost["discontinuities"]:
            del lost["discontinuities"]
    if "#EXT-X-GAP" in between and lost.pop("gap", False):
        after["gap"] = True
    reading.pending = after
    return lost


def _extinf_before(lines: list[str], at: int) -> int:
    """Index of the EXTINF before this one; -1 if it is not among these lines."""
    at -= 1
    while at >= 0 and not lines[at].startswith("#EXTINF"):
        at -= 1
    return at


class _Dates:
    """Reads dates, and remembers their minutes and the rest of them: an instant is the sum of both.

    That holds as long as the zone is written in the rest, as an offset.
    """

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self.minutes: dict[str, int] = {}
        self.rests: dict[str, int] = {}

    def read(self, line_number: int, value: str) -> int | None:
        """The instant; None if it cannot be read, with a warning."""
        reading = self._reading
        if reading.damaged > DAMAGED_MAX:
            return None
        try:
            instant_ns, has_zone = date_ns(value, reading.zone)
        except ValueError as error:
            reading.damage(line_number, _DATE_TAG, str(error))
            return None
        if not has_zone:
            reading.warn(line_number, _DATE_TAG, "date without zone")
        elif len(self.minutes) < _KNOWN_MAX and len(self.rests) < _KNOWN_MAX:
            self._remember(value, instant_ns)
        return instant_ns

    def _remember(self, value: str, instant_ns: int) -> None:
        minute, rest = value[:_MINUTE_CHARACTERS], value[_MINUTE_CHARACTERS:]
        minute_ns = self.minutes.get(minute)
        if minute_ns is None:
            if not _MINUTE.fullmatch(minute) or not _REST.fullmatch(rest):
                return
            try:
                minute_ns, _ = date_ns(minute + ":00Z")
            except ValueError:
                return
            self.minutes[minute] = minute_ns
            self.rests.setdefault(rest, instant_ns - minute_ns)
        elif _REST.fullmatch(rest):
            self.rests[rest] = instant_ns - minute_ns


def _blocks(text: str, characters_max: int, reading: Reading) -> Iterator[tuple[int, list[str]]]:
    """Stripped lines split where HLS splits, none longer than the limit, with the number of the first one.

    In blocks that end with a URI, since all lines of a long list at once are four times as large as its text.
    """
    if any(separator in text for separator in _STRAY_CHARACTERS):
        text = _STRAY_SEPARATORS.sub(" ", text)
        reading.warn(0, "", "stray line separators")
    first_number, start = 1, 0
    while start < len(text):
        end = _end_of_block(text, start + _BLOCK_CHARACTERS)
        lines = list(map(str.strip, text[start:end].splitlines()))
        if max(map(len, lines), default=0) > characters_max:
            for index, line in enumerate(lines):
                if len(line) > characters_max:
                    lines[index] = line[:characters_max]
                    reading.warn(first_number + index, "", f"line longer than {characters_max} characters")
        yield first_number, lines
        first_number += len(lines)
        start = end


def _end_of_block(text: str, at: int) -> int:
    """Where a line that is plainly a URI ends, near ``at``; if there is none, the end of the text."""
    for _ in range(_BLOCK_END_TRIES):
        start = text.find("\n", at) + 1
        at = text.find("\n", start)
        if start == 0 or at < 0:
            break
        line = text[start : min(at, start + _URI_CHARACTERS)]
        if line[:1].isalnum() and "EXT" not in line and "\r" not in line[:-1]:
            return at + 1
    return len(text)
