"""Tokens: what is accepted, what is refused, and the keys made from the secret."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from chatsync.errors import CursorError, TokenError
from chatsync.instants import HOUR_US, SECOND_US
from chatsync.service.auth import Identity, TokenAuthority, guest
from chatsync.service.keys import Provider, TokenKey

SECRET = b"0f8b2c6d9e1a4753b0c2d4e6f8a1b3c5d7e9f0a2"
NOW_S = 1_764_000_000
NOW_US = NOW_S * SECOND_US
SPARE = b"77c1e05b9a3d4f6820be71d9c4a5f30862e7b19d"
RSA_KEY, OTHER_RSA = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
ED_KEY, OTHER_ED = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
PROVIDER = Provider("https://id.example/", "chat-app", role_claim="https://chat.example/role")
AUTHORITY = TokenAuthority(
    SECRET,
    keys={
        "spare": TokenKey("HS256", SPARE),
        "rsa": TokenKey("RS256", RSA_KEY.public_key(), is_admin=True),
        "ed": TokenKey("EdDSA", ED_KEY.public_key()),
    },
)
AUTHORITY.ring.provide(
    {
        "idp-1": TokenKey("RS256", OTHER_RSA.public_key(), provider=PROVIDER),
        "idp-2": TokenKey("EdDSA", OTHER_ED.public_key(), provider=PROVIDER),
        "main": TokenKey("EdDSA", OTHER_ED.public_key(), provider=PROVIDER),
    }
)

CLAIMS: dict[str, Any] = {
    "iss": "chatsync",
    "aud": "chatsync",
    "sub": "student-17",
    "iat": NOW_S,
    "exp": NOW_S + 3_600,
    "rooms": ["math-101"],
    "role": "participant",
    "name": "Ann",
}


def b64(raw: bytes | str) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(raw if isinstance(raw, bytes) else raw.encode()).decode().rstrip("=")


def signed(payload: bytes | str, header: bytes | str | None = None, key: bytes = SECRET) -> str:
    """A token with a right signature over whatever header and payload."""
    first = b64('{"alg":"HS256","typ":"JWT"}' if header is None else header)
    signing = f"{first}.{b64(payload)}"
    return f"{signing}.{b64(hmac.digest(key, signing.encode(), hashlib.sha256))}"


def token(**changes: Any) -> str:
    """A good token with some claims changed; a change to ``...`` leaves the claim out."""
    claims = {name: value for name, value in {**CLAIMS, **changes}.items() if value is not ...}
    return signed(json.dumps(claims))


def headed(**header: Any) -> str:
    """A good payload under a changed header."""
    return signed(json.dumps(CLAIMS), json.dumps({"alg": "HS256", "typ": "JWT", **header}))


def raw_claim(name: str, value: str) -> str:
    """A good token in which one claim is written as raw JSON text."""
    claims = {**CLAIMS, name: "@@"}
    return signed(json.dumps(claims).replace('"@@"', value))


def asymmetric(key: Any, kid: str, algorithm: str, header: Any = None, **changes: Any) -> str:
    """A token of our platform signed with a private key."""
    claims = {name: value for name, value in {**CLAIMS, **changes}.items() if value is not ...}
    return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": kid, **(header or {})})


def provided(kid: str = "idp-2", **changes: Any) -> str:
    """A good token of the OpenID provider with some claims changed."""
    given = {
        "iss": PROVIDER.issuer,
        "aud": "chat-app",
        "sub": "auth0|17",
        "iat": NOW_S,
        "exp": NOW_S + 3_600,
        PROVIDER.role_claim: "host",
        "rooms": ["math-*"],
        "name": "Ann",
        "scope": "openid profile",
        "role": "guest",
        **changes,
    }
    claims = {name: value for name, value in given.items() if value is not ...}
    key, algorithm = (OTHER_RSA, "RS256") if kid == "idp-1" else (OTHER_ED, "EdDSA")
    return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": kid})


RSA_PUBLIC = RSA_KEY.public_key()
PEM = RSA_PUBLIC.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
DER = RSA_PUBLIC.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
SSH = RSA_PUBLIC.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
NO_ROLE: dict[str, Any] = {PROVIDER.role_claim: ...}
LISTED_ROLE: dict[str, Any] = {PROVIDER.role_claim: ["host"]}
JWK = str(jwt.algorithms.RSAAlgorithm.to_jwk(RSA_PUBLIC))
GOOD = token()
HEAD, BODY, SIGNATURE = GOOD.split(".")

BAD: dict[str, Callable[[], str]] = {
    "empty": lambda: "",
    "one part": lambda: "abc",
    "two parts": lambda: f"{HEAD}.{BODY}",
    "no signature": lambda: f"{HEAD}.{BODY}.",
    "four parts": lambda: GOOD + ".x",
    "five parts, encrypted": lambda: "a.b.c.d.e",
    "padding": lambda: GOOD + "=",
    "white space": lambda: " " + GOOD,
    "newline at the end": lambda: GOOD + "\n",
    "inner white space": lambda: f"{HEAD}. {BODY}.{SIGNATURE}",
    "standard base64 letters": lambda: f"{HEAD}.{BODY}.{SIGNATURE[:-2]}+/",
    "not ASCII": lambda: GOOD[:-1] + "é",
    "NUL": lambda: GOOD + "\x00",
    "signature changed": lambda: f"{HEAD}.{BODY}.{'A' if SIGNATURE[0] != 'A' else 'B'}{SIGNATURE[1:]}",
    "signature shortened": lambda: GOOD[:-4],
    "same signature in other letters": lambda: GOOD[:-1] + chr(ord(GOOD[-1]) + 1),
    "payload changed": lambda: f"{HEAD}.{b64(json.dumps({**CLAIMS, 'role': 'host'}))}.{SIGNATURE}",
    "wrong key": lambda: signed(json.dumps(CLAIMS), key=b"x" * 40),
    "empty key": lambda: signed(json.dumps(CLAIMS), key=b""),
    "too long": lambda: token(padding="x" * 8_192),
    "alg none": lambda: f"{b64(json.dumps({'alg': 'none'}))}.{BODY}.{SIGNATURE}",
    "alg none without signature": lambda: jwt.encode(CLAIMS, None, algorithm="none"),  # type: ignore[arg-type]
    "alg None": lambda: headed(alg="None"),
    "alg nOnE": lambda: headed(alg="nOnE"),
    "alg null": lambda: headed(alg=None),
    "alg list": lambda: headed(alg=["HS256"]),
    "alg lower case": lambda: headed(alg="hs256"),
    "alg HS512": lambda: jwt.encode(CLAIMS, SECRET * 2, algorithm="HS512"),
    "alg HS384 with our key": lambda: jwt.encode(CLAIMS, SECRET * 2, algorithm="HS384"),
    "alg RS256": lambda: jwt.encode(CLAIMS, RSA_KEY, algorithm="RS256"),
    "alg missing": lambda: signed(json.dumps(CLAIMS), '{"typ":"JWT"}'),
    "PEM as HMAC key": lambda: signed(json.dumps(CLAIMS), key=PEM),
    "DER as HMAC key": lambda: signed(json.dumps(CLAIMS), key=DER),
    "OpenSSH key as HMAC key": lambda: signed(json.dumps(CLAIMS), key=SSH),
    "kid of a file": lambda: headed(kid="../../dev/null"),
    "kid with SQL": lambda: headed(kid="' OR 1=1 --"),
    "kid with NUL": lambda: headed(kid="main\x00"),
    "kid unknown": lambda: headed(kid="other"),
    "kid number": lambda: headed(kid=1),
    "kid list": lambda: headed(kid=["main"]),
    "kid null": lambda: headed(kid=None),
    "kid of one MiB": lambda: headed(kid="x" * 1_048_576),
    "key in the header": lambda: signed(
        json.dumps(CLAIMS), json.dumps({"alg": "HS256", "jwk": {"kty": "oct", "k": b64(b"k" * 32)}}), b"k" * 32
    ),
    "key by URL": lambda: signed(
        json.dumps(CLAIMS), json.dumps({"alg": "HS256", "jku": "https://evil.example/"}), b"k" * 32
    ),
    "crit": lambda: headed(crit=["exp"]),
    "crit empty": lambda: headed(crit=[]),
    "detached payload": lambda: headed(b64=False),
    "nested": lambda: headed(cty="JWT"),
    "typ of another kind": lambda: headed(typ="secevent+jwt"),
    "typ list": lambda: headed(typ=["JWT"]),
    "header list": lambda: signed(json.dumps(CLAIMS), "[]"),
    "header no JSON": lambda: signed(json.dumps(CLAIMS), "{"),
    "header with a name twice": lambda: signed(json.dumps(CLAIMS), '{"alg":"none","alg":"HS256"}'),
    "payload list": lambda: signed("[]"),
    "payload text": lambda: signed('"x"'),
    "payload empty": lambda: signed(""),
    "payload no UTF-8": lambda: signed(b'{"sub":"\xff"}'),
    "payload nested deep": lambda: signed("[" * 5_000),
    "claim twice": lambda: signed(json.dumps(CLAIMS)[:-1] + ',"role":"host"}'),
    "exp twice": lambda: signed('{"exp":1,' + json.dumps(CLAIMS)[1:]),
    "exp missing": lambda: token(exp=...),
    "exp null": lambda: token(exp=None),
    "exp text": lambda: token(exp=str(NOW_S + 60)),
    "exp true": lambda: token(exp=True),
    "exp list": lambda: token(exp=[NOW_S + 60]),
    "exp 1e30": lambda: raw_claim("exp", "1e30"),
    "exp 1e999": lambda: raw_claim("exp", "1e999"),
    "exp NaN": lambda: raw_claim("exp", "NaN"),
    "exp Infinity": lambda: raw_claim("exp", "Infinity"),
    "exp of 5,000 digits": lambda: raw_claim("exp", "9" * 5_000),
    "exp negative": lambda: token(exp=-1),
    "expired": lambda: token(iat=NOW_S - 3_600, exp=NOW_S - 30),
    "expired long ago": lambda: token(iat=0, exp=60),
    "exp before iat": lambda: token(iat=NOW_S, exp=NOW_S - 1),
    "exp is iat": lambda: token(exp=NOW_S),
    "lives a second too long": lambda: token(exp=NOW_S + 86_401),
    "iat missing": lambda: token(iat=...),
    "iat text": lambda: token(iat=str(NOW_S)),
    "iat true": lambda: token(iat=True),
    "iat in the future": lambda: token(iat=NOW_S + 31),
    "nbf in the future": lambda: token(nbf=NOW_S + 31),
    "nbf text": lambda: token(nbf="0"),
    "nbf null": lambda: token(nbf=None),
    "iss missing": lambda: token(iss=...),
    "iss other": lambda: token(iss="Chatsync"),
    "iss list": lambda: token(iss=["chatsync"]),
    "aud missing": lambda: token(aud=...),
    "aud other": lambda: token(aud="shop"),
    "aud list": lambda: token(aud=["chatsync"]),
    "aud of administrators": lambda: token(aud="chatsync-admin", scope="admin"),
    "sub missing": lambda: token(sub=...),
    "sub number": lambda: token(sub=17),
    "sub empty": lambda: token(sub=""),
    "sub too long": lambda: token(sub="x" * 257),
    "sub with NUL": lambda: token(sub="a\x00b"),
    "sub with a newline": lambda: token(sub="a\nb"),
    "sub with a lone surrogate": lambda: raw_claim("sub", '"\\ud800"'),
    "role missing": lambda: token(role=...),
    "role unknown": lambda: token(role="root"),
    "role system": lambda: token(role="system"),
    "role list": lambda: token(role=["host"]),
    "role null": lambda: token(role=None),
    "role in capitals": lambda: token(role="HOST"),
    "rooms missing": lambda: token(rooms=...),
    "rooms text": lambda: token(rooms="math-101"),
    "rooms empty": lambda: token(rooms=[]),
    "rooms all": lambda: token(rooms=["*"]),
    "rooms prefix inside a word": lambda: token(rooms=["math*"]),
    "rooms pattern": lambda: token(rooms=["m?th-*"]),
    "rooms star inside": lambda: token(rooms=["math-*-x"]),
    "rooms path": lambda: token(rooms=["../x"]),
    "rooms in capitals": lambda: token(rooms=["Math-101"]),
    "rooms numbers": lambda: token(rooms=[101]),
    "rooms too many": lambda: token(rooms=[f"r{n}" for n in range(51)]),
    "name number": lambda: token(name=5),
    "name too long": lambda: token(name="x" * 33),
    "name with escape": lambda: token(name="\x1b[31mAnn"),
    "scope list": lambda: token(scope=["ingest"]),
    "scope unknown": lambda: token(scope="everything"),
    "scope of administrators": lambda: token(scope="admin"),
    "jti number": lambda: token(jti=7),
    "jti null": lambda: token(jti=None),
    "jti empty": lambda: token(jti=""),
    "jti too long": lambda: token(jti="x" * 257),
    "jti with NUL": lambda: token(jti="a\x00b"),
    "another key under the name of ours": lambda: signed(json.dumps(CLAIMS), key=SPARE),
    "our key under another name": lambda: headed(kid="spare"),
    "HS256 under the name of an RSA key": lambda: headed(kid="rsa"),
    "HS256 with the PEM of that key": lambda: signed(json.dumps(CLAIMS), '{"alg":"HS256","kid":"rsa"}', PEM),
    "HS256 with the DER of that key": lambda: signed(json.dumps(CLAIMS), '{"alg":"HS256","kid":"rsa"}', DER),
    "HS256 with the JWK of that key": lambda: signed(json.dumps(CLAIMS), '{"alg":"HS256","kid":"rsa"}', JWK.encode()),
    "HS256 with the raw public Ed25519 key": lambda: signed(
        json.dumps(CLAIMS), '{"alg":"HS256","kid":"ed"}', ED_KEY.public_key().public_bytes_raw()
    ),
    "RS256 under the name of a secret": lambda: asymmetric(RSA_KEY, "spare", "RS256"),
    "RS256 by another key": lambda: asymmetric(OTHER_RSA, "rsa", "RS256"),
    "RS384 of an RS256 key": lambda: asymmetric(RSA_KEY, "rsa", "RS384"),
    "RS512 of an RS256 key": lambda: asymmetric(RSA_KEY, "rsa", "RS512"),
    "PS256 of an RS256 key": lambda: asymmetric(RSA_KEY, "rsa", "PS256"),
    "ES256 under the name of an RSA key": lambda: asymmetric(ec.generate_private_key(ec.SECP256R1()), "rsa", "ES256"),
    "EdDSA by another key": lambda: asymmetric(OTHER_ED, "ed", "EdDSA"),
    "EdDSA under the name of an RSA key": lambda: asymmetric(ED_KEY, "rsa", "EdDSA"),
    "RS256 under the name of an Ed25519 key": lambda: asymmetric(RSA_KEY, "ed", "RS256"),
    "its own key in the header, under a name of ours": lambda: asymmetric(
        OTHER_ED,
        "ed",
        "EdDSA",
        {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": b64(OTHER_ED.public_key().public_bytes_raw())}},
    ),
    "its own keys by URL, under a name of ours": lambda: asymmetric(
        OTHER_ED,
        "ed",
        "EdDSA",
        {"jku": "https://evil.example/keys", "x5u": "https://evil.example/pem", "x5c": ["MAA="]},
    ),
    "EdDSA without a name": lambda: jwt.encode(CLAIMS, ED_KEY, algorithm="EdDSA"),
    "a provider's key under the name of ours": lambda: provided("main"),
    "our issuer by a provider's key": lambda: provided(iss="chatsync", aud="chatsync"),
    "a provider's issuer by our key": lambda: token(iss=PROVIDER.issuer, aud="chat-app"),
    "a provider's token for administrators": lambda: provided(aud="chatsync-admin", scope="admin"),
    "a provider's token, iss without the slash": lambda: provided(iss="https://id.example"),
    "a provider's token for another app": lambda: provided(aud="shop"),
    "a provider's token for other apps": lambda: provided(aud=["shop", "mail"]),
    "a provider's token for nobody": lambda: provided(aud=[]),
    "a provider's token for us and a number": lambda: provided(aud=["chat-app", 7]),
    "a provider's token for too many": lambda: provided(aud=["chat-app", *(f"a{n}" for n in range(16))]),
    "a provider's token without a role": lambda: provided(**NO_ROLE),
    "a provider's token with a list of roles": lambda: provided(**LISTED_ROLE),
    "a provider's token with a role of its own": lambda: provided(**{PROVIDER.role_claim: "administrator"}),
    "a provider's token without rooms": lambda: provided(rooms=...),
    "a provider's token with rooms as text": lambda: provided(rooms="math-101"),
    "a provider's token for all rooms": lambda: provided(rooms=["*"]),
    "a provider's token without sub": lambda: provided(sub=...),
    "a provider's token, sub of two lines": lambda: provided(sub="a\nb"),
    "a provider's token, expired": lambda: provided(iat=NOW_S - 3_600, exp=NOW_S - 30),
    "a provider's token that lives too long": lambda: provided(exp=NOW_S + 86_401),
    "a provider's token, name number": lambda: provided(name=5),
    "a provider's token, name with escape": lambda: provided(name="\x1b[31mAnn"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_token_is_refused_like_every_other(case: str) -> None:
    """Whatever is wrong with a token, the answer is the same and tells nothing."""
    with pytest.raises(TokenError) as refused:
        AUTHORITY.identify(BAD[case](), wall_us=NOW_US)

    assert "The token was not accepted." == str(refused.value)
    assert refused.value.__cause__ is None


def test_there_are_many_bad_tokens() -> None:
    """The table above is not to shrink."""
    assert len(BAD) >= 160


def test_a_good_token_says_who_somebody_is() -> None:
    """Subject, clean name, role, rooms and expiry come out as they went in."""
    expected = Identity("student-17", "Ann", "participant", ("math-101",), frozenset(), NOW_US + HOUR_US, NOW_US)

    assert expected == AUTHORITY.identify(GOOD, wall_us=NOW_US)


GOOD_TOKENS: dict[str, str] = {
    "kid of ours": headed(kid="main"),
    "no typ": signed(json.dumps(CLAIMS), '{"alg":"HS256"}'),
    "a day": token(exp=NOW_S + 86_400),
    "issued 30 s ahead": token(iat=NOW_S + 30, exp=NOW_S + 60),
    "expired 29 s ago": token(iat=NOW_S - 3_600, exp=NOW_S - 29),
    "nbf": token(nbf=NOW_S),
    "half a second": token(exp=NOW_S + 60.5),
    "no name": token(name=...),
    "longest name": token(name="x" * 32),
    "longest sub": token(sub="x" * 256),
    "longest jti": token(jti="x" * 256),
    "most rooms": token(rooms=[f"r{n}" for n in range(50)]),
    "program": token(role=..., scope="ingest"),
    "more claims": token(extra={"deep": [1]}),
    "second secret": signed(json.dumps(CLAIMS), '{"alg":"HS256","kid":"spare"}', SPARE),
    "RS256": asymmetric(RSA_KEY, "rsa", "RS256"),
    "EdDSA": asymmetric(ED_KEY, "ed", "EdDSA"),
    "jku that nobody looks at": asymmetric(ED_KEY, "ed", "EdDSA", {"jku": "https://evil.example/", "typ": "at+jwt"}),
    "provider, RS256": provided("idp-1"),
    "provider, for others too": provided(aud=["chat-app", *(f"a{n}" for n in range(15))]),
    "provider, long name": provided(name="x" * 40),
    "provider, jti": provided(jti="17"),
}


@pytest.mark.parametrize("good", GOOD_TOKENS)
def test_tokens_at_the_limits_are_accepted(good: str) -> None:
    """Each limit is met exactly here and passed by one in the table of bad tokens."""
    assert AUTHORITY.identify(GOOD_TOKENS[good], wall_us=NOW_US).subject


def test_the_clock_is_the_argument() -> None:
    """The same token is early, good and expired depending only on the wall time passed in."""
    AUTHORITY.identify(GOOD, wall_us=NOW_US - 30 * SECOND_US)
    AUTHORITY.identify(GOOD, wall_us=NOW_US + HOUR_US + 30 * SECOND_US - 1)
    for wall_us in (NOW_US - 30 * SECOND_US - 1, NOW_US + HOUR_US + 30 * SECOND_US):
        with pytest.raises(TokenError):
            AUTHORITY.identify(GOOD, wall_us=wall_us)


@given(st.text(max_size=200))
def test_any_text_is_a_token_error_or_a_token(text: str) -> None:
    """Nothing that is sent as a token can raise anything else."""
    with pytest.raises(TokenError):
        AUTHORITY.identify(text, wall_us=NOW_US)


@given(
    st.dictionaries(
        st.sampled_from(sorted(CLAIMS)),
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.text())),
    )
)
def test_any_signed_claims_are_a_token_error_or_an_identity(changes: dict[str, Any]) -> None:
    """Even a minter that holds the key cannot make the reader fail in another way."""
    try:
        assert isinstance(AUTHORITY.identify(token(**changes), wall_us=NOW_US), Identity)
    except TokenError:
        return


@pytest.mark.parametrize(
    ("rooms", "room", "enters"),
    [
        (["math-101"], "math-101", True),
        (["math-101"], "math-1010", False),
        (["math-101"], "math-10", False),
        (["math-*"], "math-101", True),
        (["math-*"], "math-", True),
        (["math-*"], "mathematics", False),
        (["art", "math-*"], "art", True),
        (["art", "math-*"], "arts", False),
    ],
)
def test_rooms_are_exact_or_an_explicit_prefix(rooms: list[str], room: str, enters: bool) -> None:
    """A token opens the rooms it names and no room whose name merely begins alike."""
    assert enters is AUTHORITY.identify(token(rooms=rooms), wall_us=NOW_US).may_enter(room)


def test_a_scope_becomes_the_actions_it_allows() -> None:
    """A program's token may feed messages and read, and is nobody's role besides."""
    feeder = AUTHORITY.identify(token(role=..., scope="ingest"), wall_us=NOW_US)

    assert frozenset({"ingest", "read"}) == feeder.scopes
    assert "guest" == feeder.role


def test_administrators_have_tokens_of_their_own() -> None:
    """An admin token opens the admin API for all rooms and is refused everywhere else, and the other way round."""
    minted = AUTHORITY.mint("root", wall_us=NOW_US, admin=True)
    administrator = AUTHORITY.identify(minted, wall_us=NOW_US, admin=True)

    assert administrator.may_enter("any-room")
    assert {"admin_room", "mint_token"} <= administrator.scopes
    with pytest.raises(TokenError):
        AUTHORITY.identify(minted, wall_us=NOW_US)
    with pytest.raises(TokenError):
        AUTHORITY.identify(GOOD, wall_us=NOW_US, admin=True)
    with pytest.raises(TokenError):
        AUTHORITY.identify(token(aud="chatsync-admin"), wall_us=NOW_US, admin=True)


def test_only_a_key_that_may_signs_for_administrators() -> None:
    """The main key and one that is marked; a backend's key for people opens nothing of the admin API."""
    claims = {"aud": "chatsync-admin", "scope": "admin"}
    AUTHORITY.identify(asymmetric(RSA_KEY, "rsa", "RS256", **claims), wall_us=NOW_US, admin=True)
    for refused in (asymmetric(ED_KEY, "ed", "EdDSA", **claims), provided(**claims), provided(scope="admin")):
        with pytest.raises(TokenError):
            AUTHORITY.identify(refused, wall_us=NOW_US, admin=True)


def test_a_providers_token_is_read_by_its_own_words() -> None:
    """Role, rooms and name come from the claims that are set; scopes are the provider's business; too long a name is cut."""
    identity = AUTHORITY.identify(provided(name="Maximilian Alexander von und zu Hohenlohe"), wall_us=NOW_US)

    assert ("Maximilian Alexander von und zu", "host", ("math-*",)) == (identity.name, identity.role, identity.rooms)
    assert frozenset() == identity.scopes


def test_a_providers_people_are_others_than_ours() -> None:
    """The same `sub` and `jti` there and here is another person and another token."""
    theirs = AUTHORITY.identify(provided(sub="student-17", jti="1"), wall_us=NOW_US)
    ours = AUTHORITY.identify(token(jti="1"), wall_us=NOW_US)

    assert (theirs.subject, theirs.token_id) != (ours.subject, ours.token_id)
    assert AUTHORITY.author_key("math-101", theirs.subject) != AUTHORITY.author_key("math-101", ours.subject)
    assert theirs.subject == AUTHORITY.subject_of("student-17", PROVIDER.issuer)
    assert ours.subject == AUTHORITY.subject_of("student-17", "chatsync") == AUTHORITY.subject_of("student-17")


def test_what_a_provider_does_not_say_may_have_a_default() -> None:
    """Providers without claims of one's own: everybody comes as what the settings say."""
    authority = TokenAuthority(SECRET)
    provider = Provider("https://id.example/", "chat-app", default_role="viewer", default_rooms=("math-101",))
    authority.ring.provide({"idp-2": TokenKey("EdDSA", OTHER_ED.public_key(), provider=provider)})
    identity = authority.identify(provided(role=..., rooms=...), wall_us=NOW_US)

    assert ("viewer", ("math-101",)) == (identity.role, identity.rooms)


@pytest.mark.parametrize(
    ("unread", "kid"),
    [
        (asymmetric(ED_KEY, "new", "EdDSA"), "new"),
        (asymmetric(ED_KEY, "ed", "EdDSA"), None),
        (headed(kid="new"), None),
        (GOOD, None),
        (jwt.encode(CLAIMS, ED_KEY, algorithm="EdDSA"), None),
        ("no token", None),
        ("a.b.c", None),
    ],
    ids=["unknown", "known", "of a secret", "main", "none", "no token", "no JSON"],
)
def test_which_key_a_token_lacks(unread: str, kid: str | None) -> None:
    """Only a key that might be a provider's new one is worth asking for."""
    assert kid == AUTHORITY.unknown_kid(unread)


def test_what_is_minted_is_accepted() -> None:
    """A minted token comes back as what was asked for."""
    minted = AUTHORITY.mint("t-1", wall_us=NOW_US, rooms=["math-*"], role="host", name="Zoe\u0308", scopes=["ingest"])
    identity = AUTHORITY.identify(minted, wall_us=NOW_US)

    assert ("t-1", "Zoë", "host", ("math-*",)) == (identity.subject, identity.name, identity.role, identity.rooms)
    assert identity.token_id is not None


@pytest.mark.parametrize(
    "wrong",
    [
        {"lifetime_us": 25 * HOUR_US},
        {"rooms": None},
        {"role": None},
        {"name": "x" * 40},
        {"subject": ""},
        {"lifetime_us": 0},
    ],
)
def test_what_would_be_refused_is_not_minted(wrong: dict[str, Any]) -> None:
    """The mint tells its caller, who holds the key, what to look at."""
    asked: dict[str, Any] = {"subject": "t", "wall_us": NOW_US, "rooms": ["a"], "role": "host", **wrong}
    with pytest.raises(ValueError, match="would be refused"):
        AUTHORITY.mint(asked.pop("subject"), **asked)


def test_another_issuer_is_another_service() -> None:
    """Two services that share a secret by mistake do not share people."""
    with pytest.raises(TokenError):
        TokenAuthority(SECRET, "elsewhere").identify(GOOD, wall_us=NOW_US)


def test_a_short_secret_is_refused() -> None:
    """31 bytes are not enough."""
    with pytest.raises(ValueError, match="32"):
        TokenAuthority(b"x" * 31)


def test_author_keys_cannot_be_joined_across_rooms() -> None:
    """The same person has one stable key in a room and another in every other room."""
    key = AUTHORITY.author_key("math-101", "student-17")

    assert 32 == len(key)
    assert key == TokenAuthority(SECRET).author_key("math-101", "student-17")
    assert key != AUTHORITY.author_key("math-102", "student-17")
    assert key != AUTHORITY.author_key("math-101", "student-18")
    assert key != TokenAuthority(SECRET + b"x").author_key("math-101", "student-17")


def test_author_keys_of_a_course_can_be_compared() -> None:
    """In all rooms of a course a person is one person; in another course, and in a room that is called as the course, another."""
    key = AUTHORITY.author_key("math-101", "student-17", "analysis")

    assert key == AUTHORITY.author_key("math-102", "student-17", "analysis")
    assert key != AUTHORITY.author_key("math-101", "student-18", "analysis")
    assert key not in {
        AUTHORITY.author_key("math-101", "student-17"),
        AUTHORITY.author_key("math-101", "student-17", "algebra"),
        AUTHORITY.author_key("analysis", "student-17"),
        AUTHORITY.author_key("math-101", "student-17", "math-101"),
    }


def test_administrators_have_pseudonyms_in_the_audit_log() -> None:
    """Stable, of their own, and not made without the secret."""
    actor = AUTHORITY.admin_actor("operator")

    assert ("admin:", 38) == (actor[:6], len(actor))
    assert actor == TokenAuthority(SECRET).admin_actor("operator") != AUTHORITY.admin_actor("other")
    assert actor != TokenAuthority(SECRET + b"x").admin_actor("operator")


def test_guests_are_strangers_to_each_other() -> None:
    """Two guests are two people, read-only by role, and never expire."""
    one, two = guest(), guest()

    assert one.person("a") != two.person("a")
    assert ("guest", None, False) == (one.role, one.expires_us, one.may_enter("a"))


@given(st.tuples(st.integers(-(2**62), 2**62), st.integers(0, 2**62)))
def test_a_cursor_opens_to_the_place_it_was_sealed_from(place: tuple[int, int]) -> None:
    """Sealing and opening is the identity."""
    assert place == AUTHORITY.opened_cursor(AUTHORITY.sealed_cursor(place, "a", 1), "a", 1)


def test_a_cursor_is_bound_to_its_room_and_broadcast() -> None:
    """A cursor of another room, another broadcast or another server, or a changed one, is refused."""
    cursor = AUTHORITY.sealed_cursor((5, 7), "a", 1)
    changed = ("A" if cursor[0] != "A" else "B") + cursor[1:]
    for text, room, broadcast in (
        (cursor, "b", 1),
        (cursor, "a", 2),
        (changed, "a", 1),
        ("", "a", 1),
        ("é", "a", 1),
        ("x" * 5, "a", 1),
    ):
        with pytest.raises(CursorError):
            AUTHORITY.opened_cursor(text, room, broadcast)
    with pytest.raises(CursorError):
        TokenAuthority(b"y" * 32).opened_cursor(cursor, "a", 1)


def test_the_authority_does_not_print_its_secret() -> None:
    """A log line that holds the object holds no key."""
    assert "TokenAuthority(***)" == repr(AUTHORITY)
