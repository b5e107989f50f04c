"""HLS text to values: what one answer of the origin says, and nothing about the answers before it.

Owns: ``MediaPlaylist``, ``MultivariantPlaylist``, every tag that bears on time, and the limits on what is read.
Does not know: earlier answers, clocks, HTTP. Source: RFC 8216, and draft-pantos-hls-rfc8216bis-18 for parts and deltas.

Units: sums are made in integer nanoseconds (``_ns``) and handed out in microseconds (``_us``), rounded half up. Program time
counts from 1970-01-01T00:00:00Z. Segment dates here are what the text says, implausible ones included: the timeline
refuses those (``MediaPlaylist.with_dates_within``), because only it knows what to put in their place.

A damaged line costs a warning and at most its own segment, never the playlist.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, tzinfo
from itertools import repeat
from typing import Literal, NamedTuple
from urllib.parse import parse_qs, urlsplit

import msgspec

from chatsync.errors import PlaylistSyntaxError
from chatsync.hls.lines import Listed, read_lines
from chatsync.hls.tags import (
    NUMBER_MAX,
    WARNINGS_MAX,
    DateRange,
    PreloadHint,
    Reading,
    RenditionReport,
    Warned,
    readable,
    us_from_ns,
    whole_number,
)
from chatsync.instants import Range

__all__ = [
    "LINE_CHARACTERS_MAX",
    "SEGMENTS_MAX",
    "DateRange",
    "MediaPlaylist",
    "MultivariantPlaylist",
    "PlaylistPart",
    "PlaylistSegment",
    "PreloadHint",
    "ProgramSource",
    "RenditionReport",
    "Variant",
    "Warned",
    "parse_playlist",
    "parse_tail",
    "us_from_ns",
]

LINE_CHARACTERS_MAX = 8 * 1024  # longer lines are cut: a cut URI still holds its place in the numbering
SEGMENTS_MAX = 200_000  # ~4.6 days of 2 s segments
LINES_MAX = 20_000  # and so many more for each segment; a list of nothing but other lines is none that anybody plays
LINES_OF_SEGMENT_MAX = 16

ProgramSource = Literal["explicit", "forward", "backward", "synthetic"]
_Date = tuple[
    int | None, ProgramSource | None, bool
]  # as in ``PlaylistSegment``: program_ns, program_source, across_discontinuity

_MEDIA_SEQUENCE = re.compile(r"^#EXT-X-MEDIA-SEQUENCE:(\d{1,18})\s*$", re.MULTILINE)
_HEADER_TAGS = (  # the tags of the whole playlist that are read
    "#EXTM3U",
    "#EXT-X-TARGETDURATION",
    "#EXT-X-DISCONTINUITY-SEQUENCE",
    "#EXT-X-PLAYLIST-TYPE",
    "#EXT-X-SERVER-CONTROL",
    "#EXT-X-PART-INF",
    "#EXT-X-ENDLIST",
)
_NAME_TRIES = 8  # a name may also stand in tags, such as those of its parts
_AUDIO_CODECS = ("mp4a", "ac-3", "ec-3", "ac-4", "opus", "flac", "alac", "mp3")


class PlaylistPart(msgspec.Struct, frozen=True, gc=False):
    """A partial segment, EXT-X-PART (bis §4.4.4.9)."""

    uri: str
    duration_ns: int
    offset_ns: int  # from the start of its segment: sum of the parts before it
    gap: bool
    program_ns: int | None

    @property
    def duration_us(self) -> int:
        """Length in µs."""
        return us_from_ns(self.duration_ns)

    @property
    def offset_us(self) -> int:
        """Start of the part, µs from the start of its segment."""
        return us_from_ns(self.offset_ns)

    @property
    def program_us(self) -> int | None:
        """Program time of its first sample."""
        return None if self.program_ns is None else us_from_ns(self.program_ns)


class PlaylistSegment(msgspec.Struct, frozen=True, gc=False):
    """One media segment as this playlist describes it."""

    media_sequence: int
    uri: str | None  # None only for the open segment at the edge
    duration_ns: int  # EXTINF; for the open segment the sum of its parts
    program_ns: int | None = None  # date of the first sample; None if the playlist has no date at all
    program_source: ProgramSource | None = None
    across_discontinuity: bool = False  # a DISCONTINUITY lies between this segment and the tag that dates it
    discontinuity_index: int = 0  # EXT-X-DISCONTINUITY tags in this playlist up to and with this segment
    duration_estimated: bool = False  # EXTINF missing or unreadable
    byte_range: str | None = None  # "length@start", start always filled in; EXT-X-BYTERANGE
    discontinuity: bool = False
    discontinuity_count: int = 0  # of its tags: more than one is odd, and counts
    gap: bool = False
    parts: tuple[PlaylistPart, ...] = ()

    @property
    def duration_us(self) -> int:
        """Length in µs."""
        return us_from_ns(self.duration_ns)

    @property
    def program_us(self) -> int | None:
        """Program time of the first sample, µs since the Unix epoch."""
        return None if self.program_ns is None else us_from_ns(self.program_ns)


class MediaPlaylist(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of the origin for one rendition."""

    media_sequence: int = 0  # EXT-X-MEDIA-SEQUENCE; with a delta, of the first skipped segment
    numbering_sure: bool = (
        True  # False: a lost EXTINF or an unreadable EXT-X-MEDIA-SEQUENCE may have shifted the numbers
    )
    discontinuity_sequence: int | None = None  # EXT-X-DISCONTINUITY-SEQUENCE as written
    target_duration_us: int | None = None
    part_target_us: int | None = None
    playlist_type: str | None = None
    endlist: bool = False
    skipped_segments: int = 0  # EXT-X-SKIP, or left unread by ``parse_tail``
    abridged: bool = False  # by ``parse_tail``: what is skipped was there to read
    segments: tuple[PlaylistSegment, ...] = ()  # closed ones in order
    open_segment: PlaylistSegment | None = None  # parts that have no EXTINF yet
    hold_back_us: int | None = None
    part_hold_back_us: int | None = None
    can_block_reload: bool = False
    can_skip_until_us: int | None = None
    can_skip_date_ranges: bool = False  # CAN-SKIP-DATERANGES
    date_ranges: tuple[DateRange, ...] = ()
    removed_date_ranges: tuple[str, ...] = ()  # RECENTLY-REMOVED-DATERANGES of a delta, IDs
    preload_hints: tuple[PreloadHint, ...] = ()
    rendition_reports: tuple[RenditionReport, ...] = ()
    end_program_ns: int | None = None  # a date tag after the last URI: the date of what comes next
    warnings: tuple[Warned, ...] = ()

    @property
    def first_media_sequence(self) -> int:
        """Number of the first segment shown: skipped ones are behind it."""
        return self.media_sequence + self.skipped_segments

    @property
    def is_delta(self) -> bool:
        """Whether the origin left out what it supposes known (bis §6.2.5.1)."""
        return self.skipped_segments > 0 and not self.abridged

    @property
    def has_dates(self) -> bool:
        """Whether any segment has a program time; then all of them have one."""
        first = self.segments[0] if self.segments else self.open_segment
        return first is not None and first.program_ns is not None

    def with_dates_within(self, plausible: Range) -> MediaPlaylist:
        """The same playlist, dates outside ``plausible`` treated as if they were not written.

        Segments they dated are dated by the next plausible tag, or not at all. One warning per refused tag.
        Cost: one pass; the playlist itself is returned if nothing is refused.
        """
        listed = self.segments if self.open_segment is None else (*self.segments, self.open_segment)
        refused = [segment for segment in listed if _is_refused(segment, plausible)]
        end_refused = self.end_program_ns is not None and not plausible.covers(us_from_ns(self.end_program_ns))
        if not refused and not end_refused:
            return self
        drop = {segment.media_sequence for segment in refused}
        explicit = [
            segment.program_ns if segment.program_source == "explicit" and segment.media_sequence not in drop else None
            for segment in listed
        ]
        end_ns = None if end_refused else self.end_program_ns
        dated = _redated(listed, explicit, end_ns)
        closed_count = len(self.segments)
        warnings = tuple(
            Warned(0, "#EXT-X-PROGRAM-DATE-TIME", f"date of segment {segment.media_sequence} is not plausible")
            for segment in refused[:WARNINGS_MAX]
        )
        return msgspec.structs.replace(
            self,
            segments=tuple(dated[:closed_count]),
            open_segment=dated[closed_count] if self.open_segment is not None else None,
            end_program_ns=end_ns,
            warnings=self.warnings + warnings,
        )


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """One EXT-X-STREAM-INF or EXT-X-I-FRAME-STREAM-INF."""

    uri: str
    bandwidth: int | None  # bits per second, peak; None if absent or unreadable
    codecs: str | None = None
    resolution: str | None = None
    is_iframe: bool = False

    @property
    def is_audio_only(self) -> bool:
        """Whether it names audio codecs only: such a variant is cut into other segments than video."""
        if self.resolution is not None or not self.codecs:
            return False
        return all(codec.strip().lower().startswith(_AUDIO_CODECS) for codec in self.codecs.split(","))


class MultivariantPlaylist(msgspec.Struct, frozen=True, kw_only=True):
    """A list of variants of one presentation; it has no timeline of its own."""

    variants: tuple[Variant, ...] = ()
    warnings: tuple[Warned, ...] = ()

    def followed_variant(self) -> Variant | None:
        """The cheapest variant with video: lowest BANDWIDTH, the first of equals; audio only if there is no other.

        None if there is no variant to play. Playlists of different variants may differ by a second in program time
        and in any way in numbering, so one is followed and kept.
        """
        return next(iter(self.ranked_variants()), None)

    def ranked_variants(self) -> list[Variant]:
        """All that can be played, in the order in which they are tried: those with video by BANDWIDTH, then audio only."""
        playable = [variant for variant in self.variants if not variant.is_iframe]
        return sorted(playable, key=lambda variant: (variant.is_audio_only, _bandwidth_order(variant)))


def parse_playlist(
    text: str,
    *,
    url: str = "",
    imports: Mapping[str, str] | None = None,
    default_zone: tzinfo = UTC,
    segments_max: int = SEGMENTS_MAX,
    line_characters_max: int = LINE_CHARACTERS_MAX,
) -> MediaPlaylist | MultivariantPlaylist:
    """Read one playlist.

    Args:
        text: the body as text, a byte order mark allowed.
        url: where it came from, for EXT-X-DEFINE QUERYPARAM.
        imports: variables of the multivariant playlist, for EXT-X-DEFINE IMPORT.
        default_zone: zone of dates that name none (RFC 8216 §4.3.2.6 leaves it open); each costs a warning.
        segments_max: closed segments and parts each; more is an error, not a cut.
        line_characters_max: longer lines are cut here, with a warning.

    Raises:
        PlaylistSyntaxError: no ``#EXTM3U`` first, more segments than allowed, or far more lines than segments. Nothing else is ever raised.

    Cost: 2 µs a segment, a sixth of what ``m3u8.parse`` takes; see decision 0010 for what hostile text costs.
    """
    text = text.lstrip("\ufeff \t\r\n")
    if not text.startswith("#EXTM3U"):
        raise PlaylistSyntaxError("it does not begin with #EXTM3U", 1)
    segment_count = text.count("#EXTINF")
    if max(segment_count, text.count("#EXT-X-PART:")) > segments_max:
        raise PlaylistSyntaxError(f"it lists more than {segments_max} segments")
    if max(text.count("\n"), text.count("\r")) > LINES_MAX + LINES_OF_SEGMENT_MAX * segment_count:
        raise PlaylistSyntaxError("it has far more lines than segments")
    reading = Reading(default_zone, _known_variables(url), imports or {})
    listed = read_lines(text, reading, segments_max=segments_max, line_characters_max=line_characters_max)
    if not listed.uris and not listed.end_facts and reading.is_multivariant:
        return _multivariant(reading)
    return _media(listed, reading)


def parse_tail(text: str, *, url: str, anchor_uri: str, anchor_media_sequence: int) -> MediaPlaylist | None:
    """Read only what follows a segment that is known, as if the rest were skipped.

    A list of a day's segments takes half a second to read whole, every two seconds. This reads the header and the end.

    Args:
        text: of a media playlist.
        url: where it came from.
        anchor_uri: of a known segment as it was written; where it is looked for, only the name at its end must be the same, since
            some origins put another token into every address at each load.
        anchor_media_sequence: its number.

    Returns:
        The playlist, ``abridged``; None if the anchor is not where its number says, or anything else makes the short cut doubtful:
        then read it whole.

    Cost: a few searches through the text, and reading the tail.
    """
    at = _end_of_line_named(text, _name_of(anchor_uri))
    header = text[: text.find("#EXTINF")]
    if at < 0 or not text.startswith("#EXTM3U") or "\n#EXT-X-SKIP" in header or "{$" in text:
        return None
    written = _MEDIA_SEQUENCE.search(header)
    first = anchor_media_sequence + 1
    media_sequence = 0 if written is None else int(written[1])
    if media_sequence + text.count("\n#EXTINF", 0, at) != first:
        return None
    kept = [line for line in header.splitlines() if line.startswith(_HEADER_TAGS)]
    tail = text[at + 1 :]
    playlist = parse_playlist("\n".join([*kept, f"#EXT-X-MEDIA-SEQUENCE:{first}", tail]), url=url)
    if not isinstance(playlist, MediaPlaylist) or not playlist.numbering_sure:
        return None
    return msgspec.structs.replace(
        playlist, media_sequence=media_sequence, skipped_segments=first - media_sequence, abridged=True
    )


def _name_of(uri: str) -> str:
    """What stands at the end of a URI's path."""
    return uri.partition("#")[0].partition("?")[0].rpartition("/")[2]


def _end_of_line_named(text: str, name: str) -> int:
    """Where the last URI line with this name ends; -1 if it is not found near the end of where the name occurs."""
    at = len(text) if name else -1
    for _ in range(_NAME_TRIES):
        at = text.rfind(name, 0, max(at, 0))
        if at < 0:
            break
        start, end = text.rfind("\n", 0, at) + 1, text.find("\n", at)
        line = text[start:] if end < 0 else text[start:end]
        if not line.startswith("#") and _name_of(line.strip()) == name:
            return len(text) if end < 0 else end
    return -1


# --- values ------------------------------------------------------------------------------------------------------------


def _media(listed: Listed, reading: Reading) -> MediaPlaylist:
    """Segments numbered and dated, the open one told apart. An unreadable EXTINF is taken as the target duration."""
    header = reading.header
    first = header.get("media_sequence", 0) + header.get("skipped_segments", 0)
    target_ns = (header.get("target_duration_us") or 0) * 1000
    durations = listed.durations_ns
    lengths = [target_ns if one is None else one for one in durations]
    parts = _parts(listed.end_facts.get("parts", ()))
    explicit = listed.dates_ns if not parts else [*listed.dates_ns, listed.end_date_ns]
    end_ns = None if parts else listed.end_date_ns
    discontinuous = {index for index, facts in listed.facts.items() if "discontinuities" in facts}
    if parts and "discontinuities" in listed.end_facts:
        discontinuous.add(len(listed.uris))
    dates = _dates(lengths, explicit, discontinuous, end_ns)
    uris = [reading.filled(uri) for uri in listed.uris] if reading.variables else listed.uris
    segments, discontinuity_index = _segments(listed, uris, lengths, dates, first)
    open_segment = None
    if parts:
        open_segment = _open_segment(listed, parts, dates, first + len(uris), discontinuity_index)
    return MediaPlaylist(
        segments=tuple(segments),
        open_segment=open_segment,
        endlist=reading.endlist,
        end_program_ns=end_ns,
        date_ranges=tuple(reading.date_ranges),
        preload_hints=tuple(reading.preload_hints),
        rendition_reports=tuple(reading.rendition_reports),
        numbering_sure=reading.numbering_sure,
        warnings=tuple(reading.warnings),
        **header,
    )


def _segments(
    listed: Listed, uris: list[str], lengths: Sequence[int], dates: _Dates, first: int
) -> tuple[list[PlaylistSegment], int]:
    """The closed segments in order, and the count of discontinuities among them.

    Cost: made in one go, those with facts of their own a second time; a plain list has none.
    """
    count = len(uris)
    estimated = [one is None for one in listed.durations_ns] if None in listed.durations_ns else [False] * count
    numbers = range(first, first + count)
    segments = list(map(PlaylistSegment, numbers, uris, lengths, *dates, repeat(0), estimated))
    discontinuity_index = done = 0
    next_byte: dict[str, int] = {}
    for index, facts in listed.facts.items():  # in order
        if discontinuity_index:
            _move_index(segments, done, index, discontinuity_index)
        discontinuities = facts.get("discontinuities", 0)
        discontinuity_index += discontinuities
        segments[index] = PlaylistSegment(
            numbers[index],
            uris[index],
            lengths[index],
            dates.program_ns[index],
            dates.source[index],
            dates.across[index],
            discontinuity_index,
            estimated[index],
            _byte_range(facts.get("byte_range"), uris[index], next_byte),
            discontinuities > 0,
            discontinuities,
            "gap" in facts,
            _parts(facts.get("parts", ()), dates.program_ns[index]),
        )
        done = index + 1
    if discontinuity_index:
        _move_index(segments, done, count, discontinuity_index)
    return segments, discontinuity_index


def _move_index(segments: list[PlaylistSegment], start: int, end: int, discontinuity_index: int) -> None:
    """Make segments without facts anew that come after a discontinuity."""
    for at in range(start, end):
        one = segments[at]
        segments[at] = PlaylistSegment(
            one.media_sequence,
            one.uri,
            one.duration_ns,
            one.program_ns,
            one.program_source,
            one.across_discontinuity,
            discontinuity_index,
            one.duration_estimated,
        )


def _open_segment(
    listed: Listed, parts: tuple[PlaylistPart, ...], dates: _Dates, media_sequence: int, discontinuity_index: int
) -> PlaylistSegment:
    discontinuities = listed.end_facts.get("discontinuities", 0)
    return PlaylistSegment(
        media_sequence=media_sequence,
        uri=None,
        duration_ns=sum(part.duration_ns for part in parts),
        discontinuity=discontinuities > 0,
        discontinuity_count=discontinuities,
        discontinuity_index=discontinuity_index + discontinuities,
        gap="gap" in listed.end_facts,
        program_ns=dates.program_ns[-1],
        program_source=dates.source[-1],
        across_discontinuity=dates.across[-1],
        parts=_dated_parts(parts, dates.program_ns[-1]),
    )


def _parts(raw: Iterable[tuple[str, int, bool]], program_ns: int | None = None) -> tuple[PlaylistPart, ...]:
    parts: list[PlaylistPart] = []
    offset_ns = 0
    for uri, duration_ns, gap in raw:
        date_ns = None if program_ns is None else program_ns + offset_ns
        parts.append(PlaylistPart(uri, duration_ns, offset_ns, gap, date_ns))
        offset_ns += duration_ns
    return tuple(parts)


def _dated_parts(parts: tuple[PlaylistPart, ...], program_ns: int | None) -> tuple[PlaylistPart, ...]:
    return _parts(((part.uri, part.duration_ns, part.gap) for part in parts), program_ns)


def _byte_range(byte_range: tuple[int, int | None] | None, uri: str, next_byte: dict[str, int]) -> str | None:
    """``length@start``; without a start it follows the range before it in the same resource (RFC 8216 §4.3.2.2)."""
    if byte_range is None:
        return None
    length, start = byte_range
    if start is None:
        start = next_byte.get(uri, 0)
    next_byte[uri] = start + length
    return f"{length}@{start}"


class _Dates(NamedTuple):
    """Columns of ``PlaylistSegment``, one entry a segment."""

    program_ns: Sequence[int | None]
    source: Sequence[ProgramSource | None]
    across: Sequence[bool]


def _dates(
    lengths: Sequence[int], explicit: Sequence[int | None], discontinuous: set[int], end_ns: int | None
) -> _Dates:
    """Program times of segments: own tag, else forward from the last tag, else backward from the first (RFC 8216 §6.3.3).

    Args:
        lengths: of the closed ones, ns.
        explicit: what its own tag says of each segment, the open one too.
        discontinuous: indexes of those with a DISCONTINUITY before them.
        end_ns: the end of the last one; it anchors only if no segment has a tag.
    """
    count = len(explicit)
    if None not in explicit:
        return _Dates(explicit, ["explicit"] * count, [False] * count)
    anchor = next((index for index, own_ns in enumerate(explicit) if own_ns is not None), count)
    if anchor == count and end_ns is None:
        return _Dates([None] * count, [None] * count, [False] * count)
    program: list[int | None] = list(explicit)
    source: list[ProgramSource | None] = ["explicit"] * count
    across_tag = [False] * count
    date_ns = explicit[anchor] if anchor < count else end_ns
    assert date_ns is not None
    across = anchor in discontinuous
    for index in range(anchor - 1, -1, -1):
        date_ns -= lengths[index]
        program[index], source[index], across_tag[index] = date_ns, "backward", across
        across = across or index in discontinuous  # its tag stands before it
    date_ns, across = 0, False
    for index in range(anchor, count):
        own_ns = explicit[index]
        if own_ns is None:
            across = across or index in discontinuous
            program[index], source[index], across_tag[index] = date_ns, "forward", across
        else:
            date_ns, across = own_ns, False
        if index < len(lengths):
            date_ns += lengths[index]
    return _Dates(program, source, across_tag)


def _redated(
    listed: Sequence[PlaylistSegment], explicit: Sequence[int | None], end_ns: int | None
) -> list[PlaylistSegment]:
    """The segments with program times anew; ``explicit`` has one entry per segment."""
    discontinuous = {index for index, segment in enumerate(listed) if segment.discontinuity}
    dates = _dates([segment.duration_ns for segment in listed], explicit, discontinuous, end_ns)
    return [
        msgspec.structs.replace(
            segment,
            program_ns=program_ns,
            program_source=source,
            across_discontinuity=across,
            parts=_dated_parts(segment.parts, program_ns),
        )
        for segment, program_ns, source, across in zip(listed, *dates, strict=True)
    ]


def _is_refused(segment: PlaylistSegment, plausible: Range) -> bool:
    return (
        segment.program_source == "explicit"
        and segment.program_ns is not None
        and not plausible.covers(us_from_ns(segment.program_ns))
    )


def _multivariant(reading: Reading) -> MultivariantPlaylist:
    ordered = sorted(reading.variants, key=lambda variant: variant[2])  # those with all frames first
    return MultivariantPlaylist(
        variants=tuple(
            Variant(
                uri=reading.filled(uri),
                bandwidth=readable(whole_number, attributes.get("BANDWIDTH")),
                codecs=attributes.get("CODECS"),
                resolution=attributes.get("RESOLUTION"),
                is_iframe=is_iframe,
            )
            for uri, attributes, is_iframe in ordered
        ),
        warnings=tuple(reading.warnings),
    )


def _bandwidth_order(variant: Variant) -> int:
    return NUMBER_MAX if variant.bandwidth is None else variant.bandwidth


def _known_variables(url: str) -> dict[str, str]:
    """Query parameters of the playlist's own address."""
    try:
        query = urlsplit(url).query
    except ValueError:
        return {}
    return {name: values[0] for name, values in parse_qs(query, keep_blank_values=True).items()}
