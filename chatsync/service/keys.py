"""Which keys tokens may be signed with: each has a name, one algorithm fixed here, and somebody it speaks for.

Owns: reading keys from files and from a JSON Web Key Set, what makes a key too weak or no key, the ring they hang on. Does not know:
tokens (``auth``), where a key set comes from and how often (``openid``).
Source: RFC 7517 (JWK), RFC 7518 §3 and §6, RFC 8037 (EdDSA); security-and-privacy §2.

A token names a key, never an algorithm: what its header says of one must be what is written beside the key. So a public key can never be
taken for a secret. A symmetric key (``oct``) is never taken from a key set: whoever can read the set could sign with it.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import OKPAlgorithm, RSAAlgorithm
from pydantic import Field

from chatsync.chat.text import is_room_id
from chatsync.errors import SettingsError
from chatsync.service.limit_table import (
    PRIVATE_FILE_BYTES_MAX,
    RSA_BITS_MAX,
    RSA_BITS_MIN,
    SECRET_BYTES_MIN,
    SettingModel,
    setting,
)
from chatsync.service.room_settings import read_private_file

__all__ = [
    "MAIN",
    "Algorithm",
    "KeyRing",
    "Provider",
    "PublicKey",
    "TokenKey",
    "TokenKeySettings",
    "checked_secret",
    "is_room_pattern",
    "keys_of_set",
    "read_keys",
]

MAIN = "main"
"""Name of the key that every other key of ours is made from; a token that names none is signed with it."""

Algorithm = Literal["HS256", "RS256", "EdDSA"]
PublicKey = RSAPublicKey | Ed25519PublicKey

_PLACEHOLDER = re.compile(r"change.?me|placeholder|example|insecure|default|your[-_ ]|secret|password|test", re.I)
_DIFFERENT_CHARACTERS_MIN = 10  # 32 random bytes in hexadecimal hold fewer once in 10^9 times
_PREFIX = re.compile(r"([a-z0-9][a-z0-9_-]{0,62}[_-])\*")  # "math-*", not "math*": a prefix ends where a word ends
_KEY_ERRORS = (jwt.PyJWTError, UnsupportedAlgorithm, ValueError, TypeError, KeyError, OverflowError)


class TokenKeySettings(SettingModel):
    """One more key, a table ``[[token_keys]]`` in the file."""

    kid: str = Field(
        description="What a token's header calls the key (`kid`); `main` is the token secret.",
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
    )
    algorithm: Algorithm = setting(
        ..., "`HS256`, `RS256` or `EdDSA` (Ed25519): the only one tokens of this key may use."
    )
    file: Path = setting(
        ...,
        "The secret (`HS256`: at least 32 bytes, mode 0600), or the public key as PEM or JWK (RSA of 2,048 bits or more).",
    )
    admin: bool = setting(False, "Whether the key may sign tokens for administrators too.")


@dataclass(frozen=True, slots=True)
class Provider:
    """An OpenID provider whose people are let in: which of its tokens are meant for us, and how to read them.

    Attributes:
        issuer: ``iss`` of its tokens.
        audience: what must be in their ``aud``.
        role_claim: the claim that says a person's role in our words.
        rooms_claim: the claim that lists rooms and prefixes.
        name_claim: the claim with the name to show.
        default_role: for tokens without the role claim; None: they are refused.
        default_rooms: for tokens without the rooms claim; none: they are refused.
    """

    issuer: str
    audience: str
    role_claim: str = "role"
    rooms_claim: str = "rooms"
    name_claim: str = "name"
    default_role: str | None = None
    default_rooms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TokenKey:
    """A key, the one algorithm it is for, and for whom it speaks.

    Attributes:
        algorithm: a token never chooses.
        key: a secret, or a public key.
        is_admin: whether it may sign tokens for administrators.
        provider: whose key it is; None: our own platform's.
    """

    algorithm: Algorithm
    key: bytes | PublicKey = field(repr=False)
    is_admin: bool = False
    provider: Provider | None = None


class KeyRing:
    """All keys there are now, by name. Our own never change while the relay runs; those of a provider do.

    Args:
        own: by kid.
    """

    def __init__(self, own: Mapping[str, TokenKey]) -> None:
        self._own = dict(own)
        self._provided: Mapping[str, TokenKey] = {}

    def get(self, kid: str) -> TokenKey | None:
        """The key of this name; a provider cannot put its own in place of ours."""
        return self._own.get(kid) or self._provided.get(kid)

    @property
    def provided(self) -> Mapping[str, TokenKey]:
        """The provider's keys, by kid."""
        return self._provided

    def provide(self, keys: Mapping[str, TokenKey]) -> None:
        """These are the provider's keys from now on."""
        self._provided = dict(keys)


def is_room_pattern(text: str) -> bool:
    """Whether a token may name rooms so: an id, or an explicit prefix such as ``math-*``."""
    return is_room_id(text) or _PREFIX.fullmatch(text) is not None


def checked_secret(secret: str, name: str) -> bytes:
    """A secret as key bytes.

    Args:
        secret: as it was given.
        name: what it is called where the reason is told.

    Raises:
        SettingsError: shorter than 32 bytes, or it looks like a placeholder. The secret itself is never part of the reason.
    """
    key = secret.encode()
    if len(key) < SECRET_BYTES_MIN:
        raise SettingsError(f"{name} has {len(key)} bytes; it needs at least {SECRET_BYTES_MIN}")
    is_repeated = secret in (secret + secret)[1:-1]
    if _PLACEHOLDER.search(secret) or len(set(secret)) < _DIFFERENT_CHARACTERS_MIN or is_repeated:
        raise SettingsError(f"{name} looks like a placeholder; make a random one")
    return key


def read_keys(given: Sequence[TokenKeySettings]) -> dict[str, TokenKey]:
    """Read the files of keys.

    Returns:
        The keys by kid.

    Raises:
        SettingsError: a kid stands twice or is ``main``, or a file is not what it should be; only the first is told.
    """
    keys: dict[str, TokenKey] = {}
    for one in given:
        name = f"token_keys {one.kid}"
        if one.kid == MAIN or one.kid in keys:
            raise SettingsError(f"{name}: a key of this name is there already")
        if one.algorithm == "HS256":
            key: bytes | PublicKey = checked_secret(read_private_file(one.file, name).strip(), name)
        else:
            key = _read_public(one.file, one.algorithm, name)
        keys[one.kid] = TokenKey(one.algorithm, key, is_admin=one.admin)
    return keys


def _read_public(file: Path, algorithm: Algorithm, name: str) -> PublicKey:
    try:
        with file.open("rb") as opened:
            state = os.fstat(opened.fileno())
            if not stat.S_ISREG(state.st_mode):
                raise SettingsError(f"{name} is not a file")
            if state.st_mode & 0o022:
                raise SettingsError(f"{name} can be written by others; make it mode 0644 or less")
            raw = opened.read(PRIVATE_FILE_BYTES_MAX)
    except OSError as error:
        raise SettingsError(f"{name} cannot be read ({type(error).__name__})") from None
    if b"PRIVATE KEY" in raw:
        raise SettingsError(f"{name} holds a private key; the relay needs the public one, and must not have the other")
    try:
        if raw.lstrip().startswith(b"{"):
            found = _from_jwk(msgspec.json.decode(raw, type=dict[str, Any]))
            key = None if found is None else found[1]
        else:
            key = _as_public(load_pem_public_key(raw))
    except (msgspec.MsgspecError, *_KEY_ERRORS):
        key = None
    if key is None or _algorithm_of(key) != algorithm:
        raise SettingsError(
            f"{name} is no public key for {algorithm}: PEM ('BEGIN PUBLIC KEY') or a JWK, "
            f"RSA of {RSA_BITS_MIN} to {RSA_BITS_MAX} bits for RS256, Ed25519 for EdDSA"
        )
    return key


def keys_of_set(body: bytes, provider: Provider) -> dict[str, TokenKey]:
    """The keys of a JSON Web Key Set that we can use, by kid. Others in it (for encryption, of other algorithms, secrets) are left out.

    Args:
        body: the set as it came; its size is bounded by whoever loaded it.
        provider: whose it is.

    Raises:
        ValueError: it is no key set, or there is no key in it that we can use.

    Cost: some 50 µs a key.
    """
    try:
        read = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise ValueError("it is no JSON object") from None
    listed = read.get("keys")
    if not isinstance(listed, list):
        raise ValueError("it has no list of keys")
    keys = dict(_usable(listed, provider))
    if not keys:
        raise ValueError("there is no key in it for RS256 or EdDSA")
    return keys


def _usable(listed: Sequence[object], provider: Provider) -> Iterator[tuple[str, TokenKey]]:
    for jwk in listed:
        if not isinstance(jwk, dict) or not isinstance(jwk.get("kid"), str) or not jwk["kid"]:
            continue
        try:
            found = _from_jwk(jwk)
        except _KEY_ERRORS:
            found = None
        if found is not None:
            yield jwk["kid"], TokenKey(*found, provider=provider)


def _from_jwk(jwk: Mapping[str, Any]) -> tuple[Algorithm, PublicKey] | None:
    """A public key for signatures of one of our algorithms; None for any other."""
    operations = jwk.get("key_ops", ["verify"])
    if jwk.get("use", "sig") != "sig" or "d" in jwk or not isinstance(operations, list) or "verify" not in operations:
        return None
    made: Any = None
    # Only the public members are handed on: `oct` never is, nor anything else that the library would take for a key.
    if jwk.get("kty") == "RSA" and jwk.get("alg", "RS256") == "RS256":
        made = RSAAlgorithm.from_jwk({"kty": "RSA", "n": jwk["n"], "e": jwk["e"]})
    elif jwk.get("kty") == "OKP" and jwk.get("crv") == "Ed25519" and jwk.get("alg", "EdDSA") == "EdDSA":
        made = OKPAlgorithm.from_jwk({"kty": "OKP", "crv": "Ed25519", "x": jwk["x"]})
    key = _as_public(made)
    return None if key is None else (_algorithm_of(key), key)


def _as_public(key: object) -> PublicKey | None:
    """The same, if it is a public key of a kind and size we take."""
    if isinstance(key, RSAPublicKey):
        return key if RSA_BITS_MIN <= key.key_size <= RSA_BITS_MAX else None
    return key if isinstance(key, Ed25519PublicKey) else None


def _algorithm_of(key: PublicKey) -> Algorithm:
    return "RS256" if isinstance(key, RSAPublicKey) else "EdDSA"
