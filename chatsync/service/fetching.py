"""Loading playlists from addresses we were given.

Owns: what of an answer is accepted; limits of time and size. Does not know: what a playlist says, when to load it
(``service.following``), which addresses are connected to (``service.outgoing``). Units: µs; sizes in bytes.
Source: RFC 8216 §4, RFC 9110.
"""

from __future__ import annotations

import asyncio
import ssl
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import httpx2

from chatsync.errors import PlaylistSyntaxError, PlaylistUnavailableError
from chatsync.instants import HOUR_US, SECOND_US
from chatsync.service.limit_table import GZIP_RATIO_MAX
from chatsync.service.outgoing import Gate, RefusedError, Resolver, failure_reason, guarded_client
from chatsync.service.room_settings import RequestHeaders, url_origin
from chatsync.service.settings import Settings

__all__ = ["Loaded", "PlaylistFetcher"]

_AGE_US_MAX = 24 * HOUR_US  # an Age beyond a day says nothing about a live playlist
_GZIP_FREE_BYTES = 1024 * 1024  # below this size no ratio is too high
_CHUNK_BYTES = 64 * 1024
_REASONS = {
    "certificate": "the origin's certificate was not accepted",
    "connect": "the origin could not be reached",
    "connection": "the connection to the origin failed",
}
_FIRST_BYTES = b"#EXTM3U"
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A playlist as it came.

    Attributes:
        text: begins with ``#EXTM3U``; a byte order mark is gone, bytes that are no UTF-8 are U+FFFD.
        url: where it came from in the end: the base of its URIs.
        age_us: how old the copy was when it was sent (``Age``), 0 if nobody said.
        status: always 200; there for logs.
    """

    text: str
    url: str
    age_us: int
    status: int


class PlaylistFetcher:
    """Loads playlists; one for the whole node. Close it with ``aclose``.

    Args:
        settings: ``origin_hosts``, ``origin_ports``, ``private_origins``, ``loopback_origins`` and the playlist limits.
        resolver: None: the system's.
        tls: None: the system's trusted certificates.
    """

    def __init__(
        self, settings: Settings, *, resolver: Resolver | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self._limits = settings.limits
        self._gate = Gate(settings, resolver, hosts=settings.origin_hosts)
        # A playlist that needs cookies gets them from the headers file; none are kept from answers.
        self._client = guarded_client(self._gate, tls)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def load(self, url: str, headers: Mapping[str, str] | None = None, *, held_us: int = 0) -> Loaded:
        """Load a playlist.

        Args:
            url: http or https.
            headers: for a protected playlist. They are sent to the one origin they belong to, which is theirs if they are
                ``RequestHeaders``, else the origin of ``url``; a redirect or a variant elsewhere goes without.
            held_us: so long the origin may hold the answer back, as a low-latency origin does until there is news.

        Raises:
            PlaylistUnavailableError: refused by us, not reached, too slow, too large, or not answered with 200. The reason
                repeats neither an address nor a word of what came.
            PlaylistSyntaxError: what came does not begin as a playlist does.

        Cost: at most ``held_us`` and ``limits.playlist_ms_max``, redirects included, and ``limits.playlist_bytes_max`` of memory.
        """
        limit_ms = self._limits.playlist_ms_max + held_us // 1_000
        try:
            async with asyncio.timeout(limit_ms / 1_000):
                return await self._load(url, headers)
        except TimeoutError:
            raise PlaylistUnavailableError(f"no whole answer within {limit_ms} ms") from None
        except RefusedError as refused:
            raise PlaylistUnavailableError(refused.reason) from None
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ssl.SSLError) as error:
            raise PlaylistUnavailableError(_REASONS[failure_reason(error)]) from None

    async def _load(self, url: str, headers: Mapping[str, str] | None) -> Loaded:
        target = self._gate.checked(url)
        headers = headers or {}
        headers_origin = headers.origin if isinstance(headers, RequestHeaders) else _origin(target)
        for _ in range(self._limits.playlist_redirects_max + 1):
            sent = {
                "Accept-Encoding": "gzip",
                "Accept": "application/vnd.apple.mpegurl, application/x-mpegurl, */*;q=0.5",
            }
            if _origin(target) == headers_origin:
                sent |= headers
            async with self._client.stream("GET", target, headers=sent) as response:
                location = response.headers.get("location")
                if response.status_code in {301, 302, 303, 307, 308} and location is not None:
                    target = self._gate.checked(_joined(target, location))
                    continue
                if response.status_code != 200:
                    raise RefusedError(f"the origin answered with status {response.status_code}")
                body = await self._body(response)
                return Loaded(body.decode("utf-8", "replace"), str(target), _age_us(response.headers.get("age")), 200)
        raise RefusedError("there are too many redirects")

    async def _body(self, response: httpx2.Response) -> bytes:
        encoding = response.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in {"identity", "gzip", "x-gzip", ""}:
            raise RefusedError("the origin used a compression we did not ask for")
        inflater = _Inflater() if "gzip" in encoding else None
        body, came, begins = bytearray(), 0, False
        async for chunk in response.aiter_raw():
            came += len(chunk)
            for piece in [chunk] if inflater is None else inflater.inflated(chunk):
                body += piece
                if len(body) > self._limits.playlist_bytes_max:
                    raise RefusedError(f"the playlist is larger than {self._limits.playlist_bytes_max} bytes")
                if inflater is not None and len(body) > max(_GZIP_FREE_BYTES, came * GZIP_RATIO_MAX):
                    raise RefusedError("the playlist is compressed beyond reason")
                begins = begins or _begins_as_playlist(body)
        if not begins:
            raise PlaylistSyntaxError("it does not begin with #EXTM3U", 1)
        if inflater is not None and not inflater.is_whole:
            raise RefusedError("the compressed playlist was cut off")
        return bytes(body.removeprefix(_BOM))


class _Inflater:
    """Gzip in pieces of bounded size: a bomb is noticed before it has gone off."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)

    @property
    def is_whole(self) -> bool:
        """Whether the end of the gzip stream has come."""
        return self._inner.eof

    def inflated(self, chunk: bytes) -> Iterable[bytes]:
        """What a chunk inflates to, at most 64 KiB at a time; bytes after the end are ignored.

        Raises:
            RefusedError: the chunk is no gzip.
        """
        try:
            while chunk and not self._inner.eof:
                yield self._inner.decompress(chunk, _CHUNK_BYTES)
                chunk = self._inner.unconsumed_tail
        except zlib.error:
            raise RefusedError("the compressed playlist is damaged") from None


def _begins_as_playlist(body: bytearray) -> bool:
    """Whether the body begins with ``#EXTM3U``; as soon as it cannot, nothing more is read.

    Raises:
        PlaylistSyntaxError: it begins with something else.
    """
    begin = bytes(body[: len(_BOM) + len(_FIRST_BYTES)]).removeprefix(_BOM)[: len(_FIRST_BYTES)]
    if len(begin) == len(_FIRST_BYTES) and begin == _FIRST_BYTES:
        return True
    if not _FIRST_BYTES.startswith(begin) and not _BOM.startswith(begin):
        raise PlaylistSyntaxError("it does not begin with #EXTM3U", 1)
    return False


def _joined(base: httpx2.URL, location: str) -> str:
    try:
        return str(base.join(location))
    except (httpx2.InvalidURL, ValueError, UnicodeError):
        raise RefusedError("the redirect is malformed") from None


def _origin(url: httpx2.URL) -> str:
    """As ``settings.url_origin`` writes it; a host it cannot write is an origin that no headers belong to."""
    try:
        return url_origin(str(url))
    except ValueError:
        return ""


def _age_us(age: str | None) -> int:
    """``Age`` in µs; 0 for anything but a plausible number: lists and fractions are seen in the wild."""
    text = (age or "").partition(",")[0].strip()
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        return 0
    age_us = int(text) * SECOND_US
    return age_us if age_us <= _AGE_US_MAX else 0
