"""What a room's messages are checked against: which rule speaks first, what is remembered, and for how long."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatsync.chat.screening import AUTHORS_MAX, SAID_MAX, WORDS_MAX, Screening, ScreeningRules, Verdict
from chatsync.errors import SettingsError
from chatsync.instants import SECOND_US


def screening(**rules: Any) -> Screening:
    """A room with these rules and no others."""
    return Screening(ScreeningRules(**rules))


def test_a_room_without_rules_lets_everything_pass() -> None:
    """Nothing speaks against anything, however often it is said."""
    room = screening()

    assert [None] * 50 == [room.judge("https://x.example same again", "ann", 0) for _ in range(50)]
    assert (0, 0) == room.remembered


def test_words_are_refused_or_held() -> None:
    """Each list leads to what it is for; where both speak, the message is refused; moderators learn the entry."""
    room = screening(refused_words=("spam",), held_words=("exam",))

    assert Verdict("refuse", "word", "refused_words: spam") == room.judge("sp4m!", "ann", 0)
    assert Verdict("hold", "word", "held_words: exam") == room.judge("the exam", "ann", 0)
    assert "refuse" == getattr(room.judge("exam and spam", "ann", 0), "action", None)
    assert room.judge("fine", "ann", 0) is None


@pytest.mark.parametrize("action", ["refuse", "hold"])
def test_a_built_in_list_does_what_the_room_wants(action: Any) -> None:
    """Its words are refused, or held until somebody has looked."""
    room = screening(lists=(("xx", ("gadzooks",)),), lists_action=action)

    assert Verdict(action, "word", "xx: gadzooks") == room.judge("GADZOOKS", "ann", 0)


def test_patterns_are_refused_or_held() -> None:
    """They see look-alikes as what they look like, and a refusing one beats a holding one."""
    room = screening(refused_patterns=(r"tel\s*\d{6}",), held_patterns=(r"\d{4}", "pаss"))

    assert Verdict("refuse", "pattern", r"refused_patterns: tel\s*\d{6}") == room.judge("ＴＥＬ 123456", "ann", 0)
    assert Verdict("hold", "pattern", r"held_patterns: \d{4}") == room.judge("in 1984", "ann", 0)
    assert room.judge("in 84", "ann", 0) is None


@pytest.mark.parametrize(
    ("text", "is_refused"),
    [
        ("look: https://evil.example/x", True),
        ("evil[.]com", True),
        ("https://schооl.example/", True),
        ("https://school.example@evil.example/", True),
        ("https://www.school.example/x and http://school.example", False),
        ("no link", False),
    ],
)
def test_links_are_refused_but_to_hosts_that_may_be(text: str, is_refused: bool) -> None:
    """Where the mode has them off, also those that are spelled around it; a host that only looks like one that may be is another."""
    room = screening(link_hosts=("school.example",))

    assert (Verdict("refuse", "link") if is_refused else None) == room.judge(text, "ann", 0, links=False)
    assert room.judge(text, "ann", 0) is None


def test_the_same_text_is_refused_while_the_window_is_open() -> None:
    """By the same person, whatever is changed that one does not read; another person may say it, and so may they later."""
    room = screening(duplicate_window_us=30 * SECOND_US)
    say = "please look at my channel"

    assert room.judge(say, "ann", 0) is None
    assert Verdict("refuse", "duplicate") == room.judge(f" {say.upper()}!!!", "ann", SECOND_US)
    assert Verdict("refuse", "duplicate") == room.judge(say.replace("a", "а"), "ann", 29 * SECOND_US)
    assert room.judge(say, "ben", SECOND_US) is None
    assert room.judge(say, "ann", 30 * SECOND_US) is None


def test_short_answers_may_be_given_again() -> None:
    """A "yes" answers more than one question."""
    room = screening(duplicate_window_us=30 * SECOND_US)

    assert [None] * 5 == [room.judge("yes, I do", "ann", 0) for _ in range(5)]


def test_a_second_try_is_no_duplicate_and_no_flood() -> None:
    """A client that lost the ack sends the same id again, and hears of nothing."""
    room = screening(duplicate_window_us=30 * SECOND_US, flood_messages=1)

    assert [None] * 4 == [room.judge("why is it negative?", "ann", at, id="m1") for at in range(4)]
    assert getattr(room.judge("why is it negative?", "ann", 5, id="m2"), "rule", None) == "flood"


def test_what_was_refused_was_not_said() -> None:
    """A word that is refused is refused as a word again."""
    room = screening(refused_words=("viagra",), duplicate_window_us=30 * SECOND_US)

    assert ["word"] * 2 == [getattr(room.judge("cheap viagra for you", "ann", at), "rule", None) for at in (0, 1)]


def test_a_flood_is_told_how_long_to_wait() -> None:
    """So many in a window, and then one each time a share of it has passed; who waits as told gets through."""
    room = screening(flood_messages=5, flood_window_us=10 * SECOND_US)

    assert [None] * 5 == [room.judge(f"message {number}", "ann", 0) for number in range(5)]
    refused = room.judge("message 6", "ann", 0)
    assert Verdict("refuse", "flood", retry_after_us=2 * SECOND_US) == refused
    assert room.judge("hello", "ben", 0) is None
    assert refused is not None
    assert Verdict("refuse", "flood", retry_after_us=1) == room.judge("message 6", "ann", refused.retry_after_us - 1)
    assert room.judge("message 6", "ann", refused.retry_after_us) is None


@given(st.lists(st.integers(0, 3 * SECOND_US), max_size=80))
def test_no_window_lets_more_pass_than_twice_its_number(gaps_us: list[int]) -> None:
    """Whatever the pace, what passes within any window is bounded."""
    room, passed, now_us = screening(flood_messages=4, flood_window_us=8 * SECOND_US), [], 0
    for number, gap_us in enumerate(gaps_us):
        now_us += gap_us
        if room.judge(f"message {number}", "ann", now_us) is None:
            passed.append(now_us)

    assert all(later - earlier >= 8 * SECOND_US for earlier, later in zip(passed, passed[8:], strict=False))


def test_memory_is_bounded_and_empties() -> None:
    """A room remembers so many texts and people, and none of them for long."""
    room = screening(duplicate_window_us=SECOND_US, flood_messages=2, flood_window_us=SECOND_US)
    for number in range(AUTHORS_MAX + SAID_MAX):
        room.judge(f"some longer text {number}", f"author {number}", 0)

    assert (SAID_MAX, AUTHORS_MAX) == room.remembered
    room.judge("another longer text", "ann", 61 * SECOND_US)
    assert (1, 1) == room.remembered


def test_rooms_with_the_same_rules_share_their_lists() -> None:
    """10,000 rooms of a school do not hold 10,000 copies of a list, but each its own memory."""
    first, second = (
        screening(refused_words=("spam",), flood_messages=1),
        screening(refused_words=("spam",), flood_messages=1),
    )
    first.judge("hello", "ann", 0)

    assert first._compiled is second._compiled
    assert second.judge("hello", "ann", 0) is None


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ({"refused_words": ("!",)}, "two letters"),
        ({"held_patterns": ("(",)}, "held_patterns, pattern 1 is no RE2"),
        ({"refused_words": tuple(f"word{number}" for number in range(WORDS_MAX + 1))}, "at most 2000"),
    ],
)
def test_rules_that_cannot_be_used_are_refused(rules: dict[str, Any], reason: str) -> None:
    """When the room is made, not when somebody writes."""
    with pytest.raises(SettingsError, match=reason):
        screening(**rules)
