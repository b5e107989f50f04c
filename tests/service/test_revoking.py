"""Tokens that are taken back: refused on every path, their connections closed, remembered as long as need be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest

from chatsync.chat.wire import CloseCode
from chatsync.errors import MessageRejectedError, TokenError
from chatsync.instants import HOUR_US, SECOND_US
from chatsync.service.auth import Identity
from chatsync.service.limit_table import LEEWAY_US_MAX, LIFETIME_US_MAX
from chatsync.service.revoking import Revocations, forget_revocations
from chatsync.store.revocations import Revocation
from tests.stage import START_US, Stage, stage

OPEN = {"class": {"public": True}, "secret": {"public": False}}
DAY_S = 86_400


def identity(subject: str = "ann", *, issued_us: int = START_US, token_id: str | None = "t-1") -> Identity:
    """Somebody with a token."""
    expires_us = issued_us + HOUR_US
    return Identity(subject, "", "participant", ("class",), frozenset(), expires_us, issued_us, token_id)


def revocation(
    held: Revocations, what: Any, text: str, *, room: str | None = None, before_us: int = START_US
) -> Revocation:
    """As the API makes it at the start."""
    return held.revocation(what, text, room=room, before_us=before_us, wall_us=START_US)


async def admin(it: Stage, path: str, body: Any = None, **rights: Any) -> httpx2.Response:
    """A request of an administrator."""
    token = it.hub.authority.mint("operator", wall_us=it.clock.system_wall_us(), admin=True, **rights)
    return await (it.get(path, token) if body is None else it.post(path, body, token))


async def revoke(it: Stage, **body: Any) -> Any:
    """Take back; the answer."""
    answer = await admin(it, "/v1/revocations", body)
    assert 200 == answer.status_code, answer.text
    return answer.json()


def test_one_token_is_refused_by_its_id() -> None:
    """Another token of the same person is not."""
    held = Revocations(b"k" * 32)
    held.put(revocation(held, "jti", "t-1"))

    assert [True, False, False] == [held.refuses(identity(token_id=one)) for one in ("t-1", "t-2", None)]


def test_a_persons_tokens_are_refused_up_to_an_instant() -> None:
    """Issued before it: refused; at it or later: good. Others are others."""
    held = Revocations(b"k" * 32)
    held.put(revocation(held, "person", "ann"))

    assert [True, False] == [held.refuses(identity(issued_us=START_US + one)) for one in (-1, 0)]
    assert not held.refuses(identity("bob", issued_us=0))


def test_a_person_may_be_refused_in_one_room_only() -> None:
    """Elsewhere the token is good."""
    held = Revocations(b"k" * 32)
    held.put(revocation(held, "person", "ann", room="class", before_us=START_US + 1))

    assert [False, True, False] == [held.refuses(identity(), room) for room in (None, "class", "other")]


def test_the_later_instant_holds() -> None:
    """To revoke again what was revoked further ahead takes nothing back."""
    held = Revocations(b"k" * 32)
    held.put(revocation(held, "person", "ann", before_us=START_US + 5))
    held.put(revocation(held, "person", "ann", before_us=START_US))

    assert held.refuses(identity(issued_us=START_US + 4))
    assert 1 == len(held)


def test_it_is_forgotten_when_no_such_token_can_be_good() -> None:
    """The last token it refuses was issued by a clock that is ahead, for a day, and is good for the leeway more."""
    held = Revocations(b"k" * 32)
    one = held.put(revocation(held, "jti", "t-1"))
    last_us = START_US + LEEWAY_US_MAX + LIFETIME_US_MAX + LEEWAY_US_MAX

    assert last_us == one.until_us
    assert (0, 1) == (held.forget(last_us - 1), held.forget(last_us))
    assert [] == held.listed()


def test_nobody_can_tell_from_it_whom_it_is_about() -> None:
    """What is kept is a keyed hash, another one under another secret."""
    one, other = (revocation(Revocations(key * 32), "person", "ann") for key in (b"k", b"l"))

    assert "ann" not in str(one)
    assert one.key != other.key
    assert "Revocations(0)" == repr(Revocations(b"k" * 32))


async def test_a_revoked_token_is_refused_like_any_bad_one(tmp_path: Path) -> None:
    """On every way in, and a token that is minted afterwards is good."""
    async with stage(tmp_path, OPEN) as it:
        await it.say("something")
        old = it.token("class", "ann")
        answer = await it.post("/v1/rooms/class/actions", {"id": "1", "action": "raise_hand"}, old)
        assert 200 == answer.status_code, answer.text
        it.advance(1)
        await revoke(it, person="ann")
        bad = await it.get("/v1/rooms/class/chat.json", "no.good.token")
        for path in ("", "/chat.json", "/slices/1/open.json?from_ms=0", "/messages", "/timeline", "/events"):
            answer = await it.get(f"/v1/rooms/class{path}", old)
            assert (401, bad.content) == (answer.status_code, answer.content), path
        answer = await it.post("/v1/rooms/class/actions", {"id": "2", "action": "raise_hand"}, old)
        assert 401 == answer.status_code
        async with it.connected() as client:
            await client.send({"type": "hello", "token": old})
            assert 4502 == await client.closed_with()
        it.advance(1)
        assert 200 == (await it.get("/v1/rooms/class/chat.json", it.token("class", "ann"))).status_code


async def test_a_token_that_was_just_used_is_refused_at_once(tmp_path: Path) -> None:
    """That it was found good a moment ago does not help."""
    async with stage(tmp_path, OPEN) as it:
        token = it.token("class", "ann")
        assert 200 == (await it.get("/v1/rooms/class/messages", token)).status_code
        it.advance(1)
        await revoke(it, person="ann")
        assert 401 == (await it.get("/v1/rooms/class/messages", token)).status_code


async def test_an_administrators_token_can_be_taken_back(tmp_path: Path) -> None:
    """By its id; the next one is good."""
    async with stage(tmp_path, OPEN) as it:
        minted = it.hub.authority.mint("root", wall_us=it.clock.system_wall_us(), admin=True)
        jti = it.hub.authority.identify(minted, wall_us=it.clock.system_wall_us(), admin=True).token_id
        assert 200 == (await it.get("/v1/rooms", minted)).status_code
        await revoke(it, jti=jti)
        assert 401 == (await it.get("/v1/rooms", minted)).status_code


async def test_open_connections_are_closed(tmp_path: Path) -> None:
    """Those of the person or the token, and no other: 4502, while the answer is still to come."""
    async with stage(tmp_path, OPEN) as it, it.connected() as ann, it.connected() as too, it.connected() as bob:
        token = it.token("class", "ann")
        jti = it.hub.authority.identify(token, wall_us=it.clock.system_wall_us()).token_id
        await ann.hello(token)
        await too.hello(it.token("class", "ann"))
        await bob.hello(it.token("class", "bob"))
        assert 1 == (await revoke(it, jti=jti))["closed"]
        assert 4502 == await ann.closed_with()
        assert "ack" == (await too.say("still here"))["type"]
        it.advance(1)
        assert 1 == (await revoke(it, person="ann", room="class"))["closed"]
        assert 4502 == await too.closed_with()
        assert "ack" == (await bob.say("so am I"))["type"]
        with pytest.raises(TokenError):
            await it.hub.admitted("class", token)


async def test_in_one_room_only(tmp_path: Path) -> None:
    """The same token goes on elsewhere."""
    async with stage(tmp_path, OPEN) as it:
        wall_us = it.clock.system_wall_us()
        token = it.hub.authority.mint("ann", wall_us=wall_us, rooms=("class", "secret"), role="viewer")
        it.advance(1)
        await revoke(it, person="ann", room="secret")
        statuses = [(await it.get(f"/v1/rooms/{room}/chat.json", token)).status_code for room in OPEN]
        assert [200, 401] == statuses


async def test_it_outlives_the_relay_and_is_forgotten_in_time(tmp_path: Path) -> None:
    """After a restart it still holds; a day and a minute later it is gone from memory and disk."""
    async with stage(tmp_path, OPEN) as it:
        clock, token = it.clock, it.token("class", "ann")
        it.advance(1)
        held = await revoke(it, person="ann")
    async with stage(tmp_path, OPEN, clock=clock) as it:
        assert [held | {"closed": 0}] == [
            one | {"closed": 0} for one in (await admin(it, "/v1/revocations")).json()["revocations"]
        ]
        assert 401 == (await it.get("/v1/rooms/class/chat.json", token)).status_code
        it.advance(DAY_S + 59)
        await forget_revocations(it.hub)
        assert 1 == len(it.hub.authority.revocations)
        clock.step_system(HOUR_US)
        await forget_revocations(it.hub)
        assert 1 == len(it.hub.authority.revocations), "a clock that leapt ahead made it forget"
        it.advance(1)
        await forget_revocations(it.hub)
        await it.settled()
    async with stage(tmp_path, OPEN, clock=clock) as it:
        assert 0 == len(it.hub.authority.revocations)


WRONG: list[tuple[dict[str, Any], int, str | None]] = [
    ({}, 422, "needs_one_token"),
    ({"jti": "a", "person": "b"}, 422, "needs_one_token"),
    ({"jti": "a", "room": "class"}, 422, "needs_one_token"),
    ({"person": "a", "issuer": "https://other.example"}, 422, "unknown_issuer"),
    ({"person": "a", "before_ms": START_US // 1_000 + 40_000}, 422, "in_the_future"),
    ({"person": ""}, 422, None),
    ({"person": "x" * 257}, 422, None),
    ({"person": 5}, 422, None),
    ({"person": "a", "until_ms": 5}, 422, None),
    ({"person": "a", "room": "never"}, 404, None),
]


async def test_what_cannot_be_taken_back_is_told(tmp_path: Path) -> None:
    """With the documented reason; nothing is put in force."""
    async with stage(tmp_path, OPEN) as it:
        for body, status, reason in WRONG:
            answer = await admin(it, "/v1/revocations", body)
            assert (status, reason) == (answer.status_code, answer.json().get("reason")), answer.text
            assert 0 == len(it.hub.authority.revocations)


async def test_only_an_administrator_of_all_rooms_takes_back_for_all(tmp_path: Path) -> None:
    """One of a room may for that room; people may not at all."""
    async with stage(tmp_path, OPEN) as it:
        for body, status in (({"person": "a", "room": "class"}, 200), ({"person": "a"}, 403), ({"jti": "a"}, 403)):
            assert status == (await admin(it, "/v1/revocations", body, rooms=["class"])).status_code
        assert 403 == (await admin(it, "/v1/revocations", rooms=["class"])).status_code
        for token in (None, it.token("class", "ann", "host")):
            assert 401 == (await it.post("/v1/revocations", {"person": "a"}, token)).status_code
            assert 401 == (await it.get("/v1/revocations", token)).status_code


async def test_there_are_not_more_than_memory_is_for(tmp_path: Path) -> None:
    """Past the bound it is refused, and nothing that held is lost."""
    async with stage(tmp_path, OPEN) as it:
        held = it.hub.authority.revocations
        held._held.update({("jti", str(number), ""): revocation(held, "jti", "x") for number in range(100_000)})
        answer = await admin(it, "/v1/revocations", {"jti": "one more"})
        assert (422, "too_many_revocations") == (answer.status_code, answer.json()["reason"])
        with pytest.raises(MessageRejectedError):
            held.put(revocation(held, "jti", "one more"))


async def test_the_connections_of_a_person_in_a_room_can_be_closed(tmp_path: Path) -> None:
    """By their key there, with a code of one's choice; in another room they stay, and so do others."""
    async with (
        stage(tmp_path, OPEN) as it,
        it.connected() as ann,
        it.connected("secret") as there,
        it.connected() as bob,
    ):
        await ann.hello(it.token("class", "ann"))
        await there.hello(it.token("secret", "ann"))
        await bob.hello(it.token("class", "bob"))
        key = it.hub.authority.author_key("class", "ann")
        assert 1 == it.hub.close_person("class", key, CloseCode.BANNED, "banned")
        assert 4504 == await ann.closed_with()
        assert ["ack", "ack"] == [(await one.say("here"))["type"] for one in (there, bob)]
        assert 0 == it.hub.close_person("secret", key, CloseCode.BANNED, "banned")


async def test_tokens_are_minted_for_the_local_administrator(tmp_path: Path) -> None:
    """With the id it can be taken back by; from elsewhere there is no such page."""
    async with stage(tmp_path, OPEN) as it:
        body = {"subject": "ann", "rooms": ["class"], "role": "participant", "minutes": 5}
        answer = await admin(it, "/v1/tokens", body)
        assert 200 == answer.status_code, answer.text
        minted = answer.json()
        assert it.clock.system_wall_us() // 1_000 + 300_000 == minted["expires_ms"]
        assert 200 == (await it.get("/v1/rooms/class/messages", minted["token"])).status_code
        await revoke(it, jti=minted["jti"])
        assert 401 == (await it.get("/v1/rooms/class/messages", minted["token"])).status_code
        refused = await admin(it, "/v1/tokens", {"subject": "ann", "rooms": ["class"], "scopes": ["admin"]})
        assert (422, "no_such_token") == (refused.status_code, refused.json()["reason"])
        token = it.hub.authority.mint("operator", wall_us=it.clock.system_wall_us(), admin=True)
        far = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=it.app, client=("203.0.113.5", 1)), base_url="http://relay"
        )
        answer = await far.post("/v1/tokens", json=body, headers={"Authorization": f"Bearer {token}"})
        assert 404 == answer.status_code
        await far.aclose()


def test_seconds_of_iat_are_whole() -> None:
    """A token that is minted within the second of the revocation counts as older: its date says no more."""
    held = Revocations(b"k" * 32)
    held.put(revocation(held, "person", "ann", before_us=START_US + SECOND_US // 2))

    assert held.refuses(identity(issued_us=START_US))
