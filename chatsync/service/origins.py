"""Which web pages may talk to a room: exact origins, no patterns. Source: security-and-privacy §1.

Owns: the Origin check of sockets and the CORS answers of HTTP. A native client sends no Origin; it is held by its token.

Before a caller was let into a room that not everybody may know of, a page is judged by the lists of all rooms together: by the room's own,
it could find out which rooms there are.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["ENTERED", "RoomCors", "cors_headers", "foreign_page", "is_allowed_origin"]

ENTERED = "chatsync.origins"
"""In a request's scope once its caller was let into a room: the origins that this room lists."""

_DEFAULT_PORTS = {"http": 80, "https": 443}
_EXPOSED = b"ETag, Retry-After"
_METHODS = b"GET, HEAD, POST, PUT, DELETE"
_REQUEST_HEADERS = b"Authorization, Content-Type, If-None-Match, Last-Event-ID"


def is_allowed_origin(origins: Sequence[str], *, host: str, allowed: Collection[str]) -> bool:
    """Whether a page of these Origin headers may connect.

    Args:
        origins: all Origin headers of the request; more than one is refused, ``null`` too.
        host: the Host header: a page of the relay's own origin may always connect.
        allowed: the room's list; scheme, host and port are compared exactly.
    """
    if not origins:
        return True
    if len(origins) > 1 or origins[0] == "null":
        return False
    return origins[0] in allowed or _is_same(origins[0], host)


def foreign_page(origins: Sequence[str], *, host: str) -> str | None:
    """The origin of a page that is not the relay's own; None for that, and for a native client.

    Args:
        origins: all Origin headers of a request that :func:`is_allowed_origin` lets pass.
        host: the Host header.
    """
    return None if is_allowed_origin(origins, host=host, allowed=()) else origins[0]


def _is_same(origin: str, host: str) -> bool:
    try:
        parts, own = urlsplit(origin), urlsplit(f"//{host}")
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
        own_port = own.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return False
    plain = not parts.path and not parts.query and not parts.fragment and parts.username is None
    return plain and parts.scheme in _DEFAULT_PORTS and parts.hostname == own.hostname and port == own_port


def cors_headers(origin: str | None, allowed: Collection[str]) -> list[tuple[bytes, bytes]]:
    """What a room's answer says to web pages.

    Args:
        origin: the one Origin header of the request; None if there is none, or more than one.
        allowed: the room's list.
    """
    # `Vary` also on answers without the other headers: a cache must not hand those to a page that may read them.
    headers = [(b"vary", b"Origin")]
    if origin is not None and origin in allowed:
        headers.append((b"access-control-allow-origin", origin.encode("latin-1")))
        headers.append((b"access-control-expose-headers", _EXPOSED))
    return headers


class RoomCors:
    """ASGI middleware: CORS answers by each room's own list. Tokens travel in a header, never in cookies."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the headers where the room allows the page; answer preflights itself."""
        room = _room_of(scope) if scope["type"] == "http" else None
        if room is None:
            await self._app(scope, receive, send)
            return
        origin = _origin_of(scope)
        knocking: Collection[str] = scope["app"].state.hub.pages_that_may_knock(room)
        if origin is not None and origin in knocking and scope["method"] == "OPTIONS":
            headers = [
                (b"vary", b"Origin"),
                (b"access-control-allow-origin", origin.encode("latin-1")),
                (b"access-control-allow-methods", _METHODS),
                (b"access-control-allow-headers", _REQUEST_HEADERS),
                (b"access-control-max-age", b"600"),
                (b"cache-control", b"no-store"),
            ]
            await send({"type": "http.response.start", "status": 204, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = cors_headers(origin, scope.get(ENTERED, knocking))
                message["headers"] = [*message.get("headers", []), *headers]
            await send(message)

        await self._app(scope, receive, send_with_headers)


def _origin_of(scope: Scope) -> str | None:
    found = [value for name, value in scope.get("headers", []) if name == b"origin"]
    return found[0].decode("latin-1") if len(found) == 1 else None


def _room_of(scope: Scope) -> str | None:
    """The room a path is below, whether it exists or not."""
    parts = scope.get("path", "").split("/")
    return parts[3] if len(parts) >= 4 and parts[1:3] == ["v1", "rooms"] else None
