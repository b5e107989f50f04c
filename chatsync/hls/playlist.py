"""HLS text to values: what one answer of the origin says, and nothing about the answers before it.

Owns: ``MediaPlaylist``, ``MultivariantPlaylist``, every tag that bears on time, and the limits on what is read.
Does not know: earlier answers, clocks, HTTP. Source: RFC 8216, and draft-pantos-hls-rfc8216bis-18 for parts and deltas.

Units: sums are made in integer nanoseconds (``_ns``) and handed out in microseconds (``_us``), rounded half up. Program time
counts from 1970-01-01T00:00:00Z. Segment dates here are what the text says, implausible ones included: the timeline
refuses those (``MediaPlaylist.with_dates_within``), because only it knows what to put in their place.

m3u8 does line dispatch and pairs tags with URIs; one hook takes every tag away from it, since its own reading drops or
misdates segments. A damaged line costs a warning and at most its own segment, never the playlist.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, tzinfo
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import m3u8
import msgspec

from chatsync.errors import PlaylistSyntaxError
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

ProgramSource = Literal["explicit", "forward", "backward", "synthetic"]

# str.splitlines also splits at these, HLS does not (RFC 8216 §4.1: LF or CRLF).
_STRAY_SEPARATORS = re.compile("[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_TAG_REMNANT = re.compile(r"(?:<[^>]*>)?\W{0,3}EXT(?:INF:|M3U|-X-)")
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


class PlaylistSegment(msgspec.Struct, frozen=True, kw_only=True):
    """One media segment as this playlist describes it."""

    media_sequence: int
    uri: str | None  # None only for the open segment at the edge
    byte_range: str | None = None  # "length@start", start always filled in; EXT-X-BYTERANGE
    duration_ns: int  # EXTINF; for the open segment the sum of its parts
    discontinuity: bool = False
    discontinuity_count: int = 0  # of its tags: more than one is odd, and counts
    discontinuity_index: int = 0  # EXT-X-DISCONTINUITY tags in this playlist up to and with this segment
    gap: bool = False
    program_ns: int | None = None  # date of the first sample; None if the playlist has no date at all
    program_source: ProgramSource | None = None
    across_discontinuity: bool = False  # a DISCONTINUITY lies between this segment and the tag that dates it
    duration_estimated: bool = False  # EXTINF missing or unreadable
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
        PlaylistSyntaxError: no ``#EXTM3U`` first, or more segments than allowed. Nothing else is ever raised.

    Cost: about that of ``m3u8.parse``, 12 µs a segment.
    """
    text = text.lstrip("\ufeff \t\r\n")
    if not text.startswith("#EXTM3U"):
        raise PlaylistSyntaxError("it does not begin with #EXTM3U", 1)
    if max(text.count("#EXTINF"), text.count("#EXT-X-PART:")) > segments_max:
        raise PlaylistSyntaxError(f"it lists more than {segments_max} segments")
    reading = Reading(default_zone, _known_variables(url), imports or {})
    lines = _lines(text, line_characters_max, reading)
    if "#EXT-X-STREAM-INF" not in text:
        lines = _with_missing_extinf(lines, reading)
        if sum(1 for line in lines if line and not line.startswith("#")) > segments_max:
            raise PlaylistSyntaxError(f"it lists more than {segments_max} segments")
    data = m3u8.parse("\n".join(lines), custom_tags_parser=reading.read_tag)
    if not data["segments"] and (data["is_variant"] or data["media"] or data["iframe_playlists"]):
        return _multivariant(data, reading)
    return _media(data, reading)


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


# --- lines -----------------------------------------------------------------------------------------------------------


def _lines(text: str, characters_max: int, reading: Reading) -> list[str]:
    """Stripped lines split where HLS splits, none longer than the limit."""
    if _STRAY_SEPARATORS.search(text):
        text = _STRAY_SEPARATORS.sub(" ", text)
        reading.warn(0, "", "stray line separators")
    lines = [line.strip() for line in text.splitlines()]
    if lines and len(max(lines, key=len)) > characters_max:
        for index, line in enumerate(lines):
            if len(line) > characters_max:
                lines[index] = line[:characters_max]
                reading.warn(index + 1, "", f"line longer than {characters_max} characters")
    return lines


def _with_missing_extinf(lines: list[str], reading: Reading) -> list[str]:
    """The lines, an empty EXTINF put before every URI that has none.

    Each URI counts in the numbering (RFC 8216 §3), with or without its EXTINF; m3u8 would drop it and shift every number
    after it. A line that is the rest of a tag is no URI: it is turned into a comment.
    """
    repaired: list[str] = []
    has_extinf = False
    for line_number, line in enumerate(lines, 1):
        if line.startswith("#"):
            has_extinf = has_extinf or line.startswith("#EXTINF")
        elif line:
            if _TAG_REMNANT.match(line):
                reading.doubt_numbering(line_number, line[:24], "damaged tag")
                repaired.append("# " + line)
                continue
            if not has_extinf:
                reading.doubt_numbering(line_number, "", "URI without #EXTINF")
                repaired.append("#EXTINF:")
            has_extinf = False
        repaired.append(line)
    return repaired


# --- values ------------------------------------------------------------------------------------------------------------


def _media(data: dict[str, Any], reading: Reading) -> MediaPlaylist:
    """Segments numbered and dated, the open one told apart."""
    header = reading.header
    raw: list[dict[str, Any]] = data["segments"]
    pending = raw.pop() if raw and "uri" not in raw[-1] else {}
    first = header.get("media_sequence", 0) + header.get("skipped_segments", 0)
    listed = list(_numbered(raw, first, header.get("target_duration_us") or 0, reading))
    explicit = [segment.get("x_program_ns") for segment in raw]
    end_ns = None
    if pending.get("x_parts"):
        listed.append(_open_segment(pending, first + len(raw), listed[-1].discontinuity_index if listed else 0))
        explicit.append(pending.get("x_program_ns"))
    else:
        end_ns = pending.get("x_program_ns")
    dated = _redated(listed, explicit, end_ns)
    return MediaPlaylist(
        segments=tuple(dated[: len(raw)]),
        open_segment=dated[len(raw)] if len(dated) > len(raw) else None,
        endlist=data["is_endlist"],
        end_program_ns=end_ns,
        date_ranges=tuple(reading.date_ranges),
        preload_hints=tuple(reading.preload_hints),
        rendition_reports=tuple(reading.rendition_reports),
        numbering_sure=reading.numbering_sure,
        warnings=tuple(reading.warnings),
        **header,
    )


def _numbered(raw: list[dict[str, Any]], first: int, target_us: int, reading: Reading) -> Iterator[PlaylistSegment]:
    """Segments in order, not dated yet. An unreadable EXTINF is taken as the target duration."""
    discontinuity_index = 0
    next_byte: dict[str, int] = {}
    for media_sequence, segment in enumerate(raw, first):
        discontinuities = segment.get("x_discontinuities", 0)
        discontinuity_index += discontinuities
        duration_ns = segment.get("x_duration_ns")
        uri = reading.filled(segment["uri"])
        yield PlaylistSegment(
            media_sequence=media_sequence,
            uri=uri,
            byte_range=_byte_range(segment.get("x_byte_range"), uri, next_byte),
            duration_ns=target_us * 1000 if duration_ns is None else duration_ns,
            duration_estimated=duration_ns is None,
            discontinuity=discontinuities > 0,
            discontinuity_count=discontinuities,
            discontinuity_index=discontinuity_index,
            gap="x_gap" in segment,
            parts=_parts(segment["x_parts"]) if "x_parts" in segment else (),
        )


def _open_segment(pending: dict[str, Any], media_sequence: int, discontinuity_index: int) -> PlaylistSegment:
    parts = _parts(pending["x_parts"])
    discontinuities = pending.get("x_discontinuities", 0)
    return PlaylistSegment(
        media_sequence=media_sequence,
        uri=None,
        duration_ns=sum(part.duration_ns for part in parts),
        discontinuity=discontinuities > 0,
        discontinuity_count=discontinuities,
        discontinuity_index=discontinuity_index + discontinuities,
        gap="x_gap" in pending,
        parts=parts,
    )


def _parts(raw: Iterable[tuple[str, int, bool]]) -> tuple[PlaylistPart, ...]:
    parts: list[PlaylistPart] = []
    offset_ns = 0
    for uri, duration_ns, gap in raw:
        parts.append(PlaylistPart(uri, duration_ns, offset_ns, gap, None))
        offset_ns += duration_ns
    return tuple(parts)


def _byte_range(byte_range: tuple[int, int | None] | None, uri: str, next_byte: dict[str, int]) -> str | None:
    """``length@start``; without a start it follows the range before it in the same resource (RFC 8216 §4.3.2.2)."""
    if byte_range is None:
        return None
    length, start = byte_range
    if start is None:
        start = next_byte.get(uri, 0)
    next_byte[uri] = start + length
    return f"{length}@{start}"


def _redated(
    listed: Sequence[PlaylistSegment], explicit: Sequence[int | None], end_ns: int | None
) -> list[PlaylistSegment]:
    """The segments with program times: own tag, else forward from the last tag, else backward from the first.

    RFC 8216 §6.3.3. ``explicit`` has one entry per segment; ``end_ns`` dates the end of the last one, and anchors only
    if no segment has a tag.
    """
    anchor = next((index for index, date_ns in enumerate(explicit) if date_ns is not None), len(listed))
    if anchor == len(listed) and end_ns is None:
        return [_dated(segment, None, None, across=False) for segment in listed]
    return [*_backward(listed, explicit, anchor, end_ns), *_forward(listed, explicit, anchor)]


def _backward(
    listed: Sequence[PlaylistSegment], explicit: Sequence[int | None], anchor: int, end_ns: int | None
) -> list[PlaylistSegment]:
    """Segments before the first tag, in order."""
    date_ns = explicit[anchor] if anchor < len(listed) else end_ns
    assert date_ns is not None
    dated: list[PlaylistSegment] = []
    across = anchor < len(listed) and listed[anchor].discontinuity
    for index in range(anchor - 1, -1, -1):
        segment = listed[index]
        date_ns -= segment.duration_ns
        dated.append(_dated(segment, date_ns, "backward", across=across))
        across = across or segment.discontinuity  # its tag stands before it
    dated.reverse()
    return dated


def _forward(
    listed: Sequence[PlaylistSegment], explicit: Sequence[int | None], anchor: int
) -> Iterator[PlaylistSegment]:
    """Segments from the first tag on, in order."""
    date_ns = 0
    across = False
    for index in range(anchor, len(listed)):
        segment, own_ns = listed[index], explicit[index]
        if own_ns is None:
            across = across or segment.discontinuity
            yield _dated(segment, date_ns, "forward", across=across)
        else:
            date_ns, across = own_ns, False
            yield _dated(segment, date_ns, "explicit", across=False)
        date_ns += segment.duration_ns


def _dated(
    segment: PlaylistSegment, date_ns: int | None, source: ProgramSource | None, *, across: bool
) -> PlaylistSegment:
    parts = segment.parts
    if parts:
        parts = tuple(
            PlaylistPart(
                part.uri,
                part.duration_ns,
                part.offset_ns,
                part.gap,
                None if date_ns is None else date_ns + part.offset_ns,
            )
            for part in parts
        )
    return PlaylistSegment(
        media_sequence=segment.media_sequence,
        uri=segment.uri,
        byte_range=segment.byte_range,
        duration_ns=segment.duration_ns,
        discontinuity=segment.discontinuity,
        discontinuity_count=segment.discontinuity_count,
        discontinuity_index=segment.discontinuity_index,
        gap=segment.gap,
        program_ns=date_ns,
        program_source=source,
        across_discontinuity=across,
        duration_estimated=segment.duration_estimated,
        parts=parts,
    )


def _is_refused(segment: PlaylistSegment, plausible: Range) -> bool:
    return (
        segment.program_source == "explicit"
        and segment.program_ns is not None
        and not plausible.covers(us_from_ns(segment.program_ns))
    )


def _multivariant(data: dict[str, Any], reading: Reading) -> MultivariantPlaylist:
    listed = [(item, False) for item in data["playlists"]] + [(item, True) for item in data["iframe_playlists"]]
    return MultivariantPlaylist(
        variants=tuple(_variant(item, reading, is_iframe=is_iframe) for item, is_iframe in listed),
        warnings=tuple(reading.warnings),
    )


def _variant(item: dict[str, Any], reading: Reading, *, is_iframe: bool) -> Variant:
    attributes: dict[str, str] = item["stream_info"]
    return Variant(
        uri=reading.filled(item["uri"]),
        bandwidth=readable(whole_number, attributes.get("BANDWIDTH")),
        codecs=attributes.get("CODECS"),
        resolution=attributes.get("RESOLUTION"),
        is_iframe=is_iframe,
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
