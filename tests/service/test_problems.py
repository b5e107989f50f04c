"""Every error answer is problem JSON that no cache may keep (RFC 9457)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2
import pytest
from fastapi import FastAPI, Query

from chatsync.chat.wire import CloseCode
from chatsync.errors import (
    CorruptError,
    IdReusedError,
    MessageRejectedError,
    RateLimitedError,
    StorageFullError,
    SupersededError,
    TokenError,
    UnknownRoomError,
    WireError,
)
from chatsync.service.bodies import BodyLimit
from chatsync.service.limit_table import Limits
from chatsync.service.problems import close_code_of, install

ERRORS = {
    "room": UnknownRoomError(),
    "token": TokenError(),
    "text": MessageRejectedError("too_long"),
    "reused": IdReusedError(),
    "rate": RateLimitedError(1_500),
    "full": StorageFullError(),
    "corrupt": CorruptError("archive/events/secret-path.parquet", "damaged"),
    "old": SupersededError(revision=3),
}


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    """A small application whose routes fail in every way."""
    app = FastAPI()

    @app.get("/raise/{name}")
    async def fail(name: str) -> None:
        raise ERRORS[name]

    @app.post("/body")
    async def body(number: int = Query(ge=1)) -> int:
        return number

    install(app)
    app.add_middleware(BodyLimit, limits=Limits(body_bytes_max=1024, ndjson_bytes_max=4096))
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://relay") as client:
        yield client


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/raise/room", 404, "unknown_room"),
        ("/raise/token", 401, "token"),
        ("/raise/text", 422, "rejected"),
        ("/raise/reused", 409, "id_reused"),
        ("/raise/rate", 429, "rate_limited"),
        ("/raise/full", 507, "storage_full"),
        ("/raise/corrupt", 502, "corrupt"),
        ("/raise/old", 410, "superseded"),
        ("/raise/no-such-key", 500, "internal"),
        ("/nowhere", 404, "not_found"),
        ("/body", 405, "method_not_allowed"),
    ],
)
async def test_each_error_has_its_status_and_code(http: httpx2.AsyncClient, path: str, status: int, code: str) -> None:
    """One shape for our own errors, the framework's, and bugs."""
    answer = await http.get(path)
    assert (status, code) == (answer.status_code, answer.json()["code"])
    assert "application/problem+json" == answer.headers["content-type"]
    assert "no-store" in answer.headers["cache-control"]


async def test_what_helps_a_client_is_told_and_nothing_else(http: httpx2.AsyncClient) -> None:
    """When to come back, which revision stands, why a text was refused; never a path of the store."""
    rate = await http.get("/raise/rate")
    assert ("2", 1_500, True) == (rate.headers["retry-after"], rate.json()["retry_after_ms"], rate.json()["temporary"])
    assert 3 == (await http.get("/raise/old")).json()["revision"]
    assert "too_long" == (await http.get("/raise/text")).json()["reason"]
    assert "secret-path" not in (await http.get("/raise/corrupt")).text


async def test_an_invalid_parameter_is_named_without_its_value(http: httpx2.AsyncClient) -> None:
    """The answer says where, not what was sent."""
    answer = await http.post("/body", params={"number": "s3cret"})
    assert (422, "invalid_request") == (answer.status_code, answer.json()["code"])
    assert "number" in answer.text
    assert "s3cret" not in answer.text


@pytest.mark.parametrize(
    ("size", "kind", "status"),
    [
        (1024, "application/json", 422),
        (1025, "application/json", 413),
        (4096, "application/x-ndjson", 422),
        (4097, "application/x-ndjson", 413),
    ],
)
async def test_a_body_is_bounded_by_its_kind(http: httpx2.AsyncClient, size: int, kind: str, status: int) -> None:
    """At the limit it is read, one byte over it is refused before it is."""
    answer = await http.post("/body", params={"number": 0}, content=b"x" * size, headers={"content-type": kind})
    assert status == answer.status_code


def test_errors_that_close_a_socket() -> None:
    """Token, room and malformed close it; everything else is answered by a frame."""
    assert CloseCode.TOKEN is close_code_of(TokenError())
    assert CloseCode.UNKNOWN_ROOM is close_code_of(UnknownRoomError())
    assert CloseCode.MALFORMED is close_code_of(WireError("x"))
    assert close_code_of(StorageFullError()) is None
