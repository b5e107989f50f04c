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
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from chatsync.errors import CursorError, TokenError
from chatsync.instants import HOUR_US, SECOND_US
from chatsync.service.auth import Identity, TokenAuthority, bearer_token, guest

SECRET = b"0f8b2c6d9e1a4753b0c2d4e6f8a1b3c5d7e9f0a2"
NOW_S = 1_764_000_000
NOW_US = NOW_S * SECOND_US
AUTHORITY = TokenAuthority(SECRET)

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


RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
RSA_PUBLIC = RSA_KEY.public_key()
PEM = RSA_PUBLIC.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
DER = RSA_PUBLIC.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
SSH = RSA_PUBLIC.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
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
    assert len(BAD) >= 100


def test_a_good_token_says_who_somebody_is() -> None:
    """Subject, clean name, role, rooms and expiry come out as they went in."""
    expected = Identity("student-17", "Ann", "participant", ("math-101",), frozenset(), NOW_US + HOUR_US)

    assert expected == AUTHORITY.identify(GOOD, wall_us=NOW_US)


@pytest.mark.parametrize(
    "good",
    [
        headed(kid="main"),
        signed(json.dumps(CLAIMS), '{"alg":"HS256"}'),
        token(exp=NOW_S + 86_400),
        token(iat=NOW_S + 30, exp=NOW_S + 60),
        token(iat=NOW_S - 3_600, exp=NOW_S - 29),
        token(nbf=NOW_S),
        token(exp=NOW_S + 60.5),
        token(name=...),
        token(name="x" * 32),
        token(sub="x" * 256),
        token(rooms=[f"r{n}" for n in range(50)]),
        token(role=..., scope="ingest"),
        token(extra={"deep": [1]}),
    ],
)
def test_tokens_at_the_limits_are_accepted(good: str) -> None:
    """Each limit is met exactly here and passed by one in the table of bad tokens."""
    assert AUTHORITY.identify(good, wall_us=NOW_US).subject


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


def test_what_is_minted_is_accepted() -> None:
    """A minted token comes back as what was asked for."""
    minted = AUTHORITY.mint("t-1", wall_us=NOW_US, rooms=["math-*"], role="host", name="Zoe\u0308", scopes=["ingest"])
    identity = AUTHORITY.identify(minted, wall_us=NOW_US)

    assert ("t-1", "Zoë", "host", ("math-*",)) == (identity.subject, identity.name, identity.role, identity.rooms)


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


def test_the_bearer_header_gives_the_token() -> None:
    """The scheme is read in any case; no header means no token."""
    assert GOOD == bearer_token(Headers({"Authorization": f"Bearer {GOOD}"}))
    assert GOOD == bearer_token(Headers({"Authorization": f"bearer  {GOOD}"}))
    assert bearer_token(Headers({})) is None


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", "Basic dTpw", GOOD, "Bearer a b", "Bearer a,b", "Bearer é"])
def test_a_malformed_header_is_no_guest(value: str) -> None:
    """Whoever shows something as credentials is refused, not let in as somebody without any."""
    with pytest.raises(TokenError):
        bearer_token(Headers(raw=[(b"authorization", value.encode("latin-1"))]))


def test_two_headers_are_refused() -> None:
    """Two Authorization headers could be read differently by a proxy and by us."""
    raw = [(b"authorization", f"Bearer {GOOD}".encode())] * 2
    with pytest.raises(TokenError):
        bearer_token(Headers(raw=raw))


def test_the_authority_does_not_print_its_secret() -> None:
    """A log line that holds the object holds no key."""
    assert "TokenAuthority(***)" == repr(AUTHORITY)
