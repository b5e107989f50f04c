"""Which pages may connect: exact origins (security-and-privacy §1)."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest
from pydantic import SecretStr

from chatsync.service.app import create_app
from chatsync.service.clock import ManualClock
from chatsync.service.origins import is_allowed_origin
from chatsync.service.room_settings import RoomSettings
from chatsync.service.settings import Settings

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


async def test_an_answer_without_cors_headers_says_that_it_varies_by_origin(tmp_path: Path) -> None:
    """A cache must not hand one page's answer to another that may or may not read it."""
    room = RoomSettings(public=True, origins=("https://school.example",))
    settings = Settings(
        data_folder=tmp_path, token_secret=SecretStr("9f8e7d6c5b4a39281706f5e4d3c2b1a0ff"), rooms={"math": room}
    )
    app = create_app(settings, ManualClock())
    transport = httpx2.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://relay") as http,
    ):
        for origin, allowed in (("https://school.example", True), ("https://evil.example", False), (None, False)):
            headers = {} if origin is None else {"Origin": origin}
            answer = await http.get("/v1/rooms/math/chat.json", headers=headers)
            assert "Origin" in answer.headers["vary"]
            assert allowed == ("access-control-allow-origin" in answer.headers)
        page = await http.get("/docs")
        assert "script" not in page.text
        assert "/v1/rooms/{room}/chat.json" in page.text
