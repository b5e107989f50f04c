"""Whose vote counts: before the close, by the picture of whoever votes."""

from __future__ import annotations

from typing import Any

import pytest

from chatsync.chat.polls import OPEN_POLLS_MAX, Polls, checked_choices
from chatsync.errors import MessageRejectedError, NotFoundError
from chatsync.instants import SECOND_US
from tests.builders import BASE_US, event

CLOSE_US = BASE_US + 60 * SECOND_US


def _opened(name: str = "p1", **details: Any) -> Any:
    given = {"poll": name, "question": "?", "choices": ["a", "b", "c"], "multiple": False} | details
    return event(1, "poll_opened", BASE_US, details=given)


def _closed(name: str = "p1") -> Any:
    return event(9, "poll_closed", CLOSE_US, details={"poll": name})


def _polls(*events: Any) -> Polls:
    polls = Polls()
    for one in events:
        polls.take(one)
    return polls


def _code(polls: Polls, author: str, program_us: int, watermark_us: int | None = None) -> str:
    try:
        polls.voted_on("p1", author, program_us, watermark_us=watermark_us)
    except MessageRejectedError as error:
        return error.reason
    return "counts"


def test_an_open_poll_takes_votes() -> None:
    """Wherever the voter's picture is."""
    polls = _polls(_opened())
    assert ["counts", "counts"] == [_code(polls, "k", BASE_US), _code(polls, "k", CLOSE_US, CLOSE_US + 1)]


def test_a_slow_line_may_vote_until_the_close_reaches_its_picture() -> None:
    """A microsecond before the close counts; at the close it does not."""
    polls = _polls(_opened(), _closed())
    assert "counts" == _code(polls, "slow", CLOSE_US - 1, watermark_us=CLOSE_US)
    assert "poll_closed" == _code(polls, "slow", CLOSE_US)


def test_who_has_seen_the_close_cannot_go_back_to_vote() -> None:
    """A playhead at or past the close decides, for its person alone."""
    polls = _polls(_opened(), _closed())
    polls.receive_playhead("quick", 1, CLOSE_US)
    polls.receive_playhead("slow", 1, CLOSE_US - 1)
    polls.receive_playhead("elsewhere", 2, CLOSE_US + 1)
    codes = [_code(polls, who, CLOSE_US - 1) for who in ("quick", "slow", "elsewhere")]
    assert ["poll_closed", "counts", "counts"] == codes


def test_nothing_counts_once_the_watermark_has_passed() -> None:
    """Then the tally is final, and is told once."""
    polls = _polls(_opened(), _closed())
    assert [] == polls.finals(CLOSE_US)
    assert "poll_closed" == _code(polls, "slow", CLOSE_US - 1, watermark_us=CLOSE_US + 1)
    assert [[9], []] == [[one.offset for one in polls.finals(CLOSE_US + 1)] for _ in range(2)]


def test_nothing_is_final_while_a_stream_is_awaited() -> None:
    """No watermark, no end."""
    assert [] == _polls(_opened(), _closed()).finals(None)


def test_a_name_is_used_once_in_a_broadcast() -> None:
    """Also after its poll was closed: the tallies go by name."""
    for polls in (_polls(_opened()), _polls(_opened(), _closed())):
        with pytest.raises(MessageRejectedError, match="name"):
            polls.check_opening("p1")


def test_only_so_many_are_open_at_once() -> None:
    """Closing one makes room."""
    polls = _polls(*(_opened(f"p{number}") for number in range(OPEN_POLLS_MAX)))
    with pytest.raises(MessageRejectedError, match="At most"):
        polls.check_opening("more")
    polls.take(_closed("p0"))
    polls.check_opening("more")


def test_an_unknown_poll_is_not_found() -> None:
    """For a vote and for a close."""
    with pytest.raises(NotFoundError):
        _polls().opened("p1")
    with pytest.raises(NotFoundError):
        _polls().voted_on("p1", "k", 0, watermark_us=None)


def test_a_closed_poll_cannot_be_closed_again() -> None:
    """Its close stands where it stands."""
    with pytest.raises(MessageRejectedError, match="closed"):
        _polls(_opened(), _closed()).opened("p1")


@pytest.mark.parametrize("chosen", [(), (3,), (-1,), ("0",), (True,), (0, 1), (1, 1)])
def test_choices_a_poll_does_not_have_are_refused(chosen: tuple[object, ...]) -> None:
    """By index, of this poll, each once, and one where one is asked for."""
    with pytest.raises(MessageRejectedError) as refused:
        checked_choices(_opened(), chosen)
    assert "bad_choices" == refused.value.reason


def test_where_several_may_be_chosen_they_are_sorted() -> None:
    """The same choice however it was clicked."""
    assert [0, 2] == checked_choices(_opened(multiple=True), (2, 0))
