"""The host's panel in a browser: what a class does appears on it as it happens, and what people write never runs.

The relay is real, and serves the page with its own policy. With ``CHATSYNC_PICTURES`` set, the pictures of docs/rooms.md are taken anew into that folder.
"""

from __future__ import annotations

import json
import os
import re
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, Page, expect
from websockets.sync.client import connect

from chatsync.service.auth import PersonRole
from tests.e2e.axe import dress, found_by_axe, pairwise, targets_below, too_wide
from tests.e2e.payloads import CANARY, payloads
from tests.e2e.watched import Watched
from tests.relay import Relay, token

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

ROOM = "algebra"
TABLET = {"width": 1024, "height": 768}
QUESTIONS = (
    ("Amina Otieno", "Why is det(A − λI) = 0 the condition, and not A = λI?", 5),
    ("Jonas", "Is the eigenvector unique?", 2),
    ("Wei", "Will this be in the exam?", 0),
)


class Class:
    """A class that does things, by HTTP."""

    def __init__(self, relay: Relay, room: str) -> None:
        self.relay, self.room = relay, room

    def act(self, action: str, subject: str = "teacher", role: PersonRole = "participant", **fields: Any) -> int:
        """A deed; its offset, 0 where it has none."""
        body = {"id": str(uuid.uuid4()), "action": action} | fields
        url = f"{self.relay.url}/v1/rooms/{self.room}/actions"
        answer = httpx2.post(url, json=body, headers=_bearer(token(self.room, subject, role)), timeout=20)
        assert 200 == answer.status_code, answer.text
        return int(answer.json().get("offset", 0))

    def say(self, name: str, text: str, kind: str = "message") -> int:
        """Somebody says something; the offset."""
        body = {
            "id": str(uuid.uuid4()),
            "author": {"id": uuid.uuid5(uuid.NAMESPACE_OID, name).hex, "name": name[:32]},
            "text": text,
            "kind": kind,
        }
        url = f"{self.relay.url}/v1/rooms/{self.room}/messages"
        answer = httpx2.post(url, json=body, headers=_bearer(token(self.room, "feed", None, ("ingest",))), timeout=20)
        (result,) = answer.json()["results"]
        assert "offset" in result, result
        return int(result["offset"])


def _bearer(minted: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {minted}"}


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    """A relay with a class, and one whose title is code."""
    rooms: dict[str, dict[str, Any]] = {
        ROOM: {"public": True, "title": "Linear algebra, week 4"},
        "hostile": {"public": True, "title": payloads()[0][:200]},
        "look": {"public": True, "title": "Organic chemistry for those who never wanted it"},
        "hands": {"public": True},
        "past": {"public": True},
    }
    with Relay(tmp_path_factory.mktemp("panel"), rooms) as running:
        yield running


def _fill(it: Class) -> None:
    """Two questions, two hands, a poll with votes, taps, and a name that is long."""
    for name, text, upvotes in QUESTIONS[:2]:
        target = it.say(name, text, "question")
        for voter in range(upvotes):
            it.act("upvote", f"s{voter}", target=target)
    for name in ("Amina", "Wolfeschlegelsteinhausenbergerd"):
        it.act("raise_hand", name)
    it.act(
        "poll_open",
        role="host",
        poll=(poll := uuid.uuid4().hex),
        question="What is the sign of det A?",
        choices=["positive", "negative"],
    )
    it.act("vote", "s1", poll=poll, choices=[0])
    it.act("react", "s1", emoji="❓")


def _opened(browser: Browser, relay: Relay, room: str, **context: Any) -> Watched:
    page = browser.new_page(viewport=TABLET, **context)  # type: ignore[arg-type]
    watched = Watched(page)
    page.goto(f"{relay.url}/host/{room}")
    page.get_by_label("token").fill(token(room, "teacher", "host"))
    page.get_by_role("button", name="Open the panel").click()
    expect(page.get_by_role("heading", name="Questions")).to_be_visible()
    return watched


def _section(page: Page, name: str) -> Any:
    return page.get_by_role("region", name=name)


def test_a_class_appears_as_it_happens(relay: Relay, browser: Browser) -> None:
    """Questions by upvotes, hands, votes, taps and where pictures are; what the host does about it is done for everyone."""
    watched, it = _opened(browser, relay, ROOM), Class(relay, ROOM)
    page = watched.page
    expect(page.get_by_role("heading", level=1)).to_have_text("Linear algebra, week 4")
    expect(_section(page, "Questions")).to_contain_text("No open question.")
    offsets = {}
    for name, text, upvotes in reversed(QUESTIONS):
        offsets[text] = it.say(name, text, "question")
        for voter in range(upvotes):
            it.act("upvote", f"s{voter}", target=offsets[text])
    for name in ("Amina", "Ben"):
        it.act("raise_hand", name)
    it.act(
        "poll_open",
        role="host",
        poll="p1",
        question="What is the sign of det A?",
        choices=["positive", "negative", "zero"],
    )
    for voter in range(7):
        it.act("vote", f"s{voter}", poll="p1", choices=[0 if voter < 5 else 2])
    for number in range(12):
        it.say(f"Student {number}", f"line {number}")
    for voter in range(4):
        it.act("react", f"s{voter}", emoji="❓")

    texts = _section(page, "Questions").locator("li > div > bdi")
    expect(texts).to_have_text([text for _, text, _ in QUESTIONS], timeout=15_000)
    expect(_section(page, "Hands").locator("li")).to_have_count(2)
    expect(_section(page, "Polls")).to_contain_text("5 · 71 %", timeout=15_000)
    expect(_section(page, "You lost me")).to_contain_text("❓ 4", timeout=15_000)
    with connect(relay.url.replace("http", "ws") + f"/v1/rooms/{ROOM}/live", subprotocols=["chatsync.v1"]) as socket:  # type: ignore[list-item]
        socket.send(json.dumps({"type": "hello", "token": token(ROOM, "s1"), "after": None, "last": 0}))
        socket.recv(timeout=10)
        report = {
            "type": "playhead",
            "broadcast": 1,
            "program_ms": time.time_ns() // 10**6 - 4_000,
            "rate": 1,
            "paused": False,
            "at_live": True,
        }
        socket.send(json.dumps(report))
        expect(_section(page, "Their picture")).to_contain_text(re.compile(r"[45](\.\d)? s"), timeout=15_000)
        _picture(page, "host-panel")

    _section(page, "Questions").get_by_role("button", name="Answered").first.click()
    expect(_section(page, "Questions")).to_contain_text("2 open")
    expect(_section(page, "Questions").locator("li.answered")).to_contain_text(QUESTIONS[0][1])
    _section(page, "Hands").get_by_role("button", name="Lower").first.click()
    expect(_section(page, "Hands").locator("li")).to_have_count(1)
    _section(page, "Polls").get_by_role("button", name="Close").click()
    expect(_section(page, "Polls").get_by_role("button", name="Close")).to_have_count(0)
    state = httpx2.get(f"{relay.url}/v1/rooms/{ROOM}/messages", timeout=10).json()["messages"]
    assert {"question_answered", "hand_lowered", "poll_closed"} <= {event["kind"] for event in state}
    assert "eyJ" not in page.url
    assert [] == watched.complaints
    page.close()


def test_a_token_of_no_host_opens_nothing(relay: Relay, browser: Browser) -> None:
    """A participant is told so, and the token is forgotten; leaving forgets a host's too."""
    page = browser.new_page(viewport=TABLET)  # type: ignore[arg-type]
    page.goto(f"{relay.url}/host/{ROOM}")
    page.get_by_label("token").fill(token(ROOM, "ben", "participant"))
    page.get_by_role("button", name="Open the panel").click()
    expect(page.get_by_role("status")).to_contain_text("must be a host’s")
    page.get_by_label("token").fill(token(ROOM, "teacher", "host"))
    page.get_by_role("button", name="Open the panel").click()
    page.reload()
    expect(page.get_by_role("heading", name="Questions")).to_be_visible()
    page.get_by_role("button", name="Leave").click()
    page.reload()
    expect(page.get_by_label("token")).to_be_visible()
    page.close()


def test_axe_finds_nothing_at_any_width_and_size_of_text(relay: Relay, browser: Browser) -> None:
    """Door, refusal, an empty room and a class: nothing found, nothing wider than the screen, nothing too small for a finger."""
    watched = Watched(browser.new_page())
    page = watched.page
    page.goto(f"{relay.url}/host/look")
    states = ("door", "refused", "empty", "class")
    combinations = pairwise(states, (320, 768, 1024), (100, 200), ("light", "dark", "forced"))
    assert len(combinations) >= 12
    found: list[Any] = []
    for state in states:
        if state in {"refused", "empty"}:
            page.get_by_label("token").fill(token("look", "teacher", "host" if state == "empty" else "participant"))
            page.get_by_role("button", name="Open the panel").click()
        if state == "refused":
            expect(page.get_by_role("status")).to_contain_text("must be a host’s")
        if state == "class":
            _fill(Class(relay, "look"))
            expect(_section(page, "You lost me")).to_contain_text("❓ 1", timeout=15_000)
            expect(_section(page, "Polls")).to_contain_text("1 · 100 %", timeout=15_000)
            _section(page, "Questions").get_by_role("button", name="Answered").last.click()
            expect(_section(page, "Questions").locator("li.answered")).to_have_count(1)
        for combination in (one for one in combinations if one[0] == state):
            dress(watched, *combination[1:])
            found += [(combination, one) for one in (*found_by_axe(watched), *too_wide(watched))]
            found += [(combination, one) for one in targets_below(watched, 44)]
    assert [] == found
    page.close()


@pytest.mark.parametrize("means", ["keyboard", "touch"])
def test_a_class_is_held_on_a_tablet(relay: Relay, browser: Browser, means: str) -> None:
    """By keyboard alone and by touch alone, upright: in, answered, lowered, closed, out; the focus goes on to what is next."""
    it = Class(relay, "hands")
    context = browser.new_context(viewport={"width": 768, "height": 1024}, has_touch=means == "touch")
    watched = Watched(context.new_page())
    page = watched.page
    page.goto(f"{relay.url}/host/hands")
    focus = (
        "(() => { const at = document.activeElement?.shadowRoot?.activeElement; "
        "return at ? `${at.closest('section')?.getAttribute('aria-labelledby') ?? ''} ${at.localName}` : null; })()"
    )

    def press(name: str) -> None:
        button = page.get_by_role("button", name=name).first
        if means == "touch":
            button.tap()
            return
        for _ in range(20):
            if button.evaluate("(one) => one === one.getRootNode().activeElement"):
                break
            page.keyboard.press("Tab")
        page.keyboard.press("Enter")

    if means == "touch":
        page.get_by_label("token").tap()
    else:
        page.keyboard.press("Tab")
    page.keyboard.insert_text(token("hands", "teacher", "host"))
    if means == "touch":
        press("Open the panel")
    else:
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_be_focused()
    if means == "keyboard":  # then touch finds what is left
        _fill(it)
    else:
        it.act("poll_open", role="host", poll="q", question="And of det B?", choices=["positive", "negative"])
    held = 2 if means == "keyboard" else 1
    expect(_section(page, "Polls").get_by_role("button", name="Close")).to_be_visible()
    expect(_section(page, "Hands").locator("li")).to_have_count(held)
    for name, section, left in (
        ("Answered", "Questions", held - 1),
        ("Lower", "Hands", held - 1),
        ("Close", "Polls", 0),
    ):
        press(name)
        expect(_section(page, section).get_by_role("button")).to_have_count(left)
        if means == "keyboard":
            assert f"{section.lower()} {'button' if left else 'h2'}" == watched.value(focus)
    assert [] == too_wide(watched)
    press("Leave")
    if means == "keyboard":
        expect(page.get_by_label("token")).to_be_focused()
    expect(page.get_by_label("token")).to_be_visible()
    assert [] == watched.complaints
    context.close()


def test_moderators_look_back_at_what_was_hidden(relay: Relay, browser: Browser) -> None:
    """Before they came: the newest at once, the rest as they scroll, to the beginning; what they restore is everyone's again."""
    it, hours = Class(relay, "past"), 6 * 3_600_000
    began_ms = round(time.time() * 1000) - hours
    lines = [
        {
            "id": str(uuid.uuid4()),
            "author": {"id": "amina", "name": "Amina"},
            "text": f"word {number}",
            "wall_ms": began_ms + number * hours // 32,
            "playhead": {"broadcast": 1, "program_ms": began_ms + number * hours // 32},
        }
        for number in range(32)
    ]
    answer = httpx2.post(
        f"{relay.url}/v1/rooms/past/messages",
        content="\n".join(json.dumps(line) for line in lines),
        headers=_bearer(token("past", "feed", None, ("ingest",))) | {"Content-Type": "application/x-ndjson"},
        timeout=20,
    )
    hidden = [result["offset"] for result in answer.json()["results"][::2]]
    for offset in hidden:
        it.act("hide", role="host", target=offset, reason="off topic")
    watched = Watched(browser.new_page(viewport=TABLET))  # type: ignore[arg-type]
    page = watched.page
    page.goto(f"{relay.url}/watch/past")
    watched.until("window.watch !== undefined")
    watched.value(f"void (window.watch.chat.token = {token('past', 'teacher', 'host')!r})")
    page.get_by_role("button", name="Moderation").click()
    rows = page.locator("chatsync-chat [data-hidden]")
    expect(rows.first).to_contain_text("word 30")
    expect(rows.first).to_contain_text("Hidden by teacher: off topic")
    expect(page.get_by_role("button", name="Look further back")).to_be_visible()
    assert 10 <= rows.count() < len(hidden)
    page.locator("chatsync-chat .sheet").hover()
    page.mouse.wheel(0, 10_000)
    expect(rows).to_have_count(len(hidden))
    page.mouse.wheel(0, 10_000)
    expect(page.locator("chatsync-chat .sheet")).to_contain_text("That is all of this broadcast.")
    rows.last.get_by_role("button", name="Show to everyone again").click()
    expect(rows).to_have_count(len(hidden) - 1)
    state = httpx2.get(f"{relay.url}/v1/rooms/past/messages", timeout=10).json()["messages"]
    assert hidden[0] in {event["offset"] for event in state}
    assert [] == [complaint for complaint in watched.complaints if complaint.startswith("pageerror")]
    page.close()


@pytest.mark.parametrize("without_policy", [False, True])
def test_what_people_write_never_runs_on_it(relay: Relay, browser: Browser, without_policy: bool) -> None:
    """Questions, names, choices and the room's title that are code are shown as they were written."""
    it = Class(relay, "hostile")
    texts = payloads()[:: len(payloads()) // 12]
    for text in texts:
        it.say(text, text[:500], "question")
    name = f"p{without_policy}"
    it.act("poll_open", role="host", poll=name, question=texts[1][:200], choices=[texts[2][:80], texts[3][:80]])
    watched = _opened(browser, relay, "hostile", bypass_csp=without_policy)
    requests: list[str] = []
    watched.page.on("request", lambda request: requests.append(request.url))
    expect(_section(watched.page, "Questions").locator("li")).to_have_count(
        len(texts) * (1 + without_policy), timeout=15_000
    )
    expect(_section(watched.page, "Polls").locator(".poll")).to_have_count(1, timeout=15_000)
    watched.page.wait_for_timeout(300)
    assert [] == watched.value("window.tripped")
    assert [] == watched.value("window.violations")
    assert [] == [url for url in requests if CANARY in url]
    root = "document.querySelector('chatsync-host-panel').shadowRoot"
    assert 0 == watched.value(f"{root}.querySelectorAll('script, img, iframe, object, embed, a, video').length")
    it.act("poll_close", role="host", poll=name)
    watched.page.close()


def _picture(page: Page, name: str) -> None:
    """A picture of the page for the documentation, in light and dark, if they are wanted."""
    folder = os.environ.get("CHATSYNC_PICTURES")
    if folder is None:
        return
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.wait_for_timeout(100)
        page.screenshot(path=Path(folder) / f"{name}{'' if scheme == 'light' else '-dark'}.png", full_page=True)
    page.emulate_media(color_scheme="light")
