"""One script tag and one element put a room into a page, under the strictest policy there is for a page that loads a script."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import uuid
from collections.abc import Iterator

import httpx2
import pytest
from playwright.sync_api import Browser
from pydantic import SecretStr
from starlette.responses import HTMLResponse, Response
from typer.testing import CliRunner

from chatsync.cli import app as command
from chatsync.service.app import create_app
from chatsync.service.room_settings import RoomSettings
from chatsync.service.running import RelayServer
from chatsync.service.settings import Settings
from tests.e2e.watched import Watched
from tests.relay import READY_S, SECRET, free_port, token

pytestmark = pytest.mark.timeout(120)

ROOM = "lecture"
POLICY = "default-src 'self'; require-trusted-types-for 'script'; trusted-types lit-html"
PANE = "document.querySelector('chatsync-chat').shadowRoot"
ROWS = f"[...{PANE}.querySelectorAll('.row .text')].map((text) => text.textContent)"


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A relay with a public room in which three things were said, and a page of what `chatsync embed` prints, with the second script; its address."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    settings = Settings(
        data_folder=tmp_path_factory.mktemp("embedded") / "data",
        port=port,
        token_secret=SecretStr(SECRET),
        rooms={ROOM: RoomSettings(public=True)},
    )
    app = create_app(settings)
    printed = CliRunner().invoke(command, ["embed", "--room", ROOM, "--server", url]).output

    @app.get("/page.html")
    async def page() -> HTMLResponse:
        more = '<script src="/player/chatsync-more.js"></script>'
        html = f'<!doctype html><html lang="en"><title>Lecture</title>{printed}{more}</html>'
        return HTMLResponse(html, headers={"Content-Security-Policy": POLICY})

    @app.get("/favicon.ico")
    async def no_picture() -> Response:
        return Response(status_code=204)

    server = RelayServer(app, settings)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), name="relay")
    thread.start()
    deadline_s = time.monotonic() + READY_S
    while not server.started:
        assert thread.is_alive()
        assert time.monotonic() < deadline_s
        time.sleep(0.02)
    lines = [
        json.dumps({"id": str(uuid.uuid4()), "author": {"id": "u1", "name": "Ann"}, "text": text})
        for text in ("one", "two", "three")
    ]
    headers = {
        "Content-Type": "application/x-ndjson",
        "Authorization": f"Bearer {token(ROOM, 'feeder', None, ('ingest',))}",
    }
    httpx2.post(f"{url}/v1/rooms/{ROOM}/messages", content="\n".join(lines), headers=headers, timeout=10)
    yield url
    server.should_exit = True
    thread.join(20)


@pytest.fixture
def embedded(relay: str, browser: Browser) -> Iterator[Watched]:
    """The page, looked at."""
    page = browser.new_page(viewport={"width": 480, "height": 640})
    watched = Watched(page)
    page.goto(f"{relay}/page.html")
    yield watched
    page.close()


def test_the_room_is_there_and_nothing_is_forbidden(embedded: Watched) -> None:
    """What was said is shown, styled and laid out, and the browser had nothing to complain of."""
    embedded.until(f"{ROWS}.length === 3")

    assert ["one", "two", "three"] == embedded.value(ROWS)
    assert "auto" == embedded.value(f"getComputedStyle({PANE}.querySelector('.log')).overflowY")
    assert embedded.value(f"{PANE}.adoptedStyleSheets.length") >= 1
    assert 0 == embedded.value(f"{PANE}.querySelectorAll('style').length")
    assert ([], []) == (embedded.value("window.violations"), embedded.complaints)


def test_the_second_script_adds_to_the_first(embedded: Watched) -> None:
    """What it brings hangs on the same global, beside what was there."""
    names = ["ChatTimeline", "HlsAdapter", "VideoJsAdapter", "ShakaAdapter", "NativeAdapter", "registerChatsync"]
    assert ["function"] * len(names) == embedded.value(f"{names}.map((name) => typeof ChatsyncPlayer[name])")


def test_one_writes_under_the_same_policy(embedded: Watched) -> None:
    """With a token there is a composer, and what is written in it is said."""
    embedded.until("document.querySelector('chatsync-chat').session.status === 'open'")
    embedded.value(f"void (document.querySelector('chatsync-chat').token = '{token(ROOM, 'ben')}')")
    embedded.until(f"{PANE}.querySelector('textarea') !== null")
    embedded.page.locator("chatsync-chat textarea").fill("four")
    embedded.page.keyboard.press("Enter")
    embedded.until(f"{ROWS}.includes('four')")

    assert ([], []) == (embedded.value("window.violations"), embedded.complaints)
