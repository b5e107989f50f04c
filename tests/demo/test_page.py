"""What the demo adds to the relay: its page, the stream's files, tokens and the stop button."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI

from chatsync.demo.page import add_page
from chatsync.media import BLOCKS


class Shop:
    """The routes on an application of their own, and what was asked of the demo."""

    def __init__(self, folder: Path) -> None:
        self.stopped = 0
        self.minted: list[tuple[str, str, str]] = []
        self.folder = folder
        app = FastAPI()
        add_page(app, stream_folder=folder, mint=self._mint, stop=self._stop, room="lecture")
        self.http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://demo")

    def _mint(self, subject: str, name: str, role: str) -> str:
        self.minted.append((subject, name, role))
        return f"token of {subject}"

    def _stop(self) -> None:
        self.stopped += 1


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    """The routes over a stream folder that lies beside a secret."""
    (tmp_path / "secret.ts").write_text("secret")
    folder = tmp_path / "stream"
    folder.mkdir()
    (folder / "stream.m3u8").write_text("#EXTM3U\n")
    (folder / "stream0.ts").write_bytes(b"G")
    (folder / "ffmpeg.log").write_text("log")
    it = Shop(folder)
    async with it.http:
        yield it


async def test_the_page_needs_nothing_that_its_policy_forbids(shop: Shop) -> None:
    """The policy allows no inline script or style, and the page has none; every file it names is there or the relay's."""
    page = await shop.http.get("/")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "require-trusted-types-for 'script'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
    assert "<style" not in page.text
    assert " style=" not in page.text
    assert page.text.count("<script") == page.text.count("<script src=")
    for name in ("demo.css", "demo.js"):
        assert f"/demo/page/{name}" in page.text
        assert 200 == (await shop.http.get(f"/demo/page/{name}")).status_code


async def test_the_page_is_told_where_the_clock_lies(shop: Shop) -> None:
    """Room, playlist and the layout of the blocks are those of the stream."""
    setup = (await shop.http.get("/demo/setup.json")).json()
    assert {"room": "lecture", "playlist": "/demo/stream/stream.m3u8", "blocks": BLOCKS._asdict()} == setup


async def test_the_stream_is_served_as_players_expect_it(shop: Shop) -> None:
    """The playlist is never cached, a segment is."""
    playlist = await shop.http.get("/demo/stream/stream.m3u8")
    segment = await shop.http.get("/demo/stream/stream0.ts")
    assert ("application/vnd.apple.mpegurl", "no-store") == (
        playlist.headers["content-type"],
        playlist.headers["cache-control"],
    )
    assert ("video/mp2t", "public, max-age=600") == (segment.headers["content-type"], segment.headers["cache-control"])


@pytest.mark.parametrize("name", ["stream9.ts", "ffmpeg.log", "..%2Fsecret.ts", "%2e%2e/secret.ts", "..%5Csecret.ts"])
async def test_nothing_but_the_stream_is_served(shop: Shop, name: str) -> None:
    """Other files, and files beside the folder, are not found."""
    assert 404 == (await shop.http.get(f"/demo/stream/{name}")).status_code


async def test_a_playlist_that_is_replaced_while_it_is_asked_for_comes_whole(shop: Shop) -> None:
    """Ffmpeg puts a longer file in its place at any moment: what comes has the length that it says, one version or the other."""
    playlist = shop.folder / "stream.m3u8"
    versions = ["#EXTM3U\n" + f"#EXTINF:2,\nstream{n}.ts\n" * n for n in range(40)]

    def replace_it() -> None:
        for text in versions:
            fresh = playlist.with_suffix(".tmp")
            fresh.write_text(text)
            fresh.replace(playlist)

    replacing = asyncio.create_task(asyncio.to_thread(replace_it))
    while not replacing.done():
        answer = await shop.http.get("/demo/stream/stream.m3u8")
        assert answer.text in versions
        assert len(answer.content) == int(answer.headers["content-length"])
    await replacing


async def test_whoever_joins_gets_a_token_of_their_own(shop: Shop) -> None:
    """Two visitors of one name are two people; only a participant or a host can be made."""
    for _ in range(2):
        answer = await shop.http.post("/demo/token", json={"name": "Ann"})
        assert "no-store" == answer.headers["cache-control"]
    host = await shop.http.post("/demo/token", json={"name": "Bob", "role": "host"})
    refused = await shop.http.post("/demo/token", json={"name": "Eve", "role": "moderator"})
    assert (200, 422) == (host.status_code, refused.status_code)
    assert [("Ann", "participant"), ("Ann", "participant"), ("Bob", "host")] == [one[1:] for one in shop.minted]
    assert 3 == len({subject for subject, _, _ in shop.minted})


async def test_the_button_stops_the_stream(shop: Shop) -> None:
    """Pressing it asks the demo to stop, and only pressing it."""
    await shop.http.get("/demo/stop")
    assert 0 == shop.stopped
    assert {"stopping": True} == (await shop.http.post("/demo/stop")).json()
    assert 1 == shop.stopped
