"""A playlist that an encoder pushes, where its origin cannot be reached: judged and taken in as if it had been loaded.

Owns: one room's pushes, one after another. Does not know: HTTP, tokens. Units: µs of steady wall time.
Source: contract §4; RFC 8216 §6.2.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from chatsync.errors import MessageRejectedError, PlaylistSyntaxError
from chatsync.hls.follower import Follower
from chatsync.hls.playlist import MultivariantPlaylist, parse_playlist
from chatsync.hls.timeline import Reload
from chatsync.instants import ms_from_us
from chatsync.service.following import LONG_CHARACTERS, Taking

if TYPE_CHECKING:
    from chatsync.service.live_room import LiveRoom

__all__ = ["PushedPlaylist"]

_URL = "pushed:"  # where a pushed playlist comes from: nowhere that could be loaded


class PushedPlaylist:
    """The pushes of one room."""

    def __init__(self, room: LiveRoom) -> None:
        self._room = room
        self._follower = Follower(_URL, now_us=room.clock.wall_us(), timeline=room.timeline)
        self._taking = Taking(room, self._follower)
        self._turn = asyncio.Lock()  # the order of pushes is the order of the stream

    async def receive(self, text: str) -> dict[str, Any]:
        """Take in a playlist as it stands at the encoder now; what it was beside the ones before.

        Args:
            text: a media playlist, whole or a delta update of what was pushed before.

        Returns:
            ``kind`` of the reload, ``run``, and the live edge: ``media_sequence`` and ``live_edge_ms``.

        Raises:
            MessageRejectedError: it is a multivariant playlist, or a delta update of what is not known here.
            PlaylistSyntaxError: it is no playlist.
            StoreError: what it changed could not be stored.
        """
        async with self._turn:
            room, now_us = self._room, self._room.clock.wall_us()
            try:
                is_long = len(text) > LONG_CHARACTERS
                reload = await asyncio.to_thread(self._judged, text, now_us) if is_long else self._judged(text, now_us)
            except PlaylistSyntaxError as error:
                room.note_playlist_failure(error.code, str(error))
                raise
            await self._taking.take(reload, text, age_us=0)
            edge = room.timeline.live_edge
            return {
                "kind": reload.kind,
                "run": reload.run,
                "media_sequence": None if edge is None else edge.media_sequence,
                "live_edge_ms": None if edge is None or edge.program_us is None else ms_from_us(edge.program_us),
            }

    def _judged(self, text: str, now_us: int) -> Reload:
        """What a pushed text is beside those before it; for a long one, in a thread."""
        if isinstance(parse_playlist(text), MultivariantPlaylist):
            raise MessageRejectedError("multivariant_playlist", "Push the media playlist of one variant.")
        reload = self._follower.receive_playlist(text, url=_URL, age_us=0, now_us=now_us)
        if reload.kind in {"refetch", "malformed"}:
            raise MessageRejectedError(
                "needs_whole_playlist", "What this playlist skips is not known here: push it whole."
            )
        return reload
