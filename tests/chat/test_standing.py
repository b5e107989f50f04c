"""What holds beyond a broadcast: mode, mutes, bans."""

from __future__ import annotations

from chatsync.chat.standing import Standing
from chatsync.instants import SECOND_US
from tests.builders import BASE_US, event


def _sanction(kind: str, offset: int = 1, until_ms: int | None = None) -> Standing:
    standing = Standing()
    standing.take(event(offset, kind, details={"author": "k", "reason": None, "until_ms": until_ms}))
    return standing


def test_a_mute_holds_until_somebody_ends_it() -> None:
    """Without an end it lasts."""
    standing = _sanction("muted")
    assert standing.sanction("muted", "k", BASE_US + 10**15) is not None
    assert standing.sanction("banned", "k", BASE_US) is None
    assert standing.sanction("muted", "other", BASE_US) is None
    standing.take(event(2, "unmuted", details={"author": "k"}))
    assert standing.sanction("muted", "k", BASE_US) is None


def test_a_ban_with_an_end_ends_by_itself() -> None:
    """At that instant of wall time, not one before."""
    standing = _sanction("banned", until_ms=BASE_US // 1_000)
    assert standing.sanction("banned", "k", BASE_US - 1) is not None
    assert standing.sanction("banned", "k", BASE_US) is None
    assert {} == standing.banned


def test_the_last_word_counts() -> None:
    """A second mute replaces the first, longer or shorter."""
    standing = _sanction("muted")
    standing.take(event(2, "muted", details={"author": "k", "until_ms": BASE_US // 1_000}))
    assert standing.sanction("muted", "k", BASE_US + SECOND_US) is None


def test_a_mode_is_kept_part_by_part() -> None:
    """None until somebody sets one."""
    standing = Standing()
    assert standing.mode is None
    standing.take(event(1, "mode_changed", details={"mode": {"slow_ms": 5_000}}))
    standing.take(event(2, "mode_changed", details={"mode": {"write": "hosts"}}))
    assert {"slow_ms": 5_000, "write": "hosts"} == standing.mode


def test_other_kinds_change_nothing() -> None:
    """A message is no mute."""
    standing = Standing()
    standing.take(event(1))
    standing.take(event(2, "hidden", details={"author": "k"}))
    assert Standing() == standing
