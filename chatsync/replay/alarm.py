"""Whether a room's chat can be placed by program time now, and if not, why.

Owns: the causes and which of several counts. Does not know: playlists, who is told. Units: µs.
Source: reliability §1 G9; hls-timing §5 (an encoder's clock that is off is told, never corrected).
"""

from __future__ import annotations

from chatsync.instants import MINUTE_US
from chatsync.replay.broadcasts import Broadcast

__all__ = ["CAUSES", "SKEW_US_MAX", "sync_trouble"]

SKEW_US_MAX = MINUTE_US  # wall time and an encoder's clock that are further apart are no delay any more

CAUSES = {
    "no_new_media": "The playlist answers, but no new media has come for two target durations: the encoder stands still.",
    "no_program_time": "The playlist has no EXT-X-PROGRAM-DATE-TIME: players must report their media sequence.",
    "encoder_clock": "The encoder's clock and the relay's differ by more than a minute; chat follows the encoder's.",
}
"""What each cause means, but those of the origin, which are the codes of its errors."""


def sync_trouble(
    broadcast: Broadcast | None, *, playlist_trouble: str | None, has_media: bool, is_dated: bool, wall_us: int
) -> str | None:
    """The cause for which chat is placed less well than it could be; None while all is well.

    Args:
        broadcast: the one that is on.
        playlist_trouble: why the origin gives nothing now; None while it does.
        has_media: whether its playlist ever listed any.
        is_dated: whether the newest media has a date of its own.
        wall_us: steady wall time now.
    """
    if playlist_trouble is not None:
        return playlist_trouble
    if broadcast is None or broadcast.is_closed or not has_media:
        return None
    clock = broadcast.clock
    if not is_dated or clock.is_synthetic:
        return "no_program_time"
    if clock.is_stalled(wall_us):
        return "no_new_media"
    if clock.has_program_time and abs(clock.lag_us) > SKEW_US_MAX:
        return "encoder_clock"
    return None
