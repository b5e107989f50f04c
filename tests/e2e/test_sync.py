"""The promise in a browser: the pane shows what was said up to the picture, live, rewound, paused, at 2x and in the recording.

A real ffmpeg makes the stream, a real hls.js plays it in a real Chromium, and the clock burned into the picture says what is on
screen, whatever hls.js thinks. Errors are written to ``build/sync-report.json``; the bounds asserted here are loose, since
machines are shared, but what may never happen is asserted exactly.
"""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, Page

from tests.e2e.demo import PROBE, ROOT, Demo, spread

REPORT = ROOT / "build" / "sync-report.json"
TOLERANCE_MS = 100  # a frame or two, and the encoder's own error
ARRIVAL_MS = 1_500  # how long a message may take from its commit into the pane of a live viewer
BACK = 50

pytestmark = pytest.mark.timeout(280)


@pytest.fixture(scope="module")
def page(demo: Demo, browser: Browser) -> Iterator[Page]:
    """The demo's page in Chromium, playing, with the probe in it."""
    # The probe and playwright's waiting need eval, which the page's own policy forbids; see test_demo_page.py for that.
    page = browser.new_page(viewport={"width": 1280, "height": 760}, bypass_csp=True)
    page.goto(demo.url)
    page.wait_for_function("window.demo && document.querySelector('video').currentTime > 0", timeout=60_000)
    page.add_script_tag(content=PROBE)
    page.evaluate("window.probe.start()")
    yield page
    page.close()


@pytest.fixture(scope="module")
def report() -> Iterator[dict[str, Any]]:
    """Errors by mode, written at the end whatever happens."""
    found: dict[str, Any] = {}
    yield found
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(found, indent=1) + "\n")


def collected(page: Page, seconds: float) -> list[dict[str, Any]]:
    """Samples of the next seconds at which the picture could be read and nothing was being sought."""
    page.evaluate("window.probe.take()")
    page.wait_for_timeout(seconds * 1000)
    samples: list[dict[str, Any]] = page.evaluate("window.probe.take()")
    return [
        one for one in samples if one["pictureMs"] is not None and one["cutoffMs"] is not None and not one["seeking"]
    ]


def note(
    report: dict[str, Any], mode: str, samples: list[dict[str, Any]], to_pane_ms: list[float] | None = None
) -> None:
    """Put a mode's figures into the report."""
    errors = [one["cutoffMs"] - one["pictureMs"] for one in samples]
    report[mode] = {"error_ms": spread([abs(error) for error in errors]), "early_ms_max": round(max(errors), 1)}
    if to_pane_ms:
        report[mode]["seeked_to_pane_ms"] = spread(to_pane_ms)


def check(samples: list[dict[str, Any]], truth: list[dict[str, Any]], *, live: bool) -> None:
    """Nothing from after the picture, and nothing missing from the last 50 before it."""
    assert samples, "the picture could not be read once"
    for one in samples[:: max(1, len(samples) // 60)]:
        picture = one["pictureMs"]
        future = [p for p in one["programs"] if p > picture + TOLERANCE_MS]
        assert not future, f"{len(future)} messages from after the picture, {max(future) - picture:.0f} ms early"
        due = [
            event["offset"]
            for event in truth
            if event["program_ms"] <= picture - TOLERANCE_MS
            and (not live or event["wall_ms"] <= one["wallMs"] - ARRIVAL_MS)
        ][-BACK:]
        missing = sorted(set(due) - set(one["offsets"]))
        assert not missing, f"offsets {missing} are not in the pane though the picture is {picture}"
        if one["offsets"] and one["rows"]:
            assert set(one["rows"]) <= set(one["offsets"]), "a row on screen is not among the messages shown"


def sought(page: Page, demo: Demo, report: dict[str, Any], mode: str, *, seed: int, live: bool) -> None:
    """Ten random seeks; after each the pane is right and stays right for a while."""
    chance = random.Random(seed)
    samples: list[dict[str, Any]] = []
    to_pane_ms: list[float] = []
    for _ in range(10):
        start, end = page.evaluate("window.probe.seekable()")
        target = chance.uniform(start + 1, max(start + 2, end - 14 if live else end - 1))
        done = page.evaluate("([time, within]) => window.probe.seek(time, within)", [target, 10_000])
        assert done is not None, f"the pane was not right 10 s after a seek to {target:.1f}"
        to_pane_ms.append(done["toPaneMs"])
        fresh = collected(page, 0.4)
        samples += fresh
    note(report, mode, samples, to_pane_ms)
    check(samples, demo.truth(), live=live)


def test_live_with_hold_shows_what_was_said_up_to_the_picture(page: Page, demo: Demo, report: dict[str, Any]) -> None:
    """Live: nothing from after the picture, nothing of what has arrived missing."""
    demo.wait_until(20)
    samples = collected(page, 10)
    note(report, "live", samples)
    check(samples, demo.truth(), live=True)


def test_a_rewind_shows_the_last_fifty_before_the_picture(page: Page, demo: Demo, report: dict[str, Any]) -> None:
    """Ten random rewinds of a live stream: the pane is what was said before the picture, each time."""
    demo.wait_until(75)
    sought(page, demo, report, "rewound", seed=1, live=True)


def test_twice_the_speed_doubles_the_chat(page: Page, demo: Demo, report: dict[str, Any]) -> None:
    """At 2x the pane keeps up with the picture."""
    start, end = page.evaluate("window.probe.seekable()")
    assert page.evaluate("([time, within]) => window.probe.seek(time, within)", [max(start + 1, end - 45), 10_000])
    page.evaluate("window.demo.video.playbackRate = 2")
    samples = collected(page, 6)
    page.evaluate("window.demo.video.playbackRate = 1")
    passed_ms = samples[-1]["pictureMs"] - samples[0]["pictureMs"]
    wall_ms = samples[-1]["wallMs"] - samples[0]["wallMs"]
    assert passed_ms > 1.5 * wall_ms
    note(report, "2x", samples)
    check(samples, demo.truth(), live=True)


def test_a_paused_picture_freezes_the_chat(page: Page, demo: Demo, report: dict[str, Any]) -> None:
    """Paused: whatever is said meanwhile, the pane stays with the picture."""
    page.evaluate("window.demo.video.pause()")
    page.wait_for_timeout(500)
    before = page.evaluate("window.probe.sample()")
    page.wait_for_timeout(4_000)
    after = page.evaluate("window.probe.sample()")
    page.evaluate("window.demo.video.play()")
    assert before["offsets"] == after["offsets"]
    assert before["cutoffMs"] == after["cutoffMs"]
    note(report, "paused", [before, after])
    check([before, after], demo.truth(), live=True)


def test_back_to_live_shows_the_edge_again(page: Page, demo: Demo, report: dict[str, Any]) -> None:
    """After a rewind the live button brings picture and pane to the edge together."""
    page.click("#live")
    page.wait_for_function(
        "window.demo.video.seeking === false && document.querySelector('chatsync-chat').shown.settled"
    )
    samples = collected(page, 5)
    newest = max(one["pictureMs"] for one in samples)
    assert newest > time.time() * 1000 - 30_000
    note(report, "back to live", samples)
    check(samples, demo.truth(), live=True)


def test_an_own_message_shows_at_once_and_carries_the_picture(page: Page, demo: Demo) -> None:
    """Writing from the page: the message is in the pane at once and is stamped with the picture of its author."""
    page.fill("#name", "Visitor")
    page.click("#join button[type=submit]:not([data-role])")
    chat = page.locator("chatsync-chat")
    composer = chat.locator("textarea")
    composer.wait_for(timeout=10_000)
    page.wait_for_timeout(1_000)
    picture = page.evaluate("window.probe.sample().pictureMs")
    composer.fill("was that a minus sign?")
    composer.press("Enter")
    chat.get_by_text("was that a minus sign?").first.wait_for(timeout=2_000)
    page.wait_for_timeout(1_000)
    mine = [event for event in demo.truth() if event.get("text") == "was that a minus sign?"]
    assert [event["stamp"] for event in mine] == ["playhead"]
    assert abs(mine[0]["program_ms"] - picture) < 1_000


def test_the_recording_replays_what_was_live(page: Page, demo: Demo, report: dict[str, Any]) -> None:
    """The stream is stopped with the page's button; after ten random seeks in the recording the pane is right each time."""
    page.click("#stop")
    page.wait_for_function("document.getElementById('state').textContent === 'recording'", timeout=40_000)
    sought(page, demo, report, "recording", seed=2, live=False)


def test_ctrl_c_leaves_no_process_and_no_port(demo: Demo) -> None:
    """Stopping the demo ends ffmpeg and frees the port."""
    status = demo.stop()
    left = subprocess.run(["pgrep", "-f", "stream.m3u8"], capture_output=True, text=True, check=False)
    assert left.stdout == ""
    assert status == 0
    with pytest.raises(httpx2.TransportError):
        httpx2.get(demo.url, timeout=1)
