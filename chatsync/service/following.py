"""Following a room's playlist: loads it when the follower says so and hands what came to the room.

Owns: the loop, back-off's clock, the log lines. Does not know: what a reload means (``hls.follower``, ``replay.broadcasts``).
Units: µs of steady wall time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from chatsync.errors import ChatsyncError, OriginError
from chatsync.hls.follower import Follower
from chatsync.hls.timeline import LiveEdge, Reload, Segment, Timeline
from chatsync.instants import SECOND_US
from chatsync.replay.broadcasts import Media
from chatsync.service.recordings import recording_of

if TYPE_CHECKING:
    from chatsync.service.fetching import Loaded, PlaylistFetcher
    from chatsync.service.live_room import LiveRoom

__all__ = ["ENDED_RELOAD_US", "LONG_CHARACTERS", "Taking", "follow", "keep_recording", "media_of", "tick"]

ENDED_RELOAD_US = 10 * SECOND_US  # an ended playlist is looked at so seldom: next week's class may use the same address
LONG_CHARACTERS = 256 * 1024  # longer playlists are read in a thread: other rooms go on meanwhile
DATE_TARGETS_MAX = 3  # target durations a stream may take to give its first date
_TICK_US = SECOND_US

_log = structlog.get_logger(__name__)


def media_of(
    before: Timeline, timeline: Timeline, reload: Reload, *, hold_back_us: int
) -> Iterator[tuple[Media, tuple[Segment, ...]]]:
    """What a reload says of the newest media, in pieces within which program time does not fall back.

    Args:
        before: as it was before the reload; segments older than its edge (a window that grew back) are no news.
        timeline: as it is after the reload.
        reload: what the reload was.
        hold_back_us: a fall-back by no more than this stays in its broadcast (contract §1).

    Yields:
        One piece for most reloads, with the new segments it is made of; none before the first segment.
    """
    edge = timeline.live_edge
    if edge is None:
        return
    pieces = _pieces(_beyond(before, timeline, reload.new_segments), hold_back_us)
    target_duration_us = timeline.target_duration_us or 2 * SECOND_US
    grew = bool(pieces[0]) or _has_more_parts(before.live_edge, edge)
    for index, piece in enumerate(pieces):
        is_last = index == len(pieces) - 1
        newest = piece[-1] if piece else None
        first = piece[0] if piece else None
        end_us = None
        if newest is not None and newest.program_us is not None:
            end_us = newest.program_us + newest.duration_us
        media = Media(
            run=edge.run if newest is None else newest.run,
            media_sequence=edge.media_sequence if newest is None else newest.media_sequence,
            edge_us=edge.program_us if is_last else end_us,
            first_new_us=None if first is None else first.program_us,
            first_new_media_sequence=None if first is None else first.media_sequence,
            has_new=grew,
            ended=timeline.ended and is_last,
            is_synthetic=_is_synthetic(timeline),
            target_duration_us=target_duration_us,
            hold_back_us=hold_back_us,
            other_variant=timeline.runs[edge.run - 1].reason == "variant",
        )
        yield media, piece


def _is_synthetic(timeline: Timeline) -> bool:
    segments = timeline.segments(len(timeline.runs))
    return bool(segments) and segments[-1].program_source == "synthetic"


def _beyond(before: Timeline, timeline: Timeline, segments: tuple[Segment, ...]) -> list[Segment]:
    """The segments that lie after the edge as it was: by number in the same run, by date if another variant is followed now."""
    edge = before.live_edge
    if edge is None:
        return list(segments)
    if timeline.runs[-1].run != edge.run and timeline.runs[-1].reason == "variant" and edge.program_us is not None:
        edge_us = edge.program_us
        return [one for one in segments if one.program_us is None or one.program_us + one.duration_us // 2 > edge_us]
    known = edge.media_sequence - 1 if edge.part_count else edge.media_sequence
    return [segment for segment in segments if segment.run != edge.run or segment.media_sequence > known]


def _has_more_parts(before: LiveEdge | None, edge: LiveEdge) -> bool:
    """Whether parts have come, in the open segment or with it; a delta says so as well as a whole playlist."""
    if before is None or before.run != edge.run:
        return edge.part_count > 0
    return edge.part_count > 0 and (edge.media_sequence, edge.part_count) > (before.media_sequence, before.part_count)


def _pieces(segments: list[Segment], hold_back_us: int) -> list[tuple[Segment, ...]]:
    pieces: list[list[Segment]] = [[]]
    end_us: int | None = None
    for segment in segments:
        if segment.program_us is not None:
            if end_us is not None and segment.program_us < end_us - hold_back_us:
                pieces.append([])
            end_us = segment.program_us + segment.duration_us
        pieces[-1].append(segment)
    return [tuple(piece) for piece in pieces]


class Taking:
    """What becomes of a usable answer: the room takes it in, and at the end its recording is kept.

    Args:
        room: whose playlist it is.
        follower: that has judged the answer.
    """

    def __init__(self, room: LiveRoom, follower: Follower) -> None:
        self._room, self._follower = room, follower
        self._undated_since_us: int | None = None  # since when the stream has media without a date
        self._unrecorded = False  # the stream has ended and its recording is not kept yet

    async def take(self, reload: Reload, text: str, *, age_us: int) -> None:
        """Hand the room what the follower knows now.

        Args:
            reload: what the answer was; not ``malformed``.
            text: the answer.
            age_us: HTTP Age.

        Raises:
            StoreError: what it changed could not be stored; the next answer says it again.
        """
        room, follower = self._room, self._follower
        if room.playlist_trouble is not None:
            _log.info("playlist_back", room=room.room)
        follower.timeline = self._dated(follower.timeline, room.clock.wall_us() - age_us)
        self._unrecorded = follower.timeline.ended and (self._unrecorded or reload.kind != "same")
        await room.receive_reload(follower.timeline, reload, age_us=age_us)
        if self._unrecorded and follower.is_whole:
            await keep_recording(room, text)
            self._unrecorded = False

    def _dated(self, timeline: Timeline, wall_us: int) -> Timeline:
        """Give a stream that never says its date an axis of ours: its live edge is now, the rest follows by EXTINF (contract §1).

        A date often comes with the next segments, so it is waited for a few target durations.
        """
        if timeline.is_dated or timeline.live_edge is None:
            self._undated_since_us = None
            return timeline
        if self._undated_since_us is None:
            self._undated_since_us = wall_us
        patience_us = DATE_TARGETS_MAX * (timeline.target_duration_us or 2 * SECOND_US)
        return timeline if wall_us - self._undated_since_us < patience_us else timeline.with_synthetic_axis(wall_us)


async def keep_recording(room: LiveRoom, text: str) -> None:
    """The stream has ended and its playlist is a recording now: keep its map as ``broadcast-<number>``.

    Raises:
        StoreError: it is not stored.
    """
    number = room.broadcasts.current.number
    try:
        record = await asyncio.to_thread(recording_of, text, room)
    except ChatsyncError as error:
        _log.warning("no_recording", room=room.room, broadcast=number, code=error.code)
        return
    await room.records.put_recording(f"broadcast-{number}", record)


async def follow(room: LiveRoom, fetcher: PlaylistFetcher, url: str, headers: Mapping[str, str] | None = None) -> None:
    """Follow a playlist until cancelled. Every failure is logged with its reason and without the address."""
    follower = Follower(url, now_us=room.clock.wall_us(), timeline=room.timeline)
    ticks = _Ticks(room, room.clock.wall_us())
    taking = Taking(room, follower)
    while True:
        wake_us = follower.wake_at_us()
        if wake_us is None:
            wake_us = room.clock.wall_us() + ENDED_RELOAD_US
        await ticks.sleep_until(wake_us)
        try:
            request = follower.next_request(now_us=room.clock.wall_us())
            load = fetcher.load(request, headers=headers, held_us=follower.held_us)
            loaded = await (ticks.during(load) if follower.held_us else load)
            receive = partial(
                follower.receive_playlist,
                loaded.text,
                url=loaded.url,
                age_us=loaded.age_us,
                now_us=room.clock.wall_us(),
            )
            is_long = len(loaded.text) > LONG_CHARACTERS
            reload = await asyncio.to_thread(receive) if is_long else receive()
        except OriginError as error:
            follower.receive_failure(error.code, now_us=room.clock.wall_us())
            if follower.failing_since_us is not None:  # else only its directives were refused
                _note_trouble(room, error)
            continue
        except Exception:
            _log.exception("reload_failed", room=room.room)  # a fault of ours must not end the following
            follower.receive_failure("internal", now_us=room.clock.wall_us())
            continue
        if reload.kind == "malformed":
            if follower.failing_since_us is not None:
                _note_trouble(room, None)
            continue
        try:
            await taking.take(reload, loaded.text, age_us=loaded.age_us)
        except ChatsyncError as error:
            _log.error("reload_not_recorded", room=room.room, code=error.code)
        except Exception:
            _log.exception("reload_not_recorded", room=room.room)


def _note_trouble(room: LiveRoom, error: OriginError | None) -> None:
    code = "playlist_syntax" if error is None else error.code
    detail = "what came is no playlist" if error is None else str(error)
    if room.playlist_trouble != code:
        _log.warning("playlist_trouble", room=room.room, code=code, detail=detail)
    room.note_playlist_failure(code, detail)


@dataclass(slots=True)
class _Ticks:
    """Lets the room look at its own clock about once a second, whatever is waited for: broadcasts also close by silence."""

    room: LiveRoom
    last_us: int

    async def sleep_until(self, wake_us: int) -> None:
        """Wait for the time to come."""
        await self._tick_if_due()
        while (left_us := wake_us - self.room.clock.wall_us()) > 0:
            await asyncio.sleep(min(left_us, _TICK_US) / SECOND_US)
            await self._tick_if_due()

    async def during(self, load: Coroutine[Any, Any, Loaded]) -> Loaded:
        """Wait for an answer, which a low-latency origin may hold for long."""
        loading = asyncio.ensure_future(load)
        try:
            while not (await asyncio.wait({loading}, timeout=_TICK_US / SECOND_US))[0]:
                await self._tick_if_due()
            return await loading
        finally:
            if not loading.done():
                loading.cancel()
                await asyncio.wait({loading})

    async def _tick_if_due(self) -> None:
        if self.room.clock.wall_us() - self.last_us < _TICK_US // 2:
            return
        self.last_us = self.room.clock.wall_us()
        try:
            await self.room.receive_tick()
        except ChatsyncError as error:
            _log.error("tick_not_recorded", room=self.room.room, code=error.code)
        except Exception:
            _log.exception("tick_failed", room=self.room.room)


async def tick(live: LiveRoom) -> None:
    """A room without a stream turns its broadcast at midnight UTC."""
    while True:
        await asyncio.sleep(1)
        try:
            await live.receive_tick()
        except ChatsyncError as error:
            _log.warning("tick_not_recorded", room=live.room, code=error.code)
        except Exception:
            _log.exception("tick_failed", room=live.room)
