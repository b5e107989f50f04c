"""Low-latency HLS as gohlslib writes it, the muxer of MediaMTX: real video from ffmpeg, an origin that nobody here wrote.

The origin is built from Go modules, which takes a Go toolchain and, the first time, about 20 s. Without them the test is left out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urljoin

import httpx2
import pytest

from chatsync.hls.playlist import parse_playlist
from chatsync.instants import SECOND_US
from tests.following import edge_ages, followed, until
from tests.hls.builders import parsed

SOURCE = Path(__file__).resolve().parents[1] / "gohlslib_origin"
BUILD_S = 100
FRAME_RATE = 25


@pytest.fixture(scope="module")
def origin_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The origin as an executable; skips with the reason if it cannot be made here."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("no Go toolchain, which builds an origin with gohlslib")
    made = tmp_path_factory.mktemp("gohlslib") / "origin"
    environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false -mod=readonly"}
    built = subprocess.run(
        [go, "build", "-o", str(made), "."],
        cwd=SOURCE,
        env=environment,
        capture_output=True,
        text=True,
        timeout=BUILD_S,
        check=False,
    )
    if built.returncode:
        pytest.skip(f"gohlslib could not be had: {built.stderr.strip().splitlines()[-1][:200]}")
    return made


@contextmanager
def _gohlslib(program: Path) -> Iterator[str]:
    """Ten minutes of a test picture at 1x into the origin, one key frame a second; the URL of its multivariant playlist."""
    ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="no ffmpeg").get_ffmpeg_exe()
    picture = ["-re", "-f", "lavfi", "-i", f"testsrc=size=320x180:rate={FRAME_RATE}", "-t", "600"]
    coding = ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", str(FRAME_RATE)]
    written = ["-x264-params", "aud=1:scenecut=0", "-f", "h264", "-"]
    encoder = subprocess.Popen([ffmpeg, "-loglevel", "error", *picture, *coding, *written], stdout=subprocess.PIPE)
    origin = subprocess.Popen(
        [str(program), "-frame-rate", str(FRAME_RATE)], stdin=encoder.stdout, stdout=subprocess.PIPE, text=True
    )
    try:
        assert origin.stdout is not None
        yield f"http://127.0.0.1:{int(origin.stdout.readline())}/index.m3u8"
    finally:
        for process in (encoder, origin):
            process.kill()
            process.wait()


def _plain(url: str) -> str:
    """The media playlist as the origin gives it to somebody who asks for nothing in particular."""
    multivariant = parse_playlist(httpx2.get(url).text)
    variant = multivariant.followed_variant()  # type: ignore[union-attr]
    assert variant is not None
    return httpx2.get(urljoin(url, variant.uri)).text


async def test_gohlslib_is_followed_part_by_part(origin_program: Path, tmp_path: Path) -> None:
    """Nearly every load is a delta that was waited for; what is known in the end is what the whole playlist says, dates included."""
    with _gohlslib(origin_program) as url:
        async with followed(tmp_path, url) as live:
            await until(lambda: live.timeline.live_edge is not None, within_s=30)
            await until(lambda: len(live.timeline.segments(1)) >= 10, within_s=30)
            ages = await edge_ages(live, 6)
            playlist = parsed(_plain(url))
            await until(lambda: live.timeline.live_edge.media_sequence > playlist.segments[-1].media_sequence)  # type: ignore[union-attr]
            kinds = [row[4] for row in live.catalog.observation_rows("class", 1)]
            assert live.playlist_trouble is None
            timeline = live.timeline
    print(f"gohlslib: {ages}; loads: { ({kind: kinds.count(kind) for kind in sorted(set(kinds))}) }")
    assert 1 == len(timeline.runs)
    assert kinds.count("delta") > len(kinds) * 0.8
    assert ages.edges >= 20
    assert ages.median_s < 1.5
    for listed in playlist.segments:
        known = timeline.segment(1, listed.media_sequence)
        assert known is not None
        assert (known.duration_us, known.gap) == (listed.duration_us, listed.gap)
        if listed.program_source == "explicit":
            assert abs((known.program_us or 0) - (listed.program_us or 0)) < SECOND_US // 4
