"""Errors on their way out: problem JSON for HTTP and close codes for the socket, in one table.

Owns: the shape of every HTTP answer that is an error, ``Retry-After``, which error closes a socket with which code. Does
not know: why an error happened. Units: ``retry_after_ms``; ``Retry-After`` is whole seconds, rounded up.
Source: RFC 9457, RFC 9110 §10.2.3, contract (start) and §5.

An answer never repeats what the client sent, and no cache may keep it: a hidden message's 410 must not outlive a restore.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatsync.chat.wire import CloseCode
from chatsync.errors import (
    ChatsyncError,
    RateLimitedError,
    StoreError,
    SupersededError,
    TokenError,
    UnknownRoomError,
    WireError,
)

__all__ = [
    "HTTP_CODES",
    "PROBLEM_TYPE",
    "SupersededError",
    "close_code_of",
    "install",
    "problem",
    "problem_of",
]

PROBLEM_TYPE = "application/problem+json"
_RETRY_STORE_S = 5  # when a full disk or a failed write may be over
_HEADERS = {"Cache-Control": "private, no-store", "X-Content-Type-Options": "nosniff"}

HTTP_CODES: dict[int, str] = {
    400: "bad_request",
    401: "token",
    403: "not_allowed",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    408: "timeout",
    411: "length_required",
    413: "too_large",
    415: "unsupported_type",
    422: "invalid_request",
    429: "rate_limited",
    431: "headers_too_large",
    500: "internal",
    503: "unavailable",
}
"""Codes of answers that the framework gives before any of our errors can be raised."""

_TEMPORARY = frozenset({408, 429, 503})

_CLOSE_CODES: tuple[tuple[type[ChatsyncError], CloseCode], ...] = (
    (TokenError, CloseCode.TOKEN),
    (UnknownRoomError, CloseCode.UNKNOWN_ROOM),
    (WireError, CloseCode.MALFORMED),
)

_log = structlog.get_logger(__name__)


def problem(
    status: int,
    code: str,
    detail: str = "",
    *,
    temporary: bool = False,
    retry_after_ms: int | None = None,
    facts: dict[str, Any] | None = None,
) -> Response:
    """An answer in problem JSON.

    Args:
        status: HTTP status.
        code: word for machines; a heading of docs/errors.md.
        detail: a sentence for people; never what the client sent.
        temporary: whether the same request may succeed later.
        retry_after_ms: when; also as ``Retry-After``.
        facts: further members, by their wire name.
    """
    body: dict[str, Any] = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    if detail:
        body["detail"] = detail
    body |= {"code": code, "temporary": temporary, **(facts or {})}
    headers = dict(_HEADERS)
    if retry_after_ms is not None:
        body["retry_after_ms"] = retry_after_ms
        headers["Retry-After"] = str(max(1, -(-retry_after_ms // 1_000)))
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="chatsync"'
    return Response(msgspec.json.encode(body), status, headers, media_type=PROBLEM_TYPE)


def problem_of(error: ChatsyncError) -> Response:
    """The answer to one of our own errors."""
    retry_after_ms: int | None = None
    facts: dict[str, Any] = {}
    if isinstance(error, RateLimitedError):
        retry_after_ms = error.retry_after_ms
    elif isinstance(error, StoreError) and error.temporary:
        retry_after_ms = _RETRY_STORE_S * 1_000
    if isinstance(error, SupersededError):
        facts = dict(error.facts)
    reason = getattr(error, "reason", None)
    if isinstance(reason, str) and error.fault == "client":
        facts["reason"] = reason
    # An error of the store may name files; that is for the log, not for whoever asked.
    detail = "" if error.status == HTTPStatus.INTERNAL_SERVER_ERROR or error.fault == "storage" else str(error)
    return problem(
        error.status, error.code, detail, temporary=error.temporary, retry_after_ms=retry_after_ms, facts=facts
    )


def close_code_of(error: ChatsyncError) -> CloseCode | None:
    """The code a socket closes with because of this error; None if it is answered by a frame and the socket stays."""
    for kind, code in _CLOSE_CODES:
        if isinstance(error, kind):
            return code
    return None


def install(app: FastAPI) -> None:
    """Make every error answer of an application problem JSON. Call it once, before the application starts.

    Also adds a middleware at the outside for answers that reach the wire without passing a handler (the framework's own
    413 is plain text), so add other middleware that makes error answers before calling this.
    """
    app.add_exception_handler(ChatsyncError, _on_chatsync_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(Exception, _on_bug)
    app.add_middleware(_ProblemsOnly)


async def _on_chatsync_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ChatsyncError)
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.warning("request_failed", method=request.method, code=error.code, status=error.status)
    return problem_of(error)


async def _on_http_exception(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    answer = _plain_problem(error.status_code)
    for name, value in (error.headers or {}).items():
        if name.lower() in {"allow", "retry-after"}:
            answer.headers[name] = value
    return answer


async def _on_invalid_request(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # Pydantic's own report repeats the input; only where and what kind is told.
    problems = [
        {"where": ".".join(str(part)[:64] for part in found["loc"])[:200], "what": found["type"]}
        for found in error.errors()[:20]
    ]
    return problem(422, HTTP_CODES[422], "The request is not of the documented shape.", facts={"problems": problems})


async def _on_bug(request: Request, error: Exception) -> Response:
    # The framework raises it again after this answer, and the server logs where it happened; the message may hold
    # anything, so only its type is logged here.
    _log.error("bug", method=request.method, error=type(error).__name__)
    return _plain_problem(500)


def _plain_problem(status: int) -> Response:
    code = HTTP_CODES.get(status, "bad_request" if status < 500 else "internal")
    return problem(status, code, temporary=status in _TEMPORARY)


class _ProblemsOnly:
    """ASGI middleware: replaces the body of an error answer that is not problem JSON."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        replaced = False

        async def send_problem(message: Message) -> None:
            nonlocal replaced
            if message["type"] == "http.response.start" and message["status"] >= HTTPStatus.BAD_REQUEST:
                content_type = b"".join(value for name, value in message["headers"] if name.lower() == b"content-type")
                if not content_type.startswith((PROBLEM_TYPE.encode(), b"application/json")):
                    replaced = True
                    await _plain_problem(message["status"])(scope, receive, send)
                    return
            if not replaced:
                await send(message)

        await self._app(scope, receive, send_problem)
