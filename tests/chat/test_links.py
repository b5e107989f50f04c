"""Links in a text: those that players would make clickable, and those that people write around a filter."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatsync.chat.links import hosts_in, is_below
from chatsync.chat.text import folded, fragments


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("see https://example.org/a?b=1#c now", ["example.org"]),
        ("HTTP://EXAMPLE.ORG:8080!", ["example.org"]),
        ("(https://en.wikipedia.org/wiki/Limit_(mathematics)).", ["en.wikipedia.org"]),
        ("ftp://files.example hxxps://evil.example", ["files.example", "evil.example"]),
        ("www.example.museum and example.com", ["www.example.museum", "example.com"]),
        ("discord.gg/abc t.me/joinchat it.is/x", ["discord.gg", "t.me", "it.is"]),
        ("example[.]com example (dot) org example dot net", ["example.com", "example.org", "example.net"]),
        ("example。com ｅｘａｍｐｌｅ．ｃｏｍ exa\u200bmple.com", ["example.com", "example.com", "example.com"]),
        ("127.0.0.1:8000 and 10.0.0.1/x", ["127.0.0.1", "10.0.0.1"]),
        ("xn--e1aybc.xn--p1ai тест.рф", ["xn--e1aybc.xn--p1ai", "тест.рф"]),
        ("https://good.example@evil.example/ https://good.example\\@evil.example", ["", ""]),
        ("https://good%2eexample/", [""]),
        ("The end.Next one, e.g. this; Node.js, main.py, 3.14, w.r.t. x, and/or", []),
        ("fin.au début, I like it. Net income. It.is fine", []),
        ("ann@example.com, ann.lee@mail.example.com", []),
        ("@ann.lee hello", []),
        ("", []),
    ],
)
def test_hosts_are_found(text: str, hosts: list[str]) -> None:
    """With and without a scheme, spelled out, in other widths; a missing space after a full stop is no link, nor is an address of mail."""
    assert hosts == list(hosts_in(folded(text)))


@pytest.mark.parametrize(
    ("host", "is_one"),
    [
        ("school.example", True),
        ("www.school.example", True),
        ("notschool.example", False),
        ("school.example.evil.example", False),
        ("", False),
    ],
)
def test_what_lies_below_a_host(host: str, is_one: bool) -> None:
    """The host and its subdomains; a name that only ends alike is another."""
    assert is_one == is_below(host, ("school.example",))


@given(st.text(st.one_of(st.characters(), st.sampled_from("@:/.ahtps-")), max_size=80))
def test_every_clickable_link_is_found(text: str) -> None:
    """Whatever becomes a link in a player is one here."""
    clickable = [part for part in fragments(text) if part["type"] == "link"]

    assert len(list(hosts_in(folded(text)))) >= bool(clickable)


@pytest.mark.parametrize(
    "hostile",
    [
        "a." * 5_000,
        "a-" * 5_000,
        "http://" * 1_400,
        "www." * 2_500,
        "1." * 5_000,
        "(dot)" * 2_000,
        ("a" * 61 + ".") * 160,
        "xn--" * 2_500,
    ],
)
def test_hostile_texts_take_no_time(hostile: str) -> None:
    """10,000 characters made to send a pattern back and forth are through in well under a second."""
    started_s = time.process_time()
    list(hosts_in(hostile))

    assert time.process_time() - started_s < 1
