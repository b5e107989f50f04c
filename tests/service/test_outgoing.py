"""Requests to addresses we were given: what is let through, and what of an answer is taken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from chatsync.service.outgoing import Outgoing, RefusedError, address_kind, client_to
from tests.service.hostile_urls import HOSTILE
from tests.service.tripwire import certificate, origin, reply, resolving, settings
from tests.service.webhook import silent, webhook


@asynccontextmanager
async def outgoing(port: int, **given: Any) -> AsyncIterator[Outgoing]:
    """One that may post to this port of loopback."""
    resolver, tls = given.pop("resolver", None), given.pop("tls", None)
    made = Outgoing(settings(port, **given), resolver=resolver, tls=tls)
    try:
        yield made
    finally:
        await made.aclose()


async def refused(it: Outgoing, url: str, **given: Any) -> str:
    """The reason with which a post is not made or its answer not taken."""
    wanted: dict[str, Any] = {"answer_bytes_max": 1_024, "deadline_s": 5} | given
    with pytest.raises(RefusedError) as caught:
        await it.post(url, b"{}", {}, **wanted)
    return caught.value.reason


@pytest.mark.parametrize(
    ("addresses", "kind"),
    [
        (
            "1.1.1.1 8.8.8.8 93.184.216.34 100.63.255.255 100.128.0.1 172.15.255.255 172.32.0.1 223.255.255.255",
            "global",
        ),
        ("2606:4700::1111 2001:4860:4860::8888 2a00::1 64:ff9b::101:101", "global"),
        ("127.0.0.1 127.255.255.255 ::1", "loopback"),
        ("10.0.0.1 172.16.0.1 172.31.255.255 192.168.255.255 100.64.0.1 100.127.255.255 fc00::1 fdff::1", "private"),
        (
            "0.0.0.0 0.1.2.3 169.254.169.254 192.0.0.8 192.0.0.170 192.0.2.1 192.88.99.1 198.18.0.1 198.19.255.255",
            "refused",
        ),
        ("198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255", "refused"),
        (
            ":: ::2 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:1.1.1.1 64:ff9b::7f00:1 64:ff9b::a00:1 64:ff9b::a9fe:a9fe",
            "refused",
        ),
        (
            "64:ff9b:1::1 100::1 2001::1 2001:10::1 2001:20::1 2001:db8::1 2002:7f00:1:: 3fff::1 3ffe::1 5f00::1",
            "refused",
        ),
        (
            "fe80::1 fe80::1%eth0 febf::1 fec0::1 feff::1 ff02::1 ff0e::1 4000::1 1.1.1.1%eth0 127.1 example.org 1",
            "refused",
        ),
    ],
)
def test_the_table_of_addresses(addresses: str, kind: str) -> None:
    """Every special range is what the registry says, where the standard library is too kind as well."""
    assert dict.fromkeys(addresses.split(), kind) == {address: address_kind(address) for address in addresses.split()}


async def test_a_post_brings_its_answer() -> None:
    """Body and headers arrive as they were given; one connection serves the next post too."""
    async with webhook(reply(b"fine")) as hook, outgoing(hook.port) as it:
        for _ in range(2):
            assert b"fine" == await it.post(hook.url, b"body", {"X-Of": "ours"}, answer_bytes_max=4, deadline_s=5)

        assert ("POST /hook HTTP/1.1", "ours", b"body") == (
            hook.asked[0].line,
            hook.asked[0].headers["x-of"],
            hook.asked[1].body,
        )


async def test_no_hostile_url_reaches_a_loopback_service() -> None:
    """However an inner address is spelled, the service there sees no connection, and the reason repeats nothing."""
    async with webhook() as hook, outgoing(hook.port, hosts=(), origin_ports=(hook.port,)) as it:
        for url in HOSTILE:
            reason = await refused(it, url.format(port=hook.port).replace("http://", "https://"))
            assert str(hook.port) not in reason
            assert "127" not in reason

        assert [] == hook.asked


async def test_words_of_people_go_through_tls_only() -> None:
    """Plain http is for what is named as private or on this machine; else it is refused before anything is resolved."""
    async with outgoing(1, origin_hosts=("elsewhere.example",)) as it:
        assert "not https" in await refused(it, "http://filter.example/")


async def test_a_list_of_origins_is_for_playlists() -> None:
    """A filter need not be among the hosts that playlists come from; where it leads is checked all the same."""
    async with outgoing(1, origin_hosts=("cdn.example",), resolver=resolving(["10.0.0.1"])) as it:
        assert "the host has no address we may connect to" == await refused(it, "https://filter.example/")


async def test_tls_checks_the_name(tmp_path: Path) -> None:
    """A certificate for the host is accepted, another one is not."""
    server, client = certificate(tmp_path, "filter.example")
    async with webhook(reply(b"fine"), server) as hook:
        given = {"hosts": ("filter.example", "other.example"), "resolver": resolving(["127.0.0.1"]), "tls": client}
        async with outgoing(hook.port, **given) as it:
            url = f"https://filter.example:{hook.port}/"
            assert b"fine" == await it.post(url, b"", {}, answer_bytes_max=9, deadline_s=5)
            assert "the certificate was not accepted" == await refused(it, url.replace("filter", "other"))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (reply(b"", "Location: https://elsewhere.example/", status="302 Found"), "the answer has status 302"),
        (reply(b"", "Location: /hook", status="307 Temporary Redirect"), "the answer has status 307"),
        (reply(b"", status="204 No Content"), "the answer has status 204"),
        (reply(b"", status="500 Oops"), "the answer has status 500"),
        (reply(b"x", "Content-Encoding: gzip"), "the answer is compressed, which we did not ask for"),
        (reply(b"x" * 1_025), "the answer is larger than 1024 bytes"),
        (b"garbage\r\n\r\n", "the connection failed"),
    ],
)
async def test_what_is_no_answer(answer: bytes, reason: str) -> None:
    """Redirects are not followed, and nothing but a short answer with 200 is taken."""
    async with webhook(answer) as hook, outgoing(hook.port) as it:
        assert reason == await refused(it, hook.url)
        assert 1 == len(hook.asked)


async def test_the_deadline_is_for_all_of_it() -> None:
    """Neither silence nor one byte after the other is waited for longer."""

    async def slowly(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with webhook(slowly) as hook, outgoing(hook.port) as it:
        assert "no whole answer before the deadline" == await refused(it, hook.url, deadline_s=0.2)
        hook.answer = silent
        assert "no whole answer before the deadline" == await refused(it, hook.url, deadline_s=0.2)


async def test_nobody_there() -> None:
    """A refused connection is told as such."""
    async with webhook() as gone:
        pass
    async with outgoing(gone.port) as it:
        assert "it could not be reached" == await refused(it, gone.url)


async def test_who_has_named_a_host_reaches_it_wherever_it_is_and_no_other() -> None:
    """The operator's own caches may be on this machine; another port or host is refused, as is a name that leads to link-local addresses."""
    async with origin(live__m3u8=reply(b"there")) as near, origin(live__m3u8=reply(b"there")) as other:
        client = client_to([near.url("/base"), f"http://metadata.example:{near.port}"], resolver=_named)
        async with client:
            answer = await client.get(near.url())
            assert (200, b"there") == (answer.status_code, answer.content)
            for url in (other.url(), near.url(host="localhost"), near.url(host="metadata.example")):
                with pytest.raises(httpx2.ConnectError):
                    await client.get(url)
        assert (1, 0) == (near.connections, other.connections)


async def _named(host: str, port: int) -> list[str]:
    return {"127.0.0.1": ["127.0.0.1"], "metadata.example": ["169.254.169.254"]}[host]
