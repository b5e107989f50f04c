"""A program of an operator's on loopback: a real HTTP server that is posted to, and answers as a test says.

Owns: reading requests whole, writing down what was asked. Does not know: signatures, verdicts.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.service.tripwire import reply

Answer = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Webhook:
    """The server; ``answer`` is what it says to every request from now on."""

    answer: Answer
    asked: list[Asked] = field(default_factory=list)
    at_once: int = 0
    at_once_most: int = 0
    port: int = 0

    @property
    def url(self) -> str:
        """Where it is posted to."""
        return f"http://127.0.0.1:{self.port}/hook"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                line, *lines = head.strip().split("\r\n")
                headers = {name.lower(): value for name, value in (one.split(": ", 1) for one in lines)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                self.asked.append(Asked(line, headers, body))
                self.at_once += 1
                self.at_once_most = max(self.at_once, self.at_once_most)
                try:
                    if callable(self.answer):
                        await self.answer(writer)
                    else:
                        writer.write(self.answer)
                    await writer.drain()
                finally:
                    self.at_once -= 1
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def webhook(answer: Answer = b"", tls: ssl.SSLContext | None = None) -> AsyncIterator[Webhook]:
    """Run one for the length of a block."""
    made = Webhook(answer or reply(b'{"verdict":"allow"}'))
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=tls)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()


async def silent(writer: asyncio.StreamWriter) -> None:
    """Say nothing for longer than anybody waits."""
    await asyncio.sleep(30)
