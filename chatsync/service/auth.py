"""Tokens: who somebody is, in which rooms, until when; and the keys made from the one secret.

Owns: the strict reading and the minting of JWTs, author keys, sealed cursors, the bearer header. Does not know: the clock
(wall time is an argument), what a role may do (``chat.policy``), which rooms exist. Units: µs since the Unix epoch.
Source: RFC 7515, RFC 7519; contract §5.

PyJWT checks the signature and nothing else. It would accept a token without ``exp``, with ``exp`` as text or 1e30, with a
list as ``role``, and it reads the clock; so every claim is checked here. A token that fails any check is answered by
the same ``TokenError``: the reason is not told.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args

import jwt
import msgspec
from starlette.datastructures import Headers

from chatsync.chat.event import Role
from chatsync.chat.policy import permitted
from chatsync.chat.text import clean_name, is_room_id
from chatsync.errors import ChatsyncError, CursorError, TokenError
from chatsync.instants import HOUR_US, SECOND_US
from chatsync.service.limit_table import (
    LEEWAY_US_MAX,
    LIFETIME_US_MAX,
    SUBJECT_CHARACTERS_MAX,
    TOKEN_BYTES_MAX,
    TOKEN_ROOMS_MAX,
)

__all__ = [
    "ADMIN_AUDIENCE",
    "AUDIENCE",
    "Identity",
    "PersonRole",
    "TokenAuthority",
    "TokenScope",
    "bearer_token",
    "guest",
]

AUDIENCE = "chatsync"
ADMIN_AUDIENCE = "chatsync-admin"  # administrators have tokens of their own, and no other token opens their doors

_KID = "main"
_AUTHOR_KEYS = 20_000  # remembered

PersonRole = Literal["host", "moderator", "participant", "viewer", "guest"]
TokenScope = Literal["ingest", "analyst", "admin"]

_ROLES: frozenset[str] = frozenset(get_args(PersonRole))
_SCOPES: dict[str, frozenset[str]] = {
    AUDIENCE: frozenset({"ingest", "analyst"}),
    ADMIN_AUDIENCE: frozenset({"admin"}),
}
_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_BEARER = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9._~+/=-]+)")
_PREFIX = re.compile(r"([a-z0-9][a-z0-9_-]{0,62}[_-])\*")  # "math-*", not "math*": a prefix ends where a word ends
_jws = jwt.PyJWS(options={"enforce_minimum_key_length": True})


@dataclass(frozen=True, slots=True)
class Identity:
    """Who somebody is, as a token says."""

    subject: str  # the platform's own id of a person or program; stays between us and identity.db
    name: str  # clean; may be empty
    role: Role
    rooms: tuple[str, ...] | None  # ids and prefixes such as ``math-*``; None: all
    scopes: frozenset[str]  # every *action* that the token's scopes allow, by chat.policy
    expires_us: int | None  # system wall time; None: never, for guests

    def may_enter(self, room: str) -> bool:
        """Whether the token is for this room. Says nothing of what may be done in it."""
        if self.rooms is None:
            return True
        return any(room == item or (item.endswith("*") and room.startswith(item[:-1])) for item in self.rooms)

    def person(self, room: str) -> str:
        """Who is counted when one person has many connections in a room."""
        return f"{room}\n{self.subject}"


def guest() -> Identity:
    """Somebody without a token: reads public rooms. Each is a stranger to the next, so they are not counted as one."""
    return Identity(f"guest:{secrets.token_hex(8)}", "", "guest", (), frozenset(), None)


@dataclass(frozen=True, slots=True)
class _TokenKey:
    """A key and the one algorithm it is for: a token never chooses."""

    algorithm: str
    key: bytes


class TokenAuthority:
    """Reads and mints tokens, and makes every other key from the same secret, each under its own label.

    Args:
        secret: at least 32 bytes (``settings.token_key``).
        issuer: the ``iss`` every token must carry.
    """

    def __init__(self, secret: bytes, issuer: str = "chatsync") -> None:
        if len(secret) < 32:
            raise ValueError("a token secret needs at least 32 bytes")
        self._issuer = issuer
        # By kid. Another algorithm is another line here; the header's alg must agree with the line, never the reverse.
        self._keys: Mapping[str, _TokenKey] = {_KID: _TokenKey("HS256", secret)}
        self._author_key_key = _derived(secret, "author key")
        # A digest lets another thread have Python, and a platform that feeds a thousand messages would wait a thousand times.
        self._author_key = lru_cache(maxsize=_AUTHOR_KEYS)(self._made_author_key)
        self._cursor_key = _derived(secret, "cursor")
        self.etag_key = _derived(secret, "etag")
        self.purge_key = _derived(secret, "purge")

    def __repr__(self) -> str:
        return "TokenAuthority(***)"

    def identify(self, token: str, *, wall_us: int, admin: bool = False) -> Identity:
        """Read a token.

        Args:
            token: compact form (RFC 7515).
            wall_us: system wall time, µs: expiry is a promise about the world's clock, not about our steady one.
            admin: require the audience of administrators instead of that of people and programs.

        Raises:
            TokenError: for every fault alike.

        Cost: one HMAC over at most 8 KiB.
        """
        try:
            return self._identity(self._claims(token), wall_us, ADMIN_AUDIENCE if admin else AUDIENCE)
        except (_BadTokenError, jwt.PyJWTError, ChatsyncError, ValueError, TypeError, RecursionError):
            raise TokenError from None  # what was wrong is not told, nor kept as context

    def mint(
        self,
        subject: str,
        *,
        wall_us: int,
        lifetime_us: int = HOUR_US,
        rooms: Sequence[str] | None = None,
        role: PersonRole | None = None,
        name: str | None = None,
        scopes: Collection[TokenScope] = (),
        admin: bool = False,
    ) -> str:
        """Make a token that ``identify`` accepts.

        Args:
            subject: the platform's own id of the person or program.
            wall_us: system wall time now; ``iat``.
            lifetime_us: at most 24 h.
            rooms: ids and prefixes; needed unless ``admin``.
            role: needed unless there are scopes.
            name: what others see.
            scopes: what a program may do besides.
            admin: for the admin API; carries the scope ``admin``.

        Raises:
            ValueError: what is asked for would not be accepted.
        """
        issued_s = wall_us // SECOND_US
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "aud": ADMIN_AUDIENCE if admin else AUDIENCE,
            "sub": subject,
            "iat": issued_s,
            "exp": issued_s + lifetime_us // SECOND_US,
            "rooms": None if rooms is None else list(rooms),
            "role": role,
            "name": name,
            "scope": " ".join(sorted({*scopes, "admin"} if admin else scopes)) or None,
        }
        key = self._keys[_KID]
        payload = json.dumps({name: value for name, value in claims.items() if value is not None}).encode()
        token = _jws.encode(payload, key.key, algorithm=key.algorithm, headers={"kid": _KID})
        try:
            self.identify(token, wall_us=wall_us, admin=admin)
        except TokenError:
            raise ValueError(
                "such a token would be refused: check subject, rooms, role, name (32 characters), scopes and lifetime (24 h)"
            ) from None
        return token

    def author_key(self, room: str, subject: str) -> str:
        """Who an author is in this room, 32 hexadecimal digits: the same person has another key in every other room."""
        return self._author_key(room, subject)

    def _made_author_key(self, room: str, subject: str) -> str:
        room_key = hmac.digest(self._author_key_key, room.encode(), "sha256")
        return hmac.digest(room_key, subject.encode(), "sha256")[:16].hex()

    def sealed_cursor(self, place: tuple[int, int], room: str, broadcast: int) -> str:
        """A place in a broadcast's (program time, offset) order, for the client to hand back; bound to room and broadcast."""
        body = msgspec.json.encode(place)
        seal = self._seal(body, room, broadcast)
        return base64.urlsafe_b64encode(seal + body).decode().rstrip("=")

    def opened_cursor(self, cursor: str, room: str, broadcast: int) -> tuple[int, int]:
        """The place a cursor stands for.

        Raises:
            CursorError: not made here, or for another room or broadcast.
        """
        try:
            raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
            seal, body = raw[:16], raw[16:]
            if not hmac.compare_digest(seal, self._seal(body, room, broadcast)):
                raise CursorError
            return msgspec.json.decode(body, type=tuple[int, int])
        except (binascii.Error, ValueError, msgspec.MsgspecError):
            raise CursorError from None

    def _seal(self, body: bytes, room: str, broadcast: int) -> bytes:
        return hmac.digest(self._cursor_key, f"{room}\n{broadcast}\n".encode() + body, "sha256")[:16]

    def _claims(self, token: str) -> dict[str, Any]:
        if len(token) > TOKEN_BYTES_MAX or not _SHAPE.fullmatch(token):
            raise _BadTokenError
        header, payload, signature = token.split(".")
        if any(_encoded(_decoded(part)) != part for part in (header, payload, signature)):
            raise _BadTokenError  # the same bytes in other letters would be a second token
        facts = _object(_decoded(header))
        key = self._keys.get(facts.get("kid", _KID)) if isinstance(facts.get("kid", _KID), str) else None
        if key is None or facts.get("alg") != key.algorithm or "crit" in facts or "b64" in facts:
            raise _BadTokenError
        if facts.get("typ", "JWT") not in {"JWT", "jwt", "at+jwt"} or "cty" in facts:
            raise _BadTokenError
        _jws.decode(token, key.key, algorithms=[key.algorithm])  # header jwk, jku, x5u and x5c are not looked at
        return _object(_decoded(payload))

    def _identity(self, claims: dict[str, Any], wall_us: int, audience: str) -> Identity:
        if claims.get("iss") != self._issuer or claims.get("aud") != audience:
            raise _BadTokenError
        subject = claims.get("sub")
        if not isinstance(subject, str) or not 0 < len(subject) <= SUBJECT_CHARACTERS_MAX or not subject.isprintable():
            raise _BadTokenError
        issued_us, expires_us = _instant_us(claims.get("iat")), _instant_us(claims.get("exp"))
        if not 0 < expires_us - issued_us <= LIFETIME_US_MAX:
            raise _BadTokenError
        not_before_us = _instant_us(claims["nbf"]) if "nbf" in claims else issued_us
        if wall_us < max(issued_us, not_before_us) - LEEWAY_US_MAX or wall_us >= expires_us + LEEWAY_US_MAX:
            raise _BadTokenError
        scopes = _scopes(claims.get("scope", ""), audience)
        role = claims.get("role", "guest" if scopes else None)
        if not isinstance(role, str) or role not in _ROLES:
            raise _BadTokenError
        name = claims.get("name", "")
        if not isinstance(name, str):
            raise _BadTokenError
        return Identity(
            subject=subject,
            name=clean_name(name) if name else "",
            role=role,  # type: ignore[arg-type]
            rooms=_rooms(claims, audience),
            scopes=frozenset(action for scope in scopes for action in permitted(scope)),
            expires_us=expires_us,
        )


class _BadTokenError(Exception):
    """Never leaves this module."""


def bearer_token(headers: Headers) -> str | None:
    """The token of an ``Authorization: Bearer`` header; None if there is no such header.

    Raises:
        TokenError: two headers, another scheme, or a malformed one: somebody who shows credentials is never let in as a guest.
    """
    values = headers.getlist("authorization")
    if not values:
        return None
    match = _BEARER.fullmatch(values[0].strip()) if len(values) == 1 else None
    if match is None:
        raise TokenError
    return match[1]


def _derived(secret: bytes, label: str) -> bytes:
    """A key of its own for each use, so that no two uses can be played against each other."""
    return hmac.digest(secret, b"chatsync 1 " + label.encode(), hashlib.sha256)


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _object(raw: bytes) -> dict[str, Any]:
    """A JSON object in UTF-8 without NaN and without a name that stands in it twice.

    Raises:
        ValueError, RecursionError: it is something else.
    """
    read = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    if not isinstance(read, dict):
        raise _BadTokenError
    return read


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        raise _BadTokenError
    return unique


def _no_constant(name: str) -> float:
    raise _BadTokenError(name)


def _instant_us(value: object) -> int:
    """A NumericDate (seconds, perhaps with a fraction) as µs; booleans, texts and dates beyond the year 9999 are refused."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 253_402_300_800:
        raise _BadTokenError
    return int(value * SECOND_US)


def _scopes(scope: object, audience: str) -> frozenset[str]:
    if not isinstance(scope, str):
        raise _BadTokenError
    scopes = frozenset(scope.split(" ")) - {""}
    if not scopes <= _SCOPES[audience] or (audience == ADMIN_AUDIENCE and not scopes):
        raise _BadTokenError
    return scopes


def _rooms(claims: dict[str, Any], audience: str) -> tuple[str, ...] | None:
    if audience == ADMIN_AUDIENCE and "rooms" not in claims:
        return None
    rooms = claims.get("rooms")
    if not isinstance(rooms, list) or not 0 < len(rooms) <= TOKEN_ROOMS_MAX:
        raise _BadTokenError
    if not all(isinstance(room, str) and (is_room_id(room) or _PREFIX.fullmatch(room)) for room in rooms):
        raise _BadTokenError
    return tuple(rooms)
