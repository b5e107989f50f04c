"""The short path: three ways to an answer give the same one, and whatever is not plainly ours goes to the framework.

The relay is in this process, on a clock that stands still, behind uvicorn's own protocol machinery on a real socket. How a request is put
decides its way: as players put it, it is answered from the parser; with ``Connection: close`` by the application before FastAPI; with the
length of a body, though it is 0, by FastAPI's route.
"""

from __future__ import annotations

import asyncio
import gc
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from weakref import ref

import pytest
import uvicorn
from uvicorn.server import ServerState

from chatsync.service.short_path import ShortPathProtocol
from chatsync.simulation import Scenario
from tests.stage import START_US, URL, Stage, slice_path, stage

PAGE = "https://school.example"
ROOMS: dict[str, dict[str, Any]] = {
    "class": {"public": True, "playlist_url": URL, "origins": [PAGE]},
    "staff": {"public": False, "playlist_url": URL},
}
GZIP = ("Accept-Encoding: gzip",)


class Answered:
    """An answer as it travelled."""

    def __init__(self, head: bytes, body: bytes) -> None:
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split()[1])
        fields = [line.partition(": ") for line in lines[1:] if line]
        self.fields = [(name, value) for name, _, value in fields if name not in {"date", "connection"}]
        self.body = body

    @property
    def same(self) -> Any:
        """What must not depend on the way."""
        return self.status, self.fields, self.body


class Wire:
    """One HTTP connection to the relay."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def ask(self, path: str, *headers: str, method: str = "GET", version: str = "1.1") -> None:
        """Send a request."""
        lines = (f"{method} {path} HTTP/{version}", "Host: relay", *headers, "", "")
        self.writer.write("\r\n".join(lines).encode("latin-1"))

    async def answer(self, *, has_body: bool = True) -> Answered:
        """The next answer."""
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 5)
        length = [line[16:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length: ")]
        body = await self.reader.readexactly(int(length[0])) if length and has_body else b""
        return Answered(head, body)


class Served:
    """A stage with a socket."""

    def __init__(self, it: Stage, port: int) -> None:
        self.it, self.port = it, port

    @asynccontextmanager
    async def wire(self) -> AsyncIterator[Wire]:
        """A connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield Wire(reader, writer)
        finally:
            writer.close()

    async def get(self, path: str, *headers: str, method: str = "GET", version: str = "1.1") -> Answered:
        """One request on a connection of its own."""
        async with self.wire() as wire:
            wire.ask(path, *headers, method=method, version=version)
            return await wire.answer(has_body=method != "HEAD")


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[Served]:
    """The relay with something sealed and something open, behind a real socket."""
    async with stage(folder, ROOMS) as it:
        for room in ROOMS:
            await it.stream(Scenario(START_US), 20, room)
            await it.say("sealed", room)
            await it.stream(Scenario(START_US), 700, room)
            await it.seal(room)
            await it.say("open", room)
        config = uvicorn.Config(it.app, ws="none", log_config=None, access_log=False, server_header=False)
        config.load()
        state = {"hub": it.hub, "short_path": it.app.state.short_path}
        shared = ServerState()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: ShortPathProtocol(config, shared, state), "127.0.0.1", 0)
        try:
            yield Served(it, server.sockets[0].getsockname()[1])
        finally:
            server.close()
            for connection in tuple(shared.connections):
                connection.transport.abort()
            await asyncio.gather(*shared.tasks, return_exceptions=True)


async def _paths(it: Stage, room: str = "class") -> dict[str, str]:
    playlist = await it.chat(room, "from_ms=0", it.token(room, "reader"))
    return {
        "chat": f"/v1/rooms/{room}/chat.json",
        "delta": f"/v1/rooms/{room}/chat.json?broadcast=1&since=0",
        "sealed": slice_path(playlist, playlist["slices"][0]),
        "open": f"{playlist['base']}1/open.json?from_ms={playlist['sealed_until_ms']}",
        "newer": f"{playlist['base']}1/open.json?from_ms={playlist['sealed_until_ms']}&after={playlist['as_of']['offset']}",
    }


BY_FRAMEWORK = "Content-Length: 0"


@pytest.mark.parametrize("what", ["chat", "delta", "sealed", "open", "newer"])
@pytest.mark.parametrize(
    "headers",
    [
        (),
        GZIP,
        (*GZIP, f"Origin: {PAGE}"),
        (*GZIP, "Origin: https://elsewhere.example"),
        (*GZIP, f"Origin: {PAGE}", f"Origin: {PAGE}"),
        (*GZIP, "Origin: null"),
    ],
)
async def test_three_ways_give_the_same_answer(tmp_path: Path, what: str, headers: tuple[str, ...]) -> None:
    """Status, every header in its order, and body: byte for byte the same from parser, application and framework; 304 as well."""
    async with served(tmp_path) as relay:
        path = (await _paths(relay.it))[what]
        quick = await relay.get(path, *headers)
        assert 200 == quick.status
        assert quick.same == (await relay.get(path, *headers, "Connection: close")).same
        assert quick.same == (await relay.get(path, *headers, BY_FRAMEWORK)).same
        tag = dict(quick.fields).get("etag")
        if tag is not None:
            known = (*headers, f"If-None-Match: {tag}")
            unchanged = await relay.get(path, *known)
            assert (304, b"") == (unchanged.status, unchanged.body)
            assert unchanged.same == (await relay.get(path, *known, "Connection: close")).same
            assert unchanged.same == (await relay.get(path, *known, BY_FRAMEWORK)).same


async def test_answers_carry_what_the_contract_says(tmp_path: Path) -> None:
    """The headers of contract §3, in full."""
    async with served(tmp_path) as relay:
        paths = await _paths(relay.it)
        sealed = await relay.get(paths["sealed"], *GZIP)
        assert [
            ("cache-control", "public, max-age=60, s-maxage=300, immutable"),
            ("etag", dict(sealed.fields)["etag"]),
            ("vary", "Accept-Encoding"),
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
            ("referrer-policy", "no-referrer"),
            ("x-content-type-options", "nosniff"),
            ("content-encoding", "gzip"),
            ("content-length", str(len(sealed.body))),
            ("content-type", "application/json"),
            ("vary", "Origin"),
        ] == sealed.fields
        assert b"sealed" in gzip.decompress(sealed.body)
        allowed = await relay.get(paths["chat"], f"Origin: {PAGE}")
        assert [
            ("vary", "Origin"),
            ("access-control-allow-origin", PAGE),
            ("access-control-expose-headers", "ETag, Retry-After"),
        ] == allowed.fields[-3:]


async def test_a_private_room_is_for_who_shows_a_token(tmp_path: Path) -> None:
    """Without one, or with a bad one, it is refused as ever; with one, the answer says that nothing may keep it."""
    async with served(tmp_path) as relay:
        mine = f"Authorization: Bearer {relay.it.token('staff', 'reader')}"
        for path in (await _paths(relay.it, "staff")).values():
            assert 404 == (await relay.get(path, *GZIP)).status
            assert 401 == (await relay.get(path, *GZIP, "Authorization: Bearer no.such.token")).status
            answer = await relay.get(path, *GZIP, mine)
            assert (200, "private, no-store") == (answer.status, dict(answer.fields)["cache-control"])


async def test_head_is_get_without_a_body(tmp_path: Path) -> None:
    """For every read of the API, errors included: same status and headers, nothing after them."""
    async with served(tmp_path) as relay:
        paths = (await _paths(relay.it)).values()
        others = [
            "/v1/rooms/class",
            "/v1/rooms/class/messages",
            "/v1/rooms/class/slices/1/0-1000.e1.r1.json",
            "/v1/rooms/never",
        ]
        async with relay.wire() as wire:
            for path in (*paths, *others):
                got = await relay.get(path, *GZIP)
                wire.ask(path, *GZIP, method="HEAD")
                head = await wire.answer(has_body=False)
                assert (got.status, got.fields, b"") == (head.status, head.fields, head.body), path
            wire.ask("/v1/rooms/class/chat.json")  # the connection is still in step
            assert 200 == (await wire.answer()).status


async def test_requests_sent_ahead_are_answered_in_their_order(tmp_path: Path) -> None:
    """Quick ones and slow ones in one write: each answer belongs to its request."""
    async with served(tmp_path) as relay:
        paths = await _paths(relay.it)
        async with relay.wire() as wire:
            asked = [
                paths["sealed"],
                paths["chat"] + "?x=",
                paths["open"],
                "/v1/rooms/never",
                paths["sealed"],
                paths["chat"],
            ]
            for path in asked * 3:
                wire.ask(path, *GZIP)
            answers = [await wire.answer() for _ in asked * 3]
            assert [200, 200, 200, 404, 200, 200] * 3 == [answer.status for answer in answers]
            assert b'"slices":' in answers[1].body
            assert b'"open"' in answers[2].body
            assert answers[0].body == answers[4].body == answers[6].body


async def test_a_request_may_come_in_pieces(tmp_path: Path) -> None:
    """Byte by byte, or two heads cut anywhere: the same answers."""
    async with served(tmp_path) as relay:
        path = (await _paths(relay.it))["sealed"]
        whole = await relay.get(path, *GZIP)
        request = f"GET {path} HTTP/1.1\r\nHost: relay\r\nAccept-Encoding: gzip\r\n\r\n".encode()
        for size in (1, 7, len(request) + 5):
            async with relay.wire() as wire:
                both = request * 2
                for start in range(0, len(both), size):
                    wire.writer.write(both[start : start + size])
                    await asyncio.sleep(0)
                assert [whole.same, whole.same] == [(await wire.answer()).same for _ in range(2)]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/rooms/class/chat.json?since=1&since=2", 200),
        ("/v1/rooms/class/chat.json?since=-1", 422),
        ("/v1/rooms/class/chat.json?since=1&", 200),
        ("/v1/rooms/class/chat.json?broadcast=99", 404),
        ("/v1/rooms/class/chat.json?broadcast=99999999999999999999", 422),
        ("/v1/rooms/class/chat.json?from_ms=soon", 422),
        ("/v1/rooms/class/slices/1/open.json", 422),
        ("/v1/rooms/class/slices/1/open.json?from_ms=5", 410),
        ("/v1/rooms/class/slices/9/open.json?from_ms=5", 404),
        ("/v1/rooms/class/slices/1/0-1000.e1.r1.json", 404),
        ("/v1/rooms/cl%61ss/chat.json", 200),
        ("/v1/rooms/%2e%2e/chat.json", 404),
        ("/v1/rooms/class//chat.json", 404),
        ("/v1/rooms/never/chat.json", 404),
        ("/v2/rooms/class/chat.json", 404),
    ],
)
async def test_whatever_is_odd_is_the_framework_s_to_judge(tmp_path: Path, path: str, status: int) -> None:
    """Odd queries, encoded paths, errors: the documented answer, in problem JSON if it is one."""
    async with served(tmp_path) as relay:
        answer = await relay.get(path, *GZIP)
        assert status == answer.status
        if status >= 400:
            assert "application/problem+json" == dict(answer.fields)["content-type"]


async def test_a_slice_has_one_address_that_caches_may_keep(tmp_path: Path) -> None:
    """A query, an encoded letter or a padded number: the same slice perhaps, but nothing a cache may keep; nobody could tell it what to drop."""
    async with served(tmp_path) as relay:
        path = (await _paths(relay.it))["sealed"]
        folder, _, name = path.rpartition("/")
        for other, status in (
            (f"{path}?", 200),
            (f"{path}?x", 200),
            (f"{path}?x=1", 200),
            (path.replace("class", "cl%61ss"), 200),
            (path.replace(".json", "%2ejson"), 200),
            (path.replace("/slices/1/", "/slices/01/"), 200),
            (f"{folder}/0{name}", 404),
            (path.replace(".r1.", ".r01."), 404),
            (path.replace("class", "CLASS"), 404),
            (path.replace("/slices/", "//slices/"), 404),
        ):
            for headers in (GZIP, (), (*GZIP, "Connection: close"), (*GZIP, BY_FRAMEWORK)):
                answer = await relay.get(other, *headers)
                assert (status, True) == (answer.status, "no-store" in dict(answer.fields)["cache-control"]), other
        for headers in (GZIP, (), (*GZIP, "Connection: close"), (*GZIP, BY_FRAMEWORK)):
            assert "public" in dict((await relay.get(path, *headers)).fields)["cache-control"]


async def test_old_clients_and_requests_with_bodies_are_answered(tmp_path: Path) -> None:
    """HTTP/1.0, a GET with a body, Expect: each as uvicorn and the bounds on bodies have it."""
    async with served(tmp_path) as relay:
        path = (await _paths(relay.it))["chat"]
        assert 200 == (await relay.get(path, version="1.0")).status
        assert 200 == (await relay.get(path, "Connection: keep-alive", version="1.0")).status
        async with relay.wire() as wire:
            wire.ask(path, "Content-Length: 2")
            wire.writer.write(b"{}")
            assert 200 == (await wire.answer()).status
            wire.ask(path)
            assert 200 == (await wire.answer()).status
        assert 413 == (await relay.get(path, "Content-Length: 99999999")).status


async def test_a_slice_waits_for_the_hide_that_concerns_it(tmp_path: Path) -> None:
    """Hidden but not yet written: the old revision is not served from memory; the answer is 410 once the new one stands."""
    async with served(tmp_path) as relay:
        it = relay.it
        path = (await _paths(it))["sealed"]
        body = gzip.decompress((await relay.get(path, *GZIP)).body)
        assert b"sealed" in body
        (hidden,) = [event["offset"] for event in await it.replayed() if event.get("text") == "sealed"]
        await it.act("hide", target=hidden)
        answer = await relay.get(path, *GZIP)
        assert 410 == answer.status
        assert b"sealed" not in answer.body


async def test_a_slice_is_answered_again_only_while_it_stands(tmp_path: Path) -> None:
    """Asked for a second time it is found by its address; not once a message in it is hidden, nor after it has left memory."""
    async with served(tmp_path) as relay:
        it = relay.it
        answers = it.app.state.short_path._answers
        path = (await _paths(it))["sealed"]
        first = await relay.get(path, *GZIP)
        for _ in range(2):
            assert first.same == (await relay.get(path, *GZIP)).same
        assert answers.sealed_again(path) is not None
        assert 404 == (await relay.get(path.replace("class", "staff"), *GZIP)).status
        it.sealer()._packed.forget("class")
        assert answers.sealed_again(path) is None
        for _ in range(2):  # from its file, then from memory
            assert first.same == (await relay.get(path, *GZIP)).same
        assert answers.sealed_again(path) is not None
        (hidden,) = [event["offset"] for event in await it.replayed() if event.get("text") == "sealed"]
        await it.act("hide", target=hidden)
        assert answers.sealed_again(path) is None
        assert 410 == (await relay.get(path, *GZIP)).status


async def test_what_was_answered_does_not_keep_what_is_let_go(tmp_path: Path) -> None:
    """An index that its room forgets is gone, though a slice was answered by it; the next answer is found anew and is the same."""
    async with served(tmp_path) as relay:
        it = relay.it
        path = (await _paths(it))["sealed"]
        for _ in range(2):
            first = await relay.get(path, *GZIP)
        assert it.app.state.short_path._answers.sealed_again(path) is not None
        index = ref(it.sealer()._indexes.pop(1))
        gc.collect()
        assert index() is None
        assert first.same == (await relay.get(path, *GZIP)).same


async def test_what_was_answered_is_counted(tmp_path: Path) -> None:
    """Each answer once, by what it was, whichever way it went."""
    async with served(tmp_path) as relay:
        paths = await _paths(relay.it)

        def counted(what: str) -> float:
            return float(relay.it.hub.metrics.reads.labels(what)._value.get())

        for what, path in (("slice", "sealed"), ("chat_playlist", "chat"), ("open", "open")):
            before = counted(what)
            await relay.get(paths[path], *GZIP)
            await relay.get(paths[path], *GZIP, "Connection: close")
            await relay.get(paths[path], *GZIP, BY_FRAMEWORK)
            assert before + 3 == counted(what), what
