"""Making a recording's map from a playlist and what the room knows of its broadcasts.

Owns: which broadcast a stretch of program time belongs to. Does not know: HTTP, how playlists are aligned (``hls.alignment``).
Units: µs inside, ms in the record that is stored and served.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chatsync.errors import MessageRejectedError
from chatsync.hls.alignment import Span, spans_by_program_date_time
from chatsync.hls.playlist import MediaPlaylist, parse_playlist
from chatsync.instants import ms_from_us

if TYPE_CHECKING:
    from chatsync.service.live_room import LiveRoom

__all__ = ["recording_of", "spans_to_wire"]


def recording_of(text: str, room: LiveRoom) -> dict[str, Any]:
    """The map of a recording, as it is stored and served.

    Args:
        text: the recording's media playlist.
        room: whose chat it is watched with.

    Raises:
        PlaylistSyntaxError: the text is no playlist.
        MessageRejectedError: it is a multivariant playlist, or carries no program date-time.
    """
    playlist = parse_playlist(text)
    if not isinstance(playlist, MediaPlaylist):
        raise MessageRejectedError("multivariant_playlist", "Give the media playlist of one variant.")
    spans = spans_by_program_date_time(playlist, lambda program_us: _broadcast_at(room, program_us))
    if not spans and all(one.start_us is None for one in room.broadcasts.kept):
        raise MessageRejectedError(
            "no_broadcast", "No broadcast of this room has begun, so there is no chat to align with."
        )
    if not spans:
        raise MessageRejectedError(
            "no_program_time", "This playlist has no program date-time, so it cannot be aligned."
        )
    duration_us = sum(segment.duration_us for segment in playlist.segments)
    return {
        "duration_ms": ms_from_us(duration_us),
        "spans": spans_to_wire(spans),
    }


def _broadcast_at(room: LiveRoom, program_us: int) -> int | None:
    """The latest broadcast in memory that had begun by then; None if all began later."""
    begun = [one for one in room.broadcasts.kept if one.start_us is not None and one.start_us <= program_us]
    return begun[-1].number if begun else None


def spans_to_wire(spans: tuple[Span, ...]) -> list[dict[str, Any]]:
    """Spans as they travel, in ms."""
    return [
        {
            "position_ms": ms_from_us(span.position_us),
            "duration_ms": ms_from_us(span.duration_us),
            "broadcast": span.broadcast,
            "program_ms": ms_from_us(span.program_us),
            "method": span.method,
            "score": span.score,
        }
        for span in spans
    ]
