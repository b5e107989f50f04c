"""Recordings over HTTP: each source, what is refused, and the chat at a position."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest

from chatsync.instants import SECOND_US
from chatsync.simulation import Scenario, playlist_at
from tests.origin import Answer, Origin
from tests.stage import START_US, URL, Stage, stage

LECTURE = Scenario(START_US)
START_MS = START_US // 1000
BASE = "/v1/rooms/class/recordings"


async def put(it: Stage, name: str, body: Any, role: Any = "host") -> httpx2.Response:
    """PUT a recording."""
    headers = {"Authorization": f"Bearer {it.token('class', 'teacher', role)}"}
    return await it.http.put(f"{BASE}/{name}", json=body, headers=headers)


async def made(it: Stage, name: str, body: Any) -> Any:
    """A recording that must be made."""
    answer = await put(it, name, body)
    assert 200 == answer.status_code, answer.text
    assert answer.json() == (await it.get(f"{BASE}/{name}")).json()
    return answer.json()


def span(position_s: int, duration_s: int, program_s: int, broadcast: int = 1) -> dict[str, int]:
    """A span of a body, seconds; program time from the start of the lecture."""
    return {
        "position_ms": position_s * 1000,
        "duration_ms": duration_s * 1000,
        "broadcast": broadcast,
        "program_ms": START_MS + program_s * 1000,
    }


async def test_a_broadcast_and_a_start_make_a_recording(tmp_path: Path) -> None:
    """To the broadcast's end, or as long as is said; the room knows the media, so the score is as good as it gets."""
    async with stage(tmp_path) as it:
        await it.stream(LECTURE, 60)
        whole = await made(it, "whole", {"broadcast": 1, "start_program_ms": START_MS})
        (one,) = whole["spans"]
        assert span(0, 60, 0) | {"method": "offset", "score": 0.5} == one
        part = await made(it, "part", {"broadcast": 1, "start_program_ms": START_MS + 10_000, "duration_ms": 20_000})
        assert (20_000, START_MS + 10_000) == (part["duration_ms"], part["spans"][0]["program_ms"])


async def test_spans_are_taken_as_they_are_given(tmp_path: Path) -> None:
    """What GET gives may be PUT again under another name."""
    async with stage(tmp_path) as it:
        await it.stream(LECTURE, 60)
        first = await made(it, "first", {"spans": [span(0, 10, 0), span(20, 10, 30)], "duration_ms": 40_000})
        assert 40_000 == first["duration_ms"]
        assert first == await made(it, "second", first)


async def test_a_clip_of_a_recording_is_a_recording(tmp_path: Path) -> None:
    """Alone, in a list, and of a clip; each keeps how it was found."""
    async with stage(tmp_path) as it:
        await it.stream(LECTURE, 60)
        await made(it, "all", {"spans": [span(0, 10, 0), span(20, 10, 30)]})
        clip = await made(it, "clip", {"recording": "all", "position_ms": 5_000, "duration_ms": 20_000})
        assert [(0, 5_000, 5_000), (15_000, 5_000, 30_000)] == [
            (one["position_ms"], one["duration_ms"], one["program_ms"] - START_MS) for one in clip["spans"]
        ]
        clips = [{"recording": "clip", "position_ms": 15_000}, {"recording": "all", "duration_ms": 3_000}]
        both = await made(it, "both", {"clips": clips})
        assert [(0, 5_000, 30_000), (5_000, 3_000, 0)] == [
            (one["position_ms"], one["duration_ms"], one["program_ms"] - START_MS) for one in both["spans"]
        ]


async def test_segments_of_an_earlier_recording_are_known(tmp_path: Path) -> None:
    """A re-packaged recording has dates; a clip of its segments has none and is placed by their names."""
    async with stage(tmp_path) as it:
        await it.stream(LECTURE, 60)
        vod = playlist_at(Scenario(START_US, ends_after=10, name="vod"), it.now_us)
        await made(it, "vod", {"playlist": vod})
        lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:2"]
        for number in (4, 5, 6):
            lines += ["#EXTINF:2.0,", f"vod{number}.ts"]
        clip = await made(it, "clip", {"playlist": "\n".join([*lines, "#EXT-X-ENDLIST"])})
        assert [("segment_uri", START_MS + 8_000, 6_000)] == [
            (one["method"], one["program_ms"], one["duration_ms"]) for one in clip["spans"]
        ]
        assert {"duration_ms", "spans"} == set((await it.get(f"{BASE}/vod")).json())


async def test_a_multivariant_playlist_leads_to_its_cheapest_variant(tmp_path: Path) -> None:
    """By URL; a URL that gives nothing is the origin's failure."""
    origin = Origin(Answer)
    with origin:
        async with stage(tmp_path, loopback_origins=(origin.host,)) as it:
            await it.stream(LECTURE, 60)
            low = playlist_at(Scenario(START_US, ends_after=10), it.now_us)
            origin.variants(low=lambda: Answer(low.encode()), high=lambda: Answer(status=500))
            record = await made(it, "vod", {"playlist_url": origin.url})
            assert [(20_000, START_MS)] == [(one["duration_ms"], one["program_ms"]) for one in record["spans"]]
            origin.missing()
            assert 502 == (await put(it, "other", {"playlist_url": origin.url})).status_code


async def test_every_broadcast_there_ever_was_is_known(tmp_path: Path) -> None:
    """Five airings, the first long out of memory: by its dates, and by its names."""
    async with stage(tmp_path) as it:
        begun_us = []
        for number in range(5):
            begun_us.append(it.now_us)
            airing = Scenario(it.now_us, ends_after=10, first_media_sequence=number * 1_000)
            await it.stream(airing, 30)
            it.advance(600)
        await it.settled()
        assert 5 == it.room().broadcasts.current.number
        assert 1 not in [one.number for one in it.room().broadcasts.kept]
        first = playlist_at(Scenario(begun_us[0], ends_after=10), it.now_us)
        undated = playlist_at(Scenario(begun_us[0], ends_after=10, dated=False), it.now_us)
        for text, method in ((first, "program_date_time"), (undated, "segment_uri")):
            (one,) = (await made(it, method, {"playlist": text}))["spans"]
            assert (1, begun_us[0] // 1000, 20_000, method) == (
                one["broadcast"],
                one["program_ms"],
                one["duration_ms"],
                one["method"],
            )


async def test_a_private_rooms_recordings_are_in_no_cache(tmp_path: Path) -> None:
    """List, map and the chat at a position."""
    async with stage(tmp_path, {"class": {"playlist_url": URL}}) as it:
        await it.stream(LECTURE, 20)
        assert 200 == (await put(it, "a", {"broadcast": 1, "start_program_ms": START_MS})).status_code
        token = it.token("class", "student")
        for path in (BASE, f"{BASE}/a", "/v1/rooms/class/at?recording=a&position_ms=0"):
            assert "private, no-store" == (await it.get(path, token)).headers["cache-control"]
            assert 404 == (await it.get(path)).status_code


async def test_recordings_are_listed_and_forgotten(tmp_path: Path) -> None:
    """By hosts only; then it is not there."""
    async with stage(tmp_path) as it:
        await it.stream(LECTURE, 20)
        await made(it, "a", {"broadcast": 1, "start_program_ms": START_MS})
        assert {"recordings": [{"recording": "a", "duration_ms": 20_000}]} == (await it.get(BASE)).json()
        for role, status in (("participant", 403), ("host", 200), ("host", 404)):
            headers = {"Authorization": f"Bearer {it.token('class', 'x', role)}"}  # type: ignore[arg-type]
            assert status == (await it.http.delete(f"{BASE}/a", headers=headers)).status_code
        assert 404 == (await it.get(f"{BASE}/a")).status_code
        assert {"recordings": []} == (await it.get(BASE)).json()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, "needs_one_source"),
        ({"playlist": "#EXTM3U", "broadcast": 1, "start_program_ms": START_MS}, "needs_one_source"),
        ({"broadcast": 1}, "needs_one_source"),
        ({"start_program_ms": START_MS}, "needs_one_source"),
        ({"broadcast": 9, "start_program_ms": START_MS}, "unknown_broadcast"),
        ({"broadcast": 1, "start_program_ms": START_MS + 900_000}, "outside_broadcast"),
        ({"broadcast": 1, "start_program_ms": START_MS - 900_000, "duration_ms": 1_000}, "outside_broadcast"),
        ({"spans": []}, "bad_spans"),
        ({"spans": [span(0, 10, 0), span(9, 10, 20)]}, "bad_spans"),
        ({"spans": [span(20, 10, 0), span(0, 10, 20)]}, "bad_spans"),
        ({"spans": [span(0, 10, 0)], "duration_ms": 9_999}, "bad_spans"),
        ({"spans": [span(0, 10, 0, broadcast=7)]}, "unknown_broadcast"),
        ({"recording": "none"}, "unknown_recording"),
        ({"recording": "ten", "position_ms": 10_000}, "outside_recording"),
        ({"recording": "ten", "position_ms": 5_000, "duration_ms": 5_001}, "outside_recording"),
        ({"playlist": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8"}, "multivariant_playlist"),
        ({"playlist": "#EXTM3U\n#EXTINF:2,\nstrange.ts"}, "not_aligned"),
    ],
)
async def test_what_is_no_recording_is_refused_with_the_reason(tmp_path: Path, body: Any, reason: str) -> None:
    """422, and nothing is stored."""
    async with stage(tmp_path) as it:
        await it.stream(LECTURE, 40)
        await made(it, "ten", {"spans": [span(0, 10, 0)]})
        answer = await put(it, "bad", body)
        assert (422, reason) == (answer.status_code, answer.json().get("reason")), answer.text
        assert 404 == (await it.get(f"{BASE}/bad")).status_code


@pytest.mark.parametrize(
    "body",
    [
        {"spans": [span(0, 10, 0) | {"position_ms": -1}]},
        {"spans": [span(0, 10, 0) | {"duration_ms": 0}]},
        {"spans": [span(0, 10, 0) | {"program_ms": 10**18}]},
        {"spans": [span(0, 10, 0) | {"position_ms": 1.5}]},
        {"spans": [span(0, 10, 0) | {"score": 2}]},
        {"spans": [span(0, 10, 0) | {"method": "magic"}]},
        {"spans": [{}]},
        {"clips": []},
        {"clips": [{"recording": "ten"}] * 1_001},
        {"broadcast": 1, "start_program_ms": START_MS, "duration_ms": -1},
        {"broadcast": True, "start_program_ms": START_MS},
    ],
)
async def test_values_nobody_can_mean_are_refused(tmp_path: Path, body: Any) -> None:
    """Negative, huge, empty, fractions: 422 with where it is."""
    async with stage(tmp_path) as it:
        await it.stream(LECTURE, 20)
        answer = await put(it, "bad", body)
        assert (422, "invalid_request") == (answer.status_code, answer.json()["code"]), answer.text


# --- the chat at a position --------------------------------------------------------------------------------------------


async def said(it: Stage, *seconds: int) -> None:
    """Somebody says something at these program times, with the second as text."""
    for second in seconds:
        await it.said_at(START_US + second * SECOND_US, f"{second}")


async def at(it: Stage, position_s: float, name: str = "cut", **query: Any) -> Any:
    """The chat at a position: texts with their positions in s, before and after, and the place."""
    asked = "".join(f"&{key}={value}" for key, value in query.items())
    answer = await it.get(f"/v1/rooms/class/at?recording={name}&position_ms={round(position_s * 1000)}{asked}")
    assert 200 == answer.status_code, answer.text
    body = answer.json()
    before, after = (
        [(event["text"], event["position_ms"] / 1000) for event in body[key] if "text" in event]
        for key in ("before", "after")
    )
    place = body["place"] and (body["place"]["program_ms"] - START_MS) / 1000
    return before, after, place


async def test_a_position_in_an_insert_freezes_the_chat(tmp_path: Path) -> None:
    """What was before the insert stays as it is all through it; what follows is told with its position."""
    async with stage(tmp_path) as it:
        await it.stream(LECTURE, 60)
        await said(it, 15, 25, 35)
        await made(it, "cut", {"spans": [span(0, 10, 10), span(40, 20, 20)]})
        assert ([("15", 5)], [], 19) == await at(it, 9, ahead_ms=1_000)
        for position_s in (10, 25, 39.9):
            assert ([("15", 5)], [("25", 45), ("35", 55)], None) == await at(it, position_s, ahead_ms=60_000)
        assert ([("15", 5)], [], None) == await at(it, 11, ahead_ms=20_000)
        assert ([("15", 5), ("25", 45)], [("35", 55)], 26) == await at(it, 46)
        assert ([("25", 45), ("35", 55)], [], None) == await at(it, 70, last=2)


async def test_what_was_said_in_a_cut_is_left_out_or_collapsed(tmp_path: Path) -> None:
    """Collapsed, it stands where program time goes on; the head is context before 0, the tail is not shown."""
    async with stage(tmp_path) as it:
        await it.stream(LECTURE, 60)
        await said(it, 5, 15, 25, 28, 35, 55)
        await made(it, "cut", {"spans": [span(0, 10, 10), span(10, 10, 30)]})
        assert ([("5", -5)], [("15", 5), ("35", 15)], 10) == await at(it, 0)
        assert ([("5", -5), ("15", 5)], [("35", 15)], 30) == await at(it, 10)
        assert ([("5", -5)], [("15", 5), ("25", 10), ("28", 10), ("35", 15)], 10) == await at(it, 0, cuts="collapse")
        collapsed = [("5", -5), ("15", 5), ("25", 10), ("28", 10)]
        assert (collapsed, [("35", 15)], 31) == await at(it, 11, cuts="collapse")
        assert ([("35", 15)], [], None) == await at(it, 30, last=1, cuts="collapse")


async def test_re_ordered_clips_show_their_own_chat(tmp_path: Path) -> None:
    """In the order of the recording, not of the broadcast."""
    async with stage(tmp_path) as it:
        await it.stream(LECTURE, 60)
        await said(it, 12, 32)
        await made(it, "cut", {"spans": [span(0, 10, 30), span(10, 10, 10)]})
        assert ([("32", 2)], [("12", 12)], 11) == await at(it, 11)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 422),
        ("recording=cut", 422),
        ("position_ms=0", 422),
        ("recording=cut&position_ms=0&program_ms=0", 422),
        ("recording=cut&position_ms=0&broadcast=1", 422),
        ("recording=cut&position_ms=0&cuts=maybe", 422),
        ("recording=none&position_ms=0", 404),
        ("recording=cut&position_ms=-99999999999", 200),
        ("recording=cut&position_ms=99999999999999", 200),
    ],
)
async def test_odd_positions(tmp_path: Path, query: str, status: int) -> None:
    """Half an address is refused; a position beyond the recording is an insert at its end."""
    async with stage(tmp_path) as it:
        await it.stream(LECTURE, 60)
        await made(it, "cut", {"spans": [span(0, 10, 10)]})
        assert status == (await it.get(f"/v1/rooms/class/at?{query}")).status_code
