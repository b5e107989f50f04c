"""Reading back in the chat, in a browser: whoever scrolls goes where they scroll to, whatever arrives meanwhile."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.staged import Staged

pytestmark = pytest.mark.timeout(60)

# Rows come quicker than frames do, of very different heights, and every so often the page is busy, as on an old laptop.
FLOOD = """
let said = 0;
window.flood = setInterval(() => {
  said += 1;
  const text = said % 3 ? 'yes' : 'a text that takes several lines here '.repeat(4);
  stage.say(stage.t0 + 60_000 + said * 60, { text });
  stage.player.show(stage.t0 + 60_000 + said * 60);
  if (said % 8 === 0) for (const until = performance.now() + 40; performance.now() < until;);
}, 40); null
"""
# How far a row that was on screen when the key went down has come when all stands still, in pages.
WENT = """
window.went = undefined;
addEventListener('keydown', () => {
  const log = chat.shadowRoot.querySelector('.log');
  const top = log.getBoundingClientRect().top;
  const row = [...log.querySelectorAll('[data-offset]')].find((row) => row.getBoundingClientRect().top >= top);
  const from = row.getBoundingClientRect().top;
  let [last, still] = [from, 0];
  const timer = setInterval(() => {
    const now = row.getBoundingClientRect().top;
    still = now === last && now !== from ? still + 1 : 0;
    last = now;
    if (still < 4) return;
    clearInterval(timer);
    window.went = row.isConnected ? (last - from) / log.clientHeight : null;
  }, 50);
}, { once: true, capture: true }); null
"""


@pytest.fixture
def staged(browser: Browser, stage_script: None) -> Iterator[Staged]:
    """The chat alone in a page."""
    page = Staged(browser)
    yield page
    page.page.close()


def test_a_page_up_goes_a_page_up_while_rows_arrive(staged: Staged) -> None:
    """Neither rows that are appended nor rows that turn out higher than thought take back a part of an animated scroll."""
    staged.open(before="for (let n = 0; n < 60; n += 3) stage.model.events.get(n + 1).text = 'long '.repeat(40)")
    staged.value(FLOOD)
    log = staged.page.locator("chatsync-chat .log")
    log.focus()
    went = []
    for _ in range(5):
        staged.page.keyboard.press("End")
        expect(staged.page.locator("chatsync-chat .resume")).to_have_count(0)
        staged.value(WENT)
        staged.page.keyboard.press("PageUp")
        staged.until("window.went !== undefined")
        went.append(staged.value("window.went"))

    assert [0.875] * 5 == pytest.approx(went, abs=0.02)
    assert [] == staged.complaints


def test_a_page_up_goes_a_page_up_over_rows_never_seen(staged: Staged) -> None:
    """What the list learns of the heights of rows above moves the pane by just that, and undoes nothing of the scroll."""
    staged.open()
    staged.page.locator("chatsync-chat .log").focus()
    staged.value(WENT)
    staged.page.keyboard.press("PageUp")

    staged.until("window.went !== undefined")

    assert 0.875 == pytest.approx(staged.value("window.went"), abs=0.02)
