"""An exported side-car in a real browser: the cues a player has are what was said, at the place of the recording."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, Page

from chatsync.transfer.exporters.formats import FORMATS
from chatsync.transfer.exporters.plain import several_lines
from tests.relay import Relay, token
from tests.transfer.exporters.lines import ABOUT, HOSTILE, line

pytestmark = pytest.mark.timeout(120)

ROOM = "lecture"
SAID = ("why is it <b>negative</b>?", "-->", "a\nb", "{\\an8}&amp;", "שלום 👩‍👩‍👧")
START_S = 20  # of the recording, before the first was said
PAGE = '<!doctype html><html lang="en"><title>Side-car</title><video></video></html>'
CUES = """([url, headers]) => fetch(url, {headers}).then((answer) => answer.blob()).then((text) => new Promise((done, fail) => {
  const video = document.querySelector('video');
  const track = document.createElement('track');
  track.default = true;
  track.onerror = () => fail(new Error('the browser takes no such track'));
  track.onload = () => done([...track.track.cues].map((cue) => {
    const shown = cue.getCueAsHTML();
    const elements = [...shown.querySelectorAll('*')].map((one) => one.localName + (one.title ? ' ' + one.title : ''));
    return {id: cue.id, start: cue.startTime, end: cue.endTime, text: shown.textContent, elements};
  }));
  track.src = URL.createObjectURL(text);
  video.append(track);
}))"""


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page with a video and nothing else, answered by the test."""
    page = browser.new_page()
    page.route("**/side-car.html", lambda route: route.fulfill(content_type="text/html", body=PAGE))
    yield page
    page.close()


def _cues(page: Page, url: str, token_: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = page.evaluate(CUES, [url, {"Authorization": f"Bearer {token_}"} if token_ else {}])
    return found


def test_a_recordings_chat_is_a_track(page: Page, tmp_path: Path) -> None:
    """What the relay exports of a recording is taken by a ``<track>``: each message once, at its position, by its author."""
    with Relay(tmp_path, {ROOM: {"public": True}}) as relay:
        host = {"Authorization": f"Bearer {token(ROOM, 'teacher', 'host')}"}
        feeder = {"Authorization": f"Bearer {token(ROOM, 'feeder', None, ('ingest',))}"}
        wall_ms = time.time_ns() // 1_000_000
        told = [
            {"id": str(uuid.uuid4()), "author": {"id": "u1", "name": "Ann"}, "text": text, "wall_ms": wall_ms}
            for text in SAID
        ]
        answer = httpx2.post(
            f"{relay.url}/v1/rooms/{ROOM}/messages",
            content="\n".join(map(json.dumps, told)),
            headers=feeder | {"Content-Type": "application/x-ndjson"},
        )
        results = answer.json()["results"]
        recording = {
            "broadcast": 1,
            "start_program_ms": results[0]["program_ms"] - START_S * 1000,
            "duration_ms": 60_000,
        }
        made = httpx2.put(f"{relay.url}/v1/rooms/{ROOM}/recordings/week-1", json=recording, headers=host)
        assert 200 == made.status_code, made.text
        page.goto(f"{relay.url}/side-car.html")
        cues = _cues(page, f"/v1/rooms/{ROOM}/export.webvtt?recording=week-1", token(ROOM, "teacher", "host"))
    assert list(SAID) == [cue["text"] for cue in cues]
    assert [one["id"] for one in told] == [cue["id"] for cue in cues]
    assert [["span Ann"]] * len(SAID) == [cue["elements"] for cue in cues]
    assert [START_S + (one["program_ms"] - results[0]["program_ms"]) / 1000 for one in results] == [
        cue["start"] for cue in cues
    ]


def test_hostile_text_is_text_in_a_browser(page: Page) -> None:
    """Of each hostile text there is one cue, which shows that text, and whose only element is the voice of its author."""
    lines = [
        line(text, at_us=number * 1_000_000, author_name=text)
        for number, text in enumerate(HOSTILE)
        if several_lines(text)
    ]
    written = b"".join(FORMATS["webvtt"].write(lines, ABOUT)).decode()
    page.route("**/hostile.vtt", lambda route: route.fulfill(content_type="text/vtt", body=written))
    page.goto("https://stage.test/side-car.html")
    cues = _cues(page, "/hostile.vtt")
    assert [several_lines(one.text) for one in lines] == [cue["text"] for cue in cues]
    assert [1] * len(lines) == [len(cue["elements"]) for cue in cues]
