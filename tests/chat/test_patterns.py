"""Patterns: what they search, what they may cost, and that no text keeps them busy."""

from __future__ import annotations

import time

import pytest

from chatsync.chat.patterns import PATTERN_BYTES_MAX, PATTERNS_MAX, PROGRAM_MAX, PROGRAMS_MAX, Patterns
from chatsync.errors import SettingsError

BITTEN = "a" * 65_536
# What keeps a backtracking engine busy for longer than anybody waits; each is followed by what the text does not have.
BUSY = [
    *[
        f"({inner})+{end}"
        for inner in ("a+", "a*", "a|a", "a|aa", "a|a?", "(a+)", "[a-z]+", r"\w+", ".+", "(.*)a")
        for end in ("$x", "!")
    ],
    *[f"(?:{inner}){{{count},}}!" for inner in ("a?", "aa?", "a|b|ab") for count in (2, 10, 25)],
    *["a*" * count + "!" for count in (2, 5, 10, 20, 40)],
    *[f"(?:a?){{{count}}}a{{{count}}}!" for count in (5, 10, 20, 40)],
    r"^(([a-z])+.)+[A-Z]([a-z])+$!",
    r"^(a|ab|abc|abcd)*!$",
    r"(x+x+)+y",
    r"^([a-zA-Z0-9])(([\-.]|[_]+)?([a-zA-Z0-9]+))*(@){1}[a-z0-9]+[.]{1}(([a-z]{2,3})|([a-z]{2,3}[.]{1}[a-z]{2,3}))$",
    r"^(\w+\s?)*!$",
    r"(.*a){12}!",
    r"(.*)(.*)(.*)(.*)!",
    r"\s*a\s*a\s*!",
    r"^(.*?,){11}P",
    r"(a+){1,9}(a+){1,9}!",
    r"(?i)(?:a|A)+b+!",
    r"(?s).*.*.*=.*",
]


def lists(*patterns: str) -> Patterns:
    """These patterns as one list."""
    return Patterns((pattern, "refused_patterns") for pattern in patterns)


@pytest.mark.parametrize("pattern", BUSY)
def test_no_pattern_is_kept_busy(pattern: str) -> None:
    """64 KiB made to send a pattern back and forth are searched, and the answer is right."""
    started_s = time.process_time()

    assert [] == list(lists(pattern).found(BITTEN))
    assert time.process_time() - started_s < 5  # a backtracking engine would need longer than the universe has


def test_there_are_enough_of_them() -> None:
    """Fifty different ones at least."""
    assert len(set(BUSY)) >= 50


def test_both_copies_are_searched_without_regard_to_case() -> None:
    """A pattern sees the folded text and its skeleton, and tells which one it was."""
    patterns = lists(r"discord\.gg/\w+", r"\bTEL[: ]\d{5,}")

    assert [("discord\\.gg/\\w+", "refused_patterns")] == list(patterns.found("dіscord.gg/x", "discord.gg/x"))
    assert [r"\bTEL[: ]\d{5,}"] == [pattern for pattern, _ in patterns.found("tel 012345")]
    assert [] == list(patterns.found("nothing", "to see"))


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(?=a)", "refused_patterns, pattern 2 is no RE2: invalid perl operator"),
        (r"(a)\1", "pattern 2 is no RE2: invalid escape sequence"),
        ("(", "pattern 2 is no RE2: missing"),
        ("[z-a]", "is no RE2: invalid character class range"),
        ("a{2000}", "is no RE2: invalid repetition size"),
        ("x*", "pattern 2 matches every text"),
        ("", "matches every text"),
        ("(?:abc){700}", "pattern 2 is too costly"),
        (r"(\pL{1,10}){1,20}x", "pattern 2 is too costly"),
        ("é" * (PATTERN_BYTES_MAX // 2 + 1), "is longer than 1024 bytes"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_told_by_its_number(pattern: str, reason: str) -> None:
    """Which one it is and what is wrong with it, without repeating it."""
    with pytest.raises(SettingsError) as refused:
        lists("fine", pattern)

    assert reason in str(refused.value)


def test_a_room_has_so_many() -> None:
    """200 pass, and one more does not, whichever list it is in."""
    Patterns((f"word{number}", "held_patterns") for number in range(PATTERNS_MAX))
    with pytest.raises(SettingsError, match="at most 200"):
        Patterns((f"word{number}", f"list {number % 2}") for number in range(PATTERNS_MAX + 1))


def test_all_together_may_cost_so_much() -> None:
    """Patterns of which each alone would pass are refused together."""
    dear = "(?:ab?){200}" + "c" * 700
    count = PROGRAMS_MAX // PROGRAM_MAX

    lists(dear)
    with pytest.raises(SettingsError, match="too costly together"):
        lists(*[f"{dear}{number}" for number in range(3 * count)])
