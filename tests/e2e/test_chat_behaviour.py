"""What a chat does beside a player, as a viewer sees it in a browser. The player and the room are moved by hand."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.staged import Staged
from tests.e2e.states import STATES

pytestmark = pytest.mark.timeout(60)

BOTTOM = "(() => { const log = chat.shadowRoot.querySelector('.log'); return log.scrollHeight - log.clientHeight - log.scrollTop; })()"
SHOWN = "chat.shown.messages.map((one) => one.offset)"
LAST_ROW = "chat.shadowRoot.querySelector('.row:last-child')"
TALK = STATES["following"].before


@pytest.fixture
def staged(browser: Browser, stage_script: None) -> Iterator[Staged]:
    """The chat alone in a page, which complains of nothing."""
    page = Staged(browser)
    yield page
    page.page.close()
    assert [] == page.complaints


def _rendered(staged: Staged) -> list[int]:
    rows: list[int] = staged.value(
        "[...chat.shadowRoot.querySelectorAll('.log [data-offset]')].map((row) => Number(row.dataset.offset))"
    )
    return rows


def test_a_seek_shows_the_last_50_pinned_at_the_bottom(staged: Staged) -> None:
    """Before the next frame is drawn they are there, by their place, and the pane stands at its end."""
    staged.open(messages=200, playhead_s=190.5)
    assert list(range(142, 192)) == _rendered(staged)
    staged.value("stage.player.seek(stage.t0 + 100_500); chat.updateComplete.then(() => null)")
    staged.until("chat.shown.settled")

    assert list(range(52, 102)) == _rendered(staged)
    assert 1 >= staged.value(BOTTOM)


def test_the_picture_paces_the_chat(staged: Staged) -> None:
    """Paused, nothing comes, whatever is said; at twice the speed twice as much comes in the same time."""
    staged.open(messages=120, playhead_s=60)
    counts = []
    for step_s in (0, 0, 1, 1, 2, 2):  # what a second of the viewer's shows: paused, at 1x, at 2x
        before = staged.value(f"{SHOWN}.at(-1)")
        staged.value(
            f"stage.player.show(stage.player.programMs + {step_s} * 1000); chat.updateComplete.then(() => null)"
        )
        counts.append(staged.value(f"{SHOWN}.at(-1)") - before)

    assert [0, 0, 1, 1, 2, 2] == counts


def test_a_viewer_chooses_with_the_picture_or_as_written(staged: Staged) -> None:
    """What lies ahead of the picture waits, unless one wants it now; the choice can be taken back."""
    staged.open(before=f"{TALK} stage.player.programMs = stage.t0 + 30_000;", playhead_s=60)
    assert 31 == staged.value(f"{SHOWN}.at(-1)")
    staged.page.locator("chatsync-chat button.sync").click()
    staged.until(f"{SHOWN}.at(-1) === 60")
    staged.page.locator("chatsync-chat button.sync").click()
    staged.until(f"{SHOWN}.at(-1) === 31")


def test_ones_own_message_shows_at_once(staged: Staged) -> None:
    """On its way it stands below, on disk it stands in the chat, though nobody else's after the picture does."""
    staged.open(before=f"{TALK} stage.onSay = () => ({{ type: 'ignored' }});")
    field = staged.page.locator("chatsync-chat textarea")
    field.fill("good morning")
    field.press("Enter")
    expect(staged.page.locator("chatsync-chat .own .row")).to_contain_text("Sending…")
    staged.value(
        "stage.onSay = () => null; const sent = stage.frames.find((frame) => frame.type === 'say'); "
        "stage.receive([...stage.sockets][0], sent); null"
    )
    expect(staged.page.locator("chatsync-chat .own .row")).to_have_count(0)
    expect(staged.page.locator("chatsync-chat .row").last).to_contain_text("good morning")


def test_a_held_message_waits_for_approval(staged: Staged) -> None:
    """It is said so, and approved it becomes a message."""
    staged.open(before=STATES["held"].before)
    field = staged.page.locator("chatsync-chat textarea")
    field.fill("may I?")
    field.press("Enter")
    own = staged.page.locator("chatsync-chat .own .row")
    expect(own).to_contain_text("Waiting for approval")
    staged.value(
        "stage.say(stage.t0 + 60_000, { text: 'may I?', author: stage.you, held: 9, "
        "id: stage.frames.find((frame) => frame.type === 'say').id }); null"
    )
    expect(own).to_have_count(0)
    expect(staged.page.locator("chatsync-chat .row").last).to_contain_text("may I?")


def test_a_message_of_a_rewound_viewer_shows_its_moment(staged: Staged) -> None:
    """Its chip, and the time of any message, lead there."""
    staged.open(before=TALK)
    row = staged.page.locator('chatsync-chat [data-offset="59"]')
    expect(row.locator(".chip")).to_contain_text("said while watching")
    row.locator(".chip").click()
    staged.page.locator('chatsync-chat [data-offset="60"] .time').click()

    assert staged.value("[stage.t0 + 58_000, stage.t0 + 59_000]") == staged.value("stage.player.sought")


def test_the_first_wheel_pauses_and_nothing_moves(staged: Staged) -> None:
    """It says why nothing new is seen and how much came; rows that come leave what is read where it is; one key resumes."""
    staged.open(before=TALK)
    staged.page.locator("chatsync-chat .log").hover()
    staged.page.mouse.wheel(0, -120)
    resume = staged.page.locator("chatsync-chat .resume button")
    expect(resume).to_contain_text("Chat paused")
    staged.until(
        "(() => { const top = chat.shadowRoot.querySelector('.log').scrollTop; const was = window.top1; window.top1 = top; return was === top; })()"
    )
    before = staged.value("chat.shadowRoot.querySelector('[data-offset=\"50\"]').getBoundingClientRect().top")
    for second in range(61, 98):
        staged.value(f"stage.say(stage.t0 + {second}_000); null")
        staged.show(second)
    expect(resume).to_contain_text("37 new")
    assert before == staged.value("chat.shadowRoot.querySelector('[data-offset=\"50\"]').getBoundingClientRect().top")

    staged.page.locator("chatsync-chat .log").focus()
    staged.page.keyboard.press("Escape")

    expect(resume).to_have_count(0)
    assert 1 >= staged.value(BOTTOM)


def test_what_is_hidden_vanishes_at_once(staged: Staged) -> None:
    """Also for somebody who has scrolled back to it, and a pin of it."""
    staged.open(before=TALK)
    staged.page.locator("chatsync-chat .log").hover()
    staged.page.mouse.wheel(0, -120)
    row = staged.page.locator('chatsync-chat [data-offset="55"]')
    expect(row).to_have_count(1)
    staged.value("stage.hide(55); chat.updateComplete.then(() => null)")

    assert 55 not in _rendered(staged)


def test_somebody_is_muted_for_me_alone(staged: Staged) -> None:
    """Their messages go, for whoever did it, and after a reload too; it can be undone."""
    staged.open(before=TALK)
    row = staged.page.locator('chatsync-chat [data-offset="55"]')  # of Student 1
    row.locator(".more").click()
    row.locator("[data-action=mute-for-me]").click()
    expect(staged.page.locator("chatsync-chat .row", has_text="Student 1")).to_have_count(0)
    assert [] == staged.value("stage.frames.filter((frame) => frame.type === 'act')")
    staged.open(before=TALK)
    expect(staged.page.locator("chatsync-chat .row", has_text="Student 1")).to_have_count(0)
    staged.page.locator("chatsync-chat button.options").click()
    staged.page.locator("chatsync-chat .sheet").get_by_role("button", name="Show again: Student 1").click()
    staged.page.keyboard.press("Escape")
    expect(staged.page.locator("chatsync-chat .row", has_text="Student 1").first).to_be_visible()


def test_a_flood_is_thinned_alike_for_everyone_and_read_in_full(staged: Staged, browser: Browser) -> None:
    """Twenty messages of a second, the same for two viewers, and how many there are more; scrolled back, all of them."""
    flood = "for (let n = 0; n < 104; n += 1) stage.say(stage.t0 + 60_100 + n, { author: 1 });"
    kept = []
    for page in (staged, Staged(browser, viewport={"width": 700, "height": 500})):
        page.open(before=TALK)
        page.value(f"{flood} null")
        page.show(60.5)
        kept.append(_rendered(page)[-20:])
        assert "+84 more" == page.value(f"{LAST_ROW}.textContent.trim()")
        if page is not staged:
            page.page.close()
    assert kept[0] == kept[1]
    assert 50 < kept[0][-1] - kept[0][0]

    staged.page.locator("chatsync-chat .log").hover()
    staged.page.mouse.wheel(0, -60)
    staged.until("chat.shadowRoot.querySelector('.left') === null")
    assert list(range(61, 165)) == _rendered(staged)[-104:]


def test_a_batch_is_drawn_once(staged: Staged) -> None:
    """A hundred messages that come between two frames make the page draw once, not a hundred times."""
    staged.open(before=f"{TALK} chat0 = document.querySelector('chatsync-chat'); chat0.sync = 'now';")
    drawn = staged.value(
        "new Promise((done) => { let drawn = 0; const log = chat.shadowRoot.querySelector('.rows'); "
        "new MutationObserver(() => { drawn += 1; }).observe(log, { childList: true }); "
        "for (let n = 0; n < 100; n += 1) stage.say(stage.t0 + 60_000 + n); setTimeout(() => done(drawn), 100); })"
    )
    assert 1 == drawn


def test_a_wrong_clock_of_the_stream_is_set_right_and_remembered(staged: Staged) -> None:
    """The chat comes later or earlier by what the viewer says, a click on a time still leads to the picture, a reload keeps it."""
    staged.open(before=TALK)
    staged.page.locator("chatsync-chat button.options").click()
    staged.page.locator("chatsync-chat .sheet").get_by_role("button", name="+5.0s").click()
    staged.until(f"{SHOWN}.at(-1) === 56")
    staged.page.keyboard.press("Escape")
    staged.page.locator('chatsync-chat [data-offset="56"] .time').click()
    assert [staged.value("stage.t0 + 60_000")] == staged.value("stage.player.sought")
    staged.open(before=TALK)

    assert 56 == staged.value(f"{SHOWN}.at(-1)")


def test_a_lost_connection_is_shown_until_it_is_back(staged: Staged) -> None:
    """And what was said meanwhile is there then."""
    staged.open(before=TALK)
    staged.value(STATES["offline"].after + "; null")
    note = staged.page.locator("chatsync-chat .note")
    expect(note).to_contain_text("Connection lost")
    staged.value(
        "stage.isDown = false; stage.model.say(stage.t0 + 60_000); window.dispatchEvent(new Event('online')); null"
    )

    expect(note).to_have_count(0)
    staged.until(f"{SHOWN}.at(-1) === 61")


def test_a_wrong_clock_of_the_device_changes_nothing(browser: Browser, stage_script: None) -> None:
    """A device that lives a year ahead shows the same rows, and makes ids from the relay's clock."""
    page = Staged(browser)
    page.page.clock.install(time="2030-01-01T00:00:00Z")
    page.open(before=TALK)
    page.value("chat.session.say('hello'); null")
    expect(page.page.locator("chatsync-chat .row").last).to_contain_text("hello")
    said = page.value("stage.frames.find((frame) => frame.type === 'say').id.replaceAll('-', '').slice(0, 12)")
    wall_ms = page.value("stage.t0 + 900_000")
    page.page.close()

    assert 60_000 > abs(int(said, 16) - wall_ms)


def test_a_background_tab_comes_back_right(staged: Staged) -> None:
    """A tab that was shown no frame for ten minutes is no seek: it goes on with what was said, at the bottom, in one step."""
    staged.open(messages=700, playhead_s=60)
    generation = staged.value("chat.shown.generation")
    staged.show(660.5)
    staged.until("chat.shown.settled")

    assert 661 == _rendered(staged)[-1]
    assert 1 >= staged.value(BOTTOM)
    assert generation == staged.value("chat.shown.generation")


def test_what_one_may_do_follows_the_mode(staged: Staged) -> None:
    """The field, reactions and the hand go when the mode takes them away, and come back with it; replies take their place."""
    staged.open(before=TALK)
    field = staged.page.locator("chatsync-chat textarea")
    expect(field).to_be_visible()
    staged.value(
        "stage.setState({ mode: { ...stage.state.mode, messages: false, questions: false, private: false, reactions: false, "
        "hands: false, replies: ['Slower, please'] } }); null"
    )
    expect(field).to_have_count(0)
    expect(staged.page.locator("chatsync-chat .tools")).to_have_count(0)
    staged.page.get_by_role("button", name="Slower, please").click()
    expect(staged.page.locator("chatsync-chat .row").last).to_contain_text("Slower, please")


def test_a_poll_opens_is_voted_in_and_told(staged: Staged) -> None:
    """The vote is sent, the tally shows once one has voted, the right answer when it is final."""
    staged.open(before=STATES["poll"].before)
    page = staged.page
    expect(page.locator("chatsync-chat progress")).to_have_count(0)
    page.get_by_label("no, it has a jump").check()
    page.get_by_role("button", name="Vote", exact=True).click()
    expect(page.locator("chatsync-chat .count").last).to_contain_text("68%")
    assert [["p1", [1]]] == staged.value(
        "stage.frames.filter((one) => one.type === 'act').map((one) => [one.poll, one.choices])"
    )


def test_those_who_run_the_room_see_to_it(staged: Staged) -> None:
    """The queue, reports and hands are theirs; a hidden message comes back by Undo; a ban is asked about once more."""
    staged.open(before=STATES["queue"].before)
    page = staged.page
    page.get_by_role("button", name="Moderation (2)").click()
    page.get_by_role("button", name="Approve: Student 1").click()
    page.get_by_role("button", name="Lower hand: Student 1").click()
    page.keyboard.press("Escape")
    row = page.locator('chatsync-chat [data-offset="59"]')
    row.locator(".more").click()
    row.locator("[data-action=hide]").click()
    page.get_by_role("button", name="Undo").click()
    row.locator(".more").click()
    row.locator("[data-action=ban]").click()
    row.get_by_role("button", name="Ban for good?").click()
    page.wait_for_timeout(20)

    acts = staged.value(
        "stage.frames.filter((one) => one.type === 'act').map((one) => [one.action, one.target ?? one.author])"
    )
    assert [["approve", 61], ["lower_hand", "a"], ["hide", 59], ["restore", 59], ["ban", "b"]] == acts


def test_questions_are_upvoted_and_answered_privately_asked_and_replied_to(staged: Staged) -> None:
    """An upvote once; a word to the hosts alone goes to them; a reply names what it answers."""
    staged.open(before=STATES["questions"].before)
    page = staged.page
    page.get_by_role("button", name="Questions (1)").click()
    page.locator("chatsync-chat [data-question] [aria-pressed]").click()
    expect(page.locator("chatsync-chat [data-question] [aria-pressed=true]")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_label("Kind of message").select_option("private")
    page.get_by_label("Write to the hosts").fill("I am lost")
    page.keyboard.press("Enter")
    row = page.locator('chatsync-chat [data-offset="59"]')
    row.locator(".more").click()
    row.locator("[data-action=answer]").click()
    page.keyboard.type("me too")
    page.keyboard.press("Enter")

    said = staged.value(
        "stage.frames.filter((one) => one.type === 'say').map((one) => [one.text, one.to ?? null, one.reply_to ?? null])"
    )
    assert [["I am lost", ["host"], None], ["me too", None, 59]] == said
    assert [["upvote", 57]] == staged.value(
        "stage.frames.filter((one) => one.type === 'act').map((one) => [one.action, one.target])"
    )


def test_reactions_fly_by(staged: Staged) -> None:
    """A tap is sent; what others tap is shown for a moment as the picture comes to it, and not read out."""
    staged.open(before=TALK)
    staged.page.get_by_role("button", name="React with 👏").click()
    staged.value(
        "stage.say(stage.t0 + 60_500, { kind: 'reaction', emoji: '👏', count: 12, author: null, text: null }); null"
    )
    staged.show(61)
    expect(staged.page.locator("chatsync-chat .tapped")).to_contain_text("👏 12")

    assert ["👏"] == staged.value("stage.frames.filter((one) => one.type === 'act').map((one) => one.emoji)")
