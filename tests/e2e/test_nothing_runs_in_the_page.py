"""Code that people write is shown as they wrote it and never runs: more than 400 texts, in every place where a text of theirs is shown.

The relay is real, and the demo's page is served by it with its own policy; there is no stream, so what is said shows as it comes. Two pages look
on: one under the policy, where an attempt would be reported, and one without, where it would succeed.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, Page, expect
from pydantic import SecretStr

from chatsync.chat.text import clean_name, clean_text
from chatsync.demo.page import add_page
from chatsync.service.app import create_app
from chatsync.service.auth import PersonRole, TokenScope
from chatsync.service.room_settings import RoomSettings
from chatsync.service.running import RelayServer
from chatsync.service.settings import Settings
from tests.e2e.payloads import CANARY, names, payloads, titles
from tests.e2e.watched import Watched
from tests.relay import READY_S, SECRET, free_port, token
from tests.stage import FAST

pytestmark = pytest.mark.timeout(180)

ROOM = "lecture"
BATCH = 45  # a pane that begins anew, as with each try to play what is not there, shows the last 50
HIGH = {"width": 1280, "height": 12_000}  # so that every row is rendered
PINS, REASONS, TYPED, TITLED = 40, 20, 4, 12
ROWS = "[...document.querySelector('chatsync-chat').shadowRoot.querySelectorAll('.row')]"
SAID = (
    f"{ROWS}.filter((row) => row.dataset.offset).map((row) => "
    "[Number(row.dataset.offset), row.querySelector('.name').textContent, row.querySelector('.text').textContent])"
)
LINES = f"{ROWS}.filter((row) => !row.dataset.offset).map((row) => row.querySelector('bdi').textContent)"
SEARCH = "document.querySelector('chatsync-search').shadowRoot"
# What our own templates are made of; anything else came out of a text.
FOREIGN = """
[...document.querySelector('chatsync-chat').shadowRoot.querySelectorAll('*')].flatMap((one) => [
  ...(['HEADER', 'H2', 'SPAN', 'BUTTON', 'DIV', 'BDI', 'TIME', 'A', 'FORM', 'TEXTAREA', 'SELECT', 'OPTION', 'ASIDE'].includes(one.tagName) ? [] :
    one.tagName === 'P' && ['note', 'hint', 'quiet'].includes(one.className) ? [] : [one.tagName]),
  ...one.getAttributeNames().filter((name) => name.startsWith('on') || name === 'src' || name === 'srcdoc'),
  ...(one.tagName === 'A' && !['http:', 'https:'].includes(one.protocol) ? [one.href] : []),
  ...(one.tagName === 'A' && one.rel !== 'nofollow noopener noreferrer ugc' ? [one.rel] : []),
])
"""


class Served:
    """A relay in a thread of this process, with the demo's page and rooms whose titles are code."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._http = httpx2.Client(base_url=f"{self.url}/v1/rooms/{ROOM}", timeout=20)
        self.titled = {f"titled-{number}": title for number, title in enumerate(titles()[:TITLED])}
        rooms = {room: RoomSettings(public=True, title=title) for room, title in self.titled.items()}
        settings = Settings(
            data_folder=folder / "data",
            port=self.port,
            token_secret=SecretStr(SECRET),
            limits=FAST,  # type: ignore[arg-type]
            rooms=rooms | {ROOM: RoomSettings(public=True, title=next(iter(self.titled.values())))},
        )
        app = create_app(settings)
        add_page(app, stream_folder=folder, mint=self._mint, stop=lambda: None, room=ROOM)
        self._server = RelayServer(app, settings)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._server.serve()), name="relay")

    @staticmethod
    def _mint(subject: str, name: str, role: Any) -> str:
        del name
        return token(ROOM, subject[:32], role)

    def start(self) -> None:
        """Serve, in a thread."""
        self._thread.start()
        deadline_s = time.monotonic() + READY_S
        while not self._server.started:
            assert self._thread.is_alive()
            assert time.monotonic() < deadline_s
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop as a signal would."""
        self._server.should_exit = True
        self._thread.join(20)
        self._http.close()

    def say(self, texts: Sequence[tuple[str, str]], kind: str = "message") -> dict[int, tuple[str, str]]:
        """Feed (name, text); what is to be shown, by offset."""
        lines = [
            json.dumps({"id": str(uuid.uuid4()), "author": {"id": name, "name": name}, "text": text, "kind": kind})
            for name, text in texts
        ]
        headers = {"Content-Type": "application/x-ndjson"} | _bearer(None, ("ingest",))
        answer = self._http.post("/messages", content="\n".join(lines), headers=headers)
        results = answer.json()["results"]
        return {
            result["offset"]: (clean_name(name), clean_text(text))
            for result, (name, text) in zip(results, texts, strict=True)
        }

    def act(self, action: str, **fields: Any) -> None:
        """A host's deed."""
        body = {"id": str(uuid.uuid4()), "action": action} | fields
        answer = self._http.post("/actions", json=body, headers=_bearer("host"))
        assert 200 == answer.status_code, answer.text


def _bearer(role: PersonRole | None, scopes: tuple[TokenScope, ...] = ()) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(ROOM, 'staff', role, scopes)}"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The relay."""
    it = Served(tmp_path_factory.mktemp("served"))
    it.start()
    yield it
    it.stop()


class Looked(Watched):
    """A page of ours that a host looks at, and all that must not happen in it."""

    def __init__(self, page: Page) -> None:
        super().__init__(page)
        self.dialogs: list[str] = []
        self.requests: list[str] = []
        page.on("dialog", self._dismiss)
        page.on("request", lambda request: self.requests.append(request.url))

    def _dismiss(self, dialog: Any) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def open_as_host(self, served: Served) -> None:
        """Open the demo's page and join as the teacher."""
        self.page.goto(served.url)
        self.page.get_by_role("button", name="Write as the teacher").click()
        expect(self.page.locator("chatsync-chat textarea")).to_be_visible()

    def shown(self, wanted: dict[int, tuple[str, str]]) -> dict[int, tuple[str, str]]:
        """Name and text of wanted rows, once they are all there."""
        offsets = f"new Set({SAID}.map(([offset]) => offset))"
        self.until(f"(() => {{ const there = {offsets}; return {list(wanted)}.every((one) => there.has(one)); }})()")
        rows = {offset: (name, text) for offset, name, text in self.value(SAID)}
        return {offset: row for offset, row in rows.items() if offset in wanted}

    def assert_nothing_ran(self) -> None:
        """No wire was tripped, no dialog, no attempt that the policy had to stop, nothing asked of the canary, no foreign element."""
        assert ([], []) == (self.value("window.tripped"), self.dialogs)
        assert [] == self.value("window.violations")
        assert [] == [url for url in self.requests if CANARY in url]
        assert [] == self.value(FOREIGN)


@pytest.fixture(scope="module")
def pages(served: Served, browser: Browser) -> Iterator[list[Looked]]:
    """The page under its policy, and without it."""
    opened = [Looked(browser.new_page(viewport=HIGH, bypass_csp=without)) for without in (False, True)]  # type: ignore[arg-type]
    for one in opened:
        one.open_as_host(served)
    yield opened
    for one in opened:
        one.page.close()


def test_texts_and_names_are_shown_to_the_letter(served: Served, pages: list[Looked]) -> None:
    """Every payload as a message or a question, under a name that is one too: both pages show all of it, and nothing runs."""
    texts, called = payloads(), names()
    assert len(texts) > 300
    pairs = [(called[number % len(called)], text) for number, text in enumerate(texts)]
    for number, first in enumerate(range(0, len(pairs), BATCH)):
        said = served.say(pairs[first : first + BATCH], "question" if number % 3 == 2 else "message")
        for one in pages:
            assert said == one.shown(said)
            one.assert_nothing_ran()


def test_pins_and_reasons_are_text(served: Served, pages: list[Looked]) -> None:
    """What a host pins is a line of its own, to the letter; the reason of a hide, which only staff are told, runs no more than that."""
    chosen = payloads()[:: len(payloads()) // PINS]
    for text in chosen:
        served.act("pin", text=text)
    said = served.say([("Ann", f"number {number}") for number in range(REASONS)])
    for offset, text in zip(said, payloads()[7:], strict=False):
        served.act("hide", target=offset, reason=text[:200])
    last = served.say([("Ann", "that was all")])
    for one in pages:
        assert last == one.shown(last)
        assert {f"Pinned: {clean_text(text)}" for text in chosen} <= set(one.value(LINES))
        one.assert_nothing_ran()


def test_what_one_types_oneself_is_text(served: Served, pages: list[Looked]) -> None:
    """Own messages take another way into the pane: shown at once, then as the relay has them."""
    for text in payloads()[3 :: len(payloads()) // TYPED]:
        for one in pages:
            composer = one.page.locator("chatsync-chat textarea")
            composer.fill(text)
            composer.press("Enter")
            one.until(f"{SAID}.some(([, , text]) => text === {json.dumps(clean_text(text))})")
            one.assert_nothing_ran()
    assert served.url in pages[0].page.url


def test_answers_opened_as_pages_are_no_pages(served: Served, browser: Browser) -> None:
    """A title, a room's messages and their list, opened in the browser itself: JSON, shown as text, and nothing runs."""
    paths = [f"/v1/rooms/{room}" for room in served.titled]
    paths += [f"/v1/rooms/{ROOM}/{what}" for what in ("messages", "chat.json", "at?program_ms=0")]
    one = Looked(browser.new_page(bypass_csp=True))
    for path in paths:
        one.page.goto(served.url + path)
        room = served.titled.get(path.rpartition("/")[2])
        assert "application/json" == one.value("document.contentType")
        assert 0 == one.value("document.querySelectorAll('script, img, svg, iframe, object, embed, link, base').length")
        if room is not None:
            assert room == json.loads(one.value("document.querySelector('pre').textContent"))["title"]
        assert ([], []) == (one.value("window.tripped"), one.dialogs)
        assert [] == [url for url in one.requests if CANARY in url]
    one.page.close()


def test_the_watch_page_shows_texts_and_titles(served: Served, browser: Browser) -> None:
    """Titles in its head, questions among its moments, and hits of a search with marks in them: text, with the policy and without."""
    for without in (False, True):
        one = Looked(browser.new_page(viewport=HIGH, bypass_csp=without))  # type: ignore[arg-type]
        for room, title in [*served.titled.items(), (ROOM, next(iter(served.titled.values())))]:
            one.page.goto(f"{served.url}/watch/{room}")
            assert title == one.value("document.querySelector('h1').textContent")
        one.until(
            "window.watch && window.watch.heatmap.activity && document.querySelectorAll('#panel-moments bdi').length > 50"
        )
        one.page.get_by_role("tab").nth(1).click()
        one.page.locator("chatsync-search input").fill("script")
        one.until(f"{SEARCH}.querySelectorAll('.hit').length > 3")
        hits = one.value("window.watch.search.hits.map((hit) => [hit.name, hit.text])")
        rows = f"[...{SEARCH}.querySelectorAll('.hit')]"
        shown = f"{rows}.map((row) => [row.querySelector('.name').textContent, row.querySelector('.text').textContent])"
        assert hits == one.value(shown)
        tags = f"[...new Set([...{SEARCH}.querySelectorAll('*')].map((found) => found.tagName))].sort()"
        assert ["BDI", "BUTTON", "FORM", "INPUT", "LI", "MARK", "OL", "P", "TIME"] == one.value(tags)
        one.assert_nothing_ran()
        one.page.close()


def test_the_wires_trip(served: Served, browser: Browser) -> None:
    """Put into a page as markup, the same code is seen: by the wire where there is no policy, and by the policy where there is one."""
    for without in (True, False):
        one = Looked(browser.new_page(bypass_csp=without))
        one.page.goto(served.url)
        one.value(
            "(() => { try { document.body.insertAdjacentHTML('beforeend', "
            f"'<img src=x onerror=fire(1)><img src=//{CANARY}/i>') }} catch {{ }} }})()"
        )
        one.until("window.tripped.length" if without else "window.violations.length")
        assert without == any(CANARY in url for url in one.requests)
        one.page.close()
