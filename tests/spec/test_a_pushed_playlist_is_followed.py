"""An encoder whose origin cannot be reached pushes its playlist, and chat is stamped as if it had been loaded (contract §4)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chatsync.instants import SECOND_US
from chatsync.simulation import Scenario, playlist_at
from tests.stage import START_US, Stage, stage

LECTURE = Scenario(START_US, window_segments=5)
PUSHED = {"class": {"public": True, "playlist_push": True}}
PLAYLIST_TYPE = "application/vnd.apple.mpegurl"


async def _push(it: Stage, text: str | bytes, *, token: str | None = None) -> Any:
    given = it.token("class", "encoder", None, ("ingest",)) if token is None else token
    headers = {"Authorization": f"Bearer {given}", "Content-Type": PLAYLIST_TYPE}
    return await it.http.post("/v1/rooms/class/timeline", content=text, headers=headers)


async def _stream(it: Stage, seconds: int, scenario: Scenario = LECTURE) -> list[str]:
    """Push every two seconds; what the pushes were."""
    kinds = []
    for _ in range(seconds // 2):
        it.advance(2)
        kinds.append((await _push(it, playlist_at(scenario, it.now_us))).json()["kind"])
    return kinds


async def test_chat_is_stamped_by_a_pushed_playlist(tmp_path: Path) -> None:
    """Pushes advance the program clock; a message is estimated by it, and a playhead is believed."""
    async with stage(tmp_path, PUSHED) as it:
        assert "none" == (await it.say("before the stream"))["stamp"].stamp
        assert ["first", *["advance"] * 9] == await _stream(it, 20)
        answer = (await _push(it, playlist_at(LECTURE, it.now_us))).json()
        assert ("same", 9, (START_US + 20 * SECOND_US) // 1000) == (
            answer["kind"],
            answer["media_sequence"],
            answer["live_edge_ms"],
        )
        said = await it.say("estimated")
        assert ("estimate", it.now_us - 6 * SECOND_US) == (said["stamp"].stamp, said["program_us"])
        await it.said_at(START_US + 15 * SECOND_US, "seen")


async def test_a_push_that_stops_is_a_stall_and_an_end_is_a_recording(tmp_path: Path) -> None:
    """No push for two target durations raises the alarm; ENDLIST closes the broadcast and keeps its recording."""
    async with stage(tmp_path, PUSHED) as it:
        ended = Scenario(START_US, ends_after=10)
        await _stream(it, 16, ended)
        it.advance(6)
        await it.room().receive_tick()
        assert "no_new_media" == (await it.get("/v1/rooms/class")).json()["sync"]["cause"]
        assert "advance" == (await _push(it, playlist_at(ended, it.now_us))).json()["kind"]
        assert it.room().broadcasts.current.is_closed
        recording = (await it.get("/v1/rooms/class/recordings/broadcast-1")).json()
        assert 20_000 == recording["duration_ms"]


async def test_an_older_push_changes_nothing_and_a_restart_is_a_new_run(tmp_path: Path) -> None:
    """Pushes may overtake each other; an encoder that starts anew is judged as any other."""
    async with stage(tmp_path, PUSHED) as it:
        await _stream(it, 20)
        old = playlist_at(LECTURE, it.now_us - 4 * SECOND_US)
        assert "stale" == (await _push(it, old)).json()["kind"]
        again = Scenario(it.now_us + 2 * SECOND_US, name="again")
        it.advance(6)
        assert {"kind": "restart", "run": 2} == {
            name: value
            for name, value in (await _push(it, playlist_at(again, it.now_us))).json().items()
            if name in {"kind", "run"}
        }


async def test_what_cannot_be_used_is_refused_with_its_reason(tmp_path: Path) -> None:
    """No playlist, a multivariant one, a delta of nothing known, bytes; a token without the scope, a room that follows itself."""
    rooms = PUSHED | {"other": {"public": True}}
    async with stage(tmp_path, rooms) as it:
        multivariant = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8\n"
        delta = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n#EXTINF:2,\na.ts\n"
        answers = [await _push(it, text) for text in ("<html>", b"\xff\xfe", multivariant, delta)]
        assert [(502, "playlist_syntax"), (502, "playlist_syntax")] == [
            (one.status_code, one.json()["code"]) for one in answers[:2]
        ]
        assert ["multivariant_playlist", "needs_whole_playlist"] == [one.json()["reason"] for one in answers[2:]]
        assert "playlist_syntax" == (await it.get("/v1/rooms/class")).json()["sync"]["cause"]
        assert 403 == (await _push(it, "#EXTM3U\n", token=it.token("class", "t", "host"))).status_code
        headers = {"Authorization": f"Bearer {it.token('other', 'encoder', None, ('ingest',))}"}
        refused = await it.http.post("/v1/rooms/other/timeline", content=b"#EXTM3U\n", headers=headers)
        assert "not_pushed" == refused.json()["reason"]


async def test_a_restart_of_the_relay_goes_on_with_the_pushes(tmp_path: Path) -> None:
    """Same run, same broadcast."""
    async with stage(tmp_path, PUSHED) as it:
        await _stream(it, 20)
        clock = it.clock
    async with stage(tmp_path, PUSHED, clock=clock) as it:
        assert ["advance", "advance"] == await _stream(it, 4)
        assert (1, 1) == (it.room().broadcasts.current.number, len(it.room().timeline.runs))
