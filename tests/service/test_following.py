"""The playlist is loaded when it is due, and what a reload says of the media is told in pieces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from chatsync.errors import StorageFullError
from chatsync.hls import follower
from chatsync.hls.follower import Follower
from chatsync.hls.playlist import MediaPlaylist, parse_playlist
from chatsync.hls.timeline import Reload, Timeline
from chatsync.instants import SECOND_US
from chatsync.replay.broadcasts import Media
from chatsync.service import following
from chatsync.service.app import create_app
from chatsync.service.clock import SteadyClock
from chatsync.service.following import media_of
from chatsync.service.live_room import LiveRoom
from chatsync.service.room_settings import RoomSettings
from chatsync.service.settings import Settings
from chatsync.simulation import Scenario, playlist_at
from tests.origin import Answer, Origin, origin_of, stream_of_now
from tests.relay import SECRET
from tests.stage import START_US, stage

URL = "http://origin.example/live.m3u8"
HOLD_BACK_US = 6 * SECOND_US


def _media(*texts: str) -> list[Media]:
    """What the last of these answers says of the media."""
    follower = Follower(URL, now_us=START_US)
    found: list[Media] = []
    for index, text in enumerate(texts):
        before = follower.timeline
        reload = follower.receive_playlist(text, url=URL, age_us=0, now_us=START_US + index * 2 * SECOND_US)
        found = [media for media, _ in media_of(before, follower.timeline, reload, hold_back_us=HOLD_BACK_US)]
    return found


def test_a_first_answer_is_all_news() -> None:
    """Everything listed is new; the edge is the end of the last segment."""
    (media,) = _media(playlist_at(Scenario(START_US), START_US + 20 * SECOND_US))
    assert media.has_new
    assert (START_US, 0) == (media.first_new_us, media.first_new_media_sequence)
    assert (START_US + 20 * SECOND_US, 9) == (media.edge_us, media.media_sequence)


def test_an_unchanged_answer_is_no_news() -> None:
    """The same text again: the edge stays and nothing is new."""
    text = playlist_at(Scenario(START_US), START_US + 20 * SECOND_US)
    (media,) = _media(text, text)
    assert (False, None, START_US + 20 * SECOND_US) == (media.has_new, media.first_new_us, media.edge_us)


def test_only_what_lies_beyond_the_edge_is_news() -> None:
    """A window that grew back to the start of the stream tells nothing new but the newest segment."""
    short = playlist_at(Scenario(START_US, window_segments=3), START_US + 20 * SECOND_US)
    long = playlist_at(Scenario(START_US, window_segments=30), START_US + 22 * SECOND_US)
    (media,) = _media(short, long)
    assert (START_US + 20 * SECOND_US, 10) == (media.first_new_us, media.first_new_media_sequence)


def test_a_fall_back_within_one_answer_makes_two_pieces() -> None:
    """Dates that step back in the middle of an answer: one piece up to there, one from there."""
    scenario = Scenario(START_US, stalls=((5, -60 * SECOND_US),))
    pieces = _media(playlist_at(scenario, START_US + 90 * SECOND_US))
    assert [0, 5] == [media.first_new_media_sequence for media in pieces]
    assert START_US + 10 * SECOND_US == pieces[0].edge_us
    assert START_US - 50 * SECOND_US == pieces[1].first_new_us


def test_an_end_belongs_to_the_last_piece() -> None:
    """ENDLIST after a fall-back ends the second piece only."""
    scenario = Scenario(START_US, stalls=((5, -60 * SECOND_US),), ends_after=10)
    assert [False, True] == [m.ended for m in _media(playlist_at(scenario, START_US + 200 * SECOND_US))]


def test_parts_that_come_with_a_delta_are_news() -> None:
    """A delta without a new segment still moves the edge, and with it the clock."""
    scenario = Scenario(START_US, part_us=SECOND_US // 2)
    first = playlist_at(scenario, START_US + 60 * SECOND_US)
    (media,) = _media(first, playlist_at(scenario, START_US + 61 * SECOND_US, skip=True))
    assert (True, None, START_US + 61 * SECOND_US) == (media.has_new, media.first_new_us, media.edge_us)


def test_another_variant_tells_only_what_lies_beyond_the_edge() -> None:
    """All of its list is unknown by number; by date most of it has been seen: no fall-back, no second broadcast."""
    timeline = Timeline.empty()
    before = timeline
    for index, seconds in enumerate((60, 64)):
        playlist = parse_playlist(playlist_at(Scenario(START_US), START_US + seconds * SECOND_US))
        assert isinstance(playlist, MediaPlaylist)
        before = timeline
        timeline, reload = timeline.extended(playlist, wall_us=START_US, url=URL, other_variant=index == 1)
    (media, _), *more = media_of(before, timeline, reload, hold_back_us=HOLD_BACK_US)
    assert [] == more
    assert (2, True, True) == (media.run, media.other_variant, media.has_new)
    assert (START_US + 60 * SECOND_US, START_US + 64 * SECOND_US) == (media.first_new_us, media.edge_us)


@asynccontextmanager
async def _followed(folder: Path, origin: Origin, path: str = "") -> AsyncIterator[LiveRoom]:
    """A relay on the system's clock that follows an origin by itself."""
    settings = Settings(
        data_folder=folder / "data",
        token_secret=SECRET,  # type: ignore[arg-type]
        loopback_origins=(origin.host,),
        rooms={"class": RoomSettings(public=True, playlist_url=origin.url + path)},
    )
    app = create_app(settings, clock=SteadyClock())
    async with app.router.lifespan_context(app):
        yield app.state.hub.room("class").live


async def _until(condition: object) -> None:
    assert callable(condition)
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - an origin's thread answers in its own time
            await asyncio.sleep(0.02)


async def test_a_stream_is_followed_as_it_grows(tmp_path: Path) -> None:
    """The timeline grows with the origin's, at about one load a segment."""
    with origin_of(stream_of_now(segment_s=0.5)) as origin:
        async with _followed(tmp_path, origin) as live:
            await _until(lambda: live.timeline.live_edge is not None)
            asked, edge = origin.asked, live.timeline.live_edge
            assert edge is not None
            await _until(lambda: live.timeline.live_edge.media_sequence >= edge.media_sequence + 3)  # type: ignore[union-attr]
            assert origin.asked - asked <= 8


async def test_a_long_playlist_is_read_while_other_work_goes_on(tmp_path: Path) -> None:
    """Reading it whole does not keep the event loop: it runs in another thread, and all of it is known in the end."""
    count = 20_000
    text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n" + "".join(f"#EXTINF:2.000,\nsegment-{n}.ts\n" for n in range(count))
    assert len(text) > following.LONG_CHARACTERS
    with origin_of(stream_of_now()) as origin:
        origin.answer = lambda: Answer(text.encode())
        async with _followed(tmp_path, origin) as live:
            await _until(lambda: live.timeline.live_edge is not None)
            assert count == len(live.timeline.segments(1))


async def test_the_age_of_a_cached_answer_is_taken_off_the_lag(tmp_path: Path) -> None:
    """A copy that lay in a cache for four seconds does not make the program clock four seconds late."""
    scenario = stream_of_now(segment_s=1)
    with origin_of(scenario) as origin:
        origin.stream(scenario, age_s=4)
        async with _followed(tmp_path, origin) as live:
            await _until(lambda: live.broadcasts.current.clock.has_program_time)
            assert live.broadcasts.current.clock.lag_us < -2 * SECOND_US


async def test_a_stream_that_has_ended_leaves_its_recording(tmp_path: Path) -> None:
    """ENDLIST: the broadcast closes and its recording's map is kept."""
    with origin_of(stream_of_now(segment_s=1, ends_after=22)) as origin:
        async with _followed(tmp_path, origin) as live:
            await _until(lambda: live.catalog.recording("class", "broadcast-1") is not None)
            record = live.catalog.recording("class", "broadcast-1")
            assert record is not None
            assert 22_000 == record["duration_ms"]
            assert "ended" == live.broadcasts.current.closed_reason


async def test_a_recording_that_could_not_be_kept_is_kept_at_the_next_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full when the stream ends: the playlist is looked at again, and its map is kept then."""
    refused: list[bool] = []
    keep = following.keep_recording

    async def refused_once(live: LiveRoom, text: str) -> None:
        if not refused:
            refused.append(True)
            raise StorageFullError
        await keep(live, text)

    monkeypatch.setattr(following, "keep_recording", refused_once)
    monkeypatch.setattr(follower, "ENDED_POLL_US", SECOND_US // 5)
    with origin_of(stream_of_now(segment_s=1, ends_after=22)) as origin:
        async with _followed(tmp_path, origin) as live:
            await _until(lambda: live.catalog.recording("class", "broadcast-1") is not None)
    assert refused


async def test_trouble_is_told_once_and_forgotten_when_it_is_over(tmp_path: Path) -> None:
    """While the origin gives no playlist the room says why; afterwards nothing."""
    scenario = stream_of_now(segment_s=0.5)
    with origin_of(scenario) as origin:
        async with _followed(tmp_path, origin) as live:
            origin.missing()
            await _until(lambda: live.playlist_trouble == "playlist_unavailable")
            origin.html()
            await _until(lambda: live.playlist_trouble == "playlist_syntax")
            origin.stream(scenario)
            await _until(lambda: live.playlist_trouble is None)


async def test_a_restarted_relay_takes_the_stream_up_where_it_was(tmp_path: Path) -> None:
    """The timeline comes back from the catalog: no second run, no second broadcast, the clock at once."""
    scenario = Scenario(START_US)
    async with stage(tmp_path) as it:
        await it.stream(scenario, 60)
        edge, clock = it.room().timeline.live_edge, it.clock
    async with stage(tmp_path, clock=clock) as it:
        assert edge == it.room().timeline.live_edge
        assert it.room().clock_ms() is not None
        await it.stream(scenario, 20)
        assert (1, 1) == (len(it.room().timeline.runs), it.room().broadcasts.current.number)


async def test_a_fault_of_ours_does_not_end_the_following(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no reload should ever raise is logged; the next reload is taken in as if nothing had been."""
    raised: list[bool] = []
    extended = LiveRoom.receive_reload

    async def once(live: LiveRoom, timeline: Timeline, reload: Reload, *, age_us: int) -> None:
        if not raised:
            raised.append(True)
            raise KeyError("a fault")
        await extended(live, timeline, reload, age_us=age_us)

    monkeypatch.setattr(LiveRoom, "receive_reload", once)
    with origin_of(stream_of_now(segment_s=0.5)) as origin:
        async with _followed(tmp_path, origin) as live:
            await _until(lambda: live.broadcasts.current.clock.has_program_time)
    assert raised
