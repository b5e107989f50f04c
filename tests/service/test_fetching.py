"""Loading playlists: hostile addresses, redirects, bombs, and what a good origin gets."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path
from typing import Any

import pytest

from chatsync.errors import OriginError, PlaylistSyntaxError, PlaylistUnavailableError
from chatsync.instants import SECOND_US
from chatsync.service.fetching import Loaded, PlaylistFetcher
from chatsync.service.room_settings import RequestHeaders
from chatsync.service.settings import Settings
from tests.service.hostile_urls import HOSTILE
from tests.service.tripwire import PLAYLIST, certificate, load, origin, refused, reply, resolving, settings


async def test_no_hostile_url_reaches_a_loopback_service() -> None:
    """However an inner address is spelled, the service listening there sees no connection, and we hear only a reason."""
    async with origin() as tripwire:
        given = settings(tripwire.port, hosts=(), origin_ports=(tripwire.port,))
        fetcher = PlaylistFetcher(given)
        urls = [url.format(port=tripwire.port) for url in HOSTILE]
        urls += [
            f"http://127.0.0.1:{tripwire.port}/\r\nX: y",
            f"http://127.0.0.1:{tripwire.port}/ x",
            "http://a/" + "x" * 5_000,
            "\x00",
            "",
        ]
        for url in urls:
            with pytest.raises(OriginError) as caught:
                await fetcher.load(url)
            assert str(tripwire.port) not in str(caught.value), url
            assert "127" not in str(caught.value), url
        await fetcher.aclose()

        assert len(urls) >= 80
        assert 0 == tripwire.connections


async def test_a_name_that_rebinds_is_connected_where_it_was_checked() -> None:
    """The name is resolved once for each connection, and the address that was checked is the one connected to."""
    async with origin(live__m3u8=reply(PLAYLIST)) as tripwire:
        given = settings(tripwire.port, hosts=(), origin_ports=(tripwire.port,))
        reason = await refused(given, tripwire.url(host="rebind.example"), resolver=resolving(["127.0.0.1"]))
        mixed = await refused(
            given, tripwire.url(host="rebind.example"), resolver=resolving(["93.184.216.34", "127.0.0.1"])
        )

        assert {"the host has no address we may connect to"} == {reason, mixed}
        assert 0 == tripwire.connections


async def test_a_name_is_asked_for_once_per_connection() -> None:
    """A name server that changes its mind between check and use changes nothing: there is no second question."""
    async with origin(live__m3u8=reply(PLAYLIST)) as good:
        given = settings(good.port, hosts=("rebind.example",))
        loaded = await load(
            given, good.url(host="rebind.example"), resolver=resolving(["127.0.0.1"], ["169.254.169.254"])
        )

        assert PLAYLIST.decode() == loaded.text
        assert f"rebind.example:{good.port}" == good.requests[0]["host"]


async def test_the_next_address_is_tried() -> None:
    """An address where nobody listens does not end the load if the name has another."""
    async with origin(live__m3u8=reply(PLAYLIST)) as good:
        given = settings(good.port, hosts=("two.example",))
        loaded = await load(given, good.url(host="two.example"), resolver=resolving(["127.0.0.9", "127.0.0.1"]))

        assert 200 == loaded.status


async def test_a_good_playlist_is_loaded_with_its_age_and_address() -> None:
    """Text, final URL and Age come back; one connection serves the next load too."""
    async with origin(live__m3u8=reply(b"\xef\xbb\xbf" + PLAYLIST, "Age: 3")) as good:
        fetcher = PlaylistFetcher(settings(good.port))
        first, second = await fetcher.load(good.url()), await fetcher.load(good.url())
        await fetcher.aclose()

        assert Loaded(PLAYLIST.decode(), good.url(), 3_000_000, 200) == first == second
        assert 1 == good.connections


@pytest.mark.parametrize(
    ("age", "age_us"),
    [
        ("0", 0),
        ("5", 5_000_000),
        ("5, 7", 5_000_000),
        ("-1", 0),
        ("1.5", 0),
        ("x", 0),
        ("", 0),
        ("86400", 86_400_000_000),
        ("86401", 0),
        ("٣", 0),
        ("9" * 40, 0),
    ],
)
async def test_age_is_read_leniently(age: str, age_us: int) -> None:
    """A strange Age is no reason to lose a playlist."""
    head = reply(PLAYLIST, "X: y").replace(b"X: y", b"Age: " + age.encode())
    async with origin(live__m3u8=head) as good:
        assert age_us == (await load(settings(good.port), good.url())).age_us


async def test_gzip_is_read() -> None:
    """A compressed playlist comes out as it went in."""
    body = PLAYLIST + b"".join(b"#EXTINF:2,\nsegment%d.ts\n" % number for number in range(60_000))
    async with origin(live__m3u8=reply(gzip.compress(body), "Content-Encoding: gzip")) as good:
        assert body.decode() == (await load(settings(good.port), good.url())).text


async def test_bytes_that_are_no_utf8_do_not_lose_the_playlist() -> None:
    """A title in Latin-1 in the middle of a live stream is one broken character, not an outage."""
    async with origin(live__m3u8=reply(b"#EXTM3U\n#EXTINF:2,caf\xe9\na.ts\n")) as good:
        assert "caf\ufffd" in (await load(settings(good.port), good.url())).text


async def test_a_redirect_is_followed_and_becomes_the_base() -> None:
    """Three redirects are followed, and the final URL is the one the URIs of the playlist are relative to."""
    moved: dict[str, Any] = {
        f"r{n}": reply(b"", f"Location: {'/r' + str(n + 1) if n < 3 else '/x/live.m3u8'}", status="302 Found")
        for n in (1, 2, 3)
    }
    async with origin(**moved) as good:
        good.answers["/x/live.m3u8"] = reply(PLAYLIST)
        assert good.url("/x/live.m3u8") == (await load(settings(good.port), good.url("/r1"))).url


async def test_a_fourth_redirect_is_too_many() -> None:
    """A circle ends."""
    async with origin(a=reply(b"", "Location: /a", status="301 Moved")) as bad:
        assert "there are too many redirects" == await refused(settings(bad.port), bad.url("/a"))
        assert 4 == len(bad.requests)


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.1:{port}/secret",
        "http://[::1]:{port}/",
        "file:///etc/passwd",
        "http://169.254.169.254/",
        "//localhost:{port}/",
        "http://u:p@front.example/",
        "gopher://x/",
        "http://[",
    ],
)
async def test_a_redirect_is_checked_like_the_first_address(target: str) -> None:
    """An origin that may be loaded cannot lead us to one that may not."""
    async with origin() as tripwire, origin() as front:
        front.answers["/r"] = reply(
            b"", f"Location: {target.format(port=tripwire.port)}", status="307 Temporary Redirect"
        )
        given = settings(front.port, hosts=("front.example",), origin_ports=(tripwire.port,))

        async def resolve(host: str, port: int) -> list[str]:
            return [host.strip("[]")] if host[0] in "1[:" else ["127.0.0.1"]

        await refused(given, front.url("/r", host="front.example"), resolver=resolve)
        assert (0, 1) == (tripwire.connections, front.connections)


async def test_request_headers_stay_with_their_origin() -> None:
    """Headers go to the origin they belong to and not along with a redirect to another one."""
    async with origin(live__m3u8=reply(PLAYLIST)) as other, origin() as own:
        own.answers["/r"] = reply(b"", f"Location: {other.url()}", status="302 Found")
        given = settings(own.port, loopback_origins=(f"127.0.0.1:{own.port}", f"127.0.0.1:{other.port}"))
        await load(given, own.url("/r"), {"Authorization": "Bearer s3cret"})

        assert "Bearer s3cret" == own.requests[0]["authorization"]
        assert "authorization" not in other.requests[0]


async def test_headers_of_a_room_do_not_go_to_a_variant_elsewhere() -> None:
    """A main playlist cannot collect the room's headers for another host by naming it as a variant."""
    async with origin(live__m3u8=reply(PLAYLIST)) as own, origin(live__m3u8=reply(PLAYLIST)) as other:
        given = settings(own.port, loopback_origins=(f"127.0.0.1:{own.port}", f"127.0.0.1:{other.port}"))
        headers = RequestHeaders(f"http://127.0.0.1:{own.port}", {"X-Key": "s3cret"})
        await load(given, other.url(), headers)
        await load(given, own.url(), headers)

        assert "x-key" not in other.requests[0]
        assert "s3cret" == own.requests[0]["x-key"]


async def test_cookies_of_an_origin_are_not_kept() -> None:
    """What an origin sets in one answer is not sent with the next request."""
    async with origin(live__m3u8=reply(PLAYLIST, "Set-Cookie: a=b")) as good:
        fetcher = PlaylistFetcher(settings(good.port))
        for _ in range(2):
            await fetcher.load(good.url())
        await fetcher.aclose()

        assert all("cookie" not in request for request in good.requests)


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy variable would move the connection out of our sight."""
    async with origin(live__m3u8=reply(PLAYLIST)) as good, origin() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        await load(settings(good.port), good.url())

        assert 0 == proxy.connections


@pytest.mark.parametrize(
    "status",
    [
        "204 No Content",
        "206 Partial",
        "304 Not Modified",
        "401 Unauthorized",
        "403 No",
        "404 Not Found",
        "500 Oops",
        "503 Later",
    ],
)
async def test_an_error_status_is_told_without_its_body(status: str) -> None:
    """The reason holds the number and nothing the origin wrote."""
    async with origin(live__m3u8=reply(b"" if status[0] in "23" else b"sentinel-body", status=status)) as bad:
        assert f"the origin answered with status {status[:3]}" == await refused(settings(bad.port), bad.url())


@pytest.mark.parametrize(
    "body",
    [
        b"<!doctype html><html>",
        b"",
        b"#EXTM3",
        b"\n#EXTM3U",
        b"{}",
        b"\xef\xbb\xbf<html>",
        b"#EXTINF",
        b"\x89PNG",
        b"\x1f\x8b\x08",
    ],
)
async def test_what_is_no_playlist_is_said_to_be_none(body: bytes) -> None:
    """An HTML page with status 200 is a syntax error, not a playlist and not an outage of the network."""
    async with origin(live__m3u8=reply(body)) as bad:
        with pytest.raises(PlaylistSyntaxError) as caught:
            await load(settings(bad.port), bad.url())
        assert "Not an HLS playlist: it does not begin with #EXTM3U (line 1)." == str(caught.value)


async def test_a_page_that_never_ends_is_given_up_at_its_first_bytes() -> None:
    """What is no playlist is not read on in the hope that it becomes one."""

    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"6\r\n<html>\r\n")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with origin(live__m3u8=endless) as bad:
        with pytest.raises(PlaylistSyntaxError):
            await load(settings(bad.port), bad.url())


async def test_a_slow_body_ends_at_the_deadline() -> None:
    """One byte at a time keeps no read waiting long; the deadline is for the whole load."""

    async def slow(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n#EXTM3U\n")
        while not writer.is_closing():
            writer.write(b"#")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with origin(live__m3u8=slow) as bad:
        given = settings(bad.port, limits={"playlist_ms_max": 300})
        assert "no whole answer within 300 ms" == await refused(given, bad.url())


async def test_an_origin_that_says_nothing_ends_at_the_deadline() -> None:
    """An open connection without an answer is given up."""

    async def silent(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(5)

    async with origin(live__m3u8=silent) as bad:
        given = settings(bad.port, limits={"playlist_ms_max": 200})
        assert "no whole answer within 200 ms" == await refused(given, bad.url())


async def test_an_answer_that_may_be_held_back_is_waited_for() -> None:
    """A low-latency origin answers when there is news: so long is added to the deadline, and no longer."""

    async def held(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.4)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n#EXTM3U\n")
        await writer.drain()

    async with origin(live__m3u8=held) as good:
        fetcher = PlaylistFetcher(settings(good.port, limits={"playlist_ms_max": 200}))
        try:
            assert "#EXTM3U\n" == (await fetcher.load(good.url(), held_us=10 * SECOND_US)).text
            with pytest.raises(PlaylistUnavailableError, match="no whole answer within 250 ms"):
                await fetcher.load(good.url(), held_us=50_000)
        finally:
            await fetcher.aclose()


async def test_size_is_limited_at_the_limit_and_one_beyond() -> None:
    """Exactly the limit is accepted, one byte more is not."""
    limit = 64 * 1024
    async with origin() as good:
        good.answers["/at"] = reply(PLAYLIST.ljust(limit, b"#"))
        good.answers["/over"] = reply(PLAYLIST.ljust(limit + 1, b"#"))
        given = settings(good.port, limits={"playlist_bytes_max": limit})

        assert limit == len((await load(given, good.url("/at"))).text)
        assert f"the playlist is larger than {limit} bytes" == await refused(given, good.url("/over"))


async def test_a_gzip_bomb_is_defused() -> None:
    """64 MiB in 64 KiB are refused by their ratio long before they are all there."""
    bomb = gzip.compress(PLAYLIST + bytes(64 * 1024 * 1024), 9)
    async with origin(live__m3u8=reply(bomb, "Content-Encoding: gzip")) as bad:
        given = settings(bad.port, limits={"playlist_bytes_max": 256 * 1024 * 1024})
        assert "the playlist is compressed beyond reason" == await refused(given, bad.url())


@pytest.mark.parametrize(
    ("body", "encoding", "reason"),
    [
        (b"not gzip", "gzip", "the compressed playlist is damaged"),
        (gzip.compress(PLAYLIST * 50)[:-9], "gzip", "the compressed playlist was cut off"),
        (PLAYLIST, "br", "the origin used a compression we did not ask for"),
        (PLAYLIST, "gzip, gzip", "the origin used a compression we did not ask for"),
    ],
    ids=["damaged", "cut off", "not asked for", "twice"],
)
async def test_a_wrong_compression_is_refused(body: bytes, encoding: str, reason: str) -> None:
    """Damaged, cut or unasked-for compression is an outage with a reason."""
    async with origin(live__m3u8=reply(body, f"Content-Encoding: {encoding}")) as bad:
        assert reason == await refused(settings(bad.port), bad.url())


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n#EXTM3U",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000,
    ],
)
async def test_a_broken_answer_is_an_outage(raw: bytes) -> None:
    """Whatever bytes come, the error is the documented one."""

    async def broken(writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()
        writer.close()

    async with origin(live__m3u8=broken) as bad:
        assert "the connection to the origin failed" == await refused(settings(bad.port), bad.url())


async def test_nobody_listening_is_an_outage() -> None:
    """A refused connection is told as not reached."""
    async with origin() as gone:
        pass
    assert "the origin could not be reached" == await refused(settings(gone.port), gone.url())


async def test_only_listed_hosts_and_ports() -> None:
    """With a list of hosts only those are asked, and ports beyond 80 and 443 are named one by one."""
    given = Settings(origin_hosts=("cdn.example",))
    nobody = resolving(["127.0.0.1"])

    assert "the host is not on the list of those that may be asked" == await refused(
        given, "http://other.example/", resolver=nobody
    )
    assert "the port is not one that may be asked" == await refused(given, "http://cdn.example:8080/", resolver=nobody)
    assert "the host has no address we may connect to" == await refused(given, "http://CDN.example./", resolver=nobody)


async def test_private_and_loopback_are_allowed_apart() -> None:
    """A host allowed to be private is not thereby allowed to be this machine."""
    async with origin() as tripwire:
        given = settings(tripwire.port, hosts=(), private_origins=(f"nas.example:{tripwire.port}",))
        url = tripwire.url(host="nas.example")

        assert "the host has no address we may connect to" == await refused(
            given, url, resolver=resolving(["127.0.0.1"])
        )
        assert 0 == tripwire.connections


async def test_tls_checks_the_name_although_the_address_was_given(tmp_path: Path) -> None:
    """The certificate must be for the host of the URL, not for the address that was connected to."""
    server, client = certificate(tmp_path, "origin.example")
    async with origin(server, live__m3u8=reply(PLAYLIST)) as good:
        given = settings(good.port, hosts=("origin.example", "other.example"))
        resolver = resolving(["127.0.0.1"])
        url = f"https://origin.example:{good.port}/live.m3u8"

        assert url == (await load(given, url, resolver=resolver, tls=client)).url
        wrong = await refused(given, url.replace("origin", "other"), resolver=resolver, tls=client)
        untrusted = await refused(given, url, resolver=resolver)
        assert {"the origin's certificate was not accepted"} == {wrong, untrusted}
