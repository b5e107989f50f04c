"""Readers through a cache: addresses exactly as they are written, many times over connections that stay open, and what came when.

Owns: one connection (``Reader``), a crowd of them that asks while something happens (``Hammer``). Does not know: which cache it is.
"""

from __future__ import annotations

import gzip
import http.client
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

__all__ = ["Answer", "Hammer", "Reader", "Seen"]

_PAUSE_S = 0.015


@dataclass(frozen=True)
class Answer:
    """What came; the body is unpacked."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes

    @property
    def from_cache(self) -> bool:
        """Whether the cache says that it had it."""
        return self.headers.get("x-cache") == "HIT"


class Reader:
    """One connection, on which nothing of an address is made right before it is sent."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

    def get(self, path: str, headers: Mapping[str, str] | None = None, *, method: str = "GET") -> Answer:
        """Ask; a connection that the server has closed is opened anew."""
        try:
            return self._asked(path, headers or {}, method)
        except (http.client.HTTPException, ConnectionError):
            self._connection.close()
            return self._asked(path, headers or {}, method)

    def _asked(self, path: str, headers: Mapping[str, str], method: str) -> Answer:
        connection = self._connection
        given = {name.lower() for name in headers}
        connection.putrequest(method, path, skip_host="host" in given, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        body = answer.read()
        got = {name.lower(): value for name, value in answer.getheaders()}
        if got.get("content-encoding") == "gzip" and body and answer.status == 200:
            body = gzip.decompress(body)
        return Answer(answer.status, got, body)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


@dataclass
class Seen:
    """What readers of one address saw of a text."""

    answers: int = 0
    from_cache: int = 0  # with the text, before it was hidden
    last_s: float | None = None  # monotonic: when the last answer with the text had come


@dataclass
class Hammer:
    """Readers of some addresses through one cache, each asking for one after the other until they are told to stop.

    Args:
        port: the cache's.
        paths: address by what it is called.
        marks: what to look for, by the same names.
        headers: each in turn.
    """

    port: int
    paths: Mapping[str, str]
    marks: Mapping[str, bytes]
    headers: Sequence[Mapping[str, str]]
    seen: dict[str, Seen] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.seen = {name: Seen() for name in self.paths}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(timeout=20)

    def _run(self) -> None:
        reader = Reader(self.port)
        turn = 0
        try:
            while not self._over.is_set():
                for name, path in self.paths.items():
                    answer = reader.get(path, self.headers[turn % len(self.headers)])
                    seen = self.seen[name]
                    seen.answers += 1
                    if self.marks[name] in answer.body:
                        seen.last_s = time.monotonic()
                        seen.from_cache += answer.from_cache
                turn += 1
                self._over.wait(_PAUSE_S)
        except Exception as error:
            self.errors.append(repr(error))
        finally:
            reader.close()
