"""The short path: what players read again and again is answered before the framework is asked.

Owns: reading such a request strictly, HEAD, the way from uvicorn's parser to the answer. Does not know: what an answer says
(``slice_answers``). Source: contract §3; speed.md "HTTP"; decision 0015.

Two ways in give the same bytes. :class:`ShortPathApp` is the application: under any ASGI server it answers before FastAPI's routing.
:class:`ShortPathProtocol` is uvicorn's HTTP protocol class with one thing added: what can be answered from memory is written to the
transport at once, without a task and a scope for each request. Whatever is not plainly one of these requests, and every error, goes to
FastAPI, whose routes call the same ``slice_answers``; so there is one place that knows what is right, and this one only what is quick.

The protocol class leans on uvicorn 0.54's internals, which ``tests/service/test_short_path.py`` holds it to: the callbacks of its parser, ``cycle``,
``flow.write_paused``, ``timeout_keep_alive_task``, and the lifespan's state in ``app_state``.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from chatsync.chat.policy import may
from chatsync.errors import ChatsyncError
from chatsync.service.answer_headers import completed
from chatsync.service.answers import Answer
from chatsync.service.auth import bearer_token
from chatsync.service.chat_playlist import ChatQuery
from chatsync.service.http_bounds import BoundedHttp
from chatsync.service.origins import cors_headers
from chatsync.service.slice_answers import SLICE_NAME, SliceAnswers, SliceName

if TYPE_CHECKING:
    from chatsync.service.hub import Hub, RunningRoom

__all__ = ["HEAD", "TRANSPORT", "ShortPath", "ShortPathApp", "ShortPathProtocol"]

HEAD = "chatsync.head"
"""In the scope of a GET that was a HEAD: for an answer without end, which has none to leave out."""

TRANSPORT = "transport"
"""In ``scope["state"]``: the connection itself, for an answer without end that must know what its reader has not taken."""

MS_MAX = 253_402_300_799_999  # as in routes/entry.py: the end of the year 9999
_BROADCAST_MAX = 2**31
_OFFSET_MAX = 2**62

_PATH = re.compile(
    rf"/v1/rooms/([^/]+)/(?:(chat)\.json|slices/([1-9]\d{{0,9}})/(?:(open)\.json|{SLICE_NAME.pattern}))", re.ASCII
)
_QUERY = re.compile(rb"(?:[a-z_]{1,9}=-?\d{1,19}(?:&(?!$)|$))*")
_MINDED = frozenset(
    {b"authorization", b"origin", b"if-none-match", b"accept-encoding", b"content-length", b"transfer-encoding"}
)
_VARY_ORIGIN = b"vary: Origin\r\n"
_HEAD_END = b"\r\n\r\n"


class _Asked:
    """What the headers of a request say that bears on these answers."""

    __slots__ = ("gzipped", "has_body", "has_token", "if_none_match", "origins")

    def __init__(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.origins: Sequence[bytes] = ()
        self.if_none_match = b""
        self.gzipped = self.has_token = self.has_body = False
        encoding: bytes | None = None
        for name, value in headers:
            if name not in _MINDED:
                continue
            if name == b"accept-encoding":
                encoding = value if encoding is None else encoding
            elif name == b"origin":
                self.origins = (*self.origins, value)
            elif name == b"if-none-match":
                self.if_none_match = self.if_none_match or value
            elif name == b"authorization":
                self.has_token = True
            else:
                self.has_body = True
        self.gzipped = encoding is not None and b"gzip" in encoding

    @property
    def origin(self) -> str | None:
        """As :func:`cors_headers` wants it."""
        return self.origins[0].decode("latin-1") if len(self.origins) == 1 else None


class ShortPath:
    """Finds the answer to a request, where it is one of the few that are answered here."""

    def __init__(self, hub: Hub, answers: SliceAnswers) -> None:
        self._hub, self._answers = hub, answers
        self._guests_may_read = may("guest", "read")
        self._common: tuple[list[tuple[bytes, bytes]], bytes] = ([], b"")

    def common_fields(self, headers: list[tuple[bytes, bytes]]) -> bytes:
        """What the server adds to every answer (the date); it makes a new list once a second."""
        known, fields = self._common
        if known is not headers:
            fields = b"".join(b"%b: %b\r\n" % header for header in headers)
            self._common = headers, fields
        return fields

    def now(self, path: str, query: bytes, headers: Iterable[tuple[bytes, bytes]]) -> tuple[bytes, bytes, bytes] | None:
        """The answer to a GET from memory: status line, header fields and body; None if it takes more than that."""
        asked = _Asked(headers)
        if asked.has_token or asked.has_body:
            return None
        again = self._answers.sealed_again(path) if asked.gzipped and not query else None
        if again is not None and self._guest_room(again[0].live.room) is again[0]:
            running, answer = again
        else:
            found = self._looked_up(path, query, asked)
            if found is None:
                return None
            running, answer = found
        if asked.if_none_match:
            answer = self._answers.unchanged(answer, asked.if_none_match.decode("latin-1"))
        fields = answer.fields + _VARY_ORIGIN
        if asked.origins:
            cors = cors_headers(asked.origin, running.live.settings.origins)
            fields = answer.fields + b"".join(b"%b: %b\r\n" % header for header in cors)
        return answer.status_line, fields, answer.body

    def _looked_up(self, path: str, query: bytes, asked: _Asked) -> tuple[RunningRoom, Answer] | None:
        match = _PATH.fullmatch(path)
        running = None if match is None else self._guest_room(match[1])
        if match is None or running is None:
            return None
        try:
            answer = self._now(running, match, query, asked)
        except ChatsyncError:
            return None  # for FastAPI's routes to say
        return None if answer is None else (running, answer)

    def _guest_room(self, room: str) -> RunningRoom | None:
        """A room that whoever has no token may read; the same as :meth:`Hub.entrant` says, without making up a guest."""
        running = self._hub.rooms.get(room)
        is_open = running is not None and running.live.settings.public and self._guests_may_read
        return running if is_open else None

    def _now(self, running: RunningRoom, match: re.Match[str], query: bytes, asked: _Asked) -> Answer | None:
        if match[2] is not None:
            chat = _chat_query(query)
            return None if chat is None else self._answers.chat_now(running, chat)
        broadcast = int(match[3])
        if match[4] is not None:
            tail = _open_query(query)
            return None if tail is None else self._answers.open_now(running, broadcast, *tail)
        is_quick = asked.gzipped and not query  # at any other address than its own it is for FastAPI's route to answer
        return self._answers.sealed_now(running, broadcast, _slice_name(match), path=match[0]) if is_quick else None

    async def answer(self, scope: Scope) -> tuple[Answer, list[tuple[bytes, bytes]]] | None:
        """The answer to a GET and the headers it has besides its own; None: it is FastAPI's to answer, or to refuse."""
        match = _PATH.fullmatch(scope["path"])
        if match is None:
            return None
        asked = _Asked(scope["headers"])
        if asked.has_body or scope.get("raw_path") not in {None, scope["path"].encode()}:
            return None
        try:
            running = self._admitted(match[1], scope, asked)
            answer = None if running is None else await self._found(running, match, scope["query_string"], asked)
        except ChatsyncError:
            return None
        if running is None or answer is None:
            return None
        if asked.if_none_match:
            answer = self._answers.unchanged(answer, asked.if_none_match.decode("latin-1"))
        return answer, answer.headers + cors_headers(asked.origin, running.live.settings.origins)

    def _admitted(self, room: str, scope: Scope, asked: _Asked) -> RunningRoom | None:
        if not asked.has_token:
            return self._guest_room(room)
        entered = self._hub.entrant_now(room, bearer_token(Headers(scope=scope)))
        if entered is None:
            return None
        running, identity = entered
        return running if may(identity.role, "read") or "read" in identity.scopes else None

    async def _found(self, running: RunningRoom, match: re.Match[str], query: bytes, asked: _Asked) -> Answer | None:
        if match[2] is not None:
            chat = _chat_query(query)
            return None if chat is None else await self._answers.chat(running, chat)
        broadcast = int(match[3])
        if match[4] is not None:
            tail = _open_query(query)
            return None if tail is None else await self._answers.open(running, broadcast, *tail)
        if query or broadcast > running.live.broadcasts.latest_number:
            return None
        return await self._answers.sealed(running, broadcast, _slice_name(match), gzipped=asked.gzipped)


def _slice_name(match: re.Match[str]) -> SliceName:
    return int(match[5]), int(match[6]), int(match[7]), int(match[8])


def _numbers(query: bytes, **bounds: tuple[int, int]) -> dict[str, int] | None:
    """A query of known, distinct names with numbers within bounds; None: look at it more closely."""
    if not query:
        return {}
    if _QUERY.fullmatch(query) is None:
        return None
    numbers: dict[str, int] = {}
    for pair in query.decode("ascii").split("&"):
        name, _, text = pair.partition("=")
        number = int(text)
        bound = bounds.get(name)
        if bound is None or name in numbers or not bound[0] <= number <= bound[1]:
            return None
        numbers[name] = number
    return numbers


def _chat_query(query: bytes) -> ChatQuery | None:
    ms = (-MS_MAX, MS_MAX)
    numbers = _numbers(query, broadcast=(1, _BROADCAST_MAX), from_ms=ms, to_ms=ms, since=(0, _OFFSET_MAX))
    return None if numbers is None else ChatQuery(**numbers)


def _open_query(query: bytes) -> tuple[int, int | None] | None:
    numbers = _numbers(query, from_ms=(-MS_MAX, MS_MAX), after=(0, _OFFSET_MAX))
    return None if not numbers or "from_ms" not in numbers else (numbers["from_ms"], numbers.get("after"))


class ShortPathApp(FastAPI):
    """The application: the short path first, then FastAPI. ``state.short_path`` is set once the relay serves."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or hand on. HEAD is answered as GET without a body, and no answer lacks what all must have."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        if scope["method"] == "HEAD":
            scope, send = {**scope, "method": "GET", HEAD: True}, _without_body(send)
        short_path: ShortPath | None = getattr(self.state, "short_path", None)
        found = None if short_path is None or scope["method"] != "GET" else await short_path.answer(scope)
        if found is None:
            await super().__call__(scope, receive, completed(send))
            return
        answer, headers = found
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})


def _without_body(send: Send) -> Send:
    """The same answer without its body (RFC 9110 §9.3.2)."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return sent


class ShortPathProtocol(BoundedHttp):
    """uvicorn's HTTP connection within our bounds, which writes answers that are in memory at once."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: MutableMapping[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._short_path: ShortPath | None = app_state.get("short_path")
        self._is_answered = False
        self._is_small = False  # the head came in one piece that is within the bound: nothing to wait for

    def data_received(self, data: bytes) -> None:
        """Bytes of the peer. A head that comes in one piece needs no timer."""
        self._is_small = not self._head_bytes and len(data) <= self._limits.head_bytes_max and data.endswith(_HEAD_END)
        if self._is_small:
            HttpToolsProtocol.data_received(self, data)
        else:
            super().data_received(data)

    def on_message_begin(self) -> None:
        """A request begins. Its scope is made when it turns out to be needed."""
        self.url = b""
        self.expect_100_continue = False
        self.headers = []
        self._is_answered = False

    def on_headers_complete(self) -> None:
        """Answer at once, or go uvicorn's way."""
        if self._is_small and self._answered():
            self._is_answered, self._is_in_head = True, False
            if self._head_due is not None:
                self._head_is_done()
            return
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        if url.endswith(b"?"):  # for caches an address of its own, and the framework would not see the difference
            url += b"="
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)
        self.scope["state"][TRANSPORT] = self.transport
        super().on_headers_complete()

    def _answered(self) -> bool:
        url = self.url
        if (
            self._short_path is None
            or not url.startswith(b"/v1/rooms/")
            or b"%" in url
            or b"#" in url
            or url.endswith(b"?")
        ):
            return False
        is_free = (self.cycle is None or self.cycle.response_complete) and not self.pipeline
        parser = self.parser
        if not is_free or self.flow.write_paused or self.expect_100_continue or parser.get_method() != b"GET":
            return False
        if not parser.should_keep_alive() or parser.should_upgrade() or parser.get_http_version() != "1.1":
            return False
        path, _, query = url.partition(b"?")
        found = self._short_path.now(path.decode("latin-1"), query, self.headers)
        if found is None:
            return False
        status_line, fields, body = found
        common = self._short_path.common_fields(self.server_state.default_headers)
        self.transport.write(b"%b%b%b\r\n%b" % (status_line, common, fields, body))
        self.server_state.total_requests += 1
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)
        return True

    def on_body(self, body: bytes) -> None:
        """Of a request that is uvicorn's to answer."""
        if not self._is_answered:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """A request is whole."""
        if self._is_answered:
            self._is_in_head, self._head_bytes = True, 0
        else:
            super().on_message_complete()
