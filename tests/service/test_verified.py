"""Tokens that were found good are remembered, so many and no more, and never themselves."""

from __future__ import annotations

import time

import pytest

from chatsync.errors import TokenError
from chatsync.instants import SECOND_US
from chatsync.service.auth import TokenAuthority
from chatsync.service.keys import TokenKey
from chatsync.service.verified import Verified, VerifiedTokens
from tests.service import test_auth as tokens

KEY = TokenKey("HS256", b"k" * 32)
SAID = Verified("main", KEY, 7, "ann")


def test_the_oldest_goes_first() -> None:
    """One that is verified again is as new as the others."""
    held: VerifiedTokens[str] = VerifiedTokens(2)
    names = [held.name(token, admin=False) for token in ("a", "b", "c")]
    for index in (0, 1, 0, 2):
        held.put(names[index], SAID)
    assert [SAID, None, SAID] == [held.get(name) for name in names]
    assert 2 == len(held)


def test_an_administrators_use_is_another() -> None:
    """What lets somebody into a room opens no door of administrators."""
    held: VerifiedTokens[str] = VerifiedTokens()
    held.put(held.name("a", admin=False), SAID)
    assert held.get(held.name("a", admin=True)) is None


def test_the_token_itself_is_not_kept() -> None:
    """Nor shown."""
    held: VerifiedTokens[str] = VerifiedTokens()
    held.put(held.name("secret token", admin=False), SAID)
    assert b"secret" not in b"".join(held._held)
    assert "VerifiedTokens(1)" == repr(held)


def test_a_token_that_was_good_is_not_good_for_ever() -> None:
    """It is remembered: until it expires, while its key is there, and for what it was asked for; not before its time either."""
    authority = TokenAuthority(tokens.SECRET)
    own, theirs = tokens.token(), tokens.provided("idp-2")
    key = TokenKey("EdDSA", tokens.OTHER_ED.public_key(), provider=tokens.PROVIDER)
    authority.ring.provide({"idp-2": key})
    for one in (own, theirs):
        first = authority.identify(one, wall_us=tokens.NOW_US)
        assert first is authority.identify(one, wall_us=tokens.NOW_US + 3_629 * SECOND_US)
        for wall_us in (tokens.NOW_US + 3_630 * SECOND_US, tokens.NOW_US - 31 * SECOND_US):
            with pytest.raises(TokenError):
                authority.identify(one, wall_us=wall_us)
        with pytest.raises(TokenError):
            authority.identify(one, wall_us=tokens.NOW_US, admin=True)
    authority.ring.provide({"idp-2": TokenKey("EdDSA", tokens.ED_KEY.public_key(), provider=tokens.PROVIDER)})
    with pytest.raises(TokenError):
        authority.identify(theirs, wall_us=tokens.NOW_US)
    authority.ring.provide({})
    with pytest.raises(TokenError):
        authority.identify(theirs, wall_us=tokens.NOW_US)


def test_who_has_no_key_cannot_tell_by_the_time_what_was_wrong() -> None:
    """Loosely: forms, names of keys and algorithms take as long as a forged signature. Over HTTP they are alike within 5 %: docs/embedding.md."""

    def quickest_s(case: str) -> float:
        bad, took = tokens.BAD[case](), []
        for _ in range(50):
            started_s = time.perf_counter()
            with pytest.raises(TokenError):
                tokens.AUTHORITY.identify(bad, wall_us=tokens.NOW_US)
            took.append(time.perf_counter() - started_s)
        return min(took)

    forged_s = quickest_s("wrong key")
    for case in ("one part", "no signature", "padding", "alg none", "kid unknown", "crit", "header no JSON"):
        assert forged_s / 3 < quickest_s(case) < forged_s * 3, case
