"""Answers of the read path, ready to be written: status, headers, body.

Owns: caching headers, entity tags, 304, the bytes of an answer's head. Does not know: what is asked, ASGI, who asks.
Source: contract §3; security-and-privacy §3.1; RFC 9110 §13.1.2.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from fastapi import Response

from chatsync.service.answer_headers import INERT

__all__ = ["Answer", "cache_control", "json_answer", "not_modified", "tag_of", "unkept"]

Headers = list[tuple[bytes, bytes]]

_STATUS_LINES = {200: b"HTTP/1.1 200 OK\r\n", 304: b"HTTP/1.1 304 Not Modified\r\n"}


class Answer:
    """A whole answer. Made once, written often: :attr:`fields` are its headers as they travel.

    Args:
        status: 200 or 304.
        headers: names in lower case.
        body: as it travels.
    """

    __slots__ = ("body", "fields", "headers", "status", "status_line", "tag")

    def __init__(self, status: int, headers: Headers, body: bytes, *, tag: str = "") -> None:
        self.status, self.headers, self.body, self.tag = status, headers, body, tag
        self.status_line = _STATUS_LINES[status]
        self.fields = b"".join(b"%b: %b\r\n" % header for header in headers)

    def to_response(self) -> Response:
        """The same for the framework."""
        made = Response(self.body, self.status)
        made.raw_headers = list(self.headers)
        return made


def cache_control(public: str, *, is_public: bool) -> str:
    """What caches may do: never anything for a private room (security-and-privacy §3.1)."""
    return public if is_public else "private, no-store"


def tag_of(key: bytes, *parts: object) -> str:
    """A tag that says nothing of the text: a keyed hash of what names the version."""
    text = "|".join(map(str, parts)).encode()
    return '"' + hmac.digest(key, text, hashlib.sha256).hex()[:24] + '"'


def json_answer(
    body: bytes,
    *,
    caching: str,
    tag: str | None = None,
    varies: bool = False,
    gzipped: bool = False,
    keys: Sequence[tuple[bytes, bytes]] = (),
) -> Answer:
    """A JSON answer.

    Args:
        body: as it travels.
        caching: ``Cache-Control``.
        tag: ``ETag``; None for an answer without one.
        varies: it may be had compressed and not.
        gzipped: ``body`` is.
        keys: headers for caches that are told what to drop.
    """
    headers = [(b"cache-control", caching.encode())]
    if tag is not None:
        headers.append((b"etag", tag.encode()))
    if varies:
        headers.append((b"vary", b"Accept-Encoding"))
    headers += [*INERT, *keys]
    if gzipped:
        headers.append((b"content-encoding", b"gzip"))
    headers += [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json")]
    return Answer(200, headers, body, tag=tag or "")


def not_modified(answer: Answer) -> Answer:
    """The answer to who has this version already: all that a cache goes by, without the body and what describes it."""
    headers = [(name, value) for name, value in answer.headers if not name.startswith(b"content-")]
    return Answer(304, headers, b"", tag=answer.tag)


def unkept(answer: Answer) -> Answer:
    """The same answer, which nobody may keep."""
    headers = [(name, b"private, no-store" if name == b"cache-control" else value) for name, value in answer.headers]
    return Answer(answer.status, headers, answer.body, tag=answer.tag)
