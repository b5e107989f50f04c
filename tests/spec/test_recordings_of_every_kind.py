"""Recordings of every kind, made with ffmpeg from one real stream: the chat's place is right by the clock in the picture.

A camera with a burned clock is streamed for some seconds, then packaged again with key frames at uneven distances: that is the
stream the room follows, its dates those of the first stream. A second, shorter one comes later in the same room. From their
segments each recording is cut as an editor, a packager or an ad server would. At each frame the program time that the recording's
spans give is compared with the clock in that frame. Run with ``-s`` to see the errors.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import quantiles
from typing import Any

import pytest

from chatsync.errors import SettingsError
from chatsync.hls.playlist import MediaPlaylist, parse_playlist
from chatsync.hls.spans import place_of
from chatsync.instants import HOUR_US, SECOND_US, iso_from_us
from chatsync.media import LiveStream, resolve_ffmpeg, segment_clock, unwrapped_us
from chatsync.service.clock import ManualClock
from chatsync.service.recordings import spans_from_wire
from tests.stage import Stage, stage

pytestmark = pytest.mark.timeout(180)

CAMERA_S = 22
SECOND_CAMERA_S = 7
KEY_FRAMES_S = "0,0.7,2,3.1,4.9,5.6,7.2,8,9.7,10.6,12,12.5,14.1,15.2,16.9,17.6,19.1,20,21.7,22.4,24"
ERROR_US_MAX = 150_000  # one frame, and the distance of dates and burned clock in a loaded machine (chatsync.media)


@dataclass(frozen=True)
class Piece:
    """A segment on disk, and how a playlist lists it."""

    file: Path
    uri: str
    duration: str
    program_us: int | None
    discontinuity: bool = False


def _ffmpeg(*arguments: str) -> None:
    subprocess.run([resolve_ffmpeg(), "-nostdin", "-loglevel", "error", "-y", *arguments], check=True, timeout=120)


def _parsed(path: Path) -> MediaPlaylist:
    playlist = parse_playlist(path.read_text())
    assert isinstance(playlist, MediaPlaylist)
    return playlist


def _pieces(path: Path, start_us: int | None = None) -> list[Piece]:
    """The segments of a playlist; from ``start_us`` their dates are sums of durations."""
    made, program_us = [], start_us
    for one in _parsed(path).segments:
        date_us = one.program_us if start_us is None else program_us
        uri = one.uri or ""
        made.append(Piece(path.parent / uri, uri, f"{one.duration_ns / 1e9:.6f}", date_us))
        program_us = None if program_us is None else program_us + one.duration_us
    return made


def text_of(pieces: Sequence[Piece], *, ended: bool = True, first: int = 0) -> str:
    """A playlist of segments."""
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:6", f"#EXT-X-MEDIA-SEQUENCE:{first}"]
    for one in pieces:
        lines += ["#EXT-X-DISCONTINUITY"] if one.discontinuity else []
        lines += [] if one.program_us is None else [f"#EXT-X-PROGRAM-DATE-TIME:{iso_from_us(one.program_us)}"]
        lines += [f"#EXTINF:{one.duration},", one.uri]
    return "\n".join([*lines, *(["#EXT-X-ENDLIST"] if ended else [])]) + "\n"


def joined(*clips: Sequence[Piece], dated: bool = True) -> list[Piece]:
    """Clips one after the other, a discontinuity before each but the first."""
    made: list[Piece] = []
    for clip in clips:
        made += [replace(one, discontinuity=bool(made) and index == 0) for index, one in enumerate(clip)]
    return made if dated else [replace(one, program_us=None) for one in made]


def _streamed(folder: Path, seconds: int) -> tuple[Path, int]:
    """A camera's stream of so many seconds as one file, and the date of its first segment."""
    stream = LiveStream(folder, segment_s=1)
    stream.start()
    deadline_s = time.monotonic() + seconds + 40
    try:
        while not (stream.playlist.exists() and len(_parsed(stream.playlist).segments) >= seconds):
            assert time.monotonic() < deadline_s, "the stream did not grow"
            assert stream.is_running, (folder / "ffmpeg.log").read_text()
            time.sleep(0.2)
    finally:
        stream.stop()
    segments = _parsed(stream.playlist).segments[:seconds]
    whole = folder / "whole.ts"
    with whole.open("wb") as out:
        for one in segments:
            out.write((folder / (one.uri or "")).read_bytes())
    assert segments[0].program_us is not None
    return whole, segments[0].program_us


def _packaged(source: Path, folder: Path, name: str, *options: str) -> Path:
    """Packaged as HLS by ffmpeg."""
    folder.mkdir()
    playlist = folder / "index.m3u8"
    hls = ["-f", "hls", "-hls_list_size", "0", "-hls_playlist_type", "vod"]
    _ffmpeg("-i", str(source), *options, *hls, "-hls_segment_filename", str(folder / f"{name}%d.ts"), str(playlist))
    return playlist


_UNEVEN = ("-force_key_frames", KEY_FRAMES_S, "-g", "300", "-sc_threshold", "0", "-bf", "0", "-hls_time", "0.1")
_CODED = ("-map", "0:v", "-c:v", "libx264", "-preset", "ultrafast", "-crf", "20", "-threads", "1")


@dataclass(frozen=True)
class Media:
    """What was streamed, and what others made of it."""

    first: list[Piece]
    second: list[Piece]
    ads: list[Piece]
    repackaged: list[Piece]
    transcoded: list[Piece]
    even: list[Piece]


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Media:
    """Made once for all tests: half a minute of streaming, and some encodings of it."""
    try:
        resolve_ffmpeg()
    except SettingsError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("media")
    whole, start_us = _streamed(folder / "camera-1", CAMERA_S)
    later, later_us = _streamed(folder / "camera-2", SECOND_CAMERA_S)
    first = _pieces(_packaged(whole, folder / "one", "one", *_CODED, *_UNEVEN), start_us)
    second = _pieces(_packaged(later, folder / "two", "two", *_CODED, *_UNEVEN), later_us)
    spot = folder / "spot.ts"
    _ffmpeg(
        "-f",
        "lavfi",
        "-i",
        "testsrc=size=640x360:rate=30",
        "-t",
        "4",
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        str(spot),
    )
    ads = _pieces(_packaged(spot, folder / "ads", "spot", *_CODED, "-g", "60", "-hls_time", "2"))
    repackaged = _pieces(
        _packaged(whole, folder / "again", "part", "-map", "0:v", "-c", "copy", "-hls_time", "4"), start_us
    )
    transcoded = _pieces(_packaged(whole, folder / "small", "x", *_CODED, *_UNEVEN, "-crf", "30"))
    even = _pieces(_packaged(whole, folder / "even", "e", *_CODED, "-g", "60", "-hls_time", "2"))
    shutil.rmtree(folder / "camera-1")
    ads = [replace(one, uri=f"https://ads.test/{one.uri}") for one in ads]
    return Media(first, second, ads, repackaged, transcoded, even)


@pytest.fixture
async def room(media: Media, tmp_path: Path) -> AsyncIterator[Stage]:
    """A room that has followed both streams, each a broadcast."""
    assert media.first[0].program_us is not None
    clock = ManualClock(wall_us=media.first[0].program_us)
    async with stage(tmp_path, clock=clock) as it:
        for number, pieces in enumerate((media.first, media.second), 1):
            for count in range(1, len(pieces) + 1):
                known = pieces[:count]
                last = known[-1]
                assert last.program_us is not None
                end_us = last.program_us + round(float(last.duration) * SECOND_US)
                it.advance(max(0.1, (end_us - it.now_us) / SECOND_US))
                text = text_of(known, ended=count == len(pieces), first=1000 * number)
                await it.reload(text)
            it.advance(61)
        await it.settled()
        assert 2 == it.room().broadcasts.current.number
        yield it


async def made(it: Stage, body: Any) -> Any:
    """The map of a recording that must be made."""
    headers = {"Authorization": f"Bearer {it.token('class', 'teacher', 'host')}"}
    answer = await it.http.put("/v1/rooms/class/recordings/it", json=body, headers=headers)
    assert 200 == answer.status_code, answer.text
    return answer.json()


def errors_us(pieces: Sequence[Piece], record: Any) -> list[int]:
    """At every frame with a clock that lies in a span: how far its program time is from the clock."""
    spans = spans_from_wire(record["spans"])
    found = []
    position_us = 0
    for one in pieces:
        for into_us, value_ms in segment_clock(one.file):
            place = place_of(position_us + into_us, spans)
            if place is not None:
                found.append(abs(place.program_us - unwrapped_us(value_ms, place.program_us)))
        position_us += round(float(one.duration) * SECOND_US)
    return found


def checked(kind: str, pieces: Sequence[Piece], record: Any, *methods: str) -> None:
    """The errors are small, and nothing was left out but what has no clock."""
    found = errors_us(pieces, record)
    p95_us = quantiles(found, n=20)[-1]
    used = sorted({one["method"] for one in record["spans"]})
    print(
        f"\n{kind}: {len(found)} frames, p95 {p95_us / 1000:.0f} ms, max {max(found) / 1000:.0f} ms, by {', '.join(used)}"
    )
    assert sorted(methods) == used
    assert p95_us <= ERROR_US_MAX
    assert max(found) <= SECOND_US
    frames = sum(len(segment_clock(one.file)) for one in pieces)
    assert len(found) >= frames * 0.95


async def test_head_trim(media: Media, room: Stage) -> None:
    """The first seconds are gone: position 0 shows a later program time."""
    pieces = media.first[5:]
    checked("head trim", pieces, await made(room, {"playlist": text_of(pieces)}), "program_date_time")


async def test_tail_trim(media: Media, room: Stage) -> None:
    """The last seconds are gone, and the dates too: the names are left."""
    pieces = joined(media.first[:-5], dated=False)
    checked("tail trim", pieces, await made(room, {"playlist": text_of(pieces)}), "segment_uri")


async def test_cuts_in_the_middle(media: Media, room: Stage) -> None:
    """Two stretches are cut out: three spans."""
    pieces = joined(media.first[:5], media.first[8:12], media.first[15:])
    record = await made(room, {"playlist": text_of(pieces)})
    checked("cuts", pieces, record, "program_date_time")
    assert 3 == len(record["spans"])


async def test_re_ordered_clips(media: Media, room: Stage) -> None:
    """The end first, by dates and by names."""
    for dated, method in ((True, "program_date_time"), (False, "segment_uri")):
        pieces = joined(media.first[12:], media.first[2:9], dated=dated)
        checked("re-ordered clips", pieces, await made(room, {"playlist": text_of(pieces)}), method)


async def test_inserted_ads(media: Media, room: Stage) -> None:
    """Four seconds without a date before, in and after the programme: no span, and chat stands still."""
    pieces = joined(media.ads, media.first[:8], media.ads, media.first[8:], media.ads)
    record = await made(room, {"playlist": text_of(pieces)})
    checked("ads", pieces, record, "program_date_time")
    spans = record["spans"]
    assert abs(spans[0]["position_ms"] - 4_000) <= 100
    assert abs(record["duration_ms"] - spans[-1]["position_ms"] - spans[-1]["duration_ms"] - 4_000) <= 100
    gaps = [after["position_ms"] - one["position_ms"] - one["duration_ms"] for one, after in pairwise(spans)]
    assert 1 == sum(gap > 3_900 for gap in gaps)


async def test_two_broadcasts_joined(media: Media, room: Stage) -> None:
    """One recording of both; each span names its broadcast."""
    for dated, method in ((True, "program_date_time"), (False, "segment_uri")):
        pieces = joined(media.first, media.second, dated=dated)
        record = await made(room, {"playlist": text_of(pieces)})
        checked("two joined", pieces, record, method)
        assert [1, 2] == list(dict.fromkeys(one["broadcast"] for one in record["spans"]))


async def test_a_re_packaged_vod(media: Media, room: Stage) -> None:
    """Other segment lengths and names, the dates kept."""
    pieces = media.repackaged
    checked("re-packaged", pieces, await made(room, {"playlist": text_of(pieces)}), "program_date_time")


async def test_a_transcoded_vod(media: Media, room: Stage) -> None:
    """Smaller and renamed, without dates: the key frames kept, so the pattern of durations is."""
    pieces = media.transcoded
    record = await made(room, {"playlist": text_of(pieces)})
    checked("transcoded, pattern kept", pieces, record, "extinf_fingerprint")


async def test_a_transcoded_vod_without_a_pattern(media: Media, room: Stage) -> None:
    """Cut at equal distances, neither dates nor names: refused with the reason, until somebody says when it starts."""
    pieces = media.even
    headers = {"Authorization": f"Bearer {room.token('class', 'teacher', 'host')}"}
    path = "/v1/rooms/class/recordings/it"
    refused = await room.http.put(path, json={"playlist": text_of(pieces)}, headers=headers)
    assert (422, "not_aligned") == (refused.status_code, refused.json()["reason"])
    start_us = media.first[0].program_us
    assert start_us is not None
    record = await made(room, {"broadcast": 1, "start_program_ms": start_us // 1000})
    checked("transcoded, a start given", pieces, record, "offset")


async def test_a_transcoded_vod_dated_when_it_was_made(media: Media, room: Stage) -> None:
    """A packager wrote tomorrow's date: it lies in no broadcast, and the pattern decides."""
    start_us = room.now_us + 24 * HOUR_US
    pieces = [replace(media.transcoded[0], program_us=start_us), *media.transcoded[1:]]
    record = await made(room, {"playlist": text_of(pieces)})
    checked("transcoded, dated anew", pieces, record, "extinf_fingerprint")


async def test_a_clip_of_a_recording(media: Media, room: Stage) -> None:
    """Taken by position, and by the segments of a recording whose names the room never followed."""
    headers = {"Authorization": f"Bearer {room.token('class', 'teacher', 'host')}"}
    path = "/v1/rooms/class/recordings/vod"
    answer = await room.http.put(path, json={"playlist": text_of(media.repackaged)}, headers=headers)
    assert 200 == answer.status_code, answer.text
    skipped_ms = round(float(media.repackaged[0].duration) * 1000)
    clip = await made(room, {"recording": "vod", "position_ms": skipped_ms})
    checked("clip by position", media.repackaged[1:], clip, "program_date_time")
    pieces = joined(media.repackaged[2:4], dated=False)
    checked("clip by segments", pieces, await made(room, {"playlist": text_of(pieces)}), "segment_uri")
