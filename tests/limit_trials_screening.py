"""Trials of the limits on lists of words, patterns, filters and checks. Imported for what it registers."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from chatsync.chat.patterns import Patterns
from chatsync.chat.screening import Screening, ScreeningRules
from chatsync.chat.words import Entry
from chatsync.errors import SettingsError
from chatsync.instants import SECOND_US
from chatsync.service.room_settings import ScreeningSettings
from tests.limit_trials import FIXED, refuses, trial
from tests.service import test_external_filter as filters
from tests.service import test_human_check as checks
from tests.service.tripwire import reply


@trial("patterns")
def _patterns(_: Path) -> None:
    some = tuple(f"word{number}" for number in range(FIXED["patterns"] + 1))
    ScreeningSettings(refused_patterns=some[:100], held_patterns=some[100:-1])
    refuses(lambda: ScreeningSettings(refused_patterns=some[:100], held_patterns=some[100:]), ValidationError)


@trial("pattern")
def _pattern(_: Path) -> None:
    for more, is_taken in ((0, True), (1, False)):
        pattern = "x" * (FIXED["pattern"] + more)
        if is_taken:
            ScreeningSettings(refused_patterns=(pattern,))
        else:
            refuses(lambda: ScreeningSettings(refused_patterns=(pattern,)), ValidationError)  # noqa: B023 - called at once


@trial("pattern_program", "pattern_programs")
def _programs(_: Path) -> None:
    def program(size: int) -> str:
        """A pattern of that many instructions: each letter is one, and four stand around them."""
        return f"(?:{'a' * 100}){{{size // 100}}}{'a' * (size % 100)}"

    sizes = {size: next(iter(Patterns([(program(size), "x")])._compiled))[2].programsize for size in (500, 501)}
    around = sizes[500] - 500
    assert 1 == sizes[501] - sizes[500]
    one, all_of_them = FIXED["pattern_program"], FIXED["pattern_programs"]
    Patterns([(program(one - around), "x")])
    refuses(lambda: Patterns([(program(one - around + 1), "x")]), SettingsError)
    most = [(program(one - around), "x")] * (all_of_them // one)
    Patterns(most)
    refuses(lambda: Patterns([*most, ("b", "x")]), SettingsError)


@trial("words")
def _words(_: Path) -> None:
    some = tuple(f"word{number}x" for number in range(FIXED["words"] + 1))
    Screening(ScreeningRules(refused_words=some[:10], held_words=some[10:-1]))
    refuses(lambda: Screening(ScreeningRules(refused_words=some[:10], held_words=some[10:])), SettingsError)
    ScreeningSettings(refused_words=some[:10], held_words=some[10:-1])
    refuses(lambda: ScreeningSettings(refused_words=some[:10], held_words=some[10:]), ValidationError)


@trial("word")
def _word(_: Path) -> None:
    Entry("x" * FIXED["word"])
    refuses(lambda: Entry("x" * (FIXED["word"] + 1)), ValueError)
    refuses(lambda: ScreeningSettings(held_words=("x" * (FIXED["word"] + 1),)), ValidationError)


@trial("said", "paced")
def _memory(_: Path) -> None:
    for more in (0, 1):
        room = Screening(ScreeningRules(duplicate_window_us=SECOND_US, flood_messages=1))
        for number in range(FIXED["said"] + more):
            assert room.judge(f"quite a long text {number}", f"author {number}", 0) is None
        assert (FIXED["said"], FIXED["paced"]) == room.remembered


@trial("filter_answer")
async def _filter_answer(folder: Path) -> None:
    await filters.test_an_answer_as_large_as_may_be_is_read(folder)
    large = reply(b'{"verdict":"allow"}'.ljust(FIXED["filter_answer"] + 1))
    await filters.test_without_an_answer_the_settings_decide(
        folder, large, f"the answer is larger than {FIXED['filter_answer']} bytes", "hold"
    )


@trial("filter_requests_max")
async def _filter_requests(folder: Path) -> None:
    await filters.test_so_many_are_asked_about_at_once(folder)


@trial("human_checks_max")
async def _human_checks(folder: Path) -> None:
    await checks.test_so_many_are_asked_about_at_once(folder)


@trial("human_token", "human_check_answer")
async def _human_token(folder: Path) -> None:
    limit = FIXED["human_check_answer"]
    for more, is_taken in ((0, True), (1, False)):
        async with checks.checking(folder, reply(b'{"success":true}'.ljust(limit + more))) as (check, _):
            assert is_taken == await check.check("token")
        async with checks.checking(folder) as (check, _):
            assert is_taken == await check.check("x" * (FIXED["human_token"] + more))
