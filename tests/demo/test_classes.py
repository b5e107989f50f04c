"""The story of a term: the same for the same seed, and with something in it to find."""

from __future__ import annotations

import pytest

from chatsync.demo.classes import LECTURE_US, term
from chatsync.instants import MINUTE_US, SECOND_US


def test_a_seed_is_a_term() -> None:
    """The same seed tells the same story, another seed another one."""
    assert term(7) == term(7)
    assert term(7) != term(8)


@pytest.mark.parametrize("seed", range(5))
def test_chat_answers_to_what_is_on_screen(seed: int) -> None:
    """In each lecture the minutes after something amazing hold several times as much as an ordinary one, and never begin before it."""
    _, lectures = term(seed)
    assert 12 == len(lectures)
    for lecture in lectures:
        amazing = next(moment for moment in lecture.moments if moment.what == "amazing")
        said_us = [one.at_us for one in lecture.said if one.kind == "message"]
        ordinary = len(said_us) / (LECTURE_US / (30 * SECOND_US))
        after = sum(amazing.start_us <= at_us < amazing.end_us + 15 * SECOND_US for at_us in said_us)
        before = sum(amazing.start_us - 30 * SECOND_US <= at_us < amazing.start_us for at_us in said_us)
        assert after > 4 * ordinary
        assert before < after / 3


@pytest.mark.parametrize("seed", range(5))
def test_a_lecture_is_whole(seed: int) -> None:
    """Everything lies within the lecture in order, names what was said before it, and viewers are counted by minute."""
    students, lectures = term(seed)
    for lecture in lectures:
        assert LECTURE_US // MINUTE_US == len(lecture.viewers)
        assert [one.at_us for one in lecture.said] == sorted(one.at_us for one in lecture.said)
        named: set[str] = set()
        for one in lecture.said:
            assert 0 <= one.at_us < LECTURE_US
            assert one.of == "" or one.of in named
            assert one.student is None or (one.student in lecture.present and one.student < len(students))
            named.add(one.name)
