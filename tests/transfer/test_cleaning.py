"""What a file says within the bounds that hold for everybody."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatsync.chat.text import NAME_CODE_POINTS_MAX, TEXT_CODE_POINTS_MAX, clean_name, clean_text
from chatsync.transfer.cleaning import DETAILS_BYTES_MAX, Cleaning

_ANY = st.text(st.characters(), max_size=50) | st.text("a\u0301\u202e\u2067\x00\ud800 ", max_size=40)


@given(_ANY, st.integers(1, 300))
def test_a_text_is_clean_or_empty(said: str, times: int) -> None:
    """Whatever stood there, it could have been said in a room."""
    text, name = Cleaning().text(said * times), Cleaning().name(said * times)
    assert text == "" or text == clean_text(text)
    assert name == "" or name == clean_name(name)


@pytest.mark.parametrize("filling", ["x", "λ", "e\u0301", "\u202e", "🤔"])
def test_what_is_too_long_is_cut_and_counted(filling: str) -> None:
    """Never refused: nobody is there to write it again."""
    cleaning = Cleaning()
    text, name = cleaning.text(f"a{filling * 9_000}"), cleaning.name(f"a{filling * 9_000}")
    assert 0 < len(text) <= TEXT_CODE_POINTS_MAX
    assert 0 < len(name) <= NAME_CODE_POINTS_MAX
    assert {"texts": 1, "names": 1} == cleaning.cut


def test_controls_go_and_lines_stay() -> None:
    """In a name they are spaces."""
    assert "a\nb c" == Cleaning().text("a\r\nb\tc\x07\x1b")
    assert "a b" == Cleaning().name("a\n\x00b")


def test_badges_are_few() -> None:
    """And each is a name."""
    assert ("x",) * 9 == Cleaning().badges(("x", "") + ("x",) * 20)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _ANY,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_ANY, inner, max_size=4),
    max_leaves=10,
)


@given(st.dictionaries(_ANY, _VALUES, max_size=5))
def test_details_are_json_within_bounds(details: dict[str, Any]) -> None:
    """Whatever they were."""
    kept = Cleaning().details(details)
    packed = msgspec.json.encode(kept)
    assert len(packed) <= DETAILS_BYTES_MAX + 200
    assert kept == msgspec.json.decode(packed)


def test_details_name_nobody() -> None:
    """Names lie in one place, so what says who somebody is stays out, however deep it lies."""
    told = {
        "login": "amina",
        "tags": {"display-name": "Amina", "Login": "amina", "color": "red"},
        "users": [{"user_id": "7"}],
        "x": 1,
    }
    assert {"tags": {"color": "red"}, "users": [{}], "x": 1} == Cleaning().details(told)


def test_the_largest_details_go_first() -> None:
    """And it is counted."""
    cleaning = Cleaning()
    assert {"large": "x" * 1_000, "small": 1} == cleaning.details(
        {"large": "x" * 1_000, "larger": "x" * 1_100, "small": 1}
    )
    assert {"details": 1} == cleaning.cut
