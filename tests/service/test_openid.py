"""Keys of an OpenID provider: rotation without a refusal, made-up names of keys, failures, and a relay with a real provider."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chatsync.chat.event import Author
from chatsync.cli.rooms import erase
from chatsync.errors import SettingsError, TokenError
from chatsync.instants import MINUTE_US, SECOND_US
from chatsync.service.auth import TokenAuthority
from chatsync.service.clock import ManualClock
from chatsync.service.keys import KeyRing, Provider
from chatsync.service.limit_table import JWKS_BYTES_MAX, JWKS_GRACE_US, JWKS_PAUSE_US
from chatsync.service.openid import ProviderKeys, provider_of
from chatsync.service.outgoing import Outgoing, RefusedError
from chatsync.service.settings import Settings, check_safe
from chatsync.store.opening import open_store
from tests.relay import SECRET
from tests.service.test_keys import jwk, key_set
from tests.service.tripwire import Origin, certificate, origin, reply, resolving, settings
from tests.stage import Stage, stage
from tests.store.deeds import placed, said

PROVIDER = Provider("https://id.example/", "chat-app")
FIRST, SECOND, THIRD = (Ed25519PrivateKey.generate() for _ in range(3))


class Source:
    """A provider's key set as it is now, and how often it was asked for."""

    def __init__(self, **keys: Ed25519PrivateKey) -> None:
        self.keys, self.asked, self.fails = keys, 0, False
        self.gate = asyncio.Event()
        self.gate.set()

    async def load(self) -> bytes:
        """What the provider answers."""
        self.asked += 1
        await self.gate.wait()
        if self.fails:
            raise RefusedError("the origin answered with status 503")
        return key_set(*(jwk(key, kid) for kid, key in self.keys.items()))


def kept(source: Source) -> tuple[ProviderKeys, KeyRing, ManualClock]:
    """What keeps the keys of a source, the ring they hang on, and its clock."""
    ring, clock = KeyRing({}), ManualClock()
    return ProviderKeys(PROVIDER, ring, source.load, clock.monotonic_us), ring, clock


async def test_a_new_key_is_learned_when_it_is_first_met() -> None:
    """Whoever comes with it waits for one load; after it nobody waits."""
    source = Source(a=FIRST)
    keys, ring, clock = kept(source)
    assert await keys.learned("a")
    source.keys = {"a": FIRST, "b": SECOND}
    clock.advance(JWKS_PAUSE_US)
    assert [True, True] == list(await asyncio.gather(keys.learned("b"), keys.learned("b")))
    assert (2, {"a", "b"}) == (source.asked, set(ring.provided))


async def test_made_up_names_cause_one_load_a_minute() -> None:
    """A hundred a second for three minutes: the provider is asked at the start and once a minute."""
    source = Source(a=FIRST)
    keys, _, clock = kept(source)
    for second in range(180):
        for number in range(100):
            assert not await keys.learned(f"made up {second} {number}")
        clock.advance(SECOND_US)
    assert 3 == source.asked


async def test_no_good_token_is_refused_while_keys_change() -> None:
    """Drill: each minute a new key is listed and used from the next on, the old one leaves the set a minute later; a flood meanwhile."""
    generated = [Ed25519PrivateKey.generate() for _ in range(8)]
    source = Source()
    keys, ring, clock = kept(source)
    refused = 0
    for minute in range(8):
        source.keys = {f"k{n}": generated[n] for n in range(max(0, minute - 1), minute + 1)}
        for second in range(60):
            await keys.learned(f"made up {minute} {second}")
            in_use = [f"k{n}" for n in (minute - 1, minute - 2, minute - 3) if n >= 0]
            for kid in in_use:  # signed with the key of the last minute, or of those before, which live a little
                if ring.get(kid) is None and not await keys.learned(kid):
                    refused += 1
            clock.advance(SECOND_US)
    assert 0 == refused
    assert 8 == source.asked


async def test_a_key_that_left_the_set_is_good_for_its_grace() -> None:
    """An hour, and then no more; a key that comes back stays."""
    source = Source(a=FIRST, b=SECOND)
    keys, ring, clock = kept(source)
    await keys.learned("a")
    source.keys = {"b": SECOND}
    for left_us in (JWKS_GRACE_US, JWKS_PAUSE_US, 0):
        clock.advance(JWKS_PAUSE_US if left_us else JWKS_GRACE_US - JWKS_PAUSE_US - 1)
        await keys.learned("x")
        assert "a" in ring.provided
    clock.advance(JWKS_PAUSE_US)
    await keys.learned("x")
    assert ["b"] == list(ring.provided)
    source.keys = {"a": FIRST}
    clock.advance(JWKS_PAUSE_US)
    assert await keys.learned("a")


@pytest.mark.parametrize("broken", ["fails", "empty"])
async def test_while_the_provider_gives_nothing_the_keys_stay(broken: str) -> None:
    """Down, or with a set that holds no key of use: who is known comes in, and it is asked once a minute."""
    source = Source(a=FIRST)
    keys, ring, clock = kept(source)
    await keys.learned("a")
    if broken == "fails":
        source.fails = True
    else:
        source.keys = {}
    for _ in range(10):
        clock.advance(JWKS_PAUSE_US // 2)
        assert not await keys.learned("b")
    assert (["a"], 6) == (list(ring.provided), source.asked)
    source.fails, source.keys = False, {"a": FIRST, "b": SECOND}
    clock.advance(JWKS_PAUSE_US)
    assert await keys.learned("b")


async def test_who_goes_away_meanwhile_spoils_nothing_for_others() -> None:
    """The load goes on when the first who waited for it is gone."""
    source = Source(a=FIRST)
    source.gate.clear()
    keys, _, _ = kept(source)
    first, second = (asyncio.create_task(keys.learned("a")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    source.gate.set()
    assert await second
    await asyncio.gather(first, return_exceptions=True)
    assert (1, True) == (source.asked, first.cancelled())


async def test_it_is_loaded_without_being_asked() -> None:
    """At the start, so that the first who come need not wait."""
    source = Source(a=FIRST)
    keys, ring, _ = kept(source)
    task = asyncio.create_task(keys.run())
    while not ring.provided:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0)
    task.cancel()
    assert 1 == source.asked


# --- the document ---------------------------------------------------------------------------------------------------


@asynccontextmanager
async def loading(made: Origin, scheme: str = "http", host: str = "127.0.0.1", **given: Any) -> AsyncIterator[Source]:
    """What loads a key set from a test's origin."""
    allowed = given.pop("allowed", settings(made.port, hosts=(host,), origin_hosts=("cdn.example",)))
    outgoing, source = Outgoing(allowed, **given), Source()
    url = f"{scheme}://{host}:{made.port}/keys"
    source.load = partial(outgoing.get, url, answer_bytes_max=JWKS_BYTES_MAX, deadline_s=5)  # type: ignore[method-assign]
    try:
        yield source
    finally:
        await outgoing.aclose()


async def test_a_key_set_comes_over_tls_with_the_right_name(tmp_path: Path) -> None:
    """The certificate must be for the host of the URL; that the host is none of the playlists' does not matter."""
    server, client = certificate(tmp_path, "id.example")
    async with origin(server, keys=reply(key_set(jwk(FIRST, "one")))) as made:
        there = resolving(["127.0.0.1"])
        async with loading(made, "https", "id.example", resolver=there, tls=client) as good:
            keys, ring, _ = kept(good)
            assert await keys.learned("one")
        async with loading(made, "https", "id.example", resolver=there) as untrusted:
            keys, ring, _ = kept(untrusted)
            assert not await keys.learned("one")
            assert {} == ring.provided
            with pytest.raises(RefusedError, match="certificate"):
                await untrusted.load()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (reply(b"x" * (JWKS_BYTES_MAX + 1)), f"larger than {JWKS_BYTES_MAX} bytes"),
        (reply(b"", "Location: http://127.0.0.1/keys", status="302 Found"), "status 302"),
        (reply(b"", status="404 Not Found"), "status 404"),
        (reply(b"{}", "Content-Encoding: gzip"), "compressed"),
        (b"garbage\r\n\r\n", "connection failed"),
    ],
    ids=["too large", "elsewhere", "missing", "compressed", "no HTTP"],
)
async def test_what_is_not_plainly_a_document_is_refused(answer: bytes, reason: str) -> None:
    """No redirect, no compression, at most 64 KiB; the reason repeats nothing of what came."""
    async with origin(keys=answer) as made, loading(made) as one:
        with pytest.raises(RefusedError, match=reason):
            await one.load()


async def test_an_inner_address_is_refused() -> None:
    """The guard is the one of playlists: a name that leads inside is a trap."""
    async with origin(keys=reply(b"{}")) as made:
        trap: dict[str, Any] = {"resolver": resolving(["127.0.0.1"]), "allowed": Settings(origin_ports=(made.port,))}
        async with loading(made, "https", "id.example", **trap) as one:
            with pytest.raises(RefusedError, match="no address we may connect to"):
                await one.load()
        assert 0 == made.connections


async def test_a_document_at_the_limit_is_taken() -> None:
    """64 KiB are enough for hundreds of keys."""
    async with origin(keys=reply(b"x" * JWKS_BYTES_MAX)) as made, loading(made) as one:
        assert JWKS_BYTES_MAX == len(await one.load())


# --- settings -------------------------------------------------------------------------------------------------------

FULL: dict[str, Any] = {
    "jwks_url": "https://id.example/keys",
    "jwks_issuer": "https://id.example/",
    "jwks_audience": "chat-app",
}
SAFE: dict[str, Any] = FULL | {"token_secret": SECRET}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"jwks_issuer": None}, "needs jwks_issuer"),
        ({"jwks_audience": None}, "needs jwks_issuer and jwks_audience"),
        ({"jwks_url": None}, "of no use without"),
        ({"jwks_issuer": "chatsync"}, "jwks_issuer is token_issuer"),
        ({"jwks_url": "http://id.example/keys"}, "not https"),
        ({"jwks_url": "http://127.0.0.1:80/keys"}, "not https"),
        ({"jwks_url": "file:///keys"}, "not https"),
        ({"jwks_url": "https:///keys"}, "not https"),
        ({"jwks_url": "https://user:word@id.example/"}, "credentials"),
        ({"jwks_url": "https://id.example:x/"}, "no URL"),
    ],
)
def test_half_a_provider_is_refused_at_the_start(given: dict[str, Any], reason: str) -> None:
    """With the reason; a whole one is accepted, also one on this machine."""
    with pytest.raises(SettingsError, match=reason):
        check_safe(Settings(**{**SAFE, **given}))
    check_safe(Settings(**SAFE))
    local = {"jwks_url": "http://127.0.0.1:8080/keys", "loopback_origins": ("127.0.0.1:8080",)}
    check_safe(Settings(**{**SAFE, **local}))


def test_the_provider_is_as_the_settings_say() -> None:
    """Its claims and defaults too; without a URL there is none."""
    given: dict[str, Any] = {
        "jwks_role_claim": "https://chat.example/role",
        "jwks_default_role": "viewer",
        "jwks_default_rooms": "a,math-*",
    }
    expected = Provider(
        "https://id.example/", "chat-app", "https://chat.example/role", "rooms", "name", "viewer", ("a", "math-*")
    )
    assert expected == provider_of(Settings(**FULL, **given))
    assert provider_of(Settings()) is None
    wrongs: tuple[dict[str, Any], ...] = (
        {"jwks_default_rooms": "*"},
        {"jwks_default_role": "host"},
        {"jwks_default_rooms": "Math"},
    )
    for wrong in wrongs:
        with pytest.raises(ValueError, match=r".+"):
            Settings(**FULL, **wrong)


# --- a relay and a provider -----------------------------------------------------------------------------------------


def provided(it: Stage, key: Ed25519PrivateKey, kid: str, **changes: Any) -> str:
    """A token of the provider."""
    now_s = it.clock.system_wall_us() // SECOND_US
    claims = {"iss": "https://id.example/", "aud": "chat-app", "sub": "17", "iat": now_s, "exp": now_s + 300}
    claims |= {"role": "participant", "rooms": ["class"], "name": "Ann"} | changes
    return jwt.encode(claims, key, algorithm="EdDSA", headers={"kid": kid})


async def test_people_of_a_provider_come_in_on_every_way(tmp_path: Path) -> None:
    """Socket, short path, routes and events, the first time with a key nobody has met; then the provider takes another one."""
    async with origin(keys=reply(key_set(jwk(FIRST, "one")))) as made:
        given = {
            **FULL,
            "jwks_url": f"http://127.0.0.1:{made.port}/keys",
            "loopback_origins": (f"127.0.0.1:{made.port}",),
        }
        async with stage(tmp_path, {"class": {"public": False}}, **given) as it:
            await it.say("something")
            async with it.connected() as client:
                welcome = await client.hello(provided(it, FIRST, "one"))
                assert ("Ann", "participant") == (welcome["you"]["name"], welcome["you"]["role"])
                assert "ack" == (await client.say("hello"))["type"]
            made.answers["/keys"] = reply(key_set(jwk(FIRST, "one"), jwk(SECOND, "two")))
            it.advance(60)
            statuses = [
                (await it.get(f"/v1/rooms/class{path}", provided(it, key, kid))).status_code
                for path in ("/chat.json", "/messages", "")
                for key, kid in ((SECOND, "two"), (FIRST, "one"), (THIRD, "two"), (THIRD, "three"))
            ]
            assert [200, 200, 401, 401] * 3 == statuses
            assert 2 == len(made.requests)
            foreign = provided(it, FIRST, "one", rooms=["other"])
            assert 404 == (await it.get("/v1/rooms/class/chat.json", foreign)).status_code
            with pytest.raises(TokenError):
                it.hub.authority.identify(provided(it, FIRST, "one"), wall_us=it.clock.system_wall_us(), admin=True)


async def test_a_person_of_the_provider_can_be_revoked_by_its_issuer(tmp_path: Path) -> None:
    """The same `sub` of our own platform is another person."""
    async with origin(keys=reply(key_set(jwk(FIRST, "one")))) as made:
        given = {
            **FULL,
            "jwks_url": f"http://127.0.0.1:{made.port}/keys",
            "loopback_origins": (f"127.0.0.1:{made.port}",),
        }
        async with stage(tmp_path, {"class": {"public": False}}, **given) as it:
            tokens = [provided(it, FIRST, "one"), it.token("class", "17")]
            admin = it.hub.authority.mint("operator", wall_us=it.clock.system_wall_us(), admin=True)
            it.advance(1)
            body = {"person": "17", "issuer": "https://id.example/"}
            assert 200 == (await it.post("/v1/revocations", body, admin)).status_code
            assert [401, 200] == [(await it.get("/v1/rooms/class/chat.json", one)).status_code for one in tokens]


def test_a_person_of_the_provider_is_found_by_their_id_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`chatsync erase --subject` knows our own platform's people, and with `--issuer` the provider's."""
    monkeypatch.setenv("CHATSYNC_TOKEN_SECRET", SECRET)
    authority = TokenAuthority(SECRET.encode())
    keys = {
        issuer: authority.author_key("math", authority.subject_of("17", issuer))
        for issuer in (None, FULL["jwks_issuer"])
    }
    with open_store(tmp_path) as store:
        said(store, *(placed(f"m{n}", n, author=Author(key, "Ann")) for n, key in enumerate(keys.values())))
    for issuer, key in keys.items():
        told = StringIO()
        monkeypatch.setattr("sys.stdout", told)
        erase("math", "17", subject=True, issuer=issuer, dry_run=True, data=tmp_path, json_output=True)
        assert (key, 1) == (json.loads(told.getvalue())["author"], json.loads(told.getvalue())["events"])


def test_what_the_drills_count_in_is_what_the_page_says() -> None:
    """A minute between loads, an hour of grace, 64 KiB."""
    assert (MINUTE_US, 60 * MINUTE_US, 65_536) == (JWKS_PAUSE_US, JWKS_GRACE_US, JWKS_BYTES_MAX)
