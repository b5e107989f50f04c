"""Tokens: who somebody is, in which rooms, until when; and the keys made from the one secret.

Owns: the strict reading and the minting of JWTs, author keys, sealed cursors, the bearer header. Does not know: the clock
(wall time is an argument), where keys come from (``keys``), what a role may do (``chat.policy``), which rooms exist.
Units: µs since the Unix epoch. Source: RFC 7515, RFC 7519, OpenID Connect Core §2; contract §5.

PyJWT checks the signature and nothing else. It would accept a token without ``exp``, with ``exp`` as text or 1e30, with a
list as ``role``, and it reads the clock; so every claim is checked here. A token that fails any check is answered by
the same ``TokenError``: the reason is not told.

An OpenID provider's tokens are read by its own words for role, rooms and name, and never as those of programs or administrators. Its
people are not ours: the same ``sub`` is another person there.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal, get_args

import jwt
import msgspec
from starlette.datastructures import Headers

from chatsync.chat.event import Role
from chatsync.chat.policy import permitted
from chatsync.chat.text import NAME_CODE_POINTS_MAX, clean_name
from chatsync.errors import ChatsyncError, CursorError, TokenError
from chatsync.instants import HOUR_US, SECOND_US
from chatsync.service.keys import MAIN, KeyRing, TokenKey, is_room_pattern
from chatsync.service.limit_table import (
    AUDIENCES_MAX,
    LEEWAY_US_MAX,
    LIFETIME_US_MAX,
    SUBJECT_CHARACTERS_MAX,
    TOKEN_BYTES_MAX,
    TOKEN_ROOMS_MAX,
)
from chatsync.service.revoking import Revocations
from chatsync.service.verified import Verified, VerifiedTokens

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

_AUTHOR_KEYS = 20_000  # remembered

PersonRole = Literal["host", "moderator", "participant", "viewer", "guest"]
TokenScope = Literal["ingest", "analyst", "auditor", "admin"]

_ROLES: frozenset[str] = frozenset(get_args(PersonRole))
_SCOPES: dict[str, frozenset[str]] = {
    AUDIENCE: frozenset({"ingest", "analyst", "auditor"}),
    ADMIN_AUDIENCE: frozenset({"admin"}),
}
_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_BEARER = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9._~+/=-]+)")
_jws = jwt.PyJWS(options={"enforce_minimum_key_length": True})


@dataclass(frozen=True, slots=True)
class Identity:
    """Who somebody is, as a token says."""

    subject: str  # the platform's own id of a person or program; of a provider's, its issuer and a line feed before it
    name: str  # clean; may be empty
    role: Role
    rooms: tuple[str, ...] | None  # ids and prefixes such as ``math-*``; None: all
    scopes: frozenset[str]  # every *action* that the token's scopes allow, by chat.policy
    expires_us: int | None  # system wall time; None: never, for guests
    issued_us: int = 0  # the same
    token_id: str | None = None  # `jti`, as `subject`

    def may_enter(self, room: str) -> bool:
        """Whether the token is for this room. Says nothing of what may be done in it."""
        if self.rooms is None:
            return True
        return any(room == item or (item.endswith("*") and room.startswith(item[:-1])) for item in self.rooms)

    @property
    def is_stranger(self) -> bool:
        """Whether it is somebody without a token: next time they are somebody else."""
        return self.expires_us is None

    def person(self, room: str) -> str:
        """Who is counted when one person has many connections in a room."""
        return f"{room}\n{self.subject}"


def guest() -> Identity:
    """Somebody without a token: reads public rooms. Each is a stranger to the next, so they are not counted as one."""
    return Identity(f"guest:{secrets.token_hex(8)}", "", "guest", (), frozenset(), None)


class TokenAuthority:
    """Reads and mints tokens, and makes every other key from the same secret, each under its own label.

    Args:
        secret: at least 32 bytes (``settings.token_key``).
        issuer: the ``iss`` every token must carry that is not a provider's.
        keys: more keys that tokens may be signed with, by kid.

    Attributes:
        ring: all keys tokens may be signed with.
        revocations: tokens that were taken back.
    """

    def __init__(
        self, secret: bytes, issuer: str = "chatsync", *, keys: Mapping[str, TokenKey] = MappingProxyType({})
    ) -> None:
        if len(secret) < 32:
            raise ValueError("a token secret needs at least 32 bytes")
        self._issuer = issuer
        self._secret = secret
        self.ring = KeyRing({**keys, MAIN: TokenKey("HS256", secret, is_admin=True)})
        self._forged = _jws.encode(b"{}".ljust(300), secrets.token_bytes(32), algorithm="HS256", headers={"kid": MAIN})
        self._verified: VerifiedTokens[Identity] = VerifiedTokens()
        self.revocations = Revocations(_derived(secret, "revocation"))
        self._author_key_key = _derived(secret, "author key")
        # A digest lets another thread have Python, and a platform that feeds a thousand messages would wait a thousand times.
        self._author_key = lru_cache(maxsize=_AUTHOR_KEYS)(self._made_author_key)
        self._actor_key = _derived(secret, "audit actor")
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

        Cost: 2 µs for one that was found good lately. Else 60 µs and one check of a signature over at most 8 KiB: some 20 µs for HS256, 60 for
        RS256, 150 for EdDSA.
        """
        try:
            if len(token) > TOKEN_BYTES_MAX:
                raise _BadTokenError
            name = self._verified.name(token, admin=admin)
            identity = self._known(name, wall_us)
            if identity is None:
                kid, key, payload = self._checked(token)
                identity = self._identity(_object(payload), key, wall_us, admin=admin)
                self._verified.put(name, Verified(kid, key, wall_us, identity))
            if self.revocations.refuses(identity):
                raise _BadTokenError
            return identity
        except (_BadTokenError, jwt.PyJWTError, ChatsyncError, ValueError, TypeError, RecursionError):
            raise TokenError from None  # what was wrong is not told, nor kept as context

    def _known(self, name: bytes, wall_us: int) -> Identity | None:
        """What a token says that was found good by a key that still is one, and has not expired."""
        known = self._verified.get(name)
        if known is None or self.ring.get(known.kid) is not known.key:
            return None
        expires_us = known.said.expires_us or 0
        return known.said if known.at_us <= wall_us < expires_us + LEEWAY_US_MAX else None

    def unknown_kid(self, token: str) -> str | None:
        """Which key a token wants to be read with that is not there; None if it is, or if this is no token of a provider."""
        try:
            facts = _header(token)
        except (_BadTokenError, ValueError, TypeError, RecursionError):
            return None
        kid = facts.get("kid")
        is_known = not isinstance(kid, str) or self.ring.get(kid) is not None
        return None if is_known or facts.get("alg") not in {"RS256", "EdDSA"} else kid

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
            "jti": secrets.token_urlsafe(16),
        }
        payload = json.dumps({name: value for name, value in claims.items() if value is not None}).encode()
        token = _jws.encode(payload, self._secret, algorithm="HS256", headers={"kid": MAIN})
        try:
            self.identify(token, wall_us=wall_us, admin=admin)
        except TokenError:
            raise ValueError(
                "such a token would be refused: check subject, rooms, role, name (32 characters), scopes and lifetime (24 h)"
            ) from None
        return token

    def author_key(self, room: str, subject: str, course: str | None = None) -> str:
        """Who an author is in this room, 32 hexadecimal digits: the same person has another key in every other room.

        Args:
            room: where they are.
            subject: the platform's own id of the person.
            course: of the room's settings: in all rooms of a course a person has one key (contract §6).
        """
        return self._author_key(room if course is None else f"course\n{course}", subject)

    def _made_author_key(self, space: str, subject: str) -> str:
        space_key = hmac.digest(self._author_key_key, space.encode(), "sha256")  # no room's id has a line feed
        return hmac.digest(space_key, subject.encode(), "sha256")[:16].hex()

    def admin_actor(self, subject: str) -> str:
        """What the audit log calls an administrator or a program: a pseudonym that leads back to them only with the secret."""
        return f"admin:{hmac.digest(self._actor_key, subject.encode(), 'sha256')[:16].hex()}"

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

    def subject_of(self, person: str, issuer: str | None = None) -> str:
        """A person as identities name them: ``sub`` of the tokens of an issuer, by default of our own platform."""
        return person if issuer is None or issuer == self._issuer else _provided(issuer, person)

    def _checked(self, token: str) -> tuple[str, TokenKey, bytes]:
        """The key that a token was signed with, by its name, and the token's payload."""
        try:
            kid, key = self._claimed_key(token)
        except (_BadTokenError, ValueError, TypeError, RecursionError):
            # Whoever has no key is not to tell by the time whether a form was right or a name known: a forged one takes as long.
            with contextlib.suppress(jwt.PyJWTError):
                _jws.decode(self._forged, self._secret, algorithms=["HS256"])
            raise
        payload: bytes = _jws.decode(token, key.key, algorithms=[key.algorithm])
        return kid, key, payload

    def _claimed_key(self, token: str) -> tuple[str, TokenKey]:
        """The key that a token says it was signed with, if it is one and may be meant; header jwk, jku, x5u and x5c are not looked at."""
        facts = _header(token)
        kid = facts.get("kid", MAIN)
        key = self.ring.get(kid) if isinstance(kid, str) else None
        if key is None or facts.get("alg") != key.algorithm or "crit" in facts or "b64" in facts:
            raise _BadTokenError
        if facts.get("typ", "JWT") not in {"JWT", "jwt", "at+jwt"} or "cty" in facts:
            raise _BadTokenError
        return kid, key

    def _identity(self, claims: dict[str, Any], key: TokenKey, wall_us: int, *, admin: bool) -> Identity:
        issued_us, expires_us = _lifetime(claims, wall_us)
        subject = _text(claims.get("sub"))
        token_id = _text(claims["jti"]) if "jti" in claims else None
        provider = key.provider
        if provider is not None:
            if admin or claims.get("iss") != provider.issuer or not _is_for(claims.get("aud"), provider.audience):
                raise _BadTokenError
            return Identity(
                subject=_provided(provider.issuer, subject),
                name=_shortened(claims.get(provider.name_claim, "")),
                role=_role(claims.get(provider.role_claim, provider.default_role)),
                rooms=_rooms(claims.get(provider.rooms_claim, list(provider.default_rooms))),
                scopes=frozenset(),
                expires_us=expires_us,
                issued_us=issued_us,
                token_id=None if token_id is None else _provided(provider.issuer, token_id),
            )
        audience = ADMIN_AUDIENCE if admin else AUDIENCE
        if claims.get("iss") != self._issuer or claims.get("aud") != audience or (admin and not key.is_admin):
            raise _BadTokenError
        scopes = _scopes(claims.get("scope", ""), audience)
        name = claims.get("name", "")
        if not isinstance(name, str):
            raise _BadTokenError
        return Identity(
            subject=subject,
            name=clean_name(name) if name else "",
            role=_role(claims.get("role", "guest" if scopes else None)),
            rooms=None if admin and "rooms" not in claims else _rooms(claims.get("rooms")),
            scopes=frozenset(action for scope in scopes for action in permitted(scope)),
            expires_us=expires_us,
            issued_us=issued_us,
            token_id=token_id,
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


def _provided(issuer: str, text: str) -> str:
    """What an OpenID provider calls somebody or something, told from what our own platform does: it has no line feeds."""
    return f"{issuer}\n{text}"


def _derived(secret: bytes, label: str) -> bytes:
    """A key of its own for each use, so that no two uses can be played against each other."""
    return hmac.digest(secret, b"chatsync 1 " + label.encode(), hashlib.sha256)


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _header(token: str) -> dict[str, Any]:
    """The header of a well-formed token; nothing in it is believed yet."""
    if len(token) > TOKEN_BYTES_MAX or not _SHAPE.fullmatch(token):
        raise _BadTokenError
    header, payload, signature = token.split(".")
    if any(_encoded(_decoded(part)) != part for part in (header, payload, signature)):
        raise _BadTokenError  # the same bytes in other letters would be a second token
    return _object(_decoded(header))


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


def _lifetime(claims: dict[str, Any], wall_us: int) -> tuple[int, int]:
    """When a token was issued and when it expires, if it is good now."""
    issued_us, expires_us = _instant_us(claims.get("iat")), _instant_us(claims.get("exp"))
    if not 0 < expires_us - issued_us <= LIFETIME_US_MAX:
        raise _BadTokenError
    not_before_us = _instant_us(claims["nbf"]) if "nbf" in claims else issued_us
    if wall_us < max(issued_us, not_before_us) - LEEWAY_US_MAX or wall_us >= expires_us + LEEWAY_US_MAX:
        raise _BadTokenError
    return issued_us, expires_us


def _text(value: object) -> str:
    """What names a person or a token."""
    if not isinstance(value, str) or not 0 < len(value) <= SUBJECT_CHARACTERS_MAX or not value.isprintable():
        raise _BadTokenError
    return value


def _is_for(audience: object, ours: str) -> bool:
    """Whether a provider's token is for us: it may be for others too (RFC 7519 §4.1.3)."""
    if not isinstance(audience, list):
        return audience == ours
    return len(audience) <= AUDIENCES_MAX and all(isinstance(one, str) for one in audience) and ours in audience


def _role(role: object) -> Role:
    if not isinstance(role, str) or role not in _ROLES:
        raise _BadTokenError
    return role  # type: ignore[return-value]


def _shortened(name: object) -> str:
    """The name a provider knows somebody by: they cannot make it shorter, so what is too long is cut."""
    if not isinstance(name, str):
        raise _BadTokenError
    return clean_name(name[:NAME_CODE_POINTS_MAX]) if name else ""


def _scopes(scope: object, audience: str) -> frozenset[str]:
    if not isinstance(scope, str):
        raise _BadTokenError
    scopes = frozenset(scope.split(" ")) - {""}
    if not scopes <= _SCOPES[audience] or (audience == ADMIN_AUDIENCE and not scopes):
        raise _BadTokenError
    return scopes


def _rooms(rooms: object) -> tuple[str, ...]:
    if not isinstance(rooms, list) or not 0 < len(rooms) <= TOKEN_ROOMS_MAX:
        raise _BadTokenError
    if not all(isinstance(room, str) and is_room_pattern(room) for room in rooms):
        raise _BadTokenError
    return tuple(rooms)
