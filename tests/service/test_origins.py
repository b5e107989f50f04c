"""Which pages may connect: exact origins (security-and-privacy §1)."""

from __future__ import annotations

import pytest

from chatsync.service.origins import is_allowed_origin

ALLOWED = ("https://school.example", "https://school.example:8443", "http://localhost:3000")
HOST = "chat.example:8040"

GOOD = ["https://school.example", "https://school.example:8443", "http://localhost:3000", "http://chat.example:8040"]
BAD = [
    "null",
    "",
    "*",
    "https://school.example.evil.example",
    "https://evilschool.example",
    "https://sub.school.example",
    "http://school.example",
    "https://school.example:443",
    "https://school.example:8444",
    "https://school.example/",
    "https://SCHOOL.example",
    "https://school.example.",
    "https://school.example@evil.example",
    "https://evil.example#https://school.example",
    "https://evil.example?https://school.example",
    "https://school.example https://evil.example",
    "https://xn--school-example",
    "https://school%2eexample",
    "ftp://chat.example:8040",
    "http://chat.example",
    "http://chat.example:8041",
    "http://chat.example:8040/path",
    "http://user@chat.example:8040",
    "http://[::1",
    "file://",
    "data:text/html,x",
    "chrome-extension://abc",
    "https://school\u3002example",
]


@pytest.mark.parametrize("origin", GOOD)
def test_listed_origins_and_our_own_may_connect(origin: str) -> None:
    """Scheme, host and port as listed, or the relay's own page."""
    assert is_allowed_origin([origin], host=HOST, allowed=ALLOWED)


@pytest.mark.parametrize("origin", BAD)
def test_everything_else_may_not(origin: str) -> None:
    """No suffix, prefix, case, port or trick."""
    assert not is_allowed_origin([origin], host=HOST, allowed=ALLOWED)


def test_two_origin_headers_are_refused_and_none_is_a_native_client() -> None:
    """A browser sends exactly one; a program none, and is held by its token."""
    assert not is_allowed_origin([GOOD[0], GOOD[0]], host=HOST, allowed=ALLOWED)
    assert is_allowed_origin([], host=HOST, allowed=ALLOWED)
