"""The tags of a playlist that bear on time, one reader each, and what they say.

Owns: the tag table, attribute lists, variables, numbers and dates as origins write them, warnings about what was not readable, and
how much of a hostile playlist is tried. Does not know: which URI a tag belongs to (``hls.lines``), how segments are numbered and
dated (``hls.playlist``). Source: RFC 8216 §4.2-4.3; bis §4.4 for parts and deltas.
Units: ns (``_ns``) for sums, µs (``_us``) for what stands alone; dates count from 1970-01-01T00:00:00Z.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

__all__ = [
    "DAMAGED_MAX",
    "DURATION_NS_MAX",
    "NUMBER_MAX",
    "WARNINGS_MAX",
    "DateRange",
    "PreloadHint",
    "Reading",
    "RenditionReport",
    "Warned",
    "date_ns",
    "duration_ns",
    "readable",
    "us_from_ns",
    "whole_number",
]

DURATION_NS_MAX = 86_400 * 1_000_000_000  # no segment lasts longer than a day; it also keeps sums within 64 bits
NUMBER_MAX = 2**62  # largest sequence number taken
HINTS_MAX = 100  # preload hints and rendition reports kept per playlist: origins write a few
ATTRIBUTES_MAX = 40_000  # read per playlist; a window of four days has fewer
ATTRIBUTES_OF_TAG_MAX = 200
DAMAGED_MAX = 5_000  # values found unreadable per playlist, then no more of them are tried: each costs ten good ones
FILLED_CHARACTERS_MAX = (
    8 * 1024
)  # of one text with its variables filled in: they are the one thing that makes a text longer
FILLED_SUM_MAX = 2 * 1024 * 1024  # of all such texts of a playlist
WARNINGS_MAX = 100  # kept per playlist; a playlist of nothing but damage must not become a list of its own

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND_NS = 1_000_000_000
# Nothing is given back once matched: a hostile list must not cost its length squared.
_ATTRIBUTE = re.compile(r'\s*+([A-Za-z0-9-]++)\s*+=\s*+("[^"]*+"|[^",]*+)\s*+(?:,|$)')
_ATTRIBUTE_END = re.compile('[",]')
_VARIABLE = re.compile(r"\{\$([A-Za-z0-9_-]+)\}")
_DATE = re.compile(r"(?P<seconds>[^.,]*\d)(?:[.,](?P<fraction>\d+))?(?P<zone>\D.*)?", re.DOTALL)


class Warned(msgspec.Struct, frozen=True):
    """One line that was not taken as written."""

    line_number: int  # from 1; 0 means the playlist as a whole
    tag: str
    reason: str


class DateRange(msgspec.Struct, frozen=True):
    """One EXT-X-DATERANGE tag, unmerged; None means absent or unreadable."""

    id: str | None
    klass: str | None  # CLASS
    start_us: int | None
    end_us: int | None
    duration_us: int | None
    planned_duration_us: int | None


class PreloadHint(msgspec.Struct, frozen=True):
    """One EXT-X-PRELOAD-HINT: a resource that is about to be there (bis §4.4.5.3). Its length is unknown: it is on no timeline."""

    type: str  # PART, MAP, or whatever is written
    uri: str
    byte_range_start: int = 0
    byte_range_length: int | None = None  # None: to the end of the resource


class RenditionReport(msgspec.Struct, frozen=True):
    """One EXT-X-RENDITION-REPORT: how far another rendition's playlist has come (bis §4.4.5.4).

    None means absent or unreadable; it may be left out where it is as in the playlist that says so.
    """

    uri: str
    last_media_sequence: int | None  # LAST-MSN
    last_part: int | None  # LAST-PART, an index


def us_from_ns(instant_ns: int) -> int:
    """Microseconds, rounded half up."""
    return (instant_ns + 500) // 1000


class Reading:
    """What one parse has found so far.

    Attributes:
        pending: what tags said of the segment to come, by ``discontinuities``, ``gap``, ``byte_range``, ``parts``; its reader takes it.
        stream_info: attributes of an EXT-X-STREAM-INF whose URI is still to come.
        variants: URI, attributes, whether it has only I-frames.
        is_multivariant: a tag of the multivariant playlist was there.
        header: fields of ``MediaPlaylist`` by name.
        numbering_sure: False after damage that may have shifted sequence numbers.
    """

    def __init__(self, zone: tzinfo, queries: Mapping[str, str], imports: Mapping[str, str]) -> None:
        self.zone = zone
        self.queries = queries
        self.imports = imports
        self.variables: dict[str, str] = {}
        self.warnings: list[Warned] = []
        self.numbering_sure = True
        self.pending: dict[str, Any] = {}
        self.stream_info: dict[str, str] | None = None
        self.variants: list[tuple[str, dict[str, str], bool]] = []
        self.is_multivariant = False
        self.endlist = False
        self.header: dict[str, Any] = {}
        self.date_ranges: list[DateRange] = []
        self.preload_hints: list[PreloadHint] = []
        self.rendition_reports: list[RenditionReport] = []
        self.line_number = 0
        self.damaged = 0
        self._attributes_left = ATTRIBUTES_MAX
        self._filled_left = FILLED_SUM_MAX

    def warn(self, line_number: int, tag: str, reason: str) -> None:
        """Note a line that was not taken as written."""
        if len(self.warnings) < WARNINGS_MAX:
            self.warnings.append(Warned(line_number, tag, reason))

    def damage(self, line_number: int, tag: str, reason: str) -> None:
        """Note a tag whose value cannot be read."""
        self.damaged += 1
        if len(self.warnings) < WARNINGS_MAX:
            self.warnings.append(Warned(line_number, tag, reason[:120]))

    def doubt_numbering(self, line_number: int, tag: str, reason: str) -> None:
        """Note damage after which sequence numbers may be wrong."""
        self.numbering_sure = False
        self.warn(line_number, tag, reason)

    def read_tag(self, line_number: int, tag: str, value: str) -> None:
        """Take a tag other than EXTINF and EXT-X-PROGRAM-DATE-TIME; unknown ones are ignored (RFC 8216 §6.3.1)."""
        read = _TAGS.get(tag)
        if read is None:
            if tag.startswith("#EXT-X-ENDLIST"):
                self.endlist = True
            return
        if self.damaged > DAMAGED_MAX and read not in _CHEAP:
            return
        self.line_number = line_number
        try:
            read(self, value)
        except ValueError as error:
            self.damage(line_number, tag, str(error))
            if tag == "#EXT-X-MEDIA-SEQUENCE":
                self.numbering_sure = False

    def attributes(self, text: str) -> dict[str, str]:
        """Attributes of a list (RFC 8216 §4.2) by name, quotes taken off, variables filled in; the first of a name counts.

        Raises:
            ValueError: the playlist has more of them than are read.
        """
        found: dict[str, str] = {}
        at, steps = 0, min(ATTRIBUTES_OF_TAG_MAX, self._attributes_left)
        if steps <= 0:
            self.damaged += DAMAGED_MAX
            raise ValueError("too many attributes in one playlist")
        end = len(text)
        while at < end and steps > 0:
            steps -= 1
            self._attributes_left -= 1
            match = _ATTRIBUTE.match(text, at)
            if match is None:
                skipped = _ATTRIBUTE_END.search(text, at)
                if skipped is None:
                    break
                at = skipped.end()
                continue
            at = match.end()
            name, value = match.groups()
            if name not in found:
                value = value[1:-1] if value.startswith('"') else value.strip()
                found[name] = self.filled(value) if "{$" in value else value
        return found

    def filled(self, text: str) -> str:
        """The text, EXT-X-DEFINE variables filled in; unknown ones stay as they are, and all where it would become too long."""
        if "{$" not in text or not self.variables or self._filled_left < 0:
            return text
        length = len(text) + sum(len(self.variables.get(match[1], "")) for match in _VARIABLE.finditer(text))
        self._filled_left -= length
        if length > FILLED_CHARACTERS_MAX or self._filled_left < 0:
            self.warn(self.line_number, "#EXT-X-DEFINE", "variables make it too long: left as written")
            return text
        return _VARIABLE.sub(lambda match: self.variables.get(match[1], match[0]), text)


def _read_discontinuity(reading: Reading, _value: str) -> None:
    reading.pending["discontinuities"] = reading.pending.get("discontinuities", 0) + 1


def _read_gap(reading: Reading, _value: str) -> None:
    reading.pending["gap"] = True


def _read_byterange(reading: Reading, value: str) -> None:
    length, _, start = value.strip().strip('"').partition("@")
    reading.pending["byte_range"] = (whole_number(length), whole_number(start) if start else None)


def _read_part(reading: Reading, value: str) -> None:
    attributes = reading.attributes(value)
    if "DURATION" not in attributes:
        raise ValueError("part without DURATION")
    part = (attributes.get("URI", ""), duration_ns(attributes["DURATION"]), attributes.get("GAP") == "YES")
    reading.pending.setdefault("parts", []).append(part)


def _read_date_range(reading: Reading, value: str) -> None:
    attributes = reading.attributes(value)
    if "ID" not in attributes:
        reading.warn(reading.line_number, "#EXT-X-DATERANGE", "date range without ID")
    reading.date_ranges.append(
        DateRange(
            id=attributes.get("ID"),
            klass=attributes.get("CLASS"),
            start_us=readable(_date_us, attributes.get("START-DATE")),
            end_us=readable(_date_us, attributes.get("END-DATE")),
            duration_us=readable(_duration_us, attributes.get("DURATION")),
            planned_duration_us=readable(_duration_us, attributes.get("PLANNED-DURATION")),
        )
    )


def _read_define(reading: Reading, value: str) -> None:
    attributes = reading.attributes(value)
    if "NAME" in attributes:
        name, found = attributes["NAME"], attributes.get("VALUE")
    elif "IMPORT" in attributes:
        name, found = attributes["IMPORT"], reading.imports.get(attributes["IMPORT"])
    else:
        name, found = attributes.get("QUERYPARAM", ""), reading.queries.get(attributes.get("QUERYPARAM", ""))
    if not name or found is None:
        raise ValueError(f"variable {name!r} has no value")
    reading.variables.setdefault(name, found)


def _read_server_control(reading: Reading, value: str) -> None:
    attributes = reading.attributes(value)
    reading.header["can_block_reload"] = attributes.get("CAN-BLOCK-RELOAD") == "YES"
    reading.header["can_skip_date_ranges"] = attributes.get("CAN-SKIP-DATERANGES") == "YES"
    for name, field in (
        ("HOLD-BACK", "hold_back_us"),
        ("PART-HOLD-BACK", "part_hold_back_us"),
        ("CAN-SKIP-UNTIL", "can_skip_until_us"),
    ):
        reading.header[field] = readable(_duration_us, attributes.get(name))


def _read_skip(reading: Reading, value: str) -> None:
    attributes = reading.attributes(value)
    if "SKIPPED-SEGMENTS" not in attributes:
        raise ValueError("no SKIPPED-SEGMENTS")
    reading.header["skipped_segments"] = whole_number(attributes["SKIPPED-SEGMENTS"])
    removed = attributes.get("RECENTLY-REMOVED-DATERANGES", "")
    reading.header["removed_date_ranges"] = tuple(name for name in removed.split("\t") if name)


def _read_preload_hint(reading: Reading, value: str) -> None:
    attributes = reading.attributes(value)
    if "TYPE" not in attributes or "URI" not in attributes:
        raise ValueError("preload hint without TYPE or URI")
    hint = PreloadHint(
        type=attributes["TYPE"],
        uri=attributes["URI"],
        byte_range_start=readable(whole_number, attributes.get("BYTERANGE-START")) or 0,
        byte_range_length=readable(whole_number, attributes.get("BYTERANGE-LENGTH")),
    )
    if len(reading.preload_hints) < HINTS_MAX:
        reading.preload_hints.append(hint)


def _read_rendition_report(reading: Reading, value: str) -> None:
    attributes = reading.attributes(value)
    if "URI" not in attributes:
        raise ValueError("rendition report without URI")
    report = RenditionReport(
        uri=attributes["URI"],
        last_media_sequence=readable(whole_number, attributes.get("LAST-MSN")),
        last_part=readable(whole_number, attributes.get("LAST-PART")),
    )
    if len(reading.rendition_reports) < HINTS_MAX:
        reading.rendition_reports.append(report)


def _read_stream_inf(reading: Reading, value: str) -> None:
    reading.is_multivariant = True
    reading.stream_info = {}
    reading.stream_info = reading.attributes(value)


def _read_iframe_stream_inf(reading: Reading, value: str) -> None:
    attributes = reading.attributes(value)
    if "URI" not in attributes:
        raise ValueError("I-frame variant without URI")
    reading.is_multivariant = True
    reading.variants.append((attributes["URI"], attributes, True))


def _read_media(reading: Reading, _value: str) -> None:
    reading.is_multivariant = True


def _header(field: str, read: Callable[[str], Any]) -> _Read:
    """Reader of a tag with one value for the whole playlist."""

    def reader(reading: Reading, value: str) -> None:
        reading.header[field] = read(value.strip())

    return reader


def _header_attribute(field: str, name: str, read: Callable[[str], Any]) -> _Read:
    """Reader of a tag whose one attribute of interest holds for the whole playlist."""

    def reader(reading: Reading, value: str) -> None:
        attributes = reading.attributes(value)
        if name not in attributes:
            raise ValueError(f"no {name}")
        reading.header[field] = read(attributes[name])

    return reader


# --- numbers and dates -------------------------------------------------------------------------------------------------


def duration_ns(text: str) -> int:
    """Nanoseconds of a decimal number of seconds.

    Raises:
        ValueError: no number, negative, infinite, or longer than a day.
    """
    text = text.strip()
    if (
        len(text) <= 15 and text.isascii() and text.replace(".", "", 1).isdecimal()
    ):  # up to 14 digits are exact as a float
        near_ns = int(float(text) * _SECOND_NS + 0.5)
        if near_ns <= DURATION_NS_MAX:
            return near_ns
    try:
        number = Decimal(text[:64])
    except InvalidOperation:
        raise ValueError(f"bad number {text[:40]!r}") from None
    if not number.is_finite() or number < 0 or number > DURATION_NS_MAX // _SECOND_NS:
        raise ValueError(f"number out of range {text[:40]!r}")
    return int(number * _SECOND_NS + Decimal("0.5"))


def _duration_us(text: str) -> int:
    return us_from_ns(duration_ns(text))


def whole_number(text: str) -> int:
    """A sequence number or size; ``5.0`` passes.

    Raises:
        ValueError: no whole number, negative, or absurdly large.
    """
    if len(text) <= 18 and text.isascii() and text.isdecimal():
        return int(text)
    try:
        number = Decimal(text.strip()[:64])
    except InvalidOperation:
        raise ValueError(f"bad number {text[:40]!r}") from None
    if not number.is_finite() or not 0 <= number <= NUMBER_MAX or number != int(number):
        raise ValueError(f"bad number {text[:40]!r}")
    return int(number)


def date_ns(text: str, zone: tzinfo = UTC) -> tuple[int, bool]:
    """Nanoseconds since the Unix epoch, and whether the date names its zone.

    Takes all of ISO 8601 that origins write, also lower-case ``z``, a space or ``UTC`` before the end, quotes, second 60 and
    hour 24.

    Raises:
        ValueError: no date.
    """
    if text.endswith("Z") and 20 <= len(text) <= 27 and text.isascii():  # the common way, at a third of the cost
        try:
            delta = datetime.fromisoformat(text) - _EPOCH
        except ValueError:
            pass
        else:
            return ((delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds) * 1_000, True
    text = text.strip().strip('"').upper().removesuffix("UTC").strip() + (
        "Z" if text.strip(' "').endswith("UTC") else ""
    )
    match = _DATE.fullmatch(text)
    if match is None:
        raise ValueError(f"bad date {text[:40]!r}")
    seconds, zone_text = match["seconds"], (match["zone"] or "").strip()
    if not match["fraction"]:
        seconds, zone_text = text, ""  # without a fraction the zone need not be told apart
    moment, extra_seconds = _moment(seconds.replace(" +", "+") + zone_text)
    has_zone = moment.tzinfo is not None
    if not has_zone:
        moment = moment.replace(tzinfo=zone)
    delta = moment - _EPOCH
    fraction_ns = int((match["fraction"] or "0")[:9].ljust(9, "0"))
    return (
        delta.days * 86_400 + delta.seconds + extra_seconds
    ) * _SECOND_NS + delta.microseconds * 1000 + fraction_ns, has_zone


def _moment(text: str) -> tuple[datetime, int]:
    """A date to the second, and seconds to add to it: second 60 and hour 24 are legal but foreign to ``datetime``."""
    try:
        return datetime.fromisoformat(text), 0
    except ValueError:
        if re.search(r"T24:00", text):
            return datetime.fromisoformat(text.replace("T24:00", "T00:00")), 86_400
        if re.search(r"\d\d:\d\d:60", text):
            return datetime.fromisoformat(re.sub(r"(\d\d:\d\d):60", r"\1:59", text)), 1
        raise ValueError(f"bad date {text[:40]!r}") from None


def _date_us(text: str) -> int:
    return us_from_ns(date_ns(text)[0])


def readable(read: Callable[[str], int], text: str | None) -> int | None:
    """The value, or None if it is absent or unreadable: such an attribute does not spoil its tag."""
    if text is None:
        return None
    try:
        return read(text)
    except ValueError:
        return None


_Read = Callable[[Reading, str], None]
_TAGS: dict[str, _Read] = {
    "#EXT-X-DISCONTINUITY": _read_discontinuity,
    "#EXT-X-GAP": _read_gap,
    "#EXT-X-BYTERANGE": _read_byterange,
    "#EXT-X-PART": _read_part,
    "#EXT-X-DATERANGE": _read_date_range,
    "#EXT-X-DEFINE": _read_define,
    "#EXT-X-SERVER-CONTROL": _read_server_control,
    "#EXT-X-STREAM-INF": _read_stream_inf,
    "#EXT-X-I-FRAME-STREAM-INF": _read_iframe_stream_inf,
    "#EXT-X-MEDIA": _read_media,
    "#EXT-X-MEDIA-SEQUENCE": _header("media_sequence", whole_number),
    "#EXT-X-DISCONTINUITY-SEQUENCE": _header("discontinuity_sequence", whole_number),
    "#EXT-X-TARGETDURATION": _header("target_duration_us", _duration_us),
    "#EXT-X-PLAYLIST-TYPE": _header("playlist_type", str.upper),
    "#EXT-X-SKIP": _read_skip,
    "#EXT-X-PRELOAD-HINT": _read_preload_hint,
    "#EXT-X-RENDITION-REPORT": _read_rendition_report,
    "#EXT-X-PART-INF": _header_attribute("part_target_us", "PART-TARGET", _duration_us),
}
_CHEAP = (_read_discontinuity, _read_gap)  # cannot be damaged
