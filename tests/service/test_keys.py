"""Keys of tokens: files and key sets, what is taken, and what is too weak or no key."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from chatsync.errors import SettingsError
from chatsync.service.keys import (
    MAIN,
    KeyRing,
    Provider,
    TokenKey,
    TokenKeySettings,
    checked_secret,
    is_room_pattern,
    keys_of_set,
    read_keys,
)
from chatsync.service.limit_table import RSA_BITS_MIN
from tests.service.test_auth import ED_KEY, RSA_KEY, SPARE

PROVIDER = Provider("https://id.example/", "chat-app")
WEAK_RSA = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS_MIN - 8)


def pem(key: Any) -> bytes:
    """A public key as its owner hands it out."""
    return bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def jwk(key: Any, kid: str | None = "k1", **members: Any) -> dict[str, Any]:
    """A public key as a provider lists it."""
    algorithm: Any = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else OKPAlgorithm
    if isinstance(key, ec.EllipticCurvePrivateKey):
        algorithm = ECAlgorithm
    made = json.loads(algorithm.to_jwk(key.public_key()))
    made.pop("key_ops", None)
    return {**made, **({} if kid is None else {"kid": kid}), **members}


def key_set(*keys: Any) -> bytes:
    """A JSON Web Key Set."""
    return json.dumps({"keys": keys}).encode()


def written(folder: Path, content: bytes, *, mode: int = 0o600) -> Path:
    """A file of a key."""
    file = folder / "key"
    file.write_bytes(content)
    file.chmod(mode)
    return file


def one(file: Path, algorithm: Any, **given: Any) -> TokenKeySettings:
    """Settings of one key."""
    return TokenKeySettings(**{"kid": "k1", "algorithm": algorithm, "file": file} | given)


@pytest.mark.parametrize(
    ("content", "algorithm"),
    [
        (SPARE + b"\n", "HS256"),
        (pem(RSA_KEY), "RS256"),
        (pem(ED_KEY), "EdDSA"),
        (json.dumps(jwk(RSA_KEY)).encode(), "RS256"),
        (json.dumps(jwk(ED_KEY, alg="EdDSA", use="sig")).encode(), "EdDSA"),
    ],
    ids=["secret", "RSA as PEM", "Ed25519 as PEM", "RSA as JWK", "Ed25519 as JWK"],
)
def test_a_key_is_read_from_its_file(tmp_path: Path, content: bytes, algorithm: str) -> None:
    """With the algorithm that the settings fix; it speaks for our own platform and not for administrators."""
    keys = read_keys([one(written(tmp_path, content), algorithm)])

    assert ["k1"] == list(keys)
    assert (algorithm, False, None) == (keys["k1"].algorithm, keys["k1"].is_admin, keys["k1"].provider)
    assert read_keys([one(tmp_path / "key", algorithm, admin=True)])["k1"].is_admin


PRIVATE = ED_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize(
    ("content", "algorithm", "mode", "reason"),
    [
        (SPARE[:31], "HS256", 0o600, "needs at least 32"),
        (SPARE, "HS256", 0o640, "can be read by others"),
        (b"change-me" * 5, "HS256", 0o600, "placeholder"),
        (pem(ED_KEY), "EdDSA", 0o620, "can be written by others"),
        (PRIVATE, "EdDSA", 0o600, "private key"),
        (json.dumps(jwk(ED_KEY, d="x")).encode(), "EdDSA", 0o600, "no public key"),
        (pem(WEAK_RSA), "RS256", 0o600, "no public key for RS256"),
        (pem(RSA_KEY), "EdDSA", 0o600, "no public key for EdDSA"),
        (pem(ED_KEY), "RS256", 0o600, "no public key for RS256"),
        (pem(Ed448PrivateKey.generate()), "EdDSA", 0o600, "no public key"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "RS256", 0o600, "no public key"),
        (json.dumps({"kty": "oct", "k": "a" * 43}).encode(), "EdDSA", 0o600, "no public key"),
        (SPARE, "RS256", 0o600, "no public key"),
        (b"", "EdDSA", 0o600, "no public key"),
        (b"{", "EdDSA", 0o600, "no public key"),
    ],
    ids=[
        *("short", "open", "placeholder", "writable", "private PEM", "private JWK", "weak RSA", "RSA for EdDSA"),
        *("Ed25519 for RS256", "Ed448", "elliptic curve", "symmetric JWK", "secret for RS256", "empty", "no JSON"),
    ],
)
def test_what_is_no_good_key_is_refused_with_the_reason(
    tmp_path: Path, content: bytes, algorithm: str, mode: int, reason: str
) -> None:
    """Too weak, of another kind, open to others, or a private key that should not be here: the relay does not start."""
    with pytest.raises(SettingsError, match=reason) as refused:
        read_keys([one(written(tmp_path, content, mode=mode), algorithm)])
    assert SPARE.decode() not in str(refused.value)


def test_names_of_keys_are_told_apart(tmp_path: Path) -> None:
    """No two keys of one name, and none called as the main one."""
    file = written(tmp_path, pem(ED_KEY))
    for given in ([one(file, "EdDSA")] * 2, [one(file, "EdDSA", kid=MAIN)]):
        with pytest.raises(SettingsError, match="there already"):
            read_keys(given)
    with pytest.raises(SettingsError, match="cannot be read"):
        read_keys([one(tmp_path / "missing", "EdDSA")])
    with pytest.raises(SettingsError, match=r"cannot be read|is not a file"):
        read_keys([one(tmp_path, "EdDSA")])


@pytest.mark.parametrize("kid", ["", "a b", "../x", "x" * 65, "é", "a\n"])
def test_a_name_is_plain(kid: str) -> None:
    """What goes into a header and a log line has nothing in it that means something elsewhere."""
    with pytest.raises(ValueError, match=r".+"):
        TokenKeySettings(kid=kid, algorithm="EdDSA", file=Path("x"))


def test_keys_of_a_set_are_those_we_can_use() -> None:
    """Encryption keys, other algorithms, secrets and private keys are left out, the rest is there by its name."""
    body = key_set(
        jwk(RSA_KEY, "rsa", use="sig", alg="RS256", key_ops=["verify"], x5c=["MAA="]),
        jwk(ED_KEY, "ed"),
        jwk(RSA_KEY, "enc", use="enc"),
        jwk(RSA_KEY, "oaep", alg="RSA-OAEP"),
        jwk(RSA_KEY, "rs512", alg="RS512"),
        jwk(RSA_KEY, "sign", key_ops=["sign"]),
        jwk(RSA_KEY, "ops", key_ops="verify"),
        jwk(RSA_KEY, "private", d="AQAB"),
        jwk(RSA_KEY, "broken", n="!"),
        jwk(RSA_KEY, "numbers", n=5),
        jwk(RSA_KEY, "even", e="Ag"),
        jwk(RSA_KEY, None),
        jwk(RSA_KEY, ""),
        {**jwk(RSA_KEY), "kid": 7},
        jwk(WEAK_RSA, "weak"),
        jwk(ec.generate_private_key(ec.SECP256R1()), "ec"),
        jwk(Ed448PrivateKey.generate(), "ed448"),
        {"kty": "oct", "kid": "oct", "k": base64.urlsafe_b64encode(SPARE).decode()},
        {"kty": "RSA", "kid": "empty"},
        "text",
        None,
    )
    keys = keys_of_set(body, PROVIDER)

    assert {"rsa": "RS256", "ed": "EdDSA"} == {kid: key.algorithm for kid, key in keys.items()}
    assert {(False, PROVIDER)} == {(key.is_admin, key.provider) for key in keys.values()}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys":{}}',
        b'{"keys":[]}',
        b"\xff",
        b"[" * 10_000,
        b'{"keys":[{"kty":"oct","kid":"a","k":"YQ"}]}',
    ],
)
def test_what_is_no_key_set_is_told(body: bytes) -> None:
    """Without a key that can be used there is nothing to go on with: whoever asks keeps what it had."""
    with pytest.raises(ValueError, match=r"it has no|it is no|there is no"):
        keys_of_set(body, PROVIDER)


def test_a_provider_cannot_take_the_place_of_our_keys() -> None:
    """A key set that names one of ours changes nothing about it."""
    ours, theirs = TokenKey("HS256", SPARE), TokenKey("EdDSA", Ed25519PrivateKey.generate().public_key())
    ring = KeyRing({"spare": ours})
    ring.provide({"spare": theirs, "k1": theirs})

    assert (ours, theirs, None) == (ring.get("spare"), ring.get("k1"), ring.get("k2"))
    ring.provide({})
    assert (ours, None) == (ring.get("spare"), ring.get("k1"))


def test_a_key_does_not_print_itself() -> None:
    """A log line that holds the object holds no secret."""
    assert SPARE.decode() not in repr(TokenKey("HS256", SPARE))


def test_a_secret_is_long_and_random() -> None:
    """The same rule for every secret, told under its own name."""
    assert SPARE == checked_secret(SPARE.decode(), "it")
    for secret in ("short", "a" * 40, "0123456789" * 4, "my-example-" + SPARE.decode()):
        with pytest.raises(SettingsError, match=r"^it "):
            checked_secret(secret, "it")


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("math-101", True), ("math-*", True), ("math*", False), ("*", False), ("m*-", False), ("", False)],
)
def test_what_a_token_may_call_rooms(text: str, is_one: bool) -> None:
    """An id, or a prefix that ends where a word does."""
    assert is_one is is_room_pattern(text)
