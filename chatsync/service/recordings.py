"""Making a recording's map from what a host gives and what the room knows of its broadcasts.

Owns: the record that is stored, what a source may be, what the room knows put together for ``hls.alignment``.
Does not know: HTTP, how playlists are aligned. Units: µs inside, ms in the record that is stored and served.

A record is ``duration_ms`` and ``spans``, as served, and ``media``: the recording's own segments that the room did not know, so
that a clip made of them is found again. ``media`` is not served; ``media_url``, what viewers play, is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from chatsync.errors import MessageRejectedError
from chatsync.hls.alignment import aligned, by_offset, listed_media
from chatsync.hls.known import Airing, KnownSegment, Library
from chatsync.hls.playlist import MediaPlaylist, MultivariantPlaylist, parse_playlist
from chatsync.hls.spans import Clip, Span, composed, flaw, place_of
from chatsync.hls.track import uri_path
from chatsync.instants import ms_from_us, us_from_ms
from chatsync.service.limit_table import SPANS_MAX

if TYPE_CHECKING:
    from chatsync.service.live_room import LiveRoom

__all__ = [
    "airings_of",
    "library_of",
    "recording_of",
    "recording_of_broadcast",
    "recording_of_clips",
    "recording_of_spans",
    "served",
    "spans_from_wire",
    "spans_to_wire",
    "variant_of",
]


def recording_of(text: str, room: LiveRoom, *, name: str = "") -> dict[str, Any]:
    """The record of a recording by its playlist.

    Args:
        text: the recording's media playlist.
        room: whose chat it is watched with.
        name: the recording's id, so that it is not aligned with what it was before.

    Raises:
        PlaylistSyntaxError: the text is no playlist.
        MessageRejectedError: it is a multivariant playlist, or nothing in it tells which program time it shows.
    """
    playlist = parse_playlist(text)
    if not isinstance(playlist, MediaPlaylist):
        raise MessageRejectedError("multivariant_playlist", "Give the media playlist of one variant.")
    library = library_of(room, but=name)
    if not library.airings and not library.segments:
        raise MessageRejectedError(
            "no_broadcast", "No broadcast of this room has begun, so there is no chat to align with."
        )
    spans = aligned(playlist, library)
    if not spans:
        raise MessageRejectedError(
            "not_aligned",
            "Neither dates nor URIs nor durations in this playlist fit a broadcast of the room: give broadcast and start.",
        )
    duration_us = sum(segment.duration_us for segment in playlist.segments)
    record = _record(duration_us, spans)
    known = {(one.uri_path, one.byte_range) for one in library.segments}
    media = [
        [uri_path(one.uri), one.byte_range, one.duration_us, position_us]
        for one, position_us in listed_media(playlist)
        if (uri_path(one.uri), one.byte_range) not in known
    ]
    return record | ({"media": media} if media else {})


def variant_of(text: str) -> str | None:
    """The URI of the variant to follow, if the text is a multivariant playlist; None if it is a media playlist.

    Raises:
        PlaylistSyntaxError: the text is no playlist.
        MessageRejectedError: it has no variant to play.
    """
    playlist = parse_playlist(text)
    if not isinstance(playlist, MultivariantPlaylist):
        return None
    variant = playlist.followed_variant()
    if variant is None:
        raise MessageRejectedError("multivariant_playlist", "The playlist has no variant to play.")
    return variant.uri


def recording_of_spans(spans: Sequence[Span], room: LiveRoom, *, duration_us: int | None = None) -> dict[str, Any]:
    """The record of a recording whose spans somebody knows.

    Raises:
        MessageRejectedError: they are no spans of a recording, or name a broadcast the room never had.
    """
    if not spans or len(spans) > SPANS_MAX:
        raise MessageRejectedError("bad_spans", f"Give from 1 to {SPANS_MAX} spans.")
    wrong = flaw(spans)
    if wrong is None and duration_us is not None and spans[-1].end_us > duration_us:
        wrong = "No span goes on after the end of the recording."
    if wrong is not None:
        raise MessageRejectedError("bad_spans", wrong)
    for number in {span.broadcast for span in spans}:
        _airing(room, number)
    return _record(spans[-1].end_us if duration_us is None else duration_us, spans)


def recording_of_broadcast(
    room: LiveRoom, broadcast: int, start_us: int, duration_us: int | None = None
) -> dict[str, Any]:
    """The record of a recording that begins at a program time and runs on at 1x, to the end of the broadcast if no length is given.

    Raises:
        MessageRejectedError: the room never had the broadcast, or it was not on then.
    """
    airing = _airing(room, broadcast)
    end_us = airing.end_us if duration_us is None else start_us + duration_us
    if start_us >= min(airing.end_us, end_us) or end_us <= airing.start_us:
        raise MessageRejectedError("outside_broadcast", "The broadcast was not on at that program time.")
    return _record(end_us - start_us, by_offset(library_of(room), broadcast, start_us, end_us - start_us))


def recording_of_clips(room: LiveRoom, clips: Sequence[tuple[str, int, int | None]]) -> dict[str, Any]:
    """The record of a recording that shows stretches of earlier ones.

    Args:
        room: whose recordings they are.
        clips: recording, position and duration in µs each; None goes on to the recording's end.

    Raises:
        MessageRejectedError: a recording is not there, or not at that position, or there would be too many spans.
    """
    taken = []
    for name, position_us, given_us in clips:
        record = room.catalog.recording(room.room, name)
        if record is None:
            raise MessageRejectedError("unknown_recording", "A clip is taken from a recording of this room.")
        length_us = us_from_ms(record["duration_ms"])
        duration_us = length_us - position_us if given_us is None else given_us
        if duration_us <= 0 or position_us + duration_us > length_us:
            raise MessageRejectedError("outside_recording", "A clip lies within its recording.")
        taken.append(Clip(spans_from_wire(record["spans"]), position_us, duration_us))
    spans = composed(taken)
    if len(spans) > SPANS_MAX:
        raise MessageRejectedError("bad_spans", f"A recording has at most {SPANS_MAX} spans.")
    return _record(sum(clip.duration_us for clip in taken), spans)


# --- what the room knows ---------------------------------------------------------------------------------------------


def airings_of(room: LiveRoom) -> list[Airing]:
    """All broadcasts of a room that had program time, in order; those in memory as they stand now."""
    bounds: dict[int, tuple[int | None, int | None, int, int | None]] = {}
    for record in room.catalog.broadcast_records(room.room, last=-1):
        bounds[record["number"]] = (
            record["start_us"],
            record["edge_us"],
            record["opened_wall_us"],
            record["closed_wall_us"],
        )
    for one in room.broadcasts.kept:
        bounds[one.number] = (one.start_us, one.clock.edge_us, one.opened_wall_us, one.closed_wall_us)
    airings = []
    for number, (start_us, edge_us, opened_us, closed_us) in sorted(bounds.items()):
        if start_us is not None and edge_us is not None:
            airings.append(Airing(number, start_us, max(start_us, edge_us)))
        elif not room.settings.has_stream:  # program time is wall time
            airings.append(Airing(number, opened_us, room.clock.wall_us() if closed_us is None else closed_us))
    return airings


def library_of(room: LiveRoom, *, but: str = "") -> Library:
    """All media that is known to show a program time of this room: of every broadcast, and of recordings made before.

    Args:
        room: the room.
        but: a recording that is left out.

    Cost: reads all segments of the room and its recordings.
    """
    segments = room.catalog.known_segments(room.room)
    segments += _not_written_yet(room, segments)
    earlier: list[KnownSegment] = []
    for run, (name, record) in enumerate(sorted(room.catalog.recordings(room.room).items()), 1):
        spans = spans_from_wire(record["spans"])
        for index, (path, byte_range, duration_us, position_us) in enumerate(record.get("media", ())):
            place = place_of(position_us, spans) if name != but else None
            if place is not None:
                earlier.append(
                    KnownSegment(place.broadcast, -run, index, path, byte_range, duration_us, place.program_us)
                )
    return Library([*earlier, *segments], airings_of(room))


def _not_written_yet(room: LiveRoom, written: Sequence[KnownSegment]) -> list[KnownSegment]:
    """The newest segments of the stream, whose rows are still on their way: they belong to the broadcast that is on."""
    timeline = room.timeline
    run = len(timeline.runs)
    last = max((one.media_sequence for one in written if one.run == run), default=-1)
    return [
        KnownSegment(
            room.broadcasts.current.number,
            one.run,
            one.media_sequence,
            one.uri_path,
            one.byte_range,
            one.duration_us,
            one.program_us,
            one.estimated,
        )
        for one in timeline.segments(run)
        if one.media_sequence > last and one.program_us is not None
    ]


def _airing(room: LiveRoom, broadcast: int) -> Airing:
    for airing in airings_of(room):
        if airing.broadcast == broadcast:
            return airing
    raise MessageRejectedError("unknown_broadcast", "The room never had that broadcast, or it had no program time.")


# --- records ---------------------------------------------------------------------------------------------------------


def _record(duration_us: int, spans: Sequence[Span]) -> dict[str, Any]:
    return {"duration_ms": ms_from_us(duration_us), "spans": spans_to_wire(spans)}


def served(record: dict[str, Any]) -> dict[str, Any]:
    """What of a record is anybody's business."""
    media_url = {"media_url": record["media_url"]} if "media_url" in record else {}
    return {"duration_ms": record["duration_ms"], "spans": record["spans"], **media_url}


def spans_to_wire(spans: Sequence[Span]) -> list[dict[str, Any]]:
    """Spans as they travel, in ms; those that touch still do."""
    return [
        {
            "position_ms": ms_from_us(span.position_us),
            "duration_ms": ms_from_us(span.end_us) - ms_from_us(span.position_us),
            "broadcast": span.broadcast,
            "program_ms": ms_from_us(span.program_us),
            "method": span.method,
            "score": span.score,
        }
        for span in spans
        if ms_from_us(span.end_us) > ms_from_us(span.position_us)
    ]


def spans_from_wire(spans: Sequence[dict[str, Any]]) -> tuple[Span, ...]:
    """Spans as :func:`spans_to_wire` writes them."""
    return tuple(
        Span(
            position_us=us_from_ms(one["position_ms"]),
            duration_us=us_from_ms(one["duration_ms"]),
            broadcast=one["broadcast"],
            program_us=us_from_ms(one["program_ms"]),
            method=one["method"],
            score=one["score"],
        )
        for one in spans
    )
