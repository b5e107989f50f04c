"""The lecture's people: what is on their screens, and that a relay that goes away costs them no message."""

from __future__ import annotations

import asyncio
import time
import uuid
from pathlib import Path
from typing import Any

import httpx2
import pytest

from chatsync.demo.check import replayed_events
from chatsync.demo.lecture import Ledger, Screen, run_lecture
from chatsync.hls.playlist import MediaPlaylist, parse_playlist
from chatsync.instants import SECOND_US
from chatsync.simulation import SPEAKERS, Scenario, playlist_at
from tests.origin import Answer, Origin
from tests.relay import Relay, token

START_US = 1_764_000_000 * SECOND_US
ROOM = "lecture"


def _playlist(elapsed_s: float, **fields: Any) -> MediaPlaylist:
    scenario = Scenario(START_US, **fields)
    playlist = parse_playlist(playlist_at(scenario, START_US + round(elapsed_s * SECOND_US)))
    assert isinstance(playlist, MediaPlaylist)
    return playlist


def _shown(screen: Screen, now_s: float) -> float | None:
    """Seconds of the stream that are on screen."""
    place = screen.place(round(now_s * SECOND_US))
    if place is None:
        return None
    segment, into_us = place
    assert segment.program_us is not None
    return (segment.program_us + into_us - START_US) / SECOND_US


def test_a_screen_is_dark_until_there_is_media() -> None:
    """Nothing is shown before the first playlist with a segment."""
    screen = Screen(4 * SECOND_US)
    assert _shown(screen, 0) is None
    screen.receive_playlist(_playlist(0), 0)
    assert _shown(screen, 1) is None


def test_playback_begins_its_latency_behind_the_edge_and_goes_on_at_1x() -> None:
    """A viewer 5 s behind sees second 15 of 20, and 7 s later second 22, across segment borders."""
    screen = Screen(5 * SECOND_US)
    screen.receive_playlist(_playlist(20), 100 * SECOND_US)
    assert 15 == _shown(screen, 100)
    screen.receive_playlist(_playlist(26), 106 * SECOND_US)
    assert 22 == _shown(screen, 107)


def test_playback_begins_at_the_start_of_a_short_stream() -> None:
    """Who would watch from before the first segment begins with the first segment."""
    screen = Screen(25 * SECOND_US)
    screen.receive_playlist(_playlist(6), 0)
    assert 0 == _shown(screen, 0)


def test_a_screen_without_more_media_stands_still_and_goes_on_from_there() -> None:
    """At the end of what was loaded the picture freezes; new media is played from there, not skipped."""
    screen = Screen(2 * SECOND_US)
    screen.receive_playlist(_playlist(10), 0)
    assert 10 == pytest.approx(_shown(screen, 5), abs=0.001)
    assert 10 == pytest.approx(_shown(screen, 8), abs=0.001)
    screen.receive_playlist(_playlist(14), 8 * SECOND_US)
    assert 11 == pytest.approx(_shown(screen, 9), abs=0.001)


@pytest.mark.faults
async def test_a_relay_that_is_killed_during_the_lecture_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Everybody reconnects and says again what was not answered, with the same ids: each is replayed exactly once."""
    with Origin(Answer) as origin:
        origin.stream(Scenario(time.time_ns() // 1000 - 60 * SECOND_US))
        rooms = {ROOM: {"public": True, "playlist_url": origin.url}}
        with Relay(tmp_path, rooms, loopback_origins=[origin.host]) as relay:
            ledger, until = Ledger(), asyncio.Event()
            people = enumerate(SPEAKERS)
            talking = asyncio.create_task(
                run_lecture(
                    socket_url=relay.url.replace("http", "ws") + f"/v1/rooms/{ROOM}/live",
                    playlist_url=origin.url,
                    tokens={index: token(ROOM, f"p{index}", speaker.role) for index, speaker in people},  # type: ignore[arg-type]
                    ledger=ledger,
                    wall_us=lambda: time.time_ns() // 1000,
                    new_id=lambda: str(uuid.uuid4()),
                    seed=3,
                    until=until,
                )
            )
            await asyncio.sleep(8)
            await asyncio.to_thread(relay.kill)
            said_before = len(ledger.said)
            await asyncio.to_thread(relay.start)
            await asyncio.sleep(8)
            until.set()
            await asyncio.wait_for(talking, 30)
            async with httpx2.AsyncClient(base_url=relay.url, timeout=10) as http:
                newest = max(said.ack["offset"] for said in ledger.said if said.ack is not None)
                replayed = [event["id"] for event in await replayed_events(http, ROOM, through=newest)]
    ids = {said.id for said in ledger.said}
    assert 0 < said_before < len(ledger.said)
    assert [] == [said for said in ledger.said if said.ack is None]
    assert sorted(ids) == sorted(id_ for id_ in replayed if id_ in ids)
    assert {"origin", "playhead"} <= {said.ack["stamp"] for said in ledger.said if said.ack is not None}
