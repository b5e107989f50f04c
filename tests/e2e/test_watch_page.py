"""The watch page: a recording beside its chat, on a desktop and on a phone, under its own policy; and the same page from files."""

from __future__ import annotations

import asyncio
import http.server
import json
import random
import shutil
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser
from pydantic import SecretStr
from starlette.staticfiles import StaticFiles
from typer.testing import CliRunner

from chatsync.cli import app as command
from chatsync.media import resolve_ffmpeg
from chatsync.service.app import create_app
from chatsync.service.room_settings import RoomSettings
from chatsync.service.running import RelayServer
from chatsync.service.settings import Settings
from tests.e2e.axe import dress, found_by_axe, pairwise, targets_below, too_wide
from tests.e2e.watched import Watched
from tests.relay import READY_S, SECRET, free_port, token
from tests.stage import FAST

pytestmark = pytest.mark.timeout(120)

ROOM = "lecture"
LENGTH_S = 60
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 780}
CHAT = "document.querySelector('chatsync-chat').shadowRoot"
HEATMAP = "document.querySelector('chatsync-heatmap').shadowRoot"
SEARCH = "document.querySelector('chatsync-search').shadowRoot"
SHOWN = f"[...{CHAT}.querySelectorAll('.row .text')].map((text) => text.textContent)"
WORDS = ("limit", "slope", "why negative?", "ah, the café example", "epsilon", "thanks", "continuous", "and at zero?")


class Relay:
    """A relay with a room, in which much was said in the last ten minutes, and recordings of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        settings = Settings(
            data_folder=folder / "data",
            port=port,
            token_secret=SecretStr(SECRET),
            limits=FAST,  # type: ignore[arg-type]
            rooms={ROOM: RoomSettings(public=True, title="Analysis I: limits and slopes")},
        )
        app = create_app(settings)
        media = folder / "media"
        media.mkdir()
        _film(media)
        app.mount("/film", StaticFiles(directory=str(media)))
        self._server = RelayServer(app, settings)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._server.serve()), name="relay")
        self._thread.start()
        deadline_s = time.monotonic() + READY_S
        while not self._server.started:
            assert self._thread.is_alive()
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
        self.start_ms = round(time.time() * 1000) - 400_000
        self._say()
        spans = [{"position_ms": 0, "duration_ms": LENGTH_S * 1000, "broadcast": 1, "program_ms": self.start_ms}]
        self._put("film", {"spans": spans, "media_url": "/film/film.m3u8"})
        self._put("notes", {"spans": spans})

    def _say(self) -> None:
        chance = random.Random(3)
        lines: list[dict[str, Any]] = []
        for second in sorted(
            [*(chance.uniform(1, 59) for _ in range(40)), *(chance.uniform(30, 36) for _ in range(50))]
        ):
            text = chance.choice(WORDS)
            at_ms = self.start_ms + round(second * 1000)
            lines.append(
                {
                    "id": str(uuid.uuid4()),
                    "author": {"id": f"u{chance.randrange(9)}", "name": f"Student {chance.randrange(1, 9)}"},
                    "text": f"{text} {len(lines)}",
                    "kind": "question" if "?" in text else "message",
                    "wall_ms": at_ms,
                    "playhead": {"broadcast": 1, "program_ms": at_ms},
                }
            )
        headers = {
            "Content-Type": "application/x-ndjson",
            "Authorization": f"Bearer {token(ROOM, 'f', None, ('ingest',))}",
        }
        body = "\n".join(json.dumps(line) for line in lines)
        answer = httpx2.post(f"{self.url}/v1/rooms/{ROOM}/messages", content=body, headers=headers, timeout=20)
        assert {None} == {result.get("code") for result in answer.json()["results"]}, answer.text
        deadline_s = time.monotonic() + READY_S
        while len(lines) > sum(entry["messages"] for entry in self._slices()):
            assert time.monotonic() < deadline_s
            time.sleep(0.1)

    def _slices(self) -> Any:
        return httpx2.get(f"{self.url}/v1/rooms/{ROOM}/chat.json").json()["slices"]

    def _put(self, name: str, body: Any) -> None:
        headers = {"Authorization": f"Bearer {token(ROOM, 'teacher', 'host')}"}
        answer = httpx2.put(f"{self.url}/v1/rooms/{ROOM}/recordings/{name}", json=body, headers=headers, timeout=20)
        assert 200 == answer.status_code, answer.text

    def stop(self) -> None:
        """Stop as a signal would."""
        self._server.should_exit = True
        self._thread.join(20)


def _film(folder: Path) -> None:
    """A minute of a small film as HLS."""
    source = ["-f", "lavfi", "-i", f"testsrc2=size=320x180:rate=10:duration={LENGTH_S}"]
    codec = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "20", "-pix_fmt", "yuv420p"]
    out = ["-f", "hls", "-hls_time", "4", "-hls_playlist_type", "vod", str(folder / "film.m3u8")]
    subprocess.run([resolve_ffmpeg(), "-loglevel", "error", "-nostdin", *source, *codec, *out], check=True, timeout=60)


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    """The relay, stopped at the end."""
    running = Relay(tmp_path_factory.mktemp("watch"))
    yield running
    running.stop()


def watched(browser: Browser, url: str, viewport: Any, **context: Any) -> Watched:
    """The page, looked at once its parts are there."""
    page = browser.new_context(viewport=viewport, **context).new_page()
    seen = Watched(page)
    page.goto(url)
    seen.until("window.watch !== undefined && window.watch.heatmap.activity !== null")
    return seen


def done(seen: Watched) -> None:
    """Nothing was forbidden, and nothing is wider than the screen."""
    assert [] == seen.value("window.violations")
    assert [] == seen.complaints
    assert seen.value("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    seen.page.context.close()


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_one_goes_from_a_peak_to_its_moment(relay: Relay, browser: Browser, viewport: Any) -> None:
    """The peak is where most was said; its button takes video and chat there, and the link that is shared leads there again."""
    seen = watched(browser, f"{relay.url}/watch/{ROOM}/film#t=20", viewport)
    seen.until("Math.abs(window.watch.media.currentTime - 20) < 0.5")
    (peak, *_) = seen.value("window.watch.heatmap.activity.peaks")
    assert 20_000 <= peak["startMs"] <= 40_000
    seen.value(f"{HEATMAP}.querySelector('.peaks button').click()")
    seen.until(f"Math.abs(window.watch.media.currentTime * 1000 - {peak['startMs']}) < 500")
    seen.until(f"window.watch.chat.shown.settled && {SHOWN}.length > 5")
    cutoff_ms = seen.value("window.watch.chat.shown.cutoffMs")
    assert abs(cutoff_ms - relay.start_ms - peak["startMs"]) < 500
    seen.value("document.querySelector('.tools button').click()")
    seen.until(f"location.hash === '#t={peak['startMs'] // 1000}'")
    done(seen)


def test_one_finds_words_and_lands_before_them(relay: Relay, browser: Browser) -> None:
    """Whatever the accents; a hit leads to some seconds before it."""
    seen = watched(browser, f"{relay.url}/watch/{ROOM}/film", DESKTOP)
    seen.page.get_by_role("tab", name="Search").click()
    seen.page.locator("chatsync-search input").fill("CAFE example")
    seen.until(f"{SEARCH}.querySelectorAll('.hit').length > 0")
    assert "caféexample" == seen.value(
        f"[...{SEARCH}.querySelector('.hit').querySelectorAll('mark')].map((m) => m.textContent).join('')"
    )
    hit_ms = seen.value("window.watch.search.hits.at(-1).positionMs")
    seen.value(f"[...{SEARCH}.querySelectorAll('.hit')].at(-1).click()")
    seen.until(f"Math.abs(window.watch.media.currentTime * 1000 - {max(0, hit_ms - 5000)}) < 500")
    seen.page.get_by_role("tab", name="Moments").click()
    assert seen.value("document.querySelectorAll('#panel-moments [data-what=question]').length") > 3
    seen.page.get_by_role("tab", name="Recordings").click()
    assert ["film", "notes"] == seen.value(
        "[...document.querySelectorAll('#panel-recordings bdi')].map((one) => one.textContent)"
    )
    done(seen)


def test_without_a_video_the_chat_plays_by_itself(relay: Relay, browser: Browser) -> None:
    """A clock takes the video's place, in the viewer's language and direction."""
    seen = watched(browser, f"{relay.url}/watch/{ROOM}/notes", PHONE, locale="ar-EG")
    seen.until(f"{HEATMAP}.querySelectorAll('.moment').length > 3")
    assert "rtl" == seen.value("document.documentElement.dir")
    seen.value("void (window.watch.media.currentTime = 50)")
    seen.until("window.watch.chat.shown.settled && window.watch.chat.shown.messages.length > 20")
    before = seen.value("window.watch.chat.shown.messages.length")
    seen.page.locator(".silent button").click()
    seen.until("window.watch.media.currentTime > 51")
    assert before <= seen.value("window.watch.chat.shown.messages.length")
    done(seen)


def test_axe_finds_nothing_at_any_width_and_size_of_text(relay: Relay, browser: Browser) -> None:
    """Each tab, the link that is shared, and a page without a video in Arabic: nothing found, nothing wider than the screen or too small."""
    states = ("chat", "search", "moments", "recordings", "share", "silent")
    combinations = pairwise(states, (320, 768, 1280), (100, 200), ("light", "dark", "forced"))
    assert len(combinations) >= 18
    found: list[Any] = []
    seen = watched(browser, f"{relay.url}/watch/{ROOM}/film#t=9", DESKTOP)
    seen.until(f"window.watch.chat.shown.settled && {SHOWN}.length > 2")
    for state in states:
        if state == "search":
            seen.page.get_by_role("tab", name="Search").click()
            seen.page.locator("chatsync-search input").fill("cafe")
            seen.until(f"{SEARCH}.querySelectorAll('.hit').length > 0")
        elif state == "share":
            seen.value("navigator.clipboard.writeText = () => Promise.reject(new Error('forbidden'))")
            seen.page.locator(".tools button").click()
            seen.until("document.querySelector('.tools input').value !== ''")
        elif state == "silent":
            done(seen)
            seen = watched(browser, f"{relay.url}/watch/{ROOM}/notes#t=9", DESKTOP, locale="ar-EG")
        elif state != "chat":
            seen.page.get_by_role("tab", name=state.capitalize()).click()
        for combination in (one for one in combinations if one[0] == state):
            dress(seen, *combination[1:])
            found += [(combination, one) for one in (*found_by_axe(seen), *too_wide(seen), *targets_below(seen, 24))]
            own = "[role=tab], .list *, .tools *, .silent *"
            found += [(combination, one) for one in targets_below(seen, 44, own)]
    done(seen)
    assert [] == found


def test_a_published_folder_needs_no_relay(relay: Relay, browser: Browser, tmp_path: Path) -> None:
    """A web server of files serves page, chat, activity and search; published again, nothing is written anew."""
    folder, data = tmp_path / "site", tmp_path / "data"
    shutil.copytree(relay.folder / "data", data)  # what lies on disk, as after a crash
    config = tmp_path / "chatsync.toml"
    config.write_text(f'[rooms.{ROOM}]\npublic = true\ntitle = "Analysis I"\n')
    call = ["publish", ROOM, "--to", str(folder), "--json", "--config", str(config), "--data", str(data)]
    first, again = (json.loads(CliRunner().invoke(command, call).output.splitlines()[-1]) for _ in range(2))
    assert (["film", "notes"], 90) == (sorted(first["recordings"]), first["messages"])
    assert 0 == again["written"]
    shutil.copytree(relay.folder / "media", folder / "film")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        seen = watched(browser, f"http://127.0.0.1:{server.server_port}/film.html#t=40", DESKTOP)
        seen.until("window.watch.chat.shown.settled && window.watch.chat.shown.messages.length > 30")
        assert 90 == sum(count or 0 for count in seen.value("window.watch.heatmap.activity.counts"))
        seen.page.get_by_role("tab", name="Search").click()
        seen.page.locator("chatsync-search input").fill("cafe")
        seen.until(f"{SEARCH}.querySelectorAll('.hit').length > 3")
        done(seen)
    finally:
        server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    """A web server of files that prints nothing."""

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


def test_what_is_not_open_to_everybody_has_no_page(relay: Relay) -> None:
    """An unknown room and an unknown recording look alike, and nobody keeps the answer."""
    for path in ("nobody", f"{ROOM}/none", "No%20Room"):
        answer = httpx2.get(f"{relay.url}/watch/{path}")
        assert (404, "private, no-store") == (answer.status_code, answer.headers["cache-control"])
    answer = httpx2.get(f"{relay.url}/watch/{ROOM}/film")
    assert "default-src 'none'; script-src 'self'" in answer.headers["content-security-policy"]
