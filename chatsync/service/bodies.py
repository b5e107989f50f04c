"""Bounds on request bodies, before anything is parsed.

Owns: how many bytes a body may have by its kind, and how long it may take to come. Source: limits of security-and-privacy §9.
"""

from __future__ import annotations

import asyncio

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatsync.service.limit_table import Limits
from chatsync.service.problems import problem

__all__ = ["BodyLimit"]


class BodyTooLargeError(Exception):
    """The body went over its bound while it was read."""


class BodyLimit:
    """ASGI middleware: answers 413 to a body that is declared or turns out too large, 408 to one that does not come."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app, self._limits = app, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count what is received."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        bound = self._bound(headers.get(b"content-type", b""), scope["path"])
        declared = headers.get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > bound:
            await _too_large()(scope, receive, send)
            return
        seen, begun, is_whole = 0, False, False
        due_s = asyncio.get_running_loop().time() + self._limits.body_s_max

        async def counted() -> Message:
            nonlocal seen, is_whole
            if is_whole:  # what is awaited now is the end of the connection
                return await receive()
            async with asyncio.timeout_at(due_s):
                message = await receive()
            is_whole = not message.get("more_body", False)
            seen += len(message.get("body", b""))
            if seen > bound:
                raise BodyTooLargeError
            return message

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, counted, noted)
        except BodyTooLargeError:
            if not begun:
                await _too_large()(scope, receive, send)
        except TimeoutError:
            if is_whole:  # not ours
                raise
            if not begun:
                await problem(408, "timeout", "The body did not come in time.", temporary=True)(scope, receive, send)

    def _bound(self, content_type: bytes, path: str) -> int:
        many = content_type.split(b";")[0].strip() == b"application/x-ndjson" or "/recordings/" in path
        many = many or path.endswith("/timeline")
        return self._limits.ndjson_bytes_max if many else self._limits.body_bytes_max


def _too_large() -> Response:
    return problem(413, "too_large", "The body is too large.")
