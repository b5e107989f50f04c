"""A recording as a file: an MP4 in a plain <video>, with the map that the relay keeps when a stream ends."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Browser, Page, Route

from chatsync.media import make_recording
from tests.e2e.demo import ROOM, Demo
from tests.e2e.measuring import Report, check, note, sought, start_probe

pytestmark = pytest.mark.timeout(180)

STREAM_S = 30
KEPT_WITHIN_S = 60
RECORDING = f"/v1/rooms/{ROOM}/recordings/broadcast-1"
PAGE = f"""<!doctype html>
<html lang="en">
  <video src="/recording.mp4" muted width="640"></video>
  <chatsync-chat room="{ROOM}" recording="broadcast-1"></chatsync-chat>
  <script src="/player/chatsync-player.js"></script>
  <script>
    const video = document.querySelector('video');
    document.querySelector('chatsync-chat').adapter = new ChatsyncPlayer.RecordingAdapter(video);
    video.play();
  </script>
</html>"""


@pytest.fixture
def ended(demo: Demo) -> Demo:
    """The demo, its stream ended and its relay serving: the tests of sync, which come before, have ended it, or it is ended here."""
    if demo.get(RECORDING).status_code != 200:
        demo.wait_until(STREAM_S)
        demo.stop_stream()
    deadline_s = time.monotonic() + KEPT_WITHIN_S
    while demo.get(RECORDING).status_code != 200:
        assert time.monotonic() < deadline_s, "the relay kept no recording"
        time.sleep(0.5)
    return demo


@pytest.fixture
def page(ended: Demo, browser: Browser, tmp_path: Path) -> Iterator[Page]:
    """A page on the relay's own origin with the MP4 made of the stream's segments; playwright answers for both."""
    file = tmp_path / "recording.mp4"
    make_recording(ended.folder / "stream" / "stream.m3u8", file)
    media = file.read_bytes()

    def answer_media(route: Route) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", route.request.headers.get("range", "bytes=0-"))
        assert asked is not None
        start, end = int(asked[1]), min(int(asked[2] or len(media) - 1), len(media) - 1)
        headers = {"Accept-Ranges": "bytes", "Content-Range": f"bytes {start}-{end}/{len(media)}"}
        route.fulfill(status=206, content_type="video/mp4", headers=headers, body=media[start : end + 1])

    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.route("**/recording.mp4", answer_media)
    page.route("**/recording.html", lambda route: route.fulfill(content_type="text/html", body=PAGE))
    page.goto(f"{ended.url}/recording.html")
    page.wait_for_function("document.querySelector('video').currentTime > 0.5", timeout=30_000)
    start_probe(page)
    yield page
    page.close()


def test_the_pane_stays_with_the_picture_of_a_file(page: Page, ended: Demo, report: Report) -> None:
    """Five random seeks in the MP4: the pane is right after each, by the clock in the picture."""
    samples, to_pane_ms = sought(page, seed=4, seeks=5, live=False)

    note(report, "recording as a file", samples, to_pane_ms)
    check(samples, ended.truth(), live=False)


def test_the_map_covers_the_recording(ended: Demo) -> None:
    """The kept map is as long as the stream, in one piece, by its own dates."""
    recording = ended.get(RECORDING).json()
    spans = recording["spans"]

    assert ["program_date_time"] == [span["method"] for span in spans]
    assert (0, recording["duration_ms"], 1) == (spans[0]["position_ms"], spans[0]["duration_ms"], spans[0]["broadcast"])
    assert recording["duration_ms"] >= (STREAM_S - 5) * 1000


def test_ctrl_c_leaves_no_process_and_no_port(demo: Demo) -> None:  # the last that uses the demo
    """Stopping the demo ends ffmpeg and frees the port."""
    status = demo.stop()
    left = subprocess.run(["pgrep", "-f", "stream.m3u8"], capture_output=True, text=True, check=False)
    assert left.stdout == ""
    assert status == 0
    with pytest.raises(httpx2.TransportError):
        httpx2.get(demo.url, timeout=1)
