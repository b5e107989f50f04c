"""HTTP connections whose request heads are bounded in bytes and in time, before anything of ours looks at them.

Owns: ``BoundedHttp``, the protocol class uvicorn reads requests with. Does not know: what is asked for, bodies (``bodies``).
Source: limits of security-and-privacy §9; RFC 6585 §5 (431), RFC 9110 §15.5.9 (408).

The parser underneath (llhttp) takes a head of any length at any pace, so a client that sends a byte a minute, or a header of a
gigabyte, would hold memory and a file descriptor for as long as it likes.
"""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from chatsync.service.limit_table import Limits

__all__ = ["BoundedHttp"]

_MALFORMED = 400
_TOO_LARGE = 431
_TOO_LATE = 408


class BoundedHttp(HttpToolsProtocol):
    """One HTTP connection.

    Args:
        config: uvicorn's.
        server_state: uvicorn's.
        app_state: what the application's lifespan gave: ``hub``, for its limits.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: MutableMapping[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)  # type: ignore[arg-type]
        self._limits: Limits = app_state["hub"].settings.limits
        self._is_in_head = True
        self._head_bytes = 0
        self._head_due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A connection is there; its first request is awaited."""
        super().connection_made(transport)  # type: ignore[arg-type]
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over."""
        self._head_is_done()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of the peer; a head that goes on too long is refused."""
        if self._is_in_head:
            self._await_head()
            self._head_bytes += len(data)
        super().data_received(data)
        if self._is_in_head and self._head_bytes > self._limits.head_bytes_max:
            self._refuse(_TOO_LARGE, b"Request Header Fields Too Large")

    def on_headers_complete(self) -> None:
        """The head is there; it may have come in one piece that is longer than a head may be."""
        self._is_in_head = False
        self._head_is_done()
        if self._head_bytes > self._limits.head_bytes_max:
            line_bytes = len(self.parser.get_method()) + len(self.url) + len("  HTTP/1.1\r\n")
            size = line_bytes + sum(len(name) + len(value) + 4 for name, value in self.headers) + 2
            if size > self._limits.head_bytes_max:
                self._refuse(_TOO_LARGE, b"Request Header Fields Too Large")
                raise ValueError("the head is too large")  # so that the parser stops; it was answered
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is there; another head may follow."""
        super().on_message_complete()
        self._is_in_head, self._head_bytes = True, 0

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection on; what is left of this object points at its parser and that back, and would stay for long."""
        super().handle_websocket_upgrade()
        self.parser = None  # type: ignore[assignment]

    def send_400_response(self, msg: str) -> None:
        """What the parser refuses; nothing if it was answered here already."""
        del msg  # the parser's words, for nobody
        self._refuse(_MALFORMED, b"Bad Request")

    def _await_head(self) -> None:
        if self._head_due is None and not self.transport.is_closing():
            self._head_due = self.loop.call_later(self._limits.head_s_max, self._refuse, _TOO_LATE, b"Request Timeout")

    def _head_is_done(self) -> None:
        if self._head_due is not None:
            self._head_due.cancel()
            self._head_due = None

    def _refuse(self, status: int, words: bytes) -> None:
        self._head_is_done()
        if not self.transport.is_closing():
            head = b"HTTP/1.1 %d %b\r\nConnection: close\r\nCache-Control: no-store\r\nContent-Length: 0\r\n\r\n"
            self.transport.write(head % (status, words))
            self.transport.close()
