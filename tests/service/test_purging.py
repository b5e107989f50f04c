"""Purging: who is told what, how often, how long; and that a relay tells exactly what it hid.

The cache is a real HTTP server that writes down what it is asked, and answers as it is told. The clock is set by hand.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from chatsync.instants import SECOND_US
from chatsync.service.clock import ManualClock
from chatsync.service.limit_table import PURGES_WAITING_MAX
from chatsync.service.metrics import Metrics
from chatsync.service.outgoing import client_to
from chatsync.service.purge_keys import PurgeKeys
from chatsync.service.purge_settings import PurgeHook
from chatsync.service.purging import AGAIN_US, GATHER_US, LATE_US, Cache
from chatsync.simulation import Scenario
from tests.stage import START_US, URL, Stage, quiet, slice_path, stage

KEYS = PurgeKeys(b"k" * 32)
KEPT_US = 360 * SECOND_US
LECTURE = Scenario(START_US)


@dataclass
class Asked:
    """One request, as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class FakeCache:
    """An HTTP server that remembers what it was asked."""

    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)  # status and headers of the next ones; then 200

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                first, *lines = head.decode("latin-1").strip().split("\r\n")
                headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                method, path, _ = first.split(" ")
                self.asked.append(Asked(method, path, headers, body))
                answer = self.answers.pop(0) if self.answers else "200 OK"
                writer.write(f"HTTP/1.1 {answer}\r\nContent-Length: 2\r\n\r\nok".encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    @property
    def paths(self) -> list[str]:
        """What was asked, in order."""
        return [one.path for one in self.asked]

    @property
    def keys(self) -> list[list[str]]:
        """The keys of each request."""
        return [one.headers["surrogate-key"].split(" ") for one in self.asked]


@asynccontextmanager
async def listening() -> AsyncIterator[FakeCache]:
    """A cache for the length of a block."""
    fake = FakeCache()
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    fake.port = server.sockets[0].getsockname()[1]
    try:
        yield fake
    finally:
        server.close()


class Told:
    """A cache as the relay sees it, on a clock set by hand."""

    def __init__(self, hook: PurgeHook) -> None:
        self.clock, self.metrics = ManualClock(), Metrics()
        self.client = client_to([hook.base_url])
        self.cache = Cache(
            "edge", hook, keys=KEYS, kept_us=KEPT_US, clock=self.clock, metrics=self.metrics, client=self.client
        )

    async def after(self, elapsed_us: int) -> bool:
        """Let time pass, and tell what is due then."""
        self.clock.advance(elapsed_us)
        return await self.cache.send_due()

    def note(self, *names: str, room: str = "class") -> None:
        """Something was hidden now."""
        self.cache.note(room, names, since_us=self.clock.monotonic_us())

    def figure(self, name: str) -> float | None:
        """A metric of this cache."""
        return self.metrics.registry.get_sample_value(f"chatsync_{name}", {"cache": "edge"})


@asynccontextmanager
async def told(kind: str = "http", path: str = "", **given: Any) -> AsyncIterator[tuple[FakeCache, Told]]:
    """A cache, and who tells it."""
    async with listening() as fake:
        it = Told(PurgeHook(kind=kind, url=f"http://127.0.0.1:{fake.port}{path}", **given))  # type: ignore[arg-type]
        try:
            yield fake, it
        finally:
            await it.client.aclose()


def token_in(folder: Path, text: str = "t0ken") -> Path:
    """A token's file."""
    file = folder / "token"
    file.write_text(text + "\n")
    file.chmod(0o600)
    return file


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - it comes by itself
            await asyncio.sleep(0.01)


# --- what travels ------------------------------------------------------------------------------------------------------


async def test_each_url_is_purged_twice_since_an_answer_may_have_been_on_its_way() -> None:
    """Gathered for a moment, then PURGE of each path; once more after two seconds, and then no more."""
    async with told(host="chat.example.org") as (fake, it):
        it.note("/v1/a", "/v1/b")
        assert not await it.after(GATHER_US - 1)
        assert await it.after(1)
        assert [("PURGE", "/v1/a"), ("PURGE", "/v1/b")] == sorted((one.method, one.path) for one in fake.asked)
        assert {"chat.example.org"} == {one.headers["host"] for one in fake.asked}
        assert not await it.after(AGAIN_US - 1)
        assert await it.after(1)
        assert ["/v1/a", "/v1/b"] == sorted(fake.paths[2:])
        assert not await it.after(KEPT_US)
        assert [4.0, 0.0, 0.0] == [
            it.figure(name) for name in ("purges_total", "purge_failures_total", "purges_waiting")
        ]


async def test_how_long_it_took_is_measured_from_the_deed() -> None:
    """Once for each thing: the second telling is no news."""
    async with told() as (_, it):
        it.note("/v1/a")
        await it.after(GATHER_US)
        await it.after(AGAIN_US)
        assert (1.0, GATHER_US / SECOND_US) == (it.figure("purge_seconds_count"), it.figure("purge_seconds_sum"))


async def test_varnish_is_told_keys_with_ban() -> None:
    """As the VCL of docs/operations.md reads them."""
    async with told("ban", "/") as (fake, it):
        it.note("slice:a", "now:b")
        await it.after(GATHER_US)
        assert [("BAN", "/", ["slice:a", "now:b"])] == [
            (one.method, one.path, one.headers["surrogate-key"].split(" ")) for one in fake.asked
        ]


async def test_fastly_is_told_keys_by_its_api(tmp_path: Path) -> None:
    """The batch call, with the token where it belongs and nowhere else."""
    async with told("fastly", zone="SU1Z0", token_file=token_in(tmp_path)) as (fake, it):
        it.note("slice:a", "now:b")
        await it.after(GATHER_US)
        (asked,) = fake.asked
        assert ("POST", "/service/SU1Z0/purge", b"") == (asked.method, asked.path, asked.body)
        assert ("t0ken", "slice:a now:b") == (asked.headers["fastly-key"], asked.headers["surrogate-key"])
        assert "fastly-soft-purge" not in asked.headers


async def test_cloudflare_is_told_tags_by_its_api(tmp_path: Path) -> None:
    """The same keys as JSON, with a bearer token."""
    async with told("cloudflare", "/client/v4", zone="023e", token_file=token_in(tmp_path)) as (fake, it):
        it.note("slice:a", "now:b")
        await it.after(GATHER_US)
        (asked,) = fake.asked
        assert ("POST", "/client/v4/zones/023e/purge_cache") == (asked.method, asked.path)
        assert {"tags": ["slice:a", "now:b"]} == json.loads(asked.body)
        assert ("Bearer t0ken", "application/json") == (asked.headers["authorization"], asked.headers["content-type"])


async def test_what_comes_together_travels_together(tmp_path: Path) -> None:
    """A thing that is hidden a hundred times is told once; 300 keys take two requests of Fastly's."""
    async with told("fastly", zone="SU1Z0", token_file=token_in(tmp_path)) as (fake, it):
        for _ in range(100):
            it.note("slice:a")
        it.note(*(f"slice:{number}" for number in range(299)))
        await it.after(GATHER_US)
        assert [256, 44] == sorted(map(len, fake.keys), reverse=True)
        assert 300 == len({key for keys in fake.keys for key in keys})


async def test_what_a_cache_does_not_hold_is_done() -> None:
    """404 and 412 are what caches say of a URL they do not have."""
    async with told() as (fake, it):
        fake.answers = ["404 Not Found", "412 Precondition Failed"]
        it.note("/v1/a", "/v1/b")
        await it.after(GATHER_US)
        assert (2.0, 0) == (it.figure("purges_total"), it.cache.waiting)


# --- when it fails -----------------------------------------------------------------------------------------------------


async def test_a_cache_that_does_not_answer_well_is_told_until_it_does() -> None:
    """After 0.25 s, 0.5 s, and when its Retry-After says so; measured from the deed all the same."""
    async with told("ban") as (fake, it):
        fake.answers = ["503 Busy", "500 Oh", "429 Slow\r\nRetry-After: 7"]
        it.note("slice:a")
        assert await it.after(GATHER_US)
        for rest_us in (SECOND_US // 4, SECOND_US // 2, 7 * SECOND_US):
            assert not await it.after(rest_us - 1)
            assert await it.after(1)
        assert 4 == len(fake.asked)
        assert (1.0, 3.0) == (it.figure("purges_total"), it.figure("purge_failures_total"))
        assert pytest.approx(0.1 + 0.25 + 0.5 + 7) == it.figure("purge_seconds_sum")


async def test_a_cache_that_is_not_there_is_told_when_it_is_back() -> None:
    """A refused connection is an error like any other; the rest between two tries grows to half a minute."""
    async with listening() as fake:
        port = fake.port
    it = Told(PurgeHook(kind="ban", url=f"http://127.0.0.1:{port}"))
    it.note("slice:a")
    await it.after(GATHER_US)
    for _ in range(12):
        await it.after(30 * SECOND_US)
        it.note("slice:a")
    assert 13.0 == it.figure("purge_failures_total")
    fake = FakeCache()
    server = await asyncio.start_server(fake.serve, "127.0.0.1", port)
    assert await it.after(30 * SECOND_US)
    assert [["slice:a"]] == fake.keys
    server.close()
    await it.client.aclose()


async def test_it_is_given_up_when_the_cache_holds_nothing_any_more() -> None:
    """What a cache may keep for so long, it has not after that."""
    async with told() as (fake, it):
        fake.answers = ["503 Busy"] * 1_000
        it.note("/v1/a")
        await it.after(GATHER_US)
        await it.after(KEPT_US - GATHER_US)
        assert 1 == it.cache.waiting
        assert not await it.after(1)
        assert 0 == it.cache.waiting


async def test_what_is_hidden_while_it_is_told_is_told_after() -> None:
    """The request that is on its way may have come before the second hide."""
    async with told("ban") as (fake, it):
        it.note("slice:a")
        it.clock.advance(GATHER_US)
        sending = asyncio.create_task(it.cache.send_due())
        await asyncio.sleep(0)
        it.note("slice:a")
        assert await sending
        assert 1 == it.cache.waiting
        assert await it.after(GATHER_US)
        assert [["slice:a"], ["slice:a"]] == fake.keys


async def test_too_much_that_waits_is_told_by_rooms() -> None:
    """Of keys nothing is lost: beyond the bound the whole room is dropped. Of URLs the oldest go: their time ends first."""
    it = Told(PurgeHook(kind="ban", url="http://127.0.0.1:9"))
    it.note(*(f"slice:{number}" for number in range(PURGES_WAITING_MAX)), room="busy")
    it.note("slice:one more", "slice:another", room="class")
    assert PURGES_WAITING_MAX + 1 == it.cache.waiting
    assert KEYS.room("class") in it.cache._due
    by_url = Told(PurgeHook(kind="http", url="http://127.0.0.1:9"))
    by_url.note(*(f"/{number}" for number in range(PURGES_WAITING_MAX + 1)))
    assert (PURGES_WAITING_MAX, False) == (by_url.cache.waiting, "/0" in by_url.cache._due)
    assert 1.0 == by_url.figure("purge_failures_total")
    for one in (it, by_url):
        await one.client.aclose()


async def test_a_token_that_was_changed_is_read_again(tmp_path: Path) -> None:
    """After a refusal the file is read anew; one that is gone is an error like any other, and the token is in no reason."""
    file = token_in(tmp_path, "old")
    async with told("fastly", zone="SU1Z0", token_file=file) as (fake, it):
        fake.answers = ["403 Forbidden", "401 Unauthorized"]
        it.note("slice:a")
        await it.after(GATHER_US)
        token_in(tmp_path, "new")
        await it.after(SECOND_US)
        file.unlink()
        await it.after(SECOND_US)
        token_in(tmp_path, "newest")
        await it.after(2 * SECOND_US)
        assert ["old", "new", "newest"] == [one.headers["fastly-key"] for one in fake.asked]
        assert 3.0 == it.figure("purge_failures_total")


# --- what a relay tells ------------------------------------------------------------------------------------------------


def hooks(fake: FakeCache, *kinds: str) -> dict[str, Any]:
    """Settings of caches that are all this one."""
    return {
        "purge": {kind: PurgeHook(kind=kind, url=f"http://127.0.0.1:{fake.port}/{kind}") for kind in kinds}  # type: ignore[arg-type]
    }


async def lesson(it: Stage, room: str = "class") -> int:
    """Two messages, sealed; the offset of the bad one."""
    await it.stream(LECTURE, 10, room)
    bad = await it.said_at(START_US + 4 * SECOND_US, "bad", room)
    await it.said_at(START_US + 5 * SECOND_US, "fine", room)
    await it.stream(LECTURE, 625, room, step_s=10)
    await it.seal(room)
    return bad


def path_of(fake: FakeCache) -> list[str]:
    """Paths that were purged, without the fake cache's own."""
    return [one.path.removeprefix("/http") for one in fake.asked if one.method == "PURGE"]


def keys_of(fake: FakeCache) -> set[str]:
    """Keys that were banned."""
    return {key for one in fake.asked if one.method == "BAN" for key in one.headers["surrogate-key"].split(" ")}


async def test_a_hide_tells_the_slice_the_list_and_the_open_slice(tmp_path: Path) -> None:
    """By URL: the old revision, the next, the list and the open slice. By key: the slice and what changes every second; both stand in answers."""
    async with listening() as fake, stage(tmp_path, **hooks(fake, "http", "ban")) as it:
        bad = await lesson(it)
        playlist = await it.chat(query="from_ms=0")
        path = slice_path(playlist, playlist["slices"][0])
        before = await it.get(path)
        listed = await it.get("/v1/rooms/class/chat.json")
        await it.act("hide", target=bad)
        await it.seal()
        it.advance(GATHER_US / SECOND_US)
        await until(lambda: len(path_of(fake)) >= 4 and len(keys_of(fake)) >= 2)
        opened = f"{playlist['base']}1/open.json?from_ms={(await it.chat())['sealed_until_ms']}"
        assert {path, path.replace(".r1.", ".r2."), "/v1/rooms/class/chat.json", opened} == set(path_of(fake))
        assert keys_of(fake) == {
            before.headers["surrogate-key"].split(" ")[1],
            listed.headers["surrogate-key"].split(" ")[1],
        }
        unchanged = await it.get("/v1/rooms/class/chat.json", **{"If-None-Match": listed.headers["etag"]})
        assert "cache-tag" not in listed.headers
        assert {before.headers["surrogate-key"].split(" ")[0]} == {
            answer.headers["surrogate-key"].split(" ")[0] for answer in (listed, unchanged)
        }


async def test_a_late_message_is_no_hurry_where_a_key_names_all_revisions(tmp_path: Path) -> None:
    """By URL the old revision is told at once: a hide of the next one would not reach it. By key it waits for half a minute."""
    async with listening() as fake, stage(tmp_path, **hooks(fake, "http", "ban")) as it:
        await lesson(it)
        await it.said_at(START_US + 300 * SECOND_US, "late")
        it.advance(5)
        await it.seal()
        it.advance(GATHER_US / SECOND_US)
        await until(lambda: 2 == len({path for path in path_of(fake) if ".r" in path}))
        assert not any(key.startswith("slice:") for key in keys_of(fake))
        it.advance(LATE_US / SECOND_US)
        for cache in it.hub.purging._caches:  # which sleep by the system's clock
            await cache.send_due()
        assert any(key.startswith("slice:") for key in keys_of(fake))


async def test_a_slice_whose_events_are_all_hidden_is_told_too(tmp_path: Path) -> None:
    """Its range has no next revision; its URLs leave the caches."""
    async with listening() as fake, stage(tmp_path, **hooks(fake, "http")) as it:
        await it.stream(LECTURE, 10)
        bad = await it.said_at(START_US + 4 * SECOND_US, "bad")
        await it.stream(LECTURE, 625, step_s=10)
        await it.seal()
        playlist = await it.chat(query="from_ms=0")
        path = slice_path(playlist, playlist["slices"][0])
        await it.act("hide", target=bad)
        await it.seal()
        it.advance(1)
        await until(lambda: path in path_of(fake))


async def test_nothing_is_told_of_a_private_room(tmp_path: Path) -> None:
    """It was never in a cache; its answers carry no keys."""
    rooms = {"class": {"public": False, "playlist_url": URL}}
    async with listening() as fake, stage(tmp_path, rooms, **hooks(fake, "http", "ban")) as it:
        bad = await lesson(it)
        mine = it.token("class", "student")
        playlist = await it.chat(query="from_ms=0", token=mine)
        answer = await it.slice(playlist, playlist["slices"][0], mine)
        assert "surrogate-key" not in answer.headers
        await it.act("hide", target=bad)
        await it.seal()
        it.advance(60)
        await asyncio.sleep(0.3)
        assert [] == fake.asked


async def test_a_room_that_is_made_private_or_removed_leaves_the_caches(tmp_path: Path) -> None:
    """By key at one stroke; by URL all slices it ever listed, every revision."""
    async with listening() as fake, stage(tmp_path, **hooks(fake, "http", "ban")) as it:
        await lesson(it)
        await it.said_at(START_US + 300 * SECOND_US, "late")
        it.advance(5)
        await it.seal()
        (entry,) = (playlist := await it.chat(query="from_ms=0"))["slices"]
        path = slice_path(playlist, entry)
        room_key = it.hub.purge_keys.room("class")
        await it.hub.put_room("class", it.room().settings.model_copy(update={"public": False}))
        await quiet(it)
        it.advance(1)
        await until(lambda: room_key in keys_of(fake) and {path, path.replace(".r2.", ".r1.")} <= set(path_of(fake)))


async def test_what_a_crash_left_untold_is_told_at_the_next_start(tmp_path: Path) -> None:
    """After a stop at which all was told nothing is; after anything else every public room is, once."""
    async with listening() as fake:
        async with stage(tmp_path, **hooks(fake, "ban")) as it:
            room_key = it.hub.purge_keys.room("class")
            bad = await lesson(it)
        async with stage(tmp_path, clock=it.clock, **hooks(fake, "ban")) as it:
            await asyncio.sleep(0.2)
            it.advance(1)
            await asyncio.sleep(0.2)
            assert room_key not in keys_of(fake)
            it.hub.purging.stop = _nothing  # type: ignore[method-assign]
            await it.act("hide", target=bad)
            for task in it.hub.purging._tasks:
                task.cancel()
        async with stage(tmp_path, clock=it.clock, **hooks(fake, "ban")) as it:
            it.advance(1)
            await asyncio.sleep(0.2)
            it.advance(1)
            await until(lambda: room_key in keys_of(fake))


async def _nothing() -> None:
    """A relay that was killed tells nobody anything."""


async def test_a_stop_tells_what_is_left(tmp_path: Path) -> None:
    """Hidden a moment before the relay stops: the caches hear of it all the same."""
    async with listening() as fake:
        async with stage(tmp_path, **hooks(fake, "ban")) as it:
            bad = await lesson(it)
            await it.act("hide", target=bad)
        assert {"slice", "now"} == {key.partition(":")[0] for key in keys_of(fake)}


async def test_rooms_that_were_public_when_the_relay_last_ran_leave_the_caches(tmp_path: Path) -> None:
    """Made private in the file while the relay was away: caches do not read it."""
    async with listening() as fake:
        async with stage(tmp_path, **hooks(fake, "ban")) as it:
            room_key = it.hub.purge_keys.room("class")
            await lesson(it)
        rooms = {"class": {"public": False, "playlist_url": URL}}
        async with stage(tmp_path, rooms, clock=it.clock, **hooks(fake, "ban")) as it:
            await asyncio.sleep(0.2)
            it.advance(1)
            await until(lambda: room_key in keys_of(fake))


async def test_a_broadcast_that_is_past_its_time_leaves_caches_by_key(tmp_path: Path) -> None:
    """With the whole room, since its slices are listed nowhere any more; caches that are told URLs keep them for as long as they may."""
    async with listening() as fake, stage(tmp_path, {"class": {"public": True}}, **hooks(fake, "http", "ban")) as it:
        it.hub.purging.note_expired("class")
        it.advance(1)
        await until(lambda: bool(fake.asked))
        assert ({it.hub.purge_keys.room("class")}, []) == (keys_of(fake), path_of(fake))
