"""Origins on loopback that write down every connection, and one load from them.

Owns: raw HTTP answers byte by byte, settings that allow such an origin, name servers that rebind, certificates.
Does not know: what is expected of a load; tests/origin.py has the origin a whole relay follows.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chatsync.errors import PlaylistUnavailableError
from chatsync.service.fetching import Loaded, PlaylistFetcher
from chatsync.service.settings import Settings

PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\na.ts\n"
Answer = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Origin:
    """A real HTTP server on loopback that answers from a table and writes down what it was asked."""

    answers: dict[str, Answer] = field(default_factory=dict)
    requests: list[dict[str, str]] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode("latin-1").strip().split("\r\n")
                path = first.split(" ")[1]
                self.requests.append(
                    {"path": path} | {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
                )
                answer = self.answers.get(path, reply(b"", status="404 Not Found"))
                if callable(answer):
                    await answer(writer)
                else:
                    writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            return
        finally:
            writer.close()

    def url(self, path: str = "/live.m3u8", host: str = "127.0.0.1") -> str:
        """A URL of this origin."""
        return f"http://{host}:{self.port}{path}"


def reply(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """One HTTP answer in bytes."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@asynccontextmanager
async def origin(tls: ssl.SSLContext | None = None, **answers: Answer) -> AsyncIterator[Origin]:
    """Run an origin for the length of a block."""
    made = Origin({f"/{name.replace('__', '.')}": answer for name, answer in answers.items()})
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=tls)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()


def settings(port: int, *, hosts: tuple[str, ...] = ("127.0.0.1",), **changes: Any) -> Settings:
    """Settings that allow loopback for these hosts at this port, unless changed."""
    changed: dict[str, Any] = {"loopback_origins": tuple(f"{host}:{port}" for host in hosts), **changes}
    return Settings(**changed)


def resolving(*rounds: list[str]) -> Callable[[str, int], Awaitable[list[str]]]:
    """A resolver that gives the next list each time and then stays at the last: what a rebinding name server does."""
    left = list(rounds)

    async def resolve(host: str, port: int) -> list[str]:
        return left.pop(0) if len(left) > 1 else left[0]

    return resolve


async def load(given: Settings, url: str, headers: Any = None, **kwargs: Any) -> Loaded:
    """Load once with a fetcher of its own."""
    fetcher = PlaylistFetcher(given, **kwargs)
    try:
        return await fetcher.load(url, headers)
    finally:
        await fetcher.aclose()


async def refused(given: Settings, url: str, headers: Any = None, **kwargs: Any) -> str:
    """The reason with which a URL is not loaded."""
    with pytest.raises(PlaylistUnavailableError) as caught:
        await load(given, url, headers, **kwargs)
    return caught.value.reason


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate for ``name``, and a client's that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.9"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "origin.pem"
    pem.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(pem)
    return server, ssl.create_default_context(cafile=str(pem))
