"""The promise in a browser: the pane shows what was said up to the picture, live, rewound, paused, at 2x and in the recording.

A real ffmpeg makes the stream, a real hls.js plays it in a real Chromium, and the clock burned into the picture says what is on
screen, whatever hls.js thinks. Errors are written to ``build/sync-report.json``; the bounds asserted here are loose, since
machines are shared, but what may never happen is asserted exactly.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.axe import found_by_axe
from tests.e2e.demo import ROOM, Demo
from tests.e2e.measuring import Report, check, collected, note, sought, start_probe
from tests.e2e.watched import Watched

pytestmark = pytest.mark.timeout(280)


@pytest.fixture(scope="module")
def page(demo: Demo, browser: Browser) -> Iterator[Page]:
    """The demo's page in Chromium, playing, with the probe in it."""
    # The probe and playwright's waiting need eval, which the page's own policy forbids; see test_demo_page.py for that.
    page = browser.new_page(viewport={"width": 1280, "height": 760}, bypass_csp=True)
    page.goto(demo.url)
    page.wait_for_function("window.demo && document.querySelector('video').currentTime > 0", timeout=60_000)
    start_probe(page)
    yield page
    page.close()


def test_live_with_hold_shows_what_was_said_up_to_the_picture(page: Page, demo: Demo, report: Report) -> None:
    """Live: nothing from after the picture, nothing of what has arrived missing."""
    demo.wait_until(20)
    samples = collected(page, 10)
    note(report, "live", samples)
    check(samples, demo.truth(), live=True)


def test_a_rewind_shows_the_last_fifty_before_the_picture(page: Page, demo: Demo, report: Report) -> None:
    """Ten random rewinds of a live stream: the pane is what was said before the picture, each time."""
    demo.wait_until(75)
    samples, to_pane_ms = sought(page, seed=1, seeks=10, live=True)
    note(report, "rewound", samples, to_pane_ms)
    check(samples, demo.truth(), live=True)


def test_twice_the_speed_doubles_the_chat(page: Page, demo: Demo, report: Report) -> None:
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


def test_a_paused_picture_freezes_the_chat(page: Page, demo: Demo, report: Report) -> None:
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


def test_back_to_live_shows_the_edge_again(page: Page, demo: Demo, report: Report) -> None:
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


@pytest.fixture(scope="module")
def watch(demo: Demo, browser: Browser) -> Iterator[Watched]:
    """The room's own page, of which the demo has nothing: video, chat and activity of the stream that is on."""
    demo.wait_until(25)  # there must be something to go back to
    seen = Watched(browser.new_page(viewport={"width": 1280, "height": 760}))
    seen.page.goto(f"{demo.url}/watch/{ROOM}")
    seen.until("window.watch?.media.readyState > 2")
    yield seen
    seen.page.close()


PLACED = "Math.abs(window.watch.chat.shown.cutoffMs - window.watch.adapter.address().programTimeMs) < 100"


def test_the_watch_page_shows_the_stream_that_is_on(watch: Watched) -> None:
    """Live at the press of a button, the chat with the picture; back in the stream and forward again; what has left it is said."""
    which = watch.page.locator("#which")
    expect(which).to_have_text("Live")
    watch.value("void (window.watch.media.muted = true); window.watch.media.play()")
    watch.until("window.watch.chat.session.behindLiveMs < 4000 && window.watch.chat.shown.settled")
    watch.value("window.watch.media.pause(); void (window.watch.media.currentTime -= 8)")
    watch.until(f"!window.watch.media.seeking && window.watch.chat.shown.settled && {PLACED}")
    assert watch.value(
        "Math.max(...window.watch.chat.shown.messages.map((one) => one.programMs)) <= window.watch.chat.shown.cutoffMs"
    )
    watch.value(
        "window.watch.chat.dispatchEvent(new CustomEvent('chatsync-seek-request', "
        "{ detail: { programMs: 1000, broadcast: 1 }, cancelable: true }))"
    )
    expect(watch.page.locator(".tools [role=status]")).to_have_text("This moment is not in the stream any more.")
    assert [] == found_by_axe(watch)


def test_the_recording_replays_what_was_live(page: Page, demo: Demo, report: Report) -> None:
    """The stream is stopped with the page's button; after ten random seeks in the recording the pane is right each time."""
    page.click("#stop")
    page.wait_for_function("document.getElementById('state').textContent === 'recording'", timeout=40_000)
    samples, to_pane_ms = sought(page, seed=2, seeks=10, live=False)
    note(report, "recording", samples, to_pane_ms)
    check(samples, demo.truth(), live=False)


def test_the_watch_page_goes_over_to_the_replay(watch: Watched) -> None:
    """It says that the stream has ended and where its replay is; the picture stands where it was, plays to its end, and the chat with it."""
    which = watch.page.locator("#which")
    expect(which).to_have_text("The stream has ended. Watch the replay", timeout=15_000)
    expect(watch.page.locator("chatsync-chat [part=mode]")).to_have_attribute("data-mode", "recording")
    watch.until(PLACED)
    watch.value("void (window.watch.media.playbackRate = 4); window.watch.media.play()")
    watch.until("window.watch.media.ended && window.watch.chat.shown.settled")
    assert [] == found_by_axe(watch)
    assert [] == watch.value("window.violations")
    assert [] == watch.complaints
    which.get_by_role("link").click()
    watch.until("location.pathname.endsWith('/broadcast-1') && window.watch?.media.readyState > 0")
    watch.value("void (window.watch.media.currentTime = 20)")
    watch.until(f"window.watch.chat.shown.settled && window.watch.chat.shown.messages.length > 0 && {PLACED}")
    assert [] == watch.complaints
