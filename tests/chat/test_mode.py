"""Modes: parts that combine, and profiles that keep some of them."""

from __future__ import annotations

from typing import Any

import pytest

from chatsync.chat.mode import (
    PROFILES,
    REPLIES_MAX,
    REPLY_CODE_POINTS_MAX,
    SLOW_MS_MAX,
    Mode,
    changed_mode,
    mode_to_wire,
)
from chatsync.errors import MessageRejectedError


def test_a_change_names_parts_and_leaves_the_rest() -> None:
    """Chat goes off, questions stay."""
    assert Mode(messages=False, slow_ms=5_000) == changed_mode(Mode(slow_ms=5_000), {"messages": False})


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"volume": 3},
        {"write": "somebody"},
        {"write": None},
        {"slow_ms": -1},
        {"slow_ms": SLOW_MS_MAX + 1},
        {"slow_ms": "5000"},
        {"slow_ms": 1.5},
        {"approval": "yes"},
        {"replies": "yes"},
        {"replies": [""]},
        {"replies": ["x" * (REPLY_CODE_POINTS_MAX + 1)]},
        {"replies": ["x"] * (REPLIES_MAX + 1)},
        {"replies": [1]},
    ],
)
def test_what_is_no_mode_is_refused(parts: dict[str, Any]) -> None:
    """A host who closes a door must not believe it closed because a word was misspelt."""
    with pytest.raises(MessageRejectedError) as refused:
        changed_mode(Mode(), parts)
    assert "bad_mode" == refused.value.reason


def test_the_limits_themselves_are_within() -> None:
    """An hour of slow mode, twenty replies of sixty characters."""
    replies = ["x" * REPLY_CODE_POINTS_MAX] * REPLIES_MAX
    changed = changed_mode(Mode(), {"slow_ms": SLOW_MS_MAX, "replies": replies})
    assert (SLOW_MS_MAX, tuple(replies)) == (changed.slow_ms, changed.replies)


def test_what_a_profile_fixes_nobody_changes() -> None:
    """But saying again what is so already is no change."""
    fixed, mode = PROFILES["minors"].fixed, PROFILES["minors"].mode
    for parts in ({"approval": False}, {"links": True}, {"private": True}):
        with pytest.raises(MessageRejectedError) as refused:
            changed_mode(mode, parts, fixed)
        assert "fixed_by_profile" == refused.value.reason
    assert mode == changed_mode(mode, {"approval": True, "links": False}, fixed)
    assert changed_mode(mode, {"write": "hosts"}, fixed).approval


def test_a_mode_travels_whole() -> None:
    """Every part of it, and it comes back the same."""
    mode = Mode(write="hosts", replies=("yes", "no"))
    assert set(Mode.__struct_fields__) == set(mode_to_wire(mode))
    assert mode == changed_mode(Mode(), mode_to_wire(mode))


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ("open", ("participants", 0, False, True, False, False, "read", "everyone", None)),
        ("public-event", ("everyone", 3_000, False, False, False, False, "read", "staff", None)),
        ("classroom", ("participants", 0, False, True, False, False, "read", "everyone", None)),
        ("minors", ("participants", 0, True, False, False, True, "none", "nobody", 90)),
    ],
)
def test_each_profile_is_what_it_says(profile: Any, expected: tuple[Any, ...]) -> None:
    """Who writes, slow mode, approval, links, private messages, names, guests, the list of those present, retention."""
    one = PROFILES[profile]
    mode = one.mode
    assert expected == (
        *(mode.write, mode.slow_ms, mode.approval, mode.links, mode.private),
        *(one.numbered_names, one.guests, one.participants, one.retention_days_max),
    )
