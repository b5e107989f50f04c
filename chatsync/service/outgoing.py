"""Requests to addresses we were given, without becoming somebody's way into our network.

Owns: which URLs and addresses are let through, the connections themselves, also to hosts that the operator has named
(``client_to``), and ``Outgoing``: small requests whose answers are bounded. Does
not know: playlists (``service.fetching``), what is posted. Units: seconds where the event loop wants them; sizes in bytes.
Source: RFC 9110, RFC 6890 (special addresses).

The address check stands where the connection is made: a name is resolved once, every address it gave is looked up in our own
table, and the socket is opened to one of those very addresses. So it does not matter how a URL is spelled (``127.1``,
``0x7f000001``, ``①②⑦.0.0.1``), nor what the name answers the next time. TLS still checks the name.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import zlib
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Literal, Protocol, cast

import httpcore2
import httpx2

from chatsync.service.limit_table import URL_CHARACTERS_MAX
from chatsync.service.settings import Settings

__all__ = [
    "AddressKind",
    "Addresses",
    "Gate",
    "Outgoing",
    "RefusedError",
    "Resolver",
    "address_kind",
    "client_to",
    "failure_reason",
    "guarded_client",
    "trusted",
]

AddressKind = Literal["global", "private", "loopback", "refused"]
Resolver = Callable[[str, int], Awaitable[list[str]]]
"""From host and port to addresses in text form; raises OSError if there are none."""

_KEEP_S = 4  # less than the 5 s after which common servers close an idle connection, so that we never write into one
_POOLS = 64
_CONNECTIONS_OF_POOL_MAX = 100
_KEPT_OF_POOL_MAX = 16
_ATTEMPT_S = 1.5  # for each address but the last: one that is not routed must not use up the whole deadline
_USER_AGENT = "chatsync"
_REASONS = {
    "certificate": "the certificate was not accepted",
    "connect": "it could not be reached",
    "connection": "the connection failed",
}

_IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
_IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


def _networks(text: str) -> tuple[_IPNetwork, ...]:
    return tuple(ipaddress.ip_network(network) for network in text.split())


_LOOPBACK = _networks("127.0.0.0/8 ::1/128")
_PRIVATE = _networks("10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 100.64.0.0/10 fc00::/7")
# ipaddress.is_global says True for several of these (multicast, 192.0.0.8, 6to4, NAT64, fec0::/10), so it is not asked.
_REFUSED_V4 = _networks(
    "0.0.0.0/8 169.254.0.0/16 192.0.0.0/24 192.0.2.0/24 192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.175.48.0/24 "
    "198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4"
)
_UNICAST_V6 = _networks("2000::/3")  # the only part of IPv6 that is handed out; everything else is refused
_REFUSED_V6 = _networks("2001::/23 2001:db8::/32 2002::/16 2620:4f:8000::/48 3ffe::/16 3fff::/20")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def address_kind(address: str) -> AddressKind:
    """What kind of address this is, by our own table.

    Returns:
        ``refused`` for everything nobody serves anything from (link-local and with it cloud metadata, multicast, tunnels,
        documentation, reserved, IPv4 inside IPv6) and for what is no address. An address behind NAT64 is as the IPv4
        address it leads to, but never better than global or refused.
    """
    try:
        parsed: _IPAddress = ipaddress.ip_address(address)
    except ValueError:
        return "refused"
    if parsed.version == 6 and parsed in _NAT64:
        behind = address_kind(str(ipaddress.IPv4Address(int(parsed) & 0xFFFF_FFFF)))
        return "global" if behind == "global" else "refused"
    if "%" in address:
        return "refused"  # an address with a zone is link-local
    if any(parsed in network for network in _LOOPBACK):
        return "loopback"
    if any(parsed in network for network in _PRIVATE):
        return "private"
    if any(parsed in network for network in (_REFUSED_V4 if parsed.version == 4 else _REFUSED_V6)):
        return "refused"
    if parsed.version == 6 and not any(parsed in network for network in _UNICAST_V6):
        return "refused"
    return "global"


class Outgoing:
    """Small requests to addresses an operator has named; one for the whole node. Close it with ``aclose``.

    TLS is asked for, unless ``private_origins`` or ``loopback_origins`` name the host and port: what is posted are words of people.

    Args:
        settings: ``origin_ports``, ``private_origins`` and ``loopback_origins``; ``origin_hosts`` are for playlists only.
        resolver: None: the system's.
        tls: None: the system's trusted certificates.
    """

    def __init__(
        self, settings: Settings, *, resolver: Resolver | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self._gate = Gate(settings, resolver, hosts=(), is_tls_needed=True)
        self._client = guarded_client(self._gate, tls)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def post(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        answer_bytes_max: int,
        deadline_s: float | None = None,
    ) -> bytes:
        """Post something; the body of the answer, if that has status 200.

        Args:
            url: https, or http to a host and port that are named.
            body: as it goes over the line.
            headers: besides ours.
            answer_bytes_max: what is read at most.
            deadline_s: for all of it, connecting included; None: the caller keeps one.

        Raises:
            RefusedError: refused by us, not reached, too slow, too large, or answered otherwise; redirects are not followed. The reason
                repeats neither an address nor a word of what came.
        """
        work = self._answer("POST", url, body, headers, answer_bytes_max)
        return await self._in_time(work, deadline_s)

    async def get(self, url: str, *, answer_bytes_max: int, deadline_s: float | None = None) -> bytes:
        """Get something small; the body of the answer, if that has status 200.

        Args:
            url: as for :meth:`post`.
            answer_bytes_max: what is read at most.
            deadline_s: for all of it, connecting included; None: the caller keeps one.

        Raises:
            RefusedError: as by :meth:`post`.
        """
        work = self._answer("GET", url, None, {}, answer_bytes_max)
        return await self._in_time(work, deadline_s)

    async def _in_time(self, work: Awaitable[bytes], deadline_s: float | None) -> bytes:
        try:
            async with asyncio.timeout(deadline_s):
                return await work
        except TimeoutError:
            raise RefusedError("no whole answer before the deadline") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ssl.SSLError) as error:
            raise RefusedError(_REASONS[failure_reason(error)]) from None

    async def _answer(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str], answer_bytes_max: int
    ) -> bytes:
        target = self._gate.checked(url)
        sent = {"Accept-Encoding": "identity", "Accept": "application/json", **headers}
        answer = bytearray()
        async with self._client.stream(method, target, headers=sent, content=body) as response:
            if response.status_code != 200:
                raise RefusedError(f"the answer has status {response.status_code}")
            if response.headers.get("content-encoding", "identity").strip().lower() not in {"identity", ""}:
                raise RefusedError("the answer is compressed, which we did not ask for")
            async for chunk in response.aiter_raw():
                answer += chunk
                if len(answer) > answer_bytes_max:
                    raise RefusedError(f"the answer is larger than {answer_bytes_max} bytes")
        return bytes(answer)


def client_to(
    urls: Iterable[str], *, resolver: Resolver | None = None, tls: ssl.SSLContext | None = None
) -> httpx2.AsyncClient:
    """A client that connects to the hosts of these URLs and nowhere else: the operator's own settings, so they may be anywhere.

    It follows no redirect and has no deadline of its own. Close it with ``aclose``.

    Args:
        urls: http or https; of each its host and port are let through, also in a private network and on this machine.
        resolver: None: the system's.
        tls: None: the system's trusted certificates.
    """
    return guarded_client(_NamedGate(urls, resolver or _system_resolver), tls, pools=1)


def guarded_client(gate: Addresses, tls: ssl.SSLContext | None, *, pools: int = _POOLS) -> httpx2.AsyncClient:
    """A client whose connections pass the gate; it follows no redirect and keeps no cookie.

    Neither proxies, nor netrc, nor certificates come from the environment.
    """
    transport = _Transport(_GuardedBackend(gate), tls or trusted(), pools=pools)
    no_cookies = CookieJar(policy=DefaultCookiePolicy(allowed_domains=[]))
    return httpx2.AsyncClient(
        transport=transport,
        cookies=no_cookies,
        trust_env=False,
        follow_redirects=False,
        timeout=None,
        headers={"User-Agent": _USER_AGENT},
    )


@cache
def trusted() -> ssl.SSLContext:
    """The system's trusted certificates, read once: 20 ms for each client otherwise, of which a relay has three."""
    return httpx2.create_ssl_context(trust_env=False)


def failure_reason(error: Exception) -> Literal["certificate", "connect", "connection"]:
    """What went wrong: the certificate was not accepted, no connection was made, or it broke."""
    if isinstance(error, httpx2.ConnectError):
        return "certificate" if _is_certificate(error) else "connect"
    return "connection"


class RefusedError(Exception):
    """Why we do not go on; never holds an address or anything that came from outside."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class Gate:
    """Which URLs and which addresses are let through.

    Args:
        settings: ``origin_ports``, ``private_origins`` and ``loopback_origins``.
        resolver: None: the system's.
        hosts: those alone are asked, if there are any; besides those named as private or loopback.
        is_tls_needed: whether plain http is for those named as private or loopback only.
        ports: besides those of ``origin_ports``.
    """

    def __init__(
        self,
        settings: Settings,
        resolver: Resolver | None,
        *,
        hosts: Iterable[str] = (),
        is_tls_needed: bool = False,
        ports: Iterable[int] = (80, 443),
    ) -> None:
        self._hosts = frozenset(hosts)
        self._is_tls_needed = is_tls_needed
        self._ports = frozenset({*ports, *settings.origin_ports})
        self._private = frozenset(settings.private_origins)
        self._loopback = frozenset(settings.loopback_origins)
        self._resolver = resolver or _system_resolver

    def checked(self, url: str) -> httpx2.URL:
        """The URL, if it is one we may load; nothing is resolved yet.

        Raises:
            RefusedError: it is not.
        """
        if len(url) > URL_CHARACTERS_MAX or not url.isprintable() or " " in url or "\\" in url:
            raise RefusedError("the URL is too long or malformed")
        try:
            parsed = httpx2.URL(url)
        except (httpx2.InvalidURL, ValueError, UnicodeError):
            raise RefusedError("the URL is too long or malformed") from None
        if parsed.scheme not in {"http", "https"} or not parsed.host:
            raise RefusedError("the URL is not http or https")
        if parsed.userinfo or "@" in parsed.netloc.decode("latin-1"):
            raise RefusedError("the URL carries credentials")
        host, port = _host_port(parsed)
        is_named = self.check(host, port)
        if not is_named and self._is_tls_needed and parsed.scheme != "https":
            raise RefusedError("the URL is not https, nor named in private_origins or loopback_origins")
        return parsed.copy_with(fragment=None)

    def check(self, host: str, port: int) -> bool:
        """Whether a host and port are named as private or on this machine; others must be ones that may be asked at all.

        Raises:
            RefusedError: they are not.
        """
        named = f"{host.lower().rstrip('.')}:{port}"
        if named in self._private or named in self._loopback:
            return True
        if self._hosts and host.lower().rstrip(".") not in self._hosts:
            raise RefusedError("the host is not on the list of those that may be asked")
        if port not in self._ports:
            raise RefusedError("the port is not one that may be asked")
        return False

    async def addresses(self, host: str, port: int) -> list[str]:
        """Resolve a host and check every address it gave.

        Raises:
            RefusedError: it gave none, or at least one we may not connect to: a name that leads inside and outside is a trap.
        """
        try:
            addresses = await self._resolver(host, port)
        except (OSError, UnicodeError):
            raise RefusedError("the host has no address we may connect to") from None
        named = f"{host.lower().rstrip('.')}:{port}"
        for address in addresses:
            kind = address_kind(address)
            allowed = (
                kind == "global"
                or (kind == "private" and named in self._private)
                or (kind == "loopback" and named in self._loopback)
            )
            if not allowed:
                raise RefusedError("the host has no address we may connect to")
        if not addresses:
            raise RefusedError("the host has no address we may connect to")
        return addresses


class _NamedGate:
    """Which addresses are let through for somebody who has named every host: those of these hosts, wherever they are."""

    def __init__(self, urls: Iterable[str], resolver: Resolver) -> None:
        self._named = frozenset(_host_port(httpx2.URL(url)) for url in urls)
        self._resolver = resolver

    async def addresses(self, host: str, port: int) -> list[str]:
        """Resolve a host that was named.

        Raises:
            httpcore2.ConnectError: it was not, or it has no address we may connect to: link-local ones, with those of a cloud's metadata,
                are nobody's cache.
        """
        if (host.lower().rstrip("."), port) not in self._named:
            raise httpcore2.ConnectError("the host was not named")
        try:
            addresses = await self._resolver(host, port)
        except (OSError, UnicodeError):
            addresses = []
        if not addresses or any(address_kind(address) == "refused" for address in addresses):
            raise httpcore2.ConnectError("the host has no address we may connect to")
        return addresses


class Addresses(Protocol):
    """A gate, as far as connecting goes."""

    async def addresses(self, host: str, port: int) -> list[str]:
        """Resolve a host and check what it gave."""
        ...


class _GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Opens sockets only to addresses the gate has just checked."""

    def __init__(self, gate: Addresses) -> None:
        self._gate = gate
        self._inner = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  the signature is the library's
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first address that answers."""
        *first, last = await self._gate.addresses(host, port)
        for address in first:
            try:
                return await self._inner.connect_tcp(address, port, _ATTEMPT_S, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
        return await self._inner.connect_tcp(last, port, timeout, local_address, socket_options)


class _Transport(httpx2.AsyncBaseTransport):
    """httpx2 over httpcore2 pools whose sockets are guarded; HTTP/1.1, no retries, no proxies.

    A pool looks at each of its connections twice a request: with one for all, a burst that leaves hundreds open slows down every load.
    There are many instead, and a playlist always uses the same one.
    """

    def __init__(self, backend: httpcore2.AsyncNetworkBackend, tls: ssl.SSLContext, *, pools: int) -> None:
        self._pools = [
            httpcore2.AsyncConnectionPool(
                ssl_context=tls,
                max_connections=_CONNECTIONS_OF_POOL_MAX,
                max_keepalive_connections=_KEPT_OF_POOL_MAX,
                keepalive_expiry=_KEEP_S,
                network_backend=backend,
            )
            for _ in range(pools)
        ]

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request; failures of the network become httpx2's errors."""
        url = httpcore2.URL(
            scheme=request.url.raw_scheme, host=request.url.raw_host, port=request.url.port, target=request.url.raw_path
        )
        assert isinstance(request.stream, httpx2.AsyncByteStream)
        sent = httpcore2.Request(request.method, url, headers=request.headers.raw, content=request.stream)
        try:
            answer = await self._pool(request.url).handle_async_request(sent)
        except httpcore2.ConnectError as error:
            raise httpx2.ConnectError(str(error), request=request) from error
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException) as error:
            raise httpx2.TransportError(str(error), request=request) from error
        stream = _Stream(cast("AsyncIterable[bytes]", answer.stream), answer.aclose)
        return httpx2.Response(answer.status, headers=answer.headers, stream=stream)

    def _pool(self, url: httpx2.URL) -> httpcore2.AsyncConnectionPool:
        """The pool of a playlist, whatever its query is this time."""
        return self._pools[zlib.crc32(url.netloc + url.raw_path.partition(b"?")[0]) % len(self._pools)]

    async def aclose(self) -> None:
        """Close the pools."""
        for pool in self._pools:
            await pool.aclose()


class _Stream(httpx2.AsyncByteStream):
    """The body of an answer, with the network's failures as httpx2's."""

    def __init__(self, inner: AsyncIterable[bytes], close: Callable[[], Awaitable[None]]) -> None:
        self._inner, self._close = inner, close

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._inner:
                yield chunk
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException) as error:
            raise httpx2.ReadError(str(error)) from error

    async def aclose(self) -> None:
        await self._close()


async def _system_resolver(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[4][0]) for address in found))


def _host_port(url: httpx2.URL) -> tuple[str, int]:
    host = url.raw_host.decode("ascii").lower().rstrip(".")
    return host, url.port or (443 if url.scheme == "https" else 80)


def _is_certificate(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False
