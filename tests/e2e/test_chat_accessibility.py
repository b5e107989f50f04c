"""The chat for whoever sees little, hears it read, or has no mouse. No person with a screen reader has tried it: axe finds a part.

States, widths, sizes of text and colours are paired so that every two values of different kinds meet in some combination.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.axe import found_by_axe, pairwise
from tests.e2e.staged import Staged
from tests.e2e.states import STATES

pytestmark = pytest.mark.timeout(120)

WIDTHS = (320, 420, 900)
SIZES = (100, 200)  # percent of the text
COLOURS = ("light", "dark", "forced")

MESSAGES = 16  # enough to scroll

Combination = tuple[str, int, int, str, str]


COMBINATIONS: list[Combination] = pairwise(STATES, WIDTHS, SIZES, COLOURS, ("en", "ar"))


def _seen(browser: Browser, state: str, combinations: list[Combination]) -> list[tuple[Combination, str]]:
    """What is wrong with a state: opened once, looked at in each of its widths, sizes and colours."""
    staged = Staged(browser)
    staged.open(before=STATES[state].before, messages=MESSAGES, playhead_s=MESSAGES)
    staged.value(f"{STATES[state].after}; null")
    staged.until(f"chat.shadowRoot.querySelector('{STATES[state].has}')")
    found: list[tuple[Combination, str]] = []
    for combination in combinations:
        _, width, percent, colours, lang = combination
        staged.page.set_viewport_size({"width": width, "height": 700})
        staged.page.emulate_media(
            color_scheme="light" if colours == "light" else "dark",
            forced_colors="active" if colours == "forced" else "none",
        )
        staged.dress(percent, lang)
        found += [(combination, one) for one in found_by_axe(staged)]
        if staged.value(
            "Math.max(document.documentElement.scrollWidth - document.documentElement.clientWidth, "
            "chat.scrollWidth - chat.clientWidth, ...['.log', '.sheet', 'form'].map((name) => { "
            "const part = chat.shadowRoot.querySelector(name); return part ? part.scrollWidth - part.clientWidth : 0; })) > 0"
        ):
            found.append((combination, "wider than there is room"))
    found += [(combinations[0], complaint) for complaint in staged.complaints]
    staged.page.close()
    return found


def test_axe_finds_nothing_in_any_state(browser: Browser, stage_script: None) -> None:
    """No violation, and nothing cut off, in every state at every width, size of text, colours and language."""
    assert len(COMBINATIONS) >= 24
    found = []
    for state in STATES:
        found += _seen(browser, state, [one for one in COMBINATIONS if one[0] == state])

    assert [] == found


@pytest.fixture
def staged(browser: Browser, stage_script: None) -> Iterator[Staged]:
    """The chat alone in a page."""
    page = Staged(browser)
    yield page
    page.page.close()


def test_a_host_joins_reads_back_sends_reports_and_hides_by_keyboard(staged: Staged) -> None:
    """Tab, arrows, Enter and Escape do all of it, and the focus is never lost."""
    staged.open(before=STATES["actions"].before)
    page = staged.page
    where = (
        "(() => { const at = chat.shadowRoot.activeElement; "
        "return at === null ? null : at.localName === 'textarea' ? 'field' : at.dataset.action ?? at.dataset.offset ?? at.className ?? at.localName; })()"
    )

    def press(*keys: str) -> str | None:
        for key in keys:
            page.keyboard.press(key)
        staged.value("chat.updateComplete.then(() => null)")
        focus: str | None = staged.value(where)
        return focus

    def tab_to(what: str) -> None:
        led_to: list[str | None] = []
        while what not in led_to and len(led_to) < 40:
            led_to.append(press("Tab"))
        assert what in led_to, led_to

    tab_to("log")
    assert "60" == press("ArrowUp")
    assert "57" == press("ArrowUp", "ArrowUp", "ArrowUp")
    expect(page.locator("chatsync-chat .resume")).to_be_visible()
    assert "57" == press("m")
    tab_to("report")
    assert "57" == press("Enter")
    tab_to("more")
    press("Enter")
    tab_to("hide")
    assert "57" == press("Enter")
    press("Enter")  # on a row: to its moment
    tab_to("field")
    page.keyboard.type("good morning")
    press("Enter", "Escape")

    acts = staged.value(
        "stage.frames.filter((frame) => frame.type === 'act').map(({ action, target }) => [action, target])"
    )
    assert [["report", 57], ["hide", 57]] == acts
    assert ["good morning"] == staged.value(
        "stage.frames.filter((frame) => frame.type === 'say').map(({ text }) => text)"
    )
    assert [staged.value("stage.t0 + 56_000")] == staged.value("stage.player.sought")
    expect(page.locator("chatsync-chat .resume")).to_have_count(0)
    assert [] == staged.complaints


def test_exactly_the_new_messages_are_announced(staged: Staged) -> None:
    """Counted, at most every 3 s; nobody's own, nothing while the room is opened, and nothing on a seek."""
    staged.page.clock.install()
    staged.open()
    staged.value(
        "window.announced = []; const region = chat.shadowRoot.querySelector('[aria-live=polite].unseen'); "
        "new MutationObserver(() => announced.push(region.textContent)).observe(region, "
        "{ childList: true, subtree: true, characterData: true }); null"
    )
    staged.page.clock.run_for(4_000)
    for second in (61, 62, 63):
        staged.value(f"stage.say(stage.t0 + {second}_000); null")
        staged.show(second)
    staged.page.clock.run_for(2_000)
    assert [] == staged.value("announced")
    staged.page.clock.run_for(2_000)
    assert ["3 new messages"] == staged.value("announced")
    staged.value("stage.player.seek(stage.t0 + 20_000); null")
    staged.until("chat.shown.cutoffMs === stage.t0 + 20_000 && chat.shown.settled")
    staged.value("stage.say(stage.t0 + 20_500, { author: stage.you }); null")
    staged.show(20.6)
    staged.page.clock.run_for(8_000)

    assert ["3 new messages"] == staged.value("announced")
