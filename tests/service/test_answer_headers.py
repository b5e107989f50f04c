"""What every answer tells browsers and caches, errors and oddities included; and the policy of pages of ours."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from chatsync.errors import SettingsError
from chatsync.service.answer_headers import page_headers
from chatsync.service.app import player_folder
from chatsync.service.settings import load_settings
from tests.canaries import OPERATIONS, SUBJECTS, Answered, Ask, planted, wired
from tests.relay import SECRET
from tests.stage import Stage, stage

OPEN = {"class": {"public": True}}
ELSEWHERE = [
    Ask("GET", "/docs"),
    Ask("GET", "/openapi.json"),
    Ask("GET", "/metrics"),
    Ask("GET", "/player/"),
    Ask("GET", "/player/nothing.js"),
    Ask("GET", "/nowhere"),
    Ask("GET", "/livez/"),
    Ask("PUT", "/livez"),
    Ask("OPTIONS", "/v1/rooms/{room}"),
    Ask("PATCH", "/v1/rooms/{room}/chat.json"),
    Ask("POST", "/v1/rooms/{room}/actions", ("Content-Length: 9999999",)),
    Ask("GET", "/bug"),
]


def _hold(answer: Answered, case: object, *, private: bool = False) -> None:
    assert "nosniff" == answer.fields["x-content-type-options"], case
    assert answer.fields["cache-control"], case
    if answer.status != 304:
        assert "no-referrer" == answer.fields["referrer-policy"], case
        assert "default-src 'none'" in answer.fields["content-security-policy"], case
        assert "frame-ancestors 'none'" in answer.fields["content-security-policy"], case
    if private or answer.status >= 400:
        assert "private, no-store" == answer.fields["cache-control"], case


async def test_no_answer_goes_without_them(tmp_path: Path) -> None:
    """Every operation, by guest and host, at a public and a private room, as GET and as HEAD: what a private room answers is kept by nobody."""
    async with planted(tmp_path, 2) as (it, canaries), wired(it) as wire:
        for subject in (one for one in SUBJECTS if one.name in {"guest", "host"}):
            for canary in canaries:
                token = subject.token(it, canary.room)
                for operation, asks in OPERATIONS.items():
                    for ask in asks(canary):
                        if not ask.changes or subject.name == "guest":
                            private = not canary.public and "{room}" in operation
                            _hold(await wire.answer(ask, canary.room, token), ask, private=private)
                            heads = Ask("HEAD", ask.path, ask.headers)
                            _hold(await wire.answer(heads, canary.room, token), heads, private=private)
                tagged = Ask("GET", "/v1/rooms/{room}/chat.json?from_ms=0", (f"If-None-Match: {canary.tags[0]}",))
                _hold(await wire.answer(tagged, canary.room, token), tagged, private=not canary.public)


async def test_neither_do_pages_errors_and_faults_of_ours(tmp_path: Path) -> None:
    """Pages, files, what the framework answers itself, and a bug."""
    async with stage(tmp_path, OPEN) as it:
        it.app.add_api_route("/bug", _bug)
        for ask in ELSEWHERE:
            async with wired(it) as wire:
                _hold(await wire.answer(ask, "class"), ask)


async def _bug() -> None:
    raise ValueError("a fault of ours")


@pytest.mark.parametrize(
    ("head", "status"), [(b"NO HTTP\r\n\r\n", 400), (b"GET / HTTP/1.1\r\nx: " + b"y" * 20_000 + b"\r\n\r\n", 431)]
)
async def test_what_is_no_request_is_kept_by_nobody_either(tmp_path: Path, head: bytes, status: int) -> None:
    """The server's own refusals, before any application: a status, no words, no-store."""
    async with stage(tmp_path, OPEN) as it, wired(it) as wire:
        wire._writer.write(head)
        answer = await asyncio.wait_for(wire._reader.read(), 5)
        assert answer.startswith(b"HTTP/1.1 %d " % status)
        assert b"Cache-Control: no-store\r\n" in answer
        assert answer.endswith(b"\r\n\r\n")


async def test_a_refused_handshake_says_so_too(tmp_path: Path) -> None:
    """Ours and the protocol's own refusals."""
    async with stage(tmp_path, OPEN) as it:
        for lines in (
            ("Origin: https://elsewhere.example", "Sec-WebSocket-Version: 13"),
            ("Sec-WebSocket-Version: 1",),
        ):
            answer = await _shaken(it, lines)
            assert answer.startswith("HTTP/1.1 4")
            assert "Cache-Control: private, no-store\r\n" in answer
            assert "X-Content-Type-Options: nosniff\r\n" in answer


async def _shaken(it: Stage, lines: tuple[str, ...]) -> str:
    end = await it.plug()
    end.setblocking(False)
    known = ("Host: relay", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
    request = "\r\n".join(["GET /v1/rooms/class/live HTTP/1.1", *known, *lines, "", ""])
    await asyncio.get_running_loop().sock_sendall(end, request.encode())
    with end:
        return (await asyncio.wait_for(asyncio.get_running_loop().sock_recv(end, 65_536), 5)).decode()


async def test_head_works_wherever_get_does(tmp_path: Path) -> None:
    """The same status and headers without a body, outside the API too, as balancers and monitors ask."""
    paths = ["/livez", "/readyz", "/docs", "/openapi.json", "/v1/rooms/class", "/nowhere"]
    if player_folder().is_dir():
        paths.append("/player/chatsync-player.js")
    async with stage(tmp_path, OPEN) as it, wired(it) as wire:
        for path in paths:
            got, head = await wire.answer(Ask("GET", path), ""), await wire.answer(Ask("HEAD", path), "")
            assert (got.status, b"") == (head.status, head.body), path
            assert got.fields == head.fields, path


async def test_our_pages_are_framed_by_whom_the_settings_name(tmp_path: Path) -> None:
    """Nobody by default; the origins that `framed_by` lists, and no others; answers that are no pages never."""
    async with stage(tmp_path, OPEN, framed_by=("https://school.example", "https://lms.example:8443")) as it:
        policy = (await it.get("/docs")).headers["content-security-policy"]
        assert "frame-ancestors https://school.example https://lms.example:8443;" in policy
        assert "frame-ancestors 'none'" in (await it.get("/v1/rooms/class")).headers["content-security-policy"]


@pytest.mark.parametrize("origin", ["*", "school.example", "https://*.example", "https://school.example; script-src *"])
def test_what_is_no_origin_frames_nothing(origin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wildcard, a host alone, or what would end the directive is refused with the settings."""
    monkeypatch.setenv("CHATSYNC_TOKEN_SECRET", SECRET)
    with pytest.raises(SettingsError, match="framed_by"):
        load_settings(framed_by=origin)


def test_a_page_may_do_what_is_named_and_nothing_else() -> None:
    """The policy starts from nothing; text becomes code by no way but the named types; nothing inline."""
    bare = page_headers()["Content-Security-Policy"]
    assert (
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ) == bare
    scripted = page_headers(sources={"script-src": "'self'"}, types=["lit-html"])["Content-Security-Policy"]
    assert "script-src 'self'; " in scripted
    assert scripted.endswith("trusted-types lit-html")
    assert "unsafe" not in bare + scripted
