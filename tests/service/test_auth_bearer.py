"""The bearer header of ``service.auth``: which headers give a token, and which are refused."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from chatsync.errors import TokenError
from chatsync.service.auth import bearer_token

GOOD = "aaaa.bbbb.cccc"


def test_the_bearer_header_gives_the_token() -> None:
    """The scheme is read in any case; no header means no token."""
    assert GOOD == bearer_token(Headers({"Authorization": f"Bearer {GOOD}"}))
    assert GOOD == bearer_token(Headers({"Authorization": f"bearer  {GOOD}"}))
    assert bearer_token(Headers({})) is None


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", "Basic dTpw", GOOD, "Bearer a b", "Bearer a,b", "Bearer é"])
def test_a_malformed_header_is_no_guest(value: str) -> None:
    """Whoever shows something as credentials is refused, not let in as somebody without any."""
    with pytest.raises(TokenError):
        bearer_token(Headers(raw=[(b"authorization", value.encode("latin-1"))]))


def test_two_headers_are_refused() -> None:
    """Two Authorization headers could be read differently by a proxy and by us."""
    raw = [(b"authorization", f"Bearer {GOOD}".encode())] * 2
    with pytest.raises(TokenError):
        bearer_token(Headers(raw=raw))
