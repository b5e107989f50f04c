"""The demo's page as it is served, under its own policy: quiet in the console, deaf to code in texts, usable by keyboard."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect
from websockets.sync.client import connect

from tests.e2e.demo import ROOM, ROOT, Demo
from tests.e2e.watched import Watched

pytestmark = pytest.mark.timeout(180)

ATTACKS = (
    "<script>tripwire('script')</script>",
    "<img src=x onerror=tripwire('img')>",
    "<svg onload=tripwire('svg')></svg>",
    "<svg><script>tripwire('svg script')</script></svg>",
    "<iframe srcdoc=\"<script>parent.tripwire('iframe')</script>\"></iframe>",
    "<details open ontoggle=tripwire('details')>x</details>",
    "<video><source onerror=tripwire('source')></video>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=x onerror=tripwire(1)&gt;'>",
    "\"><img src=x onerror=tripwire('attribute')>",
    "' autofocus onfocus=tripwire('focus') x='",
    "</bdi></div></template><img src=x onerror=tripwire('template')>",
    "<a href=javascript:tripwire('href')>click</a>",
    "javascript:tripwire('scheme') https://example.org/\"onmouseover=tripwire('link')",
    "${tripwire('template literal')} {{tripwire('mustache')}}",
    "<?lit$123$?><!--?lit$123$--><img src=x onerror=tripwire('marker')>",
    "&lt;img src=x onerror=tripwire('entity')&gt;",
)
NAMES = ("<b onclick=tripwire()>Bo", "<img src onerror=tripwire()>", "'\"><svg/onload=tripwire()>")
ROWS = "[...document.querySelector('chatsync-chat').shadowRoot.querySelectorAll('[data-offset]')]"


@pytest.fixture
def watched(demo: Demo, browser: Browser) -> Iterator[Watched]:
    """The demo's page, playing, its policy in force."""
    page = browser.new_page(viewport={"width": 1280, "height": 760})
    seen = Watched(page)
    page.goto(demo.url)
    seen.until("window.demo && document.querySelector('video').currentTime > 0", 60)
    yield seen
    page.close()


def test_playing_rewinding_and_writing_leave_the_console_empty(watched: Watched, demo: Demo) -> None:
    """Under the page's policy nothing is blocked, thrown or warned of while somebody uses all of it."""
    page = watched.page
    demo.wait_until(15)
    for button in ("−10 s", "+10 s", "2×", "2×", "Pause", "Play"):
        page.get_by_role("button", name=button, exact=True).click()
        page.wait_for_timeout(300)
    page.click("#live")
    page.fill("#name", "Visitor")
    page.get_by_role("button", name="Write as a student").click()
    composer = page.locator("chatsync-chat textarea")
    composer.fill("is this on? https://example.org/notes")
    composer.press("Enter")
    expect(page.locator("chatsync-chat .text", has_text="is this on?").first).to_be_visible()
    page.wait_for_timeout(1_000)

    assert [] == watched.value("window.violations")
    assert [] == watched.complaints


def test_the_policy_is_in_force(watched: Watched) -> None:
    """The tests above would see a violation: text that is to become markup is one, and so is a picture from elsewhere."""
    watched.value("try { document.body.insertAdjacentHTML('beforeend', '<b>x</b>') } catch { null }")
    watched.value("void (new Image().src = 'https://elsewhere.invalid/x')")
    watched.until("window.violations.length === 2", 5)

    assert ["require-trusted-types-for", "img-src"] == [
        violation.split()[0] for violation in watched.value("window.violations")
    ]


def test_code_in_texts_and_names_is_shown_and_never_run(demo: Demo, browser: Browser) -> None:
    """Sent through the socket, seen live and after a rewind, without the policy's help: text stays text, down to the letter."""
    page = browser.new_page(viewport={"width": 1280, "height": 760}, bypass_csp=True)
    watched = Watched(page)
    page.goto(demo.url)
    watched.until("window.demo && document.querySelector('video').currentTime > 0", 60)
    offsets = _said(demo, {name: ATTACKS[index :: len(NAMES)] for index, name in enumerate(NAMES)})
    shown = "document.querySelector('chatsync-chat').shown.messages.map((one) => one.offset)"
    are_there = f"{json.dumps(list(offsets))}.every((offset) => ({shown}).includes(offset))"
    watched.until(are_there, 40)
    watched.value("window.demo.video.pause()")

    assert offsets == _rendered(watched, set(offsets))
    watched.value("window.demo.video.currentTime -= 8")
    watched.until(f"!({are_there})")
    watched.value("window.demo.video.currentTime += 8")
    watched.until(are_there)
    assert offsets == _rendered(watched, set(offsets))
    foreign = "document.querySelector('chatsync-chat').shadowRoot.querySelectorAll('img, script, svg, iframe, video, b, details')"
    assert 0 == watched.value(f"{foreign}.length")
    links = "[...document.querySelector('chatsync-chat').shadowRoot.querySelectorAll('a')].map((link) => link.protocol)"
    assert {"https:"} >= set(watched.value(links))
    assert [] == watched.value("window.tripped")
    assert [] == [complaint for complaint in watched.complaints if complaint.startswith("pageerror")]
    page.close()


def _rendered(watched: Watched, wanted: set[int]) -> dict[int, tuple[str, str]]:
    """Name and text of wanted rows as a person reads them; the list renders only what is near, so it is scrolled through."""
    found: dict[int, tuple[str, str]] = {}
    log = "document.querySelector('chatsync-chat').shadowRoot.querySelector('.log')"
    watched.page.locator("chatsync-chat .log").hover()
    for _ in range(40):
        rows = watched.value(
            f"{ROWS}.map((row) => [Number(row.dataset.offset), row.querySelector('.name').textContent, "
            "row.querySelector('.text').textContent])"
        )
        found |= {offset: (name, text) for offset, name, text in rows if offset in wanted}
        if set(found) == wanted or watched.value(f"{log}.scrollTop") == 0:
            break
        watched.page.mouse.wheel(0, -200)
        watched.page.wait_for_timeout(80)
    return found


def _said(demo: Demo, texts_by_name: dict[str, tuple[str, ...]]) -> dict[int, tuple[str, str]]:
    """Say all texts through the live socket; (name, text) by offset."""
    said: dict[int, tuple[str, str]] = {}
    uri = demo.url.replace("http", "ws") + f"/v1/rooms/{ROOM}/live"
    for name, texts in texts_by_name.items():
        waiting = {str(uuid.uuid4()): text for text in texts}
        with connect(uri, subprotocols=["chatsync.v1"]) as socket:  # type: ignore[list-item]
            socket.send(json.dumps({"type": "hello", "token": demo.token(name), "after": None, "last": 0}))
            for message_id, text in waiting.items():
                socket.send(json.dumps({"type": "say", "id": message_id, "kind": "message", "text": text}))
            while waiting:
                frame = json.loads(socket.recv(timeout=10))
                assert frame["type"] != "error", frame
                if frame["type"] == "ack":
                    said[frame["offset"]] = (name, waiting.pop(frame["id"]))
    return said


def test_the_chat_is_read_by_keyboard(watched: Watched, demo: Demo) -> None:
    """PageUp in the log stops following and says how to go on; new rows do not move it; End follows again."""
    demo.wait_until(25)
    page = watched.page
    log = page.locator("chatsync-chat .log")
    scrolled = "(() => { const log = document.querySelector('chatsync-chat').shadowRoot.querySelector('.log'); "
    watched.until(
        f"{scrolled} return log.scrollHeight - log.clientHeight > 300; }})()", within_s=60
    )  # there must be a page to go up
    log.focus()
    page.keyboard.press("PageUp")
    resume = page.locator("chatsync-chat .resume button")
    expect(resume).to_be_visible()
    # The browser scrolls smoothly: a new row may come while it is on its way.
    watched.until(f"{scrolled} return log.scrollHeight - log.clientHeight - log.scrollTop > 100; }})()")
    page.wait_for_timeout(500)
    in_view = (
        f"{scrolled} const top = log.getBoundingClientRect().top; "
        "const row = [...log.querySelectorAll('.row')].find((one) => one.getBoundingClientRect().bottom > top); "
        "return [row.dataset.offset, Math.round(row.getBoundingClientRect().top - top)]; })()"
    )
    read = watched.value(in_view)
    new = resume.text_content()
    expect(resume).not_to_have_text(str(new), timeout=30_000)  # one more has come
    assert read == watched.value(in_view)

    page.keyboard.press("End")

    expect(resume).to_have_count(0)
    watched.until(f"{scrolled} return log.scrollHeight - log.clientHeight - log.scrollTop < 5; }})()")
    assert [] == watched.complaints


def test_the_snippet_of_the_readme_embeds_a_room(demo: Demo, browser: Browser) -> None:
    """The README's own lines, with the demo's addresses: the video plays, the chat shows, and whoever has a token may write."""
    snippet = re.search(r"^```html\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert snippet is not None
    body = snippet[1].replace("https://chat.example.org", demo.url).replace('room="math-101"', f'room="{ROOM}"')
    body = body.replace("https://video.example.org/math-101/index.m3u8", "/demo/stream/stream.m3u8")
    # Chromium does not know where a page that playwright answers for comes from, so it must be allowed to reach this machine.
    page = browser.new_page(bypass_csp=True, permissions=["local-network-access"])
    page.route("**/embed.html", lambda route: route.fulfill(content_type="text/html", body=f"<!doctype html>{body}"))
    page.route("**/chat-token", lambda route: route.fulfill(json={"token": demo.token("Visitor")}))
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{demo.url}/embed.html")
    page.evaluate("video.muted = true; video.play()")
    page.wait_for_function(
        "typeof document.querySelector('chatsync-chat').shown?.cutoffMs === 'number'", timeout=30_000
    )

    expect(page.locator("chatsync-chat textarea")).to_be_visible()
    expect(page.locator("chatsync-chat .row").first).to_be_visible()
    assert [] == complaints
    page.close()
